"""Practice (在线学习) [S12], [S13]: page by page, and for a page with scripts the fifty at once, its taps sent when there is a network."""

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
from dingkao.assessments.models import Assessment
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow, cookie_name
from dingkao.blueprints.banks import picture_address
from dingkao.blueprints.forms import posted_json
from dingkao.cycles.opening import current_cycle
from dingkao.errors import Invalid, NotAllowed, NotFound
from dingkao.exams import content
from dingkao.exams import practice as runs
from dingkao.exams.models import SUBJECTS, TYPES, PracticeRun
from dingkao.exams.sittings import record_of
from dingkao.settings import Settings

practice = of_province("practice")
NO_CYCLE = "本省尚未开始新的考核周期,在线学习暂不开放。"
YEAR = 365 * 24 * 3600
LONGEST = 100_000
A_PAGE = 20
FARTHEST = 1000


def present_record(*, lock: bool = False) -> Assessment:
    cycle = current_cycle()
    if cycle is None:
        raise NotFound(NO_CYCLE)
    return record_of(current_user.doctor().id, cycle.id, lock=lock)


def open_record() -> Assessment:
    """The record, where practice is open to it. Raises NotAllowed, NotFound."""
    record, closed = record_and_reason()
    if record is None or closed:
        raise NotAllowed(closed or NO_CYCLE)
    return record


def record_and_reason() -> tuple[Assessment | None, str | None]:
    """The record, and why there is no practice just now; None while there is."""
    try:
        record = present_record()
    except NotFound as refusal:
        return None, refusal.sentence
    return record, runs.closed_because(record)


@practice.route("/practice", methods=["GET", "POST"])
@allow(DOCTOR)
def choose() -> Response | str:
    """[S12]: 公共知识 or 业务水平, 「请选择考试题库」, 「开始练习」."""
    doctor = current_user.doctor()
    if request.method == "POST":
        try:
            return _begun(runs.begin(present_record(lock=True), doctor.category, bank=request.form.get("bank", "")))
        except Invalid as refusal:
            flash(refusal.sentence)
            return redirect(url_for("practice.choose"), 303)
    record, closed = record_and_reason()
    if record is None or closed:
        return render_template("practice/closed.html", closed=closed)
    offered = runs.banks(record, doctor.category)
    subject = request.args.get("subject")
    open_run = runs.last_run(record)
    return render_template(
        "practice/choose.html", offered=offered, subject=subject if subject in offered else next(iter(offered)), subjects=SUBJECTS,
        listed=runs.listed(doctor.id), lists=runs.LISTS, open_run=open_run, title=runs.title_of(open_run) if open_run else "",
    )  # fmt: skip


def _begun(run: PracticeRun) -> Response:
    return redirect(url_for("practice.question", run_id=run.id, number=1), 303)


@practice.route("/practice/lists/<which>", methods=["GET", "POST"])
@allow(DOCTOR)
def listed(which: str) -> Response | str:
    """The wrong answers (错题) or the marked questions (标注) of all runs: to be practised again, taken off one by one, or emptied."""
    if which not in runs.LISTS:
        raise NotFound
    doctor = current_user.doctor()
    record = open_record()
    if request.method == "POST":
        try:
            if "begin" in request.form:
                return _begun(runs.begin(record, doctor.category, source=which))
            runs.take_off(doctor.id, which, None if "empty" in request.form else _id(request.form.get("question", "")))
        except Invalid as refusal:
            flash(refusal.sentence)
        else:
            flash("列表已清空。" if "empty" in request.form else "已取消标注。" if which == "starred" else "已移出错题。")
        return redirect(url_for("practice.listed", which=which), 303)
    page = min(max(request.args.get("page", 1, int), 1), FARTHEST)
    rows = runs.entries(doctor.id, which, page=page, size=A_PAGE)
    return render_template(
        "practice/list.html", which=which, name=runs.LISTS[which], total=runs.listed(doctor.id)[which], rows=rows[:A_PAGE], page=page,
        further=len(rows) > A_PAGE, length=runs.LENGTH,
    )  # fmt: skip


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as fault:
        raise NotFound from fault


@practice.get("/practice/progress")
@allow(DOCTOR)
def progress() -> str:
    """How much was practised, and how much of it rightly, a week and a bank; it stays when practice has closed."""
    doctor = current_user.doctor()
    return render_template("practice/progress.html", weeks=runs.weeks(doctor.id), totals=runs.totals(doctor.id), share=runs.share)


