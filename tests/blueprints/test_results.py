"""From scores to a sealed certificate by HTTP: two persons for each step, a list that can't change unseen, what the public may know."""

import io
import re
import threading
from datetime import date

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import select, update

from dingkao.assessments.models import Assessment
from dingkao.certificates import issuing, seals
from dingkao.certificates.models import Certificate
from dingkao.certificates.numbering import new_serial, plain, province_of
from dingkao.cycles.models import Cycle
from dingkao.database.model import db, new_id
from dingkao.errors import NotFound
from dingkao.filings.models import Filing
from dingkao.journal.models import JournalEntry
from dingkao.outside import paper
from dingkao.outside.storage import store
from dingkao.results import lines
from dingkao.results.lines import reaches
from dingkao.results.publishing import digest_of
from dingkao.tenants.keys import object_key
from dingkao.tenants.secrets import NotOurs
from tests import material, people
from tests.blueprints.signed_in import client_of, post

SLUG, CODE = "guizhou", 52
_serial = people.serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province):
    people.exam(application, in_province, SLUG)


@pytest.fixture(scope="module")
def admins(application, in_province, ground):
    return [client_of(application, in_province, SLUG, "province_admin") for _ in range(2)]


@pytest.fixture
def scored(application, in_province, ground):
    """Make a doctor who has filed and sat, all right or all wrong."""

    def make(right=True, **cells):
        doctor = people.doctor(application, in_province, SLUG, next(_serial), **cells)
        doctor.file()
        with in_province(SLUG):  # what was filed by HTTP stands; the moves go on from there
            db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(state="included"))
            db.session.commit()
        people.bring_to(in_province, doctor, "ready")
        people.sit(in_province, doctor, right=right)
        return doctor

    return make


@pytest.fixture(scope="module")
def line(admins, in_province):
    """The approved line of clinical physicians: proposed by one, refused to the same, approved by the other."""
    one, other = admins
    page = f"/{SLUG}/office/lines"
    answer = post(one, page, category="clinical", level="physician", line="60")
    assert answer.status_code == 303
    line_id = re.search(r'name="line" value="([0-9a-f-]{36})"', one.get(page).get_data(as_text=True))[1]
    refused = post(one, f"{page}/approve", page=page, line=line_id)
    assert refused.status_code == 403
    assert "提出人与确认人不能是同一人" in refused.get_data(as_text=True)
    for _ in range(2):
        assert post(other, f"{page}/approve", page=page, line=line_id).status_code == 303
    assert "已生效" in one.get(page).get_data(as_text=True)
    assert post(one, page, category="clinical", level="physician", line="50").status_code == 409
    with in_province(SLUG):
        verbs = db.session.scalars(select(JournalEntry.verb).where(JournalEntry.subject_id == line_id)).all()
    assert verbs == ["proposed", "approved"]


def published(application, admins, in_province, doctors):
    """Conclude and publish all that wait."""
    with in_province(SLUG):
        lines.apply_everywhere()
    reviewer = client_of(application, in_province, SLUG, "organisation_reviewer", material.registration_number(CODE, 1))
    post(reviewer, f"/{SLUG}/office/conclusions", all="1")
    people.work_off(application, in_province, SLUG)
    one, other = admins
    proposed = post(one, f"/{SLUG}/office/publications")
    place = proposed.location
    assert "须由另一位省级管理员确认" in one.get(place).get_data(as_text=True)
    assert post(one, f"{place}/approve", page=place).status_code == 403
    answer = post(other, f"{place}/approve", page=place)
    assert "/office/work/" in answer.location
    people.work_off(application, in_province, SLUG)
    assert "已完成" in other.get(answer.location).get_data(as_text=True)
    return place


