"""Requests: made by the doctor, decided by the other side, both ways, and the outcome seen."""

import io
import re
from datetime import timedelta
from uuid import UUID

import pytest
from PIL import Image
from python_calamine import CalamineWorkbook
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.certificates import issuing
from dingkao.certificates.models import Certificate
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.filings import amendments
from dingkao.filings.models import Filing
from dingkao.people.models import Account, Notice
from dingkao.requests import drafting, request_files
from dingkao.requests.models import Request
from tests import sample_data
from tests.actors import (
    advance_to,
    make_actor,
    portrait_image,
    record_state,
    run_pending_jobs,
    signed_in_doctor,
    unused_serials,
)
from tests.blueprints import request_steps
from tests.blueprints.list_export_steps import ask_for_file, export_address
from tests.blueprints.request_steps import begun, decide, doctor_in, exemption, hand_in, upload
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "qinghai", 63
SERIALS = unused_serials(SLUG)


@pytest.fixture(scope="module")
def staff(application, in_province):
    """Clients of those who decide, by name."""
    return request_steps.deciders(application, in_province, SLUG)


@pytest.fixture
def ready(application, in_province):
    """A doctor with a complete filing, in 待测评 or another state."""
    return lambda state="ready", **cells: doctor_in(application, in_province, SLUG, state, **cells)


def told(in_province, someone):
    """The messages of a doctor, the newest first."""
    with in_province(SLUG):
        account = db.session.scalars(select(Doctor.account_id).where(Doctor.id == someone.doctor_id)).one()
        return [
            (notice.title, notice.body)
            for notice in db.session.scalars(
                select(Notice).where(Notice.account_id == account).order_by(Notice.id.desc())
            )
        ]


def test_exemption_is_agreed_to_by_two_and_spares_the_test(ready, staff, in_province):
    someone = ready()
    request_id = exemption(someone)
    assert "待主要执业机构审核" in someone.get(f"/requests/{request_id}")
    assert decide(staff["organisation"], request_id, "organisation", "agree").status_code == 409
    assert (
        decide(staff["institution"], request_id, "institution", "agree", opinion="证书属实").status_code
        == 303
    )
    assert "待所属考核机构复审" in someone.get(f"/requests/{request_id}")
    assert record_state(in_province, SLUG, someone.record_id) == "ready"
    assert decide(staff["organisation"], request_id, "organisation", "agree").status_code == 303
    assert record_state(in_province, SLUG, someone.record_id) == "grading"
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id)).one()
        assert (record.competence, record.exempted) == ("pass", True)
    page = someone.get(f"/requests/{request_id}")
    assert "已通过" in page
    assert "证书属实" in page
    assert told(in_province, someone)[0][0] == "免考申请已通过"


def test_nothing_waits_for_a_clerk_who_decides_nothing(application, ready, staff, in_province):
    exemption(ready())
    number = sample_data.registration_number(63, 1)
    clerk = signed_in_client(application, in_province, SLUG, "organisation_clerk", number)
    assert "没有等待您办理的申请" in clerk.get(f"/{SLUG}/office/requests").get_data(as_text=True)
    assert "医师申请等待您办理" not in clerk.get(f"/{SLUG}/office").get_data(as_text=True)


def test_exemption_refused_says_why_and_may_be_asked_for_once_more(ready, staff, in_province):
    someone = ready()
    request_id = exemption(someone)
    assert decide(staff["institution"], request_id, "institution", "refuse").status_code == 422
    assert (
        decide(
            staff["institution"], request_id, "institution", "refuse", opinion="证书日期不在本周期"
        ).status_code
        == 303
    )
    assert "证书日期不在本周期" in someone.get(f"/requests/{request_id}")
    assert "证书日期不在本周期" in told(in_province, someone)[0][1]
    second_request = exemption(someone)
    decide(staff["institution"], second_request, "institution", "agree")
    assert (
        decide(
            staff["organisation"], second_request, "organisation", "refuse", opinion="材料不清"
        ).status_code
        == 303
    )
    assert "不能再次申请" in someone.get("/requests/new/exemption")
    assert someone.post("/requests/new/exemption", page="/home").status_code == 409
    assert record_state(in_province, SLUG, someone.record_id) == "ready"


