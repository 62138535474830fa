"""The mixture of plans of an assembly. Over the plans of a mixture every unit of a type has the same chance
to be drawn, as nearly as is possible if groups stay whole."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations_with_replacement
from operator import add, mul
from typing import Any

import numpy
from highspy import HighsModelStatus

from dingkao.exams.assembly.blueprint_types import (
    Blueprint,
    PlanShare,
)
from dingkao.exams.assembly.solver import Problem, Solver

MAX_PLANS = 40
MIXING_TOLERANCE = 0.0005
"""By what part of the target the mixture's mean may be off in all."""
RANDOM_WALK_PLANS = 2000
STEPS_PER_PLAN = 60
NEWTON_STEPS = 60
MAX_STEP = 4.0
MAX_LOG_ODDS = 30.0


def solve_mixture(problem: Problem, blueprint: Blueprint, nearest: Sequence[int]) -> list[PlanShare]:
    """Return plans and their probabilities, whose mean gives every unit of a type the same chance, as nearly
    as is possible if groups stay whole. `nearest`: one plan that meets the blueprint (there must be one), as
    units per class.

    Plans are found one by one (column generation): a linear programme mixes the plans found so far, and its
    dual prices tell an integer programme which further plan would bring the mean nearer to the target. If
    that doesn't reach the target (blueprints with many cells), a random walk from plan to plan adds more.
    """
    if problem.has_one_class_per_type():
        return [PlanShare(1.0, problem.plan_of_counts(nearest))]
    target = _target_counts(problem, blueprint)
    mixer = _MixtureSolver(target)
    mixer.add(nearest)
    _generate_plans(mixer, _PlanFinder(problem, target))
    if not mixer.is_close():
        for plan in _random_walk_plans(problem, target, list(mixer.plans)):
            mixer.add(plan)
    return [PlanShare(part, problem.plan_of_counts(plan)) for part, plan in mixer.shares()]


