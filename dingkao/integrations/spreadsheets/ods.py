"""Reads spreadsheets of OpenDocument (.ods) as people see them.

Repeated rows and cells are written once with a count; repeated empty ones, which may be a million, are
skipped. A damaged file raises errors of zipfile and lxml, and ValueError for a count or number that is none;
`read_sheets` turns them into DamagedFile.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from lxml import etree

from dingkao.integrations.archive_errors import ARCHIVE_ERRORS
from dingkao.integrations.spreadsheets.cells import (
    Area,
    DamagedFile,
    ExpandsTooLarge,
    SheetRow,
    SheetTable,
    cell_from_runs,
    formula_link,
)
from dingkao.integrations.spreadsheets.ods_cells import cell_value
from dingkao.integrations.spreadsheets.ods_text import (
    MAX_REPEATED,
    StyleTable,
    attribute,
    iter_text_runs,
    repeated,
)
from dingkao.integrations.spreadsheets.sheet_extent import MAX_CELLS

MIMETYPE = b"application/vnd.oasis.opendocument.spreadsheet"
MAX_CONTENT = 512 * 1024 * 1024
MAX_ENTRIES = 2000
_DRAWING_ELEMENTS = (
    "{*}frame",
    "{*}custom-shape",
    "{*}g",
    "{*}control",
    "{*}rect",
    "{*}ellipse",
    "{*}polygon",
    "{*}path",
)
_ROW_NUMBER = re.compile(r"[0-9]{1,7}$")
_SAFE_PARSER_OPTIONS: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
}
_READ_ERRORS = (*ARCHIVE_ERRORS, etree.LxmlError, TypeError)
_HIDDEN_VISIBILITIES = ("collapse", "filter")


def is_ods(content: bytes) -> bool:
    """Whether a file is such a spreadsheet: its type is at the beginning of the archive, uncompressed."""
    return content[30:200].startswith(b"mimetype" + MIMETYPE)


def read_sheets(content: bytes, order: Callable[[str], Any]) -> Iterator[SheetTable]:
    """Yields the visible sheets, sorted by `order` of their names; all are read before the first is yielded.
    Raises DamagedFile, ExpandsTooLarge."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _require_moderate_size(archive)
            yield from sorted(
                _read_tables(archive),
                key=lambda table: order(table.name),
            )
    except (DamagedFile, ExpandsTooLarge):
        raise
    except _READ_ERRORS as error:
        raise DamagedFile(str(error)) from error


def _require_moderate_size(archive: zipfile.ZipFile) -> None:
    """Raises ExpandsTooLarge for an archive with too many parts, or whose parts expand to too many bytes."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_CONTENT:
        raise ExpandsTooLarge


def _read_tables(archive: zipfile.ZipFile) -> Iterator[SheetTable]:
    """Yields the visible sheets in the file's order. Raises ExpandsTooLarge, and KeyError for an archive
    without content."""
    reader = _ContentReader(_read_common_styles(archive))
    with archive.open("content.xml") as part:
        for event, element in etree.iterparse(part, events=("start", "end"), **_SAFE_PARSER_OPTIONS):
            if isinstance(element.tag, str) and (table := reader.read(event, element)):
                yield table


def _read_common_styles(archive: zipfile.ZipFile) -> StyleTable:
    """Returns the styles of the part styles.xml, which may be missing."""
    styles = StyleTable()
    if "styles.xml" in archive.namelist():
        with archive.open("styles.xml") as part:
            for _, element in etree.iterparse(part, tag="{*}style", **_SAFE_PARSER_OPTIONS):
                styles.read(element)
    return styles


class _ContentReader:
    """Reads the elements of the content as the parser meets them: styles, and the open sheet."""

    def __init__(self, styles: StyleTable) -> None:
        self.styles = styles
        self.table: _TableBuilder | None = None

    def read(self, event: str, element: Any) -> SheetTable | None:
        """Read an element that begins or is complete. Returns the sheet at the end of a visible one, else
        None. Raises ExpandsTooLarge."""
        name = etree.QName(element).localname
        if event == "end":
            return self._end(name, element)
        if name == "table" and _is_sheet(element):
            self.table = _TableBuilder(attribute(element, "name"), self.styles)
        return None

    def _end(self, name: str, element: Any) -> SheetTable | None:
        """Read an element that is complete, `name` its local name. Returns the sheet at the end of a visible
        one, else None. Raises ExpandsTooLarge."""
        if name == "style":
            self.styles.read(element)
        elif self.table is None:
            return None
        elif name == "table" and _is_sheet(element):
            return self._close_table(self.table, element)
        else:
            self._read_part(self.table, name, element)
        return None

    def _close_table(self, table: "_TableBuilder", element: Any) -> SheetTable | None:
        """End the open sheet, and free the memory of its element. Returns it, or None if its style hides
        it."""
        self.table = None
        finished = None if self.styles.style_of(element).is_hidden else table.build()
        _release_element(element)
        return finished

    @staticmethod
    def _read_part(table: "_TableBuilder", name: str, element: Any) -> None:
        """Add an element that is complete (`name`: its local name) to the open sheet if it is a column, a
        row, whose memory is freed, or the sheet's drawings. Raises ExpandsTooLarge."""
        if name == "table-column":
            table.add_column(element)
        elif _is_sheet_row(name, element):
            table.add_row(element)
            _release_element(element)
        elif name == "shapes":
            table.pictures += [(1, 0, 1, 0) for _ in element]


