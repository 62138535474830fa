"""Departments by HTTP: fed by the roster, imported, added, renamed with their doctors, closed; how far each is,
and a word to the liaisons of those that are late."""

import io
import re

import pytest
from sqlalchemy import delete, select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.integrations.spreadsheets.xlsx_writer import write_xlsx
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import department_imports
from dingkao.people.department_models import Department
from dingkao.people.departments import add_departments
from dingkao.people.models import Account, Membership, Organisation
from dingkao.people.scopes import WHOLE_PROVINCE
from tests import actors, sample_data
from tests.blueprints.list_export_steps import export_address
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "guizhou", 52
PLACE, OTHER = (sample_data.registration_number(CODE, number) for number in (1, 2))
PAGE = f"/{SLUG}/office/departments"
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def doctors(application, in_province):
    """Of 内科 one who has submitted and one who hasn't, and one of 儿科 at another institution."""
    other = {"机构登记号": OTHER, "主要执业机构": sample_data.institution_name(CODE, 2), "科室": "儿科"}
    made = [
        actors.signed_in_doctor(application, in_province, SLUG, next(_serial), **cells)
        for cells in ({"科室": "内科"}, {"科室": "内科"}, other)
    ]
    actors.advance_to(in_province, made[0], "institution_pending")
    return made


@pytest.fixture(autouse=True)
def as_the_roster_has_them(in_province, doctors):
    """There are the departments of the roster alone, and no liaisons, whatever tests did before."""
    with in_province(SLUG):
        db.session.execute(delete(Membership).where(Membership.role == "department_liaison"))
        db.session.execute(delete(Department).where(Department.name.not_in(("内科", "儿科"))))
        db.session.commit()


@pytest.fixture(scope="module")
def clerk(application, in_province, doctors):
    return signed_in_client(application, in_province, SLUG, "institution_clerk", PLACE)


def text(answer):
    return answer.get_data(as_text=True)


def departments(in_province, number=PLACE):
    """Name → whether it is open, of an institution's departments."""
    with in_province(SLUG):
        of_place = (Organisation.id == Department.organisation_id) & (
            Organisation.registration_number == number
        )
        query = select(Department).join(Organisation, of_place)
        return {found.name: found.closed_at is None for found in db.session.scalars(query)}


def address(in_province, name):
    with in_province(SLUG):
        return f"{PAGE}/{db.session.scalars(select(Department.id).where(Department.name == name)).one()}"


