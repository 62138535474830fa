"""Queries of accounts for other rooms and pages."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.people.models import (
    Account,
)
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
    uuid_param,
)

_ACCOUNT_STATEMENT = PreparedStatement(
    lambda: select(*all_columns(Account)).where(
        Account.tenant_id == TENANT_PARAM,
        Account.id == uuid_param("account"),
    )
)


def get_account_for_update(account_id: UUID) -> Account:
    """The account with that id, locked (SELECT … FOR UPDATE) and refreshed from the database. Journal entries
    about an account are written under this lock, one after another, so that each follows the entry before it.
    Raises ValueError for an unknown id."""
    [(account,)] = _ACCOUNT_STATEMENT.fetch_objects(Account, for_update=(Account,), account=account_id)
    return account


def find_account(account_id: UUID, *, for_update: bool = False) -> Account | None:
    """The account with that id, locked with `for_update`; None if there is none. An account that the session
    has loaded before isn't refreshed."""
    query = select(Account).where(Account.id == account_id)
    return db.session.scalar(query.with_for_update() if for_update else query)


def account_states(account_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The states of these accounts by id; an unknown id is left out. Raises
    arrays.TooManyValues above 5,000."""
    query = select(Account.id, Account.state).where(in_array(Account.id, account_ids))
    return dict(db.session.execute(query).all())
