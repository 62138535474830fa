"""Official seals (公章): the province's own seal, proposed by one administrator and approved by another;
before that, a sample seal with the word 样张."""

import base64
import math
from dataclasses import dataclass
from uuid import UUID
from xml.sax.saxutils import escape

from dingkao.database.base import new_id
from dingkao.integrations.images import images
from dingkao.integrations.storage import current_store
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people import proposed_acts
from dingkao.people.models import ProposedAct
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import by_code
from dingkao.tenants.settings import Setting

RING_RADIUS, STAR_RADII = 147, (58, 22)
settings.register(
    "seal",
    Setting(
        "公章",
        "",
        kind="object",
        group="证书",
        order=30,
        object_labels=("已上传", "演示公章"),
    ),
)


@dataclass(frozen=True)
class OfficialSeal:
    """A seal as it is printed: content type and bytes. `is_sample`: it is the sample seal."""

    content_type: str
    content: bytes
    is_sample: bool

    def data_uri(self) -> str:
        """Returns the seal as a data URI for a page."""
        return f"data:{self.content_type};base64,{base64.b64encode(self.content).decode()}"


def current_seal() -> OfficialSeal:
    """Returns the seal of the current province; until one is approved, a sample seal with the name of its
    health commission. Raises NotFound if the file is missing, Unavailable; an altered one can't be decrypted
    (`storage`)."""
    stored_seal = settings.value("seal")
    if stored_seal:
        return OfficialSeal(
            "image/png",
            current_store().get("seal", UUID(stored_seal)),
            is_sample=False,
        )
    province = by_code(current_tenant())
    return OfficialSeal(
        "image/svg+xml",
        sample_seal_svg(province.commission if province else "演示省份").encode(),
        is_sample=True,
    )


def propose_seal(content: bytes, *, by: Actor, reason: str) -> ProposedAct:
    """Store the picture `content`, which stays in the object store even after a rollback, and propose it as
    the province's seal, which is journalled; it is used only after approval. Raises InvalidInput,
    InvalidState if a proposal waits already, TooLarge, Unavailable."""
    proposed_acts.require_none_pending("seal", proposed_acts.province_subject())
    reason, picture, identity = (
        proposed_acts.validate_reason(reason),
        images.process_seal(content),
        new_id(),
    )
    current_store().put("seal", identity, picture)
    return proposed_acts.propose(
        "seal",
        proposed_acts.province_subject(),
        by=by,
        reason=reason,
        value=str(identity),
    )


def proposed_seal(act: ProposedAct) -> OfficialSeal:
    """Returns the seal of a proposal (an act of the kind "seal"), decided or not. Raises NotFound,
    Unavailable."""
    return OfficialSeal(
        "image/png",
        current_store().get("seal", UUID(act.value)),
        is_sample=False,
    )


@proposed_acts.on_approval("seal")
def apply_proposed_seal(act: ProposedAct, by: Actor) -> None:
    """Make the proposed seal the province's seal from today on, also for certificates that are drawn again.
    Writes the journal. `by`: who approves."""
    settings.change("seal", act.value, by=act.proposed_by, reason=act.reason)
    reasons = {
        "seal": act.value,
        "reason": act.reason,
        "proposed_by": str(act.proposed_by),
    }
    journal.write_entry(
        "province",
        proposed_acts.province_subject(),
        "seal_uploaded",
        by=by,
        **reasons,
    )


def sample_seal_svg(name: str) -> str:
    """Returns a round red seal as SVG: `name` on the ring, a star, and 样张 below it. Each character is
    placed separately, because not every renderer can set text along a path."""
    size = 36 if len(name) <= 14 else 500 / len(name)
    spread = min(270, 24 * len(name))
    letters = [
        _letter_svg(
            character,
            -spread / 2 + spread * index / max(len(name) - 1, 1),
            size,
        )
        for index, character in enumerate(name)
    ]
    star = " ".join(_star_point(turn) for turn in range(10))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" width="400" height="400"><g '
        'fill="none" stroke="#c8161d"><circle cx="200" cy="200" r="190" '
        'stroke-width="9"/></g><g fill="#c8161d" text-anchor="middle" font-family="Noto Serif CJK '
        'SC, Noto Sans CJK SC, WenQuanYi Micro Hei, serif" font-weight="700">'
        f'{"".join(letters)}<polygon points="{star}"/><text x="200" y="312" font-size="40" '
        'letter-spacing="8">样张</text></g></svg>'
    )


def _letter_svg(character: str, angle: float, size: float) -> str:
    """Returns a character on the ring as SVG, rotated by `angle` degrees from the top; `size` is the font
    size."""
    x = 200 + RING_RADIUS * math.sin(math.radians(angle))
    y = 200 - RING_RADIUS * math.cos(math.radians(angle))
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.0f}" transform="rotate({angle:.1f} '
        f'{x:.1f} {y:.1f})" dy="12">{escape(character)}</text>'
    )


def _star_point(turn: int) -> str:
    """Returns the coordinates of corner `turn` (0 to 9) of the star; outer and inner corners alternate."""
    radius, angle = STAR_RADII[turn % 2], math.radians(36 * turn)
    return f"{200 + radius * math.sin(angle):.1f},{195 - radius * math.cos(angle):.1f}"
