"""Setting the own password at the first sign-in, or with a one-time code [S3]."""

from contextlib import AbstractContextManager

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response
from wtforms import PasswordField, StringField

from dingkao.blueprints.public.sign_in.blueprint import public
from dingkao.blueprints.public.sign_in.new_password import (
    roster_mobile,
    validate_new_password,
)
from dingkao.blueprints.public.sign_in.password_ticket import (
    PasswordTicket,
    current_ticket,
    delete_ticket_cookie,
    ticket_rate_limit_key,
    use_up_ticket,
)
from dingkao.doctors.doctor_queries import doctor_of_account
from dingkao.doctors.models import Doctor
from dingkao.errors import Busy, InvalidInput
from dingkao.journal.entries import Actor
from dingkao.people import authentication, passwords
from dingkao.people.models import Account, OneTimeCode
from dingkao.people.sms_codes import CODE_MINUTES
from dingkao.web.access_control import (
    PASSWORD_TICKET,
    log_failures,
    require,
    sign_in,
)
from dingkao.web.forms import Form, Required
from dingkao.web.mobile_codes import (
    code_sent_response,
    parse_mobile,
    sms_codes,
)
from dingkao.web.refused_responses import refused_response
from dingkao.web.request_lifecycle import limiter

CODE_SENT_MESSAGE = (
    f"若该手机号与机构名单一致，验证码将在一分钟内送达，{CODE_MINUTES}分钟内有效。"
    "没有收到的，请核对号码，或向本机构领取一次性代码。"
)


class ChangeForm(Form):
    """Old and new password [S3]; mobile number and codes are our additions."""

    old_password = PasswordField("旧密码", [Required("请输入旧密码。")])
    new_password = PasswordField("新密码", [Required("请输入新密码。")])
    again = PasswordField("确认密码", [Required("请确认新密码。")])
    mobile = StringField("手机号码")
    sms_code = StringField("验证码")
    one_time_code = StringField("一次性代码")


@public.route("/password/first", methods=["GET", "POST"])
@require(PASSWORD_TICKET)
@limiter.limit("60/10minutes", methods=["POST"], key_func=ticket_rate_limit_key)
def set_password() -> Response | tuple[str, int] | str:
    """Set the own password with the browser's ticket, and sign in. A doctor confirms the mobile number on the
    roster with a code sent to it (`send` in the form sends one), or shows a one-time code. A refusal is shown
    in the form; without a valid ticket back to the sign-in page."""
    try:
        ticket = current_ticket()
    except InvalidInput as refusal:
        return _back_to_login(refusal)
    form = ChangeForm()
    if request.method != "POST":
        return _render_form(form, ticket)
    if request.form.get("send"):
        return code_sent_response(
            form,
            lambda: _send_code(form, ticket),
            lambda wait: _render_form(form, ticket, wait=wait),
        )
    if form.validate_on_submit():
        try:
            return _change_password(form, ticket)
        except (Busy, InvalidInput) as refusal:
            form.add_refusal(refusal)
            return refused_response(_render_form(form, ticket), refusal)
    return _render_form(form, ticket), 422


def _back_to_login(refusal: InvalidInput) -> Response:
    """A redirect to the sign-in page with the refusal's message, without ticket."""
    flash(refusal.message, "refusal")
    response = redirect(url_for("public.login"), 303)
    delete_ticket_cookie(response)
    return response


def _render_form(form: ChangeForm, ticket: PasswordTicket, **context: int) -> str:
    """The page; `context` has `wait`, the seconds until the next code may be requested."""
    return render_template(
        "public/sign_in/set_password.html",
        form=form,
        staff=ticket.account.kind == "staff",
        by_code=ticket.by_code,
        **context,
    )


def _change_password(form: ChangeForm, ticket: PasswordTicket) -> Response:
    """Check everything, use up the codes and the ticket, set the new password, which ends all sessions (and
    removes the WeChat binding if the ticket was given for a one-time code), bind the typed number, sign in
    and redirect to the start. Raises InvalidInput, Busy."""
    with _log_wrong_codes(ticket.account):
        code, mobile = _verified_code_and_mobile(form, ticket)
    with passwords.hash_slot():
        authentication.require_other_password(ticket.account, form.new_password.data)
        if mobile is not None:
            _use_up_sms_code(form, ticket, mobile)
        authentication.set_password(
            ticket.account,
            form.new_password.data,
            code=code,
            mobile=mobile,
            recovered=ticket.by_code,
        )
    return _signed_in_response(ticket)


