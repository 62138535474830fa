"""Slow work: queued after the commit and not otherwise, done once, told how it ended, brought again when it
was broken off."""

from contextlib import suppress
from uuid import uuid4

from sqlalchemy import text, update

from dingkao import clock, timetable
from dingkao.database.base import db
from dingkao.errors import InvalidInput, Unavailable
from dingkao.jobs import enqueueing, lost_jobs
from dingkao.jobs import worker as job_worker
from dingkao.jobs.models import Job
from dingkao.tenants.context import current_tenant, in_tenant
from tests.actors import run_pending_jobs
from tests.rooms.trial_jobs import asked, leave, long_ago, row_of, traces, work_off_by_hand


def test_it_is_queued_after_the_commit_and_the_province_comes_first(quiet, trial, in_province):
    with in_province("shanxi"):
        job_row = enqueueing.enqueue("trial", "试验", {}, by=None)
        job_id = str(job_row.id)
        assert quiet.job_ids == []
        db.session.commit()
    (queued,) = quiet.jobs
    assert (queued.func_name, queued.args) == ("dingkao.jobs.worker.run_in_tenant", (14, job_id))


def test_what_was_rolled_back_is_neither_queued_nor_there(quiet, trial, in_province):
    with in_province("shanxi"):
        job_id = enqueueing.enqueue("trial", "试验", {}, by=None).id
        db.session.rollback()
        db.session.commit()
    assert quiet.job_ids == []
    assert row_of(in_province, job_id) is None


def test_a_savepoint_takes_back_only_what_was_asked_for_in_it(quiet, trial, in_province):
    with in_province("shanxi"):
        before = enqueueing.enqueue("trial", "试验", {}, by=None).id
        with db.session.begin_nested():
            released = enqueueing.enqueue("trial", "试验", {}, by=None).id
        assert quiet.job_ids == []
        with suppress(InvalidInput), db.session.begin_nested():
            with db.session.begin_nested():
                enqueueing.enqueue("trial", "试验", {}, by=None)
            raise InvalidInput("不行。")
        db.session.commit()
    assert [queued.args for queued in quiet.jobs] == [(14, str(before)), (14, str(released))]


def test_done_once_however_often_it_is_called(quiet, trial, in_province):
    job_id = asked(in_province)
    for _ in range(3):
        job_worker.run_in_tenant(14, str(job_id))
    job_row = row_of(in_province, job_id)
    assert (job_row.state, job_row.tries, job_row.result) == ("done", 1, {"province": 14})
    assert job_row.started_at <= job_row.ended_at
    assert traces(in_province, job_id) == 1


def test_in_another_workers_hands_it_is_left(quiet, trial, in_province, application):
    job_id = asked(in_province)
    with application.app_context(), in_tenant(14), db.engine.begin() as second_connection:
        assert second_connection.scalar(
            text("select pg_try_advisory_xact_lock(:key)"), {"key": job_worker._lock_key(job_id)}
        )
        job_worker.run_in_tenant(14, str(job_id))
        assert row_of(in_province, job_id).state == "waiting"
    job_worker.run_in_tenant(14, str(job_id))
    assert row_of(in_province, job_id).state == "done"


def test_a_refusal_ends_it_with_its_sentence_and_nothing_else_done(quiet, trial, in_province):
    def refuse(_job, _progress):
        raise InvalidInput("第3列缺失,请补上。")

    trial.append(refuse)
    job_id = asked(in_province)
    job_worker.run_in_tenant(14, str(job_id))
    job_row = row_of(in_province, job_id)
    assert (job_row.state, job_row.sentence, job_row.result) == ("failed", "第3列缺失,请补上。", None)
    assert job_row.ended_at
    assert traces(in_province, job_id) == 0


