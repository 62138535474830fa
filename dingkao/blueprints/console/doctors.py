"""Doctors in the console: the list, one doctor, adding one with a form or many with a roster."""

from collections.abc import Collection
from functools import partial
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import Field, SelectField, StringField
from wtforms.fields.choices import SelectChoice

from dingkao import clock
from dingkao.assessments import doctor_codes, enrolment_changes, exclusions
from dingkao.assessments.current_records import (
    cycle_of_doctor,
    record_in_cycle,
)
from dingkao.assessments.models import ASSESSMENT_STATES, CHANGE_KINDS
from dingkao.assessments.roster_imports import (
    add_doctor_with_record,
    enqueue_roster_import,
)
from dingkao.blueprints.console.listing_pages import open_list
from dingkao.blueprints.console.navigation import (
    console_blueprint,
    current_user_recusal_reason,
)
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListRow
from dingkao.doctors import conduct_records
from dingkao.doctors.code_lists import (
    CATEGORIES,
    DOCUMENT_TYPES,
    LEVELS,
    SCOPES,
    SEXES,
)
from dingkao.doctors.conduct_kinds import CONDUCT_KINDS
from dingkao.doctors.doctor_list import DOCTOR_LIST
from dingkao.doctors.doctor_queries import (
    account_of_doctor,
)
from dingkao.doctors.doctor_queries import (
    get_doctor as get_doctor_in_scope,
)
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster_columns import (
    APPENDED_COLUMNS,
    COLUMN_HEADINGS,
    FORM_FIELDS,
    RosterFormField,
)
from dingkao.errors import (
    InvalidInput,
    RateLimited,
    TooLarge,
    Unavailable,
)
from dingkao.filings.dossier import EDITABLE
from dingkao.integrations.pdf.fonts import unprintable_characters
from dingkao.integrations.spreadsheets.table_opening import MAX_IMPORT_FILE_BYTES
from dingkao.integrations.spreadsheets.xlsx_writer import (
    write_xlsx as write_sheet,
)
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.people import accounts, identity_numbers
from dingkao.people.models import (
    ACCOUNT_STATES,
    Account,
)
from dingkao.people.name_lookups import account_name
from dingkao.people.organisations import (
    find_organisation,
    list_institutions,
)
from dingkao.people.scopes import Grant
from dingkao.tenants import settings
from dingkao.tenants.encryption import SecretLocation, current_vault
from dingkao.web.access_control import current_grant, require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import (
    MAX_CHOICES,
    Choice,
    EntityChoice,
    Form,
    Required,
    SpreadsheetForm,
)
from dingkao.web.refused_responses import refused_response
from dingkao.web.request_lifecycle import limiter, xlsx_response

doctors = console_blueprint("doctors")
NUMBER_COLUMNS = ("number", "mobile", "qualification", "practice")


class DoctorForm(Form):
    """One doctor, with the roster's columns and words; its fields are added below from
    `roster_columns.FORM_FIELDS`."""


def _build_field(form_field: RosterFormField) -> Field:
    """The WTForms field for a column of the roster."""
    validators = [Required(form_field.required_message)] if form_field.required_message else []
    if form_field.kind == "choice":
        return Choice(form_field.label, validators, choices=form_field.choices)
    if form_field.kind == "select":
        return SelectField(
            form_field.label,
            validators,
            choices=[SelectChoice(code, label) for code, label in form_field.choices],
        )
    render_kw = {"type": "date"} if form_field.kind == "date" else None
    return StringField(form_field.label, validators, render_kw=render_kw)


for _form_field in FORM_FIELDS:
    setattr(DoctorForm, _form_field.column, _build_field(_form_field))


class OwnInstitutionDoctorForm(DoctorForm):
    """The form for users who may add doctors only to their own institutions, which it offers."""

    registration_number = EntityChoice("主要执业机构", [Required("请选择机构，或填写机构登记号。")])


