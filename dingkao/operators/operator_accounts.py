"""Accounts of operators: created, closed and reopened on the command line, and closed if unused.

Each function commits on the platform's engine, which sees no province's rows; creating and reopening take two
transactions, of which the second issues the code.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, InvalidState
from dingkao.operators import act_log
from dingkao.operators.operator_rows import (
    find_operator,
    get_operator_for_update,
    operators_table,
    platform_transaction,
    secret_location,
    sessions_table,
    token_hash,
)
from dingkao.people import passwords
from dingkao.people.accounts import generate_code
from dingkao.tenants.encryption import current_vault, normalise_text

CODE_VALID_DAYS = 3
USER_NAME_PATTERN = re.compile("[a-z0-9-]{3,40}")
UNUSED_DAYS, WARNING_DAYS = 180, 14


@dataclass(frozen=True)
class OperatorListEntry:
    """An operator in the list. `closes_on`: when the account will be closed because it is unused; None if
    that is not within WARNING_DAYS."""

    user_name: str
    name: str
    state: str
    used_at: datetime | None
    closes_on: datetime | None


def create_operator(user_name: str, name: str) -> str:
    """Create an operator, unless one with this user name (its case ignored) exists that has not signed in
    yet, whose name stays; returns a new one-time code, which is shown once. Acts are written. Raises
    InvalidInput for a malformed user name or an active operator, InvalidState for a closed one."""
    user_name = user_name.strip().lower()
    with platform_transaction() as connection:
        operator = find_operator(connection, user_name)
        if operator is None:
            _require_valid_user_name(user_name)
            connection.execute(
                insert(operators_table()).values(
                    id=new_id(),
                    user_name=user_name,
                    name=name,
                    state="initial",
                    second_factor_counter=0,
                    created_at=clock.now(),
                )
            )
            act_log.write_act(connection, None, "operator_added", details=user_name)
        elif operator["state"] == "active":
            raise InvalidInput(
                f"{user_name}已经启用；忘记密码请用 dingkao operators code {user_name}。",
                "user_name",
            )
    return issue_code(user_name)


def _require_valid_user_name(user_name: str) -> None:
    """Raise InvalidInput unless a new operator may have `user_name`, which is in lower case."""
    if not USER_NAME_PATTERN.fullmatch(user_name):
        raise InvalidInput("用户名请用3至40位字母、数字或短横线。", "user_name")


def issue_code(user_name: str) -> str:
    """Issue a one-time code, with which password and second factor are set again; returns it. An act is
    written. An earlier code becomes invalid; password and sessions stay valid until it is used. Raises
    NotFound, InvalidState for a closed account."""
    code = generate_code()
    with platform_transaction() as connection:
        operator = get_operator_for_update(connection, user_name)
        if operator["state"] == "closed":
            raise InvalidState(f"{user_name}已停用；恢复请用 dingkao operators reopen {user_name}。")
        values = {
            "code_hash": token_hash(f"{operator['id']}|{normalise_text(code)}"),
            "code_until": clock.now() + timedelta(days=CODE_VALID_DAYS),
        }
        connection.execute(
            update(operators_table()).where(operators_table().c.id == operator["id"]).values(**values)
        )
        act_log.write_act(connection, None, "code_issued", details=user_name)
    return code


def close_operator(user_name: str) -> None:
    """Close an operator's account, end its sessions, invalidate its code and write the act; closing it again
    only writes another one. Raises NotFound."""
    with platform_transaction() as connection:
        _close_row(connection, get_operator_for_update(connection, user_name))


def reopen_operator(user_name: str) -> str:
    """Reopen a closed account without its old password and second factor; returns a one-time code, which is
    shown once. Acts are written. Raises NotFound, InvalidState if it is not closed."""
    with platform_transaction() as connection:
        operator = get_operator_for_update(connection, user_name)
        if operator["state"] != "closed":
            raise InvalidState(f"{user_name}没有停用；忘记密码请用 dingkao operators code {user_name}。")
        values = {
            "state": "initial",
            "password_hash": None,
            "second_factor_sealed": None,
            "second_factor_counter": 0,
        }
        connection.execute(
            update(operators_table()).where(operators_table().c.id == operator["id"]).values(**values)
        )
        act_log.write_act(
            connection,
            None,
            "operator_reopened",
            details=operator["user_name"],
        )
    return issue_code(user_name)


def list_operators() -> list[OperatorListEntry]:
    """Returns the operators by user name."""
    operators = operators_table()
    with db.engines["platform"].connect() as connection:
        operator_rows = connection.execute(select(operators).order_by(operators.c.user_name)).mappings().all()
    return [_list_entry(operator) for operator in operator_rows]


def _list_entry(operator: Any) -> OperatorListEntry:
    """Returns an operator's entry in the list, from a row."""
    due = (operator["used_at"] or operator["created_at"]) + timedelta(days=UNUSED_DAYS)
    is_soon = due < clock.now() + timedelta(days=WARNING_DAYS)
    return OperatorListEntry(
        operator["user_name"],
        operator["name"],
        operator["state"],
        operator["used_at"],
        due if operator["state"] == "active" and is_soon else None,
    )


def close_unused_operators() -> None:
    """The scheduled task that closes active accounts which were not used for UNUSED_DAYS, since their
    creation if never; nobody is warned. The command line can reopen them."""
    operators = operators_table()
    unused_since = clock.now() - timedelta(days=UNUSED_DAYS)
    last = func.coalesce(operators.c.used_at, operators.c.created_at)
    with platform_transaction() as connection:
        unused = select(operators).where(operators.c.state == "active", last < unused_since).with_for_update()
        for operator in connection.execute(unused).mappings().all():
            _close_row(connection, operator)


def set_demonstration_credentials(user_name: str, password: str, secret: str) -> None:
    """Set password and second factor (`secret`: its TOTP secret) of an operator in a demonstration, and make
    the account active; no act is written. Raises NotFound, Busy."""
    with platform_transaction() as connection:
        operator = get_operator_for_update(connection, user_name)
        values = {
            "password_hash": passwords.hash_password(password),
            "state": "active",
            "second_factor_sealed": current_vault().encrypt_for_platform(
                secret_location(operator["id"]), secret
            ),
        }
        connection.execute(
            update(operators_table()).where(operators_table().c.id == operator["id"]).values(**values)
        )


def second_factor_secret(user_name: str) -> str | None:
    """Returns an operator's TOTP secret, for a demonstration's list of accounts; None if there is none."""
    with db.engines["platform"].connect() as connection:
        operator = find_operator(connection, user_name)
    return (
        current_vault().decrypt_for_platform(
            secret_location(operator["id"]),
            operator["second_factor_sealed"],
        )
        if operator and operator["second_factor_sealed"]
        else None
    )


def _close_row(connection: Connection, row: Any) -> None:
    """Close the account of a locked row, end its sessions, and write the act."""
    values = {
        "state": "closed",
        "code_hash": None,
        "code_until": None,
    }
    connection.execute(update(operators_table()).where(operators_table().c.id == row["id"]).values(**values))
    alive = (
        sessions_table().c.operator_id == row["id"],
        sessions_table().c.ended_at.is_(None),
    )
    connection.execute(update(sessions_table()).where(*alive).values(ended_at=clock.now()))
    act_log.write_act(connection, None, "operator_closed", details=row["user_name"])
