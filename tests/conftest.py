"""What tests stand on: one stack for the session, an application on it, two provinces with people in them."""

import json
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
from flask import Flask

from dingkao.app import create_app
from dingkao.database.model import db
from dingkao.doctors.roster import import_roster
from dingkao.embedded import postgres
from dingkao.embedded.stack import Stack
from dingkao.journal.writing import TERMINAL
from dingkao.people.opening import open_province
from dingkao.people.organisations import import_institutions
from dingkao.settings import Settings
from dingkao.tenants.context import entered
from dingkao.tenants.registry import Province, by_slug
from tests import material

FROM_OUTSIDE = (
    "DATABASE_URL", "PLATFORM_DATABASE_URL", "MIGRATOR_DATABASE_URL", "REDIS_URL", "S3_ENDPOINT_URL", "PUBLIC_URL", "SMS_ADAPTER",
    *(f"{name}_PORT" for name in ("POSTGRES", "VALKEY", "ACCOUNT", "CONTAINER", "OBJECT", "PROXY")),
)  # fmt: skip
LONGEST = ("test_make_run.py", "test_whole_way.py", "test_answers_survive.py", "test_given_engines.py")
SLUGS = ("shanxi", "henan")
DOCTORS = 6


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes by themselves begin first, then those of many tests, so that no worker is left with a long one at the end."""
    tests = Counter(item.path for item in items)
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (rank.get(item.path.name, len(rank)), -tests[item.path], item.path))


def free_port() -> int:
    """A TCP port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def superuser_connection(home: Path) -> psycopg.Connection:
    """A connection to the cluster of the stack in `home`, as its superuser, which no policy holds."""
    return psycopg.connect(
        host="127.0.0.1", port=json.loads((home / "ports.json").read_text())["postgres"], user=postgres.SUPERUSER,
        password=json.loads((home / "secrets.json").read_text())["superuser"], dbname=postgres.DATABASE,
    )  # fmt: skip


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The engines in a home of their own, whatever engines the environment names."""
    with pytest.MonkeyPatch.context() as patch:
        for name in FROM_OUTSIDE:
            patch.delenv(name, raising=False)
        running = Stack(tmp_path_factory.mktemp("stack") / "home", free_port())
        try:
            running.begin()
            yield running
        finally:
            running.end()


@pytest.fixture(scope="session")
def application(stack: Stack) -> Flask:
    """The application on the session's stack."""
    return create_app(Settings.from_environment(stack.environment))


@pytest.fixture(scope="session")
def in_province(application: Flask) -> Callable[[str], AbstractContextManager[Province]]:
    """`with in_province(slug):` is a unit of work in that province: a context and a session of its own. What is not committed in it
    is undone."""

    @contextmanager
    def inside(slug: str) -> Iterator[Province]:
        province = by_slug(slug)
        assert province is not None, slug
        with application.app_context(), entered(province.code):
            yield province

    return inside


@pytest.fixture(scope="session")
def provinces(in_province: Callable[[str], AbstractContextManager[Province]]) -> dict[str, Province]:
    """山西 and 河南, opened, with three institutions and six doctors each."""
    opened = {}
    for slug in SLUGS:
        with in_province(slug) as province:
            open_province(province, by=TERMINAL)
            assert import_institutions(material.institutions(province.code), by=TERMINAL).accepted == 3
            rows = [material.roster_row(province.code, serial, at=serial % 3 + 1) for serial in range(DOCTORS)]
            assert import_roster(material.roster(rows), by=TERMINAL).accepted == DOCTORS
            db.session.commit()
            opened[slug] = province
    return opened


@pytest.fixture
def owner_connection(stack: Stack) -> Iterator[psycopg.Connection]:
    """The superuser's connection to the session's database; what is not committed is undone."""
    connection = superuser_connection(stack.home)
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of samples; without it the test is skipped."""
    given = os.environ.get("DINGKAO_SHARED")
    shared = Path(given) if given else Path(__file__).resolve().parents[2] / "shared"
    if not (shared / "samples").is_dir():
        pytest.skip(f"no samples in {shared}; name their folder's parent in DINGKAO_SHARED")
    return shared / "samples"
