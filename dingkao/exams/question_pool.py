"""Candidates: which questions of the banks may be drawn for a subject and category, as units that stay whole.

Questions that are in the banks more than once, or have similar texts (see `question_banks/similarity`), count
as one candidate, so that no paper has both. A question for exams is not a candidate if a similar one is
practised, because practice shows the key.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    false,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from dingkao.database.base import db
from dingkao.exams.assembly.blueprint_types import (
    Blueprint,
    QuestionAttributes,
    UnitCounts,
    Weights,
)
from dingkao.question_banks.models import Question, QuestionVersion
from dingkao.question_banks.question_types import QUESTION_TYPES

DIFFICULTY_RANK = {"easy": 0, "medium": 1, "hard": 2}


class DrawUnit(NamedTuple):
    """What is drawn as a whole: a question or a group. `versions`: the id of each question version with the
    letters of its options in order. `difficulty_rank`: the sum over its questions of 0 for easy, 1 for
    medium, 2 for hard."""

    kind: str
    versions: tuple[tuple[UUID, str], ...]
    difficulty_rank: int = 0


UnitPool = dict[str, dict[Weights, list[list[DrawUnit]]]]
"""Type → weights (how a unit counts for a blueprint) → lists of units of the same difficulty_rank, the
easiest list first."""


class CandidateUnit(NamedTuple):
    """A unit with the attributes of each of its questions."""

    unit: DrawUnit
    attributes: tuple[QuestionAttributes, ...]


@dataclass(frozen=True)
class CandidatePool:
    """The units that may be drawn. `practice_twins`: units that are kept out of exams because similar
    questions are practised. `similar_skipped_count`: how many questions are left out because they are similar
    to others in the pool."""

    units: list[CandidateUnit]
    practice_twins: list[CandidateUnit]
    similar_skipped_count: int

    def pool(self, blueprint: Blueprint, *, with_practised: bool = False) -> UnitPool:
        """The units by type and by how they count for `blueprint`; `with_practised`: also those that are kept
        out because similar questions are practised."""
        pool: defaultdict[str, defaultdict[Weights, list[DrawUnit]]] = defaultdict(lambda: defaultdict(list))
        for unit, sorts in self.units + (self.practice_twins if with_practised else []):
            pool[unit.kind][blueprint.weights(sorts)].append(unit)
        return {kind: _by_difficulty(classes) for kind, classes in pool.items()}

    def count_by_type(self) -> dict[str, int]:
        """Type → how many questions may be drawn, for every type."""
        counts = dict.fromkeys(QUESTION_TYPES, 0)
        for unit, _ in self.units:
            counts[unit.kind] += len(unit.versions)
        return counts

    def count_by_topic(self) -> dict[tuple[str, str], int]:
        """(topic, difficulty) → how many questions may be drawn; topic is "" for questions without one."""
        return dict(Counter((sort.topic, sort.difficulty) for _, sorts in self.units for sort in sorts))

    def unit_sizes(self, kind: str) -> list[int]:
        """For each unit of a type, how many questions it has."""
        return [len(unit.versions) for unit, _ in self.units if unit.kind == kind]

    def practice_twin_count(self) -> int:
        """How many questions are kept out of exams because similar ones are practised."""
        return sum(len(unit.versions) for unit, _ in self.practice_twins)


@dataclass
class _CandidateGroup:
    """The questions of one group (or a single question) while they are collected from rows; `practised`: one
    of them is similar to a practised question."""

    id: UUID
    kind: str
    sorts: list[QuestionAttributes] = field(default_factory=list)
    versions: list[tuple[UUID, str]] = field(default_factory=list)
    likenesses: set[bytes] = field(default_factory=set)
    practised: bool = False

    def add(self, question: Row[Any]) -> None:
        """Add a question, a row of `_group_questions`."""
        self.sorts.append(
            QuestionAttributes(
                question.subject,
                question.topic or "",
                question.difficulty,
            )
        )
        self.versions.append((question.current_version, "".join(question.letters)))
        self.practised = self.practised or question.practised
        if question.likeness:
            self.likenesses.add(bytes(question.likeness))

    def precedence(self) -> tuple[bool, int, UUID]:
        """The sort key by which groups are kept: the longest first, so that the fewest questions are left out
        for similar ones; groups with practised questions last."""
        return self.practised, -len(self.versions), self.id

    def to_unit(self) -> CandidateUnit:
        """The group as a unit to be drawn."""
        difficulty_rank = sum(DIFFICULTY_RANK[sort.difficulty] for sort in self.sorts)
        unit = DrawUnit(self.kind, tuple(self.versions), difficulty_rank)
        return CandidateUnit(unit, tuple(self.sorts))


def unit_counts(pool: UnitPool) -> UnitCounts:
    """Type → weights → how many units the pool has."""
    return {
        kind: {weights: sum(map(len, strata)) for weights, strata in classes.items()}
        for kind, classes in pool.items()
    }


def stock_signature(stock: UnitCounts, blueprint: Blueprint) -> str:
    """A hash that is the same if, and only if, both stock and blueprint are the same."""
    numbers = sorted((kind, sorted(classes.items())) for kind, classes in stock.items())
    asked = (
        sorted(blueprint.counts.items()),
        blueprint.common_count,
        [tuple(vars(cell).values()) for cell in blueprint.cells],
    )
    return hashlib.sha256(repr((numbers, asked)).encode()).hexdigest()


def load_candidates(
    subject: str,
    category: str,
    *,
    with_common: bool = False,
    purpose: str = "exam",
) -> CandidatePool:
    """The candidates for a subject and category in the share of the banks for `purpose` ("exam" or
    "practice"); `with_common`: also questions of 公共知识, for a paper that has some."""
    fitting = purpose_condition(subject, category, purpose)
    if with_common:
        fitting = or_(fitting, purpose_condition("common", category, purpose))
    return _without_similar(_group_questions(fitting, purpose))


def _without_similar(
    groups: Iterable[_CandidateGroup],
) -> CandidatePool:
    """Choose groups in the order of `precedence`, leaving out those that have a question similar to one of a
    group chosen before."""
    units: list[CandidateUnit] = []
    practice_twins: list[CandidateUnit] = []
    seen: set[bytes] = set()
    skipped_count = 0
    for group in sorted(groups, key=_CandidateGroup.precedence):
        if not seen.isdisjoint(group.likenesses):
            skipped_count += 0 if group.practised else len(group.versions)
            continue
        seen.update(group.likenesses)
        (practice_twins if group.practised else units).append(group.to_unit())
    return CandidatePool(units, practice_twins, skipped_count)


def purpose_condition(subject: str, category: str, purpose: str = "exam") -> ColumnElement[bool]:
    """The condition that a Question is in use for a purpose ("exam" or "practice"), subject and category; a
    question of 公共知识 without a category fits every category."""
    of_category: ColumnElement[bool] = Question.category == category
    if subject == "common":
        of_category = or_(Question.category.is_(None), of_category)
    return and_(
        Question.subject == subject,
        of_category,
        Question.purpose == purpose,
        Question.retired_at.is_(None),
    )


def option_letters_column() -> ColumnElement[Any]:
    """The letters of a QuestionVersion's options, as a JSON array."""
    return func.jsonb_path_query_array(QuestionVersion.options, literal_column("'$[*][0]'"))


