"""The database's roles. Made once by whoever may make roles; each process then connects with the least it needs."""

from collections.abc import Mapping

import psycopg
from psycopg import sql

OWNER, MIGRATOR, APP, PLATFORM, BACKUP = "dingkao_owner", "dingkao_migrator", "dingkao_app", "dingkao_platform", "dingkao_backup"
ATTRIBUTES = {OWNER: "LOGIN", MIGRATOR: "LOGIN BYPASSRLS", APP: "LOGIN", PLATFORM: "LOGIN", BACKUP: "LOGIN BYPASSRLS"}


def bootstrap(superuser: str, database: str, passwords: Mapping[str, str]) -> None:
    """Make roles, database and schemas, or bring them up to date. `superuser` is a libpq URL without a database;
    `passwords` has one for each role that is to sign in (an owner without one can't). Repeatable."""
    with psycopg.connect(superuser, dbname="postgres", autocommit=True) as connection:
        for role, attributes in ATTRIBUTES.items():
            exists = connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone()
            verb = "ALTER" if exists else "CREATE"
            password = sql.SQL(" PASSWORD {}").format(sql.Literal(passwords[role])) if role in passwords else sql.SQL("")
            connection.execute(
                sql.SQL("{} ROLE {} WITH NOSUPERUSER NOCREATEDB NOCREATEROLE {}{}").format(
                    sql.SQL(verb), sql.Identifier(role), sql.SQL(attributes), password
                )
            )
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(OWNER), sql.Identifier(MIGRATOR)))
        if not connection.execute("select 1 from pg_database where datname = %s", (database,)).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(OWNER)))
    with psycopg.connect(superuser, dbname=database, autocommit=True) as connection:
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        connection.execute("CREATE SCHEMA IF NOT EXISTS platform AUTHORIZATION dingkao_owner")
        connection.execute(f"GRANT USAGE, CREATE ON SCHEMA public, platform TO {MIGRATOR}, {OWNER}")
        connection.execute(f"GRANT USAGE ON SCHEMA public, platform TO {APP}, {PLATFORM}, {BACKUP}")
