"""Cycles: one at a time; nobody's record is buried by one that is opened; what was mistyped can be corrected
while nobody is in it."""

import re
import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, select, update

from dingkao import clock
from dingkao.assessments import cycle_start
from dingkao.assessments.current_records import ACTIVE_STATES, cycle_of_doctor
from dingkao.assessments.enrolment import enrol, include
from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import current_cycle, last_day, open_cycle
from dingkao.cycles.models import PHASES, Cycle, CyclePhase
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, InvalidState
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.tickets import find_ticket
from dingkao.filings.models import NoticeReading
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.models import Job
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people.scopes import WHOLE_PROVINCE
from tests import actors
from tests.blueprints.signed_in_client import post_form, signed_in_client
from tests.tenants.statements import captured_statements

SLUG = "hainan"
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    actors.exam_setup(application, in_province, SLUG)


@pytest.fixture(scope="module")
def admin(application, in_province, ground):
    return signed_in_client(application, in_province, SLUG, "province_admin")


@pytest.fixture
def buried(in_province, ground):
    """A way to open another cycle beside the running one, as older releases let everyone do; taken away
    afterwards."""
    cycle_ids = []

    def bury(first=0, days=90, starts=1):
        with in_province(SLUG):
            today = clock.today()
            cycle = Cycle(
                id=new_id(),
                label=f"又一个周期{len(cycle_ids)}",
                starts_on=today - timedelta(days=starts),
                ends_on=today + timedelta(days=900),
                years=3,
            )
            db.session.add(cycle)
            db.session.flush()
            for kind in PHASES:
                db.session.add(
                    CyclePhase(
                        cycle_id=cycle.id,
                        kind=kind,
                        first_day=today + timedelta(days=first),
                        last_day=today + timedelta(days=first + days),
                    )
                )
            db.session.flush()
            enrol(cycle)
            db.session.commit()
            cycle_ids.append(cycle.id)
            return cycle.id

    yield bury
    with in_province(SLUG):
        for model in (NoticeReading, Assessment, CyclePhase, Cycle):
            column = Cycle.id if model is Cycle else model.cycle_id
            for cycle_id in cycle_ids:
                db.session.execute(delete(model).where(column == cycle_id))
        db.session.commit()


@pytest.fixture
def over(in_province, ground):
    """A way to put the running cycle's phases into the past; put back afterwards."""
    with in_province(SLUG):
        days = {
            cycle_phase.id: (cycle_phase.first_day, cycle_phase.last_day)
            for cycle_phase in db.session.scalars(select(CyclePhase))
        }

    def end():
        with in_province(SLUG):
            past = clock.today() - timedelta(days=10)
            db.session.execute(update(CyclePhase).values(first_day=past - timedelta(days=100), last_day=past))
            db.session.commit()

    yield end
    with in_province(SLUG):
        for cycle_phase in db.session.scalars(select(CyclePhase).where(CyclePhase.id.in_(days))):
            cycle_phase.first_day, cycle_phase.last_day = days[cycle_phase.id]
        db.session.commit()


def form(label, first="2026-01-01", last="2090-12-31"):
    days = {f"{kind}_{end}": day for kind in PHASES for end, day in (("first", first), ("last", last))}
    return {"label": label, "starts_on": "2025-01-01", "ends_on": "2091-12-31", "years": "3"} | days


def sitting_doctor(application, in_province):
    """A doctor in the middle of a paper, with the sitting's id."""
    doctor = actors.ready_doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        number = find_ticket(
            db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
        ).number
    name = re.search(r"<h2>(医师.)</h2>", doctor.get("/home"))[1]
    assert doctor.post("/sitting", name=name, number=number, consent="yes").status_code == 303
    paper = re.search(r"/sitting/paper/([0-9a-f-]{36})", doctor.get("/sitting"))[1]
    doctor.post(f"/sitting/paper/{paper}", promise="yes")
    return doctor, doctor.client.get(f"/{SLUG}/sitting/paper/{paper}").location.rsplit("/", 1)[1]


def test_a_doctor_in_mid_exam_is_not_buried_by_another_cycle(application, in_province, ground, buried):
    doctor, sitting = sitting_doctor(application, in_province)
    with in_province(SLUG):
        running = current_cycle().id
    for first, starts in ((0, 1), (-30, 1), (30, -30)):
        buried(first, starts=starts)
        with in_province(SLUG):
            assert current_cycle().id == running, "the console was led to another cycle"
        home = doctor.get("/home")
        assert "您已开始测评" in home
        assert "未被主要执业机构纳入" not in home
        assert doctor.client.get(f"/{SLUG}/sitting/{sitting}").status_code == 200
        assert "/sitting/paper/" in doctor.get("/sitting")
        assert doctor.client.get(f"/{SLUG}/sitting/{sitting}/standing").status_code == 200
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
        assert cycle_of_doctor(doctor.doctor_id).id == record.cycle_id
    assert doctor.post(f"/sitting/{sitting}/hand-in", page=f"/sitting/{sitting}").status_code == 303
    with in_province(SLUG):
        assert db.session.scalars(select(Sitting.handed_in_at).where(Sitting.id == sitting)).one() is not None


