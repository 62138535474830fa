"""Signing in [S2 to S4]: by password to a session; by the initial credential or a one-time code to the change page and nothing else."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pyotp
from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.errors import Invalid, NotAllowed
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.people import passwords
from dingkao.people.accounts import code_hash, doctor_login_index, staff_login_index
from dingkao.people.models import Account, Membership, OneTimeCode, SignInSession
from dingkao.tenants import settings
from dingkao.tenants.secrets import Place, vault

IDLE, ABSOLUTE = timedelta(minutes=30), timedelta(hours=12)
WRONG = "账号或密码不正确。初次登录的初始密码为666666;忘记密码请点“忘记密码?”,或联系本机构。"


@dataclass(frozen=True)
class Credentials:
    """What signing in gave: a session (`change` false) or leave to set a password; `by_code` tells that a one-time code was shown."""

    account: Account
    change: bool
    by_code: bool = False


def by_password(kind: str, typed: str, password: str) -> Credentials:
    """Check what was typed. `kind`: doctor (ID number) or staff (user name). Always does one argon2 check, whoever was named.
    Raises Invalid with one sentence for every cause."""
    index = doctor_login_index(typed) if kind == "doctor" else staff_login_index(typed)
    account = db.session.scalar(select(Account).where(Account.login_index == index, Account.kind == kind))
    right = passwords.matches(account.password_hash if account else None, password)
    if account and account.state == "active" and right:
        return Credentials(account, change=False)
    if account and account.state == "initial" and account.initial_until > clock.now():
        initial = settings.value("credential_mode") == "initial_password" and kind == "doctor"
        if initial and hmac.compare_digest(password.encode(), passwords.INITIAL.encode()):
            return Credentials(account, change=True)
    if account and account.state != "closed" and one_time_code(account, password) is not None:
        return Credentials(account, change=True, by_code=True)
    raise Invalid(WRONG)


def one_time_code(account: Account, typed: str) -> OneTimeCode | None:
    """The unused code of `account` that was typed, or None. Guessing is bounded by the limits at the door and by 50 bits of code."""
    row = db.session.scalar(
        select(OneTimeCode)
        .where(OneTimeCode.account_id == account.id, OneTimeCode.used_at.is_(None), OneTimeCode.expires_at > clock.now())
        .order_by(OneTimeCode.issued_at.desc())
        .limit(1)
        .with_for_update()
    )
    right = row is not None and hmac.compare_digest(bytes(row.code_hash), code_hash(account.id, typed))
    return row if right else None


def set_password(account: Account, new: str, *, code: OneTimeCode | None, mobile: str | None) -> None:
    """Set the password, spend the code, bind the mobile number, end every session. The caller has checked `new` and the codes."""
    account.password_hash = passwords.hashed(new)
    first = account.state == "initial"
    account.state = "active"
    if code:
        code.used_at = clock.now()
    if mobile:
        account.mobile_sealed = vault().seal(Place("account", "mobile", account.id), mobile)
        account.mobile_bound_at = clock.now()
    end_all(account.id)
    journal.write("account", account.id, "opened" if first else "password_changed", by=Actor(account.kind, account.id), after="active")


def bound_mobile(account: Account) -> str | None:
    """The mobile number bound to the account, or None."""
    return vault().unseal(Place("account", "mobile", account.id), account.mobile_sealed) if account.mobile_sealed else None


def begin_session(account: Account) -> str:
    """A new session; the token is for the cookie and is kept as a hash alone."""
    token = secrets.token_urlsafe(32)
    now = clock.now()
    row = SignInSession(id=new_id(), account_id=account.id, token_hash=_hash(token), begun_at=now, seen_at=now, ends_at=now + ABSOLUTE)
    db.session.add(row)
    journal.write("account", account.id, "signed_in", by=Actor(account.kind, account.id))
    return token


def session_of(token: str) -> tuple[SignInSession, Account] | None:
    """The live session of `token` with its account, or None: ended, idle for half an hour, older than twelve, or the account closed."""
    now = clock.now()
    found = db.session.execute(
        select(SignInSession, Account)
        .join(Account, (Account.tenant_id == SignInSession.tenant_id) & (Account.id == SignInSession.account_id))
        .where(
            SignInSession.token_hash == _hash(token), SignInSession.ended_at.is_(None), SignInSession.ends_at > now,
            SignInSession.seen_at > now - IDLE, Account.state == "active",
        )
    ).one_or_none()  # fmt: skip
    return (found[0], found[1]) if found else None


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
