"""Before anyone is known: the province, signing in, the first password, a forgotten one [S2 to S4]."""

from urllib.parse import urlsplit
from uuid import UUID

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask_login import current_user
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select
from werkzeug.wrappers import Response
from wtforms import PasswordField, StringField

from dingkao.blueprints import of_province
from dingkao.blueprints.access import ANYONE, TICKET, allow, cookie_name, set_cookie, sign_in
from dingkao.blueprints.forms import Form, Needed
from dingkao.blueprints.web import limit_key, limiter, served
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotFound, Refusal
from dingkao.outside.sms import Outbox
from dingkao.people import identity, passwords, signing_in
from dingkao.people.accounts import doctor_login_index
from dingkao.people.codes import SmsCodes
from dingkao.people.models import Account
from dingkao.settings import Settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.door import PROVINCE
from dingkao.tenants.registry import by_slug
from dingkao.tenants.secrets import Place, vault

TICKET_SECONDS = 600
LAST = "dk-last"

front = Blueprint("front", "dingkao")
public = of_province("public")


def _per_account() -> str:
    """Whom the limit on guessing counts: the account that was typed, as a keyed hash, for it may be an ID number."""
    return limit_key(vault().blind_index("sign-in-limit", request.form.get("account", "")).hex())


class LoginForm(Form):
    """[S2]."""

    account = StringField("账号", [Needed("请输入账号。")])
    password = PasswordField("密码", [Needed("请输入密码。")])


class ChangeForm(Form):
    """[S3]; the mobile number and the codes are ours."""

    old_password = PasswordField("旧密码", [Needed("请输入旧密码。")])
    new_password = PasswordField("新密码", [Needed("请输入新密码。")])
    again = PasswordField("确认密码", [Needed("请确认新密码。")])
    mobile = StringField("手机号码")
    sms_code = StringField("验证码")
    one_time_code = StringField("一次性代码")


class ResetForm(Form):
    """[S4]."""

    account = StringField("身份证号", [Needed("请输入身份证号。")])
    mobile = StringField("手机号", [Needed("请输入已绑定手机号。")])
    sms_code = StringField("验证码", [Needed("请输入验证码。")])
    new_password = PasswordField("新密码", [Needed("请输入新密码。")])
    again = PasswordField("确认密码", [Needed("请确认新密码。")])


@front.get("/")
@allow(ANYONE)
def pick() -> Response | str:
    """The login screen with no province picked; the last choice of this phone leads on."""
    if PROVINCE in request.environ:
        return redirect(url_for("public.start"))
    last = by_slug(request.cookies.get(LAST, ""))
    if last and "pick" not in request.args:
        return redirect(f"/{last.slug}/login")
    return render_template("public/pick.html", provinces=served())


@public.get("/start")
@allow(ANYONE)
def start() -> Response:
    """Where someone belongs: the doctor's home, the console, or the login page."""
    if not current_user.is_authenticated:
        return redirect(url_for("public.login"))
    return redirect(url_for("home.show" if current_user.account.kind == "doctor" else "office.tasks"))


@public.route("/login", methods=["GET", "POST"])
@allow(ANYONE)
@limiter.limit("60/minute;600/hour", methods=["POST"])
@limiter.limit("10/10minutes", methods=["POST"], key_func=_per_account)
def login() -> Response | tuple[str, int] | str:
    """Sign in; the initial credential and one-time codes lead to the change page with a ticket of ten minutes."""
    form, staff = LoginForm(), "staff" in request.args
    if form.validate_on_submit():
        try:
            found = signing_in.by_password("staff" if staff else "doctor", form.account.data, form.password.data)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            return _let_in(found)
    elif request.method != "POST":
        page = current_app.make_response(render_template("public/login.html", form=form, staff=staff, ended="ended" in request.args))
        page.set_cookie(LAST, _slug(), max_age=365 * 86400, samesite="Lax", httponly=True)
        return page
    return render_template("public/login.html", form=form, staff=staff, ended=False), 422


