"""A request, and the files handed in with it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, inside, one_of
from dingkao.tenants.rls import TenantOwned

KINDS = {"exemption": "免考", "deferral": "延考", "change": "信息修改", "correction": "信息更正", "appeal": "复核"}
STATES = {"draft": "未提交", "first_pending": "待审核", "second_pending": "待复审", "granted": "已通过", "refused": "未通过", "withdrawn": "已撤回"}
OPEN = ("draft", "first_pending", "second_pending")
SIDES = {"institution": "主要执业机构", "organisation": "所属考核机构", "province": "省级卫生健康行政部门", "another": "第二位经办人"}
FILE_KINDS = {"proof": "证明材料", "photo": "照片"}


class Request(TenantOwned, Model):
    """What a doctor asks for (申请), about one record. `first_side` decides, then `second_side` where there is one, each by another person
    (domain.md §11, §12). `content_sealed` holds, as JSON, old and new values of a change or correction; `proposed` the verdicts that an
    appeal's first decision proposes. Of each kind a record has at most one that is open."""

    __tablename__ = "request"
    __table_args__ = (
        Index("request_open_ix", "tenant_id", "assessment_id", "kind", unique=True, postgresql_where=text("state in ('draft', 'first_pending', 'second_pending')")),
        Index(None, "tenant_id", "assessment_id", "id"),
        Index("request_waiting_ix", "tenant_id", "state", "submitted_at", "id", postgresql_where=text("state in ('first_pending', 'second_pending')")),
        one_of("kind", tuple(KINDS)),
        one_of("state", tuple(STATES)),
        one_of("first_side", tuple(SIDES)),
        one_of("second_side", tuple(SIDES)),
        CheckConstraint("second_by is null or second_by <> first_by", name="two_persons"),
        CheckConstraint("(state in ('draft', 'withdrawn')) or submitted_at is not null", name="submitted"),
        inside("assessment_id", "assessment"),
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
    def waits_for(self) -> str | None:
        """The side whose turn it is; None where nobody's is."""
        return {"first_pending": self.first_side, "second_pending": self.second_side}.get(self.state)

    @property
    def words(self) -> str:
        """The state as people read it: whom it waits for by name."""
        return f"待{SIDES[self.waits_for]}{'审核' if self.state == 'first_pending' else '复审'}" if self.waits_for else STATES[self.state]


class RequestFile(TenantOwned, Model):
    """A file handed in with a request (证明材料, or the photo that is to take the old one's place), checked and re-encoded; the file itself
    is in the store under the row's id."""

    __tablename__ = "request_file"
    __table_args__ = (Index(None, "tenant_id", "request_id", "id"), one_of("kind", tuple(FILE_KINDS)), inside("request_id", "request"))

    request_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(default="proof")
    name: Mapped[str]
    content_type: Mapped[str]
    size: Mapped[int]
    uploaded_at: Mapped[datetime] = mapped_column(default=now)
