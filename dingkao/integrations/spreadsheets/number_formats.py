"""Shows a number as a spreadsheet does with its format code (ECMA-376 part 1, 18.8.31), because people mean
what they see.

For rules that are not implemented (fractions, Chinese numerals, a code that hides its number), nothing is
guessed: NotDisplayable is raised.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from dingkao.integrations.spreadsheets.format_digits import (
    fill_places,
)
from dingkao.integrations.spreadsheets.format_sections import (
    NotDisplayable,
    Section,
    choose_section,
    parse_sections,
)

GENERAL, NUMBER, DATE, TIME = "general", "number", "day", "time"
SIGNIFICANT_DIGITS = 15
"""The number of digits that a spreadsheet stores; further digits are only noise of binary fractions."""
GENERAL_WIDTH = 11
"""The most characters of a number in the General format."""
_MAX_VALUE = Decimal("1e21")
_NON_ZERO_DIGITS = frozenset("123456789")
_UNCHANGED_TEXT_PARTS = ((("text", "@"),), (("general", "General"),))
"""The parts of a section for texts that shows them unchanged."""
_BUILT_IN = {
    0: "General", 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 5: '"¥"#,##0;"¥"-#,##0', 6: '"¥"#,##0;"¥"-#,##0', 7: '"¥"#,##0.00;"¥"-#,##0.00',
    8: '"¥"#,##0.00;"¥"-#,##0.00', 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??", 14: "yyyy/m/d", 15: "d-mmm-yy", 16: "d-mmm",
    17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss", 22: "yyyy/m/d h:mm", 27: "yyyy年m月", 28: "m月d日", 29: "m月d日",
    30: "m-d-yy", 31: "yyyy年m月d日", 32: "h时mm分", 33: "h时mm分ss秒", 34: "h时mm分", 35: "h时mm分ss秒", 36: "yyyy年m月", 37: "#,##0;-#,##0",
    38: "#,##0;-#,##0", 39: "#,##0.00;-#,##0.00", 40: "#,##0.00;-#,##0.00", 41: '#,##0;-#,##0;"-"', 42: '"¥"#,##0;"¥"-#,##0;"¥-"',
    43: '#,##0.00;-#,##0.00;"-"', 44: '"¥"#,##0.00;"¥"-#,##0.00;"¥-"', 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0", 49: "@",
    50: "yyyy年m月", 51: "m月d日", 52: "yyyy年m月", 53: "m月d日", 54: "m月d日", 55: "h时mm分", 56: "h时mm分ss秒", 57: "yyyy年m月", 58: "m月d日",
}  # fmt: skip


@dataclass(frozen=True)
class NumberFormat:
    """A parsed format code. `kind`: GENERAL, NUMBER, DATE (at least year and month) or TIME (a time, or a day
    without year)."""

    code: str
    kind: str = field(init=False)
    _number_sections: tuple[Section, ...] = field(init=False, repr=False, compare=False)
    _text_section: Section | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sections = parse_sections(self.code)
        has_text_section = len(sections) == 4 or sections[-1].has_part("text")
        text_section = sections.pop() if has_text_section else None
        number_sections = tuple(sections[:3])
        object.__setattr__(self, "_number_sections", number_sections)
        object.__setattr__(self, "_text_section", text_section)
        object.__setattr__(self, "kind", _kind_of(number_sections))

    @property
    def shows_text_unchanged(self) -> bool:
        """Whether a text cell is shown without changes."""
        section = self._text_section
        return section is None or (not section.has_unknown_part and section.parts in _UNCHANGED_TEXT_PARTS)

    def format_number(self, value: float) -> str:
        """Returns the text that shows `value`, without surrounding blanks. Raises NotDisplayable, also for
        dates and if nothing is shown."""
        if self.kind in (DATE, TIME) or not math.isfinite(value):
            raise NotDisplayable(self.code)
        if self.kind == GENERAL:
            return format_general(value)
        rounded = Decimal(f"{value:.{SIGNIFICANT_DIGITS}g}")
        text = _format_with_sections(self._number_sections, rounded).strip()
        if not text:
            raise NotDisplayable(self.code)
        return text

    def format_text(self, text: str) -> str:
        """Returns a text cell as it is shown. Raises NotDisplayable if it is hidden or the format is unknown;
        never for ""."""
        section = self._text_section
        if section is None or not text:
            return text
        if section.has_unknown_part or not section.has_part("text", "general"):
            raise NotDisplayable(self.code)
        return section.fill_in(("text", "general"), text)


@lru_cache(maxsize=4096)
def parse_number_format(code: str) -> NumberFormat:
    """Returns the parsed format of a `code`."""
    return NumberFormat(code)


def built_in_code(number: int) -> str:
    """Returns the code of a format that Excel (Chinese) knows by its number; "General" for an unknown one."""
    return _BUILT_IN.get(number, "General")


def format_general(value: float) -> str:
    """Returns a number in the General format: at most eleven characters. A whole number of up to fifteen
    digits is shown with all digits instead of as a power of ten, because it may be the number of a ticket or
    telephone."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 10**SIGNIFICANT_DIGITS:
        return str(int(value))
    exponent = math.floor(math.log10(abs(value)))
    if not -4 <= exponent < GENERAL_WIDTH:
        return _scientific(value)
    plain = f"{value:.{max(0, GENERAL_WIDTH - 2 - max(exponent, 0))}f}"
    return _without_trailing_zeros(plain)


