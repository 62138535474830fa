"""The same program on engines given from outside: roles and database by `dingkao database prepare`, and no
engine of its own."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import psutil
import pytest
from click.testing import CliRunner

from dingkao import cli
from dingkao.cli import files
from dingkao.database import roles
from dingkao.embedded.environment import saved_environment
from dingkao.embedded.supervisor import STOP_SIGNALS
from tests import conftest, engines, sample_data
from tests.embedded.test_worker import children_of
from tests.load import process_kills

PATIENCE = 120
KEYS = ("SECRET_KEY", "DATA_KEY")
CLEARED_VARIABLES = (
    *conftest.FROM_OUTSIDE,
    "SUPERUSER_DATABASE_URL",
    "DINGKAO_HOME",
    "PORT",
    "DINGKAO_DEMONSTRATION",
)


@pytest.fixture(scope="module")
def given(stack, tmp_path_factory):
    """The environment of a process that is told to use the run's engines, with a database, a bucket, keys and
    passwords of its own."""
    names = ("DATABASE_URL", "PLATFORM_DATABASE_URL", "MIGRATOR_DATABASE_URL")
    urls = {name: f"{stack.environment[name].rpartition('/')[0]}/dingkao_elsewhere" for name in names}
    ours = {name: stack.environment[name] for name in ("S3_ENDPOINT_URL", "S3_ACCESS_KEY", "S3_SECRET_KEY")}
    inherited = {name: value for name, value in os.environ.items() if name not in conftest.FROM_OUTSIDE}
    return (
        inherited
        | urls
        | ours
        | {
            "S3_BUCKET": "elsewhere",
            "REDIS_URL": stack.environment["REDIS_URL"].replace("/0", "/1"),
            "DINGKAO_HOME": str(tmp_path_factory.mktemp("given") / "home"),
            "SUPERUSER_DATABASE_URL": engines.superuser_url(stack.home),
            "PORT": str(conftest.free_port()),
            "WEB_WORKERS": "1",
            "DINGKAO_DEMONSTRATION": "0",
            "SECRET_KEY": "of-the-environment",
            "DATA_KEY": base64.b64encode(os.urandom(32)).decode(),
        }
    )


def dingkao(given, *arguments):
    """A command that is told what `given` says and nothing else of ours."""
    return CliRunner().invoke(
        cli.main, arguments, env={name: given.get(name) for name in (*CLEARED_VARIABLES, *given)}
    )


def test_prepared_migrated_and_served_without_engines_of_its_own_until_ctrl_c(stack, given, tmp_path):
    for _ in range(2):
        with engines.changing_roles(stack.home):
            results = [dingkao(given, "database", verb, "--json") for verb in ("prepare", "migrate")]
        assert [result.exit_code for result in results] == [0, 0], [result.output for result in results]
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what is ignored here, as behind nohup, would be ignored there too
    with (tmp_path / "said").open("w") as output_file:
        process = subprocess.Popen(
            [sys.executable, "-m", "dingkao.cli", "run"], stdout=output_file, stderr=output_file, env=given
        )
    try:
        deadline, ready = time.monotonic() + PATIENCE, None
        while ready is None:
            assert process.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < deadline
            try:
                ready = httpx2.get(f"http://127.0.0.1:{given['PORT']}/readyz")
            except httpx2.HTTPError:
                time.sleep(0.2)
        assert (ready.status_code, ready.text) == (200, "ready\n")
        with_keys: list[dict[str, str]] = []
        while len(with_keys) < 3:  # the web server is ready before the workers have begun
            assert time.monotonic() < deadline
            time.sleep(0.2)
            with_keys = [
                psutil.Process(child).environ()
                for child, line in children_of(process.pid).items()
                if "granian" in line or "worker" in line
            ]
        assert len(with_keys) == 3
        for told_to in (*with_keys, saved_environment(Path(given["DINGKAO_HOME"]))):
            assert [told_to[name] for name in KEYS] == [given[name] for name in KEYS]
        lines = " ".join(children_of(process.pid).values())
        assert "dingkao.cli worker" in lines
        assert not [word for word in ("postgres", "valkey", "swift") if word in lines]
        without_keys = {name: value for name, value in given.items() if name not in KEYS}
        opened = dingkao(
            without_keys, "province", "open", "qinghai", "--json"
        )  # by the keys that the stack wrote down
        assert json.loads(opened.stdout)["code"] == 63
        assert httpx2.get(f"http://127.0.0.1:{given['PORT']}/qinghai/login").status_code == 200
        everyone = process_kills.tree(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert not process_kills.living(everyone)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("missing", ["MIGRATOR_DATABASE_URL", "SUPERUSER_DATABASE_URL"])
def test_what_is_missing_is_named(given, missing, tmp_path):
    incomplete = {name: value for name, value in given.items() if name != missing} | {
        "DINGKAO_HOME": str(tmp_path)
    }
    result = dingkao(incomplete, "database", "prepare")
    assert result.exit_code
    assert missing in result.stderr


def test_a_role_that_is_another_is_refused(stack, given):
    with engines.changing_roles(stack.home):
        result = dingkao(given | {"DATABASE_URL": given["MIGRATOR_DATABASE_URL"]}, "database", "prepare")
    assert result.exit_code
    assert roles.APP in result.stderr


def test_a_process_with_too_strong_a_role_does_not_serve(given, tmp_path):
    opened = dingkao(given, "province", "open", "qinghai")
    assert opened.exit_code == 0, opened.output
    institutions = tmp_path / "institutions.csv"
    institutions.write_bytes(sample_data.institutions_csv(63))
    strong = given | {"DATABASE_URL": given["MIGRATOR_DATABASE_URL"]}
    result = dingkao(strong, "institutions", "import", "qinghai", str(institutions))
    assert result.exit_code
    assert "stronger" in f"{result.stderr}{result.exception}"


def test_the_bucket_is_made_by_a_command(given):
    environment = given | {"S3_BUCKET": "made-by-command"}
    first, second = (
        json.loads(CliRunner().invoke(files.command, ["prepare", "--json"], env=environment).output)
        for _ in range(2)
    )
    assert (first, second) == (
        {"bucket": "made-by-command", "made": True},
        {"bucket": "made-by-command", "made": False},
    )


@pytest.fixture
def own_signals():
    """What `dingkao run` makes of signals ends with the test."""
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_key_that_is_not_the_databases_is_refused_at_once(given, own_signals):
    wrong = given | {"DATA_KEY": base64.b64encode(bytes(32)).decode()}
    result = dingkao(wrong, "run")
    assert result.exit_code
    assert "DATA_KEY 与数据库不符" in f"{result.stderr}{result.exception}"
    assert "已启动" not in result.stdout
