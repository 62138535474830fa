"""What a list is: where its rows come from, which columns it has, by what it may be filtered and sorted. A
room declares its lists with `register`; pages, files and batches read the declaration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select

from dingkao.errors import NotFound

ListRow = Row[*tuple[Any, ...]]
ListQuery = Select[*tuple[Any, ...]]
ValueT = TypeVar("ValueT")

if TYPE_CHECKING:
    from dingkao.database.listing.list_states import ListState


@dataclass(frozen=True)
class ListViewer:
    """Who looks at a list. `grant`: what the person reaches with the list's action (`people.scopes.Grant`);
    `account_id`: the person's account; `found`: what a room has asked the database already for this look at
    the list, by a room's word for it (of searches: list and text)."""

    grant: Any
    account_id: UUID | None
    found: dict[tuple[str, ...], Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, key: tuple[str, ...], ask: Callable[[], ValueT]) -> ValueT:
        """Returns what `ask` returns, which is called once for each key as long as the list is looked at."""
        if key not in self.found:
            self.found[key] = ask()
        known: ValueT = self.found[key]
        return known


@dataclass(frozen=True)
class ListColumn:
    """A column. `key`: its code in the address and in the cells; `label`: its heading; `is_default`: shown
    until somebody chooses columns; `is_fixed`: always shown; `is_numeric`: of digits, so set in figures of
    equal width; `sort`: key of the sorting that its heading offers, "" for none."""

    key: str
    label: str
    is_default: bool = True
    is_fixed: bool = False
    is_numeric: bool = False
    sort: str = ""


@dataclass(frozen=True)
class ListFilter:
    """Something that a list can be limited by, to one value at a time.

    `condition` makes the SQL condition of a value. A filter with `choices` (code → label) is shown as chips
    with counts; one without takes any value that `accepts` allows, which `describe` names for people and
    `resolve` finds by what was typed (raising InvalidInput), and is shown as a search field.
    `is_indexed`: an index finds the rows of a value; by a filter without one, rows are looked at one by one;
    `is_lone`: that index is of use only where nothing else limits the rows;
    `counts`: whether the chips say how many rows each would leave; `is_offered`: False for a filter that
    isn't typed, but set by an address, and can only be taken off; `is_for`: whether a viewer needs the filter
    at all.
    """

    key: str
    label: str
    condition: Callable[[str, ListViewer], ColumnElement[bool]]
    choices: Mapping[str, str] = field(default_factory=dict)
    accepts: Callable[[str], bool] = lambda _value: False
    describe: Callable[[str], str] = str
    resolve: Callable[[str], str] = str
    is_indexed: bool = False
    is_lone: bool = False
    counts: bool = True
    is_offered: bool = True
    is_for: Callable[[ListViewer], bool] = lambda _viewer: True

    def takes(self, value: str) -> bool:
        """Whether the filter has `value`: a code of its choices or, without choices, one it accepts."""
        return value in self.choices if self.choices else self.accepts(value)

    def label_of(self, value: str) -> str:
        """The words for a value that the filter takes."""
        return self.choices[value] if self.choices else self.describe(value)


@dataclass(frozen=True)
class ListSort:
    """An order of a list: `columns`, never NULL and unique together, all rising, or all falling if
    `is_descending`. `is_indexed`: an index gives the rows in this order whatever their number; a list by
    another order is only made of at most MAX_SORTED rows."""

    key: str
    label: str
    columns: tuple[Any, ...]
    is_descending: bool = False
    is_indexed: bool = False


CellRows = list[dict[str, str]]
Totals = Mapping[str, Mapping[str, int]]
"""Key of a filter → code of a choice → number of rows; a CappedCount where they were counted only so far.
Under ANY_CHOICE: without that filter."""
ANY_CHOICE = ""


@dataclass(frozen=True)
class ListDefinition:
    """A list.

    `name`: its code; `title`: its name for people, of files too; `action`: the action that lets a person see
    it (`people.permissions`); `unit`: what is counted; `query` gives all its rows that a viewer may see,
    before filters and search, each row with `id_column`, for a state whose filters are then applied; `cells`
    gives for some rows the texts of each column by key, numbers masked; `search` the SQL condition of what
    was typed into the search field, labelled `search_label`; `totals` how many rows some filters' choices
    would leave, where that is known without counting; `counted_query` the rows of `query` for the same viewer
    and state without what is joined only to be shown, where they are counted, None if nothing is. The first
    of `sorts` is the list's order until another is chosen.
    """

    name: str
    title: str
    action: str
    query: Callable[[ListViewer, "ListState"], ListQuery]
    id_column: Any
    columns: tuple[ListColumn, ...]
    cells: Callable[[Sequence[ListRow], ListViewer], CellRows]
    sorts: tuple[ListSort, ...]
    filters: tuple[ListFilter, ...] = ()
    search: Callable[[str, ListViewer], ColumnElement[bool]] | None = None
    search_label: str = ""
    totals: Callable[["ListState", ListViewer], Totals] = lambda _state, _viewer: {}
    counted_query: Callable[[ListViewer, "ListState"], ListQuery] | None = None
    unit: str = "人"

    @property
    def default_columns(self) -> tuple[str, ...]:
        """The keys of the columns shown until somebody chooses."""
        return tuple(column.key for column in self.columns if column.is_default or column.is_fixed)

    def filter_by_key(self, key: str) -> ListFilter | None:
        """The filter with that key; None if there is none."""
        return next((candidate for candidate in self.filters if candidate.key == key), None)

    def sort_by_key(self, key: str) -> ListSort:
        """The sorting with that key; the list's first for an unknown one."""
        return next(
            (candidate for candidate in self.sorts if candidate.key == key),
            self.sorts[0],
        )


_DEFINITIONS: dict[str, ListDefinition] = {}


def register(definition: ListDefinition) -> ListDefinition:
    """Make a list known by its name, and return it. Raises ValueError for a name that is taken."""
    if definition.name in _DEFINITIONS:
        raise ValueError(f"two lists are called {definition.name}")
    _DEFINITIONS[definition.name] = definition
    return definition


def get_definition(name: str) -> ListDefinition:
    """The list with that name. Raises NotFound."""
    definition = _DEFINITIONS.get(name)
    if definition is None:
        raise NotFound
    return definition


def all_definitions() -> tuple[ListDefinition, ...]:
    """Every list of the rooms that are loaded."""
    return tuple(_DEFINITIONS.values())
