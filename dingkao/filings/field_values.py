"""Stored values of fields: their texts in forms and for people, their etags, and which are missing or
apply."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from typing import Any

from dingkao.filings.fields import Field

EMPTY_VALUES: tuple[Any, ...] = (None, "", [])
DEPENDS_ON = {
    "good_records": ("good_record", "yes"),
    "bad_records": ("bad_record", "yes"),
    "direct_fail_which": ("direct_fail", "yes"),
    "direct_fail_note": ("direct_fail", "yes"),
    "ground": ("procedure", "simple"),
    "report": ("procedure", "simple"),
}
"""Field or list → the field it depends on, and the answer there with which it applies."""


def form_value(value: Any) -> list[str]:
    """Returns the texts with which a form sends a stored value: one for each value, none for an empty one."""
    if value in EMPTY_VALUES:
        return []
    if isinstance(value, list):
        return [str(item) for item in value]
    return [str(value)]


def non_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `values` without those that are None, "" or an empty list; False and 0 stay."""
    return {name: value for name, value in values.items() if value not in EMPTY_VALUES}


def form_values(fields: Iterable[Field], values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns field name → texts with which a form sends the stored value of each of `fields`."""
    return {field.name: form_value(values.get(field.name)) for field in fields}


def etag_of(value: Any) -> str:
    """Returns the etag of a stored value. A page that shows the value sends the etag back, so that a change
    by another page is noticed."""
    return hashlib.sha256(json.dumps(form_value(value)).encode()).hexdigest()[:12]


def missing_fields(fields: Collection[Field], stored: Mapping[str, Any]) -> list[Field]:
    """Returns the required fields that are empty in `stored`."""
    return [field for field in fields if field.required and stored.get(field.name) in EMPTY_VALUES]


def is_applicable(name: str, stored: Mapping[str, Any]) -> bool:
    """Whether a field or list counts, given the stored answer on which it depends. If that answer changes,
    its values stay stored but are not shown."""
    deciding_field, answer = DEPENDS_ON.get(name, ("", None))
    return not deciding_field or stored.get(deciding_field) == answer


def display_value(field: Field, value: Any) -> str:
    """Returns a stored value as people read it; "" for an empty value."""
    if value in EMPTY_VALUES:
        return ""
    display = _DISPLAYS.get(field.kind, _display_with_unit)
    return display(field, value)


def _display_with_unit(field: Field, value: Any) -> str:
    return f"{value}{field.unit}"


def _display_choice(field: Field, code: str) -> str:
    return (field.choices or {}).get(code, code)


def _display_choices(field: Field, codes: list[str]) -> str:
    return "、".join(_display_choice(field, code) for code in codes)


def _display_day(_field: Field, iso_day: str) -> str:
    day = date.fromisoformat(iso_day)
    return f"{day.year}年{day.month:02d}月{day.day:02d}日"


def _display_month(_field: Field, iso_month: str) -> str:
    return f"{iso_month[:4]}年{iso_month[5:7]}月"


def _display_checkbox(_field: Field, _value: str) -> str:
    return "已承诺"


_DISPLAYS: dict[str, Callable[[Field, Any], str]] = {
    "one": _display_choice,
    "many": _display_choices,
    "day": _display_day,
    "month": _display_month,
    "tick": _display_checkbox,
}
"""Kind of field → the function that shows its value; other kinds are shown with their unit."""
