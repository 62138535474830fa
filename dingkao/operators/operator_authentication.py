"""Operators signing in at /platform, always with password and second factor.

Each function is a transaction of its own on the platform's engine, which sees no province's rows.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput
from dingkao.operators import act_log
from dingkao.operators.operator_rows import (
    find_operator,
    operators_table,
    platform_transaction,
    secret_location,
    sessions_table,
    token_hash,
)
from dingkao.people import passwords
from dingkao.people.second_factor import matching_counter
from dingkao.people.sign_in_sessions import (
    ABSOLUTE_TIMEOUT,
    IDLE_TIMEOUT,
)
from dingkao.tenants.encryption import current_vault, normalise_text
from dingkao.tenants.rate_counters import increment

MAX_FAILURES_LOGGED, MAX_FAILURES_LOGGED_TOTAL = 3, 60
WRONG_CREDENTIALS_MESSAGE = "账号或密码不正确。首次登录请在密码处输入一次性代码。"
WRONG_CODE_MESSAGE = "用户名或一次性代码不正确，或代码已失效。请核对后重填，或重新领取。"


@dataclass(frozen=True)
class OperatorIdentity:
    """An operator's valid session. `is_second_factor_shown`: the second factor was verified in this
    session."""

    operator: UUID
    session: UUID
    user_name: str
    name: str
    has_second_factor: bool
    is_second_factor_shown: bool


def authenticate(user_name: str, password: str) -> tuple[UUID, bool]:
    """Returns the operator's id, and whether `password` was a one-time code, which only allows setting a
    password and isn't used up here. An old hash of the right password is renewed. The caller limits attempts
    (`attempt_index`) and starts the session. There is exactly one argon2 check for known and unknown names,
    so that the time tells nothing. Raises InvalidInput with the same sentence for every cause, Busy."""
    with db.engines["platform"].connect() as connection:
        operator = find_operator(connection, user_name)
    is_password = passwords.verify_password(operator["password_hash"] if operator else None, password)
    if operator is None:
        raise InvalidInput(WRONG_CREDENTIALS_MESSAGE)
    if operator["state"] == "active" and is_password:
        _rehash_password(operator, password)
        return operator["id"], False
    if operator["state"] != "closed" and _is_code_valid(operator, password):
        return operator["id"], True
    raise InvalidInput(WRONG_CREDENTIALS_MESSAGE)


def authenticate_by_code(user_name: str, code: str) -> UUID:
    """Returns the id of the operator whose one-time code it is; the code is not used up. The caller limits
    attempts (`attempt_index`). The password is not looked at, so that nothing here tells whether what was
    typed is the right one. Raises InvalidInput for the field `code` with the same sentence for every
    cause."""
    with db.engines["platform"].connect() as connection:
        operator = find_operator(connection, user_name)
    if operator is None or operator["state"] == "closed" or not _is_code_valid(operator, code):
        raise InvalidInput(WRONG_CODE_MESSAGE, "code")
    return operator["id"]


def _rehash_password(operator: Any, password: str) -> None:
    """Store the matching password with the present cost of hashing, if that has changed; a password that was
    set meanwhile stays. Raises Busy."""
    renewed = passwords.rehash_if_needed(operator["password_hash"], password)
    if not renewed:
        return
    with platform_transaction() as connection:
        operator_query = update(operators_table()).where(
            operators_table().c.id == operator["id"],
            operators_table().c.password_hash == operator["password_hash"],
        )
        connection.execute(operator_query.values(password_hash=renewed))


def set_password(operator: UUID, code: str, new: str) -> None:
    """Set the password of the operator with the id `operator` with a one-time code, which becomes invalid,
    and make the account active; all sessions end and the second factor has to be bound again. An act is
    written. Raises InvalidInput for the field `code` if it is not valid (any more), for `new_password` if
    that is too weak, Busy."""
    with platform_transaction() as connection:
        operator_row = (
            connection.execute(
                select(operators_table()).where(operators_table().c.id == operator).with_for_update()
            )
            .mappings()
            .first()
        )
        if operator_row is None or not _is_code_valid(operator_row, code):
            raise InvalidInput(WRONG_CODE_MESSAGE, "code")
        passwords.validate_new_password(
            new,
            staff=True,
            names=(operator_row["name"], operator_row["user_name"]),
        )
        values = {
            "password_hash": passwords.hash_password(new),
            "state": "active",
            "code_hash": None,
            "code_until": None,
            "second_factor_sealed": None,
            "second_factor_counter": 0,
        }
        connection.execute(
            update(operators_table()).where(operators_table().c.id == operator).values(**values)
        )
        connection.execute(
            update(sessions_table())
            .where(
                sessions_table().c.operator_id == operator,
                sessions_table().c.ended_at.is_(None),
            )
            .values(ended_at=clock.now())
        )
        act_log.write_act(connection, operator, "password_set")


def start_session(operator: UUID) -> str:
    """Start a session of the operator with the id `operator`, in which the second factor is still to be
    verified, note when the account was used, and write the act; returns its token, of which only a hash is
    stored. Earlier sessions go on."""
    token, now = secrets.token_urlsafe(32), clock.now()
    with platform_transaction() as connection:
        connection.execute(
            update(operators_table()).where(operators_table().c.id == operator).values(used_at=now)
        )
        connection.execute(
            insert(sessions_table()).values(
                id=new_id(),
                operator_id=operator,
                token_hash=token_hash(token),
                begun_at=now,
                seen_at=now,
                ends_at=now + ABSOLUTE_TIMEOUT,
            )
        )
        act_log.write_act(connection, operator, "signed_in")
    return token


def load_session(token: str) -> OperatorIdentity | None:
    """Returns the valid session of a token; None if it has ended, was idle too long or is too old, or the
    account isn't active; stores that it was used now."""
    now = clock.now()
    sessions = sessions_table()
    operators = operators_table()
    with platform_transaction() as connection:
        session = (
            connection.execute(
                select(
                    sessions.c.id,
                    sessions.c.second_factor_at,
                    operators.c.id.label("operator"),
                    operators.c.user_name,
                    operators.c.name,
                    operators.c.second_factor_sealed,
                )
                .join(
                    operators,
                    operators.c.id == sessions.c.operator_id,
                )
                .where(
                    sessions.c.token_hash == token_hash(token),
                    sessions.c.ended_at.is_(None),
                    sessions.c.ends_at > now,
                    sessions.c.seen_at > now - IDLE_TIMEOUT,
                    operators.c.state == "active",
                )
            )
            .mappings()
            .first()
        )
        if session is None:
            return None
        connection.execute(update(sessions).where(sessions.c.id == session["id"]).values(seen_at=now))
    return OperatorIdentity(
        session["operator"],
        session["id"],
        session["user_name"],
        session["name"],
        session["second_factor_sealed"] is not None,
        session["second_factor_at"] is not None,
    )


