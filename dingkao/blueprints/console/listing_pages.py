"""What the pages of the console's lists have in common: a view of a list is read from the address, fetched,
and given to the component `components/listing.html`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from flask import redirect, request, url_for
from flask_login import current_user
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from dingkao.assessments.people_search import find_by_number, may_be_number
from dingkao.database.listing.definitions import (
    ListColumn,
    ListDefinition,
    ListFilter,
    ListRow,
    ListSort,
    ListViewer,
)
from dingkao.database.listing.list_counts import ChipCount, ListCounts, count_list
from dingkao.database.listing.list_pages import MAX_LOOKED_AT, MAX_SORTED, ListPage, fetch_list_page
from dingkao.database.listing.list_states import (
    ANY_VALUE,
    SEARCH,
    ListState,
    parse_address,
    parse_state,
)
from dingkao.database.listing.selections import fetch_selected_ids
from dingkao.doctors.doctor_list import DOCTOR_FILTER, doctor_filter_value
from dingkao.doctors.name_search import is_number
from dingkao.errors import InvalidInput, NotFound
from dingkao.people.exported_lists import may_export
from dingkao.people.models import SavedView
from dingkao.people.saved_views import MAX_VIEW_NAME_LENGTH, list_saved_views
from dingkao.web.forms import ticked_ids
from dingkao.web.local_paths import is_local_path

UNKNOWN_NUMBER_MESSAGE = "在可查看的范围内没有找到这个号码。请核对，或改按姓名查找。"
RowLink = Callable[[ListRow], str]
MAX_EMPTY_CHIPS = 6
"""Up to so many choices of a filter are all offered, also those that would leave nothing."""


@dataclass(frozen=True)
class ListView:
    """A page of a list as its template shows it. `endpoint`: the page's view, which takes the arguments
    `fixed` besides those of the list; `links`: key of a column → the address that a row's cell leads to;
    `problems`: key of a filter, or SEARCH → why what was typed there, which is in `typed_values`, wasn't
    taken; `search_endpoint`: the view to which the search fields are posted."""

    state: ListState
    viewer: ListViewer
    endpoint: str
    search_endpoint: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, RowLink] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    typed_values: Mapping[str, str] = field(default_factory=dict)
    max_looked_at = MAX_LOOKED_AT
    max_sorted = MAX_SORTED
    max_view_name = MAX_VIEW_NAME_LENGTH

    @property
    def definition(self) -> ListDefinition:
        """The list."""
        return self.state.definition

    @cached_property
    def page(self) -> ListPage:
        """The rows shown, fetched when first asked for."""
        return fetch_list_page(self.state, self.viewer)

    @cached_property
    def counts(self) -> ListCounts:
        """How many rows there are, and the numbers on the chips; counted by queries when first asked for."""
        return count_list(self.state, self.viewer)

    @property
    def shown_columns(self) -> list[ListColumn]:
        """The columns shown, in the list's order."""
        return [column for column in self.definition.columns if column.key in self.state.shown_columns]

    @property
    def chip_filters(self) -> list[ListFilter]:
        """The offered filters that have choices: shown as chips."""
        return [known for known in self._offered_filters if known.choices]

    @property
    def typed_filters(self) -> list[ListFilter]:
        """The offered filters without choices: shown as search fields."""
        return [known for known in self._offered_filters if not known.choices]

    @property
    def removable_filters(self) -> list[ListFilter]:
        """The filters without choices that limit the view, each of which can be taken off."""
        return [
            known
            for known in self.definition.filters
            if not known.choices and known.key in self.state.filters and known.is_for(self.viewer)
        ]

    @property
    def search_address(self) -> str:
        """The address to which the search fields are posted: it keeps what isn't typed into them."""
        typed_keys = (known.key for known in self.typed_filters if known.key not in self.state.filters)
        return _url_with(self.search_endpoint, self.form_arguments(SEARCH, DOCTOR_FILTER, *typed_keys))

    @property
    def path(self) -> str:
        """The path of this view below the province's, where a form comes back to."""
        return self.address_of(self.state).removeprefix(request.script_root)

    @property
    def unfiltered_address(self) -> str:
        """The address of the page without what is chosen of the list, for forms that name that themselves."""
        return _url_with(self.endpoint, self.fixed)

    @property
    def _offered_filters(self) -> list[ListFilter]:
        """The filters that the page offers this viewer, as chips or search fields, in the list's order:
        without those that only an address sets."""
        return [known for known in self.definition.filters if known.is_offered and known.is_for(self.viewer)]

    @property
    def total_text(self) -> str:
        """How many rows the view has, with their unit; 若干 («some») if that isn't known."""
        return self.counts.total.with_unit(self.definition.unit) or f"若干{self.definition.unit}"

    def chip_count(self, known: ListFilter, code: str) -> ChipCount | None:
        """How many rows the view would have with the choice `code` of a filter instead of its own, as
        `counts` has it; None for a filter whose choices aren't counted."""
        return self.counts.choices.get(known.key, {}).get(code)

    def address_of(self, state: ListState) -> str:
        """The address of another view of this list."""
        return _url_with(self.endpoint, self.fixed, state.arguments())

    def form_action(self, endpoint: str) -> str:
        """The address of another view with the arguments of this one, its filters, order and page: where a
        form of the list is sent, so that a refused one shows the same view again. Which rows are meant says
        the form."""
        return _url_with(endpoint, self.fixed, self.state.explicit_arguments())

    @property
    def is_narrowed(self) -> bool:
        """Whether rows are left out by more than the filters that the page presets."""
        return bool(self.state.search or self.state.filters.keys() - self.state.presets.keys())

    def filter_address(self, key: str, code: str | None) -> str:
        """The address of this view by another value of a filter; None for any."""
        return self.address_of(self.state.with_filter(key, code))

    def page_address(
        self,
        *,
        after: str | None = None,
        before: str | None = None,
    ) -> str:
        """The address of another page of this view; of its first without a cursor."""
        arguments = self.state.first_page().arguments()
        cursors = {name: cursor for name, cursor in (("after", after), ("before", before)) if cursor}
        return _url_with(self.endpoint, self.fixed, arguments, cursors)

    def sort_of(self, column: ListColumn) -> ListSort | None:
        """The order that the heading of a column offers; None if it offers none."""
        return self.definition.sort_by_key(column.sort) if column.sort else None

    def sort_address(self, sort: ListSort) -> str:
        """The address of this view in an order; in the opposite direction where it has that order already."""
        is_shown = sort.key == self.page.sort.key
        is_descending = not self.page.is_descending if is_shown else sort.is_descending
        return self.address_of(self.state.with_sort(sort.key, is_descending=is_descending))

    def aria_sort(self, column: ListColumn) -> str:
        """How the rows are sorted by a column, as aria-sort says it; "" if they aren't."""
        if not column.sort or column.sort != self.page.sort.key:
            return ""
        return "descending" if self.page.is_descending else "ascending"

    def form_arguments(self, *without: str) -> dict[str, str]:
        """The arguments that a form of this page must send besides its own fields `without`, so that the view
        stays as it is, from its first page."""
        arguments = dict(self.fixed) | self.state.first_page().arguments()
        return {name: value for name, value in arguments.items() if name not in without}

    @property
    def is_exportable(self) -> bool:
        """Whether the user may have the view as a file."""
        return may_export(self.definition.name, by=current_user.as_actor())

    @property
    def has_further_pages(self) -> bool:
        """Whether the view has rows that this page doesn't show."""
        return bool(self.page.previous_cursor or self.page.next_cursor)

    @property
    def is_later_page(self) -> bool:
        """Whether the address names another page than the view's first."""
        return bool(self.state.after or self.state.before)

    def is_chip_shown(self, known: ListFilter, code: str) -> bool:
        """Whether a choice of a filter is offered: one that would leave nothing is left out among many."""
        count = self.chip_count(known, code)
        is_chosen = self.state.filters.get(known.key) == code
        return is_chosen or len(known.choices) <= MAX_EMPTY_CHIPS or count is None or not count.is_zero

    def id_of(self, row: ListRow) -> UUID:
        """The id of a row."""
        return getattr(row[0], self.definition.id_column.key)

    def link_of(self, column: ListColumn, row: ListRow) -> str:
        """The address that a cell leads to; "" for none."""
        link = self.links.get(column.key)
        return link(row) if link else ""

    @cached_property
    def saved_views(self) -> Sequence[SavedView]:
        """The saved views of this list that the user may use, fetched when first asked for."""
        return list_saved_views(
            self.definition.name,
            current_user.id,
            current_user.memberships,
        )

    def saved_address(self, saved: SavedView) -> str:
        """The address of a saved view; what the list no longer has is left out of it."""
        state = parse_state(self.definition, parse_qs(saved.address))
        return self.address_of(replace(state, presets=self.state.presets))


