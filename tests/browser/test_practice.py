"""Practising on a phone: each type, marks, enlarging, keys; without network for a while, killed and opened again; a browser that stores nothing."""

import json
import re
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments import moves
from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.exams.models import PracticeRun, PracticeWeek, QuestionVersion
from dingkao.journal.writing import Actor
from dingkao.people.models import SignInSession
from tests import people
from tests.browser.conftest import PHONE

SLUG, CODE = "guangxi", 45
ROWS_WAITING = """count => new Promise((resolve) => {
  indexedDB.open("dingkao-sittings").onsuccess = (event) => {
    const base = event.target.result;
    base.transaction("waiting").objectStore("waiting").count().onsuccess = (found) => {
      base.close();
      resolve(found.target.result === count);
    };
  };
})"""
_serial = people.serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province, address):
    people.doctor(application, in_province, SLUG, next(_serial))
    people.bank(in_province, SLUG)


class Learner:
    """A doctor who is 待测评, on a phone, in a run of twelve questions of 业务水平 · 临床."""

    def __init__(self, application, in_province, open_page):
        self.doctor = people.ready(application, in_province, SLUG, next(_serial))
        self.in_province, self.open_page = in_province, open_page

    def phone(self, size=PHONE, prepare: str = "") -> Page:
        """Another phone, signed in."""
        page = self.open_page(size)
        name = f"dk-{SLUG}"
        page.context.add_cookies([{"name": name, "value": self.doctor.client.get_cookie(name).value, "url": page.context._impl_obj._options["baseURL"]}])
        if prepare:
            page.add_init_script(prepare)
        return page

    def begin(self, page: Page) -> None:
        """From the home page into the run."""
        page.goto(f"/{SLUG}/home")
        page.get_by_role("link", name="在线学习").click()
        expect(page.get_by_role("heading", name="请选择考试题库")).to_be_visible()
        page.get_by_role("button", name="开始练习").click()
        saved(page)

    @property
    def run(self) -> PracticeRun:
        """The run as the server keeps it."""
        with self.in_province(SLUG):
            return db.session.scalars(select(PracticeRun).where(PracticeRun.assessment_id == self.doctor.record_id).order_by(PracticeRun.id.desc())).first()

    def questions(self) -> list[QuestionVersion]:
        """Its questions."""
        run = self.run
        with self.in_province(SLUG):
            rows = {str(row.id): row for row in db.session.scalars(select(QuestionVersion).where(QuestionVersion.id.in_(run.layout)))}
            return [rows[version] for version in run.layout]

    def counted(self) -> tuple[int, int]:
        """How many answers the weeks count, and how many right ones."""
        with self.in_province(SLUG):
            rows = db.session.scalars(select(PracticeWeek).where(PracticeWeek.doctor_id == self.doctor.doctor_id)).all()
            return sum(row.answered for row in rows), sum(row.answered_right for row in rows)


@pytest.fixture
def learner(application, in_province, open_page, ground):
    return Learner(application, in_province, open_page)


