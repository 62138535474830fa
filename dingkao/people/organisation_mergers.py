"""Closing institutions and assessment organisations (撤销), and merging them into another one (合并): all
that is open goes to the successor, by a job whose chunks each commit; what is final stays as it was
issued."""

from uuid import UUID

from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people import organisation_staff
from dingkao.people.accounts import load_actor
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import organisation_names
from dingkao.people.organisation_names import take_over_names
from dingkao.people.organisation_succession import (
    Succession,
    add_obstacle,
    count_parts,
    find_obstacles,
    move_next_batch,
)
from dingkao.people.proposed_acts import validate_reason

JOB_NAME = "merge_organisation"


@add_obstacle
def _assessor_obstacle(predecessor: Organisation, successor: Organisation) -> str | None:
    """The sentence that an assessment organisation can only be merged into one; None if nothing is against
    it."""
    if predecessor.assesses and not successor.assesses:
        return f"{predecessor.name}是考核机构，而{successor.name}不是。请先指定{successor.name}为考核机构。"
    return None


def require_mergeable(predecessor: Organisation, successor: Organisation) -> None:
    """Raise InvalidInput for the field `institution`, or InvalidState, if the first organisation can't be
    merged into the second."""
    require_open(predecessor)
    if successor.id == predecessor.id:
        raise InvalidInput("请填写另一家机构。", "institution")
    if successor.closed_at is not None:
        raise InvalidInput(f"{successor.name}已撤销，请填写另一家机构。", "institution")
    if is_receiving(predecessor):
        raise InvalidState(f"正在把另一家机构并入{predecessor.name}，请待其办结后再办理。")
    if obstacles := find_obstacles(predecessor, successor):
        raise InvalidInput(" ".join(obstacles), "institution")


def require_open(organisation: Organisation) -> None:
    """Raise InvalidState for an organisation that is closed."""
    if organisation.closed_at is not None:
        raise InvalidState(f"{organisation.name}已撤销或并入其他机构，请刷新页面查看。")


def is_receiving(organisation: Organisation) -> bool:
    """Whether another organisation is being merged into this one now, or its merger has stopped half-way, and
    goes on when somebody continues it."""
    query = select(Organisation.id).where(Organisation.successor_id == organisation.id)
    return any(
        job.state != "done"
        for predecessor_id in db.session.scalars(query)
        if (job := latest_merger(predecessor_id)) is not None
    )


def latest_merger(organisation_id: UUID) -> Job | None:
    """The job that merges an organisation, or has merged it, into another one; None if there is none."""
    return enqueueing.latest_job_about(organisation_id, JOB_NAME)


def merge(
    predecessor_id: UUID,
    successor_id: UUID,
    *,
    reason: str,
    by: Actor,
) -> Job:
    """Lock both organisations, which exist, close the first, journal it and enqueue the job that moves all it
    has (also its staff's roles) to its successor; again, it is the job that was enqueued before. Those that
    were merged into it before now lead to the new successor, too. From now on nobody chooses it any more, and
    whoever looks for it finds the successor. Raises InvalidInput naming the field, InvalidState."""
    predecessor, successor = _lock_both(predecessor_id, successor_id)
    job = latest_merger(predecessor.id)
    if job is not None and predecessor.successor_id == successor.id:
        return job
    reason = validate_reason(reason)
    require_mergeable(predecessor, successor)
    predecessor.closed_at, predecessor.successor_id = clock.now(), successor.id
    is_predecessor = Organisation.successor_id == predecessor.id
    db.session.execute(update(Organisation).where(is_predecessor).values(successor_id=successor.id))
    take_over_names(predecessor, successor)
    journal.write_entry(
        "organisation",
        predecessor.id,
        "merged",
        by=by,
        successor=str(successor.id),
        reason=reason,
    )
    return enqueueing.enqueue(
        JOB_NAME,
        f"{predecessor.name[:40]}并入{successor.name[:40]}",
        {"predecessor": str(predecessor.id), "successor": str(successor.id)},
        by=by.id,
        subject=predecessor.id,
    )


