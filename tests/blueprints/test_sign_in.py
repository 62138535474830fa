"""Getting in (security.md 1 and 2): what the ticket opens, which passwords and documents are taken, and how it
goes in a crowd."""

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from dingkao import clock
from dingkao.database.base import db
from dingkao.doctors.roster import import_roster
from dingkao.errors import InvalidInput
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import accounts, passwords
from dingkao.people.models import Account
from dingkao.tenants import settings
from dingkao.web import access_control
from tests import sample_data
from tests.blueprints.sign_in_account import (
    CODE,
    OTHER_PASSWORD,
    PASSWORD,
    SLUG,
    Person,
    ask_reset,
    crowd,
    freeze_time,
    reset,
    same,
    submit,
    text,
)
from tests.blueprints.signed_in_client import post_form
from tests.sweeps.test_routes import OUTSIDE, PLATFORM, addresses

pytestmark = pytest.mark.usefixtures("clean_counters")


# --- the ticket (security.md 1)


def test_the_ticket_opens_one_page_and_shows_nobody(application, person):
    doctor = person()
    answer = doctor.sign_in("666666")
    assert (answer.status_code, answer.location) == (303, f"/{SLUG}/password/first")
    page = text(doctor.client.get(answer.location))
    assert "此密码为定考系统密码" in page
    assert not [
        personal_detail
        for personal_detail in (
            doctor.number,
            doctor.number[-4:],
            doctor.mobile,
            doctor.mobile[-4:],
            "医师" + "甲乙丙丁戊己庚辛壬癸"[Person.serial % 10],
        )
        if personal_detail in page
    ]
    stranger = application.test_client()
    stranger.get(f"/{SLUG}/login")
    reached = refused = 0
    for method in ("GET", "POST"):
        for address in addresses(application, method):
            if address == "/password/first":
                continue
            doctor_answer, stranger_answer = (
                client.open(f"/{SLUG}{address}", method=method) for client in (doctor.client, stranger)
            )
            if "/login?" not in (stranger_answer.location or ""):
                assert (doctor_answer.status_code, doctor_answer.location) == (
                    stranger_answer.status_code,
                    stranger_answer.location,
                ), address
            else:
                assert doctor_answer.status_code == 403, address
                assert "您还没有设置新密码" in text(doctor_answer)
                refused += 1
            reached += 1
    assert reached > 60
    assert refused > 50
    assert [
        rule
        for rule in application.url_map.iter_rules()
        if application.view_functions[rule.endpoint].action == access_control.PASSWORD_TICKET
        and rule.rule != "/password/first"
    ] == []
    assert {
        rule.endpoint
        for rule in application.url_map.iter_rules()
        if rule.endpoint in OUTSIDE or rule.endpoint.startswith(PLATFORM)
    }


def test_the_ticket_is_over_after_ten_minutes(person):
    doctor = person()
    start = clock.now()
    with freeze_time(start) as frozen_time:
        doctor.sign_in("666666")
        frozen_time.move_to(start + timedelta(seconds=590))
        assert doctor.client.get(f"/{SLUG}/password/first").status_code == 200
        frozen_time.move_to(start + timedelta(seconds=615))
        answer = doctor.client.get(f"/{SLUG}/password/first")
        assert answer.location == f"/{SLUG}/login"
        assert "登录步骤已超过10分钟" in text(doctor.client.get(answer.location))


@pytest.mark.parametrize("by_code", [False, True])
def test_a_ticket_is_good_once(application, person, by_code):
    doctor = person()
    code = doctor.code()
    doctor.sign_in(code if by_code else "666666")
    ticket = doctor.client.get_cookie(f"dk-{SLUG}-ticket").value
    fields = {"old_password": code, "mobile": ""} if by_code else {"one_time_code": code, "mobile": ""}
    assert doctor.change(**fields).status_code == 303
    assert doctor.client.get_cookie(f"dk-{SLUG}-ticket") is None
    thief = application.test_client()
    thief.set_cookie(f"dk-{SLUG}-ticket", ticket)
    one_time_code = doctor.code()
    answer = doctor.change(
        client=thief, old_password=one_time_code, new_password=OTHER_PASSWORD, again=OTHER_PASSWORD, mobile=""
    )
    assert answer.status_code == 400 or answer.location == f"/{SLUG}/login"
    assert doctor.sign_in(PASSWORD, application.test_client()).location == f"/{SLUG}/start"


