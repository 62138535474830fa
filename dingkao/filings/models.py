"""What a doctor files for a cycle (填报信息): five steps, kept as filed; the numbers in it sealed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, inside
from dingkao.tenants.rls import TenantOwned


class Filing(TenantOwned, Model):
    """The dossier of a doctor in a cycle. `revision` rises with each save: a page that shows an older one may not overwrite."""

    __tablename__ = "filing"
    __table_args__ = (UniqueConstraint("tenant_id", "doctor_id", "cycle_id"), inside("doctor_id", "doctor"), inside("cycle_id", "cycle"))

    doctor_id: Mapped[UUID]
    cycle_id: Mapped[UUID]
    revision: Mapped[int] = mapped_column(default=0)
    basic: Mapped[dict[str, Any]] = mapped_column(default=dict)
    practice: Mapped[dict[str, Any]] = mapped_column(default=dict)
    experience: Mapped[dict[str, Any]] = mapped_column(default=dict)
    performance: Mapped[dict[str, Any]] = mapped_column(default=dict)
    procedure: Mapped[dict[str, Any]] = mapped_column(default=dict)
    qualification_sealed: Mapped[bytes | None]
    photo_id: Mapped[UUID | None]
    saved_at: Mapped[datetime] = mapped_column(default=now)


class NoticeReading(TenantOwned, Model):
    """That a doctor has read the user notice (用户告知书) of a cycle, in the version that stood then [S5]."""

    __tablename__ = "notice_reading"
    __table_args__ = (
        UniqueConstraint("tenant_id", "doctor_id", "cycle_id", "digest"),
        inside("doctor_id", "doctor"),
        inside("cycle_id", "cycle"),
    )

    doctor_id: Mapped[UUID]
    cycle_id: Mapped[UUID]
    digest: Mapped[bytes]
    read_at: Mapped[datetime] = mapped_column(default=now)