def test_exemption_needs_a_reason_that_holds_and_a_proof(ready):
    someone = ready()
    response = someone.get("/requests/new/exemption")
    assert "未满60岁" in response
    assert "住院医师规范化培训" in response
    assert "执业助理医师取得" not in response
    request_id = begun(someone, "exemption")
    page = f"/requests/{request_id}"
    for reason, sentence in (
        ("", "请选择免考申请理由"),
        ("retired", "请从列表中选择理由"),
        ("nonsense", "请从列表中选择理由"),
        ("residency", "请上传证明材料"),
    ):
        answer = someone.post(f"{page}/save", page=page, reason=reason, submit="1")
        assert answer.status_code in (200, 422), reason
        assert sentence in answer.get_data(as_text=True)
    assert "尚未提交" in someone.get(page)


def test_of_several_files_with_a_wrong_one_none_is_kept_or_shown(ready):
    someone = ready()
    page = f"/requests/{begun(someone, 'exemption')}/files"
    sent = [(io.BytesIO(portrait_image()), "培训合格证.jpg"), (io.BytesIO(b"nothing"), "说明.jpg")]
    answer = someone.post(page, file=sent)
    assert answer.status_code == 422
    assert "培训合格证" not in answer.get_data(as_text=True)
    assert "培训合格证" not in someone.get(page)


def test_another_photo_takes_the_place_of_the_first_where_no_further_file_is_accepted(ready, monkeypatch):
    monkeypatch.setattr(request_files, "MAX_FILES", 1)
    someone = ready()
    page = f"/requests/{begun(someone, 'change')}/files"
    for colour in ("#c9d6e8", "#b0d8c0"):
        answer = someone.post(page, file=(io.BytesIO(portrait_image(colour=colour)), "照片.jpg"), photo="1")
        assert answer.status_code == 303, answer.get_data(as_text=True)
    assert len(set(re.findall(rf"{page}/([0-9a-f-]{{36}})", someone.get(page)))) == 1


def test_simple_procedure_asks_for_no_exemption_and_nobody_before_review(application, in_province, ready):
    someone = signed_in_doctor(application, in_province, SLUG, next(SERIALS))
    assert "进入待测评状态后开放" in someone.get("/requests/new/exemption")
    advance_to(in_province, someone, "ready", procedure="simple")
    assert "只适用于一般程序" in someone.get("/requests/new/exemption")
    assert someone.post("/requests/new/exemption", page="/filing/notice").status_code == 409


@pytest.mark.parametrize(
    ("decision", "state", "title"),
    [("agree", "deferred", "延考申请已通过"), ("refuse", "ready", "延考申请未通过")],
)
def test_deferral(ready, staff, in_province, decision, state, title):
    someone = ready()
    request_id = begun(someone, "deferral")
    upload(someone, request_id)
    someone.post(
        f"/requests/{request_id}/save", page=f"/requests/{request_id}", reason="患病或住院治疗", submit="1"
    )
    decide(staff["institution"], request_id, "institution", "agree")
    assert (
        decide(staff["organisation"], request_id, "organisation", decision, opinion="知悉").status_code == 303
    )
    assert record_state(in_province, SLUG, someone.record_id) == state
    assert told(in_province, someone)[0][0] == title
    if state == "deferred":
        assert "延考申请已通过并备案" in someone.get("/home")


