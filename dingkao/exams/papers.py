"""Papers (试卷): which of them a record has to sit, its sittings of them, and how many points they give."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    exists,
    false,
    or_,
    select,
    true,
)

from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import NotFound
from dingkao.exams.assembly.blueprint_types import BlueprintCell
from dingkao.exams.models.hall_models import (
    ExtraTime,
    Slot,
    SlotPlace,
)
from dingkao.exams.models.monitoring_models import IntegrityCase
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.resits import resit_granted_condition
from dingkao.question_banks.models import SUBJECTS
from dingkao.question_banks.question_types import QUESTION_TYPES
from dingkao.tenants import settings
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
    uuid_param,
)
from dingkao.tenants.settings import Setting

settings.register(
    "exam_stages",
    Setting(
        "一般程序的测评方式",
        "parallel",
        kind="one",
        group="考试",
        order=60,
        choices={
            "parallel": "公共知识、业务水平两份试卷，先后不限",
            "sequential": "先公共知识，交卷后再业务水平",
            "combined": "一份业务水平试卷，含公共知识题",
        },
    ),
)
settings.register(
    "exam_stage_line",
    Setting(
        "先公共知识后业务水平时，公共知识须达到的分数（0为交卷即可）",
        0,
        kind="points",
        group="考试",
        order=80,
        max_value=100,
    ),
)


def subjects_for_procedure(procedure: str | None) -> tuple[str, ...]:
    """The subjects of a procedure, in the order in which they are sat. 简易程序: 公共知识 alone. 一般程序, or
    None: both, or 业务水平 alone if the province has one combined paper (domain.md §13)."""
    if procedure == "simple":
        return ("common",)
    return ("professional",) if settings.value("exam_stages") == "combined" else tuple(SUBJECTS)


def papers_for(record: Assessment) -> list[Paper]:
    """The papers that a record has to sit, 公共知识 first; those that its cycle doesn't have yet are missing
    (`expected_paper_count` counts them)."""
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    subjects = subjects_for_procedure(record.procedure)
    query = select(Paper).where(
        Paper.cycle_id == record.cycle_id,
        Paper.category == doctor.category,
        Paper.level == doctor.level,
        Paper.subject.in_(subjects),
        Paper.procedure.in_(("any", record.procedure)),
    )
    return sorted(
        db.session.scalars(query),
        key=lambda paper: subjects.index(paper.subject),
    )


class PaperProgress(NamedTuple):
    """A record's papers and sittings. `papers`: those it has to sit; `sittings`: paper id → sitting, without
    voided ones, also of papers that it no longer has to sit; `without_adjustments`: it has no slot, extra
    time or resit, so that only the papers' windows say when it may begin."""

    papers: list[Paper]
    sittings: dict[UUID, Sitting]
    without_adjustments: bool


def paper_progress(record: Assessment) -> PaperProgress:
    """The papers that a record has to sit and its sittings, with one query. `without_adjustments` is True,
    too, if there are no papers at all."""
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    rows = _PROGRESS_STATEMENT.fetch_objects(
        Paper,
        Sitting,
        record=record.id,
        cycle=record.cycle_id,
        category=doctor.category,
        level=doctor.level,
    )
    sittings = {paper.id: sitting for paper, sitting, _ in rows if sitting is not None}
    return PaperProgress(
        _papers_of(record, doctor, [paper for paper, _, _ in rows]),
        sittings,
        not any(has_adjustments for _, _, has_adjustments in rows),
    )


def _papers_of(record: Assessment, doctor: Doctor, papers: Iterable[Paper]) -> list[Paper]:
    """Those of the papers that a record has to sit, in the order of their subjects."""
    group = record.cycle_id, doctor.category, doctor.level
    subjects = subjects_for_procedure(record.procedure)
    of_record = [
        paper
        for paper in papers
        if (paper.cycle_id, paper.category, paper.level) == group
        and paper.subject in subjects
        and paper.procedure in ("any", record.procedure)
    ]
    return sorted(
        of_record,
        key=lambda paper: subjects.index(paper.subject),
    )


