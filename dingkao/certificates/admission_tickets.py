"""Admission tickets (准考证) as PDF: one for its doctor, or a batch for a slot or an institution. They show
the data at the time of drawing."""

import base64
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID, uuid5

import pikepdf
import segno
from PIL import Image
from sqlalchemy import Select, func, literal, select, tuple_

from dingkao import clock
from dingkao.assessments.enrolment import doctor_join
from dingkao.assessments.models import PROCEDURES, TEST_STATES, Assessment
from dingkao.certificates import official_seals
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.code_lists import CATEGORIES, LEVELS, SEXES
from dingkao.doctors.models import Doctor
from dingkao.errors import InvalidInput, InvalidState, NotFound
from dingkao.exams.admission import Admission, admissions_of
from dingkao.exams.models.hall_models import Slot, SlotPlace
from dingkao.exams.models.paper_models import AdmissionTicket
from dingkao.exams.papers import papers_for
from dingkao.exams.tickets import find_ticket
from dingkao.filings.dossier import filing_of
from dingkao.filings.filing_documents import photo_content
from dingkao.integrations import job_parts
from dingkao.integrations.pdf import rendering
from dingkao.integrations.storage import current_store
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from dingkao.question_banks.models import SUBJECTS
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant
from dingkao.tenants.registry import by_code
from dingkao.tenants.settings import Setting

PDF_KIND = "ticket-pdf"
PNG_KIND = "ticket-png"
BATCH_PDF_KIND = "document"
SINGLE_JOB, BATCH_JOB = "draw_ticket", "draw_tickets"
BATCH_SIZE, PARTS_PER_PDF = 25, 20
PAGES_SERIES = "pages"
PHOTO_SIZE = (354, 496)
settings.register(
    "ticket_notice",
    Setting(
        "准考证上的考生须知",
        (
            "一、请核对准考证上的姓名、证件号码、照片和考试安排，有误的请在考试前联系本机构。"
            "\n"
            "二、请携带本准考证和有效身份证件原件，在场次开始前30分钟到达考场；网上作答的，"
            "请提前检查手机电量和网络。\n"
            "三、进入考试须输入姓名和准考证号；有监考人员在场的，还须输入监考人员公布的开考码。"
            "\n"
            "四、请独立完成作答，不得由他人代替，不得拍摄或传播试题。违反考核纪律的，"
            "按有关规定处理。"
        ),
        kind="long",
        group="考试",
        order=70,
    ),
)


def ticket_content(record: Assessment, ticket: AdmissionTicket) -> dict[str, Any]:
    """Returns what a record's ticket shows now, name → text as its template uses it. `photo` is the photo's
    id as text (or None), `papers` a list of dicts of texts (see `_paper_line`), `id_number` is masked."""
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    cycle = db.session.get_one(Cycle, (record.tenant_id, record.cycle_id))
    institution = db.session.get_one(Organisation, (record.tenant_id, record.institution_id))
    province, filing = by_code(current_tenant()), filing_of(record)
    papers = papers_for(record)
    admitted = admissions_of(record, papers)
    return {
        "number": ticket.number,
        "name": doctor.name,
        "sex": SEXES.get(doctor.sex or "", ""),
        "id_number": doctor.number_masked,
        "category": CATEGORIES[doctor.category],
        "level": LEVELS[doctor.level],
        "procedure": PROCEDURES.get(record.procedure or "", ""),
        "institution": institution.name,
        "issuer": province.commission if province else "",
        "cycle": cycle.label,
        "photo": str(filing.photo_id) if filing and filing.photo_id else None,
        "papers": [_paper_line(admitted[paper.id]) for paper in papers],
        "notice": settings.value("ticket_notice"),
    }


def _paper_line(admission: Admission) -> dict[str, str]:
    """Returns the texts of one paper on the ticket: subject, minutes, time, hall, address, seat."""
    extra = f"（含延长{admission.extra_minutes}分钟）" if admission.extra_minutes else ""
    return {
        "subject": SUBJECTS[admission.paper.subject],
        "minutes": f"{admission.minutes}分钟{extra}",
        "time": _window_text(admission),
        **_hall_lines(admission),
    }


