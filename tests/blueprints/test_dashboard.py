"""The console by HTTP: assessors, a cycle, a roster, the list."""

import io
import re

import pytest
from sqlalchemy import select, update

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.journal.entries import TERMINAL_ACTOR, invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.people.institution_imports import import_institutions
from dingkao.people.models import Organisation
from dingkao.people.provinces import open_province
from tests import actors, sample_data
from tests.blueprints.list_export_steps import ask_for_file
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "heilongjiang", 23
PLACE = "jiangxi"
DAYS = {
    f"{kind}_{end}": day
    for kind in ("filing", "review", "examination", "completion")
    for end, day in (("first", "2020-01-01"), ("last", "2090-12-31"))
}


@pytest.fixture(scope="module")
def ground(in_province):
    """The province with three institutions, two doctors each, and no cycle: no other test has it."""
    with in_province(SLUG) as province:
        open_province(province, by=TERMINAL_ACTOR)
        import_institutions(sample_data.institutions_csv(CODE), by=TERMINAL_ACTOR)
        actors.put_on_roster(
            *(sample_data.roster_row(CODE, serial, at=serial % 3 + 1) for serial in range(6))
        )
        db.session.commit()


def open_cycle(client, slug):
    return post_form(
        client,
        f"/{slug}/office/cycle",
        label="2020年01月-2090年12月",
        starts_on="2020-01-01",
        ends_on="2090-12-31",
        years="3",
        **DAYS,
    )


def test_from_a_cycle_to_the_list(application, ground, in_province):
    admin = signed_in_client(application, in_province, SLUG, "province_admin")
    number = sample_data.registration_number(CODE, 1)
    with in_province(SLUG):
        hospital = db.session.scalars(
            select(Organisation.id).where(Organisation.registration_number == number)
        ).one()
    assert open_cycle(admin, SLUG).status_code == 303
    cycle = open_cycle(admin, SLUG)
    assert cycle.status_code == 422
    assert "还没有结束，不能开始新的周期：各阶段到2090年12月31日才结束。" in cycle.get_data(as_text=True)
    actors.run_pending_jobs(application, in_province, SLUG)

    clerk = signed_in_client(application, in_province, SLUG, "institution_clerk", number)
    roster_rows = [
        sample_data.roster_row(CODE, serial, at=1, 执业范围="某科") for serial in range(300, 304)
    ] + [sample_data.roster_row(CODE, 310, at=2)]
    place = post_form(
        clerk, f"/{SLUG}/office/roster", file=(io.BytesIO(sample_data.roster_xlsx(roster_rows)), "名单.xlsx")
    ).location
    assert "等待处理" in clerk.get(place).get_data(as_text=True)
    assert admin.get(place).status_code == 404
    actors.run_pending_jobs(application, in_province, SLUG)
    report = clerk.get(place).get_data(as_text=True)
    assert "新增 4，更新 0，未变 0，拒绝 1" in report
    assert "不是本机构的医师" in report
    assert "不认识的执业范围" in report
    assert roster_rows[4]["证件号码"] not in report
    sheet = list(
        sheet_reader.read_rows(
            clerk.get(f"{place}/report.xlsx").data,
            {"row": ("行",), "reason": ("原因",), "number": ("证件号码",)},
            ("row",),
        )
    )
    assert [(sheet_row.text("row"), sheet_row.text("number")) for sheet_row in sheet] == [
        ("6", roster_rows[4]["证件号码"])
    ]

    refused = post_form(clerk, f"/{SLUG}/office/inclusion", all="1").location
    actors.run_pending_jobs(application, in_province, SLUG)
    text = clerk.get(refused).get_data(as_text=True)
    assert "已纳入 0，未办理 " in text
    assert "尚未指定所属考核机构" in text

    assert (
        post_form(
            admin, f"/{SLUG}/office/institutions/{hospital}", assesses="y", assessor=str(hospital)
        ).status_code
        == 303
    )
    page = clerk.get(f"/{SLUG}/office/inclusion").get_data(as_text=True)
    waiting = re.findall(r'name="record"\s+value="([^"]+)"', page)
    assert len(waiting) >= 4
    post_form(clerk, f"/{SLUG}/office/inclusion", record=waiting[0])
    assert "待填报 1" in clerk.get(f"/{SLUG}/office/inclusion").get_data(as_text=True)
    post_form(clerk, f"/{SLUG}/office/inclusion?twice", page=f"/{SLUG}/office/inclusion", record=waiting[0])
    place = post_form(clerk, f"/{SLUG}/office/inclusion", all="1").location
    actors.run_pending_jobs(application, in_province, SLUG)
    assert f"已纳入 {len(waiting) - 1}，未办理 0" in clerk.get(place).get_data(as_text=True)
    reviewer = signed_in_client(application, in_province, SLUG, "institution_reviewer", number)
    tasks = reviewer.get(f"/{SLUG}/office").get_data(as_text=True)
    assert re.search(rf"已纳入，还没有登录过的医师\D+{len(waiting)}\D", tasks)
    unopened = reviewer.get(f"/{SLUG}/office/gaps?list=not_signed_in").get_data(as_text=True)
    assert f"{SLUG}/office/gaps?list=not_signed_in" in tasks
    assert f"已纳入未登录 {len(waiting)}" in unopened
    list_page = clerk.get(f"/{SLUG}/office/inclusion?state=included").get_data(as_text=True)
    assert f"待填报 {len(waiting)}" in list_page
    assert f"全部未提交 {len(waiting)}" in list_page
    job_page = ask_for_file(clerk, f"/{SLUG}/office/inclusion?state=unsubmitted").location
    actors.run_pending_jobs(application, in_province, SLUG)
    exported = sheet_reader.read_rows(
        clerk.get(f"{job_page}/sheet.xlsx").data,
        {"name": ("姓名",), "state": ("状态",)},
        ("name",),
    )
    assert [sheet_row.text("state") for sheet_row in exported] == ["待填报"] * len(waiting)
    with in_province(SLUG):
        moves = db.session.scalars(select(JournalEntry).where(JournalEntry.verb == "include")).all()
        assert len(moves) == len(waiting)
        assert {(entry.state_before, entry.state_after) for entry in moves} == {("not_included", "included")}
        assert invalid_entries(moves[0].subject_id) == []


