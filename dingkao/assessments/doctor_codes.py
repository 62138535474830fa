"""One-time codes for doctors. Their institution issues them and the doctor is notified; from 待测评 on, two
persons are needed.

Whoever has a code can set a password, and thus act as the doctor. Therefore the doctor gets a notice of every
code, and a short message to the number known before; and once there is an exam to sit or a result to see, a
second person must approve the code.
"""

from datetime import timedelta
from uuid import UUID

from flask import current_app
from sqlalchemy import ColumnElement, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.integrations.sms import SmsMessage
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people import accounts, authentication, channel_accounts, notices
from dingkao.people.models import Account, OneTimeCode
from dingkao.people.notice_catalogue import CODE_ISSUED
from dingkao.people.scopes import Grant, scope_condition
from dingkao.people.second_person import (
    recusal_reason,
    second_person_condition,
)
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.tenants.registry import by_code

SINGLE_APPROVAL_STATES = (
    "not_included", "included", "draft", "institution_pending", "institution_returned", "organisation_pending", "organisation_returned",
)  # fmt: skip
REQUEST_VALID_DAYS, HISTORY_DAYS, MAX_REASON_LENGTH = 3, 365, 200


def needs_second_person(doctor: Doctor) -> bool:
    """Returns whether two persons must issue a code for this doctor: some record, of any cycle, is in 待测评
    or a later state."""
    states = select(Assessment.state).where(Assessment.doctor_id == doctor.id)
    return any(state not in SINGLE_APPROVAL_STATES for state in db.session.scalars(states))


def issue_code(doctor: Doctor, account: Account, *, by: Actor) -> str:
    """Issue a code for a doctor (account locked), which is returned once and stored as a hash only, and
    journal it; earlier codes and requests for one become invalid; the doctor is told by a notice, and by a
    short message to the number known before. Raises InvalidState if two persons are needed."""
    if needs_second_person(doctor):
        raise InvalidState(
            "该医师已进入待测评或以后的阶段，一次性代码须由两人办理：请填写原因提交申请，由另一人审核后发放。"
        )
    return _issue(doctor, account, by=by)


def request_code(account: Account, *, reason: str, by: Actor) -> OneTimeCode:
    """Ask for a code that a second person has to approve (the account is locked); returns the waiting
    request, an earlier one if there is one. No code exists before it is approved, within REQUEST_VALID_DAYS.
    It is journalled; the doctor isn't told yet. Raises InvalidInput with the field reason."""
    clean_reason = _validate_reason(reason)
    waiting = pending_request(account.id)
    if waiting is not None:
        return waiting
    code_request = OneTimeCode(
        account_id=account.id,
        code_hash=b"",
        issued_by=by.id,
        awaits_approval=True,
        reason=clean_reason,
        expires_at=clock.now() + timedelta(days=REQUEST_VALID_DAYS),
    )
    db.session.add(code_request)
    db.session.flush()
    journal.write_entry(
        "account",
        account.id,
        "code_asked",
        by=by,
        reason=clean_reason,
    )
    return code_request


def _validate_reason(reason: str) -> str:
    """Returns the reason without needless blanks. Raises InvalidInput if it is empty or too long."""
    clean_reason = " ".join(reason.split())
    if not clean_reason or len(clean_reason) > MAX_REASON_LENGTH:
        raise InvalidInput(
            f"请填写发放一次性代码的原因，如“本人到场，手机遗失”，不超过{MAX_REASON_LENGTH}字。",
            "reason",
        )
    return clean_reason


def pending_request(account_id: UUID) -> OneTimeCode | None:
    """Returns the account's code request that waits for a second person and hasn't expired, or None."""
    return db.session.scalar(
        select(OneTimeCode).where(OneTimeCode.account_id == account_id, *_pending_conditions()).limit(1)
    )


def approve_request(doctor: Doctor, account: Account, request_id: UUID, *, by: Actor) -> str:
    """Issue the code that another person has requested (account locked); it is returned once, earlier codes
    become invalid, and the doctor is told as by `issue_code`. Raises NotFound if the request no longer waits,
    InvalidState if `by` requested it or may not be its second person."""
    code_request = _request_for_update(account, request_id)
    if code_request.issued_by == by.id:
        raise InvalidState("自己申请的一次性代码须由另一人审核发放。")
    if refusal := recusal_reason(by.id, code_request.issued_by):
        raise InvalidState(refusal)
    return _issue(doctor, account, by=by, asked_by=code_request.issued_by)


