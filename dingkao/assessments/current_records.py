"""Which of a doctor's records is the current one: an active one comes first, even if a newer cycle was
opened."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, func, or_, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import cycle_precedence
from dingkao.cycles.models import Cycle, CyclePhase
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import NotFound
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
    date_param,
    uuid_param,
)

ACTIVE_STATES = (
    "institution_pending",
    "organisation_pending",
    "organisation_returned",
    "ready",
    "testing",
    "scored",
    "absent",
    "grading",
    "confirming",
)
"""States in which a record waits for an office, the exam or the province. A record in one of them comes
before those of newer cycles."""


def record_precedence(record: Any, today: Any) -> tuple[ColumnElement[Any], ...]:
    """Returns the ORDER BY columns for a doctor's records (`record`, outer joined to Cycle) on the day
    `today`: first active records, of any cycle; then cycles with a record, except those whose filing phase,
    in which the doctor could be included, has not begun yet; then by `cycle_precedence`."""
    filing_start = select(CyclePhase.first_day).where(
        CyclePhase.tenant_id == Cycle.tenant_id,
        CyclePhase.cycle_id == Cycle.id,
        CyclePhase.kind == "filing",
    )
    starts_later = filing_start.correlate(Cycle).scalar_subquery() > today
    is_before_start = and_(record.state == "not_included", starts_later)
    is_active = or_(*(record.state == state for state in ACTIVE_STATES))
    return (
        func.coalesce(is_active, false()).desc(),
        record.id.is_(None),
        func.coalesce(is_before_start, false()),
        *cycle_precedence(today),
        record.id.desc(),
    )


_CYCLE_STATEMENT = PreparedStatement(
    lambda: (
        select(*all_columns(Cycle))
        .outerjoin(
            Assessment,
            and_(
                Assessment.tenant_id == Cycle.tenant_id,
                Assessment.cycle_id == Cycle.id,
                Assessment.doctor_id == uuid_param("doctor"),
            ),
        )
        .where(Cycle.tenant_id == TENANT_PARAM)
        .order_by(*record_precedence(Assessment, date_param("today")))
        .limit(1)
    )
)


def cycle_of_doctor(doctor_id: UUID) -> Cycle | None:
    """Returns the doctor's current cycle, by the order of `record_precedence`; None before the first
    cycle."""
    result = _CYCLE_STATEMENT.fetch_object(Cycle, doctor=doctor_id, today=clock.today())
    return result[0] if result else None


def record_in_cycle(doctor_id: UUID, cycle: Cycle) -> Assessment | None:
    """Returns the doctor's newest record in a cycle, or None."""
    query = select(Assessment).where(
        Assessment.doctor_id == doctor_id,
        Assessment.cycle_id == cycle.id,
    )
    return db.session.scalar(query.order_by(Assessment.id.desc()).limit(1))


def get_record_of_doctor(record_id: UUID, doctor_id: UUID) -> Assessment:
    """Returns a record of the doctor, of any cycle. Raises NotFound for a record of another doctor, and for
    none."""
    query = select(Assessment).where(
        Assessment.id == record_id,
        Assessment.doctor_id == doctor_id,
    )
    record = db.session.scalar(query)
    if record is None:
        raise NotFound
    return record


def records_by_id(ids: Iterable[UUID]) -> dict[UUID, Assessment]:
    """Returns id → record for at most 5,000 ids; an unknown one is left out."""
    records = db.session.scalars(select(Assessment).where(in_array(Assessment.id, ids)))
    return {record.id: record for record in records}
