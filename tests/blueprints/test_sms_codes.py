"""Codes by short message in wrong hands (security.md 3): what a code is good for, and how many go out."""

import threading
from datetime import timedelta

import pytest

from dingkao import clock
from dingkao.errors import InvalidInput, RateLimited
from dingkao.people.sms_codes import SmsCodes
from dingkao.tenants import settings
from tests.blueprints.sign_in_account import (
    CODE,
    OTHER_PASSWORD,
    PASSWORD,
    SLUG,
    TOKEN,
    ask_reset,
    freeze_time,
    reset,
    text,
    wrong,
)

pytestmark = pytest.mark.usefixtures("clean_counters")


def test_a_forgotten_password_is_reset_and_every_session_ends(application, person):
    doctor = person(PASSWORD)
    phone = application.test_client()
    assert doctor.sign_in(PASSWORD, phone).location == f"/{SLUG}/start"
    assert "验证码将在一分钟内送达" in text(ask_reset(doctor))
    code = doctor.sent()
    assert "密码重置成功" in text(doctor.client.get(reset(doctor, code).location))
    assert doctor.alive() == 0
    assert phone.get(f"/{SLUG}/home").location.startswith(f"/{SLUG}/login")
    assert "验证码不正确或已使用" in text(reset(doctor, code, new_password=PASSWORD, again=PASSWORD)), (
        "a code is good once"
    )
    assert doctor.sign_in(OTHER_PASSWORD, at="10.1.0.3").status_code == 303


def test_five_wrong_ones_end_a_code_and_the_sixth_is_told_so(person):
    doctor = person(PASSWORD)
    ask_reset(doctor)
    code = doctor.sent()
    for number in (4, 3, 2, 1):
        assert f"还可以再试{number}次" in text(reset(doctor, wrong(code)))
    assert "输错5次" in text(reset(doctor, wrong(code)))
    assert "输错5次" in text(reset(doctor, code))


def test_a_code_is_over_after_five_minutes(person):
    doctor = person(PASSWORD)
    ask_reset(doctor)
    code = doctor.sent()
    with freeze_time(clock.now() + timedelta(seconds=301)):
        assert "验证码已超过5分钟" in text(reset(doctor, code))


def test_a_code_is_for_one_purpose_one_account_one_number_and_one_ticket(application, in_province, person):
    doctor, other_doctor = person(PASSWORD), person(PASSWORD)
    codes = SmsCodes(application.extensions["redis"], application.extensions["background_sms"])
    with in_province(SLUG):
        codes.send("bind", "one", doctor.mobile, address="10.3.0.1", may_receive=True, ticket="a")
    code = doctor.sent()
    with in_province(SLUG):
        for purpose, subject, mobile, ticket in (
            ("reset", "one", doctor.mobile, "a"),
            ("bind", "two", doctor.mobile, "a"),
            ("bind", "one", other_doctor.mobile, "a"),
            ("bind", "one", doctor.mobile, "b"),
        ):
            with pytest.raises(InvalidInput):
                codes.consume(purpose, subject, mobile, code, ticket=ticket)
        codes.consume("bind", "one", doctor.mobile, code, ticket="a")


