"""Requests: made by the doctor, decided by the other side, both ways, and the outcome seen."""

import io
import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.certificates import issuing
from dingkao.certificates.models import Certificate
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.filings.models import Filing
from dingkao.people.models import Account, Notice
from dingkao.requests.models import Request
from dingkao.tenants import settings
from tests import material
from tests.blueprints.signed_in import client_of, post
from tests.people import actor, bring_to, doctor, photo, serials, state_of

SLUG = "qinghai"
SERIALS = serials(SLUG)


@pytest.fixture(scope="module")
def staff(application, in_province):
    """A reviewer of the institution and another, one of the assessment organisation, an administrator."""
    doctor(application, in_province, SLUG, next(SERIALS))
    number = material.registration_number(63, 1)
    return {
        "institution": client_of(application, in_province, SLUG, "institution_reviewer", number),
        "clerk": client_of(application, in_province, SLUG, "institution_clerk", number),
        "organisation": client_of(application, in_province, SLUG, "organisation_reviewer", number),
        "province": client_of(application, in_province, SLUG, "province_admin"),
        "elsewhere": client_of(application, in_province, SLUG, "institution_reviewer", material.registration_number(63, 2)),
    }  # fmt: skip


@pytest.fixture
def ready(application, in_province):
    """A doctor with a complete filing in 待测评."""

    def make(state="ready", **cells):
        someone = doctor(application, in_province, SLUG, next(SERIALS), **cells)
        someone.file()
        someone.submit()
        with in_province(SLUG):
            record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id).with_for_update()).one()
            record.state, record.procedure = state, "general"
            record.performance = record.ethics = "pass"
            if state == "failed":
                record.competence = "fail"
            if state == "passed":
                record.competence = "pass"
            db.session.commit()
        return someone

    return make


def begun(someone, kind):
    """A new request of a kind; its id."""
    answer = someone.post(f"/requests/new/{kind}", page=f"/requests/new/{kind}")
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return answer.location.rsplit("/", 1)[1]


def upload(someone, request_id, **more):
    """A proof handed in with it."""
    page = f"/requests/{request_id}/files"
    return someone.post(page, file=(io.BytesIO(photo()), "证书.jpg"), **more)


def exemption(someone, reason="residency"):
    """A request for 免考 handed in."""
    request_id = begun(someone, "exemption")
    upload(someone, request_id)
    answer = someone.post(f"/requests/{request_id}/save", page=f"/requests/{request_id}", reason=reason, note="", submit="1")
    assert answer.status_code == 303
    return request_id


def decide(client, request_id, side, decision, **more):
    """Decide as a desk does."""
    address = f"/{SLUG}/office/requests/{request_id}"
    return post(client, f"{address}/decide", page=f"{address}?side={side}", side=side, decision=decision, **more)


def told(in_province, someone):
    """The messages of a doctor, the newest first."""
    with in_province(SLUG):
        account = db.session.scalars(select(Doctor.account_id).where(Doctor.id == someone.doctor_id)).one()
        return [(row.title, row.body) for row in db.session.scalars(select(Notice).where(Notice.account_id == account).order_by(Notice.id.desc()))]


def test_exemption_is_agreed_to_by_two_and_spares_the_test(ready, staff, in_province):
    someone = ready()
    request_id = exemption(someone)
    assert "待主要执业机构审核" in someone.get(f"/requests/{request_id}")
    assert decide(staff["organisation"], request_id, "organisation", "agree").status_code == 409
    assert decide(staff["institution"], request_id, "institution", "agree", opinion="证书属实").status_code == 303
    assert "待所属考核机构复审" in someone.get(f"/requests/{request_id}")
    assert state_of(in_province, SLUG, someone.record_id) == "ready"
    assert decide(staff["organisation"], request_id, "organisation", "agree").status_code == 303
    assert state_of(in_province, SLUG, someone.record_id) == "grading"
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id)).one()
        assert (record.competence, record.exempted) == ("pass", True)
    page = someone.get(f"/requests/{request_id}")
    assert "已通过" in page
    assert "证书属实" in page
    assert told(in_province, someone)[0][0] == "免考申请已通过"


