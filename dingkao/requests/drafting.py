"""Drafts of requests: creating one, and filling in reason, note and what is to be changed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dingkao.database.base import db, new_id
from dingkao.doctors import corrections
from dingkao.doctors.code_lists import CATEGORIES, SCOPES
from dingkao.doctors.disclosure_limits import DisclosureLimit
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.filings import amendments
from dingkao.filings.dossier import Dossier
from dingkao.filings.entry_list_fields import (
    ENTRY_LISTS,
    MAX_ENTRIES,
)
from dingkao.filings.entry_lists import (
    full_list_message,
)
from dingkao.filings.field_values import display_value
from dingkao.filings.fields import Field
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.requests.approval_chains import (
    APPROVAL_CHAINS,
    CHANGE_CHAIN_BY_STATE,
)
from dingkao.requests.availability import (
    exemption_reasons,
    require_available,
)
from dingkao.requests.change_items import (
    Item,
    load_items,
    replace_target_items,
    save_items,
)
from dingkao.requests.models import REQUEST_KINDS, Request
from dingkao.requests.request_queries import find_open_request
from dingkao.results import publishing
from dingkao.tenants import settings

MAX_NOTE_LENGTH = 2000
PRINTED_FILING_FIELDS = ("scope", "qualification", "practice")
"""The fields of the filing that the certificate prints; after the test has begun they may be corrected only
by a request that two persons decide on (§11)."""
STATES_BEFORE_TEST = (
    "not_included",
    "included",
    "draft",
    "institution_pending",
    "institution_returned",
    "organisation_pending",
    "organisation_returned",
    "ready",
    "deferred",
)


def get_or_create_draft(dossier: Dossier, kind: str, *, by: Actor) -> Request:
    """Returns the record's open request of this kind, be it a draft or submitted, else a new draft, with a
    journal entry; the record is locked. An appeal first gives the record its final state if its result is
    public. Raises NotFound for an unknown kind, InvalidState with the reason if no request can be made
    now."""
    if kind not in REQUEST_KINDS:
        raise NotFound
    existing_request = find_open_request(dossier.record, kind)
    if existing_request:
        return existing_request
    if kind == "appeal":
        publishing.settle_record_now(dossier.record)
    require_available(dossier, kind)
    return _create_draft(dossier, kind, by=by)


def _create_draft(dossier: Dossier, kind: str, *, by: Actor) -> Request:
    """Create a draft, with the sides that will decide on it, and write a journal entry."""
    chain = APPROVAL_CHAINS.get(kind) or CHANGE_CHAIN_BY_STATE[dossier.record.state]
    doctor_request = Request(
        id=new_id(),
        assessment_id=dossier.record.id,
        institution_id=dossier.record.institution_id,
        assessor_id=dossier.record.assessor_id,
        kind=kind,
        state="draft",
        first_side=chain[0],
        second_side=chain[1],
    )
    db.session.add(doctor_request)
    db.session.flush()
    journal.write_entry("request", doctor_request.id, "begun", by=by, kind=kind)
    return doctor_request


def require_draft(doctor_request: Request) -> None:
    """Raises InvalidState unless the request is a draft."""
    if doctor_request.state != "draft":
        raise InvalidState("申请已提交，不能再修改。尚未审核的，可以撤回后重新申请。")


def save_draft(
    doctor_request: Request,
    dossier: Dossier,
    *,
    reason: str,
    note: str,
) -> None:
    """Store reason (a code of `offered_reasons`, or "" for none) and note of a draft (locked), replacing
    those stored. Raises InvalidInput with the field's name, InvalidState unless it is a draft."""
    require_draft(doctor_request)
    stored_note = _validate_note(note)
    reasons = offered_reasons(doctor_request, dossier)
    if reason and reason not in reasons:
        raise InvalidInput("请从列表中选择理由。", "reason")
    doctor_request.reason = reason or None
    doctor_request.reason_words = reasons.get(reason)
    doctor_request.note = stored_note


def _validate_note(note: str) -> str | None:
    """Returns the note without surrounding blanks, or None. Raises InvalidInput if it is too long."""
    if len(note) > MAX_NOTE_LENGTH:
        raise InvalidInput(
            f"说明请不要超过{MAX_NOTE_LENGTH}字，现有{len(note)}字。",
            "note",
        )
    return note.strip() or None


