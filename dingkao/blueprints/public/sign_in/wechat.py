"""Signing in with WeChat, and binding WeChat to an account."""

from uuid import UUID

from flask import (
    current_app,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import HiddenField

from dingkao.blueprints.public.sign_in.blueprint import (
    province_slug,
    public,
)
from dingkao.config import AppConfig
from dingkao.errors import Forbidden, InvalidInput, NotFound
from dingkao.integrations.wechat_api import WeChat
from dingkao.people import channel_accounts, wechat_sign_in
from dingkao.tenants import settings
from dingkao.web.access_control import PUBLIC, require, sign_in
from dingkao.web.forms import Form
from dingkao.web.province_cookies import cookie_name, set_cookie
from dingkao.web.request_lifecycle import limiter

MAX_PARAMETER_LENGTH = 200
NO_WECHAT_MESSAGE = "本省没有开通微信登录，请用证件号码和密码登录。"


class WechatCallbackForm(Form):
    """The parameters with which WeChat sends a browser back."""

    state = HiddenField()
    code = HiddenField()


@public.get("/wechat/begin")
@require(PUBLIC)
@limiter.limit("60/minute")
def wechat_begin() -> Response:
    """Redirect to WeChat: to sign in, or to bind the account of a doctor who is signed in and asks for it.
    The state is kept only in this browser and the cache. Raises Forbidden if anyone but a doctor asks to
    bind, and NotFound if the province has no signing in by WeChat."""
    account_id = _binding_account_id() if "bind" in request.args else None
    state, cookie_value = _authorization_states().create(account_id)
    return_url = f"{AppConfig.current().public_url}/{province_slug()}/wechat/back"
    response = redirect(_require_wechat().authorize_url(return_url, state))
    set_cookie(response, "wechat", cookie_value, wechat_sign_in.STATE_SECONDS)
    return response


def _binding_account_id() -> UUID:
    """The id of the signed-in doctor's account. Raises Forbidden for anybody else."""
    if not current_user.is_authenticated or current_user.account.kind != "doctor":
        raise Forbidden
    return current_user.account.id


@public.get("/wechat/back")
@require(PUBLIC)
def wechat_callback() -> str:
    """The page to which WeChat returns. It continues automatically or with its button, because a GET must
    change nothing."""
    _require_wechat()
    state = request.args.get("state", "")[:MAX_PARAMETER_LENGTH]
    code = request.args.get("code", "")[:MAX_PARAMETER_LENGTH]
    form = WechatCallbackForm(formdata=None, state=state, code=code)
    return render_template(
        "public/sign_in/wechat_callback.html",
        form=form,
        refused="code" not in request.args,
    )


@public.post("/wechat/finish")
@require(PUBLIC)
@limiter.limit("60/minute")
def wechat_finish() -> Response:
    """Sign in with the WeChat that the callback names, or bind it to the account for which that was begun;
    the state is used up, also by a refusal. Raises InvalidInput, Forbidden, Unavailable, and before that
    NotFound if the province has no sign-in by WeChat."""
    form, official = WechatCallbackForm(), _require_wechat()
    cookie_value = request.cookies.get(cookie_name("wechat"), "")
    account_id = _authorization_states().consume(form.state.data or "", cookie_value)
    code = form.code.data or ""
    if account_id is None:
        response = redirect(url_for("public.redirect_to_start"), 303)
        sign_in(
            response,
            wechat_sign_in.authenticate_by_wechat(official, code),
        )
    else:
        _bind_account(account_id, official, code)
        response = redirect(url_for("account.wechat"), 303)
    response.delete_cookie(cookie_name("wechat"))
    return response


def _bind_account(account_id: UUID, official: WeChat, code: str) -> None:
    """Bind the WeChat that `code` identifies to the account for which the authorization was started, if it is
    still the one signed in, with a journal entry. Raises InvalidInput, Forbidden, Unavailable."""
    if not current_user.is_authenticated or current_user.id != account_id:
        raise InvalidInput("登录已变化，没有绑定。请重新登录后，在“账号与安全”中再绑定一次。")
    wechat_sign_in.bind_wechat(current_user.account, official.openid(code))
    flash("已绑定微信，以后可以在微信中直接登录。")


def wechat_for_sign_in() -> WeChat | None:
    """The official WeChat account with which one may sign in: None if there is none or the province doesn't
    allow it. (`channel_accounts.wechat_account` is there for notices, too.)"""
    official = channel_accounts.wechat_account(
        current_app.extensions["wechat"],
        current_app.extensions["redis"],
    )
    return official if official is not None and settings.value("wechat_sign_in") else None


def _require_wechat() -> WeChat:
    """The official WeChat account. Raises NotFound if there is none or it isn't allowed."""
    official = wechat_for_sign_in()
    if official is None:
        raise NotFound(NO_WECHAT_MESSAGE)
    return official


def _authorization_states() -> wechat_sign_in.AuthorizationStates:
    return wechat_sign_in.AuthorizationStates(current_app.extensions["redis"])
