"""Practising on a phone: each type, marks, enlarging, keys; without network for a while, killed and opened
again; a browser that stores nothing."""

import json
import re
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments import assessment_transitions
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.journal.entries import Actor
from tests import actors
from tests.browser.conftest import PHONE, wait_until_stored
from tests.browser.practice_phone import SLUG, Learner, choose, saved, seen, wrong_of

KILLED_WITH_ITS_PAGE = (
    "const real = window.fetch; window.fetch = (address, options) => real(address, { ...options, "
    "keepalive: false });"
)


@pytest.fixture(scope="module")
def ground(application, in_province, address):
    actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
    actors.demonstration_bank(in_province, SLUG)


@pytest.fixture
def learner(application, in_province, open_page, ground):
    return Learner(application, in_province, open_page)


def colour(page: Page, selector: str) -> str:
    return page.locator(selector).evaluate("element => getComputedStyle(element).borderTopColor")


def test_every_type_is_answered_and_judged_on_the_spot(learner):
    page = learner.phone()
    learner.begin_by_pages(page)
    expect(page.get_by_role("heading", name="练习 1/12")).to_be_visible()
    request_urls = []
    page.on(
        "request",
        lambda request: (
            request_urls.append(request.url)
            if request.resource_type in ("document", "fetch", "xhr")
            else None
        ),
    )
    questions = learner.questions()
    assert {question.kind for question in questions} >= {"A1", "A2", "A3", "B1", "X"}
    for number, question in enumerate(questions, 1):
        expect(page.locator("#stem")).to_contain_text(f"{number}. {question.stem}")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        for option in page.locator("#options .answer-option").all():
            assert option.bounding_box()["height"] >= 44
        if question.kind in ("A3", "A4"):
            expect(page.locator("#case")).to_have_text(question.case_stem)
            expect(page.locator("#kind")).to_contain_text(re.compile(r"A3/A4型题\[\d/\d\]"))
            expect(page.locator("#place")).to_have_text(re.compile(r"第\d小题"))
        choose(page, question, question.answer if number % 2 else wrong_of(question))
        expect(page.locator("#verdict")).to_have_text(
            f"{'✓ 回答正确' if number % 2 else '✗ 回答错误'} 正确答案: {question.answer}"
        )
        expect(page.locator("#explanation")).to_have_text(question.explanation)
        if number % 2:
            expect(page.locator("#options .is-correct small").first).to_have_text("✓ 您的选择，正确")
            assert colour(page, "#options .is-correct >> nth=0") == "rgb(31, 95, 191)"
        elif question.kind != "X":
            expect(page.locator("#options .is-incorrect small")).to_have_text("✗ 您的选择，错误")
            assert colour(page, "#options .is-incorrect") == "rgb(179, 38, 30)"
        if number < 12:
            page.get_by_role("link", name="下一题").click()
    saved(page)
    assert {re.sub(r".*/", "", url) for url in request_urls} == {"answers"}
    assert learner.counted() == (12, 6)
    page.get_by_role("link", name="查看答题卡").click()
    expect(page.locator("#summary-said")).to_have_text("本次练习已完成：共12题，答对6题，答错6题。")
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


def test_what_was_ticked_before_the_script_took_over_stays(learner):
    page = learner.phone()
    learner.begin(page)
    run, versions = learner.run, learner.questions()
    number = next(number for number, version in enumerate(versions, 1) if version.kind == "X")
    held_requests = []
    page.route(f"**/practice/{run.id}/data", lambda route: held_requests.append(route))
    page.goto(f"/{SLUG}/practice/{run.id}/{number}")
    page.get_by_label(re.compile("^A\\.")).check()
    box = page.get_by_label(re.compile("^C\\."))
    box.check()
    box.focus()
    expect(page.locator("#settle")).to_have_count(0)
    held_requests[0].continue_()
    expect(page.locator("#settle")).to_be_visible()
    ticked = page.locator("#options input:checked").evaluate_all("boxes => boxes.map(box => box.value)")
    assert ticked == ["A", "C"]
    expect(box).to_be_focused()
    page.get_by_role("button", name="确定").click()
    expect(page.locator("#verdict")).to_contain_text(f"正确答案: {versions[number - 1].answer}")
    saved(page)


def test_the_sheet_marks_stars_and_enlarging(learner):
    page = learner.phone()
    learner.begin(page)
    question = learner.questions()[0]
    choose(page, question, question.answer)
    page.get_by_role("button", name="☆ 标注").click()
    expect(page.get_by_role("button", name="★ 已标注")).to_be_visible()
    plain_size = page.locator("#stem").evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
    page.get_by_role("button", name="放大").click()
    assert (
        page.locator("#stem").evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
        >= plain_size + 4
    )
    page.get_by_role("link", name="下一题").click()
    assert page.locator("#practice").get_attribute("class") == "text-enlarged"
    page.get_by_role("link", name="答题卡", exact=True).click()
    expect(page.get_by_role("heading", name="答题卡 1/12")).to_be_visible()
    expect(page.locator("#sheet button").first).to_have_accessible_name("第1题，答对，已标注")
    expect(page.locator("#sheet button").first).to_have_text("1✓★")
    expect(page.locator("#sheet button").nth(1)).to_have_accessible_name("第2题，未答")
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
    expect(page.get_by_text(f"正确答案: {question.answer}")).to_be_visible()
    page.get_by_role("button", name=re.compile("取消标注：")).click()
    expect(page.get_by_text("还没有标注的题")).to_be_visible()


