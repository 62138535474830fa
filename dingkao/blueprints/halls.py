"""Halls in the console: halls and slots of an assessment organisation, who has a place in which, start codes, extra time."""

from collections.abc import Iterable, Sequence
from datetime import UTC
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import and_, func, select
from werkzeug.wrappers import Response
from wtforms import BooleanField, DateTimeLocalField, IntegerField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Optional

from dingkao import clock
from dingkao.assessments.enrolment import of_doctor
from dingkao.assessments.models import PROCEDURES, STATES, Assessment
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, OF_ORGANISATION, of_office, organisation_of
from dingkao.blueprints.forms import Choice, Form, Needed, choices_of, chosen
from dingkao.blueprints.web import limiter, xlsx
from dingkao.certificates import admitting
from dingkao.cycles.models import Cycle
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.doctors.models import Doctor
from dingkao.errors import Invalid, NotAllowed, NotFound
from dingkao.exams import halls as rules
from dingkao.exams import prolonging
from dingkao.exams.models import SUBJECTS, AdmissionTicket, ExtraTime, Hall, Slot, SlotPlace
from dingkao.outside.sheets import write as write_sheet
from dingkao.people.models import Organisation

halls = of_office("halls")
EVERYONE = (ADMIN, *OF_ORGANISATION)
SHOWN, MOST_EXPORTED, REASONS_SHOWN = 200, 1000, 3
HEADINGS = ["座位号", "姓名", "证件号码", "准考证号", "主要执业机构", "执业类别", "级别", "程序", "状态"]


class HallForm(Form):
    """A hall."""

    organisation = Choice("考核机构", [Needed("请选择考核机构。")])
    name = StringField("考场名称", [Needed("请填写考场名称,如第一考场。")])
    address = StringField("地址", [Needed("请填写考场地址,写到楼层和房间。")])
    seats = IntegerField("座位数", [Needed("请填写座位数。")])


class SlotForm(Form):
    """A slot, by the clock of Beijing."""

    organisation = Choice("考核机构", [Needed("请选择考核机构。")])
    opens_at = DateTimeLocalField("开始时间(北京时间)", [Needed("请选择开始时间。")])
    closes_at = DateTimeLocalField("结束时间(北京时间)", [Needed("请选择结束时间。")])
    hall = Choice("考场", [Optional()])
    institution = Choice("只限机构", [Optional()])
    subject = Choice("科目", [Optional()], SUBJECTS.items())
    invigilated = BooleanField("有监考人员在场,进入考试时须输入开考码")


class TicketsForm(Form):
    """Whose tickets to print."""

    institution = Choice("机构", [Needed("请选择机构。")])


class ExtraForm(Form):
    """Extra time of one doctor."""

    minutes = IntegerField("延长分钟数", [Optional()])
    percent = IntegerField("或延长百分数(%)", [Optional()])
    reason = StringField("原因(如肢体残疾、视力障碍)", [Needed("请填写延长的原因。")])


def _bound() -> list[UUID] | None:
    """The assessment organisations this person acts for; None for the whole province."""
    return None if ADMIN in current_user.roles else current_user.organisations(*OF_ORGANISATION)


def _assessors() -> list[Organisation]:
    query, bound = select(Organisation).where(Organisation.assesses).order_by(Organisation.name), _bound()
    return list(db.session.scalars(query if bound is None else query.where(Organisation.id.in_(bound))))


def _cycle() -> Cycle:
    cycle = current_cycle()
    if cycle is None:
        raise NotFound("本省还没有开始考核周期,请先开始周期再安排考场。")
    return cycle


def _mine(text: str | None) -> Organisation:
    """The assessment organisation that was chosen, if this person acts for it. Raises Invalid."""
    found = next((row for row in _assessors() if str(row.id) == text), None)
    if found is None:
        raise Invalid("请从列表中选择考核机构。", "organisation")
    return found


@halls.get("/office/halls")
@allow(*EVERYONE)
def index() -> str:
    """Halls and slots, with how many have a place."""
    return _index(SlotForm(formdata=None))


