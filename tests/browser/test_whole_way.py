"""The whole way in a real browser, from two empty provinces to two certificates, step by step at the same time, on engines of its own.

An operator opens the province; its administrators, clerk, reviewers and one doctor do the rest on their screens. Nothing else is used.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from dingkao import clock
from dingkao.demonstration.states import portrait
from dingkao.demonstration.walking import key_of
from dingkao.embedded.children import program
from dingkao.embedded.stack import Stack
from dingkao.exams.importing import TEMPLATE
from dingkao.outside import sheets
from tests import conftest, material, people
from tests.browser.conftest import DESK, PHONE
from tests.browser.test_signing_in import PASSWORD, open_staff, sign_in

NAMES = {"shanxi": "钱庆逸", "henan": "孙文静"}
CITIES = {"shanxi": ("长治市医院", "140400", "长治市卫生健康委员会"), "henan": ("洛阳市医院", "410300", "洛阳市卫生健康委员会")}
CODES = {"shanxi": 14, "henan": 41}
OPTIONS = [["A", "甲"], ["B", "乙"], ["C", "丙"], ["D", "丁"], ["E", "戊"]]
KEYS = {
    key_of("", f"{subject}第{serial + 1}题", OPTIONS): "ABCDE"[serial % 5] for subject in ("公共知识", "业务水平") for serial in range(16)
}  # fmt: skip


@pytest.fixture(scope="module")
def empty_stack(tmp_path_factory) -> Iterator[Stack]:
    """A whole stack, web, worker and timetable with it, in which nothing has been opened."""
    with pytest.MonkeyPatch.context() as patch:
        for name in conftest.FROM_OUTSIDE:
            patch.delenv(name, raising=False)
        patch.setenv("DINGKAO_DEMONSTRATION", "1")
        running = Stack(tmp_path_factory.mktemp("whole-way") / "home", conftest.free_port())
        try:
            running.begin()
            running.serve()
            yield running
        finally:
            running.end()


@pytest.fixture
def pages(browser: Browser, empty_stack: Stack) -> Iterator[Any]:
    """Open pages of one's own; questions are answered with yes; script errors, refused content and server faults fail the test."""
    contexts, faults = [], []

    def make(viewport: dict[str, int]) -> Page:
        context = browser.new_context(viewport=viewport, base_url=f"http://127.0.0.1:{empty_stack.port}", locale="zh-CN", accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.on("dialog", lambda dialog: dialog.accept())
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if re.search("Content.Security|Refused", said.text) else None)
        page.on("response", lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert faults == []


def questions() -> bytes:
    """A small bank by our own template: enough of A1 for a paper of either subject, and some to practise."""
    rows = []
    for subject, category in (("公共知识", ""), ("业务水平", "临床")):
        for serial in range(16):
            purpose = "练习" if serial % 4 == 3 else "考试"
            cells = {
                "题型": "A1", "题干": f"{subject}第{serial + 1}题", "选项A": "甲", "选项B": "乙", "选项C": "丙", "选项D": "丁", "选项E": "戊",
                "答案": "ABCDE"[serial % 5], "解析": "依据教材。", "科目": subject, "执业类别": category, "用途": purpose,
            }  # fmt: skip
            rows.append([cells.get(name, "") for name in TEMPLATE])
    return sheets.write(list(TEMPLATE), rows)


def upload(page: Page, selector: str, name: str, content: bytes) -> None:
    page.set_input_files(selector, {"name": name, "mimeType": "application/octet-stream", "buffer": content})


def way(slug: str, pages: Any, operator: Page, tmp_path: Any) -> Iterator[str]:
    """The way of one province; yields after each step, so that another province's goes on beside it."""
    name, (hospital, division, authority), code = NAMES[slug], CITIES[slug], CODES[slug]
    registration, number = f"YY{code}0000000001", material.resident_number(77, sex="女", area=f"{code}0105")
    admin, admin2, clerk, reviewer, organisation = (pages(DESK) for _ in range(5))
    phone = pages(PHONE)

    operator.goto("/platform/")
    row = operator.get_by_role("row").filter(has_text=f"/{slug}").filter(has_text=re.compile("未开通"))
    row.get_by_role("button", name="开通").click()
    one_time = operator.locator("strong.code").inner_text()
    yield "opened"

    open_staff(admin, slug, "admin", one_time)
    expect(admin.get_by_role("heading", name="待办")).to_be_visible()
    admin.get_by_role("link", name="机构", exact=True).click()
    admin.get_by_label("机构名称").fill(hospital)
    admin.get_by_label("机构登记号").fill(registration)
    admin.get_by_label("行政区划代码").fill(division)
    admin.get_by_role("button", name="添加").click()
    listed = admin.get_by_role("row", name=hospital)
    expect(listed).to_contain_text(authority)
    listed.get_by_role("link").click()
    admin.get_by_label("指定本机构为考核机构").check()
    admin.get_by_label("所属考核机构").select_option(label=f"{hospital}(本机构)")
    admin.get_by_role("button", name="保存").click()
    expect(admin.get_by_role("row", name=hospital)).to_contain_text("考核机构")
    yield "institution"

    invited = {}
    for user_name, role, place in (
        ("guanli2", "省级管理员", ""), ("jingban", "机构经办人", registration), ("shenhe", "机构审核人", registration), ("fuhe", "考核机构复核人", registration),
    ):  # fmt: skip
        admin.get_by_role("link", name="人员").click()
        admin.get_by_label("用户名").fill(user_name)
        admin.get_by_label("姓名").fill(f"测试{role}")
        admin.get_by_label("角色").select_option(label=role)
        admin.get_by_label("机构登记号").fill(place)
        admin.get_by_role("button", name="邀请").click()
        invited[user_name] = admin.locator("strong.code").inner_text()
    for page, user_name in ((admin2, "guanli2"), (clerk, "jingban"), (reviewer, "shenhe"), (organisation, "fuhe")):
        open_staff(page, slug, user_name, invited[user_name])
        expect(page.get_by_role("heading", name="待办")).to_be_visible()
    yield "staff"

    today = clock.today()
    admin.get_by_role("link", name="周期").click()
    admin.get_by_label("周期名称").fill("2024年07月-2027年06月")
    admin.get_by_label("周期开始").fill("2024-07-01")
    admin.get_by_label("周期结束").fill("2027-06-30")
    for phase in ("报名", "审核", "考核", "完成"):
        admin.get_by_label(f"{phase}开始").fill((today - timedelta(days=3)).isoformat())
        admin.get_by_label(f"{phase}结束").fill((today + timedelta(days=30)).isoformat())
    admin.get_by_role("button", name="开始周期").click()
    expect(admin.get_by_text("当前周期:2024年07月-2027年06月")).to_be_visible()
    admin.get_by_role("link", name="设置").click()
    admin.get_by_label("客服电话").fill(f"{code}00-1234567")
    admin.get_by_label("修改原因").fill("公布客服电话")
    admin.get_by_role("button", name="保存设置").click()
    expect(admin.get_by_text("已保存1项设置")).to_be_visible()
    upload(admin, "#seal-file", "seal.png", people.photo(400, 400, "#c01818", "PNG"))
    admin.locator("#seal-reason").fill("启用公章")
    admin.get_by_role("button", name="上传公章").click()
    expect(admin.get_by_text("公章已启用")).to_be_visible()
    yield "cycle and seal"

    admin.get_by_role("link", name="题库").click()
    admin.get_by_label("题库名称").fill("本省题库")
    upload(admin, "input[type=file]", "questions.xlsx", questions())
    admin.get_by_role("button", name="导入").click()
    expect(admin.get_by_text("新增 32,更新 0,未变 0,拒绝 0")).to_be_visible(timeout=30_000)
    admin2.get_by_role("link", name="题库", exact=True).click()
    admin2.get_by_role("link", name="本省题库").click()
    admin2.get_by_role("button", name="通过全部待审").click()
    expect(admin2.get_by_text("已完成")).to_be_visible(timeout=30_000)
    for subject in ("公共知识", "业务水平"):
        admin.get_by_role("link", name="试卷").click()
        paper = admin.get_by_role("row").filter(has_text=re.compile(f"临床\\s*执业医师\\s*{subject}"))
        paper.get_by_role("link", name="安排").click()
        admin.get_by_label("A1型题").fill("10")
        admin.get_by_label("考试时长").fill("60")
        admin.get_by_label("开放时间").fill(f"{today - timedelta(days=2)}T08:00")
        admin.get_by_label("结束时间").fill(f"{today + timedelta(days=20)}T18:00")
        admin.get_by_role("button", name="保存").click()
        expect(admin.get_by_text("试卷已保存")).to_be_visible()
    yield "papers"

    clerk.get_by_role("link", name="导入名单").click()
    cells = {"姓名": name, "证件号码": number, "性别": "女", "机构登记号": registration, "主要执业机构": hospital, "手机号码": f"1390000{code}77"}
    upload(clerk, "input[type=file]", "名单.xlsx", material.roster([material.roster_row(code, 77) | cells]))
    clerk.get_by_role("button", name="导入").click()
    expect(clerk.get_by_text("新增 1,更新 0,未变 0,拒绝 0")).to_be_visible(timeout=30_000)
    yield "roster"

    sign_in(phone, slug, number, "666666")
    phone.get_by_label("手机号码").fill(f"1390000{code}77")
    phone.get_by_role("button", name="发送验证码").click()
    expect(phone.get_by_text("验证码将在一分钟内送达")).to_be_visible()
    reader = pages(PHONE)
    reader.goto(f"/{slug}/outbox")
    sent = reader.locator(".sms").first.inner_text()
    for label, text in (("*旧密码", "666666"), ("*新密码", PASSWORD), ("*确认密码", PASSWORD), ("验证码", sent.split("验证码")[1][:6])):
        phone.get_by_label(label, exact=True).fill(text)
    phone.get_by_role("button", name="提交").click()
    expect(phone.get_by_role("heading", name="用户告知书")).to_be_visible()
    phone.get_by_role("button", name="确定").click()
    expect(phone.get_by_text("您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人")).to_be_visible()
    yield "signed in"

    clerk.get_by_role("link", name="纳入考核").click()
    clerk.get_by_role("button", name="全部纳入").click()
    expect(clerk.get_by_text("已纳入 1,未办理 0")).to_be_visible(timeout=30_000)
    phone.get_by_role("link", name="刷新").click()
    expect(phone.get_by_text("您已被主要执业机构纳入本周期考核,请点击下方“填报信息”,及时提交完成报名")).to_be_visible()
    expect(phone.get_by_text(authority)).to_be_visible()
    phone.get_by_role("link", name="填报信息").click()
    file(phone)
    expect(phone.get_by_text("已提交").first).to_be_visible()
    yield "filed"

    reviewer.get_by_role("link", name="审核").click()
    reviewer.get_by_role("button", name="审核下一位").click()
    for label in ("工作成绩", "职业道德"):
        reviewer.get_by_role("group", name=label).get_by_label("合格", exact=True).check()
    reviewer.locator("input[name=text]").fill("情况属实,同意")
    reviewer.get_by_role("button", name="通过", exact=True).click()
    expect(reviewer.get_by_text("已通过,转考核机构复核")).to_be_visible()
    organisation.get_by_role("link", name="审核").click()
    organisation.get_by_role("button", name="审核下一位").click()
    organisation.get_by_role("button", name="复核通过").click()
    expect(organisation.get_by_text("已转待测评")).to_be_visible()
    yield "reviewed"

    phone.goto(f"/{slug}/home")
    expect(phone.get_by_text("个人报名信息已通过审核,请关注后续考试通知,点击下方“参加测评”,按时完成测评(一般程序)")).to_be_visible()
    ticket = phone.locator("[data-copy]").get_attribute("data-copy") or ""
    phone.get_by_role("link", name="在线学习").click()
    expect(phone.get_by_text("请选择考试题库")).to_be_visible()
    phone.get_by_role("button", name="开始练习").click()
    expect(phone.get_by_role("heading", name="练习 1/4")).to_be_visible()
    phone.locator("button.option").first.click()
    expect(phone.get_by_text("正确答案:")).to_be_visible()
    phone.goto(f"/{slug}/home")
    phone.get_by_role("link", name="参加测评").click()
    phone.get_by_label("姓名").fill(name)
    phone.get_by_label("准考证号").fill(ticket)
    phone.get_by_label("我已阅读并同意").check()
    phone.get_by_role("button", name="登录").click()
    yield "practised"

    for left in (1, 0):
        phone.get_by_role("link", name="进入", exact=True).first.click()
        expect(phone.get_by_text("请仔细阅读考生须知,并滑到底部点击“进入考试”按钮进入考试作答页面")).to_be_visible()
        phone.get_by_label("我已详细阅读并郑重承诺").check()
        phone.get_by_role("button", name="进入考试").click()
        yield from answer(phone)
        phone.get_by_role("button", name="交卷", exact=True).click()
        phone.get_by_role("button", name="确认交卷").click()
        expect(phone.get_by_role("heading", name="考试结束")).to_be_visible()
        if left:
            phone.get_by_role("link", name="下一份试卷").click()
    phone.get_by_role("link", name="返回主页").click()
    expect(phone.get_by_text("您已完成测评,请等待本省公布合格线和考核结果")).to_be_visible()
    yield "sat"

    admin.get_by_role("link", name="分数线").click()
    admin.get_by_role("button", name="按设置提出全部尚未提出的合格线").click()
    expect(admin.get_by_text("请由另一位省级管理员确认")).to_be_visible()
    admin2.get_by_role("link", name="分数线").click()
    for box in admin2.get_by_role("checkbox").all():
        box.check()
    admin2.get_by_role("button", name="确认所选合格线").click()
    expect(admin2.get_by_text("已确认8条合格线")).to_be_visible()
    for _ in range(60):
        organisation.get_by_role("link", name="综合评定").click()
        if organisation.get_by_role("button", name="全部评定").count():
            break
        organisation.wait_for_timeout(1000)
        yield "waiting for the line"
    organisation.get_by_role("button", name="全部评定").click()
    expect(organisation.get_by_text("已评定 1,未办理 0")).to_be_visible(timeout=30_000)
    admin.get_by_role("link", name="发布结果").click()
    admin.get_by_role("button", name="生成发布清单").click()
    expect(admin.get_by_text("由您提出,须由另一位省级管理员确认")).to_be_visible()
    admin2.get_by_role("link", name="发布结果").click()
    admin2.get_by_role("link", name="查看").click()
    admin2.get_by_role("button", name="确认并发布").click()
    expect(admin2.get_by_text("已完成")).to_be_visible(timeout=30_000)
    yield "published"

    phone.goto(f"/{slug}/home")
    expect(phone.get_by_text("您本周期的考核结果已发布,请点击下方“考核结果”查看(一般程序)")).to_be_visible()
    phone.get_by_role("link", name="考核结果").click()
    picture = phone.get_by_role("img", name=re.compile("医师定期考核结果通知书"))
    expect(picture).to_be_visible(timeout=60_000)
    expect(phone.get_by_text("长按上面图片可“保存到手机”")).to_be_visible()
    saved = phone.request.get(picture.get_attribute("src") or "")
    assert saved.body().startswith(b"\x89PNG")
    (tmp_path / f"{slug}.png").write_bytes(saved.body())
    serial = re.search(r"\d{6}KH\d{9}", picture.get_attribute("alt") or "")
    assert serial
    assert serial[0].startswith(str(code))
    public = pages(PHONE)
    public.goto(f"/verify/{serial[0]}")
    expect(public.get_by_text("有效")).to_be_visible()
    assert name not in public.content()

    other = next(one for one in NAMES if one != slug)
    for page, addresses in (
        (admin, ("/office/institutions", "/office/doctors", "/office/publications", "/office/certificates", "/office/staff")),
        (phone, ("/home", "/notices", "/result")),
    ):
        for address in addresses:
            page.goto(f"/{slug}{address}")
            for foreign in (NAMES[other], CITIES[other][0]):
                assert foreign not in page.content(), address
            page.goto(f"/{other}{address}")
            expect(page).to_have_url(re.compile(f"/{other}/login"))
    yield "done"


def file(phone: Page) -> None:
    """The five steps as the phone shows them."""
    phone.get_by_role("button", name="上传照片").click()
    expect(phone.get_by_role("heading", name="照片", exact=True)).to_be_visible()
    phone.get_by_label("从相册选择").set_input_files({"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": portrait(UUID(int=7))})
    phone.get_by_role("button", name="预览").click()
    phone.get_by_role("button", name="使用这张照片").click()
    expect(phone.get_by_text("照片已保存")).to_be_visible()
    phone.get_by_role("link", name="返回基本信息").click()
    phone.locator("#ethnicity").select_option("汉族")
    phone.locator("#education").select_option("本科")
    phone.get_by_label("学士").check()
    phone.locator("#school").fill("医科大学")
    phone.locator("#graduated").fill("2003-07")
    phone.locator("#working_since").fill("2003-08")
    phone.get_by_role("button", name="下一步").click()
    expect(phone.get_by_role("heading", name="执业信息")).to_be_visible()
    phone.locator("#qualification").fill("200314110140105198001020018")
    phone.locator("#qualified").fill("2004-12-01")
    phone.locator("#practice").fill("110140400012345")
    phone.locator("#registered").fill("2010-07-01")
    phone.locator("#title").select_option("主治医师")
    phone.get_by_label("在职").check()
    phone.locator("#specialty_years").fill("16")
    phone.get_by_role("button", name="下一步").click()
    expect(phone.get_by_role("heading", name="相关经历", exact=True)).to_be_visible()
    phone.get_by_role("link", name="添加教育经历").click()
    phone.locator("#name").fill("医科大学")
    phone.locator("#education").select_option("本科")
    phone.locator("#since").fill("1998-09")
    phone.locator("#until").fill("2003-07")
    phone.get_by_role("button", name="保存").click()
    phone.get_by_role("link", name="添加执业经历").click()
    phone.locator("#name").fill("市医院")
    phone.locator("#since").fill("2003-08")
    phone.get_by_role("button", name="保存").click()
    phone.get_by_role("button", name="下一步").click()
    for field in ("good_record", "bad_record", "direct_fail"):
        phone.locator(f"input[name={field}][value=no]").check()
    for field in ("quantity", "quality", "ordered_tasks"):
        phone.locator(f"input[name={field}][value=pass]").check()
    phone.get_by_role("button", name="下一步").click()
    phone.get_by_label("一般程序").check()
    phone.get_by_label("本人承诺").check()
    phone.get_by_role("button", name="检查并提交").click()
    phone.get_by_role("button", name="提交", exact=True).click()


def answer(phone: Page) -> Iterator[str]:
    """Tap the right option of every question; one reload in the middle."""
    phone.wait_for_selector("button.option")
    expect(phone.get_by_text("倒计时:")).to_be_visible()
    data = json.loads(phone.evaluate("document.getElementById('data').textContent"))
    for index, question in enumerate(data["questions"]):
        letter = KEYS[key_of(question["case"], question["stem"], question["options"])]
        words = next(text for known, text in question["options"] if known == letter)
        phone.locator("button.option").filter(has_text=words).click()
        expect(phone.locator("#state")).to_have_text("已保存")
        if index == 4:
            phone.reload()
            phone.wait_for_selector("button.option")
            expect(phone.get_by_role("button", pressed=True)).to_contain_text(words)
            yield "reloaded"
        if index < len(data["questions"]) - 1:
            phone.get_by_role("button", name="下一题").click()


def test_two_provinces_from_nothing_to_two_certificates(pages, empty_stack, tmp_path):
    added = subprocess.run(  # noqa: S603
        program("operators", "add", "yunying", "平台运营", "--json"), env=os.environ | empty_stack.environment, capture_output=True, text=True, check=True
    )
    first = json.loads(added.stdout)["one_time_code"]

    operator = pages(DESK)
    operator.goto("/platform/first")
    operator.get_by_label("用户名").fill("yunying")
    operator.get_by_label("一次性代码").fill(first)
    operator.get_by_label("新密码").fill("pingtai-yunying-2026")
    operator.get_by_label("确认密码").fill("pingtai-yunying-2026")
    operator.get_by_role("button", name="提交").click()
    operator.get_by_label("动态口令").fill(pyotp.TOTP(operator.locator("#secret").inner_text()).now())
    operator.get_by_role("button", name="确定").click()
    expect(operator.get_by_role("heading", name="省份")).to_be_visible()

    ways = {slug: way(slug, pages, operator, tmp_path) for slug in NAMES}
    reached = dict.fromkeys(ways, "")
    while ways:
        for slug in list(ways):
            try:
                reached[slug] = next(ways[slug])
            except StopIteration:
                del ways[slug]
    assert reached == dict.fromkeys(NAMES, "done")
    assert len({(tmp_path / f"{slug}.png").read_bytes() for slug in NAMES}) == 2
