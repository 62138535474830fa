"""Item analysis (项目分析): how difficult each question was, how well it separated good from weak doctors,
how often its wrong options were chosen; how reliable a paper is, and how its scores are distributed. Pure
functions over tallies; a job makes the tallies of a paper's sittings (`item_analysis_jobs`).

A sitting's total is the tenths of a point that it earned. The upper and the lower group are the 27 % of
sittings with the highest and the lowest totals, including everyone whose total is equal to the last one's, so
that the order of equals makes no difference.
"""

import math
import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from dingkao.exams.scoring import (
    ScoredItem,
    earned_tenths,
    score_share,
)

EXTREME_GROUP_SHARE = 0.27
HISTOGRAM_BINS = 10
MIN_VARIANCE = 1e-12
"""Values with no more variance than this count as all equal."""
Value = TypeVar("Value", int, float)


class Response(NamedTuple):
    """An answer to a question: the total of its sitting (tenths of a point), the chosen letters in order, and
    the rule for type X (one of X_RULES) by which it was scored."""

    total: float
    letters: str
    rule: str


@dataclass(frozen=True)
class ItemFigures:
    """The figures of a question. `difficulty`: the mean part of its points that was earned (0 to 1);
    `discrimination`: the difficulty in the upper group minus that in the lower group; `point_biserial`: the
    correlation of its score with the rest of the total; `upper`, `lower`: how many answers are from these
    groups; `choice_counts`: letter → how many chose it, of all, of the upper and of the lower group. None:
    can't be computed."""

    answer_count: int
    difficulty: float
    discrimination: float | None
    point_biserial: float | None
    blank_count: int
    upper: int
    lower: int
    choice_counts: dict[str, tuple[int, int, int]]


def extreme_group_bounds(
    totals: Mapping[float, int], part: float = EXTREME_GROUP_SHARE
) -> tuple[float, float]:
    """Return the highest total of the lower group and the lowest total of the upper group. `totals`: total →
    how many sittings, at least one; `part`: each group's part of all sittings, rounded, at least one."""
    group_size = max(1, math.floor(sum(totals.values()) * part + 0.5))
    ascending = sorted(totals)
    return (
        _value_at_rank(ascending, totals, group_size - 1),
        _value_at_rank(ascending[::-1], totals, group_size - 1),
    )


def _value_at_rank(
    ordered_values: Sequence[Value],
    counts: Mapping[Value, int],
    rank: int,
) -> Value:
    """The value at `rank` (from 0) if each value is repeated as often as `counts` says; the last value if
    there are fewer."""
    counted = 0
    for value in ordered_values:
        counted += counts[value]
        if counted > rank:
            return value
    return ordered_values[-1]


def item_figures(
    item: ScoredItem,
    answers: Mapping[Response, int],
    lowest: float,
    highest: float,
) -> ItemFigures:
    """Compute the figures of one question. `answers`: response → how often it was given; `lowest`: the
    highest total of the lower group, `highest`: the lowest of the upper one (`extreme_group_bounds`). Without
    answers `difficulty` is 0. Difficulty and discrimination follow the keys even if the question is credited
    to everyone or excluded, because they show what is wrong with it."""
    shares = {response: float(score_share(item, response.letters, response.rule)) for response in answers}
    upper = _within_totals(answers, highest, math.inf)
    lower = _within_totals(answers, -math.inf, lowest)
    return ItemFigures(
        answer_count=sum(answers.values()),
        difficulty=_mean_share(shares, answers) or 0.0,
        discrimination=_difference(_mean_share(shares, upper), _mean_share(shares, lower)),
        point_biserial=_item_rest_correlation(item, shares, answers),
        blank_count=_blank_count(answers),
        upper=sum(upper.values()),
        lower=sum(lower.values()),
        choice_counts=_choice_counts(answers, upper, lower),
    )


def _within_totals(answers: Mapping[Response, int], lowest: float, highest: float) -> dict[Response, int]:
    """The answers from sittings with a total from `lowest` to `highest`, both included."""
    return {response: times for response, times in answers.items() if lowest <= response.total <= highest}


def _blank_count(answers: Mapping[Response, int]) -> int:
    """How many answers have no letter."""
    return sum(times for response, times in answers.items() if not response.letters)


