"""The page of the second factor: shown once in a session, bound at the first sign-in."""

from flask import (
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import HiddenField, StringField

from dingkao.blueprints.doctor_or_staff.account.blueprint import (
    account,
)
from dingkao.errors import InvalidInput, RateLimited
from dingkao.people import authentication
from dingkao.people.second_factor import (
    confirm_second_factor,
    requires_setup_link,
)
from dingkao.people.sign_in_attempts import code_attempt
from dingkao.people.sign_in_throttling import SignInThrottle
from dingkao.tenants.context import current_tenant
from dingkao.web.access_control import (
    BEFORE_SECOND_FACTOR,
    log_failures,
    require,
    set_session_cookie,
)
from dingkao.web.forms import Form, Required
from dingkao.web.known_devices import (
    device_name_if_known,
    remember_device,
)
from dingkao.web.refused_responses import refused_response
from dingkao.web.request_lifecycle import limit_by_session, limiter
from dingkao.web.second_factor_binding import (
    offered_secret,
    qr_code_data_uri,
)


class CodeForm(Form):
    """A TOTP code; `offer` carries the signed secret that is being bound."""

    code = StringField("动态口令", [Required("请输入6位数字。")])
    offer = HiddenField()


@account.route("/second-factor", methods=["GET", "POST"])
@require(BEFORE_SECOND_FACTOR)
@limiter.limit("60/10minutes", methods=["POST"], key_func=limit_by_session)
def second_factor() -> Response | tuple[str, int] | str:
    """Check a code of the second factor, or bind one at the first sign-in, and go to the start. An
    administrator without one is told to use the setup link. A refusal is shown in the form. Raises
    InvalidState if a bound one was removed just now."""
    form, own_account = CodeForm(), current_user.account
    is_bound = own_account.second_factor_sealed is not None
    if not is_bound and requires_setup_link(own_account):
        return render_template(
            "account/second_factor.html",
            form=form,
            told=authentication.USE_LINK_MESSAGE,
        )
    secret = None if is_bound else offered_secret(form, f"second-factor-{current_tenant()}-{own_account.id}")
    if request.method == "POST":
        return _check_code(form, secret)
    return _render_code_form(form, secret)


def _check_code(form: CodeForm, secret: str | None) -> Response | tuple[str, int]:
    """A redirect to the start if the code is right (`_complete_second_factor`), else the form with errors.
    `secret`: the one being bound, None if one is bound. Raises InvalidState."""
    if form.validate_on_submit():
        try:
            return _complete_second_factor(secret, form.code.data)
        except (InvalidInput, RateLimited) as refusal:
            form.add_refusal(refusal)
            return refused_response(_render_code_form(form, secret), refusal)
    return _render_code_form(form, secret), 422


def _complete_second_factor(offered: str | None, code: str) -> Response:
    """Check the code, with throttle and journal entries, also of success; the account is locked; `offered` is
    bound if no secret is. Redirects to the start, with a new session token, and makes this device known for
    the account. Raises InvalidInput, RateLimited, InvalidState if a bound secret was removed just now."""
    own_account = current_user.account
    attempt = code_attempt(
        own_account.login_index,
        request.remote_addr,
        device_name_if_known(own_account.login_index),
    )
    with (
        log_failures(
            "second_factor_failed",
            own_account.login_index,
            current_user.as_actor(),
        ),
        SignInThrottle(current_app.extensions["redis"]).attempting(attempt),
    ):
        token = confirm_second_factor(own_account, current_user.session, offered, code)
    response = redirect(url_for("public.redirect_to_start"), 303)
    set_session_cookie(response, token)
    remember_device(response, own_account.login_index)
    return response


def _render_code_form(form: CodeForm, secret: str | None) -> str:
    """The page of the code; with the QR code of `secret`, if that is being bound (None if one is bound)."""
    return render_template(
        "account/second_factor.html",
        form=form,
        secret=secret,
        picture=_qr_code(secret) if secret else "",
    )


def _qr_code(secret: str) -> str:
    """The QR code of a secret for the authenticator app, as a data URI."""
    return qr_code_data_uri(
        secret,
        current_user.account.user_name or "",
        f"定考{current_tenant()}",
    )
