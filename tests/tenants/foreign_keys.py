"""Whether every foreign key holds in fact, by anti-join: a key that was added by a role which row-level
security holds was validated against nothing, and rows that were copied in without triggers were not looked
at."""

from typing import Any, NamedTuple

import psycopg
from psycopg import sql

_FOREIGN_KEYS_QUERY = """
select conrelid::regclass::text, confrelid::regclass::text,
    array(select a.attname::text from unnest(conkey) with ordinality k (n, i)
        join pg_attribute a on a.attrelid = conrelid and a.attnum = n order by i),
    array(select a.attname::text from unnest(confkey) with ordinality k (n, i)
        join pg_attribute a on a.attrelid = confrelid and a.attnum = n order by i)
from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace
"""


class ForeignKey(NamedTuple):
    """A foreign key: the columns of a table, and those that they refer to."""

    table: str
    referenced_table: str
    columns: list[str]
    referenced_columns: list[str]


def list_foreign_keys(connection: psycopg.Connection[Any]) -> list[ForeignKey]:
    """All foreign keys of the provinces' tables."""
    return [ForeignKey(*cells) for cells in connection.execute(_FOREIGN_KEYS_QUERY)]


def dangling_references(connection: psycopg.Connection[Any]) -> list[ForeignKey]:
    """The foreign keys by which some row refers to nothing. `connection`: of a role that sees all rows."""
    return [
        key for key in list_foreign_keys(connection) if connection.execute(_dangling_query(key)).fetchone()
    ]


def _dangling_query(key: ForeignKey) -> sql.Composable:
    """The query of a row that refers to nothing by a foreign key."""
    is_same = sql.SQL(" and ").join(
        sql.SQL("o.{} = t.{}").format(sql.Identifier(referenced_column), sql.Identifier(column))
        for column, referenced_column in zip(key.columns, key.referenced_columns, strict=True)
    )
    refers = sql.SQL(" and ").join(
        sql.SQL("t.{} is not null").format(sql.Identifier(column)) for column in key.columns
    )
    query = sql.SQL("select 1 from {} t where {} and not exists (select from {} o where {}) limit 1")
    return query.format(sql.Identifier(key.table), refers, sql.Identifier(key.referenced_table), is_same)