def saved(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("已保存", timeout=20_000)


def go(page: Page, number: int) -> None:
    page.get_by_role("link", name="答题卡", exact=True).click()
    page.locator("#sheet button").nth(number - 1).click()
    expect(page.get_by_role("heading", name=f"练习 {number}/12")).to_be_visible()


def kept(page: Page, rows: int) -> None:
    """Until this many rows wait on the device itself: a page killed before that has only said 未保存."""
    page.wait_for_function(ROWS_WAITING, arg=rows)


def choose(page: Page, asked: QuestionVersion, letters: str) -> None:
    for letter in letters:
        if asked.kind == "X":
            page.get_by_label(re.compile(f"^{letter}\\.")).check()
        else:
            page.get_by_role("button", name=re.compile(f"^{letter}\\.")).click()
    if asked.kind == "X":
        page.get_by_role("button", name="确定").click()


def wrong_of(asked: QuestionVersion) -> str:
    return next(letter for letter, _ in asked.options if letter != asked.answer)


def colour(page: Page, selector: str) -> str:
    return page.locator(selector).evaluate("element => getComputedStyle(element).borderTopColor")


def test_every_type_is_answered_and_judged_on_the_spot(learner):
    page = learner.phone()
    learner.begin(page)
    expect(page.get_by_role("heading", name="练习 1/12")).to_be_visible()
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.resource_type in ("document", "fetch", "xhr") else None)
    asked = learner.questions()
    assert {one.kind for one in asked} >= {"A1", "A2", "A3", "B1", "X"}
    for number, one in enumerate(asked, 1):
        expect(page.locator("#stem")).to_contain_text(f"{number}. {one.stem}")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        for option in page.locator("#options .option").all():
            assert option.bounding_box()["height"] >= 44
        if one.kind in ("A3", "A4"):
            expect(page.locator("#case")).to_have_text(one.case_stem)
            expect(page.locator("#kind")).to_contain_text(re.compile(r"A3/A4型题\[\d/\d\]"))
            expect(page.locator("#place")).to_have_text(re.compile(r"第\d小题"))
        choose(page, one, one.answer if number % 2 else wrong_of(one))
        expect(page.locator("#verdict")).to_have_text(f"{'✓ 回答正确' if number % 2 else '✗ 回答错误'} 正确答案: {one.answer}")
        expect(page.locator("#explanation")).to_have_text(one.explanation)
        if number % 2:
            expect(page.locator("#options .right small").first).to_have_text("✓ 您的选择,正确")
            assert colour(page, "#options .right >> nth=0") == "rgb(31, 95, 191)"
        elif one.kind != "X":
            expect(page.locator("#options .false small")).to_have_text("✗ 您的选择,错误")
            assert colour(page, "#options .false") == "rgb(179, 38, 30)"
        if number < 12:
            page.get_by_role("link", name="下一题").click()
    saved(page)
    assert {re.sub(r".*/", "", url) for url in sent} == {"answers"}
    assert learner.counted() == (12, 6)
    page.get_by_role("link", name="查看答题卡").click()
    expect(page.locator("#summary-said")).to_have_text("本次练习已完成:共12题,答对6题,答错6题。")
    expect(page.get_by_role("heading", name="答题卡 12/12")).to_be_visible()
    page.get_by_role("button", name="查看本次错题").click()
    expect(page.locator("#sheet button")).to_have_count(6)
    page.locator("#sheet button").first.click()
    expect(page.locator("#verdict")).to_contain_text("回答错误")
    page.get_by_role("link", name="答题卡", exact=True).click()
    page.get_by_role("button", name="再练下一组").click()
    expect(page.get_by_role("heading", name="练习 1/12")).to_be_visible()
    saved(page)
    page.get_by_role("link", name="返回").click()
    page.get_by_role("link", name=re.compile("错题 6题")).click()
    page.get_by_role("button", name="练习这些题").click()
    expect(page.get_by_role("heading", name="练习 1/6")).to_be_visible()


def test_the_sheet_marks_stars_and_enlarging(learner):
    page = learner.phone()
    learner.begin(page)
    one = learner.questions()[0]
    choose(page, one, one.answer)
    page.get_by_role("button", name="☆ 标注").click()
    expect(page.get_by_role("button", name="★ 已标注")).to_be_visible()
    before = page.locator("#stem").evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
    page.get_by_role("button", name="放大").click()
    assert page.locator("#stem").evaluate("element => parseFloat(getComputedStyle(element).fontSize)") >= before + 4
    page.get_by_role("link", name="下一题").click()
    assert page.locator("#practice").get_attribute("class") == "enlarged"
    page.get_by_role("link", name="答题卡", exact=True).click()
    expect(page.get_by_role("heading", name="答题卡 1/12")).to_be_visible()
    expect(page.locator("#sheet button").first).to_have_accessible_name("第1题,答对,已标注")
    expect(page.locator("#sheet button").first).to_have_text("1✓★")
    expect(page.locator("#sheet button").nth(1)).to_have_accessible_name("第2题,未答")
    page.locator("#close-sheet").click()
    saved(page)
    page.reload()
    saved(page)
    expect(page.get_by_role("heading", name="练习 2/12")).to_be_visible()
    expect(page.get_by_role("button", name="还原")).to_be_visible()
    page.get_by_role("link", name="上一题").click()
    expect(page.get_by_role("button", name="★ 已标注")).to_be_visible()
    expect(page.locator("#verdict")).to_contain_text("回答正确")
    page.get_by_role("link", name="返回").click()
    page.get_by_role("link", name=re.compile("标注 1题")).click()
    page.locator("summary").click()
    expect(page.get_by_text(f"正确答案: {one.answer}")).to_be_visible()
    page.get_by_role("button", name=re.compile("取消标注:")).click()
    expect(page.get_by_text("还没有标注的题")).to_be_visible()


