"""The second factor under attack (security.md 5, 6 and 7): one code in many sessions at once, guessing from
many addresses, and who is kept out by whom; of a province's people and of operators alike."""

import re
import threading
import uuid

import pyotp
import pytest
from sqlalchemy import select

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import RateLimited
from dingkao.journal.entries import TERMINAL_ACTOR, invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.operators import operator_accounts as operators
from dingkao.people import attempt_rules, passwords, sign_in_attempts, sign_in_throttling
from dingkao.people.accounts import create_staff
from dingkao.people.models import Account, SignInSession
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.web.request_lifecycle import limit_key

SLUG = "xizang"
PASSWORD = "gaoyuan-xueshan-2026"
pytestmark = pytest.mark.usefixtures("clean_counters")
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class Person:
    """An account with password and second factor, of staff or an operator, and how it is signed in with."""

    def __init__(self, application, base, sign_in, name, secret, account_id=None):
        self.application, self.base, self.address, self.name = application, base, sign_in, name
        self.id, self.totp = account_id, pyotp.TOTP(secret)

    def post(self, client, address, at, **data):
        environ = {"REMOTE_ADDR": at}
        page = client.get(f"{self.base}{address}", environ_overrides=environ).get_data(as_text=True)
        token_match = TOKEN.search(page)
        assert token_match, page[-500:]
        return client.post(
            f"{self.base}{address}", data={"csrf_token": token_match[1]} | data, environ_overrides=environ
        )

    def password(self, client, password=PASSWORD, at="10.1.0.1"):
        """Show a password; the answer."""
        return self.post(client, self.address, at, account=self.name, user_name=self.name, password=password)

    def half(self, at="10.1.0.1"):
        """A client in a session that has still to show the second factor."""
        client = self.application.test_client()
        assert self.password(client, at=at).status_code == 303
        return client

    def show(self, client, code, at="10.1.0.1"):
        """Show a code; the answer."""
        return self.post(client, "/second-factor", at, code=code)

    def cookie(self, client):
        return client.get_cookie(f"dk-{self.base[1:]}").value

    def step(self, onward=0):
        """The code of the present half minute, or of one `onward` from it."""
        return self.totp.generate_otp(int(clock.now().timestamp()) // 30 + onward)

    def wrong(self):
        """A code that is wrong for minutes."""
        valid_codes = {self.step(index) for index in range(-3, 4)}
        return next(code for code in (f"{number:06d}" for number in range(10)) if code not in valid_codes)


@pytest.fixture
def staff(application, in_province, province):
    """Make an administrator of the province."""

    def make():
        with in_province(SLUG):
            account = create_staff(
                f"s-{uuid.uuid4().hex[:10]}", "测试管理员", [("province_admin", None)], by=TERMINAL_ACTOR
            )
            secret = pyotp.random_base32()
            account.state, account.password_hash = "active", passwords.hash_password(PASSWORD)
            account.second_factor_sealed = current_vault().encrypt(
                SecretLocation("account", "second_factor", account.id), secret
            )
            name_and_id = account.user_name, account.id
            db.session.commit()
        return Person(application, f"/{SLUG}", "/login?staff=1", name_and_id[0], secret, name_and_id[1])

    return make


@pytest.fixture
def operator(application, stack):
    """Make an operator."""

    def make():
        name, secret = f"o-{uuid.uuid4().hex[:10]}", pyotp.random_base32()
        with application.app_context():
            operators.create_operator(name, "测试运营")
            operators.set_demonstration_credentials(name, PASSWORD, secret)
        return Person(application, "/platform", "/sign-in", name, secret)

    return make


@pytest.fixture(params=["staff", "operator"])
def person(request):
    return request.getfixturevalue(request.param)


def at_once(acts):
    """Do all of them at the same moment, each in a thread; what they gave."""
    barrier, results = threading.Barrier(len(acts)), []

    def do(act):
        barrier.wait()
        results.append(act())

    threads = [threading.Thread(target=do, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_one_code_lets_one_of_six_sessions_in_however_they_race(person, in_province):
    someone = person()
    halves, code = [someone.half() for _ in range(6)], someone.totp.now()
    tokens = [
        TOKEN.search(client.get(f"{someone.base}/second-factor").get_data(as_text=True))[1]
        for client in halves
    ]

    def show(place):
        data, environ = {"csrf_token": tokens[place], "code": code}, {"REMOTE_ADDR": f"10.2.{place}.1"}
        return (
            halves[place]
            .post(f"{someone.base}/second-factor", data=data, environ_overrides=environ)
            .status_code
        )

    statuses = at_once([lambda p=place: show(p) for place in range(6)])
    assert sorted(statuses) == [303, 422, 422, 422, 422, 422]
    assert (
        sum(
            client.get(f"{someone.base}/office" if someone.id else "/platform/").status_code == 200
            for client in halves
        )
        == 1
    )
    if someone.id:
        with in_province(SLUG):
            signed = select(SignInSession.id).where(
                SignInSession.account_id == someone.id, SignInSession.second_factor_at.is_not(None)
            )
            assert len(db.session.scalars(signed).all()) == 1
            assert invalid_entries(someone.id) == []


def test_a_code_is_taken_as_people_type_it(person):
    someone = person()
    client = someone.half()
    assert someone.show(client, "零一二三四五").status_code == 422
    code = someone.step()
    full_width = code.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})
    assert someone.show(client, f"{full_width[:3]} {full_width[3:]}").status_code == 303


def test_many_sign_ins_at_once_leave_one_chain(staff, in_province):
    someone = staff()
    clients = [someone.application.test_client() for _ in range(6)]
    tokens = [
        TOKEN.search(client.get(f"/{SLUG}/login?staff=1").get_data(as_text=True))[1] for client in clients
    ]

    def sign_in(place):
        data = {"csrf_token": tokens[place], "account": someone.name, "password": PASSWORD}
        environ = {"REMOTE_ADDR": f"10.2.{place}.1"}
        return clients[place].post(f"/{SLUG}/login?staff=1", data=data, environ_overrides=environ).status_code

    assert at_once([lambda p=place: sign_in(p) for place in range(6)]) == [303] * 6
    with in_province(SLUG):
        query = select(JournalEntry.verb).where(JournalEntry.subject_id == someone.id)
        assert db.session.scalars(query).all().count("signed_in") == 6
        assert invalid_entries(someone.id) == []


def test_two_who_bind_at_once_bind_one_secret(staff, in_province):
    someone = staff()
    with in_province(SLUG):
        db.session.scalars(select(Account).where(Account.id == someone.id)).one().second_factor_sealed = None
        db.session.commit()
    offers = []
    for client in (someone.half(), someone.half()):
        page = client.get(f"/{SLUG}/second-factor").get_data(as_text=True)
        offer, secret = (
            re.search(r'name="offer"[^>]*value="([^"]+)"', page)[1],
            re.search(r'id="secret">([A-Z2-7]+)<', page)[1],
        )
        offers.append(
            (client, {"csrf_token": TOKEN.search(page)[1], "offer": offer, "code": pyotp.TOTP(secret).now()})
        )
    statuses = at_once(
        [
            lambda c=client, d=data: c.post(f"/{SLUG}/second-factor", data=d).status_code
            for client, data in offers
        ]
    )
    assert sorted(statuses) == [303, 422]


def test_the_session_has_another_id_once_both_factors_were_shown(person):
    someone = person()
    client = someone.half()
    cookie_before = someone.cookie(client)
    assert someone.show(client, someone.totp.now()).status_code == 303
    assert someone.cookie(client) != cookie_before
    thief = someone.application.test_client()
    thief.set_cookie(f"dk-{someone.base[1:]}", cookie_before)
    assert thief.get(f"{someone.base}/second-factor").status_code == 302, "the session of one factor is over"


def test_codes_guessed_from_many_addresses_come_to_an_end(person):
    someone = person()
    known_client = someone.half()
    assert someone.show(known_client, someone.totp.now()).status_code == 303
    statuses = []
    for place in range(12):
        client = someone.half(at=f"10.3.{place}.1")
        statuses += [
            someone.show(client, someone.wrong(), at=f"10.3.{place}.1").status_code for _ in range(3)
        ]
    assert statuses.count(422) == attempt_rules.MAX_CODES_PER_ACCOUNT
    strange = someone.half(at="10.3.99.1")
    stopped = someone.show(strange, someone.totp.now(), at="10.3.99.1")
    assert stopped.status_code == 429
    assert "新设备暂时不能登录" in stopped.get_data(as_text=True)
    assert someone.password(known_client, at="10.3.1.1").status_code == 303
    assert someone.show(known_client, someone.step(1), at="10.3.1.1").status_code == 303, (
        "the owner's own device gets in"
    )


def test_many_codes_at_once_are_no_way_past_the_bound(application, in_province, province):
    guard, admissions = sign_in_throttling.SignInThrottle(application.extensions["redis"]), []

    def guess(place):
        with in_province(SLUG):
            try:
                guard.require_allowed(sign_in_attempts.code_attempt(b"race", f"10.4.0.{place}", None))
            except RateLimited:
                return
            admissions.append(1)

    at_once([lambda p=place: guess(p) for place in range(60)])
    assert len(admissions) == attempt_rules.MAX_CODES_PER_ACCOUNT


def test_ten_tries_of_one_person_keep_no_colleague_out_at_the_same_address(person):
    clumsy, colleague = person(), person()
    client = clumsy.half(at="10.5.0.1")
    statuses = [clumsy.show(client, clumsy.wrong(), at="10.5.0.1").status_code for _ in range(10)]
    assert statuses == [422] * attempt_rules.FREE_TRIES + [429] * (10 - attempt_rules.FREE_TRIES)
    colleague_client = colleague.half(at="10.5.0.1")
    assert colleague.show(colleague_client, colleague.totp.now(), at="10.5.0.1").status_code == 303


def test_a_code_that_was_right_is_none_of_the_wrong_ones(staff, application, in_province):
    guard = sign_in_throttling.SignInThrottle(application.extensions["redis"])
    with in_province(SLUG):
        for place in range(attempt_rules.MAX_CODES_PER_ACCOUNT + 5):
            attempt = sign_in_attempts.code_attempt(b"owner", f"10.6.0.{place}", None)
            guard.require_allowed(attempt)
            guard.reset_after_success(attempt)


def test_a_network_of_long_addresses_counts_as_one(application, in_province, province):
    guard = sign_in_throttling.SignInThrottle(application.extensions["redis"])
    with in_province(SLUG):
        for number in range(attempt_rules.FREE_TRIES):
            attempt = sign_in_attempts.code_attempt(b"long", f"2001:db8:7:7::{number:x}", None)
            guard.require_allowed(attempt)
            guard.record_failure(attempt)
        with pytest.raises(RateLimited):
            guard.require_allowed(sign_in_attempts.code_attempt(b"long", "2001:db8:7:7:ffff::9", None))
        guard.require_allowed(sign_in_attempts.code_attempt(b"long", "2001:db8:7:8::9", None))
    for first_address, second_address, alike in (
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("10.0.0.1", "10.0.0.2", False),
    ):
        with application.test_request_context("/", environ_base={"REMOTE_ADDR": first_address}):
            first = limit_key()
        with application.test_request_context("/", environ_base={"REMOTE_ADDR": second_address}):
            assert (limit_key() == first) is alike, second_address


def test_a_password_alone_makes_no_device_known(person):
    someone = person()
    client = someone.half()
    assert client.get_cookie(f"dk-{someone.base[1:]}-device") is None
    assert someone.show(client, someone.totp.now()).status_code == 303
    assert client.get_cookie(f"dk-{someone.base[1:]}-device") is not None


def test_wrong_passwords_of_anyone_keep_no_owner_out(person):
    someone = person()
    for number in range(10):
        someone.password(someone.application.test_client(), f"guess-{number}-wrong", at="10.7.0.1")
    assert someone.password(someone.application.test_client(), at="10.7.0.1").status_code == 429, (
        "the guessing place waits"
    )
    assert someone.password(someone.application.test_client(), at="10.7.0.2").status_code == 303
    for number in range(attempt_rules.ATTACK_THRESHOLD):
        someone.password(someone.application.test_client(), f"more-{number}-wrong", at=f"10.7.{number + 1}.1")
    assert someone.password(someone.application.test_client(), at="10.7.200.1").status_code == 303


def test_one_who_goes_through_the_operators_is_stopped(operator, application):
    someone = operator()
    stopped_at = 0
    for number in range(
        attempt_rules.MAX_SAME_PASSWORD_PER_ORIGIN + 3
    ):  # the store counts with a small error
        person = Person(application, "/platform", "/sign-in", f"guessed-{number}", pyotp.random_base32())
        status = person.password(application.test_client(), "spring-2026-zz", at="10.8.0.1").status_code
        if status == 429:
            stopped_at = number
            break
        assert status == 422
    assert stopped_at >= attempt_rules.MAX_SAME_PASSWORD_PER_ORIGIN
    assert someone.password(application.test_client(), "spring-2026-zz", at="10.8.0.1").status_code == 429
    assert someone.password(application.test_client(), at="10.8.0.1").status_code == 303
