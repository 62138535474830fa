"""The page that shows whether WeChat is bound, and unbinding it."""

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.doctor_or_staff.account.blueprint import (
    account,
)
from dingkao.blueprints.public.sign_in.wechat import (
    NO_WECHAT_MESSAGE,
    wechat_for_sign_in,
)
from dingkao.errors import NotFound
from dingkao.people import wechat_sign_in
from dingkao.tenants.devices import is_wechat_browser
from dingkao.web.access_control import require


@account.get("/account/wechat", endpoint="wechat")
@require("account.bind_wechat")
def wechat_page() -> str:
    """Whether WeChat is bound, with buttons to bind or unbind it. Raises NotFound if it is neither bound nor
    offered."""
    own_account = current_user.account
    is_offered = wechat_for_sign_in() is not None
    if not is_offered and own_account.wechat_index is None:
        raise NotFound(NO_WECHAT_MESSAGE)
    return render_template(
        "account/wechat.html",
        bound_at=own_account.wechat_bound_at,
        offered=is_offered,
        inside=is_wechat_browser(request.user_agent.string),
    )


@account.post("/account/wechat/unbind")
@require("account.bind_wechat")
def unbind_wechat() -> Response:
    """Remove the WeChat binding, if there is one, with a journal entry, so that only the password signs
    in."""
    wechat_sign_in.unbind_wechat(current_user.account)
    flash("已解除微信绑定，以后请用证件号码和密码登录。")
    return redirect(url_for("account.show"), 303)
