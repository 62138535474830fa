"""`make run` as a newcomer meets it: the demonstration with its accounts, the commands of the terminal beside
it, a walk through the whole cycle by HTTP. Then everything is killed: what a doctor was told is kept is there, what
is killed comes back with what it had, so does the whole stack, and nothing that descends from it is left behind.

One boot for all of them, hence the order. Every process, and pairs of them, ten rounds: `make chaos`
(tests/load/process_kills.py). What Ctrl-C ends: test_external_services.py.
"""

import csv
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
import redis
from click.testing import CliRunner
from rq import Worker

from dingkao import cli
from dingkao.assessments.models import ASSESSMENT_STATES
from dingkao.cycles.models import PHASES
from dingkao.embedded.environment import saved_environment
from dingkao.embedded.stack import BACKGROUND_PROCESSES, Stack, accepts_connections
from dingkao.embedded.supervisor import program_command
from dingkao.jobs.enqueueing import SCHEDULED_QUEUE
from dingkao.people.permissions import ROLE_LABELS
from tests import conftest, sample_data
from tests.embedded.kept_data import kept, kept_before_long, left_behind, put
from tests.embedded.test_worker import children_of
from tests.load import chaos, process_kills

PATIENCE = 400
READY = "按 Ctrl-C 停止"
WALKERS = 4
"""One of each category."""
DOCTORS = 50
KILLED = ("postgres", "valkey", "swift object", "web")
QUEUE_READERS = ("worker", "duties")
"""They wait for the queue to come back, or end in the middle of a word to it and are begun again."""
UNCHANGING = ("SECRET_KEY", "DATA_KEY", "S3_SECRET_KEY")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """`dingkao run` with the demonstration, from an empty home until it says that it is ready: process,
    environment, what it said."""
    folder = tmp_path_factory.mktemp("make-run")
    home, output_path = folder / "home", folder / "said"
    inherited = {name: value for name, value in os.environ.items() if name not in conftest.FROM_OUTSIDE}
    environment = inherited | {
        "DINGKAO_HOME": str(home),
        "DINGKAO_DEMONSTRATION": "1",
        "PORT": str(conftest.free_port()),
    }
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what is ignored here, as behind nohup, would be ignored there too
    with output_path.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "dingkao.cli", "run"], stdout=file, stderr=file, env=environment
        )
    try:
        until(lambda: READY in output_path.read_text() or process.poll() is not None)
        assert process.poll() is None, output_path.read_text()
        yield process, environment, output_path.read_text()
    finally:
        process.kill()
        process.wait()


def until(condition, patience=PATIENCE):
    """Wait until `condition` holds; gives what it gave."""
    deadline = time.monotonic() + patience
    while not (outcome := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)
    return outcome


def command(running, *arguments):
    """One command of the terminal with `--json`: its exit status and what it answered."""
    environment = dict.fromkeys(conftest.FROM_OUTSIDE) | {
        name: running[1][name] for name in ("DINGKAO_HOME", "DINGKAO_DEMONSTRATION", "PORT")
    }
    result = CliRunner().invoke(cli.main, [*arguments, "--json"], env=environment)
    assert result.exit_code in (0, 2), result.output
    sys.stderr.write(result.stderr)  # pytest shows it where the test fails
    return result.exit_code, json.loads(result.stdout)


def test_it_prints_addresses_and_accounts_and_each_of_them_is_let_in(running):
    _, environment, output = running
    assert f"http://127.0.0.1:{environment['PORT']}/" in output
    accounts = command(running, "accounts")[1]["accounts"]
    assert {account["province"] for account in accounts} == {"shanxi", "henan", "platform"}
    for slug in ("shanxi", "henan"):
        province_accounts = [account for account in accounts if account["province"] == slug]
        role_texts = " ".join(account["role"] for account in province_accounts)
        assert [role for role in ROLE_LABELS.values() if role not in role_texts] == []
        assert [
            state
            for state in ASSESSMENT_STATES.values()
            if not any(account["role"].endswith(f" {state}") for account in province_accounts)
        ] == []
        assert all(account["user_name"] in output for account in province_accounts)
        unopened = [account for account in province_accounts if account["password"] == "666666"]
        assert any(account["mobile"] for account in unopened), (
            "the code of the first sign-in goes to a number that one has to know"
        )
        assert all(account["mobile"] in output for account in unopened)
    with httpx2.Client(base_url=f"http://127.0.0.1:{environment['PORT']}", follow_redirects=True) as client:
        account = next(
            account
            for account in accounts
            if account["province"] == "henan" and account["role"].endswith(" 合格")
        )
        page = client.get("/henan/login").text
        token = page.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
        home = client.post(
            "/henan/login",
            data={"csrf_token": token, "account": account["user_name"], "password": account["password"]},
        )
        if home.url.path != "/henan/home":
            assert "用户告知书" in home.text
            token = home.text.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
            home = client.post("/henan/filing/notice", data={"csrf_token": token})
    days = re.findall(
        r"<small>([\d年.<>br-]+)</small>", home.text.split('class="timeline"')[1].split("</ol>")[0]
    )
    assert len(set(days)) == len(PHASES), "each phase has days of its own"
    begins, ends = map(int, re.search(r"(\d{4})年\d\d月-(\d{4})年", home.text).groups())
    assert ends - begins == 3, "the filing's units are «/三年»"


