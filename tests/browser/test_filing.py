"""Filing on a phone: nothing typed is lost where the network goes or the page is killed; two devices; by keyboard alone; without JavaScript."""

import io
import re
import time

import pytest
from playwright.sync_api import Browser, Error, Page, expect
from sqlalchemy import select

from dingkao.database.model import db
from dingkao.filings.models import Filing
from tests import people
from tests.browser.conftest import PHONE

SLUG = "hunan"
SERIALS = people.serials(SLUG)
WAITING = "网络不通,内容已保留在本机,恢复后会自动保存"


class Filer:
    """A doctor who has read the notice, with as many phones as a test wants."""

    def __init__(self, application, in_province, open_page):
        self.doctor = people.doctor(application, in_province, SLUG, next(SERIALS))
        self.doctor.post("/filing/notice")
        self.in_province, self.open_page = in_province, open_page

    def phone(self) -> Page:
        """Another phone, signed in."""
        page = self.open_page(PHONE)
        page.on("dialog", lambda dialog: dialog.accept())
        self.sign_in(page, page.context._impl_obj._options["baseURL"])
        return page

    def sign_in(self, page: Page, address: str) -> None:
        name = f"dk-{SLUG}"
        page.context.add_cookies([{"name": name, "value": self.doctor.client.get_cookie(name).value, "url": address}])

    def kept(self, part: str) -> dict:
        """What the server has of a part."""
        with self.in_province(SLUG):
            row = db.session.scalar(select(Filing).where(Filing.doctor_id == self.doctor.doctor_id))
            return dict(getattr(row, part)) if row else {}


@pytest.fixture
def filer(application, in_province, address, open_page):
    return Filer(application, in_province, open_page)


def saved(page: Page) -> None:
    """Nothing waits any more: the status says so, the phone holds nothing."""
    expect(page.locator("[data-saving]")).to_have_text(re.compile(r"已保存 \d\d:\d\d,尚未提交"))
    page.wait_for_function("() => !Object.keys(localStorage).some((key) => key.startsWith('dk-keep:'))")


STEPS = {
    1: ("basic", ("school", "山西医科", "大学"), ("address", "长治市城区", "英雄路1号")),
    2: ("practice", ("department", "心内", "科一区"), ("post", "科室", "主任")),
    4: ("performance", ("direct_fail_note", "无。", "情况说明第二段"), ("patients", "12", "00")),
    5: ("procedure", ("report", "在本周期内", "认真履职。\n第二段"), None),
}


@pytest.mark.parametrize("killed", [False, True], ids=["restored", "killed"])
@pytest.mark.parametrize("step", STEPS)
def test_a_connection_cut_in_the_middle_of_a_step_loses_nothing(filer, reopened, step, killed):
    part, (name, before, after), other = STEPS[step]
    page = filer.phone()
    page.goto(f"/{SLUG}/filing/{step}")
    if step == 4:
        page.locator("#direct_fail [value=yes]").check()
    page.locator(f"#{name}").fill("")
    page.locator(f"#{name}").press_sequentially(before)
    saved(page)
    page.context.set_offline(True)
    page.locator(f"#{name}").press_sequentially(after)
    if other:
        page.locator(f"#{other[0]}").press_sequentially(other[1])
    page.get_by_role("button", name=re.compile("下一步|检查并提交")).click()
    expect(page.get_by_text(WAITING)).to_be_visible()
    expect(page.locator("[data-saving]")).to_have_text("未保存,等待网络")
    if other:
        page.locator(f"#{other[0]}").press("End")
        page.locator(f"#{other[0]}").press_sequentially(other[2])
    if killed:
        page = reopened(page)
        page.goto(f"/{SLUG}/filing/{step}")
        expect(page.get_by_text("已恢复本机保留的")).to_be_visible()
    else:
        page.context.set_offline(False)
    saved(page)
    kept = filer.kept(part)
    assert kept[name] == before + after
    if other:
        assert str(kept[other[0]]) == other[1] + other[2]


@pytest.mark.parametrize("killed", [False, True], ids=["restored", "killed"])
def test_a_connection_cut_in_the_middle_of_the_third_step_and_its_entries_loses_nothing(filer, reopened, killed):
    page = filer.phone()
    page.goto(f"/{SLUG}/filing/3")
    page.context.set_offline(True)
    page.get_by_role("button", name="下一步").click()
    expect(page.get_by_text(WAITING)).to_be_visible()
    page.context.set_offline(False)
    page.get_by_role("link", name="添加教育经历").click()
    page.get_by_label("学校").press_sequentially("山西医科")
    page.get_by_label("学历").select_option("本科")
    page.context.set_offline(True)
    page.get_by_label("学校").press_sequentially("大学")
    page.get_by_label("开始时间").fill("1998-09")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text(WAITING)).to_be_visible()
    page.get_by_label("专业").press_sequentially("临床医学")
    if killed:
        page = reopened(page)
        page.goto(f"/{SLUG}/filing/list/education/new")
        expect(page.get_by_text("已恢复本机保留的")).to_be_visible()
        page.get_by_role("button", name="保存").click()
    else:
        page.context.set_offline(False)
    expect(page).to_have_url(re.compile("/filing/3"))
    [entry] = filer.kept("experience")["education"]
    assert (entry["name"], entry["major"], entry["since"]) == ("山西医科大学", "临床医学", "1998-09")
    page.goto(f"/{SLUG}/filing/list/education/new")
    expect(page.get_by_label("学校")).to_have_value("")


