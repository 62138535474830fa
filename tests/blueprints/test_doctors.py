"""One doctor: added by a form under the rules of the roster, looked at with masked numbers, helped into the account."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.doctors.adding import add_doctor
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import import_roster
from dingkao.errors import Invalid
from dingkao.journal.models import JournalEntry
from dingkao.journal.writing import TERMINAL
from dingkao.people import organisations
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account, Organisation
from dingkao.people.opening import open_province
from dingkao.tenants.registry import by_slug
from dingkao.tenants.secrets import vault
from tests import material, people
from tests.blueprints.signed_in import client_of, post

SLUG, CODE = "gansu", 62
NEW = f"/{SLUG}/office/doctors/new"


def typed(serial, *, at=1, **changed):
    sex = "男" if serial % 2 else "女"
    return {
        "name": "王 新", "document_type": "居民身份证", "number": material.resident_number(serial, sex=sex, area="620107"), "sex": "",
        "registration_number": material.registration_number(CODE, at), "level": "执业医师", "category": "临床", "scope": "内科", "mobile": f"139{serial:08d}",
        "department": "内科",
    } | changed  # fmt: skip


def found(number):
    return db.session.scalar(select(Doctor).where(Doctor.number_index == vault().blind_index("number", number)))


@pytest.fixture(scope="module")
def gansu(application, provinces, in_province):
    """甘肃, with its institutions and a cycle."""
    with in_province(SLUG):
        open_province(by_slug(SLUG), by=TERMINAL)
        organisations.import_institutions(material.institutions(CODE), by=TERMINAL)
        people.running_cycle()
        db.session.commit()


@pytest.fixture
def clerk(application, gansu, in_province):
    return client_of(application, in_province, SLUG, "institution_clerk", material.registration_number(CODE, 1))


@pytest.fixture
def admin(application, gansu, in_province):
    return client_of(application, in_province, SLUG, "province_admin")


def test_one_doctor_comes_in_with_account_and_record(clerk, in_province):
    given = typed(1, number=" " + typed(1)["number"][:6] + " " + typed(1)["number"][6:].lower())
    answer = post(clerk, NEW, **given)
    assert answer.status_code == 303
    page = clerk.get(answer.location).get_data(as_text=True)
    assert "已添加王新" in page
    assert "620107********" in page
    assert typed(1)["number"] not in page
    assert "未纳入" in page
    with in_province(SLUG):
        row = found(typed(1)["number"])
        assert (row.name, row.sex, row.scope, row.department) == ("王新", "male", "11", "内科")
        account = db.session.scalars(select(Account).where(Account.id == row.account_id)).one()
        assert (account.state, account.login_index) == ("initial", doctor_login_index(typed(1)["number"]))
        assert db.session.scalars(select(Assessment.state).where(Assessment.doctor_id == row.id)).all() == ["not_included"]
        entry = db.session.scalars(select(JournalEntry).where(JournalEntry.subject_id == row.id)).one()
        assert (entry.verb, entry.actor_role) == ("added", "institution_clerk")


def test_the_same_as_a_row_of_the_roster_so_that_row_is_no_news(clerk, in_province):
    assert post(clerk, NEW, **typed(3)).status_code == 303
    row = material.roster_row(CODE, 3) | {"姓名": "王新", "证件号码": typed(3)["number"], "手机号码": typed(3)["mobile"], "执业范围": "内科", "首次注册日期": ""}
    with in_province(SLUG):
        report = import_roster(material.roster([row]), by=TERMINAL)
        assert (report.accepted, report.changed, report.unchanged, report.errors) == (0, 0, 1, [])


@pytest.mark.parametrize(
    ("changed", "field", "sentence"),
    [
        ({"name": ""}, "name", "请填写与身份证一致的姓名"),
        ({"number": material.wrong_check_digit(typed(5)["number"])}, "number", "校验位不符"),
        ({"number": ""}, "number", "请填写证件号码"),
        ({"sex": "女"}, "sex", "性别与证件号码不一致"),
        ({"category": ""}, "category", "请选择执业类别"),
        ({"mobile": "1381234567"}, "mobile", "11位手机号"),
        ({"first_registered": "2099-01-01"}, "first_registered", "首次注册日期不合理"),
        ({"document_type": "护照", "number": "1"}, "number", "格式不正确"),
    ],
)
def test_a_fault_is_told_at_its_field_and_what_was_typed_is_kept(clerk, in_province, changed, field, sentence):
    given = typed(5, department="急诊抢救室") | changed
    answer = post(clerk, NEW, **given)
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    cell = re.search(rf'(?s)<(?:input|select)[^>]*id="{field}".*?(?=<label|</form>)', page)[0]
    assert sentence in cell
    assert "is-invalid" in cell
    assert 'value="急诊抢救室"' in page
    assert f'value="{given["mobile"]}"' in page
    with in_province(SLUG):
        assert found(typed(5)["number"]) is None


def test_a_clerk_adds_to_the_own_institution_alone_and_an_administrator_anywhere(clerk, admin, in_province):
    assert "请从列表中选择一项" in post(clerk, NEW, **typed(7, at=2)).get_data(as_text=True)
    with in_province(SLUG):
        assert found(typed(7)["number"]) is None
        other = db.session.scalars(select(Organisation).where(Organisation.registration_number == material.registration_number(CODE, 2))).one()
        own = db.session.scalars(select(Organisation.id).where(Organisation.registration_number == material.registration_number(CODE, 1))).one()
        with pytest.raises(Invalid, match="不是本机构的医师"):
            add_doctor(typed(7, at=2), by=TERMINAL, only=[own])
    assert post(admin, NEW, **typed(7, at=2)).status_code == 303
    with in_province(SLUG):
        assert found(typed(7)["number"]).organisation_id == other.id
    unknown = post(admin, NEW, **typed(9, registration_number="PDY404"))
    assert unknown.status_code == 422
    assert "机构登记号PDY404未在本省登记" in unknown.get_data(as_text=True)


def test_who_is_on_the_roster_is_not_added_again(clerk, admin, in_province):
    assert post(admin, NEW, **typed(11, at=2)).status_code == 303
    for person, at, sentence in ((clerk, 1, "已在另一机构的名单中"), (admin, 2, "已在62省第2人民医院的名单中")):
        answer = post(person, NEW, **typed(11, at=at, name="别人"))
        assert answer.status_code == 422
        assert sentence in answer.get_data(as_text=True)
    with in_province(SLUG):
        assert db.session.scalar(select(func.count()).select_from(Doctor).where(Doctor.number_index == vault().blind_index("number", typed(11)["number"]))) == 1
        assert found(typed(11)["number"]).name == "王新"


def test_of_two_at_once_one_is_added(in_province, gansu, monkeypatch):
    """The second has looked before the first has committed."""
    with in_province(SLUG):
        add_doctor(typed(13), by=TERMINAL)
        db.session.commit()
    monkeypatch.setattr("dingkao.doctors.adding._unknown", lambda *_given: None)
    with in_province(SLUG), pytest.raises(Invalid, match="刚刚已被添加"):
        add_doctor(typed(13), by=TERMINAL)


def test_what_is_odd_is_told_and_taken(clerk):
    answer = post(clerk, NEW, **typed(15, practice="123"))
    assert "执业证书编码通常为15位" in clerk.get(answer.location).get_data(as_text=True)


def test_numbers_are_shown_by_a_journalled_act(clerk, in_province):
    place = post(clerk, NEW, **typed(17)).location
    page = clerk.get(place).get_data(as_text=True)
    assert typed(17)["number"] not in page
    assert typed(17)["mobile"] not in page
    shown = post(clerk, f"{place}/reveal", page=place).get_data(as_text=True)
    assert typed(17)["number"] in shown
    assert typed(17)["mobile"] in shown
    with in_province(SLUG):
        row = found(typed(17)["number"])
        verbs = db.session.scalars(select(JournalEntry.verb).where(JournalEntry.subject_id == row.id).order_by(JournalEntry.id)).all()
        assert verbs == ["added", "numbers_revealed"]
    assert typed(17)["number"] not in clerk.get(place).get_data(as_text=True)


def test_an_auditor_looks_and_a_neighbour_does_not(application, clerk, in_province):
    place = post(clerk, NEW, **typed(19)).location
    auditor = client_of(application, in_province, SLUG, "auditor")
    page = auditor.get(place).get_data(as_text=True)
    assert "620107********" in page
    assert "查看完整号码" not in page
    assert "一次性代码" not in page
    neighbour = client_of(application, in_province, SLUG, "institution_clerk", material.registration_number(CODE, 2))
    assert neighbour.get(place).status_code == 403
    foreign = client_of(application, in_province, "henan", "province_admin")
    assert foreign.get(place.replace(SLUG, "henan")).status_code == 404
    for act in ("reveal", "renew", "code"):
        assert post(neighbour, f"{place}/{act}", page=NEW).status_code == 403, act
        assert post(auditor, f"{place}/{act}", page=f"/{SLUG}/office/doctors").status_code == 403, act
        assert post(foreign, f"{place}/{act}".replace(SLUG, "henan"), page=NEW.replace(SLUG, "henan")).status_code == 404, act


def test_a_lapsed_credential_is_renewed_and_an_opened_account_has_none(clerk, in_province):
    place = post(clerk, NEW, **typed(21)).location
    with in_province(SLUG):
        account = db.session.scalars(select(Account).where(Account.id == found(typed(21)["number"]).account_id)).one()
        account.initial_until = clock.now() - timedelta(days=1)
        db.session.commit()
    assert "失效" in clerk.get(place).get_data(as_text=True)
    assert post(clerk, f"{place}/renew", page=place).status_code == 303
    assert "有效至" in clerk.get(place).get_data(as_text=True)
    assert re.search(r"[2-9A-Z]{5}-[2-9A-Z]{5}", post(clerk, f"{place}/code", page=place).get_data(as_text=True))
    with in_province(SLUG):
        account = db.session.scalars(select(Account).where(Account.id == found(typed(21)["number"]).account_id)).one()
        assert account.initial_until > clock.now() + timedelta(days=80)
        account.state = "active"
        db.session.commit()
    page = clerk.get(place).get_data(as_text=True)
    assert "延长初始凭证" not in page
    assert post(clerk, f"{place}/renew", page=place).status_code == 409
