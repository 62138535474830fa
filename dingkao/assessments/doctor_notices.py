"""Notices (消息) to a doctor about a record: written in the transaction of the transition that causes them,
and marked as read."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.account_queries import get_account_for_update
from dingkao.people.models import Notice
from dingkao.people.notice_catalogue import (
    RESULT_PUBLISHED,
    TARGET_OF_RECORD,
    NoticeKind,
)
from dingkao.people.notices import add_notice

TARGET_BY_STATE = {
    "included": "filing", "draft": "filing", "institution_returned": "filing", "ready": "practice", "testing": "sitting", "passed": "result",
    "failed": "result",
}  # fmt: skip


def notify(
    record: Assessment,
    kind: NoticeKind,
    /,
    *,
    account_id: UUID | None = None,
    **fields: object,
) -> Notice:
    """Write a notice to the doctor of `record`, in the current transaction; not flushed.

    `fields`: the values for the texts of its kind. `account_id`: the doctor's account, if the caller knows
    it. If the kind's target is TARGET_OF_RECORD, the notice leads to the page for the record's state
    (TARGET_BY_STATE; to none in a state that isn't there). Raises KeyError if a field is missing."""
    if account_id is None:
        account_id = db.session.scalars(select(Doctor.account_id).where(Doctor.id == record.doctor_id)).one()
    target = TARGET_BY_STATE.get(record.state) if kind.target == TARGET_OF_RECORD else kind.target
    return add_notice(account_id, kind, fields, target=target, subject_id=record.id)


def mark_read(account_id: UUID, notice_id: UUID | None = None, *, by: Actor) -> int:
    """Mark one unread notice of an account as read, or all of them if `notice_id` is None; returns how many
    were marked. Locks the records and the account, and journals it. Reading the notice of a result counts as
    receiving it: the first time is stored with the record, because the days for an appeal begin then (办法;
    domain.md §1.8)."""
    now = clock.now()
    unread = [
        Notice.account_id == account_id,
        Notice.read_at.is_(None),
    ]
    if notice_id is not None:
        unread.append(Notice.id == notice_id)
    _record_receipt(unread, now)  # records are locked before accounts, as everywhere
    get_account_for_update(account_id)
    marked_ids = db.session.scalars(
        update(Notice).where(*unread).values(read_at=now).returning(Notice.id)
    ).all()
    if marked_ids:
        journal.write_entry(
            "account",
            account_id,
            "notices_read",
            by=by,
            count=len(marked_ids),
        )
    return len(marked_ids)


def _record_receipt(unread: Collection[ColumnElement[bool]], now: datetime) -> None:
    """Store `now` as the time of receipt with the records (locked here) whose published results the `unread`
    notices are about, if they have none yet."""
    of_results = select(Notice.subject_id).where(
        *unread,
        Notice.kind == RESULT_PUBLISHED.code,
        Notice.subject_id.is_not(None),
    )
    record_ids = db.session.scalars(of_results).all()
    if not record_ids:
        return
    received = select(Assessment).where(
        in_array(Assessment.id, record_ids),
        Assessment.result_received_at.is_(None),
    )
    for record in db.session.scalars(received.order_by(Assessment.id).with_for_update()):
        record.result_received_at = now
