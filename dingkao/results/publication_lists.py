"""The list of a publication (发布清单): gathered in chunks, fixed by its digest, compared with it, shown in
pages."""

import hashlib
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, func, select, text

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidState, NotFound
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.journal.proposals import get_for_update, withdraw
from dingkao.people.accounts import load_actor
from dingkao.results.models import Publication, PublicationEntry
from dingkao.tenants.context import current_tenant

GATHER_JOB = "gather_publication"
GATHER_BATCH_SIZE = 20_000
FIRST_ID = UUID(int=0)
NOTHING_TO_PUBLISH_MESSAGE = "没有待发布的医师。考核机构完成综合评定后，才能发布结果。"
FROZEN_MESSAGE = "考核结果正在发布，发布完成前不能更改待发布医师的状态。请在“任务”中查看进度。"
VERDICT_SQL = """
CASE WHEN {0}.performance = 'pass' AND {0}.ethics = 'pass' AND {0}.competence = 'pass'
    THEN 'passed' ELSE 'failed' END
"""


class BatchCount(NamedTuple):
    """A batch of a list: its size, the id of its last record (None for an empty batch), and `reported`: how
    many passed while the list is gathered, how many have changed while it is compared."""

    number: int
    reported: int
    last_id: UUID | None


_GATHER_QUERY = text(f"""
WITH next AS (
    SELECT a.id, {VERDICT_SQL.format("a")} AS verdict FROM assessment AS a
    WHERE a.tenant_id = :tenant AND a.cycle_id = :cycle AND a.state = 'confirming' AND a.id > :after
    ORDER BY a.id LIMIT :most
), listed AS (
    INSERT INTO publication_entry (tenant_id, publication_id, assessment_id, verdict)
    SELECT :tenant, :publication, id, verdict FROM next
)
SELECT count(*) AS number,
       count(*) FILTER (WHERE verdict = 'passed') AS told,
       (SELECT id FROM next ORDER BY id DESC LIMIT 1) AS last
FROM next
""")  # noqa: S608 - a constant


def propose_publication(cycle: Cycle, *, by: Actor) -> Publication:
    """Propose to publish every record that is 待发布: enqueues the job that gathers them into a list; writes
    a journal entry. Locks the cycle, so that only one is proposed. Raises InvalidState if there is none, or
    if another list is being gathered, waits for approval or is being published."""
    db.session.scalars(select(Cycle.id).where(Cycle.id == cycle.id).with_for_update()).one()
    _require_no_unsettled(cycle)
    _require_confirming_records(cycle)
    publication = Publication(
        id=new_id(),
        cycle_id=cycle.id,
        proposed_by=by.id,
        proposed_at=clock.now(),
    )
    db.session.add(publication)
    db.session.flush()
    journal.write_entry("publication", publication.id, "begun", by=by)
    enqueueing.enqueue(
        GATHER_JOB,
        f"生成发布清单（{cycle.label}）",
        {"publication": str(publication.id)},
        by=by.id,
        subject=publication.id,
    )
    return publication


def _require_no_unsettled(cycle: Cycle) -> None:
    """Raises InvalidState if a list of the cycle is being gathered, waits for approval or is being
    published."""
    unsettled = _unsettled_publication(cycle.id)
    if unsettled is not None:
        raise InvalidState(
            "上一份清单正在发布，请等发布完成后再生成。"
            if unsettled.approved_at
            else "已有一份发布清单等待确认，请先确认或撤回。"
        )


def _require_confirming_records(cycle: Cycle) -> None:
    """Raises InvalidState if no record of the cycle is 待发布."""
    query = select(Assessment.id).where(
        Assessment.cycle_id == cycle.id,
        Assessment.state == "confirming",
    )
    if db.session.scalar(query.limit(1)) is None:
        raise InvalidState(NOTHING_TO_PUBLISH_MESSAGE)


def _on_gather_cancel(job: Job, _cursor: Cursor) -> None:
    """Lock and withdraw the publication of a cancelled job, with a journal entry. Raises InvalidState if it
    is approved, NotFound."""
    publication = get_publication_for_update(UUID(job.arguments["publication"]))
    withdraw(publication, by=SYSTEM_ACTOR, refusal=FROZEN_MESSAGE)


@worker.register_chunked_job(GATHER_JOB, undo=_on_gather_cancel)
def gather_step(job: Job, cursor: Cursor) -> Chunk:
    """Put the next records on the list (locked) with their present verdicts; after the last one, store the
    list's digest, with a journal entry. A record that becomes 待发布 behind the cursor waits for the next
    list; one that leaves 待发布 is found when the list is compared. If the list is empty, withdraws it,
    commits and raises InvalidState. Raises NotFound."""
    publication = get_publication_of_job(job, for_update=True)
    if publication.gathered_at or publication.withdrawn_at:
        return Chunk(None)
    parameters = {
        "tenant": current_tenant(),
        "cycle": publication.cycle_id,
        "publication": publication.id,
        "after": cursor.get("after", FIRST_ID),
        "most": GATHER_BATCH_SIZE,
    }
    batch = BatchCount(*db.session.execute(_GATHER_QUERY, parameters).one())
    total = None if cursor else count_in_state(publication.cycle_id, "confirming")
    counts = {
        "passed": batch.reported,
        "failed": batch.number - batch.reported,
    }
    if batch.number == GATHER_BATCH_SIZE:
        return Chunk(
            {"after": str(batch.last_id)},
            done=batch.number,
            total=total,
            counts=counts,
        )
    summary = list_summary(publication)
    if not summary.number:
        withdraw(publication, by=SYSTEM_ACTOR, refusal=FROZEN_MESSAGE)
        db.session.commit()
        raise InvalidState(NOTHING_TO_PUBLISH_MESSAGE)
    (
        publication.passed,
        publication.failed,
        publication.digest,
        publication.gathered_at,
    ) = (
        summary.passed,
        summary.number - summary.passed,
        bytes(summary.digest),
        clock.now(),
    )
    journal.write_entry(
        "publication",
        publication.id,
        "proposed",
        by=load_actor(publication.proposed_by),
        passed=publication.passed,
        failed=publication.failed,
        digest=publication.digest.hex(),
    )
    return Chunk(None, done=batch.number, total=total, counts=counts)


