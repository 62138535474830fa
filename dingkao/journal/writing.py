"""Writing the journal, and checking that nobody has touched it since."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import any_, select
from sqlalchemy.dialects.postgresql import distinct_on

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.journal.models import JournalEntry
from dingkao.tenants.asking import TENANT, Asked, ids
from dingkao.tenants.secrets import vault
from dingkao.tenants.sending import send


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


_waiting: ContextVar[list[JournalEntry] | None] = ContextVar("dingkao_journal", default=None)
_LAST = Asked(
    lambda: select(JournalEntry.subject_id, JournalEntry.seal)
    .where(JournalEntry.tenant_id == TENANT, JournalEntry.subject_id == any_(ids("subjects")))
    .ext(distinct_on(JournalEntry.subject_id))
    .order_by(JournalEntry.subject_id, JournalEntry.id.desc()),
    alone=True,
)
SYSTEM = Actor("system", name="系统")
TERMINAL = Actor("operator", name="命令行")


def write(
    subject_kind: str, subject_id: UUID, verb: str, *, by: Actor, before: str | None = None, after: str | None = None,
    reason: str | None = None, **details: Any,
) -> None:  # fmt: skip
    """One entry on a subject whose row the caller holds locked; it leaves with the transaction that it tells of. `details` must
    hold no personal data."""
    entry = JournalEntry(
        id=new_id(), subject_kind=subject_kind, subject_id=subject_id, verb=verb, at=clock.now(), actor_kind=by.kind, actor_id=by.id,
        actor_role=by.role(), state_before=before, state_after=after, reason=reason, details=details,
    )  # fmt: skip
    waiting = _waiting.get()
    if waiting is None:
        _append([entry])
    else:
        waiting.append(entry)


@contextmanager
def together() -> Iterator[None]:
    """What is written in the block is sealed and leaves together at its end: the entries before are asked for once, and all of it is sent at
    once. For an act that tells of several rows, all of them held locked, or just made, until its transaction ends. Where the block raises
    nothing is written; one inside another leaves with that."""
    if _waiting.get() is not None:
        yield
        return
    waiting: list[JournalEntry] = []
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
    if waiting:
        _append(waiting)


def _append(entries: list[JournalEntry]) -> None:
    """Chain entries to what was last written of their subjects, and send them."""
    last = {row[0]: row[1] for row in _LAST.rows(subjects=list({entry.subject_id for entry in entries}))}
    for entry in entries:
        entry.previous = last.get(entry.subject_id)
        entry.seal = last[entry.subject_id] = _seal(entry)
    send(db.session(), *entries)


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
