"""Before anyone is known: the province, signing in, the first password, a forgotten one [S2 to S4]."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from flask import Blueprint, current_app, flash, jsonify, redirect, render_template, request, url_for
from flask_login import current_user
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select
from werkzeug.wrappers import Response
from wtforms import HiddenField, PasswordField, StringField

from dingkao.blueprints import of_province
from dingkao.blueprints.access import ANYONE, TICKET, allow, cookie_name, known_device, set_cookie, sign_in
from dingkao.blueprints.forms import Form, Needed
from dingkao.blueprints.web import limit_key, limiter, served
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, Invalid, NotFound, Refusal, TooMany
from dingkao.outside.sms import Outbox
from dingkao.outside.wechat import WeChat
from dingkao.people import identity, passwords, signing_in, wechat
from dingkao.people.accounts import doctor_login_index
from dingkao.people.codes import APART_SECONDS, SmsCodes
from dingkao.people.devices import in_wechat
from dingkao.people.guarding import Guard, attempt
from dingkao.people.models import Account
from dingkao.settings import Settings
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.door import PROVINCE
from dingkao.tenants.keys import cache_key
from dingkao.tenants.registry import by_slug, found, search_words
from dingkao.tenants.secrets import Place, vault

TICKET_SECONDS = 600
LAST = "dk-last"
LAPSED = "登录步骤已超过10分钟,请重新登录后继续,已填写的密码没有保存。"
ALREADY = "密码已经设置过,请用新密码登录。"

front = Blueprint("front", "dingkao")
public = of_province("public")


def _per_ticket() -> str:
    """Whom the limit on the change page counts: the ticket, for a whole hospital opens its accounts behind one address."""
    return limit_key(hashlib.sha256(request.cookies.get(cookie_name("ticket"), "").encode()).hexdigest())


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

    account = StringField("证件号码", [Needed("请输入证件号码。")])
    mobile = StringField("手机号", [Needed("请输入已绑定手机号。")])
    sms_code = StringField("验证码", [Needed("请输入验证码。")])
    new_password = PasswordField("新密码", [Needed("请输入新密码。")])
    again = PasswordField("确认密码", [Needed("请确认新密码。")])


class BackForm(Form):
    """What WeChat sent a browser back with."""

    state = HiddenField()
    code = HiddenField()


@dataclass(frozen=True)
class Ticket:
    """Leave to set a password: whose, whether a one-time code gave it, and its own number, because it is good once."""

    account: Account
    by_code: bool
    number: str


@front.get("/")
@allow(ANYONE)
def pick() -> Response | str:
    """The login screen with no province picked; the last choice of this phone leads on."""
    if PROVINCE in request.environ:
        return redirect(url_for("public.start"))
    last = by_slug(request.cookies.get(LAST, ""))
    if last and not {"pick", "q"} & set(request.args):
        return redirect(f"/{last.slug}/login")
    typed = request.args.get("q", "").strip()[:20]
    among = served()
    return render_template("public/pick.html", provinces=found(typed, among), typed=typed, any_open=bool(among), last=last, search_words=search_words)


@public.get("/start")
@allow(ANYONE)
def start() -> Response:
    """Where someone belongs: the doctor's home, the console, or the login page."""
    if not current_user.is_authenticated:
        return redirect(url_for("public.login"))
    return redirect(url_for("home.show" if current_user.account.kind == "doctor" else "office.tasks"))


@public.route("/login", methods=["GET", "POST"])
@allow(ANYONE)
@limiter.limit("300/minute", methods=["POST"])
def login() -> Response | tuple[str, int] | tuple[str, int, dict[str, str]] | str:
    """Sign in; the initial credential and one-time codes lead to the change page with a ticket of ten minutes."""
    form, staff = LoginForm(), "staff" in request.args
    if form.validate_on_submit():
        try:
            return _let_in(_checked("staff" if staff else "doctor", form.account.data or "", form.password.data or ""))
        except Invalid as refusal:
            form.refuse(refusal)
        except TooMany as refusal:
            form.refuse(Invalid(refusal.sentence))
            return _login_page(form, staff=staff), refusal.status, {"Retry-After": str(refusal.retry_after)}
    elif request.method != "POST":
        page = current_app.make_response(_login_page(form, staff=staff))
        page.set_cookie(LAST, _slug(), max_age=365 * 86400, secure=not Settings.in_force().plain_http, samesite="Lax", httponly=True)
        return page
    return _login_page(form, staff=staff), 422