def _index(slot_form: SlotForm) -> str:
    cycle, assessors = current_cycle(), _assessors()
    ids = [row.id for row in assessors]
    own = list(db.session.scalars(select(Hall).where(Hall.organisation_id.in_(ids)).order_by(Hall.name)))
    mine = select(Slot).where(Slot.cycle_id == (cycle.id if cycle else None), Slot.organisation_id.in_(ids))
    found = page(mine, [Slot.opens_at, Slot.id], request.args.get("after"))
    slots = found.rows
    _offer(slot_form, assessors, own)
    if len(assessors) == 1 and not slot_form.is_submitted():
        slot_form.organisation.data = str(assessors[0].id)
    counted = select(SlotPlace.slot_id, func.count()).where(SlotPlace.slot_id.in_([row.id for row in slots])).group_by(SlotPlace.slot_id)
    return render_template(
        "halls/index.html", cycle=cycle, halls=own, page=found, slots=slots, taken=dict(db.session.execute(counted).all()), slot_form=slot_form,
        by_id={row.id: row for row in own}, places=_names([*ids, *(row.institution_id for row in slots)]), subjects=SUBJECTS,
        moment=clock.now(),
    )  # fmt: skip


def _offer(form: SlotForm, assessors: Sequence[Organisation], own: Sequence[Hall]) -> None:
    form.organisation.choices = choices_of((str(row.id), row.name) for row in assessors)
    form.hall.choices = choices_of((str(row.id), f"{row.name}({row.seats}座)") for row in own if row.closed_at is None or str(row.id) == form.hall.data)
    assessed = select(Organisation).where(Organisation.assessment_organisation_id.in_([row.id for row in assessors])).order_by(Organisation.name)
    form.institution.choices = choices_of((str(row.id), row.name) for row in db.session.scalars(assessed))
    for field, word in ((form.hall, "不设考场"), (form.institution, "不限机构"), (form.subject, "全部试卷")):
        field.choices = [SelectChoice("", word), *field.choices[1:]]


def _names(ids: Iterable[UUID | None]) -> dict[UUID, str]:
    found = select(Organisation.id, Organisation.name).where(Organisation.id.in_([one for one in ids if one]))
    return {row[0]: row[1] for row in db.session.execute(found)}


@halls.route("/office/halls/new", methods=["GET", "POST"])
@allow(*EVERYONE)
def add_hall() -> Response | tuple[str, int] | str:
    """A new hall."""
    form, assessors = HallForm(), _assessors()
    form.organisation.choices = choices_of((str(row.id), row.name) for row in assessors)
    if request.method == "GET" and len(assessors) == 1:
        form.organisation.data = str(assessors[0].id)
    if form.validate_on_submit():
        try:
            rules.keep_hall(
                _mine(form.organisation.data), name=form.name.data or "", address=form.address.data or "", seats=form.seats.data or 0,
                by=current_user.actor(),
            )  # fmt: skip
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            flash("考场已添加。")
            return redirect(url_for("halls.index"), 303)
    shown = render_template("halls/hall.html", hall=None, form=form)
    return (shown, 422) if request.method == "POST" else shown


@halls.route("/office/halls/<uuid:hall_id>", methods=["GET", "POST"])
@allow(*EVERYONE)
def hall(hall_id: UUID) -> Response | tuple[str, int] | str:
    """One hall, to be changed."""
    row = _hall(hall_id)
    form = HallForm(data={"organisation": str(row.organisation_id), "name": row.name, "address": row.address, "seats": row.seats})
    owner = organisation_of(row.organisation_id)
    form.organisation.choices = choices_of([(str(owner.id), owner.name)])
    if form.validate_on_submit():
        try:
            rules.keep_hall(owner, name=form.name.data or "", address=form.address.data or "", seats=form.seats.data or 0, by=current_user.actor(), hall=row)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            flash("考场已保存。")
            return redirect(url_for("halls.index"), 303)
    shown = render_template("halls/hall.html", hall=row, form=form)
    return (shown, 422) if request.method == "POST" else shown


@halls.post("/office/halls/<uuid:hall_id>/shut")
@allow(*EVERYONE)
def shut_hall(hall_id: UUID) -> Response:
    """Take a hall out of use, or back."""
    row = _hall(hall_id)
    rules.shut_hall(row, by=current_user.actor())
    flash("考场已停用,不再用于新的场次。" if row.closed_at else "考场已恢复使用。")
    return redirect(url_for("halls.index"), 303)


def _hall(hall_id: UUID) -> Hall:
    query, bound = select(Hall).where(Hall.id == hall_id), _bound()
    if bound is not None:
        query = query.where(Hall.organisation_id.in_(bound))
    row = db.session.scalar(query if request.method != "POST" else query.with_for_update())
    if row is None:
        raise NotFound
    return row


@halls.post("/office/slots")
@allow(*EVERYONE)
def add_slot() -> Response | tuple[str, int]:
    """A new slot."""
    form, cycle, assessors = SlotForm(), _cycle(), _assessors()
    _offer(form, assessors, list(db.session.scalars(select(Hall).where(Hall.organisation_id.in_([row.id for row in assessors])))))
    if form.validate_on_submit():
        try:
            made = _keep(form, cycle, _mine(form.organisation.data), None)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            flash("场次已添加,请编排医师。")
            return redirect(url_for("halls.slot", slot_id=made.id), 303)
    return _index(form), 422


