"""Integrity cases about the doctor's own sittings (诚信核查, 陈述申辩): the list, and the doctor's statement
on a case."""

from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.blueprints.doctor.sitting.blueprint import (
    current_record,
    sitting,
)
from dingkao.database.base import db
from dingkao.errors import NotFound, Refusal
from dingkao.exams import integrity_cases
from dingkao.exams.models.monitoring_models import (
    CASE_OUTCOMES,
    CASE_STATES,
    IntegrityCase,
)
from dingkao.web.access_control import require


@sitting.route("/sitting/cases", methods=["GET", "POST"])
@require("sitting.sit")
def list_cases() -> Response | tuple[str, int] | str:
    """The cases about the doctor's own sittings: the reason, until when a statement may be made, and the
    outcome. POST submits a statement on the case that the form names; a refusal is shown on the page. Raises
    NotFound."""
    return _submit_statement() if request.method == "POST" else _render_cases()


def _submit_statement() -> Response | tuple[str, int]:
    """Store the statement, with a journal entry, which cancels an outcome that was proposed without it, and
    redirect to the list, or render it with the error, always with status 422. Raises NotFound."""
    case = _get_own_case_for_update(current_record())
    try:
        integrity_cases.submit_statement(
            case,
            by=current_user.as_actor(),
            statement=request.form.get("statement", ""),
        )
    except Refusal as refusal:
        db.session.rollback()
        return _render_cases(refusal.message), 422
    flash("您的说明已提交。处理结果会在“消息”中通知您。")
    return redirect(url_for("sitting.list_cases"), 303)


def _get_own_case_for_update(record: Assessment) -> IntegrityCase:
    """The case that the form names, locked, if it is about a sitting of `record`. Raises NotFound."""
    case_id = request.form.get("case", type=UUID) or UUID(int=0)
    case_record_sitting = integrity_cases.find_case_for_update(case_id)
    if case_record_sitting is None:
        raise NotFound
    case, case_record, _ = case_record_sitting
    if case_record.id != record.id:
        raise NotFound
    return case


def _render_cases(error: str | None = None) -> str:
    """The list of the cases, with what was typed; `error`: why a statement was refused. Raises NotFound."""
    return render_template(
        "doctor/sitting/cases.html",
        cases=integrity_cases.list_cases(current_record()),
        states=CASE_STATES,
        outcomes=CASE_OUTCOMES,
        told=error,
        typed=request.form,
        moment=clock.now(),
        max_length=integrity_cases.MAX_TEXT_LENGTH,
    )
