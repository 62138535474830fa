"""科室联络员, 人事 and 党办: what they prepare, and that they see nothing else; drafts beside the record decide
nothing."""

import io
import re

import pytest
from sqlalchemy import delete, select, update

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors.conduct_models import ConductRecord
from dingkao.doctors.models import Doctor
from dingkao.filings.models import GradingDraft
from dingkao.integrations.spreadsheets.xlsx_writer import write_xlsx
from dingkao.journal.models import JournalEntry
from dingkao.people import authentication
from dingkao.people.models import Account, Organisation
from tests import actors, sample_data
from tests.blueprints import review_steps
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "yunnan", 53
PLACE = sample_data.registration_number(CODE, 1)
HOME = f"/{SLUG}/office/gradings"
OTHER_PLACE = {
    "机构登记号": sample_data.registration_number(CODE, 2),
    "主要执业机构": sample_data.institution_name(CODE, 2),
}
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def doctors(application, in_province):
    """By department, and one of 内科 at another institution; their records wait for their institutions."""
    made = {
        name: actors.signed_in_doctor(application, in_province, SLUG, next(_serial), **cells)
        for name, cells in (
            ("内科", {"科室": "内科"}),
            ("内科二", {"科室": "内科"}),
            ("外科", {"科室": "外科"}),
            ("他院", {"科室": "内科"} | OTHER_PLACE),
        )
    }
    for doctor in made.values():
        actors.advance_to(in_province, doctor, "institution_pending")
    return made


@pytest.fixture(autouse=True)
def nothing_drafted(in_province, doctors):
    """Every record waits for its institution, in nobody's hands and with no draft, whatever tests did before."""
    waiting = {"state": "institution_pending", "leased_by": None, "leased_until": None}
    with in_province(SLUG):
        db.session.execute(delete(GradingDraft))
        db.session.execute(update(Assessment).values(waiting))
        db.session.commit()


@pytest.fixture(scope="module")
def liaison(application, in_province, doctors):
    return signed_in_client(application, in_province, SLUG, "department_liaison", PLACE, department="内科")


@pytest.fixture(scope="module")
def reviewer(application, in_province, doctors):
    return signed_in_client(application, in_province, SLUG, "institution_reviewer", PLACE)


def text(answer):
    return answer.get_data(as_text=True)


def draft(client, *records, performance="pass", ethics="pass", remark=""):
    data = {"performance": performance, "ethics": ethics, "remark": remark}
    answer = post_form(client, HOME, record=[str(doctor.record_id) for doctor in records], **data)
    return text(client.get(answer.location))


def drafts(in_province, *doctors):
    with in_province(SLUG):
        known = {row.assessment_id: row for row in db.session.scalars(select(GradingDraft))}
        return [
            (known[doctor.record_id].performance, known[doctor.record_id].ethics)
            if doctor.record_id in known
            else None
            for doctor in doctors
        ]


def drafts_in_journal(in_province, doctor):
    """How often the journal has that the doctor's record was drafted."""
    with in_province(SLUG):
        query = select(JournalEntry.verb).where(JournalEntry.subject_id == doctor.record_id)
        return db.session.scalars(query).all().count("grading_drafted")


def test_a_liaison_sees_and_drafts_the_own_department_alone(liaison, doctors, in_province):
    page = text(liaison.get(HOME))
    assert set(re.findall(r'name="record"\s+value="([^"]+)"', page)) == {
        str(doctors[name].record_id) for name in ("内科", "内科二")
    }
    for name in ("外科", "他院"):
        assert liaison.get(f"{HOME}/{doctors[name].record_id}").status_code == 404
    assert "科室医师尚未草拟评定" in text(liaison.get(f"/{SLUG}/office"))
    assert "已草拟2人" in draft(liaison, *doctors.values())
    assert drafts(in_province, *doctors.values()) == [("pass", "pass"), ("pass", "pass"), None, None]
    for address in ("doctors", "review", "conduct", "inclusion"):
        assert liaison.get(f"/{SLUG}/office/{address}").status_code == 403


