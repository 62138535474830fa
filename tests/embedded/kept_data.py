"""What each engine of a stack is given to keep, looked for again after kills; what a former web server may
have left behind."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import boto3
import psycopg
import redis
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dingkao.embedded import stale_processes
from dingkao.embedded.environment import saved_environment
from tests import conftest

PATIENCE = 180
KEY, BODY = "t/46/photo/01890a5d-ac96-774b-bcce-b302099a8057", b"kept"


def cache(home):
    return redis.Redis.from_url(saved_environment(home)["REDIS_URL"], socket_timeout=2)


def store(home):
    environment = saved_environment(home)
    return boto3.client(
        "s3",
        endpoint_url=environment["S3_ENDPOINT_URL"],
        aws_access_key_id=environment["S3_ACCESS_KEY"],
        aws_secret_access_key=environment["S3_SECRET_KEY"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, read_timeout=5),
    )


def put(home):
    """A row, a key and an object, each acknowledged as kept by its engine."""
    with conftest.superuser_connection(home) as connection:
        connection.execute("insert into platform.province values (46, 'hainan', 'open', now())")
    assert cache(home).set("t:46:code:x", "kept")
    cache(home).execute_command("WAITAOF", 1, 0, 5000)
    store(home).put_object(Bucket=saved_environment(home)["S3_BUCKET"], Key=KEY, Body=BODY)


def kept(home):
    """Whether row, key and object are there; raises while an engine does not answer."""
    with conftest.superuser_connection(home) as connection:
        slugs = connection.execute("select slug from platform.province where code = 46").fetchall()
    stored_body = store(home).get_object(Bucket=saved_environment(home)["S3_BUCKET"], Key=KEY)["Body"].read()
    return slugs == [("hainan",)], cache(home).get("t:46:code:x") == b"kept", stored_body == BODY


def kept_before_long(home):
    """What `kept` says as soon as every engine answers again."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(psycopg.Error, redis.RedisError, BotoCoreError, ClientError):
            return kept(home)
        time.sleep(0.2)
    return kept(home)


@contextmanager
def left_behind(home, port):
    """Two processes that know the home: one that a former web server has left, listening on its port with old
    code, and a bystander's."""
    listening = (
        "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); "
        "print(flush=True); time.sleep(600)"
    )
    environment = os.environ | {stale_processes.MARKER_VARIABLE: str(home / "log" / "web.log")}
    command = [sys.executable, "-c", listening, str(port)]
    orphan = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)  # noqa: S603
    bystander = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        cwd=home,
        env=os.environ | {"DINGKAO_HOME": str(home)},
    )
    try:
        assert orphan.stdout.readline()
        yield orphan, bystander
    finally:
        for process in (orphan, bystander):
            process.kill()
            process.wait()
        orphan.stdout.close()
