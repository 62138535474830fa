"""Filing on a phone: nothing typed is lost where the network goes or the page is killed; two devices; by
keyboard alone; without JavaScript."""

import io
import re
import time

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.filings.dossier import dossier_of_record
from dingkao.filings.models import Filing
from dingkao.filings.return_marks import marks_to_store
from tests import actors
from tests.browser.conftest import PHONE
from tests.browser.form_hands import WithoutScripts
from tests.browser.keyboard import by_keyboard, press

SLUG = "hunan"
SERIALS = actors.unused_serials(SLUG)
WAITING = "网络不通，内容已保留在本机，恢复后会自动保存"


class Filer:
    """A doctor who has read the notice, with as many phones as a test wants."""

    def __init__(self, application, in_province, open_page):
        self.doctor = actors.signed_in_doctor(application, in_province, SLUG, next(SERIALS))
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
        page.context.add_cookies(
            [{"name": name, "value": self.doctor.client.get_cookie(name).value, "url": address}]
        )

    def kept(self, part: str) -> dict:
        """What the server has of a part."""
        with self.in_province(SLUG):
            filing = db.session.scalar(select(Filing).where(Filing.doctor_id == self.doctor.doctor_id))
            return dict(getattr(filing, part)) if filing else {}


@pytest.fixture
def filer(application, in_province, address, open_page):
    return Filer(application, in_province, open_page)


def saved(page: Page) -> None:
    """Nothing waits any more: the status says so, the phone holds nothing."""
    expect(page.locator("[data-saving]")).to_have_text(re.compile(r"已保存 \d\d:\d\d，尚未提交"))
    page.wait_for_function("() => !Object.keys(localStorage).some((key) => key.startsWith('dk-keep:'))")


STEPS = {
    1: ("basic", ("school", "山西医科", "大学", "(长治)"), ("address", "长治市城区", "英雄路1号", "附2号")),
    2: ("practice", ("department", "心内", "科一", "区"), ("post", "科室", "主任", "医师")),
    4: (
        "performance",
        ("direct_fail_note", "无。", "情况说明第二段", "第三段"),
        ("patients", "12", "0", "0"),
    ),
    5: ("procedure", ("report", "在本周期内", "认真履职。\n第二段", "第三段"), None),
}
"""The part, and two of its fields: what is typed in the first before the connection is cut, while it is, and
while it is once more; in the second while it is cut, after the button, and while it is cut once more."""


@pytest.mark.parametrize("step", STEPS)
def test_a_connection_cut_in_the_middle_of_a_step_loses_nothing_though_the_page_is_killed(
    filer, reopen_after_kill, step
):
    """Cut twice: it comes back the first time; the second time the page is killed."""
    part, (name, *texts), second_field = STEPS[step]
    second_name, *second_texts = second_field or (None, "", "", "")
    page = filer.phone()
    page.goto(f"/{SLUG}/filing/{step}")
    if step == 4:
        page.locator("#direct_fail [value=yes]").check()
    page.locator(f"#{name}").fill("")
    page.locator(f"#{name}").press_sequentially(texts[0])
    saved(page)
    type_while_cut(page, {name: texts[1], second_name: second_texts[0]}, {second_name: second_texts[1]})
    page.context.set_offline(False)
    saved(page)
    assert_stored(filer, part, {name: "".join(texts[:2]), second_name: "".join(second_texts[:2])})

    page.goto(f"/{SLUG}/filing/{step}")
    type_while_cut(page, {name: texts[2]}, {second_name: second_texts[2]})
    page = reopen_after_kill(page)
    page.goto(f"/{SLUG}/filing/{step}")
    expect(page.get_by_text("已恢复本机保留的")).to_be_visible()
    saved(page)
    assert_stored(filer, part, {name: "".join(texts), second_name: "".join(second_texts)})


def type_while_cut(page: Page, before: dict[str | None, str], after: dict[str | None, str]) -> None:
    """Cut the connection, type on, press the button, type on."""

    def add(fields: dict[str | None, str]) -> None:
        for name, text in fields.items():
            if name:
                page.locator(f"#{name}").press("Control+End")
                page.locator(f"#{name}").press_sequentially(text)

    page.context.set_offline(True)
    add(before)
    page.get_by_role("button", name=re.compile("下一步|检查并提交")).click()
    expect(page.get_by_text(WAITING)).to_be_visible()
    expect(page.locator("[data-saving]")).to_have_text("未保存，等待网络")
    add(after)


