"""An administrator sets password and second factor with the link that was sent to the own mobile number."""

import hashlib

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response
from wtforms import HiddenField, PasswordField, StringField

from dingkao.errors import Busy, InvalidInput
from dingkao.journal.entries import Actor
from dingkao.people import (
    administrator_invitations,
    authentication,
    passwords,
)
from dingkao.people.models import Account
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import by_code
from dingkao.web.access_control import (
    PUBLIC,
    log_failures,
    require,
    sign_in,
)
from dingkao.web.forms import Form, Required
from dingkao.web.province_blueprint import province_blueprint
from dingkao.web.province_cookies import cookie_name, set_cookie
from dingkao.web.refused_responses import refused_response
from dingkao.web.request_lifecycle import limit_key, limiter
from dingkao.web.second_factor_binding import (
    offered_secret,
    otpauth_uri,
    qr_code_data_uri,
)

account_setup = province_blueprint("account_setup")
COOKIE_SECONDS, MAX_TOKEN_LENGTH = 1800, 100


class SetupForm(Form):
    """Password and second factor, set together; `offer` carries the signed TOTP secret that is being
    bound."""

    new_password = PasswordField("新密码", [Required("请输入新密码。")])
    again = PasswordField("确认密码", [Required("请确认新密码。")])
    code = StringField("动态口令", [Required("请输入6位数字。")])
    offer = HiddenField()


def _link_rate_limit_key() -> str:
    """The key of the page's rate limit: for each link; requests without one count together."""
    return limit_key(hashlib.sha256(_link_token().encode()).hexdigest())


@account_setup.get("/setup/<string:token>")
@require(PUBLIC)
@limiter.limit("120/minute")
def open_link(token: str) -> Response:
    """Put the link's token into a cookie and redirect to the setup page, whose address doesn't contain it.
    Opening the link doesn't use it up."""
    response = redirect(url_for("account_setup.setup_page"), 303)
    set_cookie(response, "setup", token[:MAX_TOKEN_LENGTH], COOKIE_SECONDS)
    return response


@account_setup.route("/setup", methods=["GET", "POST"])
@require(PUBLIC)
@limiter.limit("60/10minutes", methods=["POST"], key_func=_link_rate_limit_key)
def setup_page() -> Response | tuple[str, int] | str:
    """Set password and second factor with a link that is valid once, then sign in; a refusal is shown in the
    form. A link that is invalid by now gets a page that says so, with status 404. Raises InvalidState if it
    is used at the same moment."""
    account = administrator_invitations.account_of_link(_link_token())
    if account is None:
        return render_template(
            "public/account_setup/expired.html",
            sentence=administrator_invitations.LINK_EXPIRED_MESSAGE,
        ), 404
    form = SetupForm()
    totp_secret = offered_secret(form, f"setup-{current_tenant()}-{account.id}")
    if request.method != "POST":
        return _render_setup(form, account, totp_secret)
    if form.validate_on_submit():
        try:
            return _complete_setup(form, account, totp_secret)
        except (Busy, InvalidInput) as refusal:
            form.add_refusal(refusal)
            return refused_response(_render_setup(form, account, totp_secret), refusal)
    return _render_setup(form, account, totp_secret), 422


def _render_setup(form: SetupForm, account: Account, totp_secret: str) -> str:
    """The page: the secret that is to be put into an authenticator as text, as a QR code and as a link that
    opens one on the same phone, and the form for its code and the new password."""
    province = by_code(current_tenant())
    authenticator_entry = (
        totp_secret,
        account.user_name or "",
        f"定考{province.short_name if province else ''}",
    )
    return render_template(
        "public/account_setup/setup.html",
        form=form,
        account=account,
        totp_secret=totp_secret,
        qr_code=qr_code_data_uri(*authenticator_entry),
        authenticator_uri=otpauth_uri(*authenticator_entry),
    )


def _complete_setup(form: SetupForm, account: Account, totp_secret: str) -> Response:
    """Set password and second factor, use up the link, end the account's sessions and sign in; the response
    redirects to the start. A wrong code is entered in the journal. Raises InvalidInput, Busy, and
    InvalidState if the link has been used meanwhile."""
    new_password = form.new_password.data
    if new_password != form.again.data:
        raise InvalidInput("两次输入的新密码不一致，请重新输入。", "again")
    passwords.validate_new_password(
        new_password,
        staff=True,
        numbers=(authentication.bound_mobile(account) or "",),
        names=(account.name, account.user_name or ""),
        province=by_code(current_tenant()),
    )
    with log_failures(
        "second_factor_failed",
        account.login_index,
        Actor(account.kind, account.id),
        "code",
    ):
        account = administrator_invitations.complete_setup(
            _link_token(),
            new_password,
            secret=totp_secret,
            code=form.code.data,
        )
    response = redirect(url_for("public.redirect_to_start"), 303)
    sign_in(response, account, second_factor_shown=True)
    response.delete_cookie(cookie_name("setup"))
    flash(f"已设置。以后请用用户名“{account.user_name}”、密码和动态口令登录。")
    return response


def _link_token() -> str:
    """The token of the link, from the cookie; "" if there is none."""
    return request.cookies.get(cookie_name("setup"), "")
