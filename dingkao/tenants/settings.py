"""What differs by province is data: each setting has a default here, and versions in the province's own rows, each from a day on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from dingkao import clock
from dingkao.database.model import db
from dingkao.errors import Invalid
from dingkao.tenants.asking import TENANT, Asked, a_day
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
LONGEST_LINE, MOST_LINES = 200, 60
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_WHOLE, _BETWEEN = re.compile(r"[0-9]{1,3}"), re.compile("[,\uff0c\u3001\\s]+")
YES_NO = {"yes": "是", "no": "否"}
DIRECT_FAIL = (
    "01 在发生的医疗事故中负有完全或者主要责任的",
    "02 未经所在机构或者卫生行政部门批准,擅自在注册地点以外的医疗、预防、保健机构进行执业活动的",
    "03 跨执业类别进行执业活动的",
    "04 代他人参加医师资格考试的",
    "05 在医疗卫生服务活动中索要患者及其亲友财物或者牟取其他不正当利益的",
    "06 索要或者收受医疗器械、药品、试剂等生产、销售企业或者其工作人员给予的回扣、提成或者谋取其他不正当利益的",
    "07 通过介绍病人到其他单位检查、治疗或者购买药品、医疗器械等收取回扣或者提成的",
    "08 出具虚假医学证明文件,参与虚假医疗广告宣传和药品医疗器械促销的",
    "09 未按照规定执行医院感染控制任务,未有效实施消毒或者无害化处置,造成疾病传播、流行的",
    "10 故意泄漏传染病人、病原携带者、疑似传染病病人、密切接触者涉及个人隐私的有关信息、资料的",
    "11 疾病预防控制机构的医师未依法履行传染病监测、报告、调查、处理职责,造成严重后果的",
    "12 考核周期内,有一次以上医德考评结果为医德较差的",
    "13 无正当理由不参加考核,或者扰乱考核秩序的",
    "14 违反《执业医师法》有关规定,被行政处罚的",
)
"""What fails a doctor directly: 01 to 11 as the manual shows and the 办法 has them, 12 to 14 as remembered (manual.md [S10], domain.md §1.7)."""
MAY_BE_NEEDED = dict.fromkeys(("所学专业", "电子邮箱", "通信地址", "职务", "职称取得时间", "接诊病人量", "查房次数"), "选填")
MAY_BE_LEFT = dict.fromkeys(("最高学位", "毕业院校", "毕业时间", "参加工作时间", "资格证书取得时间", "所在科室", "在岗状态", "从事本专业年限"), "必填")
"""The fields of domain.md §2.1 that a province may ask for though they are optional, or leave though they are asked for; by label."""
CHECKED = {"off": "不检查", "hint": "提示", "refuse": "不接受"}


SETTINGS: Mapping[str, Setting] = {
    "contact": Setting("客服电话", ""),
    "contact_hours": Setting("客服时间", "工作日上午9:00-12:00 下午13:00-18:00"),
    "user_notice": Setting(
        "用户告知书",
        "请您如实填报本人信息,并对所填内容的真实性负责。您的身份证号、手机号、照片等信息仅用于医师定期考核。"
        "填报后请及时提交;只保存不提交,机构无法审核。",
        "long", "填报",
    ),
    "filing_also_needed": Setting("另外必填的填报项目(每行一项)", (), "lines", "填报", choices=MAY_BE_NEEDED),
    "filing_not_needed": Setting("改为选填的填报项目(每行一项)", (), "lines", "填报", choices=MAY_BE_LEFT),
    "certificate_number_check": Setting(
        "资格、执业证书编码格式检查", "warn", "one", "填报", choices={"off": "不检查", "warn": "提示,不影响提交", "block": "不符的不能提交"}
    ),
    "direct_fail_list": Setting("直接认定为不合格的情形(每行一项,以两位编号开头)", DIRECT_FAIL, "coded", "填报"),
    "photo_size": Setting("照片检查:像素和文件大小", "refuse", "one", "填报", choices=CHECKED),
    "photo_ratio": Setting("照片检查:证件照比例(总会自动裁剪)", "hint", "one", "填报", choices=CHECKED),
    "photo_sharpness": Setting("照片检查:清晰度", "hint", "one", "填报", choices=CHECKED),
    "photo_ground": Setting("照片检查:白色或浅色背景", "hint", "one", "填报", choices=CHECKED),
    "photo_least_width": Setting("照片最小宽度(像素)", 180, "whole", "填报", 100, 2000),
    "photo_least_height": Setting("照片最小高度(像素)", 240, "whole", "填报", 140, 2800),
    "photo_most_kb": Setting("照片文件上限(kB)", 10240, "whole", "填报", 100, 10240),
    "credential_mode": Setting(
        "首次登录方式", "initial_password", "one", "账户", choices={"initial_password": "初始密码666666", "one_time_code": "一次性代码"}
    ),
    "initial_days": Setting("初始凭证有效天数", 90, "whole", "账户", 1, 365),
    "wechat_sign_in": Setting("允许已绑定微信的医师用微信登录", False, "yes_no", "账户"),
    "sms_codes_a_day": Setting("每天最多发送验证码(条)", 200000, "whole", "账户", 100, 1000000),
    "staff_second_factor": Setting("机构人员两步验证", False, "yes_no", "账户"),
    "pass_line_physician": Setting("执业医师合格线(分)", 60, "points", "分数线", 0, 100),
    "pass_line_assistant": Setting("执业助理医师合格线(分)", 60, "points", "分数线", 0, 100),
    "simple_years_with_good_record": Setting("简易程序:有良好记录的执业年限", 5, "whole", "程序", 0, 60),
    "simple_years_without_bad_record": Setting("简易程序:无不良记录的执业年限", 12, "whole", "程序", 0, 60),
    "simple_other_cases": Setting("简易程序:本省规定的其他情形(每行一项,可在“|”后写应附的证明)", (), "lines", "程序"),
    "simple_without_ground": Setting(
        "医师不符合简易程序条件时", "block", "one", "程序", choices={"block": "不能选择简易程序", "flag": "可以选择,由机构核实"}
    ),
    "simple_report_least": Setting("述职报告最少字数", 500, "whole", "程序", 0, 5000),
    "simple_proof_good": Setting(
        "简易程序:有良好记录的,应附证明", "良好执业行为记录的证明,如表彰、奖励、完成政府指令性任务的文件或科技成果证明", group="程序"
    ),
    "simple_proof_clean": Setting("简易程序:无不良记录的,应附证明", "医师资格证书和医师执业证书的复印件", group="程序"),
    "simple_sits_common_paper": Setting("简易程序参加公共知识测评", True, "yes_no", "程序"),
    "x_rule": Setting(
        "多项选择题(X型)评分(对以后开始的作答生效)", "all", "one", "考试", choices={"all": "全对才得分", "partial": "少选按比例得分,有错选不得分"}
    ),
    "offline_scores": Setting("接受线下成绩导入", True, "yes_no", "考试"),
    "answers_review": Setting(
        "结果发布后医师查看本人作答", "closed", "one", "考试", choices={"closed": "不开放", "verdicts": "只看对错", "full": "题目与解析"}
    ),
    "exemption_open": Setting("接受免考申请", True, "yes_no", "免考与延考"),
    "exempt_residency": Setting("免考理由:本周期内取得住院医师规范化培训合格证书", True, "yes_no", "免考与延考"),
    "exempt_promotion": Setting("免考理由:本周期内通过上一级专业技术职务考试", True, "yes_no", "免考与延考"),
    "exempt_retired": Setting("免考理由:60岁以上退休医师,本周期经所在机构考核合格", True, "yes_no", "免考与延考"),
    "exempt_registered": Setting("免考理由:本周期内由执业助理医师取得执业医师资格", False, "yes_no", "免考与延考"),
    "exempt_others": Setting("其他免考理由(每行一条)", (), "lines", "免考与延考"),
    "exemption_again": Setting("免考申请未通过的,可再申请一次", True, "yes_no", "免考与延考"),
    "exemption_in_makeup": Setting("补考接受免考申请", False, "yes_no", "免考与延考"),
    "deferral_open": Setting("接受延考申请", True, "yes_no", "免考与延考"),
    "deferral_reasons": Setting(
        "延考理由(每行一条)", ("患病或住院治疗", "孕产期或哺乳期", "援外、援疆、援藏等公派任务", "脱产学习或进修", "不可抗力"), "lines", "免考与延考"
    ),
    "added_minutes_most": Setting("因断网等每场最多补时(分钟)", 30, "whole", "考试", 1, 120),
    "hearing_days": Setting("作答核查时医师说明期限(天)", 3, "whole", "考试", 0, 30),
    "show_scores": Setting("向医师显示测评分数", True, "yes_no", "结果"),
    "appeal_days": Setting("申请复核期限(自收到结果起,天)", 30, "whole", "结果", 1, 365),
    "appeal_answer_days": Setting("复核答复期限(天)", 30, "whole", "结果", 1, 365),
    "practice_opens": Setting(
        "在线学习开放时间", "reviewed", "one", "在线学习", choices={"reviewed": "两级审核通过、进入待测评后", "included": "纳入考核后"}
    ),
    "practice_closes": Setting(
        "在线学习关闭时间", "first_sitting", "one", "在线学习", choices={"first_sitting": "首次进入考试时", "phase_end": "考核阶段结束时"}
    ),
    "exam_stages": Setting(
        "一般程序的测评方式", "parallel", "one", "考试", choices={
            "parallel": "公共知识、业务水平两份试卷,先后不限", "sequential": "先公共知识,交卷后再业务水平", "combined": "一份业务水平试卷,含公共知识题",
        },
    ),
    "ticket_notice": Setting(
        "准考证上的考生须知",
        "一、请核对准考证上的姓名、证件号码、照片和考试安排,有误的请在考试前联系本机构。\n"
        "二、请携带本准考证和有效身份证件原件,在场次开始前30分钟到达考场;网上作答的,请提前检查手机电量和网络。\n"
        "三、进入考试须输入姓名和准考证号;有监考人员在场的,还须输入监考人员公布的开考码。\n"
        "四、请独立完成作答,不得由他人代替,不得拍摄或传播试题。违反考核纪律的,按有关规定处理。",
        "long", "考试",
    ),
    "exam_stage_line": Setting("先公共知识后业务水平时,公共知识须达到的分数(0为交卷即可)", 0, "points", "考试", 0, 100),
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
    "reminder_days": Setting("截止前几天提醒医师(用逗号隔开,0为当天,不填则不提醒)", "7,3,1,0", "days", "通知", 0, 60),
}  # fmt: skip


def in_force() -> ScalarSelect[Any]:
    """What the province has set, on the day `today`, as a column of a statement of Asked: pairs of name and value, of several for one name the
    last holds."""
    pair = func.jsonb_build_array(ProvinceSetting.name, ProvinceSetting.value)
    return (
        select(func.jsonb_agg(aggregate_order_by(pair, ProvinceSetting.effective_from, ProvinceSetting.id)))
        .where(ProvinceSetting.tenant_id == TENANT, ProvinceSetting.effective_from <= a_day("today"))
        .scalar_subquery()
    )


_IN_FORCE = Asked(lambda: select(in_force()), alone=True)


def remember(day: date, pairs: list[Any] | None) -> dict[str, Any]:
    """Remember for this session what `in_force` gave for a day."""
    remembered: dict[date, dict[str, Any]] = db.session().info.setdefault(REMEMBERED, {})
    remembered[day] = dict(pairs or ())
    return remembered[day]


def value(name: str, on: date | None = None) -> Any:
    """What setting `name` is in this province on a day (today when none is given). Raises KeyError for a name that is none. All of
    them are asked for at once and remembered for this session, because a page wants several."""
    default, day = SETTINGS[name].default, on or clock.today()
    found = db.session().info.get(REMEMBERED, {}).get(day)
    if found is None:
        found = remember(day, _IN_FORCE.first(today=day)[0])
    return found.get(name, default)


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
        case "days":
            parts = [part for part in _BETWEEN.split(text) if part]
            if len(parts) > 10 or not all(_WHOLE.fullmatch(part) and setting.least <= int(part) <= setting.most for part in parts):
                raise Invalid(f"{setting.label}请填写{setting.least:g}至{setting.most:g}的整数,最多10个,用逗号隔开,如7,3,1,0。", name)
            return ",".join(str(days) for days in sorted({int(part) for part in parts}, reverse=True))
        case "long":
            text = text.replace("\r\n", "\n")  # as a browser sends it, which is no change
            if not 10 <= len(text) <= 5000:
                raise Invalid(f"{setting.label}请填写10至5000字。", name)
            return text
        case "lines" | "coded":
            return _lines(setting, name, text)
    if len(text) > 200:
        raise Invalid(f"{setting.label}请不要超过200字。", name)
    return text


def _lines(setting: Setting, name: str, text: str) -> list[str]:
    """A list, a line each without blanks around it and none twice; of «coded» ones each begins with two digits of its own."""
    lines = list(dict.fromkeys(" ".join(line.split()) for line in text.splitlines() if line.strip()))
    if len(lines) > MOST_LINES or any(len(line) > LONGEST_LINE for line in lines):
        raise Invalid(f"{setting.label}最多{MOST_LINES}行,每行不超过{LONGEST_LINE}字。", name)
    unknown = [line for line in lines if setting.choices and line not in setting.choices]
    if unknown:
        raise Invalid(f"“{unknown[0]}”不在可选之列,可以填写:{'、'.join(setting.choices or ())}。", name)
    if setting.kind == "coded":
        if not lines or any(not re.fullmatch(r"[0-9]{2} \S.*", line) for line in lines):
            raise Invalid(f"{setting.label}:每行请以两位编号和空格开头,如“01 内容”。", name)
        if len({line[:2] for line in lines}) < len(lines):
            raise Invalid(f"{setting.label}:编号不能重复。", name)
    return lines


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
    if setting.kind in ("lines", "coded"):
        return as_text(held)
    return ("已上传" if held else "演示公章") if setting.kind == "object" else str(held)


def as_text(held: Any) -> str:
    """A value as it stands in its field on the settings page."""
    return "\n".join(held) if isinstance(held, list | tuple) else str(held)


def change(name: str, new: Any, *, by: UUID | None, reason: str, effective_from: date | None = None) -> ProvinceSetting:
    """A new version of `name` from a day on (today when none is given); the versions before it stay. Raises KeyError."""
    if name not in SETTINGS:
        raise KeyError(name)
    row = ProvinceSetting(name=name, value=new, effective_from=effective_from or clock.today(), set_by=by, reason=reason)
    db.session.add(row)
    db.session.flush()
    db.session().info.pop(REMEMBERED, None)
    return row
