"""Departments (科室) in the console: their list with how far each is, imports, adding, renaming, closing,
and a word to the liaisons of those that are late."""

from collections import Counter
from functools import partial
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import StringField

from dingkao.blueprints.console.listing_pages import (
    RowLink,
    open_list,
    posted_view_address,
    selected_ids,
)
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.cycles.cycles import current_cycle, require_current_cycle
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListRow
from dingkao.doctors.department_renaming import rename_department
from dingkao.errors import Forbidden, InvalidInput, TooLarge, Unavailable
from dingkao.filings.department_list import DEPARTMENT_LIST, count_unlisted_doctors
from dingkao.filings.department_reminders import MAX_REMINDED, MAX_WORDS_LENGTH, remind_liaisons
from dingkao.integrations.spreadsheets.table_opening import MAX_IMPORT_FILE_BYTES
from dingkao.integrations.spreadsheets.xlsx_writer import write_xlsx
from dingkao.jobs.models import Job
from dingkao.people import department_imports
from dingkao.people import departments as department_rules
from dingkao.people.department_models import Department
from dingkao.people.organisation_queries import require_organisation
from dingkao.people.organisations import resolve_organisation
from dingkao.people.scopes import in_scope
from dingkao.web.access_control import current_grant, require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import Form, Required, SpreadsheetForm
from dingkao.web.request_lifecycle import limiter, xlsx_response

departments = console_blueprint("departments")


class DepartmentForm(Form):
    """A department's name, and for a new one of several institutions which."""

    name = StringField("科室名称", [Required("请填写科室名称。")])
    institution = StringField("机构名称或登记号")


@departments.get("/office/departments")
@departments.post("/office/departments/search", endpoint="search_departments")
@require("departments.manage")
def list_departments() -> str | Response:
    """The departments of one's institutions, with how far each is in the cycle; open ones unless the address
    says otherwise."""
    view = open_list(
        DEPARTMENT_LIST,
        presets={"state": "open"},
        links={"name": _department_address, **_progress_links()},
        endpoint="departments.list_departments",
        search_endpoint="departments.search_departments",
    )
    if isinstance(view, Response):
        return view
    return render_template(
        "console/departments/list.html",
        view=view,
        cycle=current_cycle(),
        unlisted=count_unlisted_doctors(current_grant()),
        max_words_length=MAX_WORDS_LENGTH,
    )


def _department_address(row: ListRow) -> str:
    return url_for("departments.edit_department", department_id=row[0].id)


def _progress_links() -> dict[str, RowLink]:
    """Key of a column → what gives the address of the list of those whom a row's number counts, for the lists
    that the user may open."""
    links: dict[str, RowLink] = {"doctors": partial(_list_address, "doctors.list_doctors")}
    if current_user.may("enrolment.manage"):
        links["unsubmitted"] = partial(_list_address, "enrolment.inclusion", state="unsubmitted")
    if current_user.may("gradings.draft"):
        links["undrafted"] = partial(_list_address, "gradings.list_records", draft="none")
    return links


def _list_address(endpoint: str, row: ListRow, **filters: Any) -> str:
    """The address of a list of doctors, narrowed to a row's department, for users of the whole province to
    its institution too, and by `filters`."""
    department = row[0]
    if current_user.grant("departments.manage").is_province:
        filters["institution"] = department.organisation_id
    return url_for(endpoint, department=department.name, **filters)


@departments.post("/office/departments/remind")
@require("departments.manage")
@limiter.limit("60/hour")
def remind() -> Response:
    """Write to the liaisons of the ticked departments, or all of the view, the first MAX_REMINDED of them;
    who was left out is said above the list, as is a refusal. Raises NotFound before the first cycle."""
    try:
        result = remind_liaisons(
            require_current_cycle(),
            selected_ids(DEPARTMENT_LIST, MAX_REMINDED),
            request.form.get("words", ""),
            grant=current_grant(),
            by=current_user.as_actor(),
        )
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
    else:
        flash(f"已提醒{result.reminded}个科室的联络员。{_left_out_text(result.left_out)}")
    return redirect(posted_view_address(DEPARTMENT_LIST, "departments.list_departments", "state"), 303)


def _left_out_text(left_out: Counter[str]) -> str:
    """How many departments were left out and why; "" for none."""
    return "".join(f"{count}个未提醒：{reason}。" for reason, count in sorted(left_out.items()))


@departments.route("/office/departments/new", methods=["GET", "POST"])
@require("departments.manage")
def add_department() -> Response | tuple[str, int] | str:
    """Add a department; a refusal is shown in the form."""
    form = DepartmentForm()
    name = submit_form(form, partial(_add_from_form, form))
    if name is not None:
        flash(f"已添加科室“{name}”。")
        return redirect(url_for("departments.list_departments"), 303)
    return form_page(
        render_template(
            "console/departments/edit.html",
            form=form,
            department=None,
            needs_institution=_manages_several_institutions(),
        )
    )


