"""HTML that other programs wrote (as in GIFT files), converted to our markup."""

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from operator import attrgetter

from dingkao.question_banks.html_tables import TableGrid
from dingkao.question_banks.markup import escape_table_cell
from dingkao.question_banks.unsupported_content import (
    EMBEDDED,
    FORMS,
    FORMULAS,
    HIDDEN,
    MEDIA,
    NESTED_TABLE,
    PICTURES,
    STRUCK,
    linked_file_kind,
)

PictureImporter = Callable[[str], str | None]
"""Returns the name under which the picture at an address is stored; None if it can't be."""

_BLOCK_ELEMENTS = frozenset(
    [
        "p",
        "div",
        "li",
        *(f"h{level}" for level in range(1, 7)),
        "blockquote",
        "pre",
        "dl",
        "dt",
        "dd",
        "section",
        "article",
        "header",
        "footer",
        "hr",
        "figure",
        "figcaption",
        "center",
        "address",
        "ul",
        "ol",
        "caption",
    ]
)
_VOID_ELEMENTS = frozenset(
    [
        "br",
        "hr",
        "img",
        "input",
        "source",
        "track",
        "wbr",
        "col",
        "area",
        "base",
        "link",
        "meta",
        "param",
        "embed",
    ]
)
_SKIPPED_ELEMENTS = frozenset(["script", "style", "title", "head", "template", "noscript"])
_STRUCK_ELEMENTS = frozenset(("s", "strike", "del"))
_UNSUPPORTED_ELEMENTS = {
    "audio": MEDIA,
    "video": MEDIA,
    "bgsound": MEDIA,
    "object": EMBEDDED,
    "embed": EMBEDDED,
    "iframe": EMBEDDED,
    "frame": EMBEDDED,
    "applet": EMBEDDED,
    "canvas": EMBEDDED,
    "svg": PICTURES,
    "picture": PICTURES,
    "math": FORMULAS,
    "input": FORMS,
    "select": FORMS,
    "textarea": FORMS,
    "button": FORMS,
}
_MAX_SPAN, _MAX_TABLE_ROWS = 50, 1000
_BLANK_LENGTH = 4
_FORMULA_BEGIN, _FORMULA_END, _DOUBLE_DOLLAR = "\x0e", "\x0f", "\x10"
r"""Stand for \(, \) and $$ until the whole text is there."""


def html_to_markup(
    text: str, import_picture: PictureImporter = lambda _address: None
) -> tuple[str, list[str]]:
    """HTML converted to our markup, and the kinds of content that were lost (see `unsupported_content`), each
    once. `import_picture`: by default every picture is lost; what it raises comes out."""
    reader = _HtmlReader(import_picture)
    reader.feed(text)
    return reader.result(), reader.unsupported


@dataclass
class _OpenElement:
    """An element that has not ended. `closing`: the text to write at its end; `start`: the number of pieces
    written before it; `is_struck`, `is_hidden`: what it does to its text."""

    tag: str
    closing: str = ""
    start: int = 0
    is_struck: bool = False
    is_hidden: bool = False

    @property
    def is_ignored(self) -> bool:
        """Whether the text in the element doesn't belong to the question."""
        return self.tag in _SKIPPED_ELEMENTS or self.tag in _UNSUPPORTED_ELEMENTS


