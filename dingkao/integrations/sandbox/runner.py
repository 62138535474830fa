"""Parses and draws uploaded content in a child process that is limited in memory, time and output.

`run` and `iterate` run one of our functions, by its name, in a child of `fork_server`; whatever happens to
the child does not affect this process. A Refusal that the function raises is raised here; anything else (no
memory, no time, too much output, a parser that crashes) becomes a Refusal with a sentence that says what to
do. Results are unpickled as plain data: a child that was taken over can't make this process run code.
"""

import contextlib
import fcntl
import functools
import inspect
import os
import pickle
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn, ParamSpec, TypeVar

import structlog
from flask import g, has_request_context

from dingkao.errors import InvalidInput, Refusal, TooLarge, Unavailable
from dingkao.integrations.sandbox import fork_server as server
from dingkao.integrations.sandbox.plain_data import load_plain_data
from dingkao.integrations.sandbox.server_handle import SandboxServer

MB = 1024 * 1024
PIPE_BYTES = MB
REQUEST_TIME_KEY = "bounded_seconds"
"""The key under which `flask.g` stores the seconds that the calls of a web request have taken."""
BUSY_MESSAGE = "正在处理的文件较多，请稍等一分钟后重新上传。"
TOO_SLOW_MESSAGE = "服务器正忙，没能处理完这个文件。请几分钟后重新上传；仍不行请联系客服。"
NO_SERVER_MESSAGE = "暂时不能处理文件，情况已经记录。请一分钟后重新上传；仍不行请联系客服。"
UNREADABLE_MESSAGE = (
    "系统读不了这个文件，情况已经记录。请用原来的软件打开后另存为新文件再试；仍不行请联系客服。"
)
EXIT_STATUS_TIMEOUT_SECONDS, START_TIMEOUT_SECONDS = 5, 3
log = structlog.get_logger()
ReturnT = TypeVar("ReturnT")
ArgumentsP = ParamSpec("ArgumentsP")


@dataclass(frozen=True)
class Limits:
    """The limits of a child: `memory` (bytes), `seconds` of processor time and `output` (bytes) depend on the
    content; `wait_seconds`, how long we wait for it, depends on the machine, on which other processes run.
    `may_start_threads`: the function calls a library that needs threads of its own."""

    memory: int
    seconds: int
    output: int
    wait_seconds: float
    may_start_threads: bool = False


REQUEST_LIMITS = Limits(256 * MB, 10, 64 * MB, 20)
JOB_LIMITS = Limits(1024 * MB, 120, 1024 * MB, 600)


class LimitExceeded(TooLarge):
    """A limit of memory, processor time or output was reached, or the child died."""


class Unreadable(InvalidInput):
    """The parser failed with an error that is not a refusal."""


@dataclass(frozen=True)
class ResourceUsage:
    """What a child used: peak memory in bytes, seconds of processor time; and its wait status."""

    memory: int
    processor: float
    status: int

    @property
    def is_out_of_time(self) -> bool:
        """Whether the kernel ended it at its limit of processor time."""
        return os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGXCPU


def current_limits() -> Limits:
    """Returns the limits during a web request, whose waiting time is for all its calls together (so what is
    left of it, perhaps nothing), else those of a job."""
    if not has_request_context():
        return JOB_LIMITS
    return replace(
        REQUEST_LIMITS,
        wait_seconds=REQUEST_LIMITS.wait_seconds - g.get(REQUEST_TIME_KEY, 0.0),
    )


def run(
    function: Callable[..., ReturnT],
    *arguments: Any,
    limit_message: str,
    limits: Limits | None = None,
) -> ReturnT:
    """Returns what `function`, a function of one of our modules, returns for `arguments` in a child; in a
    child it is simply called. What it returns must be plain data. `limits`: by default `current_limits`.
    Raises the Refusal that it raises; LimitExceeded with the sentence `limit_message`; Unreadable if it
    raises anything else; Unavailable if too many wait, the machine is too slow or there is no server."""
    if server.is_sandboxed:
        return function(*arguments)
    with _start_call(function, arguments, limit_message, limits, items=False) as child:
        result: ReturnT = child.result()
    return result


def iterate(
    function: Callable[..., Iterator[ReturnT]],
    *arguments: Any,
    limit_message: str,
    limits: Limits | None = None,
) -> Iterator[ReturnT]:
    """As `run` for a generator function: yields its items as they are made. It starts when it is first read,
    and raises while it is read: the Refusal that the function raises; LimitExceeded, Unreadable, Unavailable.
    The child ends with the iterator, even if that is not read to its end."""
    if server.is_sandboxed:
        yield from function(*arguments)
        return
    with _start_call(function, arguments, limit_message, limits, items=True) as child:
        yield from child.iter_items()


