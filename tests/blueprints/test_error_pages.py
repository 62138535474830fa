"""What clumsy and hostile hands send: each is answered in words, never by a fault, and changes nothing."""

import base64
import json
import re
import threading
from datetime import timedelta
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import pytest
from flask import Response
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.people import passwords
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account, SignInSession
from dingkao.tenants import settings
from dingkao.tenants.context import in_tenant
from dingkao.tenants.middleware import PROVINCE_KEY
from dingkao.web import request_lifecycle
from tests import actors, sample_data
from tests.actors import BASIC
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "gansu", 62
NO_ID = "x" * 36
DEEP = base64.urlsafe_b64encode(b"[" * 700).decode()


@pytest.fixture(scope="module")
def doctor(application, in_province):
    return actors.signed_in_doctor(application, in_province, SLUG, 1)


@pytest.fixture
def staff(application, in_province, doctor):
    return lambda role, place=None: signed_in_client(application, in_province, SLUG, role, place)


def long_ago(in_province):
    with in_province(SLUG):
        db.session.execute(update(SignInSession).values(seen_at=clock.now() - timedelta(minutes=5)))
        db.session.commit()


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("get", "/nix", 404),
        ("get", "/office", 403),
        ("post", "/filing/submit", 400),
        ("get", "/filing/submit", 405),
    ],
)
def test_a_refusal_is_the_same_after_a_pause(doctor, in_province, method, address, status):
    long_ago(in_province)
    assert getattr(doctor.client, method)(f"/{SLUG}{address}").status_code == status
    with in_province(SLUG):
        sign_in_session = db.session.scalars(
            select(SignInSession)
            .join(Doctor, Doctor.account_id == SignInSession.account_id)
            .where(Doctor.id == doctor.doctor_id)
        ).one()
        assert clock.now() - sign_in_session.seen_at < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("status", "kept"), [(200, True), (303, True), (400, False), (422, False), (500, False)]
)
def test_what_is_answered_with_a_refusal_is_undone(application, in_province, doctor, status, kept):
    with in_province(SLUG) as province:
        earlier_contact = settings.value("contact")
    with application.test_request_context("/", environ_overrides={PROVINCE_KEY: province}), in_tenant(CODE):
        settings.change("contact", f"{status}", by=None, reason="试")
        request_lifecycle.commit_request(Response(status=status))
    with in_province(SLUG):
        assert settings.value("contact") == (f"{status}" if kept else earlier_contact)


@pytest.mark.parametrize(
    "address", ["/platform/sign-in", "/platform/", "/verify", "/verify/142026KH000000000"]
)
def test_what_is_of_no_province_is_not_below_one(application, provinces, address):
    assert application.test_client().get(f"/shanxi{address}").status_code == 404


def test_rows_that_are_none_are_passed_over(staff, doctor):
    admin = staff("province_admin")
    for address, name, page in (
        ("/inclusion", "record", "/inclusion"),
        ("/inclusion/remove", "record", "/inclusion"),
        ("/lines/approve", "line", "/lines"),
    ):
        answer = post_form(
            admin, f"/{SLUG}/office{address}", page=f"/{SLUG}/office{page}", reason="试", **{name: NO_ID}
        )
        assert answer.status_code == 303, address


@pytest.mark.parametrize(
    "query",
    [
        "name=%00",
        "name=%ed%a0%80",
        "after=%00",
        f"after={DEEP}",
        "after="
        + base64.urlsafe_b64encode(
            json.dumps(["\0", "0190a3c0-0000-7000-8000-000000000000"]).encode()
        ).decode(),
    ],
)
def test_a_query_that_no_page_makes(staff, query):
    assert staff("province_admin").get(f"/{SLUG}/office/doctors?{query}").status_code == 200


def test_characters_that_no_row_can_hold_are_dropped(staff, in_province):
    assert (
        post_form(
            staff("province_admin"),
            f"/{SLUG}/office/staff",
            user_name=f"nul-{uuid4().hex[:8]}",
            name="张\0三",
            role="auditor",
        ).status_code
        == 200
    )
    with in_province(SLUG):
        assert db.session.scalar(select(func.count()).select_from(Account).where(Account.name == "张三"))


