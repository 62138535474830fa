"""Issuing the certificates of those who passed and got none when their list was published, because a
character could not be printed then (补签未签发的通知书)."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from dingkao.assessments.models import (
    Assessment,
)
from dingkao.certificates.certificate_queries import (
    uncertified_conditions,
)
from dingkao.certificates.certificate_rendering import (
    render_and_store,
)
from dingkao.certificates.issuing import (
    FIRST_ID,
    issue_each,
)
from dingkao.certificates.models import (
    Certificate,
)
from dingkao.cycles.cycles import (
    get_cycle,
)
from dingkao.cycles.models import (
    Cycle,
)
from dingkao.database.arrays import (
    in_array,
)
from dingkao.database.base import (
    db,
)
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import (
    Chunk,
    Cursor,
)
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import (
    Actor,
)

JOB_NAME = "issue_unissued"
BATCH_SIZE = 10
"""Records of a chunk, whose certificates are drawn, too."""


def enqueue_unissued(cycle: Cycle, *, by: Actor) -> Job:
    """Enqueue the job that issues the certificates of all who passed in the cycle without getting one, if
    they can be printed by now (new fonts); returns the unfinished job that `by` asked for, if there is
    one."""
    unfinished = enqueueing.unfinished_job_of(by.id, cycle.id, JOB_NAME)
    if unfinished is not None:
        return unfinished
    return enqueueing.enqueue(
        JOB_NAME,
        "补签未签发的结果通知书",
        {"cycle": str(cycle.id)},
        by=by.id,
        subject=cycle.id,
    )


@worker.register_chunked_job(JOB_NAME)
def issue_unissued_batch(job: Job, cursor: Cursor) -> Chunk:
    """Issue and draw the certificates of the next BATCH_SIZE records (locked) of the job's cycle that passed
    and have never got one, by id after the cursor, and write the journal; the chunk reports names that still
    can't be printed. Raises what `render_and_store` raises."""
    cycle = get_cycle(UUID(job.arguments["cycle"]))
    query = (
        select(Assessment)
        .where(
            *uncertified_conditions(cycle),
            Assessment.id > UUID(cursor.get("after", str(FIRST_ID))),
        )
        .order_by(Assessment.id)
        .limit(BATCH_SIZE)
        .with_for_update()
    )
    with journal.batched_entries():
        records = db.session.scalars(query.execution_options(populate_existing=True)).all()
        refused = issue_each(records)
    drawn_count = _render_each(records)
    is_last = len(records) < BATCH_SIZE
    return Chunk(
        None if is_last else {"after": str(records[-1].id)},
        done=len(records),
        counts={"issued": len(records) - len(refused), "drawn": drawn_count},
        reasons=Counter(reason for _, reason in refused),
        names=refused,
    )


def _render_each(records: Sequence[Assessment]) -> int:
    """Draw the valid certificates of records that aren't drawn yet; returns how many. Raises what
    `render_and_store` raises."""
    query = select(Certificate).where(
        in_array(Certificate.assessment_id, [record.id for record in records]),
        Certificate.state == "issued",
        Certificate.drawn_at.is_(None),
    )
    certificates = db.session.scalars(query.order_by(Certificate.id)).all()
    for certificate in certificates:
        render_and_store(certificate)
    return len(certificates)
