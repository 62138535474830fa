"""Watching an exam: which sittings and records a person may see, counted by state and listed in pages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select

from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array, split_into_batches
from dingkao.database.base import db
from dingkao.database.pagination import (
    Page,
    capped_count,
    cursor_of,
    fetch_page,
)
from dingkao.doctors.name_search import search_condition
from dingkao.errors import NotFound
from dingkao.exams import sittings
from dingkao.exams.models.monitoring_models import IntegrityEvent
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.monitoring_locations import (
    Location,
    sitting_at_condition,
    yet_to_start_condition,
)
from dingkao.people.scopes import WHOLE_PROVINCE, Grant, scope_condition

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
    """What a monitoring page is limited to: the cycle, whose records, one location (None: any), and, in its
    lists, doctors whom `search_text` finds (`name_search`; "": all)."""

    cycle: Cycle | None
    scope: Grant
    location: Location | None = None
    search_text: str = ""

    @property
    def records_condition(self) -> ColumnElement[bool]:
        """The condition that an Assessment is of the cycle and within the scope."""
        return and_(
            scope_condition(self.scope, assessor=Assessment.assessor_id),
            Assessment.cycle_id == (self.cycle.id if self.cycle else NO_CYCLE_ID),
        )


def open_sitting_ids(
    monitoring_filter: MonitoringFilter,
) -> list[UUID]:
    """The ids of the sittings neither handed in nor voided, at most MAX_OPEN_SITTINGS, in no order; the
    filter's search text is ignored."""
    query = _sittings_query(monitoring_filter).where(_open_condition()).with_only_columns(Sitting.id)
    return list(db.session.scalars(query.limit(MAX_OPEN_SITTINGS)))


def uncounted_open_sittings(monitoring_filter: MonitoringFilter, open_count: int) -> int:
    """How many open sittings there are beyond the `open_count` that `open_sitting_ids` returned."""
    if open_count < MAX_OPEN_SITTINGS:
        return 0
    query = _sittings_query(monitoring_filter).where(_open_condition())
    whole_count = db.session.scalar(select(func.count()).select_from(query.subquery())) or 0
    return int(whole_count) - MAX_OPEN_SITTINGS


def count_sittings_by_state(
    monitoring_filter: MonitoringFilter,
    open_count: int,
    connected_count: int,
) -> dict[str, int]:
    """Return key of SITTING_FILTERS → how many sittings are in that state ("waiting": records that have not
    begun), each counted up to the limit of `capped_count`. The filter's search text (a doctor's name or
    ticket number) is ignored: it limits the list of one state, while the counts stand at the tabs of all.
    `open_count`: the number of ids from `open_sitting_ids`; `connected_count`: how many of these sittings
    have a page with a recent heartbeat."""
    query = _sittings_query(monitoring_filter)
    counts: dict[str, int] = {
        "answering": connected_count,
        "lost": open_count - connected_count,
        "waiting": capped_count(_waiting_query(monitoring_filter)),
    }
    for state, condition in _state_conditions().items():
        counts[state] = capped_count(query.where(condition))
    return counts


def waiting_page(monitoring_filter: MonitoringFilter, cursor: str | None) -> Page[Assessment]:
    """A page of the records that have not begun."""
    query = _filter_by_search_text(_waiting_query(monitoring_filter), monitoring_filter.search_text)
    return fetch_page(query, [Assessment.id], cursor, PAGE_SIZE)


def sittings_page(
    monitoring_filter: MonitoringFilter,
    state: str,
    cursor: str | None,
) -> Page[Sitting]:
    """A page of the sittings in one of the states that a query can find: "handed_in", "noticed", "voided"."""
    query = _sittings_query(monitoring_filter).where(_state_conditions()[state])
    return fetch_page(
        _filter_by_search_text(query, monitoring_filter.search_text),
        [Sitting.id],
        cursor,
        PAGE_SIZE,
    )


def sittings_page_among(
    monitoring_filter: MonitoringFilter,
    ids: set[UUID],
    cursor: str | None,
) -> Page[Sitting]:
    """A page of the sittings with these ids (there may be thousands) that the filter lets through, by id."""
    query = _filter_by_search_text(_sittings_query(monitoring_filter), monitoring_filter.search_text)
    rows: list[Sitting] = []
    for batch in split_into_batches(sorted(ids)):
        page = fetch_page(
            query.where(in_array(Sitting.id, batch)),
            [Sitting.id],
            cursor,
            PAGE_SIZE - len(rows),
        )
        rows += page.rows
        if page.next_cursor:
            return Page(rows, page.next_cursor)
        if len(rows) == PAGE_SIZE:
            has_more = rows[-1].id < max(ids)
            return Page(
                rows,
                cursor_of(rows[-1], [Sitting.id]) if has_more else None,
            )
    return Page(rows, None)


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


def _sittings_query(
    monitoring_filter: MonitoringFilter,
) -> Select[Any]:
    """The query for the sittings that the filter lets through, whatever its search text, joined with their
    records."""
    record_of_sitting = and_(
        Assessment.tenant_id == Sitting.tenant_id,
        Assessment.id == Sitting.assessment_id,
    )
    return (
        select(Sitting)
        .join(Assessment, record_of_sitting)
        .where(
            monitoring_filter.records_condition,
            sitting_at_condition(monitoring_filter.location),
        )
    )


def _waiting_query(
    monitoring_filter: MonitoringFilter,
) -> Select[Any]:
    """The query for the records that have not begun, whatever the filter's search text."""
    return select(Assessment).where(
        monitoring_filter.records_condition,
        yet_to_start_condition(monitoring_filter.location),
    )


def _open_condition() -> ColumnElement[bool]:
    """The condition that a Sitting is neither handed in nor voided."""
    return and_(Sitting.handed_in_at.is_(None), Sitting.voided_at.is_(None))


def _state_conditions() -> dict[str, ColumnElement[bool]]:
    """State → the condition that a Sitting is in it, for the states that a query can find."""
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


def _filter_by_search_text(query: Select[Any], search_text: str) -> Select[Any]:
    """Limit a query joined with Assessment to doctors whom `search_text` finds (`name_search`); "" doesn't
    limit it."""
    if not search_text:
        return query
    return query.where(search_condition(search_text, WHOLE_PROVINCE, Assessment.doctor_id))
