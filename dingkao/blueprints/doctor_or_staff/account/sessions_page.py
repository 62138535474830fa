"""The sessions of the own account, and signing out: here and on other devices."""

from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.doctor_or_staff.account.blueprint import (
    account,
)
from dingkao.people import sign_in_sessions
from dingkao.web.access_control import (
    BEFORE_SECOND_FACTOR,
    require,
    rotate_csrf_token,
)
from dingkao.web.province_cookies import cookie_name


@account.get("/account/sessions")
@require("account.manage_own")
def sessions() -> str:
    """The list of the account's sessions that haven't ended."""
    return render_template(
        "account/sessions.html",
        rows=sign_in_sessions.live_sessions(current_user.id),
        mine=current_user.session.id,
    )


@account.post("/account/sessions/<uuid:session_id>/end")
@require("account.manage_own")
def end_session(session_id: UUID) -> Response:
    """End the session with that id, if it is another one of the own account, with a journal entry, and say
    whether it was."""
    ended = sign_in_sessions.end_other_sessions(current_user.session, session_id)
    flash("该设备上的登录已退出。" if ended else "该登录已经退出或过期。")
    return redirect(url_for("account.sessions"), 303)


@account.post("/account/sessions/end-others")
@require("account.manage_own")
def end_others() -> Response:
    """End all other sessions of the own account, with a journal entry if there were any, and say how many
    there were."""
    ended = sign_in_sessions.end_other_sessions(current_user.session)
    flash(f"已退出其他{ended}处登录。如果其中有您不认识的设备，请修改密码。" if ended else "没有其他登录。")
    return redirect(url_for("account.sessions"), 303)


@account.post("/sign-out")
@require(BEFORE_SECOND_FACTOR)
def sign_out() -> Response:
    """End this session, without a journal entry, and redirect to the sign-in page; forms that are open become
    invalid."""
    staff = 1 if current_user.account.kind == "staff" else None
    sign_in_sessions.end_session(current_user.session)
    rotate_csrf_token()
    response = redirect(url_for("public.login", ended=1, staff=staff), 303)
    response.delete_cookie(cookie_name())
    return response
