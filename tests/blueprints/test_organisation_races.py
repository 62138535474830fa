"""An institution is merged while others act on what it has, by HTTP and real transactions: a second merger, a
transfer, a review, a hand-over of its staff. Whoever is late waits or is told; nobody stays behind."""

from datetime import timedelta
from functools import partial
from unittest.mock import patch
from uuid import UUID

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments import transfers
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors import single_entry
from dingkao.doctors.models import Doctor
from dingkao.filings import review_decisions
from dingkao.jobs import chunks
from dingkao.jobs.models import Job
from dingkao.journal.entries import TERMINAL_ACTOR, invalid_entries
from dingkao.people import handover_parts, handovers, organisation_succession, organisations
from dingkao.people.models import Organisation
from dingkao.people.organisations import InstitutionValues
from tests import actors, sample_data
from tests.blueprints import review_steps
from tests.blueprints.racing import begun, held, is_waiting, together
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "sichuan", 51
LIST = f"/{SLUG}/office/institutions"
_serial = actors.unused_serials(SLUG)
_number = iter(range(100))


@pytest.fixture(scope="module")
def admins(application, in_province):
    """Two administrators."""
    actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    return [signed_in_client(application, in_province, SLUG, "province_admin") for _ in range(2)]


@pytest.fixture
def place(in_province, admins):
    """Make an institution, which assesses itself unless `assesses` says no; its number."""

    def make(*, assesses=True):
        number = f"SCRACE{next(_number):02d}"
        with in_province(SLUG):
            values = InstitutionValues(f"青羊第{number[-2:]}医院", number, f"{CODE}0100", "")
            institution = organisations.add_institution(values, by=TERMINAL_ACTOR)
            if assesses:
                organisations.appoint_assessor(institution, by=TERMINAL_ACTOR)
                organisations.assign_assessor(institution, institution, by=TERMINAL_ACTOR)
            db.session.commit()
        return number

    return make


@pytest.fixture
def doctor_at(application, in_province):
    """Make a doctor of the institution of that number, whose record is included, or waits for it."""

    def make(number, state="included"):
        doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial), 机构登记号=number)
        if state != "included":
            actors.advance_to(in_province, doctor, state)
        return doctor

    return make


@pytest.fixture
def staff(application, in_province):
    """Make a member of staff at the institution of that number."""
    return partial(signed_in_client, application, in_province, SLUG)


def id_of(in_province, number):
    with in_province(SLUG):
        query = select(Organisation.id).where(Organisation.registration_number == number)
        return db.session.scalars(query).one()


def merge(in_province, admin, former, successor):
    """Confirm that an institution is merged into another one."""
    form = {"institution": successor, "reason": "批复", "confirmed": "1"}
    address = f"{LIST}/{id_of(in_province, former)}/closing"
    return post_form(admin, address, page=f"/{SLUG}/password", **form)


def job_of(answer):
    """The job to which an answer leads."""
    return UUID(answer.location.rsplit("/", 1)[1])


def finish(in_province, job_id):
    """Take the turns of a job to its end; its state."""
    *_, job = actors.iter_job_turns(in_province, SLUG, job_id)
    return job.state


def places_of(in_province, doctor):
    """The numbers of the doctor's institution, of the record's, and of its assessment organisation."""
    with in_province(SLUG):
        record = db.session.get_one(Assessment, (CODE, doctor.record_id))
        person = db.session.get_one(Doctor, (CODE, doctor.doctor_id))
        ids = person.organisation_id, record.institution_id, record.assessor_id
        assert invalid_entries(record.id) == []
        return [db.session.get_one(Organisation, (CODE, place_id)).registration_number for place_id in ids]


def test_of_two_who_merge_the_same_institution_at_once_one_does(in_province, admins, place):
    former, first, second = place(), place(), place()
    answers = together(*(partial(merge, in_province, *pair) for pair in (
        (admins[0], former, first), (admins[1], former, second),
    )))  # fmt: skip
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    [successor] = [
        number for number, answer in zip((first, second), answers, strict=True) if answer.status_code == 303
    ]
    with in_province(SLUG):
        [job] = db.session.scalars(select(Job).where(Job.subject_id == id_of(in_province, former))).all()
        assert job.arguments["successor"] == str(id_of(in_province, successor))


