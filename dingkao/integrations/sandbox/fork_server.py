"""The process that forks the sandboxed children, in which content from outside is parsed and drawn. It has
the libraries loaded, so that a child starts fast.

`runner` starts it as a program, with a socket to its owner, the process that started it. It has no
environment, no open files, no network and, if the kernel has Landlock, access only to programs, libraries and
fonts (`kernel_restrictions`); its children inherit that, have limits of memory and processor time, and start
no other process. A call is one message on the owner's socket: what to call and its limits, and two
descriptors, a socket and a pipe. The child reads the pickled arguments from the socket and writes frames into
the pipe. The server sends how the child ended (`EXIT_HEADER`) to the socket, and kills the child as soon as
the owner closes that socket or its own half of it. When the owner ends, the server ends too, and the kernel
ends the children.
"""

import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from dingkao.errors import Refusal
from dingkao.integrations.sandbox import kernel_restrictions
from dingkao.processes import deferred_garbage_collection

(
    ITEMS_FRAME,
    RESULT_FRAME,
    REFUSED_FRAME,
    NO_MEMORY_FRAME,
    ERROR_FRAME,
) = b"i", b"r", b"x", b"m", b"f"
"""The kinds of frames: a list of items, the returned value, a refusal, lack of memory, any other error (its
type and the code lines)."""
FRAME_HEADER = struct.Struct(">cI")
LENGTH_HEADER = struct.Struct(">Q")
EXIT_HEADER = struct.Struct(">iQd")
"""How a child ended: wait status, peak memory in bytes, seconds of processor time."""
CHUNK_BYTES = 256 * 1024
FIRST_CHUNK_ITEMS = 16
MAX_ITEMS_PER_CHUNK = 1000
MESSAGE_BYTES = 4096
OPEN_FILES, MAX_FILES, FIRST_SPARE_DESCRIPTOR = 64, 1024, 1000
NICE_INCREMENT = 5
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
is_sandboxed = False
"""Whether this process is a sandboxed child: calls made here need no other child."""


def main() -> None:
    """Serve the process that started this one, by the socket whose descriptor is the first argument, until
    that process closes the socket or ends. /proc/self/statm is opened before the privileges are dropped, for
    no file of /proc can be opened after; each call reads from it how much memory its child begins with."""
    with Path("/proc/self/statm").open("rb", buffering=0) as sizes:
        sys.dont_write_bytecode = True
        resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_FILES, MAX_FILES))
        kernel_restrictions.drop_privileges()
        _OwnerService(socket.socket(fileno=int(sys.argv[1])), sizes).run()


class _OwnerService:
    """Serves the owner: forks the children that it asks for, reports those that have ended, kills those that
    it gives up. `calls`: process id → socket of the running calls. `sizes`: the open file /proc/self/statm.
    """

    def __init__(self, owner: socket.socket, sizes: BinaryIO) -> None:
        self.owner, self.sizes = owner, sizes
        self.calls: dict[int, socket.socket] = {}
        self.wake_reader = _wake_on_signals()
        self.poll = select.poll()
        self.poll.register(owner, select.POLLIN)
        self.poll.register(self.wake_reader, select.POLLIN)

    def run(self) -> None:
        """Serve until the owner closes its socket."""
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor == self.wake_reader:
                    self._report_ended()
                elif descriptor != self.owner.fileno():
                    _kill(self._pid_of(descriptor))
                elif not self._accept_call():
                    return

    def _report_ended(self) -> None:
        """Report the children that have ended, each to its caller, and remove them from `calls`."""
        os.read(self.wake_reader, MESSAGE_BYTES)
        for pid in list(_reap_calls(self.calls)):
            self.poll.unregister(self.calls[pid])
            self.calls.pop(pid).close()

    def _pid_of(self, descriptor: int) -> int:
        """Returns the process id of the child whose socket has this descriptor; 0 if there is none."""
        for pid, call in self.calls.items():
            if call.fileno() == descriptor:
                return pid
        return 0

    def _accept_call(self) -> bool:
        """Start the child that the owner asks for, or only load a module. Returns False if the owner has
        closed its socket."""
        message, descriptors, _, _ = socket.recv_fds(self.owner, MESSAGE_BYTES, 2)
        if not message:
            return False
        if started := _fork_call(json.loads(message), descriptors, self.sizes):
            pid, call = started
            self.calls[pid] = call
            self.poll.register(call, select.POLLRDHUP)
        return True


def _wake_on_signals() -> int:
    """Returns the reading end of a pipe to which each signal writes, such as that of a child's end."""
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return wake_reader


def _fork_call(
    request: dict[str, Any], descriptors: list[int], sizes: BinaryIO
) -> tuple[int, socket.socket] | None:
    """Fork the child of a call; returns its process id and socket. `descriptors`: the call's socket and the
    pipe for its results, which is closed here; without them only the module is loaded, and None is
    returned."""
    with contextlib.suppress(Exception):  # the child raises the same error, and reports it
        _import_module(request["module"])
    if not descriptors:
        return None
    call = socket.socket(fileno=descriptors[0])
    results = descriptors[1]
    memory, parent = _memory_sizes(sizes), os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            kept_descriptors = _close_other_descriptors(call.detach(), results)
            _set_limits(request, memory, parent)
            _run_call(request, *kept_descriptors)
        finally:
            os._exit(0)
    os.close(results)
    return pid, call


