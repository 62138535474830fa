"""Institutions in the console: the list, one by a form, many from a sheet; who assesses whom."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import func, select
from werkzeug.wrappers import Response
from wtforms import BooleanField, StringField

from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, AUDITOR, of_office, organisation_of
from dingkao.blueprints.forms import Choice, FileForm, Form, Needed, choices_of
from dingkao.blueprints.web import limiter
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.errors import Invalid, NotFound, Refusal
from dingkao.outside.sheets import MAX_BYTES
from dingkao.people import organisations
from dingkao.people.models import Organisation

institutions = of_office("institutions")


class InstitutionForm(Form):
    """One institution."""

    name = StringField("机构名称", [Needed("请填写机构名称。")])
    registration_number = StringField("机构登记号", [Needed("请填写机构登记号。")])
    division = StringField("行政区划代码", [Needed("请填写6位行政区划代码,如140400。")])
    category = StringField("机构类别", default="医疗机构")
    contact = StringField("联系电话")


class AssessorForm(Form):
    """Which organisation assesses an institution, whether the institution is one itself, and whom its doctors call."""

    assesses = BooleanField("指定为考核机构")
    assessor = Choice("所属考核机构")
    contact = StringField("联系电话")


@institutions.get("/office/institutions")
@allow(ADMIN, AUDITOR)
def index() -> str:
    """The institutions of the province."""
    return _page(FileForm(), InstitutionForm(), None)


@institutions.post("/office/institutions")
@allow(ADMIN)
def add() -> Response | tuple[str, int]:
    """One institution by the form."""
    form = InstitutionForm()
    if form.validate_on_submit():
        entry = organisations.InstitutionEntry(
            form.name.data or "", form.registration_number.data or "", form.division.data or "", form.category.data or "", form.contact.data or ""
        )
        try:
            organisations.add_institution(entry, by=current_user.actor())
            flash(f"已添加{entry.name}。")
            return redirect(url_for("institutions.index"), 303)
        except Invalid as refusal:
            form.refuse(refusal)
    return _page(FileForm(formdata=None), form, None), 422


@institutions.post("/office/institutions/import")
@allow(ADMIN)
@limiter.limit("20/hour")
def import_() -> tuple[str, int]:
    """Many institutions from a sheet; the report stands above the list."""
    form, report = FileForm(), None
    if form.validate_on_submit():
        try:
            report = organisations.import_institutions(form.file.data.read(MAX_BYTES + 1), by=current_user.actor())
        except Refusal as refusal:
            form.refuse(Invalid(refusal.sentence, "file"))
    return _page(form, InstitutionForm(formdata=None), report), 200 if report else 422


def _page(file: FileForm, form: InstitutionForm, report: Any) -> str:
    words = request.args.get("q", "").strip()
    query = select(Organisation)
    if words:
        query = query.where(Organisation.name.startswith(words, autoescape=True) | (Organisation.registration_number == words.upper()))
    found = page(query, [Organisation.name, Organisation.id], request.args.get("after"))
    wanted = [row.assessment_organisation_id for row in found.rows if row.assessment_organisation_id]
    assessors = {row.id: row.name for row in db.session.scalars(select(Organisation).where(Organisation.id.in_(wanted)))}
    appointed = db.session.scalars(select(Organisation).where(Organisation.assesses).order_by(Organisation.name).limit(200)).all()
    unassigned = db.session.scalar(select(func.count()).select_from(Organisation).where(Organisation.assessment_organisation_id.is_(None)))
    return render_template("institutions/index.html", appointed=appointed, unassigned=unassigned, page=found, assessors=assessors, file=file, form=form, report=report, q=words)


@institutions.route("/office/institutions/<uuid:organisation_id>", methods=["GET", "POST"])
@allow(ADMIN)
def show(organisation_id: UUID) -> Response | tuple[str, int] | str:
    """One institution: appoint it an assessment organisation, assign it one, say whom its doctors call."""
    row = organisation_of(organisation_id)
    appointed = db.session.scalars(select(Organisation).where(Organisation.assesses).order_by(Organisation.name)).all()
    form = AssessorForm(assesses=row.assesses, assessor=str(row.assessment_organisation_id or ""), contact=row.contact or "")
    choices = {str(one.id): one.name for one in appointed} | {str(row.id): f"{row.name}(本机构)"}
    form.assessor.choices = choices_of(choices.items())
    if form.validate_on_submit():
        try:
            organisations.reach(row, form.contact.data or "", by=current_user.actor())
            if form.assesses.data:
                organisations.appoint(row, by=current_user.actor())
            if form.assessor.data:
                organisations.assign(row, organisation_of(UUID(form.assessor.data)), by=current_user.actor())
        except Invalid as refusal:
            form.refuse(refusal if refusal.field == "contact" else Invalid(refusal.sentence, "assessor"))
        else:
            flash("已保存。")
            return redirect(url_for("institutions.index"), 303)
    page = render_template("institutions/show.html", row=row, form=form)
    return (page, 422) if request.method == "POST" else page


@institutions.post("/office/institutions/assign")
@allow(ADMIN)
def assign_all() -> Response:
    """Give every institution that has no assessment organisation yet the one chosen."""
    try:
        assessor = organisation_of(UUID(request.form.get("assessor", "")))
    except ValueError as fault:
        raise NotFound("请先选择考核机构。") from fault
    waiting = db.session.scalars(select(Organisation).where(Organisation.assessment_organisation_id.is_(None)).with_for_update()).all()
    for row in waiting:
        organisations.assign(row, assessor, by=current_user.actor())
    flash(f"已为{len(waiting)}家机构指定考核机构“{assessor.name}”。")
    return redirect(url_for("institutions.index"), 303)
