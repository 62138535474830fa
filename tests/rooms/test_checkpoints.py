"""Sealing and verifying the journal: what is listed in the store, and what is named when somebody has had a
hand in the database."""

import hashlib
import random
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.errors import NotFound
from dingkao.integrations.storage import current_store
from dingkao.journal import checkpoint_files, checkpoints, verification
from dingkao.journal import entries as journal
from dingkao.journal.checkpoint_files import BATCH_KIND, HEAD_KIND, VOLUME_KIND, CheckpointRecord
from dingkao.journal.checkpoints import write_checkpoint
from dingkao.journal.findings import Finding, VerificationReport
from dingkao.journal.verification import verify_all, verify_step
from dingkao.tenants.encryption import Vault
from tests import journal_tampering
from tests.tenants.statements import captured_statements

SLUG, CODE = "guangdong", 44


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """What is committed is settled."""
    monkeypatch.setattr(checkpoints, "CLOCK_MARGIN", timedelta(seconds=-1))


@pytest.fixture
def province(application, in_province, owner_connection):
    """A province whose journal is empty and was never sealed."""
    owner_connection.execute("delete from journal_entry where tenant_id = %s", (CODE,))
    owner_connection.commit()
    with in_province(SLUG):
        objects_v2 = current_store().client.list_objects_v2(
            Bucket=current_store().bucket, Prefix=f"t/{CODE}/journal-"
        )
        for stored_object in objects_v2.get("Contents", []):
            current_store().client.delete_object(Bucket=current_store().bucket, Key=stored_object["Key"])
        yield


def written(count=1, subject=None):
    """Entries on one subject, committed."""
    subject = subject or new_id()
    for number in range(count):
        journal.write_entry("trial", subject, "made", by=journal.SYSTEM_ACTOR, number=number)
    db.session.commit()
    return subject


def sealed_all():
    while write_checkpoint():
        pass


def fold():
    """As the night's job does it."""
    verification_report, cursor = VerificationReport(), verification.initial_cursor()
    while cursor is not None:
        cursor, piece = verify_step(cursor, merge_batches=True)
        verification_report.merge(piece)
    return verification_report


def named(report):
    return {(entry.kind, entry.entry) for entry in report.entries}


def test_what_is_settled_is_listed_once_and_what_is_younger_is_named_as_uncovered(province):
    written(3)
    assert write_checkpoint() == 3
    assert write_checkpoint() == 0
    report = verify_all()
    assert (report.is_clean, report.checked, report.listed, report.uncovered, report.since) == (
        True,
        3,
        3,
        0,
        None,
    )
    moment = clock.now()
    written(2)
    report = verify_all()
    assert (report.is_clean, report.checked, report.listed, report.uncovered) == (True, 5, 3, 2)
    assert abs(report.since - moment) < timedelta(seconds=2)
    assert write_checkpoint() == 2
    head = checkpoint_files.load_head()
    assert (head.number, head.entries, head.folded, head.volumes) == (2, 5, 0, 0)


def test_nothing_is_listed_before_what_may_still_come_before_it(province, application, monkeypatch):
    monkeypatch.setattr(checkpoints, "CLOCK_MARGIN", timedelta(0))
    with Session(db.engine) as long:
        late = journal._build_entry("trial", new_id(), "made", journal.SYSTEM_ACTOR, details={})
        journal._append_chained(long, [late])
        written(2)
        assert write_checkpoint() == 0
        assert verify_all().uncovered == 2
        long.commit()
    written(1)
    monkeypatch.setattr(checkpoints, "CLOCK_MARGIN", timedelta(seconds=-1))
    assert write_checkpoint() == 4
    assert verify_all().is_clean


def test_an_entry_younger_than_the_margin_waits(province, monkeypatch):
    monkeypatch.setattr(checkpoints, "CLOCK_MARGIN", timedelta(seconds=30))
    written(2)
    assert write_checkpoint() == 0
    assert verify_all().uncovered == 2


