"""Corrected keys under what goes wrong: a hand-in at the same moment, a worker that dies half-way, corrections that
follow each other."""

import threading
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import Forbidden, InvalidState
from dingkao.exams import (
    key_corrections,
    sitting_completion,
    sitting_rescoring,
    sittings,
)
from dingkao.exams.models.correction_models import ScoreChange
from dingkao.exams.models.sitting_models import Sitting
from dingkao.jobs import worker
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.results import rescoring, score_changes
from dingkao.tenants.context import in_tenant
from tests import actors
from tests.rooms.marking_steps import (
    CODE,
    SLUG,
    approve,
    begun,
    handed_in,
    propose,
    publish_as_failed,
    record_of,
    score,
    waiting_job,
)


@pytest.fixture(autouse=True)
def own_keys(in_province, exam_ground):
    yield
    actors.revoke_corrections(in_province, SLUG)


def test_what_is_previewed_is_what_happens(application, in_province, two_admins, ready_record):
    sitting_id, versions = handed_in(in_province, ready_record())
    for proposal_values, expected_tenths in (
        ({}, 900),
        ({"treatment": "excluded", "keys": ""}, 1000),
        ({"treatment": "credited", "keys": ""}, 1000),
    ):
        correction_id = propose(in_province, two_admins, versions[0], **proposal_values)
        actors.run_pending_jobs(application, in_province, SLUG)
        with in_province(SLUG):
            preview = key_corrections.get_correction_for_update(correction_id).preview
        approve(in_province, two_admins, correction_id)
        actors.run_pending_jobs(application, in_province, SLUG)
        assert score(in_province, sitting_id) == expected_tenths
        with in_province(SLUG):
            score_changes = db.session.scalars(
                select(ScoreChange).where(ScoreChange.correction_id == correction_id)
            ).all()
            assert len(score_changes) == preview["changed"]
            assert (
                sum(change.after_tenths > change.before_tenths for change in score_changes) == preview["up"]
            )


def test_a_hand_in_that_began_before_the_approval_is_marked_by_the_new_key(
    application, in_province, two_admins, ready_record
):
    """It holds its record and has read the old key; the approval and the marking come in between; then it
    commits."""
    record_id = ready_record()
    with in_province(SLUG):
        sitting_id, versions = begun(record_id)
    correction_id = propose(in_province, two_admins, versions[0])
    actors.run_pending_jobs(application, in_province, SLUG)
    read_keys, go_on = threading.Event(), threading.Event()

    def hand_in():
        with application.app_context(), in_tenant(CODE):
            record = record_of(record_id)
            sitting_completion.hand_in_sitting(
                record, sittings.get_sitting(sitting_id, record, for_update=True), by=Actor("doctor", uuid4())
            )
            read_keys.set()
            go_on.wait(20)
            db.session.commit()

    def mark():
        actors.run_pending_jobs(application, in_province, SLUG)

    doctor, worker = threading.Thread(target=hand_in), threading.Thread(target=mark)
    doctor.start()
    assert read_keys.wait(20)
    approve(in_province, two_admins, correction_id)
    worker.start()
    worker.join(1.0)  # it waits for the record, as long as the doctor's transaction lasts
    assert worker.is_alive()
    go_on.set()
    doctor.join(20)
    worker.join(20)
    assert score(in_province, sitting_id) == 900


