"""A doctor as the roster and the registration know one."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, inside, one_of
from dingkao.doctors.codes import CATEGORIES, DOCUMENT_TYPES, LEVELS
from dingkao.tenants.rls import TenantOwned


class Doctor(TenantOwned, Model):
    """A doctor (医师) of a province, at the institution where he or she mainly practises (主要执业机构).

    Numbers are sealed; `number_index` finds the whole ID number, `tail_index` its last four. `roster_digest` is a keyed hash of the
    roster row as taken in, so that the same row again is seen to be the same. `name_key` sorts by pinyin.
    """

    __tablename__ = "doctor"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number_index"),
        UniqueConstraint("tenant_id", "account_id"),
        Index(None, "tenant_id", "organisation_id", "name_key", "id"),
        Index(None, "tenant_id", "name_key", "id"),
        Index(None, "tenant_id", "tail_index"),
        one_of("sex", ("male", "female")),
        one_of("document_type", tuple(DOCUMENT_TYPES)),
        one_of("level", tuple(LEVELS)),
        one_of("category", tuple(CATEGORIES)),
        inside("organisation_id", "organisation"),
        inside("account_id", "account"),
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
    department: Mapped[str | None]
    qualification_sealed: Mapped[bytes | None]
    practice_sealed: Mapped[bytes | None]
    mobile_sealed: Mapped[bytes | None]
    first_registered: Mapped[date | None]
    roster_digest: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
