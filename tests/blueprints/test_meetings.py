"""综合评定 as a committee's meeting: a clerk prepares the draft, doubts stay out, a reviewer concludes, those
present sign, and the minutes say it as docx and PDF."""

import io
import re

import docx
import pypdfium2
import pytest
from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Account
from dingkao.results.meeting_samples import MAX_SAMPLE
from dingkao.results.models import GradingMeeting, GradingMeetingEntry
from tests import actors, sample_data
from tests.blueprints.list_export_steps import export_address
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "ningxia", 64
PAGE = f"/{SLUG}/office/meetings"


@pytest.fixture(scope="module")
def graded(application, in_province):
    """Three doctors 待综合评定: two of whom passed everything, one who failed the test."""
    doctors = [actors.ready_doctor(application, in_province, SLUG, serial) for serial in (1, 2, 3)]
    with in_province(SLUG):
        for doctor, competence in zip(doctors, ("pass", "fail", "pass"), strict=True):
            record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
            record.state, record.competence = "grading", competence
        db.session.commit()
    return doctors


@pytest.fixture(scope="module")
def desks(application, in_province, graded):
    """A clerk, a reviewer, and a clerk of another organisation."""
    seats = (("organisation_clerk", 1), ("organisation_reviewer", 1), ("organisation_clerk", 2))
    return [
        signed_in_client(application, in_province, SLUG, role, sample_data.registration_number(CODE, place))
        for role, place in seats
    ]


def text(answer):
    return answer.get_data(as_text=True)


def prepared(application, in_province, clerk):
    """A draft with its list; its page."""
    organisation = re.search(r'<option[^>]* value="([0-9a-f-]{36})"', text(clerk.get(PAGE)))[1]
    answer = post_form(clerk, PAGE, organisation=organisation, held_on="2026-11-30", place="会议室")
    assert answer.status_code == 303, text(answer)
    actors.run_pending_jobs(application, in_province, SLUG)
    return answer.location


def test_a_meeting_from_draft_to_signed_minutes(application, in_province, graded, desks):
    clerk, reviewer, stranger = desks
    place = prepared(application, in_province, clerk)
    page = text(clerk.get(place))
    assert "草稿" in page
    assert "共3人" in page
    assert "三项合格 2" in page
    assert "有不合格 1" in page
    assert "共1人" in text(clerk.get(f"{place}?filter=failing&sort=name"))
    assert stranger.get(place).status_code == 404
    meeting_id = place.rsplit("/", 1)[1]
    assert f"list=meeting_entries&view=meeting%3D{meeting_id}" in export_address(clerk, place)
    refused = stranger.get(f"/{SLUG}/office/exports/new?list=meeting_entries&view=meeting%3D{meeting_id}")
    assert "0人" in text(refused), "another organisation's meeting has nobody for them"
    assert clerk.get(f"{place}?meeting=all").status_code == 404
    twice = post_form(
        clerk,
        PAGE,
        organisation=re.search(r'<option[^>]* value="([0-9a-f-]{36})"', text(clerk.get(PAGE)))[1],
        held_on="2026-12-01",
        place="会议室",
    )
    assert "已有一次评定会在准备中" in text(twice)
    assert post_form(clerk, f"{place}/conclude", page=place).status_code == 403
    assert "请先在参加人员中加入主持人" in text(post_form(reviewer, f"{place}/conclude", page=place))
    post_form(clerk, f"{place}/members", page=place, account=str(reviewer.account_id), role="chair", name="")
    post_form(clerk, f"{place}/members", page=place, account="", role="member", name="外请专家")
    post_form(clerk, f"{place}/notes", page=place, notes="逐一审议，无异议。")
    too_many = post_form(clerk, f"{place}/sample", page=place, size=str(MAX_SAMPLE + 1))
    assert too_many.status_code == 422
    assert f"每次最多{MAX_SAMPLE}人" in text(too_many)
    assert post_form(clerk, f"{place}/sample", page=place, size="0").status_code == 422
    post_form(clerk, f"{place}/sample", page=place, size="3")
    assert "还有3人抽查后没有登记结果" in text(post_form(reviewer, f"{place}/conclude", page=place))
    for doctor, result in zip(graded, ("sound", "sound", "doubtful"), strict=True):
        refused = post_form(
            clerk, f"{place}/sample/{doctor.record_id}", page=place, result="doubtful", note=""
        )
        assert "有疑问的，请写明疑问" in text(refused)
        answer = post_form(
            clerk, f"{place}/sample/{doctor.record_id}", page=place, result=result, note="查阅档案"
        )
        assert answer.status_code == 303
    assert reviewer.get(f"{place}/minutes.pdf").status_code == 409
    assert post_form(reviewer, f"{place}/conclude", page=place).status_code == 303
    actors.run_pending_jobs(application, in_province, SLUG)
    states = [actors.record_state(in_province, SLUG, doctor.record_id) for doctor in graded]
    assert states == ["confirming", "confirming", "grading"]
    left_out = text(reviewer.get(f"{place}?filter=left_out"))
    assert "抽查有疑问，本次不评定" in left_out
    assert "共1人" in left_out
    assert post_form(clerk, f"{place}/sign", page=place).status_code == 403
    for _ in range(2):
        assert post_form(reviewer, f"{place}/sign", page=place).status_code == 303
    refused = post_form(clerk, f"{place}/notes", page=place, notes="改")
    assert "评定会已经进行评定，不能再修改" in text(refused)
    with in_province(SLUG):
        name = db.session.scalars(select(Account.name).where(Account.id == reviewer.account_id)).one()
        meeting = db.session.scalars(select(GradingMeeting)).one()
        verbs = select(JournalEntry.verb).where(JournalEntry.subject_id == meeting.id)
        assert db.session.scalars(verbs).all().count("signed") == 1
    document = docx.Document(io.BytesIO(reviewer.get(f"{place}/minutes.docx").data))
    written = "\n".join(
        [paragraph.text for paragraph in document.paragraphs]
        + [cell.text for table in document.tables for line in table.rows for cell in line.cells]
    )
    pdf = pypdfium2.PdfDocument(reviewer.get(f"{place}/minutes.pdf").data)
    printed = "".join(sheet.get_textpage().get_text_range() for sheet in pdf)
    for minutes in (written, printed):
        assert "外请专家" in minutes
        assert name in minutes
        assert "逐一审议，无异议。" in minutes
        assert "抽查有疑问，本次不评定" in re.sub(r"\s", "", minutes)
    assert "评定人数：2人" in written
    assert "合格：1人" in written


def test_a_draft_is_deleted_and_what_was_left_out_is_listed_again(application, in_province, graded, desks):
    clerk, _, _ = desks
    place = prepared(application, in_province, clerk)
    assert "共1人" in text(clerk.get(place))
    assert post_form(clerk, f"{place}/delete", page=place).status_code == 303
    with in_province(SLUG):
        rows = select(GradingMeetingEntry).where(GradingMeetingEntry.left_out_reason.is_(None))
        assert [entry.outcome for entry in db.session.scalars(rows)].count(None) == 0
    place = prepared(application, in_province, clerk)
    assert "共1人" in text(clerk.get(place))
