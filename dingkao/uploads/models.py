"""A file on its way in: how much of it is here; the pieces themselves lie sealed in the store."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, inside, one_of
from dingkao.tenants.rls import TenantOwned


class Upload(TenantOwned, Model):
    """A file that an account is sending. `key` is the sender's own name for it, so that a beginning told twice begins once; `purpose` and
    `subject_id` say what it is for; `cleared` that its pieces are gone from the store."""

    __tablename__ = "upload"
    __table_args__ = (
        UniqueConstraint("tenant_id", "account_id", "key"),
        Index("upload_uncleared_ix", "tenant_id", "begun_at", postgresql_where=text("not cleared")),
        Index(None, "tenant_id", "begun_at"),
        one_of("state", ("open", "done", "cancelled")),
        inside("account_id", "account"),
    )

    account_id: Mapped[UUID]
    key: Mapped[UUID]
    purpose: Mapped[str]
    subject_id: Mapped[UUID | None]
    name: Mapped[str]
    size: Mapped[int]
    received: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(default="open")
    document_id: Mapped[UUID | None]
    cleared: Mapped[bool] = mapped_column(default=False)
    begun_at: Mapped[datetime] = mapped_column(default=now)
