"""Certificates in the console: what was issued, revoking, drawing anew."""

from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response

from dingkao.assessments.models import Assessment
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, AUDITOR, of_office
from dingkao.certificates import issuing
from dingkao.certificates.models import Certificate
from dingkao.certificates.numbering import plain
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotFound
from dingkao.journal import writing as journal
from dingkao.outside.storage import store

certificates = of_office("certificates")
STATES = {"issued": "有效", "revoked": "已撤销", "replaced": "已替换"}


@certificates.get("/office/certificates")
@allow(ADMIN, AUDITOR)
def index() -> str:
    """The certificates of the province, or the one of a serial."""
    serial = plain(request.args.get("serial", ""))
    query = select(Certificate)
    if serial:
        query = query.where(Certificate.serial == serial)
    found = page(query, [Certificate.id], request.args.get("after"))
    records = {row.id: row.doctor_id for row in db.session.scalars(select(Assessment).where(Assessment.id.in_([one.assessment_id for one in found.rows])))}
    people = {row.id: row for row in db.session.scalars(select(Doctor).where(Doctor.id.in_(records.values())))}
    return render_template(
        "certificates/index.html", page=found, people={one.id: people[records[one.assessment_id]] for one in found.rows}, states=STATES, serial=serial,
        may=ADMIN in current_user.roles,
    )  # fmt: skip


def _certificate(certificate_id: UUID) -> Certificate:
    row = db.session.scalar(select(Certificate).where(Certificate.id == certificate_id).with_for_update())
    if row is None:
        raise NotFound
    return row


@certificates.post("/office/certificates/<uuid:certificate_id>/file")
@allow(ADMIN)
def file(certificate_id: UUID) -> FlaskResponse:
    """The PDF; who fetched it is journalled, because it carries the ID number."""
    row = _certificate(certificate_id)
    if row.drawn_at is None:
        raise NotFound("通知书正在生成,请稍后再试。")
    content = store().get(issuing.PDF, row.id, sealed=True)
    journal.write("certificate", row.id, "fetched", by=current_user.actor())
    return FlaskResponse(content, mimetype="application/pdf", headers={"Content-Disposition": f'attachment; filename="{row.serial}.pdf"'})


@certificates.post("/office/certificates/<uuid:certificate_id>/revoke")
@allow(ADMIN)
def revoke(certificate_id: UUID) -> Response:
    """Revoke one, with a reason."""
    try:
        issuing.revoke(_certificate(certificate_id), by=current_user.actor(), reason=request.form.get("reason", ""))
    except Invalid as refusal:
        flash(refusal.sentence)
    else:
        flash("已撤销,公众查验页会显示“已撤销”。")
    return redirect(url_for("certificates.index"), 303)


@certificates.post("/office/certificates/<uuid:certificate_id>/draw")
@allow(ADMIN)
def draw(certificate_id: UUID) -> Response:
    """Draw one anew."""
    job = issuing.ask_drawing(_certificate(certificate_id), by=current_user.actor())
    return redirect(url_for("work.show", job_id=job.id), 303)
