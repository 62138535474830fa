"""Every request a doctor can send, on a phone; decided on the desks' pages, both ways; and what the doctor then sees."""

import re

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from tests import material, people
from tests.blueprints.signed_in import client_of
from tests.browser.conftest import DESK, PHONE

SLUG, CODE = "hainan", 46
_serial = people.serials(SLUG)
REASON = "所附材料不能证明该情形,请补充后再办理。"


@pytest.fixture(scope="module")
def desks(application, in_province, address):
    """Cookies of those who decide: by side."""
    people.doctor(application, in_province, SLUG, next(_serial))
    number = material.registration_number(CODE, 1)
    roles = {
        "institution": ("institution_reviewer", number), "another": ("institution_clerk", number), "organisation": ("organisation_reviewer", number),
        "province": ("province_admin", None),
    }  # fmt: skip
    clients = {side: client_of(application, in_province, SLUG, role, place) for side, (role, place) in roles.items()}
    return {side: client.get_cookie(f"dk-{SLUG}").value for side, client in clients.items()}


@pytest.fixture
def phone(application, in_province, open_page, desks):
    """A doctor's phone, the record in `state` with a complete filing."""

    def make(state: str) -> tuple[people.Someone, Page]:
        someone = people.doctor(application, in_province, SLUG, next(_serial))
        someone.file()
        someone.submit()
        with in_province(SLUG):
            record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id)).one()
            record.state, record.procedure, record.performance, record.ethics = state, "general", "pass", "pass"
            record.competence = "fail" if state == "failed" else None
            db.session.commit()
        return someone, signed_in(open_page(PHONE), someone.client.get_cookie(f"dk-{SLUG}").value)

    return make


def signed_in(page: Page, cookie: str) -> Page:
    """The page with someone's session."""
    page.context.add_cookies([{"name": f"dk-{SLUG}", "value": cookie, "url": page.context._impl_obj._options["baseURL"]}])
    page.on("dialog", lambda dialog: dialog.accept())
    return page


def begin(page: Page, kind: str) -> None:
    """From the list of requests to a new one."""
    page.goto(f"/{SLUG}/requests")
    page.get_by_role("link", name=re.compile(f"申请{kind}")).click()
    page.get_by_role("button", name="开始填写").click()
    expect(page.get_by_text("尚未提交。")).to_be_visible()


def upload(page: Page) -> None:
    """A proof, and back to the request."""
    page.get_by_role("button", name=re.compile("上传材料")).click()
    page.get_by_label("选择文件(可多选)").set_input_files({"name": "证书.jpg", "mimeType": "image/jpeg", "buffer": people.photo()})
    expect(page.get_by_text("已上传 1 件")).to_be_visible()
    page.get_by_role("link", name=re.compile("返回.*申请")).click()


def submit(page: Page) -> str:
    """Hand it in; the request's id."""
    page.get_by_role("button", name="提交", exact=True).click()
    expect(page.get_by_text("办理进度")).to_be_visible()
    return page.url.rsplit("/", 1)[1]


def decide(open_page, desks, who: str, side: str, request_id: str, button: str, opinion: str = "", tick: str | None = None) -> None:
    """Find the request in the desk's list, open it, decide."""
    page = signed_in(open_page(DESK), desks[who])
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


def ask_deferral(page: Page) -> str:
    begin(page, "延考")
    upload(page)
    page.get_by_label("患病或住院治疗").check()
    return submit(page)


def ask_change(page: Page) -> str:
    begin(page, "信息修改")
    page.get_by_role("button", name=re.compile("修改基本信息")).click()
    page.get_by_label("*毕业院校").fill("海南医学院")
    page.get_by_role("button", name="确定").click()
    expect(page.get_by_text("海南医学院")).to_be_visible()
    return submit(page)


def ask_correction(page: Page) -> str:
    begin(page, "信息更正")
    page.get_by_role("button", name=re.compile("填写更正内容")).click()
    page.get_by_label("姓名").fill("钱更正")
    page.get_by_role("button", name="确定").click()
    upload(page)
    return submit(page)


def ask_appeal(page: Page) -> str:
    page.goto(f"/{SLUG}/result")
    page.get_by_role("link", name=re.compile("申请复核")).click()
    page.get_by_role("button", name="开始填写").click()
    page.get_by_label("异议理由").fill("第12题的答案有争议,申请重新核对评分。")
    return submit(page)


ASKED = {
    "exemption": (ask_exemption, "ready", (("institution", "institution"), ("organisation", "organisation")), "业务水平测评免考,您不需要参加考试。"),
    "deferral": (ask_deferral, "ready", (("institution", "institution"), ("organisation", "organisation")), "延考已备案"),
    "change": (ask_change, "ready", (("institution", "institution"), ("organisation", "organisation")), "申请修改的信息已更新。"),
    "correction": (ask_correction, "ready", (("institution", "institution"), ("another", "institution")), "申请更正的信息已更新。"),
}


@pytest.mark.parametrize("kind", ASKED)
def test_a_request_agreed_to_by_both(phone, open_page, desks, kind):
    ask, state, chain, outcome = ASKED[kind]
    _, page = phone(state)
    request_id = ask(page)
    for who, side in chain:
        decide(open_page, desks, who, side, request_id, "同意", "情况属实")
    page.reload()
    expect(page.get_by_role("status").get_by_text("已通过")).to_be_visible()
    expect(page.get_by_text(outcome)).to_be_visible()
    expect(page.get_by_text("情况属实").first).to_be_visible()
    page.goto(f"/{SLUG}/notices")
    expect(page.get_by_text(re.compile("申请已通过(?!一级)")).first).to_be_visible()


@pytest.mark.parametrize("kind", ASKED)
def test_a_request_refused_with_a_reason(phone, open_page, desks, kind):
    ask, state, chain, _ = ASKED[kind]
    _, page = phone(state)
    request_id = ask(page)
    decide(open_page, desks, *chain[0], request_id, "不同意", REASON)
    page.reload()
    expect(page.get_by_role("status").get_by_text("未通过", exact=True)).to_be_visible()
    expect(page.get_by_text(REASON).first).to_be_visible()
    page.goto(f"/{SLUG}/notices")
    expect(page.get_by_text(re.compile("申请未通过")).first).to_be_visible()


def test_an_appeal_both_ways(phone, open_page, desks):
    _, page = phone("failed")
    request_id = ask_appeal(page)
    decide(open_page, desks, "organisation", "organisation", request_id, "建议变更", "评分有误,应为合格。", tick="业务水平")
    decide(open_page, desks, "province", "province", request_id, "同意", "同意变更")
    page.reload()
    expect(page.get_by_text("考核结果已按复核意见变更")).to_be_visible()
    page.goto(f"/{SLUG}/result")
    expect(page.get_by_text("考核结果:合格")).to_be_visible()

    _, page = phone("failed")
    request_id = ask_appeal(page)
    decide(open_page, desks, "organisation", "organisation", request_id, "维持原结果", REASON)
    page.reload()
    expect(page.get_by_text(REASON).first).to_be_visible()
    page.goto(f"/{SLUG}/result")
    expect(page.get_by_text("考核结果:不合格")).to_be_visible()
