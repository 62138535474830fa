"""Files in pieces by HTTP: order, duplicates, gaps, sizes, whose they are, finishing twice, limits, what the
duty sweeps; plain forms beside it."""

import io
import re
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.errors import Unavailable
from dingkao.filings import filing_documents
from dingkao.filings.models import Document
from dingkao.integrations import storage
from dingkao.integrations.images import images
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.tenants import settings
from dingkao.tenants.keys import object_key
from dingkao.uploads import chunked_uploads
from dingkao.uploads.models import Upload
from tests import actors, sample_data
from tests.blueprints.signed_in_client import signed_in_client
from tests.rooms.test_images import a_pdf, noise

SLUG = "gansu"


class Sender:
    """A doctor who sends a file as static/js/chunked-upload.js does."""

    def __init__(
        self,
        doctor: actors.SignedInDoctor,
        content: bytes,
        purpose: str = "filing_proof",
        name: str = "证明.jpg",
    ):
        self.doctor, self.content, self.purpose, self.name, self.key = doctor, content, purpose, name, uuid4()
        self.token = re.search(r'name="csrf_token" value="([^"]+)"', doctor.get("/filing/proof"))[1]
        self.id = ""

    def ask(self, address: str, **more):
        """Post there, as a script."""
        headers = {"X-CSRFToken": self.token, "Accept": "application/json"}
        return self.doctor.client.post(f"/{self.doctor.slug}/uploads{address}", headers=headers, **more)

    def begin(self, size: int | None = None, **more):
        """Tell the beginning."""
        fields = {
            "purpose": self.purpose,
            "key": str(self.key),
            "name": self.name,
            "size": str(len(self.content) if size is None else size),
        }
        answer = self.ask("", data=fields | more)
        self.id = answer.json.get("id", self.id)
        return answer

    def piece(self, offset: int, content: bytes | None = None):
        """Send the piece at `offset`."""
        chunk = self.content[offset : offset + chunked_uploads.CHUNK_SIZE] if content is None else content
        return self.ask(
            f"/{self.id}/chunk?offset={offset}", data=chunk, content_type="application/octet-stream"
        )

    def finish(self):
        """Say that all of it was sent."""
        return self.ask(f"/{self.id}/finish")

    def whole(self):
        """From beginning to end."""
        assert self.begin().status_code == 201
        for offset in range(0, len(self.content), chunked_uploads.CHUNK_SIZE):
            assert self.piece(offset).status_code == 200
        return self.finish()


def a_doctor(application, in_province, slug=SLUG):
    serial = next(actors.unused_serials(slug))
    number = sample_data.resident_number(serial, sex="男" if serial % 2 else "女", birth=date(1977, 5, 6))
    doctor = actors.signed_in_doctor(application, in_province, slug, serial, 证件号码=number)
    doctor.post("/filing/notice")
    return doctor


@pytest.fixture
def doctor(application, in_province):
    return a_doctor(application, in_province)


PICTURE = noise(700, 900)


def test_a_file_in_pieces_comes_out_whole_whatever_is_sent_twice(doctor, in_province):
    assert len(PICTURE) > 3 * chunked_uploads.CHUNK_SIZE
    sender = Sender(doctor, PICTURE)
    response = sender.begin()
    assert (response.status_code, response.json["received"], response.json["chunk"]) == (
        201,
        0,
        chunked_uploads.CHUNK_SIZE,
    )
    assert sender.begin().json["id"] == response.json["id"]
    assert sender.piece(0).json["received"] == chunked_uploads.CHUNK_SIZE
    assert sender.piece(0).json["received"] == chunked_uploads.CHUNK_SIZE
    ahead = sender.piece(2 * chunked_uploads.CHUNK_SIZE)
    assert (ahead.status_code, ahead.json["received"]) == (409, chunked_uploads.CHUNK_SIZE)
    assert sender.piece(chunked_uploads.CHUNK_SIZE + 1).status_code == 409
    assert sender.piece(-chunked_uploads.CHUNK_SIZE, b"x").status_code == 409
    early = sender.finish()
    assert (early.status_code, early.json["received"]) == (409, chunked_uploads.CHUNK_SIZE)
    assert sender.piece(chunked_uploads.CHUNK_SIZE, b"short").status_code == 422
    for offset in range(chunked_uploads.CHUNK_SIZE, len(PICTURE), chunked_uploads.CHUNK_SIZE):
        assert sender.piece(offset).status_code == 200
    assert sender.piece(0).json["received"] == len(PICTURE), "what came since is not forgotten"
    assert sender.begin().json["received"] == len(PICTURE)
    first, second = sender.finish(), sender.finish()
    assert first.json["state"] == second.json["state"] == "done"
    assert first.json["document"] == second.json["document"]
    assert sender.begin().json["state"] == "done"
    assert doctor.get("/filing/proof").count("证明.jpg</a>") == 1
    plain = images.process_document(PICTURE)[0]
    assert doctor.client.get(f"/{SLUG}/filing/proof/{first.json['document']}").data == plain


