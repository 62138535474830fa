"""Names by id, for pages and files: one query for all ids of a page. Ids may repeat and be None; more than
5,000 different ones raise arrays.TooManyValues."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.people.models import Account, Organisation


def organisations_by_id(
    organisation_ids: Iterable[UUID | None],
) -> dict[UUID, Organisation]:
    """The organisations with these ids, at most 5,000, by id. An unknown id is left out."""
    ids = _distinct(organisation_ids)
    if not ids:
        return {}
    organisations = db.session.scalars(select(Organisation).where(in_array(Organisation.id, ids)))
    return {organisation.id: organisation for organisation in organisations}


def organisation_names(
    organisation_ids: Iterable[UUID | None],
) -> dict[UUID, str]:
    """The names of the organisations with these ids, at most 5,000, by id. An unknown id is left out."""
    ids = _distinct(organisation_ids)
    if not ids:
        return {}
    query = select(Organisation.id, Organisation.name).where(in_array(Organisation.id, ids))
    return dict(db.session.execute(query).all())


def account_names(
    account_ids: Iterable[UUID | None],
) -> dict[UUID, str]:
    """The names of the people to whom these accounts belong, at most 5,000, by id. An unknown id is left
    out."""
    ids = _distinct(account_ids)
    if not ids:
        return {}
    query = select(Account.id, Account.name).where(in_array(Account.id, ids))
    return dict(db.session.execute(query).all())


def account_name(account_id: UUID | None) -> str:
    """The name of the person to whom an account belongs; "" for None or an unknown id."""
    return account_names([account_id]).get(account_id, "") if account_id else ""


def _distinct(ids: Iterable[UUID | None]) -> set[UUID]:
    return {lookup_id for lookup_id in ids if lookup_id is not None}
