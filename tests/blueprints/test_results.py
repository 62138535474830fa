"""From scores to a sealed certificate by HTTP: two persons for each step, a list that can't change unseen,
what the public may know."""

import io
import re
import threading
from datetime import date
from functools import partial
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import select, update

from dingkao.assessments.models import Assessment
from dingkao.certificates import (
    certificate_rendering,
    issuing,
    official_seals,
    unissued_certificates,
    unprintable_names,
)
from dingkao.certificates.certificate_queries import valid_certificate
from dingkao.certificates.models import Certificate
from dingkao.cycles.models import Cycle
from dingkao.database.base import db, new_id
from dingkao.errors import NotFound
from dingkao.filings.models import Filing
from dingkao.integrations.storage import current_store
from dingkao.jobs.models import Job
from dingkao.people.models import Organisation
from dingkao.results import line_effects
from dingkao.results.pass_lines import reaches_line
from dingkao.tenants.encryption import DecryptionFailed
from dingkao.tenants.keys import object_key
from tests import actors
from tests.blueprints.list_export_steps import export_address
from tests.blueprints.result_steps import (
    CODE,
    SLUG,
    approve_line,
    certificate_of,
    listed,
    published,
    scored_doctor,
)
from tests.blueprints.signed_in_client import post_form, signed_in_client


def text_of(client, address):
    return client.get(address).get_data(as_text=True)


@pytest.fixture(scope="module")
def ground(application, in_province):
    actors.exam_setup(application, in_province, SLUG)


@pytest.fixture(scope="module")
def admins(application, in_province, ground):
    return [signed_in_client(application, in_province, SLUG, "province_admin") for _ in range(2)]


@pytest.fixture
def scored(application, in_province, ground):
    return partial(scored_doctor, application, in_province)


@pytest.fixture(scope="module")
def line(admins, in_province):
    """The approved line of clinical physicians."""
    approve_line(admins, in_province)


@pytest.fixture(scope="module")
def certified(application, admins, line, in_province):
    """A doctor who has a certificate."""
    doctor = scored_doctor(application, in_province)
    published(application, admins, in_province)
    return doctor


def test_certificates_and_results_are_found_filtered_and_exported(admins, certified, in_province):
    page = f"/{SLUG}/office/certificates"
    with in_province(SLUG):
        serial = certificate_of(certified).serial
    answer = post_form(admins[0], f"{page}/search", page, q=serial.lower())
    assert (answer.status_code, serial in answer.location, "doctor=" in answer.location) == (303, False, True)
    doctor = parse_qs(urlsplit(answer.location).query)["doctor"][0]
    assert serial in text_of(admins[0], answer.location)
    assert serial in text_of(admins[0], f"{page}?doctor={doctor}&state=issued")
    assert serial not in text_of(admins[0], f"{page}?doctor={doctor}&state=revoked")
    assert f"list=certificates&amp;view=doctor%3D{doctor}" in text_of(admins[0], answer.location)
    with in_province(SLUG):
        place, other = db.session.scalars(select(Organisation.id).order_by(Organisation.created_at).limit(2))
    listed_at = [serial in text_of(admins[0], f"{page}?institution={at}") for at in (place, other)]
    assert sorted(listed_at) == [False, True]
    results = text_of(admins[0], f"/{SLUG}/office/conclusions?state=passed&doctor={doctor}")
    assert "共1人" in results
    assert re.search(r">(公共知识)?100(，业务水平100)?</td>\s*<td[^>]*>合格</td>", results)
    assert "没有符合条件的医师" in text_of(
        admins[0], f"/{SLUG}/office/conclusions?state=failed&doctor={doctor}"
    )


