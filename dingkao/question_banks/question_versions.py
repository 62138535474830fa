"""The versions of a question: their states, and which one has its newest texts."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.question_banks.models import Question, QuestionVersion

PENDING, APPROVED, RETURNED = "pending", "approved", "returned"
SUPERSEDED_MESSAGE = "已有更新的修改，本版不再审核。"


def newest_version_id(question: Question) -> UUID:
    """The id of the version with a question's newest texts, approved or waiting."""
    return question.proposed_version or question.current_version


def newest_versions(
    questions: Iterable[Question],
) -> dict[UUID, QuestionVersion]:
    """Question id → its newest version, approved or waiting. Raises arrays.TooManyValues for more than 5,000
    questions."""
    question_ids = {newest_version_id(question): question.id for question in questions}
    query = select(QuestionVersion).where(in_array(QuestionVersion.id, question_ids))
    return {question_ids[version.id]: version for version in db.session.scalars(query)}


def list_versions(question_id: UUID) -> list[QuestionVersion]:
    """All versions of a question, the newest first."""
    query = select(QuestionVersion).where(QuestionVersion.question_id == question_id)
    return list(db.session.scalars(query.order_by(QuestionVersion.number.desc())))


def last_version_number(question_id: UUID) -> int:
    """The number of a question's newest version; 0 if it has none. Of two transactions that add the next one
    at the same time one gets an IntegrityError, unless they have locked the question."""
    query = select(func.max(QuestionVersion.number)).where(QuestionVersion.question_id == question_id)
    return db.session.scalar(query) or 0


def supersede_version(version_id: UUID) -> None:
    """Return a waiting version to its author, because a newer one replaces it; the caller sets the question's
    `proposed_version`. Does nothing if it doesn't wait. Writes no journal entry."""
    db.session.execute(
        update(QuestionVersion)
        .where(
            QuestionVersion.id == version_id,
            QuestionVersion.state == PENDING,
        )
        .values(
            state=RETURNED,
            opinion=SUPERSEDED_MESSAGE,
            changed_at=clock.now(),
        )
    )
