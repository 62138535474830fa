"""Exclusion after filing began (移出名单, domain.md §11 no. 2): the doctor's institution proposes it with a
reason, the office above the institution (`enrolment_changes.office_condition`) consents or refuses."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.assessments import (
    assessment_transitions,
    change_transitions,
)
from dingkao.assessments.assessment_transitions import (
    EXCLUDABLE_BY_OFFICE,
)
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.enrolment_changes import (
    ChangeGrants,
    pending_change_of,
    require_not_under_review,
    require_other_person,
    require_side,
    validate_reason,
)
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    Assessment,
    EnrolmentChange,
)
from dingkao.cycles.models import Cycle
from dingkao.database.base import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidState
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.notice_catalogue import REMOVED_FROM_LIST, STAFF_EXCLUSION_DECIDED
from dingkao.people.staff_notices import notify_staff
from dingkao.tenants.context import current_tenant


def is_proposable(record: Assessment | None) -> bool:
    """Whether only the office above may let the record's doctor be excluded now."""
    return record is not None and record.state in EXCLUDABLE_BY_OFFICE


def propose(record: Assessment, *, reason: str, by: Actor) -> EnrolmentChange:
    """Propose that the doctor (locked) of a record be excluded from the cycle, which is journalled; proposing
    it again gives the pending proposal. Nobody is notified. Raises InvalidInput for the reason, and
    InvalidState in another state or while a transfer is pending."""
    if not is_proposable(record):
        raise InvalidState(
            f"该医师当前为“{ASSESSMENT_STATES[record.state]}”，不能申请移出；"
            "尚未填报的，请在“纳入考核”中移出。"
        )
    values = {
        "tenant_id": current_tenant(),
        "id": new_id(),
        "kind": "exclusion",
        "state": "pending",
        "doctor_id": record.doctor_id,
        "assessment_id": record.id,
        "institution_id": record.institution_id,
        "asked_side": "institution",
        "reason": validate_reason(reason),
        "asked_by": by.id,
        "asked_at": clock.now(),
        "changed_at": clock.now(),
    }
    change_id = db.session.scalar(
        insert(EnrolmentChange).values(values).on_conflict_do_nothing().returning(EnrolmentChange.id)
    )
    change = pending_change_of(record.doctor_id)
    if change is None or change.kind != "exclusion":
        raise InvalidState("该医师正在办理转入转出，请待其办结，或撤回后再申请移出。")
    if change_id is not None:
        journal.write_entry(
            "enrolmentchange",
            change.id,
            "asked",
            by=by,
            side="institution",
        )
    return change


def approve(change: EnrolmentChange, grants: ChangeGrants, *, by: Actor) -> None:
    """Consent for the office above to a locked proposal, exclude the doctor (the record is locked here), and
    tell the doctor and the institution; consenting again has no effect. Seats and admission ticket are taken
    back. Raises Forbidden, also for who proposed it, InvalidState, also while another person reviews the
    record."""
    if change.kind == "exclusion" and change.state == "carried_out":
        return
    require_other_person(change, by)
    require_side(change, grants, "office")
    record = db.session.scalars(
        select(Assessment).where(Assessment.id == change.assessment_id).with_for_update()
    ).one()
    require_not_under_review(record, by)
    assessment_transitions.exclude_after_filing(record, by=by, reason=change.reason)
    change.decided_by = by.id
    change_transitions.carry_out(change, by=by)
    cycle = db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))
    notify(
        record,
        REMOVED_FROM_LIST,
        cycle=cycle.label,
        reason=change.reason,
    )
    _notify_institution(change, "同意，已移出", by)


def _notify_institution(change: EnrolmentChange, decision: str, by: Actor) -> None:
    """Tell those at the institution who may propose exclusions what the office above decided."""
    doctor = db.session.get_one(Doctor, (change.tenant_id, change.doctor_id))
    notify_staff(
        change.institution_id,
        "transfers.manage",
        STAFF_EXCLUSION_DECIDED,
        but=by.id,
        doctor=doctor.name,
        decision=decision,
    )


def refuse(
    change: EnrolmentChange,
    grants: ChangeGrants,
    *,
    reason: str,
    by: Actor,
) -> None:
    """Refuse a locked proposal for the office above, with a reason, of which the institution is told;
    refusing again has no effect. Raises InvalidInput, Forbidden, InvalidState."""
    if change.state == "refused":
        return
    require_side(change, grants, "office")
    reason = validate_reason(reason)
    change_transitions.refuse(change, by=by, reason=reason)
    _notify_institution(change, f"不同意，原因：{reason}", by)
