"""Jobs in the console: one's own (我的任务) and those of others that one may see, progress, pausing and
cancelling, results, asking again; how many have ended unseen."""

from collections.abc import Iterable
from functools import partial
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, jsonify, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import ColumnElement, exists
from werkzeug.wrappers import Response

from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.certificates import admission_tickets
from dingkao.database.arrays import in_array
from dingkao.database.pagination import fetch_page
from dingkao.errors import InvalidState, NotFound
from dingkao.integrations.storage import current_store
from dingkao.jobs import control
from dingkao.jobs.enqueueing import is_under_way
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.people import export_requests, import_checks, job_repeats, list_exports
from dingkao.people.models import Membership
from dingkao.people.name_lookups import account_name, account_names
from dingkao.people.permissions import roles_for
from dingkao.web.access_control import require, runs_unattended
from dingkao.web.file_streams import streamed_response
from dingkao.web.request_lifecycle import (
    auto_refreshing_page,
    limiter,
    xlsx_response,
)

jobs = console_blueprint("jobs")
STATE_LABELS = {
    "waiting": "等待处理",
    "running": "正在处理",
    "paused": "已暂停",
    "done": "已完成",
    "failed": "未完成",
    "cancelled": "已取消",
}
ACTION_MESSAGES = {
    "pause": "已请求暂停，当前一批办完后停下。已办理的都已保存。", "resume": "已继续，将从停下的地方接着办理。",
    "cancel": "已请求取消，当前一批办完后停下。",
}  # fmt: skip
COUNT_LABELS = {
    "accepted": "新增", "changed": "更新", "unchanged": "未变", "withdrawn": "撤下", "refused": "拒绝", "passed": "合格", "failed": "不合格", "issued": "已签发", "drawn": "已生成",
    "included": "已纳入", "reviewed": "已办理", "enrolled": "已建立考核记录", "concluded": "已评定", "judged": "已评定业务水平", "assigned": "已指定", "left_out": "未办理",
    "lifted": "已延长作答", "told": "已通知", "sittings": "已处理作答", "remarked": "成绩有变化", "waiting": "已发布待决定", "entered": "已登记", "confirmed": "已确认", "listed": "已列入名单",
    "compensated": "已补时", "sealed": "新加密",
}  # fmt: skip
COUNT_LABELS_OF_JOB = {
    "compare_register": {"accepted": "已比对", "unchanged": "一致", "refused": "未能比对"},
    "settle_differences": {"settled": "已登记去向"},
    "merge_organisation": {"moved": "已转入"},
    "hand_over": {"moved": "已交接"},
}
"""Name of a job → labels of its counts, where they mean something of their own."""
COUNT_UNITS = {"approve_bank": "题", "merge_organisation": "项", "hand_over": "项"}
"""Name of a job → what its numbers count, if these aren't people."""


@jobs.get("/office/work")
@require("jobs.own")
def list_jobs() -> FlaskResponse:
    """我的任务: the jobs that the current user enqueued, the newest first; with `all` also those that
    administrators may see of other administrators and of the system. Exports that wait for a second person
    come first. The page reloads itself while one of the jobs shown runs."""
    shows_all = "all" in request.args and current_user.may("jobs.see_all")
    query = control.visible_jobs(current_user.id, *(_visible_jobs_of_others() if shows_all else ()))
    page = fetch_page(query, [Job.id], request.args.get("after"), descending=True)
    html = render_template(
        "console/jobs/list.html",
        page=page,
        kept_days=list_exports.FILE_LIFETIME.days,
        words=STATE_LABELS,
        names=_asker_names(page.rows),
        waiting_exports=export_requests.list_own_waiting(current_user.id),
        shows_all=shows_all,
        files={job.id: name for job in page.rows if (name := _own_file_name(job))},
    )
    return auto_refreshing_page(html, waits=any(job.state == "running" for job in page.rows))


def _asker_names(listed_jobs: Iterable[Job]) -> dict[UUID, str]:
    """The names of those who asked for jobs, and of the current user, by account; jobs of the system have
    none."""
    asker_ids = {job.asked_by for job in listed_jobs if job.asked_by and job.asked_by != current_user.id}
    return account_names(asker_ids) | {current_user.id: current_user.account.name}


