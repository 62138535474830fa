"""Photos and proofs on a phone: cropped and previewed, the old one kept on cancel, several files, the
connection cut half way, the page killed."""

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from sqlalchemy import select

from dingkao.database.base import db
from dingkao.filings.models import Document
from dingkao.uploads import chunked_uploads
from dingkao.uploads.models import Upload
from tests import actors
from tests.blueprints.test_filing import a_pdf
from tests.browser.conftest import PHONE
from tests.rooms.test_images import figure, noise

SLUG = "hunan"
_serial = actors.unused_serials(SLUG)
LOOK = os.environ.get("DINGKAO_LOOK")
LARGE = noise(1600, 1100)
PHOTO = {"name": "IMG_2041.jpg", "mimeType": "image/jpeg", "buffer": figure(size=(1500, 2000))}


class Sender:
    """A doctor who has read the notice, on a phone."""

    def __init__(self, application, in_province, open_page):
        self.doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
        self.doctor.post("/filing/notice")
        self.in_province = in_province
        self.page: Page = open_page(PHONE)
        self.page.set_default_timeout(15_000)
        name = f"dk-{SLUG}"
        value = self.doctor.client.get_cookie(name).value
        self.page.context.add_cookies(
            [{"name": name, "value": value, "url": self.page.context._impl_obj._options["baseURL"]}]
        )

    def kept(self) -> list[bytes]:
        """The proofs that the server keeps."""
        with self.in_province(SLUG):
            ids = db.session.scalars(
                select(Document.id)
                .where(Document.doctor_id == self.doctor.doctor_id, Document.kind == "proof")
                .order_by(Document.id)
            ).all()
        return [self.doctor.client.get(f"/{SLUG}/filing/proof/{proof}").data for proof in ids]

    def received(self) -> list[int]:
        """How much has come of what is open."""
        with self.in_province(SLUG):
            return list(
                db.session.scalars(
                    select(Upload.received).where(
                        Upload.state == "open", Upload.account_id == actors.account_of(self.doctor.record_id)
                    )
                )
            )

    def photo(self) -> bytes:
        """The photo that the server keeps."""
        return self.doctor.client.get(f"/{SLUG}/filing/photo.jpg").data


@pytest.fixture
def sender(application, in_province, open_page, address):
    return Sender(application, in_province, open_page)


def look(page: Page, name: str) -> None:
    if LOOK:
        page.screenshot(path=str(Path(LOOK) / f"{name}.png"), full_page=True)


def choose(page: Page, *files: dict[str, object] | str) -> None:
    page.get_by_label(re.compile("可多选|从相册选择")).set_input_files(list(files))


def cut_half_way(page: Page, sent: list[str]) -> Callable[[], None]:
    """Cut the connection when half of LARGE has been sent; gives what waits until it is cut. A page that is
    closed before has a chunk on its way that nobody sees."""
    cut: list[str] = []

    def pass_on(route):
        if len(sent) >= len(LARGE) // chunked_uploads.CHUNK_SIZE // 2:
            page.context.set_offline(True)
            route.abort("internetdisconnected")
            cut.append(route.request.url)
        else:
            sent.append(route.request.url)
            route.continue_()

    def wait_until_cut() -> None:
        expect(page.locator("[data-upload-status]")).to_be_visible(timeout=20_000)
        for _ in range(400):
            if cut:
                return
            page.wait_for_timeout(50)
        pytest.fail("half of it was never sent")

    page.route("**/chunk?*", pass_on)
    return wait_until_cut


def test_a_photo_is_cropped_previewed_and_replaces_the_old_one_only_then(sender):
    page = sender.page
    fetched = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(f"/{SLUG}/filing/photo")
    expect(page.get_by_text("还没有上传照片")).to_be_visible()
    look(page, "photo-none")
    assert not [url for url in fetched if "cropper" in url]
    choose(page, PHOTO)
    expect(page.get_by_role("heading", name="裁剪照片")).to_be_visible()
    expect(page.locator(".cropper-crop-box")).to_be_visible()
    for name in ("放大", "左移", "右转", "左转", "下移", "缩小"):
        page.get_by_role("button", name=name).click()
    look(page, "photo-crop")
    page.get_by_role("button", name="预览").click()
    expect(page.get_by_role("heading", name="预览")).to_be_visible()
    look(page, "photo-preview")
    assert sender.photo()[:2] != b"\xff\xd8"
    page.get_by_role("button", name="使用这张照片").click()
    expect(page.get_by_text("照片已保存。请核对是否清晰")).to_be_visible()
    look(page, "photo-kept")
    first_photo = sender.photo()
    assert Image.open(io.BytesIO(first_photo)).size == (413, 579)

    choose(page, PHOTO | {"buffer": figure("#2f6fb5", blurred=9, size=(900, 1300))})
    page.get_by_role("button", name="预览").click()
    expect(page.get_by_role("heading", name="预览")).to_be_visible()
    page.get_by_role("button", name="取消，保留原照片").click()
    expect(page.get_by_text("将这样印在考核结果通知书上").first).to_be_visible()
    assert sender.photo() == first_photo
    choose(page, PHOTO | {"buffer": figure("#2f6fb5", blurred=9, size=(900, 1300))})
    page.get_by_role("button", name="预览").click()
    page.get_by_role("button", name="重新裁剪").click()
    page.get_by_role("button", name="预览").press("Enter")
    page.get_by_role("button", name="使用这张照片").press("Enter")
    expect(page.get_by_text("照片背景可能不是白色或浅色")).to_be_visible()
    look(page, "photo-hints")
    assert sender.photo() != first_photo


