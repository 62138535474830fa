"""The console's list of a committee's meeting: whose 综合评定 it decides, the three verdicts side by side,
what the spot check showed, and the outcome."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, false, select

from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import VERDICT_PARTS, VERDICTS, Assessment
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
from dingkao.database.listing.id_filters import listed_in_filter
from dingkao.database.listing.list_states import ListState
from dingkao.doctors.doctor_list import (
    doctor_columns,
    doctor_filter,
    doctor_search,
    doctor_sorts,
    level_filters,
)
from dingkao.doctors.models import Doctor
from dingkao.people.exported_lists import register_listing
from dingkao.people.organisation_filters import institution_filter
from dingkao.people.scopes import scope_condition
from dingkao.results.meeting_lists import ENTRY_FILTERS, entry_condition
from dingkao.results.models import SAMPLE_RESULTS, GradingMeeting, GradingMeetingEntry

MEETING_FILTER = "meeting"
"""The filter that names a meeting, without which the list is empty."""


def _query(viewer: ListViewer, state: ListState) -> ListQuery:
    """Returns the query of the records on the list of the meeting that the state names, if it is of an
    organisation within the viewer's grant, each with doctor and entry; of none if it names no meeting."""
    of_record = and_(
        GradingMeetingEntry.tenant_id == Assessment.tenant_id,
        GradingMeetingEntry.assessment_id == Assessment.id,
    )
    query = (
        select(Assessment, Doctor, GradingMeetingEntry)
        .join(GradingMeetingEntry, of_record)
        .join(Doctor, doctor_join())
    )
    meeting_id = state.filters.get(MEETING_FILTER)
    if meeting_id is None:
        return query.where(false())
    is_within_grant = exists().where(
        GradingMeeting.id == UUID(meeting_id),
        scope_condition(viewer.grant, assessor=GradingMeeting.organisation_id),
    )
    return query.where(_is_on_list_condition(meeting_id), is_within_grant)


def _is_on_list_condition(meeting_id: str) -> ColumnElement[bool]:
    """The condition that a GradingMeetingEntry is on the list of the meeting with this id (as text)."""
    return GradingMeetingEntry.meeting_id == UUID(meeting_id)


def _outcome_text(entry: GradingMeetingEntry, verdicts: Sequence[str | None]) -> str:
    """The outcome; before the conclusion the one that the verdicts propose, or why the record was left
    out."""
    if entry.left_out_reason:
        return entry.left_out_reason
    if entry.outcome:
        return VERDICTS[entry.outcome]
    return "拟合格" if all(verdict == "pass" for verdict in verdicts) else "拟不合格"


def _sample_text(entry: GradingMeetingEntry) -> str:
    """What the spot check of a record showed, with its note; "" for one that wasn't drawn."""
    if not entry.sampled:
        return ""
    result = SAMPLE_RESULTS.get(entry.sample_result or "", "待核实")
    return f"{result}：{entry.sample_note}" if entry.sample_note else result


def _entry_cells(record: Assessment, entry: GradingMeetingEntry) -> dict[str, str]:
    """The cells of an entry's own columns; the verdicts are those of the conclusion once there is one."""
    source = entry if entry.outcome else record
    verdicts = {part: getattr(source, part) for part in VERDICT_PARTS}
    return {
        **{part: VERDICTS.get(verdict or "", "未评定") for part, verdict in verdicts.items()},
        "sample": _sample_text(entry),
        "result": _outcome_text(entry, list(verdicts.values())),
    }


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """The cells of `rows` (record, doctor, entry), in their order."""
    return [
        cells | _entry_cells(record, entry)
        for (record, _, entry, *_), cells in zip(rows, record_cells(rows), strict=True)
    ]


MEETING_ENTRY_LIST = register(
    ListDefinition(
        name="meeting_entries",
        title="评定会名单",
        action="meetings.prepare",
        query=_query,
        id_column=Assessment.id,
        columns=(
            *doctor_columns("sex", "level", "category", "department", "title"),
            *(ListColumn(part, label) for part, label in VERDICT_PARTS.items()),
            ListColumn("sample", "抽查"),
            ListColumn("result", "结果"),
        ),
        cells=_cells,
        sorts=(
            ListSort("record", "建档先后", (GradingMeetingEntry.assessment_id,), is_indexed=True),
            *doctor_sorts(GradingMeetingEntry.assessment_id),
        ),
        filters=(
            listed_in_filter(MEETING_FILTER, "评定会", "一次评定会", _is_on_list_condition),
            ListFilter(
                "filter",
                "名单",
                lambda value, _viewer: entry_condition(value),
                ENTRY_FILTERS,
            ),
            institution_filter(Assessment.institution_id, lambda _viewer: True),
            doctor_filter(Assessment.doctor_id),
            *level_filters(),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码、机构、科室",
    )
)

register_listing(MEETING_ENTRY_LIST, "meetings.prepare")
