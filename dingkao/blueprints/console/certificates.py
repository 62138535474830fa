"""Certificates in the console: the list, revoking, rendering again."""

from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.listing_pages import open_list
from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.certificates import (
    certificate_queries,
    certificate_rendering,
    issuing,
    revocation,
    unissued_certificates,
    unprintable_names,
)
from dingkao.certificates.certificate_list import CERTIFICATE_LIST
from dingkao.cycles.cycles import current_cycle, require_current_cycle
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListRow
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, NotFound
from dingkao.integrations.storage import current_store
from dingkao.journal import entries as journal
from dingkao.people import proposed_acts
from dingkao.web.access_control import require
from dingkao.web.request_lifecycle import limiter

certificates = console_blueprint("certificates")


@certificates.get("/office/certificates")
@certificates.post("/office/certificates/search", endpoint="search_certificates")
@require("certificates.view")
def list_certificates() -> str | Response:
    """The certificates of the province, with acts about them that wait, and above the unnarrowed list those
    who get none because their name can't be printed."""
    view = open_list(
        CERTIFICATE_LIST,
        links={"name": _doctor_address},
        endpoint="certificates.list_certificates",
        search_endpoint="certificates.search_certificates",
    )
    if isinstance(view, Response):
        return view
    return render_template(
        "console/certificates/list.html",
        view=view,
        proposed=proposed_acts.pending_ids_about("revocation", map(view.id_of, view.page.rows)),
        boxes=[] if view.is_narrowed else _unprintable_people(),
        may=current_user.may("certificates.manage"),
        max_reason_length=proposed_acts.MAX_REASON_LENGTH,
    )


def _doctor_address(row: ListRow) -> str:
    """The address of the page of a row's doctor; a row is the certificate, then the doctor."""
    return url_for("doctors.show_doctor", doctor_id=row[1].id)


def _unprintable_people() -> list[tuple[Doctor, str]]:
    """The doctors who passed in the current cycle but never got a certificate because their name can't be
    printed, each with the characters, by name: the first MAX_UNPRINTABLE_SHOWN; none before the first
    cycle."""
    cycle = current_cycle()
    return unprintable_names.unprintable_in_cycle(cycle) if cycle else []


@certificates.post("/office/certificates/<uuid:certificate_id>/file")
@require("certificates.manage")
def certificate_pdf(certificate_id: UUID) -> FlaskResponse:
    """The certificate as PDF; who downloaded it is entered in the journal, because it contains the ID number.
    Raises NotFound, also until the file is rendered, and Unavailable."""
    certificate = certificate_queries.get_certificate_for_update(certificate_id)
    if certificate.drawn_at is None:
        raise NotFound("通知书正在生成，请稍后再试。")
    content = current_store().get(certificate_rendering.PDF_KIND, certificate.id)
    journal.write_entry(
        "certificate",
        certificate.id,
        "fetched",
        by=current_user.as_actor(),
    )
    return FlaskResponse(
        content,
        mimetype="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{certificate.serial}.pdf"'},
    )


@certificates.post("/office/certificates/<uuid:certificate_id>/revoke")
@require("certificates.manage")
def propose_revocation(
    certificate_id: UUID,
) -> Response | tuple[str | Response, int]:
    """Propose to revoke a certificate (locked), with a reason; it stays valid until a second administrator
    approves. Without a reason, the list with that message. Raises NotFound, InvalidState if it isn't valid or
    a proposal waits already."""
    certificate = certificate_queries.get_certificate_for_update(certificate_id)
    try:
        act = revocation.propose_revocation(
            certificate,
            by=current_user.as_actor(),
            reason=request.form.get("reason", ""),
        )
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
        return list_certificates(), refusal.status
    flash("已提出，请另一位省级管理员确认，确认后撤销。")
    return redirect(url_for("proposed_acts.show_act", act_id=act.id), 303)


@certificates.post("/office/certificates/waiting")
@require("certificates.manage")
@limiter.limit("60/hour")
def issue_waiting() -> Response:
    """Enqueue the job that issues the certificates of the current cycle that could not be printed before and
    can be now, for instance after a font was added, and redirect to it, or to the user's earlier one that is
    unfinished. Raises NotFound before the first cycle."""
    job = unissued_certificates.enqueue_unissued(
        require_current_cycle(),
        by=current_user.as_actor(),
    )
    return redirect(url_for("jobs.show_job", job_id=job.id), 303)


@certificates.post("/office/certificates/<uuid:certificate_id>/draw")
@require("certificates.manage")
def redraw(certificate_id: UUID) -> Response:
    """Enqueue the job that renders a certificate again, valid or not, and redirect to it. Raises NotFound."""
    job = issuing.enqueue_rendering(
        certificate_queries.get_certificate_for_update(certificate_id),
        by=current_user.as_actor(),
    )
    return redirect(url_for("jobs.show_job", job_id=job.id), 303)
