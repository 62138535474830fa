"""A doctor's own admission ticket (准考证): as an image that can be saved with a long press, and as PDF to
print."""

from flask import Response as FlaskResponse
from flask import redirect, render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments.current_records import cycle_of_doctor
from dingkao.assessments.models import Assessment
from dingkao.certificates import admission_tickets
from dingkao.errors import NotFound
from dingkao.exams.models.paper_models import AdmissionTicket
from dingkao.exams.sittings import get_exam_record
from dingkao.exams.tickets import find_ticket
from dingkao.integrations.storage import current_store
from dingkao.journal import entries as journal
from dingkao.web.access_control import require
from dingkao.web.province_blueprint import province_blueprint
from dingkao.web.request_lifecycle import (
    auto_refreshing_page,
    limit_key,
    limiter,
)

admission_ticket = province_blueprint("admission_ticket")


def _get_ticket() -> tuple[Assessment, AdmissionTicket]:
    """The doctor's assessment and its ticket. Raises NotFound before the first cycle, for a doctor without an
    assessment, and before the ticket is issued."""
    cycle = cycle_of_doctor(current_user.doctor().id)
    if cycle is None:
        raise NotFound("本省尚未开始新的考核周期。")
    record = get_exam_record(current_user.doctor().id, cycle.id)
    ticket = find_ticket(record)
    if ticket is None:
        raise NotFound("准考证在两级审核通过、进入待测评后生成。请返回主页查看最新状态。")
    return record, ticket


def _get_rendered_ticket() -> tuple[Assessment, AdmissionTicket]:
    """The doctor's assessment and its ticket, if its image and file are rendered, though perhaps with a
    content that has changed since. Raises NotFound before that, before the ticket is issued, and without an
    assessment."""
    record, ticket = _get_ticket()
    if ticket.rendered_digest is None:
        raise NotFound("准考证还没有生成。")
    return record, ticket


def _rate_limit_key() -> str:
    """The key of a rate limit for each account; if nobody is signed in, for each network."""
    return limit_key(f"ticket-{current_user.id}" if current_user.is_authenticated else None)


@admission_ticket.get("/ticket")
@require("ticket.own")
def show_ticket() -> FlaskResponse:
    """The content of the ticket; with its image if that is rendered and up to date, else with a button that
    renders it, why that failed last, and while it is rendered reloading itself. Raises NotFound."""
    record, ticket = _get_ticket()
    by = current_user.as_actor()
    content = admission_tickets.ticket_content(record, ticket)
    is_ready = ticket.rendered_digest == admission_tickets.content_digest(content)
    is_awaited = not is_ready and admission_tickets.is_rendering(by)
    page = render_template(
        "doctor/admission_ticket/ticket.html",
        content=content,
        ready=is_ready,
        waits=is_awaited,
        failed=None if is_ready else admission_tickets.last_failure(by),
        version=(ticket.rendered_digest or b"").hex()[:8],
    )
    return auto_refreshing_page(page, waits=is_awaited)


@admission_ticket.post("/ticket")
@require("ticket.own")
@limiter.limit("20/hour", key_func=_rate_limit_key)
def render_ticket() -> Response:
    """Enqueue the job that renders the ticket, unless that is under way. Raises NotFound, InvalidState if the
    exam is neither to be sat nor being sat."""
    admission_tickets.enqueue_ticket(*_get_ticket(), by=current_user.as_actor())
    return redirect(url_for("admission_ticket.show_ticket"), 303)


@admission_ticket.get("/ticket/picture.png")
@require("ticket.own")
def ticket_image() -> FlaskResponse:
    """The ticket as PNG, as it was rendered last. Raises NotFound, Unavailable."""
    _, ticket = _get_rendered_ticket()
    content = current_store().get(admission_tickets.PNG_KIND, ticket.id)
    return FlaskResponse(
        content,
        mimetype="image/png",
        headers={"Cache-Control": "private, no-store"},
    )


@admission_ticket.post("/ticket/download")
@require("ticket.own")
def ticket_pdf() -> FlaskResponse:
    """The ticket as PDF, as it was rendered last; the download is entered in the journal. Raises NotFound,
    Unavailable."""
    record, ticket = _get_rendered_ticket()
    content = current_store().get(admission_tickets.PDF_KIND, ticket.id)
    journal.write_entry(
        "assessment",
        record.id,
        "ticket_downloaded",
        by=current_user.as_actor(),
    )
    return FlaskResponse(
        content,
        mimetype="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{ticket.number}.pdf"'},
    )
