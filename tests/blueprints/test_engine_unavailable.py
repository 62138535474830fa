"""While an engine is away: pages that ask nothing of it and say what is safe, and /readyz that names it;
clocks that differ."""

import threading
import time
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import psycopg
import pytest
from flask import request
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, OperationalError

from dingkao import clock
from dingkao.app import create_app
from dingkao.assessments.models import Assessment
from dingkao.config import AppConfig
from dingkao.database import clock_skew
from dingkao.database.base import db
from dingkao.database.clock_skew import ClockSkewTooLarge
from dingkao.exams import sitting_completion, sittings
from dingkao.exams.papers import papers_for
from dingkao.journal.entries import Actor
from dingkao.web import request_lifecycle
from tests import actors
from tests.conftest import free_port

SLUG = "hainan"
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province, provinces):
    actors.exam_setup(application, in_province, SLUG)


@pytest.fixture
def away(stack):
    """A client of an application whose database is away, with the cookie of someone who is signed in."""
    text = f"postgresql+psycopg://dingkao_app:x@127.0.0.1:{free_port()}/dingkao"
    settings = replace(
        AppConfig.from_environment(stack.environment),
        database_url=text,
        platform_database_url=text.replace("_app", "_platform"),
    )
    client = create_app(settings).test_client()
    client.set_cookie(f"dk-{SLUG}", "x" * 43)
    return client


@pytest.mark.parametrize(
    "address", ["/home", "/filing/1", "/office", "/nowhere", f"/sitting/{UUID(int=7)}/end"]
)
def test_a_page_says_so_without_asking_and_tries_again_by_itself(away, address):
    answer = away.get(f"/{SLUG}{address}")
    assert answer.status_code == 503
    assert "暂时连接不上" in answer.text
    assert f'href="/{SLUG}{address}"' in answer.text
    assert answer.headers["Refresh"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "这台手机" not in answer.text


@pytest.mark.parametrize(
    "address", [f"/sitting/{UUID(int=7)}", f"/practice/mocks/{UUID(int=7)}", f"/practice/{UUID(int=7)}/3"]
)
def test_a_page_that_answers_says_that_the_answers_are_on_the_phone(away, address):
    answer = away.get(f"/{SLUG}{address}")
    assert answer.status_code == 503
    assert "答案存在这台手机上，没有丢失" in answer.text
    assert answer.headers["Refresh"]


def test_what_was_posted_is_told_as_not_kept_and_scripts_get_it_as_such(away):
    answer = away.post(f"/{SLUG}/logout", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code in (400, 503)
    assert answer.text
    answer = away.get(f"/{SLUG}/sitting/{UUID(int=7)}/standing", headers={"Accept": "application/json"})
    assert (answer.status_code, set(answer.json)) == (503, {"error"})


def test_a_front_page_is_there_though_no_province_can_be_asked_for(away):
    assert away.get("/").status_code == 200
    assert away.get("/nowhere").status_code == 404


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (OperationalError("x", None, psycopg.OperationalError()), 503),
        (IntegrityError("x", None, psycopg.IntegrityError()), 409),
    ],
)
def test_what_fails_at_the_commit_is_told_like_what_fails_before(
    application, in_province, monkeypatch, fault, status
):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))

    truly = request_lifecycle.bulk_flush

    def send(session):
        if request.method == "POST":
            raise fault
        truly(session)

    monkeypatch.setattr(request_lifecycle, "bulk_flush", send)
    answer = doctor.post("/filing/notice")
    assert answer.status_code == status
    assert ("没有保存" if status == 503 else "没有重复办理") in answer.text


# --- /readyz


def test_readyz_names_each_engine_that_is_away(stack):
    settings = AppConfig.from_environment(stack.environment)
    nowhere = free_port()
    unreachable_config = replace(
        settings,
        platform_database_url=f"postgresql+psycopg://dingkao_platform:x@127.0.0.1:{nowhere}/dingkao",
        redis_url=f"redis://127.0.0.1:{nowhere}/0",
        s3_endpoint_url=f"http://127.0.0.1:{nowhere}",
    )
    answer = create_app(unreachable_config).test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.text.splitlines() == ["database: 连接不上", "queue: 连接不上", "store: 连接不上"]
    alive = create_app(unreachable_config).test_client().get("/healthz")
    assert (alive.text, alive.mimetype) == ("ok\n", "text/plain")
    assert create_app(settings).test_client().get("/readyz").text == "ready\n"


