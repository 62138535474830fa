"""Automatic numbers of Word's lists, which are in no text (w:numPr), computed as Word does, and the formats
in which Word writes them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from docx.document import Document

from dingkao.question_banks.importers.word_elements import (
    int_value,
    qn,
    text_value,
)
from dingkao.question_banks.importers.word_styles import WordStyles

NUMBERING_PART = "/word/numbering.xml"
_UNNUMBERED_FORMATS = ("bullet", "none")
_LEVEL_REFERENCE = re.compile("%([1-9])")


@dataclass(frozen=True)
class _WordList:
    """A list (w:num). `abstract_id`: its abstract list, whose counts it shares; `levels`: depth (from 0) →
    the level's element; `starts`: depth → the number from which its own levels start."""

    abstract_id: str
    levels: dict[int, Any]
    starts: dict[int, int]

    def number_format(self, level: int) -> str:
        """The format of a level's numbers (ST_NumberFormat), "decimal" if nothing is said."""
        element = self.levels[level].find(qn("w:numFmt")) if level in self.levels else None
        return "decimal" if element is None else element.get(qn("w:val"), "decimal")

    def first_number(self, level: int) -> int:
        """The number that a level starts from, each time that it begins anew; 1 if nothing is said."""
        if level in self.starts:
            return self.starts[level]
        return int_value(self.levels[level].find(qn("w:start")), 1) if level in self.levels else 1

    def counts_before_start(self) -> dict[int, int]:
        """Depth → the count before the first paragraph, for the levels that this list starts anew."""
        return {level: start - 1 for level, start in self.starts.items()}

    def written_number(self, counts: dict[int, int], level: int) -> str | None:
        """The present number of a level as Word shows it; "" for a bullet or a level without numbers, None
        for an unknown level or format."""
        if level not in self.levels:
            return None
        template = self.levels[level].find(qn("w:lvlText"))
        if template is None or self.number_format(level) in _UNNUMBERED_FORMATS:
            return ""
        return self._fill_template(text_value(template), counts)

    def _fill_template(self, template: str, counts: dict[int, int]) -> str | None:
        """The template of a level («%1.%2») with the numbers of the levels that it names, 1 for one not
        counted yet; None if the format of one is unknown."""
        numbers: dict[str, str] = {}
        for level_digit in _LEVEL_REFERENCE.findall(template):
            number = self._level_number(int(level_digit) - 1, counts)
            if number is None:
                return None
            numbers[level_digit] = number
        return _LEVEL_REFERENCE.sub(lambda match: numbers[match[1]], template)

    def _level_number(self, level: int, counts: dict[int, int]) -> str | None:
        """The present number of a level by itself; None if its format is unknown."""
        return _format_number(counts.get(level, 1), self.number_format(level))

    def level_of_style(self, style_id: str | None) -> int:
        """The depth of the level that is linked to the style; 0 if there is none."""
        for level, element in self.levels.items():
            if _links_to_style(element, "w:pStyle", style_id):
                return level
        return 0


class ListNumbering:
    """Counts the paragraphs of a document's lists as Word does; `next_number` must be called for the
    paragraphs in their order. `lists`: list id → list; `counts`: abstract list id → depth → present number;
    `started`: the ids of the lists that have begun."""

    def __init__(self, document: Document, styles: WordStyles) -> None:
        self.styles = styles
        self.counts: dict[str, dict[int, int]] = {}
        self.started: set[str] = set()
        root = _numbering_root(document)
        self.lists = {} if root is None else _read_lists(root)

    def next_number(self, paragraph: Any) -> str | None:
        """Count this paragraph in its list, and return its number as text; "" if it has none or a bullet;
        None if its format or level is unknown."""
        list_id, level = self._list_level(paragraph)
        if list_id not in self.lists:
            return ""
        word_list = self.lists[list_id]
        counts = self.counts.setdefault(word_list.abstract_id, {})
        if list_id not in self.started:
            self.started.add(list_id)
            counts.update(word_list.counts_before_start())
        counts[level] = counts.get(level, word_list.first_number(level) - 1) + 1
        _reset_deeper_counts(counts, level)
        return word_list.written_number(counts, level)

    def _list_level(self, paragraph: Any) -> tuple[str, int]:
        """The id of the list to which a paragraph belongs, directly or by its style ("" for none), and its
        level."""
        properties = _numbering_properties(paragraph)
        if properties is not None:
            return text_value(properties.find(qn("w:numId"))), int_value(properties.find(qn("w:ilvl")), 0)
        for style in self.styles.style_chain(self.styles.paragraph_style(paragraph)):
            properties = _numbering_properties(style)
            if properties is not None:
                return self._list_level_of_style(style, properties)
        return "", 0

    def _list_level_of_style(self, style: Any, properties: Any) -> tuple[str, int]:
        """List id and level of a style; if it names only its list, the level is the one linked to the
        style."""
        list_id = text_value(properties.find(qn("w:numId")))
        level = properties.find(qn("w:ilvl"))
        if level is not None or list_id not in self.lists:
            return list_id, int_value(level, 0)
        return list_id, self.lists[list_id].level_of_style(style.get(qn("w:styleId")))