def test_a_change_shows_old_and_new_and_is_made_when_both_agreed(ready, staff, in_province, monkeypatch):
    someone = ready()
    request_id = begun(someone, "change")
    response = someone.get(f"/requests/{request_id}/step/1")
    assert "山西医科大学" in response
    basic = {
        "ethnicity": "汉族",
        "education": "本科",
        "degree": "学士",
        "graduated": "2003-07",
        "working_since": "2003-08",
    }
    assert someone.post(f"/requests/{request_id}/step/1", school="", **basic).status_code == 422
    someone.post(f"/requests/{request_id}/step/1", school="青海大学", **basic)
    school = {"name": "进修学院", "education": "本科", "since": "2004-01", "until": "2005-01"}
    with monkeypatch.context() as patch:
        patch.setattr(drafting, "MAX_ENTRIES", 1)
        full = someone.post(f"/requests/{request_id}/list/education/new", **school)
        assert (full.status_code, "请合并后再添加" in full.get_data(as_text=True)) == (422, True)
    someone.post(f"/requests/{request_id}/list/education/new", **school)
    of_an_earlier_cycle = {"name": "旧表彰", "when": "2001-05"}
    address = f"/requests/{request_id}/list/good_records/new"
    assert someone.post(address, **of_an_earlier_cycle).status_code == 422
    page = someone.get(f"/requests/{request_id}")
    assert "山西医科大学" in page
    assert "青海大学" in page
    assert "进修学院" in page
    someone.post(f"/requests/{request_id}/save", page=f"/requests/{request_id}", submit="1")
    decide(staff["institution"], request_id, "institution", "agree")
    text = (
        staff["organisation"]
        .get(f"/{SLUG}/office/requests/{request_id}?side=organisation")
        .get_data(as_text=True)
    )
    assert "山西医科大学" in text
    assert "青海大学" in text
    with in_province(SLUG):
        assert filing(someone).basic["school"] == "山西医科大学"
    with monkeypatch.context() as patch:
        patch.setattr(amendments, "MAX_ENTRIES", 1)
        assert decide(staff["organisation"], request_id, "organisation", "agree").status_code == 409
    decide(staff["organisation"], request_id, "organisation", "agree")
    with in_province(SLUG):
        assert filing(someone).basic["school"] == "青海大学"
        assert [school["name"] for school in filing(someone).experience["education"]] == [
            "山西医科大学",
            "进修学院",
        ]
    assert record_state(in_province, SLUG, someone.record_id) == "ready"


def test_a_change_refused_changes_nothing_and_one_overtaken_is_refused(ready, staff, in_province):
    someone = ready("organisation_pending")
    request_id = begun(someone, "change")
    basic = {
        "ethnicity": "汉族",
        "education": "本科",
        "degree": "学士",
        "graduated": "2003-07",
        "working_since": "2003-08",
    }
    someone.post(f"/requests/{request_id}/step/1", school="青海大学", **basic)
    someone.post(f"/requests/{request_id}/save", page=f"/requests/{request_id}", submit="1")
    with in_province(SLUG):
        current_filing = filing(someone)
        current_filing.basic = current_filing.basic | {"school": "别的学校"}
        db.session.commit()
    answer = decide(staff["organisation"], request_id, "organisation", "agree")
    assert answer.status_code == 409
    assert "已被修改" in answer.get_data(as_text=True)
    assert (
        decide(staff["organisation"], request_id, "organisation", "refuse", opinion="已更新").status_code
        == 303
    )
    with in_province(SLUG):
        assert filing(someone).basic["school"] == "别的学校"


def filing(someone):
    """What was filed."""
    return db.session.scalars(select(Filing).where(Filing.doctor_id == someone.doctor_id)).one()


def test_a_correction_of_the_number_by_two_persons_and_a_new_certificate(
    ready, staff, in_province, owner_connection
):
    someone = ready("passed")
    with in_province(SLUG):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == someone.record_id).with_for_update()
        ).one()
        first = issuing.issue(record).serial
        db.session.commit()
    request_id = begun(someone, "correction")
    number = sample_data.resident_number(next(SERIALS), area="630105")
    assert "校验位" in someone.post(
        f"/requests/{request_id}/correction", number=sample_data.wrong_check_digit(number)
    ).get_data(as_text=True)
    assert someone.post(f"/requests/{request_id}/correction", name="钱改名", number=number).status_code == 303
    upload(someone, request_id)
    someone.post(f"/requests/{request_id}/save", page=f"/requests/{request_id}", submit="1")
    sealed_content = owner_connection.execute(
        "select content_sealed from request where id = %s", (request_id,)
    ).fetchone()[0]
    assert number.encode() not in bytes(sealed_content)
    assert "钱改名".encode() not in bytes(sealed_content)
    assert decide(staff["institution"], request_id, "institution", "agree").status_code == 303
    assert decide(staff["institution"], request_id, "institution", "agree").status_code == 403
    assert decide(staff["clerk"], request_id, "institution", "agree").status_code == 303
    with in_province(SLUG):
        doctor = db.session.scalars(select(Doctor).where(Doctor.id == someone.doctor_id)).one()
        assert (doctor.name, doctor.number_masked[-4:]) == ("钱改名", number[-4:])
        assert (
            db.session.scalars(select(Account.name).where(Account.id == doctor.account_id)).one() == "钱改名"
        )
        state_by_serial = dict(
            db.session.execute(
                select(Certificate.serial, Certificate.state).where(
                    Certificate.assessment_id == someone.record_id
                )
            ).all()
        )
        assert state_by_serial.pop(first) == "replaced"
        assert list(state_by_serial.values()) == ["issued"]
    assert "新的证件号码登录" in told(in_province, someone)[0][1]


