"""Adding doctors: a roster as a background job (the file is stored encrypted until it is read, the report
lists the result of each row), or a single doctor from a form. The job is cut by `people.spreadsheet_imports`,
into chunks of its ROWS_PER_CHUNK."""

from collections.abc import Collection, Mapping
from uuid import UUID

from dingkao.assessments.enrolment import enrol, enrol_doctors
from dingkao.cycles.cycles import current_cycle
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import (
    import_batch,
    log_import,
    row_number_indices,
)
from dingkao.doctors.roster_columns import COLUMN_HEADINGS
from dingkao.doctors.roster_rows import read_rows
from dingkao.doctors.single_entry import add_doctor
from dingkao.errors import Forbidden
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
)
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.models import Organisation
from dingkao.people.organisation_queries import list_organisations
from dingkao.people.scopes import in_scope, load_grant
from dingkao.people.spreadsheet_imports import (
    UPLOAD_LIMITS,
    SpreadsheetImport,
)
from dingkao.uploads import chunked_uploads


def enqueue_roster_import(
    content: bytes,
    name: str,
    *,
    restrict_to: Collection[UUID] | None,
    dry_run: bool = False,
    by: Actor,
) -> Job:
    """Store the roster and enqueue its import, or its check (`dry_run`); see `SpreadsheetImport.enqueue`.
    `restrict_to`: ids of the institutions whose doctors are accepted (None: all). Raises InvalidInput,
    TooLarge, Unavailable."""
    return ROSTER_IMPORT.enqueue(
        content,
        f"名单 {name[:60]}",
        by=by,
        dry_run=dry_run,
        only=None if restrict_to is None else list(map(str, restrict_to)),
    )


def add_doctor_with_record(
    values: Mapping[str, str],
    *,
    by: Actor,
    restrict_to: Collection[UUID] | None,
) -> tuple[Doctor, list[str]]:
    """Add one doctor from a form (see `doctors.single_entry`), with an account, and a record (not included)
    in the current cycle if there is one; journalled. Returns the doctor and what is unusual about the values
    (sentences). `restrict_to`: as in `enqueue_roster_import`. Raises InvalidInput with the field's name,
    InvalidState for an institution that is closed just now, RateLimited."""
    doctor, odd = add_doctor(values, by=by, restrict_to=restrict_to)
    cycle = current_cycle()
    if cycle:
        enrol(cycle, doctor)
    return doctor, odd


# --- a roster, chunk by chunk


def _import_batch(
    job: Job,
    rows: list[ImportRow],
    report: ImportReport,
    seen: set[bytes],
) -> None:
    """Import rows, and create a record (not included) in the current cycle for each new doctor;
    `_finish_import` journals it. `seen`: the numbers' index values of earlier rows of the file, to which
    those of these are added. Raises InvalidState if an institution is closed just now."""
    new_doctors = import_batch(
        rows,
        report,
        restrict_to=_allowed_institutions(job),
        seen=seen,
    )
    cycle = current_cycle()
    if cycle:
        enrol_doctors(cycle, new_doctors)


def _finish_import(job: Job, counts: dict[str, int]) -> None:
    """Write the journal entry of a finished import."""
    log_import(
        **counts,
        restrict_to=_allowed_institutions(job),
        by=load_actor(job.asked_by),
    )


def _allowed_institutions(job: Job) -> list[Organisation] | None:
    """Returns the institutions whose doctors this job accepts, or None for all: those that were named when it
    was asked for, as far as the roles that the asker has now reach them."""
    only = job.arguments["only"]
    ids = None if only is None else {UUID(text) for text in ([only] if isinstance(only, str) else only)}
    if job.asked_by is not None:
        grant = load_grant("doctors.import", job.asked_by)
        if not grant.is_province:
            ids = set(grant.institution_ids) if ids is None else ids & set(grant.institution_ids)
    return None if ids is None else list_organisations(ids)


ROSTER_IMPORT = SpreadsheetImport(
    "import_roster",
    "doctors.import",
    read_rows,
    row_number_indices,
    _import_batch,
    COLUMN_HEADINGS,
    _finish_import,
)


# --- a large roster, in pieces


def _institutions_of_upload(subject: UUID | None, by: Actor) -> tuple[UUID, ...] | None:
    """Returns the ids of the institutions whose roster `by` may upload: the clerk's own, or the one of them
    that `subject` names; None for a whole province. Raises Forbidden."""
    if by.kind != "staff":
        raise Forbidden
    grant = load_grant("doctors.import", by.id)
    if grant.is_province:
        return None
    if subject is None and grant.institution_ids:
        return grant.institution_ids
    if subject is None or not in_scope(grant, institution_id=subject):
        raise Forbidden
    return (subject,)


def _authorize_upload(subject: UUID | None, by: Actor) -> None:
    """Raises Forbidden if `by` may not upload the roster of the institution `subject` (None: of all that the
    roles reach)."""
    _institutions_of_upload(subject, by)


def _accept_upload(
    subject: UUID | None,
    name: str,
    content: bytes,
    by: Actor,
    fields: Mapping[str, str],
) -> UUID:
    """Enqueue the import (or with the field «check» the check) of an uploaded roster; returns the job's id.
    Raises what `enqueue_roster_import` raises, and Forbidden for an institution that `by` doesn't reach."""
    return enqueue_roster_import(
        content,
        name,
        restrict_to=_institutions_of_upload(subject, by),
        dry_run="check" in fields,
        by=by,
    ).id


chunked_uploads.register_purpose("roster", _authorize_upload, _accept_upload, UPLOAD_LIMITS)
