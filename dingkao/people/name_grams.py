"""Names cut up for searching by equality and by ranges, the only comparisons that use an index under
row-level security (tenancy.md rule 11): pairs and triples of neighbouring characters, and beginnings."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, insert, literal, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.people.names import normalise_name
from dingkao.tenants.characters import MIDDLE_DOT
from dingkao.tenants.encryption import normalise_text

PAIR, TRIPLE = "g", "t"
"""The letters before a pair and a triple of characters; each kind of key begins with a letter of its own."""
TRIPLE_LENGTH = 3
MAX_COMPARED_KEYS = 8
"""Pairs or triples of a typed text that are compared for which is the rarest."""
MAX_COUNTED_KEYS = 100
LAST_CHARACTER = "\U0010ffff"


def fold_for_search(text: str) -> str:
    """Returns `text` in the form in which names are searched: the normal form of names, upper case, without
    blanks, invisible characters and middle dots."""
    return normalise_text(normalise_name(text)).replace(MIDDLE_DOT, "")


def pair_keys(folded: str) -> list[str]:
    """Returns the keys of the pairs of neighbouring characters of a folded text, each once, in the order in
    which they come; [] for a single character."""
    return list(dict.fromkeys(f"{PAIR}{first}{second}" for first, second in pairwise(folded)))


def triple_keys(folded: str) -> list[str]:
    """Returns the keys of the triples of neighbouring characters of a folded text, each once, in the order in
    which they come; [] below TRIPLE_LENGTH characters."""
    starts = range(len(folded) - TRIPLE_LENGTH + 1)
    return list(dict.fromkeys(f"{TRIPLE}{folded[start : start + TRIPLE_LENGTH]}" for start in starts))


def has_prefix(column: Any, prefix: str) -> ColumnElement[bool]:
    """Returns the SQL condition that a column of the type KEY_TEXT begins with `prefix`, as a range."""
    return and_(column >= prefix, column < prefix + LAST_CHARACTER)


def rarest_keys(model: Any, keys: Sequence[str]) -> list[str]:
    """Returns the two rarest of some keys, the rarest first; the one where there is no other, [] for none.
    `model`: the table of keys; its rows are counted up to MAX_COUNTED_KEYS for each of the first
    MAX_COMPARED_KEYS, the others are not considered, and nothing is counted where there is nothing to
    choose."""
    compared_keys = keys[:MAX_COMPARED_KEYS]
    if len(compared_keys) < 2:
        return list(compared_keys)
    counts = db.session.execute(select(*(_capped_key_count(model, key) for key in compared_keys))).one()
    return [key for _, key in sorted(zip(counts, compared_keys, strict=True))[:2]]


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
    table of keys, `owner`: its column of whom the keys are of, `key_rows`: by owner's id, at most 5,000 (else
    arrays.TooManyValues), the rows as tuples in the order of the table's columns. Rows of unchanged owners
    are left alone. Doesn't commit."""
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
