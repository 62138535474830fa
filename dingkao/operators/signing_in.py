"""Operators signing in at /platform: password and second factor, always both; rows and engine of the platform's own.

Each function is a transaction of its own on the platform's engine, which sees no province's rows.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pyotp
from sqlalchemy import Connection, Table, insert, select, update

from dingkao import clock
from dingkao.database.model import db, new_id
from dingkao.errors import Invalid, NotFound
from dingkao.operators.models import Operator, OperatorAct, OperatorSession
from dingkao.people import passwords
from dingkao.people.accounts import new_code
from dingkao.people.signing_in import ABSOLUTE, IDLE, matching_counter
from dingkao.tenants.secrets import Place, normalised, vault

CODE_LIVES = timedelta(days=3)
WRONG = "账号或密码不正确。首次登录请在密码处输入一次性代码。"


@dataclass(frozen=True)
class SignedIn:
    """An operator's live session: `complete` once the second factor has been shown in it."""

    operator: UUID
    session: UUID
    user_name: str
    name: str
    bound: bool
    complete: bool


def add(user_name: str, name: str) -> str:
    """A new operator, or one whose account nobody has opened yet; the one-time code is given once. Raises Invalid."""
    user_name = user_name.strip().lower()
    if not user_name.isascii() or not 3 <= len(user_name) <= 40:
        raise Invalid("用户名请用3至40位字母、数字或短横线。", "user_name")
    with _begin() as connection:
        row = _by_name(connection, user_name)
        if row is None:
            connection.execute(insert(_operators()).values(id=new_id(), user_name=user_name, name=name, state="initial", second_factor_counter=0, created_at=clock.now()))
            _act(connection, None, "operator_added", details=user_name)
        elif row["state"] != "initial":
            raise Invalid(f"{user_name}已经启用;忘记密码请用 dingkao operators code {user_name}。", "user_name")
    return renew(user_name)


def renew(user_name: str) -> str:
    """A fresh one-time code; it opens the account anew, password and second factor are set again. Raises NotFound."""
    code = new_code()
    with _begin() as connection:
        row = _by_name(connection, user_name)
        if row is None:
            raise NotFound(f"没有用户名为{user_name}的平台运营人员。")
        values = {"code_hash": _hash(f"{row['id']}|{normalised(code)}"), "code_until": clock.now() + CODE_LIVES}
        connection.execute(update(_operators()).where(_operators().c.id == row["id"]).values(**values))
        _act(connection, None, "code_issued", details=user_name)
    return code


def settle(user_name: str, password: str, secret: str) -> None:
    """Give an operator of a demonstration password and second factor at once."""
    with _begin() as connection:
        row = _by_name(connection, user_name)
        if row is None:
            raise NotFound(f"没有用户名为{user_name}的平台运营人员。")
        values = {"password_hash": passwords.hashed(password), "state": "active", "second_factor_sealed": vault().seal_for_platform(_place(row["id"]), secret)}
        connection.execute(update(_operators()).where(_operators().c.id == row["id"]).values(**values))


def secret_of(user_name: str) -> str | None:
    """The second factor's secret of an operator, for a demonstration's list of accounts; None where there is none."""
    with db.engines["platform"].connect() as connection:
        row = _by_name(connection, user_name)
    return vault().unseal_for_platform(_place(row["id"]), row["second_factor_sealed"]) if row and row["second_factor_sealed"] else None


def by_password(user_name: str, password: str) -> tuple[UUID, bool]:
    """Who this is, and whether a one-time code was shown, which opens the change of password alone. Raises Invalid, one sentence for
    every cause, after one argon2 check whoever was named."""
    with db.engines["platform"].connect() as connection:
        row = _by_name(connection, user_name)
    right = passwords.matches(row["password_hash"] if row else None, password)
    if row and row["state"] == "active" and right:
        return row["id"], False
    if row and row["state"] != "closed" and _code_right(row, password):
        return row["id"], True
    raise Invalid(WRONG)


def set_password(operator: UUID, code: str, new: str) -> None:
    """Set the password by a one-time code, which is spent; the second factor is to be bound anew, every session ends. Raises Invalid."""
    passwords.check(new, staff=True)
    with _begin() as connection:
        row = connection.execute(select(_operators()).where(_operators().c.id == operator).with_for_update()).mappings().first()
        if row is None or not _code_right(row, code):
            raise Invalid("一次性代码不正确或已失效,请重新领取。", "code")
        values = {
            "password_hash": passwords.hashed(new), "state": "active", "code_hash": None, "code_until": None, "second_factor_sealed": None,
            "second_factor_counter": 0,
        }  # fmt: skip
        connection.execute(update(_operators()).where(_operators().c.id == operator).values(**values))
        connection.execute(update(_sessions()).where(_sessions().c.operator_id == operator, _sessions().c.ended_at.is_(None)).values(ended_at=clock.now()))
        _act(connection, operator, "password_set")


