"""Binding another mobile number, with the password and a code sent to the new number."""

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import PasswordField, StringField

from dingkao.blueprints.doctor_or_staff.account.blueprint import (
    account,
    account_rate_limit_key,
    log_wrong_credentials,
    masked_mobile,
)
from dingkao.errors import Busy, InvalidInput
from dingkao.people import authentication, notices, passwords
from dingkao.people.accounts import require_unshared_mobile
from dingkao.people.notice_catalogue import MOBILE_CHANGED
from dingkao.people.sms_codes import CODE_MINUTES
from dingkao.web.access_control import require, sign_in
from dingkao.web.forms import Form, Required
from dingkao.web.mobile_codes import (
    code_sent_response,
    parse_mobile,
    sms_codes,
)
from dingkao.web.refused_responses import refused_response
from dingkao.web.request_lifecycle import limiter


class MobileForm(Form):
    """The password, the new mobile number and the code sent to it."""

    password = PasswordField("登录密码", [Required("请输入登录密码。")])
    mobile = StringField("新手机号", [Required("请输入新手机号。")])
    sms_code = StringField("验证码", [Required("请输入验证码。")])


@account.route("/account/mobile", methods=["GET", "POST"])
@require("account.manage_own")
@limiter.limit("20/10minutes", methods=["POST"], key_func=account_rate_limit_key)
def mobile() -> Response | tuple[str, int] | str:
    """Bind another mobile number, with the password and a code sent to it (`send` in the form sends one);
    every other session ends. A refusal is shown in the form."""
    form = MobileForm()
    if request.method != "POST":
        return _render_mobile_form(form, 0)
    if request.form.get("send"):
        return code_sent_response(
            form,
            lambda: _send_code(form),
            lambda wait: _render_mobile_form(form, wait),
        )
    if form.validate_on_submit():
        try:
            return _change_mobile(form)
        except (Busy, InvalidInput) as refusal:
            form.add_refusal(refusal)
            return refused_response(_render_mobile_form(form, 0), refusal)
    return _render_mobile_form(form, 0), 422


def _change_mobile(form: MobileForm) -> Response:
    """Use up the code (also if what follows is refused), bind the new number, which ends all sessions and is
    journalled, notify a doctor, sign in again and redirect to the account's page. Raises InvalidInput,
    Busy."""
    own_account = current_user.account
    with log_wrong_credentials("password", "sms_code"):
        number = _validate_new_mobile(form)
        sms_codes().consume(
            "bind",
            str(own_account.id),
            number,
            form.sms_code.data,
        )
    authentication.change_mobile(own_account, number)
    if own_account.kind == "doctor":
        notices.notify_account(own_account.id, MOBILE_CHANGED)
    response = redirect(url_for("account.show"), 303)
    sign_in(response, own_account)
    flash("手机号码已修改，其他设备上的登录已退出。")
    return response


def _validate_new_mobile(form: MobileForm) -> str:
    """The new number, after checking that the password is right and the number differs from the bound one and
    isn't another administrator's. Raises InvalidInput, Busy."""
    if not passwords.verify_password(current_user.account.password_hash, form.password.data or ""):
        raise InvalidInput("登录密码不正确，请重新输入。", "password")
    number = parse_mobile(form.mobile.data)
    if number == authentication.bound_mobile(current_user.account):
        raise InvalidInput("这就是现在绑定的手机号，请填写新的号码。", "mobile")
    require_unshared_mobile(current_user.account, number)
    return number


def _send_code(form: MobileForm) -> str:
    """Send a code to the new number and return the sentence for the page. Raises InvalidInput, RateLimited,
    Busy."""
    with log_wrong_credentials("password"):
        number = _validate_new_mobile(form)
    sms_codes().send(
        "bind",
        str(current_user.id),
        number,
        address=request.remote_addr,
        may_receive=True,
    )
    return f"验证码将在一分钟内送达新手机号，{CODE_MINUTES}分钟内有效。"


def _render_mobile_form(form: MobileForm, wait: int) -> str:
    """The page; `wait`: the seconds until the next code may be requested."""
    return render_template(
        "account/mobile.html",
        staff=current_user.account.kind == "staff",
        form=form,
        wait=wait,
        bound=masked_mobile(),
    )
