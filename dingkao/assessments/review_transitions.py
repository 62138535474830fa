"""Transitions of a record between the desks of the review, besides the decisions: recalling what one has sent
on (撤回), and changing 简易程序 to 一般程序 (domain.md §11 nos. 8 to 10)."""

from dingkao.assessments.assessment_transitions import record_transition, reset_opening, validate_reason
from dingkao.assessments.models import Assessment
from dingkao.assessments.procedure_tests import skips_test
from dingkao.cycles.cycles import get_cycle, is_phase_open
from dingkao.errors import DeadlinePassed, Forbidden, InvalidState
from dingkao.journal.entries import Actor


@record_transition(
    "organisation_pending",
    "institution_returned",
    to="institution_pending",
    action="filings.approve",
)
def recall_to_institution(
    record: Assessment,
    *,
    by: Actor,
    reason: str,
) -> None:
    """机构撤回: what the institution has approved, or returned to the doctor. Raises Forbidden for somebody
    else's decision, InvalidState once the next desk has opened it, or if it was not sent on from there,
    DeadlinePassed after the review, InvalidInput without a reason."""
    _recall(record, by, reason, "institution_pending")


@record_transition(
    "organisation_pending",
    "institution_returned",
    to="organisation_returned",
    action="filings.approve",
)
def recall_to_returned(
    record: Assessment,
    *,
    by: Actor,
    reason: str,
) -> None:
    """机构撤回 of a record that the assessment organisation had returned before. Raises Forbidden for
    somebody else's decision, InvalidState once the next desk has opened it, or if it was not sent on from
    there, DeadlinePassed after the review, InvalidInput without a reason."""
    _recall(record, by, reason, "organisation_returned")


@record_transition(
    "ready",
    "grading",
    "organisation_returned",
    "institution_returned",
    to="organisation_pending",
    action="filings.accept",
)
def recall_to_organisation(
    record: Assessment,
    *,
    by: Actor,
    reason: str,
) -> None:
    """考核机构撤回: what the assessment organisation has accepted, or returned. The caller has checked that
    nothing was done with it since. The acceptance, with the verdict made with it, is removed. Raises
    InvalidState for a record that came to 综合评定 by a test or an exemption, was opened at the next desk, or
    not sent on from there, Forbidden for somebody else's decision, DeadlinePassed after the review,
    InvalidInput without a reason."""
    if is_tested_or_exempted(record):
        raise InvalidState("该记录已转入综合评定，不能撤回。")
    is_accepted = record.state in ("ready", "grading")
    _recall(record, by, reason, "organisation_pending")
    if is_accepted:
        record.accepted_by = record.competence = record.bad_record_check = None


def is_tested_or_exempted(record: Assessment) -> bool:
    """Whether a record came to 综合评定 (state «grading») by a test or an exemption, not by an acceptance
    without a test."""
    return record.state == "grading" and (record.exempted or not skips_test(record.procedure))


def _recall(
    record: Assessment,
    by: Actor,
    reason: str,
    target: str,
) -> None:
    """Check that `by` sent the record on from the state `target` and may recall it now; it is assigned to
    `by` again, without reason and marks of a return. Raises InvalidInput, Forbidden, InvalidState,
    DeadlinePassed (see `recall_to_institution`)."""
    validate_reason(reason)
    if record.sent_by is None or record.sent_by != by.id:
        raise Forbidden("只能撤回您本人送出的记录。")
    if record.sent_from != target:
        raise InvalidState("该记录已不在您送出时的状态，不能撤回。请刷新后查看。")
    if record.opened_at is not None:
        raise InvalidState("对方已打开该记录，不能撤回。如需修改，请联系对方退回。")
    if not is_phase_open(get_cycle(record.cycle_id), "review"):
        raise DeadlinePassed("审核阶段已结束，不能撤回。如需修改，请联系省级管理员。")
    record.returned_reason = record.return_marks = None
    record.sent_by = record.sent_from = None
    reset_opening(record)
    record.assigned_to = by.id


@record_transition(
    "organisation_pending",
    to="organisation_pending",
    action="filings.accept",
)
def change_to_general_procedure(
    record: Assessment,
    *,
    by: Actor,
    reason: str,
) -> None:
    """简易程序改为一般程序 (§11 no. 10) by the assessment organisation, with a reason; state and lease stay.
    Raises InvalidState unless the record has 简易程序, InvalidInput without a reason."""
    validate_reason(reason)
    if record.procedure != "simple":
        raise InvalidState("只有简易程序可以改为一般程序。")
    record.procedure = "general"
