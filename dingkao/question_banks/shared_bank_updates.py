"""Updating a shared bank from a file: questions are added, changed, and withdrawn if the file is the whole
bank."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, update

from dingkao import clock
from dingkao.database.arrays import in_array, split_into_batches
from dingkao.database.base import db, new_id
from dingkao.doctors.code_lists import CATEGORIES
from dingkao.errors import InvalidInput, TooLarge
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    RowProblem,
)
from dingkao.question_banks.importing.file_import import iter_rows
from dingkao.question_banks.importing.known_questions import (
    report_refused,
)
from dingkao.question_banks.importing.parsed_question import (
    NO_CATEGORY_WARNING,
    InvalidQuestionRow,
    ParsedQuestion,
    RowWarning,
)
from dingkao.question_banks.importing.row_validation import (
    validate_row,
)
from dingkao.question_banks.models import (
    DIFFICULTIES,
    QUESTION_PURPOSES,
    SUBJECTS,
)
from dingkao.question_banks.shared_banks import (
    BATCH_SIZE,
    banks_table,
    questions_table,
)

NO_PICTURES_MESSAGE = "共享题库不能带图片，请改用文字、表格或公式，或由各省在本省题库中录入。"
"""Pictures belong to a province, so that a shared bank can't have any."""
USE_TERMINAL_MESSAGE = (
    "文件过大，网页上读不完。请分成几个文件导入；是全部题目、不能分开的，请由运维人员在服务器上执行"
    "“dingkao questions share 题库名称 文件 --whole”导入。"
)

QuestionsByDigest = dict[bytes, ParsedQuestion]
"""Digest → question, in the file's order."""


def update_from_file(
    content: bytes,
    bank_name: str,
    *,
    whole: bool,
    file_name: str = "",
    limit: int | None = None,
) -> ImportReport:
    """Update the shared bank called `bank_name` (blanks around it don't count; created if there is none and
    the file has a valid question) from a file called `file_name` ("" if unknown); its edition rises if
    anything changes. `whole`: the file is the whole bank, so that questions not in it are withdrawn, which
    counts as changed. Commits what it writes (the platform's tables) on a connection of its own. Returns the
    report, of which the errors are the questions that were left out. Raises InvalidInput, also without a
    name, or if `whole` and the file has an error or no question; TooLarge if it has more than `limit` rows
    (None: no limit); Unavailable."""
    bank_name = bank_name.strip()
    if not bank_name:
        raise InvalidInput("请填写共享题库名称。", "bank")
    report = ImportReport()
    questions = _read_questions(content, file_name, limit, report)
    if whole and report.errors:
        problem = report.errors[0]
        raise InvalidInput(
            f"文件有{len(report.errors)}处错误（第{problem.row}行：{problem.reason}），"
            "不能作为全部题目导入。请更正后重试。",
            "file",
        )
    if whole and not questions:
        raise InvalidInput(
            "文件中没有试题，不能作为全部题目导入。请更正后重试。",
            "file",
        )
    with db.engines["platform"].begin() as connection:
        _write_questions(connection, questions, bank_name, whole=whole, report=report)
    return report


def _read_questions(
    content: bytes,
    file_name: str,
    limit: int | None,
    report: ImportReport,
) -> QuestionsByDigest:
    """Digest → question, for the valid questions of a file; problems of the others are added to `report`.
    Raises InvalidInput, TooLarge, Unavailable."""
    questions: QuestionsByDigest = {}
    rows = iter_rows(
        content,
        report,
        no_pictures=NO_PICTURES_MESSAGE,
        name=file_name,
    )
    for number, row in enumerate(rows, 1):
        if limit is not None and number > limit:
            raise TooLarge(USE_TERMINAL_MESSAGE)
        _read_row(row, questions, report)
    return questions


def _read_row(row: ImportRow, questions: QuestionsByDigest, report: ImportReport) -> None:
    """Add the question of a row to `questions`, and the row's problem or warnings to `report`."""
    try:
        question, warnings = _validate(row, questions)
    except InvalidQuestionRow as refusal:
        report_refused(row, refusal, report)
        return
    for column, reason, remedy in warnings:
        report.warnings.append(RowProblem(row.number, row.column_label(column), reason, remedy))
    questions[question.content_digest()] = question


def _validate(
    row: ImportRow, earlier_questions: QuestionsByDigest
) -> tuple[ParsedQuestion, list[RowWarning]]:
    """The question of a row, and its warnings. Raises InvalidQuestionRow, also for what a shared bank can't
    hold (pictures, 业务水平 without a category) and for a question that is among `earlier_questions`."""
    question, warnings = validate_row(row)
    if question.picture_names():
        raise InvalidQuestionRow("图片", "题目带有图片", NO_PICTURES_MESSAGE)
    if question.needs_category():
        raise InvalidQuestionRow(
            *NO_CATEGORY_WARNING[:2],
            "请填写临床、口腔、公共卫生、中医之一。",
        )
    if question.content_digest() in earlier_questions:
        raise InvalidQuestionRow("题干", "与本文件前面的题目重复", "请删除重复的题目。")
    return question, warnings