def test_from_scores_to_the_certificate(application, admins, line, scored, in_province):
    passing, failing = scored(), scored(right=False)
    assert "尚未发布" in passing.get("/result")
    place = published(application, admins, in_province)
    assert actors.record_state(in_province, SLUG, passing.record_id) == "passed"
    assert actors.record_state(in_province, SLUG, failing.record_id) == "failed"
    assert "您本周期的考核结果已发布,请点击下方“考核结果”查看(一般程序)" in passing.get("/home")
    result_page = passing.get("/result")
    assert "长按上面图片可“保存到手机”" in result_page
    picture = passing.client.get(f"/{SLUG}/result/{passing.record_id}/certificate.png")
    width, height = Image.open(io.BytesIO(picture.data)).size
    assert (width, height) in ((1240, 1754), (1241, 1754), (1241, 1755))
    document = passing.post(f"/result/{passing.record_id}/download", page="/result")
    text = pypdfium2.PdfDocument(document.data)[0].get_textpage().get_text_range()
    printed = (
        "医师定期考核结果通知书",
        "Certificate of the Doctor's National Periodical Assessment",
        passing.number,
        actors.practice_of(passing.number)["qualification"],
        actors.PRACTICE["practice"],
        "贵州省卫生健康委员会",
        "样张",
    )
    for expected in printed:
        assert "".join(expected.split()) in "".join(text.split()), expected
    refused = failing.get("/result")
    assert "不合格" in refused
    assert "申请复核" in refused
    assert failing.client.get(f"/{SLUG}/result/{failing.record_id}/certificate.png").status_code == 404
    assert "list=results" in export_address(admins[0], place)
    serial = re.search(r"\d{6}KH\d{9}", result_page)[0]
    public = application.test_client()
    verification_page = public.get(f"/verify/{serial.lower()}").get_data(as_text=True)
    assert "有效" in verification_page
    assert passing.number not in verification_page
    assert "医师" not in re.search(r"姓名</dt><dd>(.*?)</dd>", verification_page)[1]
    assert public.get(f"/verify?serial={serial}").location.endswith(serial)
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        certificate = certificate_of(passing)
        assert certificate.serial == serial
    page = f"/{SLUG}/office/certificates"
    assert serial in admins[0].get(page).get_data(as_text=True)
    long = "材料不实" * 200
    refused = post_form(admins[0], f"{page}/{certificate.id}/revoke?serial={serial}", page=page, reason=long)
    assert (refused.status_code, f'value="{long}"' in refused.get_data(as_text=True)) == (422, True)
    location = post_form(admins[0], f"{page}/{certificate.id}/revoke", page=page, reason="材料不实").location
    assert (
        post_form(admins[0], f"{page}/{certificate.id}/revoke", page=page, reason="再提一次").status_code
        == 409
    )
    assert post_form(admins[0], f"{location}/approve", page=page).status_code == 403, (
        "by one person nothing is revoked"
    )
    assert "有效" in public.get(f"/verify/{serial}").get_data(as_text=True)
    assert "撤销待确认" in admins[1].get(page).get_data(as_text=True)
    preview = admins[1].get(location).get_data(as_text=True)
    for expected in (serial, "材料不实", f"{location}/approve"):
        assert expected in preview
    assert post_form(admins[1], f"{location}/approve", page=location).status_code == 303
    assert "已撤销" in public.get(f"/verify/{serial}").get_data(as_text=True)
    assert "材料不实" not in public.get(f"/verify/{serial}").get_data(as_text=True)
    assert passing.client.get(f"/{SLUG}/result/{passing.record_id}/certificate.png").status_code == 404


def test_a_list_that_has_changed_is_not_published(application, admins, line, scored, in_province):
    doctor = scored()
    place = listed(application, admins, in_province)
    assert post_form(admins[1], f"/{SLUG}/office/publications").status_code == 409
    objecting, long = (
        re.search(
            rf'action="([^"]*/publications/object/{doctor.record_id}[^"]*)"',
            admins[1].get(place).get_data(as_text=True),
        )[1],
        "材料不全" * 200,
    )
    refused = post_form(admins[1], objecting, page=place, reason=long)
    assert (refused.status_code, f'value="{long}"' in refused.get_data(as_text=True)) == (422, True)
    [row] = [part for part in refused.get_data(as_text=True).split("<tr>") if long in part]
    assert "原因请不要超过" in row
    post_form(admins[1], objecting, page=place, reason="抽查发现材料不全")
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "grading"
    refused = post_form(admins[1], f"{place}/approve", page=place)
    assert refused.status_code == 409
    assert "请撤回本清单并重新生成" in refused.get_data(as_text=True)
    post_form(admins[0], f"{place}/withdraw", page=place)
    published(application, admins, in_province)
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "passed"


