"""Trying to reach another province's rows of one table through the application's role, with plain SQL and
nothing of ours in between."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from tests.tenants.row_factory import count, insertion_of_json, row_as_json

REFUSED = "row-level security"


def find_leaks(app_url: str, owner: psycopg.Connection, table: str, here: int, there: int) -> list[str]:
    """What of `table` could be seen or changed that should not have been, a line each; empty when nothing.
    `owner` sees all."""
    name = sql.Identifier(table)
    own_count, other_count = count(owner, table, here), count(owner, table, there)
    own_row, other_row = row_as_json(owner, table, here), row_as_json(owner, table, there)
    owner.rollback()
    faults = (
        [] if own_count and other_count else [f"no rows to try with: {own_count} here, {other_count} there"]
    )
    with psycopg.connect(app_url.replace("+psycopg", "")) as connection:
        if (privileges := _privileges(connection, table)) - {
            "SELECT",
            "INSERT",
            "UPDATE",
            "DELETE",
        } or not privileges >= {"SELECT", "INSERT"}:
            faults.append(f"the role may {sorted(privileges)}")
        everything = sql.SQL("select tenant_id, count(*) from {} group by 1").format(name)
        for tenant, expected in ((None, []), (here, [(here, own_count)])):
            text = f"in {tenant}" if tenant else "outside"
            with _transaction_as(connection, tenant):
                if (visible_rows := connection.execute(everything).fetchall()) != expected:
                    faults.append(f"{text}: sees {visible_rows}")
            insert = insertion_of_json(table)
            faults += _refusal(connection, tenant, f"{text}: inserting there", insert, other_row)
            if "UPDATE" in privileges:
                change = sql.SQL("update {} set tenant_id = tenant_id where tenant_id = {}").format(
                    name, sql.Literal(there)
                )
                faults += _touches_nothing(connection, tenant, f"{text}: updating there", change)
            if "DELETE" in privileges:
                remove = sql.SQL("delete from {} where tenant_id = {}").format(name, sql.Literal(there))
                faults += _touches_nothing(connection, tenant, f"{text}: deleting there", remove)
        faults += _refusal(connection, None, "outside: inserting here", insert, own_row)
        if "UPDATE" in privileges:
            move = sql.SQL("update {} set tenant_id = {}").format(name, sql.Literal(there))
            faults += _refusal(connection, here, "in here: moving there", move)
    return faults


def _privileges(connection: psycopg.Connection, table: str) -> set[str]:
    verbs = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"]
    query = "select p from unnest(%s::text[]) p where has_table_privilege(current_user, %s, p)"
    privileges = {privilege[0] for privilege in connection.execute(query, (verbs, table)).fetchall()}
    connection.rollback()
    return privileges


@contextmanager
def _transaction_as(connection: psycopg.Connection, tenant: int | None) -> Iterator[None]:
    """A transaction in province `tenant`, or in none, that leaves nothing behind."""
    connection.rollback()
    if tenant is not None:
        connection.execute(sql.SQL("SET LOCAL dingkao.tenant = {}").format(sql.Literal(str(tenant))))
    try:
        yield
    finally:
        connection.rollback()


def _refusal(
    connection: psycopg.Connection, tenant: int | None, what: str, query: sql.Composable, *given: Any
) -> list[str]:
    with _transaction_as(connection, tenant):
        try:
            connection.execute(query, given or None)
        except psycopg.errors.InsufficientPrivilege as refused:
            return [] if REFUSED in str(refused) else [f"{what} was refused for another reason: {refused}"]
        except psycopg.Error as fault:
            return [f"{what} was stopped only by {type(fault).__name__}"]
    return [f"{what} was not refused"]


def _touches_nothing(
    connection: psycopg.Connection, tenant: int | None, what: str, query: sql.Composable
) -> list[str]:
    with _transaction_as(connection, tenant):
        try:
            touched = connection.execute(query).rowcount
        except psycopg.Error as fault:
            return [f"{what} was stopped only by {type(fault).__name__}"]
    return [f"{what} touched {touched}"] if touched else []
