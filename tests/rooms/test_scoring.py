"""Marking: X by either rule, marks by type, what a correction makes of a question; the rule of the time when
a sitting began."""

from fractions import Fraction
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams import sitting_completion, sittings
from dingkao.exams.effective_keys import scored_items
from dingkao.exams.models.sitting_models import SittingAnswer
from dingkao.exams.papers import papers_for
from dingkao.exams.scoring import (
    ScoredItem,
    earned_tenths,
    is_correct,
    max_tenths,
    score_share,
    score_tenths,
)
from dingkao.journal.entries import Actor
from dingkao.tenants import settings as province_settings
from tests import actors

KEYS = st.sets(st.sampled_from("ABCDE"), min_size=1, max_size=5).map(lambda chosen: "".join(sorted(chosen)))
LETTERS = st.lists(st.sampled_from("ABCDE"), unique=True, max_size=5).map("".join)
RULES = st.sampled_from(["all", "partial"])
ITEMS = st.lists(
    st.builds(
        lambda kind, key, others, worth, treatment: ScoredItem(kind, (key, *others), worth, treatment),
        st.sampled_from(["A1", "X", "TF"]),
        KEYS,
        st.lists(KEYS, max_size=2),
        st.integers(1, 50),
        st.sampled_from(["marked", "credited", "excluded"]),
    ),
    min_size=1,
    max_size=30,
).filter(lambda items: any(item.treatment != "excluded" for item in items))


@st.composite
def sat(draw):
    """A paper and answers to it."""
    items = draw(ITEMS)
    return items, draw(st.dictionaries(st.integers(0, len(items) - 1), LETTERS)), draw(RULES)


def test_by_hand():
    """A1 of one point and X of two. Right and one of two right letters: 1/3 by 全对才得分, 2/3 by 部分得分 (1
    and 1 of 3 points)."""
    items = [ScoredItem("A1", ("B",)), ScoredItem("X", ("AC",), 20)]
    answers = {0: "B", 1: "C"}
    assert score_tenths(items, answers) == 333
    assert score_tenths(items, answers, "partial") == 667
    assert score_tenths(items, {0: "B", 1: "CD"}, "partial") == 333
    assert score_tenths(items, {0: "B", 1: "CA"}) == 1000
    assert score_tenths([ScoredItem("X", ("ABC",))], {0: "AB"}, "partial") == 667


def test_a_correction_by_hand():
    """Four questions of a point each, one wrong. Several keys: 4 of 4; credited: 4 of 4; left out: 3 of 3; a
    new key for a right one: 2 of 4."""
    answers = {0: "A", 1: "B", 2: "C", 3: "D"}
    plain = [ScoredItem("A1", (key,)) for key in "ABCE"]
    assert score_tenths(plain, answers) == 750
    assert score_tenths([*plain[:3], ScoredItem("A1", ("E", "D"))], answers) == 1000
    assert score_tenths([*plain[:3], ScoredItem("A1", ("E",), treatment="credited")], answers) == 1000
    assert score_tenths([*plain[:3], ScoredItem("A1", ("E",), treatment="credited")], {}) == 250
    assert score_tenths([*plain[:3], ScoredItem("A1", ("E",), treatment="excluded")], answers) == 1000
    assert score_tenths([ScoredItem("A1", ("C",)), *plain[1:]], answers) == 500
    with pytest.raises(ValueError, match="without questions"):
        score_tenths([ScoredItem("A1", ("A",), treatment="excluded")], answers)


@given(sat())
def test_a_score_is_within_bounds_and_is_what_was_earned_of_what_could_be(paper):
    items, answers, rule = paper
    score = score_tenths(items, answers, rule)
    assert 0 <= score <= 1000
    points = sum(
        (earned_tenths(item, answers.get(position, ""), rule) for position, item in enumerate(items)),
        Fraction(0),
    )
    assert abs(Fraction(score) - 1000 * points / max_tenths(items)) <= Fraction(1, 2)
    full = {position: item.keys[0] for position, item in enumerate(items)}
    assert score_tenths(items, full, rule) == 1000


