"""Notices to the current member of staff (消息)."""

from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.people import notices, staff_notices
from dingkao.web.access_control import require

inbox = console_blueprint("inbox")
PAGE_SIZE = 50


@inbox.get("/office/inbox")
@require("inbox.own")
def list_notices() -> str:
    """A page of the notices, the newest first, from those older than the notice `before` of the address;
    showing them marks none as read."""
    before = _parse_id(request.args.get("before", ""))
    own_notices = notices.list_notices(current_user.id, unread_only=False, before=before, limit=PAGE_SIZE + 1)
    has_more = len(own_notices) > PAGE_SIZE
    return render_template(
        "console/inbox/list.html",
        notices=own_notices[:PAGE_SIZE],
        next_id=own_notices[PAGE_SIZE - 1].id if has_more else None,
        has_unread=notices.has_unread_notices(current_user.id),
        is_first=before is None,
    )


@inbox.post("/office/inbox/read")
@require("inbox.own")
def mark_all_read() -> Response:
    """Mark all notices as read."""
    staff_notices.mark_notices_read(current_user.id)
    return redirect(url_for("inbox.list_notices"), 303)


def _parse_id(text: str) -> UUID | None:
    """The id of the notice before which the page begins; None for any other text."""
    try:
        return UUID(text)
    except ValueError:
        return None
