"""A sitting handed in, and a key of it corrected by two persons."""

from uuid import uuid4

from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams import (
    key_corrections,
    sitting_completion,
    sittings,
)
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import papers_for
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.question_banks.models import QuestionVersion
from dingkao.results import rescoring
from tests import actors

SLUG, CODE = "xinjiang", 65


def record_of(record_id):
    return db.session.scalars(select(Assessment).where(Assessment.id == record_id).with_for_update()).one()


def begun(record_id):
    """Open the first paper and answer everything rightly; the sitting's id and its versions."""
    record = record_of(record_id)
    sitting = sittings.open_sitting(record, papers_for(record)[0], by=Actor("doctor", uuid4()))
    versions = actors.answer_all(sitting)
    db.session.commit()
    return sitting.id, versions


def handed_in(in_province, record_id):
    with in_province(SLUG):
        sitting_id, versions = begun(record_id)
        record = record_of(record_id)
        sitting_completion.hand_in_sitting(
            record, sittings.get_sitting(sitting_id, record, for_update=True), by=Actor("doctor", uuid4())
        )
        db.session.commit()
    return sitting_id, versions


def publish_as_failed(in_province, record_id):
    """A record whose published result is a failure for its work, though the test was passed."""
    with in_province(SLUG):
        record = record_of(record_id)
        record.state, record.performance, record.ethics, record.competence = "failed", "fail", "pass", "pass"
        db.session.commit()


def score(in_province, sitting_id):
    with in_province(SLUG):
        return db.session.scalars(select(Sitting.score_tenths).where(Sitting.id == sitting_id)).one()


def other_key(version_id):
    return actors.wrong_letter(db.session.get_one(QuestionVersion, (CODE, version_id)))


def propose(in_province, admins, version_id, **given):
    with in_province(SLUG):
        correction = key_corrections.propose_correction(
            key_corrections.get_version(version_id),
            **({"treatment": "marked", "keys": other_key(version_id), "reason": "复核"} | given),
            by=admins[0],
        )
        rescoring.enqueue_preview(correction, by=admins[0])
        db.session.commit()
        return correction.id


def approve(in_province, admins, correction_id):
    with in_province(SLUG):
        correction = key_corrections.get_correction_for_update(correction_id)
        assert key_corrections.approve_correction(correction, by=admins[1])
        rescoring.enqueue_remarking(correction, by=admins[1])
        db.session.commit()


def waiting_job(in_province, name):
    with in_province(SLUG):
        return db.session.scalars(select(Job.id).where(Job.name == name, Job.state == "waiting")).one()
