"""Requests (申请) in the console: what waits for whom, one of them with its files, agreeing or refusing."""

from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.models import PARTS, STATES, VERDICTS, Assessment
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, OF_INSTITUTION, OF_ORGANISATION, of_office
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, NotFound, Refusal
from dingkao.exams.models import Paper, Sitting
from dingkao.people.models import Account, Organisation
from dingkao.requests import deciding as desks
from dingkao.requests import making
from dingkao.requests.content import items_of
from dingkao.requests.deciding import Desk
from dingkao.requests.models import KINDS, SIDES, Request

deciding = of_office("deciding")
EVERYONE = (ADMIN, *OF_INSTITUTION, *OF_ORGANISATION)


def my_desks() -> dict[str, Desk]:
    """The desks of this person, by side."""
    me, roles = current_user.id, current_user.roles
    made = {
        "institution": Desk("institution", tuple(current_user.organisations(*OF_INSTITUTION)), me, "institution_reviewer" in roles, True),
        "organisation": Desk("organisation", tuple(current_user.organisations(*OF_ORGANISATION)), me, "organisation_reviewer" in roles, False),
        "province": Desk("province", (), me, ADMIN in roles, ADMIN in roles),
    }
    return {side: desk for side, desk in made.items() if desk.places or (side == "province" and desk.decides)}


def waiting_counts() -> dict[str, int]:
    """How many requests wait for this person, by side; for 待办."""
    return {side: db.session.scalar(select(func.count()).select_from(desks.waiting(desk).subquery())) or 0 for side, desk in my_desks().items()}


def _desk() -> Desk:
    found = my_desks()
    wanted = request.values.get("side") or next(iter(found))
    if wanted not in found:
        raise Forbidden
    return found[wanted]


@deciding.get("/office/requests")
@allow(*EVERYONE)
def queue() -> str:
    """What waits at this desk, or all of it."""
    desk, kind, every = _desk(), request.args.get("kind", ""), "all" in request.args
    query = desks.visible(desk) if every else desks.waiting(desk)
    if kind in KINDS:
        query = query.where(Request.kind == kind)
    found = page(query, [Request.id], request.args.get("after"), 50)
    records = {row.id: row for row in db.session.scalars(select(Assessment).where(Assessment.id.in_([one.assessment_id for one in found.rows])))}
    people = {row.id: row for row in db.session.scalars(select(Doctor).where(Doctor.id.in_([one.doctor_id for one in records.values()])))}
    places = {row.id: row.name for row in db.session.scalars(select(Organisation).where(Organisation.id.in_([one.institution_id for one in records.values()])))}
    return render_template(
        "deciding/queue.html", desk=desk, desks=my_desks(), sides=SIDES, kinds=KINDS, kind=kind, every=every, page=found, records=records, people=people,
        places=places, until={row.id: desks.answer_until(row) for row in found.rows}, today=clock.today(), may={row.id: desk.may(row) for row in found.rows},
    )  # fmt: skip


def _request(request_id: UUID, desk: Desk) -> tuple[Request, Assessment]:
    found = db.session.execute(
        select(Request, Assessment).join(Assessment, (Assessment.tenant_id == Request.tenant_id) & (Assessment.id == Request.assessment_id))
        .where(Request.id == request_id, Request.submitted_at.is_not(None))
    ).one_or_none()  # fmt: skip
    if found is None or not desk.sees(found[1]):
        raise NotFound
    return found[0], found[1]


@deciding.get("/office/requests/<uuid:request_id>")
@allow(*EVERYONE)
def show(request_id: UUID) -> str:
    """One request: what is asked for, old beside new, files, what was decided before; the decision at the foot."""
    desk = _desk()
    return _shown(*_request(request_id, desk), desk)


def _shown(row: Request, record: Assessment, desk: Desk, typed: dict[str, str] | None = None, told: str | None = None) -> str:
    doctor = db.session.scalars(select(Doctor).where(Doctor.id == record.doctor_id)).one()
    institution = db.session.get_one(Organisation, (record.tenant_id, record.institution_id))
    names = {one.id: one.name for one in db.session.scalars(select(Account).where(Account.id.in_([row.first_by, row.second_by])))}
    scores = db.session.execute(
        select(Paper.title, Sitting.score_tenths).join(Sitting, (Sitting.tenant_id == Paper.tenant_id) & (Sitting.paper_id == Paper.id))
        .where(Sitting.assessment_id == record.id, Sitting.voided_at.is_(None))
    ).all() if row.kind == "appeal" else []  # fmt: skip
    standing = None
    if row.kind == "exemption":
        standing = next((one for one in making.exemption_standings(making.dossier_of_record(record)) if one.code == row.reason), None)
    return render_template(
        "deciding/show.html", row=row, record=record, desk=desk, doctor=doctor, institution=institution, names=names, scores=scores, kinds=KINDS, sides=SIDES,
        items=items_of(row), files=making.files_of(row), states=STATES, verdicts=VERDICTS, parts=PARTS, levels=LEVELS, categories=CATEGORIES, standing=standing,
        may=desk.may(row), typed=typed or {}, told=told, until=desks.answer_until(row), proposing=row.kind == "appeal" and row.state == "first_pending",
        mine_before=row.first_by == current_user.id and row.waits_for is not None,
    )  # fmt: skip


@deciding.post("/office/requests/<uuid:request_id>/decide")
@allow(*EVERYONE)
def decide(request_id: UUID) -> Response | tuple[str, int]:
    """Agree or refuse."""
    desk, form = _desk(), request.form
    row, record = desks.locked(request_id, desk)
    opinion, by = form.get("opinion", ""), current_user.actor()
    try:
        if form.get("decision") == "agree":
            told = desks.agree(row, record, desk, by=by, opinion=opinion, verdicts={part: form.get(part, "") for part in PARTS})
        elif form.get("decision") == "refuse":
            told = desks.refuse(row, record, desk, by=by, opinion=opinion)
        else:
            raise NotFound
    except Refusal as refusal:
        db.session.rollback()
        return _shown(*_request(request_id, desk), desk, form.to_dict(), refusal.sentence), refusal.status
    flash(told)
    return redirect(url_for("deciding.queue", side=desk.side), 303)


@deciding.get("/office/requests/<uuid:request_id>/files/<uuid:file_id>")
@allow(*EVERYONE)
def file(request_id: UUID, file_id: UUID) -> FlaskResponse:
    """A file handed in with it."""
    row, _ = _request(request_id, _desk())
    content, content_type = making.file_content(row, file_id)
    return FlaskResponse(content, mimetype=content_type, headers={"Content-Disposition": "inline"})
