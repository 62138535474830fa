"""Reads Excel's workbooks before 2007 (.xls) as people see them, with xlrd. The places of pictures are read
from records that xlrd ignores. Whatever damaged content raises in here, `read_sheets` turns into
DamagedFile."""

import io
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

import xlrd
from xlrd.biffh import (
    XL_CELL_BLANK,
    XL_CELL_BOOLEAN,
    XL_CELL_EMPTY,
    XL_CELL_ERROR,
    XL_CELL_TEXT,
    error_text_from_code,
)
from xlrd.compdoc import CompDoc

from dingkao.integrations.spreadsheets.cell_styles import (
    PLAIN_STYLE,
    CellStyle,
    TextPiece,
)
from dingkao.integrations.spreadsheets.cells import (
    APPLE_ZERO,
    EXCEL_ZERO,
    NOT_CALCULATED,
    Area,
    CellProblem,
    DamagedFile,
    SheetRow,
    SheetTable,
    WrongFileType,
    error_problem,
)
from dingkao.integrations.spreadsheets.number_formats import (
    parse_number_format,
)

SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""The first bytes of compound files: old workbooks, old documents, and new ones with a password."""
EXCEL, WORD, POWERPOINT, PASSWORD_PROTECTED = (
    "excel",
    "word",
    "powerpoint",
    "locked",
)
ENCRYPTED_MESSAGE = (
    "文件设有打开密码，系统读不了。请用Excel打开，在“文件→信息→保护工作簿”中取消密码，保存后重新上传。"
)
_KINDS = {
    "workbook": EXCEL,
    "book": EXCEL,
    "worddocument": WORD,
    "powerpoint document": POWERPOINT,
    "encryptedpackage": PASSWORD_PROTECTED,
}
_BOF, _EOF, _OBJECT, _DRAWING, _CONTINUED = (
    0x0809,
    0x000A,
    0x005D,
    0x00EC,
    0x003C,
)
_DEPTH_CHANGES = {_BOF: 1, _EOF: -1}
_DRAWING_RECORDS = (_DRAWING, _CONTINUED, _OBJECT)
_FORMULA, _COMMON, _NO_RESULT = (
    0x0006,
    b"\x15\x00",
    (b"\x03\0\0\0\0\0\xff\xff", bytes(8)),
)
_INVISIBLE_OBJECTS = (0x14, 0x19)
"""Kinds of drawn objects that show no content: the arrows of a filter, and notes."""
_MIN_OBJECT_BYTES, _OLD_OBJECT_BYTES = 6, 26
_SCRIPT_TAGS = {1: "sup", 2: "sub"}
_ANCHOR = re.compile(rb"..\x10\xf0\x12\x00\x00\x00(.{18})", re.DOTALL)


def compound_file_kind(content: bytes) -> str:
    """Returns the kind of a compound file: EXCEL, WORD, POWERPOINT, PASSWORD_PROTECTED, or "" if unknown."""
    try:
        names = _entry_names(content)
    except Exception:
        return ""
    return next((kind for name, kind in _KINDS.items() if name in names), "")


def _entry_names(content: bytes) -> set[str]:
    """Returns the names, in lower case, of the top entries of a compound file."""
    entries = CompDoc(content, logfile=io.StringIO()).dirlist
    return {entry.name.lower() for entry in entries if entry.parent == 0}


def read_sheets(content: bytes, order: Callable[[str], Any]) -> Iterator[SheetTable]:
    """Yields the visible sheets of a workbook, sorted by `order` of their names; the rows of one must be read
    before the next is asked for. Raises DamagedFile, WrongFileType if it has a password, MemoryError; also
    while rows are read."""
    try:
        book = xlrd.open_workbook(
            file_contents=content,
            formatting_info=True,
            on_demand=True,
            logfile=io.StringIO(),
        )
        yield from _read_visible_sheets(book, order)
    except MemoryError:  # not damaged, but too large to be read here
        raise
    except Exception as error:
        if "encrypted" in str(error):
            raise WrongFileType(ENCRYPTED_MESSAGE) from error
        raise DamagedFile(str(error)) from error


def _read_visible_sheets(book: Any, order: Callable[[str], Any]) -> Iterator[SheetTable]:
    """Yields the visible sheets of a workbook; each is released when the next one is requested."""
    styles = [_cell_style(book, cell_format) for cell_format in book.xf_list]
    for name in sorted(book.sheet_names(), key=order):
        sheet = book.sheet_by_name(name)
        if not sheet.visibility:
            yield _read_table(book, sheet, styles)
            book.unload_sheet(name)


def _read_table(book: Any, sheet: Any, styles: list[CellStyle]) -> SheetTable:
    """Returns a sheet whose rows are not read yet."""
    extras = _read_extras(book, sheet.number)
    merged = [(first + 1, left, last, right - 1) for first, last, left, right in sheet.merged_cells]
    hidden_columns = [(column, column) for column, info in sheet.colinfo_map.items() if info.hidden]
    date_epoch = _date_epoch(book)
    reader = _RowReader(book, sheet, styles, extras.uncalculated, date_epoch)
    return SheetTable(
        sheet.name,
        reader.iter_rows(),
        merged,
        extras.pictures,
        hidden_columns,
        date_epoch,
    )


def _date_epoch(book: Any) -> date:
    """Returns the day from which the workbook's serial numbers count."""
    return APPLE_ZERO if book.datemode else EXCEL_ZERO


