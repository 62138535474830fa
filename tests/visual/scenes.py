"""What must be typed or pressed before it can be seen: for whom (how the role's name ends), what it is
called, and what is done.

A scene yields after each step that is worth a picture. It is done on the page of someone signed in, after all
links were followed.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from playwright.sync_api import Page, TimeoutError, expect

from dingkao.demonstration.sample_portraits import draw_portrait
from dingkao.demonstration.seed import PASSWORD
from tests.actors import portrait_image

Act = Callable[[Page, str], Iterator[str]]
PICTURE = {"name": "证书.jpg", "mimeType": "image/jpeg", "buffer": draw_portrait(UUID(int=7))}


def first_login(page: Page, slug: str, number: str) -> Iterator[str]:
    """[S3, S5] up to the home page. The number is the demonstration's, as is the mobile that goes with it."""
    page.goto(f"/{slug}/login")
    page.get_by_label("账号").fill(number)
    page.get_by_label("密码").fill("666666")
    page.get_by_role("button", name="登录", exact=True).click()
    page.wait_for_load_state("networkidle")
    yield "设置新密码"
    page.get_by_role("button", name="提交", exact=True).click()
    page.wait_for_load_state("networkidle")
    yield "设置新密码有误"
    page.get_by_label("旧密码").fill("666666")
    page.get_by_label("新密码").fill(PASSWORD)
    page.get_by_label("确认密码").fill(PASSWORD)
    page.get_by_label("手机号").fill(f"1990000{number[:2]}{int(number[14:17]) // 2:02d}")
    page.get_by_role("button", name="发送验证码").click()
    expect(page.locator("#send-said")).to_contain_text("验证码将在")
    yield "验证码已发送"
    outbox = page.context.new_page()
    outbox.goto(f"/{slug}/outbox")
    code = re.search(r"\d{6}", outbox.locator(".sms").first.inner_text())
    outbox.close()
    page.get_by_label("验证码").fill(code[0] if code else "")
    page.get_by_role("button", name="提交", exact=True).click()
    page.wait_for_url(re.compile("/(home|filing/notice)"))
    yield "密码已设置"
    read(page)


def read(page: Page) -> None:
    """[S5]: the notice, where it is shown."""
    if "/filing/notice" in page.url:
        page.get_by_role("button", name="确定").click()
        page.wait_for_load_state("networkidle")


def wrong_password(page: Page, slug: str) -> Iterator[str]:
    """[S2] with faults."""
    page.goto(f"/{slug}/login")
    page.get_by_role("button", name="登录", exact=True).click()
    yield "空"
    page.get_by_label("账号").fill("140105198001020000")
    page.get_by_label("密码").fill("falsch")
    page.get_by_role("button", name="登录", exact=True).click()
    yield "密码不正确"
    page.goto(f"/{slug}/password/reset")
    page.get_by_role("button", name="提交").click()
    yield "重置密码空"
    page.goto(f"/{slug}/login?staff=1")
    page.get_by_label("账号").fill("admin")
    page.get_by_label("密码").fill("falsch")
    page.get_by_role("button", name="登录", exact=True).click()
    page.wait_for_load_state("networkidle")
    yield "管理人员密码不正确"
    page.goto(f"/{slug}/login?ended=1")
    yield "已退出"
    page.locator(".help-details summary").first.click()
    yield "登录帮助"
    page.goto("/?q=sx")
    yield "查找省份"
    page.goto("/?q=xyz")
    yield "没有这个省份"
    page.goto(f"/{slug}/outbox")
    yield "演示短信"
    page.goto(f"/{slug}/faq?q=没有人问过")
    yield "没有这样的问题"
    page.goto(f"/{slug}/wechat/back?state=x")
    yield "微信没有授权"


def refused(page: Page, slug: str) -> Iterator[str]:
    """What can't be found, and what is refused."""
    page.goto("/verify/142026KH000000000")
    yield "查无此证"
    page.goto(f"/{slug}/nirgends")
    yield "没有这个页面"


def wrong_fields(page: Page, slug: str) -> Iterator[str]:
    """Every step of a filing, with nothing chosen and nonsense typed."""
    for step in range(1, 6):
        page.goto(f"/{slug}/filing/{step}")
        for box in page.locator("main input[type=text]:visible, main textarea:visible").all():
            box.fill("???")
        press(page, "检查并提交" if step == 5 else "下一步")
        yield f"第{step}步有误"
    page.goto(f"/{slug}/filing/list/education/new")
    page.get_by_role("button", name="保存").click()
    page.wait_for_load_state("networkidle")
    yield "经历有误"


