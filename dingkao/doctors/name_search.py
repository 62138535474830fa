"""Finding doctors by whatever somebody types: a name or a part of it, pinyin, initials, a number or its last
four characters, an institution, a department; rooms above register further forms (`register_form`: ticket
and certificate numbers).

Every form is an equality or a range of an index (tenancy.md rule 11), and its queries are in the order of
that index, so that the first page costs the same for a rare name as for a surname of thirty thousand."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select, true, tuple_, union_all
from sqlalchemy.orm import aliased

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor, DoctorSearchKey
from dingkao.doctors.number_indices import candidate_number_indices, name_sort_key, number_tail_index
from dingkao.doctors.search_keys import DEPARTMENT, FIRST_CHARACTER, INITIALS, PINYIN, fold_pinyin
from dingkao.people.name_grams import (
    LAST_CHARACTER,
    PAIR,
    TRIPLE,
    TRIPLE_LENGTH,
    contains_folded,
    fold_for_search,
    has_prefix,
    rarest_keys,
    triple_keys,
)
from dingkao.people.names import normalise_name
from dingkao.people.organisation_search import organisation_condition, search_organisation_ids
from dingkao.people.scopes import Grant
from dingkao.tenants.encryption import normalise_text

MAX_TEXT_LENGTH = 100
MAX_LISTED = 300
"""Doctors that are found up to which a list is given their ids, and beyond which a subquery."""
MAX_INSTITUTIONS = 5
MAX_INITIALS = 8
_NUMBER_PATTERN = re.compile(r"(?=.*\d)[0-9A-Z()/\-]{5,64}")
_MANY_DIGITS_PATTERN = re.compile(r"[0-9]{8}")
_TAIL_PATTERN = re.compile(r"(?=.*\d)[0-9A-Z]{4}")
Query = Select[UUID, str]
"""A query of doctors' ids and their `name_key`, in the order in which they are shown; a doctor may come more
than once."""


@dataclass(frozen=True)
class SearchForm:
    """A way of finding doctors. `label`: what was matched, for the page; `queries`: for a text as it was
    typed (stripped, not empty) and the grant of the person who searches, the queries that find doctors by it,
    the best first; none where the text cannot be meant so; it may look something up for that. A grant of
    institutions alone is kept by the queries (`institution_condition`), any other by the caller.
    `list_queries`: those of a list, which takes all whom a text finds, where `queries` give the best alone;
    `is_of_number`: it finds people by numbers of their own."""

    code: str
    label: str
    queries: Callable[[str, Grant], list[Query]]
    list_queries: Callable[[str, Grant], list[Query]] | None = None
    is_of_number: bool = False


def search_forms() -> tuple[SearchForm, ...]:
    """All forms, in the order in which they are shown."""
    return tuple(_FORMS)


def register_form(form: SearchForm) -> None:
    """Add a form of a room above. Raises ValueError if there is one with its code."""
    if any(registered.code == form.code for registered in _FORMS):
        raise ValueError(form.code)
    _FORMS.append(form)


def form_queries(form: SearchForm, text: str, grant: Grant, *, for_list: bool = False) -> list[Query]:
    """The queries by which `form` finds doctors for a text as it was typed, or a list's (`for_list`); none
    for an empty text or one of more than MAX_TEXT_LENGTH characters. They are not sent here, but some forms
    look up institutions or count keys first. Any grant but one of institutions alone is kept by the
    caller."""
    typed_text = normalise_name(text)[: MAX_TEXT_LENGTH + 1]
    if not typed_text or len(typed_text) > MAX_TEXT_LENGTH:
        return []
    queries = (for_list and form.list_queries) or form.queries
    return queries(typed_text, grant)


def is_number(text: str) -> bool:
    """Whether `text` may be a whole document number, or has one in it, which belongs into no address
    (domain.md §9)."""
    number = normalise_text(text)
    return bool(_NUMBER_PATTERN.fullmatch(number) or _MANY_DIGITS_PATTERN.search(number))


def search_condition(text: str, grant: Grant, doctor_id: Any = Doctor.id) -> ColumnElement[bool]:
    """The SQL condition that a row of a list is of a doctor whom `text` finds by any form; true for an empty
    text, false for one that no form takes, as of more than MAX_TEXT_LENGTH characters. `doctor_id`: the
    list's column with the doctor's id; `grant`: of the person who looks, by which the list must be limited
    besides.
    Sends queries: of each query up to MAX_LISTED doctors are looked up beforehand, so that the list's plan is
    that of a few ids. Where one finds more it is a subquery; if `doctor_id` is Doctor's own, names are then
    narrowed too, so that a list sorted by name begins where the first of them stands."""
    if not text.strip():
        return true()
    queries = [query for form in search_forms() for query in form_queries(form, text, grant, for_list=True)]
    first_ids = [db.session.scalars(query.limit(MAX_LISTED + 1)).all() for query in queries]
    if max(map(len, first_ids), default=0) <= MAX_LISTED:
        return in_array(doctor_id, set(chain.from_iterable(first_ids)))
    every_match = union_all(*map(_ids_query, queries)).subquery()
    is_match = doctor_id.in_(select(next(iter(every_match.columns))))
    return and_(is_match, _name_range(queries)) if doctor_id is Doctor.id else is_match


def _name_range(queries: list[Query]) -> ColumnElement[bool]:
    """The condition that a doctor's name stands between the first and the last that the queries find, which
    is looked up for each of them."""
    bounds = [db.session.execute(_bounds_query(query)).one() for query in queries]
    return Doctor.name_key.between(
        func.least(*(first for first, _ in bounds)),
        func.greatest(*(last for _, last in bounds)),
    )


def _ids_query(query: Query) -> Select[UUID]:
    """The query of the ids alone, in no order."""
    return query.order_by(None).with_only_columns(query.column_descriptions[0]["expr"])


def _bounds_query(query: Query) -> Select[str | None, str | None]:
    """The query of the first and the last name that `query` finds, which an index tells at once where its
    condition is an equality."""
    name_key = query.column_descriptions[1]["expr"]
    return query.order_by(None).with_only_columns(func.min(name_key), func.max(name_key))


def _by_doctor(condition: ColumnElement[bool], grant: Grant) -> Query:
    """The query of doctors of whose rows the condition holds, by name. Only a grant of institutions alone
    narrows it (`institution_condition`); any other grant is kept by the caller."""
    return (
        select(Doctor.id, Doctor.name_key)
        .where(condition, institution_condition(grant, Doctor.organisation_id))
        .order_by(Doctor.name_key, Doctor.id)
    )


def _by_key(condition: ColumnElement[bool], grant: Grant, *first_order: Any) -> Query:
    """The query of doctors with a key of that condition, by name; `first_order`: columns before the name.
    Narrowed by a grant of institutions alone; any other grant is kept by the caller."""
    return (
        select(DoctorSearchKey.doctor_id, DoctorSearchKey.name_key)
        .where(condition, institution_condition(grant, DoctorSearchKey.organisation_id))
        .order_by(*first_order, DoctorSearchKey.name_key, DoctorSearchKey.doctor_id)
    )


def _by_prefix(prefix: str, grant: Grant) -> Query:
    """The query of doctors with a key that begins with `prefix`, by the key; a doctor comes with each of the
    keys. Narrowed by a grant of institutions alone; any other grant is kept by the caller. At one institution
    the range is one of its index, and of no other: PostgreSQL takes ranges of keys for shorter than they are,
    and would walk over those of the province."""
    if _names_one_institution(grant):
        institution_id = grant.institution_ids[0]
        columns = tuple_(DoctorSearchKey.organisation_id, DoctorSearchKey.key)
        begins = and_(
            columns >= (institution_id, prefix),
            columns < (institution_id, prefix + LAST_CHARACTER),
        )
        return _by_key(begins, grant, DoctorSearchKey.key)
    return _by_key(has_prefix(DoctorSearchKey.key, prefix), grant, DoctorSearchKey.key)


def institution_condition(grant: Grant, column: Any) -> ColumnElement[bool]:
    """The condition that narrows what is found to the institutions of a grant that names nothing else, by
    `column`, which holds the institution's id; true for other grants, whose callers narrow it."""
    if not names_institutions_only(grant):
        return true()
    if _names_one_institution(grant):
        return column == grant.institution_ids[0]
    return in_array(column, grant.institution_ids)


