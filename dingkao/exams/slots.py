"""Slots (场次): when a hall is used, and which records have a seat then (domain.md §12, §13)."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from dingkao import clock
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.database.pagination import Page, fetch_page
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.exams.admission import format_minute
from dingkao.exams.models.hall_models import Hall, Slot, SlotPlace
from dingkao.exams.models.paper_models import Paper
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from dingkao.people.notice_catalogue import SLOT_CHANGED, SLOT_SEAT
from dingkao.people.scopes import Grant, scope_condition
from dingkao.question_banks.models import SUBJECTS

MAX_SLOT_DURATION = timedelta(days=60)


class _SlotValues(NamedTuple):
    """The values that a slot is to get. `hall`, `institution`, `subject`: None if it isn't limited to one."""

    opens_at: datetime
    closes_at: datetime
    hall: Hall | None
    institution: Organisation | None
    subject: str | None
    invigilated: bool

    def is_unbound(self) -> bool:
        """Whether nothing would say where the slot is sat, by whom, or when it is begun: it has neither hall
        nor institution nor invigilator."""
        return self.hall is None and self.institution is None and not self.invigilated

    def hall_id(self) -> UUID | None:
        """The hall's id; None without a hall."""
        return self.hall.id if self.hall else None


def save_slot(
    cycle: Cycle,
    organisation: Organisation,
    *,
    opens_at: datetime,
    closes_at: datetime,
    hall: Hall | None,
    institution: Organisation | None,
    subject: str | None,
    invigilated: bool,
    by: Actor,
    slot: Slot | None = None,
) -> Slot:
    """Create a slot of an assessment organisation in a cycle, or change `slot`, one of that organisation and
    cycle (locked for update). Locks the hall.

    `hall`: None if it is sat anywhere; `institution`: None if it isn't limited to one; `subject`: None for
    all papers; `invigilated`: doctors need a start code. If a changed slot gets another time or hall,
    everyone with a place in it is notified; if it ends later, the caller then calls
    `window_extension.enqueue_for_slot`; open sittings never end earlier. Writes a journal entry. Raises
    InvalidInput naming the field.
    """
    if not organisation.assesses:
        raise InvalidInput(
            f"{organisation.name}不是考核机构，不能设场次。",
            "organisation",
        )
    values = _SlotValues(opens_at, closes_at, hall, institution, subject, invigilated)
    _require_valid_times(values)
    _require_belongs_together(values, cycle, organisation, slot)
    _require_within_papers(values, cycle)
    if hall is not None:
        _require_hall_free(hall, opens_at, closes_at, slot)
    if slot is None:
        slot = _add_slot(cycle, organisation)
        _write_slot(slot, values, by=by)
    else:
        _change_slot(slot, values, by=by)
    return slot


def _add_slot(cycle: Cycle, organisation: Organisation) -> Slot:
    """Add a row for a slot; its other columns are set by the caller."""
    slot = Slot(
        id=new_id(),
        cycle_id=cycle.id,
        organisation_id=organisation.id,
    )
    db.session.add(slot)
    return slot


def _change_slot(slot: Slot, values: _SlotValues, *, by: Actor) -> None:
    """Change a slot; if it gets another time or hall, notify everyone with a place in it. Raises
    InvalidInput."""
    _require_places_kept(slot, values)
    time_and_hall_before = time_and_hall(slot)
    _write_slot(slot, values, by=by)
    if time_and_hall(slot) != time_and_hall_before:
        for place, record in placed_records(slot):
            notify(
                record,
                SLOT_CHANGED,
                **slot_notice_fields(slot, values.hall, place.seat),
            )


def _require_valid_times(values: _SlotValues) -> None:
    """Raise InvalidInput unless the slot ends after it begins and is not longer than MAX_SLOT_DURATION."""
    if values.closes_at <= values.opens_at or values.closes_at == clock.end_of_minute(values.opens_at):
        raise InvalidInput("场次结束时间应晚于开始时间。", "closes_at")
    if clock.minute_of(values.closes_at) - values.opens_at > MAX_SLOT_DURATION:
        raise InvalidInput(
            f"一个场次不能超过{MAX_SLOT_DURATION.days}天，请核对日期。",
            "closes_at",
        )


def _require_belongs_together(
    values: _SlotValues, cycle: Cycle, organisation: Organisation, slot: Slot | None
) -> None:
    """Raise InvalidInput, naming the field, for an unknown subject, a hall or institution that doesn't fit
    the organisation, or a slot, new or changed, with neither hall nor institution nor invigilator. The hall
    and the institution that `slot` has already may stay."""
    if values.subject is not None and values.subject not in SUBJECTS:
        raise InvalidInput("请从列表中选择科目。", "subject")
    if values.hall is not None:
        _require_usable_hall(values.hall, organisation, slot)
    if values.institution is not None and (slot is None or slot.institution_id != values.institution.id):
        _require_assessed_by(values.institution, cycle, organisation)
    if values.is_unbound():
        raise InvalidInput("请选择考场或机构；都不限定的，须设监考人员。", "hall")