def end_session(session: UUID) -> None:
    """End a session, of which `session` is the id, at sign-out; no act is written."""
    with platform_transaction() as connection:
        connection.execute(
            update(sessions_table()).where(sessions_table().c.id == session).values(ended_at=clock.now())
        )


def attempt_index(user_name: str) -> bytes:
    """Returns the keyed hash under which attempts to sign in with a user name are counted."""
    return current_vault().platform_index("operator-name", user_name)


def confirm_second_factor(identity: OperatorIdentity, secret: str | None, code: str) -> str:
    """Verify a TOTP code, which is valid once; returns the session's new token (the old one is invalid). If
    the operator has no second factor yet, `secret` is verified and bound. An act is written. The caller
    limits attempts. Raises InvalidInput for the field `code`."""
    token = secrets.token_urlsafe(32)
    with platform_transaction() as connection:
        operator = (
            connection.execute(
                select(operators_table()).where(operators_table().c.id == identity.operator).with_for_update()
            )
            .mappings()
            .one()
        )
        bound_secret = operator["second_factor_sealed"]
        secret_in_use = _decrypt_secret(identity.operator, bound_secret) if bound_secret else secret
        counter = matching_counter(secret_in_use, code) if secret_in_use else None
        if counter is None or counter <= operator["second_factor_counter"]:
            raise InvalidInput(
                "动态口令不正确或已用过，请等待下一个6位数字。",
                "code",
            )
        values: dict[str, Any] = {"second_factor_counter": counter}
        if not bound_secret:
            values["second_factor_sealed"] = current_vault().encrypt_for_platform(
                secret_location(identity.operator), str(secret_in_use)
            )
        connection.execute(
            update(operators_table()).where(operators_table().c.id == identity.operator).values(**values)
        )
        renewed = {
            "second_factor_at": clock.now(),
            "token_hash": token_hash(token),
        }
        connection.execute(
            update(sessions_table()).where(sessions_table().c.id == identity.session).values(**renewed)
        )
        act_log.write_act(connection, identity.operator, "second_factor")
    return token


def _decrypt_secret(operator_id: UUID, sealed: bytes) -> str:
    """The TOTP secret of an operator, decrypted from `second_factor_sealed`."""
    return current_vault().decrypt_for_platform(secret_location(operator_id), sealed)


def log_failure(user_name: str, verb: str) -> None:
    """Write an act about a refused attempt with a user name: per minute at most MAX_FAILURES_LOGGED of a verb
    for it, and MAX_FAILURES_LOGGED_TOTAL in all. An unknown user name is not stored, because it may be a
    password typed in the wrong field."""
    if (
        increment(
            "attempts",
            verb,
            attempt_index(user_name).hex(),
            seconds=60,
            platform=True,
        )
        > MAX_FAILURES_LOGGED
    ):
        return
    if increment("attempts-of-all", seconds=60, platform=True) > MAX_FAILURES_LOGGED_TOTAL:
        return
    with platform_transaction() as connection:
        operator = find_operator(connection, user_name)
        act_log.write_act(connection, operator["id"] if operator else None, verb)


def _is_code_valid(row: Any, typed_code: str) -> bool:
    """Whether the typed code is the operator's unexpired one-time code."""
    valid_until: datetime | None = row["code_until"]
    if valid_until is None or valid_until < clock.now():
        return False
    return hmac.compare_digest(
        bytes(row["code_hash"]),
        token_hash(f"{row['id']}|{normalise_text(typed_code)}"),
    )
