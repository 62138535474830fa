"""Review (审核) in the console: the queue, one record, deciding many at once."""

from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from dingkao.assessments import moves
from dingkao.assessments.models import PROCEDURES, VERDICTS, Assessment
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import OF_INSTITUTION, OF_ORGANISATION, of_office
from dingkao.blueprints.forms import chosen
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, NotFound, Refusal
from dingkao.exams.tickets import issue_ticket
from dingkao.filings import dossier as dossiers
from dingkao.filings import marks, reviewing
from dingkao.filings.reviewing import Side
from dingkao.journal import writing as journal
from dingkao.outside.storage import store
from dingkao.people.models import Organisation
from dingkao.tenants.secrets import Place, vault

review = of_office("review")
EVERYONE = (*OF_INSTITUTION, *OF_ORGANISATION)


def sides() -> dict[str, Side]:
    """The sides this person reviews for."""
    made = {
        "institution": Side("institution", tuple(current_user.organisations(*OF_INSTITUTION)), "institution_reviewer" in current_user.roles),
        "organisation": Side("organisation", tuple(current_user.organisations(*OF_ORGANISATION)), "organisation_reviewer" in current_user.roles),
    }
    return {name: side for name, side in made.items() if side.places}


def waiting_counts() -> dict[str, int]:
    """How many records wait for this person, by side; for 待办."""
    cycle = current_cycle()
    if cycle is None:
        return {}
    return {name: db.session.scalar(select(func.count()).select_from(reviewing.waiting(cycle, side).subquery())) or 0 for name, side in sides().items()}


def _side() -> Side:
    found = sides()
    wanted = request.values.get("side") or next(iter(found))
    if wanted not in found:
        raise Forbidden
    return found[wanted]


def _cycle() -> Cycle:
    cycle = current_cycle()
    if cycle is None:
        raise NotFound("本省还没有开始考核周期。")
    return cycle


@review.get("/office/review")
@allow(*EVERYONE)
def queue() -> str:
    """What waits for this side."""
    cycle, side = current_cycle(), _side()
    if cycle is None:
        return render_template("review/queue.html", cycle=None)
    state = request.args.get("state", "")
    query = reviewing.waiting(cycle, side)
    if state in side.states:
        query = query.where(Assessment.state == state)
    found = page(query, [Assessment.id], request.args.get("after"), 50)
    people = {row.id: row for row in db.session.scalars(select(Doctor).where(Doctor.id.in_([one.doctor_id for one in found.rows])))}
    counts = dict(
        db.session.execute(
            select(Assessment.state, func.count()).where(Assessment.cycle_id == cycle.id, side.bound()).group_by(Assessment.state)
        ).all()
    )  # fmt: skip
    return render_template(
        "review/queue.html", cycle=cycle, side=side, both=len(sides()) > 1, page=found, people=people, counts=counts, state=state, levels=LEVELS,
        categories=CATEGORIES, procedures=PROCEDURES, held={row.id: reviewing.held_by(row) for row in found.rows},
    )  # fmt: skip


@review.post("/office/review/next")
@allow(*EVERYONE)
def onward() -> Response:
    """Take up the record that has waited longest."""
    side = _side()
    record_id = reviewing.next_of(_cycle(), side, current_user.actor())
    if record_id is None:
        flash("没有等待审核的记录了。")
        return redirect(url_for("review.queue", side=side.name), 303)
    return take(record_id)


@review.post("/office/review/<uuid:record_id>/open")
@allow(*EVERYONE)
def take(record_id: UUID) -> Response:
    """Take one record up; nobody else can decide on it for 30 minutes."""
    side = _side()
    reviewing.open_record(reviewing.locked(record_id, side), side, by=current_user.actor())
    return redirect(url_for("review.record", record_id=record_id, side=side.name), 303)


def _record(record_id: UUID, side: Side) -> Assessment:
    row = db.session.scalar(select(Assessment).where(Assessment.id == record_id))
    if row is None or not side.sees(row) or row.state == "not_included":
        raise NotFound
    return row


@review.get("/office/review/<uuid:record_id>")
@allow(*EVERYONE)
def record(record_id: UUID) -> str:
    """One record: what was filed on the left, photo and proofs on the right, the decision at the foot."""
    side = _side()
    return _shown(_record(record_id, side), side)


