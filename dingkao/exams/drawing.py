"""Drawing a layout: the questions of one sitting, drawn with a seed from those that its paper may have."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import permutations
from typing import NamedTuple
from uuid import UUID

from dingkao.errors import InvalidState
from dingkao.exams.assembly.blueprint_types import (
    Blueprint,
    BlueprintCell,
    PlanShare,
)
from dingkao.exams.assembly.paper_assembly import assemble_paper
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.pool_cache import pool_of_paper, relaxed_blueprints
from dingkao.exams.question_pool import (
    DrawUnit,
    UnitPool,
    largest_fillable,
    load_candidates,
    unit_counts,
)
from dingkao.question_banks.question_types import QUESTION_TYPES

MAX_PERMUTED_OPTIONS = 5
PRACTICE_CHANGED_MESSAGE = "练习题刚刚有变动，请返回后重新开始。"


class DrawnQuestion(NamedTuple):
    """One question of a sitting: the id of its version, and the letters of its options in the order in which
    they are shown."""

    version: UUID
    option_order: str


def dump_layout(layout: Sequence[DrawnQuestion]) -> list[str]:
    """A layout as a sitting's row stores it: "version letters" for each question; short, because it is most
    of the row's size."""
    return [f"{version} {order}" for version, order in layout]


def load_layout(entries: Sequence[str]) -> list[DrawnQuestion]:
    """The layout from the entries that a sitting's row stores: "version letters" each."""
    return [DrawnQuestion(_cached_uuid(entry[:36]), entry[37:]) for entry in entries]


_cached_uuid = lru_cache(maxsize=8192)(UUID)  # many sittings have the same questions


def draw_layout(paper: Paper, seed: int) -> list[DrawnQuestion]:
    """Draw the layout of one sitting of `paper`. The same seed over the same banks, as `pool_of_paper` has
    cached them, draws the same layout, and every seed meets the blueprint; what the blueprint doesn't ask for
    is random, but all drawings are about equally difficult.

    No question is drawn twice, nor two with similar texts. Questions that share a case or their options are
    next to one another, those of B1 with one order of options. Raises InvalidState if the banks can't fill
    the paper any more.
    """
    cached_pool = pool_of_paper(paper)
    chance = random.Random(seed)  # noqa: S311 - no secret: kept, to show a sitting again
    return _layout_of_units(
        choose_units(cached_pool.pool, cached_pool.mixture, chance)
        if cached_pool.fixed is None
        else cached_pool.fixed,
        chance,
    )


def _layout_of_units(units: Iterable[DrawUnit], rng: random.Random) -> list[DrawnQuestion]:
    """The questions of the units in order, each with a random order of its options."""
    return [question for unit in units for question in _draw_orders(unit, rng)]


def _draw_orders(unit: DrawUnit, rng: random.Random) -> Iterator[DrawnQuestion]:
    """The questions of a unit, each with its options in a random order if its type is shuffled; questions
    that share their options get the same order."""
    question_type = QUESTION_TYPES[unit.kind]
    order = ""
    for version, letters in unit.versions:
        if not question_type.shares_options or sorted(order) != sorted(letters):
            order = _shuffle_letters(letters, rng) if question_type.is_shuffled else letters
        yield DrawnQuestion(version, order)


def _shuffle_letters(letters: str, rng: random.Random) -> str:
    """The letters in a random order. For up to MAX_PERMUTED_OPTIONS letters it picks one of all their orders,
    which are cached: faster."""
    if len(letters) > MAX_PERMUTED_OPTIONS:
        return "".join(rng.sample(letters, len(letters)))
    orders = _permutations(letters)
    return orders[int(rng.random() * len(orders))]


@lru_cache(maxsize=64)
def _permutations(letters: str) -> list[str]:
    """All orders of the letters."""
    return ["".join(order) for order in permutations(letters)]


def practice_counts(
    subject: str,
    category: str,
    counts: Mapping[str, int],
    *,
    common_count: int = 0,
) -> dict[str, int]:
    """Type → how many of the `counts` questions the practice share of the banks can fill with whole groups:
    what a mock exam of that blueprint has. With a `common_count` above 0, questions of 公共知识 fill them,
    too. Types without any are left out."""
    candidates = load_candidates(
        subject,
        category,
        with_common=common_count > 0,
        purpose="practice",
    )
    kinds = (kind for kind in QUESTION_TYPES if kind in counts)
    filled = {kind: largest_fillable(candidates.unit_sizes(kind), counts[kind]) for kind in kinds}
    return {kind: number for kind, number in filled.items() if number}


def draw_practice_layout(
    subject: str,
    category: str,
    counts: Mapping[str, int],
    rng: random.Random,
    *,
    common_count: int = 0,
    cells: Sequence[BlueprintCell] = (),
) -> list[DrawnQuestion]:
    """Draw a layout from the practice share of the banks alone: `counts` (as `practice_counts` returns them)
    exactly, and as much of 公共知识 and of the cells as the share has. Raises InvalidState if the share can't
    fill `counts` any more."""
    candidates = load_candidates(
        subject,
        category,
        with_common=common_count > 0,
        purpose="practice",
    )
    for blueprint in relaxed_blueprints(Blueprint(counts, common_count, cells)):
        pool = candidates.pool(blueprint)
        assembly = assemble_paper(unit_counts(pool), blueprint, mixed=False)
        if assembly.is_complete:
            return _layout_of_units(choose_units(pool, assembly.mixture, rng), rng)
    raise InvalidState(PRACTICE_CHANGED_MESSAGE)


def choose_units(pool: UnitPool, mixture: Sequence[PlanShare], rng: random.Random) -> list[DrawUnit]:
    """Draw units according to one of the mixture's plans (at least one, made for this pool), picked by its
    probability; units of a type are next to one another, in a random order."""
    plan = rng.choices(
        [share.plan for share in mixture],
        [share.probability for share in mixture],
    )[0]
    chosen: list[DrawUnit] = []
    starts = _antithetic_numbers(rng)
    for kind in QUESTION_TYPES:
        units = [
            unit
            for weights, number in plan.get(kind, {}).items()
            for unit in _stratified_sample(pool[kind][weights], number, next(starts), rng)
        ]
        rng.shuffle(units)
        chosen += units
    return chosen


def _antithetic_numbers(rng: random.Random) -> Iterator[float]:
    """Random numbers of [0, 1], without end, in pairs that add up to 1: if one class is rounded towards the
    more difficult units, the next is rounded the other way."""
    while True:
        start = rng.random()
        yield start
        yield 1 - start


def _stratified_sample(
    strata: Sequence[Sequence[DrawUnit]],
    number: int,
    start: float,
    rng: random.Random,
) -> list[DrawUnit]:
    """Draw `number` units of a class, each with the same chance, so that every difficulty has its part in
    proportion to its stock (systematic sampling). `strata`: the class's units by difficulty, at least one and
    at least `number` in all; `start`, in [0, 1], decides which parts are rounded up and which down."""
    whole = sum(map(len, strata))
    first = min(int(start * whole), whole - 1)
    sampled: list[DrawUnit] = []
    reached = passed = 0
    for units in strata:
        passed += len(units)
        due = (passed * number + first) // whole
        sampled += rng.sample(units, due - reached)
        reached = due
    return sampled