def test_without_network_the_run_goes_on_and_catches_up(learner):
    page = learner.phone()
    learner.begin(page)
    questions = learner.questions()
    page.context.set_offline(True)
    for number, question in enumerate(questions, 1):
        choose(page, question, question.answer)
        expect(page.locator("#verdict")).to_contain_text("回答正确")
        expect(page.locator("#state")).to_have_text("未保存，等待网络")
        page.get_by_role("link", name="下一题" if number < 12 else "查看答题卡").click()
    page.get_by_role("button", name="再练下一组").click()
    expect(page.locator("#told")).to_contain_text("网络恢复、答案保存后")
    assert learner.run.answers == {}
    page.context.set_offline(False)
    saved(page)
    assert learner.run.answers == {
        str(position): question.answer for position, question in enumerate(questions)
    }
    assert learner.counted() == (12, 12)


def test_what_was_tapped_before_the_page_was_killed_is_sent_by_the_next(learner):
    page = learner.phone(
        prepare=KILLED_WITH_ITS_PAGE
    )  # a browser that is killed ends what its pages had under way
    learner.begin(page)
    questions = learner.questions()
    page.context.set_offline(True)
    for question in questions[:3]:
        choose(page, question, wrong_of(question))
        page.get_by_role("link", name="下一题").click()
    page.get_by_role("button", name="☆ 标注").click()
    expect(page.locator("#state")).to_have_text("未保存，等待网络")
    wait_until_stored(page, 4)  # a page killed before that has only said 未保存
    address, context = page.url, page.context
    page.close()
    assert learner.run.answers == {}
    context.set_offline(False)
    reopened = context.new_page()
    reopened.goto(address)
    saved(reopened)
    assert learner.run.answers == {
        str(position): wrong_of(question) for position, question in enumerate(questions[:3])
    }
    expect(reopened.get_by_role("button", name="★ 已标注")).to_be_visible()
    reopened.get_by_role("link", name="上一题").click()
    expect(reopened.locator("#verdict")).to_contain_text("回答错误")
    assert learner.counted() == (3, 0)


@pytest.mark.parametrize(
    ("place", "text"),
    [("", "已答1/12题"), ("/lists/starred", "★ 取消标注")],
)
def test_it_is_sent_from_the_pages_outside_a_run_too(learner, place, text):
    page = learner.phone()
    learner.begin(page)
    question = learner.questions()[0]
    page.context.set_offline(True)
    choose(page, question, question.answer)
    page.locator("#star").click()
    expect(page.locator("#state")).to_have_text("未保存，等待网络")
    wait_until_stored(page, 2)
    context = page.context
    page.close()
    context.set_offline(False)
    page_outside = context.new_page()
    page_outside.goto(f"/{SLUG}/practice{place}")
    expect(page_outside.get_by_text(text)).to_be_visible()
    assert learner.counted() == (1, 1)


def test_by_keyboard_alone(learner):
    page = learner.phone()
    learner.begin(page)
    questions = learner.questions()
    expect(page.locator("#stem")).to_be_focused()
    page.get_by_role("link", name="返回").focus()  # keys do nothing while the focus is elsewhere
    page.keyboard.press("a")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="练习 1/12")).to_be_visible()
    expect(page.locator("#verdict")).to_have_text("")
    page.locator("#stem").focus()
    for number, question in enumerate(questions[:12], 1):
        letters = [letter for letter, _ in question.options]
        if question.kind == "X":
            page.locator("#settle").focus()
            page.keyboard.press("Enter")
            expect(page.locator("#verdict")).to_have_text("请至少选择一个选项，再按“确定”。")
            for letter in question.answer:
                page.keyboard.press(letter.lower())
            page.locator("#settle").focus()
            page.keyboard.press("Enter")
        else:
            page.keyboard.press(question.answer if number % 2 else str(letters.index(question.answer) + 1))
        expect(page.locator("#verdict")).to_contain_text(f"回答正确 正确答案: {question.answer}")
        expect(page.locator("#options .is-correct").first).to_be_focused()
        page.keyboard.press("ArrowRight")
    expect(page.locator("#sheet-title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#stem")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name="练习 11/12")).to_be_visible()
    saved(page)
    assert learner.counted() == (12, 12)


def test_an_answer_of_another_phone_stands(learner):
    first, second = learner.phone(), learner.phone()
    learner.begin(first)
    question = learner.questions()[0]
    first.context.set_offline(True)
    choose(first, question, question.answer)
    second.goto(first.url)
    saved(second)
    choose(second, question, wrong_of(question))
    saved(second)
    first.context.set_offline(False)
    saved(first)
    expect(first.locator("#verdict")).to_contain_text("回答错误")
    assert learner.counted() == (1, 0)