def test_pieces_lie_sealed_and_are_gone_when_they_are_not_needed(doctor, in_province):
    sender = Sender(doctor, PICTURE)
    sender.begin()
    sender.piece(0)
    with in_province(SLUG):
        piece = chunked_uploads._chunk_id(UUID(sender.id), 0)
        store = storage.current_store()
        lying = store.client.get_object(Bucket=store.bucket, Key=object_key("chunk", piece))["Body"].read()
        assert PICTURE[:64] not in lying
        assert store.get("chunk", piece) == PICTURE[: chunked_uploads.CHUNK_SIZE]
        chunked_uploads.delete_expired()
        db.session.commit()
        assert store.get("chunk", piece)
    assert sender.ask(f"/{sender.id}/cancel").json == {"cancelled": True}
    assert sender.piece(chunked_uploads.CHUNK_SIZE).status_code == 404
    assert sender.begin().status_code == 404
    with in_province(SLUG):
        assert chunked_uploads.delete_expired() >= 1
        db.session.commit()
        with pytest.raises(storage.NotFound):
            store.get("chunk", piece)


def test_what_is_older_than_a_day_is_swept_with_its_row(doctor, in_province):
    open_one, sender = Sender(doctor, PICTURE), Sender(doctor, actors.portrait_image())
    open_one.begin()
    open_one.piece(0)
    assert sender.whole().status_code == 200
    with in_province(SLUG):
        db.session.execute(
            update(Upload)
            .where(Upload.id.in_([open_one.id, sender.id]))
            .values(begun_at=clock.now() - timedelta(hours=25))
        )
        db.session.commit()
        chunked_uploads.delete_expired()
        db.session.commit()
        assert (
            db.session.scalars(select(Upload.id).where(Upload.id.in_([open_one.id, sender.id]))).all() == []
        )
    assert open_one.piece(chunked_uploads.CHUNK_SIZE).status_code == 404
    assert open_one.begin().json["received"] == 0
    assert "证明.jpg" in doctor.get("/filing/proof")


def test_another_account_and_another_province_know_nothing_of_it(application, in_province, doctor):
    sender = Sender(doctor, PICTURE)
    sender.begin()
    sender.piece(0)
    for slug in (SLUG, "qinghai"):
        other_sender = Sender(a_doctor(application, in_province, slug), PICTURE)
        other_sender.key = sender.key
        payload = other_sender.begin().json
        assert (payload["id"] != sender.id, payload["received"]) == (True, 0)
        other_sender.id = sender.id
        assert other_sender.piece(chunked_uploads.CHUNK_SIZE).status_code == 404
        assert other_sender.finish().status_code == 404
        assert other_sender.ask(f"/{sender.id}/cancel").status_code == 404
    assert sender.piece(chunked_uploads.CHUNK_SIZE).json["received"] == 2 * chunked_uploads.CHUNK_SIZE
    clerk = signed_in_client(application, in_province, SLUG, "province_admin")
    assert clerk.post(f"/{SLUG}/uploads", headers={"X-CSRFToken": "x"}).status_code in (400, 403)


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"size": "0"}, 422),
        ({"size": str(images.MAX_DOCUMENT_BYTES + 1)}, 413),
        ({"size": "many"}, 422),
        ({"size": "-5"}, 422),
        ({"key": "x"}, 422),
        ({"purpose": "seal"}, 404),
        ({"subject": "no-uuid"}, 422),
        ({"size": "9" * 40}, 413),
    ],
)
def test_a_beginning_that_is_none_is_refused_in_words(application, in_province, told, status):
    sender = Sender(a_doctor(application, in_province), PICTURE)
    answer = sender.begin(**told) if "size" not in told else sender.begin(told["size"])
    assert answer.status_code == status
    assert answer.json["error"]


