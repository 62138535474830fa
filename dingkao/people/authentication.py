"""Signing in [S2 to S4]: a password starts a session; the initial password or a one-time code only opens the
page that sets a password."""

import hmac
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, bindparam, select, true, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import InvalidInput
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people import identity_numbers, passwords
from dingkao.people.account_queries import get_account_for_update
from dingkao.people.accounts import (
    bind_mobile,
    code_hash,
    doctor_login_index,
    is_administrator,
    staff_login_index,
)
from dingkao.people.models import (
    Account,
    Membership,
    OneTimeCode,
)
from dingkao.people.permissions import SECOND_FACTOR_ROLES
from dingkao.people.second_person import record_account_opened
from dingkao.people.sign_in_sessions import end_all_sessions
from dingkao.tenants import settings
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
)
from dingkao.tenants.settings import Setting

NO_ACCOUNT_ID = UUID(int=0)
USE_LINK_MESSAGE = "请打开发送到您手机的设置链接绑定动态口令；没有收到的，请另一位管理员或平台运营重新发送。"
WRONG_CREDENTIALS_MESSAGE = (
    "账号或密码不正确。忘记密码请点“忘记密码?”；仍不能登录的，账号可能尚未开通或已停用，请联系本机构。"
)
WRONG_INITIAL_MESSAGE = (
    "账号或密码不正确。已经设置过密码的，请用自己的密码登录；初始密码只在账号开通后的一段时间内有效，"
    "过期的请联系本机构延长，或领取一次性代码在密码处输入。"
)
WRONG_STAFF_MESSAGE = (
    "账号或密码不正确。首次登录、忘记密码或账号停用的，请联系省级管理员领取一次性代码，在密码处输入；"
    "省级管理员请打开发到手机的设置链接。"
)


settings.register(
    "staff_second_factor",
    Setting(
        "机构人员两步验证",
        False,
        kind="yes_no",
        group="账户",
        order=60,
    ),
)


def _newest_code(query: Select[Any], now: Any) -> Select[Any]:
    """`query`, a query of one-time codes, limited to the newest code that can be used at the time `now` (a
    datetime or a SQL parameter): unused, not expired, and not waiting for a second person's approval."""
    usable = (
        OneTimeCode.used_at.is_(None),
        OneTimeCode.expires_at > now,
        ~OneTimeCode.awaits_approval,
    )
    return query.where(*usable).order_by(OneTimeCode.issued_at.desc()).limit(1)


def _sign_in_query() -> Select[Any]:
    """The query of the account with a login index, the hash of its newest usable code, and the province's
    settings. Returns one row even if there is no such account, so that both cases take the same time."""
    of_account = (
        OneTimeCode.tenant_id == TENANT_PARAM,
        OneTimeCode.account_id == Account.id,
    )
    codes = select(OneTimeCode.code_hash).where(*of_account)
    code = _newest_code(codes, bindparam("now")).correlate(Account).scalar_subquery()
    is_named_account = and_(
        Account.tenant_id == TENANT_PARAM,
        Account.login_index == bindparam("login_index"),
        Account.kind == bindparam("kind"),
    )
    one_row = select(true()).subquery()
    return (
        select(*all_columns(Account), code, settings.values_column())
        .select_from(one_row)
        .outerjoin(Account, is_named_account)
    )


_SIGN_IN_STATEMENT = PreparedStatement(_sign_in_query)


@dataclass(frozen=True)
class SignInResult:
    """Who signed in. `must_change_password`: the person may only set a password now; `by_code`: a one-time
    code was typed."""

    account: Account
    must_change_password: bool
    by_code: bool = False


class _Matches(NamedTuple):
    """What the typed password is: the account's password, its newest code, or the initial password, and
    whether this is accepted."""

    is_password: bool
    is_code: bool
    is_initial: bool
    is_initial_accepted: bool


def authenticate(kind: str, typed: str, password: str) -> SignInResult:
    """Check typed credentials against the account, which may be closed or missing. `kind`: «doctor» (`typed`
    is a document number) or «staff» (`typed` is a user name). The caller throttles attempts, and starts the
    session, or lets set a password. A right one-time code isn't used up here (`set_password` does that); an
    old hash of the right password is renewed.

    For every account, even one that doesn't exist, there is one argon2 check and the same queries
    (security.md 4). Raises Busy, and InvalidInput with a message that depends only on what was typed."""
    account, newest_code_hash = _load_account_and_code(kind, typed)
    matches = _match_password(account, newest_code_hash, kind, password)
    result = _sign_in_result(account, matches, password) if account is not None else None
    if result is None:
        raise InvalidInput(_wrong_credentials_message(kind, is_initial=matches.is_initial))
    return result


