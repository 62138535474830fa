"""Halls (考场) of the assessment organisations."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, NotFound
from dingkao.exams.models.hall_models import Hall, Slot, SlotPlace
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from dingkao.people.organisation_succession import Succession, add_column_part, add_succession_part
from dingkao.people.scopes import Grant, scope_condition

MAX_NAME_LENGTH = 60
MAX_ADDRESS_LENGTH = 120
MAX_SEATS = 5000


def save_hall(
    organisation: Organisation,
    *,
    name: str,
    address: str,
    seats: int,
    by: Actor,
    hall: Hall | None = None,
) -> Hall:
    """Create a hall of an assessment organisation, or change `hall` (locked), which is one of that
    organisation's; writes a journal entry. Runs of spaces in name and address become one. Raises InvalidInput
    naming the field: for a value out of its limits, a name that another hall of the organisation has, fewer
    seats than the highest number taken in a slot, an organisation that doesn't assess. Doctors with a seat
    are not notified."""
    name, address = " ".join(name.split()), " ".join(address.split())
    _require_valid_hall(organisation, name, address, seats)
    _require_name_free(organisation, name, hall)
    if hall is None:
        hall = Hall(id=new_id(), organisation_id=organisation.id)
        db.session.add(hall)
    else:
        _require_seats_kept(hall, seats)
    hall.name, hall.address, hall.seats = name, address, seats
    db.session.flush()
    journal.write_entry("hall", hall.id, "kept", by=by, seats=seats)
    return hall


def _require_valid_hall(organisation: Organisation, name: str, address: str, seats: int) -> None:
    """Raise InvalidInput naming the field unless the organisation assesses and the values are in their
    limits."""
    if not organisation.assesses:
        raise InvalidInput(
            f"{organisation.name}不是考核机构，不能设考场。",
            "organisation",
        )
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise InvalidInput(f"考场名称应为1至{MAX_NAME_LENGTH}字。", "name")
    if not 1 <= len(address) <= MAX_ADDRESS_LENGTH:
        raise InvalidInput(f"考场地址应为1至{MAX_ADDRESS_LENGTH}字。", "address")
    if not 1 <= seats <= MAX_SEATS:
        raise InvalidInput(f"座位数应为1至{MAX_SEATS}。", "seats")


def _require_name_free(organisation: Organisation, name: str, hall: Hall | None) -> None:
    """Raise InvalidInput if the organisation has another hall than `hall` with that name, closed or not."""
    query = select(Hall).where(Hall.organisation_id == organisation.id, Hall.name == name)
    namesake = db.session.scalar(query)
    if namesake is not None and (hall is None or namesake.id != hall.id):
        raise InvalidInput("已有同名的考场，请换一个名称。", "name")


def _require_seats_kept(hall: Hall, seats: int) -> None:
    """Raise InvalidInput if a seat with a number above `seats` is taken in a slot of the hall."""
    query = (
        select(func.max(SlotPlace.seat)).join(Slot, slot_of_place_condition()).where(Slot.hall_id == hall.id)
    )
    last_seat = db.session.scalar(query) or 0
    if seats < last_seat:
        raise InvalidInput(
            f"已有场次编排到{last_seat}号座位，座位数不能少于{last_seat}。",
            "seats",
        )


def toggle_hall_closed(hall: Hall, *, by: Actor) -> None:
    """Close an open hall (locked for update) for new slots, or reopen a closed one; its slots stay. Writes a
    journal entry."""
    hall.closed_at = None if hall.closed_at else clock.now()
    journal.write_entry(
        "hall",
        hall.id,
        "closed" if hall.closed_at else "reopened",
        by=by,
    )


def get_hall(hall_id: UUID, grant: Grant, *, for_update: bool = False) -> Hall:
    """A hall within `grant`, closed ones too, locked if `for_update`. Raises NotFound."""
    query = _halls_query(grant).where(Hall.id == hall_id)
    hall = db.session.scalar(query.with_for_update() if for_update else query)
    if hall is None:
        raise NotFound
    return hall


def find_hall_in_use(
    organisation: Organisation,
    name: str,
    grant: Grant,
    *,
    for_update: bool = False,
) -> Hall | None:
    """The organisation's hall of that name, within `grant` and not closed, locked if `for_update`, so that
    nobody closes it meanwhile; None if there is none."""
    query = _halls_query(grant).where(
        Hall.organisation_id == organisation.id,
        Hall.name == name,
        Hall.closed_at.is_(None),
    )
    if for_update:
        query = query.with_for_update().execution_options(populate_existing=True)
    return db.session.scalar(query.limit(1))


def list_halls(grant: Grant, name_prefix: str, limit: int) -> list[Hall]:
    """The first `limit` halls within `grant` whose names begin with `name_prefix`, by name; closed ones
    too."""
    query = _halls_query(grant)
    if name_prefix:
        query = query.where(Hall.name.startswith(name_prefix, autoescape=True))
    return list(db.session.scalars(query.order_by(Hall.name, Hall.id).limit(limit)))


def hall_choices(
    grant: Grant,
    limit: int,
    *,
    chosen_id: UUID | None = None,
    organisation: Organisation | None = None,
) -> list[Hall]:
    """The first `limit` halls to choose from, by name: within `grant` and, if given, of `organisation`.
    Closed ones are left out, except the hall `chosen_id`."""
    query = _halls_query(grant).where(or_(Hall.closed_at.is_(None), Hall.id == chosen_id))
    if organisation is not None:
        query = query.where(Hall.organisation_id == organisation.id)
    return list(db.session.scalars(query.order_by(Hall.name, Hall.id).limit(limit)))


def hall_name(hall_id: UUID) -> str | None:
    """The name of a hall, whosever it is; None if there is none."""
    return db.session.scalar(select(Hall.name).where(Hall.id == hall_id))


def halls_by_id(ids: Iterable[UUID | None]) -> dict[UUID, Hall]:
    """Hall id → hall, whosever it is, for at most 5,000 ids; None and unknown ones are left out."""
    known_ids = {hall_id for hall_id in ids if hall_id is not None}
    return {hall.id: hall for hall in db.session.scalars(select(Hall).where(in_array(Hall.id, known_ids)))}


def hall_of(slot: Slot) -> Hall | None:
    """The hall of a slot; None if the slot has none."""
    return db.session.get(Hall, (slot.tenant_id, slot.hall_id)) if slot.hall_id else None


def slot_of_place_condition() -> ColumnElement[bool]:
    """The condition to join Slot with SlotPlace."""
    return and_(
        Slot.tenant_id == SlotPlace.tenant_id,
        Slot.id == SlotPlace.slot_id,
    )


def _halls_query(grant: Grant) -> Select[Hall]:
    """The query for the halls within `grant`, closed ones too."""
    return select(Hall).where(scope_condition(grant, assessor=Hall.organisation_id))


def _move_halls(halls: Sequence[Hall], succession: Succession) -> None:
    """Give `halls` (locked) to the successor, closed ones too; one whose name is taken there is named after
    its former organisation."""
    successor_id = succession.successor.id
    taken = set(db.session.scalars(select(Hall.name).where(Hall.organisation_id == successor_id)))
    for hall in halls:
        if hall.name in taken:
            hall.name = _free_name(hall.name, succession.predecessor.name, taken)
        taken.add(hall.name)
        hall.organisation_id = successor_id


def _free_name(name: str, organisation_name: str, taken: set[str]) -> str:
    """A name that isn't among `taken`: the hall's, with that of its former organisation and if need be a
    number; both names are cut where there is no room."""
    number = 1
    while True:
        digits = str(number) if number > 1 else ""
        ending = f"（{organisation_name[: MAX_NAME_LENGTH - 3 - len(digits)]}{digits}）"
        candidate = f"{name[: MAX_NAME_LENGTH - len(ending)]}{ending}"
        if candidate not in taken:
            return candidate
        number += 1


add_succession_part(
    "考场",
    "个",
    lambda predecessor_id: select(Hall).where(Hall.organisation_id == predecessor_id),
    _move_halls,
    keeps_open=False,
)
add_column_part("场次", "场", Slot.organisation_id, keeps_open=False)
add_column_part("按机构安排的场次", "场", Slot.institution_id, keeps_open=False)
