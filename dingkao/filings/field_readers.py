"""Reads what was typed in a field: returns a value to store, or raises a sentence on what is wrong (domain.md
§2.1).

A draft may be incomplete, so only values that can't be stored are refused. What is missing is reported before
submission by `field_values.missing_fields`.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Any

from dingkao import clock
from dingkao.filings.field_values import display_value, non_empty
from dingkao.filings.fields import Field
from dingkao.tenants.encryption import normalise_text

MAX_LENGTHS = {"text": 100, "long": 5000}
ADULTHOOD_YEARS = 15
"""The age below which nobody can have finished a medical school, worked as a doctor or been qualified."""
INVISIBLE_CATEGORIES = ("Cc", "Cs")


def validate_fields(
    fields: Collection[Field],
    values: Mapping[str, list[str]],
    *,
    birth_date: date | None = None,
    date_range: tuple[date, date] | None = None,
    changed: Collection[str] = (),
) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns the values that can be stored each by itself, and the errors (sentences), both by field name. A
    date in wrong order is among both; of the other fields with an error there is no value.

    `values`: field name → texts of the form. An empty field is no error. No date may be before `birth_date`,
    nor before ADULTHOOD_YEARS if the field says so; dates of records must be within `date_range`; pairs of
    dates must be in order (domain.md §2.1). Of two dates in wrong order, the one in `changed` gets the error;
    if both or none are, the later one.
    """
    parsed: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for field in fields:
        try:
            parsed[field.name] = _read_field(
                field,
                values.get(field.name, []),
                birth_date,
                date_range,
            )
        except ValueError as error:
            errors[field.name] = str(error)
    stored = non_empty(parsed)
    return stored, _date_order_errors(stored, changed) | errors


def _read_field(
    field: Field,
    texts: Collection[str],
    birth_date: date | None,
    date_range: tuple[date, date] | None,
) -> Any:
    """Returns the value of one field; None if nothing was typed. Raises ValueError with a sentence."""
    clean_texts = _clean_texts(field, texts)
    if not clean_texts:
        return None
    value = _READERS[field.kind](field, clean_texts)
    if field.kind in ("day", "month"):
        _check_time_range(field, value, birth_date, date_range)
    if field.unit == "年" and birth_date:
        _check_years_of_age(field, value, birth_date)
    return value


def _clean_texts(field: Field, texts: Collection[str]) -> list[str]:
    """Returns the texts without invisible characters and needless blanks; without those that are then
    empty."""
    clean = _clean_lines if field.kind == "long" else _clean_line
    return list(filter(None, map(clean, texts)))


def _clean_lines(raw: str) -> str:
    """Returns a text of several lines without invisible characters, which PostgreSQL's jsonb can't store."""
    unix_lines = raw.replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(map(_remove_invisible, unix_lines.split("\n"))).strip()


def _clean_line(raw: str) -> str:
    """Returns a text of one line without invisible characters and needless blanks."""
    spaced = " ".join(raw.split())
    return " ".join(_remove_invisible(spaced).split())


def _remove_invisible(text: str) -> str:
    """Returns the text without control characters and surrogates."""
    return "".join(filter(_is_visible, text))


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in INVISIBLE_CATEGORIES


def _read_text(field: Field, texts: list[str]) -> str:
    """Returns the first text. Raises ValueError if it is too long."""
    text = texts[0]
    max_length = MAX_LENGTHS.get(field.kind, 100)
    if len(text) > max_length:
        raise ValueError(f"{field.label}请不要超过{max_length}字，现有{len(text)}字。")
    return text


def _read_email(field: Field, texts: list[str]) -> str:
    """Returns the e-mail address. Raises ValueError for another form."""
    text = _read_text(field, texts)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text):
        raise ValueError("电子邮箱的格式不对，请填写如 name@example.com，或留空。")
    return text


def _read_code(field: Field, texts: list[str]) -> str | None:
    """Returns a certificate number in normal form, None if nothing is left of it. Raises ValueError unless it
    is 5 to 40 letters, digits and hyphens."""
    text = normalise_text(texts[0])
    if text and not re.fullmatch(r"[0-9A-Z-]{5,40}", text):
        raise ValueError(f"{field.label}只能由数字和字母组成，请按证书核对。")
    return text or None


def _read_choice(field: Field, texts: list[str]) -> str:
    """Returns the first text, a code. Raises ValueError if it is not offered."""
    _require_offered(field, texts[:1])
    return texts[0]


def _read_choices(field: Field, texts: list[str]) -> list[str]:
    """Returns the chosen codes, sorted. Raises ValueError if one is not offered, or there are too many."""
    _require_offered(field, texts)
    if len(texts) > field.max_choices:
        raise ValueError(f"{field.label}最多选{field.max_choices}项。")
    return sorted(set(texts))


def _require_offered(field: Field, texts: Collection[str]) -> None:
    """Raises ValueError if a text is not a code of the field's choices."""
    if not set(texts).issubset(field.choices or {}):
        raise ValueError(f"请从列表中选择{field.label}。")


def _read_date(field: Field, texts: list[str]) -> str:
    """Returns a date in ISO form. Raises ValueError for another text, and as `_check_year` for a day in the
    future or long ago."""
    day = _parse_day(texts[0])
    if day is None:
        raise ValueError(f"{field.label}请填写如2010-07-01的日期。")
    _check_year(field, day)
    return day.isoformat()


def _parse_day(text: str) -> date | None:
    """Returns the date of a typed text, or None."""
    match = re.fullmatch(
        r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?",
        normalise_text(text),
    )
    return _build_day(*map(int, match.groups())) if match else None


