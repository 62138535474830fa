"""Published results as doctors see them."""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select

from dingkao.assessments.models import FINAL_STATES, Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.results import pass_lines
from dingkao.tenants import settings


@dataclass(frozen=True)
class DoctorResult:
    """What a doctor sees of a published result besides the verdicts.

    `scores`: (title of the paper, tenths of a point; None if not handed in) and `pass_line_tenths`, the line
    that was applied: both empty if the province does not show scores. `sitting_ids`: all sittings of the
    record (voided ones too), whose answers the phone may delete from its storage.
    """

    scores: list[tuple[str, int | None]] = field(default_factory=list)
    pass_line_tenths: int | None = None
    sitting_ids: list[UUID] = field(default_factory=list)


def load_doctor_result(record: Assessment, doctor: Doctor, cycle: Cycle) -> DoctorResult:
    """Returns what a doctor sees of a record; the caller has checked that its result is published."""
    sitting_ids = list(db.session.scalars(select(Sitting.id).where(Sitting.assessment_id == record.id)))
    if not settings.value("show_scores"):
        return DoctorResult(sitting_ids=sitting_ids)
    return DoctorResult(
        _list_scores(record),
        _applied_line_tenths(record, doctor, cycle),
        sitting_ids,
    )


def _list_scores(record: Assessment) -> list[tuple[str, int | None]]:
    """Returns (title of the paper, tenths of a point) of a record's valid sittings, by subject; None for one
    not handed in."""
    is_paper = (Sitting.tenant_id == Paper.tenant_id) & (Sitting.paper_id == Paper.id)
    query = (
        select(Paper.title, Sitting.score_tenths)
        .join(Sitting, is_paper)
        .where(
            Sitting.assessment_id == record.id,
            Sitting.voided_at.is_(None),
        )
        .order_by(Paper.subject)
    )
    return [(title, tenths) for title, tenths in db.session.execute(query)]


def _applied_line_tenths(record: Assessment, doctor: Doctor, cycle: Cycle) -> int | None:
    """Returns the approved pass line for the doctor's category and level, in tenths, by which the record was
    judged; None if the record is exempted or there is none."""
    pass_line = pass_lines.current_lines(cycle).get((doctor.category, doctor.level))
    if record.exempted or pass_line is None or pass_line.approved_at is None:
        return None
    return pass_line.line_tenths


def list_other_results(
    record: Assessment,
) -> list[tuple[Assessment, Cycle]]:
    """Returns the doctor's other records with a result and their cycles, the newest first."""
    is_cycle = (Cycle.tenant_id == Assessment.tenant_id) & (Cycle.id == Assessment.cycle_id)
    query = (
        select(Assessment, Cycle)
        .join(Cycle, is_cycle)
        .where(
            Assessment.doctor_id == record.doctor_id,
            Assessment.id != record.id,
            Assessment.state.in_(FINAL_STATES),
        )
        .order_by(Cycle.starts_on.desc(), Assessment.id.desc())
    )
    return [(other_record, cycle) for other_record, cycle in db.session.execute(query)]
