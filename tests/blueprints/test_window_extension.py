"""Prolonging a paper that is being sat: only later; who was cut short gets their own minutes back and no
more; each is told once."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.exams import (
    extra_time,
    halls,
    sitting_completion,
    sittings,
    slot_places,
    slots,
    window_extension,
)
from dingkao.exams.models.hall_models import ExtraTime
from dingkao.exams.models.monitoring_models import AddedTime
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import papers_for
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Notice, Organisation
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client
from tests.property_examples import property_examples

SLUG, CODE = "gansu", 62
OFFICE = f"/{SLUG}/office"
REASON = "本省部分地区停电"
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    actors.exam_setup(application, in_province, SLUG)


@pytest.fixture
def someone(application, in_province, ground):
    """Make a doctor who is 待测评, and begin 公共知识 if asked."""

    def make(*, begin=True):
        doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
        actors.advance_to(in_province, doctor, "ready")
        if begin:
            with in_province(SLUG):
                assessment = record(doctor)
                sittings.open_sitting(assessment, common(assessment), by=Actor("doctor", uuid4()))
                db.session.commit()
        return doctor

    return make


@pytest.fixture
def window(in_province, ground):
    """Set when 公共知识 ends, in minutes from now."""

    def set_(minutes):
        end = clock.now().replace(second=0, microsecond=0) + timedelta(minutes=minutes)
        with in_province(SLUG):
            db.session.execute(
                update(Paper)
                .where(Paper.subject == "common")
                .values(closes_at=end, opens_at=clock.now() - timedelta(days=2))
            )
            db.session.commit()
        return end

    yield set_
    set_(60 * 24 * 30)


def record(doctor):
    return db.session.scalars(
        select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()
    ).one()


def common(assessment):
    return next(paper for paper in papers_for(assessment) if paper.subject == "common")


def sitting(in_province, doctor):
    with in_province(SLUG):
        return db.session.scalars(select(Sitting).where(Sitting.assessment_id == doctor.record_id)).one()


def ready_and_not_begun(in_province) -> int:
    """How many doctors of the province may sit and have not begun: other modules' doctors are told too."""
    query = select(Sitting.id).where(Sitting.assessment_id == Assessment.id).exists()
    with in_province(SLUG):
        return db.session.scalar(
            select(func.count()).select_from(Assessment).where(Assessment.state == "ready", ~query)
        )


def told(in_province, doctor):
    with in_province(SLUG):
        query = select(Notice.title).where(
            Notice.account_id == actors.account_of(doctor.record_id), Notice.title.like("%时间已延长")
        )
        return list(db.session.scalars(query))


def typed(moment):
    return f"{clock.to_beijing(moment):%Y-%m-%dT%H:%M}"


def test_an_administrator_prolongs_and_each_whom_it_concerns_gets_time_and_is_told_once(
    application, in_province, someone, window, monkeypatch
):
    broken, looked = [], window_extension.integrity_events.request_recheck_of_all

    def break_off(lifted):  # each chunk once, when all of it has been done and nothing committed
        broken.append(1)
        if len(broken) % 2:
            raise ZeroDivisionError
        looked(lifted)

    monkeypatch.setattr(window_extension.integrity_events, "request_recheck_of_all", break_off)
    monkeypatch.setattr(window_extension, "BATCH_SIZE", 1)
    end = window(20)
    other_count = ready_and_not_begun(in_province)
    short, unaffected, waiting, finished = someone(), someone(), someone(begin=False), someone()
    admin, clerk = (
        signed_in_client(application, in_province, SLUG, "province_admin"),
        signed_in_client(
            application, in_province, SLUG, "organisation_clerk", sample_data.registration_number(CODE, 1)
        ),
    )
    with in_province(SLUG):
        opened = clock.now() - timedelta(minutes=59)
        db.session.execute(
            update(Sitting)
            .where(Sitting.assessment_id == unaffected.record_id)
            .values(opened_at=opened, closes_at=opened + timedelta(minutes=60))
        )
        assessment = record(finished)
        sitting_completion.close_sitting(
            next(iter(sittings.sittings_by_paper(assessment).values())), by=Actor("doctor", uuid4())
        )
        db.session.commit()
        paper = common(record(short))
    closes_at = sitting(in_province, short).closes_at
    assert closes_at == end
    assert "延长时间" in admin.get(f"{OFFICE}/papers").get_data(as_text=True)
    assert clerk.get(f"{OFFICE}/papers/prolong").status_code == 403
    page, new_end = f"{OFFICE}/papers/prolong?paper={paper.id}", end + timedelta(hours=2)
    form = {"paper": str(paper.id), "closes_at": typed(new_end), "reason": REASON}
    confirm_page = post_form(admin, f"{OFFICE}/papers/prolong", page=page, **form)
    assert confirm_page.status_code == 200
    assert "确认延长" in confirm_page.get_data(as_text=True)
    assert sitting(in_province, short).closes_at == closes_at
    confirmation = re.search(r'name="confirm" value="([^"]+)"', confirm_page.get_data(as_text=True))[
        1
    ].replace("&#43;", "+")
    changed_form = form | {"closes_at": typed(new_end + timedelta(hours=1))}
    assert "确认延长" in post_form(
        admin, f"{OFFICE}/papers/prolong", page=page, **changed_form, confirm=confirmation
    ).get_data(as_text=True)
    assert sitting(in_province, short).closes_at == closes_at
    assert (
        post_form(admin, f"{OFFICE}/papers/prolong", page=page, **form, confirm=confirmation).status_code
        == 303
    )
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        assert db.session.get_one(Paper, (CODE, paper.id)).closes_at == clock.end_of_minute(new_end)
        entry = db.session.scalars(
            select(JournalEntry).where(JournalEntry.subject_id == paper.id, JournalEntry.verb == "prolonged")
        ).one()
        assert (entry.reason, entry.details["earlier"]) == (REASON, end.isoformat())
        [job] = db.session.scalars(select(Job).where(Job.name == window_extension.EXTEND_JOB)).all()
        assert (job.state, job.result["lifted"], job.result["told"]) == ("done", 1, 2 + other_count)
        assert len(broken) > 2 * job.done
    assert sitting(in_province, short).closes_at == sitting(in_province, short).opened_at + timedelta(
        minutes=60
    )
    assert sitting(in_province, unaffected).closes_at == opened + timedelta(minutes=60)
    assert told(in_province, short) == ["作答时间已延长"]
    assert told(in_province, waiting) == ["考试时间已延长"]
    assert told(in_province, unaffected) == told(in_province, finished) == []


