"""Question banks in the console: files taken in and given out, questions found, written, looked at by a second person, taken out of use."""

from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from flask_wtf.file import FileField
from sqlalchemy import select
from werkzeug.wrappers import Response
from wtforms import StringField

from dingkao.blueprints.access import DOCTOR, allow
from dingkao.blueprints.console import ADMIN, AUDITOR, of_office
from dingkao.blueprints.forms import Choice, Form, LongText, Needed, chosen
from dingkao.blueprints.web import limiter, xlsx
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.doctors.codes import CATEGORIES
from dingkao.errors import Invalid, NotFound, Refusal
from dingkao.exams import banks as rules
from dingkao.exams import content, documents, exporting, intake, picturing, sharing
from dingkao.exams.importing import LETTERS, TEMPLATE
from dingkao.exams.models import (
    DIFFICULTIES,
    PURPOSES,
    SUBJECTS,
    TYPES,
    VERSION_STATES,
    Question,
    QuestionBank,
    QuestionVersion,
)
from dingkao.journal import writing as journal
from dingkao.outside.sheets import MAX_BYTES
from dingkao.outside.sheets import write as write_sheet
from dingkao.people.models import Account

banks = of_office("banks")
EDITOR = "question_editor"
A_PAGE = 30
WORDS = {"subjects": SUBJECTS, "categories": CATEGORIES, "purposes": PURPOSES, "difficulties": DIFFICULTIES, "kinds": TYPES, "states": rules.STATES}
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


class BankForm(Form):
    """A file of questions for a bank."""

    bank = StringField("题库名称", [Needed("请填写题库名称,如本省题库。")])
    file = FileField("文件(xlsx、csv、docx或GIFT)", [Needed("请选择文件。")])


class QuestionForm(Form):
    """A question as it is written; the options stand beside it, a field a letter."""

    kind = Choice("题型", [Needed("请选择题型。")], choices=[(kind, f"{kind} {name}" if kind != "TF" else name) for kind, name in TYPES.items()])
    group = StringField("组号(A3、A4、B1同组的题填写相同的组号)")
    case_stem = LongText("共用题干(A3、A4)")
    stem = LongText("题干", [Needed("请填写题干。")])
    answer = StringField("答案", [Needed("请填写正确选项的字母;判断题填“正确”或“错误”。")])
    explanation = LongText("解析")
    subject = Choice("科目", [Needed("请选择科目。")], choices=SUBJECTS.items())
    category = Choice("执业类别(公共知识可不选)", choices=CATEGORIES.items())
    topic = StringField("考点")
    difficulty = Choice("难度", [Needed("请选择难度。")], choices=DIFFICULTIES.items())
    purpose = Choice("用途", [Needed("请选择用途。")], choices=PURPOSES.items())


for _letter in LETTERS:
    setattr(QuestionForm, f"option_{_letter}", LongText(f"选项{_letter}"))


def picture_address(name: str) -> str:
    """Where the picture of that name is served."""
    return url_for("banks.picture", name=name)


def rich(text: str | None) -> Any:
    """A question's words as HTML."""
    return content.rendered(text or "", picture_address)


@banks.app_context_processor
def words_of_questions() -> dict[str, Any]:
    """What templates that show questions need."""
    return {"rich": rich, "plain": content.plain, "is_marked": content.is_marked}


@banks.get("/office/banks")
@allow(ADMIN, EDITOR)
def index() -> str:
    """The banks, and a file to take in."""
    return _index(BankForm(formdata=None))


@banks.post("/office/banks/import")
@allow(ADMIN, EDITOR)
@limiter.limit("60/hour")
def import_() -> Response | tuple[str, int]:
    """Take in a file of questions, as a job."""
    form = BankForm()
    if form.validate_on_submit():
        try:
            name = form.file.data.filename or ""
            job = intake.ask_import(form.file.data.read(MAX_BYTES + 1), name, bank=form.bank.data or "", by=current_user.actor())
        except Refusal as refusal:
            form.refuse(Invalid(refusal.sentence, "file"))
        else:
            return redirect(url_for("work.show", job_id=job.id), 303)
    return _index(form), 422