def test_from_scores_to_the_certificate(application, admins, line, scored, in_province):
    passing, failing = scored(), scored(right=False)
    assert "尚未发布" in passing.get("/result")
    place = published(application, admins, in_province, [passing, failing])
    assert people.state_of(in_province, SLUG, passing.record_id) == "passed"
    assert people.state_of(in_province, SLUG, failing.record_id) == "failed"
    assert "您本周期的考核结果已发布,请点击下方“考核结果”查看(一般程序)" in passing.get("/home")
    shown = passing.get("/result")
    assert "长按上面图片可“保存到手机”" in shown
    picture = passing.client.get(f"/{SLUG}/result/{passing.record_id}/certificate.png")
    width, height = Image.open(io.BytesIO(picture.data)).size
    assert (width, height) in ((1240, 1754), (1241, 1754), (1241, 1755))
    document = passing.post(f"/result/{passing.record_id}/download", page="/result")
    text = pypdfium2.PdfDocument(document.data)[0].get_textpage().get_text_range()
    for wanted in ("医师定期考核结果通知书", "Certificate of the Doctor's National Periodical Assessment", passing.number, people.PRACTICE["qualification"], "贵州省卫生健康委员会", "样张"):
        assert "".join(wanted.split()) in "".join(text.split()), wanted
    refused = failing.get("/result")
    assert "不合格" in refused
    assert "申请复核" in refused
    assert failing.client.get(f"/{SLUG}/result/{failing.record_id}/certificate.png").status_code == 404
    sheet = admins[0].get(f"{place}/list.xlsx")
    assert sheet.data[:2] == b"PK"
    serial = re.search(r"\d{6}KH\d{9}", shown)[0]
    public = application.test_client()
    seen = public.get(f"/verify/{serial.lower()}").get_data(as_text=True)
    assert "有效" in seen
    assert passing.number not in seen
    assert "医师" not in re.search(r"姓名</dt><dd>(.*?)</dd>", seen)[1]
    assert public.get(f"/verify?serial={serial}").location.endswith(serial)
    people.work_off(application, in_province, SLUG)
    with in_province(SLUG):
        assert len(db.session.scalars(select(Certificate).where(Certificate.assessment_id == passing.record_id)).all()) == 1
        row = db.session.scalars(select(Certificate).where(Certificate.serial == serial)).one()
    page = f"/{SLUG}/office/certificates"
    assert serial in admins[0].get(page).get_data(as_text=True)
    post(admins[0], f"{page}/{row.id}/revoke", page=page, reason="")
    post(admins[0], f"{page}/{row.id}/revoke", page=page, reason="材料不实")
    assert "已撤销" in public.get(f"/verify/{serial}").get_data(as_text=True)
    assert "材料不实" not in public.get(f"/verify/{serial}").get_data(as_text=True)
    assert passing.client.get(f"/{SLUG}/result/{passing.record_id}/certificate.png").status_code == 404


def test_a_list_that_has_changed_is_not_published(application, admins, line, scored, in_province):
    doctor = scored()
    with in_province(SLUG):
        lines.apply_everywhere()
    reviewer = client_of(application, in_province, SLUG, "organisation_reviewer", material.registration_number(CODE, 1))
    post(reviewer, f"/{SLUG}/office/conclusions", all="1")
    people.work_off(application, in_province, SLUG)
    place = post(admins[0], f"/{SLUG}/office/publications").location
    assert post(admins[1], f"/{SLUG}/office/publications").status_code == 409
    post(admins[1], f"/{SLUG}/office/publications/object/{doctor.record_id}", page=place, reason="抽查发现材料不全")
    assert people.state_of(in_province, SLUG, doctor.record_id) == "grading"
    refused = post(admins[1], f"{place}/approve", page=place)
    assert refused.status_code == 409
    assert "请撤回本清单并重新生成" in refused.get_data(as_text=True)
    post(admins[0], f"{place}/withdraw", page=place)
    published(application, admins, in_province, [doctor])
    assert people.state_of(in_province, SLUG, doctor.record_id) == "passed"


def test_who_is_absent_fails_and_two_presses_publish_once(application, admins, line, scored, in_province):
    doctor = scored(right=False)
    with in_province(SLUG):
        lines.apply_everywhere()
    reviewer = client_of(application, in_province, SLUG, "organisation_reviewer", material.registration_number(CODE, 1))
    post(reviewer, f"/{SLUG}/office/conclusions", all="1")
    people.work_off(application, in_province, SLUG)
    place = post(admins[0], f"/{SLUG}/office/publications").location
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
    people.work_off(application, in_province, SLUG)
    assert people.state_of(in_province, SLUG, doctor.record_id) == "failed"


