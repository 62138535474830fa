"""A row of every table in a province, made from what the models say of themselves."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import JSON, CheckConstraint, Column, Table

from tests.tenants.models import TABLES

SPECIAL: dict[str, dict[str, Any]] = {
    "cycle": {"starts_on": date(2024, 1, 1), "ends_on": date(2026, 12, 31)},
    "paper": {
        "minutes": 60,
        "opens_at": datetime(2026, 1, 1, tzinfo=UTC),
        "closes_at": datetime(2026, 2, 1, tzinfo=UTC),
    },
    "hall": {"seats": 40},
    "slot": {"opens_at": datetime(2026, 1, 1, tzinfo=UTC), "closes_at": datetime(2026, 1, 2, tzinfo=UTC)},
    "extra_time": {"minutes": 30},
    "outage": {
        "began_at": datetime(2026, 1, 1, tzinfo=UTC),
        "ended_at": datetime(2026, 1, 1, 0, 2, tzinfo=UTC),
    },
    "question": {"approved_at": datetime(2026, 1, 1, tzinfo=UTC)},
    "practice_run": {"source": "bank", "bank": "common"},
    "office_notice": {"side": "province"},
}


@contextmanager
def seeded_tables(connection: psycopg.Connection, tenants: tuple[int, ...]) -> Iterator[None]:
    """In the block every table has a row in each of `tenants`: those it had, else one made up. What was made
    is removed after it."""
    seeded: list[tuple[str, sql.Composable]] = []
    try:
        for table in TABLES:
            for tenant in tenants:
                if not count(connection, table.name, tenant):
                    seeded.append((table.name, _insert(connection, table, tenant)))
        connection.commit()
        yield
    finally:
        connection.rollback()
        for name, condition in reversed(seeded):
            connection.execute(sql.SQL("delete from {} where {}").format(sql.Identifier(name), condition))
        connection.commit()


def stale_specials() -> list[str]:
    """What SPECIAL names and the models don't."""
    columns_by_table = {table.name: set(table.columns.keys()) for table in TABLES}
    return [
        f"{name}.{column}"
        for name, values in SPECIAL.items()
        for column in values
        if column not in columns_by_table.get(name, ())
    ]


def count(connection: psycopg.Connection, table: str, tenant: int) -> int:
    """How many rows of `tenant` a table has."""
    count_record = connection.execute(
        sql.SQL("select count(*) from {} where tenant_id = %s").format(sql.Identifier(table)), (tenant,)
    ).fetchone()
    return int(count_record[0]) if count_record else 0


def row_as_json(connection: psycopg.Connection, table: str, tenant: int) -> str:
    """One row of `tenant`, as JSON that json_populate_record takes."""
    query = sql.SQL("select to_json(t) from {} t where tenant_id = %s limit 1").format(sql.Identifier(table))
    record = connection.execute(query, (tenant,)).fetchone()
    assert record, f"{table} has no row of {tenant}"
    return json.dumps(record[0])


def insertion_of_json(table: str) -> sql.Composed:
    """The statement that inserts into a table what `row_as_json` gives, which is its only parameter; columns
    that the database computes are left to it."""
    [columns] = (known.columns for known in TABLES if known.name == table)
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns if column.computed is None)
    return sql.SQL("insert into {0} ({1}) select {1} from json_populate_record(null::{0}, %s)").format(
        sql.Identifier(table), names
    )


def _insert(connection: psycopg.Connection, table: Table, tenant: int) -> sql.Composable:
    values: dict[str, Any] = {"tenant_id": tenant} | SPECIAL.get(table.name, {})
    for constraint in table.foreign_key_constraints:
        matching_column_keys = [column for column in constraint.column_keys if column != "tenant_id"]
        if len(matching_column_keys) == 1 and not table.columns[matching_column_keys[0]].nullable:
            target = constraint.elements[0].column.table.name
            query = sql.SQL("select id from {} where tenant_id = %s limit 1").format(sql.Identifier(target))
            values[matching_column_keys[0]] = connection.execute(query, (tenant,)).fetchone()[0]  # type: ignore[index]
    for column in table.columns:
        if column.name not in values and not column.nullable:
            values[column.name] = _value(table, column)
    names = sql.SQL(", ").join(map(sql.Identifier, values))
    marks = sql.SQL(", ").join([sql.Placeholder()] * len(values))
    try:
        connection.execute(
            sql.SQL("insert into {} ({}) values ({})").format(sql.Identifier(table.name), names, marks),
            list(values.values()),
        )
    except psycopg.IntegrityError as fault:
        raise AssertionError(
            f"no row could be made up for {table.name}; say how in SPECIAL: {fault}"
        ) from fault
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column.name), sql.Literal(values[column.name]))
        for column in table.primary_key
    )


def _value(table: Table, column: Column[Any]) -> Any:
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint) and str(constraint.sqltext).startswith(
            f"{column.name} in ("
        ):
            return str(constraint.sqltext).split("'")[1]
    if isinstance(column.type, JSON):
        return Jsonb({})
    kind = column.type.python_type
    factories = {
        str: lambda: f"seed-{uuid4()}",
        int: lambda: 1,
        bool: lambda: False,
        bytes: lambda: os.urandom(32),
        UUID: uuid4,
        date: lambda: date(2026, 1, 1),
        datetime: lambda: datetime(2026, 1, 1, tzinfo=UTC),
    }
    return factories[kind]()
