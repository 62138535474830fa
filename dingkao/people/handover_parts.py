"""What a member of staff who hands over (工作交接) has open: each room adds its own parts here
(`add_handover_part`).
What somebody did stays theirs; only what is still to be done goes to the successor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.jobs.models import OPEN_STATES, Job
from dingkao.journal.entries import Actor
from dingkao.people.import_checks import confirmable_jobs
from dingkao.people.models import Account, ExportRequest, SavedView

BATCH_SIZE = 200


@dataclass(frozen=True)
class Desk:
    """The work of an account (`holder_id`) at an organisation, or in the province's office (None).
    `is_only`: the account has no role elsewhere, so that what belongs to no organisation, such as jobs, is of
    this desk, too."""

    holder_id: UUID
    organisation_id: UUID | None
    is_only: bool


@dataclass(frozen=True)
class Handover:
    """A desk that goes to a successor, and who does it."""

    desk: Desk
    holder: Account
    successor: Account
    by: Actor


Query = Callable[[Desk], Select[Any] | None]
Move = Callable[[Sequence[Any], Handover], None]


@dataclass(frozen=True)
class HandoverPart:
    """Rows that are open on a desk: those of `query` (None: such a desk has none), which leave it when `move`
    has given them to the successor. `label` and `unit` as people read them."""

    label: str
    unit: str
    query: Query
    move: Move


PARTS: list[HandoverPart] = []


def add_handover_part(label: str, unit: str, query: Query, move: Move) -> None:
    """Add a part (parameters as in HandoverPart)."""
    PARTS.append(HandoverPart(label, unit, query, move))


def move_column(name: str) -> Move:
    """The function that writes the successor's account into the column `name` of each row."""

    def move(entities: Sequence[Any], handover: Handover) -> None:
        """Write the successor's account id into the column `name` of each row. Doesn't flush."""
        for entity in entities:
            setattr(entity, name, handover.successor.id)

    return move


def count_open(desk: Desk) -> list[tuple[HandoverPart, int]]:
    """What is open on a desk, part by part; parts without rows are left out."""
    counts = [(part, _count(part.query(desk))) for part in PARTS]
    return [(part, number) for part, number in counts if number]


def _count(query: Select[Any] | None) -> int:
    """How many rows a query of one entity has; 0 for None."""
    if query is None:
        return 0
    counted = query.with_only_columns(func.count(), maintain_column_froms=True)
    return int(db.session.scalar(counted) or 0)


def move_next_batch(handover: Handover) -> int:
    """Give the next rows of the first part that has any to the successor, at most BATCH_SIZE, locked in the
    order of their ids; returns how many, 0 once nothing is left."""
    for part in PARTS:
        query = part.query(handover.desk)
        if query is None:
            continue
        model = query.column_descriptions[0]["entity"]
        locked = query.order_by(model.id).limit(BATCH_SIZE).with_for_update(of=model)
        entities = db.session.scalars(locked.execution_options(populate_existing=True)).all()
        if entities:
            part.move(entities, handover)
            db.session.flush()
            return len(entities)
    return 0


def _shared_views(desk: Desk) -> Select[Any]:
    """The query of the views that the holder shares with colleagues at the desk's organisation."""
    return select(SavedView).where(
        SavedView.account_id == desk.holder_id,
        SavedView.is_shared,
        SavedView.organisation_id.is_not_distinct_from(desk.organisation_id),
    )


def _move_views(views: Sequence[SavedView], handover: Handover) -> None:
    """Give views to the successor, with the holder's name added to theirs where the successor has one of that
    name."""
    query = select(SavedView.list_name, SavedView.name).where(SavedView.account_id == handover.successor.id)
    taken = set(map(tuple, db.session.execute(query)))
    for view in views:
        number = 1
        name = view.name
        while (view.list_name, name) in taken:
            name = f"{view.name}（{handover.holder.name}{number if number > 1 else ''}）"
            number += 1
        view.name, view.account_id = name, handover.successor.id
        taken.add((view.list_name, name))


def _open_jobs(desk: Desk) -> Select[Any] | None:
    """The query of the holder's jobs that wait, run, are paused or have failed, and of checks whose file is
    still kept, so that the import can be confirmed; None for somebody who has another desk."""
    if not desk.is_only:
        return None
    is_unfinished = in_array(Job.state, (*OPEN_STATES, "failed"))
    is_kept_check = and_(
        Job.state == "done",
        Job.subject_id.is_not(None),
        in_array(Job.name, confirmable_jobs()),
        Job.arguments["dry_run"].as_boolean(),
    )
    return select(Job).where(Job.asked_by == desk.holder_id, or_(is_unfinished, is_kept_check))


def _waiting_exports(desk: Desk) -> Select[Any] | None:
    """The query of the lists that the holder asked for and that wait for a second person; None for somebody
    who has another desk."""
    if not desk.is_only:
        return None
    return select(ExportRequest).where(
        ExportRequest.asked_by == desk.holder_id,
        ExportRequest.needs_approval,
        ExportRequest.approved_at.is_(None),
        ExportRequest.withdrawn_at.is_(None),
    )


add_handover_part("共用的视图", "个", _shared_views, _move_views)
add_handover_part("未完成的任务、待确认的导入", "项", _open_jobs, move_column("asked_by"))
add_handover_part("待确认的名单导出", "份", _waiting_exports, move_column("asked_by"))
