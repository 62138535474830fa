"""How administrators of a province get access: they are invited by another administrator (the first two by an
operator), each with a mobile number of their own. A link is sent to this number, and only its owner sets the
password and the second factor with it; nobody else sees either.

The same link is sent again if password or second factor have been lost, and if a closed account is reopened.
"""

import hashlib
import re
import secrets
from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from dingkao import clock
from dingkao.config import AppConfig
from dingkao.database.base import db
from dingkao.errors import InvalidInput, InvalidState, RateLimited
from dingkao.integrations.sms import SmsMessage, send_after_commit
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people import (
    accounts,
    authentication,
    identity_numbers,
    second_factor,
    sign_in_sessions,
)
from dingkao.people.account_queries import get_account_for_update
from dingkao.people.accounts import PROVINCE_ADMIN, bind_mobile
from dingkao.people.models import (
    Account,
    Membership,
    OneTimeCode,
    SetupLink,
)
from dingkao.people.notice_catalogue import (
    SMS_ADMINISTRATOR_INVITED,
    SMS_ADMINISTRATOR_RENEWED,
)
from dingkao.people.second_person import record_appointment
from dingkao.tenants.context import current_tenant
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.tenants.registry import by_code

LINK_VALID_DAYS = 3
"""A carrier's approved template says it in words of its own (deploy/README.md), so another number asks for
another template."""
TOKEN_BYTES = 12
RESEND_INTERVAL, MAX_PER_DAY = timedelta(minutes=1), 10
"""Of the links of one account."""
MAX_APPOINTED_BY_OPERATORS = 2
LINK_EXPIRED_MESSAGE = (
    f"该链接已失效：可能已用过、已超过{LINK_VALID_DAYS}天，或有了更新的链接。"
    "请打开最近一条短信中的链接，或请邀请您的人重新发送。"
)
NO_MOBILE_MESSAGE = "该管理员没有登记手机号码，不能发送设置链接。请联系平台运营登记本人的手机号码。"
NO_TEMPLATE_MESSAGE = (
    "平台还没有设置发送设置链接的短信模板（环境变量 SMS_LINK_TEMPLATE），链接发不出去，管理员不能设置密码。"
    "请平台运营按 deploy/README.md 申请模板并设置后，再重新办理。"
)


def invite_administrator(user_name: str, name: str, mobile: str, *, by: Actor) -> Account:
    """Create an administrator's account and send the link to the mobile number (as typed) after the commit;
    both are journalled. Locks the account of the member of staff who invites. Raises InvalidInput naming the
    field, RateLimited; InvalidState if the member of staff who invites has no number of their own, or links
    can't be sent."""
    _require_own_mobile(by)
    if not name.strip():
        raise InvalidInput("请填写姓名。", "name")
    account = accounts.create_staff(
        user_name,
        name.strip(),
        [(PROVINCE_ADMIN, None)],
        by=by,
        mobile=_parse_mobile(mobile),
    )
    send_link(account, by=by)
    return account


def _require_own_mobile(by: Actor) -> None:
    """Raise InvalidState if the member of staff who invites has no mobile number bound; that account is
    locked. Doesn't concern operators and the terminal."""
    if by.kind != "staff" or by.id is None:
        return
    if get_account_for_update(by.id).mobile_index is None:
        raise InvalidState("请先在“账号与安全”中绑定您本人的手机号码，再邀请其他管理员。")


def appoint_first_administrator(name: str, mobile: str, *, by: Actor) -> Account:
    """Appoint one of a province's first two administrators (for operators) and return the account. If an
    administrator with this number exists already, closed or not, return it; the link is sent again if it
    isn't set up yet. Raises InvalidInput, RateLimited, and InvalidState if there are two administrators who
    aren't closed, or links can't be sent."""
    existing_account = _find_by_mobile(_parse_mobile(mobile))
    if existing_account is not None:
        if existing_account.state == "initial":
            send_link(
                get_account_for_update(existing_account.id),
                by=by,
            )
        return existing_account
    if _open_administrator_count() >= MAX_APPOINTED_BY_OPERATORS:
        raise InvalidState("该省已有两位管理员，其余管理员由省级管理员邀请。")
    return invite_administrator(_unused_user_name(name), name, mobile, by=by)


def send_link(account: Account, *, by: Actor) -> None:
    """Send a setup link to the mobile number of an administrator (the account is locked), after the commit;
    it is journalled, and earlier links and one-time codes become invalid. The term of an account that isn't
    set up yet then ends with the new link. Raises InvalidState, RateLimited. If the platform can't send
    links, the terminal may go on, though nothing arrives: it shows a warning (`link_sending_blocked`)."""
    _require_link_can_go(account, by=by)
    now = clock.now()
    _require_not_sent_often(account, now)
    revoke_links(account)
    token = _add_link(account, now)
    journal.write_entry("account", account.id, "link_sent", by=by)
    _send_link(account, token)


