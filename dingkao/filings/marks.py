"""What a reviewer marks when returning a filing (domain.md §11 nos. 6 and 9): which fields, why, and whether they were changed since."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dingkao.errors import Invalid
from dingkao.filings.dossier import Dossier, proofs_by_entry, proofs_of
from dingkao.filings.fields import LISTS, STEPS, as_form, mark_of
from dingkao.tenants.secrets import vault

LONGEST = 100
UNSAID = "请核对后修改。"


@dataclass(frozen=True)
class Mark:
    """A mark: the `step` and the `anchor` on it, what it is called, the reviewer's sentence, and whether it was changed since."""

    step: int
    anchor: str
    label: str
    sentence: str
    changed: bool

    @property
    def key(self) -> str:
        """How the record knows it."""
        return f"{self.step}.{self.anchor}"


def may_be_marked(dossier: Dossier) -> dict[str, str]:
    """All that a reviewer may mark, key (step and anchor) → label: photo, fields, lists, proofs."""
    found = {"1.photo": "照片"}
    for step in STEPS:
        found |= {f"{step}.{one.name}": one.label for one in dossier.fields(step)}
        found |= {f"{step}.{kind}": of.label for kind, of in LISTS.items() if of.step == step}
    return found | {"5.proofs": "证明材料"}


def chosen(dossier: Dossier, form: Mapping[str, str]) -> dict[str, str]:
    """The marks that a reviewer's form carries, key → sentence: «marked-KEY» ticks, «mark-KEY» says why. Raises Invalid for a sentence
    that is too long."""
    found = {}
    for key, label in may_be_marked(dossier).items():
        text = " ".join(form.get(f"mark-{key}", "").split())
        if len(text) > LONGEST:
            raise Invalid(f"“{label}”的退回说明请不要超过{LONGEST}字,现有{len(text)}字。", f"mark-{key}")
        if text or form.get(f"marked-{key}"):
            found[key] = text or UNSAID
    return found


def to_keep(dossier: Dossier, marks: Mapping[str, str]) -> dict[str, Any] | None:
    """The marks as the record keeps them, each with what was filed there when it was made."""
    known = may_be_marked(dossier)
    return {key: {"label": known[key], "sentence": text, "was": _filed(dossier, key)} for key, text in marks.items() if key in known} or None


def marks_of(dossier: Dossier) -> list[Mark]:
    """The marks of a returned record in the order of the steps."""
    kept = dossier.record.returned_marks
    if not kept:
        return []
    order = list(may_be_marked(dossier))
    found = []
    for key in sorted((key for key in kept if key in order), key=order.index):
        step, _, anchor = key.partition(".")
        one = kept[key]
        found.append(Mark(int(step), anchor, one["label"], one["sentence"], one["was"] != _filed(dossier, key)))
    return sorted(found, key=lambda one: one.step)


def _filed(dossier: Dossier, key: str) -> str:
    """What stands behind a mark now, as a digest: a keyed one, for it is kept beside the record and there are numbers among it."""
    step, _, anchor = key.partition(".")
    if key == "1.photo":
        filed: list[Any] = [dossier.filing.photo_id if dossier.filing else None]
    elif key == "5.proofs":
        filed = [one.id for one in proofs_of(dossier.record)]
    elif anchor in LISTS and LISTS[anchor].step == int(step):
        filed, carried = [sorted(entry.items()) for entry in dossier.entries(anchor)], proofs_by_entry(dossier.record) if LISTS[anchor].proofs else {}
        filed += [one.id for entry in dossier.entries(anchor) for one in carried.get(entry["id"], [])]
    else:
        filed = as_form(dossier.part(int(step)).get(anchor))
    return vault().blind_index("returned", mark_of([str(one) for one in filed])).hex()[:24]