def test_a_photo_that_is_none_says_what_to_do_and_the_old_one_stays(sender):
    page = sender.page
    page.goto(f"/{SLUG}/filing/photo")
    choose(
        page, {"name": "IMG_1.HEIC", "mimeType": "image/heic", "buffer": b"\0\0\0\x18ftypheic" + b"\0" * 99}
    )
    expect(page.get_by_role("alert")).to_contain_text(
        "HEIC格式照片，暂时不能识别。请对这张照片截图后上传截图"
    )
    look(page, "photo-heic")
    choose(page, {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"nothing"})
    expect(page.get_by_role("alert")).to_contain_text("这不是可以识别的照片")


def test_a_photo_sent_into_a_cut_connection_arrives_when_it_is_back(sender):
    page = sender.page
    page.goto(f"/{SLUG}/filing/photo")
    choose(page, PHOTO)
    page.get_by_role("button", name="预览").click()
    page.context.set_offline(True)
    page.get_by_role("button", name="使用这张照片").click()
    expect(page.locator("#line")).to_contain_text("网络恢复后会自动继续")
    look(page, "photo-cut")
    page.context.set_offline(False)
    expect(page.get_by_text("照片已保存。请核对是否清晰")).to_be_visible(timeout=20_000)


def test_several_files_with_progress_and_one_that_is_refused(sender):
    page = sender.page
    page.goto(f"/{SLUG}/filing/proof")
    look(page, "proofs-none")
    progress_texts = []
    page.expose_function("seen", lambda text: progress_texts.append(text))
    page.evaluate(
        "new MutationObserver(() => { for (const one of "
        "document.querySelectorAll('.upload-message')) window.seen(one.textContent); })"
        ".observe(document.querySelector('[data-sending]'), {subtree: true, childList: true, "
        "characterData: true})"
    )
    choose(
        page,
        {"name": "奖状.jpg", "mimeType": "image/jpeg", "buffer": LARGE},
        {"name": "职称.pdf", "mimeType": "application/pdf", "buffer": a_pdf()},
        {"name": "坏的.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 nothing"},
        {"name": "说明.docx", "mimeType": "", "buffer": b"PK"},
    )
    expect(page.locator("#files")).to_contain_text("已上传 2 件", timeout=20_000)
    expect(page.locator("#files")).to_contain_text("职称.pdf")
    expect(page.get_by_text("这份PDF无法打开，请重新导出后上传，或改为上传图片。")).to_be_visible(
        timeout=20_000
    )
    expect(page.get_by_text("只能上传jpg、png图片或pdf文件，请重新选择。")).to_be_visible()
    look(page, "proofs-some")
    shares = [int(match[1]) for text in progress_texts if (match := re.match(r"已上传(\d+)%", text))]
    assert len(set(shares)) > 5
    assert len(sender.kept()) == 2
    page.get_by_role("button", name="移除：坏的.pdf").click()
    expect(page.get_by_text("坏的.pdf")).to_have_count(0)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="删除职称.pdf").click()
    expect(page.locator("#files")).to_contain_text("已上传 1 件")
    page.reload()
    expect(page.locator("[data-sending] li")).to_have_count(0)


