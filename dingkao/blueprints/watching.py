"""Watching an exam in the console: who is answering, who has lost the connection; time given back; cases about a sitting (诚信核查)."""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from flask import current_app, flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import ColumnElement, Select, Text, and_, cast, exists, func, or_, select, true
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.models import STATES, Assessment
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, AUDITOR, OF_ORGANISATION, of_office
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotFound, Refusal
from dingkao.exams import integrity, interruptions, sittings, voiding
from dingkao.exams.models import (
    CASE_OUTCOMES,
    CASE_STATES,
    INTEGRITY_EVENTS,
    SUBJECTS,
    AdmissionTicket,
    Hall,
    IntegrityCase,
    IntegrityEvent,
    Paper,
    Sitting,
    SittingAnswer,
    Slot,
    SlotPlace,
)
from dingkao.people.models import Account, Organisation
from dingkao.tenants import settings

watching = of_office("watching")
WATCHERS = (ADMIN, AUDITOR, *OF_ORGANISATION)
VIEWS = {"answering": "作答中", "lost": "断线", "waiting": "未开始", "handed_in": "已交卷", "noticed": "有情况记录", "voided": "已作废"}
ROWS, MOST_OPEN, MOST_PLACES = 50, 20_000, 400


def _bound() -> ColumnElement[bool]:
    """The records this person may watch: of the own assessment organisations, or all of the province's."""
    if {ADMIN, AUDITOR} & current_user.roles:
        return true()
    return Assessment.assessor_id.in_(current_user.organisations(*OF_ORGANISATION))


def _of_record() -> ColumnElement[bool]:
    return and_(Assessment.tenant_id == Sitting.tenant_id, Assessment.id == Sitting.assessment_id)


def _sittings() -> Select[Any]:
    cycle = current_cycle()
    return select(Sitting).join(Assessment, _of_record()).where(_bound(), Assessment.cycle_id == (cycle.id if cycle else UUID(int=0)))


def _open() -> ColumnElement[bool]:
    return and_(Sitting.handed_in_at.is_(None), Sitting.voided_at.is_(None))


def _noticed() -> ColumnElement[bool]:
    found = select(IntegrityEvent.id).where(IntegrityEvent.tenant_id == Sitting.tenant_id, IntegrityEvent.sitting_id == Sitting.id)
    return found.correlate(Sitting).exists()


class Place(NamedTuple):
    """A hall or a slot that the page is narrowed to: as it stands in the address, in words, and which slots it means."""

    code: str
    name: str
    slots: ColumnElement[bool]


def _places(code: str) -> tuple[list[Place], bool]:
    """The halls of the cycle that this person may watch, and its slots, those to come or running first: the next MOST_PLACES, and what `code`
    names wherever it stands; and whether there are more slots."""
    cycle = current_cycle()
    if cycle is None:
        return [], False
    mine = true() if {ADMIN, AUDITOR} & current_user.roles else Slot.organisation_id.in_(current_user.organisations(*OF_ORGANISATION))
    at_hall = and_(Hall.tenant_id == Slot.tenant_id, Hall.id == Slot.hall_id)
    halls = db.session.scalars(select(Hall).join(Slot, at_hall).where(Slot.cycle_id == cycle.id, mine).order_by(Hall.name, Hall.id).distinct())
    query = select(Slot, Hall).outerjoin(Hall, at_hall).where(Slot.cycle_id == cycle.id, mine)
    named = func.concat("slot-", cast(Slot.id, Text)) == code
    rows = list(db.session.execute(query.order_by(~named, Slot.closes_at < clock.now(), Slot.opens_at, Slot.id).limit(MOST_PLACES + 1)))
    names = {row.id: row.name for row in db.session.scalars(select(Organisation).where(Organisation.id.in_({slot.institution_id for slot, _ in rows if slot.institution_id})))}
    found = [Place(f"hall-{one.id}", f"考场:{one.name}", Slot.hall_id == one.id) for one in halls]
    for slot, hall in rows[:MOST_PLACES]:
        where = hall.name if hall else names.get(slot.institution_id or slot.id, "不设考场")
        subject = f" {SUBJECTS[slot.subject]}" if slot.subject else ""
        opens = f"{clock.beijing(slot.opens_at):%m月%d日 %H:%M}"
        found.append(Place(f"slot-{slot.id}", f"场次:{opens} {where}{subject}", Slot.id == slot.id))
    return found, len(rows) > MOST_PLACES