def test_a_piece_larger_than_agreed_is_not_read(doctor):
    sender = Sender(doctor, PICTURE)
    sender.begin()
    assert sender.piece(0, PICTURE[: chunked_uploads.CHUNK_SIZE + 1]).status_code == 413
    assert sender.begin().json["received"] == 0


def test_without_the_forms_token_nothing_is_taken(doctor):
    sender = Sender(doctor, PICTURE)
    sender.begin()
    sender.token = "none"
    assert sender.piece(0).status_code == 400
    assert sender.finish().status_code == 400


def test_what_is_no_document_is_refused_at_the_end_and_nothing_is_kept(doctor, in_province):
    sender = Sender(doctor, b"%PDF-1.7 nothing" * 20, name="证明.pdf")
    answer = sender.whole()
    assert answer.status_code == 422
    assert "这份PDF无法打开" in answer.json["error"]
    assert sender.finish().status_code == 422
    with in_province(SLUG):
        assert (
            db.session.scalars(select(Document.id).where(Document.doctor_id == doctor.doctor_id)).all() == []
        )


def test_the_store_being_down_keeps_what_is_here(doctor, monkeypatch):
    sender = Sender(doctor, PICTURE)
    sender.begin()
    sender.piece(0)

    def down(*_args, **_more):
        raise Unavailable(storage.UNAVAILABLE_MESSAGE)

    with monkeypatch.context() as patch:
        patch.setattr(storage.ObjectStore, "put", down)
        assert sender.piece(chunked_uploads.CHUNK_SIZE).status_code == 503
    assert sender.piece(chunked_uploads.CHUNK_SIZE).json["received"] == 2 * chunked_uploads.CHUNK_SIZE


def test_limits_of_an_account(doctor, in_province, monkeypatch):
    monkeypatch.setattr(chunked_uploads, "MAX_OPEN_UPLOADS", 2)
    for _ in range(2):
        assert Sender(doctor, PICTURE).begin().status_code == 201
    full = Sender(doctor, PICTURE).begin()
    assert (full.status_code, full.headers["Retry-After"]) == (429, "600")
    assert "未完成的上传太多" in full.json["error"]
    monkeypatch.setattr(chunked_uploads, "MAX_OPEN_UPLOADS", 20)
    monkeypatch.setattr(chunked_uploads, "MAX_BYTES_PER_DAY", 3 * len(PICTURE) - 1)
    assert "请明天再传" in Sender(doctor, PICTURE).begin().json["error"]


def test_what_is_handed_in_can_no_longer_be_added_to(doctor, in_province):
    late, sender = Sender(doctor, actors.portrait_image()), Sender(doctor, PICTURE)
    sender.begin()
    for offset in range(0, len(PICTURE), chunked_uploads.CHUNK_SIZE):
        sender.piece(offset)
    doctor.file()
    doctor.submit()
    for answer in (late.begin(), sender.finish()):
        assert answer.status_code == 409
        assert "信息已提交" in answer.json["error"]
        assert "received" not in answer.json


def test_a_photo_in_pieces_replaces_the_old_one_only_when_it_is_sound(doctor):
    first = Sender(doctor, actors.portrait_image(), "filing_photo").whole()
    content = doctor.client.get(f"/{SLUG}/filing/photo.jpg").data
    assert first.status_code == 200
    assert Sender(doctor, actors.portrait_image(60, 90), "filing_photo").whole().status_code == 422
    assert doctor.client.get(f"/{SLUG}/filing/photo.jpg").data == content
    assert Sender(doctor, noise(500, 700), "filing_photo").whole().status_code == 200
    assert doctor.client.get(f"/{SLUG}/filing/photo.jpg").data != content


