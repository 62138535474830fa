"""What is filed (domain.md §2.1): the fields of the five steps, how each is read, and what is wrong with what was typed.

A draft may be incomplete; `judge` tells only what can't be kept as it is. What is missing is told by `missing`, before submission.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from dingkao import clock
from dingkao.doctors.codes import PEOPLES, SCOPES, SEXES, people
from dingkao.doctors.numbers import doubt_of_practice, doubt_of_qualification
from dingkao.tenants.secrets import normalised
from dingkao.tenants.settings import DIRECT_FAIL

ETHNICITIES = (*(people(one) for one in PEOPLES), "其他")
EDUCATIONS = ("博士研究生", "硕士研究生", "本科", "大专", "中专及以下")
DEGREES = ("博士", "硕士", "学士", "无")
TITLES = {"physician": ("主任医师", "副主任医师", "主治医师", "住院医师", "其他"), "assistant": ("医师", "医士", "其他")}
HAS = {"yes": "有", "no": "无"}
JUDGED = {"pass": "合格", "fail": "不合格"}
PROCEDURES = {"general": "一般程序", "simple": "简易程序"}
GROUNDS = {"good": "执业{}年以上,考核周期内有良好行为记录", "clean": "执业{}年以上,考核周期内无不良行为记录"}
STEPS = {1: "基本信息", 2: "执业信息", 3: "相关经历", 4: "工作业绩 职业道德", 5: "考核程序"}
PARTS = {1: "basic", 2: "practice", 3: "experience", 4: "performance", 5: "procedure"}
LONGEST = {"text": 100, "long": 5000}
GROWN = 15
"""The years after birth before which nobody finishes a medical school, works as a doctor or is qualified."""

Choices = Mapping[str, str]


@dataclass(frozen=True)
class Field:
    """A field: kind is text, long, email, one (of `choices`), many (1 to `most` of `choices`), day, month, count, code or tick. A date
    may lie in days to come (`future`), not in childhood (`grown`), within the cycle alone (`in_cycle`); `least` characters are wanted."""

    name: str
    label: str
    kind: str = "text"
    needed: bool = False
    choices: Choices | None = None
    hint: str = ""
    unit: str = ""
    most: int = 0
    future: bool = False
    grown: bool = False
    in_cycle: bool = False
    least: int = 0


def _same(words: tuple[str, ...] | list[str]) -> Choices:
    return {word: word for word in words}


@dataclass(frozen=True)
class Terms:
    """What a province asks differently (domain.md §13): years and cases of 简易程序, the report's length, which fields are needed, and
    what fails a doctor directly, code → words."""

    good_years: int = 5
    clean_years: int = 12
    other_cases: tuple[str, ...] = ()
    report_least: int = 500
    also_needed: frozenset[str] = frozenset()
    not_needed: frozenset[str] = frozenset()
    direct_fail: Choices = field(default_factory=lambda: {line[:2]: line for line in DIRECT_FAIL})

    def grounds(self) -> dict[str, str]:
        """The grounds for 简易程序 (§1.4) in the province's words. A case of the province's own is known by its words, so that what was
        chosen keeps them."""
        own = {"good": GROUNDS["good"].format(self.good_years), "clean": GROUNDS["clean"].format(self.clean_years)}
        return own | {text: text for case in self.other_cases if (text := case.partition("|")[0].strip())}


def fields_of(
    step: int, *, level: str = "physician", category: str = "clinical", years: int = 3, telling: bool = True, terms: Terms | None = None
) -> list[Field]:
    """The fields of a step (domain.md §2.1) for a doctor of `level` and `category`; `years` is the cycle's length, printed in units.
    `telling`: the document number tells sex and birth, else they are asked. `terms` are the province's."""
    terms = terms or Terms()
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
            Field("graduated", "毕业时间", "month", True, grown=True),
            Field("working_since", "参加工作时间", "month", True, grown=True),
            Field("email", "电子邮箱", "email"),
            Field("address", "通信地址"),
        ],
        2: [
            Field("scope", "执业范围", "many", True, scopes, "可选1至3项", most=3),
            Field("qualification", "资格证书编码", "code", True, hint="通常为27位"),
            Field("qualified", "资格证书取得时间", "day", True, grown=True),
            Field("practice", "执业证书编码", "code", True, hint="通常为15位"),
            Field("registered", "首次注册时间", "day", True, grown=True),
            Field("department", "所在科室", "text", True),
            Field("post", "职务"),
            Field("title", "专业技术职称", "one", True, _same(TITLES[level])),
            Field("titled", "职称取得时间", "month", grown=True),
            Field("employment", "在岗状态", "one", True, _same(("在职", "返聘"))),
            Field("specialty_years", "从事本专业年限", "count", True, hint="从首次注册从事本专业算起,满几年填几年", unit="年"),
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
            Field("direct_fail_which", "属于哪种情形", "many", choices=terms.direct_fail, most=len(terms.direct_fail)),
            Field("direct_fail_note", "说明", "long"),
        ],
        5: [
            Field("procedure", "考核程序", "one", True, PROCEDURES),
            Field("ground", "适用条件", "one", choices=terms.grounds()),
            Field("report", "述职报告", "long", hint=f"简易程序须提交,不少于{terms.report_least}字", least=terms.report_least),
            Field("promise", "本人承诺以上所填内容真实、准确、完整,并对其真实性负责", "tick", True),
        ],
    }  # fmt: skip
    return [
        replace(one, needed=not one.needed) if one.label in (terms.not_needed if one.needed else terms.also_needed) else one
        for one in made[step]
    ]  # fmt: skip


