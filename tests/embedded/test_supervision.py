"""An engine that is killed comes back with what it had; so does the whole stack."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress

import boto3
import psycopg
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dingkao.embedded.stack import Stack, answers, remembered
from tests import conftest

# What `make run` is, without the web: begins, tells its children's process ids, tends them until it is killed.
KEEPER = """
import json, sys
from pathlib import Path
from dingkao.embedded.stack import Stack
stack = Stack(Path(sys.argv[1]), int(sys.argv[2]), lambda told: print(told, file=sys.stderr, flush=True))
stack.begin()
print(json.dumps({child.name: child.process.pid for child in stack.supervisor.children}), flush=True)
stack.supervisor.keep()
"""
KILLED = ("PostgreSQL", "Valkey", "Swift object")
UNCHANGING = ("SECRET_KEY", "DATA_KEY", "S3_SECRET_KEY")
PATIENCE = 40
KEY, BODY = "t/14/photo/01890a5d-ac96-774b-bcce-b302099a8057", b"kept"


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    """A stack kept by a process of its own: (home, that process, its children's process ids by name)."""
    for name in conftest.FROM_OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", KEEPER, str(home), str(conftest.free_port())], stdout=subprocess.PIPE, stderr=said, text=True
        )
    try:
        line = process.stdout.readline()
        assert line, (tmp_path / "said").read_text()
        yield home, process, json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def cache(home):
    return redis.Redis.from_url(remembered(home)["REDIS_URL"], socket_timeout=2)


def store(home):
    environment = remembered(home)
    return boto3.client(
        "s3", endpoint_url=environment["S3_ENDPOINT_URL"], aws_access_key_id=environment["S3_ACCESS_KEY"],
        aws_secret_access_key=environment["S3_SECRET_KEY"], region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, read_timeout=5),
    )  # fmt: skip


def put(home):
    """A row, a key and an object, each acknowledged as kept by its engine."""
    with conftest.superuser_connection(home) as connection:
        connection.execute("insert into platform.province values (14, 'shanxi', 'open', now())")
    assert cache(home).set("t:14:code:x", "kept")
    cache(home).execute_command("WAITAOF", 1, 0, 5000)
    store(home).put_object(Bucket=remembered(home)["S3_BUCKET"], Key=KEY, Body=BODY)


def kept(home):
    """Whether row, key and object are there; raises while an engine does not answer."""
    with conftest.superuser_connection(home) as connection:
        rows = connection.execute("select code, slug from platform.province").fetchall()
    found = store(home).get_object(Bucket=remembered(home)["S3_BUCKET"], Key=KEY)["Body"].read()
    return rows == [(14, "shanxi")], cache(home).get("t:14:code:x") == b"kept", found == BODY


def kept_before_long(home):
    """What `kept` says as soon as every engine answers again."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(psycopg.Error, redis.RedisError, BotoCoreError, ClientError):
            return kept(home)
        time.sleep(0.2)
    return kept(home)


def living(process_id):
    """Whether a process is there and not a corpse waiting to be reaped."""
    try:
        with open(f"/proc/{process_id}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_killed_engines_and_a_killed_stack_come_back_with_what_they_had(keeper):
    home, process, children = keeper
    assert set(KILLED) < set(children)
    put(home)
    assert kept(home) == (True, True, True)
    environment, secrets = remembered(home), (home / "secrets.json").read_text()
    for name in ("secrets.json", "environment", "ports.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600, name

    for name in KILLED:
        os.kill(children[name], signal.SIGKILL)
    assert kept_before_long(home) == (True, True, True)
    assert not [name for name in KILLED if living(children[name])]
    assert [name for name in children if living(children[name])] == [name for name in children if name not in KILLED]

    process.kill()
    process.wait()
    again = Stack(home, conftest.free_port(), lambda _told: None)
    try:
        again.begin()
        assert kept(home) == (True, True, True)
        assert not [name for name in children if living(children[name])], "a child outlived its supervisor"
        assert (home / "secrets.json").read_text() == secrets
        assert [remembered(home)[name] for name in UNCHANGING] == [environment[name] for name in UNCHANGING]
        assert stat.S_IMODE((home / "environment").stat().st_mode) == 0o600
        began = time.monotonic()
        victim = next(child for child in again.supervisor.children if child.name == "PostgreSQL")
        os.kill(victim.process.pid, signal.SIGKILL)
        victim.process.wait()
        while not answers(again.environment):
            assert time.monotonic() < began + PATIENCE
            again.supervisor.tend()
            time.sleep(0.1)
        assert kept(home) == (True, True, True)
    finally:
        again.end()
    assert not answers(again.environment)
