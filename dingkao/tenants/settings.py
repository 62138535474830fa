"""A province's settings: their declarations, and their values in a province on a day.

Each module declares the settings that it reads with `register`. A province's versions are rows of
`province_setting`, each valid from a day on; before the first one, the default of the declaration is valid.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import InvalidInput
from dingkao.tenants.models import ProvinceSetting
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    date_param,
)

CACHE_KEY = "province settings"
COMPUTED_KEY = "computed from province settings"
MAX_LINE_LENGTH, MAX_LINES = 200, 60
MAX_LINE_TEXT_LENGTH = 200
MIN_LONG_TEXT_LENGTH, MAX_LONG_TEXT_LENGTH = 10, 5000
MAX_DAYS_LISTED = 10
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_DAYS_PATTERN = re.compile(r"[0-9]{1,3}")
_LIST_SEPARATORS = re.compile("[,\uff0c\u3001\\s]+")
_CODED_LINE = re.compile(r"[0-9]{2} \S.*")
YES_NO = {"yes": "是", "no": "否"}


@dataclass(frozen=True)
class Setting:
    """The declaration of a setting: its label on the settings page, and its value in a province that has set
    none.

    `kind` says what a value is and how it is typed: `text` (up to 200 characters), `long` (10 to 5,000
    characters), `whole` and `points` (a number from `min_value` to `max_value`, without or with one decimal),
    `yes_no`, `one` (a code of `choices`), `days` (numbers of days, separated by commas), `lines` (a list),
    `coded` (a list whose lines begin with two digits), `fields` (a list of codes of `choices`, typed by their
    labels), `object` (set by a page of its own). `order` is the position within `group` on the settings page.
    """

    label: str
    default: Any
    kind: str = "text"
    group: str = ""
    order: int = 0
    min_value: float = 0
    max_value: float = 0
    choices: Mapping[str, str] = field(default_factory=dict)
    former_codes: Mapping[str, str] = field(default_factory=dict)
    """For the kind `fields`: code in earlier versions → present code. Stored versions are never changed."""
    object_labels: tuple[str, str] = ("", "")
    """For the kind `object`: the texts for an administrator if the province has set it, and if it has not."""


SETTINGS: dict[str, Setting] = {}
"""Name → every declared setting; complete after all packages are imported, as in the application and the
worker."""


def register(name: str, setting: Setting) -> None:
    """Declare the setting `name`. The name is stored with each version and must never change. Raises
    ValueError if the name is declared already."""
    if name in SETTINGS:
        raise ValueError(f"two settings are named {name}")
    SETTINGS[name] = setting


def values_column() -> ScalarSelect[Any]:
    """Returns a column for a prepared statement: the versions that are valid on the day `today`, as a JSON
    list of [name, value], the oldest first; the last one of a name counts."""
    pair = func.jsonb_build_array(ProvinceSetting.name, ProvinceSetting.value)
    return (
        select(
            func.jsonb_agg(
                aggregate_order_by(
                    pair,
                    ProvinceSetting.effective_from,
                    ProvinceSetting.id,
                )
            )
        )
        .where(
            ProvinceSetting.tenant_id == TENANT_PARAM,
            ProvinceSetting.effective_from <= date_param("today"),
        )
        .scalar_subquery()
    )


_VALUES_STATEMENT = PreparedStatement(lambda: select(values_column()), skip_autoflush=True)


def cache_values(day: date, pairs: list[Any] | None) -> dict[str, Any]:
    """Cache the result of `values_column` for `day` in the database session; returns it as name → value."""
    values_by_day: dict[date, dict[str, Any]] = db.session().info.setdefault(CACHE_KEY, {})
    values_by_day[day] = dict(pairs or ())
    return values_by_day[day]


def computed_values() -> dict[Any, Any]:
    """Returns the session's dict for what a caller has computed from versions of settings and wants to
    remember, under keys of its own; `change` empties it."""
    remembered: dict[Any, Any] = db.session().info.setdefault(COMPUTED_KEY, {})
    return remembered


def value(name: str, on: date | None = None) -> Any:
    """Returns the value of the setting `name` in the current province on the day `on` (None: today).

    At the first call for a day one query reads all settings, which are cached in the database session. Raises
    KeyError for an undeclared name.
    """
    setting = SETTINGS[name]
    day = on or clock.today()
    values = db.session().info.get(CACHE_KEY, {}).get(day)
    if values is None:
        values = cache_values(day, _VALUES_STATEMENT.fetch_row(today=day)[0])
    stored_value = values.get(name, setting.default)
    return _current_codes(setting, stored_value) if setting.kind == "fields" else stored_value


def _current_codes(setting: Setting, stored_codes: Iterable[str]) -> tuple[str, ...]:
    """Returns the present codes of stored codes, see `former_codes`."""
    return tuple(setting.former_codes.get(code, code) for code in stored_codes)


def validate_value(name: str, text: str) -> Any:
    """Returns the value to store for the typed `text` of the setting `name`. Raises KeyError for an
    undeclared name, InvalidInput with the setting's name as its field if the text is not acceptable."""
    setting = SETTINGS[name]
    return _VALIDATORS.get(setting.kind, _validate_text)(setting, name, text.strip())


