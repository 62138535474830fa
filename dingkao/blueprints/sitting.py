"""The sitting [S15] to [S18]: ticket and consent, papers, notice, answering, saving, handing in, the end."""

import json
import math
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import current_app, flash, g, jsonify, redirect, render_template, request, session, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.blueprints.answering import address_of
from dingkao.blueprints.banks import picture_address
from dingkao.blueprints.web import limit_key, limiter
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.errors import Invalid, NotAllowed, NotFound, Refusal, Unavailable
from dingkao.exams import content, integrity, saving, sittings, voiding
from dingkao.exams.halls import WrongCode, admissions
from dingkao.exams.marking import X_TOLD
from dingkao.exams.models import CASE_OUTCOMES, CASE_STATES, TYPES, Paper, Sitting
from dingkao.exams.papers import due, locked_because, papers_for, wanted_subjects, whole_marks
from dingkao.exams.tickets import ticket_of
from dingkao.journal import writing as journal
from dingkao.settings import Settings
from dingkao.tenants import settings as province_settings

sitting = of_province("sitting")
MOST_OUTSTANDING, LONGEST_OUTSTANDING = 400, 200_000
AT_THE_END = timedelta(seconds=2)
TOO_LATE = "有答案在交卷或作答时间结束之后才送达,未能计入;此前已保存的答案全部计入。如因网络中断所致,请联系所属考核机构。"


def _record(*, lock: bool = False) -> Assessment:
    found = sittings.sitter(current_user.id, lock=lock)
    if found is None:
        raise NotFound("本省尚未开始新的考核周期。" if current_cycle() is None else "您未被主要执业机构纳入本周期考核。")
    record, g.doctor = found
    return record


def _held(sitting_id: UUID) -> tuple[Assessment, Sitting]:
    found = sittings.held(sitting_id, current_user.id)
    if found is None:
        _record()
        raise NotFound
    record, g.doctor, row = found
    return record, row


@sitting.route("/sitting", methods=["GET", "POST"])
@allow(DOCTOR)
def papers() -> Response | tuple[str, int] | str:
    """[S15]: name and ticket number, consent; then the papers."""
    record = _record(lock=request.method == "POST")
    ticket = ticket_of(record)
    if ticket is None:
        return render_template("sitting/closed.html", state=record.state)
    fault = None
    if request.method == "POST":
        try:
            if (request.form.get("name") or "").strip() != current_user.account.name:
                raise Invalid("姓名与报名信息不一致,请核对。")
            if (request.form.get("number") or "").replace(" ", "") != ticket.number:
                raise Invalid("准考证号不正确。准考证号显示在主页上,可以复制。")
            if not request.form.get("consent"):
                raise Invalid("请先阅读并同意《隐私协议》。")
        except Invalid as refusal:
            fault = refusal.sentence
        else:
            journal.write("assessment", record.id, "exam_entered", by=current_user.actor())
            session["entered"] = str(record.id)
            return redirect(url_for("sitting.papers"), 303)
    if session.get("entered") != str(record.id):
        page = render_template("sitting/enter.html", ticket=ticket, fault=fault, given=request.form)
        return (page, 422) if fault else page
    rows, begun = papers_for(record), sittings.sittings_of(record)
    locked = {paper.id: reason for paper in rows if (reason := locked_because(paper, rows, begun))}
    return render_template(
        "sitting/papers.html", papers=rows, begun=begun, moment=clock.now(), ticket=ticket, lacking=len(rows) < wanted_subjects(record), locked=locked,
        admitted=admissions(record, rows),
    )  # fmt: skip


@sitting.get("/sitting/privacy")
@allow(DOCTOR)
def privacy() -> str:
    """《隐私协议》."""
    return render_template("sitting/privacy.html")


@sitting.get("/sitting/paper/<uuid:paper_id>")
@allow(DOCTOR)
def notice(paper_id: UUID) -> Response | str:
    """[S16]: the candidate's notice."""
    record = _record()
    if session.get("entered") != str(record.id):
        return redirect(url_for("sitting.papers"))
    begun = sittings.sittings_of(record).get(paper_id)
    if begun:
        return redirect(url_for("sitting.answer_page", sitting_id=begun.id))
    paper = _paper(record, paper_id)
    admitted = admissions(record, [paper])[paper.id]
    return render_template(
        "sitting/notice.html", paper=paper, moment=clock.now(), whole=whole_marks(paper), admitted=admitted,
        x_told=X_TOLD[province_settings.value("x_rule")],
    )  # fmt: skip


def _me() -> str:
    """Whom the limit on guessing start codes counts: the account."""
    return limit_key(f"start-code-{current_user.id}" if current_user.is_authenticated else None)


