"""Who may request 免考, and why not: rules about what was filed and what the province accepts (domain.md
§1.5). The page shows them before anything is uploaded, because many requests were refused only after
uploading (§6 no. 13). 免考 is not 简易程序: it replaces only the test. All settings of 免考 and 延考 are
declared here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

RETIRED_AGE = 60
"""The texts say it, too: the label of the setting `exempt_retired` and of the reason «retired» below (the
words of the manual [S14]), and an answer in `articles/default_answers`."""
OTHER_REASON_PREFIX = "other:"
settings.register(
    "exemption_open",
    Setting(
        "接受免考申请",
        True,
        kind="yes_no",
        group="免考与延考",
        order=10,
    ),
)
settings.register(
    "exempt_residency",
    Setting(
        "免考理由：本周期内取得住院医师规范化培训合格证书",
        True,
        kind="yes_no",
        group="免考与延考",
        order=20,
    ),
)
settings.register(
    "exempt_promotion",
    Setting(
        "免考理由：本周期内通过上一级专业技术职务考试",
        True,
        kind="yes_no",
        group="免考与延考",
        order=30,
    ),
)
settings.register(
    "exempt_retired",
    Setting(
        "免考理由：60岁以上退休医师，本周期经所在机构考核合格",
        True,
        kind="yes_no",
        group="免考与延考",
        order=40,
    ),
)
settings.register(
    "exempt_registered",
    Setting(
        "免考理由：本周期内由执业助理医师取得执业医师资格",
        False,
        kind="yes_no",
        group="免考与延考",
        order=50,
    ),
)
settings.register(
    "exempt_others",
    Setting(
        "其他免考理由（每行一条）",
        (),
        kind="lines",
        group="免考与延考",
        order=60,
    ),
)
settings.register(
    "exemption_again",
    Setting(
        "免考申请未通过的，可再申请一次",
        True,
        kind="yes_no",
        group="免考与延考",
        order=70,
    ),
)
settings.register(
    "exemption_in_makeup",
    Setting(
        "补考接受免考申请",
        False,
        kind="yes_no",
        group="免考与延考",
        order=80,
    ),
)
settings.register(
    "deferral_open",
    Setting(
        "接受延考申请",
        True,
        kind="yes_no",
        group="免考与延考",
        order=90,
    ),
)
settings.register(
    "deferral_reasons",
    Setting(
        "延考理由（每行一条）",
        (
            "患病或住院治疗",
            "孕产期或哺乳期",
            "援外、援疆、援藏等公派任务",
            "脱产学习或进修",
            "不可抗力",
        ),
        kind="lines",
        group="免考与延考",
        order=100,
    ),
)


@dataclass(frozen=True)
class ExemptionFacts:
    """What roster and filing say about the doctor; None if it was not filed. `title_obtained` is a month
    (YYYY-MM); `employment` and `title` are as filed; `trainings`: name → last month (YYYY-MM)."""

    level: str
    cycle_starts_on: date
    today: date
    birth_date: date | None = None
    employment: str | None = None
    title_obtained: str | None = None
    title: str | None = None
    qualified_in: date | None = None
    trainings: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ReasonAssessment:
    """A reason for 免考 and whether this doctor meets it. `is_met`: None if only the institution and the
    assessment organisation can verify it; `explanation`: why; `proof`: which proof is needed."""

    code: str
    label: str
    proof: str
    is_met: bool | None
    explanation: str


def age_on(birth_date: date, on: date) -> int:
    """Returns the age in whole years on the day `on`."""
    return on.year - birth_date.year - ((on.month, on.day) < (birth_date.month, birth_date.day))


@dataclass(frozen=True)
class ExemptionRule:
    """A reason with a rule of ours: text, the proof needed, and the function that returns `is_met` and
    `explanation` of a ReasonAssessment."""

    label: str
    proof: str
    assess: Callable[[ExemptionFacts], tuple[bool | None, str]]


def assess_exemption_reasons(
    facts: ExemptionFacts, accepted: set[str], others: list[str]
) -> list[ReasonAssessment]:
    """Returns every reason that the province accepts, and whether this doctor meets it. `accepted`: codes of
    EXEMPTION_RULES; `others`: texts of the province's own reasons."""
    return [
        *(
            ReasonAssessment(code, rule.label, rule.proof, *rule.assess(facts))
            for code, rule in EXEMPTION_RULES.items()
            if code in accepted
        ),
        *map(_other_reason, others),
    ]


def _other_reason(text: str) -> ReasonAssessment:
    """Returns a reason in the province's own words, which only the institution and the assessment
    organisation can verify."""
    return ReasonAssessment(
        OTHER_REASON_PREFIX + text,
        text,
        "能证明该情形的材料",
        None,
        "由主要执业机构和考核机构核实",
    )


