"""The database's roles. A superuser creates them once; each process then connects with the role that has just
the privileges it needs."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

OWNER = "dingkao_owner"
MIGRATOR = "dingkao_migrator"
APP = "dingkao_app"
PLATFORM = "dingkao_platform"
BACKUP = "dingkao_backup"
ATTRIBUTES = {
    OWNER: "LOGIN",
    MIGRATOR: "LOGIN BYPASSRLS",
    APP: "LOGIN",
    PLATFORM: "LOGIN",
    BACKUP: "LOGIN BYPASSRLS",
}

LARGE_OBJECT_FUNCTIONS_QUERY = """
select oid::regprocedure::text from pg_proc
where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^(lo_|loread$|lowrite$)'
"""


def bootstrap(superuser: str, database: str, passwords: Mapping[str, str]) -> None:
    """Create roles, database and schemas, or update them, and revoke from everybody what could store rows
    outside row-level security. `superuser`: libpq URL of the superuser, without a database; `passwords`: role
    → password, for the roles that sign in (the owner doesn't). Idempotent. Raises psycopg.Error."""
    with psycopg.connect(superuser, dbname="postgres", autocommit=True) as connection:
        for role, attributes in ATTRIBUTES.items():
            _create_or_alter_role(connection, role, attributes, passwords.get(role))
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(OWNER), sql.Identifier(MIGRATOR)))
        if not connection.execute(
            "select 1 from pg_database where datname = %s",
            (database,),
        ).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(OWNER))
            )
    with psycopg.connect(superuser, dbname=database, autocommit=True) as connection:
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        connection.execute("CREATE SCHEMA IF NOT EXISTS platform AUTHORIZATION dingkao_owner")
        connection.execute(f"GRANT USAGE, CREATE ON SCHEMA public, platform TO {MIGRATOR}, {OWNER}")
        connection.execute(f"GRANT USAGE ON SCHEMA public, platform TO {APP}, {PLATFORM}, {BACKUP}")
        _revoke_untracked_storage(connection, database)


def _create_or_alter_role(
    connection: psycopg.Connection[Any],
    role: str,
    attributes: str,
    password: str | None,
) -> None:
    """Create a role, or update its attributes and, if one is given, its password."""
    exists = connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone()
    no_password = sql.SQL("")
    connection.execute(
        sql.SQL("{} ROLE {} WITH NOSUPERUSER NOCREATEDB NOCREATEROLE {}{}").format(
            sql.SQL("ALTER" if exists else "CREATE"),
            sql.Identifier(role),
            sql.SQL(attributes),
            no_password if password is None else sql.SQL(" PASSWORD {}").format(sql.Literal(password)),
        )
    )


def _revoke_untracked_storage(connection: psycopg.Connection[Any], database: str) -> None:
    """Revoke from everybody what could store rows outside row-level security: temporary tables and large
    objects."""
    connection.execute(
        sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
    )
    for (function,) in connection.execute(LARGE_OBJECT_FUNCTIONS_QUERY).fetchall():
        connection.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
