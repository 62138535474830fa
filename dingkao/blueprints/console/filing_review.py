"""Review (审核) in the console: the queue, one record, and decisions on many records at once. A record is a
doctor's assessment in the cycle (考核记录)."""

from functools import partial
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments import assessment_transitions
from dingkao.assessments.models import (
    PROCEDURES,
    VERDICTS,
    Assessment,
)
from dingkao.assessments.procedure_tests import skips_test
from dingkao.blueprints.console.listing_pages import open_list, selected_ids
from dingkao.blueprints.console.navigation import (
    console_blueprint,
    count_decidable,
    current_user_recusal_reason,
)
from dingkao.cycles.cycles import current_cycle, require_current_cycle
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListRow
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, NotFound, Refusal
from dingkao.exams.tickets import get_or_issue_ticket
from dingkao.filings import (
    filing_documents,
    presentation,
    procedure_choice,
    return_marks,
    review,
)
from dingkao.filings.batch_review import (
    MAX_BATCH,
    BatchReview,
    apply_batch,
    check_batch,
)
from dingkao.filings.dossier import dossier_of_record, filing_of
from dingkao.filings.review import Decision, ReviewScope
from dingkao.filings.review_list import REVIEW_LISTS
from dingkao.integrations.storage import current_store
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.organisations import get_organisation
from dingkao.web.access_control import can_make, require

filing_review = console_blueprint("filing_review")


def review_scopes() -> dict[str, ReviewScope]:
    """The sides for which the current user reviews: «institution» and «organisation» → its ReviewScope."""
    grant = current_user.grant("filings.review")
    scopes = (
        ReviewScope(
            "institution",
            grant.institution_ids,
            current_user.may("filings.approve"),
        ),
        ReviewScope(
            "organisation",
            grant.assessor_ids,
            current_user.may("filings.accept"),
        ),
    )
    return {scope.name: scope for scope in scopes if scope.organisation_ids}


def waiting_counts() -> dict[str, tuple[int, int]]:
    """By side on which the current user may decide: how many records wait for this user, and how many only
    for others; for 待办."""
    cycle = current_cycle()
    if cycle is None:
        return {}
    return {
        name: count_decidable(
            review.pending_records(cycle, scope),
            *scope.earlier_actor_columns,
        )
        for name, scope in review_scopes().items()
        if scope.can_decide
    }


def _current_scope() -> ReviewScope:
    """The side (`side`: "institution" or "organisation") that the request names, or the user's first one; for
    views that require filings.review, whose users have one. Raises Forbidden for a side on which the user
    doesn't review."""
    scopes = review_scopes()
    name = request.values.get("side") or next(iter(scopes))
    if name not in scopes:
        raise Forbidden
    return scopes[name]


@filing_review.get("/office/review")
@require("filings.review")
def pending_records() -> str | Response:
    """The queue of the records that wait for this side."""
    scope = _current_scope()
    cycle = current_cycle()
    if cycle is None:
        return render_template("console/filing_review/pending.html", cycle=None)
    view = open_list(
        REVIEW_LISTS[scope.name],
        fixed={"side": scope.name},
        links={"name": partial(_record_address, scope)},
    )
    if isinstance(view, Response):
        return view
    return render_template(
        "console/filing_review/pending.html",
        cycle=cycle,
        side=scope,
        both=len(review_scopes()) > 1,
        view=view,
    )


def _record_address(scope: ReviewScope, row: ListRow) -> str:
    return url_for("filing_review.show_record", record_id=row[0].id, side=scope.name)


@filing_review.post("/office/review/next")
@require("filings.review")
def next_record() -> Response:
    """Lease the record that has waited longest, and show it. Raises NotFound before the first cycle."""
    scope = _current_scope()
    record_id = review.next_pending_record(require_current_cycle(), scope, current_user.as_actor())
    if record_id is None:
        flash("没有等待审核的记录了。")
        return redirect(
            url_for("filing_review.pending_records", side=scope.name),
            303,
        )
    return take_record(record_id)


