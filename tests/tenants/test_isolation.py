"""Two provinces in one database: neither can see, touch or become the other, whatever is asked and by which
layer."""

import contextvars as context
from contextlib import suppress

import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session, aliased

from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import import_roster
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people.institution_imports import import_institutions
from dingkao.people.models import Account
from dingkao.people.provinces import open_province
from dingkao.question_banks.importing.file_import import import_questions
from dingkao.tenants.context import NoProvince, WrongProvince, in_tenant
from tests import conftest, sample_data
from tests.tenants.cross_tenant_access import find_leaks
from tests.tenants.models import OWNED, TABLE_NAMES
from tests.tenants.row_factory import count, insertion_of_json, row_as_json, seeded_tables, stale_specials
from tests.tenants.statements import captured_statements, statements_without_tenant

SHANXI, HENAN = 14, 41
PREDICATE = "tenant_id = nullif(current_setting('dingkao.tenant', true), '')::int"


@pytest.fixture(scope="module")
def both(stack, provinces):
    """Every table with rows of both provinces, and a connection that sees them."""
    assert [province.code for province in provinces.values()] == [SHANXI, HENAN]
    with conftest.superuser_connection(stack.home) as connection, seeded_tables(connection, (SHANXI, HENAN)):
        yield connection


def test_the_list_of_special_seeds_is_not_stale():
    assert stale_specials() == []


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_every_table_has_rows_of_both_provinces(both, table):
    assert count(both, table, SHANXI)
    assert count(both, table, HENAN)


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_the_database_lets_nothing_through(stack, both, table):
    assert find_leaks(stack.environment["DATABASE_URL"], both, table, SHANXI, HENAN) == []
    assert find_leaks(stack.environment["DATABASE_URL"], both, table, HENAN, SHANXI) == []


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("ALTER TABLE doctor DISABLE ROW LEVEL SECURITY", "ALTER TABLE doctor ENABLE ROW LEVEL SECURITY"),
        (
            (
                "ALTER POLICY doctor_own_province ON doctor USING (true); ALTER POLICY doctor_app ON "
                "doctor USING (true)"
            ),
            (
                f"ALTER POLICY doctor_own_province ON doctor USING ({PREDICATE}); ALTER POLICY "
                f"doctor_app ON doctor USING ({PREDICATE})"
            ),
        ),
        (
            (
                "ALTER POLICY doctor_own_province ON doctor WITH CHECK (true); ALTER POLICY doctor_app "
                "ON doctor WITH CHECK (true)"
            ),
            (
                f"ALTER POLICY doctor_own_province ON doctor WITH CHECK ({PREDICATE}); ALTER POLICY "
                f"doctor_app ON doctor WITH CHECK ({PREDICATE})"
            ),
        ),
    ],
)
def test_the_trial_itself_notices_an_open_table(stack, both, broken, mended):
    try:
        both.execute(broken)
        both.commit()
        assert find_leaks(stack.environment["DATABASE_URL"], both, "doctor", SHANXI, HENAN)
    finally:
        both.rollback()
        both.execute(mended)
        both.commit()
    assert find_leaks(stack.environment["DATABASE_URL"], both, "doctor", SHANXI, HENAN) == []


def seen_by_the_application(connection, table, tenant):
    """The provinces whose rows the application's role sees, told of `tenant` or, with "", of none."""
    connection.execute(sql.SQL("SET LOCAL dingkao.tenant = {}").format(sql.Literal(str(tenant))))
    return {
        privilege[0]
        for privilege in connection.execute(
            sql.SQL("select distinct tenant_id from {}").format(sql.Identifier(table))
        )
    }


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_each_policy_is_shut_by_itself(both, table):
    """Citus drops the word RESTRICTIVE on its shards; what stands there then, and each of the two policies
    alone, lets nothing through."""
    identifier, name = sql.Identifier(f"{table}_own_province"), sql.Identifier(table)
    both.execute(sql.SQL("SET LOCAL lock_timeout = '5s'; DROP POLICY {} ON {}").format(identifier, name))
    other_row = row_as_json(both, table, HENAN)
    for policy in (None, "CREATE POLICY {} ON {} AS PERMISSIVE TO PUBLIC USING ({}) WITH CHECK ({})"):
        if policy:
            both.execute(sql.SQL(policy).format(identifier, name, sql.SQL(PREDICATE), sql.SQL(PREDICATE)))
        both.execute("SET LOCAL ROLE dingkao_app")
        assert seen_by_the_application(both, table, "") == set()
        assert seen_by_the_application(both, table, SHANXI) == {SHANXI}
        with pytest.raises(InsufficientPrivilege, match="row-level security"), both.transaction():
            both.execute(insertion_of_json(table), (other_row,))
        both.execute("SET LOCAL ROLE NONE")
    both.rollback()


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_the_application_counts_its_own_rows_without_a_predicate(both, in_province, table):
    own_count = count(both, table, SHANXI)
    both.rollback()
    with in_province("shanxi"):
        counts = db.session.execute(text(f"select tenant_id, count(*) from {table} group by 1")).all()  # noqa: S608
    assert counts == [(SHANXI, own_count)]


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_outside_every_province_no_query_is_sent(application, table):
    with application.app_context(), captured_statements(db.engine) as statements:
        with pytest.raises(NoProvince):
            db.session.execute(text(f"select count(*) from {table}"))  # noqa: S608
        with pytest.raises(NoProvince), db.engine.begin() as connection:
            connection.execute(text(f"delete from {table}"))  # noqa: S608
        assert statements == []


