"""The console's list of absences that wait for confirmation, with what was drafted about them."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, false

from dingkao.assessments.absences import LIST_NAME, unconfirmed_conditions
from dingkao.assessments.models import Assessment
from dingkao.assessments.record_list import record_cells, records_with_doctors
from dingkao.cycles.cycles import current_cycle
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
from dingkao.exams.tickets import ticket_numbers
from dingkao.people.exported_lists import register_listing
from dingkao.people.name_lookups import account_names
from dingkao.people.organisation_filters import institution_filter

DRAFT_CHOICES = {"drafted": "已列入草稿", "undrafted": "未核对"}


def _query(viewer: ListViewer, _state: ListState) -> ListQuery:
    """The query of the current cycle's records within the viewer's grant whose absence nobody has confirmed,
    each with its doctor; of no rows before the first cycle."""
    cycle = current_cycle()
    conditions = unconfirmed_conditions(cycle, viewer.grant) if cycle else [false()]
    return records_with_doctors(*conditions)


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """The cells of `rows` (record, doctor), in their order: those that all lists of records have, and the
    ticket number and the draft of the absence, "" where there is none."""
    records = [row[0] for row in rows]
    tickets = ticket_numbers([record.id for record in records])
    drafters = account_names(record.absence_drafted_by for record in records)
    return [
        cells
        | {
            "ticket": tickets.get(record.id, ""),
            "draft": "草稿" if record.absence_drafted_by else "",
            "note": record.absence_note or "",
            "drafter": drafters.get(record.absence_drafted_by, ""),
        }
        for record, cells in zip(records, record_cells(rows), strict=True)
    ]


def _draft_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that an absence has been drafted (`value` "drafted"), or has not (any other)."""
    drafter = Assessment.absence_drafted_by
    return drafter.is_not(None) if value == "drafted" else drafter.is_(None)


ABSENCE_LIST = register(
    ListDefinition(
        name=LIST_NAME,
        title="缺考名单",
        action="absences.prepare",
        query=_query,
        id_column=Assessment.id,
        columns=(
            *doctor_columns("sex", "level", "category", "department", "title"),
            ListColumn("ticket", "准考证号", is_numeric=True),
            ListColumn("procedure", "程序", is_default=False),
            ListColumn("draft", "草稿"),
            ListColumn("note", "核对情况"),
            ListColumn("drafter", "拟稿人"),
        ),
        cells=_cells,
        sorts=(
            ListSort("record", "建档先后", (Assessment.id,), is_indexed=True),
            *doctor_sorts(Assessment.id),
        ),
        filters=(
            institution_filter(Assessment.institution_id, lambda _viewer: True),
            doctor_filter(Assessment.doctor_id),
            ListFilter("draft", "核对", _draft_condition, DRAFT_CHOICES),
            *level_filters(),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码、机构、科室",
    )
)

register_listing(ABSENCE_LIST, "absences.prepare")
