"""The console: what waits, institutions, staff, doctors."""

from typing import Any
from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from flask_wtf.file import FileField
from sqlalchemy import func, select
from werkzeug.wrappers import Response
from wtforms import BooleanField, DateField, IntegerField, SelectField, StringField

from dingkao import clock
from dingkao.assessments.enrolment import enrol, exclude, include
from dingkao.assessments.intake import add_one, ask_roster
from dingkao.assessments.models import STATES, Assessment
from dingkao.blueprints.access import STAFF, allow
from dingkao.blueprints.console import ADMIN, AUDITOR, OF_INSTITUTION, of_office
from dingkao.blueprints.forms import Choice, Form, Needed
from dingkao.blueprints.review import waiting_counts
from dingkao.blueprints.web import limiter
from dingkao.cycles.models import PHASES
from dingkao.cycles.opening import current_cycle, open_cycle, phases_of
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.doctors.codes import CATEGORIES, DOCUMENT_TYPES, LEVELS, SCOPES, SEXES
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import COLUMNS as ROSTER_COLUMNS
from dingkao.errors import Forbidden, Invalid, NotFound, Refusal, TooLarge
from dingkao.journal import writing as journal
from dingkao.outside.sheets import MAX_BYTES
from dingkao.outside.sheets import write as write_sheet
from dingkao.people import accounts, identity, organisations
from dingkao.people.models import PROVINCE_ROLES, ROLES, Account, Membership, Organisation
from dingkao.tenants import settings
from dingkao.tenants.secrets import Place, vault

office = of_office("office")
REASONS_SHOWN = 3
ACCOUNT_STATES = {"initial": "未启用", "active": "已启用", "closed": "已停用"}


class FileForm(Form):
    """A sheet to take in."""

    file = FileField("文件(xlsx或csv)", [Needed("请选择文件。")])


class InstitutionForm(Form):
    """One institution."""

    name = StringField("机构名称", [Needed("请填写机构名称。")])
    registration_number = StringField("机构登记号", [Needed("请填写机构登记号。")])
    division = StringField("行政区划代码", [Needed("请填写6位行政区划代码,如140400。")])
    category = StringField("机构类别", default="医疗机构")


class AssessorForm(Form):
    """Which organisation assesses an institution, and whether the institution is one itself."""

    assesses = BooleanField("指定为考核机构")
    assessor = Choice("所属考核机构")


class StaffForm(Form):
    """An invitation."""

    user_name = StringField("用户名", [Needed("请填写用户名,如 changzhi-jingban。")])
    name = StringField("姓名", [Needed("请填写姓名。")])
    role = Choice("角色", [Needed("请选择角色。")], choices=list(ROLES.items()))
    organisation = StringField("机构登记号")


class DoctorForm(Form):
    """One doctor, in the columns and words of the roster."""

    name = StringField("姓名", [Needed("请填写与身份证一致的姓名。")])
    document_type = SelectField("证件类型", choices=list(DOCUMENT_TYPES.values()))
    number = StringField("证件号码", [Needed("请填写证件号码。")])
    sex = Choice("性别", choices=[(word, word) for word in SEXES.values()])
    registration_number = StringField("机构登记号", [Needed("请填写主要执业机构的登记号。")])
    level = SelectField("级别", choices=list(LEVELS.values()))
    category = Choice("执业类别", [Needed("请选择执业类别。")], choices=[(word, word) for word in CATEGORIES.values()])
    scope = Choice("执业范围", choices=[(word, f"{CATEGORIES.get(kind, '其他')}:{word}") for kind, word in SCOPES.values()])
    department = StringField("科室")
    title = StringField("技术职称")
    mobile = StringField("手机号码")
    qualification = StringField("医师资格证书编码")
    practice = StringField("医师执业证书编码")
    first_registered = StringField("首次注册日期", render_kw={"type": "date"})
    ethnicity = StringField("民族")
    education = StringField("学历")


class PlacedDoctorForm(DoctorForm):
    """The same for those who may add to their own institutions alone."""

    registration_number = Choice("主要执业机构", [Needed("请选择机构。")])


