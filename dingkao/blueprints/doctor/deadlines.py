"""The days of a cycle on the home page: its phases, and the deadline of one doctor."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from dingkao import clock
from dingkao.blueprints.doctor.state_texts import (
    DEADLINE_PASSED_TEXTS,
    STATE_TEXTS,
    StateText,
)
from dingkao.exams.papers import subjects_for_procedure
from dingkao.exams.resits import has_begun_all_papers, last_test_day
from dingkao.requests.doctor_overview import DoctorOverview


class Phase(NamedTuple):
    """The first and the last day of a phase, both included."""

    first_day: date
    last_day: date


@dataclass(frozen=True)
class Deadline:
    """A last day, its label, and whether the doctor must act until then."""

    label: str
    last_day: date
    needs_action: bool

    @property
    def days_left(self) -> int:
        """The number of days left after today: 0 on the last day, negative after it."""
        return (self.last_day - clock.today()).days

    @property
    def is_urgent(self) -> bool:
        """Whether the doctor must act and the last day is today or over."""
        return self.needs_action and self.days_left <= 0

    @property
    def remaining_text(self) -> str:
        """The remaining time as text."""
        if self.days_left > 0:
            return f"还有{self.days_left}天"
        if self.days_left == 0:
            return "今天是最后一天"
        return "已经过期" if self.needs_action else "已过"


def parse_phases(overview: DoctorOverview) -> dict[str, Phase]:
    """The phases of the doctor's cycle, by kind (a key of PHASES); the overview has their days as ISO texts.
    Empty before the first cycle."""
    phases = {}
    for kind, (first_day, last_day) in (overview.phases or {}).items():
        phases[kind] = Phase(
            date.fromisoformat(first_day),
            date.fromisoformat(last_day),
        )
    return phases


def coming_filing_day(phases: Mapping[str, Phase]) -> date | None:
    """The first day of the filing phase if it is in the future; else None."""
    filing_phase = phases.get("filing")
    if filing_phase and clock.today() < filing_phase.first_day:
        return filing_phase.first_day
    return None


def own_deadline(
    state_text: StateText,
    overview: DoctorOverview,
    phases: Mapping[str, Phase],
) -> Deadline | None:
    """The deadline of this doctor, None if there is none (`relevant_deadline`). Whether only papers that
    may be sat again are left, in which case their last day counts at once, is looked up only if there are
    such."""
    has_only_resits = False
    if overview.record_id and overview.resit_until:
        paper_count = len(subjects_for_procedure(overview.procedure))
        has_only_resits = has_begun_all_papers(overview.record_id, paper_count)
    return relevant_deadline(
        state_text,
        phases,
        overview.resit_until,
        has_only_resits=has_only_resits,
    )


def is_deadline_passed(state: str, phases: Mapping[str, Phase]) -> bool:
    """Whether the last day of this state (a key of STATE_TEXTS) is over, and it is one of those in which the
    doctor has to fill in something (DEADLINE_PASSED_TEXTS); False for all others."""
    deadline = relevant_deadline(STATE_TEXTS[state], phases)
    return state in DEADLINE_PASSED_TEXTS and deadline is not None and deadline.days_left < 0


def relevant_deadline(
    state_text: StateText,
    phases: Mapping[str, Phase],
    resit_until: datetime | None = None,
    *,
    has_only_resits: bool = False,
) -> Deadline | None:
    """The deadline that counts in a state; None if there is none.
    For the exam: the phase's last day while it lasts, then `resit_until`, until which a paper may be sat
    again; with `has_only_resits` this day at once (`exams.resits.last_test_day`)."""
    last_phase_day = _last_phase_day(state_text, phases)
    last_day = last_phase_day
    if "examination" in state_text.phases:
        last_day = last_test_day(last_phase_day, resit_until, only_resits_left=has_only_resits)
    if last_day is None:
        return None
    label = state_text.until if last_day == last_phase_day else "重考截止"
    return Deadline(label, last_day, state_text.needs_action)


def _last_phase_day(state_text: StateText, phases: Mapping[str, Phase]) -> date | None:
    """The last day of the phases of the state; None if it has none."""
    return max(
        (phases[kind].last_day for kind in state_text.phases if kind in phases),
        default=None,
    )