def _checked(kind: str, typed: str, password: str) -> signing_in.Credentials:
    """What was typed, if it is right and may be tried now. Raises Invalid, TooMany."""
    index = signing_in.login_index(kind, typed)
    one = attempt(index, password, request.remote_addr, known_device(index))
    guard = Guard(current_app.extensions["redis"])
    guard.admit(one)
    try:
        found_out = signing_in.by_password(kind, typed, password)
    except Invalid:
        guard.wrong(one)
        raise
    guard.right(one)
    return found_out


def _login_page(form: LoginForm, *, staff: bool) -> str:
    by_wechat = not staff and _wechat() is not None and in_wechat(request.user_agent.string)
    return render_template(
        "public/login.html", form=form, staff=staff, ended="ended" in request.args and request.method == "GET", by_wechat=by_wechat,
        by_initial=settings.value("credential_mode") == "initial_password", contact=settings.value("contact"), hours=settings.value("contact_hours"),
    )  # fmt: skip


def _let_in(found_out: signing_in.Credentials) -> Response:
    if found_out.change:
        response = redirect(url_for("public.change"), 303)
        ticket = [str(found_out.account.id), found_out.by_code, secrets.token_hex(8)]
        set_cookie(response, "ticket", _tickets().dumps(ticket), TICKET_SECONDS)
        return response
    response = redirect(_onward() or url_for("public.start"), 303)
    sign_in(response, found_out.account)
    return response


@public.route("/password/first", methods=["GET", "POST"])
@allow(TICKET)
@limiter.limit("60/10minutes", methods=["POST"], key_func=_per_ticket)
def change() -> Response | tuple[str, int] | str:
    """Set one's own password; the mobile number must be the roster's, unless a one-time code vouches."""
    try:
        ticket = _ticket()
    except Invalid as refusal:
        flash(refusal.sentence)
        response = redirect(url_for("public.login"), 303)
        response.delete_cookie(cookie_name("ticket"))
        return response
    form, staff = ChangeForm(), ticket.account.kind == "staff"
    if request.method == "POST" and request.form.get("send"):
        return _asked_for_code(form, lambda: _send_first_code(form, ticket), "public/change.html", staff=staff, by_code=ticket.by_code)
    if form.validate_on_submit():
        try:
            code, mobile = _vouched(form, ticket)
            signing_in.set_password(ticket.account, form.new_password.data or "", code=code, mobile=mobile, recovered=ticket.by_code)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            current_app.extensions["redis"].set(_spent(ticket.number), 1, ex=TICKET_SECONDS)
            response = redirect(url_for("public.start"), 303)
            sign_in(response, ticket.account)
            response.delete_cookie(cookie_name("ticket"))
            flash("密码已设置,以后请用证件号码和新密码登录。" if not staff else "密码已设置。")
            return response
    page = render_template("public/change.html", form=form, staff=staff, by_code=ticket.by_code)
    return (page, 422) if request.method == "POST" else page


def _vouched(form: ChangeForm, ticket: Ticket) -> tuple[signing_in.OneTimeCode | None, str | None]:
    """The one-time code and the mobile number that this change rests on, the new password having been looked at. Raises Invalid."""
    account, old = ticket.account, form.old_password.data or ""
    code = signing_in.one_time_code(account, old) if ticket.by_code else None
    if ticket.by_code and code is None:
        raise Invalid("一次性代码不正确或已失效,请核对后重填,或重新领取。", "old_password")
    if not ticket.by_code and old != passwords.INITIAL:
        raise Invalid("旧密码不正确;初次登录的初始密码为666666。", "old_password")
    doctor = _doctor_of(account)
    if doctor is None:
        _check_new(form, staff=True, doctor=None, mobile=None)
        return code, None
    if code is None and form.one_time_code.data:
        code = signing_in.one_time_code(account, form.one_time_code.data)
        if code is None:
            raise Invalid("一次性代码不正确或已失效,请核对后重填,或向本机构重新领取。", "one_time_code")
    mobile = None if code and not form.mobile.data else _mobile(form.mobile.data)
    _check_new(form, staff=False, doctor=doctor, mobile=mobile)
    if mobile is not None:
        _codes().spend("first", str(account.id), mobile, form.sms_code.data or "", ticket=ticket.number)
    return code, mobile


