"""Batches of a review: what was confirmed on the preview is stored with a row for each record, decided in
chunks, and reported for each person. What a batch has sent on can be recalled together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, insert, select

from dingkao import clock
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import get_cycle
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.database.pagination import Page, fetch_page
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, InvalidInput, NotFound, Refusal
from dingkao.filings.batch_review import (
    CHANGED_MESSAGE,
    MAX_BATCH,
    BatchReview,
    apply_batch,
    changed_since,
)
from dingkao.filings.models import BATCH_ITEM_STATES, ReviewBatch, ReviewBatchItem
from dingkao.filings.recall import recall_record
from dingkao.filings.review import CLERK_MESSAGE, ReviewScope, get_record_for_update, load_scope
from dingkao.integrations.spreadsheets.xlsx_writer import write_xlsx
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.accounts import load_actor
from dingkao.people.models import Organisation
from dingkao.tenants.context import current_tenant

CHUNK_SIZE = 50
"""Records that a chunk decides or recalls; a batch of no more is done within the request."""
OUT_OF_REACH_MESSAGE = "该记录已不在您的审核范围内"
REPORT_HEADINGS = ("姓名", "证件号码", "主要执业机构", "科室", "结果", "说明")
DONE_LABELS = {
    ("institution", "decide"): "审核通过",
    ("organisation", "decide"): "复核通过",
    ("institution", "recall"): "已撤回",
    ("organisation", "recall"): "已撤回",
}


def start_batch(
    cycle: Cycle,
    scope: ReviewScope,
    batch_id: UUID,
    ids: Iterable[UUID],
    skipped: Mapping[UUID, str],
    *,
    by: Actor,
    seen_at: datetime,
) -> ReviewBatch:
    """Store a confirmed batch and begin it: one of at most CHUNK_SIZE records is decided within the request,
    a larger one wholly by a job. `batch_id` was made with the preview: a batch of that id is returned as it
    is, so that a second press decides nothing. `skipped`: record → why it was left out. `seen_at`: when the
    preview was made; what has changed since, until it is decided, is left out. Locks the records of both,
    journals the batch. Raises Forbidden for who decides nowhere, InvalidInput unless 1 to MAX_BATCH are
    chosen, NotFound for the id of somebody else's batch."""
    if not scope.can_decide:
        raise Forbidden(CLERK_MESSAGE)
    chosen_ids = sorted(set(ids))
    if not 0 < len(chosen_ids) <= MAX_BATCH:
        raise InvalidInput(f"请选择1至{MAX_BATCH}人。")
    batch = ReviewBatch(
        id=batch_id,
        cycle_id=cycle.id,
        side=scope.name,
        action="decide",
        asked_by=by.id,
        asked_at=clock.now(),
    )
    changed_ids = changed_since(chosen_ids, scope, seen_at)
    unchanged_ids = [record_id for record_id in chosen_ids if record_id not in changed_ids]
    return _start(
        batch,
        scope,
        unchanged_ids,
        {**skipped, **dict.fromkeys(changed_ids, CHANGED_MESSAGE)},
        by,
    )


def start_recall(
    original: ReviewBatch,
    scope: ReviewScope,
    batch_id: UUID,
    reason: str,
    *,
    by: Actor,
) -> ReviewBatch:
    """Recall what a batch (locked) has sent on, as a batch of its own, within the request or, of more than
    CHUNK_SIZE records, by a job; a batch with the id `batch_id` that is there already is returned as it is.
    Locks the records, journals the batch. Raises InvalidInput without a reason or if nothing was decided,
    NotFound for the id of somebody else's batch. Who may not recall a record is told so in the items."""
    if not reason.strip():
        raise InvalidInput("请填写撤回的原因。", "reason")
    decided = select(ReviewBatchItem.assessment_id).where(
        ReviewBatchItem.batch_id == original.id,
        ReviewBatchItem.state == "done",
    )
    ids = sorted(db.session.scalars(decided))
    if not ids:
        raise InvalidInput("这一批没有可撤回的记录。")
    batch = ReviewBatch(
        id=batch_id,
        cycle_id=original.cycle_id,
        side=scope.name,
        action="recall",
        reason=reason.strip(),
        recalled_batch_id=original.id,
        asked_by=by.id,
        asked_at=clock.now(),
    )
    return _start(batch, scope, ids, {}, by)


