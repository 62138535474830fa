"""Values of cells in OpenDocument's spreadsheets (.ods). The file has the shown text of each cell next to its
value, so number formats need not be applied. A ValueError of these functions means a damaged file (`ods`)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from dingkao.integrations.spreadsheets.cells import (
    CONTAINS_PICTURE,
    IS_DATE,
    NOT_CALCULATED,
    UNREADABLE,
    FormattedNumber,
    text_problem,
)
from dingkao.integrations.spreadsheets.number_formats import (
    format_general,
)
from dingkao.integrations.spreadsheets.ods_text import attribute


def cell_value(cell: Any, styled_text: Any, displayed_text: str) -> Any:
    """Returns the value of a cell as people see it, or its problem; None if it shows nothing. `styled_text`:
    its text as a cell (see `cell_from_runs`); `displayed_text`: its text without markup. Raises ValueError
    for a number that is none."""
    kind = attribute(cell, "value-type")
    if not kind:
        return _untyped_value(cell, styled_text, displayed_text)
    if not isinstance(styled_text, str):
        return styled_text
    return _TYPES[kind](cell, displayed_text) if kind in _TYPES else UNREADABLE


def _untyped_value(cell: Any, styled_text: Any, displayed_text: str) -> Any:
    """Returns the value of a cell without a type: its text, None if nothing is shown, or the problem of a
    formula without result."""
    if attribute(cell, "formula"):
        return text_problem(displayed_text) or NOT_CALCULATED
    return styled_text if displayed_text else None


def _string_value(cell: Any, displayed_text: str) -> Any:
    """Returns the shown text, None if it is empty, or CONTAINS_PICTURE if the cell shows a picture by its
    formula (DISPIMG)."""
    return CONTAINS_PICTURE if "DISPIMG(" in attribute(cell, "formula") else displayed_text or None


def _number_value(cell: Any, displayed_text: str) -> Any:
    """Returns a float, or a FormattedNumber if it is shown otherwise than as a plain number; UNREADABLE if
    nothing is shown. Raises ValueError for a value that is no number."""
    value = float(attribute(cell, "value"))
    if not displayed_text.strip():
        return UNREADABLE
    is_general = displayed_text == format_general(value)
    return value if is_general else FormattedNumber(value, displayed_text.strip())


def _date_value(cell: Any, displayed_text: str) -> Any:
    """Returns a datetime if the last two digits of its year are shown; else IS_DATE, also for a value that is
    no date."""
    try:
        moment = datetime.fromisoformat(attribute(cell, "date-value"))
    except ValueError:
        return IS_DATE
    return moment if f"{moment.year % 100:02d}" in displayed_text else IS_DATE


def _boolean_value(cell: Any, _displayed_text: str) -> bool:
    """Returns the value of a boolean."""
    return attribute(cell, "boolean-value") == "true"


def _time_problem(_cell: Any, _displayed_text: str) -> Any:
    """Returns IS_DATE: a time of day is read nowhere."""
    return IS_DATE


_TYPES: dict[str, Callable[[Any, str], Any]] = {
    "string": _string_value,
    "date": _date_value,
    "time": _time_problem,
    "boolean": _boolean_value,
    "float": _number_value,
    "percentage": _number_value,
    "currency": _number_value,
}
"""Type of a cell → the function that returns its value, from its element and the shown text."""
