"""Announcing notices (消息) outside, by SMS and WeChat, as far as the province wants it: a duty asks for the
job that does it, outside the quiet hours.

An announcement only says that there is a notice (`notices`). It is not sent when the notice is written,
because thousands are written at once when a whole province is included, and because announcements wait at
night (domain.md §13, 通知).
"""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from flask import current_app
from sqlalchemy import select, update

from dingkao import clock
from dingkao.config import AppConfig
from dingkao.database.base import db
from dingkao.errors import Unavailable
from dingkao.integrations.sms import CarrierRejected, SmsMessage
from dingkao.integrations.wechat_api import DeliveryFailed
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import OPEN_STATES, Job
from dingkao.people import channel_accounts
from dingkao.people.authentication import bound_mobile
from dingkao.people.models import Account, Notice
from dingkao.people.notice_catalogue import (
    NOTICE_KINDS,
    SMS_NEW_NOTICE,
    WECHAT_NEW_NOTICE,
)
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.tenants.registry import by_code
from dingkao.tenants.settings import Setting

JOB_NAME = "deliver_notices"
BATCH_SIZE = 100
CLAIM_TIMEOUT = timedelta(minutes=15)
MAX_AGE = timedelta(days=3)
"""From the writing of a notice on: an older one is not announced any more."""
settings.register(
    "quiet_from",
    Setting(
        "免打扰开始（0至24时）",
        21,
        kind="whole",
        group="通知",
        order=50,
        max_value=24,
    ),
)
settings.register(
    "quiet_until",
    Setting(
        "免打扰结束（0至24时）",
        8,
        kind="whole",
        group="通知",
        order=60,
        max_value=24,
    ),
)


def is_quiet_time() -> bool:
    """Whether the time of day in Beijing is within the province's quiet hours, in which nothing is announced:
    from the hour `quiet_from` (included) to the hour `quiet_until` (not included), over midnight where that
    is the smaller one. Never if both are the same."""
    start = settings.value("quiet_from")
    end = settings.value("quiet_until")
    hour = clock.to_beijing(clock.now()).hour
    if start <= end:
        return bool(start <= hour < end)
    return bool(hour >= start or hour < end)


def enqueue_delivery() -> bool:
    """The scheduled task that enqueues the job that announces waiting notices. Returns False, and enqueues
    nothing, in quiet hours, if no notice waits, or if such a job waits, runs or is paused (暂停 stops all
    announcing until somebody resumes or cancels the job)."""
    if is_quiet_time() or not _has_waiting_notices() or _has_open_delivery():
        return False
    enqueueing.enqueue(JOB_NAME, "发送消息提醒", {}, by=None)
    return True


def _has_waiting_notices() -> bool:
    """Whether a notice of the province waits to be announced, due or not."""
    waiting_notice = select(Notice.id).where(Notice.delivery_state == "waiting").limit(1)
    return db.session.scalar(waiting_notice) is not None


def _has_open_delivery() -> bool:
    """Whether a job that announces notices waits, runs or is paused."""
    open_job = select(Job.id).where(Job.name == JOB_NAME, Job.state.in_(OPEN_STATES))
    return db.session.scalar(open_job.limit(1)) is not None


class _Delivery(NamedTuple):
    """By which channels an account's notices were announced."""

    by_sms: bool
    by_wechat: bool

    @property
    def is_sent(self) -> bool:
        """Whether they were announced by any channel."""
        return self.by_sms or self.by_wechat


@worker.register_chunked_job(JOB_NAME)
def deliver_batch(_job: Job, cursor: Cursor) -> Chunk:
    """Announce waiting notices to the next accounts, each account once, even if several notices wait. Who was
    told nothing, also because no notice was due any more, is counted as `failed`. Notices are claimed (state
    «sending») before the announcement and marked after it, and both are committed, so that a repeated or
    interrupted run announces nothing twice; claims that were never marked become «failed», and the notice
    stays readable. Stops in quiet hours; the scheduled task enqueues the job again. Raises Unavailable if no
    channel responds; the remaining notices wait."""
    if not cursor:
        _fail_unfinished_claims()
    accounts = [] if is_quiet_time() else _accounts_with_waiting_notices()
    sent_count = sum(_deliver_to(account_id) for account_id in accounts)
    return Chunk(
        {"begun": True} if accounts else None,
        done=len(accounts),
        counts={
            "sent": sent_count,
            "failed": len(accounts) - sent_count,
        },
    )


def _fail_unfinished_claims() -> None:
    """Mark notices as «failed» that were claimed by an interrupted run more than CLAIM_TIMEOUT ago.
    Commits."""
    given_up = update(Notice).where(
        Notice.delivery_state == "sending",
        Notice.claimed_at < clock.now() - CLAIM_TIMEOUT,
    )
    db.session.execute(given_up.values(delivery_state="failed"))
    db.session.commit()


def _accounts_with_waiting_notices() -> list[UUID]:
    """The accounts with a notice that waits to be announced, due or not; BATCH_SIZE at most."""
    waiting = select(Notice.account_id).where(Notice.delivery_state == "waiting").distinct()
    return list(db.session.scalars(waiting.limit(BATCH_SIZE)))


