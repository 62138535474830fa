"""Deciding on many requests for 免考 or 延考 at once. What a person has to look into alone is left out, with
its reason: an exemption that the filing contradicts, and a request without proofs."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors.doctor_queries import doctors_by_id
from dingkao.errors import (
    InvalidInput,
    InvalidState,
    Refusal,
)
from dingkao.filings.dossier import dossier_of_record
from dingkao.journal.entries import Actor
from dingkao.requests import (
    decision_scope,
    decisions,
    request_files,
)
from dingkao.requests.availability import exemption_reasons
from dingkao.requests.decision_scope import DecisionScope
from dingkao.requests.exemption_eligibility import (
    ReasonAssessment,
)
from dingkao.requests.models import Request, RequestFile
from dingkao.requests.request_queries import INSTEAD_OF_TEST

MAX_BATCH, MAX_SHOWN = 50, 20


@dataclass
class BatchResult:
    """How many requests were decided on, and of the others the doctor's name and why not."""

    decided_count: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)


def decide_batch(
    request_ids: Iterable[UUID],
    scope: DecisionScope,
    *,
    decision: str,
    opinion: str,
    by: Actor,
) -> BatchResult:
    """Approve (`decision` «agree») or refuse («refuse») up to MAX_BATCH requests, each in a savepoint of its
    own, with the journal entries and notices of single ones; those that can't be decided on, or not in a
    batch, are left out. Locks requests and records. Raises InvalidInput for another decision, for none or too
    many, and for a refusal without an opinion; NotFound, by which none is decided on, for a request that the
    scope doesn't see."""
    ids = sorted(set(request_ids))
    _validate(ids, decision, opinion)
    result = BatchResult()
    for request_id in ids:
        doctor_request, record = decision_scope.get_request_for_update(request_id, scope)
        try:
            with db.session.begin_nested():
                _decide(
                    doctor_request,
                    record,
                    scope,
                    decision,
                    opinion,
                    by,
                )
        except Refusal as refusal:
            name = doctors_by_id([record.doctor_id])[record.doctor_id].name
            result.left_out.append((name, refusal.message))
        else:
            result.decided_count += 1
    return result


def _validate(ids: Collection[UUID], decision: str, opinion: str) -> None:
    """Raises InvalidInput for a decision that is neither «agree» nor «refuse», for no request or more than
    MAX_BATCH, and for a refusal whose opinion is blank."""
    if decision not in ("agree", "refuse"):
        raise InvalidInput("请选择“同意”或“不同意”。")
    if not ids:
        raise InvalidInput("请先勾选要办理的申请。")
    if len(ids) > MAX_BATCH:
        raise InvalidInput(f"一次最多办理{MAX_BATCH}项，请分批勾选。")
    if decision == "refuse" and not opinion.strip():
        raise InvalidInput("不同意的，请填写原因，医师会看到。", "opinion")


def _decide(
    doctor_request: Request,
    record: Assessment,
    scope: DecisionScope,
    decision: str,
    opinion: str,
    by: Actor,
) -> None:
    """Decide on one request (it and its record are locked). Raises InvalidState if it has to be decided on
    alone, and every refusal of the decision."""
    if doctor_request.kind not in INSTEAD_OF_TEST:
        raise InvalidState("只有免考、延考申请可以成批办理，请打开申请单独办理。")
    if decision == "refuse":
        decisions.refuse_request(
            doctor_request,
            record,
            scope,
            by=by,
            opinion=opinion,
        )
        return
    files = request_files.list_files(doctor_request)
    reason = reason_to_look_alone(files, reason_assessment(doctor_request, record))
    if reason:
        raise InvalidState(reason)
    decisions.approve_request(
        doctor_request,
        record,
        scope,
        by=by,
        opinion=opinion,
    )


def reason_to_look_alone(
    files: Collection[RequestFile],
    assessment: ReasonAssessment | None,
) -> str | None:
    """The sentence why a request is not approved in a batch; None if it may be. `assessment`: whether the
    reason for 免考 is met, None for 延考."""
    if not files:
        return "没有证明材料，须打开申请单独办理。"
    if assessment is not None and assessment.is_met is False:
        return "填报信息与免考理由不符，须打开申请单独办理。"
    return None


def reason_assessment(doctor_request: Request, record: Assessment) -> ReasonAssessment | None:
    """The reason of a request for 免考, with whether it is met; None for another kind of request, and for a
    reason that the province no longer accepts."""
    if doctor_request.kind != "exemption":
        return None
    reasons = exemption_reasons(dossier_of_record(record))
    return next(
        (reason for reason in reasons if reason.code == doctor_request.reason),
        None,
    )
