"""Dates in cells, in the forms that people use: Excel's serial numbers, 2024.9, 2024年9月1日, 20240901."""

import re
from datetime import date, timedelta

from dingkao.integrations.spreadsheets.cells import EXCEL_ZERO

DATE_SERIAL_RANGE = (18264, 73050)
"""Excel's serial numbers of 1950-01-01 and 2099-12-31. A number outside is no serial number, but for example
a year."""
DECIMAL_YEARS = (1900, 2101)
"""In this range, a number with decimals means year and month: 2024.09."""
JOINED_DATES = (190000, 99991231)
"""In this range, a whole number may mean year and month (202409) or a day (20240901)."""
_SEPARATORS = re.compile(r"[年月/.,\u3001\u2010-\u2015\u2212]")
_DAY_NUMBER = re.compile(r"[0-9]{5}")
_JOINED_DATE = re.compile(r"\A([0-9]{4})([0-9]{2})([0-9]{2})?\Z")
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})(?:-([0-9]{1,2}))?")


def date_from_serial(value: float, date_epoch: date) -> date:
    """Returns the date that a number in a cell means; serial numbers count from `date_epoch`. Raises
    ValueError if it means no date."""
    if day := _date_of_day_number(value, date_epoch):
        return day
    is_whole = value % 1 == 0
    if not is_whole and DECIMAL_YEARS[0] <= value <= DECIMAL_YEARS[1]:
        return _date_from_decimal(value)
    if is_whole and JOINED_DATES[0] <= value <= JOINED_DATES[1]:
        return date_from_text(str(int(value)), date_epoch)
    raise ValueError(value)


def _date_of_day_number(value: float, date_epoch: date) -> date | None:
    """Returns the date of a serial number that counts from `date_epoch`; None if it is outside
    DATE_SERIAL_RANGE."""
    serial = value + (date_epoch - EXCEL_ZERO).days
    is_date = DATE_SERIAL_RANGE[0] <= serial < DATE_SERIAL_RANGE[1] + 1
    return EXCEL_ZERO + timedelta(days=int(serial)) if is_date else None


def _date_from_decimal(value: float) -> date:
    """Returns the first day of the month that a number such as 2024.09 means. Raises ValueError."""
    year, month = divmod(round(value * 100), 100)
    # 2010.1 may have been typed as 2010.10, which the number does not show
    if abs(value * 100 - round(value * 100)) > 1e-6 or month % 10 == 0:
        raise ValueError(value)
    return date(year, month, 1)


def date_from_text(text: str, date_epoch: date) -> date:
    """Returns the date that a text means, for a month its first day. `text` is normalised (`normalise_text`)
    and has no time; five digits are a serial number that counts from `date_epoch`. Raises ValueError if it
    means no date."""
    text = _SEPARATORS.sub("-", text).replace("日", "").replace("号", "").strip("-")
    if _DAY_NUMBER.fullmatch(text) and (day := _date_of_day_number(int(text), date_epoch)):
        return day
    match = _DATE.fullmatch(_JOINED_DATE.sub(r"\1-\2-\3", text).strip("-"))
    if not match:
        raise ValueError(text)
    return date(int(match[1]), int(match[2]), int(match[3] or 1))
