"""Filing by HTTP: the notice, the steps, lists, photo, handing in and taking back, two tabs, what is refused."""

import io
import re

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import CyclePhase
from dingkao.database.model import db
from dingkao.errors import Unavailable
from dingkao.filings.models import Filing
from dingkao.outside import storage
from tests import people


@pytest.fixture
def doctor(application, in_province, request):
    serial = 200 + sum(map(ord, request.node.name)) % 250
    return people.doctor(application, in_province, "hebei", serial)


def test_the_home_page_sends_to_the_notice_once(doctor):
    assert doctor.client.get("/hebei/home").location.endswith("/filing/notice")
    assert "用户告知书" in doctor.get("/filing/notice")
    assert doctor.post("/filing/notice").location.endswith("/home")
    home = doctor.get("/home")
    assert "您已被主要执业机构纳入本周期考核,请点击下方“填报信息”,及时提交完成报名" in home
    assert "考核周期" in home
    assert "管辖行政" in home


def test_who_is_not_included_is_told_whom_to_ask(application, in_province):
    doctor = people.doctor(application, in_province, "hebei", 199, included=False)
    doctor.post("/filing/notice")
    assert "您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人" in doctor.get("/home")
    assert doctor.client.get("/hebei/filing/1").status_code == 404


def test_a_filing_from_the_first_save_to_the_institution_and_back(doctor, in_province):
    doctor.post("/filing/notice")
    assert people.state_of(in_province, "hebei", doctor.record_id) == "included"
    doctor.save(1, {"ethnicity": "汉族"})
    assert people.state_of(in_province, "hebei", doctor.record_id) == "draft"
    assert "尚未提交" in doctor.get("/home")
    check = doctor.get("/filing/check")
    for sentence in ("请上传本人近期照片。", "请选择最高学历。", "教育经历至少填写一条。", "请勾选本人承诺。"):
        assert sentence in check
    assert "csrf_token" not in check
    doctor.file()
    check = doctor.get("/filing/check")
    assert "还有" not in check
    assert "山西医科大学" in check
    assert doctor.submit().location.endswith("/filing/view")
    assert doctor.client.get("/hebei/filing/check").location.endswith("/filing/view")
    assert people.state_of(in_province, "hebei", doctor.record_id) == "institution_pending"
    assert "正在等待主要执业机构审核" in doctor.get("/home")
    doctor.post("/filing/withdraw", page="/filing/view")
    assert people.state_of(in_province, "hebei", doctor.record_id) == "draft"
    assert doctor.submit().status_code == 303
    assert people.state_of(in_province, "hebei", doctor.record_id) == "institution_pending"


def test_what_has_been_opened_is_not_taken_back(doctor, in_province):
    doctor.file()
    doctor.submit()
    page = doctor.get("/filing/view")
    with in_province("hebei"):
        db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(opened_at=clock.now()))
        db.session.commit()
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
    answer = doctor.client.post("/hebei/filing/withdraw", data={"csrf_token": token})
    assert answer.status_code == 409
    assert "机构已开始审核" in answer.get_data(as_text=True)


def test_an_unsound_field_is_told_and_the_others_are_kept(doctor, in_province):
    doctor.post("/filing/notice")
    answer = doctor.save(1, people.BASIC | {"graduated": "2999-01", "email": "no"})
    shown = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert "毕业时间不能晚于今天。" in shown
    assert 'value="2999-01"' in shown
    with in_province("hebei"):
        kept = db.session.scalars(select(Filing).where(Filing.doctor_id == doctor.doctor_id)).one().basic
    assert kept["school"] == "山西医科大学"
    assert "graduated" not in kept


def test_the_older_of_two_tabs_is_told_and_loses_nothing(doctor):
    doctor.post("/filing/notice")
    doctor.save(1, people.BASIC)
    answer = doctor.post("/filing/1", revision="0", **people.BASIC | {"school": "另一页填的学校"})
    shown = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "您在另一页面或设备上保存过更新的内容" in shown
    assert "另一页填的学校" in shown
    assert "山西医科大学" in doctor.get("/filing/1")


def test_numbers_are_sealed_and_odd_ones_only_doubted(doctor, in_province, owner_connection):
    doctor.post("/filing/notice")
    doctor.save(2, people.PRACTICE | {"practice": "12345"})
    assert "执业证书编码通常为15位" in doctor.get("/filing/2")
    row = owner_connection.execute("select filing::text from filing where doctor_id = %s", (doctor.doctor_id,)).fetchone()[0]
    assert people.PRACTICE["qualification"] not in row