def _url_with(endpoint: str, *arguments: Mapping[str, str]) -> str:
    """The address of a view with these arguments."""
    values: dict[str, Any] = {name: value for mapping in arguments for name, value in mapping.items()}
    return url_for(endpoint, **values)


def viewer_of(definition: ListDefinition) -> ListViewer:
    """The current user as the viewer of a list."""
    return ListViewer(current_user.grant(definition.action), current_user.id)


def open_list(
    definition: ListDefinition,
    *,
    fixed: Mapping[str, str] | None = None,
    presets: Mapping[str, str] | None = None,
    links: Mapping[str, RowLink] | None = None,
    viewer: ListViewer | None = None,
    endpoint: str,
    search_endpoint: str,
) -> ListView | Response:
    """Returns the view of a list that the request describes: by its address, and the search fields if these
    were posted; why something typed was not taken is in the view's `problems`. Or the redirect to the view's
    address, in which what was typed has become a filter's value or the text that is searched, but no number
    of a person (domain.md §9). `viewer`: the current user as viewer of a list with the same action, for whom
    the database was asked already (`ListViewer.found`); the other keyword arguments are those of ListView and
    `parse_state`."""
    posted = request.form if SEARCH in request.form else MultiDict[str, str]()
    arguments = request.args.to_dict(flat=False) | posted.to_dict(flat=False)
    typed_values = {name: values[0].strip() for name, values in arguments.items()}
    state, viewer = parse_state(definition, arguments, presets), viewer or viewer_of(definition)
    resolved, problems = _resolve_typed(state, typed_values)
    if _is_number_searched(state, viewer):
        doctor_ids = find_by_number(state.search, viewer.grant) if _names_doctors(definition) else []
        state = replace(state, search="")
        if doctor_ids:
            resolved[DOCTOR_FILTER] = doctor_filter_value(doctor_ids)
        else:
            problems[SEARCH] = UNKNOWN_NUMBER_MESSAGE
    view = ListView(
        state,
        viewer,
        endpoint,
        search_endpoint,
        fixed or {},
        links or {},
        problems,
        typed_values if problems else {},
    )
    if (resolved or posted) and not problems:
        return redirect(
            view.address_of(state.first_page(filters={**state.filters, **resolved})),
            303,
        )
    return view


