"""The sitting's rules by themselves: marking, the one statement that saves, what runs at once."""

import threading
import time
from datetime import timedelta
from functools import partial
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.errors import InvalidState, NotFound
from dingkao.exams import answer_saving, sitting_completion, sittings
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.papers import papers_for
from dingkao.exams.scoring import is_correct, score_tenths
from dingkao.journal.entries import TERMINAL_ACTOR, Actor
from tests import actors
from tests.property_examples import property_examples

SLUG, CODE = "hubei", 42
LETTERS = st.sets(st.sampled_from("ABCDE"), max_size=5).map(lambda chosen: "".join(sorted(chosen)))
_serial = actors.unused_serials(SLUG)


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


@pytest.fixture(scope="module")
def sat(ready, in_province):
    """A sitting that is open, of a record of its own."""

    def make():
        record_id = ready()
        with in_province(SLUG):
            return opened(record_id).id

    return make


def ready_record(application, in_province, procedure="general", **cells):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial), **cells)
    actors.advance_to(in_province, doctor, "ready", procedure=procedure)
    return doctor.record_id


def record(record_id):
    return db.session.scalars(select(Assessment).where(Assessment.id == record_id).with_for_update()).one()


def opened(record_id, subject="common"):
    assessment = record(record_id)
    paper = next(open_paper for open_paper in papers_for(assessment) if open_paper.subject == subject)
    sitting = sittings.open_sitting(assessment, paper, by=Actor("doctor", uuid4()))
    db.session.commit()
    return sitting


def answer(position, letters, sequence, tapped=None):
    return {"position": position, "letters": letters, "sequence": sequence, "tapped": tapped}


def kept(in_province, sitting_id):
    with in_province(SLUG):
        sitting_answers = db.session.scalars(
            select(SittingAnswer).where(SittingAnswer.sitting_id == sitting_id)
        )
        return {
            sitting_answer.position: (sitting_answer.letters, sitting_answer.sequence)
            for sitting_answer in sitting_answers
        }


def set_end(in_province, sitting_id, end, **also):
    with in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == sitting_id).values(closes_at=end, **also))
        db.session.commit()


def state(in_province, record_id):
    return actors.record_state(in_province, SLUG, record_id)


@given(LETTERS, LETTERS)
def test_an_answer_is_right_when_it_is_the_key_and_nothing_more_or_less(key, letters):
    assert is_correct(key, letters) is (letters == key and key != "")
    assert is_correct(key, letters[::-1]) is is_correct(key, letters)


@given(
    st.lists(LETTERS.filter(bool), min_size=1, max_size=60),
    st.dictionaries(st.integers(-2, 70), LETTERS, max_size=70),
)
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


@settings(deadline=None, max_examples=property_examples(40))
@given(st.data())
def test_in_any_order_the_newest_of_each_question_stays(numbered, in_province, url, data):
    sitting_id, start = numbered["sitting"], numbered["last"]
    taps = [
        answer(position, letters, start + number)
        for number, (position, letters) in enumerate(
            data.draw(st.lists(st.tuples(st.integers(0, 3), LETTERS), min_size=1, max_size=10)), 1
        )
    ]
    numbered["last"] += len(taps)
    expected_answers = kept(in_province, sitting_id) | {
        tap["position"]: (tap["letters"], tap["sequence"]) for tap in taps
    }
    newest: dict[int, int] = {}
    with in_province(SLUG):
        for tap in data.draw(st.permutations(taps + taps)):
            word = answer_saving.save_answer(url, answer_saving.SaveToken(CODE, sitting_id, 1), tap)
            assert word == ("saved" if tap["sequence"] > newest.get(tap["position"], 0) else "older")
            newest[tap["position"]] = max(newest.get(tap["position"], 0), tap["sequence"])
    assert kept(in_province, sitting_id) == expected_answers


