"""A one-time code for a doctor: the doctor is told, and from 待测评 on two persons issue it."""

import re

import pytest
from sqlalchemy import select, update

from dingkao.assessments.models import ASSESSMENT_STATES, Assessment
from dingkao.database.base import db
from dingkao.people.models import Account, Notice, OneTimeCode
from dingkao.tenants.encryption import SecretLocation, current_vault
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "gansu", 62
SERIALS = actors.unused_serials(SLUG)
MOBILE, ROSTERS_MOBILE = "13900001234", "13900005678"
CODE_PATTERN = re.compile(r"[2-9A-Z]{5}-[2-9A-Z]{5}")
EARLY = (
    "not_included", "included", "draft", "institution_pending", "institution_returned", "organisation_pending", "organisation_returned",
)  # fmt: skip


@pytest.fixture
def doctor(application, in_province):
    """A doctor with a bound number."""
    signed_in_doctor = actors.signed_in_doctor(application, in_province, SLUG, next(SERIALS))
    with in_province(SLUG):
        account = account_of(signed_in_doctor)
        account.mobile_sealed = current_vault().encrypt(
            SecretLocation("account", "mobile", account.id), MOBILE
        )
        db.session.commit()
    return signed_in_doctor


@pytest.fixture
def clerks(application, in_province, doctor):
    """Two clerks of the doctor's institution."""
    registration = registration_of(in_province, doctor)
    return [
        signed_in_client(application, in_province, SLUG, role, registration)
        for role in ("institution_clerk", "institution_reviewer")
    ]


def registration_of(in_province, doctor):
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
        return next(
            number
            for organisation_number in (1, 2, 3)
            if db.session.scalar(
                select(actors.Organisation.id).where(
                    actors.Organisation.registration_number
                    == (number := sample_data.registration_number(CODE, organisation_number))
                )
            )
            == record.institution_id
        )


def account_of(doctor):
    return db.session.scalars(
        select(Account)
        .join(actors.Doctor, actors.Doctor.account_id == Account.id)
        .where(actors.Doctor.id == doctor.doctor_id)
    ).one()


def put(in_province, doctor, state):
    with in_province(SLUG):
        values = {"state": state, "performance": "pass", "ethics": "pass", "procedure": "general"}
        db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(**values))
        db.session.commit()


def told(application, in_province, doctor, mobile=MOBILE):
    """The notices of the doctor about codes, and the short messages to the old number."""
    application.extensions["background_sms"].wait_until_sent()
    with in_province(SLUG):
        account = account_of(doctor)
        notices = list(
            db.session.scalars(
                select(Notice.body).where(
                    Notice.account_id == account.id, Notice.title == "您的账号发放了一次性代码"
                )
            )
        )
        texts = [
            message["text"]
            for message in application.extensions["sms"].messages()
            if message["mobile"] == mobile
        ]
    return notices, texts


def test_the_doctor_is_told_by_message_and_at_the_old_number_and_sees_it_in_the_account(
    application, in_province, doctor, clerks
):
    put(in_province, doctor, "included")
    _, earlier_texts = told(application, in_province, doctor)
    place = f"/{SLUG}/office/doctors/{doctor.doctor_id}"
    text = post_form(clerks[0], f"{place}/code", page=place).get_data(as_text=True)
    assert CODE_PATTERN.search(text)
    notices, texts = told(application, in_province, doctor)
    assert len(notices) == 1
    assert "如非本人申请，请立即联系本机构" in notices[0]
    assert CODE_PATTERN.search(notices[0]) is None
    assert len(texts) == len(earlier_texts) + 1
    assert "发放了一次性代码" in texts[0]
    assert re.search(r"由.+发放，未使用", doctor.get("/account"))


