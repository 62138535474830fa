"""Changing the own password with the old one."""

from flask import flash, redirect, render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import PasswordField

from dingkao.blueprints.doctor_or_staff.account.blueprint import (
    account,
    account_rate_limit_key,
    log_wrong_credentials,
)
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.errors import Busy, InvalidInput
from dingkao.people import authentication, passwords
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import by_code
from dingkao.web.access_control import require, sign_in
from dingkao.web.form_submission import form_page
from dingkao.web.forms import Form, Required
from dingkao.web.refused_responses import refused_response
from dingkao.web.request_lifecycle import limiter


class PasswordForm(Form):
    """The old password and a new one."""

    old_password = PasswordField("旧密码", [Required("请输入旧密码。")])
    new_password = PasswordField("新密码", [Required("请输入新密码。")])
    again = PasswordField("确认密码", [Required("请确认新密码。")])


@account.route("/password", methods=["GET", "POST"])
@require("account.manage_own")
@limiter.limit("10/10minutes", methods=["POST"], key_func=account_rate_limit_key)
def password() -> Response | tuple[str, int] | str:
    """Change the own password with the old one; every other session ends. A refusal is shown in the form."""
    form = PasswordForm()
    if form.validate_on_submit():
        try:
            return _change_password(form)
        except (Busy, InvalidInput) as refusal:
            form.add_refusal(refusal)
            return refused_response(_render_password_form(form), refusal)
    return form_page(_render_password_form(form))


def _render_password_form(form: PasswordForm) -> str:
    return render_template(
        "account/password.html",
        form=form,
        staff=current_user.account.kind == "staff",
    )


def _change_password(form: PasswordForm) -> Response:
    """Set the new password, which ends all sessions and is journalled, sign in again and redirect to the
    start. Raises InvalidInput, Busy."""
    _require_old_password(form.old_password.data)
    if form.new_password.data != form.again.data:
        raise InvalidInput("两次输入的新密码不一致，请重新输入。", "again")
    _validate_new_password(form.new_password.data)
    authentication.set_password(
        current_user.account,
        form.new_password.data,
        code=None,
        mobile=None,
    )
    response = redirect(url_for("public.redirect_to_start"), 303)
    sign_in(response, current_user.account)
    flash("密码已修改，其他设备上的登录已退出。")
    return response


def _require_old_password(old_password: str) -> None:
    """Raise InvalidInput unless the old password is right; a wrong one is entered in the journal. Raises
    Busy."""
    with log_wrong_credentials("old_password"):
        if not passwords.verify_password(current_user.account.password_hash, old_password):
            raise InvalidInput("旧密码不正确，请重新输入。", "old_password")


def _validate_new_password(new_password: str) -> None:
    """Check a new password against the rules and the current user's names, numbers and birth date. Raises
    InvalidInput."""
    own_account = current_user.account
    province = by_code(current_tenant())
    if own_account.kind == "staff":
        return passwords.validate_new_password(
            new_password,
            staff=True,
            names=(own_account.name, own_account.user_name or ""),
            province=province,
        )
    doctor = current_user.doctor()
    mobile = authentication.bound_mobile(own_account) or ""
    return passwords.validate_new_password(
        new_password,
        staff=False,
        birth_date=doctor.birth_date,
        numbers=(document_number_of(doctor), mobile),
        names=(own_account.name,),
        province=province,
    )
