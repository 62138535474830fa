"""Opening a cycle, and where in it we are today."""

from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, select

from dingkao import clock
from dingkao.cycles.models import PHASES, Cycle, CyclePhase
from dingkao.database.model import db, new_id
from dingkao.errors import Invalid
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.tenants.asking import TENANT, Asked, a_day, an_id, whole


def open_cycle(
    label: str, starts_on: date, ends_on: date, phases: dict[str, tuple[date, date]], *, years: int = 3, by: Actor
) -> Cycle:
    """Open a cycle (考核周期) with its four phases, which may overlap [S6]. Raises Invalid naming the field."""
    if not label:
        raise Invalid("请填写周期名称,如2024年07月-2025年07月。", "label")
    if db.session.scalar(select(Cycle.id).where(Cycle.label == label)):
        raise Invalid(f"已有名为“{label}”的周期,请换一个名称。", "label")
    if starts_on >= ends_on:
        raise Invalid("结束日期应晚于开始日期。", "ends_on")
    if not 1 <= years <= 10:
        raise Invalid("周期年数应为1至10年。", "years")
    for kind, name in PHASES.items():
        if kind not in phases:
            raise Invalid(f"请填写{name}阶段的起止日期。", f"{kind}_first")
        first, last = phases[kind]
        if first > last:
            raise Invalid(f"{name}阶段的结束日期早于开始日期。", f"{kind}_last")
    cycle = Cycle(id=new_id(), label=label, starts_on=starts_on, ends_on=ends_on, years=years)
    db.session.add(cycle)
    db.session.flush()
    for kind, (first, last) in phases.items():
        db.session.add(CyclePhase(cycle_id=cycle.id, kind=kind, first_day=first, last_day=last))
    journal.write("cycle", cycle.id, "opened", by=by, label=label)
    return cycle


def in_turn(today: Any) -> tuple[ColumnElement[Any], ...]:
    """The order in which cycles are worked in on a day: the newest that has begun, else the newest of all, is the first."""
    return (Cycle.starts_on <= today).desc(), Cycle.starts_on.desc(), Cycle.id.desc()


_CURRENT = Asked(lambda: select(*whole(Cycle)).where(Cycle.tenant_id == TENANT).order_by(*in_turn(a_day("today"))).limit(1))
_PHASES = Asked(lambda: select(*whole(CyclePhase)).where(CyclePhase.tenant_id == TENANT, CyclePhase.cycle_id == an_id("cycle")))


def current_cycle() -> Cycle | None:
    """The cycle being worked in; None before the first."""
    found = _CURRENT.one(Cycle, today=clock.today())
    return found[0] if found else None


def phases_of(cycle: Cycle) -> dict[str, CyclePhase]:
    """A cycle's phases by kind."""
    return {row.kind: row for row, in _PHASES.objects(CyclePhase, cycle=cycle.id)}


def is_open(cycle: Cycle, kind: str) -> bool:
    """Whether phase `kind` is open today, first and last day counted."""
    phase = phases_of(cycle).get(kind)
    return phase is not None and phase.first_day <= clock.today() <= phase.last_day
