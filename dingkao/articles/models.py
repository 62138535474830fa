"""The table of articles."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dingkao.clock import now
from dingkao.database.base import Model, check_in
from dingkao.tenants.rls import TenantOwned

ARTICLE_KINDS = {"news": "政策资讯", "faq": "百问百答"}
ARTICLE_STATES = {
    "draft": "草稿",
    "published": "已发布",
    "withdrawn": "已撤下",
}
CATEGORIES = {
    "account": "登录与账户",
    "filing": "填报与提交",
    "procedure": "程序与免考",
    "exam": "学习与测评",
    "result": "结果与证书",
    "other": "其他",
}


class Article(TenantOwned, Model):
    """A news article, or a question with its answer (`title` is the question, `body` the answer in Markdown).

    News are listed pinned first, then newest first; answers by category and `position`. `topic` is the topic
    of `default_answers.ANSWERS` that this article answers at length, or None.
    """

    __tablename__ = "article"
    __table_args__ = (
        Index(None, "tenant_id", "kind", "state", "published_at", "id"),
        UniqueConstraint("tenant_id", "topic"),
        check_in("kind", tuple(ARTICLE_KINDS)),
        check_in("state", tuple(ARTICLE_STATES)),
        check_in("category", tuple(CATEGORIES)),
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

    @property
    def is_deletable(self) -> bool:
        """Whether it may be deleted: a draft that was never published."""
        return self.state == "draft"
