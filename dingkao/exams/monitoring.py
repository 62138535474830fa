"""Watching an exam: which sittings and records a person may see, and the states in which these are. The
lists: `sitting_list`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select

from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.errors import NotFound
from dingkao.exams import sittings
from dingkao.exams.integrity_events import connected_in_province
from dingkao.exams.models.monitoring_models import IntegrityEvent
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.monitoring_locations import Location, sitting_at_condition
from dingkao.people.scopes import Grant, scope_condition

SITTING_FILTERS = {
    "answering": "作答中",
    "lost": "断线",
    "waiting": "未开始",
    "handed_in": "已交卷",
    "noticed": "有情况记录",
    "voided": "已作废",
}
PAGE_SIZE, MAX_OPEN_SITTINGS = 50, 20_000
NO_CYCLE_ID = UUID(int=0)
"""Used instead of the current cycle's id if there is no cycle: no record has it."""


@dataclass(frozen=True)
class MonitoringFilter:
    """What monitoring is limited to: the cycle, whose records, and one location (None: any)."""

    cycle: Cycle | None
    scope: Grant
    location: Location | None = None

    @property
    def is_everywhere(self) -> bool:
        """Whether it is limited to the cycle only."""
        return self.scope.is_province and self.location is None

    @property
    def records_condition(self) -> ColumnElement[bool]:
        """The condition that an Assessment is of the cycle and within the scope."""
        return and_(
            scope_condition(self.scope, assessor=Assessment.assessor_id),
            Assessment.cycle_id == (self.cycle.id if self.cycle else NO_CYCLE_ID),
        )

    @property
    def sittings_condition(self) -> ColumnElement[bool]:
        """The condition that a Sitting, joined with its Assessment, is of the cycle, within the scope and at
        the location."""
        return and_(
            self.records_condition,
            scope_condition(self.scope, assessor=Sitting.assessor_id),
            sitting_at_condition(self.location),
        )


def open_sitting_ids(
    monitoring_filter: MonitoringFilter,
) -> list[UUID]:
    """The ids of the open sittings that the filter lets through (neither handed in nor voided), the first
    MAX_OPEN_SITTINGS by id."""
    query = _open_sittings_query(monitoring_filter)
    return list(db.session.scalars(query.limit(MAX_OPEN_SITTINGS)))


def connected_everywhere(monitoring_filter: MonitoringFilter) -> set[UUID] | None:
    """The connected sittings of the province, if the filter is limited to the cycle only and they are few
    enough (MAX_OPEN_SITTINGS) to tell by them alone who answers and who is lost; else None, and the open
    sittings have to be listed (`open_sitting_ids`)."""
    return connected_in_province(MAX_OPEN_SITTINGS) if monitoring_filter.is_everywhere else None


def has_uncounted_sittings(monitoring_filter: MonitoringFilter) -> bool:
    """Whether there are open sittings that are neither counted as answering nor as lost: more than
    `open_sitting_ids` returns, where these have to be listed. Whether the province has so many at all is
    asked first, which takes no look at their records."""
    if connected_everywhere(monitoring_filter) is not None:
        return False
    in_province = select(Sitting.id).where(open_condition()).order_by(Sitting.id)
    queries = (in_province, _open_sittings_query(monitoring_filter))
    return all(
        db.session.scalar(
            query.offset(MAX_OPEN_SITTINGS).limit(1),
        )
        is not None
        for query in queries
    )


def _open_sittings_query(monitoring_filter: MonitoringFilter) -> Select[UUID]:
    """The query of the ids of the open sittings that the filter lets through, by id."""
    query = _sittings_query(monitoring_filter).where(open_condition())
    return query.with_only_columns(Sitting.id).order_by(Sitting.id)


def get_visible_sitting(sitting_id: UUID, monitoring_filter: MonitoringFilter) -> Sitting:
    """A sitting that the filter lets through. Raises NotFound."""
    sitting: Sitting | None = db.session.scalar(
        _sittings_query(monitoring_filter).where(Sitting.id == sitting_id)
    )
    if sitting is None:
        raise NotFound
    return sitting


def find_visible_sitting_for_update(
    sitting_id: UUID, monitoring_filter: MonitoringFilter
) -> tuple[Assessment, Sitting] | None:
    """A sitting that the filter lets through, with its record, both locked for update, the record first as
    everywhere (so that no two transactions block each other); None if there is none."""
    query = _sittings_query(monitoring_filter).where(Sitting.id == sitting_id)
    record_id = db.session.scalar(query.with_only_columns(Sitting.assessment_id))
    if record_id is None:
        return None
    record = db.session.scalars(select(Assessment).where(Assessment.id == record_id).with_for_update()).one()
    return record, sittings.get_sitting(sitting_id, record, for_update=True)


def answer_time_range(
    sitting: Sitting,
) -> tuple[datetime | None, datetime | None]:
    """When the first and the last answer of a sitting were received; None, None without answers."""
    query = select(
        func.min(SittingAnswer.received_at),
        func.max(SittingAnswer.received_at),
    ).where(SittingAnswer.sitting_id == sitting.id)
    first, last = db.session.execute(query).one()
    return first, last


def record_of_sitting_condition() -> ColumnElement[bool]:
    """The condition that joins a sitting to its record."""
    return and_(
        Assessment.tenant_id == Sitting.tenant_id,
        Assessment.id == Sitting.assessment_id,
    )


def _sittings_query(
    monitoring_filter: MonitoringFilter,
) -> Select[Any]:
    """The query for the sittings that the filter lets through, joined with their records."""
    return (
        select(Sitting)
        .join(Assessment, record_of_sitting_condition())
        .where(monitoring_filter.sittings_condition)
    )


def open_condition() -> ColumnElement[bool]:
    """The condition that a Sitting is neither handed in nor voided."""
    return and_(Sitting.handed_in_at.is_(None), Sitting.voided_at.is_(None))


def state_conditions() -> dict[str, ColumnElement[bool]]:
    """State → the condition that a Sitting is in it, for handed_in (and not voided), noticed (it has events)
    and voided: the keys of SITTING_FILTERS that need neither the clock nor heartbeats."""
    events = select(IntegrityEvent.id).where(
        IntegrityEvent.tenant_id == Sitting.tenant_id,
        IntegrityEvent.sitting_id == Sitting.id,
    )
    return {
        "handed_in": and_(
            Sitting.handed_in_at.is_not(None),
            Sitting.voided_at.is_(None),
        ),
        "noticed": events.correlate(Sitting).exists(),
        "voided": Sitting.voided_at.is_not(None),
    }
