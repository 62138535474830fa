"""The time of a sitting on a phone: the countdown, the end with and without network, and what comes too
late."""

import itertools
import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams import added_time, sitting_completion, sittings
from dingkao.exams.models.sitting_models import AUTOMATIC_HAND_IN, Sitting, SittingAnswer
from tests import actors
from tests.browser.conftest import STORED, wait_until_stored
from tests.browser.exam_candidate import SLUG, Candidate, hand_in, saved, seconds_left, set_end, tap


@pytest.fixture(scope="module")
def ground(application, in_province, address):
    actors.exam_setup(application, in_province, SLUG)


@pytest.fixture
def candidate(application, in_province, open_page, ground):
    return Candidate(application, in_province, open_page)


def test_when_the_time_is_over_the_page_hands_in(candidate, in_province):
    page = candidate.phone()
    candidate.enter(page)
    letter = tap(page, 1, 1)
    saved(page)
    with in_province(SLUG):
        db.session.execute(
            update(Sitting)
            .where(Sitting.id == candidate.sitting)
            .values(closes_at=clock.now() + timedelta(seconds=4))
        )
        db.session.commit()
    page.reload()
    expect(page.locator("#clock")).to_have_class(re.compile("is-urgent"))
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible(timeout=20_000)
    assert candidate.kept() == {0: letter}


def test_a_phone_whose_clock_is_wrong_shows_the_servers_time(candidate):
    page = candidate.phone()
    page.add_init_script("const real = Date.now; Date.now = () => real() + 3600000;")
    candidate.enter(page)
    assert 3500 < seconds_left(page) <= 3600
    tap(page, 1, 0)
    saved(page)
    with candidate.in_province(SLUG):
        sitting_answer = db.session.scalars(
            select(SittingAnswer).where(SittingAnswer.sitting_id == candidate.sitting)
        ).one()
    assert abs(sitting_answer.tapped_at - sitting_answer.received_at) < timedelta(seconds=20)


# --- time: the page's clock is moved on (page.clock), and the server's with it as the page is told it


def servers_time(page: Page, *, drift: float = 1) -> None:
    """From the next load on, the server's clock goes with the page's, which gains by `drift`: what the server
    says of the time is counted on from what it said first. Asked without letting the page's clock run
    meanwhile, which would be no time on the way but a leap."""
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


def off_by(page: Page, end: int) -> float:
    """By how many seconds the countdown is off from the server's, at the moment when it changes; the first
    change may still be of a tick that was set before the clock was."""
    clock_text, actual_seconds = page.evaluate(
        """(end) => new Promise((resolve) => {
          const clock = document.getElementById("clock");
          let changes = 0;
          const seen = new MutationObserver(() => { changes += 1; if (changes < 2) return; seen.disconnect(); resolve([clock.textContent, (end - window.serversTime()) / 1000]); });
          seen.observe(clock, { childList: true });
        })""",
        end,
    )
    hours, minutes, seconds = map(int, re.fullmatch(r"倒计时: (\d\d):(\d\d):(\d\d)", clock_text).groups())
    return abs(hours * 3600 + minutes * 60 + seconds - actual_seconds)


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
    letter = tap(page, 1, 0)
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
    expect(page.locator("#options button[aria-pressed=true]")).to_have_attribute("data-letter", letter)


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
    answers = {}
    for number in range(1, 7):
        answers[number - 1] = tap(page, number, number % 4)
        page.clock.run_for(10_000)
    expect(page.locator("#state")).to_have_text("未保存 6 题")
    expect(page.locator("#offline")).to_contain_text("请放心继续作答")
    assert candidate.kept() == {}
    page.context.set_offline(False)
    saved(page)
    assert candidate.kept() == answers
    with candidate.in_province(SLUG):
        sitting_answers = db.session.scalars(
            select(SittingAnswer)
            .where(SittingAnswer.sitting_id == candidate.sitting)
            .order_by(SittingAnswer.position)
        ).all()
    gaps = [
        (next_answer.tapped_at - previous_answer.tapped_at).total_seconds()
        for previous_answer, next_answer in itertools.pairwise(sitting_answers)
    ]
    assert all(9.5 < gap < 15 for gap in gaps), gaps


