"""Pages of long lists by keyset: as quick at the end as at the beginning."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Select, Uuid, literal, tuple_

from dingkao.database.model import db

Row = TypeVar("Row")
LONGEST_MARK = 1000


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows of a list, and the mark from which the next page goes on (None at the end)."""

    rows: list[Row]
    onward: str | None


def page(query: Select[Any], keys: list[Any], mark: str | None, size: int = 50, *, newest: bool = False) -> Page[Any]:
    """The rows of `query` (of one entity) after `mark`, in the order of `keys`, or from the last to the first where `newest` says so: columns of
    text, UUID or moment that tell rows apart."""
    ordered = query.order_by(*(key.desc() for key in keys) if newest else keys).limit(size + 1)
    after = _read(mark, keys)
    if after:
        here, there = tuple_(*keys), tuple_(*(literal(value, key.type) for value, key in zip(after, keys, strict=True)))
        position: ColumnElement[bool] = here < there if newest else here > there
        ordered = ordered.where(position)
    rows = list(db.session.scalars(ordered))
    if len(rows) <= size:
        return Page(rows, None)
    last = [str(getattr(rows[size - 1], key.key)) for key in keys]
    return Page(rows[:size], base64.urlsafe_b64encode(json.dumps(last).encode()).decode())


def _read(mark: str | None, keys: list[Any]) -> list[str | UUID | datetime] | None:
    """A mark that was tampered with begins at the beginning."""
    if not mark or len(mark) > LONGEST_MARK:
        return None
    try:
        after = json.loads(base64.urlsafe_b64decode(mark))
        if not isinstance(after, list) or len(after) != len(keys):
            return None
        found = [_value(str(part), key) for part, key in zip(after, keys, strict=True)]
        return None if any(isinstance(part, str) and not part.isprintable() for part in found) else found
    except (binascii.Error, ValueError, RecursionError):
        return None


def _value(part: str, key: Any) -> str | UUID | datetime:
    """What a mark says of a key. Raises ValueError."""
    if isinstance(key.type, Uuid):
        return UUID(part)
    return datetime.fromisoformat(part) if isinstance(key.type, DateTime) else part
