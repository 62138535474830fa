"""The queues of review as lists: one for each side, the record that has waited longest first."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from sqlalchemy import ColumnElement, and_, false, or_

from dingkao import clock
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    STATES_BY_SIDE,
    Assessment,
    queue_condition,
)
from dingkao.assessments.record_list import (
    assisted_filter,
    record_cells,
    record_filters,
    records_with_doctors,
)
from dingkao.cycles.cycles import current_cycle
from dingkao.database.arrays import in_array
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
from dingkao.doctors.doctor_list import doctor_columns, doctor_search, doctor_sorts
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.people.exported_lists import register_listing
from dingkao.people.name_lookups import account_names
from dingkao.people.organisation_filters import (
    has_many_institutions,
    institution_filter,
)

ASSIGNEES = {"me": "分配给我", "others": "分配给他人", "nobody": "未分配"}
HOLDERS = {"me": "我在审核", "others": "他人审核中", "nobody": "无人审核"}
WAITING_DAYS = {"3": "等待3天以上", "7": "等待7天以上", "30": "等待30天以上"}
QUEUE_LABELS = {**ASSESSMENT_STATES, "organisation_pending": "待复核"}


def _query(side: str, viewer: ListViewer, _state: ListState) -> ListQuery:
    """Returns the query of the current cycle's records that wait for a side, at the organisations for which
    the viewer reviews there; of none before the first cycle."""
    cycle, grant = current_cycle(), viewer.grant
    is_own = (
        in_array(Assessment.institution_id, grant.institution_ids)
        if side == "institution"
        else in_array(Assessment.assessor_id, grant.assessor_ids)
    )
    return records_with_doctors(
        Assessment.cycle_id == cycle.id if cycle else false(),
        queue_condition(side),
        is_own,
    )


def _holder_condition(value: str, viewer: ListViewer) -> ColumnElement[bool]:
    """Returns the condition that a record is leased to the viewer, to others, or to nobody."""
    is_leased = and_(Assessment.leased_by.is_not(None), Assessment.leased_until >= clock.now())
    if value == "nobody":
        return or_(
            Assessment.leased_by.is_(None),
            Assessment.leased_until.is_(None),
            Assessment.leased_until < clock.now(),
        )
    is_mine = Assessment.leased_by == viewer.account_id
    return and_(is_leased, is_mine if value == "me" else ~is_mine)


def _assignee_condition(value: str, viewer: ListViewer) -> ColumnElement[bool]:
    """Returns the condition that a record was given to the viewer, to others, or to nobody."""
    if value == "nobody":
        return Assessment.assigned_to.is_(None)
    is_mine = Assessment.assigned_to == viewer.account_id
    return is_mine if value == "me" else and_(Assessment.assigned_to.is_not(None), ~is_mine)


def _waiting_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a record was submitted at least so many days ago; `value`: a key of WAITING_DAYS."""
    return Assessment.submitted_at <= clock.now() - timedelta(days=int(value))


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """Returns for each row of `_query` the texts of the list's columns by key; numbers are masked, and the
    holder is "" where no lease runs now."""
    now = clock.now()
    leased = [record for record, *_ in rows if record.leased_until and record.leased_until >= now]
    names = account_names(
        account_id for record, *_ in rows for account_id in (record.leased_by, record.assigned_to)
    )
    holders = {record.id: names.get(record.leased_by, "") for record in leased}
    return [
        cells
        | {
            "state": QUEUE_LABELS[row[0].state],
            "submitted": clock.minute_text(row[0].submitted_at),
            "holder": holders.get(row[0].id, ""),
            "assigned": names.get(row[0].assigned_to, ""),
        }
        for row, cells in zip(rows, record_cells(rows), strict=True)
    ]


def _review_list(side: str, title: str, *hidden_columns: str) -> ListDefinition:
    """Returns the queue of a side. `hidden_columns`: keys of columns that are not shown until somebody
    chooses them."""
    query: Callable[[ListViewer, ListState], ListQuery] = partial(_query, side)
    return ListDefinition(
        name=f"{side}_reviews",
        title=title,
        action="filings.review",
        query=query,
        id_column=Assessment.id,
        columns=(
            *doctor_columns("sex", "title", *hidden_columns),
            ListColumn("procedure", "程序"),
            ListColumn("assisted", "代填"),
            ListColumn("submitted", "提交时间", is_numeric=True, sort="waiting"),
            ListColumn("state", "状态"),
            ListColumn("holder", "审核人"),
            ListColumn("assigned", "分配给"),
        ),
        cells=_cells,
        sorts=(
            ListSort("waiting", "提交先后", (Assessment.submitted_at, Assessment.id), is_indexed=True),
            *doctor_sorts(Assessment.id),
        ),
        filters=(
            institution_filter(Assessment.institution_id, has_many_institutions)
            if side == "institution"
            else institution_filter(Assessment.institution_id, lambda _viewer: True),
            ListFilter(
                "state",
                "状态",
                lambda value, _viewer: Assessment.state == value,
                {state: QUEUE_LABELS[state] for state in STATES_BY_SIDE[side]},
            ),
            *record_filters(),
            assisted_filter(),
            ListFilter("holder", "审核人", _holder_condition, HOLDERS),
            ListFilter("assigned", "分配", _assignee_condition, ASSIGNEES),
            ListFilter("waiting", "等待", _waiting_condition, WAITING_DAYS, is_indexed=True),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码、机构、科室",
    )


REVIEW_LISTS = {
    "institution": register(_review_list("institution", "待机构审核", "institution")),
    "organisation": register(_review_list("organisation", "待考核机构复核")),
}
"""Side → its queue."""

for _definition in REVIEW_LISTS.values():
    register_listing(
        _definition,
        "filings.review",
        reveal_action="filings.reveal_numbers",
        full_number=lambda row: document_number_of(row[1]),
    )
