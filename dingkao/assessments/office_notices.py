"""Notices of an institution, an assessment organisation or the province to its own doctors (domain.md §12):
what it says, scheduling and cancelling it. `notice_recipients` says who gets it, `office_notice_sending`
writes the copies."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    func,
    select,
    true,
)

from dingkao import clock
from dingkao.assessments.models import (
    ASSESSMENT_STATES,
    OFFICE_NOTICE_STATES,
    Assessment,
    OfficeNotice,
)
from dingkao.assessments.notice_recipients import (
    recipients_query,
    validate_recipients,
)
from dingkao.assessments.record_list import (
    UNSUBMITTED_STATES,
)
from dingkao.cycles.cycles import phases_of
from dingkao.cycles.models import Cycle, CyclePhase
from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.database.pagination import (
    CappedCount,
    Page,
    capped_count,
    fetch_page,
)
from dingkao.doctors.models import Doctor
from dingkao.errors import (
    Forbidden,
    InvalidInput,
    InvalidState,
    NotFound,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.journal.state_machine import transition
from dingkao.people.name_lookups import organisation_names
from dingkao.people.notice_catalogue import (
    OFFICE_NOTICE,
    OFFICE_NOTICE_SMS,
    OFFICE_NOTICE_SMS_WECHAT,
    OFFICE_NOTICE_WECHAT,
    NoticeKind,
)
from dingkao.people.organisation_succession import Succession, add_succession_part
from dingkao.people.permissions import roles_for
from dingkao.people.scopes import Grant
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import by_code

ACTION = "notices.to_own_doctors"
MAX_TITLE_LENGTH, MAX_BODY_LENGTH = 60, 1000
MAX_PER_DAY = 10
"""How many notices an organisation may schedule a day: each may cost a short message a doctor."""
MAX_AHEAD = timedelta(days=180)
PREVIEW_SIZE = 3
KIND_BY_CHANNELS = {
    frozenset[str](): OFFICE_NOTICE,
    frozenset({"sms"}): OFFICE_NOTICE_SMS,
    frozenset({"wechat"}): OFFICE_NOTICE_WECHAT,
    frozenset({"sms", "wechat"}): OFFICE_NOTICE_SMS_WECHAT,
}
_FIELD = re.compile(r"\{([^{}]*)\}")
_PHASE_OF_STATE = {
    "organisation_returned": "review",
    "institution_pending": "review",
    "organisation_pending": "review",
    "ready": "examination",
    "testing": "examination",
}
"""The phase whose last day is the doctor's deadline; for the states before the filing: that of the filing."""


@dataclass(frozen=True)
class Recipient:
    """A doctor who gets a notice, with what its fields say."""

    record: Assessment
    doctor: Doctor
    institution_name: str
    cycle: Cycle
    phases: Mapping[str, CyclePhase]

    @property
    def deadline_text(self) -> str:
        """The last day of the phase in which the doctor or an office has to act next, of the completion once
        the test is over; 「未定」 without such a phase."""
        kind = _PHASE_OF_STATE.get(self.record.state)
        if kind is None:
            kind = "filing" if self.record.state in ("not_included", *UNSUBMITTED_STATES) else "completion"
        phase = self.phases.get(kind)
        return f"{phase.last_day:%Y年%m月%d日}" if phase else "未定"


FIELDS: dict[str, Callable[[Recipient], str]] = {
    "姓名": lambda recipient: recipient.doctor.name,
    "机构": lambda recipient: recipient.institution_name,
    "科室": lambda recipient: recipient.doctor.department or "",
    "状态": lambda recipient: ASSESSMENT_STATES[recipient.record.state],
    "周期": lambda recipient: recipient.cycle.label,
    "截止日期": lambda recipient: recipient.deadline_text,
}
"""The fields of a template, as they are typed between braces."""


@dataclass(frozen=True)
class Preview:
    """What a notice would do: how many doctors get it, and title and body as the first of them read it."""

    count: CappedCount
    samples: Sequence[tuple[str, str, str]]


