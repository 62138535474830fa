"""Operators sign in: user name and password, second factor, and the first password with a one-time code."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from uuid import UUID

from flask import (
    current_app,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response
from wtforms import Field, HiddenField, PasswordField, StringField

from dingkao.blueprints.platform.access import (
    ViewResponse,
    current_operator,
    platform,
    submit_or_render,
)
from dingkao.errors import Busy, InvalidInput, RateLimited
from dingkao.operators import operator_authentication
from dingkao.operators.operator_authentication import OperatorIdentity
from dingkao.people.sign_in_attempts import (
    code_attempt,
    password_attempt,
)
from dingkao.people.sign_in_throttling import SignInThrottle
from dingkao.web.access_control import (
    PUBLIC,
    require,
    rotate_csrf_token,
    set_session_cookie,
)
from dingkao.web.forms import Form, Required
from dingkao.web.known_devices import (
    device_name_if_known,
    remember_device,
)
from dingkao.web.province_cookies import cookie_name
from dingkao.web.request_lifecycle import limit_by_session, limiter
from dingkao.web.second_factor_binding import (
    offered_secret,
    qr_code_data_uri,
)


class SignInForm(Form):
    """User name and password."""

    user_name = StringField("用户名", [Required("请输入用户名。")])
    password = PasswordField("密码", [Required("请输入密码。")])


class FirstPasswordForm(Form):
    """The first password, set with a one-time code."""

    user_name = StringField("用户名", [Required("请输入用户名。")])
    code = PasswordField("一次性代码", [Required("请输入一次性代码。")])
    new_password = PasswordField("新密码", [Required("请输入新密码。")])
    again = PasswordField("确认密码", [Required("请确认新密码。")])


class CodeForm(Form):
    """A TOTP code of the second factor; `offer` carries the signed secret that is being bound."""

    code = StringField("动态口令", [Required("请输入6位数字。")])
    offer = HiddenField()


@platform.route("/sign-in", methods=["GET", "POST"])
@require(PUBLIC)
@limiter.limit("300/minute", methods=["POST"])
def sign_in() -> ViewResponse:
    """Sign in with user name and password; the second factor follows, or with a one-time code the page that
    sets the password. A refusal is shown in the form."""
    form = SignInForm()
    return submit_or_render(
        form,
        partial(_sign_in_by_form, form),
        partial(render_template, "platform/sign_in.html", form=form),
        Busy,
        InvalidInput,
        RateLimited,
    )


def _sign_in_by_form(form: SignInForm) -> Response:
    """Start a session, or redirect to setting the password if a one-time code was typed. Raises InvalidInput
    without a field, RateLimited, Busy."""
    user_name, password = _text_of(form.user_name), _text_of(form.password)
    with _password_attempt(user_name, password):
        operator, by_code = operator_authentication.authenticate(user_name, password)
    if by_code:
        flash("请用这个一次性代码设置您的密码。")
        return redirect(url_for("platform.first_password"), 303)
    return _signed_in_response(operator)


def _text_of(field: Field) -> str:
    """What was typed into a field; "" if nothing was sent."""
    return field.data or ""


def _signed_in_response(operator: UUID) -> Response:
    """Start a session of the operator with this id, which is logged, and redirect to the provinces with its
    token in the cookie; there the second factor is asked for."""
    response = redirect(url_for("platform.list_provinces"), 303)
    set_session_cookie(response, operator_authentication.start_session(operator))
    return response


@contextmanager
def _password_attempt(user_name: str, secret: str) -> Iterator[None]:
    """Run the block as an attempt to sign in with a password or one-time code (`secret`), under the sign-in
    throttle: InvalidInput raised in it counts as wrong, and is logged. Raises RateLimited, also logged, and
    what the block raises."""
    index = operator_authentication.attempt_index(user_name)
    device = device_name_if_known(index)
    attempt = password_attempt(index, secret, request.remote_addr, device, platform=True)
    with (
        _log_failures("sign_in_failed", user_name),
        _sign_in_throttle().attempting(attempt),
    ):
        yield


@contextmanager
def _log_failures(verb: str, user_name: str) -> Iterator[None]:
    """Log with `verb` among the operators' acts if the block raises InvalidInput or RateLimited (of many in a
    minute only some); the exception is raised again."""
    try:
        yield
    except (InvalidInput, RateLimited):
        operator_authentication.log_failure(user_name, verb)
        raise


def _sign_in_throttle() -> SignInThrottle:
    """The throttle that counts attempts in the application's cache."""
    return SignInThrottle(current_app.extensions["redis"])


