"""One row of a spreadsheet of scores from paper: whose score of which paper it is."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation, Overflow
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select

from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array, split_into_batches
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import candidate_number_indices
from dingkao.exams.models.paper_models import AdmissionTicket, Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import subjects_for_procedure
from dingkao.integrations.spreadsheets.cells import FormattedNumber
from dingkao.integrations.spreadsheets.import_rows import ImportRow
from dingkao.integrations.spreadsheets.number_formats import (
    SIGNIFICANT_DIGITS,
    format_general,
)
from dingkao.people.names import is_same_name
from dingkao.question_banks.models import SUBJECTS
from dingkao.tenants.encryption import normalise_text

COLUMNS: dict[str, tuple[str, ...]] = {
    "ticket": ("准考证号", "准考证号码", "准考证"),
    "number": ("证件号码", "身份证号", "身份证号码", "身份证件号码"),
    "name": ("姓名", "考生姓名"),
    "subject": ("科目", "考试科目", "试卷"),
    "score": ("成绩", "分数", "得分", "总分"),
}
"""Column → the headers by which it is found."""
REQUIRED_COLUMNS = ("name", "subject", "score")
SUBJECT_WORDS = {
    "公共知识": "common",
    "公共科目": "common",
    "人文医学": "common",
    "业务水平": "professional",
    "专业知识": "professional",
    "专业科目": "professional",
}
"""The words with which a subject's cell may begin → the subject's code."""
MAX_SCORE_TENTHS = 1000
_UNIT = re.compile("分$")


class InvalidScoreRow(Exception):  # noqa: N818 - a row that is refused, with the column it is refused for
    """A row that can't be imported: the column with the error (a key of COLUMNS), the reason, and what to do
    about it."""

    def __init__(self, column: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.column, self.reason, self.remedy = column, reason, remedy


@dataclass(frozen=True)
class LookupTables:
    """What the rows of a file may refer to.

    `by_ticket`: ticket number → record id, also of other cycles' records, which `records` hasn't;
    `by_number`: blind index of the doctor's number → record id; `records` and `doctors` by id; `papers` by
    (subject, category, level, procedure); `sittings` by (record id, paper id), without voided ones.
    """

    by_ticket: Mapping[str, UUID]
    by_number: Mapping[bytes, UUID]
    records: Mapping[UUID, Assessment]
    doctors: Mapping[UUID, Doctor]
    papers: Mapping[tuple[str, str, str, str], Paper]
    sittings: Mapping[tuple[UUID, UUID], Sitting]


def load_lookup_tables(cycle: Cycle, rows: Sequence[ImportRow]) -> LookupTables:
    """Load what `rows` refer to in a cycle, whosever records they are, in batches."""
    by_ticket = _records_by_ticket(rows)
    number_indices = _doctors_by_number(rows)
    records = _load_records(cycle, by_ticket.values(), number_indices)
    by_number = {
        number_indices[record.doctor_id]: record.id
        for record in records.values()
        if record.doctor_id in number_indices
    }
    return LookupTables(
        by_ticket,
        by_number,
        records,
        doctors=_load_doctors(records.values()),
        papers=_load_papers(cycle),
        sittings=_load_sittings(records),
    )


def _load_records(
    cycle: Cycle,
    record_ids: Iterable[UUID],
    doctor_ids: Iterable[UUID],
) -> dict[UUID, Assessment]:
    """Record id → record, for the records of a cycle with one of these ids or of one of these doctors."""
    in_cycle = Assessment.cycle_id == cycle.id
    records = chain(
        rows_matching(Assessment.id, record_ids, in_cycle),
        rows_matching(Assessment.doctor_id, doctor_ids, in_cycle),
    )
    return {record.id: record for record in records}


def _load_doctors(
    records: Iterable[Assessment],
) -> dict[UUID, Doctor]:
    """Doctor id → doctor, for the doctors of the records."""
    doctor_ids = {record.doctor_id for record in records}
    return {doctor.id: doctor for doctor in rows_matching(Doctor.id, doctor_ids)}


def _load_papers(cycle: Cycle) -> dict[tuple[str, str, str, str], Paper]:
    """(subject, category, level, procedure) → the cycle's paper."""
    papers = db.session.scalars(select(Paper).where(Paper.cycle_id == cycle.id))
    return {(paper.subject, paper.category, paper.level, paper.procedure): paper for paper in papers}


def _load_sittings(
    record_ids: Iterable[UUID],
) -> dict[tuple[UUID, UUID], Sitting]:
    """(record id, paper id) → sitting, without voided ones."""
    sittings = rows_matching(Sitting.assessment_id, record_ids, Sitting.voided_at.is_(None))
    return {(sitting.assessment_id, sitting.paper_id): sitting for sitting in sittings}