def test_two_phones_change_the_same_and_the_person_chooses(filer):
    one, two = filer.phone(), filer.phone()
    for page in (one, two):
        page.goto(f"/{SLUG}/filing/1")
    one.get_by_label("毕业院校").fill("甲大学")
    one.get_by_label("所学专业").fill("临床医学")
    one.get_by_label("所学专业").blur()
    saved(one)
    two.get_by_label("毕业院校").fill("乙大学")
    two.get_by_label("毕业院校").blur()
    expect(two.get_by_text("已保存:甲大学")).to_be_visible()
    expect(two.get_by_text("本页:乙大学")).to_be_visible()
    assert filer.kept("basic")["school"] == "甲大学"
    two.get_by_role("button", name="下一步").click()
    expect(two.get_by_text("有一项在另一页面或设备上改过")).to_be_visible()
    two.get_by_role("button", name="用本页的").click()
    saved(two)
    assert filer.kept("basic")["school"] == "乙大学"
    assert filer.kept("basic")["major"] == "临床医学"
    one.get_by_label("毕业院校").fill("丙大学")
    one.get_by_label("毕业院校").blur()
    one.get_by_role("button", name="用已保存的").click()
    expect(one.get_by_label("毕业院校")).to_have_value("乙大学")
    saved(one)
    assert filer.kept("basic")["school"] == "乙大学"


def test_a_bad_line_is_told_at_the_field_and_its_keystrokes_stay(filer):
    page = filer.phone()
    page.goto(f"/{SLUG}/filing/1")
    page.get_by_label("电子邮箱").fill("不是邮箱")
    page.get_by_label("毕业院校").fill("山西医科大学")
    page.get_by_label("毕业院校").blur()
    expect(page.locator("#email-said")).to_contain_text("电子邮箱的格式不对")
    page.get_by_role("button", name="下一步").click()
    expect(page.locator("#summary")).to_be_focused()
    page.reload()
    expect(page.get_by_label("电子邮箱")).to_have_value("不是邮箱")
    expect(page.locator("#email-said")).to_contain_text("电子邮箱的格式不对")
    page.get_by_label("电子邮箱").fill("a@b.cn")
    page.get_by_role("button", name="下一步").click()
    expect(page).to_have_url(re.compile("/filing/2"))
    assert filer.kept("basic")["email"] == "a@b.cn"


def test_signing_out_leaves_nothing_on_the_phone(filer):
    page = filer.phone()
    page.goto(f"/{SLUG}/filing/1")
    page.context.set_offline(True)
    page.get_by_label("毕业院校").fill("山西医科大学")
    page.context.set_offline(False)
    page.goto(f"/{SLUG}/home")
    page.evaluate("localStorage.setItem('dk-keep:x:1', '{}')")
    page.locator("summary").first.click()
    page.get_by_role("button", name="退出登录").click()
    expect(page).to_have_url(re.compile("/login"))
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('dk-keep:'))") == []


def test_without_storage_the_step_still_saves_itself(filer):
    page = filer.phone()
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('none'); } })")
    page.goto(f"/{SLUG}/filing/1")
    page.get_by_label("毕业院校").fill("山西医科大学")
    page.get_by_role("button", name="下一步").click()
    expect(page).to_have_url(re.compile("/filing/2"))
    assert filer.kept("basic")["school"] == "山西医科大学"


def hand_in_photo(filer) -> None:
    filer.doctor.post("/filing/photo", photo=(io.BytesIO(people.photo()), "photo.jpg"))