def test_exemption_refused_says_why_and_may_be_asked_for_once_more(ready, staff, in_province):
    someone = ready()
    request_id = exemption(someone)
    assert decide(staff["institution"], request_id, "institution", "refuse").status_code == 422
    assert decide(staff["institution"], request_id, "institution", "refuse", opinion="证书日期不在本周期").status_code == 303
    assert "证书日期不在本周期" in someone.get(f"/requests/{request_id}")
    assert "证书日期不在本周期" in told(in_province, someone)[0][1]
    again = exemption(someone)
    decide(staff["institution"], again, "institution", "agree")
    assert decide(staff["organisation"], again, "organisation", "refuse", opinion="材料不清").status_code == 303
    assert "不能再次申请" in someone.get("/requests/new/exemption")
    assert someone.post("/requests/new/exemption", page="/home").status_code == 409
    assert state_of(in_province, SLUG, someone.record_id) == "ready"


def test_exemption_needs_a_reason_that_holds_and_a_proof(ready):
    someone = ready()
    shown = someone.get("/requests/new/exemption")
    assert "未满60岁" in shown
    assert "住院医师规范化培训" in shown
    assert "执业助理医师取得" not in shown
    request_id = begun(someone, "exemption")
    page = f"/requests/{request_id}"
    for reason, sentence in (("", "请选择免考申请理由"), ("retired", "请从列表中选择理由"), ("nonsense", "请从列表中选择理由"), ("residency", "请上传证明材料")):
        answer = someone.post(f"{page}/save", page=page, reason=reason, submit="1")
        assert answer.status_code in (200, 422), reason
        assert sentence in answer.get_data(as_text=True)
    assert "尚未提交" in someone.get(page)


def test_simple_procedure_asks_for_no_exemption_and_nobody_before_review(application, in_province, ready):
    someone = doctor(application, in_province, SLUG, next(SERIALS))
    assert "进入待测评状态后开放" in someone.get("/requests/new/exemption")
    bring_to(in_province, someone, "ready", procedure="simple")
    assert "只适用于一般程序" in someone.get("/requests/new/exemption")
    assert someone.post("/requests/new/exemption", page="/filing/notice").status_code == 409


@pytest.mark.parametrize(("decision", "state", "title"), [("agree", "deferred", "延考申请已通过"), ("refuse", "ready", "延考申请未通过")])
def test_deferral(ready, staff, in_province, decision, state, title):
    someone = ready()
    request_id = begun(someone, "deferral")
    upload(someone, request_id)
    someone.post(f"/requests/{request_id}/save", page=f"/requests/{request_id}", reason="患病或住院治疗", submit="1")
    decide(staff["institution"], request_id, "institution", "agree")
    assert decide(staff["organisation"], request_id, "organisation", decision, opinion="知悉").status_code == 303
    assert state_of(in_province, SLUG, someone.record_id) == state
    assert told(in_province, someone)[0][0] == title
    if state == "deferred":
        assert "延考申请已通过并备案" in someone.get("/home")


def test_a_change_shows_old_and_new_and_is_made_when_both_agreed(ready, staff, in_province):
    someone = ready()
    request_id = begun(someone, "change")
    shown = someone.get(f"/requests/{request_id}/step/1")
    assert "山西医科大学" in shown
    basic = {"ethnicity": "汉族", "education": "本科", "degree": "学士", "graduated": "2003-07", "working_since": "2003-08"}
    assert someone.post(f"/requests/{request_id}/step/1", school="", **basic).status_code == 422
    someone.post(f"/requests/{request_id}/step/1", school="青海大学", **basic)
    someone.post(f"/requests/{request_id}/list/education/new", name="进修学院", education="本科", since="2004-01", until="2005-01")
    page = someone.get(f"/requests/{request_id}")
    assert "山西医科大学" in page
    assert "青海大学" in page
    assert "进修学院" in page
    someone.post(f"/requests/{request_id}/save", page=f"/requests/{request_id}", submit="1")
    decide(staff["institution"], request_id, "institution", "agree")
    seen = staff["organisation"].get(f"/{SLUG}/office/requests/{request_id}?side=organisation").get_data(as_text=True)
    assert "山西医科大学" in seen
    assert "青海大学" in seen
    with in_province(SLUG):
        assert filing(someone).basic["school"] == "山西医科大学"
    decide(staff["organisation"], request_id, "organisation", "agree")
    with in_province(SLUG):
        assert filing(someone).basic["school"] == "青海大学"
        assert [one["name"] for one in filing(someone).experience["education"]] == ["山西医科大学", "进修学院"]
    assert state_of(in_province, SLUG, someone.record_id) == "ready"


