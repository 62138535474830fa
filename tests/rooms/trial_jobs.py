"""Jobs of tests: each run leaves a row, so that what was done, and how often, can be counted."""

from datetime import timedelta

from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.jobs import enqueueing
from dingkao.jobs.models import Job
from dingkao.tenants.models import ProvinceSetting


def leave(job_id):
    db.session.add(
        ProvinceSetting(
            name=f"trial {job_id}", value=1, effective_from=clock.today(), set_by=None, reason="trial"
        )
    )
    db.session.flush()


def traces(in_province, job_id, slug="shanxi"):
    """How often the job's work is there."""
    with in_province(slug):
        return len(
            db.session.scalars(
                select(ProvinceSetting.id).where(ProvinceSetting.name == f"trial {job_id}")
            ).all()
        )


def asked(in_province, slug="shanxi", *, commit=True, **changed):
    """A job that has been asked for; `changed` replaces columns of its row."""
    with in_province(slug):
        job_row = enqueueing.enqueue("trial", "试验", {}, by=None)
        for name, value in changed.items():
            setattr(job_row, name, value)
        job_id = job_row.id
        if commit:
            db.session.commit()
    return job_id


def row_of(in_province, job_id, slug="shanxi"):
    with in_province(slug):
        job = db.session.scalar(select(Job).where(Job.id == job_id))
        if job is not None:
            db.session.expunge(job)
    return job


def long_ago():
    return clock.now() - timedelta(minutes=1)


def work_off_by_hand(in_province, *job_ids):
    """So that no other test finds them waiting."""
    for slug in ("shanxi", "henan"):
        with in_province(slug):
            db.session.execute(update(Job).where(Job.id.in_(job_ids)).values(state="done"))
            db.session.commit()
