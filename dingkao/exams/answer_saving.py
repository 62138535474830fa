"""Saving an answer, the most frequent request of an exam. It looks up no session and uses no ORM: a signed
token says what may be saved, and one statement in one round trip makes the answer durable before the page is
told "saved".

The token names province, sitting and epoch. The SQL function save_answer (migrations 0004, 0022) sets the
province for its own transaction; no other function may do so. It ignores a moment of tapping outside the
sitting's time.
"""

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from itsdangerous import BadSignature, Signer

from dingkao.database import libpq
from dingkao.errors import (
    InvalidState,
    NotFound,
    Refusal,
    Unavailable,
)
from dingkao.exams.models.sitting_models import Sitting
from dingkao.question_banks.question_types import OPTION_LETTERS
from dingkao.tenants.context import current_tenant
from dingkao.tenants.rls import ROLE_STRENGTH_QUERY, RoleTooPowerful

SAVE_SQL = b"select save_answer($1, $2, $3, $4, $5, $6, $7)"
STATEMENT_NAME = libpq.statement_name(SAVE_SQL)
UNAVAILABLE_MESSAGE = "暂时连接不上，答案已存在手机上，恢复后会自动发送。"
_LETTERS = frozenset(OPTION_LETTERS)
CONNECT_OPTIONS: dict[str, Any] = {
    "connect_timeout": 3,
    "tcp_user_timeout": 5000,
    "options": "-c statement_timeout=5s",
}
HEALTH_CACHE_SECONDS = 10.0
"""How long an answer of the database counts as proof that it is available."""
_thread_local = threading.local()
_health_lock = threading.Lock()
_last_answered_at = float("-inf")


@dataclass(frozen=True)
class SaveToken:
    """What a page may save to: the sitting of a province, in one epoch."""

    tenant: int
    sitting: UUID
    epoch: int


def make_token(sitting: Sitting, secret_key: str) -> str:
    """The signed token for a sitting in its present epoch."""
    return _token_signer(secret_key).sign(f"{current_tenant()}|{sitting.id}|{sitting.epoch}").decode()


def read_token(text: str, secret_key: str) -> SaveToken:
    """Return what a token says. Raises MalformedAnswer if the signature is not ours or the token is of
    another province than the current one."""
    try:
        token = _unsign(text, secret_key)
    except (BadSignature, ValueError) as fault:
        raise MalformedAnswer("作答页面已失效，请刷新页面。您的答案还在这台手机上。") from fault
    if token.tenant != current_tenant():
        raise MalformedAnswer("作答页面已失效，请刷新页面。")
    return token


@lru_cache(maxsize=20_000)
def _unsign(text: str, secret_key: str) -> SaveToken:
    """Check a token's signature and parse it; cached, because a page sends the same token with each of its
    answers. Raises BadSignature, ValueError."""
    tenant, sitting, epoch = _token_signer(secret_key).unsign(text).decode().split("|")
    return SaveToken(int(tenant), UUID(sitting), int(epoch))


class MalformedAnswer(Refusal):
    """A request that our page would not have sent."""


def save_answer(database_url: str, token: SaveToken, payload: Any) -> str:
    """Store one answer durably, in a transaction of its own on this thread's own connection; it waits for the
    sitting's row, which the caller may therefore not hold locked. `token`: from `read_token`; it is trusted
    here. `payload`, a JSON object: position (from 0), letters (a string of option letters, each at most once;
    "" for no answer), sequence (from 1, higher for each later answer), tapped (milliseconds since 1970 by the
    server's clock, or null). Returns "saved", or "older" if an answer with this or a higher sequence is
    stored already, which may be this same one, sent again. Raises MalformedAnswer, NotFound (no such sitting
    or position), AnswerRefused (an InvalidState), Unavailable, RoleTooPowerful."""
    position, letters, sequence, tapped = validate_answer(payload)
    parameters = (
        token.tenant,
        token.sitting,
        token.epoch,
        position,
        letters,
        sequence,
        tapped,
    )
    values = [None if value is None else str(value).encode() for value in parameters]
    try:
        word = _execute_save(database_url, values)
    except (psycopg.OperationalError, *libpq.STALE_STATEMENT_ERRORS):
        word = _execute_save_anew(database_url, values)
    return _interpret_result(word)


def _execute_save_anew(database_url: str, values: Sequence[bytes | None]) -> str:
    """Execute the statement on a new connection; returns the word as `_execute_save`. Raises Unavailable,
    RoleTooPowerful."""
    _close_connection()
    try:
        return _execute_save(database_url, values)
    except psycopg.OperationalError as fault:
        _close_connection()
        raise Unavailable(UNAVAILABLE_MESSAGE) from fault


class AnswerRefused(InvalidState):
    """An answer that is not accepted; `why` is "closed", "handed_in" or "superseded". The page keeps the
    answer on the phone, because the sitting may get added time."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.why = reason


def is_database_available(database_url: str) -> bool:
    """Whether the database has answered this process within the last HEALTH_CACHE_SECONDS, or answers now.
    Only one thread at a time asks it; the others don't wait and get False. Raises RoleTooPowerful."""
    if time.monotonic() - _last_answered_at < HEALTH_CACHE_SECONDS:
        return True
    if not _health_lock.acquire(blocking=False):
        return False
    try:
        _ask_database(database_url)
    except psycopg.Error:
        _close_connection()
        return False
    finally:
        _health_lock.release()
    return True


