"""Practice by itself: which questions come next, that none is ever of an exam, how a choice is judged, whose
week a tap belongs to."""

import random
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput
from dingkao.exams.scoring import is_correct
from dingkao.practice import question_lists, run_answers, run_starting
from dingkao.practice.history import percent, week_start
from dingkao.practice.models import PracticeWeek, PractisedQuestion
from dingkao.practice.next_questions import PracticeCandidate, choose_next_questions
from dingkao.practice.runs import RunQuestion
from dingkao.question_banks.models import Question, QuestionBank, QuestionGroup, QuestionVersion
from tests import actors
from tests.property_examples import property_examples

SLUG, CODE = "jilin", 22
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
SEEN_TIMES = st.none() | st.integers(0, 500).map(lambda hours: MONDAY + timedelta(hours=hours))


@st.composite
def units(draw):
    """What a bank may have: questions and groups, practised or not."""
    sizes = draw(st.lists(st.integers(1, 6), max_size=40))
    serial = iter(range(10_000))
    return [
        [PracticeCandidate(UUID(int=next(serial)), draw(SEEN_TIMES)) for _ in range(size)] for size in sizes
    ]


def rank(unit):
    return min(candidate.seen_at.timestamp() if candidate.seen_at else 0 for candidate in unit)


@given(units(), st.integers(0, 2**32), st.integers(1, 60))
def test_the_next_are_those_never_seen_then_those_seen_longest_ago_groups_whole(bank, seed, length):
    next_questions = choose_next_questions(bank, random.Random(seed), length)  # noqa: S311
    assert len(next_questions) == len(set(next_questions)) <= length
    drawn_units = [unit for unit in bank if unit[0].version in next_questions]
    other_units = [unit for unit in bank if unit[0].version not in next_questions]
    for unit in drawn_units:
        position = next_questions.index(unit[0].version)
        assert next_questions[position : position + len(unit)] == [candidate.version for candidate in unit]
    assert sum(map(len, drawn_units)) == len(next_questions)
    for unit in other_units:
        total = sum(len(drawn_unit) for drawn_unit in drawn_units if rank(drawn_unit) <= rank(unit))
        assert total + len(unit) > length


@given(units(), st.integers(0, 2**32))
def test_run_after_run_a_question_comes_again_only_where_nothing_unseen_fits_and_all_have_come_soon(
    bank, seed
):
    chance, seen_at, rounds = random.Random(seed), {}, 0  # noqa: S311
    total = sum(map(len, bank))
    while len(seen_at) < total:
        rounds += 1
        next_questions = choose_next_questions(
            [
                [PracticeCandidate(candidate.version, seen_at.get(candidate.version)) for candidate in unit]
                for unit in bank
            ],
            chance,
            50,
        )
        unseen = [version for version in next_questions if version not in seen_at]
        assert next_questions[: len(unseen)] == unseen
        waiting = [
            unit for unit in bank if unit[0].version not in seen_at and unit[0].version not in next_questions
        ]
        assert len(unseen) == len(next_questions) or all(len(unit) > 50 - len(unseen) for unit in waiting)
        seen_at |= dict.fromkeys(next_questions, MONDAY + timedelta(hours=rounds))
    assert rounds <= total // 45 + 1


@given(
    st.sampled_from(["A1", "A2", "A3", "A4", "B1", "X"]),
    st.sets(st.sampled_from("ABCDE"), min_size=1),
    st.lists(st.sampled_from("ABCDEFZa1"), max_size=6),
)
def test_a_choice_is_letters_of_the_question_and_one_alone_but_for_x(kind, key, letters):
    version = QuestionVersion(
        kind=kind, options=[[letter, letter] for letter in "ABCDE"], answer="".join(sorted(key))
    )
    run_question = RunQuestion(0, UUID(int=1), "common", version, 1, 1, False)
    try:
        validated = run_question.validate_letters(letters)
    except InvalidInput:
        assert not letters or not set(letters) <= set("ABCDE") or (kind != "X" and len(set(letters)) > 1)
    else:
        assert validated == "".join(sorted(set(letters)))
        assert is_correct(version.answer, validated) == (set(letters) == key)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants them bare
def test_a_week_begins_on_monday_in_beijing(moment):
    monday = week_start(moment)
    assert monday.weekday() == 0
    begins = datetime(monday.year, monday.month, monday.day, tzinfo=UTC) - timedelta(hours=8)
    assert begins <= moment < begins + timedelta(days=7)


def test_sunday_night_in_london_is_monday_in_beijing():
    assert week_start(datetime(2026, 3, 8, 15, 59, tzinfo=UTC)) == date(2026, 3, 2)
    assert week_start(datetime(2026, 3, 8, 16, 0, tzinfo=UTC)) == date(2026, 3, 9)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_share_is_per_cent(part, more):
    assert 0 <= percent(part, part + more) <= 100
    assert (percent(part, part + more) == 0) == (part * 200 < part + more or part == 0)


@pytest.fixture(scope="module")
def record_id(application, in_province, provinces):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, 100)
    actors.advance_to(in_province, doctor, "ready")
    return doctor.record_id


