"""What tests stand on: engines for the whole run, a stack on them for each process, a database for each
module, an application on that, two provinces with people in them."""

import importlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from argon2 import PasswordHasher
from flask import Flask
from hypothesis import settings as hypothesis_settings

from dingkao.app import create_app
from dingkao.config import AppConfig
from dingkao.database.base import db
from dingkao.embedded import ports
from dingkao.embedded.stack import Stack
from dingkao.embedded.supervisor import ManagedProcess, Supervisor
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import passwords
from dingkao.people.institution_imports import import_institutions
from dingkao.people.provinces import open_province
from dingkao.processes import deferred_garbage_collection
from dingkao.tenants.context import in_tenant
from dingkao.tenants.registry import Province, by_slug
from tests import actors, engines, sample_data
from tests.engines import FROM_OUTSIDE, superuser_connection

__all__ = ["FROM_OUTSIDE", "free_port", "superuser_connection"]
LONGEST = (
    "test_make_run.py", "test_plans.py", "test_end_to_end.py", "test_matrix.py", "test_sitting_time.py", "test_page_weight.py",
    "browser/test_requests.py", "test_worker.py", "test_filing_pages.py", "browser/test_forms.py", "test_binary_locations.py", "test_appearance.py",
    "browser/test_sitting.py", "blueprints/test_question_banks.py", "browser/test_watching.py", "test_desk_clicks.py", "test_review_desk.py", "test_practice_pages.py",
    "sweeps/test_routes.py", "test_full_sitting.py", "browser/test_uploads.py", "blueprints/test_scoring.py", "test_large_sheet.py", "test_interrupted_requests.py",
    "test_question_exports.py", "browser/test_sign_in.py", "rooms/test_roster.py", "browser/test_questions.py", "test_checkpoints.py",
    "test_offline_scores.py", "test_external_services.py", "test_list_files.py", "test_mock_exam_pages.py", "browser/test_lists.py",
    "browser/test_manual.py", "browser/test_texts.py", "browser/test_expired.py", "test_job_bell.py",
    "test_late_answers.py", "rooms/test_papers.py", "test_sitting_machine.py", "rooms/test_names.py",
)  # fmt: skip
"""Files that take minutes by themselves: such as wait and such as compute in turn, so that the processor is
neither wanted by all workers nor by none."""
SLUGS = ("shanxi", "henan")
ODD = "定 考 #;'\"$x%41"
"""What a folder may be called and the engines still start in it."""
ENGINES = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
hypothesis_settings.register_profile(
    "suite", deadline=None
)  # how long an example takes is the machine's affair
hypothesis_settings.load_profile("suite")
DOCTORS = 6
TESTS = Path(__file__).parent
REAL_HASHES = (passwords._hasher, passwords._DUMMY_HASH)


REAL_PROCESSES = {"browser", "embedded"}
"""Folders whose tests watch processes of their own, a browser or whole stacks, by the real clock."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes by themselves begin first, then those of many tests, so that no worker is left
    with a long one at the end. What watches real processes is run once more where it failed, and counted as
    "rerun" (docs/decisions/0045)."""
    for item in items:
        if item.path.parent.name in REAL_PROCESSES:
            item.add_marker(pytest.mark.flaky(reruns=1))
    tests = Counter(item.path for item in items)
    rank = {
        path: next(
            (place for place, name in enumerate(LONGEST) if path.as_posix().endswith(f"/{name}")),
            len(LONGEST),
        )
        for path in tests
    }
    items.sort(key=lambda item: (rank[item.path], -tests[item.path], item.path))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[Any]:
    """While tests are read nothing becomes garbage, and what was read stays: it is not looked through again
    and again."""
    with deferred_garbage_collection():
        import_share(session.config)
        return (yield)


def import_share(config: pytest.Config) -> None:
    """Where the whole suite is shared out among processes, import this process's share of its files first:
    rewriting their asserts is half the work of reading them, and what one process has rewritten and stored
    the others load."""
    worker_input = getattr(config, "workerinput", None)
    if worker_input is None or config.args != [TESTS.name]:
        return
    names = sorted(path.relative_to(TESTS.parent).with_suffix("") for path in TESTS.rglob("test_*.py"))
    number = int(worker_input["workerid"].removeprefix("gw"))
    for name in names[number :: worker_input["workercount"]]:
        importlib.import_module(".".join(name.parts))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of the run where its engines will be."""
    if ENGINES not in node.config.stash:
        node.config.stash[ENGINES] = engines_folder()
    node.workerinput["engines"] = node.config.stash[ENGINES].name


def engines_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for the engines of a run, which the user of PostgreSQL may enter."""
    folder = tempfile.TemporaryDirectory(
        prefix=f"dingkao-tests {ODD} ", dir=engines.parent_folder(), ignore_cleanup_errors=True
    )
    Path(folder.name).chmod(0o755)
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[Any]:
    """Where the tests are shared out among processes, the one that shares them out keeps the engines for all;
    they end with it, whatever ends it. The others read the tests in the meantime."""
    if ENGINES not in session.config.stash:
        return (yield)
    with session.config.stash[ENGINES] as folder, engines.running(Path(folder) / "home"):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def quick_hashes() -> Iterator[None]:
    """Passwords cost next to nothing to hash in this process; a test of their cost asks for `real_hashes`."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", quick)
        patch.setattr(passwords, "_DUMMY_HASH", quick.hash("nobody has this password"))
        yield


@pytest.fixture
def real_hashes(monkeypatch: pytest.MonkeyPatch) -> PasswordHasher:
    """Passwords cost what they cost those who sign in; gives what hashes them."""
    hasher, dummy = REAL_HASHES
    monkeypatch.setattr(passwords, "_hasher", hasher)
    monkeypatch.setattr(passwords, "_DUMMY_HASH", dummy)
    return hasher


def free_port() -> int:
    """A TCP port nobody listens on just now."""
    return ports.free_port(set())


@pytest.fixture(scope="session")
def shared_engines(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The home of the engines of the whole run. Where there is but this one process, it keeps them itself."""
    worker_input = getattr(request.config, "workerinput", None)
    if worker_input is None:
        with engines_folder() as folder, engines.running(home := Path(folder) / "home"):
            yield home
    else:
        home = Path(worker_input["engines"]) / "home"
        engines.wait_for(home)
        yield home


