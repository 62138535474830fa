"""A mock exam on a phone: begun from the home page, answered by touch, without network for a while, on two
pages, handed in, looked through."""

import re

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from dingkao import clock
from dingkao.database.base import db
from dingkao.exams.drawing import load_layout
from dingkao.people.models import SignInSession
from dingkao.practice.models import MockExam
from dingkao.question_banks.models import QuestionVersion
from tests import actors
from tests.browser.conftest import PHONE

SLUG, CODE = "tianjin", 12
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province, address):
    actors.signed_in_doctor(application, in_province, SLUG, next(_serial))
    actors.demonstration_bank(in_province, SLUG)


class Trying:
    """A doctor who is 待测评, on a phone."""

    def __init__(self, application, in_province, open_page):
        self.doctor = actors.ready_doctor(application, in_province, SLUG, next(_serial))
        self.in_province, self.open_page = in_province, open_page

    def phone(self) -> Page:
        """Another phone, signed in, that is touched."""
        page = self.open_page(PHONE)
        name = f"dk-{SLUG}"
        page.context.add_cookies(
            [
                {
                    "name": name,
                    "value": self.doctor.client.get_cookie(name).value,
                    "url": page.context._impl_obj._options["baseURL"],
                }
            ]
        )
        return page

    def begin(self, page: Page) -> None:
        """Start 公共知识 without a browser and open its first question; `begin_by_pages` opens the pages
        before it."""
        page.goto(self.doctor.post("/practice/mocks", subject="common").location)
        expect(page.locator("#options button").first).to_be_visible()

    def begin_by_pages(self, page: Page) -> None:
        """From the home page to the first question of 公共知识."""
        page.goto(f"/{SLUG}/home")
        page.get_by_role("link", name="模拟考试").click()
        page.get_by_role("button", name="开始模拟：公共知识").click()
        expect(page.locator("#options button").first).to_be_visible()

    @property
    def row(self) -> MockExam:
        """The mock exam as the server keeps it."""
        with self.in_province(SLUG):
            return db.session.scalars(
                select(MockExam).where(MockExam.assessment_id == self.doctor.record_id)
            ).one()

    def kept(self) -> dict[int, str]:
        """What the server keeps."""
        return {int(position): letters for position, (letters, _) in self.row.answers.items()}

    def sign_out(self, moment) -> None:
        """End the doctor's session, or have it never been ended."""
        with self.in_province(SLUG):
            account = actors.account_of(self.doctor.record_id)
            db.session.execute(
                update(SignInSession).where(SignInSession.account_id == account).values(ended_at=moment)
            )
            db.session.commit()

    def key(self, position: int) -> str:
        """The right answer to a question."""
        version = load_layout(self.row.layout)[position].version
        with self.in_province(SLUG):
            return db.session.scalars(
                select(QuestionVersion.answer).where(QuestionVersion.id == version)
            ).one()


@pytest.fixture
def trying(application, in_province, open_page, ground):
    return Trying(application, in_province, open_page)


def go(page: Page, number: int) -> None:
    page.get_by_role("button", name="答题列表").click()
    page.locator("#sheet button").nth(number - 1).click()


def tap(page: Page, number: int, letters: str) -> str:
    """Go to question `number` and choose `letters`."""
    go(page, number)
    for letter in letters:
        option = page.locator(f'#options button[data-letter="{letter}"]')
        option.click()
        expect(option).to_have_attribute("aria-pressed", "true")
    return letters


