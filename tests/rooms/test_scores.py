"""Corrected keys and scores from paper under what goes wrong: a hand-in at the same moment, a worker that dies half-way, corrections that follow
each other, a doctor taken for absent, a record that has moved on meanwhile."""

import threading
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments import moves
from dingkao.assessments.models import Assessment
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.errors import Forbidden, NotAllowed
from dingkao.exams import remarking, scores, sittings
from dingkao.exams.models import (
    AdmissionTicket,
    ImportedScore,
    KeyCorrection,
    Paper,
    QuestionVersion,
    ScoreChange,
    Sitting,
    SittingAnswer,
)
from dingkao.exams.papers import papers_for, read
from dingkao.jobs import performing
from dingkao.jobs.models import Job
from dingkao.journal.writing import Actor
from dingkao.outside import sheets
from dingkao.people.accounts import make_staff
from dingkao.results import lines, revising
from dingkao.tenants.context import entered
from tests import people

SLUG, CODE = "xinjiang", 65
_serial = people.serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    people.exam(application, in_province, SLUG)


@pytest.fixture(scope="module")
def admins(in_province, ground):
    """Two administrators, as a job knows them again."""
    with in_province(SLUG):
        made = [make_staff(f"admin-{number}", "管理员", [("province_admin", None)], by=people.actor()).id for number in range(2)]
        db.session.commit()
    return [Actor("staff", one, frozenset({"province_admin"})) for one in made]


@pytest.fixture(autouse=True)
def own_keys(in_province, ground):
    """After each test every version is marked by its own key again, for another test may draw it."""
    yield
    with in_province(SLUG):
        db.session.execute(update(KeyCorrection).where(KeyCorrection.superseded_at.is_(None)).values(superseded_at=clock.now(), withdrawn_at=clock.now()))
        db.session.commit()


@pytest.fixture
def ready(application, in_province, ground):
    def make():
        doctor = people.doctor(application, in_province, SLUG, next(_serial))
        people.bring_to(in_province, doctor, "ready")
        return doctor.record_id

    return make


def record_of(record_id):
    return db.session.scalars(select(Assessment).where(Assessment.id == record_id).with_for_update()).one()


def begun(record_id):
    """Open the first paper and answer everything rightly; the sitting's id and its versions."""
    record = record_of(record_id)
    sitting = sittings.open_sitting(record, papers_for(record)[0], by=Actor("doctor", uuid4()))
    versions = [one.version for one in read(sitting.layout)]
    for position, version in enumerate(versions):
        key = db.session.get_one(QuestionVersion, (CODE, version)).answer
        db.session.add(SittingAnswer(sitting_id=sitting.id, position=position, letters=key, sequence=1, tapped_at=None, received_at=clock.now()))
    db.session.commit()
    return sitting.id, versions


def handed_in(in_province, record_id):
    with in_province(SLUG):
        sitting_id, versions = begun(record_id)
        record = record_of(record_id)
        sittings.hand_in(record, sittings.sitting_of(sitting_id, record, lock=True), by=Actor("doctor", uuid4()))
        db.session.commit()
    return sitting_id, versions


def score(in_province, sitting_id):
    with in_province(SLUG):
        return db.session.scalars(select(Sitting.score_tenths).where(Sitting.id == sitting_id)).one()


def other_key(version_id):
    version = db.session.get_one(QuestionVersion, (CODE, version_id))
    return next(letter for letter, _ in version.options if letter not in version.answer)


def propose(in_province, admins, version_id, **given):
    with in_province(SLUG):
        row = remarking.propose(remarking.version_of(version_id), **({"treatment": "marked", "keys": other_key(version_id), "reason": "复核"} | given), by=admins[0])
        revising.ask_preview(row, by=admins[0])
        db.session.commit()
        return row.id


def approve(in_province, admins, correction_id):
    with in_province(SLUG):
        row = remarking.locked(correction_id)
        assert remarking.approve(row, by=admins[1])
        revising.ask_remarking(row, by=admins[1])
        db.session.commit()


def waiting_job(in_province, name):
    with in_province(SLUG):
        return db.session.scalars(select(Job.id).where(Job.name == name, Job.state == "waiting")).one()


