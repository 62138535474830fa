"""Practice runs, mock exams, and a doctor's practice history."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.doctors.code_lists import CATEGORIES
from dingkao.exams.scoring import X_RULES
from dingkao.question_banks.models import SUBJECTS
from dingkao.tenants import settings
from dingkao.tenants.rls import OfTenant, TenantOwned

PRACTICE_BANKS = {
    **{f"professional:{code}": f"业务水平 · {name}" for code, name in CATEGORIES.items()},
    "common": SUBJECTS["common"],
}
"""Code of a practice bank → its name."""


PRACTICE_SOURCES = {
    "bank": "题库",
    "wrong": "错题",
    "starred": "标注的题",
}


class PracticeRun(TenantOwned, Model):
    """A practice run (练习) of up to fifty questions. `layout`: the ids of their versions; `answers`:
    position (from 0) → the letters answered first. `bank`: the bank it was started from; None for a run over
    the list of wrong or starred questions."""

    __tablename__ = "practice_run"
    __table_args__ = (
        Index(None, "tenant_id", "assessment_id", "id"),
        check_in("source", tuple(PRACTICE_SOURCES)),
        check_in("bank", tuple(PRACTICE_BANKS)),
        CheckConstraint(
            "(source = 'bank') = (bank is not null)",
            name="bank_is_named",
        ),
        tenant_foreign_key("assessment_id", "assessment"),
    )

    assessment_id: Mapped[UUID]
    source: Mapped[str] = mapped_column(default="bank")
    bank: Mapped[str | None]
    layout: Mapped[list[Any]]
    answers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    begun_at: Mapped[datetime] = mapped_column(default=now)


class MockExam(TenantOwned, Model):
    """A mock exam (模拟考试) of one subject from the practice share: for its doctor like a sitting, but it
    doesn't count. `layout` and `x_rule`: as in a Sitting; `points`: type → tenths of a point; `answers`:
    position → [letters, sequence number]; `score_tenths`: tenths of a point of 100."""

    __tablename__ = "mock_exam"
    __table_args__ = (
        Index(None, "tenant_id", "assessment_id", "id"),
        check_in("subject", tuple(SUBJECTS)),
        check_in("x_rule", tuple(X_RULES)),
        CheckConstraint(
            "(handed_in_at is null) = (score_tenths is null)",
            name="handed_in_is_marked",
        ),
        tenant_foreign_key("assessment_id", "assessment"),
    )

    assessment_id: Mapped[UUID]
    subject: Mapped[str]
    title: Mapped[str]
    layout: Mapped[list[Any]]
    points: Mapped[dict[str, Any]]
    x_rule: Mapped[str] = mapped_column(default=lambda: settings.value("x_rule"))
    answers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    opened_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    handed_in_at: Mapped[datetime | None]
    score_tenths: Mapped[int | None]


class PractisedQuestion(OfTenant, Model):
    """What a doctor did with a question in practice, over all runs, mock exams and cycles: when it was
    answered last, whether it is on the list of wrong answers (错题), and since when it has a star (标注)."""

    __tablename__ = "practised_question"
    __table_args__ = (
        tenant_foreign_key("doctor_id", "doctor"),
        tenant_foreign_key("question_id", "question"),
    )

    doctor_id: Mapped[UUID] = mapped_column(primary_key=True)
    question_id: Mapped[UUID] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime | None]
    is_wrong: Mapped[bool] = mapped_column(default=False)
    starred_at: Mapped[datetime | None]


class PracticeWeek(OfTenant, Model):
    """How many questions of a bank a doctor answered in a week (given by its Monday in Beijing), and how many
    of them rightly."""

    __tablename__ = "practice_week"
    __table_args__ = (
        check_in("bank", tuple(PRACTICE_BANKS)),
        tenant_foreign_key("doctor_id", "doctor"),
    )

    doctor_id: Mapped[UUID] = mapped_column(primary_key=True)
    monday: Mapped[date] = mapped_column(primary_key=True)
    bank: Mapped[str] = mapped_column(primary_key=True)
    answered: Mapped[int]
    answered_right: Mapped[int]
