"""Review (审核): which side has to decide, what waits for it, and the lease that keeps two people
from reviewing the same record. The decisions are in `review_decisions`."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, literal, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from dingkao import clock
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    LEASE_DURATION,
    STATES_BY_SIDE,
    Assessment,
    queue_condition,
)
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, InvalidState, NotFound
from dingkao.filings.review_guards import not_own_record_condition, own_record_reason
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.name_lookups import account_name
from dingkao.people.scopes import Grant, load_grant
from dingkao.people.second_person import second_person_condition

CLERK_MESSAGE = "经办人可以查看，审核决定由审核人作出。"


@dataclass(frozen=True)
class ReviewScope:
    """A side that reviews (`name`: institution, or organisation for the assessment organisation), the
    organisations for which the person acts there, and those of them for which the person may decide."""

    name: str
    organisation_ids: tuple[UUID, ...]
    deciding_ids: tuple[UUID, ...]

    @property
    def can_decide(self) -> bool:
        """Whether the person may decide for any of the organisations."""
        return bool(self.deciding_ids)

    @property
    def states(self) -> tuple[str, ...]:
        """The states in which a record waits for this side."""
        return STATES_BY_SIDE[self.name]

    @property
    def earlier_actor_columns(
        self,
    ) -> tuple[InstrumentedAttribute[UUID | None], ...]:
        """The columns of the persons who may not decide at this side, because they decided before."""
        return () if self.name == "institution" else (Assessment.graded_by,)

    @property
    def organisation_column(self) -> InstrumentedAttribute[Any]:
        """The column with the organisation at whose desk a record is."""
        return Assessment.institution_id if self.name == "institution" else Assessment.assessor_id

    def record_condition(self) -> ColumnElement[bool]:
        """Returns the SQL condition of the records that this side may see."""
        return in_array(
            self.organisation_column,
            self.organisation_ids,
        )

    def deciding_condition(self) -> ColumnElement[bool]:
        """Returns the SQL condition of the records on which the person may decide as far as roles go."""
        return in_array(self.organisation_column, self.deciding_ids)

    def organisation_of(self, record: Assessment) -> UUID | None:
        """Returns the organisation at whose desk the record is."""
        return record.institution_id if self.name == "institution" else record.assessor_id

    def includes(self, record: Assessment) -> bool:
        """Whether this side may see the record."""
        return self.organisation_of(record) in self.organisation_ids


DECIDING_ACTIONS = {"institution": "filings.approve", "organisation": "filings.accept"}
"""Side → the action with which one decides there."""


def load_scope(side: str, account_id: UUID | None) -> ReviewScope:
    """Returns the side as a member of staff has it by the roles held now, of several organisations at the
    place chosen; for jobs, which run later than the request."""
    return scope_of(
        side,
        load_grant("filings.review", account_id),
        load_grant(DECIDING_ACTIONS[side], account_id),
    )


def scope_of(
    side: str,
    reviewing: Grant,
    deciding: Grant,
) -> ReviewScope:
    """Returns the side of a person who reaches `reviewing` with filings.review, and `deciding` with the
    side's action of DECIDING_ACTIONS."""
    if side == "institution":
        return ReviewScope(
            side,
            reviewing.institution_ids,
            deciding.institution_ids,
        )
    return ReviewScope(
        side,
        reviewing.assessor_ids,
        deciding.assessor_ids,
    )


def pending_query(
    cycle: Cycle,
    scope: ReviewScope,
) -> Select[Assessment]:
    """Returns the query of the cycle's records that wait for the review of `scope` and that it may see, in no
    order."""
    return select(Assessment).where(
        Assessment.cycle_id == cycle.id,
        queue_condition(scope.name),
        scope.record_condition(),
    )


def find_next_pending_id(
    cycle: Cycle,
    scope: ReviewScope,
    by: Actor,
    *,
    after: Assessment | None = None,
) -> UUID | None:
    """Returns the id of the record that has waited longest, among those that `by` may decide and that neither
    were given to a colleague nor are leased by one; those given to `by` come first. With `after`, the next
    one behind that record comes before the others. None if there is none."""
    query = _decidable_records(cycle, scope, by).order_by(
        Assessment.submitted_at,
        Assessment.id,
    )
    for is_assigned in (
        Assessment.assigned_to == by.id,
        Assessment.assigned_to.is_(None),
    ):
        assigned = query.where(is_assigned)
        if after is not None:
            behind = assigned.where(_POSITION > _position_of(after))  # noqa: SIM300
            assigned = assigned.where(Assessment.id != after.id)
            if record_id := db.session.scalar(behind.limit(1)):
                return record_id
        if record_id := db.session.scalar(assigned.limit(1)):
            return record_id
    return None


