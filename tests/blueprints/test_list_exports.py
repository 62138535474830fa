"""Lists of people as files (domain.md §12): asked for with a reason, by a second person where they are long
or have full numbers, marked, written down and gone after a week; and the jobs that one has asked for."""

import csv
import io
import re
from datetime import timedelta
from uuid import UUID

import openpyxl
import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import delete, func, select

from dingkao import clock
from dingkao.assessments.enrolment import enrol
from dingkao.assessments.models import Assessment
from dingkao.database.base import db, new_id
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.doctors.models import Doctor
from dingkao.errors import NotFound
from dingkao.integrations import file_pieces
from dingkao.jobs.models import Job
from dingkao.journal.entries import TERMINAL_ACTOR, invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.people import list_exports, list_files
from dingkao.people.institution_imports import import_institutions
from dingkao.people.models import ExportRequest, Membership, Organisation, SignInSession
from dingkao.people.provinces import open_province
from tests import actors, sample_data
from tests.blueprints.list_export_steps import ask_for_file, export_address
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "heilongjiang", 23
LIST = f"/{SLUG}/office/inclusion"
JOBS = f"/{SLUG}/office/work"
HEADINGS = ["姓名", "证件号码", "级别", "执业类别", "主要执业机构", "科室", "状态", "代填"]


@pytest.fixture(scope="module")
def ground(application, in_province):
    """Three institutions with three doctors each, all on the list; one department that would be a formula."""
    with in_province(SLUG) as province:
        open_province(province, by=TERMINAL_ACTOR)
        import_institutions(sample_data.institutions_csv(CODE), by=TERMINAL_ACTOR)
        roster_rows = [sample_data.roster_row(CODE, serial, at=serial % 3 + 1) for serial in range(9)]
        actors.put_on_roster(*roster_rows)
        enrol(actors.get_or_open_cycle())
        for doctor in db.session.scalars(select(Doctor)):
            doctor.department = "=HYPERLINK(1)"
        db.session.commit()


@pytest.fixture(scope="module")
def people(application, in_province, ground):
    """Somebody of each kind, by a short name."""

    def at(role, number):
        return signed_in_client(
            application, in_province, SLUG, role, sample_data.registration_number(CODE, number)
        )

    return {
        "clerk": at("institution_clerk", 1),
        "reviewer": at("institution_reviewer", 1),
        "colleague": at("institution_reviewer", 1),
        "stranger": at("institution_reviewer", 2),
        "admin": signed_in_client(application, in_province, SLUG, "province_admin"),
    }


def text(answer):
    return answer.get_data(as_text=True)


def download(client, application, in_province, job_page):
    """The file of a job that a worker has done."""
    actors.run_pending_jobs(application, in_province, SLUG)
    answer = client.get(f"{job_page}/sheet.xlsx")
    assert answer.status_code == 200, text(client.get(job_page))
    return answer


def expected_rows(in_province, number=None, *, full=False):
    """What the file of the list should hold, by institution."""
    with in_province(SLUG):
        query = (
            select(Assessment, Doctor, Organisation)
            .join(Doctor, Doctor.id == Assessment.doctor_id)
            .join(Organisation, Organisation.id == Assessment.institution_id)
            .order_by(Assessment.id)
        )
        if number:
            query = query.where(
                Organisation.registration_number == sample_data.registration_number(CODE, number)
            )
        return [
            [
                doctor.name,
                document_number_of(doctor) if full else doctor.number_masked,
                "执业医师",
                "临床",
                organisation.name,
                doctor.department,
                "未纳入",
                "",
            ]
            for _, doctor, organisation in db.session.execute(query)
        ]


