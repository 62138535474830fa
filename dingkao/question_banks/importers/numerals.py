"""The numbers that people write before a question, whatever their form: 1. 1、 (1) 【1】 第1题 1题. Q1. ① ⑴ ⒈
一、 (一) Ⅰ. and plain «1 »."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_DASH_CHARACTERS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u301c\u223c"
_FOLD_TABLE = str.maketrans(
    {0xFF01 + place: chr(0x21 + place) for place in range(94)}
    | dict.fromkeys(map(ord, "\u3000\xa0\u2002\u2003\u2009\u202f\t"), " ")
    | dict.fromkeys(map(ord, "【〔〖「『〈"), "[")
    | dict.fromkeys(map(ord, "】〕〗」』〉"), "]")
    | dict.fromkeys(map(ord, _DASH_CHARACTERS), "-")
    | {ord("\u2024"): ".", ord("\uff61"): "。", ord("\ufe52"): "."}
)
_HAN_DIGITS = (
    {digit: value for value, digit in enumerate("零一二三四五六七八九")}
    | {"〇": 0, "两": 2}
    | {digit: value for value, digit in enumerate("壹贰叁肆伍陆柒捌玖", 1)}
)
_TENS, _HUNDREDS = "十拾", "百佰"
_HAN_UNITS = frozenset(_TENS + _HUNDREDS)
_PLAIN_UNITS = str.maketrans("佰拾", "百十")
_HAN_NUMBER = f"[{''.join(_HAN_DIGITS)}{_TENS}{_HUNDREDS}]{{1,5}}"
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_SIGN_RANGES = (
    (0x2460, 20, 1, "circled"),
    (0x2776, 10, 1, "circled"),
    (0x2780, 10, 1, "circled"),
    (0x278A, 10, 1, "circled"),
    (0x24F5, 10, 1, "circled"),
    (0x24EB, 10, 11, "circled"),
    (0x3251, 15, 21, "circled"),
    (0x32B1, 15, 36, "circled"),
    (0x2474, 20, 1, "enclosed sign"),
    (0x2488, 20, 1, "dotted sign"),
    (0x3220, 10, 1, "enclosed Han sign"),
    (0x3280, 10, 1, "circled Han"),
    (0x2160, 12, 1, "Roman"),
    (0x2170, 12, 1, "small Roman"),
)
_SIGN_VALUES = {
    chr(first + place): (start + place, form)
    for first, count, start, form in _SIGN_RANGES
    for place in range(count)
}

STRONG, WEAK = (
    ("ordinal", "counted", "named", "dot", "pause"),
    ("bare", "odd", "joined", "decimal"),
)
"""Forms that hardly anything but a question's number has; and WEAK, those with which any line may begin."""
SECTION_FORMS = (
    "Han",
    "enclosed Han",
    "enclosed Han sign",
    "circled Han",
    "Roman",
    "small Roman",
    "Latin Roman",
)
"""Forms that headings have, too."""
FORM_RANKS = (
    *STRONG,
    "paren",
    "in square brackets",
    "in angle brackets",
    "enclosed",
    "enclosed sign",
    "dotted sign",
    "colon",
    "comma",
    "circled",
    "enclosed Han",
    "enclosed Han sign",
    "circled Han",
    "Han",
    "Roman",
    "Latin Roman",
    "small Roman",
    *WEAK,
)
"""All forms; the earlier one is likelier a question's if numbers within the text have the other."""


@dataclass(frozen=True)
class ParsedNumber:
    """A number at the beginning of a line: its value, its form (one of FORM_RANKS), the position in the line
    at which the text after it begins, and the last number of a sequence that the line goes on with (①甲 ②乙:
    2), `value` itself if there is none."""

    value: int
    form: str
    text_start: int
    sequence_end: int = 0


def fold_characters(text: str) -> str:
    """`text` with half-width letters, digits, brackets and punctuation (but 。 and 、 as they are), one kind
    of dash and only plain spaces; each character keeps its position."""
    return text.translate(_FOLD_TABLE)