def _index(form: BankForm) -> str:
    rows = db.session.scalars(select(QuestionBank).order_by(QuestionBank.name)).all()
    return render_template("banks/index.html", banks=rows, counted=rules.counted(), form=form, **WORDS)


@banks.get("/office/banks/template.xlsx")
@allow(ADMIN, EDITOR)
def template() -> FlaskResponse:
    """Our own form, a column an option."""
    return xlsx(write_sheet(list(TEMPLATE), [], "试题"), "questions-template.xlsx")


@banks.get("/office/banks/template.docx")
@allow(ADMIN, EDITOR)
def template_docx() -> FlaskResponse:
    """The same as a document of Word's, with an example of each type."""
    return _file(documents.template(), DOCX, "questions-template.docx")


@banks.get("/office/banks/<uuid:bank_id>")
@allow(ADMIN, EDITOR)
def bank(bank_id: UUID) -> str:
    """The questions of a bank, by word, type, topic, difficulty and state."""
    row = rules.bank_of(bank_id)
    asked = {name: request.args.get(name, "")[:200] for name in ("q", "kind", "subject", "topic", "difficulty", "purpose", "state")}
    found = page(rules.found(bank_id, asked), [Question.id], request.args.get("after"), A_PAGE)
    versions = rules.versions_of(found.rows)
    mine = {version.question_id for version in versions.values() if version.made_by == current_user.id}
    return render_template(
        "banks/bank.html", bank=row, page=found, versions=versions, asked=asked, topics=rules.topics_of(bank_id), state_of=rules.state_of,
        counted=rules.counted().get(bank_id), mine=mine, filtered=any(asked.values()), **WORDS,
    )  # fmt: skip


@banks.post("/office/banks/<uuid:bank_id>/export/<string:kind>")
@allow(ADMIN, EDITOR)
@limiter.limit("60/hour")
def export(bank_id: UUID, kind: str) -> FlaskResponse:
    """The bank as a file; who took it away is journalled, for exam questions are secret."""
    if kind not in ("xlsx", "gift"):
        raise NotFound
    row = rules.bank_of(bank_id)
    made = exporting.as_sheet(row) if kind == "xlsx" else exporting.as_gift(row)
    journal.write("question_bank", row.id, "exported", by=current_user.actor(), form=kind)
    return xlsx(made, "questions.xlsx") if kind == "xlsx" else _file(made, "text/plain; charset=utf-8", "questions.gift.txt")


