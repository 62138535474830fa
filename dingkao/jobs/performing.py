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
from dingkao.errors import Refusal, Unavailable
from dingkao.jobs.asking import enqueue, queued
from dingkao.jobs.models import Job
from dingkao.tenants.context import current_tenant, entered

MAX_TRIES = 3
GRACE = timedelta(seconds=5)
GIVES_UP = timedelta(days=1)
BROKEN = "任务没有完成,系统已经记录。请稍后重新提交;仍不行请联系客服。"
WAITS = "所需的服务暂时连接不上,恢复后任务会自动继续,不需要重新提交。"
Progress = Callable[[int, int | None], None]
log = structlog.get_logger()
JOBS: dict[str, Callable[[Job, Progress], dict[str, Any] | None]] = {}
_context: list[Callable[[], AbstractContextManager[Any]]] = []


def install(context: Callable[[], AbstractContextManager[Any]]) -> None:
    """What a worker process works in: the application's context."""
    _context[:] = [context]


def in_application() -> AbstractContextManager[Any]:
    """The application's context, for what a worker does outside every province or before it enters one."""
    return _context[0]()


def job(name: str) -> Callable[[Callable[[Job, Progress], dict[str, Any] | None]], Callable[[Job, Progress], dict[str, Any] | None]]:
    """Make a function the job `name`. It is given the job's row and a function to tell its progress (done, total); what it returns is
    the result. It runs in one transaction unless it commits by itself, may run again after a crash, and so must be repeatable."""

    def register(function: Callable[[Job, Progress], dict[str, Any] | None]) -> Callable[[Job, Progress], dict[str, Any] | None]:
        JOBS[name] = function
        return function

    return register


def perform(tenant: int, job_id: str) -> None:
    """What rq calls in a worker: the province first, then the job."""
    with in_application(), entered(tenant):
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
        if row.tries >= MAX_TRIES:
            log.error("job.deadly", job=row.name)
            _end(row, "failed", BROKEN)
            return
        row.state, row.started_at, row.tries, row.sentence = "running", clock.now(), row.tries + 1, None
        name, tries = row.name, row.tries
        db.session.commit()
        _do(row, name, tries)


def _do(row: Job, name: str, tries: int) -> None:
    job_id = row.id
    try:
        result = JOBS[name](row, _teller(job_id))
        mine = _mine(job_id, tries)
        if mine is None:  # the lock was lost with its connection and another worker has begun: what it does counts
            db.session.rollback()
            return
        mine.result = result
        _end(mine, "done")
    except Refusal as refusal:
        db.session.rollback()
        if (mine := _mine(job_id, tries)) is not None:
            if refusal.status == Unavailable.status and clock.now() < mine.asked_at + GIVES_UP:
                mine.tries -= 1
                _end(mine, "waiting", WAITS)
            else:
                _end(mine, "failed", refusal.sentence)
    except Exception as fault:
        where = traceback.extract_tb(fault.__traceback__)[-4:]
        log.exception("job.broken", job=name, kind=type(fault).__name__, where=[f"{f.filename}:{f.lineno}" for f in where], exc_info=False)
        db.session.rollback()
        if (mine := _mine(job_id, tries)) is not None:
            _end(mine, *(("waiting",) if tries < MAX_TRIES else ("failed", BROKEN)))


def sweep() -> int:
    """Queue again, in the province entered, what waits and isn't queued, or whose worker died; the number queued."""
    waiting = select(Job.id).where(Job.state.in_(("waiting", "running")), Job.asked_at < clock.now() - GRACE).order_by(Job.id).limit(200)
    ids = list(db.session.scalars(waiting))
    standing = queued(current_tenant(), ids) if ids else set()
    brought = 0
    for job_id in ids:
        if job_id in standing:
            continue
        with db.engine.begin() as guard:
            free = guard.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": _key(job_id)})
        if free:
            brought += enqueue(current_tenant(), job_id)
    return brought


def _mine(job_id: UUID, tries: int) -> Job | None:
    """The job's row, locked, while this try of it is the one that runs."""
    query = select(Job).where(Job.id == job_id, Job.state == "running", Job.tries == tries).with_for_update()
    return db.session.scalar(query.execution_options(populate_existing=True))


def _end(row: Job, state: str, sentence: str | None = None) -> None:
    row.state, row.sentence, row.ended_at = state, sentence, clock.now() if state != "waiting" else None
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
