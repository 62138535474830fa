"""Whoever leaves hands over all that is open, by HTTP: by oneself, or by whoever is in charge with the account
closed in the same act; more than a request holds by a job."""

import re
from datetime import timedelta
from unittest.mock import patch
from uuid import UUID

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.jobs import chunks, enqueueing
from dingkao.jobs.models import Job
from dingkao.journal.entries import invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.people import handover_parts, handovers
from dingkao.people.handover_parts import Desk
from dingkao.people.models import Account, Organisation, SavedView
from dingkao.results.models import GradingMeeting, GradingMeetingMember
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client
from tests.statement_counter import counted_statements

SLUG, CODE = "chongqing", 50
HOSPITAL = sample_data.registration_number(CODE, 1)
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def doctors(application, in_province):
    """Two doctors whose filings wait for the institution."""
    signed_in = [actors.signed_in_doctor(application, in_province, SLUG, next(_serial)) for _ in range(2)]
    for doctor in signed_in:
        doctor.post("/filing/notice")
        actors.advance_to(in_province, doctor, "institution_pending")
    return signed_in


@pytest.fixture
def staff(application, in_province, doctors):
    """Make a member of staff at the hospital, or at another institution."""
    return lambda role, at=HOSPITAL: signed_in_client(application, in_province, SLUG, role, at)


@pytest.fixture
def leaver(staff, in_province, doctors):
    """A reviewer with something of each kind that is open: a record that was given, one that is leased, a
    shared view, a running import and a seat on a meeting."""
    client = staff("institution_reviewer")
    with in_province(SLUG):
        hospital = db.session.scalars(
            select(Organisation).where(Organisation.registration_number == HOSPITAL)
        ).one()
        lease = {"leased_by": client.account_id, "leased_until": clock.now() + timedelta(minutes=20)}
        given = {"assigned_to": client.account_id, "leased_by": None, "leased_until": None}
        for doctor, values in zip(doctors, (given, lease | {"assigned_to": None}), strict=True):
            record = Assessment.id == doctor.record_id
            db.session.execute(update(Assessment).where(record).values(**values))
        db.session.add(
            SavedView(
                account_id=client.account_id,
                list_name="records",
                name="待补材料",
                address="state=draft",
                is_shared=True,
                organisation_id=hospital.id,
            )
        )
        enqueueing.enqueue("include_all", "纳入", {}, by=client.account_id)
        meeting = GradingMeeting(
            cycle_id=actors.get_or_open_cycle().id,
            organisation_id=hospital.id,
            held_on=clock.today(),
            place="二楼",
            created_by=client.account_id,
        )
        db.session.add(meeting)
        db.session.flush()
        db.session.add(
            GradingMeetingMember(
                meeting_id=meeting.id, name="测试人员", role="member", account_id=client.account_id
            )
        )
        db.session.commit()
    return client


def page_of(client):
    return f"/{SLUG}/office/handover/{client.account_id}"


def organisation_id(in_province, number=HOSPITAL):
    with in_province(SLUG):
        query = select(Organisation.id).where(Organisation.registration_number == number)
        return str(db.session.scalars(query).one())


def hand_over(by, leaver, successor, in_province, **more):
    fields = {"organisation": organisation_id(in_province), "successor": str(successor.account_id)}
    return post_form(by, page_of(leaver), **(fields | more))


def text(answer):
    return answer.get_data(as_text=True)


def holders(in_province, doctors):
    """To whom the records are given, and who leases them."""
    with in_province(SLUG):
        records = [db.session.get_one(Assessment, (CODE, doctor.record_id)) for doctor in doctors]
        return [(record.assigned_to, record.leased_by) for record in records]


