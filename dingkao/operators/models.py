"""The platform's tables of operators, their sessions and acts."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import PlatformModel, check_in, new_id


class Operator(PlatformModel):
    """A person who runs the platform (平台运营) and signs in at /platform, always with a second factor."""

    __tablename__ = "operator"
    __table_args__ = (
        check_in("state", ("initial", "active", "closed")),
        UniqueConstraint("user_name"),
    )

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
    used_at: Mapped[datetime | None]


class OperatorSession(PlatformModel):
    """The stored part of an operator's session; `token_hash` identifies its cookie."""

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
    """An operator's act or a refused attempt, with address and device. Append-only. `seal`: MAC of the act
    and of `previous`, the seal of the act before it (`act_log`); both are None for acts from before the chain
    was introduced."""

    __tablename__ = "operator_act"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    operator_id: Mapped[UUID | None]
    verb: Mapped[str]
    province: Mapped[int | None]
    at: Mapped[datetime] = mapped_column(default=now)
    details: Mapped[str | None]
    address: Mapped[str | None]
    device: Mapped[str | None]
    previous: Mapped[bytes | None]
    seal: Mapped[bytes | None]


class ActVerification(PlatformModel):
    """The result of a verification of the acts. `checked`: number of acts, of them `uncovered` not listed in
    the store yet; `number`: the last batch there; `found` (JSON): number of `faults`, and the first of them
    as `entries` and `files`. Append-only."""

    __tablename__ = "act_verification"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[datetime] = mapped_column(default=now)
    checked: Mapped[int]
    uncovered: Mapped[int]
    number: Mapped[int]
    found: Mapped[str]


class KeyCanary(PlatformModel):
    """A known word encrypted with the data key `number` of the installation."""

    __tablename__ = "key_canary"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sealed: Mapped[bytes]
    made_at: Mapped[datetime] = mapped_column(default=now)
