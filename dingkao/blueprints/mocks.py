"""Mock exams (模拟考试): what may be tried, the screen of the exam with saves and handing in of its own, looking at how it went."""

from typing import Any
from uuid import UUID

from flask import flash, jsonify, redirect, render_template, request, url_for
from flask_login import current_user
from flask_wtf.csrf import generate_csrf
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.blueprints.forms import posted_json
from dingkao.blueprints.practice import open_record, present_record, record_and_reason
from dingkao.blueprints.sitting import AT_THE_END, as_shown, newer, outstanding_answers, standing_of
from dingkao.database.model import db
from dingkao.errors import Invalid, NotAllowed, NotFound, Refusal
from dingkao.exams import mocks as exams
from dingkao.exams.models import SUBJECTS, TYPES, MockExam
from dingkao.exams.reviewing import PAGE, STANDINGS, words_of
from dingkao.exams.saving import Malformed
from dingkao.tenants.rls import writing

mocks = of_province("mocks")
LONGEST = 2_000
NOT_RIGHT = ("wrong", "part", "blank")
TOO_LATE = "有答案在作答时间结束之后才送达,未能计入;此前已保存的答案全部计入。"
CONFIRM = "模拟考试不计入成绩,交卷后马上显示得分、答案和解析。确定交卷?"
SIGNED_OUT = "登录已过期。答案都存在这台手机上,请先"


def _mine(mock_id: UUID, *, lock: bool = False) -> MockExam:
    return exams.mock_of(mock_id, current_user.doctor().id, lock=lock)


def _looked_at(mock_id: UUID) -> MockExam:
    """The one that a page is about, handed in where its time is over."""
    open_record()
    _settle()
    return _mine(mock_id)


def _settle() -> None:
    """Hand in what is past its end. It happens when someone looks, and is the house's own doing, so it is done though the request is a GET."""
    doctor_id = current_user.doctor().id
    if exams.overdue(doctor_id):
        db.session.rollback()
        with writing():
            exams.close_overdue(doctor_id)
            db.session.commit()


@mocks.route("/practice/mocks", methods=["GET", "POST"])
@allow(DOCTOR)
def choose() -> Response | str:
    """What may be tried, and how the earlier ones went."""
    if request.method == "POST":
        try:
            mock = exams.begin(present_record(lock=True), request.form.get("subject", ""))
        except Invalid as refusal:
            flash(refusal.sentence)
            return redirect(url_for("mocks.choose"), 303)
        return redirect(url_for("mocks.answer_page", mock_id=mock.id), 303)
    _settle()
    record, closed = record_and_reason()
    if record is None or closed:
        return render_template("practice/closed.html", closed=closed)
    rows = exams.mocks_of(record.doctor_id)
    under_way = {row.subject: row for row in rows if row.handed_in_at is None}
    return render_template(
        "mocks/choose.html", offers=exams.offered(record), under_way=under_way, earlier=[row for row in rows if row.handed_in_at is not None],
        subjects=SUBJECTS, kinds=TYPES, lacking=exams.NO_QUESTIONS, kept=exams.KEPT, minutes_taken=exams.minutes_taken,
    )  # fmt: skip


@mocks.get("/practice/mocks/<uuid:mock_id>")
@allow(DOCTOR)
def answer_page(mock_id: UUID) -> Response | str:
    """Answering, as in the exam; several pages and devices come together by their sequence numbers."""
    mock = _looked_at(mock_id)
    if mock.handed_in_at is not None:
        return redirect(url_for("mocks.end", mock_id=mock_id))
    data = {
        "id": str(mock.id), "questions": as_shown(exams.shown(mock)), "opened": int(mock.opened_at.timestamp() * 1000),
        **standing_of(mock, exams.numbered_answers_of(mock)), "address": url_for("mocks.save", mock_id=mock_id),
        "standing": url_for("mocks.standing", mock_id=mock_id), "end": url_for("mocks.end", mock_id=mock_id),
        "saving": {"credentials": "same-origin", "headers": {"X-CSRFToken": generate_csrf(), "X-Requested-With": "fetch"}},
        "words": {"confirm": CONFIRM, "signedOut": SIGNED_OUT},
    }  # fmt: skip
    return render_template("mocks/answer.html", mock=mock, paper=mock, data=data)


