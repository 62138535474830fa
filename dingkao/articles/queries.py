"""Queries of articles: of the published ones, which everyone may read, and of all, for the console."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select

from dingkao.articles.models import CATEGORIES, Article
from dingkao.database.base import db
from dingkao.errors import NotFound

PAGE_SIZE, MAX_ANSWERS = 20, 500
MAX_WORDS_LENGTH, MAX_WORDS = 50, 5
NOT_FOUND_MESSAGE = "没有找到这篇内容，可能已被撤下。请返回列表查看。"


@dataclass(frozen=True)
class ArticlePage:
    """A page of a list: its rows, its number (from 1), and whether another page follows."""

    rows: list[Article]
    page_number: int
    has_next: bool


def list_news(words: str, page_number: int) -> ArticlePage:
    """Returns page `page_number` (from 1; a lower number counts as 1, one above 1,000 as 1,000) of the
    published news that contain `words`: the pinned ones first, then the newest."""
    query = _published_query("news", words).order_by(
        Article.pinned.desc(),
        Article.published_at.desc(),
        Article.id.desc(),
    )
    page_number = min(max(page_number, 1), 1000)
    articles = list(db.session.scalars(query.limit(PAGE_SIZE + 1).offset((page_number - 1) * PAGE_SIZE)))
    return ArticlePage(articles[:PAGE_SIZE], page_number, len(articles) > PAGE_SIZE)


def list_answers(words: str) -> dict[str, list[Article]]:
    """Returns the published answers that contain `words`, the first MAX_ANSWERS by position: name of the
    category → answers. Categories without answers are left out."""
    articles = list(
        db.session.scalars(
            _published_query("faq", words).order_by(Article.position, Article.id).limit(MAX_ANSWERS)
        )
    )
    groups = {name: _in_category(articles, code) for code, name in CATEGORIES.items()}
    return {name: group_articles for name, group_articles in groups.items() if group_articles}


def _in_category(articles: list[Article], category: str) -> list[Article]:
    return [article for article in articles if article.category == category]


def get_published(kind: str, article_id: UUID) -> Article:
    """Returns the published article of a kind with that id. Raises NotFound."""
    article: Article | None = db.session.scalar(_published_query(kind, "").where(Article.id == article_id))
    if article is None:
        raise NotFound(NOT_FOUND_MESSAGE)
    return article


def answer_for_topic(topic: str) -> Article | None:
    """Returns the published answer for a topic of `default_answers.ANSWERS`, or None."""
    article: Article | None = db.session.scalar(_published_query("faq", "").where(Article.topic == topic))
    return article


def list_articles(kind: str, state: str, words: str, limit: int) -> list[Article]:
    """Returns at most `limit` articles of a kind; only those in `state` and those that contain `words`, if
    these are not empty. News: the pinned first, then the newest. Answers: the first ones by position, then
    sorted by category."""
    query = select(Article).where(Article.kind == kind, *words_conditions(words))
    if state:
        query = query.where(Article.state == state)
    if kind != "faq":
        return list(db.session.scalars(query.order_by(Article.pinned.desc(), Article.id.desc()).limit(limit)))
    answers = db.session.scalars(query.order_by(Article.position, Article.id).limit(limit))
    category_order = list(CATEGORIES)
    return sorted(
        answers,
        key=lambda answer: category_order.index(answer.category or "other"),
    )


def count_articles_by_state(kind: str) -> dict[str, int]:
    """Returns state → number of articles of a kind; a state without any is left out."""
    query = select(Article.state, func.count()).where(Article.kind == kind).group_by(Article.state)
    return dict(db.session.execute(query).all())


def get_article(article_id: UUID, *, for_update: bool = False) -> Article:
    """Returns the article with that id in any state, locked with `for_update`. Raises NotFound."""
    query = select(Article).where(Article.id == article_id)
    article = db.session.scalar(query.with_for_update() if for_update else query)
    if article is None:
        raise NotFound
    return article


def words_conditions(words: str) -> list[ColumnElement[bool]]:
    """Returns one condition for each word: title or body contains it, ignoring case; none for an empty text.
    Only the first MAX_WORDS words within MAX_WORDS_LENGTH characters count."""
    patterns = [f"%{escape_like(word)}%" for word in words[:MAX_WORDS_LENGTH].split()[:MAX_WORDS]]
    return [
        or_(
            Article.title.ilike(word, escape="\\"),
            Article.body.ilike(word, escape="\\"),
        )
        for word in patterns
    ]


def escape_like(word: str) -> str:
    """A word escaped for LIKE, with the escape character backslash."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _published_query(kind: str, words: str) -> Select[Any]:
    """Returns the query of the published articles of a kind that contain `words`."""
    return select(Article).where(
        Article.kind == kind,
        Article.state == "published",
        *words_conditions(words),
    )
