"""The forms of a doctor's account, each finished by a hand."""

from playwright.sync_api import expect
from sqlalchemy import select

from dingkao.database.base import db
from dingkao.people import sign_in_sessions
from dingkao.people.models import Account
from tests import actors
from tests.browser.form_hands import SLUG, Hand, World, code_to, come_in, mobile_of, serials
from tests.browser.test_sign_in import PASSWORD

NEW_PASSWORD = "fuzhou-qiufeng-77"


def sign_in_and_read_the_notice(hand: Hand, world: World) -> None:
    someone = actors.signed_in_doctor(world.application, world.in_province, SLUG, next(serials))
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
    serial = next(serials)
    someone = actors.signed_in_doctor(world.application, world.in_province, SLUG, serial)
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
    hand.give(
        old_password="666666",
        new_password=PASSWORD,
        again=PASSWORD,
        mobile=f"138{serial:08d}",
        sms_code=code_to(hand, f"138{serial:08d}"),
    )
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
        account = db.session.scalars(
            select(Account).where(Account.id == actors.account_of(someone.record_id))
        ).one()
        for device in ("平板", "旧手机"):
            sign_in_sessions.start_session(account, device)
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
    for button, opposite in (("使用长辈模式", "使用标准模式"), ("使用标准模式", "使用长辈模式")):
        hand.open("/display?back=/display")
        hand.press(button)
        expect(hand.page.get_by_role("button", name=opposite)).to_be_visible()
