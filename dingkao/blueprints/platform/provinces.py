"""The provinces, for operators: their state, opening a province, stopping and resuming its service."""

import json

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from dingkao.blueprints.platform.access import (
    operator_arguments,
    platform,
)
from dingkao.journal.findings import FINDING_LABELS
from dingkao.operators import (
    act_log,
    operator_accounts,
    province_admin,
)
from dingkao.web.access_control import require

SERVICE_STATE_LABELS = {
    "open": "已开通",
    "closed": "已停用",
    "unopened": "未开通",
}
ACT_LABELS = {
    "signed_in": "登录",
    "sign_in_failed": "登录失败",
    "second_factor_failed": "两步验证失败",
    "second_factor": "通过两步验证",
    "password_set": "设置密码",
    "province_opened": "开通省份",
    "province_stopped": "停用省份",
    "province_resumed": "恢复省份",
    "shared_bank_brought": "更新共享题库",
    "shared_bank_exported": "导出共享题库",
    "administrator_closed": "停用省级管理员",
    "administrator_reopened": "恢复省级管理员",
    "administrator_renewed": "更换管理员密码和动态口令",
    "administrator_appointed": "任命省级管理员",
    "administrator_mobile_changed": "更换管理员手机号码",
    "operator_added": "添加平台运营人员",
    "operator_closed": "停用平台运营人员",
    "operator_reopened": "恢复平台运营人员",
    "code_issued": "发放一次性代码",
}
"""Verb in the log of operators' acts → label."""


@platform.get("/")
@require("platform.operate")
def list_provinces() -> str:
    """The provinces with their state, also those never opened, the latest acts of operators, the findings of
    the last verification of that log, and the operators whose accounts will be closed soon."""
    provinces = province_admin.list_provinces()
    verification = act_log.latest_verification()
    return render_template(
        "platform/provinces.html",
        listed=provinces,
        states=SERVICE_STATE_LABELS,
        acts=act_log.latest_acts(),
        verified=verification,
        found=json.loads(verification.found) if verification else None,
        what=FINDING_LABELS,
        verbs=ACT_LABELS,
        names={status.province.code: status.province.name for status in provinces},
        closing=[operator for operator in operator_accounts.list_operators() if operator.closes_on],
    )


@platform.post("/provinces/<string:slug>/open")
@require("platform.operate")
def open_province(slug: str) -> Response:
    """Open a province (one opened before stays as it is), then redirect to its administrators; committed
    there, with the operator's act. Raises NotFound."""
    province_admin.open_by_slug(slug, **operator_arguments())
    flash("已开通。请任命两位省级管理员。")
    return redirect(url_for("platform.administrators", slug=slug), 303)


@platform.post("/provinces/<string:slug>/<string:state>")
@require("platform.operate")
def set_service_state(slug: str, state: str) -> Response:
    """Stop a province's service (`state` «closed») or resume it («resumed»); another word changes nothing.
    Committed there, with the operator's act and an entry in the province's journal. Raises NotFound,
    InvalidState if it was never opened."""
    if state == "closed":
        province_admin.set_service_state(slug, "closed", **operator_arguments())
        flash("已停用，该省的人员暂时不能登录，数据都保留。")
    elif state == "resumed":
        province_admin.set_service_state(slug, "open", **operator_arguments())
        flash("已恢复服务。")
    return redirect(url_for("platform.list_provinces"), 303)
