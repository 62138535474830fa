"""Parts of a workbook (.xlsx): their byte streams, shared strings, cell styles."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from operator import attrgetter
from typing import IO, Any

from lxml import etree

from dingkao.integrations.spreadsheets.cell_styles import (
    PLAIN_STYLE,
    CellStyle,
    TextPiece,
)
from dingkao.integrations.spreadsheets.cells import (
    DamagedFile,
)
from dingkao.integrations.spreadsheets.number_formats import (
    built_in_code,
    parse_number_format,
)

MAX_SMALL_PART = 32 * 1024 * 1024
"""The most bytes of a part that is read as a whole, of what is before a sheet's rows, or of one row."""
READ_SIZE = 256 * 1024
SAFE_PARSER_OPTIONS: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
}
_INVALID_XML_BYTES = bytes(set(range(32)) - {9, 10, 13})
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})")


class _ColumnNumbers(dict[bytes, int]):
    """Letters of a column → its number, from 0; computed when first needed."""

    def __missing__(self, letters: bytes) -> int:
        """Returns the number of a column, and stores it."""
        number = 0
        for letter in letters:
            number = number * 26 + letter - 64
        self[letters] = number - 1
        return number - 1


COLUMN_NUMBERS = _ColumnNumbers()


class PartStream(AbstractContextManager["PartStream"]):
    """A part of the archive as a stream, without bytes that XML forbids, which some programs write."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream

    def read(self, size: int = -1) -> bytes:
        """Returns the next piece, of at most `size` bytes; b"" only at the end."""
        while piece := self.stream.read(size):
            if clean := piece.translate(None, _INVALID_XML_BYTES):
                return clean
        return b""

    def skip(self, size: int) -> None:
        """Skip `size` bytes, of those that `read` returns; fewer at the end."""
        while size > 0 and (piece := self.read(min(size, READ_SIZE))):
            size -= len(piece)

    def __exit__(self, *_exception: object) -> None:
        """Close the stream."""
        self.stream.close()


class BookStyles:
    """A workbook's cell styles. Cells name a style by its number (as bytes); a cell that names none has the
    first. `unchanged_text` and `unchanged_numbers`: names of those that show texts, or numbers, without
    changes."""

    def __init__(self, root: Any | None) -> None:
        styles = list(_read_styles(root)) if root is not None else []
        self.first = styles[0] if styles else PLAIN_STYLE
        self.known = {str(number).encode(): style for number, style in enumerate(styles)}
        by_name = {b"": self.first} | self.known
        self.unchanged_text = _names_of(by_name, attrgetter("shows_text_unchanged"))
        self.unchanged_numbers = _names_of(by_name, attrgetter("shows_numbers_unchanged"))

    def style_of(self, name: bytes) -> CellStyle:
        """Returns the style that a cell names; the first one for b"" and for a name that isn't there."""
        return self.known.get(name, self.first)


def _names_of(
    styles: Mapping[bytes, CellStyle],
    condition: Callable[[CellStyle], bool],
) -> set[bytes]:
    """Returns the names of the styles that meet a condition."""
    return {name for name, style in styles.items() if condition(style)}


class SharedStrings:
    """A workbook's shared strings, read as far as needed: finding the header of a sheet needs only a few.
    `read`: those read so far."""

    def __init__(self, part: PartStream | None) -> None:
        self.read: list[Any] = []
        self._unread = self._items(part) if part else iter(())

    def string_at(self, index: int) -> Any:
        """Returns string number `index` (from 0): a str, or TextPieces, after reading as far as it. Raises
        DamagedFile if it is missing, errors of zipfile and lxml for a damaged part."""
        if index < 0:
            raise DamagedFile("a string before the first")
        while len(self.read) <= index:
            item = next(self._unread, None)
            if item is None:
                raise DamagedFile("a string that isn't there")
            self.read.append(item)
        return self.read[index]

    @staticmethod
    def _items(part: PartStream) -> Iterator[Any]:
        """Yields the strings of a part. Raises errors of lxml for invalid XML."""
        for _, item in etree.iterparse(part, tag="{*}si", **SAFE_PARSER_OPTIONS):
            yield rich_text_runs(item)
            release_element(item)


def rich_text_runs(item: Any) -> str | tuple[TextPiece, ...]:
    """Returns the text of an element with text runs: a str, or pieces if some have their own fonts. Phonetic
    text is left out."""
    if _is_bare_text(item):
        return unescape(item[0].text or "")
    pieces = tuple(map(_text_piece, item.iterchildren("{*}t", "{*}r")))
    if all(has_cell_font for *_, has_cell_font in pieces):
        return "".join(text for text, *_ in pieces)
    return pieces


def _is_bare_text(item: Any) -> bool:
    """Whether an element contains only a plain text."""
    return len(item) == 1 and bool(item[0].tag.endswith("}t"))


def _text_piece(run: Any) -> TextPiece:
    """Returns a run (or plain text) as a TextPiece."""
    if run.tag.endswith("}t"):
        return unescape(run.text or ""), False, "", True
    font = run.find("{*}rPr")
    text = _run_text(run)
    return (text, False, "", True) if font is None else (text, *_font_markup(font), False)


def _run_text(run: Any) -> str:
    """Returns the text of a run."""
    return unescape("".join(part.text or "" for part in run.iterchildren("{*}t")))


def _font_markup(font: Any) -> tuple[bool, str]:
    """Returns whether a font is struck out, and its tag: sup, sub or ""."""
    vertical = font.find("{*}vertAlign")
    position = "" if vertical is None else vertical.get("val", "")
    return _is_struck_out(font), _SCRIPT_TAGS.get(position, "")


def _is_struck_out(font: Any) -> bool:
    """Whether a font strikes text out."""
    strike = font.find("{*}strike")
    return strike is not None and strike.get("val", "1") not in (
        "0",
        "false",
    )


_SCRIPT_TAGS = {"superscript": "sup", "subscript": "sub"}


def _read_styles(root: Any) -> Iterator[CellStyle]:
    """Yields the cell formats of a styles part in their order. Raises ValueError for the number of a font or
    format that is none."""
    formats = root.iterfind("{*}numFmts/{*}numFmt")
    codes = {element.get("numFmtId"): element.get("formatCode", "") for element in formats}
    fonts = [_font_markup(font) for font in root.iterfind("{*}fonts/{*}font")]
    for element in root.iterfind("{*}cellXfs/{*}xf"):
        font = int(element.get("fontId", "0"))
        markup = fonts[font] if font < len(fonts) else (False, "")
        code = _format_code(element.get("numFmtId", "0"), codes)
        yield CellStyle(parse_number_format(code), *markup)


def _format_code(number: str, codes: Mapping[str, str]) -> str:
    """Returns the code of a number format: the workbook's own, else the built-in one of that number."""
    return codes[number] if number in codes else built_in_code(int(number))


def unescape(text: str) -> str:
    """Returns a text in which escaped characters that XML can't hold (_x000D_) are restored."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


def is_true(text: str) -> bool:
    """Whether the text of a boolean means true."""
    return text in ("1", "true")


def is_set(element: Any | None, name: str) -> bool:
    """Whether a boolean attribute exists and is true."""
    return element is not None and is_true(element.get(name, ""))


def release_element(element: Any) -> None:
    """Free the memory of an element that has been read, and of those before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]
