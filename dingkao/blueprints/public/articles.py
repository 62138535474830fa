"""News and answers that everybody may read, signed in or not: 政策资讯 and 百问百答 [S1]."""

from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.articles import queries
from dingkao.articles.default_answers import HELP_BY_TOPIC
from dingkao.articles.markdown import excerpt, render
from dingkao.articles.models import ARTICLE_KINDS
from dingkao.errors import NotFound
from dingkao.tenants import settings
from dingkao.web.access_control import PUBLIC, require
from dingkao.web.province_blueprint import province_blueprint

articles = province_blueprint("articles")
articles.record_once(lambda state: state.app.jinja_env.globals.update(answers=HELP_BY_TOPIC))


@articles.get("/news")
@require(PUBLIC)
def news() -> str:
    """A page (`page` in the address) of the published news, with the words `q` if there are any: pinned ones
    first, then the newest."""
    words = _search_words()
    news_page = queries.list_news(words, request.args.get("page", 1, type=int))
    return render_template(
        "public/articles/news.html",
        shown=news_page,
        words=words,
        beginning=excerpt,
        up=_home_url(),
    )


@articles.get("/news/<uuid:article_id>")
@require(PUBLIC)
def news_article(article_id: UUID) -> str:
    """One published news article. Raises NotFound."""
    return _page("news", article_id, "articles.news")


@articles.get("/faq")
@require(PUBLIC)
def faq() -> str:
    """The published answers by category, with the words `q` if there are any; each can be opened in the list
    and has an address of its own."""
    words = _search_words()
    contact = (
        settings.value("contact"),
        settings.value("contact_hours"),
    )
    return render_template(
        "public/articles/faq.html",
        groups=queries.list_answers(words),
        words=words,
        rendered=render,
        contact=contact,
        up=_home_url(),
    )


@articles.get("/faq/<uuid:article_id>")
@require(PUBLIC)
def faq_answer(article_id: UUID) -> str:
    """One question with its published answer. Raises NotFound."""
    return _page("faq", article_id, "articles.faq")


@articles.get("/faq/about/<string:topic>")
@require(PUBLIC)
def help_topic(topic: str) -> Response | str:
    """The target of a page's help link: redirects to the province's answer on this topic, else shows our
    default answer. Raises NotFound for an unknown topic."""
    answer = queries.answer_for_topic(topic)
    if answer is not None:
        return redirect(url_for("articles.faq_answer", article_id=answer.id))
    if topic not in HELP_BY_TOPIC:
        raise NotFound(queries.NOT_FOUND_MESSAGE)
    default_answer = HELP_BY_TOPIC[topic]
    return render_template(
        "public/articles/article.html",
        title=default_answer.question,
        body=render(default_answer.body),
        row=None,
        kind=ARTICLE_KINDS["faq"],
        up=url_for("articles.faq"),
    )


def _page(kind: str, article_id: UUID, listing: str) -> str:
    """The page of a published article of `kind`; `listing`: the endpoint that «back» leads to. Raises
    NotFound."""
    article = queries.get_published(kind, article_id)
    return render_template(
        "public/articles/article.html",
        title=article.title,
        body=render(article.body),
        row=article,
        kind=ARTICLE_KINDS[kind],
        up=url_for(listing),
    )


def _search_words() -> str:
    """The words that are searched (`q` in the address), stripped and cut off; "" for none."""
    return request.args.get("q", "").strip()[: queries.MAX_WORDS_LENGTH]


def _home_url() -> str:
    """The URL of «back» on a list: the doctor's home page, the console's first page, or for visitors the
    sign-in page."""
    if not current_user.is_authenticated:
        return url_for("public.login")
    return url_for("home.home_page" if current_user.account.kind == "doctor" else "dashboard.show_tasks")