@pytest.mark.parametrize(
    ("minutes", "reason", "sentence"),
    [
        (-5, REASON, "只能延长"),
        (0, REASON, "只能延长"),
        (60 * 24 * 8, REASON, "一次最多延长7天"),
        (60, "停电", "4至200字"),
        (60, "", "请填写延长的原因"),
    ],
)
def test_never_earlier_never_without_a_reason_and_what_was_typed_stays(
    application, in_province, someone, window, minutes, reason, sentence
):
    end = window(60)
    someone()
    admin = signed_in_client(application, in_province, SLUG, "province_admin")
    with in_province(SLUG):
        paper = db.session.scalars(select(Paper).where(Paper.subject == "common")).one()
    page = f"{OFFICE}/papers/prolong?paper={paper.id}"
    typed_end = typed(end + timedelta(minutes=minutes))
    answer = post_form(
        admin,
        f"{OFFICE}/papers/prolong",
        page=page,
        paper=str(paper.id),
        closes_at=typed_end,
        reason=reason,
        confirm="1",
    )
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert sentence in text
    assert typed_end in text
    nothing = post_form(
        admin, f"{OFFICE}/papers/prolong", page=page, closes_at=typed_end, reason=REASON, confirm="1"
    )
    assert nothing.status_code == 422
    with in_province(SLUG):
        assert db.session.get_one(Paper, (CODE, paper.id)).closes_at == end


def test_a_window_that_is_over_is_not_opened_again(application, in_province, someone, window):
    window(60)
    someone()
    end = window(-1)
    admin = signed_in_client(application, in_province, SLUG, "province_admin")
    with in_province(SLUG):
        paper = db.session.scalars(select(Paper).where(Paper.subject == "common")).one()
    text = admin.get(f"{OFFICE}/papers/prolong?paper={paper.id}").get_data(as_text=True)
    assert f'value="{paper.id}"' not in text
    with in_province(SLUG), pytest.raises(window_extension.InvalidState, match="考试时间已过"):
        window_extension.extend_window(
            paper, closes_at=end + timedelta(hours=1), reason=REASON, by=Actor("staff", uuid4())
        )


