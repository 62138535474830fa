"""Finding banks and questions: one by its id, those that match a search, the questions of a group."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    cast,
    func,
    or_,
    select,
)

from dingkao.database.base import db
from dingkao.errors import NotFound
from dingkao.question_banks.models import (
    DIFFICULTIES,
    QUESTION_PURPOSES,
    SUBJECTS,
    Question,
    QuestionBank,
    QuestionGroup,
    QuestionVersion,
)
from dingkao.question_banks.question_types import QUESTION_TYPES
from dingkao.question_banks.question_versions import PENDING

QUESTION_STATES = {
    "used": "使用中",
    "pending": "待审",
    "returned": "已退回",
    "retired": "已停用",
}
MAX_TOPICS = 500
_COLUMN_VALUES = (
    ("kind", QUESTION_TYPES),
    ("subject", SUBJECTS),
    ("difficulty", DIFFICULTIES),
    ("purpose", QUESTION_PURPOSES),
)
"""Columns of a question for which a search can filter, with their possible values."""
_CONDITIONS_BY_STATE: dict[str, tuple[ColumnElement[bool], ...]] = {
    "pending": (Question.proposed_version.is_not(None),),
    "returned": (
        Question.approved_at.is_(None),
        Question.proposed_version.is_(None),
    ),
    "used": (
        Question.approved_at.is_not(None),
        Question.retired_at.is_(None),
    ),
    "retired": (
        Question.approved_at.is_not(None),
        Question.retired_at.is_not(None),
    ),
}
"""Key of QUESTION_STATES → the conditions that a Question is in that state."""


def list_banks() -> list[QuestionBank]:
    """The banks of the province by name."""
    return list(db.session.scalars(select(QuestionBank).order_by(QuestionBank.name)))


def bank_names() -> dict[UUID, str]:
    """Bank id → name, for the province's banks."""
    return {bank.id: bank.name for bank in list_banks()}


def get_bank(bank_id: UUID) -> QuestionBank:
    """A bank of the province. Raises NotFound."""
    bank = db.session.scalar(select(QuestionBank).where(QuestionBank.id == bank_id))
    if bank is None:
        raise NotFound
    return bank


def get_question(question_id: UUID, *, for_update: bool = False) -> Question:
    """A question of the province; `for_update`: locked, and read anew. Raises NotFound."""
    query = select(Question).where(Question.id == question_id)
    if for_update:
        query = query.with_for_update().execution_options(populate_existing=True)
    question = db.session.scalar(query)
    if question is None:
        raise NotFound
    return question


def group_label(question: Question) -> str:
    """The 组号 of a question's group; "" if it has none."""
    if not question.group_id:
        return ""
    query = select(QuestionGroup.label).where(QuestionGroup.id == question.group_id)
    return db.session.scalar(query) or ""


def group_members(question: Question) -> list[Question]:
    """The questions of a question's group in order, including itself and those out of use; empty if it has no
    group."""
    if not question.group_id:
        return []
    query = select(Question).where(Question.group_id == question.group_id)
    return list(db.session.scalars(query.order_by(Question.group_position, Question.id)))


def question_state(question: Question, version: QuestionVersion) -> str:
    """The state of a question, a key of QUESTION_STATES; a version that waits for approval takes
    precedence over the others. `version`: the question's newest."""
    if version.state == PENDING:
        return "pending"
    if question.approved_at is None:
        return "returned"
    return "retired" if question.retired_at else "used"


def search_query(bank_id: UUID, filters: Mapping[str, str]) -> Select[Any]:
    """The query, in no order, for the questions of a bank that match `filters`: q (text in case, stem or
    options of the newest version), kind, subject, topic, difficulty, purpose, state (a key of
    QUESTION_STATES). An unknown value is ignored, but for an unknown topic, which no question has."""
    conditions = [
        Question.bank_id == bank_id,
        *_column_conditions(filters),
        *_CONDITIONS_BY_STATE.get(filters.get("state", ""), ()),
    ]
    if words := filters.get("q", "").strip():
        conditions.append(_text_condition(words))
    return select(Question).where(*conditions)


def _column_conditions(
    filters: Mapping[str, str],
) -> Iterator[ColumnElement[bool]]:
    """The conditions of the filters on a question's own columns."""
    for name, known_values in _COLUMN_VALUES:
        value = filters.get(name)
        if value in known_values:
            yield getattr(Question, name) == value
    if topic := filters.get("topic"):
        yield Question.topic == topic


def _text_condition(words: str) -> ColumnElement[bool]:
    """The condition that case, stem or options of a question's newest version contain `words`."""
    pattern = "%" + re.sub(r"[\\%_]", r"\\\g<0>", words) + "%"
    matches = or_(
        QuestionVersion.stem.ilike(pattern),
        QuestionVersion.case_stem.ilike(pattern),
        cast(QuestionVersion.options, String).ilike(pattern),
    )
    matching_version = select(QuestionVersion.question_id).where(
        QuestionVersion.question_id == Question.id,
        QuestionVersion.tenant_id == Question.tenant_id,
        QuestionVersion.id == func.coalesce(Question.proposed_version, Question.current_version),
        matches,
    )
    return matching_version.exists()


def list_topics(bank_id: UUID) -> list[str]:
    """The topics of a bank's questions, also of those out of use, in order; the first MAX_TOPICS."""
    query = (
        select(Question.topic)
        .where(Question.bank_id == bank_id, Question.topic.is_not(None))
        .distinct()
        .order_by(Question.topic)
        .limit(MAX_TOPICS)
    )
    return [topic for topic in db.session.scalars(query) if topic]
