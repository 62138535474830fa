"""The worker's side of jobs: enter the province, take the job's lock, run the job as a whole or in chunks
(`chunks`), store the result."""

import hashlib
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, select, text, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import InvalidState, Refusal, Unavailable
from dingkao.jobs import chunks
from dingkao.jobs.chunks import (
    ChunkedWork,
    ChunkStep,
    ChunkUndo,
    RetryLater,
)
from dingkao.jobs.enqueueing import PLACE_ARGUMENT, push_to_queue
from dingkao.jobs.models import Job
from dingkao.tenants.acting_place import acting_at
from dingkao.tenants.clients import Client, acting_for
from dingkao.tenants.context import current_tenant, in_tenant

MAX_TRIES = 3
GIVE_UP_AFTER = timedelta(days=1)
FAILED_MESSAGE = "任务没有完成，系统已经记录。请稍后重新提交；仍不行请联系客服。"
INTERRUPTED_MESSAGE = "任务中途停下，系统已经记录；已办理的都已保存。请点“继续”接着办理；仍不行请联系客服。"
RETRYING_MESSAGE = "所需的服务暂时连接不上，恢复后任务会自动继续，不需要重新提交。"
ProgressCallback = Callable[[int, int | None], None]
WholeJobFunction = Callable[[Job, ProgressCallback], dict[str, Any] | None]
log = structlog.get_logger()
REGISTERED_JOBS: dict[str, WholeJobFunction | ChunkedWork] = {}
_context: list[Callable[[], AbstractContextManager[Any]]] = []


def set_application_context(
    context: Callable[[], AbstractContextManager[Any]],
) -> None:
    """Set the function that enters the application context in a worker process."""
    _context[:] = [context]


def application_context() -> AbstractContextManager[Any]:
    """Returns the application context, for work outside every province."""
    return _context[0]()


def register_job(
    name: str,
) -> Callable[[WholeJobFunction], WholeJobFunction]:
    """Decorator: register a function as the job `name`, for short work.

    The function gets the job's row and a callback for its progress (done, total), and returns the result. It
    runs in one transaction unless it commits itself. It may run again after a crash, so it must be
    idempotent. If it raises, what it hasn't committed is rolled back: after a Refusal the job has failed with
    its sentence (after one with status 503 it is tried again, for a day), after any other error it is tried
    again, MAX_TRIES times in all. Work about a whole province is registered with `register_chunked_job`.
    """

    def register(function: WholeJobFunction) -> WholeJobFunction:
        REGISTERED_JOBS[name] = function
        return function

    return register


def register_chunked_job(name: str, *, undo: ChunkUndo = chunks.no_undo) -> Callable[[ChunkStep], ChunkStep]:
    """Decorator: register a function as the step of the chunked job `name`, for work that grows with the
    province.

    The function gets the job's row and the cursor ({} at first) and does one chunk of a few seconds without
    committing. If it raises, the chunk is rolled back: after a Refusal the job has failed with its sentence
    and can be resumed (after one with status 503 it is tried again), after any other error it is tried again,
    a few times without progress. `undo` returns the cursor from which a cancelled job undoes its work, None
    if nothing is to be undone.
    """

    def register(function: ChunkStep) -> ChunkStep:
        REGISTERED_JOBS[name] = ChunkedWork(function, undo)
        return function

    return register


def is_chunked_job(name: str) -> bool:
    """Whether the job of that name is chunked, so that it can be paused, resumed and cancelled."""
    return isinstance(REGISTERED_JOBS.get(name), ChunkedWork)


def run_in_tenant(tenant: int, job_id: str, turn: int | None = None) -> None:
    """The function that rq calls in a worker: enter the province and run the job. `turn`: the number of the
    turn after which it continues; if a later one has begun, nothing is done (None: it isn't asked)."""
    with application_context(), in_tenant(tenant):
        run_turn(UUID(job_id), turn)


@dataclass
class _Turn:
    """One run of a job by a worker. `number` counts the job's runs, so that a later run is recognised;
    `tries`: starts since the last progress; `client`: who asked for the job, `place`: at which of several
    organisations, "" for all at once."""

    job_id: UUID
    name: str
    function: WholeJobFunction | ChunkedWork
    number: int
    tries: int
    client: Client
    place: str

    def current_row(self) -> Job | None:
        """Returns the job's row, locked, if the job is running and this is still its latest turn; else
        None."""
        query = (
            select(Job)
            .where(
                Job.id == self.job_id,
                Job.state == "running",
                Job.turn == self.number,
            )
            .with_for_update()
        )
        return db.session.scalar(query.execution_options(populate_existing=True))

    @property
    def max_tries(self) -> int:
        """How often the job is started without progress before it fails: two times more if it is chunked."""
        return MAX_TRIES + 2 if self.is_chunked else MAX_TRIES

    @property
    def is_chunked(self) -> bool:
        """Whether the turn's job continues at its cursor after an interruption."""
        return isinstance(self.function, ChunkedWork)

    @property
    def failed_message(self) -> str:
        """The sentence that people read if the job fails."""
        return INTERRUPTED_MESSAGE if self.is_chunked else FAILED_MESSAGE


