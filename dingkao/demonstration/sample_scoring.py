"""Creates what follows an exam in a demonstration: item analysis of the papers, a key correction that waits
for the second administrator, an imported score of an exam on paper, and answer review for doctors."""

from collections.abc import Mapping

from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.exams import (
    item_analysis_jobs,
    key_corrections,
    paper_scores,
    score_rows,
    sittings,
)
from dingkao.exams.drawing import load_layout
from dingkao.exams.models.paper_models import AdmissionTicket, Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.journal.entries import Actor
from dingkao.results import rescoring
from dingkao.tenants import settings


def create_post_exam_data(
    cycle: Cycle,
    sat: Assessment,
    absent: Assessment,
    staff: Mapping[str, Actor],
) -> None:
    """Create what this module creates for `sat`, a record that sat both papers, and `absent`, one that sat
    none and gets a score on paper; the jobs of the analysis and of the correction's preview are enqueued.
    `staff`: side (admin, organisation) → actor."""
    settings.change(
        "answers_review",
        "full",
        by=None,
        reason="演示",
        effective_from=cycle.starts_on,
    )
    own_sittings = list(sittings.sittings_by_paper(sat).values())
    for sitting in own_sittings:
        paper = db.session.get_one(Paper, (sat.tenant_id, sitting.paper_id))
        item_analysis_jobs.enqueue_analysis(paper, by=staff["admin"])
    _propose_correction(own_sittings[0], staff["admin"])
    _import_score(cycle, absent, staff["organisation"])


def _propose_correction(sitting: Sitting, by: Actor) -> None:
    """Propose that everyone is credited the first question of a sitting, and enqueue the preview of the
    effects."""
    version = key_corrections.get_version(load_layout(sitting.layout)[0].version)
    correction = key_corrections.propose_correction(
        version,
        treatment="credited",
        keys="",
        reason="命题组复核：题干表述有歧义。",
        by=by,
    )
    rescoring.enqueue_preview(correction, by=by)


def _import_score(cycle: Cycle, record: Assessment, by: Actor) -> None:
    """Import a score on paper for one record."""
    doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
    ticket = db.session.scalars(
        select(AdmissionTicket.number).where(AdmissionTicket.assessment_id == record.id)
    ).one()
    sheet = xlsx_writer.write_xlsx(
        [names[0] for names in score_rows.COLUMNS.values()],
        [[ticket, "", doctor.name, "公共知识", 81.5]],
    )
    paper_scores.import_scores(
        sheet,
        cycle,
        restrict_to=None,
        organisation_id=record.assessor_id,
        by=by,
    )
