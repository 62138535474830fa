"""Validates one row of a spreadsheet of conduct records: whose record it is, and what it says."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from dingkao import clock
from dingkao.doctors.conduct_kinds import ConductKind
from dingkao.doctors.number_indices import candidate_number_indices
from dingkao.integrations.spreadsheets.import_rows import ImportRow
from dingkao.people.names import is_same_name
from dingkao.tenants.encryption import normalise_text

FIRST_YEAR, MAX_TEXT_LENGTH = 1990, 500
_YEAR_PATTERN = re.compile(r"([0-9]{4})(年|年度)?")


class InvalidConductRow(ValueError):  # noqa: N818
    """The row is refused. `column`: our name of the wrong column; `reason` and `remedy`: sentences for the
    report."""

    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.column, self.reason, self.remedy = column, reason, remedy


@dataclass(frozen=True)
class KnownPerson:
    """A doctor whose records the importer may bring."""

    id: UUID
    name: str


@dataclass(frozen=True)
class ConductValues:
    """A valid row: whose record it is, and the columns of `ConductRecord` that the row fills in."""

    doctor_id: UUID
    record_key: bytes
    year: int
    grade: str | None
    occurred_on: date | None
    matter: str | None
    authority: str | None
    document: str | None


def row_keys(kind: ConductKind, row: ImportRow) -> list[bytes]:
    """The keys by which a row is recognised as a duplicate within its file: one for each document number that
    its number may mean; empty if it has none."""
    number = row.text("number")
    if not number:
        return []
    key = _record_key(kind, row)
    return [index + key for index in candidate_number_indices(number).values()]


def validate_row(kind: ConductKind, row: ImportRow, people: Mapping[bytes, KnownPerson]) -> ConductValues:
    """Return what a row says. `people`: number index → the doctors that the importer may name. Raises
    InvalidConductRow for the first problem."""
    _require_readable(kind, row)
    person = _find_person(row, people)
    if not is_same_name(row.text("name"), person.name):
        raise InvalidConductRow(
            "name",
            "姓名与证件号码不是同一人",
            "请核对姓名和号码，不要按行复制错位。",
        )
    occurred_on = _read_date(row) if "date" in kind.key_columns else None
    return ConductValues(
        person.id,
        _record_key(kind, row),
        occurred_on.year if occurred_on else _read_year(row),
        _read_grade(kind, row) if kind.grades else None,
        occurred_on,
        _read_text(row, "matter"),
        _read_text(row, "authority"),
        _read_text(row, "document"),
    )


def _require_readable(kind: ConductKind, row: ImportRow) -> None:
    """Raise InvalidConductRow for a cell that can't be read, a required one that is empty, or a number of
    which Excel has lost the last digits."""
    for column, problem in row.problems.items():
        raise InvalidConductRow(column, problem.reason, problem.remedy)
    for column in kind.required_columns():
        if not row.text(column):
            heading = kind.headings()[column][0]
            raise InvalidConductRow(column, f"{heading}未填写", f"请填写{heading}。")
    if row.has_lost_digits("number") and isinstance(row.cells["number"], float | int):
        raise InvalidConductRow(
            "number",
            "号码被Excel当作数字，后几位已丢失",
            "请先把该列设为文本格式，再重新填写完整号码。",
        )


def _find_person(row: ImportRow, people: Mapping[bytes, KnownPerson]) -> KnownPerson:
    """The doctor whom the row's number names. Raises InvalidConductRow."""
    for index in candidate_number_indices(row.text("number")).values():
        if index in people:
            return people[index]
    raise InvalidConductRow(
        "number",
        "您负责的名单中没有这个号码",
        "请核对号码；不在名单中的医师，请先导入名单。",
    )


def _read_year(row: ImportRow) -> int:
    """The year that is graded. Raises InvalidConductRow."""
    match = _YEAR_PATTERN.fullmatch(normalise_text(row.text("year")))
    year = int(match[1]) if match else 0
    if not FIRST_YEAR <= year <= clock.today().year:
        raise InvalidConductRow(
            "year",
            f"年度“{row.text('year')[:20]}”不合理",
            f"请填写四位数的年份，{FIRST_YEAR}至{clock.today().year}。",
        )
    return year


def _read_grade(kind: ConductKind, row: ImportRow) -> str:
    """The code of the grade. Raises InvalidConductRow."""
    grade = kind.grade_for(row.text("grade"))
    if grade is None:
        raise InvalidConductRow(
            "grade",
            f"不认识的等次“{row.text('grade')[:20]}”",
            f"请填写以下之一：{'、'.join(kind.grades.values())}。",
        )
    return grade


def _read_date(row: ImportRow) -> date:
    """The day of the event. Raises InvalidConductRow."""
    try:
        day = row.date_value("date")
    except ValueError:
        day = None
    if day is None or day.year < FIRST_YEAR or day > clock.today():
        raise InvalidConductRow(
            "date",
            f"日期“{row.text('date')[:20]}”无法识别或不合理",
            "请写成2024-09-01，不晚于今天。",
        )
    return day


def _read_text(row: ImportRow, column: str) -> str | None:
    """A free text; None for an empty or missing cell. Raises InvalidConductRow for one too long."""
    text = " ".join(row.text(column).split())
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidConductRow(column, f"内容超过{MAX_TEXT_LENGTH}字", "请写得简短些。")
    return text or None


def _record_key(kind: ConductKind, row: ImportRow) -> bytes:
    """The hash of what tells a doctor's records of this kind apart."""
    texts = [_key_text(column, row) for column in kind.key_columns]
    return hashlib.sha256("\n".join(texts).encode()).digest()


def _key_text(column: str, row: ImportRow) -> str:
    """A cell as it counts in the key: a year as its digits, a date in one form (as it was typed if it is
    none), a text without blanks."""
    if column == "date":
        try:
            return str(row.date_value(column))
        except ValueError:
            return row.text(column)
    text = normalise_text(row.text(column))
    match = _YEAR_PATTERN.fullmatch(text)
    return match[1] if column == "year" and match else text