def _group_questions(fitting: ColumnElement[bool], purpose: str) -> list[_CandidateGroup]:
    """The questions that fulfil the condition `fitting`, by group; a question without a group is one of its
    own."""
    columns = (
        Question.group_id,
        Question.id,
        Question.kind,
        Question.subject,
        Question.topic,
        Question.difficulty,
        Question.likeness,
        Question.current_version,
    )
    current = and_(
        QuestionVersion.tenant_id == Question.tenant_id,
        QuestionVersion.id == Question.current_version,
    )
    query = (
        select(
            *columns,
            option_letters_column().label("letters"),
            _practice_twin_condition(purpose).label("practised"),
        )
        .join(QuestionVersion, current)
        .where(fitting)
        .order_by(Question.group_position, Question.id)
    )
    groups: dict[UUID, _CandidateGroup] = {}
    for question in db.session.execute(query):
        key = question.group_id or question.id
        groups.setdefault(key, _CandidateGroup(key, question.kind)).add(question)
    return list(groups.values())


def _practice_twin_condition(purpose: str) -> ColumnElement[bool]:
    """The condition that a Question is similar to one that is, or was, approved for practice; always false
    unless `purpose` is "exam"."""
    copy = aliased(Question)
    same = and_(
        copy.tenant_id == Question.tenant_id,
        copy.likeness == Question.likeness,
    )
    practice = and_(copy.purpose == "practice", copy.approved_at.is_not(None))
    return select(copy.id).where(same, practice).exists() if purpose == "exam" else false()


def _by_difficulty(
    classes: Mapping[Weights, list[DrawUnit]],
) -> dict[Weights, list[list[DrawUnit]]]:
    """The units of each class in lists of the same difficulty_rank, the easiest first."""
    return {weights: _split_by_difficulty(units) for weights, units in classes.items()}


def _split_by_difficulty(
    units: list[DrawUnit],
) -> list[list[DrawUnit]]:
    """Units in lists of the same difficulty_rank, the easiest first."""
    rank = attrgetter("difficulty_rank")
    return [list(of_rank) for _, of_rank in groupby(sorted(units, key=rank), key=rank)]


def largest_fillable(sizes: Iterable[int], limit: int) -> int:
    """The largest number of questions, up to `limit`, that some of the units make up exactly; `sizes`:
    questions of each unit."""
    sums = {0}
    for size in sizes:
        sums |= {reached + size for reached in sums if reached + size <= limit}
        if limit in sums:
            break
    return max(sums)
