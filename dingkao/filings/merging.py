"""Merges what a page sends with what is stored, field by field, so that two open pages never overwrite each
other unnoticed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from dingkao.filings.field_readers import validate_fields
from dingkao.filings.field_values import (
    EMPTY_VALUES,
    etag_of,
    form_value,
    form_values,
)
from dingkao.filings.fields import Field


@dataclass
class Merge:
    """The result of merging: `values` that may be stored now, `errors` (sentences), `conflicts` (stored
    values that another page or device has changed meanwhile), each by field name; and the names of the fields
    that `changed`."""

    values: dict[str, Any]
    errors: dict[str, str]
    conflicts: dict[str, Any]
    changed: set[str]


def merge_values(
    fields: Collection[Field],
    before: Mapping[str, Any],
    values: Mapping[str, list[str]],
    etags: Mapping[str, str] | None,
    *,
    client_ids: Mapping[str, str] | None = None,
    client_id: str = "",
    birth_date: date | None = None,
) -> Merge:
    """Merge what a page sends (`values`) with what is stored (`before`), field by field.

    `etags`: the etag of each value that the page was shown. A field that the page did not change keeps the
    stored value. A field that it changed is stored if the stored value is still the one the page was shown,
    or was written by the same page (`client_id`; `client_ids`: field name → page that wrote it); otherwise it
    is a conflict. Without `etags` the page's values are taken. `birth_date` as for `validate_fields`.
    """
    names = _submitted_names(fields, etags)
    valid_values, all_errors = _validate_typed(fields, names, before, values, birth_date)
    errors = {name: all_errors[name] for name in names if name in all_errors}
    merged = Merge(dict(before), errors, conflicts={}, changed=set())
    known_etags = _known_etags(etags, client_ids, client_id)
    for name in names:
        if name not in errors:
            _merge_value(
                merged,
                name,
                valid_values.get(name),
                before.get(name),
                known_etags.get(name),
            )
    return merged


def _known_etags(
    etags: Mapping[str, str] | None,
    client_ids: Mapping[str, str] | None,
    client_id: str,
) -> dict[str, str]:
    """Returns the etags to compare with, without those of values that the page `client_id` has written
    itself."""
    known_etags = dict(etags or {})
    for name, writer in (client_ids or {}).items():
        if writer == client_id != "":
            known_etags.pop(name, None)
    return known_etags


def _submitted_names(fields: Collection[Field], etags: Mapping[str, str] | None) -> list[str]:
    """Returns the names of the fields that the page sends: those it has etags for, or all."""
    return [field.name for field in fields if etags is None or field.name in etags]


def _validate_typed(
    fields: Collection[Field],
    names: Collection[str],
    before: Mapping[str, Any],
    values: Mapping[str, list[str]],
    birth_date: date | None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Validate the fields together: for those in `names` what the page sends, for the others what is stored.
    Returns the values that can be stored and the errors, both by field name, of all fields."""
    typed_values = form_values(fields, before) | {name: values.get(name, []) for name in names}
    touched_names = {name for name in names if _differs_from_stored(typed_values[name], before.get(name))}
    return validate_fields(
        fields,
        typed_values,
        birth_date=birth_date,
        changed=touched_names,
    )


def _merge_value(
    merged: Merge,
    name: str,
    new_value: Any,
    stored_value: Any,
    known_etag: str | None,
) -> None:
    """Merge the value of one field. `known_etag`: of the value that the page was shown; None if the page's
    value is taken anyway."""
    new_etag, stored_etag = etag_of(new_value), etag_of(stored_value)
    if new_etag == stored_etag:
        return
    if known_etag is not None and stored_etag != known_etag:
        if new_etag != known_etag:
            merged.conflicts[name] = stored_value
        return
    _take_value(merged, name, new_value)


def _differs_from_stored(texts: Collection[str], stored_value: Any) -> bool:
    """Whether the texts of the page differ from the stored value."""
    return strip_texts(texts) != form_value(stored_value)


def _take_value(merged: Merge, name: str, value: Any) -> None:
    """Take the value of the page into the merge."""
    merged.changed.add(name)
    merged.values.pop(name, None)
    if value not in EMPTY_VALUES:
        merged.values[name] = value


def strip_texts(texts: Collection[str]) -> list[str]:
    """Returns the texts without surrounding blanks, and without those that are then empty."""
    return list(filter(None, map(str.strip, texts)))