def test_who_is_absent_fails_and_two_presses_publish_once(application, admins, line, scored, in_province):
    doctor = scored(right=False)
    place = listed(application, admins, in_province)
    token = re.search(r'name="csrf_token" value="([^"]+)"', admins[1].get(place).get_data(as_text=True))[1]
    cookies = {name: admins[1].get_cookie(name).value for name in (f"dk-{SLUG}", f"dk-{SLUG}-form")}
    answers = []

    def press():
        client = application.test_client()
        for name, value in cookies.items():
            client.set_cookie(name, value)
        answers.append(client.post(f"{place}/approve", data={"csrf_token": token}).location)

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([answer for answer in answers if "/office/work/" in answer]) == 1
    actors.run_pending_jobs(application, in_province, SLUG)
    assert actors.record_state(in_province, SLUG, doctor.record_id) == "failed"


def test_a_province_may_keep_the_download_to_itself(admins, certified):
    page = f"/{SLUG}/office/settings"
    post_form(admins[0], page, certificate_download="no", reason="统一发放纸质通知书")
    try:
        assert "本省不提供通知书下载" in certified.get("/result")
        assert (
            certified.client.get(f"/{SLUG}/result/{certified.record_id}/certificate.png").status_code == 409
        )
    finally:
        post_form(admins[0], page, certificate_download="yes", reason="恢复")


def test_a_sealed_file_that_was_touched_does_not_open(application, admins, certified, in_province):
    with in_province(SLUG):
        certificate = certificate_of(certified)
        inner = current_store()
        raw = inner.client.get_object(
            Bucket=inner.bucket, Key=object_key(certificate_rendering.PDF_KIND, certificate.id)
        )["Body"].read()
        assert certified.number.encode() not in raw
        assert not raw.startswith(b"%PDF")
        inner.client.put_object(
            Bucket=inner.bucket,
            Key=object_key(certificate_rendering.PDF_KIND, certificate.id),
            Body=raw[:-1] + bytes([raw[-1] ^ 1]),
        )
        with pytest.raises(DecryptionFailed):
            inner.get(certificate_rendering.PDF_KIND, certificate.id)
        assert certified.number not in certificate.content_sealed.decode("latin1")
    page = f"/{SLUG}/office/certificates"
    answer = post_form(admins[0], f"{page}/{certificate.id}/draw", page=page)
    assert "/office/work/" in answer.location
    actors.run_pending_jobs(application, in_province, SLUG)
    assert certified.post(f"/result/{certified.record_id}/download", page="/result").data.startswith(b"%PDF")


def test_rare_characters_and_a_missing_photo_are_printed(application, admins, line, scored, in_province):
    doctor = scored(姓名="𬍛㛃䶮堃喆")
    with in_province(SLUG):
        db.session.execute(update(Filing).where(Filing.doctor_id == doctor.doctor_id).values(photo_id=None))
        db.session.commit()
    published(application, admins, in_province)
    document = doctor.post(f"/result/{doctor.record_id}/download", page="/result")
    text = pypdfium2.PdfDocument(document.data)[0].get_textpage().get_text_range()
    assert "𬍛㛃䶮堃喆" in text
    assert "照片" in text


