"""The table of uploads: how much of each file has arrived. The chunks themselves are in the store,
encrypted."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.tenants.rls import TenantOwned


class Upload(TenantOwned, Model):
    """A file that an account is sending. `key` is chosen by the sender, so that a start sent twice starts one
    upload. `purpose` and `subject_id` say what the file is for. `size` and `received` are in bytes.
    `pieces_deleted`: its chunks are deleted from the store."""

    __tablename__ = "upload"
    __table_args__ = (
        UniqueConstraint("tenant_id", "account_id", "key"),
        Index(
            "upload_uncleared_ix",
            "tenant_id",
            "begun_at",
            postgresql_where=text("not pieces_deleted"),
        ),
        Index(None, "tenant_id", "begun_at"),
        check_in("state", ("open", "done", "cancelled")),
        tenant_foreign_key("account_id", "account"),
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
    pieces_deleted: Mapped[bool] = mapped_column(default=False)
    begun_at: Mapped[datetime] = mapped_column(default=now)