def _random_walk_plans(
    problem: Problem,
    target: Sequence[float],
    starts: Sequence[Sequence[int]],
) -> Iterator[list[int]]:
    """About RANDOM_WALK_PLANS plans (units per class), repeated ones among them, that a random walk from each
    of `starts` visits; a start with fewer than two units is left out. A step exchanges two units for two
    others that count alike, and tends to the `target` (units per class): the rule of Metropolis and Hastings,
    with the odds that the target gives each class."""
    alike = _exchangeable_pairs(problem)
    odds = [mean / max(number - mean, 1e-9) for mean, number in zip(target, problem.stock, strict=True)]
    chance = random.Random(1)  # noqa: S311 - no secret: it only finds plans, it doesn't draw
    plans_per_start = max(1, RANDOM_WALK_PLANS // len(starts))
    for start in starts:
        numbers = list(start)
        units = list(Counter(dict(enumerate(start))).elements())
        if len(units) < 2:
            continue
        for _ in range(plans_per_start):
            for _ in range(STEPS_PER_PLAN):
                _exchange_units(
                    numbers,
                    units,
                    alike,
                    odds,
                    problem.stock,
                    chance,
                )
            yield list(numbers)


def _exchangeable_pairs(
    problem: Problem,
) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """For each pair of classes (their indices): all pairs whose two units have the same types and together
    count alike for the blueprint, the pair itself among them."""
    weights = list(zip(*(constraint.weights for constraint in problem.constraints), strict=True))
    kinds = [kind for kind, _ in problem.classes]
    pairs_by_sum: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    alike: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for first, second in combinations_with_replacement(range(len(kinds)), 2):
        kinds_of_pair = tuple(sorted((kinds[first], kinds[second])))
        weight_sums = map(add, weights[first], weights[second])
        pairs = pairs_by_sum.setdefault((kinds_of_pair, *weight_sums), [])
        pairs.append((first, second))
        alike[first, second] = pairs
    return alike


def _exchange_units(
    numbers: list[int],
    units: list[int],
    alike: Mapping[tuple[int, int], Sequence[tuple[int, int]]],
    odds: Sequence[float],
    stock: Sequence[int],
    rng: random.Random,
) -> None:
    """One step of the random walk: exchange two units at random for two that count alike, or leave all as it
    is, by the rule of Metropolis and Hastings. Changes `numbers` (units per class) and `units` (the class of
    each unit in the plan). `alike`: see `_exchangeable_pairs`; `odds`: for each class the odds that one of
    its units is drawn if the target is met; `stock`: units per class in the banks."""
    first, second = rng.sample(range(len(units)), 2)
    leaving = tuple(sorted((units[first], units[second])))
    entering = rng.choice(alike[leaving[0], leaving[1]])
    ratio = 1.0
    for class_index in leaving:
        numbers[class_index] -= 1
        ratio /= (stock[class_index] - numbers[class_index]) * odds[class_index]
    for class_index in entering:
        ratio *= (stock[class_index] - numbers[class_index]) * odds[class_index]
        numbers[class_index] += 1
    if rng.random() < ratio:
        units[first], units[second] = entering
        return
    # the exchange was rejected: undo it
    for class_index, change in zip((*entering, *leaving), (-1, -1, 1, 1), strict=True):
        numbers[class_index] += change


def _target_counts(problem: Problem, blueprint: Blueprint) -> list[float]:
    """How many units of each class an average drawing should have. Of each type every class gives the same
    part; if that doesn't meet the rest of the blueprint, the chances that meet it and are otherwise as even
    as possible (least relative entropy, by Newton's method, as near as NEWTON_STEPS bring it; `prices` are
    the Lagrange multipliers of the constraints)."""
    stock = numpy.array(problem.stock, dtype=float)
    weights = numpy.array([constraint.weights for constraint in problem.constraints], dtype=float)
    required = numpy.array([constraint.required for constraint in problem.constraints], dtype=float)
    even = _even_chances(problem, blueprint)
    odds = numpy.log(even / (1 - even))
    prices = numpy.zeros(len(required))
    for _ in range(NEWTON_STEPS):
        chances = 1 / (1 + numpy.exp(-(odds + prices @ weights).clip(-MAX_LOG_ODDS, MAX_LOG_ODDS)))
        gap = required - weights @ (stock * chances)
        if abs(gap).max() < 1e-9:
            break
        slope = (weights * (stock * chances * (1 - chances))) @ weights.T
        step = numpy.linalg.lstsq(slope, gap, rcond=1e-9)[0]
        prices += step * min(1.0, MAX_STEP / max(abs(step).max(), 1e-12))
    return list(map(float, stock * chances))


def _even_chances(problem: Problem, blueprint: Blueprint) -> numpy.ndarray:
    """The chance of a unit of each class if every unit of a type has the same chance, kept a little above 0
    and below 1."""
    question_counts: Counter[str] = Counter()
    for (kind, weights), number in zip(problem.classes, problem.stock, strict=True):
        question_counts[kind] += number * weights[0]
    chances = [blueprint.counts[kind] / question_counts[kind] for kind, _ in problem.classes]
    return numpy.array(chances).clip(1e-9, 1 - 1e-9)


class _MixtureSolver:
    """The linear programme over the plans found so far: it finds the probabilities that bring their mean as
    near to the target (units per class) as possible."""

    def __init__(self, target: Sequence[float]) -> None:
        """Set up the programme without any plan: a constraint for each class, and the last one that the
        probabilities add up to 1."""
        self.solver, self.target, self.plans = (
            Solver(),
            target,
            list[list[int]](),
        )
        gaps = [self._add_gap() for _ in target]
        for (under, over), mean in zip(gaps, target, strict=True):
            self.solver.addConstr(under - over == mean)
        self.solver.addConstr(0 * gaps[0][0] == 1)
        for variable_index in range(2 * len(target)):
            self.solver.changeColCost(variable_index, 1.0)

    def _add_gap(self) -> tuple[Any, Any]:
        """Add two variables for one class: how far the mean is under the target, and how far over."""
        return self.solver.addVariable(lb=0), self.solver.addVariable(lb=0)

    def add(self, plan: Sequence[int]) -> bool:
        """Add `plan` (units per class); returns False if it is in the programme already."""
        if plan in self.plans:
            return False
        self.plans.append(list(plan))
        drawn_classes = [index for index, number in enumerate(plan) if number]
        rows = numpy.array([*drawn_classes, len(self.target)], dtype=numpy.int32)
        values = numpy.array([*(float(plan[index]) for index in drawn_classes), 1.0])
        self.solver.addCol(0.0, 0.0, 1.0, len(rows), rows, values)
        return True

    def is_close(self) -> bool:
        """Run the programme over the plans added; returns whether their best mean is within MIXING_TOLERANCE
        of the target."""
        self.solver.run()
        return bool(self.solver.getObjectiveValue() <= MIXING_TOLERANCE * sum(self.target))

    def dual_prices(self) -> tuple[list[float], float]:
        """How much one more unit of each class would bring the mean nearer to the target, and the dual price
        of the constraint that probabilities add up to 1; both of the last run (`is_close`)."""
        duals = list(self.solver.getSolution().row_dual)
        return duals[:-1], duals[-1]

    def shares(self) -> list[tuple[float, list[int]]]:
        """Run the programme; returns the plans with a probability above 0: (probability, units per class)."""
        self.solver.run()
        values = list(self.solver.getSolution().col_value)[-len(self.plans) :]
        parts = [max(0.0, value) for value in values]
        whole = sum(parts)
        return [(part / whole, plan) for part, plan in zip(parts, self.plans, strict=True) if part > 1e-9]


class _PlanFinder:
    """The integer programme that finds the plan of the greatest worth at given dual prices. At first every
    class stays within one unit of the target, so that all drawings are of a similar make-up; once no such
    plan helps, that limit is dropped."""

    def __init__(self, problem: Problem, target: Sequence[float]) -> None:
        """Set up the problem's constraints and, for each class, the bounds next to its target."""
        self.problem, self.solver = problem, Solver()
        self.numbers = [self.solver.addIntegral(lb=0, ub=number) for number in problem.stock]
        for constraint in problem.constraints:
            self.solver.add_constraint(self.numbers, constraint)
        self.near = [
            (int(mean + 1e-6), min(number, int(mean + 1 - 1e-6)))
            for mean, number in zip(target, problem.stock, strict=True)
        ]
        self.narrow = True
        self._set_bounds()

    def best_plan(self, prices: Sequence[float], price: float) -> list[int] | None:
        """The plan (units per class) of the greatest worth at `prices` per unit; None if no plan's worth and
        `price` (of a plan as a whole) together exceed 0. Drops the limit near the target for good once it
        finds none within it."""
        plan = self._solve(prices, price)
        if plan is None and self.narrow:
            self.narrow = False
            self._set_bounds()
            plan = self._solve(prices, price)
        return plan

    def _solve(self, prices: Sequence[float], price: float) -> list[int] | None:
        """The plan (units per class) of the greatest worth at `prices` per unit, within the present bounds;
        None if there is none, or its worth and `price` together are not above 0."""
        self._set_prices(prices)
        self.solver.run()
        if self.solver.getModelStatus() != HighsModelStatus.kOptimal:
            return None
        numbers = list(map(round, self.solver.vals(self.numbers)))
        worth = sum(map(mul, prices, numbers)) + price
        return numbers if worth > 1e-7 else None

    def _set_prices(self, prices: Sequence[float]) -> None:
        """Set the objective: the worth of a plan, to be maximised (HiGHS minimises, hence the sign)."""
        for index, value in enumerate(prices):
            self.solver.changeColCost(index, -value)

    def _set_bounds(self) -> None:
        """Set the bounds of each class: near the target while `narrow`, else what is in stock."""
        for place, number in enumerate(self.problem.stock):
            low, high = self.near[place] if self.narrow else (0, number)
            self.solver.changeColBounds(place, low, high)


def _generate_plans(mixer: _MixtureSolver, finder: _PlanFinder) -> None:
    """Add further plans to the mixture until it is close to the target, no plan helps, or it has
    MAX_PLANS."""
    while not mixer.is_close() and len(mixer.plans) < MAX_PLANS:
        further = finder.best_plan(*mixer.dual_prices())
        if further is None or not mixer.add(further):
            return
