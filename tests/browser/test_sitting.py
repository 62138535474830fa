"""Sitting a paper on a phone: reload, no network, a second page, a second device, a browser that stores nothing, the end of the time."""

import itertools
import re
from datetime import timedelta
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.exams import sittings
from dingkao.exams.models import Sitting, SittingAnswer
from dingkao.exams.tickets import ticket_of
from dingkao.people.models import SignInSession
from tests import people
from tests.browser.conftest import PHONE

SLUG, CODE = "jiangxi", 36
_serial = people.serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province, address):
    people.exam(application, in_province, SLUG)


class Candidate:
    """A doctor who is 待测评, on a phone."""

    def __init__(self, application, in_province, open_page):
        self.doctor = people.ready(application, in_province, SLUG, next(_serial))
        self.in_province, self.open_page = in_province, open_page
        with in_province(SLUG):
            self.number = ticket_of(db.session.get_one(Assessment, (CODE, self.doctor.record_id))).number

    def phone(self, size=PHONE) -> Page:
        """Another phone, signed in."""
        page = self.open_page(size)
        name = f"dk-{SLUG}"
        page.context.add_cookies([{"name": name, "value": self.doctor.client.get_cookie(name).value, "url": page.context._impl_obj._options["baseURL"]}])
        return page

    def enter(self, page: Page) -> None:
        """From the home page to the first question of 公共知识."""
        page.goto(f"/{SLUG}/home")
        page.get_by_role("link", name="参加测评").click()
        name = self.doctor.get("/home")
        page.get_by_label("姓名").fill(re.search(r"<h2>(医师.)</h2>", name)[1])
        page.get_by_label("准考证号").fill(self.number)
        page.get_by_label(re.compile("我已阅读并同意")).check()
        page.get_by_role("button", name="登录").click()
        page.get_by_role("link", name="进入").first.click()
        expect(page.get_by_text("请仔细阅读考生须知,并滑到底部点击“进入考试”按钮进入考试作答页面")).to_be_visible()
        page.get_by_label("我已详细阅读并郑重承诺").check()
        page.get_by_role("button", name="进入考试").click()
        expect(page.locator("#options button").first).to_be_visible()

    @property
    def sitting(self) -> UUID:
        """The id of the sitting."""
        with self.in_province(SLUG):
            return db.session.scalars(select(Sitting.id).where(Sitting.assessment_id == self.doctor.record_id)).one()

    def kept(self) -> dict[int, str]:
        """What the server keeps."""
        sitting = self.sitting
        with self.in_province(SLUG):
            rows = db.session.scalars(select(SittingAnswer).where(SittingAnswer.sitting_id == sitting))
            return {row.position: row.letters for row in rows}

    def handed_in_by(self) -> str | None:
        """Who handed it in."""
        sitting = self.sitting
        with self.in_province(SLUG):
            return db.session.get_one(Sitting, (CODE, sitting)).handed_in_by


@pytest.fixture
def candidate(application, in_province, open_page, ground):
    return Candidate(application, in_province, open_page)


def tap(page: Page, number: int, choice: int) -> str:
    """Go to question `number` (from 1) and choose; the letter chosen."""
    page.get_by_role("button", name="答题列表").click()
    page.locator("#sheet button").nth(number - 1).click()
    option = page.locator("#options button").nth(choice)
    option.click()
    expect(option).to_have_attribute("aria-pressed", "true")
    return str(option.get_attribute("data-letter"))


def on_the_phone(page: Page, number: int) -> None:
    """Wait until so many answers are written where they outlive the page."""
    page.wait_for_function(
        """async (number) => {
             const asked = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
             const base = await asked(indexedDB.open("dingkao-sittings"));
             const rows = await asked(base.transaction("waiting").objectStore("waiting").getAll());
             base.close();
             return rows.length === number;
           }""",
        arg=number,
    )


