"""The doctor's result [S19] and certificate [S20], of this cycle and of earlier ones."""

from uuid import UUID

from flask import Response as FlaskResponse
from flask import render_template, request
from flask_login import current_user
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import FINAL, PARTS, ROUNDS, VERDICTS, Assessment
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.blueprints.web import waiting_page
from dingkao.certificates import issuing
from dingkao.certificates.models import Certificate
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.errors import NotAllowed, NotFound
from dingkao.exams import reviewing
from dingkao.exams.models import TYPES, Paper, Sitting
from dingkao.exams.sittings import record_of
from dingkao.journal import writing as journal
from dingkao.outside.storage import store
from dingkao.requests import making
from dingkao.results import lines
from dingkao.tenants import settings

result = of_province("result")


@result.get("/result")
@allow(DOCTOR)
def show() -> FlaskResponse:
    """「考核结果」: what was published, and the certificate as a picture."""
    cycle = current_cycle()
    if cycle is None:
        raise NotFound("本省尚未开始新的考核周期。")
    return _shown(record_of(current_user.doctor().id, cycle.id), cycle)


@result.get("/result/<uuid:record_id>")
@allow(DOCTOR)
def earlier(record_id: UUID) -> FlaskResponse:
    """The result of an earlier cycle or round."""
    record = _mine(record_id)
    return _shown(record, db.session.get_one(Cycle, (record.tenant_id, record.cycle_id)))


def _mine(record_id: UUID, *, lock: bool = False) -> Assessment:
    query = select(Assessment).where(Assessment.id == record_id, Assessment.doctor_id == current_user.doctor().id)
    record = db.session.scalar(query.with_for_update() if lock else query)
    if record is None:
        raise NotFound
    return record


def _shown(record: Assessment, cycle: Cycle) -> FlaskResponse:
    published = record.state in FINAL
    certificate = issuing.newest(record) if published else None
    dossier = making.dossier_of_record(record)
    closed = making.closed_because(dossier, "appeal")
    asked = next((row for row in making.requests_of(record) if row.kind == "appeal" and row.state != "withdrawn"), None)
    shown = render_template(
        "result/show.html", record=record, published=published, certificate=certificate, verdicts=VERDICTS, parts=PARTS, cycle=cycle, rounds=ROUNDS,
        may_download=settings.value("certificate_download"), contact=settings.value("contact"), scores=_scores(record) if published else [],
        line=_line(record, dossier.doctor.category, dossier.doctor.level, cycle) if published else None, others=_others(record),
        appeal=asked, may_appeal=closed is None and asked is None, answers=reviewing.may_review(record), until=making.appeal_until(dossier) if record.state == "failed" else None,
    )  # fmt: skip
    return waiting_page(shown, waits=record.state == "passed" and (certificate is None or certificate.state == "issued" and certificate.drawn_at is None))


def _scores(record: Assessment) -> list[tuple[str, int | None]]:
    """The papers' titles with their scores in tenths, where the province shows them."""
    if not settings.value("show_scores"):
        return []
    joined = select(Paper.title, Sitting.score_tenths).join(Sitting, (Sitting.tenant_id == Paper.tenant_id) & (Sitting.paper_id == Paper.id))
    return [(title, tenths) for title, tenths in db.session.execute(joined.where(Sitting.assessment_id == record.id, Sitting.voided_at.is_(None)).order_by(Paper.subject))]


def _line(record: Assessment, category: str, level: str, cycle: Cycle) -> int | None:
    """The pass line in tenths that was applied, where scores are shown."""
    found = lines.standing(cycle).get((category, level)) if settings.value("show_scores") else None
    return found.line_tenths if found and found.approved_at and not record.exempted else None


def _others(record: Assessment) -> list[tuple[Assessment, Cycle]]:
    """The doctor's other records with a result, the newest first."""
    query = select(Assessment, Cycle).join(Cycle, (Cycle.tenant_id == Assessment.tenant_id) & (Cycle.id == Assessment.cycle_id))
    query = query.where(Assessment.doctor_id == record.doctor_id, Assessment.id != record.id, Assessment.state.in_(FINAL))
    return [(row[0], row[1]) for row in db.session.execute(query.order_by(Cycle.starts_on.desc(), Assessment.id.desc()))]


@result.get("/result/<uuid:record_id>/answers/<uuid:sitting_id>")
@allow(DOCTOR)
def answers(record_id: UUID, sitting_id: UUID) -> str:
    """One's own answers to a paper, as far as the province lets them be seen."""
    record = _mine(record_id)
    sitting, found = reviewing.reviewed(record, sitting_id)
    full, start = reviewing.how() == "full", max(request.args.get("from", 1, int), 1)
    part = found[start - 1 : start - 1 + reviewing.PAGE] if full else []
    if full and not part:
        raise NotFound
    counted = {name: sum(one.standing == name for one in found) for name in reviewing.STANDINGS}
    paper = db.session.scalars(select(Paper).where(Paper.id == sitting.paper_id)).one()
    return render_template(
        "result/answers.html", record=record, sitting=sitting, paper=paper, rows=found, part=part, words=reviewing.words_of(part), full=full, start=start,
        size=reviewing.PAGE, standings=reviewing.STANDINGS, counted=counted, kinds=TYPES,
    )  # fmt: skip


def _certificate(record: Assessment, *, lock: bool = False) -> Certificate:
    query = select(Certificate).where(Certificate.assessment_id == record.id, Certificate.state == "issued")
    row = db.session.scalar(query.with_for_update() if lock else query)
    if row is None or row.drawn_at is None:
        raise NotFound("通知书还没有生成,请稍后再看。")
    if not settings.value("certificate_download"):
        raise NotAllowed("本省暂不提供通知书下载,请向本机构领取。")
    return row


@result.get("/result/<uuid:record_id>/certificate.png")
@allow(DOCTOR)
def picture(record_id: UUID) -> FlaskResponse:
    """The certificate as a picture, to be kept by a long press."""
    row = _certificate(_mine(record_id))
    return FlaskResponse(store().get(issuing.PNG, row.id, sealed=True), mimetype="image/png", headers={"Cache-Control": "private, no-store"})


@result.post("/result/<uuid:record_id>/download")
@allow(DOCTOR)
def download(record_id: UUID) -> FlaskResponse:
    """The PDF; that it was taken is noted."""
    row = _certificate(_mine(record_id), lock=True)
    content = store().get(issuing.PDF, row.id, sealed=True)
    row.downloaded_at = row.downloaded_at or clock.now()
    journal.write("certificate", row.id, "downloaded", by=current_user.actor())
    return FlaskResponse(content, mimetype="application/pdf", headers={"Content-Disposition": f'attachment; filename="{row.serial}.pdf"'})
