"""A cycle and its phases."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.tenants.rls import TenantOwned

PHASES = {
    "filing": "报名",
    "review": "审核",
    "examination": "考核",
    "completion": "完成",
}
"""The kinds of a phase → their labels, in their order."""


class Cycle(TenantOwned, Model):
    """A cycle (考核周期) of a province. `starts_on` and `ends_on` bound the period that is assessed; `years`
    is how many years of work it looks back on. Its phases (CyclePhase) may overlap [S6]."""

    __tablename__ = "cycle"
    __table_args__ = (
        UniqueConstraint("tenant_id", "label"),
        CheckConstraint("starts_on < ends_on", name="in_order"),
    )

    label: Mapped[str]
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    years: Mapped[int] = mapped_column(default=3)
    opened_at: Mapped[datetime] = mapped_column(default=now)


class CyclePhase(TenantOwned, Model):
    """One phase (阶段) of a cycle. `kind`: a key of PHASES; `first_day` and `last_day` are both included, as
    dates in Beijing."""

    __tablename__ = "cycle_phase"
    __table_args__ = (
        UniqueConstraint("tenant_id", "cycle_id", "kind"),
        check_in("kind", tuple(PHASES)),
        CheckConstraint("first_day <= last_day", name="in_order"),
        tenant_foreign_key("cycle_id", "cycle"),
    )

    cycle_id: Mapped[UUID]
    kind: Mapped[str]
    first_day: Mapped[date]
    last_day: Mapped[date]
