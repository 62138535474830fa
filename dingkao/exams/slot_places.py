"""Places (座位) in a slot: which records may be given one, placing them, filling a slot, removing them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    or_,
    select,
)

from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import TEST_STATES, Assessment
from dingkao.assessments.review_hooks import on_exclusion, recall_obstacle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import CappedCount, capped_count
from dingkao.doctors.doctor_queries import doctors_by_id
from dingkao.doctors.models import Doctor
from dingkao.exams.admission import format_minute
from dingkao.exams.halls import (
    MAX_SEATS,
    hall_of,
    slot_of_place_condition,
)
from dingkao.exams.models.hall_models import Hall, Slot, SlotPlace
from dingkao.exams.models.paper_models import AdmissionTicket
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import subjects_for_procedure
from dingkao.exams.slots import (
    assessed_condition,
    placed_records,
    slot_notice_fields,
    taken_seat_count,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people import organisations
from dingkao.people.models import Organisation
from dingkao.people.notice_catalogue import (
    SLOT_ASSIGNED,
    SLOT_CANCELLED,
)

_NOT_PLACEABLE_REASON = "不在待测评状态、不属于这个场次，或已编入其他场次"


@dataclass
class PlacementResult:
    """How many records were given places, and who was not: (name, reason) each."""

    placed_count: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


class PlacedDoctor(NamedTuple):
    """A seat (its number) of a slot and who has it. `ticket`: the number of the admission ticket, "" if none
    is issued; `institution`: its name."""

    seat: int
    doctor: Doctor
    record: Assessment
    ticket: str
    institution: str


def placeable_records_query(slot: Slot, institution_id: UUID | None = None) -> Select[Assessment]:
    """The query for the records that may be given a place in a slot: 待测评 or 测评中, assessed by the slot's
    organisation, of the slot's institution (or of `institution_id` if the slot has none; of any if both are
    None), sitting its subject, and without a place in this slot or another for the same paper."""
    query = (
        select(Assessment)
        .join(Doctor, doctor_join())
        .where(
            Assessment.cycle_id == slot.cycle_id,
            Assessment.assessor_id == slot.organisation_id,
            Assessment.state.in_(TEST_STATES),
            ~_has_place_condition(slot),
        )
    )
    only_institution = slot.institution_id or institution_id
    if only_institution is not None:
        query = query.where(Assessment.institution_id == only_institution)
    if slot.subject is not None:
        procedures = _procedures_with_subject(slot.subject)
        query = query.where(Assessment.procedure.in_(procedures))
    return query


def _procedures_with_subject(subject: str) -> list[str]:
    """The procedures that have a paper of the subject."""
    return [procedure for procedure in ("general", "simple") if subject in subjects_for_procedure(procedure)]


def _has_place_condition(slot: Slot) -> ColumnElement[bool]:
    """The condition that an Assessment has a place in a slot for the same paper as `slot`, which may be
    `slot` itself. A slot without a subject is for all papers."""
    is_for_same_paper: ColumnElement[bool] = Slot.id.is_not(None)
    if slot.subject is not None:
        is_for_same_paper = or_(Slot.subject.is_(None), Slot.subject == slot.subject)
    places = (
        select(SlotPlace.id)
        .join(Slot, slot_of_place_condition())
        .where(
            SlotPlace.tenant_id == Assessment.tenant_id,
            SlotPlace.assessment_id == Assessment.id,
            Slot.cycle_id == slot.cycle_id,
            is_for_same_paper,
        )
    )
    return exists(places)


def waiting_records(
    slot: Slot,
    institution_id: UUID | None,
    limit: int,
) -> tuple[list[Assessment], CappedCount]:
    """The first `limit` records that may be given a place in a slot, and how many there are (counted up to
    MAX_COUNTED). With `institution_id` they are sorted by name; without, by id, because sorting so many by
    name would take long."""
    query = placeable_records_query(slot, institution_id)
    waiting_count = capped_count(query)
    order = [Doctor.name_key, Assessment.id] if institution_id else [Assessment.id]
    records = db.session.scalars(query.order_by(*order).limit(limit)).all()
    return list(records), waiting_count


def find_institution_of_slot(slot: Slot, words: str) -> Organisation:
    """The institution with the typed name or number, of those whose doctors may be given a place in the slot:
    its own one, or if it isn't limited to one, those of `slots.assessed_condition`. Raises InvalidInput (see
    `organisations.resolve_organisation`)."""
    conditions = [assessed_condition(slot.cycle_id, slot.organisation_id)]
    if slot.institution_id:
        conditions = [Organisation.id == slot.institution_id]
    return organisations.resolve_organisation(words, *conditions)


def placed_doctors(slot: Slot, after_seat: int, limit: int) -> list[PlacedDoctor]:
    """The first `limit` doctors with a seat number above `after_seat`, by seat."""
    query = (
        select(
            SlotPlace.seat,
            Doctor,
            Assessment,
            AdmissionTicket.number,
            Organisation.name,
        )
        .join(
            Assessment,
            and_(
                Assessment.tenant_id == SlotPlace.tenant_id,
                Assessment.id == SlotPlace.assessment_id,
            ),
        )
        .join(Doctor, doctor_join())
        .join(
            Organisation,
            and_(
                Organisation.tenant_id == Assessment.tenant_id,
                Organisation.id == Assessment.institution_id,
            ),
        )
        .outerjoin(
            AdmissionTicket,
            and_(
                AdmissionTicket.tenant_id == Assessment.tenant_id,
                AdmissionTicket.assessment_id == Assessment.id,
            ),
        )
        .where(SlotPlace.slot_id == slot.id, SlotPlace.seat > after_seat)
        .order_by(SlotPlace.seat)
        .limit(limit)
    )
    return [
        PlacedDoctor(seat, doctor, record, ticket or "", institution)
        for seat, doctor, record, ticket, institution in db.session.execute(query)
    ]


def place_records(slot: Slot, ids: Iterable[UUID], *, by: Actor) -> PlacementResult:
    """Give records places in a slot (locked for update): the lowest free seats, in the order of `ids`. Locks
    the records, writes a journal entry, notifies each doctor of time, hall and seat. The result names those
    who can't be placed and those for whom there is no seat; unknown ids and those of other organisations'
    records are ignored. Raises arrays.TooManyValues for more than 5,000 ids."""
    hall = hall_of(slot)
    result = PlacementResult()
    record_ids = list(dict.fromkeys(ids))
    records = _records_for_update(record_ids)
    placeable_ids = _placeable_ids(slot, record_ids)
    doctors = doctors_by_id(record.doctor_id for record in records.values())
    seats = _free_seats(slot, _seat_limit(hall))
    for record in _records_of_organisation(slot, record_ids, records):
        name = doctors[record.doctor_id].name
        if record.id not in placeable_ids:
            result.skipped.append((name, _NOT_PLACEABLE_REASON))
        elif (seat := next(seats, None)) is None:
            result.skipped.append((name, f"考场{_seat_limit(hall)}座已满"))
        else:
            _place_record(slot, hall, record, seat)
            result.placed_count += 1
    db.session.flush()
    journal.write_entry(
        "slot",
        slot.id,
        "placed",
        by=by,
        placed=result.placed_count,
        left_out=len(result.skipped),
    )
    return result


def _placeable_ids(slot: Slot, record_ids: Sequence[UUID]) -> set[UUID]:
    """The ids of those of the records that may be given a place in the slot."""
    query = placeable_records_query(slot).with_only_columns(Assessment.id)
    return set(db.session.scalars(query.where(in_array(Assessment.id, record_ids))))


def _records_of_organisation(
    slot: Slot,
    record_ids: Iterable[UUID],
    records: Mapping[UUID, Assessment],
) -> list[Assessment]:
    """The records that the slot's organisation assesses, in the order of `record_ids`."""
    in_order = [records[record_id] for record_id in record_ids if record_id in records]
    return [record for record in in_order if record.assessor_id == slot.organisation_id]


