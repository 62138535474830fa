"""The minutes (会议纪要) of a committee's meeting on 综合评定, as PDF and as docx: numbers, who did not pass
or was left out, the spot check, and the signatures of those present."""

import io
from dataclasses import dataclass
from typing import Any

import docx
from docx.oxml.ns import qn
from sqlalchemy import func, select

from dingkao import clock
from dingkao.assessments.models import VERDICTS, Assessment
from dingkao.database.base import db
from dingkao.database.pagination import MAX_COUNTED
from dingkao.doctors.doctor_queries import doctors_by_id
from dingkao.errors import InvalidState
from dingkao.integrations.pdf import rendering
from dingkao.people.name_lookups import organisation_names
from dingkao.results.meeting_lists import count_entries, entries_query, records_of
from dingkao.results.meeting_members import members_of
from dingkao.results.models import (
    MEMBER_ROLES,
    SAMPLE_RESULTS,
    GradingMeeting,
    GradingMeetingEntry,
)

MAX_LISTED = 300
"""How many records the minutes name; the others stand in the list of the console."""
HEADINGS = (
    "姓名",
    "证件号码",
    "主要执业机构",
    "工作成绩",
    "职业道德",
    "业务水平",
    "结果",
)
TITLE = "医师定期考核委员会综合评定会议纪要"
OUTCOMES = {"pass": "合格", "fail": "不合格"}
CJK_FONT = "宋体"


@dataclass(frozen=True)
class Minutes:
    """What the minutes say. `facts`: pairs of label and text; `rows`: a line for each record that is named,
    as HEADINGS; `is_cut`: there are more; `sampled`: name, result and note of each spot check; `signatures`:
    role, name, when it was signed in the system ("" on paper)."""

    facts: list[tuple[str, str]]
    notes: str
    rows: list[tuple[str, ...]]
    is_cut: bool
    sampled: list[tuple[str, str, str]]
    signatures: list[tuple[str, str, str]]


def minutes_of(meeting: GradingMeeting) -> Minutes:
    """The minutes of a meeting. Raises InvalidState before it is held."""
    if meeting.digest is None:
        raise InvalidState("评定完成后才有会议纪要。")
    named = list(db.session.scalars(_named_query(meeting).limit(MAX_LISTED + 1)))
    return Minutes(
        _facts(meeting),
        meeting.notes,
        _rows(named[:MAX_LISTED]),
        len(named) > MAX_LISTED,
        _sampled(meeting),
        [
            (
                MEMBER_ROLES[member.role],
                member.name,
                f"{clock.to_beijing(member.signed_at):%Y年%m月%d日 %H:%M}" if member.signed_at else "",
            )
            for member in members_of(meeting)
        ],
    )


def _named_query(meeting: GradingMeeting) -> Any:
    """The query of the entries that the minutes name, by record's id: who did not pass or was left out, or
    all of a list of MAX_LISTED at most."""
    is_short = count_entries(meeting) <= min(MAX_LISTED, MAX_COUNTED)
    query = entries_query(meeting)
    if not is_short:
        query = query.where(func.coalesce(GradingMeetingEntry.outcome, "fail") != "pass")
    return query.order_by(GradingMeetingEntry.assessment_id)


def _facts(
    meeting: GradingMeeting,
) -> list[tuple[str, str]]:
    """Pairs of label and text at the head of the minutes: organisation, when, where, numbers by outcome,
    check code (the first 16 digits of the digest; "" without one)."""
    counted = select(GradingMeetingEntry.outcome, func.count()).where(
        GradingMeetingEntry.meeting_id == meeting.id
    )
    numbers = dict(db.session.execute(counted.group_by(GradingMeetingEntry.outcome)).all())
    organisation = organisation_names([meeting.organisation_id])[meeting.organisation_id]
    return [
        ("考核机构", organisation),
        ("时间", f"{meeting.held_on:%Y年%m月%d日}"),
        ("地点", meeting.place),
        (
            "评定人数",
            f"{numbers.get('pass', 0) + numbers.get('fail', 0)}人",
        ),
        ("合格", f"{numbers.get('pass', 0)}人"),
        ("不合格", f"{numbers.get('fail', 0)}人"),
        ("未评定", f"{numbers.get(None, 0)}人"),
        (
            "校验码",
            meeting.digest.hex()[:16] if meeting.digest else "",
        ),
    ]


