"""Cells of a sheet (.xlsx), from parsed elements: their values as people see them, or why they can't be
read."""

from datetime import date, datetime
from typing import Any, NamedTuple

from dingkao.integrations.spreadsheets.cell_styles import CellStyle
from dingkao.integrations.spreadsheets.cells import (
    CONTAINS_PICTURE,
    IS_DATE,
    NOT_CALCULATED,
    CellProblem,
    error_problem,
    shows_picture,
)
from dingkao.integrations.spreadsheets.xlsx_parts import (
    BookStyles,
    SharedStrings,
    is_true,
    rich_text_runs,
    unescape,
)

_TEXT_KINDS = ("str", "s")


class BookContent(NamedTuple):
    """What the sheets of a workbook have in common. `is_uncalculated`: its formulas are to be calculated when
    it is opened."""

    styles: BookStyles
    strings: SharedStrings
    date_epoch: date
    is_uncalculated: bool


def read_cell(cell: Any, formula: str | None, content: BookContent) -> Any:
    """Returns a cell as people see it: its value, its problem, or None if it shows nothing. `formula`: None
    if it has none. Raises cells.DamagedFile for a shared string that is missing, ValueError for a number that
    is none."""
    if formula is None:
        return _read_value(cell, content)
    return _formula_problem(cell, formula, content) or _read_value(cell, content)


def _read_value(cell: Any, content: BookContent) -> Any:
    """Returns the value of a cell, or the error that it shows; None if it shows nothing."""
    kind = cell.get("t", "n")
    style = content.styles.style_of(cell.get("s", "").encode())
    if kind == "inlineStr":
        return _inline_text(cell, style)
    if kind == "e":
        return _error_value(cell)
    return _typed_value(kind, cell.findtext("{*}v") or "", style, content)


def _value_text(cell: Any) -> str:
    """Returns the written value of a cell, or ""."""
    return cell.findtext("{*}v") or ""


def _inline_text(cell: Any, style: CellStyle) -> Any:
    """Returns the text that is in the cell itself, or None."""
    inline = cell.find("{*}is")
    return None if inline is None else style.style_text(rich_text_runs(inline)) or None


def _error_value(cell: Any) -> CellProblem:
    """Returns the problem of a cell that shows an error; a picture in a cell (`vm`) is written as an error
    too."""
    return CONTAINS_PICTURE if cell.get("vm") else error_problem(_value_text(cell).strip() or "#N/A")


def _typed_value(kind: str, text: str, style: CellStyle, content: BookContent) -> Any:
    """Returns the meaning of the written value of a cell with type `kind`; None if nothing is written."""
    if kind == "str":
        return style.style_text(unescape(text))
    if not text.strip():
        return None
    if kind == "s":
        return style.style_text(content.strings.string_at(int(text)))
    if kind in _PARSERS:
        return _PARSERS[kind](text.strip())
    return style.style_number(float(text), content.date_epoch)


def _parse_iso_date(text: str) -> Any:
    """Returns the datetime of an ISO 8601 text; a problem if it is none."""
    try:
        return datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        return IS_DATE


_PARSERS = {"b": is_true, "d": _parse_iso_date}
"""Type of a cell → the function that returns its value, if that depends neither on style nor on shared
strings."""


def _formula_problem(cell: Any, formula: str, content: BookContent) -> CellProblem | None:
    """Returns why a cell with a formula can't be read: it shows a picture, or its result is missing; None for
    others."""
    if shows_picture(formula):
        return CONTAINS_PICTURE
    return NOT_CALCULATED if _lacks_result(cell, is_uncalculated=content.is_uncalculated) else None


def _lacks_result(cell: Any, *, is_uncalculated: bool) -> bool:
    """Whether a formula's cell has no result, as written by programs that don't calculate. If the workbook
    `is_uncalculated`, their placeholder is no result either."""
    value = cell.find("{*}v")
    if value is None or is_uncalculated and _has_placeholder(cell):
        return True
    return not value.text and cell.get("t") not in _TEXT_KINDS


def _has_placeholder(cell: Any) -> bool:
    """Whether the result is 0, which programs that don't calculate write as a placeholder."""
    return cell.get("t", "n") == "n" and _value_text(cell).strip() == "0"
