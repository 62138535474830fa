"""Extra time of single doctors: the list, granting, withdrawing."""

from functools import partial
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments.people_search import MAX_SHOWN
from dingkao.blueprints.console.halls.blueprint import (
    halls,
    require_cycle,
)
from dingkao.blueprints.console.halls.forms import ExtraTimeForm
from dingkao.cycles.cycles import current_cycle
from dingkao.cycles.models import Cycle
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.errors import NotFound
from dingkao.exams import extra_time
from dingkao.exams.models.hall_models import ExtraTime
from dingkao.people.name_lookups import organisation_names
from dingkao.people.scopes import Grant
from dingkao.web.access_control import require
from dingkao.web.form_submission import form_page, submit_form


def _scope() -> Grant:
    """The doctors whose extra time the current user manages."""
    return current_user.grant("halls.extra_time")


@halls.get("/office/extra-time")
@require("halls.extra_time")
def list_extra_time() -> str:
    """A page of the doctors who have extra time in the cycle, and a search by name for a doctor to grant it
    to."""
    cycle = current_cycle()
    context = _list_context(cycle) if cycle else {}
    return render_template("console/halls/extra_time_list.html", cycle=cycle, **context)


def _list_context(cycle: Cycle) -> dict[str, Any]:
    """Template variables of the list (`after` in the address), and of the search for a doctor (`name`)."""
    name = request.args.get("name", "").strip()
    page = extra_time.extra_time_page(cycle, _scope(), request.args.get("after"))
    matching_doctors = extra_time.find_doctors(cycle, _scope(), name) if name else []
    named_ids = [
        *(entry.record.institution_id for entry in page.rows),
        *(record.institution_id for _, record in matching_doctors),
    ]
    return {
        "page": page,
        "entries": page.rows,
        "found": matching_doctors,
        "max_shown": MAX_SHOWN,
        "name": name,
        "names": organisation_names(named_ids),
        "reason_of": extra_time.extra_time_reason,
        "categories": CATEGORIES,
        "levels": LEVELS,
    }


@halls.route("/office/extra-time/<uuid:doctor_id>", methods=["GET", "POST"])
@require("halls.extra_time")
def grant_extra_time(
    doctor_id: UUID,
) -> Response | tuple[str, int] | str:
    """Grant one doctor extra time for every paper of the cycle, or change it, for sittings that begin from
    now on; a refusal is shown in the form. Raises NotFound, also before the first cycle."""
    cycle = require_cycle()
    doctor = extra_time.get_enrolled_doctor(doctor_id, cycle, _scope())
    granted = extra_time.find_extra_time(doctor, cycle)
    form = ExtraTimeForm(data=_form_values(granted) if granted else {})
    response = submit_form(form, partial(_save_extra_time, form, doctor, cycle))
    if response is not None:
        return response
    page = render_template(
        "console/halls/grant_extra_time.html",
        form=form,
        doctor=doctor,
        row=granted,
        max_minutes=extra_time.MAX_EXTRA_MINUTES,
        max_percent=extra_time.MAX_EXTRA_PERCENT,
        place=organisation_names([doctor.organisation_id])[doctor.organisation_id],
    )
    return form_page(page)


def _form_values(granted: ExtraTime) -> dict[str, Any]:
    """The stored values, by form field."""
    return {
        "minutes": granted.minutes,
        "percent": granted.percent,
        "reason": extra_time.extra_time_reason(granted),
    }


def _save_extra_time(form: ExtraTimeForm, doctor: Doctor, cycle: Cycle) -> Response:
    """Grant the doctor the extra time in the form, in place of what was granted before in the cycle; the
    reason is stored encrypted. Raises InvalidInput."""
    extra_time.grant_extra_time(
        doctor,
        cycle,
        minutes=form.minutes.data,
        percent=form.percent.data,
        reason=form.reason.data or "",
        by=current_user.as_actor(),
    )
    flash(f"已为{doctor.name}延长作答时间，对之后开始的每份试卷有效。")
    return redirect(url_for("halls.list_extra_time"), 303)


@halls.post("/office/extra-time/<uuid:doctor_id>/withdraw")
@require("halls.extra_time")
def withdraw_extra_time(doctor_id: UUID) -> Response:
    """Withdraw extra time; sittings that have begun keep it. Raises NotFound, also if there is none."""
    cycle = require_cycle()
    doctor = extra_time.get_enrolled_doctor(doctor_id, cycle, _scope())
    granted = extra_time.find_extra_time(doctor, cycle, for_update=True)
    if granted is None:
        raise NotFound
    extra_time.withdraw_extra_time(granted, by=current_user.as_actor())
    flash("已取消延长，已经开始的试卷不受影响。")
    return redirect(url_for("halls.list_extra_time"), 303)
