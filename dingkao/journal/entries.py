"""Writes journal entries, with the MAC and digest that reveal a later change."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import any_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from dingkao import clock
from dingkao.database.base import Model, db, new_id
from dingkao.journal.models import JournalEntry
from dingkao.tenants.bulk_flush import bulk_flush
from dingkao.tenants.clients import current_client
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import current_vault
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    execute_in_session,
    uuid_array_param,
)
from dingkao.tenants.rls import read_write_transactions

INSERT_BATCH_SIZE = 100
DIGEST_FORMAT = 2
"""The format of new entries. Those of format 1 have no address and device, and their MAC ignores case and
blanks; their digest in the object store (`checkpoints`) does not."""


@dataclass(frozen=True)
class Actor:
    """Who acts: kind (one of ACTOR_KINDS), account, its roles, and the organisation it acts for (None: the
    province, or none)."""

    kind: str
    id: UUID | None = None
    roles: frozenset[str] = field(default_factory=frozenset)
    organisation_id: UUID | None = None
    name: str = ""

    def roles_text(self) -> str:
        """Returns the roles as the journal stores them: sorted, separated by commas; without roles, the
        kind."""
        return ",".join(sorted(self.roles)) or self.kind


_pending_entries: ContextVar[list[JournalEntry] | None] = ContextVar("dingkao_journal", default=None)
_LAST_ENTRY_STATEMENT = PreparedStatement(
    lambda: (
        select(
            JournalEntry.subject_id,
            JournalEntry.id,
            JournalEntry.seal,
        )
        .where(
            JournalEntry.tenant_id == TENANT_PARAM,
            JournalEntry.subject_id == any_(uuid_array_param("subjects")),
        )
        .ext(distinct_on(JournalEntry.subject_id))
        .order_by(JournalEntry.subject_id, JournalEntry.id.desc())
    ),
    skip_autoflush=True,
)
_SUBJECT_LOCKS_SQL = "SELECT pg_advisory_xact_lock(turn) FROM unnest(%(turns)s::bigint[]) turn"
SYSTEM_ACTOR = Actor("system", name="系统")
TERMINAL_ACTOR = Actor("operator", name="命令行")


def write_entry(
    subject_kind: str,
    subject_id: UUID,
    verb: str,
    *,
    by: Actor,
    before: str | None = None,
    after: str | None = None,
    reason: str | None = None,
    **details: Any,
) -> None:
    """Write one entry in the current transaction, or within `batched_entries` at its end; the session's new
    and changed rows are flushed with it. Until the transaction ends, others wait to write about the same
    subject. `subject_kind`: the name of the subject's table, or a kind without one; `verb`: what was done;
    `before` and `after`: the subject's states around a transition. `details` must hold no personal data."""
    entry = _build_entry(
        subject_kind,
        subject_id,
        verb,
        by,
        state_before=before,
        state_after=after,
        reason=reason,
        details=details,
    )
    pending_entries = _pending_entries.get()
    if pending_entries is None:
        _lock_subject_row(db.session(), entry)
        _append_chained(db.session(), [entry])
    else:
        pending_entries.append(entry)


@contextmanager
def batched_entries() -> Iterator[None]:
    """Collect the entries written in the block and insert them together at its end, with one query for the
    preceding entries and one statement for all.

    The subjects must be rows that the transaction has locked or created. The session is flushed with them. If
    the block raises, nothing is written. A block within another one adds to the outer one.
    """
    if _pending_entries.get() is not None:
        yield
        return
    pending_entries: list[JournalEntry] = []
    token = _pending_entries.set(pending_entries)
    try:
        yield
    finally:
        _pending_entries.reset(token)
    if pending_entries:
        _append_chained(db.session(), pending_entries)


def write_entry_in_own_transaction(
    subject_kind: str,
    subject_id: UUID,
    verb: str,
    *,
    by: Actor,
    **details: Any,
) -> None:
    """Write one entry in a separate transaction, so that it stays even if the request is refused and rolled
    back. The subject must be no row that the request has locked: the separate transaction would wait for it,
    or chain to the same entry as the request's own."""
    entry = _build_entry(subject_kind, subject_id, verb, by, details=details)
    with read_write_transactions(), Session(db.engine) as session:
        _append_chained(session, [entry])
        session.commit()


def _build_entry(
    subject_kind: str,
    subject_id: UUID,
    verb: str,
    by: Actor,
    **values: Any,
) -> JournalEntry:
    """Returns an entry with a new id, the current time and the current client."""
    client = current_client()
    return JournalEntry(
        id=new_id(),
        subject_kind=subject_kind,
        subject_id=subject_id,
        verb=verb,
        at=clock.now(),
        actor_kind=by.kind,
        actor_id=by.id,
        actor_role=by.roles_text(),
        address=client.address,
        device=client.device,
        form=DIGEST_FORMAT,
        **values,
    )


