"""The lists of monitoring: the sittings of the cycle, and the records whose sitting has not begun. Both have
the filter «情况» with all of SITTING_FILTERS, so that one page shows either."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import ceil
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, not_, or_, select, true
from sqlalchemy.orm import aliased

from dingkao import clock
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import current_cycle
from dingkao.database.arrays import in_array, in_looked_up, split_into_batches
from dingkao.database.base import db
from dingkao.database.listing.definitions import (
    CellRows,
    ListColumn,
    ListDefinition,
    ListFilter,
    ListQuery,
    ListRow,
    ListSort,
    ListViewer,
    Totals,
    register,
)
from dingkao.database.listing.list_pages import list_query
from dingkao.database.listing.list_states import ListState
from dingkao.database.pagination import capped_count
from dingkao.doctors.doctor_list import doctor_cells, doctor_columns, doctor_filter, doctor_sorts
from dingkao.doctors.models import Doctor
from dingkao.doctors.name_search import search_condition
from dingkao.exams.integrity_events import connected_among
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.monitoring import (
    SITTING_FILTERS,
    MonitoringFilter,
    connected_everywhere,
    open_condition,
    open_sitting_ids,
    record_of_sitting_condition,
    state_conditions,
)
from dingkao.exams.monitoring_locations import (
    find_location,
    location_name,
    sitting_at_condition,
    yet_to_start_condition,
)
from dingkao.exams.sitting_descriptions import describe_sittings
from dingkao.exams.tickets import ticket_numbers
from dingkao.people.exported_lists import register_listing
from dingkao.people.name_lookups import organisation_names
from dingkao.people.organisation_filters import institution_filter
from dingkao.people.scopes import WHOLE_PROVINCE

VIEW_FILTER, PLACE_FILTER, WAITING = "view", "place", "waiting"
OPEN_VIEWS = ("answering", "lost")
_HAND_IN_LABELS = {"system": "（到时，系统）", "page": "（到时，页面）", "offline": "（线下成绩）"}


def list_of_view(view: str) -> ListDefinition:
    """The list that shows those in a state (a key of SITTING_FILTERS)."""
    return WAITING_LIST if view == WAITING else SITTING_LIST


def first_view(state: ListState, viewer: ListViewer) -> str:
    """The first key of SITTING_FILTERS under which anybody is whom the other filters and the words of `state`
    let through; the first of all if nobody is. The filter by view of `state` is ignored."""
    return next(
        (code for code in SITTING_FILTERS if _is_anybody_in(state, viewer, code)),
        next(iter(SITTING_FILTERS)),
    )


def _is_anybody_in(state: ListState, viewer: ListViewer, view: str) -> bool:
    """Whether `state` would list anybody if its filter by view were `view`."""
    query, id_column = _view_query(state, viewer, view)
    return db.session.scalar(query.with_only_columns(id_column).limit(1)) is not None


def _view_query(state: ListState, viewer: ListViewer, view: str) -> tuple[ListQuery, Any]:
    """The query of what `state` would list if its filter by view were `view`, in the order of an index, by
    which `capped_count` stops early; and the column of the ids."""
    definition = list_of_view(view)
    query = list_query(replace(state.with_filter(VIEW_FILTER, view), definition=definition), viewer)
    is_of_one_state = view == WAITING and PLACE_FILTER not in state.filters
    order = (Assessment.state, Assessment.id) if is_of_one_state else (definition.id_column,)
    return query.order_by(*order), definition.id_column


def _totals(state: ListState, viewer: ListViewer) -> Totals:
    """Filter by view → each key of SITTING_FILTERS → how many `state` would list under it, counted up to
    MAX_COUNTED; of either list, because the chips lead to both."""
    return {VIEW_FILTER: {code: capped_count(*_view_query(state, viewer, code)) for code in SITTING_FILTERS}}


def _monitoring_filter(viewer: ListViewer, state: ListState) -> MonitoringFilter:
    """What a view of the lists is limited to by the viewer's scope and the place. Sends queries, once for a
    viewer and a place."""
    code = state.filters.get(PLACE_FILTER, "")
    return viewer.once(
        ("monitoring", code), lambda: MonitoringFilter(current_cycle(), viewer.grant, find_location(code))
    )


def _sittings_query(viewer: ListViewer, state: ListState) -> ListQuery:
    """The query of the sittings of the current cycle within the viewer's grant and at the place of `state`,
    each with its record and doctor, who always exists: by the outer join PostgreSQL leaves the doctor out
    where nothing is asked of it. For the views answering and lost only those in them."""
    monitoring_filter, view = _monitoring_filter(viewer, state), state.filters.get(VIEW_FILTER, "")
    return (
        select(Sitting, Assessment, Doctor)
        .join(Assessment, record_of_sitting_condition())
        .outerjoin(Doctor, doctor_join())
        .where(
            monitoring_filter.sittings_condition,
            _open_view_condition(view, monitoring_filter, viewer) if view in OPEN_VIEWS else true(),
        )
    )


def _open_view_condition(
    view: str, monitoring_filter: MonitoringFilter, viewer: ListViewer
) -> ColumnElement[bool]:
    """The condition that a Sitting is open, and its page has sent a heartbeat recently (view "answering") or
    hasn't ("lost"). Database and cache are asked once for a viewer and a place."""
    place = monitoring_filter.location.code if monitoring_filter.location else ""
    return viewer.once(("open", place), lambda: _open_view_conditions(monitoring_filter))[view]


