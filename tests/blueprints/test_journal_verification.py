"""The journal verified by night and on demand: who is told, what the page and the terminal say."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from dingkao import cli, clock, timetable
from dingkao.database.base import db, new_id
from dingkao.integrations.storage import current_store
from dingkao.jobs import worker
from dingkao.jobs.models import Job
from dingkao.journal import checkpoint_files, checkpoints
from dingkao.journal import entries as journal
from dingkao.operators import province_admin
from dingkao.people import journal_verification
from dingkao.people.models import Account, Notice
from tests import actors
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "guangdong", 44
PAGE = f"/{SLUG}/office/journal"


@pytest.fixture
def province(application, in_province, owner_connection, monkeypatch):
    """A province with people, whose journal is empty and was never sealed or verified."""
    actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
    owner_connection.execute("delete from journal_entry where tenant_id = 44")
    owner_connection.execute("delete from job where tenant_id = 44")
    owner_connection.execute("delete from notice where tenant_id = 44")
    owner_connection.commit()
    with in_province(SLUG):
        objects_v2 = current_store().client.list_objects_v2(
            Bucket=current_store().bucket, Prefix=f"t/{CODE}/journal-"
        )
        for stored_object in objects_v2.get("Contents", []):
            current_store().client.delete_object(Bucket=current_store().bucket, Key=stored_object["Key"])
    monkeypatch.setattr(checkpoints, "CLOCK_MARGIN", timedelta(seconds=-1))


@pytest.fixture
def someone(application, in_province, province):
    return lambda role: signed_in_client(application, in_province, SLUG, role)


@pytest.fixture
def duties(application, province):
    """Do a duty as a worker does."""
    worker.set_application_context(application.app_context)
    yield timetable.run_task
    worker._context.clear()


def written(in_province, count):
    with in_province(SLUG):
        subject = new_id()
        for number in range(count):
            journal.write_entry("trial", subject, "made", by=journal.SYSTEM_ACTOR, number=number)
        db.session.commit()
        return subject


def night(in_province, application, duties, monkeypatch, hour=3):
    """The night's verification, done; its job."""
    moment = clock.to_beijing(clock.now()).replace(hour=hour, minute=0) + timedelta(days=1)
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: moment.astimezone(UTC))
        duties("verify_journal")
    actors.run_pending_jobs(application, in_province, SLUG)
    with in_province(SLUG):
        db.session.execute(
            update(Job)
            .where(Job.name == journal_verification.JOB_NAME)
            .values(asked_at=datetime(2026, 1, 1, tzinfo=UTC))
        )
        db.session.commit()
        return db.session.scalars(
            select(Job).where(Job.name == journal_verification.JOB_NAME).order_by(Job.id.desc())
        ).first()


def messages(in_province):
    with in_province(SLUG):
        query = (
            select(Account.user_name, Notice.body)
            .join(Notice, Notice.account_id == Account.id)
            .where(Notice.title == "审计日志核验发现异常")
        )
        return db.session.execute(query.order_by(Notice.id)).all()


def test_by_night_it_is_verified_once_and_found_sound(application, in_province, duties, monkeypatch):
    written(in_province, 3)
    duties("seal_journal")
    assert night(in_province, application, duties, monkeypatch, hour=2) is None
    job = night(in_province, application, duties, monkeypatch)
    findings = journal_verification.findings_of(job)
    assert (
        job.state,
        job.asked_by,
        findings["checked"],
        findings["listed"],
        findings["mark"],
        findings["number"],
    ) == (
        "done",
        None,
        3,
        3,
        "",
        1,
    )
    assert messages(in_province) == []
    with in_province(SLUG):
        assert checkpoint_files.load_head().volumes == 1
        assert journal_verification.last_verified_batch() == 1
        assert journal_verification.last_asked_at() == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", ["verify_journal", "verify_acts"])
def test_it_is_due_once_a_night_after_half_past_two(name):
    day, run_moments = datetime(2026, 7, 1, tzinfo=clock.BEIJING), []
    duty = replace(
        next(scheduled_task for scheduled_task in timetable.SCHEDULED_TASKS if scheduled_task.name == name),
        last_done=lambda: run_moments[-1] if run_moments else None,
    )
    for hours in (1, 2.4, 2.6, 3, 23, 24, 26.4, 26.6, 40, 99):
        moment = (day + timedelta(hours=hours)).astimezone(UTC)
        if duty.is_due(moment):
            run_moments.append(moment)
    assert [(moment - day) / timedelta(hours=1) for moment in run_moments] == [2.6, 26.6, 99], (
        "a missed night is made up for once"
    )


