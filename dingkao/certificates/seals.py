"""Seals (公章): the province's own, uploaded; until there is one, a demonstration seal that says 样张."""

import base64
import math
from dataclasses import dataclass
from uuid import UUID

from dingkao.database.model import new_id
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import pictures
from dingkao.outside.storage import store
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import by_code


@dataclass(frozen=True)
class Seal:
    """A seal as it is printed: its content type and bytes; `sample` where it is a demonstration's."""

    content_type: str
    content: bytes
    sample: bool

    def data_uri(self) -> str:
        """For an image in a page."""
        return f"data:{self.content_type};base64,{base64.b64encode(self.content).decode()}"


def seal() -> Seal:
    """The seal of the province entered. Raises Unavailable."""
    kept = settings.value("seal")
    if kept:
        return Seal("image/png", store().get("seal", UUID(kept)), sample=False)
    province = by_code(current_tenant())
    return Seal("image/svg+xml", demonstration(province.commission if province else "演示省份").encode(), sample=True)


def upload(content: bytes, *, by: Actor, reason: str) -> None:
    """Make the picture the province's seal from today on. Raises Invalid, TooLarge, Unavailable."""
    picture, identity = pictures.seal(content), new_id()
    store().put("seal", identity, picture, "image/png")
    settings.change("seal", str(identity), by=by.id, reason=reason)
    journal.write("province", UUID(int=current_tenant()), "seal_uploaded", by=by, seal=str(identity), reason=reason)


def demonstration(name: str) -> str:
    """A round red seal as SVG: `name` on the ring, a star, and 样张 beneath it. Each character is placed by itself, because not every
    renderer sets text along a path."""
    ring, size = 147, 36 if len(name) <= 14 else 500 / len(name)
    spread = min(270, 24 * len(name))
    letters = []
    for index, character in enumerate(name):
        angle = -spread / 2 + spread * index / max(len(name) - 1, 1)
        x, y = 200 + ring * math.sin(math.radians(angle)), 200 - ring * math.cos(math.radians(angle))
        letters.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.0f}" transform="rotate({angle:.1f} {x:.1f} {y:.1f})" dy="12">{character}</text>')
    star = " ".join(
        f"{200 + radius * math.sin(math.radians(36 * turn)):.1f},{195 - radius * math.cos(math.radians(36 * turn)):.1f}"
        for turn in range(10) for radius in (58 if turn % 2 == 0 else 22,)
    )  # fmt: skip
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" width="400" height="400"><g fill="none" stroke="#c8161d"><circle cx="200" cy="200" r="190" '
        'stroke-width="9"/></g><g fill="#c8161d" text-anchor="middle" font-family="Noto Serif CJK SC, Noto Sans CJK SC, WenQuanYi Micro Hei, serif" font-weight="700">'
        f'{"".join(letters)}<polygon points="{star}"/><text x="200" y="312" font-size="40" letter-spacing="8">样张</text></g></svg>'
    )