def test_the_same_merger_by_two_at_once_is_one_job(in_province, admins, place):
    former, successor = place(), place()
    answers = together(*(partial(merge, in_province, admin, former, successor) for admin in admins))
    assert [answer.status_code for answer in answers] == [303, 303]
    assert job_of(answers[0]) == job_of(answers[1])


def test_two_institutions_are_not_merged_into_each_other(in_province, admins, place):
    first, second = place(), place()
    answers = together(
        partial(merge, in_province, admins[0], first, second),
        partial(merge, in_province, admins[1], second, first),
    )
    assert sorted(answer.status_code for answer in answers) in ([303, 409], [303, 422])


def test_what_stopped_half_way_goes_on_to_where_its_successor_has_gone(in_province, admins, place, doctor_at):
    former, middle, last = place(), place(), place()
    doctor = doctor_at(former)
    first_job = job_of(merge(in_province, admins[0], former, middle))
    with in_province(SLUG):
        db.session.execute(update(Job).where(Job.id == first_job).values(state="failed"))
        db.session.commit()
    assert merge(in_province, admins[0], middle, last).status_code == 409, "it waits for the first"
    with in_province(SLUG):
        db.session.execute(update(Job).where(Job.id == first_job).values(state="waiting"))
        db.session.commit()
    assert finish(in_province, first_job) == "done"
    assert finish(in_province, job_of(merge(in_province, admins[0], middle, last))) == "done"
    assert places_of(in_province, doctor) == [last] * 3


@pytest.fixture
def transfer(in_province, staff, admins):
    """Have an institution ask for a doctor of another; what consents for that other."""

    def ask(doctor, former, target):
        with in_province(SLUG):
            name = db.session.scalars(select(Doctor.name).where(Doctor.id == doctor.doctor_id)).one()
        asked = post_form(
            staff("institution_clerk", target),
            f"/{SLUG}/office/changes/new",
            institution=str(id_of(in_province, target)),
            name=name,
            number=doctor.number,
            ground="registration",
            reason="执业证书已变更",
        )
        address = f"{asked.location}/consent"
        return partial(post_form, admins[1], address, page=f"/{SLUG}/password", side="institution")

    return ask


def test_a_merger_waits_for_a_transfer_to_the_institution(in_province, admins, place, doctor_at, transfer):
    origin, former, successor = place(), place(), place()
    doctor = doctor_at(origin)
    consent = transfer(doctor, origin, former)
    with held(transfers, "change_institution", consent) as consenting:
        with begun(partial(merge, in_province, admins[0], former, successor)) as merging:
            assert is_waiting(merging)
            assert consenting.let_go().status_code == 303
        assert finish(in_province, job_of(merging.result())) == "done"
    assert places_of(in_province, doctor) == [successor] * 3


def test_a_transfer_finds_the_institution_merged_meanwhile(in_province, admins, place, doctor_at, transfer):
    origin, former, successor = place(), place(), place()
    doctor = doctor_at(origin)
    consent = transfer(doctor, origin, former)
    with held(transfers, "lock_open", consent) as consenting:
        merged = merge(in_province, admins[0], former, successor)
        refused = consenting.let_go()
    assert refused.status_code == 409
    assert "已撤销或并入其他机构" in refused.get_data(as_text=True)
    assert finish(in_province, job_of(merged)) == "done"
    assert places_of(in_province, doctor) == [origin] * 3
    assert consent().status_code == 303, "the transfer went over to the successor"
    assert places_of(in_province, doctor) == [successor] * 3


def test_a_transfer_away_and_a_merger_leave_the_doctor_where_the_transfer_goes(
    in_province, admins, place, doctor_at, transfer
):
    former, successor, target = place(), place(), place()
    doctor = doctor_at(former)
    consent = transfer(doctor, former, target)
    job_id = job_of(merge(in_province, admins[0], former, successor))
    with held(transfers, "change_institution", consent) as consenting:
        with begun(partial(finish, in_province, job_id)) as moving:
            assert is_waiting(moving)
            assert consenting.let_go().status_code == 303
        assert moving.result() == "done"
    assert places_of(in_province, doctor) == [target] * 3