def test_a_worker_that_dies_half_way_goes_on_where_it_was(
    application, in_province, two_admins, ready_record, monkeypatch
):
    """One batch of one sitting is committed, then the worker breaks; begun again it does the rest and the
    first not twice."""
    sat = [handed_in(in_province, ready_record()) for _ in range(3)]
    common = next(
        version for version in sat[0][1] if all(version in versions for _, versions in sat)
    )  # the bank has one group of B1: all draw it
    correction_id = propose(in_province, two_admins, common)
    actors.run_pending_jobs(application, in_province, SLUG)
    approve(in_province, two_admins, correction_id)
    monkeypatch.setattr(sitting_rescoring, "BATCH_SIZE", 1)
    sitting_ids = {sitting_id for sitting_id, _ in sat}
    job_id, revised, _apply_effect = (
        waiting_job(in_province, rescoring.REMARK_JOB),
        [],
        rescoring._apply_effect,
    )

    def dies(correction, effect):
        sitting_id = effect.current_score.sitting.id
        if sitting_id in sitting_ids:
            if revised:
                raise RuntimeError("killed")
            revised.append(sitting_id)
        _apply_effect(correction, effect)

    monkeypatch.setattr(rescoring, "_apply_effect", dies)
    with application.app_context(), in_tenant(CODE):
        worker.run_turn(job_id)
    with in_province(SLUG):
        query = select(ScoreChange.sitting_id).where(
            ScoreChange.correction_id == correction_id, ScoreChange.sitting_id.in_(sitting_ids)
        )
        assert db.session.scalars(query).all() == revised
        assert len(revised) == 1
    monkeypatch.setattr(rescoring, "_apply_effect", _apply_effect)
    actors.run_pending_jobs(application, in_province, SLUG)
    assert [score(in_province, sitting_id) for sitting_id, _ in sat] == [900] * 3
    with in_province(SLUG):
        assert db.session.scalars(select(Job.state).where(Job.id == job_id)).one() == "done"
        score_changes = db.session.scalars(
            select(ScoreChange).where(ScoreChange.correction_id == correction_id)
        ).all()
        assert {
            (change.before_tenths, change.after_tenths)
            for change in score_changes
            if change.sitting_id in sitting_ids
        } == {(1000, 900)}


def test_of_two_corrections_of_a_published_result_the_last_waits_and_nothing_moves_by_itself(
    application, in_province, two_admins, ready_record
):
    record_id = ready_record()
    sitting_id, versions = handed_in(in_province, record_id)
    publish_as_failed(in_province, record_id)
    ids = []
    for version in versions[:2]:
        ids.append(propose(in_province, two_admins, version))
        actors.run_pending_jobs(application, in_province, SLUG)
        approve(in_province, two_admins, ids[-1])
        actors.run_pending_jobs(application, in_province, SLUG)
    assert score(in_province, sitting_id) == 1000
    with in_province(SLUG):
        score_changes_by_correction_id = {
            score_change.correction_id: score_change
            for score_change in db.session.scalars(
                select(ScoreChange).where(ScoreChange.sitting_id == sitting_id)
            )
        }
        assert [
            (
                score_changes_by_correction_id[correction_id].state,
                score_changes_by_correction_id[correction_id].after_tenths,
            )
            for correction_id in ids
        ] == [
            ("superseded", 900),
            ("waiting", 800),
        ]
        with pytest.raises(Forbidden):
            score_changes.decide_changes(
                key_corrections.get_correction_for_update(ids[1]),
                [sitting_id],
                adopt=True,
                reason="复核",
                by=two_admins[0],
            )
        assert score_changes.decide_changes(
            key_corrections.get_correction_for_update(ids[0]),
            [sitting_id],
            adopt=True,
            reason="复核",
            by=two_admins[1],
        ) == (0, [])
        assert (
            score_changes.decide_changes(
                key_corrections.get_correction_for_update(ids[1]),
                [sitting_id],
                adopt=True,
                reason="复核",
                by=two_admins[1],
            )[0]
            == 1
        )
        db.session.commit()
    assert score(in_province, sitting_id) == 800
    assert actors.record_state(in_province, SLUG, record_id) == "failed"


def test_a_preview_counts_its_own_correction_and_not_what_waits_of_another(
    application, in_province, two_admins, ready_record
):
    """A published score stays until somebody decides; what an earlier correction would make of it is not
    counted again for a later one."""
    record_id = ready_record()
    sitting_id, versions = handed_in(in_province, record_id)
    with in_province(SLUG):
        record = record_of(record_id)
        record.state, record.competence = "failed", "fail"
        db.session.commit()
    first_id = propose(in_province, two_admins, versions[0])
    actors.run_pending_jobs(application, in_province, SLUG)
    approve(in_province, two_admins, first_id)
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        assert db.session.scalars(
            select(ScoreChange.state).where(
                ScoreChange.correction_id == first_id, ScoreChange.sitting_id == sitting_id
            )
        ).all() == ["waiting"]
    for proposal_values, changes in (({"treatment": "credited", "keys": ""}, False), ({}, True)):
        second_id = propose(in_province, two_admins, versions[1], **proposal_values)
        actors.run_pending_jobs(application, in_province, SLUG)
        with in_province(SLUG):
            preview = key_corrections.get_correction_for_update(second_id).preview
        assert (preview["changed"] > 0) is changes
        assert preview["up"] == 0


