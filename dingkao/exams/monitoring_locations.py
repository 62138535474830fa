"""The halls and slots to which monitoring can be limited, and which records and sittings belong to one."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    cast,
    exists,
    func,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import aliased

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_looked_up
from dingkao.database.base import db
from dingkao.exams.models.hall_models import Hall, Slot, SlotPlace
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.people.name_lookups import organisation_names
from dingkao.people.scopes import Grant, scope_condition
from dingkao.question_banks.models import SUBJECTS

MAX_HALLS, MAX_LOCATIONS = 100, 200
_LOCATION_COLUMNS = {"hall": Slot.hall_id, "slot": Slot.id}


class Location(NamedTuple):
    """A hall or a slot: its code in URLs, its label, and the condition that a Slot belongs to it."""

    code: str
    label: str
    slots: ColumnElement[bool]


def list_locations(cycle: Cycle, scope: Grant, code: str, words: str = "") -> tuple[list[Location], bool]:
    """Return the halls and slots of a cycle within `scope`, and whether there are more than are listed. At
    most MAX_HALLS halls and MAX_LOCATIONS slots are listed: the one that `code` names first, then halls by
    name and slots that are not over yet, then the others. `words`: only halls whose name begins with them,
    and their slots, besides the one that `code` names; "" for all."""
    condition = and_(
        Slot.cycle_id == cycle.id,
        scope_condition(scope, assessor=Slot.organisation_id),
    )
    halls = _next_halls(condition, code, words)
    slots = _next_slots(condition, code, words)
    listed_slots = slots[:MAX_LOCATIONS]
    institution_names = organisation_names(slot.institution_id for slot, _ in listed_slots)
    slot_locations = [_slot_location(slot, hall, institution_names) for slot, hall in listed_slots]
    has_more = len(slots) > MAX_LOCATIONS or len(halls) > MAX_HALLS
    return [*map(_hall_location, halls[:MAX_HALLS]), *slot_locations], has_more


def find_location(code: str) -> Location | None:
    """The hall or slot with a code, whether there is one or not, without its label; None for a text that is
    no code."""
    kind, _, id_text = code.partition("-")
    column = _LOCATION_COLUMNS.get(kind)
    try:
        location_id = UUID(id_text)
    except ValueError:
        return None
    if column is None or code != f"{kind}-{location_id}":
        return None
    return Location(code, "", column == location_id)


def location_name(code: str) -> str:
    """The name of the hall, or time and place of the slot, with a code, whosever it is, without saying which
    of them it is; 已删除 if there is none, if a hall has no slots, or for a text that is no code."""
    location = find_location(code)
    query = select(Slot, Hall).outerjoin(Hall, _hall_of_slot_condition())
    match = db.session.execute(query.where(location.slots).limit(1)).first() if location else None
    if match is None:
        return "已删除"
    slot, hall = match
    if hall is not None and code.startswith("hall-"):
        return hall.name
    institution_names = organisation_names([slot.institution_id] if slot.institution_id else [])
    return _slot_location(slot, hall, institution_names).label.partition("：")[2]


def _hall_location(hall: Hall) -> Location:
    """A hall as a location: all its slots."""
    return Location(
        f"hall-{hall.id}",
        f"考场：{hall.name}",
        Slot.hall_id == hall.id,
    )


def _slot_location(
    slot: Slot,
    hall: Hall | None,
    institution_names: Mapping[UUID, str],
) -> Location:
    """A slot as a location, labelled with when it begins, its hall, else its institution, else 不设考场, and
    its subject. `institution_names`: by id, of the slots' institutions."""
    institution_name = institution_names.get(slot.institution_id or slot.id, "不设考场")
    label = _slot_label(slot, hall.name if hall else institution_name)
    return Location(f"slot-{slot.id}", label, Slot.id == slot.id)


def _next_halls(condition: ColumnElement[bool], code: str, words: str) -> Sequence[Hall]:
    """The first halls that have a slot fulfilling `condition`, at most MAX_HALLS + 1 (one more shows that
    there are more): the one that `code` names, then those whose name begins with `words`, by name."""
    is_named = func.concat("hall-", cast(Hall.id, Text)) == code
    has_slot = exists().where(_hall_of_slot_condition(), condition).correlate(Hall)
    query = select(Hall).where(has_slot, or_(is_named, _begins_with(words)))
    return db.session.scalars(query.order_by(~is_named, Hall.name, Hall.id).limit(MAX_HALLS + 1)).all()


