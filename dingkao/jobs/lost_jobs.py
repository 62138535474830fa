"""Unfinished jobs that nobody works on: they are not in the queue, or their worker died."""

from collections.abc import Iterator
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
BATCH_SIZE = 200
"""How many unfinished jobs are looked for in the queue at once."""


def requeue_lost() -> int:
    """The scheduled task that pushes such jobs of the province to the queue again, the oldest first; returns
    how many."""
    queued_count = 0
    for job_ids in _iter_unfinished_job_ids():
        queued_ids = already_queued(current_tenant(), job_ids)
        for job_id in job_ids:
            if job_id not in queued_ids and _is_unlocked(job_id):
                queued_count += push_to_queue(current_tenant(), job_id)
    return queued_count


def _iter_unfinished_job_ids() -> Iterator[list[UUID]]:
    """Yield the ids of the jobs that wait or run and were asked for more than REQUEUE_GRACE ago, the oldest
    first, up to BATCH_SIZE at once."""
    unfinished = (
        select(Job.id)
        .where(
            Job.state.in_(("waiting", "running")),
            Job.asked_at < clock.now() - REQUEUE_GRACE,
        )
        .order_by(Job.id)
        .limit(BATCH_SIZE)
    )
    job_ids = list(db.session.scalars(unfinished))
    while job_ids:
        yield job_ids
        job_ids = list(db.session.scalars(unfinished.where(Job.id > job_ids[-1])))


def _is_unlocked(job_id: UUID) -> bool:
    """Whether no worker holds the job's lock now; it is not kept here."""
    with db.engine.begin() as guard:
        return bool(try_lock(guard, job_id))
