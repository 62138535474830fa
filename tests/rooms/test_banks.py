"""Which questions sittings have drawn is counted once each, by the duty; likeness is noted where it is lacking."""

from datetime import timedelta

from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.exams import banks, sittings
from dingkao.exams.models import Question, Sitting
from dingkao.exams.papers import papers_for, read
from dingkao.journal.writing import Actor
from tests import people

SLUG = "qinghai"


def test_a_sitting_is_counted_once_and_only_when_it_is_settled(application, in_province):
    someone = people.ready(application, in_province, SLUG, next(people.serials(SLUG)))
    people.bank(in_province, SLUG)
    people.papers(in_province, SLUG)
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id).with_for_update()).one()
        sitting = sittings.open_sitting(record, papers_for(record)[0], by=Actor("doctor"))
        drawn, begun = {one.version for one in read(sitting.layout)}, sitting.id
        db.session.execute(update(Question).values(likeness=None))
        db.session.commit()

    def counted():
        with in_province(SLUG):
            banks.keep_counts()
            db.session.commit()
            rows = db.session.scalars(select(Question)).all()
            assert sum(row.likeness is not None for row in rows) > 0
            return {row.current_version: row.exposures for row in rows if row.exposures}

    assert counted() == {}
    with in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == begun).values(opened_at=clock.now() - banks.SETTLED - timedelta(seconds=1)))
        db.session.commit()
    assert counted() == dict.fromkeys(drawn, 1)
    assert counted() == dict.fromkeys(drawn, 1)