def test_a_province_may_keep_the_download_to_itself(application, admins, line, scored, in_province):
    doctor = scored()
    published(application, admins, in_province, [doctor])
    page = f"/{SLUG}/office/settings"
    post(admins[0], page, certificate_download="no", reason="统一发放纸质通知书")
    try:
        assert "本省不提供通知书下载" in doctor.get("/result")
        assert doctor.client.get(f"/{SLUG}/result/{doctor.record_id}/certificate.png").status_code == 409
    finally:
        post(admins[0], page, certificate_download="yes", reason="恢复")


def test_a_sealed_file_that_was_touched_does_not_open(application, admins, line, scored, in_province):
    doctor = scored()
    published(application, admins, in_province, [doctor])
    with in_province(SLUG):
        row = db.session.scalars(select(Certificate).where(Certificate.assessment_id == doctor.record_id)).one()
        inner = store()
        raw = inner.client.get_object(Bucket=inner.bucket, Key=object_key(issuing.PDF, row.id))["Body"].read()
        assert doctor.number.encode() not in raw
        assert not raw.startswith(b"%PDF")
        inner.client.put_object(Bucket=inner.bucket, Key=object_key(issuing.PDF, row.id), Body=raw[:-1] + bytes([raw[-1] ^ 1]))
        with pytest.raises(NotOurs):
            inner.get(issuing.PDF, row.id, sealed=True)
        assert doctor.number not in row.content_sealed.decode("latin1")
    page = f"/{SLUG}/office/certificates"
    answer = post(admins[0], f"{page}/{row.id}/draw", page=page)
    assert "/office/work/" in answer.location
    people.work_off(application, in_province, SLUG)
    assert doctor.post(f"/result/{doctor.record_id}/download", page="/result").data.startswith(b"%PDF")


def test_rare_characters_and_a_missing_photo_are_printed(application, admins, line, scored, in_province):
    doctor = scored(姓名="𬍛㛃䶮堃喆")
    with in_province(SLUG):
        db.session.execute(update(Filing).where(Filing.doctor_id == doctor.doctor_id).values(photo_id=None))
        db.session.commit()
    published(application, admins, in_province, [doctor])
    document = doctor.post(f"/result/{doctor.record_id}/download", page="/result")
    text = pypdfium2.PdfDocument(document.data)[0].get_textpage().get_text_range()
    assert "𬍛㛃䶮堃喆" in text
    assert "照片" in text


def test_the_page_fetches_nothing(tmp_path, monkeypatch):
    secret = tmp_path / "secret.txt"
    secret.write_text("geheim")
    (tmp_path / "evil.css").write_text("")
    (tmp_path / "evil.html").write_text(
        f'<img src="file://{secret}"><img src="http://127.0.0.1:9/x"><link rel="attachment" href="file://{secret}"><style>@import "file://{secret}"</style>{{{{ given }}}}'
    )
    monkeypatch.setattr(paper, "TEMPLATES", tmp_path)
    paper._templates.cache_clear()
    try:
        made = paper.pdf("evil", given="<script>1</script>")
    finally:
        paper._templates.cache_clear()
    assert b"geheim" not in made
    assert "<script>" in pypdfium2.PdfDocument(made)[0].get_textpage().get_text_range()


def test_a_seal_is_uploaded_checked_and_used(admins, in_province):
    page = f"/{SLUG}/office/settings"
    with in_province(SLUG):
        assert seals.seal().sample
    refused = post(admins[0], f"{page}/seal", page=page, seal=(io.BytesIO(b"x"), "x.png"), reason="启用公章")
    assert refused.status_code == 422
    assert "jpg或png" in refused.get_data(as_text=True)
    picture = people.photo(400, 400, "#cc0000", "PNG")
    assert post(admins[0], f"{page}/seal", page=page, seal=(io.BytesIO(picture), "x.png"), reason="启用公章").status_code == 303
    with in_province(SLUG):
        found = seals.seal()
        assert not found.sample
        assert Image.open(io.BytesIO(found.content)).size == (600, 600)
    assert admins[0].get(f"{page}/seal.png").mimetype == "image/png"


