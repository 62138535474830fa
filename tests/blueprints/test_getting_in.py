"""Getting in, and keeping out (security.md 1 to 5 and 7): what the ticket opens, what codes are good for, what an attacker learns and whom an
attacker can lock out, how a session lives and ends."""

import dataclasses
import math
import re
import statistics
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pyotp
import pytest
from argon2 import PasswordHasher
from freezegun import freeze_time as frozen
from sqlalchemy import select, update

from dingkao import clock
from dingkao.app import create_app
from dingkao.blueprints import access
from dingkao.database.model import db
from dingkao.doctors.roster import import_roster
from dingkao.errors import Invalid, TooMany
from dingkao.journal.writing import TERMINAL
from dingkao.people import accounts, guarding, passwords, signing_in
from dingkao.people.accounts import doctor_login_index, issue_code, make_staff
from dingkao.people.codes import SmsCodes
from dingkao.people.models import Account, Notice, SignInSession
from dingkao.people.opening import open_province
from dingkao.people.organisations import import_institutions
from dingkao.tenants import settings
from dingkao.tenants.secrets import Place, vault
from tests import material
from tests.sweeps.test_routes import OUTSIDE, PLATFORM, addresses

SLUG, CODE = "ningxia", 64
PASSWORD = "helan-shanxia-77"
OTHER = "huanghe-rushui-31"
UNMOVED = ["argon2", "authlib", "boto", "cryptography", "fontTools", "hypothesis", "PIL", "playwright", "psycopg", "pyhanko", "redis", "rq", "sqlalchemy", "weasyprint", "zxcvbn"]
"""Whose clocks stay as they are: looking for them in every module of these takes longer than the tests."""
REAL = (passwords._hasher, passwords._DUMMY)
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


@pytest.fixture(scope="module")
def province(application, in_province):
    with in_province(SLUG) as opened:
        open_province(opened, by=TERMINAL)
        import_institutions(material.institutions(CODE), by=TERMINAL)
        db.session.commit()
    return opened


def freeze_time(moment):
    """Move the clock of the application."""
    return frozen(moment, ignore=UNMOVED)


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch):
    """Passwords are hashed for the look of it; how long that takes is the concern of one test alone."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", quick)
    monkeypatch.setattr(passwords, "_DUMMY", quick.hash("nobody has this password"))


@pytest.fixture(autouse=True)
def nothing_counted(application, province):
    """Every test begins with a cache in which nobody has tried anything."""
    connection = application.extensions["redis"]
    for pattern in (f"t:{CODE}:*", "LIMITS:*"):
        for key in connection.scan_iter(pattern, count=1000):
            connection.delete(key)


class Person:
    """A doctor of the test: the number, what stands in the row, a browser of one's own at an address of one's own."""

    serial = 0

    def __init__(self, application, in_province, mobile, password=None, bound=True):
        Person.serial += 1
        self.application, self.in_province, self.mobile = application, in_province, mobile
        row = material.roster_row(CODE, Person.serial, 手机号码=mobile)
        self.number = row["证件号码"]
        with in_province(SLUG):
            report = import_roster(material.roster([row]), by=TERMINAL)
            assert report.errors == []
            account = self.row()
            self.id, self.index = account.id, bytes(account.login_index)
            if password:
                account.state, account.password_hash = "active", passwords.hashed(password)
            if password and bound:
                account.mobile_sealed = vault().seal(Place("account", "mobile", account.id), mobile)
            db.session.commit()
        self.client = application.test_client()

    def row(self):
        """The account's row, in the province entered."""
        return db.session.scalars(select(Account).where(Account.login_index == doctor_login_index(self.number))).one()

    def set(self, **columns):
        """Change the row."""
        with self.in_province(SLUG):
            db.session.execute(update(Account).where(Account.id == self.id).values(**columns))
            db.session.commit()

    def sign_in(self, password, client=None, at="10.1.0.1"):
        return submit(client or self.client, "/login", at=at, account=self.number, password=password)

    def code(self):
        """A one-time code as the institution hands it over."""
        with self.in_province(SLUG):
            code = issue_code(self.row(), by=TERMINAL)
            db.session.commit()
        return code

    def change(self, client=None, **fields):
        """The change page with what it asks for."""
        given = {"old_password": "666666", "new_password": PASSWORD, "again": PASSWORD, "mobile": self.mobile} | fields
        return submit(client or self.client, "/password/first", **given)

    def sent(self):
        """The code that was sent to this number last, None where none was."""
        self.application.extensions["sms later"].settle()
        with self.in_province(SLUG):
            texts = [one["text"] for one in self.application.extensions["sms"].messages() if one["mobile"] == self.mobile]
        return re.search(r"\d{6}", texts[0])[0] if texts else None

    def alive(self):
        """How many sessions this account has."""
        with self.in_province(SLUG):
            return len(signing_in.live_sessions(self.id))


def submit(client, address, page=None, at="10.1.0.1", **data):
    """Post a form of this province from an address."""
    where = {"REMOTE_ADDR": at}
    found = TOKEN.search(client.get(f"/{SLUG}{page or address}", environ_overrides=where).get_data(as_text=True))
    token = found[1] if found else ""
    return client.post(f"/{SLUG}{address}", data={"csrf_token": token} | data, environ_overrides=where)


