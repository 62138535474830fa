"""Two provinces in one database: neither can see, touch or become the other, whatever is asked and by which layer."""

import contextvars as context
from contextlib import suppress

import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session, aliased

from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import import_roster
from dingkao.exams.importing import import_questions
from dingkao.journal.writing import TERMINAL
from dingkao.outside import sheets
from dingkao.people.models import Account
from dingkao.people.opening import open_province
from dingkao.people.organisations import import_institutions
from dingkao.tenants.context import NoProvince, WrongProvince, entered
from tests import conftest, material
from tests.tenants.leaks import leaks
from tests.tenants.models import OWNED, TABLE_NAMES
from tests.tenants.seeds import count, seeded, stale_specials
from tests.tenants.statements import heard, without_province

HERE, THERE = 14, 41


@pytest.fixture(scope="module")
def both(stack, provinces):
    """Every table with rows of both provinces, and a connection that sees them."""
    assert [province.code for province in provinces.values()] == [HERE, THERE]
    with conftest.superuser_connection(stack.home) as connection, seeded(connection, (HERE, THERE)):
        yield connection


def test_the_list_of_special_seeds_is_not_stale():
    assert stale_specials() == []


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_every_table_has_rows_of_both_provinces(both, table):
    assert count(both, table, HERE)
    assert count(both, table, THERE)


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_the_database_lets_nothing_through(stack, both, table):
    assert leaks(stack.environment["DATABASE_URL"], both, table, HERE, THERE) == []
    assert leaks(stack.environment["DATABASE_URL"], both, table, THERE, HERE) == []


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("ALTER TABLE doctor DISABLE ROW LEVEL SECURITY", "ALTER TABLE doctor ENABLE ROW LEVEL SECURITY"),
        (
            "ALTER POLICY doctor_own_province ON doctor USING (true)",
            "ALTER POLICY doctor_own_province ON doctor USING (tenant_id = nullif(current_setting('dingkao.tenant', true), '')::int)",
        ),
        (
            "ALTER POLICY doctor_own_province ON doctor WITH CHECK (true)",
            "ALTER POLICY doctor_own_province ON doctor WITH CHECK (tenant_id = nullif(current_setting('dingkao.tenant', true), '')::int)",
        ),
    ],
)
def test_the_trial_itself_notices_an_open_table(stack, both, broken, mended):
    try:
        both.execute(broken)
        both.commit()
        assert leaks(stack.environment["DATABASE_URL"], both, "doctor", HERE, THERE)
    finally:
        both.rollback()
        both.execute(mended)
        both.commit()
    assert leaks(stack.environment["DATABASE_URL"], both, "doctor", HERE, THERE) == []


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_the_application_counts_its_own_rows_without_a_predicate(both, in_province, table):
    mine = count(both, table, HERE)
    both.rollback()
    with in_province("shanxi"):
        rows = db.session.execute(text(f"select tenant_id, count(*) from {table} group by 1")).all()  # noqa: S608
    assert rows == [(HERE, mine)]


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_outside_every_province_no_query_is_sent(application, table):
    with application.app_context(), heard(db.engine) as said:
        with pytest.raises(NoProvince):
            db.session.execute(text(f"select count(*) from {table}"))  # noqa: S608
        with pytest.raises(NoProvince), db.engine.begin() as connection:
            connection.execute(text(f"delete from {table}"))  # noqa: S608
        assert said == []


def test_a_connection_goes_back_to_the_pool_without_its_province(application, provinces):
    """Through a pool the next user of a connection finds none set, or its own."""
    with application.app_context():
        for code in (HERE, THERE, HERE):
            with entered(code), db.engine.connect() as connection:
                rows = connection.execute(text("select distinct tenant_id from doctor")).scalars().all()
            assert rows == [code]
        with entered(HERE), db.engine.connect() as connection:
            connection.execute(text("select 1"))
            driver = connection.connection.driver_connection
            connection.rollback()
            assert driver.execute("select count(*), current_setting('dingkao.tenant', true) from doctor").fetchone() == (0, "")


def test_a_commit_in_the_middle_begins_the_next_transaction_in_the_province_too(in_province, provinces, owner_connection):
    theirs = owner_connection.execute("select count(*) from doctor where tenant_id = 41").fetchone()[0]
    assert 0 < theirs < owner_connection.execute("select count(*) from doctor").fetchone()[0]
    with in_province("henan"):
        for _ in range(2):
            assert db.session.scalar(select(func.count()).select_from(Doctor)) == theirs
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
    with in_province("shanxi"), heard(db.engine) as said:
        db.session.add(Account(tenant_id=THERE, kind="staff", login_index=b"x", name="x", initial_until=strange.initial_until))
        with pytest.raises(WrongProvince):
            db.session.flush()
        assert not [statement for statement in said if statement.startswith("INSERT")]


def test_a_row_can_not_be_moved_to_another_province(in_province, provinces):
    with in_province("shanxi"):
        doctor = db.session.scalars(select(Doctor).limit(1)).one()
        doctor.tenant_id = THERE
        with pytest.raises(WrongProvince):
            db.session.flush()


def test_one_session_serves_one_province(application, provinces):
    with application.app_context():
        with entered(HERE):
            mine = db.session.scalars(select(Doctor).limit(1)).one()
        with entered(THERE):
            for ask in (
                lambda: db.session.scalars(select(Doctor)).all(),
                lambda: db.session.execute(update(Doctor).values(title="x")),
                lambda: db.session.execute(delete(Doctor)),
                lambda: db.session.get(Doctor, (THERE, mine.id)),
                lambda: db.session.refresh(mine),
            ):
                with pytest.raises(WrongProvince):
                    ask()
            mine.title = "x"
            with pytest.raises(WrongProvince):
                db.session.flush()


