"""Imports institutions from a spreadsheet: at once, or with a job of chunks if there are many rows or the
file is too large to be read within a request. Also assigns an assessment organisation to all institutions
that have none."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, insert, select

from dingkao.database.arrays import in_array, split_into_batches
from dingkao.database.base import db
from dingkao.errors import InvalidInput
from dingkao.integrations.pdf.fonts import unprintable_characters
from dingkao.integrations.sandbox import runner
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    RowProblem,
)
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.models import Organisation
from dingkao.people.organisation_names import store_former_name
from dingkao.people.organisation_search import update_organisation_keys
from dingkao.people.organisations import (
    InstitutionValues,
    assign_assessor,
    lock_open,
    new_organisation_row,
    validate_institution,
)
from dingkao.people.spreadsheet_imports import (
    UPLOAD_LIMITS,
    SpreadsheetImport,
    authorize_action,
)
from dingkao.tenants.characters import fold_lookalikes
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import normalise_text
from dingkao.uploads import chunked_uploads

COLUMNS = {
    "name": ("机构名称", "单位名称", "医疗机构名称", "名称"),
    "registration_number": (
        "机构登记号",
        "登记号",
        "医疗机构登记号",
        "机构代码",
    ),
    "division": ("行政区划代码", "行政区划", "区划代码"),
    "category": ("机构类别", "类别", "机构类型"),
    "contact": ("联系电话", "咨询电话", "联系方式", "联系人及电话"),
}
REQUIRED_COLUMNS = ("name", "registration_number", "division")

INLINE_BATCH_SIZE, ASSIGN_BATCH_SIZE, MAX_INLINE_ROWS = 1_000, 500, 2_000
ASSIGN_JOB = "assign_institutions"


def import_institutions(content: bytes, *, by: Actor) -> ImportReport:
    """Import the institutions of a csv, xlsx, xls or ods file, and enter that in the journal; the caller
    commits. The key is 机构登记号: importing the same file again changes nothing. Raises InvalidInput,
    TooLarge, Unavailable, runner.LimitExceeded."""
    report, seen_numbers = ImportReport(), set[bytes]()
    for batch in split_into_batches(read_rows(content, report), INLINE_BATCH_SIZE):
        import_batch(batch, report, seen_numbers)
    log_import(report.accepted, report.changed, len(report.errors), by=by)
    return report


def read_rows(content: bytes, report: ImportReport) -> Iterator[ImportRow]:
    """Yield the rows of a spreadsheet of institutions; problems of the file are added to `report`. Raises
    InvalidInput, TooLarge, Unavailable, runner.LimitExceeded, also while the rows are read."""
    return sheet_reader.read_rows(
        content,
        COLUMNS,
        REQUIRED_COLUMNS,
        report,
        date_columns=(),
        code_columns=("registration_number", "division", "contact"),
    )


def row_registration_numbers(row: ImportRow) -> list[bytes]:
    """The keys by which a row is recognised as a duplicate within its file: its 机构登记号."""
    return [normalise_text(row.text("registration_number")).encode()]


def log_import(accepted: int, changed: int, refused: int, *, by: Actor) -> None:
    """Write the journal entry of an import, with the numbers of rows: new, changed, refused."""
    journal.write_entry(
        "province",
        _import_subject(),
        "institutions_imported",
        by=by,
        accepted=accepted,
        changed=changed,
        refused=refused,
    )


def import_batch(rows: Iterable[ImportRow], report: ImportReport, seen: set[bytes]) -> None:
    """Import a batch of rows and add to `report` what happened. Flushes, doesn't commit, locks no
    organisation before it changes it, and journals nothing. `seen`: the 机构登记号 of the same file imported
    so far; those of this batch are added."""
    data_rows = [row for row in rows if not row.is_footer("name", "registration_number")]
    existing = _organisations_of_rows(data_rows)
    new_rows: list[dict[str, Any]] = []
    for row in data_rows:
        new_rows += _import_row(row, existing, report, seen)
    if new_rows:
        db.session.execute(insert(Organisation), new_rows)
    known_ids = [organisation.id for organisation in existing.values()]
    update_organisation_keys([*known_ids, *(values["id"] for values in new_rows)])
    report.accepted += len(new_rows)


def _import_row(
    row: ImportRow,
    existing: dict[str, Organisation],
    report: ImportReport,
    seen: set[bytes],
) -> list[dict[str, Any]]:
    """Update the organisation of a row, one of `existing`, or return a list with the column values of a new
    one; else the list is empty."""
    try:
        entry, values = _validate_row(row, report, seen)
        _require_open(existing.get(entry.registration_number))
    except InvalidInput as refusal:
        report.errors.append(_row_problem(row, refusal))
        return []
    seen.add(entry.registration_number.encode())
    _warn_of_unprintable_name(row, entry, report)
    if entry.registration_number not in existing:
        return [new_organisation_row(values)]
    is_changed = _update_existing(existing[entry.registration_number], values)
    report.changed += is_changed
    report.unchanged += not is_changed
    return []


def _require_open(organisation: Organisation | None) -> None:
    """Raise InvalidInput for an organisation that is closed."""
    if organisation is not None and organisation.closed_at is not None:
        raise InvalidInput("该机构已撤销或并入其他机构", "registration_number")


def _organisations_of_rows(
    rows: list[ImportRow],
) -> dict[str, Organisation]:
    """The existing organisations that the rows name, by 机构登记号."""
    numbers = {number.decode() for row in rows for number in row_registration_numbers(row)}
    query = select(Organisation).where(in_array(Organisation.registration_number, numbers))
    return {organisation.registration_number: organisation for organisation in db.session.scalars(query)}


def _validate_row(
    row: ImportRow, report: ImportReport, seen: set[bytes]
) -> tuple[InstitutionValues, dict[str, Any]]:
    """The values of a row as they were read, and as column values; warnings are added to `report`. Raises
    InvalidInput for an invalid row, or if its 机构登记号 is in `seen`: it occurred in the file before."""
    _check_unreadable_cells(row, report)
    entry = _values_of_row(row)
    if entry.registration_number.encode() in seen:
        raise InvalidInput("机构登记号在本文件中重复", "registration_number")
    return entry, validate_institution(entry)


def _row_problem(row: ImportRow, refusal: InvalidInput) -> RowProblem:
    """A refusal of a row for the report, with the heading of its column in the file."""
    column = row.column_label(COLUMNS[refusal.field or "name"][0])
    return RowProblem(
        row.number,
        column,
        refusal.message,
        "请更正后重新导入，已导入的行不会重复。",
    )


def _warn_of_unprintable_name(row: ImportRow, entry: InstitutionValues, report: ImportReport) -> None:
    """Warn if no font has some characters of the institution's name."""
    if characters := unprintable_characters(entry.name):
        reason = f"机构名称中的“{characters}”无法打印在结果通知书上"
        remedy = "已按所填导入，请核对是否录错。"
        column = row.column_label(COLUMNS["name"][0])
        report.warnings.append(RowProblem(row.number, column, reason, remedy))


