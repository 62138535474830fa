"""What a cell shows because of its style: number format, strike-through, sub- and superscript."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from dingkao.integrations.spreadsheets.cells import (
    EXCEL_ZERO,
    IS_DATE,
    UNREADABLE,
    FormattedNumber,
    TextRun,
    cell_from_runs,
    struck_out_problem,
)
from dingkao.integrations.spreadsheets.number_formats import (
    DATE,
    GENERAL,
    TIME,
    NotDisplayable,
    NumberFormat,
    format_general,
    parse_number_format,
)

MAX_DATE_SERIAL = 2958466
"""The serial number after that of the last possible day, 9999-12-31."""
LEAP_DAY_SERIAL, SECONDS_PER_DAY = 60, 86400
TextPiece = tuple[str, bool, str, bool]
"""A piece of rich text: text, whether it is struck out, tag (sup, sub or ""), and whether the cell's style
decides these two instead."""


@dataclass(frozen=True)
class CellStyle:
    """A cell's number format, whether its text is struck out, and its `tag`: sup, sub or ""."""

    format: NumberFormat
    is_struck_out: bool = False
    tag: str = ""

    @property
    def shows_text_unchanged(self) -> bool:
        """Whether a text is shown without changes."""
        return not self.has_markup and self.format.shows_text_unchanged

    @property
    def shows_numbers_unchanged(self) -> bool:
        """Whether a number is shown without changes."""
        return not self.has_markup and self.format.kind == GENERAL

    @property
    def has_markup(self) -> bool:
        """Whether it strikes text out, or shows it as sub- or superscript."""
        return self.is_struck_out or bool(self.tag)

    def style_text(self, text: str | Iterable[TextPiece]) -> Any:
        """Returns a text, plain or in pieces, as a cell in this style: a str, RichText if some of it is sub-
        or superscript, or a CellProblem if some of it is struck out or the format hides it."""
        if not isinstance(text, str):
            return cell_from_runs(map(self._to_run, text))
        if self.has_markup:
            return self._mark_up(text)
        try:
            return self.format.format_text(text)
        except NotDisplayable:
            return UNREADABLE

    def _mark_up(self, text: str) -> Any:
        """Returns a text as a cell with the strike-through and tag of this style."""
        return cell_from_runs([TextRun(text, self.is_struck_out, self.tag)])

    def _to_run(self, piece: TextPiece) -> TextRun:
        """Returns a piece of rich text as a run, in its own font or the cell's."""
        text, is_struck_out, tag, has_cell_font = piece
        if has_cell_font:
            return TextRun(text, self.is_struck_out, self.tag)
        return TextRun(text, is_struck_out, tag)

    def style_number(self, value: float, date_epoch: date) -> Any:
        """Returns a number as a cell in this style, in a date format as the datetime of a serial number that
        counts from `date_epoch`; a CellProblem for what can't be read as it is shown."""
        if not math.isfinite(value):
            return UNREADABLE
        if self.format.kind in (DATE, TIME):
            return self._style_datetime(value, date_epoch)
        return self._style_finite(value)

    def _style_finite(self, value: float) -> Any:
        """Returns a number that is not a date as a cell in this style: itself if it is shown in the General
        format, else a FormattedNumber, RichText or CellProblem."""
        try:
            text = self.format.format_number(value)
        except NotDisplayable:
            return UNREADABLE
        if self.has_markup:
            return self._mark_up(text)
        return value if text == format_general(value) else FormattedNumber(value, text)

    def _style_datetime(self, value: float, date_epoch: date) -> Any:
        """Returns the datetime (naive) of a serial number; a CellProblem if the style does not show its date,
        or it is struck out."""
        if self.format.kind == TIME or not 0 <= value < MAX_DATE_SERIAL:
            return IS_DATE
        moment = _moment_of_serial(value, date_epoch)
        return struck_out_problem(moment.date().isoformat()) if self.is_struck_out else moment


def _moment_of_serial(value: float, date_epoch: date) -> datetime:
    """Returns the datetime (naive) of a serial number that counts from `date_epoch`, rounded to seconds."""
    # Excel counts a 29th of February 1900, which did not exist
    missing_days = 1 if date_epoch == EXCEL_ZERO and value < LEAP_DAY_SERIAL else 0
    elapsed = timedelta(
        days=int(value) + missing_days,
        seconds=round((value % 1) * SECONDS_PER_DAY),
    )
    return datetime(date_epoch.year, date_epoch.month, date_epoch.day) + elapsed  # noqa: DTZ001


PLAIN_STYLE = CellStyle(parse_number_format("General"))
