"""Slow work in chunks: each committed with where the next begins, gone on with after whatever broke it,
paused, cancelled and taken back."""

from typing import ClassVar

import pytest
from sqlalchemy import delete, select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import InvalidState, Unavailable
from dingkao.jobs import chunks, control, enqueueing, lost_jobs
from dingkao.jobs import worker as job_worker
from dingkao.jobs.chunks import Chunk, ChunkedWork, RetryLater
from dingkao.jobs.models import Job
from dingkao.tenants.models import ProvinceSetting
from tests.rooms.trial_jobs import asked, leave, row_of, traces, work_off_by_hand


@pytest.fixture
def steps(quiet, monkeypatch):
    """The job of chunks «steps»: each of its chunks leaves a row and does what the test has put into `acts`;
    there are `acts.chunk_count` chunks."""

    class Acts(list):
        chunk_count = 5
        undone: ClassVar = None

    acts = Acts()

    def step(job, cursor):
        index = cursor.get("at", 0)
        if job.undoing:
            db.session.execute(delete(ProvinceSetting).where(ProvinceSetting.name == f"trial {job.id}"))
            return Chunk(None, result={"taken_back": True})
        leave(job.id)
        for act in acts:
            act(job, index)
        last = index + 1 == acts.chunk_count
        return Chunk(
            None if last else {"at": index + 1},
            done=1,
            total=acts.chunk_count if index == 0 else None,
            counts={"included": 1},
            reasons={"不行": index % 2},
        )

    def undo(job, cursor):
        return acts.undone(job, cursor) if acts.undone else None

    monkeypatch.setitem(job_worker.REGISTERED_JOBS, "steps", ChunkedWork(step, undo))
    return acts


def chunked(in_province, *, commit=True, **changed):
    with in_province("shanxi"):
        job_row = enqueueing.enqueue("steps", "分批试验", {}, by=None)
        for name, value in changed.items():
            setattr(job_row, name, value)
        db.session.commit()
        return job_row.id


def seen_in(in_province, job_id):
    job_row = row_of(in_province, job_id)
    return job_row.state, job_row.done, traces(in_province, job_id)


def steered(in_province, job_id, act):
    with in_province("shanxi"):
        job = db.session.scalars(select(Job).where(Job.id == job_id).with_for_update()).one()
        control.request_action(job, act)
        db.session.commit()


def run_in(in_province, job_id, after=None):
    """A turn as a worker takes it, whatever comes of it."""
    with in_province("shanxi"):
        job_worker.run_turn(job_id, after)


def test_each_chunk_is_committed_with_the_cursor_of_the_next(steps, in_province):
    observed = []
    steps.append(lambda job, index: observed.append((index, *seen_in(in_province, job.id))))
    job_id = chunked(in_province)
    run_in(in_province, job_id)
    assert observed == [(index, "running", index, index) for index in range(5)]
    job_row = row_of(in_province, job_id)
    assert (job_row.state, job_row.done, job_row.total, job_row.cursor, job_row.tries) == (
        "done",
        5,
        5,
        None,
        0,
    )
    assert job_row.result == {"included": 5, "reasons": {"不行": 2}}
    assert job_row.ended_at


def test_what_breaks_in_the_middle_goes_on_there_and_counts_each_chunk_once(steps, in_province):
    broken = []

    def burst(_job, at):
        if at == 2 and not broken:
            broken.append(at)
            raise ZeroDivisionError

    steps.append(burst)
    job_id = chunked(in_province)
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("waiting", 2, 2)
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("done", 5, 5)


def test_a_chunk_that_never_succeeds_stops_the_job_and_it_can_be_gone_on_with(steps, in_province):
    def burst(_job, at):
        if at == 2:
            raise ZeroDivisionError

    steps.append(burst)
    job_id = chunked(in_province)
    for _ in range(8):
        run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("failed", 2, 2)
    assert row_of(in_province, job_id).sentence == job_worker.INTERRUPTED_MESSAGE
    steps.clear()
    steered(in_province, job_id, "resume")
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("done", 5, 5)


def test_after_its_turn_it_makes_room_and_goes_on_behind_the_others(
    steps, trial, in_province, quiet, monkeypatch
):
    monkeypatch.setattr(chunks, "MAX_TURN_SECONDS", 0.0)
    job_id, other_id = chunked(in_province), asked(in_province)
    ran = []
    while waiting := quiet.jobs:
        quiet.remove(waiting[0].id)
        ran.append(waiting[0].args[1])
        job_worker.run_in_tenant(*waiting[0].args)
    assert ran == [str(job_id), str(other_id), *[str(job_id)] * 4]
    assert seen_in(in_province, job_id) == ("done", 5, 5)


def test_a_turn_that_another_worker_has_taken_over_is_not_taken_twice(steps, in_province, quiet, monkeypatch):
    monkeypatch.setattr(chunks, "MAX_TURN_SECONDS", 0.0)
    job_id = chunked(in_province)
    run_in(in_province, job_id)
    run_in(in_province, job_id)
    assert quiet.jobs[-1].args == (14, str(job_id), 2)
    run_in(in_province, job_id, after=1)
    assert seen_in(in_province, job_id)[1] == 2, "the queue's older word was taken for another turn"
    with in_province("shanxi"):
        assert enqueueing.already_queued(14, [job_id]) == {job_id}, (
            "a job that stands in the queue for its next turn would be queued again"
        )
    work_off_by_hand(in_province, job_id)