def _mean_share(shares: Mapping[Response, float], answers: Mapping[Response, int]) -> float | None:
    """The mean part of the question's points that these answers earned; `shares`: response → its part. None
    without answers."""
    answer_count = sum(answers.values())
    if not answer_count:
        return None
    return sum(times * shares[response] for response, times in answers.items()) / answer_count


def _difference(upper: float | None, lower: float | None) -> float | None:
    """`upper` minus `lower`; None if either is None."""
    return None if upper is None or lower is None else upper - lower


def _item_rest_correlation(
    item: ScoredItem,
    shares: Mapping[Response, float],
    answers: Mapping[Response, int],
) -> float | None:
    """The correlation of what a question earned with the rest of the total (the total without this question);
    None where `correlation` gives none. `shares`: response → the part of the points it earned."""
    return correlation(
        (
            shares[response],
            response.total - float(earned_tenths(item, response.letters, response.rule)),
            times,
        )
        for response, times in answers.items()
    )


def _choice_counts(
    answers: Mapping[Response, int],
    upper: Mapping[Response, int],
    lower: Mapping[Response, int],
) -> dict[str, tuple[int, int, int]]:
    """Letter → how many chose it, of all, of the upper and of the lower group; letters that nobody chose are
    left out."""
    of_all, of_upper, of_lower = map(_letter_counts, (answers, upper, lower))
    return {letter: (of_all[letter], of_upper[letter], of_lower[letter]) for letter in sorted(of_all)}


def _letter_counts(answers: Mapping[Response, int]) -> Counter[str]:
    """Letter → how many answers have it."""
    letter_counts: Counter[str] = Counter()
    for response, times in answers.items():
        letter_counts.update(dict.fromkeys(response.letters, times))
    return letter_counts


def correlation(
    pairs: Iterable[tuple[float, float, int]],
) -> float | None:
    """Pearson's correlation of x and y from (x, y, how often); None if x or y doesn't vary, or for fewer than
    two pairs."""
    counted_pairs = list(pairs)
    if sum(times for *_, times in counted_pairs) < 2:
        return None
    xs, ys, counts = zip(*counted_pairs, strict=True)
    x_deviations = _deviations(xs, counts)
    y_deviations = _deviations(ys, counts)
    xx = _sum_of_products(x_deviations, x_deviations, counts)
    yy = _sum_of_products(y_deviations, y_deviations, counts)
    if min(xx, yy) <= MIN_VARIANCE:
        return None
    xy = _sum_of_products(x_deviations, y_deviations, counts)
    return max(-1.0, min(1.0, xy / math.sqrt(xx * yy)))


def _deviations(values: Sequence[float], counts: Sequence[int]) -> list[float]:
    """How far each value is from the mean; `counts`: how often each value occurs."""
    mean = sum(map(operator.mul, values, counts)) / sum(counts)
    return [value - mean for value in values]


def _sum_of_products(xs: Iterable[float], ys: Iterable[float], counts: Iterable[int]) -> float:
    """The sum of x · y, each pair as often as `counts` says."""
    return sum(times * x * y for x, y, times in zip(xs, ys, counts, strict=True))


def _mean(counts: Mapping[Value, int]) -> float:
    """The mean of values (at least one), given as value → how often."""
    return sum(value * times for value, times in counts.items()) / sum(counts.values())


def variance(values: Mapping[Value, int]) -> float:
    """The variance of a whole population (not of a sample) of at least one value, given as value → how
    often."""
    mean = _mean(values)
    squares = sum(times * (value - mean) ** 2 for value, times in values.items())
    return squares / sum(values.values())


@dataclass(frozen=True)
class Reliability:
    """How reliable a paper is. `kr20`: Kuder-Richardson 20, or, if questions have different points or can be
    partly right, Cronbach's alpha (the same formula); `standard_error`: of a score, in points of 100;
    `is_dichotomous`: all questions earn the same points or none, so that it is Kuder-Richardson 20."""

    kr20: float
    standard_error: float
    is_dichotomous: bool