def _start(
    batch: ReviewBatch,
    scope: ReviewScope,
    ids: Sequence[UUID],
    skipped: Mapping[UUID, str],
    by: Actor,
) -> ReviewBatch:
    """Store a batch with its items, and decide or recall them, or enqueue the job that does; a batch of that
    id that is there already is returned as it is, also if the same form was sent twice at once. Journals the
    batch. Locks the records `ids` and `skipped` (record id → why it is left out). Raises NotFound for the id
    of somebody else's batch."""
    _lock_records([*ids, *skipped])  # a second press waits here, and then finds the batch of the first one
    if existing := _find_batch(batch.id):  # not locked: the batch's job locks it before its records
        if existing.asked_by != by.id:
            raise NotFound
        return existing
    db.session.add(batch)
    db.session.flush()
    db.session.execute(
        insert(ReviewBatchItem),
        list(_item_rows(batch, ids, skipped)),
    )
    journal.write_entry(
        "review_batch",
        batch.id,
        batch.action,
        by=by,
        count=len(ids),
        left_out=len(skipped),
        reason=batch.reason,
    )
    if len(ids) > CHUNK_SIZE:
        batch.job_id = _enqueue(batch, len(ids), by).id
    else:
        _run_items(batch, scope, by)
        batch.ended_at = clock.now()
    return batch


def _lock_records(ids: Iterable[UUID]) -> None:
    """Lock records by id. The items' foreign keys would lock them weakly first, and two people who confirm
    the same records would wait for each other."""
    query = (
        select(Assessment.id)
        .where(in_array(Assessment.id, ids))
        .order_by(
            Assessment.id,
        )
    )
    db.session.execute(query.with_for_update())


def _item_rows(
    batch: ReviewBatch,
    ids: Iterable[UUID],
    skipped: Mapping[UUID, str],
) -> Iterator[dict[str, Any]]:
    """Yields the rows of a batch's items."""
    reasons: dict[UUID, str | None] = {**dict.fromkeys(ids), **skipped}
    for record_id, reason in reasons.items():
        yield {
            "tenant_id": current_tenant(),
            "id": new_id(),
            "batch_id": batch.id,
            "assessment_id": record_id,
            "state": "waiting" if reason is None else "left_out",
            "reason": reason,
        }


def _enqueue(batch: ReviewBatch, number: int, by: Actor) -> Job:
    """Enqueue the job that decides on or recalls the `number` records of a batch."""
    label = "批量撤回" if batch.action == "recall" else f"批量{DONE_LABELS[batch.side, batch.action]}"
    return enqueueing.enqueue(
        "review_batch",
        f"{label}（{number}人）",
        {"batch": str(batch.id)},
        by=by.id,
        subject=batch.id,
    )


@worker.register_chunked_job("review_batch")
def review_batch_step(job: Job, cursor: Cursor) -> Chunk:
    """Decide on or recall the next CHUNK_SIZE records of a batch, which is locked, by the roles that the
    asker has now. A cancelled job leaves the rest as they are. Of a batch that is gone nothing is done."""
    batch = _find_batch(UUID(job.arguments["batch"]), for_update=True)
    if batch is None:
        return Chunk(None)
    by, scope = (
        load_actor(job.asked_by),
        load_scope(
            batch.side,
            job.asked_by,
        ),
    )
    counts = count_items(batch)
    result = _run_items(batch, scope, by)
    is_last = counts["waiting"] <= CHUNK_SIZE
    batch.ended_at = clock.now() if is_last else None
    done = len(result.decidable) + len(result.skipped)
    return Chunk(
        None if is_last else {"done": cursor.get("done", 0) + done},
        done=done,
        total=None if cursor else counts["waiting"],
        counts={"reviewed": len(result.decidable), "left_out": len(result.skipped)},
        names=result.skipped,
    )


def _run_items(
    batch: ReviewBatch,
    scope: ReviewScope,
    by: Actor,
) -> BatchReview:
    """Lock the next CHUNK_SIZE of a batch's waiting items and their records, by the record's id; decide on
    these records or recall them, with the entries of the journal, and store what came of each. Returns the
    result."""
    query = select(ReviewBatchItem).where(
        ReviewBatchItem.batch_id == batch.id,
        ReviewBatchItem.state == "waiting",
    )
    ordered = query.order_by(ReviewBatchItem.assessment_id).limit(CHUNK_SIZE).with_for_update()
    items = {item.assessment_id: item for item in db.session.scalars(ordered)}
    _lock_records(items)
    with journal.batched_entries():
        if batch.action == "recall":
            result = _recall(batch, items, scope, by)
        else:
            result = apply_batch(
                get_cycle(batch.cycle_id),
                scope,
                items,
                by=by,
                seen_at=batch.asked_at,
            )
    outcomes: dict[UUID, str | None] = dict.fromkeys(
        items,
        OUT_OF_REACH_MESSAGE,
    )
    outcomes |= {record_id: None for record_id, _ in result.decidable}
    outcomes |= {record_id: reason for record_id, _, reason in result.left_out}
    for record_id, item in items.items():
        item.reason = outcomes[record_id]
        item.state = "done" if item.reason is None else "left_out"
    db.session.flush()
    return result