def _check_unreadable_cells(row: ImportRow, report: ImportReport) -> None:
    """Raise InvalidInput if a cell of a required column is unreadable; warn of other unreadable cells."""
    for column, flaw in row.problems.items():
        if column in REQUIRED_COLUMNS:
            raise InvalidInput(flaw.reason, column)
        remedy = f"这一项没有导入，系统中原有的内容不变。{flaw.remedy}"
        report.warnings.append(
            RowProblem(
                row.number,
                row.column_label(COLUMNS[column][0]),
                flaw.reason,
                remedy,
            )
        )


def _values_of_row(row: ImportRow) -> InstitutionValues:
    """The values of a row, tidied. Raises InvalidInput if Excel has cut digits off the 机构登记号."""
    if row.has_lost_digits("registration_number"):
        raise InvalidInput(
            "机构登记号被Excel当作数字，后几位已丢失，请先把该列设为文本格式再填写",
            "registration_number",
        )
    name = fold_lookalikes(" ".join(row.text("name").split()))
    return InstitutionValues(
        name,
        normalise_text(row.text("registration_number")),
        row.text("division"),
        " ".join(row.text("category").split()),
        " ".join(row.text("contact").split()),
    )


def _update_existing(organisation: Organisation, values: dict[str, Any]) -> bool:
    """Update an institution with `values`; an empty value leaves the stored one, a name that it had stays
    among its former names. Returns whether anything changed."""
    changes = _changed_values(organisation, values)
    if "name" in changes:
        store_former_name(organisation)
    for name, value in changes.items():
        setattr(organisation, name, value)
    return bool(changes)


