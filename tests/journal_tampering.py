"""What a superuser may do to the journal behind the application's back, at random; and what a verification
has to name for it."""

import json
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from dingkao import clock
from dingkao.database.arrays import split_into_batches
from dingkao.database.base import db, new_id
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor
from dingkao.journal.models import JournalEntry

OTHERWISE: dict[str, Any] = {
    "subject_kind": "other", "verb": "other", "actor_kind": "operator", "actor_id": UUID(int=1), "actor_role": "other", "state_before": "other",
    "state_after": None, "reason": "理由A", "details": Jsonb({"number": -1}), "address": "198.51.100.1", "device": "另一台设备", "form": 1, "seal": b"0" * 32,
    "previous": b"1" * 32, "subject_id": UUID(int=2), "at": clock.now() - timedelta(days=9),
}  # fmt: skip
ACTS = ("edit", "insert", "forge", "head", "middle", "tail", "subject", "renumber")
Findings = set[tuple[str, UUID]]


def write_subjects(count: int, entries: int) -> dict[UUID, list[UUID]]:
    """So many subjects in the province entered, each with so many entries; their ids by subject. Commits."""
    subjects = [new_id() for _ in range(count)]
    for number in range(entries):
        for batch in split_into_batches(subjects, 500):
            with journal.batched_entries():
                for subject in batch:
                    journal.write_entry(
                        "trial",
                        subject,
                        f"verb-{number}",
                        by=Actor("staff", new_id()),
                        before="a",
                        after="b",
                        reason="理由a",
                        number=number,
                    )
            db.session.commit()
    entries_by_subject = {subject: list[UUID]() for subject in subjects}
    for subject, entry in (
        db.session.query(JournalEntry.subject_id, JournalEntry.id)
        .filter(JournalEntry.subject_kind == "trial")
        .order_by(JournalEntry.id)
    ):
        if subject in entries_by_subject:
            entries_by_subject[subject].append(entry)
    return entries_by_subject


def apply_tampering(
    owner: psycopg.Connection[Any], subjects: dict[UUID, list[UUID]], acts: int, chance: random.Random
) -> tuple[Findings, set[UUID]]:
    """Do so many acts, each to a subject of its own; what has to be named for them, and which entries may be
    named besides, because what stood before them is gone or is another. Commits."""
    findings: Findings = set()
    besides: set[UUID] = set()
    for number, subject in enumerate(chance.sample(sorted(subjects), acts)):
        act = ACTS[number % len(ACTS)]
        act_findings, act_besides = _ACTS[act](owner, subject, subjects[subject], chance)
        findings |= act_findings
        besides |= act_besides
    owner.commit()
    return findings, besides


def _edit(
    owner: psycopg.Connection[Any], _subject: UUID, ids: Sequence[UUID], chance: random.Random
) -> tuple[Findings, set[UUID]]:
    entry, column = chance.choice(ids), chance.choice(sorted(OTHERWISE))
    owner.execute(
        sql.SQL("update journal_entry set {} = %s where id = %s").format(sql.Identifier(column)),
        (OTHERWISE[column], entry),
    )
    return {("changed", entry)}, set(ids)


def _insert(
    owner: psycopg.Connection[Any], subject: UUID, ids: Sequence[UUID], chance: random.Random
) -> tuple[Findings, set[UUID]]:
    """An entry of the subject's once more, with an id of its own: between the others, before them, or behind
    them."""
    uuid = UUID(
        int=chance.choice(
            [
                ids[0].int - chance.randrange(1, 1000),
                ids[1].int + chance.randrange(1, 1000),
                ids[-1].int + chance.randrange(1, 1000),
            ]
        )
    )
    _copy(owner, chance.choice(ids), id=uuid)
    return {("foreign", uuid)}, set(ids)


def _forge(
    owner: psycopg.Connection[Any], subject: UUID, ids: Sequence[UUID], chance: random.Random
) -> tuple[Findings, set[UUID]]:
    """An entry of one's own making that follows the last."""
    uuid = UUID(int=ids[-1].int + 7)
    [seal] = owner.execute(("select seal from journal_entry where id = %s"), (ids[-1],)).fetchone()  # type: ignore[misc]
    _copy(
        owner,
        ids[-1],
        id=uuid,
        previous=f"\\x{seal.hex()}",
        seal=f"\\x{chance.randbytes(32).hex()}",
        reason="补记",
    )
    return {("foreign", uuid)}, set(ids)


def _renumber(
    owner: psycopg.Connection[Any], _subject: UUID, ids: Sequence[UUID], chance: random.Random
) -> tuple[Findings, set[UUID]]:
    entry = chance.choice(ids)
    uuid = UUID(int=entry.int + chance.randrange(1, 1000))
    owner.execute("update journal_entry set id = %s where id = %s", (uuid, entry))
    return {("missing", entry), ("foreign", uuid)}, set(ids)


def _delete_entries(owner: psycopg.Connection[Any], entries: Sequence[UUID]) -> Findings:
    owner.execute("delete from journal_entry where id = any(%s)", (list(entries),))
    return {("missing", entry) for entry in entries}


_ACTS: dict[str, Any] = {
    "edit": _edit, "insert": _insert, "forge": _forge, "renumber": _renumber,
    "head": lambda owner, _subject, ids, _chance: (_delete_entries(owner, ids[:1]), set(ids)),
    "middle": lambda owner, _subject, ids, chance: (_delete_entries(owner, [chance.choice(ids[1:-1])]), set(ids)),
    "tail": lambda owner, _subject, ids, chance: (_delete_entries(owner, ids[-chance.randrange(1, len(ids)) :]), set(ids)),
    "subject": lambda owner, _subject, ids, _chance: (_delete_entries(owner, ids), set(ids)),
}  # fmt: skip


def _copy(owner: psycopg.Connection[Any], entry: UUID, **changed: Any) -> None:
    [entry_json] = owner.execute(
        ("select to_json(e) from journal_entry e where id = %s"), (entry,)
    ).fetchone()  # type: ignore[misc]
    entry_json |= {name: str(value) for name, value in changed.items()}
    owner.execute(
        "insert into journal_entry select * from json_populate_record(null::journal_entry, %s)",
        (json.dumps(entry_json),),
    )