def test_what_breaks_is_tried_again_and_then_given_up(quiet, trial, in_province, capsys):
    def burst(_job, _progress):
        raise ZeroDivisionError("140105198001020011")

    trial.append(burst)
    job_id = asked(in_province)
    states = []
    for _ in range(job_worker.MAX_TRIES + 1):
        job_worker.run_in_tenant(14, str(job_id))
        states.append(row_of(in_province, job_id).state)
    assert states == ["waiting", "waiting", "failed", "failed"]
    assert row_of(in_province, job_id).sentence == job_worker.FAILED_MESSAGE
    assert traces(in_province, job_id) == 0
    output = capsys.readouterr()
    assert "ZeroDivisionError" in output.out + output.err
    assert "140105198001020011" not in output.out + output.err


def test_a_second_try_that_succeeds_is_the_only_one_that_counts(quiet, trial, in_province):
    tried = []

    def stumble(_job, _progress):
        tried.append(1)
        if len(tried) == 1:
            raise ZeroDivisionError

    trial.append(stumble)
    job_id = asked(in_province)
    for _ in range(2):
        job_worker.run_in_tenant(14, str(job_id))
    assert (row_of(in_province, job_id).state, row_of(in_province, job_id).tries) == ("done", 2)
    assert traces(in_province, job_id) == 1


def test_while_an_engine_is_away_it_waits_and_then_goes_on(quiet, trial, in_province):
    def away(_job, _progress):
        raise Unavailable("文件存储暂时连接不上。")

    trial.append(away)
    job_id = asked(in_province)
    for _ in range(job_worker.MAX_TRIES + 2):
        job_worker.run_in_tenant(14, str(job_id))
    job_row = row_of(in_province, job_id)
    assert (job_row.state, job_row.sentence, job_row.tries, job_row.ended_at) == (
        "waiting",
        job_worker.RETRYING_MESSAGE,
        0,
        None,
    )
    trial.clear()
    job_worker.run_in_tenant(14, str(job_id))
    job_row = row_of(in_province, job_id)
    assert (job_row.state, job_row.sentence) == ("done", None)
    assert traces(in_province, job_id) == 1


def test_an_engine_that_stays_away_is_told_in_the_end(quiet, trial, in_province):
    def away(_job, _progress):
        raise Unavailable("文件存储暂时连接不上。")

    trial.append(away)
    job_id = asked(in_province, asked_at=clock.now() - job_worker.GIVE_UP_AFTER)
    job_worker.run_in_tenant(14, str(job_id))
    assert (row_of(in_province, job_id).state, row_of(in_province, job_id).sentence) == (
        "failed",
        "文件存储暂时连接不上。",
    )


def test_what_has_killed_its_workers_is_given_up_unrun(quiet, trial, in_province):
    job_id = asked(in_province, state="running", tries=job_worker.MAX_TRIES)
    job_worker.run_in_tenant(14, str(job_id))
    assert (row_of(in_province, job_id).state, row_of(in_province, job_id).sentence) == (
        "failed",
        job_worker.FAILED_MESSAGE,
    )
    assert traces(in_province, job_id) == 0


def test_a_worker_that_lost_its_lock_to_another_undoes_what_it_did(quiet, trial, in_province):
    def overtaken(job, _progress):
        with db.engine.begin() as second_connection:
            second_connection.execute(
                update(Job)
                .where(Job.tenant_id == current_tenant(), Job.id == job.id)
                .values(tries=job.tries + 1, turn=job.turn + 1)
            )

    trial.append(overtaken)
    job_id = asked(in_province)
    job_worker.run_in_tenant(14, str(job_id))
    job_row = row_of(in_province, job_id)
    assert (job_row.state, job_row.tries, job_row.result) == ("running", 2, None)
    assert traces(in_province, job_id) == 0


def test_its_progress_is_seen_before_its_work(quiet, trial, in_province):
    observed = []

    def look(job, progress):
        progress(3, 7)
        job_row = row_of(in_province, job.id)
        observed.append((job_row.state, job_row.done, job_row.total, traces(in_province, job.id)))

    trial.append(look)
    job_worker.run_in_tenant(14, str(asked(in_province)))
    assert observed == [("running", 3, 7, 0)]


