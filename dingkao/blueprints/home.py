"""The doctor's home page [S6]: where am I in the cycle, what must I do now, until when, whom do I ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from flask import current_app, redirect, render_template, url_for
from flask_login import current_user
from sqlalchemy import Date, Integer, Row, Select, Uuid, and_, bindparam, exists, func, select, true
from sqlalchemy.orm import aliased
from werkzeug.wrappers import Response

from dingkao import clock
from dingkao.assessments.models import PROCEDURES, Assessment
from dingkao.assessments.moves import without_test
from dingkao.blueprints import of_province
from dingkao.blueprints.access import DOCTOR, allow
from dingkao.cycles.models import PHASES, Cycle, CyclePhase
from dingkao.cycles.opening import in_turn
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.exams.models import AdmissionTicket
from dingkao.exams.practice import NOT_INCLUDED, NOT_YET, PHASE_OVER, closed_in
from dingkao.exams.practice import OVER as TEST_BEGUN
from dingkao.filings.dossier import notice_digest
from dingkao.filings.models import NoticeReading
from dingkao.people.models import Notice, Organisation
from dingkao.people.organisations import TELEPHONE
from dingkao.requests.models import KINDS as REQUESTS
from dingkao.requests.models import OPEN, Request
from dingkao.tenants import settings
from dingkao.tenants.context import current_tenant

home = of_province("home")


@dataclass(frozen=True)
class Standing:
    """What a state means to the doctor in it: its name, the stage of the timeline that it stands in, the message [S6], what comes next, by
    when (phases, the later end of which counts, and a word for it), whom to ask. `acts`: the doctor must do something until then.
    `help`: the topic of a help that belongs here."""

    name: str
    stage: str
    message: str
    onward: str = ""
    phases: tuple[str, ...] = ()
    until: str = ""
    ask: str = "institution"
    acts: bool = False
    help: str = ""


STANDINGS = {
    "not_included": Standing(
        "未纳入", "filing", "您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人", "本机构在报名截止前把您纳入后,这里会开放填报", ("filing",), "报名截止", help="not-included",
    ),
    "included": Standing(
        "待填报", "filing", "您已被主要执业机构纳入本周期考核,请点击下方“填报信息”,及时提交完成报名", "分五步填写,在最后一步提交", ("filing",), "报名截止", acts=True, help="saved-not-submitted",
    ),
    "draft": Standing(
        "填报中", "filing", "您的报名信息已保存,尚未提交。请点击下方“填报信息”,填写完整后提交,否则机构无法审核", "填完五步,在最后一步提交", ("filing",), "报名截止",
        acts=True, help="saved-not-submitted",
    ),
    "institution_pending": Standing(
        "待机构审核", "review", "您的报名信息已提交,正在等待主要执业机构审核,请留意审核结果", "机构审核通过后,由考核机构复核", ("review",), "审核截止", help="withdraw",
    ),
    "institution_returned": Standing(
        "机构退回", "filing", "您的报名信息已被退回,请点击下方“填报信息”,按退回原因修改后重新提交", "修改后重新提交", ("filing", "review"), "重新提交截止", acts=True, help="returned",
    ),
    "organisation_pending": Standing(
        "待考核机构复核", "review", "主要执业机构已审核通过,正在等待考核机构复核,请留意复核结果", "复核通过后,进入待测评", ("review",), "审核截止", "assessor",
    ),
    "organisation_returned": Standing(
        "考核机构退回", "review", "考核机构已将材料退回主要执业机构核对,您暂时无需操作,请留意后续通知", "机构核对后重新送考核机构复核", ("review",), "审核截止",
    ),
    "ready": Standing(
        "待测评", "examination", "个人报名信息已通过审核,请关注后续考试通知,点击下方“参加测评”,按时完成测评({procedure})", "先在线学习,再参加测评", ("examination",),
        "考核截止", "assessor", acts=True, help="connection",
    ),
    "deferred": Standing(
        "已延考备案", "examination", "您的延考申请已通过并备案,本次不需要参加测评。延考时间另行通知,请留意消息", "延考安排好后会有消息通知您", ask="assessor", help="deferred",
    ),
    "testing": Standing(
        "测评中", "examination", "您已开始测评,请点击下方“参加测评”,在截止时间前完成全部试卷({procedure})", "完成全部试卷", ("examination",), "考核截止", "assessor",
        acts=True, help="connection",
    ),
    "scored": Standing(
        "已交卷", "examination", "您已完成测评,请等待本省公布合格线和考核结果({procedure})", "公布合格线后综合评定", ("completion",), "完成阶段至", "assessor", help="score",
    ),
    "absent": Standing("缺考", "examination", "您未在规定时间内参加测评,请联系所属考核机构了解后续安排", "由考核机构告知是否安排补考", ask="assessor", help="missed-exam"),
    "grading": Standing(
        "待综合评定", "examination", "测评已结束,考核机构正在综合评定,请等待考核结果发布", "评定后由本省发布结果", ("completion",), "完成阶段至", "assessor", help="score",
    ),
    "confirming": Standing("待发布", "examination", "综合评定已完成,请等待本省发布考核结果", "结果发布后会有消息通知您", ("completion",), "完成阶段至", "assessor", help="score"),
    "passed": Standing("结果已发布", "completion", "您本周期的考核结果已发布,请点击下方“考核结果”查看({procedure})", ask="assessor", help="save-certificate"),
    "failed": Standing("结果已发布", "completion", "您本周期的考核结果已发布,请点击下方“考核结果”查看({procedure})", ask="assessor", help="failed"),
}  # fmt: skip
NO_CYCLE = "本省尚未开始新的考核周期,开始后本机构会通知您,请留意。"
OVER = {
    "included": "您已被纳入本周期考核,但报名已截止,您还没有填报。如需补报,请尽快联系主要执业机构",
    "draft": "报名已截止,您的报名信息已保存但没有提交,机构无法审核。如需补报,请尽快联系主要执业机构",
    "institution_returned": "您的报名信息已被退回,重新提交的时间已过。如需补报,请尽快联系主要执业机构",
}
EARLY = "您已被主要执业机构纳入本周期考核,报名从{}开始,届时请点击下方“填报信息”填写并提交"
EXEMPTED = "您的免考申请已通过,不需要参加测评。考核机构正在综合评定,请等待考核结果发布"
ASKING = {"draft": "您有一份{}申请尚未提交", "first_pending": "您的{}申请正在办理", "second_pending": "您的{}申请正在复审"}
WITHOUT_TEST = "您的材料已通过复核,按本省规定简易程序不参加测评,考核机构正在综合评定,请等待考核结果发布"
PRACTICE = {NOT_INCLUDED: "纳入考核后开放", NOT_YET: "通过审核后开放", TEST_BEGUN: "测评开始后关闭", PHASE_OVER: "考核结束后关闭"}
UNSENT = {"draft": "已保存,尚未提交", "institution_returned": "已退回,尚未重新提交"}
MENU: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("修改密码", "account.password", {}), ("账号与安全", "account.show", {}), ("显示设置", "display.choose", {"back": "/home"}),
)  # fmt: skip
"""What the gear's menu has between 「修改信息」 and 「退出登录」."""


