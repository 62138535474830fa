"""Accounts of staff that nobody uses: told of, and closed a fortnight later."""

import uuid
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import staff_accounts
from dingkao.people.accounts import bind_mobile, create_staff
from dingkao.people.models import Account, Membership
from dingkao.people.provinces import open_province
from dingkao.tenants import settings
from tests.blueprints.signed_in_client import signed_in_client
from tests.blueprints.staff_member import SLUG, StaffMember, ago, text


@pytest.fixture
def admin(application, in_province, province):
    """A client of an administrator, both factors shown."""
    return signed_in_client(application, in_province, SLUG, "province_admin")


@pytest.fixture
def someone(application, in_province, province):
    return partial(StaffMember, application, in_province)


def duty(in_province, slug=SLUG):
    with in_province(slug):
        staff_accounts.close_unused_accounts()
        db.session.commit()


def test_unused_accounts_are_told_and_close_a_fortnight_later(application, in_province, admin, someone):
    unused, used, opened = someone(), someone(), someone()
    unused.set(used_at=ago(days=400))
    used.set(used_at=ago(days=150))
    opened.set(used_at=None, created_at=ago(days=170), state="initial")
    with in_province(SLUG):
        bind_mobile(unused.row(), "13700000017", administrator=False)
        db.session.commit()

    def states():
        duty(in_province)
        with in_province(SLUG):
            return [message.row().state for message in (unused, used, opened)]

    assert states() == ["active", "active", "initial"], "a word comes before"
    with in_province(SLUG):
        closes = staff_accounts.closes_on(unused.row())
        application.extensions["background_sms"].wait_until_sent()
        [message_text] = [
            message["text"]
            for message in application.extensions["sms"].messages()
            if message["mobile"] == "13700000017"
        ]
    assert closes.date() == (clock.now() + timedelta(days=14)).date()
    assert f"将于{clock.to_beijing(closes):%Y年%m月%d日}自动停用" in message_text
    assert "自动停用" in text(admin.get(f"/{SLUG}/office/staff/{unused.id}"))
    assert "自动停用" not in text(admin.get(f"/{SLUG}/office/staff/{used.id}"))
    unused.set(unused_warned_at=ago(days=13))
    assert states()[0] == "active"
    unused.set(unused_warned_at=ago(days=14, minutes=1))
    assert states() == ["closed", "active", "initial"]
    assert unused.verbs()[-2:] == ["unused_told", "close"]
    assert unused.sign_in()[1].status_code == 422


def test_whoever_signs_in_after_the_word_keeps_the_account(in_province, someone, province):
    person = someone()
    person.set(used_at=ago(days=300), unused_warned_at=ago(days=20))
    assert person.sign_in()[1].status_code == 303
    duty(in_province)
    with in_province(SLUG):
        assert person.row().state == "active"
        assert staff_accounts.closes_on(person.row()) is None


def test_a_province_sets_after_how_many_days(in_province, someone, province):
    person = someone()
    person.set(used_at=ago(days=40), unused_warned_at=ago(days=15))
    with in_province(SLUG):
        settings.change("unused_days", 30, by=None, reason="试")
        db.session.commit()
    try:
        duty(in_province)
        with in_province(SLUG):
            assert person.row().state == "closed"
    finally:
        with in_province(SLUG):
            settings.change("unused_days", 180, by=None, reason="试")
            db.session.commit()


def test_the_last_administrator_stays_and_a_doctor_does(in_province):
    with in_province("bingtuan") as province:
        open_province(province, by=TERMINAL_ACTOR)
        db.session.execute(
            update(Membership).where(Membership.role == "province_admin").values(role="auditor")
        )
        pair = [
            create_staff(
                f"last-{uuid.uuid4().hex[:8]}", "管理员", [("province_admin", None)], by=TERMINAL_ACTOR
            )
            for _ in range(2)
        ]
        doctor = Account(
            kind="doctor",
            login_index=uuid.uuid4().bytes,
            name="医师",
            initial_until=clock.now(),
            created_at=ago(days=900),
        )
        db.session.add(doctor)
        for account in (*pair, doctor):
            account.state, account.used_at, account.unused_warned_at = "active", None, ago(days=30)
            account.created_at = ago(days=900)
        db.session.commit()
        ids = [account.id for account in (*pair, doctor)]
    duty(in_province, "bingtuan")
    with in_province("bingtuan"):
        states = {
            account.id: account.state
            for account in db.session.scalars(select(Account).where(Account.id.in_(ids)))
        }
    assert sorted(states[account_id] for account_id in ids[:2]) == ["active", "closed"]
    assert states[ids[2]] == "active"
