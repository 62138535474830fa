"""Batch acts of two people at once, of one who presses twice, and beside a colleague who opens a record, by HTTP
and real transactions: each record is decided once, and nobody's act is lost unsaid."""

import re
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import select, update

from dingkao.assessments import assessment_transitions
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.filings import batch_review, review_assignment, review_batches
from dingkao.filings.models import ReviewBatch
from dingkao.jobs import enqueueing
from dingkao.journal.entries import SYSTEM_ACTOR, invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Account
from tests import actors, sample_data
from tests.blueprints import request_steps, review_steps
from tests.blueprints.racing import begun, held, is_waiting, together
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "jiangxi", 36
OFFICE = f"/{SLUG}/office"
FIRST = sample_data.registration_number(CODE, 1)
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def pairs(application, in_province):
    """Two of each role at the first institution, which assesses, too."""
    actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    roles = ("institution_clerk", "institution_reviewer", "organisation_reviewer")
    return {
        role: [signed_in_client(application, in_province, SLUG, role, FIRST) for _ in range(2)]
        for role in roles
    }


@pytest.fixture
def doctor_in(application, in_province, pairs):
    """Make a doctor whose record is in a state."""

    def make(state):
        is_included = state != "not_included"
        doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial), included=is_included)
        if state == "absent":
            actors.advance_to(in_province, doctor, "ready")
            with in_province(SLUG):
                assessment_transitions.mark_absent(locked(doctor), by=SYSTEM_ACTOR)
                db.session.commit()
        elif state not in ("not_included", "included"):
            actors.advance_to(in_province, doctor, state)
        return doctor

    return make


def locked(doctor):
    query = select(Assessment).where(Assessment.id == doctor.record_id)
    return db.session.scalars(query.with_for_update()).one()


def text(answer):
    return answer.get_data(as_text=True)


def times(in_province, doctor, verb):
    """How often the journal of the doctor's record has a verb; nothing of it is out of order."""
    with in_province(SLUG):
        assert invalid_entries(doctor.record_id) == []
        query = select(JournalEntry.verb).where(JournalEntry.subject_id == doctor.record_id)
        return list(db.session.scalars(query)).count(verb)


ACTS = {
    "include": ("not_included", "institution_clerk", "inclusion", {}),
    "exclude": ("included", "institution_clerk", "inclusion/remove", {"reason": "已调离"}),
    "grading_drafted": ("institution_pending", "institution_clerk", "gradings", {"performance": "pass", "ethics": "pass"}),
    "confirm_absence": ("absent", "organisation_reviewer", "absences", {}),
}  # fmt: skip
"""Verb in the journal → state of the records, role, address and fields of the batch act."""


@pytest.mark.parametrize("verb", ACTS)
def test_what_two_do_at_once_is_done_once(in_province, pairs, doctor_in, verb):
    state, role, address, fields = ACTS[verb]
    doctors = [doctor_in(state) for _ in range(2)]
    page = f"{OFFICE}/{address.partition('/')[0]}"
    ids = [str(doctor.record_id) for doctor in doctors]
    acts = [
        partial(post_form, client, f"{OFFICE}/{address}", page=page, record=order, **fields)
        for client, order in zip(pairs[role], (ids, ids[::-1]), strict=True)
    ]
    assert [answer.status_code for answer in together(*acts)] == [303, 303]
    assert [times(in_province, doctor, verb) for doctor in doctors] == [1, 1]


def test_a_batch_of_requests_by_two_at_once_decides_each_once(application, in_province, pairs):
    doctor = request_steps.doctor_in(application, in_province, SLUG, "ready")
    request_id = request_steps.deferral(doctor)
    address = f"{OFFICE}/requests/batch?side=institution&kind=deferral"
    fields = {"request": request_id, "decision": "agree", "opinion": ""}
    acts = [partial(post_form, client, address, **fields) for client in pairs["institution_reviewer"]]
    pages = [text(answer) for answer in together(*acts)]
    assert sorted(re.search(r"已办理(\d)项申请", page)[1] for page in pages) == ["0", "1"]


