"""The way of one province in a browser, from nothing to a certificate: its people, and what each of them does
on their screens."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pyotp
from playwright.sync_api import Page, expect

from dingkao import clock
from tests import actors, sample_data
from tests.browser.conftest import DESK, PHONE
from tests.browser.test_sign_in import PASSWORD, open_staff, sign_in
from tests.browser.whole_way_entries import answer_questions, file_five_steps, question_workbook

NAMES = {"shanxi": "钱庆逸", "henan": "孙文静"}
CITIES = {
    "shanxi": ("长治市医院", "140400", "长治市卫生健康委员会"),
    "henan": ("洛阳市医院", "410300", "洛阳市卫生健康委员会"),
}
CODES = {"shanxi": 14, "henan": 41}
OFFICE_ADDRESSES = (
    "/office/institutions",
    "/office/doctors",
    "/office/publications",
    "/office/certificates",
    "/office/staff",
)
PHONE_ADDRESSES = ("/home", "/notices", "/result")


def set_up(page: Page, slug: str, mobile: str) -> None:
    """An administrator opens the link that was sent to the own mobile and sets password and second factor."""
    page.goto(f"/{slug}/outbox")
    text = page.locator("section.content-card").filter(has_text=mobile).first.inner_text()
    page.goto(re.search(rf"/{slug}/setup/[\w-]+", text)[0])  # type: ignore[index]
    page.get_by_label("*新密码").fill("shengji-guanli-2026-x")
    page.get_by_label("*确认密码").fill("shengji-guanli-2026-x")
    page.get_by_label("动态口令").fill(pyotp.TOTP(page.locator("#secret").inner_text()).now())
    page.get_by_role("button", name="完成设置").click()
    expect(page.get_by_role("heading", name="待办")).to_be_visible()


def appoint_administrators(operator: Page, slug: str) -> Iterator[str]:
    """The operator opens a province and appoints two administrators; the mobile number of each, to which the
    link was sent."""
    operator.goto("/platform/")
    province_row = (
        operator.get_by_role("row").filter(has_text=f"/{slug}").filter(has_text=re.compile("未开通"))
    )
    province_row.get_by_role("button", name="开通").click()
    for serial, administrator in enumerate(("王卫国", "李敏"), 1):
        mobile = f"139{CODES[slug]}00000{serial}"
        operator.get_by_label("姓名").fill(administrator)
        operator.get_by_label("本人手机号码").fill(mobile)
        operator.get_by_role("button", name="任命并发送链接").click()
        expect(operator.get_by_text(f"已任命{administrator}")).to_be_visible()
        yield mobile


def upload(page: Page, selector: str, name: str, content: bytes) -> None:
    page.set_input_files(selector, {"name": name, "mimeType": "application/octet-stream", "buffer": content})


class ProvinceWay:
    """The way of one province: who walks it, each on pages of their own, and its steps."""

    def __init__(
        self, slug: str, pages: Any, operator: Page, tmp_path: Any, apply_lines: Callable[[], None]
    ) -> None:
        self.slug, self.pages, self.operator, self.tmp_path = slug, pages, operator, tmp_path
        self.apply_lines = apply_lines
        self.doctor_name, self.code, self.today = NAMES[slug], CODES[slug], clock.today()
        self.hospital, self.division, self.authority = CITIES[slug]
        self.registration = f"YY{self.code}0000000001"
        self.number = sample_data.resident_number(77, sex="女", area=f"{self.code}0105")
        self.admin, self.admin2, self.clerk, self.reviewer, self.organisation = (
            pages(DESK) for _ in range(5)
        )
        self.phone = pages(PHONE)

    def steps(self) -> Iterator[str]:
        """Yields after each step, so that another province's goes on beside it."""
        self.open_province()
        yield "opened"
        self.add_institution()
        yield "institution"
        self.invite_staff()
        yield "staff"
        self.start_cycle()
        self.replace_seal()
        yield "cycle and seal"
        self.arrange_papers()
        yield "papers"
        self.import_doctor()
        yield "roster"
        self.open_account()
        yield "signed in"
        self.include_and_file()
        yield "filed"
        self.review()
        yield "reviewed"
        self.practise()
        yield "practised"
        yield from self.sit_papers()
        yield "sat"
        yield from self.decide()
        self.publish()
        yield "published"
        self.check_certificate()
        self.check_separation()
        yield "done"

    def open_province(self) -> None:
        """The operator opens the province and appoints two administrators, who set up their accounts."""
        browsers = iter((self.admin, self.admin2))
        for mobile in appoint_administrators(self.operator, self.slug):
            set_up(next(browsers), self.slug, mobile)

    def add_institution(self) -> None:
        """An administrator adds the hospital, which assesses its own doctors."""
        self.admin.get_by_role("link", name="机构", exact=True).click()
        self.admin.get_by_role("textbox", name="机构名称").fill(self.hospital)
        self.admin.get_by_role("textbox", name="机构登记号").fill(self.registration)
        self.admin.get_by_role("textbox", name="行政区划代码").fill(self.division)
        self.admin.get_by_role("button", name="添加").click()
        by_role = self.admin.get_by_role("row", name=self.hospital)
        expect(by_role).to_contain_text(self.authority)
        by_role.get_by_role("link").click()
        self.admin.get_by_label("指定本机构为考核机构").check()
        self.admin.get_by_label("所属考核机构").select_option(label=f"{self.hospital}（本机构）")
        self.admin.get_by_role("button", name="保存").click()
        expect(self.admin.get_by_role("row", name=self.hospital)).to_contain_text("考核机构")

    def invite_staff(self) -> None:
        """An administrator invites clerk and reviewers, who open their accounts."""
        invited = {}
        for user_name, role, place in (
            ("jingban", "机构经办人", self.registration),
            ("shenhe", "机构审核人", self.registration),
            ("fuhe", "考核机构复核人", self.registration),
        ):
            self.admin.get_by_role("link", name="人员").click()
            self.admin.get_by_role("textbox", name="用户名").fill(user_name)
            self.admin.get_by_role("textbox", name="姓名").fill(f"测试{role}")
            self.admin.get_by_role("combobox", name="角色").select_option(label=role)
            self.admin.get_by_role("textbox", name="机构登记号").fill(place)
            self.admin.get_by_role("button", name="邀请").click()
            invited[user_name] = self.admin.locator("strong.one-time-code").inner_text()
        for page, user_name in (
            (self.clerk, "jingban"),
            (self.reviewer, "shenhe"),
            (self.organisation, "fuhe"),
        ):
            open_staff(page, self.slug, user_name, invited[user_name])
            expect(page.get_by_role("heading", name="待办")).to_be_visible()

    def start_cycle(self) -> None:
        """An administrator starts the cycle and publishes the telephone number."""
        self.admin.get_by_role("link", name="周期").click()
        self.admin.get_by_label("周期名称").fill("2024年07月-2027年06月")
        self.admin.get_by_label("周期开始").fill("2024-07-01")
        self.admin.get_by_label("周期结束").fill("2027-06-30")
        for phase in ("报名", "审核", "考核", "完成"):
            self.admin.get_by_label(f"{phase}开始").fill((self.today - timedelta(days=3)).isoformat())
            self.admin.get_by_label(f"{phase}结束").fill((self.today + timedelta(days=30)).isoformat())
        self.admin.get_by_role("button", name="开始周期").click()
        expect(self.admin.get_by_text("当前周期：2024年07月-2027年06月")).to_be_visible()
        self.admin.get_by_role("link", name="设置").click()
        self.admin.get_by_label("客服电话").fill(f"{self.code}00-1234567")
        self.admin.get_by_label("修改原因").fill("公布客服电话")
        self.admin.get_by_role("button", name="保存设置").click()
        expect(self.admin.get_by_text("已保存1项设置")).to_be_visible()

    def replace_seal(self) -> None:
        """One administrator proposes the seal, the other confirms it."""
        upload(self.admin, "#seal-file", "seal.png", actors.portrait_image(400, 400, "#c01818", "PNG"))
        self.admin.locator("#seal-reason").fill("启用公章")
        self.admin.get_by_role("button", name="提出更换公章").click()
        expect(self.admin.get_by_text("由您提出，须由另一位省级管理员确认")).to_be_visible()
        self.admin2.get_by_role("link", name="待办", exact=True).click()
        self.admin2.get_by_role("link", name=re.compile("事项等待您确认")).click()
        self.admin2.get_by_role("link", name="去确认").click()
        expect(self.admin2.get_by_role("img", name="提出的公章")).to_be_visible()
        self.admin2.get_by_role("button", name="确认", exact=True).click()
        expect(self.admin2.get_by_text("已启用新公章")).to_be_visible()

    def arrange_papers(self) -> None:
        """One administrator imports the bank, which the other approves, and arranges both papers."""
        self.admin.get_by_role("link", name="题库").click()
        self.admin.get_by_label("题库名称").fill("本省题库")
        upload(self.admin, "input[type=file]", "questions.xlsx", question_workbook())
        self.admin.get_by_role("button", name="直接导入").click()
        expect(self.admin.get_by_text("新增 32，更新 0，未变 0，拒绝 0")).to_be_visible(timeout=30_000)
        self.admin2.get_by_role("link", name="题库", exact=True).click()
        self.admin2.get_by_role("link", name="本省题库").click()
        self.admin2.get_by_role("button", name="通过全部待审").click()
        expect(self.admin2.get_by_text("已完成")).to_be_visible(timeout=30_000)
        for subject in ("公共知识", "业务水平"):
            self.admin.get_by_role("link", name="试卷").click()
            paper = self.admin.get_by_role("row").filter(
                has_text=re.compile(f"临床\\s*执业医师\\s*{subject}")
            )
            paper.get_by_role("link", name="安排").click()
            self.admin.get_by_label("A1型题").fill("10")
            self.admin.get_by_label("考试时长").fill("60")
            self.admin.get_by_label("开放时间").fill(f"{self.today - timedelta(days=2)}T08:00")
            self.admin.get_by_label("结束时间").fill(f"{self.today + timedelta(days=20)}T18:00")
            self.admin.get_by_role("button", name="保存").click()
            expect(self.admin.get_by_text("试卷已保存")).to_be_visible()

    def import_doctor(self) -> None:
        """The clerk imports the doctor."""
        self.clerk.get_by_role("link", name="导入名单").click()
        cells = {
            "姓名": self.doctor_name,
            "证件号码": self.number,
            "性别": "女",
            "机构登记号": self.registration,
            "主要执业机构": self.hospital,
            "手机号码": f"1390000{self.code}77",
        }
        upload(
            self.clerk,
            "input[type=file]",
            "名单.xlsx",
            sample_data.roster_xlsx([sample_data.roster_row(self.code, 77) | cells]),
        )
        self.clerk.get_by_role("button", name="直接导入").click()
        expect(self.clerk.get_by_text("新增 1，更新 0，未变 0，拒绝 0")).to_be_visible(timeout=30_000)

    def open_account(self) -> None:
        """The doctor sets a password by a code and reads the notice; not included yet."""
        sign_in(self.phone, self.slug, self.number, "666666")
        self.phone.get_by_label("手机号码").fill(f"1390000{self.code}77")
        self.phone.get_by_role("button", name="发送验证码").click()
        expect(self.phone.get_by_text("验证码将在一分钟内送达")).to_be_visible()
        reader = self.pages(PHONE)
        reader.goto(f"/{self.slug}/outbox")
        message = reader.locator(".sms").first.inner_text()
        for label, text in (
            ("*旧密码", "666666"),
            ("*新密码", PASSWORD),
            ("*确认密码", PASSWORD),
            ("验证码", message.split("验证码")[1][:6]),
        ):
            self.phone.get_by_label(label, exact=True).fill(text)
        self.phone.get_by_role("button", name="提交").click()
        expect(self.phone.get_by_role("heading", name="用户告知书")).to_be_visible()
        self.phone.get_by_role("button", name="确定").click()
        expect(
            self.phone.get_by_text("您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人")
        ).to_be_visible()

    def include_and_file(self) -> None:
        """The clerk includes the doctor, who files."""
        self.clerk.get_by_role("link", name="纳入考核").click()
        self.clerk.get_by_role("button", name="全部纳入").click()
        expect(self.clerk.get_by_text("已纳入 1，未办理 0")).to_be_visible(timeout=30_000)
        self.phone.get_by_role("link", name="刷新").click()
        expect(
            self.phone.get_by_text("您已被主要执业机构纳入本周期考核,请点击下方“填报信息”,及时提交完成报名")
        ).to_be_visible()
        expect(self.phone.get_by_text(self.authority)).to_be_visible()
        self.phone.get_by_role("navigation", name="主要功能").get_by_role("link", name="填报信息").click()
        file_five_steps(self.phone)
        expect(self.phone.get_by_text("已提交").first).to_be_visible()

    def review(self) -> None:
        """The institution's reviewer and the organisation's approve the filing."""
        self.reviewer.get_by_role("link", name="审核").click()
        self.reviewer.get_by_role("button", name="审核下一位").click()
        for label in ("工作成绩", "职业道德"):
            self.reviewer.get_by_role("group", name=label).get_by_label("合格", exact=True).check()
        self.reviewer.get_by_label("已逐项核对，未发现").check()
        self.reviewer.locator("input[name=text]").fill("情况属实，同意")
        self.reviewer.get_by_role("button", name="通过", exact=True).click()
        expect(self.reviewer.get_by_text("已通过，转考核机构复核")).to_be_visible()
        self.organisation.get_by_role("link", name="审核").click()
        self.organisation.get_by_role("button", name="审核下一位").click()
        self.organisation.get_by_label("已核查，无不良执业行为记录").check()
        self.organisation.get_by_role("button", name="复核通过").click()
        expect(self.organisation.get_by_text("已转待测评")).to_be_visible()

    def practise(self) -> None:
        """The doctor answers a question to practise, and signs in for the exam."""
        self.phone.goto(f"/{self.slug}/home")
        expect(
            self.phone.get_by_text(
                "个人报名信息已通过审核,请关注后续考试通知,点击下方“参加测评”,按时完成测评(一般程序)"
            )
        ).to_be_visible()
        ticket = self.phone.locator("[data-copy]").get_attribute("data-copy") or ""
        self.phone.get_by_role("navigation", name="主要功能").get_by_role("link", name="在线学习").click()
        expect(self.phone.get_by_text("请选择考试题库")).to_be_visible()
        self.phone.get_by_role("button", name="开始练习").click()
        expect(self.phone.get_by_role("heading", name="练习 1/4")).to_be_visible()
        self.phone.locator("button.answer-option").first.click()
        expect(self.phone.get_by_text("正确答案:")).to_be_visible()
        self.phone.goto(f"/{self.slug}/home")
        self.phone.get_by_role("navigation", name="主要功能").get_by_role(
            "link", name="参加测评"
        ).first.click()
        self.phone.get_by_label("姓名").fill(self.doctor_name)
        self.phone.get_by_label("准考证号").fill(ticket)
        self.phone.get_by_label("我已阅读并同意").check()
        self.phone.get_by_role("button", name="登录").click()

    def sit_papers(self) -> Iterator[str]:
        """The doctor sits both papers."""
        for papers_left in (1, 0):
            self.phone.get_by_role("link", name="进入", exact=True).first.click()
            expect(
                self.phone.get_by_text("请仔细阅读考生须知,并滑到底部点击“进入考试”按钮进入考试作答页面")
            ).to_be_visible()
            self.phone.get_by_label("我已详细阅读并郑重承诺").check()
            self.phone.get_by_role("button", name="进入考试").click()
            yield from answer_questions(self.phone)
            self.phone.get_by_role("button", name="交卷", exact=True).click()
            self.phone.get_by_role("button", name="确认交卷").click()
            expect(self.phone.get_by_role("heading", name="考试结束")).to_be_visible()
            if papers_left:
                self.phone.get_by_role("link", name="下一份试卷").click()
        self.phone.get_by_role("link", name="返回主页").click()
        expect(self.phone.get_by_text("您已完成测评，请等待本省公布合格线和考核结果")).to_be_visible()

    def decide(self) -> Iterator[str]:
        """Both administrators set the pass lines, and the organisation concludes as soon as they hold."""
        self.admin.get_by_role("link", name="分数线").click()
        self.admin.get_by_role("button", name="按设置提出全部尚未提出的合格线").click()
        expect(self.admin.get_by_text("请由另一位省级管理员确认")).to_be_visible()
        self.admin2.get_by_role("link", name="分数线").click()
        for box in self.admin2.get_by_role("checkbox").all():
            box.check()
        self.admin2.get_by_role("button", name="确认所选合格线").click()
        expect(self.admin2.get_by_text("已确认8条合格线")).to_be_visible()
        self.apply_lines()
        for _ in range(300):
            if "全部评定" in self.organisation.request.get(f"/{self.slug}/office/conclusions").text():
                break
            self.organisation.wait_for_timeout(200)
            yield "waiting for the line"
        self.organisation.get_by_role("link", name="综合评定").click()
        self.organisation.get_by_role("button", name="全部评定").click()
        expect(self.organisation.get_by_text("已评定 1，未办理 0")).to_be_visible(timeout=30_000)

    def publish(self) -> None:
        """One administrator proposes the publication, the other confirms it."""
        self.admin.get_by_role("link", name="发布结果").click()
        self.admin.get_by_role("button", name="生成发布清单").click()
        expect(self.admin.get_by_text("由您提出")).to_be_visible(timeout=30_000)
        self.admin2.get_by_role("link", name="发布结果").click()
        self.admin2.get_by_role("link", name="查看", exact=True).click()
        self.admin2.get_by_role("button", name="确认并发布").click()
        expect(self.admin2.get_by_text("已完成")).to_be_visible(timeout=30_000)

    def check_certificate(self) -> None:
        """The doctor sees the certificate, and anybody verifies it without learning the name."""
        self.phone.goto(f"/{self.slug}/home")
        expect(
            self.phone.get_by_text("您本周期的考核结果已发布,请点击下方“考核结果”查看(一般程序)")
        ).to_be_visible()
        self.phone.get_by_role("navigation", name="主要功能").get_by_role("link", name="考核结果").click()
        picture = self.phone.get_by_role("img", name=re.compile("医师定期考核结果通知书"))
        expect(picture).to_be_visible(timeout=60_000)
        expect(self.phone.get_by_text("长按上面图片可“保存到手机”")).to_be_visible()
        saved = self.phone.request.get(picture.get_attribute("src") or "")
        assert saved.body().startswith(b"\x89PNG")
        (self.tmp_path / f"{self.slug}.png").write_bytes(saved.body())
        serial = re.search(r"\d{6}KH\d{9}", picture.get_attribute("alt") or "")
        assert serial
        assert serial[0].startswith(str(self.code))
        public = self.pages(PHONE)
        public.goto(f"/verify/{serial[0]}")
        expect(public.get_by_text("有效")).to_be_visible()
        assert self.doctor_name not in public.content()

    def check_separation(self) -> None:
        """Nothing of the other province is shown, and its pages ask to sign in."""
        other_slug = next(known_slug for known_slug in NAMES if known_slug != self.slug)
        for page, addresses in ((self.admin, OFFICE_ADDRESSES), (self.phone, PHONE_ADDRESSES)):
            for address in addresses:
                page.goto(f"/{self.slug}{address}")
                for foreign in (NAMES[other_slug], CITIES[other_slug][0]):
                    assert foreign not in page.content(), address
                other_page = page.request.get(f"/{other_slug}{address}")
                assert urlsplit(other_page.url).path == f"/{other_slug}/login", address
