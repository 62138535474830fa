"""Organisations, accounts, roles, codes and sessions of a province."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from dingkao.clock import now
from dingkao.database.base import KEY_TEXT, Model, check_in, tenant_foreign_key
from dingkao.people.notice_catalogue import NOTICE_KINDS
from dingkao.people.permissions import ROLE_LABELS
from dingkao.tenants.rls import OfTenant, TenantOwned

DISPLAY_MODES = {"standard": "标准模式", "senior": "长辈模式"}
ACCOUNT_STATES = {
    "initial": "未启用",
    "active": "已启用",
    "closed": "已停用",
}
DELIVERY_STATES = ("none", "waiting", "sending", "sent", "failed")
APPOINTMENT_KINDS = ("role", "code", "mobile")
PROPOSED_ACT_KINDS = {
    "seal": "更换公章",
    "revocation": "撤销结果通知书",
    "sms_account": "更改短信账号",
    "wechat_account": "更改微信公众号",
}
EXPORT_FORMATS = {"xlsx": "Excel（xlsx）", "csv": "csv"}
NOTICE_TARGETS = (
    "filing",
    "practice",
    "sitting",
    "result",
    "requests",
    "cases",
)


class Organisation(TenantOwned, Model):
    """An institution (医疗、预防、保健机构) or an assessment organisation (考核机构; `assesses`), or both.
    `division`: code of the administrative division, six digits; `health_authority`: the name of the
    管辖行政. One that is closed has no doctors and staff any more; what it had goes to `successor_id`, if it
    was merged (`organisation_mergers`)."""

    __tablename__ = "organisation"
    __table_args__ = (
        UniqueConstraint("tenant_id", "registration_number"),
        Index(None, "tenant_id", "name", "id"),
        Index(None, "tenant_id", "assessment_organisation_id"),
        Index(None, "tenant_id", "division", "name", "id"),
        Index(
            "organisation_successor_ix",
            "tenant_id",
            "successor_id",
            postgresql_where=text("successor_id is not null"),
        ),
        CheckConstraint(
            "successor_id is null or (closed_at is not null and successor_id <> id)",
            name="successor_of_closed",
        ),
        Index("organisation_assessor_ix", "tenant_id", "name", "id", postgresql_where=text("assesses")),
        tenant_foreign_key("assessment_organisation_id", "organisation"),
        tenant_foreign_key("successor_id", "organisation"),
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
    closed_at: Mapped[datetime | None]
    successor_id: Mapped[UUID | None]


class OrganisationFormerName(TenantOwned, Model):
    """A name that an organisation had until `used_until`, or that another one had, which was merged into it
    (`predecessor_id`). It is found by it, too."""

    __tablename__ = "organisation_former_name"
    __table_args__ = (
        Index(None, "tenant_id", "organisation_id", "id"),
        tenant_foreign_key("organisation_id", "organisation"),
        tenant_foreign_key("predecessor_id", "organisation"),
    )

    organisation_id: Mapped[UUID]
    name: Mapped[str]
    used_until: Mapped[datetime] = mapped_column(default=now)
    predecessor_id: Mapped[UUID | None]


class OrganisationSearchKey(OfTenant, Model):
    """A key by which an organisation is found: a name that it has or had, or the end of one, by whose
    beginning it is found (`organisation_search`). Written wherever a name is."""

    __tablename__ = "organisation_search_key"
    __table_args__ = (
        Index(None, "tenant_id", "organisation_id"),
        tenant_foreign_key("organisation_id", "organisation"),
    )

    key: Mapped[str] = mapped_column(KEY_TEXT, primary_key=True)
    organisation_id: Mapped[UUID] = mapped_column(primary_key=True)


class Account(TenantOwned, Model):
    """Somebody who can sign in: a doctor with the document number, staff with a user name; `login_index` is
    the keyed hash of it.
    In the state «initial» there is no password: until `initial_until` the province's initial credential opens
    only the page that sets one. «…_sealed» is encrypted, «…_index» a keyed hash."""

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("tenant_id", "login_index"),
        UniqueConstraint("tenant_id", "wechat_index"),
        UniqueConstraint("tenant_id", "mobile_index"),
        check_in("kind", ("doctor", "staff")),
        check_in("state", tuple(ACCOUNT_STATES)),
        check_in("display", tuple(DISPLAY_MODES)),
        Index(
            "account_staff_ix",
            "tenant_id",
            "id",
            postgresql_where=text("kind = 'staff'"),
        ),
        Index(
            "account_initial_doctor_ix",
            "tenant_id",
            "id",
            postgresql_where=text("kind = 'doctor' and state = 'initial'"),
        ),
        Index(
            "account_closed_ix",
            "tenant_id",
            "id",
            postgresql_where=text("state = 'closed'"),
        ),
        Index(
            "account_staff_name_ix",
            "tenant_id",
            "name",
            "id",
            postgresql_where=text("kind = 'staff'"),
        ),
        Index(
            "account_staff_state_ix",
            "tenant_id",
            "state",
            "name",
            "id",
            postgresql_where=text("kind = 'staff'"),
        ),
        Index(
            "account_staff_used_ix",
            "tenant_id",
            "used_at",
            postgresql_where=text("kind = 'staff'"),
        ),
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
    mobile_index: Mapped[bytes | None]
    wechat_sealed: Mapped[bytes | None]
    wechat_index: Mapped[bytes | None]
    wechat_bound_at: Mapped[datetime | None]
    second_factor_sealed: Mapped[bytes | None]
    second_factor_counter: Mapped[int] = mapped_column(default=0)
    display: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    unused_warned_at: Mapped[datetime | None]

    @property
    def is_unopened(self) -> bool:
        """Whether the account was never opened with a password, or must be opened again."""
        return self.state == "initial"

    @property
    def is_closed(self) -> bool:
        """Whether the account is closed, so that nobody can sign in with it."""
        return self.state == "closed"


class Membership(TenantOwned, Model):
    """A role of an account: at an organisation, or in the province's own office if `organisation_id` is None.
    `department_id`: the organisation's department, for a role that reaches no more than that."""

    __tablename__ = "membership"
    __table_args__ = (
        Index(
            "membership_role_ix",
            "tenant_id",
            "account_id",
            "organisation_id",
            "role",
            unique=True,
            postgresql_where=text("department_id is null"),
        ),
        Index(
            "membership_department_ix",
            "tenant_id",
            "department_id",
            "account_id",
            "role",
            unique=True,
            postgresql_where=text("department_id is not null"),
        ),
        check_in("role", tuple(ROLE_LABELS)),
        Index(None, "tenant_id", "account_id"),
        Index(None, "tenant_id", "organisation_id", "role"),
        Index(None, "tenant_id", "role", "account_id"),
        tenant_foreign_key("account_id", "account"),
        tenant_foreign_key("organisation_id", "organisation"),
        tenant_foreign_key("department_id", "department"),
    )

    account_id: Mapped[UUID]
    organisation_id: Mapped[UUID | None]
    department_id: Mapped[UUID | None]
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Appointment(TenantOwned, Model):
    """A member of staff (`by_account_id`) has given another account access: by a role, a one-time code or a
    mobile number."""

    __tablename__ = "appointment"
    __table_args__ = (
        Index(None, "tenant_id", "account_id", "at"),
        Index(None, "tenant_id", "by_account_id", "at"),
        check_in("kind", APPOINTMENT_KINDS),
        tenant_foreign_key("account_id", "account"),
        tenant_foreign_key("by_account_id", "account"),
    )

    account_id: Mapped[UUID]
    by_account_id: Mapped[UUID]
    kind: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=now)


