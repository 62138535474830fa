"""Every form of a doctor but the filing (test_filing_pages.py) and the answering of a paper, finished twice:
without JavaScript, and by keyboard alone."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from dingkao.articles import editing
from dingkao.articles.models import Article
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.tickets import find_ticket
from dingkao.journal.entries import SYSTEM_ACTOR
from dingkao.people.models import Notice
from tests import actors
from tests.blueprints.request_steps import upload
from tests.browser import account_forms
from tests.browser.conftest import PHONE
from tests.browser.form_hands import (
    CODE,
    SLUG,
    ByKeyboard,
    Hand,
    WithoutScripts,
    World,
    come_in,
)


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
    """A new request, by its address; from the list it is begun in `exemption`."""
    hand.open(f"/requests/new/{kind}")
    hand.press("开始填写")
    hand.says("尚未提交。")


def exemption(hand: Hand, world: World) -> None:
    come_in(hand, world.doctor("ready"))
    hand.open("/requests")
    hand.press("申请免考")
    hand.press("开始填写")
    hand.says("尚未提交。")
    hand.press("提交")
    hand.says("请选择免考申请理由")
    hand.press("上传材料")
    hand.attach("上传材料")
    hand.says("已上传 1 件")
    hand.press("返回免考申请")
    hand.give(reason="residency")
    hand.press("提交")
    hand.says("办理进度")
    hand.press("撤回申请")
    hand.says("申请已撤回")


def deferral(hand: Hand, world: World) -> None:
    """The proof comes by HTTP: on its page it is handed in with an exemption."""
    someone = world.doctor("ready")
    come_in(hand, someone)
    begin(hand, "deferral")
    upload(someone, hand.page.url.rsplit("/", 1)[1])
    hand.give(reason="患病或住院治疗", note="住院期间不能参加。")
    hand.press("提交")
    hand.says("办理进度")


def change(hand: Hand, world: World) -> None:
    come_in(hand, world.doctor("ready", filed=True))
    begin(hand, "change")
    hand.press("修改基本信息")
    hand.give(school="")
    hand.press("确定")
    hand.says("毕业院校不能为空")
    hand.give(school="福建医科大学")
    hand.press("确定")
    hand.says("福建医科大学")
    hand.press("修改相关经历")
    hand.press("添加教育经历")
    hand.give(**actors.ENTRIES["education"] | {"name": "进修学院"})
    hand.press("确定")
    hand.says("进修学院")
    hand.press("去掉毕业院校的修改")
    expect(hand.page.get_by_text("福建医科大学")).to_have_count(0)
    hand.press("提交")
    hand.says("办理进度")


def correction(hand: Hand, world: World) -> None:
    come_in(hand, world.doctor("ready", filed=True))
    begin(hand, "correction")
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
    hand.says("考核结果：不合格")
    hand.press("申请复核")
    hand.press("开始填写")
    hand.give(note="第12题的答案有争议,申请重新核对评分。")
    hand.press("保存")
    hand.says("已保存，尚未提交。")
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
    expect(hand.page.locator(".text-enlarged")).to_be_visible()
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
        number = find_ticket(db.session.get_one(Assessment, (CODE, someone.record_id))).number
    come_in(hand, someone)
    hand.open("/sitting")
    hand.give(name=world.name(someone), number=number)
    hand.press("登录")
    hand.says("请先阅读并同意《隐私协议》")
    hand.give(consent="yes")
    hand.press("登录")
    hand.press("进入")
    hand.says("考试须知")
    if not hand.javascript:
        hand.says("没有启用的浏览器不能进入考试，也不会开始计时")
        expect(hand.page.get_by_role("button", name="进入考试")).to_be_disabled()
        with world.in_province(SLUG):
            assert (
                db.session.scalars(select(Sitting.id).where(Sitting.assessment_id == someone.record_id)).all()
                == []
            )
        return
    hand.press("进入考试")
    hand.says("请勾选“我已详细阅读并郑重承诺”")
    hand.give(promise="yes")
    hand.press("进入考试")
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
    expect(hand.page.locator("main details[open] .article-body").first).to_be_visible()
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
            account_id = actors.account_of(someone.record_id)
            db.session.add(
                Notice(account_id=account_id, kind="legacy", title=title, body="请留意。", target="filing")
            )
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
    account_forms.sign_in_and_read_the_notice, account_forms.first_password_by_a_code,
    account_forms.forgotten_password, account_forms.change_of_password,
    account_forms.change_of_number, account_forms.sessions_ended, account_forms.display, portrait, proofs,
    exemption, deferral, change, correction, appeal, practice, exam_entry_and_notice, reading, messages,
)  # fmt: skip


@pytest.fixture(scope="module")
def world(application, in_province, address):
    world = World(application, in_province)
    actors.exam_setup(application, in_province, SLUG)
    with in_province(SLUG):
        editing.create_default_drafts(by=SYSTEM_ACTOR)
        for article in db.session.scalars(select(Article)):
            editing.publish(article, by=SYSTEM_ACTOR)
        db.session.commit()
    return world


@pytest.mark.parametrize("hand", [WithoutScripts, ByKeyboard])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_finished(world, browser: Browser, address, form: Callable[[Hand, World], None], hand):
    context = browser.new_context(
        viewport=PHONE, base_url=address, locale="zh-CN", java_script_enabled=hand.javascript
    )
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "response",
        lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None,
    )
    page.on("dialog", lambda dialog: dialog.accept())
    form(hand(page), world)
    assert faults == []
    context.close()
