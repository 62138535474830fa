"""The journal: each entry is held to what was written, and to the one before it."""

import json
import threading
import time
from uuid import UUID, uuid4

import pytest
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import func, select

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.doctors.models import Doctor
from dingkao.journal import entries as journal
from dingkao.journal.entries import Actor, invalid_entries
from dingkao.journal.models import JournalEntry
from dingkao.people.models import Organisation

SLUG, CODE = "shanxi", 14


@pytest.fixture
def subject(in_province, provinces):
    """Something with five entries: its id and theirs."""
    with in_province(SLUG):
        subject_id = new_id()
        for number in range(5):
            actor = Actor("staff", uuid4(), frozenset({"auditor"}))
            journal.write_entry(
                "trial",
                subject_id,
                f"verb-{number}",
                by=actor,
                before="draft",
                after="ready",
                reason="理由 a",
                number=number,
            )
        db.session.commit()
        ids = [
            entry[0]
            for entry in db.session.query(JournalEntry.id)
            .filter(JournalEntry.subject_id == subject_id)
            .order_by(JournalEntry.id)
        ]
    return subject_id, ids


def broken(in_province, about):
    with in_province(SLUG):
        return invalid_entries(about)


def test_what_was_written_is_sound(in_province, subject):
    assert broken(in_province, subject[0]) == []


CHANGES = {
    "subject_kind": "other", "verb": "other", "at": "2020-01-01T00:00:00Z", "actor_kind": "doctor", "actor_id": str(uuid4()), "actor_role": "other", "state_before": "other",
    "state_after": None, "reason": "另一个理由", "details": {"number": 9}, "seal": b"other", "previous": b"other",
    "address": "192.0.2.9", "device": "别的设备", "form": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    "column",
    [
        column.name
        for column in JournalEntry.__table__.columns
        if column.name not in ("tenant_id", "id", "subject_id")
    ],
)
def test_each_column_is_held_to_what_was_written(in_province, subject, owner_connection, column):
    subject_id, ids = subject
    value = Jsonb(CHANGES[column]) if column == "details" else CHANGES[column]
    owner_connection.execute(
        sql.SQL("update journal_entry set {} = %s where id = %s").format(sql.Identifier(column)),
        (value, ids[2]),
    )
    owner_connection.commit()
    assert ids[2] in broken(in_province, subject_id)


@pytest.mark.parametrize("reason", ["理由 A", "理由a", "理由  a", "理由 ａ", " 理由 a", "理由 a\u200b"])
def test_no_letter_is_taken_for_another(in_province, subject, owner_connection, reason):
    subject_id, ids = subject
    owner_connection.execute("update journal_entry set reason = %s where id = %s", (reason, ids[2]))
    owner_connection.commit()
    assert broken(in_province, subject_id) == [ids[2]]


def test_entries_of_the_former_version_are_sound_and_those_of_now_follow_them(
    in_province, provinces, owner_connection
):
    subject_id, last = new_id(), None
    with in_province(SLUG):
        for number in range(3):
            entry = JournalEntry(
                tenant_id=CODE,
                id=new_id(),
                subject_kind="trial",
                subject_id=subject_id,
                verb="made",
                at=clock.now(),
                actor_kind="system",
                actor_role="system",
                reason="理由",
                details={"number": number},
                previous=last,
                form=1,
            )
            entry.seal = last = journal.entry_mac(entry)
            db.session.add(entry)
            db.session.flush()
        journal.write_entry("trial", subject_id, "changed", by=journal.SYSTEM_ACTOR)
        db.session.commit()
        assert db.session.scalars(
            select(JournalEntry.form).where(JournalEntry.subject_id == subject_id).order_by(JournalEntry.id)
        ).all() == [1, 1, 1, 2]
    assert broken(in_province, subject_id) == []
    owner_connection.execute(
        "update journal_entry set reason = '别的' where subject_id = %s and details ->> 'number' = '1'",
        (subject_id,),
    )
    owner_connection.commit()
    assert len(broken(in_province, subject_id)) == 1


