"""Warnings about questions of a file that are similar to others, in a bank or earlier in the file."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import and_, or_, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.integrations.spreadsheets.import_rows import (
    ImportRow,
    RowProblem,
)
from dingkao.question_banks.importing.parsed_question import (
    ParsedQuestion,
)
from dingkao.question_banks.models import Question, QuestionBank

SIMILAR_QUESTION_MESSAGES = {
    (
        "exam",
        "exam",
    ): "两题都会保留，但一份试卷最多用其中一道。如是重复录入，请停用其中一道。",
    (
        "exam",
        "practice",
    ): "练习会显示答案，因此本题不会用于考试。如要用于考试，请先把那道练习题改为考试用题。",
    (
        "practice",
        "exam",
    ): "练习会显示答案，因此那道考试用题不再用于考试。如要保密，请不要把本题用于练习。",
    (
        "practice",
        "practice",
    ): "两题都会保留，一次模拟考试最多用其中一道。如是重复录入，请停用其中一道。",
}
"""(purpose of the new question, purpose of the similar one) → what follows from it."""


class SimilarQuestion(NamedTuple):
    """Where a similar question is, as text, and its purpose: "exam" or "practice"."""

    location_text: str
    purpose: str


def similar_question_warnings(
    batch: Sequence[tuple[ImportRow, ParsedQuestion]],
    seen_questions: dict[bytes, SimilarQuestion],
) -> Iterator[RowProblem]:
    """Warnings, one for a question at most, about new questions that are similar to one in a bank of the
    province or earlier in the file; to be iterated before the batch is inserted, as each would be similar to
    itself. `seen_questions`: likeness → the first such question of the file; those of the batch are added
    while the warnings are iterated. (A paper has at most one of several similar questions, and one that is
    similar to a practised one is kept out of exams.)"""
    likenesses = [question.likeness() for _, question in batch]
    similar_in_banks = _similar_in_banks(likenesses)
    for (row, question), likeness in zip(batch, likenesses, strict=True):
        similar_questions = list(similar_in_banks.get(likeness, []))
        if likeness in seen_questions:
            similar_questions.append(seen_questions[likeness])
        else:
            seen_questions[likeness] = _located_in_file(row, question)
        if similar_questions:
            yield _similarity_warning(row, question, similar_questions)


def _located_in_file(row: ImportRow, question: ParsedQuestion) -> SimilarQuestion:
    """A question of the file as similar questions' warnings name it."""
    return SimilarQuestion(f"本文件第{row.number}行的题", question.purpose)


def _similar_in_banks(
    likenesses: Iterable[bytes],
) -> dict[bytes, list[SimilarQuestion]]:
    """Likeness → the questions of all banks with it, in use or never approved yet."""
    join = and_(
        QuestionBank.tenant_id == Question.tenant_id,
        QuestionBank.id == Question.bank_id,
    )
    is_in_use = or_(Question.retired_at.is_(None), Question.approved_at.is_(None))
    query = (
        select(Question.likeness, Question.purpose, QuestionBank.name)
        .join(QuestionBank, join)
        .where(in_array(Question.likeness, likenesses), is_in_use)
    )
    similar_questions: dict[bytes, list[SimilarQuestion]] = {}
    for likeness, purpose, bank_name in db.session.execute(query):
        similar = SimilarQuestion(f"题库“{bank_name}”中的一道题", purpose)
        similar_questions.setdefault(bytes(likeness or b""), []).append(similar)
    return similar_questions


def _similarity_warning(
    row: ImportRow,
    question: ParsedQuestion,
    similar_questions: Sequence[SimilarQuestion],
) -> RowProblem:
    """The warning about one question; a similar one with the other purpose is named before one with the
    same."""
    of_other_purpose = [similar for similar in similar_questions if similar.purpose != question.purpose]
    similar = (of_other_purpose or similar_questions)[0]
    return RowProblem(
        row.number,
        row.column_label("题干"),
        f"与{similar.location_text}相同或相近",
        SIMILAR_QUESTION_MESSAGES[question.purpose, similar.purpose],
    )
