"""Review by HTTP: the queue, the lease, grades, sending back, four eyes, many at once, whose records one
sees."""

import re
import threading

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.exams.models.paper_models import AdmissionTicket
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Notice
from dingkao.people.sign_in_sessions import load_session
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "anhui", 34
FIRST, SECOND = sample_data.registration_number(CODE, 1), sample_data.registration_number(CODE, 2)
GRADES = {"performance": "pass", "ethics": "pass", "conduct": "none", "text": "同意"}
_serial = actors.unused_serials(SLUG)


@pytest.fixture
def submitted(application, in_province):
    """Make a doctor whose filing has been handed in."""

    def make(**cells):
        doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial), **cells)
        doctor.file()
        doctor.submit()
        return doctor

    return make


@pytest.fixture
def staff(application, in_province, submitted):
    """A client of a role at the first institution, which assesses, too."""
    submitted()
    return lambda role, at=FIRST: signed_in_client(application, in_province, SLUG, role, at)


def open_and(client, doctor, decision, side="institution", **more):
    base = f"/{SLUG}/office/review/{doctor.record_id}"
    opened = post_form(client, f"{base}/open", page=f"/{SLUG}/office/review?side={side}", side=side)
    if opened.status_code != 303:
        return opened
    checks = {"bad_record_check": "none"} if decision == "accept" else {}
    return post_form(
        client, f"{base}/decide", page=f"{base}?side={side}", side=side, decision=decision, **checks | more
    )


def test_from_the_institution_to_ready(staff, submitted, in_province):
    doctor, reviewer, organisation = (
        submitted(),
        staff("institution_reviewer"),
        staff("organisation_reviewer"),
    )
    assert "医师" in reviewer.get(f"/{SLUG}/office/review").get_data(as_text=True)
    missing = open_and(reviewer, doctor, "approve", text="好")
    assert missing.status_code == 422
    text = missing.get_data(as_text=True)
    assert "请评定工作成绩。" in text
    assert 'value="好"' in text
    assert open_and(reviewer, doctor, "approve", **GRADES).status_code == 303
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "organisation_pending"
    assert open_and(organisation, doctor, "accept", "organisation").status_code == 303
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "ready"
    home = doctor.get("/home")
    assert "个人报名信息已通过审核,请关注后续考试通知,点击下方“参加测评”,按时完成测评(一般程序)" in home
    with in_province(SLUG):
        ticket = db.session.scalars(
            select(AdmissionTicket).where(AdmissionTicket.assessment_id == doctor.record_id)
        ).one()
        verbs = list(
            db.session.scalars(
                select(JournalEntry.verb)
                .where(JournalEntry.subject_id == doctor.record_id)
                .order_by(JournalEntry.id)
            )
        )
    assert ticket.number in home
    assert doctor.number[-6:] not in ticket.number
    assert [verb for verb in verbs if verb != "opened"] == [
        "include",
        "begin_filing",
        "submit",
        "approve",
        "accept",
    ]


def test_sent_back_with_a_reason_and_handed_in_again(staff, submitted, in_province):
    doctor, reviewer = submitted(), staff("institution_reviewer")
    assert open_and(reviewer, doctor, "return").status_code == 422
    assert open_and(reviewer, doctor, "return", text="请补充执业经历").status_code == 303
    assert "退回原因：请补充执业经历" in doctor.get("/home")
    assert "退回原因：请补充执业经历" in doctor.get("/notices")
    doctor.submit()
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "institution_pending"
    open_and(reviewer, doctor, "approve", **GRADES)
    organisation = staff("organisation_reviewer")
    assert (
        open_and(organisation, doctor, "return_institution", "organisation", text="评定依据不足").status_code
        == 303
    )
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "organisation_returned"
    open_and(reviewer, doctor, "approve", **GRADES)
    open_and(organisation, doctor, "return_doctor", "organisation", text="照片不清晰")
    assert "照片不清晰" in doctor.get("/home")


def test_who_graded_does_not_accept(application, in_province, submitted, staff):
    doctor, reviewer = submitted(), staff("institution_reviewer")
    open_and(reviewer, doctor, "approve", **GRADES)
    organisation = staff("organisation_reviewer")
    with in_province(SLUG):
        account = load_session(organisation.get_cookie(f"dk-{SLUG}").value)[1]
        db.session.execute(
            update(Assessment).where(Assessment.id == doctor.record_id).values(graded_by=account.id)
        )
        db.session.commit()
    refused = open_and(organisation, doctor, "accept", "organisation")
    assert refused.status_code == 403
    assert "评定人与复核人不能是同一人" in refused.get_data(as_text=True)


def test_a_record_is_in_one_pair_of_hands(staff, submitted, in_province):
    doctor, first_reviewer, second_reviewer = (
        submitted(),
        staff("institution_reviewer"),
        staff("institution_reviewer"),
    )
    base = f"/{SLUG}/office/review/{doctor.record_id}"
    post_form(first_reviewer, f"{base}/open", page=f"/{SLUG}/office/review", side="institution")
    refused = open_and(second_reviewer, doctor, "approve", **GRADES)
    assert refused.status_code == 409
    assert "测试人员正在审核" in refused.get_data(as_text=True)
    with in_province(SLUG):
        db.session.execute(
            update(Assessment).where(Assessment.id == doctor.record_id).values(leased_until=clock.now())
        )
        db.session.commit()
    assert open_and(second_reviewer, doctor, "approve", **GRADES).status_code == 303


