"""The current time. All code asks here, and a test can replace the answer. Stored times are UTC, displayed
times Beijing time."""

from datetime import UTC, date, datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8), "北京时间")


def now() -> datetime:
    """Returns the present moment, with time zone, in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """Returns the current date in Beijing. Phases open and close by this date."""
    return now().astimezone(BEIJING).date()


def to_beijing(moment: datetime) -> datetime:
    """Returns the same moment in the time zone of Beijing."""
    return moment.astimezone(BEIJING)


def minute_text(moment: datetime | None) -> str:
    """Returns «2024年09月01日 12:03» for a moment, in Beijing time; "" for None."""
    return "" if moment is None else f"{to_beijing(moment):%Y年%m月%d日 %H:%M}"


def end_of_minute(moment: datetime) -> datetime:
    """Returns the last moment of the minute of `moment`: a period that lasts until 23:59 includes that whole
    minute."""
    return moment.replace(second=59, microsecond=999_999)


def minute_of(moment: datetime) -> datetime:
    """Returns `moment` without seconds: the first moment of its minute. People type times in whole minutes,
    so a time to compare with a typed one is cut to the minute first."""
    return moment.replace(second=0, microsecond=0)
