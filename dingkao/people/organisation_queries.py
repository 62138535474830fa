"""Queries of organisations for the console's pages."""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import Select, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import capped_count
from dingkao.errors import NotFound
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import organisations_by_id

NO_ID = UUID(int=0)


def require_organisation(organisation_id: UUID, *, for_update: bool = False) -> Organisation:
    """The organisation with that id, open or closed, locked with `for_update` (one that the session has
    loaded before isn't refreshed). Raises NotFound."""
    query = select(Organisation).where(Organisation.id == organisation_id)
    organisation = db.session.scalar(query.with_for_update() if for_update else query)
    if organisation is None:
        raise NotFound
    return organisation


def find_by_registration_number(
    registration_number: str,
) -> Organisation | None:
    """The organisation that has that 机构登记号 (in its normal form), or into which the one with it was
    merged; None if there is none, or it is closed."""
    return organisations_by_number([registration_number]).get(registration_number)


def organisations_by_number(registration_numbers: Iterable[str]) -> dict[str, Organisation]:
    """Returns 机构登记号 → organisation that isn't closed, for at most 5,000 numbers (else
    arrays.TooManyValues) in their normal form (`normalise_text`): the one with that number, or the one into
    which it was merged. A number of no organisation is left out."""
    query = select(Organisation).where(in_array(Organisation.registration_number, registration_numbers))
    numbered = db.session.scalars(query).all()
    successors = organisations_by_id(organisation.successor_id for organisation in numbered)
    current = {
        organisation.registration_number: successors.get(organisation.successor_id or NO_ID, organisation)
        for organisation in numbered
    }
    return {number: organisation for number, organisation in current.items() if not organisation.closed_at}


def list_organisations(
    organisation_ids: Collection[UUID],
) -> list[Organisation]:
    """The organisations with these ids, at most 5,000 (else arrays.TooManyValues), open or closed, sorted by
    name."""
    if not organisation_ids:
        return []
    query = select(Organisation).where(in_array(Organisation.id, organisation_ids))
    return list(db.session.scalars(query.order_by(Organisation.name)))


def list_assessors(limit: int) -> list[Organisation]:
    """The first `limit` open assessment organisations (考核机构) of the province, sorted by name; those
    within a grant: `assessor_choices.list_assessors`."""
    is_open = Organisation.closed_at.is_(None)
    query = select(Organisation).where(Organisation.assesses, is_open).order_by(Organisation.name)
    return list(db.session.scalars(query.limit(limit)))


def count_without_assessor() -> int:
    """How many open organisations have no assessment organisation; counted up to 1,001, which pages show as
    1,000以上."""
    return capped_count(_without_assessor())


def has_organisations() -> bool:
    """Whether the province has any organisation."""
    return db.session.scalar(select(Organisation.id).limit(1)) is not None


def has_organisation_without_assessor() -> bool:
    """Whether any open organisation has no assessment organisation."""
    return db.session.scalar(_without_assessor().limit(1)) is not None


def _without_assessor() -> Select[Organisation]:
    """The query of the organisations that aren't closed and have no assessment organisation."""
    return select(Organisation).where(
        Organisation.assessment_organisation_id.is_(None), Organisation.closed_at.is_(None)
    )
