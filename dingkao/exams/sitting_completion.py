"""The end of sittings and tests (交卷, 缺考): handed in by the doctor, by the page, or by the scheduled task
that closes what is overdue."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, func, or_, select, tuple_

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import TEST_STATES, Assessment
from dingkao.database import clock_skew
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.exams.effective_keys import scored_items_with_answers
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import (
    expected_paper_count,
    paper_join_condition,
    paper_progress,
    papers_due,
)
from dingkao.exams.resits import granted_resits, may_resit_condition
from dingkao.exams.scoring import score_tenths
from dingkao.exams.sittings import for_update_query
from dingkao.journal import entries as journal
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.people.notice_catalogue import (
    ABSENT,
    HANDED_IN_BY_SYSTEM,
)

GRACE_PERIOD = timedelta(seconds=60)
"""How long after a sitting's end answers tapped before it may still arrive; the SQL function `save_answer`
has the same (migrations/versions/0022_taps_within_the_sitting.py)."""
BATCH_SIZE = 200
MAX_ROUND_SECONDS = 5.0
"""How long one round of `close_overdue` may take."""


def hand_in_sitting(
    record: Assessment,
    sitting: Sitting,
    *,
    by: Actor,
    by_page: bool = False,
) -> None:
    """交卷: score and close a sitting (record and sitting locked for update), with journal entries; one
    handed in already stays as it is. After the last paper the record's test is finished, or counts as 缺考
    (with a notice) if another paper was missed. `by_page`: the page handed it in because the time was over,
    not the doctor; whether it is over, and whether this device may, the caller has checked. Raises Forbidden
    unless `by` may sit or is the system, ValueError for a sitting without questions."""
    with (
        journal.batched_entries(),
        db.session.no_autoflush,
    ):  # changes are sent together at the end; the queries before don't depend on them
        if sitting.handed_in_at is None:
            close_sitting(sitting, by=by, by_page=by_page)
        _finish_test(record, by)


def close_sitting(sitting: Sitting, *, by: Actor, by_page: bool = False) -> None:
    """Score an open sitting (locked for update) and close it for answers, in a new epoch, with a journal
    entry; its record's test goes on (`hand_in_sitting` finishes it). Raises ValueError for a sitting without
    questions."""
    items, answers = scored_items_with_answers(sitting)
    sitting.score_tenths = score_tenths(items, answers, sitting.x_rule)
    sitting.handed_in_by = "page" if by_page else by.kind
    sitting.handed_in_at, sitting.epoch = (
        clock.now(),
        sitting.epoch + 1,
    )
    journal.write_entry("sitting", sitting.id, "handed_in", by=by, at_its_end=by_page)


def close_overdue() -> int:
    """Hand in the sittings whose end and grace period are over, and finish the records that have no paper
    left. Returns how many of both. A scheduled task that may be repeated: each record has its own
    transaction, and what doesn't fit into MAX_ROUND_SECONDS is left to the next round. Does nothing if this
    machine's clock differs too much from the database's: it could hand in while answers are still
    accepted."""
    if clock_skew.is_skew_too_large():
        return 0
    until = time.monotonic() + MAX_ROUND_SECONDS
    return _close_records(_overdue_record_ids, _close_overdue_sittings, until) + _close_records(
        _finished_record_ids, _close_finished_records, until
    )


def _close_records(
    next_records: Callable[[UUID], list[UUID]],
    close: Callable[[Assessment], int],
    until: float,
) -> int:
    """Close records, batch after batch, until there are no more or time.monotonic() reaches `until`.
    `next_records` returns the next ids after an id; `close` returns how many things it closed. Returns the
    sum of these."""
    closed_count, after = 0, UUID(int=0)
    while time.monotonic() < until and (record_ids := next_records(after)):
        for record_id in record_ids:
            closed_count += _close_record(record_id, close)
        after = record_ids[-1]
    return closed_count


def _close_record(record_id: UUID, close: Callable[[Assessment], int]) -> int:
    """Close a record in its own transaction, which it commits; a record that is locked is left to the next
    round. Returns what `close` returns, 0 if it is locked."""
    query = select(Assessment).where(Assessment.id == record_id).with_for_update(skip_locked=True)
    record = db.session.scalar(query.execution_options(populate_existing=True))
    closed_count = 0 if record is None else close(record)
    db.session.commit()
    return closed_count


def _overdue_record_ids(after: UUID) -> list[UUID]:
    """The next BATCH_SIZE ids of records, above `after`, with a sitting whose end and grace period are
    over."""
    overdue = select(Sitting.assessment_id).where(
        Sitting.handed_in_at.is_(None),
        Sitting.closes_at < clock.now() - GRACE_PERIOD,
        Sitting.assessment_id > after,
    )
    return list(db.session.scalars(overdue.distinct().order_by(Sitting.assessment_id).limit(BATCH_SIZE)))


def _close_overdue_sittings(record: Assessment) -> int:
    """Hand in the overdue sittings of a record (locked) and notify the doctor of each. Returns how many."""
    query = select(Sitting).where(
        Sitting.assessment_id == record.id,
        Sitting.handed_in_at.is_(None),
        Sitting.closes_at < clock.now() - GRACE_PERIOD,
    )
    overdue_sittings = db.session.scalars(for_update_query(query)).all()
    for sitting in overdue_sittings:
        hand_in_sitting(record, sitting, by=SYSTEM_ACTOR)
        notify(record, HANDED_IN_BY_SYSTEM)
    return len(overdue_sittings)


def _finished_record_ids(after: UUID) -> list[UUID]:
    """The next BATCH_SIZE ids of records, above `after`, that are not finished although they have no paper
    left: all their papers are saved, and each is handed in, or was never begun and its window is over. The
    database filters, so that many records that still have papers don't hide one that is finished."""
    edge = clock.now() - GRACE_PERIOD
    groups = db.session.execute(
        select(Paper.cycle_id, Paper.category, Paper.level).where(Paper.closes_at < edge).distinct()
    ).all()
    if not groups:
        return []
    theirs, wanted = paper_join_condition()
    sat = and_(
        Sitting.tenant_id == Assessment.tenant_id,
        Sitting.assessment_id == Assessment.id,
        Sitting.paper_id == Paper.id,
        Sitting.voided_at.is_(None),
    )
    done = or_(
        Sitting.handed_in_at.is_not(None),
        and_(
            Sitting.id.is_(None),
            Paper.closes_at < edge,
            ~may_resit_condition(edge),
        ),
    )
    query = (
        select(Assessment.id)
        .join(
            Doctor,
            and_(
                Doctor.tenant_id == Assessment.tenant_id,
                Doctor.id == Assessment.doctor_id,
            ),
        )
        .join(Paper, theirs)
        .outerjoin(Sitting, sat)
        .where(
            Assessment.state.in_(TEST_STATES),
            Assessment.id > after,
            tuple_(Assessment.cycle_id, Doctor.category, Doctor.level).in_(
                [tuple(group) for group in groups]
            ),
        )
        .group_by(Assessment.id, Assessment.procedure)
        .having(func.count().filter(~done) == 0, func.count() == wanted)
        .order_by(Assessment.id)
        .limit(BATCH_SIZE)
    )
    return list(db.session.scalars(query))


