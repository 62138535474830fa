"""Filters whose value is an id in the address."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import ColumnElement

from dingkao.database.listing.definitions import ListFilter


def is_id(text: str) -> bool:
    """Whether a text is an id as addresses write it, in lower case with hyphens."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def listed_in_filter(
    key: str,
    label: str,
    description: str,
    condition: Callable[[str], ColumnElement[bool]],
) -> ListFilter:
    """The filter by which an address names the one thing whose entries a list shows (a meeting, a
    publication). It has an index, and no chip. `condition`: from the thing's id, as text, to the entries on
    its list; `description`: the thing in the words of the file of the list."""
    return ListFilter(
        key,
        label,
        lambda value, _viewer: condition(value),
        accepts=is_id,
        describe=lambda _value: description,
        is_indexed=True,
        is_offered=False,
        is_for=lambda _viewer: False,
    )
