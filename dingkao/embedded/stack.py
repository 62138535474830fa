"""The whole stack on one machine. Secrets and ports are chosen once and stored, the engines are started in
order, and the environment for other processes is written to a file."""

import base64
import contextlib
import fcntl
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TextIO

import psycopg

from dingkao.database import roles
from dingkao.database.migrations import upgrade
from dingkao.embedded import (
    ports,
    postgres,
    stale_processes,
    swift,
    valkey,
)
from dingkao.embedded.environment import DATABASE, QUEUE, STORE
from dingkao.embedded.startup_errors import StartupError
from dingkao.embedded.supervisor import (
    ManagedProcess,
    Supervisor,
    program_command,
)
from dingkao.errors import Unavailable
from dingkao.integrations import storage

BUCKET = "dingkao"
ENGINE_PORTS = (
    "postgres",
    "valkey",
    "account",
    "container",
    "object",
    "proxy",
)
INVALID_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")
"""Characters that the path of the data may not have, because the file `environment` has a line per
variable."""


BACKGROUND_PROCESSES = {
    "Worker": ("worker",),
    "Duties": ("worker", "--duties"),
    "Timetable": ("timetable",),
}


@dataclass
class Stack:
    """The stack with its data in the folder `home`. `port`: of the web server; `log` is called with each line
    of progress."""

    home: Path
    port: int
    log: Callable[[str], None] = print
    supervisor: Supervisor = field(init=False)
    environment: dict[str, str] = field(default_factory=dict)
    _lock: TextIO | None = None
    _reserved_port: socket.socket | None = None

    def __post_init__(self) -> None:
        """Resolve the folder, and read the web server's host from the environment."""
        self.home = self.home.resolve()
        self.host = os.environ.get("HOST", "127.0.0.1")
        self.supervisor = Supervisor(self.log)

    def start_engines(self) -> None:
        """Lock the folder `home`, end what an earlier run left, reserve the port of the web server, start
        every engine that is not provided from outside, write the file `environment`, and then migrate the
        database. Raises StartupError, and what `migrations.upgrade` raises; also then the caller must call
        `stop`."""
        if INVALID_CHARACTERS.search(str(self.home)):
            raise StartupError(
                f"数据目录的路径不能含有换行等控制字符：{str(self.home)!r}。请用 DINGKAO_HOME 另设。"
            )
        self.home.mkdir(parents=True, exist_ok=True)
        self._lock_home()
        if ended := stale_processes.kill_all(self.home / "log", self.home):
            self.log(f"已结束上次运行留下的 {ended} 个进程")
        self._reserved_port = ports.reserve_port(self.port)
        ports.require_free_port(self.host, self.port)
        self.log(f"数据目录：{self.home}")
        secrets = self._load_secrets()
        chosen_ports = self._choose_ports()
        url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "DINGKAO_HOME": str(self.home),
            "PORT": str(self.port),
            "PUBLIC_URL": os.environ.get("PUBLIC_URL", url),
            "SECRET_KEY": os.environ.get("SECRET_KEY") or secrets["secret_key"],
            "DATA_KEY": os.environ.get("DATA_KEY") or secrets["data_key"],
            "DINGKAO_PLAIN_HTTP": os.environ.get("DINGKAO_PLAIN_HTTP", "1"),
            "DINGKAO_DEMONSTRATION": os.environ.get("DINGKAO_DEMONSTRATION", "1"),
            "SMS_ADAPTER": os.environ.get("SMS_ADAPTER", "outbox"),
        }
        self._start_database(secrets, chosen_ports["postgres"])
        self._start_queue(secrets, chosen_ports["valkey"])
        self._start_store(secrets, chosen_ports)
        self._write_environment()
        started = time.monotonic()
        upgrade(self.environment["MIGRATOR_DATABASE_URL"])
        self.log(f"数据库结构已是最新（{time.monotonic() - started:.1f} s）")

    def start_all(self) -> None:
        """Start the web server, the two workers and the timetable; the engines must run. Raises
        StartupError."""
        self.start_web()
        for child in self.background_processes():
            self.supervisor.start(child)

    def start_web(self) -> None:
        """Start the web server. Raises StartupError."""
        self.supervisor.start(
            ManagedProcess(
                "Web",
                program_command("web"),
                self.home / "log" / "web.log",
                _web_responds(self.host, self.port),
                self.environment,
            )
        )

    def background_processes(self) -> list[ManagedProcess]:
        """Returns the workers and the timetable as managed processes, not started yet."""
        logs = self.home / "log"
        return [
            ManagedProcess(
                name,
                program_command(*command),
                logs / f"{name.lower()}.log",
                lambda: True,
                self.environment,
            )
            for name, command in BACKGROUND_PROCESSES.items()
        ]

    def stop(self) -> None:
        """Stop all processes, and release the reserved port and the lock of `home`."""
        self.supervisor.stop()
        for resource in (self._reserved_port, self._lock):
            if resource:
                resource.close()

    def _lock_home(self) -> None:
        """Lock the folder `home` for this stack, waiting some seconds for another one to end. Raises
        StartupError."""
        self._lock = (self.home / "lock").open("a+")
        deadline = time.monotonic() + 15
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as fault:
                if time.monotonic() > deadline:
                    self._lock.seek(0)
                    message = (
                        f"另一个 make run（进程 {self._lock.read().strip()}）正在使用 {self.home}；"
                        "请先停止它，或另设 DINGKAO_HOME。"
                    )
                    raise StartupError(message) from fault
                time.sleep(0.3)
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def _load_secrets(self) -> dict[str, str]:
        """Returns the secrets of `home`, name → text. At the first start they are generated and written to a
        temporary file that is then renamed, so that a killed start leaves all or none."""
        path = self.home / "secrets.json"
        if path.exists():
            return dict(json.loads(path.read_text()))
        stored_secrets = {
            name: secrets.token_urlsafe(32)
            for name in (
                "secret_key",
                "superuser",
                "migrator",
                "app",
                "platform",
                "backup",
                "valkey",
                "store",
            )
        }
        stored_secrets["data_key"] = base64.b64encode(secrets.token_bytes(32)).decode()
        _write_private_file(path, json.dumps(stored_secrets))
        return stored_secrets

    def _choose_ports(self) -> dict[str, int]:
        """Returns engine → port, and stores it for the next start: a port that the environment names, else
        the one of the last start if it is free, else another free one. Raises StartupError if a named one is
        taken."""
        path = self.home / "ports.json"
        last = json.loads(path.read_text()) if path.exists() else {}
        chosen_ports: dict[str, int] = {}
        for name in ENGINE_PORTS:
            variable = f"{name.upper()}_PORT"
            if configured_port := int(os.environ.get(variable, 0)):
                ports.require_free_port("127.0.0.1", configured_port, variable)
                chosen_ports[name] = configured_port
            elif (port := last.get(name, 0)) and ports.is_free("127.0.0.1", port):
                chosen_ports[name] = port
            else:
                chosen_ports[name] = ports.free_port(set(chosen_ports.values()))
        _write_private_file(path, json.dumps(chosen_ports))
        return chosen_ports

    def _start_database(self, stored: dict[str, str], port: int) -> None:
        """Start PostgreSQL and create or update its roles, or use the one from outside; set its variables in
        `environment`. `stored`: the secrets of `home`. Raises StartupError."""
        if configured := DATABASE.configured(os.environ):
            self.environment |= configured
            self.log("使用外部 PostgreSQL")
            return
        started = time.monotonic()
        data = self.home / "postgres"
        log = self.home / "log" / "postgres.log"
        postgres.init_cluster(data, stored["superuser"])
        self.supervisor.start(postgres.server_process(data, port, stored["superuser"], log))
        names = {
            "migrator": roles.MIGRATOR,
            "app": roles.APP,
            "platform": roles.PLATFORM,
            "backup": roles.BACKUP,
        }
        roles.bootstrap(
            f"postgresql://{postgres.SUPERUSER}:{stored['superuser']}@127.0.0.1:{port}",
            postgres.DATABASE,
            {role: stored[name] for name, role in names.items()},
        )
        for variable, name in (
            ("DATABASE_URL", "app"),
            ("PLATFORM_DATABASE_URL", "platform"),
            ("MIGRATOR_DATABASE_URL", "migrator"),
            ("BACKUP_DATABASE_URL", "backup"),
        ):
            self.environment[variable] = postgres.database_url(port, names[name], stored[name])
        self.log(f"PostgreSQL 已就绪，端口 {port}（{time.monotonic() - started:.1f} s）")

    def _start_queue(self, stored: dict[str, str], port: int) -> None:
        """Start Valkey, or use the one from outside; set its variables in `environment`. `stored`: the
        secrets of `home`. Raises StartupError if it doesn't get ready in time."""
        if configured := QUEUE.configured(os.environ):
            self.environment |= configured
            self.log("使用外部 Redis")
            return
        self.supervisor.start(
            valkey.server_process(
                self.home / "valkey",
                port,
                stored["valkey"],
                self.home / "log" / "valkey.log",
            )
        )
        self.environment["REDIS_URL"] = f"redis://:{stored['valkey']}@127.0.0.1:{port}/0"
        self.log(f"Valkey 已就绪，端口 {port}")

    def _start_store(self, stored: dict[str, str], chosen: dict[str, int]) -> None:
        """Start Swift, or use the store from outside; set its variables in `environment`, and create the
        bucket unless it exists. `stored`: the secrets of `home`; `chosen`: the engines' ports. Raises
        StartupError."""
        started = time.monotonic()
        if configured := STORE.configured(os.environ):
            self.environment |= {"S3_BUCKET": BUCKET} | configured
            self.log("使用外部对象存储")
        else:
            for child in swift.server_processes(
                self.home / "swift",
                chosen,
                stored["store"],
                self.home / "log",
            ):
                self.supervisor.start(child)
            self.environment |= {
                "S3_ENDPOINT_URL": f"http://127.0.0.1:{chosen['proxy']}",
                "S3_ACCESS_KEY": swift.ACCESS_KEY,
                "S3_SECRET_KEY": stored["store"],
                "S3_BUCKET": BUCKET,
            }
            self.log(f"对象存储已就绪，端口 {chosen['proxy']}（{time.monotonic() - started:.1f} s）")
        try:
            storage.create_bucket(self.environment)
        except Unavailable as fault:
            raise StartupError(fault.message) from fault

    def _write_environment(self) -> None:
        """Write `environment` to the file of that name, for other processes."""
        _write_private_file(
            self.home / "environment",
            "".join(f"{name}={value}\n" for name, value in self.environment.items()),
        )


def accepts_connections(environment: dict[str, str]) -> bool:
    """Whether the database named by `environment` accepts connections."""
    with (
        contextlib.suppress(psycopg.Error),
        psycopg.connect(
            environment["DATABASE_URL"].replace("+psycopg", ""),
            connect_timeout=2,
        ),
    ):
        return True
    return False


def _write_private_file(path: Path, text: str) -> None:
    """Write a file that only its owner can read, replacing an earlier one at once."""
    aside = path.with_suffix(".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _web_responds(host: str, port: int) -> Callable[[], bool]:
    """Returns a function that says whether the web server on that host and port responds."""
    local_host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only compared

    def ready() -> bool:
        """Whether /healthz answers with 200."""
        connection = HTTPConnection(local_host, port, timeout=2)
        with (
            contextlib.suppress(OSError, HTTPException),
            contextlib.closing(connection),
        ):
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        return False

    return ready
