"""The frame of a sheet (.xlsx), that is everything around its rows: merged cells, hidden columns, links,
drawings, and the byte positions where the rows begin and end. A number that is none raises ValueError, which
`xlsx.read_sheets` turns into DamagedFile."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

from dingkao.integrations.spreadsheets.cells import (
    Area,
    DamagedFile,
    ExpandsTooLarge,
)
from dingkao.integrations.spreadsheets.xlsx_parts import (
    COLUMN_NUMBERS,
    MAX_SMALL_PART,
    READ_SIZE,
    REFERENCE,
    SAFE_PARSER_OPTIONS,
    PartStream,
    is_true,
    release_element,
)

MAX_LINKED_ROWS, MAX_FRAME_ELEMENTS = 10_000, 1_000_000
"""The most rows that a link may cover, and the most elements in the frame of a sheet, which is also how many
rows may have links."""
_ROWS_START = re.compile(rb"<((?:[A-Za-z_][\w.-]*:)?)sheetData(?=[\s/>])[^>]*?(/?)>")
_ROOT_TAG = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?worksheet(?=[\s>])[^>]*>")
_MAX_TAG_BYTES = 64
"""The greatest length of a tag that the end of a read chunk may cut."""
_FRAME_ELEMENTS = (
    "col",
    "mergeCell",
    "drawing",
    "legacyDrawing",
    "hyperlink",
)
_ANCHOR_PARTS = (
    "from",
    "to",
    "row",
    "col",
    "rowOff",
    "colOff",
    "anchor",
)
_CORNER_PARTS = ("row", "col", "rowOff")
_ANCHOR_KINDS = ("twoCellAnchor", "oneCellAnchor", "absoluteAnchor")
_VML_ANCHOR_NUMBERS = 8


@dataclass(frozen=True)
class FrameElement:
    """An element of the frame that affects what people see. `name`: its local name, or «anchored» for an
    object on the cells of `area`."""

    name: str
    attributes: dict[str, str]
    area: Area = (0, 0, 0, 0)


@dataclass(frozen=True)
class SheetFrame:
    """The frame of a sheet: opening tag of its root element, namespace prefix of its elements (with the
    colon), byte positions where the rows begin and end, and its elements in order."""

    root: bytes
    prefix: bytes
    begin: int
    end: int
    elements: list[FrameElement]

    def merged_areas(self) -> list[Area]:
        """Returns the areas of merged cells."""
        references = [element.attributes.get("ref", "") for element in self.elements_of("mergeCell")]
        return list(filter(None, map(parse_area, references)))

    def hidden_columns(self) -> list[tuple[int, int]]:
        """Returns the ranges (first, last) of hidden columns, counted from 0."""
        return [
            _column_range(element.attributes)
            for element in self.elements_of("col")
            if is_true(element.attributes.get("hidden", ""))
        ]

    def linked_areas(self) -> Iterator[tuple[str, Area]]:
        """Yields the links on cells: id of the relationship with the address, and area."""
        for element in self.elements_of("hyperlink"):
            if area := parse_area(element.attributes.get("ref", "")):
                yield element.attributes.get("id", ""), area

    def elements_of(self, name: str) -> Iterator[FrameElement]:
        """Yields the elements with this name."""
        return (element for element in self.elements if element.name == name)


def _column_range(attributes: dict[str, str]) -> tuple[int, int]:
    """Returns first and last column, from 0, that an element describes."""
    return int(attributes.get("min", 1)) - 1, int(attributes.get("max", 1)) - 1


class _ChainedStream:
    """Bytes followed by a stream, read as one stream."""

    def __init__(self, beginning: bytes, stream: PartStream) -> None:
        self.beginning, self.stream = io.BytesIO(beginning), stream

    def read(self, size: int = -1) -> bytes:
        """Returns the next piece, of at most `size` bytes; b"" at the end."""
        return self.beginning.read(size) or self.stream.read(size)


def read_frame(stream: PartStream) -> SheetFrame:
    """Returns the frame of the sheet in `stream`, which is read to its end. Raises DamagedFile if it has no
    rows element or that doesn't end, ExpandsTooLarge, errors of lxml for invalid XML."""
    head, rows_tag = _read_to_rows(stream)
    root = _ROOT_TAG.search(head)
    if not root:
        raise DamagedFile("no sheet")
    prefix, begin = rows_tag[1], rows_tag.end()
    closing, behind = b"</" + prefix + b"sheetData>", head[begin:]
    if rows_tag[2]:  # <sheetData/>: no rows
        end, closing = begin, b""
    else:
        end, behind = _find_rows_end(stream, behind, prefix, begin)
    elements = _iter_frame_elements(_ChainedStream(head[:begin] + closing + behind, stream))
    return SheetFrame(root[0], prefix, begin, end, list(elements))


