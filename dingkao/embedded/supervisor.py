"""The supervisor of the stack's processes: starts them in order, restarts those that die, and stops them in
the opposite order.

All processes end when the supervisor ends, however it ends: those that ask for it get a signal from the
kernel (`dingkao/processes.py`), those of PostgreSQL watch their postmaster, and any that remain are killed
before new ones start.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dingkao.embedded import stale_processes
from dingkao.embedded.startup_errors import StartupError
from dingkao.embedded.unprivileged_user import UnprivilegedUser
from dingkao.processes import terminate_with_parent

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class ManagedProcess:
    """One process of the stack. `is_ready` says whether it serves; it works in `folder` if given, runs as
    `user` if the stack is root, inherits the open file `descriptors`, and gets `death_signal` when the
    supervisor ends. `start_timeout` (seconds) is how long it may take to become ready. `failures`: how often
    it died recently; `start_after`: when it may be restarted, by the monotonic clock."""

    name: str
    command: Sequence[str]
    log: Path
    is_ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: int = signal.SIGTERM
    death_signal: int = signal.SIGKILL
    start_timeout: float = 90.0
    folder: Path | None = None
    user: UnprivilegedUser | None = None
    descriptors: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    start_after: float = 0.0

    def start(self) -> None:
        """Start the process without waiting for it, its output appended to `log`. Its environment is this
        process's, `environment`, and the marker."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={
                    **os.environ,
                    **self.environment,
                    stale_processes.MARKER_VARIABLE: str(self.log),
                },
                pass_fds=self.descriptors,
                start_new_session=True,
                preexec_fn=partial(
                    terminate_with_parent,
                    os.getpid(),
                    self.death_signal,
                ),
                **(self.user.subprocess_arguments() if self.user else {}),
            )

    def kill_stale_processes(self) -> int:
        """Kill the processes that an earlier instance of this process has left; returns how many. Raises
        StartupError."""
        return stale_processes.kill_all(self.log, self.folder)

    def restart(self) -> None:
        """Kill what the earlier instance has left, then start the process. Raises StartupError."""
        self.kill_stale_processes()
        self.start()

    def is_running(self) -> bool:
        """Whether the process is alive; reaps it if it is not."""
        return self.process is not None and self.process.poll() is None

    def forget_failures(self) -> None:
        """Reset the count of failures half a minute after the last restart was allowed."""
        if self.failures and time.monotonic() > self.start_after + 30:
            self.failures = 0

    def delay_next_start(self) -> None:
        """Count a failure, and delay the next restart the longer the more failures there were (10 seconds at
        most)."""
        self.failures += 1
        self.start_after = time.monotonic() + min(0.2 * 2**self.failures, 10)

    def start_and_wait(self) -> None:
        """Start the process and wait until it is ready; it is started again if it ends, for example because
        an earlier process is still ending. After `start_timeout` seconds it is stopped. Raises StartupError
        then."""
        deadline = time.monotonic() + self.start_timeout
        while time.monotonic() < deadline:
            self._ensure_started()
            if self.is_ready() and self.is_running():
                return
            time.sleep(0.05 if self.is_running() else 0.5)
        self.stop()
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
        raise StartupError(
            f"{self.name} did not start within {self.start_timeout:.0f} s. Its log, {self.log}, ends:\n{tail}"
        )

    def _ensure_started(self) -> None:
        """Start the process unless it runs; restart it if it has ended. Raises StartupError."""
        if self.process is None:
            self.start()
        elif not self.is_running():
            self.restart()

    def stop(self, timeout: float = 12.0) -> None:
        """Ask the process to stop, wait `timeout` seconds, then kill it; kill its children that are left.
        Nothing happens if it was never started."""
        if self.process is None:
            return
        if self.is_running():
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        with contextlib.suppress(StartupError):
            self.kill_stale_processes()


class Supervisor:
    """Starts processes, restarts those that die, and stops all in the opposite order."""

    def __init__(self, log: Callable[[str], None]) -> None:
        """`log` is called with each message."""
        self.log = log
        self.children: list[ManagedProcess] = []
        self.stopping = False

    def start(self, process: ManagedProcess) -> None:
        """Start `process`, wait until it is ready, and supervise it from now on. Raises StartupError."""
        self.children.append(process)
        process.start_and_wait()

    def restart_dead(self) -> None:
        """Restart the processes that have died, later each time one dies soon after its start. `run_until`
        calls it again and again."""
        for child in self.children:
            if child.is_running():
                child.forget_failures()
            elif time.monotonic() >= child.start_after:
                self._restart(child)

    def _restart(self, child: ManagedProcess) -> None:
        """Restart a process that has died; if that fails, it is tried again later."""
        child.delay_next_start()
        status = child.process.returncode if child.process else None
        self.log(f"{child.name} ended ({status}); starting it again")
        try:
            child.restart()
        except StartupError as fault:
            self.log(str(fault))

    def run_until_signal(self) -> None:
        """Supervise until a stop signal comes, then stop all processes."""
        try:
            self.run_until(lambda: False)
        finally:
            self.stop()

    def run_until(self, done: Callable[[], bool]) -> None:
        """Supervise until `done` returns True, or a stop signal comes, which sets `stopping`. Stops no
        process; the earlier handlers of the signals are restored."""

        def asked(*_: object) -> None:
            """Handle a stop signal."""
            self.stopping = True

        heeded = [
            number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN
        ]  # nohup ignores one
        previous_handlers = {number: signal.signal(number, asked) for number in heeded}
        try:
            while not self.stopping and not done():
                self.restart_dead()
                time.sleep(0.2)
        finally:
            for number, handler in previous_handlers.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """Stop the processes, the last started first."""
        for child in reversed(self.children):
            child.stop()
        self.children.clear()


def program_command(*arguments: str) -> list[str]:
    """Returns the command that runs `dingkao` with these arguments in the same Python environment."""
    return [sys.executable, "-m", "dingkao.cli", *arguments]
