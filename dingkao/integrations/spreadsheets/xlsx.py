"""Reads Excel's workbooks (.xlsx) row by row as people see them: number formats, sub- and superscript,
struck-out text, merged and hidden cells.

The parts are found through the relationships, as in Excel (`xlsx_package`). A sheet is read twice: first to
find the end of its rows, because merged cells and drawings are described after them (`xlsx_frame`); then the
rows, of which only a small part is in memory at a time (`xlsx_rows`).

Reading a Package raises DamagedFile, ExpandsTooLarge, and errors of zipfile, zlib and lxml; a number that is
none raises ValueError. `read_sheets` turns all but ExpandsTooLarge into DamagedFile.
"""

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from lxml import etree

from dingkao.integrations.spreadsheets.cells import (
    APPLE_ZERO,
    EXCEL_ZERO,
    Area,
    DamagedFile,
    ExpandsTooLarge,
    SheetRow,
    SheetTable,
    WrongFileType,
)
from dingkao.integrations.spreadsheets.sheet_extent import MAX_CELLS
from dingkao.integrations.spreadsheets.xlsx_cells import BookContent
from dingkao.integrations.spreadsheets.xlsx_frame import (
    MAX_FRAME_ELEMENTS,
    MAX_LINKED_ROWS,
    drawing_areas,
    read_frame,
    vml_areas,
)
from dingkao.integrations.spreadsheets.xlsx_package import (
    Package,
    Relationship,
    as_damaged_file,
)
from dingkao.integrations.spreadsheets.xlsx_parts import (
    MAX_SMALL_PART,
    READ_SIZE,
    BookStyles,
    SharedStrings,
    is_set,
)
from dingkao.integrations.spreadsheets.xlsx_rows import RowReader

MAX_TEXT = 1024 * 1024 * 1024
"""The most characters of a sheet's texts."""
MAX_DECOMPRESSED = 1024 * 1024 * 1024
MAX_RATIO = 200
MAX_ENTRIES = 2000
MAX_UNCHECKED = 10 * 1024 * 1024
"""The expanded size up to which the compression ratio is not checked."""
BINARY_WORKBOOK_MESSAGE = (
    "这是Excel二进制工作簿（.xlsb）。请用Excel打开，另存为“Excel工作簿（.xlsx）”，再重新上传。"
)
OTHER_FILE_MESSAGES = {
    "document": "这是Word文档（.docx），不是表格。请把内容填到模板的表格中，保存为.xlsx后上传。",
    "presentation": (
        "这是PowerPoint演示文稿（.pptx），不是表格。请把内容填到模板的表格中，保存为.xlsx后上传。"
    ),
}
"""Root element of the main part → the message about a file of another kind."""


def read_sheets(content: bytes, order: Callable[[str], Any]) -> Iterator[SheetTable]:
    """Yields the visible sheets of a workbook, sorted by `order` of their names. Raises DamagedFile,
    ExpandsTooLarge and WrongFileType, the former two also while their rows are read, which must be before the
    generator ends."""
    with (
        as_damaged_file(),
        zipfile.ZipFile(io.BytesIO(content)) as archive,
    ):
        _require_moderate_size(archive, len(content))
        yield from _Book(Package(archive)).read_tables(order)


def _require_moderate_size(archive: zipfile.ZipFile, size: int) -> None:
    """Raises ExpandsTooLarge for an archive of `size` bytes with too many parts, or whose parts expand to too
    many bytes."""
    entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    max_unpacked = min(MAX_DECOMPRESSED, max(MAX_UNCHECKED, MAX_RATIO * size))
    if unpacked > max_unpacked or len(entries) > MAX_ENTRIES:
        raise ExpandsTooLarge


