"""The tables of pass lines and publications, where one person proposes and another approves, and of the
committee's meetings."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.tenants.rls import OfTenant, TenantOwned

MEETING_STATES = {"draft": "草稿", "concluding": "正在评定", "held": "已评定"}
MEMBER_ROLES = {"chair": "主持人", "member": "委员", "secretary": "记录人"}
SAMPLE_RESULTS = {"sound": "核实无误", "doubtful": "有疑问，本次不评定"}
SECOND_PERSON_SQL = "approved_by is null or approved_by <> proposed_by"


class PassLine(TenantOwned, Model):
    """The pass line (分数线) of a cycle for a category and level, in tenths of a point (100 points are
    1,000). The score of every paper must reach it."""

    __tablename__ = "pass_line"
    __table_args__ = (
        Index(
            "pass_line_standing_ix", "tenant_id", "cycle_id", "category", "level", unique=True,
            postgresql_where=text("withdrawn_at is null"),
        ),
        check_in("category", tuple(CATEGORIES)),
        check_in("level", tuple(LEVELS)),
        CheckConstraint("line_tenths between 0 and 1000", name="line_sane"),
        CheckConstraint(SECOND_PERSON_SQL, name="two_persons"),
        tenant_foreign_key("cycle_id", "cycle"),
    )  # fmt: skip

    cycle_id: Mapped[UUID]
    category: Mapped[str]
    level: Mapped[str]
    line_tenths: Mapped[int]
    proposed_by: Mapped[UUID]
    proposed_at: Mapped[datetime] = mapped_column(default=now)
    approved_by: Mapped[UUID | None]
    approved_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]


class Publication(TenantOwned, Model):
    """A publication (发布) of results: a list of records, its digest, who proposed and who approved it.

    `gathered_at`: when the list was complete and got its digest; `published_at`: when the whole list became
    public at once; `settled_at`: when every record on it had its final state. `changed_at`: when a record on
    it first changed while the list waited for approval.
    """

    __tablename__ = "publication"
    __table_args__ = (
        CheckConstraint(SECOND_PERSON_SQL, name="two_persons"),
        CheckConstraint(
            "(gathered_at is null) = (digest is null)",
            name="gathered_is_sealed",
        ),
        CheckConstraint(
            "published_at is null or (approved_at is not null and withdrawn_at is null)",
            name="published_is_approved",
        ),
        CheckConstraint(
            "settled_at is null or published_at is not null",
            name="settled_is_published",
        ),
        Index(None, "tenant_id", "cycle_id", "id"),
        tenant_foreign_key("cycle_id", "cycle"),
    )

    cycle_id: Mapped[UUID]
    passed: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    digest: Mapped[bytes | None]
    proposed_by: Mapped[UUID]
    proposed_at: Mapped[datetime] = mapped_column(default=now)
    gathered_at: Mapped[datetime | None]
    changed_at: Mapped[datetime | None]
    approved_by: Mapped[UUID | None]
    approved_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]


class PublicationEntry(OfTenant, Model):
    """One record on the list of a publication, with its verdict there."""

    __tablename__ = "publication_entry"
    __table_args__ = (
        check_in("verdict", ("passed", "failed")),
        Index(None, "tenant_id", "assessment_id"),
        tenant_foreign_key("publication_id", "publication"),
        tenant_foreign_key("assessment_id", "assessment"),
    )

    publication_id: Mapped[UUID] = mapped_column(primary_key=True)
    assessment_id: Mapped[UUID] = mapped_column(primary_key=True)
    verdict: Mapped[str]


class GradingMeeting(TenantOwned, Model):
    """A meeting of an assessment organisation's committee (医师定期考核委员会) on 综合评定: a draft with its
    list, spot sample and those present, then concluded. `filled_at`: when the list was complete; `digest`:
    SHA-256 of the outcomes, which those present sign."""

    __tablename__ = "grading_meeting"
    __table_args__ = (
        Index(None, "tenant_id", "organisation_id", "cycle_id", "id"),
        check_in("state", tuple(MEETING_STATES)),
        CheckConstraint("(state = 'held') = (digest is not null)", name="held_is_sealed"),
        tenant_foreign_key("cycle_id", "cycle"),
        tenant_foreign_key("organisation_id", "organisation"),
    )

    cycle_id: Mapped[UUID]
    organisation_id: Mapped[UUID]
    held_on: Mapped[date]
    place: Mapped[str]
    notes: Mapped[str] = mapped_column(default="")
    state: Mapped[str] = mapped_column(default="draft")
    created_by: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime] = mapped_column(default=now)
    filled_at: Mapped[datetime | None]
    digest: Mapped[bytes | None]


class GradingMeetingEntry(OfTenant, Model):
    """A record on the list of a meeting. `sampled`: it was drawn for the spot check, with its result and a
    note; the verdicts and the `outcome` are those of the conclusion, NULL before it and for a record that was
    left out (`left_out_reason`)."""

    __tablename__ = "grading_meeting_entry"
    __table_args__ = (
        Index(
            "grading_meeting_entry_open_ix",
            "tenant_id",
            "assessment_id",
            unique=True,
            postgresql_where=text("outcome is null and left_out_reason is null"),
        ),
        Index(None, "tenant_id", "meeting_id", "outcome", "assessment_id"),
        check_in("sample_result", tuple(SAMPLE_RESULTS)),
        check_in("outcome", ("pass", "fail")),
        tenant_foreign_key("meeting_id", "grading_meeting", cascade=True),
        tenant_foreign_key("assessment_id", "assessment"),
    )

    meeting_id: Mapped[UUID] = mapped_column(primary_key=True)
    assessment_id: Mapped[UUID] = mapped_column(primary_key=True)
    sampled: Mapped[bool] = mapped_column(default=False)
    sample_result: Mapped[str | None]
    sample_note: Mapped[str | None]
    performance: Mapped[str | None]
    ethics: Mapped[str | None]
    competence: Mapped[str | None]
    outcome: Mapped[str | None]
    left_out_reason: Mapped[str | None]


class GradingMeetingMember(TenantOwned, Model):
    """Somebody present at a meeting, by name; with an account they sign in the system (`signed_at`), else on
    the printed minutes."""

    __tablename__ = "grading_meeting_member"
    __table_args__ = (
        Index(None, "tenant_id", "meeting_id", "id"),
        check_in("role", tuple(MEMBER_ROLES)),
        tenant_foreign_key("meeting_id", "grading_meeting", cascade=True),
        tenant_foreign_key("account_id", "account"),
    )

    meeting_id: Mapped[UUID]
    name: Mapped[str]
    role: Mapped[str]
    account_id: Mapped[UUID | None]
    signed_at: Mapped[datetime | None]
