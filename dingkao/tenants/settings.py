"""What differs by province is data: each setting has a default here, and versions in the province's own rows, each from a day on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.database.model import db
from dingkao.errors import Invalid
from dingkao.tenants.models import ProvinceSetting


@dataclass(frozen=True)
class Setting:
    """A setting: how an administrator calls it, and what holds where a province has said nothing (domain.md §13)."""

    label: str
    default: Any
    kind: str = "text"
    group: str = "联系方式"
    least: float = 0
    most: float = 0
    choices: Mapping[str, str] | None = None


REMEMBERED = "province settings"
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
YES_NO = {"yes": "是", "no": "否"}


SETTINGS: Mapping[str, Setting] = {
    "contact": Setting("客服电话", ""),
    "contact_hours": Setting("客服时间", "工作日上午9:00-12:00 下午13:00-18:00"),
    "user_notice": Setting(
        "用户告知书",
        "请您如实填报本人信息,并对所填内容的真实性负责。您的身份证号、手机号、照片等信息仅用于医师定期考核。"
        "填报后请及时提交;只保存不提交,机构无法审核。",
        "long", "填报",
    ),
    "credential_mode": Setting(
        "首次登录方式", "initial_password", "one", "账户", choices={"initial_password": "初始密码666666", "one_time_code": "一次性代码"}
    ),
    "initial_days": Setting("初始凭证有效天数", 90, "whole", "账户", 1, 365),
    "wechat_sign_in": Setting("允许已绑定微信的医师用微信登录", False, "yes_no", "账户"),
    "sms_codes_a_day": Setting("每天最多发送验证码(条)", 20000, "whole", "账户", 100, 1000000),
    "staff_second_factor": Setting("机构人员两步验证", False, "yes_no", "账户"),
    "pass_line_physician": Setting("执业医师合格线(分)", 60, "points", "分数线", 0, 100),
    "pass_line_assistant": Setting("执业助理医师合格线(分)", 60, "points", "分数线", 0, 100),
    "simple_years_with_good_record": Setting("简易程序:有良好记录的执业年限", 5, "whole", "程序", 0, 60),
    "simple_years_without_bad_record": Setting("简易程序:无不良记录的执业年限", 12, "whole", "程序", 0, 60),
    "simple_sits_common_paper": Setting("简易程序参加公共知识测评", True, "yes_no", "程序"),
    "certificate_number_form": Setting(
        "证书编号形式", "serial", "one", "证书", choices={"serial": "随机编号(不含证件号)", "manual": "证件号码+KH+日期"}
    ),
    "certificate_download": Setting("允许医师下载结果通知书", True, "yes_no", "证书"),
    "seal": Setting("公章", "", "object", "证书"),
    "notify_by_sms": Setting("有新消息时发短信提醒", False, "yes_no", "通知"),
    "notify_by_wechat": Setting("有新消息时发微信提醒(已绑定微信的医师)", False, "yes_no", "通知"),
    "quiet_from": Setting("免打扰开始(0至24时)", 21, "whole", "通知", 0, 24),
    "quiet_until": Setting("免打扰结束(0至24时)", 8, "whole", "通知", 0, 24),
    "certificate_foot": Setting("结果通知书底部说明", "本通知书加盖发证机关公章后方可生效。", "text", "证书"),
}  # fmt: skip


def value(name: str, on: date | None = None) -> Any:
    """What setting `name` is in this province on a day (today when none is given). Raises KeyError for a name that is none. All of
    them are asked for at once and remembered for this session, because a page wants several."""
    default, day = SETTINGS[name].default, on or clock.today()
    remembered: dict[date, dict[str, Any]] = db.session().info.setdefault(REMEMBERED, {})
    if day not in remembered:
        rows = select(ProvinceSetting.name, ProvinceSetting.value).where(ProvinceSetting.effective_from <= day)
        remembered[day] = {row.name: row.value for row in db.session.execute(rows.order_by(ProvinceSetting.effective_from, ProvinceSetting.id))}
    return remembered[day].get(name, default)


def judged(name: str, text: str) -> Any:
    """What was typed for setting `name`, as it is kept. Raises KeyError, and Invalid naming the field."""
    setting = SETTINGS[name]
    text = text.strip()
    match setting.kind:
        case "whole" | "points":
            if not _NUMBER.fullmatch(text):
                raise Invalid(f"{setting.label}请填写数字。", name)
            number = float(text)
            digits = 0 if setting.kind == "whole" else 1
            if not setting.least <= number <= setting.most or round(number, digits) != number:
                raise Invalid(f"{setting.label}应为{setting.least:g}至{setting.most:g}的{'整数' if digits == 0 else '数,最多一位小数'}。", name)
            return int(number) if number == int(number) else number
        case "yes_no":
            if text not in YES_NO:
                raise Invalid(f"请选择{setting.label}。", name)
            return text == "yes"
        case "one":
            if text not in (setting.choices or {}):
                raise Invalid(f"请选择{setting.label}。", name)
            return text
        case "long":
            if not 10 <= len(text) <= 5000:
                raise Invalid(f"{setting.label}请填写10至5000字。", name)
            return text
    if len(text) > 200:
        raise Invalid(f"{setting.label}请不要超过200字。", name)
    return text


def history(limit: int = 50) -> list[ProvinceSetting]:
    """The latest versions, the newest first."""
    return list(db.session.scalars(select(ProvinceSetting).order_by(ProvinceSetting.id.desc()).limit(limit)))


def shown(name: str, held: Any) -> str:
    """A value as an administrator reads it."""
    setting = SETTINGS[name]
    if setting.kind == "yes_no":
        return YES_NO["yes" if held else "no"]
    if setting.kind == "one":
        return (setting.choices or {}).get(held, str(held))
    return ("已上传" if held else "演示公章") if setting.kind == "object" else str(held)


def change(name: str, new: Any, *, by: UUID | None, reason: str, effective_from: date | None = None) -> ProvinceSetting:
    """A new version of `name` from a day on (today when none is given); the versions before it stay. Raises KeyError."""
    if name not in SETTINGS:
        raise KeyError(name)
    row = ProvinceSetting(name=name, value=new, effective_from=effective_from or clock.today(), set_by=by, reason=reason)
    db.session.add(row)
    db.session.flush()
    db.session().info.pop(REMEMBERED, None)
    return row
