"""Parses the sections of a number format's code, and chooses the section that shows a number."""

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_(?P<gap>.)|\*(?P<fill>.)|\[(?P<bracket>[^\]]*)\]'
    r"|(?P<general>General|G/通用格式)|(?P<exponent>[Ee][+-])|(?P<half>AM/PM|A/P|上午/下午)"
    r"|(?P<date>[yYmMdDhHsSaAbBgGeE]+)|(?P<digit>[0#?])|(?P<character>.)",
    re.DOTALL | re.IGNORECASE,
)
_COMPARED = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?[0-9]+(?:\.[0-9]+)?)")
_ELAPSED = re.compile(r"h+|m+|s+", re.IGNORECASE)
_COLOUR = re.compile(
    r"black|blue|cyan|green|magenta|red|white|yellow|color ?[0-9]+|[黑蓝绿红白黄青]色?|颜色 ?[0-9]+",
    re.IGNORECASE,
)
PartList = Sequence[tuple[str, str]]
"""The parts of a section from left to right: (kind, text)."""


class NotDisplayable(ValueError):  # noqa: N818
    """The number's text is not implemented for this format, or the format shows nothing."""


@dataclass(frozen=True)
class Section:
    """A section of a format code. `condition`: (operator, number) or None."""

    parts: tuple[tuple[str, str], ...]
    condition: tuple[str, Decimal] | None = None
    has_unknown_part: bool = False

    def has_part(self, *kinds: str) -> bool:
        """Whether it has a part of one of the kinds."""
        return any(kind in kinds for kind, _ in self.parts)

    def date_letters(self) -> str:
        """Returns its letters of dates and times, in lower case."""
        return "".join(text for kind, text in self.parts if kind == "date").lower()

    def is_fraction(self) -> bool:
        """Whether it shows a number as a fraction."""
        return self.has_part("stroke") and self.has_part("digit")

    def is_displayable(self) -> bool:
        """Whether it can show numbers: all its parts are known, and it is no fraction."""
        return not self.has_unknown_part and not self.is_fraction()

    def fill_in(self, kinds: Sequence[str], text: str) -> str:
        """Returns its text with `text` in place of its parts of these kinds."""
        return "".join(text if kind in kinds else part for kind, part in self.parts)


def parse_sections(code: str) -> list[Section]:
    """Returns the sections of a format code."""
    return [_parse_section(section) for section in _split_sections(code)]


def _split_sections(code: str) -> list[str]:
    """Returns the sections of a code, which are separated by semicolons outside quotes."""
    sections = [""]
    for token in _TOKEN.finditer(code):
        if token["character"] == ";":
            sections.append("")
        else:
            sections[-1] += token[0]
    return sections


def _parse_section(code: str) -> Section:
    """Returns the parsed section of a code."""
    parts: list[tuple[str, str]] = []
    condition, has_unknown_part = None, False
    for token in _TOKEN.finditer(code):
        kind = token.lastgroup or "character"
        text = token[kind]
        if kind != "bracket":
            parts += _parts(kind, text)
        elif comparison := _COMPARED.fullmatch(text):
            condition = (comparison[1], Decimal(comparison[2]))
        else:
            parts += _bracketed(text)
            has_unknown_part |= not _is_known_bracket(text)
    return Section(tuple(parts), condition, has_unknown_part)


_CHARACTER_KINDS = {
    ".": "point",
    ",": "comma",
    "%": "percent",
    "/": "stroke",
    "@": "text",
}


_FIXED_PARTS = {
    "gap": [("literal", " ")],
    "fill": [],
    "general": [("general", "General")],
}
"""Kind of a token → its parts, which do not depend on its text."""


def _parts(kind: str, text: str) -> PartList:
    """Returns the parts of a token: one, or none."""
    if kind in _FIXED_PARTS:
        return _FIXED_PARTS[kind]
    if kind in ("quoted", "escaped"):
        return [("literal", text)]
    if kind == "character":
        return [(_CHARACTER_KINDS.get(text, "literal"), text)]
    return [(kind, text)]


def _bracketed(text: str) -> Iterator[tuple[str, str]]:
    """Yields the part that brackets show: elapsed time, or a currency."""
    if _ELAPSED.fullmatch(text):
        yield "elapsed", text
    elif text.startswith("$"):
        yield "literal", text[1:].partition("-")[0]


def _is_known_bracket(text: str) -> bool:
    """Whether the text in brackets is elapsed time, a currency or a colour."""
    return bool(_ELAPSED.fullmatch(text) or text.startswith("$") or _COLOUR.fullmatch(text))


def choose_section(sections: Sequence[Section], value: Decimal) -> tuple[Section, str]:
    """Returns the section that shows `value`, of at least one, and the sign to be written before it: "-" only
    if the section doesn't show negative numbers itself. Of sections with conditions, raises NotDisplayable
    for a negative number and if no condition holds."""
    if any(section.condition for section in sections):
        return _section_by_condition(sections, value), ""
    index = _section_index(value)
    if index < len(sections):
        return sections[index], ""
    return sections[0], "-" if value < 0 else ""


def _section_index(value: Decimal) -> int:
    """Returns the index of the section for a number in a code without conditions: the order is positive,
    negative, zero."""
    if value == 0:
        return 2
    return 1 if value < 0 else 0


def _section_by_condition(sections: Sequence[Section], value: Decimal) -> Section:
    """Returns the first section whose condition `value` meets, or that has none. Raises NotDisplayable if
    there is none, and for negative numbers."""
    if value < 0:
        raise NotDisplayable("a negative number by a condition")
    for section in sections:
        if _condition_met(section.condition, value):
            return section
    raise NotDisplayable("no condition holds")


_OPERATORS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
    "<=": operator.le,
    ">=": operator.ge,
    "<>": operator.ne,
}


def _condition_met(condition: tuple[str, Decimal] | None, value: Decimal) -> bool:
    """Whether a number meets a condition (operator, number); True without one."""
    if condition is None:
        return True
    sign, limit = condition
    return _OPERATORS[sign](value, limit)
