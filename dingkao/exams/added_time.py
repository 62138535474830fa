"""Added time (补时): minutes that the clerk on duty adds to a sitting after a failure of network or power
that was not the doctor's fault; each addition is recorded (domain.md §4, §6 no. 7)."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.doctor_notices import notify
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState
from dingkao.exams.models.monitoring_models import AddedTime
from dingkao.exams.models.sitting_models import (
    AUTOMATIC_HAND_IN,
    Sitting,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.notice_catalogue import (
    TIME_ADDED,
    TIME_ADDED_REOPENED,
)
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

REOPEN_HOURS = 24
MIN_REASON_LENGTH, MAX_REASON_LENGTH = 4, 500
settings.register(
    "added_minutes_most",
    Setting(
        "因断网等每场最多补时（分钟）",
        30,
        kind="whole",
        group="考试",
        order=40,
        min_value=1,
        max_value=120,
    ),
)


def validate_reason(reason: str) -> str:
    """Return the reason for added time without spaces at its ends. Raises InvalidInput (field "reason") if it
    is too short or too long."""
    reason = reason.strip()
    if not MIN_REASON_LENGTH <= len(reason) <= MAX_REASON_LENGTH:
        raise InvalidInput(
            (
                f"请填写补时原因（不少于{MIN_REASON_LENGTH}字，不超过{MAX_REASON_LENGTH}字），"
                "如“本考点10:05至10:15断网”。"
            ),
            "reason",
        )
    return reason


def add_time(
    record: Assessment,
    sitting: Sitting,
    *,
    minutes: int,
    reason: str,
    by: Actor,
    outage_id: UUID | None = None,
) -> AddedTime:
    """补时: add `minutes` to a sitting (record and sitting locked for update), from its end on or, if that is
    past, from now. A sitting that the page or the system handed in within the last REOPEN_HOURS is opened
    again, without its score, with the answers it has, in a new epoch, and its record is testing again. One
    that its doctor handed in can't get time. `outage_id`: the id of the outage for which all affected
    sittings get time; None if only this sitting gets some. Writes journal entries and a notice; the caller
    has open pages load the new end (`integrity_events.request_recheck`). Raises InvalidInput for a bad
    reason, for less than one minute or more in all than the province allows, InvalidState if the sitting
    can't get time, Forbidden if `by` may not reopen one."""
    reason = validate_reason(reason)
    _require_minutes_left(sitting, minutes)
    now = clock.now()
    if sitting.voided_at is not None:
        raise InvalidState("本次作答已作废，不能补时。")
    is_reopened = sitting.handed_in_at is not None
    if sitting.handed_in_at is not None:
        _require_reopenable(record, sitting, sitting.handed_in_at)
        _reopen(record, sitting, by=by)
    sitting.closes_at = max(sitting.closes_at, now) + timedelta(minutes=minutes)
    added_time = AddedTime(
        sitting_id=sitting.id,
        minutes=minutes,
        reason=reason,
        added_by=by.id,
        reopened=is_reopened,
        outage_id=outage_id,
    )
    db.session.add(added_time)
    db.session.flush()
    journal.write_entry(
        "sitting",
        sitting.id,
        "time_added",
        by=by,
        minutes=minutes,
        reason=reason,
        reopened=is_reopened,
    )
    notify(
        record,
        TIME_ADDED_REOPENED if is_reopened else TIME_ADDED,
        reason=reason,
        minutes=minutes,
        until=f"{clock.to_beijing(sitting.closes_at):%m月%d日 %H:%M}",
    )
    return added_time


def _require_minutes_left(sitting: Sitting, minutes: int) -> None:
    """Raise InvalidInput (field "minutes") if `minutes` is below 1, or the sitting would get more in all than
    the province allows."""
    max_minutes = settings.value("added_minutes_most")
    query = select(func.coalesce(func.sum(AddedTime.minutes), 0)).where(AddedTime.sitting_id == sitting.id)
    added_minutes = db.session.scalar(query) or 0
    left_minutes = max_minutes - added_minutes
    if not 1 <= minutes <= left_minutes:
        raise InvalidInput(
            f"每场作答最多补时{max_minutes}分钟，已补{added_minutes}分钟，"
            f"请填写1至{max(1, left_minutes)}之间的整数。",
            "minutes",
        )


def _require_reopenable(record: Assessment, sitting: Sitting, handed_in_at: datetime) -> None:
    """Raise InvalidState unless the page or the system handed the sitting in within the last REOPEN_HOURS and
    its record is testing, scored or absent: not evaluated yet."""
    if sitting.handed_in_by == "doctor":
        raise InvalidState("医师已自行交卷，不能补时。")
    if sitting.handed_in_by not in AUTOMATIC_HAND_IN:
        raise InvalidState("成绩由线下录入，没有可以补时的作答。")
    is_evaluated = record.state not in ("testing", "scored", "absent")
    if is_evaluated or clock.now() - handed_in_at > timedelta(hours=REOPEN_HOURS):
        raise InvalidState(f"自动交卷已超过{REOPEN_HOURS}小时或已进入评定，不能再补时。")


def _reopen(record: Assessment, sitting: Sitting, *, by: Actor) -> None:
    """Open again a sitting that was handed in, without its score; its record, unless it is testing still, is
    that again, without verdict and absence (`reopen_test`, which writes the journal). Its new epoch makes
    pages that are still open load anew. Raises Forbidden, InvalidState."""
    if record.state != "testing":
        assessment_transitions.reopen_test(record, by=by)
    sitting.handed_in_at = sitting.handed_in_by = sitting.score_tenths = None
    sitting.epoch += 1


def added_times_of(sitting_id: UUID) -> list[AddedTime]:
    """Return all the time added to a sitting, the earliest first."""
    return list(
        db.session.scalars(select(AddedTime).where(AddedTime.sitting_id == sitting_id).order_by(AddedTime.id))
    )
