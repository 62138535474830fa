"""The stand that figures are taken on: a stack with its processes pinned, their CPU counted, another server
in the place of the stack's, bare HTTP."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from dingkao.app import create_app
from dingkao.cli.web import granian_arguments
from dingkao.config import ROOT, AppConfig
from dingkao.embedded.stack import Stack
from dingkao.embedded.supervisor import program_command
from dingkao.tenants.context import in_tenant
from dingkao.tenants.registry import Province, by_slug
from tests import conftest
from tests.load.ground import descendants

TICK = os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORE = (0, 1) if (os.cpu_count() or 1) > 1 else (0, 0)
REQUESTS = 1_000
MULTIPLE_NOISE = 0.08


def report_result(name: str, value: float, unit: str, bar: float | None, ok: bool | None) -> None:
    """One line of the result."""
    print(  # noqa: T201
        json.dumps({"name": name, "value": round(value, 3), "unit": unit, "bar": bar, "ok": ok}), flush=True
    )


def report_at_most(name: str, value: float, unit: str, bar: float) -> None:
    """A figure that is good when it is small."""
    report_result(name, value, unit, bar, value <= bar)


def report_at_least(name: str, value: float, unit: str, bar: float) -> None:
    """A figure that is good when it is large."""
    report_result(name, value, unit, bar, value >= bar)


@dataclass(frozen=True)
class Cost:
    """What one request costs: CPU milliseconds, and how many times what the yardstick's request cost in the
    same minute."""

    milliseconds: float
    multiple: float


def report_cost(name: str, cost: Cost, bar: float) -> None:
    """Milliseconds as information, the multiple held to its bar.

    A bar is the median multiple of five runs; a run may lie above it by MULTIPLE_NOISE, which the five spread
    by.
    """
    report_result(f"{name}_cpu_ms", cost.milliseconds, "ms", None, None)
    report_result(
        f"{name}_cost", cost.multiple, "yardsticks", bar, cost.multiple <= bar * (1 + MULTIPLE_NOISE)
    )


class Bench:
    """A stack with its application, and the ways of measuring it."""

    def __init__(self, home: Path) -> None:
        self.stack = Stack(home, conftest.free_port(), lambda line: print(line, file=sys.stderr))  # noqa: T201
        os.sched_setaffinity(0, {SERVER_CORE})  # the server begins as on a machine of one core
        self.stack.start_engines()
        self.stack.start_all()
        self.other: subprocess.Popen[bytes] | None = None
        self.yardstick_port = conftest.free_port()
        self.yardstick = self._serve(
            [
                *granian_arguments("127.0.0.1", str(self.yardstick_port), 1),
                "--factory",
                "tests.load.yardstick:application",
            ]
        )
        wait_for_port(self.yardstick_port)
        self.application = create_app(AppConfig.from_environment(self.stack.environment))
        os.sched_setaffinity(0, {LOAD_CORE})
        self.pin()

    def end(self) -> None:
        """Stop it."""
        self.yardstick.terminate()
        self.yardstick.wait()
        self.stack.stop()

    @contextmanager
    def inside(self, slug: str) -> Iterator[Province]:
        """A unit of work in a province."""
        province = by_slug(slug)
        assert province
        with self.application.app_context(), in_tenant(province.code):
            yield province

    def processes(self) -> list[int]:
        """Web and PostgreSQL with all their children, the yardstick's too."""
        engine_names = ("PostgreSQL",) if self.other else ("Web", "PostgreSQL")
        roots = [
            child.process.pid
            for child in self.stack.supervisor.children
            if child.name in engine_names and child.process
        ]
        roots += [self.yardstick.pid, *([self.other.pid] if self.other else [])]
        return descendants(*roots)

    def pin(self, cores: set[int] | None = None) -> None:
        """Keep the server's processes to their core, or to `cores`."""
        for process in self.processes():
            for task in Path(f"/proc/{process}/task").glob("*"):
                try:
                    os.sched_setaffinity(int(task.name), cores or {SERVER_CORE})
                except OSError:
                    continue

    @contextmanager
    def unpinned(self) -> Iterator[None]:
        """In the block the server and this process may use every core."""
        every_core = set(range(os.cpu_count() or 1))
        self.pin(every_core)
        os.sched_setaffinity(0, every_core)
        try:
            yield
        finally:
            os.sched_setaffinity(0, {LOAD_CORE})
            self.pin()

    def memory(self) -> float:
        """Megabytes of their own that the web's processes have, the database's left out."""
        total = 0
        for process in self.processes():
            try:
                if "postgres" not in (folder := Path(f"/proc/{process}")).joinpath("comm").read_text():
                    total += int(re.findall(r"RssAnon:\s+(\d+)", folder.joinpath("status").read_text())[0])
            except (OSError, IndexError):
                continue
        return total / 1024

    def cpu(self) -> float:
        """CPU seconds of the server so far, its ended children counted."""
        total = 0
        for process in self.processes():
            try:
                fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            total += sum(int(field) for field in fields[11:15])
        return total / TICK

    def each(self, work: Callable[[int], None], requests: int = REQUESTS) -> float:
        """CPU milliseconds a request over `requests` calls of `work`, one after another, after a warm-up."""
        for number in range(40):
            work(number)
        self.pin()
        cpu_before = self.cpu()
        for number in range(requests):
            work(number)
        return (self.cpu() - cpu_before) * 1000 / requests

    def cost(self, work: Callable[[int], None], requests: int = REQUESTS) -> Cost:
        """What a call of `work` costs beside the yardstick, of which as many requests are counted before and
        after."""
        wire = RawHttpConnection(self.yardstick_port)
        request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

        def yardstick(_number: int) -> None:
            wire.ask(request)

        yardstick_before = self.each(yardstick, requests)
        milliseconds = self.each(work, requests)
        yardstick_after = self.each(yardstick, requests)
        return Cost(milliseconds, 2 * milliseconds / (yardstick_before + yardstick_after))

    def gunicorn(self) -> AbstractContextManager[int]:
        """The same application served by gunicorn in the place of our server; its port."""
        port = conftest.free_port()
        command = [
            "-m",
            "gunicorn",
            "--workers",
            "2",
            "--threads",
            "2",
            "--keep-alive",
            "75",
            "--log-level",
            "error",
            "--bind",
            f"127.0.0.1:{port}",
            "wsgi:application",
        ]
        return self._instead(port, command)

    def web(self, workers: int) -> AbstractContextManager[int]:
        """Our server with so many processes in the place of the stack's own; its port."""
        port = conftest.free_port()
        return self._instead(port, program_command("web")[1:], PORT=str(port), WEB_WORKERS=str(workers))

    def cheap_hashing(self) -> AbstractContextManager[int]:
        """Our server, of one process, with passwords that cost next to nothing to check; its port."""
        port = conftest.free_port()
        return self._instead(
            port,
            [
                *granian_arguments("127.0.0.1", str(port), 1),
                "--factory",
                "tests.load.cheap_hashing:application",
            ],
        )

    def _serve(self, arguments: list[str], **variables: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | self.stack.environment | variables,
            stdout=sys.stderr,
        )

    @contextmanager
    def _instead(self, port: int, arguments: list[str], **told: str) -> Iterator[int]:
        self.other = self._serve(arguments, **told)
        try:
            wait_for_port(port)
            time.sleep(2)
            self.pin()
            yield port
        finally:
            self.other.terminate()
            self.other.wait()
            self.other = None

    def get(self, path: str, cookie: str) -> Callable[[int], None]:
        """A page asked for on a kept connection; anything but 200 fails."""
        line = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode()
        wire = RawHttpConnection(self.stack.port)
        return lambda _number: wire.ask(line)

    def superuser(self) -> psycopg.Connection[Any]:
        """The superuser's connection."""
        connection = conftest.superuser_connection(self.stack.home)
        connection.autocommit = True
        return connection


def wait_for_port(port: int) -> None:
    """Wait until somebody listens, at most half a minute."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)


class RawHttpConnection:
    """One kept connection that speaks as little HTTP as is needed."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.port, self.source = port, source
        self.connect()

    def connect(self) -> None:
        """Connect, or again."""
        self.socket = socket.create_connection(("127.0.0.1", self.port), source_address=(self.source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes, wanted: tuple[bytes, ...] = (b"200",)) -> bytes:
        """Send, read the whole answer, check its status."""
        self.socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.socket.recv(65536)
            if not part:
                raise ConnectionError("the server closed the connection")
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        if head[9:12] not in wanted:
            raise AssertionError(head.decode("latin1") + body.decode(errors="replace")[:400])
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        while length and len(body) < int(length[1]):
            body += self.socket.recv(65536)
        return body
