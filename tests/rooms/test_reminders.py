"""Reminders: who is told when, once for a doctor, a deadline and a mark, by day alone, and cheaply."""

from datetime import UTC, datetime, time, timedelta

import pytest
from freezegun import freeze_time
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.assessments import reminders
from dingkao.assessments.models import Assessment, ReminderRound
from dingkao.cycles.models import CyclePhase
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput
from dingkao.exams.models.monitoring_models import IntegrityCase
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.jobs import chunks, control, worker
from dingkao.jobs.models import Job
from dingkao.people.models import Notice
from dingkao.tenants import settings
from tests import actors
from tests.tenants.statements import captured_statements, statements_without_tenant

SLUG = "zhejiang"


@pytest.fixture(scope="module")
def doctors(application, in_province):
    return [
        actors.signed_in_doctor(application, in_province, SLUG, serial) for serial in (400, 401, 402, 403)
    ]


@pytest.fixture
def clean(in_province, doctors):
    """Nobody has been told of anything; every phase ends in 30 days."""

    def set_up(states, **ends):
        with in_province(SLUG):
            db.session.query(Notice).delete()
            db.session.query(ReminderRound).delete()
            db.session.query(Job).delete()
            for phase in db.session.scalars(select(CyclePhase)):
                phase.last_day = clock.today() + timedelta(days=ends.get(phase.kind, 30))
            for doctor, state in zip(doctors, states, strict=True):
                graded = {"performance": "pass", "ethics": "pass"}
                db.session.execute(
                    update(Assessment).where(Assessment.id == doctor.record_id).values(state=state, **graded)
                )
            db.session.commit()

    return set_up


def day(hours=10, days=0):
    """A moment in Beijing, so many days from today."""
    return freeze_time(f"{clock.today() + timedelta(days=days)} {hours - 8:02d}:00:00")


def told(in_province, someone):
    with in_province(SLUG):
        query = (
            select(Notice)
            .where(Notice.account_id == actors.account_of(someone.record_id))
            .order_by(Notice.id)
        )
        return [(notice.title, notice.body, notice.target) for notice in db.session.scalars(query)]


def remind(in_province, turns=50):
    """The duty, and so many turns of what it asked for, as a worker would take them; how many were told."""
    with in_province(SLUG):
        notified_before = db.session.scalar(select(func.coalesce(func.sum(ReminderRound.notified_count), 0)))
        reminders.start_due_rounds()
        db.session.commit()
    for _ in range(turns):
        with in_province(SLUG):
            waiting = (
                select(Job)
                .where(Job.name == reminders.JOB_NAME, Job.state.in_(("waiting", "running")))
                .order_by(Job.id)
                .limit(1)
            )
            job = db.session.scalar(waiting)
            if job is None:
                break
            worker.run_turn(job.id)
    with in_province(SLUG):
        return (
            db.session.scalar(select(func.coalesce(func.sum(ReminderRound.notified_count), 0)))
            - notified_before
        )


def test_each_doctor_who_has_not_handed_in_is_told_once_a_mark(in_province, doctors, clean):
    clean(("included", "draft", "institution_pending", "institution_returned"), filing=3, review=3)
    with day():
        assert remind(in_province) == 3
        assert remind(in_province) == 0
    included, draft, pending, returned = (told(in_province, doctor) for doctor in doctors)
    assert [title for title, _, _ in included] == ["报名即将截止：还有3天"]
    assert "您还没有填报" in included[0][1]
    assert "已保存，尚未提交" in draft[0][1]
    assert "退回" in returned[0][1]
    assert {included[0][2], draft[0][2], returned[0][2]} == {"filing"}
    assert pending == []
    with day(days=1):
        assert remind(in_province) == 0, "the mark 3 has been told, and 2 is none"
    with day(days=2):
        assert remind(in_province) == 3
    with day(days=3):
        assert remind(in_province) == 3
    assert told(in_province, doctors[1])[-1][0] == "报名即将截止：今天是最后一天"
    with day(days=4):
        assert remind(in_province) == 0


def test_who_has_not_sat_is_told_of_the_test(in_province, doctors, clean):
    clean(("ready", "testing", "scored", "draft"), examination=1)
    with day():
        assert remind(in_province) == 2
    assert told(in_province, doctors[0])[0][2] == "sitting"
    assert "试卷没有完成" in told(in_province, doctors[1])[0][1]


