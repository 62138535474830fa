"""Examinations in the console: the papers of the cycle."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response
from wtforms import DateTimeLocalField, DecimalField, IntegerField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Optional

from dingkao import clock
from dingkao.assessments.models import PROCEDURES
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, OF_ORGANISATION, of_office
from dingkao.blueprints.forms import Form, Needed, chosen
from dingkao.blueprints.web import limiter
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.errors import Forbidden, Invalid, NotAllowed, NotFound
from dingkao.exams import papers as rules
from dingkao.exams import printing, prolonging
from dingkao.exams.models import DIFFICULTIES, PAPER_PROCEDURES, SUBJECTS, TYPES, Paper, QuestionVersion

examinations = of_office("examinations")
EDITOR = "question_editor"
TOTAL, MINUTES, HUMANITIES_PERCENT = 50, 60, 20
FORMS = {"drawn": "每位医师随机抽题", "fixed": "所有医师题目相同,选项顺序随机"}
CELL = re.compile(r"([0-9]{1,3})\s*([%\uff05]?)")
MOST_TOPICS = 60
MAY_PRINT = {
    "booklet": frozenset((ADMIN, "organisation_reviewer")), "sheet": frozenset((ADMIN, *OF_ORGANISATION)), "key": frozenset((ADMIN,)),
}  # fmt: skip
ABOUT_PRINTS = {
    "booklet": "全部试题,按题型排列,共用题干和备选答案的题在一起。", "sheet": "填涂用的答题卡,每张100题,四角有定位黑块。",
    "key": "按题号排列的答案和分值,供阅卷使用。",
}  # fmt: skip


class WindowForm(Form):
    """Minutes and window of papers, by the clock of Beijing."""

    minutes = IntegerField("考试时长(分钟)", [Needed("请填写考试时长。")], default=MINUTES)
    opens_at = DateTimeLocalField("开放时间(北京时间)", [Needed("请选择开放时间。")])
    closes_at = DateTimeLocalField("结束时间(北京时间)", [Needed("请选择结束时间。")])

    def window(self) -> tuple[datetime, datetime]:
        """Opening and end."""
        return tuple(moment.replace(tzinfo=clock.BEIJING).astimezone(UTC) for moment in (self.opens_at.data, self.closes_at.data))


class PaperForm(WindowForm):
    """A paper: its blueprint, beside minutes and window; number and mark stand in fields a type, topics and difficulties in cells of their own."""

    procedure = SelectField("适用程序", choices=[SelectChoice(*pair) for pair in PAPER_PROCEDURES.items()], default="any")
    humanities = IntegerField("其中公共知识题数", default=0)
    form = SelectField("组卷方式", choices=[SelectChoice(*pair) for pair in FORMS.items()], default="drawn")

    def counts(self) -> dict[str, int]:
        """How many questions of each type."""
        return {kind: self[kind].data or 0 for kind in TYPES}

    def marks(self) -> dict[str, int]:
        """Tenths of a point a question, by type. Raises Invalid naming the field."""
        found = {}
        for kind, number in self.counts().items():
            points = self[f"mark_{kind}"].data
            if number and points is not None:
                if not points.is_finite() or points * 10 != int(points * 10):
                    raise Invalid(f"{kind}型题每题分值最多一位小数,如1或1.5。", f"mark_{kind}")
                found[kind] = int(points * 10)
        return found


class ProlongForm(Form):
    """A later end for papers that are being sat."""

    closes_at = DateTimeLocalField("新的结束时间(北京时间)", [Needed("请选择新的结束时间。")])
    reason = StringField("原因(医师会看到)", [Needed("请填写延长的原因,如“本省部分地区停电”。")])


for _kind in TYPES:
    setattr(PaperForm, _kind, IntegerField(f"{_kind}型题数", [Optional()], default=0))
    setattr(PaperForm, f"mark_{_kind}", DecimalField(f"{_kind}每题分值", [Optional()], default=Decimal(1), places=1))


@examinations.get("/office/papers")
@allow(ADMIN, *OF_ORGANISATION)
def papers() -> str:
    """The papers of the cycle, made and not."""
    return _papers(WindowForm(formdata=None))


def _made(cycle: Cycle) -> dict[tuple[str, str, str], list[Paper]]:
    made: dict[tuple[str, str, str], list[Paper]] = {}
    for row in db.session.scalars(select(Paper).where(Paper.cycle_id == cycle.id).order_by(Paper.procedure)):
        made.setdefault((row.subject, row.category, row.level), []).append(row)
    return made


def _missing(subject: str, made: list[Paper]) -> list[str]:
    """For which procedures a paper of a subject is still to be made, by what is sat under each (papers.subjects_of)."""
    sat = [procedure for procedure in PROCEDURES if subject in rules.subjects_of(procedure)]
    there = {row.procedure for row in made}
    lacking = [procedure for procedure in sat if not {"any", procedure} & there]
    return lacking if made else ["any"]


def _papers(form: WindowForm) -> str:
    cycle = current_cycle()
    made = _made(cycle) if cycle else {}
    rows: list[tuple[str, str, str, str, Paper | None]] = []
    for category in CATEGORIES:
        for level in LEVELS:
            for subject in SUBJECTS:
                own = made.get((subject, category, level), [])
                rows += [(category, level, subject, paper.procedure, paper) for paper in own]
                rows += [(category, level, subject, procedure, None) for procedure in _missing(subject, own)]
    begun = {paper.id for *_, paper in rows if paper and rules.sat(paper)}
    return render_template(
        "examinations/papers.html", cycle=cycle, rows=rows, begun=begun, subjects=SUBJECTS, categories=CATEGORIES, levels=LEVELS, forms=FORMS,
        procedures=PAPER_PROCEDURES, form=form, may_make=ADMIN in current_user.roles, missing=any(paper is None for *_, paper in rows),
        whole=rules.whole_marks, moment=clock.now(),
    )  # fmt: skip


@examinations.post("/office/papers")
@allow(ADMIN)
def make_missing() -> Response | tuple[str, int]:
    """Make every paper that is missing, about fifty questions each, all in one window; what the banks can't fill is named."""
    cycle, form = _cycle(), WindowForm()
    if not form.validate_on_submit():
        return _papers(form), 422
    opens_at, closes_at = form.window()
    there, combined = _made(cycle), "common" not in rules.subjects_of("general")
    made, failed = 0, []
    for category in CATEGORIES:
        for subject in SUBJECTS:
            counts = rules.proposed_counts(subject, category, TOTAL)
            humanities = sum(counts.values()) * HUMANITIES_PERCENT // 100 if combined and subject == "professional" else 0
            for level in LEVELS:
                for procedure in _missing(subject, there.get((subject, category, level), [])):
                    try:
                        rules.make_paper(
                            cycle, subject=subject, category=category, level=level, procedure=procedure, counts=counts, humanities=humanities,
                            minutes=form.minutes.data or 0, opens_at=opens_at, closes_at=closes_at, by=current_user.actor(),
                        )  # fmt: skip
                        made += 1
                    except Invalid as refusal:
                        said = refusal.sentence if counts else "题库没有可用于考试的题目。"
                        failed.append(f"{CATEGORIES[category]}{SUBJECTS[subject]}:{said}")
    flash(f"已生成{made}份试卷。" + " ".join(sorted(set(failed))))
    return redirect(url_for("examinations.papers"), 303)


