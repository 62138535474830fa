"""One person with roles at several organisations: chooses where to act, sees it on every page, and reaches no
further; nobody is the second person beside oneself."""

import re
from uuid import UUID

import pytest
from sqlalchemy import select

from dingkao.database.base import db
from dingkao.jobs.models import Job
from dingkao.people.models import Membership, Organisation
from dingkao.people.scopes import load_grant
from dingkao.tenants.acting_place import PROVINCE_OFFICE, acting_at
from tests import actors, sample_data
from tests.blueprints import review_steps
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "jiangxi", 36
FIRST, SECOND = sample_data.registration_number(CODE, 1), sample_data.registration_number(CODE, 2)
OFFICE = f"/{SLUG}/office"
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def doctor(application, in_province):
    """A doctor of the first institution."""
    return actors.signed_in_doctor(application, in_province, SLUG, next(_serial))


@pytest.fixture
def person(application, in_province, doctor):
    """A clerk at the second institution, who reviews for the first and for the organisation that assesses
    it."""
    client = signed_in_client(application, in_province, SLUG, "institution_clerk", SECOND)
    with in_province(SLUG):
        for role in ("institution_reviewer", "organisation_reviewer"):
            db.session.add(
                Membership(account_id=client.account_id, organisation_id=organisation_id(FIRST), role=role)
            )
        db.session.commit()
    return client


def organisation_id(number):
    query = select(Organisation.id).where(Organisation.registration_number == number)
    return db.session.scalars(query).one()


def choose(client, place):
    return post_form(client, f"{OFFICE}/place", page=OFFICE, place=str(place))


def acting_as(page):
    """What a page says of where one acts."""
    return re.findall(r"<span>([^<]*)</span>", re.search(r'sidebar-place">(.*?)</p>', page, re.S)[1])


def text(answer):
    return answer.get_data(as_text=True)


def test_one_acts_where_one_has_chosen_and_nowhere_else(person, doctor, in_province):
    with in_province(SLUG):
        first, second = organisation_id(FIRST), organisation_id(SECOND)
    doctor_page = f"{OFFICE}/doctors/{doctor.doctor_id}"
    names = [sample_data.institution_name(CODE, serial) for serial in (1, 2)]
    assert acting_as(text(person.get(OFFICE))) == [
        f"机构审核人、考核机构复核人 · {names[0]}",
        f"机构经办人 · {names[1]}",
    ]
    assert person.get(doctor_page).status_code == 200
    assert choose(person, second).status_code == 303
    page = text(person.get(OFFICE))
    assert acting_as(page) == [f"机构经办人 · {names[1]}"]
    assert "切换：全部角色" in page
    assert person.get(doctor_page).status_code == 403, "the other institution's doctor"
    assert person.get(f"{OFFICE}/conclusions").status_code == 403, "the other organisation's action"
    assert choose(person, first).status_code == 303
    assert person.get(doctor_page).status_code == 200
    assert choose(person, UUID(int=7)).status_code == 422
    assert choose(person, PROVINCE_OFFICE).status_code == 422
    assert choose(person, "").status_code == 303
    assert len(acting_as(text(person.get(OFFICE)))) == 2


def test_a_job_reaches_as_far_as_the_page_on_which_it_was_asked_for(person, in_province):
    with in_province(SLUG):
        first, second = organisation_id(FIRST), organisation_id(SECOND)
    choose(person, second)
    answer = post_form(person, f"{OFFICE}/inclusion", all="all")
    with in_province(SLUG):
        query = select(Job).where(Job.asked_by == person.account_id)
        job = db.session.scalars(query).one_or_none()
        assert job is not None, answer.status_code
        assert job.arguments["place"] == str(second)
        with acting_at(job.arguments["place"]):
            assert load_grant("enrolment.manage", person.account_id).institution_ids == (second,)
        assert set(load_grant("enrolment.manage", person.account_id).institution_ids) == {first, second}


def test_nobody_reviews_a_doctor_twice(person, doctor, in_province):
    review_steps.submit_filing(doctor)
    assert review_steps.approve(person, doctor).status_code == 303
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "organisation_pending"
    assert review_steps.accept(person, doctor).status_code == 403
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "organisation_pending"