def test_a_change_refused_changes_nothing_and_one_overtaken_is_refused(ready, staff, in_province):
    someone = ready("organisation_pending")
    request_id = begun(someone, "change")
    basic = {"ethnicity": "汉族", "education": "本科", "degree": "学士", "graduated": "2003-07", "working_since": "2003-08"}
    someone.post(f"/requests/{request_id}/step/1", school="青海大学", **basic)
    someone.post(f"/requests/{request_id}/save", page=f"/requests/{request_id}", submit="1")
    with in_province(SLUG):
        row = filing(someone)
        row.basic = row.basic | {"school": "别的学校"}
        db.session.commit()
    answer = decide(staff["organisation"], request_id, "organisation", "agree")
    assert answer.status_code == 409
    assert "已被修改" in answer.get_data(as_text=True)
    assert decide(staff["organisation"], request_id, "organisation", "refuse", opinion="已更新").status_code == 303
    with in_province(SLUG):
        assert filing(someone).basic["school"] == "别的学校"


def filing(someone):
    """What was filed."""
    return db.session.scalars(select(Filing).where(Filing.doctor_id == someone.doctor_id)).one()


def test_a_correction_of_the_number_by_two_persons_and_a_new_certificate(ready, staff, in_province, owner_connection):
    someone = ready("passed")
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id).with_for_update()).one()
        first = issuing.issue(record).serial
        db.session.commit()
    request_id = begun(someone, "correction")
    number = material.resident_number(next(SERIALS), area="630105")
    assert "校验位" in someone.post(f"/requests/{request_id}/correction", number=material.wrong_check_digit(number)).get_data(as_text=True)
    assert someone.post(f"/requests/{request_id}/correction", name="钱改名", number=number).status_code == 303
    upload(someone, request_id)
    someone.post(f"/requests/{request_id}/save", page=f"/requests/{request_id}", submit="1")
    kept = owner_connection.execute("select content_sealed from request where id = %s", (request_id,)).fetchone()[0]
    assert number.encode() not in bytes(kept)
    assert "钱改名".encode() not in bytes(kept)
    assert decide(staff["institution"], request_id, "institution", "agree").status_code == 303
    assert decide(staff["institution"], request_id, "institution", "agree").status_code == 403
    assert decide(staff["clerk"], request_id, "institution", "agree").status_code == 303
    with in_province(SLUG):
        row = db.session.scalars(select(Doctor).where(Doctor.id == someone.doctor_id)).one()
        assert (row.name, row.number_masked[-4:]) == ("钱改名", number[-4:])
        assert db.session.scalars(select(Account.name).where(Account.id == row.account_id)).one() == "钱改名"
        found = dict(db.session.execute(select(Certificate.serial, Certificate.state).where(Certificate.assessment_id == someone.record_id)).all())
        assert found.pop(first) == "replaced"
        assert list(found.values()) == ["issued"]
    assert "新的证件号码登录" in told(in_province, someone)[0][1]


def test_a_correction_of_the_category_wants_its_scope_and_may_be_refused_by_the_province(ready, staff, in_province):
    someone = ready()
    request_id = begun(someone, "correction")
    someone.post(f"/requests/{request_id}/correction", category="dental")
    upload(someone, request_id)
    page = f"/requests/{request_id}"
    assert "请同时填写该类别的执业范围" in someone.post(f"{page}/save", page=page, submit="1").get_data(as_text=True)
    someone.post(f"/requests/{request_id}/correction", category="dental", scope="31")
    assert someone.post(f"{page}/save", page=page, submit="1").status_code == 303
    decide(staff["institution"], request_id, "institution", "agree")
    assert decide(staff["province"], request_id, "province", "refuse", opinion="与注册信息不符").status_code == 303
    assert "与注册信息不符" in someone.get(page)
    with in_province(SLUG):
        assert db.session.scalars(select(Doctor.category).where(Doctor.id == someone.doctor_id)).one() == "clinical"


def appeal(someone):
    """An appeal handed in."""
    request_id = begun(someone, "appeal")
    page = f"/requests/{request_id}"
    assert "不少于10字" in someone.post(f"{page}/save", page=page, note="不服", submit="1").get_data(as_text=True)
    assert someone.post(f"{page}/save", page=page, note="第二题的答案有争议,申请重新核对评分。", submit="1").status_code == 303
    return request_id


