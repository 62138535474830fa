"""The lines of an import's report: what is wrong with which row, why, what to do about it, and the row
itself, so that it can be corrected and imported again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dingkao.integrations.spreadsheets.import_rows import (
    ImportRow,
    RowProblem,
)


@dataclass(frozen=True)
class ReportLayout:
    """The columns of a report. `columns`: our name → headings of the imported file; `has_kind`: a column
    tells warnings from errors."""

    columns: Mapping[str, Sequence[str]]
    has_kind: bool

    def headings(self) -> list[str]:
        """The report's first row."""
        return [
            "行",
            "列",
            *(["结果"] if self.has_kind else []),
            "原因",
            "处理办法",
            *(headings[0] for headings in self.columns.values()),
        ]

    def lines(
        self,
        rows: Sequence[ImportRow],
        problems: Sequence[RowProblem],
        word: str,
    ) -> list[list[Any]]:
        """The report's lines for these problems, of `rows` or of the whole file: row number, column, kind
        (`word`, if the report has it), reason, remedy, and the cells of the imported row."""
        by_number: dict[int, list[ImportRow]] = {}
        for row in rows:
            by_number.setdefault(row.number, []).append(row)
        return [
            self._line(
                problem,
                _row_of_problem(problem, by_number.get(problem.row, [])),
                word,
            )
            for problem in problems
        ]

    def _line(self, problem: RowProblem, row: ImportRow | None, word: str) -> list[Any]:
        """One line of the report (see `lines`)."""
        return [
            problem.row,
            problem.column,
            *([word] if self.has_kind else []),
            problem.reason,
            problem.remedy,
            *(row.displayed_text(name) if row else "" for name in self.columns),
        ]


def problem_as_json(problem: RowProblem) -> dict[str, Any]:
    """A problem as a job's result has it."""
    return {
        "row": problem.row,
        "column": problem.column,
        "reason": problem.reason,
        "remedy": problem.remedy,
    }


def _row_of_problem(problem: RowProblem, rows: Sequence[ImportRow]) -> ImportRow | None:
    """The row to which a problem belongs, among `rows` with its row number (one of each sheet); None if the
    problem belongs to no readable row."""
    rows_of_sheet = [row for row in rows if _is_of_sheet(problem, row)]
    rows_without_sheet = [row for row in rows if not row.sheet]
    return next(iter(rows_of_sheet or rows_without_sheet), None)


def _is_of_sheet(problem: RowProblem, row: ImportRow) -> bool:
    """Whether the problem's column label ends with the name of the row's sheet, as `ImportRow.column_label`
    writes it; False for a row of the first sheet, whose name isn't written."""
    return bool(row.sheet) and problem.column.endswith(row.column_label(""))