def _keep(form: SlotForm, cycle: Cycle, owner: Organisation, row: Slot | None) -> Slot:
    opens_at, closes_at = (moment.replace(tzinfo=clock.BEIJING).astimezone(UTC) for moment in (form.opens_at.data, form.closes_at.data))
    return rules.keep_slot(
        cycle, owner, opens_at=opens_at, closes_at=closes_at, hall=_hall(UUID(form.hall.data)) if form.hall.data else None,
        institution=organisation_of(UUID(form.institution.data)) if form.institution.data else None, subject=form.subject.data or None,
        invigilated=bool(form.invigilated.data), by=current_user.actor(), slot=row,
    )  # fmt: skip


@halls.get("/office/slots/<uuid:slot_id>")
@allow(*EVERYONE)
def slot(slot_id: UUID) -> str:
    """One slot: who has a place in it, and who could be given one."""
    row = rules.slot_of(slot_id, _bound())
    wanted = request.args.get("institution", "")
    institution = next((one for one in _assessed(row) if str(one.id) == wanted), None)
    query = rules.candidates(row, institution.id if institution else None)
    waiting = db.session.scalar(select(func.count()).select_from(query.subquery())) or 0
    free = db.session.scalars(query.order_by(Assessment.institution_id, Doctor.name_key, Assessment.id).limit(SHOWN)).all()
    people = {one.id: one for one in db.session.scalars(select(Doctor).where(Doctor.id.in_([record.doctor_id for record in free])))}
    hall_row = rules.hall_of(row)
    return render_template(
        "halls/slot.html", slot=row, hall=hall_row, placed=_placed(row), free=free, people=people, waiting=waiting, assessed=_assessed(row),
        institution=institution, names=_names([*(record.institution_id for record in free), row.institution_id, row.organisation_id]),
        subjects=SUBJECTS, categories=CATEGORIES, levels=LEVELS, procedures=PROCEDURES, states=STATES,
    )  # fmt: skip


def _assessed(row: Slot) -> list[Organisation]:
    query = select(Organisation).where(Organisation.assessment_organisation_id == row.organisation_id)
    if row.institution_id:
        query = query.where(Organisation.id == row.institution_id)
    return list(db.session.scalars(query.order_by(Organisation.name)))


def _placed(row: Slot) -> list[tuple[int, Doctor, Assessment, str, str]]:
    """Who has a place, by seat: seat, doctor, record, ticket number, institution."""
    query = (
        select(SlotPlace.seat, Doctor, Assessment, AdmissionTicket.number, Organisation.name)
        .join(Assessment, and_(Assessment.tenant_id == SlotPlace.tenant_id, Assessment.id == SlotPlace.assessment_id))
        .join(Doctor, of_doctor())
        .join(Organisation, and_(Organisation.tenant_id == Assessment.tenant_id, Organisation.id == Assessment.institution_id))
        .outerjoin(AdmissionTicket, and_(AdmissionTicket.tenant_id == Assessment.tenant_id, AdmissionTicket.assessment_id == Assessment.id))
        .where(SlotPlace.slot_id == row.id).order_by(SlotPlace.seat)
    )  # fmt: skip
    return [(one[0], one[1], one[2], one[3] or "", one[4]) for one in db.session.execute(query)]


@halls.route("/office/slots/<uuid:slot_id>/change", methods=["GET", "POST"])
@allow(*EVERYONE)
def change_slot(slot_id: UUID) -> Response | tuple[str, int] | str:
    """Change when, where and for whom a slot is; those who have a place are told of another time or hall."""
    row = rules.slot_of(slot_id, _bound(), lock=request.method == "POST")
    owner = organisation_of(row.organisation_id)
    form = SlotForm(data={
        "organisation": str(row.organisation_id), "opens_at": clock.beijing(row.opens_at), "closes_at": clock.beijing(row.closes_at),
        "hall": str(row.hall_id or ""), "institution": str(row.institution_id or ""), "subject": row.subject or "", "invigilated": row.invigilated,
    })  # fmt: skip
    _offer(form, [owner], list(db.session.scalars(select(Hall).where(Hall.organisation_id == owner.id).order_by(Hall.name))))
    if form.validate_on_submit():
        before = row.closes_at
        try:
            _keep(form, db.session.get_one(Cycle, (row.tenant_id, row.cycle_id)), owner, row)
            if row.closes_at > before:
                prolonging.ask_for_slot(row, by=current_user.actor())
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            flash("场次已保存,已编排的医师会收到变更消息。")
            return redirect(url_for("halls.slot", slot_id=slot_id), 303)
    shown = render_template("halls/change.html", slot=row, form=form)
    return (shown, 422) if request.method == "POST" else shown


