"""The grounds (适用条件) for 简易程序 (domain.md §1.4): whether a doctor meets each, and why, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from dingkao.filings.fields import ProvinceTerms
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

NOT_AN_EXEMPTION = (
    "简易程序不等于免考：简易程序由述职报告代替一般程序的部分考核，{}公共知识测评；"
    "免考须在审核通过后另行申请，只适用于一般程序，并且只免业务水平测评。"
)
settings.register(
    "simple_years_with_good_record",
    Setting(
        "简易程序：有良好记录的执业年限",
        5,
        kind="whole",
        group="程序",
        order=10,
        max_value=60,
    ),
)
settings.register(
    "simple_years_without_bad_record",
    Setting(
        "简易程序：无不良记录的执业年限",
        12,
        kind="whole",
        group="程序",
        order=20,
        max_value=60,
    ),
)
settings.register(
    "simple_other_cases",
    Setting(
        "简易程序：本省规定的其他情形（每行一项，可在“|”后写应附的证明）",
        (),
        kind="lines",
        group="程序",
        order=30,
    ),
)
settings.register(
    "simple_without_ground",
    Setting(
        "医师不符合简易程序条件时",
        "block",
        kind="one",
        group="程序",
        order=40,
        choices={
            "block": "不能选择简易程序",
            "flag": "可以选择，由机构核实",
        },
    ),
)
settings.register(
    "simple_report_least",
    Setting(
        "述职报告最少字数",
        500,
        kind="whole",
        group="程序",
        order=50,
        max_value=5000,
    ),
)
settings.register(
    "simple_proof_good",
    Setting(
        "简易程序：有良好记录的，应附证明",
        "良好执业行为记录的证明，如表彰、奖励、完成政府指令性任务的文件或科技成果证明",
        group="程序",
        order=60,
    ),
)
settings.register(
    "simple_proof_clean",
    Setting(
        "简易程序：无不良记录的，应附证明",
        "医师资格证书和医师执业证书的复印件",
        group="程序",
        order=70,
    ),
)


@dataclass(frozen=True)
class ProcedureFacts:
    """What the grounds depend on: day of the first registration, last day of the cycle, whether there were
    good and bad records in the cycle (yes, no, None: not answered yet), and the number of good records
    listed."""

    first_registered_on: date | None
    ends_on: date
    good_record: str | None = None
    bad_record: str | None = None
    good_records: int = 0


@dataclass(frozen=True)
class ProcedureGround:
    """A ground: `is_met` is None if only the institution can verify it; `explanation` has the doctor's own
    figures; `proof`: what has to be uploaded."""

    code: str
    text: str
    is_met: bool | None
    explanation: str
    proof: str = ""


def years_between(earlier: date, later: date) -> int:
    """Returns the whole years from one day to another."""
    return later.year - earlier.year - ((later.month, later.day) < (earlier.month, earlier.day))


def practice_years(facts: ProcedureFacts) -> int | None:
    """Returns the whole years from the filed first registration to the end of the cycle (domain.md §1.2:
    counted to a day that the cycle fixes); None if no registration is filed yet."""
    if facts.first_registered_on is None:
        return None
    return max(0, years_between(facts.first_registered_on, facts.ends_on))


def good_record_ground(facts: ProcedureFacts, terms: ProvinceTerms, proof: str = "") -> ProcedureGround:
    """Returns the ground of the 医师定期考核管理办法 (卫医发〔2007〕66号), domain.md §1.4: `terms.good_years`
    or more years of practice (five, unless the province has set others), and a good record within the cycle.
    `proof`: the proof it needs."""
    years_text = _practice_years_text(facts, terms.good_years)
    is_met = _has_practised(facts, terms.good_years) and facts.good_record == "yes"
    explanation = f"{years_text}；{_good_record_text(facts)}。"
    return ProcedureGround("good", terms.grounds()["good"], is_met, explanation, proof)


def _good_record_text(facts: ProcedureFacts) -> str:
    """Returns what the doctor has filed about good records, as a Chinese clause."""
    if facts.good_record == "no":
        return "您填写无良好执业行为记录"
    if facts.good_record != "yes":
        return "您还没有在第4步填写良好执业行为记录"
    if facts.good_records:
        return f"您填写有良好执业行为记录，已填写{facts.good_records}条"
    return "您填写有良好执业行为记录，请在第4步逐条填写"


def clean_record_ground(facts: ProcedureFacts, terms: ProvinceTerms, proof: str = "") -> ProcedureGround:
    """Returns the ground of the 医师定期考核管理办法, domain.md §1.4: `terms.clean_years` or more years of
    practice (twelve, unless the province has set others), and no bad record within the cycle; 医师法 art. 42
    has the same idea. `proof`: the proof it needs."""
    years_text = _practice_years_text(facts, terms.clean_years)
    is_met = _has_practised(facts, terms.clean_years) and facts.bad_record == "no"
    explanation = f"{years_text}；{_bad_record_text(facts)}。"
    return ProcedureGround("clean", terms.grounds()["clean"], is_met, explanation, proof)


def _bad_record_text(facts: ProcedureFacts) -> str:
    """Returns what the doctor has filed about bad records, as a Chinese clause."""
    if facts.bad_record == "yes":
        return "您填写有不良执业行为记录"
    if facts.bad_record == "no":
        return "您填写无不良执业行为记录"
    return "您还没有在第4步填写不良执业行为记录"


def _has_practised(facts: ProcedureFacts, min_years: int) -> bool:
    """Whether the doctor will have practised for `min_years` at the end of the cycle."""
    years = practice_years(facts)
    return years is not None and years >= min_years


def province_case_ground(case: str) -> ProcedureGround:
    """Returns a ground of the province's own (domain.md §1.4, third condition). `case`: its text, then «|»
    and the proof it needs. Only the institution can verify it."""
    text, _, proof = case.partition("|")
    return ProcedureGround(
        text.strip(),
        text.strip(),
        None,
        "由机构核实。符合的可以选择，并上传证明。",
        proof.strip(),
    )


def all_grounds(
    facts: ProcedureFacts,
    terms: ProvinceTerms,
    proofs: Mapping[str, str] | None = None,
) -> list[ProcedureGround]:
    """Returns all grounds for 简易程序 in the order of the page; one is enough (domain.md §1.4). `proofs`:
    code → proof needed."""
    proofs = proofs or {}
    general_grounds = [
        good_record_ground(facts, terms, proofs.get("good", "")),
        clean_record_ground(facts, terms, proofs.get("clean", "")),
    ]
    return general_grounds + [province_case_ground(case) for case in terms.other_cases]


def report_length(report: str) -> int:
    """Returns the number of characters of a 述职报告 without white space (domain.md §2.1: 500 or more by
    default)."""
    return len("".join(report.split()))


def _practice_years_text(facts: ProcedureFacts, min_years: int) -> str:
    """Returns the doctor's years of practice compared with `min_years`, as a Chinese clause."""
    years = practice_years(facts)
    if facts.first_registered_on is None or years is None:
        return "您还没有在第2步填写首次注册时间"
    first_day = _day_text(facts.first_registered_on)
    last_day = _day_text(facts.ends_on)
    verdict = "达到" if years >= min_years else "不足"
    return f"您的首次注册时间为{first_day}，到本周期结束（{last_day}）满{years}年，{verdict}{min_years}年"


def _day_text(day: date) -> str:
    return f"{day.year}年{day.month:02d}月{day.day:02d}日"
