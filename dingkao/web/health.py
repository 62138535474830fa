"""Health checks for monitoring, in plain text: whether the process is alive (/healthz), and whether
everything that it needs responds (/readyz)."""

from collections.abc import Callable

import redis
from flask import Flask, Response, current_app
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from dingkao.database.base import db
from dingkao.database.clock_skew import MAX_SKEW_SECONDS, clock_skew
from dingkao.integrations.storage import current_store
from dingkao.web.access_control import PUBLIC, require

UNAVAILABLE = "连接不上"


def install(app: Flask) -> None:
    """Add both pages to `app`."""
    app.add_url_rule("/healthz", "healthz", healthz)
    app.add_url_rule("/readyz", "readyz", readyz)


@require(PUBLIC)
def healthz() -> Response:
    """«ok», which shows that the process is alive; it uses no engine."""
    return Response("ok\n", mimetype="text/plain")


@require(PUBLIC)
def readyz() -> Response:
    """«ready», or status 503 with a line for each of HEALTH_CHECKS that finds a problem: its name and the
    problem."""
    problems = [f"{name}: {problem}" for name, check in HEALTH_CHECKS.items() if (problem := check())]
    return Response(
        "\n".join(problems or ["ready"]) + "\n",
        503 if problems else 200,
        mimetype="text/plain",
    )


def _check_database() -> str | None:
    """UNAVAILABLE if the database doesn't respond; None if it does."""
    try:
        with db.engines["platform"].connect() as connection:
            connection.execute(text("select 1"))
    except SQLAlchemyError:
        return UNAVAILABLE
    return None


def _check_queue() -> str | None:
    """UNAVAILABLE if Valkey doesn't respond; None if it does."""
    try:
        current_app.extensions["redis"].ping()
    except redis.RedisError:
        return UNAVAILABLE
    return None


def _check_clock() -> str | None:
    """A sentence if this machine's clock and the database's differ by more than MAX_SKEW_SECONDS; None if
    not, or if the database doesn't respond."""
    try:
        ahead = clock_skew().seconds_ahead()
    except SQLAlchemyError:
        return None  # the line of the database reports it
    if abs(ahead) <= MAX_SKEW_SECONDS:
        return None
    return (
        f"本机时钟比数据库{'快' if ahead > 0 else '慢'} {abs(ahead):.1f} 秒，校准之前不能开始考试（上限 "
        f"{MAX_SKEW_SECONDS:g} 秒）"
    )


HEALTH_CHECKS: dict[str, Callable[[], str | None]] = {
    "database": _check_database, "queue": _check_queue, "store": lambda: current_store().health_error(), "clock": _check_clock,
}  # fmt: skip
