"""Warnings about the contents of a sheet that are not imported: columns, hidden rows and columns,
pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dingkao.integrations.spreadsheets.cells import (
    Area,
    SheetTable,
    cell_text,
    is_blank_cell,
)
from dingkao.integrations.spreadsheets.header import (
    DECORATIONS,
    Header,
    RowView,
)
from dingkao.integrations.spreadsheets.import_rows import RowProblem
from dingkao.tenants.encryption import normalise_text

IGNORED_HEADINGS = frozenset({"序号", "编号", "行号", "NO", "行", "列", "原因", "处理办法"})
"""Headings about which no warning is needed: running numbers, and the columns that our own report of refused
rows adds."""
MAX_ROWS_NAMED, MAX_HEADING_LENGTH = 20, 40
UNUSED_COLUMN_REMEDY = (
    "系统不认识这个列名，或同一内容另有一列；需要导入的请改用模板中的列名，否则可以不理会。"
)


@dataclass
class UnusedColumns:
    """The filled columns below a header that are not read. `reported`: normalised headings that were reported
    for this file; `headings`: column → heading without blanks, of this sheet's unused columns; `filled`:
    columns with a filled cell."""

    header: Header
    reported: set[str]
    filled: set[int] = field(default_factory=set)
    headings: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        ignored = {"", *IGNORED_HEADINGS, *self.reported}
        self.headings = {
            column: heading
            for column, heading in self._unused_headings()
            if _normalise(heading) not in ignored
        }

    def _unused_headings(self) -> Iterator[tuple[int, str]]:
        """Yields (column, heading without white space) of the columns that are not ours."""
        used_columns = set(self.header.positions.values())
        for column, heading in self.header.headings.items():
            if column not in used_columns:
                yield column, "".join(cell_text(heading).split())

    def observe(self, line: RowView) -> None:
        """Store which of the columns a row fills."""
        if len(self.filled) < len(self.headings):
            self.filled |= {column for column in self.headings if not is_blank_cell(line.cells.get(column))}

    def problems(self) -> Iterator[RowProblem]:
        """Yields a warning for each heading of a filled column that was not reported for this file yet, and
        notes it in `reported`."""
        for column, heading in self.headings.items():
            normalised = _normalise(heading)
            if column in self.filled and normalised not in self.reported:
                self.reported.add(normalised)
                row = self.header.rows[-1].number
                yield RowProblem(
                    row,
                    heading[:MAX_HEADING_LENGTH],
                    "未使用该列",
                    UNUSED_COLUMN_REMEDY,
                )


def _normalise(heading: str) -> str:
    """Returns a heading in the form in which headings are compared."""
    return normalise_text(heading).strip(DECORATIONS)


def sheet_problems(
    table: SheetTable,
    header: Header,
    sheet: str,
    hidden_numbers: Sequence[int],
) -> Iterator[RowProblem]:
    """Yields warnings about a sheet's hidden rows (one for all), those of our columns that are hidden, and
    its pictures (one for all). `sheet`: its name, "" for the first one; `hidden_numbers`: numbers of the
    hidden rows, ascending."""
    suffix = f"（{sheet}）" if sheet else ""
    if hidden_numbers:
        yield _hidden_rows_problem(hidden_numbers, suffix)
    yield from _hidden_column_problems(table, header)
    if table.pictures:
        yield _pictures_problem(table.pictures, suffix)


def _pictures_problem(pictures: Sequence[Area], suffix: str) -> RowProblem:
    """Returns the warning about pictures."""
    return RowProblem(
        min(area[0] for area in pictures),
        f"图片{suffix}",
        f"表中有{len(pictures)}个图片或图形",
        "没有导入。其中有需要的内容时，请改填文字。",
    )


def _hidden_column_problems(table: SheetTable, header: Header) -> Iterator[RowProblem]:
    """Yields warnings about our columns that are hidden."""
    for name, column in header.positions.items():
        if _is_hidden_column(table, column):
            yield RowProblem(
                header.rows[-1].number,
                header.headings.get(column, name),
                "这一列是隐藏的",
                "已照常导入；不应导入的请删去该列后重新上传。",
            )


def _is_hidden_column(table: SheetTable, column: int) -> bool:
    """Whether a column is hidden."""
    return any(first <= column <= last for first, last in table.hidden_columns)


def _hidden_rows_problem(hidden_numbers: Sequence[int], sheet_suffix: str) -> RowProblem:
    """Returns the one warning about all hidden rows of a sheet. `hidden_numbers`: their row numbers,
    ascending, at least one; `sheet_suffix`: the sheet's name in brackets, "" for the first sheet."""
    numbers = "、".join(str(number) for number in hidden_numbers[:MAX_ROWS_NAMED])
    if len(hidden_numbers) > MAX_ROWS_NAMED:
        numbers += "等"
    return RowProblem(
        hidden_numbers[0],
        f"整行{sheet_suffix}",
        f"有{len(hidden_numbers)}行被筛选或隐藏",
        f"第{numbers}行没有导入。需要导入的，请取消筛选、取消隐藏后重新上传；不需要的可以不理会。",
    )