class VarianceContribution(NamedTuple):
    """What a question that counts contributes to a paper's reliability: its points in tenths, the variance of
    what was earned by it, and whether everyone earned all of it or nothing."""

    max_points: float
    variance: float
    is_dichotomous: bool


def variance_contribution(item: ScoredItem, answers: Mapping[Response, int]) -> VarianceContribution | None:
    """The contribution of one question; `answers`: response → how often, at least one. None if the question
    is excluded or worth nothing."""
    if item.treatment == "excluded" or not item.tenths:
        return None
    earned_counts: Counter[float] = Counter()
    for response, times in answers.items():
        earned_counts[float(earned_tenths(item, response.letters, response.rule))] += times
    max_points = float(item.tenths)
    return VarianceContribution(
        max_points,
        variance(earned_counts),
        earned_counts.keys() <= {0.0, max_points},
    )


def compute_reliability(
    contributions: Sequence[VarianceContribution],
    totals: Mapping[float, int],
) -> Reliability | None:
    """The reliability of a paper of which everyone sat the same questions. `contributions`: the contributions
    of the questions that count; `totals`: total → how many sittings. None for fewer than two questions, or if
    all have the same total."""
    total_variance = variance(totals) if totals else 0.0
    if len(contributions) < 2 or total_variance < MIN_VARIANCE:
        return None
    kr20 = _kr20(contributions, total_variance)
    max_points = sum(spread.max_points for spread in contributions)
    return Reliability(
        kr20,
        math.sqrt(total_variance) * math.sqrt(max(0.0, 1 - kr20)) * 100 / max_points,
        _is_dichotomous(contributions),
    )


def _kr20(contributions: Sequence[VarianceContribution], total_variance: float) -> float:
    """Kuder-Richardson 20 from the contributions of at least two questions and the variance of the totals."""
    item_count = len(contributions)
    item_variance = sum(spread.variance for spread in contributions)
    return item_count / (item_count - 1) * (1 - item_variance / total_variance)


def _is_dichotomous(contributions: Sequence[VarianceContribution]) -> bool:
    """Whether all questions have the same points, and everyone earned all of them or nothing."""
    kinds = {(spread.max_points, spread.is_dichotomous) for spread in contributions}
    return len(kinds) == 1 and all(is_dichotomous for _, is_dichotomous in kinds)


@dataclass(frozen=True)
class Distribution:
    """How scores are distributed, in points of 100. `histogram`: how many scores are in [0, 10), [10, 20) …
    [90, 100]; `passing_count`: how many reach the pass line, None without a line."""

    count: int
    mean: float
    standard_deviation: float
    median: float
    minimum: float
    maximum: float
    histogram: tuple[int, ...]
    passing_count: int | None


def compute_distribution(scores: Mapping[int, int], pass_line: int | None = None) -> Distribution | None:
    """The distribution of `scores`: score in tenths → how many; None without scores. `pass_line`: the pass
    line in tenths."""
    score_count = sum(scores.values())
    if not score_count:
        return None
    return Distribution(
        count=score_count,
        mean=_mean(scores) / 10,
        standard_deviation=math.sqrt(variance(scores)) / 10,
        median=_median(scores, score_count) / 10,
        minimum=min(scores) / 10,
        maximum=max(scores) / 10,
        histogram=_histogram(scores),
        passing_count=None if pass_line is None else _passing_count(scores, pass_line),
    )


def _median(scores: Mapping[int, int], score_count: int) -> float:
    """The median of scores in tenths."""
    ordered = sorted(scores)
    below = _value_at_rank(ordered, scores, (score_count - 1) // 2)
    above = _value_at_rank(ordered, scores, score_count // 2)
    return (below + above) / 2


def _histogram(scores: Mapping[int, int]) -> tuple[int, ...]:
    """How many scores (tenths of a point) are in each of HISTOGRAM_BINS equal ranges."""
    bin_counts = [0] * HISTOGRAM_BINS
    for score, times in scores.items():
        bin_counts[min(score // (1000 // HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += times
    return tuple(bin_counts)


def _passing_count(scores: Mapping[int, int], pass_line: int) -> int:
    """How many scores reach the pass line (tenths)."""
    return sum(times for score, times in scores.items() if score >= pass_line)