def test_entries_are_added_edited_and_removed_once(doctor):
    doctor.post("/filing/notice")
    entry = {"name": "第一医院", "since": "2010-01", "until": "2009-01"}
    assert "结束时间早于开始时间" in doctor.post("/filing/list/practice/new", **entry).get_data(as_text=True)
    for _ in range(2):
        doctor.post("/filing/list/practice/new", **entry | {"until": ""})
    page = doctor.get("/filing/3")
    assert page.count("第一医院") == 1
    entry_id = re.search(r"/filing/list/practice/([0-9a-f]{32})", page)[1]
    doctor.post(f"/filing/list/practice/{entry_id}", name="第二医院", since="2010-01")
    assert "第二医院" in doctor.get("/filing/3")
    doctor.post(f"/filing/list/practice/{entry_id}/remove", page=f"/filing/list/practice/{entry_id}")
    assert "第二医院" not in doctor.get("/filing/3")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "请选择文件"), (b"not a picture", "这不是可以识别的照片"), (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "这不是可以识别的照片"),
        (people.photo(100, 100), "照片太小"), (people.photo()[:900], "这不是可以识别的照片"),
    ],
)  # fmt: skip
def test_a_photo_that_is_none_is_refused_and_nothing_kept(application, in_province, content, sentence):
    doctor = people.doctor(application, in_province, "hebei", 198)
    doctor.post("/filing/notice")
    answer = doctor.post("/filing/photo", photo=(io.BytesIO(content), "photo.jpg"))
    assert answer.status_code == 422
    assert sentence in answer.get_data(as_text=True)
    assert doctor.client.get("/hebei/filing/photo.jpg").status_code == 404


def test_the_store_being_down_loses_nothing(doctor, monkeypatch):
    doctor.post("/filing/notice")
    doctor.save(1, people.BASIC)

    def down(*_args, **_more):
        raise Unavailable(storage.DOWN)

    with monkeypatch.context() as patch:
        patch.setattr(storage.Store, "put", down)
        answer = doctor.post("/filing/photo", photo=(io.BytesIO(people.photo()), "photo.jpg"))
    assert answer.status_code == 503
    assert "文件存储暂时连接不上" in answer.get_data(as_text=True)
    assert "山西医科大学" in doctor.get("/filing/1")
    doctor.post("/filing/photo", photo=(io.BytesIO(people.photo()), "photo.jpg"))
    assert doctor.client.get("/hebei/filing/photo.jpg").mimetype == "image/jpeg"


def test_simple_procedure_wants_its_ground_and_its_report(doctor, in_province):
    doctor.file()
    doctor.save(5, {"procedure": "simple", "promise": "yes", "ground": "good", "report": "短"})
    check = doctor.get("/filing/check")
    assert "您目前不符合“执业5年以上,考核周期内有良好行为记录”" in check
    assert "述职报告不少于500字,现有1字" in check
    doctor.save(5, {"procedure": "simple", "promise": "yes", "ground": "clean", "report": "在本周期内认真履职。" * 60})
    doctor.submit()
    with in_province("hebei"):
        assert db.session.get_one(Assessment, (13, doctor.record_id)).procedure == "simple"


def test_after_the_last_day_nothing_is_saved(doctor, in_province):
    doctor.post("/filing/notice")
    doctor.save(1, people.BASIC)
    with in_province("hebei"):
        phases = db.session.scalars(select(CyclePhase).where(CyclePhase.kind == "filing")).all()
        kept = [(phase, phase.first_day, phase.last_day) for phase in phases]
        for phase in phases:
            phase.last_day = phase.first_day
        db.session.commit()
    try:
        assert doctor.save(1, people.BASIC | {"school": "x"}).status_code == 409
        assert "山西医科大学" in doctor.get("/filing/1")
    finally:
        with in_province("hebei"):
            for phase, first, last in kept:
                db.session.merge(phase).last_day = last
                assert first
            db.session.commit()


def test_messages_are_shown_and_marked_read(doctor):
    doctor.post("/filing/notice")
    assert "1条未读" in doctor.get("/home")
    assert "您已被纳入本周期考核" in doctor.get("/notices")
    doctor.post("/notices/read", page="/notices")
    assert "条未读" not in doctor.get("/home")
