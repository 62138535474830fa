"""A sheet too large for one request comes in pieces, by whom it may come, and becomes the same job as a small
one."""

import re
from uuid import uuid4

import pytest
from sqlalchemy import select

from dingkao.blueprints.doctor_or_staff.uploads import MAX_CHUNK_BYTES
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from dingkao.doctors.number_indices import number_index
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.people.models import Organisation
from dingkao.uploads import chunked_uploads
from tests import actors, sample_data
from tests.blueprints.signed_in_client import signed_in_client

SLUG, CODE = "gansu", 62
PIECE = 4096


class Sender:
    """A member of staff or a doctor who sends a sheet as static/js/large-file-upload.js does."""

    def __init__(self, client, page, content, subject="", purpose="roster"):
        self.client, self.content, self.subject, self.purpose, self.key, self.id = (
            client,
            content,
            subject,
            purpose,
            uuid4(),
            "",
        )
        self.token = re.search(
            r'name="csrf_token"[^>]*value="([^"]+)"', client.get(page).get_data(as_text=True)
        )[1]

    def ask(self, address, **more):
        return self.client.post(
            f"/{SLUG}/uploads{address}",
            headers={"X-CSRFToken": self.token, "Accept": "application/json"},
            **more,
        )

    def begin(self, size=None):
        form = {
            "purpose": self.purpose,
            "subject": self.subject,
            "key": str(self.key),
            "name": "名单.xlsx",
            "size": str(len(self.content) if size is None else size),
        }
        answer = self.ask("", data=form)
        self.id = answer.json.get("id", "")
        return answer

    def piece(self, offset, chunk):
        return self.ask(
            f"/{self.id}/chunk?offset={offset}",
            data=self.content[offset : offset + chunk],
            content_type="application/octet-stream",
        )

    def send(self, **fields):
        """All of it, with the fields beside the file."""
        start_answer = self.begin()
        if start_answer.status_code != 201:
            return start_answer
        for offset in range(0, len(self.content), start_answer.json["chunk"]):
            self.piece(offset, start_answer.json["chunk"])
        return self.ask(f"/{self.id}/finish", data=fields)


