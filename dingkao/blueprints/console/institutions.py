"""Institutions in the console: the list, adding one with a form or many with a spreadsheet, and assigning
assessment organisations."""

from functools import partial
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import BooleanField, StringField

from dingkao.blueprints.console.institution_changes import succession_text
from dingkao.blueprints.console.listing_pages import open_list
from dingkao.blueprints.console.navigation import (
    console_blueprint,
    get_organisation,
)
from dingkao.errors import InvalidInput, Refusal
from dingkao.integrations.spreadsheets.table_opening import MAX_IMPORT_FILE_BYTES
from dingkao.integrations.spreadsheets.xlsx_writer import write_xlsx
from dingkao.jobs.models import Job
from dingkao.people import (
    assessor_withdrawal,
    institution_imports,
    organisation_mergers,
    organisation_queries,
    organisations,
)
from dingkao.people.institution_list import INSTITUTION_LIST
from dingkao.people.models import Organisation
from dingkao.people.organisation_names import former_names
from dingkao.web.access_control import require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import (
    MAX_CHOICES,
    EntityChoice,
    Form,
    Required,
    SpreadsheetForm,
)
from dingkao.web.request_lifecycle import limiter, xlsx_response

institutions = console_blueprint("institutions")


class InstitutionForm(Form):
    """One institution."""

    name = StringField("机构名称", [Required("请填写机构名称。")])
    registration_number = StringField("机构登记号", [Required("请填写机构登记号。")])
    division = StringField(
        "行政区划代码",
        [Required("请填写6位行政区划代码，如140400。")],
    )
    category = StringField("机构类别", default="医疗机构")
    contact = StringField("联系电话")


INSTITUTION_FIELDS = (
    "name",
    "registration_number",
    "division",
    "category",
    "contact",
)
"""The fields of the form in the order of `organisations.InstitutionValues`."""


class AssessorForm(Form):
    """Whether the institution is an assessment organisation itself, which organisation assesses it, and its
    contact."""

    assesses = BooleanField("指定为考核机构")
    assessor = EntityChoice("所属考核机构")
    contact = StringField("联系电话")


@institutions.get("/office/institutions")
@institutions.post("/office/institutions/search", endpoint="search_institutions")
@require("institutions.view")
def list_institutions() -> str | Response:
    """The institutions of the province, with the forms to import and to add some."""
    return _render_list(SpreadsheetForm(), InstitutionForm(), None)


@institutions.post("/office/institutions")
@require("institutions.manage")
def add_institution() -> Response | tuple[str | Response, int]:
    """Add one institution with the form; a refusal is shown in it, above the list."""
    form = InstitutionForm()
    response = submit_form(form, partial(_add_from_form, form))
    if response is not None:
        return response
    return _render_list(SpreadsheetForm(formdata=None), form, None), 422


def _add_from_form(form: InstitutionForm) -> Response:
    """Add the institution of the form. Raises InvalidInput."""
    values = organisations.InstitutionValues(*(form[name].data or "" for name in INSTITUTION_FIELDS))
    organisations.add_institution(values, by=current_user.as_actor())
    flash(f"已添加{values.name}。")
    return redirect(url_for("institutions.list_institutions"), 303)


@institutions.post("/office/institutions/import")
@require("institutions.manage")
@limiter.limit("20/hour")
def import_institutions() -> tuple[str | Response, int] | Response:
    """Import institutions from a spreadsheet, or only check it. The report of a small file is shown above the
    list; a job imports a large one, and does every check. A refusal is shown in the form."""
    form = SpreadsheetForm()
    report = submit_form(
        form,
        partial(_import_upload, form),
        refusals=(Refusal,),
        field="file",
    )
    if isinstance(report, Job):
        return redirect(url_for("jobs.show_job", job_id=report.id), 303)
    return _render_list(form, InstitutionForm(formdata=None), report), 200 if report else 422


def _import_upload(form: SpreadsheetForm) -> Any:
    """The report of the import (an ImportReport), or for a large file or a check the Job. Raises
    InvalidInput, TooLarge, Unavailable."""
    upload = form.file.data
    return institution_imports.import_or_enqueue(
        upload.read(MAX_IMPORT_FILE_BYTES + 1),
        upload.filename or "",
        dry_run="check" in request.form,
        by=current_user.as_actor(),
    )


@institutions.get("/office/institutions/template.xlsx")
@require("institutions.manage")
def template() -> FlaskResponse:
    """An empty list of institutions to be filled in, as xlsx."""
    headings = [names[0] for names in institution_imports.COLUMNS.values()]
    return xlsx_response(write_xlsx(headings, [], "机构"), "institutions-template.xlsx")


