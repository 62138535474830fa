"""The table of journal entries."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in
from dingkao.tenants.rls import TenantOwned

ACTOR_KINDS = ("doctor", "staff", "operator", "system")


class JournalEntry(TenantOwned, Model):
    """Who did what to which row, with address and device. `seal`: MAC of the entry and of `previous`, which
    is the seal of the preceding entry of the same subject; `form`: format of the content that the MAC covers
    (`entries.entry_mac`)."""

    __tablename__ = "journal_entry"
    __table_args__ = (
        check_in("actor_kind", ACTOR_KINDS),
        Index(None, "tenant_id", "subject_id", "id"),
        Index(None, "tenant_id", "at", "id"),
    )

    subject_kind: Mapped[str]
    subject_id: Mapped[UUID]
    verb: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=now)
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor_role: Mapped[str]
    state_before: Mapped[str | None]
    state_after: Mapped[str | None]
    reason: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    address: Mapped[str | None]
    device: Mapped[str | None]
    form: Mapped[int] = mapped_column(server_default="1")
    previous: Mapped[bytes | None]
    seal: Mapped[bytes]
