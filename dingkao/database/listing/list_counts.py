"""How many rows each value of a list's filters would leave: the numbers on the chips. At most COUNTED_ROWS
rows of a view are looked at, and of one that has more SAMPLED_ROWS, so that counting costs the same for a
whole province as for a hospital."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, case, cast, func, select, true

from dingkao.database.base import db
from dingkao.database.listing.definitions import ANY_CHOICE, ListFilter, ListQuery, ListViewer, Totals
from dingkao.database.listing.list_pages import list_query, unindexed_filters
from dingkao.database.listing.list_states import ListState
from dingkao.database.pagination import MAX_COUNTED, CappedCount

COUNTED_ROWS = 4_000
SAMPLED_ROWS = 1_000
"""How many rows are looked at of a view that has more than COUNTED_ROWS: whatever is counted then, there may
be more."""


@dataclass(frozen=True)
class ChipCount:
    """A number on a chip. `is_complete`: False where only the view's first rows were looked at, so that there
    may be more; `is_known`: it was not counted but known, and is written out whatever its size."""

    number: int
    is_complete: bool = True
    is_known: bool = False

    @property
    def is_zero(self) -> bool:
        """Whether there is certainly no row."""
        return self.is_complete and not self.number

    def with_unit(self, unit: str) -> str:
        """Returns the number with a unit: 446人, 1,000人以上; "" where nothing is known of it."""
        if self.is_known:
            return f"{self.number:,}{unit}"
        if self.number > MAX_COUNTED:
            return f"{MAX_COUNTED:,}{unit}以上"
        if self.is_complete:
            return f"{self.number}{unit}"
        return f"{self.number}{unit}以上" if self.number else ""

    def __str__(self) -> str:
        return self.with_unit("")


ChipCounts = dict[str, dict[str, ChipCount]]


@dataclass(frozen=True)
class ListCounts:
    """How many rows a view has (`total`), and would have by each choice of a filter: key of the filter → code
    of the choice → number."""

    total: ChipCount
    choices: ChipCounts


def count_list(state: ListState, viewer: ListViewer) -> ListCounts:
    """Returns how many rows a view has, and how many it would have by each choice of a filter instead of its
    own, the other filters being as they are; filters without choices or without counts are left out."""
    definition, totals = state.definition, state.definition.totals(state, viewer)
    counted = [
        known for known in definition.filters if known.choices and known.counts and known.key not in totals
    ]
    unindexed = unindexed_filters(state, viewer)
    apart = [known for known in counted if known.key in state.filters and known.key not in unindexed]
    together = [known for known in counted if known not in apart]
    total = _known_total(state, totals)
    choices: ChipCounts = {}
    is_large = None if total is None else total.number > COUNTED_ROWS
    if together or total is None:
        looked_at_total, choices = _Pass(state, viewer, unindexed, "", is_large).count(together)
        total = total or looked_at_total
    for known in apart:
        choices |= _Pass(state, viewer, unindexed, known.key, is_large).count([known])[1]
    for key, numbers in totals.items():
        choices[key] = {code: _known_count(number) for code, number in numbers.items()}
    return ListCounts(total, choices)


def _known_total(state: ListState, totals: Totals) -> ChipCount | None:
    """How many rows a view has, if the list's totals say so; None if they don't."""
    for key, numbers in totals.items():
        code = state.filters.get(key, ANY_CHOICE)
        if code in numbers:
            return _known_count(numbers[code])
    return None


def _known_count(number: int) -> ChipCount:
    """The count of a list's totals: known whatever its size, unless the list has counted only so far."""
    return ChipCount(number, is_known=not isinstance(number, CappedCount))


@dataclass(frozen=True)
class _Pass:
    """The first rows that the filters with an index, the search and the viewer's scope leave, looked at
    together. `unindexed`: key → condition of the filters without an index; `without`: the key of a filter
    that is not applied, "" for none; `is_large`: whether the view has more than COUNTED_ROWS rows, None where
    that isn't known."""

    state: ListState
    viewer: ListViewer
    unindexed: dict[str, ColumnElement[bool]]
    without: str
    is_large: bool | None

    def count(self, filters: list[ListFilter]) -> tuple[ChipCount, ChipCounts]:
        """Returns how many of these rows the filters without an index leave, too; and for each choice of each
        of `filters` how many it and the others of them leave."""
        choices = [(known, code) for known in filters for code in known.choices]
        conditions = [self._condition(""), *(self._choice_condition(*choice) for choice in choices)]
        looked_at_count = SAMPLED_ROWS if self._has_many_rows() else COUNTED_ROWS
        row_count, *numbers = self._look_at(looked_at_count, conditions)
        is_complete = row_count <= looked_at_count
        counts: ChipCounts = {}
        for (known, code), number in zip(choices, numbers[1:], strict=True):
            counts.setdefault(known.key, {})[code] = ChipCount(number, is_complete)
        return ChipCount(numbers[0], is_complete), counts

    def _look_at(self, most: int, conditions: list[ColumnElement[bool]]) -> list[int]:
        """Returns how many rows there are, looking at `most` and one more, and how many of those looked at
        meet each of the conditions."""
        flags = [_flag(condition).label(f"chip_{number}") for number, condition in enumerate(conditions)]
        looked_at: Any = self._query(*flags).limit(most + 1).subquery()
        sums = [func.coalesce(func.sum(looked_at.c[flag.key]), 0) for flag in flags]
        numbers = db.session.execute(select(func.count(), *sums).select_from(looked_at)).one()
        return list(map(int, numbers))

    def _has_many_rows(self) -> bool:
        """Whether the view has more than COUNTED_ROWS rows: asked for without their columns, by which joins
        to tables that only show something fall away."""
        if self.is_large is not None:
            return self.is_large
        query = self._query(self.state.definition.id_column, is_counted=True)
        return db.session.scalar(query.offset(COUNTED_ROWS).limit(1)) is not None

    def _query(self, *columns: Any, is_counted: bool = False) -> ListQuery:
        """Returns the query of these columns of the rows, in the list's first order. `is_counted`: the
        columns are of the id and the order alone."""
        without = {self.without, *self.unindexed}
        query = list_query(self.state, self.viewer, without=without, is_counted=is_counted)
        selected = query.with_only_columns(*columns, maintain_column_froms=True)
        return selected.order_by(*self.state.definition.sorts[0].columns)

    def _condition(self, apart_from: str) -> ColumnElement[bool]:
        """Returns the condition of the filters without an index, apart from the one with that key."""
        return and_(true(), *(condition for key, condition in self.unindexed.items() if key != apart_from))

    def _choice_condition(self, known: ListFilter, code: str) -> ColumnElement[bool]:
        """Returns the condition of a filter's choice together with the other filters without an index."""
        return and_(known.condition(code, self.viewer), self._condition(known.key))


def _flag(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Returns 1 for a row that meets the condition, else 0."""
    return cast(case((condition, 1), else_=0), Integer)
