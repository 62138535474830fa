"""Sessions of people who have signed in: starting, finding by the token, ending (security.md 7)."""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import bindparam, select, update

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.account_queries import get_account_for_update
from dingkao.people.models import (
    Account,
    SignInSession,
)
from dingkao.tenants import settings
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    all_columns,
)

IDLE_MINUTES = 30
IDLE_TIMEOUT = timedelta(minutes=IDLE_MINUTES)
ABSOLUTE_TIMEOUT = timedelta(hours=12)
_LIVE_SESSION_STATEMENT = PreparedStatement(
    lambda: (
        select(
            *all_columns(SignInSession, Account),
            settings.values_column(),
        )
        .join(
            Account,
            (Account.tenant_id == SignInSession.tenant_id) & (Account.id == SignInSession.account_id),
        )
        .where(
            SignInSession.tenant_id == TENANT_PARAM,
            SignInSession.token_hash == bindparam("token_hash"),
            SignInSession.ended_at.is_(None),
            SignInSession.ends_at > bindparam("now"),
            SignInSession.seen_at > bindparam("idle"),
            Account.state == "active",
        )
    )
)


def start_session(account: Account, device: str = "", *, second_factor_shown: bool = False) -> str:
    """Start a session and return its token, which goes into the cookie; only its hash is stored. Locks the
    account, journals the sign-in and, for staff, notes when the account was used. Who may sign in has been
    checked; earlier sessions go on.

    `device`: a description of the browser; `second_factor_shown`: the second factor has just been checked."""
    get_account_for_update(account.id)
    token = secrets.token_urlsafe(32)
    now = clock.now()
    if account.kind == "staff":
        account.used_at = now
    session = SignInSession(
        id=new_id(),
        account_id=account.id,
        token_hash=_token_hash(token),
        begun_at=now,
        seen_at=now,
        ends_at=now + ABSOLUTE_TIMEOUT,
        device=device,
    )
    session.second_factor_at = now if second_factor_shown else None
    db.session.add(session)
    with journal.batched_entries():
        journal.write_entry(
            "account",
            account.id,
            "signed_in",
            by=Actor(account.kind, account.id),
        )
    return token


def load_session(token: str) -> tuple[SignInSession, Account] | None:
    """The session with this token and its account; None if it has ended, was idle for IDLE_TIMEOUT, is older
    than ABSOLUTE_TIMEOUT, or the account isn't active. Also caches the province's settings. Doesn't note that
    the session is used now (`seen_at`)."""
    now, today = clock.now(), clock.today()
    session_and_account = _LIVE_SESSION_STATEMENT.fetch_object(
        SignInSession,
        Account,
        token_hash=_token_hash(token),
        now=now,
        idle=now - IDLE_TIMEOUT,
        today=today,
    )
    if session_and_account is None:
        return None
    session, account, setting_values = session_and_account
    settings.cache_values(today, setting_values)
    return session, account


def rotate_token(sign_in_session: SignInSession) -> str:
    """Give a session a new token and return it, because the session's rights have changed; the old one
    becomes invalid (security.md 7)."""
    token = secrets.token_urlsafe(32)
    sign_in_session.token_hash = _token_hash(token)
    return token


def live_sessions(account_id: UUID) -> list[SignInSession]:
    """The valid sessions of an account, the one used most recently first."""
    now = clock.now()
    is_valid = (
        SignInSession.ended_at.is_(None),
        SignInSession.ends_at > now,
        SignInSession.seen_at > now - IDLE_TIMEOUT,
    )
    return list(
        db.session.scalars(
            select(SignInSession)
            .where(SignInSession.account_id == account_id, *is_valid)
            .order_by(SignInSession.seen_at.desc(), SignInSession.id)
        )
    )


def end_other_sessions(current_session: SignInSession, session_id: UUID | None = None) -> int:
    """End the other sessions of the account of `current_session`: all, or only the one with `session_id`.
    Locks the account; if any was ended, it is journalled. Returns how many."""
    account = get_account_for_update(current_session.account_id)
    end_query = update(SignInSession).where(
        SignInSession.account_id == current_session.account_id,
        SignInSession.id != current_session.id,
        SignInSession.ended_at.is_(None),
    )
    ended = db.session.execute(
        (end_query if session_id is None else end_query.where(SignInSession.id == session_id))
        .values(ended_at=clock.now())
        .returning(SignInSession.id)
    ).all()
    if ended:
        journal.write_entry(
            "account",
            account.id,
            "sessions_ended",
            by=Actor(account.kind, account.id),
            count=len(ended),
        )
    return len(ended)


def end_session(sign_in_session: SignInSession) -> None:
    """End a session (signing out); nothing is journalled, and the caller commits."""
    sign_in_session.ended_at = clock.now()


def end_all_sessions(account_id: UUID) -> None:
    """End every session of an account, also the one in which this is done, because its credentials or roles
    have changed. Journals nothing: the caller does."""
    db.session.execute(
        update(SignInSession)
        .where(
            SignInSession.account_id == account_id,
            SignInSession.ended_at.is_(None),
        )
        .values(ended_at=clock.now())
    )


def _token_hash(token: str) -> bytes:
    """The SHA-256 of a session's token, which alone is stored."""
    return hashlib.sha256(token.encode()).digest()
