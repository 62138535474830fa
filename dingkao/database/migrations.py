"""Runs migrations, as the role migrator (BYPASSRLS, so that foreign keys are checked against all rows). Only
one process at a time migrates, and each transaction is applied completely or not at all."""

from pathlib import Path

from alembic import command, op
from alembic.config import Config
from sqlalchemy import create_engine, text

MIGRATIONS_DIR = Path(__file__).resolve().parents[2] / "migrations"
MIGRATION_LOCK_ID = 0x64696E67
CURRENT_TENANT_SQL = "nullif(current_setting('dingkao.tenant', true), '')::int"


def upgrade(migrator_url: str, revision: str = "head") -> None:
    """Migrate the database at `migrator_url` (SQLAlchemy's form) to the newest revision, or to `revision`.
    Another process that migrates waits. Idempotent. Raises what a migration raises, among that
    sqlalchemy.exc.OperationalError if one waits for a lock longer than 5 seconds."""
    engine = create_engine(migrator_url)
    try:
        with engine.connect() as connection:
            connection.execute(
                text("select pg_advisory_lock(:lock)"),
                {"lock": MIGRATION_LOCK_ID},
            )
            connection.commit()
            connection.execute(text("set lock_timeout = '5s'"))
            connection.commit()
            configuration = Config()
            configuration.set_main_option(
                "script_location",
                str(MIGRATIONS_DIR).replace("%", "%%"),
            )
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, revision)
            connection.commit()
            connection.execute(
                text("select pg_advisory_unlock(:lock)"),
                {"lock": MIGRATION_LOCK_ID},
            )
            connection.commit()
    finally:
        engine.dispose()


def secure_tenant_table(table: str, *, app: str = "SELECT, INSERT, UPDATE, DELETE") -> None:
    """For a migration: enable row-level security for a province's table, give the table to the role of the
    owner, and grant `app` (privileges) to the application and SELECT to the backup. Both policies have the
    predicate, because Citus makes a restrictive policy permissive on its shards (tenancy.md rule 5)."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY {table}_own_province ON {table} AS RESTRICTIVE TO PUBLIC "
        f"USING (tenant_id = {CURRENT_TENANT_SQL}) WITH CHECK (tenant_id = {CURRENT_TENANT_SQL})"
    )
    op.execute(
        f"CREATE POLICY {table}_app ON {table} AS PERMISSIVE TO dingkao_app "
        f"USING (tenant_id = {CURRENT_TENANT_SQL}) WITH CHECK (tenant_id = {CURRENT_TENANT_SQL})"
    )
    op.execute(f"GRANT {app} ON {table} TO dingkao_app")
    op.execute(f"GRANT SELECT ON {table} TO dingkao_backup")
    op.execute(f"ALTER TABLE {table} OWNER TO dingkao_owner")


def grant_platform_table(
    table: str,
    *,
    app: str = "SELECT",
    platform: str = "SELECT, INSERT, UPDATE",
) -> None:
    """For a migration: grant privileges on a table of the platform or of national data: `app` to the
    application, `platform` to the platform's role ("" for none), SELECT to the backup; and give the table to
    the role of the owner."""
    if app:
        op.execute(f"GRANT {app} ON {table} TO dingkao_app")
    if platform:
        op.execute(f"GRANT {platform} ON {table} TO dingkao_platform")
    op.execute(f"GRANT SELECT ON {table} TO dingkao_backup")
    op.execute(f"ALTER TABLE {table} OWNER TO dingkao_owner")
