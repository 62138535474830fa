"""An assembly as an integer programme, solved by HiGHS: how many units of each class come nearest to what a
blueprint asks for."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from highspy import Highs

from dingkao.exams.assembly.blueprint_types import (
    Blueprint,
    Plan,
    Requirement,
    UnitCounts,
    Weights,
)

SOLVER_TIMEOUT_SECONDS = 5.0
TYPE_SHORTFALL_COST = 10
"""What each question costs that is lacking or too many for a type's count; for other constraints it is 1. So
if not all can be met, the counts by type are, and the cells are reported as short."""


class Constraint(NamedTuple):
    """One thing a blueprint asks for. `label`: its name on the screen; `required`: how many questions;
    `weights`: for each class, how many questions of one unit count for it; `cost`: what each question costs
    that is lacking or too many."""

    label: str
    required: int
    weights: list[int]
    cost: int = 1


class Problem(NamedTuple):
    """An assembly in numbers. `classes`: type and weights of each class of units; `stock`: how many units
    each has; `constraints`: the constraints to be met."""

    classes: list[tuple[str, Weights]]
    stock: list[int]
    constraints: list[Constraint]

    def plan_of_counts(self, numbers: Sequence[int]) -> Plan:
        """The plan that draws `numbers` units of the classes, in the order of `classes`."""
        plan: Plan = {}
        for (kind, weights), number in zip(self.classes, numbers, strict=True):
            if number:
                plan.setdefault(kind, {})[weights] = number
        return plan

    def count_for(self, constraint: Constraint, numbers: Sequence[int]) -> int:
        """How many questions count for the constraint `constraint` if `numbers` units of the classes are
        drawn."""
        return sum(weight * number for weight, number in zip(constraint.weights, numbers, strict=True))

    def has_one_class_per_type(self) -> bool:
        """Whether all units of a type are interchangeable."""
        return len({kind for kind, _ in self.classes}) == len(self.classes)


def build_problem(stock: UnitCounts, blueprint: Blueprint) -> Problem:
    """Return the integer programme for a blueprint over what the banks have in stock."""
    classes = _classes(stock, blueprint)
    return Problem(
        classes,
        [stock[kind][weights] for kind, weights in classes],
        [
            *_type_constraints(blueprint, classes),
            *_share_constraints(blueprint, classes),
        ],
    )


def _classes(stock: UnitCounts, blueprint: Blueprint) -> list[tuple[str, Weights]]:
    """The classes of units in stock of the types that a blueprint asks for: (type, weights)."""
    kinds = (kind for kind, number in blueprint.counts.items() if number)
    return [(kind, weights) for kind in kinds for weights in sorted(stock.get(kind, {}))]


def _type_constraints(blueprint: Blueprint, classes: Sequence[tuple[str, Weights]]) -> Iterator[Constraint]:
    """A constraint for each type that the blueprint asks for; weights[0] of a class is how many questions
    each of its units has."""
    for kind, required in blueprint.counts.items():
        if required:
            yield Constraint(
                f"{kind}型题",
                required,
                [weights[0] if of_kind == kind else 0 for of_kind, weights in classes],
                TYPE_SHORTFALL_COST,
            )


def _share_constraints(blueprint: Blueprint, classes: Sequence[tuple[str, Weights]]) -> Iterator[Constraint]:
    """The constraints for 公共知识 and for each cell of the blueprint."""
    if blueprint.common_count:
        yield Constraint(
            "公共知识题",
            blueprint.common_count,
            _weights_at(1, classes),
        )
    for weight_index, cell in enumerate(blueprint.cells, 2):
        yield Constraint(
            cell.label(),
            cell.number,
            _weights_at(weight_index, classes),
        )


def _weights_at(index: int, classes: Sequence[tuple[str, Weights]]) -> list[int]:
    """For each class, the number at `index` of its weights: 1 for 公共知识, from 2 on the cells."""
    return [weights[index] for _, weights in classes]


def evaluate_requirements(
    problem: Problem,
) -> tuple[list[Requirement], list[int]]:
    """Each requirement with what the banks have and what a paper can have of it, and by how many units of
    each class (`unit_counts`, in the order of the problem's classes) a paper has that: those with which the
    questions lacking or too many, over all requirements together, cost least (see Constraint); no question
    is, if all can be met."""
    unit_counts = _solve_nearest(problem)
    requirements = [
        Requirement(
            constraint.label,
            constraint.required,
            problem.count_for(constraint, problem.stock),
            problem.count_for(constraint, unit_counts),
        )
        for constraint in problem.constraints
    ]
    return requirements, unit_counts


class Solver(Highs):
    """HiGHS with no output on standard output, and the same solution each time (one thread, fixed seed)
    unless a run is cut off after SOLVER_TIMEOUT_SECONDS."""

    def __init__(self) -> None:
        super().__init__()
        options = (
            ("output_flag", False),
            ("random_seed", 1),
            ("threads", 1),
            ("time_limit", SOLVER_TIMEOUT_SECONDS),
        )
        for option, value in options:
            self.setOptionValue(option, value)

    def enableCallbacks(self) -> None:  # noqa: N802 - HiGHS's own name
        """Silence HiGHS, which calls this before any option can be set and would print a banner, then do what
        HiGHS does."""
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()

    def add_constraint(self, numbers: Sequence[Any], constraint: Constraint, slack: Any = 0) -> None:
        """Require that `numbers`, the variables for units per class, meet the constraint `constraint`;
        `slack` is an expression added to their sum. Does nothing if no class counts for it."""
        terms = [
            weight * number for weight, number in zip(constraint.weights, numbers, strict=True) if weight
        ]
        if terms:
            self.addConstr(self.qsum(terms) + slack == constraint.required)


def _solve_nearest(problem: Problem) -> list[int]:
    """Units per class, in whole numbers, that cost least by the constraints' costs for questions lacking or
    too many: the best found within SOLVER_TIMEOUT_SECONDS."""
    if not problem.classes:
        return []
    solver = Solver()
    numbers = [solver.addIntegral(lb=0, ub=number) for number in problem.stock]
    costs = []
    for constraint in problem.constraints:
        under = solver.addVariable(lb=0)
        over = solver.addVariable(lb=0)
        solver.add_constraint(numbers, constraint, under - over)
        costs += [constraint.cost * under, constraint.cost * over]
    solver.minimize(solver.qsum(costs))
    return [round(value) for value in solver.vals(numbers)]