def _cell_style(book: Any, cell_format: Any) -> CellStyle:
    """Returns the style of a cell format (XF record)."""
    number_format = book.format_map.get(cell_format.format_key)
    code = number_format.format_str if number_format else "General"
    font = _item_at(book.font_list, cell_format.font_index)
    return CellStyle(parse_number_format(code), *_font_markup(font))


def _item_at(items: Sequence[Any], index: int | None) -> Any:
    """Returns the item with this index, or None."""
    return items[index] if index is not None and index < len(items) else None


def _font_markup(font: Any) -> tuple[bool, str]:
    """Returns whether a font is struck out, and its tag: sup, sub or ""."""
    return (bool(font.struck_out), _SCRIPT_TAGS.get(font.escapement, "")) if font else (False, "")


@dataclass(frozen=True)
class _RowReader:
    """Reads the rows of a sheet. `uncalculated`: the cells (row, column) whose formula has no result."""

    book: Any
    sheet: Any
    styles: list[CellStyle]
    uncalculated: set[tuple[int, int]]
    date_epoch: date

    def iter_rows(self) -> Iterator[SheetRow]:
        """Yields the rows that have cells."""
        for number in range(self.sheet.nrows):
            if cells := self._read_cells(number):
                yield SheetRow(number + 1, cells, self._is_hidden(number))

    def _is_hidden(self, number: int) -> bool:
        """Whether row `number` (from 0) is hidden."""
        info = self.sheet.rowinfo_map.get(number)
        return info is not None and bool(info.hidden)

    def _read_cells(self, number: int) -> dict[int, Any]:
        """Returns column → cell of the cells in row `number` (from 0) that show something, or whose formula
        has no result."""
        cells: dict[int, Any] = {}
        for column in range(self.sheet.row_len(number)):
            value = self._read_cell(number, column)
            if value is not None:
                is_uncalculated = (number, column) in self.uncalculated
                cells[column] = NOT_CALCULATED if is_uncalculated else value
        return cells

    def _read_cell(self, row: int, column: int) -> Any:
        """Returns the cell in `row` and `column` (both from 0) as people see it; None if it shows nothing."""
        kind, value = (
            self.sheet.cell_type(row, column),
            self.sheet.cell_value(row, column),
        )
        style = _item_at(self.styles, self.sheet.cell_xf_index(row, column)) or PLAIN_STYLE
        if kind == XL_CELL_TEXT:
            return self._read_text(row, column, value, style)
        if kind in _READERS:
            return _READERS[kind](value)
        return style.style_number(float(value), self.date_epoch)

    def _read_text(self, row: int, column: int, text: str, style: CellStyle) -> Any:
        """Returns the text of a cell, which may have fonts of its own, in the cell's style."""
        runs = self.sheet.rich_text_runlist_map.get((row, column))
        return style.style_text(_rich_text_runs(self.book, text, runs, style) if runs else text)


def _nothing(_value: Any) -> None:
    """Returns the value of a blank cell: None."""


def _read_error(value: Any) -> CellProblem:
    """Returns the problem of a cell that shows the error with this number."""
    return error_problem(error_text_from_code.get(value, "#N/A"))


