"""Finding people for the console's search: doctors whom a text finds, by each form in which it can be meant,
within what the person who searches reaches, with their records of the current cycle."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import aliased

from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import current_cycle
from dingkao.database.arrays import in_array, split_into_batches
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
MAX_LOOKED_AT, FIRST_LOOKED_AT, CHECKED_AT_ONCE = 10_000, 500, 1_000
"""Rows of a query that are looked at for those within a grant that no index narrows it to: at most, at first,
and with one statement."""


@dataclass(frozen=True)
class PersonMatch:
    """A doctor who was found, the name of the institution, and the record in the current cycle, if any."""

    doctor: Doctor
    institution: str
    record: Assessment | None


@dataclass(frozen=True)
class MatchGroup:
    """The doctors whom one form has found, the best first; `has_more`: there are others, or may be."""

    form: SearchForm
    people: list[PersonMatch]
    has_more: bool


def search_people(text: str, grant: Grant) -> list[MatchGroup]:
    """Returns the doctors within `grant` whom `text` finds, by form; forms that find nobody are left out, and
    a form shows nobody whom an earlier one shows."""
    found_by_form: dict[str, tuple[list[UUID], bool]] = {}
    shown_ids: set[UUID] = set()
    for form in search_forms():
        found_by_form[form.code] = _find(form, text, grant, shown_ids)
        shown_ids.update(found_by_form[form.code][0][:MAX_SHOWN])
    people = _load_people(shown_ids)
    return [
        MatchGroup(form, [people[doctor_id] for doctor_id in ids[:MAX_SHOWN]], has_more)
        for form in search_forms()
        for ids, has_more in (found_by_form[form.code],)
        if ids
    ]


def find_ids(form: SearchForm, text: str, grant: Grant, *, without: Collection[UUID] = ()) -> list[UUID]:
    """Returns the ids of the first doctors within `grant` whom `text` finds by one form, the best first: up
    to MAX_SHOWN, and one more if there are others. `without`: ids that are left out. Unless the grant is for
    the province or names institutions only, those within it are looked for among the first MAX_LOOKED_AT rows
    that a query finds, so that others may be missed."""
    return _find(form, text, grant, without)[0]


def _find(form: SearchForm, text: str, grant: Grant, without: Collection[UUID]) -> tuple[list[UUID], bool]:
    """Returns the ids as `find_ids`, and whether there are others, or may be behind the rows looked at."""
    cut_queries: list[Query] = []
    queries = form_queries(form, text, grant)
    every_id = chain.from_iterable(_iter_within(query, grant, cut_queries) for query in queries)
    ids = list(islice(_iter_new(every_id, without), MAX_SHOWN + 1))
    return ids, len(ids) > MAX_SHOWN or bool(cut_queries)


def _iter_new(ids: Iterable[UUID], without: Collection[UUID]) -> Iterator[UUID]:
    """Yields each of the ids once, without some."""
    earlier_ids = set(without)
    for doctor_id in ids:
        if doctor_id not in earlier_ids:
            earlier_ids.add(doctor_id)
            yield doctor_id


def find_first_ids(text: str, grant: Grant) -> list[UUID]:
    """Returns the ids of the first doctors within `grant` whom `text` finds by any form, form by form, each
    once: as many of each as `find_ids` gives."""
    return list(dict.fromkeys(chain.from_iterable(find_ids(form, text, grant) for form in search_forms())))


def find_by_number(text: str, grant: Grant) -> list[UUID]:
    """Returns the ids of the first doctors within `grant` with that whole number: of their document,
    admission ticket or certificate."""
    forms = (form for form in search_forms() if form.is_of_number)
    return list(dict.fromkeys(doctor_id for form in forms for doctor_id in find_ids(form, text, grant)))


def may_be_number(text: str, grant: Grant) -> bool:
    """Whether `text` may be somebody's number, which belongs into no address: it is like one, and within
    `grant` no institution's number and no department's name."""
    others = (form for form in search_forms() if not form.is_of_number)
    return is_number(text) and not any(find_ids(form, text, grant) for form in others)


def _iter_within(query: Query, grant: Grant, cut_queries: list[Query]) -> Iterator[UUID]:
    """Yields the ids of the doctors within `grant` that a query finds, in its order, repeatedly where it
    gives them so; rows are asked for as those before are used up. Where the query itself keeps to the grant
    (the province, or institutions only), the first 4 * MAX_SHOWN + 1 rows are given; else the first
    MAX_LOOKED_AT are looked at, and the query is put into `cut_queries` if it may have further ones."""
    if grant.is_province or names_institutions_only(grant):
        yield from db.session.scalars(query.limit(4 * MAX_SHOWN + 1))
        return
    for start, end in ((0, FIRST_LOOKED_AT), (FIRST_LOOKED_AT, MAX_LOOKED_AT)):
        ids = db.session.scalars(query.offset(start).limit(end - start)).all()
        for some_ids in split_into_batches(ids, CHECKED_AT_ONCE):
            reached_ids = _ids_within(some_ids, grant)
            yield from (doctor_id for doctor_id in some_ids if doctor_id in reached_ids)
        if len(ids) < end - start:
            return
    cut_queries.append(query)


def _ids_within(doctor_ids: Collection[UUID], grant: Grant) -> set[UUID]:
    """Those of some doctors who are within `grant`: now at its institutions or in its departments, or with a
    record that its assessment organisations assess."""
    is_of_institution = scope_condition(
        grant, institution=Doctor.organisation_id, department=Doctor.department
    )
    query = select(Doctor.id).where(
        in_array(Doctor.id, doctor_ids), or_(is_of_institution, _is_assessed(Doctor.id, grant))
    )
    return set(db.session.scalars(query))


def _is_assessed(doctor_id: Any, grant: Grant) -> ColumnElement[bool]:
    """The SQL condition that the doctor, whose id's column is `doctor_id`, has a record, of any cycle, that
    the grant's assessment organisations assess."""
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
