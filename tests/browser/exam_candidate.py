"""A candidate on a phone, and what one does and sees in a sitting."""

import re
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams.models.sitting_models import Sitting, SittingAnswer
from dingkao.exams.tickets import find_ticket
from tests import actors
from tests.browser.conftest import PHONE

SLUG, CODE = "jiangxi", 36
_serial = actors.unused_serials(SLUG)


class Candidate:
    """A doctor who is 待测评, on a phone."""

    def __init__(self, application, in_province, open_page):
        self.doctor = actors.ready_doctor(application, in_province, SLUG, next(_serial))
        self.application, self.in_province, self.open_page = application, in_province, open_page
        self.name = re.search(r"<h2>(医师.)</h2>", self.doctor.get("/home"))[1]
        with in_province(SLUG):
            self.number = find_ticket(db.session.get_one(Assessment, (CODE, self.doctor.record_id))).number

    def phone(self, size=PHONE) -> Page:
        """Another phone, signed in."""
        page = self.open_page(size)
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

    def enter(self, page: Page) -> None:
        """Begin 公共知识 on the page's phone, which then shows its first question. The pages before that are
        walked without a browser: `enter_by_pages` opens them."""
        name = f"dk-{SLUG}"
        phone = replace(self.doctor, client=self.application.test_client())
        phone.client.set_cookie(name, self.doctor.client.get_cookie(name).value)
        signed_in = phone.post("/sitting", name=self.name, number=self.number, consent="yes")
        assert signed_in.status_code == 303
        paper = re.search(r"/sitting/paper/[0-9a-f-]{36}", phone.get("/sitting"))[0]
        begun = phone.post(paper, promise="yes")
        url = page.context._impl_obj._options["baseURL"]
        page.context.add_cookies(
            [{"name": f"{name}-form", "value": phone.client.get_cookie(f"{name}-form").value, "url": url}]
        )
        page.goto(begun.location)
        expect(page.locator("#options button").first).to_be_visible()

    def enter_by_pages(self, page: Page) -> None:
        """From the home page to the first question of 公共知识."""
        page.goto(f"/{SLUG}/home")
        page.get_by_role("link", name="参加测评").first.click()
        page.get_by_label("姓名").fill(self.name)
        page.get_by_label("准考证号").fill(self.number)
        page.get_by_label(re.compile("我已阅读并同意")).check()
        page.get_by_role("button", name="登录").click()
        page.get_by_role("link", name="进入").first.click()
        expect(
            page.get_by_text("请仔细阅读考生须知,并滑到底部点击“进入考试”按钮进入考试作答页面")
        ).to_be_visible()
        page.get_by_label("我已详细阅读并郑重承诺").check()
        page.get_by_role("button", name="进入考试").click()
        expect(page.locator("#options button").first).to_be_visible()

    @property
    def sitting(self) -> UUID:
        """The id of the sitting."""
        with self.in_province(SLUG):
            return db.session.scalars(
                select(Sitting.id).where(Sitting.assessment_id == self.doctor.record_id)
            ).one()

    def kept(self) -> dict[int, str]:
        """What the server keeps."""
        sitting = self.sitting
        with self.in_province(SLUG):
            sitting_answers = db.session.scalars(
                select(SittingAnswer).where(SittingAnswer.sitting_id == sitting)
            )
            return {answer.position: answer.letters for answer in sitting_answers}

    def handed_in_by(self) -> str | None:
        """Who handed it in."""
        sitting = self.sitting
        with self.in_province(SLUG):
            return db.session.get_one(Sitting, (CODE, sitting)).handed_in_by


def tap(page: Page, number: int, choice: int) -> str:
    """Go to question `number` (from 1) and choose; the letter chosen."""
    page.get_by_role("button", name="答题列表").click()
    page.locator("#sheet button").nth(number - 1).click()
    option = page.locator("#options button").nth(choice)
    option.click()
    expect(option).to_have_attribute("aria-pressed", "true")
    return str(option.get_attribute("data-letter"))


def saved(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("已保存", timeout=20_000)


def seconds_left(page: Page) -> int:
    hours, minutes, seconds = map(
        int, re.fullmatch(r"倒计时: (\d\d):(\d\d):(\d\d)", page.locator("#clock").inner_text()).groups()
    )
    return hours * 3600 + minutes * 60 + seconds


def hand_in(page: Page) -> None:
    """By the buttons, to the closing page."""
    page.get_by_role("button", name="交卷", exact=True).click()
    page.get_by_role("button", name="确认交卷").click()
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible()


def is_told_too_late(page: Page) -> None:
    """What it still held came after the end, and it says so."""
    by_text = page.get_by_text(
        re.compile("本试卷已交卷，不能再修改答案|有答案在交卷或作答时间结束之后才送达，未能计入")
    )
    expect(by_text).to_be_visible(timeout=20_000)


def set_end(candidate, **after) -> int:
    """Set the end of the sitting, from now on; milliseconds since 1970."""
    end = clock.now() + timedelta(**after)
    with candidate.in_province(SLUG):
        db.session.execute(update(Sitting).where(Sitting.id == candidate.sitting).values(closes_at=end))
        db.session.commit()
    return int(end.timestamp() * 1000)
