"""Starting a practice run over a bank or a list; `next_questions` chooses its questions."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import ColumnElement

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, InvalidState
from dingkao.practice.models import (
    PRACTICE_BANKS,
    PRACTICE_SOURCES,
    PracticeRun,
)
from dingkao.practice.next_questions import candidate_units, draw_next_questions
from dingkao.practice.practice_access import closed_reason
from dingkao.practice.practice_queries import category_condition
from dingkao.practice.question_lists import (
    LIST_LABELS,
    list_condition,
)
from dingkao.question_banks.models import Question

NO_BANK_MESSAGE = "请选择考试题库。"
EMPTY_BANK_MESSAGE = "该题库暂时没有练习题，请选择其他题库，或联系所属考核机构。"


def start_run(
    record: Assessment,
    category: str,
    *,
    bank: str = "",
    source: str = "bank",
) -> PracticeRun:
    """Start a run over a bank (`source` is "bank") or over a list (`source` is "wrong" or "starred").
    `category` is the doctor's. An unfinished run stays as it is. Raises InvalidState if practice is closed,
    InvalidInput if there is no such bank or list, or it has no questions."""
    if reason := closed_reason(record):
        raise InvalidState(reason)
    conditions = _source_conditions(source, bank, category)
    run = PracticeRun(
        id=new_id(),
        assessment_id=record.id,
        source=source,
        bank=bank if source == "bank" else None,
        layout=_draw_versions(record.doctor_id, source, conditions),
        answers={},
        begun_at=clock.now(),
    )
    db.session.add(run)
    db.session.flush()
    return run


def _draw_versions(
    doctor_id: UUID,
    source: str,
    conditions: Iterable[ColumnElement[bool]],
) -> list[str]:
    """The version ids, as texts, of a run over the questions that fulfil `conditions`. Raises InvalidInput if
    there are none."""
    units = candidate_units(doctor_id, conditions)
    if not units:
        raise InvalidInput(_nothing_to_practise_message(source))
    return [str(version) for version in draw_next_questions(units)]


def _source_conditions(source: str, bank: str, category: str) -> list[ColumnElement[bool]]:
    """The conditions that a Question is in the bank or on the list that the run is over. Raises InvalidInput
    if there is no such bank or list."""
    if source not in PRACTICE_SOURCES:
        raise InvalidInput(NO_BANK_MESSAGE)
    if source != "bank":
        return [list_condition(source)]
    if bank not in PRACTICE_BANKS:
        raise InvalidInput(NO_BANK_MESSAGE)
    return _bank_conditions(bank, category)


def _nothing_to_practise_message(source: str) -> str:
    """The message that the chosen bank or list has no questions."""
    if source == "bank":
        return EMPTY_BANK_MESSAGE
    return f"{LIST_LABELS[source]}列表里没有可以练习的题。"


def _bank_conditions(bank: str, category: str) -> list[ColumnElement[bool]]:
    """The conditions that a Question is in a practice bank; in that of 公共知识 only questions for the
    doctor's category."""
    subject, _, bank_category = bank.partition(":")
    if bank_category:
        return [
            Question.subject == subject,
            Question.category == bank_category,
        ]
    return [Question.subject == subject, category_condition(category)]
