"""The marks with which a reviewer returns a filing (domain.md §11 nos. 6 and 9): which fields, why, and
whether they have been changed since."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any
from uuid import UUID

from dingkao.errors import InvalidInput
from dingkao.filings.dossier import Dossier
from dingkao.filings.entry_list_fields import (
    ENTRY_LISTS,
    entry_lists_of,
)
from dingkao.filings.field_values import etag_of, form_value
from dingkao.filings.fields import STEPS
from dingkao.filings.filing_documents import (
    proofs_by_entry,
    unattached_proofs,
)
from dingkao.tenants.encryption import current_vault

MAX_SENTENCE_LENGTH = 100
DEFAULT_SENTENCE = "请核对后修改。"


@dataclass(frozen=True)
class ReturnMark:
    """A mark at the `anchor` (field or list) on the page of `step`: its label, the reviewer's sentence, and
    whether the doctor has changed it since."""

    step: int
    anchor: str
    label: str
    message: str
    is_changed: bool

    @property
    def key(self) -> str:
        """The key under which the record stores the mark: «step.anchor»."""
        return f"{self.step}.{self.anchor}"


def markable_items(dossier: Dossier) -> dict[str, str]:
    """Returns key («step.anchor») → label of everything that a reviewer can mark: photo, fields, lists,
    proofs."""
    labels = {"1.photo": "照片"}
    for step in STEPS:
        labels |= {f"{step}.{field.name}": field.label for field in dossier.fields(step)}
        labels |= {f"{step}.{kind}": entry_list.label for kind, entry_list in entry_lists_of(step).items()}
    return labels | {"5.proofs": "证明材料"}


def marks_from_form(dossier: Dossier, form: Mapping[str, str]) -> dict[str, str]:
    """Returns key → sentence of the marks in a reviewer's form: «marked-KEY» is ticked, «mark-KEY» has the
    reason. Raises InvalidInput for a long sentence."""
    marks = {}
    for key, label in markable_items(dossier).items():
        text = _parse_sentence(form, key, label)
        if text or form.get(f"marked-{key}"):
            marks[key] = text or DEFAULT_SENTENCE
    return marks


def _parse_sentence(form: Mapping[str, str], key: str, label: str) -> str:
    """Returns the sentence of the form for a key, without needless blanks. Raises InvalidInput if it is too
    long."""
    text = " ".join(form.get(f"mark-{key}", "").split())
    if len(text) > MAX_SENTENCE_LENGTH:
        message = f"“{label}”的退回说明请不要超过{MAX_SENTENCE_LENGTH}字，现有{len(text)}字。"
        raise InvalidInput(message, f"mark-{key}")
    return text


def marks_to_store(dossier: Dossier, marks: Mapping[str, str]) -> dict[str, Any] | None:
    """Returns the marks as the record stores them, each with a digest of the present value; those at nothing
    that can be marked are left out; None without marks."""
    labels = markable_items(dossier)
    stored_marks = {
        key: {
            "label": labels[key],
            "sentence": text,
            "was": _current_digest(dossier, key),
        }
        for key, text in marks.items()
        if key in labels
    }
    return stored_marks or None


def return_marks_of(dossier: Dossier) -> list[ReturnMark]:
    """Returns the marks of a returned record, in the order of the steps, without those at what can no longer
    be marked."""
    stored_marks = dossier.record.return_marks
    if not stored_marks:
        return []
    keys = filter(stored_marks.__contains__, markable_items(dossier))
    marks = [_build_mark(dossier, key, stored_marks[key]) for key in keys]
    return sorted(marks, key=attrgetter("step"))


def _build_mark(dossier: Dossier, key: str, stored_mark: Mapping[str, Any]) -> ReturnMark:
    """Returns the mark with this key from its stored form."""
    step, _, anchor = key.partition(".")
    is_changed = stored_mark["was"] != _current_digest(dossier, key)
    return ReturnMark(
        int(step),
        anchor,
        stored_mark["label"],
        stored_mark["sentence"],
        is_changed,
    )


def _current_digest(dossier: Dossier, key: str) -> str:
    """Returns a digest of the value that a mark is about. It is keyed, because it is stored with the record
    and the value may be a personal number."""
    texts = [str(value) for value in _filed_values(dossier, key)]
    return current_vault().blind_index("returned", etag_of(texts)).hex()[:24]


def _filed_values(dossier: Dossier, key: str) -> list[Any]:
    """Returns the present values that a mark is about."""
    step_text, _, anchor = key.partition(".")
    if key == "1.photo":
        return _filed_photo(dossier)
    if key == "5.proofs":
        return [proof.id for proof in unattached_proofs(dossier.record)]
    step = int(step_text)
    if anchor in entry_lists_of(step):
        return _filed_entries(dossier, anchor)
    return form_value(dossier.step_values(step).get(anchor))


def _filed_photo(dossier: Dossier) -> list[Any]:
    return [dossier.filing.photo_id if dossier.filing else None]


def _filed_entries(dossier: Dossier, kind: str) -> list[Any]:
    """Returns the entries of a list, and the ids of their proofs."""
    entries = dossier.entries(kind)
    values: list[Any] = [sorted(entry.items()) for entry in entries]
    if ENTRY_LISTS[kind].proofs:
        values += _filed_proof_ids(dossier, entries)
    return values


def _filed_proof_ids(dossier: Dossier, entries: Iterable[Mapping[str, Any]]) -> list[UUID]:
    """Returns the ids of the proofs of these entries."""
    proofs = proofs_by_entry(dossier.record)
    return [proof.id for entry in entries for proof in proofs.get(entry["id"], [])]