def test_marking_again_by_an_earlier_correction_leaves_what_waits_and_what_was_decided(
    application, in_province, two_admins, ready_record
):
    record_id = ready_record()
    sitting_id, versions = handed_in(in_province, record_id)
    publish_as_failed(in_province, record_id)
    ids = []

    def again(correction_id):
        with in_province(SLUG):
            rescoring.enqueue_remarking(
                key_corrections.get_correction_for_update(correction_id), by=two_admins[1]
            )
            db.session.commit()
        actors.run_pending_jobs(application, in_province, SLUG)

    def stand():
        with in_province(SLUG):
            score_changes_by_correction_id = {
                score_change.correction_id: score_change
                for score_change in db.session.scalars(
                    select(ScoreChange).where(ScoreChange.sitting_id == sitting_id)
                )
            }
            return [
                (
                    score_changes_by_correction_id[correction_id].state,
                    score_changes_by_correction_id[correction_id].after_tenths,
                )
                for correction_id in ids
            ]

    for version in versions[:2]:
        ids.append(propose(in_province, two_admins, version))
        actors.run_pending_jobs(application, in_province, SLUG)
        approve(in_province, two_admins, ids[-1])
        actors.run_pending_jobs(application, in_province, SLUG)
    again(ids[0])
    assert stand() == [("superseded", 900), ("waiting", 800)]
    with in_province(SLUG):
        score_changes.decide_changes(
            key_corrections.get_correction_for_update(ids[1]),
            [sitting_id],
            adopt=False,
            reason="维持",
            by=two_admins[1],
        )
        db.session.commit()
    again(ids[1])
    assert stand() == [("superseded", 900), ("kept", 800)]
    assert score(in_province, sitting_id) == 1000


def test_nobody_is_kept_from_handing_in_though_nothing_counts(
    application, in_province, two_admins, ready_record
):
    record_id = ready_record()
    with in_province(SLUG):
        sitting_id, versions = begun(record_id)
        db.session.execute(
            update(Sitting).where(Sitting.id == sitting_id).values(layout=[f"{versions[0]} ABCDE"])
        )
        db.session.commit()
    correction_id = propose(in_province, two_admins, versions[0], treatment="excluded", keys="")
    actors.run_pending_jobs(application, in_province, SLUG)
    approve(in_province, two_admins, correction_id)
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        record = record_of(record_id)
        sitting = sittings.get_sitting(sitting_id, record, for_update=True)
        sitting_completion.hand_in_sitting(record, sitting, by=Actor("doctor", uuid4()))
        assert sitting.score_tenths == 1000


def test_a_correction_that_leaves_nothing_to_mark_is_not_approved(
    application, in_province, two_admins, ready_record
):
    record_id = ready_record()
    sitting_id, versions = handed_in(in_province, record_id)
    with in_province(SLUG):
        db.session.execute(
            update(Sitting).where(Sitting.id == sitting_id).values(layout=[f"{versions[0]} ABCDE"])
        )
        db.session.commit()
    correction_id = propose(in_province, two_admins, versions[0], treatment="excluded", keys="")
    with in_province(SLUG), pytest.raises(InvalidState, match="还没有计算完"):
        key_corrections.approve_correction(
            key_corrections.get_correction_for_update(correction_id), by=two_admins[1]
        )
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG), pytest.raises(InvalidState, match="全部给分"):
        key_corrections.approve_correction(
            key_corrections.get_correction_for_update(correction_id), by=two_admins[1]
        )


def test_a_voided_sitting_is_left_as_it_is(application, in_province, two_admins, ready_record):
    sitting_id, versions = handed_in(in_province, ready_record())
    with in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == sitting_id).values(voided_at=clock.now()))
        db.session.commit()
    correction_id = propose(in_province, two_admins, versions[0])
    actors.run_pending_jobs(application, in_province, SLUG)
    approve(in_province, two_admins, correction_id)
    actors.run_pending_jobs(application, in_province, SLUG)
    assert score(in_province, sitting_id) == 1000