@platform.route("/first", methods=["GET", "POST"])
@require(PUBLIC)
@limiter.limit("300/minute", methods=["POST"])
def first_password() -> ViewResponse:
    """Set the own password with a one-time code, and sign in; the second factor follows. A refusal is shown
    in the form."""
    form = FirstPasswordForm()
    return submit_or_render(
        form,
        partial(_set_first_password, form),
        partial(render_template, "platform/first_password.html", form=form),
        Busy,
        InvalidInput,
        RateLimited,
    )


def _set_first_password(form: FirstPasswordForm) -> Response:
    """Set the password with the one-time code (which is used up, all sessions end, and the second factor is
    bound anew), and sign in; the second factor follows. Raises InvalidInput for the field `again`, `code`
    (one sentence, whatever is wrong, also if a password was typed there) or `new_password`, RateLimited,
    Busy."""
    user_name, code = _text_of(form.user_name), _text_of(form.code)
    new_password = _text_of(form.new_password)
    if new_password != _text_of(form.again):
        raise InvalidInput("两次输入的新密码不一致，请重新输入。", "again")
    with _password_attempt(user_name, code):
        operator = operator_authentication.authenticate_by_code(user_name, code)
    operator_authentication.set_password(operator, code, new_password)
    return _signed_in_response(operator)


@platform.route("/second-factor", methods=["GET", "POST"])
@require("platform.operate")
@limiter.limit("60/10minutes", methods=["POST"], key_func=limit_by_session)
def second_factor() -> ViewResponse:
    """Check a code of the second factor, or bind one at the first sign-in, and go to the provinces; a refusal
    is shown in the form."""
    operator, form = current_operator(), CodeForm()
    secret = _secret_to_bind(operator, form)
    return submit_or_render(
        form,
        partial(
            _complete_second_factor,
            operator,
            secret,
            _text_of(form.code),
        ),
        partial(_render_second_factor, operator, form, secret),
        InvalidInput,
        RateLimited,
    )


def _secret_to_bind(operator: OperatorIdentity, form: CodeForm) -> str | None:
    """The TOTP secret that the page offers: the one of the form that was sent, else a new one; None if the
    operator has one bound already."""
    if operator.has_second_factor:
        return None
    return offered_secret(form, f"operator-second-factor-{operator.operator}")


def _render_second_factor(operator: OperatorIdentity, form: CodeForm, secret: str | None) -> str:
    """The page of the code; with the QR code of `secret`, if that is being bound (None if one is bound)."""
    qr_code_uri = qr_code_data_uri(secret, operator.user_name, "定考平台") if secret else ""
    return render_template(
        "platform/second_factor.html",
        form=form,
        secret=secret,
        picture=qr_code_uri,
    )


def _complete_second_factor(operator: OperatorIdentity, offered: str | None, code: str) -> Response:
    """Check the code, with the sign-in throttle and a log of failures and success; `offered`, the secret on
    the page, is bound if none is. Redirects to the provinces, with a new session token; the browser becomes a
    known device of the operator. Raises InvalidInput for the field `code`, RateLimited."""
    index = operator_authentication.attempt_index(operator.user_name)
    attempt = code_attempt(
        index,
        request.remote_addr,
        device_name_if_known(index),
        platform=True,
    )
    with (
        _log_failures("second_factor_failed", operator.user_name),
        _sign_in_throttle().attempting(attempt),
    ):
        token = operator_authentication.confirm_second_factor(operator, offered, code)
    response = redirect(url_for("platform.list_provinces"), 303)
    set_session_cookie(response, token)
    remember_device(response, index)
    return response


@platform.post("/sign-out")
@require("platform.operate")
def sign_out() -> Response:
    """End the session, which isn't logged, and redirect to the sign-in page; forms that are open become
    invalid."""
    operator_authentication.end_session(current_operator().session)
    rotate_csrf_token()
    response = redirect(url_for("platform.sign_in"), 303)
    response.delete_cookie(cookie_name())
    return response