class _Book:
    """A workbook: its visible `sheets` (name, part), and what they have in common (`content`). Reading it
    raises what reading a Package raises."""

    def __init__(self, package: Package) -> None:
        self.package = package
        part = package.main_part()
        root = _parse_main_part(package, part)
        relationships = package.relationships_of(part)
        self.sheets = list(_visible_sheets(root, relationships))
        targets = {relationship.kind: relationship.target for relationship in relationships.values()}
        self.content = _read_content(package, root, targets)

    def read_tables(self, order: Callable[[str], Any]) -> Iterator[SheetTable]:
        """Yields the visible sheets, sorted by `order` of their names; what is around the rows of one is read
        when it is asked for."""
        for name, part in sorted(self.sheets, key=lambda sheet: order(sheet[0])):
            yield _Sheet(self, part).read_table(name)


def _parse_main_part(package: Package, part: str) -> Any:
    """Returns the root element of the workbook's main part. Raises WrongFileType for a binary workbook and
    for a document of another program, and what reading a Package raises."""
    if part.endswith(".bin"):
        raise WrongFileType(BINARY_WORKBOOK_MESSAGE)
    root = package.parse_part(part)
    if message := OTHER_FILE_MESSAGES.get(etree.QName(root).localname):
        raise WrongFileType(message)
    return root


def _visible_sheets(root: Any, relationships: dict[str, Relationship]) -> Iterator[tuple[str, str]]:
    """Yields (name, part) of each visible worksheet."""
    for sheet in root.iterfind("{*}sheets/{*}sheet"):
        is_visible = sheet.get("state", "visible") == "visible"
        part = _worksheet_part(relationships.get(_relationship_id(sheet)))
        if is_visible and part is not None:
            yield sheet.get("name", ""), part


def _worksheet_part(relationship: Relationship | None) -> str | None:
    """Returns the part of a relationship to a worksheet; None for another one."""
    return relationship.target if relationship and relationship.kind == "worksheet" else None


def _relationship_id(element: Any) -> str:
    """Returns the id of the relationship that an element names, or ""."""
    for name, value in element.attrib.items():
        if name.endswith("}id"):
            return str(value)
    return ""


def _read_content(package: Package, root: Any, targets: dict[str, str]) -> BookContent:
    """Returns what a workbook's sheets have in common. `targets`: kind → part of the workbook. Raises what
    reading a Package raises."""
    return BookContent(
        _read_styles(package, targets.get("styles", "")),
        _open_strings(package, targets.get("sharedStrings", "")),
        _date_epoch(root),
        is_set(root.find("{*}calcPr"), "fullCalcOnLoad"),
    )


def _read_styles(package: Package, part: str) -> BookStyles:
    """Returns the cell styles of a workbook, which may have none. Raises what reading a Package raises."""
    return BookStyles(package.parse_part(part) if package.has_part(part) else None)


def _open_strings(package: Package, part: str) -> SharedStrings:
    """Returns the shared strings of a workbook, which may have none; the part is read through once, because
    its checksum is compared only at its end. Raises what reading a Package raises."""
    if not package.has_part(part):
        return SharedStrings(None)
    package.require_intact(part)
    return SharedStrings(package.open(part))


def _date_epoch(root: Any) -> date:
    """Returns the day from which the workbook's serial numbers count."""
    return APPLE_ZERO if is_set(root.find("{*}workbookPr"), "date1904") else EXCEL_ZERO


@dataclass
class _ExtentGuard:
    """The extent of a sheet so far: last row and number of columns that have cells, and number of
    characters."""

    last_row: int = 0
    column_count: int = 0
    text_size: int = 0

    def observe(self, row: SheetRow, size: int) -> None:
        """Add a row with cells, whose text has `size` characters. Raises ExpandsTooLarge beyond MAX_CELLS or
        MAX_TEXT."""
        self.last_row = max(self.last_row, row.number)
        self.column_count = max(self.column_count, max(row.cells) + 1)
        self.text_size += size
        if self.last_row * self.column_count > MAX_CELLS or self.text_size > MAX_TEXT:
            raise ExpandsTooLarge


