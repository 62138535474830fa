"""One's own account: second factor, password, mobile number, devices signed in on, WeChat, signing out."""

from uuid import UUID

import pyotp
import segno
from flask import current_app, flash, jsonify, redirect, render_template, request, url_for
from flask_login import current_user
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response
from wtforms import HiddenField, PasswordField, StringField

from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, HALF, STAFF, allow, cookie_name, set_cookie, sign_in
from dingkao.blueprints.forms import Form, Needed
from dingkao.blueprints.web import limit_key, limiter
from dingkao.errors import Invalid, NotFound, Refusal, TooMany
from dingkao.people import identity, notifying, passwords, signing_in, wechat
from dingkao.people.codes import APART_SECONDS, SmsCodes
from dingkao.people.devices import in_wechat
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.secrets import Place, vault

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


class MobileForm(Form):
    """Another mobile number, by the password and a code to the new number."""

    password = PasswordField("登录密码", [Needed("请输入登录密码。")])
    mobile = StringField("新手机号", [Needed("请输入新手机号。")])
    sms_code = StringField("验证码", [Needed("请输入验证码。")])


def _me() -> str:
    """Whom the limit on guessing one's own password counts: the account, from wherever."""
    return limit_key(f"account-{current_user.id}" if current_user.is_authenticated else None)


@account.get("/account")
@allow(DOCTOR, STAFF)
def show() -> str:
    """Account and safety, in one place."""
    mine = current_user.account
    mobile = signing_in.bound_mobile(mine)
    return render_template(
        "account/show.html", doctor=mine.kind == "doctor", mobile=identity.masked(mobile) if mobile else None, sessions=len(signing_in.live_sessions(mine.id)),
        with_wechat=mine.kind == "doctor" and (_with_wechat() or mine.wechat_index is not None), bound=mine.wechat_index is not None,
    )  # fmt: skip


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
            response = redirect(url_for("public.start"), 303)
            set_cookie(response, "", signing_in.renew_token(current_user.session))
            return response
    picture = ""
    if secret:
        label = pyotp.TOTP(secret).provisioning_uri(name=current_user.account.user_name or "", issuer_name=f"定考{current_tenant()}")
        picture = segno.make(label, error="m").svg_data_uri(scale=4)
    page = render_template("account/second_factor.html", form=form, secret=secret, picture=picture)
    return (page, 422) if request.method == "POST" else page


@account.route("/password", methods=["GET", "POST"])
@allow(DOCTOR, STAFF)
@limiter.limit("10/10minutes", methods=["POST"], key_func=_me)
def password() -> Response | tuple[str, int] | str:
    """Change one's password; every other session ends."""
    form = PasswordForm()
    if form.validate_on_submit():
        try:
            if not passwords.matches(current_user.account.password_hash, form.old_password.data):
                raise Invalid("旧密码不正确,请重新输入。", "old_password")
            if form.new_password.data != form.again.data:
                raise Invalid("两次输入的新密码不一致,请重新输入。", "again")
            _check_new(form.new_password.data or "")
            signing_in.set_password(current_user.account, form.new_password.data or "", code=None, mobile=None)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            response = redirect(url_for("public.start"), 303)
            sign_in(response, current_user.account)
            flash("密码已修改,其他设备上的登录已退出。")
            return response
    page = render_template("account/password.html", form=form, staff=current_user.account.kind == "staff")
    return (page, 422) if request.method == "POST" else page


def _check_new(new: str) -> None:
    if current_user.account.kind == "staff":
        return passwords.check(new, staff=True)
    doctor = current_user.doctor()
    number = vault().unseal(Place("doctor", "number", doctor.id), doctor.number_sealed)
    mobile = signing_in.bound_mobile(current_user.account) or ""
    return passwords.check(new, staff=False, birth_date=doctor.birth_date, numbers=(number, mobile))


@account.route("/account/mobile", methods=["GET", "POST"])
@allow(DOCTOR)
@limiter.limit("20/10minutes", methods=["POST"], key_func=_me)
def mobile() -> Response | tuple[str, int] | str:
    """Bind another mobile number: the password, and a code to the new one; every other session ends."""
    form, mine = MobileForm(), current_user.account
    if request.method == "POST" and request.form.get("send"):
        return _asked_for_code(form)
    if form.validate_on_submit():
        try:
            number = _new_mobile(form)
            _codes().spend("bind", str(mine.id), number, form.sms_code.data or "")
            signing_in.change_mobile(mine, number)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            notifying.tell(mine.id, "手机号码已修改", "您绑定的手机号码已修改,以后请用新号码找回密码。如果不是您本人操作,请立即修改密码,并联系本机构。")
            response = redirect(url_for("account.show"), 303)
            sign_in(response, mine)
            flash("手机号码已修改,其他设备上的登录已退出。")
            return response
    page = _mobile_page(form, 0)
    return (page, 422) if request.method == "POST" else page


