"""Children of the supervisor: started in the foreground, reaped, started again when they die, stopped in order."""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1


class WouldNotStart(SystemExit):
    """A child did not become ready; the message names its log and its last lines."""


@dataclass(frozen=True)
class Lowered:
    """The unprivileged user an engine runs as when we are root; None of it applies otherwise."""

    user: pwd.struct_passwd | None

    @classmethod
    def for_folder(cls, folder: Path) -> "Lowered":
        """Who owns `folder` already, else the machine's `postgres`, else `nobody`; nobody changes when we aren't root."""
        if os.geteuid() != 0:
            return cls(None)
        if folder.exists() and folder.stat().st_uid != 0:
            return cls(pwd.getpwuid(folder.stat().st_uid))
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                return cls(pwd.getpwnam(name))
        raise WouldNotStart("PostgreSQL refuses to run as root and this machine has no unprivileged user to run it as.")

    def own(self, folder: Path) -> None:
        """Make `folder` (created if missing, mode 700) theirs."""
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if self.user:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)

    def command(self, command: Sequence[str], death_signal: str = "QUIT") -> list[str]:
        """`command` as that user. The one capability lets it walk through folders such as /root that only root may enter."""
        if not self.user:
            return list(command)
        setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
        return [
            setpriv, "--reuid", str(self.user.pw_uid), "--regid", str(self.user.pw_gid), "--init-groups",
            "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search", "--pdeathsig", death_signal, *command,
        ]  # fmt: skip


@dataclass
class Child:
    """One process of the stack: how it is started, how one knows it is ready, how it is asked to stop."""

    name: str
    command: Sequence[str]
    log: Path
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: int = signal.SIGTERM
    patience: float = 90.0
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    start_after: float = 0.0

    def start(self) -> None:
        """Begin the process; it dies with us, whatever kills us."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def running(self) -> bool:
        """Whether it lives; reaps it if it does not."""
        return self.process is not None and self.process.poll() is None

    def bring_up(self) -> None:
        """Start it and wait until it is ready, trying again while a predecessor is still going away; raises WouldNotStart."""
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            if not self.running():
                self.start()
            if self.ready() and self.running():
                return
            time.sleep(0.05 if self.running() else 0.5)
        self.stop()
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
        raise WouldNotStart(f"{self.name} did not start within {self.patience:.0f} s. Its log, {self.log}, ends:\n{tail}")

    def stop(self, patience: float = 12.0) -> None:
        """Ask it to stop, wait, and end it if it does not."""
        if self.process is None or not self.running():
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Supervisor:
    """Keeps children alive in the order they were brought up; stops them in the opposite order."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.children: list[Child] = []
        self.stopping = False

    def bring_up(self, child: Child) -> None:
        """Start `child`, wait for it, and keep it from now on."""
        self.children.append(child)
        child.bring_up()

    def tend(self) -> None:
        """One round: reap what has died and start it again, later each time it dies soon after its start."""
        for child in self.children:
            if child.running():
                if child.failures and time.monotonic() > child.start_after + 30:
                    child.failures = 0
                continue
            if time.monotonic() < child.start_after:
                continue
            child.failures += 1
            child.start_after = time.monotonic() + min(0.2 * 2**child.failures, 10)
            status = child.process.returncode if child.process else None
            self.say(f"{child.name} ended ({status}); starting it again")
            child.start()

    def keep(self) -> None:
        """Tend until SIGINT or SIGTERM, then stop everything."""

        def asked(*_: object) -> None:
            self.stopping = True

        before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not self.stopping:
                self.tend()
                time.sleep(0.2)
        finally:
            self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """Stop the children, the last first."""
        for child in reversed(self.children):
            child.stop()
        self.children.clear()


def program(*arguments: str) -> list[str]:
    """A command line of this same program, in this same environment."""
    return [sys.executable, "-m", "dingkao.cli", *arguments]


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Have the kernel send this process a signal when its parent ends, whatever ended it."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)