def _progress_query() -> Select[Any]:
    """Papers for a cycle, category and level, and all others that `record` has begun, each with its sitting
    of the record (or None) and whether the record has adjustments."""
    sat = and_(
        Sitting.tenant_id == Paper.tenant_id,
        Sitting.paper_id == Paper.id,
        Sitting.assessment_id == uuid_param("record"),
        Sitting.voided_at.is_(None),
    )
    fits = and_(
        Paper.cycle_id == uuid_param("cycle"),
        Paper.category == bindparam("category"),
        Paper.level == bindparam("level"),
    )
    return (
        select(*all_columns(Paper, Sitting), adjustments_column())
        .select_from(Paper)
        .outerjoin(Sitting, sat)
        .where(
            Paper.tenant_id == TENANT_PARAM,
            or_(fits, Sitting.id.is_not(None)),
        )
    )


_PROGRESS_STATEMENT = PreparedStatement(_progress_query)


def adjustments_column() -> ScalarSelect[Any]:
    """Whether the record in the parameter `record` has extra time, a place in a slot or a slot of its
    institution, or a resit granted, as a column of a PreparedStatement. Most records have none of these."""
    extra = exists().where(
        ExtraTime.tenant_id == Assessment.tenant_id,
        ExtraTime.cycle_id == Assessment.cycle_id,
        ExtraTime.doctor_id == Assessment.doctor_id,
    )
    slot = exists().where(
        Slot.tenant_id == Assessment.tenant_id,
        Slot.cycle_id == Assessment.cycle_id,
        Slot.institution_id == Assessment.institution_id,
    )
    place = exists().where(
        SlotPlace.tenant_id == Assessment.tenant_id,
        SlotPlace.assessment_id == Assessment.id,
    )
    again = exists().where(
        IntegrityCase.tenant_id == Assessment.tenant_id,
        IntegrityCase.assessment_id == Assessment.id,
        resit_granted_condition(),
    )
    query = select(or_(extra, slot, place, again)).where(
        Assessment.tenant_id == TENANT_PARAM,
        Assessment.id == uuid_param("record"),
    )
    return query.scalar_subquery()


def expected_paper_count(record: Assessment) -> int:
    """How many papers this record has to sit, whether they are saved already or not."""
    return len(subjects_for_procedure(record.procedure))


def paper_join_condition() -> tuple[ColumnElement[bool], ColumnElement[int]]:
    """`papers_for` as SQL: the condition that an Assessment (joined with its Doctor) has to sit a Paper, and
    the column that says how many papers it has to sit."""
    simple = Assessment.procedure.is_not_distinct_from("simple")
    general = subjects_for_procedure("general")
    theirs = and_(
        Paper.tenant_id == Assessment.tenant_id,
        Paper.cycle_id == Assessment.cycle_id,
        Paper.category == Doctor.category,
        Paper.level == Doctor.level,
        or_(
            Paper.procedure == "any",
            Paper.procedure == Assessment.procedure,
        ),
        or_(
            and_(simple, Paper.subject == "common"),
            and_(~simple, Paper.subject.in_(general)),
        ),
    )
    return theirs, case((simple, 1), else_=len(general))


def sits_paper_condition(paper: Paper) -> ColumnElement[bool]:
    """`papers_for` as SQL for one paper: the condition that an Assessment of its cycle (joined with its
    Doctor) has to sit it."""
    simple = Assessment.procedure.is_not_distinct_from("simple")
    subject_conditions = [
        *([simple] if paper.subject in subjects_for_procedure("simple") else []),
        *([~simple] if paper.subject in subjects_for_procedure("general") else []),
    ]
    return and_(
        Doctor.category == paper.category,
        Doctor.level == paper.level,
        true() if paper.procedure == "any" else Assessment.procedure == paper.procedure,
        or_(false(), *subject_conditions),
    )


