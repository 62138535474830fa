"""Scores from paper under what goes wrong: a doctor taken for absent, a record that has moved on meanwhile, scores
that are entered again."""

from uuid import uuid4

import pytest
from sqlalchemy import select

from dingkao.assessments import assessment_transitions
from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import current_cycle
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, InvalidState
from dingkao.exams import (
    paper_scores,
    score_entry,
    sitting_completion,
    sittings,
)
from dingkao.exams.models.paper_models import AdmissionTicket, Paper
from dingkao.exams.models.score_import_models import ImportedScore
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.results import pass_lines
from dingkao.tenants import settings
from tests import actors
from tests.rooms.marking_steps import SLUG, begun, record_of, waiting_job


def taken_in(in_province, record_id, *rows, by):
    with in_province(SLUG):
        ticket = db.session.scalars(
            select(AdmissionTicket.number).where(AdmissionTicket.assessment_id == record_id)
        ).one()
        name = name_of(record_id)
        content = xlsx_writer.write_xlsx(
            ["准考证号", "姓名", "科目", "成绩"],
            [[ticket, name, subject, points] for subject, points in rows],
        )
        report, score_import = paper_scores.import_scores(
            content, current_cycle(), restrict_to=None, organisation_id=None, by=by
        )
        assert report.errors == []
        db.session.commit()
        return score_import.id


def name_of(record_id):
    joined = select(Doctor.name).join(
        Assessment, (Assessment.tenant_id == Doctor.tenant_id) & (Assessment.doctor_id == Doctor.id)
    )
    return db.session.scalars(joined.where(Assessment.id == record_id)).one()


def test_a_score_goes_to_the_paper_of_the_records_procedure(in_province, two_admins, ready_record):
    record_id = ready_record()
    with in_province(SLUG):
        record = record_of(record_id)
        doctor = db.session.get_one(Doctor, (record.tenant_id, record.doctor_id))
        of_doctor = {"subject": "common", "category": doctor.category, "level": doctor.level}
        paper = db.session.scalars(select(Paper).filter_by(cycle_id=record.cycle_id, **of_doctor)).one()
        columns = {
            name: getattr(paper, name) for name in ("title", "counts", "minutes", "opens_at", "closes_at")
        }
        paper.procedure = "general"
        other_paper = Paper(cycle_id=paper.cycle_id, procedure="simple", **of_doctor, **columns)
        db.session.add(other_paper)
        db.session.flush()
        ticket = db.session.scalars(
            select(AdmissionTicket.number).where(AdmissionTicket.assessment_id == record_id)
        ).one()
        content = xlsx_writer.write_xlsx(
            ["准考证号", "姓名", "科目", "成绩"], [[ticket, doctor.name, "公共知识", 70]]
        )
        for procedure, expected_paper in (("general", paper), ("simple", other_paper)):
            record.procedure = procedure
            db.session.flush()
            _, score_import = paper_scores.import_scores(
                content, current_cycle(), restrict_to=None, organisation_id=None, by=two_admins[0]
            )
            score = db.session.scalars(select(ImportedScore).filter_by(import_id=score_import.id)).one()
            assert score.paper_id == expected_paper.id
        db.session.rollback()


def test_one_combined_paper_takes_no_score_of_another_subject(in_province, two_admins, ready_record):
    record_id = ready_record()
    with in_province(SLUG):
        settings.change("exam_stages", "combined", by=None, reason="测试")
        ticket = db.session.scalars(
            select(AdmissionTicket.number).where(AdmissionTicket.assessment_id == record_id)
        ).one()
        rows = [[ticket, name_of(record_id), subject, 70] for subject in ("公共知识", "业务水平")]
        report, score_import = paper_scores.import_scores(
            xlsx_writer.write_xlsx(["准考证号", "姓名", "科目", "成绩"], rows),
            current_cycle(),
            restrict_to=None,
            organisation_id=None,
            by=two_admins[0],
        )
        assert [problem.reason for problem in report.errors] == [
            "本省一般程序只有业务水平一份试卷，不参加这一科目"
        ]
        assert score_import.scores == 1
        db.session.rollback()


def confirm(in_province, import_id, by):
    with in_province(SLUG):
        paper_scores.approve_import(paper_scores.get_import_for_update(import_id), by=by)
        db.session.commit()


def test_who_was_taken_for_absent_was_there_on_paper(application, in_province, two_admins, ready_record):
    record_id = ready_record()
    with in_province(SLUG):
        assessment_transitions.mark_absent(record_of(record_id), by=Actor("system"))
        db.session.commit()
    import_id = taken_in(in_province, record_id, ("公共知识", 70), ("业务水平", 65), by=two_admins[0])
    confirm(in_province, import_id, two_admins[1])
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        record = record_of(record_id)
        assert (record.state, record.competence) == ("scored", None)
        assert {value.handed_in_by for value in sittings.sittings_by_paper(record).values()} == {"offline"}
        assert pass_lines.reaches_line(
            [value.score_tenths for value in sittings.sittings_by_paper(record).values()], 650
        )


def test_a_record_that_has_moved_on_is_left_out_with_the_reason(
    application, in_province, two_admins, ready_record
):
    record_id = ready_record()
    import_id = taken_in(in_province, record_id, ("公共知识", 70), ("业务水平", 65), by=two_admins[0])
    with in_province(SLUG):
        with pytest.raises(Forbidden):
            paper_scores.approve_import(paper_scores.get_import_for_update(import_id), by=two_admins[0])
        sitting_id, _ = begun(record_id)
    confirm(in_province, import_id, two_admins[1])
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        papers = {paper.id: paper.subject for paper in db.session.scalars(select(Paper))}
        skipped_reasons = {
            papers[imported_score.paper_id]: imported_score.skipped_reason
            for imported_score in db.session.scalars(
                select(ImportedScore).where(ImportedScore.import_id == import_id)
            )
        }
        assert skipped_reasons["professional"] is None
        assert "已有线上作答" in skipped_reasons["common"]
        record = record_of(record_id)
        assert record.state == "testing"
        sitting_completion.hand_in_sitting(
            record, sittings.get_sitting(sitting_id, record, for_update=True), by=Actor("doctor", uuid4())
        )
        assert record.state == "scored"


def test_entered_again_nothing_is_entered_twice(application, in_province, two_admins, ready_record):
    record_id = ready_record()
    import_id = taken_in(in_province, record_id, ("公共知识", 70), by=two_admins[0])
    confirm(in_province, import_id, two_admins[1])
    job_id = waiting_job(in_province, score_entry.ENTER_JOB)
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        job = db.session.scalars(select(Job).where(Job.id == job_id)).one()
        job.state, job.tries = "waiting", 0
        db.session.commit()
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        paper_sittings = list(sittings.sittings_by_paper(record_of(record_id)).values())
        assert [(paper_sitting.score_tenths, paper_sitting.layout) for paper_sitting in paper_sittings] == [
            (700, [])
        ]
        with pytest.raises(InvalidState, match="不能撤回"):
            paper_scores.withdraw_import(paper_scores.get_import_for_update(import_id), by=two_admins[0])