def _read_to_rows(
    stream: PartStream,
) -> tuple[bytes, re.Match[bytes]]:
    """Returns the beginning of a sheet, read until it contains the tag that opens the rows, and the match of
    that tag. Raises DamagedFile."""
    head, rows_tag = b"", None
    while not rows_tag:
        piece = stream.read(READ_SIZE)
        if not piece or len(head) > MAX_SMALL_PART:
            raise DamagedFile("no rows")
        head += piece
        rows_tag = _ROWS_START.search(head, max(0, len(head) - len(piece) - _MAX_TAG_BYTES))
    return head, rows_tag


def _find_rows_end(stream: PartStream, unread: bytes, prefix: bytes, position: int) -> tuple[int, bytes]:
    """Returns the byte position where the rows end, and the bytes that were read after their closing tag.
    `unread` are the bytes from `position` on. Raises DamagedFile."""
    closing_tag = re.compile(rb"</" + prefix + rb"sheetData\s*>")
    while True:
        if closing := closing_tag.search(unread):
            return position + closing.start(), unread[closing.end() :]
        overlap = unread[-_MAX_TAG_BYTES:]
        piece = stream.read(READ_SIZE)
        if not piece:
            raise DamagedFile("the rows don't end")
        position += len(unread) - len(overlap)
        unread = overlap + piece


def _iter_frame_elements(
    frame: _ChainedStream,
) -> Iterator[FrameElement]:
    """Yields the elements of a frame that affect what people see: hidden columns, merged cells, links,
    drawings, objects on cells. Raises ExpandsTooLarge."""
    count = 0
    for _, element in etree.iterparse(frame, **SAFE_PARSER_OPTIONS):
        if not isinstance(element.tag, str):
            continue
        name = etree.QName(element).localname
        if frame_element := _parse_frame_element(name, element):
            count += name in _FRAME_ELEMENTS
            if count > MAX_FRAME_ELEMENTS:
                raise ExpandsTooLarge
            yield frame_element
        if name not in _ANCHOR_PARTS:
            release_element(element)


def _parse_frame_element(name: str, element: Any) -> FrameElement | None:
    """Returns an element, with the local name `name`, if it affects what people see; else None."""
    if name in _FRAME_ELEMENTS:
        return FrameElement(
            name,
            {key.rpartition("}")[2]: value for key, value in element.attrib.items()},
        )
    area = _anchor_area(element) if name == "anchor" else None
    return FrameElement("anchored", {}, area) if area else None


def parse_area(reference: str) -> Area | None:
    """Returns the area of a reference such as A1:B2, or A1 for one cell; None for another text."""
    corners = reference.split(":")
    cells = [cell for cell in map(_parse_cell, corners) if cell]
    if len(cells) < len(corners) or len(cells) > 2:
        return None
    rows, columns = zip(*cells, strict=True)
    return min(rows), min(columns), max(rows), max(columns)


def _parse_cell(reference: str) -> tuple[int, int] | None:
    """Returns row (from 1) and column (from 0) of a reference such as A1; None for another text."""
    match = REFERENCE.fullmatch(reference)
    return (int(match[2]), COLUMN_NUMBERS[match[1].encode()]) if match else None


def drawing_areas(drawing: Any) -> Iterator[Area]:
    """Yields the areas that the objects of a drawing part cover; the first cell for one whose place isn't
    known."""
    for kind in _ANCHOR_KINDS:
        for anchor in drawing.iter(f"{{*}}{kind}"):
            yield _anchor_area(anchor) or (1, 0, 1, 0)


def _anchor_area(anchor: Any) -> Area | None:
    """Returns the area that an object covers, or None. An object that only touches the edge of a row does not
    cover that row."""
    start = _anchor_corner(anchor.find("{*}from"))
    if start is None:
        return None
    end = _anchor_corner(anchor.find("{*}to")) or start
    is_inside_last_row = end[2] or end[0] == start[0]
    last_row = end[0] if is_inside_last_row else end[0] - 1
    return start[0] + 1, start[1], last_row + 1, end[1]


def _anchor_corner(
    element: Any | None,
) -> tuple[int, int, int] | None:
    """Returns row and column of a corner, from 0, and its offset inside the row; None if there is no
    element."""
    if element is None:
        return None
    row, column, offset = (int(element.findtext(f"{{*}}{name}") or 0) for name in _CORNER_PARTS)
    return row, column, offset


def vml_areas(drawing: Any) -> Iterator[Area]:
    """Yields the areas of a drawing in the old form (VML), without notes, which are only shown when pointed
    at."""
    for data in drawing.iter("{*}ClientData"):
        numbers = _vml_anchor_numbers(data)
        if data.get("ObjectType") != "Note" and len(numbers) == _VML_ANCHOR_NUMBERS:
            yield (
                numbers[2] + 1,
                numbers[0],
                numbers[6] + 1,
                numbers[4],
            )


def _vml_anchor_numbers(data: Any) -> list[int]:
    """Returns the numbers of the position of an object in a VML drawing."""
    anchor = (data.findtext("{*}Anchor") or "").replace(" ", "")
    return [int(number) for number in anchor.split(",") if number.lstrip("-").isdigit()]