def _let_in(found: signing_in.Credentials) -> Response:
    if found.change:
        response = redirect(url_for("public.change"), 303)
        set_cookie(response, "ticket", _tickets().dumps([str(found.account.id), found.by_code]), TICKET_SECONDS)
        return response
    response = redirect(_onward() or url_for("public.start"), 303)
    sign_in(response, found.account)
    return response


@public.route("/password/first", methods=["GET", "POST"])
@allow(TICKET)
@limiter.limit("30/10minutes", methods=["POST"])
def change() -> Response | tuple[str, int] | str:
    """Set one's own password; the mobile number must be the roster's, unless a one-time code vouches."""
    account, by_code = _ticket()
    staff = account.kind == "staff"
    form = ChangeForm()
    if request.method == "POST" and request.form.get("send"):
        return _send_first_code(form, account)
    if form.validate_on_submit():
        try:
            code, mobile = _vouched(form, account, by_code)
            doctor = db.session.scalar(select(Doctor).where(Doctor.account_id == account.id))
            _check_new(form, staff=staff, doctor=doctor, mobile=mobile)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            signing_in.set_password(account, form.new_password.data, code=code, mobile=mobile)
            response = redirect(url_for("public.start"), 303)
            sign_in(response, account)
            response.delete_cookie(cookie_name("ticket"))
            return response
    page = render_template("public/change.html", form=form, staff=staff)
    return (page, 422) if request.method == "POST" else page


def _vouched(form: ChangeForm, account: Account, by_code: bool) -> tuple[signing_in.OneTimeCode | None, str | None]:
    """The one-time code and the mobile number that this change rests on. Raises Invalid."""
    old = form.old_password.data
    code = signing_in.one_time_code(account, old) if by_code else None
    if by_code and code is None:
        raise Invalid("一次性代码不正确或已失效,请重新领取。", "old_password")
    if not by_code and old != passwords.INITIAL:
        raise Invalid("旧密码不正确;初次登录的初始密码为666666。", "old_password")
    if account.kind == "staff":
        return code, None
    if code is None and form.one_time_code.data:
        code = signing_in.one_time_code(account, form.one_time_code.data)
        if code is None:
            raise Invalid("一次性代码不正确或已失效,请核对后重填,或向本机构重新领取。", "one_time_code")
    if code and not form.mobile.data:
        return code, None
    mobile = _mobile(form.mobile.data)
    if code is None and mobile != _roster_mobile(account):
        raise Invalid("验证码不正确或已过期,请重新获取。若手机号与机构名单不一致,请向本机构领取一次性代码。", "sms_code")
    _codes().spend("first", account.id, mobile, form.sms_code.data or "")
    return code, mobile


def _send_first_code(form: ChangeForm, account: Account) -> tuple[str, int] | str:
    """Send where the number is the roster's or a one-time code vouches; the answer is the same either way."""
    try:
        mobile = _mobile(form.mobile.data)
        vouched = bool(form.one_time_code.data) and signing_in.one_time_code(account, form.one_time_code.data) is not None
        if vouched or mobile == _roster_mobile(account):
            _codes().send("first", account.id, mobile)
        flash("若该手机号与机构名单一致,验证码将在一分钟内送达,5分钟内有效。")
    except Invalid as refusal:
        form.refuse(refusal)
    except Refusal as refusal:
        flash(refusal.sentence)
    return render_template("public/change.html", form=form, staff=False)


@public.route("/password/reset", methods=["GET", "POST"])
@allow(ANYONE)
@limiter.limit("20/10minutes", methods=["POST"])
def reset() -> Response | tuple[str, int] | str:
    """[S4]: a new password by a code to the bound number; the same answers whoever is named."""
    form = ResetForm()
    if request.method == "POST" and request.form.get("send"):
        return _send_reset_code(form)
    if form.validate_on_submit():
        try:
            mobile = _mobile(form.mobile.data)
            account = _with_bound(form.account.data, mobile)
            doctor = db.session.scalar(select(Doctor).where(Doctor.account_id == account.id)) if account else None
            _check_new(form, staff=False, doctor=doctor, mobile=mobile)
            if account is None:
                raise Invalid("验证码不正确或已过期,请重新获取。", "sms_code")
            _codes().spend("reset", account.id, mobile, form.sms_code.data)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            signing_in.set_password(account, form.new_password.data, code=None, mobile=None)
            flash("密码重置成功")
            return redirect(url_for("public.login"), 303)
    page = render_template("public/reset.html", form=form)
    return (page, 422) if request.method == "POST" else page


