"""Writes lists as csv for Excel: UTF-8 with a byte order mark, so that Chinese is read as such, and lines
that end in CRLF. No cell can become a formula."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a text must not begin with, because a spreadsheet would calculate it; some read full-width signs
alike."""


def write_csv_file(path: Path, headings: Sequence[str], rows: Iterable[Sequence[Any]], note: str) -> None:
    """Write `headings`, `rows` and, unless it is "", as the last line after an empty one, `note` to the file
    at `path`, which is replaced. A text that begins like a formula gets an apostrophe before it; numbers stay
    numbers."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(map(safe_cell, headings))
        for cells in rows:
            writer.writerow(map(safe_cell, cells))
        if note:
            writer.writerows(([], [safe_cell(note)]))


def safe_cell(value: Any) -> Any:
    """The value as it is written: "" for None, a text that begins like a formula with an apostrophe before
    it."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