def _own_file_name(job: Job) -> str | None:
    """The name of the file that the current user can download from a job; None if there is none."""
    result = job.result or {}
    is_there = job.asked_by == current_user.id and not result.get("expired")
    return result.get(list_exports.FILE_KIND) if is_there else None


@jobs.get("/office/work/unseen")
@require("jobs.own")
@runs_unattended
def unseen_count() -> FlaskResponse:
    """How many of the current user's jobs have ended and weren't looked at, for the bell of open pages; at
    most one more than `control.MAX_UNSEEN`."""
    return jsonify(count=control.count_unseen(current_user.id))


@jobs.post("/office/work/seen")
@require("jobs.own")
def mark_all_seen() -> Response:
    """Note, in a transaction of its own, that the current user has seen how the own jobs that are over have
    ended; redirects to their list."""
    control.mark_seen(current_user.id)
    return redirect(url_for("jobs.list_jobs"), 303)


def _visible_jobs_of_others() -> list[ColumnElement[bool]]:
    """SQL conditions of which others' jobs of chunks must meet one for the current user to see them: of the
    system, or of somebody who may see all, too; none for a user who may see no others'."""
    if not current_user.may("jobs.see_all"):
        return []
    of_asker = (
        Membership.tenant_id == Job.tenant_id,
        Membership.account_id == Job.asked_by,
        in_array(Membership.role, roles_for("jobs.see_all")),
    )
    return [
        Job.asked_by.is_(None),
        exists().where(*of_asker).correlate(Job),
    ]


def _get_job(job_id: UUID, *, for_update: bool = False) -> Job:
    """A job that the current user may see. Raises NotFound."""
    return control.get_job(
        job_id,
        current_user.id,
        *_visible_jobs_of_others(),
        for_update=for_update,
    )


@jobs.get("/office/work/<uuid:job_id>")
@require("jobs.own")
def show_job(job_id: UUID) -> FlaskResponse:
    """One job, for the user who enqueued it and for administrators. The page reloads itself while the job
    runs, with or without scripts. Only the user who enqueued it sees names and files, and has seen by opening
    the page how the job ended, which is noted in a transaction of its own. Raises NotFound."""
    job = _get_job(job_id)
    if job.is_over and job.seen_at is None and job.asked_by == current_user.id:
        control.mark_seen(current_user.id, job.id)
    export_request = export_requests.request_of_job(job)
    html = render_template(
        "console/jobs/job.html",
        job=job,
        kept_days=list_exports.FILE_LIFETIME.days,
        export_request=export_request,
        file_name=_own_file_name(job),
        may_repeat=job_repeats.may_repeat(job, by=current_user.as_actor()),
        words=STATE_LABELS,
        unit=COUNT_UNITS.get(job.name, "人"),
        numbers=_labelled_numbers(job),
        result=job.result or {},
        own=job.asked_by == current_user.id,
        asker=account_name(job.asked_by) or "系统",
        acts=control.available_actions(job),
        confirmable=import_checks.is_confirmable(job),
        valid_days=import_checks.CHECK_VALID_DAYS,
    )
    return auto_refreshing_page(html, waits=is_under_way(job))


def _labelled_numbers(job: Job) -> list[tuple[str, int]]:
    """The job's counts, each with its label."""
    result = job.result or {}
    labels = COUNT_LABELS_OF_JOB.get(job.name, COUNT_LABELS)
    return [(label, result[name]) for name, label in labels.items() if name in result]


@jobs.post("/office/work/<uuid:job_id>/confirm")
@require("jobs.own")
def confirm_import(job_id: UUID) -> Response:
    """Import, with a job, the file that this job of the current user has checked (again: the same job); if
    there is nothing to confirm, the check's page says so. Raises NotFound, Forbidden for who may not import
    such files any more."""
    check = control.get_job(job_id, current_user.id, for_update=True)
    try:
        job = import_checks.confirm_import(check, by=current_user.as_actor())
    except InvalidState as refusal:
        flash(refusal.message, "refusal")
        job = check
    return redirect(url_for("jobs.show_job", job_id=job.id), 303)