def picture_of_oneself(page: Page, slug: str) -> Iterator[str]:
    """[S7]: a file that is none, then cropped, shown as on the certificate, kept, and kept with a doubt."""
    page.goto(f"/{slug}/filing/photo")
    chooser = page.get_by_label("从相册选择")
    chooser.set_input_files(
        {"name": "IMG_1.HEIC", "mimeType": "image/heic", "buffer": b"\0\0\0\x18ftypheic" + b"\0" * 99}
    )
    expect(page.get_by_role("alert")).to_contain_text("HEIC")
    yield "不能识别"
    for buffer, name in ((PICTURE["buffer"], "已保存"), (portrait_image(colour="#2f6fb5"), "请留意")):
        chooser.set_input_files(PICTURE | {"buffer": buffer})
        expect(page.locator(".cropper-crop-box")).to_be_visible()
        yield "裁剪"
        page.wait_for_timeout(500)  # the cropper follows a change of the window's size a little later
        page.get_by_role("button", name="预览").click()
        expect(page.get_by_role("heading", name="预览")).to_be_visible()
        yield "预览"
        with page.expect_navigation():  # the page says of the photo before that it was kept
            page.get_by_role("button", name="使用这张照片").click()
        expect(page.get_by_text("照片已保存。")).to_be_visible()
        yield name


def proofs(page: Page, slug: str) -> Iterator[str]:
    """Files of a filing: one taken, one refused; then one that the network keeps from leaving."""
    page.goto(f"/{slug}/filing/proof")
    chooser = page.get_by_label("可多选")
    chooser.set_input_files([PICTURE, PICTURE | {"name": "述职报告.docx", "mimeType": ""}])
    expect(page.locator("#files")).to_contain_text("已上传 1 件")
    yield "一件已上传,一件不能"
    page.context.set_offline(True)
    chooser.set_input_files(PICTURE | {"name": "断网.jpg"})
    expect(page.locator("[data-upload-status]")).to_be_visible()
    yield "断网"
    page.context.set_offline(False)


def saving(page: Page, slug: str) -> Iterator[str]:
    """What a filing says while the network is gone, when it is back, and before it can be handed in."""
    page.goto(f"/{slug}/filing/1")
    page.context.set_offline(True)
    page.get_by_label("毕业院校").fill("甲大学")
    page.get_by_label("毕业院校").blur()
    expect(page.locator("[data-saving]")).to_have_text("未保存，等待网络")
    yield "等待网络"
    page.context.set_offline(False)
    expect(page.locator("[data-saving]")).to_contain_text("尚未提交")
    yield "已自动保存"
    page.goto(f"/{slug}/filing/check")
    yield "还有没填好的"


def conflict(page: Page, slug: str) -> Iterator[str]:
    """Two pages with the same field."""
    page.goto(f"/{slug}/filing/1")
    second_page = page.context.new_page()
    second_page.goto(f"/{slug}/filing/1")
    second_page.get_by_label("毕业院校").fill("丙大学")
    with second_page.expect_response("**/keep"):
        second_page.get_by_label("毕业院校").blur()
    second_page.close()
    page.get_by_label("毕业院校").fill("丁大学")
    page.get_by_label("毕业院校").blur()
    expect(page.locator(".value-conflict").first).to_be_visible()
    yield "两处不同"


def mend(page: Page, slug: str) -> Iterator[str]:
    """A returned filing of which one of the marked fields has been changed."""
    page.goto(f"/{slug}/filing/1")
    page.get_by_label("毕业院校").fill("长治医学院")
    page.get_by_role("button", name="下一步").click()
    page.wait_for_url("**/filing/2")
    for address in ("1", "3", "check"):
        page.goto(f"/{slug}/filing/{address}")
        yield address


def press(page: Page, name: str, *, exact: bool = False, role: Literal["button", "link"] = "button") -> None:
    """Press what is called `name`, and wait until another page rests, or this one where it only writes into
    itself."""
    page.evaluate("() => { window.pressedHere = true; }")
    page.get_by_role(role, name=name, exact=exact).click()
    with suppress(TimeoutError):
        page.wait_for_function("() => !window.pressedHere", timeout=6000)
    page.wait_for_load_state("networkidle")


def ask(page: Page, slug: str) -> Iterator[str]:
    """Requests as drafts: with nothing filled in, with a file, with what is to be changed."""
    page.goto(f"/{slug}/requests/new/exemption")
    press(page, "开始填写")
    press(page, "提交", exact=True)
    yield "免考有误"
    press(page, "上传材料")
    page.get_by_label("可多选").set_input_files(PICTURE)
    expect(page.locator("#files")).to_contain_text("已上传 1 件")
    yield "材料"
    page.goto(f"/{slug}/requests")
    yield "有草稿"