def run_turn(job_id: UUID, after: int | None = None) -> None:
    """Run a job of the current province, or as many of its chunks as fit into a turn, after which it is
    queued again. The state, and each chunk or the whole result, are committed; another connection holds the
    job's lock meanwhile. What the job raises is stored as its failure, or it is tried again.

    Does nothing if the job is over or paused, another worker holds its lock, or a turn later than `after` has
    begun.
    """
    with db.engine.begin() as guard:
        if not try_lock(guard, job_id):
            return
        turn = _start_turn(job_id, after)
        if turn is None:
            return
        with acting_for(turn.client), acting_at(turn.place):
            has_more = _run_turn_work(turn)
    if has_more:
        push_to_queue(current_tenant(), job_id, turn.number)


def run_inline(row: Job) -> None:
    """Run a chunked job from its cursor to its end within the caller's transaction, which has just created
    it, without committing, and make it «done»; requests to pause or cancel it are not looked at: for
    commands, which do not wait for a worker. Raises what its chunks raise, TypeError for a job that isn't
    chunked."""
    work = REGISTERED_JOBS[row.name]
    if not isinstance(work, ChunkedWork):
        raise TypeError(f"{row.name} is no job of chunks")
    row.state, row.started_at = "running", clock.now()
    while row.cursor is not None or row.advanced_at is None:
        chunks.apply_chunk(row, work.step(row, dict(row.cursor or {})))
        row.advanced_at = clock.now()
    row.state, row.ended_at = "done", clock.now()


def _start_turn(job_id: UUID, after: int | None) -> _Turn | None:
    """Start the next turn of a job and commit that; returns None if it is not to run (it is unknown, over or
    paused, or a later turn has begun), or was started too often without progress: then it has failed. Raises
    KeyError for a job that no function is registered for."""
    job = db.session.scalar(
        select(Job).where(Job.id == job_id).with_for_update().execution_options(populate_existing=True)
    )
    if job is None or not _may_start(job, after):
        db.session.rollback()
        return None
    turn = _Turn(
        job.id,
        job.name,
        REGISTERED_JOBS[job.name],
        job.turn + 1,
        job.tries + 1,
        Client(job.address, job.device),
        str(job.arguments.get(PLACE_ARGUMENT, "")),
    )
    if job.tries >= turn.max_tries:
        log.error("job.deadly", job=job.name)
        _finish(job, "failed", turn.failed_message)
        return None
    job.state, job.tries, job.turn, job.sentence = (
        "running",
        turn.tries,
        turn.number,
        None,
    )
    if not turn.is_chunked or job.started_at is None:
        job.started_at = clock.now()
    db.session.commit()
    return turn


def _may_start(job: Job, after: int | None) -> bool:
    """Whether the job waits or runs, and no turn later than `after` has begun."""
    return job.state in ("waiting", "running") and after in (
        None,
        job.turn,
    )


def _run_turn_work(turn: _Turn) -> bool:
    """Run the job of a turn; what it raises is rolled back and handled, by another try or as its failure.
    Returns whether it has more chunks and can continue at once."""
    try:
        if isinstance(turn.function, ChunkedWork):
            return _run_chunks(turn, turn.function)
        _run_whole(turn, turn.function)
    except Refusal as refusal:
        db.session.rollback()
        if (current_job := turn.current_row()) is not None:
            _handle_refusal(current_job, refusal)
    except Exception as fault:
        _log_fault(turn, fault)
        db.session.rollback()
        _retry_or_give_up(turn)
    return False


def _log_fault(turn: _Turn, fault: Exception) -> None:
    """Log an error of a job: its type and the code lines, without data."""
    frames = traceback.extract_tb(fault.__traceback__)[-4:]
    log.exception(
        "job.broken",
        job=turn.name,
        kind=type(fault).__name__,
        where=[f"{f.filename}:{f.lineno}" for f in frames],
        exc_info=False,
    )


def _retry_or_give_up(turn: _Turn) -> None:
    """Let a job that raised an error wait for another try, for which `requeue_lost` queues it, or fail after
    too many; commits. Does nothing if a later turn has begun."""
    current_job = turn.current_row()
    if current_job is None:
        return
    if turn.tries < turn.max_tries:
        _finish(current_job, "waiting")
    else:
        _finish(current_job, "failed", turn.failed_message)


def _run_whole(turn: _Turn, work: WholeJobFunction) -> None:
    """Run a job that is not chunked, and store and commit its result; all is rolled back if a later turn has
    begun meanwhile."""
    job = db.session.scalars(select(Job).where(Job.id == turn.job_id)).one()
    result = work(job, _progress_reporter(turn.job_id))
    current_job = turn.current_row()
    if current_job is None:
        # the lock was lost with its connection and another worker has started the job: only that run counts
        db.session.rollback()
        return
    current_job.result = result
    _finish(current_job, "done")