def offered_reasons(doctor_request: Request, dossier: Dossier) -> dict[str, str]:
    """Returns the reasons that the request may have, code → text; {} for kinds without reasons."""
    if doctor_request.kind == "exemption":
        return _possible_exemption_reasons(dossier)
    if doctor_request.kind == "deferral":
        return {text: text for text in settings.value("deferral_reasons")}
    return {}


def _possible_exemption_reasons(dossier: Dossier) -> dict[str, str]:
    """Returns code → text of the reasons for 免考 that are met, or that only an institution can verify."""
    return {reason.code: reason.label for reason in exemption_reasons(dossier) if reason.is_met is not False}


def save_change_fields(
    doctor_request: Request,
    dossier: Dossier,
    step: int,
    values: Mapping[str, list[str]],
) -> dict[str, str]:
    """Store, in the draft of a change (locked), what would change of the fields of a step of the filing, in
    place of what was stored for its fields; the changed entries of its lists stay. `values` are all submitted
    values of the step's form: a field that is missing counts as emptied. Returns the errors by field name;
    with errors nothing is stored. Raises InvalidState unless it is a draft."""
    require_draft(doctor_request)
    changes, errors = amendments.field_changes(dossier, step, dossier.fields(step), values)
    if errors:
        return errors
    _store_items(
        doctor_request,
        _changed_fields(step, changes),
        what="field",
        place=str(step),
    )
    return {}


def save_change_entry(
    doctor_request: Request,
    dossier: Dossier,
    kind: str,
    entry_id: str,
    values: Mapping[str, list[str]] | None,
) -> dict[str, str]:
    """Store, in the draft of a change (locked), an entry of the list `kind`: a new one (`entry_id` «new»), a
    changed one, or one to be removed (`values` None), in place of what was stored for that entry; nothing for
    one that is as filed. Returns the errors by field name (also if a new one would make the list too long);
    with errors nothing is stored. Raises InvalidInput for an unknown list or entry, InvalidState unless it is
    a draft."""
    require_draft(doctor_request)
    before, after, errors = amendments.entry_change(dossier, kind, entry_id, values)
    if before is None and not _has_room(doctor_request, dossier, kind):
        errors[ENTRY_LISTS[kind].fields[0].name] = f"{full_list_message(kind)}请合并后再添加。"
    if errors:
        return errors
    entry = before or after
    place = f"{kind}/{entry['id'] if entry else entry_id}"
    items = [] if before == after else [_changed_entry(kind, place, before, after)]
    _store_items(doctor_request, items, what="entry", place=place)
    return {}


def _has_room(
    doctor_request: Request,
    dossier: Dossier,
    kind: str,
) -> bool:
    """Whether the list `kind`, changed as the request says, may have one more entry."""
    changes = [
        item for item in load_items(doctor_request) if item["what"] == "entry" and item["name"] == kind
    ]
    added_count = sum(item["before"] is None for item in changes)
    removed_count = sum(item["after"] is None for item in changes)
    return len(dossier.entries(kind)) + added_count - removed_count < MAX_ENTRIES


def _changed_entry(kind: str, place: str, before: Any, after: Any) -> Item:
    """Returns the item of a changed entry of the list `kind`."""
    texts = (
        amendments.entry_summary(kind, before),
        amendments.entry_summary(kind, after),
    )
    return _build_item(
        "entry",
        place,
        kind,
        ENTRY_LISTS[kind].label,
        before,
        after,
        texts,
    )


def correction_fields(dossier: Dossier) -> list[Field]:
    """Returns the fields of the filing that a correction may change: the scopes of practice, of all
    categories, because the category may change too; after the test has begun, everything else that the
    certificate prints (§11)."""
    if dossier.filing is None:
        return []
    is_before_test = dossier.record.state in STATES_BEFORE_TEST
    names = ("scope",) if is_before_test else PRINTED_FILING_FIELDS
    return [_field_of_correction(field) for field in dossier.fields(2) if field.name in names]


def _field_of_correction(field: Field) -> Field:
    """Returns the field as a correction offers it: the scopes are those of all categories and not
    required."""
    if field.name != "scope":
        return field
    return replace(field, choices=_scopes_of_all_categories(), required=False)