def _add_link(account: Account, now: datetime) -> str:
    """Store a new link of the account and return its token. The term of an account that isn't set up yet ends
    with the link."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    setup_link = SetupLink(
        account_id=account.id,
        token_hash=_token_hash(token),
        sent_at=now,
        expires_at=now + timedelta(days=LINK_VALID_DAYS),
    )
    db.session.add(setup_link)
    if account.state == "initial":
        account.initial_until = setup_link.expires_at
    return token


def _require_link_can_go(account: Account, *, by: Actor) -> None:
    """Raise InvalidState if the account has no number, or if the platform has no SMS template for links and
    the actor isn't the terminal."""
    if account.mobile_index is None or account.mobile_sealed is None:
        raise InvalidState(NO_MOBILE_MESSAGE)
    if link_sending_blocked() and by.id is not None:
        raise InvalidState(NO_TEMPLATE_MESSAGE)


def _require_not_sent_often(account: Account, now: datetime) -> None:
    """Raise RateLimited unless the account's last link was sent RESEND_INTERVAL ago or earlier, and fewer
    than MAX_PER_DAY within 24 hours."""
    sent_query = select(func.max(SetupLink.sent_at), func.count()).where(
        SetupLink.account_id == account.id,
        SetupLink.sent_at > now - timedelta(days=1),
    )
    last_sent_at, sent_count = db.session.execute(sent_query).one()
    if last_sent_at is not None and last_sent_at > now - RESEND_INTERVAL:
        raise RateLimited("设置链接刚刚已经发送，请一分钟后再试。", 60)
    if sent_count >= MAX_PER_DAY:
        raise RateLimited(
            "今天已多次发送设置链接，请明天再试，并核对手机号码。",
            3600,
        )


def link_sending_blocked() -> bool:
    """Whether links can't be sent because no SMS template is configured for them."""
    sms_config = AppConfig.current().sms
    return sms_config["SMS_ADAPTER"] != "outbox" and not sms_config.get("SMS_LINK_TEMPLATE")


def revoke_links(account: Account) -> None:
    """Make all setup links and one-time codes of an account (locked) invalid, at once; nothing is
    journalled."""
    now = clock.now()
    links = update(SetupLink).where(
        SetupLink.account_id == account.id,
        SetupLink.ended_at.is_(None),
    )
    db.session.execute(links.values(ended_at=now))
    codes = update(OneTimeCode).where(
        OneTimeCode.account_id == account.id,
        OneTimeCode.used_at.is_(None),
    )
    db.session.execute(codes.values(used_at=now))


def change_mobile(account: Account, mobile: str, *, by: Actor) -> None:
    """Replace the mobile number of an administrator (the account is locked) and, unless the account is
    closed, send the setup link to the new one, also if it is the same number again; of an active account
    password and second factor are removed and its sessions ended before. Staff may do this only until the
    account is set up, later only an operator. Raises InvalidInput, InvalidState, RateLimited."""
    if by.kind == "staff" and account.state != "initial":
        raise InvalidState("该管理员已启用账号，手机号码只能由本人修改；本人不能修改的，请联系平台运营。")
    _replace_mobile(account, _parse_mobile(mobile), by=by)
    if account.state == "active":
        reset_credentials(account, by=by)
    elif account.state == "initial":
        send_link(account, by=by)


def _replace_mobile(account: Account, number: str, *, by: Actor) -> None:
    """Store another number (in its normal form), not yet confirmed by its owner, journalled and recorded as
    an appointment; does nothing if it is the same. Raises InvalidInput if another administrator has it."""
    if number == authentication.bound_mobile(account):
        return
    bind_mobile(account, number, administrator=True)
    account.mobile_bound_at = None
    record_appointment(account.id, "mobile", by=by)
    journal.write_entry("account", account.id, "mobile_changed", by=by)


def reset_credentials(account: Account, *, by: Actor) -> None:
    """Remove the password and the second factor of an administrator (the account is locked), end the sessions
    and send a link by which both are set again. Raises InvalidState, RateLimited."""
    account.password_hash = account.second_factor_sealed = None
    account.second_factor_counter = 0
    sign_in_sessions.end_all_sessions(account.id)
    journal.write_entry("account", account.id, "second_factor_renewed", by=by)
    send_link(account, by=by)


def account_of_link(token: str) -> Account | None:
    """The account that the link with this token sets up; None if the link is used, expired or replaced, or
    the account is closed."""
    setup_link = _find_link(token)
    account = (
        db.session.scalar(select(Account).where(Account.id == setup_link.account_id)) if setup_link else None
    )
    return account if account is not None and account.state != "closed" else None