def test_a_seal_is_uploaded_checked_and_used(admins, in_province):
    page = f"/{SLUG}/office/settings"
    with in_province(SLUG):
        assert official_seals.current_seal().is_sample
    refused = post_form(
        admins[0], f"{page}/seal", page=page, seal=(io.BytesIO(b"x"), "x.png"), reason="启用公章"
    )
    assert refused.status_code == 422
    assert "jpg或png" in refused.get_data(as_text=True)
    picture = actors.portrait_image(400, 400, "#cc0000", "PNG")
    location = post_form(
        admins[0], f"{page}/seal", page=page, seal=(io.BytesIO(picture), "x.png"), reason="启用公章"
    ).location
    assert post_form(admins[1], f"{location}/approve", page=page).status_code == 303
    with in_province(SLUG):
        seal = official_seals.current_seal()
        assert not seal.is_sample
        assert Image.open(io.BytesIO(seal.content)).size == (600, 600)
    assert admins[0].get(f"{page}/seal.png").mimetype == "image/png"


def test_settings_are_judged_and_their_history_is_kept(admins, in_province):
    page = f"/{SLUG}/office/settings"
    assert post_form(admins[0], page, contact="0851-12345678", reason="").status_code == 422
    refused = post_form(admins[0], page, pass_line_physician="900", reason="调整")
    assert refused.status_code == 422
    assert "执业医师合格线（百分制）应为" in refused.get_data(as_text=True)
    assert 'value="900"' in refused.get_data(as_text=True)
    assert post_form(admins[0], page, contact="0851-12345678", reason="公布客服电话").status_code == 303
    text = admins[1].get(page).get_data(as_text=True)
    assert "0851-12345678" in text
    assert "公布客服电话" in text


@given(st.lists(st.one_of(st.none(), st.integers(0, 1000)), max_size=3), st.integers(0, 1000))
def test_every_paper_has_to_reach_the_line(scores, tenths):
    assert reaches_line(scores, tenths) == (len(scores) > 0 and None not in scores and min(scores) >= tenths)


def test_another_provinces_certificate_is_nothing_here(in_province, provinces, certified):
    with in_province(SLUG):
        certificate = certificate_of(certified)
    with in_province("shanxi"):
        assert db.session.scalar(select(Certificate).where(Certificate.serial == certificate.serial)) is None
        with pytest.raises(NotFound):
            current_store().get(certificate_rendering.PDF_KIND, certificate.id)


def test_scores_are_shown_where_the_province_shows_them_and_earlier_cycles_are_kept(
    application, admins, line, scored, in_province
):
    doctor = scored(right=False)
    published(application, admins, in_province)
    response = doctor.get("/result")
    assert "测评成绩（百分制）" in response
    assert "合格线" in response
    page = f"/{SLUG}/office/settings"
    post_form(admins[0], page, show_scores="no", reason="本省不公布分数")
    try:
        assert "测评成绩（百分制）" not in doctor.get("/result")
    finally:
        post_form(admins[0], page, show_scores="yes", reason="恢复")
    with in_province(SLUG):
        cycle = Cycle(id=new_id(), label="上一周期", starts_on=date(2020, 1, 1), ends_on=date(2022, 12, 31))
        db.session.add(cycle)
        db.session.flush()
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
        db.session.add(
            Assessment(
                id=new_id(),
                doctor_id=record.doctor_id,
                cycle_id=cycle.id,
                institution_id=record.institution_id,
                state="passed",
                performance="pass",
                ethics="pass",
                competence="pass",
            )
        )
        db.session.commit()
    earlier_result = re.search(r'href="/guizhou(/result/[0-9a-f-]+)"', doctor.get("/result"))[1]
    assert "上一周期" in doctor.get(earlier_result)
    assert "考核结果：合格" in doctor.get(earlier_result)
    assert scored().client.get(f"/{SLUG}{earlier_result}").status_code == 404