@pytest.fixture
def resitter(application, in_province, doctors):
    """Make one of the doctors sit every paper of 一般程序, and have the first voided with leave to sit again
    until a day."""

    def made(someone, days, *, all_sat=True):
        with in_province(SLUG):
            values = {
                "seed": 0,
                "layout": [],
                "opened_at": clock.now(),
                "closes_at": clock.now(),
                "handed_in_at": clock.now(),
            }
            papers = db.session.scalars(select(Paper.id).order_by(Paper.subject).limit(2)).all()
            for paper in papers[: 2 if all_sat else 1]:
                sitting = Sitting(
                    id=new_id(),
                    assessment_id=someone.record_id,
                    paper_id=paper,
                    handed_in_by="doctor",
                    score_tenths=0,
                    **values,
                )
                sitting.voided_at = clock.now() if paper == papers[0] else None
                db.session.add(sitting)
                db.session.flush()
                if sitting.voided_at:
                    closes_at = datetime.combine(clock.today() + timedelta(days=days), time(6), UTC)
                    shared_values = {
                        "sitting_id": sitting.id,
                        "assessment_id": someone.record_id,
                        "reason": "试",
                        "opened_by": new_id(),
                    }
                    case = {
                        "state": "voided",
                        "outcome": "resit",
                        "resit_until": closes_at,
                        "heard_until": clock.now(),
                    }
                    db.session.add(IntegrityCase(id=new_id(), **shared_values, **case))
            db.session.commit()

    with in_province(SLUG):
        actors.demonstration_bank(in_province, SLUG)
    actors.open_papers(in_province, SLUG)
    yield made
    with in_province(SLUG):
        db.session.query(IntegrityCase).delete()
        db.session.query(Sitting).delete()
        db.session.commit()


def test_who_sits_a_paper_again_is_told_of_the_own_last_day(in_province, doctors, clean, resitter):
    clean(("ready", "ready", "testing", "ready"), examination=1)
    resitter(doctors[0], 3)
    resitter(doctors[1], 3, all_sat=False)
    resitter(doctors[2], 1)
    with day():
        remind(in_province)
    ends = {days: f"{clock.today() + timedelta(days=days):%Y年%m月%d日}" for days in (1, 3)}
    [(title, body, leads)] = told(in_province, doctors[0])
    assert (title, leads) == ("重考即将截止：还有3天", "sitting")
    assert f"重考将于{ends[3]}截止" in body
    assert ends[1] not in body
    notices = told(in_province, doctors[1])
    assert sorted(title for title, _, _ in notices) == ["测评即将截止：还有1天", "重考即将截止：还有3天"], (
        "another paper ends with the phase"
    )
    for someone in doctors[2:]:
        assert [title for title, _, _ in told(in_province, someone)] == ["测评即将截止：还有1天"], (
            "the later of both days counts"
        )
    with day(days=2):
        assert remind(in_province) == 2, "the phase is over, and their own day near"
    assert told(in_province, doctors[0])[-1][0] == "重考即将截止：还有1天"


@pytest.mark.parametrize(("hour", "count"), [(7, 0), (8, 1), (20, 1), (21, 0), (23, 0)])
def test_nobody_is_woken(in_province, clean, hour, count):
    clean(("draft", "scored", "scored", "scored"), filing=7)
    moment = freeze_time(
        clock.now().replace(minute=30) - timedelta(hours=clock.to_beijing(clock.now()).hour - hour)
    )
    with moment:
        last_day = clock.today()
        with in_province(SLUG):
            db.session.execute(
                update(CyclePhase)
                .where(CyclePhase.kind == "filing")
                .values(last_day=last_day + timedelta(days=7))
            )
            db.session.commit()
        assert remind(in_province) == count


def test_a_round_goes_on_where_it_stopped_and_tells_nobody_twice(in_province, doctors, clean, monkeypatch):
    clean(("draft", "draft", "draft", "draft"), filing=1)
    monkeypatch.setattr(reminders, "BATCH_SIZE", 1)
    monkeypatch.setattr(chunks, "MAX_TURN_SECONDS", 0.0)
    apply_chunk, broken = chunks.apply_chunk, []

    def break_off(reminder_round, chunk):  # each chunk once, before it is committed
        broken.append(reminder_round.id)
        if len(broken) % 2:
            raise ZeroDivisionError
        apply_chunk(reminder_round, chunk)

    monkeypatch.setattr(chunks, "apply_chunk", break_off)
    with day():
        assert remind(in_province, 6) == 3
        assert remind(in_province) == 1
        assert remind(in_province) == 0
    assert all(len(told(in_province, doctor)) == 1 for doctor in doctors)
    with in_province(SLUG):
        rounds = db.session.scalars(select(ReminderRound)).all()
        ids = db.session.scalars(select(Notice.id)).all()
    assert [
        (reminder_round.notified_count, reminder_round.ended_at is not None)
        for reminder_round in rounds
        if reminder_round.state == "draft"
    ] == [(4, True)]
    assert len(set(ids)) == 4
    assert {notice_id.version for notice_id in ids} == {7}


def test_who_hands_in_between_two_batches_is_spared_and_who_goes_on_is_not_told_twice(
    in_province, doctors, clean, monkeypatch
):
    clean(("draft", "draft", "draft", "included"), filing=1)
    monkeypatch.setattr(reminders, "BATCH_SIZE", 2)
    monkeypatch.setattr(chunks, "MAX_TURN_SECONDS", 0.0)
    with day():
        assert remind(in_province, 1) == 2
        with in_province(SLUG):
            waiting = db.session.scalars(
                select(Assessment.id).where(Assessment.state == "draft").order_by(Assessment.id.desc())
            ).first()
            db.session.execute(
                update(Assessment).where(Assessment.id == waiting).values(state="institution_pending")
            )
            db.session.commit()
        assert remind(in_province) == 1, "the one who had not begun"
        with in_province(SLUG):
            db.session.execute(
                update(Assessment).where(Assessment.id == doctors[3].record_id).values(state="draft")
            )
            db.session.commit()
        assert remind(in_province) == 0
    assert len(told(in_province, doctors[3])) == 1


