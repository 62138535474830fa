"""Every request a doctor can send, the filing among them, on a phone; decided on the desks' pages, both ways;
and what the doctor then sees."""

import re
from datetime import timedelta
from functools import partial

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from dingkao import clock
from dingkao.database.base import db
from dingkao.people.models import Account
from tests import actors
from tests.blueprints import request_steps
from tests.browser.conftest import DESK, PHONE
from tests.browser.request_phone import (
    SLUG,
    begin,
    doctor_on_phone,
    signed_in,
    submit,
    upload,
)
from tests.browser.test_sign_in import PASSWORD, sign_in

SERIALS = actors.unused_serials(SLUG)
REASON = "所附材料不能证明该情形,请补充后再办理。"


@pytest.fixture(scope="module")
def deciders(application, in_province, address):
    """Clients of those who decide, signed in: by name."""
    return request_steps.deciders(application, in_province, SLUG)


@pytest.fixture(scope="module")
def desks(deciders, open_page_module):
    """Their pages."""
    return {
        side: signed_in(open_page_module(DESK), client.get_cookie(f"dk-{SLUG}").value)
        for side, client in deciders.items()
    }


@pytest.fixture
def phone(application, in_province, open_page):
    """A doctor and their phone, the record in a state."""
    return partial(doctor_on_phone, application, in_province, open_page)


def decide(
    desks,
    who: str,
    side: str,
    request_id: str,
    button: str,
    opinion: str = "",
    tick: str | None = None,
) -> None:
    """Find the request in the desk's list, open it, decide."""
    page = desks[who]
    page.goto(f"/{SLUG}/office/requests?side={side}")
    page.locator(f'a[href*="{request_id}"]').click()
    if tick:
        page.get_by_label(tick).check()
    page.get_by_label(re.compile("意见")).fill(opinion)
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_role("status")).to_be_visible()


def ask_exemption(page: Page) -> str:
    begin(page, "免考")
    expect(page.get_by_text("请选择(一般程序)免考申请理由")).to_be_visible()
    upload(page)
    page.get_by_label(re.compile("住院医师规范化培训合格证书")).check()
    return submit(page)


def ask_appeal(page: Page) -> str:
    page.goto(f"/{SLUG}/result")
    page.get_by_role("link", name=re.compile("申请复核")).click()
    page.get_by_role("button", name="开始填写").click()
    page.get_by_label("异议理由").fill("第12题的答案有争议,申请重新核对评分。")
    return submit(page)


def test_an_exemption_refused_with_a_reason_is_asked_for_again_and_agreed_to_by_both(phone, desks):
    _, page = phone("ready")
    decide(
        desks,
        "institution",
        "institution",
        ask_exemption(page),
        "不同意",
        REASON,
    )
    page.reload()
    sees_refusal(page)

    request_id = ask_exemption(page)
    for side in ("institution", "organisation"):
        decide(desks, side, side, request_id, "同意", "情况属实")
    page.reload()
    sees_agreement(page, "业务水平测评免考，您不需要参加考试。")


def sees_refusal(page: Page) -> None:
    """The request that is open, and the message of it."""
    expect(page.get_by_role("status").get_by_text("未通过", exact=True)).to_be_visible()
    expect(page.get_by_text(REASON).first).to_be_visible()
    page.goto(f"/{SLUG}/notices")
    expect(page.get_by_text(re.compile("申请未通过")).first).to_be_visible()


def sees_agreement(page: Page, outcome: str) -> None:
    """The request that is open, and the message of it."""
    expect(page.get_by_role("status").get_by_text("已通过")).to_be_visible()
    expect(page.get_by_text(outcome)).to_be_visible()
    expect(page.get_by_text("情况属实").first).to_be_visible()
    page.goto(f"/{SLUG}/notices")
    expect(page.get_by_text(re.compile("申请已通过(?!一级)")).first).to_be_visible()


