"""Pass lines (分数线): one administrator proposes, another approves; then they are applied to scored
records."""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, select

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.exams.integrity_events import open_case_condition
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import expected_paper_count
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.journal.proposals import get_for_update, withdraw
from dingkao.people.second_person import require_second_person
from dingkao.results.models import PassLine
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

BATCH_SIZE, MAX_ROUND_SECONDS = 200, 5.0
FIRST_ID = UUID(int=0)
FULL_MARKS_TENTHS = 1000
settings.register(
    "pass_line_physician",
    Setting(
        "执业医师合格线（百分制）",
        60,
        kind="points",
        group="分数线",
        order=10,
        max_value=100,
    ),
)
settings.register(
    "pass_line_assistant",
    Setting(
        "执业助理医师合格线（百分制）",
        60,
        kind="points",
        group="分数线",
        order=20,
        max_value=100,
    ),
)
settings.register(
    "show_scores",
    Setting(
        "向医师显示测评分数",
        True,
        kind="yes_no",
        group="结果",
        order=10,
    ),
)


def current_lines(cycle: Cycle) -> dict[tuple[str, str], PassLine]:
    """Returns (category, level) → line of a cycle, approved or proposed, without withdrawn ones."""
    lines = db.session.scalars(
        select(PassLine).where(
            PassLine.cycle_id == cycle.id,
            PassLine.withdrawn_at.is_(None),
        )
    )
    return {(line.category, line.level): line for line in lines}


def proposed_lines_query(cycle: Cycle) -> Select[Any]:
    """Returns the query of a cycle's lines that wait for approval."""
    is_proposed = (
        PassLine.approved_at.is_(None),
        PassLine.withdrawn_at.is_(None),
    )
    return select(PassLine).where(PassLine.cycle_id == cycle.id, *is_proposed)


def default_tenths(level: str) -> int:
    """Returns the line for a level that the province's settings suggest, in tenths."""
    return int(settings.value(f"pass_line_{level}") * 10)


def propose_line(cycle: Cycle, category: str, level: str, tenths: int, *, by: Actor) -> PassLine:
    """Propose a line in tenths of a point, with a journal entry; locks the cycle. An earlier proposal that is
    not approved is withdrawn, without an entry. Raises InvalidInput; InvalidState if a line is approved
    already."""
    if category not in CATEGORIES or level not in LEVELS:
        raise InvalidInput("请从列表中选择执业类别和级别。")
    if not 0 <= tenths <= FULL_MARKS_TENTHS:
        raise InvalidInput("合格线应为0至100分（百分制）。", "line")
    db.session.scalars(select(Cycle.id).where(Cycle.id == cycle.id).with_for_update()).one()
    current_line = current_lines(cycle).get((category, level))
    if current_line:
        _replace_proposal(current_line)
    line = PassLine(
        id=new_id(),
        cycle_id=cycle.id,
        category=category,
        level=level,
        line_tenths=tenths,
        proposed_by=by.id,
        proposed_at=clock.now(),
    )
    db.session.add(line)
    db.session.flush()
    journal.write_entry(
        "pass_line",
        line.id,
        "proposed",
        by=by,
        category=category,
        level=level,
        tenths=tenths,
    )
    return line


def _replace_proposal(line: PassLine) -> None:
    """Withdraw a line, without a journal entry, so that another one can be proposed. Raises InvalidState if
    it is approved."""
    if line.approved_at:
        group = f"{CATEGORIES[line.category]}{LEVELS[line.level]}"
        raise InvalidState(f"{group}的合格线已确定并生效，不能再更改。")
    line.withdrawn_at = clock.now()
    db.session.flush()


def get_line_for_update(line_id: UUID) -> PassLine:
    """Returns a line that is not withdrawn, approved or proposed, locked. Raises NotFound."""
    return get_for_update(
        PassLine,
        line_id,
        PassLine.withdrawn_at.is_(None),
        refusal=NotFound("该合格线已被替换，请刷新页面查看。"),
    )