def _send_first_code(form: ChangeForm, ticket: Ticket) -> str:
    """Send where the number is the roster's or a one-time code vouches; the answer is the same either way."""
    mobile = _mobile(form.mobile.data)
    typed = (form.old_password.data if ticket.by_code else form.one_time_code.data) or ""
    vouched = signing_in.one_time_code(ticket.account, typed) is not None
    due = vouched or mobile == _roster_mobile(_doctor_of(ticket.account))
    _codes().send("first", str(ticket.account.id), mobile, address=request.remote_addr, due=due, ticket=ticket.number)
    return "若该手机号与机构名单一致,验证码将在一分钟内送达,5分钟内有效。没有收到的,请核对号码,或向本机构领取一次性代码。"


@public.route("/password/reset", methods=["GET", "POST"])
@allow(ANYONE)
@limiter.limit("600/10minutes", methods=["POST"])
def reset() -> Response | tuple[str, int] | str:
    """[S4]: a new password by a code to the bound number; the same answers whoever is named."""
    form = ResetForm()
    if request.method == "POST" and request.form.get("send"):
        return _asked_for_code(form, lambda: _send_reset_code(form), "public/reset.html")
    if form.validate_on_submit():
        try:
            mobile = _mobile(form.mobile.data)
            account = _with_bound(form.account.data or "", mobile)
            _check_new(form, staff=False, doctor=None, mobile=mobile, typed=form.account.data or "")
            _codes().spend("reset", doctor_login_index(form.account.data or "").hex(), mobile, form.sms_code.data or "")
            if account is None:  # its number was unbound, or it was closed, after the code had been sent
                raise Invalid("该账号现在不能用手机号重置密码,请向本机构领取一次性代码。", "account")
            _check_new(form, staff=False, doctor=_doctor_of(account), mobile=mobile)
            signing_in.set_password(account, form.new_password.data or "", code=None, mobile=None, recovered=True)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            flash("密码重置成功")
            return redirect(url_for("public.login"), 303)
    page = render_template("public/reset.html", form=form)
    return (page, 422) if request.method == "POST" else page


def _send_reset_code(form: ResetForm) -> str:
    if not form.account.data:
        raise Invalid("请输入证件号码。", "account")
    mobile = _mobile(form.mobile.data)
    account = _with_bound(form.account.data, mobile)
    _codes().send("reset", doctor_login_index(form.account.data).hex(), mobile, address=request.remote_addr, due=account is not None)
    return "若该手机号已绑定此证件号码,验证码将在一分钟内送达,5分钟内有效。没有收到的,请核对两项号码,或向本机构领取一次性代码。"


@public.get("/wechat/begin")
@allow(ANYONE)
@limiter.limit("60/minute")
def wechat_begin() -> Response:
    """Off to WeChat, to sign in or, for one who is signed in and asks for it, to bind; nothing is kept but in this browser and the cache."""
    account = None
    if "bind" in request.args:
        if not current_user.is_authenticated or current_user.account.kind != "doctor":
            raise Forbidden
        account = current_user.id
    state, mark = wechat.Errands(current_app.extensions["redis"]).begin(account)
    response = redirect(_official().authorize_url(f"{Settings.in_force().public_url}/{_slug()}/wechat/back", state))
    set_cookie(response, "wechat", mark, wechat.STATE_SECONDS)
    return response


@public.get("/wechat/back")
@allow(ANYONE)
def wechat_back() -> str:
    """Back from WeChat: a page that goes on by itself, or by its button, because what is read changes nothing."""
    _official()
    form = BackForm(formdata=None, state=request.args.get("state", "")[:200], code=request.args.get("code", "")[:200])
    return render_template("public/wechat.html", form=form, refused="code" not in request.args)


@public.post("/wechat/finish")
@allow(ANYONE)
@limiter.limit("60/minute")
def wechat_finish() -> Response:
    """Sign in, or bind, whoever WeChat says this is."""
    form, official = BackForm(), _official()
    asked = wechat.Errands(current_app.extensions["redis"]).end(form.state.data or "", request.cookies.get(cookie_name("wechat"), ""))
    if asked is None:
        response = redirect(url_for("public.start"), 303)
        sign_in(response, wechat.account_of(official, form.code.data or ""))
    else:
        if not current_user.is_authenticated or current_user.id != asked:
            raise Invalid("登录已变化,没有绑定。请重新登录后,在“账号与安全”中再绑定一次。")
        wechat.bind(current_user.account, official.openid(form.code.data or ""))
        flash("已绑定微信,以后可以在微信中直接登录。")
        response = redirect(url_for("account.wechat"), 303)
    response.delete_cookie(cookie_name("wechat"))
    return response


def _wechat() -> WeChat | None:
    """The official account, where there is one and the province allows getting in by it."""
    official: WeChat | None = current_app.extensions["wechat"]
    return official if official is not None and settings.value("wechat_sign_in") else None


