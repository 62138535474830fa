"""Who may ask for 免考, and why not: rules over what was filed and what the province accepts (domain.md §1.5). Told before anything is
uploaded, for many are refused only after they have uploaded (§6 no. 13). 免考 is not 简易程序: it spares the test, nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

RETIRED_AGE = 60
OTHER = "other:"


@dataclass(frozen=True)
class Facts:
    """What is known of the doctor: months as YYYY-MM, days as dates, None where it was not filed. `trainings`: name → last month."""

    level: str
    since: date
    today: date
    born: date | None = None
    employment: str | None = None
    titled: str | None = None
    title: str | None = None
    qualified: date | None = None
    trainings: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """How a reason stands: it holds, doesn't, or only the institution can tell (None); why; and the proof it wants."""

    code: str
    label: str
    proof: str
    holds: bool | None
    why: str


def age(born: date, on: date) -> int:
    """Whole years of age on a day."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def exemptions(facts: Facts, accepted: set[str], others: list[str]) -> list[Standing]:
    """Every reason the province accepts (`accepted`: our codes, `others`: its own words), and how it stands for this doctor."""
    rules = {"residency": _residency, "promotion": _promotion, "retired": _retired, "registered": _registered}
    told = [rule(facts) for code, rule in rules.items() if code in accepted]
    return told + [Standing(OTHER + text, text, "能证明该情形的材料", None, "由主要执业机构和考核机构核实") for text in others]


def _residency(facts: Facts) -> Standing:
    """Passed 住院医师规范化培训 within the cycle (§1.5, national; 转岗培训 doesn't count)."""
    code, label, proof = "residency", "在考核周期内取得住院医师规范化培训合格证书", "住院医师规范化培训合格证书"
    known = {name: until for name, until in facts.trainings.items() if "规范化培训" in name or "规培" in name}
    if any(until and _within(until, facts) for until in known.values()):
        return Standing(code, label, proof, True, "您填报的培训经历在本考核周期内结束")
    if known and all(until and until < f"{facts.since:%Y-%m}" for until in known.values()):
        return Standing(code, label, proof, False, "您填报的规范化培训在本考核周期开始前已结束")
    return Standing(code, label, proof, None, "以合格证书日期为准,须在本考核周期内;转岗培训不适用")


def _promotion(facts: Facts) -> Standing:
    """Passed the exam for the next 专业技术职务 within the cycle (§1.5; manual [S14])."""
    code, label, proof = "promotion", "在考核周期内通过晋升上一级专业技术职务考试", "专业技术资格证书或考试合格证明"
    if facts.titled is None:
        return Standing(code, label, proof, None, "您没有填写职称取得时间,以证书或考试合格日期为准,须在本考核周期内")
    if _within(facts.titled, facts):
        return Standing(code, label, proof, True, f"您填报的{facts.title or '职称'}取得时间{facts.titled}在本考核周期内")
    return Standing(code, label, proof, False, f"您填报的{facts.title or '职称'}取得时间为{facts.titled},不在本考核周期内")


def _retired(facts: Facts) -> Standing:
    """A retired doctor over 60 whom the registered institution judged 合格 in the cycle (Shanxi's list; manual [S14])."""
    code, label = "retired", "在考核周期内经注册所在医疗机构考核合格的60岁以上退休医师"
    proof = "退休证明,以及注册所在医疗机构的考核合格证明"
    if facts.born is None:
        return Standing(code, label, proof, None, "由机构核实年龄和退休情况")
    years = age(facts.born, facts.today)
    if years < RETIRED_AGE:
        return Standing(code, label, proof, False, f"您现年{years}岁,未满{RETIRED_AGE}岁")
    if facts.employment == "在职":
        return Standing(code, label, proof, False, "您填报的在岗状态为在职,不是退休返聘")
    return Standing(code, label, proof, True, f"您现年{years}岁,在岗状态为{facts.employment or '未填写'}")


def _registered(facts: Facts) -> Standing:
    """From 助理 to 执业 within the cycle: accepted in some provinces, refused in others (§0 no. 5, §1.5)."""
    code, label, proof = "registered", "在考核周期内由执业助理医师取得执业医师资格", "医师资格证书"
    if facts.level != "physician":
        return Standing(code, label, proof, False, "您登记的级别为执业助理医师")
    if facts.qualified is None:
        return Standing(code, label, proof, None, "以资格证书取得时间为准,须在本考核周期内")
    if facts.since <= facts.qualified <= facts.today:
        return Standing(code, label, proof, True, f"您填报的资格证书取得时间{facts.qualified}在本考核周期内")
    return Standing(code, label, proof, False, f"您填报的资格证书取得时间为{facts.qualified},不在本考核周期内")


def _within(month: str, facts: Facts) -> bool:
    return f"{facts.since:%Y-%m}" <= month <= f"{facts.today:%Y-%m}"
