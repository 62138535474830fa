"""The migrations make what the models say, and nothing else."""

import importlib.util
from pathlib import Path

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine, text

import tests.tenants.models  # noqa: F401 - brings every model
from dingkao.database.base import Model, PlatformModel
from dingkao.database.migrations import upgrade
from dingkao.database.roles import bootstrap
from dingkao.exams.sitting_completion import GRACE_PERIOD
from tests import engines
from tests.tenants.catalog import violations


def test_models_and_migrations_agree(stack):
    engine = create_engine(stack.environment["MIGRATOR_DATABASE_URL"])
    with engine.connect() as connection:
        for metadata, platform in ((Model.metadata, False), (PlatformModel.metadata, True)):

            def ours(thing, name, kind, _reflected, _other, platform=platform):
                return kind != "table" or (
                    name != "alembic_version" and (thing.schema == "platform") == platform
                )

            context = MigrationContext.configure(
                connection,
                opts={
                    "include_schemas": platform,
                    "include_object": ours,
                    "compare_type": True,
                    "target_metadata": metadata,
                },
            )
            assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_policies_that_an_older_version_left_open_are_shut(stack):
    """Those of a database from before 0021 said `true`; the migration gives each of them the predicate."""
    superuser = engines.superuser_url(stack.home)
    migrator = stack.environment["MIGRATOR_DATABASE_URL"].rpartition("/")[0] + "/older"
    with engines.changing_roles(stack.home):
        bootstrap(superuser, "older", {})
    try:
        upgrade(migrator, "0020")
        with psycopg.connect(f"{superuser}/older") as connection:
            for policy, table in connection.execute(
                "select policyname, tablename from pg_policies where permissive = 'PERMISSIVE'"
            ).fetchall():
                connection.execute(f"ALTER POLICY {policy} ON {table} USING (true) WITH CHECK (true)")
            assert len(violations(connection)) > 40
        upgrade(migrator)
        with psycopg.connect(f"{superuser}/older") as connection:
            assert violations(connection) == []
    finally:
        with psycopg.connect(f"{superuser}/postgres", autocommit=True) as connection:
            connection.execute("drop database older with (force)")


def migration(name):
    """The module of a migration."""
    [path] = (Path(__file__).resolve().parents[2] / "migrations" / "versions").glob(f"[0-9]*_{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_names_that_were_kept_as_typed_come_into_their_one_form(stack, provinces):
    """The migration, upon a doctor whose name was kept before there was one form."""
    names = migration("names_in_one_form")
    engine = create_engine(stack.environment["MIGRATOR_DATABASE_URL"])
    with engine.connect() as connection:
        doctor = connection.execute(
            text("SELECT tenant_id, id, account_id FROM doctor ORDER BY id LIMIT 1")
        ).one()
        given = {
            "tenant": doctor.tenant_id,
            "id": doctor.id,
            "account": doctor.account_id,
            "name": "⻢⽴⼭\ufe0f",
        }
        connection.execute(
            text("UPDATE doctor SET name = :name, name_key = 'x' WHERE tenant_id = :tenant AND id = :id"),
            given,
        )
        with Operations.context(MigrationContext.configure(connection)):
            names.downgrade()
            names.upgrade()
        found = connection.execute(
            text(
                "SELECT d.name, d.name_key, a.name FROM doctor d JOIN account a USING (tenant_id) "
                "WHERE a.id = d.account_id AND d.id = :id"
            ),
            given,
        )
        assert tuple(found.one()) == ("马立山", "malishan 马立山", "马立山")
        connection.rollback()
    engine.dispose()


DEPARTMENT_ADDED = """
INSERT INTO department (tenant_id, id, organisation_id, name, created_at, closed_at)
VALUES (:tenant, gen_random_uuid(), :organisation, :name, now(), :closed_at) RETURNING id
"""
ROLE_GIVEN = """
INSERT INTO membership (tenant_id, id, account_id, organisation_id, department_id, role, created_at)
VALUES (:tenant, gen_random_uuid(), :account, :organisation, :department, 'department_liaison', now())
"""


def test_departments_that_thereby_have_one_name_become_one_with_their_liaisons(stack, provinces):
    engine = create_engine(stack.environment["MIGRATOR_DATABASE_URL"])
    with engine.connect() as connection:

        def run(statement, **more):
            return connection.execute(text(statement), names | more)

        names = {}
        doctor = run("SELECT tenant_id, id, organisation_id FROM doctor ORDER BY id LIMIT 1").one()
        names = {"tenant": doctor.tenant_id, "doctor": doctor.id, "organisation": doctor.organisation_id}
        accounts = run("SELECT id FROM account WHERE tenant_id = :tenant ORDER BY id LIMIT 2").scalars().all()
        run("UPDATE doctor SET department = E'甲\u3000\\n 科' WHERE tenant_id = :tenant AND id = :doctor")
        tidy, other, alone = (
            run(DEPARTMENT_ADDED, name=name, closed_at=closed_at).scalar_one()
            for name, closed_at in (("甲 科", "2026-01-01"), ("甲\u3000\n科", None), (" 乙科", None))
        )
        for account, department in ((accounts[0], tidy), (accounts[0], other), (accounts[1], other)):
            run(ROLE_GIVEN, account=account, department=department)
        with Operations.context(MigrationContext.configure(connection)):
            migration("names_of_departments_in_one_form").upgrade()
        of_these = "SELECT id, name, closed_at FROM department WHERE id = ANY(:ids) ORDER BY name DESC"
        assert {tuple(department) for department in run(of_these, ids=[tidy, other, alone])} == {
            (tidy, "甲 科", None),
            (alone, "乙科", None),
        }
        liaisons = run("SELECT account_id FROM membership WHERE department_id = :id", id=tidy)
        assert sorted(liaisons.scalars()) == sorted(accounts)
        assert run("SELECT department FROM doctor WHERE id = :doctor").scalar_one() == "甲 科"
        connection.rollback()
    engine.dispose()


def test_the_function_that_saves_answers_has_the_grace_period_of_the_code():
    versions = sorted((Path(__file__).resolve().parents[2] / "migrations" / "versions").glob("*.py"))
    newest = [text for file in versions if "FUNCTION save_answer(" in (text := file.read_text())][-1]
    assert f"closes_at + interval '{GRACE_PERIOD.seconds} seconds'" in newest
