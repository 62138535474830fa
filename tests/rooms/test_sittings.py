"""The sitting's rules by themselves: marking, the one statement that saves, what runs at once, what the duty closes and what it leaves."""

import threading
import time
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.errors import Late, NotAllowed, NotFound
from dingkao.exams import saving, sittings
from dingkao.exams.marking import right, score_tenths
from dingkao.exams.models import Paper, Sitting, SittingAnswer
from dingkao.exams.papers import make_paper, papers_for
from dingkao.exams.tickets import issue_ticket, ticket_of
from dingkao.journal.models import JournalEntry
from dingkao.journal.writing import TERMINAL, Actor
from dingkao.people.models import Notice
from tests import people

SLUG, CODE = "hubei", 42
LETTERS = st.sets(st.sampled_from("ABCDE"), max_size=5).map(lambda chosen: "".join(sorted(chosen)))
_serial = people.serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province, provinces):
    people.exam(application, in_province, SLUG)


@pytest.fixture(scope="module")
def ready(application, in_province, ground):
    """Make a record that is 待测评."""

    def make(procedure="general", **cells):
        doctor = people.doctor(application, in_province, SLUG, next(_serial), **cells)
        people.bring_to(in_province, doctor, "ready", procedure=procedure)
        return doctor.record_id

    return make


@pytest.fixture(scope="module")
def url(stack):
    return stack.environment["DATABASE_URL"]


@pytest.fixture(scope="module")
def sat(ready, in_province):
    """A sitting that is open, of a record of its own."""

    def make():
        record_id = ready()
        with in_province(SLUG):
            return opened(record_id).id

    return make


def record(record_id):
    return db.session.scalars(select(Assessment).where(Assessment.id == record_id).with_for_update()).one()


def opened(record_id, subject="common"):
    row = record(record_id)
    paper = next(one for one in papers_for(row) if one.subject == subject)
    sitting = sittings.open_sitting(row, paper, by=Actor("doctor", uuid4()))
    db.session.commit()
    return sitting


def answer(position, letters, sequence, tapped=None):
    return {"position": position, "letters": letters, "sequence": sequence, "tapped": tapped}


def kept(in_province, sitting_id):
    with in_province(SLUG):
        rows = db.session.scalars(select(SittingAnswer).where(SittingAnswer.sitting_id == sitting_id))
        return {row.position: (row.letters, row.sequence) for row in rows}


def set_end(in_province, sitting_id, end):
    with in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == sitting_id).values(closes_at=end))
        db.session.commit()


def state(in_province, record_id):
    return people.state_of(in_province, SLUG, record_id)


@given(LETTERS, LETTERS)
def test_an_answer_is_right_when_it_is_the_key_and_nothing_more_or_less(key, letters):
    assert right(key, letters) is (letters == key and key != "")
    assert right(key, letters[::-1]) is right(key, letters)


@given(st.lists(LETTERS.filter(bool), min_size=1, max_size=60), st.dictionaries(st.integers(-2, 70), LETTERS, max_size=70))
def test_a_score_is_the_share_that_is_right_to_the_nearest_tenth(keys, answers):
    points = sum(answers.get(position) == key for position, key in enumerate(keys))
    score = score_tenths(keys, answers)
    assert abs(score * len(keys) - 1000 * points) * 2 <= len(keys)
    assert (score == 1000) is (points == len(keys))
    better = answers | {0: keys[0]}
    assert score_tenths(keys, better) >= score


def test_a_paper_without_questions_is_not_marked():
    with pytest.raises(ValueError, match="without questions"):
        score_tenths([], {})


@pytest.fixture(scope="module")
def numbered(sat):
    """One open sitting for many examples, and the last number used in it."""
    return {"sitting": sat(), "last": 0}


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_in_any_order_the_newest_of_each_question_stays(numbered, in_province, url, data):
    sitting_id, start = numbered["sitting"], numbered["last"]
    taps = [
        answer(position, letters, start + number)
        for number, (position, letters) in enumerate(data.draw(st.lists(st.tuples(st.integers(0, 3), LETTERS), min_size=1, max_size=10)), 1)
    ]
    numbered["last"] += len(taps)
    wanted = kept(in_province, sitting_id) | {tap["position"]: (tap["letters"], tap["sequence"]) for tap in taps}
    newest: dict[int, int] = {}
    with in_province(SLUG):
        for tap in data.draw(st.permutations(taps + taps)):
            word = saving.save(url, saving.Token(CODE, sitting_id, 1), tap)
            assert word == ("saved" if tap["sequence"] > newest.get(tap["position"], 0) else "older")
            newest[tap["position"]] = max(newest.get(tap["position"], 0), tap["sequence"])
    assert kept(in_province, sitting_id) == wanted


