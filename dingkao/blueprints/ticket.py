"""A doctor's own admission ticket (准考证): as a picture to be kept by a long press, and as PDF to print."""

from flask import Response as FlaskResponse
from flask import redirect, render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from dingkao.assessments.models import Assessment
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.blueprints.web import limit_key, limiter, waiting_page
from dingkao.certificates import admitting
from dingkao.cycles.opening import current_cycle
from dingkao.errors import NotFound
from dingkao.exams.models import AdmissionTicket
from dingkao.exams.sittings import record_of
from dingkao.exams.tickets import ticket_of
from dingkao.journal import writing as journal
from dingkao.outside.storage import store

ticket = of_province("ticket")


def _mine() -> tuple[Assessment, AdmissionTicket]:
    cycle = current_cycle()
    if cycle is None:
        raise NotFound("本省尚未开始新的考核周期。")
    record = record_of(current_user.doctor().id, cycle.id)
    found = ticket_of(record)
    if found is None:
        raise NotFound("准考证在两级审核通过、进入待测评后生成。请返回主页查看最新状态。")
    return record, found


def _me() -> str:
    return limit_key(f"ticket-{current_user.id}" if current_user.is_authenticated else None)


@ticket.get("/ticket")
@allow(DOCTOR)
def show() -> FlaskResponse:
    """What the ticket says; the picture where it is drawn and shows what holds now, else a button that has it drawn."""
    record, row = _mine()
    content, by = admitting.content_of(record, row), current_user.actor()
    ready = row.drawn_as == admitting.digest(content)
    waits = not ready and admitting.drawing(by)
    page = render_template(
        "ticket/show.html", content=content, ready=ready, waits=waits, failed=None if ready else admitting.failed(by), version=(row.drawn_as or b"").hex()[:8]
    )  # fmt: skip
    return waiting_page(page, waits=waits)


@ticket.post("/ticket")
@allow(DOCTOR)
@limiter.limit("20/hour", key_func=_me)
def draw() -> Response:
    """Have it drawn."""
    admitting.ask_one(*_mine(), by=current_user.actor())
    return redirect(url_for("ticket.show"), 303)


@ticket.get("/ticket/picture.png")
@allow(DOCTOR)
def picture() -> FlaskResponse:
    """The ticket as a picture."""
    _, row = _mine()
    if row.drawn_as is None:
        raise NotFound("准考证还没有生成。")
    content = store().get(admitting.PNG, row.id, sealed=True)
    return FlaskResponse(content, mimetype="image/png", headers={"Cache-Control": "private, no-store"})


@ticket.post("/ticket/download")
@allow(DOCTOR)
def download() -> FlaskResponse:
    """The PDF; that it was taken is noted."""
    record, row = _mine()
    if row.drawn_as is None:
        raise NotFound("准考证还没有生成。")
    content = store().get(admitting.PDF, row.id, sealed=True)
    journal.write("assessment", record.id, "ticket_downloaded", by=current_user.actor())
    return FlaskResponse(content, mimetype="application/pdf", headers={"Content-Disposition": f'attachment; filename="{row.number}.pdf"'})
