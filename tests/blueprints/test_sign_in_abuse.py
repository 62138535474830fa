"""Passwords in wrong hands (security.md 4 and 5): what an attacker learns and whom an attacker can lock out."""

import math
import statistics
import threading
import time
from datetime import timedelta

import pytest

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import InvalidInput, RateLimited
from dingkao.people import attempt_rules, authentication, passwords, sign_in_attempts, sign_in_throttling
from tests import sample_data
from tests.blueprints.sign_in_account import (
    OTHER_PASSWORD,
    PASSWORD,
    SLUG,
    TOKEN,
    ask_reset,
    freeze_time,
    same,
    submit,
    text,
)
from tests.tenants.statements import captured_statements

pytestmark = pytest.mark.usefixtures("clean_counters")


# --- who exists (security.md 4)


def test_known_and_unknown_are_answered_alike(application, person):
    active, initial, closed, unbound = (
        person(PASSWORD),
        person(),
        person(PASSWORD),
        person(PASSWORD, bound=False),
    )
    closed.set(state="closed")
    nobody = sample_data.resident_number(498)
    answers_by_number = {}
    for place, number in enumerate([active.number, initial.number, closed.number, unbound.number, nobody]):

        def ask(address, place=place, number=number, **data):
            answer = submit(application.test_client(), address, at=f"10.6.0.{place}", account=number, **data)
            status, headers, body = same(answer)
            return status, headers, body.replace(number, "NUMBER")

        mobile = "13900001111"
        new_password_fields = {"new_password": OTHER_PASSWORD, "again": OTHER_PASSWORD}
        answers = [
            ask("/login", password="wrong-password-1"),
            ask("/login", password="666666x"),
            ask("/password/reset", mobile=mobile, send="1"),
            ask("/password/reset", mobile=mobile, send="1"),
            ask("/password/reset", mobile=mobile, sms_code="123456", **new_password_fields),
            *(
                ask("/password/reset", mobile=mobile, sms_code=f"12345{digit}", **new_password_fields)
                for digit in range(5)
            ),
        ]
        answers += [ask("/login", password=f"wrong-password-{digit}") for digit in range(5)]
        assert answers[-1][0] == 429
        answers_by_number[number] = answers
    for number, answers in answers_by_number.items():
        for answer, unknown_answer in zip(answers, answers_by_number[nobody], strict=True):
            assert answer == unknown_answer, number


def test_a_password_is_held_to_what_one_question_gives_whoever_is_named(person, in_province):
    known_number, unknown_number = person(PASSWORD).number, sample_data.resident_number(497)
    for number in (known_number, unknown_number):
        with in_province(SLUG), captured_statements(db.engine) as statements, pytest.raises(InvalidInput):
            authentication.authenticate("doctor", number, OTHER_PASSWORD)
        assert len(statements) == 1, number


def test_a_right_number_in_the_reset_is_answered_as_a_wrong_one(application, person):
    known_doctor, nobody = person(PASSWORD), sample_data.resident_number(497)
    bodies = []
    for number, address in ((known_doctor.number, "10.6.1.1"), (nobody, "10.6.1.2")):
        client, answers = application.test_client(), []
        for data in (
            {"send": "1"},
            {"send": "1"},
            {"sms_code": "000000", "new_password": OTHER_PASSWORD, "again": OTHER_PASSWORD},
        ):
            answer = submit(
                client, "/password/reset", at=address, account=number, mobile=known_doctor.mobile, **data
            )
            answers.append((answer.status_code, same(answer)[2].replace(number, "NUMBER")))
        bodies.append(answers)
    assert known_doctor.sent()
    assert bodies[0] == bodies[1]


def rank_z(one, other):
    """How far apart two samples lie by Mann-Whitney's U, in standard deviations."""
    ranks = {id(pair): rank for rank, pair in enumerate(sorted([*one, *other], key=lambda pair: pair[0]), 1)}
    u = sum(ranks[id(pair)] for pair in one) - len(one) * (len(one) + 1) / 2
    mean, spread = (
        len(one) * len(other) / 2,
        math.sqrt(len(one) * len(other) * (len(one) + len(other) + 1) / 12),
    )
    return (u - mean) / spread


