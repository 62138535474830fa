"""Question banks: the list, import from files, search, export, and approving pending questions."""

from functools import partial
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from flask_wtf.file import FileField
from werkzeug.wrappers import Response
from wtforms import StringField

from dingkao.blueprints.console.question_banks.blueprint import (
    LABELS,
    question_banks,
)
from dingkao.database.pagination import fetch_page
from dingkao.doctors.code_lists import CATEGORIES
from dingkao.errors import InvalidInput, NotFound, Refusal
from dingkao.integrations.spreadsheets.table_opening import MAX_IMPORT_FILE_BYTES
from dingkao.integrations.spreadsheets.xlsx_writer import write_xlsx
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.question_banks import (
    bank_counts,
    bank_exports,
    import_jobs,
    question_approval,
    question_search,
    question_versions,
    similarity,
)
from dingkao.question_banks.importers import word_documents
from dingkao.question_banks.importing.columns import TEMPLATE
from dingkao.question_banks.models import (
    Question,
    QuestionBank,
    QuestionVersion,
)
from dingkao.web.access_control import require
from dingkao.web.form_submission import submit_form
from dingkao.web.forms import Choice, Form, Required, ticked_ids
from dingkao.web.request_lifecycle import (
    limiter,
    text_response,
    xlsx_response,
)

OWN_QUESTION_REASON = "由您编写或导入，须由另一人审核"
PAGE_SIZE = 30
MAX_FILTER_LENGTH = 200
FILTERS = (
    "q",
    "kind",
    "subject",
    "topic",
    "difficulty",
    "purpose",
    "state",
)
DOCX_MIMETYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
LARGE_EXPORTS = {
    "xlsx": bank_exports.XLSX_EXPORT,
    "gift": bank_exports.GIFT_EXPORT,
}


class BankForm(Form):
    """A file of questions for a bank. `category`: for professional questions of the file that name none."""

    bank = StringField("题库名称", [Required("请填写题库名称，如本省题库。")])
    file = FileField(
        "文件（xlsx、xls、ods、csv、docx或GIFT）",
        [Required("请选择文件。")],
    )
    category = Choice(
        "没有写执业类别的业务水平题目，属于（文件中都已写明的不用选）",
        choices=CATEGORIES.items(),
        default="",
    )


@question_banks.get("/office/banks")
@require("questions.edit")
def list_banks() -> str:
    """The list of banks, and the form to import a file."""
    return _render_banks(BankForm(formdata=None))


@question_banks.post("/office/banks/import")
@require("questions.edit")
@limiter.limit("60/hour")
def import_questions() -> Response | tuple[str, int]:
    """Import a file of questions with a job, or check it first; a refusal is shown in the form."""
    form = BankForm()
    job = submit_form(form, partial(_enqueue_import, form))
    if job is not None:
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    return _render_banks(form), 422


def _enqueue_import(form: BankForm) -> Job:
    """Enqueue the import (or the check) of the form's file. Raises InvalidInput, whatever refused it, naming
    the field, which is `file` for refusals that name none."""
    try:
        return import_jobs.enqueue_import(
            form.file.data.read(MAX_IMPORT_FILE_BYTES + 1),
            form.file.data.filename or "",
            bank_name=form.bank.data or "",
            category=form.category.data or None,
            dry_run="check" in request.form,
            by=current_user.as_actor(),
        )
    except Refusal as refusal:
        field = getattr(refusal, "field", None) or "file"
        raise InvalidInput(refusal.message, field) from refusal


def _render_banks(form: BankForm) -> str:
    """The list of banks with their numbers of questions, and the form to import a file."""
    return render_template(
        "console/question_banks/list.html",
        banks=question_search.list_banks(),
        counted=bank_counts.count_banks(),
        form=form,
        **LABELS,
    )


@question_banks.get("/office/banks/template.xlsx")
@require("questions.edit")
def template_xlsx() -> FlaskResponse:
    """Our template as a spreadsheet, with a column for each option."""
    return xlsx_response(
        write_xlsx(list(TEMPLATE), [], "试题"),
        "questions-template.xlsx",
    )


@question_banks.get("/office/banks/template.docx")
@require("questions.edit")
def template_docx() -> FlaskResponse:
    """Our template as a Word document, with an example of each question type."""
    headers = {"Content-Disposition": 'attachment; filename="questions-template.docx"'}
    return FlaskResponse(
        word_documents.word_template(),
        content_type=DOCX_MIMETYPE,
        headers=headers,
    )


