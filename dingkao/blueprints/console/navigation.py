"""What all pages of the console have in common: the blueprints and the side navigation."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Blueprint, request, url_for
from flask_login import current_user
from sqlalchemy import Select

from dingkao.cycles.cycles import current_cycle
from dingkao.jobs import control
from dingkao.people import second_person
from dingkao.people.models import Organisation
from dingkao.people.name_lookups import organisation_names
from dingkao.people.organisation_queries import require_organisation
from dingkao.people.permissions import ROLE_LABELS
from dingkao.people.second_person import recusal_reason
from dingkao.tenants.acting_place import place_code
from dingkao.web.access_control import required_action
from dingkao.web.province_blueprint import province_blueprint


@dataclass(frozen=True)
class MenuEntry:
    """An entry of the side navigation, shown to users who are granted the action of the view that it leads
    to."""

    endpoint: str
    label: str
    icon: str


MENU: tuple[tuple[str, tuple[MenuEntry, ...]], ...] = (
    ("", (MenuEntry("dashboard.show_tasks", "待办", "clipboard-list"), MenuEntry("jobs.list_jobs", "我的任务", "list-check"), MenuEntry("inbox.list_notices", "消息", "mail-question"))),
    ("医师", (
        MenuEntry("doctors.list_doctors", "医师", "stethoscope"),
        MenuEntry("doctors.import_roster", "导入名单", "file-import"),
        MenuEntry("photos.import_photos", "批量照片", "file-import"),
        MenuEntry("departments.list_departments", "科室", "building-hospital"),
        MenuEntry("conduct_records.import_records", "考核依据", "file-import"),
        MenuEntry("participation.list_gaps", "应考尽考", "list-check"),
        MenuEntry("participation.list_comparisons", "注册库比对", "users"),
        MenuEntry("enrolment.inclusion", "纳入考核", "user-check"),
        MenuEntry("enrolment_changes.list_changes", "转入转出", "users"),
        MenuEntry("assisted_filing.list_filings", "代填", "checkup-list"),
        MenuEntry("gradings.list_records", "草拟评定", "checkup-list"),
        MenuEntry("filing_review.pending_records", "审核", "checkup-list"),
        MenuEntry("request_decisions.pending_requests", "申请", "mail-question"),
    )),
    ("考试", (
        MenuEntry("question_banks.list_banks", "题库", "books"),
        MenuEntry("papers.list_papers", "试卷", "file-text"),
        MenuEntry("halls.list_halls", "考场与场次", "calendar"),
        MenuEntry("exam_monitoring.monitoring_page", "考试监控", "eye"),
        MenuEntry("exam_monitoring.list_cases", "诚信核查", "shield-check"),
        MenuEntry("absences.list_absences", "缺考确认", "user-check"),
        MenuEntry("scoring.import_paper_scores", "线下成绩", "file-import"),
        MenuEntry("scoring.list_analyses", "项目分析", "list-check"),
        MenuEntry("scoring.list_corrections", "更正答案", "checkup-list"),
    )),
    ("结果", (
        MenuEntry("results.pass_lines", "分数线", "ruler"),
        MenuEntry("results.conclusions", "综合评定", "list-check"),
        MenuEntry("results.list_meetings", "评定会", "users"),
        MenuEntry("results.publications", "发布结果", "speakerphone"),
        MenuEntry("certificates.list_certificates", "证书", "certificate"),
    )),
    ("告知", (
        MenuEntry("office_notices.list_notices", "通知医师", "mail-question"),
        MenuEntry("article_editor.list_articles", "资讯与问答", "speakerphone"),
    )),
    ("设置", (
        MenuEntry("institutions.list_institutions", "机构", "building-hospital"),
        MenuEntry("staff.list_staff", "人员", "users"),
        MenuEntry("colleagues.list_colleagues", "本机构人员", "users"),
        MenuEntry("proposed_acts.list_acts", "待确认事项", "checkup-list"),
        MenuEntry("enrolment.cycle", "周期", "calendar"),
        MenuEntry("province_settings.edit_settings", "设置", "settings"),
        MenuEntry("journal_verification.journal_status", "审计日志", "shield-check"),
    )),
)  # fmt: skip


def console_blueprint(name: str) -> Blueprint:
    """A blueprint of the console: within a province, with the side navigation on its pages."""
    blueprint = province_blueprint(name)
    blueprint.context_processor(menu_for_current_user)
    return blueprint


def menu_for_current_user() -> dict[str, Any]:
    """Template variables of the layout: the side navigation with the pages that the user may open, the user's
    roles and the places where they are held, the current cycle, and how many own jobs have ended unseen (None
    for who has none); no variables if nobody is signed in."""
    if not current_user.is_authenticated:
        return {}
    groups = [(title, _allowed_links(entries)) for title, entries in MENU]
    return {
        "menu": [(title, links) for title, links in groups if links],
        "my_roles": _roles_text(),
        "my_places": _places(),
        "cycle_now": current_cycle(),
        "unseen_jobs": control.count_unseen(current_user.id) if current_user.may("jobs.own") else None,
    }


def _allowed_links(
    entries: Iterable[MenuEntry],
) -> list[tuple[str, str, str, bool]]:
    """The entries that the user may open: URL, label, icon, whether it is the current page."""
    return [
        (
            url_for(entry.endpoint),
            entry.label,
            entry.icon,
            request.endpoint == entry.endpoint,
        )
        for entry in entries
        if _is_allowed(entry.endpoint)
    ]


def _roles_text() -> str:
    """The labels of the roles that the user holds at the place acted at, in the order of ROLE_LABELS."""
    return "、".join(name for role, name in ROLE_LABELS.items() if role in current_user.roles)


@dataclass(frozen=True)
class Place:
    """Where a user holds roles: its code (`acting_place`), the roles' labels, the organisation's name ("" for
    the province's office), and whether the user acts there now, alone or with all others."""

    code: str
    roles: str
    name: str
    is_current: bool


def _places() -> list[Place]:
    """The places where the current user holds roles, by name."""
    ids = {membership.organisation_id for membership in current_user.all_memberships}
    current_ids = {membership.organisation_id for membership in current_user.memberships}
    names = organisation_names(ids)
    places = [
        Place(
            place_code(organisation_id),
            "、".join(
                label
                for role, label in ROLE_LABELS.items()
                if any(
                    (membership.role, membership.organisation_id) == (role, organisation_id)
                    for membership in current_user.all_memberships
                )
            ),
            names.get(organisation_id, "") if organisation_id else "",
            organisation_id in current_ids,
        )
        for organisation_id in ids
    ]
    return sorted(places, key=lambda place: (place.name, place.code))


def _is_allowed(endpoint: str) -> bool:
    """Whether the current user is granted the action of the view with this endpoint."""
    action = required_action(endpoint)
    return action is not None and current_user.may(action)


def current_user_recusal_reason(*earlier: UUID | None) -> str | None:
    """The sentence why the current user may not decide on what the accounts `earlier` proposed or did; None
    if the user may, or is one of these accounts (pages say that otherwise)."""
    return recusal_reason(current_user.id, *earlier)


def count_decidable(query: Select[Any], *earlier: Any) -> tuple[int, int]:
    """How many rows of a query the current user may decide on, and how many only somebody else may, among the
    first `second_person.MAX_LOOKED_AT`. `earlier`: columns with the accounts that acted before."""
    return second_person.count_decidable(query, current_user.id, *earlier)


def get_organisation(organisation_id: UUID) -> Organisation:
    """The organisation with that id, locked in a POST. Raises NotFound."""
    return require_organisation(organisation_id, for_update=request.method == "POST")
