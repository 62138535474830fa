"""Shared banks of the platform: the list, comparison with the province's own copy, and copying."""

from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.blueprints.console.question_banks.blueprint import (
    LABELS,
    question_banks,
)
from dingkao.database.base import db
from dingkao.errors import Refusal
from dingkao.jobs import enqueueing
from dingkao.jobs.models import Job
from dingkao.question_banks import (
    shared_bank_comparison,
    shared_bank_copies,
    shared_banks,
)
from dingkao.question_banks.shared_banks import SharedBankInfo
from dingkao.web.access_control import require
from dingkao.web.request_lifecycle import auto_refreshing_page


@question_banks.get("/office/banks/shared")
@require("questions.edit")
def list_shared() -> str:
    """The banks that the platform shares, and which edition of each the province has."""
    return render_template(
        "console/question_banks/shared_banks.html",
        listed=shared_banks.list_shared_banks(),
        own=shared_bank_copies.province_copies(),
    )


@question_banks.route("/office/banks/shared/<uuid:bank_id>", methods=["GET", "POST"])
@require("questions.copy_shared")
def copy_shared(bank_id: UUID) -> Response | FlaskResponse:
    """What copying a shared bank would change, and copying it. A large one is compared and copied by jobs;
    while it is being compared the page reloads itself. A refused copy leads back with the reason. Raises
    NotFound."""
    bank = shared_banks.get_shared_bank(bank_id)
    if request.method == "POST":
        return _copy_or_refuse(bank)
    jobs = _comparison_jobs(bank)
    is_waiting = enqueueing.is_under_way(jobs["job"])
    page = render_template(
        "console/question_banks/copy_shared.html",
        bank=bank,
        own=shared_bank_copies.find_province_copy(bank_id),
        difference=shared_bank_comparison.compare_banks(bank),
        large=bank.is_large,
        waits=is_waiting,
        **jobs,
        most=shared_bank_comparison.MAX_SHOWN,
        **LABELS,
    )
    return auto_refreshing_page(page, waits=is_waiting)


def _comparison_jobs(bank: SharedBankInfo) -> dict[str, Job | None]:
    """The latest job that compares a large bank, and the latest completed one; None for a small bank."""
    if not bank.is_large:
        return {"job": None, "counted": None}
    name = shared_bank_comparison.COMPARE_JOB
    return {
        "job": enqueueing.latest_job_about(bank.id, name),
        "counted": enqueueing.latest_job_about(bank.id, name, done=True),
    }


def _copy_or_refuse(bank: SharedBankInfo) -> Response:
    """Copy a shared bank (`_copy_or_enqueue`), or redirect back with a message why not."""
    try:
        return _copy_or_enqueue(bank)
    except Refusal as refusal:
        flash(refusal.message, "refusal")
        return redirect(
            url_for("question_banks.copy_shared", bank_id=bank.id),
            303,
        )


def _copy_or_enqueue(bank: SharedBankInfo) -> Response:
    """Copy a shared bank, a large one with a job, and redirect to the shared banks or to the job; what is new
    waits for a second person, what the platform has withdrawn goes out of use at once. Raises InvalidInput,
    InvalidState."""
    if bank.is_large:
        job = shared_bank_copies.enqueue_copy(bank, by=current_user.as_actor())
        flash("题目较多，已转为后台任务；接收的题目待另一人审核后使用。")
        return redirect(url_for("jobs.show_job", job_id=job.id), 303)
    with db.session.begin_nested():
        report = shared_bank_copies.copy_to_province(bank, by=current_user.as_actor())
    counts = f"新增{report.accepted}题，更新{report.changed}题"
    flash(f"已接收第{bank.edition}版：{counts}，待另一人审核后使用。")
    return redirect(url_for("question_banks.list_shared"), 303)


@question_banks.post("/office/banks/shared/<uuid:bank_id>/compare")
@require("questions.edit")
def compare_shared(bank_id: UUID) -> Response:
    """Enqueue the comparison of a large shared bank with the province's copy. Raises NotFound."""
    bank = shared_banks.get_shared_bank(bank_id)
    shared_bank_comparison.enqueue_comparison(bank, by=current_user.as_actor())
    return redirect(url_for("question_banks.copy_shared", bank_id=bank_id), 303)
