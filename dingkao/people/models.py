"""Organisations, accounts, roles, codes and sessions of a province."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, inside, one_of
from dingkao.tenants.rls import TenantOwned

ROLES = {
    "institution_clerk": "机构经办人",
    "institution_reviewer": "机构审核人",
    "organisation_clerk": "考核机构经办人",
    "organisation_reviewer": "考核机构复核人",
    "province_admin": "省级管理员",
    "question_editor": "题库编辑",
    "auditor": "审计员",
}
DISPLAYS = {"standard": "标准模式", "senior": "长辈模式"}
ACCOUNT_STATES = {"initial": "未启用", "active": "已启用", "closed": "已停用"}
OUTWARD = ("none", "waiting", "sending", "sent", "failed")
PROVINCE_ROLES = ("province_admin", "question_editor", "auditor")
LEADS = ("filing", "practice", "sitting", "result", "requests", "cases")


class Organisation(TenantOwned, Model):
    """An institution (医疗、预防、保健机构) or an assessment organisation (考核机构), or both at once."""

    __tablename__ = "organisation"
    __table_args__ = (
        UniqueConstraint("tenant_id", "registration_number"),
        Index(None, "tenant_id", "name"),
        Index(None, "tenant_id", "assessment_organisation_id"),
        inside("assessment_organisation_id", "organisation"),
    )

    name: Mapped[str]
    registration_number: Mapped[str]
    division: Mapped[str]
    category: Mapped[str]
    health_authority: Mapped[str]
    assesses: Mapped[bool] = mapped_column(default=False)
    assessment_organisation_id: Mapped[UUID | None]
    contact: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Account(TenantOwned, Model):
    """Someone who can sign in: a doctor by ID number, staff by user name. `login_index` is the keyed hash of either.

    While `state` is «initial» there is no password: the province's initial credential opens the change page and nothing else,
    until `initial_until`.
    """

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("tenant_id", "login_index"),
        UniqueConstraint("tenant_id", "wechat_index"),
        one_of("kind", ("doctor", "staff")),
        one_of("state", tuple(ACCOUNT_STATES)),
        one_of("display", tuple(DISPLAYS)),
    )

    kind: Mapped[str]
    login_index: Mapped[bytes]
    user_name: Mapped[str | None]
    name: Mapped[str]
    state: Mapped[str] = mapped_column(default="initial")
    initial_until: Mapped[datetime]
    password_hash: Mapped[str | None]
    mobile_sealed: Mapped[bytes | None]
    mobile_bound_at: Mapped[datetime | None]
    wechat_sealed: Mapped[bytes | None]
    wechat_index: Mapped[bytes | None]
    wechat_bound_at: Mapped[datetime | None]
    second_factor_sealed: Mapped[bytes | None]
    second_factor_counter: Mapped[int] = mapped_column(default=0)
    display: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Membership(TenantOwned, Model):
    """A role of an account: at an organisation, or in the province's own office where there is none."""

    __tablename__ = "membership"
    __table_args__ = (
        UniqueConstraint("tenant_id", "account_id", "organisation_id", "role"),
        one_of("role", tuple(ROLES)),
        Index(None, "tenant_id", "organisation_id"),
        inside("account_id", "account"),
        inside("organisation_id", "organisation"),
    )

    account_id: Mapped[UUID]
    organisation_id: Mapped[UUID | None]
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class OneTimeCode(TenantOwned, Model):
    """A code handed over on paper or by voice (一次性代码), good once for one account until it expires."""

    __tablename__ = "one_time_code"
    __table_args__ = (Index(None, "tenant_id", "account_id", "issued_at"), inside("account_id", "account"))

    account_id: Mapped[UUID]
    code_hash: Mapped[bytes]
    issued_at: Mapped[datetime] = mapped_column(default=now)
    issued_by: Mapped[UUID | None]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SignInSession(TenantOwned, Model):
    """A session on the server's side: the cookie holds a token, this row its hash; ended by the row, not by the cookie."""

    __tablename__ = "sign_in_session"
    __table_args__ = (
        UniqueConstraint("tenant_id", "token_hash"),
        Index(None, "tenant_id", "account_id", "ended_at"),
        inside("account_id", "account"),
    )

    account_id: Mapped[UUID]
    token_hash: Mapped[bytes]
    begun_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)
    ends_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    second_factor_at: Mapped[datetime | None]
    device: Mapped[str] = mapped_column(default="", server_default="")


class Notice(TenantOwned, Model):
    """A message to one account (消息), written by `notifying` with the move that caused it. `leads` names where one acts on it, where one can;
    `outward`: whether word of it goes out by short message or WeChat, and how far that is."""

    __tablename__ = "notice"
    __table_args__ = (
        Index(None, "tenant_id", "account_id", "id"),
        Index("notice_outward_ix", "tenant_id", "account_id", "outward", postgresql_where=text("outward in ('waiting', 'sending')")),
        one_of("leads", LEADS),
        one_of("outward", OUTWARD),
        inside("account_id", "account"),
    )

    account_id: Mapped[UUID]
    title: Mapped[str]
    body: Mapped[str]
    leads: Mapped[str | None]
    written_at: Mapped[datetime] = mapped_column(default=now)
    read_at: Mapped[datetime | None]
    outward: Mapped[str] = mapped_column(default="none", server_default="none")
    claimed_at: Mapped[datetime | None]
    sms_at: Mapped[datetime | None]
    wechat_at: Mapped[datetime | None]