class CycleForm(Form):
    """A cycle and its phases."""

    label = StringField("周期名称", [Needed("请填写周期名称,如2024年07月-2025年07月。")])
    starts_on = DateField("周期开始", [Needed("请选择开始日期。")])
    ends_on = DateField("周期结束", [Needed("请选择结束日期。")])
    years = IntegerField("考核年数", [Needed("请填写年数。")], default=3)


for _kind, _name in PHASES.items():
    setattr(CycleForm, f"{_kind}_first", DateField(f"{_name}开始", [Needed(f"请选择{_name}阶段的开始日期。")]))
    setattr(CycleForm, f"{_kind}_last", DateField(f"{_name}结束", [Needed(f"请选择{_name}阶段的结束日期。")]))


@office.get("/office")
@allow(STAFF)
def tasks() -> str:
    """What waits for this person."""
    counts: dict[str, int] = {}
    if ADMIN in current_user.roles:
        counts["机构"] = _count(select(func.count()).select_from(Organisation))
        counts["未指定考核机构的机构"] = _count(
            select(func.count()).select_from(Organisation).where(Organisation.assessment_organisation_id.is_(None))
        )
        counts["医师"] = _count(select(func.count()).select_from(Doctor))
    mine = current_user.organisations(*OF_INSTITUTION)
    if mine:
        counts["本机构医师"] = _count(select(func.count()).select_from(Doctor).where(Doctor.organisation_id.in_(mine)))
        waiting = select(func.count()).select_from(Doctor).join(
            Account, (Account.tenant_id == Doctor.tenant_id) & (Account.id == Doctor.account_id)
        )
        counts["尚未登录的医师"] = _count(waiting.where(Doctor.organisation_id.in_(mine), Account.state == "initial"))
    for side, number in waiting_counts().items():
        counts["待机构审核" if side == "institution" else "待考核机构复核"] = number
    names = {row.id: row.name for row in db.session.scalars(select(Organisation).where(Organisation.id.in_(current_user.organisations())))}
    roles = [(ROLES[m.role], names.get(m.organisation_id, "") if m.organisation_id else "") for m in current_user.memberships]
    return render_template("office/tasks.html", counts=counts, roles=roles)


@office.get("/office/institutions")
@allow(ADMIN, "auditor")
def institutions() -> str:
    """The institutions of the province."""
    return _institutions(FileForm(), InstitutionForm(), None)


@office.post("/office/institutions")
@allow(ADMIN)
def add_institution() -> Response | tuple[str, int]:
    """One institution by the form."""
    form = InstitutionForm()
    if form.validate_on_submit():
        entry = organisations.InstitutionEntry(
            form.name.data or "", form.registration_number.data or "", form.division.data or "", form.category.data or ""
        )
        try:
            organisations.add_institution(entry, by=current_user.actor())
            flash(f"已添加{entry.name}。")
            return redirect(url_for("office.institutions"), 303)
        except Invalid as refusal:
            form.refuse(refusal)
    return _institutions(FileForm(formdata=None), form, None), 422


@office.post("/office/institutions/import")
@allow(ADMIN)
@limiter.limit("20/hour")
def import_institutions() -> tuple[str, int]:
    """Many institutions from a sheet; the report stands above the list."""
    form, report = FileForm(), None
    if form.validate_on_submit():
        try:
            report = organisations.import_institutions(form.file.data.read(MAX_BYTES + 1), by=current_user.actor())
        except Refusal as refusal:
            form.refuse(Invalid(refusal.sentence, "file"))
    return _institutions(form, InstitutionForm(formdata=None), report), 200 if report else 422


def _institutions(file: FileForm, form: InstitutionForm, report: Any) -> str:
    words = request.args.get("q", "").strip()
    query = select(Organisation)
    if words:
        query = query.where(Organisation.name.startswith(words, autoescape=True) | (Organisation.registration_number == words.upper()))
    found = page(query, [Organisation.name, Organisation.id], request.args.get("after"))
    wanted = [row.assessment_organisation_id for row in found.rows if row.assessment_organisation_id]
    assessors = {row.id: row.name for row in db.session.scalars(select(Organisation).where(Organisation.id.in_(wanted)))}
    appointed = db.session.scalars(select(Organisation).where(Organisation.assesses).order_by(Organisation.name).limit(200)).all()
    unassigned = _count(select(func.count()).select_from(Organisation).where(Organisation.assessment_organisation_id.is_(None)))
    return render_template("office/institutions.html", appointed=appointed, unassigned=unassigned, page=found, assessors=assessors, file=file, form=form, report=report, q=words)


