"""Writing articles: drafted, published, withdrawn, put in order. What doctors could read stays: it is withdrawn, never deleted."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from dingkao import clock
from dingkao.articles.answers import ANSWERS
from dingkao.articles.models import CATEGORIES, STATES, Article
from dingkao.database.model import db, new_id
from dingkao.errors import Invalid, NotAllowed, NotFound
from dingkao.journal import writing as journal
from dingkao.journal.moves import move
from dingkao.journal.writing import Actor

LONGEST_TITLE, LONGEST_BODY = 100, 20_000
WRITERS = ("province_admin", "system")


def write(kind: str, given: dict[str, Any], *, by: Actor) -> Article:
    """A draft of `kind`; `given`: title, body, and category, topic, pinned where they are set. Raises Invalid naming the field."""
    values = _judged(kind, given)
    last = db.session.scalar(select(func.max(Article.position)).where(Article.kind == kind)) or 0
    row = Article(id=new_id(), kind=kind, position=last + 1, written_by=by.id, **values)
    db.session.add(row)
    db.session.flush()
    journal.write("article", row.id, "written", by=by, after="draft", kind=kind)
    return row


def revise(row: Article, given: dict[str, Any], *, by: Actor) -> bool:
    """Bring an article to what was typed, and tell whether that changed it; a published one is changed for its readers at once."""
    values = _judged(row.kind, given, row.id)
    changed = sorted(name for name, value in values.items() if value != getattr(row, name))
    for name in changed:
        setattr(row, name, values[name])
    if changed:
        row.changed_at = clock.now()
        journal.write("article", row.id, "revised", by=by, names=changed)
    return bool(changed)


@move("draft", "withdrawn", to="published", actors=WRITERS, states=STATES)
def publish(row: Article, *, by: Actor) -> None:
    """发布: everyone may read it from now on."""
    row.published_at = clock.now()


@move("published", to="withdrawn", actors=WRITERS, states=STATES)
def withdraw(row: Article, *, by: Actor) -> None:
    """撤下: nobody outside the console reads it any more."""


def delete(row: Article, *, by: Actor) -> None:
    """Delete a draft that was never published. Raises NotAllowed for any other."""
    if row.state != "draft":
        raise NotAllowed("发布过的内容不能删除,可以撤下。")
    journal.write("article", row.id, "deleted", by=by, before=row.state)
    db.session.delete(row)


def shift(row: Article, *, up: bool, by: Actor) -> None:
    """Put an answer one place up or down among those of its category. At the end of them nothing happens."""
    theirs = Article.kind == row.kind, Article.category == row.category, Article.state != "withdrawn"
    beyond = Article.position < row.position if up else Article.position > row.position
    order = Article.position.desc() if up else Article.position
    other = db.session.scalar(select(Article).where(*theirs, beyond).order_by(order).limit(1).with_for_update())
    if other is not None:
        row.position, other.position = other.position, row.position
        journal.write("article", row.id, "moved", by=by, up=up)


def take_over(*, by: Actor) -> int:
    """Make drafts of the house's own answers, for a province to make its own; those whose topic is there already are left. The number made."""
    known = set(db.session.scalars(select(Article.topic).where(Article.topic.is_not(None))))
    fresh = [one for one in ANSWERS if one.topic not in known]
    for one in fresh:
        write("faq", {"title": one.question, "body": one.body, "category": one.category, "topic": one.topic}, by=by)
    return len(fresh)


def held(ids: Iterable[UUID]) -> list[Article]:
    """Articles by id, held locked for a change, in their order. Raises NotFound where there is none of them."""
    rows = list(db.session.scalars(select(Article).where(Article.id.in_(list(ids))).order_by(Article.position, Article.id).with_for_update()))
    if not rows:
        raise NotFound("没有找到所选的内容,请刷新后重新选择。")
    return rows


def _judged(kind: str, given: dict[str, Any], own: UUID | None = None) -> dict[str, Any]:
    """What was typed, as an article keeps it. Raises Invalid naming the field, KeyError for a kind that is none."""
    name = {"news": "标题", "faq": "问题"}[kind]
    title, body = " ".join(given["title"].split()), given["body"].replace("\r\n", "\n").strip()
    if not title:
        raise Invalid(f"请填写{name}。", "title")
    if len(title) > LONGEST_TITLE:
        raise Invalid(f"{name}请不要超过{LONGEST_TITLE}字,现有{len(title)}字。", "title")
    if not body:
        raise Invalid("请填写正文。", "body")
    if len(body) > LONGEST_BODY:
        raise Invalid(f"正文请不要超过{LONGEST_BODY}字,现有{len(body)}字。", "body")
    category, topic = given.get("category") or None, given.get("topic") or None
    if kind == "news":
        return {"title": title, "body": body, "category": None, "topic": None, "pinned": bool(given.get("pinned"))}
    if category not in CATEGORIES:
        raise Invalid("请选择分类。", "category")
    if topic and topic not in {one.topic for one in ANSWERS}:
        raise Invalid("请从列表中选择一项。", "topic")
    if topic and db.session.scalar(select(Article.id).where(Article.topic == topic, Article.id != (own or UUID(int=0)))):
        raise Invalid("已有另一条问答对应这处帮助,请先在那一条中取消。", "topic")
    return {"title": title, "body": body, "category": category, "topic": topic, "pinned": False}
