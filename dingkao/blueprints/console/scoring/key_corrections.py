"""Corrections of answer keys in the console: proposed, approved by a second person, and the scores that they
change."""

from functools import partial
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import RadioField, StringField
from wtforms.fields.choices import SelectChoice

from dingkao.assessments.models import ASSESSMENT_STATES, VERDICTS
from dingkao.blueprints.console.navigation import (
    current_user_recusal_reason,
)
from dingkao.blueprints.console.scoring.blueprint import scoring
from dingkao.database.base import db
from dingkao.database.pagination import Page
from dingkao.errors import Forbidden, InvalidInput, InvalidState
from dingkao.exams import bank_corrections, key_corrections
from dingkao.exams.effective_keys import effective_keys
from dingkao.exams.models.correction_models import (
    SCORE_CHANGE_STATES,
    KeyCorrection,
    ScoreChange,
)
from dingkao.exams.scoring import CORRECTION_TREATMENTS
from dingkao.jobs.enqueueing import is_under_way
from dingkao.people.name_lookups import account_name
from dingkao.question_banks.models import Question, QuestionVersion
from dingkao.question_banks.question_texts import load_stems
from dingkao.results import rescoring, result_exports, score_changes
from dingkao.web.access_control import require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import Form, Required, TextArea, ticked_ids
from dingkao.web.refused_responses import refused_response
from dingkao.web.request_lifecycle import (
    auto_refreshing_page,
    limiter,
)

BANK_KEY_PROPOSED_MESSAGE = "题库中的答案已提出更正，待另一人审核后使用。"
BANK_KEY_SAME_MESSAGE = "题库中的答案已与这次更正一致，无需再提出。"
TREATMENT_CHOICES = {
    "marked": "更改答案（可以有几个答案均可）",
    "credited": CORRECTION_TREATMENTS["credited"],
    "excluded": CORRECTION_TREATMENTS["excluded"],
}


class CorrectionForm(Form):
    """How a question is scored from now on (`treatment`: a key of TREATMENT_CHOICES), its answer keys, and
    the reason."""

    treatment = RadioField(
        "更正方式",
        [Required("请选择更正方式。")],
        choices=[SelectChoice(code, word) for code, word in TREATMENT_CHOICES.items()],
        default="marked",
    )
    keys = StringField("正确答案")
    reason = TextArea("更正理由", [Required("请填写更正理由，如命题组复核意见。")])


@scoring.get("/office/corrections")
@require("corrections.view")
def list_corrections() -> str:
    """A page of the corrections, also withdrawn ones, the newest first."""
    page = key_corrections.corrections_page(request.args.get("after"))
    return render_template(
        "console/scoring/corrections.html",
        page=page,
        rows=page.rows,
        stems=load_stems({correction.version_id for correction in page.rows}),
        counts=score_changes.counts_of(page.rows),
        treatments=CORRECTION_TREATMENTS,
        states=_correction_state_text,
    )


def _correction_state_text(correction: KeyCorrection) -> str:
    """The state of a correction as text."""
    if correction.withdrawn_at:
        return "已撤回"
    if correction.approved_at is None:
        return "待确认"
    if correction.superseded_at:
        return "已被后来的更正取代"
    return "已生效" if correction.remarked_at else "已生效，正在重新判分"


@scoring.route(
    "/office/corrections/version/<uuid:version_id>",
    methods=["GET", "POST"],
)
@require("corrections.propose")
def propose_correction(
    version_id: UUID,
) -> Response | tuple[str, int] | str:
    """Propose a correction for one version of a question, in place of one that isn't approved yet; a job then
    computes which scores would change. A refusal is shown in the form. Raises NotFound."""
    version = key_corrections.get_version(version_id)
    form = CorrectionForm()
    correction = submit_form(form, partial(_propose_from_form, form, version))
    if correction is not None:
        rescoring.enqueue_preview(correction, by=current_user.as_actor())
        return _redirect_to(correction)
    effective_key = effective_keys([version.id])[version.id]
    if request.method != "POST":
        form.keys.data = ",".join(effective_key.keys)
    page = render_template(
        "console/scoring/propose_correction.html",
        form=form,
        version=version,
        now=effective_key,
        treatments=CORRECTION_TREATMENTS,
        treated=TREATMENT_CHOICES,
    )
    return form_page(page)


