"""Taking back that an organisation is an assessment organisation (考核机构): only where nothing is left that
it has to do as one. What each room counts as that is said with its parts (`organisation_succession`)."""

from sqlalchemy import func, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import InvalidInput
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.models import Membership, Organisation
from dingkao.people.organisation_succession import count_assessor_parts
from dingkao.people.permissions import SCOPES, Scope

REMEDY = "请先为所考核的机构另行指定考核机构，办结考核记录、评定会和线下成绩，移除考核机构的角色，再取消。"


def withdraw_assessor(organisation: Organisation, *, by: Actor) -> None:
    """Make `organisation` (locked, so that nobody assigns it meanwhile) no assessment organisation any more
    and journal it; does nothing if it is none. Flushes before it counts. Results, halls and slots that it has
    stay. Raises InvalidInput for the field `assesses`, naming what it still has to do and what helps."""
    if not organisation.assesses:
        return
    db.session.flush()
    duties = [
        f"{count.part.label}{count.number:,}{count.part.unit}"
        for count in count_assessor_parts(organisation.id)
    ]
    if role_count := _count_assessor_roles(organisation):
        duties.append(f"考核机构的角色{role_count:,}个")
    if duties:
        raise InvalidInput(
            f"{organisation.name}还有{'、'.join(duties)}，不能取消考核机构。{REMEDY}", "assesses"
        )
    organisation.assesses = False
    journal.write_entry("organisation", organisation.id, "appointment_withdrawn", by=by)


def _count_assessor_roles(organisation: Organisation) -> int:
    """How many roles of assessment organisations are held at this organisation."""
    roles = [role for role, scope in SCOPES.items() if scope is Scope.ASSESSOR]
    query = select(func.count()).where(
        Membership.organisation_id == organisation.id, in_array(Membership.role, roles)
    )
    return int(db.session.scalar(query) or 0)
