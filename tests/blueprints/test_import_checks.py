"""A spreadsheet is checked in the console before anything is written, and then imported by a press of a
button."""

import io
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.errors import NotFound
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.integrations.storage import current_store
from dingkao.jobs.models import Job
from dingkao.people import import_checks, spreadsheet_imports
from dingkao.people.models import Account, Membership, Organisation
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "yunnan", 53
ROSTER = f"/{SLUG}/office/roster"


@pytest.fixture(scope="module", autouse=True)
def ground(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))


@pytest.fixture
def clerk(application, in_province):
    return signed_in_client(
        application, in_province, SLUG, "institution_clerk", sample_data.registration_number(CODE, 1)
    )


def give_second_institution(in_province, client):
    with in_province(SLUG):
        number = sample_data.registration_number(CODE, 2)
        second = db.session.scalars(
            select(Organisation.id).where(Organisation.registration_number == number)
        ).one()
        db.session.add(
            Membership(account_id=client.account_id, organisation_id=second, role="institution_clerk")
        )
        db.session.commit()


def rows(*places):
    return [
        sample_data.roster_row(CODE, next(actors.unused_serials(SLUG)), at=at) | {"姓名": f"检查{at}号"}
        for at in places
    ]


def send(client, address, content, **more):
    return post_form(client, address, file=(io.BytesIO(content), "名单.xlsx"), **more).location


def text(client, place):
    return client.get(place).get_data(as_text=True)


def count(in_province, model):
    with in_province(SLUG):
        return db.session.scalar(select(func.count()).select_from(model))


def confirm(client, place, page=ROSTER):
    return post_form(client, f"{place}/confirm", page=page)


def test_a_roster_of_two_institutions_is_checked_and_then_imported(
    application, in_province, clerk, monkeypatch
):
    monkeypatch.setattr(spreadsheet_imports, "ROWS_PER_CHUNK", 2)
    give_second_institution(in_province, clerk)
    assert "第1人民医院、53省第2人民医院" in text(clerk, ROSTER)
    doctors = rows(1, 2, 3, 1)
    content = sample_data.roster_xlsx([*doctors, doctors[0]])
    before = count(in_province, Doctor), count(in_province, Account)
    place = send(clerk, ROSTER, content, check="1")
    actors.run_pending_jobs(application, in_province, SLUG)
    report = text(clerk, place)
    assert "检查结果（没有写入）" in report
    assert "新增 3，更新 0，未变 0，拒绝 2" in report
    assert "不是本机构的医师" in report, "of the third institution"
    assert "与本文件前面的行重复" in report, "in another part of the file than the first"
    assert (count(in_province, Doctor), count(in_province, Account)) == before, "nothing is written"
    imported = confirm(clerk, place).location
    assert confirm(clerk, place).location == imported, "pressed twice it is one import"
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "新增 3，更新 0，未变 0，拒绝 2" in text(clerk, imported)
    assert count(in_province, Doctor) == before[0] + 3
    page = text(clerk, place)
    assert "确认导入" not in page.replace("已确认导入", "")
    assert "查看导入结果" in page


def test_nobody_else_confirms_and_who_lost_the_role_neither(application, in_province, clerk):
    place = send(clerk, ROSTER, sample_data.roster_xlsx(rows(1)), check="1")
    actors.run_pending_jobs(application, in_province, SLUG)
    admin = signed_in_client(application, in_province, SLUG, "province_admin")
    assert confirm(admin, place).status_code == 404
    with in_province(SLUG):
        db.session.execute(delete(Membership).where(Membership.account_id == clerk.account_id))
        db.session.commit()
    before = count(in_province, Job)
    assert post_form(clerk, f"{place}/confirm", page=place).status_code == 403
    assert count(in_province, Job) == before


def test_what_was_checked_is_imported_with_the_roles_of_then(application, in_province, clerk):
    """Between check and import the clerk has moved to another institution."""
    place = send(clerk, ROSTER, sample_data.roster_xlsx(rows(1)), check="1")
    actors.run_pending_jobs(application, in_province, SLUG)
    give_second_institution(in_province, clerk)
    with in_province(SLUG):
        first = sample_data.registration_number(CODE, 1)
        first_id = select(Organisation.id).where(Organisation.registration_number == first)
        db.session.execute(
            delete(Membership).where(
                Membership.account_id == clerk.account_id,
                Membership.organisation_id == first_id.scalar_subquery(),
            )
        )
        db.session.commit()
    imported = confirm(clerk, place).location
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "新增 0，更新 0，未变 0，拒绝 1" in text(clerk, imported)


INSTITUTIONS = xlsx_writer.write_xlsx(
    ["机构名称", "机构登记号", "行政区划代码"], [["检查用医院", "PDYCHECK1", "530100"]]
)
QUESTIONS = xlsx_writer.write_xlsx(
    ["题干", "选项A", "选项B", "答案", "科目"], [["先检查后导入的题", "甲", "乙", "A", "公共知识"]]
)


@pytest.mark.parametrize(
    ("page", "address", "content", "fields"),
    [
        ("institutions", "institutions/import", INSTITUTIONS, {}),
        ("banks", "banks/import", QUESTIONS, {"bank": "检查题库"}),
    ],
)
def test_every_import_has_its_check(application, in_province, page, address, content, fields):
    admin = signed_in_client(application, in_province, SLUG, "province_admin")
    pages = f"/{SLUG}/office"
    place = send(admin, f"{pages}/{address}", content, page=f"{pages}/{page}", check="1", **fields)
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "新增 1" in text(admin, place)
    word = "检查用医院" if page == "institutions" else "检查题库"
    assert word not in text(admin, f"{pages}/{page}")
    assert confirm(admin, place).status_code == 303
    actors.run_pending_jobs(application, in_province, SLUG)
    assert word in text(admin, f"{pages}/{page}")


def test_the_file_of_a_check_that_nobody_confirms_is_deleted(application, in_province, clerk):
    place = send(clerk, ROSTER, sample_data.roster_xlsx(rows(1)), check="1")
    actors.run_pending_jobs(application, in_province, SLUG)
    job_id = UUID(place.rsplit("/", 1)[1])
    with in_province(SLUG):
        upload = UUID(db.session.scalars(select(Job).where(Job.id == job_id)).one().arguments["upload"])
        assert import_checks.delete_unconfirmed() == 0
        assert current_store().get("upload", upload)
        long_ago = clock.now() - timedelta(days=import_checks.CHECK_VALID_DAYS, hours=1)
        db.session.execute(update(Job).where(Job.id == job_id).values(asked_at=long_ago))
        assert import_checks.delete_unconfirmed() == 1
        db.session.commit()
        with pytest.raises(NotFound):
            current_store().get("upload", upload)
    assert "确认导入" not in text(clerk, place)
    before = count(in_province, Job)
    confirm(clerk, place)
    assert count(in_province, Job) == before