@doctors.get("/office/doctors")
@doctors.post("/office/doctors/search", endpoint="search_doctors")
@require("doctors.view")
def list_doctors() -> str | Response:
    """The doctors within the user's grant: of the province, or of some institutions or departments."""
    view = open_list(
        DOCTOR_LIST,
        links={"name": _doctor_address},
        endpoint="doctors.list_doctors",
        search_endpoint="doctors.search_doctors",
    )
    if isinstance(view, Response):
        return view
    return render_template(
        "console/doctors/list.html",
        view=view,
        may_issue=current_user.may("doctors.issue_code"),
    )


def _doctor_address(row: ListRow) -> str:
    return url_for("doctors.show_doctor", doctor_id=row[0].id)


@doctors.route("/office/doctors/new", methods=["GET", "POST"])
@require("doctors.manage")
@limiter.limit("300/hour", methods=["POST"])
def add_doctor() -> Response | tuple[str, int] | str:
    """Add one doctor with a form: an administrator at any institution, a clerk at the clerk's own. A refusal
    is shown in the form, also RateLimited. Raises InvalidState for an institution that is closed just now."""
    form = _doctor_form(current_grant())
    try:
        response = submit_form(form, partial(_add_from_form, form))
    except RateLimited as refusal:
        form.add_refusal(InvalidInput(refusal.message, "number"))
        return refused_response(_render_form(form), refusal)
    return response if response is not None else form_page(_render_form(form))


def _add_from_form(form: DoctorForm) -> Response:
    """Add the doctor of the form, with the record of the cycle, and redirect to the doctor's page, with
    warnings about what may be wrong. Raises InvalidInput, RateLimited, InvalidState for an institution that
    is closed just now."""
    grant = current_grant()
    doctor, warnings = add_doctor_with_record(
        {name: form.data[name] or "" for name in COLUMN_HEADINGS if name in form.data},
        by=current_user.as_actor(),
        restrict_to=None if grant.is_province else grant.institution_ids,
    )
    flash(f"已添加{doctor.name}。{''.join(warnings)}")
    return redirect(url_for("doctors.show_doctor", doctor_id=doctor.id), 303)


def _render_form(form: DoctorForm) -> str:
    return render_template("console/doctors/add.html", form=form, fields=FORM_FIELDS)


def _doctor_form(grant: Grant) -> DoctorForm:
    """The form for one doctor; for users who may add doctors only to their own institutions with these to
    choose from."""
    if grant.is_province:
        return DoctorForm()
    form = OwnInstitutionDoctorForm()
    form.registration_number.set_choices(
        (institution.registration_number, institution.name)
        for institution in list_institutions(grant, MAX_CHOICES + 1)
    )
    return form


@doctors.get("/office/doctors/<uuid:doctor_id>")
@require("doctors.view")
def show_doctor(doctor_id: UUID) -> str:
    """One doctor, numbers masked. Raises NotFound, Forbidden."""
    return _render_doctor(_get_doctor(doctor_id), revealed=False)


@doctors.post("/office/doctors/<uuid:doctor_id>/reveal")
@require("doctors.reveal_numbers")
@limiter.limit("120/hour")
def reveal_numbers(doctor_id: UUID) -> str:
    """The doctor with full numbers; who saw them is entered in the journal. Raises NotFound, Forbidden."""
    doctor = _get_doctor(doctor_id)
    journal.write_entry(
        "doctor",
        doctor.id,
        "numbers_revealed",
        by=current_user.as_actor(),
    )
    return _render_doctor(doctor, revealed=True)


@doctors.post("/office/doctors/<uuid:doctor_id>/renew")
@require("doctors.issue_code")
@limiter.limit("120/hour")
def renew_initial_credential(doctor_id: UUID) -> Response:
    """Extend the initial credential of a doctor who has not signed in yet. Raises NotFound, Forbidden,
    InvalidState for one who has."""
    doctor = _get_doctor(doctor_id)
    account = account_of_doctor(doctor, for_update=True)
    accounts.extend_initial_credential(account, by=current_user.as_actor())
    flash(f"已延长{doctor.name}的初始凭证。")
    return redirect(url_for("doctors.show_doctor", doctor_id=doctor.id), 303)


