"""The tables of requests and of the files submitted with them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in, tenant_foreign_key
from dingkao.tenants.rls import TenantOwned

REQUEST_KINDS = {
    "exemption": "免考",
    "deferral": "延考",
    "change": "信息修改",
    "correction": "信息更正",
    "appeal": "复核",
}
REQUEST_STATES = {
    "draft": "未提交",
    "first_pending": "待审核",
    "second_pending": "待复审",
    "granted": "已通过",
    "refused": "未通过",
    "withdrawn": "已撤回",
}
OPEN_STATES = ("draft", "first_pending", "second_pending")
SIDES = {
    "institution": "主要执业机构",
    "organisation": "所属考核机构",
    "province": "省级卫生健康行政部门",
    "another": "第二位经办人",
}
FILE_KINDS = {"proof": "证明材料", "photo": "照片"}


class Request(TenantOwned, Model):
    """A request (申请) of a doctor about one record. `first_side` decides, then `second_side` unless it is
    None; the two decisions are by two persons (domain.md §11, §12). `content_sealed`: encrypted JSON of the
    items of a change or correction; `proposed`: verdicts that an appeal's first decision proposes, part →
    verdict. A record has at most one open request of each kind."""

    __tablename__ = "request"
    __table_args__ = (
        Index("request_open_ix", "tenant_id", "assessment_id", "kind", unique=True, postgresql_where=text("state in ('draft', 'first_pending', 'second_pending')")),
        Index(None, "tenant_id", "assessment_id", "id"),
        Index("request_waiting_ix", "tenant_id", "state", "submitted_at", "id", postgresql_where=text("state in ('first_pending', 'second_pending')")),
        check_in("kind", tuple(REQUEST_KINDS)),
        check_in("state", tuple(REQUEST_STATES)),
        check_in("first_side", tuple(SIDES)),
        check_in("second_side", tuple(SIDES)),
        CheckConstraint("second_by is null or second_by <> first_by", name="two_persons"),
        CheckConstraint("(state in ('draft', 'withdrawn')) or submitted_at is not null", name="submitted"),
        tenant_foreign_key("assessment_id", "assessment"),
    )  # fmt: skip

    assessment_id: Mapped[UUID]
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(default="draft")
    first_side: Mapped[str]
    second_side: Mapped[str | None]
    reason: Mapped[str | None]
    reason_words: Mapped[str | None]
    note: Mapped[str | None]
    content_sealed: Mapped[bytes | None]
    proposed: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    begun_at: Mapped[datetime] = mapped_column(default=now)
    submitted_at: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(default=now)
    first_by: Mapped[UUID | None]
    first_at: Mapped[datetime | None]
    first_opinion: Mapped[str | None]
    second_by: Mapped[UUID | None]
    second_at: Mapped[datetime | None]
    second_opinion: Mapped[str | None]

    @property
    def pending_side(self) -> str | None:
        """The side that has to decide now; None if none has."""
        return {
            "first_pending": self.first_side,
            "second_pending": self.second_side,
        }.get(self.state)

    @property
    def state_label(self) -> str:
        """The state as people read it, with the name of the side it waits for."""
        if not self.pending_side:
            return REQUEST_STATES[self.state]
        act = "审核" if self.state == "first_pending" else "复审"
        return f"待{SIDES[self.pending_side]}{act}"


class RequestFile(TenantOwned, Model):
    """A file submitted with a request (证明材料, or a new photo), checked and re-encoded. The file itself is
    in the store under the row's id."""

    __tablename__ = "request_file"
    __table_args__ = (
        Index(None, "tenant_id", "request_id", "id"),
        check_in("kind", tuple(FILE_KINDS)),
        tenant_foreign_key("request_id", "request"),
    )

    request_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(default="proof")
    name: Mapped[str]
    content_type: Mapped[str]
    size: Mapped[int]
    uploaded_at: Mapped[datetime] = mapped_column(default=now)
