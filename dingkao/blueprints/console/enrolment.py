"""Enrolment in the console: the cycle and its phases; who is included in it."""

from functools import partial
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import DateField, IntegerField, StringField

from dingkao.assessments import assessment_transitions, cycle_start
from dingkao.assessments.enrolment import InclusionResult, exclude, include
from dingkao.assessments.inclusion_jobs import NOT_INCLUDED, enqueue_inclusion
from dingkao.assessments.models import Assessment
from dingkao.assessments.record_list import RECORD_LIST, STATE_FILTER, preset_state
from dingkao.blueprints.console.listing_pages import (
    is_whole_view_selected,
    open_list,
    posted_view_address,
    selected_ids,
    selected_view,
)
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.cycles.cycles import (
    current_cycle,
    phases_of,
    require_current_cycle,
)
from dingkao.cycles.models import PHASES, Cycle
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListRow
from dingkao.errors import InvalidInput, InvalidState
from dingkao.jobs import enqueueing
from dingkao.journal.state_machine import starts_from
from dingkao.web.access_control import current_grant, require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import Form, Required, ticked_ids

enrolment = console_blueprint("enrolment")
MAX_REASONS_SHOWN = 3
LATE_EXCLUSION_TEXT = "可在医师的页面申请移出，由上级卫生健康行政部门同意。"
MAX_EXCLUDED = 1000


class CycleForm(Form):
    """A cycle; the first and last day of each phase are fields added below."""

    label = StringField(
        "周期名称",
        [Required("请填写周期名称，如2024年07月-2025年07月。")],
    )
    starts_on = DateField("周期开始", [Required("请选择开始日期。")])
    ends_on = DateField("周期结束", [Required("请选择结束日期。")])
    years = IntegerField("考核年数", [Required("请填写年数。")], default=3)


for _kind, _name in PHASES.items():
    setattr(
        CycleForm,
        f"{_kind}_first",
        DateField(
            f"{_name}开始",
            [Required(f"请选择{_name}阶段的开始日期。")],
        ),
    )
    setattr(
        CycleForm,
        f"{_kind}_last",
        DateField(
            f"{_name}结束",
            [Required(f"请选择{_name}阶段的结束日期。")],
        ),
    )


@enrolment.route("/office/cycle", methods=["GET", "POST"])
@require("cycle.manage")
def cycle() -> Response | tuple[str, int] | str:
    """The current cycle: opening the first one, or the next one when it is over; correcting it while no
    doctor is included. A refusal is shown in the form."""
    current = current_cycle()
    form = CycleForm(data=_first_values(current))
    message = submit_form(
        form,
        partial(_save_cycle, form, current),
        refusals=(InvalidInput, InvalidState),
    )
    if message is not None:
        flash(message)
        return redirect(url_for("enrolment.cycle"), 303)
    page = render_template(
        "console/enrolment/cycle.html",
        form=form,
        names=PHASES,
        **_cycle_facts(current),
    )
    return form_page(page)


def _first_values(current: Cycle | None) -> dict[str, Any] | None:
    """The initial values of the form: the current cycle while no other can be opened, else none."""
    if current is None or cycle_start.blocking_reason(current) is None:
        return None
    return _form_values_of(current)


def _cycle_facts(current: Cycle | None) -> dict[str, Any]:
    """Template variables: the current cycle, its phases, why no other can be opened (None if one can),
    whether it may be corrected, and the job that makes the doctors' records; all empty before the first
    cycle."""
    if current is None:
        return {
            "cycle": None,
            "phases": {},
            "closed": None,
            "may_correct": False,
            "job": None,
        }
    reason = cycle_start.blocking_reason(current)
    return {
        "cycle": current,
        "phases": phases_of(current),
        "closed": reason,
        "may_correct": reason is not None and cycle_start.can_correct_cycle(current),
        "job": enqueueing.latest_job_about(current.id, "enrol_all"),
    }


def _save_cycle(form: CycleForm, current: Cycle | None) -> str:
    """Correct the current cycle if the form is about it (`cycle` is its id), else open another one, whose
    records a job makes. Returns the sentence to show. Raises InvalidInput, InvalidState."""
    label = form.label.data or ""
    starts_on = form.starts_on.data
    ends_on = form.ends_on.data
    phases = {kind: (form[f"{kind}_first"].data, form[f"{kind}_last"].data) for kind in PHASES}
    years, by = form.years.data, current_user.as_actor()
    if current and request.form.get("cycle") == str(current.id):
        cycle_start.correct_empty_cycle(
            current,
            label,
            starts_on,
            ends_on,
            phases,
            years=years,
            by=by,
        )
        return "已更正当前周期。"
    opened = cycle_start.start_cycle(label, starts_on, ends_on, phases, years=years, by=by)
    return f"周期“{opened.label}”已开始，正在为名单中的医师建立考核记录，可在“任务”中查看进度。"


