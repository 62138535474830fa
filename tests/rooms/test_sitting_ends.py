"""How sittings begin and end: once, within their windows, closed by the duty and not before; who is
absent."""

import threading
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.cycles.cycles import current_cycle
from dingkao.database.base import db
from dingkao.errors import DeadlinePassed
from dingkao.exams import answer_saving, sitting_completion, sittings
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.paper_blueprint import save_paper
from dingkao.exams.tickets import find_ticket, get_or_issue_ticket
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Notice
from tests import actors
from tests.rooms.test_sittings import CODE, SLUG, answer, opened, ready_record, record, set_end, state


@pytest.fixture(scope="module")
def ground(application, in_province, provinces):
    actors.exam_setup(application, in_province, SLUG)


@pytest.fixture(scope="module")
def ready(application, in_province, ground):
    """Make a record that is 待测评."""
    return partial(ready_record, application, in_province)


@pytest.fixture(scope="module")
def url(stack):
    return stack.environment["DATABASE_URL"]


def test_opened_and_handed_in_by_many_at_once_it_is_one_of_each(ready, in_province):
    record_id = ready()
    sitting_ids: list[UUID] = []

    def together(what):
        faults: list[BaseException] = []

        def run():
            try:
                with in_province(SLUG):
                    what()
                    db.session.commit()
            except BaseException as fault:
                faults.append(fault)

        threads = [threading.Thread(target=run) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []

    together(lambda: sitting_ids.append(opened(record_id).id))
    assert len(sitting_ids) == 6
    assert len(set(sitting_ids)) == 1

    def give():
        assessment = record(record_id)
        sitting_completion.hand_in_sitting(
            assessment,
            sittings.get_sitting(sitting_ids[0], assessment, for_update=True),
            by=Actor("doctor", uuid4()),
        )

    together(give)
    with in_province(SLUG):
        verbs = (
            select(JournalEntry.verb, func.count())
            .where(JournalEntry.subject_id.in_((sitting_ids[0], record_id)))
            .group_by(JournalEntry.verb)
        )
        counts = dict(db.session.execute(verbs).all())
    assert (counts["opened"], counts["handed_in"], counts["begin_test"]) == (1, 1, 1)


def test_a_sitting_ends_with_its_minutes_and_never_after_its_paper(ready, in_province):
    record_id, late_id = ready(), ready()
    with in_province(SLUG):
        sitting = opened(record_id)
        paper = db.session.get_one(Paper, (CODE, sitting.paper_id))
        assert sitting.closes_at == sitting.opened_at + timedelta(minutes=paper.minutes)
        paper.closes_at = clock.now() + timedelta(minutes=5)
        db.session.flush()
        assessment = record(late_id)
        assert (
            sittings.open_sitting(assessment, paper, by=Actor("doctor", uuid4())).closes_at == paper.closes_at
        )
        db.session.rollback()


def test_outside_its_window_a_paper_is_not_begun_but_gone_on_with(ready, in_province):
    record_id, other_id = ready(), ready()
    with in_province(SLUG):
        sitting = opened(record_id)
        paper = db.session.get_one(Paper, (CODE, sitting.paper_id))
        opens = paper.opens_at
        for opens_at, closes_at, sentence in (
            (clock.now() + timedelta(hours=1), clock.now() + timedelta(hours=2), "考试尚未开始"),
            (opens, clock.now() - timedelta(seconds=1), "考试时间已过"),
        ):
            paper.opens_at, paper.closes_at = opens_at, closes_at
            db.session.flush()
            with pytest.raises(DeadlinePassed, match=sentence):
                sittings.open_sitting(record(other_id), paper, by=Actor("doctor", uuid4()))
            assert (
                sittings.open_sitting(record(record_id), paper, by=Actor("doctor", uuid4())).id == sitting.id
            )
        db.session.rollback()


def test_the_duty_hands_in_what_is_past_its_grace_and_nothing_else(ready, in_province, url):
    late_id, graced_id, running_id = ready(), ready(), ready()
    with in_province(SLUG):
        sitting_completion.close_overdue()
        late, graced, running = (opened(record_id).id for record_id in (late_id, graced_id, running_id))
        answer_saving.save_answer(url, answer_saving.SaveToken(CODE, late, 1), answer(0, "A", 1))
    set_end(in_province, late, clock.now() - timedelta(seconds=61))
    set_end(in_province, graced, clock.now() - timedelta(seconds=50))
    with in_province(SLUG):
        assert sitting_completion.close_overdue() == 1
    with in_province(SLUG):
        assert sitting_completion.close_overdue() == 0
        sittings_by_id = {
            record_id: db.session.get_one(Sitting, (CODE, record_id)) for record_id in (late, graced, running)
        }
        assert {record_id: sitting.handed_in_by for record_id, sitting in sittings_by_id.items()} == {
            late: "system",
            graced: None,
            running: None,
        }
        account = actors.account_of(late_id)
        assert db.session.scalars(
            select(Notice.title).where(Notice.account_id == account, Notice.title.contains("自动交卷"))
        ).all() == ["试卷已到时自动交卷"]
    assert state(in_province, late_id) == "testing"


@pytest.fixture(scope="module")
def dental_papers(in_province, ground):
    with in_province(SLUG):
        for subject in ("common", "professional"):
            save_paper(
                current_cycle(),
                subject=subject,
                category="dental",
                level="physician",
                counts={"A1": 2},
                minutes=30,
                opens_at=clock.now() - timedelta(days=2),
                closes_at=clock.now() + timedelta(days=2),
                by=TERMINAL_ACTOR,
            )
        db.session.commit()


@pytest.fixture
def dental(in_province, dental_papers):
    """End papers of 口腔, whose windows a test may move without touching 临床's."""

    def end(*subjects, ago=timedelta(minutes=2)):
        with in_province(SLUG):
            paper_conditions = (Paper.category == "dental", Paper.subject.in_(subjects))
            db.session.execute(update(Paper).where(*paper_conditions).values(closes_at=clock.now() - ago))
            db.session.commit()

    yield end
    with in_province(SLUG):
        db.session.execute(
            update(Paper).where(Paper.category == "dental").values(closes_at=clock.now() + timedelta(days=2))
        )
        db.session.commit()


DENTAL = {"执业类别": "口腔", "执业范围": "口腔专业"}


def test_one_paper_sat_and_the_other_never_begun_is_an_absence_when_its_window_is_over(
    ready, dental, in_province
):
    record_id = ready(**DENTAL)
    with in_province(SLUG):
        sitting = opened(record_id)
        sitting_completion.hand_in_sitting(record(record_id), sitting, by=Actor("doctor", uuid4()))
        db.session.commit()
        sitting_completion.close_overdue()
    assert state(in_province, record_id) == "testing"
    dental("professional", ago=timedelta(seconds=30))
    with in_province(SLUG):
        sitting_completion.close_overdue()
    assert state(in_province, record_id) == "testing"
    dental("professional")
    with in_province(SLUG):
        sitting_completion.close_overdue()
        sitting_completion.close_overdue()
        account = actors.account_of(record_id)
        assert (
            len(
                db.session.scalars(
                    select(Notice).where(Notice.account_id == account, Notice.title == "缺考")
                ).all()
            )
            == 1
        )
    assert state(in_province, record_id) == "absent"


def test_while_one_window_is_open_or_a_sitting_runs_nobody_is_absent(ready, dental, in_province):
    waiting_id, sits, simple = ready(**DENTAL), ready(**DENTAL), ready("simple", **DENTAL)
    with in_province(SLUG):
        running = opened(sits, "professional").id
    dental("common")
    with in_province(SLUG):
        sitting_completion.close_overdue()
    assert [state(in_province, record_id) for record_id in (waiting_id, sits, simple)] == [
        "ready",
        "testing",
        "absent",
    ]
    dental("common", "professional")
    with in_province(SLUG):
        sitting_completion.close_overdue()
    assert [state(in_province, record_id) for record_id in (waiting_id, sits)] == ["absent", "testing"]
    set_end(in_province, running, clock.now() - timedelta(minutes=2))
    with in_province(SLUG):
        sitting_completion.close_overdue()
    assert state(in_province, sits) == "absent"


def test_many_who_wait_hide_nobody_who_is_done(ready, dental, in_province, monkeypatch):
    monkeypatch.setattr(sitting_completion, "BATCH_SIZE", 2)
    waiting = [ready() for _ in range(3)]
    done_ids = [ready(**DENTAL) for _ in range(5)]
    dental("common", "professional")
    with in_province(SLUG):
        assert sitting_completion.close_overdue() >= 5
    assert {state(in_province, record_id) for record_id in done_ids} == {"absent"}
    assert {state(in_province, record_id) for record_id in waiting} == {"ready"}


def test_two_duties_at_once_close_each_record_once(ready, dental, in_province):
    done_ids = [ready(**DENTAL) for _ in range(6)]
    dental("common", "professional")
    faults: list[BaseException] = []

    def duty():
        try:
            with in_province(SLUG):
                sitting_completion.close_overdue()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=duty) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with in_province(SLUG):
        verbs = (
            select(func.count())
            .select_from(JournalEntry)
            .where(JournalEntry.subject_id.in_(done_ids), JournalEntry.verb == "miss_test")
        )
        assert db.session.scalar(verbs) == len(done_ids)


def test_a_ticket_names_nobody_is_issued_once_and_checks(ready, in_province):
    record_id = ready()
    with in_province(SLUG):
        assessment = record(record_id)
        ticket = find_ticket(assessment)
        assert ticket is not None
        assert get_or_issue_ticket(assessment).id == ticket.id
        year = current_cycle().ends_on.year % 100
        assert ticket.number.startswith(f"{CODE}{year:02d}")
        assert len(ticket.number) == 12
        digits = [int(digit) for digit in reversed(ticket.number)]
        assert (
            sum(digit if place % 2 == 0 else sum(divmod(digit * 2, 10)) for place, digit in enumerate(digits))
            % 10
            == 0
        )
