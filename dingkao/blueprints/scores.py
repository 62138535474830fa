"""Marking and after, in the console: item analysis of papers, corrections of keys and what they change, scores of exams on paper."""

from collections import Counter
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import func, select
from werkzeug.wrappers import Response
from wtforms import RadioField, StringField
from wtforms.fields.choices import SelectChoice

from dingkao.assessments.models import STATES, VERDICTS
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, AUDITOR, OF_ORGANISATION, of_office
from dingkao.blueprints.forms import FileForm, Form, LongText, Needed, chosen
from dingkao.blueprints.web import limiter, waiting_page, xlsx
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.errors import Forbidden, Invalid, NotAllowed, NotFound, Refusal
from dingkao.exams import analysis as figures
from dingkao.exams import banks, remarking
from dingkao.exams import scores as rules
from dingkao.exams.marking import TREATMENTS
from dingkao.exams.models import (
    CHANGE_STATES,
    TYPES,
    KeyCorrection,
    Paper,
    PaperAnalysis,
    QuestionVersion,
    ScoreChange,
    ScoreImport,
    Sitting,
)
from dingkao.outside.sheets import MAX_BYTES
from dingkao.outside.sheets import write as write_sheet
from dingkao.results import lines, revising
from dingkao.results.publishing import name_of
from dingkao.tenants import settings

scores = of_office("scores")
EDITOR = "question_editor"
AT_ONCE = 100
TREATED = {"marked": "更改答案(可以有几个答案均可)", "credited": TREATMENTS["credited"], "excluded": TREATMENTS["excluded"]}
ORDERS = {"order": "试题顺序", "flags": "有提示的在前", "p": "难度(由难到易)", "r": "区分度(由低到高)"}


class CorrectionForm(Form):
    """How a question is to be marked from now on, and why."""

    treatment = RadioField("更正方式", [Needed("请选择更正方式。")], choices=[SelectChoice(code, word) for code, word in TREATED.items()], default="marked")
    keys = StringField("正确答案")
    reason = LongText("更正理由", [Needed("请填写更正理由,如命题组复核意见。")])


def waiting_tasks() -> list[tuple[str, int, str, str]]:
    """What waits here for this person to confirm or decide: what, how many, where, and the act."""
    me, told = current_user.id, []
    if ADMIN in current_user.roles:
        proposed = select(func.count()).select_from(KeyCorrection).where(
            KeyCorrection.approved_at.is_(None), KeyCorrection.withdrawn_at.is_(None), KeyCorrection.proposed_by != me
        )
        of_others = (ScoreChange.tenant_id == KeyCorrection.tenant_id) & (ScoreChange.correction_id == KeyCorrection.id)
        open_ = select(func.count()).select_from(ScoreChange).join(KeyCorrection, of_others).where(ScoreChange.state == "waiting", KeyCorrection.proposed_by != me)
        address = url_for("scores.corrections")
        told += [("更正答案等待您确认", db.session.scalar(proposed) or 0, address, "去确认"), ("答案更正后,已发布的结果待决定", db.session.scalar(open_) or 0, address, "去决定")]
    if _may_confirm():
        imports = _visible().where(ScoreImport.approved_at.is_(None), ScoreImport.withdrawn_at.is_(None), ScoreImport.proposed_by != me)
        number = db.session.scalar(select(func.count()).select_from(imports.subquery())) or 0
        told.append(("线下成绩等待您确认", number, url_for("scores.offline"), "去确认"))
    return told


# --- item analysis


@scores.get("/office/analyses")
@allow(ADMIN, AUDITOR, EDITOR)
def analyses() -> str:
    """The papers of the cycle: how many were handed in, and when each was analysed last."""
    cycle = current_cycle()
    papers = db.session.scalars(select(Paper).where(Paper.cycle_id == cycle.id).order_by(Paper.category, Paper.level.desc(), Paper.subject)).all() if cycle else []
    ids = [paper.id for paper in papers]
    handed_in = select(Sitting.paper_id, func.count()).where(Sitting.paper_id.in_(ids), Sitting.handed_in_at.is_not(None), Sitting.voided_at.is_(None))
    counts = {row[0]: row[1] for row in db.session.execute(handed_in.group_by(Sitting.paper_id))}
    made = {row.paper_id: row for row in db.session.scalars(select(PaperAnalysis).where(PaperAnalysis.paper_id.in_(ids)))}
    papers = sorted(papers, key=lambda paper: -counts.get(paper.id, 0))
    return render_template("scores/analyses.html", cycle=cycle, papers=papers, counts=counts, made=made, may=bool(current_user.roles & {ADMIN, EDITOR}))