LAST_MILLISECONDS = 60_000


def near_the_end(candidate: Candidate, page: Page) -> None:
    """The page with the last minute before its end, which is over when its clock has been moved on by
    LAST_MILLISECONDS without network."""
    set_end(candidate, seconds=LAST_MILLISECONDS / 1000)
    page.clock.install()
    page.reload()
    expect(page.locator("#clock")).to_have_class(re.compile("is-urgent"))


def test_the_end_without_network_is_said_and_what_was_tapped_in_time_is_counted_within_the_minute(candidate):
    page = candidate.phone()
    candidate.enter(page)
    near_the_end(candidate, page)
    page.context.set_offline(True)
    letter = tap(page, 1, 2)
    page.clock.run_for(LAST_MILLISECONDS)
    expect(page.locator("#told")).to_contain_text("作答时间已到，网络未连接", timeout=15_000)
    expect(page.locator("#state")).to_have_text("未保存 1 题")
    expect(page.locator("#options button").first).to_be_disabled()
    assert candidate.kept() == {}
    set_end(candidate, seconds=0)
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("未能计入")).to_have_count(0)
    assert candidate.kept() == {0: letter}


def test_what_comes_after_the_automatic_hand_in_is_not_counted_and_the_page_says_so(candidate):
    page = candidate.phone()
    candidate.enter(page)
    first = tap(page, 1, 0)
    saved(page)
    page.context.set_offline(True)
    tap(page, 2, 1)
    set_end(candidate, seconds=-61)
    with candidate.in_province(SLUG):
        sitting_completion.close_overdue()
    page.context.set_offline(False)
    expect(page.get_by_text("到时自动交卷，共10题，已作答1题")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("alert")).to_contain_text("有答案在交卷或作答时间结束之后才送达，未能计入")
    assert candidate.kept() == {0: first}


def test_where_the_time_was_prolonged_while_the_phone_was_away_the_page_goes_on(candidate):
    page = candidate.phone()
    candidate.enter(page)
    near_the_end(candidate, page)
    page.context.set_offline(True)
    page.clock.run_for(LAST_MILLISECONDS)
    expect(page.locator("#told")).to_contain_text("作答时间已到，网络未连接", timeout=15_000)
    set_end(candidate, minutes=5)
    page.context.set_offline(False)
    expect(page.locator("#told")).to_be_hidden(timeout=15_000)
    assert 280 < seconds_left(page) <= 300
    letter = tap(page, 1, 2)
    saved(page)
    assert candidate.kept() == {0: letter}
    assert candidate.handed_in_by() is None


# --- what comes too late


NO_INDEXED_DB = "Object.defineProperty(window, 'indexedDB', { value: undefined });"
NO_STORAGE = (
    NO_INDEXED_DB + "Object.defineProperty(window, 'localStorage', { get() { throw new Error(); } });"
)


def too_late(candidate, page):
    """Answer the second question without network, and come back when the system has handed in; gives both
    answers."""
    first = tap(page, 1, 0)
    saved(page)
    page.context.set_offline(True)
    second = tap(page, 2, 1)
    set_end(candidate, seconds=-70)
    with candidate.in_province(SLUG):
        sitting_completion.close_overdue()
    page.context.set_offline(False)
    return {0: first, 1: second}


def add_time(candidate, page):
    """补时, of which the page hears with its next sign of life, or as soon as it is looked at."""
    with candidate.in_province(SLUG):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == candidate.doctor.record_id).with_for_update()
        ).one()
        sitting = sittings.get_sitting(candidate.sitting, record, for_update=True)
        added_time.add_time(
            record, sitting, minutes=10, reason="服务中断一分钟", by=actors.make_actor("organisation_clerk")
        )
        db.session.commit()
    page.evaluate("window.dispatchEvent(new Event('online'))")


