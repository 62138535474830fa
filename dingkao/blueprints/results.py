"""Results in the console: pass lines, 综合评定, publication."""

from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response

from dingkao.assessments.models import VERDICTS, Assessment
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, AUDITOR, OF_ORGANISATION, of_office
from dingkao.blueprints.forms import chosen
from dingkao.blueprints.web import xlsx
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotFound
from dingkao.outside.sheets import write as write_sheet
from dingkao.people.models import Organisation
from dingkao.results import lines as rules
from dingkao.results import publishing
from dingkao.results.models import Publication, PublicationEntry

results = of_office("results")


def _cycle() -> Cycle:
    cycle = current_cycle()
    if cycle is None:
        raise NotFound("本省还没有开始考核周期。")
    return cycle


@results.get("/office/lines")
@allow(ADMIN)
def lines() -> str:
    """The pass lines, and what each would do."""
    cycle = current_cycle()
    rows = []
    for category, name in CATEGORIES.items():
        for level, level_name in LEVELS.items():
            line = rules.standing(cycle).get((category, level)) if cycle else None
            tenths = line.line_tenths if line else rules.default_tenths(level)
            rows.append((category, level, f"{name} {level_name}", line, tenths, rules.effect(cycle, category, level, tenths) if cycle else None))
    names = {line.id: (publishing.name_of(line.proposed_by), publishing.name_of(line.approved_by)) for *_, line, _, _ in rows if line}
    return render_template("results/lines.html", cycle=cycle, rows=rows, names=names)


@results.post("/office/lines")
@allow(ADMIN)
def propose_line() -> Response:
    """Propose the line of one category and level, or of all that have none."""
    cycle, actor = _cycle(), current_user.actor()
    try:
        if "all" in request.form:
            standing = rules.standing(cycle)
            missing = [(category, level) for category in CATEGORIES for level in LEVELS if (category, level) not in standing]
            for category, level in missing:
                rules.propose(cycle, category, level, rules.default_tenths(level), by=actor)
            flash(f"已按设置提出{len(missing)}条合格线,请由另一位省级管理员确认。")
        else:
            rules.propose(cycle, request.form.get("category", ""), request.form.get("level", ""), _tenths(request.form.get("line", "")), by=actor)
            flash("已提出,请由另一位省级管理员确认。")
    except Invalid as refusal:
        flash(refusal.sentence)
    return redirect(url_for("results.lines"), 303)


def _tenths(text: str) -> int:
    try:
        tenths = float(text) * 10
    except ValueError as fault:
        raise Invalid("合格线请填写0至100的数,最多一位小数。") from fault
    if tenths != tenths or abs(tenths) > 10**6 or abs(tenths - round(tenths)) > 1e-6:
        raise Invalid("合格线请填写0至100的数,最多一位小数。")
    return round(tenths)


@results.post("/office/lines/approve")
@allow(ADMIN)
def approve_lines() -> Response:
    """Approve the ticked proposals; what has been scored gets its verdict."""
    ids = chosen("line")
    for line_id in ids:
        rules.approve(rules.locked(line_id), by=current_user.actor())
    flash(f"已确认{len(ids)}条合格线。已交卷医师的业务水平评定将在一分钟内完成。" if ids else "请先勾选要确认的合格线。")
    return redirect(url_for("results.lines"), 303)


@results.post("/office/lines/<uuid:line_id>/withdraw")
@allow(ADMIN)
def withdraw_line(line_id: UUID) -> Response:
    """Take a proposal back."""
    rules.withdraw(rules.locked(line_id), by=current_user.actor())
    flash("已撤回。")
    return redirect(url_for("results.lines"), 303)


@results.get("/office/conclusions")
@allow(ADMIN, *OF_ORGANISATION)
def conclusions() -> str:
    """Who waits for 综合评定."""
    cycle = current_cycle()
    if cycle is None:
        return render_template("results/conclusions.html", cycle=None)
    query = select(Assessment).where(Assessment.cycle_id == cycle.id, Assessment.state.in_(("grading", "absent")))
    if ADMIN not in current_user.roles:
        query = query.where(Assessment.assessor_id.in_(current_user.organisations(*OF_ORGANISATION)))
    found = page(query, [Assessment.id], request.args.get("after"), 200)
    people = {row.id: row for row in db.session.scalars(select(Doctor).where(Doctor.id.in_([one.doctor_id for one in found.rows])))}
    places = {row.id: row.name for row in db.session.scalars(select(Organisation).where(Organisation.id.in_({one.institution_id for one in found.rows})))}
    return render_template(
        "results/conclusions.html", cycle=cycle, page=found, people=people, places=places, verdicts=VERDICTS, categories=CATEGORIES, levels=LEVELS,
        decides="organisation_reviewer" in current_user.roles,
    )  # fmt: skip


