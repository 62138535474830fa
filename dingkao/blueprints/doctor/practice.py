"""Practice (在线学习) [S12], [S13]: question by question without scripts; with scripts a page loads all fifty
questions and sends the answers when there is a network."""

import gzip
import json
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from flask_wtf.csrf import generate_csrf
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.current_records import cycle_of_doctor
from dingkao.assessments.models import Assessment
from dingkao.config import AppConfig
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.exams.sittings import get_exam_record
from dingkao.practice import (
    history,
    next_questions,
    practice_access,
    practice_banks,
    question_lists,
    run_answers,
    run_starting,
    runs,
)
from dingkao.practice.models import PracticeRun
from dingkao.question_banks import markup
from dingkao.question_banks.models import SUBJECTS
from dingkao.question_banks.question_types import (
    QUESTION_TYPES,
    SharedContent,
)
from dingkao.web.access_control import require
from dingkao.web.forms import read_json
from dingkao.web.province_blueprint import province_blueprint
from dingkao.web.province_cookies import cookie_name
from dingkao.web.question_rendering import picture_url
from dingkao.web.request_lifecycle import keeps_answers_on_phone

practice = province_blueprint("practice")
NO_CYCLE_MESSAGE = "本省尚未开始新的考核周期，在线学习暂不开放。"
ONE_YEAR_SECONDS = 365 * 24 * 3600
MAX_BODY_BYTES = 100_000
PAGE_SIZE = 20
WITHDRAWN_QUESTION = {
    "case": "",
    "place": "",
    "stem": "本题已停用，不再练习，请做下一题。",
    "options": [],
    "answer": "",
    "explanation": "",
    "withdrawn": True,
}
MAX_PAGE = 1000


def current_record(*, for_update: bool = False) -> Assessment:
    """The doctor's latest assessment in the current cycle, in whatever state, locked with `for_update`.
    Raises NotFound before the first cycle, and for a doctor without one."""
    cycle = cycle_of_doctor(current_user.doctor().id)
    if cycle is None:
        raise NotFound(NO_CYCLE_MESSAGE)
    return get_exam_record(current_user.doctor().id, cycle.id, for_update=for_update)


def require_open_record() -> Assessment:
    """The doctor's assessment (not locked), if practice is open to it. Raises InvalidState, also without an
    assessment."""
    record, reason = record_and_reason()
    if record is None or reason:
        raise InvalidState(reason or NO_CYCLE_MESSAGE)
    return record


def record_and_reason() -> tuple[Assessment | None, str | None]:
    """The doctor's assessment (None if there is none), and the sentence why practice is closed to it (None if
    it is open)."""
    try:
        record = current_record()
    except NotFound as refusal:
        return None, refusal.message
    return record, practice_access.closed_reason(record)


@practice.route("/practice", methods=["GET", "POST"])
@require("practice.use")
def choose_bank() -> Response | str:
    """[S12]: choosing 公共知识 or 业务水平 and a bank, or why practice is closed; POST starts a run. A POST
    raises NotFound for a doctor without an assessment, InvalidState."""
    if request.method == "POST":
        return _start_run_of_bank(request.form.get("bank", ""))
    record, reason = record_and_reason()
    if record is None or reason:
        return render_template("doctor/practice/closed.html", closed=reason)
    return _render_banks(record)


def _render_banks(record: Assessment) -> str:
    """The page of the banks, with the subject that the address names, else the first, and the latest run that
    isn't finished."""
    doctor = current_user.doctor()
    banks = practice_banks.list_practice_banks(record, doctor.category)
    subject = request.args.get("subject")
    open_run = runs.latest_unfinished_run(record)
    return render_template(
        "doctor/practice/choose_bank.html",
        offered=banks,
        subject=subject if subject in banks else next(iter(banks)),
        subjects=SUBJECTS,
        listed=question_lists.list_counts(doctor.id),
        lists=question_lists.LIST_LABELS,
        open_run=open_run,
        title=runs.run_title(open_run) if open_run else "",
    )


def _start_run_of_bank(bank: str) -> Response:
    """Start a run over a bank (its code in the form) and redirect to its first question, or back with a
    message why not. Raises NotFound, InvalidState if practice is closed."""
    try:
        record = current_record(for_update=True)
        return _redirect_to_run(run_starting.start_run(record, current_user.doctor().category, bank=bank))
    except InvalidInput as refusal:
        flash(refusal.message, "refusal")
        return redirect(url_for("practice.choose_bank"), 303)


def _redirect_to_run(run: PracticeRun) -> Response:
    """A redirect to the first question of a run."""
    return redirect(url_for("practice.question", run_id=run.id, number=1), 303)


