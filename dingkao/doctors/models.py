"""A doctor as the roster and the registration know one."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import KEY_TEXT, Model, check_in, tenant_foreign_key
from dingkao.doctors.code_lists import (
    CATEGORIES,
    DOCUMENT_TYPES,
    LEVELS,
)
from dingkao.tenants.rls import OfTenant, TenantOwned

RARE_NAME_SQL = "name !~ '^[一-龥·A-Za-z ]*$'"
"""SQL condition: doctors whose names have rare characters, for which there may be no font. They are few."""


class Doctor(TenantOwned, Model):
    """A doctor (医师) of a province, at the institution where he or she mainly practises (主要执业机构).
    Columns «…_sealed» are encrypted. `number_index` is the blind index of the whole document number,
    `tail_index` that of its last four characters; `name_key` sorts by pinyin. `roster_digest` is a keyed hash
    of the roster row imported last, by which an unchanged row is recognised."""

    __tablename__ = "doctor"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number_index"),
        UniqueConstraint("tenant_id", "account_id"),
        Index(None, "tenant_id", "organisation_id", "name_key", "id"),
        Index(None, "tenant_id", "name_key", "id"),
        Index(None, "tenant_id", "department", "name_key", "id"),
        Index(
            None,
            "tenant_id",
            "organisation_id",
            "department",
            "name_key",
            "id",
        ),
        Index(None, "tenant_id", "category", "name_key", "id"),
        Index(None, "tenant_id", "tail_index"),
        Index(
            "doctor_rare_name_ix",
            "tenant_id",
            "name_key",
            "id",
            postgresql_where=text(RARE_NAME_SQL),
        ),
        check_in("sex", ("male", "female")),
        check_in("document_type", tuple(DOCUMENT_TYPES)),
        check_in("level", tuple(LEVELS)),
        check_in("category", tuple(CATEGORIES)),
        tenant_foreign_key("organisation_id", "organisation"),
        tenant_foreign_key("account_id", "account"),
    )

    account_id: Mapped[UUID]
    organisation_id: Mapped[UUID]
    name: Mapped[str]
    name_key: Mapped[str]
    sex: Mapped[str | None]
    birth_date: Mapped[date | None]
    document_type: Mapped[str]
    number_sealed: Mapped[bytes]
    number_index: Mapped[bytes]
    tail_index: Mapped[bytes]
    number_masked: Mapped[str]
    level: Mapped[str]
    category: Mapped[str]
    scope: Mapped[str | None]
    ethnicity: Mapped[str | None]
    education: Mapped[str | None]
    title: Mapped[str | None]
    """职称 as the roster has it, free text; the filed one is in the practice step of the filing."""
    department: Mapped[str | None]
    qualification_sealed: Mapped[bytes | None]
    practice_sealed: Mapped[bytes | None]
    mobile_sealed: Mapped[bytes | None]
    first_registered: Mapped[date | None]
    roster_digest: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class DoctorSearchKey(OfTenant, Model):
    """A key by which a doctor is found (`search_keys`), with what the doctors found are sorted and limited
    by: copies of the doctor's `name_key` and institution, so that the first page of many comes from the index
    alone. Written with the doctor's row, by `search_indexing`."""

    __tablename__ = "doctor_search_key"
    __table_args__ = (
        Index(None, "tenant_id", "organisation_id", "key", "name_key", "doctor_id"),
        Index(None, "tenant_id", "doctor_id"),
        tenant_foreign_key("doctor_id", "doctor"),
    )

    key: Mapped[str] = mapped_column(KEY_TEXT, primary_key=True)
    name_key: Mapped[str] = mapped_column(primary_key=True)
    doctor_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[UUID]