def timed(application, address, fields, numbers, tries):
    """How long requests take for each of two numbers, taken in turns."""
    client = application.test_client()
    token = TOKEN.search(text(client.get(f"/{SLUG}{address}")))[1]
    durations = ([], [])
    for turn in range(tries):
        for index in (0, 1) if turn % 2 else (1, 0):
            environ = {"REMOTE_ADDR": f"10.{7 + index}.{turn // 250}.{turn % 250}"}
            began = time.perf_counter()
            client.post(
                f"/{SLUG}{address}",
                data={"csrf_token": token, "account": numbers[index]} | fields(turn),
                environ_overrides=environ,
            )
            durations[index].append((time.perf_counter() - began,))
    return durations


def test_known_and_unknown_take_the_same_time(application, person, monkeypatch, real_hashes):
    doctor, nobody = person(PASSWORD), sample_data.resident_number(496)
    monkeypatch.setattr(attempt_rules, "ATTACK_THRESHOLD", 10**6)
    pairs = timed(
        application, "/login", lambda turn: {"password": f"wrong-{turn}"}, (doctor.number, nobody), 60
    )
    assert abs(rank_z(*pairs)) < 4, [statistics.median(pair[0] for pair in sample) for sample in pairs]
    with monkeypatch.context() as patched:
        patched.setattr(
            passwords,
            "verify_password",
            lambda kept, _typed: (
                bool(kept) and not real_hashes.verify(passwords._DUMMY_HASH, "nobody has this password")
            ),
        )
        leaking = timed(
            application, "/login", lambda turn: {"password": f"wrong-{turn}"}, (doctor.number, nobody), 12
        )
    assert abs(rank_z(*leaking)) > 3, "the measure sees a leak where there is one"


def test_a_code_that_goes_out_takes_no_longer_to_be_asked_for(application, person, monkeypatch):
    """The carrier takes until we let it, and nobody who asks waits for it."""
    doctor = person(PASSWORD)
    carrier = Slow()
    monkeypatch.setattr(application.extensions["background_sms"], "sms", carrier)
    assert "将在一分钟内送达" in text(ask_reset(doctor))
    assert carrier.sent == []
    carrier.go_on.set()
    application.extensions["background_sms"].wait_until_sent()
    assert len(carrier.sent) == 1


class Slow:
    """A carrier that takes its time."""

    def __init__(self):
        self.sent, self.go_on = [], threading.Event()

    def send(self, message):
        self.go_on.wait(60)
        self.sent.append(message)


# --- guessing, spraying, locking out (security.md 5)


def test_one_who_guesses_waits_and_the_owner_gets_in_from_elsewhere(application, person):
    doctor, attacker = person(PASSWORD), application.test_client()
    for number in range(5):
        assert doctor.sign_in(f"guess-{number}-xx", attacker, at="10.9.0.1").status_code == 422
    blocked = doctor.sign_in("guess-6-xx", attacker, at="10.9.0.1")
    assert blocked.status_code == 429
    assert 0 < int(blocked.headers["Retry-After"]) <= 30
    assert "尝试次数过多，请" in text(blocked)
    assert doctor.sign_in(PASSWORD, attacker, at="10.9.0.1").status_code == 429, (
        "who waits isn't told that it was right"
    )
    assert doctor.sign_in(PASSWORD, at="10.9.0.2").location == f"/{SLUG}/start"