@dataclass(frozen=True)
class ListOf:
    """A list of entries: its fields, whether one at least is wanted before submission, and how many proofs each entry may carry."""

    label: str
    step: int
    fields: tuple[Field, ...]
    one_at_least: bool = False
    proofs: int = 0


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
    "good_records": ListOf("良好执业行为记录", 4, (Field("when", "时间", "month", True, in_cycle=True), Field("name", "事由", "text", True), Field("by", "授予机关")), proofs=5),
    "bad_records": ListOf("不良执业行为记录", 4, (Field("when", "时间", "month", True, in_cycle=True), Field("name", "事由", "text", True), Field("by", "处理机关")), proofs=5),
}  # fmt: skip
ONLY_IF = {
    "good_records": ("good_record", "yes"), "bad_records": ("bad_record", "yes"), "direct_fail_which": ("direct_fail", "yes"),
    "direct_fail_note": ("direct_fail", "yes"), "ground": ("procedure", "simple"), "report": ("procedure", "simple"),
}  # fmt: skip
MOST_ENTRIES = 30
UNSEEN = ("Cc", "Cs")


def judge(
    fields: Collection[Field], given: Mapping[str, list[str]], *, born: date | None = None, within: tuple[date, date] | None = None,
    changed: Collection[str] | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:  # fmt: skip
    """What was typed, as it can be kept, and what is wrong with the rest: field → sentence. Nothing is refused for being empty; no date
    may lie before the doctor was `born` (or was grown), records lie `within` the cycle, dates stand in order (domain.md §2.1). Of two dates
    out of order the `changed` one is told, the later where both or none is."""
    kept: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for one in fields:
        typed = [text for line in given.get(one.name, []) if (text := _plain(line, lines=one.kind == "long"))]
        try:
            value = _READERS[one.kind](one, typed)
            if value and one.kind in ("day", "month"):
                _in_time(one, value, born, within)
            if value and born and one.unit == "年" and value > max(0, clock.today().year - born.year - GROWN):
                raise ValueError(f"{one.label}与您的年龄不符,请核对。")
        except ValueError as fault:
            faults[one.name] = str(fault)
        else:
            if value not in (None, "", []):
                kept[one.name] = value
    return kept, _out_of_order(kept, changed or ()) | faults


def as_form(value: Any) -> list[str]:
    """A kept value as its form sends it."""
    if value in (None, "", []):
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def mark_of(value: Any) -> str:
    """By what a page knows the value that it shows, so that it can be seen whether the field was changed meanwhile."""
    return hashlib.sha256(json.dumps(as_form(value)).encode()).hexdigest()[:12]


def missing(fields: Collection[Field], kept: Mapping[str, Any]) -> list[Field]:
    """The needed fields that are empty."""
    return [field for field in fields if field.needed and kept.get(field.name) in (None, "", [])]


def doubts(kept: Mapping[str, Any], number: str, *, level: str, category: str) -> dict[str, str]:
    """What is odd about the two certificate numbers of a doctor of `level` and `category` with the document `number` (domain.md §2.3):
    field → sentence. Whether that keeps anyone from going on is the province's setting."""
    told = {
        "qualification": doubt_of_qualification(str(kept.get("qualification", "")), number, level=level, category=category),
        "practice": doubt_of_practice(str(kept.get("practice", "")), level=level, category=category),
    }
    return {field: f"{doubt},请核对。" for field, doubt in told.items() if doubt}


def odd_dates(kept: Mapping[str, Any]) -> dict[str, str]:
    """Dates that are seldom so and may be so (domain.md §2.1), field → sentence: a degree taken beside one's work; a title from before
    the law on doctors (执业医师法, in force 1999-05-01), which made the qualification come first."""
    told = {}
    if kept.get("graduated", "") > kept.get("working_since", "9999"):
        told["graduated"] = "毕业时间晚于参加工作时间,请核对;在职取得的学历可以如此。"
    if kept.get("titled", "9999") < kept.get("qualified", "")[:7]:
        told["titled"] = "职称取得时间早于资格证书取得时间,请核对;1999年以前取得的职称可以如此。"
    return told


def overlaps(entries: Collection[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The pairs of entries, by name, whose spans (起止年月, domain.md §2.1) overlap by more than the month in which one ends and the
    next begins; no end means until now."""
    spans = [(one["since"], one.get("until") or "9999", one["name"]) for one in entries if one.get("since")]
    return [
        (one[2], other[2]) for place, one in enumerate(spans) for other in spans[place + 1 :] if one[0] < other[1] and other[0] < one[1]
    ]  # fmt: skip


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


def _in_time(one: Field, value: str, born: date | None, within: tuple[date, date] | None) -> None:
    if born and one.name != "birth_date" and value < born.isoformat()[: len(value)]:
        raise ValueError(f"{one.label}早于您的出生日期,请核对。")
    if born and one.grown and int(value[:4]) < born.year + GROWN:
        raise ValueError(f"{one.label}距您的出生日期不足{GROWN}年,请核对年份。")
    if within and one.in_cycle and not within[0].isoformat()[:7] <= value <= within[1].isoformat()[:7]:
        raise ValueError(f"请填写本考核周期内({words(one, within[0].isoformat())}至{words(one, within[1].isoformat())})的记录,周期以外的不用填写。")


def _out_of_order(kept: Mapping[str, Any], changed: Collection[str]) -> dict[str, str]:
    wrong = [order for order in _ORDERS if kept.get(order[0]) and kept.get(order[1]) and kept[order[1]] < kept[order[0]]]
    return {earlier if earlier in changed and later not in changed else later: sentence for earlier, later, sentence in wrong}
