"""People getting in: an administrator by a one-time code and a second factor; a doctor by 666666 and by what
the institution hands over."""

import re

import pytest
from playwright.sync_api import Page, expect

from dingkao.database.base import db
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import passwords, sign_in_sessions
from dingkao.people.accounts import create_staff, issue_code
from dingkao.people.models import Account
from tests.browser.conftest import DESK, PHONE, totp
from tests.sample_data import resident_number

PASSWORD = "taiyuan-chunfeng-88"


def sign_in(page: Page, slug: str, account: str, password: str, *, staff: bool = False) -> None:
    page.goto(f"/{slug}/login" + ("?staff=1" if staff else ""))
    page.get_by_label("账号").fill(account)
    page.get_by_label("密码").fill(password)
    page.get_by_role("button", name="登录").click()


def arrive(page: Page) -> None:
    """Come to the home page, past the user notice where a cycle runs."""
    page.wait_for_url(re.compile("/(home|filing/notice)$"))
    if page.url.endswith("/filing/notice"):
        page.get_by_role("button", name="确定").click()
    expect(page.get_by_role("heading", name="考核进度")).to_be_visible()


def open_staff(page: Page, slug: str, user_name: str, code: str, password: str = PASSWORD) -> str | None:
    """Open a staff account by its code; the secret of the second factor, where one is asked."""
    sign_in(page, slug, user_name, code, staff=True)
    expect(page).to_have_title("设置新密码 · 医师定期考核")
    page.get_by_label("*旧密码").fill(code)
    page.get_by_label("*新密码").fill(password)
    page.get_by_label("*确认密码").fill(password)
    page.get_by_role("button", name="提交").click()
    page.wait_for_load_state()
    if "动态口令" not in page.title():
        return None
    secret = page.locator("#secret").inner_text()
    page.get_by_label("动态口令").fill(totp(secret))
    page.get_by_role("button", name="确定").click()
    return secret


@pytest.fixture
def new_admin(in_province):
    """An administrator's user name and code, fresh for this test."""

    def make(slug: str, user_name: str) -> str:
        with in_province(slug):
            account = create_staff(user_name, "测试管理员", [("province_admin", None)], by=TERMINAL_ACTOR)
            code = issue_code(account, by=TERMINAL_ACTOR)
            db.session.commit()
        return code

    return make


def test_an_administrator_opens_the_account_and_builds_the_province(open_page, new_admin):
    page = open_page(DESK)
    open_staff(page, "shanxi", "guanli-1", new_admin("shanxi", "guanli-1"))
    expect(page.get_by_role("heading", name="待办")).to_be_visible()

    page.get_by_role("link", name="机构", exact=True).click()
    page.get_by_role("textbox", name="机构名称").fill("平遥县测试医院")
    page.get_by_role("textbox", name="机构登记号").fill("pdytest000001")
    page.get_by_role("textbox", name="行政区划代码").fill("140728")
    page.get_by_role("button", name="添加").click()
    by_role = page.get_by_role("row", name="平遥县测试医院")
    expect(by_role).to_contain_text("平遥县卫生健康局")
    by_role.get_by_role("link").click()
    page.get_by_label("指定本机构为考核机构").check()
    page.get_by_label("所属考核机构").select_option(label="平遥县测试医院（本机构）")
    page.get_by_role("button", name="保存").click()
    institution_row = page.get_by_role("row", name="平遥县测试医院")
    expect(institution_row).to_contain_text("PDYTEST000001")
    expect(institution_row).to_contain_text("考核机构")

    page.get_by_role("link", name="人员").click()
    page.get_by_role("textbox", name="用户名").fill("pingyao-jingban")
    page.get_by_role("textbox", name="姓名").fill("王经办")
    page.get_by_role("combobox", name="角色").select_option(label="机构经办人")
    page.get_by_role("textbox", name="机构登记号").fill("PDYTEST000001")
    page.get_by_role("button", name="邀请").click()
    code = page.locator("strong.one-time-code").inner_text()

    clerk = open_page(DESK)
    assert open_staff(clerk, "shanxi", "pingyao-jingban", code) is None
    expect(clerk.get_by_role("heading", name="待办")).to_be_visible()
    assert clerk.get_by_role("link", name="人员").count() == 0
    clerk.goto("/shanxi/office/staff")
    expect(clerk.get_by_text("您的账号没有此项权限")).to_be_visible()


