"""Filing by HTTP: the notice, the steps, lists, photo and proofs, two tabs, what is refused."""

import io
import re
from datetime import date
from itertools import count

import pytest
from sqlalchemy import func, select, update

from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import NotFound, Unavailable
from dingkao.filings.models import Document, Filing, NoticeReading
from dingkao.integrations import storage
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.models import Job
from dingkao.journal.models import JournalEntry
from dingkao.tenants import settings
from tests import actors, sample_data
from tests.rooms.test_images import a_pdf

SERIALS = count()


def new_doctor(application, in_province):
    """A doctor whom no other test has."""
    serial = next(SERIALS)
    number = sample_data.resident_number(serial, sex="男" if serial % 2 else "女", birth=date(1979, 3, 4))
    return actors.signed_in_doctor(application, in_province, "hebei", serial, 证件号码=number)


@pytest.fixture
def doctor(application, in_province):
    """A doctor of this test's own."""
    return new_doctor(application, in_province)


def test_the_home_page_sends_to_the_notice_once(doctor):
    assert doctor.client.get("/hebei/home").location.endswith("/filing/notice")
    assert "用户告知书" in doctor.get("/filing/notice")
    assert doctor.post("/filing/notice").location.endswith("/home")
    home = doctor.get("/home")
    assert "您已被主要执业机构纳入本周期考核,请点击下方“填报信息”,及时提交完成报名" in home
    assert "考核周期" in home
    assert "管辖行政" in home


def test_who_is_not_included_is_told_whom_to_ask(application, in_province):
    doctor = actors.signed_in_doctor(application, in_province, "hebei", 199, included=False)
    doctor.post("/filing/notice")
    assert "您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人" in doctor.get("/home")
    assert doctor.client.get("/hebei/filing/1").status_code == 404


def test_an_unsound_field_is_told_and_the_others_are_kept(doctor, in_province):
    doctor.post("/filing/notice")
    answer = doctor.save(1, actors.BASIC | {"graduated": "2999-01", "email": "no"})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert "毕业时间不能晚于今天。" in text
    assert 'value="2999-01"' in text
    with in_province("hebei"):
        basic = db.session.scalars(select(Filing).where(Filing.doctor_id == doctor.doctor_id)).one().basic
    assert basic["school"] == "山西医科大学"
    assert "graduated" not in basic


def test_the_older_of_two_tabs_is_told_and_loses_nothing(doctor):
    doctor.post("/filing/notice")
    doctor.save(1, actors.BASIC)
    answer = doctor.post("/filing/1", revision="0", **actors.BASIC | {"school": "另一页填的学校"})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "您在另一页面或设备上保存过更新的内容" in text
    assert "另一页填的学校" in text
    assert "山西医科大学" in doctor.get("/filing/1")


def test_numbers_are_sealed_and_odd_ones_only_doubted(doctor, in_province, owner_connection):
    doctor.post("/filing/notice")
    doctor.save(2, actors.PRACTICE | {"practice": "12345"})
    assert "执业证书编码通常为15位" in doctor.get("/filing/2")
    stored_row = owner_connection.execute(
        "select filing::text from filing where doctor_id = %s", (doctor.doctor_id,)
    ).fetchone()[0]
    assert actors.PRACTICE["qualification"] not in stored_row


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
    assert f"/filing/list/practice/{entry_id}" not in doctor.get("/filing/3")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "请选择文件"),
        (b"not a picture", "这不是可以识别的照片"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "这不是可以识别的照片"),
        (actors.portrait_image(100, 100), "照片太小"),
        (actors.portrait_image()[:900], "这不是可以识别的照片"),
    ],
)
def test_a_photo_that_is_none_is_refused_and_nothing_kept(application, in_province, content, sentence):
    doctor = actors.signed_in_doctor(application, in_province, "hebei", 198)
    doctor.post("/filing/notice")
    answer = doctor.post("/filing/photo", photo=(io.BytesIO(content), "photo.jpg"))
    assert answer.status_code == 422
    assert sentence in answer.get_data(as_text=True)
    assert doctor.client.get("/hebei/filing/photo.jpg").status_code == 404