def _new_mobile(form: MobileForm) -> str:
    """The new number, if the password is right and it is another than the bound one. Raises Invalid."""
    if not passwords.matches(current_user.account.password_hash, form.password.data or ""):
        raise Invalid("登录密码不正确,请重新输入。", "password")
    try:
        number = identity.mobile(form.mobile.data or "")
    except identity.NotANumber as fault:
        raise Invalid("请输入11位手机号。", "mobile") from fault
    if number == signing_in.bound_mobile(current_user.account):
        raise Invalid("这就是现在绑定的手机号,请填写新的号码。", "mobile")
    return number


def _asked_for_code(form: MobileForm) -> Response | str:
    """Send to the new number; to a script, which leaves the page as it is, the sentence alone is answered."""
    wait, wrong = 0, False
    try:
        _codes().send("bind", str(current_user.id), _new_mobile(form), address=request.remote_addr, due=True)
        told, wait = "验证码将在一分钟内送达新手机号,5分钟内有效。", APART_SECONDS
    except Invalid as refusal:
        form.refuse(refusal)
        told, wrong = refusal.sentence, True
    except Refusal as refusal:
        told = refusal.sentence
        wait = min(refusal.retry_after, APART_SECONDS) if isinstance(refusal, TooMany) else 0
    if request.accept_mimetypes.best == "application/json":
        return jsonify(told=told, wait=wait, wrong=wrong)
    if not wrong:
        flash(told)
    return _mobile_page(form, wait)


def _mobile_page(form: MobileForm, wait: int) -> str:
    bound = signing_in.bound_mobile(current_user.account)
    return render_template("account/mobile.html", form=form, wait=wait, bound=identity.masked(bound) if bound else None)


def _codes() -> SmsCodes:
    return SmsCodes(current_app.extensions["redis"], current_app.extensions["sms later"])


@account.get("/account/sessions")
@allow(DOCTOR, STAFF)
def sessions() -> str:
    """Where one is signed in."""
    return render_template("account/sessions.html", rows=signing_in.live_sessions(current_user.id), mine=current_user.session.id)


@account.post("/account/sessions/<uuid:session_id>/end")
@allow(DOCTOR, STAFF)
def end_session(session_id: UUID) -> Response:
    """Sign out on another device."""
    ended = signing_in.end_others(current_user.session, session_id)
    flash("该设备上的登录已退出。" if ended else "该登录已经退出或过期。")
    return redirect(url_for("account.sessions"), 303)


@account.post("/account/sessions/end-others")
@allow(DOCTOR, STAFF)
def end_others() -> Response:
    """Sign out everywhere but here."""
    ended = signing_in.end_others(current_user.session)
    flash(f"已退出其他{ended}处登录。如果其中有您不认识的设备,请修改密码。" if ended else "没有其他登录。")
    return redirect(url_for("account.sessions"), 303)


@account.get("/account/wechat", endpoint="wechat")
@allow(DOCTOR)
def wechat_page() -> str:
    """Whether WeChat is bound, and binding it."""
    mine = current_user.account
    if not _with_wechat() and mine.wechat_index is None:
        raise NotFound("本省没有开通微信登录,请用证件号码和密码登录。")
    return render_template("account/wechat.html", bound_at=mine.wechat_bound_at, offered=_with_wechat(), inside=in_wechat(request.user_agent.string))


@account.post("/account/wechat/unbind")
@allow(DOCTOR)
def unbind_wechat() -> Response:
    """Sign in by password alone again."""
    wechat.unbind(current_user.account)
    flash("已解除微信绑定,以后请用证件号码和密码登录。")
    return redirect(url_for("account.show"), 303)


def _with_wechat() -> bool:
    return current_app.extensions["wechat"] is not None and bool(settings.value("wechat_sign_in"))


@account.post("/sign-out")
@allow(HALF)
def sign_out() -> Response:
    """End the session."""
    staff = current_user.account.kind == "staff"
    signing_in.end_session(current_user.session)
    response = redirect(url_for("public.login", ended=1, staff=1 if staff else None), 303)
    response.delete_cookie(cookie_name())
    return response
