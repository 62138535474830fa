"""Comparing a column with a list of values. A long list is never written into a statement as single
parameters: PostgreSQL accepts 65,535 at most."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ARRAY, ColumnElement, SelectBase, any_, bindparam, func
from sqlalchemy.dialects.postgresql import array

MAX_VALUES = 5_000
ValueT = TypeVar("ValueT")


class TooManyValues(ValueError):  # noqa: N818
    """A list for a statement is too long: an error in the program, which should use a cursor instead."""


def in_array(column: Any, values: Iterable[Any]) -> ColumnElement[bool]:
    """Returns the condition that `column` is one of `values` (a page or batch; none: no row), sent as one
    array: PostgreSQL hashes an array, but would compare each row with every single parameter. A single value
    is compared by equality, because only then do the rows of an index come in its order. Raises TooManyValues
    above MAX_VALUES."""
    value_list = list(values)
    if len(value_list) > MAX_VALUES:
        raise TooManyValues(f"{len(value_list)} values for {column}")
    if len(value_list) == 1:
        return column == bindparam(None, value_list[0], column.type)
    return column == any_(bindparam(None, value_list, ARRAY(column.type)))


def in_looked_up(column: Any, query: SelectBase) -> ColumnElement[bool]:
    """Returns the condition that `column` is one of the values that a query of one column gives. The query is
    answered first, as an array by whose few values an index finds the rows; a subquery PostgreSQL may turn
    round, and look for each row of a long list whether the query gives it."""
    return column == any_(func.array(query.scalar_subquery(), type_=ARRAY(column.type)))


def equal_by_lookup(column: Any, other_column: Any) -> ColumnElement[bool]:
    """Returns the condition that `column`, which has an index, equals a column of another table: for each row
    of that table the index is asked. It is written as no equality that PostgreSQL could hash or merge by,
    because for some rows of a list it else reads the whole table."""
    return column == any_(array([other_column]))


def split_into_batches(values: Iterable[ValueT], size: int = MAX_VALUES) -> Iterator[list[ValueT]]:
    """Yields the values in lists of `size` (the last one shorter), for lists as large as a question bank that
    must be queried completely."""
    remaining = iter(values)
    while batch := list(islice(remaining, size)):
        yield batch
