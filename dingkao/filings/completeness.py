"""What a filing still lacks, or has wrong, before it may be submitted (`filing_submission`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dingkao.filings.dossier import (
    ENCRYPTED_FIELDS,
    Dossier,
    stored_step,
)
from dingkao.filings.entry_list_fields import (
    ENTRY_LISTS,
    EntryList,
    entry_lists_of,
)
from dingkao.filings.field_readers import validate_fields
from dingkao.filings.field_values import (
    form_values,
    is_applicable,
    missing_fields,
)
from dingkao.filings.fields import STEPS, Field
from dingkao.filings.procedure_choice import (
    allows_unproven_simple_procedure,
    choosable_grounds,
    chosen_ground,
)
from dingkao.filings.procedure_grounds import report_length
from dingkao.filings.province_terms import province_terms
from dingkao.tenants import settings


@dataclass(frozen=True)
class MissingItem:
    """Something that prevents submission: the step, its place on that page (`anchor`: name of a field or
    list), and what to do."""

    step: int
    anchor: str
    message: str


def missing_items(dossier: Dossier) -> list[MissingItem]:
    """Returns what is missing or wrong before submission, ordered by step and by position on its page."""
    items = _missing_photo(dossier)
    for step in STEPS:
        stored = stored_step(dossier, step)
        items += _missing_fields(dossier, step, stored)
        items += _invalid_fields(dossier, step, stored)
        items += _invalid_lists(dossier, step, stored)
        items += _missing_lists(dossier, step)
    items += _missing_conduct_items(dossier) + _missing_procedure_items(dossier)
    positions = _anchor_positions(dossier)
    return sorted(
        items,
        key=lambda item: (item.step, positions.get(item.anchor, 0)),
    )


def _missing_photo(dossier: Dossier) -> list[MissingItem]:
    if dossier.filing and dossier.filing.photo_id:
        return []
    return [MissingItem(1, "photo", "请上传本人近期照片。")]


def _missing_fields(dossier: Dossier, step: int, stored: Mapping[str, Any]) -> list[MissingItem]:
    missing = missing_fields(dossier.fields(step), stored)
    return [MissingItem(step, field.name, _missing_message(field)) for field in missing]


def _anchor_positions(dossier: Dossier) -> dict[str, int]:
    """Returns anchor → its position on the page of its step, -1 above all fields; the lists of step 3 are
    left out."""
    positions = {}
    for step in STEPS:
        for position, field in enumerate(dossier.fields(step)):
            positions[field.name] = position
    return positions | {
        "photo": -1,
        "good_records": 0,
        "bad_records": 1,
    }


def _missing_message(field: Field) -> str:
    """Returns the sentence that asks for a field."""
    if field.kind == "tick":
        return "请勾选本人承诺。"
    verb = "选择" if field.kind in ("one", "many") else "填写"
    return f"请{verb}{field.label}。"


def _missing_lists(dossier: Dossier, step: int) -> list[MissingItem]:
    """Returns an item for each required list of a step without entries."""
    return [
        MissingItem(step, kind, f"{entry_list.label}至少填写一条。")
        for kind, entry_list in entry_lists_of(step).items()
        if entry_list.required and not dossier.entries(kind)
    ]


def _invalid_fields(dossier: Dossier, step: int, stored: Mapping[str, Any]) -> list[MissingItem]:
    """Returns the stored values that can't be submitted. A stored value can be invalid, because fields are
    saved one by one and rules may have changed since."""
    fields = dossier.fields(step)
    _, errors = validate_fields(
        fields,
        form_values(fields, stored),
        birth_date=dossier.birth_date(),
    )
    if step == 2:
        errors = _certificate_number_errors(dossier) | errors
    return [MissingItem(step, name, sentence) for name, sentence in errors.items()]


def _certificate_number_errors(dossier: Dossier) -> dict[str, str]:
    """Returns field name → what is unusual about the certificate number, if the province blocks submission
    for that."""
    if settings.value("certificate_number_check") != "block":
        return {}
    warnings = dossier.warnings(2)
    return {name: sentence for name, sentence in warnings.items() if name in ENCRYPTED_FIELDS}


def _invalid_lists(dossier: Dossier, step: int, stored: Mapping[str, Any]) -> list[MissingItem]:
    """Returns the invalid values in entries of those lists of a step that apply."""
    items = []
    for kind, entry_list in entry_lists_of(step).items():
        if is_applicable(kind, stored):
            items += _invalid_entries(dossier, kind, entry_list)
    return items


def _invalid_entries(dossier: Dossier, kind: str, entry_list: EntryList) -> list[MissingItem]:
    """Returns an item for each invalid value in the entries of a list."""
    items = []
    for entry in dossier.entries(kind):
        _, errors = validate_fields(
            entry_list.fields,
            form_values(entry_list.fields, entry),
            birth_date=dossier.birth_date(),
            date_range=dossier.cycle_range(),
        )
        for sentence in errors.values():
            message = f"{entry_list.label}“{entry.get('name', '')}”：{sentence}"
            items.append(MissingItem(entry_list.step, kind, message))
    return items


def _missing_conduct_items(dossier: Dossier) -> list[MissingItem]:
    """Returns what is missing because of an answer in step 4: entries of good or bad records, cases of direct
    failure."""
    stored = stored_step(dossier, 4)
    items = []
    if stored.get("good_record") == "yes":
        items += _missing_records(dossier, "good_records")
    if stored.get("bad_record") == "yes":
        items += _missing_records(dossier, "bad_records")
    if stored.get("direct_fail") == "yes":
        items += _missing_direct_fail_items(stored)
    return items


def _missing_records(dossier: Dossier, kind: str) -> list[MissingItem]:
    """Returns an item if the list of good or bad records has no entry."""
    if dossier.entries(kind):
        return []
    label = ENTRY_LISTS[kind].label
    return [MissingItem(4, kind, f"您选择了有{label}，请至少填写一条。")]


def _missing_direct_fail_items(
    stored: Mapping[str, Any],
) -> list[MissingItem]:
    """Returns what is missing if the doctor has declared a case of direct failure: which one, and a note."""
    messages = {
        "direct_fail_which": "请勾选属于哪种直接认定为不合格的情形。",
        "direct_fail_note": "您选择了有直接认定为不合格的情形，请填写说明。",
    }
    return [MissingItem(4, name, message) for name, message in messages.items() if not stored.get(name)]


def _missing_procedure_items(dossier: Dossier) -> list[MissingItem]:
    """Returns what is missing for 简易程序: a ground that this doctor may choose (one that holds, or that
    only the institution can verify; any where the province lets the review verify it), a report that is long
    enough. Empty for 一般程序 and where none is chosen."""
    stored = stored_step(dossier, 5)
    if stored.get("procedure") != "simple":
        return []
    return _missing_ground(dossier, stored) + _missing_report(dossier, stored)


def _missing_ground(dossier: Dossier, stored: Mapping[str, Any]) -> list[MissingItem]:
    message = _ground_message(dossier, stored.get("ground"))
    return [MissingItem(5, "ground", message)] if message else []


def _missing_report(dossier: Dossier, stored: Mapping[str, Any]) -> list[MissingItem]:
    """Returns an item if the 述职报告 is shorter than the province requires."""
    min_length = province_terms(dossier.filing).min_report_length
    length = report_length(str(stored.get("report", "")))
    if length >= min_length:
        return []
    return [
        MissingItem(
            5,
            "report",
            f"述职报告不少于{min_length}字，现有{length}字。",
        )
    ]


def _ground_message(dossier: Dossier, code: str | None) -> str | None:
    """Returns why the ground with that code can't be chosen for 简易程序, or that none is chosen; None if it
    may be chosen."""
    if not code:
        return "选择简易程序的，请选择适用条件。"
    ground = chosen_ground(dossier)
    if ground is None or code in choosable_grounds(dossier) or allows_unproven_simple_procedure():
        return None
    return f"您目前不符合“{ground.text}”。{ground.explanation}请核对所填内容，或选择一般程序。"