@pytest.mark.parametrize("folded", [False, True])
def test_a_superusers_edits_insertions_and_deletions_are_all_named_and_nothing_else(
    province, owner_connection, folded, monkeypatch
):
    """The small twin of tests/load/tampering.py."""
    monkeypatch.setattr(checkpoints, "MAX_ENTRIES_PER_BATCH", 120)
    monkeypatch.setattr(verification, "ENTRIES_PER_STEP", 150)
    subjects = journal_tampering.write_subjects(100, 5)
    sealed_all()
    assert checkpoint_files.load_head().number >= 4
    if folded:
        assert fold().is_clean
        assert checkpoint_files.load_head().volumes >= 2
    assert (verify_all().is_clean, verify_all().uncovered) == (True, 0)
    expected_findings, besides = journal_tampering.apply_tampering(
        owner_connection,
        subjects,
        64,
        random.Random(14),  # noqa: S311 - which entries
    )
    assert len(expected_findings) >= 64
    for report in (verify_all(), fold(), verify_all()):
        findings = named(report)
        assert {finding for finding in findings if finding[0] != "unlinked"} == expected_findings
        assert {entry for what, entry in findings if what == "unlinked"} <= besides
        assert report.files == []
    assert all(finding.subject for finding in verify_all().entries)


def test_before_it_is_listed_a_forged_entry_is_named_and_never_blessed(province, owner_connection):
    subject = written(3)
    with_seal = owner_connection.execute(
        "select id from journal_entry where subject_id = %s order by id", (subject,)
    ).fetchall()
    owner_connection.execute("update journal_entry set reason = '改' where id = %s", (with_seal[1][0],))
    owner_connection.commit()
    assert named(verify_all()) == {("foreign", with_seal[1][0])}
    assert write_checkpoint() == 2
    for report in (verify_all(), fold(), verify_all()):
        assert named(report) == {("foreign", with_seal[1][0])}


def test_before_they_are_listed_entries_gone_from_the_middle_are_missed(province, owner_connection):
    subject = written(4)
    ids = [
        entry[0]
        for entry in owner_connection.execute(
            "select id from journal_entry where subject_id = %s order by id", (subject,)
        )
    ]
    owner_connection.execute("delete from journal_entry where id = %s", (ids[1],))
    owner_connection.commit()
    assert named(verify_all()) == {("unlinked", ids[2])}


def test_the_whole_journal_gone_is_named_entry_by_entry(province, owner_connection):
    subject = written(5)
    sealed_all()
    owner_connection.execute("delete from journal_entry where tenant_id = %s", (CODE,))
    owner_connection.commit()
    report = verify_all()
    assert (
        len(report.entries),
        {entry.kind for entry in report.entries},
        {entry.subject for entry in report.entries},
    ) == (5, {"missing"}, {subject})
    assert all(abs(entry.made_at() - clock.now()) < timedelta(minutes=5) for entry in report.entries)


@pytest.mark.parametrize(
    "entry_id", ["0190a3c0-0000-4000-8000-000000000000", "ffffffff-ffff-7fff-8000-000000000000"]
)
def test_an_id_not_made_by_us_tells_no_time(entry_id):
    assert Finding("foreign", UUID(entry_id), None).made_at() is None


def test_two_entries_after_the_same_one_are_no_fault(province):
    """Two who wrote at the same moment, as they could before they waited for each other: nothing was taken
    away."""
    subject = written(1)
    with Session(db.engine) as session, Session(db.engine) as second_session:
        entries = [
            journal._build_entry("trial", subject, "made", journal.SYSTEM_ACTOR, details={"number": number})
            for number in range(2)
        ]
        journal._append_batch(session, [entries[0]])
        journal._append_batch(second_session, [entries[1]])
        session.commit()
        second_session.commit()
    assert verify_all().is_clean