@pytest.mark.parametrize("state", ACTIVE_STATES)
def test_whatever_is_under_way_is_what_its_doctor_and_the_console_see(
    application, in_province, admin, buried, over, state
):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    doctor.post("/filing/notice")
    with in_province(SLUG):
        cycle_id = db.session.scalars(
            select(Assessment.cycle_id).where(Assessment.id == doctor.record_id)
        ).one()
        values = {
            "state": state,
            "performance": "pass",
            "ethics": "pass",
            "competence": "pass",
            "procedure": "general",
        }
        db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(values))
        db.session.commit()
    over()
    other_cycle_id = buried()
    with in_province(SLUG):
        assert cycle_of_doctor(doctor.doctor_id).id == cycle_id
        assert current_cycle().id == other_cycle_id
    assert "未被主要执业机构纳入" not in doctor.get("/home")
    text = admin.get(f"/{SLUG}/office/doctors/{doctor.doctor_id}").get_data(as_text=True)
    assert "未纳入" not in text
    with in_province(SLUG):
        db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(state="failed"))
        db.session.commit()


def test_a_result_stays_in_sight_until_the_next_cycle_takes_its_doctor_in(
    application, in_province, ground, buried, over
):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    doctor.post("/filing/notice")
    with in_province(SLUG):
        values = {
            "state": "failed",
            "performance": "pass",
            "ethics": "pass",
            "competence": "fail",
            "procedure": "general",
        }
        db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(values))
        db.session.commit()
    over()
    buried(first=20)
    assert "考核结果已发布" in doctor.get("/home")
    assert "考核结果：不合格" in doctor.get("/result")
    other_cycle_id = buried(first=0)
    with in_province(SLUG):
        assert cycle_of_doctor(doctor.doctor_id).id == other_cycle_id
    doctor.post("/filing/notice")
    home = doctor.get("/home")
    assert "未被主要执业机构纳入本周期考核" in home
    assert "结果发布后开放" not in home, "the result of the cycle before can't be reached"
    earlier_result = re.search(r'href="/hainan(/result/[0-9a-f-]+)"', doctor.get("/result"))[1]
    assert "考核结果：不合格" in doctor.get(earlier_result)


def test_another_cycle_cannot_begin_while_one_is_unfinished(application, in_province, admin, over):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    page = f"/{SLUG}/office/cycle"
    with in_province(SLUG):
        db.session.execute(
            update(Assessment)
            .where(Assessment.state.in_(ACTIVE_STATES))
            .values(state="failed", performance="fail", ethics="fail")
        )
        running = current_cycle()
        day = last_day(running)
        db.session.commit()
    text = admin.get(page).get_data(as_text=True)
    assert f"还没有结束，不能开始新的周期：各阶段到{day:%Y年%m月%d日}才结束。" in text
    assert '<form method="post" novalidate' not in text

    def refused():
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text)[1]
        answer = admin.post(page, data={"csrf_token": token} | form("下一周期"))
        assert answer.status_code == 422
        with in_province(SLUG):
            assert db.session.scalar(select(func.count()).select_from(Cycle)) == 1
        return answer.get_data(as_text=True)

    assert "还没有结束" in refused()
    over()
    for state, word in (
        ("testing", "测评中1人"),
        ("scored", "已交卷待划线1人"),
        ("confirming", "待发布1人"),
        ("institution_pending", "待机构审核1人"),
    ):
        with in_province(SLUG):
            db.session.execute(
                update(Assessment).where(Assessment.id == doctor.record_id).values(state=state)
            )
            db.session.commit()
        assert f"还有医师{word}。" in refused()
    with in_province(SLUG):
        db.session.execute(update(CyclePhase).values(last_day=clock.today()))
        with pytest.raises(InvalidState):
            open_cycle("再一个", clock.today(), clock.today() + timedelta(days=9), {}, by=TERMINAL_ACTOR)


