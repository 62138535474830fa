"""How many sittings, voided ones too, drew each question (`question.exposures`), counted from the sittings'
layouts some time after they began."""

import time
from collections import Counter
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Integer, Uuid, column, select, update, values

from dingkao import clock
from dingkao.database.arrays import in_array, split_into_batches
from dingkao.database.base import db
from dingkao.exams.drawing import load_layout
from dingkao.exams.models.sitting_models import ExposureTally, Sitting
from dingkao.question_banks.models import Question, QuestionVersion
from dingkao.question_banks.similarity import fill_likeness

COUNT_BATCH_SIZE, MAX_ROUND_SECONDS = 500, 3.0
SETTLED_AFTER = timedelta(minutes=10)
"""A sitting is counted once it has been open for this time. Then every transaction that began a sitting
before it is over, and no sitting with a smaller id can still appear and be left out."""


def update_exposures_and_likeness() -> int:
    """Count which questions the latest sittings drew, and compute the likeness of some questions that have
    none; commits after each batch of sittings, and leaves what was done without one to the caller's commit. A
    scheduled task that may be repeated; what doesn't fit into MAX_ROUND_SECONDS is left to the next round.
    Returns how many sittings and questions it processed."""
    until = time.monotonic() + MAX_ROUND_SECONDS
    done_count = fill_likeness()
    while time.monotonic() < until and (sitting_count := _count_exposures()):
        db.session.commit()
        done_count += sitting_count
    return done_count


def _count_exposures() -> int:
    """Count the questions of the next COUNT_BATCH_SIZE sittings, without committing; the tally stays locked
    until then. Returns how many sittings it counted, 0 if none is left that was opened SETTLED_AFTER ago."""
    tally = _get_tally_for_update()
    query = (
        select(Sitting.id, Sitting.layout)
        .where(
            Sitting.id > tally.last_sitting_id,
            Sitting.opened_at < clock.now() - SETTLED_AFTER,
        )
        .order_by(Sitting.id)
        .limit(COUNT_BATCH_SIZE)
    )
    sittings = db.session.execute(query).all()
    if not sittings:
        return 0
    drawn_versions = Counter(drawn.version for sitting in sittings for drawn in load_layout(sitting.layout))
    _add_exposures(_count_by_question(drawn_versions))
    tally.last_sitting_id = sittings[-1].id
    return len(sittings)


def _get_tally_for_update() -> ExposureTally:
    """The row that says up to which sitting the province has counted, locked; a new one, flushed, if there is
    none."""
    tally = db.session.scalar(select(ExposureTally).with_for_update())
    if tally is None:
        tally = ExposureTally(last_sitting_id=UUID(int=0))
        db.session.add(tally)
        db.session.flush()
    return tally


def _count_by_question(
    drawn_versions: Counter[UUID],
) -> Counter[UUID]:
    """Turn counts by version id into counts by question id; versions that are deleted are left out."""
    counts: Counter[UUID] = Counter()
    for version_ids in split_into_batches(drawn_versions):
        query = select(QuestionVersion.id, QuestionVersion.question_id)
        for version_id, question_id in db.session.execute(
            query.where(in_array(QuestionVersion.id, version_ids))
        ):
            counts[question_id] += drawn_versions[version_id]
    return counts


def _add_exposures(counts: Counter[UUID]) -> None:
    """Add question id → number to the questions' exposures, in the database alone: loaded questions keep
    theirs."""
    if not counts:
        return
    added = values(
        column("question", Uuid),
        column("number", Integer),
        name="added",
    ).data(sorted(counts.items()))
    db.session.execute(
        update(Question)
        .where(Question.id == added.c.question)
        .values(exposures=Question.exposures + added.c.number),
        execution_options={"synchronize_session": False},
    )
