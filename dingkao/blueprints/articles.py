"""What everyone may read, signed in or not: 政策资讯 and 百问百答 [S1]."""

from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.articles import reading
from dingkao.articles.answers import HELPS
from dingkao.articles.models import KINDS
from dingkao.articles.text import beginning, rendered
from dingkao.blueprints import of_province
from dingkao.blueprints.access import ANYONE, allow
from dingkao.errors import NotFound
from dingkao.tenants import settings

articles = of_province("articles")
articles.record_once(lambda state: state.app.jinja_env.globals.update(answers=HELPS))


@articles.get("/news")
@allow(ANYONE)
def news() -> str:
    """The news, the pinned first, then the newest."""
    words = _words()
    shown = reading.news(words, request.args.get("page", 1, type=int))
    return render_template("articles/news.html", shown=shown, words=words, beginning=beginning, up=_up())


@articles.get("/news/<uuid:article_id>")
@allow(ANYONE)
def item(article_id: UUID) -> str:
    """One piece of news."""
    return _page("news", article_id, "articles.news")


@articles.get("/faq")
@allow(ANYONE)
def faq() -> str:
    """The answers by category; each opens in its place and has an address of its own."""
    words = _words()
    contact = settings.value("contact"), settings.value("contact_hours")
    return render_template("articles/faq.html", groups=reading.answers(words), words=words, rendered=rendered, contact=contact, up=_up())


@articles.get("/faq/<uuid:article_id>")
@allow(ANYONE)
def answer(article_id: UUID) -> str:
    """One question with its answer."""
    return _page("faq", article_id, "articles.faq")


@articles.get("/faq/about/<string:topic>")
@allow(ANYONE)
def about(topic: str) -> Response | str:
    """Where a help leads: to the province's answer, else to the house's own."""
    row = reading.about(topic)
    if row is not None:
        return redirect(url_for("articles.answer", article_id=row.id))
    if topic not in HELPS:
        raise NotFound(reading.GONE)
    own = HELPS[topic]
    return render_template("articles/show.html", title=own.question, body=rendered(own.body), row=None, kind=KINDS["faq"], up=url_for("articles.faq"))


def _page(kind: str, article_id: UUID, listing: str) -> str:
    row = reading.published(kind, article_id)
    return render_template("articles/show.html", title=row.title, body=rendered(row.body), row=row, kind=KINDS[kind], up=url_for(listing))


def _words() -> str:
    return request.args.get("q", "").strip()[: reading.LONGEST_WORDS]


def _up() -> str:
    """Where one comes from: a doctor's home, the console, or the login page."""
    if not current_user.is_authenticated:
        return url_for("public.login")
    return url_for("home.show" if current_user.account.kind == "doctor" else "office.tasks")
