"""The console's lists of institutions, staff and of those who should take part and don't: filtered, searched
and exported as every list; what is done to those who are on one."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.gap_messages import notify_gap_batch
from dingkao.assessments.models import Assessment
from dingkao.assessments.record_counts import recount
from dingkao.database.base import db
from dingkao.database.listing.definitions import ListViewer
from dingkao.database.listing.list_counts import count_list
from dingkao.database.listing.list_states import ListState
from dingkao.doctors.disposition_models import DoctorDisposition
from dingkao.doctors.models import Doctor
from dingkao.jobs.models import Job
from dingkao.people import list_files
from dingkao.people.institution_list import INSTITUTION_LIST
from dingkao.people.models import Account, ExportRequest, Membership, Organisation
from dingkao.people.scopes import WHOLE_PROVINCE
from tests import actors, sample_data
from tests.blueprints.list_export_steps import ask_for_file, export_address
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "shanxi", 14
FIRST, SECOND = (sample_data.registration_number(CODE, serial) for serial in (1, 2))
INSTITUTIONS, STAFF, GAPS = (f"/{SLUG}/office/{name}" for name in ("institutions", "staff", "gaps"))


@pytest.fixture(scope="module")
def admin(application, in_province, provinces):
    """An administrator of 山西, in a cycle in which each of its six doctors has a record."""
    with in_province(SLUG):
        actors.enrolment.enrol(actors.get_or_open_cycle())
        db.session.execute(update(Doctor).values(department="内科"))
        db.session.commit()
    return signed_in_client(application, in_province, SLUG, "province_admin")


def page_of(client, address):
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return answer.get_data(as_text=True)


def first_cells(page):
    """The text of the first column of each row."""
    body = page.partition("data-listing")[2].partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    rows = [row for row in rows if "empty-row" not in row]
    cells = [re.findall(r'<td class="(?!checkbox)[^"]*">(.*?)</td>', row, re.DOTALL) for row in rows]
    return [re.sub(r"<[^>]+>", "", row_cells[0]).strip() for row_cells in cells]


def institution(number):
    return db.session.scalars(select(Organisation).where(Organisation.registration_number == number)).one()


def test_institutions_are_filtered_by_what_they_are_and_lack(application, in_province, admin):
    signed_in_client(application, in_province, SLUG, "institution_reviewer", FIRST)
    with in_province(SLUG):
        first, second = institution(FIRST), institution(SECOND)
        first_id, division, names = first.id, second.division, (first.name, second.name)
        with_reviewer = first.name
        assessor_id = first.assessment_organisation_id
        count = len(db.session.scalars(select(Organisation.id)).all())
    every = first_cells(page_of(admin, INSTITUTIONS))
    assert set(names) <= set(every)
    assert f"共{count}家，按名称排列。" in page_of(admin, INSTITUTIONS)
    without = first_cells(page_of(admin, f"{INSTITUTIONS}?lacks=reviewer"))
    assert with_reviewer not in without
    assert 0 < len(without) < count
    is_reviewer = Account.id.in_(
        select(Membership.account_id).where(
            Membership.organisation_id == first_id, Membership.role == "institution_reviewer"
        )
    )
    for state in ("closed", "active"):
        with in_province(SLUG):
            db.session.execute(update(Account).where(is_reviewer).values(state=state))
            db.session.commit()
        lacking = first_cells(page_of(admin, f"{INSTITUTIONS}?lacks=reviewer"))
        assert (with_reviewer in lacking) == (state == "closed")
    with in_province(SLUG):
        chips = count_list(ListState(INSTITUTION_LIST), ListViewer(WHOLE_PROVINCE, None)).choices["lacks"]
    for code, chip in chips.items():
        assert chip.number == len(first_cells(page_of(admin, f"{INSTITUTIONS}?lacks={code}"))), code
    assert first_cells(page_of(admin, f"{INSTITUTIONS}?q={SECOND}")) == [names[1]]
    typed = admin.get(f"{INSTITUTIONS}?division={division[:4]}00")
    assert (typed.status_code, typed.location) == (303, f"{INSTITUTIONS}?division={division[:4]}")
    assert names[1] in first_cells(page_of(admin, f"{INSTITUTIONS}?division={division[:4]}"))
    assert first_cells(page_of(admin, f"{INSTITUTIONS}?division=99")) == []
    assert "没有找到行政区划“某某县”" in page_of(admin, f"{INSTITUTIONS}?division=某某县")
    if assessor_id:
        assert set(names) <= set(first_cells(page_of(admin, f"{INSTITUTIONS}?assessor={assessor_id}")))
    assert first_cells(page_of(admin, f"{INSTITUTIONS}?kind=yes"))
    auditor = signed_in_client(application, in_province, SLUG, "auditor")
    assert ">修改</a>" in page_of(admin, INSTITUTIONS)
    assert ">修改</a>" not in page_of(auditor, INSTITUTIONS)
    assert first_cells(page_of(auditor, f"{INSTITUTIONS}?sort=division")) != []


def test_a_long_list_of_institutions_takes_no_second_person(in_province, admin, monkeypatch):
    monkeypatch.setattr(list_files, "MAX_PEOPLE", 1)
    answer = ask_for_file(admin, f"{INSTITUTIONS}?lacks=contact")
    assert "/office/work/" in answer.location
    with in_province(SLUG):
        asked = db.session.scalars(
            select(ExportRequest).where(ExportRequest.list_code == "institutions")
        ).one()
        assert (asked.needs_approval, asked.title) == (False, "机构名单（没有联系电话）")
    assert "/office/exports/" in ask_for_file(admin, STAFF).location


def test_staff_are_filtered_by_role_place_state_and_last_use(application, in_province, admin):
    signed_in_client(application, in_province, SLUG, "organisation_clerk", SECOND)
    with in_province(SLUG):
        account = db.session.scalars(
            select(Account)
            .join(Membership, Membership.account_id == Account.id)
            .where(Membership.role == "organisation_clerk")
        ).one()
        account.name, account.used_at = "钱一", clock.now() - timedelta(days=40)
        user_name, second_id = account.user_name, institution(SECOND).id
        db.session.commit()
    assert "钱一" in first_cells(page_of(admin, STAFF))
    for query in ("role=organisation_clerk", f"institution={second_id}", "used=30", "q=钱", f"q={user_name}"):
        assert first_cells(page_of(admin, f"{STAFF}?{query}")) == ["钱一"], query
    for query in ("role=question_editor", "used=90", "state=closed", "q=一"):
        assert first_cells(page_of(admin, f"{STAFF}?{query}")) == [], query
    person = sample_data.roster_row(CODE, 1)
    number = next(value for value in person.values() if re.fullmatch(r"\d{17}[\dX]", str(value)))
    refused = post_form(admin, f"{STAFF}/search", STAFF, q=number)
    assert refused.status_code == 200, "a doctor's number gets into no address"
    assert "没有找到这个号码" in refused.get_data(as_text=True)


def test_those_on_a_gap_list_are_narrowed_told_and_exported(application, in_province, admin, monkeypatch):
    with in_province(SLUG):
        records = db.session.scalars(select(Assessment).order_by(Assessment.id)).all()
        records[0].state, records[1].state = "institution_returned", "institution_returned"
        records[0].changed_at = clock.now() - timedelta(days=10)
        recount()
        db.session.commit()
        returned_name = db.session.scalars(select(Doctor.name).where(Doctor.id == records[0].doctor_id)).one()
    page = page_of(admin, f"{GAPS}?list=returned")
    assert "退回未改 2" in page
    assert len(first_cells(page)) == 2
    narrowed = f"{GAPS}?list=returned&since=7"
    assert first_cells(page_of(admin, narrowed)) == [returned_name]
    assert post_form(admin, f"{GAPS}/search?list=returned", f"{GAPS}?list=returned", q="内科").location == (
        f"{GAPS}?list=returned&q=%E5%86%85%E7%A7%91"
    )
    view = re.search(r'name="view" value="([^"]*)"', page_of(admin, narrowed).partition("/message")[2])[1]
    post_form(admin, f"{GAPS}/returned/message", narrowed, view=view)
    with in_province(SLUG):
        job = db.session.scalars(select(Job).where(Job.name == "notify_gap")).one()
        chunk = notify_gap_batch(job, {})
        assert (chunk.done, chunk.counts["told"]) == (1, 1)
    assert "list=gap_returned" in export_address(admin, narrowed)
    assert "/office/work/" in ask_for_file(admin, narrowed).location


def test_all_of_a_view_get_their_disposition_at_once(application, in_province, admin):
    clerk = signed_in_client(application, in_province, SLUG, "institution_clerk", FIRST)
    address = f"{GAPS}?list=not_included&q=%E5%86%85%E7%A7%91"
    count = len(first_cells(page_of(clerk, address)))
    assert 0 < count < 6
    answer = post_form(
        clerk, f"{GAPS}/dispose", address, selection="all", view="q=内科", disposition="retired"
    )
    assert answer.location == address
    assert f"已登记{count}人的去向" in page_of(clerk, answer.location)
    with in_province(SLUG):
        assert len(db.session.scalars(select(DoctorDisposition.id)).all()) == count
    assert "名单上没有人。" in page_of(clerk, f"{GAPS}?list=not_included")