def test_what_is_previewed_is_what_happens(application, in_province, admins, ready):
    sitting_id, versions = handed_in(in_province, ready())
    for given, wanted in (({}, 900), ({"treatment": "excluded", "keys": ""}, 1000), ({"treatment": "credited", "keys": ""}, 1000)):
        correction_id = propose(in_province, admins, versions[0], **given)
        people.work_off(application, in_province, SLUG)
        with in_province(SLUG):
            seen = remarking.locked(correction_id).preview
        approve(in_province, admins, correction_id)
        people.work_off(application, in_province, SLUG)
        assert score(in_province, sitting_id) == wanted
        with in_province(SLUG):
            found = db.session.scalars(select(ScoreChange).where(ScoreChange.correction_id == correction_id)).all()
            assert len(found) == seen["changed"]
            assert sum(one.after_tenths > one.before_tenths for one in found) == seen["up"]


def test_a_hand_in_that_began_before_the_approval_is_marked_by_the_new_key(application, in_province, admins, ready):
    """It holds its record and has read the old key; the approval and the marking come in between; then it commits."""
    record_id = ready()
    with in_province(SLUG):
        sitting_id, versions = begun(record_id)
    correction_id = propose(in_province, admins, versions[0])
    people.work_off(application, in_province, SLUG)
    read_keys, go_on = threading.Event(), threading.Event()

    def hand_in():
        with application.app_context(), entered(CODE):
            record = record_of(record_id)
            sittings.hand_in(record, sittings.sitting_of(sitting_id, record, lock=True), by=Actor("doctor", uuid4()))
            read_keys.set()
            go_on.wait(20)
            db.session.commit()

    def mark():
        people.work_off(application, in_province, SLUG)

    doctor, worker = threading.Thread(target=hand_in), threading.Thread(target=mark)
    doctor.start()
    assert read_keys.wait(20)
    approve(in_province, admins, correction_id)
    worker.start()
    worker.join(1.0)  # it waits for the record, as long as the doctor's transaction lasts
    assert worker.is_alive()
    go_on.set()
    doctor.join(20)
    worker.join(20)
    assert score(in_province, sitting_id) == 900


def test_a_worker_that_dies_half_way_goes_on_where_it_was(application, in_province, admins, ready, monkeypatch):
    """One batch of one sitting is committed, then the worker breaks; begun again it does the rest and the first not twice."""
    sat = [handed_in(in_province, ready()) for _ in range(3)]
    common = next(version for version in sat[0][1] if all(version in versions for _, versions in sat))  # the bank has one group of B1: all draw it
    correction_id = propose(in_province, admins, common)
    people.work_off(application, in_province, SLUG)
    approve(in_province, admins, correction_id)
    monkeypatch.setattr(remarking, "AT_ONCE", 1)
    mine = {sitting_id for sitting_id, _ in sat}
    job_id, revised, whole = waiting_job(in_province, revising.REMARK), [], revising._revise

    def dies(row, one):
        if one.found.sitting.id in mine:
            if revised:
                raise RuntimeError("killed")
            revised.append(one.found.sitting.id)
        whole(row, one)

    monkeypatch.setattr(revising, "_revise", dies)
    with application.app_context(), entered(CODE):
        performing.run(job_id)
    with in_province(SLUG):
        done = select(ScoreChange.sitting_id).where(ScoreChange.correction_id == correction_id, ScoreChange.sitting_id.in_(mine))
        assert db.session.scalars(done).all() == revised
    monkeypatch.setattr(revising, "_revise", whole)
    people.work_off(application, in_province, SLUG)
    assert [score(in_province, sitting_id) for sitting_id, _ in sat] == [900] * 3
    with in_province(SLUG):
        assert db.session.scalars(select(Job.state).where(Job.id == job_id)).one() == "done"
        found = db.session.scalars(select(ScoreChange).where(ScoreChange.correction_id == correction_id)).all()
        assert {(one.before_tenths, one.after_tenths) for one in found if one.sitting_id in mine} == {(1000, 900)}


