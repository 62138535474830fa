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
from dingkao.database.base import db, new_id
from dingkao.people.models import Organisation
from dingkao.tenants.bulk_flush import bulk_flush
from dingkao.tenants.context import WrongProvince, current_tenant, in_tenant
from dingkao.tenants.models import ProvinceSetting
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
    uuid_param,
)
from tests.conftest import superuser_connection
from tests.property_examples import property_examples

SLUG = "shanxi"
MOMENT = datetime(2026, 5, 4, 3, 2, 1, 654321, UTC)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
)
setting_values = st.fixed_dictionaries(
    {
        "value": values,
        "reason": words,
        "effective_from": st.dates(date(1, 1, 1)),
        "set_by": st.none() | st.uuids(),
        "set_at": st.datetimes(
            datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis adds it
            datetime(2200, 1, 1),  # noqa: DTZ001 - hypothesis adds it
            timezones=st.just(UTC),
        ),
    },
)
NAMES = tuple(attribute.key for attribute in ProvinceSetting.__mapper__.column_attrs)
SETTING_BY_ID = PreparedStatement(
    lambda: select(*all_columns(ProvinceSetting)).where(
        ProvinceSetting.tenant_id == TENANT_PARAM, ProvinceSetting.id == uuid_param("id")
    )
)
WITH_PARENT = PreparedStatement(
    lambda: (
        select(*all_columns(Organisation, ProvinceSetting), Organisation.name)
        .outerjoin(
            ProvinceSetting,
            and_(ProvinceSetting.tenant_id == Organisation.tenant_id, ProvinceSetting.id == Organisation.id),
        )
        .where(Organisation.tenant_id == TENANT_PARAM)
        .order_by(Organisation.id)
    )
)


@pytest.fixture
def inside(in_province, provinces):
    """A transaction in a province, none of which stays."""
    with in_province(SLUG):
        yield
        db.session.rollback()


def setting(**given) -> ProvinceSetting:
    return ProvinceSetting(
        **{"name": "test", "value": 1, "reason": "", "effective_from": date(2026, 1, 1)} | given
    )


def stored(row_id: UUID) -> dict[str, object]:
    """What the database holds of a setting, by another way than the one under test."""
    table = ProvinceSetting.__table__
    return dict(
        db.session.execute(select(table).where(table.c.tenant_id == current_tenant(), table.c.id == row_id))
        .mappings()
        .one()
    )


@settings(
    max_examples=property_examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    new=st.lists(setting_values, max_size=3),
    changes=st.lists(
        st.dictionaries(st.sampled_from(["value", "reason", "set_by"]), st.none(), max_size=3), max_size=3
    ),
    drawn=st.data(),
)
def test_whatever_is_new_or_changed_stands_there_afterwards(inside, new, changes, drawn):
    stored_settings = [setting() for _ in changes]
    db.session.add_all(stored_settings)
    db.session.flush()
    for stored_setting, names in zip(stored_settings, changes, strict=True):
        for name in names:
            setattr(
                stored_setting,
                name,
                drawn.draw({"value": values, "reason": words, "set_by": st.none() | st.uuids()}[name]),
            )
    new_settings = [setting(**new_values) for new_values in new]
    db.session.add_all(new_settings)
    bulk_flush(db.session())
    assert not db.session.new
    assert not any(db.session.is_modified(stored_setting) for stored_setting in db.session)
    for stored_setting in (*stored_settings, *new_settings):
        assert stored_setting in db.session
        assert stored(stored_setting.id) == {name: getattr(stored_setting, name) for name in NAMES}
    db.session.rollback()


