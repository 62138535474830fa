"""What tests of accounts stand on: the province of the module, opened, administrators of it, and a cache in
which nobody has tried. What tests of exams stand on: a bank, papers, and the people of a hall, a sitting that is
watched, or its marking."""

from functools import partial
from uuid import uuid4

import pytest

from dingkao.database.base import db
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people.institution_imports import import_institutions
from dingkao.people.provinces import open_province
from tests import actors, sample_data
from tests.blueprints import exam_hall, exam_phone, examinee, scoring_steps
from tests.blueprints.administrator import Administrator
from tests.blueprints.sign_in_account import Person
from tests.blueprints.signed_in_client import signed_in_client


@pytest.fixture(scope="module")
def province(request, in_province):
    """The province of the module's SLUG, opened, with three institutions."""
    with in_province(request.module.SLUG) as opened:
        open_province(opened, by=TERMINAL_ACTOR)
        import_institutions(sample_data.institutions_csv(opened.code), by=TERMINAL_ACTOR)
        db.session.commit()
    return opened


@pytest.fixture(scope="module")
def running_cycle(request, in_province, province):
    """A running cycle of that province, in which there are lines to propose."""
    with in_province(request.module.SLUG):
        actors.get_or_open_cycle()
        db.session.commit()


@pytest.fixture
def administrator(application, in_province, running_cycle):
    """Make an administrator; of the province that tests of administrators share."""
    return lambda *given, **more: Administrator(application, in_province, *given, **more)


@pytest.fixture
def link_to(request, application, in_province):
    """The set-up link that was sent to a mobile number last."""
    return lambda mobile: actors.setup_link_of(application, in_province, request.module.SLUG, mobile)


@pytest.fixture
def clean_counters(application, province):
    """A cache in which nobody has tried anything."""
    connection = application.extensions["redis"]
    for pattern in (f"t:{province.code}:*", "platform:*", "LIMITS:*"):
        for key in connection.scan_iter(pattern, count=1000):
            connection.delete(key)


@pytest.fixture
def person(application, in_province, province):
    """Make a doctor: one who hasn't signed in yet, or by `password` one who has."""

    def make(password=None, **more):
        return Person(application, in_province, f"1377{uuid4().int % 10**7:07d}", password, **more)

    return make


@pytest.fixture(scope="module")
def exam_ground(request, application, in_province):
    """The province of the module's SLUG with a bank and papers that are open."""
    actors.exam_setup(application, in_province, request.module.SLUG)


# --- marking (scoring_steps)


@pytest.fixture(scope="module")
def admins(application, in_province, exam_ground):
    """Two administrators of the province."""
    return [
        signed_in_client(application, in_province, scoring_steps.SLUG, "province_admin") for _ in range(2)
    ]


@pytest.fixture(scope="module")
def reviewer(application, in_province, exam_ground):
    """A reviewer of the assessment organisation."""
    place = sample_data.registration_number(scoring_steps.CODE, 1)
    return signed_in_client(application, in_province, scoring_steps.SLUG, "organisation_reviewer", place)


@pytest.fixture(scope="module")
def line(admins):
    """The pass line, approved."""
    scoring_steps.approve_line(admins)


@pytest.fixture
def ready(application, in_province, exam_ground):
    """Make a doctor who may sit."""
    return partial(scoring_steps.ready_to_sit, application, in_province)


@pytest.fixture
def scored(ready, in_province):
    """A doctor who has sat both papers: everything right but what `wrong` of the first paper, by position,
    and of it the first of A1."""

    def make(wrong=()):
        doctor = ready()
        actors.sit_all_papers(in_province, doctor, wrong=wrong)
        return doctor

    return make


# --- halls and tickets (exam_hall)


@pytest.fixture(scope="module")
def clerk(application, in_province, exam_ground):
    """A clerk of the assessment organisation."""
    return signed_in_client(application, in_province, exam_hall.SLUG, "organisation_clerk", exam_hall.FIRST)


@pytest.fixture(scope="module")
def admin(application, in_province, exam_ground):
    """An administrator of the province."""
    return signed_in_client(application, in_province, exam_hall.SLUG, "province_admin")


@pytest.fixture(scope="module")
def candidate(application, in_province, exam_ground):
    """Make a doctor who is 待测评 and has signed in to the exam."""
    return partial(exam_hall.new_candidate, application, in_province)


@pytest.fixture(scope="module")
def slot(clerk, in_province):
    """Make a slot by its form: by default one that is open now, in a hall of its own with two seats."""
    return partial(exam_hall.new_slot, clerk, in_province)


@pytest.fixture(scope="module")
def begin(in_province):
    """Press 「进入考试」 for the paper of a subject."""
    return partial(exam_hall.begin_paper, in_province)


# --- a sitting that is watched (examinee), or cut off (exam_phone)


@pytest.fixture
def staff(request, application, in_province, exam_ground):
    """Make a member of staff, of the assessment organisation or another."""
    module = request.module

    def make(role="organisation_clerk", at=1):
        place = sample_data.registration_number(module.CODE, at) if role.startswith("organisation") else None
        return signed_in_client(application, in_province, module.SLUG, role, place)

    return make


@pytest.fixture
def new_examinee(application, in_province, exam_ground):
    """Make a doctor whose sitting has begun."""
    return partial(examinee.Examinee, application, in_province)


@pytest.fixture
def phone(application, in_province, exam_ground):
    """Make a phone on which a sitting has begun."""
    return partial(exam_phone.ExamPhone, application, in_province)


@pytest.fixture
def cache(application, in_province):
    """The cache, with no sign of life of the province in it, and no outage of it in the database."""
    yield from exam_phone.cache_without_signs_of_life(application, in_province)
