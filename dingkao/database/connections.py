"""Connections to PostgreSQL: how long one is waited for, and whether one that has lain in the pool is still alive."""

import time
from typing import Any

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

PATIENCE: dict[str, Any] = {"connect_timeout": 3, "tcp_user_timeout": 5000}
UNPREPARED: dict[str, Any] = {"prepare_threshold": None, "options": "-c plan_cache_mode=force_generic_plan"}
"""The driver prepares nothing of its own: with each ROLLBACK, thus with each page that was only read, it would have the server forget all that
the connection has prepared, ours too (libpq.py). What we prepare finds its rows by their keys, so it is planned once and for all."""
POOL: dict[str, Any] = {"pool_timeout": 5}
FRESH_SECONDS = 2.0


def keep_fresh(engine: Engine) -> None:
    """Ask a connection that nobody has used for two seconds whether it lives before it is handed out, and take another where not. Those
    in use are not asked each time: that would be a round trip a request."""

    @event.listens_for(engine, "checkin")
    def put_back(_driver: Any, record: Any) -> None:
        record.info["put_back"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def taken(driver: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("put_back", time.monotonic()) < FRESH_SECONDS:
            return
        try:
            driver.execute("")
            if not driver.autocommit:
                driver.rollback()
        except psycopg.Error as fault:
            raise DisconnectionError from fault