def find_previous_pending_id(
    cycle: Cycle,
    scope: ReviewScope,
    by: Actor,
    before: Assessment,
) -> UUID | None:
    """Returns the id of the record before `before` in the order of waiting, among those that
    `find_next_pending_id` may find; None if there is none."""
    query = _decidable_records(cycle, scope, by).where(
        _POSITION < _position_of(before),  # noqa: SIM300
        or_(Assessment.assigned_to.is_(None), Assessment.assigned_to == by.id),
    )
    return db.session.scalar(
        query.order_by(Assessment.submitted_at.desc(), Assessment.id.desc()).limit(1),
    )


_POSITION = tuple_(Assessment.submitted_at, Assessment.id)


def _position_of(record: Assessment) -> Any:
    """Returns the record's position in the order of waiting, to be compared with _POSITION."""
    columns = (Assessment.submitted_at, Assessment.id)
    values = (record.submitted_at, record.id)
    return tuple_(
        *(literal(value, column.type) for value, column in zip(values, columns, strict=True)),
    )


def _decidable_records(
    cycle: Cycle,
    scope: ReviewScope,
    by: Actor,
) -> Select[UUID]:
    """Returns the query of the ids of the records that `by` may decide now: not the own one, nor one leased
    by a colleague."""
    is_free = or_(
        Assessment.leased_until.is_(None),
        Assessment.leased_until < clock.now(),
        Assessment.leased_by == by.id,
    )
    return (
        pending_query(cycle, scope)
        .where(
            scope.deciding_condition(),
            is_free,
            not_own_record_condition(by),
            second_person_condition(by.id, *scope.earlier_actor_columns),
        )
        .with_only_columns(Assessment.id)
    )


def get_record(record_id: UUID, scope: ReviewScope) -> Assessment:
    """Returns a record that this side may see, in any state but not_included; not locked. Raises NotFound."""
    record = _get_visible(
        select(Assessment).where(Assessment.id == record_id),
        scope,
    )
    if record.state == "not_included":
        raise NotFound
    return record


def get_record_for_update(
    record_id: UUID,
    scope: ReviewScope,
) -> Assessment:
    """Returns a record that this side may see, in any state, locked. Raises NotFound."""
    query = select(Assessment).where(Assessment.id == record_id)
    return _get_visible(query.with_for_update(), scope)


def _get_visible(
    query: Select[Assessment],
    scope: ReviewScope,
) -> Assessment:
    """Returns the record of a query. Raises NotFound if there is none, or the side may not see it."""
    record = db.session.scalar(query)
    if record is None or not scope.includes(record):
        raise NotFound
    return record


def lease_record(
    record: Assessment,
    scope: ReviewScope,
    *,
    by: Actor,
) -> None:
    """Lease the record (locked) to a reviewer for LEASE_DURATION from now, also one who has it already, store
    that it was opened, and journal that each time; its doctor can't withdraw it any more. Raises Forbidden
    for a person who may not decide, or the doctor; InvalidState if it does not wait for the side, or another
    person has leased it (the message names them)."""
    _require_pending(record, scope)
    require_unleased(record, by)
    _require_not_self(record, by)
    now = clock.now()
    record.leased_by, record.leased_until = (
        by.id,
        now + LEASE_DURATION,
    )
    record.opened_at = record.opened_at or now
    journal.write_entry("assessment", record.id, "opened", by=by)


def _require_not_self(record: Assessment, by: Actor) -> None:
    """Raises Forbidden for the reviewer's own record."""
    doctor = db.session.get_one(
        Doctor,
        (record.tenant_id, record.doctor_id),
    )
    if reason := own_record_reason(doctor, by):
        raise Forbidden(reason)


def _require_pending(record: Assessment, scope: ReviewScope) -> None:
    """Raises Forbidden for a person who may not decide, InvalidState if the record does not wait for the
    side."""
    if scope.organisation_of(record) not in scope.deciding_ids:
        raise Forbidden(CLERK_MESSAGE)
    if record.state not in scope.states:
        raise InvalidState(
            f"该记录当前为“{ASSESSMENT_STATES[record.state]}”，不在您的待审核列表中。",
        )


def other_holder_name(record: Assessment, by: Actor) -> str | None:
    """Returns the name of the person other than `by` who has leased the record now; None if there is none."""
    return (
        None
        if record.leased_by in (None, by.id)
        else lease_holder_name(
            record,
        )
    )


def lease_holder_name(record: Assessment) -> str | None:
    """Returns the name of the person who has leased the record now; None if there is none."""
    if record.leased_by is None or _is_lease_over(record):
        return None
    return account_name(record.leased_by) or None


def _is_lease_over(record: Assessment) -> bool:
    return record.leased_until is None or record.leased_until < clock.now()


def require_unleased(record: Assessment, by: Actor) -> None:
    """Raises InvalidState if another person has leased the record."""
    if holder := other_holder_name(record, by):
        raise InvalidState(f"{holder}正在审核这条记录，请先审核其他记录，或稍后再试。")