@pytest.mark.parametrize(
    "broken",
    [
        "Object.defineProperty(window, 'indexedDB', { value: { open: () => ({}) } });",
        (
            "Object.defineProperty(window, 'indexedDB', { value: undefined }); "
            "Object.defineProperty(window, 'localStorage', { get() { throw new Error(); } });"
        ),
    ],
)
def test_a_browser_that_stores_nothing_saves_all_the_same(learner, in_province, broken):
    page = learner.phone(prepare=broken)
    learner.begin(page)
    question = learner.questions()[0]
    page.context.set_offline(True)
    choose(page, question, question.answer)
    expect(page.locator("#state")).to_have_text("未保存，等待网络")
    page.context.set_offline(False)
    saved(page)
    assert learner.counted() == (1, 1)
    seen(in_province, clock.now().replace(year=2020))
    page.locator("#next").click()
    choose(page, learner.questions()[1], learner.questions()[1].answer)
    kept_nowhere = "localStorage" in broken
    text = (
        "这个浏览器不能在本机保存数据，还没有送达的答案重新登录后需要重做"
        if kept_nowhere
        else "您的答案存在这台手机上"
    )
    expect(page.locator("#told")).to_contain_text(f"登录已过期。{text}")
    seen(in_province, clock.now())


def test_an_ended_session_keeps_what_was_tapped(learner, in_province):
    page = learner.phone()
    learner.begin(page)
    question = learner.questions()[0]
    seen(in_province, clock.now().replace(year=2020))
    choose(page, question, question.answer)
    expect(page.locator("#told")).to_contain_text("登录已过期。您的答案存在这台手机上")
    seen(in_province, clock.now())
    saved(page)
    assert learner.counted() == (1, 1)


def test_practice_that_closes_meanwhile_says_so_and_keeps_the_tap(learner, in_province):
    page = learner.phone()
    learner.begin(page)
    question = learner.questions()[0]
    with in_province(SLUG):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == learner.doctor.record_id).with_for_update()
        ).one()
        assessment_transitions.start_test(record, by=Actor("doctor", UUID(int=1)))
        db.session.commit()
    choose(page, question, question.answer)
    expect(page.locator("#told")).to_contain_text("测评已开始，在线学习已关闭")
    assert learner.counted() == (1, 1)
    page.get_by_role("link", name="下一题").click()
    page.locator("#options .answer-option").first.click()
    expect(page.locator("#verdict")).to_have_text("")
    expect(page.locator("#told")).to_contain_text("在线学习已关闭")


def test_without_scripts_it_works_page_by_page(learner, browser, address):
    context = browser.new_context(viewport=PHONE, base_url=address, java_script_enabled=False)
    name = f"dk-{SLUG}"
    context.add_cookies(
        [{"name": name, "value": learner.doctor.client.get_cookie(name).value, "url": address}]
    )
    page = context.new_page()
    page.goto(f"/{SLUG}/practice")
    page.get_by_role("button", name="开始练习").click()
    run, kinds = learner.run, set()
    for number, question in enumerate(learner.questions(), 1):
        place = f"/practice/{run.id}/{number}"
        if question.kind in kinds and number < 12:  # a page as that of its kind before
            assert learner.doctor.post(place, letter=list(question.answer)).status_code == 303
            continue
        kinds.add(question.kind)
        if page.url != f"{address}/{SLUG}{place}":
            page.goto(f"/{SLUG}{place}")
        choose(page, question, question.answer)
        expect(page.locator("#verdict")).to_have_text(f"✓ 回答正确 正确答案: {question.answer}")
        if number == 1:
            page.get_by_role("button", name="标注").click()
            page.get_by_role("button", name="放大").click()
            expect(page.locator("#practice")).to_have_class("text-enlarged")
        page.get_by_role("link", name="下一题" if number < 12 else "查看答题卡").click()
        page.wait_for_url(f"**/{number + 1 if number < 12 else run.id}")
    expect(page.get_by_text("共12题，答对12题，答错0题，正确率100%")).to_be_visible()
    page.get_by_role("button", name="再练下一组").click()
    expect(page.get_by_role("heading", name="练习 1/12")).to_be_visible()
    context.close()


def test_the_page_and_the_fifty_are_light(learner):
    page = learner.phone()
    weights = {}
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    urls = {}
    client.on(
        "Network.responseReceived", lambda told: urls.update({told["requestId"]: told["response"]["url"]})
    )
    client.on(
        "Network.loadingFinished",
        lambda told: weights.update({urls.get(told["requestId"], ""): told["encodedDataLength"]}),
    )
    learner.begin(page)
    data = next(size for url, size in weights.items() if url.endswith("/data"))
    assert (
        data
        < len(
            json.dumps(
                learner.doctor.client.get(f"/{SLUG}/practice/{learner.run.id}/data").get_json(),
                ensure_ascii=False,
            ).encode()
        )
        / 2
    )
    question = next(size for url, size in weights.items() if re.search(r"/practice/[0-9a-f-]{36}/1$", url))
    assert question < 15_000
