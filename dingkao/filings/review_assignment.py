"""Who of several reviewers looks at which of the records that wait (分配): given by hand, by department or
evenly, and handed over (工作交接). A record that was given to somebody is not offered to others as the next;
they may open it all the same."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Update, and_, case, false, func, or_, select, update

from dingkao import clock
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import RECALLABLE_STATES, STATES_BY_SIDE, Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, InvalidInput
from dingkao.filings.models import ReviewBatch
from dingkao.filings.review import CLERK_MESSAGE, DECIDING_ACTIONS, ReviewScope, pending_query
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.departments import normalise_department_name
from dingkao.people.handover_parts import Desk, Handover, add_handover_part, move_column
from dingkao.people.models import Account, Membership
from dingkao.people.permissions import roles_for

MAX_ASSIGNED, MAX_COLLEAGUES = 5_000, 200
"""How many records are given to somebody at once; how many colleagues a page offers."""


def list_colleagues(scope: ReviewScope) -> dict[UUID, str]:
    """Returns account → name of those who decide for the organisations of this side, the person among them,
    by name, at most MAX_COLLEAGUES; without closed accounts."""
    query = (
        select(Account.id, Account.name)
        .join(
            Membership,
            (Membership.tenant_id == Account.tenant_id) & (Membership.account_id == Account.id),
        )
        .where(
            in_array(Membership.organisation_id, scope.deciding_ids),
            in_array(Membership.role, roles_for(DECIDING_ACTIONS[scope.name])),
            Account.state != "closed",
        )
        .distinct()
        .order_by(Account.name, Account.id)
        .limit(MAX_COLLEAGUES)
    )
    return dict(db.session.execute(query).all())


def count_assigned(
    cycle: Cycle,
    scope: ReviewScope,
) -> dict[UUID, int]:
    """Returns account → number of waiting records that were given to it, of at most MAX_COLLEAGUES
    accounts."""
    query = (
        _assignable_records(cycle, scope)
        .where(Assessment.assigned_to.is_not(None))
        .with_only_columns(Assessment.assigned_to, func.count())
        .group_by(Assessment.assigned_to)
        .order_by(None)
        .limit(MAX_COLLEAGUES)
    )
    return {account_id: number for account_id, number in db.session.execute(query) if account_id}


def assign_records(
    cycle: Cycle,
    scope: ReviewScope,
    ids: Iterable[UUID],
    colleague: UUID | None,
    *,
    by: Actor,
) -> int:
    """Give those of the first MAX_ASSIGNED records `ids` that wait to a colleague, or to nobody (None);
    leases stay. Locks the colleague's account, then the records, and writes one journal entry for each
    organisation. Returns how many. Raises Forbidden, InvalidInput for somebody who is no colleague."""
    _require_deciding(scope)
    if colleague is not None:
        _require_colleagues(scope, [colleague])
    condition = in_array(Assessment.id, list(ids)[:MAX_ASSIGNED])
    return _assign(cycle, scope, condition, colleague, by)


def assign_department(
    cycle: Cycle,
    scope: ReviewScope,
    department: str,
    colleague: UUID,
    *,
    by: Actor,
) -> int:
    """Give the waiting records of the doctors of a department (its name as typed) to a colleague, at most
    MAX_ASSIGNED at once, those that others have, too; leases stay. Locks the colleague's account, then the
    records, and writes one journal entry for each organisation. Returns how many the colleague did not have.
    Raises Forbidden, InvalidInput without a department, or for somebody who is no colleague."""
    _require_deciding(scope)
    _require_colleagues(scope, [colleague])
    name = normalise_department_name(department)
    if not name:
        raise InvalidInput("请填写科室。", "department")
    ids = (
        _assignable_records(cycle, scope)
        .join(Doctor, doctor_join())
        .where(
            Doctor.department == name,
            _not_assigned_to(colleague),
        )
        .with_only_columns(Assessment.id)
        .limit(MAX_ASSIGNED)
    )
    return _assign(
        cycle,
        scope,
        in_array(Assessment.id, db.session.scalars(ids)),
        colleague,
        by,
    )


def assign_evenly(
    cycle: Cycle,
    scope: ReviewScope,
    colleagues: Collection[UUID],
    *,
    by: Actor,
) -> int:
    """Give the waiting records that nobody has (given to nobody, leased by nobody) to the colleagues in turn,
    in the order of waiting, at most MAX_ASSIGNED at once; what somebody else gives meanwhile stays as it was
    given. Locks the colleagues' accounts, then the records, and writes one journal entry for each colleague
    and organisation. Returns how many. Raises Forbidden, InvalidInput without colleagues, or for somebody who
    is none."""
    _require_deciding(scope)
    chosen = list(dict.fromkeys(colleagues))
    if not chosen:
        raise InvalidInput("请选择参与分配的审核人。", "colleague")
    _require_colleagues(scope, chosen)
    ids = _unassigned_ids(cycle, scope)
    return sum(
        _assign(
            cycle,
            scope,
            in_array(Assessment.id, ids[turn :: len(chosen)]) & Assessment.assigned_to.is_(None),
            colleague,
            by,
        )
        for turn, colleague in enumerate(chosen)
    )


def hand_over_reviews(
    cycle: Cycle,
    scope: ReviewScope,
    leaver: UUID,
    successor: UUID,
    *,
    by: Actor,
) -> int:
    """Give the waiting records of a colleague to a successor, at most MAX_ASSIGNED: those that were given to
    the colleague, and those that he or she has leased and nobody was given, as when the whole desk is handed
    over (`people/handovers`). The colleague's own leases end; a record leased by somebody else stays leased.
    Locks the successor's account, then the records, and writes one journal entry for each organisation.
    Returns how many. Raises Forbidden, InvalidInput for a successor who is no colleague or the leaver."""
    _require_deciding(scope)
    _require_colleagues(scope, [successor])
    if leaver == successor:
        raise InvalidInput("交接人和接手人不能是同一人。", "successor")
    condition = or_(Assessment.assigned_to == leaver, _is_leased_alone_by(leaver))
    return _assign(cycle, scope, condition, successor, by, former=leaver)


def _assignable_records(
    cycle: Cycle,
    scope: ReviewScope,
) -> Select[Assessment]:
    """Returns the query of the cycle's records that wait at this side where the person may decide."""
    return pending_query(cycle, scope).where(
        scope.deciding_condition(),
    )