class _TableBuilder:
    """A sheet while it is read. `number`: of the next row; `column`: of the next column's description."""

    def __init__(self, name: str, styles: StyleTable) -> None:
        self.name, self.styles = name, styles
        self.rows: list[SheetRow] = []
        self.merged: list[Area] = []
        self.pictures: list[Area] = []
        self.hidden_columns: list[tuple[int, int]] = []
        self.links: dict[int, list[str]] = {}
        self.column, self.number, self.widest = 0, 1, 0

    def build(self) -> SheetTable:
        """Returns the sheet."""
        return SheetTable(
            self.name,
            iter(self.rows),
            self.merged,
            self.pictures,
            self.hidden_columns,
            links=self.links,
        )

    def add_column(self, element: Any) -> None:
        """Read the description of the next column, which may be repeated: store whether it is hidden, and go
        on behind it."""
        count = repeated(element, "number-columns-repeated")
        if attribute(element, "visibility") in _HIDDEN_VISIBILITIES:
            self.hidden_columns.append((self.column, self.column + count - 1))
        self.column += count

    def add_row(self, element: Any) -> None:
        """Read the next row, which may be repeated: store it as often as it is there if it shows something,
        and once the merged areas, drawings and links of its cells; go on behind it. Raises
        ExpandsTooLarge."""
        count = repeated(element, "number-rows-repeated")
        cells = self._read_cells(element)
        if cells:
            self._require_moderate_extent(cells, count)
            is_hidden = attribute(element, "visibility") in _HIDDEN_VISIBILITIES
            numbers = range(self.number, self.number + count)
            self.rows += [SheetRow(number, cells, is_hidden) for number in numbers]
        self.number += count

    def _require_moderate_extent(self, cells: dict[int, Any], count: int) -> None:
        """Store how wide the sheet is with a row of these cells. Raises ExpandsTooLarge if `count` such rows
        make it too large."""
        self.widest = max(self.widest, max(cells) + 1)
        if count > MAX_REPEATED or (self.number + count) * self.widest > MAX_CELLS:
            raise ExpandsTooLarge

    def _read_cells(self, row: Any) -> dict[int, Any]:
        """Returns column (from 0) → value of the cells of the row `self.number` that show something, repeated
        ones each. Stores the merged areas, drawings and links of all its cells, of a repeated cell once.
        Raises ExpandsTooLarge for a value repeated more than MAX_REPEATED times."""
        cells: dict[int, Any] = {}
        column = 0
        for cell in row.iterchildren("{*}table-cell", "{*}covered-table-cell"):
            count = repeated(cell, "number-columns-repeated")
            value = self._read_cell(cell, column)
            if value is not None:
                cells |= _repeat_value(value, column, count)
            column += count
        return cells

    def _read_cell(self, cell: Any, column: int) -> Any:
        """Returns the value of the cell in `column` (from 0) of the row `self.number`; None if it shows
        nothing or is covered by another. Stores its merged area, drawings and, unless it is covered,
        links."""
        self._note_area(cell, column)
        if etree.QName(cell).localname == "covered-table-cell":
            return None
        self._note_links(cell)
        runs = list(iter_text_runs(cell, self.styles))
        displayed_text = "".join(run.text for run in runs)
        return cell_value(cell, cell_from_runs(runs), displayed_text)

    def _note_links(self, cell: Any) -> None:
        """Store for the row `self.number` the addresses to which a cell leads, by links in its text or by its
        formula."""
        addresses = [attribute(link, "href") for link in cell.iter("{*}a")]
        addresses.append(formula_link(attribute(cell, "formula")))
        if links := [address for address in addresses if address]:
            self.links.setdefault(self.number, []).extend(links)

    def _note_area(self, cell: Any, column: int) -> None:
        """Store the area that the cell in `column` (from 0) of the row `self.number` spans, if that is more
        than one cell, and those of drawings on it."""
        rows = repeated(cell, "number-rows-spanned")
        columns = repeated(cell, "number-columns-spanned")
        if rows > 1 or columns > 1:
            self.merged.append(
                (
                    self.number,
                    column,
                    self.number + rows - 1,
                    column + columns - 1,
                )
            )
        self.pictures += [
            (self.number, column, self._last_row_of(drawing), column)
            for drawing in cell.iterchildren(*_DRAWING_ELEMENTS)
        ]

    def _last_row_of(self, drawing: Any) -> int:
        """Returns the number of the last row that a drawing on the row `self.number` covers."""
        end = _ROW_NUMBER.search(attribute(drawing, "end-cell-address"))
        return max(self.number, int(end[0])) if end else self.number


def _repeat_value(value: Any, column: int, count: int) -> dict[int, Any]:
    """Returns column → value for a value in `count` columns from `column` on. Raises ExpandsTooLarge if these
    are more than MAX_REPEATED."""
    if count > MAX_REPEATED:
        raise ExpandsTooLarge
    return dict.fromkeys(range(column, column + count), value)


def _is_sheet(element: Any) -> bool:
    """Whether a table element is a sheet, and not part of something else."""
    parent = element.getparent()
    return parent is not None and etree.QName(parent).localname == "spreadsheet"


def _is_sheet_row(name: str, element: Any) -> bool:
    """Whether an element is a row of a sheet, and not of a table within a cell."""
    return name == "table-row" and not _is_within(element, "table-cell")


def _is_within(element: Any, name: str) -> bool:
    """Whether an element is inside one with the local name `name`."""
    return any(etree.QName(ancestor).localname == name for ancestor in element.iterancestors())


def _release_element(element: Any) -> None:
    """Free the memory of an element that has been read, and of its siblings before it."""
    parent = element.getparent()
    element.clear()
    while parent is not None and element.getprevious() is not None:
        del parent[0]