def _validate_text(setting: Setting, name: str, text: str) -> str:
    """Returns a short text. Raises InvalidInput if it is too long."""
    if len(text) > MAX_LINE_TEXT_LENGTH:
        raise InvalidInput(
            f"{setting.label}请不要超过{MAX_LINE_TEXT_LENGTH}字。",
            name,
        )
    return text


def _validate_long_text(setting: Setting, name: str, text: str) -> str:
    """Returns a long text with LF line ends. Raises InvalidInput if it is too short or too long."""
    text = text.replace("\r\n", "\n")  # browsers send CRLF, which must not count as a change
    if not MIN_LONG_TEXT_LENGTH <= len(text) <= MAX_LONG_TEXT_LENGTH:
        raise InvalidInput(
            f"{setting.label}请填写{MIN_LONG_TEXT_LENGTH}至{MAX_LONG_TEXT_LENGTH}字。",
            name,
        )
    return text


def _validate_number(setting: Setting, name: str, text: str) -> int | float:
    """Returns a number, whole or with one decimal as `kind` says. Raises InvalidInput."""
    if not _NUMBER.fullmatch(text):
        raise InvalidInput(f"{setting.label}请填写数字。", name)
    number = float(text)
    decimals, expected = (0, "整数") if setting.kind == "whole" else (1, "数，最多一位小数")
    is_in_range = setting.min_value <= number <= setting.max_value
    if not is_in_range or round(number, decimals) != number:
        raise InvalidInput(
            f"{setting.label}应为{setting.min_value:g}至{setting.max_value:g}的{expected}。",
            name,
        )
    return int(number) if number.is_integer() else number


def _validate_yes_no(setting: Setting, name: str, text: str) -> bool:
    """Returns True for "yes", False for the other choice of YES_NO. Raises InvalidInput for other texts."""
    if text not in YES_NO:
        raise InvalidInput(f"请选择{setting.label}。", name)
    return text == "yes"


def _validate_choice(setting: Setting, name: str, text: str) -> str:
    """Returns the code of the choice. Raises InvalidInput for any other text."""
    if text not in setting.choices:
        raise InvalidInput(f"请选择{setting.label}。", name)
    return text


def _validate_days(setting: Setting, name: str, text: str) -> str:
    """Returns numbers of days, separated by commas, in descending order without repetition. Raises
    InvalidInput."""
    parts = list(filter(None, _LIST_SEPARATORS.split(text)))
    if len(parts) > MAX_DAYS_LISTED or not all(_is_day_count(setting, part) for part in parts):
        raise InvalidInput(
            f"{setting.label}请填写{setting.min_value:g}至{setting.max_value:g}的整数，"
            f"最多{MAX_DAYS_LISTED}个，用逗号隔开，如7,3,1,0。",
            name,
        )
    return ",".join(map(str, sorted(set(map(int, parts)), reverse=True)))


def _is_day_count(setting: Setting, text: str) -> bool:
    return bool(_DAYS_PATTERN.fullmatch(text)) and setting.min_value <= int(text) <= setting.max_value


