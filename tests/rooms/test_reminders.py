"""Reminders: who is told when, once for a doctor, a deadline and a mark, by day alone, and cheaply."""

from datetime import timedelta

import pytest
from freezegun import freeze_time
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.assessments import reminders
from dingkao.assessments.models import Assessment, Reminding
from dingkao.cycles.models import CyclePhase
from dingkao.database.model import db
from dingkao.errors import Invalid
from dingkao.people.models import Notice
from dingkao.tenants import settings
from tests import people
from tests.tenants.statements import heard, without_province

SLUG = "zhejiang"


@pytest.fixture(scope="module")
def doctors(application, in_province):
    return [people.doctor(application, in_province, SLUG, serial) for serial in (400, 401, 402, 403)]


@pytest.fixture
def clean(in_province, doctors):
    """Nobody has been told of anything; every phase ends in 30 days."""

    def set_up(states, **ends):
        with in_province(SLUG):
            db.session.query(Notice).delete()
            db.session.query(Reminding).delete()
            for phase in db.session.scalars(select(CyclePhase)):
                phase.last_day = clock.today() + timedelta(days=ends.get(phase.kind, 30))
            for one, state in zip(doctors, states, strict=True):
                graded = {"performance": "pass", "ethics": "pass"}
                db.session.execute(update(Assessment).where(Assessment.id == one.record_id).values(state=state, **graded))
            db.session.commit()

    return set_up


def day(hours=10, days=0):
    """A moment in Beijing, so many days from today."""
    return freeze_time(f"{clock.today() + timedelta(days=days)} {hours - 8:02d}:00:00")


def told(in_province, someone):
    with in_province(SLUG):
        theirs = select(Notice).where(Notice.account_id == people.account_of(someone.record_id)).order_by(Notice.id)
        return [(row.title, row.body, row.leads) for row in db.session.scalars(theirs)]


def remind(in_province):
    with in_province(SLUG):
        return reminders.remind()


def test_each_doctor_who_has_not_handed_in_is_told_once_a_mark(in_province, doctors, clean):
    clean(("included", "draft", "institution_pending", "institution_returned"), filing=3, review=3)
    with day():
        assert remind(in_province) == 3
        assert remind(in_province) == 0
    included, draft, pending, returned = (told(in_province, one) for one in doctors)
    assert [title for title, _, _ in included] == ["报名即将截止:还有3天"]
    assert "您还没有填报" in included[0][1]
    assert "已保存,尚未提交" in draft[0][1]
    assert "退回" in returned[0][1]
    assert {included[0][2], draft[0][2], returned[0][2]} == {"filing"}
    assert pending == []
    with day(days=1):
        assert remind(in_province) == 0, "the mark 3 has been told, and 2 is none"
    with day(days=2):
        assert remind(in_province) == 3
    with day(days=3):
        assert remind(in_province) == 3
    assert told(in_province, doctors[1])[-1][0] == "报名即将截止:今天是最后一天"
    with day(days=4):
        assert remind(in_province) == 0


def test_who_has_not_sat_is_told_of_the_test(in_province, doctors, clean):
    clean(("ready", "testing", "scored", "draft"), examination=1)
    with day():
        assert remind(in_province) == 2
    assert told(in_province, doctors[0])[0][2] == "sitting"
    assert "试卷没有完成" in told(in_province, doctors[1])[0][1]


@pytest.mark.parametrize(("hour", "count"), [(7, 0), (8, 1), (20, 1), (21, 0), (23, 0)])
def test_nobody_is_woken(in_province, clean, hour, count):
    clean(("draft", "scored", "scored", "scored"), filing=7)
    moment = freeze_time(clock.now().replace(minute=30) - timedelta(hours=clock.beijing(clock.now()).hour - hour))
    with moment:
        left = clock.today()
        with in_province(SLUG):
            db.session.execute(update(CyclePhase).where(CyclePhase.kind == "filing").values(last_day=left + timedelta(days=7)))
            db.session.commit()
        assert remind(in_province) == count