@results.post("/office/conclusions")
@allow("organisation_reviewer")
def conclude() -> Response:
    """综合评定 of the ticked, or of all that have three verdicts."""
    cycle, assessors = _cycle(), current_user.organisations("organisation_reviewer")
    if "all" in request.form:
        job = publishing.ask_conclusion(cycle, assessors=assessors, by=current_user.actor())
        return redirect(url_for("work.show", job_id=job.id), 303)
    done, reasons = publishing.conclude_many(cycle, chosen(), assessors=assessors, by=current_user.actor())
    flash(f"已完成{done}人的综合评定,等待省级发布。{' '.join(reasons)}")
    return redirect(url_for("results.conclusions"), 303)


@results.get("/office/publications")
@allow(ADMIN, AUDITOR)
def publications() -> str:
    """What has been published, what waits."""
    cycle = current_cycle()
    rows = db.session.scalars(select(Publication).where(Publication.cycle_id == cycle.id).order_by(Publication.id.desc())).all() if cycle else []
    names = {row.id: (publishing.name_of(row.proposed_by), publishing.name_of(row.approved_by)) for row in rows}
    return render_template("results/publications.html", cycle=cycle, rows=rows, names=names, counts=publishing.counts(cycle) if cycle else {}, may=ADMIN in current_user.roles)


@results.post("/office/publications")
@allow(ADMIN)
def propose() -> Response:
    """Freeze the list of all that are 待发布."""
    row = publishing.propose(_cycle(), by=current_user.actor())
    flash("发布清单已生成,请核对,并由另一位省级管理员确认。")
    return redirect(url_for("results.publication", publication_id=row.id), 303)


@results.get("/office/publications/<uuid:publication_id>")
@allow(ADMIN, AUDITOR)
def publication(publication_id: UUID) -> str:
    """One list."""
    row = _publication(publication_id)
    names = publishing.name_of(row.proposed_by), publishing.name_of(row.approved_by)
    of_row = select(PublicationEntry).where(PublicationEntry.publication_id == row.id)
    found = page(of_row, [PublicationEntry.assessment_id], request.args.get("after"), 100)
    listed = publishing.listed({one.assessment_id: one.verdict for one in found.rows})
    return render_template(
        "results/publication.html", row=row, page=found, listed=listed, names=names, verdicts=VERDICTS, categories=CATEGORIES, levels=LEVELS,
        may=ADMIN in current_user.roles, own=row.proposed_by == current_user.id,
    )  # fmt: skip


def _publication(publication_id: UUID) -> Publication:
    row = db.session.scalar(select(Publication).where(Publication.id == publication_id))
    if row is None:
        raise NotFound
    return row


@results.get("/office/publications/<uuid:publication_id>/list.xlsx")
@allow(ADMIN, AUDITOR)
def sheet(publication_id: UUID) -> FlaskResponse:
    """The list as a sheet; numbers masked."""
    row, words = _publication(publication_id), {"passed": "合格", "failed": "不合格"}
    rows = [
        [doctor.name, doctor.number_masked, LEVELS[doctor.level], CATEGORIES[doctor.category], VERDICTS.get(record.performance or "", ""),
         VERDICTS.get(record.ethics or "", ""), VERDICTS.get(record.competence or "", ""), words[verdict]]
        for record, doctor, verdict in publishing.listed(publishing.entries_of(row))
    ]  # fmt: skip
    content = write_sheet(["姓名", "证件号码", "级别", "执业类别", "工作成绩", "职业道德", "业务水平", "考核结果"], rows, "考核结果")
    return xlsx(content, "results.xlsx")


@results.post("/office/publications/<uuid:publication_id>/approve")
@allow(ADMIN)
def approve(publication_id: UUID) -> Response:
    """Approve and publish, as a job."""
    job = publishing.approve(publishing.locked(publication_id), by=current_user.actor())
    if job is None:
        return redirect(url_for("results.publication", publication_id=publication_id), 303)
    return redirect(url_for("work.show", job_id=job.id), 303)


@results.post("/office/publications/<uuid:publication_id>/withdraw")
@allow(ADMIN)
def withdraw(publication_id: UUID) -> Response:
    """Take a proposal back."""
    publishing.withdraw(publishing.locked(publication_id), by=current_user.actor())
    flash("已撤回,可以重新生成清单。")
    return redirect(url_for("results.publications"), 303)


@results.post("/office/publications/object/<uuid:record_id>")
@allow(ADMIN)
def object_to(record_id: UUID) -> Response:
    """Send one record back to its assessment organisation."""
    try:
        publishing.object_to(record_id, by=current_user.actor(), reason=request.form.get("reason", ""))
    except Invalid as refusal:
        flash(refusal.sentence)
    else:
        flash("已退回考核机构重新评定。清单已有变化,请撤回后重新生成。")
    return redirect(url_for("results.publications"), 303)
