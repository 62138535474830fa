"""Opening and correcting a cycle (考核周期), the current cycle, and its phases today."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, false, func, select, text

from dingkao import clock
from dingkao.cycles.models import PHASES, Cycle, CyclePhase
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.tenants.context import current_tenant
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
    date_param,
    uuid_param,
)

CYCLES_LOCK_ID = 0x63796B
"""The upper 32 bits of the key of an advisory lock, the lower are the province's code: two administrators who
open a cycle at the same time do it one after the other."""
NO_CYCLE_MESSAGE = "本省还没有开始考核周期。"


def open_cycle(
    label: str,
    starts_on: date,
    ends_on: date,
    phases: dict[str, tuple[date, date]],
    *,
    years: int = 3,
    by: Actor,
) -> Cycle:
    """Open a cycle (考核周期) with its four phases, which may overlap [S6], journal that, and return it; no
    doctor is included. `label`: stored as it is; `phases`: kind (every key of PHASES, and no other) → first
    and last day, both included; `years`: how many years of work the cycle looks back on, 1 to 10. Raises
    InvalidInput naming the field, and InvalidState while the phases of another cycle aren't over: one cycle
    at a time."""
    db.session.execute(
        text("select pg_advisory_xact_lock(:key)"),
        {"key": CYCLES_LOCK_ID << 32 | current_tenant()},
    )
    _require_cycle_over(current_cycle())
    _validate(None, label, starts_on, ends_on, phases, years)
    cycle = Cycle(
        id=new_id(),
        label=label,
        starts_on=starts_on,
        ends_on=ends_on,
        years=years,
    )
    db.session.add(cycle)
    db.session.flush()
    for kind, (first, last) in phases.items():
        db.session.add(
            CyclePhase(
                cycle_id=cycle.id,
                kind=kind,
                first_day=first,
                last_day=last,
            )
        )
    journal.write_entry("cycle", cycle.id, "opened", by=by, label=label)
    return cycle


def _require_cycle_over(cycle: Cycle | None) -> None:
    """Raise InvalidState while the phases of the earlier cycle aren't over; None, or one without phases, is
    over."""
    if cycle is None:
        return
    end = last_day(cycle)
    if end and end >= clock.today():
        raise InvalidState(f"周期“{cycle.label}”的各阶段到{end:%Y年%m月%d日}才结束，结束前不能开始新的周期。")


def correct_cycle(
    cycle: Cycle,
    label: str,
    starts_on: date,
    ends_on: date,
    phases: dict[str, tuple[date, date]],
    *,
    years: int = 3,
    by: Actor,
) -> None:
    """Correct the values typed when the cycle was opened (parameters as in `open_cycle`) and journal what
    they were; the caller has locked the cycle and checked that no doctor is included in it. Raises
    InvalidInput naming the field."""
    _validate(cycle, label, starts_on, ends_on, phases, years)
    values_before: dict[str, Any] = {
        "label": cycle.label,
        "starts": cycle.starts_on.isoformat(),
        "ends": cycle.ends_on.isoformat(),
        "years": cycle.years,
    }
    cycle.label, cycle.starts_on, cycle.ends_on, cycle.years = (
        label,
        starts_on,
        ends_on,
        years,
    )
    for phase in db.session.scalars(
        select(CyclePhase).where(CyclePhase.cycle_id == cycle.id).with_for_update()
    ):
        values_before[phase.kind] = f"{phase.first_day}/{phase.last_day}"
        phase.first_day, phase.last_day = phases[phase.kind]
    db.session.flush()
    journal.write_entry("cycle", cycle.id, "corrected", by=by, earlier=values_before)


def _validate(
    cycle: Cycle | None,
    label: str,
    starts_on: date,
    ends_on: date,
    phases: dict[str, tuple[date, date]],
    years: int,
) -> None:
    """Raise InvalidInput for the first wrong field of a cycle (parameters as in `open_cycle`). `cycle`: the
    one being corrected, None for a new one."""
    _validate_label(label, cycle)
    if starts_on >= ends_on:
        raise InvalidInput("结束日期应晚于开始日期。", "ends_on")
    if not 1 <= years <= 10:
        raise InvalidInput("周期年数应为1至10年。", "years")
    for kind, name in PHASES.items():
        _validate_phase(kind, name, phases.get(kind))


def _validate_label(label: str, cycle: Cycle | None) -> None:
    """Raise InvalidInput if the label is empty or another cycle of the province has it."""
    if not label:
        raise InvalidInput("请填写周期名称，如2024年07月-2025年07月。", "label")
    if _is_label_taken(label, cycle):
        raise InvalidInput(f"已有名为“{label}”的周期，请换一个名称。", "label")


def _validate_phase(kind: str, name: str, days: tuple[date, date] | None) -> None:
    """Raise InvalidInput if the phase `kind`, called `name` on screens, has no days or ends before it
    begins."""
    if days is None:
        raise InvalidInput(f"请填写{name}阶段的起止日期。", f"{kind}_first")
    first_day, last_day = days
    if first_day > last_day:
        raise InvalidInput(f"{name}阶段的结束日期早于开始日期。", f"{kind}_last")


def _is_label_taken(label: str, cycle: Cycle | None) -> bool:
    """Whether another cycle than `cycle` (None: any) has this label."""
    query = select(Cycle.id).where(Cycle.label == label)
    if cycle:
        query = query.where(Cycle.id != cycle.id)
    return db.session.scalar(query) is not None


def cycle_precedence(today: Any) -> tuple[ColumnElement[Any], ...]:
    """The ORDER BY expressions that put the current cycle of the day `today` (a date or a SQL parameter)
    first:
    cycles whose phases aren't over, the one opened first before the others, so that a cycle opened later
    doesn't hide it; then the newest cycle that has begun; then the newest of all."""
    last_phase_day = select(func.max(CyclePhase.last_day)).where(
        CyclePhase.tenant_id == Cycle.tenant_id,
        CyclePhase.cycle_id == Cycle.id,
    )
    unfinished = func.coalesce(
        last_phase_day.correlate(Cycle).scalar_subquery() >= today,
        false(),
    )
    return (
        unfinished.desc(),
        case((unfinished, Cycle.id)),
        (Cycle.starts_on <= today).desc(),
        Cycle.starts_on.desc(),
        Cycle.id.desc(),
    )


