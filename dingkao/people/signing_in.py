"""Signing in [S2 to S4]: by password to a session; by the initial credential or a one-time code to the change page and nothing else."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pyotp
from sqlalchemy import bindparam, select, update

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.errors import Invalid, NotAllowed
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.people import passwords
from dingkao.people.accounts import code_hash, doctor_login_index, staff_login_index
from dingkao.people.models import Account, Membership, OneTimeCode, SignInSession
from dingkao.tenants import settings
from dingkao.tenants.asking import TENANT, Asked, whole
from dingkao.tenants.secrets import Place, vault

NOBODY = UUID(int=0)
IDLE, ABSOLUTE = timedelta(minutes=30), timedelta(hours=12)
WRONG = "账号或密码不正确。忘记密码请点“忘记密码?”;仍不能登录的,账号可能尚未开通或已停用,请联系本机构。"
WRONG_INITIAL = (
    "账号或密码不正确。已经设置过密码的,请用自己的密码登录;初始密码只在账号开通后的一段时间内有效,"
    "过期的请联系本机构延长,或领取一次性代码在密码处输入。"
)
WRONG_STAFF = "账号或密码不正确。首次登录、忘记密码或账号停用的,请联系省级管理员领取一次性代码,在密码处输入。"


_LIVE = Asked(
    lambda: select(*whole(SignInSession, Account), settings.in_force())
    .join(Account, (Account.tenant_id == SignInSession.tenant_id) & (Account.id == SignInSession.account_id))
    .where(
        SignInSession.tenant_id == TENANT, SignInSession.token_hash == bindparam("token_hash"), SignInSession.ended_at.is_(None),
        SignInSession.ends_at > bindparam("now"), SignInSession.seen_at > bindparam("idle"), Account.state == "active",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Credentials:
    """What signing in gave: a session (`change` false) or leave to set a password; `by_code` tells that a one-time code was shown."""

    account: Account
    change: bool
    by_code: bool = False


def by_password(kind: str, typed: str, password: str) -> Credentials:
    """Check what was typed. `kind`: doctor (ID number) or staff (user name). One argon2 check and the same questions, whoever was named
    (security.md 4). Raises Invalid with one sentence for every cause; what the sentence says follows from what was typed alone."""
    account = db.session.scalar(select(Account).where(Account.login_index == login_index(kind, typed), Account.kind == kind))
    right = passwords.matches(account.password_hash if account else None, password)
    handed_over = _one_time_code(account.id if account else NOBODY, password)
    initial = hmac.compare_digest(password.encode(), passwords.INITIAL.encode())
    by_initial = settings.value("credential_mode") == "initial_password" and kind == "doctor" and initial
    if account and account.state == "active" and right:
        return Credentials(account, change=False)
    if account and account.state == "initial" and account.initial_until > clock.now() and by_initial:
        return Credentials(account, change=True)
    if account and account.state != "closed" and handed_over is not None:
        return Credentials(account, change=True, by_code=True)
    raise Invalid(WRONG_STAFF if kind == "staff" else WRONG_INITIAL if initial else WRONG)


def login_index(kind: str, typed: str) -> bytes:
    """By what an account of `kind` is found."""
    return doctor_login_index(typed) if kind == "doctor" else staff_login_index(typed)


def one_time_code(account: Account, typed: str) -> OneTimeCode | None:
    """The unused code of `account` that was typed, held locked, or None. Guessing is bounded by the limits at the door and by 50 bits of
    code."""
    return _one_time_code(account.id, typed, hold=True)


def _one_time_code(account_id: UUID, typed: str, *, hold: bool = False) -> OneTimeCode | None:
    query = (
        select(OneTimeCode)
        .where(OneTimeCode.account_id == account_id, OneTimeCode.used_at.is_(None), OneTimeCode.expires_at > clock.now())
        .order_by(OneTimeCode.issued_at.desc())
        .limit(1)
    )
    row = db.session.scalar(query.with_for_update() if hold else query)
    right = hmac.compare_digest(bytes(row.code_hash) if row else b"", code_hash(account_id, typed))
    return row if right else None


def set_password(account: Account, new: str, *, code: OneTimeCode | None, mobile: str | None, recovered: bool = False) -> None:
    """Set the password, spend the code, bind the mobile number, end every session; an account that is `recovered` forgets its WeChat too,
    for somebody else may have bound it. The caller has checked `new` and the codes. Raises Invalid where `new` is the old one."""
    if passwords.matches(account.password_hash, new):
        raise Invalid("新密码不能与原来的密码相同,请换一个。", "new_password")
    account.password_hash = passwords.hashed(new)
    first = account.state == "initial"
    account.state = "active"
    if code:
        code.used_at = clock.now()
    if mobile:
        _bind(account, mobile)
    if recovered:
        account.wechat_sealed = account.wechat_index = account.wechat_bound_at = None
    end_all(account.id)
    journal.write("account", account.id, "opened" if first else "password_changed", by=Actor(account.kind, account.id), after="active")


def change_mobile(account: Account, mobile: str) -> None:
    """Bind another mobile number; every session ends, as at every change of what opens an account. The caller has checked the code."""
    _bind(account, mobile)
    end_all(account.id)
    journal.write("account", account.id, "mobile_changed", by=Actor(account.kind, account.id))


def _bind(account: Account, mobile: str) -> None:
    account.mobile_sealed = vault().seal(Place("account", "mobile", account.id), mobile)
    account.mobile_bound_at = clock.now()


def bound_mobile(account: Account) -> str | None:
    """The mobile number bound to the account, or None."""
    return vault().unseal(Place("account", "mobile", account.id), account.mobile_sealed) if account.mobile_sealed else None


def begin_session(account: Account, device: str = "") -> str:
    """A new session; the token is for the cookie and is kept as a hash alone. `device`: what it was begun on, in words."""
    token = secrets.token_urlsafe(32)
    now = clock.now()
    row = SignInSession(id=new_id(), account_id=account.id, token_hash=_hash(token), begun_at=now, seen_at=now, ends_at=now + ABSOLUTE, device=device)
    db.session.add(row)
    journal.write("account", account.id, "signed_in", by=Actor(account.kind, account.id))
    return token


def session_of(token: str) -> tuple[SignInSession, Account] | None:
    """The live session of `token` with its account, or None: ended, idle for half an hour, older than twelve, or the account closed."""
    now, today = clock.now(), clock.today()
    found = _LIVE.one(SignInSession, Account, token_hash=_hash(token), now=now, idle=now - IDLE, today=today)
    if found is None:
        return None
    session, account, set_here = found
    settings.remember(today, set_here)  # every page wants some of them
    return session, account


def renew_token(row: SignInSession) -> str:
    """Another token for the same session, because its rights have changed: the one before is good for nothing (security.md 7)."""
    token = secrets.token_urlsafe(32)
    row.token_hash = _hash(token)
    return token


def live_sessions(account_id: UUID) -> list[SignInSession]:
    """The sessions of an account that are good now, the one used last first."""
    now = clock.now()
    alive = (SignInSession.ended_at.is_(None), SignInSession.ends_at > now, SignInSession.seen_at > now - IDLE)
    return list(db.session.scalars(select(SignInSession).where(SignInSession.account_id == account_id, *alive).order_by(SignInSession.seen_at.desc(), SignInSession.id)))


def end_others(mine: SignInSession, only: UUID | None = None) -> int:
    """End the account's other sessions, or `only` that one; how many were ended. One's own is ended by signing out."""
    others = update(SignInSession).where(
        SignInSession.account_id == mine.account_id, SignInSession.id != mine.id, SignInSession.ended_at.is_(None)
    )
    ended = db.session.execute((others if only is None else others.where(SignInSession.id == only)).values(ended_at=clock.now()).returning(SignInSession.id)).all()
    if ended:
        journal.write("account", mine.account_id, "sessions_ended", by=Actor("doctor", mine.account_id), count=len(ended))
    return len(ended)


def end_session(row: SignInSession) -> None:
    """Sign out."""
    row.ended_at = clock.now()


def end_all(account_id: UUID) -> None:
    """End every session of an account: its password or its rights have changed."""
    db.session.execute(
        update(SignInSession).where(SignInSession.account_id == account_id, SignInSession.ended_at.is_(None)).values(ended_at=clock.now())
    )


def memberships(account_id: UUID) -> list[Membership]:
    """The roles of an account."""
    return list(db.session.scalars(select(Membership).where(Membership.account_id == account_id).order_by(Membership.role)))


def needs_second_factor(roles: frozenset[str]) -> bool:
    """Province admins always, other staff by the province's setting."""
    return "province_admin" in roles or (bool(roles) and bool(settings.value("staff_second_factor")))