def _lock_subject_row(session: Session, entry: JournalEntry) -> None:
    """Lock the row that is an entry's subject. A row that is not found is new and only visible to this
    transaction."""
    if is_table_kind(entry.subject_kind):
        execute_in_session(
            session,
            _table_statement(entry.subject_kind),
            {"tenant": current_tenant(), "id": entry.subject_id},
        )


def is_table_kind(kind: str) -> bool:
    """Whether the subjects of a kind are rows of the table with that name (those of `province` and `attempts`
    are not)."""
    table = Model.metadata.tables.get(kind)
    return table is not None and {"tenant_id", "id"} <= set(table.columns.keys())


@lru_cache(maxsize=64)
def _table_statement(table: str) -> str:
    """Returns the SQL that locks a row of the table."""
    return (
        f'SELECT 1 FROM "{table}" '  # noqa: S608 - one of our models
        "WHERE tenant_id = %(tenant)s::int AND id = %(id)s::uuid FOR NO KEY UPDATE"
    )


def _lock_subjects(session: Session, entries: Sequence[JournalEntry]) -> None:
    """Take an advisory lock, until the transaction ends, on each subject that is not a row: its last entry is
    certain only after every other transaction that writes about it has ended."""
    subjects = {entry.subject_id for entry in entries if not is_table_kind(entry.subject_kind)}
    if subjects:
        execute_in_session(
            session,
            _SUBJECT_LOCKS_SQL,
            {"turns": sorted(map(_subject_lock_id, subjects))},
        )


def _subject_lock_id(subject: UUID) -> int:
    """The key (64 bits, signed) of the advisory lock on a subject of the current province that is not a
    row."""
    content = b"journal" + current_tenant().to_bytes(4, "big") + subject.bytes
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big", signed=True)


def _append_chained(session: Session, entries: list[JournalEntry]) -> None:
    """Chain entries to the last ones of their subjects, which are locked, and insert them in batches. Within
    a subject each id is higher than the one before, even if another machine's clock is ahead."""
    _lock_subjects(session, entries)
    for start in range(0, len(entries), INSERT_BATCH_SIZE):
        _append_batch(session, entries[start : start + INSERT_BATCH_SIZE])


def _append_batch(session: Session, entries: list[JournalEntry]) -> None:
    """Chain and insert one batch of entries, whose subjects are locked, by one query and one statement, which
    also flushes the session."""
    subjects = list({entry.subject_id for entry in entries})
    last_rows = _LAST_ENTRY_STATEMENT.fetch_rows(in_session=session, subjects=subjects)
    last_entries = {subject: (entry_id, seal) for subject, entry_id, seal in last_rows}
    for entry in entries:
        if entry.subject_id in last_entries:
            last_id, last_seal = last_entries[entry.subject_id]
            entry.id, entry.previous = (
                max(entry.id, UUID(int=last_id.int + 1)),
                last_seal,
            )
        entry.seal = entry_mac(entry)
        last_entries[entry.subject_id] = entry.id, entry.seal
    bulk_flush(session, *entries)


def invalid_entries(subject_id: UUID) -> list[UUID]:
    """Returns the ids of a subject's entries, in order, that were altered or are not chained to the entry
    before; entries deleted at the end are not noticed."""
    query = select(JournalEntry).where(JournalEntry.subject_id == subject_id).order_by(JournalEntry.id)
    invalid_ids, last_seal = [], None
    for entry in db.session.scalars(query):
        if entry.previous != last_seal or entry.seal != entry_mac(entry):
            invalid_ids.append(entry.id)
        last_seal = entry.seal
    return invalid_ids


def entry_mac(entry: JournalEntry) -> bytes:
    """Returns the MAC of an entry, which its column `seal` must have, by the rules of its `form`. It covers
    `id` and `previous`, so these are set before. The database never sees the key."""
    if entry.form == 1:
        return current_vault().blind_index(
            "journal",
            json.dumps(
                _entry_content(entry),
                ensure_ascii=True,
                sort_keys=True,
            ),
        )
    content = [
        entry.form,
        entry.address,
        entry.device,
        *_entry_content(entry),
    ]
    return current_vault().mac(
        "journal",
        json.dumps(content, ensure_ascii=True, sort_keys=True).encode(),
    )


def entry_digest(entry: JournalEntry) -> bytes:
    """Returns the SHA-256 digest of all columns of an entry, also `seal`."""
    content = [
        entry.form,
        entry.address,
        entry.device,
        entry.seal.hex(),
        *_entry_content(entry),
    ]
    return hashlib.sha256(json.dumps(content, ensure_ascii=True, sort_keys=True).encode()).digest()


def _entry_content(entry: JournalEntry) -> list[Any]:
    """Returns the values of an entry that MAC and digest cover in every format."""
    return [
        str(entry.id),
        entry.subject_kind,
        str(entry.subject_id),
        entry.verb,
        entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        entry.actor_kind,
        str(entry.actor_id),
        entry.actor_role,
        entry.state_before,
        entry.state_after,
        entry.reason,
        entry.details,
        entry.previous.hex() if entry.previous else None,
    ]
