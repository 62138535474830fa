"""Notices to the staff of an organisation, who read them in the console («消息»)."""

from uuid import UUID

from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.people.models import Account, Membership, Notice
from dingkao.people.notice_catalogue import NoticeKind
from dingkao.people.notices import notify_account
from dingkao.people.permissions import roles_for

MAX_RECIPIENTS = 50
"""How many colleagues are written to at most: those of an institution, not of a province."""
MAX_COUNTED = 100


def notify_staff(
    organisation_id: UUID,
    action: str,
    kind: NoticeKind,
    *,
    but: UUID | None = None,
    **fields: object,
) -> int:
    """Write a notice to those at an organisation who are granted `action` and whose accounts aren't closed,
    except the account `but`: to the first MAX_RECIPIENTS by account. Returns to how many. `fields`: the
    values for the texts of its kind. Raises KeyError if one is missing."""
    query = (
        select(Account.id)
        .join(Membership, (Membership.tenant_id == Account.tenant_id) & (Membership.account_id == Account.id))
        .where(
            Membership.organisation_id == organisation_id,
            in_array(Membership.role, roles_for(action)),
            Account.state != "closed",
            Account.id.is_distinct_from(but),
        )
    )
    recipient_ids = db.session.scalars(query.distinct().order_by(Account.id).limit(MAX_RECIPIENTS)).all()
    for recipient_id in recipient_ids:
        notify_account(recipient_id, kind, **fields)
    return len(recipient_ids)


def count_unread(account_id: UUID) -> int:
    """How many notices to an account were not read, counted up to MAX_COUNTED."""
    unread = select(Notice.id).where(Notice.account_id == account_id, Notice.read_at.is_(None))
    return int(db.session.scalar(select(func.count()).select_from(unread.limit(MAX_COUNTED).subquery())) or 0)


def mark_notices_read(account_id: UUID) -> None:
    """Note that a member of staff has read all own notices; nothing is journalled."""
    unread = Notice.account_id == account_id, Notice.read_at.is_(None)
    db.session.execute(update(Notice).where(*unread).values(read_at=clock.now()))
