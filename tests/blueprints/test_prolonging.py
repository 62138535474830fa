"""Prolonging a paper that is being sat: only later; who was cut short gets their own minutes back and no more; each is told once."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.exams import halls, prolonging, sittings
from dingkao.exams.models import AddedTime, ExtraTime, Paper, Sitting
from dingkao.exams.papers import papers_for
from dingkao.jobs import performing
from dingkao.jobs.models import Job
from dingkao.journal.models import JournalEntry
from dingkao.journal.writing import Actor
from dingkao.people.models import Notice, Organisation
from tests import material, people
from tests.blueprints.signed_in import client_of, post

SLUG, CODE = "gansu", 62
OFFICE = f"/{SLUG}/office"
REASON = "本省部分地区停电"
_serial = people.serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    people.exam(application, in_province, SLUG)


@pytest.fixture
def someone(application, in_province, ground):
    """Make a doctor who is 待测评, and begin 公共知识 if asked."""

    def make(*, begin=True):
        doctor = people.doctor(application, in_province, SLUG, next(_serial))
        people.bring_to(in_province, doctor, "ready")
        if begin:
            with in_province(SLUG):
                row = record(doctor)
                sittings.open_sitting(row, common(row), by=Actor("doctor", uuid4()))
                db.session.commit()
        return doctor

    return make


@pytest.fixture
def window(in_province, ground):
    """Set when 公共知识 ends, in minutes from now."""

    def set_(minutes):
        end = clock.now().replace(second=0, microsecond=0) + timedelta(minutes=minutes)
        with in_province(SLUG):
            db.session.execute(update(Paper).where(Paper.subject == "common").values(closes_at=end, opens_at=clock.now() - timedelta(days=2)))
            db.session.commit()
        return end

    yield set_
    set_(60 * 24 * 30)


def record(doctor):
    return db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()).one()


def common(row):
    return next(one for one in papers_for(row) if one.subject == "common")


def sitting(in_province, doctor):
    with in_province(SLUG):
        return db.session.scalars(select(Sitting).where(Sitting.assessment_id == doctor.record_id)).one()


def told(in_province, doctor):
    with in_province(SLUG):
        query = select(Notice.title).where(Notice.account_id == people.account_of(doctor.record_id), Notice.title.like("%时间已延长"))
        return list(db.session.scalars(query))


def typed(moment):
    return f"{clock.beijing(moment):%Y-%m-%dT%H:%M}"


def test_an_administrator_prolongs_and_each_whom_it_concerns_gets_time_and_is_told_once(application, in_province, someone, window):
    end = window(20)
    short, whole, waiting, done = someone(), someone(), someone(begin=False), someone()
    admin, clerk = client_of(application, in_province, SLUG, "province_admin"), client_of(application, in_province, SLUG, "organisation_clerk", material.registration_number(CODE, 1))
    with in_province(SLUG):
        opened = clock.now() - timedelta(minutes=59)
        db.session.execute(update(Sitting).where(Sitting.assessment_id == whole.record_id).values(opened_at=opened, closes_at=opened + timedelta(minutes=60)))
        row = record(done)
        sittings.close(next(iter(sittings.sittings_of(row).values())), by=Actor("doctor", uuid4()))
        db.session.commit()
        paper = common(record(short))
    before = sitting(in_province, short).closes_at
    assert before == end
    assert "延长时间" in admin.get(f"{OFFICE}/papers").get_data(as_text=True)
    assert clerk.get(f"{OFFICE}/papers/prolong").status_code == 403
    page, later = f"{OFFICE}/papers/prolong?paper={paper.id}", end + timedelta(hours=2)
    given = {"paper": str(paper.id), "closes_at": typed(later), "reason": REASON}
    shown = post(admin, f"{OFFICE}/papers/prolong", page=page, **given)
    assert shown.status_code == 200
    assert "确认延长" in shown.get_data(as_text=True)
    assert sitting(in_province, short).closes_at == before
    seen = re.search(r'name="confirm" value="([^"]+)"', shown.get_data(as_text=True))[1].replace("&#43;", "+")
    other = given | {"closes_at": typed(later + timedelta(hours=1))}
    assert "确认延长" in post(admin, f"{OFFICE}/papers/prolong", page=page, **other, confirm=seen).get_data(as_text=True)
    assert sitting(in_province, short).closes_at == before
    assert post(admin, f"{OFFICE}/papers/prolong", page=page, **given, confirm=seen).status_code == 303
    people.work_off(application, in_province, SLUG)
    with in_province(SLUG):
        assert db.session.get_one(Paper, (CODE, paper.id)).closes_at == later
        entry = db.session.scalars(select(JournalEntry).where(JournalEntry.subject_id == paper.id, JournalEntry.verb == "prolonged")).one()
        assert (entry.reason, entry.details["earlier"]) == (REASON, end.isoformat())
        [job] = db.session.scalars(select(Job).where(Job.name == prolonging.PROLONG)).all()
        assert job.result["lifted"] == 1
    assert sitting(in_province, short).closes_at == sitting(in_province, short).opened_at + timedelta(minutes=60)
    assert sitting(in_province, whole).closes_at == opened + timedelta(minutes=60)
    assert told(in_province, short) == ["作答时间已延长"]
    assert told(in_province, waiting) == ["考试时间已延长"]
    assert told(in_province, whole) == told(in_province, done) == []
    with in_province(SLUG):
        db.session.execute(update(Job).where(Job.id == job.id).values(state="waiting"))
        db.session.commit()
    with in_province(SLUG):
        performing.run(job.id)
    assert told(in_province, short) == ["作答时间已延长"]
    assert told(in_province, waiting) == ["考试时间已延长"]


@pytest.mark.parametrize(("minutes", "reason", "sentence"), [
    (-5, REASON, "只能延长"), (0, REASON, "只能延长"), (60 * 24 * 8, REASON, "一次最多延长7天"), (60, "停电", "4至200字"), (60, "", "请填写延长的原因"),
])  # fmt: skip
def test_never_earlier_never_without_a_reason_and_what_was_typed_stays(application, in_province, someone, window, minutes, reason, sentence):
    end = window(60)
    someone()
    admin = client_of(application, in_province, SLUG, "province_admin")
    with in_province(SLUG):
        paper = db.session.scalars(select(Paper).where(Paper.subject == "common")).one()
    page = f"{OFFICE}/papers/prolong?paper={paper.id}"
    wanted = typed(end + timedelta(minutes=minutes))
    answer = post(admin, f"{OFFICE}/papers/prolong", page=page, paper=str(paper.id), closes_at=wanted, reason=reason, confirm="1")
    shown = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert sentence in shown
    assert wanted in shown
    nothing = post(admin, f"{OFFICE}/papers/prolong", page=page, closes_at=wanted, reason=REASON, confirm="1")
    assert nothing.status_code == 422
    with in_province(SLUG):
        assert db.session.get_one(Paper, (CODE, paper.id)).closes_at == end


def test_a_window_that_is_over_is_not_opened_again(application, in_province, someone, window):
    window(60)
    someone()
    end = window(-1)
    admin = client_of(application, in_province, SLUG, "province_admin")
    with in_province(SLUG):
        paper = db.session.scalars(select(Paper).where(Paper.subject == "common")).one()
    shown = admin.get(f"{OFFICE}/papers/prolong?paper={paper.id}").get_data(as_text=True)
    assert f'value="{paper.id}"' not in shown
    with in_province(SLUG), pytest.raises(prolonging.NotAllowed, match="考试时间已过"):
        prolonging.prolong(paper, closes_at=end + timedelta(hours=1), reason=REASON, by=Actor("staff", uuid4()))


def test_who_sits_in_a_slot_ends_by_the_slot_until_that_is_prolonged(application, in_province, someone, window):
    end = window(20)
    doctor = someone(begin=False)
    admin = client_of(application, in_province, SLUG, "province_admin")
    with in_province(SLUG):
        row = record(doctor)
        organisation = db.session.get_one(Organisation, (CODE, row.assessor_id))
        hall = halls.keep_hall(organisation, name=f"考场{uuid4().hex[:6]}", address="门诊楼", seats=9, by=Actor("staff", uuid4()))
        cycle = db.session.get_one(Cycle, (CODE, row.cycle_id))
        slot = halls.keep_slot(
            cycle, organisation, opens_at=clock.now() - timedelta(minutes=1), closes_at=end, hall=hall, institution=None, subject="common", invigilated=False,
            by=Actor("staff", uuid4()),
        )  # fmt: skip
        halls.place(slot, [row.id], by=Actor("staff", uuid4()))
        sittings.open_sitting(row, common(row), by=Actor("doctor", uuid4()))
        db.session.commit()
        paper, slot_id = common(row), slot.id
    with in_province(SLUG):
        prolonging.prolong(paper, closes_at=end + timedelta(hours=3), reason=REASON, by=Actor("staff", uuid4()))
        db.session.commit()
    people.work_off(application, in_province, SLUG)
    assert sitting(in_province, doctor).closes_at == end
    assert told(in_province, doctor) == []
    assert "编入场次的医师以场次时间为准" in admin.get(f"{OFFICE}/papers/prolong?paper={paper.id}").get_data(as_text=True)
    page = f"{OFFICE}/slots/{slot_id}/change"
    shown = admin.get(page).get_data(as_text=True)
    opens = re.search(r'name="opens_at"[^>]*value="([^"]+)"', shown)[1]
    answer = post(
        admin, page, page=page, organisation=str(organisation.id), opens_at=opens, closes_at=typed(end + timedelta(minutes=30)), hall=str(hall.id),
        institution="", subject="common",
    )  # fmt: skip
    assert answer.status_code == 303
    people.work_off(application, in_province, SLUG)
    assert sitting(in_province, doctor).closes_at == min(end + timedelta(minutes=30), sitting(in_province, doctor).opened_at + timedelta(minutes=60))
    assert told(in_province, doctor) == ["作答时间已延长"]


@settings(deadline=None, max_examples=60)
@given(before_end=st.integers(1, 180), later=st.integers(1, 300), extra=st.sampled_from([0, 0, 15, 60]), granted=st.booleans(), added=st.sampled_from([0, 0, 10]))
def test_an_open_sitting_never_ends_earlier_nor_later_than_its_own_minutes_allow(property_ground, in_province, before_end, later, extra, granted, added):
    doctor, window_end = property_ground
    with in_province(SLUG):
        row = record(doctor)
        paper, mine = common(row), db.session.scalars(select(Sitting).where(Sitting.assessment_id == row.id)).one()
        paper.closes_at, mine.opened_at = window_end, window_end - timedelta(minutes=before_end)
        if extra:
            moment = mine.opened_at - timedelta(hours=1) if granted else mine.opened_at + timedelta(seconds=1)
            person = db.session.get_one(Doctor, (CODE, row.doctor_id))
            halls.grant_extra(person, db.session.get_one(Cycle, (CODE, row.cycle_id)), minutes=extra, percent=None, reason="骨折", by=Actor("staff", uuid4()))
            db.session.execute(update(ExtraTime).where(ExtraTime.doctor_id == row.doctor_id).values(granted_at=moment))
        own = extra if granted else 0
        mine.closes_at = min(mine.opened_at + timedelta(minutes=paper.minutes + own), paper.closes_at + timedelta(minutes=own))
        if added:
            mine.closes_at += timedelta(minutes=added)
            db.session.add(AddedTime(sitting_id=mine.id, minutes=added, reason="本考点断网", added_by=uuid4()))
        db.session.flush()
        before = mine.closes_at
        paper.closes_at = window_end + timedelta(minutes=later)
        db.session.flush()
        lifted = prolonging.lift(row, mine, reason=REASON, by=Actor("staff", uuid4()))
        most = mine.opened_at + timedelta(minutes=paper.minutes + own + added)
        assert mine.closes_at == max(before, min(most, paper.closes_at + timedelta(minutes=own + added)))
        assert before <= mine.closes_at <= most
        assert lifted is (before < mine.closes_at)
        assert lifted is (paper.minutes > before_end)
        assert not prolonging.lift(row, mine, reason=REASON, by=Actor("staff", uuid4()))
        db.session.rollback()


@pytest.fixture(scope="module")
def property_ground(application, in_province, ground):
    doctor = people.doctor(application, in_province, SLUG, next(_serial))
    people.bring_to(in_province, doctor, "ready")
    with in_province(SLUG):
        row = record(doctor)
        sittings.open_sitting(row, common(row), by=Actor("doctor", uuid4()))
        db.session.commit()
    return doctor, clock.now().replace(second=0, microsecond=0) + timedelta(days=1)
