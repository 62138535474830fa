"""Options of the connections to PostgreSQL: timeouts, and the test whether a pooled connection is still
alive."""

import select
import time
from typing import Any

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

CONNECT_OPTIONS: dict[str, Any] = {
    "connect_timeout": 3,
    "tcp_user_timeout": 5000,
}
POOLER_OPTIONS: dict[str, Any] = {
    "prepare_threshold": None,
    "options": "-c plan_cache_mode=force_generic_plan",
}
"""The driver must not prepare statements itself: with each ROLLBACK, and thus after each page that only
reads, it would delete all prepared statements of the connection, also ours (libpq.py). Ours find their rows
by keys, so one generic plan is good for all values. It would hold for every other statement too; the console
is excepted (`rls.plans_by_value`)."""
POOL_OPTIONS: dict[str, Any] = {"pool_timeout": 5}
PING_AFTER_IDLE_SECONDS = 2.0


def ping_idle_connections(engine: Engine) -> None:
    """Test a pooled connection that was unused for PING_AFTER_IDLE_SECONDS before it is used, or on which the
    server has said something meanwhile, as it does when it ends the connection; replace it if it is dead.
    Others are not tested, because that costs a round trip for each request."""

    @event.listens_for(engine, "checkin")
    def put_back(_driver: Any, record: Any) -> None:
        """Note when a connection came back into the pool."""
        record.info["put_back"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def taken(driver: Any, record: Any, _proxy: Any) -> None:
        """Test a connection that may be dead before it is used. Raises DisconnectionError, upon which the
        pool replaces it."""
        idle_seconds = time.monotonic() - record.info.get("put_back", time.monotonic())
        if idle_seconds < PING_AFTER_IDLE_SECONDS and not _has_unread_input(driver):
            return
        try:
            driver.execute("")
            if not driver.autocommit:
                driver.rollback()
        except psycopg.Error as fault:
            raise DisconnectionError from fault


def _has_unread_input(driver: psycopg.Connection[Any]) -> bool:
    """Whether something has come on an idle connection, or it was closed; asks only this machine."""
    if driver.closed:
        return True
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    return bool(poll.poll(0))
