"""The console's common part: its blueprints and its side navigation."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, request, url_for
from flask_login import current_user
from sqlalchemy import select

from dingkao.blueprints import of_province
from dingkao.blueprints.access import STAFF
from dingkao.cycles.opening import current_cycle
from dingkao.database.model import db
from dingkao.errors import NotFound
from dingkao.people.models import ROLES, Organisation

ADMIN = "province_admin"
AUDITOR = "auditor"
OF_INSTITUTION = ("institution_clerk", "institution_reviewer")
OF_ORGANISATION = ("organisation_clerk", "organisation_reviewer")


@dataclass(frozen=True)
class Entry:
    """An entry of the side navigation: where it leads, its label and icon, and for whom it is."""

    endpoint: str
    label: str
    icon: str
    who: frozenset[str]


def _entry(endpoint: str, label: str, icon: str, *who: str) -> Entry:
    return Entry(endpoint, label, icon, frozenset(who))


MENU: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    ("", (_entry("office.tasks", "待办", "clipboard-list", STAFF),)),
    ("医师", (
        _entry("doctors.index", "医师", "stethoscope", ADMIN, AUDITOR, *OF_INSTITUTION),
        _entry("doctors.roster", "导入名单", "file-import", ADMIN, *OF_INSTITUTION),
        _entry("enrolment.inclusion", "纳入考核", "user-check", ADMIN, *OF_INSTITUTION),
        _entry("review.queue", "审核", "checkup-list", *OF_INSTITUTION, *OF_ORGANISATION),
        _entry("deciding.queue", "申请", "mail-question", ADMIN, *OF_INSTITUTION, *OF_ORGANISATION),
    )),
    ("考试", (
        _entry("banks.index", "题库", "books", ADMIN, "question_editor"),
        _entry("examinations.papers", "试卷", "file-text", ADMIN, *OF_ORGANISATION),
        _entry("halls.index", "考场与场次", "calendar", ADMIN, *OF_ORGANISATION),
        _entry("watching.index", "考试监控", "eye", ADMIN, AUDITOR, *OF_ORGANISATION),
        _entry("watching.cases", "诚信核查", "shield-check", ADMIN, AUDITOR, *OF_ORGANISATION),
        _entry("scores.offline", "线下成绩", "file-import", ADMIN, *OF_ORGANISATION),
        _entry("scores.analyses", "项目分析", "list-check", ADMIN, AUDITOR, "question_editor"),
        _entry("scores.corrections", "更正答案", "checkup-list", ADMIN, AUDITOR, "question_editor"),
    )),
    ("结果", (
        _entry("results.lines", "分数线", "ruler", ADMIN),
        _entry("results.conclusions", "综合评定", "list-check", ADMIN, *OF_ORGANISATION),
        _entry("results.publications", "发布结果", "speakerphone", ADMIN, AUDITOR),
        _entry("certificates.index", "证书", "certificate", ADMIN, AUDITOR),
    )),
    ("告知", (_entry("editorial.index", "资讯与问答", "speakerphone", ADMIN, AUDITOR),)),
    ("设置", (
        _entry("institutions.index", "机构", "building-hospital", ADMIN, AUDITOR),
        _entry("staff.index", "人员", "users", ADMIN),
        _entry("enrolment.cycle", "周期", "calendar", ADMIN),
        _entry("province.settings", "设置", "settings", ADMIN),
    )),
)  # fmt: skip


def of_office(name: str) -> Blueprint:
    """A blueprint of the console: of a province, with the side navigation on its pages."""
    blueprint = of_province(name)
    blueprint.context_processor(menu)
    return blueprint


def menu() -> dict[str, Any]:
    """The side navigation: what this person can open, nothing else; and for the top bar who one is here, and the cycle."""
    if not current_user.is_authenticated:
        return {}
    held = {STAFF} | current_user.roles
    groups = []
    for title, entries in MENU:
        mine = [one for one in entries if one.who & held and one.endpoint in current_app.view_functions]
        if mine:
            groups.append((title, [(url_for(one.endpoint), one.label, one.icon, request.endpoint == one.endpoint) for one in mine]))
    roles = "、".join(name for role, name in ROLES.items() if role in current_user.roles)
    return {"menu": groups, "my_roles": roles, "cycle_now": current_cycle()}


def organisation_of(organisation_id: UUID) -> Organisation:
    """An organisation of the province; held locked where something is to change. Raises NotFound."""
    query = select(Organisation).where(Organisation.id == organisation_id)
    row = db.session.scalar(query if request.method != "POST" else query.with_for_update())
    if row is None:
        raise NotFound
    return row