def _send_reset_code(form: ResetForm) -> str:
    try:
        mobile = _mobile(form.mobile.data)
        account = _with_bound(form.account.data or "", mobile)
        if account:
            _codes().send("reset", account.id, mobile)
        flash("若该手机号已绑定此身份证号,验证码将在一分钟内送达,5分钟内有效。")
    except Invalid as refusal:
        form.refuse(refusal)
    except Refusal as refusal:
        flash(refusal.sentence)
    return render_template("public/reset.html", form=form)


@public.get("/outbox")
@allow(ANYONE)
def outbox() -> str:
    """The messages a demonstration would have sent."""
    sender = current_app.extensions["sms"]
    if not Settings.in_force().demonstration or not isinstance(sender, Outbox):
        raise NotFound
    return render_template("public/outbox.html", messages=sender.messages())


def _with_bound(typed: str, mobile: str) -> Account | None:
    account = db.session.scalar(select(Account).where(Account.login_index == doctor_login_index(typed), Account.state == "active"))
    return account if account and signing_in.bound_mobile(account) == mobile else None


def _roster_mobile(account: Account) -> str | None:
    doctor = db.session.scalar(select(Doctor).where(Doctor.account_id == account.id))
    if doctor is None or doctor.mobile_sealed is None:
        return None
    return vault().unseal(Place("doctor", "mobile", doctor.id), doctor.mobile_sealed)


def _mobile(typed: str | None) -> str:
    try:
        return identity.mobile(typed or "")
    except identity.NotANumber as fault:
        raise Invalid("请输入11位手机号。", "mobile") from fault


def _check_new(form: ChangeForm | ResetForm, *, staff: bool, doctor: Doctor | None, mobile: str | None) -> None:
    if form.new_password.data != form.again.data:
        raise Invalid("两次输入的新密码不一致,请重新输入。", "again")
    numbers: tuple[str, ...] = (mobile or "",)
    if doctor:
        numbers += (vault().unseal(Place("doctor", "number", doctor.id), doctor.number_sealed),)
    passwords.check(form.new_password.data, staff=staff, birth_date=doctor.birth_date if doctor else None, numbers=numbers)


def _codes() -> SmsCodes:
    return SmsCodes(current_app.extensions["redis"], current_app.extensions["sms"])


def _tickets() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.secret_key or "", salt=f"first-password-{current_tenant()}")


def _ticket() -> tuple[Account, bool]:
    """Whose ticket this browser holds: ten minutes, this province, and only while what opened it still holds."""
    try:
        account_id, by_code = _tickets().loads(request.cookies.get(cookie_name("ticket"), ""), max_age=TICKET_SECONDS)
    except BadSignature as fault:
        raise Invalid("登录步骤已超过10分钟,请返回登录页重新登录。") from fault
    account = db.session.scalar(select(Account).where(Account.id == UUID(account_id)))
    if account is None or account.state == "closed" or (account.state == "active" and not by_code):
        raise Invalid("密码已经设置过,请返回登录页用新密码登录。")
    return account, by_code


def _slug() -> str:
    return request.script_root.rsplit("/", 1)[-1]


def _onward() -> str | None:
    """The page asked for before signing in, if it is one of this province's."""
    wanted = request.args.get("next", "")
    sound = wanted.startswith("/") and not wanted.startswith("//") and wanted.isprintable() and not urlsplit(wanted).netloc
    return request.script_root + wanted if sound else None
