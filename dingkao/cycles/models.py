"""A cycle and its phases."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, inside, one_of
from dingkao.tenants.rls import TenantOwned

PHASES = {"filing": "报名", "review": "审核", "examination": "考核", "completion": "完成"}


class Cycle(TenantOwned, Model):
    """A cycle (考核周期) of a province: the years it looks back on and the dates of its phases, which may overlap [S6]."""

    __tablename__ = "cycle"
    __table_args__ = (UniqueConstraint("tenant_id", "label"), CheckConstraint("starts_on < ends_on", name="in_order"))

    label: Mapped[str]
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    years: Mapped[int] = mapped_column(default=3)
    opened_at: Mapped[datetime] = mapped_column(default=now)


class CyclePhase(TenantOwned, Model):
    """One phase of a cycle (阶段), first and last day, both counted, by the calendar of Beijing."""

    __tablename__ = "cycle_phase"
    __table_args__ = (
        UniqueConstraint("tenant_id", "cycle_id", "kind"),
        one_of("kind", tuple(PHASES)),
        CheckConstraint("first_day <= last_day", name="in_order"),
        inside("cycle_id", "cycle"),
    )

    cycle_id: Mapped[UUID]
    kind: Mapped[str]
    first_day: Mapped[date]
    last_day: Mapped[date]
