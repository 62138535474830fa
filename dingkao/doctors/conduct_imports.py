"""Imports conduct records from spreadsheets, each kind by a job of its own (`people/spreadsheet_imports`).
The key is doctor, kind and year, or day and matter: importing the same file again changes nothing."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.doctors.conduct_kinds import CONDUCT_KINDS, ConductKind
from dingkao.doctors.conduct_models import ConductRecord
from dingkao.doctors.conduct_rows import (
    ConductValues,
    InvalidConductRow,
    KnownPerson,
    row_keys,
    validate_row,
)
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import candidate_number_indices
from dingkao.errors import Forbidden, NotFound
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    RowProblem,
)
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.models import Organisation
from dingkao.people.permissions import grants
from dingkao.people.scopes import Grant, load_grant, scope_condition
from dingkao.people.spreadsheet_imports import (
    UPLOAD_LIMITS,
    SpreadsheetImport,
    authorize_action,
    journal_counts,
)
from dingkao.tenants.context import current_tenant
from dingkao.uploads import chunked_uploads

ACTION = "conduct.import"
VALUE_COLUMNS = ("grade", "authority", "document")
"""The columns in which a row may differ from the record with its key."""


def get_kind(code: str) -> ConductKind:
    """The kind with that code. Raises NotFound."""
    if code not in CONDUCT_KINDS:
        raise NotFound
    return CONDUCT_KINDS[code]


def kinds_for(roles: Collection[str]) -> dict[str, ConductKind]:
    """Code → the kinds that somebody with these roles may import, in their order."""
    return {code: kind for code, kind in CONDUCT_KINDS.items() if grants(kind.action, roles)}


def get_kind_for(code: str, roles: Collection[str]) -> ConductKind:
    """The kind with that code, for somebody with these roles. Raises NotFound, and Forbidden if they don't
    import it."""
    kind = get_kind(code)
    if not grants(kind.action, roles):
        raise Forbidden
    return kind


def enqueue_import(kind: ConductKind, content: bytes, name: str, *, dry_run: bool, by: Actor) -> Job:
    """Store a spreadsheet of records and enqueue its import, or its check (`dry_run`), which runs after the
    commit. `name`: the file's name. Whether `by` may import the kind isn't asked here (`get_kind_for`).
    Raises InvalidInput, also for a file without rows, TooLarge, Unavailable."""
    return CONDUCT_IMPORTS[kind.code].enqueue(content, f"{kind.label} {name[:60]}", by=by, dry_run=dry_run)


def read_rows(kind: ConductKind, content: bytes, report: ImportReport) -> Iterator[ImportRow]:
    """Yield the rows of a spreadsheet; problems of the file are added to `report`. Raises InvalidInput,
    TooLarge, Unavailable, also while the rows are read."""
    return sheet_reader.read_rows(
        content,
        kind.headings(),
        kind.required_columns(),
        report,
        date_columns=tuple(column.name for column in kind.columns if column.is_date),
        code_columns=("number", "document"),
    )


def import_batch(
    kind: ConductKind,
    rows: Iterable[ImportRow],
    report: ImportReport,
    seen: set[bytes],
    *,
    grant: Grant,
    by: Actor,
) -> None:
    """Import a batch of rows and add to `report` what happened; lines below the table are left out. `grant`:
    whose doctors they may name; `seen`: the keys of the rows of the same file so far, to which those of this
    batch are added. Records that are there already are locked, and journalled where they change; new ones are
    not. Flushes, doesn't commit. Raises arrays.TooManyValues for more than 2,500 rows, each of which may name
    two numbers."""
    data_rows = [row for row in rows if not row.is_footer("name", "number")]
    people = _find_people(data_rows, grant)
    valid_rows = [
        values for row in data_rows if (values := _validate(kind, row, people, report, seen)) is not None
    ]
    known = _known_records(kind, valid_rows)
    new_rows = [values for values in valid_rows if (values.doctor_id, values.record_key) not in known]
    if new_rows:
        db.session.execute(
            insert(ConductRecord),
            [_new_record(kind, values, by) for values in new_rows],
        )
    report.accepted += len(new_rows)
    with journal.batched_entries():
        for values in valid_rows:
            record = known.get((values.doctor_id, values.record_key))
            if record is not None:
                is_changed = _update(record, values, by)
                report.changed += is_changed
                report.unchanged += not is_changed
    db.session.flush()


def _validate(
    kind: ConductKind,
    row: ImportRow,
    people: Mapping[bytes, KnownPerson],
    report: ImportReport,
    seen: set[bytes],
) -> ConductValues | None:
    """What a row says, or None if it is refused, also because a row before it in the file has one of its keys
    (`seen`), after the problem was added to the report; the keys of a valid row are added to `seen`.
    `people`: number index → the doctors that the importer may name."""
    try:
        values = validate_row(kind, row, people)
        keys = row_keys(kind, row)
        if seen.intersection(keys):
            raise InvalidConductRow("number", "与本文件前面的行重复", "请删除重复的行。")
    except InvalidConductRow as error:
        label = row.column_label(kind.headings()[error.column][0])
        report.errors.append(RowProblem(row.number, label, error.reason, error.remedy))
        return None
    seen.update(keys)
    return values


def _find_people(rows: Sequence[ImportRow], grant: Grant) -> dict[bytes, KnownPerson]:
    """Number index → doctor, for the numbers that the rows name and the grant reaches."""
    numbers = [row.text("number") for row in rows]
    indices = set(
        chain.from_iterable(candidate_number_indices(number).values() for number in numbers if number)
    )
    query = (
        select(Doctor.number_index, Doctor.id, Doctor.name)
        .join(
            Organisation,
            (Organisation.tenant_id == Doctor.tenant_id) & (Organisation.id == Doctor.organisation_id),
        )
        .where(
            in_array(Doctor.number_index, indices),
            scope_condition(
                grant,
                institution=Doctor.organisation_id,
                assessor=Organisation.assessment_organisation_id,
            ),
        )
    )
    return {
        bytes(index): KnownPerson(doctor_id, name) for index, doctor_id, name in db.session.execute(query)
    }


def _known_records(
    kind: ConductKind, rows: Iterable[ConductValues]
) -> dict[tuple[UUID, bytes], ConductRecord]:
    """(doctor's id, key) → the record of this kind that is there already, for the doctors of the rows, also
    one that was removed; locked."""
    query = (
        select(ConductRecord)
        .where(
            in_array(ConductRecord.doctor_id, {values.doctor_id for values in rows}),
            ConductRecord.kind == kind.code,
        )
        .order_by(ConductRecord.id)
        .with_for_update()
    )
    records = db.session.scalars(query.execution_options(populate_existing=True))
    return {(record.doctor_id, bytes(record.record_key)): record for record in records}


def _new_record(kind: ConductKind, values: ConductValues, by: Actor) -> dict[str, Any]:
    """Column → value of a record as a row gives it, imported now."""
    return asdict(values) | {
        "tenant_id": current_tenant(),
        "id": new_id(),
        "kind": kind.code,
        "imported_by": by.id,
        "imported_at": clock.now(),
    }


def _update(record: ConductRecord, values: ConductValues, by: Actor) -> bool:
    """Store what a row says otherwise than the record (locked), and journal it; what the row leaves empty
    stays, and a removed record counts again. Returns whether anything changed."""
    changes = {
        column: getattr(values, column)
        for column in VALUE_COLUMNS
        if getattr(values, column) not in (None, getattr(record, column))
    }
    if not changes and record.removed_at is None:
        return False
    grade_before = record.grade
    for column, value in changes.items():
        setattr(record, column, value)
    record.removed_at, record.imported_by, record.imported_at = (
        None,
        by.id,
        clock.now(),
    )
    journal.write_entry(
        "conduct_record",
        record.id,
        "changed",
        by=by,
        before=grade_before,
        after=record.grade,
        columns=sorted(changes),
    )
    return True


def _import_part(
    kind: ConductKind,
    job: Job,
    rows: list[ImportRow],
    report: ImportReport,
    seen: set[bytes],
) -> None:
    """Import the next rows of a job, with the roles that the asker has now: doctors whom these don't reach
    any more are refused as unknown."""
    import_batch(
        kind,
        rows,
        report,
        seen,
        grant=load_grant(kind.action, job.asked_by),
        by=load_actor(job.asked_by),
    )


CONDUCT_IMPORTS = {
    kind.code: SpreadsheetImport(
        kind.job,
        kind.action,
        partial(read_rows, kind),
        partial(row_keys, kind),
        partial(_import_part, kind),
        kind.headings(),
        journal_counts("conduct_imported", kind=kind.code),
    )
    for kind in CONDUCT_KINDS.values()
}


def _accept_upload(
    _subject: UUID | None,
    name: str,
    content: bytes,
    by: Actor,
    fields: Mapping[str, str],
) -> UUID:
    """Enqueue the import (or with the field «check» the check) of a file that came in chunks; its kind is in
    the field «kind». Returns the job's id. Raises NotFound for an unknown kind, Forbidden for one that the
    roles of `by` don't import, InvalidInput, TooLarge, Unavailable."""
    kind = get_kind_for(fields.get("kind", ""), by.roles)
    return enqueue_import(kind, content, name, dry_run="check" in fields, by=by).id


chunked_uploads.register_purpose("conduct", authorize_action(ACTION), _accept_upload, UPLOAD_LIMITS)
