"""The table of what is known of doctors' conduct."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.doctors.conduct_kinds import CONDUCT_KINDS
from dingkao.tenants.rls import TenantOwned


class ConductRecord(TenantOwned, Model):
    """A grade of a year, or an event, of one doctor (`conduct_kinds`), as an institution or office has
    imported it. `record_key`: hash of what tells the doctor's records of one kind apart, so that the same row
    is found again; `year`: the year that is graded, or of the event; `grade`: a code of the kind's grades,
    None for an event; `removed_at`: since when it doesn't count any more, because it was wrong."""

    __tablename__ = "conduct_record"
    __table_args__ = (
        UniqueConstraint("tenant_id", "doctor_id", "kind", "record_key"),
        check_in("kind", tuple(CONDUCT_KINDS)),
        tenant_foreign_key("doctor_id", "doctor"),
    )

    doctor_id: Mapped[UUID]
    kind: Mapped[str]
    record_key: Mapped[bytes]
    year: Mapped[int]
    grade: Mapped[str | None]
    occurred_on: Mapped[date | None]
    matter: Mapped[str | None]
    authority: Mapped[str | None]
    document: Mapped[str | None]
    imported_by: Mapped[UUID | None]
    imported_at: Mapped[datetime] = mapped_column(default=now)
    removed_at: Mapped[datetime | None]
