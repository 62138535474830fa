"""Item analysis against values computed by hand in this text, and against a second implementation with
numpy."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dingkao.exams.item_analysis import (
    Response,
    compute_distribution,
    compute_reliability,
    correlation,
    extreme_group_bounds,
    item_figures,
    variance_contribution,
)
from dingkao.exams.item_warnings import item_warnings
from dingkao.exams.scoring import ScoredItem, earned_tenths, score_share, score_tenths

BY_HAND = ["AAAA", "AAAB", "AABB", "ABAB", "BBBB"]
"""Five sittings of four questions whose key is A, a point each.

q1 q2 q3 q4 | total
        1      1  1  1  1 |   4
        2      1  1  1  0 |   3
        3      1  1  0  0 |   2
        4      1  0  1  0 |   2
        5      0  0  0  0 |   0

Difficulty: q1 4/5 = 0.8, q2 3/5 = 0.6, q3 3/5 = 0.6, q4 1/5 = 0.2.

Groups: 27 % of 5 is 1.35, so one each: upper sitting 1, lower sitting 5. Discrimination: 1 - 0 = 1 for each
question.

Corrected item-total correlation of q1: the rest of the score is 3, 2, 1, 1, 0 (mean 1.4) and q1 is 1, 1, 1,
1, 0 (mean 0.8). covariance sum: 0.2*(1.6) + 0.2*(0.6) + 0.2*(-0.4) + 0.2*(-0.4) + (-0.8)(-1.4) = 0.32 + 0.12
- 0.08 - 0.08 + 1.12 = 1.4 q1 squares: 4 * 0.04 + 0.64 = 0.8; rest squares: 2.56 + 0.36 + 0.16 + 0.16 + 1.96 =
5.2 r = 1.4 / sqrt(0.8 * 5.2) = 1.4 / sqrt(4.16) = 1.4 / 2.0396 = 0.6864 Of q4: the rest is 3, 3, 2, 2, 0
(mean 2) and q4 is 1, 0, 0, 0, 0 (mean 0.2). covariance sum: 0.8*1 + (-0.2)*1 + 0 + 0 + (-0.2)(-2) = 0.8 - 0.2
+ 0.4 = 1.0 q4 squares: 0.64 + 4 * 0.04 = 0.8; rest squares: 1 + 1 + 0 + 0 + 4 = 6 r = 1 / sqrt(4.8) = 1 /
2.1909 = 0.4564

KR-20: sum of pq = 0.16 + 0.24 + 0.24 + 0.16 = 0.8; the mean total is 11/5 = 2.2, its variance (1.8² + 0.8² +
0.2² + 0.2² + 2.2²) / 5 = (3.24 + 0.64 + 0.04 + 0.04 + 4.84) / 5 = 8.8 / 5 = 1.76 KR-20 = 4/3 * (1 - 0.8/1.76)
= 4/3 * 0.54545 = 0.72727 standard error = sqrt(1.76) * sqrt(1 - 0.72727) = 1.32665 * 0.52223 = 0.69282 points
of 4, which is 17.3205 of 100.