def test_the_store_being_down_loses_nothing(doctor, monkeypatch):
    doctor.post("/filing/notice")
    doctor.save(1, actors.BASIC)

    def down(*_args, **_more):
        raise Unavailable(storage.UNAVAILABLE_MESSAGE)

    with monkeypatch.context() as patch:
        patch.setattr(storage.ObjectStore, "put", down)
        answer = doctor.post("/filing/photo", photo=(io.BytesIO(actors.portrait_image()), "photo.jpg"))
    assert answer.status_code == 503
    assert "文件存储暂时连接不上" in answer.get_data(as_text=True)
    assert "山西医科大学" in doctor.get("/filing/1")
    doctor.post("/filing/photo", photo=(io.BytesIO(actors.portrait_image()), "photo.jpg"))
    assert doctor.client.get("/hebei/filing/photo.jpg").mimetype == "image/jpeg"


def test_messages_are_shown_and_marked_read(doctor):
    doctor.post("/filing/notice")
    assert "1条未读" in doctor.get("/home")
    assert "您已被纳入本周期考核" in doctor.get("/notices")
    doctor.post("/notices/read", page="/notices")
    assert "条未读" not in doctor.get("/home")


def journal_of(in_province, subject):
    with in_province("hebei"):
        return db.session.scalars(
            select(JournalEntry.verb).where(JournalEntry.subject_id == subject).order_by(JournalEntry.id)
        ).all()


def test_nothing_is_begun_before_the_notice_was_read(doctor, in_province):
    page = doctor.get("/filing/notice")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
    answer = doctor.client.post("/hebei/filing/1", data={"csrf_token": token, "revision": "0"} | actors.BASIC)
    assert answer.status_code == 409
    assert "用户告知书" in answer.get_data(as_text=True)
    assert actors.record_state(in_province, "hebei", doctor.record_id) == "included"


def test_the_notice_is_read_once_a_version(doctor, in_province):
    for _ in range(2):
        doctor.post("/filing/notice")
    with in_province("hebei"):
        assert (
            db.session.scalar(
                select(func.count())
                .select_from(NoticeReading)
                .where(NoticeReading.doctor_id == doctor.doctor_id)
            )
            == 1
        )
        change = settings.change("user_notice", f"新的告知书{doctor.number}", by=None, reason="试")
        db.session.commit()
    try:
        assert doctor.client.get("/hebei/home").location.endswith("/filing/notice")
        assert "新的告知书" in doctor.get("/filing/notice")
    finally:
        with in_province("hebei"):
            settings.change("user_notice", settings.SETTINGS["user_notice"].default, by=None, reason="复原")
            db.session.commit()
        assert change


def test_what_nobody_sees_is_taken_out_of_what_was_typed(doctor, in_province):
    doctor.post("/filing/notice")
    assert doctor.save(1, actors.BASIC | {"school": "山西\x00医科\x07大学"}).status_code == 303
    assert "山西医科大学" in doctor.get("/filing/1")


def test_every_save_is_in_the_journal_and_names_no_value(doctor, in_province):
    doctor.post("/filing/notice")
    doctor.save(1, actors.BASIC)
    doctor.save(1, actors.BASIC)
    with in_province("hebei"):
        filing = db.session.scalars(select(Filing.id).where(Filing.doctor_id == doctor.doctor_id)).one()
        entries = db.session.scalars(select(JournalEntry).where(JournalEntry.subject_id == filing)).all()
    assert [(entry.verb, entry.details) for entry in entries] == [
        ("saved", {"part": "basic", "revision": 1}),
        ("saved", {"part": "basic", "revision": 2}),
    ]
    assert "begin_filing" in journal_of(in_province, doctor.record_id)


def test_the_older_tab_is_shown_what_differs_and_wins_when_saved_again(doctor):
    doctor.post("/filing/notice")
    response = doctor.get("/filing/1")
    doctor.save(1, actors.BASIC)
    revision = re.search(r'name="revision" value="(\d+)"', response)[1]
    text = doctor.post(
        "/filing/1", revision=revision, **actors.BASIC | {"school": "另一页填的学校"}
    ).get_data(as_text=True)
    assert "本页：另一页填的学校" in text
    assert "已保存：山西医科大学" in text
    assert "本页：汉族" not in text
    assert (
        doctor.post(
            "/filing/1",
            revision=re.search(r'name="revision" value="(\d+)"', text)[1],
            **actors.BASIC | {"school": "另一页填的学校"},
        ).status_code
        == 303
    )
    assert "另一页填的学校" in doctor.get("/filing/1")