def test_a_verdict_of_failure_needs_a_reason_and_a_decision_needs_a_person(
    liaison, reviewer, doctors, in_province
):
    doctor = doctors["内科"]
    before = drafts_in_journal(in_province, doctor)
    draft(liaison, doctor)
    page = f"{HOME}/{doctor.record_id}"
    form = {"performance": "fail", "ethics": "pass", "remark": ""}
    refused = post_form(liaison, page, **form)
    assert refused.status_code == 422
    assert "请写明理由" in text(refused)
    assert post_form(liaison, page, **form | {"remark": "门诊量不足"}).status_code == 303
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "institution_pending"
    preview = review_steps.preview(reviewer, SLUG, [doctor.record_id, doctors["内科二"].record_id])
    assert "草拟结论有不合格，须逐人审核" in preview
    review_steps.take(reviewer, doctor)
    record_page = f"/{SLUG}/office/review/{doctor.record_id}?side=institution"
    shown = text(reviewer.get(record_page))
    assert "门诊量不足" in shown
    assert "采用草拟" in shown
    assert "工作成绩依据" in shown
    assert not re.search(r'name="performance"\s+value="\w+"\s+checked', shown), "nothing is chosen by a draft"
    taken = text(reviewer.get(f"{record_page}&draft=1"))
    assert re.search(r'name="performance"\s+value="fail"\s+checked', taken)
    assert drafts_in_journal(in_province, doctor) == before + 2


def test_what_is_decided_is_not_drafted_again(liaison, reviewer, doctors, in_province):
    doctor = doctors["内科二"]
    assert review_steps.approve(reviewer, doctor).status_code == 303
    before = drafts(in_province, doctor)
    assert "1人未草拟：当前为“待考核机构复核”" in draft(liaison, doctor, performance="fail", remark="晚了")
    assert drafts(in_province, doctor) == before


@pytest.mark.parametrize(
    ("role", "kind", "grade", "other"),
    [
        ("personnel_officer", "annual_appraisal", "合格", "ethics_grading"),
        ("ethics_officer", "ethics_grading", "良好", "annual_appraisal"),
    ],
)
def test_personnel_and_party_office_upload_their_grades_and_see_nothing_else(
    application, in_province, doctors, role, kind, grade, other
):
    client = signed_in_client(application, in_province, SLUG, role, PLACE)
    base = f"/{SLUG}/office/conduct"
    assert "缺" in text(client.get(f"/{SLUG}/office"))
    assert client.get(f"{base}/{other}").status_code == 403
    assert client.get(f"{base}/penalty/template.xlsx").status_code == 403
    page = text(client.get(base))
    assert f"{base}/{kind}/template.xlsx" in page
    assert other not in page
    for address in ("doctors", "review", "gradings", "inclusion", "search"):
        assert client.get(f"/{SLUG}/office/{address}").status_code == 403
    headings = ("证件号码", "姓名", "年度", "等次")
    with in_province(SLUG):
        people = [
            db.session.scalars(select(Doctor).where(Doctor.id == doctors[name].doctor_id)).one()
            for name in ("内科", "他院")
        ]
        rows = [(actors.number_of(person), person.name, "2025", grade) for person in people]
    sheet = write_xlsx(headings, rows)
    answer = post_form(client, base + f"/{kind}", file=(io.BytesIO(sheet), "结果.xlsx"))
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "您负责的名单中没有这个号码" in text(client.get(answer.location))
    with in_province(SLUG):
        known = db.session.scalars(select(ConductRecord).where(ConductRecord.kind == kind)).all()
    assert [record.doctor_id for record in known] == [people[0].id]


def test_a_liaison_is_invited_to_a_department_that_is_there(reviewer, in_province, liaison):
    page = f"/{SLUG}/office/colleagues"
    with in_province(SLUG):
        place = db.session.scalars(
            select(Organisation.id).where(Organisation.registration_number == PLACE)
        ).one()
    seat = {"seat": f"department_liaison:{place}", "name": "联络员"}
    for department, problem in (("", "请按“科室”名单"), ("没有科", "请按“科室”名单")):
        refused = post_form(reviewer, page, user_name="ll-1", department=department, **seat)
        assert refused.status_code == 422
        assert problem in text(refused)
    shown = text(post_form(reviewer, page, user_name="ll-1", department="内科", **seat))
    assert "one-time-code" in shown
    assert "科室联络员" in shown
    with in_province(SLUG):
        account = db.session.scalars(select(Account).where(Account.user_name == "ll-1")).one()
        [membership] = authentication.memberships_of(account.id)
    assert membership.department_id is not None


def test_a_doctor_who_went_to_another_institution_is_no_longer_the_liaisons(liaison, doctors, in_province):
    left, stays = doctors["内科"].record_id, doctors["内科二"].record_id
    with in_province(SLUG):
        place = select(Organisation.id).where(Organisation.registration_number == OTHER_PLACE["机构登记号"])
        doctor_id = select(Assessment.doctor_id).where(Assessment.id == left)
        db.session.execute(
            update(Doctor)
            .where(Doctor.id == doctor_id.scalar_subquery())
            .values(organisation_id=place.scalar_subquery())
        )
        db.session.commit()
    assert liaison.get(f"{HOME}/{left}").status_code == 404
    assert liaison.get(f"{HOME}/{stays}").status_code == 200
