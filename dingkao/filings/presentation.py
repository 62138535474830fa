"""The filing as a reviewer reads it, in sections."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dingkao.filings.assistance_marks import marks_of
from dingkao.filings.dossier import ENCRYPTED_FIELDS, Dossier
from dingkao.filings.entry_list_fields import (
    EntryList,
    entry_lists_of,
)
from dingkao.filings.field_values import display_value, is_applicable
from dingkao.filings.fields import STEPS, Field
from dingkao.filings.filing_documents import proofs_by_entry
from dingkao.filings.models import Document


@dataclass(frozen=True)
class Section:
    """A step of a filing as a reviewer reads it: facts (label, text) and tables of entries (label, headings,
    rows). `assisted`: by whom and when it was filled in on the doctor's behalf (代填), "" if by the doctor.

    `marks` and `table_marks` have, for each fact and table, the key by which a reviewer can mark it (see
    `return_marks`). `table_proofs` has, for each table, the proofs of each row; None if its entries have no
    proofs.
    """

    title: str
    facts: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    tables: list[tuple[str, list[str], list[list[str]]]] = dataclasses.field(default_factory=list)
    marks: list[str] = dataclasses.field(default_factory=list)
    table_marks: list[str] = dataclasses.field(default_factory=list)
    table_proofs: list[list[list[Document]] | None] = dataclasses.field(default_factory=list)
    assisted: str = ""


def display_sections(dossier: Dossier, *, revealed: bool = False) -> list[Section]:
    """Returns a section for each step. The two certificate numbers are masked unless `revealed`."""
    proofs = proofs_by_entry(dossier.record)
    assistance_marks = marks_of(dossier.filing)
    sections = []
    for step, title in STEPS.items():
        mark = assistance_marks.get(step)
        section = Section(title, assisted=mark.text if mark else "")
        values = dossier.step_values(step)
        _add_facts(section, dossier, step, values, revealed=revealed)
        _add_tables(section, dossier, step, values, proofs)
        sections.append(section)
    return sections


def _add_facts(
    section: Section,
    dossier: Dossier,
    step: int,
    values: Mapping[str, Any],
    *,
    revealed: bool,
) -> None:
    """Add to a section the fields of a step that are filled in or required."""
    for field in dossier.fields(step):
        text = _field_text(field, values, revealed=revealed)
        if text or field.required:
            section.facts.append((field.label, text or "未填写"))
            section.marks.append(f"{step}.{field.name}")


def _field_text(field: Field, values: Mapping[str, Any], *, revealed: bool) -> str:
    """Returns the text of a field; "" if it is empty or does not apply."""
    if not is_applicable(field.name, values):
        return ""
    text = display_value(field, values.get(field.name))
    if field.name in ENCRYPTED_FIELDS and not revealed:
        return mask_certificate_number(text)
    return text


def mask_certificate_number(number: str) -> str:
    """Returns a certificate number with asterisks between its first and last four characters; of a number of
    less than twelve, of which that would hide little, between the first and the last quarter."""
    shown_length = min(4, len(number) // 4) if len(number) < 12 else 4
    return (
        number[:shown_length] + "*" * (len(number) - 2 * shown_length) + number[len(number) - shown_length :]
    )


def _add_tables(
    section: Section,
    dossier: Dossier,
    step: int,
    values: Mapping[str, Any],
    proofs: Mapping[str, list[Document]],
) -> None:
    """Add to a section the entry lists of a step that apply. `proofs`: see `proofs_by_entry`."""
    for kind, entry_list in entry_lists_of(step).items():
        if is_applicable(kind, values):
            _add_table(section, dossier, kind, entry_list, proofs)


def _add_table(
    section: Section,
    dossier: Dossier,
    kind: str,
    entry_list: EntryList,
    proofs: Mapping[str, list[Document]],
) -> None:
    """Add to a section the table of an entry list that has entries or requires one."""
    entries = dossier.entries(kind)
    if entries or entry_list.required:
        section.tables.append(_build_table(entry_list, entries))
        section.table_marks.append(f"{entry_list.step}.{kind}")
        section.table_proofs.append(_table_proofs(entry_list, entries, proofs))


def _build_table(
    entry_list: EntryList,
    entries: Iterable[Mapping[str, Any]],
) -> tuple[str, list[str], list[list[str]]]:
    """Returns label, headings and rows of an entry list."""
    headings = [field.label for field in entry_list.fields]
    rows = [_entry_texts(entry_list, entry) for entry in entries]
    return entry_list.label, headings, rows


def _table_proofs(
    entry_list: EntryList,
    entries: Iterable[Mapping[str, Any]],
    proofs: Mapping[str, list[Document]],
) -> list[list[Document]] | None:
    """Returns the proofs of each entry; None if entries of this list have no proofs."""
    if not entry_list.proofs:
        return None
    return [proofs.get(entry["id"], []) for entry in entries]


def _entry_texts(entry_list: EntryList, entry: Mapping[str, Any]) -> list[str]:
    return [_entry_text(field, entry) for field in entry_list.fields]


def _entry_text(field: Field, entry: Mapping[str, Any]) -> str:
    """Returns the text of a field in an entry; a period without end lasts until now (至今)."""
    text = display_value(field, entry.get(field.name))
    if not text and field.name == "until":
        return "至今"
    return text
