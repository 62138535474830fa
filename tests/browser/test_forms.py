"""Every form of a doctor but the filing (test_filing.py) and the answering of a paper, finished twice: without JavaScript, and by keyboard alone."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select, update

from dingkao.articles import writing
from dingkao.articles.models import Article
from dingkao.assessments.models import Assessment
from dingkao.database.model import db
from dingkao.exams.tickets import ticket_of
from dingkao.journal.writing import SYSTEM
from dingkao.people import notifying, passwords, signing_in
from dingkao.people.models import Account
from tests import people
from tests.browser.conftest import PHONE
from tests.browser.test_filing import by_keyboard, reach
from tests.browser.test_signing_in import PASSWORD

SLUG, CODE = "fujian", 35
_serial = iter(range(100, 400))
NEW_PASSWORD = "fuzhou-qiufeng-77"
PICTURE = {"name": "证书.jpg", "mimeType": "image/jpeg", "buffer": people.photo()}
NAMED = """([text, kind]) => {
  const one = document.activeElement;
  const name = (one.getAttribute("aria-label") || one.textContent || "").replace(/\\s+/g, " ");
  return one.matches(kind) && one.tabIndex >= 0 && name.includes(text);
}"""


class WithoutScripts:
    """Finishes forms where no script runs."""

    javascript = False

    def __init__(self, page: Page):
        self.page = page

    def open(self, address: str) -> None:
        """A page of the province."""
        self.page.goto(f"/{SLUG}{address}")

    def says(self, text: str) -> None:
        """It stands on the page and can be seen."""
        expect(self.page.get_by_text(text).first, text).to_be_visible()

    def give(self, **fields: str) -> None:
        """Fill in and choose."""
        for name, value in fields.items():
            found = self.page.locator(f"main [name={name}]:not([type=hidden])")
            if found.first.get_attribute("type") in ("radio", "checkbox"):
                self.page.locator(f"[name={name}][value='{value}']").check()
            elif self.page.locator(f"select[name={name}]").count():
                found.select_option(value)
            else:
                found.fill(value)

    def press(self, text: str) -> None:
        """The first button or link that is called so."""
        self.page.get_by_role("button", name=text).or_(self.page.get_by_role("link", name=text)).first.click()

    def unfold(self, text: str) -> None:
        """Open what is folded under that name."""
        self.page.locator("summary", has_text=text).or_(self.page.locator(f'summary[aria-label="{text}"]')).first.click()

    def attach(self, button: str, which: str = "[data-plain]") -> None:
        """A picture, handed in."""
        self.page.locator(f"input[type=file]{which}").set_input_files(PICTURE)
        self.press(button)


class ByKeyboard(WithoutScripts):
    """Finishes forms with Tab, Enter, the space bar, arrows and what is typed; nothing else."""

    javascript = True

    def __init__(self, page: Page):
        super().__init__(page)
        page.on("filechooser", lambda chooser: chooser.set_files(PICTURE))

    def give(self, **fields: str) -> None:
        """Fill in and choose; what Tab has selected is typed over, or taken away."""
        for name, value in fields.items():
            if value:
                by_keyboard(self.page, {name: value})
            else:
                reach(self.page, f"[name={name}]")
                self.page.keyboard.press("Backspace")

    def press(self, text: str) -> None:
        """Go on by Tab to what is called so, and press it."""
        reach(self.page, [text, "a, button"], NAMED)
        self.page.keyboard.press("Enter")

    def unfold(self, text: str) -> None:
        """Open what is folded under that name."""
        reach(self.page, [text, "summary"], NAMED)
        self.page.keyboard.press("Enter")

    def attach(self, button: str, which: str = "") -> None:
        """A picture: with scripts it goes as soon as it is chosen, but from a form of its own."""
        reach(self.page, f"input[type=file]{which}" if which else "[data-pick] input:not([capture])")
        self.page.keyboard.press("Enter")
        if which:
            self.page.wait_for_function("(which) => document.querySelector(which).files.length", arg=which)
            self.press(button)


Hand = WithoutScripts


class World:
    """Doctors of this province, and what a test must know of them."""

    def __init__(self, application, in_province):
        self.application, self.in_province = application, in_province

    def doctor(self, state: str = "included") -> people.Someone:
        """A doctor signed in who has read the notice; past 待填报 with a complete filing, in `state`."""
        someone = people.doctor(self.application, self.in_province, SLUG, next(_serial))
        someone.post("/filing/notice")
        if state != "included":
            someone.file()
            people.bring_to(self.in_province, someone, "ready")
        if state == "failed":
            with self.in_province(SLUG):
                failed = {"state": "failed", "performance": "pass", "ethics": "pass", "competence": "fail"}
                db.session.execute(update(Assessment).where(Assessment.id == someone.record_id).values(**failed))
                db.session.commit()
        return someone

    def account(self, someone: people.Someone, state: str = "active", mobile: str = "") -> None:
        """Give the account PASSWORD and a bound number; or make it one that was never opened."""
        with self.in_province(SLUG):
            row = db.session.scalars(select(Account).where(Account.id == people.account_of(someone.record_id)).with_for_update()).one()
            row.state, row.password_hash = state, passwords.hashed(PASSWORD) if state == "active" else None
            if mobile:
                signing_in.change_mobile(row, mobile)
            db.session.commit()

    def name(self, someone: people.Someone) -> str:
        """The doctor's name."""
        with self.in_province(SLUG):
            return db.session.scalars(select(Account.name).where(Account.id == people.account_of(someone.record_id))).one()