class _HtmlReader(HTMLParser):
    """Reads HTML and writes our markup. `pieces`: the text so far, inside a table that of the present cell;
    `unsupported`: the kinds of content that were lost; `open_elements`: innermost last; `grids`: the tables
    that have begun, innermost last; `lists`: (form of numbers, items so far) of the lists that have begun;
    `beginnings` and `endings`: tag → what is written there."""

    def __init__(self, import_picture: PictureImporter) -> None:
        super().__init__(convert_charrefs=False)
        self.import_picture = import_picture
        self.pieces: list[str] = []
        self.unsupported: list[str] = []
        self.open_elements: list[_OpenElement] = []
        self.grids: list[TableGrid] = []
        self.lists: list[tuple[str, int]] = []
        self.beginnings: dict[str, Callable[[Mapping[str, str]], None]] = {
            "br": self._append_line_break,
            "img": self._append_picture,
            "a": self._check_link,
            "ol": self._begin_numbered_list,
            "ul": self._begin_bulleted_list,
            "li": self._begin_item,
            "table": self._begin_table,
            "tr": self._begin_row,
            "td": self._begin_cell,
            "th": self._begin_cell,
        }
        self.endings: dict[str, Callable[[], None]] = {
            "ol": self._end_list,
            "ul": self._end_list,
            "table": self._end_table,
            "td": self._end_cell,
            "th": self._end_cell,
        }

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """The position in `rawdata` after the section that begins at `i`: <![if …]> or <![CDATA[…]]>; one of
        another name counts as a comment, as in browsers. -1 if it has no end yet."""
        try:
            return super().parse_marked_section(i, report)
        except AssertionError:
            return self.parse_bogus_comment(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write what the beginning of an element means, and remember that it is open."""
        attributes = {name: value or "" for name, value in attrs}
        self._note_unsupported(_UNSUPPORTED_ELEMENTS.get(tag, ""))
        self._write_beginning(tag, attributes)
        if tag not in _VOID_ELEMENTS:
            self._open_element(tag, attributes)

    def _write_beginning(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Write what the beginning of an element means: a line break, a number, a picture."""
        if tag in _BLOCK_ELEMENTS or tag == "table":
            self._break_line()
        if begin := self.beginnings.get(tag):
            begin(attributes)

    def handle_endtag(self, tag: str) -> None:
        """Close the element and write what its end means."""
        self._close_elements(tag)
        if tag in _BLOCK_ELEMENTS:
            self.pieces.append("\n")
        if end := self.endings.get(tag):
            end()

    def handle_data(self, data: str) -> None:
        r"""Add a text, with white space as HTML shows it. The signs of formulas, \( \) and $$, are replaced
        by control characters until the whole text is there (`result`)."""
        # white space in HTML's source means just one space; other spaces are written as character references
        text = re.sub(r"[ \t\r\n]+", " ", data)
        if self._is_at_line_start():
            text = text.lstrip(" ")
        if text:
            text = text.replace("\\(", _FORMULA_BEGIN).replace("\\)", _FORMULA_END)
            self._append_text(text.replace("$$", _DOUBLE_DOLLAR))

    def handle_entityref(self, name: str) -> None:
        """Add the character of a reference such as &nbsp;."""
        self._append_text(html.unescape(f"&{name};"))

    def handle_charref(self, name: str) -> None:
        """Add the character of a reference such as &#160;."""
        self._append_text(html.unescape(f"&#{name};"))

    def result(self) -> str:
        """The whole text as markup; to be called after all HTML is fed."""
        self.close()
        while self.open_elements:
            self._close_element(self.open_elements.pop())
        while self.grids:
            self._end_table()
        text = re.sub("\x0e([^\x0f\n]{0,500})\x0f", r"$\1$", "".join(self.pieces))
        text = re.sub("\x10([^\x10\n$]{1,500})\x10", r"$\1$", text)
        text = text.replace(_FORMULA_BEGIN, "\\(").replace(_FORMULA_END, "\\)")
        return text.replace(_DOUBLE_DOLLAR, "$$").strip("\n")

    def _append_text(self, text: str) -> None:
        """Add text, unless an open element makes it ignored."""
        if any(map(attrgetter("is_ignored"), self.open_elements)):
            return
        if text.strip():
            self._note_lost_style()
        elif self._is_between_cells():
            return
        self.pieces.append(text)

    def _is_between_cells(self) -> bool:
        """Whether a table has begun and no cell of it is open."""
        return bool(self.grids) and self.grids[-1].spans is None

    def _note_lost_style(self) -> None:
        """Remember that text is hidden or struck out, which our markup can't express."""
        if any(map(attrgetter("is_hidden"), self.open_elements)):
            self._note_unsupported(HIDDEN)
        if any(map(attrgetter("is_struck"), self.open_elements)):
            self._note_unsupported(STRUCK)

    def _note_unsupported(self, what: str) -> None:
        """Add a kind of lost content, once; "" is ignored."""
        if what and what not in self.unsupported:
            self.unsupported.append(what)

    def _break_line(self) -> None:
        """Begin a new line, unless the present one is empty."""
        if not self._is_at_line_start():
            self.pieces.append("\n")

    def _is_at_line_start(self) -> bool:
        """Whether the present line has no text yet."""
        return not self.pieces or self.pieces[-1].endswith("\n")

    def _append_line_break(self, _attributes: Mapping[str, str]) -> None:
        """Add a line break."""
        self.pieces.append("\n")

    def _check_link(self, attributes: Mapping[str, str]) -> None:
        """Remember that a picture or a sound is lost, if a link leads to one."""
        self._note_unsupported(linked_file_kind(attributes.get("href", "")))

    def _open_element(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Remember an open element with the effects of its tag and style on its text, and write the tag of
        one that raises or lowers its text."""
        style = "".join(attributes.get("style", "").lower().split())
        closing = ""
        if script_tag := _script_tag(tag, style):
            self.pieces.append(f"<{script_tag}>")
            closing = f"</{script_tag}>"
        element = _OpenElement(
            tag=tag,
            closing=closing,
            start=len(self.pieces),
            is_struck=tag in _STRUCK_ELEMENTS or "line-through" in style,
            is_hidden="hidden" in attributes or _is_invisible(style),
        )
        self.open_elements.append(element)

    def _close_elements(self, tag: str) -> None:
        """Close the innermost open element of that tag and those within it; nothing if none is open."""
        if all(element.tag != tag for element in self.open_elements):
            return
        closed_tag = ""
        while closed_tag != tag:
            element = self.open_elements.pop()
            self._close_element(element)
            closed_tag = element.tag

    def _close_element(self, element: _OpenElement) -> None:
        """Write what the end of an element means: a closing tag, or underscores for underlined spaces."""
        if element.tag == "u":
            self._draw_blank(element)
        if element.closing:
            self.pieces.append(element.closing)

    def _draw_blank(self, element: _OpenElement) -> None:
        """If the element's text is nothing but spaces (underlined, so a blank to be filled in), replace them
        by underscores."""
        text = "".join(self.pieces[element.start :])
        if text.isspace() and "\n" not in text:
            self.pieces[element.start :] = ["_" * max(_BLANK_LENGTH, len(text))]

    def _append_picture(self, attributes: Mapping[str, str]) -> None:
        """Add a picture, without its description, which may be a file's name or tell the answer."""
        name = self.import_picture(attributes.get("src", ""))
        self.pieces.append(f"![图](图:{name})" if name else "")
        if not name:
            self._note_unsupported(PICTURES)

    def _begin_numbered_list(self, attributes: Mapping[str, str]) -> None:
        """Begin a list whose items get numbers."""
        self.lists.append((attributes.get("type", "1"), _count_before_list(attributes)))

    def _begin_bulleted_list(self, attributes: Mapping[str, str]) -> None:
        """Begin a list whose items get no numbers."""
        self.lists.append(("", _count_before_list(attributes)))

    def _begin_item(self, _attributes: Mapping[str, str]) -> None:
        """Begin an item of a list, with its number if the list is numbered; outside lists nothing."""
        if not self.lists:
            return
        form, count = self.lists[-1]
        self.lists[-1] = (form, count + 1)
        if form:
            self.pieces.append(_item_number(form, count))

    def _end_list(self) -> None:
        """End the innermost list; nothing if none has begun."""
        if self.lists:
            self.lists.pop()

    def _begin_table(self, _attributes: Mapping[str, str]) -> None:
        """Begin a table; the text before it is set aside."""
        if self.grids:
            self._note_unsupported(NESTED_TABLE)
        self.grids.append(TableGrid(self.pieces))
        self.pieces = []

    def _begin_row(self, _attributes: Mapping[str, str]) -> None:
        """Begin a row of the innermost table; outside tables nothing."""
        if self.grids:
            self._end_cell()
            self.grids[-1].begin_row()

    def _begin_cell(self, attributes: Mapping[str, str]) -> None:
        """End the open cell and begin the next one; text between cells is moved before the table. Outside
        tables nothing."""
        if not self.grids:
            return
        self._end_cell()
        column_span = _parse_span(attributes.get("colspan", ""), _MAX_SPAN)
        row_span = _parse_span(attributes.get("rowspan", ""), _MAX_TABLE_ROWS)
        self.grids[-1].spans = (column_span, row_span)
        self.grids[-1].outside += self.pieces
        self.pieces = []

    def _end_cell(self) -> None:
        """End the open cell, if there is one, and add its text to the table."""
        if self.grids and self.grids[-1].spans is not None:
            self.grids[-1].add_cell(escape_table_cell(" ".join("".join(self.pieces).split())))
            self.pieces = []

    def _end_table(self) -> None:
        """End the innermost table and write it after the text before it."""
        if not self.grids:
            return
        self._end_cell()
        grid = self.grids.pop()
        grid.end_row()
        lines = grid.lines()
        self.pieces = [*grid.outside, *self.pieces]
        self._break_line()
        self.pieces.append("\n".join(lines) + "\n" if lines else "")


def _is_invisible(style: str) -> bool:
    """Whether a style (without spaces) hides text."""
    return "display:none" in style or "visibility:hidden" in style


def _count_before_list(attributes: Mapping[str, str]) -> int:
    """The number of a list's first item, minus 1."""
    start = attributes.get("start", "1")
    return int(start) - 1 if re.fullmatch("[0-9]{1,4}", start) else 0


def _script_tag(tag: str, style: str) -> str:
    """ "sup" or "sub" if the element raises or lowers its text, by its tag or style; else ""."""
    if tag in ("sub", "sup"):
        return tag
    alignment = re.search(r"vertical-align:(super|sub)(?![a-z])", style)
    return alignment[1][:3] if alignment else ""


def _item_number(form: str, count: int) -> str:
    """The number of the item after `count` others, in the list's form: a, A (again from a after z), or else
    1."""
    letter = chr(ord("a") + count % 26)
    if form == "a":
        return f"{letter}. "
    return f"{letter.upper()}. " if form == "A" else f"{count + 1}. "


def _parse_span(text: str, limit: int) -> int:
    """How many rows or columns a cell covers, at most `limit`: 0 means all that remain, what is no number
    1."""
    number = int(text) if re.fullmatch("[0-9]{1,6}", text.strip()) else 1
    return min(number or limit, limit)
