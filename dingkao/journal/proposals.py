"""Rows that one person proposes and another approves (两人办理): locking such a row, and withdrawing it
before approval."""

from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import InvalidState, NotFound
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor


class Proposal(Protocol):
    """A row that is proposed, and then approved or withdrawn."""

    __tablename__: str
    id: Any
    approved_at: Any
    withdrawn_at: Any


RowT = TypeVar("RowT")


def get_for_update(
    model: type[RowT],
    row_id: UUID,
    *conditions: ColumnElement[bool],
    refusal: NotFound | None = None,
) -> RowT:
    """Returns the row with the id `row_id` that meets `conditions`, locked and read anew. Raises NotFound,
    with the sentence of `refusal` if given."""
    query: Any = select(model).where(model.id == row_id, *conditions)  # type: ignore[attr-defined]
    locking_query = query.with_for_update().execution_options(populate_existing=True)
    proposal: RowT | None = db.session.scalar(locking_query)
    if proposal is None:
        raise refusal or NotFound()
    return proposal


def withdraw(row: Proposal, *, by: Actor, refusal: str) -> None:
    """Withdraw a proposal (locked), and write the journal; does nothing if it is withdrawn already. Raises
    InvalidState with the sentence `refusal` if it is approved."""
    if row.approved_at:
        raise InvalidState(refusal)
    if row.withdrawn_at is None:
        row.withdrawn_at = clock.now()
        journal.write_entry(row.__tablename__, row.id, "withdrawn", by=by)