def test_a_corrected_name_that_cannot_be_printed_is_told_to_doctor_and_reviewer(ready, staff):
    someone = ready()
    request_id = begun(someone, "correction")
    someone.post(f"/requests/{request_id}/correction", name="钱\ue001")
    assert "“\ue001”暂时无法打印" in someone.get(f"/requests/{request_id}")
    upload(someone, request_id)
    someone.post(f"/requests/{request_id}/save", page=f"/requests/{request_id}", note="录错", submit="1")
    text = staff["institution"].get(f"/{SLUG}/office/requests/{request_id}").get_data(as_text=True)
    assert "“\ue001”无法打印在结果通知书上" in text


def test_a_correction_of_the_category_wants_its_scope_and_may_be_refused_by_the_province(
    ready, staff, in_province
):
    someone = ready()
    request_id = begun(someone, "correction")
    someone.post(f"/requests/{request_id}/correction", category="dental")
    upload(someone, request_id)
    page = f"/requests/{request_id}"
    assert "请同时填写该类别的执业范围" in someone.post(f"{page}/save", page=page, submit="1").get_data(
        as_text=True
    )
    someone.post(f"/requests/{request_id}/correction", category="dental", scope="31")
    assert someone.post(f"{page}/save", page=page, submit="1").status_code == 303
    decide(staff["institution"], request_id, "institution", "agree")
    assert (
        decide(staff["province"], request_id, "province", "refuse", opinion="与注册信息不符").status_code
        == 303
    )
    assert "与注册信息不符" in someone.get(page)
    with in_province(SLUG):
        assert (
            db.session.scalars(select(Doctor.category).where(Doctor.id == someone.doctor_id)).one()
            == "clinical"
        )


def test_what_was_handed_in_is_taken_back_and_nothing_is_decided_then(ready, staff, in_province):
    someone = ready()
    request_id = exemption(someone)
    assert someone.post(f"/requests/{request_id}/withdraw", page=f"/requests/{request_id}").status_code == 303
    assert decide(staff["institution"], request_id, "institution", "agree").status_code == 409
    with in_province(SLUG):
        assert db.session.scalars(select(Request.state).where(Request.id == request_id)).one() == "withdrawn"


def test_whoever_has_begun_the_test_is_not_exempted(ready, staff, in_province):
    someone = ready()
    request_id = exemption(someone)
    decide(staff["institution"], request_id, "institution", "agree")
    with in_province(SLUG):
        db.session.scalars(
            select(Assessment).where(Assessment.id == someone.record_id)
        ).one().state = "testing"
        db.session.commit()
    answer = decide(staff["organisation"], request_id, "organisation", "agree")
    assert answer.status_code == 409
    assert "已不在待测评" in answer.get_data(as_text=True)
    assert record_state(in_province, SLUG, someone.record_id) == "testing"


def test_another_institution_and_another_doctor_see_nothing(ready, staff):
    someone, other_doctor = ready(), ready()
    request_id = exemption(someone)
    assert staff["elsewhere"].get(f"/{SLUG}/office/requests/{request_id}").status_code == 404
    assert other_doctor.client.get(f"/{SLUG}/requests/{request_id}").status_code == 404
    page = someone.get(f"/requests/{request_id}")
    file = re.search(rf"/requests/{request_id}/files/([0-9a-f-]+)", page)[1]
    assert someone.client.get(f"/{SLUG}/requests/{request_id}/files/{file}").mimetype == "image/jpeg"
    assert (
        staff["institution"]
        .get(f"/{SLUG}/office/requests/{request_id}/files/{file}?side=institution")
        .mimetype
        == "image/jpeg"
    )
    assert other_doctor.client.get(f"/{SLUG}/requests/{request_id}/files/{file}").status_code == 404
    assert staff["elsewhere"].get(f"/{SLUG}/office/requests/{request_id}/files/{file}").status_code == 404