def test_a_connection_goes_back_to_the_pool_without_its_province(application, provinces):
    """Through a pool the next user of a connection finds none set, or its own."""
    with application.app_context():
        for code in (SHANXI, HENAN, SHANXI):
            with in_tenant(code), db.engine.connect() as connection:
                tenant_ids = connection.execute(text("select distinct tenant_id from doctor")).scalars().all()
            assert tenant_ids == [code]
        with in_tenant(SHANXI), db.engine.connect() as connection:
            connection.execute(text("select 1"))
            driver = connection.connection.driver_connection
            connection.rollback()
            assert driver.execute(
                "select count(*), current_setting('dingkao.tenant', true) from doctor"
            ).fetchone() == (0, "")


def test_a_commit_in_the_middle_begins_the_next_transaction_in_the_province_too(
    in_province, provinces, owner_connection
):
    own_count = owner_connection.execute("select count(*) from doctor where tenant_id = 41").fetchone()[0]
    assert 0 < own_count < owner_connection.execute("select count(*) from doctor").fetchone()[0]
    with in_province("henan"):
        for _ in range(2):
            assert db.session.scalar(select(func.count()).select_from(Doctor)) == own_count
            db.session.commit()


def test_a_row_of_another_province_does_not_leave_the_process(in_province, provinces):
    with in_province("henan"):
        strange = db.session.scalars(select(Account).limit(1)).one()
        db.session.expunge(strange)
    with in_province("shanxi"):
        db.session.delete(db.session.merge(strange, load=False))
        with pytest.raises(WrongProvince):
            db.session.flush()
    with in_province("shanxi"):
        strange.name = "换了省"
        db.session.add(strange)
        with pytest.raises(WrongProvince):
            db.session.flush()
    with in_province("shanxi"), captured_statements(db.engine) as statements:
        db.session.add(
            Account(
                tenant_id=HENAN, kind="staff", login_index=b"x", name="x", initial_until=strange.initial_until
            )
        )
        with pytest.raises(WrongProvince):
            db.session.flush()
        assert not [statement for statement in statements if statement.startswith("INSERT")]


def test_a_row_can_not_be_moved_to_another_province(in_province, provinces):
    with in_province("shanxi"):
        doctor = db.session.scalars(select(Doctor).limit(1)).one()
        doctor.tenant_id = HENAN
        with pytest.raises(WrongProvince):
            db.session.flush()


def test_one_session_serves_one_province(application, provinces):
    with application.app_context():
        with in_tenant(SHANXI):
            doctor = db.session.scalars(select(Doctor).limit(1)).one()
        with in_tenant(HENAN):
            for ask in (
                lambda: db.session.scalars(select(Doctor)).all(),
                lambda: db.session.execute(update(Doctor).values(title="x")),
                lambda: db.session.execute(delete(Doctor)),
                lambda: db.session.get(Doctor, (HENAN, doctor.id)),
                lambda: db.session.refresh(doctor),
            ):
                with pytest.raises(WrongProvince):
                    ask()
            doctor.title = "x"
            with pytest.raises(WrongProvince):
                db.session.flush()


def test_another_provinces_row_asked_for_by_its_id_is_no_row(in_province, provinces):
    with in_province("henan"):
        doctor = db.session.scalars(select(Doctor).limit(1)).one()
    with in_province("shanxi"):
        assert db.session.get(Doctor, (HENAN, doctor.id)) is None
        assert db.session.get(Doctor, (SHANXI, doctor.id)) is None
        assert db.session.scalar(select(Doctor).where(Doctor.id == doctor.id)) is None
        assert (
            db.session.execute(update(Doctor).where(Doctor.id == doctor.id).values(title="x")).rowcount == 0
        )
        assert db.session.execute(delete(Doctor).where(Doctor.id == doctor.id)).rowcount == 0