OTHER_KINDS = {
    "deferral": (
        request_steps.deferral,
        "organisation",
        "organisation",
        "延考已备案",
    ),
    "change": (
        request_steps.change,
        "organisation",
        "organisation",
        "申请修改的信息已更新。",
    ),
    "correction": (
        request_steps.correction,
        "clerk",
        "institution",
        "申请更正的信息已更新。",
    ),
}
"""How it is asked for, who decides second and on which side, what the doctor then sees."""


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_the_other_requests_are_refused_and_agreed_to_on_the_desks_pages(phone, deciders, desks, kind):
    """Filled in on a phone in test_forms.py and below; here they come by HTTP, and so does the first
    agreement."""
    ask, second, side, outcome = OTHER_KINDS[kind]
    someone, page = phone("ready")
    request_id = ask(someone)
    decide(desks, "institution", "institution", request_id, "不同意", REASON)
    page.goto(f"/{SLUG}/requests/{request_id}")
    sees_refusal(page)

    request_id = ask(someone)
    agreed = request_steps.decide(
        deciders["institution"],
        request_id,
        "institution",
        "agree",
        opinion="情况属实",
    )
    assert agreed.status_code == 303
    decide(desks, second, side, request_id, "同意", "情况属实")
    page.goto(f"/{SLUG}/requests/{request_id}")
    sees_agreement(page, outcome)


def test_an_appeal_both_ways(phone, desks):
    _, page = phone("failed")
    request_id = ask_appeal(page)
    decide(
        desks,
        "organisation",
        "organisation",
        request_id,
        "建议变更",
        "评分有误,应为合格。",
        tick="业务水平",
    )
    decide(desks, "province", "province", request_id, "同意", "同意变更")
    page.reload()
    expect(page.get_by_text("考核结果已按复核意见变更")).to_be_visible()
    page.goto(f"/{SLUG}/result")
    expect(page.get_by_text("考核结果：合格")).to_be_visible()

    someone, page = phone("failed")
    request_id = request_steps.appeal(someone)
    decide(
        desks,
        "organisation",
        "organisation",
        request_id,
        "维持原结果",
        REASON,
    )
    page.goto(f"/{SLUG}/requests/{request_id}")
    expect(page.get_by_text(REASON).first).to_be_visible()
    page.goto(f"/{SLUG}/result")
    expect(page.get_by_text("考核结果：不合格")).to_be_visible()


DECIDED = {
    "通过": "已通过，转考核机构复核。",
    "退回医师": "已退回医师修改。",
    "退回机构": "已退回机构核对。",
    "复核通过": "复核通过，已转待测评。",
}
"""What the review desk says after each of its buttons."""


def at_the_desk(
    desks,
    someone: actors.SignedInDoctor,
    side: str,
    button: str,
    text: str = "",
    mark: dict[str, str] | None = None,
) -> None:
    """Take the filing up from the list, mark fields, grade, decide; the desk then says so above all else."""
    page = desks[side]
    page.goto(f"/{SLUG}/office/review?side={side}")
    page.locator(f'button[form="open-{someone.record_id}"]').click()
    for field, sentence in (mark or {}).items():
        page.locator(
            "details.mark-field",
            has=page.locator(f'[name="mark-{field}"]'),
        ).locator("summary").click()
        page.locator(f'[name="mark-{field}"]').fill(sentence)
    if button == "通过":
        for part in ("performance", "ethics"):
            page.locator(f"[name={part}][value=pass]").check()
        page.locator("[name=conduct][value=none]").check()
    if button == "复核通过":
        page.locator("[name=bad_record_check][value=none]").check()
    page.locator("#decide [name=text]").fill(text)
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text(DECIDED[button])


def sees_return(page: Page, step: int, name: str, reason: str, sentence: str) -> None:
    """See why the filing was returned, and where; the page of that step is left open."""
    page.goto(f"/{SLUG}/home")
    expect(page.get_by_text(f"退回原因：{reason}")).to_be_visible()
    page.goto(f"/{SLUG}/filing/{step}")
    expect(page.locator(f".for-{name} .return-note")).to_have_text(f"退回：{sentence}")