def _paper(paper_id: UUID) -> Paper:
    row = db.session.scalar(select(Paper).where(Paper.id == paper_id))
    if row is None:
        raise NotFound
    return row


@scores.post("/office/analyses/<uuid:paper_id>")
@allow(ADMIN, EDITOR)
@limiter.limit("60/hour")
def analyse(paper_id: UUID) -> Response:
    """Work the analysis out, as a job."""
    figures.ask_analysis(_paper(paper_id), by=current_user.actor())
    return redirect(url_for("scores.analysis", paper_id=paper_id), 303)


@scores.get("/office/analyses/<uuid:paper_id>")
@allow(ADMIN, AUDITOR, EDITOR)
def analysis(paper_id: UUID) -> FlaskResponse:
    """One paper: how its scores lie, how far it can be relied on, what each question did."""
    paper = _paper(paper_id)
    made = db.session.scalar(select(PaperAnalysis).where(PaperAnalysis.paper_id == paper.id))
    job = figures.job_of(paper)
    waits = job is not None and job.state in ("waiting", "running")
    if made is None:
        return waiting_page(render_template("scores/analysis.html", paper=paper, made=None, job=job, waits=waits, may=_may_analyse()), waits=waits)
    order = request.args.get("order", "order")
    items = _ordered(made.content["items"], order)
    lie, tenths = _distribution(paper, made)
    words = {row[0]: row[1] for row in db.session.execute(select(QuestionVersion.id, QuestionVersion.stem).where(QuestionVersion.id.in_([UUID(one["version"]) for one in items])))}
    fresh = db.session.scalar(select(func.count()).select_from(Sitting).where(Sitting.paper_id == paper.id, Sitting.handed_in_at.is_not(None), Sitting.voided_at.is_(None)))
    shown = render_template(
        "scores/analysis.html", paper=paper, made=made, job=job, waits=waits, lie=lie, line=tenths, items=items, words=words, kinds=TYPES, order=order,
        orders=ORDERS, treatments=TREATMENTS, few=figures.FEW, enough=figures.ENOUGH, behind=(fresh or 0) != made.sittings, may=_may_analyse(), uuid=UUID,
    )  # fmt: skip
    return waiting_page(shown, waits=waits)


def _may_analyse() -> bool:
    return bool(current_user.roles & {ADMIN, EDITOR})


def _ordered(items: list[dict[str, Any]], order: str) -> list[dict[str, Any]]:
    numbered = [one | {"number": number} for number, one in enumerate(items, 1)]
    keys = {
        "flags": lambda one: (not any("核对" in said for said in one["flags"]), not one["flags"], one["number"]), "p": lambda one: (one["p"], one["number"]),
        "r": lambda one: (one["r"] is None, one["r"] or 0.0, one["number"]),
    }  # fmt: skip
    return sorted(numbered, key=keys[order]) if order in keys else numbered


def _distribution(paper: Paper, made: PaperAnalysis) -> tuple[figures.Distribution | None, int]:
    """How the scores lie, by the line that stands or the one that the settings propose, in tenths."""
    cycle = db.session.get_one(Cycle, (paper.tenant_id, paper.cycle_id))
    line = lines.standing(cycle).get((paper.category, paper.level))
    tenths = line.line_tenths if line else lines.default_tenths(paper.level)
    return figures.distribution({int(score): times for score, times in made.content["scores"].items()}, tenths), tenths


@scores.get("/office/analyses/<uuid:paper_id>/analysis.xlsx")
@allow(ADMIN, AUDITOR, EDITOR)
def analysis_sheet(paper_id: UUID) -> FlaskResponse:
    """The questions' figures as a sheet."""
    made = db.session.scalar(select(PaperAnalysis).where(PaperAnalysis.paper_id == _paper(paper_id).id))
    if made is None:
        raise NotFound("这份试卷还没有做过项目分析。")
    items = _ordered(made.content["items"], "order")
    stems = {row[0]: row[1] for row in db.session.execute(select(QuestionVersion.id, QuestionVersion.stem).where(QuestionVersion.id.in_([UUID(one["version"]) for one in items])))}
    letters = sorted({letter for one in items for letter in one["letters"]})
    heads = ["序号", "题型", "题干", "答案", "判分方式", "作答人数", "难度", "区分度(高低分组)", "区分度(点二列相关)", "未作答"]
    heads += [f"选{letter}{group}" for letter in letters for group in ("", "(高分组)", "(低分组)")] + ["提示"]
    rows = [
        [one["number"], one["kind"], stems.get(UUID(one["version"]), ""), "或".join(one["keys"]), TREATMENTS[one["treatment"]], one["n"], one["p"], _cell(one["d"]),
         _cell(one["r"]), one["blank"], *(number for letter in letters for number in one["choices"].get(letter, (0, 0, 0) if letter in one["letters"] else ("", "", ""))),
         ";".join(one["flags"])]
        for one in items
    ]  # fmt: skip
    return xlsx(write_sheet(heads, rows, "项目分析"), "item-analysis.xlsx")


