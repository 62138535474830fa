"""How a session begins, lives and ends (security.md 7), and what one does to the own account in it."""

import dataclasses
import re
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pyotp
import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.app import create_app
from dingkao.database.base import db
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.journal.models import JournalEntry
from dingkao.people import accounts, authentication, passwords, sign_in_sessions
from dingkao.people.accounts import create_staff
from dingkao.people.models import Notice, SignInSession
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests.blueprints.sign_in_account import (
    OTHER_PASSWORD,
    PASSWORD,
    SLUG,
    TOKEN,
    ask_reset,
    freeze_time,
    session_cookie,
    submit,
    text,
    wrong,
)

pytestmark = pytest.mark.usefixtures("clean_counters")


@contextmanager
def seen(in_province, account_id, **columns):
    with in_province(SLUG):
        db.session.execute(
            update(SignInSession).where(SignInSession.account_id == account_id).values(**columns)
        )
        db.session.commit()
    yield


def test_signing_in_gives_a_new_session_whatever_was_there(application, person):
    doctor = person(PASSWORD)
    doctor.client.set_cookie(f"dk-{SLUG}", "planted-by-another")
    doctor.sign_in(PASSWORD)
    first = session_cookie(doctor.client)
    assert first != "planted-by-another"
    planted = application.test_client()
    planted.set_cookie(f"dk-{SLUG}", "planted-by-another")
    assert "/login" in planted.get(f"/{SLUG}/account").location
    doctor.sign_in(PASSWORD)
    second = session_cookie(doctor.client)
    old_client = application.test_client()
    old_client.set_cookie(f"dk-{SLUG}", first)
    assert second != first
    assert "/login" in old_client.get(f"/{SLUG}/account").location
    assert doctor.alive() == 1


@pytest.mark.parametrize(
    ("columns", "alive"),
    [
        ({"seen_at": timedelta(minutes=29)}, True),
        ({"seen_at": timedelta(minutes=31)}, False),
        ({"begun_at": timedelta(hours=11, minutes=59)}, True),
        ({"begun_at": timedelta(hours=12, minutes=1)}, False),
    ],
)
def test_a_session_ends_after_half_an_hour_of_rest_and_after_twelve(person, in_province, columns, alive):
    doctor = person(PASSWORD)
    doctor.sign_in(PASSWORD)
    ago = {name: clock.now() - span for name, span in columns.items()}
    if "begun_at" in ago:
        ago["ends_at"] = ago["begun_at"] + sign_in_sessions.ABSOLUTE_TIMEOUT
    with seen(in_province, doctor.id, **ago):
        assert (doctor.client.get(f"/{SLUG}/account").status_code == 200) is alive


def test_use_keeps_a_session_awake_but_not_beyond_twelve_hours(person):
    doctor = person(PASSWORD)
    start = clock.now()
    with freeze_time(start) as frozen_time:
        doctor.sign_in(PASSWORD)
        for step in range(1, 29):
            frozen_time.move_to(start + timedelta(minutes=25 * step))
            assert doctor.client.get(f"/{SLUG}/account").status_code == 200, step
        frozen_time.move_to(start + timedelta(hours=12, seconds=1))
        assert doctor.client.get(f"/{SLUG}/account").status_code == 302


def test_a_closed_account_is_out_at_once_and_gets_in_by_nothing(person):
    doctor = person(PASSWORD)
    doctor.sign_in(PASSWORD)
    code = doctor.code()
    doctor.set(state="closed")
    assert "/login" in doctor.client.get(f"/{SLUG}/home").location
    for word in (PASSWORD, "666666", code):
        assert doctor.sign_in(word, at="10.1.1.1").status_code == 422
    ask_reset(doctor)
    assert doctor.sent() is None


def test_a_changed_password_ends_every_other_session(application, person):
    doctor, phone = person(PASSWORD), application.test_client()
    doctor.sign_in(PASSWORD)
    doctor.sign_in(PASSWORD, phone)
    cookie_before = session_cookie(doctor.client)
    refused = submit(doctor.client, "/password", old_password=PASSWORD, new_password=PASSWORD, again=PASSWORD)
    assert "新密码不能与原来的密码相同" in text(refused)
    assert (
        submit(
            doctor.client,
            "/password",
            old_password=PASSWORD,
            new_password=OTHER_PASSWORD,
            again=OTHER_PASSWORD,
        ).status_code
        == 303
    )
    assert session_cookie(doctor.client) != cookie_before
    assert doctor.client.get(f"/{SLUG}/account").status_code == 200
    assert "/login" in phone.get(f"/{SLUG}/account").location


