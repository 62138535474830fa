"""What is asked and sent past the ORM is what the ORM would have asked and sent."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import and_, literal_column, select
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.orm.exc import StaleDataError

from dingkao.database import libpq
from dingkao.database.model import db, new_id
from dingkao.people.models import Organisation
from dingkao.tenants.asking import TENANT, Asked, an_id, whole
from dingkao.tenants.context import WrongProvince, current_tenant, entered
from dingkao.tenants.models import ProvinceSetting
from dingkao.tenants.sending import send
from tests.conftest import superuser_connection

SLUG = "shanxi"
MOMENT = datetime(2026, 5, 4, 3, 2, 1, 654321, UTC)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
values = st.recursive(st.none() | st.booleans() | st.integers(-(2**31), 2**31) | words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))
rows = st.fixed_dictionaries(
    {"value": values, "reason": words, "effective_from": st.dates(date(1, 1, 1)), "set_by": st.none() | st.uuids(),
     "set_at": st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))},  # noqa: DTZ001 - hypothesis adds it
)  # fmt: skip
NAMES = tuple(attribute.key for attribute in ProvinceSetting.__mapper__.column_attrs)
ONE = Asked(lambda: select(*whole(ProvinceSetting)).where(ProvinceSetting.tenant_id == TENANT, ProvinceSetting.id == an_id("id")))
WITH_PARENT = Asked(
    lambda: select(*whole(Organisation, ProvinceSetting), Organisation.name)
    .outerjoin(ProvinceSetting, and_(ProvinceSetting.tenant_id == Organisation.tenant_id, ProvinceSetting.id == Organisation.id))
    .where(Organisation.tenant_id == TENANT)
    .order_by(Organisation.id)
)


@pytest.fixture
def inside(in_province, provinces):
    """A transaction in a province, none of which stays."""
    with in_province(SLUG):
        yield
        db.session.rollback()


def setting(**given) -> ProvinceSetting:
    return ProvinceSetting(**{"name": "test", "value": 1, "reason": "", "effective_from": date(2026, 1, 1)} | given)


def stored(row_id: UUID) -> dict[str, object]:
    """What the database holds of a setting, by another way than the one under test."""
    table = ProvinceSetting.__table__
    return dict(db.session.execute(select(table).where(table.c.tenant_id == current_tenant(), table.c.id == row_id)).mappings().one())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(new=st.lists(rows, max_size=3), changes=st.lists(st.dictionaries(st.sampled_from(["value", "reason", "set_by"]), st.none(), max_size=3), max_size=3), drawn=st.data())
def test_whatever_is_new_or_changed_stands_there_afterwards(inside, new, changes, drawn):
    old = [setting() for _ in changes]
    db.session.add_all(old)
    db.session.flush()
    for row, names in zip(old, changes, strict=True):
        for name in names:
            setattr(row, name, drawn.draw({"value": values, "reason": words, "set_by": st.none() | st.uuids()}[name]))
    made = [setting(**given) for given in new]
    db.session.add_all(made)
    send(db.session())
    assert not db.session.new
    assert not any(db.session.is_modified(row) for row in db.session)
    for row in (*old, *made):
        assert row in db.session
        assert stored(row.id) == {name: getattr(row, name) for name in NAMES}
    db.session.rollback()


def test_what_a_column_has_by_default_is_given(inside):
    row = setting()
    db.session.add(row)
    send(db.session())
    assert row.tenant_id == current_tenant()
    assert isinstance(row.id, UUID)
    assert row.set_by is None
    assert abs(stored(row.id)["set_at"] - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_changed_row_that_is_gone_is_noticed(inside):
    row = setting()
    db.session.add(row)
    db.session.flush()
    table = ProvinceSetting.__table__
    db.session.connection().execute(table.update().where(table.c.id == row.id).values(id=new_id()))
    row.reason = "changed"
    with pytest.raises(StaleDataError):
        send(db.session())


def test_a_row_of_another_province_is_not_sent(inside):
    db.session.add(setting(tenant_id=41))
    with pytest.raises(WrongProvince):
        send(db.session())


def test_what_the_database_refuses_is_raised_as_by_the_orm(inside):
    row = setting()
    db.session.add(row)
    send(db.session())
    twin = setting(id=row.id)
    db.session.expunge(row)
    db.session.add(twin)
    with pytest.raises(IntegrityError):
        send(db.session())
    db.session.rollback()
    assert ONE.rows(id=row.id) == []


def test_what_is_deleted_leaves_too(inside):
    row, kept = setting(), setting(reason="kept")
    db.session.add(row)
    send(db.session())
    db.session.delete(row)
    db.session.add(kept)
    send(db.session())
    assert ONE.rows(id=row.id) == []
    assert stored(kept.id)["reason"] == "kept"


def test_rows_come_as_the_sessions_own_objects(inside):
    row = setting(value={"a": [1, None]}, set_at=MOMENT)
    db.session.add(row)
    send(db.session())
    db.session.expunge_all()
    [(found,)] = ONE.objects(ProvinceSetting, id=row.id)
    assert found is not row
    assert {name: getattr(found, name) for name in NAMES} == {name: getattr(row, name) for name in NAMES}
    assert db.session.get(ProvinceSetting, (found.tenant_id, found.id)) is found
    assert not db.session.is_modified(found)
    found.reason = "typed here"
    with db.session.no_autoflush:
        assert ONE.objects(ProvinceSetting, id=row.id)[0][0] is found
        assert found.reason == "typed here"
        ONE.objects(ProvinceSetting, hold=(ProvinceSetting,), id=row.id)
    assert found.reason == ""
    assert not db.session.is_modified(found)
    found.reason = "sent before it is asked"
    assert ONE.rows(id=row.id)[0].reason == "sent before it is asked"


def test_what_an_outer_join_does_not_find_is_none_and_what_follows_comes_along(inside):
    found = WITH_PARENT.objects(Organisation, ProvinceSetting)
    assert found
    assert all(held is None and name == place.name for place, held, name in found)


def test_a_session_of_one_province_asks_nothing_in_another(application, provinces):
    with application.app_context():
        with entered(14):
            ONE.rows(id=new_id())
        with entered(41), pytest.raises(WrongProvince):
            ONE.rows(id=new_id())
        with entered(14):
            db.session.rollback()


def test_a_statement_that_names_no_province_is_none():
    with pytest.raises(ValueError, match="province"):
        Asked(lambda: select(*whole(ProvinceSetting))).compiled()


def test_a_connection_that_was_cut_is_told_and_the_next_is_good(inside, stack):
    [(backend,)] = db.session.connection().exec_driver_sql("select pg_backend_pid()").all()
    with superuser_connection(stack.home) as connection:
        connection.execute("select pg_terminate_backend(%s)", (backend,))
    with pytest.raises(OperationalError):
        ONE.rows(id=new_id())
    db.session.rollback()
    assert ONE.rows(id=new_id()) == []


def prepared() -> tuple[int, set[str]]:
    """This connection's number, and the statements of ours that it has prepared."""
    found = db.session.connection().exec_driver_sql("select pg_backend_pid(), name from pg_prepared_statements where name like 'dingkao%%'").all()
    return found[0][0], {row.name for row in found}