def _propose_from_form(form: CorrectionForm, version: QuestionVersion) -> KeyCorrection:
    """Propose the correction of the form for the version, which is locked; an earlier proposal is withdrawn.
    Raises InvalidInput naming the field, also if nothing would change."""
    return key_corrections.propose_correction(
        version,
        treatment=form.treatment.data,
        keys=form.keys.data or "",
        reason=form.reason.data or "",
        by=current_user.as_actor(),
    )


def _redirect_to(correction: KeyCorrection, state: str | None = None) -> Response:
    """A redirect to the page of a correction; with `state` to its changes in this state."""
    address = url_for(
        "scoring.show_correction",
        correction_id=correction.id,
        state=state,
    )
    return redirect(address, 303)


@scoring.get("/office/corrections/<uuid:correction_id>")
@require("corrections.view")
def show_correction(correction_id: UUID) -> FlaskResponse:
    """One correction: the scores that it would change; once approved, the scores that it changed, and the
    published results on which the province must decide; of these a page of those in the `state` of the
    address. While its job runs the page reloads itself. Raises NotFound."""
    correction = key_corrections.get_correction(correction_id)
    job = rescoring.latest_job_of(correction)
    waits = is_under_way(job)
    page = render_template(
        "console/scoring/correction.html",
        row=correction,
        in_bank=_bank_state(correction),
        version=key_corrections.get_version(correction.version_id),
        treatments=CORRECTION_TREATMENTS,
        words=_correction_state_text(correction),
        max_reason_length=key_corrections.MAX_REASON_LENGTH,
        names=(
            account_name(correction.proposed_by),
            account_name(correction.approved_by),
        ),
        job=job,
        waits=waits,
        verdicts=VERDICTS,
        record_states=ASSESSMENT_STATES,
        may=current_user.may("corrections.approve"),
        exported=result_exports.CORRECTION_EXPORT,
        may_again=current_user.may("corrections.propose"),
        **_changes_of_page(correction, request.args.get("state", "")),
    )
    return auto_refreshing_page(page, waits=waits)


def _bank_state(
    correction: KeyCorrection,
) -> tuple[Question, str] | None:
    """For a correction in force: the question in the bank, and the state of its key there; None for another
    correction."""
    if not correction.approved_at or correction.superseded_at:
        return None
    return bank_corrections.bank_state_after_correction(correction)


def _changes_of_page(correction: KeyCorrection, state: str) -> dict[str, Any]:
    """Template variables: a page of the changes in `state`, and whether the current user may decide on
    them."""
    page = score_changes.changes_page(correction, state, request.args.get("after"))
    is_own = correction.proposed_by == current_user.id
    recused = current_user_recusal_reason(correction.proposed_by)
    is_second_person = not is_own and recused is None
    return {
        "page": page,
        "state": state,
        "states": SCORE_CHANGE_STATES,
        "counts": score_changes.counts_of([correction])[correction.id],
        "changes": score_changes.changes_of_sittings(correction, [change.sitting_id for change in page.rows]),
        "own": is_own,
        "recused": recused,
        "may_decide": current_user.may("corrections.decide_changes")
        and is_second_person
        and _has_changes_to_decide(page, state),
    }


def _has_changes_to_decide(page: Page[ScoreChange], state: str) -> bool:
    """Whether the page shows changes that wait for a decision."""
    return state == "waiting" and bool(page.rows)