def test_a_ticket_and_a_password_of_one_province_are_nothing_in_another(application, person, provinces):
    doctor = person()
    doctor.sign_in("666666")
    foreign = application.test_client()
    foreign.set_cookie("dk-shanxi-ticket", doctor.client.get_cookie(f"dk-{SLUG}-ticket").value)
    assert foreign.get("/shanxi/password/first").location == "/shanxi/login"
    active = person(PASSWORD)
    assert active.sign_in(PASSWORD).location == f"/{SLUG}/start"
    answer = post_form(application.test_client(), "/shanxi/login", account=active.number, password=PASSWORD)
    assert "账号或密码不正确" in text(answer)


def test_first_sign_in_by_the_code_to_the_roster_number(person):
    doctor = person()
    doctor.sign_in("666666")
    page_text = text(doctor.change(send="1"))
    assert "验证码将在一分钟内送达" in page_text
    assert 'data-wait="60"' in page_text
    assert doctor.change(sms_code=doctor.sent()).location == f"/{SLUG}/start"
    assert doctor.alive() == 1
    doctor.client.post(f"/{SLUG}/sign-out", data={"csrf_token": "x"})
    assert "初始密码只在账号开通后" in text(doctor.sign_in("666666", at="10.1.0.2"))


def test_another_number_than_the_rosters_is_answered_alike_and_gets_nothing(person):
    doctor, other_doctor = person(), person()
    doctor.sign_in("666666")
    page_text = text(doctor.change(send="1", mobile=other_doctor.mobile))
    assert "若该手机号与机构名单一致" in page_text
    assert other_doctor.sent() is None
    assert "验证码不正确" in text(doctor.change(mobile=other_doctor.mobile, sms_code="123456"))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("6666661a", "太常见"),
        ("12345678", "太常见"),
        ("password", "太常见"),
        ("qwertyuiop", "太常见"),
        ("1qaz2wsx", "太常见"),
        ("woaini1314", "太常见"),
        ("aaaabbbb", "太常见"),
        ("87654321", "太常见"),
        ("Sunshine", "太常见"),
        ("zhang19800102", "出生日期"),
        ("a1980-01-02z", "出生日期"),
        ("800102abcd", "出生日期"),
        ("NUMBER", "后6位"),
        ("MOBILE", "后6位"),
        ("short7!", "至少8位"),
        ("长" * 129, "最多128位"),
    ],
)
def test_what_others_would_try_first_is_no_new_password(person, bad, why):
    doctor = person()
    code = doctor.code()
    doctor.sign_in("666666")
    new_password = {"NUMBER": f"xy{doctor.number[-6:]}", "MOBILE": f"xy{doctor.mobile[-6:]}"}.get(bad, bad)
    assert why in text(
        doctor.change(new_password=new_password, again=new_password, one_time_code=code, mobile="")
    )
    assert doctor.alive() == 0
    assert doctor.change(one_time_code=code, mobile="").status_code == 303, "the code is still good"


@pytest.mark.parametrize(
    "bad", ["ningxia2026", "ouyangwenjing1", "欧阳文静1990", "dingkao-2026", "qwer1234!"]
)
def test_what_is_made_of_names_a_year_or_a_row_is_refused_wherever_a_password_is_set(person, bad):
    new_password_fields, refusal = {"new_password": bad, "again": bad}, "新密码不能只由"
    initial_doctor, known_doctor = person(), person(PASSWORD)
    for doctor in (initial_doctor, known_doctor):
        doctor.set(name="欧阳文静")
    code = initial_doctor.code()
    initial_doctor.sign_in("666666")
    assert refusal in text(initial_doctor.change(one_time_code=code, mobile="", **new_password_fields))
    ask_reset(known_doctor)
    assert refusal in text(reset(known_doctor, known_doctor.sent(), **new_password_fields))
    known_doctor.sign_in(PASSWORD)
    assert refusal in text(
        submit(known_doctor.client, "/password", old_password=PASSWORD, **new_password_fields)
    )