def test_what_came_too_late_stays_on_the_phone_and_counts_where_time_is_added(candidate):
    page = candidate.phone()
    candidate.enter(page)
    answers = {0: tap(page, 1, 0)}
    saved(page)
    near_the_end(candidate, page)
    page.context.set_offline(True)
    answers[1] = tap(page, 2, 1)
    page.clock.run_for(LAST_MILLISECONDS)
    expect(page.locator("#told")).to_contain_text("还有1题的答案没有送达", timeout=15_000)
    set_end(candidate, seconds=-70)
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("到时自动交卷，共10题，已作答1题")).to_be_visible()
    assert candidate.handed_in_by() in AUTOMATIC_HAND_IN
    for _ in range(2):
        expect(page.locator("#late")).to_contain_text("这台手机上还存有1题的答案")
        wait_until_stored(page, 1)
        page.reload()
    add_time(candidate, page)
    expect(page.locator("#clock")).to_be_visible(timeout=15_000)
    saved(page)
    assert 590 < seconds_left(page) <= 600
    assert candidate.kept() == answers
    assert candidate.handed_in_by() is None
    hand_in(page)
    expect(page.get_by_text("您已交卷，共10题，已作答2题")).to_be_visible()
    expect(page.locator("#late")).to_be_hidden()
    wait_until_stored(page, 0)


def test_what_came_too_late_is_forgotten_when_the_result_is_published(candidate):
    page = candidate.phone()
    candidate.enter(page)
    tap(page, 1, 0)
    saved(page)
    set_end(candidate, seconds=-70)  # of which the page knows nothing: what it sends is refused
    with candidate.in_province(SLUG):
        sitting_completion.close_overdue()
    page.get_by_role("button", name="下一题").click()
    page.locator("#options button").first.click()
    expect(page.locator("#late")).to_contain_text("这台手机上还存有1题的答案", timeout=20_000)
    late = wait_until_stored(page, 1)
    with candidate.in_province(SLUG):
        db.session.execute(
            update(Assessment).where(Assessment.id == candidate.doctor.record_id).values(state="failed")
        )
        db.session.commit()
    for place in ("result", f"sitting/{candidate.sitting}/end"):
        page.evaluate(STORED, late)
        page.goto(f"/{SLUG}/{place}")
        wait_until_stored(page, 0)


def test_where_nothing_can_be_kept_the_page_says_so_and_waits_for_time_to_be_added(candidate):
    page = candidate.phone()
    page.add_init_script(NO_STORAGE)
    candidate.enter(page)
    expect(page.get_by_text("这个浏览器不能在本机保存数据")).to_be_visible()
    answers = too_late(candidate, page)
    expect(page.locator("#told")).to_contain_text(
        "有1题的答案在作答时间结束之后才送达，未能计入，现在只保留在本页", timeout=20_000
    )
    add_time(candidate, page)
    expect(page.locator("#told")).to_be_hidden(timeout=15_000)
    saved(page)
    assert candidate.kept() == answers
    hand_in(page)
    assert candidate.handed_in_by() == "doctor"


def test_without_indexed_db_what_was_tapped_outlives_the_page_in_local_storage(candidate):
    page = candidate.phone()
    page.context.add_init_script(NO_INDEXED_DB)
    candidate.enter(page)
    expect(page.locator("#unkept")).to_be_hidden()
    page.context.set_offline(True)
    answers = {0: tap(page, 1, 2), 1: tap(page, 2, 1)}
    expect(page.locator("#offline")).to_contain_text("答案存在这台手机上")
    page.wait_for_function(
        "Object.keys(localStorage).filter((key) => key.startsWith('dingkao-waiting:')).length === 2"
    )
    address = page.url
    page.close()
    page.context.set_offline(False)
    reopened = page.context.new_page()
    reopened.goto(address)
    saved(reopened)
    assert candidate.kept() == answers
    reopened.wait_for_function(
        "Object.keys(localStorage).every((key) => !key.startsWith('dingkao-waiting:'))"
    )