def ask_for_change(page: Page, slug: str) -> Iterator[str]:
    """What was filed is to be changed: a step and an entry with faults, then something that can be handed
    in."""
    page.goto(f"/{slug}/requests/new/change")
    press(page, "开始填写")
    press(page, "修改基本信息")
    yield "修改"
    page.get_by_label("电子邮箱").fill("???")
    press(page, "确定")
    yield "修改有误"
    page.get_by_label("电子邮箱").fill("qian@example.cn")
    press(page, "确定")
    yield "可以提交"
    press(page, "修改相关经历")
    yield "经历"
    press(page, "添加教育经历", role="link")
    press(page, "确定")
    yield "经历有误"


def ask_for_correction(page: Page, slug: str) -> Iterator[str]:
    """What can't be changed is to be corrected."""
    page.goto(f"/{slug}/requests/new/correction")
    press(page, "开始填写")
    press(page, "填写更正内容")
    page.get_by_label("证件号码").fill("???")
    press(page, "确定")
    yield "更正有误"
    page.get_by_label("证件号码").fill("")
    page.get_by_label("姓名").fill("钱更正")
    press(page, "确定")
    press(page, "提交", exact=True)
    yield "更正缺材料"


def appeal(page: Page, slug: str) -> Iterator[str]:
    """[S19]: an objection, empty and handed in."""
    page.goto(f"/{slug}/result")
    press(page, "申请复核", role="link")
    press(page, "开始填写")
    press(page, "提交", exact=True)
    yield "有误"
    page.get_by_label("异议理由").fill("第12题的答案有争议,申请重新核对评分。")
    press(page, "提交", exact=True)
    yield "已提交"
    page.goto(f"/{slug}/result")
    yield "结果"


def own_account(page: Page, slug: str) -> Iterator[str]:
    """Password and number with faults; the menu; every help of the home page open."""
    for address, name in (("password", "修改密码"), ("account/mobile", "修改手机号")):
        page.goto(f"/{slug}/{address}")
        page.get_by_role("button", name="提交", exact=True).click()
        page.wait_for_load_state("networkidle")
        yield f"{name}有误"
    page.goto(f"/{slug}/home")
    page.locator(".settings-menu summary").click()
    for summary in page.locator(".help-details summary").all():
        summary.click()
    yield "菜单与帮助"


def practise(page: Page, slug: str) -> Iterator[str]:
    """[S12, S13]: a question of one answer right and wrong, one of several, marked, enlarged, the answer
    sheet, the lists."""
    page.goto(f"/{slug}/practice")
    page.get_by_role("button", name="开始练习").click()
    expect(page.locator("#options button[type=button]").first).to_be_visible()
    yield "题目"
    page.locator("#star").click()
    page.locator("#options button.answer-option, #options label.answer-option").first.click()
    if page.locator("#settle").count():
        page.locator("#settle").click()
    expect(page.locator("#verdict")).not_to_be_empty()
    yield "已作答"
    page.locator("#large").click()
    yield "放大"
    page.locator("#large").click()
    page.locator("#show-sheet").click()
    expect(page.locator("#sheet-part")).to_be_visible()
    yield "答题卡"
    for name in ("wrong", "starred"):
        page.goto(f"/{slug}/practice/lists/{name}")
        if page.locator(".answer-details summary").count():
            page.locator(".answer-details summary").first.click()
        yield name
    page.goto(f"/{slug}/practice/progress")
    yield "学习进度"
    page.goto(f"/{slug}/practice")
    yield "有未完成的练习"


def try_out(page: Page, slug: str) -> Iterator[str]:
    """A mock exam: none yet, under way, its list and its confirmation, looked through, one that was done."""
    page.goto(f"/{slug}/practice/mocks")
    yield "还没有"
    page.get_by_role("button", name="开始模拟").first.click()
    for number in range(3):
        page.locator("#options button").nth(number).click()
        page.get_by_role("button", name="下一题").click()
    expect(page.locator("#state")).to_have_text("已保存", timeout=20_000)
    yield "作答"
    page.get_by_role("button", name="答题列表").click()
    yield "答题列表"
    page.get_by_role("button", name="交卷", exact=True).click()
    yield "确认交卷"
    page.goto(f"/{slug}/practice/mocks")
    yield "有未完成的"
    page.get_by_role("link", name="继续作答").first.click()
    expect(page.locator("#options button").first).to_be_visible()
    page.get_by_role("button", name="交卷", exact=True).click()
    page.get_by_role("button", name="确认交卷").click()
    page.wait_for_url("**/end")
    yield "答卷"
    page.get_by_role("link", name="只看错题").click()
    yield "只看错题"
    page.goto(f"/{slug}/practice/mocks")
    yield "做过一次"


