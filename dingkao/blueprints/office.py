"""The console's first page: what waits for whom (待办), and for a new province what is still to be set up."""

from dataclasses import dataclass
from typing import Any

from flask import render_template, url_for
from flask_login import current_user
from sqlalchemy import Select, func, select

from dingkao.assessments.models import Assessment
from dingkao.blueprints import deciding, scores
from dingkao.blueprints.access import STAFF, allow
from dingkao.blueprints.console import ADMIN, OF_INSTITUTION, OF_ORGANISATION, of_office
from dingkao.blueprints.review import waiting_counts
from dingkao.blueprints.watching import waiting_cases
from dingkao.cycles.models import PHASES, Cycle
from dingkao.cycles.opening import current_cycle, phases_of
from dingkao.database.model import db
from dingkao.doctors.models import Doctor
from dingkao.exams.models import Paper, Question
from dingkao.people.models import ROLES, Account, Membership, Organisation
from dingkao.requests.models import SIDES
from dingkao.results import lines, publishing
from dingkao.results.models import Publication
from dingkao.tenants import settings

office = of_office("office")


@dataclass(frozen=True)
class Task:
    """Something that waits: how many, and the page where it is done."""

    label: str
    count: int
    address: str
    act: str


@dataclass(frozen=True)
class Step:
    """A step of setting a province up: done or not, and the page where it is done."""

    label: str
    hint: str
    done: bool
    address: str


@office.get("/office")
@allow(STAFF)
def tasks() -> str:
    """What waits for this person, each with the way to it; what is late comes first by its place in the work."""
    cycle = current_cycle()
    waiting: list[Task] = []
    for roles, those in ((frozenset({ADMIN}), _of_admin), (frozenset(OF_INSTITUTION), _of_institution), (frozenset(OF_ORGANISATION), _of_organisation)):
        if roles & current_user.roles:
            waiting += those(cycle)
    asked = deciding.waiting_counts()
    waiting += [
        Task(f"医师申请等待您办理({SIDES[side]})", number, url_for("deciding.queue", side=side), "去办理") for side, number in asked.items()
    ]
    waiting.append(Task("诚信核查等待您办理", waiting_cases(), url_for("watching.cases"), "去办理"))
    waiting += [Task(*one) for one in scores.waiting_tasks()]
    names = {row.id: row.name for row in db.session.scalars(select(Organisation).where(Organisation.id.in_(current_user.organisations())))}
    roles_held = [(ROLES[m.role], names.get(m.organisation_id, "") if m.organisation_id else "") for m in current_user.memberships]
    steps = _steps(cycle) if ADMIN in current_user.roles else []
    return render_template(
        "office/tasks.html", waiting=[one for one in waiting if one.count], roles=roles_held, cycle=cycle, names=PHASES,
        phases=phases_of(cycle) if cycle else {}, steps=[] if all(one.done for one in steps) else steps,
    )  # fmt: skip


def _of_admin(cycle: Cycle | None) -> list[Task]:
    unassigned = _count(select(func.count()).select_from(Organisation).where(Organisation.assessment_organisation_id.is_(None)))
    told = [Task("尚未指定考核机构的机构", unassigned, url_for("institutions.index"), "去指定")]
    if cycle:
        standing, me = lines.standing(cycle).values(), current_user.id
        proposed = sum(one.approved_at is None and one.proposed_by != me for one in standing)
        lists = select(func.count()).select_from(Publication).where(
            Publication.cycle_id == cycle.id, Publication.approved_at.is_(None), Publication.withdrawn_at.is_(None), Publication.proposed_by != me
        )
        counts = publishing.counts(cycle)
        told += [
            Task("合格线等待您确认", proposed, url_for("results.lines"), "去确认"),
            Task("发布清单等待您确认", _count(lists), url_for("results.publications"), "去确认"),
            Task("已交卷,合格线未生效", counts["scored"], url_for("results.lines"), "看合格线"),
            Task("综合评定完成,待发布", counts["confirming"], url_for("results.publications"), "去发布"),
            Task("未纳入本周期的医师", counts["not_included"], url_for("enrolment.inclusion"), "去纳入"),
        ]
    return told


