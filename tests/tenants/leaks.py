"""Trying to reach another province's rows of one table through the application's role, with plain SQL and nothing of ours in between."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from tests.tenants.seeds import count, row_as_json

REFUSED = "row-level security"


def leaks(app_url: str, owner: psycopg.Connection, table: str, here: int, there: int) -> list[str]:
    """What of `table` could be seen or changed that should not have been, a line each; empty when nothing. `owner` sees all."""
    name = sql.Identifier(table)
    mine, theirs = count(owner, table, here), count(owner, table, there)
    own_row, other_row = row_as_json(owner, table, here), row_as_json(owner, table, there)
    owner.rollback()
    told = [] if mine and theirs else [f"no rows to try with: {mine} here, {theirs} there"]
    with psycopg.connect(app_url.replace("+psycopg", "")) as connection:
        if (held := _may(connection, table)) - {"SELECT", "INSERT", "UPDATE", "DELETE"} or not held >= {"SELECT", "INSERT"}:
            told.append(f"the role may {sorted(held)}")
        everything = sql.SQL("select tenant_id, count(*) from {} group by 1").format(name)
        for tenant, expected in ((None, []), (here, [(here, mine)])):
            where = f"in {tenant}" if tenant else "outside"
            with _begun(connection, tenant):
                if (seen := connection.execute(everything).fetchall()) != expected:
                    told.append(f"{where}: sees {seen}")
            insert = sql.SQL("insert into {} select * from json_populate_record(null::{}, %s)").format(name, name)
            told += _refusal(connection, tenant, f"{where}: inserting there", insert, other_row)
            if "UPDATE" in held:
                change = sql.SQL("update {} set tenant_id = tenant_id where tenant_id = {}").format(name, sql.Literal(there))
                told += _touches_nothing(connection, tenant, f"{where}: updating there", change)
            if "DELETE" in held:
                remove = sql.SQL("delete from {} where tenant_id = {}").format(name, sql.Literal(there))
                told += _touches_nothing(connection, tenant, f"{where}: deleting there", remove)
        told += _refusal(connection, None, "outside: inserting here", insert, own_row)
        if "UPDATE" in held:
            move = sql.SQL("update {} set tenant_id = {}").format(name, sql.Literal(there))
            told += _refusal(connection, here, "in here: moving there", move)
    return told


def _may(connection: psycopg.Connection, table: str) -> set[str]:
    verbs = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"]
    query = "select p from unnest(%s::text[]) p where has_table_privilege(current_user, %s, p)"
    held = {row[0] for row in connection.execute(query, (verbs, table)).fetchall()}
    connection.rollback()
    return held


@contextmanager
def _begun(connection: psycopg.Connection, tenant: int | None) -> Iterator[None]:
    """A transaction in province `tenant`, or in none, that leaves nothing behind."""
    connection.rollback()
    if tenant is not None:
        connection.execute(sql.SQL("SET LOCAL dingkao.tenant = {}").format(sql.Literal(str(tenant))))
    try:
        yield
    finally:
        connection.rollback()


def _refusal(connection: psycopg.Connection, tenant: int | None, what: str, query: sql.Composable, *given: Any) -> list[str]:
    with _begun(connection, tenant):
        try:
            connection.execute(query, given or None)
        except psycopg.errors.InsufficientPrivilege as refused:
            return [] if REFUSED in str(refused) else [f"{what} was refused for another reason: {refused}"]
        except psycopg.Error as fault:
            return [f"{what} was stopped only by {type(fault).__name__}"]
    return [f"{what} was not refused"]


def _touches_nothing(connection: psycopg.Connection, tenant: int | None, what: str, query: sql.Composable) -> list[str]:
    with _begun(connection, tenant):
        try:
            touched = connection.execute(query).rowcount
        except psycopg.Error as fault:
            return [f"{what} was stopped only by {type(fault).__name__}"]
    return [f"{what} touched {touched}"] if touched else []
