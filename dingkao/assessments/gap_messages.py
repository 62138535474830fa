"""The message to those who should take part in a cycle and don't (`gap_lists`): to all on a list, or to those
whom a view of it leaves, written by a job."""

from collections.abc import Iterable, Sequence
from datetime import datetime, time
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.gap_lists import ACTION, GapList, get_gap_list
from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import get_cycle
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListRow, ListViewer
from dingkao.database.listing.list_pages import list_query
from dingkao.database.listing.list_states import parse_address
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.models import Notice
from dingkao.people.notice_catalogue import NoticeKind
from dingkao.people.scopes import load_grant

JOB_NAME, BATCH_SIZE = "notify_gap", 500
FIRST_ID = UUID(int=0)


def enqueue_message(gap_list: GapList, cycle: Cycle, *, by: Actor, view: str = "") -> Job:
    """Enqueue the message to those on a list whom `by` reaches and return the job; the latest one of the
    cycle, if it does the same and isn't over (a paused one is to be resumed). `view`: the address of a view
    of the list (`ListState.address`), which leaves fewer. Raises InvalidInput for a view that no longer is
    one."""
    parse_address(gap_list.definition, view)
    unfinished = enqueueing.unfinished_job_of(by.id, cycle.id, JOB_NAME)
    arguments = {"cycle": str(cycle.id), "list": gap_list.code, "view": view}
    if unfinished is not None and unfinished.arguments == arguments:
        return unfinished
    return enqueueing.enqueue(
        JOB_NAME,
        f"通知{gap_list.label}的医师（{cycle.label}）",
        arguments,
        by=by.id,
        subject=cycle.id,
    )


@worker.register_chunked_job(JOB_NAME)
def notify_gap_batch(job: Job, cursor: Cursor) -> Chunk:
    """Write to the next doctors on a list. Who was written to about the same today is left out, whoever asked
    for it; the last batch is journalled. The roles that the asker has now decide who is reached. Raises
    InvalidInput for a view, and NotFound for a list, that no longer is one."""
    cycle, gap_list = get_cycle(UUID(job.arguments["cycle"])), get_gap_list(job.arguments["list"])
    rows = _next_rows(gap_list, cycle, job, UUID(cursor.get("after", str(FIRST_ID))))
    told_today = _told_today(gap_list.kind, (doctor.account_id for _, doctor in rows))
    notified_count = 0
    for record, doctor in rows:
        if doctor.account_id not in told_today:
            notify(record, gap_list.kind, account_id=doctor.account_id, cycle=cycle.label)
            notified_count += 1
    db.session.flush()
    has_more = len(rows) == BATCH_SIZE
    if not has_more:
        journal.write_entry(
            "cycle",
            cycle.id,
            "gap_notified",
            by=load_actor(job.asked_by),
            list=gap_list.code,
        )
    return Chunk(
        {"after": str(rows[-1][0].id)} if has_more else None,
        done=len(rows),
        counts={"told": notified_count, "left_out": len(rows) - notified_count},
    )


def _next_rows(gap_list: GapList, cycle: Cycle, job: Job, last_id: UUID) -> Sequence[ListRow]:
    """The next records of the job's view after that id, with their doctors; none once another cycle has
    begun. Raises InvalidInput."""
    state = parse_address(gap_list.definition, job.arguments.get("view", ""))
    viewer = ListViewer(load_grant(ACTION, job.asked_by), job.asked_by)
    query = list_query(state, viewer).where(Assessment.cycle_id == cycle.id, Assessment.id > last_id)
    return db.session.execute(query.order_by(Assessment.id).limit(BATCH_SIZE)).all()


def _told_today(kind: NoticeKind, account_ids: Iterable[UUID]) -> set[UUID]:
    """Those of the accounts that were sent a notice of this kind today, in Beijing."""
    today = clock.to_beijing(clock.now())
    midnight = datetime.combine(today.date(), time(), today.tzinfo)
    query = select(Notice.account_id).where(
        in_array(Notice.account_id, set(account_ids)),
        Notice.kind == kind.code,
        Notice.written_at >= midnight,
    )
    return set(db.session.scalars(query))
