"""代填 by HTTP: a clerk fills in on the doctor's pages, every step is marked, the doctor confirms by code or
signature before it is submitted, and whoever reads the filing sees it."""

import io
import re

import pytest
from sqlalchemy import select

from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.filings.models import Filing
from dingkao.integrations.pdf import formulas
from dingkao.integrations.sandbox import runner
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.journal.entries import invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Notice
from dingkao.question_banks.importers import question_files
from tests import actors, sample_data
from tests.blueprints.list_export_steps import export_address
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "hubei", 42
FIRST, SECOND = sample_data.registration_number(CODE, 1), sample_data.registration_number(CODE, 2)
_serial = actors.unused_serials(SLUG)


class Desk:
    """A clerk who assists one doctor."""

    def __init__(self, client, doctor):
        self.client, self.doctor = client, doctor
        self.base = f"/{SLUG}/office/assist/{doctor.record_id}"

    def get(self, address=""):
        return self.client.get(f"{self.base}{address}").get_data(as_text=True)

    def post(self, address, /, page="", **data):
        return post_form(self.client, f"{self.base}{address}", page=f"{self.base}{page}", **data)

    def save(self, step, values, **more):
        page = self.get(f"/filing/{step}")
        revision = re.search(r'name="revision" value="(\d+)"', page)[1]
        return self.post(f"/filing/{step}", page=f"/filing/{step}", revision=revision, **values, **more)

    def fill_in(self):
        """All five steps with a photo, as the pages send them."""
        assert self.post("/begin", reason="住院，不能使用手机").status_code == 303
        self.save(1, actors.BASIC)
        self.save(2, actors.PRACTICE)
        for kind, entry in actors.ENTRIES.items():
            address = f"/filing/list/{kind}/new"
            assert self.post(address, page=address, **entry).status_code == 303
        self.save(4, actors.WORK)
        self.save(5, {"procedure": "general", "promise": "yes"})
        photo = (io.BytesIO(actors.portrait_image()), "photo.jpg")
        assert self.post("/filing/photo", page="/filing/photo", photo=photo).status_code == 303

    def ask_for_code(self, application, in_province):
        """Have a code sent; what went to the doctor's phone."""
        assert "验证码将在一分钟内送达" in self.post("/confirm", send="1").get_data(as_text=True)
        application.extensions["background_sms"].wait_until_sent()
        with in_province(SLUG):
            messages = [
                message
                for message in application.extensions["sms"].messages()
                if message["mobile"] == self.doctor.mobile
            ]
        return re.search(r"\d{6}", messages[0]["text"])[0]


