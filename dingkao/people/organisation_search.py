"""Finding organisations by any part of the names that they have or had, and the keys that are written for
it."""

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, insert, select, union_all

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.people.models import Organisation, OrganisationFormerName, OrganisationSearchKey
from dingkao.people.name_grams import fold_for_search, has_prefix, replace_key_rows
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import normalise_text

WHOLE_NAME, ENDING = "n", "e"
"""The letters before a key that is a whole folded name, and before one that is an ending of it
(`_name_keys`): what a name contains, the name or one of its endings begins with, so that a part of any length
is one range of keys, however common its characters are."""
MIN_ENDING_LENGTH = 2
BATCH_SIZE = 500
MAX_LISTED = 300
"""Organisations that are found up to which a list is given their ids, and beyond which a subquery; one with
several names that match counts several times."""
COLUMNS = ("tenant_id", "key", "organisation_id")
"""The columns of a row of keys."""


def insert_organisation_keys(names: Mapping[UUID, str]) -> None:
    """Insert the keys of new organisations, of which there is at least one, and whose names by id these are,
    after the organisations themselves (flushed, and without former names). Doesn't commit."""
    key_rows = [
        dict(zip(COLUMNS, cells, strict=True))
        for organisation_id, name in names.items()
        for cells in organisation_key_rows(organisation_id, name)
    ]
    db.session.execute(insert(OrganisationSearchKey), key_rows)


def organisation_key_rows(organisation_id: UUID, *names: str) -> set[tuple[int, str, UUID]]:
    """Returns the rows of keys of an organisation that has or had these names, each in the order of
    COLUMNS."""
    keys = set[str]()
    for folded in map(fold_for_search, names):
        keys |= _name_keys(folded)
    return {(current_tenant(), key, organisation_id) for key in keys}


def _name_keys(folded: str) -> set[str]:
    """Returns the keys of one folded name: the whole of it, and it from its second, third … character on, as
    far as MIN_ENDING_LENGTH characters are left."""
    starts = range(1, len(folded) - MIN_ENDING_LENGTH + 1)
    return {WHOLE_NAME + folded, *(ENDING + folded[start:] for start in starts)}


def update_organisation_keys(organisation_ids: Iterable[UUID]) -> int:
    """Make the keys of these organisations, at most 5,000 (else arrays.TooManyValues), what their names,
    present and former, say, after names were changed; returns how many had other keys. Flushes, doesn't
    commit."""
    db.session.flush()
    ids = list(organisation_ids)
    former = select(OrganisationFormerName.organisation_id, OrganisationFormerName.name)
    query = union_all(
        select(Organisation.id, Organisation.name).where(in_array(Organisation.id, ids)),
        former.where(in_array(OrganisationFormerName.organisation_id, ids)),
    )
    names: dict[UUID, list[str]] = {}
    for organisation_id, name in db.session.execute(query):
        names.setdefault(organisation_id, []).append(name)
    key_rows = {
        organisation_id: organisation_key_rows(organisation_id, *own_names)
        for organisation_id, own_names in names.items()
    }
    return replace_key_rows(OrganisationSearchKey, "organisation_id", key_rows)


def reindex_organisation_keys(commit: Callable[[], None]) -> tuple[int, int]:
    """Compute the keys of all organisations of the current province, each batch locked. Returns how many were
    checked and how many of these had others. `commit` is called after each batch. Running it again changes
    nothing."""
    checked_count, changed_count, last_id = 0, 0, UUID(int=0)
    query = select(Organisation.id).order_by(Organisation.id).limit(BATCH_SIZE).with_for_update()
    while organisation_ids := db.session.scalars(query.where(Organisation.id > last_id)).all():
        checked_count += len(organisation_ids)
        changed_count += update_organisation_keys(organisation_ids)
        last_id = organisation_ids[-1]
        commit()
    return checked_count, changed_count


def search_organisations(text: str, limit: int, *where: ColumnElement[bool]) -> list[Organisation]:
    """Returns the first `limit` organisations that `text` may mean, among those that meet the SQL conditions
    `where`: the one with this 机构登记号, then those with a name, now or formerly, that begins with the text,
    then, unless the text is the name of one of these now, those with a name that contains it. A text of one
    character is only a beginning; an empty one finds nothing."""
    organisations: dict[UUID, Organisation] = {}
    for query in _search_queries(text, is_beginning=True):
        organisations |= _fetch_first(query.where(*where), limit)
    folded = fold_for_search(text)
    has_exact = any(fold_for_search(organisation.name) == folded for organisation in organisations.values())
    if len(folded) >= MIN_ENDING_LENGTH and len(organisations) < limit and not has_exact:
        organisations |= _fetch_first(_by_beginning(ENDING + folded).where(*where), limit)
    return list(organisations.values())[:limit]


def organisations_by_name(names: Iterable[str]) -> dict[str, list[Organisation]]:
    """Returns folded name (`fold_for_search`) → the organisations that aren't closed with exactly this name,
    by id: those that have it now, or else those that had it, or into which one that had it was merged. At
    most 5,000 names (else arrays.TooManyValues); a name of no organisation is left out."""
    is_owner = and_(
        Organisation.tenant_id == OrganisationSearchKey.tenant_id,
        Organisation.id == OrganisationSearchKey.organisation_id,
    )
    keys = {WHOLE_NAME + folded for folded in map(fold_for_search, names) if folded}
    query = (
        select(OrganisationSearchKey.key, Organisation)
        .join(Organisation, is_owner)
        .where(in_array(OrganisationSearchKey.key, keys), Organisation.closed_at.is_(None))
        .order_by(Organisation.id)
    )
    present: dict[str, list[Organisation]] = {}
    former: dict[str, list[Organisation]] = {}
    for key, organisation in db.session.execute(query):
        folded = key.removeprefix(WHOLE_NAME)
        by_name = present if fold_for_search(organisation.name) == folded else former
        by_name.setdefault(folded, []).append(organisation)
    return former | present