@sitting.post("/sitting/paper/<uuid:paper_id>")
@allow(DOCTOR)
@limiter.limit("10/10minutes", key_func=_me, exempt_when=lambda: not request.form.get("code"), deduct_when=lambda _answer: "wrong_code" in g)
def begin(paper_id: UUID) -> Response:
    """「进入考试」: the sitting begins, once. Wrong start codes are counted, and nothing else."""
    record = _record(lock=True)
    if session.get("entered") != str(record.id):
        return redirect(url_for("sitting.papers"), 303)
    if not request.form.get("promise"):
        flash("请勾选“我已详细阅读并郑重承诺”后再进入考试。")
        return redirect(url_for("sitting.notice", paper_id=paper_id), 303)
    try:
        row = sittings.open_sitting(record, paper_id, by=current_user.actor(), code=request.form.get("code"))
    except Invalid as refusal:
        if isinstance(refusal, WrongCode):
            g.wrong_code = True
        flash(refusal.sentence)
        return redirect(url_for("sitting.notice", paper_id=paper_id), 303)
    session["sitting"] = {"id": str(row.id), "epoch": row.epoch}
    return redirect(url_for("sitting.answer_page", sitting_id=row.id), 303)


def _paper(record: Assessment, paper_id: UUID) -> Paper:
    found = next((one for one in papers_for(record) if one.id == paper_id), None)
    if found is None:
        raise NotFound
    return found


@sitting.get("/sitting/<uuid:sitting_id>")
@allow(DOCTOR)
def answer_page(sitting_id: UUID) -> Response | str:
    """[S17]: answering. A device that hasn't been answering here asks first, because it ends the other's."""
    row = sittings.page_of(sitting_id, current_user.id)
    if row is None:
        _record()
        raise NotFound
    if row.handed_in_at is not None:
        return redirect(url_for("sitting.end", sitting_id=sitting_id))
    if session.get("sitting") != {"id": str(row.id), "epoch": row.epoch}:
        return render_template("sitting/take_over.html", sitting=row, paper=row)
    questions = as_shown(sittings.questions_of(row))
    data = {
        "id": str(row.id), "questions": questions, "opened": _milliseconds(row.opened_at), **standing_of(row, {position: (letters, number) for position, letters, number in row.answers or ()}),
        "token": saving.token_of(row, str(current_app.secret_key)), "address": address_of(request.script_root, row.id),
        "standing": url_for("sitting.standing", sitting_id=row.id), "events": url_for("sitting.events", sitting_id=row.id), "end": url_for("sitting.end", sitting_id=row.id),
    }  # fmt: skip
    return render_template("sitting/answer.html", sitting=row, paper=row, data=data, first=questions[0])


def as_shown(questions: list[sittings.ShownQuestion]) -> list[dict[str, Any]]:
    """Questions as js/sitting.js takes them."""
    return [
        {
            "position": one.position, "kind": one.kind, "type": TYPES[one.kind], "case": content.shown(one.case_stem, picture_address),
            "stem": content.shown(one.stem, picture_address),
            "options": [(letter, content.shown(words, picture_address)) for letter, words in one.options], "place": one.place, "size": one.size,
        }
        for one in questions
    ]  # fmt: skip


@sitting.get("/sitting/<uuid:sitting_id>/standing")
@allow(DOCTOR)
def standing(sitting_id: UUID) -> Any:
    """How the sitting stands: the page asks when it is shown again, when the network is back, and every few minutes, which also keeps
    the session, for saving answers doesn't touch it."""
    row = sittings.sitting_of(sitting_id, _record())
    mine = session.get("sitting") == {"id": str(row.id), "epoch": row.epoch}
    return jsonify(open=row.handed_in_at is None, mine=mine, **standing_of(row, sittings.numbered_answers_of(row)))


def standing_of(row: Any, kept: dict[int, tuple[str, int]]) -> dict[str, Any]:
    """What is kept (position → letters, sequence number) and the time, as js/sitting.js takes them."""
    return {
        "answers": {position: letters for position, (letters, _) in kept.items()},
        "sequences": {position: number for position, (_, number) in kept.items()}, "sequence": max((number for _, number in kept.values()), default=0),
        "now": _milliseconds(clock.now()), "closes": _milliseconds(row.closes_at),
    }  # fmt: skip


@sitting.post("/sitting/<uuid:sitting_id>/take-over")
@allow(DOCTOR)
def take_over(sitting_id: UUID) -> Response:
    """Go on here; the other device's page saves no more."""
    record = _record(lock=True)
    row = sittings.sitting_of(sitting_id, record, lock=True)
    sittings.take_over(row, by=current_user.actor())
    session["sitting"] = {"id": str(row.id), "epoch": row.epoch}
    return redirect(url_for("sitting.answer_page", sitting_id=sitting_id), 303)


@sitting.post("/sitting/<uuid:sitting_id>/events")
@allow(DOCTOR)
def events(sitting_id: UUID) -> Any:
    """What the page has noticed (integrity.js): kept once, however often it is sent."""
    integrity.take_note(sittings.sitting_of(sitting_id, _record()), request.get_json(silent=True))
    return jsonify(kept=True)


