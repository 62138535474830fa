"""Practice by itself: which questions come next, that none is ever of an exam, how a choice is judged, whose week a tap belongs to."""

import random
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.model import db, new_id
from dingkao.errors import Invalid
from dingkao.exams import practice
from dingkao.exams.models import PracticeWeek, PractisedQuestion, Question, QuestionBank, QuestionGroup, QuestionVersion
from dingkao.exams.practice import Asked, Known, monday_of, next_of, share
from tests import people

SLUG, CODE = "jilin", 22
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
SEEN = st.none() | st.integers(0, 500).map(lambda hours: MONDAY + timedelta(hours=hours))


@st.composite
def units(draw):
    """What a bank may have: questions and groups, practised or not."""
    sizes = draw(st.lists(st.integers(1, 6), max_size=40))
    serial = iter(range(10_000))
    return [[Known(UUID(int=next(serial)), draw(SEEN)) for _ in range(size)] for size in sizes]


def rank(unit):
    return min(one.seen_at.timestamp() if one.seen_at else 0 for one in unit)


@given(units(), st.integers(0, 2**32), st.integers(1, 60))
def test_the_next_are_those_never_seen_then_those_seen_longest_ago_groups_whole(bank, seed, length):
    chosen = next_of(bank, random.Random(seed), length)  # noqa: S311
    assert len(chosen) == len(set(chosen)) <= length
    taken = [unit for unit in bank if unit[0].version in chosen]
    left = [unit for unit in bank if unit[0].version not in chosen]
    for unit in taken:
        at = chosen.index(unit[0].version)
        assert chosen[at : at + len(unit)] == [one.version for one in unit]
    assert sum(map(len, taken)) == len(chosen)
    for unit in left:
        before = sum(len(one) for one in taken if rank(one) <= rank(unit))
        assert before + len(unit) > length


@given(units(), st.integers(0, 2**32))
def test_run_after_run_a_question_comes_again_only_where_nothing_unseen_fits_and_all_have_come_soon(bank, seed):
    chance, seen, rounds = random.Random(seed), {}, 0  # noqa: S311
    total = sum(map(len, bank))
    while len(seen) < total:
        rounds += 1
        chosen = next_of([[Known(one.version, seen.get(one.version)) for one in unit] for unit in bank], chance, 50)
        new = [version for version in chosen if version not in seen]
        assert chosen[: len(new)] == new
        waiting = [unit for unit in bank if unit[0].version not in seen and unit[0].version not in chosen]
        assert len(new) == len(chosen) or all(len(unit) > 50 - len(new) for unit in waiting)
        seen |= dict.fromkeys(chosen, MONDAY + timedelta(hours=rounds))
    assert rounds <= total // 45 + 1


@given(st.sampled_from(["A1", "A2", "A3", "A4", "B1", "X"]), st.sets(st.sampled_from("ABCDE"), min_size=1), st.lists(st.sampled_from("ABCDEFZa1"), max_size=6))
def test_a_choice_is_letters_of_the_question_and_one_alone_but_for_x(kind, key, letters):
    version = QuestionVersion(kind=kind, options=[[letter, letter] for letter in "ABCDE"], answer="".join(sorted(key)))
    one = Asked(0, UUID(int=1), "common", version, 1, 1, False)
    try:
        chosen = one.judged(letters)
    except Invalid:
        assert not letters or not set(letters) <= set("ABCDE") or (kind != "X" and len(set(letters)) > 1)
    else:
        assert chosen == "".join(sorted(set(letters)))
        assert practice.right(version.answer, chosen) == (set(letters) == key)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants them bare
def test_a_week_begins_on_monday_in_beijing(moment):
    monday = monday_of(moment)
    assert monday.weekday() == 0
    begins = datetime(monday.year, monday.month, monday.day, tzinfo=UTC) - timedelta(hours=8)
    assert begins <= moment < begins + timedelta(days=7)


def test_sunday_night_in_london_is_monday_in_beijing():
    assert monday_of(datetime(2026, 3, 8, 15, 59, tzinfo=UTC)) == date(2026, 3, 2)
    assert monday_of(datetime(2026, 3, 8, 16, 0, tzinfo=UTC)) == date(2026, 3, 9)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_share_is_per_cent(part, more):
    assert 0 <= share(part, part + more) <= 100
    assert (share(part, part + more) == 0) == (part * 200 < part + more or part == 0)


@pytest.fixture(scope="module")
def record_id(application, in_province, provinces):
    doctor = people.doctor(application, in_province, SLUG, 100)
    people.bring_to(in_province, doctor, "ready")
    return doctor.record_id


