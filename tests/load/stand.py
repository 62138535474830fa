"""The stand that figures are taken on: a stack with its processes pinned, their CPU counted, another server in the place of the stack's, bare HTTP."""

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
from pathlib import Path
from typing import Any

import psycopg

from dingkao.app import ROOT, create_app
from dingkao.embedded.children import program
from dingkao.embedded.stack import Stack
from dingkao.settings import Settings
from dingkao.tenants.context import entered
from dingkao.tenants.registry import Province, by_slug
from tests import conftest

TICK = os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORE = (0, 1) if (os.cpu_count() or 1) > 1 else (0, 0)
REQUESTS = 1_000


def told(name: str, value: float, unit: str, bar: float | None, ok: bool | None) -> None:
    """One line of the result."""
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "bar": bar, "ok": ok}), flush=True)  # noqa: T201


def at_most(name: str, value: float, unit: str, bar: float) -> None:
    """A figure that is good when it is small."""
    told(name, value, unit, bar, value <= bar)


def at_least(name: str, value: float, unit: str, bar: float) -> None:
    """A figure that is good when it is large."""
    told(name, value, unit, bar, value >= bar)


class Bench:
    """A stack with its application, and the ways of measuring it."""

    def __init__(self, home: Path) -> None:
        self.stack = Stack(home, conftest.free_port(), lambda line: print(line, file=sys.stderr))  # noqa: T201
        os.sched_setaffinity(0, {SERVER_CORE})  # the server begins as on a machine of one core
        self.stack.begin()
        self.stack.serve()
        self.other: subprocess.Popen[bytes] | None = None
        self.application = create_app(Settings.from_environment(self.stack.environment))
        os.sched_setaffinity(0, {LOAD_CORE})
        self.pin()

    def end(self) -> None:
        """Stop it."""
        self.stack.end()

    @contextmanager
    def inside(self, slug: str) -> Iterator[Province]:
        """A unit of work in a province."""
        province = by_slug(slug)
        assert province
        with self.application.app_context(), entered(province.code):
            yield province

    def processes(self) -> list[int]:
        """Web and PostgreSQL with all their children."""
        wanted = ("PostgreSQL",) if self.other else ("Web", "PostgreSQL")
        roots = [child.process.pid for child in self.stack.supervisor.children if child.name in wanted and child.process]
        roots += [self.other.pid] if self.other else []
        parents: dict[int, list[int]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parents.setdefault(int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]), []).append(int(folder.name))
            except OSError:
                continue
        found, waiting = [], roots
        while waiting:
            found.append(waiting.pop())
            waiting += parents.get(found[-1], [])
        return found

    def pin(self, cores: set[int] | None = None) -> None:
        """Keep the server's processes to their core, or to `cores`."""
        for process in self.processes():
            for task in Path(f"/proc/{process}/task").glob("*"):
                try:
                    os.sched_setaffinity(int(task.name), cores or {SERVER_CORE})
                except OSError:
                    continue

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
        before = self.cpu()
        for number in range(requests):
            work(number)
        return (self.cpu() - before) * 1000 / requests

    def gunicorn(self) -> AbstractContextManager[int]:
        """The same application served by gunicorn in the place of our server; its port."""
        port = conftest.free_port()
        command = ["-m", "gunicorn", "--workers", "2", "--threads", "2", "--keep-alive", "75", "--log-level", "error", "--bind", f"127.0.0.1:{port}", "wsgi:application"]
        return self._instead(port, command)

    def web(self, workers: int) -> AbstractContextManager[int]:
        """Our server with so many processes in the place of the stack's own; its port."""
        port = conftest.free_port()
        return self._instead(port, program("web")[1:], PORT=str(port), WEB_WORKERS=str(workers))

    @contextmanager
    def _instead(self, port: int, arguments: list[str], **told: str) -> Iterator[int]:
        self.other = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=os.environ | self.stack.environment | told, stdout=sys.stderr)  # noqa: S603
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.2)
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
        wire = Wire(self.stack.port)
        return lambda _number: wire.ask(line)

    def superuser(self) -> psycopg.Connection[Any]:
        """The superuser's connection."""
        connection = conftest.superuser_connection(self.stack.home)
        connection.autocommit = True
        return connection


class Wire:
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
