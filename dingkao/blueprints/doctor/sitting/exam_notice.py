"""The candidate's notice of a paper [S16], and 「进入考试」 below it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from flask import (
    flash,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.blueprints.doctor.sitting.blueprint import (
    current_record,
    has_entered,
    new_device_name,
    remember_device_of,
    sitting,
)
from dingkao.blueprints.doctor.sitting.script_data import (
    to_milliseconds,
)
from dingkao.database.clock_skew import ClockSkewTooLarge
from dingkao.errors import InvalidInput, NotFound
from dingkao.exams import sittings
from dingkao.exams.admission import Admission, admissions_of
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import papers_for, total_points_tenths
from dingkao.exams.scoring import X_RULE_INSTRUCTIONS
from dingkao.exams.start_codes import WrongStartCode
from dingkao.journal import failed_attempts
from dingkao.question_banks.question_types import (
    multiple_choice_names,
    single_choice_names,
)
from dingkao.requests import request_queries, submission
from dingkao.requests.models import REQUEST_KINDS, Request
from dingkao.tenants import settings as province_settings
from dingkao.web.access_control import require
from dingkao.web.request_lifecycle import limit_key, limiter


@sitting.get("/sitting/paper/<uuid:paper_id>")
@require("sitting.sit")
def exam_notice(paper_id: UUID) -> Response | str:
    """[S16]: the candidate's notice of a paper (`_show_notice`). Raises NotFound."""
    return _show_notice(current_record(), paper_id)


def _show_notice(record: Assessment, paper_id: UUID) -> Response | str:
    """The candidate's notice, with what was filled in; if the paper can't be begun, a redirect to the page
    that says why, or to the sitting that was begun. Raises NotFound."""
    if not has_entered(record):
        return redirect(url_for("sitting.list_papers"))
    begun = sittings.sittings_by_paper(record).get(paper_id)
    if begun:
        return redirect(url_for("sitting.answer_page", sitting_id=begun.id))
    paper = _get_paper(record, paper_id)
    admission = admissions_of(record, [paper])[paper.id]
    now = clock.now()
    if admission.status_at(now) != "open":
        return redirect(url_for("sitting.list_papers"))  # its page says why
    return _render_notice(record, admission, now)


def _get_paper(record: Assessment, paper_id: UUID) -> Paper:
    """The paper with that id, if the assessment is to sit it. Raises NotFound."""
    for paper in papers_for(record):
        if paper.id == paper_id:
            return paper
    raise NotFound


def _render_notice(record: Assessment, admission: Admission, now: datetime) -> str:
    """The notice of a paper for somebody who begins now, with what the form sent."""
    return render_template(
        "doctor/sitting/exam_notice.html",
        paper=admission.paper,
        whole=total_points_tenths(admission.paper),
        admitted=admission,
        single_types=single_choice_names(),
        multiple_types=multiple_choice_names(),
        x_told=X_RULE_INSTRUCTIONS[province_settings.value("x_rule")],
        now=to_milliseconds(now),
        ends=to_milliseconds(admission.sitting_end(admission.closes_at)),
        left=_minutes_left(admission, now),
        asked=request_queries.open_test_replacements(record),
        kinds=REQUEST_KINDS,
        given=request.form,
    )


