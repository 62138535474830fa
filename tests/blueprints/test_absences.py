"""缺考: what the system has marked is drafted by a clerk and confirmed by a reviewer of the organisation
before it counts."""

import re

import pytest
from sqlalchemy import select

from dingkao.assessments import assessment_transitions
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.errors import InvalidState
from dingkao.journal.entries import SYSTEM_ACTOR
from dingkao.journal.models import JournalEntry
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "heilongjiang", 23
PAGE = f"/{SLUG}/office/absences"


@pytest.fixture(scope="module")
def absent(application, in_province):
    """Three doctors who missed the exam."""
    doctors = [actors.ready_doctor(application, in_province, SLUG, serial) for serial in (1, 2, 3)]
    with in_province(SLUG):
        for doctor in doctors:
            assessment_transitions.mark_absent(locked(doctor), by=SYSTEM_ACTOR)
        db.session.commit()
    return doctors


@pytest.fixture
def staff(application, in_province, absent):
    return lambda role, at=1: signed_in_client(
        application, in_province, SLUG, role, sample_data.registration_number(CODE, at)
    )


def locked(doctor):
    return db.session.scalars(
        select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()
    ).one()


def test_an_absence_is_drafted_confirmed_and_only_then_concluded(application, in_province, absent, staff):
    clerk, reviewer = staff("organisation_clerk"), staff("organisation_reviewer")
    stranger = staff("organisation_clerk", at=2)
    assert str(absent[0].record_id) not in stranger.get(PAGE).get_data(as_text=True)
    assert "缺考待确认" in clerk.get(f"/{SLUG}/office").get_data(as_text=True)
    first = str(absent[0].record_id)
    drafted = post_form(clerk, f"{PAGE}/draft", page=PAGE, record=first, note="已电话联系，本人放弃")
    assert drafted.status_code == 303
    page = reviewer.get(PAGE).get_data(as_text=True)
    assert re.search(r">草稿</td>\s*<td[^>]*>已电话联系，本人放弃</td>", page)
    assert first not in reviewer.get(f"{PAGE}?draft=undrafted").get_data(as_text=True)
    assert post_form(clerk, PAGE, record=first).status_code == 403
    conclusions = f"/{SLUG}/office/conclusions"
    assert 'aria-current="true">缺考 3<' in reviewer.get(conclusions).get_data(as_text=True), (
        "who waits is shown"
    )
    answer = post_form(reviewer, conclusions, record=first)
    assert "缺考尚未确认" in reviewer.get(answer.location).get_data(as_text=True)
    post_form(reviewer, PAGE, record=first)
    assert first not in reviewer.get(PAGE).get_data(as_text=True)
    post_form(reviewer, conclusions, record=first)
    assert actors.record_state(in_province, SLUG, absent[0].record_id) == "confirming"
    with in_province(SLUG):
        verbs = select(JournalEntry.verb).where(JournalEntry.subject_id == absent[0].record_id)
        assert db.session.scalars(verbs.order_by(JournalEntry.id)).all()[-4:] == [
            "miss_test",
            "absence_drafted",
            "confirm_absence",
            "conclude",
        ]


def test_all_are_confirmed_by_a_job_and_nobody_elses(application, in_province, absent, staff):
    other = staff("organisation_reviewer", at=2)
    post_form(other, PAGE, all="1")
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        assert locked(absent[1]).absence_confirmed_by is None
    reviewer = staff("organisation_reviewer")
    job = post_form(reviewer, PAGE, all="1").location
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "已确认 2" in reviewer.get(job).get_data(as_text=True)
    with in_province(SLUG):
        assert locked(absent[1]).absence_confirmed_by == reviewer.account_id
    view = f"state=absent&doctor={absent[1].doctor_id}"
    post_form(reviewer, f"/{SLUG}/office/conclusions", selection="all", view=view)
    actors.run_pending_jobs(application, in_province, SLUG)
    states = [actors.record_state(in_province, SLUG, doctor.record_id) for doctor in absent[1:]]
    assert states == ["confirming", "absent"]


def test_who_was_present_after_all_is_looked_at_anew_when_absent_again(in_province, absent):
    with in_province(SLUG):
        record = locked(absent[2])
        assessment_transitions.reopen_test(record, by=actors.make_actor("organisation_clerk"))
        assessment_transitions.mark_absent(record, by=SYSTEM_ACTOR)
        with pytest.raises(InvalidState, match="缺考尚未确认"):
            assessment_transitions.conclude(record, by=actors.make_actor("organisation_reviewer"))
        db.session.rollback()


def test_a_note_that_is_too_long_stays_in_the_form(staff):
    clerk = staff("organisation_clerk")
    refused = post_form(clerk, f"{PAGE}/draft", page=PAGE, note="长" * 201)
    assert refused.status_code == 422
    assert "说明请不要超过200字，现有201字。" in refused.get_data(as_text=True)
