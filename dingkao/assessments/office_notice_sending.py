"""Sending the notices of offices (`office_notices`): when they are due, the job that writes a copy for each
doctor, and how many copies were announced and read."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, or_, select

from dingkao import clock
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import (
    OFFICE_NOTICE_STATES,
    Assessment,
    OfficeNotice,
)
from dingkao.assessments.notice_recipients import recipients_query
from dingkao.assessments.office_notices import (
    Recipient,
    cancel,
    fill,
    load_recipients,
    sender_name,
)
from dingkao.cycles.cycles import get_cycle
from dingkao.database.base import db
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor, RetryLater
from dingkao.jobs.models import Job
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.journal.state_machine import transition
from dingkao.people.handover_parts import add_handover_part, move_column
from dingkao.people.models import Notice
from dingkao.people.notice_catalogue import NOTICE_KINDS
from dingkao.people.notice_delivery import is_quiet_time

JOB_NAME, BATCH_SIZE = "send_office_notice", 500
MAX_STARTED = 100
FIRST_ID = UUID(int=0)
COUNTED_DAYS = timedelta(days=30)
SMALL_NOTICE = 20_000
COUNT_INTERVAL, LARGE_COUNT_INTERVAL = (
    timedelta(minutes=1),
    timedelta(hours=1),
)


@transition(
    "scheduled",
    to="sending",
    actors=("system",),
    states=OFFICE_NOTICE_STATES,
)
def start_sending(office_notice: OfficeNotice, *, by: Actor) -> None:
    """The time of a scheduled notice has come."""


@transition(
    "sending",
    to="sent",
    actors=("system",),
    states=OFFICE_NOTICE_STATES,
)
def finish_sending(office_notice: OfficeNotice, *, by: Actor) -> None:
    """Each doctor whom the notice concerns has a copy."""


def start_due_notices() -> int:
    """Scheduled task: start the notices whose time has come, at most MAX_STARTED at once, the earliest first,
    each as a job of who wrote it; nothing in quiet hours. Notices that another transaction has locked are
    skipped. Returns how many. Doesn't commit: the timetable does."""
    if is_quiet_time():
        return 0
    due = (
        select(OfficeNotice)
        .where(
            OfficeNotice.state == "scheduled",
            OfficeNotice.send_at <= clock.now(),
        )
        .order_by(OfficeNotice.send_at)
        .limit(MAX_STARTED)
        .with_for_update(skip_locked=True)
    )
    due_notices = db.session.scalars(due).all()
    for notice in due_notices:
        start_sending(notice, by=SYSTEM_ACTOR)
        enqueueing.enqueue(
            JOB_NAME,
            f"通知医师：{notice.title}",
            {"notice": str(notice.id)},
            by=notice.created_by,
            subject=notice.id,
        )
    return len(due_notices)


def _find_for_update(job: Job) -> OfficeNotice | None:
    """The notice of a job, locked; None if it is no longer being sent."""
    query = select(OfficeNotice).where(OfficeNotice.id == UUID(job.arguments["notice"]))
    notice = db.session.scalar(query.with_for_update().execution_options(populate_existing=True))
    return notice if notice is not None and notice.state == "sending" else None


def _on_cancel(job: Job, _cursor: Cursor) -> None:
    """Cancel the notice of a cancelled job, unless it is no longer being sent; the copies that are written
    stay."""
    notice = _find_for_update(job)
    if notice is not None:
        cancel(notice, by=SYSTEM_ACTOR)


@worker.register_chunked_job(JOB_NAME, undo=_on_cancel)
def send_batch(job: Job, _cursor: Cursor) -> Chunk:
    """Write the copies of the next doctors of a notice, together with its progress, so that nobody gets two;
    nothing, and the job is over, if the notice is no longer being sent. Raises RetryLater in quiet hours."""
    notice = _find_for_update(job)
    if notice is None:
        return Chunk(None)
    if is_quiet_time():
        raise RetryLater("免打扰时段不发通知，结束后自动继续。")
    recipients = _next_recipients(notice)
    _write_copies(notice, recipients)
    if len(recipients) < BATCH_SIZE:
        finish_sending(notice, by=SYSTEM_ACTOR)
        return Chunk(
            None,
            done=len(recipients),
            counts={"told": len(recipients)},
        )
    cursor = {"reached": str(notice.last_assessment_id)}
    return Chunk(
        cursor,
        done=len(recipients),
        counts={"told": len(recipients)},
    )