def saved(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("已保存", timeout=20_000)


def seconds_left(page: Page) -> int:
    hours, minutes, seconds = map(int, re.fullmatch(r"倒计时: (\d\d):(\d\d):(\d\d)", page.locator("#clock").inner_text()).groups())
    return hours * 3600 + minutes * 60 + seconds


def hand_in(page: Page) -> None:
    """By the buttons, to the closing page."""
    page.get_by_role("button", name="交卷", exact=True).click()
    page.get_by_role("button", name="确认交卷").click()
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible()


def is_told_too_late(page: Page) -> None:
    """What it still held came after the end, and it says so."""
    said = page.get_by_text(re.compile("本试卷已交卷,不能再修改答案|有答案在交卷或作答时间结束之后才送达,未能计入"))
    expect(said).to_be_visible(timeout=20_000)


def test_a_paper_from_the_ticket_to_the_end_with_a_reload_and_without_network(candidate):
    page = candidate.phone()
    candidate.enter(page)
    expect(page.locator("#clock")).to_have_text(re.compile(r"^倒计时: 00:(59:\d\d|60:00)$|^倒计时: 01:00:00$"))
    assert '"answer"' not in page.content()
    chosen = {0: tap(page, 1, 1)}
    saved(page)
    page.get_by_role("button", name="标注本题").click()
    page.reload()
    expect(page.locator("#options button").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="取消标注")).to_be_visible()
    assert 3500 < seconds_left(page) <= 3600

    page.context.set_offline(True)
    for number, choice in ((2, 0), (3, 2), (4, 3), (3, 1)):
        chosen[number - 1] = tap(page, number, choice)
    expect(page.locator("#state")).to_have_text("未保存 3 题")
    expect(page.locator("#offline")).to_be_visible()
    assert set(candidate.kept()) == {0}
    page.context.set_offline(False)
    saved(page)
    expect(page.locator("#offline")).to_be_hidden()
    assert candidate.kept() == chosen

    page.get_by_role("button", name="答题列表").click()
    expect(page.locator("#count")).to_have_text("已答4/10题,★为标注的题")
    expect(page.locator("#sheet button").first).to_have_accessible_name("第1题,已答,已标注")
    page.locator("#sheet button").nth(4).click()
    expect(page.locator("#kind")).to_contain_text(re.compile(r"A3/A4型题\[1/\d\]"))
    expect(page.get_by_text("第1小题")).to_be_visible()
    expect(page.locator("#case")).to_be_visible()
    page.get_by_role("button", name="下一题").click()
    expect(page.get_by_text("第2小题")).to_be_visible()
    page.get_by_role("button", name="上一题").click()
    page.get_by_role("button", name="交卷", exact=True).click()
    expect(page.locator("#confirm-said")).to_contain_text("还有6题没有作答(第5、6、7、8、9、10题)。有1题标注了待检查。")
    assert candidate.handed_in_by() is None
    page.get_by_role("button", name="确认交卷").click()
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible()
    expect(page.get_by_text("共10题,已作答4题")).to_be_visible()
    assert candidate.handed_in_by() == "doctor"
    page.get_by_role("link", name="返回主页").click()
    expect(page.get_by_text("您已开始测评")).to_be_visible()


def test_what_was_tapped_before_the_page_was_killed_is_sent_by_the_next(candidate):
    page = candidate.phone()
    candidate.enter(page)
    chosen = {0: tap(page, 1, 0)}
    saved(page)
    page.context.set_offline(True)
    chosen |= {0: tap(page, 1, 2), 1: tap(page, 2, 1)}
    expect(page.locator("#state")).to_have_text("未保存 2 题")
    on_the_phone(page, 2)
    address = page.url
    page.close()
    assert len(candidate.kept()) == 1
    context = page.context
    context.set_offline(False)
    again = context.new_page()
    again.goto(address)
    saved(again)
    assert candidate.kept() == chosen
    again.get_by_role("button", name="答题列表").click()
    expect(again.locator("#count")).to_contain_text("已答2/10题")
    again.locator("#sheet button").first.click()
    expect(again.locator("#options button").nth(2)).to_have_attribute("aria-pressed", "true")


def test_another_device_goes_on_and_the_first_is_told(candidate):
    first, second = candidate.phone(), candidate.phone()
    candidate.enter(first)
    mine = tap(first, 1, 0)
    saved(first)
    first.context.set_offline(True)
    early = tap(first, 2, 0)
    expect(first.locator("#state")).to_have_text("未保存 1 题")
    second.goto(first.url)
    expect(second.get_by_text("您已在另一台设备或浏览器上开始作答")).to_be_visible()
    second.get_by_role("button", name="在这台设备上继续").click()
    expect(second.locator("#clock")).to_be_visible()
    later = tap(second, 2, 3)
    saved(second)
    assert early != later
    first.context.set_offline(False)
    expect(first.locator("#told")).to_contain_text("您已在另一台设备上继续作答", timeout=20_000)
    expect(first.locator("#options button").first).to_be_disabled()
    assert candidate.kept() == {0: mine, 1: later}
    first.get_by_role("link", name="刷新页面").click()
    first.get_by_role("button", name="在这台设备上继续").click()
    saved(first)
    assert candidate.kept() == {0: mine, 1: later}
    first.get_by_role("button", name="答题列表").click()
    first.locator("#sheet button").nth(1).click()
    expect(first.locator(f'#options button[data-letter="{later}"]')).to_have_attribute("aria-pressed", "true")


