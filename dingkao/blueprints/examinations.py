"""Examinations in the console: the papers of the cycle."""

from datetime import UTC, datetime
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response
from wtforms import DateTimeLocalField, IntegerField

from dingkao import clock
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, OF_ORGANISATION, of_office
from dingkao.blueprints.forms import Form, Needed
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.errors import Forbidden, Invalid, NotFound
from dingkao.exams import papers as rules
from dingkao.exams.models import SUBJECTS, TYPES, Paper, QuestionVersion

examinations = of_office("examinations")
EDITOR = "question_editor"
TOTAL, MINUTES = 50, 60


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
