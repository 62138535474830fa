"""Lists of people that may be had as files: those that the console shows (`register_listing`), and others of
which a room says how they are read (`register_list`). Asking for one: `export_requests`; its file:
`list_files`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from sqlalchemy import Select, func, select

from dingkao.database.base import db
from dingkao.database.listing.definitions import ListDefinition, ListRow, ListViewer
from dingkao.database.listing.list_pages import list_query
from dingkao.database.listing.list_states import parse_address
from dingkao.database.pagination import MAX_COUNTED, CappedCount
from dingkao.errors import Forbidden, InvalidInput, NotFound
from dingkao.journal.entries import Actor
from dingkao.people.list_exports import Rows
from dingkao.people.permissions import grants
from dingkao.people.scopes import Grant, load_grant

MAX_VIEW_LENGTH = 2_000
LARGE_ACTION, NUMBER_COLUMN = "lists.export_large", "number"


@dataclass(frozen=True)
class ExportedView:
    """A list as one person may have it, narrowed to a view. `query`: its rows, in no order; `order_columns`:
    text, UUID or int columns of the query, unique together, by which the file is sorted; they should not
    change while it is written; `cells`: the file's rows for some rows of the query, with full numbers if
    true; `description`: the view in words, without names, because the list of jobs shows it."""

    headings: Sequence[str]
    query: Select[*tuple[Any, ...]]
    order_columns: Sequence[Any]
    cells: Callable[[Sequence[Sequence[Any]], bool], Rows]
    description: str = ""

    def count_rows(self, limit: int | None = None) -> int:
        """How many rows the view has, counted up to `limit`."""
        keys = self.query.with_only_columns(self.order_columns[-1], maintain_column_froms=True)
        return db.session.scalar(select(func.count()).select_from(keys.limit(limit).subquery())) or 0


@dataclass(frozen=True)
class ExportedList:
    """A list that may be had as a file. `code`: also the name of its file; `action`: what one must be granted
    for it; `narrow` makes the view that an address's query describes, for what is reached with that grant by
    an account; `reveal_action`: what one must be granted for full numbers, None for a list that has none;
    `names_people`: False for a list of organisations, of which no second person must approve long ones;
    `unit`: the Chinese counter of its rows."""

    code: str
    title: str
    action: str
    narrow: Callable[[Grant, UUID, str], ExportedView]
    reveal_action: str | None = None
    names_people: bool = True
    unit: str = "人"


_lists: dict[str, ExportedList] = {}


def register_list(listed: ExportedList) -> ExportedList:
    """Let a list be asked for as a file; returns it. Raises ValueError for a second list of the same code."""
    if listed.code in _lists:
        raise ValueError(f"two lists that may be had as files are called {listed.code}")
    _lists[listed.code] = listed
    return listed


def register_listing(
    definition: ListDefinition,
    action: str,
    *,
    reveal_action: str | None = None,
    full_number: Callable[[ListRow], str] | None = None,
    order_columns: Sequence[Any] = (),
    names_people: bool = True,
) -> ExportedList:
    """Let a list of the console be asked for as a file, with the filters and columns of its view, sorted by
    `order_columns` (as in ExportedView), else by the list's id column. `action`, `reveal_action`,
    `names_people`: as in ExportedList; `full_number` returns the whole number of a row, for the column
    NUMBER_COLUMN. Returns the list as it is registered. Raises ValueError if one of its name is already."""
    narrow = partial(_narrow_listing, definition, full_number, order_columns or [definition.id_column])
    return register_list(
        ExportedList(
            definition.name, definition.title, action, narrow, reveal_action, names_people, definition.unit
        )
    )


def _narrow_listing(
    definition: ListDefinition,
    full_number: Callable[[ListRow], str] | None,
    order_columns: Sequence[Any],
    grant: Grant,
    account_id: UUID,
    view: str,
) -> ExportedView:
    """The view of a list of the console. Raises InvalidInput for an address of which something would be left
    out."""
    state, viewer = parse_address(definition, view), ListViewer(grant, account_id)
    columns = [column for column in definition.columns if column.key in state.shown_columns]

    def cells(rows: Sequence[Any], with_numbers: bool) -> Rows:
        """The cells of the columns shown."""
        cells_by_column = definition.cells(rows, viewer)
        if with_numbers and full_number is not None:
            for row, row_cells in zip(rows, cells_by_column, strict=True):
                row_cells[NUMBER_COLUMN] = full_number(row)
        return [[row_cells[column.key] for column in columns] for row_cells in cells_by_column]

    return ExportedView(
        [column.label for column in columns],
        list_query(state, viewer),
        order_columns,
        cells,
        state.description,
    )


def may_export(code: str, *, by: Actor) -> bool:
    """Whether there is such a list as a file, and `by` may have it."""
    return code in _lists and grants(_lists[code].action, by.roles)


def get_list(code: str, *, by: Actor) -> ExportedList:
    """The list with that code. Raises NotFound, and Forbidden if `by` may not have it as a file."""
    listed = _lists.get(code)
    if listed is None:
        raise NotFound("没有这份名单，或已不再提供导出。")
    if not grants(listed.action, by.roles):
        raise Forbidden
    return listed


def view_arguments(view: str) -> Mapping[str, str]:
    """The arguments of a view, by name; of one that stands there repeatedly the last, and none that is
    empty."""
    return dict(parse_qsl(view))


def open_view(listed: ExportedList, view: str, account_id: UUID) -> ExportedView:
    """The list, narrowed to a view, as an account may have it now; whether it may have the list at all is for
    the caller to check (`get_list`). Raises InvalidInput for a view that is longer than any page's, and what
    the list raises for one that it doesn't know."""
    if len(view) > MAX_VIEW_LENGTH:
        raise InvalidInput("筛选条件过长，请返回名单重新选择。", "view")
    return listed.narrow(load_grant(listed.action, account_id), account_id, view)


def count_people(view: ExportedView) -> CappedCount:
    """How many rows a view has, counted up to MAX_COUNTED + 1."""
    return CappedCount(view.count_rows(MAX_COUNTED + 1))


def may_reveal(listed: ExportedList, *, by: Actor) -> bool:
    """Whether `by` may ask for the list with full numbers."""
    return (
        listed.reveal_action is not None
        and grants(listed.reveal_action, by.roles)
        and grants(LARGE_ACTION, by.roles)
    )
