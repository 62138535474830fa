"""Notices to the doctor (消息)."""

from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments.doctor_notices import mark_read
from dingkao.people.notices import (
    get_notice,
    has_unread_notices,
    list_notices,
)
from dingkao.web.access_control import require
from dingkao.web.province_blueprint import province_blueprint

notices = province_blueprint("notices")
PAGE_SIZE = 100
TARGET_LINKS = {
    "filing": ("去填报信息", "filing.start"),
    "practice": ("去在线学习", "practice.choose_bank"),
    "sitting": ("去参加测评", "sitting.list_papers"),
    "result": ("查看考核结果", "result.show_result"),
    "requests": ("查看我的申请", "requests.list"),
    "cases": ("去说明情况", "sitting.list_cases"),
}
"""Target of a notice → text and endpoint of its link."""


@notices.get("/notices", endpoint="list")
@require("notices.own")
def show_notices() -> str:
    """A page of the notices, the newest first, from those older than the notice `before` of the address; with
    `unread` only unread ones. Showing them marks none as read."""
    unread_only = "unread" in request.args
    before = _parse_id(request.args.get("before", ""))
    account_notices = list_notices(
        current_user.id,
        unread_only=unread_only,
        before=before,
        limit=PAGE_SIZE + 1,
    )
    has_more = len(account_notices) > PAGE_SIZE
    return render_template(
        "doctor/notices/list.html",
        rows=account_notices[:PAGE_SIZE],
        onward=account_notices[PAGE_SIZE - 1].id if has_more else None,
        unread=unread_only,
        waiting=has_unread_notices(current_user.id),
        before=before,
    )


@notices.get("/notices/<uuid:notice_id>")
@require("notices.own")
def show_notice(notice_id: UUID) -> str:
    """One notice, with a link to the page on which the doctor acts, if it has one; it isn't marked as read
    here (`open_notice`). Raises NotFound."""
    notice = get_notice(notice_id, current_user.id)
    label, endpoint = TARGET_LINKS[notice.target] if notice.target else ("", None)
    address = url_for(endpoint) if endpoint else None
    return render_template(
        "doctor/notices/notice.html",
        row=notice,
        label=label,
        address=address,
    )


@notices.post("/notices/<uuid:notice_id>/read")
@require("notices.own")
def open_notice(notice_id: UUID) -> Response:
    """Mark a notice as read, and redirect to it; for the notice of a result the days for an appeal begin
    then. Marks nothing that isn't the doctor's own and unread; the page then raises NotFound for
    another's."""
    mark_read(current_user.id, notice_id, by=current_user.as_actor())
    return redirect(url_for("notices.show_notice", notice_id=notice_id), 303)


@notices.post("/notices/read")
@require("notices.own")
def mark_all_read() -> Response:
    """Mark all unread notices as read, and return to the list; if the notice of a result is among them, the
    days for an appeal begin then."""
    mark_read(current_user.id, by=current_user.as_actor())
    return redirect(url_for("notices.list"), 303)


def _parse_id(text: str) -> UUID | None:
    """The id of the notice that the page begins after, with older ones; None if the text is no id, which
    shows the first page."""
    try:
        return UUID(text)
    except ValueError:
        return None