@question_banks.get("/office/banks/<uuid:bank_id>")
@require("questions.edit")
def bank(bank_id: UUID) -> str:
    """A page of the questions of a bank, filtered by words, type, subject, topic, difficulty, purpose and
    state, each with its newest version. Raises NotFound."""
    bank = question_search.get_bank(bank_id)
    filters = {name: request.args.get(name, "")[:MAX_FILTER_LENGTH] for name in FILTERS}
    query = question_search.search_query(bank_id, filters)
    page = fetch_page(query, [Question.id], request.args.get("after"), PAGE_SIZE)
    versions = question_versions.newest_versions(page.rows)
    return render_template(
        "console/question_banks/bank.html",
        bank=bank,
        page=page,
        versions=versions,
        asked=filters,
        topics=question_search.list_topics(bank_id),
        state_of=question_search.question_state,
        counted=bank_counts.count_banks().get(bank_id),
        uncategorised_count=bank_counts.uncategorised_count(bank_id),
        mine=_refusal_reasons(versions, current_user.as_actor()),
        lists_pending=filters["state"] == "pending",
        filtered=any(filters.values()),
        **LABELS,
    )


def _refusal_reasons(versions: dict[UUID, QuestionVersion], actor: Actor) -> dict[UUID, str]:
    """Question id → why `actor` may not approve its version; questions that `actor` may approve are left
    out."""
    reasons = {version.question_id: _refusal_reason(version, actor) for version in versions.values()}
    return {question_id: reason for question_id, reason in reasons.items() if reason}


def _refusal_reason(version: QuestionVersion, actor: Actor) -> str | None:
    """Why `actor` may not approve the version; None if `actor` may."""
    if version.made_by == actor.id:
        return OWN_QUESTION_REASON
    return question_approval.approval_refusal_reason(version, actor)


@question_banks.post("/office/banks/<uuid:bank_id>/export/<string:kind>")
@require("questions.export")
@limiter.limit("60/hour")
def export_bank(bank_id: UUID, kind: str) -> FlaskResponse | Response:
    """The bank, without retired questions, as a file (`kind`: «xlsx» or «gift»), or for a large bank the job
    that builds it. Who exported it is entered in the journal, because exam questions are secret. Raises
    NotFound."""
    if kind not in LARGE_EXPORTS:
        raise NotFound
    bank = question_search.get_bank(bank_id)
    journal.write_entry(
        "question_bank",
        bank.id,
        "exported",
        by=current_user.as_actor(),
        form=kind,
    )
    large_export = LARGE_EXPORTS[kind]
    if not large_export.is_short(bank.id):
        job = large_export.enqueue(
            bank.id,
            f"导出题库（{bank.name[:60]}）",
            by=current_user.id,
        )
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    return _export_response(bank, kind)


def _export_response(bank: QuestionBank, kind: str) -> FlaskResponse:
    """The bank's file, without retired questions, as a download; `kind`: «xlsx» or «gift»."""
    if kind == "xlsx":
        return xlsx_response(bank_exports.bank_xlsx(bank), "questions.xlsx")
    return text_response(bank_exports.bank_gift(bank), "questions.gift.txt")


@question_banks.post("/office/banks/<uuid:bank_id>/approve")
@require("questions.approve")
def approve_questions(bank_id: UUID) -> Response:
    """Approve the ticked questions, of whichever bank, with their groups, or with a job all pending ones of
    the bank that the user may approve; how many were skipped because the user may not is said above the list.
    Raises NotFound, Forbidden, InvalidState."""
    bank = question_search.get_bank(bank_id)
    if "all" in request.form:
        job = question_approval.enqueue_approval(bank, by=current_user.as_actor())
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    question_ids = ticked_ids("question")
    approved, skipped = question_approval.approve_questions(question_ids, by=current_user.as_actor())
    if approved or skipped:
        flash(_approval_message(approved, skipped))
    else:
        flash("请先勾选待审的题目。", "refusal")
    return redirect(
        url_for("question_banks.bank", bank_id=bank_id, state="pending"),
        303,
    )


def _approval_message(approved: int, skipped: int) -> str:
    """How many questions were approved, and how many the user may not approve, as text."""
    message = f"已通过{approved}题。"
    if skipped:
        message += f"有{skipped}题由您自己或与您有任命关系的人编写、导入，须由另一人审核。"
    return message


@question_banks.get("/office/banks/duplicates")
@require("questions.edit")
def duplicates() -> str:
    """Groups of similar questions, within a bank or across banks; MAX_SIMILAR_SHOWN at the most."""
    groups = similarity.list_similar_groups()
    questions = [question for group in groups for question in group]
    return render_template(
        "console/question_banks/similar_questions.html",
        groups=groups,
        versions=question_versions.newest_versions(questions),
        names=question_search.bank_names(),
        state_of=question_search.question_state,
        most=similarity.MAX_SIMILAR_SHOWN,
        **LABELS,
    )