class Phase(NamedTuple):
    """The days of a phase, both counted."""

    first_day: date
    last_day: date


@dataclass(frozen=True)
class Deadline:
    """A last day, what it is the last day of, and how far it is: «still», «last» (today) or «over»; `presses` where the doctor must act."""

    word: str
    last_day: date
    presses: bool

    @property
    def left(self) -> int:
        """The days that are left after today, less than none where it is over."""
        return (self.last_day - clock.today()).days

    @property
    def urgent(self) -> bool:
        """Whether the doctor must act and today is the last day, or it is over."""
        return self.presses and self.left <= 0

    @property
    def note(self) -> str:
        """How far it is, in words."""
        return f"还有{self.left}天" if self.left > 0 else "今天是最后一天" if self.left == 0 else "已经过期" if self.presses else "已过"


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
    mine = _mine()
    if mine.cycle_id and not mine.notice_read:
        return redirect(url_for("filing.notice"))
    phases = {kind: Phase(*map(date.fromisoformat, days)) for kind, days in (mine.phases or {}).items()}
    state = mine.state or "not_included"
    standing, no_practice = STANDINGS[state], _no_practice(state, phases)
    return render_template(
        "home/show.html", mine=mine, phases=phases, stages=_stages(standing, phases), state=state, standing=standing if mine.cycle_id else None,
        message=_message(state, mine, phases) if mine.cycle_id else NO_CYCLE, tiles=_tiles(state, mine, phases, no_practice), practising=no_practice is None,
        until=_until(standing, phases), unsent=UNSENT.get(state), ask=_ask(standing, mine), asking=_asking(mine.asked),
        help="deadline-passed" if _over(state, standing, phases) else standing.help, contact=settings.value("contact"),
        hours=settings.value("contact_hours"), menu=[(label, url_for(endpoint, **more)) for label, endpoint, more in MENU],
    )  # fmt: skip