def test_cut_half_way_an_upload_is_cancelled_and_forgotten_or_ends_by_itself_when_the_connection_is_back(
    sender,
):
    page, chunk_urls = sender.page, []
    page.goto(f"/{SLUG}/filing/proof")
    wait_until_cut = cut_half_way(page, [])
    choose(page, {"name": "病历.jpg", "mimeType": "image/jpeg", "buffer": LARGE})
    wait_until_cut()
    page.unroute("**/chunk?*")
    page.context.set_offline(False)
    with page.expect_response("**/cancel") as cancelled:
        page.get_by_role("button", name="取消").click()
    assert cancelled.value.status == 200
    assert sender.received() == []
    page.reload()
    expect(page.get_by_text("上次没有传完")).to_have_count(0)
    assert sender.kept() == []

    cut_half_way(page, chunk_urls)
    choose(page, {"name": "病历.jpg", "mimeType": "image/jpeg", "buffer": LARGE})
    expect(page.locator("[data-upload-status]")).to_have_text(
        "网络已断开，已上传的部分没有丢失。网络恢复后会自动继续，请保留本页。", timeout=20_000
    )
    expect(page.locator(".upload-message")).to_have_text(re.compile(r"^已上传4\d%，已暂停$"))
    look(page, "proofs-cut")
    assert sender.received() == [len(chunk_urls) * chunked_uploads.CHUNK_SIZE]
    page.unroute("**/chunk?*")
    page.on("request", lambda request: chunk_urls.append(request.url) if "/chunk?" in request.url else None)
    page.context.set_offline(False)
    expect(page.locator("#files")).to_contain_text("病历.jpg", timeout=30_000)
    expect(page.locator("[data-upload-status]")).to_be_hidden()
    assert len(chunk_urls) == len(set(chunk_urls)) == -(-len(LARGE) // chunked_uploads.CHUNK_SIZE)
    assert [Image.open(io.BytesIO(content)).size for content in sender.kept()] == [(1600, 1100)]


def test_killed_half_way_the_page_offers_to_go_on_from_where_it_stood(sender):
    page, sent_before, sent_after = sender.page, [], []
    page.goto(f"/{SLUG}/filing/proof")
    wait_until_cut = cut_half_way(page, sent_before)
    choose(page, {"name": "病历.jpg", "mimeType": "image/jpeg", "buffer": LARGE})
    wait_until_cut()
    context = page.context
    page.close()
    context.set_offline(False)
    reopened = context.new_page()
    reopened.on(
        "request", lambda request: sent_after.append(request.url) if "/chunk?" in request.url else None
    )
    reopened.goto(f"/{SLUG}/filing/proof")
    expect(reopened.get_by_text("上次没有传完")).to_be_visible()
    look(reopened, "proofs-again")
    (received,) = sender.received()
    reopened.get_by_role("button", name="继续上传").click()
    expect(reopened.locator("#files")).to_contain_text("病历.jpg", timeout=30_000)
    assert received >= len(sent_before) * chunked_uploads.CHUNK_SIZE > 2 * chunked_uploads.CHUNK_SIZE
    assert [int(url.rpartition("offset=")[2]) for url in sent_after] == list(
        range(received, len(LARGE), chunked_uploads.CHUNK_SIZE)
    )
    assert len(sender.kept()) == 1
    reopened.reload()
    expect(reopened.get_by_text("上次没有传完")).to_have_count(0)


def test_a_camera_s_photo_is_made_smaller_before_it_is_sent(sender):
    page = sender.page
    page.goto(f"/{SLUG}/filing/proof")
    choose(page, {"name": "大照片.jpg", "mimeType": "image/jpeg", "buffer": figure(size=(3000, 4200))})
    expect(page.locator("#files")).to_contain_text("大照片.jpg", timeout=30_000)
    with sender.in_province(SLUG):
        size = db.session.scalars(
            select(Upload.size).where(Upload.account_id == actors.account_of(sender.doctor.record_id))
        ).one()
    assert size < len(figure(size=(3000, 4200)))


def test_without_scripts_the_plain_form_takes_several(application, in_province, browser, address):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    doctor.post("/filing/notice")
    context = browser.new_context(viewport=PHONE, base_url=address, java_script_enabled=False)
    context.add_cookies(
        [{"name": f"dk-{SLUG}", "value": doctor.client.get_cookie(f"dk-{SLUG}").value, "url": address}]
    )
    page = context.new_page()
    page.goto(f"/{SLUG}/filing/proof")
    page.locator("#proof").set_input_files(
        [{"name": f"{n}.pdf", "mimeType": "application/pdf", "buffer": a_pdf()} for n in "一二"]
    )
    page.get_by_role("button", name="上传材料").click()
    expect(page.locator("#files")).to_contain_text("已上传 2 件")
    context.close()


def test_a_record_saved_leads_to_its_proofs_and_what_is_typed_beside_them_stays(sender):
    page = sender.page
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"/{SLUG}/filing/4")
    page.locator("#good_record").get_by_text("有", exact=True).click()
    page.get_by_role("button", name="添加良好执业行为记录").click()
    expect(page.get_by_text("保存后可以上传证明材料。")).to_be_visible()
    page.get_by_label("时间").fill("2025-03")
    page.get_by_label("事由").fill("市级先进个人")
    look(page, "record-new")
    page.get_by_role("button", name="保存", exact=True).click()
    expect(page.get_by_text("已保存。有证明材料的，请在本页上传")).to_be_visible()
    look(page, "record-saved")
    page.get_by_label("授予机关").fill("市卫生健康委")
    choose(
        page,
        {"name": "奖状.jpg", "mimeType": "image/jpeg", "buffer": LARGE},
        {"name": "文件.pdf", "mimeType": "application/pdf", "buffer": a_pdf()},
    )
    expect(page.locator("#files")).to_contain_text("证明材料 2 件", timeout=20_000)
    look(page, "record-proofs")
    page.get_by_role("button", name="删除文件.pdf").click()
    expect(page.locator("#files")).to_contain_text("证明材料 1 件")
    expect(page.get_by_label("授予机关")).to_have_value("市卫生健康委")
    assert len(sender.kept()) == 1
    page.get_by_role("button", name="保存", exact=True).click()
    expect(page.get_by_text("证明材料：奖状.jpg")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    look(page, "record-step")
    page.goto(f"/{SLUG}/filing/check")
    look(page, "record-check")
    proof = page.get_by_role("link", name="证明材料：奖状.jpg").get_attribute("href")
    assert page.request.get(proof).headers["content-type"] == "image/jpeg"
