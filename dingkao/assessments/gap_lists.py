"""The console's lists of who should take part in a cycle and doesn't (应考尽考). The message to those on one:
`gap_messages`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import ColumnElement, false, select

from dingkao import clock
from dingkao.assessments.models import TEST_STATES, Assessment
from dingkao.assessments.participation import is_expected_condition
from dingkao.assessments.record_counts import state_totals
from dingkao.assessments.record_list import (
    record_cells,
    record_filters,
    viewed_records,
)
from dingkao.cycles.cycles import current_cycle, phases_of
from dingkao.cycles.models import Cycle
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
    get_definition,
    register,
)
from dingkao.database.listing.list_counts import ChipCount
from dingkao.database.listing.list_states import ListState
from dingkao.database.pagination import CappedCount, capped_count
from dingkao.doctors.disposition_models import DISPOSITIONS, DoctorDisposition
from dingkao.doctors.dispositions import dispositions_of
from dingkao.doctors.doctor_list import doctor_columns, doctor_search, doctor_sorts
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.errors import NotFound
from dingkao.people.exported_lists import register_listing
from dingkao.people.models import Account
from dingkao.people.notice_catalogue import (
    GAP_NOT_INCLUDED,
    GAP_NOT_SAT,
    GAP_NOT_SIGNED_IN,
    GAP_NOT_SUBMITTED,
    GAP_RETURNED,
    NoticeKind,
)
from dingkao.people.organisation_filters import INSTITUTION_FILTER, institution_filter
from dingkao.people.scopes import Grant, scope_condition

ACTION = "participation.manage"
SINCE_DAYS = {"3": "3天以上", "7": "7天以上", "30": "30天以上"}
"""For how many days at least a record has been in its state: code of the filter → label."""

FILTERS_OF_RECORDS = {INSTITUTION_FILTER, "procedure", "since"}
"""The filters that ask nothing of a record's doctor."""


@dataclass(frozen=True)
class GapList:
    """A list. `states`: of the records on it, given the cycle; `further`: the condition that they meet
    besides, None if the states say all; `needs_doctors`: whether `further` asks something of the record's
    doctor; `kind`: the message to those on it."""

    code: str
    label: str
    states: Callable[[Cycle], tuple[str, ...]]
    kind: NoticeKind
    further: Callable[[], ColumnElement[bool]] | None = None
    needs_doctors: bool = False

    @property
    def definition(self) -> ListDefinition:
        """The list as the console shows it and as it is exported."""
        return get_definition(f"gap_{self.code}")

    def conditions(self, cycle: Cycle, grant: Grant) -> list[ColumnElement[bool]]:
        """The SQL conditions of the records on the list that `grant` reaches; of a query of records, with
        their doctors if the list `needs_doctors`."""
        return [
            Assessment.cycle_id == cycle.id,
            in_array(Assessment.state, self.states(cycle)),
            scope_condition(grant, institution=Assessment.institution_id),
            *([self.further()] if self.further else []),
        ]


def _has_state(*states: str) -> Callable[[Cycle], tuple[str, ...]]:
    """What a GapList has as `states`: these, whatever the cycle."""
    return lambda _cycle: states


def _is_unopened() -> ColumnElement[bool]:
    """The condition that the doctor's account was never opened, or must be opened again. A scalar subquery:
    PostgreSQL then looks each record's account up, in an index of those alone, where of a join it would read
    every account that was never opened."""
    unopened = select(Account.id).where(
        Account.id == Doctor.account_id, Account.kind == "doctor", Account.state == "initial"
    )
    return unopened.scalar_subquery().is_not(None)


def _states_of_not_sat(cycle: Cycle) -> tuple[str, ...]:
    """Those recorded as absent; and after the examination those who have not finished it."""
    phase = phases_of(cycle).get("examination")
    is_over = phase is not None and clock.today() > phase.last_day
    return ("absent", *TEST_STATES) if is_over else ("absent",)


GAP_LISTS = {
    gap_list.code: gap_list
    for gap_list in (
        GapList(
            "not_included",
            "应考未报名",
            _has_state("not_included"),
            GAP_NOT_INCLUDED,
            is_expected_condition,
        ),
        GapList(
            "not_signed_in",
            "已纳入未登录",
            _has_state("included"),
            GAP_NOT_SIGNED_IN,
            _is_unopened,
            needs_doctors=True,
        ),
        GapList("not_submitted", "未提交", _has_state("included", "draft"), GAP_NOT_SUBMITTED),
        GapList("returned", "退回未改", _has_state("institution_returned"), GAP_RETURNED),
        GapList("not_sat", "应考未考", _states_of_not_sat, GAP_NOT_SAT),
    )
}
"""Code → list, in the order of the doctor's way through the cycle."""


