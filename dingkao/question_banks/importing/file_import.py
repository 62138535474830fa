"""Importing a whole file of questions into a bank, within the caller's transaction."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice

from dingkao.database.arrays import split_into_batches
from dingkao.errors import TooLarge
from dingkao.exams.supply import require_papers_assemblable
from dingkao.integrations.images.images import Illustration
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.question_banks import question_pictures
from dingkao.question_banks.importers import question_files
from dingkao.question_banks.importing.batch import (
    FileProgress,
    get_or_create_bank,
    import_batch,
)
from dingkao.question_banks.importing.columns import (
    COLUMNS,
    REQUIRED_COLUMNS,
    RICH_TEXT_COLUMNS,
)
from dingkao.question_banks.importing.group_content import (
    with_shared_content,
)
from dingkao.question_banks.importing.known_questions import (
    BATCH_SIZE,
)
from dingkao.question_banks.importing.parsed_question import (
    InvalidQuestionRow,
)
from dingkao.question_banks.importing.question_rows import (
    PurposeChanges,
)
from dingkao.question_banks.importing.row_validation import (
    validate_row,
)

MAX_QUESTIONS_AT_ONCE = 50_000

PictureSaver = Callable[[Illustration], object]


def read_rows(
    content: bytes,
    report: ImportReport,
    save_picture: PictureSaver | None = None,
    name: str = "",
) -> list[ImportRow]:
    """The rows of a file in any known format, called `name` ("" if unknown), each with what its group shares;
    not validated yet (`row_validation`). What can't be read is added to `report`. `save_picture` stores each
    picture of a document; without it pictures only get names. Raises InvalidInput, TooLarge (also for more
    than MAX_QUESTIONS_AT_ONCE rows, or if it is too complex), Unavailable, and what `save_picture` raises."""
    rows = list(
        islice(
            iter_rows(content, report, save_picture, name=name),
            MAX_QUESTIONS_AT_ONCE + 1,
        )
    )
    if len(rows) > MAX_QUESTIONS_AT_ONCE:
        raise TooLarge(f"文件中的题目超过{MAX_QUESTIONS_AT_ONCE}题，请分成几个文件导入。")
    return rows


def iter_rows(
    content: bytes,
    report: ImportReport,
    save_picture: PictureSaver | None = None,
    no_pictures: str = "",
    name: str = "",
) -> Iterator[ImportRow]:
    """The rows of a file of any length, one by one, each with what its group shares, not validated yet; what
    can't be read is added to `report`. `save_picture` stores each picture of a document; without it pictures
    only get names. `no_pictures`: if not "", questions with pictures are refused with this reason. Raises
    InvalidInput, TooLarge, Unavailable while it is read, and what `save_picture` raises."""
    sheet_options = {
        "columns": COLUMNS,
        "required_columns": REQUIRED_COLUMNS,
        "date_columns": (),
        "rich_text_columns": RICH_TEXT_COLUMNS,
    }
    return with_shared_content(
        question_files.read_question_file(
            content,
            sheet_options,
            report,
            save_picture,
            no_pictures,
            name,
        )
    )


def row_digests(row: ImportRow) -> list[bytes]:
    """The digest by which a repeated row of the same file is recognised, in a list; none for a row that is
    refused."""
    try:
        return [validate_row(row)[0].content_digest()]
    except InvalidQuestionRow:
        return []


def import_questions(
    content: bytes,
    *,
    bank_name: str,
    by: Actor,
    category: str | None = None,
    name: str = "",
) -> ImportReport:
    """Import a file of questions, called `name` ("" if unknown), into the bank called `bank_name`, which is
    created if there is none, and locked. Pictures are stored in the name of `by`; the import is journalled,
    not committed.

    Importing the same question again changes nothing; one whose answer, type or explanation differs gets a
    new version, others of its columns are changed. What staff import waits for a second person (`batch`).
    `category`: a code, for questions of 业务水平 for which neither file nor bank has one; without it they are
    imported without. Returns the report. Raises InvalidInput, InvalidState if a paper whose window is not
    over could not be filled any more, upon which the caller rolls back, TooLarge, Unavailable.
    """
    report = ImportReport()
    rows = read_rows(
        content,
        report,
        partial(question_pictures.save_processed_picture, by=by),
        name=name,
    )
    return import_rows(rows, bank_name=bank_name, by=by, report=report, category=category)


def import_rows(
    rows: Iterable[ImportRow],
    *,
    bank_name: str,
    by: Actor,
    report: ImportReport,
    category: str | None = None,
) -> ImportReport:
    """Import rows of questions, BATCH_SIZE at a time, into the bank called `bank_name`, which is created if
    there is none, and locked. `category`: a code, for questions of 业务水平 for which neither row nor bank
    has one. `report` is added to, its errors are sorted by row, and it is returned; a refused row is among
    them and stops nothing. The import is journalled, not committed. Raises InvalidState if a paper whose
    window is not over could not be filled any more, upon which the caller rolls back."""
    progress, purpose_changes = FileProgress(), PurposeChanges()
    for batch in split_into_batches(rows, BATCH_SIZE):
        purpose_changes |= import_batch(
            batch,
            bank_name=bank_name,
            by=by,
            report=report,
            progress=progress,
            category=category,
        )
    _require_papers_assemblable(purpose_changes)
    report.errors.sort(key=lambda problem: problem.row)
    log_import(
        bank_name,
        accepted=report.accepted,
        changed=report.changed,
        refused=len(report.errors),
        by=by,
    )
    return report


def _require_papers_assemblable(
    purpose_changes: PurposeChanges,
) -> None:
    """Raise InvalidState if a paper whose window is not over can't be filled after the import; flushes, and
    locks the papers concerned. `purpose_changes`: the subject, category and purpose that questions in use had
    before."""
    for subject, former_category, purpose in sorted(purpose_changes, key=str):
        require_papers_assemblable(subject, former_category, purpose, "按这份文件修改题目")


def log_import(bank_name: str, *, accepted: int, changed: int, refused: int, by: Actor) -> None:
    """Journal how many questions were imported, in the name of `by`, into the bank called `bank_name`, which
    is created if there is none, and locked."""
    journal.write_entry(
        "question_bank",
        get_or_create_bank(bank_name).id,
        "questions_imported",
        by=by,
        accepted=accepted,
        changed=changed,
        refused=refused,
    )
