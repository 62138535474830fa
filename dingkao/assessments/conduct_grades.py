"""What the conduct records of a doctor (`doctors/conduct_records`) say about an assessment: which grades they
propose for 工作成绩 and 职业道德, and where they contradict what the doctor declares (domain.md §1.3, §1.7).

They decide nothing: the reviewer does."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, false, or_, select

from dingkao import clock
from dingkao.assessments.models import Assessment
from dingkao.cycles.models import Cycle
from dingkao.database.base import db
from dingkao.doctors.conduct_kinds import (
    CONDUCT_KINDS,
    FAILED_APPRAISAL,
    POOR_ETHICS,
    ConductKind,
)
from dingkao.doctors.conduct_models import ConductRecord
from dingkao.doctors.conduct_records import records_of_doctors
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

APPRAISAL, ETHICS = (
    CONDUCT_KINDS["annual_appraisal"],
    CONDUCT_KINDS["ethics_grading"],
)
FAILING_GRADES = {APPRAISAL.code: FAILED_APPRAISAL, ETHICS.code: POOR_ETHICS}
"""Kind → the grade of which one in the cycle is enough for 不合格."""
PART_OF_KIND = {APPRAISAL.code: "performance", ETHICS.code: "ethics"}
"""Kind → the part of the verdict (VERDICT_PARTS) that it grades."""
for _order, _kind in enumerate((APPRAISAL, ETHICS)):
    settings.register(
        f"requires_{_kind.code}",
        Setting(
            f"批量审核须有周期内各年度的{_kind.label}结果",
            False,
            kind="yes_no",
            group="程序",
            order=80 + 10 * _order,
        ),
    )


@dataclass(frozen=True)
class ConductFacts:
    """What is known of a doctor in a cycle. `grades`: kind → year → code of the grade; `events`: kind → the
    good or bad records and penalties; `years`: those of the cycle that have ended, which must be graded."""

    grades: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    events: Mapping[str, Collection[ConductRecord]] = field(default_factory=dict)
    years: tuple[int, ...] = ()

    def missing_years(self, kind: ConductKind) -> list[int]:
        """The years of the cycle that have ended and have no grade of this kind, ascending."""
        return [year for year in self.years if year not in self.grades.get(kind.code, {})]

    def failing_years(self, kind: ConductKind) -> list[int]:
        """The years of the cycle, ended or not, with the grade that makes it 不合格. `kind`: APPRAISAL or
        ETHICS."""
        grades = self.grades.get(kind.code, {})
        return [year for year, grade in grades.items() if grade == FAILING_GRADES[kind.code]]


@dataclass(frozen=True)
class ProposedGrade:
    """A proposed verdict: a code of VERDICTS, None where the records don't suffice; and why, a sentence."""

    verdict: str | None
    reason: str


def conduct_facts(records: Iterable[Assessment], cycle: Cycle) -> dict[UUID, ConductFacts]:
    """Record's id → what is known of its doctor in the cycle, for at most 5,000 records, by one query."""
    doctor_ids = {record.id: record.doctor_id for record in records}
    conduct = records_of_doctors(doctor_ids.values(), cycle.starts_on.year, cycle.ends_on.year)
    years = ended_years(cycle)
    return {
        record_id: _facts_of(conduct.get(doctor_id, []), cycle, years)
        for record_id, doctor_id in doctor_ids.items()
    }


def conduct_of(record: Assessment) -> ConductFacts:
    """What is known of the doctor of one record in its cycle."""
    cycle = db.session.scalars(select(Cycle).where(Cycle.id == record.cycle_id)).one()
    return conduct_facts([record], cycle)[record.id]


def ended_years(cycle: Cycle) -> tuple[int, ...]:
    """The years of the cycle that have ended; one that the cycle only touches at an end counts too."""
    return tuple(
        range(
            cycle.starts_on.year,
            min(cycle.ends_on.year, clock.today().year - 1) + 1,
        )
    )


def _facts_of(conduct: Iterable[ConductRecord], cycle: Cycle, years: tuple[int, ...]) -> ConductFacts:
    """The grades by kind and year, and the events by kind that happened within the cycle; what is neither is
    left out. `years`: the ended years of the cycle, for which grades are due."""
    grades: dict[str, dict[int, str]] = {}
    events: dict[str, list[ConductRecord]] = {}
    for record in conduct:
        if record.grade is not None:
            grades.setdefault(record.kind, {})[record.year] = record.grade
        elif _is_in_cycle(record.occurred_on, cycle):
            events.setdefault(record.kind, []).append(record)
    return ConductFacts(grades, events, years)


def _is_in_cycle(day: date | None, cycle: Cycle) -> bool:
    return day is not None and cycle.starts_on <= day <= cycle.ends_on