def text(answer):
    return answer.get_data(as_text=True)


def same(answer):
    """What an answer tells: its status, headers and body without what is new in every answer."""
    body = TOKEN.sub("", text(answer))
    ours = {name: value for name, value in answer.headers.items() if name not in ("Set-Cookie", "Content-Length", "Retry-After")}
    return answer.status_code, ours, re.sub(r"请\d+(秒|分钟)后", "", body)


@pytest.fixture
def person(application, in_province, province):
    """Make a doctor: one who hasn't signed in yet, or by `password` one who has."""
    def make(password=None, **more):
        return Person(application, in_province, f"1377{uuid4().int % 10**7:07d}", password, **more)

    return make


# --- the ticket (security.md 1)


def test_the_ticket_opens_one_page_and_shows_nobody(application, person):
    doctor = person()
    answer = doctor.sign_in("666666")
    assert (answer.status_code, answer.location) == (303, f"/{SLUG}/password/first")
    page = text(doctor.client.get(answer.location))
    assert "此密码为定考系统密码" in page
    assert not [one for one in (doctor.number, doctor.number[-4:], doctor.mobile, doctor.mobile[-4:], "医师" + "甲乙丙丁戊己庚辛壬癸"[Person.serial % 10]) if one in page]
    stranger = application.test_client()
    stranger.get(f"/{SLUG}/login")
    reached = refused = 0
    for method in ("GET", "POST"):
        for address in addresses(application, method):
            if address == "/password/first":
                continue
            mine, theirs = (one.open(f"/{SLUG}{address}", method=method) for one in (doctor.client, stranger))
            if "/login?" not in (theirs.location or ""):
                assert (mine.status_code, mine.location) == (theirs.status_code, theirs.location), address
            else:
                assert mine.status_code == 403, address
                assert "您还没有设置新密码" in text(mine)
                refused += 1
            reached += 1
    assert reached > 60
    assert refused > 50
    assert [rule for rule in application.url_map.iter_rules() if access.TICKET in application.view_functions[rule.endpoint].access and rule.rule != "/password/first"] == []
    assert {rule.endpoint for rule in application.url_map.iter_rules() if rule.endpoint in OUTSIDE or rule.endpoint.startswith(PLATFORM)}


def test_the_ticket_is_over_after_ten_minutes(person):
    doctor = person()
    start = clock.now()
    with freeze_time(start) as moved:
        doctor.sign_in("666666")
        moved.move_to(start + timedelta(seconds=590))
        assert doctor.client.get(f"/{SLUG}/password/first").status_code == 200
        moved.move_to(start + timedelta(seconds=615))
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
    fresh = doctor.code()
    answer = doctor.change(client=thief, old_password=fresh, new_password=OTHER, again=OTHER, mobile="")
    assert answer.status_code == 400 or answer.location == f"/{SLUG}/login"
    assert doctor.sign_in(PASSWORD, application.test_client()).location == f"/{SLUG}/start"


def test_a_ticket_of_one_province_is_none_in_another(application, person, provinces):
    doctor = person()
    doctor.sign_in("666666")
    foreign = application.test_client()
    foreign.set_cookie("dk-shanxi-ticket", doctor.client.get_cookie(f"dk-{SLUG}-ticket").value)
    assert foreign.get("/shanxi/password/first").location == "/shanxi/login"


def test_first_sign_in_by_the_code_to_the_roster_number(person):
    doctor = person()
    doctor.sign_in("666666")
    told = text(doctor.change(send="1"))
    assert "验证码将在一分钟内送达" in told
    assert 'data-wait="60"' in told
    assert doctor.change(sms_code=doctor.sent()).location == f"/{SLUG}/start"
    assert doctor.alive() == 1
    doctor.client.post(f"/{SLUG}/sign-out", data={"csrf_token": "x"})
    assert "初始密码只在账号开通后" in text(doctor.sign_in("666666", at="10.1.0.2"))


def test_another_number_than_the_rosters_is_answered_alike_and_gets_nothing(person):
    doctor, other = person(), person()
    doctor.sign_in("666666")
    told = text(doctor.change(send="1", mobile=other.mobile))
    assert "若该手机号与机构名单一致" in told
    assert other.sent() is None
    assert "验证码不正确" in text(doctor.change(mobile=other.mobile, sms_code="123456"))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("6666661a", "太常见"), ("12345678", "太常见"), ("password", "太常见"), ("qwertyuiop", "太常见"), ("1qaz2wsx", "太常见"), ("woaini1314", "太常见"),
        ("aaaabbbb", "太常见"), ("87654321", "太常见"), ("Sunshine", "太常见"), ("zhang19800102", "出生日期"), ("a1980-01-02z", "出生日期"),
        ("800102abcd", "出生日期"), ("NUMBER", "后6位"), ("MOBILE", "后6位"), ("short7!", "至少8位"), ("长" * 129, "最多128位"),
    ],
)  # fmt: skip
def test_what_others_would_try_first_is_no_new_password(person, bad, why):
    doctor = person()
    code = doctor.code()
    doctor.sign_in("666666")
    new = {"NUMBER": f"xy{doctor.number[-6:]}", "MOBILE": f"xy{doctor.mobile[-6:]}"}.get(bad, bad)
    assert why in text(doctor.change(new_password=new, again=new, one_time_code=code, mobile=""))
    assert doctor.alive() == 0
    assert doctor.change(one_time_code=code, mobile="").status_code == 303, "the code is still good"


