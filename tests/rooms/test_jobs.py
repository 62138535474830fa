"""Slow work: queued after the commit and not otherwise, done once, told how it ended, brought again when it was broken off."""

from datetime import timedelta
from uuid import uuid4

import pytest
from rq import Queue
from sqlalchemy import select, text, update

from dingkao import clock, timetable
from dingkao.database.model import db
from dingkao.errors import Invalid, Unavailable
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.tenants.context import current_tenant, entered
from dingkao.tenants.models import ProvinceSetting
from tests.people import work_off


@pytest.fixture
def quiet(application, provinces, monkeypatch):
    """A queue that no worker listens to, emptied afterwards; a worker's surroundings in this process."""
    monkeypatch.setattr(asking, "QUEUE", f"quiet-{uuid4().hex}")
    monkeypatch.setattr(performing, "_context", [application.app_context])
    queue = Queue(asking.QUEUE, connection=application.extensions["redis"])
    yield queue
    queue.delete(delete_jobs=True)


@pytest.fixture
def trial(quiet, monkeypatch):
    """The job «trial»: leaves a row and does what the test has put into `does`."""
    does = []

    def perform(job, progress):
        leave(job.id)
        for act in does:
            act(job, progress)
        return {"province": current_tenant()}

    monkeypatch.setitem(performing.JOBS, "trial", perform)
    return does


def leave(job_id):
    db.session.add(ProvinceSetting(name=f"trial {job_id}", value=1, effective_from=clock.today(), set_by=None, reason="trial"))
    db.session.flush()


def traces(in_province, job_id, slug="shanxi"):
    """How often the job's work is there."""
    with in_province(slug):
        return len(db.session.scalars(select(ProvinceSetting.id).where(ProvinceSetting.name == f"trial {job_id}")).all())


def asked(in_province, slug="shanxi", *, commit=True, **changed):
    """A job that has been asked for; `changed` replaces columns of its row."""
    with in_province(slug):
        row = asking.ask("trial", "试验", {}, by=None)
        for name, value in changed.items():
            setattr(row, name, value)
        job_id = row.id
        if commit:
            db.session.commit()
    return job_id


def row_of(in_province, job_id, slug="shanxi"):
    with in_province(slug):
        row = db.session.scalar(select(Job).where(Job.id == job_id))
        if row is not None:
            db.session.expunge(row)
    return row


def long_ago():
    return clock.now() - timedelta(minutes=1)


def test_it_is_queued_after_the_commit_and_the_province_comes_first(quiet, trial, in_province):
    with in_province("shanxi"):
        row = asking.ask("trial", "试验", {}, by=None)
        job_id = str(row.id)
        assert quiet.job_ids == []
        db.session.commit()
    (queued,) = quiet.jobs
    assert (queued.func_name, queued.args) == ("dingkao.jobs.performing.perform", (14, job_id))


def test_what_was_rolled_back_is_neither_queued_nor_there(quiet, trial, in_province):
    with in_province("shanxi"):
        job_id = asking.ask("trial", "试验", {}, by=None).id
        db.session.rollback()
        db.session.commit()
    assert quiet.job_ids == []
    assert row_of(in_province, job_id) is None


def test_done_once_however_often_it_is_called(quiet, trial, in_province):
    job_id = asked(in_province)
    for _ in range(3):
        performing.perform(14, str(job_id))
    row = row_of(in_province, job_id)
    assert (row.state, row.tries, row.result) == ("done", 1, {"province": 14})
    assert row.started_at <= row.ended_at
    assert traces(in_province, job_id) == 1


def test_in_another_workers_hands_it_is_left(quiet, trial, in_province, application):
    job_id = asked(in_province)
    with application.app_context(), entered(14), db.engine.begin() as other:
        assert other.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": performing._key(job_id)})
        performing.perform(14, str(job_id))
        assert row_of(in_province, job_id).state == "waiting"
    performing.perform(14, str(job_id))
    assert row_of(in_province, job_id).state == "done"