@practice.route("/practice/<uuid:run_id>/<int:number>", methods=["GET", "POST"])
@allow(DOCTOR)
def question(run_id: UUID, number: int) -> Response | str:
    """[S13]: one question; the right answer after one's own. With scripts the page goes on by itself from here."""
    open_record()
    doctor = current_user.doctor()
    run = runs.run_of(run_id, doctor.id, lock=request.method == "POST")
    large = request.cookies.get(cookie_name("large")) == "1"
    if request.method == "POST":
        onward = redirect(url_for("practice.question", run_id=run_id, number=number), 303)
        if "large" in request.form:
            secure = not Settings.in_force().plain_http
            onward.set_cookie(cookie_name("large"), "0" if large else "1", max_age=YEAR, secure=secure, samesite="Lax", path="/")
        elif "star" in request.form:
            runs.star(run, doctor.id, number - 1, on=request.form["star"] == "1")
        else:
            try:
                runs.answer(run, doctor.id, number - 1, request.form.getlist("letter"))
            except Invalid as refusal:
                flash(refusal.sentence)
        return onward
    asked = runs.questions_of(run, doctor.id)
    if not 0 < number <= len(asked):
        raise NotFound
    return render_template(
        "practice/question.html", run=run, number=number, total=len(asked), shown=_shown(asked[number - 1]), given=run.answers.get(str(number - 1)),
        was_right=runs.verdicts(run, asked).get(number - 1), starred=asked[number - 1].starred, large=large,
        large_cookie=cookie_name("large"), title=runs.title_of(run),
    )  # fmt: skip


def _shown(one: runs.Asked) -> dict[str, Any]:
    """A question as page and script show it, with its key: practice shows it after the tap. Of a withdrawn one nothing is told."""
    version = one.version
    shared = one.size > 1
    kind = "A3/A4" if shared and version.kind in ("A3", "A4") else version.kind
    told = {
        "heading": TYPES[kind] if kind == "TF" else f"{kind}型题{f'[{one.place}/{one.size}]' if shared else ''} {TYPES[version.kind]}", "case": version.case_stem or "",
        "place": f"第{one.place}小题" if version.kind in ("A3", "A4") else "", "stem": version.stem, "several": version.kind == "X",
        "options": version.options, "answer": version.answer, "explanation": version.explanation or "", "withdrawn": False,
    }  # fmt: skip
    hidden = {"case": "", "place": "", "stem": "本题已停用,不再练习,请做下一题。", "options": [], "answer": "", "explanation": "", "withdrawn": True}
    return told | hidden if one.withdrawn else told


def _in_marks(shown: dict[str, Any]) -> dict[str, Any]:
    """The same with what is written in marks as HTML, for the script."""
    words = {name: content.shown(shown[name], picture_address) for name in ("case", "stem", "explanation")}
    return shown | words | {"options": [(letter, content.shown(text, picture_address)) for letter, text in shown["options"]]}


@practice.get("/practice/<uuid:run_id>")
@allow(DOCTOR)
def sheet(run_id: UUID) -> str:
    """「答题卡」; once all is answered, how it went and what next."""
    open_record()
    doctor = current_user.doctor()
    run = runs.run_of(run_id, doctor.id)
    asked = runs.questions_of(run, doctor.id)
    return render_template(
        "practice/sheet.html", run=run, title=runs.title_of(run), total=len(asked), verdicts=runs.verdicts(run, asked),
        starred=[one.position for one in asked if one.starred], finished=runs.finished(run, asked), share=runs.share,
    )  # fmt: skip


@practice.get("/practice/<uuid:run_id>/data")
@allow(DOCTOR)
def data(run_id: UUID) -> FlaskResponse:
    """The run whole, for the script: it asks once and goes on without network."""
    open_record()
    doctor = current_user.doctor()
    run = runs.run_of(run_id, doctor.id)
    asked = runs.questions_of(run, doctor.id)
    return _told(questions=[_in_marks(_shown(one)) for one in asked], **_standing(run, asked), token=generate_csrf())


@practice.post("/practice/<uuid:run_id>/answers")
@allow(DOCTOR)
def answers(run_id: UUID) -> FlaskResponse:
    """What was tapped, and what is kept now. Taken though practice has closed meanwhile: it was tapped while it was open, and counts for
    nothing but one's own lists."""
    doctor = current_user.doctor()
    run = runs.run_of(run_id, doctor.id, lock=True)
    given = _given()
    runs.take_in(run, doctor.id, given.get("answers"), given.get("stars"))
    return _told(**_standing(run, runs.questions_of(run, doctor.id)), closed=record_and_reason()[1])


def _standing(run: PracticeRun, asked: list[runs.Asked]) -> dict[str, Any]:
    return {"answers": run.answers, "starred": [one.position for one in asked if one.starred], "now": int(clock.now().timestamp() * 1000)}


def _given() -> dict[str, Any]:
    """What the script sent; Invalid where it is nothing of ours."""
    given = posted_json(LONGEST)
    if not isinstance(given, dict):
        raise Invalid("请求无法识别,请刷新页面。")
    return given


def _told(**told: Any) -> FlaskResponse:
    """JSON, compressed where the browser takes it: fifty questions are mostly text."""
    response = FlaskResponse(json.dumps(told, ensure_ascii=False, separators=(",", ":")), mimetype="application/json")
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"]:
        response.set_data(gzip.compress(response.get_data()))
        response.content_encoding = "gzip"
    return response
