"""One's own account: second factor, password, signing out."""

import pyotp
import segno
from flask import current_app, flash, redirect, render_template, request, url_for
from flask_login import current_user
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response
from wtforms import HiddenField, PasswordField, StringField

from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, HALF, STAFF, allow, cookie_name, sign_in
from dingkao.blueprints.forms import Form, Needed
from dingkao.blueprints.web import limiter
from dingkao.errors import Invalid
from dingkao.people import passwords, signing_in
from dingkao.tenants.context import current_tenant

account = of_province("account")


class CodeForm(Form):
    """A TOTP code; `offer` carries the secret being bound, signed."""

    code = StringField("动态口令", [Needed("请输入6位数字。")])
    offer = HiddenField()


class PasswordForm(Form):
    """A new password by the old one."""

    old_password = PasswordField("旧密码", [Needed("请输入旧密码。")])
    new_password = PasswordField("新密码", [Needed("请输入新密码。")])
    again = PasswordField("确认密码", [Needed("请确认新密码。")])


@account.route("/second-factor", methods=["GET", "POST"])
@allow(HALF)
@limiter.limit("10/5minutes", methods=["POST"])
def second_factor() -> Response | tuple[str, int] | str:
    """Show the second factor, or bind one at the first time."""
    form = CodeForm()
    offers = URLSafeTimedSerializer(current_app.secret_key or "", salt=f"second-factor-{current_tenant()}-{current_user.account.id}")
    bound = current_user.account.second_factor_sealed is not None
    secret = None
    if not bound:
        try:
            secret = offers.loads(form.offer.data or "", max_age=1800)
        except BadSignature:
            secret = signing_in.offer_second_factor(current_user.account)
        form.offer.data = offers.dumps(secret)
    if form.validate_on_submit():
        try:
            signing_in.confirm_second_factor(current_user.account, current_user.session, secret, form.code.data)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            return redirect(url_for("public.start"), 303)
    picture = ""
    if secret:
        label = pyotp.TOTP(secret).provisioning_uri(name=current_user.account.user_name or "", issuer_name=f"定考{current_tenant()}")
        picture = segno.make(label, error="m").svg_data_uri(scale=4)
    page = render_template("account/second_factor.html", form=form, secret=secret, picture=picture)
    return (page, 422) if request.method == "POST" else page


@account.route("/password", methods=["GET", "POST"])
@allow(DOCTOR, STAFF)
@limiter.limit("10/10minutes", methods=["POST"])
def password() -> Response | tuple[str, int] | str:
    """Change one's password; every other session ends."""
    form = PasswordForm()
    if form.validate_on_submit():
        staff = current_user.account.kind == "staff"
        try:
            if not passwords.matches(current_user.account.password_hash, form.old_password.data):
                raise Invalid("旧密码不正确,请重新输入。", "old_password")
            if form.new_password.data != form.again.data:
                raise Invalid("两次输入的新密码不一致,请重新输入。", "again")
            birth_date = None if staff else current_user.doctor().birth_date
            numbers = () if staff else (signing_in.bound_mobile(current_user.account) or "",)
            passwords.check(form.new_password.data, staff=staff, birth_date=birth_date, numbers=numbers)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            signing_in.set_password(current_user.account, form.new_password.data, code=None, mobile=None)
            response = redirect(url_for("public.start"), 303)
            sign_in(response, current_user.account)
            flash("密码已修改,其他设备上的登录已退出。")
            return response
    page = render_template("account/password.html", form=form)
    return (page, 422) if request.method == "POST" else page


@account.post("/sign-out")
@allow(HALF)
def sign_out() -> Response:
    """End the session."""
    staff = current_user.account.kind == "staff"
    signing_in.end_session(current_user.session)
    response = redirect(url_for("public.login", ended=1, staff=1 if staff else None), 303)
    response.delete_cookie(cookie_name())
    return response
