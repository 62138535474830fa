"""Ledgers: lists of entries that `checkpoints` lists and `verification` verifies. Either the journal of the
current province, or the operators' acts, which belong to the platform."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Engine, bindparam, or_, select, text
from sqlalchemy.orm import aliased

from dingkao.database.base import db
from dingkao.journal.entries import entry_digest, entry_mac
from dingkao.journal.models import JournalEntry
from dingkao.tenants.context import current_tenant
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
    uuid_param,
)

SETTLED_QUERY = text(
    "select least(clock_timestamp(), min(xact_start)) from pg_stat_activity where datname = "
    "current_database() "
    "and usename = current_user and backend_xid is not null and pid <> pg_backend_pid()"
)
_PREVIOUS_ENTRY = aliased(JournalEntry)
_HAS_PREVIOUS = or_(
    JournalEntry.previous.is_(None),
    select(1)
    .where(
        _PREVIOUS_ENTRY.tenant_id == JournalEntry.tenant_id,
        _PREVIOUS_ENTRY.subject_id == JournalEntry.subject_id,
        _PREVIOUS_ENTRY.id < JournalEntry.id,
        _PREVIOUS_ENTRY.seal == JournalEntry.previous,
    )
    .exists(),
)


class Ledger(Protocol):
    """Entries in the order of their ids, chained by their seals. A row has `id`, `seal` and the columns that
    its MAC and digest cover."""

    is_platform: bool
    """Whether its files belong to the platform and use its keys; else to the current province."""

    def owner_code(self) -> int:
        """The code of the province; 0 for the platform."""

    def engine(self) -> Engine:
        """The engine of the database with the entries."""

    def settled_at(self) -> datetime:
        """The start of the oldest open transaction that has written something; the current time if there is
        none."""

    def fetch_entries(self, after: UUID, until: UUID, limit: int) -> list[Any]:
        """Returns the entries with `after` < id <= `until` by id, at most `limit`."""

    def fetch_linked_entries(self, after: UUID, until: UUID, limit: int) -> list[Any]:
        """As `fetch_entries`, with the column `follows`: whether the entry that each is chained to exists."""

    def entry_subject(self, row: Any) -> UUID:
        """Returns the id of the entry's subject."""

    def is_valid(self, row: Any, *, first: bool) -> bool:
        """Whether the entry is as it was written, by its MAC. `first`: the ledger has no checkpoint yet, so
        an operators' act without a seal is valid (`act_log`: it was written before acts were sealed); the
        provinces' journal ignores it."""

    def entry_digest(self, row: Any) -> bytes:
        """Returns 32 bytes that cover all columns of the entry."""


class ProvinceJournal:
    """The journal of the current province (`Ledger` says what each method returns)."""

    is_platform = False

    def owner_code(self) -> int:
        return current_tenant()

    def engine(self) -> Engine:
        return db.engine

    def settled_at(self) -> datetime:
        """The start of the oldest open transaction of the application's database role that has written
        something; now if there is none."""
        moment: datetime = db.session.execute(SETTLED_QUERY).scalar_one()
        return moment

    def fetch_entries(self, after: UUID, until: UUID, limit: int) -> list[Any]:
        """The entries with `after` < id <= `until`, by id, `limit` at most."""
        return _ENTRIES_STATEMENT.fetch_rows(after=after, until=until, most=limit)

    def fetch_linked_entries(self, after: UUID, until: UUID, limit: int) -> list[Any]:
        """The entries with `after` < id <= `until`, by id, `limit` at most, each with whether it is chained
        to an earlier one that exists (or is the first of its subject): `follows`."""
        return _LINKED_ENTRIES_STATEMENT.fetch_rows(after=after, until=until, most=limit)

    def entry_subject(self, row: Any) -> UUID:
        subject: UUID = row.subject_id
        return subject

    def is_valid(self, row: Any, *, first: bool) -> bool:
        """Whether the entry has the MAC that its columns give; `first` makes no difference here."""
        return bytes(row.seal) == entry_mac(row)

    def entry_digest(self, row: Any) -> bytes:
        return entry_digest(row)


def _range_query(*more: Any) -> Callable[[], Any]:
    """Returns the function that builds the query of the entries with `after` < id <= `until` by id, at most
    `most` (parameters of the statement), with more columns."""
    return lambda: (
        select(*all_columns(JournalEntry), *more)
        .where(
            JournalEntry.tenant_id == TENANT_PARAM,
            JournalEntry.id > uuid_param("after"),
            JournalEntry.id <= uuid_param("until"),
        )
        .order_by(JournalEntry.id)
        .limit(bindparam("most"))
    )


_ENTRIES_STATEMENT = PreparedStatement(_range_query(), skip_autoflush=True)
_LINKED_ENTRIES_STATEMENT = PreparedStatement(
    _range_query(_HAS_PREVIOUS.label("follows")), skip_autoflush=True
)
_PROVINCE_JOURNAL = ProvinceJournal()
_current_ledger: ContextVar[Ledger] = ContextVar("dingkao_ledger", default=_PROVINCE_JOURNAL)


def current_ledger() -> Ledger:
    """Returns the ledger in use: that of `using_ledger`, else the journal of the current province."""
    return _current_ledger.get()


@contextmanager
def using_ledger(another: Ledger) -> Iterator[None]:
    """Use `another` ledger within the block."""
    token = _current_ledger.set(another)
    try:
        yield
    finally:
        _current_ledger.reset(token)
