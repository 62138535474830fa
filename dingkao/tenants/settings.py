"""What differs by province is data: each setting has a default here, and versions in the province's own rows, each from a day on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.database.model import db
from dingkao.tenants.models import ProvinceSetting


@dataclass(frozen=True)
class Setting:
    """A setting: how an administrator calls it, and what holds where a province has said nothing (domain.md §13)."""

    label: str
    default: Any


SETTINGS: Mapping[str, Setting] = {
    "contact": Setting("客服电话", ""),
    "contact_hours": Setting("客服时间", "工作日上午9:00-12:00 下午13:00-18:00"),
    "user_notice": Setting(
        "用户告知书",
        "请您如实填报本人信息,并对所填内容的真实性负责。您的身份证号、手机号、照片等信息仅用于医师定期考核。"
        "填报后请及时提交;只保存不提交,机构无法审核。",
    ),
    "credential_mode": Setting("首次登录方式", "initial_password"),
    "initial_days": Setting("初始凭证有效天数", 90),
    "staff_second_factor": Setting("机构人员两步验证", False),
    "pass_line_physician": Setting("执业医师合格线(分)", 60),
    "pass_line_assistant": Setting("执业助理医师合格线(分)", 60),
    "simple_years_with_good_record": Setting("简易程序:有良好记录的执业年限", 5),
    "simple_years_without_bad_record": Setting("简易程序:无不良记录的执业年限", 12),
    "simple_sits_common_paper": Setting("简易程序参加公共知识测评", True),
    "certificate_number_form": Setting("证书编号形式", "serial"),
    "certificate_download": Setting("允许医师下载结果通知书", True),
    "certificate_foot": Setting("结果通知书底部说明", "本通知书加盖发证机关公章后方可生效。"),
}


def value(name: str, on: date | None = None) -> Any:
    """What setting `name` is in this province on a day (today when none is given). Raises KeyError for a name that is none."""
    default = SETTINGS[name].default
    found = db.session.scalar(
        select(ProvinceSetting)
        .where(ProvinceSetting.name == name, ProvinceSetting.effective_from <= (on or clock.today()))
        .order_by(ProvinceSetting.effective_from.desc(), ProvinceSetting.id.desc())
        .limit(1)
    )
    return default if found is None else found.value


def change(name: str, new: Any, *, by: UUID | None, reason: str, effective_from: date | None = None) -> ProvinceSetting:
    """A new version of `name` from a day on (today when none is given); the versions before it stay. Raises KeyError."""
    if name not in SETTINGS:
        raise KeyError(name)
    row = ProvinceSetting(name=name, value=new, effective_from=effective_from or clock.today(), set_by=by, reason=reason)
    db.session.add(row)
    return row
