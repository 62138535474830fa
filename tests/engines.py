"""The engines of a whole test run, and for each process of it (xdist worker) a stack that stands on them.

PostgreSQL and the object store run once. Their database is migrated and then left alone: it is the template
from which the databases of tests are cloned. A process's stack has a database, a bucket and a Valkey of its
own, so that no process meets what another has left.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis
from psycopg import sql
from sqlalchemy.engine import make_url

from dingkao.app import create_app
from dingkao.config import AppConfig
from dingkao.database import roles
from dingkao.embedded import postgres
from dingkao.embedded.environment import DATABASE, STORE, saved_environment
from dingkao.embedded.ports import free_port
from dingkao.embedded.stack import Stack
from dingkao.embedded.supervisor import ManagedProcess
from dingkao.integrations import storage

FROM_OUTSIDE = (
    "DATABASE_URL", "PLATFORM_DATABASE_URL", "MIGRATOR_DATABASE_URL", "BACKUP_DATABASE_URL", "REDIS_URL", "S3_ENDPOINT_URL", "S3_ACCESS_KEY",
    "S3_SECRET_KEY", "S3_BUCKET", "SECRET_KEY", "DATA_KEY", "PUBLIC_URL", "SMS_ADAPTER",
    *(f"{name}_PORT" for name in ("POSTGRES", "VALKEY", "ACCOUNT", "CONTAINER", "OBJECT", "PROXY")),
)  # fmt: skip
KEYS = ("SECRET_KEY", "DATA_KEY")
OPTIONS = {"max_connections": "300", "fsync": "off", "full_page_writes": "off"}
"""Of the tests' PostgreSQL. A kill of it loses nothing by these, only a machine that falls does."""
READY = "ready"
PATIENCE_SECONDS = 180
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - each run makes a folder of its own in it
MEMORY_BYTES = 6 * 1024**3
"""What must be free for the engines' files to be held in memory; a whole run writes less than a third of it."""


def parent_folder() -> str | None:
    """Where the folder of a run's engines is made: in memory where there is enough of it, since there a clone
    of the database, a thousand files, costs a tenth; else None, for the usual temporary folder."""
    try:
        usage = os.statvfs(MEMORY_FOLDER)
        free = min(usage.f_bavail * usage.f_frsize, psutil.virtual_memory().available)
        with tempfile.NamedTemporaryFile(dir=MEMORY_FOLDER) as file:
            os.setxattr(file.fileno(), "user.dingkao", b"the object store writes such attributes")
    except OSError:
        return None
    return str(MEMORY_FOLDER) if free > MEMORY_BYTES else None


@contextmanager
def running(home: Path) -> Iterator[None]:
    """The engines, with the template migrated, whatever engines the environment names. Raises
    StartupError."""
    stack = Stack(home, free_port(set()), _unsaid)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in FROM_OUTSIDE:
                patch.delenv(name, raising=False)
            patch.setattr(postgres, "server_process", partial(_with_options, postgres.server_process))
            stack.start_engines()
            create_app(
                AppConfig.from_environment(stack.environment)
            )  # leaves the word of its key, so that clones have it
        (home / READY).touch()
        yield
    finally:
        stack.stop()


def _unsaid(_line: str) -> None:
    """What a stack says at its start is no matter of a test run."""


def _with_options(child: Callable[..., ManagedProcess], *arguments: Any) -> ManagedProcess:
    server = child(*arguments)
    server.command = [
        *server.command,
        *(word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")),
    ]
    return server


def wait_for(home: Path) -> None:
    """Wait until the engines of `home`, which another process begins, are ready."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (home / READY).exists():
        assert time.monotonic() < deadline, f"the engines of {home} are not ready"
        time.sleep(0.1)


def superuser_connection(home: Path, database: str | None = None) -> psycopg.Connection:
    """A connection to the database of the stack in `home`, or to another of its cluster, as the superuser,
    whom no policy holds."""
    url = make_url(saved_environment(home)["DATABASE_URL"])
    return psycopg.connect(
        host=url.host,
        port=url.port,
        user=postgres.SUPERUSER,
        password=_superuser_password(home),
        dbname=database or url.database,
    )


def superuser_url(home: Path) -> str:
    """The address of the cluster of the stack in `home`, without a database, as its superuser."""
    url = make_url(saved_environment(home)["DATABASE_URL"])
    return f"postgresql://{postgres.SUPERUSER}:{_superuser_password(home)}@{url.host}:{url.port}"


def _superuser_password(home: Path) -> str:
    return str(json.loads((home / "secrets.json").read_text())["superuser"])


def begin_stack(engines: Path, home: Path, name: str) -> Stack:
    """A stack at `home` on the engines of `engines`, which are given to it from outside, with a Valkey of its
    own. Database and bucket are called after `name`. The caller ends it. Raises StartupError."""
    shared = saved_environment(engines)
    home.mkdir(parents=True)
    shutil.copy(engines / "secrets.json", home)  # the superuser's password is read there
    urls = {
        variable: make_url(shared[variable]).set(database=f"dingkao_{name}")
        for variable in (*DATABASE.required_variables, *DATABASE.optional_variables)
    }
    environment = {variable: url.render_as_string(hide_password=False) for variable, url in urls.items()}
    environment |= {variable: shared[variable] for variable in (*STORE.required_variables, *KEYS)} | {
        "S3_BUCKET": f"dingkao-{name}"
    }
    stack = Stack(home, free_port(set()), _unsaid)
    clone(engines, f"dingkao_{name}")
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        try:
            stack.start_engines()
        except BaseException:
            stack.stop()
            raise
    return stack


def database_of(stack: Stack) -> str:
    """The name of the stack's database."""
    return str(make_url(stack.environment["DATABASE_URL"]).database)


def clone(engines: Path, database: str) -> None:
    """Make `database` anew from the template, with the rights to it that are no part of what is cloned."""
    identifier, template, owner = (
        sql.Identifier(database),
        sql.Identifier(postgres.DATABASE),
        sql.Identifier(roles.OWNER),
    )
    with superuser_connection(engines, "postgres") as connection:
        connection.autocommit = True
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(identifier))
        connection.execute(
            sql.SQL("create database {} template {} owner {} strategy file_copy").format(
                identifier, template, owner
            )
        )
        rights = (
            "update pg_database set datacl = (select datacl from pg_database where datname = %s) where "
            "datname = %s"
        )
        connection.execute(rights, (postgres.DATABASE, database))


def empty(stack: Stack) -> None:
    """Take everything from the stack's Valkey and bucket."""
    redis.Redis.from_url(stack.environment["REDIS_URL"]).flushall()
    client = storage.create_client(stack.environment, timeout=PATIENCE_SECONDS)
    bucket = stack.environment["S3_BUCKET"]
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        if keys := [{"Key": item["Key"]} for item in page.get("Contents", [])]:
            client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})


@contextmanager
def changing_roles(home: Path) -> Iterator[None]:
    """The only one who changes the roles of the cluster, which all processes of the run have in common."""
    with superuser_connection(home, "postgres") as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('roles'))")
        yield
