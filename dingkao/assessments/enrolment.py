"""Enrolment (报名): creating a record for every doctor of the roster, and including doctors in the cycle
(纳入) in batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    func,
    insert,
    select,
    text,
)

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import ASSESSMENT_STATES, Assessment
from dingkao.assessments.participation import inclusion_obstacles
from dingkao.assessments.record_counts import count_new_records
from dingkao.assessments.repeated_places import batched_places
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import equal_by_lookup, in_array
from dingkao.database.base import db, new_id
from dingkao.database.pagination import (
    CappedCount,
    capped_count_query,
)
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, Refusal
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from dingkao.people.notice_catalogue import (
    ENROLLED,
    REMOVED_FROM_LIST,
)
from dingkao.people.scopes import Grant, scope_condition
from dingkao.tenants.context import current_tenant

ENROL_BATCH_SIZE = 5000
FIRST_ID = UUID(int=0)


@dataclass
class InclusionResult:
    """The result of including or excluding records: how many were, and for the others doctor's name and
    reason."""

    included_count: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


_ENROL = text("""
WITH next AS (
    SELECT id, organisation_id FROM doctor WHERE tenant_id = :tenant AND id > :after ORDER BY id LIMIT :most
), missing AS (
    SELECT next.id, next.organisation_id, row_number() OVER (ORDER BY next.id) AS place FROM next
    WHERE NOT EXISTS (
        SELECT FROM assessment AS a
        WHERE a.tenant_id = :tenant AND a.doctor_id = next.id AND a.cycle_id = :cycle
    )
), created AS (
    INSERT INTO assessment (
        tenant_id, id, doctor_id, cycle_id, round, institution_id, state, changed_at, exempted
    )
    SELECT
        :tenant, new_ids.id, missing.id, :cycle, 'first', missing.organisation_id, 'not_included', :at, false
    FROM missing
    JOIN unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS new_ids (id, place) ON new_ids.place = missing.place
    ON CONFLICT DO NOTHING RETURNING institution_id
)
SELECT
    (SELECT count(*) FROM next) AS examined,
    (SELECT array_agg(institution_id) FROM created) AS institution_ids,
    (SELECT id FROM next ORDER BY id DESC LIMIT 1) AS last
