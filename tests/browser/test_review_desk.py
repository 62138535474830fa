"""The review desk in a browser: thirty records by keyboard alone, photo and proofs in place, two reviewers at once
with leases, assignment and hand-over."""

import re
from collections import Counter
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from dingkao.assessments import assessment_transitions
from dingkao.assessments.enrolment import enrol, include
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.people.models import Account
from dingkao.people.scopes import WHOLE_PROVINCE
from tests import actors, sample_data
from tests.blueprints.review_steps import submit_filing
from tests.blueprints.signed_in_client import signed_in_client
from tests.browser.conftest import DESK

SLUG, CODE = "ningxia", 64
FIRST = sample_data.registration_number(CODE, 1)
_serial = actors.unused_serials(SLUG)
QUEUE = f"/{SLUG}/office/review?side=institution"


@pytest.fixture(scope="module")
def ground(application, in_province, address):
    """The province, with a doctor whose filing is handed in: nobody else's work, so that it is not the next
    record of those who look through theirs."""
    someone = submit_filing(actors.signed_in_doctor(application, in_province, SLUG, next(_serial)))
    colleague = signed_in_client(application, in_province, SLUG, "institution_reviewer", FIRST)
    assign(in_province, someone.record_id, colleague.account_id)
    return someone


def assign(in_province, record_id: UUID, account_id: UUID) -> None:
    """Make the record the work of a reviewer."""
    with in_province(SLUG):
        db.session.execute(
            update(Assessment).where(Assessment.id == record_id).values(assigned_to=account_id)
        )
        db.session.commit()


@pytest.fixture
def reviewer_page(application, in_province, open_page, ground):
    """Make a desk at which a reviewer of the institution, called `name`, is signed in; with the account's
    id."""

    def make(name: str) -> tuple[Page, UUID]:
        client = signed_in_client(application, in_province, SLUG, "institution_reviewer", FIRST)
        with in_province(SLUG):
            db.session.execute(update(Account).where(Account.id == client.account_id).values(name=name))
            db.session.commit()
        page, cookie = open_page(DESK), f"dk-{SLUG}"
        base = page.context._impl_obj._options["baseURL"]
        page.context.add_cookies([{"name": cookie, "value": client.get_cookie(cookie).value, "url": base}])
        return page, client.account_id

    return make


def waiting_records(in_province, number: int, assigned_to: UUID | None = None) -> list[UUID]:
    """Records that wait for the institution, of doctors whom nobody else looks at, in the order of waiting."""
    serials = [next(_serial) for _ in range(number)]
    with in_province(SLUG):
        actors.put_on_roster(*(sample_data.roster_row(CODE, serial) for serial in serials))
        cycle = actors.get_or_open_cycle()
        enrol(cycle)
        new = select(Assessment.id).where(Assessment.state == "not_included").order_by(Assessment.id)
        ids = list(db.session.scalars(new))
        include(cycle, ids, by=actors.make_actor("province_admin"), grant=WHOLE_PROVINCE)
        for record in db.session.scalars(select(Assessment).where(Assessment.id.in_(ids)).with_for_update()):
            doctor = actors.make_actor("doctor")
            assessment_transitions.start_filing(record, by=doctor)
            assessment_transitions.submit(record, by=doctor, procedure="general")
            record.assigned_to = assigned_to
        db.session.commit()
    return ids


def states_of(in_province, ids: list[UUID]) -> Counter[str]:
    with in_province(SLUG):
        return Counter(db.session.scalars(select(Assessment.state).where(Assessment.id.in_(ids))))


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def press_and_follow(page: Page, *keys: str) -> None:
    """Press keys of which the last one leads to another page."""
    with page.expect_navigation():
        press(page, *keys)


