"""What has changed in a filing since a side last decided on it: the side's snapshot (encrypted)
beside what is filed now."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dingkao import clock
from dingkao.database.arrays import in_array
from dingkao.database.base import db, new_id
from dingkao.filings.amendments import entry_summary
from dingkao.filings.dossier import ENCRYPTED_FIELDS, Dossier
from dingkao.filings.entry_list_fields import ENTRY_LISTS
from dingkao.filings.field_values import display_value, is_applicable
from dingkao.filings.fields import STEPS
from dingkao.filings.filing_documents import documents_by_doctor, filed_documents
from dingkao.filings.models import Document, ReviewSnapshot
from dingkao.filings.presentation import mask_certificate_number
from dingkao.journal.entries import Actor
from dingkao.tenants.encryption import SecretLocation, current_vault

Texts = dict[str, list[str]]
"""Key («step.name», or «step.list.entry's id») → label and text."""
NOTHING_TEXT = "无"


@dataclass(frozen=True)
class FilingChange:
    """A value that has changed: the key under which it is marked (see `return_marks`), its label, the old and
    the new text."""

    key: str
    label: str
    before: str
    after: str


@dataclass(frozen=True)
class ReviewChanges:
    """What has changed since a side decided at `since`."""

    since: datetime
    changes: list[FilingChange]

    def by_key(self) -> dict[str, list[FilingChange]]:
        """Returns key → changes there."""
        changes: dict[str, list[FilingChange]] = {}
        for change in self.changes:
            changes.setdefault(change.key, []).append(change)
        return changes


def save_snapshots(dossiers: Sequence[Dossier], side: str, *, by: Actor) -> None:
    """Store what the side sees of filings (of one cycle, at most 5,000) when it decides on them; its earlier
    snapshots are replaced. The session is not flushed."""
    documents = documents_by_doctor(dossiers)
    snapshots = _snapshots_of([dossier.record.id for dossier in dossiers], side)
    for dossier in dossiers:
        snapshot = snapshots.get(dossier.record.id) or ReviewSnapshot(
            id=new_id(),
            assessment_id=dossier.record.id,
            side=side,
        )
        texts = _filed_texts(dossier, documents.get(dossier.doctor.id, []))
        snapshot.taken_at, snapshot.taken_by = clock.now(), by.id
        snapshot.content_sealed = current_vault().encrypt(
            _location(snapshot),
            json.dumps(texts, ensure_ascii=False),
        )
        db.session.add(snapshot)


def changes_since_review(
    dossier: Dossier,
    side: str,
    *,
    revealed: bool = False,
) -> ReviewChanges | None:
    """Returns what has changed since the side last decided; None if it never has. Certificate numbers are
    masked unless `revealed`."""
    snapshot = _snapshots_of([dossier.record.id], side).get(dossier.record.id)
    if snapshot is None:
        return None
    before: Texts = json.loads(
        current_vault().decrypt(_location(snapshot), snapshot.content_sealed),
    )
    texts = _filed_texts(dossier, filed_documents(dossier))
    changes = list(_changes_between(before, texts))
    return ReviewChanges(
        snapshot.taken_at,
        changes if revealed else [_masked(change) for change in changes],
    )


def _snapshots_of(record_ids: Iterable[UUID], side: str) -> dict[UUID, ReviewSnapshot]:
    """Returns record's id → what the side saw of it last, for at most 5,000 records."""
    query = select(ReviewSnapshot).where(
        in_array(ReviewSnapshot.assessment_id, record_ids), ReviewSnapshot.side == side
    )
    return {snapshot.assessment_id: snapshot for snapshot in db.session.scalars(query)}


def _location(snapshot: ReviewSnapshot) -> SecretLocation:
    return SecretLocation("review_snapshot", "content", snapshot.id)


def _filed_texts(dossier: Dossier, documents: Iterable[Document]) -> Texts:
    """Returns everything that is filed, with its documents, as people read it."""
    texts: Texts = {}
    for step in STEPS:
        values = dossier.step_values(step)
        for field in dossier.fields(step):
            if is_applicable(field.name, values):
                texts[f"{step}.{field.name}"] = [field.label, display_value(field, values.get(field.name))]
    for kind, entry_list in ENTRY_LISTS.items():
        if is_applicable(kind, dossier.step_values(entry_list.step)):
            texts |= _entry_texts(
                f"{entry_list.step}.{kind}",
                entry_list.label,
                kind,
                dossier.entries(kind),
            )
    return texts | _document_texts(documents)


def _entry_texts(
    key: str,
    label: str,
    kind: str,
    entries: Iterable[Mapping[str, Any]],
) -> Texts:
    """Returns the entries of a list, each under a key of its own."""
    return {f"{key}.{entry['id']}": [label, entry_summary(kind, entry)] for entry in entries}


def _document_texts(documents: Iterable[Document]) -> Texts:
    """Returns the names of photo and proofs; each has a new id when it is uploaded again."""
    return {
        f"{'1.photo' if document.kind == 'photo' else '5.proofs'}.{document.id}": [
            "照片" if document.kind == "photo" else "证明材料",
            f"{document.name}（{clock.to_beijing(document.uploaded_at):%m月%d日%H:%M}上传）",
        ]
        for document in documents
    }


def _changes_between(
    before: Texts,
    after: Texts,
) -> Iterator[FilingChange]:
    """Yields the changes, in the order of what is filed now; what is there no longer, last."""
    for key in [*after, *(key for key in before if key not in after)]:
        old, new = before.get(key), after.get(key)
        old_text, new_text = old[1] if old else "", new[1] if new else ""
        if old_text != new_text:
            label = (new or old or [""])[0]
            yield FilingChange(
                _mark_key(key),
                label,
                old_text or NOTHING_TEXT,
                new_text or NOTHING_TEXT,
            )


def _mark_key(key: str) -> str:
    """Returns the key under which a reviewer marks what has the key `key`: an entry is marked by its list."""
    return ".".join(key.split(".")[:2])


def _masked(change: FilingChange) -> FilingChange:
    """Returns the change with masked texts if it is about a certificate number."""
    if change.key.partition(".")[2] not in ENCRYPTED_FIELDS:
        return change
    return FilingChange(
        change.key,
        change.label,
        _mask(change.before),
        _mask(change.after),
    )


def _mask(text: str) -> str:
    return (
        text
        if text == NOTHING_TEXT
        else mask_certificate_number(
            text,
        )
    )
