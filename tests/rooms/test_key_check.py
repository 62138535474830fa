"""A process whose data key is not the database's does not start; two keys at once are held against it one by
one."""

import os
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import select

from dingkao.app import create_app
from dingkao.config import AppConfig
from dingkao.database.base import db
from dingkao.operators.key_check import WrongDataKey
from dingkao.people.models import Account
from dingkao.tenants.context import in_tenant
from dingkao.tenants.encryption import SecretLocation, current_vault

CODE = 14
OTHER_KEY, NEWER_KEY = os.urandom(32), os.urandom(32)


@pytest.fixture
def right(stack, application):
    """The settings with the database's own key, whose word lies there."""
    settings = AppConfig.from_environment(stack.environment)
    create_app(settings)
    return settings


@pytest.fixture
def words(owner_connection):
    """What lies there, to be changed; none of it stays."""
    owner_connection.autocommit = True
    canaries = owner_connection.execute("select number, sealed, made_at from platform.key_canary").fetchall()
    yield owner_connection
    owner_connection.execute("delete from platform.key_canary")
    for canary in canaries:
        owner_connection.execute("insert into platform.key_canary values (%s, %s, %s)", canary)


def numbers(words):
    return [
        number for (number,) in words.execute("select number from platform.key_canary order by 1").fetchall()
    ]


def test_another_key_does_not_start_and_is_told_what_to_do(right, words):
    assert numbers(words) == [1]
    with pytest.raises(WrongDataKey) as refused:
        create_app(replace(right, data_keys={1: OTHER_KEY}))
    assert "DATA_KEY" in str(refused.value)
    create_app(right)
    assert numbers(words) == [1]


def test_keys_that_are_open_at_once_must_each_be_the_databases(right, words):
    data_key = right.data_keys[1]
    with pytest.raises(WrongDataKey):
        create_app(replace(right, data_keys={2: NEWER_KEY, 1: OTHER_KEY}))
    with pytest.raises(WrongDataKey):
        create_app(replace(right, data_keys={2: NEWER_KEY}))
    assert numbers(words) == [1]
    create_app(replace(right, data_keys={2: NEWER_KEY, 1: data_key}))
    assert numbers(words) == [1, 2]
    create_app(replace(right, data_keys={2: NEWER_KEY, 1: data_key}))
    create_app(right)
    with pytest.raises(WrongDataKey):
        create_app(replace(right, data_keys={2: OTHER_KEY, 1: data_key}))
    with pytest.raises(WrongDataKey):  # indexes are reckoned with the lowest
        create_app(replace(right, data_keys={2: NEWER_KEY}))


@pytest.mark.parametrize("whose", ["operator", "account"])
def test_a_database_from_before_there_were_such_words_is_known_by_what_lies_in_it(
    right, words, provinces, whose
):
    application = create_app(right)
    with application.app_context(), in_tenant(CODE):
        account = db.session.scalars(select(Account).limit(1)).one()
        place = (
            SecretLocation("operator", "second_factor", account.id)
            if whose == "operator"
            else SecretLocation("account", "second_factor", account.id)
        )
        sealed = (
            current_vault().encrypt_for_platform(place, "A")
            if whose == "operator"
            else current_vault().encrypt(place, "A")
        )
        identity = account.id
    if whose == "operator":
        words.execute(
            "insert into platform.operator (id, user_name, name, state, second_factor_sealed, "
            "second_factor_counter, created_at) "
            "values (%s, 'of-old', '旧', 'closed', %s, 0, now())",
            (identity, sealed),
        )
    else:
        words.execute(
            "update account set second_factor_sealed = %s where tenant_id = %s and id = %s",
            (sealed, CODE, identity),
        )
    words.execute("delete from platform.key_canary")
    try:
        with pytest.raises(WrongDataKey):
            create_app(replace(right, data_keys={1: OTHER_KEY}))
        assert numbers(words) == []
        create_app(right)
        assert numbers(words) == [1]
    finally:
        words.execute("delete from platform.operator where user_name = 'of-old'")
        words.execute(
            "update account set second_factor_sealed = null where tenant_id = %s and id = %s",
            (CODE, identity),
        )


def test_a_database_that_does_not_answer_at_first_is_asked_when_it_does(right, words, monkeypatch):
    with monkeypatch.context() as away:
        away.setattr(psycopg, "connect", unanswered)
        application = create_app(replace(right, data_keys={1: OTHER_KEY}))
    with application.app_context(), in_tenant(CODE):
        for _ in range(2):
            with pytest.raises(WrongDataKey):
                db.session.execute(select(Account).limit(1))
            db.session.remove()


def unanswered(*_given, **_named):
    raise psycopg.OperationalError