def _log_wrong_codes(account: Account) -> AbstractContextManager[None]:
    """Enter wrong codes of the block, also a wrong initial password, in the journal (`log_failures`)."""
    return log_failures(
        "code_failed",
        account.login_index,
        Actor(account.kind, account.id),
        "old_password",
        "one_time_code",
        "sms_code",
    )


def _use_up_sms_code(form: ChangeForm, ticket: PasswordTicket, mobile: str) -> None:
    """Use up the code that was sent to `mobile`. Raises InvalidInput."""
    with _log_wrong_codes(ticket.account):
        sms_codes().consume(
            "first",
            str(ticket.account.id),
            mobile,
            form.sms_code.data or "",
            ticket=ticket.number,
        )


def _signed_in_response(ticket: PasswordTicket) -> Response:
    """Sign in, use up the ticket and redirect to the start."""
    is_staff = ticket.account.kind == "staff"
    response = redirect(url_for("public.redirect_to_start"), 303)
    sign_in(response, ticket.account)
    use_up_ticket(ticket, response)
    flash("密码已设置。" if is_staff else "密码已设置，以后请用证件号码和新密码登录。")
    return response


def _verified_code_and_mobile(
    form: ChangeForm, ticket: PasswordTicket
) -> tuple[OneTimeCode | None, str | None]:
    """Check everything in the form. Returns the one-time code (None if none was typed) and the mobile number
    to be bound (None for staff, or if it was left out). The code sent by SMS isn't used up yet. Raises
    InvalidInput."""
    code = _verified_old_password(form, ticket)
    doctor = doctor_of_account(ticket.account.id)
    if doctor is None:
        _validate_password(form, ticket)
        return code, None
    code = code or _verified_one_time_code(form, ticket)
    mobile = _mobile_to_bind(form, code)
    _validate_password(form, ticket, doctor, mobile)
    return code, mobile


def _verified_old_password(form: ChangeForm, ticket: PasswordTicket) -> OneTimeCode | None:
    """The one-time code typed as the old password; None if the initial password was typed. Raises
    InvalidInput if it is neither."""
    if not ticket.by_code:
        _require_initial_password(form.old_password.data)
        return None
    code = authentication.find_one_time_code(ticket.account, form.old_password.data)
    if code is None:
        raise InvalidInput(
            "一次性代码不正确或已失效，请核对后重填，或重新领取。",
            "old_password",
        )
    return code


def _require_initial_password(old_password: str) -> None:
    """Raise InvalidInput for the field `old_password` unless the initial password was typed."""
    if old_password != passwords.INITIAL_PASSWORD:
        raise InvalidInput(
            "旧密码不正确；初次登录的初始密码为666666。",
            "old_password",
        )


def _verified_one_time_code(form: ChangeForm, ticket: PasswordTicket) -> OneTimeCode | None:
    """The one-time code typed in its own field; None if the field is empty. Raises InvalidInput for a wrong
    code."""
    if not form.one_time_code.data:
        return None
    code = authentication.find_one_time_code(ticket.account, form.one_time_code.data)
    if code is None:
        message = "一次性代码不正确或已失效，请核对后重填，或向本机构重新领取。"
        raise InvalidInput(message, "one_time_code")
    return code


def _mobile_to_bind(form: ChangeForm, code: OneTimeCode | None) -> str | None:
    """The typed mobile number; None if it was left out, which is allowed only with a one-time `code`. Raises
    InvalidInput."""
    is_left_out = code is not None and not form.mobile.data
    return None if is_left_out else parse_mobile(form.mobile.data)


def _validate_password(
    form: ChangeForm,
    ticket: PasswordTicket,
    doctor: Doctor | None = None,
    mobile: str | None = None,
) -> None:
    """Check the new password against the rules and the data of its owner. Raises InvalidInput."""
    validate_new_password(
        form.new_password.data,
        form.again.data,
        account=ticket.account,
        doctor=doctor,
        mobile=mobile,
    )


def _send_code(form: ChangeForm, ticket: PasswordTicket) -> str:
    """Send a code if the typed number is on the roster, or if a right one-time code was typed; return the
    same sentence in all cases. Raises InvalidInput, RateLimited."""
    mobile = parse_mobile(form.mobile.data)
    raw_code = (form.old_password.data if ticket.by_code else form.one_time_code.data) or ""
    is_vouched = authentication.find_one_time_code(ticket.account, raw_code) is not None
    may_receive = is_vouched or mobile == roster_mobile(doctor_of_account(ticket.account.id))
    subject = str(ticket.account.id)
    sms_codes().send(
        "first",
        subject,
        mobile,
        address=request.remote_addr,
        may_receive=may_receive,
        ticket=ticket.number,
    )
    return CODE_SENT_MESSAGE
