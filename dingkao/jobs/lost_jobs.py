"""Unfinished jobs that nobody works on: they are not in the queue, or their worker died."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.database.base import db
from dingkao.jobs.enqueueing import already_queued, push_to_queue
from dingkao.jobs.models import Job
from dingkao.jobs.worker import try_lock
from dingkao.tenants.context import current_tenant

REQUEUE_GRACE = timedelta(seconds=5)


def requeue_lost() -> int:
    """The scheduled task that pushes the province's unfinished jobs that nobody works on, among the 200
    oldest, to the queue again; returns how many."""
    ids = _unfinished_job_ids()
    queued_ids = already_queued(current_tenant(), ids) if ids else set()
    queued_count = 0
    for job_id in ids:
        if job_id not in queued_ids and _is_unlocked(job_id):
            queued_count += push_to_queue(current_tenant(), job_id)
    return queued_count


def _unfinished_job_ids() -> list[UUID]:
    """Returns the ids of the 200 oldest jobs that wait or run and were asked for more than REQUEUE_GRACE
    ago."""
    unfinished = select(Job.id).where(
        Job.state.in_(("waiting", "running")),
        Job.asked_at < clock.now() - REQUEUE_GRACE,
    )
    return list(db.session.scalars(unfinished.order_by(Job.id).limit(200)))


def _is_unlocked(job_id: UUID) -> bool:
    """Whether no worker holds the job's lock now; it is not kept here."""
    with db.engine.begin() as guard:
        return bool(try_lock(guard, job_id))