def approve_line(pass_line: PassLine, *, by: Actor) -> None:
    """Approve a line (locked and not withdrawn: `get_line_for_update`), with a journal entry; does nothing if
    it is approved already. Verdicts follow from `enqueue_applying`, or from the scheduled task. Raises
    Forbidden for the person who proposed it, or one who doesn't count as a second person."""
    if pass_line.approved_at:
        return
    require_second_person(
        by,
        pass_line.proposed_by,
        same="提出人与确认人不能是同一人，请由另一位省级管理员确认。",
    )
    pass_line.approved_by, pass_line.approved_at = by.id, clock.now()
    journal.write_entry(
        "pass_line",
        pass_line.id,
        "approved",
        by=by,
        tenths=pass_line.line_tenths,
    )


def withdraw_line(pass_line: PassLine, *, by: Actor) -> None:
    """Withdraw a proposed line (locked), with a journal entry; does nothing if it is withdrawn already.
    Raises InvalidState if it is approved."""
    withdraw(pass_line, by=by, refusal="合格线已确定并生效，不能撤回。")


def reaches_line(scores: Iterable[int | None], line_tenths: int) -> bool:
    """Whether every paper's score (tenths; None: not handed in) reaches the line; False without scores."""
    score_list = list(scores)
    return bool(score_list) and all(score is not None and score >= line_tenths for score in score_list)


@dataclass
class VerdictCalculator:
    """Computes verdicts from scores and approved lines. It reads the lines of each cycle once."""

    lines_by_cycle: dict[UUID, dict[tuple[str, str], PassLine]] = field(default_factory=dict)

    def verdict_of(
        self,
        record: Assessment,
        doctor: Doctor,
        scores: dict[UUID, int | None],
    ) -> str | None:
        """Returns the verdict on 业务水平 from a record's `scores` (sitting id → tenths, without void
        sittings; None: not handed in, which fails): pass or fail; None without an approved line, or if a
        paper was never sat."""
        line = self._lines_of(record).get((doctor.category, doctor.level))
        if line is None or line.approved_at is None or len(scores) < expected_paper_count(record):
            return None
        return "pass" if reaches_line(scores.values(), line.line_tenths) else "fail"

    def _lines_of(self, record: Assessment) -> dict[tuple[str, str], PassLine]:
        """Returns the lines of the record's cycle, also those not approved yet (`current_lines`)."""
        if record.cycle_id not in self.lines_by_cycle:
            cycle = db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))
            self.lines_by_cycle[record.cycle_id] = current_lines(cycle)
        return self.lines_by_cycle[record.cycle_id]


def enqueue_applying(cycle: Cycle, *, by: Actor) -> Job:
    """Enqueue the job that gives a verdict on 业务水平 (pass or fail) to the records of the cycle in the
    state "scored" that have an approved line; those with an open integrity case are left out. Whether one is
    under way isn't asked."""
    return enqueueing.enqueue(
        "apply_lines",
        f"合格线：评定业务水平（{cycle.label}）",
        {"cycle": str(cycle.id)},
        by=by.id,
        subject=cycle.id,
    )


@worker.register_chunked_job("apply_lines")
def apply_step(job: Job, cursor: Cursor) -> Chunk:
    """Turn the scores of the next records with an approved line into verdicts. Records that others have
    locked are left to the scheduled task (`apply_approved_lines`)."""
    cycle = db.session.scalars(select(Cycle).where(Cycle.id == UUID(job.arguments["cycle"]))).one()
    total = None if cursor else _count_with_approved_line(cycle)
    assessed_count, last_id = _apply_batch(cycle, UUID(cursor.get("after", str(FIRST_ID))))
    return Chunk(
        {"after": str(last_id)} if last_id else None,
        done=assessed_count,
        total=total,
        counts={"judged": assessed_count},
    )


def _count_with_approved_line(cycle: Cycle) -> int | None:
    """How many scored records of a cycle have an approved line and no open integrity case."""
    records = _records_with_approved_line_query(cycle).subquery()
    return db.session.scalar(select(func.count()).select_from(records))


