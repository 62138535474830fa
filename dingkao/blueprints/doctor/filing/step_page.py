"""Renders the page of one of the five steps: its values, their errors, and everything shown beside them."""

import json
from collections.abc import Collection
from typing import Any

from flask import (
    render_template,
)
from flask_login import current_user

from dingkao.blueprints.doctor.filing.blueprint import (
    LAST_STEP,
    filing_url,
)
from dingkao.doctors.code_lists import (
    CATEGORIES,
    DOCUMENT_TYPES,
    LEVELS,
    SEXES,
)
from dingkao.doctors.doctor_queries import account_of_doctor
from dingkao.doctors.models import Doctor
from dingkao.filings import (
    completeness,
    filing_documents,
    procedure_choice,
)
from dingkao.filings.assistance_marks import marks_of
from dingkao.filings.dossier import Dossier, filing_last_day
from dingkao.filings.entry_list_fields import (
    EntryList,
    entry_lists_of,
)
from dingkao.filings.field_values import display_value, etag_of
from dingkao.filings.field_warnings import overlapping_entries
from dingkao.filings.fields import STEPS, Field
from dingkao.filings.models import Document
from dingkao.filings.procedure_grounds import NOT_AN_EXEMPTION
from dingkao.filings.return_marks import ReturnMark, return_marks_of
from dingkao.people import authentication
from dingkao.people.identity_numbers import (
    RESIDENT_TYPES,
    mask_number,
)
from dingkao.people.models import Account
from dingkao.people.organisations import find_organisation
from dingkao.tenants import settings

LISTS_CHECKED_FOR_OVERLAP = ("education", "practice")


def next_page(number: int) -> str:
    """The URL of the page after a step: the next step, or the check before submission."""
    if number < LAST_STEP:
        return filing_url("step", number=number + 1)
    return filing_url("review_before_submit")


def incomplete_steps(dossier: Dossier) -> set[int]:
    """The numbers of the steps in which something is missing."""
    return {item.step for item in completeness.missing_items(dossier)}


def render_step(
    dossier: Dossier,
    number: int,
    values: dict[str, Any],
    *,
    errors: dict[str, str] | None = None,
    message: str | None = None,
    differences: Collection[tuple[Field, str, str]] = (),
) -> str:
    """The page of the step `number` (a key of STEPS). `values`: what the fields show, by name; `errors`:
    messages by field name; `message`: above the form; `differences`: (field, the page's text, the stored
    text) if another page has saved meanwhile."""
    lists = entry_lists_of(number)
    return render_template(
        "doctor/filing/step.html",
        dossier=dossier,
        number=number,
        steps=STEPS,
        fields=dossier.fields(number),
        kept=values,
        faults=errors or {},
        told=message,
        facts=_facts(dossier, number),
        differ=differences,
        lacking=incomplete_steps(dossier),
        words=display_value,
        last_day=filing_last_day(dossier.cycle),
        doubts=dossier.warnings(number),
        lists=lists,
        known=json.dumps(_etags(dossier, number)),
        after=next_page(number),
        overlapping=_overlapping_entries(dossier, lists),
        carried=_proofs_by_entry(dossier, lists),
        assistance_mark=marks_of(dossier.filing).get(number),
        **_mark_facts(return_marks_of(dossier), number),
        **_last_step_facts(dossier, number),
    )


def _proofs_by_entry(dossier: Dossier, lists: dict[str, EntryList]) -> dict[str, list[Document]]:
    """The proofs of entries by entry id; empty if the step has no list with proofs."""
    has_proofs = any(entry_list.proofs for entry_list in lists.values())
    return filing_documents.proofs_by_entry(dossier.record) if has_proofs else {}


def _last_step_facts(dossier: Dossier, number: int) -> dict[str, Any]:
    """Template variables of what only the last step shows: the options for the procedure (`standing`; None on
    others), and the proofs that belong to no entry (none on others)."""
    if number != LAST_STEP:
        return {"standing": None, "proofs": []}
    return {
        "standing": _procedure_options(dossier),
        "proofs": filing_documents.unattached_proofs(dossier.record),
    }