def test_readyz_names_a_bucket_that_is_missing_and_how_it_is_made(stack):
    settings = replace(AppConfig.from_environment(stack.environment), s3_bucket="not-made-yet")
    answer = create_app(settings).test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.text == "store: 没有存储桶 not-made-yet，请执行 dingkao files prepare\n"
    answer = create_app(replace(settings, s3_secret_key="x")).test_client().get("/readyz")
    assert answer.text.startswith("store: 拒绝访问存储桶 not-made-yet")


# --- clocks


@pytest.fixture
def clock_ahead(application, monkeypatch):
    """Put this machine's clock ahead by so many seconds; what was measured before is forgotten."""
    truly = time.clock_gettime

    def ahead(seconds):
        monkeypatch.setattr(
            clock_skew.time,
            "clock_gettime",
            lambda which: truly(which) + (seconds if which == time.CLOCK_REALTIME else 0),
        )
        application.extensions["clocks"].measured = float("-inf")

    yield ahead
    application.extensions["clocks"].measured = float("-inf")


@pytest.mark.parametrize("seconds", [2.5, -2.5, 3600])
def test_readyz_names_clocks_that_differ(application, clock_ahead, seconds):
    clock_ahead(seconds)
    ready = application.test_client().get("/readyz")
    assert ready.status_code == 503
    assert ready.text.startswith(
        f"clock: 本机时钟比数据库{'快' if seconds > 0 else '慢'} {abs(seconds):.1f} 秒"
    )
    clock_ahead(seconds / abs(seconds) * 1.5)
    assert application.test_client().get("/readyz").text == "ready\n"


def test_no_sitting_begins_while_the_clocks_differ_and_none_is_closed(
    application, in_province, ground, clock_ahead
):
    doctor = actors.ready_doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()
        ).one()
        paper = papers_for(record)[0]
        clock_ahead(2.5)
        with pytest.raises(ClockSkewTooLarge):
            sittings.open_sitting(record, paper, by=Actor("doctor", UUID(int=7)))
        clock_ahead(1.5)
        sitting = sittings.open_sitting(record, paper, by=Actor("doctor", UUID(int=7)))
        sitting.closes_at = clock.now() - timedelta(minutes=5)
        db.session.commit()
        clock_ahead(-2.5)
        assert sittings.open_sitting(record, paper, by=Actor("doctor", UUID(int=7))) is sitting
        assert sitting_completion.close_overdue() == 0
        clock_ahead(0)
        assert sitting_completion.close_overdue() >= 1


def test_the_clocks_are_measured_again_after_a_minute_and_a_slow_answer_accuses_nobody(
    application, monkeypatch
):
    clocks, moment = application.extensions["clocks"], [1000.0]
    measurements = []
    monkeypatch.setattr(
        clock_skew,
        "_measure_once",
        lambda _connection: measurements.append(1) or (5.0, 4.0 if len(measurements) % 3 else 3.5),
    )
    monkeypatch.setattr(clock_skew.time, "clock_gettime", lambda _which: moment[0])
    clocks.measured = float("-inf")
    with application.app_context():
        assert clocks.seconds_ahead() == 1.5
        assert not clock_skew.is_skew_too_large()
        assert len(measurements) == clock_skew.MEASURE_ATTEMPTS
        moment[0] += 60
        clocks.seconds_ahead()
        assert len(measurements) == clock_skew.MEASURE_ATTEMPTS
        moment[0] += 6
        clocks.seconds_ahead()
        assert len(measurements) == 2 * clock_skew.MEASURE_ATTEMPTS
    clocks.measured = float("-inf")


def test_the_web_server_measures_at_its_start_and_then_again_and_again(monkeypatch):
    monkeypatch.setattr(clock_skew, "MEASURE_INTERVAL_SECONDS", 0.05)
    measured, enough = [], threading.Event()

    def measure():
        measured.append(1)
        if len(measured) == 2:
            raise OperationalError("x", None, psycopg.OperationalError())
        if len(measured) == 4:
            enough.set()

    over = clock_skew.start_monitor(SimpleNamespace(extensions={"clocks": SimpleNamespace(measure=measure)}))
    assert enough.wait(10)
    over.set()


def test_a_connection_that_the_database_has_ended_is_replaced_though_it_was_used_just_now(
    application, provinces, in_province, owner_connection
):
    backend_id = select(func.pg_backend_pid())
    with in_province("shanxi"):
        used = db.session.scalar(backend_id)
    owner_connection.execute("select pg_terminate_backend(%s, 5000)", (used,))
    with in_province("shanxi"):
        assert db.session.scalar(backend_id) != used
