"""Enrolment in the console: the cycle and its phases; who is included in it."""

from functools import partial
from typing import Any

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import DateField, IntegerField, StringField

from dingkao.assessments import assessment_transitions, cycle_start
from dingkao.assessments.enrolment import (
    InclusionResult,
    enqueue_inclusion,
    exclude,
    include,
)
from dingkao.assessments.enrolment_lists import (
    UNSUBMITTED_STATES,
    list_records,
    records_page,
    state_counts,
)
from dingkao.assessments.models import ASSESSMENT_STATES, Assessment
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.cycles.cycles import (
    current_cycle,
    phases_of,
    require_current_cycle,
)
from dingkao.cycles.models import PHASES, Cycle
from dingkao.database.base import db
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.doctor_queries import doctors_by_id
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, InvalidState
from dingkao.integrations.spreadsheets.xlsx_writer import (
    write_xlsx as write_sheet,
)
from dingkao.jobs import enqueueing
from dingkao.journal.state_machine import starts_from
from dingkao.people.name_lookups import organisation_names
from dingkao.web.access_control import current_grant, require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import Form, Required, ticked_ids
from dingkao.web.request_lifecycle import xlsx_response

enrolment = console_blueprint("enrolment")
MAX_REASONS_SHOWN = 3
MAX_EXPORTED = 1000
EXPORT_HEADINGS = [
    "姓名",
    "证件号码",
    "级别",
    "执业类别",
    "科室",
    "状态",
]


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
    """The current cycle: opening the next one when it is over; correcting it while no doctor is included."""
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
    """What the page shows of the current cycle; empty before the first."""
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
    """Correct the current cycle if the form is about it, else open another one. Returns the sentence to show.
    Raises InvalidInput, InvalidState."""
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
@require("enrolment.manage")
def inclusion() -> str:
    """The assessments of the cycle by state: included, not yet included, not submitted."""
    cycle = current_cycle()
    context = _inclusion_context(cycle) if cycle else {}
    return render_template("console/enrolment/inclusion.html", cycle=cycle, **context)


def _inclusion_context(cycle: Cycle) -> dict[str, Any]:
    """Template variables of the list of assessments."""
    state, name = _list_filter()
    grant = current_grant()
    counts = state_counts(cycle, grant)
    page = records_page(cycle, grant, state, name, request.args.get("after"))
    return {
        "counts": counts,
        "unsubmitted": sum(counts[unsubmitted_state] for unsubmitted_state in UNSUBMITTED_STATES),
        "page": page,
        "people": doctors_by_id(record.doctor_id for record in page.rows),
        "places": organisation_names(record.institution_id for record in page.rows),
        "state": state,
        "name": name,
        "states": ASSESSMENT_STATES,
        "levels": LEVELS,
        "categories": CATEGORIES,
        "including": starts_from(Assessment, "include", state),
        "excluding": starts_from(Assessment, "exclude", state),
        "max_reason_length": assessment_transitions.MAX_REASON_LENGTH,
    }


def _list_filter() -> tuple[str, str]:
    """The state and the doctor's name to which the list is limited ("" for any name)."""
    return request.args.get("state", "not_included"), request.args.get("name", "").strip()


@enrolment.get("/office/inclusion/list.xlsx")
@require("enrolment.export")
def export_list() -> FlaskResponse:
    """The list as shown, as xlsx; numbers masked, at most MAX_EXPORTED people (domain.md §12). Raises
    NotFound, InvalidState for a longer list."""
    cycle = require_current_cycle()
    state, name = _list_filter()
    records = list_records(cycle, current_grant(), state, name, limit=MAX_EXPORTED + 1)
    if len(records) > MAX_EXPORTED:
        raise InvalidState(f"一次最多导出{MAX_EXPORTED}人，请按状态或姓名缩小范围后再导出。")
    doctors = doctors_by_id(record.doctor_id for record in records)
    rows = [_export_row(record, doctors[record.doctor_id]) for record in records]
    return xlsx_response(write_sheet(EXPORT_HEADINGS, rows, "考核名单"), "list.xlsx")


def _export_row(record: Assessment, doctor: Doctor) -> tuple[str, ...]:
    return (
        doctor.name,
        doctor.number_masked,
        LEVELS[doctor.level],
        CATEGORIES[doctor.category],
        doctor.department or "",
        ASSESSMENT_STATES[record.state],
    )


@enrolment.post("/office/inclusion")
@require("enrolment.manage")
def include_doctors() -> Response:
    """Include the ticked doctors, or with a job all who aren't included. Raises NotFound before the first
    cycle."""
    cycle = require_current_cycle()
    by = current_user.as_actor()
    if "all" in request.form:
        job = enqueue_inclusion(cycle, by=by)
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    ids = ticked_ids()
    if not ids:
        flash("请先勾选要纳入的医师。", "refusal")
        return redirect(url_for("enrolment.inclusion"), 303)
    result = include(cycle, ids, by=by, grant=current_grant())
    flash(f"已纳入{result.included_count}人。{_skipped_text(result)}")
    return redirect(url_for("enrolment.inclusion"), 303)


def _skipped_text(result: InclusionResult) -> str:
    """How many doctors could not be included, with up to MAX_REASONS_SHOWN reasons; "" if all could."""
    reasons = sorted({reason for _, reason in result.skipped})
    if not reasons:
        return ""
    ending = f" 等{len(reasons)}种原因" if len(reasons) > MAX_REASONS_SHOWN else ""
    return f"{len(result.skipped)}人未能纳入：{' '.join(reasons[:MAX_REASONS_SHOWN])}{ending}"


@enrolment.post("/office/inclusion/remove")
@require("enrolment.manage")
def exclude_doctors() -> Response | tuple[str, int]:
    """Exclude the ticked doctors, with a reason."""
    cycle = require_current_cycle()
    reason = request.form.get("reason", "")
    by = current_user.as_actor()
    try:
        result = exclude(
            cycle,
            ticked_ids(),
            by=by,
            grant=current_grant(),
            reason=reason,
        )
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
        return inclusion(), refusal.status
    message = f"已移出{result.included_count}人。"
    if result.skipped:
        message += f"{len(result.skipped)}人未能移出，因为已开始填报。"
    flash(message)
    return redirect(url_for("enrolment.inclusion", state="included"), 303)
