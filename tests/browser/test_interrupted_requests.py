"""A connection cut while a doctor asks for something on a phone: nothing typed is lost."""

import re
from functools import partial

import pytest
from playwright.sync_api import Page, expect

from tests.browser.request_phone import SLUG, begin, doctor_on_phone, submit, upload
from tests.browser.test_filing_pages import WAITING


@pytest.fixture
def phone(application, in_province, open_page):
    """A doctor and their phone, the record in a state."""
    return partial(doctor_on_phone, application, in_province, open_page)


CUT = {
    "exemption": ("免考", "note", "规培", "证书", "见附件。", "保存"), "change": ("信息修改", "school", "海南", "医", "学院", "确定"),
    "correction": ("信息更正", "name", "钱", "更", "正", "确定"),
}  # fmt: skip
"""What the link is called; the field; what is typed before the connection goes, while it is gone, and while
it is gone once more; the button."""


@pytest.mark.parametrize("kind", CUT)
def test_a_connection_cut_while_asking_loses_nothing_though_the_page_is_killed(
    phone, reopen_after_kill, kind
):
    """Cut twice: it comes back the first time; the second time the page is killed."""
    name, field, online_text, first_text, second_text, button = CUT[kind]
    _, page = phone("ready")
    begin(page, name)
    to_form(page, kind)
    if kind == "exemption":
        page.get_by_label(re.compile("住院医师规范化培训合格证书")).check()
    page.locator(f"#{field}").fill("")
    page.locator(f"#{field}").press_sequentially(online_text)
    typed_offline(page, field, first_text, button)
    page.context.set_offline(False)
    arrived(page, kind, online_text + first_text)

    to_form(page, kind)
    typed_offline(page, field, second_text, button)
    place, page = page.url, reopen_after_kill(page)
    page.goto(place)
    whole_text = online_text + first_text + second_text
    expect(page.get_by_text("已恢复本机保留的")).to_be_visible()
    expect(page.locator(f"#{field}")).to_have_value(whole_text)
    page.get_by_role("button", name=button, exact=True).click()
    arrived(page, kind, whole_text)
    if kind != "change":
        upload(page)
    submit(page)
    expect(page.get_by_text(whole_text)).to_be_visible()


def to_form(page: Page, kind: str) -> None:
    """From the request to where its content is filled in, which for 免考 is the request."""
    if kind != "exemption":
        page.get_by_role("button", name=re.compile("修改基本信息|(填写|修改)更正内容")).click()
        page.wait_for_url(re.compile("/(step/1|correction)$"))


def typed_offline(page: Page, field: str, text: str, button: str) -> None:
    """Cut the connection, type on, send."""
    page.context.set_offline(True)
    page.locator(f"#{field}").press("Control+End")
    page.locator(f"#{field}").press_sequentially(text)
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_text(WAITING)).to_be_visible()


def arrived(page: Page, kind: str, text: str) -> None:
    """The request shows what was sent."""
    if kind == "exemption":
        expect(page.get_by_text("已保存，尚未提交。")).to_be_visible()
        expect(page.locator("#note")).to_have_value(text)
    else:
        expect(page.get_by_text(text)).to_be_visible()


@pytest.mark.parametrize("killed", [False, True], ids=["restored", "killed"])
def test_an_appeal_handed_in_while_the_connection_is_cut_is_handed_in(phone, reopen_after_kill, killed):
    _, page = phone("failed")
    page.goto(f"/{SLUG}/requests/new/appeal")
    page.get_by_role("button", name="开始填写").click()
    page.locator("#note").press_sequentially("第12题的答案有争议,")
    typed_offline(page, "note", "申请重新核对评分。", "提交")
    if killed:
        place, page = page.url, reopen_after_kill(page)
        page.goto(place)
        expect(page.get_by_text("已恢复本机保留的")).to_be_visible()
        expect(page.locator("#note")).to_have_value("第12题的答案有争议,申请重新核对评分。")
        page.get_by_role("button", name="提交", exact=True).click()
    else:
        page.context.set_offline(False)
    expect(page.get_by_text("办理进度")).to_be_visible()
    expect(page.get_by_text("第12题的答案有争议,申请重新核对评分。")).to_be_visible()