def _lock_both(predecessor_id: UUID, successor_id: UUID) -> tuple[Organisation, Organisation]:
    """The two organisations, locked in the order of their ids. Raises KeyError if one doesn't exist."""
    query = select(Organisation).where(in_array(Organisation.id, {predecessor_id, successor_id}))
    locked = query.order_by(Organisation.id).with_for_update().execution_options(populate_existing=True)
    by_id = {organisation.id: organisation for organisation in db.session.scalars(locked)}
    return by_id[predecessor_id], by_id[successor_id]


def _on_cancel(_job: Job, _cursor: Cursor) -> None:
    """Raise InvalidState: half an organisation would stay."""
    raise InvalidState("机构合并不能中途取消，可以暂停后继续。")


@worker.register_chunked_job(JOB_NAME, undo=_on_cancel)
def merge_step(job: Job, cursor: Cursor) -> Chunk:
    """Move the next rows to the successor; what was added meanwhile is moved too, so that nothing is left at
    the end: before that, whoever writes for the organisation is waited for. The total is corrected then: a
    record can be one of the institution and of the assessment organisation, and is moved once."""
    predecessor = _get_locked(UUID(job.arguments["predecessor"]))
    succession = Succession(predecessor, _get_locked(predecessor.successor_id), load_actor(job.asked_by))
    with journal.batched_entries():
        moved = move_next_batch(succession)
        if not moved:
            db.session.refresh(predecessor, with_for_update=True)
            moved = move_next_batch(succession)
    remaining = count_parts(succession.predecessor.id) if moved and not cursor else []
    total = moved + sum(count.number for count in remaining) if remaining else None
    return Chunk(
        {"begun": True} if moved else None,
        done=moved,
        total=total if moved else job.done,
        counts={"moved": moved},
    )


def _get_locked(organisation_id: UUID | None) -> Organisation:
    """The organisation with that id; its row is kept from being changed, not from being referred to."""
    query = select(Organisation).where(Organisation.id == organisation_id)
    return db.session.scalars(query.with_for_update(key_share=True)).one()


def close(organisation: Organisation, *, reason: str, by: Actor) -> None:
    """Close an organisation (locked) at which nothing is open any more; who only has a role there loses the
    account, others lose that role, and the sessions of all of them end. Closing it again changes nothing. It
    is journalled. Raises InvalidInput, Forbidden if `by` may not close accounts, and InvalidState naming what
    is open, for an organisation that was merged, and while another is merged into it."""
    if organisation.closed_at is not None and organisation.successor_id is None:
        return
    require_open(organisation)
    reason = validate_reason(reason)
    require_nothing_open(organisation)
    organisation.closed_at = clock.now()
    organisation_staff.dismiss_staff(organisation, reason=reason, by=by)
    journal.write_entry("organisation", organisation.id, "closed", by=by, reason=reason)


def require_nothing_open(organisation: Organisation) -> None:
    """Raise InvalidState if something is open at an organisation, naming it, or while another one is merged
    into it. Its own state isn't checked."""
    open_counts = [count for count in count_parts(organisation.id) if count.part.keeps_open]
    if open_counts:
        named = "、".join(f"{count.part.label}{count.number:,}{count.part.unit}" for count in open_counts)
        raise InvalidState(f"{organisation.name}还有{named}，不能直接撤销。请填写承接的机构。")
    if is_receiving(organisation):
        raise InvalidState(f"正在把另一家机构并入{organisation.name}，请待其办结后再办理。")


def reopen(organisation: Organisation, *, by: Actor) -> None:
    """Open an organisation (locked) again that was closed without a successor, and journal it; staff has to
    be invited anew. Does nothing for an open one. Raises InvalidState for one that was merged."""
    if organisation.successor_id is not None:
        [successor] = organisation_names([organisation.successor_id]).values()
        raise InvalidState(f"{organisation.name}已并入{successor}，不能恢复。")
    if organisation.closed_at is not None:
        organisation.closed_at = None
        journal.write_entry("organisation", organisation.id, "reopened", by=by)