def _deliver_to(account_id: UUID) -> bool:
    """Announce the waiting notices of an account; return whether a channel accepted the announcement (False
    also if none was due). Commits the claim before sending and the outcome after it. Raises Unavailable after
    the notices were set waiting again."""
    due_notices = _claim_waiting_notices(account_id)
    account = db.session.scalars(select(Account).where(Account.id == account_id)).one()
    db.session.commit()
    if not due_notices:
        return False
    try:
        delivery = _announce(account, due_notices)
    except Unavailable:
        _set_waiting(due_notices)
        raise
    _record_delivery(due_notices, delivery)
    db.session.commit()
    return delivery.is_sent


def _claim_waiting_notices(account_id: UUID) -> list[Notice]:
    """Claim the waiting notices of an account that are due (state «sending») and return them; the other ones
    aren't announced any more (state «none»). Those that another transaction has locked are left to it. The
    caller commits before anything is sent."""
    waiting_notices = (
        select(Notice)
        .where(
            Notice.account_id == account_id,
            Notice.delivery_state == "waiting",
        )
        .with_for_update(skip_locked=True)
    )
    due_notices = []
    for notice in db.session.scalars(waiting_notices).all():
        notice.delivery_state = "none"
        notice.claimed_at = clock.now()
        if _is_due(notice):
            notice.delivery_state = "sending"
            due_notices.append(notice)
    return due_notices


def _set_waiting(notices: list[Notice]) -> None:
    """Let claimed notices, of which nothing was sent, wait for the next chunk or job, and commit."""
    for notice in notices:
        notice.delivery_state = "waiting"
    db.session.commit()


def _is_due(notice: Notice) -> bool:
    """Whether a notice is unread and still recent enough to be announced."""
    return notice.read_at is None and notice.written_at > clock.now() - MAX_AGE


def _announce(account: Account, notices: list[Notice]) -> _Delivery:
    """Tell the account once, by each channel that the kind of one of the notices has, that it has notices.
    Raises Unavailable if a channel doesn't respond and none before it accepted the message."""
    kind_channels = frozenset().union(*(NOTICE_KINDS[notice.kind].channels for notice in notices))
    by_sms = "sms" in kind_channels and _send_sms(account)
    by_wechat = "wechat" in kind_channels and _send_wechat(account, by_sms=by_sms)
    return _Delivery(by_sms, by_wechat)


def _record_delivery(notices: list[Notice], delivery: _Delivery) -> None:
    """Store in claimed notices whether («sent», else «failed») and by which channels they were announced.
    Doesn't commit."""
    sent_at = clock.now()
    for notice in notices:
        notice.delivery_state = "sent" if delivery.is_sent else "failed"
        notice.sms_at = sent_at if delivery.by_sms else None
        notice.wechat_at = sent_at if delivery.by_wechat else None


def _send_sms(account: Account) -> bool:
    """Announce by SMS; return whether the carrier accepted the message. Raises Unavailable."""
    mobile = bound_mobile(account) if _may_get_sms(account) else None
    if mobile is None:
        return False
    province = by_code(current_tenant())
    name = province.short_name if province else ""
    message = SmsMessage(
        "notice",
        mobile,
        {"province": name},
        SMS_NEW_NOTICE.format(province=name),
    )
    try:
        channel_accounts.sms_sender(current_app.extensions["sms"]).send(message)
    except CarrierRejected:
        return False
    return True


def _may_get_sms(account: Account) -> bool:
    """Whether the province announces by SMS and the account is active with a mobile number; the channels of
    the notice's kind are not asked here."""
    has_mobile = account.state == "active" and account.mobile_sealed is not None
    return settings.value("notify_by_sms") and has_mobile


def _send_wechat(account: Account, *, by_sms: bool) -> bool:
    """Announce by WeChat; return whether WeChat accepted the message. If WeChat doesn't respond, raises
    Unavailable, unless the notices were announced `by_sms`."""
    wechat = channel_accounts.wechat_account(
        current_app.extensions["wechat"],
        current_app.extensions["redis"],
    )
    openid = _openid_of(account)
    if wechat is None or openid is None:
        return False
    now_text = f"{clock.to_beijing(clock.now()):%Y年%m月%d日 %H:%M}"
    try:
        wechat.send(
            openid,
            {"thing1": WECHAT_NEW_NOTICE, "time2": now_text},
            _notices_url(),
        )
    except DeliveryFailed:
        return False
    except Unavailable:
        if by_sms:
            return False
        raise
    return True


def _openid_of(account: Account) -> str | None:
    """The openid of the WeChat bound to an active account, if the province announces by WeChat; else None."""
    if not settings.value("notify_by_wechat"):
        return None
    if account.wechat_sealed is None or account.state != "active":
        return None
    return current_vault().decrypt(
        SecretLocation("account", "wechat", account.id),
        account.wechat_sealed,
    )


def _notices_url() -> str:
    """The address of the page of messages in the current province, with the host."""
    province = by_code(current_tenant())
    return f"{AppConfig.current().public_url}/{province.slug if province else ''}/notices"
