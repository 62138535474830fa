"""Pages of a list, forwards and backwards, by keyset: as quick at the end as at the beginning."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select

from dingkao.database.base import db
from dingkao.database.listing.definitions import (
    ListQuery,
    ListRow,
    ListSort,
    ListViewer,
)
from dingkao.database.listing.list_states import ListState
from dingkao.database.pagination import (
    PAGE_SIZE,
    CursorValue,
    after_condition,
    encode_cursor,
    parse_cursor,
)

MAX_SORTED = 10_000
"""How many rows a list may have at the most to be shown in an order without an index."""


@dataclass(frozen=True)
class ListPage:
    """Some rows of a list. `cells`: for each row the texts of its columns by key; `previous_cursor`,
    `next_cursor`: where its neighbours end and begin, None at the ends; `sort`: the order of the rows;
    `is_sort_refused`: the chosen order is not shown, because too many rows would have to be sorted."""

    rows: Sequence[ListRow]
    cells: list[dict[str, str]]
    previous_cursor: str | None
    next_cursor: str | None
    sort: ListSort
    is_descending: bool
    is_sort_refused: bool


def list_query(state: ListState, viewer: ListViewer, *, without: Collection[str] = ()) -> ListQuery:
    """Returns the query of all rows of a view, in no order. `without`: keys of filters that are not
    applied."""
    definition = state.definition
    filters = {key: value for key, value in state.filters.items() if key not in without}
    query = definition.query(viewer, replace(state, filters=filters))
    for key, value in filters.items():
        chosen = definition.filter_by_key(key)
        if chosen is not None:
            query = query.where(chosen.condition(value, viewer))
    if state.search and definition.search is not None:
        searched = (definition.name, state.search)
        if searched not in viewer.found:
            viewer.found[searched] = definition.search(state.search, viewer)
        query = query.where(viewer.found[searched])
    return query


def fetch_list_page(
    state: ListState,
    viewer: ListViewer,
    size: int = PAGE_SIZE,
) -> ListPage:
    """Returns the page of a view that its cursor names: the first one for an invalid cursor, and where what a
    cursor names is there no longer."""
    definition, query = state.definition, list_query(state, viewer)
    sort, is_descending = state.chosen_sort, state.is_descending
    is_refused = not (sort.is_indexed or _can_be_sorted(query, definition.id_column))
    if is_refused:
        sort = definition.sorts[0]
        is_descending = sort.is_descending
    rows, previous_cursor, next_cursor = _Window(query, sort, is_descending, size).fetch(state)
    cells = definition.cells(rows, viewer)
    return ListPage(rows, cells, previous_cursor, next_cursor, sort, is_descending, is_refused)


def _can_be_sorted(query: ListQuery, id_column: Any) -> bool:
    """Whether the query has at most MAX_SORTED rows."""
    capped = query.with_only_columns(id_column).limit(MAX_SORTED + 1)
    row_count = db.session.scalar(select(func.count()).select_from(capped.subquery())) or 0
    return row_count <= MAX_SORTED


@dataclass(frozen=True)
class _Window:
    """The rows of a query in an order, `size` a page."""

    query: ListQuery
    sort: ListSort
    is_descending: bool
    size: int

    def fetch(self, state: ListState) -> tuple[list[ListRow], str | None, str | None]:
        """Returns the rows of the page that the state's cursor names, and the cursors of its neighbours."""
        for cursor, is_backwards in ((state.before, True), (state.after, False)):
            values = parse_cursor(cursor, self.sort.columns)
            if values and (rows := self._rows(values, is_backwards=is_backwards)):
                return self._with_cursors(rows, is_backwards=is_backwards)
        return self._with_cursors(self._rows(None), is_backwards=None)

    def _rows(
        self,
        values: list[CursorValue] | None,
        *,
        is_backwards: bool = False,
    ) -> list[ListRow]:
        """Returns the rows after (or before) the row with these values, nearest first; one more than `size`,
        if there is one."""
        is_descending = self.is_descending is not is_backwards
        columns = self.sort.columns
        query = self.query.add_columns(*columns)
        if values:
            query = query.where(after_condition(values, columns, descending=is_descending))
        order = [column.desc() for column in columns] if is_descending else columns
        return list(db.session.execute(query.order_by(*order).limit(self.size + 1)))

    def _with_cursors(
        self,
        rows: list[ListRow],
        *,
        is_backwards: bool | None,
    ) -> tuple[list[ListRow], str | None, str | None]:
        """Returns the page's rows in their order, and the cursors of the pages before and after it, None
        where there is none. `is_backwards`: None for the first page."""
        has_more, page_rows = len(rows) > self.size, rows[: self.size]
        if is_backwards:
            page_rows.reverse()
        has_previous = has_more if is_backwards else is_backwards is not None
        has_next = has_more if not is_backwards else True
        return (
            page_rows,
            self._cursor_of(page_rows[0]) if page_rows and has_previous else None,
            self._cursor_of(page_rows[-1]) if page_rows and has_next else None,
        )

    def _cursor_of(self, row: ListRow) -> str:
        """Returns the cursor of a row, whose last columns are those of the order."""
        return encode_cursor(row[-len(self.sort.columns) :])
