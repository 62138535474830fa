"""Those present at a committee's meeting: who may be chosen, who is listed, and their signatures of the
minutes."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, select

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import (
    Forbidden,
    InvalidInput,
    InvalidState,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.handover_parts import Desk, Handover, add_handover_part
from dingkao.people.models import Account, Membership
from dingkao.people.permissions import roles_for
from dingkao.results.grading_meetings import require_draft, validate_text
from dingkao.results.models import (
    MEMBER_ROLES,
    GradingMeeting,
    GradingMeetingMember,
)

MAX_MEMBERS = 50


def members_of(
    meeting: GradingMeeting,
) -> Sequence[GradingMeetingMember]:
    """Those present, in the order in which they were added."""
    query = select(GradingMeetingMember).where(GradingMeetingMember.meeting_id == meeting.id)
    return db.session.scalars(query.order_by(GradingMeetingMember.id)).all()


def colleagues(meeting: GradingMeeting) -> dict[UUID, str]:
    """The organisation's staff who may prepare meetings and whose accounts are not closed, the first
    MAX_MEMBERS by name: account id → name."""
    of_account = (Membership.tenant_id == Account.tenant_id) & (Membership.account_id == Account.id)
    query = (
        select(Account.id, Account.name)
        .join(Membership, of_account)
        .where(
            Membership.organisation_id == meeting.organisation_id,
            in_array(
                Membership.role,
                roles_for("meetings.prepare"),
            ),
            Account.state != "closed",
        )
        .order_by(Account.name, Account.id)
        .distinct()
        .limit(MAX_MEMBERS)
    )
    return dict(db.session.execute(query).all())


def add_member(
    meeting: GradingMeeting,
    name: str,
    role: str,
    account_id: UUID | None,
    *,
    by: Actor,
) -> None:
    """Add somebody present at a meeting (locked), with a journal entry: one of `colleagues` by account, whose
    name then counts, or another one by name. `role`: a key of MEMBER_ROLES. Who is on the list already, with
    this name and account, isn't added again and keeps the role. Raises InvalidInput (also if the account is
    none of `colleagues`, and for more than MAX_MEMBERS), InvalidState unless the meeting is a draft."""
    require_draft(meeting)
    if role not in MEMBER_ROLES:
        raise InvalidInput("请选择在会上的身份。", "role")
    present = members_of(meeting)
    if len(present) >= MAX_MEMBERS:
        raise InvalidInput(f"参加人员最多{MAX_MEMBERS}人。")
    if account_id is not None:
        name = colleagues(meeting).get(account_id, "")
    name = validate_text(name, "姓名", "name")
    if any(member.name == name and member.account_id == account_id for member in present):
        return
    db.session.add(
        GradingMeetingMember(
            meeting_id=meeting.id,
            name=name,
            role=role,
            account_id=account_id,
        )
    )
    journal.write_entry(
        "grading_meeting",
        meeting.id,
        "member_added",
        by=by,
        role=role,
    )


def remove_member(meeting: GradingMeeting, member_id: UUID, *, by: Actor) -> None:
    """Remove somebody from those present at a meeting (locked), with a journal entry; an unknown id is
    ignored. Raises InvalidState unless the meeting is a draft."""
    require_draft(meeting)
    for member in members_of(meeting):
        if member.id == member_id:
            db.session.delete(member)
            journal.write_entry(
                "grading_meeting",
                meeting.id,
                "member_removed",
                by=by,
            )


def sign_minutes(meeting: GradingMeeting, *, by: Actor) -> None:
    """Sign the minutes as one of those present, with a journal entry; does nothing if `by` has signed them
    already. Raises InvalidState before the meeting is held, Forbidden for somebody who is not listed with
    this account."""
    if meeting.state != "held" or meeting.digest is None:
        raise InvalidState("评定完成后才能签署。")
    member = next(
        (member for member in members_of(meeting) if member.account_id == by.id),
        None,
    )
    if member is None:
        raise Forbidden("您不在这次评定会的参加人员中，不能签署。")
    if member.signed_at is None:
        member.signed_at = clock.now()
        journal.write_entry(
            "grading_meeting",
            meeting.id,
            "signed",
            by=by,
            digest=meeting.digest.hex(),
        )


def _open_seats_query(desk: Desk) -> Select[GradingMeetingMember] | None:
    """The query of the holder's seats on meetings of the desk's organisation that are drafts; None for a desk
    without an organisation."""
    if desk.organisation_id is None:
        return None
    of_meeting = (GradingMeeting.tenant_id == GradingMeetingMember.tenant_id) & (
        GradingMeeting.id == GradingMeetingMember.meeting_id
    )
    return (
        select(GradingMeetingMember)
        .join(GradingMeeting, of_meeting)
        .where(
            GradingMeeting.organisation_id == desk.organisation_id,
            GradingMeeting.state == "draft",
            GradingMeetingMember.account_id == desk.holder_id,
        )
    )


def _move_seats(members: Sequence[GradingMeetingMember], handover: Handover) -> None:
    """Give the seats `members` to the successor; one at a meeting where the successor sits already is
    deleted."""
    seated = select(GradingMeetingMember.meeting_id).where(
        in_array(GradingMeetingMember.meeting_id, {member.meeting_id for member in members}),
        GradingMeetingMember.account_id == handover.successor.id,
    )
    seated_ids = set(db.session.scalars(seated))
    for member in members:
        if member.meeting_id in seated_ids:
            db.session.delete(member)
        else:
            member.account_id, member.name = handover.successor.id, handover.successor.name


add_handover_part("评定会席位", "个", _open_seats_query, _move_seats)
