"""A sitting of a hundred questions from the first to the end: by keys alone, by touch in 长辈模式, and by what a screen reader is told."""

import re

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.exams.importing import import_questions
from dingkao.exams.models import Sitting, SittingAnswer
from dingkao.exams.tickets import ticket_of
from dingkao.journal.writing import TERMINAL
from tests import material, people
from tests.browser.conftest import PHONE

SLUG, CODE = "beijing", 11
_serial = people.serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province, address):
    people.doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        report = import_questions(material.hundred_questions("公共卫生"), bank="一百题", by=TERMINAL)
        assert (report.accepted, report.errors) == (100, [])
        people.paper_of_a_hundred(current_cycle(), category="public_health")


@pytest.fixture
def candidate(application, in_province, ground):
    """A doctor of 公共卫生 in 简易程序, who has a ticket."""
    doctor = people.ready(application, in_province, SLUG, next(_serial), 执业类别="公共卫生", 执业范围="公共卫生类别专业", procedure="simple")
    with in_province(SLUG):
        doctor.ticket = ticket_of(db.session.get_one(Assessment, (CODE, doctor.record_id))).number
    doctor.name = re.search(r"<h2>(医师.)</h2>", doctor.get("/home"))[1]
    assert doctor.post("/sitting", name=doctor.name, number=doctor.ticket, consent="yes").status_code == 303
    return doctor


def entered(doctor, browser, address, **how) -> Page:
    """The notice of the paper on a phone (or a desk) of its own."""
    context = browser.new_context(base_url=address, locale="zh-CN", **({"viewport": PHONE} | how))
    for name in (f"dk-{SLUG}", f"dk-{SLUG}-form"):
        context.add_cookies([{"name": name, "value": doctor.client.get_cookie(name).value, "url": address}])
    page = context.new_page()
    page.goto(f"/{SLUG}/sitting")
    return page


def kept(in_province, doctor) -> dict[int, str]:
    """What the server keeps."""
    with in_province(SLUG):
        sitting = db.session.scalars(select(Sitting.id).where(Sitting.assessment_id == doctor.record_id)).one()
        return {row.position: row.letters for row in db.session.scalars(select(SittingAnswer).where(SittingAnswer.sitting_id == sitting))}


