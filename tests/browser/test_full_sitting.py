"""A sitting from the first question to the end: of a hundred by keys alone; of twenty, some of every type, by
touch in 长辈模式 and by what a screen reader is told."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.cycles import current_cycle
from dingkao.database.base import db
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.paper_blueprint import save_paper
from dingkao.exams.tickets import find_ticket
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.question_banks.importing.file_import import import_questions
from tests import actors, sample_data
from tests.browser.conftest import PHONE

SLUG, CODE = "beijing", 11
TWENTY = {"A1": 6, "A2": 2, "A3": 3, "A4": 3, "B1": 4, "X": 2}
FIRST_OF_KIND = (1, 7, 9, 12, 15, 19)
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province, address):
    actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        report = import_questions(
            sample_data.hundred_question_cells("公共卫生"), bank_name="一百题", by=TERMINAL_ACTOR
        )
        assert (report.accepted, report.errors) == (100, [])
        save_paper(
            current_cycle(),
            subject="common",
            category="public_health",
            level="assistant",
            counts=TWENTY,
            minutes=60,
            opens_at=clock.now() - timedelta(days=1),
            closes_at=clock.now() + timedelta(days=30),
            by=TERMINAL_ACTOR,
        )
        actors.paper_of_a_hundred(current_cycle(), category="public_health")


@pytest.fixture
def candidate(application, in_province, ground):
    """A doctor of 公共卫生 in 简易程序, who has a ticket for the paper of a hundred."""
    return signed_in_candidate(application, in_province)


@pytest.fixture
def assistant(application, in_province, ground):
    """The same, an assistant, whose paper has twenty questions."""
    return signed_in_candidate(application, in_province, 级别="执业助理医师")


def signed_in_candidate(application, in_province, **cells):
    doctor = actors.ready_doctor(
        application,
        in_province,
        SLUG,
        next(_serial),
        执业类别="公共卫生",
        执业范围="公共卫生类别专业",
        procedure="simple",
        **cells,
    )
    with in_province(SLUG):
        doctor.ticket = find_ticket(db.session.get_one(Assessment, (CODE, doctor.record_id))).number
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
        sitting = db.session.scalars(
            select(Sitting.id).where(Sitting.assessment_id == doctor.record_id)
        ).one()
        return {
            sitting_answer.position: sitting_answer.letters
            for sitting_answer in db.session.scalars(
                select(SittingAnswer).where(SittingAnswer.sitting_id == sitting)
            )
        }


def tab_to(page: Page, name: str) -> None:
    """Tab on to what has this name."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate(
            "document.activeElement.textContent.trim() || "
            "document.activeElement.labels?.[0]?.textContent.trim() || ''"
        ).startswith(name):
            return
    raise AssertionError(f"no way by Tab to {name}")


def letters_shown(page: Page) -> list[str]:
    """The letters that stand behind the options as shown."""
    return page.locator("#options button").evaluate_all(
        "buttons => buttons.map(button => button.dataset.letter)"
    )


def test_a_hundred_questions_by_keys_alone(candidate, browser, address, in_province):
    page = entered(candidate, browser, address, viewport={"width": 1280, "height": 800})
    tab_to(page, "进入")
    page.keyboard.press("Enter")
    expect(page.get_by_label("我已详细阅读并郑重承诺")).to_be_visible()
    tab_to(page, "我已详细阅读")
    page.keyboard.press("Space")
    tab_to(page, "进入考试")
    page.keyboard.press("Enter")
    expect(page.get_by_text("键盘：A至E或1至5选择，←上一题，→下一题")).to_be_visible()
    expect(page.locator("#stem")).to_be_focused()
    answers = {}
    for index in range(100):
        expect(page.locator("#which")).to_have_text(f"{index + 1}/100")
        letters = letters_shown(page)
        pressed = [0, 2] if "多选" in page.locator("#stem").inner_text() else [index % 5]
        for option in pressed:
            page.keyboard.press(str(option + 1) if index % 2 else "abcde"[option])
        answers[index] = "".join(sorted(letters[option] for option in pressed))
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#which")).to_have_text("99/100")
    expect(page.locator("#state")).to_have_text("已保存", timeout=20_000)
    assert kept(in_province, candidate) == answers
    tab_to(page, "答题列表")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="答题列表")).to_be_focused()
    expect(page.get_by_role("button", name=re.compile(r"^第\d+题，已答"))).to_have_count(100)
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    expect(page.locator("#stem")).to_be_focused()
    assert kept(in_province, candidate) == answers
    tab_to(page, "交卷")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="交卷")).to_be_focused()
    expect(page.locator("#confirm-said")).to_contain_text("全部题目已作答")
    tab_to(page, "确认交卷")
    page.keyboard.press("Enter")
    expect(page.get_by_text("您已交卷，共100题，已作答100题")).to_be_visible()
    page.context.close()