def get_gap_list(code: str) -> GapList:
    """The list with that code. Raises NotFound."""
    if code not in GAP_LISTS:
        raise NotFound
    return GAP_LISTS[code]


def gap_counts(
    cycle: Cycle, grant: Grant, counted: Mapping[str, ChipCount] | None = None
) -> dict[str, ChipCount]:
    """Code → how many records within `grant` are on the list: known where the states say all, else counted as
    far as pages show. `counted`: code → the number of lists that were counted already."""
    totals, known = state_totals(cycle, grant), counted or {}
    return {
        code: ChipCount(sum(totals[state] for state in gap_list.states(cycle)), is_known=True)
        if gap_list.further is None
        else known.get(code) or ChipCount(count_listed(gap_list, cycle, grant))
        for code, gap_list in GAP_LISTS.items()
    }


def count_listed(gap_list: GapList, cycle: Cycle, grant: Grant) -> CappedCount:
    """How many records are on a list, counted up to MAX_COUNTED."""
    conditions = gap_list.conditions(cycle, grant)
    query = _counted_records(gap_list, ListState(gap_list.definition), conditions)
    return capped_count(query.order_by(Assessment.state, Assessment.id))


def _counted_records(gap_list: GapList, state: ListState, conditions: list[ColumnElement[bool]]) -> ListQuery:
    """The query of the records that meet `conditions`, for a view (`state`) of a list: with their doctors
    only where the list, the search or a filter asks something of them."""
    of_doctors = state.filters.keys() - FILTERS_OF_RECORDS
    if gap_list.needs_doctors or state.search or of_doctors:
        return viewed_records(state, *conditions)
    return select(Assessment).where(*conditions)


def _counted_query(gap_list: GapList, viewer: ListViewer, state: ListState) -> ListQuery:
    """The query of the rows of `_query` for counting (`ListDefinition.counted_query`)."""
    return _counted_records(gap_list, state, _conditions(gap_list, viewer))


def _query(gap_list: GapList, viewer: ListViewer, state: ListState) -> ListQuery:
    """The query of the records of the current cycle on a list that the viewer reaches, with their doctors; of
    none before the first cycle."""
    return viewed_records(state, *_conditions(gap_list, viewer))


def _conditions(gap_list: GapList, viewer: ListViewer) -> list[ColumnElement[bool]]:
    """The conditions of the records of the current cycle on a list that the viewer reaches; of none before
    the first cycle."""
    cycle = current_cycle()
    return gap_list.conditions(cycle, viewer.grant) if cycle else [false()]


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """The texts of each row's cells, by column; numbers are masked. The rows are of one cycle."""
    dispositions = dispositions_of((row[1].id for row in rows), rows[0][0].cycle_id) if rows else {}
    return [
        cells
        | {
            "since": clock.minute_text(row[0].changed_at),
            "disposition": _disposition_text(dispositions.get(row[1].id)),
        }
        for row, cells in zip(rows, record_cells(rows), strict=True)
    ]


def _disposition_text(disposition: DoctorDisposition | None) -> str:
    """A disposition with its note; "" for none."""
    if disposition is None:
        return ""
    return "：".join(filter(None, (DISPOSITIONS[disposition.disposition], disposition.note)))


def _since_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a record has been in its state for at least so many days; `value`: a key of
    SINCE_DAYS."""
    return Assessment.changed_at <= clock.now() - timedelta(days=int(value))


def _define(gap_list: GapList) -> ListDefinition:
    """The list as the console shows it, by the name gap_CODE."""
    return ListDefinition(
        name=f"gap_{gap_list.code}",
        title=gap_list.label,
        action=ACTION,
        query=partial(_query, gap_list),
        counted_query=partial(_counted_query, gap_list),
        id_column=Assessment.id,
        columns=(
            *doctor_columns("sex", "level", "category", "title"),
            ListColumn("state", "状态", sort="state"),
            ListColumn("since", "状态起始", is_numeric=True),
            ListColumn("disposition", "去向"),
        ),
        cells=_cells,
        sorts=(
            ListSort("state", "状态", (Assessment.state, Assessment.id), is_indexed=True),
            *doctor_sorts(Assessment.id),
        ),
        filters=(
            institution_filter(Assessment.institution_id),
            *record_filters(),
            ListFilter("since", "已有", _since_condition, SINCE_DAYS),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码、机构、科室",
    )


for _gap_list in GAP_LISTS.values():
    register_listing(
        register(_define(_gap_list)),
        ACTION,
        reveal_action="doctors.reveal_numbers",
        full_number=lambda row: document_number_of(row[1]),
    )
