"""Merged cells: their value in each of the rows that they cover; and which areas of a sheet cover a row."""

from bisect import insort
from collections.abc import Iterator, Sequence
from typing import Any

from dingkao.integrations.spreadsheets.cells import (
    Area,
    ExpandsTooLarge,
    SheetRow,
    SheetTable,
    is_blank_cell,
)
from dingkao.integrations.spreadsheets.header import RowView

MAX_MERGED_CELLS = 2_000_000


class AreaIndex:
    """Areas of a sheet, queried row by row from top to bottom."""

    def __init__(self, areas: Sequence[Area]) -> None:
        self.below = sorted(areas, reverse=True)
        self.current: list[tuple[int, Area]] = []

    def areas_at(self, number: int) -> list[Area]:
        """Returns the areas that cover row `number`, the one that ends first in front. Numbers must not
        decrease between calls."""
        self._begin_areas(number)
        self._end_areas(number)
        return [area for _, area in self.current]

    def _begin_areas(self, number: int) -> None:
        """Add the areas that begin in row `number` or above to the current ones."""
        while self.below and self.below[-1][0] <= number:
            area = self.below.pop()
            insort(self.current, (area[2], area))

    def _end_areas(self, number: int) -> None:
        """Remove the areas that end above row `number` from the current ones."""
        while self.current and self.current[0][0] < number:
            self.current.pop(0)


def expand_merged(table: SheetTable) -> Iterator[RowView]:
    """Yields the rows of a table, which are read by that, with the value of a merged cell in its first column
    of each row that it covers; what it covers in other columns is in `across`. A merged cell adds no rows
    that aren't there. Raises ExpandsTooLarge."""
    if not table.merged:
        yield from (RowView(row.number, row.cells, row.hidden) for row in table.lines)
        return
    _require_moderate_width(table.merged)
    areas = AreaIndex(table.merged)
    values: dict[Area, Any] = {}
    for row in table.lines:
        yield _expand_row(row, areas.areas_at(row.number), values)


def _require_moderate_width(merged: Sequence[Area]) -> None:
    """Raises ExpandsTooLarge if the merged areas together span too many columns."""
    if sum(area[3] - area[1] + 1 for area in merged) > MAX_MERGED_CELLS:
        raise ExpandsTooLarge


def _expand_row(row: SheetRow, areas: Sequence[Area], values: dict[Area, Any]) -> RowView:
    """Returns a row with the values of the merged `areas` that cover it. `values`: area → value of those
    whose first row was read; those that begin in this row are added."""
    cells = dict(row.cells)
    across: dict[int, Any] = {}
    carried = set[int]()
    for area in areas:
        first_row, column, _, last_column = area
        if row.number == first_row:
            values[area] = cells.get(column)
        elif not is_blank_cell(values.get(area)):
            cells[column] = values[area]
            carried.add(column)
        across |= dict.fromkeys(range(column + 1, last_column + 1), values.get(area))
    return RowView(
        row.number,
        dict(sorted(cells.items())) if carried else cells,
        row.hidden,
        frozenset(carried),
        across,
        {area[1]: area[2] for area in areas},
    )