def test_what_lines_would_do_to_a_large_province_is_counted_by_a_job(
    application, admins, scored, in_province, monkeypatch
):
    scored(), scored(), scored(right=False)
    with in_province(SLUG):
        cycle, tenths = (
            actors.get_or_open_cycle(),
            {("clinical", "physician"): 600, ("dental", "physician"): 600},
        )
        small = line_effects.line_effects(cycle, tenths)
    assert small["clinical", "physician"].scored_count >= 3
    assert small["clinical", "physician"].passing_count < small["clinical", "physician"].scored_count
    monkeypatch.setattr(line_effects, "MAX_COUNTED", 0)
    monkeypatch.setattr(line_effects, "COUNT_BATCH_SIZE", 2)
    page = f"/{SLUG}/office/lines"
    assert "统计后才显示" in admins[0].get(page).get_data(as_text=True)
    with in_province(SLUG):
        assert line_effects.line_effects(cycle, tenths) is None
    for _press in range(2):
        assert post_form(admins[0], f"{page}/count", page=page).status_code == 303
    with in_province(SLUG):
        jobs = db.session.scalars(select(Job).where(Job.name == line_effects.COUNT_JOB)).all()
    assert len(jobs) == 1, "the second press counted once more"
    assert admins[0].get(page).headers["Refresh"]
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "统计于" in admins[0].get(page).get_data(as_text=True)
    with in_province(SLUG):
        assert line_effects.line_effects(cycle, tenths) == small
    monkeypatch.setattr(line_effects, "MAX_COUNTED", 1000)
    assert "统计于" not in admins[0].get(page).get_data(as_text=True), (
        "what was counted just now was said to be of then"
    )


RARE = "\U00031350"


def test_a_name_that_can_not_be_printed_is_told_before_publishing_and_gets_no_box(
    application, admins, line, scored, in_province, monkeypatch
):
    monkeypatch.setattr(unprintable_names, "UNPRINTABLE_SCAN_SIZE", 1)
    actors.signed_in_doctor(
        application, in_province, SLUG, next(actors.unused_serials(SLUG)), 姓名=f"丁{RARE}"
    )  # comes first by name, and has no result
    rare, other_doctor = scored(姓名=f"周{RARE}"), scored()
    place = published(application, admins, in_province)
    for page in (place, f"/{SLUG}/office/certificates", f"/{SLUG}/office/doctors/{rare.doctor_id}"):
        text = admins[0].get(page).get_data(as_text=True)
        assert f"“{RARE}”" in text, page
        assert "无法打印" in text, page
    assert actors.record_state(in_province, SLUG, rare.record_id) == "passed"
    with in_province(SLUG):
        assert valid_certificate(db.session.get_one(Assessment, (CODE, rare.record_id))) is None
        assert valid_certificate(db.session.get_one(Assessment, (CODE, other_doctor.record_id))) is not None
        [job] = db.session.scalars(
            select(Job).where(Job.name == "issue_certificates").order_by(Job.id.desc()).limit(1)
        )
        assert (job.state, [name for name, _ in job.result["names"]]) == ("done", [f"周{RARE}"])
    assert "暂时无法打印" in rare.get("/result")
    page = f"/{SLUG}/office/certificates"

    def issue_waiting():
        """Press 「补签未签发的通知书」; the result of the job."""
        job_id = UUID(post_form(admins[0], f"{page}/waiting", page=page).location.rsplit("/", 1)[1])
        actors.run_pending_jobs(application, in_province, SLUG)
        with in_province(SLUG):
            return db.session.get_one(Job, (CODE, job_id)).result

    monkeypatch.setattr(unissued_certificates, "BATCH_SIZE", 1)
    still_refused = issue_waiting()
    assert (still_refused["issued"], [name for name, _ in still_refused["names"]]) == (0, [f"周{RARE}"])
    monkeypatch.setattr(issuing, "unprintable_characters", lambda *_texts: "")
    issued = issue_waiting()
    assert (issued["issued"], issued["drawn"]) == (1, 1)
    with in_province(SLUG):
        assert valid_certificate(db.session.get_one(Assessment, (CODE, rare.record_id))).drawn_at is not None
