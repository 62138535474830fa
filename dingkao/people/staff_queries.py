"""Queries of staff accounts and their roles for the console's pages."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import func, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import NotFound
from dingkao.people.accounts import PROVINCE_ADMIN
from dingkao.people.models import Account, Membership


def get_staff(account_id: UUID) -> Account:
    """The staff account with that id. Raises NotFound."""
    query = select(Account).where(Account.id == account_id, Account.kind == "staff")
    account = db.session.scalar(query)
    if account is None:
        raise NotFound
    return account


def memberships_of_accounts(
    account_ids: Iterable[UUID],
) -> Sequence[Membership]:
    """The memberships of at most 5,000 accounts (else arrays.TooManyValues), in no order."""
    return db.session.scalars(select(Membership).where(in_array(Membership.account_id, account_ids))).all()


def administrator_count() -> int:
    """How many accounts, closed ones too, hold the role of an administrator of the province."""
    query = select(func.count(Membership.account_id.distinct())).where(
        Membership.organisation_id.is_(None),
        Membership.role == PROVINCE_ADMIN,
    )
    return int(db.session.scalar(query) or 0)


def has_organisation_staff() -> bool:
    """Whether anybody holds a role at an organisation."""
    query = select(Membership.id).where(Membership.organisation_id.is_not(None)).limit(1)
    return db.session.scalar(query) is not None