@practice.route("/practice/lists/<which>", methods=["GET", "POST"])
@require("practice.use")
def question_list(which: str) -> Response | str:
    """The list `which`: wrong answers (错题) or starred questions (标注) of all runs; practised again,
    removed one by one, or emptied. Raises NotFound, InvalidState."""
    if which not in question_lists.LIST_LABELS:
        raise NotFound
    doctor = current_user.doctor()
    record = require_open_record()
    if request.method == "POST":
        return _change_list(record, which)
    page = min(max(request.args.get("page", 1, int), 1), MAX_PAGE)
    entries = question_lists.list_entries(doctor.id, which, page=page, size=PAGE_SIZE)
    return render_template(
        "doctor/practice/question_list.html",
        which=which,
        name=question_lists.LIST_LABELS[which],
        total=question_lists.list_counts(doctor.id)[which],
        rows=entries[:PAGE_SIZE],
        page=page,
        further=len(entries) > PAGE_SIZE,
        length=next_questions.RUN_LENGTH,
    )


def _change_list(record: Assessment, which: str) -> Response:
    """Start a run over the list `which` (`begin` in the form), empty it (`empty`), or remove the form's
    question from it. Raises NotFound for a question's id that is none, InvalidState."""
    doctor = current_user.doctor()
    if "begin" in request.form:
        try:
            return _redirect_to_run(run_starting.start_run(record, doctor.category, source=which))
        except InvalidInput as refusal:
            flash(refusal.message, "refusal")
    elif "empty" in request.form:
        question_lists.remove_from_list(doctor.id, which)
        flash("列表已清空。")
    else:
        question_lists.remove_from_list(
            doctor.id,
            which,
            _parse_id(request.form.get("question", "")),
        )
        flash("已取消标注。" if which == "starred" else "已移出错题。")
    return redirect(url_for("practice.question_list", which=which), 303)


def _parse_id(text: str) -> UUID:
    """The id in a text. Raises NotFound."""
    try:
        return UUID(text)
    except ValueError as malformed:
        raise NotFound from malformed


@practice.get("/practice/progress")
@require("practice.use")
def progress() -> str:
    """How much was practised and answered rightly, by week and by bank; shown also if practice is closed."""
    doctor = current_user.doctor()
    return render_template(
        "doctor/practice/progress.html",
        weeks=history.weekly_totals(doctor.id),
        totals=history.bank_totals(doctor.id),
        share=history.percent,
    )


@practice.route("/practice/<uuid:run_id>/<int:number>", methods=["GET", "POST"])
@require("practice.use")
@keeps_answers_on_phone
def question(run_id: UUID, number: int) -> Response | str:
    """[S13]: question `number` (from 1) of a run of the doctor's own, with the right answer, which the page
    hides until it is answered; POST answers or stars it, or changes the size of the text. With scripts the
    page itself shows the following ones. Raises NotFound, InvalidState if practice is closed."""
    require_open_record()
    doctor = current_user.doctor()
    run = runs.get_run(run_id, doctor.id, for_update=request.method == "POST")
    is_large = request.cookies.get(cookie_name("large")) == "1"
    if request.method == "POST":
        return _handle_question_form(run, number, is_large=is_large)
    questions = runs.run_questions(run, doctor.id)
    if not 0 < number <= len(questions):
        raise NotFound
    shown_question = questions[number - 1]
    return render_template(
        "doctor/practice/question.html",
        run=run,
        number=number,
        total=len(questions),
        shown=_question_for_display(shown_question),
        given=run.answers.get(str(number - 1)),
        was_right=runs.answer_verdicts(run, questions).get(number - 1),
        starred=shown_question.starred,
        large=is_large,
        large_cookie=cookie_name("large"),
        title=runs.run_title(run),
    )


def _handle_question_form(run: PracticeRun, number: int, *, is_large: bool) -> Response:
    """Change the size of the text, star question `number` (from 1) of the run (locked), or save an answer, of
    which the first stays; then redirect to the question, with a message if the answer was refused. Raises
    NotFound."""
    doctor = current_user.doctor()
    response = redirect(
        url_for("practice.question", run_id=run.id, number=number),
        303,
    )
    if "large" in request.form:
        _set_large_cookie(response, is_large=not is_large)
    elif "star" in request.form:
        run_answers.set_starred(run, doctor.id, number - 1, on=request.form["star"] == "1")
    else:
        try:
            run_answers.record_answer(
                run,
                doctor.id,
                number - 1,
                request.form.getlist("letter"),
            )
        except InvalidInput as refusal:
            flash(refusal.message, "refusal")
    return response


def _set_large_cookie(response: Response, *, is_large: bool) -> None:
    """Store in the browser for a year whether the doctor wants large text."""
    response.set_cookie(
        cookie_name("large"),
        "1" if is_large else "0",
        max_age=ONE_YEAR_SECONDS,
        secure=not AppConfig.current().plain_http,
        samesite="Lax",
        path="/",
    )


