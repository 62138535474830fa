"""What the kernel refuses a sandbox: network, privileges and files, to the fork server and all its children;
other processes and programs, to each child."""

import contextlib
import ctypes
import errno
import os
import resource
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
CLONE_NEWUSER, CLONE_NEWNET, CLONE_THREAD = 0x10000000, 0x40000000, 0x00010000
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
READ_FILE, READ_DIR = 1 << 2, 1 << 3
READABLE_PATHS = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/null",
    "/dev/urandom",
    "/var/cache/fontconfig",
)
SECCOMP_MODE_FILTER = 2
SECCOMP_ALLOW, SECCOMP_ERRNO = 0x7FFF0000, 0x00050000
CALL_NUMBER_OFFSET, ARCHITECTURE_OFFSET, FIRST_ARGUMENT_OFFSET = 0, 4, 16
"""Where a filter reads what is called (`struct seccomp_data`), in 32 bits; of arguments the lower ones."""
LOAD, RETURN, IF_EQUAL, IF_AT_LEAST, IF_ANY_BIT = 0x20, 0x06, 0x15, 0x35, 0x45
"""Instructions of a filter (classic BPF): load 32 bits, return, and three jumps."""
OTHER_ABI = 0x40000000
"""From here on the numbers of x86's second set of calls (x32); no other machine has calls there."""
CLONE3 = 435
SYSTEM_CALLS = {
    "x86_64": (0xC000003E, 56, (57, 58, 59, 322)),
    "aarch64": (0xC00000B7, 220, (221, 281)),
}
"""Machine → its number in a filter, the number of clone, and those of fork, vfork, execve and execveat."""
_libc = ctypes.CDLL(None, use_errno=True)


def drop_privileges() -> None:
    """Give up network, privileges and access to files, as far as kernel and user allow it."""
    if _libc.unshare(CLONE_NEWNET):
        _libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    with contextlib.suppress(OSError):
        _restrict_filesystem(_program_paths())


def _program_paths() -> set[str]:
    """Returns the paths that may be read: programs, libraries, fonts and our own package."""
    package = Path(__file__).resolve().parents[2]
    return {
        *READABLE_PATHS,
        sys.prefix,
        sys.base_prefix,
        sys.exec_prefix,
        str(package),
        str(package.parent / "templates"),
        *filter(None, sys.path),
    } - {str(package.parent)}


def _restrict_filesystem(paths: Iterable[str]) -> None:
    """By Landlock (Linux 5.13): files below `paths` may be read, nothing else may be done with any file, and
    TCP is forbidden (6.7). Raises OSError."""
    version = _libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        raise OSError(ctypes.get_errno(), "no Landlock")
    rights = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
    handled = struct.pack("<QQ", (1 << rights) - 1, 3)[: 16 if version >= 4 else 8]
    rules = _check_result(_libc.syscall(LANDLOCK_CREATE, handled, ctypes.c_size_t(len(handled)), 0))
    for path in paths:
        with contextlib.suppress(OSError):
            _allow_reading(rules, path)
    _check_result(_libc.syscall(LANDLOCK_RESTRICT, rules, 0))
    os.close(rules)


def _allow_reading(rules: int, path: str) -> None:
    """Allow, in a set of Landlock's rules, reading below a path. Raises OSError."""
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    allowed = READ_FILE | READ_DIR if Path(path).is_dir() else READ_FILE
    _check_result(
        _libc.syscall(
            LANDLOCK_ADD,
            rules,
            1,
            struct.pack("<Qi", allowed, beneath),
            0,
        )
    )
    os.close(beneath)


def _check_result(result: int) -> int:
    """Returns the result of a system call. Raises OSError if it is negative."""
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused by the kernel")
    return result


# --- processes


def forbid_processes(*, may_start_threads: bool) -> None:
    """From now on this process can start no other process and no program, and threads only with
    `may_start_threads`. It must have called `drop_privileges`, or its parent before it was forked.

    A filter of system calls (seccomp) refuses them. RLIMIT_NPROC, which is set without `may_start_threads`,
    would not do alone: root may exceed it, and for everyone else it counts threads as processes. It is all
    that is left where the machine is not in SYSTEM_CALLS or the kernel has no filters."""
    if not may_start_threads:
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    machine = os.uname().machine
    if machine not in SYSTEM_CALLS:
        return
    program = _process_filter(machine, may_start_threads=may_start_threads)
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    _libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0)


def _process_filter(machine: str, *, may_start_threads: bool) -> bytes:
    """Returns the filter for a machine of SYSTEM_CALLS as instructions of 8 bytes. What is refused fails with
    EPERM; clone3, whose flags a filter can't read, with ENOSYS, upon which the C library takes clone."""
    architecture, clone, process_calls = SYSTEM_CALLS[machine]
    refuse = _instruction(RETURN, SECCOMP_ERRNO | errno.EPERM)
    filter_steps = [
        _instruction(LOAD, ARCHITECTURE_OFFSET),
        _instruction(IF_EQUAL, architecture, skip_if_true=1),
        refuse,
        _instruction(LOAD, CALL_NUMBER_OFFSET),
        _instruction(IF_AT_LEAST, OTHER_ABI, skip_if_false=1),
        refuse,
        _instruction(IF_EQUAL, CLONE3, skip_if_false=1),
        _instruction(RETURN, SECCOMP_ERRNO | errno.ENOSYS),
    ]
    for number in process_calls:
        filter_steps += [_instruction(IF_EQUAL, number, skip_if_false=1), refuse]
    filter_steps += [
        _instruction(IF_EQUAL, clone, skip_if_false=3),
        _instruction(LOAD, FIRST_ARGUMENT_OFFSET),
        _instruction(IF_ANY_BIT, CLONE_THREAD if may_start_threads else 0, skip_if_true=1),
        refuse,
        _instruction(RETURN, SECCOMP_ALLOW),
    ]
    return b"".join(filter_steps)


def _instruction(operation: int, operand: int, *, skip_if_true: int = 0, skip_if_false: int = 0) -> bytes:
    """Returns an instruction of a filter; `skip_…`: how many instructions a jump passes over."""
    return struct.pack("=HBBI", operation, skip_if_true, skip_if_false, operand)