def _etags(dossier: Dossier, number: int) -> dict[str, str]:
    """The etags of the values that the page shows now, by field name."""
    values = dossier.valid_step_values(number)
    return {field.name: etag_of(values.get(field.name)) for field in dossier.fields(number)}


def _mark_facts(return_marks: list[ReturnMark], number: int) -> dict[str, Any]:
    """What the page shows of a reviewer's return marks: all of them, those of this step by anchor, and the
    steps that must still be changed."""
    return {
        "returned": return_marks,
        "marked": {mark.anchor: mark for mark in return_marks if mark.step == number},
        "to_mend": {mark.step for mark in return_marks if not mark.is_changed},
    }


def _overlapping_entries(dossier: Dossier, lists: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Pairs of names of entries whose periods overlap, by list."""
    kinds = [kind for kind in LISTS_CHECKED_FOR_OVERLAP if kind in lists]
    return {kind: overlapping_entries(dossier.entries(kind)) for kind in kinds}


def _facts(dossier: Dossier, number: int) -> list[tuple[str, str]]:
    """Facts from the roster that a step's page shows, as pairs of label and value."""
    if number == 1:
        return _identity_facts(dossier)
    return _practice_facts(dossier) if number == 2 else []


def _practice_facts(dossier: Dossier) -> list[tuple[str, str]]:
    """Level, category and institution from the roster, as pairs of label and value."""
    institution = find_organisation(dossier.record.institution_id)
    return [
        ("医师级别", LEVELS[dossier.doctor.level]),
        ("执业类别", CATEGORIES[dossier.doctor.category]),
        ("主要执业机构", institution.name if institution else ""),
    ]


def _identity_facts(dossier: Dossier) -> list[tuple[str, str]]:
    """Name, document and mobile number, as pairs of label and value."""
    doctor = dossier.doctor
    mobile = authentication.bound_mobile(_doctors_account(dossier))
    return [
        ("姓名", doctor.name),
        ("证件类型", DOCUMENT_TYPES[doctor.document_type]),
        ("证件号码", doctor.number_masked),
        *_facts_of_resident(doctor),
        ("手机号码", mask_number(mobile) if mobile else "未绑定"),
    ]


def _doctors_account(dossier: Dossier) -> Account:
    """The doctor's account, whoever is signed in."""
    return account_of_doctor(dossier.doctor) if dossier.is_assisted else current_user.account


def _facts_of_resident(doctor: Doctor) -> list[tuple[str, str]]:
    """Sex and date of birth, if the document number contains them."""
    if doctor.document_type not in RESIDENT_TYPES:
        return []
    birth_date = doctor.birth_date.strftime("%Y年%m月%d日") if doctor.birth_date else ""
    return [
        ("性别", SEXES.get(doctor.sex or "", "")),
        ("出生日期", birth_date),
    ]


def _procedure_options(dossier: Dossier) -> dict[str, object]:
    """What the page says about 简易程序: the reasons for it and whether they are met by what is filled in,
    and whether it may be chosen."""
    grounds = procedure_choice.grounds_of(dossier)
    has_ground = any(ground.is_met is not False for ground in grounds)
    is_chosen = dossier.step_values(LAST_STEP).get("procedure") == "simple"
    may_choose = has_ground or is_chosen or procedure_choice.allows_unproven_simple_procedure()
    return {
        "grounds": grounds,
        "any": has_ground,
        "shut": not may_choose,
        "not_an_exemption": NOT_AN_EXEMPTION.format(_simple_procedure_duty()),
    }


def _simple_procedure_duty() -> str:
    """Whether doctors in 简易程序 sit the common paper in this province, as the page words it."""
    return "仍须参加" if settings.value("simple_sits_common_paper") else "本省不再参加"