def test_twenty_questions_by_touch_in_large_type(assistant, browser, address, in_province):
    page = entered(assistant, browser, address, has_touch=True, is_mobile=True)
    page.context.add_cookies([{"name": f"dk-{SLUG}-display", "value": "senior", "url": address}])
    page.reload()
    page.get_by_role("link", name="进入").tap()
    page.get_by_label("我已详细阅读并郑重承诺").tap()
    page.get_by_role("button", name="进入考试").tap()
    expect(page.locator("html")).to_have_class("senior-mode")
    expect(page.locator("#keys")).to_be_hidden()
    answers = {}
    for index in range(20):
        expect(page.locator("#which")).to_have_text(f"{index + 1}/20")
        letters = letters_shown(page)
        tapped = [1, 3] if "多选" in page.locator("#stem").inner_text() else [index % 5]
        for option in tapped:
            page.locator("#options button").nth(option).tap()
        answers[index] = "".join(sorted(letters[option] for option in tapped))
        if index + 1 in FIRST_OF_KIND:
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            assert (
                float(
                    page.locator("#options button").first.evaluate(
                        "button => parseFloat(getComputedStyle(button).fontSize)"
                    )
                )
                >= 20
            )
        if index < 19:
            page.get_by_role("button", name="下一题").tap()
    expect(page.get_by_role("button", name="下一题")).to_be_disabled()
    expect(page.locator("#state")).to_have_text("已保存", timeout=20_000)
    assert kept(in_province, assistant) == answers
    page.get_by_role("button", name="交卷", exact=True).tap()
    page.get_by_role("button", name="确认交卷").tap()
    expect(page.get_by_text("您已交卷，共20题，已作答20题")).to_be_visible()
    page.context.close()


def test_twenty_questions_by_what_a_screen_reader_is_told(assistant, browser, address, in_province):
    """Everything is found by role and name, and every change is told: the question come to, the choice, 已保
    存."""
    page = entered(assistant, browser, address)
    page.get_by_role("link", name="进入").click()
    page.get_by_role("checkbox", name="我已详细阅读并郑重承诺").check()
    page.get_by_role("button", name="进入考试").click()
    status = page.get_by_role("status")
    expect(page.get_by_role("timer")).to_contain_text("倒计时")
    for number in range(1, 21):
        group = page.get_by_role("group", name=re.compile(rf"^{number}\."))
        options = group.get_by_role("button")
        expect(options).to_have_count(5)
        expect(group.get_by_role("button", pressed=True)).to_have_count(0)
        several = "多选" in page.locator("#stem").inner_text()
        for option in (0, 4) if several else (number % 5,):
            options.nth(option).click()
            expect(
                group.get_by_role("button", name=re.compile(f"^{'ABCDE'[option]}\\."), pressed=True)
            ).to_have_count(1)
        if number in FIRST_OF_KIND:
            tree = page.locator("#main").aria_snapshot()
            assert re.search(rf'group "{number}\.', tree), tree
            assert "[pressed]" in tree
            expect(status.filter(has_text="已保存")).to_have_count(1)
        if number < 20:
            page.get_by_role("button", name="下一题").click()
            expect(
                status.filter(has_text=re.compile(f"^第{number + 1}题，共20题。{number + 1}\\."))
            ).to_have_count(1)
            expect(
                page.get_by_role("button", name="下一题")
                if number < 19
                else page.get_by_role("button", name="上一题")
            ).to_be_enabled()
    page.get_by_role("button", name="标注本题").click()
    expect(page.get_by_role("button", name="取消标注", pressed=True)).to_have_count(1)
    page.get_by_role("button", name="答题列表").click()
    expect(page.get_by_role("button", name=re.compile(r"^第\d+题，已答"))).to_have_count(20)
    expect(page.get_by_role("button", name="第20题，已答，已标注")).to_have_count(1)
    page.get_by_role("button", name="返回作答").click()
    page.get_by_role("button", name="交卷", exact=True).click()
    expect(page.get_by_role("alertdialog", name="交卷")).to_contain_text(
        "全部题目已作答。有1题标注了待检查。"
    )
    page.get_by_role("button", name="确认交卷").click()
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible()
    assert len(kept(in_province, assistant)) == 20
    page.context.close()