@filing_review.post("/office/review/<uuid:record_id>/open")
@require("filings.review")
def take_record(record_id: UUID) -> Response:
    """Lease one record: for 30 minutes nobody else can decide on it. Raises NotFound, Forbidden,
    InvalidState."""
    scope = _current_scope()
    record = review.get_record_for_update(record_id, scope)
    review.lease_record(record, scope, by=current_user.as_actor())
    return redirect(
        url_for(
            "filing_review.show_record",
            record_id=record_id,
            side=scope.name,
        ),
        303,
    )


@filing_review.get("/office/review/<uuid:record_id>")
@require("filings.review")
def show_record(record_id: UUID) -> str:
    """One record: the filing on the left, photo and proofs on the right, the decision at the bottom. Raises
    NotFound."""
    scope = _current_scope()
    return _render_record(review.get_record(record_id, scope), scope)


def _render_record(
    record: Assessment,
    scope: ReviewScope,
    *,
    revealed: bool = False,
    typed: dict[str, str] | None = None,
    message: str | None = None,
) -> str:
    """The page of a record. `typed`: a form that was refused with `message`; `revealed`: with full
    numbers."""
    dossier = dossier_of_record(record)
    return render_template(
        "console/filing_review/record.html",
        record=record,
        side=scope,
        doctor=dossier.doctor,
        number=_document_number(dossier.doctor, revealed=revealed),
        revealed=revealed,
        institution=get_organisation(record.institution_id),
        sections=presentation.display_sections(dossier, revealed=revealed),
        dossier=dossier,
        proofs=filing_documents.unattached_proofs(record),
        typed=typed or {},
        told=message,
        levels=LEVELS,
        categories=CATEGORIES,
        procedures=PROCEDURES,
        verdicts=VERDICTS,
        ground=procedure_choice.chosen_ground(dossier),
        marked={mark.key: mark for mark in return_marks.return_marks_of(dossier)},
        max_reason_length=assessment_transitions.MAX_REASON_LENGTH,
        max_mark_length=return_marks.MAX_SENTENCE_LENGTH,
        without_test=skips_test(record.procedure),
        graded_by_me=record.graded_by == current_user.id,
        recused=_recusal_reason(record, scope),
        hints=filing_documents.photo_hints(dossier.filing),
        **_decision_context(record, scope),
    )


def _decision_context(record: Assessment, scope: ReviewScope) -> dict[str, Any]:
    """Whether the current user may decide on the record (who leases it) or may lease it, and who leases it
    now."""
    holder_name = review.lease_holder_name(record)
    is_mine = record.leased_by == current_user.id and holder_name is not None
    can_decide = can_make("approve" if scope.name == "institution" else "accept", record)
    return {
        "may_decide": can_decide and is_mine,
        "may_open": can_decide and not is_mine,
        "holder": holder_name,
    }


def _recusal_reason(record: Assessment, scope: ReviewScope) -> str | None:
    """Why the current user may not be the second person to review the record; None if the user may, or is the
    first."""
    if scope.name != "organisation":
        return None
    return current_user_recusal_reason(record.graded_by)


def _document_number(doctor: Doctor, *, revealed: bool) -> str:
    return document_number_of(doctor) if revealed else doctor.number_masked


@filing_review.post("/office/review/<uuid:record_id>/reveal")
@require("filings.reveal_numbers")
def reveal_numbers(record_id: UUID) -> str:
    """The record with full numbers; who saw them is entered in the journal."""
    scope = _current_scope()
    record = review.get_record_for_update(record_id, scope)
    journal.write_entry(
        "assessment",
        record.id,
        "numbers_revealed",
        by=current_user.as_actor(),
    )
    return _render_record(record, scope, revealed=True)