_CURRENT_CYCLE_STATEMENT = PreparedStatement(
    lambda: (
        select(*all_columns(Cycle))
        .where(Cycle.tenant_id == TENANT_PARAM)
        .order_by(*cycle_precedence(date_param("today")))
        .limit(1)
    )
)
# skips the autoflush because it runs once for each record of a batch; code that changes phases flushes itself
_PHASES_STATEMENT = PreparedStatement(
    lambda: select(*all_columns(CyclePhase)).where(
        CyclePhase.tenant_id == TENANT_PARAM,
        CyclePhase.cycle_id == uuid_param("cycle"),
    ),
    skip_autoflush=True,
)


def current_cycle() -> Cycle | None:
    """The current cycle: the first one in the order of `cycle_precedence` today; None before the first
    cycle."""
    result = _CURRENT_CYCLE_STATEMENT.fetch_object(Cycle, today=clock.today())
    return result[0] if result else None


def get_cycle(cycle_id: UUID) -> Cycle:
    """The cycle with that id in the current province, for ids from our own rows. Raises
    sqlalchemy.exc.NoResultFound, which is no refusal, for an unknown id."""
    return db.session.get_one(Cycle, (current_tenant(), cycle_id))


def require_current_cycle(message: str = NO_CYCLE_MESSAGE) -> Cycle:
    """The current cycle. Raises NotFound with `message` before the first cycle."""
    cycle = current_cycle()
    if cycle is None:
        raise NotFound(message)
    return cycle


def phases_of(cycle: Cycle) -> dict[str, CyclePhase]:
    """The phases of a cycle, by kind (a key of PHASES). Phases that aren't flushed yet are not seen."""
    rows = _PHASES_STATEMENT.fetch_objects(CyclePhase, cycle=cycle.id)
    return {phase.kind: phase for (phase,) in rows}


def last_day(cycle: Cycle) -> date | None:
    """The latest last day of the cycle's phases; None if it has no phases. Phases that aren't flushed yet are
    not seen."""
    return max(
        (phase.last_day for phase in phases_of(cycle).values()),
        default=None,
    )


def is_phase_open(cycle: Cycle, kind: str) -> bool:
    """Whether today is within the phase `kind` (a key of PHASES), its first and last day included; False if
    the cycle has none of this kind. Phases that aren't flushed yet are not seen."""
    phase = phases_of(cycle).get(kind)
    return phase is not None and phase.first_day <= clock.today() <= phase.last_day
