"""Single questions: written, revised, shown with their history, approved or returned, retired."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import StringField

from dingkao.blueprints.console.navigation import (
    current_user_recusal_reason,
)
from dingkao.blueprints.console.question_banks.blueprint import (
    LABELS,
    question_banks,
)
from dingkao.doctors.code_lists import CATEGORIES
from dingkao.errors import InvalidInput
from dingkao.people.name_lookups import account_names
from dingkao.question_banks import (
    question_approval,
    question_editing,
    question_search,
    question_versions,
)
from dingkao.question_banks.models import (
    DIFFICULTIES,
    QUESTION_PURPOSES,
    SUBJECTS,
    VERSION_STATES,
    Question,
    QuestionBank,
    QuestionVersion,
)
from dingkao.question_banks.question_types import (
    OPTION_LETTERS,
    QUESTION_TYPES,
    SINGLE_CHOICE,
    TRUE_FALSE,
    SharedContent,
    is_true_false,
    joined_codes,
    types_sharing,
)
from dingkao.web.access_control import require
from dingkao.web.form_submission import form_page, submit_form
from dingkao.web.forms import Choice, Form, Required, TextArea

_CASE_TYPES = types_sharing(SharedContent.CASE)
_OPTIONS_TYPES = types_sharing(SharedContent.OPTIONS)
_TYPE_CHOICES = [(code, question_type.choice_label) for code, question_type in QUESTION_TYPES.items()]
NEW_QUESTION_VALUES = {
    "subject": "professional",
    "difficulty": "medium",
    "purpose": "exam",
}
MAX_REASON_LENGTH = 500
SAVED_MESSAGE = "已保存，待另一人审核后使用。"


class QuestionForm(Form):
    """A question; its options are fields added below, option_A and so on."""

    kind = Choice("题型", [Required("请选择题型。")], choices=_TYPE_CHOICES)
    group = StringField(f"组号（{joined_codes(_CASE_TYPES + _OPTIONS_TYPES)}同组的题填写相同的组号）")
    case_stem = TextArea(f"共用题干（{joined_codes(_CASE_TYPES)}）")
    stem = TextArea("题干", [Required("请填写题干。")])
    answer = StringField(
        "答案",
        [Required("请填写正确选项的字母；判断题填“正确”或“错误”。")],
    )
    explanation = TextArea("解析")
    subject = Choice("科目", [Required("请选择科目。")], choices=SUBJECTS.items())
    category = Choice("执业类别（公共知识可不选）", choices=CATEGORIES.items())
    topic = StringField("考点")
    difficulty = Choice(
        "难度",
        [Required("请选择难度。")],
        choices=DIFFICULTIES.items(),
    )
    purpose = Choice(
        "用途",
        [Required("请选择用途。")],
        choices=QUESTION_PURPOSES.items(),
    )


for _letter in OPTION_LETTERS:
    setattr(QuestionForm, f"option_{_letter}", TextArea(f"选项{_letter}"))


@question_banks.route("/office/banks/<uuid:bank_id>/new", methods=["GET", "POST"])
@require("questions.edit")
def new_question(bank_id: UUID) -> Response | tuple[str, int] | str:
    """Write a question, which a second person must approve; the preview button shows it without saving, a
    refusal is shown in the form. Raises NotFound."""
    bank = question_search.get_bank(bank_id)
    form = QuestionForm(data=NEW_QUESTION_VALUES if request.method == "GET" else None)
    response = _submit(form, partial(_create_from_form, form, bank))
    return response if response is not None else _render_form(form, bank, None)


def _create_from_form(form: QuestionForm, bank: QuestionBank) -> Response:
    """Create the question of the form and redirect to it. Raises InvalidInput."""
    cells = question_editing.cells_from_form(form.data)
    question = question_editing.create_question(bank, cells, by=current_user.as_actor())
    flash(SAVED_MESSAGE)
    return _redirect_to(question)


@question_banks.route(
    "/office/questions/<uuid:question_id>/edit",
    methods=["GET", "POST"],
)
@require("questions.edit")
def edit_question(
    question_id: UUID,
) -> Response | tuple[str, int] | str:
    """Propose other texts for a question, which starts from its newest version; a second person must approve
    them before they are used. The preview button shows them without saving, a refusal is shown in the form.
    Raises NotFound."""
    question = question_search.get_question(question_id, for_update=request.method == "POST")
    newest = question_versions.newest_versions([question])[question.id]
    form = QuestionForm(data=_form_values(question, newest) if request.method == "GET" else None)
    response = _submit(form, partial(_revise_by_form, form, question))
    if response is not None:
        return response
    return _render_form(form, question_search.get_bank(question.bank_id), question)


def _revise_by_form(form: QuestionForm, question: Question) -> Response:
    """Propose the texts of the form for the question (locked), what a group shares for all of it, and
    redirect to it. Raises InvalidInput."""
    cells = question_editing.cells_from_form(form.data)
    revised_count = question_editing.propose_revision(question, cells, by=current_user.as_actor())
    flash(SAVED_MESSAGE + (f"同组共{revised_count}题一起修改。" if revised_count > 1 else ""))
    return _redirect_to(question)


def _submit(form: QuestionForm, act: Callable[[], Response]) -> Response | None:
    """Submit the form with `act` and return its response; None, with nothing done, if it wasn't sent, was
    sent for a preview, or was refused."""
    return None if _is_preview() else submit_form(form, partial(_with_errors_at_fields, act))


def _with_errors_at_fields(act: Callable[[], Response]) -> Response:
    """Call `act`; a refusal for the field `options` is raised for the first option's field instead."""
    try:
        return act()
    except InvalidInput as refusal:
        if refusal.field != "options":
            raise
        raise InvalidInput(refusal.message, "option_A") from refusal