def _changed_values(organisation: Organisation, values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values`, by column, that are not empty and differ from what the institution has."""
    return {name: value for name, value in values.items() if value and value != getattr(organisation, name)}


def _import_subject() -> UUID:
    """The id that stands for the current province as the subject of an import."""
    return UUID(int=current_tenant())


def import_or_enqueue(content: bytes, name: str, *, dry_run: bool = False, by: Actor) -> ImportReport | Job:
    """Import the institutions of a spreadsheet and return the report, or enqueue a job for a long or large
    one, or for a check (`dry_run`), and return the job, whose file stays in the store after a rollback.
    `name`: the file's name. Raises InvalidInput, TooLarge, Unavailable."""
    if dry_run:
        return _enqueue(content, name, by, dry_run=True)
    with contextlib.suppress(runner.LimitExceeded):
        if _is_short(content):
            with db.session.begin_nested():
                return import_institutions(content, by=by)
    return _enqueue(content, name, by)


def _is_short(content: bytes) -> bool:
    """Whether a spreadsheet has at most MAX_INLINE_ROWS rows, so that it is imported within the request.
    Raises as `read_rows`."""
    rows_after_limit = islice(read_rows(content, ImportReport()), MAX_INLINE_ROWS, None)
    return next(rows_after_limit, None) is None


def _enqueue(content: bytes, name: str, by: Actor, *, dry_run: bool = False) -> Job:
    """Enqueue the job that imports the spreadsheet, or checks it (`dry_run`). Raises InvalidInput, TooLarge,
    Unavailable."""
    return INSTITUTION_IMPORT.enqueue(content, f"机构 {name[:60]}", by=by, dry_run=dry_run)


def _accept_upload(
    _subject: UUID | None,
    name: str,
    content: bytes,
    by: Actor,
    fields: Mapping[str, str],
) -> UUID:
    """Enqueue the import (or with the field «check» the check) of a file that came in chunks; return the
    job's id. Raises InvalidInput, TooLarge, Unavailable."""
    return _enqueue(content, name, by, dry_run="check" in fields).id


def _import_batch(
    _job: Job,
    rows: list[ImportRow],
    report: ImportReport,
    seen: set[bytes],
) -> None:
    """Import the next rows of a job (`import_batch`): neither committed nor journalled here."""
    import_batch(rows, report, seen)


def _finish_import(job: Job, counts: dict[str, int]) -> None:
    """Write the journal entry of a finished or cancelled job."""
    log_import(
        counts["accepted"],
        counts["changed"],
        counts["refused"],
        by=load_actor(job.asked_by),
    )


INSTITUTION_IMPORT = SpreadsheetImport(
    "import_institutions",
    "institutions.manage",
    read_rows,
    row_registration_numbers,
    _import_batch,
    COLUMNS,
    _finish_import,
)
chunked_uploads.register_purpose(
    "institutions",
    authorize_action("institutions.manage"),
    _accept_upload,
    UPLOAD_LIMITS,
)


def enqueue_assignment(assessor: Organisation, *, by: Actor) -> Job:
    """Enqueue a job that assigns `assessor` to every open institution that has no assessment organisation
    yet. Whether it is one itself, and open, is checked when the job runs."""
    return enqueueing.enqueue(
        ASSIGN_JOB,
        f"指定考核机构：{assessor.name}",
        {"assessor": str(assessor.id)},
        by=by.id,
        subject=assessor.id,
    )


@worker.register_chunked_job(ASSIGN_JOB)
def assign_batch(job: Job, cursor: Cursor) -> Chunk:
    """Assign the job's assessment organisation, kept open and from being withdrawn meanwhile, to the next
    batch of institutions that have none; each is journalled. Raises InvalidInput if it isn't an assessment
    organisation any more, InvalidState if it was closed or merged into another one."""
    [assessor] = lock_open(UUID(job.arguments["assessor"])).values()
    lacking = and_(Organisation.assessment_organisation_id.is_(None), Organisation.closed_at.is_(None))
    total = (
        None if cursor else db.session.scalar(select(func.count()).select_from(Organisation).where(lacking))
    )
    organisations = _lock_next_without_assessor(UUID(cursor.get("after", str(UUID(int=0)))))
    actor = load_actor(job.asked_by)
    with journal.batched_entries():
        for organisation in organisations:
            assign_assessor(organisation, assessor, by=actor)
    next_cursor = {"after": str(organisations[-1].id)} if len(organisations) == ASSIGN_BATCH_SIZE else None
    return Chunk(
        next_cursor,
        done=len(organisations),
        total=total,
        counts={"assigned": len(organisations)},
    )


def _lock_next_without_assessor(
    last_id: UUID,
) -> Sequence[Organisation]:
    """The next ASSIGN_BATCH_SIZE open institutions without an assessment organisation after the id `last_id`,
    by id, locked."""
    query = (
        select(Organisation)
        .where(
            Organisation.assessment_organisation_id.is_(None),
            Organisation.closed_at.is_(None),
            Organisation.id > last_id,
        )
        .order_by(Organisation.id)
        .limit(ASSIGN_BATCH_SIZE)
    )
    return db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).all()
