"""Outages across the end of sittings: silence that is noticed, time for all in one act, an outage registered by
hand."""

import re
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import func, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams import (
    answer_saving,
    integrity_events,
    outage_compensation,
    outage_detection,
    outages,
    sitting_completion,
    sittings,
)
from dingkao.exams.models.monitoring_models import AddedTime, Outage
from dingkao.exams.models.sitting_models import SittingAnswer
from dingkao.journal.entries import Actor
from dingkao.journal.models import JournalEntry
from dingkao.people.scopes import WHOLE_PROVINCE
from dingkao.tenants.keys import cache_key
from tests import actors
from tests.blueprints.exam_phone import (
    CODE,
    SLUG,
    TRULY_NOW,
    text,
)
from tests.blueprints.signed_in_client import post_form

OFFICE = f"/{SLUG}/office"


@pytest.fixture
def at(monkeypatch):
    """Let the web's clock be so many seconds from now."""

    @contextmanager
    def moved(seconds):
        with monkeypatch.context() as patch:
            patch.setattr(clock, "now", lambda: TRULY_NOW() + timedelta(seconds=seconds))
            yield

    return moved


# --- silence


def fell_silent(at, phones, *, ago, ends):
    """Pages that gave their last sign of life `ago` seconds before now, and whose time ran out `ends` seconds
    before now."""
    with at(-ago):
        for phone in phones:
            phone.pulse()
    for phone in phones:
        phone.ends(-ends)


def found(in_province):
    with in_province(SLUG):
        return list(
            db.session.scalars(
                select(Outage)
                .where(Outage.ended_at > TRULY_NOW() - timedelta(days=1))
                .order_by(Outage.began_at)
            )
        )


def look(in_province):
    """What the duty does."""
    with in_province(SLUG):
        return outage_detection.detect_outages()


def test_many_that_fall_silent_across_their_end_are_an_outage_and_all_get_time_in_one_act(
    application, phone, staff, in_province, at, cache
):
    phones = [phone() for _ in range(5)]
    strangers_clerk, clerk, admin = staff(at=2), staff(), staff("province_admin")
    fell_silent(at, phones, ago=100, ends=85)
    pressed, *silent_phones = phones
    with at(-99):
        assert pressed.hand_in(automatic=False).status_code == 200
    pressed.put(handed_in_at=TRULY_NOW() - timedelta(seconds=101))
    for exam_phone in silent_phones[:3]:
        exam_phone.hand_in(exam_phone.answer(1, "B", 2, seconds=-90))
    assert look(in_province) == 1
    assert look(in_province) == 0
    [outage] = found(in_province)
    assert outage.organisation_id is None
    assert timedelta(seconds=95) < outage.ended_at - outage.began_at < timedelta(seconds=110)

    watched = text(clerk.get(f"{OFFICE}/watching"))
    assert "期间有4场作答时间到，待补时" in watched
    assert "服务中断期间到时，待补时的作答" in text(clerk.get(OFFICE))
    assert "待补时" not in text(strangers_clerk.get(f"{OFFICE}/watching"))
    place = f"{OFFICE}/outages/{outage.id}"
    page = text(clerk.get(place))
    assert "系统发现：许多作答页面同时失去信号" in page
    minutes = re.search(r'name="minutes"[^>]*value="(\d+)"', page)[1]
    assert minutes == "12"
    assert "统一补时</button>" not in text(admin.get(place))
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text(admin.get(f"{OFFICE}/lines")))[1]
    assert admin.post(f"{place}/time", data={"csrf_token": token}).status_code == 403
    for wrong, sentence in (
        ({"minutes": "x"}, "补时分钟应为1至30"),
        ({"minutes": "31"}, "补时分钟应为1至30"),
        ({"reason": "停"}, "请填写补时原因"),
        ({"scope": "none"}, "请选择补时范围"),
    ):
        answer = post_form(
            clerk,
            f"{place}/time",
            page=place,
            **({"minutes": minutes, "scope": "ended", "reason": "服务中断两分钟"} | wrong),
        )
        assert answer.status_code == 422
        assert sentence in text(answer)
    with in_province(SLUG):
        assert db.session.scalar(select(func.count()).where(AddedTime.outage_id == outage.id)) == 0
    answer = post_form(
        clerk, f"{place}/time", page=place, minutes=minutes, scope="ended", reason="服务中断两分钟"
    )
    assert answer.status_code == 303
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "已补时 4" in text(clerk.get(answer.location))
    for exam_phone in silent_phones:
        sitting = exam_phone.row()
        assert sitting.handed_in_at is None
        assert timedelta(minutes=11) < sitting.closes_at - TRULY_NOW() <= timedelta(minutes=12)
        assert exam_phone.pulse() == {"look": True}
    assert pressed.row().handed_in_by == "doctor"
    second_answer = post_form(
        clerk,
        f"{place}/time",
        page=f"{OFFICE}/watching",
        minutes=minutes,
        scope="ended",
        reason="服务中断两分钟",
    )
    assert second_answer.status_code == 409
    assert "没有等待补时的作答" in text(second_answer)
    assert "4场" in text(clerk.get(place))
    with in_province(SLUG):
        verbs = db.session.scalars(
            select(JournalEntry.verb).where(JournalEntry.subject_id == outage.id).order_by(JournalEntry.id)
        ).all()
    assert verbs == ["found", "compensation_asked"]
    assert "作答时间已延长" in silent_phones[0].doctor.get("/notices")


