"""Warnings about stored values of a filing that are unusual but may be right: the doctor is asked to check
them."""

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Any

from dingkao.doctors.certificate_numbers import (
    practice_warning,
    qualification_warning,
)


def certificate_number_warnings(
    stored: Mapping[str, Any],
    number: str,
    *,
    level: str,
    category: str,
) -> dict[str, str]:
    """Returns field name → what is unusual about the two certificate numbers of a doctor with this level and
    category (domain.md §2.3). `stored`: the values of step 2; `number`: that of the doctor's identity
    document. The province's setting decides whether it prevents submission."""
    qualification = str(stored.get("qualification", ""))
    practice = str(stored.get("practice", ""))
    reasons = {
        "qualification": qualification_warning(qualification, number, level=level, category=category),
        "practice": practice_warning(practice, level=level, category=category),
    }
    return {name: f"{reason}，请核对。" for name, reason in reasons.items() if reason}


def date_warnings(stored: Mapping[str, Any]) -> dict[str, str]:
    """Returns field name → what is unusual about dates among the values of a step (domain.md §2.1): a degree
    taken while working; a title older than the qualification, which is possible before the law on doctors
    (执业医师法, in force since 1999-05-01) required the qualification first."""
    warnings = {}
    if stored.get("graduated", "") > stored.get("working_since", "9999"):
        warnings["graduated"] = "毕业时间晚于参加工作时间，请核对；在职取得的学历可以如此。"
    if stored.get("titled", "9999") < stored.get("qualified", "")[:7]:
        warnings["titled"] = "职称取得时间早于资格证书取得时间，请核对；1999年以前取得的职称可以如此。"
    return warnings


def overlapping_entries(
    entries: Collection[Mapping[str, Any]],
) -> list[tuple[str, str]]:
    """Returns pairs of names of entries whose periods (起止年月, domain.md §2.1) overlap by more than the
    month in which one ends and the other begins. A period without an end lasts until now."""
    dated_entries = [entry for entry in entries if entry.get("since")]
    return [
        (first["name"], second["name"])
        for first, second in combinations(dated_entries, 2)
        if _is_overlapping(first, second)
    ]


def _is_overlapping(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two entries overlap by more than one month; months are compared as YYYY-MM."""
    return first["since"] < _end_of(second) and second["since"] < _end_of(first)


def _end_of(entry: Mapping[str, Any]) -> str:
    """The month in which an entry's period ends, as YYYY-MM; one without an end sorts after every month."""
    return entry.get("until") or "9999"