@halls.post("/office/slots/<uuid:slot_id>/places")
@allow(*EVERYONE)
@limiter.limit("120/hour")
def place(slot_id: UUID) -> Response:
    """Give the ticked doctors places, or all who wait as far as there are seats."""
    row = rules.slot_of(slot_id, _bound(), lock=True)
    if "all" in request.form:
        institution = next((one.id for one in _assessed(row) if str(one.id) == request.form.get("institution")), None)
        outcome = rules.place_all(row, by=current_user.actor(), institution=institution)
    else:
        outcome = rules.place(row, chosen(), by=current_user.actor())
    reasons = sorted({reason for _, reason in outcome.left_out})
    if not outcome.done and not outcome.left_out:
        flash("请先勾选要编排的医师。" if "all" not in request.form else "没有可以编排的医师,或考场已满。")
    else:
        flash(f"已编排{outcome.done}人。" + (f"{len(outcome.left_out)}人未编排:{';'.join(reasons[:REASONS_SHOWN])}。" if reasons else ""))
    return redirect(url_for("halls.slot", slot_id=slot_id), 303)


@halls.post("/office/slots/<uuid:slot_id>/places/remove")
@allow(*EVERYONE)
def unplace(slot_id: UUID) -> Response:
    """Take the ticked doctors out of a slot; they are told."""
    row = rules.slot_of(slot_id, _bound(), lock=True)
    flash(f"已移出{rules.unplace(row, chosen('placed'), by=current_user.actor())}人,已发消息告知。")
    return redirect(url_for("halls.slot", slot_id=slot_id), 303)


@halls.post("/office/slots/<uuid:slot_id>/remove")
@allow(*EVERYONE)
def remove_slot(slot_id: UUID) -> Response:
    """Remove a slot nobody has a place in."""
    try:
        rules.remove_slot(rules.slot_of(slot_id, _bound(), lock=True), by=current_user.actor())
    except NotAllowed as refusal:
        flash(refusal.sentence)
        return redirect(url_for("halls.slot", slot_id=slot_id), 303)
    flash("场次已删除。")
    return redirect(url_for("halls.index"), 303)


@halls.get("/office/slots/<uuid:slot_id>/list.xlsx")
@allow(*EVERYONE)
def sheet(slot_id: UUID) -> FlaskResponse:
    """Who sits where in a slot, as a sheet; numbers masked, a thousand people at the most (domain.md §12)."""
    placed = _placed(rules.slot_of(slot_id, _bound()))
    if len(placed) > MOST_EXPORTED:
        raise NotAllowed(f"一次最多导出{MOST_EXPORTED}人,请分场次安排后再导出。")
    rows = [
        (seat, doctor.name, doctor.number_masked, ticket, institution, CATEGORIES[doctor.category], LEVELS[doctor.level],
         PROCEDURES.get(record.procedure or "", ""), STATES[record.state])
        for seat, doctor, record, ticket, institution in placed
    ]  # fmt: skip
    return xlsx(write_sheet(HEADINGS, rows, "考场签到表"), "slot.xlsx")


@halls.post("/office/slots/<uuid:slot_id>/tickets")
@allow(*EVERYONE)
@limiter.limit("30/hour")
def slot_tickets(slot_id: UUID) -> Response:
    """The admission tickets of everyone with a place in a slot, as one PDF."""
    job = admitting.ask_slot(rules.slot_of(slot_id, _bound(), lock=True), by=current_user.actor())
    return redirect(url_for("work.show", job_id=job.id), 303)


@halls.route("/office/tickets", methods=["GET", "POST"])
@allow(*EVERYONE)
@limiter.limit("60/hour", methods=["POST"])
def tickets() -> Response | tuple[str, int] | str:
    """The admission tickets of an institution's doctors, as one PDF."""
    form, assessors, bound = TicketsForm(), _assessors(), _bound()
    assessed = select(Organisation).where(Organisation.assessment_organisation_id.in_([row.id for row in assessors])).order_by(Organisation.name)
    own = {str(row.id): row for row in db.session.scalars(assessed)}
    form.institution.choices = choices_of((key, row.name) for key, row in own.items())
    if form.validate_on_submit():
        institution = own[form.institution.data]
        try:
            assessor = institution.assessment_organisation_id if bound is not None else None
            job = admitting.ask_institution(institution, assessor, _cycle(), by=current_user.actor())
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            return redirect(url_for("work.show", job_id=job.id), 303)
    shown = render_template("halls/tickets.html", form=form)
    return (shown, 422) if request.method == "POST" else shown