def _window_text(admission: Admission) -> str:
    """Returns «beginning 至 end» in Beijing time; the end is without its date if that is the date of the
    beginning."""
    opens = clock.to_beijing(admission.opens_at)
    closes = clock.to_beijing(admission.closes_at)
    end_text = f"{closes:%H:%M}" if opens.date() == closes.date() else f"{closes:%Y年%m月%d日 %H:%M}"
    return f"{opens:%Y年%m月%d日 %H:%M} 至 {end_text}"


def _hall_lines(admission: Admission) -> dict[str, str]:
    """Returns the texts of hall, address and seat; without a hall, that the exam is online."""
    if admission.hall is None:
        return {
            "hall": "不设考场，网上作答",
            "address": "",
            "seat": "—",
        }
    return {
        "hall": admission.hall.name,
        "address": admission.hall.address,
        "seat": f"{admission.seat}号" if admission.seat else "—",
    }


def content_digest(content: dict[str, Any]) -> bytes:
    """Returns the SHA-256 digest of a ticket's content. A stored ticket whose digest differs shows outdated
    data and is drawn again."""
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).digest()


def render_tickets(
    records: list[tuple[Assessment, AdmissionTicket]],
) -> bytes:
    """Returns the tickets of records as one PDF, a page each. Raises Unavailable, and NotFound if the file of
    the province's seal is missing; an altered photo or seal can't be decrypted (`storage`)."""
    return rendering.render_pdf(
        "admission_ticket",
        tickets=[_page_content(record, ticket) for record, ticket in records],
        sample=official_seals.current_seal().is_sample,
    )


def _page_content(record: Assessment, ticket: AdmissionTicket) -> dict[str, Any]:
    """Returns `ticket_content` with what the page also needs: the photo (None if there is none) and the
    number's QR code, as data URIs. Raises Unavailable; an altered photo can't be decrypted (`storage`)."""
    photo = _photo_of(record)
    return ticket_content(record, ticket) | {
        "picture": _data_uri(photo) if photo is not None else None,
        "qr": segno.make_qr(ticket.number, error="m").svg_data_uri(scale=4, border=1),
    }


def _photo_of(record: Assessment) -> bytes | None:
    """Returns the filed photo of a record; None if there is none or its file is missing. Raises Unavailable;
    an altered one can't be decrypted (`storage`)."""
    filing = filing_of(record)
    try:
        return photo_content(filing) if filing else None
    except NotFound:
        return None


def _data_uri(photo: bytes) -> str:
    """Returns the photo as a data URI: a JPEG reduced to the size in which it is printed."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as picture:
        picture.thumbnail(PHOTO_SIZE)
        picture.convert("RGB").save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


# --- one, for its doctor


def enqueue_ticket(record: Assessment, ticket: AdmissionTicket, *, by: Actor) -> None:
    """Enqueue the drawing of a doctor's own ticket, unless that is under way; an earlier drawing is replaced.
    `by`: the doctor. Raises InvalidState if the record isn't waiting for or sitting its test."""
    if record.state not in TEST_STATES:
        raise InvalidState("您当前不在待测评状态，不需要准考证。")
    if not is_rendering(by):
        enqueueing.enqueue(
            SINGLE_JOB,
            "生成准考证",
            {"ticket": str(ticket.id)},
            by=by.id,
        )


def is_rendering(by: Actor) -> bool:
    """Whether the latest drawing of a ticket that this doctor asked for waits or runs."""
    last = _last_job(by)
    return last is not None and last.state in ("waiting", "running")


def last_failure(by: Actor) -> str | None:
    """Returns the reason (Chinese) if the latest drawing that this doctor asked for failed, else None."""
    last = _last_job(by)
    return last.sentence if last is not None and last.state == "failed" else None


def _last_job(by: Actor) -> Job | None:
    """Returns the latest job by which this doctor asked for a ticket, or None."""
    return db.session.scalar(
        select(Job).where(Job.asked_by == by.id, Job.name == SINGLE_JOB).order_by(Job.id.desc()).limit(1)
    )


