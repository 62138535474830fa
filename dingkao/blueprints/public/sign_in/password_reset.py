"""Resetting a forgotten password with a code sent to the bound mobile number [S4]."""

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response
from wtforms import PasswordField, StringField

from dingkao.blueprints.public.sign_in.blueprint import public
from dingkao.blueprints.public.sign_in.new_password import (
    validate_new_password,
)
from dingkao.doctors.doctor_queries import doctor_of_account
from dingkao.errors import Busy, InvalidInput
from dingkao.journal.entries import Actor
from dingkao.people import authentication, passwords
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account
from dingkao.people.sms_codes import CODE_MINUTES
from dingkao.web.access_control import PUBLIC, log_failures, require
from dingkao.web.forms import Form, Required
from dingkao.web.mobile_codes import (
    code_sent_response,
    parse_mobile,
    sms_codes,
)
from dingkao.web.refused_responses import refused_response
from dingkao.web.request_lifecycle import limiter

CODE_SENT_MESSAGE = (
    f"若该手机号已绑定此证件号码，验证码将在一分钟内送达，{CODE_MINUTES}分钟内有效。"
    "没有收到的，请核对两项号码，或向本机构领取一次性代码。"
)


class ResetForm(Form):
    """Document number, mobile number, code and new password [S4]."""

    account = StringField("证件号码", [Required("请输入证件号码。")])
    mobile = StringField("手机号", [Required("请输入已绑定手机号。")])
    sms_code = StringField("验证码", [Required("请输入验证码。")])
    new_password = PasswordField("新密码", [Required("请输入新密码。")])
    again = PasswordField("确认密码", [Required("请确认新密码。")])


@public.route("/password/reset", methods=["GET", "POST"])
@require(PUBLIC)
@limiter.limit("600/10minutes", methods=["POST"])
def reset_password() -> Response | tuple[str, int] | str:
    """[S4]: set a doctor's new password with a code sent to the bound number (`send` in the form sends one).
    The responses don't depend on whether the account exists, until a right code is shown. A refusal is shown
    in the form."""
    form = ResetForm()
    if request.method != "POST":
        return _render_form(form)
    if request.form.get("send"):
        return code_sent_response(
            form,
            lambda: _send_code(form),
            lambda wait: _render_form(form, wait=wait),
        )
    if form.validate_on_submit():
        try:
            return _reset_password(form)
        except (Busy, InvalidInput) as refusal:
            form.add_refusal(refusal)
            return refused_response(_render_form(form), refusal)
    return _render_form(form), 422


def _render_form(form: ResetForm, **context: int) -> str:
    """The page; `context` has `wait`, the seconds until the next code may be requested."""
    return render_template("public/sign_in/reset_password.html", form=form, **context)


def _reset_password(form: ResetForm) -> Response:
    """Check everything, set the new password and redirect to the sign-in page; the code is used up, all
    sessions of the account end, and nobody is signed in. Raises InvalidInput, Busy."""
    raw_number = form.account.data
    mobile = parse_mobile(form.mobile.data)
    account = authentication.doctor_account_with_mobile(raw_number, mobile)
    validate_new_password(
        form.new_password.data,
        form.again.data,
        mobile=mobile,
        raw_number=raw_number,
    )
    _require_right_code(form, mobile)
    if account is None:  # its number was unbound, or it was closed, after the code had been sent
        raise InvalidInput(
            "该账号现在不能用手机号重置密码，请向本机构领取一次性代码。",
            "account",
        )
    _set_password_by_code(account, form, mobile)
    flash("密码重置成功")
    return redirect(url_for("public.login"), 303)


def _require_right_code(form: ResetForm, mobile: str) -> None:
    """Raise InvalidInput unless the code is right; it isn't used up yet. A wrong one counts as a try, and is
    entered in the journal."""
    index = doctor_login_index(form.account.data)
    with log_failures("code_failed", index, Actor("doctor"), "sms_code"):
        sms_codes().require_right("reset", index.hex(), mobile, form.sms_code.data)


def _set_password_by_code(account: Account, form: ResetForm, mobile: str) -> None:
    """Use up the code and set the new password, after everything that could refuse it; all sessions end, and
    the WeChat binding is removed. Raises InvalidInput, Busy."""
    new_password = form.new_password.data
    validate_new_password(
        new_password,
        form.again.data,
        account=account,
        doctor=doctor_of_account(account.id),
        mobile=mobile,
    )
    with passwords.hash_slot():
        authentication.require_other_password(account, new_password)
        subject = doctor_login_index(form.account.data).hex()
        sms_codes().consume("reset", subject, mobile, form.sms_code.data)
        authentication.set_password(account, new_password, code=None, mobile=None, recovered=True)


def _send_code(form: ResetForm) -> str:
    """Send a code if the number is bound to the account; return the same sentence in both cases. Raises
    InvalidInput, RateLimited."""
    if not form.account.data:
        raise InvalidInput("请输入证件号码。", "account")
    mobile = parse_mobile(form.mobile.data)
    account = authentication.doctor_account_with_mobile(form.account.data, mobile)
    subject = doctor_login_index(form.account.data).hex()
    sms_codes().send(
        "reset",
        subject,
        mobile,
        address=request.remote_addr,
        may_receive=account is not None,
    )
    return CODE_SENT_MESSAGE