def mend_school(page: Page) -> None:
    """Put the school right on the first step and hand the filing in again."""
    page.locator("#school").fill("海南医学院")
    page.get_by_role("button", name="下一步").click()
    expect(page).to_have_url(re.compile("/filing/2$"))
    page.goto(f"/{SLUG}/filing/check")
    expect(page.get_by_text("已修改")).to_be_visible()
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", name="已提交")).to_be_visible()


def passes(deciders, someone: actors.SignedInDoctor) -> None:
    """The institution passes the filing again, by HTTP, as it did on its page before."""
    grades = {
        "performance": "pass",
        "ethics": "pass",
        "text": "已补充依据",
    }
    answer = request_steps.review(deciders["institution"], someone, "approve", **grades)
    assert answer.status_code == 303, answer.get_data(as_text=True)


def test_a_filing_returned_by_either_and_accepted(application, in_province, open_page, deciders, desks):
    someone = actors.signed_in_doctor(application, in_province, SLUG, next(SERIALS))
    someone.file()
    page = signed_in(open_page(PHONE), someone.client.get_cookie(f"dk-{SLUG}").value)
    page.goto(f"/{SLUG}/filing/check")
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", name="已提交")).to_be_visible()
    at_the_desk(
        desks,
        someone,
        "institution",
        "退回医师",
        "毕业院校有误",
        {"1.school": "与毕业证书不符"},
    )
    sees_return(page, 1, "school", "毕业院校有误", "与毕业证书不符")
    mend_school(page)
    at_the_desk(desks, someone, "institution", "通过", "同意")
    page.goto(f"/{SLUG}/home")
    expect(page.get_by_text("主要执业机构已审核通过")).to_be_visible()
    at_the_desk(
        desks,
        someone,
        "organisation",
        "退回医师",
        "科室有误",
        {"2.department": "请写全称"},
    )
    sees_return(page, 2, "department", "科室有误", "请写全称")
    someone.save(2, actors.PRACTICE | {"department": "心血管内科"})
    assert someone.submit().status_code == 303
    passes(deciders, someone)
    at_the_desk(desks, someone, "organisation", "退回机构", "评定依据不足")
    page.goto(f"/{SLUG}/home")
    expect(page.get_by_text("您暂时无需操作")).to_be_visible()
    passes(deciders, someone)
    at_the_desk(desks, someone, "organisation", "复核通过")
    page.goto(f"/{SLUG}/home")
    expect(page.get_by_role("heading", name="待测评")).to_be_visible()
    expect(page.get_by_text("准考证号")).to_be_visible()


def test_a_clerk_lets_a_doctor_in_again(application, in_province, open_page, desks):
    someone = actors.signed_in_doctor(application, in_province, SLUG, next(SERIALS))
    with in_province(SLUG):
        account = db.session.scalars(
            select(Account).where(Account.id == actors.account_of(someone.record_id))
        ).one()
        account.state, account.initial_until = (
            "initial",
            clock.now() - timedelta(days=1),
        )
        db.session.commit()
    page, desk = open_page(PHONE), desks["clerk"]
    sign_in(page, SLUG, someone.number, "666666")
    expect(page.get_by_role("alert")).to_be_visible()
    desk.goto(f"/{SLUG}/office/doctors/{someone.doctor_id}")
    desk.get_by_role("button", name="延长初始凭证").click()
    expect(desk.get_by_role("status")).to_contain_text("已延长")
    sign_in(page, SLUG, someone.number, "666666")
    expect(page.get_by_role("heading", name="设置新密码")).to_be_visible()
    desk.get_by_role("button", name="发放一次性代码").click()
    code = desk.locator("p.one-time-code").inner_text()
    sign_in(page, SLUG, someone.number, code)
    for label, text in (
        ("*旧密码", code),
        ("*新密码", PASSWORD),
        ("*确认密码", PASSWORD),
    ):
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", name="用户告知书")).to_be_visible()