def test_a_list_becomes_a_file_that_says_who_when_and_why(application, in_province, people):
    clerk = people["clerk"]
    refused = ask_for_file(clerk, LIST, reason=" ", file_format="csv")
    assert refused.status_code == 422
    assert "请填写用途" in text(refused)
    assert re.search(r'value="csv"\s+checked', text(refused)), "what was chosen stays"
    for page in (text(clerk.get(export_address(clerk, LIST))), text(refused)):
        assert re.search(rf'href="{LIST}[^"]*">‹ 返回名单', page)
    elsewhere = text(clerk.get(f"{export_address(clerk, LIST).partition('&back=')[0]}&back=//example.org/"))
    assert "返回名单" not in elsewhere
    answer = ask_for_file(clerk, LIST, reason="报送 =市卫健委")
    file = download(clerk, application, in_province, answer.location)
    workbook = CalamineWorkbook.from_filelike(io.BytesIO(file.data))
    assert workbook.sheet_names == ["考核名单", "说明"]
    assert workbook.get_sheet_by_name("考核名单").to_python() == [HEADINGS, *expected_rows(in_province, 1)]
    facts = dict(workbook.get_sheet_by_name("说明").to_python())
    assert facts["用途"] == "报送 =市卫健委"
    assert facts["名单"] == "考核名单（未纳入）"
    assert "测试人员" in facts["导出"]
    sheet = openpyxl.load_workbook(io.BytesIO(file.data)).worksheets[0]
    assert "测试人员" in sheet.oddFooter.left.text
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} == {"s"}, "nothing is calculated"
    with in_province(SLUG):
        request_id = UUID(facts["编号"])
        query = select(JournalEntry).where(JournalEntry.subject_id == request_id).order_by(JournalEntry.id)
        entries = db.session.scalars(query).all()
        assert [entry.verb for entry in entries] == ["asked", "downloaded"]
        assert (entries[0].reason, entries[0].details["people"]) == ("报送 =市卫健委", 3)
        assert invalid_entries(request_id) == []
    assert people["admin"].get(f"{answer.location}/sheet.xlsx").status_code == 404


def test_a_csv_opens_in_excel_with_chinese_and_without_formulas(application, in_province, people):
    answer = ask_for_file(people["admin"], LIST, file_format="csv")
    file = download(people["admin"], application, in_province, answer.location)
    assert file.data.startswith(b"\xef\xbb\xbf")
    assert file.mimetype == "text/csv"
    assert int(file.headers["Content-Length"]) == len(file.data)
    lines = file.data.decode("utf-8-sig").split("\r\n")
    assert not any("\n" in line for line in lines)
    csv_rows = list(csv.reader(lines))
    expected = [[*cells[:5], f"'{cells[5]}", *cells[6:]] for cells in expected_rows(in_province)]
    assert csv_rows[:10] == [HEADINGS, *expected]
    assert "用途：报送市卫健委" in csv_rows[11][0]


def test_more_than_a_clerk_may_have_takes_two_reviewers(application, in_province, people, monkeypatch):
    monkeypatch.setattr(list_files, "MAX_PEOPLE", 2)
    address = export_address(people["clerk"], LIST)
    assert "请返回缩小范围，或请他们导出。" in text(people["clerk"].get(address))
    form = {
        "request_id": str(new_id()),
        "list": "records",
        "view": "",
        "reason": "报送",
        "file_format": "csv",
    }
    refused = post_form(people["clerk"], f"/{SLUG}/office/exports/new", LIST, **form)
    assert (refused.status_code, "并经另一人确认" in text(refused)) == (422, True)
    place = ask_for_file(people["reviewer"], LIST).location
    assert "/office/exports/" in place
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "等待另一人确认" in text(people["reviewer"].get(JOBS))
    approve = {"address": f"{place}/approve", "page": f"/{SLUG}/password"}
    assert post_form(people["reviewer"], **approve).status_code == 403
    assert post_form(people["clerk"], **approve).status_code == 403
    assert post_form(people["stranger"], **approve).status_code == 404
    assert people["stranger"].get(place).status_code == 404
    assert "名单导出等待您确认" in text(people["colleague"].get(f"/{SLUG}/office"))
    assert place in text(people["colleague"].get(f"/{SLUG}/office/exports"))
    assert f"{place}/approve" in text(people["colleague"].get(place))
    for _ in range(2):
        assert post_form(people["colleague"], **approve).status_code == 303
    job_page = re.search(rf'href="({JOBS}/[0-9a-f-]+)"', text(people["reviewer"].get(place)))[1]
    file = download(people["reviewer"], application, in_province, job_page)
    facts = dict(CalamineWorkbook.from_filelike(io.BytesIO(file.data)).get_sheet_by_name("说明").to_python())
    assert "测试人员" in facts["确认"]
    with in_province(SLUG):
        request_id = UUID(place.rsplit("/", 1)[1])
        jobs = select(func.count()).select_from(Job).where(Job.subject_id == request_id)
        assert db.session.scalar(jobs) == 1, "approved twice is approved once"