def _validate_lines(setting: Setting, name: str, text: str) -> list[str]:
    """Returns the lines that are not blank, without repetition, and with runs of blanks replaced by one.
    Raises InvalidInput."""
    lines = list(dict.fromkeys(" ".join(line.split()) for line in text.splitlines() if line.strip()))
    if len(lines) > MAX_LINES or max(map(len, lines), default=0) > MAX_LINE_LENGTH:
        raise InvalidInput(
            f"{setting.label}最多{MAX_LINES}行，每行不超过{MAX_LINE_LENGTH}字。",
            name,
        )
    return lines


def _validate_coded_lines(setting: Setting, name: str, text: str) -> list[str]:
    """Returns the lines, at least one; each begins with two digits that no other line has. Raises
    InvalidInput."""
    lines = _validate_lines(setting, name, text)
    if not lines or not all(map(_CODED_LINE.fullmatch, lines)):
        raise InvalidInput(
            f"{setting.label}：每行请以两位编号和空格开头，如“01 内容”。",
            name,
        )
    if len({line[:2] for line in lines}) < len(lines):
        raise InvalidInput(f"{setting.label}：编号不能重复。", name)
    return lines


def _validate_field_labels(setting: Setting, name: str, text: str) -> list[str]:
    """Returns the codes of the labels typed one per line. Raises InvalidInput."""
    codes_by_label = {label: code for code, label in setting.choices.items()}
    labels = _validate_lines(setting, name, text)
    unknown = [label for label in labels if label not in codes_by_label]
    if unknown:
        raise InvalidInput(
            f"“{unknown[0]}”不在可选之列，可以填写：{'、'.join(codes_by_label)}。",
            name,
        )
    return [codes_by_label[label] for label in labels]


_VALIDATORS: Mapping[str, Callable[[Setting, str, str], Any]] = {
    "text": _validate_text,
    "long": _validate_long_text,
    "whole": _validate_number,
    "points": _validate_number,
    "yes_no": _validate_yes_no,
    "one": _validate_choice,
    "days": _validate_days,
    "lines": _validate_lines,
    "coded": _validate_coded_lines,
    "fields": _validate_field_labels,
}


def history(limit: int = 50) -> list[ProvinceSetting]:
    """Returns the last `limit` versions of the current province's settings, the newest first."""
    return list(db.session.scalars(select(ProvinceSetting).order_by(ProvinceSetting.id.desc()).limit(limit)))


def display_value(name: str, stored: Any) -> str:
    """Returns the text of a stored value for administrators. Raises KeyError for an undeclared name."""
    setting = SETTINGS[name]
    match setting.kind:
        case "yes_no":
            return YES_NO["yes" if stored else "no"]
        case "one":
            return setting.choices.get(stored, str(stored))
        case "lines" | "coded" | "fields":
            return form_value(name, stored)
        case "object":
            return setting.object_labels[0 if stored else 1]
    return str(stored)


def form_value(name: str, stored: Any) -> str:
    """Returns the text of a stored value in its field on the settings page; `validate_value` converts it
    back."""
    setting = SETTINGS[name]
    if setting.kind == "fields":
        codes = _current_codes(setting, stored)
        return "\n".join(setting.choices.get(code, code) for code in codes)
    return "\n".join(stored) if isinstance(stored, list | tuple) else str(stored)


def change(
    name: str,
    new: Any,
    *,
    by: UUID | None,
    reason: str,
    effective_from: date | None = None,
) -> ProvinceSetting:
    """Add a version of the setting `name` with the value `new`, valid from `effective_from` on (None: today);
    earlier versions stay. Flushes and empties the session's cache. `new` must have passed `validate_value`;
    the version itself is the record, so the journal gets no entry here. Raises KeyError for an undeclared
    name."""
    if name not in SETTINGS:
        raise KeyError(name)
    version = ProvinceSetting(
        name=name,
        value=new,
        effective_from=effective_from or clock.today(),
        set_by=by,
        reason=reason,
    )
    db.session.add(version)
    db.session.flush()
    db.session().info.pop(CACHE_KEY, None)
    db.session().info.pop(COMPUTED_KEY, None)
    return version
