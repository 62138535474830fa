"""Assembly (组卷): how many questions of which kind make up a paper, so that every drawing meets the
blueprint and every unit has a chance to be drawn.

What is drawn are units: a single question, or a group, which stays whole. The blueprint counts questions by
type and, if it asks for them, by topic, difficulty and share of 公共知识. Units of one type that count alike
for everything the blueprint asks are interchangeable; they form a class, and a plan says how many units of
each class are drawn. A single plan would never draw a class that doesn't fit into it (of groups of two and of
three questions, the larger ones). Therefore assembly returns a mixture: several plans, each with its
probability, so that over all drawings every unit of a type has the same chance as far as the blueprint
allows.
"""

from dingkao.exams.assembly.blueprint_types import (
    AssemblyResult,
    Blueprint,
    PlanShare,
    Requirement,
    UnitCounts,
)
from dingkao.exams.assembly.mixture import solve_mixture
from dingkao.exams.assembly.solver import (
    build_problem,
    evaluate_requirements,
)


def compute_requirements(stock: UnitCounts, blueprint: Blueprint) -> list[Requirement]:
    """Return each requirement of a blueprint with how much of it `stock` can meet. Raises nothing if one
    can't be met: the requirements say what is short."""
    return evaluate_requirements(build_problem(stock, blueprint))[0]


def assemble_paper(stock: UnitCounts, blueprint: Blueprint, *, mixed: bool = True) -> AssemblyResult:
    """Return each requirement of a blueprint with how much of it `stock` can meet and, if all are met, the
    mixture of plans; a mixture of one plan, which is faster to find, unless `mixed`."""
    problem = build_problem(stock, blueprint)
    requirements, unit_counts = evaluate_requirements(problem)
    if not all(requirement.is_met for requirement in requirements):
        return AssemblyResult(requirements, [])
    if not mixed:
        return AssemblyResult(requirements, [PlanShare(1.0, problem.plan_of_counts(unit_counts))])
    return AssemblyResult(requirements, solve_mixture(problem, blueprint, unit_counts))