def test_a_round_that_comes_later_waits_for_the_one_before_and_one_that_was_cancelled_tells_nobody(
    in_province, doctors, clean, monkeypatch
):
    clean(("draft", "draft", "included", "included"), filing=1)
    monkeypatch.setattr(reminders, "BATCH_SIZE", 1)
    monkeypatch.setattr(chunks, "MAX_TURN_SECONDS", 0.0)
    with day():
        assert remind(in_province, 0) == 0
        with in_province(SLUG):
            first, second = db.session.scalars(
                select(Job).where(Job.name == reminders.JOB_NAME).order_by(Job.id).limit(2)
            )
            worker.run_turn(second.id)
            second = db.session.scalars(
                select(Job).where(Job.id == second.id).execution_options(populate_existing=True)
            ).one()
            assert (second.state, second.sentence) == ("waiting", "前一批提醒发完后自动继续。")
            worker.run_turn(first.id)
            job = db.session.scalars(
                select(Job)
                .where(Job.id == first.id)
                .with_for_update()
                .execution_options(populate_existing=True)
            ).one()
            control.request_action(job, "cancel")
            db.session.commit()
        assert remind(in_province) == 2
    assert [len(told(in_province, doctor)) for doctor in doctors] in ([1, 0, 1, 1], [0, 1, 1, 1])


def test_by_night_a_round_waits_for_the_morning(in_province, doctors, clean, monkeypatch):
    clean(("draft", "draft", "scored", "scored"), filing=3)
    monkeypatch.setattr(reminders, "BATCH_SIZE", 1)
    monkeypatch.setattr(chunks, "MAX_TURN_SECONDS", 0.0)
    with day(20):
        assert remind(in_province, 1) == 1
    with day(21):
        assert remind(in_province) == 0
    with in_province(SLUG):
        assert db.session.scalars(select(Job.sentence).where(Job.state == "waiting")).all() == [
            "夜间不打扰医师，8点后自动继续。"
        ]
    with day(8):
        assert remind(in_province) == 1


def test_a_deadline_that_was_moved_has_reminders_of_its_own(in_province, doctors, clean):
    clean(("draft", "scored", "scored", "scored"), filing=1)
    with day():
        assert remind(in_province) == 1
        with in_province(SLUG):
            db.session.execute(
                update(CyclePhase)
                .where(CyclePhase.kind == "filing")
                .values(last_day=clock.today() + timedelta(days=5))
            )
            db.session.commit()
        assert remind(in_province) == 1
    assert told(in_province, doctors[0])[-1][0] == "报名即将截止：还有5天"


def test_a_province_may_set_other_days_or_none(in_province, clean):
    clean(("draft", "scored", "scored", "scored"), filing=10)
    with in_province(SLUG):
        settings.change("reminder_days", "10", by=None, reason="试")
        db.session.commit()
    with day():
        assert remind(in_province) == 1
    with in_province(SLUG):
        settings.change("reminder_days", "", by=None, reason="试")
        db.session.query(ReminderRound).delete()
        with day():
            assert reminders.start_due_rounds() == 0
        settings.change("reminder_days", "7,3,1,0", by=None, reason="试")
        db.session.commit()


@pytest.mark.parametrize(
    ("typed", "kept"), [("7,3,1,0", "7,3,1,0"), (" 1、3 ,7,7 ", "7,3,1"), ("", ""), ("60", "60")]
)
def test_days_are_kept_in_order(typed, kept):
    assert settings.validate_value("reminder_days", typed) == kept


@pytest.mark.parametrize("typed", ["-1", "61", "三天", "1.5", "1;2", ",".join("12345678901")])
def test_days_that_are_none_are_refused_with_an_example(typed):
    with pytest.raises(InvalidInput, match="7,3,1,0"):
        settings.validate_value("reminder_days", typed)


def test_an_idle_round_asks_little_and_names_the_province(application, in_province, clean):
    clean(("draft", "scored", "scored", "scored"), filing=1)
    with day(), in_province(SLUG), captured_statements(db.engine) as statements:
        reminders.start_due_rounds()
        count = len(statements)
        reminders.start_due_rounds()
        idle = len(statements) - count
        db.session.commit()
        worker.run_turn(
            db.session.scalars(
                select(Job.id).where(Job.name == reminders.JOB_NAME).order_by(Job.id).limit(1)
            ).one()
        )
    assert statements_without_tenant(statements) == []
    assert idle <= 4
    with in_province(SLUG):
        assert db.session.scalar(select(func.count()).select_from(Notice)) == 1
