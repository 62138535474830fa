"""Fills numbers into the digit places of a number format's section: 0 # ? before and after the decimal point,
thousands separators, powers of ten. `parts` are (kind, text), see `format_sections`."""

import math
from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal, DecimalException, localcontext
from itertools import takewhile

from dingkao.integrations.spreadsheets.format_sections import NotDisplayable, PartList

PRECISION = 60
"""The number of digits in computations."""


def fill_places(parts: PartList, value: Decimal) -> str:
    """Returns the text of `value` (zero or more), rounded half up, in the places of a section, which has at
    least one digit place. Raises NotDisplayable if that takes more than PRECISION digits."""
    kinds = [kind for kind, _ in parts]
    with localcontext() as context:
        context.prec, context.rounding = PRECISION, ROUND_HALF_UP
        try:
            if "exponent" in kinds:
                return _exponent_form(parts, kinds.index("exponent"), value)
            return _plain_form(parts, kinds, value)
        except DecimalException as error:
            raise NotDisplayable(str(value)) from error


def _plain_form(parts: PartList, kinds: Sequence[str], value: Decimal) -> str:
    """Returns the text of a number in a section without exponent: a percentage, scaled by thousands, or
    plain."""
    first = kinds.index("digit")
    last = len(kinds) - 1 - kinds[::-1].index("digit")
    scale = _count_trailing_commas(kinds, last)
    scaled = value * Decimal(100) ** kinds.count("percent") / Decimal(1000) ** scale
    is_grouped = "comma" in kinds[first:last]
    behind = last + scale + 1
    places = _without_commas(parts[first:behind])
    return _fill_digits([*parts[:first], *places, *parts[behind:]], scaled, is_grouped)


def _count_trailing_commas(kinds: Sequence[str], last_digit: int) -> int:
    """Returns how many commas follow the last digit place directly: each divides the number by a thousand."""
    return sum(1 for _ in takewhile("comma".__eq__, kinds[last_digit + 1 :]))


def _without_commas(parts: PartList) -> PartList:
    """Returns the parts without commas."""
    return [part for part in parts if part[0] != "comma"]


def _fill_digits(parts: PartList, value: Decimal, is_grouped: bool) -> str:
    """Returns a number filled into the places before and after the decimal point; with thousands separators
    if `is_grouped`."""
    point = _point_index(parts)
    integer, _, fraction = f"{_round(value, _count_places(parts[point:])):f}".partition(".")
    return _integer_part(parts[:point], integer.lstrip("0"), is_grouped) + _fraction(parts[point:], fraction)


def _round(value: Decimal, decimals: int) -> Decimal:
    """Returns a number rounded to `decimals` decimals. Raises decimal.InvalidOperation if that has more than
    PRECISION digits."""
    return value.quantize(Decimal(1).scaleb(-decimals))


def _point_index(parts: PartList) -> int:
    """Returns the index of the decimal point among the parts; the number of parts if there is none."""
    kinds = [kind for kind, _ in parts]
    return kinds.index("point") if "point" in kinds else len(kinds)


def _count_places(parts: Iterable[tuple[str, str]]) -> int:
    """Returns the number of digit places."""
    return sum(kind == "digit" for kind, _ in parts)


def _integer_part(parts: PartList, digits: str, is_grouped: bool) -> str:
    """Returns the digits before the decimal point (`digits`: without zeros before them) filled into their
    places, from the right."""
    places_left = _count_places(parts)
    reversed_text: list[str] = []
    filled = 0
    for kind, text in reversed(parts):
        if kind != "digit":
            reversed_text.append(text)
            continue
        places_left -= 1
        unfilled = digits[: max(0, len(digits) - filled)]
        placed = _digits_of_place(text, unfilled, places_left == 0)
        reversed_text += _group(placed, filled) if is_grouped else placed
        filled += len(placed)
    return "".join(reversed(reversed_text))


def _group(digits: str, filled: int) -> Iterator[str]:
    """Yields digits, from right to left, with thousands separators; `filled` digits are to the right of
    them."""
    for position, digit in enumerate(digits, filled):
        if position and position % 3 == 0 and digit != " ":
            yield ","
        yield digit


def _digits_of_place(place: str, digits: str, is_leftmost: bool) -> str:
    """Returns the text of one place (0, # or ?), from right to left: the last of the remaining `digits`, in
    the leftmost place all of them."""
    if not digits:
        return {"0": "0", "?": " "}.get(place, "")
    return digits[::-1] if is_leftmost else digits[-1]


def _fraction(parts: PartList, digits: str) -> str:
    """Returns the parts from the decimal point on with the digits after it filled into their places."""
    texts = []
    for kind, text in parts:
        if kind == "digit":
            texts.append(_digit_behind_point(text, digits))
            digits = digits[1:]
        else:
            texts.append(text)
    return "".join(texts)


def _digit_behind_point(place: str, digits: str) -> str:
    """Returns the text of one place (0, # or ?) after the decimal point: the first of the remaining `digits`,
    unless only zeros remain."""
    return digits[0] if digits.strip("0") else {"#": "", "?": " "}.get(place, "0")


def _exponent_form(parts: PartList, exponent_index: int, value: Decimal) -> str:
    """Returns a number as a power of ten."""
    mantissa = parts[:exponent_index]
    exponent = parts[exponent_index + 1 :]
    power = _power_of_ten(mantissa, value)
    digits = _fill_digits(mantissa, value.scaleb(-power), is_grouped=False)
    power_digits = _fill_digits(exponent, Decimal(abs(power)), is_grouped=False)
    return f"{digits}E{_exponent_sign(parts[exponent_index][1], power)}{power_digits}"


def _power_of_ten(mantissa: PartList, value: Decimal) -> int:
    """Returns the power with which a number is shown: a multiple of the number of places before the
    mantissa's point, so large that the rounded mantissa fits into them."""
    if value == 0:
        return 0
    point = _point_index(mantissa)
    step = max(1, _count_places(mantissa[:point]))
    power = math.floor(value.log10() / step) * step
    rounded = _round(value.scaleb(-power), _count_places(mantissa[point:]))
    return power + step if rounded >= Decimal(10) ** step else power


def _exponent_sign(mark: str, power: int) -> str:
    """Returns the sign of an exponent; `mark` is the format's E+ or E-."""
    if power < 0:
        return "-"
    return "+" if "+" in mark else ""