def test_a_wrong_code_leaves_the_passwords_in_their_fields_and_each_can_be_looked_at(open_page, new_doctor):
    number = resident_number(417)
    new_doctor("shanxi", number, mobile="13812340017")
    page = open_page(PHONE)
    sign_in(page, "shanxi", number, "666666")
    texts = {
        "old_password": "666666",
        "new_password": PASSWORD,
        "again": PASSWORD,
        "mobile": "13812340017",
        "sms_code": "000000",
    }
    for name, text in texts.items():
        page.locator(f'[name="{name}"]').fill(text)
    page.get_by_role("button", name="提交").click()
    expect(page.locator("#summary")).to_contain_text("验证码不正确")
    expect(page.locator("#sms_code-said")).to_be_visible()
    for name, text in texts.items():
        expect(page.locator(f'[name="{name}"]')).to_have_value(text)
    expect(page.get_by_role("button", name="显示", exact=True)).to_have_count(3)
    field = page.locator('[name="new_password"]')
    expect(field).to_have_attribute("type", "password")
    eye = page.locator('[aria-controls="new_password"]')
    eye.click()
    expect(field).to_have_attribute("type", "text")
    box = eye.bounding_box()
    assert min(box["width"], box["height"]) >= 44
    eye.click()
    expect(field).to_have_attribute("type", "password")


def test_a_doctor_sets_a_password_by_the_code_to_the_roster_number(open_page, new_doctor):
    number = resident_number(411)
    new_doctor("shanxi", number, mobile="13812340001")
    page = open_page(PHONE)
    sign_in(page, "shanxi", number, "666666")
    expect(page.get_by_text("此密码为定考系统密码,主要用于医师登录及绑定身份证号")).to_be_visible()
    assert number not in page.content()
    page.goto("/shanxi/home")
    expect(page.get_by_text("您还没有设置新密码")).to_be_visible()

    page.goto("/shanxi/password/first")
    page.get_by_label("手机号码").fill("138 1234 0001")
    page.get_by_role("button", name="发送验证码").click()
    expect(page.get_by_text("验证码将在一分钟内送达")).to_be_visible()
    reader = open_page(PHONE)
    reader.goto("/shanxi/outbox")
    sms = reader.locator(".sms").first.inner_text()
    for label, text in (
        ("*旧密码", "666666"),
        ("*新密码", PASSWORD),
        ("*确认密码", PASSWORD),
        ("验证码", sms.split("验证码")[1][:6]),
    ):
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="提交").click()
    arrive(page)
    expect(page.get_by_text("管辖行政")).to_be_visible()

    page.get_by_label("设置菜单").click()
    page.get_by_role("button", name="退出登录").click()
    sign_in(page, "shanxi", number.lower(), PASSWORD)
    expect(page.get_by_role("heading", name="考核进度")).to_be_visible()


def test_a_doctor_without_a_number_needs_the_institutions_code(open_page, new_doctor, in_province):
    number = resident_number(412)
    account_id = new_doctor("henan", number, mobile="")
    page = open_page(PHONE)
    sign_in(page, "henan", number, "666666")
    for label, text in (("*旧密码", "666666"), ("*新密码", PASSWORD), ("*确认密码", PASSWORD)):
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("alert")).to_contain_text("请输入11位手机号")
    with in_province("henan"):
        code = issue_code(db.session.get_one(Account, (41, account_id)), by=TERMINAL_ACTOR)
        db.session.commit()
    for label, text in (
        ("*旧密码", "666666"),
        ("*新密码", PASSWORD),
        ("*确认密码", PASSWORD),
        ("一次性代码", code),
    ):
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="提交").click()
    arrive(page)


def test_the_picker_offers_what_is_open_and_remembers(open_page):
    page = open_page(PHONE)
    page.goto("/")
    page.get_by_role("link", name="山西").click()
    expect(page.get_by_text("【山西省】")).to_be_visible()
    page.goto("/")
    expect(page).to_have_url(re.compile("/shanxi/login$"))
    page.get_by_role("link", name="切换").click()
    expect(page.get_by_role("link", name="河南")).to_be_visible()
    page.goto("/shanx/login")
    expect(page.get_by_role("alert")).to_contain_text("请选择您执业所在的省份")


def test_the_picker_narrows_with_every_key_and_without_scripts(open_page, browser, address):
    page = open_page(PHONE)
    page.goto("/")
    field = page.get_by_label("查找省份")
    for text in ("sx", "shanxi", "山", "ｓｈａｎ ｘｉ"):
        field.fill(text)
        expect(page.get_by_role("link", name="山西")).to_be_visible()
        expect(page.get_by_role("link", name="河南")).to_be_hidden()
    field.fill("henan1")
    expect(page.get_by_text("没有找到“henan1”")).to_be_visible()
    field.fill("henan")
    field.press("Enter")
    expect(page).to_have_url(re.compile("/henan/login$"))
    plain = browser.new_context(java_script_enabled=False, base_url=address, viewport=PHONE).new_page()
    plain.goto("/?pick=1")
    plain.get_by_label("查找省份").fill("shan xi")
    plain.get_by_role("button", name="查找").click()
    expect(plain.get_by_role("link", name="山西")).to_be_visible()
    expect(plain.get_by_role("link", name="河南")).to_have_count(0)
    plain.get_by_label("查找省份").fill("火星")
    plain.get_by_label("查找省份").press("Enter")
    expect(plain.get_by_text("没有找到“火星”")).to_be_visible()
    plain.get_by_role("link", name="显示全部省份").click()
    expect(plain.get_by_role("link", name="河南")).to_be_visible()
    plain.context.close()