def complete_setup(token: str, new: str, *, secret: str, code: str) -> Account:
    """Set the password `new` and the second factor of the account of a link, which can't be used again, nor
    can its one-time codes; the account, locked here, becomes active, its sessions end, and it is returned.
    Both are journalled. `secret`: the TOTP secret that the page offered; `code`: a code computed with it. The
    caller has validated `new`. Raises InvalidState if the link isn't valid, InvalidInput naming the field,
    also for the old password again, Busy."""
    account = _lock_account_of_link(token)
    counter = second_factor.matching_counter(secret, code)
    if counter is None:
        raise InvalidInput(
            "动态口令不正确，请核对手机时间，填写验证器应用现在显示的6位数字。",
            "code",
        )
    authentication.set_password(account, new, code=None, mobile=None)
    _bind_second_factor(account, secret, counter)
    account.mobile_bound_at = clock.now()
    revoke_links(account)
    journal.write_entry(
        "account",
        account.id,
        "second_factor_bound",
        by=Actor(account.kind, account.id),
    )
    return account


def _bind_second_factor(account: Account, secret: str, counter: int) -> None:
    """Store the TOTP secret of an account, and the counter of the code that was shown, which is valid no
    more."""
    location = SecretLocation("account", "second_factor", account.id)
    account.second_factor_sealed = current_vault().encrypt(location, secret)
    account.second_factor_counter = counter


def _lock_account_of_link(token: str) -> Account:
    """The account of a link, locked. Raises InvalidState if the link isn't valid, or the account closed,
    before or after locking."""
    account = account_of_link(token)
    if account is None:
        raise InvalidState(LINK_EXPIRED_MESSAGE)
    get_account_for_update(account.id)
    if _find_link(token) is None or account.state == "closed":
        raise InvalidState(LINK_EXPIRED_MESSAGE)
    return account


def _find_link(token: str) -> SetupLink | None:
    """The link with this token, whatever the account's state; None if it is used, replaced, expired or
    unknown."""
    is_valid = (
        SetupLink.ended_at.is_(None),
        SetupLink.expires_at > clock.now(),
    )
    return db.session.scalar(select(SetupLink).where(SetupLink.token_hash == _token_hash(token), *is_valid))


def _send_link(account: Account, token: str) -> None:
    """Send the text message with the link after the commit."""
    slug, short_name = _province_names()
    path = f"{slug}/setup/{token}"
    text_fields = {
        "province": short_name,
        "user_name": account.user_name,
        "address": f"{AppConfig.current().public_url}/{path}",
        "days": LINK_VALID_DAYS,
    }
    text = SMS_ADMINISTRATOR_INVITED if account.state == "initial" else SMS_ADMINISTRATOR_RENEWED
    mobile = authentication.bound_mobile(account) or ""
    send_after_commit(SmsMessage("link", mobile, {"address": path}, text.format(**text_fields)))


def _province_names() -> tuple[str, str]:
    """The slug and the short name of the current province; twice "" outside every province."""
    province = by_code(current_tenant())
    return (province.slug, province.short_name) if province else ("", "")


def _parse_mobile(mobile: str) -> str:
    """The mobile number in its normal form. Raises InvalidInput for the field `mobile`."""
    try:
        return identity_numbers.parse_mobile(mobile)
    except identity_numbers.InvalidNumber as error:
        raise InvalidInput("请填写本人的11位手机号码。", "mobile") from error


def _find_by_mobile(number: str) -> Account | None:
    """The administrator with this mobile number (in its normal form), closed or not; None if there is
    none."""
    return db.session.scalar(
        select(Account).where(Account.mobile_index == accounts.administrator_mobile_index(number))
    )


def _open_administrator_count() -> int:
    """How many administrators there are whose account isn't closed."""
    holders = select(func.count(Account.id.distinct())).join(
        Membership,
        (Membership.tenant_id == Account.tenant_id) & (Membership.account_id == Account.id),
    )
    return int(
        db.session.scalar(
            holders.where(
                Membership.role == PROVINCE_ADMIN,
                Account.state != "closed",
            )
        )
        or 0
    )


def _unused_user_name(name: str) -> str:
    """A user name made of the pinyin of a name that no account has yet: wangwei, wangwei2, … Raises
    InvalidInput if 999 are taken."""
    base = _sound_of(name)
    for number in range(1, 1000):
        candidate = base if number == 1 else f"{base}{number}"
        if not _is_taken(candidate):
            return candidate
    raise InvalidInput("请为该管理员另取用户名。", "name")


def _sound_of(name: str) -> str:
    """The pinyin of a name in at most 30 letters and digits; «guanliyuan» if that is shorter than 3."""
    from pypinyin import (
        lazy_pinyin,
    )  # its dictionaries take half a second to load

    sound = re.sub("[^0-9a-z]", "", "".join(lazy_pinyin(name)).lower())[:30]
    return sound if len(sound) >= 3 else "guanliyuan"


def _is_taken(user_name: str) -> bool:
    """Whether an account of staff of the province has this user name."""
    index = accounts.staff_login_index(user_name)
    return db.session.scalar(select(Account.id).where(Account.login_index == index)) is not None


def _token_hash(token: str) -> bytes:
    """The SHA-256 of a link's token, which alone is stored."""
    return hashlib.sha256(token.encode()).digest()