""")


class EnrolledBatch(NamedTuple):
    """The result for a batch of doctors: how many there were, how many got a record, and the id of the last
    one."""

    examined_count: int
    created_count: int
    last_id: UUID | None


def count_records_by_state(
    cycle: Cycle,
    *conditions: ColumnElement[bool],
    states: Iterable[str] = ASSESSMENT_STATES,
) -> dict[str, CappedCount]:
    """Returns state → number of the cycle's records that meet `conditions`, for each of `states`. Large
    numbers are counted only up to the limit that pages show (CappedCount)."""
    query = (
        select(Assessment)
        .where(Assessment.cycle_id == cycle.id, *conditions)
        .order_by(Assessment.state, Assessment.id)
    )
    counts = [capped_count_query(query.where(Assessment.state == state)).label(state) for state in states]
    count_row = db.session.execute(select(*counts)).one()
    return {state: CappedCount(number) for state, number in count_row._mapping.items()}


def enrol(cycle: Cycle, doctor: Doctor | None = None) -> int:
    """Create a record, not yet included, for every doctor (or for `doctor` only) who has none in `cycle`.
    Returns how many. Idempotent. It runs in the caller's transaction, for the command line; the console
    enqueues a job (`enqueue_enrolment`)."""
    if doctor is not None:
        return enrol_doctors(cycle, [(doctor.id, doctor.organisation_id)])
    created_count, last_id = 0, FIRST_ID
    while True:
        batch = enrol_batch(cycle, last_id)
        created_count += batch.created_count
        if batch.last_id is None or batch.examined_count < ENROL_BATCH_SIZE:
            return created_count
        last_id = batch.last_id


def enrol_batch(cycle: Cycle, after: UUID) -> EnrolledBatch:
    """Create records for those of the next ENROL_BATCH_SIZE doctors, by id after `after`, who have none in
    `cycle`. Flushes before, and counts the new records (`record_counts`)."""
    parameters: dict[str, Any] = {
        "tenant": current_tenant(),
        "cycle": cycle.id,
        "after": after,
        "most": ENROL_BATCH_SIZE,
        "at": clock.now(),
        "ids": [new_id() for _ in range(ENROL_BATCH_SIZE)],
    }
    db.session.flush()
    examined_count, institution_ids, last_id = db.session.execute(_ENROL, parameters).one()
    count_new_records(cycle, institution_ids or ())
    return EnrolledBatch(examined_count, len(institution_ids or ()), last_id)


def enrol_doctors(cycle: Cycle, doctors: Sequence[tuple[UUID, UUID]]) -> int:
    """Create records for those of `doctors` (id, institution's id; at most 5,000, each once) who have none in
    `cycle`, and count them (`record_counts`). Returns how many."""
    enrolled_ids = _enrolled_ids(cycle, [doctor_id for doctor_id, _ in doctors])
    records = [
        {
            "tenant_id": current_tenant(),
            "id": new_id(),
            "doctor_id": doctor_id,
            "cycle_id": cycle.id,
            "round": "first",
            "institution_id": organisation_id,
            "state": "not_included",
        }
        for doctor_id, organisation_id in doctors
        if doctor_id not in enrolled_ids
    ]
    if records:
        db.session.execute(insert(Assessment), records)
        new_ids = {record["doctor_id"] for record in records}
        count_new_records(cycle, (place for doctor_id, place in doctors if doctor_id in new_ids))
    return len(records)


def _enrolled_ids(cycle: Cycle, doctor_ids: Iterable[UUID]) -> set[UUID]:
    """Returns the ids of those doctors who have a record in `cycle`."""
    query = select(Assessment.doctor_id).where(
        in_array(Assessment.doctor_id, doctor_ids),
        Assessment.cycle_id == cycle.id,
    )
    return set(db.session.scalars(query))


def enqueue_enrolment(cycle: Cycle, *, by: Actor) -> Job:
    """Enqueue the creation of a record in `cycle` for every doctor of the province."""
    return enqueueing.enqueue(
        "enrol_all",
        f"建立考核名单（{cycle.label}）",
        {"cycle": str(cycle.id)},
        by=by.id,
        subject=cycle.id,
    )


@worker.register_chunked_job("enrol_all")
def enrol_all_step(job: Job, cursor: Cursor) -> Chunk:
    """Create records for the next doctors who have none. Idempotent; a doctor who is added meanwhile gets a
    record when added."""
    cycle = cycle_of_job(job)
    total = None if cursor else db.session.scalar(select(func.count()).select_from(Doctor)) or 0
    batch = enrol_batch(cycle, UUID(cursor.get("after", str(FIRST_ID))))
    next_cursor = {"after": str(batch.last_id)} if batch.examined_count == ENROL_BATCH_SIZE else None
    return Chunk(
        next_cursor,
        done=batch.examined_count,
        total=total,
        counts={"enrolled": batch.created_count},
    )


def cycle_of_job(job: Job) -> Cycle:
    """The cycle that a job is about. Raises sqlalchemy.exc.NoResultFound for an unknown id."""
    return db.session.scalars(select(Cycle).where(Cycle.id == UUID(job.arguments["cycle"]))).one()


def doctor_join() -> ColumnElement[bool]:
    """The condition that joins a record to its doctor."""
    return and_(
        Doctor.tenant_id == Assessment.tenant_id,
        Doctor.id == Assessment.doctor_id,
    )


def doctor_lookup() -> ColumnElement[bool]:
    """The condition that joins a record to its doctor, as `doctor_join`, but so that PostgreSQL looks the
    doctor up for each record (`equal_by_lookup`)."""
    return and_(
        Doctor.tenant_id == Assessment.tenant_id,
        equal_by_lookup(Doctor.id, Assessment.doctor_id),
    )


def _records_query(cycle: Cycle, ids: Iterable[UUID], grant: Grant) -> Select[Assessment, Doctor]:
    """Returns the query of the records `ids` of `cycle` that are within `grant`, with their doctors; locked,
    by id."""
    return (
        select(Assessment, Doctor)
        .join(Doctor, doctor_join())
        .where(
            Assessment.cycle_id == cycle.id,
            in_array(Assessment.id, ids),
            scope_condition(grant, institution=Assessment.institution_id),
        )
        .order_by(Assessment.id)
        .with_for_update(of=Assessment)
    )


def include(cycle: Cycle, ids: Iterable[UUID], *, by: Actor, grant: Grant) -> InclusionResult:
    """Include those of the records `ids` (at most 5,000) of `cycle` that are within `grant` (locked here),
    journal it, and notify their doctors. Records out of the grant, and those that are already included, are
    passed over; those that can't be included (`participation.inclusion_obstacles`, or what
    `assessment_transitions.include` refuses) are in the result with the reason."""
    query = _records_query(cycle, ids, grant).execution_options(populate_existing=True)
    rows = db.session.execute(query).all()
    institution_ids = {record.institution_id for record, _ in rows}
    institutions = db.session.scalars(
        select(Organisation).where(in_array(Organisation.id, institution_ids))
    ).all()  # this reference keeps them in the session, where the transitions find them
    reasons = inclusion_obstacles(cycle, {doctor.id for _, doctor in rows})
    result = InclusionResult()
    with journal.batched_entries(), batched_places():
        for record, doctor in rows if institutions else ():
            if record.state != "not_included":
                continue
            if doctor.id in reasons:
                result.skipped.append((doctor.name, reasons[doctor.id]))
            else:
                _include_record(record, doctor, cycle, result, by)
    return result


def _include_record(
    record: Assessment,
    doctor: Doctor,
    cycle: Cycle,
    result: InclusionResult,
    by: Actor,
) -> None:
    """Include one locked record and notify its doctor, or add the reason why not to `result`."""
    try:
        assessment_transitions.include(record, by=by)
    except Refusal as refusal:
        result.skipped.append((doctor.name, refusal.message))
        return
    result.included_count += 1
    notify(
        record,
        ENROLLED,
        account_id=doctor.account_id,
        cycle=cycle.label,
    )


def exclude(
    cycle: Cycle,
    ids: Iterable[UUID],
    *,
    by: Actor,
    grant: Grant,
    reason: str,
) -> InclusionResult:
    """Exclude those of the records `ids` (at most 5,000) of `cycle` that are within `grant` (locked here),
    journal it, and notify their doctors. Records out of the grant, and those that are not included, are
    passed over. A record with a filing is not excluded, but reported in the result; `included_count` there is
    the number excluded. Raises InvalidInput for the field `reason`."""
    max_length = assessment_transitions.MAX_REASON_LENGTH
    if not 0 < len(reason.strip()) <= max_length:
        raise InvalidInput(f"请填写移出名单的原因，不超过{max_length}字。", "reason")
    result = InclusionResult()
    for record, doctor in db.session.execute(_records_query(cycle, ids, grant)):
        if record.state != "not_included":
            _exclude_record(record, doctor, cycle, result, reason, by)
    return result


def _exclude_record(
    record: Assessment,
    doctor: Doctor,
    cycle: Cycle,
    result: InclusionResult,
    reason: str,
    by: Actor,
) -> None:
    """Exclude one locked record and notify its doctor, or add the reason why not to `result`."""
    try:
        assessment_transitions.exclude(record, by=by, reason=reason)
    except Refusal as refusal:
        result.skipped.append((doctor.name, refusal.message))
        return
    result.included_count += 1
    notify(
        record,
        REMOVED_FROM_LIST,
        account_id=doctor.account_id,
        cycle=cycle.label,
        reason=reason.strip(),
    )