def test_when_it_is_finished_the_next_begins_and_a_job_makes_the_records(
    application, in_province, admin, over, monkeypatch
):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        db.session.execute(
            update(Assessment)
            .where(Assessment.state.in_(ACTIVE_STATES))
            .values(state="failed", performance="fail", ethics="fail")
        )
        label = db.session.scalars(select(Cycle.label)).one()
        db.session.commit()
    over()
    monkeypatch.setattr("dingkao.assessments.enrolment.ENROL_BATCH_SIZE", 2)
    page = f"/{SLUG}/office/cycle"
    assert "请换一个名称" in post_form(admin, page, **form(label)).get_data(as_text=True)
    answers = []

    def press(number):
        client = application.test_client()
        for name in (f"dk-{SLUG}", f"dk-{SLUG}-form"):
            client.set_cookie(name, admin.get_cookie(name).value)
        answers.append(post_form(client, page, **form(f"下一周期{number}")).status_code)

    threads = [threading.Thread(target=press, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert sorted(answers) == [303, 422, 422], "two who press at once opened two cycles"
        assert "建立考核名单" in admin.get(page).get_data(as_text=True)
        actors.run_pending_jobs(application, in_province, SLUG)
        with in_province(SLUG):
            cycle = current_cycle()
            assert cycle.label.startswith("下一周期")
            doctors = db.session.scalar(select(func.count(Assessment.doctor_id.distinct())))
            states = db.session.scalars(select(Assessment.state).where(Assessment.cycle_id == cycle.id)).all()
            assert states == ["not_included"] * doctors
            job = db.session.scalars(select(Job).where(Job.name == "enrol_all")).one()
            assert (job.state, job.result["enrolled"]) == ("done", doctors)
            second_job_id = enqueueing.enqueue("enrol_all", "再一次", {"cycle": str(cycle.id)}, by=None).id
            db.session.commit()
            worker.run_turn(second_job_id)
            assert db.session.scalars(select(Job.result).where(Job.id == second_job_id)).one() == {
                "enrolled": 0
            }
        assert (
            post_form(
                admin, page, **(form("更正的周期") | {"cycle": str(cycle.id), "filing_last": "2027-01-31"})
            ).status_code
            == 303
        )
        with in_province(SLUG):
            corrected_cycle = db.session.scalars(select(Cycle).where(Cycle.id == cycle.id)).one()
            assert corrected_cycle.label == "更正的周期"
            days = db.session.scalars(
                select(CyclePhase.last_day).where(
                    CyclePhase.cycle_id == cycle.id, CyclePhase.kind == "filing"
                )
            ).one()
            assert f"{days}" == "2027-01-31"
            with pytest.raises(InvalidInput):
                cycle_start.correct_empty_cycle(
                    corrected_cycle,
                    label,
                    corrected_cycle.starts_on,
                    corrected_cycle.ends_on,
                    {},
                    years=3,
                    by=TERMINAL_ACTOR,
                )
            db.session.execute(
                update(Assessment)
                .where(Assessment.doctor_id == doctor.doctor_id, Assessment.cycle_id == cycle.id)
                .values(state="included")
            )
            assert not cycle_start.can_correct_cycle(corrected_cycle)
            with pytest.raises(InvalidState):
                cycle_start.correct_empty_cycle(
                    corrected_cycle,
                    "另一个名称",
                    corrected_cycle.starts_on,
                    corrected_cycle.ends_on,
                    {},
                    years=3,
                    by=TERMINAL_ACTOR,
                )
    finally:
        with in_province(SLUG):
            for cycle_id in db.session.scalars(select(Cycle.id).where(Cycle.label != label)).all():
                for model in (Assessment, CyclePhase):
                    db.session.execute(delete(model).where(model.cycle_id == cycle_id))
                db.session.execute(delete(Cycle).where(Cycle.id == cycle_id))
            db.session.commit()


def test_enrolling_takes_doctors_by_chunks_and_makes_nobody_two_records(
    in_province, ground, application, monkeypatch
):
    monkeypatch.setattr("dingkao.assessments.enrolment.ENROL_BATCH_SIZE", 2)
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        cycle = current_cycle()
        record_count = db.session.scalar(
            select(func.count()).select_from(Assessment).where(Assessment.cycle_id == cycle.id)
        )
        assert enrol(cycle) == 0
        db.session.execute(delete(Assessment).where(Assessment.id == doctor.record_id))
        assert enrol(cycle) == 1
        assert enrol(cycle) == 0
        assert (
            db.session.scalar(
                select(func.count()).select_from(Assessment).where(Assessment.cycle_id == cycle.id)
            )
            == record_count
        )
        assert uuid4() not in set(db.session.scalars(select(Assessment.id)))


def test_including_asks_little_for_each_and_never_sends_them_one_by_one(application, in_province, ground):
    ids = [
        actors.signed_in_doctor(application, in_province, SLUG, next(_serial), included=False).record_id
        for _ in range(6)
    ]
    with in_province(SLUG), captured_statements(db.engine) as statements:
        outcome = include(current_cycle(), ids, by=actors.make_actor("province_admin"), grant=WHOLE_PROVINCE)
        db.session.commit()
    assert (outcome.included_count, outcome.skipped) == (6, [])
    assert len(statements) <= len(ids) + 12, (
        "each record of a chunk sends what the session holds back, or asks for its own institution"
    )