@given(sat(), st.data())
def test_a_right_answer_in_anothers_place_never_lowers_the_score(paper, data):
    items, answers, rule = paper
    position = data.draw(st.integers(0, len(items) - 1))
    better = answers | {position: data.draw(st.sampled_from(items[position].keys))}
    assert score_tenths(items, better, rule) >= score_tenths(items, answers, rule)


@given(sat(), st.randoms())
def test_neither_the_order_of_questions_nor_that_of_letters_matters(paper, chance):
    items, answers, rule = paper
    order = list(range(len(items)))
    chance.shuffle(order)
    reordered = [items[place] for place in order]
    reordered_answers = {order.index(position): letters[::-1] for position, letters in answers.items()}
    assert score_tenths(reordered, reordered_answers, rule) == score_tenths(items, answers, rule)


@given(sat())
def test_partial_credit_never_gives_less_and_gives_the_same_for_complete_answers(paper):
    items, answers, _ = paper
    assert score_tenths(items, answers, "partial") >= score_tenths(items, answers, "all")
    complete = {
        position: letters
        for position, letters in answers.items()
        if any(is_correct(key, letters) for key in items[position].keys)
        or not any(set(letters) < set(key) for key in items[position].keys)
    }
    assert score_tenths(items, complete, "partial") == score_tenths(items, complete, "all")


@given(KEYS, LETTERS)
def test_of_partial_credit_each_right_choice_is_a_share_and_a_wrong_one_takes_all(key, letters):
    chosen_letters = set(letters)
    fraction = Fraction(len(chosen_letters), len(key)) if chosen_letters <= set(key) else Fraction(0)
    assert score_share(ScoredItem("X", (key,)), letters, "partial") == fraction
    assert (
        score_share(ScoredItem("A1", (key,)), letters, "partial")
        == score_share(ScoredItem("X", (key,)), letters, "all")
        == int(is_correct(key, letters))
    )


@given(ITEMS, st.integers(2, 9))
def test_marks_count_by_their_proportion_alone(items, times):
    answers = {0: items[0].keys[0]}
    assert score_tenths(items, answers) == score_tenths(
        [item._replace(tenths=item.tenths * times) for item in items], answers
    )


def test_a_sitting_keeps_the_rule_of_the_time_when_it_began(application, in_province):
    slug = "hebei"
    actors.signed_in_doctor(application, in_province, slug, next(actors.unused_serials(slug)))
    actors.demonstration_bank(in_province, slug)
    actors.open_papers(in_province, slug)
    doctors = [
        actors.signed_in_doctor(application, in_province, slug, next(actors.unused_serials(slug)))
        for _ in range(2)
    ]
    rules = []
    for doctor, rule in zip(doctors, ("all", "partial"), strict=True):
        actors.advance_to(in_province, doctor, "ready")
        with in_province(slug):
            province_settings.change("x_rule", rule, by=None, reason="评分办法")
            record = db.session.scalars(
                select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()
            ).one()
            sittings.open_sitting(record, papers_for(record)[0], by=Actor("doctor", uuid4()))
            db.session.commit()
    scores = []
    for doctor in doctors:
        with in_province(slug):
            record = db.session.scalars(
                select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()
            ).one()
            sitting = next(iter(sittings.sittings_by_paper(record).values()))
            rules.append(sitting.x_rule)
            items = scored_items(sitting)
            for position, item in enumerate(items):
                letters = item.keys[0][:1] if item.kind == "X" else item.keys[0]
                db.session.add(
                    SittingAnswer(
                        sitting_id=sitting.id,
                        position=position,
                        letters=letters,
                        sequence=1,
                        tapped_at=None,
                        received_at=clock.now(),
                    )
                )
            db.session.flush()
            sitting_completion.hand_in_sitting(record, sitting, by=Actor("doctor", uuid4()))
            scores.append(sitting.score_tenths)
    assert rules == ["all", "partial"]
    assert scores[0] == 800  # eight of ten right, the two of X not whole
    assert 800 < scores[1] < 1000