def test_the_most_common_three_thousand_that_are_long_enough_are_refused():
    for minimum_length, staff in ((8, False), (12, True)):
        common = passwords._common_passwords(minimum_length)
        assert len([password for password in common if len(password) >= minimum_length]) >= (
            3000 if minimum_length == 8 else 47
        )
        for word in sorted(common)[:: max(len(common) // 50, 1)]:
            with pytest.raises(InvalidInput):
                passwords.validate_new_password(word, staff=staff)


def test_the_initial_credential_lapses_and_says_whom_to_ask_without_telling_who_exists(
    application, person, in_province
):
    lapsed, active, nobody = person(), person(PASSWORD), sample_data.resident_number(499)
    lapsed.set(initial_until=clock.now() - timedelta(minutes=1))
    answers = [lapsed.sign_in("666666", at="10.2.0.1"), active.sign_in("666666", at="10.2.0.2")]
    answers.append(
        submit(application.test_client(), "/login", at="10.2.0.3", account=nobody, password="666666")
    )
    bodies = [
        same(answer)[2].replace(number, "")
        for answer, number in zip(answers, (lapsed.number, active.number, nobody), strict=True)
    ]
    assert bodies[0] == bodies[1] == bodies[2]
    assert "请联系本机构延长" in bodies[0]
    with in_province(SLUG):
        accounts.extend_initial_credential(
            db.session.scalars(select(Account).where(Account.id == lapsed.id)).one(), by=TERMINAL_ACTOR
        )
        db.session.commit()
    assert lapsed.sign_in("666666", at="10.2.0.4").status_code == 303


def test_a_province_of_one_time_codes_takes_no_initial_password(person, in_province):
    doctor = person()
    with in_province(SLUG):
        settings.change("credential_mode", "one_time_code", by=None, reason="试")
        db.session.commit()
    try:
        assert "请在密码处输入本机构发放的一次性代码" in text(doctor.client.get(f"/{SLUG}/login"))
        assert doctor.sign_in("666666").status_code == 422
        assert doctor.sign_in(doctor.code()).location == f"/{SLUG}/password/first"
    finally:
        with in_province(SLUG):
            settings.change("credential_mode", "initial_password", by=None, reason="试")
            db.session.commit()


def test_a_one_time_code_is_over_when_used_replaced_or_old(person):
    doctor = person(PASSWORD)
    first_code = doctor.code()
    code = doctor.code()
    assert doctor.sign_in(first_code).status_code == 422
    assert doctor.sign_in(code).location == f"/{SLUG}/password/first"
    assert (
        doctor.change(
            old_password=code, mobile="", new_password=OTHER_PASSWORD, again=OTHER_PASSWORD
        ).status_code
        == 303
    )
    assert doctor.sign_in(code, at="10.1.0.9").status_code == 422
    late = doctor.code()
    with freeze_time(clock.now() + timedelta(days=14, minutes=1)):
        assert doctor.sign_in(late, at="10.1.0.10").status_code == 422


# --- every document


@pytest.mark.parametrize(
    ("kind", "kept", "typed"),
    [
        ("香港身份证", "A123456(7)", ("A1234567", "a123456(7)", "Ａ１２３４５６（７）", "A 123456-7")),
        ("港澳居民来往内地通行证", "H01234567", ("h01234567", "H 0123 4567")),
        ("台湾居民来往大陆通行证", "0123456701(B)", ("0123456701b", "0123456701（B）")),
        ("澳门身份证", "5/234567/8", ("52345678", "5234567(8)")),
        ("护照", "E-7654321", ("e7654321", "E 7654321")),
        ("军官证", "军字第7654321号", ("军字第 7654321 号", "军字第7654321号")),
        ("外国人永久居留身份证", "CAN123456789012", ("can123456789012", "CAN 1234 5678 9012")),
        ("居民身份证", "130503670401001", ("130503196704010016", "130503 670401 001", "130503-670401-001")),
    ],
)
def test_every_document_signs_in_as_people_type_it(application, in_province, province, kind, kept, typed):
    roster_row = sample_data.roster_row(
        CODE, 1, 证件类型=kind, 证件号码=kept, 性别="女" if kept == "130503670401001" else "男"
    )
    roster_row["性别"] = "男" if kept == "130503670401001" else roster_row["性别"]
    with in_province(SLUG):
        report = import_roster(sample_data.roster_xlsx([roster_row]), by=TERMINAL_ACTOR)
        assert report.errors == []
        roster = import_roster(
            sample_data.roster_xlsx([roster_row | {"证件号码": typed[0]}]), by=TERMINAL_ACTOR
        )
        assert (roster.accepted, roster.errors) == (0, []), (
            "the same card, written otherwise, is the same doctor"
        )
        db.session.commit()
    for place, number in enumerate(typed):
        answer = submit(
            application.test_client(), "/login", at=f"10.16.0.{place}", account=number, password="666666"
        )
        assert answer.location == f"/{SLUG}/password/first", number


# --- many at once


def test_in_a_crowd_one_is_asked_to_come_again_and_nothing_is_counted_as_wrong(person, monkeypatch):
    doctor = person(PASSWORD)
    monkeypatch.setattr(passwords, "QUEUE_TIMEOUT_SECONDS", 0.01)
    held_slots = [passwords._hash_slots.acquire() for _ in range(2)]
    try:
        for _ in range(8):
            answer = doctor.sign_in(PASSWORD)
            assert answer.status_code == 503
    finally:
        for _ in held_slots:
            passwords._hash_slots.release()
    assert answer.headers["Retry-After"] == "5"
    assert "现在登录的人较多" in text(answer)
    assert doctor.number in text(answer), "the number that was typed stays"
    assert PASSWORD not in text(answer)
    assert doctor.sign_in(PASSWORD).status_code == 303


def test_a_code_is_good_again_after_a_crowd(person, monkeypatch):
    doctor = person()
    doctor.sign_in("666666")
    doctor.change(send="1")
    code = doctor.sent()
    monkeypatch.setattr(passwords, "QUEUE_TIMEOUT_SECONDS", 0.01)
    held_slots = [passwords._hash_slots.acquire() for _ in range(2)]
    try:
        answer = doctor.change(sms_code=code)
    finally:
        for _ in held_slots:
            passwords._hash_slots.release()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "现在登录的人较多" in text(answer)
    assert doctor.change(sms_code=code).location == f"/{SLUG}/start"


def test_a_code_stays_good_where_the_new_password_is_refused(person):
    forgetful, with_paper = person(PASSWORD), person(PASSWORD)
    ask_reset(forgetful)
    code = forgetful.sent()
    assert "与原来的密码相同" in text(reset(forgetful, code, new_password=PASSWORD, again=PASSWORD))
    assert reset(forgetful, code).location == f"/{SLUG}/login"
    assert "已使用" in text(reset(forgetful, code))
    paper_code = with_paper.code()
    with_paper.sign_in(paper_code)
    with_paper.change(send="1", old_password=paper_code)
    typed = {"old_password": paper_code, "sms_code": with_paper.sent()}
    assert "与原来的密码相同" in text(with_paper.change(**typed))
    answer = with_paper.change(**typed, new_password=OTHER_PASSWORD, again=OTHER_PASSWORD)
    assert answer.location == f"/{SLUG}/start"


def test_in_a_crowd_the_forms_of_ones_account_come_again(person):
    doctor = person(PASSWORD)
    doctor.sign_in(PASSWORD)
    with crowd():
        new_password = submit(
            doctor.client,
            "/password",
            old_password=PASSWORD,
            new_password=OTHER_PASSWORD,
            again=OTHER_PASSWORD,
        )
        new_mobile = submit(
            doctor.client, "/account/mobile", password=PASSWORD, mobile="13700009999", sms_code="123456"
        )
    for answer in (new_password, new_mobile):
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5")
        assert passwords.BUSY_MESSAGE in text(answer)
        assert PASSWORD not in text(answer)
    assert 'id="new_password"' in text(new_password)
    assert 'value="13700009999"' in text(new_mobile), "the number that was typed stays"


def test_a_new_password_is_validated_before_a_place_for_hashing_is_taken(person, monkeypatch):
    doctor = person()
    doctor.sign_in("666666")
    doctor.change(send="1")
    held, is_guessable = [], passwords.is_guessable

    def observed(*arguments):
        held.append(passwords._held_slot.is_held)
        return is_guessable(*arguments)

    monkeypatch.setattr(passwords, "is_guessable", observed)
    assert doctor.change(sms_code=doctor.sent()).location == f"/{SLUG}/start"
    assert held == [False]


def test_signing_in_renews_a_hash_of_other_costs(person, monkeypatch):
    doctor = person(PASSWORD)
    former = PasswordHasher(time_cost=2, memory_cost=128, parallelism=1).hash(PASSWORD)
    doctor.set(password_hash=former)
    assert doctor.sign_in("something-else-xx").status_code == 422
    with doctor.in_province(SLUG):
        assert doctor.row().password_hash == former
    assert doctor.sign_in(PASSWORD).status_code == 303
    with doctor.in_province(SLUG):
        assert "m=64,t=1,p=1" in doctor.row().password_hash
