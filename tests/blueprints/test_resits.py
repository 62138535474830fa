"""A paper sat again after its first window: every page goes by the doctor's own window, not by the
paper's."""

import json
import re
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import CyclePhase
from dingkao.database.base import db
from dingkao.exams import integrity_cases, sitting_completion, sittings
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import papers_for
from dingkao.exams.tickets import find_ticket
from dingkao.journal.entries import Actor
from dingkao.tenants import settings
from tests import actors

SLUG, CODE = "xizang", 54
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    actors.exam_setup(application, in_province, SLUG)


@pytest.fixture
def over(in_province, ground):
    """Let the papers' window and the phase of the examination be over."""

    @contextmanager
    def shut():
        def move(opens, closes, phase):
            with in_province(SLUG):
                db.session.execute(update(Paper).values(opens_at=opens, closes_at=closes))
                db.session.execute(
                    update(CyclePhase).where(CyclePhase.kind == "examination").values(last_day=phase)
                )
                db.session.commit()

        with in_province(SLUG):
            opens, closes = db.session.execute(select(Paper.opens_at, Paper.closes_at).limit(1)).one()
            phase = db.session.scalars(
                select(CyclePhase.last_day).where(CyclePhase.kind == "examination")
            ).one()
        move(
            clock.now() - timedelta(days=4),
            clock.now() - timedelta(days=2),
            clock.today() - timedelta(days=2),
        )
        try:
            yield
        finally:
            move(opens, closes, phase)

    return shut


def the_record(doctor):
    return db.session.scalars(
        select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()
    ).one()


def sat_and_voided(in_province, doctor, subject="common"):
    """Sit a paper, hand it in, and have it voided with leave to sit again within five days."""
    with in_province(SLUG):
        record, actor, admin = (
            the_record(doctor),
            Actor("doctor", uuid4()),
            actors.make_actor("province_admin"),
        )
        paper = next(paper for paper in papers_for(record) if paper.subject == subject)
        sitting = sittings.open_sitting(record, paper, by=actor)
        sitting_completion.hand_in_sitting(record, sitting, by=actor)
        case = integrity_cases.open_case(
            record, sitting, reason="监考员看到另一人在作答", by=actors.make_actor("organisation_clerk")
        )
        integrity_cases.submit_statement(case, by=actor, statement="当时是我本人在作答。")
        resit_deadline = clock.now() + timedelta(days=5)
        integrity_cases.propose_outcome(
            case,
            by=actors.make_actor("organisation_reviewer"),
            outcome="resit",
            opinion="核对监控录像后认定",
            resit_until=resit_deadline,
        )
        db.session.flush()
        integrity_cases.confirm_proposal(case, record, sitting, by=admin)
        db.session.commit()
        return resit_deadline


def enter(in_province, doctor):
    """By name and ticket, to the list of papers."""
    with in_province(SLUG):
        number = find_ticket(the_record(doctor)).number
    name = re.search(r"<h2>(医师.)</h2>", doctor.get("/home"))[1]
    assert doctor.post("/sitting", name=name, number=number, consent="yes").status_code == 303
    return doctor.get("/sitting")


def test_a_resit_is_entered_after_the_papers_window(application, in_province, over):
    doctor = actors.ready_doctor(application, in_province, SLUG, next(_serial), procedure="simple")
    resit_deadline = sat_and_voided(in_province, doctor)
    with over():
        home = doctor.get("/home")
        assert "重考截止" in home
        assert f"{clock.to_beijing(resit_deadline):%Y年%m月%d日}" in home
        assert "已经过期" not in home
        entry_page = enter(in_province, doctor)
        assert "考试时间已过" not in entry_page
        assert f"至 {clock.to_beijing(resit_deadline):%Y年%m月%d日 %H:%M}" in entry_page
        paper = re.search(r"/sitting/paper/([0-9a-f-]{36})", entry_page)[1]
        assert f"最晚{clock.to_beijing(resit_deadline):%Y年%m月%d日 %H:%M}结束" in doctor.get(
            f"/sitting/paper/{paper}"
        )
        answering = doctor.post(f"/sitting/paper/{paper}", promise="yes").location
        assert re.search(r"/sitting/[0-9a-f-]{36}$", answering)
        page = doctor.client.get(answering).get_data(as_text=True)
        data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
        body = {"position": 0, "letters": "A", "sequence": 1, "tapped": data["now"]}
        assert (
            doctor.client.post(data["address"], json=body, headers={"X-Sitting": data["token"]}).get_json()[
                "kept"
            ]
            == "saved"
        )
        assert data["closes"] - data["now"] > 50 * 60 * 1000
        doctor.post(answering.removeprefix(f"/{SLUG}") + "/hand-in", page=answering.removeprefix(f"/{SLUG}"))
        assert actors.record_state(in_province, SLUG, doctor.record_id) == "scored"
        assert "重考截止" not in doctor.get("/home")