Scores of 100: 100, 75, 50, 50, 0. Mean 55, median 50; squares 45² + 20² + 5² + 5² + 55² = 2025 + 400 + 25 +
25 + 3025 = 5500, /5 = 1100, deviation 33.1662. Two of five reach 60.
"""


@dataclass
class Tallied:
    """Sittings counted as the job counts them: of each question how often each answer was given at each
    total, and the totals."""

    items: list[ScoredItem]
    answers: list[Counter[Response]]
    totals: Counter[float]

    def reliability(self):
        spreads = map(variance_contribution, self.items, self.answers)
        return compute_reliability([spread for spread in spreads if spread], self.totals)


def tallied(items, sheets, rule="all"):
    tallied = Tallied(items, [Counter() for _ in items], Counter())
    for sheet in sheets:
        total = float(
            sum(earned_tenths(item, letters, rule) for item, letters in zip(items, sheet, strict=True))
        )
        tallied.totals[total] += 1
        for answer, letters in zip(tallied.answers, sheet, strict=True):
            answer[Response(total, letters, rule)] += 1
    return tallied


def test_what_was_computed_by_hand():
    tallies = tallied([ScoredItem("A1", ("A",))] * 4, BY_HAND)
    figures = [
        item_figures(
            tallies.items[item_index], tallies.answers[item_index], *extreme_group_bounds(tallies.totals)
        )
        for item_index in range(4)
    ]
    assert [figure.difficulty for figure in figures] == pytest.approx([0.8, 0.6, 0.6, 0.2])
    assert [figure.discrimination for figure in figures] == [1, 1, 1, 1]
    assert figures[0].point_biserial == pytest.approx(0.6864, abs=5e-5)
    assert figures[3].point_biserial == pytest.approx(0.4564, abs=5e-5)
    assert figures[3].choice_counts == {"A": (1, 1, 0), "B": (4, 0, 1)}
    trust = tallies.reliability()
    assert (trust.kr20, trust.standard_error) == pytest.approx((0.72727, 17.3205), abs=1e-4)
    assert trust.is_dichotomous
    scores = Counter({1000: 1, 750: 1, 500: 2, 0: 1})
    lie = compute_distribution(scores, 600)
    assert (lie.count, lie.mean, lie.median, lie.minimum, lie.maximum, lie.passing_count) == (
        5,
        55,
        50,
        0,
        100,
        2,
    )
    assert lie.standard_deviation == pytest.approx(33.1662, abs=1e-4)
    assert lie.histogram == (1, 0, 0, 0, 0, 2, 0, 1, 0, 1)


def test_a_wrong_key_is_flagged_by_hand():
    """Forty sittings of five questions. The strong half answers AAAA and C, the weak half BBBB and A; the
    fifth question is keyed A. Its p is 20/40 = 0.5; upper and lower groups are 11 and all 20 at the edge: D =
    0 - 1 = -1, and r = -1."""
    tallies = tallied([ScoredItem("A1", ("A",))] * 5, ["AAAAC"] * 20 + ["BBBBA"] * 20)
    wrong = item_figures(tallies.items[4], tallies.answers[4], *extreme_group_bounds(tallies.totals))
    assert (wrong.difficulty, wrong.discrimination) == (0.5, -1)
    assert wrong.point_biserial == pytest.approx(-1)
    assert (wrong.upper, wrong.lower) == (20, 20)
    warnings = item_warnings(tallies.items[4], wrong, "ABCDE")
    assert "区分度为负，请核对答案" in warnings
    assert "高分组多选C，请核对答案" in warnings
    assert "选项B、D、E无人选择" in warnings
    fine = item_figures(tallies.items[0], tallies.answers[0], *extreme_group_bounds(tallies.totals))
    assert not [
        item_warning for item_warning in item_warnings(tallies.items[0], fine, "AB") if "核对" in item_warning
    ]


def test_of_few_nothing_is_flagged():
    tallies = tallied([ScoredItem("A1", ("A",))] * 5, ["AAAAC"] * 4 + ["BBBBA"] * 4)
    wrong = item_figures(tallies.items[4], tallies.answers[4], *extreme_group_bounds(tallies.totals))
    assert wrong.discrimination == -1
    assert item_warnings(tallies.items[4], wrong, "ABCDE") == []


def test_nothing_handed_in():
    assert compute_distribution({}) is None
    assert compute_reliability([], {}) is None


# --- the second implementation: whole matrices, sorted, by numpy


SHEETS = st.integers(2, 8).flatmap(
    lambda k: st.tuples(
        st.lists(
            st.builds(
                lambda kind, key, worth: ScoredItem(kind, (key,), worth),
                st.sampled_from(["A1", "X"]),
                st.sampled_from(["A", "AB", "ACD"]),
                st.integers(5, 20),
            ),
            min_size=k,
            max_size=k,
        ),
        st.lists(
            st.lists(st.sampled_from(["", "A", "B", "AB", "C", "AC", "ACD"]), min_size=k, max_size=k),
            min_size=3,
            max_size=40,
        ),
        st.sampled_from(["all", "partial"]),
    )
)


@settings(max_examples=150, deadline=None)
@given(SHEETS)
def test_agrees_with_numpy(paper):
    items, sheets, rule = paper
    tallies = tallied(items, sheets, rule)
    part = np.array(
        [
            [float(score_share(item, letters, rule)) for item, letters in zip(items, sheet, strict=True)]
            for sheet in sheets
        ]
    )
    points = part * np.array([item.tenths for item in items])
    totals = points.sum(axis=1)
    size = max(1, int(np.floor(len(sheets) * 0.27 + 0.5)))
    lowest, highest = np.sort(totals)[size - 1], np.sort(totals)[-size]
    low, high = totals <= lowest + 1e-9, totals >= highest - 1e-9
    for place in range(len(items)):
        figures = item_figures(
            tallies.items[place], tallies.answers[place], *extreme_group_bounds(tallies.totals)
        )
        assert figures.answer_count == len(sheets)
        assert figures.difficulty == pytest.approx(part[:, place].mean())
        assert figures.discrimination == pytest.approx(part[high, place].mean() - part[low, place].mean())
        rest_totals = totals - points[:, place]
        if part[:, place].std() > 1e-9 and rest_totals.std() > 1e-9:
            assert figures.point_biserial == pytest.approx(
                np.corrcoef(part[:, place], rest_totals)[0, 1], abs=1e-9
            )
        else:
            assert figures.point_biserial is None
        chosen_letters = [set(sheet[place]) for sheet in sheets]
        for letter in "ABCD":
            expected_counts = (
                sum(letter in answer_letters for answer_letters in chosen_letters),
                sum(
                    letter in answer_letters
                    for answer_letters, inside in zip(chosen_letters, high, strict=True)
                    if inside
                ),
                sum(
                    letter in answer_letters
                    for answer_letters, inside in zip(chosen_letters, low, strict=True)
                    if inside
                ),
            )
            assert figures.choice_counts.get(letter, (0, 0, 0)) == expected_counts
        assert figures.blank_count == sum(not answer_letters for answer_letters in chosen_letters)
    trust = tallies.reliability()
    if totals.std() < 1e-9:
        assert trust is None
        return
    k = len(items)
    alpha = k / (k - 1) * (1 - points.var(axis=0).sum() / totals.var())
    assert trust.kr20 == pytest.approx(alpha)
    assert trust.standard_error == pytest.approx(
        totals.std() * np.sqrt(max(0, 1 - alpha)) * 100 / sum(item.tenths for item in items)
    )


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=80), st.integers(0, 1000))
def test_scores_lie_as_numpy_has_it(scores, line):
    distribution = compute_distribution(Counter(scores), line)
    points = np.array(scores) / 10
    assert (distribution.mean, distribution.standard_deviation, distribution.median) == pytest.approx(
        (points.mean(), points.std(), np.median(points)), abs=1e-9
    )
    assert list(distribution.histogram) == list(np.histogram(scores, bins=range(0, 1001, 100))[0])
    assert distribution.passing_count == int((np.array(scores) >= line).sum())


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.integers(1, 4)), min_size=2, max_size=30))
def test_a_correlation_is_one_over_its_values_written_out(pairs):
    x, y = (np.repeat([pair[place] for pair in pairs], [pair[2] for pair in pairs]) for place in (0, 1))
    assume(x.std() > 1e-3 and y.std() > 1e-3)
    assert correlation(pairs) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)


def test_a_credited_question_is_still_looked_at_by_its_key():
    """Credited to everyone it earns the same for all; its difficulty is still that of its key, so that one
    sees what was wrong."""
    credited = ScoredItem("A1", ("A",), treatment="credited")
    tallies = tallied([ScoredItem("A1", ("A",)), credited], ["AB", "BB", "AA"])
    figures = item_figures(credited, tallies.answers[1], *extreme_group_bounds(tallies.totals))
    assert figures.difficulty == pytest.approx(1 / 3)
    assert earned_tenths(credited, "B") == 10
    assert score_tenths([ScoredItem("A1", ("A",)), credited], {0: "B", 1: "B"}) == 500
