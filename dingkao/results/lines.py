"""Pass lines (分数线): proposed by one administrator, approved by another, then applied to whoever has been scored."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, case, func, select

from dingkao import clock
from dingkao.assessments import moves
from dingkao.assessments.enrolment import of_doctor
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.model import db, new_id
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, Invalid, NotAllowed, NotFound
from dingkao.exams.integrity import under_inquiry
from dingkao.exams.models import Sitting
from dingkao.exams.papers import subjects_of, wanted_subjects
from dingkao.journal import writing as journal
from dingkao.journal.proposing import held, take_back
from dingkao.journal.writing import SYSTEM, Actor
from dingkao.results.models import PassLine
from dingkao.tenants import settings

BATCH = 500
WHOLE = 1000


def standing(cycle: Cycle) -> dict[tuple[str, str], PassLine]:
    """The lines of a cycle that stand, approved or proposed, by category and level."""
    rows = db.session.scalars(select(PassLine).where(PassLine.cycle_id == cycle.id, PassLine.withdrawn_at.is_(None)))
    return {(row.category, row.level): row for row in rows}


def default_tenths(level: str) -> int:
    """The line the province's settings propose for a level, in tenths."""
    return int(settings.value(f"pass_line_{level}") * 10)


def propose(cycle: Cycle, category: str, level: str, tenths: int, *, by: Actor) -> PassLine:
    """Propose a line in tenths of a point; a proposal that nobody has approved is replaced. Raises Invalid, NotAllowed."""
    if category not in CATEGORIES or level not in LEVELS:
        raise Invalid("请从列表中选择执业类别和级别。")
    if not 0 <= tenths <= WHOLE:
        raise Invalid("合格线应为0至100分。", "line")
    db.session.scalars(select(Cycle.id).where(Cycle.id == cycle.id).with_for_update()).one()
    earlier = standing(cycle).get((category, level))
    if earlier and earlier.approved_at:
        raise NotAllowed(f"{CATEGORIES[category]}{LEVELS[level]}的合格线已确定并生效,不能再更改。")
    if earlier:
        earlier.withdrawn_at = clock.now()
        db.session.flush()
    row = PassLine(id=new_id(), cycle_id=cycle.id, category=category, level=level, line_tenths=tenths, proposed_by=by.id, proposed_at=clock.now())
    db.session.add(row)
    db.session.flush()
    journal.write("pass_line", row.id, "proposed", by=by, category=category, level=level, tenths=tenths)
    return row


def locked(line_id: UUID) -> PassLine:
    """A line that stands, held locked. Raises NotFound."""
    return held(PassLine, line_id, PassLine.withdrawn_at.is_(None), refusal=NotFound("该合格线已被替换,请刷新页面查看。"))


def approve(row: PassLine, *, by: Actor) -> None:
    """Approve (held locked), by another person than proposed; approved already: nothing happens. Raises Forbidden."""
    if row.approved_at:
        return
    if row.proposed_by == by.id:
        raise Forbidden("提出人与确认人不能是同一人,请由另一位省级管理员确认。")
    row.approved_by, row.approved_at = by.id, clock.now()
    journal.write("pass_line", row.id, "approved", by=by, tenths=row.line_tenths)


def withdraw(row: PassLine, *, by: Actor) -> None:
    """Take back a proposal (held locked). Raises NotAllowed once it is approved."""
    take_back(row, by=by, refusal="合格线已确定并生效,不能撤回。")


def reaches(scores: Iterable[int | None], line_tenths: int) -> bool:
    """Whether every paper's score reaches the line; without a score none does."""
    found = list(scores)
    return bool(found) and all(score is not None and score >= line_tenths for score in found)


@dataclass(frozen=True)
class Effect:
    """What a line would do to those scored so far: how many, how many reach it."""

    scored: int
    reaching: int


def effect(cycle: Cycle, category: str, level: str, tenths: int) -> Effect:
    """What a line would do. 业务水平 passes where the lowest of a record's papers reaches it."""
    rows = db.session.execute(_lowest(cycle, category, level).where(Assessment.state == "scored")).all()
    return Effect(len(rows), sum(row[1] is not None and row[1] >= tenths for row in rows))


def apply_lines(cycle: Cycle) -> int:
    """Turn scores into verdicts where an approved line stands, a batch at a time; the number of records moved. Repeatable."""
    moved = 0
    for (category, level), line in standing(cycle).items():
        if line.approved_at is None:
            continue
        while rows := _scored(cycle, category, level):
            for record in rows:
                query = select(Sitting.score_tenths).where(Sitting.assessment_id == record.id, Sitting.voided_at.is_(None))
                scores = db.session.scalars(query).all()
                # an earlier stage may have closed the later one: what was not sat is not passed
                passed = len(scores) >= wanted_subjects(record) and reaches(scores, line.line_tenths)
                moves.apply_pass_line(record, by=SYSTEM, competence="pass" if passed else "fail")
            moved += len(rows)
            db.session.commit()
    return moved


def apply_everywhere() -> None:
    """The duty: what was scored after its line had been approved."""
    for cycle in db.session.scalars(select(Cycle)).all():
        apply_lines(cycle)


def _scored(cycle: Cycle, category: str, level: str) -> list[Assessment]:
    query = (
        select(Assessment).join(Doctor, of_doctor())
        .where(Assessment.cycle_id == cycle.id, Assessment.state == "scored", Doctor.category == category, Doctor.level == level, ~under_inquiry())
    )  # fmt: skip
    return list(db.session.scalars(query.order_by(Assessment.id).limit(BATCH).with_for_update(of=Assessment, skip_locked=True)))


def _lowest(cycle: Cycle, category: str, level: str) -> Select[UUID, int | None]:
    all_sat = func.count() >= case((Assessment.procedure == "simple", 1), else_=len(subjects_of("general")))
    joined = select(Assessment.id, case((all_sat, func.min(Sitting.score_tenths)))).join(Doctor, of_doctor())
    mine = (Sitting.tenant_id == Assessment.tenant_id) & (Sitting.assessment_id == Assessment.id) & Sitting.voided_at.is_(None)
    joined = joined.join(Sitting, mine)
    return joined.where(Assessment.cycle_id == cycle.id, Doctor.category == category, Doctor.level == level).group_by(Assessment.id, Assessment.procedure)