@pytest.mark.parametrize("model", OWNED, ids=lambda model: model.__tablename__)
def test_every_statement_of_the_orm_names_the_province(in_province, model):
    with in_province("shanxi"), captured_statements(db.engine) as statements:
        db.session.scalars(select(model).limit(1)).all()
        db.session.scalars(select(model.id).limit(1)).all()
        db.session.query(model).limit(1).all()
        for change in (
            update(model).values(id=model.id).where(model.id.is_(None)),
            delete(model).where(model.id.is_(None)),
        ):
            with suppress(ProgrammingError):  # the journal takes neither
                db.session.execute(change)
            db.session.rollback()
        assert len(statements) == 5
        assert statements_without_tenant(statements) == []


def test_every_statement_of_an_import_names_the_province(in_province):
    questions = xlsx_writer.write_xlsx(
        ("题型", "题干", "选项", "答案"),
        [("A1", "甲?", "A 一\\nB 二", "A"), ("A1", "乙?", "A 一\\nB 二", "B")],
    )
    with in_province("jilin") as province, captured_statements(db.engine) as statements:
        roster_rows = [sample_data.roster_row(province.code, serial) for serial in range(3)]
        changed_rows = [roster_row | {"科室": "外科"} for roster_row in roster_rows[:1]]
        open_province(province, by=TERMINAL_ACTOR)
        for _ in range(2):
            import_institutions(sample_data.institutions_csv(province.code), by=TERMINAL_ACTOR)
            import_questions(questions, bank_name="题库", by=TERMINAL_ACTOR)
            import_roster(sample_data.roster_xlsx(roster_rows), by=TERMINAL_ACTOR)
        assert import_roster(sample_data.roster_xlsx(changed_rows), by=TERMINAL_ACTOR).changed == 1
        db.session.rollback()
    assert len([statement for statement in statements if statement.startswith(("SELECT", "UPDATE"))]) > 10
    assert statements_without_tenant(statements) == []


def test_a_statement_that_names_no_province_is_noticed():
    bad = [
        "SELECT doctor.tenant_id FROM doctor WHERE doctor.id = 1",
        "UPDATE doctor SET tenant_id = 1 WHERE doctor.id = 1",
        "DELETE FROM doctor",
        "SELECT 1 FROM account JOIN doctor ON doctor.account_id = account.id WHERE account.tenant_id = 1",
        "SELECT 1 FROM account AS account_1 WHERE account.tenant_id = 1",
    ]
    assert statements_without_tenant(bad) == bad
    assert (
        statements_without_tenant(
            ["UPDATE doctor SET name = 1 WHERE doctor.tenant_id = 1", "SELECT 1 FROM pg_roles"]
        )
        == []
    )


def test_an_aliased_and_a_joined_table_name_the_province_too(in_province):
    other_account = aliased(Account)
    with in_province("shanxi"), captured_statements(db.engine) as statements:
        db.session.execute(
            select(Doctor.id, other_account.name).join(other_account, other_account.id == Doctor.account_id)
        ).all()
        db.session.execute(select(Doctor.id).where(Doctor.account_id.in_(select(Account.id)))).all()
    assert statements_without_tenant(statements) == []


def test_the_database_refuses_a_row_of_another_province_though_the_session_is_bypassed(in_province, both):
    """What the guard of sessions never sees, the policy refuses."""
    with in_province("shanxi"), pytest.raises(ProgrammingError, match="row-level security"):
        db.session.execute(
            text(
                "insert into province_setting (tenant_id, id, name, value, effective_from, set_at, reason) "
                "values (41, gen_random_uuid(), 'contact', '1', now(), now(), 'x')"
            )
        )


def test_a_session_of_its_own_is_guarded_like_the_applications(application, provinces):
    with application.app_context(), in_tenant(SHANXI), Session(db.engine) as session:
        assert set(session.scalars(select(Doctor.tenant_id))) == {SHANXI}
        with pytest.raises(ProgrammingError, match="permission denied"):
            session.execute(text("truncate doctor"))


def test_the_owner_without_a_policy_sees_nothing(both):
    both.execute("SET LOCAL ROLE dingkao_owner")
    assert both.execute("select count(*) from doctor").fetchone() == (0,)
    both.rollback()


def test_a_count_names_the_province_and_a_session_stays_in_its_own(in_province, provinces):
    with in_province("shanxi"), captured_statements(db.engine) as statements:
        db.session.scalar(select(func.count()).select_from(Doctor))
        assert "tenant_id" in next(statement for statement in statements if "count" in statement)
    with in_province("shanxi"):
        db.session.scalar(select(func.count()).select_from(Doctor))
        session = db.session()
        context.copy_context().run(elsewhere, session)


def elsewhere(session):
    """Use a session of another province from inside 河南."""
    context_variable = next(
        variable for variable in context.copy_context() if variable.name == "dingkao_tenant"
    )
    context_variable.set(41)
    for statement in (text("select count(*) from doctor"), select(func.count()).select_from(Doctor)):
        with pytest.raises(WrongProvince):
            session.execute(statement)
