"""The tables of what has become of doctors: dispositions in a cycle, and doctors whom nobody claims."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.tenants.rls import TenantOwned

DISPOSITIONS = {
    "retired": "退休",
    "left": "离职",
    "deceased": "死亡",
    "deregistered": "注销",
    "assessed_elsewhere": "外省已考",
    "military": "军队",
    "updated": "名单已更新",
    "to_contact": "待联系",
    "other": "其他",
}
"""Code → label, in the order in which pages offer them."""
OPEN_DISPOSITIONS = ("updated", "to_contact")
"""Those with which a doctor may still take part."""


class DoctorDisposition(TenantOwned, Model):
    """Why a doctor takes no part in a cycle (去向)."""

    __tablename__ = "doctor_disposition"
    __table_args__ = (
        UniqueConstraint("tenant_id", "cycle_id", "doctor_id"),
        Index(None, "tenant_id", "doctor_id"),
        check_in("disposition", tuple(DISPOSITIONS)),
        tenant_foreign_key("cycle_id", "cycle"),
        tenant_foreign_key("doctor_id", "doctor"),
    )

    cycle_id: Mapped[UUID]
    doctor_id: Mapped[UUID]
    disposition: Mapped[str]
    note: Mapped[str | None]
    set_by: Mapped[UUID | None]
    set_at: Mapped[datetime] = mapped_column(default=now)


class UnclaimedDoctor(TenantOwned, Model):
    """A doctor of whom the institution says that he or she is not its own (待认领), until an office has
    assigned another one (`assigned_to`) or the institution takes it back. At most one open row per doctor."""

    __tablename__ = "unclaimed_doctor"
    __table_args__ = (
        Index(
            "unclaimed_doctor_open_ix",
            "tenant_id",
            "doctor_id",
            unique=True,
            postgresql_where=text("settled_at is null"),
        ),
        Index(
            "unclaimed_doctor_waits_ix",
            "tenant_id",
            "id",
            postgresql_where=text("settled_at is null"),
        ),
        tenant_foreign_key("doctor_id", "doctor"),
        tenant_foreign_key("disowned_by_id", "organisation"),
        tenant_foreign_key("assigned_to_id", "organisation"),
    )

    doctor_id: Mapped[UUID]
    disowned_by_id: Mapped[UUID]
    reason: Mapped[str]
    reported_by: Mapped[UUID | None]
    reported_at: Mapped[datetime] = mapped_column(default=now)
    assigned_to_id: Mapped[UUID | None]
    settled_by: Mapped[UUID | None]
    settled_at: Mapped[datetime | None]