def _file(made: bytes, kind: str, name: str) -> FlaskResponse:
    return FlaskResponse(made, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@banks.post("/office/banks/<uuid:bank_id>/approve")
@allow(ADMIN, EDITOR)
def approve(bank_id: UUID) -> Response:
    """Let in what was ticked, or as a job everything that waits and that somebody else brought."""
    row = rules.bank_of(bank_id)
    if "all" in request.form:
        job = rules.ask_approving(row, by=current_user.actor())
        return redirect(url_for("work.show", job_id=job.id), 303)
    done, own = rules.approve_these(chosen("question"), by=current_user.actor())
    flash(f"已通过{done}题。" + (f"有{own}题由您自己编写或导入,须由另一人审核。" if own else "") if done or own else "请先勾选待审的题目。")
    return redirect(url_for("banks.bank", bank_id=bank_id, state="pending"), 303)


@banks.get("/office/banks/duplicates")
@allow(ADMIN, EDITOR)
def duplicates() -> str:
    """Questions that are alike, in a bank or in several."""
    groups = rules.alike()
    rows = [row for group in groups for row in group]
    names = {one.id: one.name for one in db.session.scalars(select(QuestionBank))}
    return render_template(
        "banks/duplicates.html", groups=groups, versions=rules.versions_of(rows), names=names, state_of=rules.state_of, most=rules.ALIKE_SHOWN, **WORDS
    )


@banks.get("/office/banks/shared")
@allow(ADMIN, EDITOR)
def shared() -> str:
    """The banks that the platform shares, and which edition of them is here."""
    own = {one.shared_bank_id: one for one in db.session.scalars(select(QuestionBank).where(QuestionBank.shared_bank_id.is_not(None)))}
    return render_template("banks/shared.html", listed=sharing.listed(), own=own)


@banks.route("/office/banks/shared/<uuid:bank_id>", methods=["GET", "POST"])
@allow(ADMIN, EDITOR)
def take_over(bank_id: UUID) -> Response | str:
    """What taking over a shared bank would change, and taking it over."""
    row = sharing.bank_of(bank_id)
    if request.method == "POST":
        try:
            report = sharing.take_over(bank_id, by=current_user.actor())
        except Invalid as refusal:
            flash(refusal.sentence)
            return redirect(url_for("banks.take_over", bank_id=bank_id), 303)
        flash(f"已接收第{row.edition}版:新增{report.accepted}题,更新{report.changed}题,待另一人审核后使用。")
        return redirect(url_for("banks.shared"), 303)
    return render_template("banks/take_over.html", bank=row, own=sharing.own_of(bank_id), difference=sharing.difference(bank_id), shown=A_PAGE, **WORDS)


@banks.route("/office/banks/<uuid:bank_id>/new", methods=["GET", "POST"])
@allow(ADMIN, EDITOR)
def new(bank_id: UUID) -> Response | tuple[str, int] | str:
    """Write a question."""
    row, form = rules.bank_of(bank_id), QuestionForm(data={"subject": "professional", "difficulty": "medium", "purpose": "exam"} if request.method == "GET" else None)
    if "preview" not in request.form and form.validate_on_submit():
        try:
            made = rules.add(row, rules.cells_of_form(form.data), by=current_user.actor())
        except Invalid as refusal:
            form.refuse(_at(refusal))
        else:
            flash("已保存,待另一人审核后使用。")
            return redirect(url_for("banks.question", question_id=made.id), 303)
    shown = render_template("banks/edit.html", form=form, bank=row, question=None, preview=_preview(form), letters=LETTERS, locked=False, **WORDS)
    return (shown, 422) if request.method == "POST" and "preview" not in request.form else shown


@banks.route("/office/questions/<uuid:question_id>/edit", methods=["GET", "POST"])
@allow(ADMIN, EDITOR)
def edit(question_id: UUID) -> Response | tuple[str, int] | str:
    """Write other words for a question; a second person looks before they are used."""
    row = rules.question_of(question_id, lock=request.method == "POST")
    version = rules.versions_of([row])[row.id]
    form = QuestionForm(data=_form_of(row, version) if request.method == "GET" else None)
    if "preview" not in request.form and form.validate_on_submit():
        try:
            done = rules.revise(row, rules.cells_of_form(form.data), by=current_user.actor())
        except Invalid as refusal:
            form.refuse(_at(refusal))
        else:
            flash("已保存,待另一人审核后使用。" + (f"同组共{done}题一起修改。" if done > 1 else ""))
            return redirect(url_for("banks.question", question_id=row.id), 303)
    shown = render_template(
        "banks/edit.html", form=form, bank=rules.bank_of(row.bank_id), question=row, preview=_preview(form), letters=LETTERS, locked=row.group_id is not None, **WORDS
    )
    return (shown, 422) if request.method == "POST" and "preview" not in request.form else shown


def _at(refusal: Invalid) -> Invalid:
    return Invalid(refusal.sentence, "option_A") if refusal.field == "options" else refusal


def _form_of(row: Question, version: QuestionVersion) -> dict[str, Any]:
    about = {name: getattr(row, name) for name in rules.OF_QUESTION} | version.about
    options = {} if version.kind == "TF" else {f"option_{letter}": words for letter, words in version.options}
    answer = dict(version.options)[version.answer] if version.kind == "TF" else version.answer
    return about | options | {
        "kind": version.kind, "group": rules.label_of(row), "case_stem": version.case_stem, "stem": version.stem, "answer": answer,
        "explanation": version.explanation, "category": about["category"] or "",
    }  # fmt: skip


def _preview(form: QuestionForm) -> dict[str, Any] | None:
    """What the form's words would look like to a candidate; None where that was not asked for."""
    if "preview" not in request.form:
        return None
    given = form.data
    options = [("A", "正确"), ("B", "错误")] if given["kind"] == "TF" else [(one, given[f"option_{one}"]) for one in LETTERS if given[f"option_{one}"]]
    return {"kind": given["kind"] or "A1", "case": given["case_stem"], "stem": given["stem"] or "", "options": options, "explanation": given["explanation"]}


@banks.get("/office/questions/<uuid:question_id>")
@allow(ADMIN, EDITOR)
def question(question_id: UUID) -> str:
    """One question as the candidate sees it, with its key and the history of its versions."""
    row = rules.question_of(question_id)
    query = select(QuestionVersion).where(QuestionVersion.question_id == row.id).order_by(QuestionVersion.number.desc())
    versions = list(db.session.scalars(query))
    people = {one.made_by for one in versions} | {one.decided_by for one in versions}
    names = dict(db.session.execute(select(Account.id, Account.name).where(Account.id.in_([one for one in people if one]))).all())
    shown = next(one for one in versions if one.id == rules.newest(row))
    return render_template(
        "banks/question.html", question=row, shown=shown, versions=versions, names=names, bank=rules.bank_of(row.bank_id), label=rules.label_of(row),
        state=rules.state_of(row, shown), version_states=VERSION_STATES, mine=shown.made_by == current_user.id, group=_group(row), **WORDS,
    )  # fmt: skip


def _group(row: Question) -> list[Question]:
    """The questions of its group, in their order."""
    query = select(Question).where(Question.group_id == row.group_id).order_by(Question.group_position, Question.id)
    return list(db.session.scalars(query)) if row.group_id else []


@banks.post("/office/questions/<uuid:question_id>/decide")
@allow(ADMIN, EDITOR)
def decide(question_id: UUID) -> Response:
    """Let in what waits of a question and its group, or send it back with the reason."""
    row = rules.question_of(question_id)
    by, rows = current_user.actor(), rules.waiting([row.id])
    onward = redirect(url_for("banks.question", question_id=row.id), 303)
    if not rows:
        flash("没有待审的内容,可能已由他人审核。")
    elif "approve" in request.form:
        for version in rows:
            rules.approve(version, by=by)
        flash(f"已通过{f',同组共{len(rows)}题' if len(rows) > 1 else ''},开始使用。")
    else:
        reason = request.form.get("reason", "").strip()[:500]
        if not reason:
            flash("请填写退回原因。")
            return onward
        for version in rows:
            rules.turn_down(version, by=by, reason=reason)
        flash("已退回。原来的内容不变。")
    return onward


@banks.post("/office/questions/<uuid:question_id>/retire")
@allow(ADMIN, EDITOR)
def retire(question_id: UUID) -> Response:
    """Take a question out of use, or back into it; sittings that have it keep it."""
    row = rules.question_of(question_id, lock=True)
    rules.set_use(row, used=row.retired_at is not None, by=current_user.actor())
    flash("已停用,不再用于组卷和练习。" if row.retired_at else "已恢复使用。")
    return redirect(url_for("banks.question", question_id=row.id), 303)


@banks.post("/office/banks/pictures")
@allow(ADMIN, EDITOR)
@limiter.limit("240/hour")
def keep_picture() -> Response | str:
    """Keep a picture; the answer shows it with the words that put it into a question."""
    given = request.files.get("picture")
    try:
        name = picturing.keep(given.read(MAX_BYTES + 1) if given else b"", by=current_user.actor())
    except Refusal as refusal:
        return render_template("banks/picture.html", name=None, fault=refusal.sentence)
    return render_template("banks/picture.html", name=name, fault=None)


@banks.get("/office/banks/pictures")
@allow(ADMIN, EDITOR)
def pictures() -> str:
    """Where pictures are handed in."""
    return render_template("banks/picture.html", name=None, fault=None)


@banks.get("/pictures/<string:name>")
@allow(DOCTOR, ADMIN, EDITOR, AUDITOR)
def picture(name: str) -> FlaskResponse:
    """A picture in a question: its name, which nobody can guess, stands only in questions that one may see."""
    made, kind = picturing.picture(name)
    return FlaskResponse(made, mimetype=kind, headers={"Cache-Control": "private, max-age=31536000, immutable"})