def test_what_a_column_has_by_default_is_given(inside):
    new_setting = setting()
    db.session.add(new_setting)
    bulk_flush(db.session())
    assert new_setting.tenant_id == current_tenant()
    assert isinstance(new_setting.id, UUID)
    assert new_setting.set_by is None
    assert abs(stored(new_setting.id)["set_at"] - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_changed_row_that_is_gone_is_noticed(inside):
    new_setting = setting()
    db.session.add(new_setting)
    db.session.flush()
    table = ProvinceSetting.__table__
    db.session.connection().execute(table.update().where(table.c.id == new_setting.id).values(id=new_id()))
    new_setting.reason = "changed"
    with pytest.raises(StaleDataError):
        bulk_flush(db.session())


def test_a_row_of_another_province_is_not_sent(inside):
    db.session.add(setting(tenant_id=41))
    with pytest.raises(WrongProvince):
        bulk_flush(db.session())


def test_what_the_database_refuses_is_raised_as_by_the_orm(inside):
    new_setting = setting()
    db.session.add(new_setting)
    bulk_flush(db.session())
    twin = setting(id=new_setting.id)
    db.session.expunge(new_setting)
    db.session.add(twin)
    with pytest.raises(IntegrityError):
        bulk_flush(db.session())
    db.session.rollback()
    assert SETTING_BY_ID.fetch_rows(id=new_setting.id) == []


def test_what_is_deleted_leaves_too(inside):
    deleted_setting, kept_setting = setting(), setting(reason="kept")
    db.session.add(deleted_setting)
    bulk_flush(db.session())
    db.session.delete(deleted_setting)
    db.session.add(kept_setting)
    bulk_flush(db.session())
    assert SETTING_BY_ID.fetch_rows(id=deleted_setting.id) == []
    assert stored(kept_setting.id)["reason"] == "kept"


def test_rows_come_as_the_sessions_own_objects(inside):
    new_setting = setting(value={"a": [1, None]}, set_at=MOMENT)
    db.session.add(new_setting)
    bulk_flush(db.session())
    db.session.expunge_all()
    [(fetched,)] = SETTING_BY_ID.fetch_objects(ProvinceSetting, id=new_setting.id)
    assert fetched is not new_setting
    assert {name: getattr(fetched, name) for name in NAMES} == {
        name: getattr(new_setting, name) for name in NAMES
    }
    assert db.session.get(ProvinceSetting, (fetched.tenant_id, fetched.id)) is fetched
    assert not db.session.is_modified(fetched)
    fetched.reason = "typed here"
    with db.session.no_autoflush:
        assert SETTING_BY_ID.fetch_objects(ProvinceSetting, id=new_setting.id)[0][0] is fetched
        assert fetched.reason == "typed here"
        SETTING_BY_ID.fetch_objects(ProvinceSetting, for_update=(ProvinceSetting,), id=new_setting.id)
    assert fetched.reason == ""
    assert not db.session.is_modified(fetched)
    fetched.reason = "sent before it is asked"
    assert SETTING_BY_ID.fetch_rows(id=new_setting.id)[0].reason == "sent before it is asked"


def test_what_an_outer_join_does_not_find_is_none_and_what_follows_comes_along(inside):
    fetched = WITH_PARENT.fetch_objects(Organisation, ProvinceSetting)
    assert fetched
    assert all(province_setting is None and name == place.name for place, province_setting, name in fetched)


def test_a_session_of_one_province_asks_nothing_in_another(application, provinces):
    with application.app_context():
        with in_tenant(14):
            SETTING_BY_ID.fetch_rows(id=new_id())
        with in_tenant(41), pytest.raises(WrongProvince):
            SETTING_BY_ID.fetch_rows(id=new_id())
        with in_tenant(14):
            db.session.rollback()


def test_a_statement_that_names_no_province_is_none():
    with pytest.raises(ValueError, match="province"):
        PreparedStatement(lambda: select(*all_columns(ProvinceSetting))).compiled()


def test_a_connection_that_was_cut_is_told_and_the_next_is_good(inside, stack):
    [(backend,)] = db.session.connection().exec_driver_sql("select pg_backend_pid()").all()
    with superuser_connection(stack.home) as connection:
        connection.execute("select pg_terminate_backend(%s)", (backend,))
    with pytest.raises(OperationalError):
        SETTING_BY_ID.fetch_rows(id=new_id())
    db.session.rollback()
    assert SETTING_BY_ID.fetch_rows(id=new_id()) == []


def prepared() -> tuple[int, set[str]]:
    """This connection's number, and the statements of ours that it has prepared."""
    statements = (
        db.session.connection()
        .exec_driver_sql(
            "select pg_backend_pid(), name from pg_prepared_statements where name like 'dingkao%%'"
        )
        .all()
    )
    return statements[0][0], {statement.name for statement in statements}


def test_a_statement_is_prepared_once_and_outlives_what_is_rolled_back(inside):
    names_by_connection: dict[int, set[str]] = {}
    for _ in range(40):  # the pool hands out one connection after the other
        SETTING_BY_ID.fetch_rows(id=new_id())
        db.session.execute(select(ProvinceSetting).limit(1))
        backend, names = prepared()
        assert names_by_connection.setdefault(backend, names) == names
        db.session.rollback()
    assert len(names_by_connection) < 40


def test_a_statement_that_was_thrown_away_is_prepared_anew(inside):
    new_setting = setting(reason="found")
    db.session.add(new_setting)
    db.session.commit()
    assert SETTING_BY_ID.fetch_rows(id=new_setting.id)
    assert WITH_PARENT.fetch_objects(Organisation, ProvinceSetting)
    db.session.connection().exec_driver_sql("deallocate all")
    with pytest.raises(ProgrammingError):
        SETTING_BY_ID.fetch_rows(id=new_setting.id)
    db.session.rollback()
    assert SETTING_BY_ID.fetch_rows(id=new_setting.id)[0].reason == "found"
    assert WITH_PARENT.fetch_objects(Organisation, ProvinceSetting)
    db.session.delete(new_setting)
    db.session.commit()


def test_more_statements_than_a_connection_keeps_are_sent_whole(inside, monkeypatch):
    monkeypatch.setattr(libpq, "MAX_PREPARED", 0)
    new_setting = setting(reason="whole")
    db.session.add(new_setting)
    bulk_flush(db.session())
    prepared_before, share = prepared(), literal_column("'5 %'").label("share")
    prepared_statement = PreparedStatement(
        lambda: select(ProvinceSetting.reason, share).where(
            ProvinceSetting.tenant_id == TENANT_PARAM, ProvinceSetting.id == uuid_param("id")
        )
    )
    assert [tuple(fetch_row) for fetch_row in prepared_statement.fetch_rows(id=new_setting.id)] == [
        ("whole", "5 %")
    ]
    assert prepared() == prepared_before
