"""Notices to an account (消息): the only way to write them, and to read them.

The row is the notice itself; if the province wants it, `notice_delivery` announces by SMS and WeChat that
there is one. What notices say stands in `notice_catalogue`.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select

from dingkao.database.base import db
from dingkao.errors import NotFound
from dingkao.people.models import Notice
from dingkao.people.notice_catalogue import (
    TARGET_OF_RECORD,
    NoticeKind,
)
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

settings.register(
    "notify_by_sms",
    Setting(
        "有新消息时发短信提醒",
        False,
        kind="yes_no",
        group="通知",
        order=30,
    ),
)
settings.register(
    "notify_by_wechat",
    Setting(
        "有新消息时发微信提醒（已绑定微信的医师）",
        False,
        kind="yes_no",
        group="通知",
        order=40,
    ),
)


def has_unread_notices(account_id: UUID) -> bool:
    """Whether the account has a notice that was not read."""
    query = select(Notice.id).where(Notice.account_id == account_id, Notice.read_at.is_(None))
    return db.session.scalar(query.limit(1)) is not None


def list_notices(
    account_id: UUID,
    *,
    unread_only: bool,
    before: UUID | None,
    limit: int,
) -> Sequence[Notice]:
    """At most `limit` notices of the account, the newest first. `unread_only`: only unread ones; `before`:
    only those older than the notice with this id."""
    query = select(Notice).where(Notice.account_id == account_id)
    if unread_only:
        query = query.where(Notice.read_at.is_(None))
    if before:
        query = query.where(Notice.id < before)
    return db.session.scalars(query.order_by(Notice.id.desc()).limit(limit)).all()


def get_notice(notice_id: UUID, account_id: UUID) -> Notice:
    """The notice with that id, if it is one to this account. Raises NotFound."""
    notice = db.session.scalar(select(Notice).where(Notice.id == notice_id, Notice.account_id == account_id))
    if notice is None:
        raise NotFound
    return notice


def notify_account(account_id: UUID, kind: NoticeKind, **fields: object) -> Notice:
    """Write a notice that isn't about an assessment, in the current transaction. `fields` fill in the texts
    of its kind. Raises KeyError if one is missing, ValueError for a kind whose target depends on an
    assessment."""
    if kind.target == TARGET_OF_RECORD:
        raise ValueError(f"a notice of the kind {kind.code} needs a record")
    return add_notice(account_id, kind, fields, target=kind.target)


def add_notice(
    account_id: UUID,
    kind: NoticeKind,
    fields: Mapping[str, object],
    *,
    target: str | None,
    subject_id: UUID | None = None,
) -> Notice:
    """Add a notice to the session; `notice_delivery` announces it later. `fields` fill in the texts of its
    kind; `target`: one of NOTICE_TARGETS or None; `subject_id`: the assessment it concerns. Only
    `notify_account` and `assessments.doctor_notices.notify` call this. Raises KeyError if a field is
    missing."""
    notice = Notice(
        account_id=account_id,
        kind=kind.code,
        subject_id=subject_id,
        title=kind.title_text(**fields),
        body=kind.body_text(**fields),
        target=target,
        delivery_state=initial_delivery_state(kind),
    )
    db.session.add(notice)
    return notice


def initial_delivery_state(kind: NoticeKind) -> str:
    """The delivery state of a new notice: «waiting» if the province has switched on a channel of its kind,
    else «none»."""
    switched_on = any(settings.value(f"notify_by_{channel}") for channel in sorted(kind.channels))
    return "waiting" if switched_on else "none"
