"""Encrypting the files that are still unencrypted in the object store (from releases before files were
encrypted), and re-encrypting those with an older key."""

from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import NotFound
from dingkao.integrations.storage import (
    all_files_encrypted,
    current_store,
)
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import OPEN_STATES, Job
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import DecryptionFailed
from dingkao.tenants.keys import object_key
from dingkao.tenants.models import OpenedProvince

ENCRYPT_JOB = "seal_files"
BATCH_SIZE = 100
CONFIRM_AFTER = timedelta(hours=1)
"""How long processes of the release before may still run and store unencrypted files."""
log = structlog.get_logger()


def enqueue_encryption() -> Job:
    """Enqueue the encryption of the current province's files, even if such a job is under way."""
    return enqueueing.enqueue(ENCRYPT_JOB, "加密存储的文件", {}, by=None)


def enqueue_encryption_if_needed() -> None:
    """The scheduled task that enqueues the encryption if files may be unencrypted and no such job is under
    way."""
    if not all_files_encrypted() and not _is_encryption_under_way():
        enqueue_encryption()


def _is_encryption_under_way() -> bool:
    """Returns whether an encryption job of this province waits, runs or is paused."""
    query = select(Job.id).where(
        Job.name == ENCRYPT_JOB,
        Job.state.in_(OPEN_STATES),
    )
    return db.session.scalar(query.limit(1)) is not None


@worker.register_chunked_job(ENCRYPT_JOB)
def encrypt_batch(job: Job, cursor: Cursor) -> Chunk:
    """Encrypt the next BATCH_SIZE files. If this job has had none to encrypt up to the last, and an earlier
    one was enqueued at least CONFIRM_AFTER ago and is done, the province is marked: from then on unencrypted
    files are refused. Raises Unavailable."""
    files = current_store().list_objects(cursor.get("after", ""), BATCH_SIZE)
    sealed = sum(_encrypt_file(kind, identity) for kind, identity in files)
    encrypted_so_far = cursor.get("sealed", 0) + sealed
    if len(files) == BATCH_SIZE:
        return Chunk(
            {"after": object_key(*files[-1]), "sealed": encrypted_so_far},
            done=len(files),
            counts={"sealed": sealed},
        )
    if not encrypted_so_far and _was_checked_before(job):
        _mark_all_encrypted()
    return Chunk(None, done=len(files), counts={"sealed": sealed})


def _encrypt_file(kind: str, identity: UUID) -> bool:
    """Encrypt a file with the present key; returns whether that was necessary. A damaged file is logged and
    left as it is. Raises Unavailable."""
    try:
        return current_store().encrypt_existing(kind, identity)
    except NotFound:  # deleted since it was listed
        return False
    except DecryptionFailed:
        log.exception(
            "file.damaged",
            kind=kind,
            file=str(identity),
            exc_info=False,
        )
        return False


def _was_checked_before(job: Job) -> bool:
    """Returns whether another encryption job was enqueued at least CONFIRM_AFTER ago and is done: until then
    a process of the release before may have stored unencrypted files."""
    earlier_job_query = select(Job.id).where(
        Job.name == ENCRYPT_JOB,
        Job.state == "done",
        Job.id != job.id,
        Job.asked_at < clock.now() - CONFIRM_AFTER,
    )
    return db.session.scalar(earlier_job_query.limit(1)) is not None


def _mark_all_encrypted() -> None:
    """Mark the current province as one whose files are all encrypted: from now on, reading an unencrypted
    one raises DecryptionFailed. Commits in a transaction of its own; nothing takes the mark back."""
    with db.engines["platform"].begin() as connection:
        connection.execute(
            update(OpenedProvince)
            .where(OpenedProvince.code == current_tenant())
            .values(files_sealed_at=clock.now())
        )
