"""A sheet that is too large for one request is sent in pieces by the page, with its progress, and leads to
its job."""

import re

import pytest
from playwright.sync_api import expect

from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.uploads import chunked_uploads
from tests import actors, sample_data
from tests.blueprints.signed_in_client import signed_in_client
from tests.browser.conftest import DESK

SLUG, CODE = "shanxi", 14


@pytest.fixture
def page(application, in_province, address, open_page):
    client = signed_in_client(application, in_province, SLUG, "province_admin")
    opened = open_page(DESK)
    opened.context.add_cookies(
        [{"name": f"dk-{SLUG}", "value": client.get_cookie(f"dk-{SLUG}").value, "url": address}]
    )
    opened.goto(f"/{SLUG}/office/roster")
    opened.eval_on_selector(
        "form[data-chunk-threshold]", "form => form.dataset.chunkThreshold = 0"
    )  # as if the file were larger
    return opened


def choose(page, content):
    page.set_input_files(
        "input[type=file]", {"name": "名单.xlsx", "mimeType": "application/octet-stream", "buffer": content}
    )


def test_the_page_sends_the_pieces_and_leads_to_the_job(page, application, in_province):
    assert chunked_uploads.REGISTERED_PURPOSES["roster"].limits.chunk_size == 1024 * 1024
    choose(page, sample_data.roster_xlsx([sample_data.roster_row(CODE, next(actors.unused_serials(SLUG)))]))
    with page.expect_request(re.compile("/chunk")):
        page.get_by_role("button", name="直接导入", exact=True).click()
    page.wait_for_url(re.compile("/office/work/[0-9a-f-]{36}"))
    actors.run_pending_jobs(application, in_province, SLUG)
    expect(page.get_by_text("新增 1")).to_be_visible(timeout=120_000)


def test_what_is_no_roster_is_said_on_the_page(page):
    choose(page, b"a,b\n1,2\n")
    page.get_by_role("button", name="直接导入", exact=True).click()
    expect(page.locator("[data-upload-status]")).to_contain_text("缺少列")
    expect(page.get_by_role("button", name="直接导入", exact=True)).to_be_enabled()


def test_a_cut_connection_is_told_and_gone_on_with(page):
    choose(page, sample_data.roster_xlsx([sample_data.roster_row(CODE, next(actors.unused_serials(SLUG)))]))
    cut = {"times": 1}

    def once(route):
        if cut["times"]:
            cut["times"] -= 1
            route.abort()
        else:
            route.continue_()

    page.route(re.compile("/chunk"), once)
    page.get_by_role("button", name="直接导入", exact=True).click()
    expect(page.locator("[data-upload-status]")).to_contain_text("已上传的部分没有丢失")
    page.wait_for_url(re.compile("/office/work/"), timeout=120_000)


WAITING = """() => new Promise((resolve) => {
  indexedDB.open("dingkao-uploads").onsuccess = ({ target: { result: base } }) => {
    const asked = base.transaction("files").objectStore("files").getAllKeys();
    asked.onsuccess = () => { base.close(); resolve(asked.result.length); };
  };
})"""


def test_what_was_cut_off_is_offered_on_the_page_when_it_is_opened_again_and_once_taken_in_no_more(page):
    choose(page, sample_data.roster_xlsx([sample_data.roster_row(CODE, next(actors.unused_serials(SLUG)))]))
    pieces = re.compile("/chunk")
    page.route(pieces, lambda route: route.abort())
    page.get_by_role("button", name="直接导入", exact=True).click()
    expect(page.locator("[data-upload-status]")).to_contain_text("已上传的部分没有丢失")
    page.unroute(pieces)
    page.reload()
    assert page.evaluate(WAITING) == 1
    page.get_by_role("button", name="继续上传名单.xlsx").click()
    page.wait_for_url(re.compile("/office/work/"), timeout=120_000)
    assert page.evaluate(WAITING) == 0


def test_what_is_filled_in_beside_the_file_goes_with_it_and_mended_alone_is_sent_alone(
    page, application, in_province
):
    page.goto(f"/{SLUG}/office/banks")
    page.eval_on_selector("form[data-chunk-threshold]", "form => form.dataset.chunkThreshold = 0")
    choose(
        page,
        xlsx_writer.write_xlsx(
            ["题干", "选项A", "选项B", "答案", "科目"], [["分片的题", "甲", "乙", "A", "业务水平"]]
        ),
    )
    button, line = (
        page.get_by_role("button", name="直接导入", exact=True),
        page.locator("[data-upload-status]"),
    )
    button.click()
    expect(line).to_have_text("请填写题库名称。")
    page.fill("input[name=bank]", "分片题库")
    button.click()
    expect(line).to_contain_text("请选择它们的执业类别")
    page.select_option("select[name=category]", "clinical")
    upload_steps = []
    page.on(
        "request",
        lambda asked: (
            upload_steps.append(asked.url.rsplit("/", 1)[-1].split("?")[0])
            if "/uploads" in asked.url
            else None
        ),
    )
    button.click()
    page.wait_for_url(re.compile("/office/work/"))
    assert upload_steps == ["uploads", "finish"]
    actors.run_pending_jobs(application, in_province, SLUG)
    expect(page.get_by_text("新增 1")).to_be_visible(timeout=120_000)
