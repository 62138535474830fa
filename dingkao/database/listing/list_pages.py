"""Pages of a list, forwards and backwards, by keyset: as quick at the end as at the beginning."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, true

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.listing.definitions import (
    ListDefinition,
    ListFilter,
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
"""How many rows a list may have at the most to be shown in an order without an index; without the filters
that have none."""
MAX_LOOKED_AT = 10_000
"""How many rows are looked at for one page, where a filter has no index."""


@dataclass(frozen=True)
class ListPage:
    """Some rows of a list. `cells`: for each row the texts of its columns by key; `previous_cursor`,
    `next_cursor`: where its neighbours end and begin, None at the ends; `sort`: the order of the rows;
    `is_sort_refused`: the chosen order is not shown, because too many rows would have to be sorted;
    `is_cut`: MAX_LOOKED_AT rows were looked at before the page was full, the next page goes on behind
    these."""

    rows: Sequence[ListRow]
    cells: list[dict[str, str]]
    previous_cursor: str | None
    next_cursor: str | None
    sort: ListSort
    is_descending: bool
    is_sort_refused: bool
    is_cut: bool


def list_query(
    state: ListState, viewer: ListViewer, *, without: Collection[str] = (), is_counted: bool = False
) -> ListQuery:
    """Returns the query of all rows of a view, in no order. `without`: keys of filters that are not applied;
    `is_counted`: only the rows' ids and order are asked for. The search's condition is asked for once for a
    viewer."""
    definition = state.definition
    applied = replace(
        state, filters={key: value for key, value in state.filters.items() if key not in without}
    )
    make_query = (is_counted and definition.counted_query) or definition.query
    query = make_query(viewer, applied).where(
        *(condition for _, condition in filter_conditions(applied, viewer))
    )
    search = definition.search
    if state.search and search is not None:
        query = query.where(
            viewer.once((definition.name, state.search), lambda: search(state.search, viewer))
        )
    return query


def filter_conditions(state: ListState, viewer: ListViewer) -> list[tuple[ListFilter, ColumnElement[bool]]]:
    """Returns the filters that are set, each with its condition."""
    chosen = [(state.definition.filter_by_key(key), value) for key, value in state.filters.items()]
    return [(known, known.condition(value, viewer)) for known, value in chosen if known is not None]


def unindexed_filters(state: ListState, viewer: ListViewer) -> dict[str, ColumnElement[bool]]:
    """Returns key → condition of the filters that are set and by which no index finds the rows, so that these
    are looked at one by one. The index of a lone filter is of use only if neither a search, nor the grant,
    nor another filter's index limits the rows."""
    conditions = filter_conditions(state, viewer)
    is_limited = bool(state.search) or not viewer.grant.is_province
    unindexed = {}
    for known, condition in sorted(
        conditions, key=lambda known_and_condition: known_and_condition[0].is_lone
    ):
        if known.is_indexed and not (known.is_lone and is_limited):
            is_limited = True
        else:
            unindexed[known.key] = condition
    return unindexed


def fetch_list_page(
    state: ListState,
    viewer: ListViewer,
    size: int = PAGE_SIZE,
) -> ListPage:
    """Returns the page of a view that its cursor names, of at most `size` rows: the first one for an invalid
    cursor, and where what a cursor names is there no longer."""
    unindexed = unindexed_filters(state, viewer)
    query = list_query(state, viewer, without=unindexed)
    sort, is_descending = state.chosen_sort, state.is_descending
    is_refused = not (sort.is_indexed or _can_be_sorted(query, state.definition))
    if is_refused:
        sort = state.definition.sorts[0]
        is_descending = sort.is_descending
    window = _Window(query, and_(true(), *unindexed.values()), state.definition, sort, is_descending, size)
    found = window.fetch(state, is_bounded=sort.is_indexed and bool(unindexed))
    rows = _load_rows(state, viewer, found)
    return ListPage(
        rows,
        state.definition.cells(rows, viewer),
        found.previous_cursor,
        found.next_cursor,
        sort,
        is_descending,
        is_refused,
        found.is_cut,
    )


def _can_be_sorted(query: ListQuery, definition: ListDefinition) -> bool:
    """Whether the query has at most MAX_SORTED rows."""
    ids = query.with_only_columns(definition.id_column, maintain_column_froms=True)
    capped = ids.order_by(*definition.sorts[0].columns).limit(MAX_SORTED + 1)
    row_count = db.session.scalar(select(func.count()).select_from(capped.subquery())) or 0
    return row_count <= MAX_SORTED


@dataclass(frozen=True)
class _FoundKeys:
    """The keys of a page's rows in their order, each the row's id and its columns of order; the cursors of
    the neighbouring pages; `is_cut` as in ListPage."""

    keys: Sequence[Sequence[Any]]
    previous_cursor: str | None = None
    next_cursor: str | None = None
    is_cut: bool = False


def _load_rows(state: ListState, viewer: ListViewer, found: _FoundKeys) -> list[ListRow]:
    """Returns the rows with these keys, in their order, without those that the viewer may see no longer since
    the keys were read."""
    ids = [row_id for row_id, *_ in found.keys]
    id_column = state.definition.id_column
    query = state.definition.query(viewer, state).add_columns(id_column).where(in_array(id_column, ids))
    rows = {row[-1]: row for row in db.session.execute(query)}
    return [rows[row_id] for row_id in ids if row_id in rows]


