"""Senior mode: chosen by anyone, carried by the account from phone to phone, in the first byte of every
page."""

import re

import pytest
from sqlalchemy import select

from dingkao.database.base import db
from dingkao.people import passwords
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account
from tests import actors

SLUG, PASSWORD = "qinghai", "xining-chunfeng-88"
_serial = actors.unused_serials(SLUG)


@pytest.fixture
def doctor(application, in_province):
    someone = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        account = db.session.scalars(
            select(Account).where(Account.login_index == doctor_login_index(someone.number))
        ).one()
        account.password_hash = passwords.hash_password(PASSWORD)
        db.session.commit()
    return someone


def senior(page: str) -> bool:
    """Whether a page begins in senior mode."""
    return '<html lang="zh-CN" class="senior-mode">' in page[:200]


def choose(client, display: str, back: str = "/login"):
    token = re.search(
        r'name="csrf_token"[^>]*value="([^"]+)"', client.get(f"/{SLUG}/display").get_data(as_text=True)
    )
    if token is None:
        token = re.search(
            r'name="csrf_token"[^>]*value="([^"]+)"', client.get(f"/{SLUG}/login").get_data(as_text=True)
        )
    return client.post(f"/{SLUG}/display?back={back}", data={"csrf_token": token[1], "display": display})


def sign_in(client, number: str):
    token = re.search(
        r'name="csrf_token"[^>]*value="([^"]+)"', client.get(f"/{SLUG}/login").get_data(as_text=True)
    )
    return client.post(
        f"/{SLUG}/login", data={"csrf_token": token[1], "account": number, "password": PASSWORD}
    )


def test_anyone_chooses_on_the_login_page_and_comes_back_to_it(application, doctor):
    phone = application.test_client()
    assert not senior(phone.get(f"/{SLUG}/login").get_data(as_text=True))
    answer = choose(phone, "senior")
    assert (answer.status_code, answer.location) == (303, f"/{SLUG}/login")
    for address in (f"/{SLUG}/login", f"/{SLUG}/password/reset", f"/{SLUG}/nirgends", "/?pick=1", "/verify"):
        assert senior(phone.get(address).get_data(as_text=True)), address
    choose(phone, "standard")
    assert not senior(phone.get(f"/{SLUG}/login").get_data(as_text=True))


def test_the_account_carries_the_choice_to_the_next_phone_and_back_to_the_old_one(application, doctor):
    first, second = application.test_client(), application.test_client()
    choose(first, "senior")
    sign_in(first, doctor.number)
    sign_in(second, doctor.number)
    assert senior(second.get(f"/{SLUG}/filing/notice").get_data(as_text=True))
    choose(second, "standard", back="/home")
    sign_in(first, doctor.number)
    assert not senior(first.get(f"/{SLUG}/filing/notice").get_data(as_text=True))


def test_one_persons_choice_is_not_anothers(application, in_province, doctor):
    phone = application.test_client()
    sign_in(phone, doctor.number)
    choose(phone, "senior")
    with in_province(SLUG):
        choices = set(
            db.session.execute(
                select(Account.login_index, Account.display).where(Account.display.is_not(None))
            ).all()
        )
    assert (doctor_login_index_in(in_province, doctor.number), "senior") in {
        (bytes(index), display) for index, display in choices
    }
    other_doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    assert not senior(other_doctor.get("/filing/notice"))


def doctor_login_index_in(in_province, number: str) -> bytes:
    with in_province(SLUG):
        return bytes(doctor_login_index(number))


@pytest.mark.parametrize(
    "back", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "home", ""]
)
def test_it_leads_back_into_the_province_and_nowhere_else(application, doctor, back):
    assert choose(application.test_client(), "senior", back=back).location == f"/{SLUG}/start"


def test_what_is_no_way_of_showing_is_refused(application, doctor):
    assert choose(application.test_client(), "upside-down").status_code == 422