@pytest.mark.parametrize(
    ("past_end", "tapped_before_end", "sound"),
    [
        (-3600, None, True),
        (-3600, -60, True),
        (2, 1, True),
        (50, 1, True),
        (50, 3000, True),
        (50, -1, False),
        (50, None, False),
        (50, 3601, False),
        (50, 30 * 86400, False),
        (61, 1, False),
        (61, 3000, False),
        (3600, 1, False),
    ],
)
def test_the_end_by_the_databases_clock(
    sat, in_province, url, owner_connection, past_end, tapped_before_end, sound
):
    sitting_id = sat()
    moment = owner_connection.execute("select clock_timestamp()").fetchone()[0]
    end = moment - timedelta(seconds=past_end)
    set_end(in_province, sitting_id, end, opened_at=end - timedelta(hours=1))
    tapped = (
        None
        if tapped_before_end is None
        else int((end - timedelta(seconds=tapped_before_end)).timestamp() * 1000)
    )
    with in_province(SLUG):
        if sound:
            assert (
                answer_saving.save_answer(
                    url, answer_saving.SaveToken(CODE, sitting_id, 1), answer(0, "A", 1, tapped)
                )
                == "saved"
            )
        else:
            with pytest.raises(InvalidState, match="作答时间已到"):
                answer_saving.save_answer(
                    url, answer_saving.SaveToken(CODE, sitting_id, 1), answer(0, "A", 1, tapped)
                )
    assert (kept(in_province, sitting_id) != {}) is sound
    with in_province(SLUG):
        moments = db.session.scalars(
            select(SittingAnswer.tapped_at).where(SittingAnswer.sitting_id == sitting_id)
        ).all()
    inside = tapped_before_end is not None and 0 <= tapped_before_end <= 3600
    text = "outside the sitting's own span it counts as not given"
    assert [moment is not None for moment in moments] == [inside] * sound, text


def test_only_the_present_epoch_saves(sat, in_province, url):
    sitting_id = sat()
    with in_province(SLUG):
        sitting = db.session.get_one(Sitting, (CODE, sitting_id))
        answer_saving.save_answer(url, answer_saving.SaveToken(CODE, sitting_id, 1), answer(0, "A", 1))
        sittings.switch_device(sitting, by=TERMINAL_ACTOR)
        db.session.commit()
        for epoch in (0, 1, 3):
            with pytest.raises(InvalidState, match="另一台设备"):
                answer_saving.save_answer(
                    url, answer_saving.SaveToken(CODE, sitting_id, epoch), answer(0, "B", 9)
                )
        answer_saving.save_answer(url, answer_saving.SaveToken(CODE, sitting_id, 2), answer(1, "C", 2))
        sitting_completion.hand_in_sitting(record(sitting.assessment_id), sitting, by=TERMINAL_ACTOR)
        db.session.commit()
        for epoch in (2, 3):
            with pytest.raises(InvalidState, match="已交卷"):
                answer_saving.save_answer(
                    url, answer_saving.SaveToken(CODE, sitting_id, epoch), answer(0, "B", 9)
                )
    assert kept(in_province, sitting_id) == {0: ("A", 1), 1: ("C", 2)}


def test_the_statement_finds_nothing_in_another_province_or_outside_the_paper(sat, in_province, url):
    sitting_id = sat()
    with in_province(SLUG):
        size = len(db.session.get_one(Sitting, (CODE, sitting_id)).layout)
        for token, position in (
            (answer_saving.SaveToken(14, sitting_id, 1), 0),
            (answer_saving.SaveToken(CODE, uuid4(), 1), 0),
            (answer_saving.SaveToken(CODE, sitting_id, 1), size),
        ):
            with pytest.raises(NotFound):
                answer_saving.save_answer(url, token, answer(position, "A", 1))
        assert (
            answer_saving.save_answer(
                url, answer_saving.SaveToken(CODE, sitting_id, 1), answer(size - 1, "A", 1)
            )
            == "saved"
        )
    assert kept(in_province, sitting_id) == {size - 1: ("A", 1)}


def test_a_token_holds_in_its_own_province_and_by_its_own_key_alone(sat, in_province):
    sitting_id = sat()
    with in_province(SLUG):
        text = answer_saving.make_token(db.session.get_one(Sitting, (CODE, sitting_id)), "one key")
        assert answer_saving.read_token(text, "one key") == answer_saving.SaveToken(CODE, sitting_id, 1)
        for forged in (text[:-1], text.replace(str(CODE), "14", 1), text.replace("|1.", "|2."), "", "||"):
            with pytest.raises(answer_saving.MalformedAnswer):
                answer_saving.read_token(forged, "one key")
        with pytest.raises(answer_saving.MalformedAnswer):
            answer_saving.read_token(text, "another key")
    with in_province("shanxi"), pytest.raises(answer_saving.MalformedAnswer):
        answer_saving.read_token(text, "one key")