def test_two_pages_of_one_browser_never_show_what_is_not_kept(candidate):
    one = candidate.phone()
    candidate.enter(one)
    two = one.context.new_page()
    two.goto(one.url)
    for page, choice in ((one, 0), (two, 1), (one, 2), (two, 3)):
        last = tap(page, 1, choice)
        saved(page)
    assert candidate.kept() == {0: last}
    one.reload()
    expect(one.locator(f'#options button[data-letter="{last}"]')).to_have_attribute("aria-pressed", "true")


def test_handing_in_without_network_stays_on_the_page(candidate):
    page = candidate.phone()
    candidate.enter(page)
    page.context.set_offline(True)
    chosen = tap(page, 1, 1)
    page.get_by_role("button", name="交卷", exact=True).click()
    page.get_by_role("button", name="确认交卷").click()
    expect(page.locator("#told")).to_contain_text("还没有交卷")
    page.context.set_offline(False)
    page.get_by_role("button", name="确认交卷").click()
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible()
    assert candidate.kept() == {0: chosen}
    assert candidate.handed_in_by() == "doctor"


def test_when_the_time_is_over_the_page_hands_in(candidate, in_province):
    page = candidate.phone()
    candidate.enter(page)
    chosen = tap(page, 1, 1)
    saved(page)
    with in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == candidate.sitting).values(closes_at=clock.now() + timedelta(seconds=4)))
        db.session.commit()
    page.reload()
    expect(page.locator("#clock")).to_have_class(re.compile("red"))
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible(timeout=20_000)
    assert candidate.kept() == {0: chosen}


def test_a_phone_whose_clock_is_wrong_shows_the_servers_time(candidate):
    page = candidate.phone()
    page.add_init_script("const real = Date.now; Date.now = () => real() + 3600000;")
    candidate.enter(page)
    assert 3500 < seconds_left(page) <= 3600
    tap(page, 1, 0)
    saved(page)
    with candidate.in_province(SLUG):
        row = db.session.scalars(select(SittingAnswer).where(SittingAnswer.sitting_id == candidate.sitting)).one()
    assert abs(row.tapped_at - row.received_at) < timedelta(seconds=20)


@pytest.mark.parametrize(
    "broken",
    [
        "Object.defineProperty(window, 'indexedDB', { value: { open: () => ({}) } });",
        "Object.defineProperty(window, 'indexedDB', { value: undefined }); Object.defineProperty(window, 'localStorage', { get() { throw new Error(); } });",
        "IDBDatabase.prototype.transaction = () => { throw new DOMException('closing', 'InvalidStateError'); };",
    ],
)
def test_a_browser_that_stores_nothing_saves_all_the_same(candidate, broken):
    page = candidate.phone()
    page.add_init_script(broken)
    candidate.enter(page)
    chosen = {0: tap(page, 1, 0), 1: tap(page, 2, 1)}
    saved(page)
    assert candidate.kept() == chosen
    hand_in(page)


def test_an_ended_session_keeps_the_answers_and_asks_to_sign_in_before_handing_in(candidate, in_province):
    page = candidate.phone()
    candidate.enter(page)
    with in_province(SLUG):
        db.session.execute(update(SignInSession).values(seen_at=clock.now() - timedelta(minutes=31)))
        db.session.commit()
    chosen = tap(page, 1, 0)
    saved(page)
    page.get_by_role("button", name="交卷", exact=True).click()
    page.get_by_role("button", name="确认交卷").click()
    expect(page.locator("#told")).to_contain_text("登录已过期")
    assert candidate.kept() == {0: chosen}
    assert candidate.handed_in_by() is None
    page.get_by_role("link", name="重新登录").click()
    expect(page).to_have_url(re.compile("/login"))


def test_a_narrow_phone_shows_all_of_it(candidate):
    page = candidate.phone({"width": 320, "height": 568})
    candidate.enter(page)
    for number in range(1, 11):
        page.get_by_role("button", name="答题列表").click()
        page.locator("#sheet button").nth(number - 1).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        for button in page.locator("#options button, .foot button").all():
            assert button.bounding_box()["height"] >= 44


# --- time: the page's clock is moved on (page.clock), and the server's with it as the page is told it


