"""The pages before and after the steps: user notice [S5], check before submission, submission, withdrawal,
contact data, the submitted filing."""

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.doctor.filing.blueprint import (
    filing,
    filing_dossier,
    filing_url,
    require_cycle,
)
from dingkao.cycles.cycles import is_phase_open
from dingkao.errors import InvalidInput
from dingkao.filings import (
    completeness,
    filing_documents,
    filing_submission,
    presentation,
    saving,
)
from dingkao.filings.assistance_marks import confirmation_of
from dingkao.filings.dossier import Dossier, filing_last_day
from dingkao.filings.fields import STEPS
from dingkao.filings.return_marks import return_marks_of
from dingkao.filings.user_notice import (
    confirm_notice,
    has_confirmed_notice,
)
from dingkao.people.organisations import find_organisation
from dingkao.requests.availability import unavailable_reason
from dingkao.tenants import settings
from dingkao.web.access_control import require

NEXT_STEP_TEXTS = {
    "institution_pending": "接下来由主要执业机构审核，再由考核机构复核。结果会显示在主页和消息中，请留意。",
    "organisation_pending": (
        "主要执业机构已审核通过，正在等待考核机构复核。填报内容有错的，可以申请修改，由考核机构决定。"
    ),
    "organisation_returned": (
        "材料正由主要执业机构重新核对，您暂时无需操作。如有错误，请联系本机构退回后修改。"
    ),
    "ready": (
        "信息已通过审核，不能直接修改。填报内容有错的，可以申请修改，由机构和考核机构先后决定；"
        "考核程序不能再改。"
    ),
    "deferred": (
        "延考已备案，所填信息现在不能修改，延考时间请留意消息。印在通知书上的内容有误的，可以申请更正。"
    ),
}
LOCKED_MESSAGE = (
    "测评开始后，所填信息不能修改。印在通知书上的内容有误的，可以申请更正，须由两位经办人先后审核。"
)


@filing.route("/filing/notice", methods=["GET", "POST"])
@require("filing.edit")
def user_notice() -> Response | str:
    """The user notice [S5]; 「确定」 records that it was read, with a journal entry and once for each text,
    and leads to the home page. Raises NotFound before the first cycle."""
    cycle = require_cycle()
    doctor = current_user.doctor()
    if request.method == "POST":
        confirm_notice(doctor, cycle, by=current_user.as_actor())
        return redirect(url_for("home.home_page"), 303)
    return render_template(
        "doctor/filing/user_notice.html",
        text=settings.value("user_notice"),
        cycle=cycle,
        read=has_confirmed_notice(doctor, cycle),
    )


@filing.get("/filing")
@require("filing.edit")
def start() -> Response | str:
    """Redirect to where the doctor's own filing continues: the notice, the first incomplete step, the check,
    or the page of a filing that can't be changed. Raises NotFound."""
    dossier = filing_dossier()
    if not dossier.is_editable():
        return redirect(url_for("filing.show_filing"))
    if not has_confirmed_notice(dossier.doctor, dossier.cycle):
        return redirect(url_for("filing.user_notice"))
    if dossier.filing is None:
        return redirect(url_for("filing.step", number=1))
    items = completeness.missing_items(dossier)
    if items:
        return redirect(url_for("filing.step", number=items[0].step))
    return redirect(url_for("filing.review_before_submit"))


@filing.get("/filing/check")
@require("filing.edit")
def review_before_submit() -> Response | str:
    """The whole filing with full numbers, what is missing, and the button that submits it; a filing that
    can't be changed leads to its page. Raises NotFound, InvalidState."""
    dossier = filing_dossier()
    if not dossier.is_editable():
        return redirect(filing_url("show_filing"))
    return render_template(
        "doctor/filing/review_before_submit.html",
        dossier=dossier,
        sections=presentation.display_sections(dossier, revealed=True),
        lacks=completeness.missing_items(dossier),
        steps=STEPS,
        proofs=filing_documents.unattached_proofs(dossier.record),
        last_day=filing_last_day(dossier.cycle),
        returned=return_marks_of(dossier),
        confirmation=confirmation_of(dossier.filing),
    )


