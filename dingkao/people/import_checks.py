"""Checks of spreadsheets (检查): a job that imports a file and takes everything back, so that its report
tells exactly what the import would do. The file is kept until its import is confirmed (确认导入), or for
CHECK_VALID_DAYS. While it is kept, `Job.subject_id` names it."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import Forbidden, InvalidState
from dingkao.integrations.storage import current_store
from dingkao.jobs import enqueueing
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.people.permissions import grants

UPLOAD_KIND = "upload"
CHECK_VALID_DAYS, MAX_FILES_DELETED = 7, 500
NOT_CONFIRMABLE_MESSAGE = "没有可以导入的内容，或检查用的文件已不在系统中。请重新上传文件。"
_actions: dict[str, str] = {}


def register_confirmable(name: str, action: str) -> None:
    """Let checks by the job `name` be confirmed by whoever is granted `action`."""
    _actions[name] = action


def confirmable_jobs() -> frozenset[str]:
    """The names of the jobs whose checks can be confirmed."""
    return frozenset(_actions)


def is_check(job: Job) -> bool:
    """Whether a job only checks a file."""
    return bool(job.arguments.get("dry_run"))


@contextlib.contextmanager
def undone_afterwards() -> Iterator[None]:
    """In the block rows are written as by an import; at its end they are taken back, also if it raises, and
    with them the jobs and messages asked for in it, but not files in the object store. Results have to be
    copied out within the block."""
    savepoint = db.session.begin_nested()
    try:
        yield
        db.session.flush()
    finally:
        savepoint.rollback()


def is_confirmable(job: Job) -> bool:
    """Whether a job has checked a file whose import would add or change something, and the file is still
    kept."""
    result = job.result or {}
    return (
        job.name in _actions
        and is_check(job)
        and job.state == "done"
        and job.subject_id is not None
        and any(result.get(name) for name in ("accepted", "changed"))
    )


def confirm_import(check: Job, *, by: Actor) -> Job:
    """Enqueue the import of the file that the job `check` (row locked) has checked; the same job if that was
    done before. The file then belongs to that job. It runs with the check's arguments, for `by`. Raises
    Forbidden if `by` may not import such files any more, InvalidState if there is nothing to confirm."""
    if import_id := (check.result or {}).get("import_id"):
        return db.session.scalars(select(Job).where(Job.id == UUID(import_id))).one()
    if not is_confirmable(check):
        raise InvalidState(NOT_CONFIRMABLE_MESSAGE)
    if not grants(_actions[check.name], by.roles):
        raise Forbidden
    job = enqueueing.enqueue(
        check.name,
        check.title.replace("检查", "导入", 1),
        check.arguments | {"dry_run": False},
        by=by.id,
    )
    check.subject_id = None
    check.result = (check.result or {}) | {"import_id": str(job.id)}
    return job


def delete_file(job: Job) -> None:
    """Delete the file of a job (row locked) from the store, at once and even if the transaction is rolled
    back, so that its import can't be confirmed. Raises Unavailable."""
    current_store().delete(UPLOAD_KIND, UUID(job.arguments["upload"]))
    job.subject_id = None


def delete_unconfirmed() -> int:
    """Scheduled task: delete the files of checks, done or failed, that nobody has confirmed within
    CHECK_VALID_DAYS, at most MAX_FILES_DELETED, the oldest first; those that are locked are skipped. Returns
    how many. Raises Unavailable."""
    checks = db.session.scalars(
        select(Job)
        .where(
            in_array(Job.name, sorted(_actions)),
            Job.subject_id.is_not(None),
            in_array(Job.state, ("done", "failed")),
            Job.asked_at < clock.now() - timedelta(days=CHECK_VALID_DAYS),
        )
        .order_by(Job.id)
        .limit(MAX_FILES_DELETED)
        .with_for_update(skip_locked=True)
    ).all()
    for check in checks:
        delete_file(check)
    return len(checks)