def test_whoever_is_to_know_is_told_once_of_the_same(
    application, in_province, duties, someone, owner_connection, monkeypatch
):
    for role in ("province_admin", "auditor", "question_editor"):
        someone(role)
    with in_province(SLUG):
        user_names = set(
            db.session.scalars(
                select(Account.user_name).where(
                    Account.state == "active", journal_verification._notified_condition()
                )
            )
        )
        for account in db.session.scalars(
            select(Account).where(Account.kind == "staff").order_by(Account.id.desc()).limit(1)
        ):
            assert account.user_name not in user_names
    subject = written(in_province, 4)
    duties("seal_journal")
    owner_connection.execute(
        (
            "delete from journal_entry where id = (select id from journal_entry where subject_id = %s "
            "order by id desc limit 1)"
        ),
        (subject,),
    )
    owner_connection.commit()
    for _ in range(2):
        job = night(in_province, application, duties, monkeypatch)
        assert journal_verification.findings_of(job)["missing"] == 1
        sent_messages = messages(in_province)
        assert {name for name, _ in sent_messages} == user_names
        assert len(sent_messages) == len(user_names)
    assert "已被删除的1条" in sent_messages[0][1]
    assert str(subject) not in sent_messages[0][1]
    owner_connection.execute("update journal_entry set verb = 'other' where subject_id = %s", (subject,))
    owner_connection.commit()
    night(in_province, application, duties, monkeypatch)
    assert len(messages(in_province)) == 2 * len(user_names)
    assert "内容已被改动的3条，已被删除的1条" in messages(in_province)[-1][1]


def test_the_page_tells_auditors_and_administrators_and_nobody_else(
    application, in_province, duties, someone, owner_connection
):
    auditor, clerk = someone("auditor"), someone("question_editor")
    assert "还没有核验过" in auditor.get(PAGE).get_data(as_text=True)
    assert clerk.get(PAGE).status_code == 403
    assert post_form(clerk, f"{PAGE}/verify", page=f"/{SLUG}/office").status_code == 403
    subject = written(in_province, 2)
    duties("seal_journal")
    for _ in range(2):
        assert (
            post_form(auditor, f"{PAGE}/verify", page=PAGE if _ == 0 else f"/{SLUG}/office").status_code
            == 303
        )
    assert "正在核验" in auditor.get(PAGE).get_data(as_text=True)
    with in_province(SLUG):
        assert (
            len(db.session.scalars(select(Job).where(Job.name == journal_verification.JOB_NAME)).all()) == 1
        )
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "全部一致" in auditor.get(PAGE).get_data(as_text=True)
    [entry] = owner_connection.execute(
        "select id from journal_entry where subject_id = %s order by id limit 1", (subject,)
    ).fetchone()
    owner_connection.execute("update journal_entry set reason = 'x' where id = %s", (entry,))
    owner_connection.commit()
    post_form(auditor, f"{PAGE}/verify", page=PAGE)
    actors.run_pending_jobs(application, in_province, SLUG)
    page = someone("province_admin").get(PAGE).get_data(as_text=True)
    assert "发现异常" in page
    assert str(entry) in page
    assert str(subject) in page
    assert "内容已被改动" in page


def test_a_suspended_provinces_journal_is_sealed_and_verified_too(
    application, in_province, duties, monkeypatch
):
    with application.app_context():
        province_admin.set_service_state(SLUG, "closed", operator=new_id(), name="运营")
    try:
        written(in_province, 2)
        duties("seal_journal")
        assert night(in_province, application, duties, monkeypatch).state == "done"
    finally:
        with application.app_context():
            province_admin.set_service_state(SLUG, "open", operator=new_id(), name="运营")
    with in_province(SLUG):
        assert checkpoint_files.load_head().entries == 3


def test_the_terminal_names_what_is_wrong_and_ends_with_a_status(
    stack, in_province, duties, owner_connection
):
    subject = written(in_province, 3)
    duties("seal_journal")

    def dingkao(*arguments):
        completed = CliRunner().invoke(cli.main, ["journal", "verify", *arguments], env=stack.environment)
        return completed.exit_code, completed.stdout

    assert dingkao("")[0] == 64, "no province is called so"
    status, output = dingkao(SLUG.upper())
    assert status == 0
    assert "广东省：核对 3 条，已封存 3 条，尚未封存 0 条。全部一致。" in output
    ids = [
        str(entry_row[0])
        for entry_row in owner_connection.execute(
            "select id from journal_entry where subject_id = %s order by id", (subject,)
        )
    ]
    owner_connection.execute("delete from journal_entry where id = %s", (ids[2],))
    owner_connection.execute("update journal_entry set verb = 'x' where id = %s", (ids[0],))
    owner_connection.commit()
    command = [str(Path(sys.executable).with_name("dingkao")), "journal", "verify", SLUG, "--json"]
    completed = subprocess.run(  # noqa: S603
        command, env=dict(os.environ) | stack.environment, capture_output=True, text=True, check=False
    )
    payload = json.loads(completed.stdout)
    assert completed.returncode == 1
    assert payload["sound"] is False
    assert [
        (finding["what"], finding["entry"], finding["subject"])
        for finding in payload["provinces"][0]["entries"]
    ] == [
        ("changed", ids[0], str(subject)),
        ("missing", ids[2], str(subject)),
    ]
    status, output = dingkao()
    assert status == 1
    assert "发现异常 2 处" in output
    assert f"记录 {ids[2]}  对象 {subject}  已被删除" in output
    assert dingkao("atlantis")[0] not in (0, 1)