def _open_view_conditions(monitoring_filter: MonitoringFilter) -> dict[str, ColumnElement[bool]]:
    """Each of OPEN_VIEWS → the condition that a Sitting is in it at the moment: by the ids of those connected
    alone, where these are few; else of the open ones up to MAX_OPEN_SITTINGS. Without the cache these all are
    answering."""
    connected_ids = connected_everywhere(monitoring_filter)
    if connected_ids is not None:
        is_lost = not_(_is_one_of(connected_ids))
    else:
        open_ids = set(open_sitting_ids(monitoring_filter))
        connected_ids = connected_among(list(open_ids))
        is_lost = _is_one_of(open_ids - connected_ids)
    return {
        "answering": and_(open_condition(), _is_one_of(connected_ids)),
        "lost": and_(open_condition(), is_lost),
    }


def _is_one_of(sitting_ids: set[UUID]) -> ColumnElement[bool]:
    """The condition that a sitting has one of these ids."""
    return or_(false(), *(in_array(Sitting.id, batch) for batch in split_into_batches(sitting_ids)))


def _waiting_query(viewer: ListViewer, state: ListState) -> ListQuery:
    """The query of the records of the current cycle within the viewer's grant that have not begun at the
    place of `state`, or anything at all, each with its doctor, by an outer join as in `_sittings_query`."""
    monitoring_filter = _monitoring_filter(viewer, state)
    return (
        select(Assessment, Doctor)
        .outerjoin(Doctor, doctor_join())
        .where(
            monitoring_filter.records_condition,
            yet_to_start_condition(monitoring_filter.location),
        )
    )


def _view_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a sitting is in the state `value`: handed_in, noticed or voided; true for others,
    which the list's query sees to."""
    return state_conditions().get(value, true())


def _place_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a Sitting belongs to the slot or hall that the code `value` names; true for a text
    that is no code."""
    return sitting_at_condition(find_location(value))


def _institution_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a sitting is of a record of the current cycle at the institution with the id
    `value`, a text that the filter has checked."""
    record = aliased(Assessment)
    cycle = current_cycle()
    record_ids = select(record.id).where(
        record.institution_id == UUID(value),
        record.cycle_id == cycle.id if cycle else false(),
    )
    return in_looked_up(Sitting.assessment_id, record_ids)


def _sitting_cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """The cells of `rows` (sitting, record, doctor), in their order; asks the cache whose page is there."""
    sittings = [row[0] for row in rows]
    now, connected_ids = clock.now(), connected_among([sitting.id for sitting in sittings])
    return [
        doctor_cells(doctor, description["place"]) | _cells_of(description, now)
        for (_, _, doctor, *_), description in zip(
            rows, describe_sittings(sittings, connected_ids), strict=True
        )
    ]


