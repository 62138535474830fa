"""The console's common part: its blueprints and its side navigation."""

from typing import Any

from flask import Blueprint, current_app, request, url_for
from flask_login import current_user

from dingkao.blueprints import of_province
from dingkao.blueprints.access import STAFF

ADMIN = "province_admin"
AUDITOR = "auditor"
OF_INSTITUTION = ("institution_clerk", "institution_reviewer")
OF_ORGANISATION = ("organisation_clerk", "organisation_reviewer")
MENU: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("office.tasks", "待办", frozenset({STAFF})),
    ("office.institutions", "机构", frozenset({ADMIN, AUDITOR})),
    ("office.staff", "人员", frozenset({ADMIN})),
    ("office.cycle", "周期", frozenset({ADMIN})),
    ("office.doctors", "医师", frozenset({ADMIN, AUDITOR, *OF_INSTITUTION})),
    ("office.roster", "导入名单", frozenset({ADMIN, *OF_INSTITUTION})),
    ("office.inclusion", "纳入考核", frozenset({ADMIN, *OF_INSTITUTION})),
    ("review.queue", "审核", frozenset({*OF_INSTITUTION, *OF_ORGANISATION})),
    ("examinations.banks", "题库", frozenset({ADMIN, "question_editor"})),
    ("examinations.papers", "试卷", frozenset({ADMIN, *OF_ORGANISATION})),
    ("results.lines", "分数线", frozenset({ADMIN})),
    ("results.conclusions", "综合评定", frozenset({ADMIN, *OF_ORGANISATION})),
    ("results.publications", "发布结果", frozenset({ADMIN, AUDITOR})),
    ("certificates.index", "证书", frozenset({ADMIN, AUDITOR})),
    ("province.settings", "设置", frozenset({ADMIN})),
)


def of_office(name: str) -> Blueprint:
    """A blueprint of the console: of a province, with the side navigation on its pages."""
    blueprint = of_province(name)
    blueprint.context_processor(menu)
    return blueprint


def menu() -> dict[str, Any]:
    """The side navigation: what this person can open, nothing else."""
    if not current_user.is_authenticated:
        return {}
    held = {STAFF} | current_user.roles
    entries = [(endpoint, label) for endpoint, label, who in MENU if who & held and endpoint in current_app.view_functions]
    return {"menu": [(url_for(endpoint), label, request.endpoint == endpoint) for endpoint, label in entries]}
