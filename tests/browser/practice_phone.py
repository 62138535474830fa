"""A doctor who practises on a phone, and what one does there."""

import re

from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from dingkao.database.base import db
from dingkao.people.models import SignInSession
from dingkao.practice.models import PracticeRun, PracticeWeek
from dingkao.question_banks.models import QuestionVersion
from tests import actors
from tests.browser.conftest import PHONE

SLUG, CODE = "guangxi", 45
_serial = actors.unused_serials(SLUG)


class Learner:
    """A doctor who is 待测评, on a phone, in a run of twelve questions of 业务水平 · 临床."""

    def __init__(self, application, in_province, open_page):
        self.doctor = actors.ready_doctor(application, in_province, SLUG, next(_serial))
        self.in_province, self.open_page = in_province, open_page

    def phone(self, size=PHONE, prepare: str = "") -> Page:
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
        if prepare:
            page.add_init_script(prepare)
        return page

    def begin(self, page: Page) -> None:
        """Start the run without a browser and open its first question; `begin_by_pages` opens the pages
        before it."""
        bank = re.search(r'name="bank" value="([^"]+)" checked', self.doctor.get("/practice"))[1]
        page.goto(self.doctor.post("/practice", bank=bank).location)
        saved(page)

    def begin_by_pages(self, page: Page) -> None:
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
            return db.session.scalars(
                select(PracticeRun)
                .where(PracticeRun.assessment_id == self.doctor.record_id)
                .order_by(PracticeRun.id.desc())
            ).first()

    def questions(self) -> list[QuestionVersion]:
        """Its questions."""
        run = self.run
        with self.in_province(SLUG):
            versions = {
                str(question_version.id): question_version
                for question_version in db.session.scalars(
                    select(QuestionVersion).where(QuestionVersion.id.in_(run.layout))
                )
            }
            return [versions[version] for version in run.layout]

    def counted(self) -> tuple[int, int]:
        """How many answers the weeks count, and how many right ones."""
        with self.in_province(SLUG):
            practice_weeks = db.session.scalars(
                select(PracticeWeek).where(PracticeWeek.doctor_id == self.doctor.doctor_id)
            ).all()
            return sum(week.answered for week in practice_weeks), sum(
                week.answered_right for week in practice_weeks
            )


def saved(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("已保存", timeout=20_000)


def go(page: Page, number: int) -> None:
    page.get_by_role("link", name="答题卡", exact=True).click()
    page.locator("#sheet button").nth(number - 1).click()
    expect(page.get_by_role("heading", name=f"练习 {number}/12")).to_be_visible()


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


def seen(in_province, moment) -> None:
    """Let everyone who is signed in have been seen last at a moment."""
    with in_province(SLUG):
        db.session.execute(update(SignInSession).values(seen_at=moment))
        db.session.commit()
