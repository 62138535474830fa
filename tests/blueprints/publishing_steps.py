"""What the tests of publishing share: a list gathered, approved, and seen by its doctors."""

import re

from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.jobs.models import Job
from dingkao.results.models import Publication
from tests import actors
from tests.blueprints.signed_in_client import post_form

SLUG = "hebei"


def turns(in_province, name):
    """Take the turns of the job of a name one by one; gives its row after each."""
    with in_province(SLUG):
        job_id = db.session.scalars(
            select(Job.id).where(Job.name == name).order_by(Job.id.desc()).limit(1)
        ).one()
    yield from actors.iter_job_turns(in_province, SLUG, job_id)


def finish(in_province, name):
    """The row of the job of a name when it has ended."""
    *_, job = turns(in_province, name)
    return job


def proposed(in_province, admins):
    """A list that has been gathered: its address."""
    place = post_form(admins[0], f"/{SLUG}/office/publications").location
    assert finish(in_province, "gather_publication").state == "done"
    return place


def approved(in_province, admins):
    place = proposed(in_province, admins)
    assert post_form(admins[1], f"{place}/approve", page=place).status_code == 303
    return place


def seen(doctors):
    """What each doctor is shown of the result, on the home page and on its own: all alike."""
    verdicts = []
    for doctor in doctors:
        home, result = doctor.get("/home"), doctor.get("/result")
        verdict = re.search(r"考核结果：(合格|不合格)", result)
        assert ("考核结果已发布" in home) is bool(verdict), "the two pages disagree"
        verdicts.append(verdict[1] if verdict else None)
    return verdicts


def states(in_province, doctors):
    with in_province(SLUG):
        return [
            db.session.scalars(select(Assessment.state).where(Assessment.id == doctor.record_id)).one()
            for doctor in doctors
        ]


def publication(in_province):
    with in_province(SLUG):
        publication = db.session.scalars(select(Publication).order_by(Publication.id.desc()).limit(1)).one()
        db.session.expunge(publication)
        return publication