def _cell(value: float | None) -> float | str:
    return "" if value is None else value


# --- corrections of keys


@scores.get("/office/corrections")
@allow(ADMIN, AUDITOR, EDITOR)
def corrections() -> str:
    """The corrections, the newest first."""
    found = page(select(KeyCorrection), [KeyCorrection.id], request.args.get("after"), newest=True)
    rows = found.rows
    stems = {row[0]: row[1] for row in db.session.execute(select(QuestionVersion.id, QuestionVersion.stem).where(QuestionVersion.id.in_({row.version_id for row in rows})))}
    return render_template("scores/corrections.html", page=found, rows=rows, stems=stems, counts=revising.counts_of(rows), treatments=TREATMENTS, states=_state_of)


def _state_of(row: KeyCorrection) -> str:
    if row.withdrawn_at:
        return "已撤回"
    if row.approved_at is None:
        return "待确认"
    return "已被后来的更正取代" if row.superseded_at else "已生效" if row.remarked_at else "已生效,正在重新判分"


@scores.route("/office/corrections/version/<uuid:version_id>", methods=["GET", "POST"])
@allow(ADMIN, EDITOR)
def correct(version_id: UUID) -> Response | tuple[str, int] | str:
    """Propose a correction of one question version."""
    version, form = remarking.version_of(version_id), CorrectionForm()
    if form.validate_on_submit():
        try:
            row = remarking.propose(version, treatment=form.treatment.data, keys=form.keys.data or "", reason=form.reason.data or "", by=current_user.actor())
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            revising.ask_preview(row, by=current_user.actor())
            return redirect(url_for("scores.correction", correction_id=row.id), 303)
    now = remarking.keys_of([version.id])[version.id]
    if request.method != "POST":
        form.keys.data = ",".join(now.keys)
    shown = render_template("scores/correct.html", form=form, version=version, now=now, kinds=TYPES, treatments=TREATMENTS, treated=TREATED)
    return (shown, 422) if request.method == "POST" else shown


def _correction(correction_id: UUID) -> KeyCorrection:
    row = db.session.scalar(select(KeyCorrection).where(KeyCorrection.id == correction_id))
    if row is None:
        raise NotFound
    return row


@scores.get("/office/corrections/<uuid:correction_id>")
@allow(ADMIN, AUDITOR, EDITOR)
def correction(correction_id: UUID) -> FlaskResponse:
    """One correction: what it would change, and once approved what it changed and whom the province has to decide on."""
    row, state = _correction(correction_id), request.args.get("state", "")
    job = revising.job_of(row)
    waits = job is not None and job.state in ("waiting", "running")
    of_row = select(ScoreChange).where(ScoreChange.correction_id == row.id)
    found = page(of_row.where(ScoreChange.state == state) if state in CHANGE_STATES else of_row, [ScoreChange.sitting_id], request.args.get("after"), AT_ONCE)
    version = remarking.version_of(row.version_id)
    in_bank = banks.after_correction(row) if row.approved_at and not row.superseded_at else None
    shown = render_template(
        "scores/correction.html", in_bank=in_bank, row=row, version=version, kinds=TYPES, treatments=TREATMENTS, state=state, states=CHANGE_STATES, words=_state_of(row),
        names=(name_of(row.proposed_by), name_of(row.approved_by)), job=job, waits=waits, page=found, counts=revising.counts_of([row])[row.id],
        changes=revising.changes_of(row, [one.sitting_id for one in found.rows]), verdicts=VERDICTS, record_states=STATES, may=ADMIN in current_user.roles,
        own=row.proposed_by == current_user.id, may_again=bool(current_user.roles & {ADMIN, EDITOR}),
    )  # fmt: skip
    return waiting_page(shown, waits=waits)