def senders(grant: Grant) -> dict[str, str]:
    """In whose name somebody with `grant` may write: code of the sender → whose doctors these are."""
    names = organisation_names(grant.organisation_ids)
    choices = {"province": f"{_commission_name()}：全省医师"} if grant.is_province else {}
    choices |= {f"institution:{place}": f"{names[place]}：本机构医师" for place in grant.institution_ids}
    return choices | {f"assessor:{place}": f"{names[place]}：所考核的医师" for place in grant.assessor_ids}


def sender_name(notice: OfficeNotice) -> str:
    """The name under which doctors read a notice."""
    if notice.organisation_id is None:
        return _commission_name()
    return organisation_names([notice.organisation_id])[notice.organisation_id]


def _commission_name() -> str:
    """The name of the province's health commission (卫生健康委员会)."""
    province = by_code(current_tenant())
    return province.commission if province else ""


def set_sender(notice: OfficeNotice, sender: str, grant: Grant) -> None:
    """Set in whose name the notice is, a code of `senders`. The notice isn't stored here. Raises InvalidInput
    for the field `sender` unless `grant` lets one write in this name."""
    if sender not in senders(grant):
        raise InvalidInput("请从列表中选择以哪个单位的名义发送。", "sender")
    side, _, organisation_id = sender.partition(":")
    notice.side = side
    notice.organisation_id = UUID(organisation_id) if organisation_id else None


def validate(notice: OfficeNotice) -> None:
    """Raise InvalidInput naming the field for a notice that can't be sent as it is: its recipients, title,
    body and time. A time that is past is accepted: it is sent at once."""
    validate_recipients(notice)
    _validate_template(notice.title, "标题", "title", MAX_TITLE_LENGTH)
    _validate_template(notice.body, "正文", "body", MAX_BODY_LENGTH)
    if notice.send_at > clock.now() + MAX_AHEAD:
        raise InvalidInput(
            f"发送时间请在{MAX_AHEAD.days}天以内。",
            "send_at",
        )


def _validate_template(template: str, label: str, field: str, max_length: int) -> None:
    """Raise InvalidInput for an empty or too long template, or one with an unknown field."""
    if not template.strip():
        raise InvalidInput(f"请填写{label}。", field)
    if len(template) > max_length:
        raise InvalidInput(
            f"{label}请不要超过{max_length}字，现有{len(template)}字。",
            field,
        )
    unknown = [name for name in _FIELD.findall(template) if name not in FIELDS]
    if unknown:
        available = "、".join(f"{{{name}}}" for name in FIELDS)
        raise InvalidInput(
            f"{label}里的{{{unknown[0]}}}不是可用的字段。可用的字段：{available}。",
            field,
        )


def fill(template: str, recipient: Recipient) -> str:
    """The template with its fields filled in for a doctor. Raises KeyError for an unknown field."""
    return _FIELD.sub(lambda match: FIELDS[match[1]](recipient), template)


def channel_kind(channels: frozenset[str]) -> NoticeKind:
    """The kind of the copies of a notice that is announced by `channels` ("sms", "wechat"), of which those
    count that the province has switched on."""
    return KIND_BY_CHANNELS[channels & available_channels()]


def available_channels() -> frozenset[str]:
    """The channels that the province has switched on."""
    return frozenset(channel for channel in ("sms", "wechat") if settings.value(f"notify_by_{channel}"))


def preview(notice: OfficeNotice, cycle: Cycle) -> Preview:
    """What the notice (not stored yet) would do now: how many doctors would get it, and its text for the
    first PREVIEW_SIZE of them. Raises InvalidInput if it can't be sent as it is."""
    validate(notice)
    query = recipients_query(notice)
    first_rows = db.session.execute(query.order_by(Assessment.id).limit(PREVIEW_SIZE)).all()
    samples = [
        (
            recipient.doctor.name,
            fill(notice.title, recipient),
            fill(notice.body, recipient),
        )
        for recipient in load_recipients(first_rows, cycle)
    ]
    return Preview(
        capped_count(query.with_only_columns(Assessment)),
        samples,
    )


