"""Checkpoints of the journal (architecture.md «The journal»): its entries are listed in the object store,
outside the database, so that a change or deletion in the database is detected.

Every minute, a batch lists the entries that are older than every open transaction: id, subject and digest of
each, hashed to a Merkle root (as in RFC 6962), chained to the batch before, and signed with a key that the
database never sees. The head file says how far the batches go. The operators' acts are listed in the same way
with the platform's keys (`ledgers`). Every night the batches are verified and merged into volumes
(`verification`), so that only few files have to be read even after years. The database stores nothing of
this, and the cost of each minute depends only on what was written in it.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import func, select

from dingkao.journal.checkpoint_files import (
    BATCH_KIND,
    VOLUME_KIND,
    CheckpointHead,
    CheckpointHeader,
    CheckpointRecord,
    delete_batch,
    load_head,
    merkle_root,
    now_text,
    save_file,
    save_head,
)
from dingkao.journal.ledgers import current_ledger
from dingkao.tenants.rls import read_write_transactions

LOWEST_ID, HIGHEST_ID = UUID(int=0), UUID(int=2**128 - 1)
MAX_ENTRIES_PER_BATCH, PAGE_SIZE = 50_000, 5_000
CLOCK_MARGIN = timedelta(seconds=30)
"""By how much an entry's id may be earlier than the start of its transaction, because machines' clocks
differ."""
log = structlog.get_logger()


# --- the minute


def write_checkpoint() -> int:
    """The scheduled task that writes a batch with the settled entries that are not listed yet,
    MAX_ENTRIES_PER_BATCH at most. Returns how many are listed in it; 0 also if there is none to list, or
    another process is writing one. An entry with a wrong MAC is not listed, so that every verification
    reports it. Raises checkpoint_files.InvalidCheckpoint, Unavailable."""
    with checkpoint_lock(wait=False) as is_acquired:
        if not is_acquired:
            return 0
        head = load_head() or _initial_head()
        records, last_id = _unlisted_entries(head.until, _settled_id(), first=head.number == 0)
        if last_id == head.until:
            return 0
        _save_batch(head, records, last_id)
        return len(records)


def _save_batch(
    head: CheckpointHead,
    records: list[CheckpointRecord],
    last_id: UUID,
) -> None:
    """Store the next batch, and the head that names it. Raises Unavailable."""
    number = head.number + 1
    header = CheckpointHeader(
        province=current_ledger().owner_code(),
        kind=BATCH_KIND,
        number=number,
        after=head.until,
        until=last_id,
        count=len(records),
        root=merkle_root(records),
        previous=head.tip,
        first=number,
        last=number,
        tip="",
        at=now_text(),
    )
    save_file(BATCH_KIND, number, header, records)
    listed_count = head.entries + len(records)
    save_head(
        replace(
            head,
            number=number,
            until=last_id,
            entries=listed_count,
            tip=header.digest(),
        )
    )


# --- the night


def merge_into_volume(
    head: CheckpointHead,
    after: UUID,
    last: CheckpointHeader,
    records: Sequence[CheckpointRecord],
) -> CheckpointHeader:
    """Store a volume with `records` (of the entries above the id `after` in the batches up to `last`,
    sorted), then the head that names it, and delete those batches. The caller holds `checkpoint_lock`, and
    `head` is the present head. Returns the volume's header. Raises Unavailable."""
    number = head.volumes + 1
    header = CheckpointHeader(
        province=current_ledger().owner_code(),
        kind=VOLUME_KIND,
        number=number,
        after=after,
        until=last.until,
        count=len(records),
        root=merkle_root(records),
        previous=head.bound,
        first=head.folded + 1,
        last=last.number,
        tip=last.digest(),
        at=now_text(),
    )
    save_file(VOLUME_KIND, number, header, records)
    save_head(
        replace(
            head,
            folded=last.number,
            volumes=number,
            bound=header.digest(),
        )
    )
    for batch in range(header.first, header.last + 1):
        delete_batch(batch)
    return header


@contextmanager
def checkpoint_lock(*, wait: bool) -> Iterator[bool]:
    """Hold the lock for writing the current ledger's checkpoints during the block. Yields whether it was
    obtained; with `wait`, the block begins when it is."""
    digest = hashlib.sha256(f"journal-seal|{current_ledger().owner_code()}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    with (
        read_write_transactions(),
        current_ledger().engine().begin() as guard,
    ):
        if wait:
            guard.execute(select(func.pg_advisory_xact_lock(key)))
            yield True
        else:
            yield bool(guard.scalar(select(func.pg_try_advisory_xact_lock(key))))


def _settled_id() -> UUID:
    """Returns an id below which no more entries can appear: open transactions write entries with ids after
    their start."""
    return lowest_id_at(current_ledger().settled_at() - CLOCK_MARGIN)


def lowest_id_at(moment: datetime) -> UUID:
    """Returns an id below every UUIDv7 made at `moment` or later."""
    return UUID(int=max(int(moment.timestamp() * 1000), 0) << 80)


def id_time(entry: UUID) -> datetime:
    """Returns the time at which a UUIDv7 was made. Raises ValueError for an id of another version, and for a
    time beyond the year 9999."""
    if entry.version != 7:
        raise ValueError("an id that doesn't tell its time")
    return datetime.fromtimestamp((entry.int >> 80) / 1000, UTC)


def _unlisted_entries(after: UUID, until: UUID, *, first: bool) -> tuple[list[CheckpointRecord], UUID]:
    """Returns the records of the valid entries with `after` < id <= `until`, MAX_ENTRIES_PER_BATCH at most,
    and the id of the last entry read (`after` if none); logs invalid ones. `first`: the ledger has no
    checkpoint yet, so that an operators' act without a seal is valid."""
    records: list[CheckpointRecord] = []
    last_id = after
    for entry in entries_between(after, until, MAX_ENTRIES_PER_BATCH):
        last_id = entry.id
        if current_ledger().is_valid(entry, first=first):
            records.append(checkpoint_record(entry))
        else:
            log.error("journal.forged", entry=str(entry.id))
    return records, last_id


def entries_between(after: UUID, until: UUID, limit: int) -> Iterator[Any]:
    """Yields the entries with `after` < id <= `until` by id, at most `limit`."""
    last_id, remaining = after, limit
    while remaining > 0 and last_id < until:
        size = min(remaining, PAGE_SIZE)
        page = current_ledger().fetch_entries(last_id, until, size)
        yield from page
        if len(page) < size:
            return
        last_id, remaining = page[-1].id, remaining - len(page)


def checkpoint_record(row: Any) -> CheckpointRecord:
    """Returns the record of an entry (`row`: a row of the current ledger)."""
    return CheckpointRecord(
        row.id,
        current_ledger().entry_subject(row),
        current_ledger().entry_digest(row),
    )


def _initial_head() -> CheckpointHead:
    """Returns the head before the first batch."""
    return CheckpointHead(
        province=current_ledger().owner_code(),
        number=0,
        folded=0,
        volumes=0,
        until=LOWEST_ID,
        entries=0,
        tip="",
        bound="",
        since=now_text(),
        at="",
    )