def open_list_of(
    definition: ListDefinition,
    key: str,
    argument: str,
    owner_id: UUID,
    *,
    endpoint: str,
    search_endpoint: str,
) -> ListView | Response:
    """Returns the view of a list on the page of what it belongs to (as `open_list`): the filter `key` names
    that by its id, as does `argument` of both views' addresses. Or the redirect to the page of another one
    that the address names, as saved views do. Raises NotFound for an address that asks for those of all."""
    fixed = {argument: str(owner_id)}
    view = open_list(
        definition,
        fixed=fixed,
        presets={key: str(owner_id)},
        endpoint=endpoint,
        search_endpoint=search_endpoint,
    )
    if isinstance(view, Response):
        return view
    named_id = view.state.filters.get(key)
    if named_id is None:
        raise NotFound
    if named_id != str(owner_id):
        return redirect(replace(view, fixed={argument: named_id}).address_of(view.state), 303)
    return view


def _names_doctors(definition: ListDefinition) -> bool:
    """Whether the rows of a list are about doctors, who are found by their numbers."""
    return definition.filter_by_key(DOCTOR_FILTER) is not None


def _is_number_searched(state: ListState, viewer: ListViewer) -> bool:
    """Whether the text that is searched may be somebody's number, which belongs into no address; in a list
    without doctors: one that finds nothing there."""
    if _names_doctors(state.definition):
        return may_be_number(state.search, viewer.grant)
    if not is_number(state.search):
        return False
    searched = ListState(state.definition, search=state.search)
    return not fetch_selected_ids(searched, viewer, None, 1)


def _resolve_typed(
    state: ListState, typed_values: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Returns what was typed into filters: by key the value that it means, and by key why it means none. What
    a filter takes as it is, is in neither."""
    resolved: dict[str, str] = {}
    problems: dict[str, str] = {}
    for known in state.definition.filters:
        words = typed_values.get(known.key, "")
        if known.choices or not known.is_offered or words in ("", ANY_VALUE) or known.takes(words):
            continue
        try:
            resolved[known.key] = known.resolve(words)
        except InvalidInput as refusal:
            problems[known.key] = refusal.message
    return resolved, problems


def is_whole_view_selected() -> bool:
    """Whether the form means all rows of a view, not the ticked ones."""
    return request.form.get("selection") == "all"


def selected_view(definition: ListDefinition) -> ListState:
    """Returns the view whose rows the form means. Raises InvalidInput for an address of which something would
    be left out."""
    return parse_address(definition, request.form.get("view", ""))


def selected_ids(definition: ListDefinition, limit: int) -> list[UUID]:
    """Returns the ids of the rows that the form means: the ticked ones, which aren't checked here against the
    user's grant, or all of a view in the order of ids; the first `limit` of them, without saying that there
    are more. Raises InvalidInput for a view that no longer is one."""
    if is_whole_view_selected():
        return fetch_selected_ids(
            selected_view(definition),
            viewer_of(definition),
            None,
            limit,
        )
    return ticked_ids()[:limit]


def posted_view_address(
    definition: ListDefinition,
    endpoint: str,
    *preset_keys: str,
    **fixed: str,
) -> str:
    """Returns the address of the view from which a form was sent; of the list's first where it says none.
    `preset_keys`: keys of the filters that the page presets."""
    state = parse_state(definition, parse_qs(request.form.get("view", "")))
    if not request.form.get("view"):
        return _url_with(endpoint, fixed)
    return _url_with(
        endpoint,
        fixed,
        replace(state, presets=dict.fromkeys(preset_keys, "")).arguments(),
    )


def posted_page_address() -> str:
    """The address of the list's page that sent the form (`back`); the console's first page for an address
    that is none of this site."""
    return page_address(request.form.get("back", "")) or url_for("dashboard.show_tasks")


def page_address(path: str) -> str | None:
    """The address of a page of the province with this path (and query) below the province's; None for a path
    that leads to another site."""
    if not is_local_path(path):
        return None
    parts = urlsplit(path)
    query = f"?{parts.query}" if parts.query else ""
    return f"{request.script_root}{parts.path}{query}"
