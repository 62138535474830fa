"""Proofs of single good and bad records (domain.md §2.1, step 4): handed in on the entry's page, shown beside
it everywhere, gone with it. And a list of entries that is full."""

import io
import re
from datetime import date
from itertools import count
from uuid import uuid4

import pytest
from sqlalchemy import select

from dingkao.database.base import db
from dingkao.errors import NotFound, Unavailable
from dingkao.filings import entry_lists
from dingkao.filings.models import Document, Filing
from dingkao.integrations import storage
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client
from tests.blueprints.test_uploads import Sender
from tests.rooms.test_images import a_pdf

SLUG, CODE = "guizhou", 52
SERIALS = count()
GOOD = {"when": "2025-03", "name": "市级先进个人", "by": "市卫生健康委"}
BAD = {"when": "2025-04", "name": "警告处罚", "by": "县卫生健康局"}


def a_doctor(application, in_province):
    serial = next(SERIALS)
    number = sample_data.resident_number(serial, sex="男" if serial % 2 else "女", birth=date(1976, 7, 8))
    someone = actors.signed_in_doctor(application, in_province, SLUG, serial, 证件号码=number)
    someone.post("/filing/notice")
    return someone


@pytest.fixture
def doctor(application, in_province):
    return a_doctor(application, in_province)


@pytest.fixture
def reviewer(application, in_province, doctor):
    return lambda role, place=1: signed_in_client(
        application, in_province, SLUG, role, sample_data.registration_number(CODE, place)
    )


def add(someone, kind="good_records", **fields):
    """A new entry; the address of its page."""
    answer = someone.post(f"/filing/list/{kind}/new", **((GOOD if kind == "good_records" else BAD) | fields))
    assert answer.status_code == 303
    return re.fullmatch(rf"/{SLUG}(/filing/list/{kind}/[0-9a-f]{{32}})#files", answer.location)[1]


def upload(someone, page, *names):
    return someone.post(
        f"{page}/proofs",
        page=page,
        proof=[
            (io.BytesIO(a_pdf() if name.endswith("pdf") else actors.portrait_image()), name) for name in names
        ],
    )


def complete(someone, **work):
    someone.file()
    someone.save(4, actors.WORK | {"good_record": "yes"} | work)


def proofs(in_province, someone):
    """The proofs kept of a doctor: name → document."""
    with in_province(SLUG):
        documents = db.session.scalars(
            select(Document)
            .where(Document.doctor_id == someone.doctor_id, Document.kind == "proof")
            .order_by(Document.id)
        )
        return {document.name: document.id for document in documents}


def stored(in_province, document):
    with in_province(SLUG):
        try:
            return bool(storage.current_store().get("proof", document))
        except NotFound:
            return False


def test_a_new_record_leads_to_its_page_and_there_to_its_proofs(doctor, in_province):
    page = add(doctor)
    response = doctor.get(page)
    assert "已保存。有证明材料的，请在本页上传" in response
    assert "证明材料 0 件" in response
    assert upload(doctor, page, "奖状.jpg", "文件.pdf").location == f"/{SLUG}{page}#files"
    proof_ids = proofs(in_province, doctor)
    assert list(proof_ids) == ["奖状.jpg", "文件.pdf"]
    assert doctor.client.get(f"/{SLUG}/filing/proof/{proof_ids['文件.pdf']}").mimetype == "application/pdf"
    assert "证明材料：奖状.jpg、文件.pdf" in doctor.get("/filing/4")
    assert "已上传 0 件" in doctor.get("/filing/proof")
    second_removal = doctor.post(f"{page}/proofs/{proof_ids['文件.pdf']}/remove", page=page)
    assert second_removal.location == f"/{SLUG}{page}#files"
    assert doctor.post(f"{page}/proofs/{proof_ids['文件.pdf']}/remove", page=page).status_code == 303
    assert list(proofs(in_province, doctor)) == ["奖状.jpg"]
    assert doctor.post(page, **GOOD | {"name": "省级先进个人"}).location == f"/{SLUG}/filing/4#good_records"
    assert "证明材料 1 件" in doctor.get(page)
    assert add(doctor, name="省级先进个人") == page, "pressed twice it is one record, and leads to it"


