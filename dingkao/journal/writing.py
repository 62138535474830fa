"""Writing the journal, and checking that nobody has touched it since."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.journal.models import JournalEntry
from dingkao.tenants.secrets import vault


@dataclass(frozen=True)
class Actor:
    """Who acts: a kind of the journal's, the account, the roles held, the organisation acted for (None: the province, or nobody's)."""

    kind: str
    id: UUID | None = None
    roles: frozenset[str] = field(default_factory=frozenset)
    organisation_id: UUID | None = None
    name: str = ""

    def role(self) -> str:
        """The roles as the journal keeps them."""
        return ",".join(sorted(self.roles)) or self.kind


SYSTEM = Actor("system", name="系统")
TERMINAL = Actor("operator", name="命令行")


def write(
    subject_kind: str, subject_id: UUID, verb: str, *, by: Actor, before: str | None = None, after: str | None = None,
    reason: str | None = None, **details: Any,
) -> JournalEntry:  # fmt: skip
    """One entry on a subject whose row the caller holds locked; it leaves with the transaction that it tells of. `details` must
    hold no personal data."""
    previous = db.session.scalar(
        select(JournalEntry.seal).where(JournalEntry.subject_id == subject_id).order_by(JournalEntry.id.desc()).limit(1)
    )
    entry = JournalEntry(
        id=new_id(), subject_kind=subject_kind, subject_id=subject_id, verb=verb, at=clock.now(), actor_kind=by.kind, actor_id=by.id,
        actor_role=by.role(), state_before=before, state_after=after, reason=reason, details=details, previous=previous,
    )  # fmt: skip
    entry.seal = _seal(entry)
    db.session.add(entry)
    db.session.flush()
    return entry


def broken_entries(subject_id: UUID) -> list[UUID]:
    """The entries of a subject that aren't what was written, or whose forerunner is missing; empty when all is sound."""
    broken, last = [], None
    for entry in db.session.scalars(select(JournalEntry).where(JournalEntry.subject_id == subject_id).order_by(JournalEntry.id)):
        if entry.previous != last or entry.seal != _seal(entry):
            broken.append(entry.id)
        last = entry.seal
    return broken


def _seal(entry: JournalEntry) -> bytes:
    content = [
        str(entry.id), entry.subject_kind, str(entry.subject_id), entry.verb, entry.at.isoformat(timespec="microseconds"),
        entry.actor_kind, str(entry.actor_id), entry.actor_role, entry.state_before, entry.state_after, entry.reason, entry.details,
        entry.previous.hex() if entry.previous else None,
    ]  # fmt: skip
    return vault().blind_index("journal", json.dumps(content, ensure_ascii=True, sort_keys=True))
