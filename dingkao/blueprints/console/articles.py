"""政策资讯 and 百问百答 in the console: writing, preview, publishing, withdrawing, ordering."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import BooleanField, StringField

from dingkao.articles import editing, queries
from dingkao.articles.default_answers import ANSWERS
from dingkao.articles.markdown import render
from dingkao.articles.models import (
    ARTICLE_KINDS,
    ARTICLE_STATES,
    CATEGORIES,
    Article,
)
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.errors import NotFound
from dingkao.web.access_control import require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import (
    Choice,
    Form,
    Required,
    TextArea,
    ticked_ids,
)

article_editor = console_blueprint("article_editor")
MAX_SHOWN = 300


class NewsForm(Form):
    """A news article."""

    title = StringField("标题", [Required("请填写标题。")])
    pinned = BooleanField("置顶")
    body = TextArea("正文", [Required("请填写正文。")])


class AnswerForm(Form):
    """A question with its answer. `topic`: the help link of a page that shows this answer."""

    title = StringField("问题", [Required("请填写问题。")])
    category = Choice("分类", choices=CATEGORIES.items())
    topic = Choice(
        "对应页面上的帮助",
        choices=[(answer.topic, answer.question) for answer in ANSWERS],
    )
    body = TextArea("正文", [Required("请填写正文。")])


FORMS = {"news": NewsForm, "faq": AnswerForm}


@article_editor.get("/office/articles")
@require("articles.view")
def list_articles() -> str:
    """The articles of a kind (`kind` in the address), the first MAX_SHOWN: only those in `state`, if that is
    a state, and with the words `q`. Raises NotFound for an unknown kind."""
    kind = _article_kind()
    state = request.args.get("state", "")
    words = request.args.get("q", "").strip()
    articles = queries.list_articles(
        kind,
        state if state in ARTICLE_STATES else "",
        words,
        MAX_SHOWN,
    )
    return render_template(
        "console/articles/list.html",
        kind=kind,
        kinds=ARTICLE_KINDS,
        state=state,
        states=ARTICLE_STATES,
        words=words,
        rows=articles,
        counts=queries.count_articles_by_state(kind),
        categories=CATEGORIES,
        own=len(ANSWERS),
        most=MAX_SHOWN,
    )


@article_editor.route("/office/articles/new", methods=["GET", "POST"])
@require("articles.edit")
def new_article() -> Response | tuple[str, int] | str:
    """Write an article of the kind in the address; the preview button shows it without saving, a refusal is
    shown in the form. Raises NotFound for an unknown kind."""
    kind = _article_kind()
    form = FORMS[kind]()
    response = _submit(form, partial(_create_from_form, form, kind))
    return response if response is not None else _render_form(form, kind, None)


def _create_from_form(form: NewsForm | AnswerForm, kind: str) -> Response:
    """Create the article of the form, publish it if that button was pressed, and redirect to it. Raises
    InvalidInput."""
    article = editing.create_draft(kind, form.data, by=current_user.as_actor())
    return _publish_if_requested(article)


@article_editor.route("/office/articles/<uuid:article_id>", methods=["GET", "POST"])
@require("articles.edit")
def edit_article(
    article_id: UUID,
) -> Response | tuple[str, int] | str:
    """Edit an article; readers of a published one see the change at once. Raises NotFound."""
    article = _get_article(article_id)
    form = FORMS[article.kind](obj=article)
    response = _submit(form, partial(_update_by_form, form, article))
    return response if response is not None else _render_form(form, article.kind, article)


def _update_by_form(form: NewsForm | AnswerForm, article: Article) -> Response:
    """Change the article (locked) as the form says, publish it if that button was pressed, and redirect to
    it. Raises InvalidInput."""
    editing.update(article, form.data, by=current_user.as_actor())
    return _publish_if_requested(article)


def _submit(form: NewsForm | AnswerForm, act: Callable[[], Response]) -> Response | None:
    """Submit the form with `act` and return its response; None, with nothing done, if it wasn't sent, was
    sent for a preview, or was refused."""
    return None if _is_preview() else submit_form(form, act)


def _is_preview() -> bool:
    """Whether the form was sent for a preview only."""
    return "preview" in request.form


@article_editor.post("/office/articles/publish")
@require("articles.edit")
def publish_articles() -> Response:
    """Publish the ticked articles (locked), also withdrawn ones, which are as new as now; those that are
    published already stay as they are. Raises NotFound if no article is ticked, or for an unknown kind in the
    address."""
    published_count = 0
    for article in editing.get_articles_for_update(ticked_ids("article")):
        if article.state != "published":
            editing.publish(article, by=current_user.as_actor())
            published_count += 1
    flash(f"已发布{published_count}条，医师现在可以看到。")
    return redirect(
        url_for("article_editor.list_articles", kind=_article_kind()),
        303,
    )


@article_editor.post("/office/articles/<uuid:article_id>/withdraw")
@require("articles.edit")
def withdraw_article(article_id: UUID) -> Response:
    """Withdraw a published article. Raises NotFound, InvalidState."""
    article = _get_article(article_id)
    editing.withdraw(article, by=current_user.as_actor())
    flash(f"已撤下“{article.title}”，医师不再看到。需要时可以重新发布。")
    return redirect(
        url_for("article_editor.list_articles", kind=article.kind),
        303,
    )


@article_editor.post("/office/articles/<uuid:article_id>/delete")
@require("articles.edit")
def delete_article(article_id: UUID) -> Response:
    """Delete a draft that was never published. Raises NotFound, InvalidState for any other article."""
    article = _get_article(article_id)
    editing.delete(article, by=current_user.as_actor())
    flash(f"已删除草稿“{article.title}”。")
    return redirect(
        url_for("article_editor.list_articles", kind=article.kind),
        303,
    )


@article_editor.post("/office/articles/<uuid:article_id>/shift")
@require("articles.edit")
def move_article(article_id: UUID) -> Response:
    """Move an answer one position up (`way` «up») or else down in its category, past withdrawn ones; at its
    end nothing changes. Raises NotFound."""
    article = _get_article(article_id)
    editing.move_position(
        article,
        up=request.form.get("way") == "up",
        by=current_user.as_actor(),
    )
    return redirect(
        url_for(
            "article_editor.list_articles",
            kind=article.kind,
            _anchor=f"a-{article.id}",
        ),
        303,
    )


@article_editor.post("/office/articles/examples")
@require("articles.edit")
def create_default_drafts() -> Response:
    """Create drafts of our default answers, except for topics that have an article already."""
    draft_count = editing.create_default_drafts(by=current_user.as_actor())
    flash(f"已载入{draft_count}条草稿，请按本省规定核对后发布。" if draft_count else "范本已经全部载入过。")
    return redirect(url_for("article_editor.list_articles", kind="faq"), 303)


def _publish_if_requested(article: Article) -> Response:
    """Publish the saved article (new or locked) if that button was pressed and it isn't published, say in
    which state it is, and redirect to it."""
    if "publish" in request.form and article.state != "published":
        editing.publish(article, by=current_user.as_actor())
    flash(
        {
            "draft": "草稿已保存，发布后医师才能看到。",
            "published": "已发布，医师现在可以看到。",
            "withdrawn": "已保存，目前没有发布。",
        }[article.state]
    )
    return redirect(
        url_for("article_editor.edit_article", article_id=article.id),
        303,
    )


def _render_form(form: NewsForm | AnswerForm, kind: str, article: Article | None) -> tuple[str, int] | str:
    """The form of `article`, or of a new one of `kind` (None), with the preview if that was requested; with
    status 422 if it was refused."""
    context: dict[str, Any] = {
        "form": form,
        "kind": kind,
        "kinds": ARTICLE_KINDS,
        "row": article,
        "states": ARTICLE_STATES,
        "max_title_length": editing.MAX_TITLE_LENGTH,
    }
    if _is_preview():
        body = (form.body.data or "").strip()
        return render_template(
            "console/articles/edit.html",
            preview=render(body),
            **context,
        )
    page = render_template("console/articles/edit.html", preview=None, **context)
    return form_page(page)


def _article_kind() -> str:
    """The kind in the address: «news» (default) or «faq». Raises NotFound for another."""
    kind = request.args.get("kind", "news")
    if kind not in ARTICLE_KINDS:
        raise NotFound
    return kind


def _get_article(article_id: UUID) -> Article:
    """The article with that id, locked in a POST. Raises NotFound."""
    return queries.get_article(article_id, for_update=request.method == "POST")