def test_an_entry_changed_on_another_page_is_not_overwritten_unseen(doctor):
    doctor.post("/filing/notice")
    doctor.post("/filing/list/practice/new", name="第一医院", since="2010-01")
    entry = re.search(r"/filing/list/practice/([0-9a-f]{32})", doctor.get("/filing/3"))[1]
    version = re.search(r'name="version" value="(\w+)"', doctor.get(f"/filing/list/practice/{entry}"))[1]
    assert (
        doctor.post(
            f"/filing/list/practice/{entry}", name="第二医院", since="2010-01", version=version
        ).status_code
        == 303
    )
    late = doctor.post(f"/filing/list/practice/{entry}", name="第三医院", since="2010-01", version=version)
    assert late.status_code == 409
    assert "第三医院" in late.get_data(as_text=True)
    assert "第二医院" in doctor.get("/filing/3")


def test_a_date_before_birth_is_told(doctor):
    doctor.post("/filing/notice")
    assert "参加工作时间早于您的出生日期" in doctor.save(
        1, actors.BASIC | {"working_since": "1975-01"}
    ).get_data(as_text=True)
    assert "开始时间早于您的出生日期" in doctor.post(
        "/filing/list/education/new", name="小学", education="本科", since="1970-09"
    ).get_data(as_text=True)


def test_a_doctor_with_a_passport_is_asked_for_sex_and_birth(application, in_province):
    doctor = actors.signed_in_doctor(
        application, in_province, "hebei", 497, 证件类型="护照", 证件号码="E12345678", 性别=""
    )
    doctor.post("/filing/notice")
    doctor.save(1, actors.BASIC)
    check = doctor.get("/filing/check")
    assert "请选择性别。" in check
    assert "请填写出生日期。" in check
    doctor.save(1, actors.BASIC | {"sex": "female", "birth_date": "1985-05-06"})
    assert "1985年05月06日" in doctor.get("/filing/check")


def test_the_roster_proposes_and_the_document_is_shown_masked_and_not_to_be_changed(application, in_province):
    doctor = actors.signed_in_doctor(application, in_province, "hebei", 496)
    with in_province("hebei"):
        db.session.execute(
            update(Doctor)
            .where(Doctor.id == doctor.doctor_id)
            .values(ethnicity="汉", education="本科", title="主治医师")
        )
        db.session.commit()
    doctor.post("/filing/notice")
    first = doctor.get("/filing/1")
    assert '<option value="汉族" selected>' in first
    assert '<option value="本科" selected>' in first
    assert doctor.number not in first
    assert doctor.number[:6] + "********" in first
    assert not re.search(r'name="(name|number|mobile|level|category)"', first)
    second = doctor.get("/filing/2")
    assert 'value="2010-07-01"' in second
    assert '<option value="主治医师" selected>' in second
    doctor.save(1, actors.BASIC | {"name": "别人", "number": "1"})
    assert "别人" not in doctor.get("/filing/check")


def documents(in_province, doctor, kind):
    with in_province("hebei"):
        return db.session.scalars(
            select(Document.id).where(Document.doctor_id == doctor.doctor_id, Document.kind == kind)
        ).all()


def stored(in_province, kind, document):
    with in_province("hebei"):
        try:
            return bool(storage.current_store().get(kind, document))
        except NotFound:
            return False


def work_off(in_province, name):
    with in_province("hebei"):
        waiting = db.session.scalars(select(Job.id).where(Job.name == name, Job.state == "waiting")).all()
        db.session.rollback()
        for job_id in waiting:
            worker.run_turn(job_id)