def load_recipients(rows: Sequence[Any], cycle: Cycle) -> list[Recipient]:
    """The recipients of (record, doctor) pairs of a cycle, a page or a batch of them."""
    names = organisation_names(record.institution_id for record, _ in rows)
    phases = phases_of(cycle)
    return [
        Recipient(
            record,
            doctor,
            names[record.institution_id],
            cycle,
            phases,
        )
        for record, doctor in rows
    ]


def schedule(notice: OfficeNotice, *, by: Actor) -> OfficeNotice:
    """Store a notice, to be sent at its time, journal it and return it. The notice has an id made with the
    preview, so that sending it twice sends it once: then the stored one is returned as it is. Whether `by`
    may write in the sender's name is not asked here (`set_sender`). Raises InvalidInput if it can't be sent
    as it is, InvalidState if the organisation has scheduled too many today, and Forbidden for the id of
    somebody else's notice."""
    validate(notice)
    stored = db.session.get(OfficeNotice, (current_tenant(), notice.id))
    if stored is not None:
        if stored.created_by != by.id:
            raise Forbidden
        return stored
    if _scheduled_today(notice) >= MAX_PER_DAY:
        raise InvalidState(f"同一单位一天最多发送{MAX_PER_DAY}条通知，请明天再发，或合并为一条。")
    db.session.add(notice)
    db.session.flush()
    journal.write_entry(
        "office_notice",
        notice.id,
        "scheduled",
        by=by,
        side=notice.side,
        record_state=notice.record_state,
        kind=notice.kind,
    )
    return notice


def _scheduled_today(notice: OfficeNotice) -> int:
    """How many notices the sender of `notice` has scheduled since midnight in Beijing, cancelled ones too."""
    midnight = clock.to_beijing(clock.now()).replace(hour=0, minute=0, second=0, microsecond=0)
    query = select(func.count()).select_from(OfficeNotice)
    of_sender = OfficeNotice.organisation_id == notice.organisation_id
    if notice.organisation_id is None:
        of_sender = OfficeNotice.organisation_id.is_(None)
    return int(
        db.session.scalar(
            query.where(
                of_sender,
                OfficeNotice.created_at >= midnight,
            )
        )
        or 0
    )


@transition(
    "scheduled",
    "sending",
    to="cancelled",
    actors=roles_for(ACTION) | {"system"},
    states=OFFICE_NOTICE_STATES,
)
def cancel(
    office_notice: OfficeNotice,
    *,
    by: Actor,
    reason: str | None = None,
) -> None:
    """Send the notice to nobody, or to nobody else; the copies that are written stay. The caller has locked
    it. Raises Forbidden, InvalidState once it is sent or cancelled."""


def notices_page(grant: Grant, cursor: str | None) -> Page[OfficeNotice]:
    """A page of the notices of the senders within `grant`, the newest first; an invalid cursor gives the
    first page."""
    query = select(OfficeNotice).where(_visible(grant))
    return fetch_page(query, [OfficeNotice.id], cursor, descending=True)


def get_notice_of(
    grant: Grant,
    notice_id: UUID,
    *,
    for_update: bool = False,
) -> OfficeNotice:
    """The notice with that id of a sender within `grant`, locked if `for_update`. Raises NotFound."""
    query = select(OfficeNotice).where(OfficeNotice.id == notice_id, _visible(grant))
    notice = db.session.scalar(query.with_for_update() if for_update else query)
    if notice is None:
        raise NotFound
    return notice


def _visible(grant: Grant) -> ColumnElement[bool]:
    """The condition that a notice is of a sender within `grant`; the province sees everybody's."""
    if grant.is_province:
        return true()
    return in_array(OfficeNotice.organisation_id, grant.organisation_ids)


def _cancel_notices(notices: Sequence[OfficeNotice], succession: Succession) -> None:
    """Cancel notices (locked) that are not sent, or not to everybody yet: they would reach the successor's
    own doctors."""
    for notice in notices:
        cancel(notice, by=succession.by, reason="机构合并")


add_succession_part(
    "待发送的通知（将取消）",
    "条",
    lambda predecessor_id: select(OfficeNotice).where(
        OfficeNotice.organisation_id == predecessor_id,
        in_array(OfficeNotice.state, ("scheduled", "sending")),
    ),
    _cancel_notices,
)