@pytest.mark.parametrize(
    ("asked", "led_to"),
    [
        ("/filing/notice", f"/{SLUG}/filing/notice"),
        ("/\\elsewhere.example", f"/{SLUG}/start"),
        ("//elsewhere.example", f"/{SLUG}/start"),
    ],
)
def test_signing_in_leads_on_to_pages_of_the_province_alone(application, person, asked, led_to):
    doctor = person(PASSWORD)
    client = application.test_client()
    response = submit(client, f"/login?next={asked}", account=doctor.number, password=PASSWORD)
    assert (response.status_code, response.location) == (303, led_to)


def test_the_second_factor_gives_the_session_another_id(application, in_province, province):
    with in_province(SLUG):
        staff = create_staff(
            f"g-{uuid4().hex[:10]}", "测试管理员", [("province_admin", None)], by=TERMINAL_ACTOR
        )
        staff.state, staff.password_hash, secret = (
            "active",
            passwords.hash_password(PASSWORD),
            pyotp.random_base32(),
        )
        staff.second_factor_sealed = current_vault().encrypt(
            SecretLocation("account", "second_factor", staff.id), secret
        )
        name = staff.user_name
        db.session.commit()
    client = application.test_client()
    submit(client, "/login?staff=1", account=name, password=PASSWORD)
    half = session_cookie(client)
    assert client.get(f"/{SLUG}/office").location == f"/{SLUG}/second-factor"
    assert submit(client, "/second-factor", code=pyotp.TOTP(secret).now()).status_code == 303
    assert session_cookie(client) != half
    assert client.get(f"/{SLUG}/office").status_code == 200
    thief = application.test_client()
    thief.set_cookie(f"dk-{SLUG}", half)
    assert "/login" in thief.get(f"/{SLUG}/office").location


def test_a_role_given_ends_the_sessions_of_before(application, in_province, province):
    with in_province(SLUG):
        staff = create_staff(f"g-{uuid4().hex[:10]}", "测试人员", [("auditor", None)], by=TERMINAL_ACTOR)
        staff.state = "active"
        token = sign_in_sessions.start_session(staff)
        accounts.give_role(staff, "question_editor", None, by=TERMINAL_ACTOR)
        assert sign_in_sessions.load_session(token) is None


def test_who_ends_other_sessions_stands_in_the_journal_as_what_they_are(application, in_province, province):
    with in_province(SLUG):
        staff = create_staff(f"g-{uuid4().hex[:10]}", "测试人员", [("auditor", None)], by=TERMINAL_ACTOR)
        staff.state = "active"
        tokens = [sign_in_sessions.start_session(staff) for _ in range(2)]
        session, _ = sign_in_sessions.load_session(tokens[0])
        assert sign_in_sessions.end_other_sessions(session) == 1
        query = select(JournalEntry.actor_kind).where(
            JournalEntry.subject_id == staff.id, JournalEntry.verb == "sessions_ended"
        )
        assert db.session.scalars(query).all() == ["staff"]


def test_cookies_are_for_this_host_for_tls_and_for_no_script(application, person):
    doctor = person(PASSWORD)
    guarded = create_app(dataclasses.replace(application.extensions["settings"], plain_http=False))
    client = guarded.test_client()
    base = {"base_url": "https://localhost"}
    page = client.get(f"/{SLUG}/login", **base)
    answers = [
        page,
        client.post(
            f"/{SLUG}/login",
            data={"csrf_token": TOKEN.search(text(page))[1], "account": doctor.number, "password": PASSWORD},
            **base,
        ),
    ]
    assert answers[1].status_code == 303
    initial_doctor = person()
    guarded_client = guarded.test_client()
    page = guarded_client.get(f"/{SLUG}/login", **base)
    answers.append(
        guarded_client.post(
            f"/{SLUG}/login",
            data={
                "csrf_token": TOKEN.search(text(page))[1],
                "account": initial_doctor.number,
                "password": "666666",
            },
            **base,
        )
    )
    set_ = [cookie for answer in answers for cookie in answer.headers.getlist("Set-Cookie")]
    names = {cookie.split("=")[0] for cookie in set_}
    assert {
        f"__Host-dk-{SLUG}",
        f"__Host-dk-{SLUG}-device",
        f"__Host-dk-{SLUG}-ticket",
        f"__Host-dk-{SLUG}-form",
    } <= names
    for cookie in set_:
        for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert flag in cookie, cookie
        assert "Domain" not in cookie
    assert all(name.startswith("__Host-") for name in names - {"dk-last"})