def _mine() -> Row[Any]:
    """What the page tells of the doctor, in one question beside that for the settings: it is the page that everyone opens in the last two
    days. It is asked of the connection, because the session's way of putting the province into a question costs more than the answer."""
    given = {"tenant": current_tenant(), "account": current_user.id, "today": clock.today(), "digest": notice_digest()}
    return db.session.connection().execute(_question(), given).one()


@lru_cache(maxsize=1)
def _question() -> Select[Any]:
    """The question, put together once: that takes longer than to answer it. It names the province of every table itself."""
    tenant, account, today = bindparam("tenant", type_=Integer()), bindparam("account", type_=Uuid()), bindparam("today", type_=Date())
    record, later, institution, assessor = aliased(Assessment), aliased(Assessment), aliased(Organisation), aliased(Organisation)
    cycle = select(Cycle.id, Cycle.starts_on, Cycle.ends_on).where(Cycle.tenant_id == tenant).order_by(*in_turn(today)).limit(1).subquery("cycle_now")
    newest = ~exists().where(
        later.tenant_id == record.tenant_id, later.cycle_id == record.cycle_id, later.doctor_id == record.doctor_id, later.id > record.id
    )
    days = func.json_object_agg(CyclePhase.kind, func.json_build_array(CyclePhase.first_day, CyclePhase.last_day))
    phases = select(days).where(CyclePhase.tenant_id == tenant, CyclePhase.cycle_id == cycle.c.id).scalar_subquery()
    unread = select(func.count()).where(Notice.tenant_id == tenant, Notice.account_id == account, Notice.read_at.is_(None)).scalar_subquery()
    read = exists().where(
        NoticeReading.tenant_id == tenant, NoticeReading.doctor_id == Doctor.id, NoticeReading.cycle_id == cycle.c.id,
        NoticeReading.digest == bindparam("digest"),
    )  # fmt: skip
    open_request = and_(Request.tenant_id == tenant, Request.assessment_id == record.id, Request.state.in_(OPEN))
    asked = select(func.json_build_array(Request.kind, Request.state)).where(open_request).order_by(Request.id.desc()).limit(1).scalar_subquery()
    place, assessed_by = func.coalesce(record.institution_id, Doctor.organisation_id), func.coalesce(record.assessor_id, institution.assessment_organisation_id)
    return (
        select(
            Doctor.name, cycle.c.id.label("cycle_id"), cycle.c.starts_on, cycle.c.ends_on, phases.label("phases"), record.state, record.procedure, record.exempted, asked.label("asked"),
            record.returned_reason, institution.name.label("institution"), institution.health_authority,
            institution.contact.label("institution_contact"), assessor.name.label("assessor"), assessor.contact.label("assessor_contact"),
            AdmissionTicket.number.label("ticket"), unread.label("unread"), read.label("notice_read"),
        )
        .select_from(Doctor)
        .outerjoin(cycle, true())
        .outerjoin(record, and_(record.tenant_id == Doctor.tenant_id, record.doctor_id == Doctor.id, record.cycle_id == cycle.c.id, newest))
        .join(institution, and_(institution.tenant_id == Doctor.tenant_id, institution.id == place))
        .outerjoin(assessor, and_(assessor.tenant_id == Doctor.tenant_id, assessor.id == assessed_by))
        .outerjoin(AdmissionTicket, and_(AdmissionTicket.tenant_id == Doctor.tenant_id, AdmissionTicket.assessment_id == record.id))
        .where(Doctor.tenant_id == tenant, Doctor.account_id == account)
    )  # fmt: skip