def test_the_sweep_brings_what_was_never_queued_and_what_was_broken_off(
    quiet, trial, in_province, monkeypatch
):
    def no_queue(*_given):
        return False

    with monkeypatch.context() as patch:
        patch.setattr(enqueueing, "push_to_queue", no_queue)
        lost = asked(in_province, asked_at=long_ago())
        broken_off = asked(in_province, asked_at=long_ago(), state="running", tries=1)
        recent = asked(in_province)
        over = asked(in_province, asked_at=long_ago(), state="done")
        elsewhere = asked(in_province, "henan", asked_at=long_ago())
    enqueued = asked(in_province, asked_at=long_ago())
    assert quiet.job_ids == [f"14-{enqueued}"]
    monkeypatch.setattr(lost_jobs, "BATCH_SIZE", 1)
    with in_province("shanxi"):
        lost_jobs.requeue_lost()
    names = quiet.job_ids
    assert {f"14-{lost}", f"14-{broken_off}", f"14-{enqueued}"} <= set(names)
    assert not {f"14-{recent}", f"14-{over}", f"14-{elsewhere}", f"41-{elsewhere}"} & set(names)
    assert len(names) == len(set(names)), "what stands in the queue already was queued again"
    with in_province("shanxi"):
        assert lost_jobs.requeue_lost() == 0
    for queued in quiet.jobs:
        job_worker.run_in_tenant(*queued.args)
    assert [traces(in_province, job_id) for job_id in (lost, broken_off, enqueued, recent)] == [1, 1, 1, 0]
    work_off_by_hand(in_province, recent, elsewhere)


def test_the_sweep_leaves_what_a_worker_holds(quiet, trial, in_province, application, monkeypatch):
    monkeypatch.setattr(enqueueing, "push_to_queue", lambda *_given: False)
    job_id = asked(in_province, asked_at=long_ago(), state="running")
    with application.app_context(), in_tenant(14), db.engine.begin() as worker:
        assert worker.scalar(
            text("select pg_try_advisory_xact_lock(:key)"), {"key": job_worker._lock_key(job_id)}
        )
        with in_province("shanxi"):
            lost_jobs.requeue_lost()
    assert f"14-{job_id}" not in quiet.job_ids
    work_off_by_hand(in_province, job_id)


def test_a_duty_is_done_in_every_open_province_though_it_fails_in_one(quiet, monkeypatch):
    visited = []

    def duty():
        visited.append(current_tenant())
        if current_tenant() == 14:
            raise ZeroDivisionError

    monkeypatch.setattr(timetable, "SCHEDULED_TASKS", (timetable.ScheduledTask("trial", 1, duty),))
    timetable.run_task("trial")
    assert {14, 41} <= set(visited)
    assert visited == sorted(set(visited))


def test_a_duty_that_fails_leaves_nothing_half_done(quiet, in_province, monkeypatch):
    marker = uuid4()

    def duty():
        leave(marker)
        if current_tenant() == 14:
            raise ZeroDivisionError

    monkeypatch.setattr(timetable, "SCHEDULED_TASKS", (timetable.ScheduledTask("trial", 1, duty),))
    timetable.run_task("trial")
    assert (traces(in_province, marker), traces(in_province, marker, "henan")) == (0, 1)


def test_a_job_asked_by_a_job_is_queued_when_that_one_is_done(quiet, trial, in_province, application):
    def more(_job, _progress):
        trial.clear()
        enqueueing.enqueue("trial", "后续", {}, by=None)
        assert len(quiet.job_ids) == 1

    trial.append(more)
    job_id = asked(in_province)
    job_worker.run_in_tenant(14, str(job_id))
    assert len(quiet.job_ids) == 2
    run_pending_jobs(application, in_province, "shanxi")
