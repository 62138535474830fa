"""Conditions and joins that all queries of practice have: the practice share of the banks, and a doctor's
history with it."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, or_

from dingkao.practice.models import PractisedQuestion
from dingkao.question_banks.models import Question

AnySelect = Select[*tuple[Any, ...]]


def practice_conditions() -> tuple[ColumnElement[bool], ...]:
    """The conditions that a Question is in the practice share of the banks."""
    return Question.purpose == "practice", Question.retired_at.is_(None)


def category_condition(category: str) -> ColumnElement[bool]:
    """The condition that a Question, if it is of 公共知识, is for every category or for this one; true for
    other subjects."""
    return or_(
        Question.subject != "common",
        Question.category.is_(None),
        Question.category == category,
    )


def join_history(query: AnySelect, doctor_id: Any) -> AnySelect:
    """`query` joined with the doctor's PractisedQuestion of each Question; its columns are NULL if there is
    none."""
    join = and_(
        PractisedQuestion.tenant_id == Question.tenant_id,
        PractisedQuestion.question_id == Question.id,
        PractisedQuestion.doctor_id == doctor_id,
    )
    return query.outerjoin(PractisedQuestion, join)


def history_in_practice(query: AnySelect, doctor_id: UUID) -> AnySelect:
    """`query` limited to the questions in the doctor's history that are still in the practice share."""
    join = and_(
        PractisedQuestion.tenant_id == Question.tenant_id,
        PractisedQuestion.question_id == Question.id,
    )
    return query.join(PractisedQuestion, join).where(
        PractisedQuestion.doctor_id == doctor_id,
        *practice_conditions(),
    )