def _match_password(
    account: Account | None,
    newest_code_hash: bytes,
    kind: str,
    password: str,
) -> _Matches:
    """Compare the password with everything that it may be, also if there is no account, so that the time is
    the same. Raises Busy."""
    stored_hash, account_id = (account.password_hash, account.id) if account else (None, NO_ACCOUNT_ID)
    is_password = passwords.verify_password(stored_hash, password)
    is_code = hmac.compare_digest(newest_code_hash, code_hash(account_id, password))
    is_initial = hmac.compare_digest(password.encode(), passwords.INITIAL_PASSWORD.encode())
    return _Matches(
        is_password,
        is_code,
        is_initial,
        is_initial_accepted=_accepts_initial_password(kind) and is_initial,
    )


def _sign_in_result(account: Account, matches: _Matches, password: str) -> SignInResult | None:
    """What the typed password opens in the present state of the account; None if nothing. An old hash of the
    right password is renewed. Raises Busy."""
    if account.state == "active" and matches.is_password:
        _rehash_password(account, password)
        return SignInResult(account, must_change_password=False)
    if matches.is_initial_accepted and _is_initial_credential_valid(account):
        return SignInResult(account, must_change_password=True)
    if account.state != "closed" and matches.is_code:
        return SignInResult(account, must_change_password=True, by_code=True)
    return None


def _accepts_initial_password(kind: str) -> bool:
    """Whether the province lets accounts of this kind sign in with the initial password: doctors, by a
    setting."""
    return settings.value("credential_mode") == "initial_password" and kind == "doctor"


def _is_initial_credential_valid(account: Account) -> bool:
    """Whether the account has no password yet, and its term for setting one with the initial credential isn't
    over."""
    return account.state == "initial" and account.initial_until > clock.now()


def _wrong_credentials_message(kind: str, *, is_initial: bool) -> str:
    """The message for rejected credentials: by kind of account, and for doctors by whether the initial
    password was typed."""
    if kind == "staff":
        return WRONG_STAFF_MESSAGE
    return WRONG_INITIAL_MESSAGE if is_initial else WRONG_CREDENTIALS_MESSAGE


def _load_account_and_code(kind: str, typed: str) -> tuple[Account | None, bytes]:
    """The account with the typed name or number (None if there is none), and the keyed hash of its newest
    usable code (empty if there is none). Always one query, which also loads the province's settings."""
    index = login_index(kind, typed)
    now = clock.now()
    today = clock.today()
    [(account, newest_code_hash, setting_values)] = _SIGN_IN_STATEMENT.fetch_objects(
        Account,
        kind=kind,
        login_index=index,
        now=now,
        today=today,
    )
    settings.cache_values(today, setting_values)
    return account, bytes(newest_code_hash or b"")


def _rehash_password(account: Account, password: str) -> None:
    """If the hash of the password that has just matched was computed with old costs, store a new one, unless
    another password was set meanwhile. Raises Busy."""
    old_hash = account.password_hash or ""
    if renewed := passwords.rehash_if_needed(old_hash, password):
        update_query = update(Account).where(
            Account.id == account.id,
            Account.password_hash == old_hash,
        )
        db.session.execute(
            update_query.values(password_hash=renewed),
            execution_options={"synchronize_session": False},
        )


def login_index(kind: str, typed: str) -> bytes:
    """The blind index of the account of `kind` with the typed number (doctor) or user name (staff)."""
    return doctor_login_index(typed) if kind == "doctor" else staff_login_index(typed)


def find_one_time_code(account: Account, typed_code: str) -> OneTimeCode | None:
    """The newest usable code of `account`, locked, if `typed_code` is it; else None. It is not used up here.
    For the page that sets a password, whose rate limit bounds guessing, with the 50 random bits of a code;
    `authenticate` compares codes itself, under the sign-in throttle."""
    usable = _newest_code(select(OneTimeCode), clock.now()).where(OneTimeCode.account_id == account.id)
    one_time_code = db.session.scalar(usable.with_for_update())
    stored_hash = bytes(one_time_code.code_hash) if one_time_code else b""
    is_right = hmac.compare_digest(stored_hash, code_hash(account.id, typed_code))
    return one_time_code if is_right else None


