"""The display mode that a user has chosen: standard, or larger text and stronger contrast (长辈模式).

A cookie of the province stores it, so that every page has it from its first byte, also a page that makes no
query. The account carries the choice from one phone to another (`access_control.sign_in`). Choosing isn't
entered in the journal, because nothing in the assessment changes."""

from flask import redirect, render_template, request
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.public.sign_in.login import (
    LAST_PROVINCE_COOKIE,
)
from dingkao.errors import InvalidInput
from dingkao.people.models import DISPLAY_MODES
from dingkao.tenants.middleware import PROVINCE_KEY
from dingkao.tenants.registry import by_slug
from dingkao.web.access_control import (
    DISPLAY_COOKIE_SECONDS,
    PUBLIC,
    require,
)
from dingkao.web.local_paths import is_local_path
from dingkao.web.province_blueprint import province_blueprint
from dingkao.web.province_cookies import cookie_name, set_cookie

display_mode = province_blueprint("display_mode")


@display_mode.app_context_processor
def current_display_mode() -> dict[str, bool]:
    """The variable `senior` of all templates: whether 长辈模式 is chosen. Outside provinces the cookie of the
    province visited last is read."""
    last = None if PROVINCE_KEY in request.environ else by_slug(request.cookies.get(LAST_PROVINCE_COOKIE, ""))
    return {"senior": request.cookies.get(cookie_name("display", last)) == "senior"}


@display_mode.route("/display", methods=["GET", "POST"])
@require(PUBLIC)
def choose_display_mode() -> Response | str:
    """The page to choose the display mode; after choosing, which the browser and the account of whoever is
    signed in remember, back to the page the user came from. Raises InvalidInput for an unknown mode."""
    if request.method != "POST":
        return render_template(
            "public/display_mode.html",
            displays=DISPLAY_MODES,
            back=_return_page(),
        )
    chosen_mode = request.form.get("display", "")
    if chosen_mode not in DISPLAY_MODES:
        raise InvalidInput("请选择一种显示方式。", "display")
    response = redirect(_return_page(), 303)
    set_cookie(response, "display", chosen_mode, DISPLAY_COOKIE_SECONDS)
    if current_user.is_authenticated:
        current_user.account.display = chosen_mode
    return response


def _return_page() -> str:
    """The path, with the province's, of the page from which the user came (`back` in the address, a path
    below the province's), if that is a local path; else of the start."""
    path = request.args.get("back", "")
    return request.script_root + (path if is_local_path(path) else "/start")