# --- the night


def test_the_night_folds_the_batches_and_what_came_late(province, owner_connection):
    for _ in range(4):
        written(3)
        write_checkpoint()
    first_id = new_id()
    entry = journal._build_entry("trial", new_id(), "made", journal.SYSTEM_ACTOR, details={})
    entry.id, entry.tenant_id = UUID(int=first_id.int - (500 << 80)), CODE
    entry.seal = journal.entry_mac(entry)
    db.session.add(entry)
    db.session.commit()
    assert (verify_all().is_clean, verify_all().uncovered) == (True, 1)
    assert fold().is_clean
    head = checkpoint_files.load_head()
    assert (head.number, head.folded, head.volumes) == (4, 4, 1)
    assert checkpoint_files.load_file(VOLUME_KIND, 1)[0].count == 13
    for number in range(1, 5):
        with pytest.raises(NotFound):
            current_store().get(BATCH_KIND, UUID(int=number))
    assert (verify_all().is_clean, verify_all().listed, verify_all().uncovered) == (True, 13, 0)
    written(2)
    write_checkpoint()
    written(2)
    write_checkpoint()
    assert (verify_all().is_clean, verify_all().listed) == (True, 17)
    assert fold().is_clean
    assert (checkpoint_files.load_head().volumes, verify_all().listed) == (2, 17)
    assert fold().is_clean
    assert checkpoint_files.load_head().volumes == 2


def test_a_verification_in_the_middle_of_which_another_one_folds_goes_on(province, monkeypatch):
    monkeypatch.setattr(verification, "FILES_PER_STEP", 2)
    for _ in range(6):
        written(2)
        write_checkpoint()
    report, cursor = VerificationReport(), verification.initial_cursor()
    for number in range(40):
        cursor, step_report = verify_step(cursor)
        report.merge(step_report)
        if cursor is None:
            break
        if number == 2:
            assert cursor["stage"] == "batches"
            assert fold().is_clean
    assert cursor is None
    assert report.is_clean
    assert verify_all().listed == 12


def test_a_fold_that_was_broken_off_is_begun_anew(province, monkeypatch):
    for _ in range(3):
        written(2)
        write_checkpoint()
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "save_head", lambda _head: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            fold()
    assert (verify_all().is_clean, verify_all().listed) == (True, 6)
    written(2)
    write_checkpoint()
    assert fold().is_clean
    assert (checkpoint_files.load_head().volumes, verify_all().is_clean, verify_all().listed) == (1, True, 8)


def test_of_many_at_once_one_seals(province):
    written(4)
    with (
        checkpoints.checkpoint_lock(wait=False) as is_first_locked,
        checkpoints.checkpoint_lock(wait=False) as is_second_locked,
    ):
        assert (is_first_locked, is_second_locked) == (True, False)
        assert write_checkpoint() == 0
    assert write_checkpoint() == 4


# --- the store


@pytest.fixture
def three(province):
    """Three batches; the second one's entries."""
    ids = []
    for _ in range(3):
        subject = written(2)
        write_checkpoint()
        ids.append(subject)
    return ids


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_file_that_is_missing_is_named_and_told_once_it_is_folded(three, number):
    current_store().delete(BATCH_KIND, UUID(int=number))
    report = verify_all()
    assert report.files == [f"第{number}号封存记录缺失"]
    assert report.entries == []
    assert (report.checked, report.uncovered) == (6, 2)
    assert fold().files == [f"第{number}号封存记录缺失"]
    written(1)
    write_checkpoint()
    fold()
    assert (verify_all().is_clean, verify_all().listed) == (True, 7)