@scoring.post("/office/corrections/<uuid:correction_id>/approve")
@require("corrections.approve")
def approve_correction(correction_id: UUID) -> Response:
    """Approve a correction as the second person, by which it replaces the one in force; a job then scores the
    sittings with the question again. Approved already, it is only shown. Raises NotFound, Forbidden,
    InvalidState, also before its preview is computed."""
    correction = key_corrections.get_correction_for_update(correction_id)
    if key_corrections.approve_correction(correction, by=current_user.as_actor()):
        rescoring.enqueue_remarking(correction, by=current_user.as_actor())
    return _redirect_to(correction)


@scoring.post("/office/corrections/<uuid:correction_id>/bank")
@require("corrections.propose")
def mend_bank(correction_id: UUID) -> Response:
    """同时更正题库: propose the corrected key in the bank, which a second person must approve, so that later
    papers don't have the old one; that the bank has it already, or why it can't be proposed, is said on the
    correction's page. Raises NotFound."""
    correction = key_corrections.get_correction_for_update(correction_id)
    try:
        is_pending = bank_corrections.propose_corrected_key(correction, by=current_user.as_actor())
    except InvalidState as refusal:
        flash(refusal.message, "refusal")
    else:
        flash(BANK_KEY_PROPOSED_MESSAGE if is_pending else BANK_KEY_SAME_MESSAGE)
    return _redirect_to(correction)


@scoring.post("/office/corrections/<uuid:correction_id>/withdraw")
@require("corrections.propose")
def withdraw_correction(correction_id: UUID) -> Response:
    """Withdraw a proposed correction: the own one, or as an administrator any. Raises NotFound, Forbidden,
    InvalidState."""
    correction = key_corrections.get_correction_for_update(correction_id)
    if not current_user.may("corrections.approve") and correction.proposed_by != current_user.id:
        raise Forbidden
    key_corrections.withdraw_correction(correction, by=current_user.as_actor())
    flash("已撤回。")
    return redirect(url_for("scoring.list_corrections"), 303)


@scoring.post("/office/corrections/<uuid:correction_id>/again")
@require("corrections.propose")
@limiter.limit("60/hour")
def recount_or_resume(correction_id: UUID) -> Response:
    """Compute, with a job, the preview of a proposal again, or resume scoring that was interrupted; finished
    parts aren't repeated. A withdrawn correction is only shown. Raises NotFound."""
    correction = key_corrections.get_correction_for_update(correction_id)
    if correction.approved_at:
        rescoring.enqueue_remarking(correction, by=current_user.as_actor())
    elif not correction.withdrawn_at:
        rescoring.enqueue_preview(correction, by=current_user.as_actor())
    return _redirect_to(correction)


@scoring.post("/office/corrections/<uuid:correction_id>/decide")
@require("corrections.decide_changes")
def decide_changes(correction_id: UUID) -> Response:
    """Decide on the ticked published results: publish the new score (`decision` «adopt»), of which the
    doctors are notified, or keep the published result, with a reason; who could not be decided on is said
    above the list, and a refusal, too. Raises NotFound, Forbidden."""
    correction = key_corrections.get_correction_for_update(correction_id)
    try:
        message = _decide_ticked(correction)
    except InvalidInput as refusal:
        db.session.rollback()
        flash(refusal.message, "refusal")
        return refused_response(show_correction(correction_id), refusal)
    flash(message)
    return _redirect_to(correction, state="waiting")


def _decide_ticked(correction: KeyCorrection) -> str:
    """Decide on the ticked changes as the form says; locks record, sitting and change of each, and notifies
    the doctors of adopted scores. Returns the sentence to show. Raises InvalidInput, Forbidden for who
    proposed the correction or isn't independent of them."""
    change_ids = ticked_ids("change")
    if not change_ids:
        raise InvalidInput("请先勾选要决定的医师。")
    adopt = request.form.get("decision") == "adopt"
    decided_count, reasons = score_changes.decide_changes(
        correction,
        change_ids,
        adopt=adopt,
        reason=request.form.get("reason", ""),
        by=current_user.as_actor(),
    )
    return f"已决定{decided_count}人：{'采用新成绩' if adopt else '维持原结果'}。{' '.join(reasons)}"