def test_a_statement_is_prepared_once_and_outlives_what_is_rolled_back(inside):
    seen: dict[int, set[str]] = {}
    for _ in range(40):  # the pool hands out one connection after the other
        ONE.rows(id=new_id())
        db.session.execute(select(ProvinceSetting).limit(1))
        backend, names = prepared()
        assert seen.setdefault(backend, names) == names
        db.session.rollback()
    assert len(seen) < 40


def test_a_statement_that_was_thrown_away_is_prepared_anew(inside):
    row = setting(reason="found")
    db.session.add(row)
    db.session.commit()
    assert ONE.rows(id=row.id)
    assert WITH_PARENT.objects(Organisation, ProvinceSetting)
    db.session.connection().exec_driver_sql("deallocate all")
    with pytest.raises(ProgrammingError):
        ONE.rows(id=row.id)
    db.session.rollback()
    assert ONE.rows(id=row.id)[0].reason == "found"
    assert WITH_PARENT.objects(Organisation, ProvinceSetting)
    db.session.delete(row)
    db.session.commit()


def test_more_statements_than_a_connection_keeps_are_sent_whole(inside, monkeypatch):
    monkeypatch.setattr(libpq, "PREPARED", 0)
    row = setting(reason="whole")
    db.session.add(row)
    send(db.session())
    before, share = prepared(), literal_column("'5 %'").label("share")
    fresh = Asked(lambda: select(ProvinceSetting.reason, share).where(ProvinceSetting.tenant_id == TENANT, ProvinceSetting.id == an_id("id")))
    assert [tuple(found) for found in fresh.rows(id=row.id)] == [("whole", "5 %")]
    assert prepared() == before