def reject_request(account: Account, request_id: UUID, *, by: Actor) -> None:
    """Refuse a code request, journalled (account locked), or withdraw it if `by` made it; the doctor isn't
    told. Raises NotFound if it no longer waits."""
    code_request = _request_for_update(account, request_id)
    code_request.awaits_approval, code_request.used_at = (
        False,
        clock.now(),
    )
    journal.write_entry(
        "account",
        account.id,
        "code_withdrawn" if code_request.issued_by == by.id else "code_refused",
        by=by,
    )


def doctors_with_pending_requests(grant: Grant, *, by: UUID, others: bool = False) -> list[UUID]:
    """Returns the ids of at most fifty doctors within `grant` whose code request `by` may approve; with
    `others`, those whose request `by` may not approve, the own ones among them. Those who have waited longest
    come first."""
    is_decidable = second_person_condition(by, OneTimeCode.issued_by)
    query = select(Doctor.id).join(
        OneTimeCode,
        (OneTimeCode.tenant_id == Doctor.tenant_id) & (OneTimeCode.account_id == Doctor.account_id),
    )
    query = query.where(
        *_pending_conditions(),
        ~is_decidable if others else is_decidable,
        scope_condition(grant, institution=Doctor.organisation_id),
    )
    return list(db.session.scalars(query.order_by(OneTimeCode.issued_at).limit(50)))


def issued_codes(account_id: UUID) -> list[OneTimeCode]:
    """Returns the last ten codes issued for an account within a year, the latest first."""
    history_start = clock.now() - timedelta(days=HISTORY_DAYS)
    query = select(OneTimeCode).where(
        OneTimeCode.account_id == account_id,
        OneTimeCode.code_hash != b"",
        OneTimeCode.issued_at > history_start,
    )
    return list(db.session.scalars(query.order_by(OneTimeCode.issued_at.desc()).limit(10)))


def _pending_conditions() -> tuple[ColumnElement[bool], ...]:
    """Returns the conditions that a row is a request which waits and has not expired."""
    return OneTimeCode.awaits_approval.is_(True), OneTimeCode.expires_at > clock.now()


def _request_for_update(account: Account, request_id: UUID) -> OneTimeCode:
    """Returns the account's waiting request with that id, locked. Raises NotFound."""
    query = (
        select(OneTimeCode)
        .where(
            OneTimeCode.id == request_id,
            OneTimeCode.account_id == account.id,
            *_pending_conditions(),
        )
        .with_for_update()
    )
    code_request = db.session.scalar(query)
    if code_request is None:
        raise NotFound("这份申请已经办理或已过期，请返回医师页面查看。")
    return code_request


def _issue(
    doctor: Doctor,
    account: Account,
    *,
    by: Actor,
    asked_by: UUID | None = None,
) -> str:
    """Issue a code, journal it, make earlier codes and requests invalid, write the doctor's notice, and send
    a short message to the number known before. `asked_by`: who requested it, if it took two persons. Returns
    the code."""
    number = _previous_mobile(doctor, account)
    code = accounts.issue_code(account, by=by, asked_by=asked_by)
    issuer = by.name or "本机构"
    moment = f"{clock.to_beijing(clock.now()):%Y年%m月%d日 %H:%M}"
    notices.notify_account(account.id, CODE_ISSUED, moment=moment, issuer=issuer)
    if number and CODE_ISSUED.sms:
        _send_later(number, CODE_ISSUED.sms, moment, issuer)
    return code


def _send_later(number: str, template: str, moment: str, issuer: str) -> None:
    """Send the notice by SMS to `number` in the background, whatever becomes of the transaction, by the
    province's own account if it has one."""
    province = by_code(current_tenant())
    name = province.short_name if province else ""
    text = template.format(province=name, moment=moment, issuer=issuer)
    background_sender = current_app.extensions["background_sms"]
    background_sender.send_later(
        SmsMessage("notice", number, {"province": name}, text),
        channel_accounts.sms_sender(background_sender.sms),
    )


def _previous_mobile(doctor: Doctor, account: Account) -> str | None:
    """Returns the mobile number known before: the one bound to the account, else that of the roster, else
    None."""
    bound_number = authentication.bound_mobile(account)
    if bound_number or not doctor.mobile_sealed:
        return bound_number
    return current_vault().decrypt(
        SecretLocation("doctor", "mobile", doctor.id),
        doctor.mobile_sealed,
    )