def _manages_several_institutions() -> bool:
    """Whether the user manages departments of more than one institution, so that the form must name one."""
    grant = current_grant()
    return bool(grant.is_province or len(grant.institution_ids) > 1)


def _add_from_form(form: DepartmentForm) -> str:
    """Add the department and return its name. Raises InvalidInput naming the field."""
    organisation = (
        resolve_organisation(form.institution.data or "")
        if _manages_several_institutions()
        else require_organisation(current_grant().institution_ids[0])
    )
    if not in_scope(current_grant(), institution_id=organisation.id):
        raise InvalidInput("不是您负责的机构。", "institution")
    return department_rules.add_department(
        organisation,
        form.name.data or "",
        by=current_user.as_actor(),
    )


@departments.route("/office/departments/<uuid:department_id>", methods=["GET", "POST"])
@require("departments.manage")
def edit_department(department_id: UUID) -> Response | tuple[str, int] | str:
    """Rename a department, with what its doctors' rows say; a refusal is shown in the form. Raises NotFound,
    Forbidden."""
    department = _get_own(department_id)
    form = DepartmentForm(obj=department)
    doctor_count = submit_form(form, partial(_rename_from_form, form, department))
    if doctor_count is not None:
        flash(f"已改名为“{department.name}”，{doctor_count}名医师的科室一并更改。")
        return redirect(url_for("departments.list_departments"), 303)
    return form_page(
        render_template(
            "console/departments/edit.html",
            form=form,
            department=department,
            needs_institution=False,
            institution=require_organisation(department.organisation_id).name,
        )
    )


def _rename_from_form(form: DepartmentForm, department: Department) -> int:
    """Rename the department (locked) and return how many doctors' rows were changed with it. Raises
    InvalidInput."""
    return rename_department(department, form.name.data or "", by=current_user.as_actor())


def _get_own(department_id: UUID) -> Department:
    """The department with that id, locked in a POST. Raises NotFound, and Forbidden for another
    institution's."""
    department = department_rules.get_department(department_id, for_update=request.method == "POST")
    if not in_scope(current_grant(), institution_id=department.organisation_id):
        raise Forbidden
    return department


@departments.post("/office/departments/<uuid:department_id>/close")
@require("departments.manage")
def close_department(department_id: UUID) -> Response:
    """Close a department: its doctors stay as they are, nobody is invited to it any more. Raises NotFound,
    Forbidden."""
    department = _get_own(department_id)
    department_rules.close_department(department, by=current_user.as_actor())
    flash(f"科室“{department.name}”已停用。")
    return redirect(url_for("departments.list_departments"), 303)


@departments.post("/office/departments/<uuid:department_id>/reopen")
@require("departments.manage")
def reopen_department(department_id: UUID) -> Response:
    """Open a closed department again. Raises NotFound, Forbidden."""
    department = _get_own(department_id)
    department_rules.reopen_department(department, by=current_user.as_actor())
    flash(f"科室“{department.name}”已恢复。")
    return redirect(url_for("departments.list_departments"), 303)


@departments.route("/office/departments/import", methods=["GET", "POST"])
@require("departments.manage")
@limiter.limit("60/hour", methods=["POST"])
def import_departments() -> Response | tuple[str, int] | str:
    """Import a spreadsheet of departments with a job, or check it first; a refused file is named in the
    form."""
    form = SpreadsheetForm()
    job = submit_form(
        form,
        partial(_enqueue_import, form),
        refusals=(InvalidInput, TooLarge, Unavailable),
        field="file",
    )
    if job is not None:
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    page = render_template("console/departments/import.html", form=form, headings=_headings())
    return form_page(page)


def _enqueue_import(form: SpreadsheetForm) -> Job:
    """Enqueue the import (or the check) of the form's file. Raises InvalidInput, TooLarge, Unavailable."""
    upload = form.file.data
    return department_imports.enqueue_import(
        upload.read(MAX_IMPORT_FILE_BYTES + 1),
        upload.filename or "",
        dry_run="check" in request.form,
        by=current_user.as_actor(),
    )


@departments.get("/office/departments/template.xlsx")
@require("departments.manage")
def template() -> FlaskResponse:
    """An empty spreadsheet of departments, as xlsx."""
    return xlsx_response(write_xlsx(_headings(), [], "科室"), "departments-template.xlsx")


def _headings() -> list[str]:
    return [headings[0] for headings in department_imports.COLUMNS.values()]
