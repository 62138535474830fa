"""Finding people for the console's search: doctors whom a text finds, by each form in which it can be meant,
within what the person who searches reaches, with their records of the current cycle."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import aliased

from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import current_cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.row_lookups import has_row
from dingkao.doctors.doctor_queries import doctors_by_id
from dingkao.doctors.models import Doctor
from dingkao.doctors.name_search import (
    Query,
    SearchForm,
    form_queries,
    is_number,
    names_institutions_only,
    search_forms,
)
from dingkao.people.name_lookups import organisation_names
from dingkao.people.scopes import Grant, scope_condition

MAX_SHOWN = 20
"""Doctors that are shown of each form."""


@dataclass(frozen=True)
class PersonMatch:
    """A doctor who was found, the name of the institution, and the record in the current cycle, if any."""

    doctor: Doctor
    institution: str
    record: Assessment | None


@dataclass(frozen=True)
class MatchGroup:
    """The doctors whom one form has found, the best first; `has_more`: there are others."""

    form: SearchForm
    people: list[PersonMatch]
    has_more: bool


def search_people(text: str, grant: Grant) -> list[MatchGroup]:
    """Returns the doctors within `grant` whom `text` finds, by form; forms that find nobody are left out, and
    a form shows nobody whom an earlier one shows."""
    ids_by_form: dict[str, list[UUID]] = {}
    shown_ids: set[UUID] = set()
    for form in search_forms():
        ids_by_form[form.code] = find_ids(form, text, grant, without=shown_ids)
        shown_ids.update(ids_by_form[form.code][:MAX_SHOWN])
    people = _load_people(shown_ids)
    return [
        MatchGroup(form, [people[doctor_id] for doctor_id in ids[:MAX_SHOWN]], len(ids) > MAX_SHOWN)
        for form in search_forms()
        if (ids := ids_by_form[form.code])
    ]


def find_ids(form: SearchForm, text: str, grant: Grant, *, without: Collection[UUID] = ()) -> list[UUID]:
    """Returns the ids of the first doctors within `grant` whom `text` finds by one form, the best first: up
    to MAX_SHOWN, and one more if there are others. `without`: ids that are left out."""
    queries = [_within(query, grant) for query in form_queries(form, text, grant)]
    ids = (doctor_id for doctor_id in _iter_ids(queries) if doctor_id not in without)
    return list(islice(ids, MAX_SHOWN + 1))


def find_first_ids(text: str, grant: Grant) -> list[UUID]:
    """Returns the ids of the first doctors within `grant` whom `text` finds by any form, form by form, each
    once: as many of each as `find_ids` gives."""
    return list(dict.fromkeys(chain.from_iterable(find_ids(form, text, grant) for form in search_forms())))


def find_by_number(text: str, grant: Grant) -> list[UUID]:
    """Returns the ids of the doctors within `grant` with that whole number: of their document, admission
    ticket or certificate."""
    forms = (form for form in search_forms() if form.is_of_number)
    return list(dict.fromkeys(doctor_id for form in forms for doctor_id in find_ids(form, text, grant)))


def may_be_number(text: str, grant: Grant) -> bool:
    """Whether `text` may be somebody's number, which belongs into no address: it is like one, and within
    `grant` no institution's number and no department's name."""
    others = (form for form in search_forms() if not form.is_of_number)
    return is_number(text) and not any(find_ids(form, text, grant) for form in others)


def _iter_ids(queries: list[Query]) -> Iterator[UUID]:
    """Yields the ids that the queries find, each once, in their order; a query is sent when those before are
    used up. Of each, several times as many rows are asked for as are shown: a doctor may come repeatedly."""
    yielded_ids: set[UUID] = set()
    for query in queries:
        for doctor_id in db.session.scalars(query.limit(4 * MAX_SHOWN + 1)):
            if doctor_id not in yielded_ids:
                yielded_ids.add(doctor_id)
                yield doctor_id


def _within(query: Query, grant: Grant) -> Query:
    """Returns the query limited to doctors within `grant`: of its institutions, which the forms see to where
    it names nothing else, and departments, or with a record that its assessment organisations assess."""
    if grant.is_province or names_institutions_only(grant):
        return query
    doctor_id = query.column_descriptions[0]["expr"]
    return query.where(or_(_is_of_institution(doctor_id, grant), _is_assessed(doctor_id, grant)))


def _is_of_institution(doctor_id: Any, grant: Grant) -> ColumnElement[bool]:
    """SQL: whether the doctor is now at an institution or in a department within the grant."""
    doctor = aliased(Doctor)
    of_institution = select(doctor.id).where(
        doctor.id == doctor_id,
        scope_condition(grant, institution=doctor.organisation_id, department=doctor.department),
    )
    return of_institution.exists()


def _is_assessed(doctor_id: Any, grant: Grant) -> ColumnElement[bool]:
    record = aliased(Assessment)
    assessed = select(record.id).where(
        record.doctor_id == doctor_id,
        in_array(record.assessor_id, grant.assessor_ids),
    )
    return has_row(assessed)


def _load_people(doctor_ids: set[UUID]) -> dict[UUID, PersonMatch]:
    """The doctors with these ids, by id, with institution and record."""
    doctors = doctors_by_id(doctor_ids)
    institutions = organisation_names(doctor.organisation_id for doctor in doctors.values())
    records = _records_of(doctor_ids)
    return {
        doctor_id: PersonMatch(doctor, institutions[doctor.organisation_id], records.get(doctor_id))
        for doctor_id, doctor in doctors.items()
    }


def _records_of(doctor_ids: set[UUID]) -> dict[UUID, Assessment]:
    """The newest records of these doctors in the current cycle, by doctor's id."""
    cycle = current_cycle()
    if cycle is None:
        return {}
    query = select(Assessment).where(
        Assessment.cycle_id == cycle.id,
        in_array(Assessment.doctor_id, doctor_ids),
    )
    return {record.doctor_id: record for record in db.session.scalars(query.order_by(Assessment.id))}
