"""A province's settings for filings (domain.md §13): required fields, certificate numbers, cases of direct
failure."""

from dingkao.filings.field_choices import DEFAULT_DIRECT_FAIL_TEXTS
from dingkao.filings.fields import ProvinceTerms, fields_decided_by_province
from dingkao.filings.models import Filing
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

DIRECT_FAIL_TEXTS_KEY = "direct_fail_texts"
"""The key, next to the chosen codes, of code → text at the time of the choice, because the province's list
may change (manual.md [S10])."""
CODES_BY_FORMER_LABEL = {
    "所学专业": "major",
    "电子邮箱": "email",
    "通信地址": "address",
    "职务": "post",
    "职称取得时间": "titled",
    "接诊病人量": "patients",
    "查房次数": "rounds",
    "最高学位": "degree",
    "毕业院校": "school",
    "毕业时间": "graduated",
    "参加工作时间": "working_since",
    "资格证书取得时间": "qualified",
    "所在科室": "department",
    "在岗状态": "employment",
    "从事本专业年限": "specialty_years",
}
"""Label → field name. Old stored versions of the two settings about required fields have labels. Stored
versions never change, so this table must not change either."""
settings.register(
    "certificate_number_check",
    Setting(
        "资格、执业证书编码格式检查",
        "warn",
        kind="one",
        group="填报",
        order=40,
        choices={
            "off": "不检查",
            "warn": "提示，不影响提交",
            "block": "不符的不能提交",
        },
    ),
)
settings.register(
    "direct_fail_list",
    Setting(
        "直接认定为不合格的情形（每行一项，以两位编号开头）",
        DEFAULT_DIRECT_FAIL_TEXTS,
        kind="coded",
        group="填报",
        order=50,
    ),
)
settings.register(
    "filing_also_needed",
    Setting(
        "另外必填的填报项目（每行一项）",
        (),
        kind="fields",
        group="填报",
        order=20,
        choices=fields_decided_by_province(required=False),
        former_codes=CODES_BY_FORMER_LABEL,
    ),
)
settings.register(
    "filing_not_needed",
    Setting(
        "改为选填的填报项目（每行一项）",
        (),
        kind="fields",
        group="填报",
        order=30,
        choices=fields_decided_by_province(required=True),
        former_codes=CODES_BY_FORMER_LABEL,
    ),
)


def province_terms(filing: Filing | None) -> ProvinceTerms:
    """Returns the province's present terms. Cases of direct failure that the filing has chosen keep their
    texts from then."""
    value = settings.value
    current_texts = {line[:2]: line for line in value("direct_fail_list")}
    return ProvinceTerms(
        good_years=value("simple_years_with_good_record"),
        clean_years=value("simple_years_without_bad_record"),
        other_cases=tuple(value("simple_other_cases")),
        min_report_length=value("simple_report_least"),
        extra_required=frozenset(value("filing_also_needed")),
        optional=frozenset(value("filing_not_needed")),
        direct_fail=dict(sorted((current_texts | direct_fail_texts(filing)).items())),
    )


def direct_fail_texts(filing: Filing | None) -> dict[str, str]:
    """Returns the chosen cases of direct failure, code → text at the time of the choice."""
    texts: dict[str, str] = filing.performance.get(DIRECT_FAIL_TEXTS_KEY, {}) if filing else {}
    return texts
