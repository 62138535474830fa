"""Finding departments (科室) by name: in their list, and as suggestions while a name is typed. Within an
institution, which has few, a part of the name suffices; in a province the name has to begin with it, because
a range is what an index finds (tenancy.md rule 11)."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, select, text

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.people.department_models import Department
from dingkao.people.departments import MAX_NAME_LENGTH, normalise_department_name
from dingkao.people.models import Membership
from dingkao.people.name_grams import LAST_CHARACTER
from dingkao.people.permissions import SCOPES, Scope
from dingkao.people.scopes import Grant
from dingkao.tenants.context import current_tenant

INSTITUTION_SCOPES = (Scope.INSTITUTION, Scope.DEPARTMENT)
MAX_SUGGESTIONS, MAX_LISTED = 10, 300
"""How many names are suggested; up to how many departments a list is given their ids."""

_NEXT_NAMES = text("""
WITH RECURSIVE known AS (
    (SELECT name FROM department
     WHERE tenant_id = :tenant AND closed_at IS NULL AND name ~>=~ :first AND name ~<~ :last
     ORDER BY name USING ~<~ LIMIT 1)
    UNION ALL
    SELECT (SELECT further.name FROM department AS further
            WHERE further.tenant_id = :tenant AND further.closed_at IS NULL
                AND further.name ~>~ known.name AND further.name ~<~ :last
            ORDER BY further.name USING ~<~ LIMIT 1)
    FROM known WHERE known.name IS NOT NULL
)
SELECT name FROM known WHERE name IS NOT NULL LIMIT :most
""")
"""The different names of a range, each by a look into the index: «内科» may stand there for every
institution."""


def department_condition(words: str, grant: Grant) -> ColumnElement[bool]:
    """Returns the SQL condition that a department is meant by what was typed: that its name contains it or,
    for the whole province, begins with it; each department for nothing typed. Closed ones fit, too, and it
    doesn't limit to `grant`. Sends a query for the whole province: up to MAX_LISTED departments are looked up
    beforehand, so that the list's plan is that of a few ids."""
    name = _typed_name(words)
    if not grant.is_province:
        return Department.name.contains(name, autoescape=True)
    begins = _begins_with(name)
    first_ids = db.session.scalars(select(Department.id).where(begins).limit(MAX_LISTED + 1)).all()
    return in_array(Department.id, first_ids) if len(first_ids) <= MAX_LISTED else begins


def suggest_department_names(words: str, memberships: Iterable[Membership]) -> list[str]:
    """Returns up to MAX_SUGGESTIONS different names of open departments that fit what was typed: of the own
    institutions for somebody whose `memberships` are all of institutions, else of the province. Nothing typed
    gives an empty list."""
    name = _typed_name(words)
    if not name:
        return []
    own_ids = {
        membership.organisation_id if SCOPES[membership.role] in INSTITUTION_SCOPES else None
        for membership in memberships
    }
    if not own_ids or None in own_ids:
        return _suggest_in_province(name)
    query = select(Department.name).where(
        in_array(Department.organisation_id, own_ids),
        Department.closed_at.is_(None),
        Department.name.contains(name, autoescape=True),
    )
    return list(db.session.scalars(query.distinct().order_by(Department.name).limit(MAX_SUGGESTIONS)))


def _suggest_in_province(name: str) -> list[str]:
    """The first MAX_SUGGESTIONS different names of the province's open departments that begin with `name`."""
    parameters = {
        "tenant": current_tenant(),
        "first": name,
        "last": name + LAST_CHARACTER,
        "most": MAX_SUGGESTIONS,
    }
    return list(db.session.scalars(_NEXT_NAMES, parameters))


def _typed_name(words: str) -> str:
    """What was typed, in the form in which names of departments are stored, cut to what may be one."""
    return normalise_department_name(words[: 2 * MAX_NAME_LENGTH])


def _begins_with(name: str) -> ColumnElement[bool]:
    """The SQL condition that a department's name begins with `name`, by its index of characters."""
    column: Any = Department.name
    return and_(
        column.op("~>=~", is_comparison=True)(name),
        column.op("~<~", is_comparison=True)(name + LAST_CHARACTER),
    )