def test_an_entry_follows_the_one_before_though_another_machines_clock_was_ahead(in_province, provinces):
    subject_id = new_id()
    with in_province(SLUG):
        ahead = JournalEntry(
            id=UUID(int=new_id().int + (5000 << 80)),
            subject_kind="trial",
            subject_id=subject_id,
            verb="made",
            at=clock.now(),
            actor_kind="system",
            actor_role="system",
            details={},
            form=journal.DIGEST_FORMAT,
        )
        ahead.tenant_id, ahead.seal = CODE, journal.entry_mac(ahead)
        db.session.add(ahead)
        db.session.flush()
        for _ in range(3):
            journal.write_entry("trial", subject_id, "changed", by=journal.SYSTEM_ACTOR)
        db.session.commit()
        assert (
            db.session.scalars(
                select(JournalEntry.verb)
                .where(JournalEntry.subject_id == subject_id)
                .order_by(JournalEntry.id)
            ).all()[0]
            == "made"
        )
    assert broken(in_province, subject_id) == []


SUBJECTS = {
    "province": lambda: UUID(int=CODE),
    "doctor": lambda: db.session.scalars(select(Doctor.id).order_by(Doctor.id).limit(1)).one(),
    "organisation": lambda: db.session.scalars(
        select(Organisation.id).order_by(Organisation.id).limit(1)
    ).one(),
    "another": lambda: UUID(int=1),
}


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("kind", SUBJECTS)
def test_many_who_write_on_one_subject_at_once_follow_each_other(in_province, provinces, kind, together):
    """A province has no row to hold, and whoever reveals a number holds none."""
    with in_province(SLUG):
        subject_id = SUBJECTS[kind]()
        count_before = db.session.scalar(
            select(func.count()).select_from(JournalEntry).where(JournalEntry.subject_id == subject_id)
        )
    gate = threading.Barrier(6)

    def act(number):
        with in_province(SLUG):
            db.session.execute(select(1))
            gate.wait()
            if together and not journal.is_table_kind(kind):
                with journal.batched_entries():
                    journal.write_entry(kind, subject_id, "trial", by=journal.SYSTEM_ACTOR, number=number)
            else:
                journal.write_entry(kind, subject_id, "trial", by=journal.SYSTEM_ACTOR, number=number)
            time.sleep(0.02)
            db.session.commit()

    writers = [threading.Thread(target=act, args=(number,)) for number in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with in_province(SLUG):
        assert (
            db.session.scalar(
                select(func.count()).select_from(JournalEntry).where(JournalEntry.subject_id == subject_id)
            )
            == count_before + 6
        )
        assert invalid_entries(subject_id) == []


def test_thousands_may_leave_together(in_province, provinces):
    subjects = [new_id() for _ in range(1300)]
    with in_province(SLUG):
        with journal.batched_entries():
            for number in range(3):
                for subject in subjects:
                    journal.write_entry("trial", subject, "made", by=journal.SYSTEM_ACTOR, number=number)
        db.session.commit()
        assert invalid_entries(subjects[0]) == invalid_entries(subjects[-1]) == []
        assert (
            db.session.scalar(
                select(func.count()).select_from(JournalEntry).where(JournalEntry.subject_id == subjects[777])
            )
            == 3
        )


def test_an_entry_taken_out_of_the_middle_or_the_beginning_is_missed(in_province, subject, owner_connection):
    subject_id, ids = subject
    owner_connection.execute("delete from journal_entry where id = %s", (ids[2],))
    owner_connection.commit()
    assert broken(in_province, subject_id) == [ids[3]]
    owner_connection.execute("delete from journal_entry where id = %s", (ids[0],))
    owner_connection.commit()
    assert broken(in_province, subject_id) == [ids[1], ids[3]]


def test_an_entry_written_twice_under_another_id_is_noticed(in_province, subject, owner_connection):
    subject_id, ids = subject
    copied_entry = owner_connection.execute(
        "select to_json(e) from journal_entry e where id = %s", (ids[1],)
    ).fetchone()[0] | {"id": str(new_id())}
    owner_connection.execute(
        "insert into journal_entry select * from json_populate_record(null::journal_entry, %s)",
        (json.dumps(copied_entry),),
    )
    owner_connection.commit()
    assert copied_entry["id"] in map(str, broken(in_province, subject_id))


def test_two_entries_in_each_others_place_are_noticed(in_province, subject, owner_connection):
    subject_id, ids = subject
    aside = new_id()
    for was, becomes in ((ids[1], aside), (ids[2], ids[1]), (aside, ids[2])):
        owner_connection.execute("update journal_entry set id = %s where id = %s", (becomes, was))
    owner_connection.commit()
    assert {ids[1], ids[2]} <= set(broken(in_province, subject_id))