def test_the_most_common_three_thousand_that_are_long_enough_are_refused():
    for least, staff in ((8, False), (12, True)):
        common = passwords._common(least)
        assert len([one for one in common if len(one) >= least]) >= (3000 if least == 8 else 47)
        for word in sorted(common)[:: max(len(common) // 50, 1)]:
            with pytest.raises(Invalid):
                passwords.check(word, staff=staff)


def test_the_initial_credential_lapses_and_says_whom_to_ask_without_telling_who_exists(application, person, in_province):
    lapsed, active, nobody = person(), person(PASSWORD), material.resident_number(499)
    lapsed.set(initial_until=clock.now() - timedelta(minutes=1))
    answers = [lapsed.sign_in("666666", at="10.2.0.1"), active.sign_in("666666", at="10.2.0.2")]
    answers.append(submit(application.test_client(), "/login", at="10.2.0.3", account=nobody, password="666666"))
    bodies = [same(answer)[2].replace(one, "") for answer, one in zip(answers, (lapsed.number, active.number, nobody), strict=True)]
    assert bodies[0] == bodies[1] == bodies[2]
    assert "请联系本机构延长" in bodies[0]
    with in_province(SLUG):
        accounts.renew_initial(db.session.scalars(select(Account).where(Account.id == lapsed.id)).one(), by=TERMINAL)
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
    old = doctor.code()
    code = doctor.code()
    assert doctor.sign_in(old).status_code == 422
    assert doctor.sign_in(code).location == f"/{SLUG}/password/first"
    assert doctor.change(old_password=code, mobile="", new_password=OTHER, again=OTHER).status_code == 303
    assert doctor.sign_in(code, at="10.1.0.9").status_code == 422
    late = doctor.code()
    with freeze_time(clock.now() + timedelta(days=14, minutes=1)):
        assert doctor.sign_in(late, at="10.1.0.10").status_code == 422


# --- codes by short message (security.md 3)


def ask_reset(doctor, client=None, at="10.1.0.1", **fields):
    return submit(client or doctor.client, "/password/reset", at=at, **{"account": doctor.number, "mobile": doctor.mobile, "send": "1"} | fields)


def reset(doctor, code, client=None, at="10.1.0.1", **fields):
    given = {"account": doctor.number, "mobile": doctor.mobile, "sms_code": code, "new_password": OTHER, "again": OTHER} | fields
    return submit(client or doctor.client, "/password/reset", at=at, **given)


def wrong(code):
    return f"{(int(code) + 1) % 10**6:06d}"


def test_a_forgotten_password_is_reset_and_every_session_ends(application, person):
    doctor = person(PASSWORD)
    phone = application.test_client()
    assert doctor.sign_in(PASSWORD, phone).location == f"/{SLUG}/start"
    assert "验证码将在一分钟内送达" in text(ask_reset(doctor))
    code = doctor.sent()
    assert "密码重置成功" in text(doctor.client.get(reset(doctor, code).location))
    assert doctor.alive() == 0
    assert phone.get(f"/{SLUG}/home").location.startswith(f"/{SLUG}/login")
    assert "验证码不正确或已使用" in text(reset(doctor, code, new_password=PASSWORD, again=PASSWORD)), "a code is good once"
    assert doctor.sign_in(OTHER, at="10.1.0.3").status_code == 303


def test_five_wrong_ones_end_a_code_and_the_sixth_is_told_so(person):
    doctor = person(PASSWORD)
    ask_reset(doctor)
    code = doctor.sent()
    for left in (4, 3, 2, 1):
        assert f"还可以再试{left}次" in text(reset(doctor, wrong(code)))
    assert "输错5次" in text(reset(doctor, wrong(code)))
    assert "输错5次" in text(reset(doctor, code))


def test_a_code_is_over_after_five_minutes(person):
    doctor = person(PASSWORD)
    ask_reset(doctor)
    code = doctor.sent()
    with freeze_time(clock.now() + timedelta(seconds=301)):
        assert "验证码已超过5分钟" in text(reset(doctor, code))


def test_a_code_is_for_one_purpose_one_account_one_number_and_one_ticket(application, in_province, person):
    mine, theirs = person(PASSWORD), person(PASSWORD)
    codes = SmsCodes(application.extensions["redis"], application.extensions["sms later"])
    with in_province(SLUG):
        codes.send("bind", "one", mine.mobile, address="10.3.0.1", due=True, ticket="a")
    code = mine.sent()
    with in_province(SLUG):
        for purpose, subject, mobile, ticket in (
            ("reset", "one", mine.mobile, "a"), ("bind", "two", mine.mobile, "a"), ("bind", "one", theirs.mobile, "a"), ("bind", "one", mine.mobile, "b"),
        ):  # fmt: skip
            with pytest.raises(Invalid):
                codes.spend(purpose, subject, mobile, code, ticket=ticket)
        codes.spend("bind", "one", mine.mobile, code, ticket="a")


def test_of_fifty_at_once_one_spends_the_code(application, in_province, person):
    doctor = person(PASSWORD)
    codes = SmsCodes(application.extensions["redis"], application.extensions["sms later"])
    with in_province(SLUG):
        codes.send("reset", "one", doctor.mobile, address="10.3.0.2", due=True)
    code, spent, barrier = doctor.sent(), [], threading.Barrier(50)

    def spend():
        with in_province(SLUG):
            barrier.wait()
            try:
                codes.spend("reset", "one", doctor.mobile, code)
            except Invalid:
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
    codes = SmsCodes(application.extensions["redis"], application.extensions["sms later"])
    with in_province(SLUG):
        codes.send("reset", "one", doctor.mobile, address="10.3.0.3", due=True)
    code, said, barrier = doctor.sent(), [], threading.Barrier(50)

    def guess(number):
        with in_province(SLUG):
            barrier.wait()
            try:
                codes.spend("reset", "one", doctor.mobile, f"{(int(code) + 1 + number) % 10**6:06d}")
            except Invalid as refusal:
                said.append(refusal.sentence)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("还可以再试" in one for one in said) == 4
    assert sum("输错5次" in one for one in said) == 46


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
        assert sum(one["mobile"] == doctor.mobile for one in application.extensions["sms"].messages()) == 5


def a_minute_passes(application):
    connection = application.extensions["redis"]
    for kind in ("sms-apart", "sms-number-apart"):
        for key in connection.scan_iter(f"t:{CODE}:{kind}:*"):
            assert 0 < connection.ttl(key) <= 60
            connection.delete(key)


def test_one_place_asks_for_so_many_an_hour_and_a_province_for_what_it_allows(application, in_province, person, monkeypatch):
    doctor = person(PASSWORD)
    codes = SmsCodes(application.extensions["redis"], application.extensions["sms later"])
    with in_province(SLUG):
        monkeypatch.setattr("dingkao.people.codes.OF_A_PLACE_AN_HOUR", 60)
        for number in range(60):
            codes.send("reset", f"s{number}", doctor.mobile, address="10.4.0.1", due=False)
        with pytest.raises(TooMany, match="本网络"):
            codes.send("reset", "s60", doctor.mobile, address="10.4.0.1", due=False)
        codes.send("reset", "s60", doctor.mobile, address="10.4.0.2", due=False)
        settings.change("sms_codes_a_day", 1, by=None, reason="试")
        codes.send("reset", "s61", doctor.mobile, address="10.4.0.3", due=True)
        for due in (True, False):
            with pytest.raises(TooMany, match="已达上限"):
                codes.send("reset", f"s62{due}", doctor.mobile, address="10.4.0.3", due=due)


def test_a_number_is_not_flooded_by_way_of_many_accounts(application, in_province, person):
    doctor = person(PASSWORD)
    codes = SmsCodes(application.extensions["redis"], application.extensions["sms later"])
    with in_province(SLUG):
        for number in range(12):
            codes.send("reset", f"m{number}", doctor.mobile, address=f"10.5.0.{number}", due=True)
    doctor.sent()
    with in_province(SLUG):
        assert sum(one["mobile"] == doctor.mobile for one in application.extensions["sms"].messages()) == 1


def test_to_a_script_the_sentence_alone_is_answered(person):
    doctor = person(PASSWORD)
    page = text(doctor.client.get(f"/{SLUG}/password/reset"))
    data = {"csrf_token": TOKEN.search(page)[1], "account": doctor.number, "mobile": doctor.mobile, "send": "1"}
    answer = doctor.client.post(f"/{SLUG}/password/reset", data=data, headers={"Accept": "application/json"})
    assert (answer.json["wait"], answer.json["wrong"]) == (60, False)
    answer = doctor.client.post(f"/{SLUG}/password/reset", data=data | {"mobile": "12"}, headers={"Accept": "application/json"})
    assert (answer.json["told"], answer.json["wrong"]) == ("请输入11位手机号。", True)


# --- who exists (security.md 4)


def test_known_and_unknown_are_answered_alike(application, person):
    active, initial, closed, unbound = person(PASSWORD), person(), person(PASSWORD), person(PASSWORD, bound=False)
    closed.set(state="closed")
    nobody = material.resident_number(498)
    told = {}
    for place, number in enumerate([active.number, initial.number, closed.number, unbound.number, nobody]):
        def ask(address, place=place, number=number, **data):
            answer = submit(application.test_client(), address, at=f"10.6.0.{place}", account=number, **data)
            status, headers, body = same(answer)
            return status, headers, body.replace(number, "NUMBER")

        mobile = "13900001111"
        new = {"new_password": OTHER, "again": OTHER}
        answers = [
            ask("/login", password="wrong-password-1"), ask("/login", password="666666x"), ask("/password/reset", mobile=mobile, send="1"),
            ask("/password/reset", mobile=mobile, send="1"), ask("/password/reset", mobile=mobile, sms_code="123456", **new),
            *(ask("/password/reset", mobile=mobile, sms_code=f"12345{one}", **new) for one in range(5)),
        ]  # fmt: skip
        answers += [ask("/login", password=f"wrong-password-{one}") for one in range(5)]
        assert answers[-1][0] == 429
        told[number] = answers
    for number, answers in told.items():
        for one, other in zip(answers, told[nobody], strict=True):
            assert one == other, number


def test_a_right_number_in_the_reset_is_answered_as_a_wrong_one(application, person):
    known, nobody = person(PASSWORD), material.resident_number(497)
    bodies = []
    for number, at in ((known.number, "10.6.1.1"), (nobody, "10.6.1.2")):
        client, told = application.test_client(), []
        for data in ({"send": "1"}, {"send": "1"}, {"sms_code": "000000", "new_password": OTHER, "again": OTHER}):
            answer = submit(client, "/password/reset", at=at, account=number, mobile=known.mobile, **data)
            told.append((answer.status_code, same(answer)[2].replace(number, "NUMBER")))
        bodies.append(told)
    assert known.sent()
    assert bodies[0] == bodies[1]


def rank_z(one, other):
    """How far apart two samples lie by Mann-Whitney's U, in standard deviations."""
    ranks = {id(pair): rank for rank, pair in enumerate(sorted([*one, *other], key=lambda pair: pair[0]), 1)}
    u = sum(ranks[id(pair)] for pair in one) - len(one) * (len(one) + 1) / 2
    mean, spread = len(one) * len(other) / 2, math.sqrt(len(one) * len(other) * (len(one) + len(other) + 1) / 12)
    return (u - mean) / spread


def timed(application, address, fields, numbers, tries):
    """How long requests take for each of two numbers, taken in turns."""
    client = application.test_client()
    token = TOKEN.search(text(client.get(f"/{SLUG}{address}")))[1]
    taken = ([], [])
    for turn in range(tries):
        for which in (0, 1) if turn % 2 else (1, 0):
            where = {"REMOTE_ADDR": f"10.{7 + which}.{turn // 250}.{turn % 250}"}
            began = time.perf_counter()
            client.post(f"/{SLUG}{address}", data={"csrf_token": token, "account": numbers[which]} | fields(turn), environ_overrides=where)
            taken[which].append((time.perf_counter() - began,))
    return taken


def test_known_and_unknown_take_the_same_time(application, person, monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", REAL[0])
    monkeypatch.setattr(passwords, "_DUMMY", REAL[1])
    doctor, nobody = person(PASSWORD), material.resident_number(496)
    monkeypatch.setattr(guarding, "UNDER_ATTACK", 10**6)
    pairs = timed(application, "/login", lambda turn: {"password": f"wrong-{turn}"}, (doctor.number, nobody), 60)
    assert abs(rank_z(*pairs)) < 4, [statistics.median(pair[0] for pair in one) for one in pairs]
    with monkeypatch.context() as patched:
        patched.setattr(passwords, "matches", lambda kept, _typed: bool(kept) and not REAL[0].verify(REAL[1], "nobody has this password"))
        leaking = timed(application, "/login", lambda turn: {"password": f"wrong-{turn}"}, (doctor.number, nobody), 12)
    assert abs(rank_z(*leaking)) > 3, "the measure sees a leak where there is one"


def test_a_code_that_goes_out_takes_no_longer_to_be_asked_for(application, person, monkeypatch):
    """The carrier takes half a second, and nobody who asks waits for it."""
    doctor = person(PASSWORD)
    sent = []
    monkeypatch.setattr(application.extensions["sms later"], "sms", Slow(sent))
    began = time.perf_counter()
    assert "将在一分钟内送达" in text(ask_reset(doctor))
    assert time.perf_counter() - began < 0.5
    assert sent == []
    application.extensions["sms later"].settle()
    assert len(sent) == 1


class Slow:
    """A carrier that takes its time."""

    def __init__(self, sent):
        self.sent = sent

    def send(self, message):
        time.sleep(0.8)
        self.sent.append(message)


# --- guessing, spraying, locking out (security.md 5)


def test_one_who_guesses_waits_and_the_owner_gets_in_from_elsewhere(application, person):
    doctor, attacker = person(PASSWORD), application.test_client()
    for number in range(5):
        assert doctor.sign_in(f"guess-{number}-xx", attacker, at="10.9.0.1").status_code == 422
    blocked = doctor.sign_in("guess-6-xx", attacker, at="10.9.0.1")
    assert blocked.status_code == 429
    assert 0 < int(blocked.headers["Retry-After"]) <= 30
    assert "尝试次数过多,请" in text(blocked)
    assert doctor.sign_in(PASSWORD, attacker, at="10.9.0.1").status_code == 429, "who waits isn't told that it was right"
    assert doctor.sign_in(PASSWORD, at="10.9.0.2").location == f"/{SLUG}/start"


def test_the_wait_doubles_up_to_a_quarter_of_an_hour_and_ends(application, person):
    doctor, attacker, waits = person(PASSWORD), application.test_client(), []
    start = clock.now()
    with freeze_time(start) as moved:
        for number in range(12):
            answer = doctor.sign_in(f"guess-{number}-xx", attacker, at="10.9.1.1")
            if answer.status_code == 429:
                waits.append(int(answer.headers["Retry-After"]))
                moved.tick(timedelta(seconds=waits[-1] + 1))
                assert doctor.sign_in(f"again-{number}-xx", attacker, at="10.9.1.1").status_code == 422
        assert waits[:3] == [30, 60, 120]
        assert max(waits) <= 900
        moved.tick(timedelta(seconds=901))
        assert doctor.sign_in(PASSWORD, attacker, at="10.9.1.1").status_code == 303


def test_many_who_guess_one_account_keep_its_owner_out_nowhere(application, person):
    doctor = person(PASSWORD)
    assert doctor.sign_in(PASSWORD, at="10.9.2.250").status_code == 303
    for number in range(guarding.UNDER_ATTACK + 3):
        doctor.sign_in(f"guess-{number}-xx", application.test_client(), at=f"10.9.2.{number + 1}")
    stranger = application.test_client()
    assert doctor.sign_in("mistyped-once", stranger, at="10.9.3.1").status_code == 422
    assert doctor.sign_in("guess-again-xx", stranger, at="10.9.3.1").status_code == 429, "under attack a strange place has one free try"
    fresh = application.test_client()
    assert doctor.sign_in(PASSWORD, fresh, at="10.9.3.2").status_code == 303, "the owner's right password gets in from anywhere"
    assert doctor.sign_in("mistyped-once", doctor.client, at="10.9.2.1").status_code == 422, "a known device has five, even at an attacker's address"
    assert doctor.sign_in(PASSWORD, doctor.client, at="10.9.2.1").status_code == 303


def test_a_known_device_is_known_for_its_own_accounts_alone(application, person):
    one, other = person(PASSWORD), person(PASSWORD)
    assert one.sign_in(PASSWORD).status_code == 303
    for number in range(5):
        assert other.sign_in(f"guess-{number}-xx", one.client, at="10.9.4.1").status_code == 422
    assert other.sign_in("guess-5-xx", one.client, at="10.9.4.1").status_code == 429
    assert other.sign_in("guess-6-xx", application.test_client(), at="10.9.4.1").status_code == 429, "it counted for the place"
    forged = application.test_client()
    forged.set_cookie(f"dk-{SLUG}-device", one.client.get_cookie(f"dk-{SLUG}-device").value[:-3] + "abc")
    assert other.sign_in("guess-7-xx", forged, at="10.9.4.1").status_code == 429


def test_one_password_on_many_accounts_from_one_place_is_stopped(application, in_province, province):
    guard = guarding.Guard(application.extensions["redis"])
    with in_province(SLUG):
        def spray(number, at, word="spring-2026-x"):
            one = guarding.attempt(b"%d" % number, word, at, None)
            guard.admit(one)
            guard.wrong(one)

        for number in range(guarding.SAME_HERE):
            spray(number, "10.10.0.1")
        with pytest.raises(TooMany):
            spray(99, "10.10.0.1")
        spray(99, "10.10.0.1", "another-word-1")
        spray(99, "10.10.0.2")
        known = guarding.attempt(b"100", "spring-2026-x", "10.10.0.1", "device")
        guard.admit(known)


def test_one_password_on_many_accounts_from_many_places_is_stopped_but_for_known_devices(application, in_province, province):
    guard = guarding.Guard(application.extensions["redis"])
    with in_province(SLUG):
        tried = admitted(guard, "spring-2026-y", lambda number: f"10.11.{number}.1", guard.wrong)
        assert guarding.SAME_ANYWHERE * 0.9 <= tried <= guarding.SAME_ANYWHERE * 1.1
        with pytest.raises(TooMany):
            guard.admit(guarding.attempt(b"500", "spring-2026-y", "10.12.0.1", None))
        guard.admit(guarding.attempt(b"500", "spring-2026-y", "10.12.0.1", "device"))
        guard.admit(guarding.attempt(b"500", "another-word-2", "10.12.0.1", None))


def test_a_hospital_behind_one_address_signs_in_on_the_same_morning(application, in_province, province):
    guard = guarding.Guard(application.extensions["redis"])
    with in_province(SLUG):
        for number in range(150):
            first = guarding.attempt(b"h%d" % number, "666666", "10.13.0.1", None)
            guard.admit(first)
            guard.right(first)
            if number % 3 == 0:
                slip = guarding.attempt(b"h%d" % number, f"slip-of-{number}", "10.13.0.1", None)
                guard.admit(slip)
                guard.wrong(slip)
            again = guarding.attempt(b"h%d" % number, f"own-word-{number}", "10.13.0.1", None)
            guard.admit(again)
            guard.right(again)


def test_nobody_goes_through_the_numbers_with_the_initial_password(application, in_province, province):
    guard = guarding.Guard(application.extensions["redis"])
    with in_province(SLUG):
        stopped = admitted(guard, "666666", lambda _: "10.14.0.1", guard.right)
        assert guarding.SAME_HERE_INITIAL * 0.9 <= stopped <= guarding.SAME_HERE_INITIAL * 1.1
        assert admitted(guard, "666666", lambda _: "10.14.0.2", guard.wrong) <= guarding.OF_A_PLACE


TRIES = 3000


def admitted(guard, password, place, then):
    """How many accounts one password is tried on before that is stopped."""
    for number in range(TRIES):
        one = guarding.attempt(b"n%d" % number, password, place(number), None)
        try:
            guard.admit(one)
        except TooMany:
            return number
        then(one)
    return TRIES


def test_an_address_that_only_fails_is_stopped_and_a_whole_network_counts_as_one(application, in_province, province):
    guard = guarding.Guard(application.extensions["redis"])
    with in_province(SLUG):
        for number in range(guarding.OF_A_PLACE):
            one = guarding.attempt(b"p%d" % number, f"word-{number}", f"2001:db8:1:2::{number:x}", None)
            guard.admit(one)
            guard.wrong(one)
        with pytest.raises(TooMany):
            guard.admit(guarding.attempt(b"p999", "word-999", "2001:db8:1:2:ffff::1", None))
        guard.admit(guarding.attempt(b"p999", "word-999", "2001:db8:1:3::1", None))


def test_of_many_tries_at_once_five_are_made(application, in_province, province):
    guard, made, barrier = guarding.Guard(application.extensions["redis"]), [], threading.Barrier(40)

    def guess(number):
        with in_province(SLUG):
            one = guarding.attempt(b"race", f"guess-{number}", "10.15.0.1", None)
            barrier.wait()
            try:
                guard.admit(one)
            except TooMany:
                return
            made.append(1)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == guarding.FREE


def test_the_cache_knows_no_password_number_or_address_in_clear(application, person):
    doctor = person(PASSWORD)
    doctor.sign_in("very-secret-guess", at="203.0.113.77")
    ask_reset(doctor, at="203.0.113.77")
    code = doctor.sent()
    connection = application.extensions["redis"]
    for key in connection.scan_iter("*"):
        name = key.decode()
        if ":outbox" in name:
            continue
        kind = connection.type(key).decode()
        value = str({"hash": connection.hgetall, "string": connection.get}.get(kind, lambda _: "")(key))
        for secret in (doctor.number, doctor.mobile, "very-secret-guess", code):
            assert secret not in name + value, name
        assert "203.0.113.77" not in name or name.startswith("LIMITS:"), name


# --- sessions (security.md 7)


@contextmanager
def seen(in_province, account_id, **columns):
    with in_province(SLUG):
        db.session.execute(update(SignInSession).where(SignInSession.account_id == account_id).values(**columns))
        db.session.commit()
    yield


def session_cookie(client):
    return client.get_cookie(f"dk-{SLUG}").value


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
    old = application.test_client()
    old.set_cookie(f"dk-{SLUG}", first)
    assert second != first
    assert "/login" in old.get(f"/{SLUG}/account").location
    assert doctor.alive() == 1


@pytest.mark.parametrize(
    ("columns", "alive"),
    [
        ({"seen_at": timedelta(minutes=29)}, True), ({"seen_at": timedelta(minutes=31)}, False), ({"begun_at": timedelta(hours=11, minutes=59)}, True),
        ({"begun_at": timedelta(hours=12, minutes=1)}, False),
    ],
)  # fmt: skip
def test_a_session_ends_after_half_an_hour_of_rest_and_after_twelve(person, in_province, columns, alive):
    doctor = person(PASSWORD)
    doctor.sign_in(PASSWORD)
    ago = {name: clock.now() - span for name, span in columns.items()}
    if "begun_at" in ago:
        ago["ends_at"] = ago["begun_at"] + signing_in.ABSOLUTE
    with seen(in_province, doctor.id, **ago):
        assert (doctor.client.get(f"/{SLUG}/account").status_code == 200) is alive


def test_use_keeps_a_session_awake_but_not_beyond_twelve_hours(person):
    doctor = person(PASSWORD)
    start = clock.now()
    with freeze_time(start) as moved:
        doctor.sign_in(PASSWORD)
        for step in range(1, 29):
            moved.move_to(start + timedelta(minutes=25 * step))
            assert doctor.client.get(f"/{SLUG}/account").status_code == 200, step
        moved.move_to(start + timedelta(hours=12, seconds=1))
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
    before = session_cookie(doctor.client)
    refused = submit(doctor.client, "/password", old_password=PASSWORD, new_password=PASSWORD, again=PASSWORD)
    assert "新密码不能与原来的密码相同" in text(refused)
    assert submit(doctor.client, "/password", old_password=PASSWORD, new_password=OTHER, again=OTHER).status_code == 303
    assert session_cookie(doctor.client) != before
    assert doctor.client.get(f"/{SLUG}/account").status_code == 200
    assert "/login" in phone.get(f"/{SLUG}/account").location


def test_the_second_factor_gives_the_session_another_id(application, in_province, province):
    with in_province(SLUG):
        staff = make_staff(f"g-{uuid4().hex[:10]}", "测试管理员", [("province_admin", None)], by=TERMINAL)
        staff.state, staff.password_hash, secret = "active", passwords.hashed(PASSWORD), pyotp.random_base32()
        staff.second_factor_sealed = vault().seal(Place("account", "second_factor", staff.id), secret)
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
        staff = make_staff(f"g-{uuid4().hex[:10]}", "测试人员", [("auditor", None)], by=TERMINAL)
        staff.state = "active"
        token = signing_in.begin_session(staff)
        accounts.give_role(staff, "question_editor", None, by=TERMINAL)
        assert signing_in.session_of(token) is None


def test_cookies_are_for_this_host_for_tls_and_for_no_script(application, person):
    doctor = person(PASSWORD)
    guarded = create_app(dataclasses.replace(application.extensions["settings"], plain_http=False))
    client = guarded.test_client()
    base = {"base_url": "https://localhost"}
    page = client.get(f"/{SLUG}/login", **base)
    answers = [page, client.post(f"/{SLUG}/login", data={"csrf_token": TOKEN.search(text(page))[1], "account": doctor.number, "password": PASSWORD}, **base)]
    assert answers[1].status_code == 303
    fresh = person()
    other = guarded.test_client()
    page = other.get(f"/{SLUG}/login", **base)
    answers.append(other.post(f"/{SLUG}/login", data={"csrf_token": TOKEN.search(text(page))[1], "account": fresh.number, "password": "666666"}, **base))
    set_ = [cookie for answer in answers for cookie in answer.headers.getlist("Set-Cookie")]
    names = {cookie.split("=")[0] for cookie in set_}
    assert {f"__Host-dk-{SLUG}", f"__Host-dk-{SLUG}-device", f"__Host-dk-{SLUG}-ticket", f"__Host-dk-{SLUG}-form"} <= names
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
        (doctor.client, "Mozilla/5.0 (Linux; Android 14; V2309A) AppleWebKit/537.36 Chrome/116.0 Mobile Safari/537.36 MicroMessenger/8.0.49"),
        (phone, "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1"),
        (office, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0"),
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
    theirs = TOKEN.search(text(stranger.client.get(f"/{SLUG}/account/mobile")))[1]
    stranger.client.post(ends[0], data={"csrf_token": theirs})
    assert doctor.alive() == 3, "nobody signs another person out"
    doctor.client.post(ends[0], data={"csrf_token": token})
    assert doctor.alive() == 2
    doctor.client.post(f"/{SLUG}/account/sessions/end-others", data={"csrf_token": token})
    assert doctor.alive() == 1
    assert doctor.client.get(f"/{SLUG}/account").status_code == 200
    assert not [one for one in (phone, office) if one.get(f"/{SLUG}/account").status_code == 200]


def test_the_number_is_changed_by_the_password_and_a_code_to_the_new_one(application, person, in_province):
    doctor, phone = person(PASSWORD), application.test_client()
    doctor.sign_in(PASSWORD)
    doctor.sign_in(PASSWORD, phone)
    old, doctor.mobile = doctor.mobile, f"1366{uuid4().int % 10**7:07d}"

    def send(**fields):
        return text(submit(doctor.client, "/account/mobile", **{"password": PASSWORD, "mobile": doctor.mobile, "send": "1"} | fields))

    assert "登录密码不正确" in send(password="wrong-one-1")
    assert "这就是现在绑定的手机号" in send(mobile=old)
    assert doctor.sent() is None
    assert "验证码将在一分钟内送达新手机号" in send()
    code = doctor.sent()
    given = {"password": PASSWORD, "mobile": doctor.mobile}
    assert "验证码不正确" in text(submit(doctor.client, "/account/mobile", sms_code=wrong(code), **given))
    assert "登录密码不正确" in text(submit(doctor.client, "/account/mobile", **given | {"sms_code": code, "password": "wrong-one-1"}))
    assert submit(doctor.client, "/account/mobile", sms_code=code, **given).location == f"/{SLUG}/account"
    assert "/login" in phone.get(f"/{SLUG}/account").location
    assert f"{doctor.mobile[:3]}****{doctor.mobile[-4:]}" in text(doctor.client.get(f"/{SLUG}/account"))
    with in_province(SLUG):
        assert signing_in.bound_mobile(doctor.row()) == doctor.mobile
        assert db.session.scalars(select(Notice.title).where(Notice.account_id == doctor.id)).all() == ["手机号码已修改"]
    assert "将在一分钟内送达" in text(ask_reset(doctor, mobile=old))
    doctor.mobile, new = old, doctor.mobile
    assert doctor.sent() is None, "the number that is no longer bound gets nothing"
    doctor.mobile = new


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
)  # fmt: skip
def test_every_document_signs_in_as_people_type_it(application, in_province, province, kind, kept, typed):
    row = material.roster_row(CODE, 1, 证件类型=kind, 证件号码=kept, 性别="女" if kept == "130503670401001" else "男")
    row["性别"] = "男" if kept == "130503670401001" else row["性别"]
    with in_province(SLUG):
        report = import_roster(material.roster([row]), by=TERMINAL)
        assert report.errors == []
        again = import_roster(material.roster([row | {"证件号码": typed[0]}]), by=TERMINAL)
        assert (again.accepted, again.errors) == (0, []), "the same card, written otherwise, is the same doctor"
        db.session.commit()
    for place, number in enumerate(typed):
        answer = submit(application.test_client(), "/login", at=f"10.16.0.{place}", account=number, password="666666")
        assert answer.location == f"/{SLUG}/password/first", number