def test_full_numbers_take_two_persons_and_are_for_nobody_else(application, in_province, people):
    form_page = text(people["clerk"].get(export_address(people["clerk"], LIST)))
    assert "is_unmasked" not in form_page
    assert ask_for_file(people["clerk"], LIST, is_unmasked="y").status_code == 422
    place = ask_for_file(people["reviewer"], LIST, is_unmasked="y").location
    assert "包含完整证件号码" in text(people["admin"].get(f"/{SLUG}/office/exports"))
    post_form(people["admin"], f"{place}/approve", page=place)
    job_page = re.search(rf'href="({JOBS}/[0-9a-f-]+)"', text(people["reviewer"].get(place)))[1]
    file = download(people["reviewer"], application, in_province, job_page)
    workbook = CalamineWorkbook.from_filelike(io.BytesIO(file.data))
    assert workbook.get_sheet_by_index(0).to_python()[1:] == expected_rows(in_province, 1, full=True)


def test_what_is_withdrawn_is_never_built(people):
    place = ask_for_file(people["reviewer"], LIST, is_unmasked="y").location
    assert post_form(people["reviewer"], f"{place}/withdraw", page=place).status_code == 303
    over = post_form(people["colleague"], f"{place}/approve", page=f"/{SLUG}/password")
    assert (over.status_code, "已撤回" in text(over)) == (409, True)


def test_a_form_sent_twice_asks_once(in_province, people):
    address = export_address(people["clerk"], LIST)
    request_id = re.search(r'name="request_id"[^>]*value="([^"]+)"', text(people["clerk"].get(address)))[1]
    places = {ask_for_file(people["clerk"], LIST, request_id=request_id).location for _ in range(2)}
    assert len(places) == 1
    assert ask_for_file(people["reviewer"], LIST, request_id=request_id).status_code == 404
    assert ask_for_file(people["clerk"], LIST, request_id="x").status_code == 422


def test_what_grew_or_is_granted_no_more_is_not_built(application, in_province, people, monkeypatch):
    place = ask_for_file(people["clerk"], LIST).location
    monkeypatch.setattr(list_files, "MAX_PEOPLE", 2)
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "须经另一人确认" in text(people["clerk"].get(place))
    monkeypatch.undo()
    leaver = signed_in_client(
        application, in_province, SLUG, "institution_clerk", sample_data.registration_number(CODE, 1)
    )
    built = ask_for_file(leaver, LIST).location
    download(leaver, application, in_province, built)
    waiting = ask_for_file(leaver, LIST).location
    with in_province(SLUG):
        db.session.execute(delete(Membership).where(Membership.account_id == leaver.account_id))
        db.session.commit()
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "没有此项权限" in text(leaver.get(waiting))
    assert leaver.get(f"{built}/sheet.xlsx").status_code == 403