def stage_lock_reason(
    paper: Paper,
    papers: Iterable[Paper],
    begun: Mapping[UUID, Sitting],
) -> str | None:
    """Why a paper can't be begun yet even within its window, as a text; None if it can. If the province has
    the stages in sequence, 公共知识 must be handed in first and reach the line that the province has set.
    `papers`: all papers of the record; `begun`: paper id → its sitting."""
    if settings.value("exam_stages") != "sequential":
        return None
    order = list(SUBJECTS)
    earlier_papers = (other for other in papers if order.index(other.subject) < order.index(paper.subject))
    reasons = (_stage_reason(earlier, begun.get(earlier.id), paper) for earlier in earlier_papers)
    return next(filter(None, reasons), None)


def _stage_reason(earlier: Paper, sitting: Sitting | None, paper: Paper) -> str:
    """Why the earlier paper doesn't allow to begin `paper` yet; "" if it does. `sitting`: that of the earlier
    paper."""
    if sitting is None or sitting.handed_in_at is None:
        return f"请先完成“{SUBJECTS[earlier.subject]}”并交卷，再参加“{SUBJECTS[paper.subject]}”。"
    if not _is_below_line(sitting):
        return ""
    return (
        f"“{SUBJECTS[earlier.subject]}”未达到{settings.value('exam_stage_line'):g}分，"
        f"不能参加“{SUBJECTS[paper.subject]}”。"
    )


def papers_due(papers: list[Paper], begun: Mapping[UUID, Sitting]) -> list[Paper]:
    """Those of a record's papers that it has sat or can still sit: without those that can never be begun
    because it failed the earlier stage. `begun`: paper id → sitting."""
    if settings.value("exam_stages") != "sequential" or not _has_failed_stage(papers, begun):
        return papers
    return [paper for paper in papers if paper.subject == "common" or paper.id in begun]


def _has_failed_stage(papers: Iterable[Paper], begun: Mapping[UUID, Sitting]) -> bool:
    """Whether the sitting of 公共知识 was handed in below the province's line."""
    return any(
        paper.subject == "common" and paper.id in begun and _is_below_line(begun[paper.id])
        for paper in papers
    )


def _is_below_line(sitting: Sitting) -> bool:
    """Whether a sitting is handed in, with a score below the province's line for the next stage."""
    if sitting.handed_in_at is None:
        return False
    return (sitting.score_tenths or 0) < settings.value("exam_stage_line") * 10


def points_by_type(paper: Paper) -> dict[str, int]:
    """Type → tenths of a point for one question, for the types that the paper has."""
    return {kind: int(paper.points.get(kind, 10)) for kind in QUESTION_TYPES if paper.counts.get(kind)}


def total_points_tenths(paper: Paper) -> int:
    """The points of all questions of the paper together, in tenths of a point."""
    return sum(tenths * int(paper.counts[kind]) for kind, tenths in points_by_type(paper).items())


def blueprint_cells(paper: Paper) -> list[BlueprintCell]:
    """The cells of a paper's blueprint."""
    return [BlueprintCell(**cell) for cell in paper.cells]


def has_sittings(paper: Paper) -> bool:
    """Whether any doctor has begun the paper; voided sittings count."""
    return db.session.scalar(select(Sitting.id).where(Sitting.paper_id == paper.id).limit(1)) is not None


def get_paper(paper_id: UUID) -> Paper:
    """A paper of the province. Raises NotFound."""
    paper = db.session.scalar(select(Paper).where(Paper.id == paper_id))
    if paper is None:
        raise NotFound
    return paper


def papers_by_id(ids: Iterable[UUID]) -> dict[UUID, Paper]:
    """Paper id → paper, for at most 5,000 ids; unknown ones are left out."""
    papers = db.session.scalars(select(Paper).where(in_array(Paper.id, set(ids))))
    return {paper.id: paper for paper in papers}


def papers_of_cycle(
    cycle: Cycle,
) -> dict[tuple[str, str, str], list[Paper]]:
    """(subject, category, level) → the cycle's papers for these, sorted by procedure."""
    query = select(Paper).where(Paper.cycle_id == cycle.id).order_by(Paper.procedure)
    papers: dict[tuple[str, str, str], list[Paper]] = {}
    for paper in db.session.scalars(query):
        papers.setdefault((paper.subject, paper.category, paper.level), []).append(paper)
    return papers