@examinations.route("/office/papers/<string:subject>/<string:category>/<string:level>", methods=["GET", "POST"])
@allow(ADMIN)
def paper(subject: str, category: str, level: str) -> Response | tuple[str, int] | str:
    """Make one paper, or change it while nobody has sat it; `procedure` of the address says which where there are two. 「核对题库」 shows what is
    short and saves nothing."""
    if subject not in SUBJECTS or category not in CATEGORIES or level not in LEVELS:
        raise NotFound
    cycle, wanted = _cycle(), request.args.get("procedure", "any")
    row = next((one for one in _made(cycle).get((subject, category, level), []) if one.procedure == wanted), None)
    has, stock = rules.available(subject, category), rules.topics(subject, category)
    form = PaperForm(data=_shown(row, subject, category, wanted))
    named = sorted({topic for topic, _ in stock if topic} | {cell.topic for cell in (rules.cells_of(row) if row else []) if cell.topic})
    typed, needs = _typed(row), None
    if form.validate_on_submit():
        try:
            counts, marks = form.counts(), form.marks()
            cells = rules.shared_out(_wishes(typed), sum(counts.values()))
            needs = rules.assembled(subject, category, counts, humanities=form.humanities.data or 0, cells=cells).needs
            if not request.form.get("check"):
                opens_at, closes_at = form.window()
                rules.make_paper(
                    cycle, subject=subject, category=category, level=level, counts=counts, marks=marks, minutes=form.minutes.data or 0, opens_at=opens_at,
                    closes_at=closes_at, procedure=form.procedure.data, humanities=form.humanities.data or 0, cells=cells,
                    fixed=form.form.data == "fixed", paper=row, by=current_user.actor(),
                )  # fmt: skip
                flash("试卷已保存。")
                return redirect(url_for("examinations.papers"), 303)
        except Invalid as refusal:
            form.refuse(refusal)
    shown_page = render_template(
        "examinations/paper.html", form=form, title=f"{SUBJECTS[subject]}({CATEGORIES[category]} {LEVELS[level]})", has=has, kinds=TYPES, row=row,
        locked=row is not None and rules.sat(row), needs=needs, topics=named[:MOST_TOPICS], stock=stock, difficulties=DIFFICULTIES, typed=typed,
        subject=subject, back=url_for("examinations.papers"),
    )  # fmt: skip
    return (shown_page, 422) if form.errors or form.form_errors else shown_page


