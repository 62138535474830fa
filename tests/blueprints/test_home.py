"""The home page [S6] in every state: the message, where one stands, what is open, until when."""

import re
from datetime import date, timedelta

import pytest
from freezegun import freeze_time
from sqlalchemy import select, update

from dingkao import clock
from dingkao.articles.default_answers import HELP_BY_TOPIC
from dingkao.assessments.models import ASSESSMENT_STATES, Assessment
from dingkao.blueprints.doctor.deadlines import Deadline
from dingkao.blueprints.doctor.state_texts import STATE_TEXTS
from dingkao.cycles.models import CyclePhase
from dingkao.database.base import db
from dingkao.exams.models.paper_models import AdmissionTicket
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import organisations
from dingkao.people.models import Organisation
from tests import actors
from tests.tenants.statements import captured_statements, statements_without_tenant

EXPECTED_SENTENCES = {
    "not_included": "您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人",
    "included": "您已被主要执业机构纳入本周期考核,请点击下方“填报信息”,及时提交完成报名",
    "draft": "尚未提交", "institution_pending": "正在等待主要执业机构审核", "institution_returned": "退回原因：材料不清",
    "organisation_pending": "正在等待考核机构复核", "organisation_returned": "您暂时无需操作",
    "ready": "个人报名信息已通过审核,请关注后续考试通知,点击下方“参加测评”,按时完成测评(一般程序)",
    "deferred": "您的延考申请已通过并备案", "testing": "在截止时间前完成全部试卷", "scored": "请等待本省公布合格线", "absent": "请联系所属考核机构", "grading": "正在综合评定",
    "confirming": "请等待本省发布考核结果", "passed": "您本周期的考核结果已发布,请点击下方“考核结果”查看(一般程序)",
    "failed": "您本周期的考核结果已发布,请点击下方“考核结果”查看(一般程序)",
}  # fmt: skip
STAGE = {
    "not_included": "报名", "included": "报名", "draft": "报名", "institution_returned": "报名", "institution_pending": "审核",
    "organisation_pending": "审核", "organisation_returned": "审核", "ready": "考核", "deferred": "考核", "testing": "考核", "scored": "考核", "absent": "考核",
    "grading": "考核", "confirming": "考核", "passed": "完成", "failed": "完成",
}  # fmt: skip
OPEN = {
    "ready": {"填报信息", "在线学习", "参加测评"},
    "testing": {"填报信息", "参加测评"},
    "passed": {"填报信息", "考核结果"},
    "failed": {"填报信息", "考核结果"},
    "not_included": set(),
}


@pytest.fixture(scope="module")
def someone(application, in_province):
    doctor = actors.signed_in_doctor(application, in_province, "hebei", 480)
    doctor.post("/filing/notice")
    return doctor


def shifted(in_province, kind, days):
    """Let phase `kind` of the running cycle end so many days from today, and give back what it was."""
    with in_province("hebei"):
        phase = db.session.scalars(
            select(CyclePhase).where(
                CyclePhase.kind == kind, CyclePhase.cycle_id == actors.get_or_open_cycle().id
            )
        ).one()
        last_day = phase.last_day
        phase.last_day = clock.today() + timedelta(days=days)
        db.session.commit()
    return last_day


@pytest.fixture
def ends(in_province):
    """Move the ends of phases for one test."""
    last_days = {}

    def move(kind, days):
        last_days.setdefault(kind, shifted(in_province, kind, days))

    yield move
    for kind, last_day in last_days.items():
        shifted(in_province, kind, (last_day - clock.today()).days)


def put(in_province, doctor, state, **more):
    with in_province("hebei"):
        values = {"state": state, "performance": "pass", "ethics": "pass", "procedure": "general"} | more
        db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(**values))
        db.session.commit()


@pytest.mark.parametrize("state", ASSESSMENT_STATES)
def test_each_state_says_where_one_stands_and_what_is_open(application, someone, in_province, state):
    put(in_province, someone, state, returned_reason="材料不清")
    page = someone.get("/home")
    assert EXPECTED_SENTENCES[state] in page
    assert re.search(r'aria-current="step">(\w+)<', page)[1] == STAGE[state]
    tiles = dict.fromkeys(re.findall(r'<a class="menu-tile" href="[^"]*"><strong>(.*?)</strong>', page), True)
    shut = re.findall(
        r'<div class="menu-tile is-locked"[^>]*><strong>(.*?)</strong><small>(.*?)</small>', page
    )
    endpoints_by_label = {
        "填报信息": "filing.start",
        "在线学习": "practice.choose_bank",
        "参加测评": "sitting.list_papers",
        "考核结果": "result.show_result",
    }
    built = {
        label for label, endpoint in endpoints_by_label.items() if endpoint in application.view_functions
    }
    assert set(tiles) | {label for label, _ in shut} == built
    assert set(tiles) == OPEN.get(state, {"填报信息"}) & built
    assert all(len(reason) > 4 for _, reason in shut)
    assert ("修改信息" in page) == (state != "not_included")
    assert ("免考申请入口 &gt;" in page) == (state == "ready")
    for word in ("考核周期", "管辖行政", "主要执业机构", "所属考核机构", "修改密码", "退出登录", "消息"):
        assert word in page


