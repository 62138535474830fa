"""Finds and kills the processes that an earlier run has left, before new ones take their place.

The supervisor's processes have a marker variable in their environment, which their children inherit. Engines
that overwrite their environment with their title are recognised by name and working directory.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

from dingkao.embedded.startup_errors import StartupError

MARKER_VARIABLE = "DINGKAO_CHILD"
"""The environment variable whose value is the log file of the supervised process that a process belongs
to."""
ENGINE_PROGRAMS = ("postgres", "valkey-server", "redis-server")
KILL_TIMEOUT_SECONDS = 15


def kill_all(log: Path, folder: Path | None) -> int:
    """Kill every process whose marker is the path `log` or below it, and every engine that works in `folder`
    or below; returns how many. They are killed without delay, because whatever an engine has acknowledged is
    on the disk. Raises StartupError if one can't be killed."""
    ended: set[int] = set()
    deadline = time.monotonic() + KILL_TIMEOUT_SECONDS
    while stale := find_stale(log, folder):
        if time.monotonic() > deadline:
            raise StartupError(
                f"上次运行留下的进程无法结束：{'、'.join(str(process.pid) for process in stale)}。"
                "请手动结束它们后再启动。"
            )
        ended |= {process.pid for process in stale if _kill(process)}
        time.sleep(0.05)
    return len(ended)


def _kill(process: psutil.Process) -> bool:
    """Kill a process; returns whether that was possible."""
    with suppress(psutil.Error):
        process.kill()
        return True
    return False


def find_stale(log: Path, folder: Path | None) -> list[psutil.Process]:
    """Returns the processes whose marker is the path `log` or below it, and the engines that work in `folder`
    or below (None: no engine), without this process and those that have ended or can't be inspected."""
    return [process for process in psutil.process_iter() if _is_stale(process, log, folder)]


def _is_stale(process: psutil.Process, log: Path, folder: Path | None) -> bool:
    """Whether `kill_all` kills a process; False for this process, and for one that has ended or can't be
    inspected."""
    with suppress(psutil.Error):
        is_other = process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
        return is_other and (_is_marked(process, log) or _is_engine_in(process, folder))
    return False


def _is_marked(process: psutil.Process, log: Path) -> bool:
    """Whether the process's marker variable is the path `log` or below it."""
    with suppress(psutil.AccessDenied):
        mark = process.environ().get(MARKER_VARIABLE)
        return mark is not None and Path(mark).is_relative_to(log)
    return False


def _is_engine_in(process: psutil.Process, folder: Path | None) -> bool:
    """Whether a process is an engine that works in `folder` or below; never without a folder. Raises
    psutil.Error for one that has ended or can't be inspected."""
    if folder is None or process.name() not in ENGINE_PROGRAMS:
        return False
    return Path(process.cwd()).is_relative_to(folder)