def test_neither_transfer_nor_exclusion_takes_a_record_from_a_reviewer(
    in_province, admins, place, doctor_at, staff, transfer
):
    former, target = place(), place()
    leased, proposed = (doctor_at(former, "institution_pending") for _ in range(2))
    reviewer = staff("institution_reviewer", former)
    consent = transfer(leased, former, target)
    page = f"/{SLUG}/office/doctors/{proposed.doctor_id}"
    change = post_form(admins[0], f"{page}/exclusion", page=page, reason="已退休").location
    exclude = partial(post_form, admins[1], f"{change}/exclude", page=f"/{SLUG}/password")
    for doctor, act in ((leased, consent), (proposed, exclude)):
        assert review_steps.take(reviewer, doctor).status_code == 303
        refused = act()
        assert (refused.status_code, "正在审核该医师的记录" in refused.get_data(as_text=True)) == (409, True)
        assert actors.record_state(in_province, SLUG, doctor.record_id) == "institution_pending"


def test_a_doctor_is_not_added_to_an_institution_that_is_closed_meanwhile(in_province, admins, place):
    number = place(assesses=False)
    cells = sample_data.roster_row(CODE, next(_serial), 机构登记号=number)
    typed = {"name": cells["姓名"], "number": cells["证件号码"], "registration_number": number}
    kinds = {"document_type": "居民身份证", "level": "执业医师", "category": "临床", "scope": "内科"}
    kinds |= {"sex": "", "mobile": cells["手机号码"], "department": "内科"}
    add = partial(post_form, admins[1], f"/{SLUG}/office/doctors/new", **typed, **kinds)
    with held(single_entry, "lock_open", add) as adding:
        closing = f"{LIST}/{id_of(in_province, number)}/closing"
        closed = post_form(admins[0], closing, page=f"/{SLUG}/password", reason="停业", confirmed="1")
        assert closed.status_code == 303
        refused = adding.let_go()
    assert refused.status_code in (409, 422)
    with in_province(SLUG):
        at_place = select(Doctor.id).where(Doctor.organisation_id == id_of(in_province, number))
        assert db.session.scalars(at_place).all() == []


def test_a_merger_waits_for_a_decision_and_takes_the_record_as_it_was_decided(
    in_province, admins, place, doctor_at, staff
):
    former, successor = place(), place()
    doctor = doctor_at(former, "institution_pending")
    reviewer = staff("institution_reviewer", former)
    job_id = job_of(merge(in_province, admins[0], former, successor))
    with held(
        review_decisions, "finish_decisions", partial(review_steps.approve, reviewer, doctor)
    ) as deciding:
        with begun(partial(finish, in_province, job_id)) as moving:
            assert is_waiting(moving)
            assert deciding.let_go().status_code == 303
        assert moving.result() == "done"
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "organisation_pending"
    assert places_of(in_province, doctor) == [successor] * 3


def give(in_province, records, client):
    """Give records to a reviewer; the first is being reviewed."""
    with in_province(SLUG):
        lease = {"leased_by": client.account_id, "leased_until": clock.now() + timedelta(minutes=20)}
        for position, doctor in enumerate(records):
            values = {"assigned_to": client.account_id} | (lease if position == 0 else {})
            db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(**values))
        db.session.commit()


def holders(in_province, records):
    """To whom records are given."""
    with in_province(SLUG):
        return [db.session.get_one(Assessment, (CODE, doctor.record_id)).assigned_to for doctor in records]


def hand_over(in_province, by, leaver, successor, number, **more):
    fields = {"organisation": str(id_of(in_province, number)), "successor": str(successor.account_id)}
    address = f"/{SLUG}/office/handover/{leaver.account_id}"
    return post_form(by, address, page=f"/{SLUG}/password", **fields, **more)


@pytest.fixture
def ward(place, doctor_at, staff, in_province):
    """An institution with three reviewers, the first of whom has three records."""
    number = place()
    records = [doctor_at(number, "institution_pending") for _ in range(3)]
    reviewers = [staff("institution_reviewer", number) for _ in range(3)]
    give(in_province, records, reviewers[0])
    return number, records, reviewers