def test_the_facts_of_the_card(someone, in_province):
    put(in_province, someone, "included")
    page = someone.get("/home")
    with in_province("hebei"):
        cycle = actors.get_or_open_cycle()
        phases = db.session.scalars(select(CyclePhase).where(CyclePhase.cycle_id == cycle.id)).all()
    assert f"{cycle.starts_on:%Y年%m月}-{cycle.ends_on:%Y年%m月}" in page
    for phase in phases:
        first, last = (
            f"{day:%m.%d}" if day.year == clock.today().year else f"{day:%Y年%m.%d}"
            for day in (phase.first_day, phase.last_day)
        )
        assert f"{first}-{last}" in page.replace("<br>", "")


def test_the_timeline_has_the_year_where_it_crosses_one(someone, in_province, ends):
    put(in_province, someone, "included")
    ends("completion", 370)
    last = clock.today() + timedelta(days=370)
    completion_days = re.search(r"完成<span.*?<small>(.*?)</small>", someone.get("/home"))[1]
    assert completion_days.endswith(f"-<br>{last:%Y年}<br>{last:%m.%d}")


ACTIONS = {
    "included": "去填报", "draft": "去填报", "institution_returned": "去填报", "ready": "进入测评", "testing": "进入测评",
    "passed": "查看结果", "failed": "查看结果",
}  # fmt: skip


@pytest.mark.parametrize("state", EXPECTED_SENTENCES)
def test_the_message_has_a_button_for_what_is_to_be_done_now(someone, in_province, state):
    """«请点击下方…» is followed by the button itself: on a phone the tiles lie below the fold."""
    put(in_province, someone, state)
    page = someone.get("/home")
    pressed = re.search(
        r'<p class="card-action">\s*<a class="button button--primary"\s+href="[^"]+">([^<]+)</a>', page
    )
    assert (pressed[1] if pressed else None) == ACTIONS.get(state)


@pytest.mark.parametrize(
    ("state", "exempted", "reason"),
    [
        ("testing", False, "测评开始后关闭"),
        ("scored", False, "测评已结束"),
        ("deferred", False, "延考安排好后开放"),
        ("absent", False, "测评已结束"),
        ("grading", True, "免考，不参加测评"),
        ("passed", False, "测评已结束"),
    ],
)
def test_practice_says_by_the_state_why_it_is_closed(someone, in_province, state, exempted, reason):
    put(in_province, someone, state, exempted=exempted)
    tile = re.search(r"<strong>在线学习</strong><small>(.*?)</small>", someone.get("/home"), re.DOTALL)
    assert tile
    assert reason in tile[1]
    assert ("交卷以后为什么看不到结果" in someone.get("/home")) is (state == "scored")
    assert "测评已开始" not in someone.get("/practice") or state == "testing"


@pytest.mark.parametrize(("state", "verdict"), [("passed", "考核结果：合格"), ("failed", "考核结果：不合格")])
def test_after_publication_the_page_says_the_verdict(someone, in_province, state, verdict):
    put(in_province, someone, state)
    assert f"<h2>{verdict}</h2>" in someone.get("/home")


def test_the_ticket_number_is_shown_with_a_button_to_copy_it(someone, in_province):
    put(in_province, someone, "ready")
    with in_province("hebei"):
        if not db.session.scalar(
            select(AdmissionTicket).where(AdmissionTicket.assessment_id == someone.record_id)
        ):
            db.session.add(AdmissionTicket(assessment_id=someone.record_id, number="14990000000480"))
            db.session.commit()
    assert re.search(r'data-copy="\d{8,}"', someone.get("/home"))


@pytest.mark.parametrize(
    ("state", "left", "said", "unsaid"),
    [
        ("included", 1, "报名截止", "最后一天"),
        ("draft", 0, "今天是最后一天", "已经过期"),
        ("draft", -1, "报名已截止", "最后一天"),
        ("included", -1, "如需补报，请尽快联系主要执业机构", "及时提交完成报名"),
        ("ready", 0, "考核截止", "今天是最后一天"),
    ],
)
def test_until_when_is_said_and_when_it_is_over(someone, in_province, ends, state, left, said, unsaid):
    put(in_province, someone, state)
    ends("filing", left)
    page = someone.get("/home")
    assert said in page
    assert unsaid not in page


