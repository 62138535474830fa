"""Pass lines and publications: each is proposed by one person and approved by another."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, inside, one_of
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.tenants.rls import OfTenant, TenantOwned

ANOTHER = "approved_by is null or approved_by <> proposed_by"


class PassLine(TenantOwned, Model):
    """The pass line (分数线) of a cycle for a category and level, in tenths of a point of 100: every paper has to reach it."""

    __tablename__ = "pass_line"
    __table_args__ = (
        Index(
            "pass_line_standing_ix", "tenant_id", "cycle_id", "category", "level", unique=True,
            postgresql_where=text("withdrawn_at is null"),
        ),
        one_of("category", tuple(CATEGORIES)),
        one_of("level", tuple(LEVELS)),
        CheckConstraint("line_tenths between 0 and 1000", name="line_sane"),
        CheckConstraint(ANOTHER, name="two_persons"),
        inside("cycle_id", "cycle"),
    )  # fmt: skip

    cycle_id: Mapped[UUID]
    category: Mapped[str]
    level: Mapped[str]
    line_tenths: Mapped[int]
    proposed_by: Mapped[UUID]
    proposed_at: Mapped[datetime] = mapped_column(default=now)
    approved_by: Mapped[UUID | None]
    approved_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]


class Publication(TenantOwned, Model):
    """A publication (发布) of results: the list as proposed, its digest, who proposed and who approved it."""

    __tablename__ = "publication"
    __table_args__ = (CheckConstraint(ANOTHER, name="two_persons"), Index(None, "tenant_id", "cycle_id", "id"), inside("cycle_id", "cycle"))

    cycle_id: Mapped[UUID]
    passed: Mapped[int]
    failed: Mapped[int]
    digest: Mapped[bytes]
    proposed_by: Mapped[UUID]
    proposed_at: Mapped[datetime] = mapped_column(default=now)
    approved_by: Mapped[UUID | None]
    approved_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]


class PublicationEntry(OfTenant, Model):
    """One record of a publication's list with the verdict published."""

    __tablename__ = "publication_entry"
    __table_args__ = (
        one_of("verdict", ("passed", "failed")),
        Index(None, "tenant_id", "assessment_id"),
        inside("publication_id", "publication"),
        inside("assessment_id", "assessment"),
    )

    publication_id: Mapped[UUID] = mapped_column(primary_key=True)
    assessment_id: Mapped[UUID] = mapped_column(primary_key=True)
    verdict: Mapped[str]
