"""Finds the header of an uploaded table within its first rows; it may have up to three rows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from dingkao.tenants.encryption import normalise_text

MAX_HEADER_ROW = 20
MAX_HEADER_DEPTH = 3
MAX_HEADING_LENGTH = 200
DECORATIONS = "*\u2605\u2606:.\u3001\u3002"

_BRACKETED = re.compile(r"[(\[{<\u3008\u300a\u300c\u3010\u3014](.+)[)\]}>\u3009\u300b\u300d\u3011\u3015]")
_NOTE = re.compile(r"(.+?)[(\[{<\u3008\u300a\u300c\u3010\u3014].*[)\]}>\u3009\u300b\u300d\u3011\u3015]")
_NUMBER = re.compile(r"[0-9]{1,2}[.,:)\u3001](?=.)")
_END = re.compile(r"(必填项|必填|选填项|选填)$")


@dataclass
class RowView:
    """A row as people see it: its own cells, and values that vertically merged cells carry into it
    (`carried`: their columns). `across`: other columns covered by a horizontally merged cell → its value;
    `ends`: column → last row of a vertically merged cell."""

    number: int
    cells: dict[int, Any]
    hidden: bool = False
    carried: frozenset[int] = frozenset()
    across: Mapping[int, Any] | None = None
    ends: Mapping[int, int] | None = None


@dataclass(frozen=True)
class Header:
    """A header: our column name → column index, its rows, and column index → heading."""

    positions: dict[str, int]
    rows: Sequence[RowView]
    headings: dict[int, str]

    @property
    def last(self) -> int:
        """The number of its last row, including merged cells, except those that extend far into the table."""
        limit = self.rows[0].number + MAX_HEADER_DEPTH
        ends = [end for end in self._merged_ends() if end < limit]
        return max([self.rows[-1].number, *ends])

    def _merged_ends(self) -> Iterator[int]:
        """Yields the last rows of the vertically merged cells in our columns."""
        columns = set(self.positions.values())
        for row in self.rows:
            ends = row.ends or {}
            yield from (ends[column] for column in columns.intersection(ends))


class HeaderFinder:
    """Finds a header with `columns`: our name → possible headings, the official one first. `best`: the column
    names found in the most complete attempt."""

    def __init__(
        self,
        columns: Mapping[str, Sequence[str]],
        required_columns: Sequence[str],
    ) -> None:
        self.aliases = {name: list(map(normalise_text, aliases)) for name, aliases in columns.items()}
        self.known = set().union(*self.aliases.values())
        self.required_names = list(required_columns)
        self.required_columns = frozenset(required_columns)
        self.best: set[str] = set()

    def find(self, rows: Sequence[RowView]) -> Header | None:
        """Returns the first header among the first rows of a sheet (`rows`, in their order) that has all
        required columns, or None; `best` is kept up to date."""
        for index in range(len(rows)):
            header = self._ending_at(rows, index)
            if self.required_columns <= set(header.positions):
                return self._extend_down(rows, index, header)
            self.best = max(self.best, set(header.positions), key=len)
        return None

    def missing_names(self) -> list[str]:
        """Returns the required columns that are missing in the most complete attempt."""
        return [name for name in self.required_names if name not in self.best]

    def _extend_down(self, rows: Sequence[RowView], index: int, header: Header) -> Header:
        """Returns the header, extended below row `index`: by rows that its merged cells cover, or by a row
        with more columns (A, B, C, D below 选项)."""
        last = header.last
        for below in range(index + 1, len(rows)):
            longer = self._ending_at(rows, below)
            is_inside = rows[below].number <= last
            if self._may_replace(header, longer, is_inside=is_inside):
                header = longer
            elif not is_inside:
                break
        return header

    def _may_replace(self, header: Header, longer: Header, *, is_inside: bool) -> bool:
        """Whether a header with more rows is better than one with fewer. Unless its last row is inside the
        merged cells of the shorter one (`is_inside`), it must name more columns."""
        names_more = len(longer.positions) > len(header.positions)
        return (is_inside or names_more) and self._extends(header, longer)

    def _extends(self, header: Header, longer: Header) -> bool:
        """Whether the longer header has all columns of the shorter one; a column may have another name in
        it."""
        names = set(longer.positions)
        columns = set(longer.positions.values())
        if set(header.positions) <= names:
            return True
        return self.required_columns <= names and set(header.positions.values()) <= columns

    def _ending_at(self, rows: Sequence[RowView], index: int) -> Header:
        """Returns the header that ends in row `index`, with the number of rows that names most columns."""
        headers = [self._header_of(block) for block in _blocks_ending_at(rows, index)]
        return max(headers, key=lambda header: len(header.positions))

    def _header_of(self, block: Sequence[RowView]) -> Header:
        """Returns the header that consists of these rows."""
        texts_by_column = _texts_by_column(block)
        headings = {column: texts[-1] for column, texts in texts_by_column.items()}
        return Header(self._positions(texts_by_column), block, headings)

    def _positions(self, texts_by_column: Mapping[int, Sequence[str]]) -> dict[str, int]:
        """Returns our column name → column index, by the first of its headings that is there."""
        columns = self._columns_by_heading(texts_by_column)
        positions: dict[str, int] = {}
        for name, aliases in self.aliases.items():
            heading = next(filter(columns.__contains__, aliases), None)
            if heading is not None:
                positions[name] = columns[heading]
        return positions

    def _columns_by_heading(self, texts_by_column: Mapping[int, Sequence[str]]) -> dict[str, int]:
        """Returns known heading → its first column."""
        columns: dict[str, int] = {}
        for column, texts in texts_by_column.items():
            heading = self._known_heading(texts)
            if heading is not None:
                columns.setdefault(heading, column)
        return columns

    def _known_heading(self, texts: Sequence[str]) -> str | None:
        """Returns the known heading that the texts above a column form: all together, the last two, or the
        last; else None."""
        for text in (
            "".join(texts),
            "".join(texts[-2:]),
            texts[-1],
        ):
            heading = normalise_heading(text, self.known)
            if heading in self.known:
                return heading
        return None


def _blocks_ending_at(rows: Sequence[RowView], index: int) -> Iterator[Sequence[RowView]]:
    """Yields the blocks of one row, two, and so on, that end in row `index`, as long as their row numbers are
    consecutive."""
    for depth in range(1, min(MAX_HEADER_DEPTH, index + 1) + 1):
        block = rows[index - depth + 1 : index + 1]
        if block[-1].number - block[0].number != depth - 1:
            return
        yield block


def _texts_by_column(
    block: Sequence[RowView],
) -> dict[int, list[str]]:
    """Returns column → texts above it, see `_column_texts`; without columns that have none."""
    texts_by_column = {column: _column_texts(block, column) for column in _filled_columns(block)}
    return {column: texts for column, texts in texts_by_column.items() if texts}


def _filled_columns(block: Sequence[RowView]) -> list[int]:
    """Returns the columns that have a cell in some row, in order."""
    return sorted(set().union(*(row.cells for row in block)))


def _column_texts(block: Sequence[RowView], column: int) -> list[str]:
    """Returns the texts above a column from top to bottom, without repetition. A text across several columns
    counts only above a text of the column itself."""
    texts = (_heading_text(row, block[-1], column) for row in block)
    return [text for text, _ in groupby(filter(None, texts))]


def _heading_text(row: RowView, lowest: RowView, column: int) -> str:
    """Returns the text of `row` above a column: its own, or, if the lowest row of the header has a text in
    the column, one across several columns; else ""."""
    text = _text_at(row, column)
    if text or not _text_at(lowest, column):
        return text
    return _cell_text((row.across or {}).get(column)) or _group_heading(row, lowest, column)


def _group_heading(row: RowView, lowest: RowView, column: int) -> str:
    """Returns the heading in `row` of the group of columns to which `column` belongs, if no cells are merged:
    the nearest text to the left, if there is another heading below it; else "". A column on the way without
    a text in `lowest` ends the group."""
    text, below = _nearest_left(row, lowest, column)
    return text if below not in ("", text) else ""


def _nearest_left(row: RowView, lowest: RowView, column: int) -> tuple[str, str]:
    """Returns the nearest text to the left in `row`, and the text below it. The search stops at a column
    without text below."""
    for left_column in range(column - 1, -1, -1):
        text = _text_at(row, left_column)
        below = _text_at(lowest, left_column)
        if text or not below:
            return text, below
    return "", ""


def _text_at(row: RowView, column: int) -> str:
    """Returns the text of a row in a column; "" if it is blank or not a text."""
    return _cell_text(row.cells.get(column))


def _cell_text(cell: Any) -> str:
    """Returns the text of a cell; "" if it is blank or not a text."""
    return cell if isinstance(cell, str) and cell.strip() else ""


def normalise_heading(cell: str, known: set[str]) -> str:
    """Returns a heading, normalised, at most MAX_HEADING_LENGTH characters, without what people add to it (a
    number, stars, brackets, a note, 必填). Additions are removed one by one until the heading is `known`
    (normalised headings), because some known ones have brackets themselves."""
    heading = normalise_text(cell)[:MAX_HEADING_LENGTH]
    while heading not in known:
        shorter = _take_off(heading)
        if shorter == heading:
            return heading
        heading = shorter
    return heading


def _take_off(heading: str) -> str:
    """Returns a heading without one addition; unchanged if there is none."""
    for shorten in (
        _without_decorations,
        _without_number,
        _without_note,
    ):
        shorter = shorten(heading)
        if shorter != heading:
            return shorter
    return heading


def _without_decorations(heading: str) -> str:
    """Returns a heading without stars and points around it, and without 必填 at its end."""
    return _END.sub("", heading.strip(DECORATIONS))


def _without_number(heading: str) -> str:
    """Returns a heading without a running number before it."""
    return heading[match.end() :] if (match := _NUMBER.match(heading)) else heading


def _without_note(heading: str) -> str:
    """Returns a heading without brackets around it, or without a note in brackets after it."""
    match = _BRACKETED.fullmatch(heading) or _NOTE.fullmatch(heading)
    return match[1] if match else heading
