"""/platform: operators sign in, see the provinces and open one. Outside every province, on an engine that sees no one's data."""

from typing import Any
from uuid import UUID

import pyotp
import segno
from flask import Blueprint, current_app, flash, g, redirect, render_template, request, url_for
from flask_wtf.file import FileField
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response
from wtforms import BooleanField, HiddenField, PasswordField, StringField

from dingkao.blueprints.access import ANYONE, OPERATOR, allow, cookie_name, set_cookie
from dingkao.blueprints.forms import Form, Needed
from dingkao.blueprints.web import limit_key, limiter, xlsx
from dingkao.errors import Invalid, Refusal
from dingkao.exams import sharing
from dingkao.operators import provinces, signing_in
from dingkao.operators.signing_in import SignedIn
from dingkao.outside.sheets import MAX_BYTES
from dingkao.settings import Settings
from dingkao.tenants.guard import outside

platform = outside(Blueprint("platform", "dingkao", url_prefix="/platform"))
STATES = {"open": "已开通", "closed": "已停用", "unopened": "未开通"}
VERBS = {
    "signed_in": "登录", "second_factor": "通过两步验证", "password_set": "设置密码", "province_opened": "开通省份", "province_stopped": "停用省份",
    "province_resumed": "恢复省份", "shared_bank_brought": "更新共享题库", "shared_bank_exported": "导出共享题库",
}  # fmt: skip
HALF_WAY = ("platform.second_factor", "platform.sign_out")


class SignInForm(Form):
    """User name and password."""

    user_name = StringField("用户名", [Needed("请输入用户名。")])
    password = PasswordField("密码", [Needed("请输入密码。")])


class FirstForm(Form):
    """The first password, by a one-time code."""

    user_name = StringField("用户名", [Needed("请输入用户名。")])
    code = PasswordField("一次性代码", [Needed("请输入一次性代码。")])
    new_password = PasswordField("新密码", [Needed("请输入新密码。")])
    again = PasswordField("确认密码", [Needed("请确认新密码。")])


class CodeForm(Form):
    """A code of the second factor; `offer` carries the secret being bound, signed."""

    code = StringField("动态口令", [Needed("请输入6位数字。")])
    offer = HiddenField()


class BankForm(Form):
    """A file of questions for a shared bank."""

    bank = StringField("共享题库名称", [Needed("请填写共享题库名称。")])
    file = FileField("文件(xlsx、csv、docx或GIFT)", [Needed("请选择文件。")])
    whole = BooleanField("这是全部题目,文件中没有的题目撤下")


@platform.before_request
def keep() -> Response | None:
    """Only operators, and only with their second factor; the pages for signing in are open."""
    g.operator = signing_in.session_of(request.cookies.get(cookie_name(), "")) if request.cookies.get(cookie_name()) else None
    view = current_app.view_functions[request.endpoint or ""]
    if ANYONE in getattr(view, "access", ()):
        return None
    if g.operator is None:
        return redirect(url_for("platform.sign_in"))
    if not g.operator.complete and request.endpoint not in HALF_WAY:
        return redirect(url_for("platform.second_factor"))
    return None


@platform.context_processor
def menu() -> dict[str, Any]:
    """The side navigation."""
    entries = (("platform.index", "省份", "map"), ("platform.banks", "共享题库", "books"))
    return {"menu": [("", [(url_for(endpoint), label, drawn, request.endpoint == endpoint) for endpoint, label, drawn in entries])]}


def _who() -> SignedIn:
    operator: SignedIn = g.operator
    return operator


@platform.route("/sign-in", methods=["GET", "POST"])
@allow(ANYONE)
@limiter.limit("20/10minutes", methods=["POST"])
@limiter.limit("10/10minutes", methods=["POST"], key_func=lambda: limit_key(request.form.get("user_name", "").strip().lower()))
def sign_in() -> Response | tuple[str, int] | str:
    """User name and password, then the second factor."""
    form = SignInForm()
    if form.validate_on_submit():
        try:
            operator, by_code = signing_in.by_password(form.user_name.data or "", form.password.data or "")
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            if by_code:
                flash("请用这个一次性代码设置您的密码。")
                return redirect(url_for("platform.first"), 303)
            response = redirect(url_for("platform.index"), 303)
            set_cookie(response, "", signing_in.begin_session(operator))
            return response
    page = render_template("platform/sign_in.html", form=form)
    return (page, 422) if request.method == "POST" else page


