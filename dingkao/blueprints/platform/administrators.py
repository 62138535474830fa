"""The administrators of a province, for operators: appointing the first two, closing and reopening accounts,
sending a new link, changing the mobile number."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response
from wtforms import StringField

from dingkao.blueprints.platform.access import (
    operator_arguments,
    platform,
)
from dingkao.config import AppConfig
from dingkao.errors import (
    InvalidInput,
    InvalidState,
    NotFound,
    RateLimited,
)
from dingkao.operators import province_admin
from dingkao.people.administrator_invitations import (
    LINK_VALID_DAYS,
    MAX_APPOINTED_BY_OPERATORS,
)
from dingkao.people.models import ACCOUNT_STATES, Account
from dingkao.tenants.registry import by_slug
from dingkao.web.access_control import require
from dingkao.web.form_submission import submit_form
from dingkao.web.forms import Form, Required
from dingkao.web.refused_responses import refused_response

ADMINISTRATOR_ACTIONS: dict[str, tuple[Callable[..., None], str]] = {
    "close": (
        province_admin.close_administrator,
        "已停用，该管理员的登录已全部退出。",
    ),
    "reopen": (
        province_admin.reopen_administrator,
        f"已恢复，设置链接已发送到本人手机，{LINK_VALID_DAYS}天内有效。",
    ),
    "link": (
        province_admin.send_administrator_link,
        f"设置链接已发送到本人手机，{LINK_VALID_DAYS}天内有效。",
    ),
    "mobile": (
        province_admin.change_mobile,
        "已更换手机号码，设置链接已发送到新号码。",
    ),
}
"""Action in the address → the room's function, and the message after it."""
ACTIONS_WITH_TEXT = ("close", "mobile")
"""Actions with a typed text: a reason, a mobile number."""


class AdministratorForm(Form):
    """One of the first two administrators of a province."""

    name = StringField("姓名", [Required("请填写姓名。")])
    mobile = StringField("本人手机号码", [Required("请填写本人的11位手机号码。")])


@platform.get("/provinces/<string:slug>/administrators")
@require("platform.operate")
def administrators(slug: str) -> str:
    """The administrators of the province with this slug. Raises NotFound, InvalidState if the province was
    never opened."""
    return _render_administrators(slug)


@platform.post("/provinces/<string:slug>/administrators")
@require("platform.operate")
def appoint_administrator(slug: str) -> Response | tuple[str, int]:
    """Appoint one of the first two administrators and send the setup link; a refusal is shown in the form.
    Raises NotFound, InvalidState if the province was never opened."""
    form = AdministratorForm()
    account = submit_form(
        form,
        partial(_appoint_from_form, slug, form),
        refusals=(InvalidInput, InvalidState, RateLimited),
    )
    if account is None:
        return _render_administrators(slug, form=form), 422
    flash(
        f"已任命{account.name}，用户名{account.user_name}。"
        f"设置链接已发送到本人手机，{LINK_VALID_DAYS}天内有效。"
    )
    return redirect(url_for("platform.administrators", slug=slug), 303)


def _appoint_from_form(slug: str, form: AdministratorForm) -> Account:
    """Appoint the person in the form; committed there, with the operator's act. Raises InvalidInput,
    InvalidState, RateLimited, NotFound."""
    name, mobile = form.name.data or "", form.mobile.data or ""
    return province_admin.appoint_administrator(slug, name, mobile, **operator_arguments())


@platform.post("/provinces/<string:slug>/administrators/<uuid:account_id>/<string:action_name>")
@require("platform.operate")
def change_administrator(slug: str, account_id: UUID, action_name: str) -> Response | tuple[str, int]:
    """Close an administrator's account, reopen it, send the link, or change the mobile number (`action_name`:
    a key of ADMINISTRATOR_ACTIONS); committed there, with the operator's act; a refusal is shown on the page.
    Raises NotFound for another action, province or account, InvalidState if the province was never opened."""
    if action_name not in ADMINISTRATOR_ACTIONS:
        raise NotFound
    action, done_message = ADMINISTRATOR_ACTIONS[action_name]
    typed_text = request.form.get("given", "").strip()
    arguments = [typed_text] if action_name in ACTIONS_WITH_TEXT else []
    try:
        action(slug, account_id, *arguments, **operator_arguments())
    except (InvalidInput, InvalidState, RateLimited) as refusal:
        return refused_response(_render_administrators(slug, refused=refusal.message), refusal)
    flash(done_message)
    return redirect(url_for("platform.administrators", slug=slug), 303)


def _render_administrators(
    slug: str,
    *,
    form: AdministratorForm | None = None,
    refused: str = "",
) -> str:
    """The administrators of the province with this slug, with the form to appoint one; `refused`: why an
    action was refused. Raises NotFound, InvalidState if the province was never opened."""
    accounts = province_admin.administrators(slug)
    open_count = sum(account.state != "closed" for account, _ in accounts)
    return render_template(
        "platform/administrators.html",
        rows=accounts,
        of=by_slug(slug),
        states=ACCOUNT_STATES,
        refused=refused,
        form=form or AdministratorForm(formdata=None),
        address=f"{AppConfig.current().public_url}/{slug}/login?staff=1",
        may_appoint=open_count < MAX_APPOINTED_BY_OPERATORS,
    )
