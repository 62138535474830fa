"""Enrolment in the console: the cycle and its phases; who is on its list."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import Select, func, select
from werkzeug.wrappers import Response
from wtforms import DateField, IntegerField, StringField

from dingkao.assessments.enrolment import ask_inclusion, enrol, exclude, include, of_doctor
from dingkao.assessments.models import STATES, Assessment
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, OF_INSTITUTION, of_office
from dingkao.blueprints.forms import Form, Needed, chosen
from dingkao.blueprints.web import xlsx
from dingkao.cycles.models import PHASES, Cycle
from dingkao.cycles.opening import current_cycle, open_cycle, phases_of
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotAllowed, NotFound
from dingkao.outside.sheets import write as write_sheet
from dingkao.people.models import Organisation

enrolment = of_office("enrolment")
REASONS_SHOWN, MOST_EXPORTED = 3, 1000
UNSUBMITTED = ("included", "draft", "institution_returned")


class CycleForm(Form):
    """A cycle and its phases."""

    label = StringField("周期名称", [Needed("请填写周期名称,如2024年07月-2025年07月。")])
    starts_on = DateField("周期开始", [Needed("请选择开始日期。")])
    ends_on = DateField("周期结束", [Needed("请选择结束日期。")])
    years = IntegerField("考核年数", [Needed("请填写年数。")], default=3)


for _kind, _name in PHASES.items():
    setattr(CycleForm, f"{_kind}_first", DateField(f"{_name}开始", [Needed(f"请选择{_name}阶段的开始日期。")]))
    setattr(CycleForm, f"{_kind}_last", DateField(f"{_name}结束", [Needed(f"请选择{_name}阶段的结束日期。")]))


@enrolment.route("/office/cycle", methods=["GET", "POST"])
@allow(ADMIN)
def cycle() -> Response | tuple[str, int] | str:
    """The cycle being worked in, and opening the next."""
    form = CycleForm()
    if form.validate_on_submit():
        days = {kind: (form[f"{kind}_first"].data, form[f"{kind}_last"].data) for kind in PHASES}
        try:
            opened = open_cycle(
                form.label.data or "", form.starts_on.data, form.ends_on.data, days, years=form.years.data, by=current_user.actor()
            )
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            flash(f"周期“{opened.label}”已开始,名单中{enrol(opened)}位医师可以纳入。")
            return redirect(url_for("enrolment.cycle"), 303)
    now = current_cycle()
    shown = render_template("enrolment/cycle.html", form=form, cycle=now, phases=phases_of(now) if now else {}, names=PHASES)
    return (shown, 422) if request.method == "POST" else shown


def _bound() -> list[UUID] | None:
    """The institutions whose doctors this person may include; None for the whole province."""
    return None if ADMIN in current_user.roles else current_user.organisations(*OF_INSTITUTION)


def _listed(cycle: Cycle, state: str, name: str) -> Select[Any]:
    """The records of a cycle in a state (or in those of «unsubmitted»), of a name where one is given, that this person may see."""
    query, bound = select(Assessment).where(Assessment.cycle_id == cycle.id), _bound()
    query = query.where(Assessment.state.in_(UNSUBMITTED) if state == "unsubmitted" else Assessment.state == state)
    if bound is not None:
        query = query.where(Assessment.institution_id.in_(bound))
    if name:
        query = query.join(Doctor, of_doctor()).where(Doctor.name == name)
    return query


def _people(records: Sequence[Assessment]) -> dict[UUID, Doctor]:
    return {row.id: row for row in db.session.scalars(select(Doctor).where(Doctor.id.in_([one.doctor_id for one in records])))}


@enrolment.get("/office/inclusion")
@allow(ADMIN, *OF_INSTITUTION)
def inclusion() -> str:
    """Who is on the list of the cycle, who isn't yet, and who has not submitted."""
    now, state, name = current_cycle(), request.args.get("state", "not_included"), request.args.get("name", "").strip()
    if now is None:
        return render_template("enrolment/inclusion.html", cycle=None)
    counted, bound = select(Assessment.state, func.count()).where(Assessment.cycle_id == now.id), _bound()
    if bound is not None:
        counted = counted.where(Assessment.institution_id.in_(bound))
    counts = dict(db.session.execute(counted.group_by(Assessment.state)).all())
    found = page(_listed(now, state, name), [Assessment.id], request.args.get("after"), 100)
    places = {row.id: row.name for row in db.session.scalars(select(Organisation).where(Organisation.id.in_({one.institution_id for one in found.rows})))}
    return render_template(
        "enrolment/inclusion.html", cycle=now, counts=counts, unsubmitted=sum(counts.get(one, 0) for one in UNSUBMITTED), page=found,
        people=_people(found.rows), places=places, state=state, name=name, states=STATES, levels=LEVELS, categories=CATEGORIES,
    )  # fmt: skip


