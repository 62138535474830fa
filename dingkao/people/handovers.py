"""Handing over one's work to a successor (工作交接): all that is open at an organisation goes in one act to a
colleague who holds the same roles there, oneself or by whoever is in charge; the account may be closed with
it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import Forbidden, InvalidInput, InvalidState, NotFound
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import OPEN_STATES, Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.authentication import memberships_of
from dingkao.people.handover_parts import Desk, Handover, count_open, move_next_batch
from dingkao.people.models import Account, Membership, Organisation
from dingkao.people.name_lookups import organisation_names
from dingkao.people.notice_catalogue import DESK_HANDED_OVER, DESK_TAKEN_OVER
from dingkao.people.notices import notify_account
from dingkao.people.permissions import ROLE_LABELS, grants
from dingkao.people.scopes import Grant
from dingkao.people.staff_accounts import close_handed_over
from dingkao.people.staff_queries import memberships_of_accounts

JOB_NAME = "hand_over"
MAX_INLINE = 1_000
"""Up to how many rows are handed over within the request."""
MAX_SUCCESSORS = 200
PROVINCE_OFFICE = "本省管理部门"
CLOSING_ACTIONS = ("staff.close_own", "staff.manage")
"""Who is granted one of these may close the account of whoever's work is handed over."""


@dataclass(frozen=True)
class OwnDesk:
    """A desk with what people read of it: the organisation's name, the roles, what is open."""

    desk: Desk
    place: str
    roles: str
    counts: list[tuple[str, str]]


def may_hand_over(account_id: UUID, organisation_id: UUID | None, *, by: Actor, grant: Grant) -> bool:
    """Whether `by`, who invites staff within `grant`, may hand over the work of an account at an
    organisation: the own, that of the staff of the own organisations, or with «staff.manage» everybody's."""
    if account_id == by.id or grants("staff.manage", by.roles):
        return True
    return organisation_id is not None and organisation_id in grant.organisation_ids


def desks_of(account_id: UUID) -> list[Desk]:
    """The desks of an account: one for each organisation at which it holds a role, and one (None) in the
    province's office."""
    places = dict.fromkeys(membership.organisation_id for membership in memberships_of(account_id))
    return [Desk(account_id, organisation_id, len(places) == 1) for organisation_id in places]


def describe(desk: Desk) -> OwnDesk:
    """A desk as a page shows it, with what is open on it. Sends queries, one for each part."""
    names = organisation_names([desk.organisation_id])
    roles = sorted(
        {
            membership.role
            for membership in memberships_of(desk.holder_id)
            if membership.organisation_id == desk.organisation_id
        }
    )
    return OwnDesk(
        desk,
        names.get(desk.organisation_id, "") if desk.organisation_id else PROVINCE_OFFICE,
        "、".join(ROLE_LABELS[role] for role in roles),
        [(part.label, f"{number:,}{part.unit}") for part, number in count_open(desk)],
    )


def list_successors(desk: Desk) -> dict[UUID, str]:
    """Account id → name and user name of those who hold every role of the desk there, in the same department,
    and whose accounts are not closed, by name: among the first MAX_SUCCESSORS who hold one of the roles."""
    needed = _seats_by_account(desk, [desk.holder_id]).get(desk.holder_id, set())
    at_organisation = (
        select(Membership.account_id)
        .where(
            Membership.organisation_id == desk.organisation_id,
            in_array(Membership.role, {role for role, _ in needed}),
        )
        .distinct()
    )
    query = select(Account).where(
        Account.id.in_(at_organisation),
        Account.id != desk.holder_id,
        Account.kind == "staff",
        Account.state != "closed",
    )
    candidates = db.session.scalars(query.order_by(Account.name, Account.id).limit(MAX_SUCCESSORS)).all()
    seats = _seats_by_account(desk, [candidate.id for candidate in candidates])
    return {
        candidate.id: f"{candidate.name}（{candidate.user_name}）"
        for candidate in candidates
        if needed <= seats.get(candidate.id, set())
    }


