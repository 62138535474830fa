"""Handing a filing in and taking it back, its last day, what was sent back, what can be changed afterwards."""

import re
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.blueprints.doctor.filing import submission as filing_blueprint
from dingkao.cycles.models import CyclePhase
from dingkao.database.base import db
from dingkao.filings import filing_submission
from dingkao.filings.dossier import dossier_of_record
from dingkao.filings.models import Filing
from dingkao.filings.return_marks import marks_to_store
from tests import actors
from tests.blueprints.test_filing import new_doctor


@pytest.fixture
def doctor(application, in_province):
    """A doctor of this test's own."""
    return new_doctor(application, in_province)


def test_a_filing_from_the_first_save_to_the_institution_and_back(doctor, in_province):
    doctor.post("/filing/notice")
    assert actors.record_state(in_province, "hebei", doctor.record_id) == "included"
    doctor.save(1, {"ethnicity": "汉族"})
    assert actors.record_state(in_province, "hebei", doctor.record_id) == "draft"
    assert "尚未提交" in doctor.get("/home")
    check = doctor.get("/filing/check")
    for sentence in (
        "请上传本人近期照片。",
        "请选择最高学历。",
        "教育经历至少填写一条。",
        "请勾选本人承诺。",
    ):
        assert sentence in check
    assert "csrf_token" not in check
    doctor.file()
    check = doctor.get("/filing/check")
    assert "还有" not in check
    assert "山西医科大学" in check
    assert doctor.submit().location.endswith("/filing/view")
    assert doctor.client.get("/hebei/filing/check").location.endswith("/filing/view")
    assert actors.record_state(in_province, "hebei", doctor.record_id) == "institution_pending"
    assert "正在等待主要执业机构审核" in doctor.get("/home")
    doctor.post("/filing/withdraw", page="/filing/view")
    assert actors.record_state(in_province, "hebei", doctor.record_id) == "draft"
    assert doctor.submit().status_code == 303
    assert actors.record_state(in_province, "hebei", doctor.record_id) == "institution_pending"


def test_what_has_been_opened_is_not_taken_back(doctor, in_province):
    doctor.file()
    doctor.submit()
    page = doctor.get("/filing/view")
    with in_province("hebei"):
        db.session.execute(
            update(Assessment).where(Assessment.id == doctor.record_id).values(opened_at=clock.now())
        )
        db.session.commit()
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
    answer = doctor.client.post("/hebei/filing/withdraw", data={"csrf_token": token})
    assert answer.status_code == 409
    assert "机构已开始审核" in answer.get_data(as_text=True)


def test_a_filing_is_not_taken_back_when_it_could_not_be_handed_in_again(doctor, in_province, monkeypatch):
    doctor.file()
    doctor.submit()
    assert "撤回修改" in doctor.get("/filing/view")
    page = doctor.get("/filing/view")
    for module in (filing_submission, filing_blueprint):
        monkeypatch.setattr(module, "is_phase_open", lambda _cycle, kind: kind != "filing")
    assert "撤回修改" not in doctor.get("/filing/view")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
    assert doctor.client.post("/hebei/filing/withdraw", data={"csrf_token": token}).status_code == 409
    assert actors.record_state(in_province, "hebei", doctor.record_id) == "institution_pending"


def test_after_the_last_day_nothing_is_saved(doctor, in_province):
    doctor.post("/filing/notice")
    doctor.save(1, actors.BASIC)
    with in_province("hebei"):
        phases = db.session.scalars(select(CyclePhase).where(CyclePhase.kind == "filing")).all()
        phase_days = [(phase, phase.first_day, phase.last_day) for phase in phases]
        for phase in phases:
            phase.last_day = phase.first_day
        db.session.commit()
    try:
        assert doctor.save(1, actors.BASIC | {"school": "x"}).status_code == 409
        assert "山西医科大学" in doctor.get("/filing/1")
    finally:
        with in_province("hebei"):
            for phase, first, last in phase_days:
                db.session.merge(phase).last_day = last
                assert first
            db.session.commit()


@contextmanager
def enrolment_ending(in_province, days):
    """Enrolment ends so many days from today while the block lasts; every other phase goes on."""
    filing = update(CyclePhase).where(CyclePhase.kind == "filing")
    with in_province("hebei"):
        last_day = db.session.scalars(select(CyclePhase.last_day).where(CyclePhase.kind == "filing")).one()
        db.session.execute(filing.values(last_day=clock.today() + timedelta(days=days)))
        db.session.commit()
    try:
        yield
    finally:
        with in_province("hebei"):
            db.session.execute(filing.values(last_day=last_day))
            db.session.commit()


def test_on_the_last_day_it_is_saved_and_afterwards_only_what_was_returned_is_handed_in(doctor, in_province):
    doctor.file()
    with enrolment_ending(in_province, 0):
        assert doctor.save(1, actors.BASIC | {"school": "山西大学"}).status_code == 303
    with enrolment_ending(in_province, -1):
        refused = doctor.submit()
        assert (refused.status_code, "报名已截止" in refused.get_data(as_text=True)) == (409, True)
        assert actors.record_state(in_province, "hebei", doctor.record_id) == "draft"
        with in_province("hebei"):
            values = {"state": "institution_returned", "returned_reason": "毕业院校与证书不符"}
            db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(**values))
            db.session.commit()
        doctor.submit()
        assert actors.record_state(in_province, "hebei", doctor.record_id) == "institution_pending"


