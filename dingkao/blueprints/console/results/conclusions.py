"""综合评定 in the console: the list of the cycle's results, and concluding the ticked ones, those of a view
or all that wait."""

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments.record_list import STATE_FILTER
from dingkao.blueprints.console.listing_pages import (
    is_whole_view_selected,
    open_list,
    posted_view_address,
    selected_view,
)
from dingkao.blueprints.console.results.blueprint import results
from dingkao.cycles.cycles import current_cycle, require_current_cycle
from dingkao.database.listing.definitions import ListRow
from dingkao.results import final_assessments
from dingkao.results.result_list import RESULT_LIST, preset_state
from dingkao.web.access_control import current_grant, require
from dingkao.web.forms import ticked_ids


@results.get("/office/conclusions")
@results.post("/office/conclusions/search", endpoint="search_conclusions")
@require("conclusions.view")
def conclusions() -> str | Response:
    """The results of the cycle; those in the state that the user is likely to look for (`preset_state`)
    unless the address says otherwise."""
    cycle = current_cycle()
    if cycle is None:
        return render_template("console/results/conclusions.html", cycle=None)
    view = open_list(
        RESULT_LIST,
        presets={STATE_FILTER: preset_state(cycle, current_grant())},
        links={"name": _doctor_address} if current_user.may("doctors.view") else {},
        endpoint="results.conclusions",
        search_endpoint="results.search_conclusions",
    )
    if isinstance(view, Response):
        return view
    return render_template(
        "console/results/conclusions.html",
        cycle=cycle,
        view=view,
        concluding=view.state.filters.get(STATE_FILTER) in final_assessments.WAITING_STATES,
    )


def _doctor_address(row: ListRow) -> str:
    """The address of the page of a row's doctor; a row is the record, then the doctor."""
    return url_for("doctors.show_doctor", doctor_id=row[1].id)


@results.post("/office/conclusions")
@require("conclusions.decide")
def conclude_records() -> Response:
    """综合评定 of the ticked assessments (locked), or with a job of those of a view or all that wait; why
    some of the ticked could not be concluded is said above the list. Raises NotFound before the first cycle,
    InvalidInput for a view that no longer is one, and for more ticks than a form may have."""
    cycle = require_current_cycle()
    by = current_user.as_actor()
    if "all" in request.form or is_whole_view_selected():
        view = "" if "all" in request.form else selected_view(RESULT_LIST).address()
        job = final_assessments.enqueue_conclusion(cycle, by=by, view=view)
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    concluded_count, reasons = final_assessments.conclude_records(
        cycle, ticked_ids(), grant=current_grant(), by=by
    )
    flash(f"已完成{concluded_count}人的综合评定，等待省级发布。{' '.join(sorted(reasons))}")
    return redirect(posted_view_address(RESULT_LIST, "results.conclusions", STATE_FILTER), 303)
