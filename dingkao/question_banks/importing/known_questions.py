"""Which of a file's questions a bank has already, and what the file would change in them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select

from dingkao.database.arrays import in_array, split_into_batches
from dingkao.database.base import db
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    RowProblem,
)
from dingkao.question_banks.importing.columns import QUESTION_FIELDS
from dingkao.question_banks.importing.parsed_question import (
    InvalidQuestionRow,
    ParsedQuestion,
    RowWarning,
)
from dingkao.question_banks.importing.row_validation import (
    validate_row,
)
from dingkao.question_banks.models import (
    Question,
    QuestionBank,
    QuestionVersion,
)
from dingkao.question_banks.question_types import (
    MULTIPLE_CHOICE,
    SINGLE_CHOICE,
)
from dingkao.tenants.characters import fold_lookalikes

BATCH_SIZE = 500
VERSION_FIELDS = ("answer", "kind", "explanation")
"""Fields of a version that a file can change."""
_UNTYPED_KINDS = (SINGLE_CHOICE.code, MULTIPLE_CHOICE.code)
"""The types of questions in a spreadsheet without a column for types, according to how many letters their
keys have."""

Changes = dict[str, tuple[Any, Any]]
"""Column → (value before, value after)."""


@dataclass(frozen=True)
class KnownQuestion:
    """A question that a bank has. `values`: column → what a file can change, of its newest version, approved
    or waiting; `purpose_key`: its subject, category and purpose, as papers draw it now;
    `has_approved_version`: it was approved at some time; `pending_version`: the id of the version that waits,
    None if none does."""

    id: UUID
    group_id: UUID | None
    has_approved_version: bool
    pending_version: UUID | None
    purpose_key: tuple[str, str | None, str]
    values: dict[str, Any]


def find_known_questions(bank_id: UUID, questions: Iterable[ParsedQuestion]) -> dict[bytes, KnownQuestion]:
    """Digest → the bank's question, also a retired one, for those of the questions that the bank has. Raises
    arrays.TooManyValues for more than 5,000 questions."""
    digests = {question.content_digest() for question in questions}
    newest = func.coalesce(Question.proposed_version, Question.current_version)
    join = and_(
        QuestionVersion.tenant_id == Question.tenant_id,
        QuestionVersion.id == newest,
    )
    query = (
        select(
            Question,
            QuestionVersion.answer,
            QuestionVersion.explanation,
            QuestionVersion.about,
        )
        .join(QuestionVersion, join)
        .where(
            Question.bank_id == bank_id,
            in_array(Question.digest, digests),
        )
    )
    return {
        bytes(question.digest): _known_question(question, about, answer, explanation)
        for question, answer, explanation, about in db.session.execute(query)
    }


def _known_question(
    question: Question,
    about: dict[str, Any],
    answer: str,
    explanation: str | None,
) -> KnownQuestion:
    """A bank's question with the values of its newest version; `about`: the values that this version gives
    the question's own columns."""
    values = {name: getattr(question, name) for name in QUESTION_FIELDS}
    values |= about
    values |= {"answer": answer, "explanation": explanation}
    return KnownQuestion(
        id=question.id,
        group_id=question.group_id,
        has_approved_version=question.approved_at is not None,
        pending_version=question.proposed_version,
        purpose_key=(question.subject, question.category, question.purpose),
        values=values,
    )


def changed_values(question: ParsedQuestion, known: KnownQuestion) -> dict[str, Any]:
    """Column → value (None for an empty cell), for what a file says about a known question that differs from
    the value in its newest version."""
    columns = question.provided_columns | _implied_columns(question, known)
    file_values = _file_values(question, columns)
    return {name: value for name, value in file_values.items() if value != known.values[name]}


def _file_values(question: ParsedQuestion, columns: frozenset[str]) -> dict[str, Any]:
    """Column → value (None for an empty one), for those of `columns` that may change a known question."""
    names = (*QUESTION_FIELDS, "answer", "explanation")
    return {name: getattr(question, name) or None for name in names if name in columns}


