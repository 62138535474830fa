"""The base of every model and the one `db`. Ids are UUIDv7 made here, because PostgreSQL 15 has no function for them."""

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

NAMING = {
    "pk": "%(table_name)s_pk",
    "fk": "%(table_name)s_%(column_0_N_name)s_fk",
    "uq": "%(table_name)s_%(column_0_N_name)s_uq",
    "ix": "%(table_name)s_%(column_0_N_name)s_ix",
    "ck": "%(table_name)s_%(constraint_name)s_ck",
}
TYPES: dict[Any, Any] = {
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
Big = BigInteger


class Model(DeclarativeBase):
    """A row of a province, or of national data that provinces read."""

    registry = registry(metadata=MetaData(naming_convention=NAMING), type_annotation_map=TYPES)


class PlatformModel(DeclarativeBase):
    """A row of the platform's own: provinces and operators, no personal data of doctors; reached by the platform's engine alone."""

    registry = registry(
        metadata=MetaData(naming_convention=NAMING, schema="platform", info={"bind_key": "platform"}), type_annotation_map=TYPES
    )


db = SQLAlchemy(metadata=Model.metadata, session_options={"expire_on_commit": False})


def new_id() -> UUID:
    """A fresh UUIDv7: unguessable enough for an address, ordered in time for the index."""
    return uuid_utils.compat.uuid7()


def one_of(column: str, codes: list[str] | tuple[str, ...]) -> CheckConstraint:
    """A CHECK that `column` holds one of `codes`: states and codes are text, never enum (an enum's = keeps indexes shut under RLS)."""
    return CheckConstraint(f"{column} in ({', '.join(repr(code) for code in codes)})", name=f"{column}_known")


def inside(column: str, table: str, *, cascade: bool = False) -> ForeignKeyConstraint:
    """A composite foreign key to `table` in the same province: a row can't point into another."""
    return ForeignKeyConstraint(
        ["tenant_id", column], [f"{table}.tenant_id", f"{table}.id"], ondelete="CASCADE" if cascade else None
    )
