"""Photos in bulk by HTTP: a zip is checked and imported; who is matched, what is refused and why, and which
photos are left as they are."""

import io
import zipfile

import pytest
from sqlalchemy import delete, select, update

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.filings.models import Document, Filing
from dingkao.integrations.storage import current_store
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "hainan", 46
PLACE = sample_data.registration_number(CODE, 1)
PAGE = f"/{SLUG}/office/photos"
OTHER_PLACE = {
    "机构登记号": sample_data.registration_number(CODE, 2),
    "主要执业机构": sample_data.institution_name(CODE, 2),
}
PRACTICE = "110460000012345"
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def doctors(application, in_province):
    """Two who haven't begun, one of whom is named by the certificate; one who has submitted; one of another
    institution."""
    made = {
        name: actors.signed_in_doctor(application, in_province, SLUG, next(_serial), **cells)
        for name, cells in (
            ("number", {}),
            ("practice", {"执业证书编码": PRACTICE}),
            ("submitted", {}),
            ("elsewhere", OTHER_PLACE),
        )
    }
    actors.advance_to(in_province, made["submitted"], "institution_pending")
    return made


@pytest.fixture(autouse=True)
def nothing_filed(in_province, doctors):
    """Nobody has a photo, and only the one who has submitted has begun, whatever tests did before."""
    is_submitted = Assessment.id == doctors["submitted"].record_id
    with in_province(SLUG):
        db.session.execute(delete(Document))
        db.session.execute(delete(Filing))
        db.session.execute(update(Assessment).where(~is_submitted).values(state="included"))
        db.session.commit()


@pytest.fixture(scope="module")
def clerk(application, in_province, doctors):
    return signed_in_client(application, in_province, SLUG, "institution_clerk", PLACE)


def archive(**files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as written:
        for name, content in files.items():
            written.writestr(name, content)
    return packed.getvalue()


def send(application, in_province, client, content, **fields):
    """Send an archive, let its job run; the job's address and page."""
    answer = post_form(client, PAGE, file=(io.BytesIO(content), "照片.zip"), **fields)
    actors.run_pending_jobs(application, in_province, SLUG)
    return answer.location, client.get(answer.location).get_data(as_text=True)


def photos_of(in_province, doctors):
    """Name → the id of the doctor's photo, None for none; the states stay what they were."""
    with in_province(SLUG):
        known = dict(db.session.execute(select(Filing.doctor_id, Filing.photo_id)).all())
    return {name: known.get(doctor.doctor_id) for name, doctor in doctors.items()}


def test_an_archive_is_checked_and_then_imported(application, in_province, clerk, doctors):
    portrait = actors.portrait_image()
    content = archive(
        **{
            f"内科/{doctors['number'].number.lower()}.JPG": portrait,
            f"{PRACTICE}.jpeg": actors.portrait_image(colour="#ffffff"),
            f"{doctors['submitted'].number}.jpg": portrait,
            f"{doctors['elsewhere'].number}.jpg": portrait,
            f"copy/{doctors['number'].number}.png": portrait,
            f"copy/{doctors['number'].number[:6]}-{doctors['number'].number[6:]}.png": portrait,
            "名单.txt": b"text",
            "460105199901011234.jpg": b"no picture",
            "__MACOSX/._x.jpg": b"",
        }
    )
    before = photos_of(in_province, doctors)
    job, report = send(application, in_province, clerk, content, check="1")
    for reason in ("已提交或已审核", "没有这个号码的医师", "另一张照片", "不是jpg或png"):
        assert reason in report, reason
    assert report.count("另一张照片") == 2, "also under a number that is written differently"
    assert "新增 2" in report
    assert photos_of(in_province, doctors) == before
    post_form(clerk, f"{job}/confirm", page=job)
    actors.run_pending_jobs(application, in_province, SLUG)
    after = photos_of(in_province, doctors)
    assert {name for name in doctors if after[name] != before[name]} == {"number", "practice"}
    assert actors.record_state(in_province, SLUG, doctors["number"].record_id) == "included"
    _, repeated = send(application, in_province, clerk, content)
    assert "未变 2" in repeated
    assert photos_of(in_province, doctors) == after
    with in_province(SLUG):
        current_store().delete("photo", after["number"])
    _, replaced = send(application, in_province, clerk, content)
    assert "新增 1" in replaced, "a photo whose file is lost is stored again"
    assert "未变 1" in replaced


def test_a_photo_of_a_draft_is_replaced_and_a_bad_picture_refused(application, in_province, clerk, doctors):
    send(
        application,
        in_province,
        clerk,
        archive(**{f"{doctors['number'].number}.jpg": actors.portrait_image()}),
    )
    before = photos_of(in_province, doctors)["number"]
    content = archive(
        **{
            f"{doctors['number'].number}.jpg": actors.portrait_image(colour="#ddeeff"),
            f"{doctors['practice'].number}.jpg": b"\xff\xd8\xff damaged",
        }
    )
    _, report = send(application, in_province, clerk, content)
    assert "更新 1" in report
    assert "不是可以识别的照片" in report
    after = photos_of(in_province, doctors)["number"]
    assert after != before
    with in_province(SLUG):
        kept = db.session.scalars(select(Document.id).where(Document.kind == "photo")).all()
    assert after in kept
    assert before not in kept


@pytest.mark.parametrize("content", [b"no archive", archive()], ids=["text", "empty"])
def test_what_is_no_archive_of_photos_is_refused(clerk, content):
    answer = post_form(clerk, PAGE, file=(io.BytesIO(content), "照片.zip"))
    assert answer.status_code == 422


def test_the_doctor_goes_on_with_the_imported_photo(application, in_province, doctors, clerk):
    doctor = doctors["practice"]
    send(application, in_province, clerk, archive(**{f"{PRACTICE}.jpg": actors.portrait_image()}))
    doctor.post("/filing/notice")
    assert doctor.client.get(f"/{SLUG}/filing/photo.jpg").status_code == 200
    doctor.save(1, {"email": "a@example.com"})
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "draft"
