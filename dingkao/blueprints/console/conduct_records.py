"""Conduct records in the console: imported by kind, removed where they are wrong."""

from functools import partial
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

from dingkao.blueprints.console.navigation import (
    console_blueprint,
)
from dingkao.database.base import db
from dingkao.doctors import conduct_imports
from dingkao.doctors import conduct_records as records
from dingkao.doctors.conduct_kinds import ConductKind
from dingkao.errors import InvalidInput, TooLarge, Unavailable
from dingkao.integrations.spreadsheets.table_opening import (
    MAX_IMPORT_FILE_BYTES,
)
from dingkao.integrations.spreadsheets.xlsx_writer import (
    write_xlsx,
)
from dingkao.jobs.models import Job
from dingkao.web.access_control import require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import SpreadsheetForm
from dingkao.web.request_lifecycle import limiter, xlsx_response

conduct_records = console_blueprint("conduct_records")


@conduct_records.route("/office/conduct", methods=["GET", "POST"], defaults={"kind": ""})
@conduct_records.route("/office/conduct/<kind>", methods=["GET", "POST"])
@require("conduct.import")
@limiter.limit("60/hour", methods=["POST"])
def import_records(kind: str) -> Response | tuple[str, int] | str:
    """Import a spreadsheet of one kind of records with a job, or check it first; without `kind`, of the first
    that the user imports. A refused file is named in the form. Raises NotFound for an unknown kind, Forbidden
    for one that the user may not import."""
    kinds = conduct_imports.kinds_for(current_user.roles)
    conduct_kind = conduct_imports.get_kind_for(kind or next(iter(kinds)), current_user.roles)
    form = SpreadsheetForm()
    job = submit_form(
        form,
        partial(_enqueue_import, form, conduct_kind),
        refusals=(InvalidInput, TooLarge, Unavailable),
        field="file",
    )
    if job is not None:
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    page = render_template(
        "console/conduct_records/import_records.html",
        kinds=kinds,
        kind=conduct_kind,
        headings=_headings(conduct_kind),
        form=form,
    )
    return form_page(page)


def _enqueue_import(form: SpreadsheetForm, kind: ConductKind) -> Job:
    """Enqueue the import (or the check) of the form's file. Raises InvalidInput, TooLarge, Unavailable."""
    upload = form.file.data
    return conduct_imports.enqueue_import(
        kind,
        upload.read(MAX_IMPORT_FILE_BYTES + 1),
        upload.filename or "",
        dry_run="check" in request.form,
        by=current_user.as_actor(),
    )


@conduct_records.get("/office/conduct/<kind>/template.xlsx")
@require("conduct.import")
def template(kind: str) -> FlaskResponse:
    """An empty spreadsheet of one kind, as xlsx. Raises NotFound, Forbidden."""
    conduct_kind = conduct_imports.get_kind_for(kind, current_user.roles)
    return xlsx_response(
        write_xlsx(_headings(conduct_kind), [], conduct_kind.label),
        f"{conduct_kind.code}-template.xlsx",
    )


def _headings(kind: ConductKind) -> list[str]:
    return [headings[0] for headings in kind.headings().values()]


@conduct_records.post("/office/doctors/<uuid:doctor_id>/conduct/<uuid:record_id>/remove")
@require("conduct.import")
def remove_record(doctor_id: UUID, record_id: UUID) -> Response:
    """Let a wrong record of a doctor (locked) count no more, with a reason; without one, or with one too
    long, back to the doctor with that message. Raises NotFound, also if it was removed already, Forbidden."""
    try:
        records.remove(
            doctor_id,
            record_id,
            current_user.grant,
            reason=request.form.get("reason", ""),
            by=current_user.as_actor(),
        )
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
    else:
        flash("已移除这条记录。")
    return redirect(url_for("doctors.show_doctor", doctor_id=doctor_id), 303)
