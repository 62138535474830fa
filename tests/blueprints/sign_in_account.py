"""What tests of signing in stand on: a doctor's account and browser, the forms that are posted, and a clock
that moves."""

import re
import threading
from contextlib import contextmanager
from unittest.mock import patch

from freezegun import freeze_time as frozen
from sqlalchemy import select, update

from dingkao.database.base import db
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import passwords, sign_in_sessions
from dingkao.people.accounts import doctor_login_index, issue_code
from dingkao.people.models import Account
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests import actors, sample_data

SLUG, CODE = "ningxia", 64
PASSWORD = "helan-shanxia-77"
OTHER_PASSWORD = "huanghe-rushui-31"
UNMOVED = [
    "argon2",
    "authlib",
    "boto",
    "cryptography",
    "fontTools",
    "hypothesis",
    "PIL",
    "playwright",
    "psycopg",
    "pyhanko",
    "redis",
    "rq",
    "sqlalchemy",
    "weasyprint",
    "zxcvbn",
]
"""Whose clocks stay as they are: looking for them in every module of these takes longer than the tests."""
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def freeze_time(moment):
    """Move the clock of the application."""
    return frozen(moment, ignore=UNMOVED)


@contextmanager
def crowd():
    """So many sign in that no place for hashing becomes free in time."""
    with (
        patch.object(passwords, "_hash_slots", threading.BoundedSemaphore(1)),
        patch.object(passwords, "QUEUE_TIMEOUT_SECONDS", 0.01),
        passwords._hash_slots,
    ):
        yield


class Person:
    """A doctor of the test: the number, what stands in the row, a browser of one's own at an address of one's
    own."""

    serial = 0

    def __init__(self, application, in_province, mobile, password=None, bound=True):
        Person.serial += 1
        self.application, self.in_province, self.mobile = application, in_province, mobile
        roster_row = sample_data.roster_row(CODE, Person.serial, 手机号码=mobile)
        self.number = roster_row["证件号码"]
        with in_province(SLUG):
            actors.put_on_roster(roster_row)
            account = self.row()
            self.id, self.index = account.id, bytes(account.login_index)
            if password:
                account.state, account.password_hash = "active", passwords.hash_password(password)
            if password and bound:
                account.mobile_sealed = current_vault().encrypt(
                    SecretLocation("account", "mobile", account.id), mobile
                )
            db.session.commit()
        self.client = application.test_client()

    def row(self):
        """The account's row, in the province entered."""
        return db.session.scalars(
            select(Account).where(Account.login_index == doctor_login_index(self.number))
        ).one()

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
            code = issue_code(self.row(), by=TERMINAL_ACTOR)
            db.session.commit()
        return code

    def change(self, client=None, **fields):
        """The change page with what it asks for."""
        form = {
            "old_password": "666666",
            "new_password": PASSWORD,
            "again": PASSWORD,
            "mobile": self.mobile,
        } | fields
        return submit(client or self.client, "/password/first", **form)

    def sent(self):
        """The code that was sent to this number last, None where none was."""
        self.application.extensions["background_sms"].wait_until_sent()
        with self.in_province(SLUG):
            texts = [
                message["text"]
                for message in self.application.extensions["sms"].messages()
                if message["mobile"] == self.mobile
            ]
        return re.search(r"\d{6}", texts[0])[0] if texts else None

    def alive(self):
        """How many sessions this account has."""
        with self.in_province(SLUG):
            return len(sign_in_sessions.live_sessions(self.id))


def submit(client, address, page=None, at="10.1.0.1", **data):
    """Post a form of this province from an address."""
    environ = {"REMOTE_ADDR": at}
    token_match = TOKEN.search(
        client.get(f"/{SLUG}{page or address}", environ_overrides=environ).get_data(as_text=True)
    )
    token = token_match[1] if token_match else ""
    return client.post(f"/{SLUG}{address}", data={"csrf_token": token} | data, environ_overrides=environ)


def text(answer):
    return answer.get_data(as_text=True)


def same(answer):
    """What an answer tells: its status, headers and body without what is new in every answer."""
    body = TOKEN.sub("", text(answer))
    ours = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("Set-Cookie", "Content-Length", "Retry-After")
    }
    return answer.status_code, ours, re.sub(r"请\d+(秒|分钟)后", "", body)


def ask_reset(doctor, client=None, at="10.1.0.1", **fields):
    return submit(
        client or doctor.client,
        "/password/reset",
        at=at,
        **{"account": doctor.number, "mobile": doctor.mobile, "send": "1"} | fields,
    )


def reset(doctor, code, client=None, at="10.1.0.1", **fields):
    form = {
        "account": doctor.number,
        "mobile": doctor.mobile,
        "sms_code": code,
        "new_password": OTHER_PASSWORD,
        "again": OTHER_PASSWORD,
    } | fields
    return submit(client or doctor.client, "/password/reset", at=at, **form)


def wrong(code):
    return f"{(int(code) + 1) % 10**6:06d}"


def session_cookie(client):
    return client.get_cookie(f"dk-{SLUG}").value