def _rows(
    entries: list[GradingMeetingEntry],
) -> list[tuple[str, ...]]:
    """A line as HEADINGS for each of `entries`; identity numbers masked."""
    listed = records_of(entries)
    doctors = doctors_by_id(item.record.doctor_id for item in listed)
    places = organisation_names(item.record.institution_id for item in listed)
    return [
        (
            doctors[item.record.doctor_id].name,
            doctors[item.record.doctor_id].number_masked,
            places[item.record.institution_id],
            *_verdict_texts(item.entry, item.record),
        )
        for item in listed
    ]


def _verdict_texts(entry: GradingMeetingEntry, record: Assessment) -> tuple[str, str, str, str]:
    """The three verdicts and the outcome as the meeting had them; of a record that was left out its present
    verdicts and the reason."""
    source: Any = entry if entry.outcome else record
    outcome = OUTCOMES[entry.outcome] if entry.outcome else entry.left_out_reason or "未评定"
    verdicts = (
        source.performance,
        source.ethics,
        source.competence,
    )
    first, second, third = (VERDICTS.get(verdict or "", "未评定") for verdict in verdicts)
    return first, second, third, outcome


def _sampled(
    meeting: GradingMeeting,
) -> list[tuple[str, str, str]]:
    """The spot check: name, result, note, of the first MAX_LISTED records by id."""
    query = entries_query(meeting, "sampled").order_by(GradingMeetingEntry.assessment_id)
    entries = list(db.session.scalars(query.limit(MAX_LISTED)))
    listed = records_of(entries)
    doctors = doctors_by_id(item.record.doctor_id for item in listed)
    return [
        (
            doctors[item.record.doctor_id].name,
            SAMPLE_RESULTS.get(item.entry.sample_result or "", ""),
            item.entry.sample_note or "",
        )
        for item in listed
    ]


def minutes_pdf(meeting: GradingMeeting) -> bytes:
    """The minutes as PDF. Raises InvalidState before the meeting is held, TooLarge, InvalidInput (the
    sandbox's Unreadable), Unavailable."""
    return rendering.render_pdf_sandboxed(
        "minutes",
        title=TITLE,
        headings=HEADINGS,
        minutes=minutes_of(meeting),
        max_listed=MAX_LISTED,
    )


def minutes_docx(meeting: GradingMeeting) -> bytes:
    """The minutes as docx. Raises InvalidState before the meeting is held."""
    minutes = minutes_of(meeting)
    document = docx.Document()
    _set_font(document)
    document.add_heading(TITLE, level=1)
    for label, value in minutes.facts:
        document.add_paragraph(f"{label}：{value}")
    if minutes.notes:
        document.add_heading("会议记录", level=2)
        document.add_paragraph(minutes.notes)
    if minutes.sampled:
        document.add_heading("抽查核实", level=2)
        _add_table(
            document,
            ("姓名", "结果", "说明"),
            minutes.sampled,
        )
    document.add_heading("评定名单", level=2)
    if minutes.is_cut:
        document.add_paragraph(f"以下只列出不合格和未评定的前{MAX_LISTED}人，其余见系统中的名单。")
    _add_table(document, HEADINGS, minutes.rows)
    document.add_heading("参加人员签字", level=2)
    _add_table(
        document,
        ("身份", "姓名", "签字（已在系统签署的注明时间）"),
        minutes.signatures,
    )
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def _set_font(document: Any) -> None:
    """Use a Chinese typeface for Chinese text, which Word otherwise chooses by its language."""
    for name in ("Normal", "Heading 1", "Heading 2"):
        fonts = document.styles[name].element.get_or_add_rPr().get_or_add_rFonts()
        fonts.set(qn("w:eastAsia"), CJK_FONT)


def _add_table(
    document: Any,
    headings: tuple[str, ...],
    rows: list[Any],
) -> None:
    """Append a table: `headings`, then `rows` with as many texts each."""
    table = document.add_table(rows=len(rows) + 1, cols=len(headings))
    table.style = "Table Grid"
    cells = [cell for line in table.rows for cell in line.cells]
    texts = [
        *headings,
        *(text for row_texts in rows for text in row_texts),
    ]
    for cell, text in zip(cells, texts, strict=True):
        cell.text = text