def _recall(
    batch: ReviewBatch,
    ids: Iterable[UUID],
    scope: ReviewScope,
    by: Actor,
) -> BatchReview:
    """Lock and recall the records `ids`, one after the other, by id; their doctors are told. Returns the
    result."""
    result = BatchReview()
    names = _names_by_record(ids)
    for record_id, name in names.items():
        result.add(
            record_id,
            name,
            _recall_one(record_id, batch.reason or "", scope, by),
        )
    return result


def _recall_one(
    record_id: UUID,
    reason: str,
    scope: ReviewScope,
    by: Actor,
) -> str | None:
    """Lock and recall one record; returns why it was refused, or None."""
    try:
        recall_record(
            get_record_for_update(record_id, scope),
            scope,
            by=by,
            reason=reason,
        )
    except Refusal as refusal:
        return refusal.message
    return None


def _names_by_record(ids: Iterable[UUID]) -> dict[UUID, str]:
    """Returns record → doctor's name, by id of the record."""
    query = (
        select(Assessment.id, Doctor.name)
        .join(Doctor, doctor_join())
        .where(in_array(Assessment.id, ids))
        .order_by(Assessment.id)
    )
    return dict(db.session.execute(query).all())


def _find_batch(
    batch_id: UUID,
    *,
    for_update: bool = False,
) -> ReviewBatch | None:
    """The batch with that id, whoever asked for it, locked if `for_update`; None if there is none."""
    query = select(ReviewBatch).where(ReviewBatch.id == batch_id)
    return db.session.scalar(
        query.with_for_update() if for_update else query,
    )


def get_batch(
    batch_id: UUID,
    by: Actor,
    *,
    for_update: bool = False,
) -> ReviewBatch:
    """Returns a batch of one's own, locked with `for_update`. Raises NotFound for another one."""
    batch = _find_batch(batch_id, for_update=for_update)
    if batch is None or batch.asked_by != by.id:
        raise NotFound
    return batch


def batches_page(
    cycle: Cycle,
    side: str,
    by: Actor,
    cursor: str | None,
) -> Page[ReviewBatch]:
    """Returns a page of one's own batches at a side, the latest first; an invalid cursor gives the first
    page."""
    query = select(ReviewBatch).where(
        ReviewBatch.asked_by == by.id,
        ReviewBatch.cycle_id == cycle.id,
        ReviewBatch.side == side,
    )
    return fetch_page(query, [ReviewBatch.id], cursor, descending=True)


def count_items(batch: ReviewBatch) -> dict[str, int]:
    """Returns state of an item (waiting, done, left_out) → number."""
    query = (
        select(ReviewBatchItem.state, func.count())
        .where(ReviewBatchItem.batch_id == batch.id)
        .group_by(ReviewBatchItem.state)
    )
    return dict.fromkeys(BATCH_ITEM_STATES, 0) | dict(
        db.session.execute(query).all(),
    )


def left_out_people(batch: ReviewBatch) -> list[tuple[str, str]]:
    """Returns doctor's name and reason of those who were left out, by name, at most MAX_BATCH."""
    query = _people_query(batch).where(
        ReviewBatchItem.state == "left_out",
    )
    return [
        (doctor.name, item.reason or "")
        for item, doctor, _ in db.session.execute(
            query.limit(MAX_BATCH),
        )
    ]


def batch_report(batch: ReviewBatch) -> bytes:
    """Returns everybody of a batch (the first 2 × MAX_BATCH), by name, with what came of it, as xlsx; numbers
    are masked."""
    labels = BATCH_ITEM_STATES | {"done": DONE_LABELS[batch.side, batch.action]}
    people = db.session.execute(
        _people_query(batch).limit(2 * MAX_BATCH),
    )
    rows = (
        (
            doctor.name,
            doctor.number_masked,
            institution,
            doctor.department or "",
            labels[item.state],
            item.reason or "",
        )
        for item, doctor, institution in people
    )
    return write_xlsx(REPORT_HEADINGS, rows, "批量审核")


def _people_query(
    batch: ReviewBatch,
) -> Select[ReviewBatchItem, Doctor, str]:
    """Returns the query of a batch's items with doctor and institution's name, by name."""
    return (
        select(ReviewBatchItem, Doctor, Organisation.name)
        .join(
            Assessment,
            (Assessment.tenant_id == ReviewBatchItem.tenant_id)
            & (Assessment.id == ReviewBatchItem.assessment_id),
        )
        .join(Doctor, doctor_join())
        .join(
            Organisation,
            (Organisation.tenant_id == Assessment.tenant_id) & (Organisation.id == Assessment.institution_id),
        )
        .where(ReviewBatchItem.batch_id == batch.id)
        .order_by(Doctor.name_key, Doctor.id)
    )