def _minutes_left(admission: Admission, now: datetime) -> int | None:
    """How many whole minutes remain for somebody who begins now, if the window ends earlier than the paper's
    own time; else None."""
    minutes = int((admission.sitting_end(now) - now).total_seconds() // 60)
    return minutes if minutes < admission.minutes else None


def _rate_limit_key() -> str:
    """The key of the limit on guessing start codes, which counts each account; anybody else's is the usual
    one."""
    return limit_key(f"start-code-{current_user.id}" if current_user.is_authenticated else None)


@sitting.post("/sitting/paper/<uuid:paper_id>")
@require("sitting.sit")
@limiter.limit(
    "10/10minutes",
    key_func=_rate_limit_key,
    exempt_when=lambda: not request.form.get("code"),
    deduct_when=lambda _answer: "wrong_code" in g,
)
def start_sitting(paper_id: UUID) -> Response | tuple[str, int]:
    """「进入考试」: begin the sitting, once. The rate limit counts only wrong start codes. After a refusal
    the page shows what was filled in. InvalidInput and ClockSkewTooLarge are shown there. Raises NotFound,
    DeadlinePassed, InvalidState, Forbidden."""
    record = current_record(for_update=True)
    if not has_entered(record):
        return redirect(url_for("sitting.list_papers"), 303)
    try:
        own_sitting = _begin_sitting(record, paper_id)
    except (InvalidInput, ClockSkewTooLarge) as refusal:
        return _show_refusal(record, paper_id, refusal)
    return redirect(url_for("sitting.answer_page", sitting_id=own_sitting.id), 303)


def _begin_sitting(record: Assessment, paper_id: UUID) -> Sitting:
    """Begin the sitting on this device, as the form says, or return the one begun before; `record` is locked.
    Open requests for 免考 or 延考 lapse (the files of drafts are deleted), and this browser's session
    remembers the sitting; one begun before stays with its device. Raises InvalidInput without the promise, or
    if the lapse of requests was not confirmed, and else NotFound, DeadlinePassed, InvalidState, Forbidden,
    ClockSkewTooLarge, WrongStartCode (`_open_sitting`)."""
    if not request.form.get("promise"):
        raise InvalidInput("请勾选“我已详细阅读并郑重承诺”后再进入考试。")
    replacements = request_queries.open_test_replacements(record)
    _require_withdrawal_confirmed(replacements)
    device = new_device_name()
    own_sitting = _open_sitting(record, paper_id, device)
    if replacements:
        submission.lapse_test_replacements(record, by=current_user.as_actor(), reason="已进入考试")
    remember_device_of(own_sitting, device)
    return own_sitting


def _require_withdrawal_confirmed(
    replacements: Sequence[Request],
) -> None:
    """Raise InvalidInput if open requests (`replacements`) would lapse and the form doesn't say that the
    doctor knows."""
    if replacements and not request.form.get("withdraws"):
        names = "、".join(REQUEST_KINDS[replacement.kind] for replacement in replacements)
        raise InvalidInput(f"{names}申请还在办理。请先阅读下面的提示，确认仍要进入考试的，勾选后再进入。")


def _open_sitting(record: Assessment, paper_id: UUID, device: str) -> Sitting:
    """Begin the record's sitting of the paper on `device` (its name), or return the one begun before,
    wherever and even if it is handed in (`sittings.open_sitting`); `record` is locked, and with its first
    sitting its test begins; journal entries are written. Raises NotFound, DeadlinePassed, InvalidState,
    Forbidden, ClockSkewTooLarge, InvalidInput without a start code where one is needed, WrongStartCode for a
    wrong one, after it was counted (`g.wrong_code`) and entered in the journal in a transaction of its
    own."""
    try:
        return sittings.open_sitting(
            record,
            paper_id,
            by=current_user.as_actor(),
            code=request.form.get("code"),
            device=device,
        )
    except WrongStartCode:
        g.wrong_code = True
        failed_attempts.record_attempt(
            current_user.account.login_index,
            "start_code_failed",
            by=current_user.as_actor(),
            paper=str(paper_id),
        )
        raise


def _show_refusal(
    record: Assessment,
    paper_id: UUID,
    refusal: InvalidInput | ClockSkewTooLarge,
) -> Response | tuple[str, int]:
    """The notice with the message why the sitting did not begin, with the status of `refusal`; or the
    redirect of `_show_notice`, with 303. Raises NotFound."""
    flash(refusal.message, "refusal")
    page = _show_notice(record, paper_id)
    if isinstance(page, str):
        return page, refusal.status
    page.status_code = 303
    return page
