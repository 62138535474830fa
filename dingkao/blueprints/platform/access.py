"""The blueprint of /platform, open only to operators who have shown their second factor."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, g, redirect, request, url_for
from werkzeug.wrappers import Response

from dingkao.errors import Refusal
from dingkao.operators import operator_authentication
from dingkao.operators.operator_authentication import OperatorIdentity
from dingkao.tenants.blueprint_guard import platform_blueprint
from dingkao.web.access_control import PUBLIC, required_action
from dingkao.web.form_submission import form_page
from dingkao.web.forms import Form
from dingkao.web.province_cookies import cookie_name
from dingkao.web.refused_responses import refused_response

platform = platform_blueprint(Blueprint("platform", "dingkao", url_prefix="/platform"))
ViewResponse = Response | tuple[str, int] | str
ENDPOINTS_BEFORE_SECOND_FACTOR = (
    "platform.second_factor",
    "platform.sign_out",
)
MENU = (
    ("platform.list_provinces", "省份", "map"),
    ("platform.manage_shared_banks", "共享题库", "books"),
)
"""The side navigation: endpoint, label, icon."""


@platform.before_request
def require_operator() -> Response | None:
    """Before each view: load the operator of the session into `g.operator` (None without one; that it is used
    now is stored), and redirect everybody else, and operators before their second factor, to the sign-in
    pages, but from views that are PUBLIC."""
    token = request.cookies.get(cookie_name())
    g.operator = operator_authentication.load_session(token) if token else None
    if required_action(request.endpoint or "") == PUBLIC:
        return None
    return _redirect_to_sign_in(g.operator)


def _redirect_to_sign_in(
    operator: OperatorIdentity | None,
) -> Response | None:
    """A redirect to the step of signing in that is missing; None if none is."""
    if operator is None:
        return redirect(url_for("platform.sign_in"))
    if operator.is_second_factor_shown or request.endpoint in ENDPOINTS_BEFORE_SECOND_FACTOR:
        return None
    return redirect(url_for("platform.second_factor"))


@platform.context_processor
def menu() -> dict[str, Any]:
    """The variable `menu` of the layout: one group without title, with entries (URL, label, icon, whether it
    is the current page)."""
    entries = [
        (url_for(endpoint), label, icon, request.endpoint == endpoint) for endpoint, label, icon in MENU
    ]
    return {"menu": [("", entries)]}


def current_operator() -> OperatorIdentity:
    """The operator who is signed in; in views that aren't PUBLIC, where `require_operator` has loaded one."""
    operator: OperatorIdentity = g.operator
    return operator


def operator_arguments() -> dict[str, Any]:
    """The operator who is signed in as keyword arguments of the rooms' functions: id and name."""
    return {
        "operator": current_operator().operator,
        "name": current_operator().name,
    }


def submit_or_render(
    form: Form,
    act: Callable[[], Response],
    render: Callable[[], str],
    *refusals: type[Refusal],
) -> ViewResponse:
    """Call `act` if the form was sent and is valid, and return its response; else return the page of
    `render`, with status 422 if the form was sent. If `act` raises one of `refusals`, its message is shown in
    the form, with its status. Raises other refusals."""
    if form.validate_on_submit():
        try:
            return act()
        except refusals as refusal:
            form.add_refusal(refusal)
            return refused_response(render(), refusal)
    return form_page(render())