@scores.post("/office/corrections/<uuid:correction_id>/approve")
@allow(ADMIN)
def approve_correction(correction_id: UUID) -> Response:
    """Approve by another person; what drew the question is marked again as a job."""
    row = remarking.locked(correction_id)
    if remarking.approve(row, by=current_user.actor()):
        revising.ask_remarking(row, by=current_user.actor())
    return redirect(url_for("scores.correction", correction_id=row.id), 303)


@scores.post("/office/corrections/<uuid:correction_id>/bank")
@allow(ADMIN, EDITOR)
def mend_bank(correction_id: UUID) -> Response:
    """同时更正题库: propose the corrected key in the bank, else the next paper draws the old one again."""
    row = remarking.locked(correction_id)
    try:
        banks.mend_key(row, by=current_user.actor())
    except NotAllowed as refusal:
        flash(refusal.sentence)
    else:
        flash("题库中的答案已提出更正,待另一人审核后使用。")
    return redirect(url_for("scores.correction", correction_id=row.id), 303)


@scores.post("/office/corrections/<uuid:correction_id>/withdraw")
@allow(ADMIN, EDITOR)
def withdraw_correction(correction_id: UUID) -> Response:
    """Take a proposal back: one's own, or any as an administrator."""
    row = remarking.locked(correction_id)
    if ADMIN not in current_user.roles and row.proposed_by != current_user.id:
        raise Forbidden
    remarking.withdraw(row, by=current_user.actor())
    flash("已撤回。")
    return redirect(url_for("scores.corrections"), 303)


@scores.post("/office/corrections/<uuid:correction_id>/again")
@allow(ADMIN, EDITOR)
@limiter.limit("60/hour")
def again(correction_id: UUID) -> Response:
    """Count anew what a proposal would change, or go on with marking that stopped; neither does anything twice."""
    row = remarking.locked(correction_id)
    if row.approved_at:
        revising.ask_remarking(row, by=current_user.actor())
    elif not row.withdrawn_at:
        revising.ask_preview(row, by=current_user.actor())
    return redirect(url_for("scores.correction", correction_id=row.id), 303)


@scores.post("/office/corrections/<uuid:correction_id>/decide")
@allow(ADMIN)
def decide(correction_id: UUID) -> Response:
    """Decide on the published results that were ticked: let the new score stand, or keep all as published."""
    row, ids = remarking.locked(correction_id), chosen("change")
    if not ids:
        flash("请先勾选要决定的医师。")
    else:
        try:
            adopt = request.form.get("decision") == "adopt"
            done, reasons = revising.decide(row, ids, adopt=adopt, reason=request.form.get("reason", ""), by=current_user.actor())
        except Invalid as refusal:
            flash(refusal.sentence)
        else:
            flash(f"已决定{done}人:{'采用新成绩' if adopt else '维持原结果'}。{' '.join(reasons)}")
    return redirect(url_for("scores.correction", correction_id=row.id, state="waiting"), 303)


@scores.get("/office/corrections/<uuid:correction_id>/changes.xlsx")
@allow(ADMIN, AUDITOR)
def changes_sheet(correction_id: UUID) -> FlaskResponse:
    """What a correction changed, as a sheet; numbers masked."""
    rows = [
        [doctor.name, doctor.number_masked, title, change.before_tenths / 10, change.after_tenths / 10, VERDICTS.get(change.verdict_before or "", ""),
         VERDICTS.get(change.verdict_after or "", ""), "是" if change.verdict_before != change.verdict_after else "否", STATES[state], CHANGE_STATES[change.state], change.reason or ""]
        for change, doctor, title, state in revising.changes_of(_correction(correction_id))
    ]  # fmt: skip
    heads = ["姓名", "证件号码", "试卷", "原成绩", "新成绩", "原业务水平", "按新成绩业务水平", "评定是否变化", "考核状态", "处理", "理由"]
    return xlsx(write_sheet(heads, rows, "成绩变化"), "score-changes.xlsx")


# --- scores of exams on paper


