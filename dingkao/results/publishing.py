"""Publishing results (发布): a list is gathered and fixed by its digest, another administrator approves it,
then it is published.

A list may have all records of a province, so each step is a chunked job; but doctors see it published at one
moment. What makes it public is one value: `published_at` of the publication, set after every record on the
list was compared with it. From then on each record on it counts as published (`state_for_doctor`), while the
job changes the records themselves to 合格 or 不合格, with journal entry and notice, in chunks. From the
approval until that is done nothing else changes records of the cycle that are 待发布 (`is_frozen`), so what
was compared is what is published.
"""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import Select, select, text

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidState, NotFound
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.people.notice_catalogue import RESULT_PUBLISHED
from dingkao.people.permissions import roles_for
from dingkao.people.second_person import require_second_person
from dingkao.results.models import Publication, PublicationEntry
from dingkao.results.publication_lists import (
    FIRST_ID,
    FROZEN_MESSAGE,
    VERDICT_SQL,
    BatchCount,
    get_publication_for_update,
    get_publication_of_job,
    is_frozen,
    list_summary,
    mark_list_changed,
)
from dingkao.tenants.context import current_tenant

PUBLISH_JOB, CERTIFICATES_JOB = "publish", "issue_certificates"
COMPARE_BATCH_SIZE, SETTLE_BATCH_SIZE = 20_000, 500
LIST_CHANGED_MESSAGE = "清单生成后有医师的状态或评定发生变化，请撤回本清单并重新生成。"


def approve_publication(publication: Publication, *, by: Actor) -> Job | None:
    """Approve a publication (locked), with a journal entry, and enqueue the job that publishes it; returns
    the job, or None if it was approved before. Raises Forbidden for the person who proposed it, or one who
    doesn't count as a second person; InvalidState if it is withdrawn, the list is incomplete, or a record on
    it has changed."""
    if publication.withdrawn_at:
        raise InvalidState("该发布清单已撤回，请重新生成。")
    if publication.approved_at:
        return None
    require_second_person(
        by,
        publication.proposed_by,
        same="提出人与确认人不能是同一人，请由另一位省级管理员确认。",
    )
    _require_whole_list(publication)
    publication.approved_by, publication.approved_at = (
        by.id,
        clock.now(),
    )
    journal.write_entry(
        "publication",
        publication.id,
        "approved",
        by=by,
        digest=(publication.digest or b"").hex(),
    )
    return enqueueing.enqueue(
        PUBLISH_JOB,
        f"发布考核结果（{publication.passed + publication.failed}人）",
        {"publication": str(publication.id)},
        by=by.id,
        subject=publication.id,
    )


def _require_whole_list(publication: Publication) -> None:
    """Raises InvalidState if the list is incomplete or a record on it has changed."""
    if publication.gathered_at is None:
        raise InvalidState("清单还没有生成完，请稍候再确认。")
    if publication.changed_at:
        raise InvalidState(LIST_CHANGED_MESSAGE)


def return_record(record_id: UUID, *, by: Actor, reason: str) -> None:
    """省级退回: lock one record that is 待发布 and return it to its assessment organisation, with a journal
    entry; a proposed list with it can't be approved any more. Raises NotFound, Forbidden, InvalidInput
    without a reason; InvalidState if it is not 待发布 or its list is being published."""
    record = db.session.scalar(select(Assessment).where(Assessment.id == record_id).with_for_update())
    if record is None:
        raise NotFound
    if is_frozen(record.cycle_id):
        raise InvalidState(FROZEN_MESSAGE)
    assessment_transitions.return_for_objection(record, by=by, reason=reason)
    mark_list_changed(record)


# --- publishing it


_COMPARE_QUERY = text(f"""
WITH next AS (
    SELECT assessment_id, verdict FROM publication_entry
    WHERE tenant_id = :tenant AND publication_id = :publication AND assessment_id > :after
    ORDER BY assessment_id LIMIT :most
)
SELECT count(*) AS number,
       count(*) FILTER (
           WHERE a.state <> next.verdict
               AND (a.state <> 'confirming' OR next.verdict <> {VERDICT_SQL.format("a")})
       ) AS told,
       (SELECT assessment_id FROM next ORDER BY assessment_id DESC LIMIT 1) AS last
FROM next JOIN assessment AS a ON a.tenant_id = :tenant AND a.id = next.assessment_id
""")  # noqa: S608 - a constant


