"""Operators, their sessions and acts: rows of the platform's own."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import PlatformModel, new_id, one_of


class Operator(PlatformModel):
    """Someone who runs the platform (平台运营); signs in at /platform with a second factor, never without."""

    __tablename__ = "operator"
    __table_args__ = (one_of("state", ("initial", "active", "closed")), UniqueConstraint("user_name"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_name: Mapped[str]
    name: Mapped[str]
    state: Mapped[str] = mapped_column(default="initial")
    password_hash: Mapped[str | None]
    code_hash: Mapped[bytes | None]
    code_until: Mapped[datetime | None]
    second_factor_sealed: Mapped[bytes | None]
    second_factor_counter: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)


class OperatorSession(PlatformModel):
    """A session of an operator, on the server's side."""

    __tablename__ = "operator_session"
    __table_args__ = (UniqueConstraint("token_hash"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    operator_id: Mapped[UUID] = mapped_column(ForeignKey("platform.operator.id"))
    token_hash: Mapped[bytes]
    begun_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)
    ends_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    second_factor_at: Mapped[datetime | None]


class OperatorAct(PlatformModel):
    """What an operator did: append-only."""

    __tablename__ = "operator_act"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    operator_id: Mapped[UUID | None]
    verb: Mapped[str]
    province: Mapped[int | None]
    at: Mapped[datetime] = mapped_column(default=now)
    details: Mapped[str | None]