def test_a_refusal_ends_it_with_its_sentence_and_nothing_else_done(quiet, trial, in_province):
    def refuse(_job, _progress):
        raise Invalid("第3列缺失,请补上。")

    trial.append(refuse)
    job_id = asked(in_province)
    performing.perform(14, str(job_id))
    row = row_of(in_province, job_id)
    assert (row.state, row.sentence, row.result) == ("failed", "第3列缺失,请补上。", None)
    assert row.ended_at
    assert traces(in_province, job_id) == 0


def test_what_breaks_is_tried_again_and_then_given_up(quiet, trial, in_province, capsys):
    def burst(_job, _progress):
        raise ZeroDivisionError("140105198001020011")

    trial.append(burst)
    job_id = asked(in_province)
    states = []
    for _ in range(performing.MAX_TRIES + 1):
        performing.perform(14, str(job_id))
        states.append(row_of(in_province, job_id).state)
    assert states == ["waiting", "waiting", "failed", "failed"]
    assert row_of(in_province, job_id).sentence == performing.BROKEN
    assert traces(in_province, job_id) == 0
    said = capsys.readouterr()
    assert "ZeroDivisionError" in said.out + said.err
    assert "140105198001020011" not in said.out + said.err


def test_a_second_try_that_succeeds_is_the_only_one_that_counts(quiet, trial, in_province):
    tried = []

    def stumble(_job, _progress):
        tried.append(1)
        if len(tried) == 1:
            raise ZeroDivisionError

    trial.append(stumble)
    job_id = asked(in_province)
    for _ in range(2):
        performing.perform(14, str(job_id))
    assert (row_of(in_province, job_id).state, row_of(in_province, job_id).tries) == ("done", 2)
    assert traces(in_province, job_id) == 1


def test_while_an_engine_is_away_it_waits_and_then_goes_on(quiet, trial, in_province):
    def away(_job, _progress):
        raise Unavailable("文件存储暂时连接不上。")

    trial.append(away)
    job_id = asked(in_province)
    for _ in range(performing.MAX_TRIES + 2):
        performing.perform(14, str(job_id))
    row = row_of(in_province, job_id)
    assert (row.state, row.sentence, row.tries, row.ended_at) == ("waiting", performing.WAITS, 0, None)
    trial.clear()
    performing.perform(14, str(job_id))
    row = row_of(in_province, job_id)
    assert (row.state, row.sentence) == ("done", None)
    assert traces(in_province, job_id) == 1


def test_an_engine_that_stays_away_is_told_in_the_end(quiet, trial, in_province):
    def away(_job, _progress):
        raise Unavailable("文件存储暂时连接不上。")

    trial.append(away)
    job_id = asked(in_province, asked_at=clock.now() - performing.GIVES_UP)
    performing.perform(14, str(job_id))
    assert (row_of(in_province, job_id).state, row_of(in_province, job_id).sentence) == ("failed", "文件存储暂时连接不上。")


def test_what_has_killed_its_workers_is_given_up_unrun(quiet, trial, in_province):
    job_id = asked(in_province, state="running", tries=performing.MAX_TRIES)
    performing.perform(14, str(job_id))
    assert (row_of(in_province, job_id).state, row_of(in_province, job_id).sentence) == ("failed", performing.BROKEN)
    assert traces(in_province, job_id) == 0


def test_a_worker_that_lost_its_lock_to_another_undoes_what_it_did(quiet, trial, in_province):
    def overtaken(job, _progress):
        with db.engine.begin() as other:
            other.execute(update(Job).where(Job.tenant_id == current_tenant(), Job.id == job.id).values(tries=job.tries + 1))

    trial.append(overtaken)
    job_id = asked(in_province)
    performing.perform(14, str(job_id))
    row = row_of(in_province, job_id)
    assert (row.state, row.tries, row.result) == ("running", 2, None)
    assert traces(in_province, job_id) == 0


