"""The bell in the console's top bar: it tells of jobs that have ended without the page being loaded anew, and
asks for nothing while nobody looks."""

from playwright.sync_api import expect

from dingkao.database.base import db
from dingkao.jobs import enqueueing
from tests import actors
from tests.blueprints.signed_in_client import signed_in_client
from tests.browser.conftest import DESK

VISIBILITY = "state => Object.defineProperty(document, 'visibilityState', {value: state, configurable: true})"


def test_the_bell_rings_on_a_page_that_is_looked_at(application, open_page, in_province):
    client = signed_in_client(application, in_province, "shanxi", "province_admin")
    page = open_page(DESK)
    cookie = client.get_cookie("dk-shanxi")
    page.context.add_cookies(
        [{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}]
    )
    page.goto("/shanxi/office")
    count = page.locator("[data-job-bell-count]")
    expect(count).to_be_hidden()
    with in_province("shanxi"):
        enqueueing.enqueue("verify_journal", "核验审计日志", {}, by=client.account_id)
        db.session.commit()
    actors.run_pending_jobs(application, in_province, "shanxi")
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.evaluate(VISIBILITY, "hidden")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(300)
    assert requests == [], "nobody looks"
    page.evaluate(VISIBILITY, "visible")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(count).to_have_text("1")
    page.locator("[data-job-bell]").click()
    expect(page.locator("h1")).to_have_text("我的任务")
    page.get_by_role("link", name="查看", exact=True).first.click()
    expect(count).to_be_hidden()
