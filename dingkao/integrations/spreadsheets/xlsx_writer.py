"""Writes workbooks (.xlsx) with plain cells: lists, templates, reports of refused rows."""

import io
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import xlsxwriter

from dingkao.errors import InvalidState

TEMP_DIR_PREFIX = "dingkao-sheet-"
MIN_COLUMN_WIDTH, MAX_COLUMN_WIDTH, WIDTH_PER_CHARACTER = 12, 40, 3
"""Widths of columns, in characters of the standard font."""
MAX_SHEET_ROWS = 1_048_575
"""Rows that a sheet holds below its headings."""
NOTES_SHEET, A4_PAPER, MAX_FOOTER_LENGTH = "说明", 9, 200
_TEXTS_STAY_TEXTS = {
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


@dataclass(frozen=True)
class SheetNotes:
    """What a file says of itself: `facts` (label, text) on a sheet «说明» of their own, `footer` under each
    printed page of the list."""

    facts: Sequence[tuple[str, str]] = ()
    footer: str = ""


def write_xlsx(
    headings: Sequence[str],
    rows: Iterable[Sequence[Any]],
    sheet: str = "Sheet1",
    *,
    large: bool = False,
) -> bytes:
    """Returns a workbook with one sheet, named `sheet` (at most 31 characters), of numbers and texts; nothing
    becomes a formula, and a text is cut after the 32,767 characters that a cell holds. A `large` one is
    written through a temporary folder; still its bytes are in memory, which `write_xlsx_file` avoids. Raises
    InvalidState for more rows than a sheet holds."""
    if large:
        with private_temp_dir() as folder:
            write_xlsx_file(folder / "sheet", headings, rows, sheet)
            return (folder / "sheet").read_bytes()
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, _TEXTS_STAY_TEXTS | {"in_memory": True}) as workbook:
        _write_sheet(workbook, sheet, headings, rows)
    return buffer.getvalue()


def write_xlsx_file(
    path: Path,
    headings: Sequence[str],
    rows: Iterable[Sequence[Any]],
    sheet: str,
    notes: SheetNotes = SheetNotes(),  # noqa: B008 - immutable
) -> None:
    """Write a workbook to `path`: numbers as numbers, everything else as text, cut after the 32,767
    characters that a cell holds; nothing becomes a formula. It goes row by row through temporary files in the
    folder of `path`, which the caller takes from `private_temp_dir`: memory does not grow with the number of
    rows. `sheet`: at most 31 characters. Raises InvalidState for more rows than a sheet holds; the file is
    then no list."""
    options = _TEXTS_STAY_TEXTS | {"constant_memory": True, "tmpdir": str(path.parent)}
    with xlsxwriter.Workbook(str(path), options) as workbook:
        worksheet = _write_sheet(workbook, sheet, headings, rows)
        _prepare_print(worksheet, notes.footer)
        if notes.facts:
            _write_facts(workbook, notes.facts)


def _write_sheet(workbook: Any, sheet: str, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """Add the sheet of the list and return it. Raises InvalidState for more rows than it holds."""
    worksheet = workbook.add_worksheet(sheet)
    _write_headings(workbook, worksheet, headings)
    for number, cells in enumerate(rows, 1):
        if number > MAX_SHEET_ROWS:
            raise InvalidState(f"一张表最多{MAX_SHEET_ROWS:,}行，请缩小范围，或改为导出csv。")
        _write_row(worksheet, number, cells)
    return worksheet


def _prepare_print(worksheet: Any, footer: str) -> None:
    """Let a printed list be as wide as a page, with its headings on each, and under it the first
    MAX_FOOTER_LENGTH characters of `footer`."""
    worksheet.set_landscape()
    worksheet.set_paper(A4_PAPER)
    worksheet.fit_to_pages(1, 0)
    worksheet.repeat_rows(0)
    if footer:
        text = footer.replace("&", "&&")
        worksheet.set_footer(f"&L{text[:MAX_FOOTER_LENGTH]}&R&P / &N")


def _write_facts(workbook: Any, facts: Sequence[tuple[str, str]]) -> None:
    """Add the sheet «说明»."""
    worksheet = workbook.add_worksheet(NOTES_SHEET)
    worksheet.set_column(0, 0, MIN_COLUMN_WIDTH)
    worksheet.set_column(1, 1, MAX_COLUMN_WIDTH * 2)
    wrapped = workbook.add_format({"text_wrap": True})
    for number, (label, text) in enumerate(facts):
        worksheet.write_string(number, 0, label)
        worksheet.write_string(number, 1, text, wrapped)


def _write_row(worksheet: Any, number: int, cells: Sequence[Any]) -> None:
    """Write row `number`, from 0: numbers (and booleans) as numbers, everything else as text, None as "". Of
    a text only the first 32,767 characters are written, which is what a cell holds."""
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
def private_temp_dir() -> Iterator[Path]:
    """Yield a temporary folder that only this user can read, and remove it after the block. Those of
    processes that were killed are removed before."""
    _remove_abandoned_dirs()
    with TemporaryDirectory(prefix=f"{TEMP_DIR_PREFIX}{os.getpid()}-") as folder:
        yield Path(folder)


def _remove_abandoned_dirs() -> None:
    """Remove temporary folders of processes that were killed, because their rows contain names."""
    for path in Path(gettempdir()).glob(f"{TEMP_DIR_PREFIX}*"):
        process_id = path.name.removeprefix(TEMP_DIR_PREFIX).split("-")[0]
        if not Path("/proc", process_id).exists():
            shutil.rmtree(path, ignore_errors=True)