@pytest.fixture
def small_steps():
    """Jobs whose turns have one row; whatever is handed over is by a job."""
    with (
        patch.object(handovers, "MAX_INLINE", 0),
        patch.object(handover_parts, "BATCH_SIZE", 1),
        patch.object(organisation_succession, "BATCH_SIZE", 1),
        patch.object(chunks, "MAX_TURN_SECONDS", 0.0),
    ):
        yield


def test_a_merger_amid_a_hand_over_of_its_staff_leaves_nothing_behind(
    in_province, admins, place, ward, small_steps
):
    number, records, (leaver, successor, _) = ward
    handing = job_of(hand_over(in_province, admins[0], leaver, successor, number))
    handed = actors.iter_job_turns(in_province, SLUG, handing)
    assert next(handed).done == 1
    into = place()
    moved = actors.iter_job_turns(in_province, SLUG, job_of(merge(in_province, admins[0], number, into)))
    for _, turn in zip(range(5), moved, strict=False):
        assert turn.state == "waiting" or turn.state == "running"
    assert [turn.state for turn in handed][-1] == "done"
    assert [turn.state for turn in moved][-1] == "done"
    assert holders(in_province, records) == [successor.account_id] * 3
    assert [places_of(in_province, doctor) for doctor in records] == [[into] * 3] * 3


def test_a_desk_goes_to_one_successor(in_province, admins, ward, small_steps):
    number, records, (leaver, first, second) = ward
    answers = together(*(
        partial(hand_over, in_province, admin, leaver, successor, number)
        for admin, successor in zip(admins, (first, second), strict=True)
    ))  # fmt: skip
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    [(job_id, successor)] = [
        (job_of(answer), successor)
        for answer, successor in zip(answers, (first, second), strict=True)
        if answer.status_code == 303
    ]
    again = hand_over(in_province, admins[0], leaver, successor, number)
    assert job_of(again) == job_id, "pressed again it is the same"
    assert finish(in_province, job_id) == "done"
    assert holders(in_province, records) == [successor.account_id] * 3


def close_account(admin, account_id):
    address = f"/{SLUG}/office/staff/{account_id}"
    return post_form(admin, f"{address}/close", page=address, reason="调离")


def test_nothing_goes_to_whose_account_is_closed_meanwhile(in_province, admins, ward):
    number, records, (leaver, successor, _) = ward
    act = partial(hand_over, in_province, admins[1], leaver, successor, number)
    with held(handovers, "_lock_both", act) as handing:
        assert close_account(admins[0], successor.account_id).status_code == 303
        assert handing.let_go().status_code == 422
    assert holders(in_province, records) == [leaver.account_id] * 3


def test_a_hand_over_stops_where_its_successor_leaves_and_goes_to_another(
    in_province, admins, ward, small_steps
):
    number, records, (leaver, first, second) = ward
    handed = actors.iter_job_turns(
        in_province, SLUG, job_of(hand_over(in_province, admins[0], leaver, first, number))
    )
    assert next(handed).done == 1
    assert close_account(admins[0], first.account_id).status_code == 303
    *_, stopped = handed
    assert (stopped.state, "账号已停用" in stopped.sentence) == ("failed", True)
    for holder in (leaver, first):
        answer = hand_over(in_province, admins[0], holder, second, number)
        assert finish(in_province, job_of(answer)) == "done"
    assert holders(in_province, records) == [second.account_id] * 3


def test_two_who_make_two_institutions_each_others_assessors_wait_and_do_not_lock_each_other(
    in_province, admins, place
):
    ids = sorted(id_of(in_province, place()) for _ in range(2))
    addresses = [f"{LIST}/{organisation_id}" for organisation_id in ids]
    first, second = (
        partial(post_form, admin, address, assesses="y", assessor=str(assessor_id))
        for admin, address, assessor_id in zip(admins, addresses, ids[::-1], strict=True)
    )
    with held(organisations, "set_contact", first) as assigning, begun(second) as following:
        assert is_waiting(following)
        answers = [assigning.let_go(), following.result()]
    assert [answer.status_code for answer in answers] == [303, 303]
