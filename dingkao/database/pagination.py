"""Pages of long lists by keyset pagination, which is as quick at the end as at the beginning. Rows are
counted only up to MAX_COUNTED, which is what pages show."""

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Integer,
    ScalarSelect,
    Select,
    Uuid,
    func,
    literal,
    select,
    tuple_,
)

from dingkao.database.base import UNSTORABLE_PATTERN, db

RowT = TypeVar("RowT")
CursorValue = str | int | UUID | datetime
MAX_CURSOR_LENGTH, MAX_COUNTED = 1000, 1000
PAGE_SIZE = 50
"""Rows of a page, where the room that asks names no size of its own."""


@dataclass(frozen=True)
class Page(Generic[RowT]):
    """Some rows of a list, and the cursor of the next page (None at the end)."""

    rows: list[RowT]
    next_cursor: str | None


def fetch_page(
    query: Select[Any],
    order_columns: Sequence[Any],
    cursor: str | None,
    size: int = PAGE_SIZE,
    *,
    descending: bool = False,
) -> Page[Any]:
    """Returns the first `size` rows of `query` (of one entity, without an order of its own) after `cursor`,
    ordered by `order_columns`, backwards if `descending`. These columns are text, UUID, datetime or whole
    numbers, never NULL, and unique together. An invalid cursor gives the first page."""
    ordered = query.order_by(*(key.desc() for key in order_columns) if descending else order_columns).limit(
        size + 1
    )
    cursor_values = parse_cursor(cursor, order_columns)
    if cursor_values:
        ordered = ordered.where(after_condition(cursor_values, order_columns, descending=descending))
    page_rows = list(db.session.scalars(ordered))
    if len(page_rows) <= size:
        return Page(page_rows, None)
    return Page(
        page_rows[:size],
        cursor_of(page_rows[size - 1], order_columns),
    )


def after_condition(
    cursor_values: list[CursorValue],
    order_columns: Sequence[Any],
    *,
    descending: bool,
) -> ColumnElement[bool]:
    """Returns the condition that a row comes after the row whose columns of order have the values
    `cursor_values`, by these columns rising, or all falling if `descending`."""
    columns = zip(cursor_values, order_columns, strict=True)
    row_position = tuple_(*order_columns)
    cursor_position = tuple_(*(literal(value, column.type) for value, column in columns))
    return row_position < cursor_position if descending else row_position > cursor_position


def cursor_of(row: Any, order_columns: Sequence[Any]) -> str:
    """Returns the cursor with which the page after `row` begins."""
    return encode_cursor([getattr(row, key.key) for key in order_columns])


def encode_cursor(values: Iterable[CursorValue]) -> str:
    """Returns the cursor of the row whose columns of order have these values. Chinese stands in it unescaped,
    so that the longest name and department fit into MAX_CURSOR_LENGTH."""
    texts = json.dumps([str(value) for value in values], ensure_ascii=False)
    return base64.urlsafe_b64encode(texts.encode()).decode()


class CappedCount(int):
    """A number of rows, counted up to MAX_COUNTED + 1 only, so that counting costs the same for a whole
    province as for a hospital. A larger number, also a sum, is written 1,000以上."""

    def with_unit(self, unit: str) -> str:
        """Returns the number with a unit: 446人, 1,000人以上."""
        return f"{MAX_COUNTED:,}{unit}以上" if self > MAX_COUNTED else f"{int(self)}{unit}"

    def __str__(self) -> str:
        return self.with_unit("")

    def __format__(self, _spec: str) -> str:
        return self.with_unit("")

    def __add__(self, other: int) -> "CappedCount":
        return CappedCount(int(self) + int(other))

    __radd__ = __add__


def capped_count_query(query: Select[Any], key: Any = None) -> ScalarSelect[int]:
    """Returns a subquery that counts the rows of `query` (of an entity) up to MAX_COUNTED + 1; make a
    `CappedCount` of its value. `key` is the id column, by default `id`. The query's ORDER BY is kept, because
    an index in that order then decides the plan, whatever PostgreSQL estimates."""
    key_column = query.column_descriptions[0]["entity"].id if key is None else key
    capped = query.with_only_columns(key_column).limit(MAX_COUNTED + 1)
    return select(func.count()).select_from(capped.subquery()).scalar_subquery()


def capped_count(query: Select[Any], key: Any = None) -> CappedCount:
    """Returns the number of rows of `query`, counted up to MAX_COUNTED + 1; `key`: the id column, by default
    `id` of the query's entity."""
    return CappedCount(db.session.scalar(select(capped_count_query(query, key))) or 0)


def parse_cursor(cursor: str | None, order_columns: Sequence[Any]) -> list[CursorValue] | None:
    """Returns the values of a cursor, of the types of `order_columns`; None for a missing or invalid one,
    which gives the first page."""
    if not cursor or len(cursor) > MAX_CURSOR_LENGTH:
        return None
    try:
        return _decode_cursor(cursor, order_columns)
    except (binascii.Error, ValueError, RecursionError):
        return None


def _decode_cursor(cursor: str, order_columns: Sequence[Any]) -> list[CursorValue]:
    """Returns the values of a cursor. Raises ValueError (also its subclass binascii.Error),
    RecursionError."""
    parts = json.loads(base64.urlsafe_b64decode(cursor))
    if not isinstance(parts, list) or len(parts) != len(order_columns):
        raise ValueError("a cursor of another list")
    values = [_parse_cursor_value(str(part), key) for part, key in zip(parts, order_columns, strict=True)]
    if not all(map(_is_storable, values)):
        raise ValueError("a cursor that no page has given")
    return values


def _is_storable(value: CursorValue) -> bool:
    """Whether a value is no text, or one that a column may have. Names have characters that Python doesn't
    call printable: private codes, and ideographs newer than its Unicode."""
    return not isinstance(value, str) or UNSTORABLE_PATTERN.search(value) is None


def _parse_cursor_value(part: str, key: Any) -> CursorValue:
    """Returns the value of one column of a cursor. Raises ValueError."""
    if isinstance(key.type, Uuid):
        return UUID(part)
    if isinstance(key.type, Integer):
        return int(part)
    return datetime.fromisoformat(part) if isinstance(key.type, DateTime) else part