def _of_institution(cycle: Cycle | None) -> list[Task]:
    mine = current_user.organisations(*OF_INSTITUTION)
    unopened = (
        select(func.count()).select_from(Doctor)
        .join(Account, (Account.tenant_id == Doctor.tenant_id) & (Account.id == Doctor.account_id))
        .where(Doctor.organisation_id.in_(mine), Account.state == "initial")
    )  # fmt: skip
    told = []
    if cycle:
        counted = select(Assessment.state, func.count()).where(Assessment.cycle_id == cycle.id, Assessment.institution_id.in_(mine))
        counts = dict(db.session.execute(counted.group_by(Assessment.state)).all())
        told += [
            Task("待机构审核", waiting_counts().get("institution", 0), url_for("review.queue", side="institution"), "去审核"),
            Task("未纳入本周期的医师", counts.get("not_included", 0), url_for("enrolment.inclusion"), "去纳入"),
            Task("已纳入,还没有填报", counts.get("included", 0), url_for("enrolment.inclusion", state="included"), "看名单"),
            Task("填报中,还没有提交", counts.get("draft", 0), url_for("enrolment.inclusion", state="draft"), "看名单"),
            Task("退回后还没有重新提交", counts.get("institution_returned", 0), url_for("enrolment.inclusion", state="institution_returned"), "看名单"),
        ]
    return [*told, Task("还没有登录过的医师", _count(unopened), url_for("doctors.index"), "看名单")]


def _of_organisation(cycle: Cycle | None) -> list[Task]:
    mine = current_user.organisations(*OF_ORGANISATION)
    if cycle is None:
        return []
    concluding = select(func.count()).select_from(Assessment).where(
        Assessment.cycle_id == cycle.id, Assessment.assessor_id.in_(mine), Assessment.state.in_(("grading", "absent"))
    )
    return [
        Task("待考核机构复核", waiting_counts().get("organisation", 0), url_for("review.queue", side="organisation"), "去复核"),
        Task("待综合评定", _count(concluding), url_for("results.conclusions"), "去评定"),
    ]


def _steps(cycle: Cycle | None) -> list[Step]:
    """What a province needs before its doctors can begin, in the order in which it is done."""
    def there(query: Select[Any]) -> bool:
        return db.session.scalar(query.limit(1)) is not None

    admins = _count(select(func.count(Membership.account_id.distinct())).where(Membership.role == ADMIN))
    unassigned = there(select(Organisation.id).where(Organisation.assessment_organisation_id.is_(None)))
    institutions = there(select(Organisation.id))
    return [
        Step("公布客服电话", "显示在每位医师的主页上。", bool(settings.value("contact")), url_for("province.settings")),
        Step("上传公章", "未上传前,结果通知书标注“样张”。", bool(settings.value("seal")), url_for("province.settings", _anchor="seal")),
        Step("添加机构", "从表格导入,或逐个添加。", institutions, url_for("institutions.index")),
        Step("指定考核机构", "每家机构都要有所属考核机构,医院可以考核本院。", institutions and not unassigned, url_for("institutions.index")),
        Step("邀请第二位省级管理员", "合格线和结果发布须由两人办理。", admins > 1, url_for("staff.index")),
        Step("邀请机构和考核机构人员", "经办人、审核人、复核人。", there(select(Membership.id).where(Membership.organisation_id.is_not(None))), url_for("staff.index")),
        Step("开始考核周期", "填写报名、审核、考核、完成的日期。", cycle is not None, url_for("enrolment.cycle")),
        Step("导入题库", "公共知识和各执业类别的业务水平。", there(select(Question.id)), url_for("banks.index")),
        Step("安排试卷", "按执业类别、级别和科目。", cycle is not None and there(select(Paper.id).where(Paper.cycle_id == cycle.id)), url_for("examinations.papers")),
        Step("导入医师名单", "也可以由各机构经办人导入本机构的名单。", there(select(Doctor.id)), url_for("doctors.roster")),
    ]  # fmt: skip


def _count(query: Select[Any]) -> int:
    return int(db.session.scalar(query) or 0)