def _unassigned_ids(
    cycle: Cycle,
    scope: ReviewScope,
) -> Sequence[UUID]:
    """Returns the ids of the waiting records that were given to nobody and that nobody has leased now, at
    most MAX_ASSIGNED, those that wait longest first."""
    is_free = or_(
        Assessment.leased_until.is_(None),
        Assessment.leased_until < clock.now(),
    )
    query = (
        _assignable_records(cycle, scope)
        .where(Assessment.assigned_to.is_(None), is_free)
        .with_only_columns(Assessment.id)
        .order_by(Assessment.submitted_at, Assessment.id)
    )
    return db.session.scalars(query.limit(MAX_ASSIGNED)).all()


def _not_assigned_to(colleague: UUID) -> ColumnElement[bool]:
    """The condition that a record was given to somebody else, or to nobody."""
    return or_(
        Assessment.assigned_to.is_(None),
        Assessment.assigned_to != colleague,
    )


def _assign(
    cycle: Cycle,
    scope: ReviewScope,
    condition: ColumnElement[bool],
    colleague: UUID | None,
    by: Actor,
    *,
    former: UUID | None = None,
) -> int:
    """Give the waiting records that meet `condition`, at most MAX_ASSIGNED, to a colleague (None: to nobody),
    and write one journal entry for each organisation. The leases of the account `former` end; others stay.
    Rows are locked by id first, as everywhere; objects of the session are not changed. Returns how many."""
    chosen = (
        _assignable_records(cycle, scope)
        .where(condition)
        .with_only_columns(Assessment.id)
        .order_by(Assessment.id)
        .with_for_update()
        .limit(MAX_ASSIGNED)
    )
    ids = db.session.scalars(chosen).all()
    if not ids:
        return 0
    changed = db.session.scalars(
        _assignment_update(ids, colleague, former).returning(scope.organisation_column)
    ).all()
    for organisation_id, number in sorted(Counter(changed).items()):
        journal.write_entry(
            "organisation",
            organisation_id,
            "reviews_assigned",
            by=by,
            to=str(colleague) if colleague else None,
            count=number,
            side=scope.name,
        )
    return len(changed)


def _assignment_update(ids: Collection[UUID], colleague: UUID | None, former: UUID | None) -> Update:
    """The UPDATE that gives the records `ids`, which the caller has locked, to a colleague (None: to nobody),
    and ends those leases on them that the account `former` holds (None: no lease ends). Objects of the
    session are not changed with it."""
    values: dict[str, Any] = {"assigned_to": colleague}
    if former is not None:
        is_own = Assessment.leased_by == former
        values |= {
            column.key: case((is_own, None), else_=column)
            for column in (Assessment.leased_by, Assessment.leased_until)
        }
    statement = update(Assessment).where(in_array(Assessment.id, ids)).values(**values)
    return statement.execution_options(synchronize_session=False)


