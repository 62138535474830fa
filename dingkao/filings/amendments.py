"""Changing a filing that has been submitted (修改, §11): changes are computed first, and applied after they
have been approved."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from dingkao import clock
from dingkao.errors import InvalidInput, InvalidState
from dingkao.filings.dossier import (
    ENCRYPTED_FIELDS,
    Dossier,
    column_values,
    set_certificate_number,
    set_column_values,
)
from dingkao.filings.entry_list_fields import (
    ENTRY_LISTS,
    MAX_ENTRIES,
    EntryList,
)
from dingkao.filings.entry_lists import (
    full_list_message,
    missing_entry_errors,
)
from dingkao.filings.field_readers import validate_fields
from dingkao.filings.field_values import display_value, missing_fields
from dingkao.filings.fields import Field
from dingkao.filings.filing_documents import delete_orphaned_proofs
from dingkao.filings.models import Filing
from dingkao.journal.entries import Actor

AMENDABLE_STEPS = (1, 2, 3, 4)
"""The steps whose fields a request may change; the procedure can't be changed after submission (§11)."""
CHANGED_MEANWHILE_MESSAGE = "申请提交后该信息已被修改，请医师核对后重新申请。"


def field_changes(
    dossier: Dossier,
    step: int,
    fields: list[Field],
    values: Mapping[str, list[str]],
) -> tuple[list[tuple[Field, Any, Any]], dict[str, str]]:
    """Returns (field, old value, new value; None is empty) of those `fields` of a step in which the submitted
    `values` differ from what is filed, and the errors by field name; a field with an error is only among
    these. A required field can't be emptied."""
    new_values, errors = validate_fields(fields, values, birth_date=dossier.birth_date())
    for field in missing_fields(fields, new_values):
        errors.setdefault(field.name, f"{field.label}不能为空。")
    old_values = dossier.step_values(step)
    changes = []
    for field in fields:
        old = old_values.get(field.name)
        new = new_values.get(field.name)
        if field.name not in errors and _are_different(old, new):
            changes.append((field, old, new))
    return changes, errors


def entry_change(
    dossier: Dossier,
    kind: str,
    entry_id: str,
    values: Mapping[str, list[str]] | None,
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, dict[str, str]]:
    """Returns the entry `entry_id` of the list `kind` as it is (None: a new one), the entry as it would be
    (None if `values` is None: removed; with errors what of it could be read), and the errors by field name. A
    new entry gets an id here; nothing is stored. Raises InvalidInput for an unknown list or entry."""
    entry_list = _amendable_list(kind)
    before = _find_amendable_entry(dossier, kind, entry_id)
    if values is None:
        return before, None, {}
    entry_values, errors = validate_fields(
        entry_list.fields,
        values,
        birth_date=dossier.birth_date(),
        date_range=dossier.cycle_range(),
    )
    errors |= missing_entry_errors(entry_list.fields, entry_values, errors)
    after_id = before["id"] if before else uuid4().hex
    return before, entry_values | {"id": after_id}, errors


def _find_amendable_entry(dossier: Dossier, kind: str, entry_id: str) -> dict[str, Any] | None:
    """Returns the entry, or None for the id «new». Raises InvalidInput for an unknown id."""
    entry = dossier.find_entry(kind, entry_id)
    if entry is None and entry_id != "new":
        raise InvalidInput("这条经历已不存在，请刷新后重新选择。")
    return entry


def _amendable_list(kind: str) -> EntryList:
    """Returns the entry list. Raises InvalidInput for an unknown one."""
    entry_list = ENTRY_LISTS.get(kind)
    if entry_list is None or entry_list.step not in AMENDABLE_STEPS:
        raise InvalidInput("请选择要修改的经历。")
    return entry_list


def entry_summary(kind: str, entry: Mapping[str, Any] | None) -> str:
    """Returns an entry as one line of text; 无 for None."""
    if entry is None:
        return "无"
    texts = [display_value(field, entry.get(field.name)) for field in ENTRY_LISTS[kind].fields]
    return " · ".join(filter(None, texts))


def apply_field_change(dossier: Dossier, step: int, name: str, before: Any, after: Any) -> None:
    """Replace the value `before` of a field of a locked filing by `after`, without checking `after` again;
    count a revision. The request journals it. Raises InvalidState if the field has another value now, or
    nothing is filed."""
    filing = _require_filing(dossier)
    if _are_different(dossier.step_values(step).get(name), before):
        raise InvalidState(CHANGED_MEANWHILE_MESSAGE)
    if step == 2 and name in ENCRYPTED_FIELDS:
        set_certificate_number(filing, name, after)
    else:
        _set_field_value(filing, step, name, after)
    _mark_saved(filing)


def _set_field_value(filing: Filing, step: int, name: str, value: Any) -> None:
    """Store the value of a field that isn't encrypted; None deletes it."""
    step_values = column_values(filing, step)
    step_values.pop(name, None)
    if value is not None:
        step_values[name] = value
    set_column_values(filing, step, step_values)


def apply_entry_change(
    dossier: Dossier,
    kind: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    by: Actor,
) -> None:
    """Replace an entry of a locked filing, which keeps its proofs; add one (`before` None); or remove one
    with its proofs (`after` None), which alone is journalled. Counts a revision. Raises InvalidState if the
    list no longer has `before` or is full, or nothing is filed."""
    filing = _require_filing(dossier)
    step = ENTRY_LISTS[kind].step
    entries = _changed_entries(dossier.entries(kind), before, after)
    if before is None and len(entries) > MAX_ENTRIES:
        raise InvalidState(f"{full_list_message(kind)}不能再添加。请点“不同意”并说明原因。")
    set_column_values(filing, step, column_values(filing, step) | {kind: entries})
    delete_orphaned_proofs(dossier, by=by)
    _mark_saved(filing)


def _changed_entries(
    entries: list[dict[str, Any]],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """Returns the entries of a list after the change. Raises InvalidState if `before` is not among them."""
    if before is None:
        return [*entries, dict(after or {})]
    if before not in entries:
        raise InvalidState(CHANGED_MEANWHILE_MESSAGE)
    position = entries.index(dict(before))
    replacement = [dict(after)] if after else []
    return entries[:position] + replacement + entries[position + 1 :]


def apply_photo_change(dossier: Dossier, photo_id: UUID) -> None:
    """Make the document `photo_id`, which is stored already, the photo of a locked filing; the earlier one
    stays stored. Counts a revision. Raises InvalidState if nothing is filed."""
    filing = _require_filing(dossier)
    filing.photo_id = photo_id
    _mark_saved(filing)


def _require_filing(dossier: Dossier) -> Filing:
    """Returns the filing. Raises InvalidState if there is none."""
    if dossier.filing is None:
        raise InvalidState("还没有填报信息，不能修改。")
    return dossier.filing


def _mark_saved(filing: Filing) -> None:
    """Count one more revision, saved now. No journal entry: the request has one."""
    filing.revision += 1
    filing.saved_at = clock.now()


def _are_different(first: Any, second: Any) -> bool:
    """Whether two stored values differ; all empty values are equal."""
    return (first or None) != (second or None)