def set_password(
    account: Account,
    new: str,
    *,
    code: OneTimeCode | None,
    mobile: str | None,
    recovered: bool = False,
) -> None:
    """Set the password, make the account active, use up `code`, bind `mobile` (a number in its normal form)
    and end every session of the account, which is locked here and journalled; its state is not asked. With
    the first password of staff their recusal days begin anew (`second_person`).

    `recovered`: the person proved with a code to own the account; the WeChat binding is removed, because
    somebody else may have made it. The caller has validated `new` and checked the codes. Raises InvalidInput
    if `new` is the old password, Busy."""
    get_account_for_update(account.id)
    require_other_password(account, new)
    account.password_hash = passwords.hash_password(new)
    verb = _open_or_change(account)
    if code:
        code.used_at = clock.now()
    if mobile:
        bind_mobile(account, mobile, administrator=False)
    if recovered:
        account.wechat_sealed = account.wechat_index = account.wechat_bound_at = None
    end_all_sessions(account.id)
    journal.write_entry(
        "account",
        account.id,
        verb,
        by=Actor(account.kind, account.id),
        after="active",
    )


def require_other_password(account: Account, new: str) -> None:
    """Raise InvalidInput if `new` is the account's present password. Raises Busy."""
    if account.password_hash and passwords.verify_password(account.password_hash, new):
        raise InvalidInput("新密码不能与原来的密码相同，请换一个。", "new_password")


def _open_or_change(account: Account) -> str:
    """Set an account that gets a password to «active», and let the recusal days of staff who get their first
    one begin anew (`second_person`); return the journal's verb: «opened» for the first password, else
    «password_changed»."""
    is_first_password = account.state == "initial"
    account.state = "active"
    if not is_first_password:
        return "password_changed"
    if account.kind == "staff":
        record_account_opened(account.id)
    return "opened"


def change_mobile(account: Account, mobile: str) -> None:
    """Bind another mobile number (in its normal form), journal it and end every session, as after every
    change of credentials; the account is locked here. The caller has checked the code sent to the number.
    Raises InvalidInput if another administrator has the number."""
    get_account_for_update(account.id)
    bind_mobile(account, mobile, administrator=is_administrator(account.id))
    end_all_sessions(account.id)
    journal.write_entry(
        "account",
        account.id,
        "mobile_changed",
        by=Actor(account.kind, account.id),
    )


def bound_mobile(account: Account) -> str | None:
    """The mobile number stored in the account, decrypted, or None; an administrator's may not be confirmed
    yet (`mobile_bound_at`)."""
    if not account.mobile_sealed:
        return None
    return current_vault().decrypt(
        SecretLocation("account", "mobile", account.id),
        account.mobile_sealed,
    )


def doctor_account_with_mobile(raw_number: str, mobile: str) -> Account | None:
    """The active account of the doctor with the document number `raw_number` (as typed), if `mobile` (in its
    normal form) is bound to it; else None. Always one query, so that the time doesn't tell whether the
    account exists."""
    account = db.session.scalar(
        select(Account).where(
            Account.login_index == doctor_login_index(raw_number),
            Account.kind == "doctor",
            Account.state == "active",
        )
    )
    return account if account and bound_mobile(account) == mobile else None


def masked_bound_mobile(account: Account) -> str:
    """The account's mobile number for display, as 138****1234; "" if none is bound."""
    mobile = bound_mobile(account)
    return identity_numbers.mask_number(mobile) if mobile else ""


def memberships_of(account_id: UUID) -> list[Membership]:
    """The memberships of an account, ordered by role."""
    return list(
        db.session.scalars(
            select(Membership).where(Membership.account_id == account_id).order_by(Membership.role)
        )
    )


def needs_second_factor(roles: frozenset[str]) -> bool:
    """Whether somebody with these roles must show a second factor: always with some roles (administrators),
    with any other role if the province's setting `staff_second_factor` is on."""
    if roles & SECOND_FACTOR_ROLES:
        return True
    return bool(roles) and bool(settings.value("staff_second_factor"))
