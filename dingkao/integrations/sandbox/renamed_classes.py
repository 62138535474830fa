"""Former names of classes in stored job parts. To be removed with the next release."""

import sys
from collections.abc import Mapping
from typing import Any

RENAMED: dict[tuple[str, str], tuple[str, str, dict[str, str]]] = {
    ("dingkao.outside.sheets", "Row"): (
        "dingkao.integrations.spreadsheets.import_rows",
        "ImportRow",
        {
            "flaws": "problems",
            "lead": "header_row",
            "pictured": "picture_columns",
            "zero": "date_epoch",
        },
    ),
    ("dingkao.integrations.spreadsheets.sheet_reader", "ImportRow"): (
        "dingkao.integrations.spreadsheets.import_rows",
        "ImportRow",
        {},
    ),
    ("dingkao.outside.cells", "Flaw"): (
        "dingkao.integrations.spreadsheets.cells",
        "CellProblem",
        {"shown": "displayed_text"},
    ),
    ("dingkao.outside.cells", "Shown"): (
        "dingkao.integrations.spreadsheets.cells",
        "FormattedNumber",
        {},
    ),
    ("dingkao.outside.cells", "Raised"): (
        "dingkao.integrations.spreadsheets.cells",
        "RichText",
        {"marked": "markup"},
    ),
}
"""(former module, former class) → (module, class, {former field: field})."""


def renamed_class(module: str, name: str) -> tuple[str, str, Mapping[str, str]]:
    """Returns the present module and name of a pickled class, and former field → field of those that were
    renamed."""
    return RENAMED.get((module, name), (module, name, {}))


def with_former_fields(present_class: Any, fields: Mapping[str, str]) -> Any:
    """Returns a class that replaces `present_class` while a pickle is read: instances pickled with former
    field names (`fields`: former field → field) become instances of `present_class`."""

    def set_state(instance: Any, state: dict[str, Any]) -> None:
        """Make a new instance one of `present_class`, with the present names of its fields."""
        object.__setattr__(instance, "__class__", present_class)
        instance.__dict__.update({fields.get(name, name): value for name, value in state.items()})

    return type(present_class.__name__, (present_class,), {"__setstate__": set_state})


def loaded_class(module: str, name: str) -> Any:
    """Returns the attribute `name` of a module if that is loaded and has it; else None."""
    return getattr(sys.modules.get(module), name, None)