def _scopes_of_all_categories() -> dict[str, str]:
    """Code of each scope of practice → its name after that of its category."""
    return {code: _scope_with_category(category, name) for code, (category, name) in SCOPES.items()}


def _scope_with_category(category: str, name: str) -> str:
    """The name of a scope of practice after that of its category (a code); alone for "any"."""
    return name if category == "any" else f"{CATEGORIES[category]}：{name}"


def save_correction(
    doctor_request: Request,
    dossier: Dossier,
    values: Mapping[str, list[str]],
) -> dict[str, str]:
    """Store, in a correction (locked), the submitted values that differ from the stored ones; an empty field
    means unchanged. Returns the errors by field name; with errors nothing is stored. An error that tells that
    somebody else has a number counts for the doctor's hour, also after a rollback (`DisclosureLimit`). Raises
    InvalidState unless it is a draft."""
    require_draft(doctor_request)
    fields = [field for field in correction_fields(dossier) if _is_filled_in(values, field)]
    field_changes, errors = amendments.field_changes(dossier, 2, fields, values)
    try:
        new_values = _validate_roster_values(dossier.doctor, values)
    except InvalidInput as refusal:
        return errors | {refusal.field or "name": refusal.message}
    if errors:
        return errors
    _store_items(
        doctor_request,
        _corrected_items(dossier.doctor, new_values),
        what="doctor",
        place="roster",
    )
    _store_items(
        doctor_request,
        _changed_fields(2, field_changes),
        what="field",
        place="2",
    )
    return {}


def _validate_roster_values(doctor: Doctor, values: Mapping[str, list[str]]) -> Mapping[str, str]:
    """Returns the submitted values of the roster that differ from the stored ones, column → value in the form
    in which it would be stored; an empty text means unchanged. Raises InvalidInput."""
    typed_values = {
        name: texts[0] for name, texts in values.items() if name in corrections.FIELD_LABELS and texts
    }
    return corrections.validate_changes(doctor, typed_values, DisclosureLimit.for_doctor(doctor.id))


def _is_filled_in(values: Mapping[str, list[str]], field: Field) -> bool:
    """Whether the submitted form has a value for the field that isn't blank."""
    return any(text.strip() for text in values.get(field.name, []))


def _corrected_items(doctor: Doctor, new_values: Mapping[str, str]) -> list[Item]:
    """Returns an item for each corrected value of the roster."""
    stored_values = corrections.current_values(doctor)
    items = []
    for name, new_value in new_values.items():
        old_value = stored_values[name]
        texts = (
            corrections.display_value(name, old_value),
            corrections.display_value(name, new_value),
        )
        label = corrections.FIELD_LABELS[name]
        items.append(
            _build_item(
                "doctor",
                "roster",
                name,
                label,
                old_value,
                new_value,
                texts,
            )
        )
    return items


def remove_item(doctor_request: Request, position: int) -> None:
    """Remove the item at `position` (from 0) of a draft (locked); does nothing if there is none. Raises
    InvalidState unless it is a draft."""
    require_draft(doctor_request)
    items = load_items(doctor_request)
    save_items(
        doctor_request,
        [item for index, item in enumerate(items) if index != position],
    )


def _store_items(
    doctor_request: Request,
    items: list[Item],
    *,
    what: str,
    place: str,
) -> None:
    """Replace the request's items of one target (`what`, `place`) by `items`."""
    earlier_items = load_items(doctor_request)
    save_items(
        doctor_request,
        replace_target_items(earlier_items, items, what=what, place=place),
    )


def _changed_fields(step: int, changes: list[tuple[Field, Any, Any]]) -> list[Item]:
    """Returns an item for each (field, old value, new value) of a step."""
    items = []
    for field, old_value, new_value in changes:
        texts = (
            display_value(field, old_value),
            display_value(field, new_value),
        )
        items.append(
            _build_item(
                "field",
                str(step),
                field.name,
                field.label,
                old_value,
                new_value,
                texts,
            )
        )
    return items


def _build_item(
    what: str,
    place: str,
    name: str,
    label: str,
    before: Any,
    after: Any,
    texts: tuple[str, str],
) -> Item:
    """Returns an item; `texts` are the old and new value as people read them, 空 instead of ""."""
    return {
        "what": what,
        "place": place,
        "name": name,
        "label": label,
        "before": before,
        "after": after,
        "said": (texts[0] or "空", texts[1] or "空"),
    }
