"""Which questions sittings have drawn is counted once each, by the duty; likeness is noted where it is
lacking."""

from datetime import timedelta

from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams import exposures, sittings
from dingkao.exams.drawing import load_layout
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import papers_for
from dingkao.journal.entries import Actor
from dingkao.question_banks.models import Question
from tests import actors

SLUG = "qinghai"


def test_a_sitting_is_counted_once_and_only_when_it_is_settled(application, in_province):
    someone = actors.ready_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
    actors.demonstration_bank(in_province, SLUG)
    actors.open_papers(in_province, SLUG)
    with in_province(SLUG):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == someone.record_id).with_for_update()
        ).one()
        sitting = sittings.open_sitting(record, papers_for(record)[0], by=Actor("doctor"))
        versions, sitting_id = (
            {drawn_question.version for drawn_question in load_layout(sitting.layout)},
            sitting.id,
        )
        db.session.execute(update(Question).values(likeness=None))
        db.session.commit()

    def counted():
        with in_province(SLUG):
            exposures.update_exposures_and_likeness()
            db.session.commit()
            questions = db.session.scalars(select(Question)).all()
            assert sum(question.likeness is not None for question in questions) > 0
            return {
                question.current_version: question.exposures for question in questions if question.exposures
            }

    assert counted() == {}
    with in_province(SLUG):
        db.session.execute(
            update(Sitting)
            .where(Sitting.id == sitting_id)
            .values(opened_at=clock.now() - exposures.SETTLED_AFTER - timedelta(seconds=1))
        )
        db.session.commit()
    assert counted() == dict.fromkeys(versions, 1)
    assert counted() == dict.fromkeys(versions, 1)
