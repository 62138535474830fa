"""Practice (在线学习) [S12], [S13]."""

from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments.models import Assessment
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.cycles.opening import current_cycle
from dingkao.doctors.codes import CATEGORIES
from dingkao.errors import Invalid, NotFound
from dingkao.exams import practice as runs
from dingkao.exams.marking import right
from dingkao.exams.models import SUBJECTS, TYPES
from dingkao.exams.sittings import record_of

practice = of_province("practice")


def _record(*, lock: bool = False) -> Assessment:
    cycle = current_cycle()
    if cycle is None:
        raise NotFound("本省尚未开始新的考核周期。")
    return record_of(current_user.doctor().id, cycle.id, lock=lock)


@practice.route("/practice", methods=["GET", "POST"])
@allow(DOCTOR)
def choose() -> Response | str:
    """[S12]: subject, bank, 「开始练习」."""
    record = _record(lock=request.method == "POST")
    if request.method == "POST":
        subject, _, category = request.form.get("bank", "").partition(":")
        try:
            run = runs.begin(record, subject, category)
        except Invalid as refusal:
            flash(refusal.sentence)
            return redirect(url_for("practice.choose"), 303)
        return redirect(url_for("practice.question", run_id=run.id, number=1), 303)
    closed = runs.closed_because(record)
    category = current_user.doctor().category
    subjects = ("common",) if record.procedure == "simple" else ("professional", "common")
    offered = {} if closed else {subject: runs.banks(subject, category) for subject in subjects}
    return render_template(
        "practice/choose.html", closed=closed, offered=offered, subjects=SUBJECTS, categories=CATEGORIES, open_run=None if closed else runs.last_run(record)
    )


@practice.route("/practice/<uuid:run_id>/<int:number>", methods=["GET", "POST"])
@allow(DOCTOR)
def question(run_id: UUID, number: int) -> Response | str:
    """[S13]: one question; the right answer after one's own."""
    record = _record()
    run = runs.run_of(run_id, record, lock=request.method == "POST")
    large = request.values.get("large")
    if request.method == "POST":
        try:
            if "star" in request.form:
                runs.star(run, number - 1)
            else:
                runs.answer(run, number - 1, request.form.getlist("letter"))
        except Invalid as refusal:
            flash(refusal.sentence)
        return redirect(url_for("practice.question", run_id=run_id, number=number, large=large), 303)
    asked = runs.question(run, number - 1)
    given = run.answers.get(str(number - 1))
    return render_template(
        "practice/question.html", run=run, number=number, asked=asked, given=given, was_right=bool(given) and right(asked.answer, given or ""),
        kinds=TYPES, large=large, total=len(run.layout),
    )  # fmt: skip


@practice.get("/practice/<uuid:run_id>")
@allow(DOCTOR)
def sheet(run_id: UUID) -> str:
    """「答题卡」."""
    run = runs.run_of(run_id, _record())
    marks = [right(runs.question(run, int(position)).answer, letters) for position, letters in run.answers.items()]
    return render_template("practice/sheet.html", run=run, total=len(run.layout), right=sum(marks))
