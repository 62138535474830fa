"""What one person proposes and another approves (两人办理): taken hold of, and taken back while nobody has approved it."""

from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select

from dingkao import clock
from dingkao.database.model import db
from dingkao.errors import NotAllowed, NotFound
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor


class Proposal(Protocol):
    """A row that is proposed, and then approved or withdrawn."""

    __tablename__: str
    id: Any
    approved_at: Any
    withdrawn_at: Any


Row = TypeVar("Row")


def held(model: type[Row], row_id: UUID, *conditions: ColumnElement[bool], refusal: NotFound | None = None) -> Row:
    """The row of that id, held locked, where `conditions` hold of it. Raises NotFound, or `refusal` where one is given."""
    query: Any = select(model).where(model.id == row_id, *conditions)  # type: ignore[attr-defined]
    row: Row | None = db.session.scalar(query.with_for_update())
    if row is None:
        raise refusal or NotFound()
    return row


def take_back(row: Proposal, *, by: Actor, refusal: str) -> None:
    """Withdraw a proposal (held locked), once. Raises NotAllowed with `refusal` where it has been approved."""
    if row.approved_at:
        raise NotAllowed(refusal)
    if row.withdrawn_at is None:
        row.withdrawn_at = clock.now()
        journal.write(row.__tablename__, row.id, "withdrawn", by=by)
