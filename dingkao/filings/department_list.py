"""The list of departments, with how far each is in the cycle: who has not filed, for whom nothing is drafted,
whose annual appraisals and ethics gradings are missing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, false, func, select

from dingkao.assessments.conduct_grades import APPRAISAL, ETHICS, ended_years, lacks_grade_condition
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import Assessment
from dingkao.assessments.record_list import UNSUBMITTED_STATES
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
    register,
)
from dingkao.database.listing.list_states import ListState
from dingkao.database.pagination import CappedCount, capped_count
from dingkao.doctors.models import Doctor
from dingkao.filings.grading_list import UNDRAFTED, draft_condition
from dingkao.people.department_models import Department
from dingkao.people.department_search import department_condition
from dingkao.people.exported_lists import register_listing
from dingkao.people.models import Account, Membership
from dingkao.people.name_lookups import organisation_names
from dingkao.people.organisation_filters import has_many_institutions, institution_filter
from dingkao.people.scopes import Grant, scope_condition

ACTION = "departments.manage"
LACKING_LABELS = {
    "unsubmitted": "未提交",
    "undrafted": "未草拟",
    "appraisal": "缺年度考核",
    "ethics": "缺医德考评",
}
"""Code → what a department's doctors may lack."""
NO_LIAISON = "no_liaison"
LATE_CHOICES = LACKING_LABELS | {NO_LIAISON: "无联络员"}
STATE_CHOICES = {"open": "使用中", "closed": "已停用"}


@dataclass(frozen=True)
class DepartmentProgress:
    """How far a department is. `doctors`: how many it has; `lacking`: code of LACKING_LABELS → how many of
    those who take part lack that; `liaisons`: ids and names of the accounts that are its liaisons."""

    doctors: int = 0
    lacking: dict[str, int] = field(default_factory=dict)
    liaisons: tuple[tuple[UUID, str], ...] = ()

    @property
    def lacking_text(self) -> str:
        """What is lacking, for a sentence; "" if nothing is."""
        return "，".join(
            f"{LACKING_LABELS[code]}{number}人" for code, number in self.lacking.items() if number
        )


def of_department_condition() -> ColumnElement[bool]:
    """The SQL condition that a doctor belongs to a department, for a query of both."""
    return and_(
        Doctor.tenant_id == Department.tenant_id,
        Doctor.organisation_id == Department.organisation_id,
        Doctor.department == Department.name,
    )


def _lacking_conditions(cycle: Cycle) -> dict[str, ColumnElement[bool]]:
    """Code of LACKING_LABELS → the SQL condition that the doctor of a record that takes part lacks it."""
    years = ended_years(cycle)
    is_included = Assessment.state != "not_included"
    return {
        "unsubmitted": Assessment.state.in_(UNSUBMITTED_STATES),
        "undrafted": draft_condition(UNDRAFTED),
        "appraisal": and_(is_included, lacks_grade_condition(APPRAISAL, years)),
        "ethics": and_(is_included, lacks_grade_condition(ETHICS, years)),
    }


def progress_of(department_ids: Collection[UUID], cycle: Cycle | None) -> dict[UUID, DepartmentProgress]:
    """Department's id → how far it is in the cycle, for each of the departments (open or closed, at most
    5,000) of a page; without a cycle only its doctors and liaisons."""
    liaisons = _liaisons_of(department_ids)
    conditions = _lacking_conditions(cycle) if cycle else {}
    of_doctor = and_(
        doctor_join(),
        Assessment.cycle_id == cycle.id if cycle else false(),
        Assessment.round == "first",
    )
    query = (
        select(
            Department.id,
            func.count(Doctor.id),
            *(func.count().filter(condition) for condition in conditions.values()),
        )
        .join(Doctor, of_department_condition())
        .outerjoin(Assessment, of_doctor)
        .where(in_array(Department.id, department_ids))
        .group_by(Department.id)
    )
    counted = {department_id: numbers for department_id, *numbers in db.session.execute(query)}
    progress = {}
    for department_id in department_ids:
        doctors, *numbers = counted.get(department_id, [0] * (1 + len(conditions)))
        progress[department_id] = DepartmentProgress(
            doctors,
            dict(zip(conditions, numbers, strict=True)),
            tuple(liaisons.get(department_id, ())),
        )
    return progress


