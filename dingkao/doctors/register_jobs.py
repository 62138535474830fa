"""The job that compares an export of the register with a list (`register_comparison`), in chunks: the parts
of the file, then the doctors of the list."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import delete, select

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.doctors import register_rows
from dingkao.doctors.register_comparison import (
    compare_batch,
    find_gone,
)
from dingkao.doctors.register_models import (
    RegisterComparison,
    RegisterSighting,
)
from dingkao.errors import Forbidden
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
)
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import organisations_by_id
from dingkao.people.scopes import Grant, in_scope, load_grant
from dingkao.people.spreadsheet_imports import (
    UPLOAD_LIMITS,
    SpreadsheetImport,
)
from dingkao.uploads import chunked_uploads

ACTION = "register.compare"
FIRST_ID = UUID(int=0)


def enqueue_comparison(
    content: bytes,
    name: str,
    organisation: Organisation | None,
    *,
    by: Actor,
) -> tuple[RegisterComparison, Job]:
    """Store an export and enqueue its comparison with the doctors of an institution (None: of the province);
    returns the comparison, which is flushed, and the job, which runs after the commit. `name`: the file's
    name. Whether `by` may compare them isn't asked here (`require_comparable`). Raises InvalidInput, also for
    a file without rows, TooLarge, Unavailable."""
    comparison_id = new_id()
    job = REGISTER_COMPARISON.enqueue(
        content,
        f"注册库 {name[:60]}",
        by=by,
        comparison=str(comparison_id),
    )
    comparison = RegisterComparison(
        id=comparison_id,
        job_id=job.id,
        organisation_id=organisation.id if organisation else None,
        file_name=name[:100],
        begun_by=by.id,
    )
    db.session.add(comparison)
    db.session.flush()
    return comparison, job


def _comparison_of(job: Job) -> RegisterComparison:
    """The comparison of a job, locked."""
    query = select(RegisterComparison).where(RegisterComparison.id == UUID(job.arguments["comparison"]))
    return db.session.scalars(query.with_for_update()).one()


def _compare_part(
    job: Job,
    rows: list[ImportRow],
    report: ImportReport,
    seen: set[bytes],
) -> None:
    """Compare the next part of a job's file."""
    compare_batch(_comparison_of(job), rows, report, seen)


def _find_gone_step(job: Job, cursor: Cursor) -> Chunk:
    """Write the differences of the next doctors of the list who were not seen in the file; the comparison is
    locked."""
    last_id = find_gone(
        _comparison_of(job),
        UUID(cursor.get("after", str(FIRST_ID))),
    )
    return Chunk({"after": str(last_id)} if last_id else None)


def _finish(job: Job, counts: dict[str, int]) -> None:
    """Complete and journal the comparison, unless the job was cancelled, and forget who was seen. `counts`:
    of the rows, by accepted, unchanged, refused."""
    comparison = _comparison_of(job)
    db.session.execute(delete(RegisterSighting).where(RegisterSighting.comparison_id == comparison.id))
    if job.undoing:
        return
    comparison.completed_at = clock.now()
    journal.write_entry(
        "register_comparison",
        comparison.id,
        "completed",
        by=load_actor(job.asked_by),
        compared=counts["accepted"],
        same=counts["unchanged"],
        refused=counts["refused"],
    )


REGISTER_COMPARISON = SpreadsheetImport(
    "compare_register",
    ACTION,
    register_rows.read_rows,
    register_rows.row_keys,
    _compare_part,
    register_rows.COLUMNS,
    _finish,
    after_rows=_find_gone_step,
    verb="比对",
)


# --- a large export, in pieces


def require_comparable(organisation_id: UUID | None, grant: Grant) -> None:
    """Raise Forbidden unless `grant` reaches the list that is compared (None: the province's); of a grant
    only the province and `institution_ids` count."""
    if organisation_id is None and not grant.is_province:
        raise Forbidden
    if not in_scope(grant, institution_id=organisation_id):
        raise Forbidden


def _authorize_upload(subject: UUID | None, by: Actor) -> None:
    """Raise Forbidden if `by` may not compare the list of the institution `subject` (None: the
    province's)."""
    if by.kind != "staff":
        raise Forbidden
    require_comparable(subject, load_grant(ACTION, by.id))


def _accept_upload(
    subject: UUID | None,
    name: str,
    content: bytes,
    by: Actor,
    _fields: Mapping[str, str],
) -> UUID:
    """Enqueue the comparison of an export that came in pieces with the list of the institution `subject`
    (None, or no institution of the province: the province's); return the job's id. Raises InvalidInput,
    TooLarge, Unavailable."""
    organisation = organisations_by_id([subject]).get(subject) if subject else None
    return enqueue_comparison(content, name, organisation, by=by)[1].id


chunked_uploads.register_purpose("register", _authorize_upload, _accept_upload, UPLOAD_LIMITS)