def _cells_of(description: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """The cells about a sitting (see `describe_sittings`)."""
    return {
        "ticket": description["ticket"],
        "paper": description["paper"],
        "state": SITTING_FILTERS[description["state"]],
        "answered": f"{description['answered']}/{description['size']}",
        "time": _time_text(description["sitting"], now),
        "noticed": description["noticed"],
        "case": "核查" if description["asked"] else "",
    }


def _time_text(sitting: Sitting, now: datetime) -> str:
    """How many minutes an open sitting has left (rounded up, 0 if it is over); when another was handed in,
    and by whom unless it was the doctor; "" for one that was voided without being handed in."""
    if sitting.handed_in_at is not None:
        label = _HAND_IN_LABELS.get(sitting.handed_in_by or "", "")
        return f"{clock.minute_text(sitting.handed_in_at)}{label}"
    if sitting.voided_at is not None:
        return ""
    return f"{max(0, ceil((sitting.closes_at - now).total_seconds() / 60))}分钟"


def _waiting_cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """The cells of `rows` (record, doctor), in their order."""
    tickets = ticket_numbers([record.id for record, *_ in rows])
    institutions = organisation_names(record.institution_id for record, *_ in rows)
    return [
        doctor_cells(doctor, institutions[record.institution_id])
        | {"ticket": tickets.get(record.id, ""), "state": SITTING_FILTERS[WAITING]}
        for record, doctor, *_ in rows
    ]


def _search(words: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a row is of a doctor whom the words find, wherever the doctor works now; the list's
    query keeps to the viewer's grant."""
    return search_condition(words, WHOLE_PROVINCE)


_VIEW = ListFilter(VIEW_FILTER, "情况", _view_condition, SITTING_FILTERS, is_indexed=True)
_PLACE = ListFilter(
    PLACE_FILTER,
    "考场或场次",
    _place_condition,
    accepts=lambda value: find_location(value) is not None,
    describe=location_name,
    is_indexed=True,
    is_offered=False,
)
_INSTITUTION = institution_filter(Assessment.institution_id, lambda _viewer: True)
_SEARCH_LABEL = "姓名、拼音、准考证号、机构"

SITTING_LIST = register(
    ListDefinition(
        name="sittings",
        title="考试监控",
        action="monitoring.view",
        query=_sittings_query,
        id_column=Sitting.id,
        columns=(
            *doctor_columns("sex", "number", "level", "category", "department", "title"),
            ListColumn("ticket", "准考证号", is_numeric=True),
            ListColumn("paper", "试卷"),
            ListColumn("state", "情况"),
            ListColumn("answered", "已答", is_numeric=True),
            ListColumn("time", "剩余或交卷时间", is_numeric=True),
            ListColumn("noticed", "情况记录"),
            ListColumn("case", "核查"),
        ),
        cells=_sitting_cells,
        sorts=(
            ListSort("begun", "开始先后", (Sitting.id,), is_descending=True, is_indexed=True),
            *doctor_sorts(Sitting.id),
        ),
        filters=(
            _VIEW,
            _PLACE,
            replace(_INSTITUTION, condition=_institution_condition),
            doctor_filter(Assessment.doctor_id),
        ),
        search=_search,
        search_label=_SEARCH_LABEL,
        totals=_totals,
        unit="场",
    )
)
WAITING_LIST = register(
    ListDefinition(
        name="not_begun",
        title="考试监控：未开始",
        action="monitoring.view",
        query=_waiting_query,
        id_column=Assessment.id,
        columns=(
            *doctor_columns("sex", "department", "title"),
            ListColumn("ticket", "准考证号", is_numeric=True),
            ListColumn("state", "情况"),
        ),
        cells=_waiting_cells,
        sorts=(
            ListSort("record", "建档先后", (Assessment.id,), is_indexed=True),
            *doctor_sorts(Assessment.id),
        ),
        filters=(
            replace(_VIEW, condition=lambda _value, _viewer: true()),
            replace(_PLACE, condition=lambda _value, _viewer: true()),
            _INSTITUTION,
            doctor_filter(Assessment.doctor_id),
        ),
        search=_search,
        search_label=_SEARCH_LABEL,
        totals=_totals,
    )
)

for _definition in (SITTING_LIST, WAITING_LIST):
    register_listing(_definition, "monitoring.view")