def begin_session(operator: UUID) -> str:
    """A new session, without its second factor yet; the token is kept as a hash alone."""
    token, now = secrets.token_urlsafe(32), clock.now()
    with _begin() as connection:
        connection.execute(insert(_sessions()).values(id=new_id(), operator_id=operator, token_hash=_hash(token), begun_at=now, seen_at=now, ends_at=now + ABSOLUTE))
        _act(connection, operator, "signed_in")
    return token


def session_of(token: str) -> SignedIn | None:
    """The live session of a token; it has been seen now."""
    now, sessions, operators = clock.now(), _sessions(), _operators()
    with _begin() as connection:
        row = connection.execute(
            select(sessions.c.id, sessions.c.second_factor_at, operators.c.id.label("operator"), operators.c.user_name, operators.c.name, operators.c.second_factor_sealed)
            .join(operators, operators.c.id == sessions.c.operator_id)
            .where(
                sessions.c.token_hash == _hash(token), sessions.c.ended_at.is_(None), sessions.c.ends_at > now, sessions.c.seen_at > now - IDLE,
                operators.c.state == "active",
            )
        ).mappings().first()  # fmt: skip
        if row is None:
            return None
        connection.execute(update(sessions).where(sessions.c.id == row["id"]).values(seen_at=now))
    return SignedIn(row["operator"], row["id"], row["user_name"], row["name"], row["second_factor_sealed"] is not None, row["second_factor_at"] is not None)


def end_session(session: UUID) -> None:
    """Sign out."""
    with _begin() as connection:
        connection.execute(update(_sessions()).where(_sessions().c.id == session).values(ended_at=clock.now()))


def confirm_second_factor(who: SignedIn, secret: str | None, code: str) -> None:
    """Check a code, each good once; with `secret`, bind it first where none is bound. Raises Invalid on the field code."""
    with _begin() as connection:
        row = connection.execute(select(_operators()).where(_operators().c.id == who.operator).with_for_update()).mappings().one()
        bound = row["second_factor_sealed"]
        known = vault().unseal_for_platform(_place(who.operator), bound) if bound else secret
        counter = matching_counter(known, code) if known else None
        if counter is None or counter <= row["second_factor_counter"]:
            raise Invalid("动态口令不正确或已用过,请等待下一个6位数字。", "code")
        values: dict[str, Any] = {"second_factor_counter": counter}
        if not bound:
            values["second_factor_sealed"] = vault().seal_for_platform(_place(who.operator), str(known))
        connection.execute(update(_operators()).where(_operators().c.id == who.operator).values(**values))
        connection.execute(update(_sessions()).where(_sessions().c.id == who.session).values(second_factor_at=clock.now()))
        _act(connection, who.operator, "second_factor")


def offer_second_factor() -> str:
    """A secret to bind."""
    return pyotp.random_base32()


def act(operator: UUID, verb: str, province: int | None = None, details: str | None = None) -> None:
    """Note what an operator did."""
    with _begin() as connection:
        _act(connection, operator, verb, province, details)


def acts(limit: int = 30) -> list[dict[str, Any]]:
    """The latest acts with who did them."""
    query = select(OperatorAct.__table__, Operator.__table__.c.name).join(Operator.__table__, Operator.__table__.c.id == OperatorAct.__table__.c.operator_id)
    with db.engines["platform"].connect() as connection:
        return [dict(row) for row in connection.execute(query.order_by(OperatorAct.__table__.c.id.desc()).limit(limit)).mappings()]


def _act(connection: Connection, operator: UUID | None, verb: str, province: int | None = None, details: str | None = None) -> None:
    connection.execute(insert(OperatorAct.__table__).values(id=new_id(), operator_id=operator, verb=verb, province=province, at=clock.now(), details=details))  # type: ignore[arg-type]


def _by_name(connection: Connection, user_name: str) -> Any:
    return connection.execute(select(_operators()).where(_operators().c.user_name == user_name.strip().lower())).mappings().first()


def _code_right(row: Any, typed: str) -> bool:
    until: datetime | None = row["code_until"]
    if until is None or until < clock.now():
        return False
    return hmac.compare_digest(bytes(row["code_hash"]), _hash(f"{row['id']}|{normalised(typed)}"))


def _begin() -> Any:
    return db.engines["platform"].begin()


def _operators() -> Table:
    return Operator.__table__  # type: ignore[return-value]


def _sessions() -> Table:
    return OperatorSession.__table__  # type: ignore[return-value]


def _place(operator: UUID) -> Place:
    return Place("operator", "second_factor", operator)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