def _get_doctor(doctor_id: UUID) -> Doctor:
    """The doctor with that id, locked in a POST. Raises NotFound, and Forbidden if the doctor isn't within
    the user's grant."""
    return get_doctor_in_scope(
        doctor_id,
        current_grant(),
        for_update=request.method == "POST",
    )


def _render_doctor(doctor: Doctor, *, revealed: bool) -> str:
    """The page of a doctor; numbers are masked unless `revealed`. Locks the account in a POST."""
    account = account_of_doctor(doctor, for_update=request.method == "POST")
    cycle = cycle_of_doctor(doctor.id)
    record = record_in_cycle(doctor.id, cycle) if cycle else None
    return render_template(
        "console/doctors/doctor.html",
        doctor=doctor,
        numbers={column: _number_text(doctor, column, revealed=revealed) for column in NUMBER_COLUMNS},
        revealed=revealed,
        account=account,
        states=ACCOUNT_STATES,
        place=find_organisation(doctor.organisation_id),
        cycle=cycle,
        record=record,
        pending_change=enrolment_changes.pending_change_of(doctor.id),
        change_kinds=CHANGE_KINDS,
        is_assistable=record is not None and record.state in EDITABLE,
        is_excludable=exclusions.is_proposable(record),
        max_change_reason=enrolment_changes.MAX_REASON_LENGTH,
        record_states=ASSESSMENT_STATES,
        scopes=_scopes_text(doctor),
        levels=LEVELS,
        categories=CATEGORIES,
        sexes=SEXES,
        documents=DOCUMENT_TYPES,
        appended_columns=APPENDED_COLUMNS,
        lapsed=account.initial_until <= clock.now(),
        initial=settings.value("credential_mode") == "initial_password",
        may_act=current_user.may("doctors.issue_code"),
        by_two=doctor_codes.needs_second_person(doctor),
        max_reason_length=doctor_codes.MAX_REASON_LENGTH,
        boxes=unprintable_characters(doctor.name),
        conduct=conduct_records.list_of_doctor(doctor.id),
        conduct_kinds=CONDUCT_KINDS,
        **_code_request_context(account),
    )


def _scopes_text(doctor: Doctor) -> str:
    """The doctor's scopes of practice on the roster, as text; "" for none, codes that are unknown left
    out."""
    codes = (doctor.scope or "").split(",")
    return "、".join(SCOPES[code][1] for code in codes if code in SCOPES)


def _code_request_context(account: Account) -> dict[str, Any]:
    """Template variables: the pending request for a one-time code (None for none), the name of who made it,
    and why the current user may not approve it (None if that is no reason)."""
    code_request = doctor_codes.pending_request(account.id)
    if code_request is None:
        return {"asked": None, "asker": "", "asked_recused": None}
    return {
        "asked": code_request,
        "asker": account_name(code_request.issued_by),
        "asked_recused": current_user_recusal_reason(code_request.issued_by),
    }


def _number_text(doctor: Doctor, column: str, *, revealed: bool) -> str:
    """A number of the doctor (`column`: one of NUMBER_COLUMNS), masked unless `revealed`; "" if there is
    none."""
    encrypted = getattr(doctor, f"{column}_sealed")
    if not encrypted:
        return ""
    number = current_vault().decrypt(SecretLocation("doctor", column, doctor.id), encrypted)
    return number if revealed else identity_numbers.mask_number(number)


@doctors.post("/office/doctors/<uuid:doctor_id>/code")
@require("doctors.issue_code")
@limiter.limit("60/hour")
def issue_code(doctor_id: UUID) -> str:
    """Issue a one-time code for a doctor who has no mobile number on the roster, has lost the phone, or whose
    initial credential has expired. It is shown once; earlier codes and requests become invalid, and the
    doctor is notified. Raises NotFound, Forbidden, InvalidState if a second person must issue it."""
    doctor = _get_doctor(doctor_id)
    account = account_of_doctor(doctor, for_update=True)
    code = doctor_codes.issue_code(doctor, account, by=current_user.as_actor())
    return render_template("console/doctors/issued_code.html", doctor=doctor, code=code)


