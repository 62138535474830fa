"""A doctor's phone on which requests are made, and the steps that they have in common."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests import actors
from tests.blueprints.request_steps import doctor_in
from tests.browser.conftest import PHONE

SLUG = "hainan"


def doctor_on_phone(
    application: Any, in_province: Any, open_page: Any, state: str
) -> tuple[actors.SignedInDoctor, Page]:
    """A doctor with a complete filing whose record is in `state`, and their phone, signed in."""
    someone = doctor_in(application, in_province, SLUG, state)
    return someone, signed_in(open_page(PHONE), someone.client.get_cookie(f"dk-{SLUG}").value)


def signed_in(page: Page, cookie: str) -> Page:
    """The page with someone's session."""
    page.context.add_cookies(
        [
            {
                "name": f"dk-{SLUG}",
                "value": cookie,
                "url": page.context._impl_obj._options["baseURL"],
            }
        ]
    )
    page.on("dialog", lambda dialog: dialog.accept())
    return page


def begin(page: Page, kind: str) -> None:
    """From the list of requests to a new one."""
    page.goto(f"/{SLUG}/requests")
    page.get_by_role("link", name=re.compile(f"申请{kind}")).click()
    page.get_by_role("button", name="开始填写").click()
    expect(page.get_by_text("尚未提交。")).to_be_visible()


def upload(page: Page) -> None:
    """A proof, and back to the request."""
    page.get_by_role("button", name=re.compile("上传材料")).click()
    page.get_by_label("选择文件（可多选）").set_input_files(
        {
            "name": "证书.jpg",
            "mimeType": "image/jpeg",
            "buffer": actors.portrait_image(),
        }
    )
    expect(page.get_by_text("已上传 1 件")).to_be_visible()
    page.get_by_role("link", name=re.compile("返回.*申请")).click()


def submit(page: Page) -> str:
    """Hand it in; the request's id."""
    page.get_by_role("button", name="提交", exact=True).click()
    expect(page.get_by_text("办理进度")).to_be_visible()
    return page.url.rsplit("/", 1)[1]
