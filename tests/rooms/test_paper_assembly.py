"""What a blueprint asks for of a stock is met exactly or said to be short, and within it every unit has its
chance."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dingkao.exams.assembly.blueprint_types import Blueprint, BlueprintCell, QuestionAttributes
from dingkao.exams.assembly.paper_assembly import assemble_paper
from dingkao.exams.paper_blueprint import CellInput, distribute_cells
from tests.property_examples import property_examples
from tests.rooms.paper_bank import DIFFICULTIES, TOPICS

SORT = st.builds(
    QuestionAttributes,
    st.sampled_from(["common", "professional"]),
    st.sampled_from(["", *TOPICS[:2]]),
    st.sampled_from(DIFFICULTIES),
)
STOCK = st.fixed_dictionaries(
    {
        "A1": st.dictionaries(st.tuples(SORT), st.integers(1, 12), min_size=1, max_size=8),
        "A3": st.dictionaries(
            st.lists(SORT, min_size=2, max_size=4).map(lambda found: tuple(sorted(found))),
            st.integers(1, 3),
            min_size=1,
            max_size=5,
        ),
    }
)


def tally(stock, holds=lambda _: True):
    """How many questions of a stock by sorts are held."""
    return sum(number * sum(map(holds, sorts)) for units in stock.values() for sorts, number in units.items())


def classes(stock, blueprint):
    """A stock by sorts as assembly takes it: by how units count for the blueprint."""
    counts = {}
    for kind, units in stock.items():
        for sorts, number in units.items():
            kind_counts, weights = counts.setdefault(kind, {}), blueprint.weights(sorts)
            kind_counts[weights] = kind_counts.get(weights, 0) + number
    return counts


def inside(plan, stock):
    return all(
        0 < number <= stock[kind][weights]
        for kind, class_counts in plan.items()
        for weights, number in class_counts.items()
    )


def asked(plan, place, kind=None):
    """How many questions of a plan count for a line of the blueprint."""
    return sum(
        number * weights[place]
        for plan_kind, class_counts in plan.items()
        if kind in (None, plan_kind)
        for weights, number in class_counts.items()
    )


def chances(assembly, stock):
    """The chance of a unit of each class in a drawing."""
    mean = Counter()
    for part, plan in assembly.mixture:
        for kind, class_counts in plan.items():
            for weights, number in class_counts.items():
                mean[kind, weights] += part * number
    return {
        (kind, weights): mean[kind, weights] / number
        for kind, units in stock.items()
        for weights, number in units.items()
    }


@settings(deadline=None, max_examples=property_examples(60))
@given(STOCK, st.data())
def test_what_can_be_met_is_met_exactly(stock, data):
    """A blueprint read off some choice of units can be filled, so it is: by type, topic, difficulty and share
    of 公共知识."""
    taken_stock = {
        kind: {sorts: data.draw(st.integers(0, number)) for sorts, number in kinds.items()}
        for kind, kinds in stock.items()
    }
    counts = {
        kind: sum(number * len(sorts) for sorts, number in sort_counts.items())
        for kind, sort_counts in taken_stock.items()
    }
    humanities = tally(taken_stock, lambda sort: sort.subject == "common")
    wishes = [("心血管", None), ("心血管", "hard"), ("呼吸", "easy"), (None, "medium")]
    cells = [
        BlueprintCell(topic, hard, number)
        for topic, hard in wishes
        if (number := tally(taken_stock, BlueprintCell(topic, hard, 0).matches))
    ]
    blueprint = Blueprint(counts, humanities, cells)
    units = classes(stock, blueprint)
    paper = assemble_paper(units, blueprint)
    assert paper.is_complete
    assert paper.shortage_message() == ""
    assert sum(part for part, _ in paper.mixture) == pytest.approx(1)
    for _, plan in paper.mixture:
        assert inside(plan, units)
        assert all(asked(plan, 0, kind) == number for kind, number in counts.items())
        assert not humanities or asked(plan, 1) == humanities
        assert all(asked(plan, 2 + place) == cell.number for place, cell in enumerate(cells))


@settings(deadline=None, max_examples=property_examples(40))
@given(STOCK, st.integers(0, 60), st.integers(0, 20), st.integers(1, 40), st.integers(0, 30))
def test_what_can_not_be_met_is_named_and_nothing_is_raised(stock, singles, grouped, hard, humanities):
    cell = BlueprintCell(None, "hard", hard)
    blueprint = Blueprint({"A1": singles, "A3": grouped, "B1": 0}, humanities, [cell])
    units = classes(stock, blueprint)
    paper = assemble_paper(units, blueprint)
    assert bool(paper.mixture) is paper.is_complete
    assert all(inside(plan, units) for _, plan in paper.mixture)
    for requirement in paper.requirements:
        assert requirement.is_met is (requirement.shortage_message() == "")
        assert (
            requirement.is_met
            or f"{requirement.label}需要{requirement.required}道" in paper.shortage_message()
        )
        assert requirement.label != "难度：难" or requirement.in_stock == tally(
            {kind: kind_stock for kind, kind_stock in stock.items() if blueprint.counts[kind]}, cell.matches
        )
        assert requirement.attainable <= requirement.in_stock
    assert paper.is_complete is all(
        requirement.attainable == requirement.required for requirement in paper.requirements
    )


@pytest.mark.parametrize("sizes", [{2: 9, 3: 7}, {2: 60, 3: 40, 4: 10, 5: 3}])
def test_groups_of_every_size_have_the_same_chance(sizes):
    """One plan for all drawings would never draw the groups that don't fit into it; a mixture of plans gives
    each its chance."""
    blueprint = Blueprint({"B1": 10, "A1": 20})
    stock = {"B1": {(size, 0): number for size, number in sizes.items()}, "A1": {(1, 0): 200}}
    unit_chances = chances(assemble_paper(stock, blueprint), stock)
    even = 10 / sum(size * number for size, number in sizes.items())
    assert all(unit_chances["B1", (size, 0)] == pytest.approx(even, rel=0.01) for size in sizes)
    assert unit_chances["A1", (1, 0)] == pytest.approx(0.1)


def test_within_what_a_blueprint_asks_every_unit_has_its_chance():
    """Difficulties, topics and 公共知识 asked for at once, over groups of two and three: hardly a unit is
    left out (some of the rarest make-ups are worth less than one drawing in a thousand)."""
    chance = random.Random(3)  # noqa: S311
    cells = [
        BlueprintCell(None, "easy", 16),
        BlueprintCell(None, "medium", 25),
        BlueprintCell(None, "hard", 9),
        BlueprintCell("心血管", None, 12),
    ]
    blueprint = Blueprint({"A1": 26, "X": 6, "A3": 9, "B1": 9}, 10, cells)
    stock = {}
    for kind in blueprint.counts:
        for _ in range(200):
            size = chance.choice((2, 3)) if kind in ("A3", "B1") else 1
            sorts = [
                QuestionAttributes(
                    chance.choice(("common", "professional", "professional")),
                    chance.choice(TOPICS),
                    chance.choice(DIFFICULTIES),
                )
                for _ in range(size)
            ]
            kind_counts, weights = stock.setdefault(kind, {}), blueprint.weights(sorts)
            kind_counts[weights] = kind_counts.get(weights, 0) + 1
    unit_chances = chances(assemble_paper(stock, blueprint), stock)
    left_out = sum(stock[kind][weights] for (kind, weights), chance in unit_chances.items() if chance == 0)
    assert left_out <= 8, f"{left_out} of 800 units can never be drawn"


@given(st.integers(3, 300), st.lists(st.integers(1, 98), min_size=1, max_size=2))
def test_shares_that_make_up_a_hundred_make_up_the_paper(total, parts):
    last_part = 100 - sum(parts)
    if last_part <= 0:
        return
    numbers = [*parts, last_part]
    cells = distribute_cells(
        [CellInput(None, hard, number, True) for hard, number in zip(DIFFICULTIES, numbers, strict=False)],
        total,
    )
    assert sum(cell.number for cell in cells) == total
    assert all(
        abs(cell.number - number * total / 100) < 1 for cell, number in zip(cells, numbers, strict=True)
    )
    assert [cell.share for cell in cells] == numbers
