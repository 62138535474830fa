"""The console's lists of a cycle's records by state: pages, and the whole list for a file."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, select

from dingkao.assessments.enrolment import count_records_by_state, doctor_join
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.database.pagination import CappedCount, Page, fetch_page
from dingkao.doctors.models import Doctor
from dingkao.people.names import normalise_name
from dingkao.people.scopes import Grant, scope_condition

PAGE_SIZE = 100
UNSUBMITTED_STATES = ("included", "draft", "institution_returned")
"""The states that the filter «unsubmitted» selects."""


def state_counts(cycle: Cycle, grant: Grant) -> dict[str, CappedCount]:
    """Returns state → number of records of `cycle` within `grant`."""
    return count_records_by_state(
        cycle,
        scope_condition(grant, institution=Assessment.institution_id),
    )


def records_page(
    cycle: Cycle,
    grant: Grant,
    state: str,
    name: str,
    cursor: str | None,
) -> Page[Assessment]:
    """Returns a page of the records of `cycle` within `grant` in a state (or «unsubmitted»); only those of
    doctors called `name`, if it is not empty."""
    query = _records_query(cycle, grant, state, name)
    return fetch_page(query, [Assessment.state, Assessment.id], cursor, PAGE_SIZE)


def list_records(cycle: Cycle, grant: Grant, state: str, name: str, *, limit: int) -> Sequence[Assessment]:
    """Returns the first `limit` records, chosen as by `records_page`."""
    query = _records_query(cycle, grant, state, name).order_by(Assessment.id)
    return db.session.scalars(query.limit(limit)).all()


def _records_query(cycle: Cycle, grant: Grant, state: str, name: str) -> Select[Any]:
    """Returns the query of the records that `records_page` describes, in no order. `name`: the whole name, ""
    for any."""
    is_in_state = Assessment.state == state
    if state == "unsubmitted":
        is_in_state = Assessment.state.in_(UNSUBMITTED_STATES)
    query = select(Assessment).where(
        Assessment.cycle_id == cycle.id,
        is_in_state,
        scope_condition(grant, institution=Assessment.institution_id),
    )
    if name:
        query = query.join(Doctor, doctor_join()).where(Doctor.name == normalise_name(name))
    return query