def reach(page: Page, what: str | list[str], script: str = "(what) => document.activeElement.matches(what)") -> None:
    """Go on by Tab to the element that the selector names (or that `script` knows by `what`); a page that is on its way is waited for."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if page.evaluate(script, what):
                return
            page.keyboard.press("Tab")
        except Error:  # the page was just being left
            page.wait_for_load_state()
    raise AssertionError(f"Tab does not lead to {what}")


def by_keyboard(page: Page, fields: dict[str, str]) -> None:
    for name, value in fields.items():
        reach(page, f"[name={name}]")
        kind = page.evaluate("document.activeElement.type")
        if kind in ("radio", "checkbox"):
            for _ in range(20):
                if page.evaluate("document.activeElement.value") == value:
                    break
                page.keyboard.press("Tab" if kind == "checkbox" else "ArrowDown")
            if not page.evaluate("document.activeElement.checked"):
                page.keyboard.press("Space")
        elif kind == "select-one":
            for _ in range(60):
                if page.evaluate("document.activeElement.value") == value:
                    break
                page.keyboard.press("ArrowDown")
        elif kind == "date":
            year, month, day = value.split("-")
            page.keyboard.type(month + day + year)  # this browser's own order
        elif kind == "month":
            year, month = value.split("-")
            for _ in range(int(month)):
                page.keyboard.press("ArrowUp")
            page.keyboard.press("ArrowRight")
            page.keyboard.type(year)
        else:
            page.keyboard.type(value)
        given = "(name) => { const at = document.activeElement; return at.form ? new FormData(at.form).get(name) : at.checked && at.value; }"
        assert page.evaluate(given, name) == value, name


def press(page: Page, button: str) -> None:
    reach(page, button)
    page.keyboard.press("Enter")


def test_all_of_it_by_keyboard_alone(filer, in_province):
    hand_in_photo(filer)
    page = filer.phone()
    page.goto(f"/{SLUG}/filing/1")
    by_keyboard(page, people.BASIC)
    press(page, "button[name=next]")
    expect(page).to_have_url(re.compile("/filing/2"))
    by_keyboard(page, {name: value for name, value in people.PRACTICE.items() if name not in ("registered", "department", "title")})
    page.goto(f"/{SLUG}/filing/2")
    by_keyboard(page, {"title": "主治医师"})
    press(page, "button[name=next]")
    for kind, entry in people.ENTRIES.items():
        expect(page).to_have_url(re.compile("/filing/3"))
        press(page, f"a[href$='/filing/list/{kind}/new']")
        expect(page).to_have_url(re.compile(f"{kind}/new"))
        by_keyboard(page, entry)
        page.keyboard.press("Tab")
        press(page, "form[novalidate] button[type=submit]")
    expect(page).to_have_url(re.compile("/filing/3"))
    press(page, "button[name=next]")
    expect(page).to_have_url(re.compile("/filing/4"))
    by_keyboard(page, people.WORK)
    press(page, "button[name=next]")
    expect(page).to_have_url(re.compile("/filing/5"))
    by_keyboard(page, {"procedure": "general", "promise": "yes"})
    press(page, "button[name=next]")
    expect(page).to_have_url(re.compile("/filing/check"))
    press(page, ".foot button[type=submit]")
    expect(page).to_have_url(re.compile("/filing/view"))
    assert people.state_of(in_province, SLUG, filer.doctor.record_id) == "institution_pending"


def test_all_of_it_without_javascript(filer, in_province, browser: Browser, address):
    hand_in_photo(filer)
    context = browser.new_context(viewport=PHONE, base_url=address, locale="zh-CN", java_script_enabled=False)
    page = context.new_page()
    filer.sign_in(page, address)

    def fill(fields: dict[str, str]) -> None:
        for name, value in fields.items():
            found = page.locator(f"[name={name}]")
            kind = found.first.get_attribute("type")
            if kind in ("radio", "checkbox"):
                page.locator(f"[name={name}][value='{value}']").check()
            elif page.locator(f"select[name={name}]").count():
                found.select_option(value)
            else:
                found.fill(value)

    page.goto(f"/{SLUG}/filing/1")
    fill(people.BASIC | {"email": "不是邮箱"})
    page.get_by_role("button", name="下一步").click()
    expect(page.locator("#summary")).to_contain_text("电子邮箱的格式不对")
    expect(page.locator("#email")).to_have_value("不是邮箱")
    fill({"email": ""})
    page.get_by_role("button", name="下一步").click()
    fill(people.PRACTICE)
    page.get_by_role("button", name="下一步").click()
    for kind, entry in people.ENTRIES.items():
        page.locator(f"a[href$='/filing/list/{kind}/new']").click()
        fill(entry)
        page.get_by_role("button", name="保存").click()
    page.locator("a[href$='/filing/list/practice/new']").click()
    fill({"name": "第二医院", "since": "2010-01"})
    page.get_by_role("button", name="保存").click()
    page.get_by_role("button", name="上移第二医院").click()
    assert [entry["name"] for entry in filer.kept("experience")["practice"]] == ["第二医院", "长治市医院"]
    page.get_by_role("link", name="第二医院").click()
    page.get_by_role("button", name="删除").click()
    page.get_by_role("button", name="恢复").click()
    expect(page.get_by_role("link", name="第二医院")).to_be_visible()
    page.get_by_role("button", name="下一步").click()
    fill(people.WORK)
    page.get_by_role("button", name="下一步").click()
    fill({"procedure": "general", "promise": "yes"})
    page.get_by_role("button", name="检查并提交").click()
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", name="已提交")).to_be_visible()
    assert people.state_of(in_province, SLUG, filer.doctor.record_id) == "institution_pending"
    context.close()