@office.route("/office/institutions/<uuid:organisation_id>", methods=["GET", "POST"])
@allow(ADMIN)
def institution(organisation_id: UUID) -> Response | str:
    """One institution: appoint it an assessment organisation, assign it one."""
    row = _organisation(organisation_id)
    appointed = db.session.scalars(select(Organisation).where(Organisation.assesses).order_by(Organisation.name)).all()
    form = AssessorForm(assesses=row.assesses, assessor=str(row.assessment_organisation_id or ""))
    choices = {str(one.id): one.name for one in appointed} | {str(row.id): f"{row.name}(本机构)"}
    form.assessor.choices = [("", "请选择"), *choices.items()]
    if form.validate_on_submit():
        if form.assesses.data:
            organisations.appoint(row, by=current_user.actor())
        if form.assessor.data:
            assessor = _organisation(UUID(form.assessor.data))
            organisations.assign(row, assessor, by=current_user.actor())
        flash("已保存。")
        return redirect(url_for("office.institutions"), 303)
    return render_template("office/institution.html", row=row, form=form)


@office.get("/office/staff")
@allow(ADMIN)
def staff() -> str:
    """The staff of the province."""
    return _staff(StaffForm(formdata=None), None)


@office.post("/office/staff")
@allow(ADMIN)
def invite() -> tuple[str, int]:
    """Invite someone: the one-time code is shown now and never again."""
    form, told = StaffForm(), None
    if form.validate_on_submit():
        try:
            place = None
            if form.role.data not in PROVINCE_ROLES:
                place = db.session.scalar(
                    select(Organisation).where(Organisation.registration_number == (form.organisation.data or "").upper())
                )
                if place is None:
                    raise Invalid("没有这个机构登记号,请在机构列表中核对。", "organisation")
                if form.role.data.startswith("organisation_") and not place.assesses:
                    raise Invalid(f"{place.name}尚未指定为考核机构。", "organisation")
            made = accounts.make_staff(form.user_name.data or "", form.name.data or "", [(form.role.data, place)], by=current_user.actor())
            told = (made.user_name, accounts.issue_code(made, by=current_user.actor()))
        except Invalid as refusal:
            form.refuse(refusal)
    return _staff(form if told is None else StaffForm(formdata=None), told), 200 if told else 422


@office.post("/office/staff/<uuid:account_id>/code")
@allow(ADMIN)
def staff_code(account_id: UUID) -> str:
    """A new one-time code for a member of staff."""
    account = db.session.scalar(select(Account).where(Account.id == account_id, Account.kind == "staff").with_for_update())
    if account is None:
        raise NotFound
    return _staff(StaffForm(formdata=None), (account.user_name, accounts.issue_code(account, by=current_user.actor())))


def _staff(form: StaffForm, told: Any) -> str:
    found = page(select(Account).where(Account.kind == "staff"), [Account.id], request.args.get("after"))
    held = db.session.scalars(select(Membership).where(Membership.account_id.in_([row.id for row in found.rows]))).all()
    names = {
        row.id: row.name
        for row in db.session.scalars(select(Organisation).where(Organisation.id.in_([m.organisation_id for m in held if m.organisation_id])))
    }
    roles: dict[UUID, list[str]] = {}
    for one in held:
        roles.setdefault(one.account_id, []).append(f"{ROLES[one.role]} {names.get(one.organisation_id, '') if one.organisation_id else ''}")
    return render_template("office/staff.html", page=found, roles=roles, form=form, told=told, states=ACCOUNT_STATES)


