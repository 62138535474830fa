"""Banks of questions with their versioned questions and pictures; the platform's shared banks."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import (
    Model,
    PlatformModel,
    check_in,
    new_id,
    tenant_foreign_key,
)
from dingkao.doctors.code_lists import CATEGORIES
from dingkao.question_banks.question_types import QUESTION_TYPES
from dingkao.tenants.rls import TenantOwned

SUBJECTS = {"common": "公共知识", "professional": "业务水平"}


DIFFICULTIES = {"easy": "易", "medium": "中", "hard": "难"}


QUESTION_PURPOSES = {"exam": "考试", "practice": "练习"}


VERSION_STATES = {
    "pending": "待审",
    "approved": "已审",
    "returned": "已退回",
}


class QuestionBank(TenantOwned, Model):
    """A bank of questions (题库). A copy of a shared bank names that bank and the edition that it has."""

    __tablename__ = "question_bank"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    name: Mapped[str]
    shared_bank_id: Mapped[UUID | None]
    shared_edition: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class QuestionGroup(TenantOwned, Model):
    """What questions of A3, A4 (`stem`: a case, 共用题干) or B1 (a list of options) share; a group is drawn
    as a whole. `label`: its 组号 in the file it came from; `digest`: see `group_digest`."""

    __tablename__ = "question_group"
    __table_args__ = (
        UniqueConstraint("tenant_id", "bank_id", "digest"),
        tenant_foreign_key("bank_id", "question_bank"),
    )

    bank_id: Mapped[UUID]
    label: Mapped[str | None]
    stem: Mapped[str]
    digest: Mapped[bytes]


class Question(TenantOwned, Model):
    """A question (试题): its subject, category, topic, difficulty and purpose. Its texts are in versions:
    `current_version` is the one drawn, `proposed_version` one that waits for a second person.

    `digest`: of case, stem and options, by which the same question is recognised in files; `likeness`: the
    same without what varies from copy to copy (see `similarity`). A question with `retired_at` is out of use:
    retired by somebody, or never approved yet (no `approved_at`). `exposures`: how many sittings drew it, as
    far as counted.
    """

    __tablename__ = "question"
    __table_args__ = (
        UniqueConstraint("tenant_id", "bank_id", "digest"),
        Index(
            None,
            "tenant_id",
            "subject",
            "category",
            "purpose",
            "kind",
        ),
        Index(None, "tenant_id", "likeness"),
        Index(None, "tenant_id", "group_id"),
        CheckConstraint(
            "approved_at is not null or retired_at is not null",
            name="unapproved_is_out_of_use",
        ),
        check_in("subject", tuple(SUBJECTS)),
        check_in("category", tuple(CATEGORIES)),
        check_in("kind", tuple(QUESTION_TYPES)),
        check_in("difficulty", tuple(DIFFICULTIES)),
        check_in("purpose", tuple(QUESTION_PURPOSES)),
        tenant_foreign_key("bank_id", "question_bank"),
        tenant_foreign_key("group_id", "question_group"),
    )

    bank_id: Mapped[UUID]
    group_id: Mapped[UUID | None]
    group_position: Mapped[int] = mapped_column(default=0)
    subject: Mapped[str]
    category: Mapped[str | None]
    topic: Mapped[str | None]
    kind: Mapped[str]
    difficulty: Mapped[str] = mapped_column(default="medium")
    purpose: Mapped[str] = mapped_column(default="exam")
    digest: Mapped[bytes]
    likeness: Mapped[bytes | None]
    current_version: Mapped[UUID]
    proposed_version: Mapped[UUID | None]
    approved_at: Mapped[datetime | None] = mapped_column(default=now)
    retired_at: Mapped[datetime | None]
    exposures: Mapped[int] = mapped_column(default=0)


class QuestionVersion(TenantOwned, Model):
    """The texts of a question at one time: stem, `options` as [[letter, text], …], `answer` (letters in
    order), explanation. `about`: the values that approving it gives to the question's own columns; {} for a
    version that needs no approval. Author and approver are two persons."""

    __tablename__ = "question_version"
    __table_args__ = (
        UniqueConstraint("tenant_id", "question_id", "number"),
        Index(
            "question_version_pending_ix",
            "tenant_id",
            "id",
            postgresql_where=text("state = 'pending'"),
        ),
        check_in("state", tuple(VERSION_STATES)),
        CheckConstraint(
            "decided_by is null or made_by is null or decided_by <> made_by",
            name="two_persons",
        ),
        tenant_foreign_key("question_id", "question"),
    )

    question_id: Mapped[UUID]
    number: Mapped[int]
    kind: Mapped[str]
    case_stem: Mapped[str | None]
    stem: Mapped[str]
    options: Mapped[list[Any]] = mapped_column(JSONB)
    answer: Mapped[str]
    explanation: Mapped[str | None]
    about: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(default="approved")
    made_at: Mapped[datetime] = mapped_column(default=now)
    made_by: Mapped[UUID | None]
    decided_by: Mapped[UUID | None]
    opinion: Mapped[str | None]
    changed_at: Mapped[datetime] = mapped_column(default=now)


class QuestionPicture(TenantOwned, Model):
    """A picture that questions show; their texts name it by the beginning of `digest`, the SHA-256 of the
    stored file."""

    __tablename__ = "question_picture"
    __table_args__ = (UniqueConstraint("tenant_id", "digest"),)

    digest: Mapped[bytes]
    content_type: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    size: Mapped[int]
    made_by: Mapped[UUID | None]
    made_at: Mapped[datetime] = mapped_column(default=now)


class SharedBank(PlatformModel):
    """A bank of the platform (全国共享题库), which every province may read and copy. `edition` rises with
    each import."""

    __tablename__ = "shared_bank"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    edition: Mapped[int] = mapped_column(default=0)
    published_at: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(default=now)


class SharedQuestion(PlatformModel):
    """A question of a shared bank in one row. `cells`: column name → what a spreadsheet's row would say;
    `edition`: the edition that changed it last."""

    __tablename__ = "shared_question"
    __table_args__ = (
        UniqueConstraint("bank_id", "digest"), Index(None, "bank_id", "position"), ForeignKeyConstraint(["bank_id"], ["platform.shared_bank.id"]),
    )  # fmt: skip

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    bank_id: Mapped[UUID]
    position: Mapped[int]
    digest: Mapped[bytes]
    cells: Mapped[dict[str, Any]]
    edition: Mapped[int]
    withdrawn: Mapped[bool] = mapped_column(default=False)
