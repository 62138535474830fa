"""The effects that pass lines would have on the records scored so far: counted at once if they are few, else
by a job."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from sqlalchemy import ColumnElement, Select, case, func, select

from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import MAX_COUNTED, capped_count
from dingkao.doctors.models import Doctor
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import subjects_for_procedure
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.results.pass_lines import FIRST_ID

COUNT_JOB, COUNT_BATCH_SIZE = "count_scores", 5_000


@dataclass(frozen=True)
class LineEffect:
    """The effect of a line on the records scored so far: how many there are, and how many would pass."""

    scored_count: int
    passing_count: int

    @classmethod
    def of_tally(cls, scores: Counter[int | None], line_tenths: int) -> Self:
        """Returns the effect of a line on records tallied by their lowest score."""
        passing_count = sum(
            number for score, number in scores.items() if score is not None and score >= line_tenths
        )
        return cls(scores.total(), passing_count)


ScoreTallies = dict[tuple[str, str], Counter[int | None]]
"""(category, level) → lowest score of a record in tenths → number of records. Score None: not all papers were
sat."""


def line_effects(
    cycle: Cycle, tenths: Mapping[tuple[str, str], int]
) -> dict[tuple[str, str], LineEffect] | None:
    """Returns (category, level) → effect for the lines `tenths` ((category, level) → tenths). Few records are
    counted now, of many it is told what the last job that is done counted then (`enqueue_counting`); None if
    there is none. A record passes 业务水平 if the lowest score of its papers reaches the line."""
    tallies = _last_tallies(cycle) if needs_counting_job(cycle) else _tally_now(cycle)
    if tallies is None:
        return None
    return {key: LineEffect.of_tally(tallies.get(key, Counter()), line) for key, line in tenths.items()}


def _last_tallies(cycle: Cycle) -> ScoreTallies | None:
    """Returns the tallies of the cycle's last job that is done; None if none was."""
    job = enqueueing.latest_job_about(cycle.id, COUNT_JOB, done=True)
    return None if job is None else _tallies_of(job)


def _tallies_of(job: Job) -> ScoreTallies:
    """Returns the tallies that a job has counted so far; {} before its first chunk."""
    return _load_tallies((job.result or {}).get("tallies", {}))


def needs_counting_job(cycle: Cycle) -> bool:
    """Whether more records are scored than can be counted during a request."""
    return capped_count(_scored_records_query(cycle).order_by(Assessment.state, Assessment.id)) > MAX_COUNTED


def enqueue_counting(cycle: Cycle, *, by: Actor) -> Job:
    """Enqueue the counting of a whole province's scores, which `line_effects` needs; returns the unfinished
    job that `by` asked for, if there is one."""
    unfinished = enqueueing.unfinished_job_of(by.id, cycle.id, COUNT_JOB)
    if unfinished is not None:
        return unfinished
    return enqueueing.enqueue(
        COUNT_JOB,
        f"统计成绩分布（{cycle.label}）",
        {"cycle": str(cycle.id)},
        by=by.id,
        subject=cycle.id,
    )


@worker.register_chunked_job(COUNT_JOB)
def count_batch(job: Job, cursor: Cursor) -> Chunk:
    """Add the lowest scores of the next scored records of the cycle to the job's tallies, at most
    COUNT_BATCH_SIZE of them; the chunk of fewer is the last."""
    cycle = db.session.scalars(select(Cycle).where(Cycle.id == UUID(job.arguments["cycle"]))).one()
    total = (
        None if cursor else db.session.scalar(_scored_records_query(cycle).with_only_columns(func.count()))
    )
    record_ids = _next_scored_ids(cycle, UUID(cursor.get("after", str(FIRST_ID))))
    tallies = _tallies_of(job)
    for key, scores in _tally_now(cycle, in_array(Assessment.id, record_ids)).items():
        tallies.setdefault(key, Counter()).update(scores)
    return Chunk(
        {"after": str(record_ids[-1])} if len(record_ids) == COUNT_BATCH_SIZE else None,
        done=len(record_ids),
        total=total,
        result={"tallies": _dump_tallies(tallies)},
    )


def _next_scored_ids(cycle: Cycle, after: UUID) -> Sequence[UUID]:
    """Returns the ids of the cycle's next scored records above the id `after`, rising, at most
    COUNT_BATCH_SIZE; none at the end."""
    query = _scored_records_query(cycle).with_only_columns(Assessment.id).where(Assessment.id > after)
    return db.session.scalars(query.order_by(Assessment.id).limit(COUNT_BATCH_SIZE)).all()


def _scored_records_query(cycle: Cycle) -> Select[Assessment]:
    """Returns the query of the cycle's records that are scored and have no verdict yet."""
    return select(Assessment).where(Assessment.cycle_id == cycle.id, Assessment.state == "scored")


def _tally_now(cycle: Cycle, *conditions: ColumnElement[bool]) -> ScoreTallies:
    """Returns the tallies of the cycle's scored records that meet `conditions`."""
    lowest = _lowest_score_query(cycle, *conditions).subquery()
    tally_query = select(
        lowest.c.category,
        lowest.c.level,
        lowest.c.tenths,
        func.count(),
    ).group_by(lowest.c.category, lowest.c.level, lowest.c.tenths)
    tallies: ScoreTallies = {}
    for category, level, tenths, number in db.session.execute(tally_query):
        tallies.setdefault((category, level), Counter())[tenths] = number
    return tallies


def _dump_tallies(tallies: ScoreTallies) -> dict[str, dict[str, int]]:
    """Returns tallies as JSON: «category level» → score → number."""
    return {
        " ".join(key): {str(score): number for score, number in scores.items()}
        for key, scores in tallies.items()
    }


def _load_tallies(
    stored_tallies: Mapping[str, Mapping[str, int]],
) -> ScoreTallies:
    """Returns the tallies of the JSON that `_dump_tallies` returns."""
    tallies: ScoreTallies = {}
    for key, scores in stored_tallies.items():
        category, level = key.split(" ")
        tallies[category, level] = Counter({_load_score(score): number for score, number in scores.items()})
    return tallies


def _load_score(stored_score: str) -> int | None:
    """Returns a score in tenths of the JSON of tallies; None if not all papers were sat."""
    return None if stored_score == "None" else int(stored_score)


def _lowest_score_query(cycle: Cycle, *conditions: ColumnElement[bool]) -> Select[str, str, int | None]:
    """Returns the query of category, level and lowest score in tenths (NULL if a paper was not sat) of each
    scored record of the cycle that meets `conditions` and has a valid sitting."""
    all_sat = func.count() >= case(
        (Assessment.procedure == "simple", 1),
        else_=len(subjects_for_procedure("general")),
    )
    lowest = case((all_sat, func.min(Sitting.score_tenths))).label("tenths")
    sitting_join = (
        (Sitting.tenant_id == Assessment.tenant_id)
        & (Sitting.assessment_id == Assessment.id)
        & Sitting.voided_at.is_(None)
    )
    joined = (
        select(Doctor.category, Doctor.level, lowest)
        .select_from(Assessment)
        .join(Doctor, doctor_join())
        .join(Sitting, sitting_join)
    )
    is_scored = (
        Assessment.cycle_id == cycle.id,
        Assessment.state == "scored",
    )
    return joined.where(*is_scored, *conditions).group_by(
        Assessment.id,
        Assessment.procedure,
        Doctor.category,
        Doctor.level,
    )
