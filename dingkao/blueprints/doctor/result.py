"""The doctor's result [S19] and certificate [S20], of this cycle and of earlier ones."""

from collections import Counter
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import render_template, request
from flask_login import current_user

from dingkao.assessments.current_records import (
    cycle_of_doctor,
    get_record_of_doctor,
)
from dingkao.assessments.models import (
    FINAL_STATES,
    ROUNDS,
    VERDICT_PARTS,
    VERDICTS,
    Assessment,
)
from dingkao.certificates import certificate_rendering, downloads
from dingkao.errors import NotFound
from dingkao.exams import answer_review
from dingkao.exams.papers import get_paper
from dingkao.exams.sittings import get_exam_record
from dingkao.filings.dossier import Dossier, dossier_of_record
from dingkao.integrations.storage import current_store
from dingkao.requests import availability, request_queries
from dingkao.results import doctor_results, publishing
from dingkao.tenants import settings
from dingkao.web.access_control import require
from dingkao.web.province_blueprint import province_blueprint
from dingkao.web.request_lifecycle import auto_refreshing_page

result = province_blueprint("result")
NOT_PUBLISHED = doctor_results.DoctorResult()
NO_CERTIFICATE = downloads.CertificateProgress(None, "")


@result.get("/result")
@require("results.own")
def show_result() -> FlaskResponse:
    """「考核结果」: the published result of the current cycle, and the certificate as an image. Raises
    NotFound if the doctor has no cycle or is not in it."""
    cycle = cycle_of_doctor(current_user.doctor().id)
    if cycle is None:
        raise NotFound("本省尚未开始新的考核周期。")
    return _render_result(get_exam_record(current_user.doctor().id, cycle.id))


@result.get("/result/<uuid:record_id>")
@require("results.own")
def show_earlier_result(record_id: UUID) -> FlaskResponse:
    """The result of an own assessment of any cycle or round, as far as it is published. Raises NotFound."""
    return _render_result(_get_own_record(record_id))


def _get_own_record(record_id: UUID) -> Assessment:
    """The doctor's own assessment with that id. Raises NotFound."""
    return get_record_of_doctor(record_id, current_user.doctor().id)


def _render_result(record: Assessment) -> FlaskResponse:
    """The page of an assessment's result; nothing of it is shown before it is published."""
    state = publishing.state_for_doctor(record)
    dossier = dossier_of_record(record)
    published, certificate = NOT_PUBLISHED, NO_CERTIFICATE
    if state in FINAL_STATES:
        published = doctor_results.load_doctor_result(record, dossier.doctor, dossier.cycle)
        certificate = downloads.certificate_progress(record, dossier.doctor)
    page = render_template(
        "doctor/result/result.html",
        record=record,
        published=state in FINAL_STATES,
        included=state != "not_included",
        passed=state == "passed",
        cycle=dossier.cycle,
        rounds=ROUNDS,
        verdicts=VERDICTS,
        parts=VERDICT_PARTS,
        scores=published.scores,
        line=published.pass_line_tenths,
        sittings=published.sitting_ids,
        certificate=certificate.certificate,
        boxes=certificate.unprintable,
        may_download=settings.value("certificate_download"),
        contact=settings.value("contact"),
        answers=answer_review.reviewable_sittings(record),
        others=doctor_results.list_other_results(record),
        **_appeal_facts(dossier, state),
    )
    return auto_refreshing_page(page, waits=state == "passed" and certificate.is_awaited)


def _appeal_facts(dossier: Dossier, state: str) -> dict[str, Any]:
    """What the page says about an appeal: the one that was made, whether one may be made, and until when."""
    appeal = request_queries.find_latest_request(dossier.record, "appeal")
    is_available = availability.unavailable_reason(dossier, "appeal") is None
    return {
        "appeal": appeal,
        "may_appeal": is_available and appeal is None,
        "until": availability.appeal_last_day(dossier) if state == "failed" else None,
    }


@result.get("/result/<uuid:record_id>/answers/<uuid:sitting_id>")
@require("results.own")
def review_answers(record_id: UUID, sitting_id: UUID) -> str:
    """The doctor's own answers to a paper: with the setting «full» a page of the questions from the number
    `from` of the address on, else only how each came out. Raises NotFound, InvalidState before publication
    and if the province shows none."""
    record = _get_own_record(record_id)
    sitting, questions = answer_review.review_sitting(record, sitting_id)
    is_full = answer_review.review_mode() == "full"
    start = max(request.args.get("from", 1, int), 1)
    page = _page_of(questions, start) if is_full else []
    return render_template(
        "doctor/result/answers.html",
        record=record,
        sitting=sitting,
        paper=get_paper(sitting.paper_id),
        rows=questions,
        part=page,
        words=answer_review.load_reviewed_versions(page),
        full=is_full,
        start=start,
        size=answer_review.PAGE_SIZE,
        standings=answer_review.VERDICT_LABELS,
        counted=Counter(question.verdict for question in questions),
    )


def _page_of(
    questions: list[answer_review.ReviewedQuestion], start: int
) -> list[answer_review.ReviewedQuestion]:
    """The questions of the page that begins with number `start` (from 1), PAGE_SIZE at the most. Raises
    NotFound if there are fewer than `start`."""
    page = questions[start - 1 : start - 1 + answer_review.PAGE_SIZE]
    if not page:
        raise NotFound
    return page


@result.get("/result/<uuid:record_id>/certificate.png")
@require("results.own")
def certificate_image(record_id: UUID) -> FlaskResponse:
    """The certificate as PNG, which can be saved with a long press; the journal says nothing of it. Raises
    NotFound (not the doctor's own, or not drawn yet), InvalidState if the province issues certificates on
    paper only, Unavailable."""
    certificate = downloads.get_downloadable_certificate(_get_own_record(record_id))
    return FlaskResponse(
        current_store().get(certificate_rendering.PNG_KIND, certificate.id),
        mimetype="image/png",
        headers={"Cache-Control": "private, no-store"},
    )


@result.post("/result/<uuid:record_id>/download")
@require("results.own")
def certificate_pdf(record_id: UUID) -> FlaskResponse:
    """The certificate as PDF, to be saved under its serial number; the download is entered in the journal,
    and the time of the first one stored; the certificate is locked. Raises NotFound (not the doctor's own, or
    not drawn yet), InvalidState if the province issues certificates on paper only, Unavailable. For a file
    that was altered, `downloads.take_pdf` fails with DecryptionFailed, which is no refusal."""
    certificate = downloads.get_downloadable_certificate(_get_own_record(record_id), for_update=True)
    return FlaskResponse(
        downloads.take_pdf(certificate, by=current_user.as_actor()),
        mimetype="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{certificate.serial}.pdf"'},
    )