def test_a_job_that_runs_again_gives_nobody_time_twice(application, phone, staff, in_province, at, cache):
    phones, clerk = [phone() for _ in range(3)], staff()
    fell_silent(at, phones, ago=100, ends=85)
    phones[0].hand_in()
    look(in_province)
    [outage] = found(in_province)
    place = f"{OFFICE}/outages/{outage.id}"
    post_form(clerk, f"{place}/time", page=place, minutes="10", scope="all", reason="服务中断两分钟")
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        query = select(AddedTime.sitting_id).where(AddedTime.outage_id == outage.id)
        assert sorted(db.session.scalars(query)) == sorted(phone.id for phone in phones)
        job = db.session.scalars(
            select(outage_compensation.Job)
            .where(outage_compensation.Job.name == outage_compensation.COMPENSATE_JOB)
            .order_by(outage_compensation.Job.id.desc())
        ).first()
        assert outage_compensation.compensate_batch(job, {}).done == 0
        db.session.rollback()


def test_an_outage_that_nobody_has_come_back_from_is_proposed_and_grows_when_they_do(
    phone, in_province, at, cache
):
    phones = [phone() for _ in range(3)]
    fell_silent(at, phones, ago=200, ends=150)
    assert look(in_province) == 1
    [outage] = found(in_province)
    assert timedelta(seconds=105) < outage.ended_at - outage.began_at < timedelta(seconds=115)
    phones[0].hand_in()
    assert look(in_province) == 0
    [outage] = found(in_province)
    assert outage.ended_at - outage.began_at > timedelta(seconds=195)


def test_what_ends_as_it_should_is_no_outage(phone, in_province, at, cache):
    # all were handed in at their end by their pages, and then nobody is there
    phones = [phone() for _ in range(4)]
    fell_silent(at, phones, ago=110, ends=100)
    with at(-100):
        for exam_phone in phones:
            exam_phone.hand_in()
    for exam_phone in phones:
        exam_phone.put(handed_in_at=TRULY_NOW() - timedelta(seconds=100.5))
    assert look(in_province) == 0
    with at(0):
        phones[0].pulse()
    assert look(in_province) == 0
    assert found(in_province) == []


def test_two_phones_switched_off_are_no_outage(phone, in_province, at, cache):
    phones = [phone(), phone()]
    fell_silent(at, phones, ago=120, ends=80)
    phones[0].hand_in()
    assert look(in_province) == 0
    assert found(in_province) == []


def test_where_answers_were_kept_meanwhile_the_servers_were_there(phone, in_province, at, cache):
    phones = [phone() for _ in range(3)]
    fell_silent(at, phones, ago=150, ends=60)
    with in_province(SLUG):
        moment = TRULY_NOW() - timedelta(seconds=75)
        db.session.add(
            SittingAnswer(
                sitting_id=phones[0].id,
                position=0,
                letters="A",
                sequence=1,
                tapped_at=moment,
                received_at=moment,
            )
        )
        db.session.commit()
    phones[0].hand_in()
    assert look(in_province) == 0
    assert found(in_province) == []


