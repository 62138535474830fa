"""An exam watched: the clerk on duty sees who answers and who is lost, gives time back, and the doctor's page
goes on with it."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams import sittings
from dingkao.exams.models.monitoring_models import IntegrityEvent
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import papers_for
from dingkao.journal.entries import Actor
from tests import actors, sample_data
from tests.blueprints.signed_in_client import signed_in_client
from tests.browser.conftest import DESK, PHONE

SLUG, CODE = "shanghai", 31
_serial = actors.unused_serials(SLUG)
HIDE = (
    "Object.defineProperty(document, 'visibilityState', { value: '%s', configurable: true }); "
    "document.dispatchEvent(new Event('visibilitychange'));"
)


@pytest.fixture(scope="module")
def ground(application, in_province, address):
    actors.exam_setup(application, in_province, SLUG)


class Watched:
    """A doctor on a phone with a sitting begun, and the clerk on duty at a desk."""

    def __init__(self, application, in_province, open_page):
        self.application, self.in_province, self.open_page = application, in_province, open_page
        self.doctor = actors.ready_doctor(application, in_province, SLUG, next(_serial))
        with in_province(SLUG):
            record = db.session.scalars(
                select(Assessment).where(Assessment.id == self.doctor.record_id).with_for_update()
            ).one()
            paper = next(
                common_paper for common_paper in papers_for(record) if common_paper.subject == "common"
            )
            self.sitting: UUID = sittings.open_sitting(record, paper, by=Actor("doctor", record.doctor_id)).id
            db.session.commit()

    def _signed_in(self, client, size) -> Page:
        page = self.open_page(size)
        name = f"dk-{SLUG}"
        page.context.add_cookies(
            [
                {
                    "name": name,
                    "value": client.get_cookie(name).value,
                    "url": page.context._impl_obj._options["baseURL"],
                }
            ]
        )
        page.on("dialog", lambda dialog: dialog.accept())
        return page

    def phone(self) -> Page:
        page = self._signed_in(self.doctor.client, PHONE)
        page.goto(f"/{SLUG}/sitting/{self.sitting}")
        page.get_by_role("button", name="在这台设备上继续").click()
        expect(page.locator("#options button").first).to_be_visible()
        return page

    def desk(self, role="organisation_clerk") -> Page:
        place = sample_data.registration_number(CODE, 1) if role.startswith("organisation") else None
        return self._signed_in(signed_in_client(self.application, self.in_province, SLUG, role, place), DESK)

    def ends(self, moment):
        with self.in_province(SLUG):
            db.session.execute(update(Sitting).where(Sitting.id == self.sitting).values(closes_at=moment))
            db.session.commit()

    def row(self):
        with self.in_province(SLUG):
            return db.session.get_one(Sitting, (CODE, self.sitting))

    def events(self):
        with self.in_province(SLUG):
            return db.session.scalars(
                select(IntegrityEvent)
                .where(IntegrityEvent.sitting_id == self.sitting)
                .order_by(IntegrityEvent.began_at)
            ).all()


@pytest.fixture
def watched(application, in_province, open_page, ground):
    return Watched(application, in_province, open_page)


def give_time(desk: Page, watched, minutes="10"):
    desk.goto(f"/{SLUG}/office/watching/{watched.sitting}")
    desk.get_by_label("补时分钟").fill(minutes)
    desk.get_by_label(re.compile("原因（医师会看到")).fill("本考点断网十分钟")
    desk.get_by_role("button", name="补时", exact=True).click()
    expect(desk.get_by_text(f"已为1场作答补时{minutes}分钟")).to_be_visible()


def test_the_clerk_sees_who_answers_and_the_page_that_left_is_noted(watched):
    phone = watched.phone()
    phone.locator("#options button").first.click()
    expect(phone.locator("#state")).to_have_text("已保存")
    desk = watched.desk()
    desk.goto(f"/{SLUG}/office/watching")
    name = desk.get_by_role("row").nth(1)
    expect(name).to_contain_text("作答中")
    expect(name).to_contain_text("1/10")
    phone.evaluate(HIDE % "hidden")
    phone.wait_for_timeout(2600)
    phone.evaluate(HIDE % "visible")
    expect(phone.locator("#state")).to_have_text("已保存")
    desk.goto(f"/{SLUG}/office/watching/{watched.sitting}")
    for _ in range(50):
        if any(event.kind == "left" for event in watched.events()):
            break
        phone.wait_for_timeout(100)
    leaving = next(event for event in watched.events() if event.kind == "left")
    assert 2 <= leaving.seconds <= 10
    desk.reload()
    expect(desk.get_by_role("cell", name="离开作答页面")).to_be_visible()
    expect(desk.get_by_role("cell", name="更换设备继续作答")).to_be_visible()


def test_what_happens_while_fifty_events_are_sent_is_not_lost(watched):
    phone = watched.phone()
    held = []
    phone.route("**/events", lambda route: held.append(route))  # noqa: PLW0108 - a builtin is not taken
    earliest = int(clock.now().timestamp() * 1000) - 60_000
    waiting = [{"kind": "left", "at": earliest + number, "seconds": 0} for number in range(50)]
    phone.evaluate(
        "([id, events]) => localStorage.setItem(`dk-events:${id}`, JSON.stringify(events))",
        [str(watched.sitting), waiting],
    )
    network_gone = "window.dispatchEvent(new Event('offline')); window.dispatchEvent(new Event('online'));"
    with phone.expect_request("**/events"):
        phone.evaluate(network_gone)
    phone.wait_for_timeout(20)
    phone.evaluate(network_gone)
    with phone.expect_response("**/events"):
        held[0].continue_()
    phone.unroute("**/events")
    stored = f"JSON.parse(localStorage.getItem('dk-events:{watched.sitting}') ?? '[]').length"
    phone.wait_for_function(f"{stored} < 50")
    assert phone.evaluate(stored) == 1, "the one that came meanwhile"
    with phone.expect_response("**/events"):
        phone.evaluate(HIDE % "visible")
    assert [event.kind for event in watched.events()].count("offline") == 2


def test_time_given_back_reaches_the_page_before_its_clock_is_over(watched):
    phone = watched.phone()
    watched.ends(clock.now() + timedelta(minutes=2))
    phone.reload()
    expect(phone.locator("#clock")).to_contain_text(re.compile("00:0[12]:"))
    give_time(watched.desk(), watched)
    phone.evaluate(HIDE % "visible")
    expect(phone.locator("#clock")).to_contain_text(re.compile("00:1[12]:"), timeout=10_000)


def test_an_administrator_prolongs_a_paper_and_the_page_that_was_cut_short_gets_its_minutes(
    application, in_province, watched
):
    with in_province(SLUG):
        end = clock.now() + timedelta(minutes=3)
        paper = watched.row().paper_id
        db.session.execute(update(Paper).where(Paper.id == paper).values(closes_at=end))
        db.session.commit()
    watched.ends(end)
    phone = watched.phone()
    expect(phone.locator("#clock")).to_contain_text(re.compile("00:0[12]:"))
    desk = watched.desk("province_admin")
    desk.goto(f"/{SLUG}/office/papers")
    desk.get_by_role("link", name="延长时间").first.click()
    desk.get_by_label("新的结束时间").fill(f"{clock.to_beijing(end + timedelta(hours=5)):%Y-%m-%dT%H:%M}")
    desk.get_by_label("原因").fill("本省部分地区停电")
    desk.get_by_role("button", name="核对影响范围").click()
    desk.get_by_role("button", name="确认延长").click()
    expect(desk.get_by_text("已延长1份试卷的结束时间")).to_be_visible()
    actors.run_pending_jobs(application, in_province, SLUG)
    assert watched.row().closes_at == watched.row().opened_at + timedelta(minutes=60)
    phone.evaluate(HIDE % "visible")
    expect(phone.locator("#clock")).to_contain_text(re.compile("00:5[789]:|01:00:"), timeout=10_000)
    phone.goto(f"/{SLUG}/notices")
    expect(phone.get_by_text("作答时间已延长")).to_be_visible()
    with in_province(SLUG):
        db.session.execute(update(Paper).where(Paper.id == paper).values(closes_at=end + timedelta(days=30)))
        db.session.commit()


def test_a_page_that_did_not_hear_of_it_goes_on_instead_of_handing_in(watched):
    phone = watched.phone()
    phone.locator("#options button").first.click()
    expect(phone.locator("#state")).to_have_text("已保存")
    watched.ends(clock.now() + timedelta(seconds=30))
    phone.clock.install()
    phone.reload()
    expect(phone.locator("#clock")).to_contain_text("00:00:")
    phone.context.set_offline(True)
    give_time(watched.desk(), watched)
    phone.clock.run_for(30_000)
    expect(phone.locator("#told")).to_contain_text("作答时间已到，网络未连接", timeout=15_000)
    phone.context.set_offline(False)
    expect(phone.locator("#clock")).to_contain_text(re.compile("00:(09|10):"), timeout=15_000)
    expect(phone.locator("#told")).to_be_hidden()
    phone.locator("#options button").nth(1).click()
    expect(phone.locator("#state")).to_have_text("已保存")
    assert watched.row().handed_in_at is None


def test_a_case_is_stated_on_the_phone_and_decided_at_two_desks(watched):
    phone = watched.phone()
    desk = watched.desk()
    desk.goto(f"/{SLUG}/office/watching/{watched.sitting}")
    desk.get_by_label("核查的原因和依据").fill("监考员看到另一人在作答")
    desk.get_by_role("button", name="发起核查").click()
    expect(desk.get_by_text("已发起核查")).to_be_visible()
    phone.goto(f"/{SLUG}/notices")
    phone.get_by_text("考试情况需要您说明").click()
    phone.get_by_role("link", name="去说明情况").click()
    expect(phone.get_by_text("监考员看到另一人在作答")).to_be_visible()
    phone.get_by_label("您的说明").fill("当时是我本人在作答。")
    phone.get_by_role("button", name="提交说明").click()
    expect(phone.get_by_text("您的说明已提交")).to_be_visible()
    reviewer = watched.desk("organisation_reviewer")
    reviewer.goto(f"/{SLUG}/office/cases")
    reviewer.get_by_role("row").filter(has_text="监考员看到另一人").get_by_role("link", name="查看").click()
    reviewer.get_by_label("作废本次作答，按缺考处理").check()
    reviewer.get_by_label("依据（医师会看到）").fill("核对监控录像后认定")
    reviewer.get_by_role("button", name="提出").click()
    expect(reviewer.get_by_text("等待省级管理员确认")).to_be_visible()
    admin = watched.desk("province_admin")
    admin.goto(f"/{SLUG}/office/cases?state=proposed")
    admin.get_by_role("link", name="查看").last.click()
    admin.get_by_role("button", name=re.compile("^确认：作废")).click()
    expect(admin.get_by_text("已确认，医师会收到通知")).to_be_visible()
    assert watched.row().voided_at is not None
    phone.goto(f"/{SLUG}/sitting/cases")
    expect(phone.get_by_text("作废本次作答，按缺考处理")).to_be_visible()


def test_a_word_of_those_on_duty_is_seen_and_moves_nothing_under_a_finger(watched):
    phone, desk = watched.phone(), watched.desk()
    option = phone.locator("#options button").first
    place_before = option.bounding_box()
    desk.goto(f"/{SLUG}/office/watching/{watched.sitting}")
    desk.get_by_label("显示在作答页面上").fill("请保持安静，距结束还有二十分钟。")
    desk.get_by_role("button", name="发出").click()
    expect(desk.get_by_text("已告诉这位医师")).to_be_visible()
    phone.evaluate(HIDE % "visible")
    expect(phone.locator("#announcement")).to_contain_text("请保持安静，距结束还有二十分钟。")
    assert option.bounding_box() == place_before
    phone.mouse.click(place_before["x"] + 40, place_before["y"] + 12)
    expect(option).to_have_class(re.compile("is-selected"))
    expect(phone.locator("#state")).to_have_text("已保存")
    phone.get_by_role("button", name="知道了").click()
    expect(phone.locator("#announcement")).to_be_hidden()
    phone.reload()
    expect(phone.locator("#state")).to_have_text("已保存")
    phone.evaluate(HIDE % "visible")
    phone.wait_for_timeout(500)
    expect(phone.locator("#announcement")).to_be_hidden()