def servers_time(page: Page, *, drift: float = 1) -> None:
    """From the next load on, the server's clock goes with the page's, which gains by `drift`: what the server says of the time is counted on
    from what it said first. Asked without letting the page's clock run meanwhile, which would be no time on the way but a leap."""
    page.add_init_script(
        """
        const real = window.fetch;
        let first = null;
        window.slept = 0;
        window.asked = 0;
        window.serversTime = () => first.now + (performance.now() - first.at) / DRIFT + window.slept;
        window.fetch = async (address, options) => {
          if (!String(address).endsWith("/standing")) return real(address, options);
          const asked = new XMLHttpRequest();
          asked.open("GET", address, false);
          asked.setRequestHeader("Accept", "application/json");
          asked.send();
          const told = JSON.parse(asked.responseText);
          first ??= { now: told.now, at: performance.now() };
          window.asked += 1;
          return new Response(JSON.stringify({ ...told, now: window.serversTime() }));
        };
        """.replace("DRIFT", str(drift))
    )


def set_end(candidate, **after) -> int:
    """Set the end of the sitting, from now on; milliseconds since 1970."""
    end = clock.now() + timedelta(**after)
    with candidate.in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == candidate.sitting).values(closes_at=end))
        db.session.commit()
    return int(end.timestamp() * 1000)


def off_by(page: Page, end: int) -> float:
    """By how many seconds the countdown is off from the server's, at the moment when it changes; the first change may still be of a tick that
    was set before the clock was."""
    shown, left = page.evaluate(
        """(end) => new Promise((resolve) => {
          const clock = document.getElementById("clock");
          let changes = 0;
          const seen = new MutationObserver(() => { changes += 1; if (changes < 2) return; seen.disconnect(); resolve([clock.textContent, (end - window.serversTime()) / 1000]); });
          seen.observe(clock, { childList: true });
        })""",
        end,
    )
    hours, minutes, seconds = map(int, re.fullmatch(r"倒计时: (\d\d):(\d\d):(\d\d)", shown).groups())
    return abs(hours * 3600 + minutes * 60 + seconds - left)


@pytest.mark.parametrize(("online", "drift"), [(True, 1.0005), (True, 0.9995), (False, 1)])
def test_after_an_hour_the_countdown_is_less_than_a_second_off(candidate, online, drift):
    page = candidate.phone()
    candidate.enter(page)
    end = set_end(candidate, hours=2)
    page.clock.install()
    servers_time(page, drift=drift)
    page.reload()
    page.wait_for_function("() => window.asked > 0")
    assert off_by(page, end) < 1
    page.context.set_offline(not online)
    page.clock.run_for(3_600_000)
    if online:
        page.wait_for_function("() => window.asked >= 15")
    assert off_by(page, end) < 1
    assert 3500 < seconds_left(page) < 3610


def test_a_phone_that_slept_for_ten_minutes_shows_the_time_that_is_left_when_it_is_looked_at_again(candidate):
    page = candidate.phone()
    candidate.enter(page)
    chosen = tap(page, 1, 0)
    saved(page)
    end = set_end(candidate, hours=1)
    servers_time(page)
    page.reload()
    page.wait_for_function("() => window.asked > 0")
    assert off_by(page, end) < 1
    page.evaluate("window.slept = 600000")
    assert off_by(page, end) > 590
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_function("() => window.asked > 1")
    assert off_by(page, end) < 1
    expect(page.locator("#options button[aria-pressed=true]")).to_have_attribute("data-letter", chosen)


def test_ten_and_three_minutes_before_the_end_it_is_said_aloud(candidate):
    page = candidate.phone()
    candidate.enter(page)
    set_end(candidate, hours=1)
    page.clock.install()
    servers_time(page)
    page.reload()
    page.wait_for_function("() => window.asked > 0")
    for minutes, words in ((49, ""), (2, "考试时间还剩10分钟"), (7, "考试时间还剩3分钟")):
        page.clock.run_for(minutes * 60_000)
        expect(page.locator("#time-said")).to_have_text(words)
    expect(page.get_by_role("alert").filter(has_text="考试时间还剩3分钟")).to_have_count(1)


