"""The filter by institution of the console's lists: a search field, because a province has up to 45,000."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select

from dingkao.database.base import db
from dingkao.database.listing.definitions import ListFilter, ListViewer
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import organisation_names
from dingkao.people.organisations import find_one, matches_typed

MAX_SUGGESTIONS = 10
INSTITUTION_FILTER = "institution"


def institution_filter(column: Any) -> ListFilter:
    """The filter of rows whose institution's id stands in `column`."""

    def condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
        return column == UUID(value)

    return ListFilter(
        INSTITUTION_FILTER,
        "机构",
        condition,
        accepts=is_id,
        describe=lambda value: organisation_names([UUID(value)]).get(UUID(value), "机构已不存在"),
        resolve=lambda words: str(find_one(words).id),
    )


def is_id(text: str) -> bool:
    """Whether a text is an id as addresses write it."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def suggest_organisations(words: str) -> list[tuple[str, str]]:
    """The names and 机构登记号 of the first organisations that fit what was typed, by name; none for nothing
    typed."""
    if not words.strip():
        return []
    query = select(Organisation.name, Organisation.registration_number).where(matches_typed(words))
    return list(db.session.execute(query.order_by(Organisation.name).limit(MAX_SUGGESTIONS)).all())
