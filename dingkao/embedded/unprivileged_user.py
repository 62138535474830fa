"""The user that runs an engine which refuses to run as root, and what that user can access."""

import contextlib
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dingkao.embedded.startup_errors import StartupError


@dataclass(frozen=True)
class UnprivilegedUser:
    """A user that runs an engine, without any of root's capabilities."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    @classmethod
    def for_folder(cls, folder: Path) -> "UnprivilegedUser | None":
        """Returns the owner of `folder` unless that is root, else the machine's user `postgres`, else
        `nobody`. None if this process is not root, so that no other user is needed. Raises StartupError if
        there is no such user."""
        if os.geteuid() != 0:
            return None
        if folder.exists() and (owner := folder.stat()).st_uid != 0:
            with contextlib.suppress(KeyError):
                return cls._from_entry(pwd.getpwuid(owner.st_uid))
            return cls(owner.st_uid, owner.st_gid)
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                return cls._from_entry(pwd.getpwnam(name))
        raise StartupError(
            "PostgreSQL 不以 root 身份运行，而本机没有可以代为运行它的普通用户。"
            "请建立用户 postgres，或以普通用户执行 make run。"
        )

    @classmethod
    def _from_entry(cls, user: pwd.struct_passwd) -> "UnprivilegedUser":
        """Returns the user of an entry of /etc/passwd, with all its groups."""
        return cls(
            user.pw_uid,
            user.pw_gid,
            tuple(os.getgrouplist(user.pw_name, user.pw_gid)),
        )

    def subprocess_arguments(self) -> dict[str, Any]:
        """Returns the arguments with which `subprocess` starts a process as this user."""
        return {
            "user": self.uid,
            "group": self.gid,
            "extra_groups": list(self.groups),
        }

    def take_ownership(self, folder: Path) -> None:
        """Make this user the owner of `folder`, but not of what is in it."""
        os.chown(folder, self.uid, self.gid)

    def can_enter(self, folder: Path) -> bool:
        """Whether this user can reach `folder` by its path."""
        command = ["test", "-x", str(folder)]
        tried = subprocess.run(command, check=False, **self.subprocess_arguments())  # noqa: S603
        return tried.returncode == 0

    def can_run(self, program: Path) -> bool:
        """Whether this user can run `program`, which must accept `--version`."""
        with contextlib.suppress(OSError):
            quiet = {
                "stdout": subprocess.DEVNULL,
                "stderr": subprocess.DEVNULL,
            }
            checked = subprocess.run(  # type: ignore[call-overload]  # noqa: S603
                [str(program), "--version"],
                check=False,
                **quiet,
                **self.subprocess_arguments(),
            )
            return bool(checked.returncode == 0)
        return False
