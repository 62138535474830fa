"""What is noticed during sittings: integrity events and cases, outages, and added time."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.tenants.rls import TenantOwned

INTEGRITY_EVENTS = {
    "left": "离开作答页面",
    "offline": "网络中断",
    "reopened": "重新打开作答页面",
    "device": "更换设备继续作答",
}


CASE_STATES = {
    "hearing": "听取陈述",
    "proposed": "待确认",
    "dismissed": "不予处理",
    "voided": "已作废",
}


CASE_OUTCOMES = {
    "resit": "作废本次作答，准予重考",
    "absent": "作废本次作答，按缺考处理",
    "none": "不予处理",
}


class IntegrityEvent(TenantOwned, Model):
    """Something noticed during a sitting: its kind, when it began by the server's clock, and how many seconds
    it lasted. People judge it; the system draws no conclusion."""

    __tablename__ = "integrity_event"
    __table_args__ = (
        UniqueConstraint("tenant_id", "sitting_id", "kind", "began_at"),
        check_in("kind", tuple(INTEGRITY_EVENTS)),
        tenant_foreign_key("sitting_id", "sitting"),
    )

    sitting_id: Mapped[UUID]
    kind: Mapped[str]
    began_at: Mapped[datetime]
    seconds: Mapped[int] = mapped_column(default=0)


class IntegrityCase(TenantOwned, Model):
    """An integrity case about a sitting (诚信核查): opened with a reason, the doctor heard until
    `heard_until`, an outcome proposed by one person and decided by another."""

    __tablename__ = "integrity_case"
    __table_args__ = (
        Index(
            "integrity_case_open_ix",
            "tenant_id",
            "sitting_id",
            unique=True,
            postgresql_where=text("state in ('hearing', 'proposed')"),
        ),
        Index(None, "tenant_id", "assessment_id"),
        Index(None, "tenant_id", "state", "id"),
        check_in("state", tuple(CASE_STATES)),
        check_in("outcome", tuple(CASE_OUTCOMES)),
        CheckConstraint(
            "decided_by is null or decided_by <> proposed_by",
            name="two_persons",
        ),
        tenant_foreign_key("sitting_id", "sitting"),
        tenant_foreign_key("assessment_id", "assessment"),
    )

    sitting_id: Mapped[UUID]
    assessment_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(default="hearing")
    reason: Mapped[str]
    opened_by: Mapped[UUID]
    opened_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime] = mapped_column(default=now)
    heard_until: Mapped[datetime]
    statement: Mapped[str | None]
    stated_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    opinion: Mapped[str | None]
    proposed_by: Mapped[UUID | None]
    proposed_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None]
    decided_at: Mapped[datetime | None]
    decision_opinion: Mapped[str | None]
    resit_until: Mapped[datetime | None]

    def allows_resit(self, moment: datetime) -> bool:
        """Whether the decision lets the doctor sit the paper again at `moment`, even if that was done by
        now."""
        is_granted = self.state == "voided" and self.outcome == "resit"
        return is_granted and self.resit_until is not None and self.resit_until > moment


class Outage(TenantOwned, Model):
    """A time in which doctors could not reach the servers during sittings (服务中断): found by the system,
    for the whole province (`organisation_id` is None), or registered by an assessment organisation, for its
    own records."""

    __tablename__ = "outage"
    __table_args__ = (
        Index(None, "tenant_id", "ended_at"),
        CheckConstraint("began_at < ended_at", name="in_order"),
        CheckConstraint(
            "(organisation_id is null) = (registered_by is null)",
            name="registered_by_an_organisation",
        ),
        tenant_foreign_key("organisation_id", "organisation"),
    )

    organisation_id: Mapped[UUID | None]
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    registered_by: Mapped[UUID | None]
    registered_at: Mapped[datetime] = mapped_column(default=now)


class AddedTime(TenantOwned, Model):
    """Minutes added to a sitting for a failure that was not the doctor's (补时), with who added them and why.
    `reopened`: the sitting had been closed at its end. `outage_id`: the outage for which all affected
    sittings got time, each once; None if it was given to this sitting alone."""

    __tablename__ = "added_time"
    __table_args__ = (
        Index(None, "tenant_id", "sitting_id"),
        Index(
            "added_time_of_outage_ix",
            "tenant_id",
            "outage_id",
            "sitting_id",
            unique=True,
            postgresql_where=text("outage_id is not null"),
        ),
        CheckConstraint("minutes between 1 and 120", name="minutes_sane"),
        tenant_foreign_key("sitting_id", "sitting"),
        tenant_foreign_key("outage_id", "outage"),
    )

    sitting_id: Mapped[UUID]
    minutes: Mapped[int]
    reason: Mapped[str]
    added_by: Mapped[UUID]
    added_at: Mapped[datetime] = mapped_column(default=now)
    reopened: Mapped[bool] = mapped_column(default=False)
    outage_id: Mapped[UUID | None]


class ExamAnnouncement(TenantOwned, Model):
    """What those on duty tell doctors who sit: all of an assessment organisation, those of one hall or one
    slot, or the doctor of one sitting. Their answering pages show it until they put it away, or it is taken
    back."""

    __tablename__ = "exam_announcement"
    __table_args__ = (
        Index(None, "tenant_id", "organisation_id", "announced_at"),
        CheckConstraint("num_nonnulls(hall_id, slot_id, sitting_id) <= 1", name="one_place"),
        tenant_foreign_key("organisation_id", "organisation"),
        tenant_foreign_key("hall_id", "hall"),
        tenant_foreign_key("slot_id", "slot"),
        tenant_foreign_key("sitting_id", "sitting"),
    )

    organisation_id: Mapped[UUID]
    hall_id: Mapped[UUID | None]
    slot_id: Mapped[UUID | None]
    sitting_id: Mapped[UUID | None]
    text: Mapped[str]
    announced_by: Mapped[UUID]
    announced_at: Mapped[datetime] = mapped_column(default=now)
    withdrawn_at: Mapped[datetime | None]