def _is_leased_alone_by(account_id: UUID) -> ColumnElement[bool]:
    """The condition that an account has leased a record now that was given to nobody."""
    return and_(
        Assessment.leased_by == account_id,
        Assessment.leased_until >= clock.now(),
        Assessment.assigned_to.is_(None),
    )


def _require_deciding(scope: ReviewScope) -> None:
    """Raises Forbidden for a person who decides for none of the organisations."""
    if not scope.can_decide:
        raise Forbidden(CLERK_MESSAGE)


def _require_colleagues(
    scope: ReviewScope,
    accounts: Collection[UUID],
) -> None:
    """Lock the accounts, which stay open until the transaction ends. Raises InvalidInput unless all are open
    and of reviewers of this side."""
    locked = (
        select(Account.id)
        .where(in_array(Account.id, accounts), Account.state != "closed")
        .order_by(Account.id)
        .with_for_update(read=True)
    )
    open_ids = db.session.scalars(locked).all()
    query = select(Membership.account_id).where(
        in_array(Membership.account_id, open_ids),
        in_array(Membership.organisation_id, scope.deciding_ids) if scope.deciding_ids else false(),
        in_array(Membership.role, roles_for(DECIDING_ACTIONS[scope.name])),
    )
    if set(accounts) - set(db.session.scalars(query)):
        raise InvalidInput("请选择本机构的审核人。", "colleague")


def _assigned_on_desk(desk: Desk) -> Select[Assessment] | None:
    """The query of the records that were given to the holder of a desk, at its organisation, in any state;
    None for the province's office."""
    if desk.organisation_id is None:
        return None
    return select(Assessment).where(Assessment.assigned_to == desk.holder_id, _is_at(desk.organisation_id))


def _leased_on_desk(desk: Desk) -> Select[Assessment] | None:
    """The query of the records at a desk's organisation that its holder has leased now and nobody was given;
    None for the province's office."""
    if desk.organisation_id is None:
        return None
    return select(Assessment).where(
        in_array(Assessment.state, RECALLABLE_STATES),
        _is_at(desk.organisation_id),
        _is_leased_alone_by(desk.holder_id),
    )


def _is_at(organisation_id: UUID) -> ColumnElement[bool]:
    """The condition that a record is of an organisation, as its institution or its assessment
    organisation."""
    return or_(Assessment.institution_id == organisation_id, Assessment.assessor_id == organisation_id)


def _move_assigned(records: Sequence[Assessment], handover: Handover) -> None:
    """Give records (locked) to the successor; the leases of the former holder on them end. The handover
    journals it."""
    _give_records([record.id for record in records], handover.successor.id, handover)


def _release_leased(records: Sequence[Assessment], handover: Handover) -> None:
    """Free records (locked) from the lease of the former holder; a successor who decides on such gets them,
    else nobody. The handover journals it."""
    for side, states in STATES_BY_SIDE.items():
        ids = [record.id for record in records if record.state in states]
        if ids:
            is_deciding = _decides_at(handover, roles_for(DECIDING_ACTIONS[side]))
            _give_records(ids, handover.successor.id if is_deciding else None, handover)


def _give_records(ids: Collection[UUID], colleague: UUID | None, handover: Handover) -> None:
    """Give the records `ids` (locked) of a desk to a colleague (None: to nobody); the former holder's leases
    on them end, and objects of the session are not changed."""
    db.session.execute(_assignment_update(ids, colleague, handover.holder.id))


def _decides_at(handover: Handover, deciding_roles: Collection[str]) -> bool:
    """Whether the successor holds one of the roles at the desk's organisation."""
    query = select(Membership.id).where(
        Membership.account_id == handover.successor.id,
        Membership.organisation_id == handover.desk.organisation_id,
        in_array(Membership.role, deciding_roles),
    )
    return db.session.scalar(query.limit(1)) is not None


add_handover_part("分给本人的审核", "条", _assigned_on_desk, _move_assigned)
add_handover_part("正在审核的记录", "条", _leased_on_desk, _release_leased)
add_handover_part(
    "未完成的批量审核",
    "批",
    lambda desk: (
        select(ReviewBatch).where(ReviewBatch.asked_by == desk.holder_id, ReviewBatch.ended_at.is_(None))
        if desk.is_only
        else None
    ),
    move_column("asked_by"),
)