@pytest.fixture(scope="session")
def session_stack(request: pytest.FixtureRequest, shared_engines: Path) -> Iterator[Stack]:
    """This process's stack, whatever the environment names. A module asks for `stack`, which is this one,
    emptied."""
    worker = getattr(request.config, "workerinput", {"workerid": "alone"})["workerid"]
    with pytest.MonkeyPatch.context() as patch:
        for name in FROM_OUTSIDE:
            patch.delenv(name, raising=False)
        running = engines.begin_stack(shared_engines, shared_engines.with_name(worker), worker)
        try:
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="session")
def session_application(session_stack: Stack) -> Flask:
    """The application on this process's stack. A module asks for `application`, which is this one, without
    its connections of before."""
    return create_app(AppConfig.from_environment(session_stack.environment))


@pytest.fixture(scope="module")
def stack(shared_engines: Path, session_stack: Stack) -> Stack:
    """The engines with nothing in them but what the migrations make: a database of the module's own, an empty
    cache, an empty store."""
    engines.clone(shared_engines, engines.database_of(session_stack))
    engines.empty(session_stack)
    actors.forget_serials()
    return session_stack


@pytest.fixture(scope="module")
def application(stack: Stack, session_application: Flask) -> Flask:
    """The application on the module's stack."""
    with session_application.app_context():
        for engine in db.engines.values():
            engine.dispose()
    return session_application


@pytest.fixture(scope="module")
def background_processes(stack: Stack) -> Iterator[Supervisor]:
    """The worker and the timetable, whose duties it does too, for a module that asks for them. Others do the
    jobs they ask for themselves."""
    with brought_up(
        [child for child in stack.background_processes() if child.name != "Duties"]
    ) as supervisor:
        yield supervisor


@pytest.fixture(scope="module")
def worker(stack: Stack) -> Iterator[Supervisor]:
    """The worker alone, for a module whose jobs are asked for by its pages and not by the timetable."""
    with brought_up(
        [child for child in stack.background_processes() if child.name == "Worker"]
    ) as supervisor:
        yield supervisor


@contextmanager
def brought_up(children: list[ManagedProcess]) -> Iterator[Supervisor]:
    """What keeps `children`, as long as it is wanted."""
    supervisor = Supervisor(lambda _told: None)
    try:
        for child in children:
            supervisor.start(child)
        yield supervisor
    finally:
        supervisor.stop()


@pytest.fixture(scope="module")
def in_province(application: Flask) -> Callable[[str], AbstractContextManager[Province]]:
    """`with in_province(slug):` is a unit of work in that province: a context and a session of its own. What
    is not committed in it is undone."""

    @contextmanager
    def inside(slug: str) -> Iterator[Province]:
        province = by_slug(slug)
        assert province is not None, slug
        with application.app_context(), in_tenant(province.code):
            yield province

    return inside


@pytest.fixture(scope="module")
def provinces(in_province: Callable[[str], AbstractContextManager[Province]]) -> dict[str, Province]:
    """山西 and 河南, opened, with three institutions and six doctors each."""
    opened = {}
    for slug in SLUGS:
        with in_province(slug) as province:
            open_province(province, by=TERMINAL_ACTOR)
            assert (
                import_institutions(sample_data.institutions_csv(province.code), by=TERMINAL_ACTOR).accepted
                == 3
            )
            roster_rows = [
                sample_data.roster_row(province.code, serial, at=serial % 3 + 1) for serial in range(DOCTORS)
            ]
            assert actors.put_on_roster(*roster_rows).accepted == DOCTORS
            db.session.commit()
            opened[slug] = province
    return opened


@pytest.fixture
def owner_connection(stack: Stack) -> Iterator[psycopg.Connection]:
    """The superuser's connection to the module's database; what is not committed is undone."""
    connection = superuser_connection(stack.home)
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of samples; without it the test is skipped."""
    shared_folder = os.environ.get("DINGKAO_SHARED")
    shared = Path(shared_folder) if shared_folder else Path(__file__).resolve().parents[2] / "shared"
    if not (shared / "samples").is_dir():
        pytest.skip(f"no samples in {shared}; name their folder's parent in DINGKAO_SHARED")
    return shared / "samples"
