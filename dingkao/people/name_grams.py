"""Names cut up for searching by equality and by ranges, the only comparisons that use an index under
row-level security (tenancy.md rule 11): pairs of neighbouring characters, and beginnings."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, insert, literal, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.people.names import normalise_name
from dingkao.tenants.characters import MIDDLE_DOT
from dingkao.tenants.encryption import normalise_text

PAIR = "g"
"""The letter before a pair of characters; each kind of key begins with a letter of its own."""
MAX_PAIRS = 8
"""Pairs of a typed text that are compared for which is the rarest."""
MAX_COUNTED_KEYS = 100
LAST_CHARACTER = "\U0010ffff"


def fold_for_search(text: str) -> str:
    """Returns `text` in the form in which names are searched: the normal form of names, upper case, without
    blanks, invisible characters and middle dots."""
    return normalise_text(normalise_name(text)).replace(MIDDLE_DOT, "")


def pair_keys(folded: str) -> list[str]:
    """Returns the keys of the pairs of neighbouring characters of a folded text, each once, in the order in
    which they come."""
    return list(dict.fromkeys(f"{PAIR}{first}{second}" for first, second in pairwise(folded)))


def has_prefix(column: Any, prefix: str) -> ColumnElement[bool]:
    """Returns the SQL condition that a column of the type KEY_TEXT begins with `prefix`, as a range."""
    return and_(column >= prefix, column < prefix + LAST_CHARACTER)


def rarest_pair_keys(model: Any, folded: str) -> list[str]:
    """Returns the keys of the two rarest pairs of a folded text of at least two characters, the rarest first;
    of the three rarest where none is rare, and of one where there is no other. `model`: the table of keys;
    its rows are counted up to MAX_COUNTED_KEYS for each pair, and not at all where there is nothing to
    choose."""
    keys = pair_keys(folded)[:MAX_PAIRS]
    if len(keys) == 1:
        return keys
    counts = db.session.execute(select(*(_capped_key_count(model, key) for key in keys))).one()
    by_count = sorted(zip(counts, keys, strict=True))
    is_common = by_count[0][0] == MAX_COUNTED_KEYS
    return [key for _, key in by_count[: 3 if is_common else 2]]


def _capped_key_count(model: Any, key: str) -> Any:
    """Returns the subquery that counts the rows of `model` with `key`, up to MAX_COUNTED_KEYS."""
    first_keys = select(model.key).where(model.key == key).limit(MAX_COUNTED_KEYS)
    return select(func.count()).select_from(first_keys.subquery()).scalar_subquery()


def contains_folded(name: Any, folded: str) -> ColumnElement[bool]:
    """Returns the SQL condition that a stored name, folded, contains `folded`. No index is used for it: only
    for checking the few rows that were found by their pairs."""
    return func.strpos(func.upper(func.translate(name, f"{MIDDLE_DOT} ", "")), literal(folded)) > 0


def replace_key_rows(model: Any, owner: str, key_rows: Mapping[UUID, set[tuple[Any, ...]]]) -> int:
    """Make the stored rows of keys `key_rows`, and return for how many owners they were others. `model`: the
    table of keys, `owner`: its column of whom the keys are of, `key_rows`: by owner's id, at most 5,000, the
    rows as tuples in the order of the table's columns. Rows of unchanged owners are left alone."""
    owner_column = getattr(model, owner)
    columns = [column.key for column in model.__table__.columns]
    query = select(*(getattr(model, column) for column in columns)).where(in_array(owner_column, key_rows))
    stored_rows: dict[UUID, set[tuple[Any, ...]]] = {owner_id: set() for owner_id in key_rows}
    for cells in db.session.execute(query):
        stored_rows[getattr(cells, owner)].add(tuple(cells))
    changed_ids = [owner_id for owner_id, owned in key_rows.items() if owned != stored_rows[owner_id]]
    if changed_ids:
        db.session.execute(delete(model).where(in_array(owner_column, changed_ids)))
        values = [dict(zip(columns, cells, strict=True)) for key in changed_ids for cells in key_rows[key]]
        db.session.execute(insert(model), values)
    return len(changed_ids)