def test_settings_are_judged_and_their_history_is_kept(admins, in_province):
    page = f"/{SLUG}/office/settings"
    assert post(admins[0], page, contact="0851-12345678", reason="").status_code == 422
    refused = post(admins[0], page, pass_line_physician="900", reason="调整")
    assert refused.status_code == 422
    assert "执业医师合格线(分)应为" in refused.get_data(as_text=True)
    assert 'value="900"' in refused.get_data(as_text=True)
    assert post(admins[0], page, contact="0851-12345678", reason="公布客服电话").status_code == 303
    shown = admins[1].get(page).get_data(as_text=True)
    assert "0851-12345678" in shown
    assert "公布客服电话" in shown


@given(st.integers(11, 66), st.integers(2000, 2100))
def test_serials(province, year):
    serial = new_serial(province, year)
    found = province_of(serial)
    assert found is None or found.code == province
    position = 10
    changed = serial[:position] + str((int(serial[position]) + 1) % 10) + serial[position + 1 :]
    assert province_of(changed) is None
    assert plain(f" {serial[:8].lower()}-{serial[8:]} ") == serial


@pytest.mark.parametrize("text", ["", "x", "142026KH123456789", "../../etc", "142026KH1234567890", "%27", "1" * 500])
def test_what_is_no_serial_is_not_found(application, text):
    assert application.test_client().get(f"/verify/{text or 'none'}").status_code == 404


@given(st.lists(st.one_of(st.none(), st.integers(0, 1000)), max_size=3), st.integers(0, 1000))
def test_every_paper_has_to_reach_the_line(scores, tenths):
    assert reaches(scores, tenths) == (len(scores) > 0 and None not in scores and min(scores) >= tenths)


@given(st.dictionaries(st.uuids(), st.sampled_from(["passed", "failed"]), min_size=1, max_size=6), st.randoms())
def test_a_digest_is_of_the_list_and_not_of_its_order(verdicts, chance):
    shuffled = list(verdicts.items())
    chance.shuffle(shuffled)
    assert digest_of(dict(shuffled)) == digest_of(verdicts)
    record = next(iter(verdicts))
    assert digest_of(verdicts | {record: "failed" if verdicts[record] == "passed" else "passed"}) != digest_of(verdicts)


def test_another_provinces_certificate_is_nothing_here(in_province, provinces, application, admins, line, scored):
    doctor = scored()
    published(application, admins, in_province, [doctor])
    with in_province(SLUG):
        row = db.session.scalars(select(Certificate).where(Certificate.assessment_id == doctor.record_id)).one()
    with in_province("shanxi"):
        assert db.session.scalar(select(Certificate).where(Certificate.serial == row.serial)) is None
        with pytest.raises(NotFound):
            store().get(issuing.PDF, row.id, sealed=True)


def test_scores_are_shown_where_the_province_shows_them_and_earlier_cycles_are_kept(application, admins, line, scored, in_province):
    doctor = scored(right=False)
    published(application, admins, in_province, [doctor])
    shown = doctor.get("/result")
    assert "测评分数" in shown
    assert "合格线" in shown
    page = f"/{SLUG}/office/settings"
    post(admins[0], page, show_scores="no", reason="本省不公布分数")
    try:
        assert "测评分数" not in doctor.get("/result")
    finally:
        post(admins[0], page, show_scores="yes", reason="恢复")
    with in_province(SLUG):
        cycle = Cycle(id=new_id(), label="上一周期", starts_on=date(2020, 1, 1), ends_on=date(2022, 12, 31))
        db.session.add(cycle)
        db.session.flush()
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
        db.session.add(Assessment(
            id=new_id(), doctor_id=record.doctor_id, cycle_id=cycle.id, institution_id=record.institution_id, state="passed", performance="pass", ethics="pass",
            competence="pass",
        ))  # fmt: skip
        db.session.commit()
    before = re.search(r'href="/guizhou(/result/[0-9a-f-]+)"', doctor.get("/result"))[1]
    assert "上一周期" in doctor.get(before)
    assert "考核结果:合格" in doctor.get(before)
    assert scored().client.get(f"/{SLUG}{before}").status_code == 404
