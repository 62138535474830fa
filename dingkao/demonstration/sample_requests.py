"""Creates requests of demonstration doctors in different states, by the same functions as for real
doctors."""

from collections.abc import Mapping

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.filings.dossier import Dossier, dossier_of_record
from dingkao.filings.field_values import form_values
from dingkao.journal.entries import Actor
from dingkao.requests import (
    decisions,
    drafting,
    request_files,
    submission,
)
from dingkao.requests.decision_scope import DecisionScope
from dingkao.requests.models import Request

REFUSAL_OPINION = "合格证书的日期不在本考核周期内，请核对。"


def create_requests(
    record: Assessment,
    state: str,
    staff: dict[str, Actor],
    proof: bytes,
) -> None:
    """Create the request of a doctor with the sample state `state`; most states have none. `staff`: side
    (institution, organisation) → actor who decides; `proof`: the picture to upload as proof."""
    match state:
        case "deferred":
            deferral = _create_request(record, "deferral", proof, reason="患病或住院治疗")
            _approve_at_both_sides(deferral, record, staff)
        case "exempted":
            exemption = _create_request(record, "exemption", proof, reason="residency")
            _approve_at_both_sides(exemption, record, staff)
        case "refused":
            exemption = _create_request(record, "exemption", proof, reason="residency")
            _refuse(exemption, record, staff)
        case "asking":
            _create_request(record, "exemption", proof, reason="residency")
        case "organisation_pending":
            _create_change(record)
        case "scored":
            _create_correction(record, proof)


def _create_request(record: Assessment, kind: str, proof: bytes, *, reason: str) -> Request:
    """Create a request of the record's doctor and submit it; returns it. `kind`: "exemption" (免考) or
    "deferral" (延考); `proof`: the bytes of a picture; `reason`: a key of `drafting.offered_reasons`, for an
    exemption a code, for a deferral the text itself. Raises InvalidInput for another reason, InvalidState if
    no such request may be made now or one is submitted already."""
    dossier, by = _dossier_of(record)
    doctor_request = drafting.get_or_create_draft(dossier, kind, by=by)
    request_files.save_file(doctor_request, "证明材料.jpg", proof, by=by)
    drafting.save_draft(doctor_request, dossier, reason=reason, note="")
    submission.submit(doctor_request, dossier, by=by)
    return doctor_request


def _create_change(record: Assessment) -> None:
    """Submit a request for a change of the field 所学专业."""
    dossier, by = _dossier_of(record)
    doctor_request = drafting.get_or_create_draft(dossier, "change", by=by)
    fields = dossier.fields(1)
    filed = form_values(fields, dossier.step_values(1)) | {"major": ["临床医学"]}
    errors = drafting.save_change_fields(doctor_request, dossier, 1, filed)
    _require_no_errors("change", errors)
    submission.submit(doctor_request, dossier, by=by)


def _create_correction(record: Assessment, proof: bytes) -> None:
    """Submit a request for a correction of the doctor's name."""
    dossier, by = _dossier_of(record)
    doctor_request = drafting.get_or_create_draft(dossier, "correction", by=by)
    values = {"name": [f"{dossier.doctor.name}芳"]}
    errors = drafting.save_correction(doctor_request, dossier, values)
    _require_no_errors("correction", errors)
    request_files.save_file(doctor_request, "户口簿.jpg", proof, by=by)
    submission.submit(doctor_request, dossier, by=by)


def _require_no_errors(kind: str, errors: Mapping[str, str]) -> None:
    """Raises ValueError if the request `kind` has errors."""
    if errors:
        raise ValueError(f"the demonstration's {kind} is refused: {sorted(errors)}")


def _refuse(
    doctor_request: Request,
    record: Assessment,
    staff: dict[str, Actor],
) -> None:
    """Refuse the request at the institution."""
    decisions.refuse_request(
        doctor_request,
        record,
        _decision_scope(record, "institution", staff),
        by=staff["institution"],
        opinion=REFUSAL_OPINION,
    )


def _approve_at_both_sides(
    doctor_request: Request,
    record: Assessment,
    staff: dict[str, Actor],
) -> None:
    """Approve the request at both sides, which grants it."""
    for side in ("institution", "organisation"):
        decisions.approve_request(
            doctor_request,
            record,
            _decision_scope(record, side, staff),
            by=staff[side],
            opinion="材料属实，同意。",
        )


def _decision_scope(record: Assessment, side: str, staff: dict[str, Actor]) -> DecisionScope:
    """Returns the scope of the staff member who decides for `side` on a request about the record. Raises
    ValueError if the record has no organisation for that side."""
    organisation_id = record.institution_id if side == "institution" else record.assessor_id
    actor = staff[side]
    if organisation_id is None or actor.id is None:
        raise ValueError(f"nobody decides for the {side}")
    return DecisionScope(side, (organisation_id,), actor.id, True, side == "institution")


def _dossier_of(record: Assessment) -> tuple[Dossier, Actor]:
    """Returns the dossier of a record, and its doctor as an actor."""
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    return dossier_of_record(record), Actor("doctor", doctor.account_id, name=doctor.name)
