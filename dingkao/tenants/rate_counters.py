"""Counters in the cache, for actions with a limited rate, of the current province or the platform. A counter
expires a fixed time after its first increment."""

import redis
import structlog
from flask import current_app

from dingkao.tenants.keys import cache_key, platform_key

log = structlog.get_logger()


def increment(kind: str, *parts: object, seconds: int, platform: bool = False) -> int:
    """Increment a counter that expires `seconds` after its first increment; returns its new value. Returns 0
    and logs it if the cache does not respond, so that nothing is refused then."""
    key = (platform_key if platform else cache_key)(kind, *parts)
    try:
        with _cache().pipeline() as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, seconds, nx=True)
            return int(pipeline.execute()[0])
    except redis.RedisError as fault:
        log.error("counting.down", kind=type(fault).__name__)
        return 0


def current_count(kind: str, *parts: object) -> int:
    """Returns the value of a counter of the province; 0 if there is none, or the cache does not respond."""
    try:
        return int(_cache().get(cache_key(kind, *parts)) or 0)  # type: ignore[arg-type]
    except redis.RedisError as fault:
        log.error("counting.down", kind=type(fault).__name__)
        return 0


def take_count(kind: str, *parts: object) -> int:
    """Returns the value of a counter of the province and deletes it; 0 if there is none, or the cache does
    not respond."""
    try:
        return int(_cache().getdel(cache_key(kind, *parts)) or 0)  # type: ignore[arg-type]
    except redis.RedisError as fault:
        log.error("counting.down", kind=type(fault).__name__)
        return 0


def _cache() -> redis.Redis:
    cache: redis.Redis = current_app.extensions["redis"]
    return cache
