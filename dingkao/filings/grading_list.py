"""The list of those for whom verdicts are drafted: the records of a cycle with what was drafted."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, exists, false, or_, select

from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import ASSESSMENT_STATES, VERDICTS, Assessment
from dingkao.assessments.record_list import record_cells, record_filters
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
from dingkao.doctors.doctor_list import doctor_columns, doctor_search, doctor_sorts
from dingkao.doctors.models import Doctor
from dingkao.filings.grading_drafts import (
    ACTION,
    DRAFTABLE_STATES,
    draft_scope_condition,
    drafts_of,
)
from dingkao.filings.models import GradingDraft
from dingkao.people.name_lookups import account_names

DRAFT_FILTER, UNDRAFTED = "draft", "none"
DRAFT_CHOICES = {UNDRAFTED: "未草拟", "pass": "草拟合格", "fail": "草拟有不合格"}


def _query(viewer: ListViewer, _state: ListState) -> ListQuery:
    """The query of the current cycle's records, in any state, with their doctors, that
    `draft_scope_condition` allows; of none before the first cycle."""
    cycle = current_cycle()
    return (
        select(Assessment, Doctor)
        .join(Doctor, doctor_join())
        .where(
            Assessment.cycle_id == cycle.id if cycle else false(),
            draft_scope_condition(viewer.grant),
        )
    )


def draft_condition(value: str) -> ColumnElement[bool]:
    """The SQL condition of the records that `value`, a code of DRAFT_CHOICES, means: UNDRAFTED those that
    wait for the institution without a draft, any other those with such a draft, in whatever state."""
    has_fail = or_(GradingDraft.performance == "fail", GradingDraft.ethics == "fail")
    matching_draft = exists().where(
        GradingDraft.tenant_id == Assessment.tenant_id,
        GradingDraft.assessment_id == Assessment.id,
    )
    if value == UNDRAFTED:
        return and_(Assessment.state.in_(DRAFTABLE_STATES), ~matching_draft)
    return matching_draft.where(has_fail if value == "fail" else ~has_fail)


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """For each row of `_query` the texts of the list's columns by key; numbers are masked, and those of the
    draft "" where there is none."""
    drafts = drafts_of(row[0].id for row in rows)
    names = account_names(draft.drafted_by for draft in drafts.values())
    cells_of_rows = []
    for row, cells in zip(rows, record_cells(rows), strict=True):
        draft = drafts.get(row[0].id)
        drafted = (
            {
                "performance": VERDICTS[draft.performance],
                "ethics": VERDICTS[draft.ethics],
                "remark": draft.remark or "",
                "drafter": names.get(draft.drafted_by, "") if draft.drafted_by else "",
            }
            if draft
            else dict.fromkeys(("performance", "ethics", "remark", "drafter"), "")
        )
        cells_of_rows.append(cells | drafted)
    return cells_of_rows


GRADING_LIST = register(
    ListDefinition(
        name="gradings",
        title="草拟评定",
        action=ACTION,
        query=_query,
        id_column=Assessment.id,
        columns=(
            *doctor_columns("sex", "level", "category", "institution"),
            ListColumn("state", "状态", sort="state"),
            ListColumn("performance", "工作成绩（草拟）"),
            ListColumn("ethics", "职业道德（草拟）"),
            ListColumn("remark", "说明"),
            ListColumn("drafter", "拟稿人"),
        ),
        cells=_cells,
        sorts=(
            ListSort("state", "状态", (Assessment.state, Assessment.id), is_indexed=True),
            *doctor_sorts(Assessment.id),
        ),
        filters=(
            ListFilter(
                "state",
                "状态",
                lambda value, _viewer: Assessment.state == value,
                ASSESSMENT_STATES,
                is_indexed=True,
            ),
            ListFilter(
                DRAFT_FILTER,
                "草拟",
                lambda value, _viewer: draft_condition(value),
                DRAFT_CHOICES,
            ),
            *record_filters(),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码",
    )
)
