"""The console's list of seats (座次表) of a slot or a hall: who sits where, and when."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, false, select

from dingkao import clock
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import Assessment
from dingkao.assessments.record_list import record_cells
from dingkao.database.listing.definitions import (
    CellRows,
    ListColumn,
    ListDefinition,
    ListFilter,
    ListQuery,
    ListRow,
    ListSort,
    ListViewer,
    register,
)
from dingkao.database.listing.list_states import ListState
from dingkao.doctors.doctor_list import (
    doctor_columns,
    doctor_filter,
    doctor_search,
    doctor_sorts,
    level_filters,
)
from dingkao.doctors.models import Doctor
from dingkao.exams.halls import slot_of_place_condition
from dingkao.exams.models.hall_models import Slot, SlotPlace
from dingkao.exams.monitoring_locations import find_location, location_name
from dingkao.exams.tickets import ticket_numbers
from dingkao.people.exported_lists import register_listing
from dingkao.people.organisation_filters import institution_filter
from dingkao.people.scopes import scope_condition

PLACE_FILTER = "place"
"""The filter that names a slot or a hall (`find_location`), without which the list is empty."""


def _query(viewer: ListViewer, state: ListState) -> ListQuery:
    """The query of the seats taken in slots of the organisations within the viewer's grant: record, doctor,
    place, and when the slot begins; of none if no slot or hall is named."""
    is_record = and_(
        Assessment.tenant_id == SlotPlace.tenant_id,
        Assessment.id == SlotPlace.assessment_id,
    )
    query = (
        select(Assessment, Doctor, SlotPlace, Slot.opens_at)
        .join(SlotPlace, is_record)
        .join(Slot, slot_of_place_condition())
        .join(Doctor, doctor_join())
        .where(scope_condition(viewer.grant, assessor=Slot.organisation_id))
    )
    return query if PLACE_FILTER in state.filters else query.where(false())


def _place_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a Slot is the one, or in the hall, that the code `value` names; false for a text
    that is no code."""
    location = find_location(value)
    return location.slots if location else false()


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """The cells of `rows` of `_query`, in their order: those that all lists of records have, and seat, time
    and ticket number ("" before it is issued); the signature's is empty, to be signed on paper."""
    tickets = ticket_numbers([record.id for record, *_ in rows])
    return [
        cells
        | {
            "seat": str(place.seat),
            "time": clock.minute_text(opens_at),
            "ticket": tickets.get(record.id, ""),
            "signature": "",
        }
        for (record, _, place, opens_at, *_), cells in zip(rows, record_cells(rows), strict=True)
    ]


SEAT_LIST = register(
    ListDefinition(
        name="seats",
        title="座次表",
        action="halls.manage",
        query=_query,
        id_column=SlotPlace.id,
        columns=(
            ListColumn("seat", "座位号", is_fixed=True, is_numeric=True, sort="seat"),
            ListColumn("time", "场次", is_numeric=True, sort="time"),
            *doctor_columns("sex", "department", "title"),
            ListColumn("ticket", "准考证号", is_numeric=True),
            ListColumn("procedure", "程序", is_default=False),
            ListColumn("state", "状态"),
            ListColumn("signature", "签名", is_default=False),
        ),
        cells=_cells,
        sorts=(
            ListSort("seat", "座位号", (SlotPlace.seat, SlotPlace.id), is_indexed=True),
            ListSort("time", "场次和座位号", (Slot.opens_at, SlotPlace.seat, SlotPlace.id)),
            *doctor_sorts(SlotPlace.id),
        ),
        filters=(
            ListFilter(
                PLACE_FILTER,
                "考场或场次",
                _place_condition,
                accepts=lambda value: find_location(value) is not None,
                describe=location_name,
                is_indexed=True,
                is_offered=False,
            ),
            institution_filter(Assessment.institution_id, lambda _viewer: True),
            doctor_filter(Assessment.doctor_id),
            *level_filters(),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码、机构、科室",
    )
)

register_listing(SEAT_LIST, "halls.export", order_columns=(Slot.id, SlotPlace.seat, SlotPlace.id))
