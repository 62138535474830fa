"""Admission tickets as paper (准考证): drawn for one doctor, or as a batch for a slot or an institution; what they show is read when they are drawn."""

import base64
import hashlib
import io
import json
from typing import Any
from uuid import UUID

import pikepdf
import segno
from PIL import Image
from sqlalchemy import and_, select

from dingkao import clock
from dingkao.assessments.models import PROCEDURES, Assessment
from dingkao.certificates import seals
from dingkao.cycles.models import Cycle
from dingkao.database.model import db
from dingkao.doctors.codes import CATEGORIES, LEVELS, SEXES
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotAllowed, NotFound
from dingkao.exams.halls import Admission, admissions
from dingkao.exams.models import SUBJECTS, AdmissionTicket, Slot, SlotPlace
from dingkao.exams.papers import papers_for
from dingkao.exams.tickets import ticket_of
from dingkao.filings.dossier import filing_of, photo_of
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal import writing as journal
from dingkao.journal.writing import Actor
from dingkao.outside import paper
from dingkao.outside.storage import store
from dingkao.people.models import Organisation
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import by_code

PDF, PNG, DOCUMENT = "ticket-pdf", "ticket-png", "document"
ONE, MANY = "draw_ticket", "draw_tickets"
SITTERS = ("ready", "testing")
AT_ONCE, MOST = 25, 1000
PHOTO_SIZE = (354, 496)


def content_of(record: Assessment, ticket: AdmissionTicket) -> dict[str, Any]:
    """What the ticket of a record shows now, but for the photo itself; the number of the document masked."""
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    cycle = db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))
    institution = db.session.get_one(Organisation, (record.tenant_id, record.institution_id))
    province, filing = by_code(current_tenant()), filing_of(record)
    rows = papers_for(record)
    admitted = admissions(record, rows)
    return {
        "number": ticket.number, "name": doctor.name, "sex": SEXES.get(doctor.sex or "", ""), "id_number": doctor.number_masked,
        "category": CATEGORIES[doctor.category], "level": LEVELS[doctor.level], "procedure": PROCEDURES.get(record.procedure or "", ""),
        "institution": institution.name, "issuer": province.commission if province else "", "cycle": cycle.label,
        "photo": str(filing.photo_id) if filing and filing.photo_id else None, "papers": [_line(admitted[one.id]) for one in rows],
        "notice": settings.value("ticket_notice"),
    }  # fmt: skip


def _line(admission: Admission) -> dict[str, str]:
    opens, closes = clock.beijing(admission.opens_at), clock.beijing(admission.closes_at)
    until = f"{closes:%H:%M}" if opens.date() == closes.date() else f"{closes:%Y年%m月%d日 %H:%M}"
    extra = f"(含延长{admission.extra}分钟)" if admission.extra else ""
    return {
        "subject": SUBJECTS[admission.paper.subject], "minutes": f"{admission.minutes}分钟{extra}", "time": f"{opens:%Y年%m月%d日 %H:%M} 至 {until}",
        "hall": admission.hall.name if admission.hall else "不设考场,网上作答", "address": admission.hall.address if admission.hall else "",
        "seat": f"{admission.seat}号" if admission.seat and admission.hall else "—",
    }  # fmt: skip


def digest(content: dict[str, Any]) -> bytes:
    """By which a drawn ticket is known to show what it would show now."""
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).digest()


def current(record: Assessment, ticket: AdmissionTicket) -> bool:
    """Whether the ticket that is kept shows what holds now."""
    return ticket.drawn_as == digest(content_of(record, ticket))


def draw(records: list[tuple[Assessment, AdmissionTicket]]) -> bytes:
    """The tickets of records as one PDF, a page each. Raises Unavailable."""
    shown = []
    for record, ticket in records:
        content = content_of(record, ticket)
        shown.append(content | {"picture": _photo(record), "qr": segno.make_qr(ticket.number, error="m").svg_data_uri(scale=4, border=1)})
    return paper.pdf("ticket", tickets=shown, sample=seals.seal().sample)