def test_an_appeal_overturns_the_result_and_issues_a_certificate(ready, staff, in_province):
    someone = ready("failed")
    request_id = appeal(someone)
    assert decide(staff["organisation"], request_id, "organisation", "agree", opinion="评分有误").status_code == 422
    assert decide(staff["organisation"], request_id, "organisation", "agree", competence="pass", opinion="评分有误").status_code == 303
    assert state_of(in_province, SLUG, someone.record_id) == "failed"
    assert decide(staff["province"], request_id, "province", "agree").status_code == 303
    assert state_of(in_province, SLUG, someone.record_id) == "passed"
    assert "评分有误" in someone.get(f"/requests/{request_id}")
    assert "考核结果:合格" in someone.get("/result")


def test_an_appeal_answered_with_the_result_as_it_was(ready, staff, in_province):
    someone = ready("failed")
    request_id = appeal(someone)
    assert decide(staff["organisation"], request_id, "organisation", "refuse", opinion="经核对,评分无误").status_code == 303
    page = someone.get(f"/requests/{request_id}")
    assert "维持原结果" in page
    assert "经核对,评分无误" in page
    assert "已有答复" in someone.get("/requests/new/appeal")
    assert state_of(in_province, SLUG, someone.record_id) == "failed"


def test_an_appeal_has_its_thirty_days_from_receipt(ready, in_province):
    someone = ready("failed")
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id)).one()
        record.changed_at = clock.now() - timedelta(days=settings.value("appeal_days") + 1)
        db.session.commit()
    assert "期限为收到结果之日起30日" in someone.get("/requests/new/appeal")
    with in_province(SLUG):
        account = db.session.scalars(select(Doctor.account_id).where(Doctor.id == someone.doctor_id)).one()
        db.session.add(Notice(account_id=account, title="考核结果已发布", body="…", written_at=clock.now() - timedelta(days=30), read_at=clock.now() - timedelta(days=2)))
        db.session.commit()
    assert "开始填写" in someone.get("/requests/new/appeal")


def test_who_graded_does_not_decide_the_appeal(ready, application, in_province):
    someone = ready("failed")
    number = material.registration_number(63, 1)
    client = client_of(application, in_province, SLUG, "organisation_reviewer", number)
    with in_province(SLUG):
        me = db.session.scalars(select(Account).order_by(Account.id.desc()).limit(1)).one()
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id)).one()
        record.accepted_by = me.id
        db.session.commit()
    request_id = appeal(someone)
    assert decide(client, request_id, "organisation", "refuse", opinion="维持").status_code == 403


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
        db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id)).one().state = "testing"
        db.session.commit()
    answer = decide(staff["organisation"], request_id, "organisation", "agree")
    assert answer.status_code == 409
    assert "已不在待测评" in answer.get_data(as_text=True)
    assert state_of(in_province, SLUG, someone.record_id) == "testing"


def test_another_institution_and_another_doctor_see_nothing(ready, staff):
    someone, other = ready(), ready()
    request_id = exemption(someone)
    assert staff["elsewhere"].get(f"/{SLUG}/office/requests/{request_id}").status_code == 404
    assert other.client.get(f"/{SLUG}/requests/{request_id}").status_code == 404
    page = someone.get(f"/requests/{request_id}")
    file = re.search(rf"/requests/{request_id}/files/([0-9a-f-]+)", page)[1]
    assert someone.client.get(f"/{SLUG}/requests/{request_id}/files/{file}").mimetype == "image/jpeg"
    assert staff["institution"].get(f"/{SLUG}/office/requests/{request_id}/files/{file}?side=institution").mimetype == "image/jpeg"
    assert other.client.get(f"/{SLUG}/requests/{request_id}/files/{file}").status_code == 404
    assert staff["elsewhere"].get(f"/{SLUG}/office/requests/{request_id}/files/{file}").status_code == 404


def test_what_waits_is_counted_and_listed(ready, staff):
    someone = ready()
    exemption(someone)
    assert "医师申请等待您办理(主要执业机构)" in staff["institution"].get(f"/{SLUG}/office").get_data(as_text=True)
    assert "免考" in staff["institution"].get(f"/{SLUG}/office/requests").get_data(as_text=True)


def test_an_actor_of_no_role_moves_nothing(ready, in_province):
    someone = ready()
    request_id = exemption(someone)
    from dingkao.errors import Forbidden
    from dingkao.requests import moves

    with in_province(SLUG):
        row = db.session.scalars(select(Request).where(Request.id == request_id)).one()
        with pytest.raises(Forbidden):
            moves.grant(row, by=actor("auditor"), opinion="")