@jobs.post("/office/work/<uuid:job_id>/<act>")
@require("jobs.own")
def control_job(job_id: UUID, act: str) -> Response:
    """Pause, resume or cancel a job of chunks that the user may see (`act`: one of JOB_ACTIONS), which is
    entered in the journal; if its state forbids it, the job's page says so. Raises NotFound."""
    if act not in control.JOB_ACTIONS:
        raise NotFound
    job = _get_job(job_id, for_update=True)
    try:
        is_new_request = control.request_action(job, act)
    except InvalidState as refusal:
        flash(refusal.message, "refusal")
    else:
        if is_new_request:
            _log_action(job, act)
        flash(ACTION_MESSAGES[act])
    return redirect(url_for("jobs.show_job", job_id=job_id), 303)


def _log_action(job: Job, act: str) -> None:
    """Enter in the journal that the action was requested."""
    journal.write_entry(
        "job",
        job.id,
        f"{act}_asked",
        by=current_user.as_actor(),
        name=job.name,
    )


@jobs.post("/office/work/<uuid:job_id>/repeat")
@require("jobs.own")
@limiter.limit("60/hour")
def repeat_job(job_id: UUID) -> Response:
    """重新执行: ask again for a job of one's own that is over, and show the new one, or the unfinished one if
    that was done already; journalled. Raises NotFound, Forbidden, InvalidState, and what asking for such a
    job raises."""
    job = control.get_job(job_id, current_user.id, for_update=True)
    repeated = job_repeats.repeat_job(job, by=current_user.as_actor())
    return redirect(url_for("jobs.show_job", job_id=repeated.id), 303)


@jobs.get("/office/work/<uuid:job_id>/report.xlsx")
@require("jobs.own")
def job_report(job_id: UUID) -> FlaskResponse:
    """The report of a job as xlsx, for the user who enqueued it. Raises NotFound, Unavailable."""
    job = control.get_job(job_id, current_user.id)
    if not (job.result or {}).get("report"):
        raise NotFound("这项任务没有可下载的报告。")
    return xlsx_response(current_store().get("report", job.id), "report.xlsx")


@jobs.get("/office/work/<uuid:job_id>/sheet.xlsx")
@require("jobs.own")
def job_file(job_id: UUID) -> FlaskResponse:
    """The file that a job has built, in pieces, for the user who enqueued it; downloading a list of people is
    journalled, in a transaction of its own. Raises NotFound, also for an expired file, Forbidden for who may
    not have the list any more, Unavailable."""
    job = control.get_job(job_id, current_user.id)
    name = list_exports.require_file(job)
    export_requests.log_download(job, by=current_user.as_actor())
    return streamed_response(
        name,
        partial(list_exports.load_file_piece, job),
        list_exports.piece_count(job),
        (job.result or {}).get("bytes"),
    )


@jobs.get("/office/work/<uuid:job_id>/document-<int:number>.pdf")
@require("jobs.own")
def numbered_job_document(job_id: UUID, number: int) -> FlaskResponse:
    """PDF number `number` (from 1) of the tickets that a job has rendered, for the user who enqueued it.
    Raises NotFound, Unavailable."""
    job = control.get_job(job_id, current_user.id)
    if not 1 <= number <= (job.result or {}).get("documents", 0):
        raise NotFound("这项任务没有可下载的文件。")
    return _pdf_response(
        current_store().get(
            admission_tickets.BATCH_PDF_KIND,
            admission_tickets.batch_pdf_id(job.id, number),
        ),
        f"tickets-{number}.pdf",
    )


@jobs.get("/office/work/<uuid:job_id>/document.pdf")
@require("jobs.own")
def job_document(job_id: UUID) -> FlaskResponse:
    """The PDF that a job has rendered, for the user who enqueued it. Raises NotFound, Unavailable."""
    job = control.get_job(job_id, current_user.id)
    if not (job.result or {}).get("document"):
        raise NotFound("这项任务没有可下载的文件。")
    return _pdf_response(current_store().get("document", job.id), "document.pdf")


def _pdf_response(content: bytes, name: str) -> FlaskResponse:
    return FlaskResponse(
        content,
        mimetype="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