def _in_slot(place: Place, *more: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the record of a query sits in one of a place's slots: it has a seat there, or the slot is its institution's and it has none elsewhere."""
    seated = and_(SlotPlace.tenant_id == Assessment.tenant_id, SlotPlace.assessment_id == Assessment.id)
    here = exists().where(seated, SlotPlace.slot_id == Slot.id).correlate(Assessment, Slot)
    theirs = and_(Slot.institution_id == Assessment.institution_id, ~exists().where(seated).correlate(Assessment))
    return exists().where(Slot.tenant_id == Assessment.tenant_id, Slot.cycle_id == Assessment.cycle_id, place.slots, or_(here, theirs), *more)


def _sat_at(place: Place | None) -> ColumnElement[bool]:
    """Whether the sitting of a query is of a place: its record sits there, and the slot is for its paper."""
    if place is None:
        return true()
    subject = select(Paper.subject).where(Paper.tenant_id == Sitting.tenant_id, Paper.id == Sitting.paper_id).correlate(Sitting).scalar_subquery()
    return _in_slot(place, or_(Slot.subject.is_(None), Slot.subject == subject))


def _to_begin(place: Place | None) -> ColumnElement[bool]:
    """Whether the record of a query is still to begin; at a place, what a slot there is for."""
    if place is None:
        return Assessment.state == "ready"
    of_paper = and_(Paper.tenant_id == Sitting.tenant_id, Paper.id == Sitting.paper_id)
    sat = select(Sitting.id).join(Paper, of_paper).where(
        Sitting.tenant_id == Assessment.tenant_id, Sitting.assessment_id == Assessment.id, Sitting.voided_at.is_(None), Paper.subject == Slot.subject
    )  # fmt: skip
    begun = sat.correlate(Assessment, Slot).exists()
    return _in_slot(place, or_(Assessment.state == "ready", and_(Assessment.state == "testing", Slot.subject.is_not(None), ~begun)))


@watching.get("/office/watching")
@allow(*WATCHERS)
def index() -> str:
    """The live page: how many stand where, of all or at one hall or slot, and the sittings of one kind, a page at a time. It loads itself anew
    (js/live.js)."""
    view, word = request.args.get("view", "answering"), request.args.get("name", "").strip()
    view = view if view in VIEWS else "answering"
    wanted = request.args.get("place", "")
    places, further = _places(wanted)
    place = next((one for one in places if one.code == wanted), None)
    all_ = _sittings().where(_sat_at(place))
    opened = list(db.session.scalars(all_.where(_open()).with_only_columns(Sitting.id).limit(MOST_OPEN)))
    there = integrity.living(current_app.extensions["redis"], opened)
    cycle = current_cycle()
    ready = select(Assessment).where(_bound(), Assessment.cycle_id == (cycle.id if cycle else UUID(int=0)), _to_begin(place))
    counts = {
        "answering": len(there), "lost": len(opened) - len(there), "waiting": _count(ready),
        "handed_in": _count(all_.where(Sitting.handed_in_at.is_not(None), Sitting.voided_at.is_(None))),
        "noticed": _count(all_.where(_noticed())), "voided": _count(all_.where(Sitting.voided_at.is_not(None))),
    }  # fmt: skip
    shown: dict[str, Any] = {"view": view, "views": VIEWS, "counts": counts, "word": word, "moment": clock.now(), "cycle": cycle, "places": places, "further": further}
    shown["place"] = place.code if place else None
    shown["may"] = bool(set(OF_ORGANISATION) & current_user.roles) and view in ("answering", "lost", "handed_in")
    if view == "waiting":
        found = page(_named(ready, word), [Assessment.id], request.args.get("after"), ROWS)
        return render_template("watching/index.html", page=found, rows=[], waiting=_people(found.rows), **shown)
    kinds: dict[str, ColumnElement[bool]] = {
        "answering": Sitting.id.in_(there), "lost": Sitting.id.in_([one for one in opened if one not in there]),
        "handed_in": and_(Sitting.handed_in_at.is_not(None), Sitting.voided_at.is_(None)), "noticed": _noticed(), "voided": Sitting.voided_at.is_not(None),
    }  # fmt: skip
    found = page(_named(all_.where(kinds[view]), word), [Sitting.id], request.args.get("after"), ROWS)
    return render_template("watching/index.html", page=found, rows=_described(found.rows, there), waiting={}, **shown)


def _count(query: Select[Any]) -> int:
    return int(db.session.scalar(select(func.count()).select_from(query.subquery())) or 0)


def _named(query: Select[Any], word: str) -> Select[Any]:
    """Those whose name begins with the word, or whose ticket it is."""
    if not word:
        return query
    query = query.join(Doctor, (Doctor.tenant_id == Assessment.tenant_id) & (Doctor.id == Assessment.doctor_id))
    ticket = select(AdmissionTicket.id).where(
        AdmissionTicket.tenant_id == Assessment.tenant_id, AdmissionTicket.assessment_id == Assessment.id, AdmissionTicket.number == word
    )
    return query.where(or_(Doctor.name.startswith(word, autoescape=True), ticket.correlate(Assessment).exists()))


def _people(records: list[Assessment]) -> dict[UUID, dict[str, Any]]:
    """Of records: name, masked number, institution and ticket, by the record's id."""
    doctors = {row.id: row for row in db.session.scalars(select(Doctor).where(Doctor.id.in_([one.doctor_id for one in records])))}
    places = {row.id: row.name for row in db.session.scalars(select(Organisation).where(Organisation.id.in_({one.institution_id for one in records})))}
    tickets = dict(
        db.session.execute(
            select(AdmissionTicket.assessment_id, AdmissionTicket.number).where(AdmissionTicket.assessment_id.in_([one.id for one in records]))
        ).all()
    )
    return {
        one.id: {"name": doctors[one.doctor_id].name, "number": doctors[one.doctor_id].number_masked, "place": places[one.institution_id], "ticket": tickets.get(one.id, "")}
        for one in records
    }


def _described(rows: list[Sitting], there: set[UUID]) -> list[dict[str, Any]]:
    """What the table shows of sittings: whose, which paper, how far, how long still, what was noticed."""
    ids = [row.id for row in rows]
    records = db.session.scalars(select(Assessment).where(Assessment.id.in_([row.assessment_id for row in rows]))).all()
    people = _people(list(records))
    papers = {row.id: row.title for row in db.session.scalars(select(Paper).where(Paper.id.in_({row.paper_id for row in rows})))}
    answered = dict(
        db.session.execute(
            select(SittingAnswer.sitting_id, func.count()).where(SittingAnswer.sitting_id.in_(ids), SittingAnswer.letters != "").group_by(SittingAnswer.sitting_id)
        ).all()
    )
    noticed = integrity.counts_of(ids)
    asked = set(db.session.scalars(select(IntegrityCase.sitting_id).where(IntegrityCase.sitting_id.in_(ids))))
    return [
        {
            "sitting": row, **people[row.assessment_id], "paper": papers[row.paper_id], "answered": answered.get(row.id, 0), "size": len(row.layout),
            "noticed": integrity.in_words(noticed.get(row.id, {})), "state": _state(row, there), "asked": row.id in asked,
        }
        for row in rows
    ]  # fmt: skip


def _state(row: Sitting, there: set[UUID]) -> str:
    if row.voided_at is not None:
        return "voided"
    if row.handed_in_at is not None:
        return "handed_in"
    return "answering" if row.id in there else "lost"


@watching.post("/office/watching/time")
@allow(*OF_ORGANISATION)
def add_time() -> Response:
    """补时 for the ticked sittings, each by itself: what can't be is named and the others get theirs."""
    text = request.form.get("minutes", "").strip()
    ids = [sitting_id for sitting_id in map(_uuid, request.form.getlist("sitting")) if sitting_id]
    if not ids:
        flash("请先勾选要补时的作答。")
    elif not (text.isascii() and text.isdecimal() and len(text) < 4):
        flash("补时分钟请填写整数,如10。")
    else:
        done = 0
        left: dict[str, int] = {}
        for sitting_id in ids[:ROWS]:
            found = _locked(sitting_id)
            if found is None:
                continue
            record, sitting = found
            try:
                with db.session.begin_nested():
                    interruptions.add_time(record, sitting, minutes=int(text), reason=request.form.get("reason", ""), by=current_user.actor())
                    integrity.have_looked_at(current_app.extensions["redis"], sitting.id)
                done += 1
            except Refusal as refusal:
                left[refusal.sentence] = left.get(refusal.sentence, 0) + 1
        flash(f"已为{done}场作答补时{text}分钟。" + "".join(f"{number}场未补:{sentence}" for sentence, number in left.items()))
    return redirect(_back(), 303)


def _back() -> str:
    sitting = _uuid(request.form.get("back", ""))
    if sitting:
        return url_for("watching.show", sitting_id=sitting)
    view, place = request.form.get("view"), request.form.get("place") or None
    return url_for("watching.index", view=view if view in VIEWS else None, place=place)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _locked(sitting_id: UUID) -> tuple[Assessment, Sitting] | None:
    """A sitting that this person watches and its record, the record locked first as everywhere."""
    record_id = db.session.scalar(_sittings().where(Sitting.id == sitting_id).with_only_columns(Sitting.assessment_id))
    if record_id is None:
        return None
    record = db.session.scalars(select(Assessment).where(Assessment.id == record_id).with_for_update()).one()
    return record, sittings.sitting_of(sitting_id, record, lock=True)


@watching.get("/office/watching/<uuid:sitting_id>")
@allow(*WATCHERS)
def show(sitting_id: UUID) -> str:
    """One sitting: its course, what was noticed, time given back, cases."""
    return _shown(sitting_id)


def _shown(sitting_id: UUID, told: str | None = None) -> str:
    row = db.session.scalar(_sittings().where(Sitting.id == sitting_id))
    if row is None:
        raise NotFound
    there = integrity.living(current_app.extensions["redis"], [row.id])
    record = db.session.scalars(select(Assessment).where(Assessment.id == row.assessment_id)).one()
    added = interruptions.added_to(row.id)
    cases = [one for one, sitting, _ in voiding.cases_of(record) if sitting.id == row.id]
    first, last = db.session.execute(
        select(func.min(SittingAnswer.received_at), func.max(SittingAnswer.received_at)).where(SittingAnswer.sitting_id == row.id)
    ).one()
    return render_template(
        "watching/show.html", row=_described([row], there)[0], record=record, events=integrity.events_of(row), kinds=INTEGRITY_EVENTS, added=added,
        names=_names([one.added_by for one in added]), cases=cases, case_states=CASE_STATES, states=STATES, views=VIEWS, first=first, last=last, told=told,
        moment=clock.now(), may=bool(set(OF_ORGANISATION) & current_user.roles), days=settings.value("hearing_days"), typed=request.form,
    )  # fmt: skip


def _names(accounts: list[UUID | None]) -> dict[UUID, str]:
    ids = [one for one in accounts if one]
    return {row.id: row.name for row in db.session.scalars(select(Account).where(Account.id.in_(ids)))} if ids else {}


@watching.post("/office/watching/<uuid:sitting_id>/case")
@allow(*OF_ORGANISATION)
def open_case(sitting_id: UUID) -> Response | tuple[str, int]:
    """发起核查."""
    found = _locked(sitting_id)
    if found is None:
        raise NotFound
    try:
        case = voiding.open_case(*found, reason=request.form.get("reason", ""), by=current_user.actor())
    except Refusal as refusal:
        db.session.rollback()
        return _shown(sitting_id, refusal.sentence), refusal.status
    flash("已发起核查,医师会收到通知并可作出说明。")
    return redirect(url_for("watching.case", case_id=case.id), 303)


def _cases() -> Select[Any]:
    mine = and_(Assessment.tenant_id == IntegrityCase.tenant_id, Assessment.id == IntegrityCase.assessment_id)
    return select(IntegrityCase).join(Assessment, mine).where(_bound())


def waiting_cases() -> int:
    """How many cases wait for this person: proposed ones for an administrator, those to be proposed for a reviewer."""
    if ADMIN in current_user.roles:
        return _count(_cases().where(IntegrityCase.state == "proposed", IntegrityCase.proposed_by != current_user.id))
    if "organisation_reviewer" in current_user.roles:
        heard = or_(IntegrityCase.stated_at.is_not(None), IntegrityCase.heard_until <= clock.now())
        return _count(_cases().where(IntegrityCase.state == "hearing", heard))
    return 0


@watching.get("/office/cases")
@allow(*WATCHERS)
def cases() -> str:
    """The cases, the open ones first to be found."""
    state = request.args.get("state", "")
    query = _cases()
    query = query.where(IntegrityCase.state == state) if state in CASE_STATES else query.where(IntegrityCase.state.in_(voiding.OPEN)) if state != "all" else query
    found = page(query, [IntegrityCase.id], request.args.get("after"), ROWS)
    records = db.session.scalars(select(Assessment).where(Assessment.id.in_([one.assessment_id for one in found.rows]))).all()
    return render_template(
        "watching/cases.html", page=found, people=_people(list(records)), state=state, states=CASE_STATES, outcomes=CASE_OUTCOMES, moment=clock.now()
    )


@watching.get("/office/cases/<uuid:case_id>")
@allow(*WATCHERS)
def case(case_id: UUID) -> str:
    """One case: why, what was noticed, what the doctor says, what is proposed and decided."""
    return _case(case_id)


def _case(case_id: UUID, told: str | None = None) -> str:
    row = db.session.scalar(_cases().where(IntegrityCase.id == case_id))
    if row is None:
        raise NotFound
    sitting = db.session.scalars(select(Sitting).where(Sitting.id == row.sitting_id)).one()
    heard = row.stated_at is not None or row.heard_until <= clock.now()
    return render_template(
        "watching/case.html", case=row, row=_described([sitting], integrity.living(current_app.extensions["redis"], [sitting.id]))[0],
        events=integrity.events_of(sitting), kinds=INTEGRITY_EVENTS, states=CASE_STATES, outcomes=CASE_OUTCOMES, told=told, typed=request.form,
        names=_names([row.opened_by, row.proposed_by, row.decided_by]), heard=heard, may_propose="organisation_reviewer" in current_user.roles and row.state == "hearing",
        may_decide=ADMIN in current_user.roles and row.state == "proposed", mine=current_user.id in (row.opened_by, row.proposed_by), views=VIEWS,
    )  # fmt: skip


@watching.post("/office/cases/<uuid:case_id>/propose")
@allow("organisation_reviewer")
def propose(case_id: UUID) -> Response | tuple[str, int]:
    """提出处理意见."""
    row, _, _ = _case_locked(case_id)
    form = request.form
    try:
        voiding.propose(row, by=current_user.actor(), outcome=form.get("outcome", ""), opinion=form.get("opinion", ""), resit_until=_moment(form.get("resit_until", "")))
    except Refusal as refusal:
        db.session.rollback()
        return _case(case_id, refusal.sentence), refusal.status
    flash("已提出处理意见,等待省级管理员确认。")
    return redirect(url_for("watching.case", case_id=case_id), 303)


@watching.post("/office/cases/<uuid:case_id>/decide")
@allow(ADMIN)
def decide(case_id: UUID) -> Response | tuple[str, int]:
    """确认, or 退回重议."""
    row, record, sitting = _case_locked(case_id)
    opinion, by = request.form.get("opinion", ""), current_user.actor()
    try:
        if request.form.get("decision") == "back":
            voiding.send_back(row, by=by, opinion=opinion)
            told = "已退回考核机构重议。"
        else:
            told = voiding.decide(row, record, sitting, by=by, opinion=opinion)
            integrity.have_looked_at(current_app.extensions["redis"], sitting.id)
    except Refusal as refusal:
        db.session.rollback()
        return _case(case_id, refusal.sentence), refusal.status
    flash(told)
    return redirect(url_for("watching.case", case_id=case_id), 303)


def _case_locked(case_id: UUID) -> tuple[IntegrityCase, Assessment, Sitting]:
    if db.session.scalar(_cases().where(IntegrityCase.id == case_id).with_only_columns(IntegrityCase.id)) is None:
        raise NotFound
    found = voiding.locked(case_id)
    if found is None:
        raise NotFound
    return found


def _moment(text: str) -> datetime | None:
    """A moment as a browser's field gives it, by the clock of Beijing. Raises Invalid."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=clock.BEIJING).astimezone(UTC)
    except ValueError as fault:
        raise Invalid("重考截止时间无法识别,请重新选择。", "resit_until") from fault