def _ask_database(database_url: str) -> None:
    """Execute a trivial query. Raises psycopg.Error if the database doesn't answer, RoleTooPowerful."""
    try:
        _thread_connection(database_url).execute("select 1")
    except psycopg.OperationalError:  # a connection from before an outage says nothing of now
        _close_connection()
        _thread_connection(database_url).execute("select 1")
    _record_database_answer()


def _record_database_answer() -> None:
    """Remember, for `is_database_available`, that the database has answered just now."""
    global _last_answered_at
    _last_answered_at = time.monotonic()


def _execute_save(database_url: str, values: Sequence[bytes | None]) -> str:
    """Return the word that save_answer gives: saved, older, absent, or a key of _REFUSAL_MESSAGES. It is
    committed then; while another connection has the sitting locked, it waits. Raises psycopg.Error,
    RoleTooPowerful."""
    connection = _thread_connection(database_url)
    result = (
        libpq.execute_prepared(connection, STATEMENT_NAME, values)
        if _thread_local.direct
        else libpq.execute_unprepared(connection, SAVE_SQL, values)
    )
    _record_database_answer()
    return (result.get_value(0, 0) or b"absent").decode()


_REFUSAL_MESSAGES = {
    "handed_in": "本试卷已交卷，不能再修改答案。",
    "superseded": "本页打开之后，已在另一台设备上继续作答，或试卷重新打开过。请刷新页面后继续。",
    "closed": "作答时间已到，这个答案送达时已过截止时间，没有计入。",
}


def _interpret_result(result: str) -> str:
    """Return the statement's word if the answer is stored ("saved", "older"). Raises AnswerRefused for a key
    of _REFUSAL_MESSAGES, NotFound for any other word."""
    if result in ("saved", "older"):
        return result
    if result in _REFUSAL_MESSAGES:
        raise AnswerRefused(_REFUSAL_MESSAGES[result], result)
    raise NotFound("没有找到这份试卷，请返回主页重新进入。")


def validate_answer(
    payload: Any,
) -> tuple[int, str, int, datetime | None]:
    """Return position (from 0), letters in alphabetical order, sequence number (from 1) and moment of tapping
    (None: not told) from the JSON that a page has sent, an object with these four keys, `tapped` in
    milliseconds since 1970. Whether the sitting has the position or the option is not asked. Raises
    MalformedAnswer."""
    if not isinstance(payload, Mapping):
        raise MalformedAnswer("请求无法识别，请刷新页面。")
    fields: tuple[Any, ...] = tuple(map(payload.get, ("position", "letters", "sequence", "tapped")))
    position, letters, sequence, tapped = fields
    is_valid = (
        _is_integer_within(position, 0, 1000)
        and _is_integer_within(sequence, 1, 2**31)
        and _is_choice(letters)
        and (tapped is None or _is_integer_within(tapped, 1, 2**43))
    )
    if not is_valid:
        raise MalformedAnswer("请求无法识别，请刷新页面。")
    return (
        position,
        "".join(sorted(letters)),
        sequence,
        datetime.fromtimestamp(tapped / 1000, UTC) if tapped else None,
    )


def _is_integer_within(value: Any, minimum: int, end: int) -> bool:
    """Whether a value is an integer from `minimum` to below `end`; True and False are not integers here."""
    return type(value) is int and minimum <= value < end


def _is_choice(letters: Any) -> bool:
    """Whether a value is a string of option letters, each at most once."""
    if not isinstance(letters, str) or len(letters) > len(OPTION_LETTERS):
        return False
    chosen = set(letters)
    return len(chosen) == len(letters) and chosen <= _LETTERS


def _thread_connection(database_url: str) -> psycopg.Connection[Any]:
    """This thread's connection, a new one if it has none that is open. Autocommit makes each statement its
    own transaction, durable when it returns. Raises psycopg.Error, RoleTooPowerful."""
    connection: psycopg.Connection[Any] | None = getattr(_thread_local, "connection", None)
    if connection is None or connection.closed or _thread_local.url != database_url:
        connection = _connect(database_url)
        _thread_local.direct = _prepare_if_direct(connection)
        _thread_local.connection, _thread_local.url = (
            connection,
            database_url,
        )
    return connection


def _prepare_if_direct(connection: psycopg.Connection[Any]) -> bool:
    """Prepare the statement if the connection is direct; through a connection pooler it could reach a server
    that doesn't know it. Returns whether the connection is direct."""
    is_direct = libpq.is_direct_connection(connection)
    if is_direct:
        libpq.prepare(connection, STATEMENT_NAME, SAVE_SQL)
    return is_direct


def _connect(database_url: str) -> psycopg.Connection[Any]:
    """A new connection. Raises RoleTooPowerful if its database role may do more than the application's,
    psycopg.Error."""
    connection = psycopg.connect(
        database_url.replace("+psycopg", ""),
        autocommit=True,
        **CONNECT_OPTIONS,
    )
    role_strengths = connection.execute(ROLE_STRENGTH_QUERY).fetchone()
    if role_strengths is None or any(role_strengths):
        connection.close()
        raise RoleTooPowerful("The database role is stronger than the application may be; use dingkao_app.")
    return connection


def _close_connection() -> None:
    """Close this thread's connection, if it has one."""
    connection = getattr(_thread_local, "connection", None)
    if connection is not None:
        connection.close()
        _thread_local.connection = None


def _token_signer(secret_key: str) -> Signer:
    """The signer of the tokens of sittings."""
    return Signer(secret_key, salt="sitting", digest_method=hashlib.sha256)
