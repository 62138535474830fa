"""Sittings and their answers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import (
    BigIntegerType,
    Model,
    check_in,
    tenant_foreign_key,
)
from dingkao.exams.scoring import X_RULES
from dingkao.tenants import settings
from dingkao.tenants.rls import OfTenant, TenantOwned

AUTOMATIC_HAND_IN = ("page", "system")


HANDED_IN_BY = (
    "doctor",
    *AUTOMATIC_HAND_IN,
    "staff",
    "operator",
    "offline",
)
"""Who has handed a sitting in: the doctor with 交卷, the page when its time was over, the system if the page
didn't, staff (or an operator in the terminal) by voiding a sitting that was still open. "offline" is for a
score from paper."""


class Sitting(TenantOwned, Model):
    """One doctor's sitting (作答) of one paper. `layout`: question versions and orders of options, drawn with
    `seed` when it began (see `drawing.dump_layout`). `epoch`: rises at hand-in, at a change of device and
    when it is opened again; a save from an older epoch is refused. `device`: the device that may save.
    `handed_in_by`: see HANDED_IN_BY. A voided sitting (作废) doesn't count. `x_rule`: the province's rule for
    type X when it began. A score from an exam on paper (线下成绩) is a sitting with an empty layout, handed
    in by "offline". `assessor_id`: the record's assessment organisation, which is another only as long as
    nobody sits; by it those who watch find their sittings."""

    __tablename__ = "sitting"
    __table_args__ = (
        Index(
            "sitting_of_paper_ix",
            "tenant_id",
            "assessment_id",
            "paper_id",
            unique=True,
            postgresql_where=text("voided_at is null"),
        ),
        Index(None, "tenant_id", "handed_in_at", "closes_at"),
        Index(None, "tenant_id", "paper_id", "id"),
        Index(None, "tenant_id", "assessment_id", "id"),
        Index(None, "tenant_id", "assessor_id", "id"),
        Index(
            "sitting_open_ix",
            "tenant_id",
            "id",
            postgresql_where=text("handed_in_at is null and voided_at is null"),
        ),
        Index(
            "sitting_voided_ix",
            "tenant_id",
            "id",
            postgresql_where=text("voided_at is not null"),
        ),
        Index(
            "sitting_open_of_paper_ix",
            "tenant_id",
            "paper_id",
            "id",
            postgresql_where=text("handed_in_at is null and voided_at is null"),
        ),
        Index(
            "sitting_open_of_assessor_ix",
            "tenant_id",
            "assessor_id",
            "id",
            postgresql_where=text("handed_in_at is null and voided_at is null"),
        ),
        Index(
            "sitting_counted_of_paper_ix",
            "tenant_id",
            "paper_id",
            "id",
            postgresql_where=text("handed_in_at is not null and voided_at is null"),
        ),
        CheckConstraint(
            "handed_in_at is null or score_tenths is not null",
            name="handed_in_is_marked",
        ),
        check_in("handed_in_by", HANDED_IN_BY),
        check_in("x_rule", tuple(X_RULES)),
        tenant_foreign_key("assessment_id", "assessment"),
        tenant_foreign_key("paper_id", "paper"),
    )

    assessment_id: Mapped[UUID]
    paper_id: Mapped[UUID]
    assessor_id: Mapped[UUID | None]
    seed: Mapped[int] = mapped_column(BigIntegerType)
    layout: Mapped[list[Any]]
    epoch: Mapped[int] = mapped_column(default=1)
    device: Mapped[str | None]
    opened_at: Mapped[datetime] = mapped_column(default=now)
    closes_at: Mapped[datetime]
    handed_in_at: Mapped[datetime | None]
    handed_in_by: Mapped[str | None]
    score_tenths: Mapped[int | None]
    voided_at: Mapped[datetime | None]
    x_rule: Mapped[str] = mapped_column(default=lambda: settings.value("x_rule"))


class SittingAnswer(OfTenant, Model):
    """The newest answer to one question of a sitting: its position in the layout (from 0), letters, the
    page's sequence number, when it was tapped and when it was received."""

    __tablename__ = "sitting_answer"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "sitting_id"],
            ["sitting.tenant_id", "sitting.id"],
        ),
    )

    sitting_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    letters: Mapped[str]
    sequence: Mapped[int]
    tapped_at: Mapped[datetime | None]
    received_at: Mapped[datetime]


class ExposureTally(OfTenant, Model):
    """Up to which sitting (in the order of ids) the province's sittings are counted in
    `question.exposures`."""

    __tablename__ = "exposure_tally"

    last_sitting_id: Mapped[UUID]