def assert_stored(filer: Filer, part: str, fields: dict[str | None, str]) -> None:
    """The server has these of a part."""
    stored = filer.kept(part)
    assert {name: str(stored[name]) for name in fields if name} == {
        name: text for name, text in fields.items() if name
    }


def test_a_connection_cut_in_the_middle_of_the_third_step_and_its_entries_loses_nothing(
    filer, reopen_after_kill
):
    """Cut twice in an entry: it comes back the first time; the second time the page is killed."""
    page = filer.phone()
    page.goto(f"/{SLUG}/filing/3")
    page.context.set_offline(True)
    page.get_by_role("button", name="下一步").click()
    expect(page.get_by_text(WAITING)).to_be_visible()
    page.context.set_offline(False)
    page.get_by_role("link", name="添加教育经历").click()
    enter_while_cut(page, "山西医科")
    page.context.set_offline(False)
    expect(page).to_have_url(re.compile("/filing/3"))

    page.get_by_role("link", name="添加教育经历").click()
    enter_while_cut(page, "湖南医科")
    page = reopen_after_kill(page)
    page.goto(f"/{SLUG}/filing/list/education/new")
    expect(page.get_by_text("已恢复本机保留的")).to_be_visible()
    page.get_by_role("button", name="保存").click()
    expect(page).to_have_url(re.compile("/filing/3"))
    entries = filer.kept("experience")["education"]
    assert [(entry["name"], entry["major"], entry["since"]) for entry in entries] == [
        ("山西医科大学", "临床医学", "1998-09"),
        ("湖南医科大学", "临床医学", "1998-09"),
    ]
    page.goto(f"/{SLUG}/filing/list/education/new")
    expect(page.get_by_label("学校")).to_have_value("")


def enter_while_cut(page: Page, name: str) -> None:
    """Begin the name of a school, cut the connection, type on, save, type on."""
    page.get_by_label("学校").press_sequentially(name)
    page.get_by_label("学历").select_option("本科")
    page.context.set_offline(True)
    page.get_by_label("学校").press_sequentially("大学")
    page.get_by_label("开始时间").fill("1998-09")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text(WAITING)).to_be_visible()
    page.get_by_label("专业").press_sequentially("临床医学")


NOTHING_KEPT = "() => !Object.keys(localStorage).some((key) => key.startsWith('dk-keep:'))"


def test_a_step_left_while_it_saves_is_not_told_as_unsent(filer):
    """「‹ 返回」 at once after typing: the page never hears that the server has kept it, so the next page
    asks."""
    page = filer.phone()
    page.goto(f"/{SLUG}/filing/1", wait_until="networkidle")
    page.route("**/filing/1/keep", lambda route: route.fetch())
    page.locator('[name="school"]').fill("中国医科大学")
    page.locator('[name="school"]').blur()
    deadline = time.monotonic() + 10
    while filer.kept("basic").get("school") != "中国医科大学" and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert not page.evaluate(NOTHING_KEPT)
    page.goto(f"/{SLUG}/filing/check")
    page.wait_for_function(NOTHING_KEPT)
    expect(page.locator("[data-draft-prefix]")).to_be_hidden()


def test_what_a_killed_page_could_not_send_is_told_until_its_step_has_sent_it(filer):
    page = filer.phone()
    page.goto(f"/{SLUG}/filing/1", wait_until="networkidle")
    page.evaluate("""() => {
        const form = document.getElementById("step");
        const known = JSON.parse(form.elements.known.value).school;
        const fields = { school: { values: ["中国医科大学"], known, pen: "another" } };
        localStorage.setItem(`dk-keep:${form.dataset.store}`, JSON.stringify({ at: Date.now(), fields }));
    }""")
    page.goto(f"/{SLUG}/filing/check")
    page.locator("[data-draft-prefix]").get_by_role("link", name="基本信息").click()
    saved(page)
    assert filer.kept("basic")["school"] == "中国医科大学"
    page.goto(f"/{SLUG}/filing/check", wait_until="networkidle")
    expect(page.locator("[data-draft-prefix]")).to_be_hidden()