def _numbering_properties(element: Any) -> Any:
    """What a paragraph or a style says about its list (w:numPr); None if nothing."""
    return element.find(f"{qn('w:pPr')}/{qn('w:numPr')}")


def _links_to_style(element: Any, link_name: str, style_id: str | None) -> bool:
    """Whether an element has a child `link_name` that names this style."""
    link = element.find(qn(link_name))
    return link is not None and link.get(qn("w:val")) == style_id


def _reset_deeper_counts(counts: dict[int, int], level: int) -> None:
    """Let the levels below `level` begin anew."""
    for deeper_level in [depth for depth in counts if depth > level]:
        del counts[deeper_level]


def _numbering_root(document: Document) -> Any:
    """The root element of the part that defines the lists; None if there is none."""
    for part in document.part.package.iter_parts():
        if str(part.partname) == NUMBERING_PART:
            return getattr(part, "element", None)
    return None


def _read_lists(root: Any) -> dict[str, _WordList]:
    """List id → list, from a numbering part."""
    levels = _levels_by_abstract_list(root)
    return {
        element.get(qn("w:numId"), ""): _read_list(element, levels)
        for element in root.iterchildren(qn("w:num"))
    }


def _read_list(element: Any, levels: dict[str, dict[int, Any]]) -> _WordList:
    """A list: the levels of its abstract list, except those that it overrides."""
    abstract_id = text_value(element.find(qn("w:abstractNumId")))
    starts = {depth: int_value(start, 1) for depth, start in _iter_overrides(element, "w:startOverride")}
    own_levels = dict(_iter_overrides(element, "w:lvl"))
    return _WordList(
        abstract_id,
        levels.get(abstract_id, {}) | own_levels,
        starts,
    )


def _iter_overrides(element: Any, name: str) -> Iterator[tuple[int, Any]]:
    """What a list overrides of its abstract list's levels: (depth, the overriding element `name`)."""
    for override in element.iterchildren(qn("w:lvlOverride")):
        overriding_element = override.find(qn(name))
        if overriding_element is not None:
            yield _level_of(override), overriding_element


def _levels_by_abstract_list(
    root: Any,
) -> dict[str, dict[int, Any]]:
    """Abstract list id → depth → level. An abstract list without levels has those of the one that it links
    to."""
    abstracts = {
        element.get(qn("w:abstractNumId")): element for element in root.iterchildren(qn("w:abstractNum"))
    }
    levels = {abstract_id: _own_levels(element) for abstract_id, element in abstracts.items()}
    for abstract_id, element in abstracts.items():
        levels[abstract_id] = levels[abstract_id] or levels.get(_linked_list(element, abstracts), {})
    return levels


def _own_levels(abstract: Any) -> dict[int, Any]:
    """The levels that an abstract list defines itself."""
    return {_level_of(level): level for level in abstract.iterchildren(qn("w:lvl"))}


def _linked_list(abstract: Any, abstracts: dict[str, Any]) -> str:
    """The id of the abstract list that defines the style which this one names (numStyleLink) instead of
    having levels; "" if there is none."""
    style = text_value(abstract.find(qn("w:numStyleLink")))
    for abstract_id, element in abstracts.items():
        if _links_to_style(element, "w:styleLink", style):
            return abstract_id
    return ""


def _level_of(element: Any) -> int:
    """The depth of a level or override, 0 for the outermost."""
    value = element.get(qn("w:ilvl"), "0")
    return int(value) if re.fullmatch("[0-9]{1,4}", value) else 0