def test_who_sits_in_a_slot_ends_by_the_slot_until_that_is_prolonged(
    application, in_province, someone, window
):
    end = window(20)
    doctor = someone(begin=False)
    admin = signed_in_client(application, in_province, SLUG, "province_admin")
    with in_province(SLUG):
        assessment = record(doctor)
        organisation = db.session.get_one(Organisation, (CODE, assessment.assessor_id))
        hall = halls.save_hall(
            organisation, name=f"考场{uuid4().hex[:6]}", address="门诊楼", seats=9, by=Actor("staff", uuid4())
        )
        cycle = db.session.get_one(Cycle, (CODE, assessment.cycle_id))
        slot = slots.save_slot(
            cycle,
            organisation,
            opens_at=clock.now() - timedelta(minutes=1),
            closes_at=end,
            hall=hall,
            institution=None,
            subject="common",
            invigilated=False,
            by=Actor("staff", uuid4()),
        )
        slot_places.place_records(slot, [assessment.id], by=Actor("staff", uuid4()))
        sittings.open_sitting(assessment, common(assessment), by=Actor("doctor", uuid4()))
        db.session.commit()
        paper, slot_id = common(assessment), slot.id
    with in_province(SLUG):
        window_extension.extend_window(
            paper, closes_at=end + timedelta(hours=3), reason=REASON, by=Actor("staff", uuid4())
        )
        db.session.commit()
    actors.run_pending_jobs(application, in_province, SLUG)
    assert sitting(in_province, doctor).closes_at == end
    assert told(in_province, doctor) == []
    assert "编入场次的医师以场次时间为准" in admin.get(f"{OFFICE}/papers/prolong?paper={paper.id}").get_data(
        as_text=True
    )
    page = f"{OFFICE}/slots/{slot_id}/change"
    text = admin.get(page).get_data(as_text=True)
    opens = re.search(r'name="opens_at"[^>]*value="([^"]+)"', text)[1]
    answer = post_form(
        admin,
        page,
        page=page,
        organisation=str(organisation.id),
        opens_at=opens,
        closes_at=typed(end + timedelta(minutes=30)),
        hall=str(hall.id),
        institution="",
        subject="common",
    )
    assert answer.status_code == 303
    actors.run_pending_jobs(application, in_province, SLUG)
    assert sitting(in_province, doctor).closes_at == min(
        clock.end_of_minute(end + timedelta(minutes=30)),
        sitting(in_province, doctor).opened_at + timedelta(minutes=60),
    )
    assert told(in_province, doctor) == ["作答时间已延长"]


@settings(deadline=None, max_examples=property_examples(60))
@given(
    before_end=st.integers(1, 180),
    later=st.integers(1, 300),
    extra=st.sampled_from([0, 0, 15, 60]),
    granted=st.booleans(),
    added=st.sampled_from([0, 0, 10]),
)
def test_an_open_sitting_never_ends_earlier_nor_later_than_its_own_minutes_allow(
    property_ground, in_province, before_end, later, extra, granted, added
):
    doctor, window_end = property_ground
    with in_province(SLUG):
        assessment = record(doctor)
        paper, sitting = (
            common(assessment),
            db.session.scalars(select(Sitting).where(Sitting.assessment_id == assessment.id)).one(),
        )
        paper.closes_at, sitting.opened_at = window_end, window_end - timedelta(minutes=before_end)
        if extra:
            moment = (
                sitting.opened_at - timedelta(hours=1)
                if granted
                else sitting.opened_at + timedelta(seconds=1)
            )
            person = db.session.get_one(Doctor, (CODE, assessment.doctor_id))
            extra_time.grant_extra_time(
                person,
                db.session.get_one(Cycle, (CODE, assessment.cycle_id)),
                minutes=extra,
                percent=None,
                reason="骨折",
                by=Actor("staff", uuid4()),
            )
            db.session.execute(
                update(ExtraTime).where(ExtraTime.doctor_id == assessment.doctor_id).values(granted_at=moment)
            )
        count = extra if granted else 0
        sitting.closes_at = min(
            sitting.opened_at + timedelta(minutes=paper.minutes + count),
            paper.closes_at + timedelta(minutes=count),
        )
        if added:
            sitting.closes_at += timedelta(minutes=added)
            db.session.add(
                AddedTime(sitting_id=sitting.id, minutes=added, reason="本考点断网", added_by=uuid4())
            )
        db.session.flush()
        closes_at = sitting.closes_at
        paper.closes_at = window_end + timedelta(minutes=later)
        db.session.flush()
        lifted = window_extension.extend_sitting(
            assessment, sitting, reason=REASON, by=Actor("staff", uuid4())
        )
        latest_end = sitting.opened_at + timedelta(minutes=paper.minutes + count + added)
        assert sitting.closes_at == max(
            closes_at, min(latest_end, paper.closes_at + timedelta(minutes=count + added))
        )
        assert closes_at <= sitting.closes_at <= latest_end
        assert lifted is (closes_at < sitting.closes_at)
        assert lifted is (paper.minutes > before_end)
        assert not window_extension.extend_sitting(
            assessment, sitting, reason=REASON, by=Actor("staff", uuid4())
        )
        db.session.rollback()


@pytest.fixture(scope="module")
def property_ground(application, in_province, ground):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    actors.advance_to(in_province, doctor, "ready")
    with in_province(SLUG):
        assessment = record(doctor)
        sittings.open_sitting(assessment, common(assessment), by=Actor("doctor", uuid4()))
        db.session.commit()
    return doctor, clock.now().replace(second=0, microsecond=0) + timedelta(days=1)
