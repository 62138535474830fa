"""How doctors come in: a roster as slow work (the file waits sealed in the store, the rows go in, the report says what became of
each), or one by a form."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao.assessments.enrolment import enrol
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db, new_id
from dingkao.doctors.adding import add_doctor
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import COLUMNS, NEEDED, import_roster
from dingkao.errors import Invalid
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal.writing import Actor
from dingkao.outside import sheets
from dingkao.outside.sheets import Fault, Report
from dingkao.outside.storage import store
from dingkao.people.accounts import actor_of
from dingkao.people.models import Organisation

UPLOAD, REPORT = "upload", "report"
FAULTS_SHOWN = 200


def ask_roster(content: bytes, name: str, *, only: Organisation | None, by: Actor) -> Job:
    """Put the file by and ask for it to be taken in. What can be seen at once (no sheet, a column missing, nothing in it) is refused
    at once. Raises Invalid, TooLarge, Unavailable."""
    if next(iter(sheets.read(content, COLUMNS, NEEDED)), None) is None:
        raise Invalid("文件中没有数据行,请在表头下面填写医师后重新上传。", "file")
    upload = new_id()
    store().put(UPLOAD, upload, content, "application/octet-stream", sealed=True)
    arguments = {"upload": str(upload), "only": str(only.id) if only else None}
    return asking.ask("import_roster", f"导入名单 {name[:60]}", arguments, by=by.id)


def add_one(typed: Mapping[str, str], *, by: Actor, only: Collection[UUID] | None) -> tuple[Doctor, list[str]]:
    """One doctor by a form (see `doctors.adding`), with a record in the current cycle. Raises Invalid naming the field."""
    doctor, odd = add_doctor(typed, by=by, only=only)
    cycle = current_cycle()
    if cycle:
        enrol(cycle, doctor)
    return doctor, odd


@performing.job("import_roster")
def take_in(job: Job, progress: performing.Progress) -> dict[str, Any]:
    """Take the roster in, whole or not at all; the report of refused rows, with what stood in them, goes sealed into the store."""
    upload = UUID(job.arguments["upload"])
    content = store().get(UPLOAD, upload, sealed=True)
    only = None
    if job.arguments["only"]:
        only = db.session.scalars(select(Organisation).where(Organisation.id == UUID(job.arguments["only"]))).one()
    report = import_roster(content, by=actor_of(job.asked_by), only=only, progress=lambda done: progress(done, None))
    cycle = current_cycle()
    if cycle:
        enrol(cycle)
    if report.errors:
        store().put(REPORT, job.id, report_sheet(content, report), "application/octet-stream", sealed=True)
    db.session.flush()
    store().remove(UPLOAD, upload)
    return {
        "accepted": report.accepted, "changed": report.changed, "unchanged": report.unchanged, "refused": len(report.errors),
        "report": bool(report.errors), "errors": [_told(fault) for fault in report.errors[:FAULTS_SHOWN]],
        "warnings": [_told(fault) for fault in report.warnings[:FAULTS_SHOWN]],
    }  # fmt: skip


def report_sheet(content: bytes, report: Report) -> bytes:
    """The refused rows as xlsx: where, why, what to do, and the row as it was, to be mended and handed in again."""
    faults: dict[int, list[Fault]] = {}
    for fault in report.errors:
        faults.setdefault(fault.row, []).append(fault)
    names = list(COLUMNS)
    rows = [
        [fault.row, fault.column, fault.reason, fault.remedy, *(row.text(name) for name in names)]
        for row in sheets.read(content, COLUMNS, NEEDED) for fault in faults.get(row.number, [])
        if fault.column in {row.where(COLUMNS[name][0]) for name in names}
    ]  # fmt: skip
    return sheets.write(["行", "列", "原因", "处理办法", *(COLUMNS[name][0] for name in names)], rows, "未导入的行")


def _told(fault: Fault) -> dict[str, Any]:
    return {"row": fault.row, "column": fault.column, "reason": fault.reason, "remedy": fault.remedy}