def test_the_proofs_are_counted_at_the_beginning_and_at_the_end(doctor, monkeypatch):
    monkeypatch.setattr(filing_documents, "MAX_PROOFS", 1)
    first, second = Sender(doctor, actors.portrait_image()), Sender(doctor, actors.portrait_image())
    for sender in (first, second):
        sender.begin()
        sender.piece(0)
    assert first.finish().status_code == 200
    assert second.finish().status_code == 422
    assert "请先删除不需要的" in Sender(doctor, actors.portrait_image()).begin().json["error"]


def test_several_files_of_a_plain_form_are_kept_and_the_others_named(doctor):
    files = [
        (io.BytesIO(actors.portrait_image()), "奖状.jpg"),
        (io.BytesIO(b"nothing"), "说明.txt"),
        (io.BytesIO(a_pdf()), "职称.pdf"),
    ]
    answer = doctor.post("/filing/proof", proof=files)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert "已上传2件，以下文件没有上传" in text
    assert "说明.txt：这不是可以识别的照片" in text
    page = doctor.get("/filing/proof")
    assert "奖状.jpg" in page
    assert "职称.pdf" in page
    assert (
        doctor.post(
            "/filing/proof", proof=[(io.BytesIO(a_pdf()), "一.pdf"), (io.BytesIO(a_pdf()), "二.pdf")]
        ).status_code
        == 303
    )
    none = doctor.post("/filing/proof", proof=(io.BytesIO(b""), ""))
    assert none.status_code == 422
    assert "请选择文件。" in none.get_data(as_text=True)


def test_what_a_photos_checks_remark_is_told_to_doctor_and_reviewer(application, in_province, doctor):
    doctor.file()
    doctor.post("/filing/photo", photo=(io.BytesIO(actors.portrait_image(900, 600, "#205090")), "photo.jpg"))
    page = doctor.get("/filing/photo")
    for words in ("照片不是证件照比例，已自动从中间裁剪", "照片可能不够清晰", "照片背景可能不是白色或浅色"):
        assert words in page
    doctor.submit()
    reviewer = signed_in_client(
        application, in_province, SLUG, "institution_reviewer", sample_data.registration_number(62, 1)
    )
    assert "照片背景可能不是白色或浅色" in reviewer.get(f"/{SLUG}/office/review/{doctor.record_id}").get_data(
        as_text=True
    )


def test_a_province_decides_what_its_photos_must_be(application, in_province):
    doctor = a_doctor(application, in_province, "ningxia")
    with in_province("ningxia"):
        for name, value in (
            ("photo_ground", "refuse"),
            ("photo_sharpness", "off"),
            ("photo_least_width", 600),
            ("photo_size", "hint"),
        ):
            settings.change(name, value, by=TERMINAL_ACTOR.id, reason="试验")
        db.session.commit()
    answer = doctor.post(
        "/filing/photo", photo=(io.BytesIO(actors.portrait_image(colour="#205090")), "photo.jpg")
    )
    assert answer.status_code == 422
    assert "请以白墙为背景重新拍摄" in answer.get_data(as_text=True)
    assert (
        doctor.post(
            "/filing/photo", photo=(io.BytesIO(actors.portrait_image(413, 579, "#ffffff")), "photo.jpg")
        ).status_code
        == 303
    )
    page = doctor.get("/filing/photo")
    assert "照片偏小" in page
    assert "不够清晰" not in page


def test_the_photo_is_compressed_to_the_limit_of_the_province_and_its_page_says_so(application, in_province):
    doctor = a_doctor(application, in_province, "ningxia")
    page = doctor.get("/filing/photo")
    assert "不超过10MB" in page
    assert "压缩" not in page
    assert f'data-max-bytes="{10 * 1024 * 1024}"' in page
    with in_province("ningxia"):
        settings.change("photo_most_kb", 200, by=TERMINAL_ACTOR.id, reason="试验")
        db.session.commit()
    page = doctor.get("/filing/photo")
    assert "不超过10MB" in page
    assert "压缩到200kB以内" in page
    assert 'data-max-bytes="204800"' in page
    photo = actors.portrait_image(3000, 4200, "#ffffff", kind="PNG") + bytes(204800)
    assert doctor.post("/filing/photo", photo=(io.BytesIO(photo), "photo.png")).status_code == 303
    assert len(doctor.client.get("/ningxia/filing/photo.jpg").data) <= 204800
