"""Editing articles: drafts, publication, withdrawal, order. An article that readers could see is never
deleted, only withdrawn."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from dingkao import clock
from dingkao.articles.default_answers import ANSWERS
from dingkao.articles.models import (
    ARTICLE_STATES,
    CATEGORIES,
    Article,
)
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.journal.state_machine import transition
from dingkao.people.permissions import roles_for

MAX_TITLE_LENGTH, MAX_BODY_LENGTH = 100, 20_000


def create_draft(kind: str, fields: dict[str, Any], *, by: Actor) -> Article:
    """Create a draft of `kind` (news, faq), as the last of its kind, and journal it. `fields`: title and
    body, and optionally category, topic and pinned. Raises InvalidInput with the field's name."""
    values = _validate(kind, fields)
    last = db.session.scalar(select(func.max(Article.position)).where(Article.kind == kind)) or 0
    article = Article(
        id=new_id(),
        kind=kind,
        position=last + 1,
        written_by=by.id,
        **values,
    )
    db.session.add(article)
    db.session.flush()
    journal.write_entry(
        "article",
        article.id,
        "written",
        by=by,
        after="draft",
        kind=kind,
    )
    return article


def update(article: Article, fields: dict[str, Any], *, by: Actor) -> bool:
    """Change an article (locked), in any state, to the typed `fields` (as for `create_draft`), and journal
    that; returns whether anything changed. Readers of a published article see the change at once. Raises
    InvalidInput with the field's name."""
    values = _validate(article.kind, fields, article.id)
    changed_names = sorted(name for name, value in values.items() if value != getattr(article, name))
    for name in changed_names:
        setattr(article, name, values[name])
    if changed_names:
        article.changed_at = clock.now()
        journal.write_entry(
            "article",
            article.id,
            "revised",
            by=by,
            names=changed_names,
        )
    return bool(changed_names)


@transition(
    "draft",
    "withdrawn",
    to="published",
    actors=roles_for("articles.edit") | {"system"},
    states=ARTICLE_STATES,
)
def publish(article: Article, *, by: Actor) -> None:
    """发布: everyone can read the article (locked) from now on; published again after a withdrawal, it is as
    new as now. The state is set and journalled. Raises Forbidden, InvalidState for a published one."""
    article.published_at = clock.now()


@transition(
    "published",
    to="withdrawn",
    actors=roles_for("articles.edit") | {"system"},
    states=ARTICLE_STATES,
)
def withdraw(article: Article, *, by: Actor) -> None:
    """撤下: the article (locked) is visible in the console only. The transition sets the state and journals
    it. Raises Forbidden, InvalidState unless it is published."""


def delete(article: Article, *, by: Actor) -> None:
    """Delete a draft (locked) that was never published, and journal that. Raises InvalidState for any other
    article."""
    if not article.is_deletable:
        raise InvalidState("发布过的内容不能删除，可以撤下。")
    journal.write_entry("article", article.id, "deleted", by=by, before=article.state)
    db.session.delete(article)


def move_position(article: Article, *, up: bool, by: Actor) -> None:
    """Exchange an answer (locked) with its neighbour (locked here) in the same category, one position up or
    down; withdrawn ones are passed over. Does nothing at the end of the list."""
    same_list = (
        Article.kind == article.kind,
        Article.category == article.category,
        Article.state != "withdrawn",
    )
    beyond = Article.position < article.position if up else Article.position > article.position
    order = Article.position.desc() if up else Article.position
    neighbour = db.session.scalar(
        select(Article).where(*same_list, beyond).order_by(order).limit(1).with_for_update()
    )
    if neighbour is not None:
        article.position, neighbour.position = (
            neighbour.position,
            article.position,
        )
        journal.write_entry("article", article.id, "moved", by=by, up=up)


def create_default_drafts(*, by: Actor) -> int:
    """Create drafts of the default answers, for a province to adapt, except for topics that exist already;
    returns how many were created. Each is flushed and journalled."""
    existing_topics = set(db.session.scalars(select(Article.topic).where(Article.topic.is_not(None))))
    missing_answers = [answer for answer in ANSWERS if answer.topic not in existing_topics]
    for answer in missing_answers:
        create_draft(
            "faq",
            {
                "title": answer.question,
                "body": answer.body,
                "category": answer.category,
                "topic": answer.topic,
            },
            by=by,
        )
    return len(missing_answers)


def get_articles_for_update(ids: Iterable[UUID]) -> list[Article]:
    """The articles with these ids, locked, by position; unknown ids are ignored. Raises NotFound if none
    exists, arrays.TooManyValues for more than 5,000 ids."""
    articles = list(
        db.session.scalars(
            select(Article)
            .where(in_array(Article.id, ids))
            .order_by(Article.position, Article.id)
            .with_for_update()
        )
    )
    if not articles:
        raise NotFound("没有找到所选的内容，请刷新后重新选择。")
    return articles


def _validate(kind: str, fields: dict[str, Any], own: UUID | None = None) -> dict[str, Any]:
    """Returns the columns of an article (name → value) from the typed `fields`. `own`: id of the article
    itself, None for a new one. Raises InvalidInput with the field's name, KeyError for an unknown kind."""
    title = " ".join(fields["title"].split())
    body = fields["body"].replace("\r\n", "\n").strip()
    _require_text(
        "title",
        {"news": "标题", "faq": "问题"}[kind],
        title,
        MAX_TITLE_LENGTH,
    )
    _require_text("body", "正文", body, MAX_BODY_LENGTH)
    place = _validate_news_place(fields) if kind == "news" else _validate_answer_place(fields, own)
    return {"title": title, "body": body, **place}


def _validate_news_place(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the columns that place a news article: neither category nor topic, and whether it is pinned."""
    return {
        "category": None,
        "topic": None,
        "pinned": bool(fields.get("pinned")),
    }


def _validate_answer_place(fields: dict[str, Any], own: UUID | None) -> dict[str, Any]:
    """Returns the columns that place an answer: its category (one of CATEGORIES), its topic (None, or one of
    the default answers that no other article has), not pinned. `own`: see `_validate`. Raises InvalidInput
    with the field's name."""
    category = fields.get("category") or None
    topic = fields.get("topic") or None
    if category not in CATEGORIES:
        raise InvalidInput("请选择分类。", "category")
    if topic:
        _require_known_free_topic(topic, own)
    return {"category": category, "topic": topic, "pinned": False}


def _require_text(field: str, label: str, text: str, max_length: int) -> None:
    """Raises InvalidInput if a text is empty or longer than `max_length` characters; `label` names it in the
    message."""
    if not text:
        raise InvalidInput(f"请填写{label}。", field)
    if len(text) > max_length:
        raise InvalidInput(
            f"{label}请不要超过{max_length}字，现有{len(text)}字。",
            field,
        )


def _require_known_free_topic(topic: str, own: UUID | None) -> None:
    """Raises InvalidInput for an unknown topic, or one that another article than `own` has already."""
    if topic not in {answer.topic for answer in ANSWERS}:
        raise InvalidInput("请从列表中选择一项。", "topic")
    others_with_topic = select(Article.id).where(Article.topic == topic, Article.id != (own or UUID(int=0)))
    if db.session.scalar(others_with_topic):
        raise InvalidInput(
            "已有另一条问答对应这处帮助，请先在那一条中取消。",
            "topic",
        )
