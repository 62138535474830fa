"""The entry lists of a filing (education, work, training, records): adding, changing, removing, restoring and
moving an entry."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from dingkao.errors import InvalidInput, NotFound
from dingkao.filings.dossier import (
    ENTRY_NOT_FOUND_MESSAGE,
    Dossier,
    column_values,
    get_entry_list,
    removed_entry_key,
    set_column_values,
)
from dingkao.filings.entry_list_fields import MAX_ENTRIES
from dingkao.filings.field_readers import validate_fields
from dingkao.filings.field_values import missing_fields
from dingkao.filings.fields import Field
from dingkao.filings.filing_documents import delete_orphaned_proofs
from dingkao.filings.models import Filing
from dingkao.filings.saving import (
    STALE_MESSAGE,
    StaleSave,
    get_or_create_filing,
    update_revision,
)
from dingkao.journal.entries import Actor


def entry_etag(entry: Mapping[str, Any]) -> str:
    """Returns the etag of an entry. Its page sends the etag back, so that a change by another page is
    noticed."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:16]


def missing_entry_errors(
    fields: Collection[Field],
    values: Mapping[str, Any],
    errors: Mapping[str, str],
) -> dict[str, str]:
    """Returns field name → sentence for each required field of an entry that is empty and has no error
    yet."""
    missing = missing_fields(fields, values)
    return {field.name: f"请填写{field.label}。" for field in missing if field.name not in errors}


@dataclass
class _OpenList:
    """The entry list `kind` of a filing that the doctor may change now. `entries` and `step_values` are
    copies, which `store` writes back."""

    kind: str
    filing: Filing
    step: int
    label: str
    step_values: dict[str, Any]
    entries: list[dict[str, Any]]

    def find_index(self, entry_id: str) -> int | None:
        """Returns the index of the entry in the list; None if it was removed."""
        return next(
            (index for index, entry in enumerate(self.entries) if entry["id"] == entry_id),
            None,
        )

    def require_room(self, advice: str) -> None:
        """Raises InvalidInput, ending in the sentence `advice`, if the list is full."""
        if len(self.entries) >= MAX_ENTRIES:
            raise InvalidInput(f"{full_list_message(self.kind)}{advice}")

    def store(self) -> None:
        """Write the entries and the values of the step back to the filing; the caller counts the revision."""
        set_column_values(
            self.filing,
            self.step,
            self.step_values | {self.kind: self.entries},
        )


def full_list_message(kind: str) -> str:
    """Returns the clause that says how many entries the list `kind` may have; the advice follows it."""
    return f"{get_entry_list(kind).label}最多{MAX_ENTRIES}条，"


def _open_list(dossier: Dossier, kind: str, by: Actor) -> _OpenList:
    """Returns the entry list `kind`, of a locked dossier, ready to be changed; creates and begins the filing
    if necessary (`get_or_create_filing`). Raises NotFound for an unknown kind, InvalidState or DeadlinePassed
    if the doctor can't change the filing now."""
    entry_list = get_entry_list(kind)
    filing = get_or_create_filing(dossier, None, by)
    step_values = column_values(filing, entry_list.step)
    entries = [dict(entry) for entry in step_values.get(kind, [])]
    return _OpenList(
        kind,
        filing,
        entry_list.step,
        entry_list.label,
        step_values,
        entries,
    )


def save_entry(
    dossier: Dossier,
    kind: str,
    entry_id: str,
    values: Mapping[str, list[str]],
    *,
    by: Actor,
    etag: str | None = None,
) -> tuple[str, dict[str, str]]:
    """Store one entry of the list `kind`, and journal it; the filing of a locked dossier is created and begun
    if necessary. `entry_id` is «new» for a new one, `values`: field name → texts of the form. Returns its id
    and the errors by field name; with errors nothing is stored. Raises StaleSave if `etag` (of the entry that
    the page showed; None: not checked) is outdated, NotFound for an unknown kind or a removed entry,
    InvalidInput if the list is full, InvalidState, DeadlinePassed."""
    entry_list = get_entry_list(kind)
    entry_values, errors = validate_fields(
        entry_list.fields,
        values,
        birth_date=dossier.birth_date(),
        date_range=dossier.cycle_range(),
    )
    errors |= missing_entry_errors(entry_list.fields, entry_values, errors)
    if errors:
        return entry_id, errors
    open_list = _open_list(dossier, kind, by)
    if entry_id == "new":
        entry_id = _append_entry(open_list, entry_values)
    else:
        _replace_entry(open_list, entry_id, entry_values, etag)
    open_list.store()
    update_revision(open_list.filing, by, kind, open_list.step)
    return entry_id, {}


