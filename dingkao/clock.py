"""The time. One place to ask, so that a test can move it; stored times are UTC, shown times Beijing."""

from datetime import UTC, date, datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8), "北京时间")


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """The calendar date in Beijing: phases open and close by it."""
    return now().astimezone(BEIJING).date()


def beijing(moment: datetime) -> datetime:
    """The same moment on a clock in Beijing."""
    return moment.astimezone(BEIJING)
