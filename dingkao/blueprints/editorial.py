"""政策资讯 and 百问百答 in the console: written, looked at, published, withdrawn, put in order."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import func, select
from werkzeug.wrappers import Response
from wtforms import BooleanField, StringField

from dingkao.articles import reading, writing
from dingkao.articles.answers import ANSWERS
from dingkao.articles.models import CATEGORIES, KINDS, STATES, Article
from dingkao.articles.text import rendered
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, AUDITOR, of_office
from dingkao.blueprints.forms import Choice, Form, LongText, Needed, chosen
from dingkao.database.model import db
from dingkao.errors import Invalid, NotFound

editorial = of_office("editorial")
SHOWN = 300


class NewsForm(Form):
    """A piece of news as it is written."""

    title = StringField("标题", [Needed("请填写标题。")])
    pinned = BooleanField("置顶")
    body = LongText("正文", [Needed("请填写正文。")])


class AnswerForm(Form):
    """A question with its answer."""

    title = StringField("问题", [Needed("请填写问题。")])
    category = Choice("分类", choices=CATEGORIES.items())
    topic = Choice("对应页面上的帮助", choices=[(one.topic, one.question) for one in ANSWERS])
    body = LongText("正文", [Needed("请填写正文。")])


FORMS = {"news": NewsForm, "faq": AnswerForm}


@editorial.get("/office/articles")
@allow(ADMIN, AUDITOR)
def index() -> str:
    """The articles of a kind, all states."""
    kind, state, words = _kind(), request.args.get("state", ""), request.args.get("q", "").strip()
    query = select(Article).where(Article.kind == kind, *reading.holding(words))
    if state in STATES:
        query = query.where(Article.state == state)
    order = (Article.position, Article.id) if kind == "faq" else (Article.pinned.desc(), Article.id.desc())
    rows = list(db.session.scalars(query.order_by(*order).limit(SHOWN)))
    if kind == "faq":
        rows.sort(key=lambda row: list(CATEGORIES).index(row.category or "other"))
    theirs = select(Article.state, func.count().label("number")).where(Article.kind == kind).group_by(Article.state)
    counts = {row.state: row.number for row in db.session.execute(theirs)}
    return render_template(
        "articles/office/index.html", kind=kind, kinds=KINDS, state=state, states=STATES, words=words, rows=rows, counts=counts,
        categories=CATEGORIES, own=len(ANSWERS), most=SHOWN,
    )  # fmt: skip


@editorial.route("/office/articles/new", methods=["GET", "POST"])
@allow(ADMIN)
def new() -> Response | tuple[str, int] | str:
    """Write one."""
    kind = _kind()
    form = FORMS[kind]()
    if "preview" not in request.form and form.validate_on_submit():
        try:
            row = writing.write(kind, form.data, by=current_user.actor())
            return _kept(row)
        except Invalid as refusal:
            form.refuse(refusal)
    return _page(form, kind, None)


@editorial.route("/office/articles/<uuid:article_id>", methods=["GET", "POST"])
@allow(ADMIN)
def edit(article_id: UUID) -> Response | tuple[str, int] | str:
    """Change one; what is published is changed for its readers at once."""
    row = _one(article_id)
    form = FORMS[row.kind](obj=row)
    if "preview" not in request.form and form.validate_on_submit():
        try:
            writing.revise(row, form.data, by=current_user.actor())
            return _kept(row)
        except Invalid as refusal:
            form.refuse(refusal)
    return _page(form, row.kind, row)


@editorial.post("/office/articles/publish")
@allow(ADMIN)
def publish() -> Response:
    """Publish what was ticked."""
    done = 0
    for row in writing.held(chosen("article")):
        if row.state != "published":
            writing.publish(row, by=current_user.actor())
            done += 1
    flash(f"已发布{done}条,医师现在可以看到。")
    return redirect(url_for("editorial.index", kind=_kind()), 303)


@editorial.post("/office/articles/<uuid:article_id>/withdraw")
@allow(ADMIN)
def withdraw(article_id: UUID) -> Response:
    """Withdraw a published one."""
    row = _one(article_id)
    writing.withdraw(row, by=current_user.actor())
    flash(f"已撤下“{row.title}”,医师不再看到。需要时可以重新发布。")
    return redirect(url_for("editorial.index", kind=row.kind), 303)


@editorial.post("/office/articles/<uuid:article_id>/delete")
@allow(ADMIN)
def delete(article_id: UUID) -> Response:
    """Delete a draft."""
    row = _one(article_id)
    writing.delete(row, by=current_user.actor())
    flash(f"已删除草稿“{row.title}”。")
    return redirect(url_for("editorial.index", kind=row.kind), 303)


@editorial.post("/office/articles/<uuid:article_id>/shift")
@allow(ADMIN)
def shift(article_id: UUID) -> Response:
    """One place up or down."""
    row = _one(article_id)
    writing.shift(row, up=request.form.get("way") == "up", by=current_user.actor())
    return redirect(url_for("editorial.index", kind=row.kind, _anchor=f"a-{row.id}"), 303)


@editorial.post("/office/articles/examples")
@allow(ADMIN)
def examples() -> Response:
    """Make drafts of the house's own answers."""
    made = writing.take_over(by=current_user.actor())
    flash(f"已载入{made}条草稿,请按本省规定核对后发布。" if made else "范本已经全部载入过。")
    return redirect(url_for("editorial.index", kind="faq"), 303)


def _kept(row: Article) -> Response:
    """Published too, where that button was pressed."""
    if "publish" in request.form and row.state != "published":
        writing.publish(row, by=current_user.actor())
    flash({"draft": "草稿已保存,发布后医师才能看到。", "published": "已发布,医师现在可以看到。", "withdrawn": "已保存,目前没有发布。"}[row.state])
    return redirect(url_for("editorial.edit", article_id=row.id), 303)


def _page(form: NewsForm | AnswerForm, kind: str, row: Article | None) -> tuple[str, int] | str:
    shown: dict[str, Any] = {"form": form, "kind": kind, "kinds": KINDS, "row": row, "states": STATES}
    if "preview" in request.form:
        body = (form.body.data or "").strip()
        return render_template("articles/office/edit.html", preview=rendered(body), **shown)
    page = render_template("articles/office/edit.html", preview=None, **shown)
    return (page, 422) if request.method == "POST" else page


def _kind() -> str:
    kind = request.args.get("kind", "news")
    if kind not in KINDS:
        raise NotFound
    return kind


def _one(article_id: UUID) -> Article:
    """An article of the province; held locked where something is to change. Raises NotFound."""
    query = select(Article).where(Article.id == article_id)
    row = db.session.scalar(query if request.method != "POST" else query.with_for_update())
    if row is None:
        raise NotFound
    return row
