"""Signing in with a document number or user name, and a password [S2]."""

from flask import (
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response
from wtforms import PasswordField, StringField

from dingkao.blueprints.public.sign_in.blueprint import (
    province_slug,
    public,
)
from dingkao.blueprints.public.sign_in.password_ticket import (
    set_ticket_cookie,
)
from dingkao.blueprints.public.sign_in.wechat import wechat_for_sign_in
from dingkao.config import AppConfig
from dingkao.errors import Busy, InvalidInput, RateLimited
from dingkao.journal.entries import Actor
from dingkao.people import authentication
from dingkao.people.sign_in_attempts import password_attempt
from dingkao.people.sign_in_throttling import SignInThrottle
from dingkao.tenants import settings
from dingkao.tenants.devices import is_wechat_browser
from dingkao.web.access_control import (
    PUBLIC,
    log_failures,
    require,
    sign_in,
)
from dingkao.web.forms import Form, Required
from dingkao.web.known_devices import device_name_if_known
from dingkao.web.local_paths import is_local_path
from dingkao.web.refused_responses import refused_response
from dingkao.web.request_lifecycle import limiter

LAST_PROVINCE_COOKIE = "dk-last"
LAST_PROVINCE_SECONDS = 365 * 86400


class LoginForm(Form):
    """Document number or user name, and password [S2]."""

    account = StringField("账号", [Required("请输入账号。")])
    password = PasswordField("密码", [Required("请输入密码。")])


@public.route("/login", methods=["GET", "POST"])
@require(PUBLIC)
@limiter.limit("300/minute", methods=["POST"])
def login() -> Response | tuple[str, int] | str:
    """Sign in; the initial password and one-time codes lead to the page that sets a password. `staff` in the
    address selects the page for staff. A refusal is shown in the form."""
    form = LoginForm()
    if request.method != "POST":
        return _with_last_province_cookie(_render_login(form))
    if form.validate_on_submit():
        try:
            return _sign_in_or_ticket(_authenticate(form.account.data, form.password.data))
        except (Busy, InvalidInput, RateLimited) as refusal:
            form.add_refusal(refusal)
            return refused_response(_render_login(form), refusal)
    return _render_login(form), 422


def _is_staff_page() -> bool:
    """Whether the address selects the page for staff."""
    return "staff" in request.args


def _authenticate(raw_number: str, password: str) -> authentication.SignInResult:
    """Check the credentials, with the sign-in throttle and journal entries of failures. `raw_number`: the
    typed document number, or user name of staff. No session is started. Raises InvalidInput, RateLimited,
    Busy."""
    kind = "staff" if _is_staff_page() else "doctor"
    index = authentication.login_index(kind, raw_number)
    attempt = password_attempt(
        index,
        password,
        request.remote_addr,
        device_name_if_known(index),
    )
    with (
        log_failures("sign_in_failed", index, Actor(kind)),
        SignInThrottle(current_app.extensions["redis"]).attempting(attempt),
    ):
        return authentication.authenticate(kind, raw_number, password)


def _render_login(form: LoginForm) -> str:
    """The page to sign in; `ended` in the address says, on the page opened first, that a session has
    ended."""
    return render_template(
        "public/sign_in/login.html",
        form=form,
        staff=_is_staff_page(),
        ended="ended" in request.args and request.method == "GET",
        by_wechat=_is_by_wechat(),
        by_initial=settings.value("credential_mode") == "initial_password",
        contact=settings.value("contact"),
        hours=settings.value("contact_hours"),
    )


def _is_by_wechat() -> bool:
    """Whether the page offers WeChat: to doctors whose browser is WeChat's, if the province allows it."""
    is_in_wechat = is_wechat_browser(request.user_agent.string)
    return is_in_wechat and not _is_staff_page() and wechat_for_sign_in() is not None


def _with_last_province_cookie(page: str) -> Response:
    """The page, with the cookie by which this browser returns to the province next time."""
    response = current_app.make_response(page)
    response.set_cookie(
        LAST_PROVINCE_COOKIE,
        province_slug(),
        max_age=LAST_PROVINCE_SECONDS,
        secure=not AppConfig.current().plain_http,
        samesite="Lax",
        httponly=True,
    )
    return response


def _sign_in_or_ticket(
    result: authentication.SignInResult,
) -> Response:
    """Start a session, which ends the one that this browser had, and redirect to the requested page or the
    start; if a password must be set first, redirect to its page with a ticket."""
    if result.must_change_password:
        response = redirect(url_for("public.set_password"), 303)
        set_ticket_cookie(response, result)
        return response
    response = redirect(_next_page() or url_for("public.redirect_to_start"), 303)
    sign_in(response, result.account)
    return response


def _next_page() -> str | None:
    """The path, with the province's, of the page that was requested before signing in (`next` in the address,
    a path below the province's), if that is a local path; else None."""
    path = request.args.get("next", "")
    return request.script_root + path if is_local_path(path) else None
