"""Migrations: run by the migrator (BYPASSRLS, so that foreign keys are really checked), one at a time, the head or nothing."""

from pathlib import Path

from alembic import command, op
from alembic.config import Config
from sqlalchemy import create_engine, text

FOLDER = Path(__file__).resolve().parents[2] / "migrations"
LOCK = 0x64696E67
TENANT = "nullif(current_setting('dingkao.tenant', true), '')::int"


def upgrade(migrator_url: str) -> None:
    """Bring the database of `migrator_url` to the newest migration; two at once wait for each other. Repeatable."""
    engine = create_engine(migrator_url)
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": LOCK})
            connection.commit()
            connection.execute(text("set lock_timeout = '5s'"))
            connection.commit()
            configuration = Config()
            configuration.set_main_option("script_location", str(FOLDER))
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")
            connection.commit()
            connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": LOCK})
            connection.commit()
    finally:
        engine.dispose()


def enclose(table: str, *, app: str = "SELECT, INSERT, UPDATE, DELETE") -> None:
    """For a migration: hand a province's table to its owner, shut it by row-level security and grant `app` its privileges."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY {table}_own_province ON {table} AS RESTRICTIVE TO PUBLIC "
        f"USING (tenant_id = {TENANT}) WITH CHECK (tenant_id = {TENANT})"
    )
    op.execute(f"CREATE POLICY {table}_app ON {table} AS PERMISSIVE TO dingkao_app USING (true) WITH CHECK (true)")
    op.execute(f"GRANT {app} ON {table} TO dingkao_app")
    op.execute(f"GRANT SELECT ON {table} TO dingkao_backup")
    op.execute(f"ALTER TABLE {table} OWNER TO dingkao_owner")


def share(table: str, *, app: str = "SELECT", platform: str = "SELECT, INSERT, UPDATE") -> None:
    """For a migration: a table of the platform's, or of national data: `app` may read it, the platform writes it."""
    if app:
        op.execute(f"GRANT {app} ON {table} TO dingkao_app")
    if platform:
        op.execute(f"GRANT {platform} ON {table} TO dingkao_platform")
    op.execute(f"GRANT SELECT ON {table} TO dingkao_backup")
    op.execute(f"ALTER TABLE {table} OWNER TO dingkao_owner")