def _photo(record: Assessment) -> str | None:
    """The photo at the size in which it is printed, in the page itself."""
    filing = filing_of(record)
    try:
        content = photo_of(filing) if filing else None
    except NotFound:
        return None
    if content is None:
        return None
    written = io.BytesIO()
    with Image.open(io.BytesIO(content)) as picture:
        picture.thumbnail(PHOTO_SIZE)
        picture.convert("RGB").save(written, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(written.getvalue()).decode()


# --- one, for its doctor


def ask_one(record: Assessment, ticket: AdmissionTicket, *, by: Actor) -> None:
    """Ask for a doctor's own ticket to be drawn, unless that is under way. Raises NotAllowed where no test is to come."""
    if record.state not in SITTERS:
        raise NotAllowed("您当前不在待测评状态,不需要准考证。")
    if not drawing(by):
        asking.ask(ONE, "生成准考证", {"ticket": str(ticket.id)}, by=by.id)


def drawing(by: Actor) -> bool:
    """Whether a ticket is being drawn for its doctor."""
    last = _last(by)
    return last is not None and last.state in ("waiting", "running")


def failed(by: Actor) -> str | None:
    """Why the last drawing came to nothing, where it did."""
    last = _last(by)
    return last.sentence if last is not None and last.state == "failed" else None


def _last(by: Actor) -> Job | None:
    return db.session.scalar(select(Job).where(Job.asked_by == by.id, Job.name == ONE).order_by(Job.id.desc()).limit(1))


@performing.job(ONE)
def draw_one(job: Job, _progress: performing.Progress) -> None:
    """Draw one ticket and keep it, sealed, as PDF and as the picture that WeChat shows; repeatable."""
    ticket = db.session.scalars(select(AdmissionTicket).where(AdmissionTicket.id == UUID(job.arguments["ticket"])).with_for_update()).one()
    record = db.session.get_one(Assessment, (ticket.tenant_id, ticket.assessment_id))
    shown, page = digest(content_of(record, ticket)), draw([(record, ticket)])
    store().put(PDF, ticket.id, page, "application/pdf", sealed=True)
    store().put(PNG, ticket.id, paper.png(page), "image/png", sealed=True)
    ticket.drawn_as = shown


# --- many, for clerks


def ask_slot(slot: Slot, *, by: Actor) -> Job:
    """Ask for the tickets of everyone with a place in a slot, by seat."""
    journal.write("slot", slot.id, "tickets_asked", by=by)
    return asking.ask(MANY, "打印准考证", {"slot": str(slot.id)}, by=by.id)


def ask_institution(institution: Organisation, assessor: UUID | None, cycle: Cycle, *, by: Actor) -> Job:
    """Ask for the tickets of an institution's doctors in a cycle (of those `assessor` assesses, where one is given), by name. Raises Invalid."""
    arguments = {"institution": str(institution.id), "cycle": str(cycle.id), "assessor": str(assessor) if assessor else ""}
    if not _wanted(arguments):
        raise Invalid(f"{institution.name}没有待测评的医师,暂无准考证可打印。", "institution")
    journal.write("organisation", institution.id, "tickets_asked", by=by)
    return asking.ask(MANY, f"打印准考证:{institution.name}", arguments, by=by.id)


@performing.job(MANY)
def draw_many(job: Job, progress: performing.Progress) -> dict[str, Any]:
    """Draw a batch into one PDF, kept sealed for whoever asked; repeatable. Raises NotAllowed for more than a thousand (domain.md §12)."""
    ids = _wanted(job.arguments)
    if len(ids) > MOST:
        raise NotAllowed(f"一次最多打印{MOST}人的准考证,请分机构或分场次打印。")
    merged = pikepdf.new()
    left_out = 0
    for start in range(0, len(ids), AT_ONCE):
        found = []
        for record_id in ids[start : start + AT_ONCE]:
            record = db.session.get_one(Assessment, (current_tenant(), record_id))
            ticket = ticket_of(record)
            if ticket is None:
                left_out += 1
            else:
                found.append((record, ticket))
        if found:
            with pikepdf.open(io.BytesIO(draw(found))) as part:
                merged.pages.extend(part.pages)
        progress(min(start + AT_ONCE, len(ids)), len(ids))
    if not len(merged.pages):
        raise NotAllowed("没有可以打印的准考证。")
    written = io.BytesIO()
    merged.save(written)
    store().put(DOCUMENT, job.id, written.getvalue(), "application/pdf", sealed=True)
    return {"drawn": len(ids) - left_out, "left_out": left_out, "document": True}


def _wanted(arguments: dict[str, Any]) -> list[UUID]:
    """The records a batch is for, in the order in which its pages lie."""
    if "slot" in arguments:
        query = select(SlotPlace.assessment_id).where(SlotPlace.slot_id == UUID(arguments["slot"])).order_by(SlotPlace.seat)
    else:
        joined = select(Assessment.id).join(Doctor, and_(Doctor.tenant_id == Assessment.tenant_id, Doctor.id == Assessment.doctor_id))
        query = joined.where(
            Assessment.institution_id == UUID(arguments["institution"]), Assessment.cycle_id == UUID(arguments["cycle"]), Assessment.state.in_(SITTERS)
        ).order_by(Doctor.name_key, Assessment.id)  # fmt: skip
        if arguments["assessor"]:
            query = query.where(Assessment.assessor_id == UUID(arguments["assessor"]))
    return list(db.session.scalars(query.limit(MOST + 1)))
