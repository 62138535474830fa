"""Whose records a person reaches with an action: computed once from the table (`people/permissions`), then
applied to queries as a SQL condition and to loaded rows as a check."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    and_,
    exists,
    false,
    or_,
    select,
    true,
)

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.people.department_models import Department
from dingkao.people.models import Membership, Organisation
from dingkao.people.permissions import ACTION_ROLES, SCOPES, Scope
from dingkao.tenants.acting_place import current_place, place_code


@dataclass(frozen=True)
class Grant:
    """The records that may be reached with one action.
    `is_province`: all of the province; else the records of the institutions `institution_ids`, those assessed
    by the organisations `assessor_ids`, those of institutions in `divisions` (codes of GB/T 2260 without
    trailing zeros: two digits for a province, four for a prefecture, six for a county), those of the doctors
    of `departments` (pairs of institution's and department's id), and those of the account `account_id`."""

    is_province: bool = False
    institution_ids: tuple[UUID, ...] = ()
    assessor_ids: tuple[UUID, ...] = ()
    divisions: tuple[str, ...] = ()
    departments: tuple[tuple[UUID, UUID], ...] = ()
    account_id: UUID | None = None

    @property
    def organisation_ids(self) -> tuple[UUID, ...]:
        """The ids in `institution_ids` and `assessor_ids`, each once."""
        return tuple(dict.fromkeys((*self.institution_ids, *self.assessor_ids)))


WHOLE_PROVINCE = Grant(is_province=True)


def grant_for(
    action: str,
    memberships: Iterable[Membership],
    *,
    doctor_account_id: UUID | None = None,
) -> Grant:
    """What somebody with `memberships` reaches with `action`. `doctor_account_id`: the account of a doctor,
    who reaches the own record. No role has the scope of an office yet, so `divisions` stays empty. Only the
    organisations of roles that grant the action count: a person who is clerk at one organisation and reviewer
    at another concludes only at the second. Raises KeyError for an unknown action."""
    granting_roles = ACTION_ROLES[action]
    granting = [membership for membership in memberships if membership.role in granting_roles]
    return Grant(
        is_province=any(SCOPES[membership.role] is Scope.PROVINCE for membership in granting),
        institution_ids=_organisation_ids(granting, Scope.INSTITUTION),
        assessor_ids=_organisation_ids(granting, Scope.ASSESSOR),
        departments=_departments(granting),
        account_id=doctor_account_id if "doctor" in granting_roles else None,
    )


def load_grant(action: str, account_id: UUID | None) -> Grant:
    """What a member of staff reaches with `action` by the roles held now, of somebody with several
    organisations only those at the place chosen (`at_current_place`); for jobs, which run later than the
    request. Nothing for None or an unknown account. Raises KeyError for an unknown action."""
    memberships = db.session.scalars(select(Membership).where(Membership.account_id == account_id))
    return grant_for(action, at_current_place(memberships.all()))


def at_current_place(memberships: Sequence[Membership]) -> list[Membership]:
    """Those of somebody's memberships that count now: those at the place where the person acts
    (`acting_place`); all if none was chosen, or none is held there any more."""
    place = current_place()
    chosen = [membership for membership in memberships if place_code(membership.organisation_id) == place]
    return chosen or list(memberships)


def _organisation_ids(memberships: Iterable[Membership], scope: Scope) -> tuple[UUID, ...]:
    """The ids of the organisations of the memberships whose role has `scope`, each once, in order."""
    organisation_ids = (
        membership.organisation_id
        for membership in memberships
        if membership.organisation_id is not None and SCOPES[membership.role] is scope
    )
    return tuple(dict.fromkeys(organisation_ids))


def _departments(memberships: Iterable[Membership]) -> tuple[tuple[UUID, UUID], ...]:
    """The departments of the memberships whose role reaches no more than a department, each once, as pairs of
    institution's and department's id."""
    pairs = (
        (membership.organisation_id, membership.department_id)
        for membership in memberships
        if membership.organisation_id is not None
        and membership.department_id is not None
        and SCOPES[membership.role] is Scope.DEPARTMENT
    )
    return tuple(dict.fromkeys(pairs))


def scope_condition(
    grant: Grant,
    *,
    institution: Any = None,
    assessor: Any = None,
    department: Any = None,
    account: Any = None,
) -> ColumnElement[bool]:
    """The SQL condition that a row is within `grant`.
    The keyword arguments are columns of the queried tables: the id of the institution, of the assessment
    organisation, and of the doctor's account; `department`, which goes with `institution`, is the name of the
    doctor's department. A part of the grant whose column isn't given reaches no rows.
    """
    if grant.is_province:
        return true()
    conditions = [
        *_institution_conditions(grant, institution),
        *_assessor_conditions(grant, assessor),
        *_department_conditions(grant, institution, department),
        *_account_conditions(grant, account),
    ]
    return or_(*conditions) if conditions else false()


def _institution_conditions(grant: Grant, institution: Any) -> Iterator[ColumnElement[bool]]:
    """Yield SQL conditions that an institution (`institution`: the column of its id, None: none) is within
    the grant by itself or by its division."""
    if institution is None:
        return
    if grant.institution_ids:
        yield in_array(institution, grant.institution_ids)
    for division in grant.divisions:
        yield _division_condition(division, institution)


def _assessor_conditions(grant: Grant, assessor: Any) -> Iterator[ColumnElement[bool]]:
    """Yield the SQL condition that an assessment organisation (`assessor`: the column of its id, None: none)
    is one of the grant's; nothing for a grant without any."""
    if assessor is not None and grant.assessor_ids:
        yield in_array(assessor, grant.assessor_ids)