def _shown(row: Paper | None, subject: str, category: str, wanted: str) -> dict[str, Any]:
    """What the form begins with: the paper as it is, or a proposal from what the banks have."""
    counts = row.counts if row else rules.proposed_counts(subject, category, TOTAL)
    shown: dict[str, Any] = {kind: counts.get(kind, 0) for kind in TYPES} | {"procedure": wanted if wanted in PAPER_PROCEDURES else "any"}
    if row:
        shown |= {f"mark_{kind}": Decimal(tenths) / 10 for kind, tenths in rules.marks_of(row).items()}
        shown |= {
            "minutes": row.minutes, "opens_at": clock.beijing(row.opens_at), "closes_at": clock.beijing(row.closes_at), "procedure": row.procedure,
            "humanities": row.humanities, "form": "drawn" if row.fixed is None else "fixed",
        }  # fmt: skip
    return shown


def _typed(row: Paper | None) -> dict[tuple[str, str], str]:
    """What stands in the cells, by topic (empty: any) and difficulty (empty: any): as typed, or as the paper has it."""
    if request.method == "POST":
        topics = ["", *request.form.getlist("topic")]
        found = {
            (topic, difficulty): request.form.get(f"cell-{at}-{difficulty}", "").strip() for at, topic in enumerate(topics) for difficulty in ("", *DIFFICULTIES)
        }  # fmt: skip
        return {key: text for key, text in found.items() if text}
    cells = rules.cells_of(row) if row else []
    return {(cell.topic or "", cell.difficulty or ""): f"{cell.share}%" if cell.share else str(cell.number) for cell in cells}


def _wishes(typed: dict[tuple[str, str], str]) -> list[rules.Wish]:
    """The cells as they are meant. Raises Invalid."""
    wishes = []
    for (topic, difficulty), text in typed.items():
        found = CELL.fullmatch(text)
        if not found or (not topic and not difficulty):
            raise Invalid("知识点和难度的单元格请填写题数(如5)或占全卷的百分数(如20%)。", "cells")
        if int(found[1]):
            wishes.append(rules.Wish(topic or None, difficulty or None, int(found[1]), bool(found[2])))
    return wishes


@examinations.route("/office/papers/prolong", methods=["GET", "POST"])
@allow(ADMIN)
@limiter.limit("60/hour", methods=["POST"])
def prolong() -> Response | tuple[str, int] | str:
    """延长考试时间: a later end for papers that are being sat, in an emergency. The first press shows whom it concerns and changes nothing; what
    was shown is then confirmed."""
    cycle = _cycle()
    papers, wanted = prolonging.running(cycle), set(chosen("paper"))
    first = request.args.get("paper", type=UUID)
    picked = [row for row in papers if row.id in (wanted if request.method == "POST" else {first} if first else {one.id for one in papers})]
    form, asked = ProlongForm(), ""
    if form.validate_on_submit():
        closes_at, reason = form.closes_at.data.replace(tzinfo=clock.BEIJING).astimezone(UTC), form.reason.data or ""
        try:
            if not picked:
                raise Invalid("请勾选要延长的试卷。")
            for row in picked:
                prolonging.judge(row, closes_at=closes_at, reason=reason)
            # what is confirmed is what was shown, not what has been typed since
            asked = " ".join((closes_at.isoformat(), *sorted(str(row.id) for row in picked)))
            if request.form.get("confirm") == asked:
                for row in sorted(picked, key=lambda one: one.id):
                    prolonging.prolong(row, closes_at=closes_at, reason=reason, by=current_user.actor())
                flash(f"已延长{len(picked)}份试卷的结束时间。作答中的医师随即得到时间,有关医师会收到消息。")
                return redirect(url_for("examinations.papers"), 303)
        except (Invalid, NotAllowed) as refusal:
            db.session.rollback()
            asked = ""
            form.refuse(refusal if isinstance(refusal, Invalid) else Invalid(refusal.sentence))
    shown = render_template(
        "examinations/prolong.html", form=form, papers=papers, picked={row.id for row in picked}, asked=asked, subjects=SUBJECTS,
        concerned={row.id: prolonging.concerned(row) for row in papers}, slots=prolonging.slots_to_come(cycle), longest=prolonging.LONGEST.days,
    )  # fmt: skip
    return (shown, 422) if form.errors or form.form_errors else shown


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


@examinations.route("/office/papers/<uuid:paper_id>/print", methods=["GET", "POST"])
@allow(ADMIN, *OF_ORGANISATION)
@limiter.limit("60/hour", methods=["POST"])
def prints(paper_id: UUID) -> Response | str:
    """Booklet, answer sheet and key of a fixed paper for halls without phones: the key for the province alone, the booklet for it and the
    assessment organisations' reviewers, the answer sheet for their clerks too (domain.md §12)."""
    row = db.session.scalar(select(Paper).where(Paper.id == paper_id))
    if row is None:
        raise NotFound
    may = [what for what, roles in MAY_PRINT.items() if roles & current_user.roles]
    if request.method == "POST":
        what = request.form.get("what", "")
        if what not in may:
            raise Forbidden
        return redirect(url_for("work.show", job_id=printing.ask(row, what, by=current_user.actor()).id), 303)
    return render_template("examinations/print.html", paper=row, may=may, prints=printing.PRINTS, about=ABOUT_PRINTS, code=printing.code_of(row))


def _cycle() -> Cycle:
    cycle = current_cycle()
    if cycle is None:
        raise NotFound("本省还没有开始考核周期,请先开始周期再安排试卷。")
    return cycle
