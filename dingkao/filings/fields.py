"""The fields of the five steps of a filing (domain.md §2.1)."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from dingkao.doctors.code_lists import (
    SCOPES,
    SEXES,
)
from dingkao.filings.field_choices import (
    DEFAULT_DIRECT_FAIL_TEXTS,
    DEGREES,
    EDUCATIONS,
    ETHNICITIES,
    GROUNDS,
    PASS_FAIL_CHOICES,
    PROCEDURES,
    TITLES,
    YES_NO_CHOICES,
    ChoiceMap,
    identity_choices,
)

STEPS = {
    1: "基本信息",
    2: "执业信息",
    3: "相关经历",
    4: "工作业绩 职业道德",
    5: "考核程序",
}
STEP_COLUMNS = {
    1: "basic",
    2: "practice",
    3: "experience",
    4: "performance",
    5: "procedure",
}


@dataclass(frozen=True)
class Field:
    """A field of a step or of an entry.

    `kind`: text, long, email, one (of `choices`), many (1 to `max_choices` of `choices`), day, month, count,
    code or tick. A date may be in the future only with `may_be_future`; with `in_adulthood` not before
    ADULTHOOD_YEARS of age; with `in_cycle` only within the cycle. `min_value`: least number of characters of
    a long text. `province_decides`: a province may require an optional field, or make a required one optional
    (domain.md §2.1).
    """

    name: str
    label: str
    kind: str = "text"
    required: bool = False
    choices: ChoiceMap | None = None
    hint: str = ""
    unit: str = ""
    max_choices: int = 0
    may_be_future: bool = False
    in_adulthood: bool = False
    in_cycle: bool = False
    min_value: int = 0
    province_decides: bool = False


@dataclass(frozen=True)
class ProvinceTerms:
    """What a province sets itself (domain.md §13). `good_years`, `clean_years`, `other_cases`: years of
    practice and additional conditions for 简易程序; `min_report_length`: least characters of the report;
    `extra_required` and `optional`: names of fields that are required or optional unlike the default;
    `direct_fail`: code → text of the cases of direct failure. A province's come from `province_terms`; the
    defaults here repeat those of its settings."""

    good_years: int = 5
    clean_years: int = 12
    other_cases: tuple[str, ...] = ()
    min_report_length: int = 500
    extra_required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    direct_fail: ChoiceMap = dataclasses.field(
        default_factory=lambda: {line[:2]: line for line in DEFAULT_DIRECT_FAIL_TEXTS}
    )

    def grounds(self) -> dict[str, str]:
        """Returns the grounds (适用条件) for 简易程序 (§1.4), code → text. The code of a province's own
        ground is its text, so that a doctor's choice keeps the text even if the setting changes."""
        grounds = {
            "good": GROUNDS["good"].format(self.good_years),
            "clean": GROUNDS["clean"].format(self.clean_years),
        }
        case_texts = [case.partition("|")[0].strip() for case in self.other_cases]
        return grounds | {text: text for text in case_texts if text}

    def is_required(self, field: Field) -> bool:
        """Whether this province requires the field: as defined, unless the province has set it otherwise."""
        if field.required:
            return field.name not in self.optional
        return field.name in self.extra_required


def fields_of(
    step: int,
    *,
    level: str = "physician",
    category: str = "clinical",
    years: int = 3,
    with_hints: bool = True,
    terms: ProvinceTerms | None = None,
) -> list[Field]:
    """Returns the fields of a step (domain.md §2.1) for a doctor of `level` and `category`.

    `years`: the cycle's length, part of some units. `with_hints`: sex and date of birth follow from the
    number of the identity document; otherwise they are asked. `terms`: those of the province (None: the
    defaults). Step 3 has none, but entry lists.
    """
    terms = terms or ProvinceTerms()
    builders: dict[int, Callable[[], list[Field]]] = {
        1: partial(_basic_fields, with_hints=with_hints),
        2: partial(_practice_fields, level, category),
        3: list,
        4: partial(_performance_fields, years, terms),
        5: partial(_procedure_fields, terms),
    }
    return [_required_as_set(field, terms) for field in builders[step]()]


def _required_as_set(field: Field, terms: ProvinceTerms) -> Field:
    """Returns the field, required or optional as the province has set it."""
    is_required = terms.is_required(field)
    return field if is_required == field.required else replace(field, required=is_required)


def fields_decided_by_province(*, required: bool) -> dict[str, str]:
    """Returns name → label of the fields on which a province may decide, and that are required (or with
    `required` False, optional) unless it does."""
    fields = chain.from_iterable(map(fields_of, STEPS))
    return {
        field.name: field.label for field in fields if field.province_decides and field.required is required
    }