def test_filling_it_again_changes_nothing(running):
    accounts = command(running, "accounts")[1]["accounts"]
    assert [without_code(account) for account in command(running, "accounts", "--fill")[1]["accounts"]] == [
        without_code(account) for account in accounts
    ]


def without_code(account):
    return {name: value for name, value in account.items() if name != "code"}


def test_the_terminal_opens_a_province_and_takes_in_what_is_brought(running, tmp_path):
    status, opened = command(running, "province", "open", "gansu")
    assert (status, opened["code"], opened["administrators"]) == (0, 62, [])
    assert {
        province["slug"]: province["state"]
        for province in command(running, "province", "list")[1]["provinces"]
    }["gansu"] == "open"

    institutions = tmp_path / "institutions.csv"
    institutions.write_bytes(sample_data.institutions_csv(62))
    nothing_wrong = {"changed": 0, "refused": 0, "errors": [], "warnings": []}
    assert command(running, "institutions", "import", "gansu", str(institutions)) == (
        0,
        nothing_wrong | {"accepted": 3, "unchanged": 0},
    )
    assert command(running, "institutions", "import", "gansu", str(institutions)) == (
        0,
        nothing_wrong | {"accepted": 0, "unchanged": 3},
    )

    roster = tmp_path / "roster.xlsx"
    wrong = sample_data.wrong_check_digit(sample_data.resident_number(3, area="620105"))
    roster.write_bytes(
        sample_data.roster_xlsx(
            [
                sample_data.roster_row(62, 1),
                sample_data.roster_row(62, 3, 证件号码=wrong),
                sample_data.roster_row(62, 2),
            ]
        )
    )
    status, tried = command(running, "roster", "import", "gansu", str(roster), "--dry-run")
    assert (status, tried["accepted"], tried["refused"]) == (2, 2, 1)
    status, report = command(running, "roster", "import", "gansu", str(roster))
    assert (status, report["accepted"], report["refused"]) == (2, 2, 1)
    assert [(fault["row"], fault["column"]) for fault in report["errors"]] == [(3, "证件号码")]
    assert all(fault["reason"] and fault["remedy"] for fault in report["errors"])
    assert command(running, "roster", "import", "gansu", str(roster))[1]["unchanged"] == 2

    sheet = io.StringIO()
    csv.writer(sheet).writerows(
        [
            ("题干", "选项", "答案"),
            ("下列哪项正确", "A 甲\\nB 乙\\nC 丙", "BC"),
            ("缺答案", "A 甲\\nB 乙", "nan"),
        ]
    )
    questions = tmp_path / "questions.csv"
    questions.write_text(sheet.getvalue())
    status, report = command(running, "questions", "import", "gansu", str(questions), "--bank", "试题")
    assert (status, report["accepted"], [(fault["row"], fault["column"]) for fault in report["errors"]]) == (
        2,
        1,
        [(3, "答案")],
    )


