"""The items of a change or correction, each with old and new value; stored encrypted, because they contain
names and numbers.

`what` says what an item changes: `field` (of the filing; `place` is the step, `name` the field), `entry` (of
a list; `place` is «list/entry id», `name` the list), or `doctor` (of the roster; `name` is the column).
`before` and `after` are values as rows store them, `said` both as people read them.
"""

import json
from collections.abc import Iterable
from typing import Any, TypedDict

from dingkao.integrations.pdf.fonts import unprintable_characters
from dingkao.requests.models import Request
from dingkao.tenants.encryption import SecretLocation, current_vault


class Item(TypedDict):
    """One value to be changed. `label` is its name on screens (Chinese)."""

    what: str
    place: str
    name: str
    label: str
    before: Any
    after: Any
    said: tuple[str, str]


def load_items(doctor_request: Request) -> list[Item]:
    """Returns the items of a request in the order in which they were added. Raises
    encryption.DecryptionFailed."""
    if doctor_request.content_sealed is None:
        return []
    content = current_vault().decrypt(_location(doctor_request), doctor_request.content_sealed)
    items: list[Item] = json.loads(content)
    return items


def unprintable_in_items(items: Iterable[Item]) -> str:
    """Returns the characters of a corrected name that no font of a certificate has; "" if there are none."""
    names = [item["after"] for item in items if (item["what"], item["name"]) == ("doctor", "name")]
    return unprintable_characters(*names)


def save_items(doctor_request: Request, items: list[Item]) -> None:
    """Store `items` in place of the request's earlier ones."""
    if not items:
        doctor_request.content_sealed = None
        return
    content = json.dumps(items, ensure_ascii=False)
    doctor_request.content_sealed = current_vault().encrypt(_location(doctor_request), content)


def replace_target_items(items: list[Item], new_items: list[Item], *, what: str, place: str) -> list[Item]:
    """Returns `items` without those of one target (`what`, `place`), and then `new_items`."""
    return [item for item in items if (item["what"], item["place"]) != (what, place)] + new_items


def _location(doctor_request: Request) -> SecretLocation:
    """Where a request's encrypted items are stored, as encryption and decryption need it."""
    return SecretLocation("request", "content", doctor_request.id)
