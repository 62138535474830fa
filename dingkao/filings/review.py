"""Review (审核): which side has to decide, the lease that keeps two people from reviewing the same record,
and the decisions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import ASSESSMENT_STATES, STATES_BY_SIDE, Assessment, queue_condition
from dingkao.assessments.procedure_tests import skips_test
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import Forbidden, InvalidState, NotFound
from dingkao.filings.dossier import dossier_of_record
from dingkao.filings.return_marks import marks_to_store
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.name_lookups import account_name
from dingkao.people.notice_catalogue import (
    ACCEPTED,
    ACCEPTED_WITHOUT_TEST,
    INSTITUTION_APPROVED,
    RETURNED_BY_INSTITUTION,
    RETURNED_BY_ORGANISATION,
)
from dingkao.people.second_person import is_second_person

StoredMarks = dict[str, Any] | None

LEASE_DURATION = timedelta(minutes=30)


@dataclass(frozen=True)
class ReviewScope:
    """A side that reviews (`name`: institution, or organisation for the assessment organisation), the
    organisations for which the person acts there, and whether the person may decide."""

    name: str
    organisation_ids: tuple[UUID, ...]
    can_decide: bool

    @property
    def states(self) -> tuple[str, ...]:
        """The states in which a record waits for this side."""
        return STATES_BY_SIDE[self.name]

    @property
    def earlier_actor_columns(
        self,
    ) -> tuple[InstrumentedAttribute[UUID | None], ...]:
        """The columns of the persons who may not decide at this side, because they decided before."""
        return () if self.name == "institution" else (Assessment.graded_by,)

    def record_condition(self) -> ColumnElement[bool]:
        """Returns the SQL condition of the records that this side may see."""
        column = Assessment.institution_id if self.name == "institution" else Assessment.assessor_id
        return in_array(column, self.organisation_ids)

    def includes(self, record: Assessment) -> bool:
        """Whether this side may see the record."""
        organisation_id = record.institution_id if self.name == "institution" else record.assessor_id
        return organisation_id in self.organisation_ids


def pending_records(cycle: Cycle, scope: ReviewScope) -> Select[Assessment]:
    """Returns the query of the records that wait for `scope`."""
    return select(Assessment).where(
        Assessment.cycle_id == cycle.id,
        queue_condition(scope.name),
        scope.record_condition(),
    )


def next_pending_record(cycle: Cycle, scope: ReviewScope, by: Actor) -> UUID | None:
    """Returns the id of the record that has waited longest, among those that nobody else has leased and `by`
    may decide; None if there is none."""
    is_free = or_(
        Assessment.leased_until.is_(None),
        Assessment.leased_until < clock.now(),
        Assessment.leased_by == by.id,
    )
    return db.session.scalar(
        pending_records(cycle, scope)
        .where(
            is_free,
            is_second_person(by.id, *scope.earlier_actor_columns),
        )
        .with_only_columns(Assessment.id)
        .order_by(Assessment.submitted_at, Assessment.id)
        .limit(1)
    )


def get_record(record_id: UUID, scope: ReviewScope) -> Assessment:
    """Returns a record that this side may see. Raises NotFound."""
    record = _get_visible(select(Assessment).where(Assessment.id == record_id), scope)
    if record.state == "not_included":
        raise NotFound
    return record


def get_record_for_update(record_id: UUID, scope: ReviewScope) -> Assessment:
    """Returns a record that this side may see, locked. Raises NotFound."""
    query = select(Assessment).where(Assessment.id == record_id)
    return _get_visible(query.with_for_update(), scope)


def _get_visible(query: Select[Assessment], scope: ReviewScope) -> Assessment:
    """Returns the record of a query. Raises NotFound if there is none, or the side may not see it."""
    record = db.session.scalar(query)
    if record is None or not scope.includes(record):
        raise NotFound
    return record


def lease_record(record: Assessment, scope: ReviewScope, *, by: Actor) -> None:
    """Lease the record (locked) to a reviewer for LEASE_DURATION, and store that it was opened. Raises
    Forbidden for a person who may not decide; InvalidState if it does not wait for the side, or another
    person has leased it (the message names them)."""
    _require_pending(record, scope)
    _require_unleased(record, by)
    now = clock.now()
    record.leased_by, record.leased_until = (
        by.id,
        now + LEASE_DURATION,
    )
    record.opened_at = record.opened_at or now
    journal.write_entry("assessment", record.id, "opened", by=by)


def _require_pending(record: Assessment, scope: ReviewScope) -> None:
    """Raises Forbidden for a person who may not decide, InvalidState if the record does not wait for the
    side."""
    if not scope.can_decide:
        raise Forbidden("经办人可以查看，审核决定由审核人作出。")
    if record.state not in scope.states:
        raise InvalidState(f"该记录当前为“{ASSESSMENT_STATES[record.state]}”，不在您的待审核列表中。")


def other_holder_name(record: Assessment, by: Actor) -> str | None:
    """Returns the name of the person other than `by` who has leased the record; None if there is none."""
    return None if record.leased_by in (None, by.id) else lease_holder_name(record)


def lease_holder_name(record: Assessment) -> str | None:
    """Returns the name of the person who has leased the record now; None if there is none."""
    if record.leased_by is None or _is_lease_over(record):
        return None
    return account_name(record.leased_by) or None


def _is_lease_over(record: Assessment) -> bool:
    return record.leased_until is None or record.leased_until < clock.now()


def _require_unleased(record: Assessment, by: Actor) -> None:
    """Raises InvalidState if another person has leased the record."""
    if holder := other_holder_name(record, by):
        raise InvalidState(f"{holder}正在审核这条记录，请先审核其他记录，或稍后再试。")


@dataclass(frozen=True)
class Decision:
    """A reviewer's decision from the form: verdicts (pass, fail, or ""), and the opinion or reason."""

    performance: str = ""
    ethics: str = ""
    competence: str = ""
    text: str = ""


