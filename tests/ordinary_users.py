"""An ordinary user besides root, and an environment with an interpreter which that user may run."""

import os
import pwd
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

ORDINARY = "nobody"


def find_ordinary_user() -> pwd.struct_passwd | None:
    """Returns a user who is not root; None where that is ourselves. Skips the test if that user can't read
    our environment."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam(ORDINARY)
    if not _may(user, "test", "-r", f"{sys.prefix}/pyvenv.cfg"):
        pytest.skip(f"{ORDINARY} can't enter {sys.prefix}")
    return user


def subprocess_identity(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """Returns the arguments with which `subprocess` starts a process as `user` (None: as ourselves)."""
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def link_environment(environment: Path, user: pwd.struct_passwd | None) -> Path:
    """Make the folder `environment`: a virtual environment with our packages, by a link, and an interpreter
    that `user` (None: ourselves) may run; returns that. Skips the test if there is no such interpreter."""
    interpreter = _interpreter_for(user)
    (environment / "bin").mkdir(parents=True)
    (environment / "lib").symlink_to(Path(sys.prefix) / "lib")
    (python := environment / "bin" / "python").symlink_to(interpreter)
    (environment / "pyvenv.cfg").write_text(
        f"home = {interpreter.parent}\ninclude-system-site-packages = false\n"
    )
    return python


def _interpreter_for(user: pwd.struct_passwd | None) -> Path:
    """Returns a Python of our version that `user` may run; skips the test if there is none."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for interpreter in (
        Path(sys.executable).resolve(),
        Path("/usr/bin") / version,
        Path("/usr/local/bin") / version,
    ):
        if _may(user, str(interpreter), "-c", ""):
            return interpreter
    return pytest.skip(f"{user.pw_name if user else ORDINARY} may run no {version} of this machine")


def _may(user: pwd.struct_passwd | None, *command: str) -> bool:
    """Whether `user` may run a command."""
    with suppress(OSError):
        return (
            subprocess.run(  # noqa: S603
                command, cwd="/", check=False, stderr=subprocess.DEVNULL, **subprocess_identity(user)
            ).returncode
            == 0
        )
    return False