def lacks_grade_condition(kind: ConductKind, years: Collection[int]) -> ColumnElement[bool]:
    """The SQL condition that the doctor of a record (`Assessment`) lacks the grade of this kind for one of
    these years; false without a year."""
    return or_(*(~_has_grade(kind, year) for year in years)) if years else false()


def _has_grade(kind: ConductKind, year: int) -> ColumnElement[bool]:
    """SQL: whether the doctor of a record has a grade of this kind for the year."""
    return exists().where(
        ConductRecord.tenant_id == Assessment.tenant_id,
        ConductRecord.doctor_id == Assessment.doctor_id,
        ConductRecord.kind == kind.code,
        ConductRecord.year == year,
        ConductRecord.removed_at.is_(None),
    )


def proposed_grades(facts: ConductFacts) -> dict[str, ProposedGrade]:
    """Part (performance, ethics) → the proposed verdict: 不合格 for one failing year, 合格 if there are
    grades, and one for every year that has ended, none of them failing; else none."""
    return {PART_OF_KIND[kind.code]: _proposed_grade(facts, kind) for kind in (APPRAISAL, ETHICS)}


def _proposed_grade(facts: ConductFacts, kind: ConductKind) -> ProposedGrade:
    """What the grades of a kind propose: fail if one of them is failing, nothing while one is missing, else
    pass; with the sentence why."""
    if failing := facts.failing_years(kind):
        label = kind.grades[FAILING_GRADES[kind.code]]
        return ProposedGrade("fail", f"{_years_text(failing, kind.label)}为{label}。")
    if missing := facts.missing_years(kind):
        return ProposedGrade(None, f"缺{_years_text(missing, kind.label)}结果。")
    if not facts.grades.get(kind.code):
        return ProposedGrade(None, f"没有{kind.label}结果。")
    return ProposedGrade("pass", f"周期内各年度{kind.label}没有不合格的等次。")


def _years_text(years: Iterable[int], label: str) -> str:
    """The label of a yearly grade with its years before it, such as 2024、2025年度考核; the label may begin
    with 年度 itself."""
    return f"{'、'.join(map(str, sorted(years)))}年度{label.removeprefix('年度')}"


def contradictions(facts: ConductFacts, answers: Mapping[str, Any]) -> dict[str, str]:
    """Name of a field of the filing's step 4 → a sentence on what speaks against the doctor's answer there;
    only those that have any. `answers`: the filed values of that step."""
    found: dict[str, str] = {}
    bad_events = [
        *facts.events.get("bad_record", ()),
        *facts.events.get("penalty", ()),
    ]
    if answers.get("bad_record") == "no" and bad_events:
        found["bad_record"] = f"本人填“无”，已导入：{_events_text(bad_events)}。"
    reasons = _direct_fail_reasons(facts)
    if answers.get("direct_fail") == "no" and reasons:
        found["direct_fail"] = f"本人填“无”，已导入：{'；'.join(reasons)}。"
    if failing := facts.failing_years(APPRAISAL):
        for name in ("quantity", "quality"):
            if answers.get(name) == "pass":
                found[name] = f"本人填“合格”，{_years_text(failing, '年度考核')}为不合格。"
    return found


def _direct_fail_reasons(facts: ConductFacts) -> list[str]:
    """What the records know of the cases of direct failure (办法 art. 27; domain.md §1.7)."""
    reasons = [f"{_years_text([year], '医德考评')}为较差" for year in facts.failing_years(ETHICS)]
    return reasons + [_event_text(record) for record in facts.events.get("penalty", ())]


def _events_text(records: Iterable[ConductRecord]) -> str:
    """The records of a good or bad event or penalty as text, one after the other (`_event_text`)."""
    return "；".join(map(_event_text, records))


def _event_text(record: ConductRecord) -> str:
    """Day, kind and matter of a record of an event (which has a day) as people read them."""
    return f"{record.occurred_on:%Y年%m月%d日}{CONDUCT_KINDS[record.kind].label}“{record.matter}”"


def single_review_reason(facts: ConductFacts, answers: Mapping[str, Any]) -> str | None:
    """The sentence why a record must be looked at by itself and not decided together with others; None if the
    conduct records give no reason. `answers`: as in `contradictions`."""
    for kind in (APPRAISAL, ETHICS):
        if failing := facts.failing_years(kind):
            return f"{_years_text(failing, kind.label)}为{kind.grades[FAILING_GRADES[kind.code]]}，须逐人审核"
        if settings.value(f"requires_{kind.code}") and (missing := facts.missing_years(kind)):
            return f"缺{_years_text(missing, kind.label)}结果，须逐人审核"
    if facts.events.get("bad_record") or facts.events.get("penalty"):
        return "有不良行为记录或行政处罚，须逐人审核"
    if contradictions(facts, answers):
        return "已导入的记录与本人所填不一致，须逐人审核"
    return None