@platform.route("/first", methods=["GET", "POST"])
@allow(ANYONE)
@limiter.limit("10/10minutes", methods=["POST"])
def first() -> Response | tuple[str, int] | str:
    """Set one's password by a one-time code."""
    form = FirstForm()
    if form.validate_on_submit():
        try:
            if form.new_password.data != form.again.data:
                raise Invalid("两次输入的新密码不一致,请重新输入。", "again")
            operator, by_code = signing_in.by_password(form.user_name.data or "", form.code.data or "")
            if not by_code:
                raise Invalid("一次性代码不正确或已失效,请重新领取。", "code")
            signing_in.set_password(operator, form.code.data or "", form.new_password.data or "")
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            response = redirect(url_for("platform.index"), 303)
            set_cookie(response, "", signing_in.begin_session(operator))
            return response
    page = render_template("platform/first.html", form=form)
    return (page, 422) if request.method == "POST" else page


@platform.route("/second-factor", methods=["GET", "POST"])
@allow(OPERATOR)
@limiter.limit("10/5minutes", methods=["POST"])
def second_factor() -> Response | tuple[str, int] | str:
    """Show the second factor, or bind one at the first time."""
    who, form, secret = _who(), CodeForm(), None
    offers = URLSafeTimedSerializer(current_app.secret_key or "", salt=f"operator-second-factor-{who.operator}")
    if not who.bound:
        try:
            secret = offers.loads(form.offer.data or "", max_age=1800)
        except BadSignature:
            secret = signing_in.offer_second_factor()
        form.offer.data = offers.dumps(secret)
    if form.validate_on_submit():
        try:
            signing_in.confirm_second_factor(who, secret, form.code.data or "")
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            return redirect(url_for("platform.index"), 303)
    picture = ""
    if secret:
        picture = segno.make(pyotp.TOTP(secret).provisioning_uri(name=who.user_name, issuer_name="定考平台"), error="m").svg_data_uri(scale=4)
    page = render_template("platform/second_factor.html", form=form, secret=secret, picture=picture)
    return (page, 422) if request.method == "POST" else page


@platform.post("/sign-out")
@allow(OPERATOR)
def sign_out() -> Response:
    """End the session."""
    signing_in.end_session(_who().session)
    response = redirect(url_for("platform.sign_in"), 303)
    response.delete_cookie(cookie_name())
    return response


@platform.get("/")
@allow(OPERATOR)
def index() -> str:
    """The provinces with their state, and what operators did of late."""
    return render_template("platform/index.html", listed=provinces.listed(), states=STATES, acts=signing_in.acts(), verbs=VERBS, names={one.province.code: one.province.name for one in provinces.listed()})


@platform.post("/provinces/<string:slug>/open")
@allow(OPERATOR)
def open_province(slug: str) -> str:
    """Open a province; the administrator's one-time code is shown now and never again."""
    opening = provinces.open_one(slug, operator=_who().operator, name=_who().name)
    return render_template("platform/opened.html", opening=opening, address=f"{Settings.in_force().public_url}/{opening.province.slug}/login?staff=1")


@platform.post("/provinces/<string:slug>/<string:state>")
@allow(OPERATOR)
def state(slug: str, state: str) -> Response:
    """Stop a province's service, or resume it."""
    if state in ("closed", "resumed"):
        provinces.set_state(slug, "closed" if state == "closed" else "open", operator=_who().operator, name=_who().name)
        flash("已停用,该省的人员暂时不能登录,数据都保留。" if state == "closed" else "已恢复服务。")
    return redirect(url_for("platform.index"), 303)


@platform.route("/banks", methods=["GET", "POST"])
@allow(OPERATOR)
@limiter.limit("60/hour", methods=["POST"])
def banks() -> tuple[str, int] | str:
    """The banks shared with every province: a file in, and what each has."""
    form, report = BankForm(), None
    if form.validate_on_submit():
        try:
            report = sharing.bring(form.file.data.read(MAX_BYTES + 1), form.bank.data or "", whole=form.whole.data)
        except Refusal as refusal:
            form.refuse(Invalid(refusal.sentence, "file"))
        else:
            signing_in.act(_who().operator, "shared_bank_brought", details=(form.bank.data or "")[:100])
    shown = render_template("platform/banks.html", listed=sharing.listed(), form=form, report=report)
    return (shown, 422) if form.errors or form.form_errors else shown


@platform.post("/banks/<uuid:bank_id>/export")
@allow(OPERATOR)
def export_bank(bank_id: UUID) -> Response:
    """A shared bank as xlsx."""
    row = sharing.bank_of(bank_id)
    signing_in.act(_who().operator, "shared_bank_exported", details=row.name[:100])
    return xlsx(sharing.as_sheet(bank_id), "shared-bank.xlsx")