def _on_publish_cancel(job: Job, _cursor: Cursor) -> None:
    """Lock the publication and void its approval, with a journal entry, so that the list waits for approval
    again. Raises InvalidState if the list is public already, NotFound."""
    publication = get_publication_for_update(UUID(job.arguments["publication"]))
    if publication.published_at:
        raise InvalidState("结果已经发布，不能取消。")
    publication.approved_by = publication.approved_at = None
    journal.write_entry(
        "publication",
        publication.id,
        "approval_withdrawn",
        by=SYSTEM_ACTOR,
    )


@worker.register_chunked_job(PUBLISH_JOB, undo=_on_publish_cancel)
def publish_step(job: Job, cursor: Cursor) -> Chunk:
    """Publish an approved list (locked): compare it with its records, make it public, change its records to
    their final states, then enqueue the certificates. Raises NotFound; InvalidState if it isn't approved, or
    differs from its records, which withdraws it (committed here)."""
    publication = get_publication_of_job(job, for_update=True)
    if publication.approved_at is None or publication.approved_by is None:
        raise InvalidState("该发布清单尚未确认。")
    if publication.published_at is None:
        return _compare_batch(publication, cursor)
    return _settle_batch(job, publication, cursor)


def _compare_batch(publication: Publication, cursor: Cursor) -> Chunk:
    """Compare the next part of the list with its records; after the last one, make the list public, with a
    journal entry. Withdraws it, commits and raises InvalidState if the list or a record has changed."""
    parameters = {
        "tenant": current_tenant(),
        "publication": publication.id,
        "after": cursor.get("compared", FIRST_ID),
        "most": COMPARE_BATCH_SIZE,
    }
    batch = BatchCount(*db.session.execute(_COMPARE_QUERY, parameters).one())
    if batch.reported:
        _fail_publication(publication, batch.reported)
    step_total = 2 * (publication.passed + publication.failed)
    if batch.number == COMPARE_BATCH_SIZE:
        return Chunk(
            {"compared": str(batch.last_id)},
            done=batch.number,
            total=step_total,
        )
    summary = list_summary(publication)
    if bytes(summary.digest) != publication.digest:
        _fail_publication(publication, 0)
    publication.published_at = clock.now()
    journal.write_entry(
        "publication",
        publication.id,
        "published",
        by=SYSTEM_ACTOR,
        passed=publication.passed,
        failed=publication.failed,
        digest=(publication.digest or b"").hex(),
    )
    return Chunk(
        {"settled": str(FIRST_ID)},
        done=batch.number,
        total=step_total,
    )


def _fail_publication(publication: Publication, moved: int) -> None:
    """Withdraw a publication whose list differs from what was approved (`moved`: how many records have
    changed), before anything of it was shown; writes a journal entry. Commits, and always raises
    InvalidState."""
    publication.withdrawn_at = clock.now()
    journal.write_entry(
        "publication",
        publication.id,
        "found_changed",
        by=SYSTEM_ACTOR,
        moved=moved,
    )
    db.session.commit()
    raise InvalidState(
        f"清单生成后有{moved}位医师的状态或评定发生变化，本清单已作废，没有发布。请重新生成清单。"
        if moved
        else "清单内容与生成时的摘要不一致，本清单已作废，没有发布。请重新生成清单，并联系平台运营。"
    )