QUESTIONS = st.lists(
    st.tuples(
        st.sampled_from(["exam", "practice"]),
        st.booleans(),
        st.sampled_from(["common", "professional"]),
        st.sampled_from([None, "clinical", "dental"]),
        st.integers(0, 4),
        SEEN_TIMES,
        st.booleans(),
        st.booleans(),
    ),
    max_size=30,
)


@settings(
    max_examples=property_examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(
    QUESTIONS, st.sampled_from(["common", "professional:clinical", "professional:dental", "wrong", "starred"])
)
def test_no_question_of_an_exam_is_ever_practised(in_province, record_id, questions, what):
    with in_province(SLUG):
        record = db.session.get_one(Assessment, (CODE, record_id))
        bank = QuestionBank(id=new_id(), name="试验")
        db.session.add(bank)
        db.session.flush()
        groups = [
            QuestionGroup(id=new_id(), bank_id=bank.id, stem="", digest=bytes([serial]))
            for serial in range(4)
        ]
        db.session.add_all(groups)
        db.session.flush()
        expected = set()
        for serial, (purpose, retired, subject, category, group, seen_at, wrong, starred) in enumerate(
            questions
        ):
            question = Question(
                id=new_id(),
                bank_id=bank.id,
                group_id=groups[group].id if group < 4 else None,
                subject=subject,
                category=category,
                kind="A1",
                purpose=purpose,
                digest=bytes([9, serial]),
                current_version=new_id(),
                retired_at=MONDAY if retired else None,
            )
            db.session.add(question)
            db.session.flush()
            db.session.add(
                QuestionVersion(
                    id=question.current_version,
                    question_id=question.id,
                    number=1,
                    kind="A1",
                    stem="",
                    options=[["A", ""]],
                    answer="A",
                )
            )
            db.session.add(
                PractisedQuestion(
                    doctor_id=record.doctor_id,
                    question_id=question.id,
                    seen_at=seen_at,
                    is_wrong=wrong,
                    starred_at=MONDAY if starred else None,
                )
            )
            of_bank = {
                "common": subject == "common" and category in (None, "clinical"),
                "wrong": wrong,
                "starred": starred,
                "professional:clinical": (subject, category) == ("professional", "clinical"),
                "professional:dental": (subject, category) == ("professional", "dental"),
            }[what]
            if purpose == "practice" and not retired and of_bank:
                expected.add(question.current_version)
        db.session.flush()
        source = what if what in question_lists.LIST_LABELS else "bank"
        try:
            run = run_starting.start_run(
                record, "clinical", bank=what if source == "bank" else "", source=source
            )
        except InvalidInput:
            assert expected == set()
        else:
            assert {UUID(version) for version in run.layout} == expected
            assert question_lists.list_counts(record.doctor_id) == {
                "wrong": sum(
                    question[0] == "practice" and not question[1] and question[6] for question in questions
                ),
                "starred": sum(
                    question[0] == "practice" and not question[1] and question[7] for question in questions
                ),
            }
            list_entries = [
                list_entry
                for list_label in question_lists.LIST_LABELS
                for list_entry in question_lists.list_entries(record.doctor_id, list_label, size=100)
            ]
            assert not {list_entry.version.id for list_entry in list_entries} & {
                question.current_version
                for question in db.session.scalars(
                    select(Question).where((Question.purpose == "exam") | Question.retired_at.is_not(None))
                )
            }
        db.session.rollback()


TAPS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("AB"), st.integers(0, 20)), max_size=12)


@settings(
    max_examples=property_examples(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(st.lists(TAPS, max_size=4))
def test_whatever_is_sent_and_sent_again_is_counted_once(in_province, record_id, batches):
    with in_province(SLUG):
        record = db.session.get_one(Assessment, (CODE, record_id))
        bank = QuestionBank(id=new_id(), name="试验")
        db.session.add(bank)
        db.session.flush()
        for serial in range(6):
            question = Question(
                id=new_id(),
                bank_id=bank.id,
                subject="professional",
                category="chinese",
                kind="A1",
                purpose="practice",
                digest=bytes([serial]),
                current_version=new_id(),
            )
            db.session.add(question)
            db.session.flush()
            db.session.add(
                QuestionVersion(
                    id=question.current_version,
                    question_id=question.id,
                    number=1,
                    kind="A1",
                    stem="",
                    options=[["A", ""], ["B", ""]],
                    answer="A",
                )
            )
        db.session.flush()
        run = run_starting.start_run(record, "clinical", bank="professional:chinese")
        begun_at = int(run.begun_at.timestamp() * 1000)
        first = {}
        for batch in [*batches, *batches]:
            offline_answers = [
                {"position": position, "letters": letters, "tapped": begun_at + 1000 * seconds}
                for position, letters, seconds in batch
            ]
            run_answers.record_offline_answers(run, record.doctor_id, offline_answers, [])
            for position, letters, _ in batch:
                first.setdefault(str(position), letters)
        assert run.answers == first
        practice_weeks = db.session.scalars(
            select(PracticeWeek).where(PracticeWeek.doctor_id == record.doctor_id)
        ).all()
        assert sum(week.answered for week in practice_weeks) == len(first)
        assert sum(week.answered_right for week in practice_weeks) == list(first.values()).count("A")
        assert question_lists.list_counts(record.doctor_id)["wrong"] == list(first.values()).count("B")
        db.session.rollback()
