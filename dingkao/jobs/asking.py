"""Asking for slow work: a row, written with the change that wants it; it is queued when that has been committed, not before."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import redis
import structlog
from flask import current_app
from rq import Queue
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from dingkao.database.model import db, new_id
from dingkao.errors import NotFound
from dingkao.jobs.models import Job
from dingkao.tenants.context import current_tenant

QUEUE, DUTIES = "default", "duties"
TIMEOUT_SECONDS = 3600
log = structlog.get_logger()


def ask(name: str, title: str, arguments: dict[str, Any], *, by: UUID | None) -> Job:
    """Write the job `name` (see `performing.job`); `title` (Chinese) is what its asker sees, `arguments` are JSON, ids and no personal
    data. It is queued after the commit; where the queue is down then, the sweep queues it later."""
    row = Job(id=new_id(), name=name, title=title, arguments=arguments, asked_by=by)
    db.session.add(row)
    db.session.flush()
    db.session().info.setdefault("asked", []).append((current_tenant(), row.id))
    return row


def job_of(job_id: UUID, account_id: UUID) -> Job:
    """The job, if this account asked for it. Raises NotFound."""
    row = db.session.scalar(select(Job).where(Job.id == job_id, Job.asked_by == account_id))
    if row is None:
        raise NotFound
    return row


def enqueue(tenant: int, job_id: UUID) -> bool:
    """Queue the job for whichever worker is free; the province comes first. False where the queue doesn't take it."""
    try:
        _queue().enqueue(
            "dingkao.jobs.performing.perform", tenant, str(job_id), job_id=_name(tenant, job_id), job_timeout=TIMEOUT_SECONDS, result_ttl=0,
            failure_ttl=3600,
        )  # fmt: skip
    except redis.RedisError as fault:
        log.warning("queue.down", kind=type(fault).__name__)
        return False
    return True


def queued(tenant: int, ids: Iterable[UUID]) -> set[UUID]:
    """Which of the jobs `ids` stand in the queue and need not be queued again; none where the queue doesn't answer."""
    try:
        standing = set(_queue().job_ids)
    except redis.RedisError:
        return set()
    return {job_id for job_id in ids if _name(tenant, job_id) in standing}


def _queue() -> Queue:
    return Queue(QUEUE, connection=current_app.extensions["redis"])


def _name(tenant: int, job_id: UUID) -> str:
    return f"{tenant}-{job_id}"


def _on(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return event.listens_for(Session, name)


@_on("after_commit")
def _queue_what_was_asked(session: Session) -> None:
    for tenant, job_id in session.info.pop("asked", []):
        enqueue(tenant, job_id)


@_on("after_rollback")
def _forget_what_was_asked(session: Session) -> None:
    session.info.pop("asked", None)