def test_without_network_the_run_goes_on_and_catches_up(learner):
    page = learner.phone()
    learner.begin(page)
    asked = learner.questions()
    page.context.set_offline(True)
    for number, one in enumerate(asked, 1):
        choose(page, one, one.answer)
        expect(page.locator("#verdict")).to_contain_text("回答正确")
        expect(page.locator("#state")).to_have_text("未保存,等待网络")
        page.get_by_role("link", name="下一题" if number < 12 else "查看答题卡").click()
    page.get_by_role("button", name="再练下一组").click()
    expect(page.locator("#told")).to_contain_text("网络恢复、答案保存后")
    assert learner.run.answers == {}
    page.context.set_offline(False)
    saved(page)
    assert learner.run.answers == {str(position): one.answer for position, one in enumerate(asked)}
    assert learner.counted() == (12, 12)


def test_what_was_tapped_before_the_page_was_killed_is_sent_by_the_next(learner):
    page = learner.phone()
    learner.begin(page)
    asked = learner.questions()
    page.context.set_offline(True)
    for one in asked[:3]:
        choose(page, one, wrong_of(one))
        page.get_by_role("link", name="下一题").click()
    page.get_by_role("button", name="☆ 标注").click()
    expect(page.locator("#state")).to_have_text("未保存,等待网络")
    kept(page, 4)
    address, context = page.url, page.context
    page.close()
    assert learner.run.answers == {}
    context.set_offline(False)
    again = context.new_page()
    again.goto(address)
    saved(again)
    assert learner.run.answers == {str(position): wrong_of(one) for position, one in enumerate(asked[:3])}
    expect(again.get_by_role("button", name="★ 已标注")).to_be_visible()
    again.get_by_role("link", name="上一题").click()
    expect(again.locator("#verdict")).to_contain_text("回答错误")
    assert learner.counted() == (3, 0)


def test_it_is_sent_from_the_page_of_choice_too(learner):
    page = learner.phone()
    learner.begin(page)
    one = learner.questions()[0]
    page.context.set_offline(True)
    choose(page, one, one.answer)
    expect(page.locator("#state")).to_have_text("未保存,等待网络")
    kept(page, 1)
    context = page.context
    page.close()
    context.set_offline(False)
    other = context.new_page()
    other.goto(f"/{SLUG}/practice")
    expect(other.get_by_text("已答1/12题")).to_be_visible()
    assert learner.counted() == (1, 1)


def test_by_keyboard_alone(learner):
    page = learner.phone()
    learner.begin(page)
    asked = learner.questions()
    expect(page.locator("#stem")).to_be_focused()
    for number, one in enumerate(asked[:12], 1):
        letters = [letter for letter, _ in one.options]
        if one.kind == "X":
            page.locator("#settle").focus()
            page.keyboard.press("Enter")
            expect(page.locator("#verdict")).to_have_text("请至少选择一个选项,再按“确定”。")
            for letter in one.answer:
                page.keyboard.press(letter.lower())
            page.locator("#settle").focus()
            page.keyboard.press("Enter")
        else:
            page.keyboard.press(one.answer if number % 2 else str(letters.index(one.answer) + 1))
        expect(page.locator("#verdict")).to_contain_text(f"回答正确 正确答案: {one.answer}")
        expect(page.locator("#options .right").first).to_be_focused()
        page.keyboard.press("ArrowRight")
    expect(page.locator("#sheet-title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#stem")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name="练习 11/12")).to_be_visible()
    saved(page)
    assert learner.counted() == (12, 12)


def test_keys_do_nothing_while_the_focus_is_elsewhere(learner):
    page = learner.phone()
    learner.begin(page)
    page.get_by_role("link", name="返回").focus()
    page.keyboard.press("a")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="练习 1/12")).to_be_visible()
    expect(page.locator("#verdict")).to_have_text("")


def test_an_answer_of_another_phone_stands(learner):
    first, second = learner.phone(), learner.phone()
    learner.begin(first)
    one = learner.questions()[0]
    first.context.set_offline(True)
    choose(first, one, one.answer)
    second.goto(first.url)
    saved(second)
    choose(second, one, wrong_of(one))
    saved(second)
    first.context.set_offline(False)
    saved(first)
    expect(first.locator("#verdict")).to_contain_text("回答错误")
    assert learner.counted() == (1, 0)


