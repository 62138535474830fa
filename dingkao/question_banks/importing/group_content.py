"""What the questions of a group share: if a file has it only in the group's first row, it is copied to the
group's other rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dingkao.integrations.spreadsheets.cells import CellProblem
from dingkao.integrations.spreadsheets.import_rows import ImportRow
from dingkao.question_banks.importing.columns import (
    OPTION_COLUMNS,
    cell_text,
)
from dingkao.question_banks.importing.parsed_question import (
    InvalidQuestionRow,
)
from dingkao.question_banks.importing.row_validation import parse_type
from dingkao.question_banks.question_types import (
    SharedContent,
    shared_content,
)

_CONTENT_COLUMNS = {
    SharedContent.CASE: ("case_stem",),
    SharedContent.OPTIONS: ("options", *OPTION_COLUMNS),
}
"""What a group shares → the columns that hold it."""


def with_shared_content(
    rows: Iterable[ImportRow],
) -> Iterator[ImportRow]:
    """The rows, in the order of the file, each with what its group shares: a case or options that are only in
    the group's first row are copied to the rows of the same sheet with the same 组号, or, without 组号, to
    the rows directly below. A row of such a group that names no type gets the group's."""
    groups = _GroupState()
    for row in rows:
        yield groups.apply_to(row)


@dataclass(frozen=True)
class _GroupContent:
    """What a row says about its group: cells, problems of cells that can't be read, whether pictures are on
    the row, and its links."""

    cells: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, CellProblem] = field(default_factory=dict)
    has_pictures: bool = False
    links: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The group's label (组号); "" if the row has none."""
        return cell_text(ImportRow(0, self.cells), "group")


_EMPTY_CONTENT = _GroupContent()


@dataclass
class _GroupState:
    """What the rows above on the same sheet have said. `contents`: (what is shared, label) → the content;
    `kinds`: label → the type; `content_above` and `shared_above`: those of the row directly above."""

    sheet: str | None = None
    contents: dict[tuple[SharedContent, str], _GroupContent] = field(default_factory=dict)
    kinds: dict[str, Any] = field(default_factory=dict)
    content_above: _GroupContent = _EMPTY_CONTENT
    shared_above: SharedContent | None = None

    def apply_to(self, row: ImportRow) -> ImportRow:
        """The row with what its group shares, which is remembered for the rows below; without, if its type
        has no groups. To be called in the order of the file."""
        if row.sheet != self.sheet:
            self._begin_sheet(row.sheet)
        group = cell_text(row, "group")
        row = self._with_kind_of_group(row, group)
        shared = _shared_content_of_row(row)
        if shared is None:
            self._forget_row_above()
            return row
        content = self._content_of_row(row, shared, group)
        self._remember(row, shared, group or content.group, content)
        return _add_content(row, content)

    def _begin_sheet(self, sheet: str | None) -> None:
        """Forget what the rows of the previous sheet have said."""
        self.sheet = sheet
        self.contents, self.kinds = {}, {}
        self._forget_row_above()

    def _forget_row_above(self) -> None:
        """Forget what the row directly above has said."""
        self.content_above, self.shared_above = _EMPTY_CONTENT, None

    def _with_kind_of_group(self, row: ImportRow, group: str) -> ImportRow:
        """The row with the type of its group, if it names none itself."""
        if group not in self.kinds or cell_text(row, "kind"):
            return row
        return replace(row, cells={**row.cells, "kind": self.kinds[group]})

    def _remember(
        self,
        row: ImportRow,
        shared: SharedContent,
        group: str,
        content: _GroupContent,
    ) -> None:
        """Remember what a row shares for the rows directly below and for those of its group."""
        if group:
            self.contents[shared, group] = content
            self.kinds[group] = row.cells.get("kind", "")
        self.content_above, self.shared_above = content, shared

    def _content_of_row(self, row: ImportRow, shared: SharedContent, group: str) -> _GroupContent:
        """What the row shares with its group: what it says itself, or what was said above."""
        columns = _CONTENT_COLUMNS[shared]
        if not _says_something(row, columns):
            return self._content_said_above(shared, group)
        content = _own_content(row, (*columns, "group"))
        if group or not self._repeats_above(shared, content, columns):
            return content
        return self.content_above

    def _content_said_above(self, shared: SharedContent, group: str) -> _GroupContent:
        """What was said above for a group; without 组号, what the row directly above shares."""
        if group:
            return self.contents.get((shared, group), _EMPTY_CONTENT)
        return self.content_above if self.shared_above is shared else _EMPTY_CONTENT

    def _repeats_above(
        self,
        shared: SharedContent,
        content: _GroupContent,
        columns: Iterable[str],
    ) -> bool:
        """Whether a row says the same as the row directly above in all those of `columns` for which it has a
        cell."""
        cells_above = self._content_said_above(shared, "").cells
        if not cells_above or content.problems:
            return False
        own_cells = _cells_of_columns(content.cells, columns)
        return all(cells_above.get(column) == cell for column, cell in own_cells.items())


def _says_something(row: ImportRow, columns: Iterable[str]) -> bool:
    """Whether a row has a cell that isn't empty, or can't be read, in one of `columns`."""
    return any(cell_text(row, column) or column in row.problems for column in columns)


def _own_content(row: ImportRow, columns: Sequence[str]) -> _GroupContent:
    """What a row says itself in `columns`."""
    return _GroupContent(
        _cells_of_columns(row.cells, columns),
        _cells_of_columns(row.problems, columns),
        row.picture_columns,
        row.links,
    )


def _cells_of_columns(cells: Mapping[str, Any], columns: Iterable[str]) -> dict[str, Any]:
    """Those of `cells` that are in `columns`."""
    return {column: cells[column] for column in columns if column in cells}


def _add_content(row: ImportRow, content: _GroupContent) -> ImportRow:
    """The row with the cells of its group's content, which count more than its own, and also that content's
    problems, pictures and links."""
    return replace(
        row,
        cells={**row.cells, **content.cells},
        problems={**row.problems, **content.problems},
        picture_columns=row.picture_columns or content.has_pictures,
        links=tuple(dict.fromkeys((*row.links, *content.links))),
    )


def _shared_content_of_row(row: ImportRow) -> SharedContent | None:
    """What the row's group shares according to its type; None if the type has no groups, isn't named or can't
    be read."""
    try:
        return shared_content(parse_type(row))
    except InvalidQuestionRow:
        return None