def _render_list(file: SpreadsheetForm, form: InstitutionForm, report: Any) -> str | Response:
    """The list of institutions, with the forms to import a `file` and to add one, and the `report` of an
    import (None if there is none); the redirect to a view's address where one was typed."""
    view = open_list(
        INSTITUTION_LIST,
        endpoint="institutions.list_institutions",
        search_endpoint="institutions.search_institutions",
    )
    if isinstance(view, Response):
        return view
    unassigned = organisation_queries.count_without_assessor()
    return render_template(
        "console/institutions/list.html",
        view=view,
        appointed=organisation_queries.list_assessors(MAX_CHOICES + 1) if unassigned else [],
        most=MAX_CHOICES,
        unassigned=unassigned,
        file=file,
        form=form,
        report=report,
    )


@institutions.route(
    "/office/institutions/<uuid:organisation_id>",
    methods=["GET", "POST"],
)
@require("institutions.manage")
def show_institution(
    organisation_id: UUID,
) -> Response | tuple[str, int] | str:
    """One institution: making it an assessment organisation or taking that back, assigning it one, setting
    its contact; in a POST it and the chosen organisation are locked. A refusal is shown in the form. Raises
    NotFound, and in a POST InvalidState for one that was closed."""
    if request.method == "POST":
        organisations.lock_for_assignment(organisation_id, request.form.get("assessor", ""))
    institution = get_organisation(organisation_id)
    form = _assessor_form(institution)
    response = submit_form(form, partial(_save_institution, institution, form))
    if response is not None:
        return response
    page = render_template(
        "console/institutions/institution.html",
        row=institution,
        form=form,
        succession=succession_text(institution),
        merger=organisation_mergers.latest_merger(institution.id),
        former_names=former_names(institution),
    )
    return form_page(page)


def _assessor_form(institution: Organisation) -> AssessorForm:
    """The form with the institution's stored values and the organisations to choose from."""
    assessor_id = institution.assessment_organisation_id
    form = AssessorForm(
        assesses=institution.assesses,
        assessor=str(assessor_id or ""),
        contact=institution.contact or "",
    )
    form.assessor.set_choices(_assessors_offered_to(institution).items())
    if form.assessor.is_typed and assessor_id and not form.is_submitted():
        form.assessor.data = get_organisation(assessor_id).registration_number
    return form


def _assessors_offered_to(
    institution: Organisation,
) -> dict[str, str]:
    """The assessment organisations to choose from, id → name; an institution may be its own."""
    assessors = organisation_queries.list_assessors(MAX_CHOICES + 1)
    return {
        **{str(assessor.id): assessor.name for assessor in assessors},
        str(institution.id): f"{institution.name}（本机构）",
    }


def _save_institution(institution: Organisation, form: AssessorForm) -> Response:
    """Store what the form says about an institution (locked): contact, assessment organisation, and whether
    it is one itself. Raises InvalidInput naming the field, InvalidState for a closed institution."""
    organisation_mergers.require_open(institution)
    organisations.set_contact(
        institution,
        form.contact.data or "",
        by=current_user.as_actor(),
    )
    try:
        _save_assessor(institution, form)
    except InvalidInput as refusal:
        raise InvalidInput(refusal.message, "assessor") from refusal
    if not form.assesses.data:
        assessor_withdrawal.withdraw_assessor(institution, by=current_user.as_actor())
    flash("已保存。")
    return redirect(url_for("institutions.list_institutions"), 303)


def _save_assessor(institution: Organisation, form: AssessorForm) -> None:
    """Make the institution an assessment organisation if the box is ticked, and assign it the organisation
    that was chosen, which is locked. Raises InvalidInput, also where none was chosen and it has one."""
    actor = current_user.as_actor()
    if form.assesses.data:
        organisations.appoint_assessor(institution, by=actor)
    if form.assessor.data:
        assessor = organisations.resolve_choice(form.assessor.data)
        organisations.lock_against_withdrawal(assessor)
        organisations.assign_assessor(institution, assessor, by=actor)
    elif institution.assessment_organisation_id is not None:
        raise InvalidInput("已指定的所属考核机构不能取消，请选择另一家考核机构。", "assessor")


@institutions.post("/office/institutions/assign")
@require("institutions.manage")
def assign_assessor_to_all() -> Response | tuple[str | Response, int]:
    """Enqueue a job that assigns the chosen assessment organisation to every open institution that has none;
    if it isn't found, the list with that message."""
    try:
        assessor = organisations.resolve_choice(
            request.form.get("assessor", ""),
            Organisation.assesses.is_(True),
        )
    except InvalidInput as refusal:
        flash(refusal.message, "refusal")
        return _render_list(
            SpreadsheetForm(formdata=None),
            InstitutionForm(formdata=None),
            None,
        ), refusal.status
    job = institution_imports.enqueue_assignment(assessor, by=current_user.as_actor())
    return redirect(url_for("jobs.show_job", job_id=job.id), 303)