@pytest.mark.parametrize(
    "broken",
    [
        "Object.defineProperty(window, 'indexedDB', { value: { open: () => ({}) } });",
        "Object.defineProperty(window, 'indexedDB', { value: undefined }); Object.defineProperty(window, 'localStorage', { get() { throw new Error(); } });",
    ],
)
def test_a_browser_that_stores_nothing_saves_all_the_same(learner, broken):
    page = learner.phone(prepare=broken)
    learner.begin(page)
    one = learner.questions()[0]
    page.context.set_offline(True)
    choose(page, one, one.answer)
    expect(page.locator("#state")).to_have_text("未保存,等待网络")
    page.context.set_offline(False)
    saved(page)
    assert learner.counted() == (1, 1)


def test_an_ended_session_keeps_what_was_tapped(learner, in_province):
    page = learner.phone()
    learner.begin(page)
    one = learner.questions()[0]
    with in_province(SLUG):
        db.session.execute(update(SignInSession).values(seen_at=clock.now().replace(year=2020)))
        db.session.commit()
    choose(page, one, one.answer)
    expect(page.locator("#told")).to_contain_text("登录已过期。您的答案存在这台手机上")
    with in_province(SLUG):
        db.session.execute(update(SignInSession).values(seen_at=clock.now()))
        db.session.commit()
    saved(page)
    assert learner.counted() == (1, 1)


def test_practice_that_closes_meanwhile_says_so_and_keeps_the_tap(learner, in_province):
    page = learner.phone()
    learner.begin(page)
    one = learner.questions()[0]
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == learner.doctor.record_id).with_for_update()).one()
        moves.begin_test(record, by=Actor("doctor", UUID(int=1)))
        db.session.commit()
    choose(page, one, one.answer)
    expect(page.locator("#told")).to_contain_text("测评已开始,在线学习已关闭")
    assert learner.counted() == (1, 1)
    page.get_by_role("link", name="下一题").click()
    page.locator("#options .option").first.click()
    expect(page.locator("#verdict")).to_have_text("")
    expect(page.locator("#told")).to_contain_text("在线学习已关闭")


def test_without_scripts_it_works_page_by_page(learner, browser, address):
    context = browser.new_context(viewport=PHONE, base_url=address, java_script_enabled=False)
    name = f"dk-{SLUG}"
    context.add_cookies([{"name": name, "value": learner.doctor.client.get_cookie(name).value, "url": address}])
    page = context.new_page()
    page.goto(f"/{SLUG}/practice")
    page.get_by_role("button", name="开始练习").click()
    for number, one in enumerate(learner.questions(), 1):
        choose(page, one, one.answer)
        expect(page.locator("#verdict")).to_have_text(f"✓ 回答正确 正确答案: {one.answer}")
        if number == 1:
            page.get_by_role("button", name="标注").click()
            page.get_by_role("button", name="放大").click()
            expect(page.locator("#practice")).to_have_class("enlarged")
        page.get_by_role("link", name="下一题" if number < 12 else "查看答题卡").click()
    expect(page.get_by_text("共12题,答对12题,答错0题,正确率100%")).to_be_visible()
    page.get_by_role("button", name="再练下一组").click()
    expect(page.get_by_role("heading", name="练习 1/12")).to_be_visible()
    context.close()


def test_the_page_and_the_fifty_are_light(learner):
    page = learner.phone()
    weights = {}
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    urls = {}
    client.on("Network.responseReceived", lambda told: urls.update({told["requestId"]: told["response"]["url"]}))
    client.on("Network.loadingFinished", lambda told: weights.update({urls.get(told["requestId"], ""): told["encodedDataLength"]}))
    learner.begin(page)
    data = next(size for url, size in weights.items() if url.endswith("/data"))
    assert data < len(json.dumps(learner.doctor.client.get(f"/{SLUG}/practice/{learner.run.id}/data").get_json(), ensure_ascii=False).encode()) / 2
    scripts = sum(size for url, size in weights.items() if "practice" in url and ".js" in url)
    question = next(size for url, size in weights.items() if re.search(r"/practice/[0-9a-f-]{36}/1$", url))
    print(f"page {question} B, data of 12 {data} B, scripts {scripts} B")  # noqa: T201
    assert question < 15_000
