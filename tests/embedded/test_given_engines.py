"""The same program on engines given from outside: roles and database by `dingkao database prepare`, and no engine of its own."""

import json
import os
import subprocess
import sys
import time

import httpx
import pytest

from dingkao.database import roles
from dingkao.embedded import postgres
from dingkao.embedded.children import program
from tests import conftest
from tests.embedded.test_worker import children_of

PATIENCE = 120


@pytest.fixture(scope="module")
def given(stack, tmp_path_factory):
    """The environment of a process that is told to use the session's engines, with a database, a bucket and passwords of its own."""
    ports, secrets = (json.loads((stack.home / name).read_text()) for name in ("ports.json", "secrets.json"))
    server = f"127.0.0.1:{ports['postgres']}"
    kept = {role: secrets[name] for name, role in (("app", roles.APP), ("platform", roles.PLATFORM), ("migrator", roles.MIGRATOR))}
    urls = {
        name: f"postgresql+psycopg://{role}:{kept[role]}@{server}/dingkao_elsewhere"
        for name, role in (("DATABASE_URL", roles.APP), ("PLATFORM_DATABASE_URL", roles.PLATFORM), ("MIGRATOR_DATABASE_URL", roles.MIGRATOR))
    }
    ours = {name: stack.environment[name] for name in ("S3_ENDPOINT_URL", "S3_ACCESS_KEY", "S3_SECRET_KEY")}
    told = {name: value for name, value in os.environ.items() if name not in conftest.FROM_OUTSIDE}
    return told | urls | ours | {
        "S3_BUCKET": "elsewhere", "REDIS_URL": stack.environment["REDIS_URL"].replace("/0", "/1"), "DINGKAO_HOME": str(tmp_path_factory.mktemp("given") / "home"),
        "SUPERUSER_DATABASE_URL": f"postgresql://{postgres.SUPERUSER}:{secrets['superuser']}@{server}", "PORT": str(conftest.free_port()),
        "DINGKAO_DEMONSTRATION": "0",
    }  # fmt: skip


def dingkao(given, *arguments):
    return subprocess.run(program(*arguments), env=given, capture_output=True, text=True, check=False)  # noqa: S603


def test_prepared_migrated_and_served_without_engines_of_its_own(given, tmp_path):
    for _ in range(2):
        for verb in ("prepare", "migrate"):
            done = dingkao(given, "database", verb, "--json")
            assert done.returncode == 0, done.stderr
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen([sys.executable, "-m", "dingkao.cli", "run"], stdout=said, stderr=said, env=given)  # noqa: S603
    try:
        deadline, ready = time.monotonic() + PATIENCE, None
        while ready is None:
            assert process.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < deadline
            try:
                ready = httpx.get(f"http://127.0.0.1:{given['PORT']}/readyz")
            except httpx.HTTPError:
                time.sleep(0.2)
        assert (ready.status_code, ready.text) == (200, "ready\n")
        lines = " ".join(children_of(process.pid).values())
        assert "dingkao.cli worker" in lines
        assert not [word for word in ("postgres", "valkey", "swift") if word in lines]
        opened = dingkao(given, "province", "open", "qinghai", "--json")
        assert json.loads(opened.stdout)["code"] == 63
        assert httpx.get(f"http://127.0.0.1:{given['PORT']}/qinghai/login").status_code == 200
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.parametrize("missing", ["MIGRATOR_DATABASE_URL", "SUPERUSER_DATABASE_URL"])
def test_what_is_missing_is_named(given, missing, tmp_path):
    fresh = {name: value for name, value in given.items() if name != missing} | {"DINGKAO_HOME": str(tmp_path)}
    done = dingkao(fresh, "database", "prepare")
    assert done.returncode
    assert missing in done.stderr


def test_a_role_that_is_another_is_refused(given):
    done = dingkao(given | {"DATABASE_URL": given["MIGRATOR_DATABASE_URL"]}, "database", "prepare")
    assert done.returncode
    assert roles.APP in done.stderr


def test_a_process_with_too_strong_a_role_does_not_serve(given):
    done = dingkao(given | {"DATABASE_URL": given["MIGRATOR_DATABASE_URL"], "SECRET_KEY": "x", "DATA_KEY": "A" * 43 + "="}, "province", "open", "qinghai")
    assert done.returncode
    assert "stronger" in done.stderr
