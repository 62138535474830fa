"""On a phone: the home page in several states, a help, a message and what it leads to, an answer found; at a
desk: an answer written."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from dingkao import clock
from dingkao.articles import editing
from dingkao.articles.models import Article
from dingkao.assessments import reminders
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import CyclePhase
from dingkao.database.base import db
from dingkao.journal.entries import SYSTEM_ACTOR
from tests import actors
from tests.blueprints.signed_in_client import signed_in_client
from tests.browser.conftest import DESK, PHONE

SLUG = "shandong"


@pytest.fixture(scope="module")
def someone(application, in_province):
    doctor = actors.signed_in_doctor(application, in_province, SLUG, 420)
    doctor.post("/filing/notice")
    with in_province(SLUG):
        editing.create_default_drafts(by=SYSTEM_ACTOR)
        for article in db.session.scalars(select(Article)):
            editing.publish(article, by=SYSTEM_ACTOR)
        db.session.commit()
    return doctor


def signed_in(page: Page, address: str, client) -> Page:
    cookie = client.get_cookie(f"dk-{SLUG}")
    page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": address}])
    return page


def put(in_province, someone, state, *, days=30):
    with in_province(SLUG):
        values = {
            "state": state,
            "performance": "pass",
            "ethics": "pass",
            "procedure": "general",
            "returned_reason": "毕业时间有误",
        }
        db.session.execute(update(Assessment).where(Assessment.id == someone.record_id).values(**values))
        db.session.execute(update(CyclePhase).values(last_day=clock.today() + timedelta(days=days)))
        db.session.commit()


def no_sideways(page: Page) -> None:
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), page.url


def test_the_home_page_says_what_to_do_in_each_state(open_page, address, someone, in_province):
    page = signed_in(open_page(PHONE), address, someone.client)
    put(in_province, someone, "draft", days=3)
    page.goto(f"/{SLUG}/home")
    expect(page.get_by_text("已保存，尚未提交").first).to_be_visible()
    amber = page.locator(".save-status").evaluate("one => getComputedStyle(one).color")
    expect(page.get_by_role("listitem").filter(has_text="报名")).to_have_attribute("aria-current", "step")
    help_ = page.locator("details.help-details")
    expect(help_.locator("p")).not_to_be_visible()
    help_.locator("summary").press("Enter")
    expect(help_.locator("p")).to_contain_text("机构看不到")
    no_sideways(page)

    put(in_province, someone, "draft", days=0)
    page.get_by_role("link", name="刷新").click()
    expect(page.locator(".save-status")).to_contain_text("今天是最后一天")
    assert page.locator(".save-status").evaluate("one => getComputedStyle(one).color") != amber

    put(in_province, someone, "institution_returned")
    page.get_by_role("link", name="刷新").click()
    expect(page.get_by_text("退回原因：毕业时间有误")).to_be_visible()

    put(in_province, someone, "passed")
    page.get_by_role("link", name="刷新").click()
    expect(page.get_by_text("您本周期的考核结果已发布,请点击下方“考核结果”查看(一般程序)")).to_be_visible()
    expect(page.locator(".menu-tile.is-locked").filter(has_text="参加测评")).to_contain_text("测评已结束")
    page.get_by_label("设置菜单").click()
    expect(page.get_by_role("button", name="退出登录")).to_be_visible()
    page.set_viewport_size({"width": 360, "height": 640})
    no_sideways(page)


def test_a_reminder_is_read_and_leads_on(application, open_page, address, someone, in_province, monkeypatch):
    put(in_province, someone, "draft", days=3)
    monkeypatch.setattr(reminders, "SENDING_HOURS", range(24))
    with in_province(SLUG):
        assert reminders.start_due_rounds() >= 1
        db.session.commit()
    actors.run_pending_jobs(application, in_province, SLUG)
    page = signed_in(open_page(PHONE), address, someone.client)
    page.goto(f"/{SLUG}/home")
    page.get_by_role("link", name=re.compile("^消息")).click()
    page.get_by_role("button", name=re.compile("报名即将截止：还有3天")).click()
    expect(page.get_by_role("heading", name="报名即将截止：还有3天")).to_be_visible()
    expect(page.get_by_text("已读")).to_be_visible()
    no_sideways(page)
    page.get_by_role("link", name="去填报信息").click()
    expect(page).to_have_url(re.compile("/filing"))
    page.goto(f"/{SLUG}/notices?unread=1")
    expect(page.get_by_text("报名即将截止")).to_have_count(0)


def test_an_answer_is_found_without_signing_in(open_page, someone):
    page = open_page(PHONE)
    page.goto(f"/{SLUG}/faq")
    page.get_by_label("在百问百答里查找").fill("免考")
    page.get_by_role("button", name="查找").click()
    question = page.locator("summary", has_text="免考和简易程序是一回事吗？")
    question.click()
    expect(page.get_by_text("工作成绩和职业道德照样评定")).to_be_visible()
    page.locator("details[open]").get_by_role("link", name="单独打开这一条").click()
    expect(page.get_by_role("heading", name="免考和简易程序是一回事吗？")).to_be_visible()
    no_sideways(page)
    page.get_by_role("link", name="返回").click()
    page.get_by_label("在百问百答里查找").fill("查不到的词")
    page.get_by_label("在百问百答里查找").press("Enter")
    expect(page.get_by_text("没有找到含有“查不到的词”的内容")).to_be_visible()


def test_news_is_written_looked_at_and_published(application, in_province, open_page, address, someone):
    page = signed_in(
        open_page(DESK), address, signed_in_client(application, in_province, SLUG, "province_admin")
    )
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"/{SLUG}/office/articles")
    page.get_by_role("link", name="写一篇资讯").click()
    page.get_by_label("标题").fill("考核通知")
    page.get_by_label("正文").fill("## 一、时间\n\n- 报名\n- 审核")
    page.get_by_role("button", name="预览").click()
    expect(page.locator("#preview").get_by_role("heading", name="一、时间")).to_be_visible()
    page.get_by_role("button", name="发布").click()
    expect(page.get_by_text("已发布，医师现在可以看到。")).to_be_visible()
    phone = open_page(PHONE)
    phone.goto(f"/{SLUG}/news")
    phone.get_by_role("link", name=re.compile("考核通知")).click()
    expect(phone.get_by_role("heading", name="一、时间")).to_be_visible()
    no_sideways(phone)
    page.get_by_role("link", name="返回政策资讯").click()
    page.get_by_role("button", name="撤下").click()
    expect(page.get_by_text("已撤下“考核通知”")).to_be_visible()
    phone.goto(f"/{SLUG}/news")
    expect(phone.get_by_text("还没有发布政策资讯")).to_be_visible()
