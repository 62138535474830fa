"""Saving an answer: the hot path. No session lookup, no ORM: a signed token, one statement, one round trip, durable before it is said.

The token names province, sitting and epoch. The statement (migration 0004) enters the province itself and is the only one that may.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from itsdangerous import BadSignature, Signer

from dingkao.database import libpq
from dingkao.errors import NotAllowed, NotFound, Refusal, Unavailable
from dingkao.exams.models import Sitting
from dingkao.tenants.context import current_tenant
from dingkao.tenants.rls import STRENGTH, StrongRole

SAVE = b"select save_answer($1, $2, $3, $4, $5, $6, $7)"
PREPARED = b"dingkao_save"
AWAY = "暂时连接不上,答案已存在手机上,恢复后会自动发送。"
LETTERS = frozenset("ABCDEFGHIJ")
PATIENCE: dict[str, Any] = {"connect_timeout": 3, "tcp_user_timeout": 5000, "options": "-c statement_timeout=5s"}
_local = threading.local()


@dataclass(frozen=True)
class Token:
    """What a page may save to."""

    tenant: int
    sitting: UUID
    epoch: int


def token_of(sitting: Sitting, secret_key: str) -> str:
    """The token of a sitting in its present epoch."""
    return _signer(secret_key).sign(f"{current_tenant()}|{sitting.id}|{sitting.epoch}").decode()


def read_token(text: str, secret_key: str) -> Token:
    """The token, if it is ours and of the province entered. Raises Malformed."""
    try:
        token = _signed(text, secret_key)
    except (BadSignature, ValueError) as fault:
        raise Malformed("作答页面已失效,请刷新页面。您的答案还在这台手机上。") from fault
    if token.tenant != current_tenant():
        raise Malformed("作答页面已失效,请刷新页面。")
    return token


@lru_cache(maxsize=20_000)
def _signed(text: str, secret_key: str) -> Token:
    """What a signature vouches for; the same page sends the same token with each of its answers, so it is looked into once."""
    tenant, sitting, epoch = _signer(secret_key).unsign(text).decode().split("|")
    return Token(int(tenant), UUID(sitting), int(epoch))


class Malformed(Refusal):
    """Not something our page would have sent."""


def save(database_url: str, token: Token, given: Any) -> str:
    """Keep one answer: `given` has position, letters, sequence, tapped (milliseconds since 1970, by the server's clock) or null.
    Gives «saved», or «older» where a newer answer is kept already. Raises Malformed, NotFound, NotAllowed, Unavailable."""
    position, letters, sequence, tapped = judged(given)
    parameters = (token.tenant, token.sitting, token.epoch, position, letters, sequence, tapped)
    values = [None if value is None else str(value).encode() for value in parameters]
    try:
        word = _asked(database_url, values)
    except (psycopg.OperationalError, *libpq.STALE):
        _forget()
        try:
            word = _asked(database_url, values)
        except psycopg.OperationalError as fault:
            _forget()
            raise Unavailable(AWAY) from fault
    return _told(word)


def _asked(database_url: str, values: Sequence[bytes | None]) -> str:
    """What the statement says. Raises psycopg.Error."""
    result = libpq.call(_connection(database_url), PREPARED, values)
    return (result.get_value(0, 0) or b"absent").decode()


def _told(word: str) -> str:
    match word:
        case "saved" | "older":
            return word
        case "handed_in":
            raise NotAllowed("本试卷已交卷,不能再修改答案。")
        case "superseded":
            raise NotAllowed("您已在另一台设备上继续作答,本页不能再保存。如需在此继续,请刷新页面。")
        case "closed":
            raise NotAllowed("作答时间已到,这个答案未能保存。")
    raise NotFound("没有找到这份试卷,请返回主页重新进入。")


def judged(given: Any) -> tuple[int, str, int, datetime | None]:
    """Position, letters in order, sequence number and moment of tapping of what a page has sent. Raises Malformed."""
    if not isinstance(given, Mapping):
        raise Malformed("请求无法识别,请刷新页面。")
    position, letters, sequence, tapped = (given.get(name) for name in ("position", "letters", "sequence", "tapped"))
    sound = (
        type(position) is int and 0 <= position < 1000 and type(sequence) is int and 0 < sequence < 2**31
        and isinstance(letters, str) and len(letters) <= len(LETTERS) and set(letters) <= LETTERS and len(set(letters)) == len(letters)
        and (tapped is None or (type(tapped) is int and 0 < tapped < 2**43))
    )  # fmt: skip
    if not sound:
        raise Malformed("请求无法识别,请刷新页面。")
    return position, "".join(sorted(letters)), sequence, datetime.fromtimestamp(tapped / 1000, UTC) if tapped else None  # type: ignore[return-value, arg-type]


def _connection(database_url: str) -> psycopg.Connection[Any]:
    """This thread's connection: autocommit, so that the statement is its own transaction and durable when it answers."""
    connection: psycopg.Connection[Any] | None = getattr(_local, "connection", None)
    if connection is None or connection.closed or _local.url != database_url:
        connection = psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True, **PATIENCE)
        found = connection.execute(STRENGTH).fetchone()
        if found is None or any(found):
            connection.close()
            raise StrongRole("The database role is stronger than the application may be; use dingkao_app.")
        libpq.prepare(connection, PREPARED, SAVE)
        _local.connection, _local.url = connection, database_url
    return connection


def _forget() -> None:
    connection = getattr(_local, "connection", None)
    if connection is not None:
        connection.close()
        _local.connection = None


def _signer(secret_key: str) -> Signer:
    return Signer(secret_key, salt="sitting", digest_method=hashlib.sha256)