def _without_trailing_zeros(digits: str) -> str:
    """Returns a number's text without zeros at the end of its fraction."""
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _scientific(value: float) -> str:
    """Returns a number as a power of ten, in the General format: 1.5E+15."""
    digits, _, power = f"{value:.5E}".partition("E")
    return f"{_without_trailing_zeros(digits)}E{power[0]}{power[1:].zfill(2)}"


def _kind_of(sections: Sequence[Section]) -> str:
    """Returns the kind of a format with these sections for numbers: DATE if they show at least year and
    month, TIME for other letters of dates and times, GENERAL (also without sections) or NUMBER."""
    letters = "".join(section.date_letters() for section in sections)
    if letters or _has_time_marks(sections):
        return DATE if _has_year_and_month(letters) else TIME
    return GENERAL if _is_general(sections) else NUMBER


def _has_time_marks(sections: Sequence[Section]) -> bool:
    """Whether the sections show elapsed time, or AM and PM."""
    return any(section.has_part("elapsed", "half") for section in sections)


def _has_year_and_month(letters: str) -> bool:
    """Whether the letters of a date include both."""
    return not {"y", "e"}.isdisjoint(letters) and "m" in letters


def _is_general(sections: Sequence[Section]) -> bool:
    """Whether the sections show numbers in the General format only."""
    return not sections or [section.parts for section in sections] == [(("general", "General"),)]


def _format_with_sections(sections: Sequence[Section], value: Decimal) -> str:
    """Returns a number as its section shows it, with its sign. Raises NotDisplayable."""
    if abs(value) >= _MAX_VALUE:
        raise NotDisplayable(str(value))
    section, sign = choose_section(sections, value)
    text = _format_with_section(section, abs(value))
    return sign + text if _shows_value(section, text) else text


def _shows_value(section: Section, text: str) -> bool:
    """Whether `text`, which the section shows, is a number other than zero."""
    return section.has_part("general", "digit") and not _NON_ZERO_DIGITS.isdisjoint(text)


def _format_with_section(section: Section, value: Decimal) -> str:
    """Returns a number (zero or more) as a section shows it. Raises NotDisplayable."""
    if not section.is_displayable():
        raise NotDisplayable(str(value))
    if section.has_part("general"):
        return section.fill_in(("general",), format_general(float(value)))
    if section.has_part("digit"):
        return fill_places(section.parts, value)
    return section.fill_in((), "")