def last_code(reader, mobile):
    """The code that the outbox shows for a number."""
    reader.goto("/shanxi/outbox")
    return re.search(r"验证码(\d{6})", reader.locator(".content-card", has_text=mobile).first.inner_text())[1]


def test_sending_a_code_keeps_what_was_typed_and_counts_down_with_scripts_or_without(
    open_page, new_doctor, browser, address
):
    number = resident_number(413)
    new_doctor("shanxi", number, mobile="13812340013")
    page, reader = open_page(PHONE), open_page(PHONE)
    sign_in(page, "shanxi", number, "666666")
    page.get_by_label("*旧密码").fill("666666")
    page.get_by_label("*新密码").fill(PASSWORD)
    page.get_by_label("*确认密码").fill(PASSWORD)
    page.get_by_role("button", name="发送验证码").click()
    expect(page.get_by_text("请输入11位手机号")).to_be_visible()
    page.get_by_label("手机号码").fill("13812340013")
    page.get_by_role("button", name="发送验证码").click()
    expect(page.get_by_text("验证码将在一分钟内送达")).to_be_visible()
    waiting = page.get_by_role("button", name=re.compile(r"\d+秒后可重新发送"))
    expect(waiting).to_be_disabled()
    expect(page.get_by_label("*新密码")).to_have_value(PASSWORD)
    page.get_by_label("验证码", exact=True).fill(last_code(reader, "13812340013"))
    page.get_by_role("button", name="提交").click()
    arrive(page)

    plain = browser.new_context(java_script_enabled=False, base_url=address, viewport=PHONE).new_page()
    plain.goto("/shanxi/login")
    plain.get_by_role("link", name="忘记密码").click()
    for _ in range(2):
        plain.get_by_label("*证件号码").fill(number)
        plain.get_by_label("*手机号").fill("13812340013")
        plain.get_by_role("button", name="发送验证码").click()
    expect(plain.get_by_text("验证码已发送，请在60秒后再获取。")).to_be_visible()
    expect(plain.get_by_label("*证件号码")).to_have_value(number)
    plain.context.close()


def test_the_number_is_changed_and_other_devices_are_signed_out(open_page, new_doctor, in_province, address):
    number = resident_number(414)
    account = new_doctor("shanxi", number, mobile="13812340014")
    with in_province("shanxi"):
        stored_account = db.session.get_one(Account, (14, account))
        stored_account.state, stored_account.password_hash = "active", passwords.hash_password(PASSWORD)
        tokens = [sign_in_sessions.start_session(stored_account) for _ in range(2)]
        db.session.commit()
    page, phone, reader = open_page(PHONE), open_page(PHONE), open_page(PHONE)
    for device, token in zip((page, phone), tokens, strict=True):
        device.context.add_cookies([{"name": "dk-shanxi", "value": token, "url": address}])
    phone.goto("/shanxi/account")
    expect(phone.get_by_role("link", name="登录设备 2处")).to_be_visible()
    page.goto("/shanxi/account")
    page.get_by_role("link", name="登录设备 2处").click()
    expect(page.get_by_text("本机")).to_have_count(1)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="退出其他全部").click()
    expect(page.get_by_text("已退出其他1处登录")).to_be_visible()
    phone.goto("/shanxi/home")
    expect(phone).to_have_url(re.compile("/login"))

    page.goto("/shanxi/account")
    page.get_by_role("link", name="修改手机号").click()
    page.get_by_label("*登录密码").fill(PASSWORD)
    page.get_by_label("*新手机号").fill("138 1234 9914")
    page.get_by_role("button", name="发送验证码").click()
    expect(page.get_by_text("验证码将在一分钟内送达新手机号")).to_be_visible()
    page.get_by_label("*验证码").fill(last_code(reader, "13812349914"))
    page.get_by_label("*验证码").press("Enter")
    expect(page.get_by_text("手机号码已修改")).to_be_visible()
    expect(page.get_by_role("link", name="修改手机号 138****9914")).to_be_visible()
    page.goto("/shanxi/notices")
    expect(page.get_by_role("button", name=re.compile("手机号码已修改"))).to_be_visible()
