"""The first pages: choosing the province, and the redirect from a province's address to the user's start
page."""

from datetime import datetime

from flask import (
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints.public.sign_in.blueprint import front, public
from dingkao.blueprints.public.sign_in.login import (
    LAST_PROVINCE_COOKIE,
)
from dingkao.config import AppConfig
from dingkao.errors import NotFound
from dingkao.integrations.sms import DevelopmentOutbox
from dingkao.tenants.middleware import PROVINCE_KEY
from dingkao.tenants.registry import by_slug, search, search_terms
from dingkao.web.access_control import PUBLIC, require
from dingkao.web.error_handlers import served_provinces

MAX_SEARCH_LENGTH = 20


@front.get("/")
@require(PUBLIC)
def choose_province() -> Response | str:
    """The page to choose the province. A browser that chose one before is redirected to its sign-in page,
    unless `pick` or a search (`q`) is in the address; a request within a province to its start."""
    if PROVINCE_KEY in request.environ:
        return redirect(url_for("public.redirect_to_start"))
    last_province = by_slug(request.cookies.get(LAST_PROVINCE_COOKIE, ""))
    if last_province and not {"pick", "q"} & set(request.args):
        return redirect(f"/{last_province.slug}/login")
    search_text = request.args.get("q", "").strip()[:MAX_SEARCH_LENGTH]
    provinces = served_provinces()
    return render_template(
        "public/sign_in/choose_province.html",
        provinces=search(search_text, provinces),
        typed=search_text,
        max_length=MAX_SEARCH_LENGTH,
        any_open=bool(provinces),
        last=last_province,
        search_words=search_terms,
    )


@public.get("/start")
@require(PUBLIC)
def redirect_to_start() -> Response:
    """Redirect to the user's start page: the doctor's home page, the console, or the sign-in page."""
    if not current_user.is_authenticated:
        return redirect(url_for("public.login"))
    is_doctor = current_user.account.kind == "doctor"
    return redirect(url_for("home.home_page" if is_doctor else "dashboard.show_tasks"))


@public.get("/outbox")
@require(PUBLIC)
def outbox() -> str:
    """The SMS that a demonstration would have sent; those that are being sent are waited for. Raises NotFound
    where this is no demonstration."""
    sender = current_app.extensions["sms"]
    if not AppConfig.current().demonstration or not isinstance(sender, DevelopmentOutbox):
        raise NotFound
    current_app.extensions["background_sms"].wait_until_sent()
    messages = [message | {"at": _sent_at_text(message["at"])} for message in sender.messages()]
    return render_template("public/sign_in/outbox.html", messages=messages)


def _sent_at_text(iso_time: str) -> str:
    """An ISO time with its offset, as text in Beijing time."""
    return f"{clock.to_beijing(datetime.fromisoformat(iso_time)):%Y年%m月%d日 %H:%M:%S}（北京时间）"