def test_who_has_only_papers_to_sit_again_is_told_of_the_own_day_while_the_phase_lasts(
    application, in_province, ground
):
    alone, with_both_papers = (
        actors.ready_doctor(application, in_province, SLUG, next(_serial), procedure=procedure)
        for procedure in ("simple", "general")
    )
    resit_deadline = [sat_and_voided(in_province, doctor) for doctor in (alone, with_both_papers)][0]
    with in_province(SLUG):
        phase = db.session.scalars(select(CyclePhase).where(CyclePhase.kind == "examination")).one()
        last_day, phase.last_day = phase.last_day, clock.today() + timedelta(days=1)
        db.session.commit()
    try:
        ends = re.compile(r"<dt>(重考截止|考核截止)</dt>\s*<dd>([^，]+)，")
        assert ends.findall(alone.get("/home")) == [
            ("重考截止", f"{clock.to_beijing(resit_deadline):%Y年%m月%d日}")
        ]
        phase_ends = f"{clock.today() + timedelta(days=1):%Y年%m月%d日}"
        assert ends.findall(with_both_papers.get("/home")) == [("考核截止", phase_ends)], (
            "another paper ends with the phase"
        )
    finally:
        with in_province(SLUG):
            db.session.execute(
                update(CyclePhase).where(CyclePhase.kind == "examination").values(last_day=last_day)
            )
            db.session.commit()


def test_who_may_sit_again_may_ask_for_deferral_and_practise_after_the_phase_and_nobody_else(
    application, in_province, over
):
    resitting, missed = (
        actors.ready_doctor(application, in_province, SLUG, next(_serial), procedure="simple")
        for _ in range(2)
    )
    sat_and_voided(in_province, resitting)
    with in_province(SLUG):
        settings.change("practice_closes", "phase_end", by=None, reason="试用")
        db.session.commit()
    with over():
        for doctor, open_ in ((resitting, True), (missed, False)):
            assert ("考核阶段已结束" not in doctor.get("/requests/new/deferral")) is open_
            assert ("考核结束后关闭" not in doctor.get("/home")) is open_
            assert ("在线学习已关闭" not in doctor.get("/practice")) is open_
        assert "考试时间已过" in enter(in_province, missed)
        with in_province(SLUG):
            paper = papers_for(the_record(missed))[0].id
        assert missed.client.get(f"/{SLUG}/sitting/paper/{paper}").location.endswith("/sitting")
        refused = missed.post(f"/sitting/paper/{paper}", page="/home", promise="yes")
        assert refused.status_code == 409
        assert "考试时间已过，不能进入" in refused.get_data(as_text=True)


def test_who_may_still_sit_again_is_absent_neither_by_handing_in_nor_by_the_duty(
    application, in_province, over
):
    doctor = actors.ready_doctor(application, in_province, SLUG, next(_serial))
    sat_and_voided(in_province, doctor)
    with in_province(SLUG):
        record, actor = the_record(doctor), Actor("doctor", uuid4())
        other_paper = next(paper for paper in papers_for(record) if paper.subject == "professional")
        sitting = sittings.open_sitting(record, other_paper, by=actor).id
        db.session.commit()
    with over():
        with in_province(SLUG):
            record = the_record(doctor)
            sitting_completion.hand_in_sitting(
                record, sittings.get_sitting(sitting, record, for_update=True), by=actor
            )
            db.session.commit()
        assert actors.record_state(in_province, SLUG, doctor.record_id) == "testing"
        with in_province(SLUG):
            assert doctor.record_id not in sitting_completion._finished_record_ids(UUID(int=0))


def test_the_closing_page_counts_no_paper_that_is_over(application, in_province, over):
    doctor = actors.ready_doctor(application, in_province, SLUG, next(_serial))
    enter(in_province, doctor)
    with in_province(SLUG):
        record, actor = the_record(doctor), Actor("doctor", uuid4())
        first, _ = papers_for(record)
        sitting = sittings.open_sitting(record, first, by=actor)
        sitting_completion.hand_in_sitting(record, sitting, by=actor)
        db.session.commit()
        place = f"/sitting/{sitting.id}/end"
    assert "您还有1份试卷需要完成" in doctor.get(place)
    with over():
        response = doctor.get(place)
        assert "需要完成" not in response
        assert "另有1份试卷考试时间已过，未参加" in response
        assert "全部试卷已完成" not in response
    with in_province(SLUG):
        assert (
            db.session.scalar(
                select(Sitting.id).where(
                    Sitting.assessment_id == doctor.record_id, Sitting.paper_id != first.id
                )
            )
            is None
        )
