"""Word of a message: by the province's channels, not by night, once, and without a word of what it is
about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.errors import Unavailable
from dingkao.integrations.sms import CarrierRejected
from dingkao.integrations.wechat_api import DeliveryFailed
from dingkao.jobs import control
from dingkao.jobs.models import Job
from dingkao.people import notice_delivery
from dingkao.people.models import Account, Notice
from dingkao.people.notice_catalogue import OFFICE_NOTICE_WECHAT, RETURNED_BY_INSTITUTION
from dingkao.people.notices import notify_account
from dingkao.tenants import settings
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests import actors

SLUG, CODE = "tianjin", 12
DAY, NIGHT = "2027-11-24 04:00:00", "2027-11-24 14:30:00"  # noon and half past ten in the evening, in Beijing


class Channel:
    """A carrier that notes what it is given; `fault` is raised instead."""

    def __init__(self):
        self.given, self.fault = [], None

    def send(self, *given):
        if self.fault:
            raise self.fault
        self.given.append(given)


@pytest.fixture(scope="module")
def someone(application, in_province):
    signed_in = actors.signed_in_doctor(application, in_province, SLUG, 1)
    with in_province(SLUG):
        account = db.session.scalars(
            select(Account).where(Account.id == actors.account_of(signed_in.record_id))
        ).one()
        account.mobile_sealed = current_vault().encrypt(
            SecretLocation("account", "mobile", account.id), "13812345678"
        )
        account.wechat_sealed = current_vault().encrypt(
            SecretLocation("account", "wechat", account.id), "oAlice"
        )
        db.session.commit()
    return signed_in


@pytest.fixture
def channels(application, in_province, someone, monkeypatch):
    """Both channels, switched on, and nothing waiting."""
    senders = Channel(), Channel()
    for name, channel in zip(("sms", "wechat"), senders, strict=True):
        monkeypatch.setitem(application.extensions, name, channel)
    with in_province(SLUG):
        db.session.query(Notice).delete()
        db.session.query(Job).delete()
        for name in ("notify_by_sms", "notify_by_wechat"):
            settings.change(name, True, by=None, reason="试")
        db.session.commit()
    return senders


def write(in_province, someone, body="主要执业机构退回了您的报名信息,原因:照片不清楚"):
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id)).one()
        notify(record, RETURNED_BY_INSTITUTION, reason=body)
        db.session.commit()


def deliver(application, in_province):
    with in_province(SLUG):
        job = notice_delivery.enqueue_delivery()
        db.session.commit()
    actors.run_pending_jobs(application, in_province, SLUG)
    return job


def states(in_province):
    with in_province(SLUG):
        return db.session.execute(
            select(Notice.delivery_state, func.count()).group_by(Notice.delivery_state)
        ).all()


def test_word_goes_out_once_by_both_ways_and_says_nothing_of_the_matter(
    application, in_province, someone, channels
):
    sms, wechat = channels
    with freeze_time(DAY):
        write(in_province, someone)
        write(in_province, someone)
        assert deliver(application, in_province)
        assert not deliver(application, in_province)
    [[message]], [[openid, parameters, address]] = sms.given, wechat.given
    assert (message.mobile, message.purpose, message.parameters) == (
        "13812345678",
        "notice",
        {"province": "天津"},
    )
    assert (openid, address) == ("oAlice", f"{application.extensions['settings'].public_url}/{SLUG}/notices")
    for sent_text in (message.text, str(parameters)):
        assert not [word for word in ("退回", "照片", "医师乙") if word in sent_text]
    assert states(in_province) == [("sent", 2)]


def test_by_night_it_waits_and_goes_in_the_morning(application, in_province, someone, channels):
    with freeze_time(NIGHT):
        write(in_province, someone)
        assert not deliver(application, in_province)
        assert states(in_province) == [("waiting", 1)]
    with freeze_time("2027-11-25 00:05:00"):
        assert deliver(application, in_province)
    assert len(channels[0].given) == 1


def test_off_by_default_and_then_nothing_is_asked_for(application, in_province, someone, channels):
    with in_province(SLUG):
        for name in ("notify_by_sms", "notify_by_wechat"):
            settings.change(name, False, by=None, reason="试")
        db.session.commit()
    with freeze_time(DAY):
        write(in_province, someone)
        assert not deliver(application, in_province)
    assert states(in_province) == [("none", 1)]
    assert (
        settings.SETTINGS["notify_by_sms"].default is settings.SETTINGS["notify_by_wechat"].default is False
    )


def test_a_carrier_that_is_away_is_waited_for(application, in_province, someone, channels):
    sms, _ = channels
    with freeze_time(DAY) as frozen_time:
        write(in_province, someone)
        sms.fault = Unavailable("away")
        with in_province(SLUG):
            notice_delivery.enqueue_delivery()
            db.session.commit()
        one_run(application, in_province)
        assert states(in_province) == [("waiting", 1)]
        sms.fault = None
        frozen_time.tick(timedelta(minutes=5))
        actors.run_pending_jobs(application, in_province, SLUG)
    assert states(in_province) == [("sent", 1)]
    assert len(sms.given) == 1


def test_what_is_announced_by_wechat_alone_waits_for_wechat(application, in_province, someone, channels):
    sms, wechat = channels
    with freeze_time(DAY) as frozen_time:
        with in_province(SLUG):
            account_id = actors.account_of(someone.record_id)
            notify_account(
                account_id,
                replace(OFFICE_NOTICE_WECHAT, target=None),
                title="通知",
                body="请看",
                sender="医务科",
            )
            wechat.fault = Unavailable("away")
            notice_delivery.enqueue_delivery()
            db.session.commit()
        one_run(application, in_province)
        assert states(in_province) == [("waiting", 1)]
        wechat.fault = None
        frozen_time.tick(timedelta(minutes=5))
        actors.run_pending_jobs(application, in_province, SLUG)
    assert states(in_province) == [("sent", 1)]
    assert (len(sms.given), len(wechat.given)) == (0, 1)


def one_run(application, in_province):
    from dingkao.jobs import worker

    with in_province(SLUG):
        job = db.session.scalars(select(Job.id).where(Job.state == "waiting")).one()
        worker.run_turn(job)


@pytest.mark.parametrize("refused", ["sms", "wechat", "both"])
def test_who_can_not_be_reached_one_way_is_told_the_other_and_nobody_is_held_up(
    application, in_province, someone, channels, refused
):
    sms, wechat = channels
    sms.fault = CarrierRejected("isv.MOBILE_NUMBER_ILLEGAL") if refused != "wechat" else None
    wechat.fault = DeliveryFailed(43004) if refused != "sms" else None
    with freeze_time(DAY):
        write(in_province, someone)
        deliver(application, in_province)
    assert states(in_province) == [("failed" if refused == "both" else "sent", 1)]


def test_what_was_read_or_is_old_disturbs_nobody(application, in_province, someone, channels):
    with freeze_time("2027-11-20 04:00:00"):
        write(in_province, someone)
    with freeze_time(DAY):
        write(in_province, someone)
        with in_province(SLUG):
            db.session.query(Notice).filter(Notice.written_at > datetime(2027, 11, 23, tzinfo=UTC)).update(
                {"read_at": func.now()}
            )
            db.session.commit()
        deliver(application, in_province)
    assert channels[0].given == []
    assert states(in_province) == [("none", 2)]


def test_a_run_that_died_after_sending_does_not_send_again(application, in_province, someone, channels):
    with freeze_time(DAY) as frozen_time:
        write(in_province, someone)
        with in_province(SLUG):
            db.session.query(Notice).update(
                {"delivery_state": "sending", "claimed_at": func.now() - timedelta(days=3650)}
            )
            db.session.commit()
        write(in_province, someone)
        frozen_time.tick(timedelta(minutes=20))
        deliver(application, in_province)
    assert len(channels[0].given) == 1
    assert sorted(states(in_province)) == [("failed", 1), ("sent", 1)]


def test_a_pause_stops_the_sending_and_going_on_finishes_it(
    application, in_province, someone, channels, monkeypatch
):
    sms, other = channels[0], actors.signed_in_doctor(application, in_province, SLUG, 2)
    monkeypatch.setattr(notice_delivery, "BATCH_SIZE", 1)
    send = sms.send

    def send_and_ask_for_a_pause(message):
        send(message)
        db.session.execute(update(Job).values(requested="pause"))

    with in_province(SLUG):
        account = db.session.get_one(Account, (CODE, actors.account_of(other.record_id)))
        account.mobile_sealed = current_vault().encrypt(
            SecretLocation("account", "mobile", account.id), "13987654321"
        )
        db.session.commit()
    with freeze_time(DAY):
        write(in_province, someone)
        write(in_province, other)
        monkeypatch.setattr(sms, "send", send_and_ask_for_a_pause)
        assert deliver(application, in_province)
        monkeypatch.setattr(sms, "send", send)
        assert not deliver(application, in_province), "a paused job is not got round by another"
        assert len(sms.given) == 1
        with in_province(SLUG):
            control.request_action(db.session.scalars(select(Job).with_for_update()).one(), "resume")
            db.session.commit()
        actors.run_pending_jobs(application, in_province, SLUG)
    assert sorted(message.mobile for (message,) in sms.given) == ["13812345678", "13987654321"]
    assert ("sent", 2) in states(in_province)


@given(start=st.integers(0, 24), end=st.integers(0, 24), hour=st.integers(0, 23))
def test_quiet_hours_are_a_stretch_of_the_clock(start, end, hour):
    stretch = {(start + step) % 24 for step in range((end - start) % 24)}
    if (start, end) in ((0, 24), (24, 0)):
        stretch = set(range(24)) if start == 0 else set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            notice_delivery.clock, "now", lambda: datetime(2026, 11, 24, (hour - 8) % 24, 30, tzinfo=UTC)
        )
        patch.setattr(notice_delivery.settings, "value", {"quiet_from": start, "quiet_until": end}.get)
        assert notice_delivery.is_quiet_time() is (hour in stretch)