@scores.route("/office/offline-scores", methods=["GET", "POST"])
@allow(ADMIN, *OF_ORGANISATION)
@limiter.limit("60/hour", methods=["POST"])
def offline() -> Response | tuple[str, int] | str:
    """Take in a sheet of scores, or only check it; the imports so far."""
    cycle, form, report = current_cycle(), FileForm(), None
    if form.validate_on_submit():
        if cycle is None:
            raise NotFound("本省还没有开始考核周期。")
        only = None if ADMIN in current_user.roles else current_user.organisations(*OF_ORGANISATION)
        try:
            report, made = rules.take_in(
                form.file.data.read(MAX_BYTES + 1), cycle, only=only, organisation=only[0] if only else None, dry_run="check" in request.form, by=current_user.actor()
            )
        except Refusal as refusal:
            form.refuse(Invalid(refusal.sentence, "file"))
        else:
            if made is not None and not report.errors:
                flash(f"已导入{made.scores}条成绩,请由另一位经办人确认。")
                return redirect(url_for("scores.imported", import_id=made.id), 303)
            if made is not None:
                flash(f"已导入{made.scores}条成绩,请由另一位经办人确认;另有{len(report.errors)}行被拒绝。")
    mine = _visible().where(ScoreImport.cycle_id == (cycle.id if cycle else None))
    found = page(mine, [ScoreImport.id], request.args.get("after"), newest=True)
    rows = found.rows
    names = {row.id: (name_of(row.proposed_by), name_of(row.approved_by)) for row in rows}
    shown = render_template(
        "scores/offline.html", cycle=cycle, form=form, report=report, checked="check" in request.form, page=found, rows=rows, names=names, states=_import_state,
        open=settings.value("offline_scores"), closed=rules.CLOSED, headings=[one[0] for one in rules.COLUMNS.values()],
    )  # fmt: skip
    return (shown, 422) if request.method == "POST" and report is None else shown


def _visible() -> Any:
    """The imports this person may see: the administrator all, an organisation's people its own."""
    query = select(ScoreImport)
    return query if ADMIN in current_user.roles else query.where(ScoreImport.organisation_id.in_(current_user.organisations(*OF_ORGANISATION)))


def _import_state(row: ScoreImport) -> str:
    return "已撤回" if row.withdrawn_at else "待另一位经办人确认" if row.approved_at is None else "已登记" if row.entered_at else "已确认,正在登记"


@scores.get("/office/offline-scores/template.xlsx")
@allow(ADMIN, *OF_ORGANISATION)
def offline_template() -> FlaskResponse:
    """An empty sheet to fill in."""
    return xlsx(write_sheet([names[0] for names in rules.COLUMNS.values()], [], "线下成绩"), "offline-scores-template.xlsx")


@scores.get("/office/offline-scores/<uuid:import_id>")
@allow(ADMIN, *OF_ORGANISATION)
def imported(import_id: UUID) -> FlaskResponse:
    """One import: its scores, and who confirms it."""
    row = db.session.scalar(_visible().where(ScoreImport.id == import_id))
    if row is None:
        raise NotFound
    waits = row.approved_at is not None and row.entered_at is None
    entries = rules.entries_of(row)
    left = Counter(one.left_out for one, _, _ in entries if one.left_out)
    shown = render_template(
        "scores/import.html", row=row, entries=entries, names=(name_of(row.proposed_by), name_of(row.approved_by)), words=_import_state(row),
        own=row.proposed_by == current_user.id, left=left, waits=waits, may_approve=_may_confirm(),
    )  # fmt: skip
    return waiting_page(shown, waits=waits)


def _may_confirm() -> bool:
    return bool(current_user.roles & {ADMIN, "organisation_reviewer"})


def _locked(import_id: UUID) -> ScoreImport:
    if db.session.scalar(_visible().where(ScoreImport.id == import_id)) is None:
        raise NotFound
    return rules.locked(import_id)


@scores.post("/office/offline-scores/<uuid:import_id>/approve")
@allow(ADMIN, "organisation_reviewer")
def approve_import(import_id: UUID) -> Response:
    """Confirm, by another person than took it in; the scores are entered as a job."""
    row = _locked(import_id)
    if ADMIN not in current_user.roles and row.organisation_id not in current_user.organisations("organisation_reviewer"):
        raise Forbidden
    rules.approve(row, by=current_user.actor())
    return redirect(url_for("scores.imported", import_id=import_id), 303)


@scores.post("/office/offline-scores/<uuid:import_id>/withdraw")
@allow(ADMIN, *OF_ORGANISATION)
def withdraw_import(import_id: UUID) -> Response:
    """Take an import back before it is confirmed."""
    rules.withdraw(_locked(import_id), by=current_user.actor())
    flash("已撤回,成绩没有登记。")
    return redirect(url_for("scores.offline"), 303)
