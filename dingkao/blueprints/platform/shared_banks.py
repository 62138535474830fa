"""The question banks shared with every province, for operators: updated from a file, exported."""

from functools import partial
from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask_wtf.file import FileField
from werkzeug.wrappers import Response
from wtforms import BooleanField, StringField

from dingkao.blueprints.platform.access import (
    current_operator,
    platform,
)
from dingkao.errors import InvalidInput, Refusal, TooLarge
from dingkao.integrations.sandbox.runner import LimitExceeded
from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.integrations.spreadsheets.table_opening import MAX_IMPORT_FILE_BYTES
from dingkao.operators import act_log
from dingkao.question_banks import shared_bank_updates, shared_banks
from dingkao.web.access_control import require
from dingkao.web.form_submission import (
    form_page_with_errors,
    submit_form,
)
from dingkao.web.forms import Form, Required
from dingkao.web.request_lifecycle import limiter, xlsx_response

MAX_LOGGED_NAME_LENGTH = 100


class SharedBankForm(Form):
    """A file of questions for a shared bank. `whole`: it has all questions of the bank; others are
    retired."""

    bank = StringField("共享题库名称", [Required("请填写共享题库名称。")])
    file = FileField(
        "文件（xlsx、xls、ods、csv、docx或GIFT）",
        [Required("请选择文件。")],
    )
    whole = BooleanField("这是全部题目，文件中没有的题目撤下")


@platform.route("/banks", methods=["GET", "POST"])
@require("platform.operate")
@limiter.limit("60/hour", methods=["POST"])
def manage_shared_banks() -> tuple[str, int] | str:
    """The list of shared banks, and the form that updates one from a file, at once, and then shows the
    report; a refusal is shown in the form."""
    form = SharedBankForm()
    report = submit_form(form, partial(_update_bank, form))
    page = render_template(
        "platform/shared_banks.html",
        listed=shared_banks.list_shared_banks(),
        form=form,
        report=report,
        most=shared_banks.MAX_QUESTIONS_IN_REQUEST,
    )
    return form_page_with_errors(page, form)


def _update_bank(form: SharedBankForm) -> ImportReport:
    """Update the bank from the form's file, which is committed at once, log that, and return the report.
    Raises InvalidInput, whatever refused it, also for too many questions, naming the field, which is `file`
    for refusals that name none."""
    try:
        report = _update_from_file(form)
    except LimitExceeded as excess:  # the platform has no jobs, which belong to provinces
        raise InvalidInput(shared_bank_updates.USE_TERMINAL_MESSAGE, "file") from excess
    except Refusal as refusal:
        field = getattr(refusal, "field", None) or "file"
        raise InvalidInput(refusal.message, field) from refusal
    _record_act("shared_bank_brought", form.bank.data or "")
    return report


def _update_from_file(form: SharedBankForm) -> ImportReport:
    """Update the bank from the form's file; what is written is committed there. Raises InvalidInput,
    TooLarge, Unavailable, LimitExceeded."""
    upload = form.file.data
    return shared_bank_updates.update_from_file(
        upload.read(MAX_IMPORT_FILE_BYTES + 1),
        form.bank.data or "",
        whole=form.whole.data,
        file_name=upload.filename or "",
        limit=shared_banks.MAX_QUESTIONS_IN_REQUEST,
    )


@platform.post("/banks/<uuid:bank_id>/export")
@require("platform.operate")
def export_bank(bank_id: UUID) -> Response:
    """Download a shared bank as xlsx, which is logged; one that is too large redirects back with a message.
    Raises NotFound."""
    bank = shared_banks.get_shared_bank(bank_id)
    try:
        content = shared_banks.shared_bank_xlsx(bank, shared_banks.MAX_QUESTIONS_IN_REQUEST)
    except TooLarge as refusal:
        flash(refusal.message, "refusal")
        return redirect(url_for("platform.manage_shared_banks"), 303)
    _record_act("shared_bank_exported", bank.name)
    return xlsx_response(content, "shared-bank.xlsx")


def _record_act(verb: str, bank_name: str) -> None:
    """Log an act of the current operator, in a transaction of its own; of the bank's name the first
    MAX_LOGGED_NAME_LENGTH characters."""
    act_log.record_act(
        current_operator().operator,
        verb,
        details=bank_name[:MAX_LOGGED_NAME_LENGTH],
    )
