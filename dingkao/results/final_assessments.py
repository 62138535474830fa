"""综合评定 by an assessment organisation's reviewer: of selected records, or by a chunked job of all its
records that wait."""

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select

from dingkao.assessments import assessment_transitions
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListQuery, ListViewer
from dingkao.database.listing.list_pages import list_query
from dingkao.database.listing.list_states import parse_address
from dingkao.errors import Refusal
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.scopes import Grant, load_grant, scope_condition
from dingkao.results.result_list import RESULT_LIST

BATCH_SIZE = 200
WAITING_STATES = ("grading", "absent")
FIRST_ID = UUID(int=0)


def conclude_records(
    cycle: Cycle, ids: Iterable[UUID], *, grant: Grant, by: Actor
) -> tuple[int, Counter[str]]:
    """Conclude (综合评定) those of the records `ids` (at most 5,000) of the cycle that are within `grant`;
    locks them, writes journal entries. Returns how many were concluded, and reason → number for those that
    were refused, for whatever reason (Forbidden, too). Ids of other records, and records in the state
    "confirming" (concluded already), are not counted."""
    query = select(Assessment).where(
        Assessment.cycle_id == cycle.id,
        in_array(Assessment.id, ids),
        scope_condition(grant, assessor=Assessment.assessor_id),
    )
    records = db.session.scalars(
        query.order_by(Assessment.id).with_for_update().execution_options(populate_existing=True)
    ).all()
    concluded_count, reasons = 0, Counter[str]()
    with journal.batched_entries():
        for record in records:
            if record.state == "confirming":
                continue
            try:
                assessment_transitions.conclude(record, by=by)
            except Refusal as refusal:
                reasons[refusal.message] += 1
            else:
                concluded_count += 1
    return concluded_count, reasons


def enqueue_conclusion(cycle: Cycle, *, by: Actor, view: str = "") -> Job:
    """Enqueue 综合评定 of all waiting records that the asker may conclude when the job runs, also while
    another such job is under way. `view`: the address of a view of RESULT_LIST, whose records alone are
    meant; "" for all."""
    return enqueueing.enqueue(
        "conclude_all",
        f"综合评定（{cycle.label}）",
        {"cycle": str(cycle.id), "view": view},
        by=by.id,
        subject=cycle.id,
    )


@worker.register_chunked_job("conclude_all")
def conclude_batch(job: Job, cursor: Cursor) -> Chunk:
    """Lock and conclude the next waiting records, with journal entries; those that are refused are counted by
    reason. The roles that the asker has now decide which records. Raises InvalidInput for a view that no
    longer is one."""
    cycle = db.session.scalars(select(Cycle).where(Cycle.id == UUID(job.arguments["cycle"]))).one()
    grant = load_grant("conclusions.decide", job.asked_by)
    waiting = _waiting_query(job, cycle, grant)
    total = None if cursor else db.session.scalar(select(func.count()).select_from(waiting.subquery()))
    last_id = UUID(cursor["after"]) if cursor else FIRST_ID
    ids = list(
        db.session.scalars(waiting.where(Assessment.id > last_id).order_by(Assessment.id).limit(BATCH_SIZE))
    )
    concluded_count, reasons = conclude_records(cycle, ids, grant=grant, by=load_actor(job.asked_by))
    next_cursor = {"after": str(ids[-1])} if len(ids) == BATCH_SIZE else None
    return Chunk(
        next_cursor,
        done=len(ids),
        total=total,
        counts={
            "concluded": concluded_count,
            "left_out": len(ids) - concluded_count,
        },
        reasons=reasons,
    )


def _waiting_query(job: Job, cycle: Cycle, grant: Grant) -> ListQuery:
    """Returns the query of the ids of the waiting records that a job is about. Raises InvalidInput for a view
    that no longer is one."""
    view = job.arguments.get("view", "")
    if not view:
        return select(Assessment.id).where(_pending_condition(cycle, grant))
    state = parse_address(RESULT_LIST, view)
    return (
        list_query(state, ListViewer(grant, job.asked_by))
        .with_only_columns(Assessment.id, maintain_column_froms=True)
        .where(_pending_condition(cycle, grant))
    )


def _pending_condition(cycle: Cycle, grant: Grant) -> ColumnElement[bool]:
    """Returns the condition of the cycle's records within `grant` that wait for 综合评定; of those in the
    state "absent", `conclude` refuses the ones whose absence is not confirmed."""
    return and_(
        Assessment.cycle_id == cycle.id,
        Assessment.state.in_(WAITING_STATES),
        scope_condition(grant, assessor=Assessment.assessor_id),
    )
