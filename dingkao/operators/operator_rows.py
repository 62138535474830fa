"""The platform's tables of operators and their sessions, and the transactions that use them."""

import hashlib
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, select

from dingkao.database.base import db
from dingkao.errors import NotFound
from dingkao.operators.models import Operator, OperatorSession
from dingkao.tenants.encryption import SecretLocation


def find_operator(connection: Connection, user_name: str) -> Any:
    """Returns the row of that user name, in upper or lower case, or None."""
    return (
        connection.execute(
            select(operators_table()).where(operators_table().c.user_name == user_name.strip().lower())
        )
        .mappings()
        .first()
    )


def get_operator_for_update(connection: Connection, user_name: str) -> Any:
    """Returns the row of that user name, in upper or lower case, locked. Raises NotFound."""
    query = (
        select(operators_table())
        .where(operators_table().c.user_name == user_name.strip().lower())
        .with_for_update()
    )
    operator = connection.execute(query).mappings().first()
    if operator is None:
        raise NotFound(f"没有用户名为{user_name}的平台运营人员。")
    return operator


def platform_transaction() -> Any:
    """Returns a context manager: a transaction on the platform's tables, which commits at its end, and is
    rolled back if the block raises. Its value is the connection."""
    return db.engines["platform"].begin()


def operators_table() -> Table:
    """The table of operators, for statements without a session of SQLAlchemy."""
    return Operator.__table__  # type: ignore[return-value]


def sessions_table() -> Table:
    """The table of operators' sessions, for statements without a session of SQLAlchemy."""
    return OperatorSession.__table__  # type: ignore[return-value]


def secret_location(operator: UUID) -> SecretLocation:
    """Returns the location of an operator's second factor, to which its encryption is bound."""
    return SecretLocation("operator", "second_factor", operator)


def token_hash(text: str) -> bytes:
    """Returns the stored hash of a session's token or a one-time code. SHA-256 is enough, because both are
    random."""
    return hashlib.sha256(text.encode()).digest()