def _place_record(slot: Slot, hall: Hall | None, record: Assessment, seat: int) -> None:
    """Give a record the seat and notify its doctor."""
    db.session.add(SlotPlace(slot_id=slot.id, assessment_id=record.id, seat=seat))
    notify(
        record,
        SLOT_ASSIGNED,
        **slot_notice_fields(slot, hall, seat),
    )


def _records_for_update(
    ids: Sequence[UUID],
) -> dict[UUID, Assessment]:
    """Record id → record, locked in ascending order of the ids; unknown ids are left out."""
    query = select(Assessment).where(in_array(Assessment.id, ids)).order_by(Assessment.id).with_for_update()
    return {record.id: record for record in db.session.scalars(query)}


def _free_seats(slot: Slot, seat_limit: int) -> Iterator[int]:
    """The numbers of the free seats of a slot, from the lowest, up to `seat_limit`."""
    taken_seats = set(db.session.scalars(select(SlotPlace.seat).where(SlotPlace.slot_id == slot.id)))
    return iter(seat for seat in range(1, seat_limit + 1) if seat not in taken_seats)


def _seat_limit(hall: Hall | None) -> int:
    """The highest number a seat may have: the hall's seats, or MAX_SEATS without a hall."""
    return hall.seats if hall else MAX_SEATS


def fill_slot(slot: Slot, *, by: Actor, institution_id: UUID | None = None) -> PlacementResult:
    """Give places in a slot (locked for update) to the records that may have one, institution by institution,
    until the seats are taken, as `place_records` does (lowest seats first, a journal entry, notices); those
    beyond are not in the result. `institution_id`: only records of this institution, unless the slot has one
    (None: of any)."""
    free_seat_count = max(0, _seat_limit(hall_of(slot)) - taken_seat_count(slot))
    query = (
        placeable_records_query(slot, institution_id)
        .order_by(Assessment.institution_id, Doctor.name_key, Assessment.id)
        .limit(free_seat_count)
        .with_only_columns(Assessment.id)
    )
    return place_records(slot, db.session.scalars(query), by=by)


def remove_from_slot(slot: Slot, ids: Iterable[UUID], *, by: Actor) -> int:
    """Remove records from a slot (locked for update), also those that have begun there, and notify each
    doctor; writes a journal entry. Ids of records without a place in it are ignored. Returns how many were
    removed."""
    record_ids = set(ids)
    removed_count = 0
    for place, record in placed_records(slot):
        if record.id in record_ids:
            db.session.delete(place)
            notify(
                record,
                SLOT_CANCELLED,
                opens=format_minute(slot.opens_at),
            )
            removed_count += 1
    db.session.flush()
    journal.write_entry("slot", slot.id, "unplaced", by=by, removed=removed_count)
    return removed_count


@on_exclusion
def _give_seats_back(record: Assessment) -> None:
    """Free the seats of a record whose doctor is taken off the list, in all slots; without a notice."""
    places = db.session.scalars(select(SlotPlace).where(SlotPlace.assessment_id == record.id))
    for place in places.all():
        db.session.delete(place)


@recall_obstacle
def _exam_obstacle(record: Assessment) -> str | None:
    """Why the review can't recall a record, as a text: it has a seat in a slot, or a sitting, be it voided.
    None if it has neither."""
    for row_class in (SlotPlace, Sitting):
        query = select(row_class.id).where(row_class.assessment_id == record.id)
        if db.session.scalar(query.limit(1)) is not None:
            return "该医师已安排场次或已开始测评，不能撤回。"
    return None
