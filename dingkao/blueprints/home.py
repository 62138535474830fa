"""The doctor's home page [S6]."""

from flask import render_template
from flask_login import current_user
from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.cycles.models import PHASES
from dingkao.cycles.opening import current_cycle, phases_of
from dingkao.database.model import db
from dingkao.people.models import Organisation
from dingkao.tenants import settings

home = of_province("home")
NOT_INCLUDED = "您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人"

INCLUDED = "您已被主要执业机构纳入本周期考核,请等待填报功能开放"
NO_CYCLE = "本省尚未开始新的考核周期,开始后本机构会通知您,请留意。"


@home.get("/home")
@allow(DOCTOR)
def show() -> str:
    """Where am I in the cycle, what must I do now, until when."""
    doctor = current_user.doctor()
    institution = db.session.scalars(select(Organisation).where(Organisation.id == doctor.organisation_id)).one()
    assessor = db.session.scalar(select(Organisation).where(Organisation.id == institution.assessment_organisation_id))
    cycle = current_cycle()
    record = phases = None
    if cycle:
        phases = phases_of(cycle)
        record = db.session.scalar(select(Assessment).where(Assessment.cycle_id == cycle.id, Assessment.doctor_id == doctor.id))
    message = NO_CYCLE if cycle is None else INCLUDED if record and record.state == "included" else NOT_INCLUDED
    return render_template(
        "home/show.html", doctor=doctor, institution=institution, assessor=assessor, cycle=cycle, phases=phases, names=PHASES,
        record=record, message=message, contact=settings.value("contact"), hours=settings.value("contact_hours"),
    )  # fmt: skip