QUESTIONS = st.lists(
    st.tuples(
        st.sampled_from(["exam", "practice"]), st.booleans(), st.sampled_from(["common", "professional"]),
        st.sampled_from([None, "clinical", "dental"]), st.integers(0, 4), SEEN, st.booleans(), st.booleans(),
    ),
    max_size=30,
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(QUESTIONS, st.sampled_from(["common", "professional:clinical", "professional:dental", "wrong", "starred"]))
def test_no_question_of_an_exam_is_ever_practised(in_province, record_id, questions, what):
    with in_province(SLUG):
        record = db.session.get_one(Assessment, (CODE, record_id))
        bank = QuestionBank(id=new_id(), name="试验")
        db.session.add(bank)
        db.session.flush()
        groups = [QuestionGroup(id=new_id(), bank_id=bank.id, stem="", digest=bytes([serial])) for serial in range(4)]
        db.session.add_all(groups)
        db.session.flush()
        expected = set()
        for serial, (purpose, retired, subject, category, group, seen_at, wrong, starred) in enumerate(questions):
            row = Question(
                id=new_id(), bank_id=bank.id, group_id=groups[group].id if group < 4 else None, subject=subject, category=category, kind="A1",
                purpose=purpose, digest=bytes([9, serial]), current_version=new_id(), retired_at=MONDAY if retired else None,
            )  # fmt: skip
            db.session.add(row)
            db.session.flush()
            db.session.add(QuestionVersion(id=row.current_version, question_id=row.id, number=1, kind="A1", stem="", options=[["A", ""]], answer="A"))
            db.session.add(PractisedQuestion(doctor_id=record.doctor_id, question_id=row.id, seen_at=seen_at, wrong=wrong, starred_at=MONDAY if starred else None))
            of_bank = {
                "common": subject == "common" and category in (None, "clinical"), "wrong": wrong, "starred": starred,
                "professional:clinical": (subject, category) == ("professional", "clinical"),
                "professional:dental": (subject, category) == ("professional", "dental"),
            }[what]  # fmt: skip
            if purpose == "practice" and not retired and of_bank:
                expected.add(row.current_version)
        db.session.flush()
        source = what if what in practice.LISTS else "bank"
        try:
            run = practice.begin(record, "clinical", bank=what if source == "bank" else "", source=source)
        except Invalid:
            assert expected == set()
        else:
            assert {UUID(version) for version in run.layout} == expected
            assert practice.listed(record.doctor_id) == {
                "wrong": sum(row[0] == "practice" and not row[1] and row[6] for row in questions),
                "starred": sum(row[0] == "practice" and not row[1] and row[7] for row in questions),
            }
            shown = [one for which in practice.LISTS for one in practice.entries(record.doctor_id, which, size=100)]
            assert not {one.version.id for one in shown} & {
                row.current_version for row in db.session.scalars(select(Question).where((Question.purpose == "exam") | Question.retired_at.is_not(None)))
            }
        db.session.rollback()


TAPS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("AB"), st.integers(0, 20)), max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(TAPS, max_size=4))
def test_whatever_is_sent_and_sent_again_is_counted_once(in_province, record_id, batches):
    with in_province(SLUG):
        record = db.session.get_one(Assessment, (CODE, record_id))
        bank = QuestionBank(id=new_id(), name="试验")
        db.session.add(bank)
        db.session.flush()
        for serial in range(6):
            row = Question(id=new_id(), bank_id=bank.id, subject="professional", category="chinese", kind="A1", purpose="practice", digest=bytes([serial]), current_version=new_id())
            db.session.add(row)
            db.session.flush()
            db.session.add(QuestionVersion(id=row.current_version, question_id=row.id, number=1, kind="A1", stem="", options=[["A", ""], ["B", ""]], answer="A"))
        db.session.flush()
        run = practice.begin(record, "clinical", bank="professional:chinese")
        begun = int(run.begun_at.timestamp() * 1000)
        first = {}
        for batch in [*batches, *batches]:
            sent = [{"position": position, "letters": letters, "tapped": begun + 1000 * seconds} for position, letters, seconds in batch]
            practice.take_in(run, record.doctor_id, sent, [])
            for position, letters, _ in batch:
                first.setdefault(str(position), letters)
        assert run.answers == first
        rows = db.session.scalars(select(PracticeWeek).where(PracticeWeek.doctor_id == record.doctor_id)).all()
        assert sum(row.answered for row in rows) == len(first)
        assert sum(row.answered_right for row in rows) == list(first.values()).count("A")
        assert practice.listed(record.doctor_id)["wrong"] == list(first.values()).count("B")
        db.session.rollback()