def test_another_provinces_row_asked_for_by_its_id_is_no_row(in_province, provinces):
    with in_province("henan"):
        theirs = db.session.scalars(select(Doctor).limit(1)).one()
    with in_province("shanxi"):
        assert db.session.get(Doctor, (THERE, theirs.id)) is None
        assert db.session.get(Doctor, (HERE, theirs.id)) is None
        assert db.session.scalar(select(Doctor).where(Doctor.id == theirs.id)) is None
        assert db.session.execute(update(Doctor).where(Doctor.id == theirs.id).values(title="x")).rowcount == 0
        assert db.session.execute(delete(Doctor).where(Doctor.id == theirs.id)).rowcount == 0


@pytest.mark.parametrize("model", OWNED, ids=lambda model: model.__tablename__)
def test_every_statement_of_the_orm_names_the_province(in_province, model):
    with in_province("shanxi"), heard(db.engine) as said:
        db.session.scalars(select(model).limit(1)).all()
        db.session.scalars(select(model.id).limit(1)).all()
        db.session.query(model).limit(1).all()
        for change in (update(model).values(id=model.id).where(model.id.is_(None)), delete(model).where(model.id.is_(None))):
            with suppress(ProgrammingError):  # the journal takes neither
                db.session.execute(change)
            db.session.rollback()
        assert len(said) == 5
        assert without_province(said) == []


def test_every_statement_of_an_import_names_the_province(in_province):
    questions = sheets.write(
        ("题型", "题干", "选项", "答案"), [("A1", "甲?", "A 一\\nB 二", "A"), ("A1", "乙?", "A 一\\nB 二", "B")]
    )
    with in_province("jilin") as province, heard(db.engine) as said:
        rows = [material.roster_row(province.code, serial) for serial in range(3)]
        changed = [row | {"科室": "外科"} for row in rows[:1]]
        open_province(province, by=TERMINAL)
        for _ in range(2):
            import_institutions(material.institutions(province.code), by=TERMINAL)
            import_questions(questions, bank="题库", by=TERMINAL)
            import_roster(material.roster(rows), by=TERMINAL)
        assert import_roster(material.roster(changed), by=TERMINAL).changed == 1
        db.session.rollback()
    assert len([statement for statement in said if statement.startswith(("SELECT", "UPDATE"))]) > 10
    assert without_province(said) == []


def test_a_statement_that_names_no_province_is_noticed():
    bad = [
        "SELECT doctor.tenant_id FROM doctor WHERE doctor.id = 1",
        "UPDATE doctor SET tenant_id = 1 WHERE doctor.id = 1",
        "DELETE FROM doctor",
        "SELECT 1 FROM account JOIN doctor ON doctor.account_id = account.id WHERE account.tenant_id = 1",
        "SELECT 1 FROM account AS account_1 WHERE account.tenant_id = 1",
    ]
    assert without_province(bad) == bad
    assert without_province(["UPDATE doctor SET name = 1 WHERE doctor.tenant_id = 1", "SELECT 1 FROM pg_roles"]) == []


def test_an_aliased_and_a_joined_table_name_the_province_too(in_province):
    other = aliased(Account)
    with in_province("shanxi"), heard(db.engine) as said:
        db.session.execute(select(Doctor.id, other.name).join(other, other.id == Doctor.account_id)).all()
        db.session.execute(select(Doctor.id).where(Doctor.account_id.in_(select(Account.id)))).all()
    assert without_province(said) == []


def test_the_database_refuses_a_row_of_another_province_though_the_session_is_bypassed(in_province, both):
    """What the guard of sessions never sees, the policy refuses."""
    with in_province("shanxi"), pytest.raises(ProgrammingError, match="row-level security"):
        db.session.execute(
            text("insert into province_setting (tenant_id, id, name, value, effective_from, set_at, reason) "
                 "values (41, gen_random_uuid(), 'contact', '1', now(), now(), 'x')")
        )  # fmt: skip


def test_a_session_of_its_own_is_guarded_like_the_applications(application, provinces):
    with application.app_context(), entered(HERE), Session(db.engine) as session:
        assert set(session.scalars(select(Doctor.tenant_id))) == {HERE}
        with pytest.raises(ProgrammingError, match="permission denied"):
            session.execute(text("truncate doctor"))


def test_the_owner_without_a_policy_sees_nothing(both):
    both.execute("SET LOCAL ROLE dingkao_owner")
    assert both.execute("select count(*) from doctor").fetchone() == (0,)
    both.rollback()


def test_a_count_names_the_province_and_a_session_stays_in_its_own(in_province, provinces):
    with in_province("shanxi"), heard(db.engine) as said:
        db.session.scalar(select(func.count()).select_from(Doctor))
        assert "tenant_id" in next(statement for statement in said if "count" in statement)
    with in_province("shanxi"):
        db.session.scalar(select(func.count()).select_from(Doctor))
        session = db.session()
        context.copy_context().run(elsewhere, session)


def elsewhere(session):
    """Use a session of another province from inside 河南."""
    context_variable = next(variable for variable in context.copy_context() if variable.name == "dingkao_tenant")
    context_variable.set(41)
    for statement in (text("select count(*) from doctor"), select(func.count()).select_from(Doctor)):
        with pytest.raises(WrongProvince):
            session.execute(statement)