def _next_recipients(
    notice: OfficeNotice,
) -> list[Recipient]:
    """The next BATCH_SIZE doctors to whom a notice goes, in the order of their records."""
    query = recipients_query(notice).where(Assessment.id > (notice.last_assessment_id or FIRST_ID))
    rows = db.session.execute(query.order_by(Assessment.id).limit(BATCH_SIZE)).all()
    return load_recipients(rows, get_cycle(notice.cycle_id))


def _write_copies(notice: OfficeNotice, recipients: Sequence[Recipient]) -> None:
    """Write a copy for each doctor, and how far the notice (locked) is."""
    sender = sender_name(notice)
    for recipient in recipients:
        copy = notify(
            recipient.record,
            NOTICE_KINDS[notice.kind],
            account_id=recipient.doctor.account_id,
            title=fill(notice.title, recipient),
            body=fill(notice.body, recipient),
            sender=sender,
        )
        copy.office_notice_id = notice.id
    notice.written_count += len(recipients)
    if recipients:
        notice.last_assessment_id = recipients[-1].record.id


def count_deliveries() -> int:
    """Scheduled task: count the copies announced and read of the notices of the last COUNTED_DAYS, each
    notice at most once in COUNT_INTERVAL, a large one once in LARGE_COUNT_INTERVAL. Commits each. Returns how
    many notices were counted."""
    counted = 0
    for notice_id in _due_for_counting():
        _count_copies(notice_id)
        db.session.commit()
        counted += 1
    return counted


def _due_for_counting() -> Iterator[UUID]:
    """Yield the ids of the notices of the last COUNTED_DAYS whose copies weren't counted for an interval:
    COUNT_INTERVAL, for large ones LARGE_COUNT_INTERVAL."""
    now = clock.now()
    query = select(
        OfficeNotice.id,
        OfficeNotice.written_count,
        OfficeNotice.counted_at,
    ).where(
        OfficeNotice.written_count > 0,
        OfficeNotice.created_at > now - COUNTED_DAYS,
        or_(
            OfficeNotice.counted_at.is_(None),
            OfficeNotice.counted_at < now - COUNT_INTERVAL,
        ),
    )
    for (
        notice_id,
        written_count,
        counted_at,
    ) in db.session.execute(query.order_by(OfficeNotice.id)).all():
        interval = LARGE_COUNT_INTERVAL if written_count > SMALL_NOTICE else COUNT_INTERVAL
        if counted_at is None or counted_at < now - interval:
            yield notice_id


def _count_copies(notice_id: UUID) -> None:
    """Store how many copies of a notice were announced by each channel, and read. Locks the notice; the
    caller commits."""
    counts = db.session.execute(
        select(
            func.count(Notice.sms_at).label("sms"),
            func.count(Notice.wechat_at).label("wechat"),
            func.count(Notice.read_at).label("read"),
        ).where(Notice.office_notice_id == notice_id)
    ).one()
    query = select(OfficeNotice).where(OfficeNotice.id == notice_id)
    notice = db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).one()
    (
        notice.sms_count,
        notice.wechat_count,
        notice.read_count,
    ) = (
        counts.sms,
        counts.wechat,
        counts.read,
    )
    notice.counted_at = clock.now()


add_handover_part(
    "待发送的通知",
    "条",
    lambda desk: select(OfficeNotice).where(
        OfficeNotice.created_by == desk.holder_id,
        OfficeNotice.organisation_id.is_not_distinct_from(desk.organisation_id),
        OfficeNotice.state == "scheduled",
    ),
    move_column("created_by"),
)
