"""The home page [S6] in every state: the message, where one stands, what is open, until when."""

import re
from datetime import timedelta

import pytest
from freezegun import freeze_time
from sqlalchemy import select, update

from dingkao import clock
from dingkao.assessments.models import STATES, Assessment
from dingkao.cycles.models import CyclePhase
from dingkao.database.model import db
from dingkao.exams.models import AdmissionTicket
from tests import people

SAID = {
    "not_included": "您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人",
    "included": "您已被主要执业机构纳入本周期考核,请点击下方“填报信息”,及时提交完成报名",
    "draft": "尚未提交", "institution_pending": "正在等待主要执业机构审核", "institution_returned": "退回原因:材料不清",
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
OPEN = {"ready": {"填报信息", "在线学习", "参加测评"}, "testing": {"填报信息", "参加测评"}, "passed": {"填报信息", "考核结果"}, "failed": {"填报信息", "考核结果"}, "not_included": set()}


@pytest.fixture(scope="module")
def someone(application, in_province):
    doctor = people.doctor(application, in_province, "hebei", 480)
    doctor.post("/filing/notice")
    return doctor


def put(in_province, doctor, state, **more):
    with in_province("hebei"):
        values = {"state": state, "performance": "pass", "ethics": "pass", "procedure": "general"} | more
        db.session.execute(update(Assessment).where(Assessment.id == doctor.record_id).values(**values))
        db.session.commit()


@pytest.mark.parametrize("state", STATES)
def test_each_state_says_where_one_stands_and_what_is_open(application, someone, in_province, state):
    put(in_province, someone, state, returned_reason="材料不清")
    page = someone.get("/home")
    assert SAID[state] in page
    assert re.search(r'aria-current="step">(\w+)<', page)[1] == STAGE[state]
    tiles = dict.fromkeys(re.findall(r'<a class="tile" href="[^"]*"><strong>(.*?)</strong>', page), True)
    shut = re.findall(r'<div class="tile shut"[^>]*><strong>(.*?)</strong><small>(.*?)</small>', page)
    known = {"填报信息": "filing.begin", "在线学习": "practice.choose", "参加测评": "sitting.papers", "考核结果": "result.show"}
    built = {label for label, endpoint in known.items() if endpoint in application.view_functions}
    assert set(tiles) | {label for label, _ in shut} == built
    assert set(tiles) == OPEN.get(state, {"填报信息"}) & built
    assert all(len(reason) > 4 for _, reason in shut)
    assert ("修改信息" in page) == (state != "not_included")
    assert "免考" not in page
    for word in ("考核周期", "管辖行政", "主要执业机构", "所属考核机构", "修改密码", "退出登录", "消息"):
        assert word in page


def test_the_facts_of_the_card(someone, in_province):
    put(in_province, someone, "included")
    page = someone.get("/home")
    with in_province("hebei"):
        cycle = people.running_cycle()
        phases = db.session.scalars(select(CyclePhase).where(CyclePhase.cycle_id == cycle.id)).all()
    assert f"{cycle.starts_on:%Y年%m月}-{cycle.ends_on:%Y年%m月}" in page
    for phase in phases:
        assert f"{phase.first_day:%m.%d}-{phase.last_day:%m.%d}" in page


def test_the_ticket_number_is_shown_with_a_button_to_copy_it(someone, in_province):
    put(in_province, someone, "ready")
    with in_province("hebei"):
        if not db.session.scalar(select(AdmissionTicket).where(AdmissionTicket.assessment_id == someone.record_id)):
            db.session.add(AdmissionTicket(assessment_id=someone.record_id, number="14990000000480"))
            db.session.commit()
    assert re.search(r'data-copy="\d{8,}"', someone.get("/home"))


@pytest.mark.parametrize(
    ("state", "days", "said", "unsaid"),
    [
        ("included", -1, "报名截止", "最后一天"), ("draft", 0, "今天是最后一天", "已经过期"), ("draft", 1, "报名已截止", "最后一天"),
        ("included", 1, "如需补报,请尽快联系主要执业机构", "及时提交完成报名"), ("institution_returned", -1, "重新提交截止", "过期"),
    ],
)  # fmt: skip
def test_until_when_is_said_and_when_it_is_over(someone, in_province, state, days, said, unsaid):
    put(in_province, someone, state)
    today = clock.today()
    with in_province("hebei"):
        phases = db.session.scalars(select(CyclePhase)).all()
        kept = {phase.id: phase.last_day for phase in phases}
        for phase in phases:
            if phase.kind == "filing" and phase.last_day > today + timedelta(days=2):
                phase.last_day = today - timedelta(days=days)
        db.session.commit()
    try:
        page = someone.get("/home")
        assert said in page
        assert unsaid not in page
    finally:
        with in_province("hebei"):
            for phase in db.session.scalars(select(CyclePhase)):
                phase.last_day = kept[phase.id]
            db.session.commit()


def test_a_doctor_without_a_test_is_not_told_of_one(someone, in_province, monkeypatch):
    put(in_province, someone, "grading", procedure="simple")
    assert "测评已结束" in someone.get("/home")
    monkeypatch.setattr("dingkao.blueprints.home.without_test", lambda _record: True)
    assert "简易程序不参加测评" in someone.get("/home")


def test_the_day_turns_in_beijing(someone, in_province):
    put(in_province, someone, "draft")
    with in_province("hebei"):
        last = db.session.scalars(select(CyclePhase.last_day).where(CyclePhase.kind == "filing", CyclePhase.cycle_id == people.running_cycle().id)).one()
    from dingkao.blueprints.home import _until

    with in_province("hebei"):
        phases = {phase.kind: phase for phase in db.session.scalars(select(CyclePhase).where(CyclePhase.cycle_id == people.running_cycle().id))}
    with freeze_time(f"{last} 15:59:00"):
        assert "今天是最后一天" in _until("draft", phases)[0]
    with freeze_time(f"{last} 16:01:00"):
        assert "已经过期" in _until("draft", phases)[0]
