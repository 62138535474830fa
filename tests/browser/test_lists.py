"""A list in a browser: what is chosen is counted, rows are copied as a table, institutions are suggested, the
heading stays where it is; light for axe-core, menus open too."""

import os
import re

import pytest
from playwright.sync_api import Page, expect

from tests import actors, sample_data
from tests.blueprints.signed_in_client import signed_in_client
from tests.browser.conftest import DESK
from tests.visual import checks

SLUG, CODE, DOCTORS = "ningxia", 64, 60
FIRST = sample_data.registration_number(CODE, 1)


@pytest.fixture(scope="module")
def clerk(application, in_province, address):
    """A clerk of an institution whose list of records has two pages."""
    actors.signed_in_doctor(application, in_province, SLUG, 100, included=False)
    with in_province(SLUG):
        actors.put_on_roster(*(sample_data.roster_row(CODE, 200 + serial) for serial in range(DOCTORS)))
        actors.enrolment.enrol(actors.get_or_open_cycle())
        actors.db.session.commit()
    return signed_in_client(application, in_province, SLUG, "institution_clerk", FIRST)


@pytest.fixture(scope="module")
def admin(application, in_province, clerk):
    """An administrator of the province."""
    return signed_in_client(application, in_province, SLUG, "province_admin")


@pytest.fixture
def page(open_page, clerk) -> Page:
    return signed_in_page(open_page(DESK), clerk)


def signed_in_page(page, client):
    """The page, with the client's session."""
    base = page.context._impl_obj._options["baseURL"]
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.context.add_cookies(
        [{"name": f"dk-{SLUG}", "value": client.get_cookie(f"dk-{SLUG}").value, "url": base}]
    )
    return page


def look(page, name):
    if folder := os.environ.get("LOOK"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_what_is_chosen_is_counted_and_all_rows_of_the_view_are_included(page):
    page.goto(f"/{SLUG}/office/inclusion")
    look(page, "inclusion")
    count = page.locator("[data-selection-count]")
    expect(count).to_have_text("已选0人")
    page.get_by_label("选择本页全部").check()
    expect(count).to_have_text("已选50人")
    page.locator("tbody input[name=record]").first.uncheck()
    expect(count).to_have_text("已选49人")
    page.get_by_label("全部符合条件的61人（不只本页）").check()
    expect(count).to_have_text("已选全部符合条件的61人（不只本页）")
    assert checks.axe_findings(page) == []
    page.get_by_role("link", name="下一页").click()
    expect(page.locator("tbody tr")).to_have_count(11)
    page.get_by_role("link", name="上一页").click()
    page.get_by_label("全部符合条件的61人（不只本页）").check()
    page.get_by_role("button", name="纳入所选").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("纳入全部医师")


def test_the_shown_rows_are_copied_as_a_table(page):
    page.goto(f"/{SLUG}/office/doctors?columns=name,number,department")
    look(page, "doctors")
    page.get_by_role("button", name="复制表格").click()
    expect(page.get_by_role("button", name="已复制50行")).to_be_visible()
    lines = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert lines[0] == "姓名\t证件号码\t科室"
    assert len(lines) == 51
    assert all(re.fullmatch(r"\S+\t\d{6}\*{8}[\dX]{4}\t\S*", line) for line in lines[1:])
    page.evaluate("document.querySelector('tbody td').textContent = '=1+1'")
    page.get_by_role("button", name=re.compile("已复制|复制表格")).click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()).includes(`\\n'=1+1\\t`)")


def test_the_heading_stays_and_menus_open_over_the_table(page):
    page.goto(f"/{SLUG}/office/doctors")
    top = page.locator("thead th").first.bounding_box()["y"]
    page.locator(".listing-scroll").evaluate("box => box.scrollTo(0, 600)")
    assert abs(page.locator("thead th").first.bounding_box()["y"] - top) <= 1
    page.locator("summary", has_text="列").click()
    expect(page.get_by_role("button", name="显示", exact=True)).to_be_visible()
    look(page, "columns")
    assert checks.axe_findings(page) == []
    page.get_by_label("科室", exact=True).uncheck()
    page.get_by_role("button", name="显示", exact=True).click()
    assert page.locator("thead th", has_text="科室").count() == 0
    page.locator("summary", has_text="视图").click()
    look(page, "views")
    page.get_by_label("视图名称").fill("没有科室")
    page.get_by_role("button", name="保存视图").click()
    expect(page.get_by_role("status").first).to_contain_text("已保存视图")
    page.keyboard.press("Escape")


def test_institutions_are_suggested_while_one_types(open_page, admin):
    page = signed_in_page(open_page(DESK), admin)
    page.goto(f"/{SLUG}/office/doctors")
    name = sample_data.institution_name(CODE, 1)
    with page.expect_response("**/lists/institutions?**"):
        page.get_by_label("按机构筛选").press_sequentially(name[:3])
    expect(page.locator(f"datalist option[value='{name}']")).to_be_attached()
    page.get_by_label("按机构筛选").fill(name)
    page.get_by_label("按机构筛选").press("Enter")
    expect(page.get_by_role("link", name=f"机构：{name}")).to_be_visible()
    look(page, "institution")
