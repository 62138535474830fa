"""Slow work in the console: how far a job is, and what came of it."""

from uuid import UUID

from flask import Response as FlaskResponse
from flask import render_template
from flask_login import current_user

from dingkao.blueprints.access import STAFF, allow
from dingkao.blueprints.console import of_office
from dingkao.blueprints.web import waiting_page, xlsx
from dingkao.errors import NotFound
from dingkao.jobs.asking import job_of
from dingkao.outside.storage import store

work = of_office("work")
WORDS = {"waiting": "等待处理", "running": "正在处理", "done": "已完成", "failed": "未完成"}
COUNTS = {
    "accepted": "新增", "changed": "更新", "unchanged": "未变", "refused": "拒绝", "passed": "合格", "failed": "不合格", "issued": "已签发", "drawn": "已生成",
    "included": "已纳入", "concluded": "已评定", "assigned": "已指定", "left_out": "未办理",
    "sittings": "已处理作答", "remarked": "成绩有变化", "waiting": "已发布待决定", "entered": "已登记",
}  # fmt: skip


@work.get("/office/work/<uuid:job_id>")
@allow(STAFF)
def show(job_id: UUID) -> FlaskResponse:
    """One job, for whoever asked for it; the page looks again by itself while it runs, scripts or none."""
    row = job_of(job_id, current_user.id)
    numbers = [(label, row.result[name]) for name, label in COUNTS.items() if row.result and name in row.result]
    shown = render_template("work/show.html", job=row, words=WORDS, numbers=numbers, result=row.result or {})
    return waiting_page(shown, waits=row.state in ("waiting", "running"))


@work.get("/office/work/<uuid:job_id>/report.xlsx")
@allow(STAFF)
def report(job_id: UUID) -> FlaskResponse:
    """The report of a job, row by row."""
    row = job_of(job_id, current_user.id)
    if not (row.result or {}).get("report"):
        raise NotFound("这项任务没有可下载的报告。")
    return xlsx(store().get("report", row.id, sealed=True), "report.xlsx")


@work.get("/office/work/<uuid:job_id>/document.pdf")
@allow(STAFF)
def document(job_id: UUID) -> FlaskResponse:
    """The paper a job has drawn, for whoever asked for it."""
    row = job_of(job_id, current_user.id)
    if not (row.result or {}).get("document"):
        raise NotFound("这项任务没有可下载的文件。")
    content = store().get("document", row.id, sealed=True)
    return FlaskResponse(content, mimetype="application/pdf", headers={"Content-Disposition": 'attachment; filename="document.pdf"'})
