"""Scores of exams on paper."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, tenant_foreign_key
from dingkao.tenants.rls import OfTenant, TenantOwned


class ScoreImport(TenantOwned, Model):
    """Scores of an exam on paper (线下成绩) from one spreadsheet: imported by one person, confirmed by
    another, then entered. `scores`: how many; `complete`: whether the whole file has been read."""

    __tablename__ = "score_import"
    __table_args__ = (
        Index(None, "tenant_id", "cycle_id", "id"),
        CheckConstraint(
            "approved_by is null or approved_by <> proposed_by",
            name="two_persons",
        ),
        tenant_foreign_key("cycle_id", "cycle"),
        tenant_foreign_key("organisation_id", "organisation"),
    )

    cycle_id: Mapped[UUID]
    organisation_id: Mapped[UUID | None]
    scores: Mapped[int]
    complete: Mapped[bool] = mapped_column(default=True)
    proposed_by: Mapped[UUID]
    proposed_at: Mapped[datetime] = mapped_column(default=now)
    approved_by: Mapped[UUID | None]
    approved_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    entered_at: Mapped[datetime | None]


class ImportedScore(OfTenant, Model):
    """One score of a ScoreImport, in tenths of a point, and why it was not entered; None if it was, or is to
    be."""

    __tablename__ = "imported_score"
    __table_args__ = (
        CheckConstraint("score_tenths between 0 and 1000", name="score_sane"),
        tenant_foreign_key("import_id", "score_import"),
        tenant_foreign_key("assessment_id", "assessment"),
        tenant_foreign_key("paper_id", "paper"),
    )

    import_id: Mapped[UUID] = mapped_column(primary_key=True)
    assessment_id: Mapped[UUID] = mapped_column(primary_key=True)
    paper_id: Mapped[UUID] = mapped_column(primary_key=True)
    score_tenths: Mapped[int]
    skipped_reason: Mapped[str | None]