def test_a_minute_without_network_loses_no_tap_and_no_moment_of_one(candidate):
    page = candidate.phone()
    candidate.enter(page)
    page.clock.install()
    page.reload()
    saved(page)
    page.context.set_offline(True)
    chosen = {}
    for number in range(1, 7):
        chosen[number - 1] = tap(page, number, number % 4)
        page.clock.run_for(10_000)
    expect(page.locator("#state")).to_have_text("未保存 6 题")
    expect(page.locator("#offline")).to_contain_text("请放心继续作答")
    assert candidate.kept() == {}
    page.context.set_offline(False)
    saved(page)
    assert candidate.kept() == chosen
    with candidate.in_province(SLUG):
        rows = db.session.scalars(select(SittingAnswer).where(SittingAnswer.sitting_id == candidate.sitting).order_by(SittingAnswer.position)).all()
    gaps = [(later.tapped_at - earlier.tapped_at).total_seconds() for earlier, later in itertools.pairwise(rows)]
    assert all(9.5 < gap < 15 for gap in gaps), gaps


def test_the_end_without_network_is_said_and_what_was_tapped_in_time_is_counted_within_the_minute(candidate):
    page = candidate.phone()
    candidate.enter(page)
    set_end(candidate, seconds=8)
    page.reload()
    expect(page.locator("#clock")).to_have_class(re.compile("red"))
    page.context.set_offline(True)
    chosen = tap(page, 1, 2)
    expect(page.locator("#told")).to_contain_text("作答时间已到,网络未连接", timeout=15_000)
    expect(page.locator("#state")).to_have_text("未保存 1 题")
    expect(page.locator("#options button").first).to_be_disabled()
    assert candidate.kept() == {}
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("未能计入")).to_have_count(0)
    assert candidate.kept() == {0: chosen}


def test_what_comes_after_the_automatic_hand_in_is_not_counted_and_the_page_says_so(candidate):
    page = candidate.phone()
    candidate.enter(page)
    first = tap(page, 1, 0)
    saved(page)
    page.context.set_offline(True)
    tap(page, 2, 1)
    set_end(candidate, seconds=-61)
    with candidate.in_province(SLUG):
        sittings.close_overdue()
    page.context.set_offline(False)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.get_by_text("到时自动交卷,共10题,已作答1题")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("status")).to_contain_text("有答案在交卷或作答时间结束之后才送达,未能计入")
    assert candidate.kept() == {0: first}


def test_where_the_time_was_prolonged_while_the_phone_was_away_the_page_goes_on(candidate):
    page = candidate.phone()
    candidate.enter(page)
    set_end(candidate, seconds=6)
    page.reload()
    expect(page.locator("#clock")).to_have_class(re.compile("red"))
    page.context.set_offline(True)
    expect(page.locator("#told")).to_contain_text("作答时间已到,网络未连接", timeout=15_000)
    set_end(candidate, minutes=5)
    page.context.set_offline(False)
    expect(page.locator("#told")).to_be_hidden(timeout=15_000)
    assert 280 < seconds_left(page) <= 300
    chosen = tap(page, 1, 2)
    saved(page)
    assert candidate.kept() == {0: chosen}
    assert candidate.handed_in_by() is None


def test_handed_in_on_another_device_while_this_one_still_saves(candidate):
    first, second = candidate.phone(), candidate.phone()
    candidate.enter(first)
    mine = tap(first, 1, 0)
    saved(first)
    first.context.set_offline(True)
    tap(first, 2, 0)
    second.goto(first.url)
    second.get_by_role("button", name="在这台设备上继续").click()
    hand_in(second)
    first.context.set_offline(False)
    is_told_too_late(first)
    assert candidate.kept() == {0: mine}


def test_of_two_tabs_one_hands_in_and_the_other_is_told(candidate):
    one = candidate.phone()
    candidate.enter(one)
    two = one.context.new_page()
    two.goto(one.url)
    mine = tap(one, 1, 0)
    saved(one)
    hand_in(one)
    two.locator("#options button").nth(1).click()
    is_told_too_late(two)
    assert candidate.kept() == {0: mine}


def test_an_answer_older_than_the_one_kept_never_stands_under_saved(candidate):
    one = candidate.phone()
    candidate.enter(one)
    two = one.context.new_page()
    two.goto(one.url)
    one.route("**/standing", lambda route: route.abort())
    newer = tap(two, 1, 0)
    saved(two)
    with candidate.in_province(SLUG):
        db.session.execute(update(SittingAnswer).where(SittingAnswer.sitting_id == candidate.sitting).values(sequence=2**30))
        db.session.commit()
    older = tap(one, 1, 1)
    assert older != newer
    expect(one.locator("#state")).to_have_text("未保存 1 题")
    one.unroute("**/standing")
    saved(one)
    expect(one.locator(f'#options button[data-letter="{newer}"]')).to_have_attribute("aria-pressed", "true")
    assert candidate.kept() == {0: newer}
