"""Reviewing many records at once. Records that need a closer look are skipped and must be reviewed one by
one."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, select

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
from dingkao.filings.models import Filing
from dingkao.filings.review import (
    Decision,
    ReviewScope,
    apply_decision,
    get_record_for_update,
    other_holder_name,
)
from dingkao.journal.entries import Actor
from dingkao.people.second_person import recusal_reason

MAX_BATCH = 500
MAX_DOUBTS_NAMED = 3


@dataclass
class BatchReview:
    """What can be, or was, decided at once: (record id, doctor's name); and what was skipped: (doctor's name,
    reason)."""

    decidable: list[tuple[UUID, str]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def check_batch(
    cycle: Cycle,
    scope: ReviewScope,
    ids: Iterable[UUID],
    *,
    by: Actor,
    for_update: bool = False,
) -> BatchReview:
    """Returns which of the records `ids` the side `scope` can decide at once, and why not the others. At most
    MAX_BATCH records are looked at; locked with `for_update`."""
    query = _batch_query(cycle, scope, ids)
    if for_update:
        query = query.with_for_update(of=Assessment)
    batch = BatchReview()
    for record, doctor, filing in db.session.execute(query):
        reason = _refusal_reason(Dossier(record, doctor, cycle, filing), scope, by)
        if reason:
            batch.skipped.append((doctor.name, reason))
        else:
            batch.decidable.append((record.id, doctor.name))
    return batch


def _batch_query(cycle: Cycle, scope: ReviewScope, ids: Iterable[UUID]) -> Select[Any]:
    """Returns the query of those of the records `ids` that the side may see, by id, each with its doctor and
    its filing (None if nothing is filed)."""
    of_filing = and_(
        Filing.tenant_id == Assessment.tenant_id,
        Filing.doctor_id == Assessment.doctor_id,
        Filing.cycle_id == Assessment.cycle_id,
    )
    return (
        select(Assessment, Doctor, Filing)
        .join(Doctor, doctor_join())
        .outerjoin(Filing, of_filing)
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
) -> tuple[BatchReview, list[Assessment]]:
    """Approve (verdicts 合格, opinion 同意) or accept those of the records `ids` that can be decided at once;
    one that has changed since the preview is skipped. Returns the result and the decided records."""
    batch = check_batch(cycle, scope, ids, by=by, for_update=True)
    report, decided_records = BatchReview(skipped=batch.skipped), []
    for record_id, name in batch.decidable:
        record = get_record_for_update(record_id, scope)
        try:
            _apply_default_decision(record, scope, by)
        except Refusal as refusal:
            report.skipped.append((name, refusal.message))
        else:
            report.decidable.append((record_id, name))
            decided_records.append(record)
    return report, decided_records


def _apply_default_decision(record: Assessment, scope: ReviewScope, by: Actor) -> None:
    """Approve with all verdicts 合格, or accept, depending on the side. Raises what `apply_decision`
    raises."""
    if scope.name == "institution":
        decision = Decision(performance="pass", ethics="pass", text="同意")
        apply_decision(record, scope, "approve", by=by, decision=decision)
    else:
        apply_decision(
            record,
            scope,
            "accept",
            by=by,
            decision=Decision(competence="pass"),
        )


def _refusal_reason(dossier: Dossier, scope: ReviewScope, by: Actor) -> str | None:
    """Returns the reason why a record can't be decided together with others, or None."""
    record = dossier.record
    if record.state not in scope.states:
        return f"当前为“{ASSESSMENT_STATES[record.state]}”，不需要审核"
    if holder := other_holder_name(record, by):
        return f"{holder}正在审核"
    side_reason = (
        _acceptance_refusal_reason(record, by)
        if scope.name == "organisation"
        else _approval_refusal_reason(record)
    )
    return side_reason or _doubt_reason(dossier)


def _acceptance_refusal_reason(record: Assessment, by: Actor) -> str | None:
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


def _doubt_reason(dossier: Dossier) -> str | None:
    """Returns the doubts about a dossier as a reason to look at it alone; None if there are none."""
    doubts = doubts_of(dossier)
    if not doubts:
        return None
    return f"须逐人审核：{''.join(doubt.message for doubt in doubts[:MAX_DOUBTS_NAMED])}"