def test_a_file_goes_after_a_week(application, in_province, people, monkeypatch):
    monkeypatch.setattr(file_pieces, "PIECE_BYTES", 1000)
    job_page = ask_for_file(people["clerk"], LIST).location
    file = download(people["clerk"], application, in_province, job_page)
    assert file.data[:2] == b"PK"
    job_id = UUID(job_page.rsplit("/", 1)[1])
    with in_province(SLUG):
        job = db.session.scalars(select(Job).where(Job.id == job_id)).one()
        pieces = job.result["pieces"]
        assert pieces == -(-len(file.data) // 1000) > 1
        assert job.file_expires_at > clock.now() + timedelta(days=6, hours=23)
        assert list_exports.delete_expired_files() == 0
        job.file_expires_at = clock.now()
        db.session.commit()
        assert list_exports.delete_expired_files() == 1
        db.session.commit()
        for number in range(pieces):
            with pytest.raises(NotFound):
                file_pieces.load_piece(job_id, number)
        assert list_exports.delete_expired_files() == 0
    gone = people["clerk"].get(f"{job_page}/sheet.xlsx")
    assert (gone.status_code, list_exports.EXPIRED_MESSAGE in text(gone)) == (404, True)
    page = text(people["clerk"].get(job_page))
    assert "已经删除" in page
    assert export_address(people["clerk"], job_page), "the way to have it again"


def bell(client):
    return client.get(f"{JOBS}/unseen").get_json()["count"]


def test_the_bell_counts_what_has_ended_until_it_is_looked_at(application, in_province, people):
    clerk = people["clerk"]
    post_form(clerk, f"{JOBS}/seen", page=f"/{SLUG}/password")
    assert bell(clerk) == 0
    places = [ask_for_file(clerk, LIST).location for _ in range(3)]
    assert bell(clerk) == 0, "nothing has ended"
    actors.run_pending_jobs(application, in_province, SLUG)
    assert bell(clerk) == 3
    assert text(clerk.get(JOBS)).count("未查看") >= 3
    assert re.search(r"data-job-bell-count\s*>3<", text(clerk.get(LIST)))
    clerk.get(places[0])
    assert bell(clerk) == 2
    post_form(clerk, f"{JOBS}/seen", page=JOBS)
    assert bell(clerk) == 0
    assert bell(people["colleague"]) == 0


def test_an_open_page_that_asks_by_itself_keeps_no_session_alive(in_province, people):
    def last_seen():
        with in_province(SLUG):
            query = select(SignInSession.seen_at).where(SignInSession.account_id == client.account_id)
            return db.session.scalars(query).one()

    client = people["colleague"]
    with in_province(SLUG):
        session = db.session.scalars(
            select(SignInSession).where(SignInSession.account_id == client.account_id)
        ).one()
        session.seen_at = long_ago = clock.now() - timedelta(minutes=10)
        db.session.commit()
    bell(client)
    assert last_seen() == long_ago
    client.get(JOBS)
    assert last_seen() > long_ago


def test_what_only_reads_is_done_again_from_its_page(application, in_province, people):
    admin = people["admin"]
    post_form(admin, f"/{SLUG}/office/journal/verify", page=f"/{SLUG}/office/journal")
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        newest = select(Job).where(Job.name == "verify_journal").order_by(Job.id.desc()).limit(1)
        job_page = f"{JOBS}/{db.session.scalars(newest).one().id}"
    assert f"{job_page}/repeat" in text(admin.get(job_page))
    repeated = post_form(admin, f"{job_page}/repeat", page=job_page).location
    assert repeated not in ("", job_page)
    assert post_form(admin, f"{job_page}/repeat", page=job_page).location == repeated, "once while it waits"
    export_page = ask_for_file(people["clerk"], LIST).location
    actors.run_pending_jobs(application, in_province, SLUG)
    answer = post_form(people["clerk"], f"{export_page}/repeat", page=f"/{SLUG}/password")
    assert answer.status_code == 409, "a list is asked for anew with its reason"
    assert post_form(people["clerk"], f"{job_page}/repeat", page=f"/{SLUG}/password").status_code == 404


def test_requests_of_others_are_nobodys(in_province, people):
    place = ask_for_file(people["admin"], LIST, is_unmasked="y").location
    for name in ("clerk", "reviewer", "stranger"):
        assert people[name].get(place).status_code == 404, name
    with in_province(SLUG):
        request = db.session.scalars(
            select(ExportRequest).where(ExportRequest.id == UUID(place.rsplit("/", 1)[1]))
        ).one()
        assert (request.organisation_id, request.people) == (None, 9)
