"""From where one acted, and what was tried in vain: the journal has it, bounded, and without what was
typed."""

import io
import json
import re
import threading
from uuid import uuid4

import pyotp
import pytest
import redis
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from dingkao import clock
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.journal import failed_attempts
from dingkao.journal.entries import TERMINAL_ACTOR, Actor, invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.operators import operator_accounts as operators
from dingkao.operators.models import Operator, OperatorAct
from dingkao.people import authentication, passwords
from dingkao.people.accounts import create_staff
from dingkao.people.models import Account, SignInSession
from dingkao.tenants.clients import Client, acting_for
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests import actors, sample_data
from tests.blueprints.signed_in_client import signed_in_client

SLUG, CODE = "fujian", 35
PASSWORD = "sieben-blaue-Pferde-im-Regen"
PHONE = (
    "Mozilla/5.0 (Linux; Android 13; M2102) AppleWebKit/537.36 Chrome/110 Mobile Safari/537.36 "
    "MicroMessenger/8.0"
)
CLIENT_ENVIRON = {"REMOTE_ADDR": "203.0.113.7"}
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


@pytest.fixture(scope="module")
def ground(application, in_province):
    return actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))


@pytest.fixture(autouse=True)
def clean_counters(application, ground):
    """Every test begins with a cache in which nobody has tried anything."""
    connection = application.extensions["redis"]
    for pattern in (f"t:{CODE}:*", "platform:*", "LIMITS:*"):
        for key in connection.scan_iter(pattern, count=1000):
            connection.delete(key)


def submit(client, address, page=None, **data):
    response = client.get(
        f"/{SLUG}{page or address}",
        environ_overrides=CLIENT_ENVIRON,
        headers={"User-Agent": PHONE},
        follow_redirects=True,
    )
    token = TOKEN.search(response.get_data(as_text=True))[1]
    return client.post(
        f"/{SLUG}{address}",
        data={"csrf_token": token} | data,
        environ_overrides=CLIENT_ENVIRON,
        headers={"User-Agent": PHONE},
    )


@pytest.fixture
def administrator(in_province, ground):
    """The user name of an administrator with password and second factor, the account's id, the factor's
    secret."""
    secret, name = pyotp.random_base32(), f"a-{uuid4().hex[:12]}"
    with in_province(SLUG):
        account = create_staff(name, "测试人员", [("province_admin", None)], by=TERMINAL_ACTOR)
        account.state, account.password_hash = "active", passwords.hash_password(PASSWORD)
        account.second_factor_sealed = current_vault().encrypt(
            SecretLocation("account", "second_factor", account.id), secret
        )
        db.session.commit()
        return name, account.id, secret


def entries(in_province, subject):
    with in_province(SLUG):
        return list(
            db.session.scalars(
                select(JournalEntry).where(JournalEntry.subject_id == subject).order_by(JournalEntry.id)
            )
        )


def attempts_on(in_province, kind, typed):
    """What was tried on an account, by what was typed for it; whose chain is sound."""
    with in_province(SLUG):
        subject = failed_attempts.attempt_subject(authentication.login_index(kind, typed))
        assert invalid_entries(subject) == []
    return entries(in_province, subject)


def test_whoever_acts_is_known_by_address_and_device(application, in_province, administrator):
    name, account_id, secret = administrator
    client = application.test_client()
    submit(client, "/login?staff=1", account=name, password=PASSWORD)
    submit(client, "/second-factor", code=pyotp.TOTP(secret).now())
    entries_by_verb = {entry.verb: entry for entry in entries(in_province, account_id)}
    for verb in ("signed_in", "second_factor"):
        assert (entries_by_verb[verb].address, entries_by_verb[verb].device) == (
            "203.0.113.7",
            "安卓手机 · 微信",
        )
    assert (entries_by_verb["made"].address, entries_by_verb["made"].device) == (None, None)
    with in_province(SLUG):
        assert invalid_entries(account_id) == []


def test_what_a_job_does_is_done_from_where_it_was_asked_for(application, in_province, ground):
    clerk = signed_in_client(
        application, in_province, SLUG, "institution_clerk", sample_data.registration_number(CODE, 1)
    )
    roster = sample_data.roster_xlsx([sample_data.roster_row(CODE, 490)])
    assert submit(clerk, "/office/roster", file=(io.BytesIO(roster), "roster.xlsx")).status_code == 303
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        entry = db.session.scalars(
            select(JournalEntry)
            .where(JournalEntry.verb == "roster_imported")
            .order_by(JournalEntry.id.desc())
            .limit(1)
        ).one()
    assert (entry.address, entry.device) == ("203.0.113.7", "安卓手机 · 微信")