def _form_values_of(cycle: Cycle) -> dict[str, Any]:
    """The stored values of a cycle, by form field."""
    values: dict[str, Any] = {
        "label": cycle.label,
        "starts_on": cycle.starts_on,
        "ends_on": cycle.ends_on,
        "years": cycle.years,
    }
    for kind, phase in phases_of(cycle).items():
        values[f"{kind}_first"] = phase.first_day
        values[f"{kind}_last"] = phase.last_day
    return values


@enrolment.get("/office/inclusion")
@enrolment.post("/office/inclusion/search", endpoint="search_inclusion")
@require("enrolment.manage")
def inclusion() -> str | Response:
    """The assessments of the cycle within the user's grant; those in the state that the user is likely to
    look for (`preset_state`) unless the address says otherwise."""
    cycle = current_cycle()
    if cycle is None:
        return render_template("console/enrolment/inclusion.html", cycle=None)
    view = open_list(
        RECORD_LIST,
        presets={STATE_FILTER: preset_state(cycle, current_grant())},
        links={"name": _doctor_address},
        endpoint="enrolment.inclusion",
        search_endpoint="enrolment.search_inclusion",
    )
    if isinstance(view, Response):
        return view
    state = view.state.filters.get(STATE_FILTER, "")
    return render_template(
        "console/enrolment/inclusion.html",
        cycle=cycle,
        view=view,
        including=starts_from(Assessment, "include", state),
        excluding=starts_from(Assessment, "exclude", state),
        max_reason_length=assessment_transitions.MAX_REASON_LENGTH,
    )


def _doctor_address(row: ListRow) -> str:
    """The address of the page of a row's doctor; a row is the record, then the doctor."""
    return url_for("doctors.show_doctor", doctor_id=row[1].id)


@enrolment.post("/office/inclusion")
@require("enrolment.manage")
def include_doctors() -> Response:
    """Include the ticked doctors, or with a job all of a view, or all who aren't included, and notify them;
    locks the ticked records. How many could not be included, and why, is said above the list, as is that
    nobody was ticked. Raises NotFound before the first cycle, InvalidInput for a view that no longer is one,
    and for more ticks than a form may have."""
    cycle = require_current_cycle()
    by = current_user.as_actor()
    if "all" in request.form or is_whole_view_selected():
        state = NOT_INCLUDED if "all" in request.form else selected_view(RECORD_LIST)
        job = enqueue_inclusion(cycle, by=by, state=state)
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    ids = ticked_ids()
    if not ids:
        flash("请先勾选要纳入的医师。", "refusal")
        return redirect(_posted_view_address(), 303)
    result = include(cycle, ids, by=by, grant=current_grant())
    flash(f"已纳入{result.included_count}人。{_skipped_text(result)}")
    return redirect(_posted_view_address(), 303)


def _posted_view_address() -> str:
    """The address of the view of the list from which the form was sent."""
    return posted_view_address(RECORD_LIST, "enrolment.inclusion", STATE_FILTER)


def _skipped_text(result: InclusionResult) -> str:
    """How many doctors could not be included, with up to MAX_REASONS_SHOWN reasons; "" if all could."""
    reasons = sorted({reason for _, reason in result.skipped})
    if not reasons:
        return ""
    ending = f" 等{len(reasons)}种原因" if len(reasons) > MAX_REASONS_SHOWN else ""
    return f"{len(result.skipped)}人未能纳入：{' '.join(reasons[:MAX_REASONS_SHOWN])}{ending}"


@enrolment.post("/office/inclusion/remove")
@require("enrolment.manage")
def exclude_doctors() -> Response | tuple[str | Response, int]:
    """Exclude the ticked doctors, or all of a view, with a reason, and notify them; of more than MAX_EXCLUDED
    the first ones. Who has begun to file is left out and counted; a refusal is shown above the list. Raises
    NotFound before the first cycle."""
    cycle = require_current_cycle()
    try:
        result = exclude(
            cycle,
            selected_ids(RECORD_LIST, MAX_EXCLUDED),
            by=current_user.as_actor(),
            grant=current_grant(),
            reason=request.form.get("reason", ""),
        )
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
        return inclusion(), refusal.status
    message = f"已移出{result.included_count}人。"
    if result.skipped:
        message += f"{len(result.skipped)}人未能移出，因为已开始填报；{LATE_EXCLUSION_TEXT}"
    flash(message)
    return redirect(_posted_view_address(), 303)
