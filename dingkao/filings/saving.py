"""Saving a step of the filing: what a page sends is merged field by field with what is stored."""

from collections.abc import Collection, Mapping
from typing import Any

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidState
from dingkao.filings.assistance_marks import update_assistance_mark
from dingkao.filings.dossier import (
    ENCRYPTED_FIELDS,
    Dossier,
    certificate_numbers,
    column_values,
    require_changeable,
    set_certificate_number,
    set_column_values,
    stored_step,
)
from dingkao.filings.field_readers import validate_fields
from dingkao.filings.field_values import (
    display_value,
)
from dingkao.filings.fields import STEP_COLUMNS, Field
from dingkao.filings.merging import Merge, merge_values, strip_texts
from dingkao.filings.models import Filing
from dingkao.filings.province_terms import (
    DIRECT_FAIL_TEXTS_KEY,
    province_terms,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor

CONTACT_FIELDS = ("email", "address")
STALE_MESSAGE = (
    "您在另一页面或设备上保存过更新的内容。本页填写的内容还在下方，请核对后再次保存，将以本页为准。"
)


class StaleSave(InvalidState):
    """The page was opened before the newest save, and its values would overwrite that."""


def save_step(
    dossier: Dossier,
    step: int,
    values: Mapping[str, list[str]],
    revision: int,
    *,
    by: Actor,
    etags: Mapping[str, str] | None = None,
    client_id: str = "",
) -> dict[str, str]:
    """Store the valid values of what was typed on a step of a locked dossier, even if it is incomplete; count
    a revision and journal it, and begin the filing of a record that is only included. Returns the errors of
    the others by field name.

    If the page sends the `etags` it was shown, it is merged field by field (see `merge_values`); otherwise
    `revision` must be the newest. Raises StaleSave if a newer save would be overwritten (nothing is stored
    then, but the filing may have begun), InvalidState, DeadlinePassed."""
    merged = _merge_step(dossier, step, values, etags, client_id)
    filing = get_or_create_filing(dossier, revision if etags is None else None, by)
    if merged.conflicts:
        raise StaleSave(STALE_MESSAGE)
    _write_step(filing, dossier, step, merged, client_id)
    update_revision(filing, by, STEP_COLUMNS[step], step)
    return merged.errors


def autosave_step(
    dossier: Dossier,
    step: int,
    values: Mapping[str, list[str]],
    etags: Mapping[str, str],
    client_id: str,
    *,
    by: Actor,
) -> Merge:
    """Store what a page sends by itself while it is filled in: the fields in `etags`. An invalid field, or
    one that is in conflict, does not prevent the others from being stored; both are in the result. The
    dossier is locked; if something changes, a revision is counted. Only the beginning of a filing is written
    to the journal. Raises InvalidState, DeadlinePassed."""
    merged = _merge_step(dossier, step, values, etags, client_id)
    if merged.changed:
        filing = get_or_create_filing(dossier, None, by)
        _write_step(filing, dossier, step, merged, client_id)
        filing.revision += 1
        filing.saved_at = clock.now()
        update_assistance_mark(filing, step, by)
        db.session.flush()
    else:
        require_changeable(dossier)
    return merged


def contact_fields_of(dossier: Dossier) -> list[Field]:
    """The contact fields of the filing: e-mail and address."""
    return [field for field in dossier.fields(1) if field.name in CONTACT_FIELDS]


def save_contact(dossier: Dossier, values: Mapping[str, list[str]], *, by: Actor) -> dict[str, str]:
    """Store the contact data of a locked dossier, which may be changed in every state and at any time
    (domain.md §11), count a revision and journal it, if something changes. Returns the errors by field name;
    with errors nothing is stored. Raises InvalidState if nothing has been filed yet."""
    filing = dossier.filing
    if filing is None:
        raise InvalidState("您还没有填报信息，请先从主页进入“填报信息”。")
    contact_values, errors = validate_fields(contact_fields_of(dossier), values)
    if errors:
        return errors
    basic_values = _without(filing.basic, CONTACT_FIELDS) | contact_values
    if basic_values != filing.basic:
        filing.basic = basic_values
        update_revision(filing, by, "contact", 1)
    return {}


def _without(values: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Returns `values` without the keys in `names`."""
    return {name: value for name, value in values.items() if name not in names}


def differences(
    dossier: Dossier,
    step: int,
    values: Mapping[str, list[str]],
    etags: Mapping[str, str] | None = None,
    client_id: str = "",
) -> list[tuple[Field, str, str]]:
    """Returns how a page that is older than the newest save differs from it: (field, the page's text, the
    stored text). With `etags` only the fields in conflict."""
    valid_values, _ = validate_fields(dossier.fields(step), values)
    stored = stored_step(dossier, step)
    pairs = []
    for field in _comparable_fields(dossier, step, values, etags, client_id):
        page_text = _typed_text(field, valid_values, values)
        stored_text = display_value(field, stored.get(field.name))
        if page_text != stored_text:
            pairs.append((field, page_text or "空", stored_text or "空"))
    return pairs


def _comparable_fields(
    dossier: Dossier,
    step: int,
    values: Mapping[str, list[str]],
    etags: Mapping[str, str] | None,
    client_id: str,
) -> list[Field]:
    """Returns the fields of a step that a page may overwrite: those in conflict, or all without `etags`."""
    if etags is None:
        return dossier.fields(step)
    conflicts = _merge_step(dossier, step, values, etags, client_id).conflicts
    return [field for field in dossier.fields(step) if field.name in conflicts]


def _typed_text(
    field: Field,
    valid_values: Mapping[str, Any],
    values: Mapping[str, list[str]],
) -> str:
    """Returns what was typed in a field, as people read it: the valid value, else the texts unchanged."""
    valid_text = display_value(field, valid_values.get(field.name))
    return valid_text or "、".join(strip_texts(values.get(field.name, [])))


def _merge_step(
    dossier: Dossier,
    step: int,
    values: Mapping[str, list[str]],
    etags: Mapping[str, str] | None,
    client_id: str,
) -> Merge:
    """Returns the merge of what a page sends with the stored step; see `merge_values`."""
    return merge_values(
        dossier.fields(step),
        dossier.valid_step_values(step),
        values,
        etags,
        client_ids=_step_client_ids(dossier.filing, step),
        client_id=client_id,
        birth_date=dossier.birth_date(),
    )


def _step_client_ids(filing: Filing | None, step: int) -> dict[str, str]:
    """Returns field name → page that wrote it last, for a step."""
    if filing is None:
        return {}
    prefix = f"{step}."
    return {
        key.removeprefix(prefix): writer
        for key, writer in filing.client_ids.items()
        if key.startswith(prefix)
    }


def _write_step(
    filing: Filing,
    dossier: Dossier,
    step: int,
    merged: Merge,
    client_id: str,
) -> None:
    """Store the merged values of a step, and the page that wrote the changed ones."""
    values = _values_to_store(filing, dossier, step, merged.values)
    if step == 2:
        _write_certificate_numbers(filing, merged.values)
    set_column_values(filing, step, values)
    _record_client(
        filing,
        {f"{step}.{name}" for name in merged.changed},
        client_id,
    )


def _values_to_store(
    filing: Filing,
    dossier: Dossier,
    step: int,
    new_values: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the column of a step with the new values of its fields, without those that are stored
    encrypted."""
    values_before = column_values(filing, step)
    field_names = [field.name for field in dossier.fields(step)]
    values = _without(values_before, field_names) | {"saved": True}
    values |= _without(new_values, ENCRYPTED_FIELDS)
    if step == 4:
        values[DIRECT_FAIL_TEXTS_KEY] = _direct_fail_texts_to_store(filing, values_before, values)
    return values


def _write_certificate_numbers(filing: Filing, values: Mapping[str, Any]) -> None:
    """Store the certificate numbers that differ from the stored ones."""
    stored_numbers = certificate_numbers(filing)
    for name in ENCRYPTED_FIELDS:
        number = values.get(name)
        if number != stored_numbers.get(name):
            set_certificate_number(filing, name, number)


def _direct_fail_texts_to_store(
    filing: Filing,
    values_before: Mapping[str, Any],
    values: Mapping[str, Any],
) -> dict[str, str]:
    """Returns the chosen cases of direct failure, code → text when it was first chosen."""
    earlier_texts = values_before.get(DIRECT_FAIL_TEXTS_KEY, {})
    current_texts = province_terms(filing).direct_fail
    return {
        code: earlier_texts.get(code) or current_texts[code] for code in values.get("direct_fail_which", [])
    }


def _record_client(filing: Filing, keys: set[str], client_id: str) -> None:
    """Store that the page `client_id` has written `keys` («step.field»); "": that no known page has."""
    client_ids = _without(filing.client_ids, keys)
    if client_id:
        client_ids |= dict.fromkeys(keys, client_id)
    filing.client_ids = client_ids


def get_or_create_filing(dossier: Dossier, revision: int | None, by: Actor) -> Filing:
    """Returns the filing of a locked dossier, about to be saved: created if there is none yet, and begun if
    the record is only included (`start_filing`). Raises InvalidState or DeadlinePassed if the doctor can't
    change it now, StaleSave if `revision` is not the newest (None: not checked), Forbidden for an actor who
    may not begin it."""
    require_changeable(dossier)
    if dossier.record.state == "included":
        assessment_transitions.start_filing(dossier.record, by=by)
    if dossier.filing is None:
        dossier.filing = create_filing(dossier)
    elif revision not in (None, dossier.filing.revision):
        raise StaleSave(STALE_MESSAGE)
    return dossier.filing


def create_filing(dossier: Dossier) -> Filing:
    """Create and flush an empty filing of the dossier's doctor and cycle, whatever the record's state; the
    caller puts it into the dossier."""
    filing = Filing(
        id=new_id(),
        doctor_id=dossier.doctor.id,
        cycle_id=dossier.cycle.id,
        revision=0,
        basic={},
        practice={},
        experience={},
        performance={},
        procedure={},
        client_ids={},
    )
    db.session.add(filing)
    db.session.flush()
    return filing


def update_revision(filing: Filing, by: Actor, part: str, step: int) -> None:
    """Count one more revision of the filing, flush it, and journal which `part` (step's column, list, photo,
    contact) of a `step` was saved; mark the step if it is saved on the doctor's behalf. Raises InvalidState
    if staff save without having begun to assist."""
    filing.revision += 1
    filing.saved_at = clock.now()
    update_assistance_mark(filing, step, by)
    db.session.flush()
    journal.write_entry(
        "filing",
        filing.id,
        "saved",
        by=by,
        part=part,
        revision=filing.revision,
    )