def sandboxed(
    limit_message: str,
) -> Callable[[Callable[ArgumentsP, ReturnT]], Callable[ArgumentsP, ReturnT]]:
    """Returns a decorator: calls of the function are run in a child and raise its refusals, LimitExceeded
    with the sentence `limit_message`, Unreadable, Unavailable; within a child the function is called as it
    is. Arguments given by name, and defaults, go to the child in the order of the signature; a parameter that
    can only be given by name raises TypeError."""

    def decorate(
        function: Callable[ArgumentsP, ReturnT],
    ) -> Callable[ArgumentsP, ReturnT]:
        """Returns the function that runs `function` in a child."""
        signature = inspect.signature(function)

        @functools.wraps(function)
        def in_a_child(*arguments: ArgumentsP.args, **named: ArgumentsP.kwargs) -> ReturnT:
            """Run the function in a child, within one as it is. Raises what it raises, and what `run` raises;
            TypeError for a parameter that can only be given by name."""
            if server.is_sandboxed:
                return function(*arguments, **named)
            # the child imports what is called by its module and name, and under the function's name stands
            # this wrapper; there `is_sandboxed` is true, and it calls the function
            bound = signature.bind(*arguments, **named)
            bound.apply_defaults()
            if bound.kwargs:
                raise TypeError(f"can only be given by name: {', '.join(bound.kwargs)}")
            return run(in_a_child, *bound.args, limit_message=limit_message)

        return in_a_child

    return decorate


def preload(*modules: str) -> None:
    """Start this process's fork server and ask it to load `modules`, so that the first file need not wait; it
    isn't waited for. If that fails, nothing is raised or logged."""
    for module in modules:
        with contextlib.suppress(OSError):
            _servers.send_request({"module": module}, [])


def log_limit_reached(name: str, usage: ResourceUsage | None, why: str) -> None:
    """Log that the call `name` reached a limit (`why`: memory, time, output, patience, died). `usage`: None
    if it isn't known."""
    log.warning(
        "bounded.exceeded",
        function=name,
        why=why,
        memory=usage and usage.memory,
        processor=usage and round(usage.processor, 2),
    )


_servers = SandboxServer()


def _reset_after_fork() -> None:
    """Give a forked process no fork server; its parent keeps its own."""
    global _servers
    _servers.stop(wait=False)
    _servers = SandboxServer()


os.register_at_fork(after_in_child=_reset_after_fork)


