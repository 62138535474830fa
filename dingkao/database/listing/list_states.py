"""What somebody has chosen of a list: filters, search, order, columns, and the page. It is read from the
address and written into addresses, so that a view can be sent to a colleague, saved, and exported."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, urlencode

from dingkao.database.listing.definitions import ListDefinition, ListSort
from dingkao.errors import InvalidInput

MAX_SEARCH_LENGTH, MAX_VALUE_LENGTH, MAX_ADDRESS_LENGTH = 50, 100, 2_000
SEARCH, SORT, DIRECTION, COLUMNS, AFTER, BEFORE = "q", "sort", "dir", "columns", "after", "before"
"""Names of an address's arguments; the others are keys of filters."""
ANY_VALUE = "all"
"""The value of a filter that a page presets, by which an address says that nothing is filtered."""
ASCENDING, DESCENDING = "asc", "desc"


@dataclass(frozen=True)
class ListState:
    """A view of a list. `filters`: key → value; `presets`: filters that hold where an address says nothing;
    `search`: what was typed; `sort`: key of the order, "" for the list's own; `direction`: asc, desc or ""
    for the order's own; `columns`: keys of the columns shown, in the list's order; `after`, `before`: the
    cursor that the page follows or precedes."""

    definition: ListDefinition
    filters: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, str] = field(default_factory=dict)
    search: str = ""
    sort: str = ""
    direction: str = ""
    columns: tuple[str, ...] = ()
    after: str | None = None
    before: str | None = None

    @property
    def chosen_sort(self) -> ListSort:
        """The order that was chosen, or the list's own."""
        return self.definition.sort_by_key(self.sort)

    @property
    def is_descending(self) -> bool:
        """Whether the rows fall by the chosen order."""
        return self.direction == DESCENDING if self.direction else self.chosen_sort.is_descending

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """The keys of the columns shown, in the list's order."""
        return self.columns or self.definition.default_columns

    @property
    def is_filtered(self) -> bool:
        """Whether rows may be missing because of a filter or the search."""
        return bool(self.search or self.filters)

    @property
    def description(self) -> str:
        """The filters in words, and that something was searched for, without what."""
        chosen = ((self.definition.filter_by_key(key), value) for key, value in self.filters.items())
        words = [known.label_of(value) for known, value in chosen if known is not None]
        return "，".join([*words, *(["按姓名等查找"] if self.search else [])])

    def with_filter(self, key: str, value: str | None) -> "ListState":
        """This view by another value of one filter, None for any; from its first page."""
        others = {name: text for name, text in self.filters.items() if name != key}
        return self.first_page(filters=others | ({key: value} if value else {}))

    def with_sort(self, key: str, *, is_descending: bool) -> "ListState":
        """This view in another order; from its first page."""
        return self.first_page(sort=key, direction=DESCENDING if is_descending else ASCENDING)

    def first_page(self, **changes: object) -> "ListState":
        """This view from its first page, with `changes` of attributes."""
        return replace(self, after=None, before=None, **changes)  # type: ignore[arg-type]

    def arguments(self) -> dict[str, str]:
        """The arguments of an address that gives this view; what is as the list has it is left out."""
        unfiltered = {key: ANY_VALUE for key in self.presets if key not in self.filters}
        changed = {key: value for key, value in self.filters.items() if self.presets.get(key) != value}
        further = {
            SEARCH: self.search,
            SORT: self.sort,
            DIRECTION: self.direction,
            COLUMNS: "" if self.columns == self.definition.default_columns else ",".join(self.columns),
            AFTER: self.after or "",
            BEFORE: self.before or "",
        }
        return unfiltered | changed | {name: value for name, value in further.items() if value}

    def explicit_arguments(self) -> dict[str, str]:
        """The arguments of an address that gives this view, its page too, where nothing is preset."""
        return replace(self, presets={}).arguments()

    def address(self) -> str:
        """The view without its page, as the text after an address's question mark: for saved views, jobs and
        the selection of all rows. It says every filter, so that presets don't change it."""
        return urlencode(dict(sorted(self.first_page().explicit_arguments().items())))


def parse_state(
    definition: ListDefinition,
    arguments: Mapping[str, Sequence[str]],
    presets: Mapping[str, str] | None = None,
) -> ListState:
    """Returns the view that the arguments of an address describe. What the list doesn't have is left out:
    an old address shows more, never an error. `presets`: filters that hold where the address names none."""
    search, sort, direction, after, before = (
        _first_value(arguments, name) for name in (SEARCH, SORT, DIRECTION, AFTER, BEFORE)
    )
    return ListState(
        definition,
        filters=dict(_parse_filters(definition, arguments, presets or {})),
        presets=presets or {},
        search=search[:MAX_SEARCH_LENGTH] if definition.search else "",
        sort=sort if any(known.key == sort for known in definition.sorts) else "",
        direction=direction if direction in (ASCENDING, DESCENDING) else "",
        columns=_parse_columns(definition, arguments.get(COLUMNS, ())),
        after=after or None,
        before=before or None,
    )


def parse_address(definition: ListDefinition, address: str) -> ListState:
    """Returns the view that `ListState.address` has written. Raises InvalidInput for an address of which
    something would be left out, because a batch or a file would then take in more than was meant."""
    arguments = parse_qs(address[: MAX_ADDRESS_LENGTH + 1])
    state = parse_state(definition, arguments)
    rewritten = {name: [value] for name, value in state.arguments().items()}
    if len(address) > MAX_ADDRESS_LENGTH or rewritten != arguments:
        raise InvalidInput("所选范围已失效，请重新筛选后再操作。", "selection")
    return state


def _parse_filters(
    definition: ListDefinition,
    arguments: Mapping[str, Sequence[str]],
    presets: Mapping[str, str],
) -> Iterable[tuple[str, str]]:
    """Yields key and value of each filter that is set. A filter for which the address names a value that it
    doesn't take is not set, not even to its preset."""
    for known in definition.filters:
        value = _first_value(arguments, known.key) or presets.get(known.key, "")
        if value and value != ANY_VALUE and known.takes(value):
            yield known.key, value


def _parse_columns(
    definition: ListDefinition,
    values: Sequence[str],
) -> tuple[str, ...]:
    """Returns the keys of the chosen columns in the list's order, the fixed ones among them; () for none.
    `values`: keys, single or joined by commas."""
    chosen_keys = {key for value in values for key in value.split(",")}
    if chosen_keys.isdisjoint(column.key for column in definition.columns):
        return ()
    return tuple(column.key for column in definition.columns if column.is_fixed or column.key in chosen_keys)


def _first_value(arguments: Mapping[str, Sequence[str]], name: str) -> str:
    """Returns the first value of an argument without surrounding blanks; "" if there is none."""
    values = arguments.get(name, ())
    return values[0].strip() if values else ""