def offer_second_factor(account: Account) -> str:
    """A secret for an account that has none yet; it is bound once a code from it has been confirmed. Raises NotAllowed."""
    if account.second_factor_sealed:
        raise NotAllowed("该账号已绑定动态口令。")
    return pyotp.random_base32()


def confirm_second_factor(account: Account, session: SignInSession, secret: str | None, code: str) -> None:
    """Check a TOTP code, each good once; with `secret`, bind it first. Raises Invalid on the field code."""
    place = Place("account", "second_factor", account.id)
    if secret is None:
        if account.second_factor_sealed is None:
            raise NotAllowed("该账号尚未绑定动态口令。")
        secret = vault().unseal(place, account.second_factor_sealed)
    elif account.second_factor_sealed is None:
        account.second_factor_sealed = vault().seal(place, secret)
    counter = matching_counter(secret, code)
    if counter is None or counter <= account.second_factor_counter:
        raise Invalid("动态口令不正确或已用过,请等待下一个6位数字。", "code")
    account.second_factor_counter = counter
    session.second_factor_at = clock.now()
    journal.write("account", account.id, "second_factor", by=Actor(account.kind, account.id))


def matching_counter(secret: str, code: str) -> int | None:
    """The time step whose TOTP code this is, the present one or its neighbours; None for a wrong code."""
    totp, step = pyotp.TOTP(secret), int(clock.now().timestamp()) // 30
    for counter in (step, step - 1, step + 1):
        if hmac.compare_digest(totp.generate_otp(counter), code.strip()):
            return counter
    return None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