def _redirect_to(question: Question) -> Response:
    return redirect(
        url_for("question_banks.question", question_id=question.id),
        303,
    )


def _is_preview() -> bool:
    """Whether the form was sent for a preview only."""
    return "preview" in request.form


def _render_form(form: QuestionForm, bank: QuestionBank, question: Question | None) -> tuple[str, int] | str:
    """The form of a new question, or of `question`; with status 422 if it was refused."""
    page = render_template(
        "console/question_banks/edit_question.html",
        form=form,
        bank=bank,
        question=question,
        preview=_preview(form),
        letters=OPTION_LETTERS,
        locked=question is not None and question.group_id is not None,
        **LABELS,
    )
    return page if _is_preview() else form_page(page)


def _form_values(question: Question, version: QuestionVersion) -> dict[str, Any]:
    """The initial values of a question's form."""
    values = question_editing.values_about(question, version)
    question_type = QUESTION_TYPES[version.kind]
    if not question_type.is_true_false:
        values |= {f"option_{letter}": text for letter, text in version.options}
    return values | {
        "kind": version.kind,
        "group": question_search.group_label(question),
        "case_stem": version.case_stem,
        "stem": version.stem,
        "answer": question_type.answer_text(version.answer, version.options),
        "explanation": version.explanation,
        "category": values["category"] or "",
    }


def _preview(form: QuestionForm) -> dict[str, Any] | None:
    """The form's texts as a candidate would see them; None unless a preview was requested."""
    if not _is_preview():
        return None
    values = form.data
    return {
        "kind": values["kind"] or SINGLE_CHOICE.code,
        "case": values["case_stem"],
        "stem": values["stem"] or "",
        "options": _options_of(values),
        "explanation": values["explanation"],
    }


def _options_of(values: dict[str, Any]) -> list[tuple[str, str]]:
    """The typed options as pairs of letter and text; a true/false question has its fixed ones."""
    if is_true_false(values["kind"]):
        return list(TRUE_FALSE.own_options)
    texts = ((letter, values[f"option_{letter}"]) for letter in OPTION_LETTERS)
    return [(letter, text) for letter, text in texts if text]


@question_banks.get("/office/questions/<uuid:question_id>")
@require("questions.edit")
def question(question_id: UUID) -> str:
    """A question as the candidate sees it, with its answer key and the history of its versions. Raises
    NotFound."""
    question = question_search.get_question(question_id)
    versions = question_versions.list_versions(question.id)
    newest_id = question_versions.newest_version_id(question)
    newest = next(version for version in versions if version.id == newest_id)
    people = (person for version in versions for person in (version.made_by, version.decided_by))
    return render_template(
        "console/question_banks/question.html",
        question=question,
        shown=newest,
        versions=versions,
        names=account_names(people),
        bank=question_search.get_bank(question.bank_id),
        label=question_search.group_label(question),
        state=question_search.question_state(question, newest),
        version_states=VERSION_STATES,
        mine=newest.made_by == current_user.id,
        recused=current_user_recusal_reason(newest.made_by),
        group=question_search.group_members(question),
        max_reason_length=MAX_REASON_LENGTH,
        **LABELS,
    )


@question_banks.post("/office/questions/<uuid:question_id>/decide")
@require("questions.approve")
def decide_question(question_id: UUID) -> Response:
    """Approve the pending versions (locked) of a question and its group (`approve` in the form), or return
    them with a reason, as their author may, too; that none waits, or the reason lacks, is said on the
    question's page. Raises NotFound, Forbidden, InvalidState."""
    question = question_search.get_question(question_id)
    versions = question_approval.list_pending_versions_for_update([question.id])
    if not versions:
        flash("没有待审的内容，可能已由他人审核。")
    elif "approve" in request.form:
        _approve_versions(versions)
    else:
        _reject_versions(
            versions,
            request.form.get("reason", "").strip()[:MAX_REASON_LENGTH],
        )
    return _redirect_to(question)


def _approve_versions(versions: list[QuestionVersion]) -> None:
    """Approve all of these versions (locked; those of a whole group) and say so. Raises Forbidden,
    InvalidState, NotFound."""
    for version in versions:
        question_approval.approve_version(version, by=current_user.as_actor())
    flash(f"已通过{f'，同组共{len(versions)}题' if len(versions) > 1 else ''}，开始使用。")


def _reject_versions(versions: list[QuestionVersion], reason: str) -> None:
    """Return versions (locked) with the reason and say so; without a reason only say that it is missing.
    Raises Forbidden, InvalidState, NotFound."""
    if not reason:
        flash("请填写退回原因。", "refusal")
        return
    for version in versions:
        question_approval.reject_version(version, by=current_user.as_actor(), reason=reason)
    flash("已退回。原来的内容不变。")


@question_banks.post("/office/questions/<uuid:question_id>/retire")
@require("questions.edit")
def retire_question(question_id: UUID) -> Response:
    """Retire a question, or use a retired one again; sittings that have it keep it. Raises NotFound,
    InvalidState if it was never approved, or a paper could not be filled any more."""
    question = question_search.get_question(question_id, for_update=True)
    question_approval.set_in_use(
        question,
        used=question.retired_at is not None,
        by=current_user.as_actor(),
    )
    flash("已停用，不再用于组卷和练习。" if question.retired_at else "已恢复使用。")
    return _redirect_to(question)
