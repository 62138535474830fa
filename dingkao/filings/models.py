"""The tables of filings (填报信息): five steps, stored as typed; certificate numbers are encrypted."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.assessments.models import VERDICTS
from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.tenants.rls import TenantOwned


class Filing(TenantOwned, Model):
    """What a doctor filed in a cycle. `revision` rises with each save: a page that shows an older revision
    must not overwrite a newer one. `client_ids`: «step.field» → page that wrote it last by autosave, so that
    a page is not warned of its own changes. `assistance`: what was filled in on the doctor's behalf and how
    the doctor confirmed it (`assistance_marks`), NULL if nothing was; `assisted_at`: when that began."""

    __tablename__ = "filing"
    __table_args__ = (
        Index(
            "filing_assisted_ix",
            "tenant_id",
            "assisted_at",
            "id",
            postgresql_where=text("assisted_at is not null"),
        ),
        UniqueConstraint("tenant_id", "doctor_id", "cycle_id"),
        tenant_foreign_key("doctor_id", "doctor"),
        tenant_foreign_key("cycle_id", "cycle"),
    )

    doctor_id: Mapped[UUID]
    cycle_id: Mapped[UUID]
    revision: Mapped[int] = mapped_column(default=0)
    basic: Mapped[dict[str, Any]] = mapped_column(default=dict)
    practice: Mapped[dict[str, Any]] = mapped_column(default=dict)
    experience: Mapped[dict[str, Any]] = mapped_column(default=dict)
    performance: Mapped[dict[str, Any]] = mapped_column(default=dict)
    procedure: Mapped[dict[str, Any]] = mapped_column(default=dict)
    qualification_sealed: Mapped[bytes | None]
    practice_sealed: Mapped[bytes | None]
    photo_id: Mapped[UUID | None]
    client_ids: Mapped[dict[str, Any]] = mapped_column(default=dict)
    saved_at: Mapped[datetime] = mapped_column(default=now)
    assistance: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    assisted_at: Mapped[datetime | None]


DOCUMENT_KINDS = {"photo": "照片", "proof": "证明材料", "signature": "本人签字件"}


class Document(TenantOwned, Model):
    """A file of a filing (照片, 证明材料; 本人签字件 of what was filled in on the doctor's behalf), checked
    and re-encoded; the file itself is in the store under the row's id. `hints`: codes of `images.HINTS` from
    the checks of a photo. `entry_id`: the entry that a proof belongs to. `size` is in bytes."""

    __tablename__ = "document"
    __table_args__ = (
        Index(None, "tenant_id", "doctor_id", "id"),
        check_in("kind", tuple(DOCUMENT_KINDS)),
        CheckConstraint(
            "entry_id is null or kind = 'proof'",
            name="entry_of_proof",
        ),
        tenant_foreign_key("doctor_id", "doctor"),
        tenant_foreign_key("cycle_id", "cycle"),
    )

    doctor_id: Mapped[UUID]
    cycle_id: Mapped[UUID]
    kind: Mapped[str]
    name: Mapped[str]
    content_type: Mapped[str]
    size: Mapped[int]
    hints: Mapped[list[Any] | None]
    entry_id: Mapped[UUID | None]
    uploaded_at: Mapped[datetime] = mapped_column(default=now)


class NoticeReading(TenantOwned, Model):
    """A doctor has confirmed the user notice (用户告知书) of a cycle, in the version with this digest
    [S5]."""

    __tablename__ = "notice_reading"
    __table_args__ = (
        UniqueConstraint("tenant_id", "doctor_id", "cycle_id", "digest"),
        tenant_foreign_key("doctor_id", "doctor"),
        tenant_foreign_key("cycle_id", "cycle"),
    )

    doctor_id: Mapped[UUID]
    cycle_id: Mapped[UUID]
    digest: Mapped[bytes]
    read_at: Mapped[datetime] = mapped_column(default=now)


REVIEW_SIDES = {"institution": "机构审核", "organisation": "考核机构复核"}


class ReviewSnapshot(TenantOwned, Model):
    """What a side saw of a filing when it last decided on the record (`review_changes`): JSON, encrypted."""

    __tablename__ = "review_snapshot"
    __table_args__ = (
        UniqueConstraint("tenant_id", "assessment_id", "side"),
        check_in("side", tuple(REVIEW_SIDES)),
        tenant_foreign_key("assessment_id", "assessment"),
    )

    assessment_id: Mapped[UUID]
    side: Mapped[str]
    content_sealed: Mapped[bytes]
    taken_by: Mapped[UUID | None]
    taken_at: Mapped[datetime] = mapped_column(default=now)


class ReviewPhrase(TenantOwned, Model):
    """A ready-made phrase of reviewers (常用语): of the person `account_id`, or of all who review at the
    organisation if that is None."""

    __tablename__ = "review_phrase"
    __table_args__ = (
        Index(None, "tenant_id", "account_id"),
        Index(None, "tenant_id", "organisation_id"),
        tenant_foreign_key("organisation_id", "organisation"),
        tenant_foreign_key("account_id", "account"),
    )

    organisation_id: Mapped[UUID]
    account_id: Mapped[UUID | None]
    text: Mapped[str]
    written_at: Mapped[datetime] = mapped_column(default=now)


BATCH_ACTIONS = ("decide", "recall")
BATCH_ITEM_STATES = {"waiting": "待办理", "done": "已办理", "left_out": "未办理"}


class ReviewBatch(TenantOwned, Model):
    """Records that a reviewer decides, or recalls, at once (`action`). `recalled_batch_id`: the batch whose
    records are recalled; `job_id`: the job that does it, NULL for a small batch."""

    __tablename__ = "review_batch"
    __table_args__ = (
        Index(None, "tenant_id", "asked_by", "cycle_id", "side", "id"),
        check_in("side", tuple(REVIEW_SIDES)),
        check_in("action", BATCH_ACTIONS),
        tenant_foreign_key("cycle_id", "cycle"),
        tenant_foreign_key("recalled_batch_id", "review_batch"),
    )

    cycle_id: Mapped[UUID]
    side: Mapped[str]
    action: Mapped[str]
    reason: Mapped[str | None]
    recalled_batch_id: Mapped[UUID | None]
    job_id: Mapped[UUID | None]
    asked_by: Mapped[UUID | None]
    asked_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]


class ReviewBatchItem(TenantOwned, Model):
    """A record of a batch, and what came of it. `reason`: why it was left out."""

    __tablename__ = "review_batch_item"
    __table_args__ = (
        UniqueConstraint("tenant_id", "batch_id", "assessment_id"),
        Index(None, "tenant_id", "batch_id", "state", "assessment_id"),
        check_in("state", tuple(BATCH_ITEM_STATES)),
        tenant_foreign_key("batch_id", "review_batch"),
        tenant_foreign_key("assessment_id", "assessment"),
    )

    batch_id: Mapped[UUID]
    assessment_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(default="waiting")
    reason: Mapped[str | None]


class GradingDraft(TenantOwned, Model):
    """The verdicts on work and ethics that somebody at the institution has drafted for a record (草拟), with
    a remark. They decide nothing: the institution's reviewer does, who sees them beside the record."""

    __tablename__ = "grading_draft"
    __table_args__ = (
        UniqueConstraint("tenant_id", "assessment_id"),
        check_in("performance", tuple(VERDICTS)),
        check_in("ethics", tuple(VERDICTS)),
        tenant_foreign_key("assessment_id", "assessment"),
    )

    assessment_id: Mapped[UUID]
    performance: Mapped[str]
    ethics: Mapped[str]
    remark: Mapped[str | None]
    drafted_by: Mapped[UUID | None]
    drafted_at: Mapped[datetime] = mapped_column(default=now)