def test_the_wait_doubles_up_to_a_quarter_of_an_hour_and_ends(application, person):
    doctor, attacker, wait_seconds = person(PASSWORD), application.test_client(), []
    start = clock.now()
    with freeze_time(start) as frozen_time:
        for number in range(12):
            answer = doctor.sign_in(f"guess-{number}-xx", attacker, at="10.9.1.1")
            if answer.status_code == 429:
                wait_seconds.append(int(answer.headers["Retry-After"]))
                frozen_time.tick(timedelta(seconds=wait_seconds[-1] + 1))
                assert doctor.sign_in(f"again-{number}-xx", attacker, at="10.9.1.1").status_code == 422
        assert wait_seconds[:3] == [30, 60, 120]
        assert max(wait_seconds) <= 900
        frozen_time.tick(timedelta(seconds=901))
        assert doctor.sign_in(PASSWORD, attacker, at="10.9.1.1").status_code == 303


def test_many_who_guess_one_account_keep_its_owner_out_nowhere(application, person):
    doctor = person(PASSWORD)
    assert doctor.sign_in(PASSWORD, at="10.9.2.250").status_code == 303
    for number in range(attempt_rules.ATTACK_THRESHOLD + 3):
        doctor.sign_in(f"guess-{number}-xx", application.test_client(), at=f"10.9.2.{number + 1}")
    stranger = application.test_client()
    assert doctor.sign_in("mistyped-once", stranger, at="10.9.3.1").status_code == 422
    assert doctor.sign_in("guess-again-xx", stranger, at="10.9.3.1").status_code == 429, (
        "under attack a strange place has one free try"
    )
    new_client = application.test_client()
    assert doctor.sign_in(PASSWORD, new_client, at="10.9.3.2").status_code == 303, (
        "the owner's right password gets in from anywhere"
    )
    assert doctor.sign_in("mistyped-once", doctor.client, at="10.9.2.1").status_code == 422, (
        "a known device has five, even at an attacker's address"
    )
    assert doctor.sign_in(PASSWORD, doctor.client, at="10.9.2.1").status_code == 303


def test_a_known_device_is_known_for_its_own_accounts_alone(application, person):
    owner, other_doctor = person(PASSWORD), person(PASSWORD)
    assert owner.sign_in(PASSWORD).status_code == 303
    for number in range(5):
        assert other_doctor.sign_in(f"guess-{number}-xx", owner.client, at="10.9.4.1").status_code == 422
    assert other_doctor.sign_in("guess-5-xx", owner.client, at="10.9.4.1").status_code == 429
    assert other_doctor.sign_in("guess-6-xx", application.test_client(), at="10.9.4.1").status_code == 429, (
        "it counted for the place"
    )
    forged = application.test_client()
    forged.set_cookie(f"dk-{SLUG}-device", owner.client.get_cookie(f"dk-{SLUG}-device").value[:-3] + "abc")
    assert other_doctor.sign_in("guess-7-xx", forged, at="10.9.4.1").status_code == 429


def test_one_password_on_many_accounts_from_one_place_is_stopped(application, in_province, province):
    guard = sign_in_throttling.SignInThrottle(application.extensions["redis"])
    with in_province(SLUG):

        def spray(number, at, word="spring-2026-x"):
            attempt = sign_in_attempts.password_attempt(b"%d" % number, word, at, None)
            guard.require_allowed(attempt)
            guard.record_failure(attempt)

        for number in range(attempt_rules.MAX_SAME_PASSWORD_PER_ORIGIN):
            spray(number, "10.10.0.1")
        with pytest.raises(RateLimited):
            spray(99, "10.10.0.1")
        spray(99, "10.10.0.1", "another-word-1")
        spray(99, "10.10.0.2")
        known_attempt = sign_in_attempts.password_attempt(b"100", "spring-2026-x", "10.10.0.1", "device")
        guard.require_allowed(known_attempt)


