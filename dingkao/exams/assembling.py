"""Assembly (组卷): how many of which questions make up a paper, so that every drawing of it has the same counts by type, topic and difficulty.

What may be drawn are units: a question, or a group that stays whole. Units that are alike (type, and of each question subject, topic and
difficulty) are interchangeable; a plan says how many of each sort are drawn, and a drawing only chooses which. The plan is the solution of a
small integer programme: counts by type, cells and the share of 公共知识 are met exactly or said to be short; what nobody has asked for follows
the stock of the banks as closely as it can.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dingkao.exams.models import DIFFICULTIES

UNMET, PATIENCE_SECONDS = 10_000.0, 5.0


class Sort(NamedTuple):
    """Of one question, what a blueprint can ask for; `topic` is empty where the blueprint doesn't name it."""

    subject: str
    topic: str
    difficulty: str


Sorts = tuple[Sort, ...]
"""The sorts of a unit's questions, in order: one for a question by itself."""
Plan = dict[str, dict[Sorts, int]]
"""By type: how many units of each sort are drawn."""


@dataclass(frozen=True)
class Cell:
    """A cell of a blueprint: `number` questions of a topic, a difficulty, or both; `share` is how it was typed, in percent of the paper."""

    topic: str | None
    difficulty: str | None
    number: int
    share: int | None = None

    def holds(self, sort: Sort) -> bool:
        """Whether a question of this sort stands in the cell."""
        return self.topic in (None, sort.topic) and self.difficulty in (None, sort.difficulty)

    def label(self) -> str:
        """The cell in words."""
        return "、".join(part for part in (self.topic, f"难度:{DIFFICULTIES[self.difficulty]}" if self.difficulty else None) if part) or "全部"


@dataclass(frozen=True)
class Need:
    """What a blueprint asks for in one respect, and what the banks have: `got` is what a paper can have of it beside all the rest."""

    label: str
    wanted: int
    has: int
    got: int

    @property
    def met(self) -> bool:
        """Whether it can be had."""
        return self.got == self.wanted

    def sentence(self) -> str:
        """What is short, in words; empty where nothing is."""
        if self.met:
            return ""
        if self.has < self.wanted:
            return f"题库只有{self.has}道,不足{self.wanted}道"
        if self.got < self.wanted:
            return f"题库有{self.has}道,但与其他要求(题型、按组抽取)合起来只能取{self.got}道"
        return f"其他要求已带入{self.got}道,多于所需的{self.wanted}道"


@dataclass(frozen=True)
class Assembly:
    """What came of an assembly: the plan, and each need with what was found."""

    plan: Plan
    needs: list[Need]

    @property
    def complete(self) -> bool:
        """Whether every need is met."""
        return all(need.met for need in self.needs)

    def lacking(self) -> str:
        """What is short, need by need, in one sentence."""
        return ";".join(f"{need.label}需要{need.wanted}道,{need.sentence()}" for need in self.needs if not need.met)


@dataclass(frozen=True)
class _Term:
    """One need as a row of the programme: how many of its questions a unit of each variable holds."""

    label: str
    wanted: int
    weights: dict[int, int]


def assemble(stock: Mapping[str, Mapping[Sorts, int]], counts: Mapping[str, int], *, humanities: int = 0, cells: Sequence[Cell] = ()) -> Assembly:
    """The plan for `counts` questions of each type out of `stock` (by type, how many units of each sort there are), with `humanities`
    questions of 公共知识 and the cells met. Nothing is raised where it can't be done: the needs say what is short."""
    keys = [(kind, sorts) for kind in counts if counts[kind] for sorts in sorted(stock.get(kind, {}))]
    terms = [_Term(f"{kind}型题", number, {at: len(sorts) for at, (own, sorts) in enumerate(keys) if own == kind}) for kind, number in counts.items() if number]
    if humanities:
        terms.append(_Term("公共知识题", humanities, _weights(keys, lambda sort: sort.subject == "common")))
    terms += [_Term(cell.label(), cell.number, _weights(keys, cell.holds)) for cell in cells]
    most = [stock[kind][sorts] for kind, sorts in keys]
    chosen = _solved(most, terms, _aims(keys, most, counts))
    plan: Plan = {}
    for (kind, sorts), number in zip(keys, chosen, strict=True):
        if number:
            plan.setdefault(kind, {})[sorts] = number
    needs = [
        Need(
            term.label, term.wanted, sum(weight * most[at] for at, weight in term.weights.items()),
            sum(weight * chosen[at] for at, weight in term.weights.items()),
        )
        for term in terms
    ]  # fmt: skip
    return Assembly(plan, needs)


def _weights(keys: Sequence[tuple[str, Sorts]], holds: Callable[[Sort], bool]) -> dict[int, int]:
    found = {at: sum(holds(sort) for sort in sorts) for at, (_, sorts) in enumerate(keys)}
    return {at: weight for at, weight in found.items() if weight}


def _aims(keys: Sequence[tuple[str, Sorts]], most: Sequence[int], counts: Mapping[str, int]) -> list[tuple[int, float]]:
    """For each variable the questions of a unit, and how many questions it would give if the type followed the stock."""
    whole: dict[str, int] = {}
    for (kind, sorts), number in zip(keys, most, strict=True):
        whole[kind] = whole.get(kind, 0) + number * len(sorts)
    return [(len(sorts), counts[kind] * number * len(sorts) / whole[kind]) for (kind, sorts), number in zip(keys, most, strict=True)]


def _solved(most: Sequence[int], terms: Sequence[_Term], aims: Sequence[tuple[int, float]]) -> list[int]:
    from highspy import Highs  # a third of a second, and most processes assemble nothing

    class Silent(Highs):
        def enableCallbacks(self) -> None:  # noqa: N802 - before its first words, which would stand on our standard output
            self.setOptionValue("output_flag", False)
            super().enableCallbacks()

    if not most:
        return []
    model = Silent()
    for option, value in (("random_seed", 1), ("threads", 1), ("time_limit", PATIENCE_SECONDS)):
        model.setOptionValue(option, value)
    numbers = [model.addIntegral(lb=0, ub=number) for number in most]
    cost = []
    for at, (size, aim) in enumerate(aims):
        off = model.addVariable(lb=0)
        model.addConstr(size * numbers[at] - off <= aim)
        model.addConstr(size * numbers[at] + off >= aim)
        cost.append(1.0 * off)
    for term in terms:
        if not term.weights:
            continue
        under, over = model.addVariable(lb=0), model.addVariable(lb=0)
        model.addConstr(model.qsum(weight * numbers[at] for at, weight in term.weights.items()) + under - over == term.wanted)
        cost += [UNMET * under, UNMET * over]
    model.minimize(model.qsum(cost))
    return [round(value) for value in model.vals(numbers)]