def _settle_batch(job: Job, publication: Publication, cursor: Cursor) -> Chunk:
    """Change the next records of a public list to their final states and notify their doctors; after the last
    one, mark the list as settled, with a journal entry, and enqueue the certificates of those who passed."""
    verdict_by_record = _next_verdicts(publication, UUID(cursor["settled"]))
    _settle_records(publication, verdict_by_record)
    verdicts = list(verdict_by_record.values())
    counts = {
        "passed": verdicts.count("passed"),
        "failed": verdicts.count("failed"),
    }
    if len(verdict_by_record) == SETTLE_BATCH_SIZE:
        return Chunk(
            {"settled": str(max(verdict_by_record))},
            done=len(verdict_by_record),
            counts=counts,
        )
    publication.settled_at = clock.now()
    journal.write_entry("publication", publication.id, "settled", by=SYSTEM_ACTOR)
    if publication.passed:
        enqueueing.enqueue(
            CERTIFICATES_JOB,
            f"生成结果通知书（{publication.passed}人）",
            {"publication": str(publication.id)},
            by=job.asked_by,
            subject=publication.id,
        )
    return Chunk(None, done=len(verdict_by_record), counts=counts)


def _next_verdicts(publication: Publication, after: UUID) -> dict[UUID, str]:
    """Returns record id → verdict ("passed" or "failed") for the next SETTLE_BATCH_SIZE records on a list
    with ids above `after`."""
    query = select(PublicationEntry.assessment_id, PublicationEntry.verdict).where(
        PublicationEntry.publication_id == publication.id,
        PublicationEntry.assessment_id > after,
    )
    query = query.order_by(PublicationEntry.assessment_id)
    return dict(db.session.execute(query.limit(SETTLE_BATCH_SIZE)).all())


def _settle_records(publication: Publication, verdict_by_record: Mapping[UUID, str]) -> None:
    """Lock these records (at most 5,000) of a public list, change those that are still 待发布 to their final
    states, with journal entries in the name of who approved it, and notify their doctors."""
    query = (
        select(Assessment, Doctor.account_id)
        .join(Doctor, doctor_join())
        .where(in_array(Assessment.id, verdict_by_record))
        .order_by(Assessment.id)
        .with_for_update(of=Assessment)
    )
    records = db.session.execute(query.execution_options(populate_existing=True)).all()
    with journal.batched_entries():
        for record, account in records:
            if record.state == "confirming":
                _settle_record(
                    publication,
                    record,
                    account,
                    verdict_by_record[record.id],
                )


def _settle_record(
    publication: Publication,
    record: Assessment,
    account: UUID,
    verdict: str,
) -> None:
    """Change one record (locked) of a public list to its final state, with a journal entry in the name of who
    approved the list, and notify its doctor."""
    approver = Actor("staff", publication.approved_by, roles_for("results.publish"))
    (assessment_transitions.publish_pass if verdict == "passed" else assessment_transitions.publish_fail)(
        record, by=approver
    )
    notify(record, RESULT_PUBLISHED, account_id=account)


def settle_record_now(record: Assessment) -> None:
    """Change a record (locked) on a public list to its final state, with a journal entry in the name of who
    approved the list, and notify its doctor, before the job reaches it, because the doctor acts on the
    result. Does nothing for a record that is not 待发布 or on no public list."""
    publication_and_verdict = (
        db.session.execute(_public_entry_query(record)).one_or_none()
        if record.state == "confirming"
        else None
    )
    if publication_and_verdict is not None:
        account = db.session.scalars(select(Doctor.account_id).where(Doctor.id == record.doctor_id)).one()
        _settle_record(
            publication_and_verdict[0],
            record,
            account,
            publication_and_verdict[1],
        )


def state_for_doctor(record: Assessment) -> str:
    """Returns a record's state as its doctor may see it: for one that is 待发布 and on a public list the
    verdict there ("passed" or "failed"), else its own."""
    publication_and_verdict = (
        db.session.execute(_public_entry_query(record)).one_or_none()
        if record.state == "confirming"
        else None
    )
    return publication_and_verdict[1] if publication_and_verdict is not None else record.state


def _public_entry_query(record: Assessment) -> Select[Publication, str]:
    """Returns the query of the newest public list that the record is on, with the verdict there."""
    joined = select(Publication, PublicationEntry.verdict).join(
        PublicationEntry,
        (PublicationEntry.tenant_id == Publication.tenant_id)
        & (PublicationEntry.publication_id == Publication.id),
    )
    return (
        joined.where(
            PublicationEntry.assessment_id == record.id,
            Publication.published_at.is_not(None),
        )
        .order_by(Publication.id.desc())
        .limit(1)
    )
