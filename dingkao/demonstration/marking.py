"""What comes after an exam in a demonstration: item analysis of the papers, a correction of a key that waits for the second administrator, a score
from paper that waits to be confirmed, and doctors who may look through their answers."""

from collections.abc import Mapping

from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.exams import analysis, remarking, scores, sittings
from dingkao.exams.models import AdmissionTicket, Paper
from dingkao.exams.papers import read
from dingkao.journal.writing import Actor
from dingkao.outside import sheets
from dingkao.results import revising
from dingkao.tenants import settings


def look_back(cycle: Cycle, sat: Assessment, absent: Assessment, staff: Mapping[str, Actor]) -> None:
    """`sat` has sat both papers; `absent` sat none, and a score on paper is brought for it."""
    settings.change("answers_review", "full", by=None, reason="演示", effective_from=cycle.starts_on)
    for sitting in sittings.sittings_of(sat).values():
        analysis.ask_analysis(db.session.get_one(Paper, (sat.tenant_id, sitting.paper_id)), by=staff["admin"])
    version = remarking.version_of(read(next(iter(sittings.sittings_of(sat).values())).layout)[0].version)
    row = remarking.propose(version, treatment="credited", keys="", reason="命题组复核:题干表述有歧义。", by=staff["admin"])
    revising.ask_preview(row, by=staff["admin"])
    doctor = db.session.get_one(Doctor, (absent.tenant_id, absent.doctor_id))
    ticket = db.session.scalars(select(AdmissionTicket.number).where(AdmissionTicket.assessment_id == absent.id)).one()
    sheet = sheets.write([names[0] for names in scores.COLUMNS.values()], [[ticket, "", doctor.name, "公共知识", 81.5]])
    scores.take_in(sheet, cycle, only=None, organisation=absent.assessor_id, dry_run=False, by=staff["organisation"])