def test_a_round_goes_on_where_it_stopped_and_tells_nobody_twice(in_province, doctors, clean, monkeypatch):
    clean(("draft", "draft", "draft", "draft"), filing=1)
    monkeypatch.setattr(reminders, "BATCH", 1)
    monkeypatch.setattr(reminders, "BATCHES", 3)
    with day():
        assert remind(in_province) == 3
        assert remind(in_province) == 1
        assert remind(in_province) == 0
    assert all(len(told(in_province, one)) == 1 for one in doctors)
    with in_province(SLUG):
        rounds = db.session.scalars(select(Reminding)).all()
        ids = db.session.scalars(select(Notice.id)).all()
    assert [(row.told, row.ended_at is not None) for row in rounds if row.state == "draft"] == [(4, True)]
    assert len(set(ids)) == 4
    assert {one.version for one in ids} == {7}


def test_who_hands_in_between_two_batches_is_spared_and_who_goes_on_is_not_told_twice(in_province, doctors, clean, monkeypatch):
    clean(("draft", "draft", "draft", "included"), filing=1)
    monkeypatch.setattr(reminders, "BATCH", 2)
    monkeypatch.setattr(reminders, "BATCHES", 1)
    with day():
        assert remind(in_province) == 2
        with in_province(SLUG):
            waiting = db.session.scalars(select(Assessment.id).where(Assessment.state == "draft").order_by(Assessment.id.desc())).first()
            db.session.execute(update(Assessment).where(Assessment.id == waiting).values(state="institution_pending"))
            db.session.commit()
        assert remind(in_province) == 1, "the one who had not begun"
        with in_province(SLUG):
            db.session.execute(update(Assessment).where(Assessment.id == doctors[3].record_id).values(state="draft"))
            db.session.commit()
        assert remind(in_province) == 0
    assert len(told(in_province, doctors[3])) == 1


def test_a_deadline_that_was_moved_has_reminders_of_its_own(in_province, doctors, clean):
    clean(("draft", "scored", "scored", "scored"), filing=1)
    with day():
        assert remind(in_province) == 1
        with in_province(SLUG):
            db.session.execute(update(CyclePhase).where(CyclePhase.kind == "filing").values(last_day=clock.today() + timedelta(days=5)))
            db.session.commit()
        assert remind(in_province) == 1
    assert told(in_province, doctors[0])[-1][0] == "报名即将截止:还有5天"


def test_a_province_may_set_other_days_or_none(in_province, clean):
    clean(("draft", "scored", "scored", "scored"), filing=10)
    with in_province(SLUG):
        settings.change("reminder_days", "10", by=None, reason="试")
        with day():
            assert reminders.remind() == 1
        settings.change("reminder_days", "", by=None, reason="试")
        db.session.query(Reminding).delete()
        with day():
            assert reminders.remind() == 0
        settings.change("reminder_days", "7,3,1,0", by=None, reason="试")
        db.session.commit()


@pytest.mark.parametrize(("typed", "kept"), [("7,3,1,0", "7,3,1,0"), (" 1、3 ,7,7 ", "7,3,1"), ("", ""), ("60", "60")])
def test_days_are_kept_in_order(typed, kept):
    assert settings.judged("reminder_days", typed) == kept


@pytest.mark.parametrize("typed", ["-1", "61", "三天", "1.5", "1;2", ",".join("12345678901")])
def test_days_that_are_none_are_refused_with_an_example(typed):
    with pytest.raises(Invalid, match="7,3,1,0"):
        settings.judged("reminder_days", typed)


def test_an_idle_round_asks_little_and_names_the_province(application, in_province, clean):
    clean(("draft", "scored", "scored", "scored"), filing=1)
    with day(), in_province(SLUG), heard(db.engine) as said:
        reminders.remind()
        begun = len(said)
        reminders.remind()
    assert without_province(said) == []
    assert len(said) - begun <= 4
    with in_province(SLUG):
        assert db.session.scalar(select(func.count()).select_from(Notice)) == 1
