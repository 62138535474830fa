"""Records by state without counting them: whatever moves a record, the totals are those of the rows; folding
waits for nobody and loses nothing; what nobody has counted is put right at night."""

import threading
from uuid import uuid4

import pytest
from sqlalchemy import event, func, select, update

from dingkao.assessments import assessment_transitions, enrolment, record_counts
from dingkao.assessments.models import ASSESSMENT_STATES, Assessment, RecordMove
from dingkao.assessments.record_counts import counted_move, fold_moves, recount, state_totals, state_totals_of
from dingkao.cycles.cycles import require_current_cycle
from dingkao.database.base import db
from dingkao.filings.review import ReviewScope, find_next_pending_id
from dingkao.journal.entries import Actor
from dingkao.people.models import Organisation
from dingkao.people.scopes import WHOLE_PROVINCE, Grant
from tests import actors

SLUG = "shanxi"


def counted_rows(condition=True):
    """State → number of the province's records, counted row by row."""
    query = select(Assessment.state, func.count()).where(condition).group_by(Assessment.state)
    return dict.fromkeys(ASSESSMENT_STATES, 0) | dict(db.session.execute(query).all())


def require_equal():
    """The totals of the province, and of every institution and assessment organisation, are those of the
    rows."""
    cycle = require_current_cycle()
    assert state_totals(cycle, WHOLE_PROVINCE) == counted_rows()
    for organisation_id in db.session.scalars(select(Organisation.id)):
        grant = Grant(institution_ids=(organisation_id,))
        assert state_totals(cycle, grant) == counted_rows(Assessment.institution_id == organisation_id)
        assert state_totals_of(cycle, "assessor", [organisation_id]) == counted_rows(
            Assessment.assessor_id == organisation_id
        )


@pytest.fixture
def cycle(in_province, provinces):
    """The cycle of 山西, in which every doctor has a record; undone afterwards."""
    with in_province(SLUG):
        cycle = actors.get_or_open_cycle()
        enrolment.enrol(cycle)
        yield cycle


def test_whatever_moves_a_record_the_totals_are_those_of_the_rows(cycle):
    require_equal()
    assert sum(state_totals(cycle, WHOLE_PROVINCE).values()) == 6
    ids = db.session.scalars(select(Assessment.id).order_by(Assessment.id)).all()
    by = actors.make_actor("province_admin")
    assert enrolment.include(cycle, ids[:5], by=by, grant=WHOLE_PROVINCE).included_count == 5
    require_equal()
    fold_moves()
    assert db.session.scalar(select(func.count()).select_from(RecordMove)) == 0
    require_equal()
    enrolment.exclude(cycle, ids[:1], by=by, grant=WHOLE_PROVINCE, reason="已调离")
    record = db.session.get_one(Assessment, (cycle.tenant_id, ids[1]))
    assessment_transitions.start_filing(record, by=Actor("doctor", uuid4()))
    assessment_transitions.submit(record, by=Actor("doctor", uuid4()), procedure="general")
    require_equal()
    other = db.session.scalars(
        select(Organisation.id).where(Organisation.id != record.institution_id)
    ).first()
    with counted_move(record):
        record.institution_id = other
    require_equal()
    fold_moves()
    require_equal()
    assert recount() == 0


def test_enrolling_again_counts_nobody_twice(cycle):
    enrolment.enrol(cycle)
    enrolment.enrol_batch(cycle, enrolment.FIRST_ID)
    require_equal()


def test_moves_are_folded_some_at_a_time(cycle, monkeypatch):
    monkeypatch.setattr(record_counts, "MAX_FOLDED", 2)
    moves = db.session.scalar(select(func.count()).select_from(RecordMove))
    assert moves >= 3
    assert fold_moves() == 2
    require_equal()
    while fold_moves():
        require_equal()


def test_what_nobody_has_counted_is_put_right_at_night(cycle):
    fold_moves()
    db.session.execute(update(Assessment).values(state="draft"))
    assert state_totals(cycle, WHOLE_PROVINCE)["draft"] == 0
    assert recount() > 0
    require_equal()
    assert recount() == 0
    record_counts.recount_nightly()
    assert record_counts.last_recounted_at() is not None


def test_those_who_move_records_at_once_wait_for_nobody(application, in_province, provinces):
    """Six moves are open at the same time, each in its own transaction, while the duty folds; none waits
    for another, and all are counted."""
    with in_province(SLUG):
        cycle = actors.get_or_open_cycle()
        enrolment.enrol(cycle)
        ids = db.session.scalars(select(Assessment.id).order_by(Assessment.id)).all()
        db.session.commit()
        fold_moves()
        db.session.commit()
    all_moved, faults = threading.Barrier(len(ids) + 1, timeout=20), []

    def move(record_id):
        try:
            with in_province(SLUG):
                record = db.session.scalars(
                    select(Assessment).where(Assessment.id == record_id).with_for_update()
                ).one()
                assessment_transitions.include(record, by=actors.make_actor("province_admin"))
                db.session.flush()
                all_moved.wait()
                db.session.commit()
        except Exception as fault:  # noqa: BLE001 - told at the end
            faults.append(fault)

    threads = [threading.Thread(target=move, args=(record_id,)) for record_id in ids]
    for thread in threads:
        thread.start()
    with in_province(SLUG):
        fold_moves()
        all_moved.wait()
        db.session.commit()
    for thread in threads:
        thread.join()
    assert faults == []
    with in_province(SLUG):
        assert state_totals(require_current_cycle(), WHOLE_PROVINCE)["included"] == len(ids)
    with in_province(SLUG):
        assert fold_moves() == len(ids)
        require_equal()


def test_who_waited_longest_comes_from_an_index_without_sorting(cycle):
    """Of a queue of a hundred thousand nothing is sorted for «next»."""
    organisation_ids = (uuid4(),)
    scope = ReviewScope("organisation", organisation_ids, deciding_ids=organisation_ids)
    statements = []

    def note(_connection, _cursor, statement, parameters, *_more):
        statements.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        find_next_pending_id(cycle, scope, actors.make_actor("organisation_reviewer"))
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    statement, parameters = next(sent for sent in statements if "submitted_at" in sent[0])
    connection = db.session.connection().connection.driver_connection
    connection.execute("set local enable_seqscan = off")
    plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {statement}", parameters))
    assert "assessment_assessor_queue_ix" in plan
    assert "Sort" not in plan