def _question_for_display(
    question: runs.RunQuestion,
) -> dict[str, Any]:
    """The values with which page and script show a question, with the right answer, because practice shows it
    after each answer. Of a withdrawn question only a notice is shown."""
    version = question.version
    question_type = QUESTION_TYPES[version.kind]
    is_in_case = question_type.shares is SharedContent.CASE
    display_values = {
        "heading": question_type.heading_in_group(question.case_position, question.size),
        "case": version.case_stem or "",
        "place": f"第{question.case_position}小题" if is_in_case else "",
        "stem": version.stem,
        "note": question_type.note,
        "several": question_type.is_multiple,
        "options": version.options,
        "answer": version.answer,
        "explanation": version.explanation or "",
        "withdrawn": False,
    }
    return display_values | WITHDRAWN_QUESTION if question.withdrawn else display_values


def _with_rendered_html(question: dict[str, Any]) -> dict[str, Any]:
    """The values of `_question_for_display`, with texts that have markup as HTML."""
    texts = {name: markup.for_script(question[name], picture_url) for name in ("case", "stem", "explanation")}
    options = [(letter, markup.for_script(text, picture_url)) for letter, text in question["options"]]
    return question | texts | {"options": options}


@practice.get("/practice/<uuid:run_id>")
@require("practice.use")
def answer_sheet(run_id: UUID) -> str:
    """「答题卡」: which questions of a run of the doctor's own are answered; after the last, the result and
    what to do next. Raises NotFound, InvalidState if practice is closed."""
    require_open_record()
    doctor = current_user.doctor()
    run = runs.get_run(run_id, doctor.id)
    questions = runs.run_questions(run, doctor.id)
    return render_template(
        "doctor/practice/answer_sheet.html",
        run=run,
        title=runs.run_title(run),
        total=len(questions),
        verdicts=runs.answer_verdicts(run, questions),
        starred=_starred_positions(questions),
        finished=runs.is_finished(run, questions),
        share=history.percent,
    )


@practice.get("/practice/<uuid:run_id>/data")
@require("practice.use")
def run_data(run_id: UUID) -> FlaskResponse:
    """The whole run for the script, which loads it once and continues without network. Raises InvalidState if
    practice is closed to the doctor, NotFound for a run that is not theirs."""
    require_open_record()
    doctor = current_user.doctor()
    run = runs.get_run(run_id, doctor.id)
    questions = runs.run_questions(run, doctor.id)
    return _json_response(
        questions=[_with_rendered_html(_question_for_display(question)) for question in questions],
        **_run_status(run, questions),
        token=generate_csrf(),
    )


@practice.post("/practice/<uuid:run_id>/answers")
@require("practice.use")
def save_answers(run_id: UUID) -> FlaskResponse:
    """Save the answers and stars that the script sends, and respond with all that is stored and why practice
    is `closed` (null if it is open). Also if practice has closed meanwhile: they were tapped while it was
    open, and count only for the doctor's own lists. What is sent again changes nothing. Raises NotFound,
    InvalidInput."""
    doctor = current_user.doctor()
    run = runs.get_run(run_id, doctor.id, for_update=True)
    body = _read_body()
    run_answers.record_offline_answers(run, doctor.id, body.get("answers"), body.get("stars"))
    _, reason = record_and_reason()
    return _json_response(
        **_run_status(run, runs.run_questions(run, doctor.id)),
        closed=reason,
    )


def _run_status(run: PracticeRun, questions: list[runs.RunQuestion]) -> dict[str, Any]:
    """The stored answers and stars of a run, and the server's time in milliseconds since 1970."""
    return {
        "answers": run.answers,
        "starred": _starred_positions(questions),
        "now": int(clock.now().timestamp() * 1000),
    }


def _starred_positions(
    questions: list[runs.RunQuestion],
) -> list[int]:
    """The positions (from 0) of the starred questions."""
    return [question.position for question in questions if question.starred]


def _read_body() -> dict[str, Any]:
    """The JSON object in the request. Raises InvalidInput if it is none, or longer than MAX_BODY_BYTES."""
    body = read_json(MAX_BODY_BYTES)
    if not isinstance(body, dict):
        raise InvalidInput("请求无法识别，请刷新页面。")
    return body


def _json_response(**content: Any) -> FlaskResponse:
    """JSON, compressed if the browser accepts it, because fifty questions are mostly text."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    response = FlaskResponse(text, mimetype="application/json")
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"]:
        response.set_data(gzip.compress(response.get_data()))
        response.content_encoding = "gzip"
    return response