def code_to(hand: Hand, mobile: str) -> str:
    """The last code that went to a number."""
    found = None
    for _ in range(50):
        said = hand.page.request.get(f"/{SLUG}/outbox").text()
        found = re.search(rf"{mobile}.*?验证码(\d{{6}})", said, re.DOTALL)
        if found:
            break
        hand.page.wait_for_timeout(100)
    assert found, "no code was sent"
    return found[1]


def mobile_of(someone: people.Someone) -> str:
    """A number for this doctor alone."""
    return f"139{someone.record_id.int % 10**8:08d}"


def sign_in_and_read_the_notice(hand: Hand, world: World) -> None:
    someone = people.doctor(world.application, world.in_province, SLUG, next(_serial))
    world.account(someone)
    hand.page.context.clear_cookies()
    hand.page.goto("/?pick=1")
    hand.give(q="fujian")
    hand.press("福建")
    hand.says("【福建省】")
    hand.give(account=someone.number, password="falsch-falsch")
    hand.press("登录")
    hand.says("账号或密码不正确")
    hand.give(password=PASSWORD)
    hand.press("登录")
    hand.says("用户告知书")
    hand.press("确定")
    hand.says("考核进度")
    hand.unfold("设置菜单")
    hand.press("退出登录")
    hand.says("您已退出")


def first_password_by_a_code(hand: Hand, world: World) -> None:
    serial = next(_serial)
    someone = people.doctor(world.application, world.in_province, SLUG, serial)
    world.account(someone, "initial")
    hand.page.context.clear_cookies()
    hand.open("/login")
    hand.give(account=someone.number, password="666666")
    hand.press("登录")
    hand.says("设置新密码")
    hand.give(mobile=f"138{serial:08d}")
    hand.press("发送验证码")
    hand.says("验证码将在一分钟内送达")
    hand.open("/password/first")
    hand.give(old_password="666666", new_password=PASSWORD, again=PASSWORD, mobile=f"138{serial:08d}", sms_code=code_to(hand, f"138{serial:08d}"))
    hand.press("提交")
    hand.says("用户告知书")


def forgotten_password(hand: Hand, world: World) -> None:
    someone = world.doctor()
    world.account(someone, mobile=mobile_of(someone))
    hand.page.context.clear_cookies()
    hand.open("/login")
    hand.press("忘记密码?")
    hand.says("没有绑定手机号")
    hand.give(account=someone.number, mobile=mobile_of(someone))
    hand.press("发送验证码")
    hand.says("验证码将在一分钟内送达")
    hand.give(sms_code=code_to(hand, mobile_of(someone)), new_password=NEW_PASSWORD, again=NEW_PASSWORD)
    hand.press("提交")
    hand.says("密码重置成功")


def change_of_password(hand: Hand, world: World) -> None:
    someone = world.doctor()
    world.account(someone)
    come_in(hand, someone)
    hand.open("/account")
    hand.press("修改密码")
    hand.give(old_password=PASSWORD, new_password=NEW_PASSWORD, again="anders")
    hand.press("提交")
    hand.says("两次输入的新密码不一致")
    hand.give(old_password=PASSWORD, new_password=NEW_PASSWORD, again=NEW_PASSWORD)
    hand.press("提交")
    hand.says("密码已修改")


def change_of_number(hand: Hand, world: World) -> None:
    someone = world.doctor()
    world.account(someone)
    come_in(hand, someone)
    hand.open("/account")
    hand.press("修改手机号")
    hand.give(password=PASSWORD, mobile=mobile_of(someone))
    hand.press("发送验证码")
    hand.says("验证码将在一分钟内送达新手机号")
    hand.give(sms_code=code_to(hand, mobile_of(someone)))
    if not hand.javascript:
        hand.give(password=PASSWORD)  # what sends the page again empties it
    hand.press("提交")
    hand.says("手机号码已修改")