@halls.get("/office/slots/<uuid:slot_id>/code")
@allow(*EVERYONE)
def code(slot_id: UUID) -> FlaskResponse:
    """The start code for the invigilator to read out or show; the page looks again by itself when the next one comes."""
    row = rules.slot_of(slot_id, _bound())
    if not row.invigilated:
        raise NotFound("这个场次没有设监考人员,进入考试不需要开考码。")
    digits, until = rules.start_code(row)
    page = render_template("halls/code.html", slot=row, hall=rules.hall_of(row), code=digits, until=until, moment=clock.now())
    seconds = max(1, int((until - clock.now()).total_seconds()) + 1)
    return FlaskResponse(page, headers={"Refresh": str(seconds)}, mimetype="text/html")


# --- extra time


@halls.get("/office/extra-time")
@allow(*EVERYONE)
def extra() -> str:
    """Who has extra time in the cycle, and finding a doctor to give it to."""
    cycle, name = current_cycle(), request.args.get("name", "").strip()
    if cycle is None:
        return render_template("halls/extra.html", cycle=None)
    theirs = and_(ExtraTime.tenant_id == Doctor.tenant_id, ExtraTime.doctor_id == Doctor.id, ExtraTime.cycle_id == cycle.id)
    listed = page(_of_mine(select(ExtraTime), cycle).join(ExtraTime, theirs), [ExtraTime.id], request.args.get("after"), newest=True)
    whose = _of_mine(select(Doctor, Assessment), cycle).where(Doctor.id.in_([row.doctor_id for row in listed.rows]))
    by_doctor = {row[0].id: (row[0], row[1]) for row in db.session.execute(whose)}
    granted = [(row, *by_doctor[row.doctor_id]) for row in listed.rows]
    found = db.session.execute(_of_mine(select(Doctor, Assessment), cycle).where(Doctor.name == name).limit(SHOWN)).all() if name else []
    names = _names({row[-1].institution_id for row in (*granted, *found)})
    return render_template(
        "halls/extra.html", cycle=cycle, page=listed, granted=granted, found=found, name=name, names=names, reason_of=rules.reason_of, categories=CATEGORIES, levels=LEVELS
    )


def _of_mine(query, cycle):  # type: ignore[no-untyped-def]
    """The doctors with a record of the cycle under this person's organisations."""
    bound = _bound()
    query = query.select_from(Assessment).join(Doctor, of_doctor()).where(Assessment.cycle_id == cycle.id, Assessment.state != "not_included")
    return query if bound is None else query.where(Assessment.assessor_id.in_(bound))


def _doctor(doctor_id: UUID, cycle: Cycle) -> Doctor:
    row = db.session.scalars(_of_mine(select(Doctor), cycle).where(Doctor.id == doctor_id).limit(1)).first()
    if row is None:
        raise NotFound
    found: Doctor = row
    return found


@halls.route("/office/extra-time/<uuid:doctor_id>", methods=["GET", "POST"])
@allow(*EVERYONE)
def grant(doctor_id: UUID) -> Response | tuple[str, int] | str:
    """Give one doctor extra time for every paper of the cycle, or change it."""
    cycle = _cycle()
    person = _doctor(doctor_id, cycle)
    row = rules.extra_of(person, cycle)
    form = ExtraForm(data={"minutes": row.minutes, "percent": row.percent, "reason": rules.reason_of(row)} if row else {})
    if form.validate_on_submit():
        try:
            rules.grant_extra(
                person, cycle, minutes=form.minutes.data, percent=form.percent.data, reason=form.reason.data or "", by=current_user.actor()
            )  # fmt: skip
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            flash(f"已为{person.name}延长作答时间,对之后开始的每份试卷有效。")
            return redirect(url_for("halls.extra"), 303)
    shown = render_template("halls/grant.html", form=form, doctor=person, row=row, place=_names({person.organisation_id})[person.organisation_id])
    return (shown, 422) if request.method == "POST" else shown


@halls.post("/office/extra-time/<uuid:doctor_id>/withdraw")
@allow(*EVERYONE)
def withdraw(doctor_id: UUID) -> Response:
    """Take it back; what has been begun keeps it."""
    cycle = _cycle()
    row = rules.extra_of(_doctor(doctor_id, cycle), cycle, lock=True)
    if row is None:
        raise NotFound
    rules.withdraw_extra(row, by=current_user.actor())
    flash("已取消延长,已经开始的试卷不受影响。")
    return redirect(url_for("halls.extra"), 303)