def _seats_by_account(desk: Desk, account_ids: Sequence[UUID]) -> dict[UUID, set[tuple[str, UUID | None]]]:
    """Account id → the roles, with their departments, that it holds at the desk's organisation; accounts
    without one are left out. Sends one query."""
    seats: dict[UUID, set[tuple[str, UUID | None]]] = {}
    for membership in memberships_of_accounts(account_ids):
        if membership.organisation_id == desk.organisation_id:
            account_seats = seats.setdefault(
                membership.account_id,
                set(),
            )
            account_seats.add(
                (membership.role, membership.department_id),
            )
    return seats


def hand_over(
    desk: Desk,
    successor_id: UUID,
    *,
    by: Actor,
    closes: bool = False,
    reason: str = "",
) -> Job | None:
    """Lock both accounts, give all that is open on a desk to a successor, journal it and tell both; more than
    MAX_INLINE rows by a job, which is returned. With nothing open there is neither entry nor notice.
    `closes`: the account is closed at once, too (its sessions, codes and links end), for this reason, even
    while the job still gives. The caller has checked that `by` may hand over the desk, and close the account.
    Doing it again gives what has come since; while a job gives it, it is that job. Raises InvalidInput for
    the field `successor` or `reason`; InvalidState while the desk goes to somebody else, and with `closes`
    for the own account or one that has another desk; Forbidden, if `by` may not close accounts; NotFound."""
    holder, successor = _lock_both(desk.holder_id, successor_id)
    if successor_id not in list_successors(desk):
        raise InvalidInput("请选择在该机构任同样角色的同事。", "successor")
    job = _running_handover(desk)
    if job is not None and job.arguments["successor"] != str(successor_id):
        raise InvalidState(f"{holder.name}的工作正在交接给另一位同事，请待其办结后再办理。")
    if job is None:
        job = _move_or_enqueue(Handover(desk, holder, successor, by))
    if closes:
        _close(desk, holder, by=by, reason=reason)
    return job


def _running_handover(desk: Desk) -> Job | None:
    """The job that gives what is open on a desk to a successor, waits, runs or is paused; None if there is
    none."""
    query = select(Job).where(
        Job.name == JOB_NAME,
        Job.subject_id == desk.holder_id,
        in_array(Job.state, OPEN_STATES),
    )
    organisation = str(desk.organisation_id or "")
    return next(
        (job for job in db.session.scalars(query) if job.arguments["organisation"] == organisation), None
    )


def _move_or_enqueue(handover: Handover) -> Job | None:
    """Journal a hand-over that has anything to give, and give it, or enqueue the job that does and return
    it."""
    counts = count_open(handover.desk)
    if counts:
        _log_handover(handover, {part.label: number for part, number in counts})
    if sum(number for _, number in counts) > MAX_INLINE:
        return _enqueue(handover)
    with journal.batched_entries():
        while _move_next(handover):
            pass
    return None


def _move_next(handover: Handover) -> int:
    """Give the next rows to the successor, locked and flushed: at most 200 of one part; returns how many, 0
    once nothing is left. What a merger of the desk's organisation has moved to another one already is looked
    for there, so that it doesn't stay behind."""
    moved = move_next_batch(handover)
    if moved:
        return moved
    query = select(Organisation.successor_id).where(Organisation.id == handover.desk.organisation_id)
    successor_id = db.session.scalar(query)
    if successor_id is None:
        return 0
    return _move_next(replace(handover, desk=replace(handover.desk, organisation_id=successor_id)))


def _lock_both(holder_id: UUID, successor_id: UUID) -> tuple[Account, Account]:
    """The two accounts of staff, locked in the order of their ids. Raises NotFound, and InvalidInput without
    a successor."""
    query = select(Account).where(in_array(Account.id, {holder_id, successor_id}), Account.kind == "staff")
    locked = query.order_by(Account.id).with_for_update().execution_options(populate_existing=True)
    accounts = {account.id: account for account in db.session.scalars(locked)}
    if holder_id not in accounts:
        raise NotFound
    if successor_id not in accounts or successor_id == holder_id:
        raise InvalidInput("请选择接手的同事。", "successor")
    return accounts[holder_id], accounts[successor_id]