def sessions_ended(hand: Hand, world: World) -> None:
    someone = world.doctor()
    with world.in_province(SLUG):
        row = db.session.scalars(select(Account).where(Account.id == people.account_of(someone.record_id))).one()
        for device in ("平板", "旧手机"):
            signing_in.begin_session(row, device)
        db.session.commit()
    come_in(hand, someone)
    hand.open("/account")
    hand.press("登录设备")
    hand.press("退出")
    hand.says("该设备上的登录已退出")
    hand.press("退出其他全部")
    hand.says("已退出其他1处登录")


def display(hand: Hand, world: World) -> None:
    come_in(hand, world.doctor())
    for wanted, other in (("使用长辈模式", "使用标准模式"), ("使用标准模式", "使用长辈模式")):
        hand.open("/display?back=/display")
        hand.press(wanted)
        expect(hand.page.get_by_role("button", name=other)).to_be_visible()


def portrait(hand: Hand, world: World) -> None:
    come_in(hand, world.doctor())
    hand.open("/filing/1")
    hand.press("上传照片")
    hand.attach("上传")
    if hand.javascript:
        hand.says("裁剪照片")
        hand.press("预览")
        expect(hand.page.get_by_role("heading", name="预览")).to_be_visible()
        hand.press("使用这张照片")
    hand.says("照片已保存")


def proofs(hand: Hand, world: World) -> None:
    come_in(hand, world.doctor())
    hand.open("/filing/proof")
    hand.attach("上传材料")
    hand.says("已上传 1 件")
    hand.press("删除")
    hand.says("已上传 0 件")


def begin(hand: Hand, kind: str) -> None:
    hand.open("/requests")
    hand.press(f"申请{kind}")
    hand.press("开始填写")
    hand.says("尚未提交。")


def with_a_proof(hand: Hand, kind: str) -> None:
    hand.press("上传材料")
    hand.attach("上传材料")
    hand.says("已上传 1 件")
    hand.press(f"返回{kind}申请")


def exemption(hand: Hand, world: World) -> None:
    come_in(hand, world.doctor("ready"))
    begin(hand, "免考")
    hand.press("提交")
    hand.says("请选择免考申请理由")
    with_a_proof(hand, "免考")
    hand.give(reason="residency")
    hand.press("提交")
    hand.says("办理进度")
    hand.press("撤回申请")
    hand.says("申请已撤回")


def deferral(hand: Hand, world: World) -> None:
    come_in(hand, world.doctor("ready"))
    begin(hand, "延考")
    with_a_proof(hand, "延考")
    hand.give(reason="患病或住院治疗", note="住院期间不能参加。")
    hand.press("提交")
    hand.says("办理进度")


def change(hand: Hand, world: World) -> None:
    come_in(hand, world.doctor("ready"))
    begin(hand, "信息修改")
    hand.press("修改基本信息")
    hand.give(school="")
    hand.press("确定")
    hand.says("毕业院校不能为空")
    hand.give(school="福建医科大学")
    hand.press("确定")
    hand.says("福建医科大学")
    hand.press("修改相关经历")
    hand.press("添加教育经历")
    hand.give(**people.ENTRIES["education"] | {"name": "进修学院"})
    hand.press("确定")
    hand.says("进修学院")
    hand.press("去掉毕业院校的修改")
    expect(hand.page.get_by_text("福建医科大学")).to_have_count(0)
    hand.press("提交")
    hand.says("办理进度")


def correction(hand: Hand, world: World) -> None:
    come_in(hand, world.doctor("ready"))
    begin(hand, "信息更正")
    hand.press("填写更正内容")
    hand.give(name="林更正", level="assistant")
    hand.press("确定")
    hand.says("林更正")
    hand.press("上传材料")
    hand.attach("上传新照片", "#photo")
    hand.says("新照片")
    hand.press("返回信息更正申请")
    hand.press("查看或增减材料")
    hand.attach("上传材料")
    hand.says("已上传 2 件")
    hand.press("返回信息更正申请")
    hand.press("提交")
    hand.says("办理进度")


def appeal(hand: Hand, world: World) -> None:
    come_in(hand, world.doctor("failed"))
    hand.open("/result")
    hand.says("考核结果:不合格")
    hand.press("申请复核")
    hand.press("开始填写")
    hand.give(note="第12题的答案有争议,申请重新核对评分。")
    hand.press("保存")
    hand.says("已保存,尚未提交。")
    hand.press("提交")
    hand.says("办理进度")