def test_its_progress_is_seen_before_its_work(quiet, trial, in_province):
    seen = []

    def look(job, progress):
        progress(3, 7)
        row = row_of(in_province, job.id)
        seen.append((row.state, row.done, row.total, traces(in_province, job.id)))

    trial.append(look)
    performing.perform(14, str(asked(in_province)))
    assert seen == [("running", 3, 7, 0)]


def test_the_sweep_brings_what_was_never_queued_and_what_was_broken_off(quiet, trial, in_province, monkeypatch):
    def no_queue(*_given):
        return False

    with monkeypatch.context() as patch:
        patch.setattr(asking, "enqueue", no_queue)
        lost = asked(in_province, asked_at=long_ago())
        broken_off = asked(in_province, asked_at=long_ago(), state="running", tries=1)
        fresh = asked(in_province)
        over = asked(in_province, asked_at=long_ago(), state="done")
        elsewhere = asked(in_province, "henan", asked_at=long_ago())
    standing = asked(in_province, asked_at=long_ago())
    assert quiet.job_ids == [f"14-{standing}"]
    with in_province("shanxi"):
        performing.sweep()
    names = quiet.job_ids
    assert {f"14-{lost}", f"14-{broken_off}", f"14-{standing}"} <= set(names)
    assert not {f"14-{fresh}", f"14-{over}", f"14-{elsewhere}", f"41-{elsewhere}"} & set(names)
    assert len(names) == len(set(names)), "what stands in the queue already was queued again"
    with in_province("shanxi"):
        assert performing.sweep() == 0
    for queued in quiet.jobs:
        performing.perform(*queued.args)
    assert [traces(in_province, one) for one in (lost, broken_off, standing, fresh)] == [1, 1, 1, 0]
    work_off_by_hand(in_province, fresh, elsewhere)


def work_off_by_hand(in_province, *job_ids):
    """So that no other test finds them waiting."""
    for slug in ("shanxi", "henan"):
        with in_province(slug):
            db.session.execute(update(Job).where(Job.id.in_(job_ids)).values(state="done"))
            db.session.commit()


def test_the_sweep_leaves_what_a_worker_holds(quiet, trial, in_province, application, monkeypatch):
    monkeypatch.setattr(asking, "enqueue", lambda *_given: False)
    job_id = asked(in_province, asked_at=long_ago(), state="running")
    with application.app_context(), entered(14), db.engine.begin() as worker:
        assert worker.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": performing._key(job_id)})
        with in_province("shanxi"):
            performing.sweep()
    assert f"14-{job_id}" not in quiet.job_ids
    work_off_by_hand(in_province, job_id)


def test_a_duty_is_done_in_every_open_province_though_it_fails_in_one(quiet, monkeypatch):
    done = []

    def duty():
        done.append(current_tenant())
        if current_tenant() == 14:
            raise ZeroDivisionError

    monkeypatch.setattr(timetable, "DUTIES", (timetable.Duty("trial", 1, duty),))
    timetable.round_of("trial")
    assert {14, 41} <= set(done)
    assert done == sorted(set(done))


def test_a_duty_that_fails_leaves_nothing_half_done(quiet, in_province, monkeypatch):
    marker = uuid4()

    def duty():
        leave(marker)
        if current_tenant() == 14:
            raise ZeroDivisionError

    monkeypatch.setattr(timetable, "DUTIES", (timetable.Duty("trial", 1, duty),))
    timetable.round_of("trial")
    assert (traces(in_province, marker), traces(in_province, marker, "henan")) == (0, 1)


def test_a_job_asked_by_a_job_is_queued_when_that_one_is_done(quiet, trial, in_province, application):
    def more(_job, _progress):
        trial.clear()
        asking.ask("trial", "后续", {}, by=None)
        assert len(quiet.job_ids) == 1

    trial.append(more)
    job_id = asked(in_province)
    performing.perform(14, str(job_id))
    assert len(quiet.job_ids) == 2
    work_off(application, in_province, "shanxi")