def _records_by_ticket(rows: Iterable[ImportRow]) -> dict[str, UUID]:
    """Ticket number → record id, for the tickets that rows name."""
    numbers = {normalise_text(row.text("ticket")) for row in rows if row.text("ticket")}
    record_ids: dict[str, UUID] = {}
    for batch in split_into_batches(numbers):
        query = select(AdmissionTicket.number, AdmissionTicket.assessment_id).where(
            in_array(AdmissionTicket.number, batch)
        )
        record_ids.update(db.session.execute(query).all())
    return record_ids


def _doctors_by_number(
    rows: Iterable[ImportRow],
) -> dict[UUID, bytes]:
    """Doctor id → blind index of the doctor's number, for the numbers that rows name."""
    indices = set(chain.from_iterable(map(_number_indices, rows)))
    number_indices: dict[UUID, bytes] = {}
    for batch in split_into_batches(indices):
        query = select(Doctor.number_index, Doctor.id).where(in_array(Doctor.number_index, batch))
        for number_index, doctor_id in db.session.execute(query):
            number_indices[doctor_id] = bytes(number_index)
    return number_indices


def rows_matching(
    column: Any,
    values: Iterable[Any],
    *conditions: ColumnElement[bool],
    order: Any = None,
) -> Iterator[Any]:
    """The rows of the table of `column` in which it is one of `values`, loaded in batches, because a file has
    thousands; within a batch by id, or by `order`."""
    model = column.class_
    for batch in split_into_batches(values):
        query = select(model).where(in_array(column, batch), *conditions)
        yield from db.session.scalars(query.order_by(model.id if order is None else order))


def _number_indices(row: ImportRow) -> list[bytes]:
    """The blind indices of the numbers that the row's number may mean; empty if the row has none."""
    number = row.text("number")
    return list(candidate_number_indices(number).values()) if number else []


def validate_row(
    row: ImportRow,
    tables: LookupTables,
    restrict_to: Sequence[UUID] | None,
) -> tuple[Assessment, Paper, int]:
    """Return the record, the paper and the score in tenths of a point that a row means. `restrict_to`: the
    ids of the assessment organisations whose records it may name (None: any). Whether the score may be
    entered is not asked (`score_validation.require_enterable`). Raises InvalidScoreRow."""
    _require_readable(row)
    record = _find_record(row, tables, restrict_to)
    doctor = tables.doctors[record.doctor_id]
    _require_same_person(row, doctor)
    subject = _parse_subject(row, record)
    group = subject, doctor.category, doctor.level
    paper = tables.papers.get((*group, record.procedure or "any")) or tables.papers.get((*group, "any"))
    if paper is None:
        raise InvalidScoreRow(
            "subject",
            "这一科目还没有安排试卷",
            "请先由省级管理员安排试卷，再导入成绩。",
        )
    return record, paper, _row_tenths(row)


def _require_readable(row: ImportRow) -> None:
    """Raise InvalidScoreRow for cells that can't be read, and for numbers of which Excel has lost the last
    digits."""
    for column, problem in row.problems.items():
        raise InvalidScoreRow(column, problem.reason, problem.remedy)
    for column in ("ticket", "number"):
        _require_whole_number(row, column)


def _require_whole_number(row: ImportRow, column: str) -> None:
    """Raise InvalidScoreRow if the cell is a number of which Excel has lost the last digits."""
    is_number = isinstance(row.cells.get(column), float | int)
    if is_number and row.has_lost_digits(column):
        raise InvalidScoreRow(
            column,
            "号码被Excel当作数字，后几位已丢失",
            "请先把该列设为文本格式，再重新填写完整号码。",
        )


def _find_record(
    row: ImportRow,
    tables: LookupTables,
    restrict_to: Sequence[UUID] | None,
) -> Assessment:
    """The record that the row's ticket number names, or, without one, its identity number. `restrict_to`: the
    ids of the assessment organisations whose records the row may name (None: any). Raises InvalidScoreRow."""
    ticket = normalise_text(row.text("ticket"))
    if not ticket and not row.text("number"):
        raise InvalidScoreRow(
            "ticket",
            "准考证号和证件号码都未填写",
            "请至少填写其中一个。",
        )
    record = _lookup_record(row, ticket, tables)
    if record is None or not _may_name(record, restrict_to):
        raise _no_such_record("ticket" if ticket else "number", restrict_to)
    return record


def _may_name(record: Assessment, restrict_to: Sequence[UUID] | None) -> bool:
    """Whether a file restricted to these organisations may name the record (None: no restriction)."""
    return restrict_to is None or record.assessor_id in restrict_to


def _no_such_record(column: str, restrict_to: Sequence[UUID] | None) -> InvalidScoreRow:
    """The InvalidScoreRow that no record has the number in `column`."""
    scope_text = "本省本周期的医师中" if restrict_to is None else "本考核机构本周期的医师中"
    return InvalidScoreRow(
        column,
        f"{scope_text}没有这个号码",
        "请对照准考证核对号码。",
    )


