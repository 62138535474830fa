"""The departments (科室) of an institution."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, tenant_foreign_key
from dingkao.tenants.rls import TenantOwned


class Department(TenantOwned, Model):
    """A department of an institution. A doctor belongs to the one of his or her institution that
    `doctor.department` names, whoever wrote that name. `closed_at`: since when no liaison is invited to it;
    NULL while it is open."""

    __tablename__ = "department"
    __table_args__ = (
        UniqueConstraint("tenant_id", "organisation_id", "name"),
        Index(
            "department_name_ix",
            "tenant_id",
            "name",
            "id",
            postgresql_ops={"name": "text_pattern_ops"},
        ),
        tenant_foreign_key("organisation_id", "organisation"),
    )

    organisation_id: Mapped[UUID]
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    closed_at: Mapped[datetime | None]
