"""The page of a record under review: what is filed at the left, photo and proofs at the right, the
decision at the bottom."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments import assessment_transitions, conduct_grades
from dingkao.assessments.conduct_grades import ProposedGrade
from dingkao.assessments.models import PROCEDURES, VERDICT_PARTS, VERDICTS, Assessment
from dingkao.assessments.procedure_tests import skips_test
from dingkao.blueprints.console.filing_review import current_scope, filing_review, lease_next_record
from dingkao.blueprints.console.navigation import current_user_recusal_reason
from dingkao.certificates.certificate_rendering import printed_texts
from dingkao.certificates.issuing import certificate_content
from dingkao.database.base import db
from dingkao.doctors.code_lists import CATEGORIES, LEVELS, SEXES
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.errors import Refusal
from dingkao.filings import (
    filing_documents,
    grading_drafts,
    presentation,
    procedure_choice,
    return_marks,
    review,
    review_guards,
)
from dingkao.filings.assistance_marks import confirmation_of
from dingkao.filings.dossier import Dossier, dossier_of_record
from dingkao.filings.doubts import doubts_by_key, doubts_of
from dingkao.filings.procedure_grounds import years_between
from dingkao.filings.review import ReviewScope
from dingkao.filings.review_changes import changes_since_review
from dingkao.filings.review_decisions import Decision, apply_decision
from dingkao.filings.review_phrases import phrase_texts
from dingkao.filings.roster_comparison import compare_with_roster
from dingkao.journal import entries as journal
from dingkao.people.name_lookups import account_name
from dingkao.people.organisations import find_organisation
from dingkao.web.access_control import can_make, require


@filing_review.post("/office/review/<uuid:record_id>/open")
@require("filings.review")
def take_record(record_id: UUID) -> Response:
    """Lease one record: for as long as the lease lasts nobody else can decide on it, and its doctor can't
    withdraw it any more. Raises NotFound, Forbidden, InvalidState if it doesn't wait here or somebody else
    has leased it."""
    scope = current_scope()
    record = review.get_record_for_update(record_id, scope)
    review.lease_record(record, scope, by=current_user.as_actor())
    address = url_for(
        "filing_review.show_record",
        record_id=record_id,
        side=scope.name,
    )
    return redirect(address, 303)


@filing_review.get("/office/review/<uuid:record_id>")
@require("filings.review")
def show_record(record_id: UUID) -> str:
    """One record, in any state but not_included, its numbers masked. Raises NotFound, Forbidden for a side on
    which the user doesn't review."""
    scope = current_scope()
    return _render_record(review.get_record(record_id, scope), scope)


@filing_review.post("/office/review/<uuid:record_id>/reveal")
@require("filings.reveal_numbers")
def reveal_numbers(record_id: UUID) -> str:
    """The record with full numbers; who saw them is entered in the journal. Raises NotFound, Forbidden."""
    scope = current_scope()
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
    """Decide on a record (locked) as the form says, and notify the doctor unless it only goes back to the
    institution; with `next` in the address the next one is leased and shown. A refusal is shown on its page,
    with what was typed. Raises Forbidden, NotFound."""
    scope = current_scope()
    record = review.get_record_for_update(record_id, scope)
    try:
        message = _decide_by_form(record, scope)
    except Refusal as refusal:
        db.session.rollback()
        record = review.get_record(record_id, scope)
        page = _render_record(record, scope, refusal=refusal)
        return page, refusal.status
    flash(f"{_doctor_name(record)}：{message}")
    return redirect(_address_after(record, scope), 303)


def _doctor_name(record: Assessment) -> str:
    return dossier_of_record(record).doctor.name


def _address_after(record: Assessment, scope: ReviewScope) -> str:
    """The address to which a decision leads: of the record itself while it still waits here, with `next` in
    the address of the next one, which is leased here (`lease_next_record`), else of the queue; of the queue,
    too, if a colleague takes the next one in the same moment, for the decision is to stand."""
    if record.state in scope.states:
        return url_for(
            "filing_review.show_record",
            record_id=record.id,
            side=scope.name,
        )
    if "next" in request.args:
        with suppress(Refusal), db.session.begin_nested():
            return lease_next_record(scope, after=record)
    return url_for("filing_review.pending_records", side=scope.name)


def _decide_by_form(record: Assessment, scope: ReviewScope) -> str:
    """Decide on the locked record as the form says, journal it, notify the doctor, and return the sentence to
    show. Raises InvalidInput, Forbidden, InvalidState, and NotFound for a decision that this side doesn't
    have."""
    form = request.form
    action = form.get("decision", "")
    decision = Decision(
        performance=form.get("performance", ""),
        ethics=form.get("ethics", ""),
        competence=form.get("competence", ""),
        text=form.get("text", ""),
        conduct=form.get("conduct", ""),
        conduct_codes=tuple(form.getlist("conduct_code")),
        bad_record_check=form.get("bad_record_check", ""),
        is_other_person="not_self" in form,
    )
    return apply_decision(
        record,
        scope,
        action,
        by=current_user.as_actor(),
        decision=decision,
        marks=_submitted_marks(record) if action.startswith("return") else None,
    )


def _submitted_marks(record: Assessment) -> dict[str, str]:
    """The return marks in the form, by field. Raises InvalidInput."""
    return return_marks.marks_from_form(
        dossier_of_record(record),
        request.form,
    )


