"""Starting a cycle: only after the cycle before is finished for everyone. A job then creates a record for
every doctor."""

from datetime import date

from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.current_records import ACTIVE_STATES
from dingkao.assessments.enrolment import (
    count_records_by_state,
    enqueue_enrolment,
)
from dingkao.assessments.models import ASSESSMENT_STATES, Assessment
from dingkao.cycles.cycles import (
    correct_cycle,
    current_cycle,
    last_day,
    open_cycle,
)
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.database.pagination import CappedCount
from dingkao.errors import InvalidState
from dingkao.journal.entries import Actor

PhaseDates = dict[str, tuple[date, date]]


def blocking_reason(cycle: Cycle) -> str | None:
    """Returns the sentence (Chinese) why no new cycle can be started after this one yet, or None if it
    can."""
    reasons = _phase_reasons(cycle) + _record_reasons(cycle)
    if not reasons:
        return None
    return f"周期“{cycle.label}”还没有结束，不能开始新的周期：{'；'.join(reasons)}。"


def _phase_reasons(cycle: Cycle) -> list[str]:
    """Returns a reason if the last phase of the cycle is not over."""
    end = last_day(cycle)
    if end is None or end < clock.today():
        return []
    return [f"各阶段到{end:%Y年%m月%d日}才结束"]


def _record_reasons(cycle: Cycle) -> list[str]:
    """Returns a reason if records of the cycle are in ACTIVE_STATES."""
    counts = [
        f"{ASSESSMENT_STATES[state]}{count.with_unit('人')}"
        for state, count in _unfinished_counts(cycle).items()
    ]
    return [f"还有医师{'、'.join(counts)}"] if counts else []


def _unfinished_counts(cycle: Cycle) -> dict[str, CappedCount]:
    """Returns state → number of records of a cycle in each of ACTIVE_STATES, without those that have none."""
    return {
        state: number
        for state, number in count_records_by_state(cycle, states=ACTIVE_STATES).items()
        if number
    }


def start_cycle(
    label: str,
    starts_on: date,
    ends_on: date,
    phase_dates: PhaseDates,
    *,
    years: int,
    by: Actor,
) -> Cycle:
    """Create a cycle (`open_cycle`, which journals it and locks the opening of cycles), and enqueue the job
    that creates a record in it for every doctor. `phase_dates`: kind of phase → first and last day (`phases`
    of `open_cycle`); other parameters as there. Raises InvalidInput with the field's name, InvalidState while
    the cycle before isn't finished."""
    previous_cycle = current_cycle()
    reason = blocking_reason(previous_cycle) if previous_cycle else None
    if reason:
        raise InvalidState(reason)
    cycle = open_cycle(label, starts_on, ends_on, phase_dates, years=years, by=by)
    enqueue_enrolment(cycle, by=by)
    return cycle


def can_correct_cycle(cycle: Cycle) -> bool:
    """Returns whether the dates and label typed for a cycle may still be corrected: no doctor is included in
    it yet."""
    return (
        db.session.scalar(
            select(Assessment.id)
            .where(
                Assessment.cycle_id == cycle.id,
                Assessment.state != "not_included",
            )
            .limit(1)
        )
        is None
    )


def correct_empty_cycle(
    cycle: Cycle,
    label: str,
    starts_on: date,
    ends_on: date,
    phase_dates: PhaseDates,
    *,
    years: int,
    by: Actor,
) -> None:
    """Lock a cycle in which no doctor is included yet, correct it and journal that; parameters as for
    `start_cycle`. Raises InvalidInput with the field's name, InvalidState once a doctor is included."""
    db.session.scalars(select(Cycle.id).where(Cycle.id == cycle.id).with_for_update()).one()
    if not can_correct_cycle(cycle):
        raise InvalidState("已有医师纳入本周期，不能再更正周期。")
    correct_cycle(
        cycle,
        label,
        starts_on,
        ends_on,
        phase_dates,
        years=years,
        by=by,
    )
