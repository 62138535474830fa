"""How many questions the banks have: in use, waiting for approval, out of use, without category."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select

from dingkao.database.base import db
from dingkao.question_banks.models import Question


@dataclass
class BankCounts:
    """How many questions of a bank are in use, by (subject, purpose), with 0 for a pair of which none is; how
    many have a version that waits for approval, new questions and those in use alike; and how many are out of
    use."""

    used: dict[tuple[str, str], int]
    pending: int = 0
    retired: int = 0


def _retired_condition() -> ColumnElement[bool]:
    """The condition on Question that it was in use, and is no more."""
    return and_(
        Question.approved_at.is_not(None),
        Question.retired_at.is_not(None),
    )


def count_banks() -> dict[UUID, BankCounts]:
    """Bank id → its counts, for all banks of the province; banks without questions are left out."""
    query = select(
        Question.bank_id,
        Question.subject,
        Question.purpose,
        func.count().filter(Question.retired_at.is_(None)),
        func.count().filter(Question.proposed_version.is_not(None)),
        func.count().filter(_retired_condition()),
    ).group_by(Question.bank_id, Question.subject, Question.purpose)
    counts_by_bank: dict[UUID, BankCounts] = {}
    for (
        bank_id,
        subject,
        purpose,
        used,
        pending,
        retired,
    ) in db.session.execute(query):
        counts = counts_by_bank.setdefault(bank_id, BankCounts({}))
        counts.used[subject, purpose] = used
        counts.pending += pending
        counts.retired += retired
    return counts_by_bank


def uncategorised_count(bank_id: UUID) -> int:
    """How many questions of 业务水平 in a bank have no category, so that no paper draws them: those in use
    and those never approved yet; those out of use are not counted."""
    query = select(func.count()).select_from(Question)
    query = query.where(
        Question.bank_id == bank_id,
        Question.subject == "professional",
        Question.category.is_(None),
        ~_retired_condition(),
    )
    return db.session.scalar(query) or 0
