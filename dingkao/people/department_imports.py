"""Imports departments (科室) of institutions from a spreadsheet, by a job (`people/spreadsheet_imports`).
Importing the same file again changes nothing."""

from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from sqlalchemy import select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import InvalidInput
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.integrations.spreadsheets.import_rows import ImportReport, ImportRow, RowProblem
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.department_models import Department
from dingkao.people.departments import (
    add_departments,
    normalise_department_name,
    validate_department_name,
)
from dingkao.people.models import Organisation
from dingkao.people.scopes import Grant, load_grant, scope_condition
from dingkao.people.spreadsheet_imports import (
    UPLOAD_LIMITS,
    SpreadsheetImport,
    authorize_action,
    journal_counts,
)
from dingkao.tenants.encryption import normalise_text
from dingkao.uploads import chunked_uploads

ACTION = "departments.manage"
COLUMNS = {
    "name": ("科室", "科室名称", "所在科室"),
    "organisation": ("机构登记号", "登记号"),
}
REQUIRED_COLUMNS = ("name",)


def read_rows(content: bytes, report: ImportReport) -> Iterator[ImportRow]:
    """Yield the rows of a spreadsheet; problems of the file are added to `report`. Raises InvalidInput,
    TooLarge, Unavailable, also while the rows are read."""
    return sheet_reader.read_rows(
        content,
        COLUMNS,
        REQUIRED_COLUMNS,
        report,
        date_columns=(),
        code_columns=("organisation",),
    )


def row_keys(row: ImportRow) -> list[bytes]:
    """The key by which a row is recognised as a duplicate within its file: institution and name."""
    name = normalise_department_name(row.text("name"))
    return [f"{normalise_text(row.text('organisation'))}\n{name}".encode()]


def import_batch(
    rows: Iterable[ImportRow],
    report: ImportReport,
    seen: set[bytes],
    *,
    grant: Grant,
    by: Actor,
) -> None:
    """Add the departments of a batch of rows and add to `report` what happened; each added one is journalled;
    a row of a closed department is an error. Doesn't commit. `grant`: whose departments they may be; `seen`:
    the keys of the file's rows so far, to which those of this batch are added."""
    data_rows = [row for row in rows if not row.is_footer("name", "organisation")]
    institutions = _institutions_of(data_rows, grant)
    named: dict[tuple[UUID, str], ImportRow] = {}
    for row in data_rows:
        try:
            named[_validate(row, institutions, seen)] = row
        except InvalidInput as refusal:
            column = refusal.field or "name"
            report.errors.append(
                RowProblem(
                    row.number,
                    row.column_label(COLUMNS[column][0]),
                    refusal.message,
                    "更正后重新导入这一行。",
                )
            )
    closed = _closed_departments(named)
    for key in closed:
        report.errors.append(
            RowProblem(
                named[key].number,
                named[key].column_label(COLUMNS["name"][0]),
                "该科室已停用",
                "仍在使用的，请在科室名单中恢复。",
            )
        )
    added_count = add_departments(named.keys() - closed, by=by)
    report.accepted += added_count
    report.unchanged += len(named) - len(closed) - added_count


def _institutions_of(rows: Iterable[ImportRow], grant: Grant) -> dict[str, UUID]:
    """机构登记号 → the ids of the open institutions within `grant` that the rows name; with "" for the only
    one that the grant has, if it has one."""
    numbers = {normalise_text(row.text("organisation")) for row in rows} - {""}
    query = select(Organisation.registration_number, Organisation.id).where(
        in_array(Organisation.registration_number, numbers),
        Organisation.closed_at.is_(None),
        scope_condition(grant, institution=Organisation.id),
    )
    institutions = dict(db.session.execute(query).all())
    if len(grant.institution_ids) == 1 and not grant.is_province:
        institutions[""] = grant.institution_ids[0]
    return institutions


def _validate(row: ImportRow, institutions: Mapping[str, UUID], seen: set[bytes]) -> tuple[UUID, str]:
    """The institution and the name of a row, whose keys are added to `seen`. Raises InvalidInput naming the
    column."""
    name = validate_department_name(row.text("name"))
    number = normalise_text(row.text("organisation"))
    if number not in institutions:
        raise InvalidInput(
            f"机构登记号“{number[:30]}”不在您负责的机构中" if number else "未填写机构登记号",
            "organisation",
        )
    keys = row_keys(row)
    if seen.intersection(keys):
        raise InvalidInput("与本文件前面的行重复", "name")
    seen.update(keys)
    return institutions[number], name


def _closed_departments(keys: Iterable[tuple[UUID, str]]) -> set[tuple[UUID, str]]:
    """Those of the pairs of institution and name that are closed departments."""
    pairs = set(keys)
    query = select(Department.organisation_id, Department.name).where(
        in_array(Department.organisation_id, {institution_id for institution_id, _ in pairs}),
        in_array(Department.name, {name for _, name in pairs}),
        Department.closed_at.is_not(None),
    )
    return {(institution_id, name) for institution_id, name in db.session.execute(query)} & pairs


def _import_part(job: Job, rows: list[ImportRow], report: ImportReport, seen: set[bytes]) -> None:
    """Import the next rows of a job, with the roles that the asker has now. Doesn't commit."""
    import_batch(
        rows,
        report,
        seen,
        grant=load_grant(ACTION, job.asked_by),
        by=load_actor(job.asked_by),
    )


DEPARTMENT_IMPORT = SpreadsheetImport(
    "import_departments",
    ACTION,
    read_rows,
    row_keys,
    _import_part,
    COLUMNS,
    journal_counts("departments_imported"),
)


def enqueue_import(content: bytes, name: str, *, dry_run: bool, by: Actor) -> Job:
    """Enqueue the import of a spreadsheet of departments, or its check (`dry_run`). The file is read and
    stored now, and stays in the store after a rollback. `name`: the file's name. Raises InvalidInput,
    TooLarge, Unavailable."""
    return DEPARTMENT_IMPORT.enqueue(content, f"科室 {name[:60]}", by=by, dry_run=dry_run)


def _accept_upload(
    _subject: UUID | None,
    name: str,
    content: bytes,
    by: Actor,
    fields: Mapping[str, str],
) -> UUID:
    """Enqueue the import (or with the field «check» the check) of a file that came in chunks. Returns the
    job's id. Raises InvalidInput, TooLarge, Unavailable."""
    return enqueue_import(content, name, dry_run="check" in fields, by=by).id


chunked_uploads.register_purpose("departments", authorize_action(ACTION), _accept_upload, UPLOAD_LIMITS)
