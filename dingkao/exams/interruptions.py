"""Time given back (补时): a failure of network or power that was not the doctor's, by the clerk on duty, with trail (domain.md §4, §6 no. 7)."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select

from dingkao import clock
from dingkao.assessments import moves
from dingkao.assessments.models import Assessment
from dingkao.assessments.notices import tell
from dingkao.database.model import db
from dingkao.errors import Invalid, NotAllowed
from dingkao.exams.models import AddedTime, Sitting
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.tenants import settings

REOPENED_WITHIN = timedelta(hours=24)
LEAST_REASON, LONGEST_REASON = 4, 500


def add_time(record: Assessment, sitting: Sitting, *, minutes: int, reason: str, by: Actor) -> AddedTime:
    """补时: `minutes` more for a sitting (both rows held locked). One that was closed at its end within the last day is opened again for so
    long, and goes on where it stopped; one that the doctor handed in stays so. Never more in all than the province allows. Raises Invalid,
    NotAllowed."""
    most = settings.value("added_minutes_most")
    reason = reason.strip()
    if not LEAST_REASON <= len(reason) <= LONGEST_REASON:
        raise Invalid(f"请填写补时原因(不少于{LEAST_REASON}字,不超过{LONGEST_REASON}字),如“本考点10:05至10:15断网”。", "reason")
    given = db.session.scalar(select(func.coalesce(func.sum(AddedTime.minutes), 0)).where(AddedTime.sitting_id == sitting.id)) or 0
    if not 1 <= minutes <= most - given:
        raise Invalid(f"每场作答最多补时{most}分钟,已补{given}分钟,请填写1至{max(1, most - given)}之间的整数。", "minutes")
    now = clock.now()
    if sitting.voided_at is not None:
        raise NotAllowed("本次作答已作废,不能补时。")
    reopened = sitting.handed_in_at is not None
    if sitting.handed_in_at is not None:
        if sitting.handed_in_by != "system":
            raise NotAllowed("医师已自行交卷,不能补时。")
        if record.state not in ("testing", "scored") or now - sitting.handed_in_at > REOPENED_WITHIN:
            raise NotAllowed("自动交卷已超过24小时或已进入评定,不能再补时。")
        if record.state == "scored":
            moves.reopen_test(record, by=by)
        sitting.handed_in_at = sitting.handed_in_by = sitting.score_tenths = None
        sitting.epoch += 1
    sitting.closes_at = max(sitting.closes_at, now) + timedelta(minutes=minutes)
    row = AddedTime(sitting_id=sitting.id, minutes=minutes, reason=reason, added_by=by.id, reopened=reopened)
    db.session.add(row)
    db.session.flush()
    journal.write("sitting", sitting.id, "time_added", by=by, minutes=minutes, reason=reason, reopened=reopened)
    until = f"{clock.beijing(sitting.closes_at):%m月%d日 %H:%M}"
    again = "试卷已重新打开,请尽快从“参加测评”进入继续作答。" if reopened else "请继续作答。"
    tell(record, "作答时间已延长", f"因{reason},您的作答时间已延长{minutes}分钟,截止时间为{until}。{again}")
    return row


def added_to(sitting_id: UUID) -> list[AddedTime]:
    """What was given back to a sitting, in order."""
    return list(db.session.scalars(select(AddedTime).where(AddedTime.sitting_id == sitting_id).order_by(AddedTime.id)))
