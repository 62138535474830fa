"""Writes the search keys of doctors and organisations that are there without: those of a province that was
opened by a release before names were indexed."""

from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao.database.base import db
from dingkao.doctors.models import Doctor, DoctorSearchKey
from dingkao.doctors.search_indexing import update_search_keys
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import OPEN_STATES, Job
from dingkao.people.models import Organisation, OrganisationSearchKey
from dingkao.people.organisation_search import update_organisation_keys

JOB_NAME = "index_names"
BATCH_SIZE = 500
LAST_ID = UUID(int=2**128 - 1)


def enqueue_indexing_if_needed() -> None:
    """The scheduled task that enqueues the job if names are without keys and no such job is under way. The
    job begins with the newest, so it is done when the oldest doctor and the oldest organisation have keys."""
    if not (
        _has_keys(Organisation, OrganisationSearchKey.organisation_id)
        and _has_keys(Doctor, DoctorSearchKey.doctor_id)
    ):
        enqueue_indexing()


def enqueue_indexing() -> None:
    """Enqueue the job that writes all keys of the current province, unless one waits, runs or is paused; it
    runs after the commit."""
    query = select(Job.id).where(Job.name == JOB_NAME, Job.state.in_(OPEN_STATES))
    if db.session.scalar(query.limit(1)) is None:
        enqueueing.enqueue(JOB_NAME, "建立姓名和机构名称的查找索引", {}, by=None)


def _has_keys(model: Any, owner_column: Any) -> bool:
    """Whether the oldest row of `model` has keys, or there is none."""
    oldest_id = db.session.scalar(select(model.id).order_by(model.id).limit(1))
    query = select(owner_column).where(owner_column == oldest_id)
    return oldest_id is None or db.session.scalar(query.limit(1)) is not None


@worker.register_chunked_job(JOB_NAME)
def index_batch(_job: Job, cursor: Cursor) -> Chunk:
    """Lock the next BATCH_SIZE organisations, or after these, doctors, the newest first, and write the keys
    of those that have others or none."""
    is_of_doctors = cursor.get("of") == "doctor"
    model, update_keys = (
        (Doctor, update_search_keys) if is_of_doctors else (Organisation, update_organisation_keys)
    )
    ids = _lock_next(model, UUID(cursor.get("before", str(LAST_ID))))
    changed_count = update_keys(ids) if ids else 0
    next_cursor: Cursor | None = None
    if len(ids) == BATCH_SIZE:
        next_cursor = cursor | {"before": str(ids[-1])}
    elif not is_of_doctors:
        next_cursor = {"of": "doctor"}
    return Chunk(next_cursor, done=len(ids), counts={"indexed": changed_count})


def _lock_next(model: Any, last_id: UUID) -> list[UUID]:
    """The ids of the next rows of `model` before `last_id`, the newest first, locked."""
    query = select(model.id).where(model.id < last_id).order_by(model.id.desc()).limit(BATCH_SIZE)
    return list(db.session.scalars(query.with_for_update()))