@pytest.mark.parametrize(
    ("past_end", "tapped_before_end", "sound"),
    [
        (-3600, None, True), (-3600, -60, True), (2, 1, True), (50, 1, True), (50, 3000, True), (50, -1, False), (50, None, False),
        (61, 1, False), (61, 3000, False), (3600, 1, False),
    ],
)  # fmt: skip
def test_the_end_by_the_databases_clock(sat, in_province, url, owner_connection, past_end, tapped_before_end, sound):
    sitting_id = sat()
    moment = owner_connection.execute("select clock_timestamp()").fetchone()[0]
    end = moment - timedelta(seconds=past_end)
    set_end(in_province, sitting_id, end)
    tapped = None if tapped_before_end is None else int((end - timedelta(seconds=tapped_before_end)).timestamp() * 1000)
    with in_province(SLUG):
        if sound:
            assert saving.save(url, saving.Token(CODE, sitting_id, 1), answer(0, "A", 1, tapped)) == "saved"
        else:
            with pytest.raises(NotAllowed, match="作答时间已到"):
                saving.save(url, saving.Token(CODE, sitting_id, 1), answer(0, "A", 1, tapped))
    assert (kept(in_province, sitting_id) != {}) is sound


def test_only_the_present_epoch_saves(sat, in_province, url):
    sitting_id = sat()
    with in_province(SLUG):
        sitting = db.session.get_one(Sitting, (CODE, sitting_id))
        saving.save(url, saving.Token(CODE, sitting_id, 1), answer(0, "A", 1))
        sittings.take_over(sitting, by=TERMINAL)
        db.session.commit()
        for epoch in (0, 1, 3):
            with pytest.raises(NotAllowed, match="另一台设备"):
                saving.save(url, saving.Token(CODE, sitting_id, epoch), answer(0, "B", 9))
        saving.save(url, saving.Token(CODE, sitting_id, 2), answer(1, "C", 2))
        sittings.hand_in(record(sitting.assessment_id), sitting, by=TERMINAL)
        db.session.commit()
        for epoch in (2, 3):
            with pytest.raises(NotAllowed, match="已交卷"):
                saving.save(url, saving.Token(CODE, sitting_id, epoch), answer(0, "B", 9))
    assert kept(in_province, sitting_id) == {0: ("A", 1), 1: ("C", 2)}


def test_the_statement_finds_nothing_in_another_province_or_outside_the_paper(sat, in_province, url):
    sitting_id = sat()
    with in_province(SLUG):
        size = len(db.session.get_one(Sitting, (CODE, sitting_id)).layout)
        for token, position in (
            (saving.Token(14, sitting_id, 1), 0), (saving.Token(CODE, uuid4(), 1), 0), (saving.Token(CODE, sitting_id, 1), size),
        ):  # fmt: skip
            with pytest.raises(NotFound):
                saving.save(url, token, answer(position, "A", 1))
        assert saving.save(url, saving.Token(CODE, sitting_id, 1), answer(size - 1, "A", 1)) == "saved"
    assert kept(in_province, sitting_id) == {size - 1: ("A", 1)}


def test_a_token_holds_in_its_own_province_and_by_its_own_key_alone(sat, in_province):
    sitting_id = sat()
    with in_province(SLUG):
        text = saving.token_of(db.session.get_one(Sitting, (CODE, sitting_id)), "one key")
        assert saving.read_token(text, "one key") == saving.Token(CODE, sitting_id, 1)
        for forged in (text[:-1], text.replace(str(CODE), "14", 1), text.replace("|1.", "|2."), "", "||"):
            with pytest.raises(saving.Malformed):
                saving.read_token(forged, "one key")
        with pytest.raises(saving.Malformed):
            saving.read_token(text, "another key")
    with in_province("shanxi"), pytest.raises(saving.Malformed):
        saving.read_token(text, "one key")


def test_the_statement_is_for_the_application_alone_and_leaves_no_province_behind(stack, url, sat, in_province, owner_connection):
    sitting_id = sat()
    rights = "select pg_get_userbyid(proowner), prosecdef, proacl::text from pg_proc where proname = 'save_answer'"
    owner, of_definer, granted = owner_connection.execute(rights).fetchone()
    assert (owner, of_definer) == ("dingkao_owner", False)
    assert "dingkao_app=X" in granted
    assert "{=X" not in granted
    assert ",=X" not in granted
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        call = connection.execute("select save_answer(%s, %s, 1, 0, 'A', 1, null)", (CODE, sitting_id))
        assert call.fetchone() == ("saved",)
        assert connection.execute("select coalesce(current_setting('dingkao.tenant', true), '')").fetchone() == ("",)
        assert connection.execute("select count(*) from sitting_answer").fetchone() == (0,)
    platform = psycopg.connect(stack.environment["PLATFORM_DATABASE_URL"].replace("+psycopg", ""), autocommit=True)
    with platform, pytest.raises(psycopg.errors.InsufficientPrivilege):
        platform.execute("select save_answer(%s, %s, 1, 0, 'A', 2, null)", (CODE, sitting_id))