def saved(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("已保存", timeout=20_000)


def test_from_the_home_page_to_the_answers(trying):
    page = trying.phone()
    trying.begin_by_pages(page)
    expect(page.get_by_role("heading", name="模拟考试 不计入成绩")).to_be_visible()
    expect(page.locator("#clock")).to_have_text(re.compile(r"^倒计时: 00:0[89]:\d\d$"))
    first = tap(page, 1, trying.key(0))
    saved(page)
    page.get_by_role("button", name="标注本题").click()
    page.reload()
    expect(page.locator(f'#options button[data-letter="{first}"]')).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="取消标注")).to_be_visible()

    page.context.set_offline(True)
    wrong = next(letter for letter in "ABCD" if letter not in trying.key(1))
    answers = {0: first, 1: tap(page, 2, wrong), 2: tap(page, 3, trying.key(2))}
    expect(page.locator("#state")).to_have_text("未保存 2 题")
    expect(page.locator("#offline")).to_be_visible()
    assert set(trying.kept()) == {0}
    page.context.set_offline(False)
    saved(page)
    assert trying.kept() == answers

    page.get_by_role("button", name="答题列表").click()
    expect(page.locator("#count")).to_have_text("已答3/14题，★为标注的题")
    page.get_by_role("button", name="交卷", exact=True).click()
    expect(page.locator("#confirm-said")).to_contain_text("还有11题没有作答")
    expect(page.locator("#confirm-said")).to_contain_text(
        "有1题标注了待检查。模拟考试不计入成绩，交卷后马上显示得分、答案和解析。确定交卷？"
    )
    page.get_by_role("button", name="确认交卷").click()
    expect(page.get_by_role("heading", name="模拟考试答卷")).to_be_visible()
    expect(page.get_by_text("共14题，答对2题")).to_be_visible()
    page.get_by_role("link", name="只看错题（1）").click()
    expect(page.locator("#q2")).to_contain_text("✗ 您的选择，错误")
    expect(page.locator("#q1")).to_have_count(0)
    page.get_by_role("link", name="未作答（11）").click()
    expect(page.locator("#q4")).to_contain_text("未作答")
    page.get_by_role("link", name="下一页").click()
    expect(page).to_have_url(re.compile("blank=1"))
    page.get_by_role("link", name="第1题，答对").click()
    expect(page.locator("#q1")).to_contain_text("✓ 您的选择，正确")
    page.get_by_role("link", name="再做一次模拟考试").click()
    expect(page.get_by_role("link", name="查看答卷")).to_be_visible()
    page.goto(f"/{SLUG}/practice/lists/wrong")
    expect(page.get_by_role("heading", name="错题 1题")).to_be_visible()


def test_two_phones_come_together_by_what_was_tapped_last(trying):
    first, second = trying.phone(), trying.phone()
    trying.begin(first)
    tap(first, 1, "A")
    saved(first)
    second.goto(first.url)
    expect(second.locator('#options button[data-letter="A"]')).to_be_visible()
    tap(second, 1, "B")
    tap(second, 2, "C")
    saved(second)
    tap(first, 3, "D")
    saved(first)
    first.evaluate("() => window.dispatchEvent(new Event('online'))")
    go(first, 2)
    expect(first.locator('#options button[data-letter="C"]')).to_have_attribute("aria-pressed", "true")
    assert trying.kept() == {0: "B", 1: "C", 2: "D"}


def test_signed_out_it_says_so_and_nothing_is_lost(trying):
    page = trying.phone()
    trying.begin(page)
    tap(page, 1, "A")
    saved(page)
    trying.sign_out(clock.now())
    tap(page, 2, "B")
    expect(page.locator("#told")).to_contain_text("登录已过期。答案都存在这台手机上，请先 重新登录")
    expect(page.locator("#state")).to_have_text("未保存 1 题")
    assert trying.kept() == {0: "A"}
    trying.sign_out(None)
    page.get_by_role("link", name="重新登录").click()
    saved(page)
    assert trying.kept() == {0: "A", 1: "B"}


def test_a_page_whose_token_is_of_another_session_says_so_and_goes_on_after_a_reload(trying):
    page = trying.phone()
    trying.begin_by_pages(page)
    page.context.clear_cookies(name=f"dk-{SLUG}-form")
    tap(page, 1, "A")
    expect(page.locator("#told")).to_contain_text("刷新页面")
    expect(page.locator("#state")).to_have_text("未保存 1 题")
    page.get_by_role("link", name="刷新页面").click()
    saved(page)
    assert trying.kept() == {0: "A"}


def test_at_the_end_of_the_time_it_hands_itself_in(trying, in_province):
    page = trying.phone()
    trying.begin(page)
    tap(page, 1, "A")
    saved(page)
    with in_province(SLUG):
        mock_exam = trying.row
        db.session.execute(
            update(MockExam).where(MockExam.id == mock_exam.id).values(closes_at=mock_exam.opened_at)
        )
        db.session.commit()
    page.evaluate("() => window.dispatchEvent(new Event('online'))")
    expect(page.get_by_role("heading", name="模拟考试答卷")).to_be_visible(timeout=20_000)
    assert trying.kept() == {0: "A"}
