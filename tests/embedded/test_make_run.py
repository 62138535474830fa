"""`make run` as a newcomer meets it: the demonstration with its accounts, the commands of the terminal beside it, a walk through the whole
cycle by HTTP, and nothing left after Ctrl-C."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import redis
from rq import Worker

from dingkao.assessments.models import STATES
from dingkao.embedded.children import program
from dingkao.embedded.stack import SERVANTS, remembered
from dingkao.people.models import ROLES
from tests import conftest, material
from tests.embedded.test_worker import children_of, runs

PATIENCE = 180
READY = "按 Ctrl-C 停止"
WALKERS = 8


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """`dingkao run` with the demonstration, from an empty home until it says that it is ready: process, environment, what it said."""
    folder = tmp_path_factory.mktemp("make-run")
    home, said = folder / "home", folder / "said"
    kept = {name: value for name, value in os.environ.items() if name not in conftest.FROM_OUTSIDE}
    environment = kept | {"DINGKAO_HOME": str(home), "DINGKAO_DEMONSTRATION": "1", "PORT": str(conftest.free_port())}
    with said.open("w") as file:
        process = subprocess.Popen([sys.executable, "-m", "dingkao.cli", "run"], stdout=file, stderr=file, env=environment)  # noqa: S603
    try:
        until(lambda: READY in said.read_text() or process.poll() is not None)
        assert process.poll() is None, said.read_text()
        yield process, environment, said.read_text()
    finally:
        process.kill()
        process.wait()


def until(condition, patience=PATIENCE):
    """Wait until `condition` holds; gives what it gave."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)
    return found


def command(running, *arguments):
    """One command of the terminal with `--json`: its exit status and what it answered."""
    done = subprocess.run(program(*arguments, "--json"), env=running[1], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode in (0, 2), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_it_prints_addresses_and_accounts_and_each_of_them_is_let_in(running):
    _, environment, said = running
    assert f"http://127.0.0.1:{environment['PORT']}/" in said
    listed = command(running, "accounts")[1]["accounts"]
    assert {one["province"] for one in listed} == {"shanxi", "henan", "platform"}
    for slug in ("shanxi", "henan"):
        theirs = [one for one in listed if one["province"] == slug]
        told = " ".join(one["role"] for one in theirs)
        assert [role for role in ROLES.values() if role not in told] == []
        assert [state for state in STATES.values() if not any(one["role"].endswith(f" {state}") for one in theirs)] == []
        assert all(one["user_name"] in said for one in theirs)
    with httpx.Client(base_url=f"http://127.0.0.1:{environment['PORT']}", follow_redirects=True) as client:
        one = next(one for one in listed if one["province"] == "henan" and one["role"].endswith(" 合格"))
        page = client.get("/henan/login").text
        token = page.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
        home = client.post("/henan/login", data={"csrf_token": token, "account": one["user_name"], "password": one["password"]})
        assert home.url.path == "/henan/home" or "用户告知书" in home.text


def test_filling_it_again_changes_nothing(running):
    before = command(running, "accounts")[1]["accounts"]
    assert [without_code(one) for one in command(running, "accounts", "--fill")[1]["accounts"]] == [without_code(one) for one in before]


def without_code(account):
    return {name: value for name, value in account.items() if name != "code"}


def test_the_terminal_opens_a_province_and_takes_in_what_is_brought(running, tmp_path):
    status, opened = command(running, "province", "open", "gansu")
    assert (status, opened["code"], opened["admin"]) == (0, 62, "admin")
    assert {one["slug"]: one["state"] for one in command(running, "province", "list")[1]["provinces"]}["gansu"] == "open"

    institutions = tmp_path / "institutions.csv"
    institutions.write_bytes(material.institutions(62))
    nothing_wrong = {"changed": 0, "refused": 0, "errors": [], "warnings": []}
    assert command(running, "institutions", "import", "gansu", str(institutions)) == (0, nothing_wrong | {"accepted": 3, "unchanged": 0})
    assert command(running, "institutions", "import", "gansu", str(institutions)) == (0, nothing_wrong | {"accepted": 0, "unchanged": 3})

    roster = tmp_path / "roster.xlsx"
    wrong = material.wrong_check_digit(material.resident_number(3, area="620105"))
    roster.write_bytes(material.roster([material.roster_row(62, 1), material.roster_row(62, 3, 证件号码=wrong), material.roster_row(62, 2)]))
    status, tried = command(running, "roster", "import", "gansu", str(roster), "--dry-run")
    assert (status, tried["accepted"], tried["refused"]) == (2, 2, 1)
    status, report = command(running, "roster", "import", "gansu", str(roster))
    assert (status, report["accepted"], report["refused"]) == (2, 2, 1)
    assert [(fault["row"], fault["column"]) for fault in report["errors"]] == [(3, "证件号码")]
    assert all(fault["reason"] and fault["remedy"] for fault in report["errors"])
    assert command(running, "roster", "import", "gansu", str(roster))[1]["unchanged"] == 2

    sheet = io.StringIO()
    csv.writer(sheet).writerows([("题干", "选项", "答案"), ("下列哪项正确", "A 甲\\nB 乙\\nC 丙", "BC"), ("缺答案", "A 甲\\nB 乙", "nan")])
    questions = tmp_path / "questions.csv"
    questions.write_text(sheet.getvalue())
    status, report = command(running, "questions", "import", "gansu", str(questions), "--bank", "试题")
    assert (status, report["accepted"], [(fault["row"], fault["column"]) for fault in report["errors"]]) == (2, 1, [(3, "答案")])


def test_a_slug_that_is_none_is_refused_with_where_to_find_them(running):
    done = subprocess.run(program("province", "open", "shanxii"), env=running[1], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode
    assert "dingkao province list" in done.stderr


def test_synthetic_doctors_walk_the_whole_cycle_and_each_has_a_verdict(running):
    status, counted = command(running, "simulate", "shanxi", "--doctors", str(WALKERS))
    assert (status, counted["errors"], counted["doctors"]) == (0, 0, WALKERS)
    assert counted["passed"] + counted["failed"] == WALKERS
    assert counted["passed"]
    assert set(counted["phases"]) >= {"roster", "filing", "sitting", "certificates"}


def test_worker_and_timetable_are_there_and_everything_ends_with_ctrl_c(running):
    process, environment, _ = running
    wanted = [" ".join(("dingkao.cli", *words)) for words in SERVANTS.values()]
    until(lambda: all(any(line.rstrip().endswith(one) for line in children_of(process.pid).values()) for one in wanted))

    def duties_done():
        with suppress(redis.ConnectionError):
            address = remembered(Path(environment["DINGKAO_HOME"]))["REDIS_URL"]
            return any(worker.successful_job_count for worker in Worker.all(connection=redis.Redis.from_url(address)))

    until(duties_done)
    everyone = children_of(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert not [line for child, line in everyone.items() if runs(child)]