def test_a_role_that_is_too_strong_saves_nothing(stack, sat, in_province):
    sitting_id = sat()
    saving._forget()
    with in_province(SLUG), pytest.raises(SystemExit):
        saving.save(stack.environment["MIGRATOR_DATABASE_URL"], saving.Token(CODE, sitting_id, 1), answer(0, "A", 1))
    saving._forget()
    assert kept(in_province, sitting_id) == {}


def test_saves_at_once_leave_the_newest_and_none_after_handing_in(sat, in_province, url):
    sitting_id = sat()
    told: list[tuple[int, str]] = []
    begin = threading.Barrier(7)

    def press(first):
        begin.wait()
        with in_province(SLUG):
            for sequence in range(first, 240, 6):
                try:
                    told.append((sequence, saving.save(url, saving.Token(CODE, sitting_id, 1), answer(sequence % 2, "ABCDE"[sequence % 5], sequence))))
                except NotAllowed:
                    break
        saving._forget()

    threads = [threading.Thread(target=press, args=(first,)) for first in range(1, 7)]
    for thread in threads:
        thread.start()
    begin.wait()
    while len(told) < 60 and any(thread.is_alive() for thread in threads):
        time.sleep(0.001)
    with in_province(SLUG):
        row = record(db.session.get_one(Sitting, (CODE, sitting_id)).assessment_id)
        sittings.hand_in(row, sittings.sitting_of(sitting_id, row, lock=True), by=TERMINAL)
        db.session.commit()
        at_hand_in = sittings.answers_of(db.session.get_one(Sitting, (CODE, sitting_id)))
    for thread in threads:
        thread.join()
    newest = {position: max(number for number, word in told if number % 2 == position and word == "saved") for position in (0, 1)}
    assert kept(in_province, sitting_id) == {position: ("ABCDE"[number % 5], number) for position, number in newest.items()}
    assert at_hand_in == {position: "ABCDE"[number % 5] for position, number in newest.items()}


def test_opened_and_handed_in_by_many_at_once_it_is_one_of_each(ready, in_province):
    record_id = ready()
    found: list[UUID] = []

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

    together(lambda: found.append(opened(record_id).id))
    assert len(found) == 6
    assert len(set(found)) == 1

    def give():
        row = record(record_id)
        sittings.hand_in(row, sittings.sitting_of(found[0], row, lock=True), by=Actor("doctor", uuid4()))

    together(give)
    with in_province(SLUG):
        verbs = select(JournalEntry.verb, func.count()).where(JournalEntry.subject_id.in_((found[0], record_id))).group_by(JournalEntry.verb)
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
        row = record(late_id)
        assert sittings.open_sitting(row, paper, by=Actor("doctor", uuid4())).closes_at == paper.closes_at
        db.session.rollback()


def test_outside_its_window_a_paper_is_not_begun_but_gone_on_with(ready, in_province):
    record_id, other_id = ready(), ready()
    with in_province(SLUG):
        sitting = opened(record_id)
        paper = db.session.get_one(Paper, (CODE, sitting.paper_id))
        opens = paper.opens_at
        for opens_at, closes_at, sentence in (
            (clock.now() + timedelta(hours=1), clock.now() + timedelta(hours=2), "考试尚未开始"), (opens, clock.now() - timedelta(seconds=1), "考试时间已过"),
        ):  # fmt: skip
            paper.opens_at, paper.closes_at = opens_at, closes_at
            db.session.flush()
            with pytest.raises(Late, match=sentence):
                sittings.open_sitting(record(other_id), paper, by=Actor("doctor", uuid4()))
            assert sittings.open_sitting(record(record_id), paper, by=Actor("doctor", uuid4())).id == sitting.id
        db.session.rollback()


def test_the_duty_hands_in_what_is_past_its_grace_and_nothing_else(ready, in_province, url):
    late_id, graced_id, running_id = ready(), ready(), ready()
    with in_province(SLUG):
        sittings.close_overdue()
        late, graced, running = (opened(one).id for one in (late_id, graced_id, running_id))
        saving.save(url, saving.Token(CODE, late, 1), answer(0, "A", 1))
    set_end(in_province, late, clock.now() - timedelta(seconds=61))
    set_end(in_province, graced, clock.now() - timedelta(seconds=50))
    with in_province(SLUG):
        assert sittings.close_overdue() == 1
    with in_province(SLUG):
        assert sittings.close_overdue() == 0
        rows = {one: db.session.get_one(Sitting, (CODE, one)) for one in (late, graced, running)}
        assert {one: row.handed_in_by for one, row in rows.items()} == {late: "system", graced: None, running: None}
        account = people.account_of(late_id)
        assert db.session.scalars(select(Notice.title).where(Notice.account_id == account, Notice.title.contains("自动交卷"))).all() == ["试卷已到时自动交卷"]
    assert state(in_province, late_id) == "testing"