def _import_module(name: str) -> Any:
    """Returns the module, after loading what it wants to have ready before children are forked (its
    `preload`)."""
    if name in sys.modules:
        return sys.modules[name]
    with deferred_garbage_collection():
        module = importlib.import_module(name)
        if hasattr(module, "preload"):
            module.preload()
        gc.collect()
    return module


def _reap_calls(calls: dict[int, socket.socket]) -> Iterator[int]:
    """Yields the process ids of children that have ended, after reporting each (EXIT_HEADER) to its caller;
    they stay in `calls`."""
    while True:
        try:
            pid, status, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        with contextlib.suppress(OSError):
            calls[pid].setblocking(False)
            calls[pid].sendall(
                EXIT_HEADER.pack(
                    status,
                    used.ru_maxrss * 1024,
                    used.ru_utime + used.ru_stime,
                )
            )
        yield pid


def _kill(pid: int) -> None:
    """Kill a child that has not been reaped; nothing for 0."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# --- the child


def _memory_sizes(sizes: BinaryIO) -> tuple[int, int]:
    """Returns how many bytes of memory this process has mapped, and how many are resident."""
    sizes.seek(0)
    mapped, resident = (int(pages) * resource.getpagesize() for pages in sizes.read().split()[:2])
    return mapped, resident


def _close_other_descriptors(*kept: int) -> list[int]:
    """Close all descriptors except the standard ones and `kept`; returns the new numbers of these."""
    spare_descriptors = [
        fcntl.fcntl(descriptor, fcntl.F_DUPFD, FIRST_SPARE_DESCRIPTOR) for descriptor in kept
    ]
    descriptors = [os.dup2(descriptor, 3 + index) for index, descriptor in enumerate(spare_descriptors)]
    os.closerange(3 + len(descriptors), MAX_FILES)
    return descriptors


def _set_limits(request: dict[str, Any], memory: tuple[int, int], parent: int) -> None:
    """Set the child's limits of memory, processor time, files, processes and threads. `memory` is (mapped,
    resident) at its start; with that, it never has more than the requested bytes. The child ends with its
    parent, the process id `parent`, and has a low priority."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    os.nice(NICE_INCREMENT)
    mapped, resident = memory
    for kind, limit in (
        (resource.RLIMIT_AS, mapped + max(request["memory"] - resident, 0)),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
    ):
        resource.setrlimit(kind, (limit, limit))
    kernel_restrictions.forbid_processes(may_start_threads=request["may_start_threads"])
    signal.signal(
        signal.SIGXCPU, signal.SIG_DFL
    )  # tells the owner what ended the child; a child that ignores it is killed a second later
    resource.setrlimit(resource.RLIMIT_CPU, (request["seconds"], request["seconds"] + 1))


def _run_call(request: dict[str, Any], call: int, results: int) -> None:
    """Run a call: read its arguments, and write the result, refusal or error into the pipe."""
    global is_sandboxed
    is_sandboxed = True
    try:
        _answer_call(request, call, results)
    except Refusal as refusal:
        _write_pickled(results, REFUSED_FRAME, refusal)
    except MemoryError:
        _write_frame(results, NO_MEMORY_FRAME, b"")
    except BaseException as fault:  # a panic of a Rust library is no Exception
        locations = [
            f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(fault.__traceback__)[-4:]
        ]
        _write_pickled(results, ERROR_FRAME, (type(fault).__name__, locations))


def _answer_call(request: dict[str, Any], call: int, results: int) -> None:
    """Call the requested function, and write its items or its result. Raises whatever the function raises."""
    arguments = pickle.loads(_read_arguments(call))  # noqa: S301 - from our owner
    result = getattr(_import_module(request["module"]), request["name"])(*arguments)
    del arguments
    if request["items"]:
        for chunk in _pickle_chunks(result):
            _write_frame(results, ITEMS_FRAME, chunk)
        result = None
    _write_pickled(results, RESULT_FRAME, result)


def _read_arguments(call: int) -> bytearray:
    """Returns the pickled arguments of a call."""
    (length,) = LENGTH_HEADER.unpack(_read_exactly(call, LENGTH_HEADER.size))
    return _read_exactly(call, length)


def _read_exactly(descriptor: int, length: int) -> bytearray:
    """Returns `length` bytes; ends the process if fewer come."""
    buffer = bytearray(length)
    view = memoryview(buffer)
    while view:
        count = os.readv(descriptor, [view])
        if not count:
            os._exit(0)
        view = view[count:]
    return buffer


def _pickle_chunks(items: Iterable[Any]) -> Iterator[bytes]:
    """Yields the items, pickled in lists of about CHUNK_BYTES each, the first one of at most
    FIRST_CHUNK_ITEMS."""
    remaining, chunk_items = iter(items), FIRST_CHUNK_ITEMS
    while chunk := list(islice(remaining, chunk_items)):
        pickled = pickle.dumps(chunk, pickle.HIGHEST_PROTOCOL)
        chunk_items = max(
            1,
            min(
                MAX_ITEMS_PER_CHUNK,
                len(chunk) * CHUNK_BYTES // len(pickled),
                chunk_items * 8,
            ),
        )
        yield pickled


def _write_frame(results: int, kind: bytes, content: bytes) -> None:
    """Write a frame (FRAME_HEADER, then `content`) into the pipe."""
    for part in (FRAME_HEADER.pack(kind, len(content)), content):
        view = memoryview(part)
        while view:
            view = view[os.write(results, view) :]


def _write_pickled(results: int, kind: bytes, value: Any) -> None:
    """Write a frame with a pickled value."""
    _write_frame(results, kind, pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
