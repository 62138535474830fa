"""The whole stack on one machine: secrets and ports chosen once and kept, engines brought up in order, the environment written down."""

import base64
import contextlib
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import psycopg
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dingkao.database import roles
from dingkao.database.migrating import upgrade
from dingkao.embedded import postgres, swift, valkey
from dingkao.embedded.children import Child, Supervisor, WouldNotStart, program

BUCKET = "dingkao"
ENGINE_PORTS = ("postgres", "valkey", "account", "container", "object", "proxy")
SERVANTS = {"Worker": ("worker",), "Duties": ("worker", "--duties"), "Timetable": ("timetable",)}


@dataclass
class Stack:
    """The stack whose data lie in `home`. `port` is the web's; None takes PORT or 8000."""

    home: Path
    port: int
    say: Callable[[str], None] = print
    supervisor: Supervisor = field(init=False)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = self.home.absolute()
        self.supervisor = Supervisor(self.say)

    def begin(self) -> None:
        """Bring up every engine that isn't given from outside, migrate, write `environment`. Raises WouldNotStart."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._only_one()
        kept = self._kept()
        ports = self._ports(kept)
        url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "DINGKAO_HOME": str(self.home),
            "PORT": str(self.port),
            "PUBLIC_URL": os.environ.get("PUBLIC_URL", url),
            "SECRET_KEY": kept["secret_key"],
            "DATA_KEY": kept["data_key"],
            "DINGKAO_PLAIN_HTTP": os.environ.get("DINGKAO_PLAIN_HTTP", "1"),
            "DINGKAO_DEMONSTRATION": os.environ.get("DINGKAO_DEMONSTRATION", "1"),
            "SMS_ADAPTER": os.environ.get("SMS_ADAPTER", "outbox"),
        }
        self._database(kept, ports["postgres"])
        self._queue(kept, ports["valkey"])
        self._store(kept, ports)
        self._write_environment()
        started = time.monotonic()
        upgrade(self.environment["MIGRATOR_DATABASE_URL"])
        self.say(f"数据库结构已是最新 ({time.monotonic() - started:.1f} s)")

    def serve(self) -> None:
        """Bring up the web server beside the engines, a worker for slow work, one for the timetable's duties, and the timetable."""
        self.serve_web()
        for child in self.servants():
            self.supervisor.bring_up(child)

    def serve_web(self) -> None:
        """Bring up the web server alone."""
        self.supervisor.bring_up(Child("Web", program("web"), self.home / "log" / "web.log", _listens(self.port), self.environment))

    def servants(self) -> list[Child]:
        """What works without being asked by a browser: workers and the timetable, to be brought up."""
        logs = self.home / "log"
        return [Child(name, program(*command), logs / f"{name.lower()}.log", lambda: True, self.environment) for name, command in SERVANTS.items()]

    def end(self) -> None:
        """Stop what was brought up."""
        self.supervisor.stop()

    def _only_one(self) -> None:
        self._lock = (self.home / "lock").open("w")
        deadline = time.monotonic() + 15
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as fault:
                if time.monotonic() > deadline:
                    raise WouldNotStart(f"另一个 make run 正在使用 {self.home};请先停止它,或另设 DINGKAO_HOME。") from fault
                time.sleep(0.3)

    def _kept(self) -> dict[str, str]:
        """The generated secrets, made at the first start; written aside and renamed, so that a kill leaves all or none."""
        path = self.home / "secrets.json"
        if path.exists():
            return dict(json.loads(path.read_text()))
        kept = {
            name: secrets.token_urlsafe(32)
            for name in ("secret_key", "superuser", "migrator", "app", "platform", "backup", "valkey", "store")
        }
        kept["data_key"] = base64.b64encode(secrets.token_bytes(32)).decode()
        _write_private(path, json.dumps(kept))
        return kept

    def _ports(self, kept: dict[str, str]) -> dict[str, int]:
        """The engines' ports: those of the last start where they are free, others where not."""
        path = self.home / "ports.json"
        last = json.loads(path.read_text()) if path.exists() else {}
        chosen: dict[str, int] = {}
        for name in ENGINE_PORTS:
            port = int(os.environ.get(f"{name.upper()}_PORT", 0)) or last.get(name, 0)
            chosen[name] = port if port and _frees(port) else _free_port(set(chosen.values()))
        _write_private(path, json.dumps(chosen))
        return chosen

    def _database(self, kept: dict[str, str], port: int) -> None:
        if given := os.environ.get("DATABASE_URL"):
            self.environment["DATABASE_URL"] = given
            for name in ("PLATFORM_DATABASE_URL", "MIGRATOR_DATABASE_URL"):
                if not os.environ.get(name):
                    raise WouldNotStart(f"DATABASE_URL is given, so {name} must be too (roles: deploy/README.md).")
                self.environment[name] = os.environ[name]
            self.say("使用外部 PostgreSQL")
            return
        started = time.monotonic()
        data = self.home / "postgres"
        log = self.home / "log" / "postgres.log"
        postgres.initialise(data, kept["superuser"])
        self.supervisor.bring_up(postgres.child(data, port, kept["superuser"], log))
        names = {"migrator": roles.MIGRATOR, "app": roles.APP, "platform": roles.PLATFORM, "backup": roles.BACKUP}
        roles.bootstrap(
            f"postgresql://{postgres.SUPERUSER}:{kept['superuser']}@127.0.0.1:{port}",
            postgres.DATABASE,
            {role: kept[name] for name, role in names.items()},
        )
        for variable, name in (
            ("DATABASE_URL", "app"), ("PLATFORM_DATABASE_URL", "platform"),
            ("MIGRATOR_DATABASE_URL", "migrator"), ("BACKUP_DATABASE_URL", "backup"),
        ):  # fmt: skip
            self.environment[variable] = postgres.address(port, names[name], kept[name])
        self.say(f"PostgreSQL 已就绪,端口 {port} ({time.monotonic() - started:.1f} s)")

    def _queue(self, kept: dict[str, str], port: int) -> None:
        if given := os.environ.get("REDIS_URL"):
            self.environment["REDIS_URL"] = given
            self.say("使用外部 Redis")
            return
        self.supervisor.bring_up(valkey.child(self.home / "valkey", port, kept["valkey"], self.home / "log" / "valkey.log"))
        self.environment["REDIS_URL"] = f"redis://:{kept['valkey']}@127.0.0.1:{port}/0"
        self.say(f"Valkey 已就绪,端口 {port}")

    def _store(self, kept: dict[str, str], ports: dict[str, int]) -> None:
        started = time.monotonic()
        if given := os.environ.get("S3_ENDPOINT_URL"):
            self.environment |= {"S3_ENDPOINT_URL": given, "S3_BUCKET": os.environ.get("S3_BUCKET", BUCKET)}
            for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY"):
                if not os.environ.get(name):
                    raise WouldNotStart(f"S3_ENDPOINT_URL is given, so {name} must be too.")
                self.environment[name] = os.environ[name]
            self.say("使用外部对象存储")
        else:
            for child in swift.children(self.home / "swift", ports, kept["store"], self.home / "log"):
                self.supervisor.bring_up(child)
            self.environment |= {
                "S3_ENDPOINT_URL": f"http://127.0.0.1:{ports['proxy']}",
                "S3_ACCESS_KEY": swift.ACCESS_KEY,
                "S3_SECRET_KEY": kept["store"],
                "S3_BUCKET": BUCKET,
            }
            self.say(f"对象存储已就绪,端口 {ports['proxy']} ({time.monotonic() - started:.1f} s)")
        self._bucket()

    def _bucket(self) -> None:
        """See that the bucket is there, and make it where it isn't."""
        client = boto3.client(
            "s3", endpoint_url=self.environment["S3_ENDPOINT_URL"], aws_access_key_id=self.environment["S3_ACCESS_KEY"],
            aws_secret_access_key=self.environment["S3_SECRET_KEY"], region_name="us-east-1", config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip
        bucket = self.environment["S3_BUCKET"]
        try:
            client.head_bucket(Bucket=bucket)
        except ClientError:
            try:
                client.create_bucket(Bucket=bucket)
            except (BotoCoreError, ClientError) as fault:
                raise WouldNotStart(f"The store answers, but has no bucket {bucket} and would not make it: {fault}") from fault
        except BotoCoreError as fault:
            raise WouldNotStart(f"The store at {self.environment['S3_ENDPOINT_URL']} doesn't answer: {fault}") from fault

    def _write_environment(self) -> None:
        _write_private(self.home / "environment", "".join(f"{name}={value}\n" for name, value in self.environment.items()))


def remembered(home: Path) -> dict[str, str]:
    """The environment that the stack of `home` wrote down; empty where there is none."""
    path = home / "environment"
    if not path.exists():
        return {}
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def answers(environment: dict[str, str]) -> bool:
    """Whether the database of `environment` takes connections."""
    with contextlib.suppress(psycopg.Error), psycopg.connect(
        environment["DATABASE_URL"].replace("+psycopg", ""), connect_timeout=2
    ):
        return True
    return False


def _write_private(path: Path, text: str) -> None:
    aside = path.with_suffix(".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _frees(port: int, patience: float = 5.0) -> bool:
    """Whether `port` is free, or becomes so while a predecessor goes away."""
    deadline = time.monotonic() + patience
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


def _free_port(taken: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def _listens(port: int) -> Callable[[], bool]:
    def ready() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    return ready