def test_a_clerk_has_no_way_to_anothers_doctors(application, ground, in_province):
    clerk = signed_in_client(
        application, in_province, SLUG, "institution_clerk", sample_data.registration_number(CODE, 2)
    )
    with in_province(SLUG):
        organisation_id = db.session.scalars(
            select(Organisation.id).where(
                Organisation.registration_number == sample_data.registration_number(CODE, 2)
            )
        ).one()
        doctor_id = db.session.scalars(
            select(Doctor.id).where(Doctor.organisation_id != organisation_id)
        ).first()
        own_doctor_id = db.session.scalars(
            select(Doctor.id).where(Doctor.organisation_id == organisation_id)
        ).first()
    assert (
        post_form(
            clerk, f"/{SLUG}/office/doctors/{doctor_id}/code", page=f"/{SLUG}/office/doctors"
        ).status_code
        == 403
    )
    answer = post_form(clerk, f"/{SLUG}/office/doctors/{own_doctor_id}/code", page=f"/{SLUG}/office/doctors")
    assert re.search(r"[2-9A-Z]{5}-[2-9A-Z]{5}", answer.get_data(as_text=True))
    assert clerk.get(f"/{SLUG}/office/staff").status_code == 403


def test_a_clerk_neither_includes_nor_removes_anothers_doctors(application, in_province):
    first, second = (
        actors.signed_in_doctor(application, in_province, PLACE, serial, included=False)
        for serial in (171, 172)
    )
    with in_province(PLACE):
        query = select(Organisation.id).where(
            Organisation.registration_number == sample_data.registration_number(36, 2)
        )
        elsewhere = update(Assessment).where(Assessment.id == second.record_id)
        db.session.execute(elsewhere.values(institution_id=db.session.scalars(query).one()))
        db.session.commit()
    clerk = signed_in_client(
        application, in_province, PLACE, "institution_clerk", sample_data.registration_number(36, 1)
    )
    page, record_ids = f"/{PLACE}/office/inclusion", [first.record_id, second.record_id]
    post_form(clerk, page, record=[*map(str, record_ids)])
    assert [actors.record_state(in_province, PLACE, record) for record in record_ids] == [
        "included",
        "not_included",
    ]
    admin = signed_in_client(application, in_province, PLACE, "province_admin")
    post_form(admin, page, record=[*map(str, record_ids)])
    post_form(clerk, f"{page}/remove", page=page, record=[*map(str, record_ids)], reason="已调离")
    assert [actors.record_state(in_province, PLACE, record) for record in record_ids] == [
        "not_included",
        "included",
    ]


def test_bad_files_are_refused_in_words(application, provinces, in_province):
    admin = signed_in_client(application, in_province, "henan", "province_admin")
    for content, sentence in (
        (b"PK\x03\x04 not a zip", "文件已损坏"),
        (b"\xd0\xcf\x11\xe0old", "旧版Excel"),
        (b"\x89PNG\0\0", "不是Excel"),
        (b"a,b\n1,2\n", "缺少列"),
    ):
        answer = post_form(admin, "/henan/office/roster", file=(io.BytesIO(content), "x.xlsx"))
        assert answer.status_code == 422
        assert sentence in answer.get_data(as_text=True)
    assert "请选择文件" in post_form(admin, "/henan/office/roster").get_data(as_text=True)


def test_what_the_forms_library_refuses_is_told_in_chinese(application, provinces, in_province):
    admin = signed_in_client(application, in_province, "henan", "province_admin")
    page = post_form(
        admin,
        "/henan/office/cycle",
        label="x",
        starts_on="30.2.2020",
        ends_on="",
        years="三",
        **DAYS,
    ).get_data(as_text=True)
    assert page.count("日期无法识别") == page.count("请选择结束日期") > 0
    assert "请选择开始日期" not in page
    assert "请填写整数" in page
    assert "请填写年数" not in page
    assert "Not a valid" not in page
