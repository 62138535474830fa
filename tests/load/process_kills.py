"""`make chaos`, its second part: every process of a running stack is killed -9, one at a time and in pairs,
and what is left is counted.

Whatever descends from what was killed has to end, and the stack has to be whole again: with the supervisor
alive by itself, else by the next start. Whole is one process of each kind, as many web workers as there were,
and nobody but those listening on the web's port. The suite runs a small one
(tests/embedded/test_make_run.py).
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psutil
from redis import Redis
from rq import Queue

from dingkao.embedded.environment import saved_environment
from dingkao.jobs.enqueueing import DEFAULT_QUEUE
from tests import conftest

GONE_SECONDS, WHOLE_SECONDS = 8, 120
SUPERVISOR, WEB, WEB_WORKER, WORKER, JOB, DUTIES = (
    "supervisor",
    "web",
    "web worker",
    "worker",
    "job",
    "duties",
)
TIMETABLE, POSTGRES, BACKEND, VALKEY = "timetable", "postgres", "backend", "valkey"
SWIFT = tuple(f"swift {kind}" for kind in ("account", "container", "object", "proxy"))
LASTING = (SUPERVISOR, WEB, WEB_WORKER, WORKER, DUTIES, TIMETABLE, POSTGRES, VALKEY, *SWIFT)
SINGLE = (*LASTING, JOB, BACKEND)
PAIRS = (
    (SUPERVISOR, WEB), (SUPERVISOR, POSTGRES), (SUPERVISOR, WORKER), (SUPERVISOR, VALKEY), (WEB, POSTGRES), (WEB, WEB_WORKER), (WORKER, JOB),
    (WORKER, VALKEY), (POSTGRES, BACKEND), ("swift object", "swift proxy"),
)  # fmt: skip
LONG = "select count(*) from generate_series(1, 1000000000000)"


def tree(root: int) -> list[psutil.Process]:
    """A process and all that descend from it."""
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(root)
        return [first, *first.children(recursive=True)]
    return []


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those of them that have not ended."""
    alive = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    return alive


def kind_of(process: psutil.Process, root: int) -> str | None:
    """What a process of the stack is; None where it is none of those we count."""
    with suppress(psutil.Error):
        line, parent = " ".join(process.cmdline()), process.ppid()
        if process.pid == root:
            return SUPERVISOR
        if "granian" in line:
            return WEB if parent == root else WEB_WORKER
        if "dingkao.cli worker" in line:
            if "--duties" in line:
                return DUTIES if parent == root else None
            return WORKER if parent == root else JOB
        if "dingkao.cli timetable" in line:
            return TIMETABLE if parent == root else None
        if "swift-" in line:
            return next((kind for kind in SWIFT if kind.replace(" ", "-") in line), None)
        if process.name() == "postgres":
            return POSTGRES if parent == root else BACKEND
        if process.name() in ("valkey-server", "redis-server"):
            return VALKEY if parent == root else None
    return None


def by_kind(root: int) -> dict[str, list[psutil.Process]]:
    """The stack's processes by what they are."""
    processes: dict[str, list[psutil.Process]] = {}
    for process in living(tree(root)):
        if kind := kind_of(process, root):
            processes.setdefault(kind, []).append(process)
    return processes


def children(home: Path) -> dict[str, int]:
    """The process ids of what the supervisor of the stack at `home` has begun, by kind."""
    root = int((home / "lock").read_text())
    begun = living(psutil.Process(root).children())
    return {kind: process.pid for process in begun if (kind := kind_of(process, root))}


def computes(process: psutil.Process) -> bool:
    """Whether a process has computed for long; one that has ended meanwhile has not."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.cpu_times().user > 0.3)
    return False


def listeners(port: int) -> set[int]:
    """The processes that listen on a port."""
    return {
        net_connection.pid
        for net_connection in psutil.net_connections("tcp")
        if net_connection.status == psutil.CONN_LISTEN
        and net_connection.laddr.port == port
        and net_connection.pid
    }


def serves(port: int) -> bool:
    """Whether the stack's web answers that every engine does."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, HTTPException):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


