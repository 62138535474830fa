"""The effects of a granted request, by its kind."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from dingkao.assessments import assessment_transitions
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    FINAL_STATES,
    VERDICT_PARTS,
    VERDICTS,
    Assessment,
)
from dingkao.assessments.record_institution import set_record_institution
from dingkao.certificates import issuing
from dingkao.database.base import db, new_id
from dingkao.doctors import corrections
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidState
from dingkao.filings import amendments
from dingkao.filings.dossier import Dossier, dossier_of_record
from dingkao.filings.models import Document, Filing
from dingkao.filings.review import lease_holder_name
from dingkao.integrations.storage import current_store
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from dingkao.people.notice_catalogue import (
    APPEAL_GRANTED_PARTLY,
    APPEAL_GRANTED_PASSED,
    CHANGE_GRANTED,
    CORRECTION_GRANTED,
    DEFERRAL_GRANTED,
    EXEMPTION_GRANTED,
    NEW_CERTIFICATE,
    NEW_NUMBER,
    NoticeKind,
)
from dingkao.requests.approval_chains import CHANGE_CHAIN_BY_STATE
from dingkao.requests.change_items import Item, load_items
from dingkao.requests.models import Request, RequestFile
from dingkao.requests.request_files import FILE_KIND, list_files

GrantedNotice = tuple[NoticeKind, dict[str, Any]]
"""The notice of what was granted: its kind and the fields of its texts."""


def apply_granted(doctor_request: Request, record: Assessment, *, by: Actor) -> GrantedNotice:
    """Carry out a granted request (request and record locked). Returns the notice to the doctor, which the
    caller sends. Raises InvalidState if the record's state no longer allows it, Forbidden, InvalidInput;
    NotFound, Unavailable if a new photo can't be read or stored."""
    return _EFFECT_BY_KIND[doctor_request.kind](doctor_request, record, by)


def _apply_exemption(_request: Request, record: Assessment, by: Actor) -> GrantedNotice:
    """Carry out 免考. Raises InvalidState unless the record waits for its test and is of 一般程序."""
    _require_ready(record)
    assessment_transitions.exempt(record, by=by)
    return EXEMPTION_GRANTED, {}


def _apply_deferral(_request: Request, record: Assessment, by: Actor) -> GrantedNotice:
    """Carry out 延考. Raises InvalidState unless the record waits for its test."""
    _require_ready(record)
    assessment_transitions.defer(record, by=by)
    return DEFERRAL_GRANTED, {}


def _require_ready(record: Assessment) -> None:
    """Raises InvalidState unless the record waits for its test."""
    if record.state != "ready":
        state = ASSESSMENT_STATES[record.state]
        raise InvalidState(f"医师当前状态为“{state}”，已不在待测评，不能办理。请点“不同意”并说明原因。")


def _apply_change(doctor_request: Request, record: Assessment, by: Actor) -> GrantedNotice:
    """Apply the changes of the filing, and the new photo if there is one. Raises InvalidState if the record's
    state does not allow it, another person is reviewing it, or a value was changed meanwhile; NotFound,
    Unavailable for the photo."""
    if record.state not in CHANGE_CHAIN_BY_STATE:
        state = ASSESSMENT_STATES[record.state]
        raise InvalidState(f"医师当前状态为“{state}”，不能再修改填报信息。请点“不同意”并说明原因。")
    _require_no_other_lease(record, by)
    items = _items_of(load_items(doctor_request), "field", "entry")
    _apply_items(doctor_request, record, items, by)
    return CHANGE_GRANTED, {}


def _require_no_other_lease(record: Assessment, by: Actor) -> None:
    """Raises InvalidState if another person is reviewing the record."""
    if record.leased_by not in (None, by.id) and (holder := lease_holder_name(record)):
        raise InvalidState(f"{holder}正在审核该医师的记录，请由其办理，或稍后再试。")


def _apply_correction(doctor_request: Request, record: Assessment, by: Actor) -> GrantedNotice:
    """Correct roster and filing, and replace the certificate if there is a valid one (the new one's drawing
    is enqueued). Raises InvalidInput; InvalidState if a value was changed meanwhile or the certificate can't
    be printed; NotFound, Unavailable if a new photo can't be read or stored."""
    items = load_items(doctor_request)
    values = {item["name"]: item["after"] for item in _items_of(items, "doctor")}
    if values:
        _correct_doctor(record, values, by)
    _apply_items(doctor_request, record, _items_of(items, "field"), by)
    is_reissued = issuing.replace(record, by=by, reason="信息更正")
    return CORRECTION_GRANTED, {
        "new_number": NEW_NUMBER if "number" in values else "",
        "new_certificate": NEW_CERTIFICATE if is_reissued else "",
    }


