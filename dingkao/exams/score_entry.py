"""The job, in chunks that the worker commits, that enters confirmed scores from paper: each becomes a sitting
with an empty layout."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import literal, select, tuple_

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import Assessment
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidState, Refusal
from dingkao.exams.models.score_import_models import (
    ImportedScore,
    ScoreImport,
)
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import expected_paper_count, papers_for
from dingkao.exams.score_validation import OFFLINE, require_enterable
from dingkao.jobs import worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.people.accounts import load_actor
from dingkao.people.notice_catalogue import PAPER_SCORE_ENTERED

BATCH_SIZE = 200
ENTER_JOB = "enter_scores"


@worker.register_chunked_job(ENTER_JOB)
def enter_batch(job: Job, cursor: Cursor) -> Chunk:
    """Enter the next confirmed scores of an import, in the name of who confirmed it; locks each record and
    sitting, notifies the doctors of new ones. Scores entered already are left as they are; those that can't
    be entered any more are skipped, the reason stored with them. After the last ones the import is entered,
    with a journal entry. Raises InvalidState if the import is not confirmed."""
    score_import = db.session.scalars(
        select(ScoreImport).where(ScoreImport.id == UUID(job.arguments["import"]))
    ).one()
    if score_import.approved_at is None:
        raise InvalidState("这批成绩尚未确认。")
    scores = _next_scores(score_import, cursor)
    reasons = _enter_scores(scores, load_actor(score_import.approved_by))
    counts = {
        "entered": len(scores) - reasons.total(),
        "left_out": reasons.total(),
    }
    next_cursor = _cursor_after(scores)
    if next_cursor is None and score_import.entered_at is None:
        _finish_entering(score_import, Counter(counts) + Counter(_totals_of(job)))
    return Chunk(
        next_cursor,
        done=len(scores),
        total=score_import.scores,
        counts=counts,
        reasons=reasons,
    )


def _cursor_after(scores: Sequence[ImportedScore]) -> Cursor | None:
    """The cursor for the scores after these; None if these are the last."""
    if len(scores) < BATCH_SIZE:
        return None
    last_score = scores[-1]
    return {
        "after": [
            str(last_score.assessment_id),
            str(last_score.paper_id),
        ]
    }


def _totals_of(job: Job) -> dict[str, int]:
    """How many scores the previous chunks have entered and left out."""
    result = job.result or {}
    return {name: result.get(name, 0) for name in ("entered", "left_out")}


def _finish_entering(score_import: ScoreImport, totals: Counter[str]) -> None:
    """Mark the import as entered and journal the totals."""
    score_import.entered_at = clock.now()
    journal.write_entry(
        "score_import",
        score_import.id,
        "entered",
        by=SYSTEM_ACTOR,
        entered=totals["entered"],
        left_out=totals["left_out"],
    )


def _next_scores(score_import: ScoreImport, cursor: Cursor) -> Sequence[ImportedScore]:
    """The next BATCH_SIZE scores of an import, by record and paper."""
    keys = (ImportedScore.assessment_id, ImportedScore.paper_id)
    query = select(ImportedScore).where(ImportedScore.import_id == score_import.id)
    if cursor:
        last_keys = (literal(UUID(identity)) for identity in cursor["after"])
        query = query.where(tuple_(*keys) > tuple_(*last_keys))
    return db.session.scalars(query.order_by(*keys).limit(BATCH_SIZE)).all()


def _enter_scores(scores: Sequence[ImportedScore], by: Actor) -> Counter[str]:
    """Enter each score; one that is refused, before anything of it was changed, gets the reason stored.
    Returns reason → how many were skipped for it."""
    reasons = Counter[str]()
    for score in scores:
        try:
            _enter_score(score, by)
        except Refusal as refusal:
            score.skipped_reason = refusal.message
            reasons[refusal.message] += 1
    return reasons


def _enter_score(score: ImportedScore, by: Actor) -> None:
    """Create the sitting of a score, or change the one that an earlier import made, both with a journal
    entry, a new one also with a notice; after its last paper the record's test is finished. Locks the record,
    then the sitting. Does nothing if the same score is entered already. Raises InvalidState if the record or
    its sitting doesn't allow it, Forbidden."""
    record = _get_record_for_update(score)
    sitting = _find_sitting_for_update(score)
    if sitting is not None and _has_score_already(sitting, score):
        return
    require_enterable(record, sitting)
    if record.state in ("ready", "absent"):
        assessment_transitions.record_paper_test(record, by=by)
    if sitting is None:
        _add_offline_sitting(record, score, by)
    else:
        _correct_score(sitting, score, by)
    if record.state == "testing" and _has_handed_in_all(record):
        assessment_transitions.finish_test(record, by=SYSTEM_ACTOR)


def _has_score_already(sitting: Sitting, score: ImportedScore) -> bool:
    """Whether the sitting has this score from an import."""
    return sitting.handed_in_by == OFFLINE and sitting.score_tenths == score.score_tenths


def _get_record_for_update(score: ImportedScore) -> Assessment:
    """The record of a score, locked and read anew."""
    query = select(Assessment).where(Assessment.id == score.assessment_id).with_for_update()
    return db.session.scalars(query.execution_options(populate_existing=True)).one()


def _find_sitting_for_update(score: ImportedScore) -> Sitting | None:
    """The record's sitting of the score's paper, locked for update; None if there is none."""
    query = select(Sitting).where(
        Sitting.assessment_id == score.assessment_id,
        Sitting.paper_id == score.paper_id,
        Sitting.voided_at.is_(None),
    )
    return db.session.scalar(query.with_for_update().execution_options(populate_existing=True))


def _add_offline_sitting(record: Assessment, score: ImportedScore, by: Actor) -> None:
    """Add a sitting with an empty layout that is handed in by "offline" with this score, write a journal
    entry and notify the doctor. `by`: who confirmed the import."""
    now = clock.now()
    sitting = Sitting(
        id=new_id(),
        assessment_id=record.id,
        paper_id=score.paper_id,
        assessor_id=record.assessor_id,
        seed=0,
        layout=[],
        opened_at=now,
        closes_at=now,
        handed_in_at=now,
        handed_in_by=OFFLINE,
        score_tenths=score.score_tenths,
    )
    db.session.add(sitting)
    db.session.flush()
    journal.write_entry(
        "sitting",
        sitting.id,
        "entered_on_paper",
        by=by,
        paper=str(score.paper_id),
        tenths=score.score_tenths,
        source=str(score.import_id),
    )
    notify(record, PAPER_SCORE_ENTERED)


def _correct_score(sitting: Sitting, score: ImportedScore, by: Actor) -> None:
    """Give the sitting of an earlier import the new score, and journal both."""
    tenths_before = sitting.score_tenths
    sitting.score_tenths = score.score_tenths
    db.session.flush()
    journal.write_entry(
        "sitting",
        sitting.id,
        "score_corrected",
        by=by,
        before_tenths=tenths_before,
        after_tenths=score.score_tenths,
        source=str(score.import_id),
    )


def _has_handed_in_all(record: Assessment) -> bool:
    """Whether all papers that the record has to sit are saved and handed in."""
    papers = papers_for(record)
    if len(papers) < expected_paper_count(record):
        return False
    handed_in_query = select(Sitting.paper_id).where(
        Sitting.assessment_id == record.id,
        Sitting.voided_at.is_(None),
        Sitting.handed_in_at.is_not(None),
    )
    handed_in_ids = set(db.session.scalars(handed_in_query))
    return all(paper.id in handed_in_ids for paper in papers)
