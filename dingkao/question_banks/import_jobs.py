"""Importing a file of questions by a job: the file waits encrypted in the store, its questions are imported
in batches, and the report says what happened to each."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from uuid import UUID

from dingkao.doctors.code_lists import CATEGORIES
from dingkao.errors import InvalidInput
from dingkao.integrations.sandbox import runner
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
)
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.spreadsheet_imports import (
    UPLOAD_LIMITS,
    SpreadsheetImport,
    authorize_action,
)
from dingkao.question_banks import question_pictures
from dingkao.question_banks.importing.batch import (
    FileProgress,
    import_batch,
)
from dingkao.question_banks.importing.columns import (
    COLUMNS,
    OPTION_COLUMNS,
)
from dingkao.question_banks.importing.file_import import (
    iter_rows,
    log_import,
    row_digests,
)
from dingkao.question_banks.importing.known_questions import (
    first_row_without_category,
)
from dingkao.uploads import chunked_uploads

PREVIEW_ROWS = 500
NO_BANK_MESSAGE = "请填写题库名称，如本省题库。"


def enqueue_import(
    content: bytes,
    name: str,
    *,
    bank_name: str,
    by: Actor,
    category: str | None = None,
    dry_run: bool = False,
) -> Job:
    """Store the file, called `name`, and enqueue the job that imports it into the bank called `bank_name`
    (created if there is none), or only checks it (`dry_run`). Whether `by` may import isn't asked here. The
    stored file stays if the caller rolls back.

    The first PREVIEW_ROWS questions are read at once, unless the file is too large for that, so that obvious
    errors (unknown format, missing column, no questions, no category) are refused at once. `category`: a
    code, not checked here, for questions of 业务水平 for which neither file nor bank has one. Raises
    InvalidInput, TooLarge, Unavailable.
    """
    if not bank_name.strip():
        raise InvalidInput(NO_BANK_MESSAGE, "bank")
    with contextlib.suppress(runner.LimitExceeded):
        preview_rows = _require_preview(content, name)
        if not category:
            _require_categories(preview_rows, bank_name)
    return QUESTION_IMPORT.enqueue_unchecked(
        content,
        f"题目 {name[:60]}",
        by=by,
        dry_run=dry_run,
        bank=bank_name,
        category=category,
    )


def _require_preview(content: bytes, name: str) -> list[ImportRow]:
    """The first PREVIEW_ROWS questions of a file that can be read; none if it has only others, which the
    job's report will name. Raises InvalidInput for a file that isn't one of questions or has none, TooLarge
    (runner.LimitExceeded if a look takes too long), Unavailable."""
    report = ImportReport()
    rows = list(islice(iter_rows(content, report, name=name), PREVIEW_ROWS))
    if not rows and not report.errors:
        raise InvalidInput("文件中没有试题，请按模板填写后重新上传。", "file")
    return rows


def _require_categories(rows: list[ImportRow], bank_name: str) -> None:
    """Raise InvalidInput for the field `category`, naming the first such row, if a valid question of 业务水平
    has no category, neither in its row nor in the bank called `bank_name`: no paper would draw it."""
    if row := first_row_without_category(rows, bank_name):
        raise InvalidInput(
            f"文件中第{row.number}行起有业务水平的题没有写执业类别，不会用于任何试卷。"
            "请选择它们的执业类别，再选择文件重新导入。",
            "category",
        )


def _accept_upload(
    _subject: UUID | None,
    name: str,
    content: bytes,
    by: Actor,
    fields: Mapping[str, str],
) -> UUID:
    """Enqueue the import of a file uploaded in chunks, or its check if the form has the field "check";
    returns the job's id. That `by` may import was checked when the upload began. Raises InvalidInput,
    TooLarge, Unavailable."""
    category = fields.get("category") or None
    if category and category not in CATEGORIES:
        raise InvalidInput("请从列表中选择执业类别。", "category")
    return enqueue_import(
        content,
        name,
        bank_name=fields.get("bank", ""),
        category=category,
        dry_run="check" in fields,
        by=by,
    ).id


chunked_uploads.register_purpose(
    "questions",
    authorize_action("questions.edit"),
    _accept_upload,
    UPLOAD_LIMITS,
)


def _read_rows(content: bytes, report: ImportReport, by: Actor) -> Iterator[ImportRow]:
    """The rows of the file; while they are read, pictures in it are stored and journalled in `by`'s name.
    Raises InvalidInput, TooLarge, Unavailable, then too."""
    return iter_rows(
        content,
        report,
        partial(question_pictures.save_processed_picture, by=by),
    )


def _import_batch(
    job: Job,
    rows: list[ImportRow],
    report: ImportReport,
    seen: set[bytes],
) -> None:
    """Import the next rows of the job's file, without committing; the bank is locked, and created if there is
    none. Errors, warnings and counts are added to `report`. `seen`: the digests of the questions of previous
    batches; those of this batch are added. New questions and changes wait for a second person (`load_actor`
    returns staff), so no paper can lack questions by them, and that isn't checked."""
    import_batch(
        rows,
        bank_name=job.arguments["bank"],
        by=load_actor(job.asked_by),
        report=report,
        progress=FileProgress(digests=seen),
        category=job.arguments.get("category"),
        category_required=True,
    )


def _finish_import(job: Job, counts: dict[str, int]) -> None:
    """Journal the import's totals; the bank is locked, and created if there is none."""
    log_import(
        job.arguments["bank"],
        accepted=counts["accepted"],
        changed=counts["changed"],
        refused=counts["refused"],
        by=load_actor(job.asked_by),
    )


REPORT_COLUMNS = {name: headings for name, headings in COLUMNS.items() if name not in OPTION_COLUMNS[5:]}
QUESTION_IMPORT = SpreadsheetImport(
    "import_questions",
    "questions.edit",
    iter_rows,
    row_digests,
    _import_batch,
    REPORT_COLUMNS,
    _finish_import,
    read=_read_rows,
    has_warnings=True,
)
