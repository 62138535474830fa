"""TCP ports: whether one is free, which process uses it, and how a stack reserves one before its server
listens."""

import contextlib
import pwd
import socket
import time
from pathlib import Path
from typing import Any

import psutil

from dingkao.embedded.startup_errors import StartupError

WAIT_SECONDS = 2
"""How long an earlier process may take to release a port."""
TCP_LISTEN_STATE = "0A"
"""The state of a listening socket in the kernel's tables."""


def is_free(host: str, port: int) -> bool:
    """Whether `port` of `host` is free, or becomes free within WAIT_SECONDS, for which is waited."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with contextlib.suppress(OSError):
            kind, _, _, _, address = socket.getaddrinfo(
                host,
                port,
                type=socket.SOCK_STREAM,
                flags=socket.AI_PASSIVE,
            )[0]
            with socket.create_server(address[:2], family=kind):
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


def free_port(taken: set[int]) -> int:
    """Returns a port of 127.0.0.1 on which nothing listens now and which is not in `taken`."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def port_owner(port: int) -> str:
    """Returns the process that listens on `port`, as Chinese text: process id and command line, or only the
    user if the process may not be inspected; «其他程序» if nothing is known of it."""
    for connection in psutil.net_connections("tcp"):
        if connection.pid and _listens_on(connection, port):
            return _process_text(connection.pid)
    uid = _listening_user(port)
    return "其他程序" if uid is None else f"用户 {_user_name(uid)} 的程序"


def _listens_on(connection: Any, port: int) -> bool:
    """Whether a connection listed by psutil listens on the port."""
    return connection.status == psutil.CONN_LISTEN and bool(connection.laddr.port == port)


def _process_text(pid: int) -> str:
    """Returns the text of a process: its id, and its command line if that can be read."""
    with contextlib.suppress(psutil.Error):
        return f"进程 {pid}（{' '.join(psutil.Process(pid).cmdline())[:200]}）"
    return f"进程 {pid}"


def _listening_user(port: int) -> int | None:
    """Returns the user id of the process that listens on the port, from the kernel's tables; None if it is
    not there."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                _, local, _, state, _, _, _, uid, *_ = line.split()
                if state == TCP_LISTEN_STATE and int(local.rsplit(":", 1)[1], 16) == port:
                    return int(uid)
    return None


def _user_name(uid: int) -> str:
    """Returns the name of a user id, or the id as text if it has none."""
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def require_free_port(host: str, port: int, variable: str = "PORT") -> None:
    """Raises StartupError if `port` of `host` is not free. The message names the port, its process, and the
    environment `variable` that chooses another port."""
    if not is_free(host, port):
        raise StartupError(
            f"端口 {port} 已被占用：{port_owner(port)}正在使用。请先停止它，或用 {variable} "
            f"另设端口，例如 {variable}={port + 1} make run。"
        )


def reserve_port(port: int) -> socket.socket:
    """Reserve `port` among all stacks of this machine while the returned socket is open: two web servers
    could otherwise listen on it together. Raises StartupError if another stack has reserved it."""
    reservation = socket.socket(socket.AF_UNIX)
    try:
        reservation.bind(f"\0dingkao-port-{port}")
    except OSError as fault:
        reservation.close()
        raise StartupError(
            f"另一个正在启动或运行的定考已使用端口 {port}。请先停止它，或用 PORT 另设端口，例如 "
            f"PORT={port + 1} make run。"
        ) from fault
    return reservation
