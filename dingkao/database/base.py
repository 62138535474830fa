"""The base classes of all models, and the one `db`. Ids are UUIDv7 made in Python, because PostgreSQL 15 has
no function for them."""

import re
from datetime import date, datetime
from typing import Any
from uuid import UUID

import uuid_utils.compat
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, registry

NAMING_CONVENTION = {
    "pk": "%(table_name)s_pk",
    "fk": "%(table_name)s_%(column_0_N_name)s_fk",
    "uq": "%(table_name)s_%(column_0_N_name)s_uq",
    "ix": "%(table_name)s_%(column_0_N_name)s_ix",
    "ck": "%(table_name)s_%(constraint_name)s_ck",
}
COLUMN_TYPES: dict[Any, Any] = {
    str: Text,
    int: Integer,
    bool: Boolean,
    bytes: LargeBinary,
    date: Date,
    datetime: DateTime(timezone=True),
    UUID: Uuid,
    dict[str, Any]: JSONB,
    list[Any]: JSONB,
}
BigIntegerType = BigInteger
KEY_TEXT = Text(collation="C")
"""The type of keys that are searched by their beginnings: compared by code points, whatever the database's
own order is, so that all texts with one beginning stand together."""
UNSTORABLE_PATTERN = re.compile(r"[\x00\ud800-\udfff]")
"""The characters that PostgreSQL stores in no text: NUL and lone surrogates."""


class Model(DeclarativeBase):
    """A row of a province, or of national data that provinces read."""

    registry = registry(
        metadata=MetaData(naming_convention=NAMING_CONVENTION),
        type_annotation_map=COLUMN_TYPES,
    )


class PlatformModel(DeclarativeBase):
    """A row of the platform: provinces and operators, no personal data of doctors; accessible to the
    platform's engine alone."""

    registry = registry(
        metadata=MetaData(
            naming_convention=NAMING_CONVENTION,
            schema="platform",
            info={"bind_key": "platform"},
        ),
        type_annotation_map=COLUMN_TYPES,
    )


db = SQLAlchemy(
    metadata=Model.metadata,
    session_options={"expire_on_commit": False},
)


def new_id() -> UUID:
    """Returns a new UUIDv7: hard to guess, and ordered by time, which suits indexes."""
    return uuid_utils.compat.uuid7()


def check_in(column: str, codes: list[str] | tuple[str, ...]) -> CheckConstraint:
    """Returns a CHECK that `column` holds one of `codes`. States and codes are text, not enum: PostgreSQL
    can't use an index for comparing an enum under row-level security."""
    return CheckConstraint(
        f"{column} in ({', '.join(repr(code) for code in codes)})",
        name=f"{column}_known",
    )


def tenant_foreign_key(column: str, table: str, *, cascade: bool = False) -> ForeignKeyConstraint:
    """Returns a foreign key to `table` that includes the province, so that a row can't refer to another
    province's. `cascade`: deleting that row deletes this one."""
    return ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{table}.tenant_id", f"{table}.id"],
        ondelete="CASCADE" if cascade else None,
    )