@office.get("/office/doctors")
@allow(ADMIN, "auditor", *OF_INSTITUTION)
def doctors() -> str:
    """The doctors of the province, or of one's own institution."""
    query = select(Doctor)
    if not current_user.roles & {ADMIN, "auditor"}:
        query = query.where(Doctor.organisation_id.in_(current_user.organisations(*OF_INSTITUTION)))
    name = request.args.get("name", "").strip()
    if name:
        query = query.where(Doctor.name == name)
    found = page(query, [Doctor.name_key, Doctor.id], request.args.get("after"))
    states = {
        row.id: row.state for row in db.session.scalars(select(Account).where(Account.id.in_([one.account_id for one in found.rows])))
    }
    places = {
        row.id: row.name for row in db.session.scalars(select(Organisation).where(Organisation.id.in_({one.organisation_id for one in found.rows})))
    }
    return render_template(
        "office/doctors.html", page=found, account_states=states, states=ACCOUNT_STATES, places=places, levels=LEVELS, categories=CATEGORIES,
        sexes=SEXES, name=name, may_issue=bool(current_user.roles & {ADMIN, *OF_INSTITUTION}),
    )  # fmt: skip


@office.route("/office/roster", methods=["GET", "POST"])
@allow(ADMIN, *OF_INSTITUTION)
@limiter.limit("60/hour", methods=["POST"])
def roster() -> Response | tuple[str, int] | str:
    """Take in a roster, as a job: the province's administrator for every institution, a clerk for the clerk's own."""
    form, only = FileForm(), None
    if ADMIN not in current_user.roles:
        only = _organisation(current_user.organisations(*OF_INSTITUTION)[0])
    if form.validate_on_submit():
        try:
            job = ask_roster(form.file.data.read(MAX_BYTES + 1), form.file.data.filename or "", only=only, by=current_user.actor())
        except (Invalid, TooLarge) as refusal:
            form.refuse(Invalid(refusal.sentence, "file"))
        else:
            return redirect(url_for("work.show", job_id=job.id), 303)
    shown = render_template("office/roster.html", form=form, only=only, headings=[names[0] for names in ROSTER_COLUMNS.values()])
    return (shown, 422) if request.method == "POST" else shown


@office.get("/office/roster/template.xlsx")
@allow(ADMIN, *OF_INSTITUTION)
def roster_template() -> FlaskResponse:
    """An empty roster to fill in."""
    return _sheet(write_sheet([names[0] for names in ROSTER_COLUMNS.values()], [], "医师名单"), "roster-template.xlsx")