@dataclass(frozen=True)
class _Window:
    """The rows of a query that meet a condition, in an order, `size` a page. An index finds the rows of the
    query, and none those that meet the condition."""

    query: ListQuery
    condition: ColumnElement[bool]
    definition: ListDefinition
    sort: ListSort
    is_descending: bool
    size: int

    def fetch(self, state: ListState, *, is_bounded: bool) -> _FoundKeys:
        """Returns the keys of the page that the state's cursor names. `is_bounded`: for this page no more
        than MAX_LOOKED_AT rows of the query are looked at, in the order, which an index has."""
        for cursor, is_backwards in ((state.before, True), (state.after, False)):
            values = parse_cursor(cursor, self.sort.columns)
            if values is None:
                continue
            found = self._page(values, is_backwards=is_backwards, is_bounded=is_bounded)
            if found.keys or found.is_cut:
                return found
        return self._page(None, is_backwards=False, is_bounded=is_bounded)

    def _page(
        self,
        values: list[CursorValue] | None,
        *,
        is_backwards: bool,
        is_bounded: bool,
    ) -> _FoundKeys:
        """Returns the keys of the page after (or before) the row with these values; of the first one for
        None."""
        is_descending = self.is_descending is not is_backwards
        keys, cut_at = (
            self._fetch_bounded(values, is_descending=is_descending)
            if is_bounded
            else (self._fetch_sorted(values, is_descending=is_descending), None)
        )
        has_more, page_keys = len(keys) > self.size, keys[: self.size]
        end = page_keys[-1] if has_more else cut_at
        onward = None if end is None else _cursor_of(end)
        is_cut = cut_at is not None and not has_more
        if not is_backwards:
            backward = _cursor_of(page_keys[0]) if page_keys and values else None
            return _FoundKeys(page_keys, backward, onward, is_cut)
        forward = _cursor_of(page_keys[0]) if page_keys else None
        return _FoundKeys(page_keys[::-1], onward, forward, is_cut)

    @property
    def _key_query(self) -> ListQuery:
        """The query of id, columns of order, and whether the condition is met, of all rows."""
        return self.query.with_only_columns(
            self.definition.id_column.label("row_id"),
            *(column.label(f"order_{number}") for number, column in enumerate(self.sort.columns)),
            self.condition.label("is_met"),
            maintain_column_froms=True,
        )

    def _fetch_sorted(self, values: list[CursorValue] | None, *, is_descending: bool) -> list[Sequence[Any]]:
        """Returns the keys of the first rows behind those values that meet the condition, one more than
        `size`. Where no index has the order, the rows, which are few, are collected in that of the list and
        then sorted: PostgreSQL might walk through everybody in the order instead."""
        if self.sort.is_indexed:
            query, columns = self._key_query.where(self.condition), self.sort.columns
        else:
            first_order = self.definition.sorts[0].columns
            collected: Any = self._key_query.order_by(*first_order).limit(MAX_SORTED).subquery()
            query, columns = select(collected).where(collected.c.is_met), tuple(collected.c)[1:-1]
        rows = db.session.execute(_behind(query, values, columns, is_descending).limit(self.size + 1))
        return [row[:-1] for row in rows]

    def _fetch_bounded(
        self, values: list[CursorValue] | None, *, is_descending: bool
    ) -> tuple[list[Sequence[Any]], Sequence[Any] | None]:
        """Returns the keys of those that meet the condition among the first MAX_LOOKED_AT rows behind those
        values, at least one more than `size` if there are; and the key of the last of these rows, if there
        are more behind it."""
        columns = self.sort.columns
        order = _order_of(columns, is_descending)
        query = _behind(self._key_query, values, columns, is_descending)
        position = func.row_number().over(order_by=order).label("position")
        looked_at: Any = query.add_columns(position).limit(MAX_LOOKED_AT + 1).subquery()
        is_near_end = looked_at.c.position >= MAX_LOOKED_AT
        answers = select(looked_at).where(or_(looked_at.c.is_met, is_near_end)).order_by(looked_at.c.position)
        rows = db.session.execute(answers.limit(self.size + 2)).all()
        keys: list[Sequence[Any]] = [row[:-2] for row in rows if row.is_met and row.position <= MAX_LOOKED_AT]
        has_further = bool(rows) and rows[-1].position > MAX_LOOKED_AT
        return keys, rows[-2][:-2] if has_further else None


def _behind(
    query: ListQuery,
    values: list[CursorValue] | None,
    columns: Sequence[Any],
    is_descending: bool,
) -> ListQuery:
    """Returns the query of the rows behind those values (None: of all), in the order of the columns."""
    if values:
        query = query.where(after_condition(values, columns, descending=is_descending))
    return query.order_by(*_order_of(columns, is_descending))


def _order_of(columns: Sequence[Any], is_descending: bool) -> list[Any]:
    return [column.desc() if is_descending else column for column in columns]


def _cursor_of(key: Sequence[Any]) -> str:
    """Returns the cursor of a row with this key."""
    return encode_cursor(key[1:])