def test_of_two_corrections_of_a_published_result_the_last_waits_and_nothing_moves_by_itself(application, in_province, admins, ready):
    record_id = ready()
    sitting_id, versions = handed_in(in_province, record_id)
    with in_province(SLUG):
        record = record_of(record_id)
        record.state, record.performance, record.ethics, record.competence = "failed", "fail", "pass", "pass"
        db.session.commit()
    ids = []
    for version in versions[:2]:
        ids.append(propose(in_province, admins, version))
        people.work_off(application, in_province, SLUG)
        approve(in_province, admins, ids[-1])
        people.work_off(application, in_province, SLUG)
    assert score(in_province, sitting_id) == 1000
    with in_province(SLUG):
        rows = {row.correction_id: row for row in db.session.scalars(select(ScoreChange).where(ScoreChange.sitting_id == sitting_id))}
        assert [(rows[one].state, rows[one].after_tenths) for one in ids] == [("superseded", 900), ("waiting", 800)]
        with pytest.raises(Forbidden):
            revising.decide(remarking.locked(ids[1]), [sitting_id], adopt=True, reason="复核", by=admins[0])
        assert revising.decide(remarking.locked(ids[0]), [sitting_id], adopt=True, reason="复核", by=admins[1]) == (0, [])
        assert revising.decide(remarking.locked(ids[1]), [sitting_id], adopt=True, reason="复核", by=admins[1])[0] == 1
        db.session.commit()
    assert score(in_province, sitting_id) == 800
    assert people.state_of(in_province, SLUG, record_id) == "failed"


def test_marking_again_by_an_earlier_correction_leaves_what_waits_and_what_was_decided(application, in_province, admins, ready):
    record_id = ready()
    sitting_id, versions = handed_in(in_province, record_id)
    with in_province(SLUG):
        record = record_of(record_id)
        record.state, record.performance, record.ethics, record.competence = "failed", "fail", "pass", "pass"
        db.session.commit()
    ids = []

    def again(correction_id):
        with in_province(SLUG):
            revising.ask_remarking(remarking.locked(correction_id), by=admins[1])
            db.session.commit()
        people.work_off(application, in_province, SLUG)

    def stand():
        with in_province(SLUG):
            rows = {row.correction_id: row for row in db.session.scalars(select(ScoreChange).where(ScoreChange.sitting_id == sitting_id))}
            return [(rows[one].state, rows[one].after_tenths) for one in ids]

    for version in versions[:2]:
        ids.append(propose(in_province, admins, version))
        people.work_off(application, in_province, SLUG)
        approve(in_province, admins, ids[-1])
        people.work_off(application, in_province, SLUG)
    again(ids[0])
    assert stand() == [("superseded", 900), ("waiting", 800)]
    with in_province(SLUG):
        revising.decide(remarking.locked(ids[1]), [sitting_id], adopt=False, reason="维持", by=admins[1])
        db.session.commit()
    again(ids[1])
    assert stand() == [("superseded", 900), ("kept", 800)]
    assert score(in_province, sitting_id) == 1000


def test_nobody_is_kept_from_handing_in_though_nothing_counts(application, in_province, admins, ready):
    record_id = ready()
    with in_province(SLUG):
        sitting_id, versions = begun(record_id)
        db.session.execute(update(Sitting).where(Sitting.id == sitting_id).values(layout=[f"{versions[0]} ABCDE"]))
        db.session.commit()
    correction_id = propose(in_province, admins, versions[0], treatment="excluded", keys="")
    people.work_off(application, in_province, SLUG)
    approve(in_province, admins, correction_id)
    people.work_off(application, in_province, SLUG)
    with in_province(SLUG):
        record = record_of(record_id)
        row = sittings.sitting_of(sitting_id, record, lock=True)
        sittings.hand_in(record, row, by=Actor("doctor", uuid4()))
        assert row.score_tenths == 1000


def test_a_correction_that_leaves_nothing_to_mark_is_not_approved(application, in_province, admins, ready):
    record_id = ready()
    sitting_id, versions = handed_in(in_province, record_id)
    with in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == sitting_id).values(layout=[f"{versions[0]} ABCDE"]))
        db.session.commit()
    correction_id = propose(in_province, admins, versions[0], treatment="excluded", keys="")
    with in_province(SLUG), pytest.raises(NotAllowed, match="还没有计算完"):
        remarking.approve(remarking.locked(correction_id), by=admins[1])
    people.work_off(application, in_province, SLUG)
    with in_province(SLUG), pytest.raises(NotAllowed, match="全部给分"):
        remarking.approve(remarking.locked(correction_id), by=admins[1])