def test_of_several_files_the_unsound_are_named_and_no_more_than_five_are_kept(doctor, in_province):
    page = add(doctor, "bad_records")
    mixed = doctor.post(
        f"{page}/proofs",
        page=page,
        proof=[(io.BytesIO(actors.portrait_image()), "一.jpg"), (io.BytesIO(b"MZ"), "说明.exe")],
    )
    assert mixed.status_code == 200
    assert "已上传1件，以下文件没有上传" in (text := mixed.get_data(as_text=True))
    assert "说明.exe：" in text
    assert f'action="/{SLUG}{page}"' in text, "the entry's own form still goes to the entry"
    assert doctor.client.get(f"/{SLUG}{page}/proofs").location == f"/{SLUG}{page}"
    none = doctor.post(f"{page}/proofs", page=page, proof=(io.BytesIO(b""), ""))
    assert (none.status_code, "请选择文件。" in none.get_data(as_text=True)) == (422, True)
    full = upload(doctor, page, *(f"{n}.pdf" for n in "二三四五六"))
    assert "六.pdf：证明材料最多5件，请先删除不需要的。" in full.get_data(as_text=True)
    assert len(proofs(in_province, doctor)) == 5
    assert "已达到5件上限" in doctor.get(page)
    assert upload(doctor, add(doctor), "另一条.jpg").status_code == 303, "each record counts for itself"


def test_proofs_of_a_record_come_in_pieces(doctor, in_province):
    page = add(doctor)
    entry = page.rsplit("/", 1)[1]
    sender = Sender(doctor, actors.portrait_image(), "filing_entry_proof", "奖状.jpg")
    assert sender.begin(subject="").status_code == 404
    assert sender.begin(subject=str(uuid4())).status_code == 404
    assert sender.begin(subject=entry).status_code == 201
    sender.piece(0)
    document = sender.finish().json["document"]
    assert {name: str(proof_id) for name, proof_id in proofs(in_province, doctor).items()} == {
        "奖状.jpg": document
    }
    late = Sender(doctor, actors.portrait_image(), "filing_entry_proof", "晚到.jpg")
    late.begin(subject=entry)
    late.piece(0)
    doctor.post(f"{page}/remove", page=page)
    late_finish = late.finish()
    assert (late_finish.status_code, late_finish.json["error"]) == (
        404,
        "这条经历已被删除，请返回上一页查看。",
    )
    other_page = add(doctor, name="另一项")
    assert upload(doctor, other_page, *(f"{n}.pdf" for n in "一二三四五")).status_code == 303
    assert (
        "最多5件"
        in Sender(doctor, actors.portrait_image(), "filing_entry_proof")
        .begin(subject=other_page.rsplit("/", 1)[1])
        .json["error"]
    )


def test_proofs_go_with_their_record_and_come_back_with_it(doctor, application, in_province):
    first, second = add(doctor), add(doctor, name="第二项")
    upload(doctor, first, "甲.jpg")
    upload(doctor, second, "乙.jpg")
    proof_ids = proofs(in_province, doctor)
    doctor.post(f"{first}/remove", page=first)
    assert doctor.client.get(f"/{SLUG}/filing/proof/{proof_ids['甲.jpg']}").status_code == 404
    assert "甲.jpg" not in doctor.get("/filing/4")
    doctor.save(4, {}, list="restore/good_records")
    assert "证明材料：甲.jpg" in doctor.get("/filing/4")
    assert doctor.client.get(f"/{SLUG}/filing/proof/{proof_ids['甲.jpg']}").status_code == 200
    doctor.post(f"{first}/remove", page=first)
    doctor.post(f"{second}/remove", page=second)
    assert list(proofs(in_province, doctor)) == ["乙.jpg"], "only the record taken off last can be put back"
    actors.run_pending_jobs(application, in_province, SLUG)
    assert not stored(in_province, proof_ids["甲.jpg"])
    assert stored(in_province, proof_ids["乙.jpg"])
    complete(doctor, good_record="no")
    assert doctor.submit().status_code == 303
    assert proofs(in_province, doctor) == {}
    actors.run_pending_jobs(application, in_province, SLUG)
    assert not stored(in_province, proof_ids["乙.jpg"])