def test_two_phones_change_the_same_and_the_person_chooses(filer):
    first_phone, second_phone = filer.phone(), filer.phone()
    for page in (first_phone, second_phone):
        page.goto(f"/{SLUG}/filing/1")
    first_phone.get_by_label("毕业院校").fill("甲大学")
    first_phone.get_by_label("所学专业").fill("临床医学")
    first_phone.get_by_label("所学专业").blur()
    saved(first_phone)
    second_phone.get_by_label("毕业院校").fill("乙大学")
    second_phone.get_by_label("毕业院校").blur()
    expect(second_phone.get_by_text("已保存：甲大学")).to_be_visible()
    expect(second_phone.get_by_text("本页：乙大学")).to_be_visible()
    assert filer.kept("basic")["school"] == "甲大学"
    second_phone.get_by_role("button", name="下一步").click()
    expect(second_phone.get_by_text("有一项在另一页面或设备上改过")).to_be_visible()
    second_phone.get_by_role("button", name="用本页的").click()
    saved(second_phone)
    assert filer.kept("basic")["school"] == "乙大学"
    assert filer.kept("basic")["major"] == "临床医学"
    first_phone.get_by_label("毕业院校").fill("丙大学")
    first_phone.get_by_label("毕业院校").blur()
    first_phone.get_by_role("button", name="用已保存的").click()
    expect(first_phone.get_by_label("毕业院校")).to_have_value("乙大学")
    saved(first_phone)
    assert filer.kept("basic")["school"] == "乙大学"


def test_a_bad_line_is_told_at_the_field_and_its_keystrokes_stay(filer):
    page = filer.phone()
    page.goto(f"/{SLUG}/filing/1")
    page.get_by_label("电子邮箱").fill("不是邮箱")
    page.get_by_label("毕业院校").fill("山西医科大学")
    page.get_by_label("毕业院校").blur()
    expect(page.locator("#email-said")).to_contain_text("电子邮箱的格式不对")
    expect(page.locator("[data-saving]")).to_have_text(
        re.compile(r"有1项未保存，请更正；其余已保存 \d\d:\d\d，尚未提交")
    )
    page.get_by_role("button", name="下一步").click()
    expect(page.locator("#summary")).to_be_focused()
    page.reload()
    expect(page.get_by_label("电子邮箱")).to_have_value("不是邮箱")
    expect(page.locator("#email-said")).to_contain_text("电子邮箱的格式不对")
    expect(page.locator("[data-saving]")).to_contain_text("有1项未保存")
    page.get_by_label("电子邮箱").fill("a@b.cn")
    page.get_by_role("button", name="下一步").click()
    expect(page).to_have_url(re.compile("/filing/2"))
    assert filer.kept("basic")["email"] == "a@b.cn"


def test_the_link_to_a_marked_field_shows_its_reason_and_all_of_its_27_digits(filer, in_province):
    filer.doctor.file()
    filer.doctor.submit()
    with in_province(SLUG):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == filer.doctor.record_id).with_for_update()
        ).one()
        record.state, record.returned_reason = "institution_returned", "请更正"
        record.return_marks = marks_to_store(
            dossier_of_record(record), {"2.qualification": "位数不对，请与证书核对"}
        )
        db.session.commit()
    page = filer.phone()
    page.goto(f"/{SLUG}/filing/2", wait_until="networkidle")
    page.get_by_role("link", name=re.compile("资格证书编码")).first.click()
    reason = page.locator('[data-field="qualification"]').get_by_text("位数不对，请与证书核对")
    expect(reason).to_be_in_viewport(ratio=1)
    top = page.evaluate(
        "Math.max(...[...document.querySelectorAll('main *, header')].filter((one) => ['sticky', 'fixed']"
        ".includes(getComputedStyle(one).position) && one.getBoundingClientRect().top < "
        "200).map((one) => one.getBoundingClientRect().bottom))"
    )
    assert reason.bounding_box()["y"] >= top
    assert page.locator("#qualification").evaluate(
        "(one) => one.scrollWidth <= one.clientWidth && one.value.length === 27"
    )


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
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('none'); } })"
    )
    page.goto(f"/{SLUG}/filing/1")
    page.get_by_label("毕业院校").fill("山西医科大学")
    page.get_by_role("button", name="下一步").click()
    expect(page).to_have_url(re.compile("/filing/2"))
    assert filer.kept("basic")["school"] == "山西医科大学"