def parse_han_number(text: str) -> int | None:
    """The value of a Chinese number: with 十 or 百 up to 999, else digit by digit (二〇); None if it isn't
    one."""
    if _HAN_UNITS.isdisjoint(text):
        return _parse_han_digits(text)
    hundreds, hundred, below_hundred = text.translate(_PLAIN_UNITS).rpartition("百")
    tens, ten, units = below_hundred.rpartition("十")
    units = units.lstrip("零〇")
    if not {hundreds, tens, units} <= {"", *_HAN_DIGITS}:
        return None
    return (
        100 * _count_of_unit(hundreds, hundred)
        + 10 * _count_of_unit(tens.strip("零〇"), ten)
        + _HAN_DIGITS.get(units, 0)
    )


def _count_of_unit(digit: str, unit: str) -> int:
    """How many tens or hundreds the digit before their character means: one if there is only the character
    (十), none if there is neither."""
    return _HAN_DIGITS.get(digit, 1 if unit else 0)


def _parse_han_digits(text: str) -> int | None:
    """The value of a number written digit by digit in Chinese (二〇); None if it isn't one."""
    if not text or not _HAN_DIGITS.keys() >= set(text):
        return None
    return int("".join(str(_HAN_DIGITS[character]) for character in text))


def _parse_arabic(text: str) -> int | None:
    """The value of a number in digits; never None, which the other parsers of _FORMS may return."""
    return int(text)


def _parse_ordinal(text: str) -> int | None:
    """The value of a number in digits or in Chinese; None if it is neither."""
    return _parse_arabic(text) if text.isdigit() else parse_han_number(text)


def _parse_roman(text: str) -> int | None:
    """The value of a Roman number, which has only the letters I, V, X, L and C (KeyError for others), in
    whatever order; None above 50."""
    total = _sum_roman([_ROMAN[character] for character in text.upper()])
    return total if 0 < total <= 50 else None


def _sum_roman(values: Sequence[int]) -> int:
    """The sum of the values of Roman letters, in which those before a greater one are subtracted."""
    return sum(-value if value < max(values[index:]) else value for index, value in enumerate(values))


_ANY = rf"([0-9]{{1,5}}|{_HAN_NUMBER})"
_END = r"(?:\s*[.、,:)。·]){0,2}\s*"
_UNITS = (
    r"(?!型|个|次|天|日|周|月|岁|年|度|级|期|倍|支|片|粒|小时|分|秒|种|例|名|人|项|类|处|mg|ml|mL|kg|g\b|"
    r"cm|mm|mol|mmol|U\b|IU|[+×÷%‰°℃~=<>/])"
)
_FORMS: tuple[tuple[str, str, Callable[[str], int | None]], ...] = (
    (
        "ordinal",
        rf"[(\[]?\s*第\s*{_ANY}\s*(?:小|道)?题\s*[)\]]?{_END}",
        _parse_ordinal,
    ),
    (
        "counted",
        rf"[(\[]?\s*([0-9]{{1,5}})\s*题(?!干|目|型|组|共|意)\s*[)\]]?{_END}",
        _parse_arabic,
    ),
    (
        "named",
        r"[(\[]?\s*(?:题目?|试题|问题|习题|例题)\s*([0-9]{1,5})(?![0-9])\s*(?:[)\]]|[.、,:)。]|\s)+\s*",
        _parse_arabic,
    ),
    (
        "named",
        rf"[(\[]?\s*(?:Q|q|No\.?|NO\.?|no\.?|№|#)\s*([0-9]{{1,5}})(?![0-9])\s*[)\]]?{_END}",
        _parse_arabic,
    ),
    (
        "enclosed",
        r"\(\s*([0-9]{1,5})\s*\)(?:\s*[.、,:。])?\s*",
        _parse_arabic,
    ),
    (
        "in square brackets",
        r"\[\s*([0-9]{1,5})\s*\](?:\s*[.、,:。])?\s*",
        _parse_arabic,
    ),
    (
        "in angle brackets",
        r"<\s*([0-9]{1,5})\s*>(?:\s*[.、,:。])?\s*",
        _parse_arabic,
    ),
    ("dot", r"([0-9]{1,5})\s*\.\s*[.、。)\]]\s*", _parse_arabic),
    ("dot", r"([0-9]{1,5})\s*\.(?![0-9])\s*", _parse_arabic),
    ("decimal", r"([0-9]{1,5})\.(?=[0-9])", _parse_arabic),
    ("pause", r"([0-9]{1,5})\s*、(?:\s*[.。])?\s*", _parse_arabic),
    ("pause", r"([0-9]{1,5})\s*。\s*", _parse_arabic),
    (
        "paren",
        r"([0-9]{1,5})\s*[)\]](?:\s*[.、。])?\s*",
        _parse_arabic,
    ),
    ("colon", r"([0-9]{1,5})\s*:(?![0-9])\s*", _parse_arabic),
    ("comma", r"([0-9]{1,5})\s*,(?![0-9])\s*", _parse_arabic),
    (
        "enclosed Han",
        rf"[(\[]\s*({_HAN_NUMBER})\s*[)\]](?:\s*[.、,:。])?\s*",
        parse_han_number,
    ),
    ("Han", rf"({_HAN_NUMBER})\s*[、.,:)]\s*", parse_han_number),
    (
        "Latin Roman",
        r"([IVX]{1,5}|[ivx]{1,5})\s*[.、)]\s*",
        _parse_roman,
    ),
    ("bare", rf"([0-9]{{1,5}})\s+{_UNITS}(?=\S)", _parse_arabic),
    (
        "odd",
        rf"([0-9]{{1,5}})\s*{_UNITS}(?!!\[)[^A-Za-z0-9\u4e00-\u9fff\s\"'(\[“”‘’$|\\]{{1,2}}(?![0-9])\s*",
        _parse_arabic,
    ),
    (
        "joined",
        rf"([0-9]{{1,5}})(?=[(\[])|([0-9]{{1,5}}){_UNITS}(?=[\u4e00-\u9fff])",
        _parse_arabic,
    ),
)
_COMPILED = tuple((form, re.compile(pattern), value) for form, pattern, value in _FORMS)
_WIDE_COMMA = re.compile(r"([0-9\uff10-\uff19]{1,5})\s*\uff0c\s*")
_BEHIND = re.compile(_END)
_ORNAMENTS = "*★☆●○◆◇■□▲△※• \n"


