"""Reading articles: what everyone may read, newest or in its order, and what words find in it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select

from dingkao.articles.models import CATEGORIES, Article
from dingkao.database.model import db
from dingkao.errors import NotFound

SIZE, MOST_ANSWERS = 20, 500
LONGEST_WORDS, MOST_WORDS = 50, 5
GONE = "没有找到这篇内容,可能已被撤下。请返回列表查看。"


@dataclass(frozen=True)
class Shown:
    """A page of a list, numbered from 1, and whether another follows."""

    rows: list[Article]
    number: int
    more: bool


def news(words: str, number: int) -> Shown:
    """Page `number` of the published news, the pinned first, then the newest."""
    query = _published("news", words).order_by(Article.pinned.desc(), Article.published_at.desc(), Article.id.desc())
    number = min(max(number, 1), 1000)
    rows = list(db.session.scalars(query.limit(SIZE + 1).offset((number - 1) * SIZE)))
    return Shown(rows[:SIZE], number, len(rows) > SIZE)


def answers(words: str) -> dict[str, list[Article]]:
    """The published answers by the name of their category, in their order."""
    rows = list(db.session.scalars(_published("faq", words).order_by(Article.position, Article.id).limit(MOST_ANSWERS)))
    groups = {name: [row for row in rows if row.category == code] for code, name in CATEGORIES.items()}
    return {name: found for name, found in groups.items() if found}


def published(kind: str, article_id: UUID) -> Article:
    """One that everyone may read. Raises NotFound."""
    row: Article | None = db.session.scalar(_published(kind, "").where(Article.id == article_id))
    if row is None:
        raise NotFound(GONE)
    return row


def about(topic: str) -> Article | None:
    """The answer that is the long form of a help, where the province has published one."""
    row: Article | None = db.session.scalar(_published("faq", "").where(Article.topic == topic))
    return row


def holding(words: str) -> list[ColumnElement[bool]]:
    """That every one of the words, as they stand, is in title or body, in capitals or not."""
    wanted = [f"%{escaped(word)}%" for word in words[:LONGEST_WORDS].split()[:MOST_WORDS]]
    return [or_(Article.title.ilike(word, escape="\\"), Article.body.ilike(word, escape="\\")) for word in wanted]


def escaped(word: str) -> str:
    """A word as ILIKE takes it to mean itself."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _published(kind: str, words: str) -> Select[Any]:
    return select(Article).where(Article.kind == kind, Article.state == "published", *holding(words))
