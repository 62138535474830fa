"""What is done once the session's transaction is committed: jobs are queued, messages sent."""

from collections.abc import Callable

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from dingkao.database.base import db

PENDING_KEY = "after commit"
_PendingActions = list[tuple[SessionTransaction | None, Callable[[], object]]]
"""The transaction or savepoint in which each action was asked for, and the action."""


def do_after_commit(action: Callable[[], object]) -> None:
    """Call `action` once the transaction of the current session is committed, in the order of asking; what it
    raises comes out of the commit. It is discarded if the transaction is rolled back, or a savepoint within
    which it was asked for."""
    session = db.session()
    transaction = session.get_nested_transaction() or session.get_transaction()
    pending_actions: _PendingActions = session.info.setdefault(PENDING_KEY, [])
    pending_actions.append((transaction, action))


@event.listens_for(Session, "after_commit")
def _do_pending(session: Session) -> None:
    """Do what was asked for, unless only a savepoint is released, which sends this event, too."""
    if session.in_nested_transaction():
        return
    for _, action in session.info.pop(PENDING_KEY, []):
        action()


@event.listens_for(Session, "after_soft_rollback")
def _discard_pending(session: Session, rolled_back: SessionTransaction) -> None:
    """Discard what was asked for within a transaction or savepoint that is rolled back."""
    pending_actions: _PendingActions = session.info.pop(PENDING_KEY, [])
    remaining = [pair for pair in pending_actions if not _is_within(pair[0], rolled_back)]
    if remaining:
        session.info[PENDING_KEY] = remaining


def _is_within(transaction: SessionTransaction | None, outer: SessionTransaction) -> bool:
    """Whether a transaction is `outer` or a savepoint within it; always, if `outer` is no savepoint but the
    whole transaction."""
    while transaction is not None and transaction is not outer:
        transaction = transaction.parent
    return transaction is outer or outer.parent is None