def test_of_fifty_at_once_one_spends_the_code(application, in_province, person):
    doctor = person(PASSWORD)
    codes = SmsCodes(application.extensions["redis"], application.extensions["background_sms"])
    with in_province(SLUG):
        codes.send("reset", "one", doctor.mobile, address="10.3.0.2", may_receive=True)
    code, spent, barrier = doctor.sent(), [], threading.Barrier(50)

    def spend():
        with in_province(SLUG):
            barrier.wait()
            try:
                codes.consume("reset", "one", doctor.mobile, code)
            except InvalidInput:
                return
            spent.append(1)

    threads = [threading.Thread(target=spend) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(spent) == 1


def test_of_fifty_wrong_ones_at_once_five_are_looked_at(application, in_province, person):
    doctor = person(PASSWORD)
    codes = SmsCodes(application.extensions["redis"], application.extensions["background_sms"])
    with in_province(SLUG):
        codes.send("reset", "one", doctor.mobile, address="10.3.0.3", may_receive=True)
    code, messages, barrier = doctor.sent(), [], threading.Barrier(50)

    def guess(number):
        with in_province(SLUG):
            barrier.wait()
            try:
                codes.consume("reset", "one", doctor.mobile, f"{(int(code) + 1 + number) % 10**6:06d}")
            except InvalidInput as refusal:
                messages.append(refusal.message)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("还可以再试" in message for message in messages) == 4
    assert sum("输错5次" in message for message in messages) == 46


def test_one_a_minute_and_five_a_day(application, person):
    doctor = person(PASSWORD)
    assert "将在一分钟内送达" in text(ask_reset(doctor))
    assert "请在60秒后再获取" in text(ask_reset(doctor))
    for _ in range(4):
        a_minute_passes(application)
        assert "将在一分钟内送达" in text(ask_reset(doctor))
    a_minute_passes(application)
    assert "次数已用完" in text(ask_reset(doctor))
    doctor.sent()
    with doctor.in_province(SLUG):
        assert (
            sum(message["mobile"] == doctor.mobile for message in application.extensions["sms"].messages())
            == 5
        )


def a_minute_passes(application):
    connection = application.extensions["redis"]
    for kind in ("sms-apart", "sms-number-apart"):
        for key in connection.scan_iter(f"t:{CODE}:{kind}:*"):
            assert 0 < connection.ttl(key) <= 60
            connection.delete(key)


def test_one_place_asks_for_so_many_an_hour_and_a_province_for_what_it_allows(
    application, in_province, person, monkeypatch
):
    doctor = person(PASSWORD)
    codes = SmsCodes(application.extensions["redis"], application.extensions["background_sms"])
    with in_province(SLUG):
        monkeypatch.setattr("dingkao.people.sms_codes.MAX_PER_ADDRESS_PER_HOUR", 60)
        for number in range(60):
            codes.send("reset", f"s{number}", doctor.mobile, address="10.4.0.1", may_receive=False)
        with pytest.raises(RateLimited, match="本网络"):
            codes.send("reset", "s60", doctor.mobile, address="10.4.0.1", may_receive=False)
        codes.send("reset", "s60", doctor.mobile, address="10.4.0.2", may_receive=False)
        settings.change("sms_codes_a_day", 1, by=None, reason="试")
        codes.send("reset", "s61", doctor.mobile, address="10.4.0.3", may_receive=True)
        for may_receive in (True, False):
            with pytest.raises(RateLimited, match="已达上限"):
                codes.send(
                    "reset", f"s62{may_receive}", doctor.mobile, address="10.4.0.3", may_receive=may_receive
                )


def test_a_number_is_not_flooded_by_way_of_many_accounts(application, in_province, person):
    doctor = person(PASSWORD)
    codes = SmsCodes(application.extensions["redis"], application.extensions["background_sms"])
    with in_province(SLUG):
        for number in range(12):
            codes.send("reset", f"m{number}", doctor.mobile, address=f"10.5.0.{number}", may_receive=True)
    doctor.sent()
    with in_province(SLUG):
        assert (
            sum(message["mobile"] == doctor.mobile for message in application.extensions["sms"].messages())
            == 1
        )


def test_to_a_script_the_sentence_alone_is_answered(person):
    doctor = person(PASSWORD)
    page = text(doctor.client.get(f"/{SLUG}/password/reset"))
    data = {
        "csrf_token": TOKEN.search(page)[1],
        "account": doctor.number,
        "mobile": doctor.mobile,
        "send": "1",
    }
    answer = doctor.client.post(f"/{SLUG}/password/reset", data=data, headers={"Accept": "application/json"})
    assert (answer.json["wait"], answer.json["wrong"]) == (60, False)
    answer = doctor.client.post(
        f"/{SLUG}/password/reset", data=data | {"mobile": "12"}, headers={"Accept": "application/json"}
    )
    assert (answer.json["told"], answer.json["wrong"]) == ("请输入11位手机号。", True)