@mocks.post("/practice/mocks/<uuid:mock_id>/answer")
@allow(DOCTOR)
def save(mock_id: UUID) -> Any:
    """Keep one answer, though practice has closed meanwhile. `final`: trying again is of no use."""
    try:
        kept = exams.save(_mine(mock_id, lock=True), posted_json(LONGEST))
    except (Malformed, NotFound, NotAllowed) as refusal:
        return jsonify(error=refusal.sentence, final=True), refusal.status
    return jsonify(kept=kept, now=int(clock.now().timestamp() * 1000))


@mocks.get("/practice/mocks/<uuid:mock_id>/standing")
@allow(DOCTOR)
def standing(mock_id: UUID) -> Any:
    """How it stands: asked by the page now and then, which also keeps the session."""
    _settle()
    mock = _mine(mock_id)
    return jsonify(open=mock.handed_in_at is None, mine=True, **standing_of(mock, exams.numbered_answers_of(mock)))


@mocks.post("/practice/mocks/<uuid:mock_id>/hand-in")
@allow(DOCTOR)
def hand_in(mock_id: UUID) -> Any:
    """「交卷」: what the page could not send yet comes along."""
    mock, outstanding = _mine(mock_id, lock=True), outstanding_answers()
    if mock.handed_in_at is None:
        if request.form.get("automatic") and mock.closes_at - clock.now() > AT_THE_END:
            raise NotAllowed("作答时间还没有到,请继续作答。")
        if _keep(mock, outstanding):
            flash(TOO_LATE)
        exams.hand_in(mock, current_user.doctor().id)
    elif newer(outstanding, exams.numbered_answers_of(mock)):
        flash(TOO_LATE)
    address = url_for("mocks.end", mock_id=mock_id)
    return jsonify(end=address) if request.accept_mimetypes.best == "application/json" else redirect(address, 303)


def _keep(mock: MockExam, outstanding: list[Any]) -> bool:
    """Keep what came along, each answer by itself; whether any came too late."""
    late = False
    for given in outstanding:
        try:
            exams.save(mock, given)
        except NotAllowed:
            late = True
        except Refusal:
            continue
    return late


@mocks.get("/practice/mocks/<uuid:mock_id>/end")
@allow(DOCTOR)
def end(mock_id: UUID) -> Response | str:
    """How it went: the score, and every question with one's own answer, the right one and why; with `wrong` only what was not right."""
    mock = _looked_at(mock_id)
    if mock.handed_in_at is None:
        return redirect(url_for("mocks.answer_page", mock_id=mock_id))
    rows, start, only_wrong = exams.reviewed(mock), max(request.args.get("from", 1, int), 1), "wrong" in request.args
    wanted = [one for one in rows if one.standing in NOT_RIGHT] if only_wrong else rows
    part = wanted[start - 1 : start - 1 + PAGE]
    if not part and start > 1:
        raise NotFound
    standings = STANDINGS | {"withdrawn": "已停用"}
    return render_template(
        "mocks/end.html", mock=mock, rows=rows, part=part, words=words_of([one for one in part if one.standing != "withdrawn"]), start=start, size=PAGE, further=len(wanted) >= start + PAGE,
        only_wrong=only_wrong, standings=standings, counted={name: sum(one.standing == name for one in rows) for name in standings},
        not_right=sum(one.standing in NOT_RIGHT for one in rows), kinds=TYPES, minutes_taken=exams.minutes_taken,
        by_kind={kind: [one for one in rows if one.kind == kind] for kind in TYPES if any(one.kind == kind for one in rows)},
    )  # fmt: skip
