"""Which procedure a doctor may choose (考核程序, domain.md §1.4): each ground for 简易程序, whether it holds, and why, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from dingkao.filings.fields import Terms

NOT_AN_EXEMPTION = (
    "简易程序不等于免考:简易程序由述职报告代替一般程序的部分考核,{}公共知识测评;免考须在审核通过后另行申请,只适用于一般程序,并且只免业务水平测评。"
)


@dataclass(frozen=True)
class Facts:
    """What the doctor filed that a ground looks at: first registration, end of the cycle, whether there are good and bad records of the
    cycle (yes, no, None where it isn't said yet) and how many are written down."""

    registered: date | None
    ends_on: date
    good_record: str | None = None
    bad_record: str | None = None
    good_records: int = 0


@dataclass(frozen=True)
class Ground:
    """A ground: `holds` is None where only the institution can tell; `why` with the doctor's own figures; which `proof` is wanted."""

    code: str
    text: str
    holds: bool | None
    why: str
    proof: str = ""


def years_between(earlier: date, later: date) -> int:
    """Whole years from one day to another."""
    return later.year - earlier.year - ((later.month, later.day) < (earlier.month, earlier.day))


def years_of_practice(facts: Facts) -> int | None:
    """Whole years from the first registration as filed to the end of the cycle (domain.md §1.2: counted to a day the cycle fixes); None
    where no registration is filed yet."""
    return None if facts.registered is None else max(0, years_between(facts.registered, facts.ends_on))


def with_good_record(facts: Facts, terms: Terms, proof: str = "") -> Ground:
    """医师定期考核管理办法 (卫医发〔2007〕66号) as domain.md §1.4 tells it: five years of practice or more and a good record within the cycle;
    the years are the province's setting."""
    told = _years(facts, terms.good_years)
    if facts.good_record == "yes":
        written = f",已填写{facts.good_records}条" if facts.good_records else ",请在第4步逐条填写"
        record = f"您填写有良好执业行为记录{written}"
    else:
        record = "您填写无良好执业行为记录" if facts.good_record == "no" else "您还没有在第4步填写良好执业行为记录"
    holds = (years_of_practice(facts) or 0) >= terms.good_years and facts.registered is not None and facts.good_record == "yes"
    return Ground("good", terms.grounds()["good"], holds, f"{told};{record}。", proof)


def without_bad_record(facts: Facts, terms: Terms, proof: str = "") -> Ground:
    """医师定期考核管理办法 as domain.md §1.4 tells it: twelve years of practice or more and no bad record within the cycle; the years are
    the province's setting. 医师法 art. 42 has the same idea: long practice and no bad record."""
    told = _years(facts, terms.clean_years)
    record = {"yes": "您填写有不良执业行为记录", "no": "您填写无不良执业行为记录"}.get(facts.bad_record or "", "您还没有在第4步填写不良执业行为记录")
    holds = (years_of_practice(facts) or 0) >= terms.clean_years and facts.registered is not None and facts.bad_record == "no"
    return Ground("clean", terms.grounds()["clean"], holds, f"{told};{record}。", proof)


def other_case(case: str) -> Ground:
    """A case fixed by the province (domain.md §1.4, third condition). What is typed behind «|» names the proof; nobody but the institution
    can tell whether it holds."""
    text, _, proof = case.partition("|")
    return Ground(text.strip(), text.strip(), None, "由机构核实。符合的可以选择,并上传证明。", proof.strip())


def grounds_of(facts: Facts, terms: Terms, proofs: Mapping[str, str] | None = None) -> list[Ground]:
    """Every ground for 简易程序, in the order they are shown; any one suffices (domain.md §1.4)."""
    proofs = proofs or {}
    own = [with_good_record(facts, terms, proofs.get("good", "")), without_bad_record(facts, terms, proofs.get("clean", ""))]
    return own + [other_case(case) for case in terms.other_cases]


def written(report: str) -> int:
    """The characters of a 述职报告 (domain.md §2.1: 500 or more by default), blanks and breaks left out."""
    return len("".join(report.split()))


def _years(facts: Facts, wanted: int) -> str:
    years = years_of_practice(facts)
    if facts.registered is None or years is None:
        return "您还没有在第2步填写首次注册时间"
    since, until = (f"{one.year}年{one.month:02d}月{one.day:02d}日" for one in (facts.registered, facts.ends_on))
    return f"您的首次注册时间为{since},到本周期结束({until})满{years}年,{'达到' if years >= wanted else '不足'}{wanted}年"