def test_who_reviews_sees_them_beside_the_record_and_nobody_else(doctor, application, in_province, reviewer):
    page = add(doctor)
    upload(doctor, page, "奖状.jpg")
    complete(doctor)
    proof = proofs(in_province, doctor)["奖状.jpg"]
    text = f'href="/{SLUG}/filing/proof/{proof}"'
    assert text in doctor.get("/filing/check")
    doctor.submit()
    assert text in doctor.get("/filing/view")
    assert doctor.client.get(f"/{SLUG}{page}").status_code == 303
    for address in (f"{page}/proofs", f"{page}/proofs/{proof}/remove"):
        doctor.post(address, page="/home", proof=(io.BytesIO(actors.portrait_image()), "迟.jpg"))
    assert list(proofs(in_province, doctor)) == ["奖状.jpg"], "what is handed in stands"
    record = f"/{SLUG}/office/review/{doctor.record_id}"
    for role in ("institution_reviewer", "institution_clerk", "organisation_reviewer"):
        client = reviewer(role)
        side = role.partition("_")[0]
        page_text = client.get(f"{record}?side={side}").get_data(as_text=True)
        assert re.search(
            rf'市卫生健康委</td>\s*<td>\s*<a class="d-block"\s+href="{record}/proof/{proof}\?side={side}"',
            page_text,
        )
        assert client.get(f"{record}/proof/{proof}?side={side}").mimetype == "image/jpeg"
    assert reviewer("institution_reviewer", 2).get(f"{record}/proof/{proof}").status_code == 404
    other_doctor = a_doctor(application, in_province)
    other_page = add(other_doctor)
    assert other_doctor.client.get(f"/{SLUG}/filing/proof/{proof}").status_code == 404
    assert other_doctor.client.get(f"/{SLUG}{page}").status_code == 404
    assert upload(other_doctor, page.replace(page, other_page), "自己的.jpg").status_code == 303
    assert (
        other_doctor.post(
            f"{page}/proofs", page=other_page, proof=(io.BytesIO(actors.portrait_image()), "x.jpg")
        ).status_code
        == 404
    )
    other_doctor.post(f"{other_page}/proofs/{proof}/remove", page=other_page)
    other_doctor.post(f"/filing/proof/{proof}/remove", page="/filing/proof")
    assert list(proofs(in_province, doctor)) == ["奖状.jpg"]
    strange = Sender(other_doctor, actors.portrait_image(), "filing_entry_proof").begin(
        subject=page.rsplit("/", 1)[1]
    )
    assert strange.status_code == 404


def test_only_good_and_bad_records_carry_proofs_of_their_own(doctor):
    doctor.post("/filing/list/education/new", **actors.ENTRIES["education"])
    page = re.search(rf'href="/{SLUG}(/filing/list/education/[0-9a-f]{{32}})"', doctor.get("/filing/3"))[1]
    assert 'type="file"' not in doctor.get(page)
    assert (
        doctor.post(
            f"{page}/proofs", page=page, proof=(io.BytesIO(actors.portrait_image()), "x.jpg")
        ).status_code
        == 404
    )
    assert (
        Sender(doctor, actors.portrait_image(), "filing_entry_proof")
        .begin(subject=page.rsplit("/", 1)[1])
        .status_code
        == 404
    )


def test_the_store_being_down_is_said_on_the_records_page_and_nothing_is_kept(
    doctor, in_province, monkeypatch
):
    page = add(doctor)

    def down(*_args, **_more):
        raise Unavailable(storage.UNAVAILABLE_MESSAGE)

    monkeypatch.setattr(storage.ObjectStore, "put", down)
    answer = upload(doctor, page, "奖状.jpg")
    assert answer.status_code == 503
    assert "文件存储暂时连接不上" in (text := answer.get_data(as_text=True))
    assert "市级先进个人" in text
    assert proofs(in_province, doctor) == {}