def test_a_sign_of_life_counts_only_while_the_database_answers(phone, monkeypatch, in_province, cache):
    exam_phone = phone()
    with monkeypatch.context() as patch:
        patch.setattr(answer_saving, "_last_answered_at", float("-inf"))
        patch.setattr(
            answer_saving,
            "_thread_connection",
            lambda _url: (_ for _ in ()).throw(psycopg.OperationalError("away")),
        )
        assert exam_phone.pulse() == {"look": False}
        with in_province(SLUG):
            assert integrity_events.last_heartbeats(cache, [exam_phone.id]) == {}
    monkeypatch.setattr(answer_saving, "_last_answered_at", float("-inf"))
    exam_phone.pulse()
    with in_province(SLUG):
        assert set(integrity_events.last_heartbeats(cache, [exam_phone.id])) == {exam_phone.id}


def test_the_first_sign_of_life_after_the_database_has_come_back_counts(
    phone, monkeypatch, in_province, cache, owner_connection
):
    exam_phone = phone()
    monkeypatch.setattr(answer_saving, "_last_answered_at", float("-inf"))
    exam_phone.pulse()
    with in_province(SLUG):
        cache.delete(cache_key("sitting-alive", exam_phone.id))
    backend = answer_saving._thread_local.connection.info.backend_pid
    owner_connection.execute("select pg_terminate_backend(%s, 5000)", (backend,))
    monkeypatch.setattr(answer_saving, "_last_answered_at", float("-inf"))
    exam_phone.pulse()
    with in_province(SLUG):
        assert set(integrity_events.last_heartbeats(cache, [exam_phone.id])) == {exam_phone.id}


# --- registered by hand


def typed(moment):
    return f"{clock.to_beijing(moment):%Y-%m-%dT%H:%M}"


def test_an_organisation_registers_its_own_outage_and_nobody_else_sees_it(
    application, phone, staff, in_province, cache
):
    exam_phone, running, pressed = phone(), phone(), phone()
    clerk, other_clerk = staff(), staff(at=2)
    now = TRULY_NOW()
    pressed.hand_in(automatic=False)
    pressed.put(
        opened_at=now - timedelta(hours=1),
        closes_at=now - timedelta(minutes=20),
        handed_in_at=now - timedelta(minutes=25),
    )
    exam_phone.put(opened_at=now - timedelta(hours=1), closes_at=now - timedelta(minutes=20))
    with in_province(SLUG):
        sitting_completion.close_overdue()
    running.put(opened_at=now - timedelta(hours=1))
    page = f"{OFFICE}/outages"
    own_organisation_id = re.search(r'<option selected value="([0-9a-f-]{36})"', text(clerk.get(page)))[1]
    form = {
        "organisation": own_organisation_id,
        "began_at": typed(now - timedelta(minutes=30)),
        "ended_at": typed(now - timedelta(minutes=10)),
    }
    for wrong, sentence in (
        ({"ended_at": typed(now - timedelta(minutes=40))}, "晚于开始时间"),
        ({"ended_at": typed(now + timedelta(minutes=5))}, "不能晚于现在"),
        ({"began_at": typed(now - timedelta(hours=20))}, "不超过12小时"),
        ({"began_at": ""}, "请选择中断开始的时间"),
        (
            {"began_at": typed(now - timedelta(hours=27)), "ended_at": typed(now - timedelta(hours=26))},
            "已超过24小时",
        ),
    ):
        answer = post_form(clerk, page, **(form | wrong))
        assert answer.status_code == 422
        assert sentence in text(answer)
    place = post_form(clerk, page, **form).location
    page_text = text(clerk.get(place))
    assert "考核机构登记" in page_text
    with in_province(SLUG):
        assert outages.count_affected(outages.recent_outages(WHOLE_PROVINCE)[0], WHOLE_PROVINCE) == (
            1,
            1,
            0,
        ), "whoever handed in during the outage is not concerned"
    assert other_clerk.get(place).status_code == 404
    assert place not in text(other_clerk.get(page))
    assert (
        post_form(
            clerk, f"{place}/time", page=place, minutes="15", scope="all", reason="本考点停电二十分钟"
        ).status_code
        == 303
    )
    actors.run_pending_jobs(application, in_province, SLUG)
    assert exam_phone.row().handed_in_at is None
    assert running.row().closes_at > running.row().opened_at + timedelta(minutes=60)
    assert pressed.row().handed_in_by == "doctor"
    with in_province(SLUG):
        record = db.session.get_one(Assessment, (CODE, exam_phone.doctor.record_id))
        assert record.state == "testing"
        sitting_completion.hand_in_sitting(
            record, sittings.get_sitting(exam_phone.id, record, for_update=True), by=Actor("doctor", uuid4())
        )
