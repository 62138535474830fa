"""The filter by institution of the console's lists: a search field, because a province has up to 45,000."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement

from dingkao.database.listing.definitions import ListFilter, ListViewer
from dingkao.database.listing.id_filters import is_id
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import organisation_names
from dingkao.people.organisation_search import search_organisations
from dingkao.people.organisations import resolve_organisation

MAX_SUGGESTIONS = 10
INSTITUTION_FILTER = "institution"


def has_many_institutions(viewer: ListViewer) -> bool:
    """Whether somebody reaches doctors of more than one institution."""
    grant = viewer.grant
    return bool(grant.is_province or grant.divisions or len(grant.institution_ids) > 1)


def institution_filter(
    column: Any,
    is_for: Callable[[ListViewer], bool] = has_many_institutions,
    condition: Callable[[str, ListViewer], ColumnElement[bool]] | None = None,
) -> ListFilter:
    """The filter of rows whose institution's id stands in `column`, or that meet a `condition` instead, for
    those who need it (`is_for`). Its value is the institution's id as text; `condition` gets it with the
    viewer; what is typed is resolved by `resolve_organisation`, with its InvalidInput."""

    def is_of_institution(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
        """The SQL condition that `column` has the institution's id, which `value` is as text."""
        return column == UUID(value)

    return ListFilter(
        INSTITUTION_FILTER,
        "机构",
        condition or is_of_institution,
        accepts=is_id,
        describe=lambda value: organisation_names([UUID(value)]).get(UUID(value), "机构已不存在"),
        resolve=lambda words: str(resolve_organisation(words).id),
        is_indexed=True,
        is_for=is_for,
    )


def suggest_organisations(words: str) -> list[tuple[str, str]]:
    """The names and 机构登记号 of the first MAX_SUGGESTIONS open organisations that fit what was typed, the
    best first; none for nothing typed."""
    organisations = search_organisations(words, MAX_SUGGESTIONS, Organisation.closed_at.is_(None))
    return [(organisation.name, organisation.registration_number) for organisation in organisations]
