"""The archive of a workbook (.xlsx): its parts by name, and their relationships inside and outside the
file."""

import posixpath
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from lxml import etree

from dingkao.integrations.archive_errors import ARCHIVE_ERRORS
from dingkao.integrations.spreadsheets.cells import (
    DamagedFile,
    ExpandsTooLarge,
)
from dingkao.integrations.spreadsheets.xlsx_parts import (
    MAX_SMALL_PART,
    READ_SIZE,
    SAFE_PARSER_OPTIONS,
    PartStream,
)

_READ_ERRORS = (*ARCHIVE_ERRORS, etree.LxmlError, TypeError)


class Relationship(NamedTuple):
    """A reference of a part, with the name `id`, to another part or to an address outside the file
    (`target`)."""

    id: str
    kind: str
    target: str
    is_external: bool


@contextmanager
def as_damaged_file() -> Iterator[None]:
    """Raise DamagedFile for any error that reading a damaged part raises in the block."""
    try:
        yield
    except (DamagedFile, ExpandsTooLarge):
        raise
    except _READ_ERRORS as error:
        raise DamagedFile(str(error)) from error


class Package:
    """The parts of a workbook's archive, named in small letters, as relationships are here too. Reading a
    damaged part raises DamagedFile, ExpandsTooLarge, or an error of zipfile or lxml, which `as_damaged_file`
    turns into DamagedFile."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.entries = {_part_name(entry): entry for entry in archive.infolist()}

    def has_part(self, part: str) -> bool:
        """Whether the archive has a part of this name (in small letters)."""
        return part in self.entries

    def main_part(self) -> str:
        """Returns the name of the workbook's main part, or ""."""
        for relationship in self._internal_relationships(""):
            if relationship.kind == "officeDocument":
                return relationship.target
        return ""

    def open(self, part: str) -> PartStream:
        """Returns a part as a stream, which the caller closes. Raises DamagedFile if it is missing, errors of
        zipfile if it can't be opened."""
        if not self.has_part(part):
            raise DamagedFile(f"no part {part}")
        return PartStream(self.archive.open(self.entries[part]))

    def require_intact(self, part: str) -> None:
        """Read a part through and raise, for a damaged one, what zipfile and zlib raise (no DamagedFile but
        for a missing part). The checksum is compared only at the end, and a part that is not read to its end
        could contain anything."""
        with self.open(part) as stream:
            while stream.read(READ_SIZE):
                pass

    def parse_part(self, part: str, *, recover: bool = False) -> Any:
        """Returns the root element of a small part; with `recover`, as much as can be parsed. Raises
        DamagedFile if it is missing, ExpandsTooLarge beyond MAX_SMALL_PART, errors of zipfile and zlib, and
        of lxml for invalid XML."""
        with self.open(part) as stream:
            content = stream.read(MAX_SMALL_PART + 1)
        if len(content) > MAX_SMALL_PART:
            raise ExpandsTooLarge
        return etree.fromstring(
            content,
            etree.XMLParser(recover=recover, **SAFE_PARSER_OPTIONS),
        )

    def relationships_of(self, part: str) -> dict[str, Relationship]:
        """Returns id → relationship of `part` inside the file."""
        return {relationship.id: relationship for relationship in self._internal_relationships(part)}

    def external_links_of(self, part: str) -> dict[str, str]:
        """Returns id → address of the relationships of `part` outside the file."""
        return {
            relationship.id: relationship.target
            for relationship in self._relationships(part)
            if relationship.is_external
        }

    def _internal_relationships(self, part: str) -> Iterator[Relationship]:
        """Yields the relationships of `part` inside the file."""
        return (relationship for relationship in self._relationships(part) if not relationship.is_external)

    def _relationships(self, part: str) -> Iterator[Relationship]:
        """Yields all relationships of `part`."""
        folder, name = posixpath.split(part)
        listing = posixpath.join(folder, "_rels", f"{name}.rels")
        if self.has_part(listing):
            for element in self.parse_part(listing).iterfind("{*}Relationship"):
                yield _parse_relationship(element, folder)


def _part_name(entry: zipfile.ZipInfo) -> str:
    """Returns the name by which other parts refer to an entry of the archive."""
    return entry.filename.replace("\\", "/").lstrip("/").lower()


def _parse_relationship(element: Any, folder: str) -> Relationship:
    """Returns a relationship of a part in `folder`."""
    is_external = element.get("TargetMode") == "External"
    target = element.get("Target", "")
    return Relationship(
        element.get("Id", ""),
        element.get("Type", "").rpartition("/")[2],
        target if is_external else _resolve_target(folder, target),
        is_external,
    )


def _resolve_target(folder: str, target: str) -> str:
    """Returns the name of the part that a `target` in `folder` means."""
    return posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/").lower()
