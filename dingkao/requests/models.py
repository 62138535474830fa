"""The tables of requests and of the files submitted with them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ColumnElement,
    Computed,
    Index,
    and_,
    literal_column,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.assessments.repeated_places import repeats_place
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
SIDES_OF_DESK = {
    "institution": ("institution", "another"),
    "organisation": ("organisation",),
    "province": ("province", "another"),
}
"""Side → the sides of a request at which it waits for somebody of that side."""
FILE_KINDS = {"proof": "证明材料", "photo": "照片"}


def submitted_condition() -> ColumnElement[bool]:
    """The SQL condition that a request was submitted and not withdrawn."""
    return _condition("request.state in ('first_pending', 'second_pending', 'granted', 'refused')")


def finished_condition() -> ColumnElement[bool]:
    """The SQL condition that a request was decided on."""
    return _condition("request.state in ('granted', 'refused')")


def waiting_condition(sides: Sequence[str] = ()) -> ColumnElement[bool]:
    """The SQL condition that a request waits at one of some sides; at any, if none is named."""
    codes = ", ".join(f"'{side}'" for side in sides)
    return _condition(f"request.waiting_side in ({codes})" if sides else "request.waiting_side is not null")


def shown_condition(side: str) -> ColumnElement[bool]:
    """The SQL condition that a side sees requests of this kind: province and organisation see only those that
    they decide on at some point."""
    return _SHOWN_CONDITIONS[side]


def _condition(written: str) -> ColumnElement[bool]:
    """A condition of partial indexes and of the lists that are read from them. Codes are written out: only
    then does PostgreSQL take these indexes, in which nothing has to be sorted."""
    return literal_column(written, Boolean)


_SHOWN_CONDITIONS = {
    "institution": true(),
    "organisation": _condition(
        "(request.first_side = 'organisation' or request.second_side = 'organisation')"
    ),
    "province": _condition("request.second_side in ('province', 'another')"),
}


@repeats_place
class Request(TenantOwned, Model):
    """A request (申请) of a doctor about one record. `first_side` decides, then `second_side` unless it is
    None; the two decisions are by two persons (domain.md §11, §12). `content_sealed`: encrypted JSON of the
    items of a change or correction; `proposed`: verdicts that an appeal's first decision proposes, part →
    verdict. A record has at most one open request of each kind. For the lists of those who decide,
    `institution_id` and `assessor_id` repeat those of the record, and the database derives `waiting_side`
    from state and sides, as `pending_side` does here."""

    __tablename__ = "request"
    __table_args__ = (
        Index("request_open_ix", "tenant_id", "assessment_id", "kind", unique=True, postgresql_where=text("state in ('draft', 'first_pending', 'second_pending')")),
        Index(None, "tenant_id", "assessment_id", "id"),
        Index("request_of_institution_ix", "tenant_id", "institution_id", "id", postgresql_where=submitted_condition()),
        Index("request_of_assessor_ix", "tenant_id", "assessor_id", "id", postgresql_where=and_(submitted_condition(), shown_condition("organisation"))),
        Index("request_of_province_ix", "tenant_id", "id", postgresql_where=and_(submitted_condition(), shown_condition("province"))),
        Index("request_institution_waiting_ix", "tenant_id", "institution_id", "id", postgresql_where=waiting_condition()),
        Index("request_assessor_waiting_ix", "tenant_id", "assessor_id", "id", postgresql_where=and_(waiting_condition(), shown_condition("organisation"))),
        Index("request_province_waiting_ix", "tenant_id", "id", postgresql_where=and_(waiting_condition(), shown_condition("province"))),
        Index("request_assessor_desk_ix", "tenant_id", "assessor_id", "id", postgresql_where=waiting_condition(SIDES_OF_DESK["organisation"])),
        Index("request_province_desk_ix", "tenant_id", "id", postgresql_where=waiting_condition(SIDES_OF_DESK["province"])),
        check_in("kind", tuple(REQUEST_KINDS)),
        check_in("state", tuple(REQUEST_STATES)),
        check_in("first_side", tuple(SIDES)),
        check_in("second_side", tuple(SIDES)),
        CheckConstraint("second_by is null or second_by <> first_by", name="two_persons"),
        CheckConstraint("(state in ('draft', 'withdrawn')) or submitted_at is not null", name="submitted"),
        tenant_foreign_key("assessment_id", "assessment"),
    )  # fmt: skip

    assessment_id: Mapped[UUID]
    institution_id: Mapped[UUID]
    assessor_id: Mapped[UUID | None]
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(default="draft")
    first_side: Mapped[str]
    second_side: Mapped[str | None]
    waiting_side: Mapped[str | None] = mapped_column(
        Computed(
            "case state when 'first_pending' then first_side when 'second_pending' then second_side end",
            persisted=True,
        )
    )
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