def _lookup_record(row: ImportRow, ticket: str, tables: LookupTables) -> Assessment | None:
    """The record with the row's ticket number, or, if `ticket` is "", with its identity number; None if there
    is none."""
    record_id = tables.by_ticket.get(ticket) if ticket else _record_by_number(row, tables)
    return tables.records.get(record_id) if record_id else None


def _record_by_number(row: ImportRow, tables: LookupTables) -> UUID | None:
    """The id of the record that the row's identity number names; None if there is none."""
    matching_ids = (tables.by_number[index] for index in _number_indices(row) if index in tables.by_number)
    return next(matching_ids, None)


def _require_same_person(row: ImportRow, doctor: Doctor) -> None:
    """Raise InvalidScoreRow if the row's name, or its number beside a ticket number, is another person's than
    `doctor`."""
    if normalise_text(row.text("ticket")) and row.text("number"):
        _require_number_of(row, doctor)
    if not is_same_name(row.text("name"), doctor.name):
        raise InvalidScoreRow(
            "name",
            "姓名与号码不是同一人",
            "请核对姓名和号码，不要按行复制错位。",
        )


def _require_number_of(row: ImportRow, doctor: Doctor) -> None:
    """Raise InvalidScoreRow if the row's identity number is not the doctor's."""
    if bytes(doctor.number_index) not in _number_indices(row):
        raise InvalidScoreRow(
            "number",
            "证件号码与准考证号不是同一人",
            "请对照准考证核对两个号码。",
        )


def _parse_subject(row: ImportRow, record: Assessment) -> str:
    """The code of the subject that the row names. Raises InvalidScoreRow if it is unknown or the record
    doesn't sit it (see `subjects_for_procedure`)."""
    text = normalise_text(row.text("subject"))
    subject = _subject_of_words(text)
    if subject is None:
        raise InvalidScoreRow(
            "subject",
            f"不认识的科目“{row.text('subject')[:20]}”",
            f"请填写{'或'.join(SUBJECTS.values())}。",
        )
    if subject not in subjects_for_procedure(record.procedure):
        reason = "该医师为简易程序" if record.procedure == "simple" else "本省一般程序只有业务水平一份试卷"
        raise InvalidScoreRow("subject", f"{reason}，不参加这一科目", "请核对科目。")
    return subject


def _subject_of_words(text: str) -> str | None:
    """The code of the subject with whose name a text begins; None if there is none."""
    return next(
        (code for word, code in SUBJECT_WORDS.items() if text.startswith(word)),
        None,
    )


def _row_tenths(row: ImportRow) -> int:
    """The score that a row shows, in tenths of a point. Raises InvalidScoreRow."""
    tenths = _tenths(row.text("score"))
    cell = row.cells["score"]
    if isinstance(cell, FormattedNumber):
        _require_shown_exactly(cell, tenths)
    return tenths


def _require_shown_exactly(cell: FormattedNumber, shown_tenths: int) -> None:
    """Raise InvalidScoreRow if a cell shows another number (`shown_tenths`) than it stores, rounded or in
    percent: nobody can know which of them is meant. A stored number that is no score (with more than one
    decimal place, or beyond 100) is refused as such first, because `_tenths` reads it."""
    stored_text = format_general(cell.value)
    if _tenths(stored_text) != shown_tenths:
        raise InvalidScoreRow(
            "score",
            f"成绩显示为{cell.text[:20]}，单元格里的数却是{stored_text}",
            "请按实际成绩填写，最多一位小数。",
        )


def _tenths(text: str) -> int:
    """A text as a score of 0 to 100 points, in tenths of a point. Raises InvalidScoreRow for any other text,
    and for more than one decimal place."""
    tenths = _parse_tenths(text)
    if not tenths.is_finite() or not 0 <= tenths <= MAX_SCORE_TENTHS or tenths != int(tenths):
        raise InvalidScoreRow(
            "score",
            f"成绩“{text[:20]}”不合规定",
            "请填写0至100的数（按百分制），最多一位小数。",
        )
    return int(tenths)


def _parse_tenths(text: str) -> Decimal:
    """A typed score in tenths of a point, without its unit (分). NaN and infinity are numbers to Decimal and
    come back as such: the caller refuses what is not finite. Raises InvalidScoreRow for what is no number, or
    one with too large an exponent."""
    number_text = _UNIT.sub("", normalise_text(text))
    try:
        # digits beyond what a binary fraction can hold are noise: 59.400000000000006
        return Context(prec=SIGNIFICANT_DIGITS).create_decimal(number_text) * 10
    except (InvalidOperation, Overflow):
        raise InvalidScoreRow(
            "score",
            f"成绩“{text[:20]}”不是数字",
            "请填写0至100的数，最多一位小数；缺考的不要列入。",
        ) from None