def apply_approved_lines() -> int:
    """The scheduled task for records that were scored after their line was approved. Returns how many got a
    verdict. It commits each batch, and leaves to the next run what takes longer than MAX_ROUND_SECONDS."""
    deadline = time.monotonic() + MAX_ROUND_SECONDS
    cycles = db.session.scalars(select(Cycle)).all()
    return sum(_apply_lines_of(cycle, deadline) for cycle in cycles)


def _apply_lines_of(cycle: Cycle, deadline: float) -> int:
    """Apply the approved lines of a cycle until no record is left or the deadline (of `time.monotonic`) has
    passed; commits each batch. Returns how many records got a verdict."""
    if not any(line.approved_at for line in current_lines(cycle).values()):
        return 0
    assessed_count = 0
    last_id: UUID | None = FIRST_ID
    while last_id is not None and time.monotonic() < deadline:
        batch_count, last_id = _apply_batch(cycle, last_id)
        db.session.commit()
        assessed_count += batch_count
    return assessed_count


def _apply_batch(cycle: Cycle, after: UUID) -> tuple[int, UUID | None]:
    """Apply the approved lines to the next BATCH_SIZE records after the id `after`, without those that others
    have locked; locks them, writes journal entries, commits nothing. Returns how many, and the last id if
    there may be more, else None."""
    query = (
        _records_with_approved_line_query(cycle)
        .where(Assessment.id > after)
        .order_by(Assessment.id)
        .limit(BATCH_SIZE)
        .with_for_update(of=Assessment, skip_locked=True)
    )
    records_with_line = db.session.execute(query.execution_options(populate_existing=True)).all()
    record_ids = [record.id for record, _ in records_with_line]
    scores = _scores_by_record(record_ids)
    with journal.batched_entries():
        for record, line_tenths in records_with_line:
            _apply_line(record, scores[record.id], line_tenths)
    return len(record_ids), record_ids[-1] if len(record_ids) == BATCH_SIZE else None


def _scores_by_record(
    record_ids: Sequence[UUID],
) -> dict[UUID, list[int | None]]:
    """Returns for at most 5,000 records: record id → scores in tenths (None: not handed in), without void
    sittings; [] for a record without any."""
    query = select(Sitting.assessment_id, Sitting.score_tenths).where(
        in_array(Sitting.assessment_id, record_ids),
        Sitting.voided_at.is_(None),
    )
    scores: dict[UUID, list[int | None]] = defaultdict(list)
    for record_id, tenths in db.session.execute(query):
        scores[record_id].append(tenths)
    return scores


def _apply_line(record: Assessment, scores: Sequence[int | None], line_tenths: int) -> None:
    """Give a record (locked, scored) its verdict on 业务水平; `scores`: tenths of all its valid sittings."""
    # a failed earlier stage may have excluded the doctor from the later one: a missing paper means fail
    has_all_scores = len(scores) >= expected_paper_count(record)
    is_passed = has_all_scores and reaches_line(scores, line_tenths)
    assessment_transitions.apply_pass_line(
        record,
        by=SYSTEM_ACTOR,
        competence="pass" if is_passed else "fail",
    )


def _records_with_approved_line_query(
    cycle: Cycle,
) -> Select[Assessment, int]:
    """Returns the query of a cycle's scored records that have an approved line, each with the line in tenths;
    without those that have an open integrity case."""
    of_line = and_(
        PassLine.tenant_id == Doctor.tenant_id,
        PassLine.cycle_id == cycle.id,
        PassLine.category == Doctor.category,
        PassLine.level == Doctor.level,
        PassLine.approved_at.is_not(None),
        PassLine.withdrawn_at.is_(None),
    )
    query = select(Assessment, PassLine.line_tenths).join(Doctor, doctor_join()).join(PassLine, of_line)
    return query.where(
        Assessment.cycle_id == cycle.id,
        Assessment.state == "scored",
        ~open_case_condition(),
    )
