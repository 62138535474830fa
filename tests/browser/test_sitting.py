"""Sitting a paper on a phone: reload, no network, a second page, a second device, a browser that stores
nothing, and before it begins."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import SittingAnswer
from dingkao.people.models import SignInSession
from tests import actors
from tests.browser.conftest import PHONE, wait_until_stored
from tests.browser.exam_candidate import SLUG, Candidate, hand_in, is_told_too_late, saved, seconds_left, tap


@pytest.fixture(scope="module")
def ground(application, in_province, address):
    actors.exam_setup(application, in_province, SLUG)


@pytest.fixture
def candidate(application, in_province, open_page, ground):
    return Candidate(application, in_province, open_page)


def test_a_paper_from_the_ticket_to_the_end_with_a_reload_and_without_network(candidate):
    page = candidate.phone()
    page.goto(f"/{SLUG}/home")
    expect(page.get_by_role("link", name="进入测评")).to_be_in_viewport(ratio=1)
    candidate.enter_by_pages(page)
    expect(page.locator("#clock")).to_have_text(
        re.compile(r"^倒计时: 00:(59:\d\d|60:00)$|^倒计时: 01:00:00$")
    )
    assert '"answer"' not in page.content()
    answers = {0: tap(page, 1, 1)}
    saved(page)
    page.get_by_role("button", name="标注本题").click()
    page.reload()
    expect(page.locator("#options button").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="取消标注")).to_be_visible()
    assert 3500 < seconds_left(page) <= 3600

    page.context.set_offline(True)
    for number, choice in ((2, 0), (3, 2), (4, 3), (3, 1)):
        answers[number - 1] = tap(page, number, choice)
    expect(page.locator("#state")).to_have_text("未保存 3 题")
    expect(page.locator("#offline")).to_be_visible()
    assert set(candidate.kept()) == {0}
    page.context.set_offline(False)
    saved(page)
    expect(page.locator("#offline")).to_be_hidden()
    assert candidate.kept() == answers

    page.get_by_role("button", name="答题列表").click()
    expect(page.locator("#count")).to_have_text("已答4/10题，★为标注的题")
    expect(page.locator("#sheet button").first).to_have_accessible_name("第1题，已答，已标注")
    page.locator("#sheet button").nth(4).click()
    expect(page.locator("#kind")).to_contain_text(re.compile(r"A3/A4型题\[1/\d\]"))
    expect(page.get_by_text("第1小题")).to_be_visible()
    expect(page.locator("#case")).to_be_visible()
    page.get_by_role("button", name="下一题").click()
    expect(page.get_by_text("第2小题")).to_be_visible()
    page.get_by_role("button", name="上一题").click()
    page.get_by_role("button", name="交卷", exact=True).click()
    expect(page.locator("#confirm-said")).to_contain_text(
        "还有6题没有作答（第5、6、7、8、9、10题）。有1题标注了待检查。"
    )
    assert candidate.handed_in_by() is None
    page.get_by_role("button", name="确认交卷").click()
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible()
    expect(page.get_by_text("共10题，已作答4题")).to_be_visible()
    assert candidate.handed_in_by() == "doctor"
    page.get_by_role("link", name="返回主页").click()
    expect(page.get_by_text("您已开始测评")).to_be_visible()


def test_what_was_tapped_before_the_page_was_killed_is_sent_by_the_next(candidate):
    page = candidate.phone()
    candidate.enter(page)
    answers = {0: tap(page, 1, 0)}
    saved(page)
    page.context.set_offline(True)
    answers |= {0: tap(page, 1, 2), 1: tap(page, 2, 1)}
    expect(page.locator("#state")).to_have_text("未保存 2 题")
    wait_until_stored(page, 2)
    address = page.url
    page.close()
    assert len(candidate.kept()) == 1
    context = page.context
    context.set_offline(False)
    reopened = context.new_page()
    reopened.goto(address)
    saved(reopened)
    assert candidate.kept() == answers
    reopened.get_by_role("button", name="答题列表").click()
    expect(reopened.locator("#count")).to_contain_text("已答2/10题")
    reopened.locator("#sheet button").first.click()
    expect(reopened.locator("#options button").nth(2)).to_have_attribute("aria-pressed", "true")


def test_another_device_goes_on_and_the_first_is_told(candidate):
    first, second = candidate.phone(), candidate.phone()
    candidate.enter(first)
    first_letter = tap(first, 1, 0)
    saved(first)
    first.context.set_offline(True)
    early = tap(first, 2, 0)
    expect(first.locator("#state")).to_have_text("未保存 1 题")
    second.goto(first.url)
    expect(second.get_by_text("您已在另一台设备或浏览器上开始作答")).to_be_visible()
    second.get_by_role("button", name="在这台设备上继续").click()
    expect(second.locator("#clock")).to_be_visible()
    second_letter = tap(second, 2, 3)
    saved(second)
    assert early != second_letter
    first.context.set_offline(False)
    expect(first.locator("#told")).to_contain_text("您已在另一台设备上继续作答", timeout=20_000)
    expect(first.locator("#options button").first).to_be_disabled()
    assert candidate.kept() == {0: first_letter, 1: second_letter}
    first.get_by_role("link", name="刷新页面").click()
    first.get_by_role("button", name="在这台设备上继续").click()
    saved(first)
    assert candidate.kept() == {0: first_letter, 1: second_letter}
    first.get_by_role("button", name="答题列表").click()
    first.locator("#sheet button").nth(1).click()
    expect(first.locator(f'#options button[data-letter="{second_letter}"]')).to_have_attribute(
        "aria-pressed", "true"
    )


def test_two_pages_of_one_browser_never_show_what_is_not_kept(candidate):
    first_page = candidate.phone()
    candidate.enter(first_page)
    second_page = first_page.context.new_page()
    second_page.goto(first_page.url)
    for page, choice in ((first_page, 0), (second_page, 1), (first_page, 2), (second_page, 3)):
        last = tap(page, 1, choice)
        saved(page)
    assert candidate.kept() == {0: last}
    first_page.reload()
    expect(first_page.locator(f'#options button[data-letter="{last}"]')).to_have_attribute(
        "aria-pressed", "true"
    )


def test_handing_in_without_network_stays_on_the_page(candidate):
    page = candidate.phone()
    candidate.enter(page)
    page.context.set_offline(True)
    letter = tap(page, 1, 1)
    page.get_by_role("button", name="交卷", exact=True).click()
    page.get_by_role("button", name="确认交卷").click()
    expect(page.locator("#told")).to_contain_text("还没有交卷")
    page.context.set_offline(False)
    page.get_by_role("button", name="确认交卷").click()
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible()
    assert candidate.kept() == {0: letter}
    assert candidate.handed_in_by() == "doctor"


@pytest.mark.parametrize(
    "broken",
    [
        "Object.defineProperty(window, 'indexedDB', { value: { open: () => ({}) } });",
        (
            "Object.defineProperty(window, 'indexedDB', { value: undefined }); "
            "Object.defineProperty(window, 'localStorage', { get() { throw new Error(); } });"
        ),
        (
            "IDBDatabase.prototype.transaction = () => { throw new DOMException('closing', "
            "'InvalidStateError'); };"
        ),
    ],
)
def test_a_browser_that_stores_nothing_saves_all_the_same(candidate, broken):
    page = candidate.phone()
    page.add_init_script(broken)
    candidate.enter(page)
    answers = {0: tap(page, 1, 0), 1: tap(page, 2, 1)}
    saved(page)
    assert candidate.kept() == answers
    hand_in(page)


def test_an_ended_session_keeps_the_answers_and_asks_to_sign_in_before_handing_in(candidate, in_province):
    page = candidate.phone()
    candidate.enter(page)
    with in_province(SLUG):
        db.session.execute(update(SignInSession).values(seen_at=clock.now() - timedelta(minutes=31)))
        db.session.commit()
    letter = tap(page, 1, 0)
    saved(page)
    page.get_by_role("button", name="交卷", exact=True).click()
    page.get_by_role("button", name="确认交卷").click()
    expect(page.locator("#told")).to_contain_text("登录已过期")
    assert candidate.kept() == {0: letter}
    assert candidate.handed_in_by() is None
    page.get_by_role("link", name="重新登录").click()
    expect(page).to_have_url(re.compile("/login"))


def test_a_narrow_phone_shows_all_of_it_and_the_blue_button_is_the_next_question_or_after_the_last_to_hand_in(
    candidate,
):
    page = candidate.phone({"width": 320, "height": 568})
    candidate.enter(page)
    blue, next_button, hand_in_button = (
        re.compile("button--primary"),
        page.locator("#next"),
        page.locator("#finish"),
    )
    for number in (*range(1, 11), 9):
        page.get_by_role("button", name="答题列表").click()
        page.locator("#sheet button").nth(number - 1).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        heights = page.locator("#options button, .page-actions button").evaluate_all(
            "buttons => buttons.map(button => button.getBoundingClientRect().height)"
        )
        assert len(heights) > 5
        assert min(heights) >= 44
        expect(hand_in_button if number == 10 else next_button).to_have_class(blue)
        expect(next_button if number == 10 else hand_in_button).not_to_have_class(blue)


def test_handed_in_on_another_device_while_this_one_still_saves(candidate):
    first, second = candidate.phone(), candidate.phone()
    candidate.enter(first)
    first_letter = tap(first, 1, 0)
    saved(first)
    first.context.set_offline(True)
    tap(first, 2, 0)
    second.goto(first.url)
    second.get_by_role("button", name="在这台设备上继续").click()
    hand_in(second)
    first.context.set_offline(False)
    is_told_too_late(first)
    assert candidate.kept() == {0: first_letter}


def test_of_two_tabs_one_hands_in_and_the_other_is_told(candidate):
    first_page = candidate.phone()
    candidate.enter(first_page)
    second_page = first_page.context.new_page()
    second_page.goto(first_page.url)
    first_letter = tap(first_page, 1, 0)
    saved(first_page)
    hand_in(first_page)
    second_page.locator("#options button").nth(1).click()
    is_told_too_late(second_page)
    assert candidate.kept() == {0: first_letter}


def test_an_answer_older_than_the_one_kept_never_stands_under_saved(candidate):
    first_page = candidate.phone()
    candidate.enter(first_page)
    second_page = first_page.context.new_page()
    second_page.goto(first_page.url)
    first_page.route("**/standing", lambda route: route.abort())
    newer = tap(second_page, 1, 0)
    saved(second_page)
    with candidate.in_province(SLUG):
        db.session.execute(
            update(SittingAnswer).where(SittingAnswer.sitting_id == candidate.sitting).values(sequence=2**30)
        )
        db.session.commit()
    older = tap(first_page, 1, 1)
    assert older != newer
    expect(first_page.locator("#state")).to_have_text("未保存 1 题")
    first_page.unroute("**/standing")
    saved(first_page)
    expect(first_page.locator(f'#options button[data-letter="{newer}"]')).to_have_attribute(
        "aria-pressed", "true"
    )
    assert candidate.kept() == {0: newer}


# --- before it begins


def test_without_scripts_no_clock_starts_and_nobody_is_taken_over(candidate, browser, address):
    context = browser.new_context(viewport=PHONE, base_url=address, locale="zh-CN", java_script_enabled=False)
    name = f"dk-{SLUG}"
    context.add_cookies(
        [{"name": name, "value": candidate.doctor.client.get_cookie(name).value, "url": address}]
    )
    try:
        plain = context.new_page()
        plain.goto(f"/{SLUG}/sitting")
        plain.get_by_label("姓名").fill(candidate.name)
        plain.get_by_label("准考证号").fill(candidate.number)
        plain.get_by_label(re.compile("我已阅读并同意")).check()
        plain.get_by_role("button", name="登录").click()
        plain.get_by_role("link", name="进入").first.click()
        expect(plain.get_by_text("没有启用的浏览器不能进入考试，也不会开始计时")).to_be_visible()
        expect(plain.get_by_role("button", name="进入考试")).to_be_disabled()
        phone = candidate.phone()
        candidate.enter(phone)
        plain.goto(phone.url)
        expect(plain.get_by_text("没有启用的浏览器不能在这里继续作答，另一边也不受影响")).to_be_visible()
        expect(plain.get_by_role("button", name="在这台设备上继续")).to_be_disabled()
    finally:
        context.close()


def test_who_enters_shortly_before_the_end_is_asked_with_the_minutes_left(candidate):
    page = candidate.phone()
    with candidate.in_province(SLUG):
        closes_at = db.session.scalars(select(Paper.closes_at)).first()
        db.session.execute(update(Paper).values(closes_at=clock.now() + timedelta(seconds=150)))
        db.session.commit()
    questions = []
    try:
        page.on(
            "dialog",
            lambda dialog: (
                questions.append(dialog.message),
                dialog.accept() if len(questions) > 1 else dialog.dismiss(),
            ),
        )
        page.goto(f"/{SLUG}/sitting")
        page.get_by_label("姓名").fill(candidate.name)
        page.get_by_label("准考证号").fill(candidate.number)
        page.get_by_label(re.compile("我已阅读并同意")).check()
        page.get_by_role("button", name="登录").click()
        page.get_by_role("link", name="进入").first.click()
        expect(page.get_by_text("现在进入只有2分钟的作答时间，少于本试卷的60分钟")).to_be_visible()
        page.get_by_label("我已详细阅读并郑重承诺").check()
        for _ in range(2):
            page.get_by_role("button", name="进入考试").click()
        expect(page.locator("#options button").first).to_be_visible()
        assert len(questions) == 2
        assert re.search(
            r"^考试\d\d:\d\d结束，现在进入只有2分钟的作答时间，少于本试卷的60分钟。确定现在进入？$",
            questions[0],
        )
        assert 100 < seconds_left(page) <= 150
    finally:
        with candidate.in_province(SLUG):
            db.session.execute(update(Paper).values(closes_at=closes_at))
            db.session.commit()