def tab_to(page: Page, name: str) -> None:
    """Tab on to what has this name."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim() || document.activeElement.labels?.[0]?.textContent.trim() || ''").startswith(name):
            return
    raise AssertionError(f"no way by Tab to {name}")


def letters_shown(page: Page) -> list[str]:
    """The letters that stand behind the options as shown."""
    return page.locator("#options button").evaluate_all("buttons => buttons.map(button => button.dataset.letter)")


def test_a_hundred_questions_by_keys_alone(candidate, browser, address, in_province):
    page = entered(candidate, browser, address, viewport={"width": 1280, "height": 800})
    tab_to(page, "进入")
    page.keyboard.press("Enter")
    expect(page.get_by_label("我已详细阅读并郑重承诺")).to_be_visible()
    tab_to(page, "我已详细阅读")
    page.keyboard.press("Space")
    tab_to(page, "进入考试")
    page.keyboard.press("Enter")
    expect(page.get_by_text("键盘:A至E或1至5选择,←上一题,→下一题")).to_be_visible()
    expect(page.locator("#stem")).to_be_focused()
    chosen = {}
    for index in range(100):
        expect(page.locator("#which")).to_have_text(f"{index + 1}/100")
        shown = letters_shown(page)
        pressed = [0, 2] if "多选" in page.locator("#stem").inner_text() else [index % 5]
        for which in pressed:
            page.keyboard.press(str(which + 1) if index % 2 else "abcde"[which])
        chosen[index] = "".join(sorted(shown[which] for which in pressed))
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#which")).to_have_text("99/100")
    expect(page.locator("#state")).to_have_text("已保存", timeout=20_000)
    assert kept(in_province, candidate) == chosen
    tab_to(page, "答题列表")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="答题列表")).to_be_focused()
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    expect(page.locator("#stem")).to_be_focused()
    assert kept(in_province, candidate) == chosen
    tab_to(page, "交卷")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="交卷")).to_be_focused()
    expect(page.locator("#confirm-said")).to_contain_text("全部题目已作答")
    tab_to(page, "确认交卷")
    page.keyboard.press("Enter")
    expect(page.get_by_text("您已交卷,共100题,已作答100题")).to_be_visible()
    page.context.close()


def test_a_hundred_questions_by_touch_in_large_type(candidate, browser, address, in_province):
    page = entered(candidate, browser, address, has_touch=True, is_mobile=True)
    page.context.add_cookies([{"name": f"dk-{SLUG}-display", "value": "senior", "url": address}])
    page.reload()
    page.get_by_role("link", name="进入").tap()
    page.get_by_label("我已详细阅读并郑重承诺").tap()
    page.get_by_role("button", name="进入考试").tap()
    expect(page.locator("html")).to_have_class("senior")
    expect(page.locator("#keys")).to_be_hidden()
    chosen = {}
    for index in range(100):
        expect(page.locator("#which")).to_have_text(f"{index + 1}/100")
        shown = letters_shown(page)
        wanted = [1, 3] if "多选" in page.locator("#stem").inner_text() else [index % 5]
        for which in wanted:
            page.locator("#options button").nth(which).tap()
        chosen[index] = "".join(sorted(shown[which] for which in wanted))
        if index % 20 == 0:
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            assert float(page.locator("#options button").first.evaluate("button => parseFloat(getComputedStyle(button).fontSize)")) >= 20
        if index < 99:
            page.get_by_role("button", name="下一题").tap()
    expect(page.get_by_role("button", name="下一题")).to_be_disabled()
    expect(page.locator("#state")).to_have_text("已保存", timeout=20_000)
    assert kept(in_province, candidate) == chosen
    page.get_by_role("button", name="交卷", exact=True).tap()
    page.get_by_role("button", name="确认交卷").tap()
    expect(page.get_by_text("您已交卷,共100题,已作答100题")).to_be_visible()
    page.context.close()


def test_a_hundred_questions_by_what_a_screen_reader_is_told(candidate, browser, address, in_province):
    """Everything is found by role and name, and every change is told: the question come to, the choice, 已保存."""
    page = entered(candidate, browser, address)
    page.get_by_role("link", name="进入").click()
    page.get_by_role("checkbox", name="我已详细阅读并郑重承诺").check()
    page.get_by_role("button", name="进入考试").click()
    status = page.get_by_role("status")
    expect(page.get_by_role("timer")).to_contain_text("倒计时")
    for number in range(1, 101):
        group = page.get_by_role("group", name=re.compile(rf"^{number}\."))
        options = group.get_by_role("button")
        expect(options).to_have_count(5)
        expect(group.get_by_role("button", pressed=True)).to_have_count(0)
        several = "多选" in page.locator("#stem").inner_text()
        for which in (0, 4) if several else (number % 5,):
            options.nth(which).click()
            expect(group.get_by_role("button", name=re.compile(f"^{'ABCDE'[which]}\\."), pressed=True)).to_have_count(1)
        if number in (1, 61, 71, 83, 91):
            tree = page.locator("#main").aria_snapshot()
            assert re.search(rf'group "{number}\.', tree), tree
            assert "[pressed]" in tree
            expect(status.filter(has_text="已保存")).to_have_count(1)
        if number < 100:
            page.get_by_role("button", name="下一题").click()
            expect(status.filter(has_text=re.compile(f"^第{number + 1}题,共100题。{number + 1}\\."))).to_have_count(1)
            expect(page.get_by_role("button", name="下一题") if number < 99 else page.get_by_role("button", name="上一题")).to_be_enabled()
    page.get_by_role("button", name="标注本题").click()
    expect(page.get_by_role("button", name="取消标注", pressed=True)).to_have_count(1)
    page.get_by_role("button", name="答题列表").click()
    expect(page.get_by_role("button", name=re.compile(r"^第\d+题,已答"))).to_have_count(100)
    expect(page.get_by_role("button", name="第100题,已答,已标注")).to_have_count(1)
    page.get_by_role("button", name="返回作答").click()
    page.get_by_role("button", name="交卷", exact=True).click()
    expect(page.get_by_role("alertdialog", name="交卷")).to_contain_text("全部题目已作答。有1题标注了待检查。")
    page.get_by_role("button", name="确认交卷").click()
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible()
    assert len(kept(in_province, candidate)) == 100
    page.context.close()
