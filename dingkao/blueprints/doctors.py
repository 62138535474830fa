"""Doctors in the console: the list, one of them, adding one by a form or many by a roster."""

from uuid import UUID

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response
from wtforms import SelectField, StringField

from dingkao import clock
from dingkao.assessments.intake import add_one, ask_roster
from dingkao.assessments.models import STATES, Assessment
from dingkao.blueprints.access import allow
from dingkao.blueprints.console import ADMIN, AUDITOR, OF_INSTITUTION, of_office, organisation_of
from dingkao.blueprints.forms import Choice, FileForm, Form, Needed, choices_of
from dingkao.blueprints.web import limiter, xlsx
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.database.pages import page
from dingkao.doctors.codes import CATEGORIES, DOCUMENT_TYPES, LEVELS, SCOPES, SEXES
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import COLUMNS as ROSTER_COLUMNS
from dingkao.errors import Forbidden, Invalid, NotFound, TooLarge, Unavailable
from dingkao.journal import writing as journal
from dingkao.outside.sheets import MAX_BYTES
from dingkao.outside.sheets import write as write_sheet
from dingkao.people import accounts, identity
from dingkao.people.models import ACCOUNT_STATES, Account, Organisation
from dingkao.tenants import settings
from dingkao.tenants.secrets import Place, vault

doctors = of_office("doctors")


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


@doctors.get("/office/doctors")
@allow(ADMIN, AUDITOR, *OF_INSTITUTION)
def index() -> str:
    """The doctors of the province, or of one's own institution."""
    query = select(Doctor)
    if not current_user.roles & {ADMIN, AUDITOR}:
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
        "doctors/index.html", page=found, account_states=states, states=ACCOUNT_STATES, places=places, levels=LEVELS, categories=CATEGORIES,
        sexes=SEXES, name=name, may_issue=bool(current_user.roles & {ADMIN, *OF_INSTITUTION}),
    )  # fmt: skip


@doctors.route("/office/doctors/new", methods=["GET", "POST"])
@allow(ADMIN, *OF_INSTITUTION)
@limiter.limit("300/hour", methods=["POST"])
def add() -> Response | tuple[str, int] | str:
    """One doctor by a form: the province's administrator at any institution, a clerk at the clerk's own."""
    only = None if ADMIN in current_user.roles else current_user.organisations(*OF_INSTITUTION)
    form = DoctorForm() if only is None else PlacedDoctorForm()
    if only is not None:
        mine = db.session.scalars(select(Organisation).where(Organisation.id.in_(only)).order_by(Organisation.name)).all()
        form.registration_number.choices = choices_of((row.registration_number, row.name) for row in mine)
    if form.validate_on_submit():
        typed = {name: form.data[name] or "" for name in ROSTER_COLUMNS if name in form.data}
        try:
            added, odd = add_one(typed, by=current_user.actor(), only=only)
        except Invalid as refusal:
            form.refuse(refusal)
        else:
            flash(f"已添加{added.name}。{''.join(odd)}")
            return redirect(url_for("doctors.show", doctor_id=added.id), 303)
    shown = render_template("doctors/add.html", form=form, only=only)
    return (shown, 422) if request.method == "POST" else shown


@doctors.get("/office/doctors/<uuid:doctor_id>")
@allow(ADMIN, AUDITOR, *OF_INSTITUTION)
def show(doctor_id: UUID) -> str:
    """One doctor of the roster, numbers masked."""
    return _doctor_page(_doctor(doctor_id), revealed=False)


@doctors.post("/office/doctors/<uuid:doctor_id>/reveal")
@allow(ADMIN, *OF_INSTITUTION)
@limiter.limit("120/hour")
def reveal(doctor_id: UUID) -> str:
    """The same with its numbers in clear; who saw them is journalled."""
    row = _doctor(doctor_id)
    journal.write("doctor", row.id, "numbers_revealed", by=current_user.actor())
    return _doctor_page(row, revealed=True)


@doctors.post("/office/doctors/<uuid:doctor_id>/renew")
@allow(ADMIN, *OF_INSTITUTION)
@limiter.limit("120/hour")
def renew(doctor_id: UUID) -> Response:
    """Another term for the initial credential of a doctor who hasn't signed in yet."""
    row = _doctor(doctor_id)
    accounts.renew_initial(_account_of(row), by=current_user.actor())
    flash(f"已延长{row.name}的初始凭证。")
    return redirect(url_for("doctors.show", doctor_id=row.id), 303)


def _doctor(doctor_id: UUID) -> Doctor:
    """The doctor, if this person may have to do with doctors of that institution; held locked where something is to change."""
    query = select(Doctor).where(Doctor.id == doctor_id)
    row = db.session.scalar(query if request.method != "POST" else query.with_for_update())
    if row is None:
        raise NotFound
    if not current_user.roles & {ADMIN, AUDITOR} and row.organisation_id not in current_user.organisations(*OF_INSTITUTION):
        raise Forbidden
    return row


def _account_of(row: Doctor) -> Account:
    query = select(Account).where(Account.id == row.account_id)
    return db.session.scalars(query if request.method != "POST" else query.with_for_update()).one()


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
        "doctors/show.html", doctor=row, numbers=numbers, revealed=revealed, account=account, states=ACCOUNT_STATES, place=place, cycle=now,
        record=record, record_states=STATES, scopes=scopes, levels=LEVELS, categories=CATEGORIES, sexes=SEXES, documents=DOCUMENT_TYPES,
        lapsed=account.initial_until <= clock.now(), initial=settings.value("credential_mode") == "initial_password",
        may_act=bool(current_user.roles & {ADMIN, *OF_INSTITUTION}),
    )  # fmt: skip


@doctors.post("/office/doctors/<uuid:doctor_id>/code")
@allow(ADMIN, *OF_INSTITUTION)
@limiter.limit("60/hour")
def code(doctor_id: UUID) -> str:
    """A one-time code for a doctor who has no number on the roster, has lost the phone, or whose initial credential has lapsed."""
    row = _doctor(doctor_id)
    account = _account_of(row)
    code = accounts.issue_code(account, by=current_user.actor())
    return render_template("doctors/code.html", doctor=row, code=code)


@doctors.route("/office/roster", methods=["GET", "POST"])
@allow(ADMIN, *OF_INSTITUTION)
@limiter.limit("60/hour", methods=["POST"])
def roster() -> Response | tuple[str, int] | str:
    """Take in a roster, as a job: the province's administrator for every institution, a clerk for the clerk's own."""
    form, only = FileForm(), None
    if ADMIN not in current_user.roles:
        only = organisation_of(current_user.organisations(*OF_INSTITUTION)[0])
    if form.validate_on_submit():
        try:
            job = ask_roster(form.file.data.read(MAX_BYTES + 1), form.file.data.filename or "", only=only, by=current_user.actor())
        except (Invalid, TooLarge, Unavailable) as refusal:
            form.refuse(Invalid(refusal.sentence, "file"))
        else:
            return redirect(url_for("work.show", job_id=job.id), 303)
    shown = render_template("doctors/roster.html", form=form, only=only, headings=[names[0] for names in ROSTER_COLUMNS.values()])
    return (shown, 422) if request.method == "POST" else shown


@doctors.get("/office/roster/template.xlsx")
@allow(ADMIN, *OF_INSTITUTION)
def roster_template() -> FlaskResponse:
    """An empty roster to fill in."""
    return xlsx(write_sheet([names[0] for names in ROSTER_COLUMNS.values()], [], "医师名单"), "roster-template.xlsx")
