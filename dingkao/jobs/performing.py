"""Doing the work: a worker enters the province first, takes the job's lock, runs it whole or not at all, and says what came of it."""

import hashlib
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select, text, update

from dingkao import clock
from dingkao.database.model import db
from dingkao.errors import Refusal
from dingkao.jobs.asking import enqueue
from dingkao.jobs.models import Job
from dingkao.tenants.context import current_tenant, entered

MAX_TRIES = 3
GRACE = timedelta(seconds=5)
Progress = Callable[[int, int | None], None]
log = structlog.get_logger()
JOBS: dict[str, Callable[[Job, Progress], dict[str, Any] | None]] = {}
_context: list[Callable[[], AbstractContextManager[Any]]] = []


def install(context: Callable[[], AbstractContextManager[Any]]) -> None:
    """What a worker process works in: the application's context."""
    _context[:] = [context]


def job(name: str) -> Callable[[Callable[[Job, Progress], dict[str, Any] | None]], Callable[[Job, Progress], dict[str, Any] | None]]:
    """Make a function the job `name`. It is given the job's row and a function to tell its progress (done, total); what it returns is
    the result. It runs in one transaction unless it commits by itself, may run again after a crash, and so must be repeatable."""

    def register(function: Callable[[Job, Progress], dict[str, Any] | None]) -> Callable[[Job, Progress], dict[str, Any] | None]:
        JOBS[name] = function
        return function

    return register


def perform(tenant: int, job_id: str) -> None:
    """What rq calls in a worker: the province first, then the job."""
    with _context[0](), entered(tenant):
        run(UUID(job_id))


def run(job_id: UUID) -> None:
    """Do the job in the province entered. Done already, or in another worker's hands: nothing happens."""
    with db.engine.begin() as guard:
        if not guard.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": _key(job_id)}):
            return
        row = db.session.scalar(select(Job).where(Job.id == job_id).with_for_update())
        if row is None or row.state in ("done", "failed"):
            db.session.rollback()
            return
        row.state, row.started_at, row.tries = "running", clock.now(), row.tries + 1
        db.session.commit()
        _do(row)


def _do(row: Job) -> None:
    try:
        result = JOBS[row.name](row, _teller(row.id))
        row.state, row.result, row.ended_at = "done", result, clock.now()
        db.session.commit()
    except Refusal as refusal:
        _fail(row.id, refusal.sentence, again=refusal.status == 503 and row.tries < MAX_TRIES)
    except Exception as fault:
        where = traceback.extract_tb(fault.__traceback__)[-4:]
        log.exception("job.broken", job=row.name, kind=type(fault).__name__, where=[f"{f.filename}:{f.lineno}" for f in where], exc_info=False)
        _fail(row.id, "任务没有完成,系统已经记录。请稍后重新提交;仍不行请联系客服。", again=row.tries < MAX_TRIES)


def sweep() -> int:
    """Queue again, in the province entered, what waits and was never queued, or whose worker died; the number queued."""
    waiting = select(Job.id).where(Job.state.in_(("waiting", "running")), Job.asked_at < clock.now() - GRACE).order_by(Job.id).limit(200)
    ids = list(db.session.scalars(waiting))
    queued = 0
    for job_id in ids:
        with db.engine.begin() as guard:
            free = guard.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": _key(job_id)})
        if free:
            queued += enqueue(current_tenant(), job_id)
    return queued


def _fail(job_id: UUID, sentence: str, *, again: bool) -> None:
    db.session.rollback()
    row = db.session.scalars(select(Job).where(Job.id == job_id).with_for_update()).one()
    if again:
        row.state = "waiting"
    else:
        row.state, row.sentence, row.ended_at = "failed", sentence, clock.now()
    db.session.commit()


def _teller(job_id: UUID) -> Progress:
    def tell(done: int, total: int | None = None) -> None:
        """In a transaction of its own, so that the asker sees it before the work is committed."""
        with db.engine.begin() as connection:
            connection.execute(
                update(Job).where(Job.tenant_id == current_tenant(), Job.id == job_id).values(done=done, total=total)
            )

    return tell


def _key(job_id: UUID) -> int:
    return int.from_bytes(hashlib.sha256(job_id.bytes + current_tenant().to_bytes(4, "big")).digest()[:8], "big", signed=True)