@sitting.route("/sitting/cases", methods=["GET", "POST"])
@allow(DOCTOR)
def cases() -> Response | tuple[str, int] | str:
    """Cases about one's own sittings (诚信核查): why, until when one may state one's view, what came of it."""
    record, told = _record(), None
    if request.method == "POST":
        found = voiding.locked(request.form.get("case", type=UUID) or UUID(int=0))
        if found is None or found[1].id != record.id:
            raise NotFound
        try:
            voiding.state_view(found[0], by=current_user.actor(), statement=request.form.get("statement", ""))
        except Refusal as refusal:
            db.session.rollback()
            told = refusal.sentence
        else:
            flash("您的说明已提交。处理结果会在“消息”中通知您。")
            return redirect(url_for("sitting.cases"), 303)
    page = render_template(
        "sitting/cases.html", cases=voiding.cases_of(_record()), states=CASE_STATES, outcomes=CASE_OUTCOMES, told=told, typed=request.form,
        moment=clock.now(),
    )  # fmt: skip
    return (page, 422) if told else page


@sitting.post("/sitting/<uuid:sitting_id>/hand-in")
@allow(DOCTOR)
def hand_in(sitting_id: UUID) -> Any:
    """「交卷」: what the page could not send yet comes along. Where the database is away nothing is handed in, so that nothing is lost."""
    outstanding = outstanding_answers()
    if outstanding:  # what comes along is kept by another connection, which would wait for us if we held the sitting
        record = _record(lock=True)
        row = sittings.sitting_of(sitting_id, record)
    else:
        record, row = _held(sitting_id)
    if row.handed_in_at is None:
        if request.form.get("automatic") and (left := row.closes_at - clock.now()) > AT_THE_END:
            raise NotAllowed(f"作答时间已延长,还有{math.ceil(left.total_seconds() / 60)}分钟,请继续作答。")
        if session.get("sitting") != {"id": str(row.id), "epoch": row.epoch}:
            raise NotAllowed("您已在另一台设备上继续作答,请在那台设备上交卷,或刷新本页后继续。")
        if outstanding:
            if _keep_outstanding(outstanding, saving.Token(row.tenant_id, row.id, row.epoch)):
                flash(TOO_LATE)
            row = sittings.sitting_of(sitting_id, record, lock=True)
        sittings.hand_in(record, row, by=current_user.actor())
    elif outstanding and newer(outstanding, sittings.numbered_answers_of(row)):
        flash(TOO_LATE)
    address = url_for("sitting.end", sitting_id=sitting_id)
    return jsonify(end=address) if request.accept_mimetypes.best == "application/json" else redirect(address, 303)


def _keep_outstanding(outstanding: list[Any], token: saving.Token) -> bool:
    """Keep what came along, each answer by itself, so that one tapped too late takes none with it that was tapped in time. Gives whether any
    was refused. Raises Unavailable."""
    refused = False
    for given in outstanding:
        try:
            saving.save(Settings.in_force().database_url, token, given)
        except Unavailable:
            raise
        except saving.Malformed:
            continue
        except Refusal:
            refused = True
    return refused


def newer(outstanding: list[Any], kept: dict[int, tuple[str, int]]) -> bool:
    """Whether anything came along, to what was handed in before, that is newer than what was marked."""
    found = [given for given in outstanding if isinstance(given, dict)]
    return any(
        type(number := given.get("sequence")) is int and type(place := given.get("position")) is int and number > kept.get(place, ("", 0))[1] for given in found
    )


def outstanding_answers() -> list[Any]:
    """What the page could not send before it handed in."""
    text = request.form.get("outstanding") or "[]"
    try:
        given = json.loads(text) if len(text) <= LONGEST_OUTSTANDING else []
    except (ValueError, RecursionError):
        return []
    return given[:MOST_OUTSTANDING] if isinstance(given, list) else []


@sitting.get("/sitting/<uuid:sitting_id>/end")
@allow(DOCTOR)
def end(sitting_id: UUID) -> Response | str:
    """[S18]: the closing screen; no score, which is for the province to publish."""
    record = _record()
    row: Sitting = sittings.sitting_of(sitting_id, record)
    if row.voided_at is not None:
        return redirect(url_for("sitting.cases"))
    if row.handed_in_at is None:
        return redirect(url_for("sitting.answer_page", sitting_id=sitting_id))
    begun = sittings.sittings_of(record)
    left = [one for one in due(papers_for(record), begun) if one.id not in begun or begun[one.id].handed_in_at is None]
    paper = db.session.scalars(select(Paper).where(Paper.id == row.paper_id)).one()
    return render_template("sitting/end.html", sitting=row, paper=paper, answered=len([1 for letters in sittings.answers_of(row).values() if letters]), left=left)


def _milliseconds(moment: Any) -> int:
    return int(moment.timestamp() * 1000)