def test_what_was_returned_has_until_the_later_of_filing_and_review(someone, in_province, ends):
    put(in_province, someone, "institution_returned", returned_reason="材料不清")
    ends("filing", -3)
    ends("review", 4)
    assert "还有4天" in someone.get("/home")
    ends("review", 4)
    shifted(in_province, "review", -1)
    assert "重新提交的时间已过" in someone.get("/home")


@pytest.mark.parametrize(
    ("left", "look"),
    [
        (3, 'class="save-status"'),
        (0, 'class="save-status is-overdue"'),
        (-1, 'class="save-status is-overdue"'),
    ],
)
def test_a_bar_stays_while_something_is_saved_and_not_submitted(someone, in_province, ends, left, look):
    put(in_province, someone, "draft")
    ends("filing", left)
    bar = someone.get("/home").split('class="content-card doctor-summary"')[0]
    assert f"<p {look}" in bar
    assert "已保存，尚未提交" in bar
    put(in_province, someone, "institution_pending")
    assert "尚未提交" not in someone.get("/home")


def test_the_mark_of_the_timeline_is_said_in_words(someone, in_province):
    put(in_province, someone, "ready")
    heard = re.findall(
        r'<li class="([\w-]*)"[^>]*>(\w+)<span class="visually-hidden">，(\w+)</span>', someone.get("/home")
    )
    assert heard == [
        ("is-done", "报名", "已完成"),
        ("is-done", "审核", "已完成"),
        ("is-current", "考核", "您在这里"),
        ("", "完成", "未开始"),
    ]


def test_whom_to_ask_stands_there_with_a_telephone(someone, in_province):
    put(in_province, someone, "ready")
    with in_province("hebei"):
        record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id)).one()
        organisation = db.session.scalars(
            select(Organisation).where(Organisation.id == record.institution_id)
        ).one()
        organisations.set_contact(organisation, "医务科 0311-8600001 <分机>2", by=TERMINAL_ACTOR)
        db.session.commit()
        name = organisation.name
    page = someone.get("/home")
    assert re.search(
        rf'<dt>联系本机构</dt>\s*<dd>{name}<br>医务科 <a class="phone-link" href="tel:0311-8600001">0311-8600001</a> &lt;分机&gt;2</dd>',
        page,
    )
    assert "<dt>联系考核机构</dt>" in page
    put(in_province, someone, "draft")
    assert "联系考核机构" not in someone.get("/home")


def test_before_the_filing_begins_its_tile_says_when(someone, in_province):
    put(in_province, someone, "included")
    with in_province("hebei"):
        phase = db.session.scalars(
            select(CyclePhase).where(
                CyclePhase.kind == "filing", CyclePhase.cycle_id == actors.get_or_open_cycle().id
            )
        ).one()
        first_day, phase.first_day = phase.first_day, clock.today() + timedelta(days=2)
        begins = phase.first_day
        db.session.commit()
    try:
        page = someone.get("/home")
        assert f"报名从{begins:%Y年%m月%d日}开始" in page
        assert f"{begins:%m月%d日}开放" in page
        assert '<a class="menu-tile"' not in page
    finally:
        with in_province("hebei"):
            db.session.execute(
                update(CyclePhase)
                .where(CyclePhase.kind == "filing", CyclePhase.cycle_id == actors.get_or_open_cycle().id)
                .values(first_day=first_day)
            )
            db.session.commit()


def test_the_page_is_answered_with_two_statements(application, someone, in_province):
    put(in_province, someone, "ready")
    someone.get("/home")
    with application.app_context(), captured_statements(db.engine) as statements:
        someone.get("/home")
    assert len(statements) == 2
    assert statements_without_tenant(statements) == []


@pytest.mark.parametrize(
    "state", sorted(set(ASSESSMENT_STATES) - {"organisation_pending", "organisation_returned"})
)
def test_each_state_has_its_help_with_a_way_to_more(someone, in_province, state):
    put(in_province, someone, state)
    page = someone.get("/home")
    topic = STATE_TEXTS[state].help
    assert HELP_BY_TOPIC[topic].question in page
    assert f'href="/hebei/faq/about/{topic}"' in page


def test_a_doctor_without_a_test_is_not_told_of_one(someone, in_province, monkeypatch):
    put(in_province, someone, "grading", procedure="simple")
    assert "测评已结束" in someone.get("/home")
    monkeypatch.setattr("dingkao.requests.doctor_overview.skips_test", lambda _record: True)
    assert "简易程序不参加测评" in someone.get("/home")


def test_the_day_turns_in_beijing():
    deadline = Deadline("报名截止", date(2026, 11, 30), needs_action=True)
    with freeze_time("2026-11-30 15:59:00"):
        assert deadline.remaining_text == "今天是最后一天"
    with freeze_time("2026-11-30 16:01:00"):
        assert deadline.remaining_text == "已经过期"


def test_every_state_has_a_standing():
    assert set(STATE_TEXTS) == set(ASSESSMENT_STATES)
