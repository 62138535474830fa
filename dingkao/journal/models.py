"""One entry of the journal."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, one_of
from dingkao.tenants.rls import TenantOwned

ACTORS = ("doctor", "staff", "operator", "system")


class JournalEntry(TenantOwned, Model):
    """Who did what to which row. `seal` is a keyed hash over the entry and `previous`, the seal of its subject's last entry."""

    __tablename__ = "journal_entry"
    __table_args__ = (one_of("actor_kind", ACTORS), Index(None, "tenant_id", "subject_id", "id"), Index(None, "tenant_id", "at", "id"))

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
    previous: Mapped[bytes | None]
    seal: Mapped[bytes]
