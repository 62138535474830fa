"""What operators did: chained, sealed outside the database, and what is named when somebody has had a hand in
it."""

import json
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from psycopg import sql
from sqlalchemy import select

from dingkao import clock, timetable
from dingkao.cli import journal as cli
from dingkao.database.base import db, new_id
from dingkao.integrations.storage import current_store
from dingkao.journal import checkpoints
from dingkao.journal.findings import VerificationReport
from dingkao.operators import act_log
from dingkao.operators.models import OperatorAct
from dingkao.tenants.encryption import Vault

WHO = UUID(int=7)
COLUMNS = {
    "operator_id": UUID(int=8), "verb": "other", "province": 11, "at": datetime(2020, 1, 1, tzinfo=UTC), "details": "另", "address": "192.0.2.9",
    "device": "另一台设备", "previous": b"1" * 32, "seal": b"0" * 32,
}  # fmt: skip


@pytest.fixture
def platform(application, stack, owner_connection, monkeypatch):
    """A platform on which nothing was done and nothing ever sealed; what is committed is settled."""
    monkeypatch.setattr(checkpoints, "CLOCK_MARGIN", timedelta(seconds=-1))

    def clean():
        owner_connection.execute("delete from platform.operator_act")
        owner_connection.execute("delete from platform.act_verification")
        owner_connection.commit()
        with application.app_context():
            for kind, identity in current_store().platform_store().list_objects("", 1000):
                current_store().platform_store().delete(kind, identity)

    clean()
    with application.app_context():
        yield
    clean()


def done(count=1, **more):
    for number in range(count):
        act_log.record_act(WHO, "province_opened", 44, f"第{number}次", **more)
    return ids()


def ids():
    with db.engines["platform"].connect() as connection:
        return list(connection.scalars(select(OperatorAct.id).order_by(OperatorAct.id)))


def named(report):
    return {(entry.kind, entry.entry) for entry in report.entries}


def test_each_act_follows_the_one_before_and_is_listed_once(platform):
    done(3)
    assert (act_log.write_checkpoint(), act_log.write_checkpoint()) == (3, 0)
    done(2)
    report = act_log.verify_acts()
    assert (report.is_clean, report.checked, report.listed, report.uncovered) == (True, 5, 3, 2)
    with db.engines["platform"].connect() as connection:
        acts = connection.execute(
            select(OperatorAct.previous, OperatorAct.seal).order_by(OperatorAct.id)
        ).all()
    assert [act_entry.previous for act_entry in acts] == [None, *(act_entry.seal for act_entry in acts[:-1])]


