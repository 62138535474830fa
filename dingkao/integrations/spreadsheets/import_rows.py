"""Rows of a spreadsheet, or of another file of records, and the report of an import."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from dingkao.integrations.spreadsheets.cells import (
    EXCEL_ZERO,
    CellProblem,
    FormattedNumber,
    cell_text,
)
from dingkao.integrations.spreadsheets.dates import (
    date_from_serial,
    date_from_text,
)
from dingkao.tenants.encryption import normalise_text

MAX_EXACT_DIGITS = 15
"""The number of digits that Excel stores; it replaces further digits by zeros."""
EMPTY_WORDS = frozenset(
    {
        "",
        "无",
        "/",
        "\\",
        "-",
        "--",
        "\u2014",
        "\u2014\u2014",
        "0",
        "NAN",
        "NONE",
        "NULL",
    }
)
"""Texts, normalised, that people write for an empty value."""
_TIME = re.compile(r"[\sT]+[0-9]{1,2}[:\uff1a][0-9]{2}([:\uff1a][0-9.]+)?Z?$")
SCIENTIFIC_PATTERN = re.compile(r"[0-9](\.[0-9]+)?E\+?[0-9]{2}")
_FOOTER_PATTERN = re.compile(r"合计|小计|总计|填表人|填报人|审核人|制表人|备注|注:|说明|以下空白|共[0-9]+")


@dataclass(frozen=True)
class RowProblem:
    """A problem of a row: its number in the sheet, the column's heading, the reason, and what to do about
    it."""

    row: int
    column: str
    reason: str
    remedy: str


@dataclass
class ImportReport:
    """How many rows an import accepted as new, changed and left unchanged, and their problems. A row with an
    error was refused; a warning refuses nothing."""

    accepted: int = 0
    changed: int = 0
    unchanged: int = 0
    errors: list[RowProblem] = field(default_factory=list)
    warnings: list[RowProblem] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Returns the report as JSON values; "refused" is the number of errors."""
        return {
            "accepted": self.accepted,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "refused": len(self.errors),
            "errors": [asdict(problem) for problem in self.errors],
            "warnings": [asdict(problem) for problem in self.warnings],
        }


@dataclass(frozen=True)
class ReportedProblem:
    """A problem as the sandboxed process passes it on: an error or a warning."""

    problem: RowProblem
    is_error: bool


@dataclass(frozen=True)
class ImportRow:
    """One row: its number in the sheet, and our column name → cell. An empty cell is "". A column that the
    sheet does not have is missing in `cells`, and so is a cell that can't be read, which is in `problems`.

    `sheet`: name of the sheet, "" for the first one; `header_row`: the row's first filled cell, in any
    column; `picture_columns`: whether pictures are on the row; `links`: addresses outside the file that its
    cells lead to; `date_epoch`: the day from which serial numbers count.
    """

    number: int
    cells: Mapping[str, Any]
    sheet: str = ""
    header_row: Any = ""
    problems: Mapping[str, CellProblem] = field(default_factory=dict)
    picture_columns: bool = False
    date_epoch: date = EXCEL_ZERO
    links: tuple[str, ...] = ()

    def text(self, column: str) -> str:
        """Returns a cell as text, see `cell_text`; "" for one that is missing or can't be read."""
        return cell_text(self.cells.get(column, ""))

    def displayed_text(self, column: str) -> str:
        """Returns a cell's text for a report; for a cell that can't be read, the text that it shows."""
        return self.problems[column].displayed_text if column in self.problems else self.text(column)

    def date_value(self, column: str) -> date | None:
        """Returns a cell as a date: from a date cell, a serial number, or a text such as 2024年9月1日; for a
        month its first day. None for a cell that is empty, missing or can't be read. Raises ValueError for
        anything else, such as a year alone."""
        value = self._plain_value(column)
        if isinstance(value, date):
            return value.date() if isinstance(value, datetime) else value
        if isinstance(value, float | int) and not isinstance(value, bool):
            return date_from_serial(value, self.date_epoch)
        return self._written_date(column)

    def _written_date(self, column: str) -> date | None:
        """Returns a cell's text as a date; None for an empty one. Raises ValueError."""
        text = normalise_text(_TIME.sub("", self.text(column)))
        return date_from_text(text, self.date_epoch) if text else None

    def has_lost_digits(self, column: str) -> bool:
        """Whether Excel has treated a long number as a quantity, so that its last digits are lost."""
        value = self._plain_value(column)
        if isinstance(value, float | int):
            return abs(value) >= 10**MAX_EXACT_DIGITS
        return isinstance(value, str) and SCIENTIFIC_PATTERN.fullmatch(normalise_text(value)) is not None

    def _plain_value(self, column: str) -> Any:
        """Returns a cell, for a FormattedNumber its number; "" if it is missing."""
        value = self.cells.get(column, "")
        return value.value if isinstance(value, FormattedNumber) else value

    def column_label(self, heading: str) -> str:
        """Returns a heading for a problem: with the sheet's name if it is not the first sheet, because rows
        are numbered in each."""
        return f"{heading}（{self.sheet}）" if self.sheet else heading

    def is_footer(self, name: str, *always_filled: str) -> bool:
        """Whether the row is below the table and not one of its rows: a sum, signature or remark in its first
        filled cell or in the column `name`, and nothing in the columns `always_filled`, which every real row
        has."""
        if any(self.text(column) for column in always_filled):
            return False
        texts = (self.text(name), cell_text(self.header_row))
        return any(_FOOTER_PATTERN.match(normalise_text(text)) for text in texts)