def test_thirty_records_by_keyboard_alone(in_province, reviewer_page):
    page, account_id = reviewer_page("键盘审核人")
    ids = waiting_records(in_province, 30, assigned_to=account_id)
    page.goto(QUEUE)
    press_and_follow(page, "j")
    first = page.url
    press(page, "?")
    expect(page.get_by_role("dialog", name="键盘操作")).to_be_visible()
    press(page, "Escape")
    press_and_follow(page, "j")
    assert page.url != first
    press_and_follow(page, "k")
    assert page.url == first
    for turn in range(len(ids)):
        if turn % 10 == 9:
            at = page.url
            press(page, "e")
            page.keyboard.type("ajrkp? 请补充材料")
            assert page.url == at
            expect(page.get_by_role("dialog")).to_have_count(0)
            press(page, "Escape", "r")
        else:
            press(page, "1", "3", "5", "a")
        expect(page.locator("#confirm-key")).to_be_visible()
        press_and_follow(page, "Enter")
    expect(page.get_by_text("没有等待您审核的记录了。")).to_be_visible()
    assert states_of(in_province, ids) == {"organisation_pending": 27, "institution_returned": 3}


def test_nothing_is_decided_unless_the_dialog_is_confirmed(in_province, reviewer_page):
    page, account_id = reviewer_page("犹豫审核人")
    ids = waiting_records(in_province, 1, assigned_to=account_id)
    page.goto(QUEUE)
    press_and_follow(page, "j")
    press(page, "1", "3", "5", "a", "Escape")
    expect(page.locator("#confirm-key")).to_be_hidden()
    press(page, "Control+a")
    expect(page.locator("#confirm-key")).to_be_hidden()
    assert states_of(in_province, ids) == {"institution_pending": 1}


def test_photo_and_proofs_are_shown_in_place(in_province, ground, reviewer_page):
    page, account_id = reviewer_page("看图审核人")
    assign(in_province, ground.record_id, account_id)
    page.goto(f"/{SLUG}/office/review/{ground.record_id}?side=institution")
    picture = page.locator("[data-picture]")
    expect(page.locator("[data-position]")).to_have_text("第1/1件")
    assert picture.evaluate("image => image.naturalWidth") > 0
    press(page, "p")
    expect(page.locator("[data-stage]")).to_be_focused()
    press(page, "+", "r")
    expect(picture).to_have_attribute("style", re.compile(r"rotate\(90deg\) scale\(1\.25\)"))
    page.get_by_role("button", name="还原").click()
    expect(picture).to_have_attribute("style", re.compile(r"rotate\(0deg\) scale\(1\)"))


def test_two_reviewers_at_once(in_province, reviewer_page):
    (first, first_id), (second, second_id) = reviewer_page("甲审核人"), reviewer_page("乙审核人")
    ids = waiting_records(in_province, 4)
    for page in (first, second):
        page.goto(QUEUE)
        page.get_by_role("button", name="审核下一位").click()
        page.wait_for_url("**/office/review/*-*")
    assert first.url != second.url
    second.goto(first.url)
    expect(second.get_by_text("甲审核人正在审核这条记录。")).to_be_visible()
    expect(second.get_by_role("button", name="通过并下一个")).to_have_count(0)
    second.goto(f"/{SLUG}/office/review/assignment?side=institution")
    for name in ("甲审核人", "乙审核人"):
        second.get_by_role("checkbox", name=re.compile(name)).check()
    second.get_by_role("button", name="平均分配").click()
    expect(second.get_by_text(re.compile("已分配[1-9]"))).to_be_visible()
    second.get_by_label("交接人", exact=True).select_option(str(first_id))
    second.get_by_label("接手人").select_option(str(second_id))
    second.once("dialog", lambda dialog: dialog.accept())
    second.get_by_role("button", name="交接", exact=True).click()
    expect(second.get_by_text(re.compile("已分配[1-9]"))).to_be_visible()
    first.reload()
    expect(first.get_by_role("button", name="通过并下一个")).to_have_count(0)
    second.goto(first.url)
    second.get_by_role("button", name="开始审核").click()
    expect(second.get_by_role("button", name="通过并下一个")).to_be_visible()
    with in_province(SLUG):
        waiting = select(Assessment.assigned_to).where(
            Assessment.id.in_(ids), Assessment.state == "institution_pending"
        )
        assert first_id not in set(db.session.scalars(waiting))
