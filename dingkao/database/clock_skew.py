"""Measures the difference between this machine's clock and the database's. The end of a sitting is computed
with one and enforced with the other, so a difference would make the countdown too short or too long.

It is measured when the web server starts and every minute, and on demand if the last measurement is older.
"""

import threading
import time
from dataclasses import dataclass

import structlog
from flask import Flask, current_app
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from dingkao.errors import Unavailable

MAX_SKEW_SECONDS = 2.0
MEASURE_INTERVAL_SECONDS, STALE_AFTER_SECONDS = 60.0, 65.0
MEASURE_ATTEMPTS = 3
log = structlog.get_logger()


class ClockSkewTooLarge(Unavailable):
    """No sitting starts while the clocks differ by more than MAX_SKEW_SECONDS."""

    def __init__(self) -> None:
        super().__init__(
            "考试服务器正在校准时间，暂时不能进入考试。请几分钟后重试；仍不能进入的，请联系所属考核机构。"
        )


@dataclass
class ClockSkew:
    """The last measurement against the database of `engine`. `certain_skew`: the seconds by which this
    machine is at least ahead (negative: behind); `measured`: when, by the monotonic clock."""

    engine: Engine
    certain_skew: float = 0.0
    measured: float = float("-inf")

    def seconds_ahead(self) -> float:
        """Returns the seconds by which this machine's clock is at least ahead of the database's; negative if
        it is behind. Measures anew if the last measurement is older than STALE_AFTER_SECONDS. Raises
        SQLAlchemyError if the database then does not respond."""
        if time.clock_gettime(time.CLOCK_MONOTONIC) - self.measured > STALE_AFTER_SECONDS:
            self.measure()
        return self.certain_skew

    def measure(self) -> None:
        """Measure: ask the database several times for its time, and take the quickest answer, less its
        uncertainty. A difference above MAX_SKEW_SECONDS is logged. Raises SQLAlchemyError."""
        with self.engine.connect() as connection:
            difference, doubt = min(
                (_measure_once(connection) for _ in range(MEASURE_ATTEMPTS)),
                key=lambda one: one[1],
            )
        surely = max(abs(difference) - doubt, 0.0)
        self.certain_skew = surely if difference > 0 else -surely
        self.measured = time.clock_gettime(time.CLOCK_MONOTONIC)
        if abs(self.certain_skew) > MAX_SKEW_SECONDS:
            log.error(
                "clocks.apart",
                seconds_ahead=round(self.certain_skew, 1),
            )


def _measure_once(connection: Connection) -> tuple[float, float]:
    """Returns the seconds by which this machine is ahead, and the greatest possible error of that."""
    sent_at = time.clock_gettime(time.CLOCK_REALTIME)
    server_time = connection.scalar(text("select extract(epoch from clock_timestamp())::float8"))
    answered = time.clock_gettime(time.CLOCK_REALTIME)
    return (sent_at + answered) / 2 - float(server_time or 0), (answered - sent_at) / 2


def install(app: Flask, engine: Engine) -> None:
    """Create the measurement of `app` against `engine`; nothing is measured yet."""
    app.extensions["clocks"] = ClockSkew(engine)


def clock_skew() -> ClockSkew:
    """Returns the measurement of the current application. Raises RuntimeError outside an application
    context."""
    skew: ClockSkew = current_app.extensions["clocks"]
    return skew


def is_skew_too_large() -> bool:
    """Returns whether the clocks differ too much to time a sitting. Raises SQLAlchemyError."""
    return abs(clock_skew().seconds_ahead()) > MAX_SKEW_SECONDS


def start_monitor(app: Flask) -> threading.Event:
    """Start a thread that measures now and every minute, until the returned event is set or the process
    ends."""
    over = threading.Event()

    def look() -> None:
        """Measure until the event is set; a database that doesn't respond is logged."""
        while True:
            try:
                app.extensions["clocks"].measure()
            except SQLAlchemyError as fault:
                log.warning("clocks.unknown", kind=type(fault).__name__)
            if over.wait(MEASURE_INTERVAL_SECONDS):
                return

    threading.Thread(target=look, name="clocks", daemon=True).start()
    return over
