"""The types of assembly: what a blueprint asks for, and what assembly returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dingkao.question_banks.models import DIFFICULTIES


class QuestionAttributes(NamedTuple):
    """The attributes of a question that a blueprint can ask for. `subject` and `difficulty` are codes
    (SUBJECTS, DIFFICULTIES); `topic` is a name, "" if the question has none."""

    subject: str
    topic: str
    difficulty: str


Weights = tuple[int, ...]
"""How many questions of one unit count for each part of a blueprint, in this order: all of them, those of
公共知识, those of each cell."""
UnitCounts = Mapping[str, Mapping[Weights, int]]
"""Type → weights → how many such units the banks have."""
Plan = dict[str, dict[Weights, int]]
"""Type → weights → how many such units are drawn."""


class PlanShare(NamedTuple):
    """A plan with the part of all drawings that follow it (0 to 1); the probabilities of a mixture add up to
    1."""

    probability: float
    plan: Plan


@dataclass(frozen=True)
class BlueprintCell:
    """A cell of a blueprint: `number` questions of a topic, a difficulty, or both (None: any). `share`: the
    percent of the paper from which `number` was computed, None if it was typed as a number."""

    topic: str | None
    difficulty: str | None
    number: int
    share: int | None = None

    def matches(self, sort: QuestionAttributes) -> bool:
        """Whether a question with these attributes counts for the cell."""
        return self.topic in (
            None,
            sort.topic,
        ) and self.difficulty in (
            None,
            sort.difficulty,
        )

    def label(self) -> str:
        """The cell's topic and difficulty as text."""
        difficulty = f"难度：{DIFFICULTIES[self.difficulty]}" if self.difficulty else None
        return "、".join(part for part in (self.topic, difficulty) if part) or "全部"


class Blueprint(NamedTuple):
    """What a paper asks for: `counts`, type → how many questions; `common_count` of them of 公共知识; and
    cells of topics and difficulties."""

    counts: Mapping[str, int]
    common_count: int = 0
    cells: Sequence[BlueprintCell] = ()

    def weights(self, sorts: Sequence[QuestionAttributes]) -> Weights:
        """How the questions of a unit count for this blueprint; `sorts` are the attributes of each. What the
        blueprint doesn't ask for makes no difference between units: 公共知识 counts 0 then."""
        common = sum(sort.subject == "common" for sort in sorts) if self.common_count else 0
        return (
            len(sorts),
            common,
            *(sum(map(cell.matches, sorts)) for cell in self.cells),
        )


@dataclass(frozen=True)
class Requirement:
    """One thing that a blueprint asks for, in questions. `required`: how many it asks for; `in_stock`: how
    many the banks have; `attainable`: how many a paper can have that meets the other requirements as nearly
    as possible."""

    label: str
    required: int
    in_stock: int
    attainable: int

    @property
    def is_met(self) -> bool:
        """Whether a paper can have exactly as many as required."""
        return self.attainable == self.required

    def shortage_message(self) -> str:
        """What is short or too many, as text; "" if the requirement is met."""
        if self.is_met:
            return ""
        if self.in_stock < self.required:
            return f"题库只有{self.in_stock}道，不足{self.required}道"
        if self.attainable < self.required:
            return f"题库有{self.in_stock}道，但与其他要求（题型、按组抽取）合起来只能取{self.attainable}道"
        return f"其他要求已带入{self.attainable}道，多于所需的{self.required}道"


@dataclass(frozen=True)
class AssemblyResult:
    """The result of an assembly: each requirement of the blueprint with what was found, and the mixture of
    plans, which is empty unless all requirements are met."""

    requirements: list[Requirement]
    mixture: list[PlanShare]

    @property
    def is_complete(self) -> bool:
        """Whether all requirements are met."""
        return all(requirement.is_met for requirement in self.requirements)

    def shortage_message(self) -> str:
        """What is short, for each unmet requirement, in one sentence; "" if all are met."""
        return "；".join(
            f"{requirement.label}需要{requirement.required}道，{requirement.shortage_message()}"
            for requirement in self.requirements
            if not requirement.is_met
        )