def test_simple_procedure_wants_its_ground_and_its_report(doctor, in_province):
    doctor.file()
    doctor.save(5, {"procedure": "simple", "promise": "yes", "ground": "good", "report": "短"})
    check = doctor.get("/filing/check")
    assert "您目前不符合“执业5年以上，考核周期内有良好行为记录”" in check
    assert "述职报告不少于500字，现有1字" in check
    doctor.save(
        5, {"procedure": "simple", "promise": "yes", "ground": "clean", "report": "在本周期内认真履职。" * 60}
    )
    doctor.submit()
    with in_province("hebei"):
        assert db.session.get_one(Assessment, (13, doctor.record_id)).procedure == "simple"


def test_what_was_sent_back_is_mended_and_handed_in_again(doctor, in_province):
    doctor.file()
    doctor.submit()
    assert "已提交" in doctor.get("/filing/view")
    with in_province("hebei"):
        values = {"state": "institution_returned", "returned_reason": "毕业院校与证书不符"}
        db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(**values))
        db.session.commit()
    assert doctor.client.get("/hebei/filing/view").location.endswith("/filing")
    assert "毕业院校与证书不符" in doctor.get("/filing/1")
    assert doctor.save(1, actors.BASIC | {"school": "山西大学"}).status_code == 303
    doctor.submit()
    assert actors.record_state(in_province, "hebei", doctor.record_id) == "institution_pending"
    assert "山西大学" in doctor.get("/filing/view")


@pytest.mark.parametrize(
    "state", ["organisation_pending", "organisation_returned", "ready", "testing", "scored", "passed"]
)
def test_later_it_is_read_only_and_says_whom_to_ask(doctor, in_province, state):
    doctor.file()
    doctor.submit()
    with in_province("hebei"):
        values = {"state": state, "performance": "pass", "ethics": "pass"}
        db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(**values))
        db.session.commit()
    view = doctor.get("/filing/view")
    assert "申请更正姓名、证件等" in view
    assert ("申请修改填报信息" in view) == (state in ("organisation_pending", "ready"))
    assert "撤回" not in view
    assert doctor.client.get("/hebei/filing/1").location.endswith("/filing/view")
    answer = doctor.post("/filing/1", page="/home", revision="9", **actors.BASIC | {"school": "改"})
    assert answer.status_code == 409


def returned_with(in_province, doctor, marks):
    """Return the filing with marks at fields, key → sentence."""
    with in_province("hebei"):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == doctor.record_id).with_for_update()
        ).one()
        record.state, record.returned_reason = "institution_returned", "请更正"
        record.return_marks = marks_to_store(dossier_of_record(record), marks)
        db.session.commit()


def test_handing_in_again_with_a_mark_untouched_is_warned_of(doctor, in_province):
    doctor.file()
    doctor.submit()
    returned_with(in_province, doctor, {"1.school": "与证书不符", "2.department": "请写全称"})
    check = doctor.get("/filing/check")
    assert "以下2处被退回的内容还没有改动" in check
    assert "还有2处没有改动，机构可能再次退回。确定仍要提交" in check
    assert doctor.save(1, actors.BASIC | {"school": "山西大学"}).status_code == 303
    check = doctor.get("/filing/check")
    warned = re.search(
        r'<section class="content-card alert-box is-error" id="untouched">(.*?)</section>', check, re.DOTALL
    )
    assert warned
    assert "所在科室：请写全称" in warned[1]
    assert "毕业院校" not in warned[1]
    doctor.submit()
    assert actors.record_state(in_province, "hebei", doctor.record_id) == "institution_pending"


def test_a_field_of_27_digits_has_the_whole_line(doctor, in_province):
    doctor.file()
    doctor.submit()
    returned_with(in_province, doctor, {"2.qualification": "位数不对"})
    assert re.search(
        r'<div class="form-field for-qualification form-field--returned is-stacked"',
        doctor.get("/filing/2"),
    )


@pytest.mark.parametrize(
    "state",
    [
        "draft",
        "institution_pending",
        "institution_returned",
        "organisation_pending",
        "ready",
        "testing",
        "scored",
        "passed",
    ],
)
def test_contact_data_are_free_in_every_state_and_move_nothing(doctor, in_province, state):
    doctor.file()
    doctor.submit()
    with in_province("hebei"):
        values = {"state": state, "performance": "pass", "ethics": "pass", "returned_reason": "请更正"}
        db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(**values))
        db.session.commit()
    refused = doctor.post("/filing/contact", email="没有这样的", address="英雄路1号")
    assert refused.status_code == 422
    assert "没有这样的" in refused.get_data(as_text=True)
    assert doctor.post("/filing/contact", email="wang@example.cn", address="英雄路1号").status_code == 303
    page = doctor.get("/filing/contact")
    assert 'value="wang@example.cn"' in page
    assert 'value="英雄路1号"' in page
    assert actors.record_state(in_province, "hebei", doctor.record_id) == state
    with in_province("hebei"):
        filing = db.session.scalars(select(Filing).where(Filing.doctor_id == doctor.doctor_id)).one()
        assert filing.basic["school"] == actors.BASIC["school"]


def test_below_locked_fields_it_says_where_each_is_changed(doctor):
    doctor.post("/filing/notice")
    first, second = doctor.get("/filing/1"), doctor.get("/filing/2")
    assert re.search(
        r'手机号码请在<a\s+class="text-link is-inline"\s+href="/hebei/account">账号与安全</a>', first
    )
    assert all(
        re.search(
            r'请<a\s+class="text-link is-inline"\s+href="/hebei/requests/new/correction">申请信息更正</a>',
            page,
        )
        for page in (first, second)
    )
    assert "账号与安全" not in second