def _read_month(field: Field, texts: list[str]) -> str:
    """Returns a month as YYYY-MM. Raises ValueError for another text, and as `_check_year` for a month in the
    future or long ago."""
    first_day = _parse_month(texts[0])
    if first_day is None:
        raise ValueError(f"{field.label}请填写如2010-07的年月。")
    _check_year(field, first_day)
    return first_day.isoformat()[:7]


def _parse_month(text: str) -> date | None:
    """Returns the first day of a typed month, or None."""
    match = re.fullmatch(r"(\d{4})[-/.年](\d{1,2})月?", normalise_text(text))
    return _build_day(int(match[1]), int(match[2]), 1) if match else None


def _build_day(year: int, month: int, day: int) -> date | None:
    """Returns the date, or None if the calendar has no such day."""
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _check_year(field: Field, day: date) -> None:
    """Raises ValueError for a date after today, unless the field allows it, and for one outside 1930 to
    2100."""
    if not field.may_be_future:
        _require_past(field, day)
    if day.year < 1930:
        raise ValueError(f"{field.label}过早，请核对年份。")
    if day.year > 2100:
        raise ValueError(f"{field.label}过晚，请核对年份。")


def _require_past(field: Field, day: date) -> None:
    """Raises ValueError for a day after today."""
    if day > clock.today():
        raise ValueError(f"{field.label}不能晚于今天。")


def _read_number(field: Field, texts: list[str]) -> int:
    """Returns a whole number of up to 8 digits; commas are ignored. Raises ValueError for another text, or
    more than 80 years."""
    text = normalise_text(texts[0]).replace(",", "")
    if not re.fullmatch(r"[0-9]{1,8}", text):
        raise ValueError(f"{field.label}请填写整数，如1200。")
    number = int(text)
    if field.unit == "年":
        _require_lifetime(field, number)
    return number


def _require_lifetime(field: Field, years: int) -> None:
    """Raises ValueError for more than 80 years."""
    if years > 80:
        raise ValueError(f"{field.label}不能超过80年。")


def _check_years_of_age(field: Field, years: int, birth_date: date) -> None:
    """Raises ValueError if the person is too young for so many years of work."""
    years_since_childhood = clock.today().year - birth_date.year - ADULTHOOD_YEARS
    if years > max(0, years_since_childhood):
        raise ValueError(f"{field.label}与您的年龄不符，请核对。")


def _read_checkbox(_field: Field, _texts: list[str]) -> str:
    return "yes"


_READERS: dict[str, Callable[[Field, list[str]], Any]] = {
    "text": _read_text,
    "long": _read_text,
    "email": _read_email,
    "code": _read_code,
    "one": _read_choice,
    "many": _read_choices,
    "day": _read_date,
    "month": _read_month,
    "count": _read_number,
    "tick": _read_checkbox,
}
"""Kind of field → the function that reads its texts, of which there is at least one."""
_DATE_ORDER_RULES = (
    ("since", "until", "结束时间早于开始时间，请核对。"),
    (
        "qualified",
        "registered",
        "首次注册时间早于资格证书取得时间，请核对。",
    ),
)
"""Earlier field, later field, and the sentence for the wrong order."""


def _check_time_range(
    field: Field,
    value: str,
    birth_date: date | None,
    date_range: tuple[date, date] | None,
) -> None:
    """Raises ValueError for a day or month before birth or adulthood, or for a record's date outside the
    cycle."""
    if birth_date:
        _require_after_birth(field, value, birth_date)
        _require_adulthood(field, value, birth_date)
    if date_range and field.in_cycle:
        _check_in_cycle(field, value, date_range)


def _require_after_birth(field: Field, value: str, birth_date: date) -> None:
    """Raises ValueError for a day or month before birth."""
    if field.name != "birth_date" and value < birth_date.isoformat()[: len(value)]:
        raise ValueError(f"{field.label}早于您的出生日期，请核对。")


def _require_adulthood(field: Field, value: str, birth_date: date) -> None:
    """Raises ValueError for a day or month before ADULTHOOD_YEARS of age, if the field asks for that."""
    if field.in_adulthood and int(value[:4]) < birth_date.year + ADULTHOOD_YEARS:
        raise ValueError(f"{field.label}距您的出生日期不足{ADULTHOOD_YEARS}年，请核对年份。")


def _check_in_cycle(field: Field, value: str, date_range: tuple[date, date]) -> None:
    """Raises ValueError for a month outside `date_range`."""
    first, last = (day.isoformat() for day in date_range)
    if first[:7] <= value <= last[:7]:
        return
    span = f"{display_value(field, first)}至{display_value(field, last)}"
    raise ValueError(f"请填写本考核周期内（{span}）的记录，周期以外的不用填写。")


def _date_order_errors(stored: Mapping[str, Any], changed: Collection[str]) -> dict[str, str]:
    """Returns the errors of dates in wrong order, by field name: at the later date, or at the earlier one if
    only that is among `changed`."""
    errors = {}
    for earlier_field, later_field, sentence in _DATE_ORDER_RULES:
        if _is_order_wrong(stored.get(earlier_field), stored.get(later_field)):
            is_only_earlier_changed = earlier_field in changed and later_field not in changed
            errors[earlier_field if is_only_earlier_changed else later_field] = sentence
    return errors


def _is_order_wrong(first: str | None, second: str | None) -> bool:
    """Whether both dates exist and the second is before the first."""
    return bool(first and second and second < first)