def test_what_is_much_too_long_or_long_ago_is_told_at_its_field(staff):
    admin = staff("province_admin")
    page = post_form(admin, f"/{SLUG}/office/staff", user_name="lang", name="长" * 300, role="auditor")
    assert page.status_code == 422
    assert "姓名请不要超过200字" in page.get_data(as_text=True)
    page = post_form(
        admin, f"/{SLUG}/office/cycle", label="某年", starts_on="0001-01-01", ends_on="2027-01-01", years="3"
    )
    assert page.status_code == 422
    assert "周期开始的年份应在1990至2100之间" in page.get_data(as_text=True)
    page = post_form(
        admin,
        f"/{SLUG}/office/papers/common/clinical/physician",
        A1="1",
        minutes="60",
        opens_at="0001-01-01T00:00",
        closes_at="2030-01-01T00:00",
    )
    assert page.status_code == 422
    page = post_form(admin, f"/{SLUG}/office/settings", contact="1", reason="改", effective_from="x")
    assert page.status_code == 422
    assert "生效日期无法识别" in page.get_data(as_text=True)


def test_the_same_asked_four_times_at_once_is_done_once(application, staff):
    clients, ready, status_codes = [staff("province_admin") for _ in range(4)], threading.Barrier(4), []
    user_name = f"once-{uuid4().hex[:8]}"

    def invite(client):
        client.get(f"/{SLUG}/office/staff")
        ready.wait()
        status_codes.append(
            post_form(
                client, f"/{SLUG}/office/staff", user_name=user_name, name="只此一人", role="auditor"
            ).status_code
        )

    threads = [threading.Thread(target=invite, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert status_codes.count(200) == 1
    assert set(status_codes) <= {200, 409, 422}


def test_the_same_save_twice_is_one_save(doctor):
    doctor.post("/filing/notice")
    form = BASIC | {"revision": "0"}
    assert doctor.post("/filing/1", **form).status_code == 303
    assert doctor.post("/filing/1", **form).status_code == 303
    assert doctor.post("/filing/1", **form | {"school": "另一所学校"}).status_code == 409


@pytest.mark.parametrize("place", [f"/{SLUG}/filing/\r\nX: y", "//elsewhere.example", f"/{SLUG}/home"])
def test_one_is_only_sent_on_within_the_filing(doctor, place):
    answer = doctor.save(1, BASIC, stay=place)
    assert answer.status_code == 303
    assert answer.location.endswith(f"/{SLUG}/filing/1")


@pytest.mark.parametrize(
    "onward",
    ["/home\r\nX:", "//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "/notices"],
)
def test_after_signing_in_one_stays_in_the_house(application, in_province, doctor, onward):
    with in_province(SLUG):
        account = db.session.scalars(
            select(Account).where(Account.login_index == doctor_login_index(doctor.number))
        ).one()
        account.password_hash = passwords.hash_password("taiyuan-chunfeng")
        db.session.commit()
    answer = post_form(
        application.test_client(),
        f"/{SLUG}/login?{urlencode({'next': onward})}",
        account=doctor.number,
        password="taiyuan-chunfeng",
    )
    assert answer.status_code == 303
    assert urlsplit(answer.location).netloc in ("", "localhost")
    assert answer.location.startswith(f"/{SLUG}/")
    assert answer.location.isprintable()


@pytest.mark.parametrize("body", ["[1, [2]]", "7", '{"mobile": [1]}', "{"])
def test_json_that_is_posted_to_a_form_is_answered_in_words(doctor, body):
    token = {
        "X-CSRFToken": re.search(r'name="csrf_token"[^>]*value="([^"]+)"', doctor.get("/account/mobile"))[1],
        "Content-Type": "application/json",
    }
    assert 400 <= doctor.client.post(f"/{SLUG}/account/mobile", data=body, headers=token).status_code < 500


@pytest.mark.parametrize(("address", "status"), [("nix", 404), ("settings", 403), ("inclusion/remove", 405)])
def test_errors_of_the_console_keep_its_frame(staff, doctor, address, status):
    clerk = staff("institution_clerk", sample_data.registration_number(CODE, 1))
    answer = clerk.get(f"/{SLUG}/office/{address}")
    page = answer.get_data(as_text=True)
    assert answer.status_code == status
    assert f'href="/{SLUG}/office/inclusion"' in page
    assert "institution_clerk" not in page
    assert "机构经办人" in page
    assert 'role="alert"' in page
    assert "office/inclusion" not in doctor.get("/office/nix")


def test_a_broken_console_still_answers_in_words(application, staff, monkeypatch):
    def broken():
        raise ValueError

    clerk = staff("institution_clerk", sample_data.registration_number(CODE, 1))
    monkeypatch.setitem(application.extensions, "console_frame", broken)
    answer = clerk.get(f"/{SLUG}/office/nix")
    assert answer.status_code == 500
    assert "系统出现问题" in answer.get_data(as_text=True)
