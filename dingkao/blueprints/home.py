"""The doctor's home page [S6]: where am I in the cycle, what must I do now, until when."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flask import current_app, redirect, render_template, url_for
from flask_login import current_user
from sqlalchemy import Row, Select, Uuid, and_, bindparam, exists, func, select
from sqlalchemy.orm import aliased
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.models import PROCEDURES, Assessment
from dingkao.assessments.moves import without_test
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.cycles.models import PHASES, Cycle, CyclePhase
from dingkao.cycles.opening import current_cycle, phases_of
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.exams.models import AdmissionTicket
from dingkao.filings.dossier import notice_digest
from dingkao.filings.models import NoticeReading
from dingkao.people.models import Notice, Organisation
from dingkao.tenants import settings

home = of_province("home")
NO_CYCLE = "本省尚未开始新的考核周期,开始后本机构会通知您,请留意。"
MESSAGES = {
    "not_included": "您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人",
    "included": "您已被主要执业机构纳入本周期考核,请点击下方“填报信息”,及时提交完成报名",
    "draft": "您的报名信息已保存,尚未提交。请点击下方“填报信息”,填写完整后提交,否则机构无法审核",
    "institution_pending": "您的报名信息已提交,正在等待主要执业机构审核,请留意审核结果",
    "institution_returned": "您的报名信息已被退回,请点击下方“填报信息”,按退回原因修改后重新提交",
    "organisation_pending": "主要执业机构已审核通过,正在等待考核机构复核,请留意复核结果",
    "organisation_returned": "考核机构已将材料退回主要执业机构核对,您暂时无需操作,请留意后续通知",
    "ready": "个人报名信息已通过审核,请关注后续考试通知,点击下方“参加测评”,按时完成测评({procedure})",
    "deferred": "您的延考申请已通过并备案,本次不需要参加测评。延考时间另行通知,请留意消息",
    "testing": "您已开始测评,请点击下方“参加测评”,在截止时间前完成全部试卷({procedure})",
    "scored": "您已完成测评,请等待本省公布合格线和考核结果({procedure})",
    "absent": "您未在规定时间内参加测评,请联系所属考核机构了解后续安排",
    "grading": "测评已结束,考核机构正在综合评定,请等待考核结果发布",
    "confirming": "综合评定已完成,请等待本省发布考核结果",
    "passed": "您本周期的考核结果已发布,请点击下方“考核结果”查看({procedure})",
    "failed": "您本周期的考核结果已发布,请点击下方“考核结果”查看({procedure})",
}
OVER = {
    "included": "您已被纳入本周期考核,但报名已截止,您还没有填报。如需补报,请尽快联系主要执业机构",
    "draft": "报名已截止,您的报名信息已保存但没有提交,机构无法审核。如需补报,请尽快联系主要执业机构",
}
EARLY = "您已被主要执业机构纳入本周期考核,报名从{}年{:02d}月{:02d}日开始,届时请点击下方“填报信息”填写并提交"
STAGES = {
    "filing": ("not_included", "included", "draft", "institution_returned"),
    "review": ("institution_pending", "organisation_pending", "organisation_returned"),
    "examination": ("ready", "deferred", "testing", "scored", "absent", "grading", "confirming"),
    "completion": ("passed", "failed"),
}
WAITING = ("draft", "institution_returned", "included")


@dataclass(frozen=True)
class Tile:
    """One of the four functions; `icon` is its picture under static/, `reason` says why it is locked, None where it is open."""

    label: str
    icon: str
    address: str
    reason: str | None


@home.get("/home")
@allow(DOCTOR)
def show() -> Response | str:
    """The page; before it, once a cycle, the user notice [S5]."""
    cycle = current_cycle()
    mine = _mine(cycle)
    if cycle and not mine.notice_read:
        return redirect(url_for("filing.notice"))
    phases = phases_of(cycle) if cycle else {}
    state = mine.state or "not_included"
    return render_template(
        "home/show.html", mine=mine, cycle=cycle, phases=phases, names=PHASES, state=state, message=_message(state, mine, phases) if cycle else NO_CYCLE,
        stage=next(name for name, states in STAGES.items() if state in states), waits=state in WAITING, tiles=_tiles(state, cycle),
        until=_until(state, phases), contact=settings.value("contact"), hours=settings.value("contact_hours"),
    )  # fmt: skip


def _mine(cycle: Cycle | None) -> Row[Any]:
    """What the page tells of the doctor, in one question: it is the page that everyone opens in the last two days."""
    given = {"account": current_user.id, "cycle": cycle.id if cycle else None, "digest": notice_digest()}
    return db.session.execute(_question(), given).one()


@lru_cache(maxsize=1)
def _question() -> Select[Any]:
    """The question, put together once: that takes longer than to answer it."""
    account, cycle = bindparam("account", type_=Uuid()), bindparam("cycle", type_=Uuid())
    record, later, institution, assessor = aliased(Assessment), aliased(Assessment), aliased(Organisation), aliased(Organisation)
    newest = ~exists().where(
        later.tenant_id == record.tenant_id, later.cycle_id == record.cycle_id, later.doctor_id == record.doctor_id, later.id > record.id
    )
    unread = select(func.count()).where(Notice.account_id == account, Notice.read_at.is_(None)).scalar_subquery()
    read = exists().where(NoticeReading.doctor_id == Doctor.id, NoticeReading.cycle_id == cycle, NoticeReading.digest == bindparam("digest"))
    place, assessed_by = func.coalesce(record.institution_id, Doctor.organisation_id), func.coalesce(record.assessor_id, institution.assessment_organisation_id)
    return (
        select(
            Doctor.name, record.state, record.procedure, record.returned_reason, institution.name.label("institution"), institution.health_authority,
            assessor.name.label("assessor"), AdmissionTicket.number.label("ticket"), unread.label("unread"), read.label("notice_read"),
        )
        .select_from(Doctor)
        .outerjoin(record, and_(record.tenant_id == Doctor.tenant_id, record.doctor_id == Doctor.id, record.cycle_id == cycle, newest))
        .join(institution, and_(institution.tenant_id == Doctor.tenant_id, institution.id == place))
        .outerjoin(assessor, and_(assessor.tenant_id == Doctor.tenant_id, assessor.id == assessed_by))
        .outerjoin(AdmissionTicket, and_(AdmissionTicket.tenant_id == Doctor.tenant_id, AdmissionTicket.assessment_id == record.id))
        .where(Doctor.account_id == account)
    )  # fmt: skip


def _message(state: str, record: Row[Any], phases: dict[str, CyclePhase]) -> str:
    """What the state means and what to do; where the days for doing it are over, whom to ask."""
    filing = phases.get("filing")
    if state in ("included", "draft") and filing and clock.today() > filing.last_day:
        return OVER[state]
    if state in ("included", "draft") and filing and clock.today() < filing.first_day:
        return EARLY.format(filing.first_day.year, filing.first_day.month, filing.first_day.day)
    if state == "grading" and without_test(record.procedure):
        return "您的材料已通过复核,按本省规定简易程序不参加测评,考核机构正在综合评定,请等待考核结果发布"
    return MESSAGES[state].format(procedure=PROCEDURES.get(record.procedure or "", "一般程序"))


def _tiles(state: str, cycle: Cycle | None) -> list[Tile]:
    """The four functions [S6]; what is not open yet says why."""
    before_review = state in STAGES["filing"] + STAGES["review"]
    wanted = (
        ("填报信息", "img/filing.svg", "filing.begin", None if cycle and state != "not_included" else "纳入考核后开放"),
        ("在线学习", "img/practice.svg", "practice.choose", "通过审核后开放" if before_review else None if state == "ready" else "测评开始后关闭"),
        ("参加测评", "img/sitting.svg", "sitting.papers", "通过审核后开放" if before_review else None if state in ("ready", "testing") else "测评已结束"),
        ("考核结果", "img/result.svg", "result.show", None if state in STAGES["completion"] else "结果发布后开放"),
    )
    return [Tile(label, icon, url_for(endpoint), reason) for label, icon, endpoint, reason in wanted if endpoint in current_app.view_functions]


def _until(state: str, phases: dict[str, CyclePhase]) -> tuple[str, bool] | None:
    """What to do by when, and whether that is today or over."""
    kind = "filing" if state in ("included", "draft") else "review" if state == "institution_returned" else "examination" if state in ("ready", "testing") else None
    phase = phases.get(kind) if kind else None
    if phase is None:
        return None
    what = {"filing": "报名", "review": "重新提交", "examination": "考核"}[phase.kind]
    last, today = phase.last_day, clock.today()
    note = ",今天是最后一天" if last == today else ",已经过期" if last < today else ""
    return f"{what}截止:{last.year}年{last.month:02d}月{last.day:02d}日{note}", last <= today
