"""The record: one doctor, one cycle, one round (考核记录). Its state changes only by the moves in `moves.py`."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, inside, one_of
from dingkao.tenants.rls import TenantOwned

STATES = {
    "not_included": "未纳入", "included": "待填报", "draft": "填报中", "institution_pending": "待机构审核", "institution_returned": "机构退回",
    "organisation_pending": "待考核机构复核", "organisation_returned": "考核机构退回", "ready": "待测评", "deferred": "已延考备案", "testing": "测评中",
    "scored": "已交卷待划线", "absent": "缺考", "grading": "待综合评定", "confirming": "待发布", "passed": "合格", "failed": "不合格",
}  # fmt: skip
ROUNDS = {"first": "首考", "makeup": "补考", "reassessment": "再次考核", "early": "提前考核"}
PARTS = {"performance": "工作成绩", "ethics": "职业道德", "competence": "业务水平"}
VERDICTS = {"pass": "合格", "fail": "不合格"}
PROCEDURES = {"general": "一般程序", "simple": "简易程序"}
FINAL = ("passed", "failed")
REMINDED = ("included", "draft", "institution_returned", "ready", "testing")


class Assessment(TenantOwned, Model):
    """The state of one doctor in one cycle and round, and the three verdicts, which stay apart: 工作成绩, 职业道德, 业务水平.

    The institution and its assessment organisation are those of the day of inclusion. A reviewer who opens the record holds a lease on it.
    `exempted`: 业务水平 counts as 合格 without a test (免考).
    """

    __tablename__ = "assessment"
    __table_args__ = (
        UniqueConstraint("tenant_id", "cycle_id", "doctor_id", "round"),
        Index(None, "tenant_id", "institution_id", "cycle_id", "state", "id"),
        Index(None, "tenant_id", "assessor_id", "cycle_id", "state", "id"),
        Index(None, "tenant_id", "cycle_id", "state", "id"),
        Index(None, "tenant_id", "doctor_id"),
        one_of("state", tuple(STATES)),
        one_of("round", tuple(ROUNDS)),
        one_of("procedure", tuple(PROCEDURES)),
        one_of("performance", tuple(VERDICTS)),
        one_of("ethics", tuple(VERDICTS)),
        one_of("competence", tuple(VERDICTS)),
        CheckConstraint("state not in ('passed', 'failed') or (performance is not null and ethics is not null)", name="final_is_graded"),
        inside("doctor_id", "doctor"),
        inside("cycle_id", "cycle"),
        inside("institution_id", "organisation"),
        inside("assessor_id", "organisation"),
    )

    doctor_id: Mapped[UUID]
    cycle_id: Mapped[UUID]
    round: Mapped[str] = mapped_column(default="first")
    institution_id: Mapped[UUID]
    assessor_id: Mapped[UUID | None]
    state: Mapped[str] = mapped_column(default="not_included")
    changed_at: Mapped[datetime] = mapped_column(default=now)
    submitted_at: Mapped[datetime | None]
    procedure: Mapped[str | None]
    performance: Mapped[str | None]
    ethics: Mapped[str | None]
    competence: Mapped[str | None]
    opinion: Mapped[str | None]
    returned_reason: Mapped[str | None]
    returned_marks: Mapped[dict[str, Any] | None]
    leased_by: Mapped[UUID | None]
    leased_until: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    graded_by: Mapped[UUID | None]
    accepted_by: Mapped[UUID | None]
    exempted: Mapped[bool] = mapped_column(default=False)


class Reminding(TenantOwned, Model):
    """A round of reminders: the doctors of one state, told so many days before a last day. Where it has got to stands in the row, so it
    goes on where it stopped and tells nobody twice; a deadline that was moved begins rounds of its own."""

    __tablename__ = "reminding"
    __table_args__ = (
        UniqueConstraint("tenant_id", "cycle_id", "state", "last_day", "days"),
        one_of("state", REMINDED),
        inside("cycle_id", "cycle"),
    )

    cycle_id: Mapped[UUID]
    state: Mapped[str]
    last_day: Mapped[date]
    days: Mapped[int]
    reached: Mapped[UUID | None]
    told: Mapped[int] = mapped_column(default=0)
    begun_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]