def test_a_new_photo_takes_the_place_of_the_old_one(doctor, in_province):
    doctor.post("/filing/notice")
    doctor.post("/filing/photo", photo=(io.BytesIO(actors.portrait_image()), "a.jpg"))
    [first] = documents(in_province, doctor, "photo")
    doctor.post("/filing/photo", photo=(io.BytesIO(actors.portrait_image(colour="#888888")), "b.jpg"))
    [second] = documents(in_province, doctor, "photo")
    assert first != second
    assert stored(in_province, "photo", second)
    work_off(in_province, "forget_file")
    assert not stored(in_province, "photo", first)
    assert stored(in_province, "photo", second)


def test_a_file_whose_row_stands_is_never_forgotten(doctor, in_province):
    doctor.post("/filing/notice")
    doctor.post("/filing/photo", photo=(io.BytesIO(actors.portrait_image()), "a.jpg"))
    [photo] = documents(in_province, doctor, "photo")
    with in_province("hebei"):
        enqueueing.enqueue("forget_file", "试", {"kind": "photo", "document": str(photo)}, by=None)
        db.session.commit()
    work_off(in_province, "forget_file")
    assert stored(in_province, "photo", photo)


def test_proofs_are_handed_in_shown_and_taken_off(doctor, in_province):
    doctor.post("/filing/notice")
    doctor.save(1, actors.BASIC)
    assert doctor.post("/filing/proof", proof=(io.BytesIO(a_pdf()), "../证明\x00.pdf")).status_code == 303
    assert (
        doctor.post("/filing/proof", proof=(io.BytesIO(actors.portrait_image()), "获奖.jpg")).status_code
        == 303
    )
    page = doctor.get("/filing/proof")
    assert "证明.pdf" in page
    first, second = documents(in_province, doctor, "proof")
    answer = doctor.client.get(f"/hebei/filing/proof/{first}")
    assert answer.mimetype == "application/pdf"
    assert doctor.client.get(f"/hebei/filing/proof/{second}").mimetype == "image/jpeg"
    refused = doctor.post("/filing/proof", proof=(io.BytesIO(b"MZ\x90"), "a.exe"))
    assert refused.status_code == 422
    assert "获奖.jpg" in refused.get_data(as_text=True)
    doctor.post(f"/filing/proof/{first}/remove", page="/filing/proof")
    assert documents(in_province, doctor, "proof") == [second]
    work_off(in_province, "forget_file")
    assert not stored(in_province, "proof", first)


def test_files_are_for_their_own_doctor_alone(doctor, application, in_province):
    doctor.post("/filing/notice")
    doctor.post("/filing/proof", proof=(io.BytesIO(actors.portrait_image()), "a.jpg"))
    [proof] = documents(in_province, doctor, "proof")
    other_doctor = actors.signed_in_doctor(application, in_province, "hebei", 495)
    other_doctor.post("/filing/notice")
    other_doctor.save(1, actors.BASIC)
    assert other_doctor.client.get(f"/hebei/filing/proof/{proof}").status_code == 404
    other_doctor.post(f"/filing/proof/{proof}/remove", page="/filing/proof")
    assert documents(in_province, doctor, "proof") == [proof]


def test_going_to_the_proofs_keeps_what_was_typed(doctor):
    doctor.post("/filing/notice")
    answer = doctor.save(
        5, {"procedure": "simple", "report": "写了一半的述职报告"}, stay="/hebei/filing/proof"
    )
    assert answer.location.endswith("/filing/proof")
    assert "写了一半的述职报告" in doctor.get("/filing/5")
    assert "evil" not in doctor.save(5, {"procedure": "simple"}, stay="https://evil.example/").location


def test_the_store_being_down_is_said_on_the_page_itself(doctor, in_province, monkeypatch):
    doctor.post("/filing/notice")

    def down(*_args, **_more):
        raise Unavailable(storage.UNAVAILABLE_MESSAGE)

    monkeypatch.setattr(storage.ObjectStore, "put", down)
    for address, name, kind in (("/filing/photo", "photo", "photo"), ("/filing/proof", "proof", "proof")):
        answer = doctor.post(address, **{name: (io.BytesIO(actors.portrait_image()), "a.jpg")})
        assert answer.status_code == 503
        assert "文件存储暂时连接不上" in answer.get_data(as_text=True)
        assert 'type="file"' in answer.get_data(as_text=True)
        assert documents(in_province, doctor, kind) == []
