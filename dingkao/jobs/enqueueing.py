"""Enqueueing jobs: a row is written in the transaction that needs the job, and pushed to rq's queue after the
commit."""

from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import UUID

import redis
import structlog
from flask import current_app
from rq import Queue
from sqlalchemy import select

from dingkao.database.after_commit import do_after_commit
from dingkao.database.base import db, new_id
from dingkao.jobs.models import Job
from dingkao.tenants.acting_place import current_place
from dingkao.tenants.clients import current_client
from dingkao.tenants.context import current_tenant

DEFAULT_QUEUE, SCHEDULED_QUEUE = "default", "duties"
TIMEOUT_SECONDS = 3600
PLACE_ARGUMENT = "place"
"""The argument of a job that says at which of several organisations it was asked for (`acting_place`)."""
log = structlog.get_logger()


def enqueue(
    name: str,
    title: str,
    arguments: dict[str, Any],
    *,
    by: UUID | None,
    subject: UUID | None = None,
) -> Job:
    """Add the job `name` (see `worker.register_job`); returns its row, which is flushed.

    `title` (Chinese) is shown to the person who asked for it; `arguments` (JSON) hold ids and no personal
    data; `subject` is the id of the row that the job is about (see `latest_job_about`); `by` the account that
    asks. The current client and acting place are stored with it and hold for its work. The job is pushed to
    the queue after the commit; if the queue is down then, `requeue_lost` does it later. Whether one like it
    is under way isn't asked here (`latest_job_about` tells).
    """
    client, place = current_client(), current_place()
    job = Job(
        id=new_id(),
        name=name,
        title=title,
        arguments=arguments | ({PLACE_ARGUMENT: place} if place else {}),
        asked_by=by,
        subject_id=subject,
        address=client.address,
        device=client.device,
    )
    db.session.add(job)
    db.session.flush()
    queue_after_commit(job)
    return job


def queue_after_commit(job: Job) -> None:
    """Push the job to the queue once the session's transaction is committed; after a rollback, also of the
    savepoint in which this is asked for, it is not."""
    do_after_commit(partial(push_to_queue, current_tenant(), job.id))


def latest_job_about(subject: UUID, *names: str, done: bool = False) -> Job | None:
    """Returns the latest job with one of `names` about the row `subject`, in whatever state; with `done`, the
    latest that is done. None if there is none."""
    conditions = (
        Job.subject_id == subject,
        *((Job.state == "done",) if done else ()),
    )
    newest = [
        select(Job).where(Job.name == name, *conditions).order_by(Job.id.desc()).limit(1) for name in names
    ]
    latest_jobs = [job for query in newest if (job := db.session.scalar(query)) is not None]
    return max(latest_jobs, key=lambda job: job.id, default=None)


def unfinished_job_of(asker: UUID | None, subject: UUID, name: str) -> Job | None:
    """Returns the latest job `name` about the row `subject` if the account `asker` asked for it and it isn't
    over, so that a second press asks for no other; else None."""
    latest = latest_job_about(subject, name)
    if latest is None or latest.is_over or latest.asked_by != asker:
        return None
    return latest


def is_under_way(job: Job | None) -> bool:
    """Whether there is a job and it waits or runs (a paused one doesn't), so that a page about it has to be
    refreshed."""
    return job is not None and job.state in ("waiting", "running")


def push_to_queue(tenant: int, job_id: UUID, after: int | None = None) -> bool:
    """Push the job to the queue for the next free worker. `after`: the number of the turn after which it
    continues, unless another turn has begun by then; None for a job that was just asked for, or got lost.
    Returns False if the queue does not respond, which is logged."""
    arguments = (tenant, str(job_id)) if after is None else (tenant, str(job_id), after)
    try:
        _queue().enqueue(
            "dingkao.jobs.worker.run_in_tenant",
            *arguments,
            job_id=_queue_job_id(tenant, job_id, after),
            job_timeout=TIMEOUT_SECONDS,
            result_ttl=0,
            failure_ttl=3600,
        )
    except redis.RedisError as fault:
        log.warning("queue.down", kind=type(fault).__name__)
        return False
    return True


def already_queued(tenant: int, ids: Iterable[UUID]) -> set[UUID]:
    """Returns those of the jobs `ids` of a province that are in the queue, after whatever turn; none if the
    queue does not respond."""
    try:
        queued_ids = {name.split("_")[0] for name in _queue().job_ids}
    except redis.RedisError:
        return set()
    return {job_id for job_id in ids if _queue_job_id(tenant, job_id) in queued_ids}


def _queue() -> Queue:
    """rq's queue of the jobs that any worker takes."""
    return Queue(DEFAULT_QUEUE, connection=current_app.extensions["redis"])


def _queue_job_id(tenant: int, job_id: UUID, after: int | None = None) -> str:
    """Returns the job's id in the queue, with the number of the turn after which it continues (`after`: see
    `push_to_queue`): each turn has its own id, because rq deletes an id when its job is done. What stands
    before «_» is the same for all (see `already_queued`)."""
    return f"{tenant}-{job_id}" if after is None else f"{tenant}-{job_id}_{after}"
