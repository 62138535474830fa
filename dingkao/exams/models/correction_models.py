"""Corrections of answer keys and what they change."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.assessments.models import VERDICTS
from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.exams.scoring import CORRECTION_TREATMENTS
from dingkao.tenants.rls import OfTenant, TenantOwned

SCORE_CHANGE_STATES = {
    "applied": "已更改",
    "waiting": "待决定",
    "kept": "维持原结果",
    "superseded": "已被后来的更正取代",
}


class KeyCorrection(TenantOwned, Model):
    """The correction of a key (更正答案) of one question version, for every sitting that drew it; one person
    proposes it, another approves. `keys`: each is right by itself. `preview`: what it would change. Of the
    approved corrections of a version the last is in force, the earlier ones are superseded. `remarked_at`:
    when the sittings were rescored."""

    __tablename__ = "key_correction"
    __table_args__ = (
        Index(
            "key_correction_standing_ix", "tenant_id", "version_id", unique=True,
            postgresql_where=text("approved_at is not null and superseded_at is null"),
        ),
        Index(
            "key_correction_proposed_ix", "tenant_id", "version_id", unique=True,
            postgresql_where=text("approved_at is null and withdrawn_at is null"),
        ),
        check_in("treatment", tuple(CORRECTION_TREATMENTS)),
        CheckConstraint("approved_by is null or approved_by <> proposed_by", name="two_persons"),
        tenant_foreign_key("version_id", "question_version"),
    )  # fmt: skip

    version_id: Mapped[UUID]
    treatment: Mapped[str]
    keys: Mapped[list[Any]]
    reason: Mapped[str]
    preview: Mapped[dict[str, Any] | None]
    proposed_by: Mapped[UUID]
    proposed_at: Mapped[datetime] = mapped_column(default=now)
    approved_by: Mapped[UUID | None]
    approved_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    superseded_at: Mapped[datetime | None]
    remarked_at: Mapped[datetime | None]


class ScoreChange(OfTenant, Model):
    """What a correction changed of one sitting's score (tenths of a point). If the result was published
    before, the change waits for the province (`waiting`), and nothing changes until someone decides. The
    verdicts are those on 业务水平; None if there is no pass line."""

    __tablename__ = "score_change"
    __table_args__ = (
        Index(None, "tenant_id", "sitting_id"),
        check_in("verdict_before", tuple(VERDICTS)),
        check_in("verdict_after", tuple(VERDICTS)),
        check_in("state", tuple(SCORE_CHANGE_STATES)),
        tenant_foreign_key("correction_id", "key_correction"),
        tenant_foreign_key("sitting_id", "sitting"),
        tenant_foreign_key("assessment_id", "assessment"),
    )

    correction_id: Mapped[UUID] = mapped_column(primary_key=True)
    sitting_id: Mapped[UUID] = mapped_column(primary_key=True)
    assessment_id: Mapped[UUID]
    before_tenths: Mapped[int]
    after_tenths: Mapped[int]
    verdict_before: Mapped[str | None]
    verdict_after: Mapped[str | None]
    state: Mapped[str]
    reason: Mapped[str | None]
    decided_by: Mapped[UUID | None]
    changed_at: Mapped[datetime] = mapped_column(default=now)