def _format_number(number: int, form: str) -> str | None:
    """A number, a negative one as 0, as Word writes it in a format (ST_NumberFormat); None if the format is
    unknown or has no such number."""
    number = max(number, 0)
    if formatter := _FORMATTERS.get(form):
        return formatter(number)
    if number < MAX_HAN_NUMBER and (characters := _HAN_CHARACTERS.get(form)):
        return _format_han(number, *characters)
    if form == "chineseCounting":
        return _format_han_digits(number)
    return _format_in_sequence(number, form)


def _format_in_sequence(number: int, form: str) -> str | None:
    """A number as a character of its own (①, 甲); None if the format has none for it."""
    sequence = _SEQUENCES.get(form, "")
    return sequence[number - 1] if 1 <= number <= len(sequence) else None


def _code_points(first: int, count: int) -> str:
    """`count` characters with consecutive code points, from `first` on."""
    return "".join(map(chr, range(first, first + count)))


def _format_full_width(number: int) -> str:
    """A number in full-width digits: １２."""
    return "".join(chr(0xFF10 + int(digit)) for digit in str(number))


def _format_letters(number: int) -> str:
    """A to Z, then AA to ZZ and so on; "" for 0."""
    return chr(ord("A") + (number - 1) % 26) * ((number - 1) // 26 + 1)


def _format_roman(number: int) -> str:
    """Roman numerals with C as the greatest letter (CCCC for 400); "" for 0."""
    numeral = ""
    for value, sign in _ROMAN_SIGNS:
        numeral += sign * (number // value)
        number %= value
    return numeral


def _format_han_digits(number: int) -> str:
    """A number digit by digit in Chinese: 一〇, 二三 (〇 also where Word shows ○, which `numerals` doesn't
    read)."""
    return str(number).translate(_HAN_DIGITS)


def _format_han(number: int, digits: str, ten: str, first_ten: str) -> str:
    """A number below MAX_HAN_NUMBER in Chinese: 十, 十二, 二十三. `digits`: those from zero to nine; `ten`:
    the character for ten; `first_ten`: what 10 to 19 begin with."""
    tens, ones = divmod(number, 10)
    if not tens:
        return digits[ones]
    leading_text = digits[tens] + ten if tens > 1 else first_ten
    last_digit = digits[ones] if ones else ""
    return leading_text + last_digit


MAX_HAN_NUMBER = 100
"""From here on chineseCounting goes digit by digit (一〇〇); a number in another format of _HAN_CHARACTERS is
unknown."""
_HAN_DIGITS = str.maketrans("0123456789", "〇一二三四五六七八九")
_ROMAN_SIGNS = (
    (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_FORMATTERS: dict[str, Callable[[int], str]] = {
    "decimal": str,
    "decimalHalfWidth": str,
    "decimalZero": "{:02}".format,
    "decimalFullWidth": _format_full_width,
    "decimalFullWidth2": _format_full_width,
    "upperLetter": _format_letters,
    "lowerLetter": lambda number: _format_letters(number).lower(),
    "upperRoman": _format_roman,
    "lowerRoman": lambda number: _format_roman(number).lower(),
    "ideographDigital": _format_han_digits,
    "japaneseDigitalTenThousand": _format_han_digits,
    "taiwaneseDigital": _format_han_digits,
}
"""Format → how its numbers are written (ideographDigital: [MS-DOCX] 2.4)."""
_HAN_CHARACTERS = {
    **dict.fromkeys(
        (
            "chineseCounting",
            "chineseCountingThousand",
            "taiwaneseCounting",
            "taiwaneseCountingThousand",
            "japaneseCounting",
        ),
        ("零一二三四五六七八九", "十", "十"),
    ),
    "chineseLegalSimplified": ("零壹贰叁肆伍陆柒捌玖", "拾", "壹拾"),
}
"""Counting format → the digits from zero, the character for ten, and what 10 to 19 begin with."""
_SEQUENCES = {
    "decimalEnclosedCircle": _code_points(0x2460, 20),
    "decimalEnclosedCircleChinese": _code_points(0x2460, 20),
    "decimalEnclosedParen": _code_points(0x2474, 20),
    "decimalEnclosedFullstop": _code_points(0x2488, 20),
    "ideographEnclosedCircle": _code_points(0x3280, 10),
    "ideographTraditional": "甲乙丙丁戊己庚辛壬癸",
    "ideographZodiac": "子丑寅卯辰巳午未申酉戌亥",
}
"""Format → its characters from 1 on."""