def _write_questions(
    connection: Connection,
    questions: QuestionsByDigest,
    bank_name: str,
    *,
    whole: bool,
    report: ImportReport,
) -> None:
    """Write the questions of a file and, if anything changes, the new edition into the shared bank called
    `bank_name`, which is locked; counts are added to `report`. Without such a bank one is created, but not
    without questions. The caller commits."""
    bank = _lock_bank(connection, bank_name)
    if bank is None and questions:
        bank = _create_bank(connection, bank_name)
    if bank is None:
        return
    bank_id, edition = bank
    position_query = select(func.max(questions_table.c.position)).where(questions_table.c.bank_id == bank_id)
    position = connection.scalar(position_query) or 0
    writer = _BankWriter(connection, bank_id, edition, position, report)
    for digests in split_into_batches(questions, BATCH_SIZE):
        writer.write_batch({digest: _question_cells(questions[digest]) for digest in digests})
    if whole:
        writer.withdraw_others(questions)
    if report.accepted or report.changed:
        bank_update = update(banks_table).where(banks_table.c.id == bank_id)
        connection.execute(bank_update.values(edition=edition, changed_at=clock.now()))


def _lock_bank(connection: Connection, name: str) -> tuple[UUID, int] | None:
    """The id of the shared bank called `name`, which is locked, and its next edition, which the caller sets;
    None if there is none."""
    query = select(banks_table.c.id, banks_table.c.edition).where(banks_table.c.name == name)
    bank = connection.execute(query.with_for_update()).first()
    return None if bank is None else (bank.id, bank.edition + 1)


def _create_bank(connection: Connection, name: str) -> tuple[UUID, int]:
    """Create the shared bank called `name` with the edition 0; return its id and its next edition, which the
    caller sets. If another transaction has created it meanwhile, there is an IntegrityError."""
    bank_id = new_id()
    connection.execute(insert(banks_table).values(id=bank_id, name=name, edition=0, changed_at=clock.now()))
    return bank_id, 1


@dataclass
class _BankWriter:
    """Writes the questions of a file into a shared bank (locked). `edition`: the bank's next one; `position`:
    that of its last question; counts are added to `report`."""

    connection: Connection
    bank_id: UUID
    edition: int
    position: int
    report: ImportReport

    def write_batch(self, cells_by_digest: Mapping[bytes, Mapping[str, Any]]) -> None:
        """Insert the questions that the bank doesn't have, and update the others; `cells_by_digest`: digest →
        cells. Each counts in the report as accepted, changed or unchanged."""
        stored_questions = self._stored_questions(cells_by_digest)
        new_questions = []
        for digest, cells in cells_by_digest.items():
            if digest in stored_questions:
                self._update_question(stored_questions[digest], cells)
            else:
                new_questions.append(self._new_question(digest, cells))
        if new_questions:
            self.connection.execute(insert(questions_table), new_questions)
        self.report.accepted += len(new_questions)

    def _stored_questions(self, digests: Iterable[bytes]) -> dict[bytes, Any]:
        """Digest → row, for the bank's questions with one of `digests`."""
        query = select(questions_table).where(
            questions_table.c.bank_id == self.bank_id,
            in_array(questions_table.c.digest, digests),
        )
        return {bytes(question.digest): question for question in self.connection.execute(query)}

    def _new_question(self, digest: bytes, cells: Mapping[str, Any]) -> dict[str, Any]:
        """The row of a new question, after the bank's last one, whose position is counted on; not inserted
        yet."""
        self.position += 1
        return {
            "id": new_id(),
            "bank_id": self.bank_id,
            "position": self.position,
            "digest": digest,
            "cells": cells,
            "edition": self.edition,
            "withdrawn": False,
        }

    def _update_question(self, stored: Any, cells: Mapping[str, Any]) -> None:
        """Update a stored question (row of SharedQuestion), if the file says something else or the question
        was withdrawn; counted as changed or unchanged."""
        if stored.cells == cells and not stored.withdrawn:
            self.report.unchanged += 1
            return
        self.connection.execute(
            update(questions_table)
            .where(questions_table.c.id == stored.id)
            .values(cells=cells, edition=self.edition, withdrawn=False)
        )
        self.report.changed += 1

    def withdraw_others(self, questions: Container[bytes]) -> None:
        """Withdraw the bank's questions whose digests are not among `questions`; each counts as changed."""
        query = select(questions_table.c.id, questions_table.c.digest).where(
            questions_table.c.bank_id == self.bank_id,
            ~questions_table.c.withdrawn,
        )
        stored_questions = self.connection.execute(query).all()
        missing_ids = (
            question.id for question in stored_questions if bytes(question.digest) not in questions
        )
        for question_ids in split_into_batches(missing_ids):
            self.connection.execute(
                update(questions_table)
                .where(in_array(questions_table.c.id, question_ids))
                .values(withdrawn=True, edition=self.edition)
            )
            self.report.changed += len(question_ids)


def _question_cells(question: ParsedQuestion) -> dict[str, Any]:
    """A question as SharedQuestion stores it, column name → text."""
    return {
        "kind": question.kind,
        "group": question.group,
        "case_stem": question.case_stem,
        "stem": question.stem,
        "options": [list(option) for option in question.options],
        "answer": question.answer,
        "explanation": question.explanation,
        "subject": SUBJECTS[question.subject],
        "category": CATEGORIES.get(question.category or "", ""),
        "topic": question.topic,
        "difficulty": DIFFICULTIES[question.difficulty],
        "purpose": QUESTION_PURPOSES[question.purpose],
    }