def apply_decision(
    record: Assessment,
    scope: ReviewScope,
    action: str,
    *,
    by: Actor,
    decision: Decision,
    marks: Mapping[str, str] | None = None,
) -> str:
    """Make a decision on a locked record and notify the doctor. Returns the sentence for the reviewer.

    `action`: code of the decision, see `_DECISIONS`. A return may have `marks` (key → sentence, see
    `return_marks`), which become the reason if none is typed. Raises what the transition raises (Forbidden,
    InvalidState, InvalidInput), InvalidState if another person has leased the record, NotFound for an action
    that this side does not have.
    """
    stored_marks = None
    if marks and action.startswith("return"):
        stored_marks = marks_to_store(dossier_of_record(record), marks)
        decision = _with_reason_of_marks(decision, stored_marks or {})
    _require_unleased(record, by)
    _log_marks(record, stored_marks, by)
    apply = _DECISIONS.get((scope.name, action))
    if apply is None:
        raise NotFound
    return apply(record, decision, stored_marks, by)


def _log_marks(record: Assessment, stored_marks: StoredMarks, by: Actor) -> None:
    """Write which fields were marked to the journal."""
    if stored_marks:
        journal.write_entry(
            "assessment",
            record.id,
            "marked",
            by=by,
            fields=sorted(stored_marks),
        )


def _with_reason_of_marks(decision: Decision, stored_marks: Mapping[str, Any]) -> Decision:
    """Returns the decision; if no reason is typed, the labels of the marked fields become its reason."""
    labels = [mark["label"] for mark in stored_marks.values()]
    reason_of_marks = f"请修改：{'、'.join(labels)}。"
    return replace(decision, text=decision.text.strip() or reason_of_marks)


def _approve(
    record: Assessment,
    decision: Decision,
    _marks: StoredMarks,
    by: Actor,
) -> str:
    """The institution approves; returns the sentence for the reviewer."""
    assessment_transitions.approve(
        record,
        by=by,
        performance=decision.performance,
        ethics=decision.ethics,
        opinion=decision.text,
    )
    notify(record, INSTITUTION_APPROVED)
    return "已通过，转考核机构复核。"


def _return_by_institution(
    record: Assessment,
    decision: Decision,
    marks: StoredMarks,
    by: Actor,
) -> str:
    """The institution returns the filing to the doctor; returns the sentence for the reviewer."""
    assessment_transitions.return_to_doctor(record, by=by, reason=decision.text, marks=marks)
    notify(record, RETURNED_BY_INSTITUTION, reason=record.returned_reason)
    return "已退回医师修改。"


def _accept(
    record: Assessment,
    decision: Decision,
    _marks: StoredMarks,
    by: Actor,
) -> str:
    """The organisation accepts, with a test or without one; returns the sentence for the reviewer."""
    if skips_test(record.procedure):
        assessment_transitions.accept_without_test(record, by=by, competence=decision.competence)
        notify(record, ACCEPTED_WITHOUT_TEST)
        return "复核通过，转综合评定。"
    assessment_transitions.accept(record, by=by)
    notify(record, ACCEPTED)
    return "复核通过，已转待测评。"


def _return_to_institution(
    record: Assessment,
    decision: Decision,
    marks: StoredMarks,
    by: Actor,
) -> str:
    """The organisation returns the filing to the institution; returns the sentence for the reviewer."""
    assessment_transitions.return_to_institution(record, by=by, reason=decision.text, marks=marks)
    return "已退回机构核对。"


def _return_by_organisation(
    record: Assessment,
    decision: Decision,
    marks: StoredMarks,
    by: Actor,
) -> str:
    """The organisation returns the filing to the doctor; returns the sentence for the reviewer."""
    assessment_transitions.return_to_doctor_by_organisation(record, by=by, reason=decision.text, marks=marks)
    notify(
        record,
        RETURNED_BY_ORGANISATION,
        reason=record.returned_reason,
    )
    return "已退回医师修改。"


_DECISIONS: dict[
    tuple[str, str],
    Callable[[Assessment, Decision, StoredMarks, Actor], str],
] = {
    ("institution", "approve"): _approve,
    ("institution", "return"): _return_by_institution,
    ("organisation", "accept"): _accept,
    ("organisation", "return_institution"): _return_to_institution,
    ("organisation", "return_doctor"): _return_by_organisation,
}
"""(side, code of the decision) → the function that makes it."""
