"""WeChat as a way in for a doctor's account that was bound to it while signed in; the openid is sealed and found by a keyed hash."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
from sqlalchemy import select

from dingkao import clock
from dingkao.database.model import db
from dingkao.errors import Forbidden, Invalid
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside.wechat import AGAIN, WeChat
from dingkao.people.models import Account
from dingkao.tenants.keys import cache_key
from dingkao.tenants.secrets import Place, vault

STATE_SECONDS = 600
UNBOUND = "该微信还没有绑定账号,或账号已停用。请先用证件号码和密码登录,再在“账号与安全”中绑定微信。"


@dataclass(frozen=True)
class Errands:
    """Ways to WeChat and back: each has a state that is good once, for ten minutes, in the browser that set out."""

    connection: redis.Redis

    def begin(self, account_id: UUID | None) -> tuple[str, str]:
        """A state, and the mark for the cookie of the browser; `account_id` is to be bound, None is to sign in."""
        state, mark = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        kept = {"account": str(account_id) if account_id else None, "mark": _digest(mark)}
        self.connection.set(self._key(state), json.dumps(kept), ex=STATE_SECONDS)
        return state, mark

    def end(self, state: str, mark: str) -> UUID | None:
        """Whose account the errand was to bind, None where it was to sign in. Raises Invalid for a state that is none, is over, has been
        used, or was set out with in another browser."""
        kept: Any = self.connection.getdel(self._key(state))
        told = json.loads(kept) if kept else None
        if told is None or not mark or not secrets.compare_digest(told["mark"], _digest(mark)):
            raise Invalid(AGAIN)
        return UUID(told["account"]) if told["account"] else None

    @staticmethod
    def _key(state: str) -> str:
        return cache_key("wechat-state", _digest(state))


def bind(account: Account, openid: str) -> None:
    """Bind `account`, which is signed in, to a WeChat. Raises Forbidden for staff, Invalid where that WeChat is another account's."""
    if account.kind != "doctor":
        raise Forbidden
    index = _index(openid)
    other = db.session.scalar(select(Account.id).where(Account.wechat_index == index, Account.id != account.id))
    if other is not None:
        raise Invalid("该微信已绑定另一个账号。请先登录那个账号解除绑定,再绑定到本账号。")
    account.wechat_sealed = vault().seal(Place("account", "wechat", account.id), openid)
    account.wechat_index, account.wechat_bound_at = index, clock.now()
    journal.write("account", account.id, "wechat_bound", by=Actor(account.kind, account.id))


def unbind(account: Account) -> None:
    """Undo it. Repeatable."""
    if account.wechat_index is not None:
        account.wechat_sealed = account.wechat_index = account.wechat_bound_at = None
        journal.write("account", account.id, "wechat_unbound", by=Actor(account.kind, account.id))


def account_of(wechat: WeChat, code: str) -> Account:
    """The account to sign in: a doctor's, bound, open. Raises Invalid, one sentence for every cause, and Unavailable."""
    found = db.session.scalar(
        select(Account).where(Account.wechat_index == _index(wechat.openid(code)), Account.kind == "doctor", Account.state == "active")
    )
    if found is None:
        raise Invalid(UNBOUND)
    return found


def _index(openid: str) -> bytes:
    """By what an openid is found; small and capital letters are different ones, and a keyed hash of the vault's folds them."""
    return vault().blind_index("wechat", hashlib.sha256(openid.encode()).hexdigest())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
