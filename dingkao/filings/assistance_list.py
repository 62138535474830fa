"""The console's list of filings that are filled in on the doctors' behalf (代填) and not submitted: the
longest under way first."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement

from dingkao import clock
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import ASSESSMENT_STATES, Assessment
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
    doctor_filters,
    doctor_search,
    doctor_sorts,
)
from dingkao.doctors.models import Doctor
from dingkao.filings.assistance import assisted_query
from dingkao.filings.dossier import EDITABLE
from dingkao.filings.models import Filing
from dingkao.people.exported_lists import register_listing
from dingkao.people.organisation_filters import institution_filter

SINCE_DAYS = {"3": "开始3天以上", "7": "开始7天以上", "30": "开始30天以上"}


def _query(viewer: ListViewer, _state: ListState) -> ListQuery:
    """The query of record, doctor and filing, within the viewer's grant, of those that are filled in on the
    doctors' behalf and not submitted, or returned by the institution."""
    query = assisted_query(viewer.grant).join(Doctor, doctor_join())
    return query.with_only_columns(Assessment, Doctor, Filing, maintain_column_froms=True)


def _since_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that assisting began at least so many days ago; `value`: a key of SINCE_DAYS."""
    return Filing.assisted_at <= clock.now() - timedelta(days=int(value))


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """For each row of `_query` the texts of the list's columns by key; numbers are masked."""
    return [
        cells
        | {
            "reason": filing.assistance["reason"],
            "since": clock.minute_text(filing.assisted_at),
            "assistant": filing.assistance["begun_by"],
        }
        for (_record, _doctor, filing, *_), cells in zip(rows, record_cells(rows), strict=True)
    ]


ASSISTED_LIST = register(
    ListDefinition(
        name="assisted_filings",
        title="代填名单",
        action="filings.assist",
        query=_query,
        id_column=Assessment.id,
        columns=(
            *doctor_columns("sex", "level", "category", "institution", "title"),
            ListColumn("reason", "原因"),
            ListColumn("since", "开始", is_numeric=True, sort="since"),
            ListColumn("assistant", "开始代填的人"),
            ListColumn("state", "状态"),
        ),
        cells=_cells,
        sorts=(
            ListSort("since", "开始先后", (Filing.assisted_at, Filing.id), is_indexed=True),
            *doctor_sorts(Filing.id),
        ),
        filters=(
            institution_filter(Assessment.institution_id),
            ListFilter(
                "state",
                "状态",
                lambda value, _viewer: Assessment.state == value,
                {state: ASSESSMENT_STATES[state] for state in EDITABLE},
            ),
            ListFilter("since", "开始", _since_condition, SINCE_DAYS),
            doctor_filter(Assessment.doctor_id),
            *doctor_filters(),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码、机构、科室",
    )
)

register_listing(ASSISTED_LIST, "filings.assist")
