"""What is filed (domain.md §2.1): the fields of the five steps, how each is read, and what is wrong with what was typed.

A draft may be incomplete; `judge` tells only what can't be kept as it is. What is missing is told by `missing`, before submission.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from dingkao import clock
from dingkao.doctors.codes import SCOPES, SEXES
from dingkao.doctors.numbers import doubt_of_practice, doubt_of_qualification
from dingkao.tenants.secrets import normalised

ETHNICITIES = ["汉族", "蒙古族", "回族", "藏族", "维吾尔族", "苗族", "彝族", "壮族", "布依族", "朝鲜族", "满族", "侗族", "瑶族", "白族", "土家族", "哈尼族", "哈萨克族", "傣族", "黎族", "傈僳族", "佤族", "畲族", "高山族", "拉祜族", "水族", "东乡族", "纳西族", "景颇族", "柯尔克孜族", "土族", "达斡尔族", "仫佬族", "羌族", "布朗族", "撒拉族", "毛南族", "仡佬族", "锡伯族", "阿昌族", "普米族", "塔吉克族", "怒族", "乌孜别克族", "俄罗斯族", "鄂温克族", "德昂族", "保安族", "裕固族", "京族", "塔塔尔族", "独龙族", "鄂伦春族", "赫哲族", "门巴族", "珞巴族", "基诺族", "其他"]  # fmt: skip
EDUCATIONS = ("博士研究生", "硕士研究生", "本科", "大专", "中专及以下")
DEGREES = ("博士", "硕士", "学士", "无")
TITLES = {"physician": ("主任医师", "副主任医师", "主治医师", "住院医师", "其他"), "assistant": ("医师", "医士", "其他")}
HAS = {"yes": "有", "no": "无"}
JUDGED = {"pass": "合格", "fail": "不合格"}
PROCEDURES = {"general": "一般程序", "simple": "简易程序"}
DIRECT_FAIL = (
    "在发生的医疗事故中负有完全或者主要责任的",
    "未经所在机构或者卫生行政部门批准,擅自在注册地点以外的医疗、预防、保健机构进行执业活动的",
    "跨执业类别进行执业活动的",
    "代他人参加医师资格考试的",
    "在医疗卫生服务活动中索要患者及其亲友财物或者牟取其他不正当利益的",
    "索要或者收受医疗器械、药品、试剂等生产、销售企业或者其工作人员给予的回扣、提成或者谋取其他不正当利益的",
    "通过介绍病人到其他单位检查、治疗或者购买药品、医疗器械等收取回扣或者提成的",
    "出具虚假医学证明文件,参与虚假医疗广告宣传和药品医疗器械促销的",
    "未按照规定执行医院感染控制任务,未有效实施消毒或者无害化处置,造成疾病传播、流行的",
    "故意泄漏传染病人、病原携带者、疑似传染病病人、密切接触者涉及个人隐私的有关信息、资料的",
    "疾病预防控制机构的医师未依法履行传染病监测、报告、调查、处理职责,造成严重后果的",
    "考核周期内,有一次以上医德考评结果为医德较差的",
    "无正当理由不参加考核,或者扰乱考核秩序的",
    "违反《执业医师法》有关规定,被行政处罚的",
)
GROUNDS = {"good": "执业{}年以上,考核周期内有良好行为记录", "clean": "执业{}年以上,考核周期内无不良行为记录"}
REPORT_LEAST = 500
STEPS = {1: "基本信息", 2: "执业信息", 3: "相关经历", 4: "工作业绩 职业道德", 5: "考核程序"}
PARTS = {1: "basic", 2: "practice", 3: "experience", 4: "performance", 5: "procedure"}
LONGEST = {"text": 100, "long": 5000}

Choices = Mapping[str, str]


@dataclass(frozen=True)
class Field:
    """A field: kind is text, long, email, one (of `choices`), many (1 to `most` of `choices`), day, month, count, code or tick."""

    name: str
    label: str
    kind: str = "text"
    needed: bool = False
    choices: Choices | None = None
    hint: str = ""
    unit: str = ""
    most: int = 0
    future: bool = False


def _same(words: tuple[str, ...] | list[str]) -> Choices:
    return {word: word for word in words}


def fields_of(
    step: int, *, level: str = "physician", category: str = "clinical", years: int = 3, telling: bool = True,
    good_years: int = 5, clean_years: int = 12,
) -> list[Field]:
    """The fields of a step for a doctor of `level` and `category`; `years` is the cycle's length, printed in units. `telling`: the document
    number tells sex and birth, else they are asked. `good_years` and `clean_years` are those the province asks for 简易程序."""
    grounds = {"good": GROUNDS["good"].format(good_years), "clean": GROUNDS["clean"].format(clean_years)}
    asked = [] if telling else [Field("sex", "性别", "one", True, SEXES), Field("birth_date", "出生日期", "day", True)]
    scopes = {code: name for code, (of, name) in SCOPES.items() if of in (category, "any")}
    per = f"/{'一二三四五六七八九十'[years - 1]}年"
    made: dict[int, list[Field]] = {
        1: [
            *asked,
            Field("ethnicity", "民族", "one", True, _same(ETHNICITIES)),
            Field("education", "最高学历", "one", True, _same(EDUCATIONS)),
            Field("degree", "最高学位", "one", True, _same(DEGREES)),
            Field("school", "毕业院校", "text", True),
            Field("major", "所学专业"),
            Field("graduated", "毕业时间", "month", True),
            Field("working_since", "参加工作时间", "month", True),
            Field("email", "电子邮箱", "email"),
            Field("address", "通信地址"),
        ],
        2: [
            Field("scope", "执业范围", "many", True, scopes, "可选1至3项", most=3),
            Field("qualification", "资格证书编码", "code", True, hint="通常为27位"),
            Field("qualified", "资格证书取得时间", "day", True),
            Field("practice", "执业证书编码", "code", True, hint="通常为15位"),
            Field("registered", "首次注册时间", "day", True),
            Field("department", "所在科室", "text", True),
            Field("post", "职务"),
            Field("title", "专业技术职称", "one", True, _same(TITLES[level])),
            Field("titled", "职称取得时间", "month"),
            Field("employment", "在岗状态", "one", True, _same(("在职", "返聘"))),
            Field("specialty_years", "从事本专业年限", "count", True, unit="年"),
        ],
        3: [],
        4: [
            Field("good_record", "良好执业行为记录", "one", True, HAS),
            Field("bad_record", "不良执业行为记录", "one", True, HAS),
            Field("quantity", "完成工作数量", "one", True, JUDGED),
            Field("patients", "接诊病人量", "count", unit="人次" + per),
            Field("operations", "手术量(外科科室)", "count", unit="例" + per),
            Field("examinations", "检验/检查量(医技科室)", "count", unit="例" + per),
            Field("rounds", "查房次数", "count", unit="次" + per),
            Field("quality", "完成工作质量", "one", True, JUDGED),
            Field("ordered_tasks", "完成政府指令性工作情况", "one", True, JUDGED),
            Field("direct_fail", "在本考核周期内,您是否有被直接认定为不合格的情形", "one", True, HAS),
            Field("direct_fail_which", "属于哪种情形", "many", choices={f"{n:02d}": f"{n:02d} {text}" for n, text in enumerate(DIRECT_FAIL, 1)}, most=14),
            Field("direct_fail_note", "说明", "long"),
        ],
        5: [
            Field("procedure", "考核程序", "one", True, PROCEDURES),
            Field("ground", "适用条件", "one", choices=grounds),
            Field("report", "述职报告", "long", hint=f"简易程序须提交,不少于{REPORT_LEAST}字"),
            Field("promise", "本人承诺以上所填内容真实、准确、完整,并对其真实性负责", "tick", True),
        ],
    }  # fmt: skip
    return made[step]


@dataclass(frozen=True)
class ListOf:
    """A list of entries: its fields, and whether one at least is wanted before submission."""

    label: str
    step: int
    fields: tuple[Field, ...]
    one_at_least: bool = False


_SPAN = (Field("since", "开始时间", "month", True), Field("until", "结束时间", "month", hint="至今的请留空"))
LISTS = {
    "registrations": ListOf(
        "多机构备案", 3,
        (
            Field("name", "备案机构", "text", True), Field("authority", "备案机关"), Field("since", "开始日期", "day", True),
            Field("until", "结束日期", "day", hint="长期有效的请留空", future=True),
        ),
    ),
    "education": ListOf(
        "教育经历", 3,
        (Field("name", "学校", "text", True), Field("major", "专业"), Field("education", "学历", "one", True, _same(EDUCATIONS)), Field("degree", "学位", "one", choices=_same(DEGREES)), *_SPAN),
        True,
    ),
    "practice": ListOf("执业经历", 3, (Field("name", "执业机构", "text", True), Field("department", "科室"), Field("post", "职务或职称"), *_SPAN), True),
    "training": ListOf("培训进修经历", 3, (Field("name", "名称", "text", True), Field("place", "机构"), *_SPAN)),
    "good_records": ListOf("良好执业行为记录", 4, (Field("when", "时间", "month", True), Field("name", "事由", "text", True), Field("by", "授予机关"))),
    "bad_records": ListOf("不良执业行为记录", 4, (Field("when", "时间", "month", True), Field("name", "事由", "text", True), Field("by", "处理机关"))),
}  # fmt: skip
ONLY_IF = {
    "good_records": ("good_record", "yes"), "bad_records": ("bad_record", "yes"), "direct_fail_which": ("direct_fail", "yes"),
    "direct_fail_note": ("direct_fail", "yes"), "ground": ("procedure", "simple"), "report": ("procedure", "simple"),
}  # fmt: skip
MOST_ENTRIES = 30
UNSEEN = ("Cc", "Cs")


def judge(
    fields: list[Field] | tuple[Field, ...], given: Mapping[str, list[str]], *, born: date | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """What was typed, as it can be kept, and what is wrong with the rest: field → sentence. Nothing is refused for being empty; no date
    may lie before the doctor was `born`."""
    kept: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for field in fields:
        typed = [text for one in given.get(field.name, []) if (text := _plain(one, lines=field.kind == "long"))]
        try:
            value = _READERS[field.kind](field, typed)
            if born and field.kind in ("day", "month") and field.name != "birth_date" and value and value < born.isoformat()[: len(value)]:
                raise ValueError(f"{field.label}早于您的出生日期,请核对。")
        except ValueError as fault:
            faults[field.name] = str(fault)
        else:
            if value not in (None, "", []):
                kept[field.name] = value
    return kept, faults | _out_of_order(kept)


def missing(fields: list[Field] | tuple[Field, ...], kept: Mapping[str, Any]) -> list[Field]:
    """The needed fields that are empty."""
    return [field for field in fields if field.needed and kept.get(field.name) in (None, "", [])]


def doubts(kept: Mapping[str, Any], number: str, *, level: str, category: str) -> dict[str, str]:
    """What is odd about the two certificate numbers of a doctor of `level` and `category` with the document `number` (§2.3) and doesn't keep
    anyone from going on: field → sentence."""
    told = {
        "qualification": doubt_of_qualification(str(kept.get("qualification", "")), number, level=level, category=category),
        "practice": doubt_of_practice(str(kept.get("practice", "")), level=level, category=category),
    }
    return {field: f"{doubt},请核对。" for field, doubt in told.items() if doubt}


def counts(name: str, kept: Mapping[str, Any]) -> bool:
    """Whether a field or list counts, by the answer it hangs on: what stays behind a changed answer is kept and not shown."""
    asked, answer = ONLY_IF.get(name, ("", None))
    return not asked or kept.get(asked) == answer


def words(field: Field, value: Any) -> str:
    """A kept value as people read it."""
    if value in (None, "", []):
        return ""
    if field.kind == "many":
        return "、".join((field.choices or {}).get(one, one) for one in value)
    if field.kind == "one":
        return (field.choices or {}).get(value, value)
    if field.kind == "day":
        moment = date.fromisoformat(value)
        return f"{moment.year}年{moment.month:02d}月{moment.day:02d}日"
    if field.kind == "month":
        return f"{value[:4]}年{value[5:7]}月"
    if field.kind == "tick":
        return "已承诺"
    return f"{value}{field.unit}"


def _plain(typed: str, *, lines: bool) -> str:
    """What was typed without the characters nobody sees and PostgreSQL's jsonb can't hold; of `lines`, the breaks are kept."""
    if lines:
        return "".join(one for one in typed.replace("\r\n", "\n").replace("\r", "\n") if one == "\n" or unicodedata.category(one) not in UNSEEN).strip()
    return " ".join("".join(" " if one.isspace() else one for one in typed if one.isspace() or unicodedata.category(one) not in UNSEEN).split())


def _text(field: Field, typed: list[str]) -> str | None:
    text = typed[0] if typed else ""
    if len(text) > LONGEST.get(field.kind, 100):
        raise ValueError(f"{field.label}请不要超过{LONGEST.get(field.kind, 100)}字,现有{len(text)}字。")
    return text or None


def _email(field: Field, typed: list[str]) -> str | None:
    text = _text(field, typed)
    if text and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text):
        raise ValueError("电子邮箱的格式不对,请填写如 name@example.com,或留空。")
    return text


def _code(field: Field, typed: list[str]) -> str | None:
    text = normalised(typed[0]) if typed else ""
    if text and not re.fullmatch(r"[0-9A-Z-]{5,40}", text):
        raise ValueError(f"{field.label}只能由数字和字母组成,请按证书核对。")
    return text or None


def _one(field: Field, typed: list[str]) -> str | None:
    if typed and typed[0] not in (field.choices or {}):
        raise ValueError(f"请从列表中选择{field.label}。")
    return typed[0] if typed else None


def _many(field: Field, typed: list[str]) -> list[str]:
    if any(one not in (field.choices or {}) for one in typed):
        raise ValueError(f"请从列表中选择{field.label}。")
    if len(typed) > field.most:
        raise ValueError(f"{field.label}最多选{field.most}项。")
    return sorted(set(typed))


def _day(field: Field, typed: list[str]) -> str | None:
    if not typed:
        return None
    found = re.fullmatch(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?", normalised(typed[0]))
    try:
        moment = date(*map(int, found.groups())) if found else None
    except ValueError:
        moment = None
    if moment is None:
        raise ValueError(f"{field.label}请填写如2010-07-01的日期。")
    return _not_later(field, moment).isoformat()


def _month(field: Field, typed: list[str]) -> str | None:
    if not typed:
        return None
    found = re.fullmatch(r"(\d{4})[-/.年](\d{1,2})月?", normalised(typed[0]))
    if not found or not 1 <= int(found[2]) <= 12 or int(found[1]) == 0:
        raise ValueError(f"{field.label}请填写如2010-07的年月。")
    return _not_later(field, date(int(found[1]), int(found[2]), 1)).isoformat()[:7]


def _not_later(field: Field, moment: date) -> date:
    if moment > clock.today() and not field.future:
        raise ValueError(f"{field.label}不能晚于今天。")
    if moment.year < 1930:
        raise ValueError(f"{field.label}过早,请核对年份。")
    if moment.year > 2100:
        raise ValueError(f"{field.label}过晚,请核对年份。")
    return moment


def _count(field: Field, typed: list[str]) -> int | None:
    if not typed:
        return None
    text = normalised(typed[0]).replace(",", "")
    if not re.fullmatch(r"[0-9]{1,8}", text):
        raise ValueError(f"{field.label}请填写整数,如1200。")
    if field.unit == "年" and int(text) > 80:
        raise ValueError(f"{field.label}不能超过80年。")
    return int(text)


def _tick(_field: Field, typed: list[str]) -> str | None:
    return "yes" if typed else None


_READERS: dict[str, Callable[[Field, list[str]], Any]] = {
    "text": _text, "long": _text, "email": _email, "code": _code, "one": _one, "many": _many, "day": _day, "month": _month,
    "count": _count, "tick": _tick,
}  # fmt: skip
_ORDERS = (
    ("since", "until", "结束时间早于开始时间,请核对。"),
    ("qualified", "registered", "首次注册时间早于资格证书取得时间,请核对。"),
)


def _out_of_order(kept: Mapping[str, Any]) -> dict[str, str]:
    return {later: sentence for earlier, later, sentence in _ORDERS if kept.get(earlier) and kept.get(later) and kept[later] < kept[earlier]}