@contextlib.contextmanager
def _start_call(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    limit_message: str,
    limits: Limits | None,
    *,
    items: bool,
) -> Iterator["_SandboxCall"]:
    """Start a call; yields it when its arguments are sent. `limits`: None for `current_limits`; `items`: the
    function yields items. Ends the child at the end of the block. Raises LimitExceeded, Unavailable."""
    limits = limits or current_limits()
    name = f"{function.__module__}.{function.__name__}"
    _require_patience(name, limits)
    request = {
        "module": function.__module__,
        "name": function.__name__,
        "items": items,
        "memory": limits.memory,
        "seconds": limits.seconds,
        "may_start_threads": limits.may_start_threads,
    }
    with _request_slot(), contextlib.ExitStack() as closing:
        call, child_end = socket.socketpair()
        closing.callback(call.close)
        pipe, results = os.pipe()
        closing.callback(os.close, pipe)
        with contextlib.suppress(OSError):
            fcntl.fcntl(results, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            _send_request(request, [child_end.fileno(), results])
        finally:
            child_end.close()
            os.close(results)
        child = _SandboxCall(name, call, pipe, limits, limit_message)
        child.send_arguments(arguments)
        yield child


def _require_patience(name: str, limits: Limits) -> None:
    """Raises Unavailable, and logs it, if the web request has no waiting time left."""
    if limits.wait_seconds <= 0:
        log_limit_reached(name, None, "patience")
        raise Unavailable(TOO_SLOW_MESSAGE)


def _send_request(request: dict[str, Any], descriptors: list[int]) -> None:
    """Ask the fork server for a child. Raises Unavailable, and logs it, if there is no server."""
    try:
        _servers.send_request(request, descriptors)
    except OSError as fault:
        log.exception("bounded.no_server", kind=type(fault).__name__, exc_info=False)
        raise Unavailable(NO_SERVER_MESSAGE) from fault


@contextlib.contextmanager
def _request_slot() -> Iterator[None]:
    """Hold one of the slots for web requests during the block, and count its seconds as the request's waiting
    time; a job needs no slot. Raises Unavailable if none is free within START_TIMEOUT_SECONDS."""
    if not has_request_context():
        yield
        return
    places, request = _servers.places, g._get_current_object()
    if not places.acquire(timeout=START_TIMEOUT_SECONDS):
        raise Unavailable(BUSY_MESSAGE)
    began = time.monotonic()
    try:
        yield
    finally:
        places.release()
        seconds = request.get(REQUEST_TIME_KEY, 0.0) + time.monotonic() - began
        setattr(request, REQUEST_TIME_KEY, seconds)


@dataclass
class _SandboxCall:
    """A running call: its name for the log, our end of its socket, the pipe with its results, its limits, and
    the message if it exceeds them; so far, how many seconds it was waited for, and how many bytes were
    received."""

    name: str
    call: socket.socket
    pipe: int
    limits: Limits
    limit_message: str
    waited_seconds: float = 0.0
    received_bytes: int = 0

    def send_arguments(self, arguments: tuple[Any, ...]) -> None:
        """Send the arguments. Raises LimitExceeded if the child ends before it has taken them, Unavailable if
        it takes none for the waiting time; the call is then ended and logged."""
        pickled = pickle.dumps(arguments, pickle.HIGHEST_PROTOCOL)
        self.call.settimeout(self.limits.wait_seconds)
        try:
            self.call.sendall(server.LENGTH_HEADER.pack(len(pickled)))
            self.call.sendall(pickled)
        except TimeoutError:
            self.abort("patience")
        except OSError:
            self.abort("died")

    def result(self) -> Any:
        """Returns the result of a call that has no items. Raises what `run` raises."""
        for kind, content in self._read_frames():
            if kind == server.RESULT_FRAME:
                return _load_pickled(content)
        return None

    def iter_items(self) -> Iterator[Any]:
        """Yields the items. Raises what `run` raises."""
        for kind, content in self._read_frames():
            if kind == server.RESULT_FRAME:
                return
            yield from _load_pickled(content)

    def abort(self, why: str) -> NoReturn:
        """End the call for the reason `why` (memory, time, output, patience, died), and log it; waits a few
        seconds for how the child ended. Raises Unavailable for "patience" (the machine is too slow), else
        LimitExceeded."""
        with contextlib.suppress(OSError):
            self.call.shutdown(socket.SHUT_WR)  # this ends the child
        usage = self.exit_status()
        if why == "died" and usage and usage.is_out_of_time:
            why = "time"
        log_limit_reached(self.name, usage, why)
        raise (Unavailable(TOO_SLOW_MESSAGE) if why == "patience" else LimitExceeded(self.limit_message))

    def exit_status(self) -> ResourceUsage | None:
        """Waits EXIT_STATUS_TIMEOUT_SECONDS at most, and returns how the child ended; None if that is not
        known by then."""
        self.call.settimeout(EXIT_STATUS_TIMEOUT_SECONDS)
        with contextlib.suppress(OSError):
            header = self.call.recv(server.EXIT_HEADER.size, socket.MSG_WAITALL)
            if len(header) == server.EXIT_HEADER.size:
                status, memory, processor = server.EXIT_HEADER.unpack(header)
                return ResourceUsage(memory, processor, status)
        return None

    def _read_frames(self) -> Iterator[tuple[bytes, bytes]]:
        """Yields the frames (kind, content) of items and of the result. Raises what went wrong in the
        child."""
        waiting = select.poll()
        waiting.register(self.pipe, select.POLLIN)
        while True:
            kind, content = self._read_frame(waiting)
            if kind not in (server.ITEMS_FRAME, server.RESULT_FRAME):
                self._raise_failure(kind, content)
            yield kind, content

    def _read_frame(self, waiting: select.poll) -> tuple[bytes, bytes]:
        """Returns the next frame (kind, content). Raises LimitExceeded for too much output, and as
        `_read_exactly` does."""
        kind, length = server.FRAME_HEADER.unpack(self._read_exactly(server.FRAME_HEADER.size, waiting))
        if self.received_bytes + length > self.limits.output:
            self.abort("output")
        return kind, self._read_exactly(length, waiting)

    def _raise_failure(self, kind: bytes, content: bytes) -> NoReturn:
        """Raises what a frame of this kind reports, and logs what is no refusal; Unreadable for an unknown
        kind."""
        if kind == server.NO_MEMORY_FRAME:
            self.abort("memory")
        if kind == server.REFUSED_FRAME:
            refusal = _load_pickled(content)
            raise (refusal if isinstance(refusal, Refusal) else Unreadable(UNREADABLE_MESSAGE))
        if kind == server.ERROR_FRAME:
            fault, locations = _load_pickled(content)
            log.error(
                "bounded.broken",
                function=self.name,
                kind=str(fault),
                where=[str(line) for line in locations],
            )
        raise Unreadable(UNREADABLE_MESSAGE)

    def _read_exactly(self, length: int, waiting: select.poll) -> bytes:
        """Returns `length` bytes of the child's output. Raises LimitExceeded if the child ends before,
        Unavailable if the waiting time is over; the call is then ended and logged."""
        received = bytearray()
        while len(received) < length:
            self._wait_for_bytes(waiting)
            part = os.read(self.pipe, min(length - len(received), PIPE_BYTES))
            if not part:
                self.abort("died")
            received += part
        self.received_bytes += length
        return bytes(received)

    def _wait_for_bytes(self, waiting: select.poll) -> None:
        """Wait until the child has written more or ended. Raises Unavailable when the waiting time of the
        whole call is over."""
        began = time.monotonic()
        ready = waiting.poll(max(0.0, self.limits.wait_seconds - self.waited_seconds) * 1000)
        self.waited_seconds += time.monotonic() - began
        if not ready:
            self.abort("patience")


def _load_pickled(content: bytes) -> Any:
    """Returns the data of a pickle from a child. Raises Unreadable if it is not plain data."""
    try:
        return load_plain_data(content)
    except Exception as fault:
        log.exception("bounded.forged", kind=type(fault).__name__, exc_info=False)
        raise Unreadable(UNREADABLE_MESSAGE) from fault
