"""The console's list of doctors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select

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
from dingkao.database.listing.id_filters import is_id
from dingkao.database.listing.list_states import ListState
from dingkao.doctors.code_lists import CATEGORIES, LEVELS, SEXES
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.doctors.name_search import search_condition
from dingkao.people.account_queries import account_states
from dingkao.people.departments import normalise_department_name
from dingkao.people.exported_lists import register_listing
from dingkao.people.models import ACCOUNT_STATES
from dingkao.people.name_lookups import organisation_names
from dingkao.people.organisation_filters import institution_filter
from dingkao.people.scopes import scope_condition

MAX_DEPARTMENT_LENGTH = 50
DOCTOR_FILTER, MAX_FILTER_DOCTORS = "doctor", 2
"""Fifteen characters may be the numbers of two doctors (`candidate_number_indices`)."""
_COLUMNS = (
    ListColumn("name", "姓名", is_fixed=True, sort="name"),
    ListColumn("sex", "性别"),
    ListColumn("number", "证件号码", is_numeric=True),
    ListColumn("level", "级别", sort="level"),
    ListColumn("category", "执业类别", sort="category"),
    ListColumn("institution", "主要执业机构"),
    ListColumn("department", "科室", sort="department"),
    ListColumn("title", "职称"),
)


def doctor_columns(*without: str) -> tuple[ListColumn, ...]:
    """The columns of a list on the screen that say who a doctor is, for lists of doctors and of records.
    `without`: keys of those that are not shown until somebody chooses them."""
    return tuple(replace(column, is_default=column.key not in without) for column in _COLUMNS)


def doctor_filters(*, have_index: bool = False) -> tuple[ListFilter, ...]:
    """The filters by what the roster knows of a doctor, for lists whose query has doctors. `have_index`: the
    rows are doctors alone, whose indexes begin with department and category."""
    return (
        ListFilter(
            "department",
            "科室",
            lambda value, _viewer: Doctor.department == normalise_department_name(value),
            accepts=lambda value: len(value) <= MAX_DEPARTMENT_LENGTH,
            is_indexed=have_index,
            is_lone=True,
        ),
        *level_filters(have_index=have_index),
    )


def level_filters(*, have_index: bool = False) -> tuple[ListFilter, ...]:
    """The filters by level and category alone; `have_index`: the rows are doctors alone, who have an index
    that begins with the category."""
    return (
        ListFilter("level", "级别", lambda value, _viewer: Doctor.level == value, LEVELS),
        ListFilter(
            "category",
            "执业类别",
            lambda value, _viewer: Doctor.category == value,
            CATEGORIES,
            is_indexed=have_index,
            is_lone=True,
        ),
    )


def doctor_filter(column: Any) -> ListFilter:
    """The filter of the rows of doctors who were found by a number: their ids, joined by dots, stand in the
    address, where the number must not (domain.md §9). `column`: the list's column with the doctor's id."""
    return ListFilter(
        DOCTOR_FILTER,
        "号码",
        lambda value, _viewer: in_array(column, map(UUID, value.split("."))),
        accepts=lambda value: all(map(is_id, value.split("."))),
        describe=lambda _value: "查到的医师",
        is_indexed=True,
        is_offered=False,
    )


def doctor_filter_value(doctor_ids: Sequence[UUID]) -> str:
    """The value of the filter for these doctors, of whom it takes the first MAX_FILTER_DOCTORS."""
    return ".".join(map(str, doctor_ids[:MAX_FILTER_DOCTORS]))


def doctor_sorts(tie_breaker: Any) -> tuple[ListSort, ...]:
    """The orders by what the roster knows of a doctor; equal ones by name, then by `tie_breaker`."""
    name = (Doctor.name_key, tie_breaker)
    return (
        ListSort("name", "姓名", name),
        ListSort("department", "科室", (func.coalesce(Doctor.department, ""), *name)),
        ListSort("level", "级别", (Doctor.level, *name)),
        ListSort("category", "执业类别", (Doctor.category, *name)),
    )


def doctor_cells(doctor: Doctor, institution: str) -> dict[str, str]:
    """The cells of `doctor_columns`; the number is masked."""
    return {
        "name": doctor.name,
        "sex": SEXES.get(doctor.sex or "", ""),
        "number": doctor.number_masked,
        "level": LEVELS[doctor.level],
        "category": CATEGORIES[doctor.category],
        "institution": institution,
        "department": doctor.department or "",
        "title": doctor.title or "",
    }


def doctor_search(words: str, viewer: ListViewer) -> ColumnElement[bool]:
    """The condition that a doctor is meant by what was typed, for lists whose query has doctors and is
    limited to the viewer's grant besides. Sends queries: the first who are found are looked up at once."""
    return search_condition(words, viewer.grant)


def _query(viewer: ListViewer, _state: ListState) -> ListQuery:
    """The query of the doctors of the institutions that the viewer's grant reaches."""
    return select(Doctor).where(
        scope_condition(viewer.grant, institution=Doctor.organisation_id),
    )


def _cells(rows: Sequence[ListRow], _viewer: ListViewer) -> CellRows:
    """For each row of `_query` the texts of the list's columns by key; numbers are masked."""
    doctors = [row[0] for row in rows]
    institutions = organisation_names(doctor.organisation_id for doctor in doctors)
    states = account_states(doctor.account_id for doctor in doctors)
    return [
        doctor_cells(doctor, institutions[doctor.organisation_id])
        | {"account": ACCOUNT_STATES[states[doctor.account_id]]}
        for doctor in doctors
    ]


_name_sort, *_further_sorts = doctor_sorts(Doctor.id)

DOCTOR_LIST = register(
    ListDefinition(
        name="doctors",
        title="医师名单",
        action="doctors.view",
        query=_query,
        id_column=Doctor.id,
        columns=(*doctor_columns("title"), ListColumn("account", "账号")),
        cells=_cells,
        sorts=(ListSort("name", "姓名", _name_sort.columns, is_indexed=True), *_further_sorts),
        filters=(
            institution_filter(Doctor.organisation_id),
            doctor_filter(Doctor.id),
            *doctor_filters(have_index=True),
        ),
        search=doctor_search,
        search_label="姓名、拼音、号码、机构、科室",
    )
)

register_listing(
    DOCTOR_LIST,
    "doctors.view",
    reveal_action="doctors.reveal_numbers",
    full_number=lambda row: document_number_of(row[0]),
)
