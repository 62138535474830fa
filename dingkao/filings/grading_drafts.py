"""Verdicts drafted at the institution (草拟, domain.md §12): a clerk, or a department's liaison, proposes
how a doctor's work and ethics should be graded. A draft decides nothing; the institution's reviewer sees it
beside the record."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select

from dingkao import clock
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import ASSESSMENT_STATES, VERDICTS, Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, NotFound
from dingkao.filings.models import GradingDraft
from dingkao.filings.review_guards import own_record_reason
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.scopes import Grant, scope_condition

ACTION = "gradings.draft"
DRAFTABLE_STATES = (
    "included",
    "draft",
    "institution_pending",
    "institution_returned",
    "organisation_returned",
)
"""The states in which the institution has not decided on a record, or decides once more."""
MAX_DRAFTED = 500
MAX_REMARK_LENGTH = 200


@dataclass(frozen=True)
class DraftedVerdicts:
    """What is drafted: two codes of VERDICTS, and a remark, "" for none."""

    performance: str
    ethics: str
    remark: str = ""


@dataclass
class DraftResult:
    """How many drafts were written, and reason → number of the records left out."""

    drafted: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def draft_scope_condition(grant: Grant) -> ColumnElement[bool]:
    """The SQL condition of the records within `grant`, for a query of records and doctors: those of its
    institutions, and those of its departments whose doctors are still at the record's institution, so that
    the plan begins with a department's doctors."""
    at_institution = scope_condition(grant, institution=Assessment.institution_id)
    if not grant.departments:
        return at_institution
    in_department = scope_condition(grant, institution=Doctor.organisation_id, department=Doctor.department)
    return or_(at_institution, and_(in_department, Doctor.organisation_id == Assessment.institution_id))


def get_record(record_id: UUID, grant: Grant) -> tuple[Assessment, Doctor]:
    """The record with that id within `grant`, and its doctor; not locked. Raises NotFound."""
    query = (
        select(Assessment, Doctor)
        .join(Doctor, doctor_join())
        .where(Assessment.id == record_id, draft_scope_condition(grant))
    )
    pair = db.session.execute(query).one_or_none()
    if pair is None:
        raise NotFound
    return pair[0], pair[1]


def drafts_of(record_ids: Iterable[UUID]) -> dict[UUID, GradingDraft]:
    """Record's id → its draft, for at most 5,000 records; those without one are left out."""
    drafts = db.session.scalars(
        select(GradingDraft).where(in_array(GradingDraft.assessment_id, set(record_ids)))
    )
    return {draft.assessment_id: draft for draft in drafts}


def draft_of(record: Assessment) -> GradingDraft | None:
    """The draft of a record that still waits for the institution; None where there is none."""
    return drafts_of([record.id]).get(record.id) if record.state in DRAFTABLE_STATES else None


def validate_verdicts(verdicts: DraftedVerdicts) -> DraftedVerdicts:
    """The verdicts with the remark's blanks tidied. Raises InvalidInput for the field where one is missing or
    unknown, the remark is too long, or 不合格 has no remark."""
    for name, label in (("performance", "工作成绩"), ("ethics", "职业道德")):
        if getattr(verdicts, name) not in VERDICTS:
            raise InvalidInput(f"请选择{label}的草拟结论。", name)
    remark = " ".join(verdicts.remark.split())
    if len(remark) > MAX_REMARK_LENGTH:
        raise InvalidInput(f"说明请不要超过{MAX_REMARK_LENGTH}字，现有{len(remark)}字。", "remark")
    if "fail" in (verdicts.performance, verdicts.ethics) and not remark:
        raise InvalidInput("草拟为不合格的，请写明理由。", "remark")
    return DraftedVerdicts(verdicts.performance, verdicts.ethics, remark)


def save_drafts(
    cycle: Cycle,
    record_ids: Iterable[UUID],
    verdicts: DraftedVerdicts,
    *,
    grant: Grant,
    by: Actor,
) -> DraftResult:
    """Draft the verdicts for records of the cycle within `grant`, at most MAX_DRAFTED, and journal each; an
    earlier draft is replaced, the same one again changes nothing but is counted. Locks the records. Raises
    InvalidInput (see `validate_verdicts`); one's own record and those that don't wait for the institution are
    left out, those of another cycle or grant silently."""
    verdicts = validate_verdicts(verdicts)
    query = (
        select(Assessment, Doctor)
        .join(Doctor, doctor_join())
        .where(
            in_array(Assessment.id, list(record_ids)[:MAX_DRAFTED]),
            Assessment.cycle_id == cycle.id,
            draft_scope_condition(grant),
        )
        .order_by(Assessment.id)
        .with_for_update(of=Assessment)
        .execution_options(populate_existing=True)
    )
    pairs = db.session.execute(query).all()
    drafts = drafts_of(record.id for record, _ in pairs)
    result = DraftResult()
    with journal.batched_entries():
        for record, doctor in pairs:
            if reason := _refusal_reason(record, doctor, by):
                result.left_out[reason] += 1
                continue
            result.drafted += 1
            _save_draft(record, drafts.get(record.id), verdicts, by)
    db.session.flush()
    return result


def _refusal_reason(record: Assessment, doctor: Doctor, by: Actor) -> str | None:
    """Why no verdicts are drafted for a record; None if they are."""
    if record.state not in DRAFTABLE_STATES:
        return f"当前为“{ASSESSMENT_STATES[record.state]}”，不需要草拟"
    return own_record_reason(doctor, by)


def _save_draft(
    record: Assessment,
    draft: GradingDraft | None,
    verdicts: DraftedVerdicts,
    by: Actor,
) -> None:
    """Write the draft of a locked record and journal it, unless it says the same already."""
    values = {
        "performance": verdicts.performance,
        "ethics": verdicts.ethics,
        "remark": verdicts.remark or None,
    }
    if draft is None:
        draft = GradingDraft(assessment_id=record.id)
        db.session.add(draft)
    elif all(getattr(draft, name) == value for name, value in values.items()):
        return
    for name, value in values.items():
        setattr(draft, name, value)
    draft.drafted_by, draft.drafted_at = by.id, clock.now()
    journal.write_entry("assessment", record.id, "grading_drafted", by=by, **values)


def single_review_reason(draft: GradingDraft | None) -> str | None:
    """Why a record must be decided on by itself because of its draft; None if it gives no reason."""
    if draft is not None and "fail" in (draft.performance, draft.ethics):
        return "草拟结论有不合格，须逐人审核"
    return None