_READERS: dict[int, Callable[[Any], Any]] = {
    XL_CELL_EMPTY: _nothing,
    XL_CELL_BLANK: _nothing,
    XL_CELL_ERROR: _read_error,
    XL_CELL_BOOLEAN: bool,
}
"""Kind of a cell → the function that returns its value, if that does not depend on its style."""


def _rich_text_runs(book: Any, text: str, runs: list[tuple[int, int]], style: CellStyle) -> list[TextPiece]:
    """Returns rich text in pieces. `runs`: (first character, font index); before the first one the text has
    the cell's font."""
    starts = [0, *(start for start, _ in runs), len(text)]
    fonts = [
        (style.is_struck_out, style.tag),
        *(_font_markup(book.font_list[font]) for _, font in runs),
    ]
    return [
        (text[start:end], is_struck_out, tag, False)
        for (start, end), (is_struck_out, tag) in zip(pairwise(starts), fonts, strict=True)
    ]


@dataclass
class _SheetExtras:
    """What xlrd ignores of a sheet: the areas of drawn objects, and the cells (row, column) whose formula has
    no result."""

    pictures: list[Area] = field(default_factory=list)
    uncalculated: set[tuple[int, int]] = field(default_factory=set)
    drawing: bytes = b""

    def read_drawing_record(self, kind: int, data: bytes) -> None:
        """Read a record that says how an object is drawn (which may be continued in further records), or the
        record of the object."""
        if kind == _DRAWING:
            self.drawing = data
        elif kind == _OBJECT:
            self.pictures += _object_areas(self.drawing, data)
            self.drawing = b""
        elif self.drawing:
            self.drawing += data


def _read_extras(book: Any, number: int) -> _SheetExtras:
    """Returns what xlrd ignores of the sheet `number` (from 0)."""
    extras = _SheetExtras()
    for kind, data in _sheet_records(book, number):
        if kind in _DRAWING_RECORDS:
            extras.read_drawing_record(kind, data)
        elif kind == _FORMULA and _has_no_result(data):
            extras.uncalculated.add(struct.unpack_from("<2H", data))
    return extras


def _has_no_result(formula: bytes) -> bool:
    """Whether a formula's record has no result: programs that don't calculate write an empty text or 0, and
    flag the formula for calculation."""
    return len(formula) >= 16 and formula[6:14] in _NO_RESULT and bool(formula[14] & 3)


def _sheet_records(book: Any, number: int) -> Iterator[tuple[int, bytes]]:
    """Yields the records (kind, content) of the sheet `number` (from 0), without those of charts inside
    it."""
    depth = 0
    for kind, data in _records_from(book.mem, book._sh_abs_posn[number]):
        depth += _DEPTH_CHANGES.get(kind, 0)
        if depth <= 0:
            return
        if depth == 1:
            yield kind, data


def _records_from(stream: Any, position: int) -> Iterator[tuple[int, bytes]]:
    """Yields the records (kind, content) of a byte stream from a position on."""
    while position + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, position)
        end = position + 4 + length
        yield kind, bytes(stream[position + 4 : end])
        position = end


def _object_areas(drawing: bytes, description: bytes) -> Iterator[Area]:
    """Yields the areas that an object covers. `drawing`: the record that says how it is drawn; `description`:
    its own record, which begins with the kind and, in the oldest files, also has its place."""
    if not _is_visible_object(description):
        return
    anchors = [match[1][2:] for match in _ANCHOR.finditer(drawing)]
    if description[:2] != _COMMON and len(description) >= _OLD_OBJECT_BYTES:
        anchors.append(description[10:26])
    yield from map(_anchor_area, anchors)


def _is_visible_object(description: bytes) -> bool:
    """Whether an object shows content, as far as its record is complete."""
    if len(description) < _MIN_OBJECT_BYTES:
        return False
    return struct.unpack_from("<H", description, 4)[0] not in _INVISIBLE_OBJECTS


def _anchor_area(anchor: bytes) -> Area:
    """Returns the area that an object covers, from the positions of its corners (16 bytes)."""
    left, _, first, _, right, _, last, last_offset = struct.unpack("<8H", anchor)
    last_row = max(first, last if last_offset else last - 1)
    return first + 1, left, last_row + 1, right