def sit(page: Page, slug: str) -> Iterator[str]:
    """[S15 to S18]."""
    page.goto(f"/{slug}/home")
    name = page.locator(".doctor-summary h2").inner_text()
    number = page.locator("[data-copy]").get_attribute("data-copy") or ""
    page.goto(f"/{slug}/sitting")
    with page.expect_navigation():
        page.get_by_role("button", name="登录").click()
    yield "登录有误"
    page.get_by_label("姓名").fill(name)
    page.get_by_label("准考证号").fill(number)
    page.locator("[name=consent]").check()
    page.get_by_role("button", name="登录").click()
    page.wait_for_load_state("networkidle")
    yield "试卷"
    page.get_by_role("link", name="进入").first.click()
    expect(page.get_by_text("我已详细阅读并郑重承诺")).to_be_visible()
    yield "考试须知"
    for withdrawal in page.locator("[name=withdraws]").all():
        withdrawal.check()  # an application that a scene before has begun
    page.get_by_text("我已详细阅读并郑重承诺").click()
    page.get_by_role("button", name="进入考试").click()
    page.locator("#options button").first.click()
    yield "作答"
    page.get_by_role("button", name="答题列表").click()
    yield "答题列表"
    page.get_by_role("button", name="交卷").click()
    yield "确认交卷"
    page.get_by_role("button", name="确认交卷").click()
    page.wait_for_url("**/end")
    yield "考试结束"


def review(page: Page, slug: str) -> Iterator[str]:
    """A filing under review, with a field marked, returned without a word; a request refused without a
    reason."""
    page.goto(f"/{slug}/office/review")
    page.get_by_role("button", name="审核", exact=True).first.click()
    page.wait_for_load_state("networkidle")
    for summary in page.locator(".mark-field summary").all()[:2]:
        summary.click()
    yield "审核中"
    page.get_by_role("button", name="通过", exact=True).click()
    page.wait_for_load_state("networkidle")
    yield "审核有误"
    page.goto(f"/{slug}/office/requests")
    page.locator("main a[href*='/office/requests/']").first.click()
    page.get_by_role("button", name="不同意").click()
    page.wait_for_load_state("networkidle")
    yield "不同意没有写原因"


def administer(page: Page, slug: str) -> Iterator[str]:
    """Forms of the console with faults."""
    page.goto(f"/{slug}/office/doctors/new")
    page.locator("main form button[type=submit]").last.click()
    page.wait_for_load_state("networkidle")
    yield "添加医师有误"
    page.goto(f"/{slug}/office/articles/new")
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_load_state("networkidle")
    yield "文章有误"
    page.goto(f"/{slug}/office/settings")
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_load_state("networkidle")
    yield "设置没有改"


def prolong(page: Page, slug: str) -> Iterator[str]:
    """A later end for papers that are being sat, looked at and not confirmed."""
    page.goto(f"/{slug}/office/papers/prolong")
    page.get_by_label("原因").fill("停电")
    page.get_by_role("button", name="核对影响范围").click()
    page.wait_for_load_state("networkidle")
    yield "延长有误"
    by_label = page.get_by_label("新的结束时间")
    by_label.fill(f"{datetime.now() + timedelta(days=102):%Y-%m-%dT%H:%M}")  # noqa: DTZ005 - what someone types
    page.get_by_label("原因").fill("本省部分地区停电")
    page.get_by_role("button", name="核对影响范围").click()
    page.wait_for_load_state("networkidle")
    yield "核对延长"


SCENES: tuple[tuple[str, str, Act], ...] = (
    ("谁都可以", "登录", wrong_password),
    ("谁都可以", "提示", refused),
    ("待填报", "账号", own_account),
    ("填报中", "照片", picture_of_oneself),
    ("填报中", "材料", proofs),
    ("填报中", "保存", saving),
    ("填报中", "两页", conflict),
    ("填报中", "填报", wrong_fields),
    ("机构退回", "修改", mend),
    ("待测评", "练习", practise),
    ("待测评", "模拟考试", try_out),
    ("待测评", "申请", ask),
    ("待测评", "申请修改", ask_for_change),
    ("待测评", "更正", ask_for_correction),
    ("待测评", "测评", sit),
    ("不合格", "复核", appeal),
    ("机构审核人", "审核", review),
    ("管理员", "管理", administer),
    ("管理员", "延长", prolong),
)