def hand_in_photo(filer) -> None:
    filer.doctor.post("/filing/photo", photo=(io.BytesIO(actors.portrait_image()), "photo.jpg"))


def test_all_of_it_by_keyboard_alone(filer, in_province):
    hand_in_photo(filer)
    page = filer.phone()
    page.goto(f"/{SLUG}/filing/1")
    by_keyboard(page, actors.BASIC)
    press(page, "button[name=next]")
    expect(page).to_have_url(re.compile("/filing/2"))
    by_keyboard(
        page,
        {
            name: value
            for name, value in actors.PRACTICE.items()
            if name not in ("registered", "department", "title")
        },
    )
    page.goto(f"/{SLUG}/filing/2")
    by_keyboard(page, {"title": "主治医师"})
    press(page, "button[name=next]")
    for kind, entry in actors.ENTRIES.items():
        expect(page).to_have_url(re.compile("/filing/3"))
        press(page, f"a[href$='/filing/list/{kind}/new']")
        expect(page).to_have_url(re.compile(f"{kind}/new"))
        by_keyboard(page, entry)
        page.keyboard.press("Tab")
        press(page, "form[novalidate] button[type=submit]")
    expect(page).to_have_url(re.compile("/filing/3"))
    press(page, "button[name=next]")
    expect(page).to_have_url(re.compile("/filing/4"))
    by_keyboard(page, actors.WORK)
    press(page, "button[name=next]")
    expect(page).to_have_url(re.compile("/filing/5"))
    by_keyboard(page, {"procedure": "general", "promise": "yes"})
    press(page, "button[name=next]")
    expect(page).to_have_url(re.compile("/filing/check"))
    press(page, ".page-actions button[type=submit]")
    expect(page).to_have_url(re.compile("/filing/view"))
    assert actors.record_state(in_province, SLUG, filer.doctor.record_id) == "institution_pending"


def test_all_of_it_without_javascript(filer, in_province, browser: Browser, address):
    hand_in_photo(filer)
    context = browser.new_context(viewport=PHONE, base_url=address, locale="zh-CN", java_script_enabled=False)
    page = context.new_page()
    filer.sign_in(page, address)
    fill = WithoutScripts(page).give
    page.goto(f"/{SLUG}/filing/1")
    fill(**actors.BASIC, email="不是邮箱")
    page.get_by_role("button", name="下一步").click()
    expect(page.locator("#summary")).to_contain_text("电子邮箱的格式不对")
    expect(page.locator("[data-saving]")).to_contain_text("有1项未保存，请更正；其余已保存")
    expect(page.locator("#email")).to_have_value("不是邮箱")
    fill(email="")
    page.get_by_role("button", name="下一步").click()
    fill(**actors.PRACTICE)
    page.get_by_role("button", name="下一步").click()
    for kind, entry in actors.ENTRIES.items():
        page.locator(f"a[href$='/filing/list/{kind}/new']").click()
        fill(**entry)
        page.get_by_role("button", name="保存").click()
    page.locator("a[href$='/filing/list/practice/new']").click()
    fill(name="第二医院", since="2010-01")
    page.get_by_role("button", name="保存").click()
    page.get_by_role("button", name="上移第二医院").click()
    assert [entry["name"] for entry in filer.kept("experience")["practice"]] == ["第二医院", "长治市医院"]
    page.get_by_role("link", name="第二医院").click()
    page.get_by_role("button", name="删除").click()
    page.get_by_role("button", name="恢复").click()
    expect(page.get_by_role("link", name="第二医院")).to_be_visible()
    page.get_by_role("button", name="下一步").click()
    fill(**actors.WORK)
    page.get_by_role("button", name="下一步").click()
    fill(procedure="general", promise="yes")
    page.get_by_role("button", name="检查并提交").click()
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", name="已提交")).to_be_visible()
    assert actors.record_state(in_province, SLUG, filer.doctor.record_id) == "institution_pending"
    context.close()