@doctors.post("/office/doctors/<uuid:doctor_id>/code/ask")
@require("doctors.issue_code")
@limiter.limit("60/hour")
def request_code(doctor_id: UUID) -> Response | tuple[str, int]:
    """Request a one-time code, with a reason, which a second person must issue; one that waits already stays
    as it is. Without a reason, the doctor's page with that message. Raises NotFound, Forbidden."""
    doctor = _get_doctor(doctor_id)
    account = account_of_doctor(doctor, for_update=True)
    reason = request.form.get("reason", "")
    try:
        doctor_codes.request_code(account, reason=reason, by=current_user.as_actor())
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
        return _render_doctor(_get_doctor(doctor_id), revealed=False), refusal.status
    flash("已提交。请由另一人（本机构经办人、审核人或省级管理员）在本页审核发放。")
    return redirect(url_for("doctors.show_doctor", doctor_id=doctor.id), 303)


@doctors.post("/office/doctors/<uuid:doctor_id>/code/<uuid:code_id>")
@require("doctors.issue_code")
@limiter.limit("60/hour")
def decide_code(doctor_id: UUID, code_id: UUID) -> Response | str:
    """Issue the one-time code that somebody else requested, shown once, and notify the doctor (`decision`
    «approve»), else reject the request, or withdraw the own one, of which nobody is told. Raises NotFound,
    also if it no longer waits, Forbidden, InvalidState for who requested it or isn't independent of them."""
    doctor = _get_doctor(doctor_id)
    account = account_of_doctor(doctor, for_update=True)
    by = current_user.as_actor()
    if request.form.get("decision") == "approve":
        code = doctor_codes.approve_request(doctor, account, code_id, by=by)
        return render_template(
            "console/doctors/issued_code.html",
            doctor=doctor,
            code=code,
        )
    doctor_codes.reject_request(account, code_id, by=by)
    flash("已撤销，没有发放一次性代码。")
    return redirect(url_for("doctors.show_doctor", doctor_id=doctor.id), 303)


@doctors.route("/office/roster", methods=["GET", "POST"])
@require("doctors.import")
@limiter.limit("60/hour", methods=["POST"])
def import_roster() -> Response | tuple[str, int] | str:
    """Import a roster with a job, or check it first: an administrator for every institution, a clerk for the
    clerk's own. A refused file is named in the form."""
    form = SpreadsheetForm()
    grant = current_grant()
    job = submit_form(
        form,
        partial(_enqueue_import, form, None if grant.is_province else grant.institution_ids),
        refusals=(InvalidInput, TooLarge, Unavailable),
        field="file",
    )
    if job is not None:
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    page = render_template(
        "console/doctors/import_roster.html",
        form=form,
        institutions=None if grant.is_province else list_institutions(grant, MAX_CHOICES + 1),
        headings=_template_headings(),
    )
    return form_page(page)


def _enqueue_import(form: SpreadsheetForm, institution_ids: Collection[UUID] | None) -> Job:
    """Enqueue the import (or the check) of the roster in the form, which may name only the institutions
    `institution_ids` (None: all of the province). Raises InvalidInput, TooLarge, Unavailable."""
    upload = form.file.data
    return enqueue_roster_import(
        upload.read(MAX_IMPORT_FILE_BYTES + 1),
        upload.filename or "",
        restrict_to=institution_ids,
        dry_run="check" in request.form,
        by=current_user.as_actor(),
    )


@doctors.get("/office/roster/template.xlsx")
@require("doctors.import")
def roster_template() -> FlaskResponse:
    """An empty roster to be filled in, as xlsx."""
    return xlsx_response(
        write_sheet(_template_headings(), [], "医师名单"),
        "roster-template.xlsx",
    )


def _template_headings() -> list[str]:
    return [headings[0] for headings in COLUMN_HEADINGS.values()]