@filing.post("/filing/submit")
@require("filing.submit")
def submit() -> Response:
    """Submit the filing to the institution; removed entries can't be restored any more. Submitting twice has
    the effect of once; if something is missing, back to the check with a message. Raises NotFound,
    InvalidState, DeadlinePassed."""
    dossier = filing_dossier(for_update=True)
    if dossier.record.state == "institution_pending":
        return redirect(url_for("filing.show_filing"), 303)
    try:
        filing_submission.submit(dossier, by=current_user.as_actor())
    except InvalidInput as refusal:
        flash(refusal.message, "refusal")
        return redirect(url_for("filing.review_before_submit"), 303)
    return redirect(url_for("filing.show_filing"), 303)


@filing.post("/filing/withdraw")
@require("filing.withdraw")
def withdraw() -> Response:
    """Withdraw the submitted filing, which is possible until a reviewer has opened it or the filing phase is
    over; one that is withdrawn already stays so. Raises NotFound, InvalidState, DeadlinePassed."""
    dossier = filing_dossier(for_update=True)
    if dossier.record.state != "draft":
        filing_submission.withdraw(dossier, by=current_user.as_actor())
    flash("已撤回。修改后请重新提交，否则机构无法审核。")
    return redirect(url_for("filing.start"), 303)


@filing.route("/filing/contact", methods=["GET", "POST"])
@require("filing.edit")
def contact() -> Response | tuple[str, int] | str:
    """The contact data, which may be changed at any time without review, once something was filed; before,
    this leads to the filing. Errors are shown in the form. Raises NotFound."""
    dossier = filing_dossier(for_update=request.method == "POST")
    if dossier.filing is None:
        return redirect(url_for("filing.start"), 303)
    if request.method == "POST":
        return _save_contact(dossier)
    stored_values = dossier.filing.basic
    values = {field.name: stored_values.get(field.name) for field in saving.contact_fields_of(dossier)}
    return _render_contact(dossier, values, {})


def _save_contact(dossier: Dossier) -> Response | tuple[str, int]:
    """Save the contact data and redirect, or render the page with errors; then nothing is saved."""
    errors = saving.save_contact(
        dossier,
        dict(request.form.lists()),
        by=current_user.as_actor(),
    )
    if not errors:
        flash("已保存。联系方式的修改不需要审核。")
        return redirect(url_for("filing.show_filing"), 303)
    typed_values = {
        field.name: request.form.get(field.name, "") for field in saving.contact_fields_of(dossier)
    }
    return _render_contact(dossier, typed_values, errors), InvalidInput.status


def _render_contact(dossier: Dossier, values: dict[str, Any], errors: dict[str, str]) -> str:
    """The form of the contact data; `values` and `errors` by field name."""
    return render_template(
        "doctor/filing/contact.html",
        fields=saving.contact_fields_of(dossier),
        kept=values,
        faults=errors,
    )


@filing.get("/filing/view")
@require("filing.edit")
def show_filing() -> Response | str:
    """The doctor's filing that can't be changed now, with full numbers, and what happens next or whom to
    contact; one that can be changed leads to where it continues. Raises NotFound."""
    dossier = filing_dossier()
    if dossier.is_editable():
        return redirect(url_for("filing.start"))
    record = dossier.record
    is_pending = record.state == "institution_pending"
    return render_template(
        "doctor/filing/filing.html",
        dossier=dossier,
        sections=presentation.display_sections(dossier, revealed=True),
        pending=is_pending,
        institution=find_organisation(record.institution_id),
        unopened=is_pending and record.opened_at is None,
        enrolling=is_phase_open(dossier.cycle, "filing"),
        afterwards=NEXT_STEP_TEXTS.get(record.state, LOCKED_MESSAGE),
        proofs=filing_documents.unattached_proofs(record),
        confirmation=confirmation_of(dossier.filing),
        may_change=unavailable_reason(dossier, "change") is None,
    )
