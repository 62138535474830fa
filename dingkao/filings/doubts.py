"""Doubts (疑点) about a filing: what a reviewer has to look at before deciding, so that no batch
decides on it (domain.md §11 no. 8)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dingkao.assessments.conduct_grades import (
    ConductFacts,
    conduct_facts,
    contradictions,
    single_review_reason,
)
from dingkao.doctors.certificate_numbers import identity_mismatch
from dingkao.doctors.doctor_queries import document_number_of
from dingkao.filings.dossier import Dossier, roster_certificate_numbers
from dingkao.filings.field_warnings import certificate_number_warnings, date_warnings
from dingkao.filings.procedure_choice import chosen_ground
from dingkao.people.identity_numbers import normalise_number
from dingkao.tenants import settings

NUMBER_LABELS = {"qualification": "资格证书编码", "practice": "执业证书编码"}
SELF_RATING_LABELS = {
    "quantity": "完成工作数量",
    "quality": "完成工作质量",
    "ordered_tasks": "完成政府指令性工作情况",
}


@dataclass(frozen=True)
class Doubt:
    """Something to look at: a sentence for the reviewer, and the key («step.anchor», see `return_marks`) of
    what it is about; "" if it is about the record as a whole."""

    message: str
    key: str = ""


DoubtSource = Callable[[Dossier], Iterable[Doubt]]
_sources: list[DoubtSource] = []


def doubt_source(function: DoubtSource) -> DoubtSource:
    """Decorator: register a function that finds doubts about a dossier."""
    _sources.append(function)
    return function


def doubts_of(dossier: Dossier, facts: ConductFacts | None = None) -> list[Doubt]:
    """Returns the doubts about a dossier, in the order of the steps; those about the whole record first.
    `facts`: what was imported about the doctor's conduct, if the caller knows it."""
    if facts is None:
        facts = conduct_facts([dossier.record], dossier.cycle)[dossier.record.id]
    doubts = [doubt for source in _sources for doubt in source(dossier)]
    doubts += _imported_conduct_doubts(dossier, facts)
    return sorted(doubts, key=lambda doubt: doubt.key.partition(".")[0])


def _imported_conduct_doubts(dossier: Dossier, facts: ConductFacts) -> Iterable[Doubt]:
    """What was imported (年度考核, 医德考评, records, penalties) against the doctor's own words, and what the
    province requires and nobody has imported."""
    answers = dossier.step_values(4)
    for name, sentence in contradictions(facts, answers).items():
        yield Doubt(sentence, f"4.{name}")
    if reason := single_review_reason(facts, answers):
        yield Doubt(f"{reason.removesuffix('，须逐人审核')}。")


def doubts_by_key(doubts: Iterable[Doubt]) -> dict[str, list[str]]:
    """Returns key → sentences of the doubts about it."""
    sentences: dict[str, list[str]] = {}
    for doubt in doubts:
        sentences.setdefault(doubt.key, []).append(doubt.message)
    return sentences


@doubt_source
def _identity_doubts(dossier: Dossier) -> Iterable[Doubt]:
    """A 资格证书编码 that contains the number of another person. Found whatever the province's setting about
    the form of numbers says."""
    doctor, values = dossier.doctor, dossier.step_values(2)
    message = identity_mismatch(
        str(values.get("qualification", "")),
        document_number_of(doctor),
        birth_date=dossier.birth_date(),
        sex=doctor.sex or dossier.step_values(1).get("sex"),
    )
    if message:
        yield Doubt(f"{message}。", "2.qualification")


@doubt_source
def _number_form_doubts(dossier: Dossier) -> Iterable[Doubt]:
    """Certificate numbers of an unusual form, unless the province doesn't check it."""
    if settings.value("certificate_number_check") == "off":
        return
    warnings = certificate_number_warnings(
        dossier.step_values(2),
        "",
        level=dossier.doctor.level,
        category=dossier.doctor.category,
    )
    for name, message in warnings.items():
        yield Doubt(message, f"2.{name}")


@doubt_source
def _roster_doubts(dossier: Dossier) -> Iterable[Doubt]:
    """Certificate numbers unlike those of the roster; for 简易程序, whose condition counts years of practice,
    also another first registration."""
    filed = dossier.step_values(2)
    for name, number in roster_certificate_numbers(dossier.doctor).items():
        filed_number = str(filed.get(name, ""))
        if filed_number and normalise_number(filed_number) != normalise_number(
            number,
        ):
            yield Doubt(f"{NUMBER_LABELS[name]}与名单中的不一致。", f"2.{name}")
    on_roster = dossier.doctor.first_registered
    is_other_day = on_roster and filed.get("registered") not in (
        None,
        on_roster.isoformat(),
    )
    if on_roster and is_other_day and dossier.record.procedure == "simple":
        yield Doubt(
            f"首次注册时间与名单中的{on_roster:%Y年%m月%d日}不一致。",
            "2.registered",
        )


@doubt_source
def _date_doubts(dossier: Dossier) -> Iterable[Doubt]:
    """Dates out of order."""
    basic, practice = dossier.step_values(1), dossier.step_values(2)
    for name, message in date_warnings(basic).items():
        yield Doubt(message, f"1.{name}")
    for name, message in date_warnings(practice).items():
        yield Doubt(message, f"2.{name}")
    if (practice.get("qualified") or "") > (practice.get("registered") or "9999"):
        yield Doubt("资格证书取得时间晚于首次注册时间。", "2.qualified")


@doubt_source
def _conduct_doubts(dossier: Dossier) -> Iterable[Doubt]:
    """What the doctor declares: a case of direct failure (§1.7), a bad record, work that wasn't done."""
    conduct = dossier.step_values(4)
    if conduct.get("direct_fail") == "yes":
        yield Doubt("申报有直接认定为不合格的情形。", "4.direct_fail")
    if conduct.get("bad_record") == "yes":
        yield Doubt("申报有不良执业行为记录。", "4.bad_record")
    for name, label in SELF_RATING_LABELS.items():
        if conduct.get(name) == "fail":
            yield Doubt(f"自评“{label}”为不合格。", f"4.{name}")


@doubt_source
def _procedure_doubts(dossier: Dossier) -> Iterable[Doubt]:
    """简易程序 whose condition (适用条件) isn't met, or has to be verified by people."""
    if dossier.record.procedure != "simple":
        return
    ground = chosen_ground(dossier)
    if ground is None or ground.is_met is False:
        yield Doubt("选择简易程序，但不符合所选适用条件。", "5.ground")
    elif ground.is_met is None:
        yield Doubt("简易程序的适用条件须由机构核实。", "5.ground")
