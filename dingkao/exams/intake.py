"""A file of questions as slow work: it waits sealed in the store, goes in, and the report says what became of each question."""

from typing import Any
from uuid import UUID

from dingkao.database.model import db, new_id
from dingkao.errors import Invalid
from dingkao.exams.importing import COLUMNS, OPTION_COLUMNS, import_questions, rows_of
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal.writing import Actor
from dingkao.outside import sheets
from dingkao.outside.sheets import Fault, Report, Row
from dingkao.outside.storage import store
from dingkao.people.accounts import actor_of

UPLOAD, REPORT = "upload", "report"
FAULTS_SHOWN = 200


def ask_import(content: bytes, name: str, *, bank: str, by: Actor) -> Job:
    """Put the file by and ask for it to be taken in. What can be seen at once (no file of ours, a column missing, nothing in it) is refused
    at once. Raises Invalid, TooLarge, Unavailable."""
    report = Report()
    if not rows_of(content, report) and not report.errors:
        raise Invalid("文件中没有试题,请按模板填写后重新上传。", "file")
    upload = new_id()
    store().put(UPLOAD, upload, content, "application/octet-stream", sealed=True)
    return asking.ask("import_questions", f"导入题目 {name[:60]}", {"upload": str(upload), "bank": bank}, by=by.id)


@performing.job("import_questions")
def take_in(job: Job, progress: performing.Progress) -> dict[str, Any]:
    """Take the file in, whole or not at all; the report goes sealed into the store, for questions are no less secret than names."""
    upload = UUID(job.arguments["upload"])
    content = store().get(UPLOAD, upload, sealed=True)
    report = import_questions(content, bank=job.arguments["bank"], by=actor_of(job.asked_by), progress=lambda done: progress(done, None))
    if report.errors or report.warnings:
        store().put(REPORT, job.id, report_sheet(content, report), "application/octet-stream", sealed=True)
    db.session.flush()
    store().remove(UPLOAD, upload)
    return {
        "accepted": report.accepted, "changed": report.changed, "unchanged": report.unchanged, "refused": len(report.errors),
        "report": bool(report.errors or report.warnings), "errors": [_told(fault) for fault in report.errors[:FAULTS_SHOWN]],
        "warnings": [_told(fault) for fault in report.warnings[:FAULTS_SHOWN]],
    }  # fmt: skip


def report_sheet(content: bytes, report: Report) -> bytes:
    """The faults as xlsx: where, why, what to do, and the question as it was, to be mended and handed in again."""
    names = [name for name in COLUMNS if name not in OPTION_COLUMNS[5:]]
    rows: dict[int, Row] = {}
    for row in rows_of(content, Report()):
        rows.setdefault(row.number, row)
    told = [("未导入", fault) for fault in report.errors] + [("提醒", fault) for fault in report.warnings]
    lines = [
        [fault.row, fault.column, kind, fault.reason, fault.remedy, *(rows[fault.row].text(name) if fault.row in rows else "" for name in names)]
        for kind, fault in told
    ]
    return sheets.write(["行", "列", "结果", "原因", "处理办法", *(COLUMNS[name][0] for name in names)], lines, "导入报告")


def _told(fault: Fault) -> dict[str, Any]:
    return {"row": fault.row, "column": fault.column, "reason": fault.reason, "remedy": fault.remedy}