def test_a_voided_sitting_is_left_as_it_is(application, in_province, admins, ready):
    sitting_id, versions = handed_in(in_province, ready())
    with in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == sitting_id).values(voided_at=clock.now()))
        db.session.commit()
    correction_id = propose(in_province, admins, versions[0])
    people.work_off(application, in_province, SLUG)
    approve(in_province, admins, correction_id)
    people.work_off(application, in_province, SLUG)
    assert score(in_province, sitting_id) == 1000


# --- scores from paper


def taken_in(in_province, record_id, *rows, by):
    with in_province(SLUG):
        ticket = db.session.scalars(select(AdmissionTicket.number).where(AdmissionTicket.assessment_id == record_id)).one()
        name = name_of(record_id)
        content = sheets.write(["准考证号", "姓名", "科目", "成绩"], [[ticket, name, subject, points] for subject, points in rows])
        report, made = scores.take_in(content, current_cycle(), only=None, organisation=None, dry_run=False, by=by)
        assert report.errors == []
        db.session.commit()
        return made.id


def name_of(record_id):
    joined = select(Doctor.name).join(Assessment, (Assessment.tenant_id == Doctor.tenant_id) & (Assessment.doctor_id == Doctor.id))
    return db.session.scalars(joined.where(Assessment.id == record_id)).one()


def confirm(in_province, import_id, by):
    with in_province(SLUG):
        scores.approve(scores.locked(import_id), by=by)
        db.session.commit()


def test_who_was_taken_for_absent_was_there_on_paper(application, in_province, admins, ready):
    record_id = ready()
    with in_province(SLUG):
        moves.miss_test(record_of(record_id), by=Actor("system"))
        db.session.commit()
    import_id = taken_in(in_province, record_id, ("公共知识", 70), ("业务水平", 65), by=admins[0])
    confirm(in_province, import_id, admins[1])
    people.work_off(application, in_province, SLUG)
    with in_province(SLUG):
        record = record_of(record_id)
        assert (record.state, record.competence) == ("scored", None)
        assert {row.handed_in_by for row in sittings.sittings_of(record).values()} == {"offline"}
        assert lines.reaches([row.score_tenths for row in sittings.sittings_of(record).values()], 650)


def test_a_record_that_has_moved_on_is_left_out_with_the_reason(application, in_province, admins, ready):
    record_id = ready()
    import_id = taken_in(in_province, record_id, ("公共知识", 70), ("业务水平", 65), by=admins[0])
    with in_province(SLUG):
        with pytest.raises(Forbidden):
            scores.approve(scores.locked(import_id), by=admins[0])
        sitting_id, _ = begun(record_id)
    confirm(in_province, import_id, admins[1])
    people.work_off(application, in_province, SLUG)
    with in_province(SLUG):
        papers = {row.id: row.subject for row in db.session.scalars(select(Paper))}
        rows = {papers[row.paper_id]: row.left_out for row in db.session.scalars(select(ImportedScore).where(ImportedScore.import_id == import_id))}
        assert rows["professional"] is None
        assert "已有线上作答" in rows["common"]
        record = record_of(record_id)
        assert record.state == "testing"
        sittings.hand_in(record, sittings.sitting_of(sitting_id, record, lock=True), by=Actor("doctor", uuid4()))
        assert record.state == "scored"


def test_entered_again_nothing_is_entered_twice(application, in_province, admins, ready):
    record_id = ready()
    import_id = taken_in(in_province, record_id, ("公共知识", 70), by=admins[0])
    confirm(in_province, import_id, admins[1])
    job_id = waiting_job(in_province, scores.ENTER)
    people.work_off(application, in_province, SLUG)
    with in_province(SLUG):
        job = db.session.scalars(select(Job).where(Job.id == job_id)).one()
        job.state, job.tries = "waiting", 0
        db.session.commit()
    people.work_off(application, in_province, SLUG)
    with in_province(SLUG):
        rows = list(sittings.sittings_of(record_of(record_id)).values())
        assert [(row.score_tenths, row.layout) for row in rows] == [(700, [])]
        with pytest.raises(NotAllowed, match="不能撤回"):
            scores.withdraw(scores.locked(import_id), by=admins[0])