@enrolment.get("/office/inclusion/list.xlsx")
@allow(ADMIN, *OF_INSTITUTION)
def sheet() -> FlaskResponse:
    """The list as shown, as a sheet; numbers masked, a thousand people at the most (domain.md §12)."""
    now, state = current_cycle(), request.args.get("state", "not_included")
    if now is None:
        raise NotFound
    records = db.session.scalars(_listed(now, state, request.args.get("name", "").strip()).order_by(Assessment.id).limit(MOST_EXPORTED + 1)).all()
    if len(records) > MOST_EXPORTED:
        raise NotAllowed(f"一次最多导出{MOST_EXPORTED}人,请按状态或姓名缩小范围后再导出。")
    people = _people(records)
    rows = []
    for record in records:
        doctor = people[record.doctor_id]
        words = (doctor.name, doctor.number_masked, LEVELS[doctor.level], CATEGORIES[doctor.category], doctor.department or "", STATES[record.state])
        rows.append(words)
    return xlsx(write_sheet(["姓名", "证件号码", "级别", "执业类别", "科室", "状态"], rows, "考核名单"), "list.xlsx")


@enrolment.post("/office/inclusion")
@allow(ADMIN, *OF_INSTITUTION)
def include_doctors() -> Response:
    """Put the ticked doctors on the list, or all who aren't on it."""
    now = current_cycle()
    if now is None:
        raise NotFound
    bound = _bound()
    if "all" in request.form:
        job = ask_inclusion(now, by=current_user.actor(), institutions=bound)
        return redirect(url_for("work.show", job_id=job.id), 303)
    ids = chosen()
    if not ids:
        flash("请先勾选要纳入的医师。")
        return redirect(url_for("enrolment.inclusion"), 303)
    outcome = include(now, ids, by=current_user.actor(), institutions=bound)
    reasons = sorted({reason for _, reason in outcome.left_out})
    more = f" 等{len(reasons)}种原因" if len(reasons) > REASONS_SHOWN else ""
    flash(
        f"已纳入{outcome.done}人。"
        + (f"{len(outcome.left_out)}人未能纳入:{' '.join(reasons[:REASONS_SHOWN])}{more}" if reasons else "")
    )
    return redirect(url_for("enrolment.inclusion"), 303)


@enrolment.post("/office/inclusion/remove")
@allow(ADMIN, *OF_INSTITUTION)
def exclude_doctors() -> Response:
    """Take the ticked doctors off the list, with a reason."""
    now = current_cycle()
    if now is None:
        raise NotFound
    try:
        outcome = exclude(now, chosen(), by=current_user.actor(), institutions=_bound(), reason=request.form.get("reason", ""))
    except Invalid as refusal:
        flash(refusal.sentence)
    else:
        left = f"{len(outcome.left_out)}人未能移出,因为已开始填报。" if outcome.left_out else ""
        flash(f"已移出{outcome.done}人。{left}")
    return redirect(url_for("enrolment.inclusion", state="included"), 303)