def cells_of(page, name):
    """The texts of the cells of a department's row."""
    row = next(row for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if f">{name}<" in row)
    return [re.sub(r"<[^>]+>|\s", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]


def test_the_roster_feeds_the_departments_and_their_progress_is_counted(clerk, in_province):
    assert departments(in_province) == {"内科": True}
    page = text(clerk.get(PAGE))
    assert "儿科" not in page
    with in_province(SLUG):
        by_number = Organisation.registration_number == PLACE
        place_name = db.session.scalars(select(Organisation.name).where(by_number)).one()
    assert cells_of(page, "内科")[1:] == ["内科", place_name, "2", "1", "2", "2", "2", ""]
    assert "内科" in text(clerk.get(f"{PAGE}?late=no_liaison"))
    for late, is_listed in (("unsubmitted", True), ("ethics", True)):
        assert ("内科</a>" in text(clerk.get(f"{PAGE}?late={late}"))) is is_listed


def test_a_late_department_s_liaison_is_reminded_once(application, clerk, in_province):
    with in_province(SLUG):
        department_id = db.session.scalars(select(Department.id).where(Department.name == "内科")).one()
    remind = {"record": str(department_id), "words": "周五前请完成"}

    def reminded():
        answer = post_form(clerk, f"{PAGE}/remind", page=PAGE, **remind)
        return text(clerk.get(answer.location))

    assert "1个未提醒：没有联络员" in reminded()
    liaison = signed_in_client(application, in_province, SLUG, "department_liaison", PLACE, department="内科")
    assert "已提醒1个科室的联络员" in reminded()
    assert "联络员还没有读上次的提醒" in reminded()
    inbox = f"/{SLUG}/office/inbox"
    shown = text(liaison.get(inbox))
    assert "未提交1人，未草拟2人" in shown
    assert "周五前请完成" in shown
    assert post_form(liaison, f"{inbox}/read", page=inbox).status_code == 303
    assert "已提醒1个科室的联络员" in reminded()


def test_a_liaison_whose_account_is_closed_is_none(application, clerk, in_province):
    signed_in_client(application, in_province, SLUG, "department_liaison", PLACE, department="内科")
    lacking = f"{PAGE}?late=no_liaison"
    assert "内科</a>" not in text(clerk.get(lacking))
    with in_province(SLUG):
        liaison = select(Membership.account_id).where(Membership.role == "department_liaison")
        db.session.execute(update(Account).where(Account.id.in_(liaison)).values(state="closed"))
        db.session.commit()
    assert "内科</a>" in text(clerk.get(lacking))


def test_renaming_takes_the_doctors_along(clerk, in_province, doctors):
    page = address(in_province, "内科")
    assert post_form(clerk, page, name="大内科").status_code == 303
    with in_province(SLUG):
        names = db.session.scalars(select(Doctor.department).order_by(Doctor.id)).all()
    assert names == ["大内科", "大内科", "儿科"]
    found = text(
        post_form(clerk, f"/{SLUG}/office/doctors/search", page=PAGE, q="大内科", follow_redirects=True)
    )
    assert "共2人" in found
    assert post_form(clerk, page, name="内科").status_code == 303


def test_one_is_added_and_closed_and_none_of_another_institution_touched(clerk, in_province, doctors):
    new = f"{PAGE}/new"
    assert post_form(clerk, new, name="  急诊  科 ").status_code == 303
    assert post_form(clerk, new, name="急诊 科").status_code == 422
    closing = f"{address(in_province, '急诊 科')}/close"
    assert post_form(clerk, closing, page=PAGE).status_code == 303
    assert departments(in_province)["急诊 科"] is False
    assert "急诊 科</a>" not in text(clerk.get(PAGE))
    assert "急诊 科（已停用）</a>" in text(clerk.get(f"{PAGE}?state=closed"))
    foreign = address(in_province, "儿科")
    assert clerk.get(foreign).status_code == 403
    assert post_form(clerk, f"{foreign}/close", page=PAGE).status_code == 403


def test_a_sheet_is_checked_and_then_imported(application, clerk, in_province, doctors):
    assert clerk.get(f"{PAGE}/template.xlsx").status_code == 200
    rows = [("内科", ""), ("检验科", PLACE), ("检验科", PLACE), ("儿科", OTHER), ("", "")]
    sheet = write_xlsx(("科室", "机构登记号"), rows)
    before = departments(in_province)
    upload = {"file": (io.BytesIO(sheet), "科室.xlsx"), "check": "1"}
    job = post_form(clerk, f"{PAGE}/import", **upload).location
    actors.run_pending_jobs(application, in_province, SLUG)
    report = text(clerk.get(job))
    assert "与本文件前面的行重复" in report
    assert "不在您负责的机构中" in report
    assert departments(in_province) == before
    post_form(clerk, f"{job.removeprefix('http://localhost')}/confirm", page=job)
    actors.run_pending_jobs(application, in_province, SLUG)
    assert departments(in_province) == before | {"检验科": True}


def test_a_name_is_one_however_a_roster_writes_it(application, in_province, clerk):
    serial = next(_serial)
    with in_province(SLUG):
        actors.put_on_roster(sample_data.roster_row(CODE, serial, 科室="神经\u3000内科\n  一病区"))
        db.session.commit()
        stored = set(db.session.scalars(select(Doctor.department)))
    assert "神经 内科 一病区" in stored
    assert departments(in_province)["神经 内科 一病区"]
    signed_in_client(
        application, in_province, SLUG, "department_liaison", PLACE, department=" 神经 内科  一病区"
    )
    post_form(clerk, PAGE, name="神经 内科 一病区", organisation=PLACE)
    assert [name for name in departments(in_province) if name.startswith("神经")] == ["神经 内科 一病区"]


def test_a_closed_institution_gets_no_departments(in_province):
    sheet, report = write_xlsx(("科室", "机构登记号"), [("检验科", OTHER)]), ImportReport()
    with in_province(SLUG):
        closing = update(Organisation).where(Organisation.registration_number == OTHER)
        db.session.execute(closing.values(closed_at=clock.now()))
        rows = department_imports.read_rows(sheet, report)
        department_imports.import_batch(rows, report, set(), grant=WHOLE_PROVINCE, by=TERMINAL_ACTOR)
        db.session.rollback()
    assert (report.accepted, [error.column for error in report.errors]) == (0, ["机构登记号"])


def test_departments_are_searched_by_name_suggested_and_had_as_a_file(application, clerk, in_province):
    with in_province(SLUG):
        ids = {
            number: db.session.scalars(
                select(Organisation.id).where(Organisation.registration_number == number)
            ).one()
            for number in (PLACE, OTHER)
        }
        add_departments(
            [(ids[PLACE], "心血管内科"), (ids[PLACE], "骨科"), (ids[OTHER], "心外科")], by=TERMINAL_ACTOR
        )
        add_departments([(ids[OTHER], "骨科"), (ids[OTHER], "骨_科")], by=TERMINAL_ACTOR)
        db.session.commit()
    admin = signed_in_client(application, in_province, SLUG, "province_admin")

    def names(client, words):
        return set(
            re.findall(rf'href="{PAGE}/[0-9a-f-]+">([^<]+)</a>', text(client.get(f"{PAGE}?q={words}")))
        )

    def suggested(client, words):
        answer = client.get(f"/{SLUG}/office/lists/departments?words={words}").json
        return [suggestion["name"] for suggestion in answer["suggestions"]]

    assert names(clerk, "管内") == {"心血管内科"}
    assert names(clerk, "_") == set(), "typed, no pattern"
    assert names(admin, "心") == {"心血管内科", "心外科"}
    assert {"心血管内科", "骨科"} <= set(suggested(clerk, "科"))
    assert "心外科" not in suggested(clerk, "心"), "of another institution"
    assert sorted(suggested(admin, "骨")) == ["骨_科", "骨科"], "each name once"
    assert suggested(admin, "") == []
    assert "list=departments" in export_address(clerk, f"{PAGE}?q=骨")
    form_page = text(clerk.get(f"/{SLUG}/office/doctors/new"))
    assert f'data-suggestions="/{SLUG}/office/lists/departments"' in form_page
