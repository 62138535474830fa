"""Reviewing many records at once. Records that need a closer look are skipped and must be reviewed one by
one."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, or_, select

from dingkao.assessments.conduct_grades import ConductFacts, conduct_facts
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import ASSESSMENT_STATES, Assessment
from dingkao.assessments.procedure_tests import skips_test
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Refusal
from dingkao.filings.dossier import Dossier
from dingkao.filings.doubts import doubts_of
from dingkao.filings.grading_drafts import drafts_of, single_review_reason
from dingkao.filings.models import Filing
from dingkao.filings.review import CLERK_MESSAGE, ReviewScope, other_holder_name
from dingkao.filings.review_decisions import Decision, decide, finish_decisions
from dingkao.filings.review_guards import assistant_reason, is_namesake, own_record_reason
from dingkao.journal.entries import Actor
from dingkao.people.name_lookups import account_name
from dingkao.people.second_person import recusal_reason

CHANGED_MESSAGE = "预览之后材料有变化，请重新查看"
MAX_BATCH = 500
MAX_DOUBTS_NAMED = 3


@dataclass
class BatchReview:
    """What can be, or was, decided at once: (record id, doctor's name); and what was left out: (record id,
    doctor's name, reason)."""

    decidable: list[tuple[UUID, str]] = field(default_factory=list)
    left_out: list[tuple[UUID, str, str]] = field(default_factory=list)

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """Doctor's name and reason of what was left out."""
        return [(name, reason) for _, name, reason in self.left_out]

    def add(
        self,
        record_id: UUID,
        name: str,
        reason: str | None,
    ) -> None:
        """Add a record, left out if there is a reason for that."""
        if reason is None:
            self.decidable.append((record_id, name))
        else:
            self.left_out.append((record_id, name, reason))


def check_batch(cycle: Cycle, scope: ReviewScope, ids: Iterable[UUID], *, by: Actor) -> BatchReview:
    """Returns which of the records `ids` the side `scope` can decide at once, and why not the others. Only
    the first MAX_BATCH records by id are looked at, and those that the side may not see are in neither list.
    Nothing is locked or decided."""
    batch = BatchReview()
    for dossier, reason in _checked_dossiers(_batch_query(cycle, scope, ids), cycle, scope, by):
        batch.add(dossier.record.id, dossier.doctor.name, reason)
    return batch


def changed_since(ids: Iterable[UUID], scope: ReviewScope, moment: datetime) -> set[UUID]:
    """Returns those of the records `ids` (at most MAX_BATCH; of whichever organisation) that wait for the
    side and have come back to it, or whose filing was saved, after `moment`."""
    query = (
        select(Assessment.id)
        .outerjoin(Filing, _of_filing())
        .where(
            in_array(Assessment.id, ids),
            in_array(Assessment.state, scope.states),
            or_(Assessment.changed_at > moment, Filing.saved_at > moment),
        )
    )
    return set(db.session.scalars(query))


def _of_filing() -> ColumnElement[bool]:
    """The condition of joining a record's filing."""
    return and_(
        Filing.tenant_id == Assessment.tenant_id,
        Filing.doctor_id == Assessment.doctor_id,
        Filing.cycle_id == Assessment.cycle_id,
    )


def _checked_dossiers(
    query: Select[Assessment, Doctor, Filing],
    cycle: Cycle,
    scope: ReviewScope,
    by: Actor,
) -> list[tuple[Dossier, str | None]]:
    """Returns the dossiers of a `_batch_query` (locked, if it locks), by id of the record, each with the
    reason why it can't be decided together with others, or None."""
    dossiers = [
        Dossier(record, doctor, cycle, filing) for record, doctor, filing in db.session.execute(query).all()
    ]
    facts = conduct_facts([dossier.record for dossier in dossiers], cycle)
    drafts = drafts_of(facts) if scope.name == "institution" else {}
    return [
        (
            dossier,
            _refusal_reason(dossier, facts[dossier.record.id], scope, by)
            or single_review_reason(drafts.get(dossier.record.id)),
        )
        for dossier in dossiers
    ]


def _batch_query(
    cycle: Cycle,
    scope: ReviewScope,
    ids: Iterable[UUID],
) -> Select[Assessment, Doctor, Filing]:
    """Returns the query of those of the records `ids` that the side may see, by id, each with its doctor and
    its filing (None if nothing is filed)."""
    return (
        select(Assessment, Doctor, Filing)
        .join(Doctor, doctor_join())
        .outerjoin(Filing, _of_filing())
        .where(
            Assessment.cycle_id == cycle.id,
            in_array(Assessment.id, ids),
            scope.record_condition(),
        )
        .order_by(Assessment.id)
        .limit(MAX_BATCH)
    )


def apply_batch(
    cycle: Cycle,
    scope: ReviewScope,
    ids: Iterable[UUID],
    *,
    by: Actor,
    seen_at: datetime,
) -> BatchReview:
    """Approve (verdicts 合格, opinion 同意, no case of direct failure) or accept (no bad record) those of the
    records `ids` that can be decided at once, journal it, notify their doctors, and finish it for all
    (`finish_decisions`: snapshots, admission tickets). One that has changed since `seen_at`, when the
    reviewer confirmed, is left out. Locks the records; which are looked at, as for `check_batch`. Returns the
    result."""
    locking = _batch_query(cycle, scope, ids).with_for_update(of=Assessment)
    query = locking.execution_options(populate_existing=True)
    result, decided = BatchReview(), []
    for dossier, checked_reason in _checked_dossiers(query, cycle, scope, by):
        reason = checked_reason or _change_reason(dossier, seen_at) or _decide(dossier, scope, by)
        result.add(dossier.record.id, dossier.doctor.name, reason)
        if reason is None:
            decided.append(dossier)
    finish_decisions(decided, scope, by=by)
    return result


def _change_reason(dossier: Dossier, seen_at: datetime) -> str | None:
    """Returns CHANGED_MESSAGE for a record that has changed since `seen_at`, or whose filing has; else
    None."""
    filing = dossier.filing
    has_changed = dossier.record.changed_at > seen_at or (filing is not None and filing.saved_at > seen_at)
    return CHANGED_MESSAGE if has_changed else None


def _decide(
    dossier: Dossier,
    scope: ReviewScope,
    by: Actor,
) -> str | None:
    """Make the default decision on a locked record, with journal entry and notice, which the caller finishes
    (`finish_decisions`): approve with all verdicts 合格, or accept, depending on the side. Returns why it was
    refused, or None."""
    action, decision = _DEFAULT_DECISIONS[scope.name]
    try:
        decide(dossier, scope, action, by=by, decision=decision)
    except Refusal as refusal:
        return refusal.message
    return None


_DEFAULT_DECISIONS = {
    "institution": (
        "approve",
        Decision(performance="pass", ethics="pass", text="同意", conduct="none"),
    ),
    "organisation": ("accept", Decision(bad_record_check="none")),
}
"""Side → code of its default decision, and the decision."""


def _refusal_reason(
    dossier: Dossier,
    facts: ConductFacts,
    scope: ReviewScope,
    by: Actor,
) -> str | None:
    """Returns the reason why a record can't be decided together with others, or None."""
    record = dossier.record
    if scope.organisation_of(record) not in scope.deciding_ids:
        return CLERK_MESSAGE
    if record.state not in scope.states:
        return f"当前为“{ASSESSMENT_STATES[record.state]}”，不需要审核"
    if holder := other_holder_name(record, by):
        return f"{holder}正在审核"
    if record.assigned_to not in (None, by.id):
        return f"已分配给{account_name(record.assigned_to)}"
    if reason := own_record_reason(dossier.doctor, by) or assistant_reason(dossier, by):
        return reason
    if is_namesake(dossier.doctor, by):
        return "与您同名，须逐人审核"
    side_reason = (
        _acceptance_refusal_reason(record, by)
        if scope.name == "organisation"
        else _approval_refusal_reason(record)
    )
    return side_reason or _doubt_reason(dossier, facts)


def _acceptance_refusal_reason(
    record: Assessment,
    by: Actor,
) -> str | None:
    """`_refusal_reason` for the assessment organisation's acceptance, without doubts."""
    if record.graded_by == by.id:
        return "由您评定，须由另一位复核人办理"
    if reason := recusal_reason(by.id, record.graded_by):
        return reason
    if skips_test(record.procedure):
        return "简易程序须逐人评定业务水平"
    if "fail" in (record.performance, record.ethics):
        return "机构评定有不合格，须逐人复核"
    return None


def _approval_refusal_reason(record: Assessment) -> str | None:
    """`_refusal_reason` for the institution's approval, without doubts."""
    if record.state == "organisation_returned":
        return "考核机构退回的，须逐人核对"
    return None


def _doubt_reason(dossier: Dossier, facts: ConductFacts) -> str | None:
    """Returns the doubts about a dossier as a reason to look at it alone; None if there are none."""
    doubts = doubts_of(dossier, facts)
    if not doubts:
        return None
    return f"须逐人审核：{''.join(doubt.message for doubt in doubts[:MAX_DOUBTS_NAMED])}"
