"""A job's row: what is to be done, how far it is, what came of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, one_of
from dingkao.tenants.rls import TenantOwned


class Job(TenantOwned, Model):
    """A piece of slow work (任务) of a province. `asked_by` may see it; arguments hold ids, never personal data."""

    __tablename__ = "job"
    __table_args__ = (
        one_of("state", ("waiting", "running", "done", "failed")),
        Index(None, "tenant_id", "state", "id"),
        Index(None, "tenant_id", "asked_by", "id"),
    )

    name: Mapped[str]
    title: Mapped[str]
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(default="waiting")
    asked_by: Mapped[UUID | None]
    asked_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    result: Mapped[dict[str, Any] | None]
    sentence: Mapped[str | None]
    tries: Mapped[int] = mapped_column(default=0)