# --- one's own account


def test_devices_are_listed_and_signed_out_one_by_one_or_all(application, person):
    doctor = person(PASSWORD)
    phone, office = application.test_client(), application.test_client()
    agents = (
        (
            doctor.client,
            (
                "Mozilla/5.0 (Linux; Android 14; V2309A) AppleWebKit/537.36 Chrome/116.0 Mobile "
                "Safari/537.36 MicroMessenger/8.0.49"
            ),
        ),
        (
            phone,
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
                "Version/17.5 Mobile/15E148 Safari/604.1"
            ),
        ),
        (
            office,
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 "
                "Edg/126.0"
            ),
        ),
    )
    for client, agent in agents:
        client.environ_base["HTTP_USER_AGENT"] = agent
        assert doctor.sign_in(PASSWORD, client).status_code == 303
    page = text(doctor.client.get(f"/{SLUG}/account/sessions"))
    for words in ("安卓手机 · 微信", "苹果手机 · Safari浏览器", "Windows电脑 · Edge浏览器"):
        assert words in page
    assert page.count("本机") == 1
    ends = re.findall(rf'action="(/{SLUG}/account/sessions/[0-9a-f-]+/end)"', page)
    assert len(ends) == 2
    token = TOKEN.search(page)[1]
    stranger = person(PASSWORD)
    stranger.sign_in(PASSWORD)
    stranger_token = TOKEN.search(text(stranger.client.get(f"/{SLUG}/account/mobile")))[1]
    stranger.client.post(ends[0], data={"csrf_token": stranger_token})
    assert doctor.alive() == 3, "nobody signs another person out"
    doctor.client.post(ends[0], data={"csrf_token": token})
    assert doctor.alive() == 2
    doctor.client.post(f"/{SLUG}/account/sessions/end-others", data={"csrf_token": token})
    assert doctor.alive() == 1
    assert doctor.client.get(f"/{SLUG}/account").status_code == 200
    assert not [device for device in (phone, office) if device.get(f"/{SLUG}/account").status_code == 200]


def test_the_number_is_changed_by_the_password_and_a_code_to_the_new_one(application, person, in_province):
    doctor, phone = person(PASSWORD), application.test_client()
    doctor.sign_in(PASSWORD)
    doctor.sign_in(PASSWORD, phone)
    mobile, doctor.mobile = doctor.mobile, f"1366{uuid4().int % 10**7:07d}"

    def send(**fields):
        return text(
            submit(
                doctor.client,
                "/account/mobile",
                **{"password": PASSWORD, "mobile": doctor.mobile, "send": "1"} | fields,
            )
        )

    assert "登录密码不正确" in send(password="wrong-one-1")
    assert "这就是现在绑定的手机号" in send(mobile=mobile)
    assert doctor.sent() is None
    assert "验证码将在一分钟内送达新手机号" in send()
    code = doctor.sent()
    form = {"password": PASSWORD, "mobile": doctor.mobile}
    assert "验证码不正确" in text(submit(doctor.client, "/account/mobile", sms_code=wrong(code), **form))
    assert "登录密码不正确" in text(
        submit(doctor.client, "/account/mobile", **form | {"sms_code": code, "password": "wrong-one-1"})
    )
    assert submit(doctor.client, "/account/mobile", sms_code=code, **form).location == f"/{SLUG}/account"
    assert "/login" in phone.get(f"/{SLUG}/account").location
    assert f"{doctor.mobile[:3]}****{doctor.mobile[-4:]}" in text(doctor.client.get(f"/{SLUG}/account"))
    with in_province(SLUG):
        assert authentication.bound_mobile(doctor.row()) == doctor.mobile
        assert db.session.scalars(select(Notice.title).where(Notice.account_id == doctor.id)).all() == [
            "手机号码已修改"
        ]
    assert "将在一分钟内送达" in text(ask_reset(doctor, mobile=mobile))
    doctor.mobile, current_mobile = mobile, doctor.mobile
    assert doctor.sent() is None, "the number that is no longer bound gets nothing"
    doctor.mobile = current_mobile