def _render_record(
    record: Assessment,
    scope: ReviewScope,
    *,
    revealed: bool = False,
    refusal: Refusal | None = None,
) -> str:
    """The page of a record. `refusal`: why the form that was sent was refused; what was typed stays.
    `revealed`: with full numbers."""
    dossier = dossier_of_record(record)
    draft = grading_drafts.draft_of(record) if scope.name == "institution" else None
    return render_template(
        "console/filing_review/record.html",
        draft=draft,
        drafter=account_name(draft.drafted_by) if draft else "",
        taken=draft if "draft" in request.args else None,
        proposed=_proposed_grades(record),
        record=record,
        side=scope,
        dossier=dossier,
        revealed=revealed,
        typed=request.form if refusal else {},
        told=refusal.message if refusal else None,
        levels=LEVELS,
        categories=CATEGORIES,
        procedures=PROCEDURES,
        verdicts=VERDICTS,
        **_filed_context(dossier, scope, revealed=revealed),
        **_person_context(dossier, revealed=revealed),
        **_decision_context(dossier, scope),
    )


def _proposed_grades(record: Assessment) -> dict[str, ProposedGrade]:
    """Label of a part of the verdict → what the imported conduct records propose for it."""
    grades = conduct_grades.proposed_grades(conduct_grades.conduct_of(record))
    return {VERDICT_PARTS[part]: grade for part, grade in grades.items()}


def _filed_context(
    dossier: Dossier,
    scope: ReviewScope,
    *,
    revealed: bool,
) -> dict[str, Any]:
    """Template variables: what is filed, what is doubtful, what has changed, what the roster says."""
    changes = changes_since_review(
        dossier,
        scope.name,
        revealed=revealed,
    )
    doubts = doubts_of(dossier)
    return {
        "sections": presentation.display_sections(dossier, revealed=revealed),
        "assistance": dossier.filing.assistance if dossier.filing else None,
        "confirmation": confirmation_of(dossier.filing),
        "documents": filing_documents.filed_documents(dossier),
        "hints": filing_documents.photo_hints(dossier.filing),
        "ground": procedure_choice.chosen_ground(dossier),
        "marked": {mark.key: mark for mark in return_marks.return_marks_of(dossier)},
        "doubts": doubts,
        "doubts_at": doubts_by_key(doubts),
        "changes": changes,
        "changes_at": changes.by_key() if changes else {},
        "compared": compare_with_roster(dossier, revealed=revealed),
    }


def _person_context(
    dossier: Dossier,
    *,
    revealed: bool,
) -> dict[str, Any]:
    """Template variables: who the doctor is, and what the certificate will print."""
    doctor, birth_date = dossier.doctor, dossier.birth_date()
    number = document_number_of(doctor) if revealed else doctor.number_masked
    printed = printed_texts(
        certificate_content(dossier.record, doctor, dossier.cycle),
    )
    if not revealed:
        masked = presentation.mask_certificate_number
        printed |= {name: masked(printed[name]) for name in ("资格证书编码", "执业证书编码")}
    return {
        "doctor": doctor,
        "number": number,
        "sex": SEXES.get(doctor.sex or dossier.step_values(1).get("sex", ""), ""),
        "birth_date": birth_date,
        "age": years_between(birth_date, clock.today()) if birth_date else None,
        "institution": find_organisation(dossier.record.institution_id),
        "printed": printed | {"证件号码": number},
    }


def _decision_context(
    dossier: Dossier,
    scope: ReviewScope,
) -> dict[str, Any]:
    """Template variables of the decision: whether the user may decide on the record (who leases it) or lease
    it, who leases it now, what is asked, and where the neighbours in the queue are."""
    record, by = dossier.record, current_user.as_actor()
    holder_name = review.lease_holder_name(record)
    is_mine = record.leased_by == current_user.id and holder_name is not None
    is_self = review_guards.own_record_reason(dossier.doctor, by)
    can_decide = not is_self and scope.organisation_of(record) in scope.deciding_ids
    can_decide = can_decide and can_make(
        "approve" if scope.name == "institution" else "accept",
        record,
    )
    return {
        "may_decide": can_decide and is_mine,
        "may_open": can_decide and not is_mine,
        "holder": holder_name,
        "is_self": is_self,
        "is_namesake": review_guards.is_namesake(dossier.doctor, by),
        "recused": current_user_recusal_reason(record.graded_by) if scope.name == "organisation" else None,
        "graded_by_me": record.graded_by == current_user.id,
        "without_test": skips_test(record.procedure),
        "late": review_guards.lateness_message(dossier.cycle) if scope.name == "institution" else None,
        "cases": review_guards.conduct_cases(dossier),
        "found_choices": review_guards.FOUND_CHOICES,
        "bad_record_choices": review_guards.BAD_RECORD_CHOICES,
        "phrases": phrase_texts(scope.organisation_ids, current_user.id),
        "max_reason_length": assessment_transitions.MAX_REASON_LENGTH,
        "max_mark_length": return_marks.MAX_SENTENCE_LENGTH,
        **_neighbours(dossier, scope),
    }


def _neighbours(
    dossier: Dossier,
    scope: ReviewScope,
) -> dict[str, UUID | None]:
    """Of the records that the user may decide on and no colleague has: the next one behind this in the order
    of waiting (behind the last one, the first), those given to the user first, and the one before it. None
    where there is none, or for who doesn't decide."""
    record, by = dossier.record, current_user.as_actor()
    if record.submitted_at is None or not scope.can_decide:
        return {"next_id": None, "previous_id": None}
    return {
        "next_id": review.find_next_pending_id(dossier.cycle, scope, by, after=record),
        "previous_id": review.find_previous_pending_id(dossier.cycle, scope, by, record),
    }
