"""Every request a doctor can send, the filing among them, on a phone; decided on the desks' pages, both ways; and what the doctor then sees."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.people.models import Account
from tests import material, people
from tests.blueprints.signed_in import client_of
from tests.browser.conftest import DESK, PHONE
from tests.browser.test_filing import WAITING
from tests.browser.test_signing_in import PASSWORD, sign_in

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


def at_the_desk(open_page, desks, someone: people.Someone, side: str, button: str, text: str = "", mark: dict[str, str] | None = None) -> None:
    """Take the filing up from the list, mark fields, grade, decide."""
    page = signed_in(open_page(DESK), desks[side])
    page.goto(f"/{SLUG}/office/review?side={side}")
    page.locator(f'button[form="open-{someone.record_id}"]').click()
    for field, sentence in (mark or {}).items():
        page.locator("details.marking", has=page.locator(f'[name="mark-{field}"]')).locator("summary").click()
        page.locator(f'[name="mark-{field}"]').fill(sentence)
    if button == "通过":
        for part in ("performance", "ethics"):
            page.locator(f"[name={part}][value=pass]").check()
    page.locator("#decide [name=text]").fill(text)
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_role("status")).to_be_visible()


def mend(page: Page, step: int, name: str, value: str, reason: str, sentence: str) -> None:
    """See why it was returned and where, put it right, hand it in again."""
    page.goto(f"/{SLUG}/home")
    expect(page.get_by_text(f"退回原因:{reason}")).to_be_visible()
    page.goto(f"/{SLUG}/filing/{step}")
    expect(page.locator(f".of-{name} .returned")).to_have_text(f"退回:{sentence}")
    page.locator(f"#{name}").fill(value)
    page.get_by_role("button", name="下一步").click()
    expect(page).to_have_url(re.compile(f"/filing/{step + 1}$"))
    page.goto(f"/{SLUG}/filing/check")
    expect(page.get_by_text("已修改")).to_be_visible()
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", name="已提交")).to_be_visible()


def test_a_filing_returned_by_either_and_accepted(application, in_province, open_page, desks):
    someone = people.doctor(application, in_province, SLUG, next(_serial))
    someone.file()
    page = signed_in(open_page(PHONE), someone.client.get_cookie(f"dk-{SLUG}").value)
    page.goto(f"/{SLUG}/filing/check")
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", name="已提交")).to_be_visible()
    at_the_desk(open_page, desks, someone, "institution", "退回医师", "毕业院校有误", {"1.school": "与毕业证书不符"})
    mend(page, 1, "school", "海南医学院", "毕业院校有误", "与毕业证书不符")
    at_the_desk(open_page, desks, someone, "institution", "通过", "同意")
    page.goto(f"/{SLUG}/home")
    expect(page.get_by_text("主要执业机构已审核通过")).to_be_visible()
    at_the_desk(open_page, desks, someone, "organisation", "退回医师", "科室有误", {"2.department": "请写全称"})
    mend(page, 2, "department", "心血管内科", "科室有误", "请写全称")
    at_the_desk(open_page, desks, someone, "institution", "通过", "同意")
    at_the_desk(open_page, desks, someone, "organisation", "退回机构", "评定依据不足")
    page.goto(f"/{SLUG}/home")
    expect(page.get_by_text("您暂时无需操作")).to_be_visible()
    at_the_desk(open_page, desks, someone, "institution", "通过", "已补充依据")
    at_the_desk(open_page, desks, someone, "organisation", "复核通过")
    page.goto(f"/{SLUG}/home")
    expect(page.get_by_role("heading", name="待测评")).to_be_visible()
    expect(page.get_by_text("准考证号")).to_be_visible()


def test_a_clerk_lets_a_doctor_in_again(application, in_province, open_page, desks):
    someone = people.doctor(application, in_province, SLUG, next(_serial))
    with in_province(SLUG):
        row = db.session.scalars(select(Account).where(Account.id == people.account_of(someone.record_id))).one()
        row.state, row.initial_until = "initial", clock.now() - timedelta(days=1)
        db.session.commit()
    page, desk = open_page(PHONE), signed_in(open_page(DESK), desks["another"])
    sign_in(page, SLUG, someone.number, "666666")
    expect(page.get_by_role("alert")).to_be_visible()
    desk.goto(f"/{SLUG}/office/doctors/{someone.doctor_id}")
    desk.get_by_role("button", name="延长初始凭证").click()
    expect(desk.get_by_role("status")).to_contain_text("已延长")
    sign_in(page, SLUG, someone.number, "666666")
    expect(page.get_by_role("heading", name="设置新密码")).to_be_visible()
    desk.get_by_role("button", name="发放一次性代码").click()
    code = desk.locator("p.code").inner_text()
    sign_in(page, SLUG, someone.number, code)
    for label, text in (("*旧密码", code), ("*新密码", PASSWORD), ("*确认密码", PASSWORD)):
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", name="用户告知书")).to_be_visible()


CUT = {
    "appeal": ("failed", "", "note", "第12题的答案有争议,", "申请重新核对评分。", "提交"), "exemption": ("ready", "免考", "note", "规培证书", "见附件。", "保存"),
    "change": ("ready", "信息修改", "school", "海南", "医学院", "确定"), "correction": ("ready", "信息更正", "name", "钱", "更正", "确定"),
}  # fmt: skip


@pytest.mark.parametrize("killed", [False, True], ids=["restored", "killed"])
@pytest.mark.parametrize("kind", CUT)
def test_a_connection_cut_while_asking_loses_nothing(phone, reopened, kind, killed):
    state, name, field, before, after, button = CUT[kind]
    _, page = phone(state)
    if kind == "appeal":
        page.goto(f"/{SLUG}/requests/new/appeal")
        page.get_by_role("button", name="开始填写").click()
    else:
        begin(page, name)
    if kind in ("change", "correction"):
        page.get_by_role("button", name=re.compile("修改基本信息|填写更正内容")).click()
        page.wait_for_url(re.compile("/(step/1|correction)$"))
    if kind == "exemption":
        page.get_by_label(re.compile("住院医师规范化培训合格证书")).check()
    page.locator(f"#{field}").fill("")
    page.locator(f"#{field}").press_sequentially(before)
    page.context.set_offline(True)
    page.locator(f"#{field}").press_sequentially(after)
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_text(WAITING)).to_be_visible()
    if killed:
        place, page = page.url, reopened(page)
        page.goto(place)
        expect(page.get_by_text("已恢复本机保留的")).to_be_visible()
        expect(page.locator(f"#{field}")).to_have_value(before + after)
        page.get_by_role("button", name=button, exact=True).click()
    else:
        page.context.set_offline(False)
    if kind == "exemption":
        expect(page.get_by_text("已保存,尚未提交。")).to_be_visible()
        expect(page.locator("#note")).to_have_value(before + after)
    elif kind != "appeal":
        expect(page.get_by_text(before + after)).to_be_visible()
    if kind in ("exemption", "correction"):
        upload(page)
    if kind != "appeal":
        submit(page)
    expect(page.get_by_text("办理进度")).to_be_visible()
    expect(page.get_by_text(before + after)).to_be_visible()
