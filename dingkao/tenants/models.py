"""The platform's table of opened provinces, and the table of the versions of a province's settings."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, PlatformModel, check_in
from dingkao.tenants.rls import TenantOwned


class OpenedProvince(PlatformModel):
    """A province that was opened (开通). The registry has all 32 provinces, this table those that are or were
    served. `files_sealed_at`: since when all its files in the object store are encrypted (NULL: not yet)."""

    __tablename__ = "province"
    __table_args__ = (
        check_in("state", ("open", "closed")),
        UniqueConstraint("slug"),
    )

    code: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    slug: Mapped[str]
    state: Mapped[str] = mapped_column(default="open")
    opened_at: Mapped[datetime] = mapped_column(default=now)
    files_sealed_at: Mapped[datetime | None]


class ProvinceSetting(TenantOwned, Model):
    """A version of a setting (设置): its value from the day `effective_from` on, who set it, when and why.
    Versions are never changed."""

    __tablename__ = "province_setting"
    __table_args__ = (Index(None, "tenant_id", "name", "effective_from", "id"),)

    name: Mapped[str]
    value: Mapped[Any] = mapped_column(JSONB)
    effective_from: Mapped[date]
    set_at: Mapped[datetime] = mapped_column(default=now)
    set_by: Mapped[UUID | None]
    reason: Mapped[str]
