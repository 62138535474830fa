"""The console's list of a cycle's records: who is included, who not yet, who has not submitted."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, false, select, true

from dingkao.assessments.enrolment import doctor_join, doctor_lookup
from dingkao.assessments.models import ASSESSMENT_STATES, PROCEDURES, Assessment
from dingkao.assessments.record_counts import state_totals
from dingkao.cycles.cycles import current_cycle
from dingkao.cycles.models import Cycle
from dingkao.database.listing.definitions import (
    ANY_CHOICE,
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
from dingkao.database.listing.list_states import ListState
from dingkao.doctors.doctor_list import (
    DOCTOR_FILTER,
    doctor_cells,
    doctor_columns,
    doctor_filter,
    doctor_filters,
    doctor_search,
    doctor_sorts,
)
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.people.exported_lists import register_listing
from dingkao.people.name_lookups import organisation_names
from dingkao.people.organisation_filters import INSTITUTION_FILTER, institution_filter
from dingkao.people.scopes import Grant, in_scope, scope_condition

STATE_FILTER, UNSUBMITTED = "state", "unsubmitted"
UNSUBMITTED_STATES = ("included", "draft", "institution_returned")
"""The states that the choice UNSUBMITTED selects."""
STATE_CHOICES = {UNSUBMITTED: "全部未提交", **ASSESSMENT_STATES}
ASSISTED_LABEL = "代填"
FIRST_SHOWN = ("not_included", *STATE_CHOICES)
"""By which choice the list opens: the first of these that leaves a record."""


def records_with_doctors(*conditions: ColumnElement[bool]) -> ListQuery:
    """Returns the query of the records that meet `conditions`, each with its doctor, who always exists: by
    the outer join PostgreSQL leaves the doctor out where nothing is asked of it."""
    return select(Assessment, Doctor).outerjoin(Doctor, doctor_join()).where(*conditions)


def viewed_records(state: ListState, *conditions: ColumnElement[bool]) -> ListQuery:
    """Returns the query of `records_with_doctors` for a view (`state`) of a list: unless it is narrowed to
    some doctors, each record's doctor is looked up."""
    is_of_doctors = bool(state.search) or DOCTOR_FILTER in state.filters
    join = doctor_join() if is_of_doctors else doctor_lookup()
    return select(Assessment, Doctor).join(Doctor, join).where(*conditions)


def record_filters() -> tuple[ListFilter, ...]:
    """The filters by what is known of a record besides its state, for lists of records with doctors."""
    return (
        doctor_filter(Assessment.doctor_id),
        *doctor_filters(),
        ListFilter("procedure", "程序", lambda value, _viewer: Assessment.procedure == value, PROCEDURES),
    )


def assisted_filter(*, have_index: bool = False) -> ListFilter:
    """The filter of the records that somebody has filled in on the doctor's behalf. `have_index`: the list's
    rows are a cycle's records by state, for which there is an index."""
    return ListFilter(
        "assisted",
        "代填",
        lambda _value, _viewer: Assessment.assisted == true(),
        {"yes": ASSISTED_LABEL},
        is_indexed=have_index,
    )


def record_cells(rows: Sequence[ListRow]) -> CellRows:
    """Returns, for rows that begin with a record and its doctor, the texts by column that all lists of
    records have in common; numbers are masked."""
    institutions = organisation_names(row[0].institution_id for row in rows)
    return [
        doctor_cells(doctor, institutions[record.institution_id])
        | {
            "procedure": PROCEDURES.get(record.procedure or "", ""),
            "state": ASSESSMENT_STATES[record.state],
            "assisted": ASSISTED_LABEL if record.assisted else "",
        }
        for record, doctor, *_ in rows
    ]


def preset_state(cycle: Cycle, grant: Grant) -> str:
    """Returns the choice of the state by which the list opens; not_included where there is no record."""
    totals = _choice_totals(cycle, grant)
    return next((choice for choice in FIRST_SHOWN if totals[choice]), FIRST_SHOWN[0])


def _choice_totals(cycle: Cycle, grant: Grant) -> dict[str, int]:
    """Returns how many records of the cycle within a grant each of STATE_CHOICES selects, zero where none."""
    totals = state_totals(cycle, grant)
    return {UNSUBMITTED: sum(totals[state] for state in UNSUBMITTED_STATES), **totals}


def _totals(state: ListState, viewer: ListViewer) -> Totals:
    """Returns the numbers of the states, where nothing but state and institution is chosen; else {}, and the
    list counts."""
    cycle = current_cycle()
    if cycle is None or state.search or state.filters.keys() - {STATE_FILTER, INSTITUTION_FILTER}:
        return {}
    grant, chosen = viewer.grant, state.filters.get(INSTITUTION_FILTER)
    if chosen:
        is_reached = in_scope(grant, institution_id=UUID(chosen))
        grant = Grant(institution_ids=(UUID(chosen),) if is_reached else ())
    totals = _choice_totals(cycle, grant)
    return {STATE_FILTER: {ANY_CHOICE: sum(totals[code] for code in ASSESSMENT_STATES), **totals}}


def _state_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a record is in a state, or not submitted; `value`: a key of STATE_CHOICES."""
    if value == UNSUBMITTED:
        return Assessment.state.in_(UNSUBMITTED_STATES)
    return Assessment.state == value


def _query(viewer: ListViewer, _state: ListState) -> ListQuery:
    """The query of the current cycle's records that the viewer reaches, with their doctors; of none before
    the first cycle."""
    cycle = current_cycle()
    return records_with_doctors(
        Assessment.cycle_id == cycle.id if cycle else false(),
        scope_condition(viewer.grant, institution=Assessment.institution_id),
    )


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """The texts of each row's cells, by column; numbers are masked."""
    return record_cells(rows)


RECORD_LIST = register(
    ListDefinition(
        name="records",
        title="考核名单",
        action="enrolment.manage",
        query=_query,
        id_column=Assessment.id,
        columns=(
            *doctor_columns("sex", "title"),
            ListColumn("procedure", "程序", is_default=False),
            ListColumn("state", "状态", sort="state"),
            ListColumn("assisted", "代填"),
        ),
        cells=_cells,
        sorts=(
            ListSort("state", "状态", (Assessment.state, Assessment.id), is_indexed=True),
            *doctor_sorts(Assessment.id),
        ),
        filters=(
            institution_filter(Assessment.institution_id),
            ListFilter(STATE_FILTER, "状态", _state_condition, STATE_CHOICES, is_indexed=True),
            *record_filters(),
            assisted_filter(have_index=True),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码、机构、科室",
        totals=_totals,
    )
)

register_listing(
    RECORD_LIST,
    "enrolment.export",
    reveal_action="doctors.reveal_numbers",
    full_number=lambda row: document_number_of(row[1]),
)
