"""缺考确认 in the console: whom the system has marked absent, the clerk's draft, and confirming."""

from typing import Any

from flask import (
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments import absences as absence_list
from dingkao.blueprints.console.navigation import (
    console_blueprint,
)
from dingkao.cycles.cycles import (
    current_cycle,
    require_current_cycle,
)
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.errors import InvalidInput
from dingkao.exams.sitting_descriptions import (
    describe_people,
)
from dingkao.people.name_lookups import account_names
from dingkao.web.access_control import (
    current_grant,
    require,
)
from dingkao.web.forms import ticked_ids

absences = console_blueprint("absences")


@absences.get("/office/absences")
@require("absences.prepare")
def list_absences() -> str:
    """The absences that wait for confirmation, with what was drafted about them."""
    cycle = current_cycle()
    context = _list_context(cycle) if cycle else {}
    return render_template("console/absences/list.html", cycle=cycle, **context)


def _list_context(cycle: Cycle) -> dict[str, Any]:
    """Template variables of the list."""
    page = absence_list.absences_page(cycle, current_grant(), request.args.get("after"))
    return {
        "page": page,
        "people": describe_people(page.rows),
        "drafters": account_names(record.absence_drafted_by for record in page.rows),
        "count": absence_list.count_unconfirmed(cycle, current_grant()),
        "max_note_length": absence_list.MAX_NOTE_LENGTH,
    }


@absences.post("/office/absences/draft")
@require("absences.prepare")
def draft_absences() -> Response | tuple[str, int]:
    """Put the ticked records into the draft, with a note. Raises NotFound before the first cycle."""
    try:
        drafted_count = absence_list.draft_absences(
            require_current_cycle(),
            ticked_ids(),
            note=request.form.get("note", ""),
            grant=current_grant(),
            by=current_user.as_actor(),
        )
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
        return list_absences(), refusal.status
    flash(f"已把{drafted_count}人列入缺考草稿，由考核机构复核人确认后生效。")
    return redirect(url_for("absences.list_absences"), 303)


@absences.post("/office/absences")
@require("sittings.mark_absent")
def confirm_absences() -> Response:
    """Confirm the absence of the ticked records, or with a job of all. Raises NotFound before the first
    cycle."""
    cycle, by = (
        require_current_cycle(),
        current_user.as_actor(),
    )
    if "all" in request.form:
        job = absence_list.enqueue_confirmation(cycle, by=by)
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    confirmed_count, reasons = absence_list.confirm_absences(
        cycle,
        ticked_ids(),
        grant=current_grant(),
        by=by,
    )
    flash(f"已确认{confirmed_count}人缺考，可以进行综合评定。{' '.join(sorted(reasons))}")
    return redirect(url_for("absences.list_absences"), 303)
