"""Recalling (撤回) what a reviewer has sent on: it comes back with a reason until the next desk has opened it
or the review has ended; after that one asks for its return."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import ColumnElement, select

from dingkao.assessments import review_transitions
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import Assessment
from dingkao.assessments.review_hooks import find_recall_obstacle
from dingkao.cycles.cycles import is_phase_open
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import Page, fetch_page
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, InvalidState
from dingkao.filings.dossier import filing_of
from dingkao.filings.review import CLERK_MESSAGE, ReviewScope
from dingkao.journal.entries import Actor
from dingkao.journal.state_machine import can
from dingkao.people.models import Notice
from dingkao.people.notice_catalogue import (
    RETURNED_BY_INSTITUTION,
    RETURNED_BY_ORGANISATION,
    REVIEW_RECALLED,
)

PAGE_SIZE = 50
OFFICE_LABELS = {"institution": "主要执业机构", "organisation": "考核机构"}
_RETURNS = (
    RETURNED_BY_INSTITUTION.code,
    RETURNED_BY_ORGANISATION.code,
)
_TRANSITIONS = {
    "institution_pending": review_transitions.recall_to_institution,
    "organisation_returned": review_transitions.recall_to_returned,
    "organisation_pending": review_transitions.recall_to_organisation,
}
"""State before the record was sent on → the transition back to it."""


def sent_page(
    cycle: Cycle,
    scope: ReviewScope,
    by: Actor,
    cursor: str | None,
) -> Page[Assessment]:
    """Returns a page of the records that `by` has sent on from this side and that nobody has sent on since,
    the latest first; an invalid cursor gives the first page."""
    query = select(Assessment).where(
        Assessment.cycle_id == cycle.id,
        _sent_condition(scope, by),
    )
    return fetch_page(
        query,
        [Assessment.changed_at, Assessment.id],
        cursor,
        PAGE_SIZE,
        descending=True,
    )


def _sent_condition(
    scope: ReviewScope,
    by: Actor,
) -> ColumnElement[bool]:
    """Returns the condition that `by` was the last to send a record on, from a state of this side, and may
    decide for its organisation."""
    return (
        (Assessment.sent_by == by.id)
        & in_array(Assessment.sent_from, scope.states)
        & scope.deciding_condition()
    )


def recallable_ids(records: Iterable[Assessment], cycle: Cycle, by: Actor) -> set[UUID]:
    """Returns the ids of the records (of the cycle, sent on by `by`) whose recall a page offers: unopened, in
    a state from which they come back, while the review lasts. What was done with them since is asked only
    when they are recalled (`recall_record`)."""
    if not is_phase_open(cycle, "review"):
        return set()
    return {record.id for record in records if _is_at_next_desk(record, by)}


def _is_at_next_desk(record: Assessment, by: Actor) -> bool:
    """Whether a record that `by` has sent on is where it was sent, and nobody has opened it there."""
    recall = _TRANSITIONS.get(record.sent_from or "")
    return (
        recall is not None
        and record.opened_at is None
        and not review_transitions.is_tested_or_exempted(record)
        and can(record, recall, by)
    )


def recall_refusal_reason(record: Assessment) -> str | None:
    """Returns what has been done since with a record that was sent on, so that it can't be recalled; None if
    nothing has. The transition checks the rest."""
    if record.state == "institution_returned" and _has_doctor_begun(
        record,
    ):
        return "医师已查看退回原因或开始修改，不能撤回。如需调整，请联系医师。"
    return find_recall_obstacle(record)


def recall_record(
    record: Assessment,
    scope: ReviewScope,
    *,
    by: Actor,
    reason: str,
) -> None:
    """Recall a record (locked) that `by` has sent on, journal it, and tell the doctor; it is assigned to `by`
    again. Raises Forbidden, InvalidState, DeadlinePassed, InvalidInput."""
    if scope.organisation_of(record) not in scope.deciding_ids:
        raise Forbidden(CLERK_MESSAGE)
    recall = _TRANSITIONS.get(record.sent_from or "")
    if recall is None or record.sent_from not in scope.states:
        raise InvalidState("该记录已不在您送出时的状态，不能撤回。请刷新后查看。")
    if obstacle := recall_refusal_reason(record):
        raise InvalidState(obstacle)
    recall(record, by=by, reason=reason.strip())
    notify(
        record,
        REVIEW_RECALLED,
        office=OFFICE_LABELS[scope.name],
        reason=reason.strip(),
    )


def _has_doctor_begun(record: Assessment) -> bool:
    """Whether the doctor has read that the filing was returned, or changed it since."""
    filing = filing_of(record)
    if filing and filing.saved_at > record.changed_at:
        return True
    account_id = _account_of(record)
    read = select(Notice.id).where(
        Notice.account_id == account_id,
        Notice.subject_id == record.id,
        Notice.kind.in_(_RETURNS),
        Notice.written_at >= record.changed_at,
        Notice.read_at.is_not(None),
    )
    return db.session.scalar(read.limit(1)) is not None


def _account_of(record: Assessment) -> UUID:
    return db.session.scalars(select(Doctor.account_id).where(Doctor.id == record.doctor_id)).one()