def _implied_columns(question: ParsedQuestion, known: KnownQuestion) -> frozenset[str]:
    """The columns that a changed key changes, too: in a file without types, the number of letters in the key
    makes a question A1 or X."""
    if question.answer == known.values["answer"]:
        return frozenset()
    shows_type = len(question.answer) > 1 or known.values["kind"] in _UNTYPED_KINDS
    return frozenset({"kind"}) if shows_type else frozenset()


def compare_with_bank(
    rows: Iterable[ImportRow], bank_id: UUID | None
) -> Iterator[tuple[ParsedQuestion, Changes | None]]:
    """What importing the valid `rows` would change in a bank: each question with its changes, {} if there are
    none; None instead of these if it is new, as all are without a bank (`bank_id` is None). Writes nothing.
    Raises InvalidQuestionRow for a row that is not valid."""
    for batch in split_into_batches(rows, BATCH_SIZE):
        questions = [validate_row(row)[0] for row in batch]
        known_questions = find_known_questions(bank_id, questions) if bank_id else {}
        for question in questions:
            known = known_questions.get(question.content_digest())
            yield question, _changes(question, known)


def _changes(question: ParsedQuestion, known: KnownQuestion | None) -> Changes | None:
    """What the file's question would change in the known one; None if there is none."""
    if known is None:
        return None
    return {name: (known.values[name], value) for name, value in changed_values(question, known).items()}


def valid_questions(
    rows: Iterable[ImportRow], report: ImportReport
) -> Iterator[tuple[ImportRow, ParsedQuestion, list[RowWarning]]]:
    """The valid rows with their questions and warnings, which are not added to `report`; the other rows are
    added to its errors."""
    for row in rows:
        try:
            question, warnings = validate_row(row)
        except InvalidQuestionRow as refusal:
            report_refused(row, refusal, report)
        else:
            yield row, question, warnings


def report_refused(row: ImportRow, refusal: InvalidQuestionRow, report: ImportReport) -> None:
    """Add a refused row to the errors of `report`."""
    column, reason, remedy = refusal.problem
    report.errors.append(RowProblem(row.number, row.column_label(column), reason, remedy))


def first_row_without_category(rows: Iterable[ImportRow], bank_name: str) -> ImportRow | None:
    """The first valid row of 业务水平 for which neither the row nor the same question of the bank called
    `bank_name` has a category; None if there is none. Invalid rows are skipped. Writes nothing."""
    for batch in split_into_batches(rows, BATCH_SIZE):
        row = _first_uncategorised_row(batch, bank_name)
        if row is not None:
            return row
    return None


def _first_uncategorised_row(batch: Iterable[ImportRow], bank_name: str) -> ImportRow | None:
    """The first valid row of a batch that needs a category, and has none itself nor in the bank called
    `bank_name`; None if there is none."""
    uncategorised_rows = _rows_without_category(batch)
    if not uncategorised_rows:
        return None
    categorised = _categorised_digests(uncategorised_rows, bank_name)
    return next(
        (row for digest, row in uncategorised_rows.items() if digest not in categorised),
        None,
    )


def _rows_without_category(
    batch: Iterable[ImportRow],
) -> dict[bytes, ImportRow]:
    """Digest → row, for the rows whose questions need a category and have none."""
    uncategorised_rows: dict[bytes, ImportRow] = {}
    for row, question, _ in valid_questions(batch, ImportReport()):
        if question.needs_category():
            uncategorised_rows.setdefault(question.content_digest(), row)
    return uncategorised_rows


def _categorised_digests(digests: Iterable[bytes], bank_name: str) -> set[bytes]:
    """Those of `digests` with which the bank called `bank_name` has a question with a category."""
    join = and_(
        QuestionBank.tenant_id == Question.tenant_id,
        QuestionBank.id == Question.bank_id,
    )
    query = (
        select(Question.digest)
        .join(QuestionBank, join)
        .where(
            QuestionBank.name == clean_bank_name(bank_name),
            Question.category.is_not(None),
            in_array(Question.digest, digests),
        )
    )
    return {bytes(digest) for digest in db.session.scalars(query)}


def clean_bank_name(name: str) -> str:
    """A bank's name with single spaces, and look-alike characters unified."""
    return fold_lookalikes(" ".join(name.split()))