@filing_review.post("/office/review/<uuid:record_id>/decide")
@require("filings.review")
def decide_record(record_id: UUID) -> Response | tuple[str, int]:
    """Decide on a record. Raises Forbidden, NotFound."""
    scope = _current_scope()
    if not scope.can_decide:
        raise Forbidden
    record = review.get_record_for_update(record_id, scope)
    try:
        message = _decide_by_form(record, scope)
    except Refusal as refusal:
        db.session.rollback()
        record = review.get_record(record_id, scope)
        page = _render_record(
            record,
            scope,
            typed=request.form.to_dict(),
            message=refusal.message,
        )
        return page, refusal.status
    _issue_ticket_if_ready(record)
    flash(message)
    return redirect(url_for("filing_review.pending_records", side=scope.name), 303)


def _decide_by_form(record: Assessment, scope: ReviewScope) -> str:
    """Decide as the form says and return the sentence to show. Raises every refusal of the decision."""
    form = request.form
    action = form.get("decision", "")
    decision = Decision(
        performance=form.get("performance", ""),
        ethics=form.get("ethics", ""),
        competence=form.get("competence", ""),
        text=form.get("text", ""),
    )
    return review.apply_decision(
        record,
        scope,
        action,
        by=current_user.as_actor(),
        decision=decision,
        marks=_submitted_marks(record) if action.startswith("return") else None,
    )


def _submitted_marks(record: Assessment) -> dict[str, str]:
    """The return marks in the form, by field. Raises InvalidInput."""
    return return_marks.marks_from_form(dossier_of_record(record), request.form)


@filing_review.get("/office/review/<uuid:record_id>/photo.jpg")
@require("filings.review")
def photo(record_id: UUID) -> FlaskResponse:
    """The doctor's photo as JPEG. Raises NotFound."""
    filing = filing_of(review.get_record(record_id, _current_scope()))
    content = filing_documents.photo_content(filing) if filing else None
    if content is None:
        raise NotFound
    return FlaskResponse(content, mimetype="image/jpeg")


@filing_review.get("/office/review/<uuid:record_id>/proof/<uuid:document_id>")
@require("filings.review")
def proof(record_id: UUID, document_id: UUID) -> FlaskResponse:
    """A proof that the doctor uploaded, of an entry or not. Raises NotFound."""
    record = review.get_record(record_id, _current_scope())
    document = filing_documents.get_proof(record, document_id)
    content = current_store().get("proof", document.id)
    headers = {"Content-Disposition": "inline"}
    return FlaskResponse(content, mimetype=document.content_type, headers=headers)


@filing_review.post("/office/review/batch")
@require("filings.review")
def batch_review() -> Response | str:
    """Decide on many records at once: first the page of who would be decided on and who is skipped; once
    confirmed, the report. Raises Forbidden."""
    scope, cycle = _current_scope(), require_current_cycle()
    if not scope.can_decide:
        raise Forbidden("经办人可以查看，审核决定由审核人作出。")
    by = current_user.as_actor()
    ids = selected_ids(REVIEW_LISTS[scope.name], MAX_BATCH)
    if not ids:
        flash("请先勾选要审核的医师。", "refusal")
        return redirect(
            url_for("filing_review.pending_records", side=scope.name),
            303,
        )
    is_confirmed = "confirmed" in request.form
    decide = _apply_batch if is_confirmed else check_batch
    return render_template(
        "console/filing_review/batch.html",
        side=scope,
        batch=decide(cycle, scope, ids, by=by),
        done=is_confirmed,
    )


def _apply_batch(cycle: Cycle, scope: ReviewScope, ids: list[UUID], *, by: Actor) -> BatchReview:
    """Decide on many records; those who may sit the exam now get an admission ticket."""
    report, records = apply_batch(cycle, scope, ids, by=by)
    for record in records:
        _issue_ticket_if_ready(record)
    return report


def _issue_ticket_if_ready(record: Assessment) -> None:
    """Issue the admission ticket of a record that has become «ready»."""
    if record.state == "ready":
        get_or_issue_ticket(record)
