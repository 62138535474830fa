"""A doctor's lists of questions over all runs: those answered wrongly (错题) and those with a star (标注)."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select, update

from dingkao.database.base import db
from dingkao.practice.models import PRACTICE_BANKS, PractisedQuestion
from dingkao.practice.practice_banks import bank_code
from dingkao.practice.practice_queries import (
    AnySelect,
    history_in_practice,
)
from dingkao.question_banks.models import (
    SUBJECTS,
    Question,
    QuestionVersion,
)

LIST_LABELS = {"wrong": "错题", "starred": "标注"}


class ListEntry(NamedTuple):
    """A question (its id) on a list, with its current version and the name of its bank."""

    id: UUID
    bank: str
    version: QuestionVersion


def list_counts(doctor_id: UUID) -> dict[str, int]:
    """How many questions that are still in the practice share are on each list: {"wrong": …, "starred":
    …}."""
    query: AnySelect = select(
        func.count().filter(PractisedQuestion.is_wrong),
        func.count(PractisedQuestion.starred_at),
    ).select_from(Question)
    wrong, starred = db.session.execute(history_in_practice(query, doctor_id)).one()
    return {"wrong": wrong, "starred": starred}


def list_entries(doctor_id: UUID, which: str, *, page: int = 1, size: int = 20) -> list[ListEntry]:
    """A page (from 1) of the list `which` ("wrong" or "starred"), the latest answer or star first; questions
    that have left the practice share are left out. It has one entry more than `size` if there is a further
    page."""
    moment = PractisedQuestion.seen_at if which == "wrong" else PractisedQuestion.starred_at
    join = and_(
        QuestionVersion.tenant_id == Question.tenant_id,
        QuestionVersion.id == Question.current_version,
    )
    columns = (
        Question.id,
        Question.subject,
        Question.category,
        QuestionVersion,
    )
    query: AnySelect = select(*columns).select_from(Question)
    query = (
        history_in_practice(query, doctor_id)
        .join(QuestionVersion, join)
        .where(list_condition(which))
        .order_by(moment.desc(), Question.id)
        .limit(size + 1)
        .offset((page - 1) * size)
    )
    return [
        ListEntry(question_id, _bank_name(subject, category), version)
        for question_id, subject, category, version in db.session.execute(query)
    ]


def remove_from_list(doctor_id: UUID, which: str, question_id: UUID | None = None) -> None:
    """Remove a question from the list `which`, or all questions, also those that have left the practice
    share, if `question_id` is None. Does nothing for one that isn't on it."""
    change = update(PractisedQuestion).where(
        PractisedQuestion.doctor_id == doctor_id,
        list_condition(which),
    )
    if question_id is not None:
        change = change.where(PractisedQuestion.question_id == question_id)
    db.session.execute(change.values({"is_wrong": False} if which == "wrong" else {"starred_at": None}))


def list_condition(which: str) -> ColumnElement[bool]:
    """The condition that a PractisedQuestion is on the list `which` ("wrong" or "starred")."""
    if which == "wrong":
        return PractisedQuestion.is_wrong.is_(True)
    return PractisedQuestion.starred_at.is_not(None)


def _bank_name(subject: str, category: str | None) -> str:
    """The name of the practice bank of a question; if there is none, that of its subject."""
    return PRACTICE_BANKS.get(bank_code(subject, category), SUBJECTS[subject])