def _run_chunks(turn: _Turn, work: ChunkedWork) -> bool:
    """Run chunks until the turn's time is over, each committed with the cursor of the next. Returns whether
    there are more."""
    ends_at = time.monotonic() + chunks.MAX_TURN_SECONDS
    job = turn.current_row()
    while job is not None and not _apply_request(job, work):
        if not _run_chunk(turn, work, job):
            return False
        db.session.commit()
        if time.monotonic() >= ends_at:
            return True
        job = turn.current_row()
    db.session.rollback()
    return False


def _run_chunk(turn: _Turn, work: ChunkedWork, job: Job) -> bool:
    """Run one chunk and set the cursor of the next, without committing; after the last chunk the job is over,
    which is committed. Returns whether there is a next one; False also if another worker has started the job
    meanwhile."""
    chunk = work.step(job, dict(job.cursor or {}))
    db.session.flush()
    current_job = turn.current_row()
    if current_job is None:
        db.session.rollback()
        return False
    chunks.apply_chunk(current_job, chunk)
    current_job.advanced_at, current_job.tries, turn.tries = (
        clock.now(),
        0,
        0,
    )
    if chunk.cursor is None:
        _finish(
            current_job,
            "cancelled" if current_job.undoing else "done",
        )
        return False
    return True


def _apply_request(row: Job, work: ChunkedWork) -> bool:
    """Carry out what was requested of a job (row locked) between two chunks. Returns whether that ends the
    turn. Commits, which releases the lock of the row."""
    if row.requested == "pause":
        row.requested = None
        _finish(row, "paused")
        return True
    if row.requested == "cancel" and _cancel(row, work):
        return True
    db.session.commit()
    return False


def _cancel(row: Job, work: ChunkedWork) -> bool:
    """Begin to undo a job's work, unless it can no longer be cancelled. Returns whether there is nothing to
    undo, so that the job is over; that is committed, else the caller commits."""
    row.requested = None
    try:
        undo_cursor = work.undo(row, dict(row.cursor or {}))
    except InvalidState as refusal:
        row.sentence = refusal.message
        return False
    if undo_cursor is None:
        _finish(row, "cancelled")
        return True
    row.cursor, row.undoing = undo_cursor, True
    return False


def _handle_refusal(row: Job, refusal: Refusal) -> None:
    """Let a job (row locked) wait if the refusal has a temporary reason, until `requeue_lost` queues it,
    which isn't counted as a try; else it has failed. Commits."""
    if not _is_worth_waiting(row, refusal):
        _finish(row, "failed", refusal.message)
        return
    row.tries = max(0, row.tries - 1)
    message = refusal.message if isinstance(refusal, RetryLater) else RETRYING_MESSAGE
    _finish(row, "waiting", message)


def _is_worth_waiting(row: Job, refusal: Refusal) -> bool:
    """Whether the reason is temporary: RetryLater, however long, or an engine that doesn't respond, if the
    job has made no progress for less than GIVE_UP_AFTER."""
    if refusal.status != Unavailable.status:
        return False
    last_progress = row.advanced_at or row.asked_at
    return isinstance(refusal, RetryLater) or clock.now() < last_progress + GIVE_UP_AFTER


def try_lock(guard: Connection, job_id: UUID) -> Any:
    """Take a job's lock until the transaction of `guard` ends. Returns whether it was taken: False if another
    worker holds it."""
    return guard.scalar(
        text("select pg_try_advisory_xact_lock(:key)"),
        {"key": _lock_key(job_id)},
    )


def _finish(row: Job, state: str, message: str | None = None) -> None:
    """Set and commit the job's state, with the sentence that people read (None: none). In every state but
    «waiting» and «paused» the job has ended now."""
    row.state, row.sentence = state, message
    row.ended_at = None if state in ("waiting", "paused") else clock.now()
    db.session.commit()


def _progress_reporter(job_id: UUID) -> ProgressCallback:
    """Returns the callback by which a job stores its progress."""

    def tell(done: int, total: int | None = None) -> None:
        """Store the progress in a separate transaction, so that people see it before the work is committed.
        The work must not have changed the job's row: this would wait for it."""
        with db.engine.begin() as connection:
            connection.execute(
                update(Job)
                .where(
                    Job.tenant_id == current_tenant(),
                    Job.id == job_id,
                )
                .values(done=done, total=total)
            )

    return tell


def _lock_key(job_id: UUID) -> int:
    """Returns the number of the job's advisory lock in PostgreSQL."""
    return int.from_bytes(
        hashlib.sha256(job_id.bytes + current_tenant().to_bytes(4, "big")).digest()[:8],
        "big",
        signed=True,
    )
