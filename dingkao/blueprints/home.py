"""The doctor's home page [S6]."""

from flask import render_template
from flask_login import current_user
from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.cycles.models import PHASES, Cycle, CyclePhase
from dingkao.database.model import db
from dingkao.people.models import Organisation
from dingkao.tenants import settings

home = of_province("home")
NOT_INCLUDED = "您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人"


@home.get("/home")
@allow(DOCTOR)
def show() -> str:
    """Where am I in the cycle, what must I do now, until when."""
    doctor = current_user.doctor()
    institution = db.session.scalars(select(Organisation).where(Organisation.id == doctor.organisation_id)).one()
    assessor = db.session.scalar(select(Organisation).where(Organisation.id == institution.assessment_organisation_id))
    cycle = db.session.scalar(select(Cycle).order_by(Cycle.starts_on.desc()).limit(1))
    record = phases = None
    if cycle:
        phases = {row.kind: row for row in db.session.scalars(select(CyclePhase).where(CyclePhase.cycle_id == cycle.id))}
        record = db.session.scalar(select(Assessment).where(Assessment.cycle_id == cycle.id, Assessment.doctor_id == doctor.id))
    message = NOT_INCLUDED if cycle else "本省尚未开始新的考核周期,开始后本机构会通知您,请留意。"
    return render_template(
        "home/show.html", doctor=doctor, institution=institution, assessor=assessor, cycle=cycle, phases=phases, names=PHASES,
        record=record, message=message, contact=settings.value("contact"), hours=settings.value("contact_hours"),
    )  # fmt: skip