def test_where_no_number_is_bound_the_rosters_is_told(application, in_province, doctor, clerks):
    put(in_province, doctor, "included")
    with in_province(SLUG):
        account_of(doctor).mobile_sealed = None
        doctor_row = db.session.scalars(
            select(actors.Doctor).where(actors.Doctor.id == doctor.doctor_id)
        ).one()
        doctor_row.mobile_sealed = current_vault().encrypt(
            SecretLocation("doctor", "mobile", doctor_row.id), ROSTERS_MOBILE
        )
        db.session.commit()
    _, earlier_texts = told(application, in_province, doctor, ROSTERS_MOBILE)
    place = f"/{SLUG}/office/doctors/{doctor.doctor_id}"
    assert post_form(clerks[0], f"{place}/code", page=place).status_code == 200
    _, texts = told(application, in_province, doctor, ROSTERS_MOBILE)
    assert len(texts) == len(earlier_texts) + 1
    assert "发放了一次性代码" in texts[0]


@pytest.mark.parametrize("state", ASSESSMENT_STATES)
def test_from_the_exam_on_one_person_alone_issues_none(in_province, doctor, clerks, state):
    put(in_province, doctor, state)
    place = f"/{SLUG}/office/doctors/{doctor.doctor_id}"
    answer = post_form(clerks[0], f"{place}/code", page=place)
    assert answer.status_code == (200 if state in EARLY else 409)
    assert (CODE_PATTERN.search(answer.get_data(as_text=True)) is not None) is (state in EARLY)


def test_two_persons_issue_it_and_nothing_opens_before(application, in_province, doctor, clerks):
    put(in_province, doctor, "ready")
    place = f"/{SLUG}/office/doctors/{doctor.doctor_id}"
    assert "申请发放一次性代码" in clerks[0].get(place).get_data(as_text=True)
    long = "手机遗失" * 200
    refused = post_form(clerks[0], f"{place}/code/ask", page=place, reason=long)
    text = refused.get_data(as_text=True)
    assert (refused.status_code, f'value="{long}"' in text, "请填写发放一次性代码的原因" in text) == (
        422,
        True,
        True,
    )
    for _ in range(2):
        assert (
            post_form(clerks[0], f"{place}/code/ask", page=place, reason="本人到场，手机遗失").status_code
            == 303
        )
    with in_province(SLUG):
        one_time_codes = db.session.scalars(
            select(OneTimeCode).where(
                OneTimeCode.account_id == account_of(doctor).id, OneTimeCode.awaits_approval
            )
        ).all()
    assert len(one_time_codes) == 1, "asked twice it is asked for once"
    assert told(application, in_province, doctor)[0] == []
    decide = f"{place}/code/{one_time_codes[0].id}"
    own_approval = post_form(clerks[0], decide, page=place, decision="approve")
    assert own_approval.status_code == 409
    assert CODE_PATTERN.search(own_approval.get_data(as_text=True)) is None
    assert "一次性代码等待您审核发放" in clerks[1].get(f"/{SLUG}/office").get_data(as_text=True)
    assert "一次性代码等待您审核发放" not in clerks[0].get(f"/{SLUG}/office").get_data(as_text=True)
    second_approval = post_form(clerks[1], decide, page=place, decision="approve")
    assert CODE_PATTERN.search(second_approval.get_data(as_text=True))
    assert len(told(application, in_province, doctor)[0]) == 1
    assert post_form(clerks[1], decide, page=place, decision="approve").status_code == 404, "once"


def test_what_was_asked_for_is_taken_back_or_refused(in_province, doctor, clerks):
    put(in_province, doctor, "testing")
    place = f"/{SLUG}/office/doctors/{doctor.doctor_id}"
    for who, decision in ((clerks[0], "withdraw"), (clerks[1], "refuse")):
        post_form(clerks[0], f"{place}/code/ask", page=place, reason="手机遗失")
        with in_province(SLUG):
            one_time_code_id = db.session.scalars(
                select(OneTimeCode.id).where(
                    OneTimeCode.account_id == account_of(doctor).id, OneTimeCode.awaits_approval
                )
            ).one()
        assert (
            post_form(who, f"{place}/code/{one_time_code_id}", page=place, decision=decision).status_code
            == 303
        )
        assert "申请发放一次性代码" in clerks[1].get(place).get_data(as_text=True)