def _department_conditions(grant: Grant, institution: Any, department: Any) -> Iterator[ColumnElement[bool]]:
    """Yield the SQL condition that the institution has one of the grant's departments with this name. The
    institutions are named besides, so that the plan begins at their index. Nothing without both columns, or
    for a grant without departments."""
    if institution is None or department is None or not grant.departments:
        return
    institution_ids = {institution_id for institution_id, _ in grant.departments}
    names_department = exists().where(
        in_array(Department.id, [department_id for _, department_id in grant.departments]),
        Department.organisation_id == institution,
        Department.name == department,
    )
    yield and_(in_array(institution, institution_ids), names_department)


def _account_conditions(grant: Grant, account: Any) -> Iterator[ColumnElement[bool]]:
    """Yield the SQL condition that an account (`account`: the column of its id, None: none) is that of the
    grant; nothing for a grant without one."""
    if account is not None and grant.account_id is not None:
        yield account == grant.account_id


def in_scope(
    grant: Grant,
    *,
    institution_id: UUID | None = None,
    assessor_id: UUID | None = None,
    account_id: UUID | None = None,
    division: str | None = None,
) -> bool:
    """Whether a loaded row is within `grant`, given the ids of its institution, assessment organisation and
    doctor's account, and the division of its institution. A department's rows are found by
    `scope_condition` alone."""
    return (
        grant.is_province
        or _is_one_of(institution_id, grant.institution_ids)
        or _is_one_of(assessor_id, grant.assessor_ids)
        or _is_one_of(account_id, (grant.account_id,))
        or (division is not None and division.startswith(grant.divisions))
    )


def _is_one_of(row_id: UUID | None, ids: tuple[UUID | None, ...]) -> bool:
    return row_id is not None and row_id in ids


def _division_condition(division: str, institution: Any) -> ColumnElement[bool]:
    """The SQL condition that the institution is in `division`: a range of codes, so that the index on
    `division` is used."""
    after_last = str(int(division) + 1).zfill(len(division))
    return exists().where(
        and_(
            Organisation.id == institution,
            Organisation.division >= division,
            Organisation.division < after_last,
        )
    )