def _next_slots(
    condition: ColumnElement[bool],
    code: str,
    words: str,
) -> list[tuple[Slot, Hall | None]]:
    """The first slots that fulfil `condition`, with their halls (None without one), at most MAX_LOCATIONS + 1
    (one more shows that there are more): the one that `code` names, then those of halls whose name begins
    with `words`: what is not over yet, then the others, each by time."""
    is_named = func.concat("slot-", cast(Slot.id, Text)) == code
    is_over = Slot.closes_at < clock.now()
    query = (
        select(Slot, Hall)
        .outerjoin(Hall, _hall_of_slot_condition())
        .where(condition, or_(is_named, _begins_with(words)))
        .order_by(~is_named, is_over, Slot.opens_at, Slot.id)
        .limit(MAX_LOCATIONS + 1)
    )
    return [(slot, hall) for slot, hall in db.session.execute(query)]


def _begins_with(words: str) -> ColumnElement[bool]:
    """The condition that a hall's name begins with `words`; true for "", also without a hall."""
    return Hall.name.startswith(words, autoescape=True) if words else true()


def _hall_of_slot_condition() -> ColumnElement[bool]:
    """The condition to join Slot with its Hall."""
    return and_(Hall.tenant_id == Slot.tenant_id, Hall.id == Slot.hall_id)


def _slot_label(slot: Slot, place: str) -> str:
    """A slot as text: when it begins, `place`, and its subject if it has one."""
    opens = f"{clock.to_beijing(slot.opens_at):%m月%d日 %H:%M}"
    subject = f" {SUBJECTS[slot.subject]}" if slot.subject else ""
    return f"场次：{opens} {place}{subject}"


def sitting_at_condition(
    location: Location | None,
) -> ColumnElement[bool]:
    """The condition that a Sitting, joined with its Assessment, belongs to `location`: the record has a place
    in one of its slots, or is of the institution of one and has no place anywhere, and that slot is for the
    sitting's subject or for any. Always true for None."""
    if location is None:
        return true()
    subject_of_sitting = (
        select(Paper.subject)
        .where(
            Paper.tenant_id == Sitting.tenant_id,
            Paper.id == Sitting.paper_id,
        )
        .correlate(Sitting)
        .scalar_subquery()
    )
    return _seated_condition(
        location,
        or_(Slot.subject.is_(None), Slot.subject == subject_of_sitting),
    )


def yet_to_start_condition(
    location: Location | None,
) -> ColumnElement[bool]:
    """The condition that an Assessment has not begun: it is ready, or, if a `location` is given and the
    record belongs to a slot there, it is testing and has no valid sitting of the subject that this slot is
    for."""
    if location is None:
        return Assessment.state == "ready"
    paper_of_sitting = and_(
        Paper.tenant_id == Sitting.tenant_id,
        Paper.id == Sitting.paper_id,
    )
    sittings_of_subject = (
        select(Sitting.id)
        .join(Paper, paper_of_sitting)
        .where(
            Sitting.tenant_id == Assessment.tenant_id,
            Sitting.assessment_id == Assessment.id,
            Sitting.voided_at.is_(None),
            Paper.subject == Slot.subject,
        )
    )
    has_begun_subject = sittings_of_subject.correlate(Assessment, Slot).exists()
    has_subject_left = and_(
        Assessment.state == "testing",
        Slot.subject.is_not(None),
        ~has_begun_subject,
    )
    return _seated_condition(location, or_(Assessment.state == "ready", has_subject_left))


def _seated_condition(location: Location, *slot_conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition that an Assessment belongs to one of the location's slots that fulfil `slot_conditions`:
    it has a place in that slot, or the slot is its institution's and it has no place in any slot."""
    place_of_record = and_(
        SlotPlace.tenant_id == Assessment.tenant_id,
        SlotPlace.assessment_id == Assessment.id,
    )
    has_place_in_slot = (
        exists().where(place_of_record, SlotPlace.slot_id == Slot.id).correlate(Assessment, Slot)
    )
    has_no_place = ~exists().where(place_of_record).correlate(Assessment)
    is_of_institution = and_(Slot.institution_id == Assessment.institution_id, has_no_place)
    is_seated = exists().where(
        Slot.tenant_id == Assessment.tenant_id,
        Slot.cycle_id == Assessment.cycle_id,
        location.slots,
        or_(has_place_in_slot, is_of_institution),
        *slot_conditions,
    )
    return and_(_may_be_seated_condition(location), is_seated)


def _may_be_seated_condition(location: Location) -> ColumnElement[bool]:
    """The condition that an Assessment has a place in one of the location's slots, or is of the institution
    of one: wider than `_seated_condition`, which adds it because an index answers it first."""
    placed = (
        select(SlotPlace.assessment_id)
        .join(Slot, and_(Slot.tenant_id == SlotPlace.tenant_id, Slot.id == SlotPlace.slot_id))
        .where(location.slots)
    )
    record = aliased(Assessment)
    of_slot = and_(
        record.tenant_id == Slot.tenant_id,
        record.institution_id == Slot.institution_id,
        record.cycle_id == Slot.cycle_id,
    )
    of_institution = select(record.id).join(Slot, of_slot).where(location.slots)
    return in_looked_up(Assessment.id, union_all(placed, of_institution))
