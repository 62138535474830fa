"""Mock exams (模拟考试): the list, the answering page of the exam with its own saving and handing in, and
reviewing the result."""

from collections.abc import Collection
from functools import partial
from typing import Any
from uuid import UUID

from flask import (
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import current_user
from flask_wtf.csrf import generate_csrf
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.blueprints.doctor.practice import (
    current_record,
    record_and_reason,
    require_open_record,
)
from dingkao.blueprints.doctor.sitting.outstanding_answers import (
    END_TOLERANCE,
    newer_answers,
    parse_outstanding_answers,
    save_outstanding_answers,
)
from dingkao.blueprints.doctor.sitting.script_data import (
    questions_as_json,
    status_as_json,
    to_milliseconds,
)
from dingkao.database.base import db
from dingkao.errors import (
    InvalidInput,
    InvalidState,
    NotFound,
)
from dingkao.exams.answer_review import (
    PAGE_SIZE,
    VERDICT_LABELS,
    ReviewedQuestion,
    load_reviewed_versions,
)
from dingkao.exams.answer_saving import MalformedAnswer
from dingkao.practice import mock_exams as exams
from dingkao.practice.mock_offers import available_offers
from dingkao.practice.models import MockExam
from dingkao.question_banks.models import SUBJECTS
from dingkao.question_banks.question_types import QUESTION_TYPES
from dingkao.tenants.rls import read_write_transactions
from dingkao.web.access_control import require
from dingkao.web.forms import read_json
from dingkao.web.province_blueprint import province_blueprint
from dingkao.web.request_lifecycle import keeps_answers_on_phone

mock_exams = province_blueprint("mock_exams")
MAX_BODY_BYTES = 2_000
RESULT_FILTERS: dict[str, Collection[str] | None] = {
    "all": None,
    "wrong": ("wrong", "part"),
    "blank": ("blank",),
}
"""Filter of the result's questions → their verdicts: all, answered wrongly or partly, not answered."""
LATE_ANSWERS_MESSAGE = "有答案在作答时间结束之后才送达，未能计入；此前已保存的答案全部计入。"
CONFIRM_MESSAGE = "模拟考试不计入成绩，交卷后马上显示得分、答案和解析。确定交卷？"
SIGNED_OUT_MESSAGE = "登录已过期。答案都存在这台手机上，请先"


def _get_mock_exam(mock_exam_id: UUID, *, for_update: bool = False) -> MockExam:
    """The doctor's own mock exam, locked with `for_update`. Raises NotFound."""
    return exams.get_mock_exam(mock_exam_id, current_user.doctor().id, for_update=for_update)


def _get_settled_mock_exam(mock_exam_id: UUID) -> MockExam:
    """The doctor's own mock exam for a page that shows it. All of the doctor's whose time is over are handed
    in before, which is committed and drops what the session has read (`_close_overdue`). Raises NotFound,
    InvalidState if practice is closed."""
    require_open_record()
    _close_overdue()
    return _get_mock_exam(mock_exam_id)


def _close_overdue() -> None:
    """Hand in the doctor's mock exams whose time is over. Done when a page is requested, in a transaction of
    its own, because a GET may not change anything else: if there are any, what the request has read before is
    dropped, and this is committed."""
    doctor_id = current_user.doctor().id
    if exams.has_overdue(doctor_id):
        db.session.rollback()
        with read_write_transactions():
            exams.close_overdue(doctor_id)
            db.session.commit()


@mock_exams.route("/practice/mocks", methods=["GET", "POST"])
@require("practice.use")
def list_mock_exams() -> Response | str:
    """The subjects that can be tried, and the results of earlier mock exams, or why practice is closed;
    before they are shown, those whose time is over are handed in (committed). POST starts one. A POST raises
    NotFound for a doctor without an assessment, InvalidState."""
    if request.method == "POST":
        return _start_mock_exam(request.form.get("subject", ""))
    _close_overdue()
    record, reason = record_and_reason()
    if record is None or reason:
        return render_template("doctor/practice/closed.html", closed=reason)
    return _render_list(record)


def _render_list(record: Assessment) -> str:
    """The list: what may be tried, the mock exams under way, and the earlier ones."""
    mocks = exams.list_mock_exams(record.doctor_id)
    return render_template(
        "doctor/mock_exams/list.html",
        offers=available_offers(record),
        under_way={mock.subject: mock for mock in mocks if mock.handed_in_at is None},
        earlier=[mock for mock in mocks if mock.handed_in_at is not None],
        subjects=SUBJECTS,
        lacking=exams.NO_QUESTIONS_MESSAGE,
        kept=exams.MAX_KEPT,
        minutes_taken=exams.minutes_taken,
    )


def _start_mock_exam(subject: str) -> Response:
    """Start a mock exam of a subject, or continue the one under way (those whose time is over are handed in;
    a new one deletes the earliest beyond MAX_KEPT), and redirect to it, or back with a message why not.
    Raises NotFound, InvalidState if practice is closed."""
    try:
        mock = exams.start_mock_exam(current_record(for_update=True), subject)
    except InvalidInput as refusal:
        flash(refusal.message, "refusal")
        return redirect(url_for("mock_exams.list_mock_exams"), 303)
    return redirect(url_for("mock_exams.answer_page", mock_id=mock.id), 303)


@mock_exams.get("/practice/mocks/<uuid:mock_id>")
@require("practice.use")
@keeps_answers_on_phone
def answer_page(mock_id: UUID) -> Response | str:
    """The answering page, as in the exam; answers from several pages and devices are ordered by their
    sequence numbers. A mock exam that is handed in leads to its result. Raises NotFound, InvalidState."""
    mock = _get_settled_mock_exam(mock_id)
    if mock.handed_in_at is not None:
        return redirect(url_for("mock_exams.result", mock_id=mock_id))
    return render_template(
        "doctor/mock_exams/answer.html",
        mock=mock,
        paper=mock,
        data=_answer_page_data(mock),
    )


def _answer_page_data(mock: MockExam) -> dict[str, Any]:
    """The data for js/sitting.js: questions, stored answers, and the URLs and headers for saving."""
    headers = {
        "X-CSRFToken": generate_csrf(),
        "X-Requested-With": "fetch",
    }
    return {
        "id": str(mock.id),
        "questions": questions_as_json(exams.questions_for_display(mock)),
        "opened": to_milliseconds(mock.opened_at),
        **status_as_json(mock, exams.numbered_answers(mock)),
        "address": url_for("mock_exams.save_answer", mock_id=mock.id),
        "standing": url_for("mock_exams.status", mock_id=mock.id),
        "end": url_for("mock_exams.result", mock_id=mock.id),
        "saving": {"credentials": "same-origin", "headers": headers},
        "words": {
            "confirm": CONFIRM_MESSAGE,
            "signedOut": SIGNED_OUT_MESSAGE,
        },
    }


@mock_exams.post("/practice/mocks/<uuid:mock_id>/answer")
@require("practice.use")
def save_answer(mock_id: UUID) -> Any:
    """Save one answer (JSON, as in the exam), also if practice has closed meanwhile. Responds with JSON:
    whether it was saved or a newer one was there (`kept`) and the server's time in milliseconds since 1970
    (`now`), or the refusal (`error`) and that sending it again is useless (`final`)."""
    try:
        outcome = exams.save_answer(
            _get_mock_exam(mock_id, for_update=True),
            read_json(MAX_BODY_BYTES),
        )
    except (MalformedAnswer, NotFound, InvalidState) as refusal:
        return jsonify(error=refusal.message, final=True), refusal.status
    return jsonify(kept=outcome, now=to_milliseconds(clock.now()))


@mock_exams.get("/practice/mocks/<uuid:mock_id>/standing")
@require("practice.use")
def status(mock_id: UUID) -> Any:
    """The state of the mock exam as JSON; the page requests it every few minutes, which also keeps the
    session alive. If its time is over, it is handed in before. Raises NotFound."""
    _close_overdue()
    mock = _get_mock_exam(mock_id)
    return jsonify(
        open=mock.handed_in_at is None,
        mine=True,
        **status_as_json(mock, exams.numbered_answers(mock)),
    )


@mock_exams.post("/practice/mocks/<uuid:mock_id>/hand-in")
@require("practice.use")
def hand_in(mock_id: UUID) -> Any:
    """「交卷」, with the answers that the page could not send before, also again, and also if practice has
    closed meanwhile. Responds with the URL of the result, to a script as JSON (`end`), else by a redirect;
    there it is said if answers came too late. Raises NotFound, InvalidState."""
    mock = _get_mock_exam(mock_id, for_update=True)
    outstanding = parse_outstanding_answers()
    if mock.handed_in_at is None:
        is_any_late = _save_and_hand_in(mock, outstanding)
    else:
        is_any_late = bool(newer_answers(outstanding, exams.numbered_answers(mock)))
    if is_any_late:
        flash(LATE_ANSWERS_MESSAGE, "refusal")
    address = url_for("mock_exams.result", mock_id=mock_id)
    if request.accept_mimetypes.best == "application/json":
        return jsonify(end=address)
    return redirect(address, 303)


def _save_and_hand_in(mock: MockExam, outstanding: list[Any]) -> bool:
    """Save the answers sent with the form and hand in the mock exam (locked), which scores it and adds its
    answers to the practice history; return whether any came too late. Raises InvalidState if the page hands
    in automatically before the end (less END_TOLERANCE)."""
    if request.form.get("automatic") and mock.closes_at - clock.now() > END_TOLERANCE:
        raise InvalidState("作答时间还没有到，请继续作答。")
    late_count = save_outstanding_answers(outstanding, partial(exams.save_answer, mock))
    exams.hand_in_mock_exam(mock, current_user.doctor().id)
    return late_count > 0


@mock_exams.get("/practice/mocks/<uuid:mock_id>/end")
@require("practice.use")
def result(mock_id: UUID) -> Response | str:
    """The result: the score, and a page of the questions with the own answer, the right one and the
    explanation; `wrong` or `blank` in the address filters them (RESULT_FILTERS), `from` is the first shown
    (from 1). One that isn't handed in leads to the answering page. Raises NotFound, InvalidState."""
    mock = _get_settled_mock_exam(mock_id)
    if mock.handed_in_at is None:
        return redirect(url_for("mock_exams.answer_page", mock_id=mock_id))
    start = max(request.args.get("from", 1, int), 1)
    return _render_result(mock, _requested_filter(), start)


def _requested_filter() -> str:
    """The key of RESULT_FILTERS that the address names."""
    return next(
        (name for name in ("wrong", "blank") if name in request.args),
        "all",
    )


def _render_result(mock: MockExam, which: str, start: int) -> str:
    """The HTML of the result of a mock exam that is handed in: one page of the questions that the filter
    `which` (a key of RESULT_FILTERS) leaves, beginning with the one at position `start` (from 1) among them.
    Raises NotFound if `start` is above 1 and beyond the last, InvalidState if the mock exam isn't handed
    in."""
    questions = exams.review_questions(mock)
    lists = {name: _with_verdicts(questions, verdicts) for name, verdicts in RESULT_FILTERS.items()}
    page = lists[which][start - 1 : start - 1 + PAGE_SIZE]
    if not page and start > 1:
        raise NotFound
    verdict_labels = VERDICT_LABELS | {"withdrawn": "已停用"}
    return render_template(
        "doctor/mock_exams/result.html",
        mock=mock,
        rows=questions,
        part=page,
        words=load_reviewed_versions(_with_verdicts(page, VERDICT_LABELS)),
        start=start,
        size=PAGE_SIZE,
        further=len(lists[which]) >= start + PAGE_SIZE,
        which=which,
        lists=lists,
        standings=verdict_labels,
        counted={verdict: len(_with_verdicts(questions, (verdict,))) for verdict in verdict_labels},
        minutes_taken=exams.minutes_taken,
        by_kind=_by_type(questions),
    )


def _with_verdicts(
    questions: list[ReviewedQuestion],
    verdicts: Collection[str] | None,
) -> list[ReviewedQuestion]:
    """The questions that have one of `verdicts`; all if that is None."""
    if verdicts is None:
        return questions
    return [question for question in questions if question.verdict in verdicts]


def _by_type(
    questions: list[ReviewedQuestion],
) -> dict[str, list[ReviewedQuestion]]:
    """The questions by type, in the order of QUESTION_TYPES; types without questions are left out."""
    by_type: dict[str, list[ReviewedQuestion]] = {code: [] for code in QUESTION_TYPES}
    for question in questions:
        by_type[question.kind].append(question)
    return {code: of_type for code, of_type in by_type.items() if of_type}
