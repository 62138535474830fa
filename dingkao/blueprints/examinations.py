"""Examinations in the console: banks and their questions, papers of the cycle."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from flask_wtf.file import FileField
from sqlalchemy import func, select
from werkzeug.wrappers import Response
from wtforms import DateTimeLocalField, IntegerField, StringField

from dingkao import clock
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, OF_ORGANISATION, of_office
from dingkao.blueprints.forms import Form, Needed
from dingkao.blueprints.web import limiter, xlsx
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.errors import Forbidden, Invalid, NotFound, Refusal
from dingkao.exams import papers as rules
from dingkao.exams.importing import TEMPLATE, import_questions
from dingkao.exams.models import DIFFICULTIES, PURPOSES, SUBJECTS, TYPES, Paper, Question, QuestionBank, QuestionVersion
from dingkao.journal import writing as journal
from dingkao.outside.sheets import MAX_BYTES
from dingkao.outside.sheets import write as write_sheet

examinations = of_office("examinations")
EDITOR = "question_editor"
TOTAL, MINUTES = 50, 60


class BankForm(Form):
    """A sheet of questions for a bank."""

    bank = StringField("题库名称", [Needed("请填写题库名称,如本省题库。")])
    file = FileField("文件(xlsx或csv)", [Needed("请选择文件。")])


class PaperForm(Form):
    """Minutes and window of a paper, by the clock of Beijing; the counts stand beside it, a field a type."""

    minutes = IntegerField("考试时长(分钟)", [Needed("请填写考试时长。")], default=MINUTES)
    opens_at = DateTimeLocalField("开放时间(北京时间)", [Needed("请选择开放时间。")])
    closes_at = DateTimeLocalField("结束时间(北京时间)", [Needed("请选择结束时间。")])

    def window(self) -> tuple[datetime, datetime]:
        """Opening and end."""
        return tuple(moment.replace(tzinfo=clock.BEIJING).astimezone(UTC) for moment in (self.opens_at.data, self.closes_at.data))


for _kind in TYPES:
    setattr(PaperForm, _kind, IntegerField(f"{_kind}型题", default=0))


@examinations.get("/office/banks")
@allow(ADMIN, EDITOR)
def banks() -> str:
    """The banks, and a sheet to take in."""
    return _banks(BankForm(formdata=None), None)


@examinations.post("/office/banks/import")
@allow(ADMIN, EDITOR)
@limiter.limit("60/hour")
def import_() -> tuple[str, int]:
    """Take in a sheet of questions; the report stands above the banks."""
    form, report = BankForm(), None
    if form.validate_on_submit():
        try:
            report = import_questions(form.file.data.read(MAX_BYTES + 1), bank=form.bank.data or "", by=current_user.actor())
        except Refusal as refusal:
            form.refuse(Invalid(refusal.sentence, "file"))
    return _banks(form, report), 200 if report else 422


def _banks(form: BankForm, report: Any) -> str:
    rows = db.session.scalars(select(QuestionBank).order_by(QuestionBank.name)).all()
    counted: dict[UUID, dict[tuple[str, str], int]] = {}
    query = select(Question.bank_id, Question.subject, Question.purpose, func.count()).where(Question.retired_at.is_(None))
    for bank, subject, purpose, number in db.session.execute(query.group_by(Question.bank_id, Question.subject, Question.purpose)):
        counted.setdefault(bank, {})[(subject, purpose)] = number
    return render_template("examinations/banks.html", banks=rows, counted=counted, form=form, report=report, subjects=SUBJECTS, purposes=PURPOSES)


@examinations.get("/office/banks/template.xlsx")
@allow(ADMIN, EDITOR)
def template() -> FlaskResponse:
    """Our own form, a column an option."""
    return xlsx(write_sheet(list(TEMPLATE), [], "试题"), "questions-template.xlsx")


@examinations.get("/office/banks/<uuid:bank_id>")
@allow(ADMIN, EDITOR)
def bank(bank_id: UUID) -> str:
    """The questions of a bank."""
    row = db.session.scalar(select(QuestionBank).where(QuestionBank.id == bank_id))
    if row is None:
        raise NotFound
    found = page(select(Question).where(Question.bank_id == bank_id), [Question.id], request.args.get("after"), 30)
    versions = {one.id: one for one in db.session.scalars(select(QuestionVersion).where(QuestionVersion.id.in_([q.current_version for q in found.rows])))}
    return render_template(
        "examinations/bank.html", bank=row, page=found, versions=versions, subjects=SUBJECTS, categories=CATEGORIES, purposes=PURPOSES, difficulties=DIFFICULTIES
    )


@examinations.post("/office/questions/<uuid:question_id>/retire")
@allow(ADMIN, EDITOR)
def retire(question_id: UUID) -> Response:
    """Take a question out of use, or back into it; sittings that have it keep it."""
    row = db.session.scalar(select(Question).where(Question.id == question_id).with_for_update())
    if row is None:
        raise NotFound
    row.retired_at = None if row.retired_at else clock.now()
    journal.write("question", row.id, "retired" if row.retired_at else "restored", by=current_user.actor())
    flash("已停用,不再用于组卷和练习。" if row.retired_at else "已恢复使用。")
    return redirect(url_for("examinations.bank", bank_id=row.bank_id, after=request.form.get("after") or None), 303)


@examinations.get("/office/papers")
@allow(ADMIN, *OF_ORGANISATION)
def papers() -> str:
    """The papers of the cycle, made and not."""
    return _papers(PaperForm(formdata=None))


def _papers(form: PaperForm) -> str:
    cycle = current_cycle()
    made: dict[tuple[str, str, str], Paper] = {}
    if cycle:
        made = {(row.subject, row.category, row.level): row for row in db.session.scalars(select(Paper).where(Paper.cycle_id == cycle.id))}
    wanted = [(subject, category, level) for category in CATEGORIES for level in LEVELS for subject in SUBJECTS]
    begun = {row.id for row in made.values() if rules.sat(row)}
    return render_template(
        "examinations/papers.html", cycle=cycle, made=made, wanted=wanted, begun=begun, subjects=SUBJECTS, categories=CATEGORIES, levels=LEVELS,
        form=form, may_make=ADMIN in current_user.roles,
    )  # fmt: skip


@examinations.post("/office/papers")
@allow(ADMIN)
def make_missing() -> Response | tuple[str, int]:
    """Make every paper that is missing, about fifty questions each, all in one window; what the banks can't fill is named."""
    cycle, form = _cycle(), PaperForm()
    if not form.validate_on_submit():
        return _papers(form), 422
    opens_at, closes_at = form.window()
    there = {(row.subject, row.category, row.level) for row in db.session.scalars(select(Paper).where(Paper.cycle_id == cycle.id))}
    made, failed = 0, []
    for category in CATEGORIES:
        for subject in SUBJECTS:
            counts = rules.proposed_counts(subject, category, TOTAL)
            for level in LEVELS:
                if (subject, category, level) in there:
                    continue
                try:
                    rules.make_paper(
                        cycle, subject=subject, category=category, level=level, counts=counts, minutes=form.minutes.data or 0,
                        opens_at=opens_at, closes_at=closes_at, by=current_user.actor(),
                    )  # fmt: skip
                    made += 1
                except Invalid as refusal:
                    failed.append(f"{CATEGORIES[category]}{SUBJECTS[subject]}:{refusal.sentence}" if counts else f"{CATEGORIES[category]}{SUBJECTS[subject]}:题库没有可用于考试的题目。")
    flash(f"已生成{made}份试卷。" + " ".join(sorted(set(failed))))
    return redirect(url_for("examinations.papers"), 303)