@pytest.fixture(scope="module")
def dental_papers(in_province, ground):
    with in_province(SLUG):
        for subject in ("common", "professional"):
            make_paper(
                current_cycle(), subject=subject, category="dental", level="physician", counts={"A1": 2}, minutes=30,
                opens_at=clock.now() - timedelta(days=2), closes_at=clock.now() + timedelta(days=2), by=TERMINAL,
            )  # fmt: skip
        db.session.commit()


@pytest.fixture
def dental(in_province, dental_papers):
    """End papers of 口腔, whose windows a test may move without touching 临床's."""

    def end(*subjects, ago=timedelta(minutes=2)):
        with in_province(SLUG):
            wanted = (Paper.category == "dental", Paper.subject.in_(subjects))
            db.session.execute(update(Paper).where(*wanted).values(closes_at=clock.now() - ago))
            db.session.commit()

    yield end
    with in_province(SLUG):
        db.session.execute(update(Paper).where(Paper.category == "dental").values(closes_at=clock.now() + timedelta(days=2)))
        db.session.commit()


DENTAL = {"执业类别": "口腔", "执业范围": "口腔专业"}


def test_one_paper_sat_and_the_other_never_begun_is_an_absence_when_its_window_is_over(ready, dental, in_province):
    record_id = ready(**DENTAL)
    with in_province(SLUG):
        sitting = opened(record_id)
        sittings.hand_in(record(record_id), sitting, by=Actor("doctor", uuid4()))
        db.session.commit()
        sittings.close_overdue()
    assert state(in_province, record_id) == "testing"
    dental("professional", ago=timedelta(seconds=30))
    with in_province(SLUG):
        sittings.close_overdue()
    assert state(in_province, record_id) == "testing"
    dental("professional")
    with in_province(SLUG):
        sittings.close_overdue()
        sittings.close_overdue()
        account = people.account_of(record_id)
        assert len(db.session.scalars(select(Notice).where(Notice.account_id == account, Notice.title == "缺考")).all()) == 1
    assert state(in_province, record_id) == "absent"


def test_while_one_window_is_open_or_a_sitting_runs_nobody_is_absent(ready, dental, in_province):
    waits, sits, simple = ready(**DENTAL), ready(**DENTAL), ready("simple", **DENTAL)
    with in_province(SLUG):
        running = opened(sits, "professional").id
    dental("common")
    with in_province(SLUG):
        sittings.close_overdue()
    assert [state(in_province, one) for one in (waits, sits, simple)] == ["ready", "testing", "absent"]
    dental("common", "professional")
    with in_province(SLUG):
        sittings.close_overdue()
    assert [state(in_province, one) for one in (waits, sits)] == ["absent", "testing"]
    set_end(in_province, running, clock.now() - timedelta(minutes=2))
    with in_province(SLUG):
        sittings.close_overdue()
    assert state(in_province, sits) == "absent"


def test_many_who_wait_hide_nobody_who_is_done(ready, dental, in_province, monkeypatch):
    monkeypatch.setattr(sittings, "AT_ONCE", 2)
    waiting = [ready() for _ in range(3)]
    done = [ready(**DENTAL) for _ in range(5)]
    dental("common", "professional")
    with in_province(SLUG):
        assert sittings.close_overdue() >= 5
    assert {state(in_province, one) for one in done} == {"absent"}
    assert {state(in_province, one) for one in waiting} == {"ready"}


def test_two_duties_at_once_close_each_record_once(ready, dental, in_province):
    done = [ready(**DENTAL) for _ in range(6)]
    dental("common", "professional")
    faults: list[BaseException] = []

    def duty():
        try:
            with in_province(SLUG):
                sittings.close_overdue()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=duty) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with in_province(SLUG):
        verbs = select(func.count()).select_from(JournalEntry).where(JournalEntry.subject_id.in_(done), JournalEntry.verb == "miss_test")
        assert db.session.scalar(verbs) == len(done)


def test_a_ticket_names_nobody_is_issued_once_and_checks(ready, in_province):
    record_id = ready()
    with in_province(SLUG):
        row = record(record_id)
        ticket = ticket_of(row)
        assert ticket is not None
        assert issue_ticket(row).id == ticket.id
        year = current_cycle().ends_on.year % 100
        assert ticket.number.startswith(f"{CODE}{year:02d}")
        assert len(ticket.number) == 12
        digits = [int(digit) for digit in reversed(ticket.number)]
        assert sum(digit if place % 2 == 0 else sum(divmod(digit * 2, 10)) for place, digit in enumerate(digits)) % 10 == 0
