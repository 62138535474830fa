"""How many rows each value of a list's filters would leave: the numbers on the chips. At most COUNTED_ROWS
rows of a view are looked at, so that counting costs the same for a whole province as for a hospital."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, case, cast, func, select

from dingkao.database.base import db
from dingkao.database.listing.definitions import ListFilter, ListViewer
from dingkao.database.listing.list_pages import list_query
from dingkao.database.listing.list_states import ListState
from dingkao.database.pagination import MAX_COUNTED

COUNTED_ROWS = 4_000


@dataclass(frozen=True)
class ChipCount:
    """A number on a chip. `is_complete`: False where only the first COUNTED_ROWS rows were looked at, so that
    there may be more; `is_known`: it was not counted but known, and is written out whatever its size."""

    number: int
    is_complete: bool = True
    is_known: bool = False

    @property
    def is_zero(self) -> bool:
        """Whether there is certainly no row."""
        return self.is_complete and not self.number

    def __str__(self) -> str:
        if self.is_known:
            return f"{self.number:,}"
        if self.number > MAX_COUNTED:
            return f"{MAX_COUNTED:,}以上"
        if self.is_complete:
            return str(self.number)
        return f"{self.number}以上" if self.number else ""


ChipCounts = dict[str, dict[str, ChipCount]]


def count_choices(state: ListState, viewer: ListViewer) -> ChipCounts:
    """Returns key of a filter → code of a choice → how many rows the view would have by that choice instead
    of its own, the other filters being as they are."""
    totals = state.definition.totals(state, viewer)
    counts: ChipCounts = {
        key: {code: ChipCount(number, is_known=True) for code, number in numbers.items()}
        for key, numbers in totals.items()
    }
    counted = [
        known
        for known in state.definition.filters
        if known.choices and known.counts and known.key not in totals
    ]
    unset = [known for known in counted if known.key not in state.filters]
    passes = [(unset, ""), *(([known], known.key) for known in counted if known.key in state.filters)]
    for filters, without in passes:
        if filters:
            counts |= _count_pass(state, viewer, filters, without)
    return counts


def _count_pass(state: ListState, viewer: ListViewer, filters: list[ListFilter], without: str) -> ChipCounts:
    """Returns the counts of some filters' choices among the rows of the view, looked at once. `without`: the
    key of a filter that is not applied."""
    choices = [
        (known.key, code, known.condition(code, viewer)) for known in filters for code in known.choices
    ]
    flags = [_flag(condition).label(f"chip_{number}") for number, (*_, condition) in enumerate(choices)]
    limited = list_query(state, viewer, without=without).with_only_columns(*flags).limit(COUNTED_ROWS + 1)
    looked_at: Any = limited.subquery()
    sums = [func.coalesce(func.sum(looked_at.c[flag.key]), 0) for flag in flags]
    row_count, *numbers = db.session.execute(select(func.count(), *sums).select_from(looked_at)).one()
    counts: ChipCounts = {}
    for (key, code, _), number in zip(choices, numbers, strict=True):
        counts.setdefault(key, {})[code] = ChipCount(int(number), is_complete=row_count <= COUNTED_ROWS)
    return counts


def _flag(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Returns 1 for a row that meets the condition, else 0."""
    return cast(case((condition, 1), else_=0), Integer)
