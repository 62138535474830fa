"""The manual, screen by screen, at 390×844: its texts to the letter. The numbers are those of the manual's
screens."""

import re
from datetime import date

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from dingkao.assessments.models import Assessment
from dingkao.certificates import certificate_rendering, issuing
from dingkao.database.base import db
from dingkao.exams.tickets import find_ticket
from tests import actors
from tests.browser.conftest import PHONE
from tests.browser.test_sign_in import sign_in
from tests.sample_data import resident_number

SLUG, CODE = "ningxia", 64
_serial = actors.unused_serials(SLUG)


@pytest.fixture(scope="module")
def ground(application, in_province, address):
    actors.exam_setup(application, in_province, SLUG)


@pytest.fixture
def phone(application, in_province, open_page, ground):
    """A doctor's phone; the record in `state` with a complete filing where that is past filing."""

    def make(state: str = "included", *, included: bool = True) -> tuple[actors.SignedInDoctor, Page]:
        someone = actors.signed_in_doctor(application, in_province, SLUG, next(_serial), included=included)
        if state != "included":
            someone.file()
            someone.submit()
            actors.advance_to(in_province, someone, "ready")
        elif included:
            someone.post("/filing/notice")
        page = open_page(PHONE)
        page.on("dialog", lambda dialog: dialog.accept())
        page.context.add_cookies(
            [
                {
                    "name": f"dk-{SLUG}",
                    "value": someone.client.get_cookie(f"dk-{SLUG}").value,
                    "url": page.context._impl_obj._options["baseURL"],
                }
            ]
        )
        return someone, page

    return make


def says(page: Page, *texts: str) -> None:
    """Each text stands on the page and can be seen."""
    for text in texts:
        expect(page.get_by_text(text).first, text).to_be_visible()


def test_s2_to_s4_login_forced_change_forgotten_password(open_page, new_doctor):
    number = resident_number(417, birth=date(1979, 3, 4))
    new_doctor("shanxi", number, mobile="13812340077")
    page = open_page(PHONE)
    page.goto("/?pick=1")
    says(page, "医师定期考核信息登记管理系统")
    page.get_by_role("link", name="山西", exact=True).click()
    says(
        page,
        "医师定期考核信息登记管理系统",
        "【山西省】",
        "切换",
        "提示: 若首次登录系统,初始密码为666666.",
        "忘记密码?",
    )
    for placeholder in ("请输入医师电子化注册身份证号", "请输入密码"):
        expect(page.get_by_placeholder(placeholder, exact=True)).to_be_visible()
    sign_in(page, "shanxi", number, "666666")
    expect(page.get_by_role("heading", name="设置新密码")).to_be_visible()
    for label, placeholder in (
        ("*旧密码", "请输入旧密码"),
        ("*新密码", "请输入新密码"),
        ("*确认密码", "请确认新密码"),
    ):
        expect(page.get_by_label(label, exact=True)).to_have_attribute("placeholder", placeholder)
    says(page, "此密码为定考系统密码,主要用于医师登录及绑定身份证号")
    page.get_by_label("手机号码").fill("13812340077")
    page.get_by_role("button", name="发送验证码").click()
    expect(page.get_by_text("验证码将在一分钟内送达")).to_be_visible()
    expect(page.get_by_label("验证码", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="提交")).to_be_visible()

    page.context.clear_cookies()
    page.goto("/shanxi/login")
    page.get_by_role("link", name="忘记密码?").click()
    expect(page.get_by_role("heading", name="重置密码")).to_be_visible()
    for placeholder in ("请输入医师电子化注册身份证号", "请输入已绑定手机号", "请输入新密码", "请确认新密码"):
        expect(page.get_by_placeholder(placeholder, exact=True)).to_be_visible()
    says(page, "验证码")
    expect(page.get_by_role("button", name="发送验证码")).to_be_visible()
    expect(page.get_by_role("button", name="提交")).to_be_visible()


def test_s5_and_s6_notice_and_home(application, in_province, phone, open_page, ground):
    _, page = phone(included=False)
    page.goto(f"/{SLUG}/home")
    expect(page.get_by_role("heading", name="用户告知书")).to_be_visible()
    page.get_by_role("button", name="确定").click()
    says(page, "您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人")

    _, page = phone()
    page.goto(f"/{SLUG}/home")
    says(
        page,
        "考核进度",
        "考核周期",
        "管辖行政",
        "主要执业机构",
        "所属考核机构",
        "报名",
        "审核",
        "考核",
        "完成",
        "主要功能",
        "消息",
    )
    says(page, "您已被主要执业机构纳入本周期考核,请点击下方“填报信息”,及时提交完成报名")
    for tile in ("填报信息", "在线学习", "参加测评", "考核结果"):
        says(page, tile)
    page.get_by_label("设置菜单").click()
    for entry in ("修改信息", "修改密码", "退出登录"):
        says(page, entry)

    _, page = phone("ready")
    page.goto(f"/{SLUG}/home")
    says(
        page,
        "个人报名信息已通过审核,请关注后续考试通知,点击下方“参加测评”,按时完成测评(一般程序)",
        "修改信息 >",
        "免考申请入口 >",
    )