@worker.register_job(SINGLE_JOB)
def render_ticket_job(job: Job, _progress: worker.ProgressCallback) -> None:
    """Draw one ticket and store it, encrypted, as PDF and as PNG (WeChat shows only pictures); the ticket is
    locked meanwhile. Idempotent. Raises what `render_tickets` raises."""
    ticket = db.session.scalars(
        select(AdmissionTicket).where(AdmissionTicket.id == UUID(job.arguments["ticket"])).with_for_update()
    ).one()
    record = db.session.get_one(Assessment, (ticket.tenant_id, ticket.assessment_id))
    digest = content_digest(ticket_content(record, ticket))
    page = render_tickets([(record, ticket)])
    current_store().put(PDF_KIND, ticket.id, page)
    current_store().put(PNG_KIND, ticket.id, rendering.first_page_png(page))
    ticket.rendered_digest = digest


# --- many, for clerks


def enqueue_slot_tickets(slot: Slot, *, by: Actor) -> Job:
    """Enqueue the tickets of everyone who has a place in a slot, in whatever state, ordered by seat; who has
    no ticket yet is left out. Writes the journal. The job fails if there is none."""
    journal.write_entry("slot", slot.id, "tickets_asked", by=by)
    return enqueueing.enqueue(BATCH_JOB, "打印准考证", {"slot": str(slot.id)}, by=by.id)


def enqueue_institution_tickets(
    institution: Organisation,
    assessor: UUID | None,
    cycle: Cycle,
    *,
    by: Actor,
) -> Job:
    """Enqueue the tickets of an institution's doctors who wait for or sit their test in a cycle, ordered by
    name; only those whose assessment organisation is `assessor`, if it is given. Writes the journal. Raises
    InvalidInput if there are no such doctors."""
    arguments = {
        "institution": str(institution.id),
        "cycle": str(cycle.id),
        "assessor": str(assessor) if assessor else "",
    }
    if not db.session.execute(_batch_records_query(arguments).limit(1)).first():
        raise InvalidInput(
            f"{institution.name}没有待测评的医师，暂无准考证可打印。",
            "institution",
        )
    journal.write_entry("organisation", institution.id, "tickets_asked", by=by)
    return enqueueing.enqueue(
        BATCH_JOB,
        f"打印准考证：{institution.name}",
        arguments,
        by=by.id,
    )


def _on_cancel(_job: Job, cursor: Cursor) -> Cursor | None:
    """Returns the cursor that deletes the drawn parts. Complete documents stay."""
    return {"forget": cursor["parts"]} if cursor.get("parts") else None


@worker.register_chunked_job(BATCH_JOB, undo=_on_cancel)
def render_batch(job: Job, cursor: Cursor) -> Chunk:
    """Draw the next tickets of a batch and store them as a part. After the last one, merge the parts into
    documents that a printer takes at once (PARTS_PER_PDF), stored encrypted for whoever asked; then delete
    the parts. Raises InvalidState if there is no ticket to draw, and what `render_tickets` raises."""
    if "forget" in cursor:
        job_parts.delete_parts(job.id, PAGES_SERIES, range(cursor["forget"]))
        return Chunk(None)
    if "documents" in cursor:
        return _merge_parts(job, cursor)
    return _render_part(job, cursor)


def _render_part(job: Job, cursor: Cursor) -> Chunk:
    """Draw the next BATCH_SIZE tickets as one part. Raises InvalidState if the batch ends without any ticket,
    and what `render_tickets` raises."""
    query = _batch_records_query(job.arguments)
    batch_rows = db.session.execute(
        _after_cursor(query, job.arguments, cursor.get("after")).limit(BATCH_SIZE)
    ).all()
    records_with_ticket = _records_with_ticket(batch_row[0] for batch_row in batch_rows)
    part_count = cursor.get("parts", 0)
    if records_with_ticket:
        page = render_tickets(records_with_ticket)
        job_parts.save_part(job.id, PAGES_SERIES, part_count, [page])
        part_count += 1
    return Chunk(
        _cursor_after(batch_rows, part_count),
        done=len(batch_rows),
        total=None if cursor else _count_rows(query),
        counts={
            "drawn": len(records_with_ticket),
            "left_out": len(batch_rows) - len(records_with_ticket),
        },
    )


