"""The doctor's result [S19] and certificate [S20]."""

from flask import Response as FlaskResponse
from flask import render_template
from flask_login import current_user
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import FINAL, VERDICTS
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.blueprints.web import waiting_page
from dingkao.certificates import issuing
from dingkao.certificates.models import Certificate
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.errors import NotAllowed, NotFound
from dingkao.exams.sittings import record_of
from dingkao.journal import writing as journal
from dingkao.outside.storage import store
from dingkao.tenants import settings

result = of_province("result")


@result.get("/result")
@allow(DOCTOR)
def show() -> FlaskResponse:
    """「考核结果」: what was published, and the certificate as a picture."""
    cycle = current_cycle()
    if cycle is None:
        raise NotFound("本省尚未开始新的考核周期。")
    record = record_of(current_user.doctor().id, cycle.id)
    published = record.state in FINAL
    certificate = issuing.newest(record) if published else None
    shown = render_template(
        "result/show.html", record=record, published=published, certificate=certificate, verdicts=VERDICTS, cycle=cycle,
        may_download=settings.value("certificate_download"), contact=settings.value("contact"),
    )  # fmt: skip
    return waiting_page(shown, waits=record.state == "passed" and (certificate is None or certificate.state == "issued" and certificate.drawn_at is None))


def _certificate(*, lock: bool = False) -> Certificate:
    cycle = current_cycle()
    if cycle is None:
        raise NotFound
    record = record_of(current_user.doctor().id, cycle.id)
    query = select(Certificate).where(Certificate.assessment_id == record.id, Certificate.state == "issued")
    row = db.session.scalar(query.with_for_update() if lock else query)
    if row is None or row.drawn_at is None:
        raise NotFound("通知书还没有生成,请稍后再看。")
    if not settings.value("certificate_download"):
        raise NotAllowed("本省暂不提供通知书下载,请向本机构领取。")
    return row


@result.get("/result/certificate.png")
@allow(DOCTOR)
def picture() -> FlaskResponse:
    """The certificate as a picture, to be kept by a long press."""
    row = _certificate()
    return FlaskResponse(store().get(issuing.PNG, row.id, sealed=True), mimetype="image/png", headers={"Cache-Control": "private, no-store"})


@result.post("/result/download")
@allow(DOCTOR)
def download() -> FlaskResponse:
    """The PDF; that it was taken is noted."""
    row = _certificate(lock=True)
    content = store().get(issuing.PDF, row.id, sealed=True)
    row.downloaded_at = row.downloaded_at or clock.now()
    journal.write("certificate", row.id, "downloaded", by=current_user.actor())
    return FlaskResponse(content, mimetype="application/pdf", headers={"Content-Disposition": f'attachment; filename="{row.serial}.pdf"'})
