"""The fork server (`fork_server`) as its owner sees it: started when first needed, and again if it has
died."""

import json
import os
import socket
import subprocess
import sys
import threading
from typing import Any

from dingkao.integrations.sandbox import fork_server as server

MAX_CONCURRENT = 2
"""The most children that a process may have for web requests at once: each may use a core and all memory it
is allowed."""
SERVER_COMMAND = f"from {server.__name__} import main; main()"
INHERITED_VARIABLES = ("LD_LIBRARY_PATH", "TZ")


class SandboxServer:
    """The fork server of this process; `places` limits the children for web requests; `control`: our end of
    its socket, None while none was started; `lock` is held while a message is sent."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.places = threading.BoundedSemaphore(MAX_CONCURRENT)
        self.control: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def send_request(self, request: dict[str, Any], descriptors: list[int]) -> None:
        """Send the server a message with descriptors, starting it if necessary. Raises OSError."""
        message = json.dumps(request).encode()
        with self.lock:
            if not self._send_to_running(message, descriptors):
                socket.send_fds(self._start(), [message], descriptors)

    def _send_to_running(self, message: bytes, descriptors: list[int]) -> bool:
        """Send a message to a server that runs already; the caller holds `lock`. Returns False if none runs;
        one that has died is cleaned up."""
        if self.control is None:
            return False
        try:
            socket.send_fds(self.control, [message], descriptors)
        except OSError:
            self.stop()
            return False
        return True

    def _start(self) -> socket.socket:
        """Start a server, while the caller holds `lock`; returns our end of its socket. Raises OSError."""
        owner_end, server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with server_end:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
                [
                    sys.executable,
                    "-I",
                    "-c",
                    SERVER_COMMAND,
                    str(server_end.fileno()),
                ],
                pass_fds=[server_end.fileno()],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env=_server_environment(),
            )
        self.control = owner_end
        return owner_end

    def stop(self, *, wait: bool = True) -> None:
        """Let the server, if there is one, end; with `wait`, wait until it has ended (False in a forked
        process, which is not its parent)."""
        if self.control is not None:
            self.control.close()
        if self.process is not None:
            self.process.returncode = self.process.wait() if wait else 0
        self.control = self.process = None


def _server_environment() -> dict[str, str]:
    """Returns the server's environment: only the library path and the time zone of ours."""
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    return {"LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"} | inherited