def test_outside_a_request_it_is_whom_one_acts_for(in_province, ground):
    subject_id = uuid4()
    with in_province(SLUG), acting_for(Client(device="命令行 · root")):
        failed_attempts.entries.write_entry("trial", subject_id, "made", by=TERMINAL_ACTOR)
        db.session.commit()
    [entry] = entries(in_province, subject_id)
    assert (entry.address, entry.device) == (None, "命令行 · root")


@pytest.mark.parametrize("kind", ["doctor", "staff"])
@pytest.mark.parametrize("known", [True, False])
def test_failed_sign_ins_leave_a_few_entries_a_minute_whoever_was_named(
    application, in_province, ground, administrator, kind, known
):
    account_name = (
        (ground.number if kind == "doctor" else administrator[0]) if known else f"nobody-{uuid4().hex[:8]}"
    )
    page, count = (
        "/login?staff=1" if kind == "staff" else "/login",
        len(attempts_on(in_province, kind, account_name)),
    )
    for number in range(7):
        assert submit(
            application.test_client(), page, account=account_name, password=f"falsch-{number}"
        ).status_code in (422, 429)
    attempts = attempts_on(in_province, kind, account_name)[count:]
    assert [
        (entry.verb, entry.actor_kind, entry.actor_id, entry.address, entry.device) for entry in attempts
    ] == [("sign_in_failed", kind, None, "203.0.113.7", "安卓手机 · 微信")] * 3
    application.extensions["redis"].delete(f"t:{CODE}:attempts:sign_in_failed:{attempts[0].subject_id}")
    submit(application.test_client(), page, account=account_name, password="falsch")
    last = attempts_on(in_province, kind, account_name)[-1]
    assert last.details["unwritten"] == 4
    assert last.details.get("held"), "it had to wait, so that not even the password was looked at"
    stored_text = json.dumps(
        [[entry.verb, entry.subject_kind, entry.reason, entry.details] for entry in attempts]
    )
    assert "falsch" not in stored_text
    assert account_name not in stored_text


def test_no_more_is_written_in_a_province_than_a_bound_a_minute(in_province, ground, monkeypatch):
    monkeypatch.setattr(failed_attempts, "MAX_PER_PROVINCE", 5)
    with in_province(SLUG):
        indices = [authentication.login_index("doctor", f"niemand-{number}-{uuid4()}") for number in range(9)]
        for index in indices:
            failed_attempts.record_attempt(index, "sign_in_failed", by=Actor("doctor"))
        matching_indexes = [
            index for index in indices if entries(in_province, failed_attempts.attempt_subject(index))
        ]
    assert matching_indexes == indices[:5]


def test_wrong_codes_of_the_second_factor_leave_entries_of_who_showed_the_password(
    application, in_province, administrator
):
    name, account_id, secret = administrator
    client = application.test_client()
    submit(client, "/login?staff=1", account=name, password=PASSWORD)
    for _ in range(2):
        assert submit(client, "/second-factor", code="000000").status_code == 422
    attempts = attempts_on(in_province, "staff", name)
    assert [
        (entry.verb, entry.actor_kind, entry.actor_id, entry.actor_role, entry.address) for entry in attempts
    ] == [("second_factor_failed", "staff", account_id, "province_admin", "203.0.113.7")] * 2
    assert submit(client, "/second-factor", code=pyotp.TOTP(secret).now()).status_code == 303
    with in_province(SLUG):
        assert invalid_entries(account_id) == []


def test_what_is_not_for_someone_leaves_an_entry(application, in_province, ground):
    clerk = signed_in_client(
        application, in_province, SLUG, "institution_clerk", sample_data.registration_number(CODE, 1)
    )
    with in_province(SLUG):
        doctor = db.session.scalars(select(Doctor).where(Doctor.id == ground.doctor_id)).one()
        account = db.session.scalars(
            select(Account)
            .join(SignInSession, SignInSession.account_id == Account.id)
            .order_by(SignInSession.id.desc())
            .limit(1)
        ).one()
    for _ in range(5):
        assert clerk.get(f"/{SLUG}/office/settings", environ_overrides=CLIENT_ENVIRON).status_code == 403
    submit(clerk, "/office/lines/approve", page="/office", line="x")
    assert ground.client.get(f"/{SLUG}/office/doctors/{doctor.id}").status_code == 403
    attempts = entries(in_province, failed_attempts.attempt_subject(account.login_index))
    assert [
        (
            attempt.verb,
            attempt.actor_id,
            attempt.actor_role,
            attempt.details["method"],
            attempt.details["path"],
        )
        for attempt in attempts
    ] == [("access_refused", account.id, "institution_clerk", "GET", "/office/settings")] * 3
    with in_province(SLUG):
        doctor_account = db.session.scalars(select(Account).where(Account.id == doctor.account_id)).one()
    [entry] = entries(in_province, failed_attempts.attempt_subject(doctor_account.login_index))[-1:]
    assert (entry.verb, entry.details["endpoint"], entry.actor_kind) == (
        "access_refused",
        "doctors.show_doctor",
        "doctor",
    )


