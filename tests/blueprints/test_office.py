"""The console by HTTP: assessors, a cycle, a roster, the list."""

import io
import re

import pytest
from sqlalchemy import select

from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.doctors.roster import import_roster
from dingkao.journal.models import JournalEntry
from dingkao.journal.writing import TERMINAL, broken_entries
from dingkao.outside import sheets
from dingkao.people.models import Organisation
from dingkao.people.opening import open_province
from dingkao.people.organisations import import_institutions
from tests import material, people
from tests.blueprints.signed_in import client_of, post

SLUG, CODE = "heilongjiang", 23
DAYS = {f"{kind}_{end}": day for kind in ("filing", "review", "examination", "completion") for end, day in (("first", "2020-01-01"), ("last", "2090-12-31"))}


@pytest.fixture(scope="module")
def ground(in_province):
    """The province with three institutions, two doctors each, and no cycle: no other test has it."""
    with in_province(SLUG) as province:
        open_province(province, by=TERMINAL)
        import_institutions(material.institutions(CODE), by=TERMINAL)
        import_roster(material.roster([material.roster_row(CODE, serial, at=serial % 3 + 1) for serial in range(6)]), by=TERMINAL)
        db.session.commit()


def open_cycle(client, slug):
    return post(client, f"/{slug}/office/cycle", label="2020年01月-2090年12月", starts_on="2020-01-01", ends_on="2090-12-31", years="3", **DAYS)


def test_from_a_cycle_to_the_list(application, ground, in_province):
    admin = client_of(application, in_province, SLUG, "province_admin")
    number = material.registration_number(CODE, 1)
    with in_province(SLUG):
        hospital = db.session.scalars(select(Organisation.id).where(Organisation.registration_number == number)).one()
    assert open_cycle(admin, SLUG).status_code == 303
    again = open_cycle(admin, SLUG)
    assert again.status_code == 422
    assert "请换一个名称" in again.get_data(as_text=True)

    clerk = client_of(application, in_province, SLUG, "institution_clerk", number)
    rows = [material.roster_row(CODE, serial, at=1, 执业范围="某科") for serial in range(300, 304)] + [material.roster_row(CODE, 310, at=2)]
    place = post(clerk, f"/{SLUG}/office/roster", file=(io.BytesIO(material.roster(rows)), "名单.xlsx")).location
    assert "等待处理" in clerk.get(place).get_data(as_text=True)
    assert admin.get(place).status_code == 404
    people.work_off(application, in_province, SLUG)
    report = clerk.get(place).get_data(as_text=True)
    assert "新增 4,更新 0,未变 0,拒绝 1" in report
    assert "不是本机构的医师" in report
    assert "不认识的执业范围" in report
    assert rows[4]["证件号码"] not in report
    sheet = list(sheets.read(clerk.get(f"{place}/report.xlsx").data, {"row": ("行",), "reason": ("原因",), "number": ("证件号码",)}, ("row",)))
    assert [(row.text("row"), row.text("number")) for row in sheet] == [("6", rows[4]["证件号码"])]

    refused = post(clerk, f"/{SLUG}/office/inclusion", all="1").location
    people.work_off(application, in_province, SLUG)
    told = clerk.get(refused).get_data(as_text=True)
    assert "已纳入 0,未办理 " in told
    assert "尚未指定所属考核机构" in told

    assert post(admin, f"/{SLUG}/office/institutions/{hospital}", assesses="y", assessor=str(hospital)).status_code == 303
    page = clerk.get(f"/{SLUG}/office/inclusion").get_data(as_text=True)
    waiting = re.findall(r'name="record" value="([^"]+)"', page)
    assert len(waiting) >= 4
    post(clerk, f"/{SLUG}/office/inclusion", record=waiting[0])
    assert "待填报 1" in clerk.get(f"/{SLUG}/office/inclusion").get_data(as_text=True)
    post(clerk, f"/{SLUG}/office/inclusion?twice", page=f"/{SLUG}/office/inclusion", record=waiting[0])
    place = post(clerk, f"/{SLUG}/office/inclusion", all="1").location
    people.work_off(application, in_province, SLUG)
    assert f"已纳入 {len(waiting) - 1},未办理 0" in clerk.get(place).get_data(as_text=True)
    listed = clerk.get(f"/{SLUG}/office/inclusion?state=included").get_data(as_text=True)
    assert f"待填报 {len(waiting)}" in listed
    assert f"全部未提交 {len(waiting)}" in listed
    exported = sheets.read(clerk.get(f"/{SLUG}/office/inclusion/list.xlsx?state=unsubmitted").data, {"name": ("姓名",), "state": ("状态",)}, ("name",))
    assert [row.text("state") for row in exported] == ["待填报"] * len(waiting)
    with in_province(SLUG):
        moves = db.session.scalars(select(JournalEntry).where(JournalEntry.verb == "include")).all()
        assert len(moves) == len(waiting)
        assert {(entry.state_before, entry.state_after) for entry in moves} == {("not_included", "included")}
        assert broken_entries(moves[0].subject_id) == []


def test_a_clerk_has_no_way_to_anothers_doctors(application, ground, in_province):
    clerk = client_of(application, in_province, SLUG, "institution_clerk", material.registration_number(CODE, 2))
    with in_province(SLUG):
        own = db.session.scalars(select(Organisation.id).where(Organisation.registration_number == material.registration_number(CODE, 2))).one()
        other = db.session.scalars(select(Doctor.id).where(Doctor.organisation_id != own)).first()
        mine = db.session.scalars(select(Doctor.id).where(Doctor.organisation_id == own)).first()
    assert post(clerk, f"/{SLUG}/office/doctors/{other}/code", page=f"/{SLUG}/office/doctors").status_code == 403
    given = post(clerk, f"/{SLUG}/office/doctors/{mine}/code", page=f"/{SLUG}/office/doctors")
    assert re.search(r"[2-9A-Z]{5}-[2-9A-Z]{5}", given.get_data(as_text=True))
    assert clerk.get(f"/{SLUG}/office/staff").status_code == 403


def test_bad_files_are_refused_in_words(application, provinces, in_province):
    admin = client_of(application, in_province, "henan", "province_admin")
    for content, sentence in ((b"PK\x03\x04 not a zip", "文件已损坏"), (b"\xd0\xcf\x11\xe0old", "旧版Excel"), (b"\x89PNG\0\0", "不是Excel"), (b"a,b\n1,2\n", "缺少列")):
        answer = post(admin, "/henan/office/roster", file=(io.BytesIO(content), "x.xlsx"))
        assert answer.status_code == 422
        assert sentence in answer.get_data(as_text=True)
    assert "请选择文件" in post(admin, "/henan/office/roster").get_data(as_text=True)


def test_what_the_forms_library_refuses_is_told_in_chinese(application, provinces, in_province):
    admin = client_of(application, in_province, "henan", "province_admin")
    page = post(admin, "/henan/office/cycle", label="x", starts_on="30.2.2020", ends_on="2090-12-31", years="三", **DAYS).get_data(as_text=True)
    assert "日期无法识别" in page
    assert "请填写整数" in page
    assert "Not a valid" not in page