def test_many_at_once_follow_each_other(platform, application):
    gate = threading.Barrier(6)

    def act():
        with application.app_context():
            gate.wait()
            act_log.record_act(WHO, "province_opened", 44)

    threads = [threading.Thread(target=act) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.engines["platform"].connect() as connection:
        acts = connection.execute(
            select(OperatorAct.previous, OperatorAct.seal).order_by(OperatorAct.id)
        ).all()
    assert len(acts) == 6
    assert [act_entry.previous for act_entry in acts] == [None, *(act_entry.seal for act_entry in acts[:-1])]


@pytest.mark.parametrize("folded", [False, True])
def test_what_a_superuser_does_to_them_is_named_and_nothing_else(platform, owner_connection, folded):
    entries = done(40)
    act_log.write_checkpoint()
    if folded:
        assert act_log.verify_acts(merge_batches=True).is_clean
    expected_findings = set()
    for place, (column, value) in zip(range(2, 30, 3), COLUMNS.items(), strict=False):
        owner_connection.execute(
            sql.SQL("update platform.operator_act set {} = %s where id = %s").format(sql.Identifier(column)),
            (value, entries[place]),
        )
        expected_findings.add(("changed", entries[place]))
    for place in (0, 33, 34, 39):
        owner_connection.execute("delete from platform.operator_act where id = %s", (entries[place],))
        expected_findings.add(("missing", entries[place]))
    for act_id, seal in (
        (UUID(int=entries[5].int + 1), None),
        (UUID(int=entries[39].int + 1), b"2" * 32),
        (new_id(), None),
    ):
        owner_connection.execute(
            (
                "insert into platform.operator_act (id, operator_id, verb, at, seal) values (%s, %s, "
                "'province_stopped', now(), %s)"
            ),
            (act_id, WHO, seal),
        )
        expected_findings.add(("foreign", act_id))
    owner_connection.commit()
    for _ in range(2):
        report = act_log.verify_acts(merge_batches=folded)
        assert {finding for finding in named(report) if finding[0] != "unlinked"} == expected_findings
        assert report.files == []
        act_log.write_checkpoint()


def test_all_of_them_gone_is_named_act_by_act(platform, owner_connection):
    entries = done(4)
    act_log.write_checkpoint()
    owner_connection.execute("delete from platform.operator_act")
    owner_connection.commit()
    assert named(act_log.verify_acts()) == {("missing", entry) for entry in entries}


def test_before_they_are_listed_a_change_and_a_gap_are_named(platform, owner_connection):
    entries = done(5)
    owner_connection.execute("update platform.operator_act set verb = 'other' where id = %s", (entries[1],))
    owner_connection.execute("delete from platform.operator_act where id = %s", (entries[3],))
    owner_connection.commit()
    assert named(act_log.verify_acts()) == {("foreign", entries[1]), ("unlinked", entries[4])}


def test_those_from_before_there_were_seals_are_listed_as_they_stand_once(platform, owner_connection):
    insert = (
        "insert into platform.operator_act (id, operator_id, verb, at) values (%s, %s, 'signed_in', now())"
    )
    unsealed_ids = [new_id() for _ in range(3)]
    for act_id in unsealed_ids:
        owner_connection.execute(insert, (act_id, WHO))
    owner_connection.commit()
    done(2)
    assert act_log.verify_acts().is_clean
    assert act_log.write_checkpoint() == 5
    owner_connection.execute(
        "update platform.operator_act set verb = 'other' where id = %s", (unsealed_ids[0],)
    )
    foreign_id = new_id()
    owner_connection.execute(insert, (foreign_id, WHO))
    owner_connection.commit()
    assert named(act_log.verify_acts()) == {("changed", unsealed_ids[0]), ("foreign", foreign_id)}


def test_what_lies_in_the_store_is_the_platforms_own_and_sealed_anew_with_a_new_key(
    platform, application, monkeypatch
):
    done(2)
    act_log.write_checkpoint()
    files = current_store().platform_store()
    [batch, head] = [
        current_store()
        .client.get_object(Bucket=current_store().bucket, Key=files.key_of(*stored_object))["Body"]
        .read()
        for stored_object in files.list_objects("", 9)
    ]
    assert b"count" not in batch + head, "nothing lies there in clear"
    keys = application.extensions["vault"].data_keys
    monkeypatch.setitem(application.extensions, "vault", Vault({2: bytes(range(32)), **keys}))
    act_log._reencrypt_files()
    assert all(
        current_store()
        .client.get_object(Bucket=current_store().bucket, Key=files.key_of(*stored_object))["Body"]
        .read()[0]
        == 2
        for stored_object in files.list_objects("", 9)
    )
    assert act_log.verify_acts().is_clean


def test_by_night_they_are_verified_once_and_it_is_told(platform, application, owner_connection, monkeypatch):
    night = clock.to_beijing(clock.now()).replace(hour=3, minute=0)
    monkeypatch.setattr(clock, "now", lambda: night.astimezone(UTC))
    entries = done(3)
    act_log.write_checkpoint()
    duty = next(
        scheduled_task for scheduled_task in timetable.SCHEDULED_TASKS if scheduled_task.name == "verify_acts"
    )
    assert duty.is_due(clock.now())
    act_log.verify_nightly()
    assert not duty.is_due(clock.now()), "once a night"
    verification = act_log.latest_verification()
    assert (verification.checked, verification.number, json.loads(verification.found)["faults"]) == (3, 1, 0)
    owner_connection.execute("delete from platform.operator_act where id = %s", (entries[1],))
    owner_connection.commit()
    monkeypatch.setattr(clock, "now", lambda: night.astimezone(UTC) - timedelta(hours=1) + timedelta(days=1))
    assert not duty.is_due(clock.now()), "before half past two"
    monkeypatch.setattr(clock, "now", lambda: night.astimezone(UTC) + timedelta(days=1))
    assert duty.is_due(clock.now())
    act_log.verify_nightly()
    payload = json.loads(act_log.latest_verification().found)
    assert (payload["faults"], payload["entries"][0]["what"], payload["entries"][0]["entry"]) == (
        2,
        "missing",
        str(entries[1]),
    )
    for kind, identity in current_store().platform_store().list_objects("", 9):
        current_store().platform_store().delete(kind, identity)
    assert act_log.verify_acts().files[0] == "封存记录曾到第1号，现在一份也没有"


def test_the_terminal_names_them_too(platform):
    [line] = cli._format_report("平台运营操作记录", VerificationReport(checked=3))
    assert line == "平台运营操作记录：核对 3 条，已封存 0 条，尚未封存 0 条。全部一致。"