def test_one_password_on_many_accounts_from_many_places_is_stopped_but_for_known_devices(
    application, in_province, province
):
    guard = sign_in_throttling.SignInThrottle(application.extensions["redis"])
    with in_province(SLUG):
        tried = admitted(guard, "spring-2026-y", lambda number: f"10.11.{number}.1", guard.record_failure)
        assert attempt_rules.MAX_SAME_PASSWORD * 0.9 <= tried <= attempt_rules.MAX_SAME_PASSWORD * 1.1
        with pytest.raises(RateLimited):
            guard.require_allowed(
                sign_in_attempts.password_attempt(b"500", "spring-2026-y", "10.12.0.1", None)
            )
        guard.require_allowed(
            sign_in_attempts.password_attempt(b"500", "spring-2026-y", "10.12.0.1", "device")
        )
        guard.require_allowed(sign_in_attempts.password_attempt(b"500", "another-word-2", "10.12.0.1", None))


def test_a_hospital_behind_one_address_signs_in_on_the_same_morning(application, in_province, province):
    guard = sign_in_throttling.SignInThrottle(application.extensions["redis"])
    with in_province(SLUG):
        for number in range(150):
            first = sign_in_attempts.password_attempt(b"h%d" % number, "666666", "10.13.0.1", None)
            guard.require_allowed(first)
            guard.reset_after_success(first)
            if number % 3 == 0:
                slip = sign_in_attempts.password_attempt(
                    b"h%d" % number, f"slip-of-{number}", "10.13.0.1", None
                )
                guard.require_allowed(slip)
                guard.record_failure(slip)
            second_attempt = sign_in_attempts.password_attempt(
                b"h%d" % number, f"own-word-{number}", "10.13.0.1", None
            )
            guard.require_allowed(second_attempt)
            guard.reset_after_success(second_attempt)


def test_nobody_goes_through_the_numbers_with_the_initial_password(application, in_province, province):
    guard = sign_in_throttling.SignInThrottle(application.extensions["redis"])
    with in_province(SLUG):
        stopped = admitted(guard, "666666", lambda _: "10.14.0.1", guard.reset_after_success)
        assert (
            attempt_rules.MAX_INITIAL_PASSWORD_PER_ORIGIN * 0.9
            <= stopped
            <= attempt_rules.MAX_INITIAL_PASSWORD_PER_ORIGIN * 1.1
        )
        assert (
            admitted(guard, "666666", lambda _: "10.14.0.2", guard.record_failure)
            <= attempt_rules.MAX_WRONG_PER_ORIGIN
        )


TRIES = 3000


def admitted(guard, password, place, then):
    """How many accounts one password is tried on before that is stopped."""
    for number in range(TRIES):
        attempt = sign_in_attempts.password_attempt(b"n%d" % number, password, place(number), None)
        try:
            guard.require_allowed(attempt)
        except RateLimited:
            return number
        then(attempt)
    return TRIES


def test_an_address_that_only_fails_is_stopped_and_a_whole_network_counts_as_one(
    application, in_province, province
):
    guard = sign_in_throttling.SignInThrottle(application.extensions["redis"])
    with in_province(SLUG):
        for number in range(attempt_rules.MAX_WRONG_PER_ORIGIN):
            attempt = sign_in_attempts.password_attempt(
                b"p%d" % number, f"word-{number}", f"2001:db8:1:2::{number:x}", None
            )
            guard.require_allowed(attempt)
            guard.record_failure(attempt)
        with pytest.raises(RateLimited):
            guard.require_allowed(
                sign_in_attempts.password_attempt(b"p999", "word-999", "2001:db8:1:2:ffff::1", None)
            )
        guard.require_allowed(sign_in_attempts.password_attempt(b"p999", "word-999", "2001:db8:1:3::1", None))


def test_of_many_tries_at_once_five_are_made(application, in_province, province):
    guard, admissions, barrier = (
        sign_in_throttling.SignInThrottle(application.extensions["redis"]),
        [],
        threading.Barrier(40),
    )

    def guess(number):
        with in_province(SLUG):
            attempt = sign_in_attempts.password_attempt(b"race", f"guess-{number}", "10.15.0.1", None)
            barrier.wait()
            try:
                guard.require_allowed(attempt)
            except RateLimited:
                return
            admissions.append(1)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admissions) == attempt_rules.FREE_TRIES


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
