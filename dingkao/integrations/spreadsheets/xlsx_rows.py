"""Rows of a sheet (.xlsx). Rows in the form that Excel writes are read with regular expressions, three times
as fast as with a parser; all others are parsed."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lxml import etree

from dingkao.integrations.spreadsheets.cells import (
    SheetRow,
    formula_link,
)
from dingkao.integrations.spreadsheets.xlsx_cells import (
    BookContent,
    read_cell,
)
from dingkao.integrations.spreadsheets.xlsx_frame import SheetFrame
from dingkao.integrations.spreadsheets.xlsx_parts import (
    COLUMN_NUMBERS,
    REFERENCE,
    SAFE_PARSER_OPTIONS,
    is_set,
    unescape,
)

MeasuredRow = tuple[SheetRow, int]
"""A row, and the number of characters of its texts."""
_ROW = re.compile(rb'\s*<row r="([0-9]{1,7})"((?: [A-Za-z:]+="[^"<&]*")*)>')
_CELL = re.compile(
    rb'(<c r="([A-Z]{1,3})[0-9]{1,7}"(?: s="([0-9]{1,5})")?(?: t="(s|n|inlineStr)")?'
    rb'(?:/>|>(?:<v>([0-9.Ee+-]*)</v>)?(?:<is><t(?: xml:space="preserve")?>([^<&\r]*)</t></is>)?</c>))'
)
_HIDDEN = re.compile(rb' (?:hidden="(?:1|true)"|ht="0")')


class RowReader:
    """Reads the rows of one sheet. `links` (row number → addresses) gets the addresses to which formulas
    lead."""

    def __init__(
        self,
        content: BookContent,
        frame: SheetFrame,
        links: dict[int, list[str]],
    ) -> None:
        self.content, self.frame, self.links = content, frame, links

    def read_fragment(self, fragment: bytes, previous_number: int) -> Iterable[MeasuredRow]:
        """Returns the rows of a fragment: XML without the closing tag of its last row. `previous_number`:
        number of the row before it. Raises, some only when the rows are iterated, cells.DamagedFile for a
        shared string that is missing, ValueError for a number that is none, and errors of lxml for invalid
        XML."""
        row = self._read_plain_row(fragment)
        return (row,) if row else self._read_parsed_rows(fragment, previous_number)

    def parse_rows(self, rows: bytes) -> Any:
        """Returns the root element around `rows`, which may be any XML. Raises errors of lxml if it is
        invalid."""
        root = self.frame.root
        tag = root[1:].split(None, 1)[0].rstrip(b">")
        parser = etree.XMLParser(**SAFE_PARSER_OPTIONS, huge_tree=False)
        return etree.fromstring(root + rows + b"</" + tag + b">", parser)

    def _read_plain_row(self, fragment: bytes) -> MeasuredRow | None:
        """Returns the row of a fragment in Excel's usual form; None for another form."""
        opening = None if self.frame.prefix else _ROW.match(fragment)
        if not opening:
            return None
        parts = _CELL.findall(fragment, opening.end())
        if sum(len(part[0]) for part in parts) != len(fragment) - opening.end():
            return None
        cells, size = self._read_plain_cells(parts)
        columns = list(cells)
        if columns != sorted(columns):
            cells = dict(sorted(cells.items()))
        is_hidden = _HIDDEN.search(opening[2]) is not None
        return SheetRow(int(opening[1]), cells, is_hidden), size

    def _read_plain_cells(self, parts: Sequence[tuple[bytes, ...]]) -> tuple[dict[int, Any], int]:
        """Returns column → cell of a row in Excel's usual form, and the size of its text. `parts`: the groups
        of `_CELL` for each cell. It runs millions of times, so the usual cases are handled without function
        calls."""
        strings, styles = self.content.strings, self.content.styles
        known_strings = strings.read
        unchanged_text = styles.unchanged_text
        cells: dict[int, Any] = {}
        size = 0
        for _, letters, style, kind, value, inline in parts:
            if not (inline if kind == b"inlineStr" else value):
                continue
            if kind == b"s":
                index = int(value)
                cell = known_strings[index] if 0 <= index < len(known_strings) else strings.string_at(index)
                if style not in unchanged_text or cell.__class__ is not str:
                    cell = styles.style_of(style).style_text(cell)
            else:
                cell = self._read_own_value(style, kind, value, inline)
            cells[COLUMN_NUMBERS[letters]] = cell
            size += len(cell) if cell.__class__ is str else 0
        return cells, size

    def _read_own_value(self, style: bytes, kind: bytes, value: bytes, inline: bytes) -> Any:
        """Returns a text or number that is in the cell itself, as its style shows it."""
        styles = self.content.styles
        if kind == b"inlineStr":
            return styles.style_of(style).style_text(unescape(inline.decode()))
        number = float(value)
        if style in styles.unchanged_numbers and math.isfinite(number):
            return number
        return styles.style_of(style).style_number(number, self.content.date_epoch)

    def _read_parsed_rows(self, fragment: bytes, number: int) -> Iterator[MeasuredRow]:
        """Yields the rows of a fragment in any form; a row without a number follows the one before
        (`number`)."""
        for element in self.parse_rows(fragment + b"</" + self.frame.prefix + b"row>"):
            number = int(element.get("r", number + 1))
            yield self._read_row(element, number)

    def _read_row(self, row: Any, number: int) -> MeasuredRow:
        """Returns the row of an element, and the size of its text."""
        cells: dict[int, Any] = {}
        column, size = -1, 0
        for cell in row.iterchildren("{*}c"):
            column = _column_of(cell, column + 1)
            formula = cell.findtext("{*}f")
            if formula:
                self._note_link(formula, number)
            value = read_cell(cell, formula, self.content)
            if value is not None:
                cells[column] = value
                size += len(value) if isinstance(value, str) else 0
        return SheetRow(number, dict(sorted(cells.items())), _is_hidden(row)), size

    def _note_link(self, formula: str, number: int) -> None:
        """Store the address to which a cell's formula leads, if there is one."""
        if address := formula_link(formula):
            self.links.setdefault(number, []).append(address)


def _column_of(cell: Any, next_column: int) -> int:
    """Returns the column of a cell, from 0; `next_column` if the cell does not name it."""
    reference = REFERENCE.fullmatch(cell.get("r", ""))
    return COLUMN_NUMBERS[reference[1].encode()] if reference else next_column


def _is_hidden(row: Any) -> bool:
    """Whether a row is hidden, by an attribute or by its height."""
    return is_set(row, "hidden") or row.get("ht") == "0"