def test_a_wrong_password_of_someone_signed_in_and_a_wrong_code_leave_entries(
    application, in_province, ground
):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
    assert (
        submit(
            doctor.client, "/password", old_password="falsch", new_password=PASSWORD, again=PASSWORD
        ).status_code
        == 422
    )
    submit(doctor.client, "/account/mobile", password="falsch", mobile="13800000000", send="1")
    reset = {
        "account": doctor.number,
        "mobile": "13800000000",
        "sms_code": "000000",
        "new_password": PASSWORD,
        "again": PASSWORD,
    }
    assert submit(application.test_client(), "/password/reset", **reset).status_code == 422
    assert (
        submit(application.test_client(), "/password/reset", **reset | {"again": "anders"}).status_code == 422
    )
    assert [entry.verb for entry in attempts_on(in_province, "doctor", doctor.number)] == [
        "password_failed",
        "password_failed",
        "code_failed",
    ]


def test_many_at_once_follow_each_other(application, in_province, ground):
    index = b"many at once, 32 bytes long......"

    def try_it():
        with in_province(SLUG):
            failed_attempts.entries.write_entry_in_own_transaction(
                "attempts", failed_attempts.attempt_subject(index), "sign_in_failed", by=Actor("doctor")
            )

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with in_province(SLUG):
        assert len(entries(in_province, failed_attempts.attempt_subject(index))) == 8
        assert invalid_entries(failed_attempts.attempt_subject(index)) == []


def raising(fault):
    def raises(*_given, **_more):
        raise fault

    return raises


def test_without_a_cache_it_is_written_and_without_a_database_nothing_more_is_refused(
    application, in_province, ground, monkeypatch
):
    index = uuid4().bytes * 2

    with in_province(SLUG), monkeypatch.context() as patched:
        patched.setattr(
            application.extensions["redis"].connection_pool,
            "get_connection",
            raising(redis.ConnectionError()),
        )
        failed_attempts.record_attempt(index, "sign_in_failed", by=Actor("doctor"))
    assert [entry.verb for entry in entries(in_province, failed_attempts.attempt_subject(index))] == [
        "sign_in_failed"
    ]
    with in_province(SLUG), monkeypatch.context() as patched:
        patched.setattr(
            failed_attempts.entries,
            "write_entry_in_own_transaction",
            raising(OperationalError("", {}, Exception())),
        )
        failed_attempts.record_attempt(index, "sign_in_failed", by=Actor("doctor"))
    assert len(entries(in_province, failed_attempts.attempt_subject(index))) == 1


def test_operators_leave_theirs_among_the_acts(application, ground):
    secret, name = pyotp.random_base32(), f"a-{uuid4().hex[:12]}"
    with application.app_context():
        operators.create_operator(name, "测试运营")
        operators.set_demonstration_credentials(name, PASSWORD, secret)
    client, agent = application.test_client(), {"User-Agent": PHONE}

    def post(address, **data):
        token = TOKEN.search(client.get(f"/platform{address}").get_data(as_text=True))[1]
        return client.post(
            f"/platform{address}",
            data={"csrf_token": token} | data,
            environ_overrides=CLIENT_ENVIRON,
            headers=agent,
        )

    for number in range(5):
        assert post("/sign-in", user_name=name, password=f"falsch-{number}").status_code == 422
    unknown = f"niemand-{uuid4().hex[:6]}"
    post("/sign-in", user_name=unknown, password="falsch")
    application.extensions["redis"].flushdb()
    post("/sign-in", user_name=name, password=PASSWORD)
    post("/second-factor", code="000000")
    with application.app_context(), db.engines["platform"].connect() as connection:
        acts = OperatorAct.__table__
        who = connection.execute(
            select(Operator.__table__.c.id).where(Operator.__table__.c.user_name == name)
        ).scalar_one()
        own_acts = (
            connection.execute(select(acts).where(acts.c.operator_id == who).order_by(acts.c.id))
            .mappings()
            .all()
        )
        nobody = (
            connection.execute(
                select(acts)
                .where(acts.c.operator_id.is_(None), acts.c.verb == "sign_in_failed")
                .order_by(acts.c.id.desc())
            )
            .mappings()
            .first()
        )
    assert [act["verb"] for act in own_acts] == ["sign_in_failed"] * 3 + ["signed_in", "second_factor_failed"]
    assert {(act["address"], act["device"]) for act in own_acts} == {("203.0.113.7", "安卓手机 · 微信")}
    assert (nobody["details"], nobody["address"]) == (None, "203.0.113.7")
    assert clock.now() >= nobody["at"]
