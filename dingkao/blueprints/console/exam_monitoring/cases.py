"""Integrity cases (诚信核查): the list, one case, proposing and deciding its outcome."""

from datetime import UTC, datetime
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.current_records import records_by_id
from dingkao.blueprints.console.exam_monitoring.blueprint import (
    exam_monitoring,
    request_recheck,
)
from dingkao.blueprints.console.navigation import (
    count_decidable,
    current_user_recusal_reason,
)
from dingkao.database.base import db
from dingkao.errors import InvalidInput, Refusal
from dingkao.exams import integrity_cases, integrity_events, sittings
from dingkao.exams.models.monitoring_models import (
    CASE_OUTCOMES,
    CASE_STATES,
    INTEGRITY_EVENTS,
    IntegrityCase,
)
from dingkao.exams.monitoring import PAGE_SIZE, SITTING_FILTERS
from dingkao.exams.sitting_descriptions import (
    describe_people,
    describe_sittings,
)
from dingkao.people.name_lookups import account_names
from dingkao.web.access_control import require


def pending_case_counts() -> tuple[int, int]:
    """How many cases wait for the current user (proposed outcomes to decide on, or heard cases for which an
    outcome must be proposed), and how many proposed ones only somebody else may decide on."""
    if current_user.may("cases.decide"):
        query = integrity_cases.proposed_cases_query(current_user.grant("cases.decide"))
        return count_decidable(query, IntegrityCase.proposed_by, IntegrityCase.opened_by)
    if current_user.may("cases.propose"):
        return integrity_cases.count_ready_to_propose(current_user.grant("cases.propose")), 0
    return 0, 0


@exam_monitoring.get("/office/cases")
@require("cases.view")
def list_cases() -> str:
    """A page of the cases in the state that the address names (`all` for all), by default the open ones; the
    oldest first."""
    state = request.args.get("state", "")
    page = integrity_cases.cases_page(
        current_user.grant("cases.view"),
        state,
        request.args.get("after"),
        PAGE_SIZE,
    )
    records = records_by_id([case.assessment_id for case in page.rows])
    return render_template(
        "console/exam_monitoring/cases.html",
        page=page,
        people=describe_people(records.values()),
        state=state,
        states=CASE_STATES,
        outcomes=CASE_OUTCOMES,
        moment=clock.now(),
    )


@exam_monitoring.get("/office/cases/<uuid:case_id>")
@require("cases.view")
def show_case(case_id: UUID) -> str:
    """One case: the reason, the events, the doctor's statement, the proposed and the decided outcome. Raises
    NotFound."""
    return _render_case(case_id)


def _render_case(case_id: UUID, message: str | None = None) -> str:
    """The page of a case; `message`: why something was refused. Raises NotFound."""
    case = integrity_cases.get_visible_case(case_id, current_user.grant("cases.view"))
    sitting = sittings.get_sitting_by_id(case.sitting_id)
    return render_template(
        "console/exam_monitoring/case.html",
        case=case,
        row=describe_sittings([sitting], integrity_events.connected_among([sitting.id]))[0],
        events=integrity_events.list_events(sitting),
        kinds=INTEGRITY_EVENTS,
        states=CASE_STATES,
        outcomes=CASE_OUTCOMES,
        told=message,
        typed=request.form,
        names=account_names([case.opened_by, case.proposed_by, case.decided_by]),
        heard=case.stated_at is not None or case.heard_until <= clock.now(),
        recused=current_user_recusal_reason(case.opened_by, case.proposed_by),
        mine=current_user.id in (case.opened_by, case.proposed_by),
        views=SITTING_FILTERS,
        max_length=integrity_cases.MAX_TEXT_LENGTH,
    )


@exam_monitoring.post("/office/cases/<uuid:case_id>/propose")
@require("cases.propose")
def propose_outcome(case_id: UUID) -> Response | tuple[str, int]:
    """提出处理意见: propose an outcome of a case; a refusal is shown on its page, with what was typed. Raises
    NotFound."""
    case, _, _ = integrity_cases.get_visible_case_for_update(case_id, current_user.grant("cases.propose"))
    form = request.form
    try:
        integrity_cases.propose_outcome(
            case,
            by=current_user.as_actor(),
            outcome=form.get("outcome", ""),
            opinion=form.get("opinion", ""),
            resit_until=_parse_end_time(form.get("resit_until", "")),
        )
    except Refusal as refusal:
        db.session.rollback()
        return _render_case(case_id, refusal.message), refusal.status
    flash("已提出处理意见，等待省级管理员确认。")
    return redirect(url_for("exam_monitoring.show_case", case_id=case_id), 303)


@exam_monitoring.post("/office/cases/<uuid:case_id>/decide")
@require("cases.decide")
def decide_case(case_id: UUID) -> Response | tuple[str, int]:
    """确认 or 退回重议: return the case to the assessment organisation (`decision` «back»), else carry out
    the proposed outcome, of which the doctor is notified and the sitting's page learns soon; case, record and
    sitting are locked. A refusal is shown on the case's page. Raises NotFound."""
    case, record, sitting = integrity_cases.get_visible_case_for_update(
        case_id, current_user.grant("cases.decide")
    )
    opinion = request.form.get("opinion", "")
    by = current_user.as_actor()
    try:
        if request.form.get("decision") == "back":
            integrity_cases.return_for_reconsideration(case, by=by, opinion=opinion)
            message = "已退回考核机构重议。"
        else:
            message = integrity_cases.confirm_proposal(case, record, sitting, by=by, opinion=opinion)
            request_recheck(sitting.id)
    except Refusal as refusal:
        db.session.rollback()
        return _render_case(case_id, refusal.message), refusal.status
    flash(message)
    return redirect(url_for("exam_monitoring.show_case", case_id=case_id), 303)


def _parse_end_time(text: str) -> datetime | None:
    """A date and time from a browser's field, in Beijing time, as a moment in UTC; the whole minute is
    included. None for an empty text. Raises InvalidInput."""
    if not text:
        return None
    try:
        typed_moment = datetime.fromisoformat(text).replace(tzinfo=clock.BEIJING)
    except ValueError as error:
        raise InvalidInput("重考截止时间无法识别，请重新选择。", "resit_until") from error
    return clock.end_of_minute(typed_moment.astimezone(UTC))