class ProposedAct(TenantOwned, Model):
    """An act that takes two administrators (`proposed_acts`): proposed with a reason, then approved by
    another one, or withdrawn, by the proposer or, as a rejection, by another one. `subject_id`: the
    certificate it concerns, else the province. `value`: the proposed value, either the id of an official
    seal's picture or the encrypted account of a channel."""

    __tablename__ = "proposed_act"
    __table_args__ = (
        Index(
            "proposed_act_waits_ix",
            "tenant_id",
            "kind",
            "subject_id",
            unique=True,
            postgresql_where=text("approved_at is null and withdrawn_at is null"),
        ),
        check_in("kind", tuple(PROPOSED_ACT_KINDS)),
        CheckConstraint(
            "approved_by is null or approved_by <> proposed_by",
            name="two_persons",
        ),
        CheckConstraint(
            "approved_at is null or withdrawn_at is null",
            name="approved_or_withdrawn",
        ),
    )

    kind: Mapped[str]
    subject_id: Mapped[UUID]
    value: Mapped[str | None]
    reason: Mapped[str]
    proposed_by: Mapped[UUID]
    proposed_at: Mapped[datetime] = mapped_column(default=now)
    approved_by: Mapped[UUID | None]
    approved_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]


class ExportRequest(TenantOwned, Model):
    """A list of people asked for as a file (`export_requests`): `list_code` names the list, `view` is its
    address's query, `title` what it is called, `people` how many it had, counted up to a limit.
    `organisation_id`: the organisation whose list it is; None for a list of the province or of several.
    One that `needs_approval` waits until a second person approves it, or is withdrawn. `job_id`: the job that
    builds the file."""

    __tablename__ = "export_request"
    __table_args__ = (
        Index(None, "tenant_id", "asked_by", "id"),
        Index(
            "export_request_waits_ix",
            "tenant_id",
            "id",
            postgresql_where=text("needs_approval and approved_at is null and withdrawn_at is null"),
        ),
        check_in("file_format", tuple(EXPORT_FORMATS)),
        CheckConstraint("approved_by is null or approved_by <> asked_by", name="two_persons"),
        CheckConstraint("approved_at is null or withdrawn_at is null", name="approved_or_withdrawn"),
        tenant_foreign_key("asked_by", "account"),
    )

    list_code: Mapped[str]
    view: Mapped[str]
    title: Mapped[str]
    file_format: Mapped[str]
    is_unmasked: Mapped[bool]
    reason: Mapped[str]
    people: Mapped[int]
    organisation_id: Mapped[UUID | None]
    asked_by: Mapped[UUID]
    asked_at: Mapped[datetime] = mapped_column(default=now)
    needs_approval: Mapped[bool]
    approved_by: Mapped[UUID | None]
    approved_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    job_id: Mapped[UUID | None]

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for a second person."""
        return self.needs_approval and self.approved_at is None and self.withdrawn_at is None


class OneTimeCode(TenantOwned, Model):
    """A one-time code (一次性代码), handed over on paper or by voice, valid once for one account until
    `expires_at`. While it `awaits_approval` by a second person, its hash is empty, so that it can't be used;
    `asked_by` is who requested it."""

    __tablename__ = "one_time_code"
    __table_args__ = (
        Index(None, "tenant_id", "account_id", "issued_at"),
        Index(
            "one_time_code_awaits_approval_ix",
            "tenant_id",
            "issued_at",
            postgresql_where=text("awaits_approval"),
        ),
        tenant_foreign_key("account_id", "account"),
    )

    account_id: Mapped[UUID]
    code_hash: Mapped[bytes]
    issued_at: Mapped[datetime] = mapped_column(default=now)
    issued_by: Mapped[UUID | None]
    asked_by: Mapped[UUID | None]
    awaits_approval: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    reason: Mapped[str | None]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SetupLink(TenantOwned, Model):
    """A link sent to an administrator's mobile number, by which password and second factor are set; valid
    once, until `expires_at`. `token_hash`: SHA-256 of the token in the link; `ended_at`: when it was used or
    replaced."""

    __tablename__ = "setup_link"
    __table_args__ = (
        UniqueConstraint("tenant_id", "token_hash"),
        Index(None, "tenant_id", "account_id", "sent_at"),
        tenant_foreign_key("account_id", "account"),
    )

    account_id: Mapped[UUID]
    token_hash: Mapped[bytes]
    sent_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class SignInSession(TenantOwned, Model):
    """A session on the server: the cookie has a token, this row its hash. Ending the row ends the session,
    even if a browser still has the cookie."""

    __tablename__ = "sign_in_session"
    __table_args__ = (
        UniqueConstraint("tenant_id", "token_hash"),
        Index(None, "tenant_id", "account_id", "ended_at"),
        tenant_foreign_key("account_id", "account"),
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
    """A message to one account (消息), written together with the transition that caused it; its wording is
    never changed.
    `kind`: a code of `notice_catalogue`; `subject_id`: the assessment it concerns, if any; `target`: the page
    where the recipient acts on it, if there is one; `delivery_state`: whether it is announced by SMS or
    WeChat, and how far that is; `office_notice_id`: the notice of an office to many doctors that this one is
    a copy of, if any."""

    __tablename__ = "notice"
    __table_args__ = (
        Index(None, "tenant_id", "account_id", "id"),
        Index(
            "notice_delivery_state_ix",
            "tenant_id",
            "account_id",
            "delivery_state",
            postgresql_where=text("delivery_state in ('waiting', 'sending')"),
        ),
        Index(
            "notice_office_notice_ix",
            "tenant_id",
            "office_notice_id",
            postgresql_where=text("office_notice_id is not null"),
        ),
        check_in("target", NOTICE_TARGETS),
        check_in("delivery_state", DELIVERY_STATES),
        tenant_foreign_key("account_id", "account"),
    )

    account_id: Mapped[UUID]
    kind: Mapped[str]
    subject_id: Mapped[UUID | None]
    title: Mapped[str]
    body: Mapped[str]
    target: Mapped[str | None]
    written_at: Mapped[datetime] = mapped_column(default=now)
    read_at: Mapped[datetime | None]
    delivery_state: Mapped[str] = mapped_column(default="none", server_default="none")
    claimed_at: Mapped[datetime | None]
    sms_at: Mapped[datetime | None]
    wechat_at: Mapped[datetime | None]
    office_notice_id: Mapped[UUID | None]

    @validates("kind")
    def _registered(self, _name: str, code: str) -> str:
        """Raise ValueError for a kind that isn't in the catalogue."""
        if code not in NOTICE_KINDS:
            raise ValueError(f"{code} is not a notice kind of the catalogue")
        return code


class SavedView(TenantOwned, Model):
    """A view of a list (`listing.ListState.address`) under a name that its owner chose. `is_shared`: for the
    colleagues at `organisation_id` too, or for those of the province's office where that is NULL."""

    __tablename__ = "saved_view"
    __table_args__ = (
        UniqueConstraint("tenant_id", "account_id", "list_name", "name"),
        Index(
            "saved_view_shared_ix",
            "tenant_id",
            "list_name",
            "organisation_id",
            postgresql_where=text("is_shared"),
        ),
        tenant_foreign_key("account_id", "account"),
        tenant_foreign_key("organisation_id", "organisation"),
    )

    account_id: Mapped[UUID]
    list_name: Mapped[str]
    name: Mapped[str]
    address: Mapped[str]
    is_shared: Mapped[bool] = mapped_column(default=False)
    organisation_id: Mapped[UUID | None]
    saved_at: Mapped[datetime] = mapped_column(default=now)