def test_the_organisations_batch_by_two_at_once_accepts_each_once(in_province, pairs, doctor_in):
    doctors = [doctor_in("organisation_pending") for _ in range(2)]
    clients, ids = pairs["organisation_reviewer"], [doctor.record_id for doctor in doctors]
    pages = [review_steps.preview(client, SLUG, ids, "organisation") for client in clients]
    answers = together(
        *(partial(review_steps.confirm, *given) for given in zip(clients, (SLUG, SLUG), pages, strict=True))
    )
    assert [answer.status_code for answer in answers] == [303, 303]
    assert [times(in_province, doctor, "accept") for doctor in doctors] == [1, 1]


def test_whoever_opens_a_record_during_a_batch_is_told_that_it_has_gone_on(in_province, pairs, doctor_in):
    doctor = doctor_in("institution_pending")
    first, second = pairs["institution_reviewer"]
    page = review_steps.preview(first, SLUG, [doctor.record_id])
    confirm = partial(review_steps.confirm, first, SLUG, page)
    with held(batch_review, "finish_decisions", confirm) as confirming:
        with begun(partial(review_steps.take, second, doctor)) as opening:
            assert is_waiting(opening)
            assert confirming.let_go().status_code == 303
        assert opening.result().status_code == 409
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "organisation_pending"


@pytest.mark.parametrize("chunk_size", [50, 1], ids=["before it is confirmed", "while its job waits"])
def test_what_a_doctor_hands_in_anew_after_the_preview_is_left_out(
    application, in_province, pairs, doctor_in, monkeypatch, chunk_size
):
    monkeypatch.setattr(review_batches, "CHUNK_SIZE", chunk_size)
    doctors = [review_steps.submit_filing(doctor_in("included")) for _ in range(2)]
    client = pairs["institution_reviewer"][0]
    page = review_steps.preview(client, SLUG, [doctor.record_id for doctor in doctors])

    def hand_in_anew():
        doctors[0].post("/filing/withdraw", page="/filing/view")
        assert doctors[0].submit().status_code == 303

    if chunk_size == 1:
        batch_address = review_steps.confirm(client, SLUG, page).location
        hand_in_anew()
        actors.run_pending_jobs(application, in_province, SLUG)
    else:
        hand_in_anew()
        batch_address = review_steps.confirm(client, SLUG, page).location
    assert "预览之后材料有变化，请重新查看" in text(client.get(batch_address))
    states = [actors.record_state(in_province, SLUG, doctor.record_id) for doctor in doctors]
    assert states == ["institution_pending", "organisation_pending"]


def test_a_second_press_amid_the_batchs_job_does_not_stop_the_job(in_province, pairs, doctor_in, monkeypatch):
    monkeypatch.setattr(review_batches, "CHUNK_SIZE", 1)
    monkeypatch.setattr(enqueueing, "DEFAULT_QUEUE", "quiet-batches")
    doctors = [doctor_in("institution_pending") for _ in range(2)]
    client = pairs["institution_reviewer"][0]
    page = review_steps.preview(client, SLUG, [doctor.record_id for doctor in doctors])
    press = partial(review_steps.confirm, client, SLUG, page)
    address = press().location
    with in_province(SLUG):
        batch_id = UUID(address.partition("?")[0].rsplit("/", 1)[1])
        job_id = db.session.get_one(ReviewBatch, (CODE, batch_id)).job_id
    work = lambda: [job.tries for job in actors.iter_job_turns(in_province, SLUG, job_id)]  # noqa: E731
    with held(review_batches, "_run_items", work) as working, begun(press) as pressing:
        assert pressing.result(5).location == address
        working.let_go()
    assert [times(in_province, doctor, "approve") for doctor in doctors] == [1, 1]


@pytest.fixture
def approved(in_province, pairs, doctor_in):
    """A doctor whom a batch has approved, and what recalls the batch: each press of one button."""
    doctor = doctor_in("institution_pending")
    client = pairs["institution_reviewer"][0]
    page = review_steps.preview(client, SLUG, [doctor.record_id])
    address = review_steps.confirm(client, SLUG, page).location.partition("?")[0]
    shown = text(client.get(f"{address}?side=institution"))
    fields = {
        name: re.search(rf'name="{name}"\s+value="([^"]+)"', shown)[1] for name in ("batch", "csrf_token")
    }
    data = fields | {"side": "institution", "reason": "批错"}
    return doctor, partial(client.post, f"{address}/recall", data=data)