def _append_entry(open_list: _OpenList, entry_values: dict[str, Any]) -> str:
    """Append an entry, unless the list has one with the same values (a form sent twice). Returns the entry's
    id. Raises InvalidInput if the list is full."""
    open_list.require_room("请合并后再添加。")
    for entry in open_list.entries:
        if entry | {"id": None} == entry_values | {"id": None}:
            return str(entry["id"])
    entry_id = uuid4().hex
    open_list.entries.append(entry_values | {"id": entry_id})
    return entry_id


def _replace_entry(
    open_list: _OpenList,
    entry_id: str,
    entry_values: dict[str, Any],
    etag: str | None,
) -> None:
    """Replace an entry. Raises NotFound if it was removed, StaleSave if `etag` is outdated (None or "": not
    checked)."""
    index = open_list.find_index(entry_id)
    if index is None:
        raise NotFound(ENTRY_NOT_FOUND_MESSAGE)
    if etag and etag != entry_etag(open_list.entries[index]):
        raise StaleSave(STALE_MESSAGE)
    open_list.entries[index] = entry_values | {"id": entry_id}


def remove_entry(dossier: Dossier, kind: str, entry_id: str, *, by: Actor) -> None:
    """Remove an entry of a locked dossier, and journal it; if it is removed already, only the filing is begun
    where necessary. The entry removed last can be restored with its proofs until submission; the proofs of
    one removed from this list before are deleted. Raises NotFound for an unknown list, InvalidState or
    DeadlinePassed if the filing can't be changed now."""
    open_list = _open_list(dossier, kind, by)
    index = open_list.find_index(entry_id)
    if index is None:
        return
    open_list.step_values[removed_entry_key(kind)] = {
        "entry": open_list.entries.pop(index),
        "place": index,
    }
    open_list.store()
    delete_orphaned_proofs(dossier, by=by)
    update_revision(open_list.filing, by, kind, open_list.step)


def restore_entry(dossier: Dossier, kind: str, *, by: Actor) -> None:
    """Restore the entry of a locked dossier's list that was removed last, and journal it; does nothing if
    there is none. Raises InvalidInput if the list is full, NotFound for an unknown list, InvalidState or
    DeadlinePassed if the filing can't be changed now."""
    open_list = _open_list(dossier, kind, by)
    removed = open_list.step_values.pop(removed_entry_key(kind), None)
    if removed is None or open_list.find_index(removed["entry"]["id"]) is not None:
        return
    open_list.require_room("请先删除不需要的。")
    open_list.entries.insert(removed["place"], removed["entry"])
    open_list.store()
    update_revision(open_list.filing, by, kind, open_list.step)


def move_entry(
    dossier: Dossier,
    kind: str,
    entry_id: str,
    position: int,
    *,
    by: Actor,
) -> None:
    """Move an entry of a locked dossier to a position of its list (0 is the first), and journal it. Does
    nothing if the entry was removed or is there already, or there is no such position. Raises NotFound for an
    unknown list, InvalidState or DeadlinePassed if the filing can't be changed now."""
    open_list = _open_list(dossier, kind, by)
    entries = open_list.entries
    index = open_list.find_index(entry_id)
    if index in (None, position) or position not in range(len(entries)):
        return
    entries.insert(position, entries.pop(index))
    open_list.store()
    update_revision(open_list.filing, by, kind, open_list.step)