def test_the_statement_is_for_the_application_alone_and_leaves_no_province_behind(
    stack, url, sat, in_province, owner_connection
):
    sitting_id = sat()
    rights = (
        "select pg_get_userbyid(proowner), prosecdef, proacl::text from pg_proc where proname = 'save_answer'"
    )
    owner, of_definer, granted = owner_connection.execute(rights).fetchone()
    assert (owner, of_definer) == ("dingkao_owner", False)
    assert "dingkao_app=X" in granted
    assert "{=X" not in granted
    assert ",=X" not in granted
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        call = connection.execute("select save_answer(%s, %s, 1, 0, 'A', 1, null)", (CODE, sitting_id))
        assert call.fetchone() == ("saved",)
        assert connection.execute(
            "select coalesce(current_setting('dingkao.tenant', true), '')"
        ).fetchone() == ("",)
        assert connection.execute("select count(*) from sitting_answer").fetchone() == (0,)
    platform = psycopg.connect(
        stack.environment["PLATFORM_DATABASE_URL"].replace("+psycopg", ""), autocommit=True
    )
    with platform, pytest.raises(psycopg.errors.InsufficientPrivilege):
        platform.execute("select save_answer(%s, %s, 1, 0, 'A', 2, null)", (CODE, sitting_id))


def test_a_role_that_is_too_strong_saves_nothing(stack, sat, in_province):
    sitting_id = sat()
    answer_saving._close_connection()
    with in_province(SLUG), pytest.raises(SystemExit):
        answer_saving.save_answer(
            stack.environment["MIGRATOR_DATABASE_URL"],
            answer_saving.SaveToken(CODE, sitting_id, 1),
            answer(0, "A", 1),
        )
    answer_saving._close_connection()
    assert kept(in_province, sitting_id) == {}


def test_saves_at_once_leave_the_newest_and_none_after_handing_in(sat, in_province, url):
    sitting_id = sat()
    save_results: list[tuple[int, str]] = []
    begin = threading.Barrier(7)

    def press(first):
        begin.wait()
        with in_province(SLUG):
            for sequence in range(first, 240, 6):
                try:
                    save_results.append(
                        (
                            sequence,
                            answer_saving.save_answer(
                                url,
                                answer_saving.SaveToken(CODE, sitting_id, 1),
                                answer(sequence % 2, "ABCDE"[sequence % 5], sequence),
                            ),
                        )
                    )
                except InvalidState:
                    break
        answer_saving._close_connection()

    threads = [threading.Thread(target=press, args=(first,)) for first in range(1, 7)]
    for thread in threads:
        thread.start()
    begin.wait()

    def saves_of(position):
        return [sequence for sequence, word in save_results if sequence % 2 == position and word == "saved"]

    # The sitting is handed in amid the saves, yet never before both questions have some: a thread may be
    # late with its connection.
    while min(len(saves_of(0)), len(saves_of(1))) < 3 or len(save_results) < 60:
        assert any(thread.is_alive() for thread in threads)
        time.sleep(0.001)
    with in_province(SLUG):
        assessment = record(db.session.get_one(Sitting, (CODE, sitting_id)).assessment_id)
        sitting_completion.hand_in_sitting(
            assessment, sittings.get_sitting(sitting_id, assessment, for_update=True), by=TERMINAL_ACTOR
        )
        db.session.commit()
        at_hand_in = sittings.saved_answers(db.session.get_one(Sitting, (CODE, sitting_id)))
    for thread in threads:
        thread.join()
    newest = {position: max(saves_of(position)) for position in (0, 1)}
    assert kept(in_province, sitting_id) == {
        position: ("ABCDE"[number % 5], number) for position, number in newest.items()
    }
    assert at_hand_in == {position: "ABCDE"[number % 5] for position, number in newest.items()}
