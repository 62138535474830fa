"""Papers, admission tickets and item analyses."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.assessments.models import PROCEDURES
from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.question_banks.models import SUBJECTS
from dingkao.tenants.rls import OfTenant, TenantOwned

PAPER_PROCEDURES = {"any": "两种程序", **PROCEDURES}


class Paper(TenantOwned, Model):
    """A paper (试卷) of a cycle for a subject, category, level and procedure ("any": both): its blueprint,
    minutes, and the window in which it may be begun.

    `counts`: type → how many questions. `points`: type → tenths of a point for one question, 10 if missing.
    `common_count`: how many questions are of 公共知识, for papers of 业务水平. `cells`: the fields of each
    BlueprintCell. `plan`: the mixture of plans that assembly made (see `pool_cache.dump_mixture`). `fixed`:
    for each unit the ids of its question versions, if the paper is the same for everybody; None if each
    sitting draws its own.
    """

    __tablename__ = "paper"
    __table_args__ = (
        UniqueConstraint(
            "tenant_id",
            "cycle_id",
            "subject",
            "category",
            "level",
            "procedure",
        ),
        check_in("subject", tuple(SUBJECTS)),
        check_in("category", tuple(CATEGORIES)),
        check_in("level", tuple(LEVELS)),
        check_in("procedure", tuple(PAPER_PROCEDURES)),
        CheckConstraint("minutes between 1 and 600", name="minutes_sane"),
        CheckConstraint("opens_at < closes_at", name="window_in_order"),
        CheckConstraint("common_count >= 0", name="common_count_sane"),
        tenant_foreign_key("cycle_id", "cycle"),
    )

    cycle_id: Mapped[UUID]
    subject: Mapped[str]
    category: Mapped[str]
    level: Mapped[str]
    procedure: Mapped[str] = mapped_column(default="any")
    title: Mapped[str]
    counts: Mapped[dict[str, Any]]
    points: Mapped[dict[str, Any]] = mapped_column(default=dict)
    common_count: Mapped[int] = mapped_column(default=0)
    cells: Mapped[list[Any]] = mapped_column(default=list)
    plan: Mapped[dict[str, Any] | None]
    fixed: Mapped[list[Any] | None]
    minutes: Mapped[int]
    opens_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    made_at: Mapped[datetime] = mapped_column(default=now)


class AdmissionTicket(TenantOwned, Model):
    """The admission ticket (准考证) of one record; its number has no personal data in it. `rendered_digest`:
    a digest of what its PDF showed when it was made."""

    __tablename__ = "admission_ticket"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number"),
        UniqueConstraint("tenant_id", "assessment_id"),
        tenant_foreign_key("assessment_id", "assessment"),
    )

    assessment_id: Mapped[UUID]
    number: Mapped[str]
    issued_at: Mapped[datetime] = mapped_column(default=now)
    rendered_digest: Mapped[bytes | None]


class PaperAnalysis(OfTenant, Model):
    """The latest item analysis (项目分析) of a paper, and of how many sittings it was made."""

    __tablename__ = "paper_analysis"
    __table_args__ = (tenant_foreign_key("paper_id", "paper"),)

    paper_id: Mapped[UUID] = mapped_column(primary_key=True)
    sittings: Mapped[int]
    content: Mapped[dict[str, Any]]
    made_at: Mapped[datetime]