def _liaisons_of(department_ids: Collection[UUID]) -> dict[UUID, list[tuple[UUID, str]]]:
    """Department's id → ids and names of its liaisons whose accounts are not closed, by name."""
    query = (
        select(Membership.department_id, Account.id, Account.name)
        .join(
            Account,
            and_(Account.tenant_id == Membership.tenant_id, Account.id == Membership.account_id),
        )
        .where(in_array(Membership.department_id, department_ids), Account.state != "closed")
        .order_by(Account.name, Account.id)
    )
    liaisons: dict[UUID, list[tuple[UUID, str]]] = {}
    for department_id, account_id, name in db.session.execute(query):
        if department_id is not None:
            liaisons.setdefault(department_id, []).append((account_id, name))
    return liaisons


def count_unlisted_doctors(grant: Grant) -> CappedCount:
    """How many doctors of the institutions that the grant names (for the province none: 0) have no
    department, or one that isn't listed, be it as closed, so that no liaison sees them."""
    is_listed = exists().where(of_department_condition())
    return capped_count(
        select(Doctor).where(in_array(Doctor.organisation_id, grant.institution_ids), ~is_listed)
    )


def _query(viewer: ListViewer, _state: ListState) -> ListQuery:
    """The query of the departments, open or closed, of the institutions that the viewer's grant reaches."""
    return select(Department).where(scope_condition(viewer.grant, institution=Department.organisation_id))


def _late_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    """The SQL condition of the departments that are late in what `value` (a code of LATE_CHOICES) says, in
    the current cycle; before the first one none is."""
    if value == NO_LIAISON:
        has_liaison = exists().where(
            Membership.tenant_id == Department.tenant_id,
            Membership.department_id == Department.id,
            Account.tenant_id == Membership.tenant_id,
            Account.id == Membership.account_id,
            Account.state != "closed",
        )
        return ~has_liaison
    cycle = current_cycle()
    if cycle is None:
        return false()
    late_record = (
        select(Assessment.id)
        .join(Doctor, doctor_join())
        .where(
            of_department_condition(),
            Assessment.cycle_id == cycle.id,
            Assessment.round == "first",
            _lacking_conditions(cycle)[value],
        )
    )
    return late_record.correlate(Department).exists()


def _state_condition(value: str, _viewer: ListViewer) -> ColumnElement[bool]:
    is_open = Department.closed_at.is_(None)
    return is_open if value == "open" else ~is_open


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """For each department the texts of the list's columns by key, of the current cycle; what is lacking is ""
    before the first one."""
    departments = [row[0] for row in rows]
    progress = progress_of([department.id for department in departments], current_cycle())
    institutions = organisation_names(department.organisation_id for department in departments)
    return [
        {
            "name": department.name + ("（已停用）" if department.closed_at else ""),
            "institution": institutions[department.organisation_id],
            "doctors": str(progress[department.id].doctors),
            "liaison": "、".join(name for _, name in progress[department.id].liaisons),
            **{code: str(progress[department.id].lacking.get(code, "")) for code in LACKING_LABELS},
        }
        for department in departments
    ]


DEPARTMENT_LIST = register(
    ListDefinition(
        name="departments",
        title="科室名单",
        action=ACTION,
        query=_query,
        id_column=Department.id,
        columns=(
            ListColumn("name", "科室", is_fixed=True, sort="name"),
            ListColumn("institution", "机构"),
            ListColumn("doctors", "医师", is_numeric=True),
            *(ListColumn(code, label, is_numeric=True) for code, label in LACKING_LABELS.items()),
            ListColumn("liaison", "联络员"),
        ),
        cells=_cells,
        sorts=(ListSort("name", "科室", (Department.organisation_id, Department.name), is_indexed=True),),
        filters=(
            institution_filter(Department.organisation_id, has_many_institutions),
            ListFilter("state", "状态", _state_condition, STATE_CHOICES),
            ListFilter("late", "未完成", _late_condition, LATE_CHOICES, counts=False),
        ),
        search=lambda words, viewer: department_condition(words, viewer.grant),
        search_label="科室名称",
        unit="个",
    )
)

register_listing(DEPARTMENT_LIST, ACTION, names_people=False)