def _records_with_ticket(
    record_ids: Iterable[UUID],
) -> list[tuple[Assessment, AdmissionTicket]]:
    """Returns the records that have a ticket, each with it."""
    records = (db.session.get_one(Assessment, (current_tenant(), record_id)) for record_id in record_ids)
    return [(record, ticket) for record in records if (ticket := find_ticket(record))]


def _cursor_after(batch_rows: Sequence[Any], part_count: int) -> Cursor:
    """Returns the cursor that follows `batch_rows`: the next rows, or after the last one the merging of
    documents. Raises InvalidState if no part was drawn."""
    if len(batch_rows) == BATCH_SIZE:
        return {
            "parts": part_count,
            "after": [str(part) for part in batch_rows[-1][1:]],
        }
    if not part_count:
        raise InvalidState("没有可以打印的准考证。")
    return {"parts": part_count, "documents": 0}


def _count_rows(query: Select[Any]) -> int | None:
    """Returns the number of rows of a query."""
    return db.session.scalar(select(func.count()).select_from(query.order_by(None).subquery()))


def _merge_parts(job: Job, cursor: Cursor) -> Chunk:
    """Merge the parts of the next document and store it. The cursor of the chunk is that of the document
    after it, or {"forget": number of parts} after the last one. Raises NotFound for a part that is gone,
    Unavailable."""
    finished_count, part_count = cursor["documents"], cursor["parts"]
    first = finished_count * PARTS_PER_PDF
    parts = job_parts.iter_parts(
        job.id,
        PAGES_SERIES,
        range(first, min(first + PARTS_PER_PDF, part_count)),
    )
    current_store().put(
        BATCH_PDF_KIND,
        batch_pdf_id(job.id, finished_count + 1),
        _merge_pdfs(parts),
    )
    has_more_parts = first + PARTS_PER_PDF < part_count
    return Chunk(
        {"parts": part_count, "documents": finished_count + 1} if has_more_parts else {"forget": part_count},
        result={"documents": finished_count + 1},
    )


def _merge_pdfs(pdfs: Iterable[bytes]) -> bytes:
    """Returns all pages of `pdfs` as one PDF."""
    with pikepdf.new() as merged:
        for pdf in pdfs:
            with pikepdf.open(io.BytesIO(pdf)) as part:
                merged.pages.extend(part.pages)
        buffer = io.BytesIO()
        merged.save(buffer)
    return buffer.getvalue()


def batch_pdf_id(job_id: UUID, number: int) -> UUID:
    """Returns the id under which document `number` (from 1) of a batch is stored."""
    return uuid5(job_id, f"{BATCH_PDF_KIND}/{number}")


def _batch_records_query(arguments: dict[str, Any]) -> Select[Any]:
    """Returns the query of a batch's records in the order of the pages. Its columns: the record's id, then
    those it is ordered by (seat; or key of the name, record's id). `arguments`: of the job, ids as text:
    slot; or institution, cycle, and assessor ("" for any)."""
    query: Any
    if "slot" in arguments:
        query = select(SlotPlace.assessment_id, SlotPlace.seat)
        return query.where(SlotPlace.slot_id == UUID(arguments["slot"])).order_by(SlotPlace.seat)
    query = select(Assessment.id, Doctor.name_key, Assessment.id.label("last")).join(Doctor, doctor_join())
    query = query.where(
        Assessment.institution_id == UUID(arguments["institution"]),
        Assessment.cycle_id == UUID(arguments["cycle"]),
        Assessment.state.in_(TEST_STATES),
    ).order_by(Doctor.name_key, Assessment.id)
    return (
        query.where(Assessment.assessor_id == UUID(arguments["assessor"])) if arguments["assessor"] else query
    )


def _after_cursor(
    query: Select[Any],
    arguments: dict[str, Any],
    after: list[str] | None,
) -> Select[Any]:
    """Returns the query restricted to the rows after the last one of the previous chunk (`after`: its order
    columns as texts)."""
    if after is None:
        return query
    if "slot" in arguments:
        return query.where(SlotPlace.seat > int(after[0]))
    return query.where(
        tuple_(Doctor.name_key, Assessment.id) > tuple_(literal(after[0]), literal(UUID(after[1])))
    )
