"""缺考确认 in the console: whom the system has marked absent, the clerk's draft, and confirming."""

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments import absences as absence_rules
from dingkao.blueprints.console.listing_pages import (
    is_whole_view_selected,
    open_list,
    posted_view_address,
    selected_ids,
    selected_view,
)
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.cycles.cycles import current_cycle, require_current_cycle
from dingkao.database.base import db
from dingkao.errors import InvalidInput
from dingkao.exams.absence_list import ABSENCE_LIST
from dingkao.web.access_control import current_grant, require
from dingkao.web.forms import ticked_ids

absences = console_blueprint("absences")
MAX_DRAFTED = 1_000


@absences.get("/office/absences")
@absences.post("/office/absences/search", endpoint="search_absences")
@require("absences.prepare")
def list_absences() -> str | Response:
    """The absences of the current cycle within the user's grant that wait for confirmation, with what was
    drafted about them; before the first cycle a page without a list."""
    cycle = current_cycle()
    if cycle is None:
        return render_template("console/absences/list.html", cycle=None)
    view = open_list(
        ABSENCE_LIST,
        endpoint="absences.list_absences",
        search_endpoint="absences.search_absences",
    )
    if isinstance(view, Response):
        return view
    return render_template(
        "console/absences/list.html",
        cycle=cycle,
        view=view,
        max_note_length=absence_rules.MAX_NOTE_LENGTH,
    )


@absences.post("/office/absences/draft")
@require("absences.prepare")
def draft_absences() -> Response | tuple[str | Response, int]:
    """Put the ticked records, or those of a view, MAX_DRAFTED at the most, into the draft, with a note; those
    that don't wait are skipped. If the note or the view is refused, the list with the reason. Raises NotFound
    before the first cycle."""
    try:
        drafted_count = absence_rules.draft_absences(
            require_current_cycle(),
            selected_ids(ABSENCE_LIST, MAX_DRAFTED),
            note=request.form.get("note", ""),
            grant=current_grant(),
            by=current_user.as_actor(),
        )
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
        return list_absences(), refusal.status
    flash(f"已把{drafted_count}人列入缺考草稿，由考核机构复核人确认后生效。")
    return redirect(_posted_view_address(), 303)


def _posted_view_address() -> str:
    """The address of the view of the list from which the form was sent."""
    return posted_view_address(ABSENCE_LIST, "absences.list_absences")


@absences.post("/office/absences")
@require("sittings.mark_absent")
def confirm_absences() -> Response:
    """Confirm the absence of the ticked records (locked) that wait within the user's grant, drafted or not,
    or with a job of those of a view or all; why others could not be confirmed is said above the list. Raises
    NotFound before the first cycle, InvalidInput for a view that no longer is one, and for more ticks than a
    form may have."""
    cycle, by = require_current_cycle(), current_user.as_actor()
    if "all" in request.form or is_whole_view_selected():
        view = "" if "all" in request.form else selected_view(ABSENCE_LIST).address()
        job = absence_rules.enqueue_confirmation(cycle, by=by, view=view)
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    confirmed_count, reasons = absence_rules.confirm_absences(
        cycle, ticked_ids(), grant=current_grant(), by=by
    )
    flash(f"已确认{confirmed_count}人缺考，可以进行综合评定。{' '.join(sorted(reasons))}")
    return redirect(_posted_view_address(), 303)