def test_what_lies_in_the_store_is_held_to_its_signature(three, application, monkeypatch):
    raw = {number: current_store().get(BATCH_KIND, UUID(int=number)) for number in (1, 2)}
    header, records = checkpoint_files.load_file(BATCH_KIND, 2)

    def put(content):
        current_store().put(BATCH_KIND, UUID(int=2), content)

    put(raw[1])
    assert verify_all().files == ["第2号封存记录与签名不符"]
    put(raw[2][:-64])
    assert verify_all().files == ["第2号封存记录与签名不符"]
    put(raw[2][:-1] + bytes([raw[2][-1] ^ 1]))
    assert verify_all().files == ["第2号封存记录与签名不符"]
    put(bytes([raw[2][0] ^ 1]) + raw[2][1:])
    assert verify_all().files == ["第2号封存记录签名无效"]
    put(raw[2][:70] + raw[2][70:].replace(b'"count": 2', b'"count": 1'))
    assert verify_all().files == ["第2号封存记录签名无效"]
    current_store().client.put_object(
        Bucket=current_store().bucket, Key=f"t/{CODE}/{BATCH_KIND}/{UUID(int=2)}", Body=b"not sealed by us"
    )
    assert verify_all().files == ["第2号封存记录无法打开，可能已被改动"]
    with monkeypatch.context() as patched:
        patched.setitem(application.extensions, "vault", Vault({1: bytes(32)}))
        key_of_another = checkpoint_files.current_vault().sign(
            BATCH_KIND, checkpoint_files._header_text(header)
        )
    put(key_of_another + raw[2][64:])
    assert verify_all().files == ["第2号封存记录签名无效"]
    put(raw[2])
    assert verify_all().is_clean
    checkpoint_files.save_file(BATCH_KIND, 2, checkpoint_files.replace(header, previous="0" * 64), records)
    assert verify_all().files == ["第2号封存记录与前一份不相连", "第3号封存记录与前一份不相连"]


def test_the_head_is_missed_where_it_was_known_and_one_of_long_ago_is_noticed(three):
    head = checkpoint_files.load_head()
    written(2)
    write_checkpoint()
    assert verify_all(known_number=4).is_clean
    checkpoint_files.save_file(HEAD_KIND, 0, head, ())
    assert verify_all(known_number=4).files == ["封存记录曾到第4号，现在只到第3号，可能已被替换或从备份恢复"]
    current_store().delete(HEAD_KIND, UUID(int=0))
    assert verify_all(known_number=4).files == ["封存记录曾到第4号，现在一份也没有"]
    assert verify_all().uncovered == 8
    current_store().put(HEAD_KIND, UUID(int=0), b"x" * 200)
    assert verify_all().files == ["封存首记录签名无效；其余无法核验"]
    with pytest.raises(checkpoint_files.InvalidCheckpoint):
        write_checkpoint()


def test_that_sealing_has_stopped_is_told(province, monkeypatch):
    written(1)
    assert verify_all().is_clean
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda moment=clock.now: moment() + timedelta(hours=3))
        [finding] = verify_all().files
    assert finding.endswith("以来的记录没有封存")


# --- cost and form


def test_a_minute_asks_for_what_is_new_alone(province):
    for _ in range(3):
        written(40)
        write_checkpoint()
    written(2)
    with captured_statements(db.engine) as statements:
        assert write_checkpoint() == 2
    entry_queries = [statement for statement in statements if "journal_entry" in statement]
    assert len(entry_queries) == 1
    assert "LIMIT" in entry_queries[0]


records = st.lists(
    st.builds(
        lambda entry, digest: CheckpointRecord(entry, uuid4(), digest),
        st.uuids(),
        st.binary(min_size=32, max_size=32),
    ),
    max_size=40,
)


def tree(leaves):
    """RFC 6962, 2.1, as it is written there."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + tree(leaves[:half]) + tree(leaves[half:])).digest()


@given(records)
def test_the_root_is_the_one_of_rfc_6962(listed):
    assert (
        checkpoint_files.merkle_root(listed)
        == tree([line.entry.bytes + line.subject.bytes + line.digest for line in listed]).hex()
    )