def test_a_clerk_reads_and_another_institution_sees_nothing(staff, submitted, in_province):
    doctor = submitted()
    base = f"/{SLUG}/office/review/{doctor.record_id}"
    clerk = staff("institution_clerk")
    assert clerk.get(base).status_code == 200
    assert open_and(clerk, doctor, "approve", **GRADES).status_code == 403
    other_reviewer = staff("institution_reviewer", SECOND)
    for address in (base, f"{base}/photo.jpg"):
        assert other_reviewer.get(address).status_code == 404
    assert open_and(other_reviewer, doctor, "approve", **GRADES).status_code == 404


def test_numbers_are_masked_until_revealed_and_that_is_journalled(staff, submitted, in_province):
    doctor, reviewer = submitted(), staff("institution_reviewer")
    base = f"/{SLUG}/office/review/{doctor.record_id}"
    text = reviewer.get(base).get_data(as_text=True)
    assert doctor.number not in text
    assert actors.practice_of(doctor.number)["qualification"] not in text
    revealed = post_form(reviewer, f"{base}/reveal", page=base, side="institution").get_data(as_text=True)
    assert doctor.number in revealed
    with in_province(SLUG):
        assert db.session.scalar(
            select(JournalEntry.id).where(
                JournalEntry.subject_id == doctor.record_id, JournalEntry.verb == "numbers_revealed"
            )
        )


def grade(in_province, doctor, part, verdict):
    with in_province(SLUG):
        record = update(Assessment).where(Assessment.id == doctor.record_id)
        db.session.execute(record.values({part: verdict}))
        db.session.commit()


def test_many_at_once_leaves_out_who_needs_a_look(staff, submitted, in_province):
    sound, declared = submitted(), submitted()
    declared.post("/filing/withdraw", page="/filing/view")
    declared.save(4, actors.WORK | {"quality": "fail"})
    declared.submit()
    reviewer, page = staff("institution_reviewer"), f"/{SLUG}/office/review"
    ids = [str(sound.record_id), str(declared.record_id)]
    preview = post_form(reviewer, f"{page}/batch", page=page, side="institution", record=ids).get_data(
        as_text=True
    )
    assert "将审核通过以下1人" in preview
    assert "须逐人审核：自评“完成工作质量”为不合格。" in preview
    for _ in range(2):
        report = post_form(
            reviewer,
            f"{page}/batch",
            page=page,
            follow_redirects=True,
            side="institution",
            record=ids,
            confirmed="1",
        ).get_data(as_text=True)
    assert "已审核通过0人" in report
    assert actors.record_state(in_province, SLUG, sound.record_id) == "organisation_pending"
    assert actors.record_state(in_province, SLUG, declared.record_id) == "institution_pending"
    organisation = staff("organisation_reviewer")
    for part in ("performance", "ethics"):
        grade(in_province, sound, part, "fail")
        answer = post_form(
            organisation,
            f"{page}/batch",
            page=page,
            follow_redirects=True,
            side="organisation",
            record=ids,
            confirmed="1",
        )
        assert "机构评定有不合格，须逐人复核" in answer.get_data(as_text=True), part
        grade(in_province, sound, part, "pass")
    post_form(organisation, f"{page}/batch", page=page, side="organisation", record=ids, confirmed="1")
    assert actors.record_state(in_province, SLUG, sound.record_id) == "ready"
    with in_province(SLUG):
        account = db.session.scalars(select(Doctor.account_id).where(Doctor.id == sound.doctor_id)).one()
        assert len(db.session.scalars(select(Notice).where(Notice.account_id == account)).all()) == 3


def test_pressed_at_the_same_moment_it_happens_once(application, staff, submitted, in_province):
    doctor, reviewer = submitted(), staff("institution_reviewer")
    base = f"/{SLUG}/office/review/{doctor.record_id}"
    post_form(reviewer, f"{base}/open", page=f"/{SLUG}/office/review", side="institution")
    token = re.search(r'name="csrf_token" value="([^"]+)"', reviewer.get(base).get_data(as_text=True))[1]
    cookies = {name: reviewer.get_cookie(name).value for name in (f"dk-{SLUG}", f"dk-{SLUG}-form")}
    barrier, answers = threading.Barrier(6), []

    def press():
        client = application.test_client()
        for name, value in cookies.items():
            client.set_cookie(name, value)
        barrier.wait()
        answers.append(
            client.post(
                f"{base}/decide",
                data=GRADES | {"csrf_token": token, "side": "institution", "decision": "approve"},
            ).status_code
        )

    threads = [threading.Thread(target=press) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [303] + [409] * 5
    with in_province(SLUG):
        verbs = db.session.scalars(
            select(JournalEntry.verb).where(JournalEntry.subject_id == doctor.record_id)
        ).all()
    assert verbs.count("approve") == 1


def test_who_has_begun_stays_on_the_list(application, in_province, staff):
    filing_doctor, idle_doctor = (
        actors.signed_in_doctor(application, in_province, SLUG, next(_serial)) for _ in range(2)
    )
    filing_doctor.post("/filing/notice")
    filing_doctor.save(1, actors.BASIC)
    clerk, page = staff("institution_clerk"), f"/{SLUG}/office/inclusion?state=included"
    records = [str(filing_doctor.record_id), str(idle_doctor.record_id)]
    removing, long = f"/{SLUG}/office/inclusion/remove?state=included", "已调离" * 200
    refused = post_form(clerk, removing, page=page, record=records, reason=long).get_data(as_text=True)
    assert ("请填写移出名单的原因" in refused, f'value="{long}"' in refused) == (True, True)
    assert re.search(f'value="{idle_doctor.record_id}"[^>]* checked', refused)
    post_form(clerk, f"/{SLUG}/office/inclusion/remove", page=page, record=records, reason="已调离")
    assert actors.record_state(in_province, SLUG, idle_doctor.record_id) == "not_included"
    assert actors.record_state(in_province, SLUG, filing_doctor.record_id) == "draft"