def _sheet(content: bytes, name: str) -> FlaskResponse:
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return FlaskResponse(content, mimetype=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@office.route("/office/doctors/new", methods=["GET", "POST"])
@allow(ADMIN, *OF_INSTITUTION)
@limiter.limit("300/hour", methods=["POST"])
def add_doctor() -> Response | tuple[str, int] | str:
    """One doctor by a form: the province's administrator at any institution, a clerk at the clerk's own."""
    only = None if ADMIN in current_user.roles else current_user.organisations(*OF_INSTITUTION)
    form = DoctorForm() if only is None else PlacedDoctorForm()
    if only is not None:
        mine = db.session.scalars(select(Organisation).where(Organisation.id.in_(only)).order_by(Organisation.name)).all()
        form.registration_number.choices = [(row.registration_number, row.name) for row in mine]
    if form.validate_on_submit():
        typed = {name: form.data[name] or "" for name in ROSTER_COLUMNS if name in form.data}
        try:
            added, odd = add_one(typed, by=current_user.actor(), only=only)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            flash(f"已添加{added.name}。{''.join(odd)}")
            return redirect(url_for("office.doctor", doctor_id=added.id), 303)
    shown = render_template("office/doctor_form.html", form=form, only=only)
    return (shown, 422) if request.method == "POST" else shown


@office.get("/office/doctors/<uuid:doctor_id>")
@allow(ADMIN, "auditor", *OF_INSTITUTION)
def doctor(doctor_id: UUID) -> str:
    """One doctor of the roster, numbers masked."""
    return _doctor_page(_doctor(doctor_id), revealed=False)


@office.post("/office/doctors/<uuid:doctor_id>/reveal")
@allow(ADMIN, *OF_INSTITUTION)
@limiter.limit("120/hour")
def reveal_doctor(doctor_id: UUID) -> str:
    """The same with its numbers in clear; who saw them is journalled."""
    row = _doctor(doctor_id)
    journal.write("doctor", row.id, "numbers_revealed", by=current_user.actor())
    return _doctor_page(row, revealed=True)


@office.post("/office/doctors/<uuid:doctor_id>/renew")
@allow(ADMIN, *OF_INSTITUTION)
@limiter.limit("120/hour")
def renew_doctor(doctor_id: UUID) -> Response:
    """Another term for the initial credential of a doctor who hasn't signed in yet."""
    row = _doctor(doctor_id)
    accounts.renew_initial(_account_of(row), by=current_user.actor())
    flash(f"已延长{row.name}的初始凭证。")
    return redirect(url_for("office.doctor", doctor_id=row.id), 303)


def _doctor(doctor_id: UUID) -> Doctor:
    """The doctor, if this person may have to do with doctors of that institution; held locked where something is to change."""
    query = select(Doctor).where(Doctor.id == doctor_id)
    row = db.session.scalar(query if request.method == "GET" else query.with_for_update())
    if row is None:
        raise NotFound
    if not current_user.roles & {ADMIN, AUDITOR} and row.organisation_id not in current_user.organisations(*OF_INSTITUTION):
        raise Forbidden
    return row


def _account_of(row: Doctor) -> Account:
    query = select(Account).where(Account.id == row.account_id)
    return db.session.scalars(query if request.method == "GET" else query.with_for_update()).one()


def _doctor_page(row: Doctor, *, revealed: bool) -> str:
    def number(column: str) -> str:
        sealed = getattr(row, f"{column}_sealed")
        plain = vault().unseal(Place("doctor", column, row.id), sealed) if sealed else ""
        return plain if revealed or not plain else identity.masked(plain)

    account, now = _account_of(row), current_cycle()
    record = db.session.scalar(
        select(Assessment).where(Assessment.doctor_id == row.id, Assessment.cycle_id == now.id).order_by(Assessment.id.desc()).limit(1)
    ) if now else None  # fmt: skip
    numbers = {column: number(column) for column in ("number", "mobile", "qualification", "practice")}
    scopes = "、".join(SCOPES[code][1] for code in (row.scope or "").split(",") if code in SCOPES)
    place = db.session.scalars(select(Organisation).where(Organisation.id == row.organisation_id)).one()
    return render_template(
        "office/doctor.html", doctor=row, numbers=numbers, revealed=revealed, account=account, states=ACCOUNT_STATES, place=place, cycle=now,
        record=record, record_states=STATES, scopes=scopes, levels=LEVELS, categories=CATEGORIES, sexes=SEXES, documents=DOCUMENT_TYPES,
        lapsed=account.initial_until <= clock.now(), initial=settings.value("credential_mode") == "initial_password",
        may_act=bool(current_user.roles & {ADMIN, *OF_INSTITUTION}),
    )  # fmt: skip


@office.post("/office/doctors/<uuid:doctor_id>/code")
@allow(ADMIN, *OF_INSTITUTION)
@limiter.limit("60/hour")
def doctor_code(doctor_id: UUID) -> str:
    """A one-time code for a doctor who has no number on the roster, has lost the phone, or whose initial credential has lapsed."""
    doctor = _doctor(doctor_id)
    account = _account_of(doctor)
    code = accounts.issue_code(account, by=current_user.actor())
    return render_template("office/code.html", doctor=doctor, code=code)


@office.route("/office/cycle", methods=["GET", "POST"])
@allow(ADMIN)
def cycle() -> Response | tuple[str, int] | str:
    """The cycle being worked in, and opening the next."""
    form = CycleForm()
    if form.validate_on_submit():
        days = {kind: (form[f"{kind}_first"].data, form[f"{kind}_last"].data) for kind in PHASES}
        try:
            opened = open_cycle(
                form.label.data or "", form.starts_on.data, form.ends_on.data, days, years=form.years.data, by=current_user.actor()
            )
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            flash(f"周期“{opened.label}”已开始,名单中{enrol(opened)}位医师可以纳入。")
            return redirect(url_for("office.cycle"), 303)
    now = current_cycle()
    shown = render_template("office/cycle.html", form=form, cycle=now, phases=phases_of(now) if now else {}, names=PHASES)
    return (shown, 422) if request.method == "POST" else shown


@office.get("/office/inclusion")
@allow(ADMIN, *OF_INSTITUTION)
def inclusion() -> str:
    """Who is on the list of the cycle, who isn't yet, and who has not submitted."""
    now, state = current_cycle(), request.args.get("state", "not_included")
    if now is None:
        return render_template("office/inclusion.html", cycle=None)
    bound = [] if ADMIN in current_user.roles else [Assessment.institution_id.in_(current_user.organisations(*OF_INSTITUTION))]
    counts = dict(
        db.session.execute(
            select(Assessment.state, func.count()).where(Assessment.cycle_id == now.id, *bound).group_by(Assessment.state)
        ).all()
    )  # fmt: skip
    found = page(select(Assessment).where(Assessment.cycle_id == now.id, Assessment.state == state, *bound), [Assessment.id], request.args.get("after"), 100)
    people = {row.id: row for row in db.session.scalars(select(Doctor).where(Doctor.id.in_([one.doctor_id for one in found.rows])))}
    return render_template(
        "office/inclusion.html", cycle=now, counts=counts, page=found, people=people, state=state, states=STATES, levels=LEVELS,
        categories=CATEGORIES,
    )  # fmt: skip


@office.post("/office/inclusion")
@allow(ADMIN, *OF_INSTITUTION)
def include_doctors() -> Response:
    """Put the ticked doctors on the list, or all who aren't on it."""
    now = current_cycle()
    if now is None:
        raise NotFound
    bound = None if ADMIN in current_user.roles else current_user.organisations(*OF_INSTITUTION)
    if "all" in request.form:
        waiting = select(Assessment.id).where(Assessment.cycle_id == now.id, Assessment.state == "not_included")
        ids = list(db.session.scalars(waiting if bound is None else waiting.where(Assessment.institution_id.in_(bound))))
    else:
        ids = [UUID(one) for one in request.form.getlist("record") if len(one) == 36]
    outcome = include(now, ids, by=current_user.actor(), institutions=bound)
    reasons = sorted({reason for _, reason in outcome.left_out})
    more = f" 等{len(reasons)}种原因" if len(reasons) > REASONS_SHOWN else ""
    flash(
        f"已纳入{outcome.done}人。"
        + (f"{len(outcome.left_out)}人未能纳入:{' '.join(reasons[:REASONS_SHOWN])}{more}" if reasons else "")
    )
    return redirect(url_for("office.inclusion"), 303)


@office.post("/office/inclusion/remove")
@allow(ADMIN, *OF_INSTITUTION)
def exclude_doctors() -> Response:
    """Take the ticked doctors off the list, with a reason."""
    now = current_cycle()
    if now is None:
        raise NotFound
    bound = None if ADMIN in current_user.roles else current_user.organisations(*OF_INSTITUTION)
    ids = [UUID(one) for one in request.form.getlist("record") if len(one) == 36]
    try:
        outcome = exclude(now, ids, by=current_user.actor(), institutions=bound, reason=request.form.get("reason", ""))
    except Invalid as refusal:
        flash(refusal.sentence)
    else:
        left = f"{len(outcome.left_out)}人未能移出,因为已开始填报。" if outcome.left_out else ""
        flash(f"已移出{outcome.done}人。{left}")
    return redirect(url_for("office.inclusion", state="included"), 303)


@office.post("/office/institutions/assign")
@allow(ADMIN)
def assign_all() -> Response:
    """Give every institution that has no assessment organisation yet the one chosen."""
    try:
        assessor = _organisation(UUID(request.form.get("assessor", "")))
    except ValueError as fault:
        raise NotFound("请先选择考核机构。") from fault
    waiting = db.session.scalars(select(Organisation).where(Organisation.assessment_organisation_id.is_(None)).with_for_update()).all()
    for row in waiting:
        organisations.assign(row, assessor, by=current_user.actor())
    flash(f"已为{len(waiting)}家机构指定考核机构“{assessor.name}”。")
    return redirect(url_for("office.institutions"), 303)


def _organisation(organisation_id: UUID) -> Organisation:
    query = select(Organisation).where(Organisation.id == organisation_id)
    row = db.session.scalar(query if request.method == "GET" else query.with_for_update())
    if row is None:
        raise NotFound
    return row


def _count(query: Any) -> int:
    return int(db.session.scalar(query) or 0)