def names_institutions_only(grant: Grant) -> bool:
    """Whether a grant reaches the doctors of certain institutions and nobody else."""
    others = (grant.is_province, grant.assessor_ids, grant.divisions, grant.departments)
    return bool(grant.institution_ids) and not any(others)


def _names_one_institution(grant: Grant) -> bool:
    """Whether a grant reaches the doctors of one institution and nobody else."""
    return names_institutions_only(grant) and len(grant.institution_ids) == 1


def _name_queries(text: str, grant: Grant) -> list[Query]:
    """The whole name; then names that begin with the one character, or contain the characters in a row."""
    folded = fold_for_search(text)
    if not folded:
        return []
    if len(folded) == 1:
        return [_by_key(DoctorSearchKey.key == FIRST_CHARACTER + folded, grant)]
    whole_names = dict.fromkeys((normalise_name(text), folded))
    queries = [_by_doctor(Doctor.name_key == name_sort_key(name), grant) for name in whole_names]
    return [*queries, _containing(folded, grant)]


def _containing(folded: str, grant: Grant) -> Query:
    """The query of doctors whose folded name contains `folded`, of two characters or more; of three, those
    of just that name, who have no triple, are left out. Above three, one query is sent to count. Two or three
    characters are one key, whose rows stand in the order of names; of more, those with their rarest triples,
    whose names are then compared."""
    if len(folded) <= TRIPLE_LENGTH:
        kind = PAIR if len(folded) < TRIPLE_LENGTH else TRIPLE
        return _by_key(DoctorSearchKey.key == kind + folded, grant)
    keys = rarest_keys(DoctorSearchKey, triple_keys(folded))
    query = _by_key(DoctorSearchKey.key == keys[0], grant)
    for key in keys[1:]:
        other = aliased(DoctorSearchKey)
        is_same_doctor = and_(
            other.tenant_id == DoctorSearchKey.tenant_id,
            other.name_key == DoctorSearchKey.name_key,
            other.doctor_id == DoctorSearchKey.doctor_id,
        )
        has_other = and_(other.key == key, institution_condition(grant, other.organisation_id))
        query = query.join(other, is_same_doctor).where(has_other)
    is_doctor = and_(
        Doctor.tenant_id == DoctorSearchKey.tenant_id,
        Doctor.id == DoctorSearchKey.doctor_id,
    )
    return query.join(Doctor, is_doctor).where(contains_folded(Doctor.name, folded))