@pytest.fixture(scope="module")
def places(application, in_province):
    actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
    with in_province(SLUG):
        return {
            number: str(identity)
            for number, identity in db.session.execute(
                select(Organisation.registration_number, Organisation.id)
            ).all()
        }


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces small enough for many of a small file."""
    purpose = chunked_uploads.REGISTERED_PURPOSES["roster"]
    limits = chunked_uploads.UploadLimits(
        purpose.limits.max_bytes, purpose.limits.too_large_message, purpose.limits.max_bytes_per_day, PIECE
    )
    monkeypatch.setitem(
        chunked_uploads.REGISTERED_PURPOSES,
        "roster",
        chunked_uploads.UploadPurpose(purpose.authorize, purpose.accept, limits),
    )


def clerk_of(application, in_province, serial):
    return signed_in_client(
        application, in_province, SLUG, "institution_clerk", sample_data.registration_number(CODE, serial)
    )


PAGE = f"/{SLUG}/office/roster"


@pytest.mark.parametrize("role", ["province_admin", "institution_clerk"])
def test_a_roster_comes_in_pieces_and_becomes_a_job(application, in_province, places, small_pieces, role):
    client = (
        clerk_of(application, in_province, 1)
        if role == "institution_clerk"
        else signed_in_client(application, in_province, SLUG, role)
    )
    serials = [next(actors.unused_serials(SLUG)) for _ in range(3)]
    content = sample_data.roster_xlsx([sample_data.roster_row(CODE, serial) for serial in serials])
    subject = places[sample_data.registration_number(CODE, 1)] if role == "institution_clerk" else ""
    assert f'data-subject="{subject}"' in client.get(PAGE).get_data(as_text=True)
    sender = Sender(client, PAGE, content, subject)
    start_answer = sender.begin()
    assert (start_answer.status_code, start_answer.json["chunk"]) == (201, PIECE)
    assert len(content) > PIECE
    assert sender.piece(PIECE, PIECE).status_code == 409, "the pieces follow one another"
    for offset in range(0, len(content), PIECE):
        for _ in range(2):  # a piece sent twice is no matter
            assert sender.piece(offset, PIECE).status_code == 200
    finish_answer = sender.ask(f"/{sender.id}/finish")
    assert (finish_answer.status_code, finish_answer.json["state"]) == (200, "done")
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "新增 3" in client.get(f"/{SLUG}/office/work/{finish_answer.json['document']}").get_data(
        as_text=True
    )
    with in_province(SLUG):
        for serial in serials:
            number = sample_data.roster_row(CODE, serial)["证件号码"]
            assert db.session.scalar(select(Doctor.id).where(Doctor.number_index == number_index(number)))


def test_who_may_not_bring_a_roster_begins_none(application, in_province, places):
    place = places[sample_data.registration_number(CODE, 2)]
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
    doctor.post("/filing/notice")
    for client, page, subject in (
        (doctor.client, f"/{SLUG}/filing/proof", ""),
        (doctor.client, f"/{SLUG}/filing/proof", place),
        (clerk_of(application, in_province, 1), PAGE, place),
    ):
        assert Sender(client, page, b"x", subject).begin().status_code == 403
    auditor = signed_in_client(application, in_province, SLUG, "auditor")
    assert auditor.post(f"/{SLUG}/uploads", data={"purpose": "roster"}).status_code in (400, 403)


def test_54_megabytes_may_come_and_65_may_not(application, in_province, places):
    admin = signed_in_client(application, in_province, SLUG, "province_admin")
    start_answer = Sender(admin, PAGE, b"").begin(54 * 1024 * 1024)
    assert (start_answer.status_code, start_answer.json["chunk"]) == (201, MAX_CHUNK_BYTES)
    refused = Sender(admin, PAGE, b"").begin(65 * 1024 * 1024)
    assert refused.status_code == 413
    assert "文件超过64 MB，请分成几个文件上传。" in refused.json["error"]


INSTITUTIONS = xlsx_writer.write_xlsx(
    ["机构名称", "机构登记号", "行政区划代码"], [["兰州新区医院", "PDYPIECES1", "620100"]]
)
QUESTIONS = xlsx_writer.write_xlsx(
    ["题干", "选项A", "选项B", "答案", "科目"], [["分片导入的题", "甲", "乙", "A", "公共知识"]]
)
PROFESSIONAL = xlsx_writer.write_xlsx(
    ["题干", "选项A", "选项B", "答案", "科目"], [["没有类别的题", "甲", "乙", "A", "业务水平"]]
)


@pytest.mark.parametrize(
    ("role", "purpose", "page", "content", "fields", "said"),
    [
        ("province_admin", "institutions", "institutions", INSTITUTIONS, {}, "新增 1"),
        ("question_editor", "questions", "banks", QUESTIONS, {"bank": "分片题库"}, "新增 1"),
        (
            "question_editor",
            "questions",
            "banks",
            PROFESSIONAL,
            {"bank": "分片题库", "category": "clinical"},
            "新增 1",
        ),
        ("question_editor", "questions", "banks", QUESTIONS, {"bank": " "}, "请填写题库名称"),
        (
            "question_editor",
            "questions",
            "banks",
            PROFESSIONAL,
            {"bank": "分片题库二"},
            "请选择它们的执业类别",
        ),
        ("province_admin", "institutions", "institutions", b"a,b\n1,2\n", {}, "缺少列"),
    ],
)
def test_every_sheet_comes_in_pieces_with_what_is_filled_in_beside_it(
    application, in_province, places, role, purpose, page, content, fields, said
):
    client, address = signed_in_client(application, in_province, SLUG, role), f"/{SLUG}/office/{page}"
    assert f'data-purpose="{purpose}"' in client.get(address).get_data(as_text=True)
    finish_answer = Sender(client, address, content, purpose=purpose).send(**fields)
    if finish_answer.status_code != 200:
        assert (finish_answer.status_code, said in finish_answer.json["error"]) == (422, True)
        return
    actors.run_pending_jobs(application, in_province, SLUG)
    assert said in client.get(f"/{SLUG}/office/work/{finish_answer.json['document']}").get_data(as_text=True)


def test_each_sheet_comes_from_whom_its_page_is_for(application, in_province, places):
    clerk = clerk_of(application, in_province, 1)
    for purpose in ("institutions", "questions", "scores"):
        assert Sender(clerk, PAGE, b"x", purpose=purpose).begin().status_code == 403
    editor = signed_in_client(application, in_province, SLUG, "question_editor")
    for purpose in ("institutions", "roster", "scores"):
        assert Sender(editor, f"/{SLUG}/office/banks", b"x", purpose=purpose).begin().status_code == 403


def test_what_is_no_roster_is_refused_when_it_is_whole(application, in_province, places):
    admin = signed_in_client(application, in_province, SLUG, "province_admin")
    sender = Sender(admin, PAGE, b"a,b\n1,2\n")
    sender.begin()
    sender.piece(0, MAX_CHUNK_BYTES)
    refused = sender.ask(f"/{sender.id}/finish")
    assert refused.status_code == 422
    assert "缺少列" in refused.json["error"]