@examinations.route("/office/papers/<string:subject>/<string:category>/<string:level>", methods=["GET", "POST"])
@allow(ADMIN)
def paper(subject: str, category: str, level: str) -> Response | tuple[str, int] | str:
    """Make one paper, or change it while nobody has sat it."""
    if subject not in SUBJECTS or category not in CATEGORIES or level not in LEVELS:
        raise NotFound
    cycle, has = _cycle(), rules.available(subject, category)
    row = db.session.scalar(select(Paper).where(Paper.cycle_id == cycle.id, Paper.subject == subject, Paper.category == category, Paper.level == level))
    counts = row.counts if row else rules.proposed_counts(subject, category, TOTAL)
    shown = {kind: counts.get(kind, 0) for kind in TYPES}
    if row:
        shown |= {"minutes": row.minutes, "opens_at": clock.beijing(row.opens_at), "closes_at": clock.beijing(row.closes_at)}
    form = PaperForm(data=shown)
    if form.validate_on_submit():
        opens_at, closes_at = form.window()
        try:
            rules.make_paper(
                cycle, subject=subject, category=category, level=level, counts={kind: form[kind].data or 0 for kind in TYPES},
                minutes=form.minutes.data or 0, opens_at=opens_at, closes_at=closes_at, by=current_user.actor(),
            )  # fmt: skip
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            flash("试卷已保存。")
            return redirect(url_for("examinations.papers"), 303)
    shown_page = render_template(
        "examinations/paper.html", form=form, title=f"{SUBJECTS[subject]}({CATEGORIES[category]} {LEVELS[level]})", has=has, kinds=TYPES, row=row,
        locked=row is not None and rules.sat(row),
    )  # fmt: skip
    return (shown_page, 422) if request.method == "POST" else shown_page


@examinations.get("/office/papers/<uuid:paper_id>/preview")
@allow(ADMIN, EDITOR)
def preview(paper_id: UUID) -> str:
    """One drawing of a paper, with its keys, to look through."""
    row = db.session.scalar(select(Paper).where(Paper.id == paper_id))
    if row is None:
        raise NotFound
    if rules.sat(row) and ADMIN not in current_user.roles:
        raise Forbidden
    layout = rules.draw(row, request.args.get("seed", 1, int))
    ids = [one.version for one in layout]
    versions = {one.id: one for one in db.session.scalars(select(QuestionVersion).where(QuestionVersion.id.in_(ids)))}
    return render_template("examinations/preview.html", paper=row, versions=[versions[one] for one in ids], seed=request.args.get("seed", 1, int))


def _cycle() -> Cycle:
    cycle = current_cycle()
    if cycle is None:
        raise NotFound("本省还没有开始考核周期,请先开始周期再安排试卷。")
    return cycle