def search_organisation_ids(
    text: str, limit: int, is_reached: Callable[[Any], ColumnElement[bool]]
) -> list[UUID]:
    """Returns the ids of the first `limit` organisations that `text` may mean, in the order of
    `search_organisations`, among those of whose column of ids the condition `is_reached` holds. By one
    statement, or two where the text may be a 机构登记号: among the first 2 × `limit` names that begin with
    the text, and as many that contain it unless a name, now or formerly, is the text."""
    folded, number = fold_for_search(text), normalise_text(text)
    if not folded:
        return []
    ids: list[UUID] = []
    if _may_be_registration_number(number):
        has_number = select(Organisation.id).where(
            Organisation.registration_number == number,
            is_reached(Organisation.id),
        )
        ids += db.session.scalars(has_number)
    letters = (WHOLE_NAME, ENDING) if len(folded) >= MIN_ENDING_LENGTH else (WHOLE_NAME,)
    key, owner_id = OrganisationSearchKey.key, OrganisationSearchKey.organisation_id
    queries = (
        select(key, owner_id).where(has_prefix(key, letter + folded), is_reached(owner_id))
        for letter in letters
    )
    matches = union_all(*(query.order_by(key, owner_id).limit(2 * limit) for query in queries))
    owned_keys = db.session.execute(matches).all()
    beginning_ids = [owner for owned_key, owner in owned_keys if owned_key.startswith(WHOLE_NAME)]
    is_exact = any(owned_key == WHOLE_NAME + folded for owned_key, _ in owned_keys)
    containing_ids = [] if is_exact else [owner for _, owner in owned_keys]
    return list(dict.fromkeys((*ids, *beginning_ids, *containing_ids)))[:limit]


def _may_be_registration_number(text: str) -> bool:
    """Whether a normalised text may be a 机构登记号: it has a letter or a digit of ASCII."""
    return any(character.isascii() and character.isalnum() for character in text)


def _fetch_first(query: Select[Organisation], limit: int) -> dict[UUID, Organisation]:
    """The first organisations of a sorted query, by id: `limit` or a few more if it has as many, also where
    it has the same one several times (`_by_beginning`), for which it is sent again."""
    organisations: dict[UUID, Organisation] = {}
    offset = 0
    while len(organisations) < limit:
        fetched = db.session.scalars(query.offset(offset).limit(limit)).all()
        organisations |= {organisation.id: organisation for organisation in fetched}
        if len(fetched) < limit:
            break
        offset += limit
    return organisations


def organisation_condition(
    text: str,
    *,
    is_beginning: bool = False,
    organisation_id: Any = Organisation.id,
) -> ColumnElement[bool]:
    """The SQL condition that an organisation is one that `text` may mean: that it has this 机构登记号, or a
    name, now or formerly, that contains the text; with `is_beginning`, or of a single character, that begins
    with it. False for an empty text. `organisation_id`: the column with its id.
    Sends queries: up to MAX_LISTED organisations are looked up beforehand, so that the list's plan is that of
    a few ids."""
    queries = [
        query.with_only_columns(Organisation.id) for query in _search_queries(text, is_beginning=is_beginning)
    ]
    first_ids = [db.session.scalars(query.limit(MAX_LISTED + 1)).all() for query in queries]
    if max(map(len, first_ids), default=0) <= MAX_LISTED:
        return in_array(organisation_id, set(chain.from_iterable(first_ids)))
    every_match = union_all(*(query.order_by(None) for query in queries)).subquery()
    return organisation_id.in_(select(every_match.columns.id))


def _search_queries(text: str, *, is_beginning: bool) -> list[Select[Organisation]]:
    """The queries of the organisations that `text` may mean: with this 机构登记号, if it may be one, with a
    name that begins with it, and, unless `is_beginning` or it has one character, with a name that contains it
    further on. An empty list for a text that is empty once folded."""
    folded, number = fold_for_search(text), normalise_text(text)
    if not folded:
        return []
    queries = [_by_beginning(WHOLE_NAME + folded)]
    if _may_be_registration_number(number):
        queries.insert(0, select(Organisation).where(Organisation.registration_number == number))
    if len(folded) >= MIN_ENDING_LENGTH and not is_beginning:
        queries.append(_by_beginning(ENDING + folded))
    return queries


def _by_beginning(prefix: str) -> Select[Organisation]:
    """Returns the query of the organisations with a key that begins with `prefix`, sorted by key: an
    organisation comes once for each such key, so more than once where a former name matches, too, or a name
    has the text in several places."""
    is_owner = and_(
        Organisation.tenant_id == OrganisationSearchKey.tenant_id,
        Organisation.id == OrganisationSearchKey.organisation_id,
    )
    return (
        select(Organisation)
        .join(OrganisationSearchKey, is_owner)
        .where(has_prefix(OrganisationSearchKey.key, prefix))
        .order_by(OrganisationSearchKey.key, OrganisationSearchKey.organisation_id)
    )