def _close_finished_records(record: Assessment) -> int:
    """Finish the test of a record (locked) if it has no paper left, also as 缺考. Returns 1 if that changed
    its state, else 0."""
    before = record.state
    _finish_test(record, SYSTEM_ACTOR)
    return int(record.state != before)


def _has_paper_to_come(
    record: Assessment,
    papers: list[Paper],
    begun: dict[UUID, Sitting],
) -> bool:
    """Whether one of the papers can still be begun (or could less than GRACE_PERIOD ago), or a sitting of the
    record is open. `begun`: paper id → sitting."""
    if any(sitting.handed_in_at is None for sitting in begun.values()):
        return True
    not_begun = [paper for paper in papers if paper.id not in begun]
    return bool(not_begun) and clock.now() < _last_end(record, not_begun) + GRACE_PERIOD


def _last_end(record: Assessment, papers: list[Paper]) -> datetime:
    """When the last of the papers (at least one) is over for a record: at the end of its window, or of its
    resit if that is later."""
    resits = granted_resits(record)
    return max(max(paper.closes_at, resits.get(paper.id, paper.closes_at)) for paper in papers)


def _finish_test(record: Assessment, by: Actor) -> None:
    """If the record has no paper left, finish its test: 已交卷 if all due papers were handed in, 缺考 (with a
    notice) if one was never begun. Does nothing unless it waits for its test or is in it. Raises
    Forbidden."""
    if record.state not in TEST_STATES:
        return
    papers, begun, _ = paper_progress(record)
    due_papers = papers_due(papers, begun)
    if len(papers) < expected_paper_count(record) or _has_paper_to_come(record, due_papers, begun):
        return
    if {paper.id for paper in due_papers} <= begun.keys():
        assessment_transitions.finish_test(record, by=by)
    else:
        assessment_transitions.mark_absent(record, by=SYSTEM_ACTOR)
        notify(record, ABSENT)
