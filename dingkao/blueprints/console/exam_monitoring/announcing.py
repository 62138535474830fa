"""Telling something to those who sit: to a hall, a slot or all, and to one; taking it back."""

from dataclasses import replace
from uuid import UUID

from flask import flash, redirect, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.exam_monitoring.blueprint import (
    exam_monitoring,
    filter_for,
    parse_uuid,
)
from dingkao.blueprints.console.exam_monitoring.live_page import (
    address_of_page,
    locations_of_page,
    render_monitoring,
)
from dingkao.blueprints.console.exam_monitoring.sittings import (
    render_sitting,
)
from dingkao.database.base import db
from dingkao.errors import InvalidInput, NotFound
from dingkao.exams import announcements, monitoring
from dingkao.web.access_control import require


@exam_monitoring.post("/office/watching/announce")
@require("sittings.announce")
def announce() -> Response | tuple[str | Response, int]:
    """Tell something to all who sit at the page's location, without one to all whom the user's organisations
    assess; open pages get it with their next heartbeat. A refusal is shown on the live page. Raises NotFound
    for a location out of reach, and without one if the user acts for no assessment organisation."""
    _, _, location = locations_of_page()
    if request.args.get("place") and location is None:
        raise NotFound("没有找到这个考场或场次，请刷新页面后重新选择。")
    monitoring_filter = replace(filter_for("sittings.announce"), location=location)
    try:
        reached_count = announcements.announce(
            monitoring_filter,
            request.form.get("text", ""),
            by=current_user.as_actor(),
        )
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
        return render_monitoring(), refusal.status
    flash(f"已通知正在作答的{reached_count}人，半分钟内显示在作答页面上；之后进入的也会看到。")
    return redirect(_page_of_announcing(), 303)


@exam_monitoring.post("/office/watching/<uuid:sitting_id>/announce")
@require("sittings.announce")
def announce_to_one(
    sitting_id: UUID,
) -> Response | tuple[str, int]:
    """Tell something to the doctor of one sitting, whose page gets it with its next heartbeat; a refusal (of
    the text, or because the sitting is handed in) is shown on the sitting's page. Raises NotFound."""
    record_and_sitting = monitoring.find_visible_sitting_for_update(
        sitting_id, filter_for("sittings.announce")
    )
    if record_and_sitting is None:
        raise NotFound
    try:
        announcements.announce_to_one(
            *record_and_sitting,
            request.form.get("text", ""),
            by=current_user.as_actor(),
        )
    except InvalidInput as refusal:
        db.session.rollback()
        return render_sitting(sitting_id, refusal.message), refusal.status
    flash("已告诉这位医师，半分钟内显示在作答页面上。")
    return redirect(
        url_for(
            "exam_monitoring.show_sitting",
            sitting_id=sitting_id,
        ),
        303,
    )


@exam_monitoring.post("/office/watching/announcements/<uuid:announcement_id>/withdraw")
@require("sittings.announce")
def withdraw_announcement(
    announcement_id: UUID,
) -> Response:
    """Take an announcement back: pages no longer show it. Raises NotFound."""
    announcements.withdraw_announcement(
        announcement_id,
        filter_for("sittings.announce"),
        by=current_user.as_actor(),
    )
    flash("已收回，作答页面半分钟内不再显示。")
    return redirect(_page_of_announcing(), 303)


def _page_of_announcing() -> str:
    """The URL of the page that had the form: of the sitting `back` in the address, else of the live page."""
    if sitting_id := parse_uuid(request.args.get("back", "")):
        return url_for(
            "exam_monitoring.show_sitting",
            sitting_id=sitting_id,
        )
    return address_of_page()