def _items_of(items: list[Item], *targets: str) -> list[Item]:
    """Returns the items whose `what` is one of `targets`."""
    return [item for item in items if item["what"] in targets]


def _correct_doctor(record: Assessment, values: dict[str, Any], by: Actor) -> None:
    """Lock the doctor and correct the values in the roster. If the institution changes, a record without a
    final result goes with the doctor. Raises InvalidInput, and InvalidState if another doctor has got the
    number or the institution was closed."""
    query = select(Doctor).where(Doctor.id == record.doctor_id).with_for_update()
    doctor = db.session.scalars(query).one()
    corrections.apply_correction(doctor, values, by=by)
    if "institution" in values and record.state not in FINAL_STATES:
        institution = db.session.get_one(Organisation, (record.tenant_id, doctor.organisation_id))
        set_record_institution(record, institution)


def _apply_items(
    doctor_request: Request,
    record: Assessment,
    items: list[Item],
    by: Actor,
) -> None:
    """Lock the filing, apply the changes of it, and the new photo if the request has one. Raises InvalidState
    if a value has changed since, a list is full or nothing is filed; NotFound, Unavailable for the photo."""
    db.session.scalars(
        select(Filing.id)
        .where(
            Filing.doctor_id == record.doctor_id,
            Filing.cycle_id == record.cycle_id,
        )
        .with_for_update()
    ).one_or_none()
    dossier = dossier_of_record(record)
    for item in sorted(items, key=lambda item: item["after"] is not None):  # removals make room
        _apply_item(dossier, item, by)
    for file in list_files(doctor_request):
        if file.kind == "photo":
            _apply_photo(dossier, file)


def _apply_item(dossier: Dossier, item: Item, by: Actor) -> None:
    """Apply the change of a field or of an entry of a list (with a removed entry its proofs are deleted).
    Raises InvalidState."""
    name = item["name"]
    before = item["before"]
    after = item["after"]
    if item["what"] == "field":
        amendments.apply_field_change(dossier, int(item["place"]), name, before, after)
    else:
        amendments.apply_entry_change(dossier, name, before, after, by=by)


def _apply_photo(dossier: Dossier, file: RequestFile) -> None:
    """Store the request's photo, as a new file, as the photo of the filing; the earlier one stays stored.
    Raises NotFound, Unavailable, InvalidState."""
    document = Document(
        id=new_id(),
        doctor_id=dossier.record.doctor_id,
        cycle_id=dossier.record.cycle_id,
        kind="photo",
        name="照片",
        content_type=file.content_type,
        size=file.size,
    )
    current_store().put(
        "photo",
        document.id,
        current_store().get(FILE_KIND, file.id),
    )
    db.session.add(document)
    amendments.apply_photo_change(dossier, document.id)


def _apply_appeal(doctor_request: Request, record: Assessment, by: Actor) -> GrantedNotice:
    """Change the verdicts that the first decision proposed; with all three 合格 also the result, and enqueue
    its certificate; else the days for an appeal begin again. Raises InvalidState, Forbidden."""
    proposed = dict(doctor_request.proposed or {})
    fields = {"verdicts": _verdict_changes_text(proposed)}
    if all(proposed.get(part, getattr(record, part)) == "pass" for part in VERDICT_PARTS):
        assessment_transitions.change_to_passed(record, by=by, verdicts=proposed)
        issuing.enqueue_issue(record, by=by)
        return APPEAL_GRANTED_PASSED, fields
    assessment_transitions.amend_verdict(record, by=by, verdicts=proposed)
    return APPEAL_GRANTED_PARTLY, fields


def _verdict_changes_text(verdicts: dict[str, str]) -> str:
    """Returns what was changed, as Chinese text; `verdicts`: part → new verdict."""
    return "、".join(f"{VERDICT_PARTS[part]}改为{VERDICTS[verdict]}" for part, verdict in verdicts.items())


_EFFECT_BY_KIND: dict[str, Callable[[Request, Assessment, Actor], GrantedNotice]] = {
    "exemption": _apply_exemption,
    "deferral": _apply_deferral,
    "change": _apply_change,
    "correction": _apply_correction,
    "appeal": _apply_appeal,
}
