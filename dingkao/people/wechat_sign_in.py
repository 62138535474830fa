"""Signing in with WeChat to a doctor's account that was bound to it before. The openid is stored encrypted
and found by a keyed hash."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
from sqlalchemy import select

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import Forbidden, InvalidInput
from dingkao.integrations.wechat_api import (
    AUTHORIZATION_EXPIRED_MESSAGE,
    WeChat,
)
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.account_queries import get_account_for_update
from dingkao.people.models import Account
from dingkao.tenants import settings
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.tenants.keys import cache_key
from dingkao.tenants.settings import Setting

STATE_SECONDS = 600
NOT_BOUND_MESSAGE = (
    "该微信还没有绑定账号，或账号已停用。请先用证件号码和密码登录，再在“账号与安全”中绑定微信。"
)
settings.register(
    "wechat_sign_in",
    Setting(
        "允许已绑定微信的医师用微信登录",
        False,
        kind="yes_no",
        group="账户",
        order=30,
    ),
)


@dataclass(frozen=True)
class AuthorizationStates:
    """The state parameters of WeChat's authorization: each is valid once, for ten minutes, in the browser
    that started the authorization. They are stored in the cache (`connection`); if it doesn't respond,
    redis.RedisError comes out."""

    connection: redis.Redis

    def create(self, account_id: UUID | None) -> tuple[str, str]:
        """Store a new state and return it with the value for the browser's cookie. `account_id`: the account
        to be bound, None to sign in."""
        state = secrets.token_urlsafe(24)
        cookie_value = secrets.token_urlsafe(24)
        content = {
            "account": str(account_id) if account_id else None,
            "mark": _digest(cookie_value),
        }
        self.connection.set(self._key(state), json.dumps(content), ex=STATE_SECONDS)
        return state, cookie_value

    def consume(self, state: str, cookie_value: str) -> UUID | None:
        """Delete the state, also if it is then refused, and return the id of the account to be bound, None if
        it was for signing in. Raises InvalidInput for an unknown, expired or used state, or one started in
        another browser."""
        stored: Any = self.connection.getdel(self._key(state))
        content = json.loads(stored) if stored else None
        if content is None or not _is_cookie_of(content["mark"], cookie_value):
            raise InvalidInput(AUTHORIZATION_EXPIRED_MESSAGE)
        return UUID(content["account"]) if content["account"] else None

    @staticmethod
    def _key(state: str) -> str:
        return cache_key("wechat-state", _digest(state))


def _is_cookie_of(digest: str, cookie_value: str) -> bool:
    """Whether the cookie has the value whose digest was stored with the state."""
    return bool(cookie_value) and secrets.compare_digest(digest, _digest(cookie_value))


def bind_wechat(account: Account, openid: str) -> None:
    """Bind the openid of a WeChat to `account`, which is signed in, instead of the one bound before; locks
    the account and journals it. Raises Forbidden for staff, InvalidInput if the WeChat is bound to another
    account."""
    if account.kind != "doctor":
        raise Forbidden
    index = _openid_index(openid)
    bound_account = db.session.scalar(
        select(Account.id).where(Account.wechat_index == index, Account.id != account.id)
    )
    if bound_account is not None:
        raise InvalidInput("该微信已绑定另一个账号。请先登录那个账号解除绑定，再绑定到本账号。")
    get_account_for_update(account.id)
    account.wechat_sealed = current_vault().encrypt(SecretLocation("account", "wechat", account.id), openid)
    account.wechat_index, account.wechat_bound_at = index, clock.now()
    journal.write_entry(
        "account",
        account.id,
        "wechat_bound",
        by=Actor(account.kind, account.id),
    )


def unbind_wechat(account: Account) -> None:
    """Remove the WeChat binding of an account, which is locked, and journal it. Does nothing if there is
    none."""
    get_account_for_update(account.id)
    if account.wechat_index is not None:
        account.wechat_sealed = account.wechat_index = account.wechat_bound_at = None
        journal.write_entry(
            "account",
            account.id,
            "wechat_unbound",
            by=Actor(account.kind, account.id),
        )


def authenticate_by_wechat(wechat: WeChat, code: str) -> Account:
    """The active doctor's account bound to the WeChat user whom `code` (from WeChat's callback) identifies.
    It only finds the account: the caller starts the session. Raises Unavailable, InvalidInput for a wrong or
    used code, and, with one message for all causes, if there is no such account."""
    account = db.session.scalar(
        select(Account).where(
            Account.wechat_index == _openid_index(wechat.openid(code)),
            Account.kind == "doctor",
            Account.state == "active",
        )
    )
    if account is None:
        raise InvalidInput(NOT_BOUND_MESSAGE)
    return account


def _openid_index(openid: str) -> bytes:
    """The keyed hash by which an openid is found. It is hashed before, because the vault's blind index
    ignores case and openids don't."""
    return current_vault().blind_index("wechat", hashlib.sha256(openid.encode()).hexdigest())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
