"""What a doctor files for a cycle (填报信息): five steps, kept as filed; the numbers in it sealed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, inside, one_of
from dingkao.tenants.rls import TenantOwned


class Filing(TenantOwned, Model):
    """The dossier of a doctor in a cycle. `revision` rises with each save: a page that shows an older one may not overwrite.
    `pens` names, by field, the page that wrote it last by itself: that page isn't told of its own writing as of another's."""

    __tablename__ = "filing"
    __table_args__ = (UniqueConstraint("tenant_id", "doctor_id", "cycle_id"), inside("doctor_id", "doctor"), inside("cycle_id", "cycle"))

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
    pens: Mapped[dict[str, Any]] = mapped_column(default=dict)
    saved_at: Mapped[datetime] = mapped_column(default=now)


DOCUMENT_KINDS = {"photo": "照片", "proof": "证明材料"}


class Document(TenantOwned, Model):
    """A file the doctor handed in (照片、证明材料), checked and re-encoded; the file itself is in the store under the row's id. `hints`:
    what the checks of a photo remarked, by the codes of `outside.pictures.HINTS`. `entry_id`: the entry of a list that a proof belongs to."""

    __tablename__ = "document"
    __table_args__ = (
        Index(None, "tenant_id", "doctor_id", "id"),
        one_of("kind", tuple(DOCUMENT_KINDS)),
        CheckConstraint("entry_id is null or kind = 'proof'", name="entry_of_proof"),
        inside("doctor_id", "doctor"),
        inside("cycle_id", "cycle"),
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
    """That a doctor has read the user notice (用户告知书) of a cycle, in the version that stood then [S5]."""

    __tablename__ = "notice_reading"
    __table_args__ = (
        UniqueConstraint("tenant_id", "doctor_id", "cycle_id", "digest"),
        inside("doctor_id", "doctor"),
        inside("cycle_id", "cycle"),
    )

    doctor_id: Mapped[UUID]
    cycle_id: Mapped[UUID]
    digest: Mapped[bytes]
    read_at: Mapped[datetime] = mapped_column(default=now)