@pytest.fixture(scope="module")
def clerk(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    return signed_in_client(application, in_province, SLUG, "institution_clerk", FIRST)


@pytest.fixture
def desk(application, in_province, clerk, clean_counters):
    serial = next(_serial)
    doctor = actors.signed_in_doctor(application, in_province, SLUG, serial)
    doctor.mobile = f"138{serial:08d}"
    return Desk(clerk, doctor)


def filing_of(in_province, desk):
    with in_province(SLUG):
        return db.session.scalars(select(Filing).where(Filing.doctor_id == desk.doctor.doctor_id)).one()


def revision_of(desk):
    return re.search(r'name="revision" value="(\d+)"', desk.get())[1]


def test_a_clerk_fills_in_the_doctor_confirms_by_code_and_it_is_submitted(application, in_province, desk):
    assert desk.client.get(f"{desk.base}/filing/1").status_code == 409, "not begun"
    assert desk.post("/begin", reason=" ").status_code == 422
    desk.fill_in()
    filing = filing_of(in_province, desk)
    assert sorted(filing.assistance["steps"]) == ["1", "2", "3", "4", "5"]
    assert {mark["name"] for mark in filing.assistance["steps"].values()} == {"测试人员"}
    refused = desk.post("/submit")
    assert refused.status_code == 409
    assert "须由本人确认" in refused.get_data(as_text=True)
    code = desk.ask_for_code(application, in_province)
    wrong_code = "000000" if code != "000000" else "000001"
    assert desk.post("/confirm", sms_code=wrong_code).status_code == 422
    assert desk.post("/confirm", sms_code=code).status_code == 303
    assert desk.post("/submit").status_code == 303
    assert actors.record_state(in_province, SLUG, desk.doctor.record_id) == "institution_pending"
    assert desk.post("/submit").status_code == 303, "again"
    with in_province(SLUG):
        verbs = db.session.scalars(
            select(JournalEntry.verb).where(JournalEntry.subject_id == filing.id).order_by(JournalEntry.id)
        ).all()
        kinds = db.session.scalars(
            select(Notice.kind)
            .join(Doctor, Doctor.account_id == Notice.account_id)
            .where(Doctor.id == desk.doctor.doctor_id)
            .order_by(Notice.id)
        ).all()
        assert invalid_entries(filing.id) == []
        assert invalid_entries(desk.doctor.record_id) == []
    assert verbs[0] == "assistance_begun"
    assert verbs[-1] == "assistance_confirmed"
    assert kinds[-2:] == ["assistance_begun", "assisted_submitted"]


def test_what_is_saved_after_the_confirmation_asks_for_another(application, in_province, desk):
    desk.fill_in()
    code = desk.ask_for_code(application, in_province)
    desk.save(4, actors.WORK | {"patients": "11000"})
    stale = desk.post("/confirm", sms_code=code)
    assert stale.status_code == 422, "the code was for what stood before"
    # what the process has read and drawn before takes no memory from the form
    runner.preload(sheet_reader.__name__, formulas.__name__, question_files.__name__)
    pdf = desk.client.get(f"{desk.base}/form.pdf")
    assert pdf.data.startswith(b"%PDF-")
    revision = revision_of(desk)
    scan = lambda: (io.BytesIO(actors.portrait_image()), "signed.jpg")  # noqa: E731
    assert desk.post("/signature", signature=scan(), revision=int(revision) - 1).status_code == 422
    assert desk.post("/signature", signature=scan(), revision=revision).status_code == 303
    assert desk.client.get(f"{desk.base}/signature").mimetype == "image/jpeg"
    desk.save(1, actors.BASIC | {"email": "doctor@example.com"})
    assert "须重新确认" in desk.get()
    assert desk.post("/submit").status_code == 409
    assert desk.post("/signature", signature=scan(), revision=revision_of(desk)).status_code == 303
    assert desk.post("/submit").status_code == 303
    assert actors.record_state(in_province, SLUG, desk.doctor.record_id) == "institution_pending"


def test_the_doctor_sees_what_was_filled_in_changes_it_and_submits(application, in_province, desk):
    desk.fill_in()
    doctor = desk.doctor
    doctor.post("/filing/notice")
    page = doctor.get("/filing/4")
    assert "代填：测试人员" in page
    assert "有误的可以直接修改" in page
    doctor.save(4, actors.WORK | {"patients": "9000"})
    assert "本人" in doctor.get("/filing/4").split('id="assistance"')[1].split("</p>")[0]
    assert "代填：测试人员" in doctor.get("/filing/check")
    assert doctor.submit().status_code == 303
    reviewer = signed_in_client(application, in_province, SLUG, "institution_reviewer", FIRST)
    record_page = reviewer.get(f"/{SLUG}/office/review/{doctor.record_id}").get_data(as_text=True)
    assert record_page.count("代填：测试人员") == 5
    assert "住院，不能使用手机" in record_page
    assert "本人自行提交" in record_page
    queue = f"/{SLUG}/office/review"
    assert str(doctor.record_id) in reviewer.get(f"{queue}?assisted=yes").get_data(as_text=True)
    alone = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    actors.advance_to(in_province, alone, "institution_pending")
    assert str(alone.record_id) in reviewer.get(queue).get_data(as_text=True)
    assert str(alone.record_id) not in reviewer.get(f"{queue}?assisted=yes").get_data(as_text=True)


def test_the_list_of_records_says_which_are_filled_in_on_the_doctors_behalf(desk):
    records, address = f"/{SLUG}/office/inclusion?state=all", f"/office/doctors/{desk.doctor.doctor_id}"
    assert address in desk.client.get(records).get_data(as_text=True)
    assert address not in desk.client.get(f"{records}&assisted=yes").get_data(as_text=True)
    desk.post("/begin", reason="住院")
    page = desk.client.get(f"{records}&assisted=yes").get_data(as_text=True)
    assert '<td class=" is-short">代填</td>' in page.split(address)[1].split("</tr>")[0]


def test_what_is_under_way_is_listed_until_it_is_submitted(desk):
    begun = f"/{SLUG}/office/assist"
    desk.post("/begin", reason="住院")
    for query, is_listed in (("", True), ("?state=included", False), ("?since=3", False)):
        page = desk.client.get(f"{begun}{query}").get_data(as_text=True)
        assert (f'href="{desk.base}"' in page) is is_listed, query
    assert "list=assisted_filings" in export_address(desk.client, begun)


def test_only_a_clerk_of_the_doctors_institution_assists(application, in_province, desk):
    for role, place in (
        ("institution_reviewer", FIRST),
        ("province_admin", None),
        ("institution_clerk", SECOND),
    ):
        client = signed_in_client(application, in_province, SLUG, role, place)
        assert client.get(desk.base).status_code in (403, 404), role
        assert client.get(f"{desk.base}/filing/1").status_code in (403, 404), role


def test_whoever_filled_it_in_does_not_review_it(application, in_province, desk):
    desk.fill_in()
    desk.post(
        "/signature", signature=(io.BytesIO(actors.portrait_image()), "a.jpg"), revision=revision_of(desk)
    )
    desk.post("/submit")
    reviewer = signed_in_client(application, in_province, SLUG, "institution_reviewer", FIRST)
    with in_province(SLUG):
        filing = db.session.scalars(
            select(Filing).where(Filing.doctor_id == desk.doctor.doctor_id).with_for_update()
        ).one()
        marks = filing.assistance["steps"] | {
            "1": filing.assistance["steps"]["1"] | {"by": str(reviewer.account_id)}
        }
        filing.assistance = filing.assistance | {"steps": marks}
        db.session.commit()
    base = f"/{SLUG}/office/review/{desk.doctor.record_id}"
    post_form(reviewer, f"{base}/open", page=f"/{SLUG}/password", side="institution")
    answer = post_form(
        reviewer,
        f"{base}/decide",
        page=f"/{SLUG}/password",
        side="institution",
        decision="approve",
        performance="pass",
        ethics="pass",
        text="同意",
    )
    assert answer.status_code == 403
    assert "您代填过这份材料" in answer.get_data(as_text=True)
