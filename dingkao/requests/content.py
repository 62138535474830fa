"""What a change or a correction would do, as a list of items with old and new value; kept sealed, because names and numbers are among them.

An item's `what` is field (of the filing: step, name), entry (of a list: list, entry), or doctor (of the roster: name). `before` and `after`
are values as rows keep them, `said` the same two in words.
"""

import json
from typing import Any, TypedDict

from dingkao.requests.models import Request
from dingkao.tenants.secrets import Place, vault


class Item(TypedDict):
    """One thing to be changed."""

    what: str
    place: str
    name: str
    label: str
    before: Any
    after: Any
    said: tuple[str, str]


def items_of(row: Request) -> list[Item]:
    """The items, in the order in which they were asked for."""
    if row.content_sealed is None:
        return []
    items: list[Item] = json.loads(vault().unseal(Place("request", "content", row.id), row.content_sealed))
    return items


def keep_items(row: Request, items: list[Item]) -> None:
    """Put them in the place of those before."""
    row.content_sealed = vault().seal(Place("request", "content", row.id), json.dumps(items, ensure_ascii=False)) if items else None


def merged(items: list[Item], fresh: list[Item], *, what: str, place: str) -> list[Item]:
    """`items` with all of one place (a step, a list's entry, the roster) replaced by `fresh`."""
    return [one for one in items if (one["what"], one["place"]) != (what, place)] + fresh
