"""One doctor: added by a form under the rules of the roster, looked at with masked numbers, helped into the
account."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors import corrections
from dingkao.doctors.disclosure_limits import DisclosureLimit
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import import_roster
from dingkao.doctors.roster_columns import RosterColumn
from dingkao.doctors.single_entry import add_doctor
from dingkao.errors import InvalidInput
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.journal.models import JournalEntry
from dingkao.people import institution_imports
from dingkao.people.accounts import doctor_login_index
from dingkao.people.models import Account, Organisation
from dingkao.people.provinces import open_province
from dingkao.tenants import settings
from dingkao.tenants.encryption import current_vault
from dingkao.tenants.registry import by_slug
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "gansu", 62
NEW_DOCTOR_PAGE = f"/{SLUG}/office/doctors/new"


def typed(serial, *, at=1, **changed):
    sex = "男" if serial % 2 else "女"
    return {
        "name": "王 新",
        "document_type": "居民身份证",
        "number": sample_data.resident_number(serial, sex=sex, area="620107"),
        "sex": "",
        "registration_number": sample_data.registration_number(CODE, at),
        "level": "执业医师",
        "category": "临床",
        "scope": "内科",
        "mobile": f"139{serial:08d}",
        "department": "内科",
    } | changed


def found(number):
    return db.session.scalar(
        select(Doctor).where(Doctor.number_index == current_vault().blind_index("number", number))
    )


@pytest.fixture(scope="module")
def gansu(application, provinces, in_province):
    """甘肃, with its institutions and a cycle."""
    with in_province(SLUG):
        open_province(by_slug(SLUG), by=TERMINAL_ACTOR)
        institution_imports.import_institutions(sample_data.institutions_csv(CODE), by=TERMINAL_ACTOR)
        actors.get_or_open_cycle()
        db.session.commit()


@pytest.fixture
def clerk(application, gansu, in_province):
    return signed_in_client(
        application, in_province, SLUG, "institution_clerk", sample_data.registration_number(CODE, 1)
    )


@pytest.fixture
def admin(application, gansu, in_province):
    return signed_in_client(application, in_province, SLUG, "province_admin")


def test_one_doctor_comes_in_with_account_and_record(clerk, in_province):
    form = typed(1, number=" " + typed(1)["number"][:6] + " " + typed(1)["number"][6:].lower())
    answer = post_form(clerk, NEW_DOCTOR_PAGE, **form)
    assert answer.status_code == 303
    page = clerk.get(answer.location).get_data(as_text=True)
    assert "已添加王新" in page
    assert "620107********" in page
    assert typed(1)["number"] not in page
    assert "未纳入" in page
    with in_province(SLUG):
        new_doctor = found(typed(1)["number"])
        assert (new_doctor.name, new_doctor.sex, new_doctor.scope, new_doctor.department) == (
            "王新",
            "male",
            "11",
            "内科",
        )
        account = db.session.scalars(select(Account).where(Account.id == new_doctor.account_id)).one()
        assert (account.state, account.login_index) == ("initial", doctor_login_index(typed(1)["number"]))
        assert db.session.scalars(
            select(Assessment.state).where(Assessment.doctor_id == new_doctor.id)
        ).all() == ["not_included"]
        entry = db.session.scalars(select(JournalEntry).where(JournalEntry.subject_id == new_doctor.id)).one()
        assert (entry.verb, entry.actor_role) == ("added", "institution_clerk")


def test_the_same_as_a_row_of_the_roster_so_that_row_is_no_news(clerk, in_province):
    assert post_form(clerk, NEW_DOCTOR_PAGE, **typed(3)).status_code == 303
    roster_row = sample_data.roster_row(CODE, 3) | {
        "姓名": "王新",
        "证件号码": typed(3)["number"],
        "手机号码": typed(3)["mobile"],
        "执业范围": "内科",
        "首次注册日期": "",
    }
    with in_province(SLUG):
        report = import_roster(sample_data.roster_xlsx([roster_row]), by=TERMINAL_ACTOR)
        assert (report.accepted, report.changed, report.unchanged, report.errors) == (0, 0, 1, [])


@pytest.mark.parametrize(
    ("changed", "field", "sentence"),
    [
        ({"name": ""}, "name", "请填写与身份证一致的姓名"),
        ({"number": sample_data.wrong_check_digit(typed(5)["number"])}, "number", "校验位不符"),
        ({"number": ""}, "number", "请填写证件号码"),
        ({"sex": "女"}, "sex", "性别与证件号码不一致"),
        ({"category": ""}, "category", "请选择执业类别"),
        ({"mobile": "1381234567"}, "mobile", "11位手机号"),
        ({"first_registered": "2099-01-01"}, "first_registered", "首次注册日期不合理"),
        ({"department": "科" * 51}, "department", "科室名称不超过50字"),
        ({"document_type": "护照", "number": "1"}, "number", "格式不正确"),
    ],
)
def test_a_fault_is_told_at_its_field_and_what_was_typed_is_kept(
    clerk, in_province, changed, field, sentence
):
    form = typed(5, department="急诊抢救室") | changed
    answer = post_form(clerk, NEW_DOCTOR_PAGE, **form)
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    cell = re.search(rf'(?s)<(?:input|select)[^>]*id="{field}".*?(?=<label|</form>)', page)[0]
    assert sentence in cell
    assert "is-invalid" in cell
    assert f'value="{form["department"]}"' in page
    assert f'value="{form["mobile"]}"' in page
    with in_province(SLUG):
        assert found(typed(5)["number"]) is None


def test_a_clerk_adds_to_the_own_institution_alone_and_an_administrator_anywhere(clerk, admin, in_province):
    assert "请从列表中选择一项" in post_form(clerk, NEW_DOCTOR_PAGE, **typed(7, at=2)).get_data(as_text=True)
    with in_province(SLUG):
        assert found(typed(7)["number"]) is None
        organisation = db.session.scalars(
            select(Organisation).where(
                Organisation.registration_number == sample_data.registration_number(CODE, 2)
            )
        ).one()
        organisation_id = db.session.scalars(
            select(Organisation.id).where(
                Organisation.registration_number == sample_data.registration_number(CODE, 1)
            )
        ).one()
        with pytest.raises(InvalidInput, match="不是本机构的医师"):
            add_doctor(typed(7, at=2), by=TERMINAL_ACTOR, restrict_to=[organisation_id])
    assert post_form(admin, NEW_DOCTOR_PAGE, **typed(7, at=2)).status_code == 303
    with in_province(SLUG):
        assert found(typed(7)["number"]).organisation_id == organisation.id
    unknown = post_form(admin, NEW_DOCTOR_PAGE, **typed(9, registration_number="PDY404"))
    assert unknown.status_code == 422
    assert "机构登记号PDY404未在本省登记" in unknown.get_data(as_text=True)


def test_who_is_on_the_roster_is_not_added_again(clerk, admin, in_province):
    assert post_form(admin, NEW_DOCTOR_PAGE, **typed(11, at=2)).status_code == 303
    for person, organisation_number, sentence in (
        (clerk, 1, "已在另一机构的名单中"),
        (admin, 2, "已在62省第2人民医院的名单中"),
    ):
        answer = post_form(person, NEW_DOCTOR_PAGE, **typed(11, at=organisation_number, name="别人"))
        assert answer.status_code == 422
        assert sentence in answer.get_data(as_text=True)
    with in_province(SLUG):
        assert (
            db.session.scalar(
                select(func.count())
                .select_from(Doctor)
                .where(Doctor.number_index == current_vault().blind_index("number", typed(11)["number"]))
            )
            == 1
        )
        assert found(typed(11)["number"]).name == "王新"


def test_of_two_at_once_one_is_added(in_province, gansu, monkeypatch):
    """The second has looked before the first has committed."""
    with in_province(SLUG):
        add_doctor(typed(13), by=TERMINAL_ACTOR)
        db.session.commit()
    monkeypatch.setattr("dingkao.doctors.single_entry._require_unknown", lambda *_given: None)
    with in_province(SLUG), pytest.raises(InvalidInput, match="刚刚已被添加"):
        add_doctor(typed(13), by=TERMINAL_ACTOR)


def test_what_is_odd_is_told_and_taken(clerk):
    answer = post_form(clerk, NEW_DOCTOR_PAGE, **typed(15, practice="123"))
    assert "执业证书编码通常为15位" in clerk.get(answer.location).get_data(as_text=True)


def test_a_column_without_a_place_of_its_own_is_listed_last(clerk, monkeypatch):
    columns = (
        RosterColumn("department", ("新列",)),
        RosterColumn("first_registered", ("新日期",), is_date=True),
    )
    monkeypatch.setattr("dingkao.blueprints.console.doctors.APPENDED_COLUMNS", columns)
    place = post_form(clerk, NEW_DOCTOR_PAGE, **typed(61, first_registered="2009-07-01")).location
    facts = re.findall(r"<dt>(.*?)</dt>\s*<dd.*?>(.*?)</dd>", clerk.get(place).get_data(as_text=True))
    last = [label for label, _ in facts].index("学历") + 1
    assert facts[last : last + 2] == [("新列", "内科"), ("新日期", "2009年07月01日")]


def test_numbers_are_shown_by_a_journalled_act(clerk, in_province):
    place = post_form(clerk, NEW_DOCTOR_PAGE, **typed(17)).location
    page = clerk.get(place).get_data(as_text=True)
    assert typed(17)["number"] not in page
    assert typed(17)["mobile"] not in page
    text = post_form(clerk, f"{place}/reveal", page=place).get_data(as_text=True)
    assert typed(17)["number"] in text
    assert typed(17)["mobile"] in text
    with in_province(SLUG):
        new_doctor = found(typed(17)["number"])
        verbs = db.session.scalars(
            select(JournalEntry.verb)
            .where(JournalEntry.subject_id == new_doctor.id)
            .order_by(JournalEntry.id)
        ).all()
        assert verbs == ["added", "numbers_revealed"]
    assert typed(17)["number"] not in clerk.get(place).get_data(as_text=True)


def test_an_auditor_looks_and_a_neighbour_does_not(application, clerk, in_province):
    place = post_form(clerk, NEW_DOCTOR_PAGE, **typed(19)).location
    auditor = signed_in_client(application, in_province, SLUG, "auditor")
    page = auditor.get(place).get_data(as_text=True)
    assert "620107********" in page
    assert "查看完整号码" not in page
    assert "一次性代码" not in page
    neighbour = signed_in_client(
        application, in_province, SLUG, "institution_clerk", sample_data.registration_number(CODE, 2)
    )
    assert neighbour.get(place).status_code == 403
    foreign = signed_in_client(application, in_province, "henan", "province_admin")
    assert foreign.get(place.replace(SLUG, "henan")).status_code == 404
    for act in ("reveal", "renew", "code"):
        assert post_form(neighbour, f"{place}/{act}", page=NEW_DOCTOR_PAGE).status_code == 403, act
        assert post_form(auditor, f"{place}/{act}", page=f"/{SLUG}/office/doctors").status_code == 403, act
        assert (
            post_form(
                foreign, f"{place}/{act}".replace(SLUG, "henan"), page=NEW_DOCTOR_PAGE.replace(SLUG, "henan")
            ).status_code
            == 404
        ), act


def test_a_lapsed_credential_is_renewed_and_an_opened_account_has_none(clerk, in_province):
    place = post_form(clerk, NEW_DOCTOR_PAGE, **typed(21)).location
    with in_province(SLUG):
        account = db.session.scalars(
            select(Account).where(Account.id == found(typed(21)["number"]).account_id)
        ).one()
        account.initial_until = clock.now() - timedelta(days=1)
        db.session.commit()
    assert "失效" in clerk.get(place).get_data(as_text=True)
    assert post_form(clerk, f"{place}/renew", page=place).status_code == 303
    assert "有效至" in clerk.get(place).get_data(as_text=True)
    assert re.search(
        r"[2-9A-Z]{5}-[2-9A-Z]{5}", post_form(clerk, f"{place}/code", page=place).get_data(as_text=True)
    )
    with in_province(SLUG):
        account = db.session.scalars(
            select(Account).where(Account.id == found(typed(21)["number"]).account_id)
        ).one()
        assert account.initial_until > clock.now() + timedelta(days=80)
        account.state = "active"
        db.session.commit()
    page = clerk.get(place).get_data(as_text=True)
    assert "延长初始凭证" not in page
    assert post_form(clerk, f"{place}/renew", page=place).status_code == 409


@pytest.fixture
def told_twice(application, gansu, in_province):
    """The province tells an institution twice an hour that a doctor is another's; nothing has been told
    yet."""
    with in_province(SLUG):
        settings.change("elsewhere_told_an_hour", 2, by=None, reason="试")
        db.session.commit()
        for key in application.extensions["redis"].scan_iter(f"t:{CODE}:told-elsewhere:*"):
            application.extensions["redis"].delete(key)
    yield
    with in_province(SLUG):
        settings.change("elsewhere_told_an_hour", 30, by=None, reason="试")
        db.session.commit()


def test_that_a_doctor_is_anothers_is_told_so_often_and_then_nothing_is_looked_up(
    clerk, admin, in_province, told_twice
):
    for serial in (31, 33, 35):
        assert post_form(admin, NEW_DOCTOR_PAGE, **typed(serial, at=2)).status_code == 303
    for serial in (31, 33):
        assert "已在另一机构的名单中" in post_form(clerk, NEW_DOCTOR_PAGE, **typed(serial)).get_data(
            as_text=True
        )
    answers = [
        post_form(clerk, NEW_DOCTOR_PAGE, **typed(serial, department="急诊抢救室")) for serial in (35, 37)
    ]
    assert [answer.status_code for answer in answers] == [429, 429]
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    pages = [answer.get_data(as_text=True) for answer in answers]
    assert all(
        "本机构一小时内已有2次填写了另一机构的医师" in page and 'value="急诊抢救室"' in page for page in pages
    )
    with in_province(SLUG):
        assert found(typed(37)["number"]) is None
    assert post_form(admin, NEW_DOCTOR_PAGE, **typed(37)).status_code == 303
    assert "不需要重复添加" in post_form(clerk, NEW_DOCTOR_PAGE, **typed(37)).get_data(as_text=True), (
        "one's own may be told as often as one likes"
    )


def test_a_roster_too_tells_it_so_often_and_leaves_the_rest(admin, in_province, told_twice):
    for serial in (41, 43, 45):
        assert post_form(admin, NEW_DOCTOR_PAGE, **typed(serial, at=2)).status_code == 303
    assert post_form(admin, NEW_DOCTOR_PAGE, **typed(47)).status_code == 303
    roster_rows = [
        sample_data.roster_row(CODE, 1) | {"证件号码": typed(serial)["number"], "手机号码": ""}
        for serial in (39, 41, 43, 45, 49, 47)
    ]
    with in_province(SLUG):
        organisation = db.session.scalars(
            select(Organisation).where(
                Organisation.registration_number == sample_data.registration_number(CODE, 1)
            )
        ).one()
        report = import_roster(
            sample_data.roster_xlsx(roster_rows), by=TERMINAL_ACTOR, restrict_to=[organisation]
        )
        reason_by_row = {fault.row: fault.reason for fault in report.errors}
        assert (report.accepted, report.changed, sorted(reason_by_row)) == (1, 1, [3, 4, 5, 6])
        assert reason_by_row[3] == reason_by_row[4] == "该医师已在另一机构的名单中"
        assert (
            reason_by_row[5]
            == reason_by_row[6]
            == "本机构一小时内提示“已在另一机构的名单中”已达2次，此行未处理"
        )
        everywhere = import_roster(sample_data.roster_xlsx(roster_rows), by=TERMINAL_ACTOR)
        assert [(fault.row, fault.reason) for fault in everywhere.errors] == [
            (number, reason_by_row[3]) for number in (3, 4, 5)
        ], "who sees all of them is not bounded"
        db.session.rollback()


def test_a_doctor_who_asks_for_anothers_number_is_told_five_times(application, admin, in_province):
    assert post_form(admin, NEW_DOCTOR_PAGE, **typed(51, at=2)).status_code == 303
    assert post_form(admin, NEW_DOCTOR_PAGE, **typed(53)).status_code == 303
    with in_province(SLUG):
        doctor, telling = (
            found(typed(53)["number"]),
            DisclosureLimit.for_doctor(found(typed(53)["number"]).id),
        )
        for _ in range(5):
            with pytest.raises(InvalidInput, match="已登记在另一位医师名下"):
                corrections.validate_changes(doctor, {"number": typed(51)["number"]}, telling)
        for number in (typed(51)["number"], typed(55)["number"]):
            with pytest.raises(InvalidInput, match="多次与他人重复"):
                corrections.validate_changes(doctor, {"number": number}, telling)
        assert corrections.validate_changes(doctor, {"number": typed(55)["number"]}) == {
            "number": typed(55)["number"]
        }