def _message(state: str, mine: Row[Any], phases: Mapping[str, Phase]) -> str:
    """What the state means and what to do; where the days for doing it are over or have not come, that."""
    standing, filing = STANDINGS[state], phases.get("filing")
    if _over(state, standing, phases):
        return OVER[state]
    if state in ("included", "draft") and filing and clock.today() < filing.first_day:
        return EARLY.format(f"{filing.first_day:%Y年%m月%d日}")
    if state == "grading" and mine.exempted:
        return EXEMPTED
    if state == "grading" and without_test(mine.procedure):
        return WITHOUT_TEST
    return standing.message.format(procedure=PROCEDURES.get(mine.procedure or "", "一般程序"))


def _asking(asked: list[str] | None) -> str | None:
    """What is being asked for, in words: the newest request that is open."""
    return ASKING[asked[1]].format(REQUESTS[asked[0]]) if asked else None


def _over(state: str, standing: Standing, phases: Mapping[str, Phase]) -> bool:
    until = _until(standing, phases)
    return state in OVER and until is not None and until.left < 0


def _until(standing: Standing, phases: Mapping[str, Phase]) -> Deadline | None:
    """The last day that counts in a state."""
    days = [phases[kind].last_day for kind in standing.phases if kind in phases]
    return Deadline(standing.until, max(days), standing.acts) if days else None


def _stages(standing: Standing, phases: Mapping[str, Phase]) -> list[tuple[str, str, Phase | None]]:
    """The stages [S6], each with its mark, which follows the doctor's own state and not the calendar: done, here or to come."""
    here = list(PHASES).index(standing.stage)
    marks = ["done" if place < here else "here" if place == here else "" for place in range(len(PHASES))]
    return [(label, mark, phases.get(kind)) for (kind, label), mark in zip(PHASES.items(), marks, strict=True)]


def _no_practice(state: str, phases: Mapping[str, Phase]) -> str | None:
    """Why there is no practice, in few words; None while there is."""
    examination = phases.get("examination")
    return PRACTICE.get(closed_in(state, examination.last_day if examination else None) or "")


def _tiles(state: str, mine: Row[Any], phases: Mapping[str, Phase], learn: str | None) -> list[Tile]:
    """The four functions [S6]; what is not open yet says why."""
    stage, filing = STANDINGS[state].stage, phases.get("filing")
    before_review = stage in ("filing", "review")
    early = state == "included" and filing is not None and clock.today() < filing.first_day
    file = "纳入考核后开放" if not mine.cycle_id or state == "not_included" else f"{filing.first_day:%m月%d日}开放" if early and filing else None
    test = "通过审核后开放" if before_review else None if state in ("ready", "testing") else "不参加测评" if without_test(mine.procedure) or mine.exempted else "延考另行通知" if state == "deferred" else "测评已结束"
    wanted = (
        ("填报信息", "img/filing.svg", "filing.begin", file), ("在线学习", "img/practice.svg", "practice.choose", learn),
        ("参加测评", "img/sitting.svg", "sitting.papers", test),
        ("考核结果", "img/result.svg", "result.show", None if stage == "completion" else "结果发布后开放"),
    )  # fmt: skip
    return [Tile(label, icon, url_for(endpoint), reason) for label, icon, endpoint, reason in wanted if endpoint in current_app.view_functions]


def _ask(standing: Standing, mine: Row[Any]) -> list[tuple[str, str, list[str]]]:
    """Whom to ask, the one who has it in hand first: a word, a name, and whom to call, in pieces of which every second is a telephone."""
    own = ("联系本机构", mine.institution, _pieces(mine.institution_contact))
    theirs = ("联系考核机构", mine.assessor, _pieces(mine.assessor_contact))
    found = [theirs, own] if standing.ask == "assessor" else [own]
    return [one for one in found if one[1]]


def _pieces(contact: str | None) -> list[str]:
    """A contact taken apart at its telephone numbers, so that each can be tapped."""
    pieces, last = list[str](), 0
    for number in TELEPHONE.finditer(contact or ""):
        pieces += [(contact or "")[last : number.start()], number[0]]
        last = number.end()
    return [*pieces, (contact or "")[last:]]
