"""Conditions whether a correlated query has a row, looked up row by row."""

from typing import Any

from sqlalchemy import ColumnElement, Select


def has_row(query: Select[Any]) -> ColumnElement[bool]:
    """Returns the condition that a correlated query of one column, which is never NULL, has a row. It is
    looked up for each row that is asked about: of an EXISTS PostgreSQL may read all rows beforehand,
    whichever are asked about, which is right for a whole table and wrong for a page."""
    return query.limit(1).scalar_subquery().is_not(None)
