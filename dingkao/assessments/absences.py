"""缺考 (domain.md §11 no. 17): those whom the system has marked absent wait here for their assessment
organisation; a clerk drafts the list, a reviewer confirms it, for selected records or by a chunked job for
all."""

from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select

from dingkao.assessments import assessment_transitions
from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import get_cycle
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListViewer, get_definition
from dingkao.database.listing.list_states import parse_address
from dingkao.database.listing.selections import count_selected, fetch_selected_ids
from dingkao.database.pagination import CappedCount, capped_count
from dingkao.errors import InvalidInput, Refusal
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.scopes import (
    Grant,
    load_grant,
    scope_condition,
)

JOB_NAME, BATCH_SIZE = "confirm_absences", 200
LIST_NAME = "absences"
"""The name of the console's list of them, which has their tickets and therefore is one of `exams`."""
MAX_NOTE_LENGTH = 200


def unconfirmed_conditions(cycle: Cycle, grant: Grant) -> list[ColumnElement[bool]]:
    """The SQL conditions of the cycle's records within `grant` whose absence nobody has confirmed."""
    return [
        Assessment.cycle_id == cycle.id,
        Assessment.state == "absent",
        Assessment.absence_confirmed_by.is_(None),
        scope_condition(grant, assessor=Assessment.assessor_id),
    ]


def unconfirmed_absences(cycle: Cycle, grant: Grant) -> Select[Assessment]:
    """The query of the cycle's records within `grant` whose absence nobody has confirmed."""
    return select(Assessment).where(*unconfirmed_conditions(cycle, grant))


def count_unconfirmed(cycle: Cycle, grant: Grant) -> CappedCount:
    """How many `unconfirmed_absences` there are, counted as far as pages show."""
    return capped_count(unconfirmed_absences(cycle, grant))


def draft_absences(
    cycle: Cycle,
    ids: Iterable[UUID],
    *,
    note: str,
    grant: Grant,
    by: Actor,
) -> int:
    """Put those of the records `ids` (at most 5,000) that wait within `grant` (locked here) into the draft of
    the list, journalled, with a note of what was found out ("" for none), which replaces an earlier one;
    nothing is confirmed yet. Returns how many. Raises InvalidInput for a note that is too long."""
    note = " ".join(note.split())
    if len(note) > MAX_NOTE_LENGTH:
        raise InvalidInput(
            f"说明请不要超过{MAX_NOTE_LENGTH}字，现有{len(note)}字。",
            "note",
        )
    records = _lock(cycle, ids, grant)
    with journal.batched_entries():
        for record in records:
            (
                record.absence_note,
                record.absence_drafted_by,
            ) = (
                note or None,
                by.id,
            )
            journal.write_entry(
                "assessment",
                record.id,
                "absence_drafted",
                by=by,
            )
    return len(records)


def confirm_absences(
    cycle: Cycle,
    ids: Iterable[UUID],
    *,
    grant: Grant,
    by: Actor,
) -> tuple[int, Counter[str]]:
    """Confirm the absence of those of the records `ids` (at most 5,000) that wait within `grant`, whether
    they were drafted or not; locks them and journals each; nobody is notified. Returns how many were
    confirmed, and reason → number for those that could not be."""
    reasons = Counter[str]()
    confirmed_count = 0
    with journal.batched_entries():
        for record in _lock(cycle, ids, grant):
            try:
                assessment_transitions.confirm_absence(record, by=by)
            except Refusal as refusal:
                reasons[refusal.message] += 1
            else:
                confirmed_count += 1
    return confirmed_count, reasons


def enqueue_confirmation(cycle: Cycle, *, by: Actor, view: str = "") -> Job:
    """Enqueue the confirmation of the absences of a view of the list (its address; "": of all) that wait for
    the asker's organisations."""
    return enqueueing.enqueue(
        JOB_NAME,
        f"缺考确认（{cycle.label}）",
        {"cycle": str(cycle.id), "view": view},
        by=by.id,
        subject=cycle.id,
    )


@worker.register_chunked_job(JOB_NAME)
def confirm_batch(job: Job, cursor: Cursor) -> Chunk:
    """Confirm the next BATCH_SIZE absences of the job's view, and count those that can't be confirmed by
    reason. The roles that the asker has now decide which records. Raises InvalidInput for a view that no
    longer is one."""
    cycle = get_cycle(UUID(job.arguments["cycle"]))
    grant = load_grant("sittings.mark_absent", job.asked_by)
    state = parse_address(get_definition(LIST_NAME), job.arguments.get("view", ""))
    viewer = ListViewer(grant, job.asked_by)
    total = None if cursor else count_selected(state, viewer)
    last_id = UUID(cursor["after"]) if cursor else None
    ids = fetch_selected_ids(state, viewer, last_id, BATCH_SIZE)
    confirmed_count, reasons = confirm_absences(cycle, ids, grant=grant, by=load_actor(job.asked_by))
    return Chunk(
        {"after": str(ids[-1])} if len(ids) == BATCH_SIZE else None,
        done=len(ids),
        total=total,
        counts={"confirmed": confirmed_count},
        reasons=reasons,
    )


def _lock(cycle: Cycle, ids: Iterable[UUID], grant: Grant) -> Sequence[Assessment]:
    """Those of the records `ids` that wait for confirmation within `grant`, locked, by id."""
    query = unconfirmed_absences(cycle, grant).where(in_array(Assessment.id, ids)).order_by(Assessment.id)
    return db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).all()