def _assess_residency(
    facts: ExemptionFacts,
) -> tuple[bool | None, str]:
    """`is_met` and `explanation` (see ReasonAssessment) of: 住院医师规范化培训 passed within the cycle (§1.5,
    national; 转岗培训 does not count)."""
    last_months = [month for name, month in facts.trainings.items() if _is_residency(name)]
    if any(_is_within_cycle(month, facts) for month in last_months):
        return True, "您填报的培训经历在本考核周期内结束"
    if last_months and all(_is_before_cycle(month, facts) for month in last_months):
        return False, "您填报的规范化培训在本考核周期开始前已结束"
    return (
        None,
        "以合格证书日期为准，须在本考核周期内；转岗培训不适用",
    )


def _is_residency(training_name: str) -> bool:
    """Whether a training, by its name as filed, is 住院医师规范化培训."""
    return "规范化培训" in training_name or "规培" in training_name


def _assess_promotion(
    facts: ExemptionFacts,
) -> tuple[bool | None, str]:
    """`is_met` and `explanation` (see ReasonAssessment) of: the exam for the next 专业技术职务 passed within
    the cycle (§1.5; manual [S14])."""
    if facts.title_obtained is None:
        return (
            None,
            "您没有填写职称取得时间，以证书或考试合格日期为准，须在本考核周期内",
        )
    title = facts.title or "职称"
    if _is_within_cycle(facts.title_obtained, facts):
        return (
            True,
            f"您填报的{title}取得时间{facts.title_obtained}在本考核周期内",
        )
    return (
        False,
        f"您填报的{title}取得时间为{facts.title_obtained}，不在本考核周期内",
    )


def _assess_retired(facts: ExemptionFacts) -> tuple[bool | None, str]:
    """`is_met` and `explanation` (see ReasonAssessment) of: a retired doctor of 60 or older, judged 合格 by
    the registered institution in the cycle (Shanxi's list; manual [S14])."""
    if facts.birth_date is None:
        return None, "由机构核实年龄和退休情况"
    years = age_on(facts.birth_date, facts.today)
    if years < RETIRED_AGE:
        return False, f"您现年{years}岁，未满{RETIRED_AGE}岁"
    if facts.employment == "在职":
        return False, "您填报的在岗状态为在职，不是退休返聘"
    return (
        True,
        f"您现年{years}岁，在岗状态为{facts.employment or '未填写'}",
    )


def _assess_registered(
    facts: ExemptionFacts,
) -> tuple[bool | None, str]:
    """`is_met` and `explanation` (see ReasonAssessment) of: From 助理 to 执业 within the cycle: some
    provinces accept it, others don't (§0 no. 5, §1.5)."""
    if facts.level != "physician":
        return False, "您登记的级别为执业助理医师"
    if facts.qualified_in is None:
        return None, "以资格证书取得时间为准，须在本考核周期内"
    if facts.cycle_starts_on <= facts.qualified_in <= facts.today:
        return (
            True,
            f"您填报的资格证书取得时间{facts.qualified_in}在本考核周期内",
        )
    return (
        False,
        f"您填报的资格证书取得时间为{facts.qualified_in}，不在本考核周期内",
    )


def _is_before_cycle(month: str | None, facts: ExemptionFacts) -> bool:
    """Whether a month (YYYY-MM) is before the cycle."""
    return bool(month) and str(month) < f"{facts.cycle_starts_on:%Y-%m}"


def _is_within_cycle(month: str | None, facts: ExemptionFacts) -> bool:
    """Whether a month (YYYY-MM) is in the cycle, up to the present month."""
    return f"{facts.cycle_starts_on:%Y-%m}" <= (month or "") <= f"{facts.today:%Y-%m}"


EXEMPTION_RULES: Mapping[str, ExemptionRule] = {
    "residency": ExemptionRule(
        "在考核周期内取得住院医师规范化培训合格证书",
        "住院医师规范化培训合格证书",
        _assess_residency,
    ),
    "promotion": ExemptionRule(
        "在考核周期内通过晋升上一级专业技术职务考试",
        "专业技术资格证书或考试合格证明",
        _assess_promotion,
    ),
    "retired": ExemptionRule(
        "在考核周期内经注册所在医疗机构考核合格的60岁以上退休医师",
        "退休证明，以及注册所在医疗机构的考核合格证明",
        _assess_retired,
    ),
    "registered": ExemptionRule(
        "在考核周期内由执业助理医师取得执业医师资格",
        "医师资格证书",
        _assess_registered,
    ),
}
"""Code → rule, in the order of the list. The setting `exempt_<code>` says whether a province accepts the
reason."""
