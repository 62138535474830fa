"""综合评定 in the console: the assessments that wait for it, and concluding the ticked ones or all."""

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments.models import VERDICTS
from dingkao.blueprints.console.results.blueprint import results
from dingkao.cycles.cycles import current_cycle, require_current_cycle
from dingkao.cycles.models import Cycle
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.doctor_queries import doctors_by_id
from dingkao.people.name_lookups import organisation_names
from dingkao.results import final_assessments
from dingkao.web.access_control import current_grant, require
from dingkao.web.forms import ticked_ids


@results.get("/office/conclusions")
@require("conclusions.view")
def conclusions() -> str:
    """The assessments that wait for 综合评定."""
    cycle = current_cycle()
    context = _conclusions_context(cycle) if cycle else {}
    return render_template("console/results/conclusions.html", cycle=cycle, **context)


def _conclusions_context(cycle: Cycle) -> dict[str, Any]:
    """Template variables of the list."""
    page = final_assessments.pending_page(cycle, current_grant(), request.args.get("after"))
    return {
        "page": page,
        "people": doctors_by_id(record.doctor_id for record in page.rows),
        "places": organisation_names(record.institution_id for record in page.rows),
        "verdicts": VERDICTS,
        "categories": CATEGORIES,
        "levels": LEVELS,
        "decides": current_user.may("conclusions.decide"),
    }


@results.post("/office/conclusions")
@require("conclusions.decide")
def conclude_records() -> Response:
    """综合评定 of the ticked assessments, or with a job of all that have three verdicts. Raises NotFound
    before the first cycle."""
    cycle = require_current_cycle()
    if "all" in request.form:
        job = final_assessments.enqueue_conclusion(cycle, by=current_user.as_actor())
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    concluded_count, reasons = final_assessments.conclude_records(
        cycle,
        ticked_ids(),
        grant=current_grant(),
        by=current_user.as_actor(),
    )
    flash(f"已完成{concluded_count}人的综合评定，等待省级发布。{' '.join(sorted(reasons))}")
    return redirect(url_for("results.conclusions"), 303)