def test_one_hands_over_oneself_and_again_without_effect(staff, leaver, doctors, in_province):
    successor = staff("institution_reviewer")
    page = text(leaver.get(page_of(leaver)))
    for label, number in (
        ("分给本人的审核", "1条"),
        ("正在审核的记录", "1条"),
        ("共用的视图", "1个"),
        ("未完成的任务、待确认的导入", "1项"),
        ("评定会席位", "1个"),
    ):
        assert re.search(rf"<dt>{label}</dt>\s*<dd[^>]*>{number}</dd>", page), label
    assert "停用原因" not in page, "nobody closes the own account"
    assert hand_over(leaver, leaver, successor, in_province).status_code == 303
    assert holders(in_province, doctors) == [(successor.account_id, None)] * 2
    assert "没有待交接的事项" in text(leaver.get(page_of(leaver)))
    assert hand_over(leaver, leaver, successor, in_province).status_code == 303, "again"
    assert "双方会收到消息" not in text(leaver.get(page_of(leaver))), "nobody is told of nothing"
    with in_province(SLUG):
        for column in (SavedView.account_id, Job.asked_by, GradingMeetingMember.account_id):
            owners = select(column).where(column.in_((leaver.account_id, successor.account_id)))
            assert set(db.session.scalars(owners)) == {successor.account_id}, column
        verbs = select(JournalEntry.details).where(
            JournalEntry.subject_id == leaver.account_id, JournalEntry.verb == "handed_over"
        )
        [entry] = db.session.scalars(verbs).all()
        assert entry["to"] == str(successor.account_id)
        assert invalid_entries(leaver.account_id) == []
    assert "已交接给您" in text(successor.get(f"/{SLUG}/office/inbox"))
    assert "已交接给" in text(leaver.get(f"/{SLUG}/office/inbox"))


def test_only_a_colleague_of_the_same_role_takes_over(staff, leaver, doctors, in_province):
    second = sample_data.registration_number(CODE, 2)
    before = holders(in_province, doctors)
    for other in (staff("institution_clerk"), staff("institution_reviewer", second), leaver):
        answer = hand_over(leaver, leaver, other, in_province)
        assert answer.status_code == 422
        assert "同事" in text(answer)
    answer = hand_over(leaver, leaver, leaver, in_province, organisation=organisation_id(in_province, second))
    assert answer.status_code == 422
    assert "请刷新页面后重试" in text(answer)
    assert "分给本人的审核" in text(answer), "the desks are shown again, though another one was named"
    assert holders(in_province, doctors) == before


def test_the_page_asks_no_more_often_for_many_colleagues_than_for_one(staff, leaver, in_province):
    numbers = []
    for _ in range(2):
        staff("institution_reviewer")
        desk, statements = Desk(leaver.account_id, UUID(organisation_id(in_province)), True), []
        with in_province(SLUG), counted_statements(statements):
            assert handovers.list_successors(desk)
        numbers.append(len(statements))
    assert numbers[0] == numbers[1]


def test_whoever_is_in_charge_hands_over_for_others_and_closes(staff, leaver, doctors, in_province):
    successor = staff("institution_reviewer")
    for stranger in (staff("institution_clerk"), staff("organisation_reviewer", HOSPITAL.replace("1", "2"))):
        if stranger.account_id:
            assert stranger.get(page_of(leaver)).status_code in (403, 404)
            assert hand_over(stranger, leaver, successor, in_province).status_code in (403, 404)
    blank = hand_over(successor, leaver, successor, in_province, close="1", reason=" ")
    assert blank.status_code == 422
    assert text(blank).count("selected") == 1, "what was chosen is kept"
    closing = hand_over(successor, leaver, successor, in_province, close="1", reason="已调离")
    assert closing.status_code == 303
    assert holders(in_province, doctors) == [(successor.account_id, None)] * 2
    with in_province(SLUG):
        assert db.session.get_one(Account, (CODE, leaver.account_id)).state == "closed"
    assert leaver.get(f"/{SLUG}/office").status_code == 302
    refused = hand_over(successor, successor, leaver, in_province, close="1", reason="调离")
    assert refused.status_code in (403, 422), "nobody closes the own account"


def test_much_is_handed_over_by_a_job(application, staff, leaver, doctors, in_province):
    admin = staff("province_admin", None)
    successor = staff("institution_reviewer")
    with patch.object(handovers, "MAX_INLINE", 1):
        answer = hand_over(admin, leaver, successor, in_province)
    assert "/office/work/" in answer.location
    job_id = UUID(answer.location.rsplit("/", 1)[1])
    with (
        patch.object(handover_parts, "BATCH_SIZE", 1),
        patch.object(chunks, "MAX_TURN_SECONDS", 0.0),
    ):
        turns = list(actors.iter_job_turns(in_province, SLUG, job_id))
    assert (turns[-1].state, turns[-1].done) == ("done", 5)
    assert len(turns) >= 5, "each chunk commits"
    assert holders(in_province, doctors) == [(successor.account_id, None)] * 2
