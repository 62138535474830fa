"""Who should take part in the cycle (应考尽考) in the console: the list compared with the register, lists of
those who don't take part, and doctors whom nobody claims."""

from functools import partial
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import (
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import SelectField
from wtforms.fields.choices import SelectChoice

from dingkao.assessments import unclaimed_doctors
from dingkao.assessments.gap_lists import GAP_LISTS, gap_counts, get_gap_list
from dingkao.assessments.gap_messages import enqueue_message
from dingkao.assessments.participation import dispose
from dingkao.blueprints.console.listing_pages import open_list, posted_view_address, selected_ids
from dingkao.blueprints.console.navigation import (
    console_blueprint,
)
from dingkao.cycles.cycles import (
    current_cycle,
    require_current_cycle,
)
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListRow
from dingkao.doctors import (
    register_differences,
    register_jobs,
    register_rows,
)
from dingkao.doctors.disposition_models import DISPOSITIONS
from dingkao.doctors.doctor_queries import doctors_by_id
from dingkao.doctors.register_models import (
    DIFFERENCE_KINDS,
    RegisterComparison,
)
from dingkao.errors import (
    InvalidInput,
    NotFound,
    TooLarge,
    Unavailable,
)
from dingkao.integrations.spreadsheets.table_opening import (
    MAX_IMPORT_FILE_BYTES,
)
from dingkao.integrations.spreadsheets.xlsx_writer import (
    write_xlsx,
)
from dingkao.jobs import control
from dingkao.people import organisations
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import (
    account_names,
    organisation_names,
    organisations_by_id,
)
from dingkao.people.organisation_queries import list_organisations
from dingkao.tenants.context import current_tenant
from dingkao.tenants.divisions import (
    UnknownDivision,
    health_authority,
)
from dingkao.tenants.registry import by_code
from dingkao.web.access_control import current_grant, require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import SpreadsheetForm
from dingkao.web.request_lifecycle import (
    auto_refreshing_page,
    limiter,
    xlsx_response,
)

participation = console_blueprint("participation")
WHOLE_PROVINCE_CHOICE = SelectChoice("", "全省")
MAX_OWN_INSTITUTIONS = 100
MAX_TICKED, MAX_DISPOSED = 100, 1_000


class RegisterForm(SpreadsheetForm):
    """An export of the register, and the list with which it is compared."""

    institution = SelectField("名单", choices=[WHOLE_PROVINCE_CHOICE])


@participation.route("/office/register", methods=["GET", "POST"])
@require("register.compare")
@limiter.limit("20/hour", methods=["POST"])
def list_comparisons() -> Response | tuple[str, int] | str:
    """A page of the comparisons with the register, and the form that begins one with a job: of the province's
    list, or of that of one of the user's own institutions, the first MAX_OWN_INSTITUTIONS. A refused file is
    named in the form."""
    grant = current_grant()
    form = RegisterForm()
    if not grant.is_province:
        own = list_organisations(grant.institution_ids[:MAX_OWN_INSTITUTIONS])
        form.institution.choices = [
            SelectChoice(str(institution.id), institution.name) for institution in own
        ]
    comparison = submit_form(
        form,
        partial(_begin_comparison, form),
        refusals=(InvalidInput, TooLarge, Unavailable),
        field="file",
    )
    if comparison is not None:
        return redirect(
            url_for(
                "participation.show_comparison",
                comparison_id=comparison.id,
            ),
            303,
        )
    page = register_differences.comparisons_page(grant, request.args.get("after"))
    html = render_template(
        "console/participation/comparisons.html",
        form=form,
        page=page,
        places=organisation_names(comparison.organisation_id for comparison in page.rows),
        names=account_names(comparison.begun_by for comparison in page.rows),
        headings=_register_headings(),
    )
    return form_page(html)


def _begin_comparison(form: RegisterForm) -> RegisterComparison:
    """Begin the comparison of the form, and enqueue its job. Raises InvalidInput, TooLarge, Unavailable,
    Forbidden."""
    institution_id = UUID(form.institution.data) if form.institution.data else None
    register_jobs.require_comparable(institution_id, current_grant())
    upload = form.file.data
    comparison, _ = register_jobs.enqueue_comparison(
        upload.read(MAX_IMPORT_FILE_BYTES + 1),
        upload.filename or "",
        organisations.find_organisation(institution_id),
        by=current_user.as_actor(),
    )
    return comparison


@participation.get("/office/register/template.xlsx")
@require("register.compare")
def register_template() -> FlaskResponse:
    """An empty export of the register, as xlsx."""
    return xlsx_response(
        write_xlsx(_register_headings(), [], "注册信息"),
        "register-template.xlsx",
    )


def _register_headings() -> list[str]:
    return [headings[0] for headings in register_rows.COLUMNS.values()]


@participation.get("/office/register/<uuid:comparison_id>")
@require("register.compare")
def show_comparison(comparison_id: UUID) -> FlaskResponse:
    """One comparison: counts by office, and a page of its differences (`_difference_filter`) with their
    dispositions; while it is being made the page reloads itself. Raises NotFound."""
    comparison = register_differences.get_comparison(comparison_id, current_grant())
    kind, division, open_only = _difference_filter()
    counts = register_differences.counts_by_division(comparison)
    page = register_differences.differences_page(
        comparison,
        kind,
        division,
        request.args.get("after"),
        open_only=open_only,
    )
    job = control.find_job(comparison.job_id)
    html = render_template(
        "console/participation/comparison.html",
        comparison=comparison,
        job=job,
        kinds=DIFFERENCE_KINDS,
        kind=kind,
        division=division,
        open_only=open_only,
        totals=register_differences.total_counts(counts),
        counts=counts,
        offices={code: _office_name(code) for code in counts},
        page=page,
        place=organisations.find_organisation(comparison.organisation_id),
        places=organisation_names(difference.organisation_id for difference in page.rows),
        dispositions=DISPOSITIONS,
        error=None,
    )
    return auto_refreshing_page(html, waits=job is not None and job.is_under_way)


def _difference_filter() -> tuple[str, str | None, bool]:
    """The filter of the address: kind ("" for all), code of the division (None for all, "" for those at no
    institution of the province), only those without a disposition."""
    kind = request.args.get("kind", "")
    return (
        kind if kind in DIFFERENCE_KINDS else "",
        request.args.get("division"),
        request.args.get("open") == "1",
    )


def _office_name(division: str) -> str:
    """The name of the health authority of a division; the code itself if it is unknown, a text for ""."""
    province = by_code(current_tenant())
    try:
        return health_authority(province, division) if province and division else "不在本省登记的机构"
    except UnknownDivision:
        return division


@participation.post("/office/register/<uuid:comparison_id>/settle")
@require("register.compare")
def settle_differences(comparison_id: UUID) -> Response:
    """Give the ticked differences (locked) a disposition, also in place of an earlier one, or with a job all
    of the filter that have none; doctors who are on the list alone get it in the current cycle, too. A
    refusal is said above the list. Raises NotFound, also for a tick that is no id."""
    comparison = register_differences.get_comparison(comparison_id, current_grant())
    kind, division, open_only = _difference_filter()
    here = url_for(
        "participation.show_comparison",
        comparison_id=comparison_id,
        kind=kind or None,
        division=division,
        open="1" if open_only else None,
    )
    cycle = current_cycle()
    arguments: dict[str, Any] = {
        "cycle_id": cycle.id if cycle else None,
        "by": current_user.as_actor(),
    }
    code, note = (
        request.form.get("disposition", ""),
        request.form.get("note", ""),
    )
    try:
        if "all" in request.form:
            job = register_differences.enqueue_settling(
                comparison,
                kind,
                division,
                code,
                note,
                **arguments,
            )
            return redirect(url_for("jobs.show_job", job_id=job.id), 303)
        count = register_differences.settle(comparison, _ticked_ids(), code, note, **arguments)
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
    else:
        flash(f"已登记{count}人的去向。")
    return redirect(here, 303)


def _ticked_ids() -> list[UUID]:
    """The ids of the ticked rows of a page, at most as many as a page has. Raises NotFound for what is
    none."""
    try:
        return [UUID(text) for text in request.form.getlist("record")][:MAX_TICKED]
    except ValueError as error:
        raise NotFound from error


@participation.get("/office/gaps")
@participation.post("/office/gaps/search", endpoint="search_gaps")
@require("participation.manage")
def list_gaps() -> str | Response:
    """Those who should take part in the current cycle and don't: one of GAP_LISTS (`list` in the address,
    else the first), with the numbers of all."""
    cycle = current_cycle()
    if cycle is None:
        return render_template("console/participation/gaps.html", cycle=None)
    gap_list = GAP_LISTS.get(request.args.get("list", "")) or next(iter(GAP_LISTS.values()))
    view = open_list(
        gap_list.definition,
        fixed={"list": gap_list.code},
        links={"name": _doctor_address},
        endpoint="participation.list_gaps",
        search_endpoint="participation.search_gaps",
    )
    if isinstance(view, Response):
        return view
    grant = current_grant()
    return render_template(
        "console/participation/gaps.html",
        cycle=cycle,
        view=view,
        lists=GAP_LISTS,
        current_list=gap_list,
        counts=gap_counts(cycle, grant, {} if view.is_narrowed else {gap_list.code: view.counts.total}),
        dispositions=DISPOSITIONS,
        unclaimed_count=unclaimed_doctors.count_unclaimed(grant),
    )


def _doctor_address(row: ListRow) -> str:
    """The address of the page of a row's doctor; a row is the record, then the doctor."""
    return url_for("doctors.show_doctor", doctor_id=row[1].id)


@participation.post("/office/gaps/<code>/message")
@require("participation.manage")
@limiter.limit("20/hour")
def notify_gap(code: str) -> Response:
    """Write a message to everybody on a view of the list `code`, with a job; while one does the same, that
    one is shown. Raises NotFound for an unknown list or before the first cycle, InvalidInput for a view that
    no longer is one."""
    job = enqueue_message(
        get_gap_list(code),
        require_current_cycle(),
        by=current_user.as_actor(),
        view=request.form.get("view", ""),
    )
    return redirect(url_for("jobs.show_job", job_id=job.id), 303)


@participation.post("/office/gaps/dispose")
@require("participation.manage")
def set_disposition() -> Response:
    """Store the disposition of the ticked doctors or of all of a view, the first MAX_DISPOSED ("" takes it
    back), or with `disown` report that they are not the institution's own; who is left out is said above the
    list, as is a refusal. Raises NotFound before the first cycle."""
    cycle, definition = require_current_cycle(), GAP_LISTS["not_included"].definition
    code, note = (
        request.form.get("disposition", ""),
        request.form.get("note", ""),
    )
    by, grant = current_user.as_actor(), current_grant()
    try:
        record_ids = selected_ids(definition, MAX_DISPOSED)
        if "disown" in request.form:
            reported = unclaimed_doctors.disown(cycle, record_ids, note, grant=grant, by=by)
            flash(f"已申报{reported.reported_count}人待认领。{_skipped_text(reported.skipped)}")
        else:
            disposed = dispose(
                cycle,
                record_ids,
                code,
                note,
                grant=grant,
                by=by,
            )
            flash(f"已登记{disposed.stored_count}人的去向。{_skipped_text(disposed.skipped)}")
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
    return redirect(posted_view_address(definition, "participation.list_gaps", list="not_included"), 303)


def _skipped_text(skipped: list[tuple[str, str]]) -> str:
    """How many were left out, and each reason once; "" if nobody was. `skipped`: name and reason of each."""
    reasons = sorted({reason for _, reason in skipped})
    return f"{len(skipped)}人未办理：{'；'.join(reasons)}。" if skipped else ""


@participation.get("/office/unclaimed")
@require("participation.manage")
def list_unclaimed() -> str:
    """A page of the doctors whom their institution disowns (待认领), who has waited longest first."""
    page = unclaimed_doctors.unclaimed_page(current_grant(), request.args.get("after"))
    return render_template(
        "console/participation/unclaimed.html",
        page=page,
        people=doctors_by_id(unclaimed.doctor_id for unclaimed in page.rows),
        places=organisations_by_id(unclaimed.disowned_by_id for unclaimed in page.rows),
        may_assign=current_grant().is_province,
    )


@participation.post("/office/unclaimed/<uuid:unclaimed_id>")
@require("participation.manage")
def settle_unclaimed(unclaimed_id: UUID) -> Response:
    """Take the report back (`back` in the form), or move a doctor who waits, with the record of the current
    cycle if it is not included, to the typed institution, for users of the whole province. A refused
    institution is said above the list. Raises NotFound, InvalidState for a closed institution."""
    by, grant = current_user.as_actor(), current_grant()
    try:
        if "back" in request.form:
            unclaimed_doctors.take_back(unclaimed_id, grant=grant, by=by)
            flash("已撤回，该医师仍在本机构名单中。")
        else:
            institution = _assigned_institution()
            doctor = unclaimed_doctors.assign(
                unclaimed_id,
                institution,
                current_cycle(),
                grant=grant,
                by=by,
            )
            flash(f"已将{doctor.name}归入{institution.name}。")
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
    return redirect(url_for("participation.list_unclaimed"), 303)


def _assigned_institution() -> Organisation:
    """The institution that was typed. Raises InvalidInput, and NotFound for users who don't reach the whole
    province."""
    if not current_grant().is_province:
        raise NotFound
    return organisations.resolve_choice(request.form.get("institution", ""))