def test_a_worker_that_lost_its_lock_leaves_the_chunk_to_the_other(steps, in_province):
    def overtaken(job, at):
        if at == 1:
            with db.engine.begin() as second_connection:
                second_connection.execute(
                    update(Job).where(Job.tenant_id == 14, Job.id == job.id).values(turn=Job.turn + 1)
                )

    steps.append(overtaken)
    job_id = chunked(in_province)
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("running", 1, 1)
    work_off_by_hand(in_province, job_id)


def test_paused_after_the_chunk_it_is_at_and_gone_on_with_from_there(steps, in_province):
    def press(job, at):
        if at == 1:
            steered(in_province, job.id, "pause")
            steered(in_province, job.id, "pause")

    steps.append(press)
    job_id = chunked(in_province)
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("paused", 2, 2)
    with in_province("shanxi"):
        lost_jobs.requeue_lost()
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("paused", 2, 2), "what is paused was worked on"
    steered(in_province, job_id, "resume")
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("done", 5, 5)


def test_a_pause_is_taken_back_before_it_is_come_to(steps, in_province):
    job_id = chunked(in_province)
    steered(in_province, job_id, "pause")
    steered(in_province, job_id, "resume")
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("done", 5, 5)
    with in_province("shanxi"), pytest.raises(InvalidState):
        control.request_action(db.session.scalars(select(Job).where(Job.id == job_id)).one(), "pause")


def test_cancelled_it_stops_and_what_is_done_stays(steps, in_province):
    steps.append(lambda job, at: steered(in_province, job.id, "cancel") if at == 1 else None)
    job_id = chunked(in_province)
    for _ in range(2):
        run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("cancelled", 2, 2)
    assert row_of(in_province, job_id).ended_at


def test_cancelled_while_paused_it_takes_back_what_it_did_where_it_says_so(steps, in_province):
    steps.append(lambda job, at: steered(in_province, job.id, "pause") if at == 1 else None)
    steps.undone = lambda _job, cursor: {"back from": cursor["at"]}
    job_id = chunked(in_province)
    run_in(in_province, job_id)
    steered(in_province, job_id, "cancel")
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("cancelled", 2, 0)
    assert row_of(in_province, job_id).result["taken_back"]


def test_where_it_is_too_late_to_cancel_it_goes_on_and_says_so(steps, in_province):
    def too_late(_job, _cursor):
        raise InvalidState("已经发布，不能取消。")

    sentences = []
    steps.append(
        lambda job, at: steered(in_province, job.id, "cancel") if at == 1 else sentences.append(job.sentence)
    )
    steps.undone = too_late
    job_id = chunked(in_province)
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("done", 5, 5)
    assert sentences[-1] == "已经发布，不能取消。"


def test_what_has_to_wait_says_why_and_is_never_given_up(steps, in_province):
    def wait(_job, at):
        if at == 2:
            raise RetryLater("夜间不打扰医师，明早继续。")

    steps.append(wait)
    job_id = chunked(in_province, asked_at=clock.now() - 2 * job_worker.GIVE_UP_AFTER)
    for _ in range(8):
        run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("waiting", 2, 2)
    assert row_of(in_province, job_id).sentence == "夜间不打扰医师，明早继续。"
    steps.clear()
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id) == ("done", 5, 5)


def test_an_engine_that_is_away_is_waited_for_since_the_last_chunk(steps, in_province):
    def away(_job, at):
        if at == 2:
            raise Unavailable("文件存储暂时连接不上。")

    steps.append(away)
    job_id = chunked(in_province, asked_at=clock.now() - 2 * job_worker.GIVE_UP_AFTER)
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id)[0] == "waiting"
    with in_province("shanxi"):
        db.session.execute(
            update(Job).where(Job.id == job_id).values(advanced_at=clock.now() - job_worker.GIVE_UP_AFTER)
        )
        db.session.commit()
    run_in(in_province, job_id)
    assert seen_in(in_province, job_id)[0] == "failed"


def test_a_jobs_result_never_grows_with_the_province():
    job = Job(done=0)
    for number in range(40):
        names = [(f"医师{number}", "原因")] * 30
        chunks.apply_chunk(
            job,
            Chunk(
                {"at": 1},
                done=30,
                counts={"included": 2},
                reasons={f"第{number}医院尚未指定": 3, f"{number}" * 400: 1},
                names=names,
            ),
        )
    assert (job.done, job.result["included"]) == (1200, 80)
    assert len(job.result["names"]) == chunks.MAX_NAMES
    assert len(job.result["reasons"]) <= chunks.MAX_REASONS + 1
    assert sum(job.result["reasons"].values()) == 160
    assert max(map(len, job.result["reasons"])) <= chunks.MAX_SENTENCE_LENGTH
