"""Including all doctors of a view of the list of records, by a job."""

from collections import Counter
from uuid import UUID

from dingkao.assessments.enrolment import cycle_of_job, include
from dingkao.assessments.record_list import RECORD_LIST, STATE_FILTER
from dingkao.cycles.models import Cycle
from dingkao.database.listing.definitions import ListViewer
from dingkao.database.listing.list_states import ListState, parse_address
from dingkao.database.listing.selections import count_selected, fetch_selected_ids
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.scopes import load_grant

INCLUDE_BATCH_SIZE = 200
NOT_INCLUDED = ListState(RECORD_LIST, filters={STATE_FILTER: "not_included"})
"""The view of all doctors who are not included yet."""


def enqueue_inclusion(cycle: Cycle, *, by: Actor, state: ListState = NOT_INCLUDED) -> Job:
    """Enqueue the inclusion of all records of the current cycle in a view that the asker may include, and
    that are not included yet, when the job runs."""
    return enqueueing.enqueue(
        "include_all",
        f"纳入全部医师（{cycle.label}）",
        {"cycle": str(cycle.id), "view": state.address()},
        by=by.id,
        subject=cycle.id,
    )


@worker.register_chunked_job("include_all")
def include_all_step(job: Job, cursor: Cursor) -> Chunk:
    """Include the next records of the job's view that are not included yet, and notify their doctors; those
    that can't be included are reported with the reason. The roles that the asker has now decide which
    records: those of the whole province, or of the asker's own institutions. Raises InvalidInput for a view
    that no longer is one."""
    cycle = cycle_of_job(job)
    by = load_actor(job.asked_by)
    viewer = ListViewer(load_grant(RECORD_LIST.action, job.asked_by), by.id)
    state = parse_address(RECORD_LIST, job.arguments.get("view", NOT_INCLUDED.address()))
    state = state.with_filter(STATE_FILTER, "not_included")
    total = None if cursor else count_selected(state, viewer)
    last_id = UUID(cursor["after"]) if cursor else None
    ids = fetch_selected_ids(state, viewer, last_id, INCLUDE_BATCH_SIZE)
    result = include(cycle, ids, by=by, grant=viewer.grant)
    return Chunk(
        {"after": str(ids[-1])} if len(ids) == INCLUDE_BATCH_SIZE else None,
        done=len(ids),
        total=total,
        counts={
            "included": result.included_count,
            "left_out": len(result.skipped),
        },
        reasons=Counter(reason for _, reason in result.skipped),
        names=result.skipped,
    )