def test_a_batch_recalled_twice_at_once_is_recalled_once(in_province, approved):
    doctor, recall = approved
    first, second = together(recall, recall)
    assert (first.status_code, first.location) == (303, second.location)
    assert times(in_province, doctor, "recall_to_institution") == 1


def test_the_next_desk_that_opens_a_record_amid_a_recall_is_told(in_province, pairs, approved):
    doctor, recall = approved
    opener = pairs["organisation_reviewer"][0]
    with held(review_batches, "recall_record", recall) as recalling:
        with begun(partial(review_steps.take, opener, doctor, "organisation")) as opening:
            assert is_waiting(opening)
            assert recalling.let_go().status_code == 303
        assert opening.result().status_code == 409
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "institution_pending"


def test_a_recall_of_what_the_next_desk_opens_meanwhile_says_so(in_province, pairs, approved):
    doctor, recall = approved
    opener = pairs["organisation_reviewer"][0]
    with held(review_batches, "_find_batch", recall) as recalling:
        with begun(partial(review_steps.take, opener, doctor, "organisation")) as opening:
            answer = recalling.let_go()
        opened = opening.result()
    assert answer.status_code == 303
    outcome = opened.status_code, actors.record_state(in_province, SLUG, doctor.record_id)
    assert outcome in ((303, "organisation_pending"), (409, "institution_pending"))


def assign(client, way, **data):
    """Give records to colleagues."""
    return post_form(client, f"{OFFICE}/review/assign/{way}", page=f"{OFFICE}/review/assignment?side=institution",
                     follow_redirects=True, side="institution", **data)  # fmt: skip


@pytest.fixture
def unassigned(in_province, doctor_in):
    """Two records that wait and that nobody has, and no others."""
    with in_province(SLUG):
        db.session.execute(update(Assessment).values(state="included", assigned_to=None, leased_by=None))
        db.session.commit()
    return [doctor_in("institution_pending") for _ in range(2)]


def assigned(in_province, doctors):
    with in_province(SLUG):
        return [locked(doctor).assigned_to for doctor in doctors]


def test_what_one_gives_evenly_another_has_not_given_meanwhile(in_province, pairs, unassigned):
    first, second = pairs["institution_reviewer"]
    act = partial(assign, first, "evenly", colleague=str(first.account_id))
    with held(review_assignment, "_unassigned_ids", act, after=True) as assigning:
        given = assign(second, "evenly", colleague=str(second.account_id))
        assert "已分配2人" in text(given)
        assert "没有可分配的记录" in text(assigning.let_go())
    assert assigned(in_province, unassigned) == [second.account_id] * 2


def test_two_who_give_the_same_records_leave_each_with_one(in_province, pairs, unassigned):
    clients = pairs["institution_reviewer"]
    ids = [str(doctor.record_id) for doctor in unassigned]
    answers = together(
        *(
            partial(assign, client, "ticked", record=ids, colleague=str(client.account_id))
            for client in clients
        )
    )
    assert all("已分配2人" in text(answer) for answer in answers)
    holder = assigned(in_province, unassigned)
    assert holder[0] == holder[1]
    assert holder[0] in {client.account_id for client in clients}


def test_nothing_is_given_to_whose_account_is_closed_meanwhile(application, in_province, pairs, unassigned):
    leaver = signed_in_client(application, in_province, SLUG, "institution_reviewer", FIRST)
    act = partial(assign, pairs["institution_reviewer"][0], "evenly", colleague=str(leaver.account_id))
    with held(review_assignment, "_require_colleagues", act) as assigning:
        with in_province(SLUG):
            db.session.execute(update(Account).where(Account.id == leaver.account_id).values(state="closed"))
            db.session.commit()
        answer = assigning.let_go()
    assert answer.status_code == 422
    assert assigned(in_province, unassigned) == [None, None]
