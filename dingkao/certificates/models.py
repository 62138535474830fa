"""The table of certificates."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.tenants.rls import TenantOwned

CERTIFICATE_STATES = {"issued": "有效", "revoked": "已撤销", "replaced": "已替换"}


class Certificate(TenantOwned, Model):
    """A certificate (考核结果通知书). `content_sealed`: what it prints, as encrypted JSON; `holder_masked`:
    the name as the public page shows it. From `drawn_at` on, the files are in the store under the
    certificate's id, encrypted."""

    __tablename__ = "certificate"
    __table_args__ = (
        UniqueConstraint("tenant_id", "serial"),
        Index(
            "certificate_standing_ix",
            "tenant_id",
            "assessment_id",
            unique=True,
            postgresql_where=text("state = 'issued'"),
        ),
        Index(None, "tenant_id", "assessment_id"),
        Index(None, "tenant_id", "state", "id"),
        check_in("state", tuple(CERTIFICATE_STATES)),
        tenant_foreign_key("assessment_id", "assessment"),
    )

    assessment_id: Mapped[UUID]
    serial: Mapped[str]
    content_sealed: Mapped[bytes]
    holder_masked: Mapped[str]
    cycle_label: Mapped[str]
    issued_on: Mapped[date]
    state: Mapped[str] = mapped_column(default="issued")
    state_reason: Mapped[str | None]
    issued_at: Mapped[datetime] = mapped_column(default=now)
    drawn_at: Mapped[datetime | None]
    downloaded_at: Mapped[datetime | None]

    @property
    def is_valid(self) -> bool:
        """Whether it is in force: neither revoked nor replaced."""
        return self.state == "issued"