def _log_handover(handover: Handover, counts: dict[str, int]) -> None:
    """Journal a hand-over and write both a notice."""
    holder, successor, desk = handover.holder, handover.successor, handover.desk
    journal.write_entry(
        "account",
        holder.id,
        "handed_over",
        by=handover.by,
        to=str(successor.id),
        organisation=str(desk.organisation_id or ""),
        counts=counts,
    )
    place = describe(desk).place
    total = sum(counts.values())
    notify_account(holder.id, DESK_HANDED_OVER, place=place, count=total, name=successor.name)
    notify_account(successor.id, DESK_TAKEN_OVER, place=place, count=total, name=holder.name)


def _close(desk: Desk, holder: Account, *, by: Actor, reason: str) -> None:
    """Close the account of a desk that is its only one, which ends its sessions, codes and links; does
    nothing for one that is closed. Raises InvalidInput, InvalidState, Forbidden."""
    if holder.state == "closed":
        return
    if not desk.is_only:
        raise InvalidState(f"{holder.name}在其他机构还有角色，不能停用账号。请只交接，或先移除其他角色。")
    close_handed_over(holder, by=by, reason=reason)


def _enqueue(handover: Handover) -> Job:
    """Enqueue the job that gives the rows to the successor in chunks."""
    return enqueueing.enqueue(
        JOB_NAME,
        f"工作交接：{handover.holder.name}交给{handover.successor.name}",
        {
            "account": str(handover.holder.id),
            "successor": str(handover.successor.id),
            "organisation": str(handover.desk.organisation_id or ""),
            "only": handover.desk.is_only,
        },
        by=handover.by.id,
        subject=handover.holder.id,
    )


def _on_cancel(_job: Job, _cursor: Cursor) -> None:
    """Raise InvalidState: half of somebody's work would stay behind."""
    raise InvalidState("工作交接不能中途取消，可以暂停后继续。")


@worker.register_chunked_job(JOB_NAME, undo=_on_cancel)
def hand_over_step(job: Job, cursor: Cursor) -> Chunk:
    """Give the next rows to the successor, both accounts locked, until none is left, those added meanwhile
    included. Raises NotFound, InvalidInput if an account is gone, InvalidState if that of the successor is
    closed: what is left stays with its holder, and can be handed over anew."""
    arguments = job.arguments
    organisation = arguments["organisation"]
    desk = Desk(UUID(arguments["account"]), UUID(organisation) if organisation else None, arguments["only"])
    holder, successor = _lock_both(desk.holder_id, UUID(arguments["successor"]))
    if successor.state == "closed":
        raise InvalidState(f"{successor.name}的账号已停用，未交接的仍在原处。请另选接手的同事交接。")
    total = None if cursor else sum(number for _, number in count_open(desk))
    with journal.batched_entries():
        moved = _move_next(Handover(desk, holder, successor, load_actor(job.asked_by)))
    return Chunk({"begun": True} if moved else None, done=moved, total=total, counts={"moved": moved})


def require_may_hand_over(account_id: UUID, desks: Sequence[Desk], *, by: Actor, grant: Grant) -> list[Desk]:
    """Those of `desks`, an account's, that `by` may hand over. Raises NotFound for none: whether there is
    such an account is nobody else's to know."""
    allowed = [desk for desk in desks if may_hand_over(account_id, desk.organisation_id, by=by, grant=grant)]
    if not allowed:
        raise NotFound
    return allowed


def require_may_close(holder_id: UUID, *, by: Actor) -> None:
    """Raise Forbidden unless `by` may close the account with its hand-over: somebody else's, with one of
    CLOSING_ACTIONS."""
    if holder_id == by.id or not any(grants(action, by.roles) for action in CLOSING_ACTIONS):
        raise Forbidden("不能停用自己的账号，请由机构负责审核的同事或省级管理员办理。")
