"""The console's list of results: whose 综合评定 waits, who missed the exam, which results wait for
publication and which are published, with verdicts and scores."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import false, select, true

from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    PROCEDURES,
    RESULT_STATES,
    VERDICT_PARTS,
    VERDICTS,
    Assessment,
    result_condition,
)
from dingkao.assessments.record_counts import state_totals, state_totals_of
from dingkao.assessments.record_list import (
    STATE_FILTER,
    record_cells,
    records_with_doctors,
)
from dingkao.cycles.cycles import current_cycle
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
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
from dingkao.database.listing.list_states import ListState
from dingkao.doctors.doctor_list import (
    doctor_columns,
    doctor_filter,
    doctor_search,
    doctor_sorts,
    level_filters,
)
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.people.exported_lists import register_listing
from dingkao.people.name_lookups import organisation_names
from dingkao.people.organisation_filters import institution_filter
from dingkao.people.scopes import Grant, scope_condition
from dingkao.question_banks.models import SUBJECTS

RESULT_CHOICES = {
    state: ASSESSMENT_STATES[state] for state in ("grading", "absent", "confirming", "passed", "failed")
}
"""The states by which the list is filtered; it opens with the first in which there is a record."""


def preset_state(cycle: Cycle, grant: Grant) -> str:
    """Returns the state by which the list opens: the first of RESULT_CHOICES in which there is a record of
    the cycle within `grant`; if there is none at all, the first of them."""
    totals = _totals_of(cycle, grant)
    return next((state for state in RESULT_CHOICES if totals[state]), next(iter(RESULT_CHOICES)))


def _query(viewer: ListViewer, state: ListState) -> ListQuery:
    """Returns the query of the current cycle's records within the viewer's grant that have a result or wait
    for one, each with its doctor; of none before the first cycle. Where one state is chosen, that says as
    much: said twice, PostgreSQL would take them for fewer than they are, and read all doctors for them."""
    cycle = current_cycle()
    return records_with_doctors(
        Assessment.cycle_id == cycle.id if cycle else false(),
        true() if STATE_FILTER in state.filters else result_condition(),
        scope_condition(viewer.grant, assessor=Assessment.assessor_id),
    )


def _totals(state: ListState, viewer: ListViewer) -> Totals:
    """Returns filter by state → each of RESULT_STATES → number of records; {} before the first cycle, and if
    `state` has a search or another filter."""
    cycle = current_cycle()
    if cycle is None or state.search or state.filters.keys() - {STATE_FILTER}:
        return {}
    totals = _totals_of(cycle, viewer.grant)
    return {STATE_FILTER: {code: totals[code] for code in RESULT_STATES}}


def _totals_of(cycle: Cycle, grant: Grant) -> dict[str, int]:
    """Returns state → number of the cycle's records in the province, or of a grant's assessment
    organisations, 0 for states without any."""
    return (
        state_totals(cycle, grant)
        if grant.is_province
        else state_totals_of(cycle, "assessor", grant.assessor_ids)
    )


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """The cells of `rows` (record, doctor), in their order: those that all lists of records have, verdicts,
    assessor, scores and result."""
    records = [row[0] for row in rows]
    assessors = organisation_names(record.assessor_id for record in records)
    scores = _score_texts([record.id for record in records])
    return [
        cells
        | {part: VERDICTS.get(getattr(record, part) or "", "未评定") for part in VERDICT_PARTS}
        | {
            "assessor": assessors.get(record.assessor_id, ""),
            "scores": "免考" if record.exempted else scores.get(record.id, ""),
            "result": result_text(record),
        }
        for record, cells in zip(records, record_cells(rows), strict=True)
    ]


def result_text(record: Assessment) -> str:
    """Returns the result that a record's verdicts give (不合格 also while one of them is missing), and
    whether the exam was missed."""
    has_passed = all(getattr(record, part) == "pass" for part in VERDICT_PARTS)
    result = "合格" if has_passed else "不合格"
    if record.state != "absent":
        return result
    return f"缺考 · {result}" if record.absence_confirmed_by else f"缺考待确认 · {result}"


def _score_texts(record_ids: Collection[UUID]) -> dict[UUID, str]:
    """Returns for at most 5,000 records: record id → points of 100 of each paper that was handed in and
    scored, named where there are several; a sitting that was declared void doesn't count."""
    is_paper = (Sitting.tenant_id == Paper.tenant_id) & (Sitting.paper_id == Paper.id)
    query = (
        select(Sitting.assessment_id, Paper.subject, Sitting.score_tenths)
        .join(Paper, is_paper)
        .where(
            in_array(Sitting.assessment_id, record_ids),
            Sitting.voided_at.is_(None),
            Sitting.score_tenths.is_not(None),
        )
    )
    scores: dict[UUID, dict[str, str]] = defaultdict(dict)
    for record_id, subject, tenths in db.session.execute(query):
        scores[record_id][subject] = f"{(tenths or 0) / 10:g}"
    return {record_id: _join_scores(by_subject) for record_id, by_subject in scores.items()}


def _join_scores(by_subject: dict[str, str]) -> str:
    """Returns the scores as one text; the only one without its subject."""
    if len(by_subject) == 1:
        return next(iter(by_subject.values()))
    return "，".join(
        f"{name}{by_subject[subject]}" for subject, name in SUBJECTS.items() if subject in by_subject
    )


RESULT_LIST = register(
    ListDefinition(
        name="record_results",
        title="综合评定与结果",
        action="conclusions.view",
        query=_query,
        id_column=Assessment.id,
        columns=(
            *doctor_columns("sex", "department", "title"),
            ListColumn("assessor", "考核机构", is_default=False),
            ListColumn("procedure", "程序", is_default=False),
            *(ListColumn(part, label) for part, label in VERDICT_PARTS.items()),
            ListColumn("scores", "成绩（百分制）", is_numeric=True),
            ListColumn("result", "结果"),
            ListColumn("state", "状态", is_default=False),
        ),
        cells=_cells,
        sorts=(
            ListSort("record", "建档先后", (Assessment.id,), is_indexed=True),
            *doctor_sorts(Assessment.id),
        ),
        filters=(
            institution_filter(Assessment.institution_id, lambda _viewer: True),
            ListFilter(
                STATE_FILTER,
                "状态",
                lambda value, _viewer: Assessment.state == value,
                RESULT_CHOICES,
                is_indexed=True,
            ),
            doctor_filter(Assessment.doctor_id),
            *level_filters(),
            ListFilter("procedure", "程序", lambda value, _viewer: Assessment.procedure == value, PROCEDURES),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码、机构、科室",
        totals=_totals,
    )
)

register_listing(
    RESULT_LIST,
    "conclusions.view",
    reveal_action="doctors.reveal_numbers",
    full_number=lambda row: document_number_of(row[1]),
)