def _basic_fields(*, with_hints: bool) -> list[Field]:
    """Returns the fields of step 1; without `with_hints` sex and date of birth are asked, too
    (`fields_of`)."""
    fields = [
        Field(
            "ethnicity",
            "民族",
            "one",
            True,
            identity_choices(ETHNICITIES),
        ),
        Field(
            "education",
            "最高学历",
            "one",
            True,
            identity_choices(EDUCATIONS),
        ),
        Field(
            "degree",
            "最高学位",
            "one",
            True,
            identity_choices(DEGREES),
            province_decides=True,
        ),
        Field("school", "毕业院校", "text", True, province_decides=True),
        Field("major", "所学专业", province_decides=True),
        Field(
            "graduated",
            "毕业时间",
            "month",
            True,
            in_adulthood=True,
            province_decides=True,
        ),
        Field(
            "working_since",
            "参加工作时间",
            "month",
            True,
            in_adulthood=True,
            province_decides=True,
        ),
        Field("email", "电子邮箱", "email", province_decides=True),
        Field("address", "通信地址", province_decides=True),
    ]
    if with_hints:
        return fields
    return [
        Field("sex", "性别", "one", True, SEXES),
        Field("birth_date", "出生日期", "day", True),
        *fields,
    ]


def _practice_fields(level: str, category: str) -> list[Field]:
    """Returns the fields of step 2; scopes and titles are those of the category and level."""
    scopes = {
        code: name for code, (scope_category, name) in SCOPES.items() if scope_category in (category, "any")
    }
    years_hint = "从首次注册从事本专业算起，满几年填几年"
    return [
        Field(
            "scope",
            "执业范围",
            "many",
            True,
            scopes,
            "可选1至3项",
            max_choices=3,
        ),
        Field(
            "qualification",
            "资格证书编码",
            "code",
            True,
            hint="通常为27位",
        ),
        Field(
            "qualified",
            "资格证书取得时间",
            "day",
            True,
            in_adulthood=True,
            province_decides=True,
        ),
        Field(
            "practice",
            "执业证书编码",
            "code",
            True,
            hint="通常为15位",
        ),
        Field(
            "registered",
            "首次注册时间",
            "day",
            True,
            in_adulthood=True,
        ),
        Field(
            "department",
            "所在科室",
            "text",
            True,
            province_decides=True,
        ),
        Field("post", "职务", province_decides=True),
        Field(
            "title",
            "专业技术职称",
            "one",
            True,
            identity_choices(TITLES[level]),
        ),
        Field(
            "titled",
            "职称取得时间",
            "month",
            in_adulthood=True,
            province_decides=True,
        ),
        Field(
            "employment",
            "在岗状态",
            "one",
            True,
            identity_choices(("在职", "返聘")),
            province_decides=True,
        ),
        Field(
            "specialty_years",
            "从事本专业年限",
            "count",
            True,
            hint=years_hint,
            unit="年",
            province_decides=True,
        ),
    ]


def _performance_fields(years: int, terms: ProvinceTerms) -> list[Field]:
    """Returns the fields of step 4; `years` (1 to 10) stands in some units."""
    per_cycle = f"/{'一二三四五六七八九十'[years - 1]}年"
    direct_fail_label = "在本考核周期内,您是否有被直接认定为不合格的情形"
    cases = terms.direct_fail
    return [
        Field(
            "good_record",
            "良好执业行为记录",
            "one",
            True,
            YES_NO_CHOICES,
        ),
        Field(
            "bad_record",
            "不良执业行为记录",
            "one",
            True,
            YES_NO_CHOICES,
        ),
        Field("quantity", "完成工作数量", "one", True, PASS_FAIL_CHOICES),
        Field(
            "patients",
            "接诊病人量",
            "count",
            unit="人次" + per_cycle,
            province_decides=True,
        ),
        Field(
            "operations",
            "手术量(外科科室)",
            "count",
            unit="例" + per_cycle,
        ),
        Field(
            "examinations",
            "检验/检查量(医技科室)",
            "count",
            unit="例" + per_cycle,
        ),
        Field(
            "rounds",
            "查房次数",
            "count",
            unit="次" + per_cycle,
            province_decides=True,
        ),
        Field("quality", "完成工作质量", "one", True, PASS_FAIL_CHOICES),
        Field(
            "ordered_tasks",
            "完成政府指令性工作情况",
            "one",
            True,
            PASS_FAIL_CHOICES,
        ),
        Field(
            "direct_fail",
            direct_fail_label,
            "one",
            True,
            YES_NO_CHOICES,
        ),
        Field(
            "direct_fail_which",
            "属于哪种情形",
            "many",
            choices=cases,
            max_choices=len(cases),
        ),
        Field("direct_fail_note", "说明", "long"),
    ]


def _procedure_fields(terms: ProvinceTerms) -> list[Field]:
    """Returns the fields of step 5; see `fields_of`."""
    length = terms.min_report_length
    report_hint = f"简易程序须提交，不少于{length}字"
    return [
        Field("procedure", "考核程序", "one", True, PROCEDURES),
        Field("ground", "适用条件", "one", choices=terms.grounds()),
        Field(
            "report",
            "述职报告",
            "long",
            hint=report_hint,
            min_value=length,
        ),
        Field(
            "promise",
            "本人承诺以上所填内容真实、准确、完整，并对其真实性负责",
            "tick",
            True,
        ),
    ]