def leading_number(text: str) -> ParsedNumber | None:
    """The number that a line begins with, perhaps after stars and other ornaments; None if there is none."""
    line = fold_characters(text)
    start = len(line) - len(line.lstrip(_ORNAMENTS))
    if line[start : start + 1] in _SIGN_VALUES:
        return _leading_sign(line, start)
    if match := _WIDE_COMMA.match(text, start):
        return ParsedNumber(int(match[1]), "comma", match.end(), int(match[1]))
    for form in _COMPILED:
        if number := _number_of_form(line, start, *form):
            return number
    return None


def _number_of_form(
    folded_text: str,
    start: int,
    form: str,
    pattern: re.Pattern[str],
    parse: Callable[[str], int | None],
) -> ParsedNumber | None:
    """The number of one form at position `start`; None if there is none."""
    match = pattern.match(folded_text, start)
    if match is None:
        return None
    value = parse(next(filter(None, match.groups())))
    if value is None:
        return None
    sequence_end = _sequence_end(folded_text, match.end(), value, form)
    return ParsedNumber(value, form, match.end(), sequence_end)


def _leading_sign(folded_text: str, start: int) -> ParsedNumber:
    """The number of the sign (①, ⑴) at position `start`."""
    value, form = _SIGN_VALUES[folded_text[start]]
    marks = _BEHIND.match(folded_text, start + 1)
    end = marks.end() if marks else start + 1
    return ParsedNumber(
        value,
        form,
        end,
        _sequence_end(folded_text, end, value, form, folded_text[start]),
    )


def _sequence_end(folded_text: str, start: int, value: int, form: str, sign: str = "") -> int:
    """The last number of the sequence that goes on from `value` in the line after position `start`, `value`
    itself if none does: in brackets if the form is "enclosed", else in signs such as `sign` ("" for none)."""
    while following := _following_sign(value, form, sign):
        position = folded_text.find(following, start)
        if position < 0:
            break
        value, start = value + 1, position + len(following)
        sign = following if sign else ""
    return value


def _following_sign(value: int, form: str, sign: str) -> str:
    """How the number after `value` is written in a sequence within a line: in brackets for the form
    "enclosed", else the character after `sign` (② after ①); "" if the form has no such sequence."""
    if form == "enclosed":
        return f"({value + 1})"
    following = chr(ord(sign) + 1) if sign else ""
    return following if following in _SIGN_VALUES else ""
