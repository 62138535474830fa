"""The tables of comparisons of the list with the register (电子化注册)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.doctors.disposition_models import DISPOSITIONS
from dingkao.tenants.rls import TenantOwned

DIFFERENCE_KINDS = {
    "new": "新增",
    "gone": "减少",
    "moved": "变动机构",
    "changed": "信息不一致",
}
"""Code → label: in the register alone; in the list alone; at another institution; other data."""


class RegisterComparison(TenantOwned, Model):
    """One comparison of an export of the register with the doctors of an institution (`organisation_id`) or
    of the province (None). `register_count`: people in the export, without those refused; `same_count`: those
    who are on the list as they are in the register; `refused_count`: rows that could not be compared;
    `completed_at`: None while the job `job_id` runs or if it was cancelled."""

    __tablename__ = "register_comparison"
    __table_args__ = (
        Index(None, "tenant_id", "organisation_id", "id"),
        tenant_foreign_key("organisation_id", "organisation"),
    )

    organisation_id: Mapped[UUID | None]
    job_id: Mapped[UUID]
    file_name: Mapped[str]
    begun_by: Mapped[UUID | None]
    begun_at: Mapped[datetime] = mapped_column(default=now)
    completed_at: Mapped[datetime | None]
    register_count: Mapped[int] = mapped_column(default=0)
    same_count: Mapped[int] = mapped_column(default=0)
    refused_count: Mapped[int] = mapped_column(default=0)


class RegisterSighting(TenantOwned, Model):
    """A doctor of the list who was found in the register; only while the comparison runs."""

    __tablename__ = "register_sighting"
    __table_args__ = (
        UniqueConstraint("tenant_id", "comparison_id", "doctor_id"),
        tenant_foreign_key("comparison_id", "register_comparison"),
        tenant_foreign_key("doctor_id", "doctor"),
    )

    comparison_id: Mapped[UUID]
    doctor_id: Mapped[UUID]


class RegisterDifference(TenantOwned, Model):
    """A person in whom list and register differ. `doctor_id`: None for one who is not on the list;
    `organisation_id` and `division`: the institution and the office that it is counted for, None and "" where
    the register's institution is not one of the province; `details`: list of [label, value of the list, value
    of the register]; `number_index`: blind index of the document number, by which the person is known again
    in a later comparison."""

    __tablename__ = "register_difference"
    __table_args__ = (
        UniqueConstraint("tenant_id", "comparison_id", "number_index"),
        Index(
            "register_difference_kind_ix",
            "tenant_id",
            "comparison_id",
            "kind",
            "disposition",
            "id",
        ),
        Index(
            "register_difference_division_ix",
            "tenant_id",
            "comparison_id",
            "division",
            "id",
        ),
        check_in("kind", tuple(DIFFERENCE_KINDS)),
        check_in("disposition", tuple(DISPOSITIONS)),
        tenant_foreign_key("comparison_id", "register_comparison"),
        tenant_foreign_key("doctor_id", "doctor"),
        tenant_foreign_key("organisation_id", "organisation"),
    )

    comparison_id: Mapped[UUID]
    kind: Mapped[str]
    number_index: Mapped[bytes]
    number_masked: Mapped[str]
    name: Mapped[str]
    doctor_id: Mapped[UUID | None]
    organisation_id: Mapped[UUID | None]
    division: Mapped[str]
    register_institution: Mapped[str]
    details: Mapped[list[Any]]
    disposition: Mapped[str | None]
    note: Mapped[str | None]
    settled_by: Mapped[UUID | None]
    settled_at: Mapped[datetime | None]


class RegisterCount(TenantOwned, Model):
    """How many differences of a kind a comparison has for one division (six digits), and how many of them
    have a disposition: kept with each chunk and each disposition, so that nobody counts rows."""

    __tablename__ = "register_count"
    __table_args__ = (
        UniqueConstraint("tenant_id", "comparison_id", "division", "kind"),
        check_in("kind", tuple(DIFFERENCE_KINDS)),
        tenant_foreign_key("comparison_id", "register_comparison"),
    )

    comparison_id: Mapped[UUID]
    division: Mapped[str]
    kind: Mapped[str]
    total: Mapped[int]
    settled: Mapped[int]
