"""Writes workbooks (.xlsx) with plain cells: lists, templates, reports of refused rows."""

import io
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import xlsxwriter

TEMP_DIR_PREFIX = "dingkao-sheet-"
MIN_COLUMN_WIDTH, MAX_COLUMN_WIDTH, WIDTH_PER_CHARACTER = 12, 40, 3
"""Widths of columns, in characters of the standard font."""
_TEXT_ONLY = {
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def write_xlsx(
    headings: Sequence[str],
    rows: Iterable[Sequence[Any]],
    sheet: str = "Sheet1",
    *,
    large: bool = False,
) -> bytes:
    """Returns a workbook with one sheet of numbers and texts; nothing becomes a formula. A `large` one, with
    hundreds of thousands of rows, is written through a temporary folder instead of in memory."""
    buffer = io.BytesIO()
    with (
        _private_temp_dir() if large else nullcontext() as folder,
        xlsxwriter.Workbook(buffer, _TEXT_ONLY | _storage_options(folder)) as workbook,
    ):
        worksheet = workbook.add_worksheet(sheet)
        _write_headings(workbook, worksheet, headings)
        for number, cells in enumerate(rows, 1):
            _write_row(worksheet, number, cells)
    return buffer.getvalue()


def _storage_options(folder: str | None) -> dict[str, Any]:
    """Returns the options for writing row by row in a folder, or in memory without one."""
    return {"constant_memory": True, "tmpdir": folder} if folder else {"in_memory": True}


def _write_row(worksheet: Any, number: int, cells: Sequence[Any]) -> None:
    """Write row `number`, from 0."""
    for column, cell in enumerate(cells):
        if isinstance(cell, int | float):
            worksheet.write_number(number, column, cell)
        else:
            worksheet.write_string(number, column, str(cell if cell is not None else ""))


def _write_headings(workbook: Any, worksheet: Any, headings: Sequence[str]) -> None:
    """Write the first row, which stays visible, and set the columns' widths from it."""
    heading_format = workbook.add_format({"bold": True, "text_wrap": True})
    worksheet.freeze_panes(1, 0)
    for column, heading in enumerate(headings):
        width = max(
            MIN_COLUMN_WIDTH,
            min(MAX_COLUMN_WIDTH, len(heading) * WIDTH_PER_CHARACTER),
        )
        worksheet.write_string(0, column, heading, heading_format)
        worksheet.set_column(column, column, width)


@contextmanager
def _private_temp_dir() -> Iterator[str]:
    """Yield a temporary folder that only this user can read."""
    _remove_abandoned_dirs()
    with TemporaryDirectory(prefix=f"{TEMP_DIR_PREFIX}{os.getpid()}-") as folder:
        yield folder


def _remove_abandoned_dirs() -> None:
    """Remove temporary folders of processes that were killed, because their rows contain names."""
    for path in Path(gettempdir()).glob(f"{TEMP_DIR_PREFIX}*"):
        process_id = path.name.removeprefix(TEMP_DIR_PREFIX).split("-")[0]
        if not Path("/proc", process_id).exists():
            shutil.rmtree(path, ignore_errors=True)