def test_s7_to_s11_the_five_steps(phone):
    _, page = phone()
    page.goto(f"/{SLUG}/home")
    page.get_by_role("link", name="填报信息").click()
    for step in ("基本信息", "执业信息", "相关经历", "考核程序"):
        expect(page.get_by_role("list", name="填报步骤").get_by_text(step)).to_be_visible()
    expect(page.get_by_role("list", name="填报步骤")).to_contain_text(re.compile(r"工作业绩\s+职业道德"))
    says(page, "证件类型", "证件号码", "姓名", "照片")
    expect(page.get_by_role("button", name="保存", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="下一步")).to_be_visible()
    page.goto(f"/{SLUG}/filing/3")
    says(page, "多机构备案", "教育经历", "执业经历")
    expect(page.get_by_role("button", name="上一步")).to_be_visible()
    page.goto(f"/{SLUG}/filing/4")
    says(
        page,
        "请针对您的执业行为记录进行自评",
        "良好执业行为记录",
        "不良执业行为记录",
        "请针对您的工作业绩进行自评",
        "完成工作数量",
        "以下四项可根据情况选填",
        "接诊病人量",
        "手术量(外科科室)",
        "检验/检查量(医技科室)",
        "查房次数",
        "完成工作质量",
        "完成政府指令性工作情况",
        "请针对您的职业道德进行自评",
        "在本考核周期内,您是否有被直接认定为不合格的情形",
        "人次/三年",
    )
    expect(page.locator("body")).to_contain_text("在发生的医疗事故中负有完全或者主要责任的")
    page.goto(f"/{SLUG}/filing/5")
    says(page, "一般程序", "简易程序")


def test_s12_and_s13_practice(phone):
    _, page = phone("ready")
    page.goto(f"/{SLUG}/home")
    page.get_by_role("link", name="在线学习").click()
    says(page, "业务水平", "公共知识", "请选择考试题库", "临床")
    page.get_by_role("button", name="开始练习").click()
    says(page, "放大", "标注", "下一题", "答题卡")
    expect(page.locator("body")).to_contain_text(re.compile(r"练习 1/\d+"))


def test_s14_exemption(phone):
    _, page = phone("ready")
    page.goto(f"/{SLUG}/home")
    page.get_by_role("link", name="免考申请入口 >").click()
    page.get_by_role("button", name="开始填写").click()
    says(
        page,
        "请选择(一般程序)免考申请理由",
        "在考核周期内经注册所在医疗机构考核合格的60岁以上退休医师",
        "在考核周期内通过晋升上一级专业技术职务考试",
        "请上传免考证明材料",
        "上传材料",
    )
    expect(page.get_by_role("button", name="提交", exact=True)).to_be_visible()


def test_s15_to_s20_from_the_exam_to_the_notice(phone, application, in_province):
    someone, page = phone("ready")
    with in_province(SLUG):
        number = find_ticket(db.session.get_one(Assessment, (CODE, someone.record_id))).number
    page.goto(f"/{SLUG}/home")
    page.get_by_role("link", name="参加测评").first.click()
    says(page, "准考证号", "我已阅读并同意", "《隐私协议》")
    page.get_by_label("姓名").fill(re.search(r"<h2>(医师.)</h2>", someone.get("/home"))[1])
    page.get_by_label("准考证号").fill(number)
    page.get_by_label(re.compile("我已阅读并同意")).check()
    page.get_by_role("button", name="登录").click()
    page.get_by_role("link", name="进入").first.click()
    expect(page.get_by_role("heading", name="考试须知")).to_be_visible()
    says(page, "请仔细阅读考生须知,并滑到底部点击“进入考试”按钮进入考试作答页面", "我已详细阅读并郑重承诺")
    page.get_by_label("我已详细阅读并郑重承诺").check()
    page.get_by_role("button", name="进入考试").click()
    expect(page.locator("#clock")).to_have_text(re.compile(r"倒计时: \d\d:\d\d:\d\d"))
    for name in ("上一题", "下一题", "答题列表", "交卷"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()
    page.get_by_role("button", name="交卷", exact=True).click()
    page.get_by_role("button", name="确认交卷").click()
    expect(page.get_by_role("heading", name="考试结束")).to_be_visible()
    page.get_by_role("link", name="返回主页").click()

    with in_province(SLUG):
        record = db.session.scalars(
            select(Assessment).where(Assessment.id == someone.record_id).with_for_update()
        ).one()
        record.state, record.performance, record.ethics, record.competence = "passed", "pass", "pass", "pass"
        certificate_rendering.render_and_store(issuing.issue(record))
        db.session.commit()
    page.goto(f"/{SLUG}/home")
    says(page, "您本周期的考核结果已发布,请点击下方“考核结果”查看(一般程序)")
    page.get_by_role("link", name="考核结果").click()
    says(
        page,
        "长按上面图片可“保存到手机”",
        "医师可自主选择是否下载考核结果通知书",
        "定期考核合格证书需加盖发证机关公章后方可生效。",
    )
    expect(page.get_by_role("img", name=re.compile("医师定期考核结果通知书"))).to_be_visible()