def assessed_condition(cycle_id: UUID, assessor_id: UUID) -> ColumnElement[bool]:
    """The SQL condition that an institution's doctors are assessed by the organisation `assessor_id`: by now,
    or in the cycle by records that stayed with it when the institution was assigned to another one."""
    has_record = exists().where(
        Assessment.tenant_id == Organisation.tenant_id,
        Assessment.institution_id == Organisation.id,
        Assessment.cycle_id == cycle_id,
        Assessment.assessor_id == assessor_id,
    )
    return or_(Organisation.assessment_organisation_id == assessor_id, has_record)


def _require_assessed_by(institution: Organisation, cycle: Cycle, organisation: Organisation) -> None:
    """Raise InvalidInput unless the organisation assesses doctors of the institution in the cycle."""
    query = select(Organisation.id).where(
        Organisation.id == institution.id,
        assessed_condition(cycle.id, organisation.id),
    )
    if db.session.scalar(query) is None:
        raise InvalidInput(
            f"{institution.name}不由{organisation.name}考核，请重新选择机构。",
            "institution",
        )


def _require_usable_hall(hall: Hall, organisation: Organisation, slot: Slot | None) -> None:
    """Raise InvalidInput for a hall of another organisation, and for a closed one in which `slot` is not
    already."""
    if hall.organisation_id != organisation.id:
        raise InvalidInput("请选择本考核机构的考场。", "hall")
    if hall.closed_at and (slot is None or slot.hall_id != hall.id):
        raise InvalidInput("该考场已停用，请选择其他考场。", "hall")


def _require_within_papers(values: _SlotValues, cycle: Cycle) -> None:
    """Raise InvalidInput, naming the field that is outside (the beginning if both are), unless the slot lies
    between the first beginning and the last end of the windows of its papers. Only the end is cut to its
    minute: it is the last moment of the minute typed (see `web.forms.EndTimeField`), a beginning is its
    first."""
    first_opening, last_end = _papers_window(cycle, values.subject)
    if first_opening is None:
        raise InvalidInput(
            "本周期还没有安排试卷，请先安排试卷再编排场次。",
            "opens_at",
        )
    if values.opens_at < first_opening or clock.minute_of(values.closes_at) > last_end:
        window = f"{format_minute(first_opening)}至{format_minute(last_end)}"
        field = "closes_at" if first_opening <= values.opens_at <= last_end else "opens_at"
        raise InvalidInput(f"场次应在试卷开放时间（{window}）以内。", field)


def _papers_window(cycle: Cycle, subject: str | None) -> tuple[Any, Any]:
    """When the first window of the cycle's papers begins and the last one ends, for one subject or all; None,
    None without papers."""
    query = select(func.min(Paper.opens_at), func.max(Paper.closes_at)).where(Paper.cycle_id == cycle.id)
    if subject:
        query = query.where(Paper.subject == subject)
    first_opening, last_end = db.session.execute(query).one()
    return first_opening, last_end


def _require_hall_free(
    hall: Hall,
    opens_at: datetime,
    closes_at: datetime,
    slot: Slot | None,
) -> None:
    """Raise InvalidInput if another slot than `slot` is in the hall at that time. The hall's row is locked,
    so that of two requests at once the second sees the first one's slot."""
    db.session.scalars(select(Hall.id).where(Hall.id == hall.id).with_for_update()).one()
    # compared by the minutes typed: a slot until 11:00 and another from 11:00 don't overlap
    end_column = func.date_trunc("minute", Slot.closes_at)
    query = select(Slot).where(
        Slot.hall_id == hall.id,
        Slot.opens_at < clock.minute_of(closes_at),
        end_column > opens_at,
    )
    if slot is not None:
        query = query.where(Slot.id != slot.id)
    overlapping = db.session.scalars(query).first()
    if overlapping is not None:
        times = f"{format_minute(overlapping.opens_at)}至{format_minute(overlapping.closes_at)}"
        raise InvalidInput(f"该考场{times}已有场次，时间重叠。", "opens_at")


def _require_places_kept(slot: Slot, values: _SlotValues) -> None:
    """Raise InvalidInput if the new hall has too few seats for the places given, if somebody has a place and
    the subject would change, or if the slot would be limited to an institution that isn't everybody's."""
    last_seat = _last_seat(slot)
    if values.hall is not None and last_seat > values.hall.seats:
        raise InvalidInput(
            f"已编排到{last_seat}号座位，该考场只有{values.hall.seats}座。请先移出医师或选择更大的考场。",
            "hall",
        )
    if last_seat and values.subject != slot.subject:
        raise InvalidInput(
            "已有医师编入这个场次，不能更改科目。请先移出医师。",
            "subject",
        )
    institution = values.institution
    if institution and institution.id != slot.institution_id and _has_others_placed(slot, institution):
        raise InvalidInput(
            f"已有其他机构的医师编入这个场次，不能改为只限{institution.name}。请先移出这些医师。",
            "institution",
        )