def _shown(row: Assessment, side: Side, *, revealed: bool = False, typed: dict[str, str] | None = None, told: str | None = None) -> str:
    doctor = db.session.scalars(select(Doctor).where(Doctor.id == row.doctor_id)).one()
    cycle = db.session.get_one(Cycle, (row.tenant_id, row.cycle_id))
    dossier = dossiers.Dossier(row, doctor, cycle, dossiers.filing_of(row))
    institution = db.session.get_one(Organisation, (row.tenant_id, row.institution_id))
    number = vault().unseal(Place("doctor", "number", doctor.id), doctor.number_sealed) if revealed else doctor.number_masked
    mine = row.leased_by == current_user.id and reviewing.held_by(row) is not None
    return render_template(
        "review/record.html", record=row, side=side, doctor=doctor, number=number, revealed=revealed, institution=institution,
        sections=dossiers.shown(dossier, revealed=revealed), dossier=dossier, proofs=dossiers.proofs_of(row), typed=typed or {}, told=told,
        may_decide=side.decides and row.state in side.states and mine, may_open=side.decides and row.state in side.states and not mine,
        holder=reviewing.held_by(row), levels=LEVELS, categories=CATEGORIES, procedures=PROCEDURES, verdicts=VERDICTS,
        ground=dossiers.chosen_ground(dossier), marked={one.key: one for one in marks.marks_of(dossier)}, longest_mark=marks.LONGEST,
        without_test=moves.without_test(row.procedure), graded_by_me=row.graded_by == current_user.id,
        hints=dossiers.hints_of(dossier.filing),
    )  # fmt: skip


@review.post("/office/review/<uuid:record_id>/reveal")
@allow(*EVERYONE)
def reveal(record_id: UUID) -> str:
    """Show the numbers in clear; who saw them is journalled."""
    side = _side()
    row = reviewing.locked(record_id, side)
    journal.write("assessment", row.id, "numbers_revealed", by=current_user.actor())
    return _shown(row, side, revealed=True)


@review.post("/office/review/<uuid:record_id>/decide")
@allow(*EVERYONE)
def decide(record_id: UUID) -> Response | tuple[str, int]:
    """Decide, then on to the next."""
    side, form = _side(), request.form
    if not side.decides:
        raise Forbidden
    row = reviewing.locked(record_id, side)
    try:
        told = reviewing.decide(
            row, side, form.get("decision", ""), by=current_user.actor(), performance=form.get("performance", ""), ethics=form.get("ethics", ""),
            competence=form.get("competence", ""), text=form.get("text", ""), marks=_marks(row) if form.get("decision", "").startswith("return") else None,
        )  # fmt: skip
    except Refusal as refusal:
        db.session.rollback()
        return _shown(_record(record_id, side), side, typed=form.to_dict(), told=refusal.sentence), refusal.status
    if row.state == "ready":
        issue_ticket(row)
    flash(told)
    return redirect(url_for("review.queue", side=side.name), 303)


def _marks(row: Assessment) -> dict[str, str]:
    """What was marked at the fields."""
    doctor = db.session.scalars(select(Doctor).where(Doctor.id == row.doctor_id)).one()
    cycle = db.session.get_one(Cycle, (row.tenant_id, row.cycle_id))
    return marks.chosen(dossiers.Dossier(row, doctor, cycle, dossiers.filing_of(row)), request.form)


@review.get("/office/review/<uuid:record_id>/photo.jpg")
@allow(*EVERYONE)
def photo(record_id: UUID) -> FlaskResponse:
    """The doctor's photo."""
    filing = dossiers.filing_of(_record(record_id, _side()))
    content = dossiers.photo_of(filing) if filing else None
    if content is None:
        raise NotFound
    return FlaskResponse(content, mimetype="image/jpeg")


@review.get("/office/review/<uuid:record_id>/proof/<uuid:document_id>")
@allow(*EVERYONE)
def proof(record_id: UUID, document_id: UUID) -> FlaskResponse:
    """A proof the doctor handed in, whether of an entry or not."""
    row = dossiers.proof_of(_record(record_id, _side()), document_id)
    return FlaskResponse(store().get("proof", row.id), mimetype=row.content_type, headers={"Content-Disposition": "inline"})


@review.post("/office/review/batch")
@allow(*EVERYONE)
def batch() -> Response | str:
    """Many at once: first who would be affected and who is left out, then, confirmed, the report."""
    side, cycle = _side(), _cycle()
    if not side.decides:
        raise Forbidden("经办人可以查看,审核决定由审核人作出。")
    ids = chosen()[: reviewing.MOST_AT_ONCE]
    if not ids:
        flash("请先勾选要审核的医师。")
        return redirect(url_for("review.queue", side=side.name), 303)
    if "confirmed" not in request.form:
        return render_template("review/batch.html", side=side, batch=reviewing.weigh(cycle, side, ids, by=current_user.actor()), done=False)
    done, moved = reviewing.decide_many(cycle, side, ids, by=current_user.actor())
    for row in moved:
        if row.state == "ready":
            issue_ticket(row)
    return render_template("review/batch.html", side=side, batch=done, done=True)
