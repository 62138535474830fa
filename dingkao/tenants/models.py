"""What the platform knows of a province, and what a province has set for itself."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, PlatformModel, one_of
from dingkao.tenants.rls import TenantOwned


class OpenedProvince(PlatformModel):
    """A province that has been opened (开通); the registry has all 32, this table those that are served."""

    __tablename__ = "province"
    __table_args__ = (one_of("state", ("open", "closed")), UniqueConstraint("slug"))

    code: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    slug: Mapped[str]
    state: Mapped[str] = mapped_column(default="open")
    opened_at: Mapped[datetime] = mapped_column(default=now)


class ProvinceSetting(TenantOwned, Model):
    """One version of one setting (设置): its value from a day on, who set it, when and why. Never changed, only followed."""

    __tablename__ = "province_setting"
    __table_args__ = (Index(None, "tenant_id", "name", "effective_from", "id"),)

    name: Mapped[str]
    value: Mapped[Any] = mapped_column(JSONB)
    effective_from: Mapped[date]
    set_at: Mapped[datetime] = mapped_column(default=now)
    set_by: Mapped[UUID | None]
    reason: Mapped[str]
