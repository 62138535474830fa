"""Messages to an account (消息): the one way they are written, and word of them by short message and WeChat as the province wishes.

The row is the message. What goes out says only that there is one, and is asked for by a duty of the timetable, not by each row: thousands
are written at once when a whole province is included, and by night they wait (domain.md §13, 通知).
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import current_app
from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.model import db
from dingkao.errors import Unavailable
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.outside.sms import Message, NotTaken
from dingkao.outside.wechat import NotDelivered
from dingkao.people.models import Account, Notice
from dingkao.settings import Settings
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import by_code
from dingkao.tenants.secrets import Place, vault

JOB = "deliver_notices"
BATCH = 100
GIVEN_UP = timedelta(minutes=15)
TOO_OLD = timedelta(days=3)
SMS_TEXT = "【定考】您在{province}医师定期考核系统有新消息,请登录系统查看。"


def tell(account_id: UUID, title: str, body: str, *, leads: str | None = None) -> Notice:
    """A message to an account, in the transaction of what it tells of; `leads` names where one acts on it. Word of it goes out if the
    province's settings say so."""
    row = Notice(account_id=account_id, title=title, body=body, leads=leads, outward=outward())
    db.session.add(row)
    return row


def outward() -> str:
    """How a new message begins: whether word of it is to go out."""
    return "waiting" if settings.value("notify_by_sms") or settings.value("notify_by_wechat") else "none"


def quiet() -> bool:
    """Whether it is the time of day at which nobody is disturbed, in Beijing; messages then wait."""
    start, end, hour = settings.value("quiet_from"), settings.value("quiet_until"), clock.beijing(clock.now()).hour
    return start <= hour < end if start <= end else hour >= start or hour < end


def ask_delivery() -> bool:
    """A duty: ask for what waits to be delivered, unless it is quiet or that has been asked for already."""
    if quiet() or db.session.scalar(select(Notice.id).where(Notice.outward == "waiting").limit(1)) is None:
        return False
    if db.session.scalar(select(Job.id).where(Job.name == JOB, Job.state.in_(("waiting", "running"))).limit(1)) is not None:
        return False
    asking.ask(JOB, "发送消息提醒", {}, by=None)
    return True


@performing.job(JOB)
def deliver(_job: Job, _progress: performing.Progress) -> dict[str, Any]:
    """Send word to everyone who has a message waiting: one each, however many wait. A row is claimed before anything is sent and marked
    after, so that a repeated or broken run disturbs nobody twice; what was claimed and never marked is given up, the message stands in the
    system all the same. Raises Unavailable where neither way takes anything; the rest waits."""
    db.session.execute(
        update(Notice).where(Notice.outward == "sending", Notice.claimed_at < clock.now() - GIVEN_UP).values(outward="failed")
    )
    db.session.commit()
    told = {"sent": 0, "failed": 0}
    while not quiet():
        waiting = select(Notice.account_id).where(Notice.outward == "waiting").distinct().limit(BATCH)
        accounts = list(db.session.scalars(waiting))
        if not accounts:
            break
        for account_id in accounts:
            told["sent" if _deliver_to(account_id) else "failed"] += 1
    return told


def _deliver_to(account_id: UUID) -> bool:
    """Whether word went out. Claim, send, mark: each commits."""
    theirs = select(Notice).where(Notice.account_id == account_id, Notice.outward == "waiting").with_for_update(skip_locked=True)
    rows = list(db.session.scalars(theirs))
    account = db.session.scalars(select(Account).where(Account.id == account_id)).one()
    fresh = [row for row in rows if row.read_at is None and row.written_at > clock.now() - TOO_OLD]
    for row in rows:
        row.outward, row.claimed_at = "sending" if row in fresh else "none", clock.now()
    db.session.commit()
    if not fresh:
        return False
    try:
        by_sms, by_wechat = _send_sms(account), _send_wechat(account)
    except Unavailable:
        for row in fresh:
            row.outward = "waiting"
        db.session.commit()
        raise
    now = clock.now()
    for row in fresh:
        row.outward = "sent" if by_sms or by_wechat else "failed"
        row.sms_at, row.wechat_at = now if by_sms else None, now if by_wechat else None
    db.session.commit()
    return by_sms or by_wechat


def _send_sms(account: Account) -> bool:
    if not settings.value("notify_by_sms") or account.mobile_sealed is None or account.state != "active":
        return False
    province = by_code(current_tenant())
    name = province.short_name if province else ""
    mobile = vault().unseal(Place("account", "mobile", account.id), account.mobile_sealed)
    try:
        current_app.extensions["sms"].send(Message("notice", mobile, {"province": name}, SMS_TEXT.format(province=name)))
    except NotTaken:
        return False
    return True


def _send_wechat(account: Account) -> bool:
    wechat = current_app.extensions["wechat"]
    if not settings.value("notify_by_wechat") or wechat is None or account.wechat_sealed is None or account.state != "active":
        return False
    province = by_code(current_tenant())
    openid = vault().unseal(Place("account", "wechat", account.id), account.wechat_sealed)
    address = f"{Settings.in_force().public_url}/{province.slug if province else ''}/notices"
    try:
        wechat.send(openid, {"thing1": "医师定期考核有新消息", "time2": f"{clock.beijing(clock.now()):%Y年%m月%d日 %H:%M}"}, address)
    except NotDelivered:
        return False
    except Unavailable:
        if settings.value("notify_by_sms") and account.mobile_sealed is not None:
            return False  # the short message went out
        raise
    return True