def _has_others_placed(slot: Slot, institution: Organisation) -> bool:
    """Whether somebody of another institution has a place in a slot."""
    record_of_place = and_(
        Assessment.tenant_id == SlotPlace.tenant_id,
        Assessment.id == SlotPlace.assessment_id,
    )
    query = (
        select(SlotPlace.slot_id)
        .join(Assessment, record_of_place)
        .where(SlotPlace.slot_id == slot.id, Assessment.institution_id != institution.id)
    )
    return db.session.scalar(query.limit(1)) is not None


def time_and_hall(slot: Slot) -> tuple[datetime, datetime, UUID | None]:
    """When and where a slot is: if that changes, everyone with a place in it is notified (`save_slot`)."""
    return slot.opens_at, slot.closes_at, slot.hall_id


def _write_slot(slot: Slot, values: _SlotValues, *, by: Actor) -> None:
    """Write the values into the slot's row, flush, and journal all of them."""
    slot.opens_at = values.opens_at
    slot.closes_at = values.closes_at
    slot.subject = values.subject
    slot.invigilated = values.invigilated
    slot.hall_id = values.hall_id()
    slot.institution_id = values.institution.id if values.institution else None
    db.session.flush()
    journal.write_entry(
        "slot",
        slot.id,
        "kept",
        by=by,
        opens=values.opens_at.isoformat(),
        closes=values.closes_at.isoformat(),
        subject=values.subject,
        hall=str(slot.hall_id) if slot.hall_id else None,
        institution=str(slot.institution_id) if slot.institution_id else None,
        invigilated=values.invigilated,
    )


def remove_slot(slot: Slot, *, by: Actor) -> None:
    """Delete a slot (locked for update), with a journal entry; nobody is notified. Raises InvalidState if
    somebody has a place in it."""
    if _last_seat(slot):
        raise InvalidState("还有医师编在这个场次，请先移出。")
    journal.write_entry("slot", slot.id, "removed", by=by)
    db.session.delete(slot)
    db.session.flush()


def get_slot(slot_id: UUID, grant: Grant, *, for_update: bool = False) -> Slot:
    """A slot within `grant`, locked if `for_update`. Raises NotFound."""
    query = select(Slot).where(
        Slot.id == slot_id,
        scope_condition(grant, assessor=Slot.organisation_id),
    )
    slot = db.session.scalar(query.with_for_update() if for_update else query)
    if slot is None:
        raise NotFound
    return slot


def slots_page(cycle: Cycle | None, grant: Grant, cursor: str | None) -> Page[Slot]:
    """A page of the slots of a cycle within `grant`, the earliest first; an empty one without a cycle."""
    query = select(Slot).where(
        Slot.cycle_id == (cycle.id if cycle else None),
        scope_condition(grant, assessor=Slot.organisation_id),
    )
    return fetch_page(query, [Slot.opens_at, Slot.id], cursor)


def taken_seat_counts(slots: Iterable[Slot]) -> dict[UUID, int]:
    """Slot id → how many of its seats are taken, for at most 5,000 slots; those without any are left out."""
    query = (
        select(SlotPlace.slot_id, func.count())
        .where(in_array(SlotPlace.slot_id, (slot.id for slot in slots)))
        .group_by(SlotPlace.slot_id)
    )
    return dict(db.session.execute(query).all())


def taken_seat_count(slot: Slot) -> int:
    """How many seats of a slot are taken."""
    return db.session.scalar(select(func.count()).where(SlotPlace.slot_id == slot.id)) or 0


def _last_seat(slot: Slot) -> int:
    """The highest number of a seat that is taken; 0 if none is."""
    return db.session.scalar(select(func.max(SlotPlace.seat)).where(SlotPlace.slot_id == slot.id)) or 0


def placed_records(slot: Slot) -> list[tuple[SlotPlace, Assessment]]:
    """The places of a slot with their records, by seat number."""
    record_of_place = and_(
        Assessment.tenant_id == SlotPlace.tenant_id,
        Assessment.id == SlotPlace.assessment_id,
    )
    query = (
        select(SlotPlace, Assessment)
        .join(Assessment, record_of_place)
        .where(SlotPlace.slot_id == slot.id)
        .order_by(SlotPlace.seat)
    )
    return [(place, record) for place, record in db.session.execute(query)]


def slot_notice_fields(slot: Slot, hall: Hall | None, seat: int) -> dict[str, Any]:
    """The fields that notices about a place in a slot need, as texts."""
    return {
        "subject": f"“{SUBJECTS[slot.subject]}”" if slot.subject else "测评",
        "opens": format_minute(slot.opens_at),
        "closes": format_minute(slot.closes_at),
        "place": SLOT_SEAT.format(hall=hall.name, address=hall.address, seat=seat) if hall else "",
    }
