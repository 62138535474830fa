"""What becomes of the staff of an organisation that is merged into another one, or closed."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people import sign_in_sessions
from dingkao.people.department_models import Department
from dingkao.people.departments import add_departments, department_names
from dingkao.people.models import Account, Membership, Organisation
from dingkao.people.notice_catalogue import STAFF_MOVED
from dingkao.people.notices import notify_account
from dingkao.people.organisation_succession import Succession, add_succession_part
from dingkao.people.staff_accounts import close_account


def _move_departments(departments: Sequence[Department], succession: Succession) -> None:
    """Give the successor departments of these names, where it has none, and close these; what is added there
    is journalled. One that the successor has closed stays closed."""
    successor_id = succession.successor.id
    add_departments([(successor_id, department.name) for department in departments], by=succession.by)
    for department in departments:
        department.closed_at = clock.now()


def _move_memberships(memberships: Sequence[Membership], succession: Succession) -> None:
    """Give staff the same roles at the successor, where they don't hold them already, and tell them; each
    role is journalled. Their sessions go on."""
    successor_id = succession.successor.id
    account_ids = {membership.account_id for membership in memberships}
    successors = _successor_departments(memberships, succession)
    query = select(Membership.account_id, Membership.role, Membership.department_id).where(
        Membership.organisation_id == successor_id,
        in_array(Membership.account_id, account_ids),
    )
    held_roles = set(map(tuple, db.session.execute(query)))
    for membership in memberships:
        journal.write_entry(
            "account",
            membership.account_id,
            "role_moved",
            by=succession.by,
            role=membership.role,
            organisation=str(successor_id),
        )
        department_id = successors.get(membership.department_id) if membership.department_id else None
        if (membership.account_id, membership.role, department_id) in held_roles:
            db.session.delete(membership)
        else:
            membership.organisation_id, membership.department_id = successor_id, department_id
    for account_id in account_ids:
        notify_account(
            account_id,
            STAFF_MOVED,
            former=succession.predecessor.name,
            institution=succession.successor.name,
        )


def _successor_departments(
    memberships: Sequence[Membership],
    succession: Succession,
) -> dict[UUID, UUID]:
    """Department id of the memberships → id of the successor's department of that name, which is added where
    it has none: that of a department closed before the merger."""
    names = department_names(membership.department_id for membership in memberships)
    if not names:
        return {}
    successor_id = succession.successor.id
    add_departments([(successor_id, name) for name in names.values()], by=succession.by)
    query = select(Department.name, Department.id).where(
        Department.organisation_id == successor_id,
        in_array(Department.name, set(names.values())),
    )
    ids_by_name = dict(db.session.execute(query).all())
    return {department_id: ids_by_name[name] for department_id, name in names.items()}


def dismiss_staff(organisation: Organisation, *, reason: str, by: Actor) -> None:
    """Take the roles at an organisation from its staff and end their sessions; who holds no other role has
    the account closed. Each role is journalled. Locks the accounts, flushes. Raises, for an account to be
    closed, InvalidInput without a reason, Forbidden if `by` may not close accounts, InvalidState for the own
    one."""
    query = select(Membership).where(Membership.organisation_id == organisation.id)
    memberships = db.session.scalars(query).all()
    account_ids = {membership.account_id for membership in memberships}
    for membership in memberships:
        journal.write_entry(
            "account",
            membership.account_id,
            "role_removed",
            by=by,
            role=membership.role,
            organisation=str(organisation.id),
        )
        db.session.delete(membership)
    db.session.flush()
    for account in _lock_accounts(account_ids):
        sign_in_sessions.end_all_sessions(account.id)
        has_role = select(Membership.id).where(Membership.account_id == account.id).limit(1)
        if account.state != "closed" and db.session.scalar(has_role) is None:
            close_account(account, by=by, reason=reason)


def _lock_accounts(account_ids: set[UUID]) -> Sequence[Account]:
    """The accounts with these ids, locked in the order of ids; those that the session has loaded before
    aren't refreshed."""
    query = select(Account).where(in_array(Account.id, account_ids)).order_by(Account.id)
    return db.session.scalars(query.with_for_update()).all()


add_succession_part(
    "科室",
    "个",
    lambda predecessor_id: select(Department).where(
        Department.organisation_id == predecessor_id,
        Department.closed_at.is_(None),
    ),
    _move_departments,
    keeps_open=False,
)
add_succession_part(
    "工作人员的角色",
    "个",
    lambda predecessor_id: select(Membership).where(Membership.organisation_id == predecessor_id),
    _move_memberships,
    keeps_open=False,
)