def until(holds: Callable[[], Any], seconds: float, what: str) -> Any:
    """What `holds` gives as soon as that is something. Raises AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (outcome := holds()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.1)
    return outcome


class StackUnderTest:
    """A stack under `dingkao run`, whose processes are killed."""

    def __init__(self, home: Path, said: Path) -> None:
        self.home, self.said, self.port = home, said, conftest.free_port()
        self.workers = len(os.sched_getaffinity(0))
        self.start()

    def start(self) -> None:
        """`dingkao run`, until it is whole."""
        inherited = {name: value for name, value in os.environ.items() if name not in conftest.FROM_OUTSIDE}
        environment = inherited | {
            "DINGKAO_HOME": str(self.home),
            "PORT": str(self.port),
            "DINGKAO_DEMONSTRATION": "0",
            "WEB_WORKERS": str(self.workers),
        }
        with self.said.open("a") as output_file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dingkao.cli", "run", "--with-parent"],
                stdout=output_file,
                stderr=output_file,
                env=environment,
            )
        until(self.whole, WHOLE_SECONDS, lambda: f"it did not start: {self.said.read_text()[-2000:]}")

    def whole(self) -> bool:
        """Whether there is one of each kind, as many web workers as there should be, and none but those
        listen."""
        assert self.process.poll() is None, self.said.read_text()[-2000:]
        by_kinds = by_kind(self.process.pid)
        counter = Counter({kind: len(processes) for kind, processes in by_kinds.items() if kind in LASTING})
        expected_counts = Counter(LASTING) + Counter({WEB_WORKER: self.workers - 1})
        pids = {process.pid for process in by_kinds.get(WEB_WORKER, [])}
        return counter == expected_counts and serves(self.port) and listeners(self.port) <= pids

    def kill(self, *kinds: str) -> None:
        """Kill one process of each kind at once, see that what descends from it ends, and that the stack is
        whole again. Raises AssertionError."""
        with self._busy(kinds):
            victims = until(
                lambda: self._victims(kinds), WHOLE_SECONDS, f"{kinds}: not all of them are there"
            )
            below = [descendant for victim in victims for descendant in tree(victim.pid)]
            for victim in victims:
                victim.send_signal(signal.SIGKILL)
            if SUPERVISOR in kinds:
                self.process.wait()
            until(
                lambda: not living(below),
                GONE_SECONDS,
                lambda: f"{kinds}: outlived what was killed: {_told(living(below))}",
            )
        if SUPERVISOR in kinds:
            assert not listeners(self.port)
            self.start()
        else:
            until(
                self.whole,
                WHOLE_SECONDS,
                lambda: f"{kinds}: not whole again: {_told(tree(self.process.pid))}",
            )

    def _victims(self, kinds: tuple[str, ...]) -> list[psutil.Process]:
        """One process of each kind; none where a kind is not there, as a job is not between two."""
        by_kinds = by_kind(self.process.pid)
        busy = {BACKEND: [process for process in by_kinds.get(BACKEND, []) if computes(process)]}
        candidates = [(by_kinds | busy).get(kind, []) for kind in kinds]
        return [random.choice(process) for process in candidates] if all(candidates) else []  # noqa: S311 - which of several

    @contextmanager
    def _busy(self, kinds: tuple[str, ...]) -> Iterator[None]:
        """Work under way where a job or a backend is to be killed: a job that sleeps, a statement that
        computes, whose client ends with the stack."""
        if JOB in kinds or WORKER in kinds:
            Queue(
                DEFAULT_QUEUE, connection=Redis.from_url(saved_environment(self.home)["REDIS_URL"])
            ).enqueue("time.sleep", 600)
            until(lambda: by_kind(self.process.pid).get(JOB), WHOLE_SECONDS, "no job began")
        client = (
            subprocess.Popen([sys.executable, "-c", CLIENT, str(self.home)])  # noqa: S603
            if POSTGRES in kinds or BACKEND in kinds
            else None
        )
        try:
            if client:
                until(
                    lambda: any(computes(process) for process in by_kind(self.process.pid).get(BACKEND, [])),
                    WHOLE_SECONDS,
                    "no statement began",
                )
                if SUPERVISOR in kinds:  # all who ask end with the supervisor
                    client.kill()
            yield
        finally:
            if client:
                client.kill()
                client.wait()

    def end(self) -> None:
        """As Ctrl-C: everything ends."""
        everyone = tree(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0
        assert not living(everyone), _told(living(everyone))


CLIENT = f"""
import psycopg, sys, time
from pathlib import Path
from tests import conftest
for _ in range({WHOLE_SECONDS}):
    try:
        conftest.superuser_connection(Path(sys.argv[1])).execute({LONG!r})
    except psycopg.Error:
        time.sleep(1)
"""
"""Asks for a statement that computes, again where the database isn't there yet."""


def _told(processes: list[psutil.Process]) -> list[str]:
    descriptions = []
    for process in processes:
        with suppress(psutil.Error):
            descriptions.append(f"{process.pid} < {process.ppid()} {' '.join(process.cmdline())[-80:]}")
    return descriptions


def main() -> None:
    """All kinds and all pairs, so many rounds; exit status 1 where anything is left or nothing comes back."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what is ignored here, as in the background, would be ignored there too
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dingkao-kills-", ignore_cleanup_errors=True) as folder:
        stack = StackUnderTest(Path(folder) / "home", Path(folder) / "said")
        kills = 0
        try:
            for number in range(1, args.rounds + 1):
                for kinds in (*((kind,) for kind in SINGLE), *PAIRS):
                    stack.kill(*kinds)
                    kills += 1
                    print(  # noqa: T201
                        (
                            f"{number}: {' and '.join(kinds)} killed after "
                            f"{time.monotonic() - began:.0f} s, whole again"
                        ),
                        file=sys.stderr,
                    )
            stack.end()
        finally:
            stack.process.kill()
            stack.process.wait()
    print(json.dumps({"rounds": args.rounds, "kills": kills, "seconds": round(time.monotonic() - began)}))  # noqa: T201


if __name__ == "__main__":
    main()