class _Sheet:
    """One sheet of a workbook. `links`: those on cells, known from the frame, and those of formulas, which
    are added as the rows are read. Reading it raises what reading a Package raises."""

    def __init__(self, book: _Book, part: str) -> None:
        self.package, self.content, self.part = (
            book.package,
            book.content,
            part,
        )
        self.links: dict[int, list[str]] = {}
        with self.package.open(part) as stream:
            self.frame = read_frame(stream)
        self.reader = RowReader(self.content, self.frame, self.links)

    def read_table(self, name: str) -> SheetTable:
        """Returns the sheet with what is known before its rows are read; these are read as they are asked
        for, and add to its links."""
        merged = self.frame.merged_areas()
        hidden_columns = self.frame.hidden_columns()
        self.links.update(self._laid_links())
        pictures = list(self._pictures())
        return SheetTable(
            name,
            self._read_rows(),
            merged,
            pictures,
            hidden_columns,
            self.content.date_epoch,
            self.links,
        )

    def _laid_links(self) -> dict[int, list[str]]:
        """Returns row → addresses outside the file, from the links on its cells (not from formulas). Raises
        ExpandsTooLarge for one on more than MAX_LINKED_ROWS rows, or if more than MAX_FRAME_ELEMENTS rows
        have links, and what reading a Package raises."""
        areas = list(self.frame.linked_areas())
        addresses = self.package.external_links_of(self.part) if areas else {}
        links: dict[int, list[str]] = {}
        for identity, area in areas:
            if address := addresses.get(identity):
                _lay_link(links, address, area)
        return links

    def _pictures(self) -> Iterator[Area]:
        """Yields the areas that pictures and other drawings cover. Raises what reading a Package raises."""
        relationships = self.package.relationships_of(self.part)
        for element in self.frame.elements:
            if element.name == "anchored":
                yield element.area
            elif relationship := relationships.get(element.attributes.get("id", "")):
                yield from self._drawn_areas(element.name, relationship.target)

    def _drawn_areas(self, kind: str, part: str) -> Iterator[Area]:
        """Yields the areas of the drawings in a part to which an element named `kind` refers; none if the
        part is missing or of another kind. Raises what reading a Package raises."""
        if not self.package.has_part(part):
            return
        if kind == "drawing":
            yield from drawing_areas(self.package.parse_part(part))
        elif kind == "legacyDrawing":
            yield from vml_areas(self.package.parse_part(part, recover=True))

    def _read_rows(self) -> Iterator[SheetRow]:
        """Yields the rows that have cells. Raises DamagedFile, ExpandsTooLarge."""
        number, guard = 0, _ExtentGuard()
        with as_damaged_file():
            for fragment in self._row_fragments():
                for row, size in self.reader.read_fragment(fragment, number):
                    number = row.number
                    if row.cells:
                        guard.observe(row, size)
                        yield row

    def _row_fragments(self) -> Iterator[bytes]:
        """Yields the XML of the rows, each without its closing tag. Self-closing empty rows come together
        with the next one. Raises ExpandsTooLarge for a row of more than MAX_SMALL_PART bytes, and what
        reading a Package raises."""
        closing = b"</" + self.frame.prefix + b"row>"
        incomplete = b""
        for chunk in self._row_bytes():
            *complete, incomplete = (incomplete + chunk).split(closing)
            if len(incomplete) > MAX_SMALL_PART:
                raise ExpandsTooLarge
            yield from complete
        if incomplete.strip():
            self.reader.parse_rows(incomplete)  # self-closing rows, or damaged XML, which raises

    def _row_bytes(self) -> Iterator[bytes]:
        """Yields the bytes between the tags around the rows, in chunks. Raises DamagedFile if they end too
        early, and what reading a Package raises."""
        unread_bytes = self.frame.end - self.frame.begin
        with self.package.open(self.part) as stream:
            stream.skip(self.frame.begin)
            while unread_bytes > 0:
                chunk = stream.read(min(READ_SIZE, unread_bytes))
                if not chunk:
                    raise DamagedFile("cut short")
                unread_bytes -= len(chunk)
                yield chunk


def _lay_link(links: dict[int, list[str]], address: str, area: Area) -> None:
    """Add an address to the links of each row of an area. Raises ExpandsTooLarge."""
    first, _, last, _ = area
    if last - first >= MAX_LINKED_ROWS or len(links) > MAX_FRAME_ELEMENTS:
        raise ExpandsTooLarge
    for number in range(first, last + 1):
        links.setdefault(number, []).append(address)