_LIST_SUMMARY_QUERY = text("""
SELECT count(*) AS number, count(*) FILTER (WHERE verdict = 'passed') AS passed,
       sha256(convert_to(
           coalesce(string_agg(assessment_id::text || '=' || verdict, E'\\n' ORDER BY assessment_id), ''),
           'UTF8'
       )) AS digest
FROM publication_entry WHERE tenant_id = :tenant AND publication_id = :publication
""")


def list_summary(publication: Publication) -> Row[Any]:
    """Returns `number` of records on a list as stored, how many of them `passed`, and its `digest` (see
    `list_digest`)."""
    return db.session.execute(
        _LIST_SUMMARY_QUERY,
        {"tenant": current_tenant(), "publication": publication.id},
    ).one()


def list_digest(verdicts: dict[UUID, str]) -> bytes:
    """Returns the SHA-256 digest of a list (record id → verdict), independent of the order; `list_summary`
    computes the same in the database."""
    return hashlib.sha256(
        "\n".join(f"{record}={verdict}" for record, verdict in sorted(verdicts.items())).encode()
    ).digest()


def get_publication_for_update(publication_id: UUID) -> Publication:
    """Returns a publication, with its cycle and then itself locked. Raises NotFound."""
    cycle = db.session.scalar(select(Publication.cycle_id).where(Publication.id == publication_id))
    db.session.scalars(select(Cycle.id).where(Cycle.id == cycle).with_for_update()).one_or_none()
    return get_for_update(Publication, publication_id)


def withdraw_publication(publication: Publication, *, by: Actor) -> None:
    """Withdraw a proposed publication (locked), with a journal entry; does nothing if it is withdrawn
    already. Raises InvalidState if it is approved."""
    withdraw(publication, by=by, refusal="结果已确认发布，不能撤回。")


def is_frozen(cycle_id: UUID) -> bool:
    """Whether an approved list of the cycle is not settled yet. Until then nothing else may change records
    that are 待发布. Locks the cycle (for share), so that no list can be approved until this transaction
    ends."""
    db.session.scalars(select(Cycle.id).where(Cycle.id == cycle_id).with_for_update(read=True)).one()
    unsettled = _unsettled_publication(cycle_id)
    return unsettled is not None and unsettled.approved_at is not None


def mark_list_changed(record: Assessment) -> None:
    """Mark the list that waits for approval as changed (and lock it) if the record, which has just changed,
    is on it. Approval is then refused at once. Whoever moves a record that is 待发布 calls this, after asking
    `is_frozen`."""
    unsettled = _unsettled_publication(record.cycle_id)
    if unsettled is None or unsettled.changed_at:
        return
    entry_query = select(PublicationEntry.verdict).where(
        PublicationEntry.publication_id == unsettled.id,
        PublicationEntry.assessment_id == record.id,
    )
    if db.session.scalar(entry_query) is not None:
        get_for_update(Publication, unsettled.id).changed_at = clock.now()


def count_in_state(cycle_id: UUID, state: str) -> int:
    """Returns how many records of a cycle are in a state."""
    return (
        db.session.scalar(
            select(func.count())
            .select_from(Assessment)
            .where(
                Assessment.cycle_id == cycle_id,
                Assessment.state == state,
            )
        )
        or 0
    )


def list_publications(cycle: Cycle) -> list[Publication]:
    """The publications of a cycle, the newest first."""
    query = select(Publication).where(Publication.cycle_id == cycle.id)
    return list(db.session.scalars(query.order_by(Publication.id.desc())))


def get_publication(publication_id: UUID) -> Publication:
    """A publication. Raises NotFound."""
    publication = db.session.scalar(select(Publication).where(Publication.id == publication_id))
    if publication is None:
        raise NotFound
    return publication


def get_publication_of_job(job: Job, *, for_update: bool = False) -> Publication:
    """Returns the publication of a job, locked with `for_update`. Raises NotFound."""
    query = select(Publication).where(Publication.id == UUID(job.arguments["publication"]))
    publication = db.session.scalar(
        query.with_for_update().execution_options(populate_existing=True) if for_update else query
    )
    if publication is None:
        raise NotFound
    return publication


def _unsettled_publication(cycle_id: UUID) -> Publication | None:
    """Returns the cycle's list that is being gathered, waits for approval, or is being published, read anew;
    there is at most one. None if there is none."""
    query = select(Publication).where(
        Publication.cycle_id == cycle_id,
        Publication.settled_at.is_(None),
        Publication.withdrawn_at.is_(None),
    )
    return db.session.scalar(
        query.order_by(Publication.id.desc()).limit(1).execution_options(populate_existing=True)
    )