def practice(hand: Hand, world: World) -> None:
    come_in(hand, world.doctor("ready"))
    hand.open("/practice")
    hand.press("公共知识")
    hand.give(bank="common")
    hand.press("开始练习")
    hand.says("练习 1/")
    several = hand.page.locator("#options [type=checkbox]").count()
    if several:
        hand.give(letter="A")
    hand.press("确定" if several else "A.")
    hand.says("正确答案:")
    hand.press("标注")
    hand.says("★ 已标注")
    hand.press("放大")
    expect(hand.page.locator(".enlarged")).to_be_visible()
    hand.press("下一题")
    hand.says("练习 2/")
    hand.press("答题卡")
    expect(hand.page.get_by_role("heading", name="答题卡 1/")).to_be_visible()
    hand.open("/practice/lists/starred")
    hand.press("取消标注")
    hand.says("还没有标注的题")


def exam_entry_and_notice(hand: Hand, world: World) -> None:
    someone = world.doctor("ready")
    with world.in_province(SLUG):
        number = ticket_of(db.session.get_one(Assessment, (CODE, someone.record_id))).number
    come_in(hand, someone)
    hand.open("/sitting")
    hand.give(name=world.name(someone), number=number)
    hand.press("登录")
    hand.says("请先阅读并同意《隐私协议》")
    hand.give(consent="yes")
    hand.press("登录")
    hand.press("进入")
    hand.says("考试须知")
    hand.press("进入考试")
    hand.says("请勾选“我已详细阅读并郑重承诺”")
    hand.give(promise="yes")
    hand.press("进入考试")
    if not hand.javascript:
        expect(hand.page.locator("#clock")).to_be_visible()
        assert "作答需要启用JavaScript" in hand.page.content()
        return
    expect(hand.page.locator("#clock")).to_have_text(re.compile(r"倒计时: \d\d:\d\d:\d\d"))
    hand.press("A.")
    hand.press("交卷")
    hand.press("确认交卷")
    hand.says("考试结束")


def reading(hand: Hand, _world: World) -> None:
    hand.open("/faq")
    hand.give(q="延考")
    hand.press("查找")
    title = hand.page.locator("main details summary").first.inner_text()
    hand.unfold(title)
    expect(hand.page.locator("main details[open] .prose").first).to_be_visible()
    hand.give(q="火星")
    hand.press("查找")
    hand.says("没有找到含有“火星”的内容")
    hand.press("查看全部")
    expect(hand.page).to_have_url(re.compile("/faq$"))
    hand.open("/news")
    hand.give(q="考核")
    hand.press("查找")
    hand.says("考核")


def messages(hand: Hand, world: World) -> None:
    someone = world.doctor()
    with world.in_province(SLUG):
        for title in ("第一条消息", "第二条消息", "第三条消息"):
            notifying.tell(people.account_of(someone.record_id), title, "请留意。", leads="filing")
        db.session.commit()
    come_in(hand, someone)
    hand.open("/notices")
    hand.press("第三条消息")
    hand.says("已读")
    hand.open("/notices")
    hand.press("全部标为已读")
    expect(hand.page.get_by_role("button", name="全部标为已读")).to_have_count(0)
    hand.press("第一条消息")
    hand.press("去填报信息")
    hand.says("基本信息")


FORMS = (
    sign_in_and_read_the_notice, first_password_by_a_code, forgotten_password, change_of_password, change_of_number, sessions_ended, display, portrait, proofs,
    exemption, deferral, change, correction, appeal, practice, exam_entry_and_notice, reading, messages,
)  # fmt: skip


def come_in(hand: Hand, someone: people.Someone) -> None:
    """The page with a doctor's session."""
    name, context = f"dk-{SLUG}", hand.page.context
    context.add_cookies([{"name": name, "value": someone.client.get_cookie(name).value, "url": context._impl_obj._options["baseURL"]}])


@pytest.fixture(scope="module")
def world(application, in_province, address):
    made = World(application, in_province)
    people.exam(application, in_province, SLUG)
    with in_province(SLUG):
        writing.take_over(by=SYSTEM)
        for row in db.session.scalars(select(Article)):
            writing.publish(row, by=SYSTEM)
        db.session.commit()
    return made


@pytest.mark.parametrize("hand", [WithoutScripts, ByKeyboard])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_finished(world, browser: Browser, address, form: Callable[[Hand, World], None], hand):
    context = browser.new_context(viewport=PHONE, base_url=address, locale="zh-CN", java_script_enabled=hand.javascript)
    context.set_default_timeout(8_000)
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("response", lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None)
    page.on("dialog", lambda dialog: dialog.accept())
    form(hand(page), world)
    assert faults == []
    context.close()