def test_the_proofs_of_a_request_stand_beside_it_page_by_page(ready, staff):
    someone, content = ready(), io.BytesIO()
    request_id = begun(someone, "deferral")
    pages = [Image.new("RGB", (120, 160), colour) for colour in ("white", "grey")]
    pages[0].save(content, "PDF", save_all=True, append_images=pages[1:])
    someone.post(f"/requests/{request_id}/files", file=(io.BytesIO(content.getvalue()), "诊断证明.pdf"))
    upload(someone, request_id)
    hand_in(someone, request_id, reason="患病或住院治疗")
    address = f"/{SLUG}/office/requests/{request_id}"
    page = staff["organisation"].get(f"{address}?side=organisation").get_data(as_text=True)
    shown = re.findall(r'href="([^"]+)"\s+target="_blank"\s+rel="noopener"\s+data-document="[^"]+"', page)
    assert [link.partition("?")[0].rpartition("/")[0] for link in shown] == [f"{address}/files"] * 2
    picture = shown[0].replace("?", "/page-2.jpg?")
    answer = staff["organisation"].get(picture)
    assert (answer.mimetype, answer.headers["X-Page-Count"]) == ("image/jpeg", "2")
    beyond = [shown[0].replace("?", "/page-3.jpg?"), shown[1].replace("?", "/page-1.jpg?")]
    assert [staff["organisation"].get(link).status_code for link in beyond] == [404, 404]
    stranger = staff["elsewhere"].get(picture.replace("side=organisation", "side=institution"))
    assert stranger.status_code == 404


def test_what_waits_is_counted_and_listed(ready, staff):
    someone = ready()
    exemption(someone)
    assert "医师申请等待您办理（主要执业机构）" in staff["institution"].get(f"/{SLUG}/office").get_data(
        as_text=True
    )
    assert "免考" in staff["institution"].get(f"/{SLUG}/office/requests").get_data(as_text=True)


def test_requests_are_filtered_by_kind_term_and_desk(ready, staff, in_province):
    request_id, address = exemption(ready()), f"/{SLUG}/office/requests"

    def is_listed(query, desk="institution"):
        page = staff[desk].get(f"{address}?side={desk}&{query}").get_data(as_text=True)
        return f"/office/requests/{request_id}?" in page

    for query in ("kind=exemption", "desk=all", "state=first_pending", "desk=all&sort=submitted&dir=desc"):
        assert is_listed(query), query
    for query in ("kind=change", "desk=others", "desk=finished", "state=granted", "waiting=3", "due=3"):
        assert not is_listed(query), query
    assert is_listed("desk=others", "organisation"), "the first side has it"
    with in_province(SLUG):
        doctor_request = db.session.scalars(select(Request).where(Request.id == UUID(str(request_id)))).one()
        doctor_request.submitted_at = clock.now() - timedelta(days=10)
        db.session.commit()
    for query in ("waiting=7", "due=3"):
        assert is_listed(query), query
    assert not is_listed("due=-1")
    assert "剩2天" in staff["institution"].get(address).get_data(as_text=True)
    assert "list=institution_requests" in export_address(staff["institution"], address)


def test_requests_with_full_numbers_take_a_second_person(application, ready, staff, in_province):
    someone, address = ready(), f"/{SLUG}/office/requests?side=institution"
    exemption(someone)
    assert ask_for_file(staff["clerk"], address, is_unmasked="y").status_code == 422
    place = ask_for_file(staff["institution"], address, is_unmasked="y").location
    post_form(staff["province"], f"{place}/approve", page=place)
    waiting = staff["institution"].get(place).get_data(as_text=True)
    job_page = re.search(rf'href="(/{SLUG}/office/work/[0-9a-f-]+)"', waiting)[1]
    run_pending_jobs(application, in_province, SLUG)
    file = staff["institution"].get(f"{job_page}/sheet.xlsx")
    rows = CalamineWorkbook.from_filelike(io.BytesIO(file.data)).get_sheet_by_index(0).to_python()
    assert someone.number in {row[1] for row in rows}


def test_an_actor_of_no_role_moves_nothing(ready, in_province):
    someone = ready()
    request_id = exemption(someone)
    from dingkao.errors import Forbidden
    from dingkao.requests import request_transitions

    with in_province(SLUG):
        request = db.session.scalars(select(Request).where(Request.id == request_id)).one()
        with pytest.raises(Forbidden):
            request_transitions.grant(request, by=make_actor("auditor"), opinion="")
