"""How pages are shown to someone: as they are, or larger and in stronger contrast (长辈模式).

A cookie of the province decides, so that the first byte of every page is right, of those too that ask no row; the account carries the
choice from one phone to the next (`access.sign_in`). It leaves no entry in the journal: nothing about the doctor's affairs changes.
"""

from urllib.parse import urlsplit

from flask import redirect, render_template, request
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints import of_province
from dingkao.blueprints.access import ANYONE, DISPLAY_SECONDS, allow, cookie_name, set_cookie
from dingkao.blueprints.public import LAST
from dingkao.errors import Invalid
from dingkao.people.models import DISPLAYS
from dingkao.tenants.door import PROVINCE
from dingkao.tenants.registry import by_slug

display = of_province("display")


@display.app_context_processor
def shown() -> dict[str, bool]:
    """What layouts know of it; where no province has been entered, the last one's cookie tells."""
    last = None if PROVINCE in request.environ else by_slug(request.cookies.get(LAST, ""))
    return {"senior": request.cookies.get(cookie_name("display", last)) == "senior"}


@display.route("/display", methods=["GET", "POST"])
@allow(ANYONE)
def choose() -> Response | str:
    """The choice; made, it leads back to the page one came from."""
    if request.method != "POST":
        return render_template("public/display.html", displays=DISPLAYS, back=_back())
    chosen = request.form.get("display", "")
    if chosen not in DISPLAYS:
        raise Invalid("请选择一种显示方式。", "display")
    response = redirect(_back(), 303)
    set_cookie(response, "display", chosen, DISPLAY_SECONDS)
    if current_user.is_authenticated:
        current_user.account.display = chosen
    return response


def _back() -> str:
    """The page of this province that the choice was asked for on."""
    wanted = request.args.get("back", "")
    sound = wanted.startswith("/") and not wanted.startswith("//") and wanted.isprintable() and not urlsplit(wanted).netloc
    return request.script_root + (wanted if sound and "\\" not in wanted else "/start")
