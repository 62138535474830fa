"""An article."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.model import Model, one_of
from dingkao.tenants.rls import TenantOwned

KINDS = {"news": "政策资讯", "faq": "百问百答"}
STATES = {"draft": "草稿", "published": "已发布", "withdrawn": "已撤下"}
CATEGORIES = {"account": "登录与账户", "filing": "填报与提交", "procedure": "程序与免考", "exam": "学习与测评", "result": "结果与证书", "other": "其他"}


class Article(TenantOwned, Model):
    """One piece of policy news, or one question with its answer: `title` is the question, `body` the answer, in Markdown.

    News stands newest first, what is pinned before it; answers stand by category and `position`. `topic` says which of the house's own
    helps (`answers.ANSWERS`) the article is the long form of.
    """

    __tablename__ = "article"
    __table_args__ = (
        Index(None, "tenant_id", "kind", "state", "published_at", "id"),
        UniqueConstraint("tenant_id", "topic"),
        one_of("kind", tuple(KINDS)),
        one_of("state", tuple(STATES)),
        one_of("category", tuple(CATEGORIES)),
    )

    kind: Mapped[str]
    category: Mapped[str | None]
    topic: Mapped[str | None]
    title: Mapped[str]
    body: Mapped[str]
    state: Mapped[str] = mapped_column(default="draft")
    pinned: Mapped[bool] = mapped_column(default=False)
    position: Mapped[int] = mapped_column(default=0)
    written_by: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime] = mapped_column(default=now)
    published_at: Mapped[datetime | None]