def _official() -> WeChat:
    official = _wechat()
    if official is None:
        raise NotFound("本省没有开通微信登录,请用证件号码和密码登录。")
    return official


@public.get("/outbox")
@allow(ANYONE)
def outbox() -> str:
    """The messages a demonstration would have sent."""
    sender = current_app.extensions["sms"]
    if not Settings.in_force().demonstration or not isinstance(sender, Outbox):
        raise NotFound
    current_app.extensions["sms later"].settle()
    return render_template("public/outbox.html", messages=sender.messages())


def _asked_for_code(form: Form, send: Any, template: str, **shown: Any) -> Response | tuple[str, int] | str:
    """The answer to «发送验证码»: the page with what was typed, or to a script, which leaves the page as it is, the sentence alone; and how
    long until the next."""
    wait, wrong = 0, ""
    try:
        told, wait = send(), APART_SECONDS
    except Invalid as refusal:
        form.refuse(refusal)
        told = wrong = refusal.sentence
    except Refusal as refusal:
        told = refusal.sentence
        wait = min(refusal.retry_after, APART_SECONDS) if isinstance(refusal, TooMany) else 0
    if request.accept_mimetypes.best == "application/json":
        return jsonify(told=told, wait=wait, wrong=bool(wrong))
    if not wrong:
        flash(told)
    return render_template(template, form=form, wait=wait, **shown)


def _with_bound(typed: str, mobile: str) -> Account | None:
    """The open account of a number, if that mobile is bound to it; found out at the same cost where there is none."""
    account = db.session.scalar(select(Account).where(Account.login_index == doctor_login_index(typed), Account.kind == "doctor", Account.state == "active"))
    return account if account and signing_in.bound_mobile(account) == mobile else None


def _doctor_of(account: Account) -> Doctor | None:
    return db.session.scalar(select(Doctor).where(Doctor.account_id == account.id))


def _roster_mobile(doctor: Doctor | None) -> str | None:
    if doctor is None or doctor.mobile_sealed is None:
        return None
    return vault().unseal(Place("doctor", "mobile", doctor.id), doctor.mobile_sealed)


def _mobile(typed: str | None) -> str:
    try:
        return identity.mobile(typed or "")
    except identity.NotANumber as fault:
        raise Invalid("请输入11位手机号。", "mobile") from fault


def _check_new(form: ChangeForm | ResetForm, *, staff: bool, doctor: Doctor | None, mobile: str | None, typed: str = "") -> None:
    """Refuse a new password by what is known of its owner: of the doctor, or where nobody is to learn who exists, of what was typed."""
    if form.new_password.data != form.again.data:
        raise Invalid("两次输入的新密码不一致,请重新输入。", "again")
    number, birth, phone = identity.login_number(typed), doctor.birth_date if doctor else None, ""
    if doctor:
        number = vault().unseal(Place("doctor", "number", doctor.id), doctor.number_sealed)
        phone = _roster_mobile(doctor) or ""
    birth = birth or identity.birth_date_in(number)
    passwords.check(form.new_password.data or "", staff=staff, birth_date=birth, numbers=(mobile or "", phone, number))


def _codes() -> SmsCodes:
    return SmsCodes(current_app.extensions["redis"], current_app.extensions["sms later"])


def _tickets() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.secret_key or "", salt=f"first-password-{current_tenant()}")


def _ticket() -> Ticket:
    """The ticket this browser holds: ten minutes, this province, once, and only while what opened it still holds. Raises Invalid."""
    try:
        account_id, by_code, number = _tickets().loads(request.cookies.get(cookie_name("ticket"), ""), max_age=TICKET_SECONDS)
    except (BadSignature, ValueError) as fault:
        raise Invalid(LAPSED) from fault
    query = select(Account).where(Account.id == UUID(account_id))
    account = db.session.scalar(query if request.method != "POST" else query.with_for_update())
    if account is None or account.state == "closed" or (account.state == "active" and not by_code) or current_app.extensions["redis"].exists(_spent(number)):
        raise Invalid(ALREADY)
    return Ticket(account, by_code, number)


def _spent(number: str) -> str:
    return cache_key("ticket-spent", number)


def _slug() -> str:
    return request.script_root.rsplit("/", 1)[-1]


def _onward() -> str | None:
    """The page asked for before signing in, if it is one of this province's."""
    wanted = request.args.get("next", "")
    sound = wanted.startswith("/") and not wanted.startswith("//") and wanted.isprintable() and not urlsplit(wanted).netloc
    return request.script_root + wanted if sound else None
