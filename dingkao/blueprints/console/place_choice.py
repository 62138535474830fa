"""Choosing at which of several organisations one acts (切换身份), in the console's top bar."""

from flask import flash, redirect, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.errors import InvalidInput
from dingkao.tenants.acting_place import place_code
from dingkao.web.access_control import PLACE_COOKIE, require
from dingkao.web.province_cookies import set_cookie

place_choice = console_blueprint("place_choice")


@place_choice.post("/office/place")
@require("console.open")
def choose_place() -> Response:
    """Act at one place from now on in this browser (a cookie), or with "" at all at once, and go to the first
    page. Raises InvalidInput for a place where the user holds no role."""
    place = request.form.get("place", "")
    codes = {place_code(membership.organisation_id) for membership in current_user.all_memberships}
    if place and place not in codes:
        raise InvalidInput("您在该机构没有角色，请刷新页面后重试。", "place")
    response = redirect(url_for("dashboard.show_tasks"), 303)
    set_cookie(response, PLACE_COOKIE, place)
    flash("已切换身份。")
    return response