def test_a_slug_that_is_none_is_refused_with_where_to_find_them(running):
    completed = subprocess.run(  # noqa: S603
        program_command("province", "open", "shanxii"),
        env=running[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode
    assert "dingkao province list" in completed.stderr


def test_synthetic_doctors_walk_the_whole_cycle_and_each_has_a_verdict(running):
    status, report = command(running, "simulate", "shanxi", "--doctors", str(WALKERS))
    assert (status, report["errors"], report["doctors"]) == (0, 0, WALKERS)
    assert report["passed"] + report["failed"] == WALKERS
    assert report["passed"]
    assert set(report["phases"]) >= {"roster", "filing", "sitting", "certificates"}


def test_worker_and_timetable_are_there_and_do_their_duties(running):
    process, environment, _ = running
    command_lines = [" ".join(("dingkao.cli", *words)) for words in BACKGROUND_PROCESSES.values()]
    until(
        lambda: all(
            any(line.rstrip().endswith(command_line) for line in children_of(process.pid).values())
            for command_line in command_lines
        )
    )

    def duties_done():
        with suppress(redis.ConnectionError):
            address = saved_environment(Path(environment["DINGKAO_HOME"]))["REDIS_URL"]
            return any(
                worker.successful_job_count and worker.queue_names() == [SCHEDULED_QUEUE]
                for worker in Worker.all(connection=redis.Redis.from_url(address))
            )

    until(duties_done)


def test_every_acknowledged_answer_is_there_after_everything_was_killed(running, tmp_path):
    """Fifty doctors answer while web, worker, timetable, database, cache and store are killed -9 under them.
    With five hundred: `make chaos`."""
    _, environment, _ = running
    home, port = Path(environment["DINGKAO_HOME"]), int(environment["PORT"])
    opened = chaos.opened_sittings(home, DOCTORS)
    assert len(opened) == DOCTORS
    losses = chaos.killed_one_after_another(
        home, port, opened, tmp_path / "log", rounds=chaos.ROUNDS[:-1], pause=0.1, calm=0.4
    )  # the web is killed once more below
    assert losses.refused == []
    assert losses.sittings == DOCTORS
    assert losses.lost == {}


def test_killed_engines_and_a_killed_stack_come_back_with_what_they_had(running, monkeypatch):
    process, told, _ = running
    home, port = Path(told["DINGKAO_HOME"]), int(told["PORT"])
    children = until(
        lambda: (found := process_kills.children(home)).keys() > {*KILLED, "timetable"} and found
    )
    put(home)
    assert kept(home) == (True, True, True)
    environment, secrets = saved_environment(home), (home / "secrets.json").read_text()
    for name in ("secrets.json", "environment", "ports.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600, name

    below = [descendant for name in KILLED for descendant in process_kills.tree(children[name])]
    assert len(below) > len(KILLED) + 2
    for name in KILLED:
        os.kill(children[name], signal.SIGKILL)
    assert kept_before_long(home) == (True, True, True)
    until(lambda: process_kills.serves(port))
    assert not process_kills.living(below)
    unharmed = set(children) - set(KILLED) - set(QUEUE_READERS)
    assert {name: process_kills.children(home)[name] for name in unharmed} == {
        name: children[name] for name in unharmed
    }
    until(lambda: process_kills.children(home).keys() >= children.keys())
    everyone = process_kills.tree(process.pid)
    assert process_kills.listeners(port) <= {descendant.pid for descendant in everyone}

    process.kill()
    process_kills.until(
        lambda: not process_kills.living(everyone),
        process_kills.GONE_SECONDS,
        "something outlived the supervisor",
    )
    for name in conftest.FROM_OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    stack = Stack(home, port, lambda _told: None)
    try:
        with left_behind(home, port) as (orphan, bystander):
            stack.start_engines()
            assert (orphan.poll(), bystander.poll()) == (-signal.SIGKILL, None)
        assert kept(home) == (True, True, True)
        assert (home / "secrets.json").read_text() == secrets
        assert [saved_environment(home)[name] for name in UNCHANGING] == [
            environment[name] for name in UNCHANGING
        ]
        assert stat.S_IMODE((home / "environment").stat().st_mode) == 0o600
        began = time.monotonic()
        victim = next(child for child in stack.supervisor.children if child.name == "PostgreSQL")
        os.kill(victim.process.pid, signal.SIGKILL)
        victim.process.wait()
        while not accepts_connections(stack.environment):
            assert time.monotonic() < began + PATIENCE
            stack.supervisor.restart_dead()
            time.sleep(0.1)
        assert kept(home) == (True, True, True)
        everyone = [
            descendant
            for child in stack.supervisor.children
            for descendant in process_kills.tree(child.process.pid)
        ]
    finally:
        stack.stop()
    assert not process_kills.living(everyone)
    assert not accepts_connections(stack.environment)
