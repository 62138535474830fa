"""What people can do with jobs: see them, and pause, resume and cancel chunked ones (暂停, 继续, 取消)."""

from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import InvalidState, NotFound
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import ChunkedWork
from dingkao.jobs.models import Job
from dingkao.tenants.context import current_tenant
from dingkao.tenants.rls import read_write_transactions

JOB_ACTIONS = ("pause", "resume", "cancel")
MAX_UNSEEN = 99


def visible_jobs(account_id: UUID, *others: ColumnElement[bool]) -> Select[Job]:
    """Returns the query of the jobs, in whatever state, that an account may see: those it asked for, and
    chunked jobs that meet one of the conditions `others`."""
    asked_by_account = Job.asked_by == account_id
    if not others:
        return select(Job).where(asked_by_account)
    names = sorted(name for name, work in worker.REGISTERED_JOBS.items() if isinstance(work, ChunkedWork))
    return select(Job).where(
        or_(
            asked_by_account,
            and_(in_array(Job.name, names), or_(*others)),
        )
    )


def get_job(
    job_id: UUID,
    account_id: UUID,
    *others: ColumnElement[bool],
    for_update: bool = False,
) -> Job:
    """Returns the job with that id, locked with `for_update`, if the account may see it: it asked for it, or
    the job is chunked and meets one of the conditions `others`. Raises NotFound."""
    query = visible_jobs(account_id, *others).where(Job.id == job_id)
    job = db.session.scalar(query.with_for_update() if for_update else query)
    if job is None:
        raise NotFound
    return job


def find_job(job_id: UUID) -> Job | None:
    """Returns the job with that id, whoever asked for it, for the page of what it works on; None if there is
    none."""
    return db.session.scalar(select(Job).where(Job.id == job_id))


def available_actions(job: Job) -> tuple[str, ...]:
    """Returns those of JOB_ACTIONS that are possible for a job now: none for one that isn't chunked, is done,
    cancelled, or being cancelled; one that failed, also while it was being cancelled, can be resumed."""
    if _is_past_choosing(job):
        return ("resume",) if job.undoing and job.state == "failed" else ()
    if job.state in ("waiting", "running"):
        return ("resume", "cancel") if job.requested == "pause" else ("pause", "cancel")
    return {
        "paused": ("resume", "cancel"),
        "failed": ("resume",),
    }.get(job.state, ())


def _is_past_choosing(job: Job) -> bool:
    """Whether nobody can choose any more what becomes of the job: it is not chunked, or it is being
    cancelled."""
    return not worker.is_chunked_job(job.name) or job.undoing or job.requested == "cancel"


def request_action(job: Job, action: str) -> bool:
    """Request one of JOB_ACTIONS for a locked job; a running job reacts after its present chunk. Whether
    somebody may do that is not asked here. Returns False if it was requested before, or the job is paused
    already. Raises InvalidState if the job's state does not allow it."""
    if job.requested == action or (action == "pause" and job.state == "paused"):
        return False
    if action not in available_actions(job):
        raise InvalidState("任务已结束或正在取消，不能再进行此操作。请刷新页面查看最新状态。")
    if action == "resume":
        _resume(job)
    else:
        _request(job, action)
    return True


def _resume(job: Job) -> None:
    """Let a paused or failed job continue, or cancel the request for a pause."""
    job.requested = None
    if job.state in ("paused", "failed"):
        job.state, job.tries, job.sentence = "waiting", 0, None
        job.ended_at, job.seen_at = None, None
        job.advanced_at = clock.now()
        enqueueing.queue_after_commit(job)


def _request(job: Job, action: str) -> None:
    """Store the request; a paused job is queued so that a worker carries it out."""
    job.requested = action
    if job.state == "paused":
        job.state = "waiting"
        enqueueing.queue_after_commit(job)


def count_unseen(account_id: UUID) -> int:
    """How many jobs that an account asked for have ended and were not seen since, at most MAX_UNSEEN + 1."""
    unseen = select(Job.id).where(*_unseen_conditions(account_id)).limit(MAX_UNSEEN + 1)
    return db.session.scalar(select(func.count()).select_from(unseen.subquery())) or 0


def _unseen_conditions(account_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """The conditions that a job was asked for by the account, has ended and was not seen since."""
    return Job.asked_by == account_id, Job.ended_at.is_not(None), Job.seen_at.is_(None)


def mark_seen(account_id: UUID, job_id: UUID | None = None) -> None:
    """Note that an account has seen how its jobs that have ended did so (with `job_id`: this one), in a
    transaction of its own, because looking at a page is what shows them."""
    only = () if job_id is None else (Job.id == job_id,)
    with read_write_transactions(), db.engine.begin() as connection:
        connection.execute(
            update(Job)
            .where(Job.tenant_id == current_tenant(), *_unseen_conditions(account_id), *only)
            .values(seen_at=clock.now())
        )