def test_a_proof_added_mends_what_was_returned_and_pages_of_files_show_the_mark(doctor, reviewer):
    page = add(doctor)
    complete(doctor)
    doctor.submit()
    institution, record = reviewer("institution_reviewer"), f"/{SLUG}/office/review/{doctor.record_id}"
    post_form(
        institution, f"{record}/open", page=f"/{SLUG}/office/review?side=institution", side="institution"
    )
    marks = {"mark-4.good_records": "请上传奖状", "mark-1.photo": "请换近照", "mark-5.proofs": "看不清"}
    post_form(
        institution,
        f"{record}/decide",
        page=f"{record}?side=institution",
        side="institution",
        decision="return",
        **marks,
    )
    assert "退回：请换近照" in doctor.get("/filing/photo")
    assert "退回：看不清" in doctor.get("/filing/proof")
    assert "退回：请上传奖状" in (response := doctor.get(page))
    assert "已修改" not in response
    upload(doctor, page, "奖状.jpg")
    assert "已修改 · 退回：请上传奖状" in doctor.get(page)


def test_a_change_of_a_record_keeps_its_proofs_and_taking_it_off_ends_them(doctor, in_province, reviewer):
    first, second = add(doctor), add(doctor, name="第二项")
    upload(doctor, first, "甲.jpg")
    upload(doctor, second, "乙.jpg")
    complete(doctor)
    doctor.submit()
    actors.advance_to(in_province, doctor, "ready")
    request_page = doctor.post("/requests/new/change").location.removeprefix(f"/{SLUG}")
    change_page = request_page + first.removeprefix("/filing")
    assert "已上传的证明材料不受影响。" in doctor.get(change_page)
    doctor.post(change_page, **GOOD | {"name": "省级先进个人"})
    doctor.post(request_page + second.removeprefix("/filing"), **GOOD | {"remove": "1"})
    assert doctor.post(f"{request_page}/save", page=request_page, submit="1").status_code == 303
    assert list(proofs(in_province, doctor)) == ["甲.jpg", "乙.jpg"]
    for side in ("institution", "organisation"):
        desk = f"/{SLUG}/office{request_page}"
        assert (
            post_form(
                reviewer(f"{side}_reviewer"),
                f"{desk}/decide",
                page=f"{desk}?side={side}",
                side=side,
                decision="agree",
            ).status_code
            == 303
        )
    with in_province(SLUG):
        [entry] = (
            db.session.scalars(select(Filing).where(Filing.doctor_id == doctor.doctor_id))
            .one()
            .performance["good_records"]
        )
    assert entry["name"] == "省级先进个人"
    assert proofs(in_province, doctor).keys() == {"甲.jpg"}
    assert re.search(r"省级先进个人[^<]*<a [^>]*>证明材料：甲.jpg</a>", doctor.get("/filing/view"))


def test_a_full_list_is_told_on_the_page_and_what_was_typed_stays(doctor, monkeypatch):
    monkeypatch.setattr(entry_lists, "MAX_ENTRIES", 1)
    doctor.post("/filing/list/practice/new", name="甲院", since="2010-01", until="2011-01")
    full = doctor.post("/filing/list/practice/new", name="乙院", since="2012-01", until="2013-01")
    page = full.get_data(as_text=True)
    assert (full.status_code, "请合并后再添加" in page, "乙院" in page) == (422, True, True)
    entry = re.findall(r"/filing/list/practice/([0-9a-f]{32})", doctor.get("/filing/3"))[-1]
    doctor.post(f"/filing/list/practice/{entry}/remove", page=f"/filing/list/practice/{entry}")
    doctor.post("/filing/list/practice/new", name="丙院", since="2010-01", until="2011-01")
    assert doctor.save(3, {"list": "restore/practice"}).status_code == 303
    page = doctor.get("/filing/3")
    assert "请先删除不需要的" in page
    assert ("丙院" in page, f"/practice/{entry}" in page) == (True, False)