def _pinyin_queries(text: str, grant: Grant) -> list[Query]:
    """Names whose pinyin begins with the letters; then those whose initials do."""
    spellings = fold_pinyin(text)
    queries = [_by_prefix(PINYIN + letters, grant) for letters in spellings if len(letters) > 1]
    if spellings and len(spellings[0]) <= MAX_INITIALS:
        queries.append(_by_prefix(INITIALS + spellings[0], grant))
    return queries


def _number_queries(text: str, grant: Grant) -> list[Query]:
    """The whole document number; or its last four letters and digits."""
    number = normalise_text(text)
    if _TAIL_PATTERN.fullmatch(number):
        return [_by_doctor(Doctor.tail_index == number_tail_index(number), grant)]
    if _NUMBER_PATTERN.fullmatch(number):
        number_indices = candidate_number_indices(number).values()
        return [_by_doctor(in_array(Doctor.number_index, number_indices), grant)]
    return []


def _institution_queries(text: str, grant: Grant) -> list[Query]:
    """The doctors of the first MAX_INSTITUTIONS institutions that the text may mean by a part of a name or
    its 登记号, which are looked up here: those of the one that fits best, then, institution by institution in
    the order of the index, those of the others."""
    if len(text) < 2:
        return []
    ids = search_organisation_ids(text, MAX_INSTITUTIONS, partial(institution_condition, grant))
    queries = [_by_doctor(Doctor.organisation_id == first_id, grant) for first_id in ids[:1]]
    if len(ids) > 1:
        of_others = _by_doctor(in_array(Doctor.organisation_id, ids[1:]), grant).order_by(None)
        queries.append(of_others.order_by(Doctor.organisation_id, Doctor.name_key, Doctor.id))
    return queries


def _institution_list_queries(text: str, grant: Grant) -> list[Query]:
    """The doctors of all institutions that the text may mean by a part of a name or its 登记号, in no order;
    the first of these are looked up here."""
    if len(text) < 2:
        return []
    is_of_institution = organisation_condition(text, organisation_id=Doctor.organisation_id)
    return [_by_doctor(is_of_institution, grant).order_by(None)]


def _department_queries(text: str, grant: Grant) -> list[Query]:
    """The doctors of the department of exactly this name; then of those that begin with it."""
    folded = fold_for_search(text)
    if len(folded) < 2:
        return []
    exact = _by_key(DoctorSearchKey.key == DEPARTMENT + folded, grant)
    return [exact, _by_prefix(DEPARTMENT + folded, grant)]


_FORMS = [
    SearchForm("name", "姓名", _name_queries),
    SearchForm("pinyin", "拼音", _pinyin_queries),
    SearchForm("number", "证件号码", _number_queries, is_of_number=True),
    SearchForm("institution", "机构", _institution_queries, _institution_list_queries),
    SearchForm("department", "科室", _department_queries),
]
